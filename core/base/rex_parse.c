/*
 * RE2's syntax (as Go's regexp/syntax with the flags Perl and DotNL reads it) rewritten for PCRE2.
 *
 * Every construct is read here and written anew in a form that means the same in PCRE2; nothing is
 * passed through unread, so what RE2 does not know can not reach PCRE2:
 *   .            . or [^\n]                      $        \z, or (?=\n|\z) under m
 *   ^            \A, or (?:\A|(?<=\n)) under m   (?P<n>)  a plain group, its name kept aside
 *   literals     themselves or \x{...}           (?i)     nothing: literals and classes are written
 *                folded
 *   x*? under U  x*                              classes  explicit ranges (rex_class.c)
 * Errors carry Go's words.
 */
#include "core/base/rex_priv.h"

#include "core/base/arena.h"
#include "core/base/rune.h"

#define FLAG_I 1u
#define FLAG_M 2u
#define FLAG_S 4u
#define FLAG_U 8u

#define NO_ATOM SIZE_MAX

struct frame {
	size_t out_start; /* where the group began in the output */
	unsigned flags;
	unsigned weight; /* largest product of repeat counts outside of this group so far */
};
struct parser {
	struct rex_text text;
	struct rex_classes classes;
	struct rex_parsed *to;
	struct buf *out;
	unsigned flags;
	size_t atom; /* output offset of the last atom, NO_ATOM when there is none to repeat */
	bool atom_repeated;
	unsigned atom_weight, weight;
	const char *last_repeat; /* start of the repetition just read, else NULL */
	struct frame *frames;
	size_t depth;
};

static enum err fail(struct parser *s, const char *what, const char *from, const char *to)
{
	return rex_fail(&s->text, what, from, to);
}

static size_t left(const struct parser *s)
{
	return rex_left(&s->text);
}

static bool starts(const struct parser *s, const char *word)
{
	size_t n = strlen(word);
	return left(s) >= n && memcmp(s->text.p, word, n) == 0;
}

/* Output */

static void begin_atom(struct parser *s, unsigned weight)
{
	s->atom = s->out->len;
	s->atom_repeated = false;
	s->atom_weight = weight;
	if (weight > s->weight)
		s->weight = weight;
}

static void write_atom(struct parser *s, const char *text)
{
	begin_atom(s, 1);
	buf_add_str(s->out, text);
}

static bool is_letter(uint32_t rune)
{
	return (rune | 0x20) >= 'a' && (rune | 0x20) <= 'z';
}

/*
 * What is equal but for case. Of ASCII only k and s have forms outside of it; PCRE2 knows both, and
 * compiles them smaller than a class.
 */
static void write_folded(struct parser *s, uint32_t rune)
{
	struct rune_set set = { 0 };
	if (rune < 0x80 && !is_letter(rune)) {
		rex_rune_write(s->out, rune);
	} else if (rune < 0x80) {
		uint32_t small = rune | 0x20;
		if (small == 'k' || small == 's')
			buf_printf(s->out, "(?i:%c)", (char)small);
		else
			buf_printf(s->out, "[%c%c]", (char)small, (char)(small - 0x20));
	} else {
		rune_set_add(&set, rune, rune);
		rune_set_fold(&set);
		rex_class_write(&s->classes, &set, s->out);
	}
}

static void write_literal(struct parser *s, uint32_t rune)
{
	begin_atom(s, 1);
	if (s->flags & FLAG_I)
		write_folded(s, rune);
	else
		rex_rune_write(s->out, rune);
}

static enum err read_class(struct parser *s)
{
	struct rune_set set = { 0 };
	begin_atom(s, 1);
	enum err e = rex_class_read(&s->text, s->flags & FLAG_I, &s->classes, &set);
	if (!e)
		rex_class_write(&s->classes, &set, s->out);
	return e;
}

/* Groups */

static enum err open_group(struct parser *s, const char *text)
{
	if (s->depth == REX_NESTING_MAX)
		return fail(s, "expression nests too deeply", s->text.start, s->text.end);
	s->frames[s->depth++] =
	    (struct frame){ .out_start = s->out->len, .flags = s->flags, .weight = s->weight };
	buf_add_str(s->out, text);
	s->weight = 0;
	s->atom = NO_ATOM;
	return ERR_OK;
}

static enum err close_group(struct parser *s)
{
	if (s->depth == 0)
		return fail(s, "unexpected )", s->text.start, s->text.end);
	struct frame *f = &s->frames[--s->depth];
	buf_add_u8(s->out, ')');
	s->flags = f->flags;
	s->atom = f->out_start;
	s->atom_repeated = false;
	s->atom_weight = s->weight ? s->weight : 1;
	if (f->weight > s->weight)
		s->weight = f->weight;
	s->text.p++;
	return ERR_OK;
}

