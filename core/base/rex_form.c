/*
 * Simple forms of a valid pattern that need no regular expression machine.
 *
 *   a|b|c, (a|b), pre(a|b)post, with escaped punctuation   -> REX_LITERALS
 *   lit.*   .*lit   .*lit.*                                -> REX_PREFIX, REX_SUFFIX, REX_INFIX
 *   a.*|b.*   (a|b):.*   .*(a|b)   .*a.*|.*b.*             -> the same, of several words
 *   .*   .+                                                -> REX_ANY, REX_NONEMPTY
 * With .+ instead of .* at an end, a byte has to stand there (before, after): a character does,
 * then, as words begin and end with one.
 * One leading ^ and one trailing $ at the outermost level of a pattern without alternatives there
 * say nothing new and are passed over; so is a pair of parentheses around everything.
 * Whatever else is in the pattern makes it REX_PCRE: this reader may be narrow, but never wrong.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE /* memmem */
#endif
#include "core/base/rex_priv.h"

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/hash.h"

#include <stdlib.h>

#define DEPTH_MAX    16
#define PRODUCT_MAX  1024u /* words that a multiplication may make; more go to PCRE2 */
#define INFIX_MAX    64u   /* bytes of one of several infixes: each place may be compared with */
#define PREFIXES_MAX 256u  /* beginnings of an expression that are told */
#define WORK_MAX     (4u << 20) /* bytes that multiplications may copy in one pattern */

struct reader {
	const char *p, *end;
	unsigned depth;
	size_t work; /* bytes copied by multiplications */
};

/* Words as stretches of one text, in the order in which they were read. */
struct set {
	struct buf text;
	struct word {
		size_t at, len;
	} * v;
	size_t count, cap;
};

static void set_free(struct set *s)
{
	buf_release(&s->text);
	mem_free(s->v);
	*s = (struct set){ 0 };
}

/* What was added to the text since at is a word. */
static void set_close(struct set *s, size_t at)
{
	if (s->count == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 4;
		s->v = mem_array(s->v, s->cap, sizeof(*s->v));
	}
	s->v[s->count++] = (struct word){ at, s->text.len - at };
}

static void text_add(struct buf *to, const struct set *from, size_t i)
{
	if (from->v[i].len)
		buf_add(to, from->text.data + from->v[i].at, from->v[i].len);
}

static void set_add(struct set *s, const struct set *from, size_t i)
{
	size_t at = s->text.len;
	text_add(&s->text, from, i);
	set_close(s, at);
}

/* Every word of to followed by every one of with. One word by many makes no more than there are. */
static bool set_multiply(struct reader *r, struct set *to, const struct set *with)
{
	if (to->count > 1 && with->count > 1 && to->count > PRODUCT_MAX / with->count)
		return false;
	r->work += to->text.len * with->count + with->text.len * to->count;
	if (r->work > WORK_MAX)
		return false;
	struct set product = { 0 };
	for (size_t i = 0; i < to->count; i++) {
		for (size_t j = 0; j < with->count; j++) {
			size_t at = product.text.len;
			text_add(&product.text, to, i);
			text_add(&product.text, with, j);
			set_close(&product, at);
		}
	}
	set_free(to);
	*to = product;
	return true;
}

static bool is_plain(char c)
{
	static const bool special[256] = { [0] = true,
		['\\'] = true,
		['('] = true,
		[')'] = true,
		['|'] = true,
		['['] = true,
		[']'] = true,
		['{'] = true,
		['}'] = true,
		['*'] = true,
		['+'] = true,
		['?'] = true,
		['.'] = true,
		['^'] = true,
		['$'] = true };
	return !special[(uint8_t)c];
}

