/*
 * RE2's syntax (as Go's regexp/syntax with the flags Perl and DotNL reads it) rewritten for PCRE2.
 *
 * Every construct is read here and written anew in a form that means the same in PCRE2; nothing is passed through unread, so what RE2 does not know can not reach PCRE2:
 *   .            . or [^\n]                      $        \z, or (?=\n|\z) under m
 *   ^            \A, or (?:\A|(?<=\n)) under m   \d\w\s   explicit ASCII ranges (\s without \v)
 *   [...]        explicit ranges                 (?P<n>)  a plain group, its name kept aside
 *   literals     themselves or \x{...}           (?i)     (?i) or (?-i), written before the next atom
 *   x*? under U  x*                              \pL      \p{L}; scripts \p{sc:...}
 * Errors carry Go's words.
 */
#include "core/base/rex_priv.h"

#include "core/base/arena.h"
#include "core/base/rune.h"

#define FLAG_I 1u
#define FLAG_M 2u
#define FLAG_S 4u
#define FLAG_U 8u

#define RUNE_MAX 0x10ffffu
#define NO_ATOM  SIZE_MAX

struct frame {
	size_t out_start; /* where the group began in the output */
	unsigned flags, written_i;
	unsigned weight; /* largest product of repeat counts outside of this group so far */
};
struct parser {
	const char *start, *p, *end;
	struct rex_parsed *to;
	struct buf *out;
	unsigned flags;
	unsigned written_i; /* FLAG_I when the output is caseless here */
	size_t atom; /* output offset of the last atom, NO_ATOM when there is none to repeat */
	bool atom_repeated;
	unsigned atom_weight, weight;
	const char *last_repeat; /* start of the repetition just read, else NULL */
	struct frame *frames;
	size_t depth;
	struct errbuf *eb;
};

static enum err fail(struct parser *s, const char *what, const char *from, const char *to)
{
	size_t len = (size_t)(to - from);
	return errbuf_set(s->eb, ERR_BADDATA, "error parsing regexp: %s: `%.*s`", what,
	    (int)(len < 500 ? len : 500), from);
}

static size_t left(const struct parser *s)
{
	return (size_t)(s->end - s->p);
}

static bool starts(const struct parser *s, const char *word)
{
	size_t n = strlen(word);
	return left(s) >= n && memcmp(s->p, word, n) == 0;
}

/* Output */

static void write_flags(struct parser *s)
{
	unsigned want = s->flags & FLAG_I;
	if (want != s->written_i)
		buf_add_str(s->out, want ? "(?i)" : "(?-i)");
	s->written_i = want;
}

static void begin_atom(struct parser *s, unsigned weight)
{
	write_flags(s);
	s->atom = s->out->len;
	s->atom_repeated = false;
	s->atom_weight = weight;
	if (weight > s->weight)
		s->weight = weight;
}

static void write_rune(struct buf *out, uint32_t rune)
{
	char text[4];
	if ((rune >= '0' && rune <= '9') || (rune >= 'a' && rune <= 'z') ||
	    (rune >= 'A' && rune <= 'Z'))
		buf_add_u8(out, (uint8_t)rune);
	else if (rune >= 0x80 && !(rune >= 0xd800 && rune <= 0xdfff))
		buf_add(out, text, rune_encode(rune, text));
	else
		buf_printf(out, "\\x{%x}", rune);
}

static void write_atom(struct parser *s, const char *text)
{
	begin_atom(s, 1);
	buf_add_str(s->out, text);
}

static void write_literal(struct parser *s, uint32_t rune)
{
	begin_atom(s, 1);
	write_rune(s->out, rune);
}

/* Named sets, as sorted ranges */

