#include "proto/urlq.h"

#include "core/base/buf.h"
#include "core/base/bytes.h"
#include "core/base/num.h"
#include "core/base/rune.h"
#include "core/model/label.h"

#include <math.h>

#define PAIRS_FIRST   16
#define RUNE_MAX      0x10ffffu
#define ESCAPE_PREFIX "U__"
#define SAID_MAX      200 /* bytes of a user's text that an error repeats */

void urlq_init(struct urlq *q, struct arena *a)
{
	*q = (struct urlq){ .arena = a };
}

/* --- percent encoding --- */

/*
 * %XX, and + when plus is set. Text as Go's url.EscapeError: the % and at most two bytes behind it.
 */
static enum err unescape(struct arena *a, const char *s, size_t len, bool plus, const char **out,
    size_t *out_len, struct errbuf *eb)
{
	char *to = arena_alloc(a, len + 1);
	if (!to)
		return errbuf_set(eb, ERR_TOOBIG, "parameters are too large");
	*out = to;
	for (size_t i = 0; i < len; i++) {
		char c = s[i];
		if (c == '%') {
			int hi = i + 2 < len ? bytes_hex((unsigned char)s[i + 1]) : -1,
			    lo = i + 2 < len ? bytes_hex((unsigned char)s[i + 2]) : -1;
			if (hi < 0 || lo < 0) {
				struct buf said;
				buf_init(&said);
				label_quote_go(&said, s + i, len - i < 3 ? len - i : 3);
				enum err err = errbuf_set(eb, ERR_BADDATA, "invalid URL escape %.*s",
				    (int)said.len, (const char *)said.data);
				buf_release(&said);
				return err;
			}
			c = (char)(hi << 4 | lo);
			i += 2;
		} else if (plus && c == '+') {
			c = ' ';
		}
		*to++ = c;
	}
	*to = 0;
	*out_len = (size_t)(to - *out);
	return ERR_OK;
}

static enum err too_large(struct errbuf *eb)
{
	return errbuf_set(eb, ERR_TOOBIG, "parameters are too large");
}

/* Bad and empty pairs cost a look, too. */
static enum err look(struct urlq *q, struct errbuf *eb)
{
	if (++q->looked <= URLQ_PAIRS_MAX)
		return ERR_OK;
	return errbuf_set(eb, ERR_TOOBIG, "more than %u parameters", URLQ_PAIRS_MAX);
}

static enum err put(struct urlq *q, const struct urlq_pair *p, struct errbuf *eb)
{
	if (q->count == q->cap) {
		size_t cap = q->cap ? q->cap * 2 : PAIRS_FIRST;
		struct urlq_pair *pairs = arena_array(q->arena, cap, sizeof(*pairs));
		if (!pairs)
			return too_large(eb);
		if (q->count)
			memcpy(pairs, q->pairs, q->count * sizeof(*pairs));
		q->pairs = pairs;
		q->cap = cap;
	}
	q->pairs[q->count++] = *p;
	return ERR_OK;
}

enum err urlq_add(struct urlq *q, const char *key, size_t key_len, const char *value,
    size_t value_len, struct errbuf *eb)
{
	enum err err = look(q, eb);
	if (err)
		return err;
	char *k = arena_alloc(q->arena, key_len + 1), *v = arena_alloc(q->arena, value_len + 1);
	if (!k || !v)
		return too_large(eb);
	if (key_len)
		memcpy(k, key, key_len);
	if (value_len)
		memcpy(v, value, value_len);
	k[key_len] = v[value_len] = 0;
	return put(q, &(struct urlq_pair){ k, v, key_len, value_len }, eb);
}

static enum err add(struct urlq *q, const char *s, size_t len, struct errbuf *eb)
{
	struct urlq_pair p;
	if (memchr(s, ';', len))
		return errbuf_set(eb, ERR_BADDATA, "invalid semicolon separator in query");
	const char *eq = memchr(s, '=', len);
	size_t key_len = eq ? (size_t)(eq - s) : len, skip = eq ? key_len + 1 : len;
	enum err err = unescape(q->arena, s, key_len, true, &p.key, &p.key_len, eb);
	if (!err)
		err = unescape(q->arena, s + skip, len - skip, true, &p.value, &p.value_len, eb);
	return err ? err : put(q, &p, eb);
}

enum err urlq_parse(struct urlq *q, const char *s, size_t len, struct errbuf *eb)
{
	enum err first = ERR_OK;
	const char *end;
	if (!len) /* then s may be NULL, to which nothing may be added */
		return ERR_OK;
	end = s + len;
	while (s < end) {
		const char *amp = memchr(s, '&', (size_t)(end - s));
		const char *stop = amp ? amp : end;
		enum err err = look(q, eb);
		if (!err && stop > s)
			err = add(q, s, (size_t)(stop - s), eb);
		if (err == ERR_TOOBIG)
			return err;
		if (err && !first)
			first = err;
		s = stop + (amp ? 1 : 0);
	}
	return first;
}

const char *urlq_next(const struct urlq *q, const char *key, size_t *pos, size_t *len)
{
	size_t key_len = strlen(key);
	while (*pos < q->count) {
		const struct urlq_pair *p = &q->pairs[(*pos)++];
		if (p->key_len == key_len && !memcmp(p->key, key, key_len)) {
			if (len)
				*len = p->value_len;
			return p->value;
		}
	}
	if (len)
		*len = 0;
	return NULL;
}

