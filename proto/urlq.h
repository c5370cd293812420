/*
 * urlq - query strings, form bodies, path segments and parameter values of the HTTP API ("HTTP API"
 * of the Prometheus documentation).
 *
 * application/x-www-form-urlencoded as Go reads it: pairs between &, key and value at the first =,
 * + is a blank, %XX a byte; a pair with ; or a broken escape is left out and told.
 * Several parses add up: what is parsed first stands first, and urlq_get() gives the first value.
 * Values may hold any byte, NUL too; a NUL stands behind each.
 *
 * Memory: pairs and decoded strings live in the arena given at init. Thread: one at a time.
 */
#ifndef PROTO_URLQ_H
#define PROTO_URLQ_H

#include "core/base/arena.h"
#include "core/base/err.h"

#define URLQ_PAIRS_MAX 10000u /* in all parses of one request together, bad and empty ones too */

struct urlq_pair {
	const char *key, *value;
	size_t key_len, value_len;
};
struct urlq {
	struct arena *arena;
	struct urlq_pair *pairs;
	size_t count, cap;
	size_t looked; /* pairs that were looked at */
};
void urlq_init(struct urlq *q, struct arena *a);
/* Adds the good pairs of s in order. ERR_BADDATA with Go's text of the first bad pair (`invalid URL
 * escape "%zz"`, `invalid semicolon separator in query`): the good ones are there all the same.
 * ERR_TOOBIG over URLQ_PAIRS_MAX, or without memory. */
MUST_CHECK enum err urlq_parse(struct urlq *q, const char *s, size_t len, struct errbuf *eb);
/* Adds one pair as it stands, copied. ERR_TOOBIG over URLQ_PAIRS_MAX, or without memory. */
MUST_CHECK enum err urlq_add(struct urlq *q, const char *key, size_t key_len, const char *value,
    size_t value_len, struct errbuf *eb);
/* First value of key, "" with *len = 0 when there is none. len may be NULL. */
const char *urlq_get(const struct urlq *q, const char *key, size_t *len);
bool urlq_has(const struct urlq *q, const char *key);
/* All values of key in order: start with *pos = 0; NULL at the end. */
const char *urlq_next(const struct urlq *q, const char *key, size_t *pos, size_t *len);
size_t urlq_count(const struct urlq *q, const char *key);

/* %XX of a path segment (a + stays). ERR_BADDATA with Go's text. out in the arena, NUL behind. */
MUST_CHECK enum err urlq_path_segment(struct arena *a, const char *s, size_t len, const char **out,
    size_t *out_len, struct errbuf *eb);
/*
 * Label name of a path: U__ names are un-escaped (_XX_ hex code point, __ = _), a U__ name that
 * does not follow the scheme and all others stay; then it must be UTF-8 and not empty: else
 * ERR_BADDATA, `invalid label name: "..."`.
 */
MUST_CHECK enum err urlq_label_name(struct arena *a, const char *s, size_t len, const char **out,
    size_t *out_len, struct errbuf *eb);

/* Go's strconv.ParseBool: 1 t T TRUE true True 0 f F FALSE false False. */
MUST_CHECK enum err urlq_bool(const char *s, size_t len, bool *out);
/*
 * limit: a non-negative integer, "" = 0 = none. ERR_BADDATA with `limit must be non-negative` or
 * Go's number text.
 */
MUST_CHECK enum err urlq_limit(const char *s, size_t len, uint64_t *out, struct errbuf *eb);
/*
 * Duration: float seconds, else a Prometheus duration, to ms. ERR_BADDATA with `cannot parse "x" to
 * a valid duration` (and `. It overflows int64`).
 */
MUST_CHECK enum err urlq_duration(const char *s, size_t len, int64_t *ms, struct errbuf *eb);
/* Time: num_parse_time; ERR_BADDATA with `cannot parse "x" to a valid timestamp`. */
MUST_CHECK enum err urlq_time(const char *s, size_t len, int64_t *ms, struct errbuf *eb);

#endif
