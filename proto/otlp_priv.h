/*
 * otlp_priv - the OTLP decoder as its files see it: otlp.c walks the body, otlp_labels.c makes
 * labels, otlp_points.c rows of numbers, summaries and histograms, otlp_hist.c native histograms,
 * otlp_info.c target_info.
 *
 * Contexts, each with the labels it adds; a step below is made anew when the one above changes:
 *   resource   job, instance, promoted attributes          arena `resource`
 *   scope      + otel_scope_*                              arena `scope`
 *   metric     + __name__, __type__, __unit__              arena `metric`
 *   form       + keys of the attributes of its points: a list of pieces, of which those of values
 *              are filled in for each point                arena `form`
 *   point      texts of its values                         arena `point`
 */
#ifndef PROTO_OTLP_PRIV_H
#define PROTO_OTLP_PRIV_H

#include "core/base/bytes.h"
#include "core/base/num.h"
#include "proto/otlp_value.h"
#include "proto/pbscan.h"

#define OTLP_NAMES_MAX   1024u /* places for label names that are remembered; a power of two */
#define OTLP_PIECE_BYTES (64u << 10) /* of labels of rows */

/* A label that a context adds to those of a point's attributes. */
struct otlp_label {
	struct otlp_text name, value;
	uint32_t at; /* in the order they were put */
	bool weak;   /* an attribute of this name that is not empty wins (promoted attributes) */
};
struct otlp_labels { /* sorted by name, each once */
	struct otlp_label *items;
	uint32_t count;
};
/* Attributes of a resource, a scope or a point, in the order they came. */
struct otlp_attrs {
	struct otlp_attr *items; /* [cap] in keep */
	uint32_t count, cap;
	uint64_t came; /* more than count: too many, the rest is not here */
};
struct otlp_piece {
	const uint8_t *bytes;
	uint32_t len;
	int32_t attr; /* the value of this attribute stands behind the bytes, its label's name */
};
enum {
	OTLP_BYTES = -1, /* bytes alone */
	OTLP_NAME = -2,  /* here __name__ would stand */
	OTLP_MORE = -3   /* here the label `more` would stand; bytes are those of its own value */
};
struct otlp_form {
	struct otlp_piece *pieces;
	uint32_t count;
	uint32_t attrs; /* keys of these many, in this order, ... */
	const struct otlp_text *keys;
	const char *more; /* ... with room for this label; NULL: with the name instead */
	size_t fixed;     /* bytes of all pieces, and the heads of values */
	bool good;        /* may be used again: no value was empty, no two had one name */
};
/* Labels of a point without a name, and where that and one more label go. */
struct otlp_base {
	const uint8_t *bytes;
	size_t len, name_at, more_at, more_len;
};

struct otlp_metric {
	struct otlp_text name, unit, help, prom;
	enum otlp_kind kind;
	bool delta;
	const uint8_t *data, *end;  /* its points' message */
	const char *refused;        /* why none of its points can be taken */
	struct otlp_piece names[4]; /* __name__ with OTLP_SUFFIX_*; len 0: not made yet */
};
enum {
	OTLP_SUFFIX_NONE,
	OTLP_SUFFIX_SUM,
	OTLP_SUFFIX_COUNT,
	OTLP_SUFFIX_BUCKET
};
struct otlp_doubles { /* fixed64 numbers, packed or one by one: their bytes */
	const uint8_t *raw;
	size_t count, cap; /* cap: they have been copied */
};
struct otlp_bounds { /* le labels of the histogram before, +Inf last */
	struct otlp_doubles of;
	struct otlp_piece *labels; /* [of.count + 1]; NULL: none yet */
};
struct otlp_point { /* what points have in common */
	uint64_t start_ns, time_ns, flags;
	const uint8_t *end;       /* of the message */
	const uint8_t *exemplars; /* the first one; NULL: none */
};
struct otlp_name { /* of an attribute, and its label's */
	struct otlp_text key, name;
	uint32_t hash;
	bool used, good, listed; /* good: it can be a label; listed: in opts->attributes */
};
struct otlp {
	struct decode *d;
	const struct otlp_opts *o;
	struct errbuf *eb;
	const struct limits *limits;
	const uint8_t *body, *at, *end; /* at: behind what was begun of the request */
	/* What is open: the rest of each message. p == end: it is over. */
	const uint8_t *resource_p, *resource_end, *scope_p, *scope_end, *point_p, *point_end;
	bool resource_open;
	/* resource */
	const uint8_t *resource_data;
	size_t resource_len;
	struct otlp_labels resource_labels;
	const char *resource_refused;
	uint64_t earliest_ns, latest_ns;
	struct otlp_delta_point last; /* times of the point at hand */
	/* scope */
	struct otlp_labels scope_labels;
	const char *scope_refused;
	/* metric */
	struct otlp_metric metric;
	struct otlp_labels labels; /* of all contexts */
	struct otlp_form form;
	struct otlp_bounds bounds;
	struct otlp_attrs attrs;
	struct arena resource, scope, metric_arena, form_arena, point, bounds_arena;
	/* Label bytes of rows, in d->arena; of one call of next. */
	uint8_t *out, *out_end;
	size_t made;
	uint64_t rows;           /* of the request */
	uint64_t infos_between;  /* samples of target_info before the last of a resource */
	bool info_told;          /* metadata of target_info */
	bool hist_told;          /* a bad histogram has said why */
	struct otlp_name *names; /* [OTLP_NAMES_MAX] */
	uint32_t names_count;
	struct { /* target_info that was made: hashes, open addressing */
		struct hash128 *items;
		uint32_t count, cap;
	} infos;
};

