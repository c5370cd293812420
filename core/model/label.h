/*
 * label - label sets as canonical bytes: the identity of a series.
 *
 * Canonical bytes: for each label, sorted by name (byte order), names unique and not empty, values
 * not empty:
 *   0x0a  varint(n)  { 0x0a varint(name length) name  0x12 varint(value length) value }
 *   n = length of the part in braces, varints in shortest form
 * which is what a Remote Write 1.0 sender puts for TimeSeries.labels (Remote Write 1.0
 * specification), so its bytes can be compared without decoding. The empty label set has length 0.
 * A tenant id (u32, 0 until identities exist) stands beside the bytes and seeds the fingerprint.
 *
 * Thread: pure functions. Memory: pieces point into the bytes.
 */
#ifndef CORE_MODEL_LABEL_H
#define CORE_MODEL_LABEL_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/bytes.h"
#include "core/base/err.h"
#include "core/base/hash.h"

#include <string.h>

#define LABEL_NAME "__name__"

static inline bool label_is_metric_name(const char *name, size_t len) /* is it __name__? */
{
	return len == sizeof(LABEL_NAME) - 1 && memcmp(name, LABEL_NAME, sizeof(LABEL_NAME) - 1) == 0;
}

struct label {
	const char *name, *value;
	uint32_t name_len, value_len;
};
static inline bool label_is_name(const struct label *l)
{
	return label_is_metric_name(l->name, l->name_len);
}
struct labels { /* borrowed canonical bytes */
	const uint8_t *bytes;
	uint32_t len;
};

/*
 * Walks canonical or wire-shaped label bytes. Any bytes are safe: label_next gives false at the end
 * and on a broken shape, then it->bad is true. Unknown fields inside a label message are skipped.
 */
struct label_iter {
	const uint8_t *p, *end;
	bool bad;
};
static inline struct label_iter label_iter(struct labels ls)
{
	/* no labels may have no bytes: 0 is not added to NULL */
	return (struct label_iter){ .p = ls.bytes, .end = ls.len ? ls.bytes + ls.len : ls.bytes };
}
bool label_next(struct label_iter *it, struct label *out);

/* Value of a name, NULL when absent. */
const char *label_get(struct labels ls, const char *name, size_t name_len, uint32_t *value_len);
/* Prometheus' order: name, value, name, value...; a shorter prefix first. */
int label_cmp(struct labels a, struct labels b);
static inline bool label_equal(struct labels a, struct labels b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.bytes, b.bytes, a.len) == 0);
}
bool label_is_canonical(struct labels ls); /* the shape above exactly, UTF-8 not looked at */
struct hash128 label_fingerprint(struct labels ls, uint32_t tenant, uint64_t seed);
uint64_t label_hash(struct labels ls); /* 64 bit, for tables inside one query */

/* Those of core/model/limits.h that are of labels; 0 = none. */
struct label_limits {
	uint32_t labels_per_series, name_bytes, value_bytes, total_bytes;
};
extern const struct label_limits label_limits_default; /* what limits_default has */
/*
 * Wire-shaped bytes to canonical: sorts, drops empty values, checks: __name__ present, names not
 * empty, no duplicates, UTF-8 valid, limits.
 * ERR_BADDATA (bad_labels) or ERR_TOOBIG (label_limit), with a text that names number, limit and
 * flag. Too many labels are counted, not sorted: cost is linear beyond the limits. Result in the
 * arena (or the input itself when canonical). */
MUST_CHECK enum err label_canonicalize(struct arena *a, struct labels wire,
    const struct label_limits *lim, struct labels *out, struct errbuf *eb);

/*
 * Builder: any order, later set of the same name wins, empty value deletes. Result canonical, in
 * the arena.
 */
struct label_builder {
	struct arena *arena;
	struct label *items;
	size_t count, cap;
};
void label_builder_init(struct label_builder *b, struct arena *a);
void label_builder_from(struct label_builder *b, struct arena *a, struct labels ls);
void label_builder_set(struct label_builder *b, const char *name, size_t name_len,
    const char *value, size_t value_len); /* borrows the strings */
/* The value set so far, NULL when there is none. */
const char *label_builder_get(
    const struct label_builder *b, const char *name, size_t name_len, uint32_t *len);
void label_builder_del(struct label_builder *b, const char *name, size_t name_len);
struct labels label_builder_done(struct label_builder *b); /* the builder may go on */
/* Of labels that are sorted, each name once, no value empty; in the arena. */
struct labels label_encode(struct arena *a, const struct label *items, size_t count);
/* From C strings: label_make(a, "__name__", "up", "job", "x", NULL). */
struct labels label_make(struct arena *a, ...) __attribute__((sentinel));

/* Text: {a="b", c="d"} or name{a="b"} as Prometheus' labels.String(): Go quoting of values. */
void label_text(struct buf *out, struct labels ls);        /* {__name__="x", a="b"} */
void label_text_metric(struct buf *out, struct labels ls); /* x{a="b"} */
/* The same, cut: of a set of any size, about max bytes are made, whole runes. */
void label_text_cut(struct buf *out, struct labels ls, size_t max);
bool label_name_is_classic(const char *s, size_t len);           /* [a-zA-Z_][a-zA-Z0-9_]* */
bool label_metric_is_classic(const char *s, size_t len);         /* [a-zA-Z_:][a-zA-Z0-9_:]* */
void label_quote_go(struct buf *out, const char *s, size_t len); /* strconv.Quote */

#endif