/* Punctuation behind a backslash stands for itself. */
static bool escape_is_plain(const struct reader *r)
{
	if (r->end - r->p < 2 || *r->p != '\\')
		return false;
	char c = r->p[1];
	return (uint8_t)c < 0x80 && !(c >= '0' && c <= '9') &&
	    !((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/*
 * A run of bytes that stand for themselves, escaped or not; UTF-8 tails pass as they are. When a
 * repetition follows, the pattern is not simple anyway.
 */
static void read_run(struct reader *r, struct buf *out)
{
	for (;;) {
		const char *from = r->p;
		while (r->p < r->end && is_plain(*r->p))
			r->p++;
		if (r->p > from)
			buf_add(out, from, (size_t)(r->p - from));
		if (!escape_is_plain(r))
			return;
		buf_add(out, r->p + 1, 1);
		r->p += 2;
	}
}

static bool read_alternatives(struct reader *r, struct set *out);

static bool at_stars(const struct reader *r)
{
	return r->end - r->p >= 2 && r->p[0] == '.' && (r->p[1] == '*' || r->p[1] == '+');
}

/* A .* or .+ ends a sequence, too: whoever reads sequences sees what stands there. */
static bool at_end(const struct reader *r)
{
	return r->p == r->end || *r->p == '|' || *r->p == ')' || at_stars(r);
}

static bool read_piece(struct reader *r, struct set *piece)
{
	if (*r->p != '(') {
		const char *from = r->p;
		read_run(r, &piece->text);
		set_close(piece, 0);
		return r->p > from;
	}
	r->p++;
	if (r->end - r->p >= 2 && r->p[0] == '?' && r->p[1] == ':')
		r->p += 2;
	bool ok = r->depth++ < DEPTH_MAX && read_alternatives(r, piece) && r->p < r->end &&
	    *r->p++ == ')';
	r->depth--;
	return ok;
}

/* What is one run is added at once: sets of many words are read once and never copied. */
static bool read_sequence(struct reader *r, struct set *out)
{
	size_t at = out->text.len;
	read_run(r, &out->text);
	set_close(out, at);
	if (at_end(r))
		return true;
	struct set one = { 0 };
	set_add(&one, out, --out->count);
	bool ok = true;
	while (ok && !at_end(r)) {
		struct set piece = { 0 };
		ok = read_piece(r, &piece) && set_multiply(r, &one, &piece);
		set_free(&piece);
	}
	for (size_t i = 0; ok && i < one.count; i++)
		set_add(out, &one, i);
	set_free(&one);
	return ok;
}

static bool read_alternatives(struct reader *r, struct set *out)
{
	for (;;) {
		if (!read_sequence(r, out))
			return false;
		if (r->p == r->end || *r->p != '|')
			return true;
		r->p++;
	}
}

/* The set's text and words become the form's. */
static void form_take(struct rex_form *f, enum rex_kind kind, struct set *s)
{
	size_t len;
	*f = (struct rex_form){ .kind = kind, .count = s->count };
	f->strings = mem_array(NULL, s->count ? s->count : 1, sizeof(*f->strings));
	buf_add_u8(&s->text, 0);
	f->text = (char *)buf_take(&s->text, &len);
	for (size_t i = 0; i < s->count; i++)
		f->strings[i] = (struct rex_string){ f->text + s->v[i].at, s->v[i].len };
	set_free(s);
}

static bool try_set(const char *pattern, size_t len, struct rex_form *out)
{
	struct reader r = { .p = pattern, .end = pattern + len };
	struct set set = { 0 };
	if (!read_alternatives(&r, &set) || r.p != r.end) {
		set_free(&set);
		return false;
	}
	form_take(out, REX_LITERALS, &set);
	return true;
}

/* What may stand beside a word. */
enum stars {
	STARS_NONE,
	STARS_ANY,  /* .* */
	STARS_SOME, /* .+ */
	STARS_MORE  /* at least two characters */
};

static enum stars take_stars(struct reader *r)
{
	enum stars got = STARS_NONE;
	for (; at_stars(r); r->p += 2) {
		bool some = r->p[1] == '+';
		if (some)
			got = got >= STARS_SOME ? STARS_MORE : STARS_SOME;
		else if (!got)
			got = STARS_ANY;
	}
	return got;
}

/* Alternatives that all have the same stars at the same ends; the words between them. */
static bool read_starred(struct reader *r, struct set *out, enum stars *before, enum stars *after)
{
	for (bool first = true;; first = false) {
		enum stars left = take_stars(r);
		bool ok = read_sequence(r, out);
		enum stars right = take_stars(r);
		if (!ok || (!left && !right) || left == STARS_MORE || right == STARS_MORE ||
		    (!first && (left != *before || right != *after)))
			return false;
		*before = left;
		*after = right;
		if (r->p == r->end || *r->p != '|')
			return r->p == r->end;
		r->p++;
	}
}

static size_t longest(const struct set *s)
{
	size_t most = 0;
	for (size_t i = 0; i < s->count; i++)
		most = s->v[i].len > most ? s->v[i].len : most;
	return most;
}

static size_t shortest(const struct set *s)
{
	size_t least = SIZE_MAX;
	for (size_t i = 0; i < s->count; i++)
		least = s->v[i].len < least ? s->v[i].len : least;
	return least;
}

static void try_stars(const char *pattern, size_t len, struct rex_form *out)
{
	struct reader r = { .p = pattern, .end = pattern + len };
	struct set set = { 0 };
	enum stars left = STARS_NONE, right = STARS_NONE;
	if (read_starred(&r, &set, &left, &right)) {
		bool infix = left && right, before = left == STARS_SOME, after = right == STARS_SOME;
		if (shortest(&set) == 0) {
			if (!before || !after)
				out->kind = before || after ? REX_NONEMPTY : REX_ANY;
		} else if (!infix || set.count == 1 || longest(&set) <= INFIX_MAX) {
			form_take(out, infix ? REX_INFIX : right ? REX_PREFIX : REX_SUFFIX, &set);
			out->before = before;
			out->after = after;
		}
	}
	set_free(&set);
}

/* Is there a | outside of all groups and brackets? "Perhaps" is yes. */
static bool has_alternatives(const char *s, size_t len)
{
	return memchr(s, '|', len) != NULL;
}

/* Does the ( at the start close at the very end? */
static bool is_wrapped(const char *s, size_t len)
{
	if (len < 2 || s[0] != '(' || s[len - 1] != ')' || memchr(s, '[', len))
		return false;
	size_t depth = 0;
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '\\') {
			struct reader r = { .p = s + i, .end = s + len };
			if (!escape_is_plain(&r))
				return false; /* \Q, too, in which parentheses are text */
			i++;
			continue;
		}
		depth += s[i] == '(';
		depth -= s[i] == ')';
		if (depth == 0)
			return i == len - 1;
	}
	return false;
}

/* What says nothing at both ends of a pattern: see the top. */
static void unwrap(const char **pattern, size_t *pattern_len)
{
	const char *s = *pattern;
	size_t len = *pattern_len;
	bool escaped_end = len >= 2 && s[len - 2] == '\\';
	if (!has_alternatives(s, len)) {
		if (len && s[0] == '^') {
			s++;
			len--;
		}
		if (len && s[len - 1] == '$' && !escaped_end)
			len--;
	}
	for (unsigned i = 0; i < DEPTH_MAX && is_wrapped(s, len); i++) {
		size_t open = len >= 4 && s[1] == '?' && s[2] == ':' ? 3 : 1;
		if (s[open] == '?')
			break; /* named, or with flags */
		s += open;
		len -= open + 1;
	}
	*pattern = s;
	*pattern_len = len;
}

/* Bytes that are not UTF-8 are read as U+FFFD: a word that has it is met by other bytes, too. */
static bool has_replacement(const struct rex_form *f)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->strings[i].len && memmem(f->strings[i].s, f->strings[i].len, "\xef\xbf\xbd", 3))
			return true;
	return false;
}