const char *urlq_get(const struct urlq *q, const char *key, size_t *len)
{
	size_t pos = 0;
	const char *value = urlq_next(q, key, &pos, len);
	return value ? value : "";
}

bool urlq_has(const struct urlq *q, const char *key)
{
	size_t pos = 0;
	return urlq_next(q, key, &pos, NULL) != NULL;
}

size_t urlq_count(const struct urlq *q, const char *key)
{
	size_t pos = 0, count = 0;
	while (urlq_next(q, key, &pos, NULL))
		count++;
	return count;
}

/* --- paths --- */

enum err urlq_path_segment(struct arena *a, const char *s, size_t len, const char **out,
    size_t *out_len, struct errbuf *eb)
{
	return unescape(a, s, len, false, out, out_len, eb);
}

/*
 * Inverse of model.EscapeName with ValueEncodingEscaping; false: not of that form. out has len
 * bytes: no escape is shorter than what it stands for.
 */
static bool unescape_u(const char *s, size_t len, char *out, size_t *out_len)
{
	size_t n = 0;
	for (size_t i = sizeof(ESCAPE_PREFIX) - 1; i < len; i++) {
		if (s[i] != '_') {
			out[n++] = s[i];
			continue;
		}
		if (++i >= len)
			return false;
		if (s[i] == '_') {
			out[n++] = '_';
			continue;
		}
		uint32_t rune = 0;
		size_t digits = 0;
		for (; i < len && s[i] != '_'; i++) {
			int h = bytes_hex((unsigned char)s[i]);
			if (h < 0 || ++digits > 6)
				return false;
			rune = rune << 4 | (uint32_t)h;
		}
		if (i >= len || rune > RUNE_MAX || (rune >= 0xd800 && rune < 0xe000))
			return false;
		n += rune_encode(rune, out + n);
	}
	*out_len = n;
	return true;
}

enum err urlq_label_name(struct arena *a, const char *s, size_t len, const char **out,
    size_t *out_len, struct errbuf *eb)
{
	char *name = arena_alloc(a, len + 1);
	if (!name)
		return errbuf_set(eb, ERR_TOOBIG, "parameters are too large");
	size_t n = 0;
	size_t prefix = sizeof(ESCAPE_PREFIX) - 1;
	if (len < prefix || memcmp(s, ESCAPE_PREFIX, prefix) || !unescape_u(s, len, name, &n)) {
		if (len)
			memcpy(name, s, len);
		n = len;
	}
	name[n] = 0;
	if (!n || !rune_valid(name, n)) {
		struct buf said;
		buf_init(&said);
		label_quote_go(&said, name, rune_cut(name, n, SAID_MAX));
		enum err err = errbuf_set(eb, ERR_BADDATA, "invalid label name: %.*s",
		    (int)said.len, (const char *)said.data);
		buf_release(&said);
		return err;
	}
	*out = name;
	*out_len = n;
	return ERR_OK;
}

/* --- values --- */

enum err urlq_bool(const char *s, size_t len, bool *out)
{
	static const char *const words[] = { "1", "t", "T", "TRUE", "true", "True", "0", "f", "F",
		"FALSE", "false", "False" };
	for (size_t i = 0; i < COUNT_OF(words); i++) {
		if (strlen(words[i]) == len && !memcmp(words[i], s, len)) {
			*out = i < COUNT_OF(words) / 2;
			return ERR_OK;
		}
	}
	return ERR_BADDATA;
}

/* Go's %q of the user's text, cut to a length that fits an error. */
static enum err say(
    struct errbuf *eb, const char *before, const char *s, size_t len, const char *after)
{
	struct buf said;
	buf_init(&said);
	label_quote_go(&said, s, rune_cut(s, len, SAID_MAX));
	enum err err = errbuf_set(
	    eb, ERR_BADDATA, "%s%.*s%s", before, (int)said.len, (const char *)said.data, after);
	buf_release(&said);
	return err;
}

enum err urlq_limit(const char *s, size_t len, uint64_t *out, struct errbuf *eb)
{
	int64_t v = 0;
	enum err err = len ? num_parse_i64(s, len, &v) : ERR_OK;
	if (err == ERR_TOOBIG)
		return say(eb, "strconv.Atoi: parsing ", s, len, ": value out of range");
	if (err)
		return say(eb, "strconv.Atoi: parsing ", s, len, ": invalid syntax");
	if (v < 0)
		return errbuf_set(eb, ERR_BADDATA, "limit must be non-negative");
	*out = (uint64_t)v;
	return ERR_OK;
}

enum err urlq_duration(const char *s, size_t len, int64_t *ms, struct errbuf *eb)
{
	double seconds;
	if (!num_parse_float(s, len, &seconds)) {
		/* Go counts in ns: what does not fit there is refused. */
		double ns = seconds * 1e9;
		if (ns >= (double)INT64_MAX || ns < (double)INT64_MIN) /* the first is 2^63 */
			return say(eb, "cannot parse ", s, len,
			    " to a valid duration. It overflows int64");
		if (!isnan(ns)) {
			*ms = (int64_t)ns / 1000000;
			return ERR_OK;
		}
	}
	if (num_parse_duration(s, len, ms))
		return say(eb, "cannot parse ", s, len, " to a valid duration");
	return ERR_OK;
}

enum err urlq_time(const char *s, size_t len, int64_t *ms, struct errbuf *eb)
{
	if (num_parse_time(s, len, ms))
		return say(eb, "cannot parse ", s, len, " to a valid timestamp");
	return ERR_OK;
}