static bool is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static enum err read_named(struct parser *s, const char *from)
{
	const char *close = memchr(s->text.p, '>', left(s));
	if (!close)
		return fail(s, "invalid named capture", from, s->text.end);
	const char *name = s->text.p;
	size_t len = (size_t)(close - name);
	bool good = len > 0;
	for (size_t i = 0; i < len; i++)
		good = good && is_word(name[i]);
	if (!good)
		return fail(s, "invalid named capture", from, close + 1);
	struct rex_parsed *to = s->to;
	to->names = mem_array(to->names, to->names_count + 1, sizeof(*to->names));
	to->names[to->names_count++] =
	    (struct rex_name){ .s = name, .len = len, .index = ++to->captures };
	s->text.p = close + 1;
	return open_group(s, "(");
}

static unsigned flag_of(char c)
{
	switch (c) {
	case 'i':
		return FLAG_I;
	case 'm':
		return FLAG_M;
	case 's':
		return FLAG_S;
	case 'U':
		return FLAG_U;
	default:
		return 0;
	}
}

/* "(?flags)" changes what follows in this group, "(?flags:" opens one. */
static enum err read_flags(struct parser *s, const char *from)
{
	unsigned flags = s->flags;
	bool clear = false, seen = false;
	while (left(s)) {
		char c = *s->text.p++;
		unsigned flag = flag_of(c);
		if (flag) {
			flags = clear ? flags & ~flag : flags | flag;
			seen = true;
		} else if (c == '-' && !clear) {
			clear = true;
			seen = false; /* a flag must follow */
		} else if ((c == ':' || c == ')') && !(clear && !seen)) {
			enum err e = c == ':' ? open_group(s, "(?:") : ERR_OK;
			s->flags = flags;
			return e;
		} else {
			uint32_t rune; /* told whole */
			size_t n = rune_decode(s->text.p - 1, left(s) + 1, &rune);
			s->text.p += n ? n - 1 : 0;
			break;
		}
	}
	return fail(s, "invalid or unsupported Perl syntax", from, s->text.p);
}

static enum err read_group(struct parser *s)
{
	const char *from = s->text.p;
	if (starts(s, "(?P<") || starts(s, "(?<")) {
		s->text.p += s->text.p[2] == 'P' ? 4 : 3;
		return read_named(s, from);
	}
	if (starts(s, "(?")) {
		s->text.p += 2;
		return read_flags(s, from);
	}
	s->text.p++;
	s->to->captures++;
	return open_group(s, "(");
}

/* Repetition */

static int read_count(struct parser *s) /* -1: none here; at most REX_REPEAT_MAX + 1 */
{
	if (!left(s) || *s->text.p < '0' || *s->text.p > '9' ||
	    (left(s) >= 2 && s->text.p[0] == '0' && s->text.p[1] >= '0' && s->text.p[1] <= '9'))
		return -1;
	int v = 0;
	for (; left(s) && *s->text.p >= '0' && *s->text.p <= '9'; s->text.p++) {
		if (v <= REX_REPEAT_MAX)
			v = v * 10 + (*s->text.p - '0');
	}
	return v > REX_REPEAT_MAX ? REX_REPEAT_MAX + 1 : v;
}

/* "{n}", "{n,}", "{n,m}"; false, with nothing taken, when it is not one: then { is a literal. */
static bool read_counts(struct parser *s, int *min, int *max)
{
	const char *from = s->text.p++;
	*min = *max = read_count(s);
	bool ok = *min >= 0;
	if (ok && left(s) && *s->text.p == ',') {
		s->text.p++;
		*max = -1;
		if (left(s) && *s->text.p != '}') {
			*max = read_count(s);
			ok = *max >= 0;
		}
	}
	if (ok && left(s) && *s->text.p == '}') {
		s->text.p++;
		return true;
	}
	s->text.p = from;
	return false;
}

/* The operator lies between from and s->text.p; a following ? makes it lazy. */
static enum err repeat(struct parser *s, const char *from, int min, int max)
{
	const char *op_end = s->text.p;
	bool lazy = left(s) && *s->text.p == '?';
	s->text.p += lazy;
	if (*from == '{' && (min > REX_REPEAT_MAX || max > REX_REPEAT_MAX || (max >= 0 && min > max)))
		return fail(s, "invalid repeat count", from, op_end);
	if (s->last_repeat)
		return fail(s, "invalid nested repetition operator", s->last_repeat, s->text.p);
	if (s->atom == NO_ATOM)
		return fail(s, "missing argument to repetition operator", from, s->text.p);
	if (*from == '{') {
		unsigned most = (unsigned)(max < 0 ? min : max);
		if (most > 1)
			s->atom_weight *= most;
		if (s->atom_weight > REX_REPEAT_MAX)
			return fail(s, "invalid repeat count", from, op_end);
		if (s->atom_weight > s->weight)
			s->weight = s->atom_weight;
	}
	if (s->atom_repeated) {
		/*
		 * Only things that write nothing stood between the two operators, like (?i) or
		 * \Q\E.
		 */
		size_t len = s->out->len - s->atom;
		buf_reserve(s->out, 4);
		memmove(s->out->data + s->atom + 3, s->out->data + s->atom, len);
		memcpy(s->out->data + s->atom, "(?:", 3);
		s->out->len += 3;
		buf_add_u8(s->out, ')');
	}
	buf_add(s->out, from, (size_t)(op_end - from));
	if (lazy != !!(s->flags & FLAG_U))
		buf_add_u8(s->out, '?');
	s->atom_repeated = true;
	s->last_repeat = from;
	return ERR_OK;
}

