/*
 * Simple forms of a valid pattern that need no regular expression machine.
 *
 *   set      a|b|c, (a|b), pre(a|b)post, with escaped punctuation     -> REX_LITERALS
 *   lit.*  .*lit  .*lit.*  .*  .+                                     -> REX_PREFIX, REX_SUFFIX,
 *   REX_INFIX, REX_ANY, REX_NONEMPTY
 * One leading ^ and one trailing $ at the outermost level of a pattern without alternatives there
 * say nothing new and are passed over; so is a pair of parentheses around everything.
 * Whatever else is in the pattern makes it REX_PCRE: this reader may be narrow, but never wrong.
 */
#include "core/base/rex_priv.h"

#include "core/base/arena.h"

#include <stdlib.h>

#define DEPTH_MAX 16

struct reader {
	const char *p, *end;
	unsigned depth;
};

int rex_string_cmp(const struct rex_string *a, const struct rex_string *b)
{
	size_t n = a->len < b->len ? a->len : b->len;
	int c = n ? memcmp(a->s, b->s, n) : 0;
	return c ? c : (a->len > b->len) - (a->len < b->len);
}

static int string_qcmp(const void *a, const void *b)
{
	return rex_string_cmp(a, b);
}

static void strings_free(struct rex_string *v, size_t count)
{
	for (size_t i = 0; i < count; i++)
		mem_free(v[i].s);
	mem_free(v);
}

struct set {
	struct rex_string *v;
	size_t count;
};

static void set_free(struct set *s)
{
	strings_free(s->v, s->count);
	*s = (struct set){ 0 };
}

static void set_add(struct set *s, const char *a, size_t a_len, const char *b, size_t b_len)
{
	s->v = mem_array(s->v, s->count + 1, sizeof(*s->v));
	char *p = mem_alloc(a_len + b_len);
	if (a_len)
		memcpy(p, a, a_len);
	if (b_len)
		memcpy(p + a_len, b, b_len);
	s->v[s->count++] = (struct rex_string){ .s = p, .len = a_len + b_len };
}

/* Every string of to followed by every one of with. */
static bool set_multiply(struct set *to, const struct set *with)
{
	if (with->count && to->count > REX_LITERALS_MAX / with->count)
		return false;
	struct set product = { 0 };
	for (size_t i = 0; i < to->count; i++) {
		for (size_t j = 0; j < with->count; j++)
			set_add(&product, to->v[i].s, to->v[i].len, with->v[j].s, with->v[j].len);
	}
	set_free(to);
	*to = product;
	return true;
}

/* A byte that stands for itself, escaped or not; UTF-8 tails pass as they are. */
static bool read_byte(struct reader *r, char *out)
{
	if (r->p == r->end)
		return false;
	char c = *r->p;
	if (c == '\\') {
		if (r->end - r->p < 2)
			return false;
		c = r->p[1];
		if ((uint8_t)c >= 0x80 || (c >= '0' && c <= '9') ||
		    ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
			return false;
		r->p += 2;
		*out = c;
		return true;
	}
	if (c == 0 || strchr("()|[]{}*+?.^$", c))
		return false;
	r->p++;
	*out = c;
	return true;
}

/*
 * A run of bytes that stand for themselves; the last character is given back when a repetition
 * follows: then the pattern is not simple anyway.
 */
static void read_run(struct reader *r, struct buf *out)
{
	char c;
	while (read_byte(r, &c))
		buf_add(out, &c, 1);
}

static bool read_alternatives(struct reader *r, struct set *out);

static bool read_sequence(struct reader *r, struct set *out)
{
	bool ok = true;
	set_add(out, "", 0, "", 0);
	while (ok && r->p < r->end && *r->p != '|' && *r->p != ')') {
		struct set piece = { 0 };
		if (*r->p == '(') {
			r->p++;
			if (r->end - r->p >= 2 && r->p[0] == '?' && r->p[1] == ':')
				r->p += 2;
			ok = r->depth++ < DEPTH_MAX && read_alternatives(r, &piece) &&
			    r->p < r->end && *r->p++ == ')';
			r->depth--;
		} else {
			struct buf run;
			buf_init(&run);
			read_run(r, &run);
			ok = run.len > 0;
			set_add(&piece, (const char *)run.data, run.len, "", 0);
			buf_release(&run);
		}
		ok = ok && set_multiply(out, &piece);
		set_free(&piece);
	}
	return ok;
}

static bool read_alternatives(struct reader *r, struct set *out)
{
	for (;;) {
		struct set one = { 0 };
		bool ok = read_sequence(r, &one) && out->count + one.count <= REX_LITERALS_MAX;
		for (size_t i = 0; ok && i < one.count; i++)
			set_add(out, one.v[i].s, one.v[i].len, "", 0);
		set_free(&one);
		if (!ok)
			return false;
		if (r->p == r->end || *r->p != '|')
			return true;
		r->p++;
	}
}

static bool try_set(const char *pattern, size_t len, struct rex_form *out)
{
	struct reader r = { .p = pattern, .end = pattern + len };
	struct set set = { 0 };
	if (!read_alternatives(&r, &set) || r.p != r.end) {
		set_free(&set);
		return false;
	}
	qsort(set.v, set.count, sizeof(*set.v), string_qcmp);
	size_t kept = 0;
	for (size_t i = 0; i < set.count; i++) {
		if (kept && rex_string_cmp(&set.v[kept - 1], &set.v[i]) == 0)
			mem_free(set.v[i].s);
		else
			set.v[kept++] = set.v[i];
	}
	*out = (struct rex_form){ .kind = REX_LITERALS, .strings = set.v, .count = kept };
	return true;
}

static bool take(struct reader *r, const char *word)
{
	size_t n = strlen(word);
	if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0)
		return false;
	r->p += n;
	return true;
}