struct span {
	uint32_t first, last;
};
struct set {
	const char *name;
	struct span spans[5];
	size_t count;
};
/* clang-format off */
static const struct set posix_sets[] = {
	{ "alnum", { { '0', '9' }, { 'A', 'Z' }, { 'a', 'z' } }, 3 },
	{ "alpha", { { 'A', 'Z' }, { 'a', 'z' } }, 2 },
	{ "ascii", { { 0, 0x7f } }, 1 },
	{ "blank", { { '\t', '\t' }, { ' ', ' ' } }, 2 },
	{ "cntrl", { { 0, 0x1f }, { 0x7f, 0x7f } }, 2 },
	{ "digit", { { '0', '9' } }, 1 },
	{ "graph", { { '!', '~' } }, 1 },
	{ "lower", { { 'a', 'z' } }, 1 },
	{ "print", { { ' ', '~' } }, 1 },
	{ "punct", { { '!', '/' }, { ':', '@' }, { '[', '`' }, { '{', '~' } }, 4 },
	{ "space", { { '\t', '\r' }, { ' ', ' ' } }, 2 },
	{ "upper", { { 'A', 'Z' } }, 1 },
	{ "word", { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } }, 4 },
	{ "xdigit", { { '0', '9' }, { 'A', 'F' }, { 'a', 'f' } }, 3 },
};
static const struct set perl_sets[] = {
	{ "d", { { '0', '9' } }, 1 },
	{ "s", { { '\t', '\n' }, { '\f', '\r' }, { ' ', ' ' } }, 3 },
	{ "w", { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } }, 4 },
};
/* clang-format on */

static void write_span(struct buf *out, uint32_t first, uint32_t last)
{
	write_rune(out, first);
	if (last > first) {
		buf_add_u8(out, '-');
		write_rune(out, last);
	}
}

static void write_set(struct buf *out, const struct set *set, bool negated)
{
	uint32_t next = 0;
	for (size_t i = 0; i < set->count; i++) {
		if (!negated)
			write_span(out, set->spans[i].first, set->spans[i].last);
		else if (set->spans[i].first > next)
			write_span(out, next, set->spans[i].first - 1);
		next = set->spans[i].last + 1;
	}
	if (negated)
		write_span(out, next, RUNE_MAX);
}

static const struct set *perl_set(char c)
{
	for (size_t i = 0; i < COUNT_OF(perl_sets); i++) {
		if (perl_sets[i].name[0] == (c | 0x20))
			return &perl_sets[i];
	}
	return NULL;
}

/* Unicode classes: \pL, \p{Lu}, \P{Greek}, \p{^Greek}. Written so that it can stand inside of brackets. */

static bool is_category(const char *s, size_t len)
{
	static const char words[] =
	    " C Cc Cf Cn Co Cs L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk Sm So Z Zl Zp Zs ";
	char key[8];
	if (len == 0 || len > 2)
		return false;
	key[0] = ' ';
	memcpy(key + 1, s, len);
	key[len + 1] = ' ';
	key[len + 2] = 0;
	return strstr(words, key) != NULL;
}