void rex_form_of(const char *pattern, size_t len, struct rex_form *out)
{
	unwrap(&pattern, &len);
	*out = (struct rex_form){ .kind = REX_PCRE };
	if (!try_set(pattern, len, out))
		try_stars(pattern, len, out);
	if (has_replacement(out))
		rex_form_release(out);
}

/* ---- what every match begins with ---- */

/* Past a class; false: it is not understood. */
static bool skip_class(struct reader *r)
{
	r->p++;
	if (r->p < r->end && *r->p == '^')
		r->p++;
	if (r->p < r->end && *r->p == ']')
		r->p++;
	while (r->p < r->end && *r->p != ']') {
		if (*r->p == '[')
			return false; /* [:alpha:], perhaps */
		r->p += *r->p == '\\' ? 2 : 1;
	}
	return r->p++ < r->end;
}

/* A group that is not (?:, (?P< or (?<: its flags may hold for what follows, too. */
static bool at_flags(const struct reader *r)
{
	return r->end - r->p >= 3 && r->p[0] == '(' && r->p[1] == '?' && r->p[2] != ':' &&
	    r->p[2] != 'P' && r->p[2] != '<';
}

/* To the |, ) or end behind this alternative; false: something is not understood. */
static bool skip_alternative(struct reader *r)
{
	size_t depth = 0;
	while (r->p < r->end && (depth || (*r->p != '|' && *r->p != ')'))) {
		if (*r->p == '[') {
			if (!skip_class(r))
				return false;
			continue;
		}
		if (at_flags(r))
			return false;
		if (*r->p == '\\') {
			if (r->end - r->p < 2 || r->p[1] == 'Q')
				return false;
			r->p++;
		} else if (*r->p == '(') {
			depth++;
		} else if (*r->p == ')') {
			depth--;
		}
		r->p++;
	}
	return r->p <= r->end;
}