static bool try_stars(const char *pattern, size_t len, struct rex_form *out)
{
	struct reader r = { .p = pattern, .end = pattern + len };
	if (len == 2 && take(&r, ".+")) {
		*out = (struct rex_form){ .kind = REX_NONEMPTY };
		return true;
	}
	bool before = take(&r, ".*");
	struct buf run;
	buf_init(&run);
	read_run(&r, &run);
	bool after = take(&r, ".*");
	bool ok = r.p == r.end && (before || after);
	if (ok && run.len == 0) {
		*out = (struct rex_form){ .kind = REX_ANY };
	} else if (ok) {
		struct set set = { 0 };
		set_add(&set, (const char *)run.data, run.len, "", 0);
		*out = (struct rex_form){ .kind = before && after ? REX_INFIX
			    : after                               ? REX_PREFIX
			                                          : REX_SUFFIX,
			.strings = set.v,
			.count = 1 };
	}
	buf_release(&run);
	return ok;
}

/* Is there a | outside of all groups and brackets? "Perhaps" is yes. */
static bool has_alternatives(const char *s, size_t len)
{
	return memchr(s, '|', len) != NULL;
}

/* Does the ( at the start close at the very end? */
static bool is_wrapped(const char *s, size_t len)
{
	if (len < 2 || s[0] != '(' || s[len - 1] != ')' || memchr(s, '\\', len) ||
	    memchr(s, '[', len))
		return false;
	size_t depth = 0;
	for (size_t i = 0; i < len; i++) {
		depth += s[i] == '(';
		depth -= s[i] == ')';
		if (depth == 0)
			return i == len - 1;
	}
	return false;
}

void rex_form_of(const char *pattern, size_t len, struct rex_form *out)
{
	const char *s = pattern;
	bool escaped_end = len >= 2 && s[len - 2] == '\\';
	if (!has_alternatives(s, len)) {
		if (len && s[0] == '^') {
			s++;
			len--;
		}
		if (len && s[len - 1] == '$' && !escaped_end)
			len--;
	}
	while (is_wrapped(s, len)) {
		size_t open = len >= 4 && s[1] == '?' && s[2] == ':' ? 3 : 1;
		if (s[open] == '?')
			break; /* named, or with flags */
		s += open;
		len -= open + 1;
	}
	*out = (struct rex_form){ .kind = REX_PCRE };
	if (!try_set(s, len, out))
		(void)try_stars(s, len, out);
}

void rex_form_release(struct rex_form *f)
{
	strings_free(f->strings, f->count);
	*f = (struct rex_form){ .kind = REX_PCRE };
}