static enum err read_unicode(struct parser *s, struct buf *out)
{
	const char *from = s->p;
	bool negated = s->p[1] == 'P';
	s->p += 2;
	uint32_t rune;
	size_t n = rune_decode(s->p, left(s), &rune);
	if (n == 0)
		return fail(s, "invalid character class range", from, s->end);
	const char *name = s->p;
	size_t len = n;
	s->p += n;
	if (rune == '{') {
		name = s->p;
		const char *close = memchr(s->p, '}', left(s));
		if (!close)
			return fail(s, "invalid character class range", from, s->end);
		len = (size_t)(close - name);
		s->p = close + 1;
		if (len && *name == '^') {
			negated = !negated;
			name++;
			len--;
		}
	}
	for (size_t i = 0; i < len; i++) {
		char c = name[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'))
			return fail(s, "invalid character class range", from, s->p);
	}
	bool cased =
	    len == 2 && name[0] == 'L' && (name[1] == 'u' || name[1] == 'l' || name[1] == 't');
	if (len == 3 && memcmp(name, "Any", 3) == 0)
		buf_add_str(out, negated ? "\\P{Any}" : "\\p{Any}");
	else if (cased && (s->flags & FLAG_I) && !negated)
		buf_add_str(out, "\\p{Lu}\\p{Ll}\\p{Lt}"); /* RE2 folds the class, PCRE2 does not */
	else if (is_category(name, len))
		buf_printf(out, "\\%c{%.*s}", negated ? 'P' : 'p', (int)len, name);
	else if (len > 1)
		buf_printf(out, "\\%c{sc:%.*s}", negated ? 'P' : 'p', (int)len, name);
	else
		return fail(s, "invalid character class range", from, s->p);
	return ERR_OK;
}

/* Escapes that stand for one rune */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Behind \x. What does not fit is taken too, as the error text shows it. */
static bool read_hex(struct parser *s, uint32_t *rune)
{
	uint32_t v = 0;
	if (left(s) && *s->p == '{') {
		s->p++;
		for (size_t digits = 0; left(s); digits++) {
			char c = *s->p++;
			if (c == '}') {
				*rune = v;
				return digits > 0;
			}
			if (hex_value(c) < 0)
				return false;
			v = v * 16 + (uint32_t)hex_value(c);
			if (v > RUNE_MAX)
				return false;
		}
		return false;
	}
	for (int i = 0; i < 2 && left(s); i++) {
		uint32_t c;
		size_t n = rune_decode(s->p, left(s), &c);
		int digit = n == 1 ? hex_value(*s->p) : -1;
		s->p += n ? n : 1;
		if (digit < 0)
			return false;
		v = v * 16 + (uint32_t)digit;
		*rune = v;
		if (i == 1)
			return true;
	}
	return false;
}

static bool is_octal(const struct parser *s)
{
	return left(s) && *s->p >= '0' && *s->p <= '7';
}

/* At a backslash. */
static enum err read_escape(struct parser *s, uint32_t *rune)
{
	const char *from = s->p++;
	if (!left(s))
		return fail(s, "trailing backslash at end of expression", s->end, s->end);
	size_t n = rune_decode(s->p, left(s), rune);
	if (n == 0)
		return fail(s, "invalid UTF-8", from, s->end);
	s->p += n;
	static const char letters[] = "afnrtv", values[] = "\a\f\n\r\t\v";
	const char *letter = *rune < 0x80 && *rune ? strchr(letters, (int)*rune) : NULL;
	if (letter) {
		*rune = (uint32_t)values[letter - letters];
		return ERR_OK;
	}
	if (*rune == 'x') {
		if (read_hex(s, rune))
			return ERR_OK;
	} else if (*rune >= '0' && *rune <= '7') {
		/* A single digit from 1 to 7 would be a back-reference. */
		if (*rune == '0' || is_octal(s)) {
			*rune -= '0';
			for (int i = 0; i < 2 && is_octal(s); i++)
				*rune = *rune * 8 + (uint32_t)(*s->p++ - '0');
			return ERR_OK;
		}
	} else if (*rune < 0x80 && !(*rune >= '0' && *rune <= '9') &&
	    !((*rune | 0x20) >= 'a' && (*rune | 0x20) <= 'z')) {
		return ERR_OK; /* punctuation stands for itself */
	}
	return fail(s, "invalid escape sequence", from, s->p);
}

/* Brackets */

static enum err read_class_rune(struct parser *s, const char *from, uint32_t *rune)
{
	if (!left(s))
		return fail(s, "missing closing ]", from, s->end);
	if (*s->p == '\\')
		return read_escape(s, rune);
	size_t n = rune_decode(s->p, left(s), rune);
	if (n == 0)
		return fail(s, "invalid UTF-8", s->p, s->end);
	s->p += n;
	return ERR_OK;
}

/* "[:alpha:]" or "[:^alpha:]" inside of brackets; *was tells whether it was one. */
static enum err read_posix(struct parser *s, bool *was)
{
	*was = false;
	if (!starts(s, "[:"))
		return ERR_OK;
	const char *close = s->p + 2;
	while (s->end - close >= 2 && memcmp(close, ":]", 2) != 0)
		close++;
	if (s->end - close < 2)
		return ERR_OK;
	const char *name = s->p + 2;
	bool negated = *name == '^' && name < close;
	name += negated;
	size_t len = (size_t)(close - name);
	for (size_t i = 0; i < COUNT_OF(posix_sets); i++) {
		if (strlen(posix_sets[i].name) == len && memcmp(posix_sets[i].name, name, len) == 0) {
			write_set(s->out, &posix_sets[i], negated);
			s->p = close + 2;
			*was = true;
			return ERR_OK;
		}
	}
	return fail(s, "invalid character class range", s->p, close + 2);
}

static enum err read_range(struct parser *s, const char *from)
{
	const char *range = s->p;
	uint32_t lo, hi;
	enum err e = read_class_rune(s, from, &lo);
	if (e)
		return e;
	hi = lo;
	if (left(s) >= 2 && s->p[0] == '-' && s->p[1] != ']') {
		s->p++;
		e = read_class_rune(s, from, &hi);
		if (e)
			return e;
		if (hi < lo)
			return fail(s, "invalid character class range", range, s->p);
	}
	write_span(s->out, lo, hi);
	return ERR_OK;
}

static enum err read_class(struct parser *s)
{
	const char *from = s->p++;
	begin_atom(s, 1);
	buf_add_u8(s->out, '[');
	if (left(s) && *s->p == '^') {
		buf_add_u8(s->out, '^');
		s->p++;
	}
	for (bool first = true; !left(s) || *s->p != ']' || first; first = false) {
		bool was;
		enum err e = read_posix(s, &was);
		if (e)
			return e;
		if (was)
			continue;
		const struct set *set = left(s) >= 2 && *s->p == '\\' ? perl_set(s->p[1]) : NULL;
		if (set) {
			write_set(s->out, set, s->p[1] < 'a');
			s->p += 2;
		} else if (left(s) >= 2 && s->p[0] == '\\' && (s->p[1] | 0x20) == 'p') {
			e = read_unicode(s, s->out);
		} else {
			e = read_range(s, from);
		}
		if (e)
			return e;
	}
	s->p++;
	buf_add_u8(s->out, ']');
	return ERR_OK;
}

/* Groups */

static enum err open_group(struct parser *s, const char *text)
{
	if (s->depth == REX_NESTING_MAX)
		return fail(s, "expression nests too deeply", s->start, s->end);
	write_flags(s); /* outside, so that the state after the group is the one before it */
	s->frames[s->depth++] = (struct frame){ .out_start = s->out->len,
		.flags = s->flags,
		.written_i = s->written_i,
		.weight = s->weight };
	buf_add_str(s->out, text);
	s->weight = 0;
	s->atom = NO_ATOM;
	return ERR_OK;
}

static enum err close_group(struct parser *s)
{
	if (s->depth == 0)
		return fail(s, "unexpected )", s->start, s->end);
	struct frame *f = &s->frames[--s->depth];
	buf_add_u8(s->out, ')');
	s->flags = f->flags;
	s->written_i = f->written_i;
	s->atom = f->out_start;
	s->atom_repeated = false;
	s->atom_weight = s->weight ? s->weight : 1;
	if (f->weight > s->weight)
		s->weight = f->weight;
	s->p++;
	return ERR_OK;
}

static bool is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static enum err read_named(struct parser *s, const char *from)
{
	const char *close = memchr(s->p, '>', left(s));
	if (!close)
		return fail(s, "invalid named capture", from, s->end);
	const char *name = s->p;
	size_t len = (size_t)(close - name);
	bool good = len > 0;
	for (size_t i = 0; i < len; i++)
		good = good && is_word(name[i]);
	if (!good)
		return fail(s, "invalid named capture", from, close + 1);
	struct rex_parsed *to = s->to;
	for (size_t i = 0; i < to->names_count; i++) {
		if (to->names[i].len == len && memcmp(to->names[i].s, name, len) == 0)
			return fail(s, "duplicate capture group name", name, close);
	}
	to->names = mem_array(to->names, to->names_count + 1, sizeof(*to->names));
	to->names[to->names_count++] =
	    (struct rex_name){ .s = name, .len = len, .index = ++to->captures };
	s->p = close + 1;
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
		char c = *s->p++;
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
			break;
		}
	}
	return fail(s, "invalid or unsupported Perl syntax", from, s->p);
}