/* Parentheses around everything are taken away: is_wrapped, with classes understood. */
static bool take_group(const char **s, size_t *len)
{
	struct reader r = { .p = *s, .end = *s + *len };
	if (!*len || *r.p != '(' || at_flags(&r))
		return false;
	size_t open = r.end - r.p >= 3 && r.p[1] == '?' && r.p[2] == ':' ? 3 : 1;
	if (open == 1 && r.end - r.p >= 2 && r.p[1] == '?')
		return false; /* named */
	do
		r.p += r.p == *s ? open : 1;
	while (skip_alternative(&r) && r.p < r.end && *r.p == '|');
	if (r.p >= r.end || *r.p != ')' || r.p + 1 != r.end)
		return false;
	*s += open;
	*len -= open + 1;
	return true;
}

static bool at_repetition(const struct reader *r)
{
	return r->p < r->end && memchr("*+?{", *r->p, 4);
}

/* A repetition takes the last code point of a run. */
static void run_drop_last(struct set *run)
{
	struct word *w = &run->v[0];
	while (w->len && (run->text.data[w->at + --w->len] & 0xc0) == 0x80)
		;
	run->text.len = w->at + w->len;
}

/* The piece here, as far as it must be there; *more: what follows it follows all of it. */
static bool read_start_piece(struct reader *r, struct set *piece, bool *more)
{
	bool group = *r->p == '(';
	r->depth = 0;
	if (!read_piece(r, piece))
		return false;
	*more = !at_repetition(r);
	if (*more || *r->p == '+')
		return true;
	if (!group)
		run_drop_last(piece);
	return !group;
}

/* The words that an alternative begins with, as far as they are known, to out. */
static bool read_start(struct reader *r, struct set *out)
{
	struct set one = { 0 };
	bool more = true;
	set_close(&one, 0); /* the empty word */
	while (r->p < r->end && *r->p == '^')
		r->p++;
	while (more && !at_end(r) && !at_repetition(r)) {
		struct set piece = { 0 };
		const char *from = r->p;
		if (!read_start_piece(r, &piece, &more) || !set_multiply(r, &one, &piece)) {
			more = false;
			r->p = from;
		}
		set_free(&piece);
	}
	for (size_t i = 0; i < one.count && out->count <= PREFIXES_MAX; i++)
		set_add(out, &one, i);
	set_free(&one);
	return skip_alternative(r);
}

/*
 * Bytes that are not UTF-8 are read as U+FFFD: what is to begin with that may begin with other
 * bytes.
 */
static bool cut_replacement(struct set *s)
{
	for (size_t i = 0; i < s->count; i++) {
		if (!s->v[i].len) /* nor may there be a text */
			continue;
		const char *text = (const char *)s->text.data + s->v[i].at;
		const char *at = memmem(text, s->v[i].len, "\xef\xbf\xbd", 3);
		if (at)
			s->v[i].len = (size_t)(at - text);
	}
	return shortest(s) > 0;
}