/* Why a point is refused; in an arena or a constant. NULL: it is not. */
typedef const char *otlp_why;
extern const char otlp_malformed_word[];
#define OTLP_MALFORMED ((otlp_why)otlp_malformed_word) /* the whole body is */

MUST_CHECK enum err otlp_malformed(struct otlp *o, const uint8_t *at, const char *what);

/* ---- otlp_labels.c ---- */

void otlp_attrs_clear(struct otlp_attrs *l);
/* False: malformed. */
bool otlp_attrs_add(struct otlp *o, struct otlp_attrs *l, const uint8_t *p, size_t len);
MUST_CHECK enum err otlp_resource_begin(struct otlp *o, const uint8_t *p, size_t len);
MUST_CHECK enum err otlp_scope_begin(
    struct otlp *o, const uint8_t *p, size_t len, struct otlp_text schema_url);
/* Labels of the metric at hand. */
void otlp_metric_begin(struct otlp *o);
/* Labels of the point whose attributes are in o->attrs. NULL, or why it has none. */
otlp_why otlp_labels_named(struct otlp *o, struct labels *out);
/* Without __name__ and `more`, a label that its rows add; in the point's arena. */
otlp_why otlp_labels_base(struct otlp *o, const char *more, struct otlp_base *out);
/* Of a row of it; name, more: whole labels as bytes; more NULL: the point's own label, if any. */
otlp_why otlp_labels_of(struct otlp *o, const struct otlp_base *b, const struct otlp_piece *name,
    const struct otlp_piece *more, struct labels *out);
struct otlp_piece otlp_label_bytes(struct arena *a, const char *name, const char *value, size_t len);
/* Of target_info, the resource's attributes in o->attrs; len 0: it has no job and instance. */
otlp_why otlp_labels_info(struct otlp *o, struct labels *out);
void otlp_exemplar_labels(struct otlp *o, struct label *list, size_t count, struct batch_exemplar *x);
const char *otlp_quoted(struct otlp *o, const char *s, size_t len);

/* ---- otlp_points.c ---- */

/* Any data point of the metric. An error is of the body; a refused point is counted. */
MUST_CHECK enum err otlp_point(struct otlp *o, const uint8_t *p, const uint8_t *end);
/* First and last time of the resource's points. */
void otlp_times(struct otlp *o, const struct otlp_point *pt);
void otlp_row(struct otlp *o, const struct otlp_point *pt, struct labels ls, double v);
/* h NULL: bad says why. */
void otlp_row_hist(struct otlp *o, const struct otlp_point *pt, struct labels ls,
    const struct hist *h, const char *bad);
/* Fields that all points have: 2 start, 3 time, and flags, exemplars, attributes. */
struct otlp_fields {
	unsigned attributes, flags, exemplars; /* numbers; 0: it has none */
};
enum otlp_took {
	OTLP_TOOK, /* it was one of those */
	OTLP_OTHER,
	OTLP_BROKEN
};
enum otlp_took otlp_common(struct otlp *o, const struct otlp_fields *n,
    const struct pbscan_field *f, struct otlp_point *pt);
struct otlp_exemplars {
	struct batch_exemplar *items; /* of the point, in its order; without series */
	size_t count;
};
/* Those that are in fields of this number. False: malformed. */
bool otlp_exemplars(
    struct otlp *o, const struct otlp_point *pt, unsigned number, struct otlp_exemplars *out);
void otlp_exemplar_add(struct otlp *o, const struct batch_exemplar *x, struct labels ls);
/* All of a point go to one series: in order of time. */
void otlp_exemplars_add(struct otlp *o, struct otlp_exemplars *list, struct labels ls);
/* Fixed64 numbers, packed or one by one. False: malformed. */
bool otlp_doubles_add(struct otlp *o, struct otlp_doubles *l, const struct pbscan_field *f);
static inline double otlp_double(const struct otlp_doubles *l, size_t i)
{
	return num_from_bits(wire_load64(l->raw + 8 * i));
}
static inline int64_t otlp_ms(uint64_t ns)
{
	return (int64_t)ns / 1000000;
}

/* ---- otlp_hist.c ---- */

/* NULL, or why not. */
otlp_why otlp_exponential(struct otlp *o, const uint8_t *p, const uint8_t *end);
/* A histogram with custom buckets; a zero threshold of none. NULL: no memory. */
struct hist *otlp_custom(struct otlp *o, const struct otlp_doubles *counts,
    const struct otlp_doubles *bounds, uint64_t count, double sum);
struct hist *otlp_hist_stale(struct otlp *o);
/* A row with h, or with why it may not be stored. */
void otlp_row_judged(
    struct otlp *o, const struct otlp_point *pt, struct labels ls, const struct hist *h);

/* ---- otlp_info.c ---- */

MUST_CHECK enum err otlp_info(struct otlp *o);
/* Metadata of a family. */
void otlp_meta(struct otlp *o, struct otlp_text family, struct otlp_text help,
    struct otlp_text unit, uint8_t type);

#endif