static enum err read_group(struct parser *s)
{
	const char *from = s->p;
	if (starts(s, "(?P<") || starts(s, "(?<")) {
		s->p += s->p[2] == 'P' ? 4 : 3;
		return read_named(s, from);
	}
	if (starts(s, "(?")) {
		s->p += 2;
		return read_flags(s, from);
	}
	s->p++;
	s->to->captures++;
	return open_group(s, "(");
}

/* Repetition */

static int read_count(struct parser *s) /* -1: none here; at most REX_REPEAT_MAX + 1 */
{
	if (!left(s) || *s->p < '0' || *s->p > '9' ||
	    (left(s) >= 2 && s->p[0] == '0' && s->p[1] >= '0' && s->p[1] <= '9'))
		return -1;
	int v = 0;
	for (; left(s) && *s->p >= '0' && *s->p <= '9'; s->p++) {
		if (v <= REX_REPEAT_MAX)
			v = v * 10 + (*s->p - '0');
	}
	return v > REX_REPEAT_MAX ? REX_REPEAT_MAX + 1 : v;
}

/* "{n}", "{n,}", "{n,m}"; false, with nothing taken, when it is not one: then { is a literal. */
static bool read_counts(struct parser *s, int *min, int *max)
{
	const char *from = s->p++;
	*min = *max = read_count(s);
	bool ok = *min >= 0;
	if (ok && left(s) && *s->p == ',') {
		s->p++;
		*max = -1;
		if (left(s) && *s->p != '}') {
			*max = read_count(s);
			ok = *max >= 0;
		}
	}
	if (ok && left(s) && *s->p == '}') {
		s->p++;
		return true;
	}
	s->p = from;
	return false;
}