void rex_form_prefixes(const char *pattern, size_t len, struct rex_form *out)
{
	unwrap(&pattern, &len);
	for (unsigned i = 0; i < DEPTH_MAX && take_group(&pattern, &len); i++)
		;
	struct reader r = { .p = pattern, .end = pattern + len };
	struct set set = { 0 };
	*out = (struct rex_form){ .kind = REX_PREFIX };
	bool ok = read_start(&r, &set);
	while (ok && r.p < r.end && *r.p == '|' && set.count <= PREFIXES_MAX) {
		r.p++;
		ok = read_start(&r, &set);
	}
	ok = ok && r.p == r.end;
	if (ok && set.count <= PREFIXES_MAX && cut_replacement(&set)) {
		form_take(out, REX_PREFIX, &set);
		rex_form_index(out);
	}
	set_free(&set);
}

/* ---- what every match has ---- */

/* {2}, {2,}, {2,5}; else it stands for itself. */
static size_t count_len(const struct reader *r)
{
	const char *p = r->p + 1;
	while (p < r->end && ((*p >= '0' && *p <= '9') || *p == ','))
		p++;
	return p < r->end && *p == '}' ? (size_t)(p + 1 - r->p) : 1;
}

/* Past repetitions; may what stands before them be absent? "Perhaps" is yes. */
static bool skip_repetition(struct reader *r)
{
	bool absent = false;
	while (at_repetition(r)) {
		absent |= *r->p != '+';
		r->p += *r->p == '{' ? count_len(r) : 1;
	}
	return absent;
}

static bool skip_group(struct reader *r)
{
	do {
		r->p++;
		if (!skip_alternative(r))
			return false;
	} while (r->p < r->end && *r->p == '|');
	return r->p < r->end && *r->p++ == ')';
}

/* Past one piece, which may be a character; false: it is not understood. */
static bool read_character(struct reader *r, char *c)
{
	*c = 0;
	if (*r->p == '|' || *r->p == ')' || at_flags(r))
		return false;
	if (*r->p == '(')
		return skip_group(r);
	if (*r->p == '[')
		return skip_class(r);
	if (*r->p != '\\') {
		*c = is_plain(*r->p) ? *r->p : 0;
		r->p++;
		return true;
	}
	bool plain = escape_is_plain(r);
	if (r->end - r->p < 2 || (!plain && !memchr("dDwWsSbBAz", r->p[1], 10)))
		return false;
	*c = plain ? r->p[1] : 0;
	r->p += 2;
	return true;
}

void rex_form_needed(const char *pattern, size_t len, struct buf *out)
{
	char c;
	unwrap(&pattern, &len);
	for (unsigned i = 0; i < DEPTH_MAX && take_group(&pattern, &len); i++)
		;
	struct reader r = { .p = pattern, .end = pattern + len };
	(void)skip_repetition(&r); /* of a ^ that was passed over */
	while (r.p < r.end) {
		if (!read_character(&r, &c)) {
			buf_clear(out);
			return;
		}
		if (!skip_repetition(&r) && c && (uint8_t)c < 0x80)
			buf_add_u8(out, (uint8_t)c);
	}
}

static bool is_word(const struct rex_string *w, const char *s, size_t len)
{
	return w->len == len && (!len || !memcmp(w->s, s, len));
}

static uint32_t *slot_of(const struct rex_form *f, const char *s, size_t len)
{
	for (size_t i = hash64(s, len, f->seed);; i++) {
		uint32_t *slot = &f->slots[i & f->mask];
		if (!*slot || is_word(&f->strings[*slot - 1], s, len))
			return slot;
	}
}

static int backwards_cmp(const char *a_end, const char *b_end, size_t len)
{
	for (size_t i = 1; i <= len; i++) {
		int d = (uint8_t)a_end[-(ptrdiff_t)i] - (uint8_t)b_end[-(ptrdiff_t)i];
		if (d)
			return d;
	}
	return 0;
}

/* Below 0: the word comes before the value; 0: the value begins (back: ends) with the word. */
static int affix_cmp(const struct rex_string *w, const char *s, size_t len, bool back)
{
	size_t common = w->len < len ? w->len : len;
	int d = !common ? 0
	    : back      ? backwards_cmp(w->s + w->len, s + len, common)
	                : memcmp(w->s, s, common);
	return d ? d : w->len > len ? 1 : 0;
}