/* The rest */

static enum err read_quoted(struct parser *s) /* behind \Q */
{
	while (left(s)) {
		if (starts(s, "\\E")) {
			s->text.p += 2;
			break;
		}
		uint32_t rune;
		size_t n = rune_decode(s->text.p, left(s), &rune);
		if (n == 0)
			return fail(s, "invalid UTF-8", s->text.p, s->text.end);
		s->text.p += n;
		write_literal(s, rune);
	}
	return ERR_OK;
}

static enum err read_backslash(struct parser *s)
{
	if (rex_class_here(&s->text))
		return read_class(s);
	char c = left(s) >= 2 ? s->text.p[1] : 0;
	uint32_t rune;
	enum err e;
	switch (c) {
	case 'A':
	case 'z':
	case 'b':
	case 'B':
		s->text.p += 2;
		write_atom(s,
		    c == 'A'       ? "(?:\\A)"
		        : c == 'z' ? "(?:\\z)"
		        : c == 'b' ? "(?:\\b)"
		                   : "(?:\\B)");
		return ERR_OK;
	case 'Q':
		s->text.p += 2;
		return read_quoted(s);
	default:
		e = rex_escape_read(&s->text, &rune);
		if (!e)
			write_literal(s, rune);
		return e;
	}
}

static enum err read_one(struct parser *s)
{
	const char *from = s->text.p;
	int min, max;
	uint32_t rune;
	switch (*s->text.p) {
	case '(':
		return read_group(s);
	case ')':
		return close_group(s);
	case '|':
		buf_add_u8(s->out, '|');
		s->atom = NO_ATOM;
		s->text.p++;
		return ERR_OK;
	case '^':
		write_atom(s, s->flags & FLAG_M ? "(?:\\A|(?<=\\n))" : "(?:\\A)");
		s->text.p++;
		return ERR_OK;
	case '$':
		write_atom(s, s->flags & FLAG_M ? "(?:(?=\\n)|\\z)" : "(?:\\z)");
		s->text.p++;
		return ERR_OK;
	case '.':
		write_atom(s, s->flags & FLAG_S ? "." : "[^\\n]");
		s->text.p++;
		return ERR_OK;
	case '[':
		return read_class(s);
	case '*':
	case '+':
	case '?':
		s->text.p++;
		return repeat(s, from, 0, 0);
	case '{':
		if (read_counts(s, &min, &max))
			return repeat(s, from, min, max);
		break;
	case '\\':
		return read_backslash(s);
	default:
		break;
	}
	size_t n = rune_decode(s->text.p, left(s), &rune);
	if (n == 0)
		return fail(s, "invalid UTF-8", s->text.p, s->text.end);
	s->text.p += n;
	write_literal(s, rune);
	return ERR_OK;
}

static enum err parse_all(struct parser *s)
{
	buf_add_str(s->out, "\\A(?:");
	while (left(s)) {
		const char *before = s->last_repeat;
		enum err e = read_one(s);
		if (e)
			return e;
		if (s->last_repeat == before)
			s->last_repeat = NULL; /* that was no repetition */
	}
	if (s->depth)
		return fail(s, "missing closing )", s->text.start, s->text.end);
	buf_add_str(s->out, ")\\z");
	rex_classes_define(&s->classes, s->out);
	return ERR_OK;
}

enum err rex_parse(const char *pattern, size_t len, struct rex_parsed *out, struct errbuf *eb)
{
	*out = (struct rex_parsed){ 0 };
	buf_init(&out->out);
	struct parser s = { .text = { .start = pattern, .p = pattern, .end = pattern + len, .eb = eb },
		.to = out,
		.out = &out->out,
		.flags = FLAG_S,
		.atom = NO_ATOM };
	s.frames = mem_array(NULL, REX_NESTING_MAX, sizeof(*s.frames));
	enum err e = parse_all(&s);
	mem_free(s.frames);
	rex_classes_release(&s.classes);
	if (e)
		rex_parsed_release(out);
	return e;
}

void rex_parsed_release(struct rex_parsed *p)
{
	buf_release(&p->out);
	mem_free(p->names);
	p->names = NULL;
	p->names_count = 0;
}