/* The operator lies between from and s->p; a following ? makes it lazy. */
static enum err repeat(struct parser *s, const char *from, int min, int max)
{
	const char *op_end = s->p;
	bool lazy = left(s) && *s->p == '?';
	s->p += lazy;
	if (s->last_repeat)
		return fail(s, "invalid nested repetition operator", s->last_repeat, s->p);
	if (*from == '{' && (min > REX_REPEAT_MAX || max > REX_REPEAT_MAX || (max >= 0 && min > max)))
		return fail(s, "invalid repeat count", from, op_end);
	if (s->atom == NO_ATOM)
		return fail(s, "missing argument to repetition operator", from, s->p);
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
		/* Only things that write nothing stood between the two operators, like (?i) or \Q\E. */
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
			s->p += 2;
			break;
		}
		uint32_t rune;
		size_t n = rune_decode(s->p, left(s), &rune);
		if (n == 0)
			return fail(s, "invalid UTF-8", s->p, s->end);
		s->p += n;
		write_literal(s, rune);
	}
	return ERR_OK;
}

static enum err read_backslash(struct parser *s)
{
	char c = left(s) >= 2 ? s->p[1] : 0;
	const struct set *set = c ? perl_set(c) : NULL;
	uint32_t rune;
	enum err e;
	if (set) {
		begin_atom(s, 1);
		buf_add_u8(s->out, '[');
		write_set(s->out, set, c < 'a');
		buf_add_u8(s->out, ']');
		s->p += 2;
		return ERR_OK;
	}
	switch (c) {
	case 'A':
	case 'z':
	case 'b':
	case 'B':
		s->p += 2;
		write_atom(s,
		    c == 'A'       ? "(?:\\A)"
		        : c == 'z' ? "(?:\\z)"
		        : c == 'b' ? "(?:\\b)"
		                   : "(?:\\B)");
		return ERR_OK;
	case 'Q':
		s->p += 2;
		return read_quoted(s);
	case 'p':
	case 'P':
		begin_atom(s, 1);
		buf_add_u8(s->out, '[');
		e = read_unicode(s, s->out);
		buf_add_u8(s->out, ']');
		return e;
	default:
		e = read_escape(s, &rune);
		if (!e)
			write_literal(s, rune);
		return e;
	}
}

static enum err read_one(struct parser *s)
{
	const char *from = s->p;
	int min, max;
	uint32_t rune;
	switch (*s->p) {
	case '(':
		return read_group(s);
	case ')':
		return close_group(s);
	case '|':
		buf_add_u8(s->out, '|');
		s->atom = NO_ATOM;
		s->p++;
		return ERR_OK;
	case '^':
		write_atom(s, s->flags & FLAG_M ? "(?:\\A|(?<=\\n))" : "(?:\\A)");
		s->p++;
		return ERR_OK;
	case '$':
		write_atom(s, s->flags & FLAG_M ? "(?:(?=\\n)|\\z)" : "(?:\\z)");
		s->p++;
		return ERR_OK;
	case '.':
		write_atom(s, s->flags & FLAG_S ? "." : "[^\\n]");
		s->p++;
		return ERR_OK;
	case '[':
		return read_class(s);
	case '*':
	case '+':
	case '?':
		s->p++;
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
	size_t n = rune_decode(s->p, left(s), &rune);
	if (n == 0)
		return fail(s, "invalid UTF-8", s->p, s->end);
	s->p += n;
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
		return fail(s, "missing closing )", s->start, s->end);
	buf_add_str(s->out, ")\\z");
	return ERR_OK;
}

enum err rex_parse(const char *pattern, size_t len, struct rex_parsed *out, struct errbuf *eb)
{
	*out = (struct rex_parsed){ 0 };
	buf_init(&out->out);
	struct parser s = { .start = pattern,
		.p = pattern,
		.end = pattern + len,
		.to = out,
		.out = &out->out,
		.flags = FLAG_S,
		.atom = NO_ATOM,
		.eb = eb };
	s.frames = mem_array(NULL, REX_NESTING_MAX, sizeof(*s.frames));
	enum err e = parse_all(&s);
	mem_free(s.frames);
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