static int words_cmp(const struct rex_string *a, const struct rex_string *b, bool back)
{
	int d = affix_cmp(a, b->s, b->len, back);
	return d ? d : a->len < b->len ? -1 : 0;
}

static int prefixes_cmp(const void *a, const void *b)
{
	return words_cmp(a, b, false);
}

static int suffixes_cmp(const void *a, const void *b)
{
	return words_cmp(a, b, true);
}

/*
 * In order, and without the words that begin (end) with another one: then at most one word fits a
 * value, and halving finds it.
 */
static void affixes_sort(struct rex_form *f)
{
	const bool back = f->kind == REX_SUFFIX;
	size_t kept = 0;
	if (f->count < 2)
		return;
	qsort(f->strings, f->count, sizeof(*f->strings), back ? suffixes_cmp : prefixes_cmp);
	for (size_t i = 0; i < f->count; i++) {
		const struct rex_string *w = &f->strings[i];
		if (kept && affix_cmp(&f->strings[kept - 1], w->s, w->len, back) == 0)
			continue;
		f->strings[kept++] = *w;
		f->firsts[(uint8_t)w->s[0]] = true;
	}
	f->count = kept;
}

static bool has_affix(const struct rex_form *f, const char *s, size_t len, bool back)
{
	size_t low = 0, high = f->count;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int d = affix_cmp(&f->strings[mid], s, len, back);
		if (d == 0)
			return true;
		if (d < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}

static bool has_infix(const struct rex_form *f, const char *s, size_t len)
{
	if (f->count == 1)
		return memmem(s, len, f->strings[0].s, f->strings[0].len) != NULL;
	for (size_t i = 0; i < len; i++) {
		if (f->firsts[(uint8_t)s[i]] && has_affix(f, s + i, len - i, false))
			return true;
	}
	return false;
}

/* What stands beside the words is taken away. */
static bool has_part(const struct rex_form *f, const char *s, size_t len)
{
	return f->kind == REX_INFIX ? has_infix(f, s, len)
	                            : has_affix(f, s, len, f->kind == REX_SUFFIX);
}

/* The seed keeps who chooses the words from choosing where they stand. */
void rex_form_index(struct rex_form *f)
{
	size_t slots = 4, kept = 0;
	if (f->kind != REX_LITERALS) {
		affixes_sort(f);
		return;
	}
	if (f->count >= UINT32_MAX)
		return;
	while (slots < 2 * f->count)
		slots *= 2;
	f->mask = slots - 1;
	f->seed = hash_mix64((uintptr_t)f->text ^ clock_real_mono_ns());
	f->slots = mem_array(NULL, slots, sizeof(*f->slots));
	memset(f->slots, 0, slots * sizeof(*f->slots));
	for (size_t i = 0; i < f->count; i++) {
		uint32_t *slot = slot_of(f, f->strings[i].s, f->strings[i].len);
		if (*slot)
			continue;
		f->strings[kept++] = f->strings[i];
		*slot = (uint32_t)kept;
	}
	f->count = kept;
}

bool rex_form_has(const struct rex_form *f, const char *s, size_t len)
{
	switch (f->kind) {
	case REX_LITERALS:
		return f->count == 1 ? is_word(&f->strings[0], s, len) : *slot_of(f, s, len) != 0;
	case REX_PREFIX:
	case REX_SUFFIX:
	case REX_INFIX:
		return len >= f->before + f->after &&
		    has_part(f, s + f->before, len - f->before - f->after);
	case REX_ANY:
		return true;
	case REX_NONEMPTY:
		return len > 0;
	case REX_PCRE:
		break;
	}
	panic("this form needs PCRE2");
}

size_t rex_form_bytes(const struct rex_form *f)
{
	size_t text = 0;
	for (size_t i = 0; i < f->count; i++)
		text += f->strings[i].len;
	return text + f->count * sizeof(*f->strings) +
	    (f->slots ? (f->mask + 1) * sizeof(*f->slots) : 0);
}

void rex_form_release(struct rex_form *f)
{
	mem_free(f->strings);
	mem_free(f->text);
	mem_free(f->slots);
	*f = (struct rex_form){ .kind = REX_PCRE };
}
