#include "proto/expopb.h"

#include "core/base/rune.h"
#include "core/model/histmath.h"
#include "proto/expo.h"
#include "proto/pbscan.h"

#include <math.h>

#define FIELDS       17u /* of the largest message */
#define LENGTH_BYTES 5u  /* of the length before a family */
#define SCRATCH_KEEP (256u << 10)
#define METRIC_BYTES (16u << 20) /* that the series of a metric take: labels stand in each */

/* ---- are these bytes such a message? ---- */

enum kind {
	ANY, /* no field of it */
	NUMBER,
	DOUBLE,
	TEXT,
	ONE,  /* a message, once at most */
	MANY, /* messages */
	NUMBERS,
	DOUBLES
};
enum shape {
	FAMILY,
	METRIC,
	LABEL,
	VALUE, /* Gauge, Untyped */
	COUNTER,
	SUMMARY,
	QUANTILE,
	HISTOGRAM,
	BUCKET,
	SPAN,
	EXEMPLAR,
	TIMESTAMP,
	SHAPES
};
struct field {
	uint8_t kind, shape;
};
static const struct field shapes[SHAPES][FIELDS] = {
	[FAMILY] = { [1] = { TEXT, 0 }, [2] = { TEXT, 0 }, [3] = { NUMBER, 0 }, [4] = { MANY, METRIC }, [5] = { TEXT, 0 } },
	[METRIC] = { [1] = { MANY, LABEL },
	    [2] = { ONE, VALUE },
	    [3] = { ONE, COUNTER },
	    [4] = { ONE, SUMMARY },
	    [5] = { ONE, VALUE },
	    [6] = { NUMBER, 0 },
	    [7] = { ONE, HISTOGRAM } },
	[LABEL] = { [1] = { TEXT, 0 }, [2] = { TEXT, 0 } },
	[VALUE] = { [1] = { DOUBLE, 0 } },
	[COUNTER] = { [1] = { DOUBLE, 0 }, [2] = { ONE, EXEMPLAR }, [3] = { ONE, TIMESTAMP } },
	[SUMMARY] = { [1] = { NUMBER, 0 }, [2] = { DOUBLE, 0 }, [3] = { MANY, QUANTILE }, [4] = { ONE, TIMESTAMP } },
	[QUANTILE] = { [1] = { DOUBLE, 0 }, [2] = { DOUBLE, 0 } },
	[HISTOGRAM] = { [1] = { NUMBER, 0 },
	    [2] = { DOUBLE, 0 },
	    [3] = { MANY, BUCKET },
	    [4] = { DOUBLE, 0 },
	    [5] = { NUMBER, 0 },
	    [6] = { DOUBLE, 0 },
	    [7] = { NUMBER, 0 },
	    [8] = { DOUBLE, 0 },
	    [9] = { MANY, SPAN },
	    [10] = { NUMBERS, 0 },
	    [11] = { DOUBLES, 0 },
	    [12] = { MANY, SPAN },
	    [13] = { NUMBERS, 0 },
	    [14] = { DOUBLES, 0 },
	    [15] = { ONE, TIMESTAMP },
	    [16] = { MANY, EXEMPLAR } },
	[BUCKET] = { [1] = { NUMBER, 0 }, [2] = { DOUBLE, 0 }, [3] = { ONE, EXEMPLAR }, [4] = { DOUBLE, 0 } },
	[SPAN] = { [1] = { NUMBER, 0 }, [2] = { NUMBER, 0 } },
	[EXEMPLAR] = { [1] = { MANY, LABEL }, [2] = { DOUBLE, 0 }, [3] = { ONE, TIMESTAMP } },
	[TIMESTAMP] = { [1] = { NUMBER, 0 }, [2] = { NUMBER, 0 } },
};

static bool varints_only(const uint8_t *p, size_t len)
{
	const uint8_t *end = p + len;
	uint64_t v;
	while (p < end)
		if (!pbscan_varint(&p, end, PBSCAN_VARINT_BYTES, &v))
			return false;
	return true;
}

static bool wire_fits(const struct pbscan_field *f, enum kind k)
{
	switch (k) {
	case ANY:
		return true;
	case NUMBER:
		return f->wire == PBSCAN_VARINT;
	case DOUBLE:
		return f->wire == PBSCAN_FIXED64;
	case TEXT:
	case ONE:
	case MANY:
		return f->wire == PBSCAN_BYTES;
	case NUMBERS:
		return f->wire == PBSCAN_VARINT ||
		    (f->wire == PBSCAN_BYTES && varints_only(f->data, f->len));
	case DOUBLES:
		return f->wire == PBSCAN_FIXED64 || (f->wire == PBSCAN_BYTES && f->len % 8 == 0);
	}
	return false;
}

/* Metrics of a family are not looked into: each when its turn comes. At most four levels deep. */
static bool is_good(const uint8_t *p, const uint8_t *end, enum shape shape, const char **why)
{
	uint32_t seen = 0;
	struct pbscan_field f = { 0 };
	while (p < end) {
		if (!pbscan_next(&p, end, &f) || !f.number)
			return false;
		struct field of = { 0 };
		if (f.number < FIELDS)
			of = shapes[shape][f.number];
		if (!wire_fits(&f, of.kind))
			return false;
		if (of.kind == ONE && seen >> f.number & 1) {
			*why = "a message stands twice where one belongs";
			return false;
		}
		if (of.kind == ONE)
			seen |= 1u << f.number;
		if ((of.kind == ONE || of.kind == MANY) && shape != FAMILY &&
		    !is_good(f.data, f.data + f.len, of.shape, why))
			return false;
	}
	return true;
}

/* ---- fields of a good message ---- */

struct piece {
	const uint8_t *p;
	size_t len;
};

/* The next field with this number, from *at on. */
static bool next_of(const uint8_t **at, const uint8_t *end, unsigned number, struct pbscan_field *f)
{
	while (*at < end && pbscan_next(at, end, f))
		if (f->number == number)
			return true;
	return false;
}

/* The last field with this number. */
static bool field_of(struct piece in, unsigned number, struct pbscan_field *f)
{
	bool any = false;
	struct pbscan_field one;
	for (const uint8_t *p = in.p, *end = in.p + in.len; next_of(&p, end, number, &one);) {
		*f = one;
		any = true;
	}
	return any;
}

static uint64_t number_of(struct piece in, unsigned number)
{
	struct pbscan_field f;
	return field_of(in, number, &f) ? f.value : 0;
}

static double double_of(struct piece in, unsigned number)
{
	struct pbscan_field f;
	return field_of(in, number, &f) ? num_from_bits(wire_load64(f.data)) : 0;
}

static struct piece piece_of(struct piece in, unsigned number)
{
	struct pbscan_field f;
	if (!field_of(in, number, &f))
		return (struct piece){ .p = (const uint8_t *)"" };
	return (struct piece){ .p = f.data, .len = f.len };
}

/* ---- state ---- */

struct own {
	struct arena scratch; /* of a metric */
	struct piece family;  /* that is being read; p NULL: none */
	const uint8_t *at;    /* its next field */
	struct piece name, help, unit;
	unsigned type;
	bool told; /* its metadata is in the batch */
};
enum { /* MetricType */
	TYPE_COUNTER,
	TYPE_GAUGE,
	TYPE_SUMMARY,
	TYPE_UNTYPED,
	TYPE_HISTOGRAM,
	TYPE_GAUGE_HISTOGRAM,
	TYPES
};
static const uint8_t meta_types[TYPES] = { EXPO_COUNTER, EXPO_GAUGE, EXPO_SUMMARY, EXPO_UNKNOWN,
	EXPO_HISTOGRAM, EXPO_GAUGEHISTOGRAM };
/* The field of a metric that has its value. */
static const uint8_t value_fields[TYPES] = { 3, 2, 4, 5, 7, 7 };

/* A metric as it is made into rows. */
struct metric {
	struct decode *d;
	struct own *own;
	struct piece value;      /* Counter, Histogram, ... */
	struct expo_labels bare; /* its labels, [0] the name; room for one more */
	size_t before;           /* bytes of both arenas */
	int64_t t_ms, start_ms;
	const char *bad;
};

static size_t used(const struct decode *d, const struct own *w)
{
	return arena_used(d->arena) + arena_used(&w->scratch);
}

static struct own *own_of(struct decode *d)
{
	struct own *w = d->own;
	if (w)
		return w;
	d->own = w = arena_zalloc(d->keep, sizeof(*w));
	arena_init(&w->scratch, 4096);
	return w;
}

static void own_end(struct decode *d)
{
	struct own *w = d->own;
	arena_release(&w->scratch);
}

/* ---- rows ---- */

static bool labels_read(struct piece in, struct label *out, uint32_t *count, const char **bad)
{
	struct pbscan_field f;
	for (const uint8_t *p = in.p, *end = in.p + in.len; next_of(&p, end, 1, &f);) {
		struct piece pair = { f.data, f.len }, name = piece_of(pair, 1),
		             value = piece_of(pair, 2);
		if (!name.len || !rune_valid((const char *)name.p, name.len)) {
			*bad = name.len ? "a label name is no UTF-8" : "a label has no name";
			return false;
		}
		if (value.len && !rune_valid((const char *)value.p, value.len)) {
			*bad = "a label value is no UTF-8";
			return false;
		}
		out[(*count)++] = (struct label){ .name = (const char *)name.p,
			.value = value.len ? (const char *)value.p : "",
			.name_len = (uint32_t)name.len,
			.value_len = (uint32_t)value.len };
	}
	return true;
}

static size_t count_of(struct piece in, unsigned number)
{
	size_t n = 0;
	struct pbscan_field f;
	for (const uint8_t *p = in.p, *end = in.p + in.len; next_of(&p, end, number, &f);)
		n++;
	return n;
}

/* Labels with a suffix to the name, and one more label, as canonical bytes. */
static bool series(
    struct metric *m, const char *suffix, const char *extra, double bound, struct labels *out)
{
	struct arena *a = &m->own->scratch;
	struct expo_labels ls = { .count = m->bare.count };
	char text[NUM_FMT_MAX];
	size_t n = strlen(suffix);
	if (used(m->d, m->own) - m->before > METRIC_BYTES) {
		m->bad = "it has more series with their labels than memory for one metric";
		return false;
	}
	ls.items = arena_array(a, ls.count + 1, sizeof(*ls.items));
	memcpy(ls.items, m->bare.items, ls.count * sizeof(*ls.items));
	if (n) {
		struct label *name = &ls.items[0];
		char *whole = arena_alloc(a, name->value_len + n);
		memcpy(whole, name->value, name->value_len);
		memcpy(whole + name->value_len, suffix, n);
		name->value = whole;
		name->value_len += (uint32_t)n;
	}
	if (extra) {
		size_t len = expo_fmt_float(bound, text);
		ls.items[ls.count++] = (struct label){ .name = extra,
			.value = text,
			.name_len = (uint32_t)strlen(extra),
			.value_len = (uint32_t)len };
	}
	return expo_encode(m->d->arena, &ls, out, &m->bad);
}

static void row(struct metric *m, const struct labels *ls, double v, const struct hist *h)
{
	struct batch_row *r = batch_add(m->d->batch);
	*r = (struct batch_row){ .labels = ls->bytes, .labels_len = ls->len, .t_ms = m->t_ms };
	r->v = v;
	if (!h && !m->start_ms)
		return;
	struct batch_extra *x = arena_alloc(m->d->arena, sizeof(*x));
	*x = (struct batch_extra){ .v = v, .hist = h, .start_ms = m->start_ms };
	batch_row_extra(m->d->batch, r, x);
}

static int64_t timestamp(struct piece in)
{
	return (int64_t)(number_of(in, 1) * 1000u) + (int32_t)number_of(in, 2) / 1000000;
}

/* timed: without a time it is left out. */
static bool exemplar(struct metric *m, struct piece in, const struct labels *ls, bool timed)
{
	struct pbscan_field f;
	struct expo_labels own = { 0 };
	struct labels bytes;
	bool has_time = field_of(in, 3, &f);
	if (timed && !has_time)
		return true;
	int64_t t_ms = has_time ? timestamp((struct piece){ f.data, f.len }) : m->t_ms;
	own.items = arena_array(&m->own->scratch, count_of(in, 1) + 1, sizeof(*own.items));
	if (!labels_read(in, own.items, &own.count, &m->bad) ||
	    !expo_encode(m->d->arena, &own, &bytes, &m->bad))
		return false;
	*batch_add_exemplar(m->d->batch) = (struct batch_exemplar){ .labels = ls->bytes,
		.own = bytes.bytes,
		.labels_len = ls->len,
		.own_len = bytes.len,
		.t_ms = t_ms,
		.v = double_of(in, 2) };
	return true;
}

static bool simple(struct metric *m)
{
	struct labels ls;
	struct pbscan_field f;
	if (!series(m, "", NULL, 0, &ls))
		return false;
	row(m, &ls, double_of(m->value, 1), NULL);
	if (m->own->type != TYPE_COUNTER || !field_of(m->value, 2, &f))
		return true;
	return exemplar(m, (struct piece){ f.data, f.len }, &ls, false);
}

static bool one(struct metric *m, const char *suffix, const char *extra, double bound, double v,
    struct labels *ls)
{
	if (!series(m, suffix, extra, bound, ls))
		return false;
	row(m, ls, v, NULL);
	return true;
}

static bool summary(struct metric *m)
{
	struct labels ls;
	struct pbscan_field f;
	struct piece in = m->value;
	if (!one(m, "_count", NULL, 0, (double)number_of(in, 1), &ls) ||
	    !one(m, "_sum", NULL, 0, double_of(in, 2), &ls))
		return false;
	for (const uint8_t *p = in.p, *end = in.p + in.len; next_of(&p, end, 3, &f);) {
		struct piece q = { f.data, f.len };
		if (!one(m, "", "quantile", double_of(q, 1), double_of(q, 2), &ls))
			return false;
	}
	return true;
}

/* The float that overrides an integer when it is not 0. */
static double count_or(struct piece in, unsigned floating, unsigned integer)
{
	double v = double_of(in, floating);
	return v == 0 ? (double)number_of(in, integer) : v;
}

static bool classic(struct metric *m)
{
	struct labels ls;
	struct pbscan_field f;
	struct piece in = m->value;
	double count = count_or(in, 4, 1), bound = 0;
	if (!one(m, "_count", NULL, 0, count, &ls) || !one(m, "_sum", NULL, 0, double_of(in, 2), &ls))
		return false;
	const uint8_t *p = in.p, *end = in.p + in.len;
	while (bound != INFINITY && next_of(&p, end, 3, &f)) {
		struct piece b = { f.data, f.len }, x = piece_of(b, 3);
		bound = double_of(b, 2);
		if (!one(m, "_bucket", "le", bound, count_or(b, 4, 1), &ls) ||
		    (field_of(b, 3, &f) && !exemplar(m, x, &ls, false)))
			return false;
	}
	return bound == INFINITY || one(m, "_bucket", "le", INFINITY, count, &ls);
}

/* ---- native histograms ---- */

static bool is_native(struct piece in)
{
	struct pbscan_field f;
	return field_of(in, 9, &f) || field_of(in, 12, &f) || double_of(in, 6) > 0 ||
	    number_of(in, 7) > 0;
}

static size_t elements(struct piece in, unsigned number, bool doubles)
{
	size_t n = 0;
	struct pbscan_field f;
	for (const uint8_t *p = in.p, *end = in.p + in.len; next_of(&p, end, number, &f);) {
		if (f.wire != PBSCAN_BYTES) {
			n++;
		} else if (doubles) {
			n += f.len / 8;
		} else {
			for (size_t i = 0; i < f.len; i++)
				n += f.data[i] < 0x80;
		}
	}
	return n;
}

static void spans_read(struct piece in, unsigned number, struct hist_span *to)
{
	struct pbscan_field f;
	for (const uint8_t *p = in.p, *end = in.p + in.len; next_of(&p, end, number, &f);) {
		struct piece s = { f.data, f.len };
		uint32_t offset = (uint32_t)number_of(s, 1);
		*to++ = (struct hist_span){ .offset = (int32_t)(offset >> 1 ^ (0u - (offset & 1))),
			.length = (uint32_t)number_of(s, 2) };
	}
}

static void deltas_read(struct piece in, unsigned number, union hist_count *to)
{
	uint64_t sum = 0, v;
	struct pbscan_field f;
	for (const uint8_t *p = in.p, *end = in.p + in.len; next_of(&p, end, number, &f);) {
		if (f.wire == PBSCAN_VARINT)
			(to++)->n = sum += wire_unzigzag(f.value);
		else
			for (const uint8_t *q = f.data; q < f.data + f.len;)
				if (pbscan_varint(&q, f.data + f.len, PBSCAN_VARINT_BYTES, &v))
					(to++)->n = sum += wire_unzigzag(v);
	}
}

static void doubles_read(struct piece in, unsigned number, union hist_count *to)
{
	struct pbscan_field f;
	for (const uint8_t *p = in.p, *end = in.p + in.len; next_of(&p, end, number, &f);) {
		if (f.len)
			memcpy(to, f.data, f.len);
		to += f.len / 8;
	}
}

/* first: the number of the field of spans; deltas and counts follow it. */
static bool side(
    struct metric *m, unsigned first, bool is_float, struct hist_side *out, const char *bad)
{
	struct piece in = m->value;
	size_t spans_count = count_of(in, first),
	       count = elements(in, is_float ? first + 2 : first + 1, is_float);
	uint64_t total = 0;
	struct hist_span *spans = arena_array(m->d->arena, spans_count + 1, sizeof(*spans));
	union hist_count *counts = arena_array(m->d->arena, count + 1, sizeof(*counts));
	if (!spans || !counts)
		return false;
	spans_read(in, first, spans);
	for (size_t i = 0; i < spans_count; i++)
		total += spans[i].length;
	if (total != count) {
		m->bad = bad;
		return false;
	}
	if (is_float)
		doubles_read(in, first + 2, counts);
	else
		deltas_read(in, first + 1, counts);
	*out = (struct hist_side){ .spans = spans,
		.counts = counts,
		.spans_count = (uint32_t)spans_count,
		.counts_count = (uint32_t)count };
	return true;
}

static bool too_many(struct metric *m)
{
	struct piece in = m->value;
	uint64_t n = count_of(in, 9) + count_of(in, 12) + elements(in, 10, false) +
	    elements(in, 13, false) + elements(in, 11, true) + elements(in, 14, true);
	char text[LIMITS_TEXT_MAX];
	if (n <= m->d->limits->write_hist_buckets)
		return false;
	m->bad = arena_printf(m->d->arena, "a native histogram has %llu buckets and spans, %s",
	    (unsigned long long)n, limits_text(m->d->limits, LIMITS_write_hist_buckets, text));
	return true;
}

/* As it may be kept: without empty buckets, with a schema that we have. */
static const struct hist *fit(struct metric *m, struct hist *h, int32_t schema)
{
	struct arena *a = m->d->arena;
	struct errbuf eb;
	errbuf_init(&eb);
	bool finer = schema > HIST_SCHEMA_MAX && schema <= HIST_SCHEMA_FINER;
	h->schema = (int8_t)(finer ? HIST_SCHEMA_MAX : schema);
	if (schema < INT8_MIN || schema > INT8_MAX) {
		m->bad = "a native histogram has an unknown schema";
		return NULL;
	}
	if (hist_check(h, &eb)) {
		m->bad = arena_printf(a, "%s", eb.text);
		return NULL;
	}
	const struct hist *out = hist_compact(a, h);
	if (!finer || !out)
		return out;
	struct hist *wide = hist_copy(a, out);
	if (!wide)
		return NULL;
	wide->schema = (int8_t)schema;
	return hist_reduce(a, wide, HIST_SCHEMA_MAX);
}

static const struct hist *native_hist(struct metric *m)
{
	struct piece in = m->value;
	uint32_t schema = (uint32_t)number_of(in, 5);
	double count = double_of(in, 4), zero = double_of(in, 8);
	bool is_float = count > 0 || zero > 0;
	struct hist *h = arena_zalloc(m->d->arena, sizeof(*h));
	h->is_float = is_float;
	h->hint = m->own->type == TYPE_GAUGE_HISTOGRAM ? HIST_GAUGE : HIST_UNKNOWN;
	h->sum = double_of(in, 2);
	h->zero_threshold = double_of(in, 6);
	if (is_float) {
		h->count.f = count;
		h->zero_count.f = zero;
	} else {
		h->count.n = number_of(in, 1);
		h->zero_count.n = number_of(in, 7);
	}
	if (too_many(m) ||
	    !side(m, 9, is_float, &h->negative, "negative spans and buckets do not match") ||
	    !side(m, 12, is_float, &h->positive, "positive spans and buckets do not match"))
		return NULL;
	return fit(m, h, (int32_t)(schema >> 1 ^ (0u - (schema & 1))));
}

static bool native_exemplars(struct metric *m, const struct labels *ls)
{
	struct pbscan_field f;
	struct piece in = m->value;
	bool own = field_of(in, 16, &f), good = true;
	const uint8_t *p = in.p, *end = in.p + in.len;
	while (good && next_of(&p, end, own ? 16 : 3, &f)) {
		struct piece x = { f.data, f.len };
		if (!own) {
			struct pbscan_field inner;
			if (!field_of(x, 3, &inner))
				continue;
			x = (struct piece){ inner.data, inner.len };
		}
		good = exemplar(m, x, ls, true);
	}
	return good;
}

static bool histogram(struct metric *m)
{
	struct labels ls;
	const struct expopb_opts *opts = m->d->opts;
	struct pbscan_field f;
	if (!is_native(m->value))
		return classic(m);
	const struct hist *h = native_hist(m);
	if (!h || !series(m, "", NULL, 0, &ls))
		return false;
	row(m, &ls, 0, h);
	if (!native_exemplars(m, &ls))
		return false;
	return !opts || !opts->classic || !field_of(m->value, 3, &f) || classic(m);
}

/* ---- metrics and families ---- */

static int64_t start_of(const struct metric *m)
{
	static const uint8_t fields[TYPES] = { 3, 0, 4, 0, 15, 15 };
	const struct expopb_opts *opts = m->d->opts;
	struct pbscan_field f;
	unsigned number = fields[m->own->type];
	if (!opts || !opts->created || !number || !field_of(m->value, number, &f))
		return 0;
	return timestamp((struct piece){ f.data, f.len });
}

static int64_t time_of(const struct metric *m, struct piece in)
{
	const struct expopb_opts *opts = m->d->opts;
	int64_t t_ms = (int64_t)number_of(in, 6);
	if (t_ms)
		return t_ms;
	return opts && opts->t_ms ? opts->t_ms : m->d->now_ms;
}

static bool metric_rows(struct metric *m, struct piece in)
{
	struct own *w = m->own;
	struct expo_labels *ls = &m->bare;
	m->value = piece_of(in, value_fields[w->type]);
	m->t_ms = time_of(m, in);
	m->start_ms = start_of(m);
	ls->items = arena_array(&w->scratch, count_of(in, 1) + 1, sizeof(*ls->items));
	ls->items[0] = (struct label){ .name = LABEL_NAME,
		.value = (const char *)w->name.p,
		.name_len = sizeof(LABEL_NAME) - 1,
		.value_len = (uint32_t)w->name.len };
	ls->count = 1;
	if (!labels_read(in, ls->items, &ls->count, &m->bad))
		return false;
	if (w->type == TYPE_SUMMARY)
		return summary(m);
	if (w->type == TYPE_HISTOGRAM || w->type == TYPE_GAUGE_HISTOGRAM)
		return histogram(m);
	return simple(m);
}

/* A metric is all there or not at all. */
static enum err metric(struct decode *d, struct own *w, struct piece in, struct errbuf *eb)
{
	struct metric m = { .d = d, .own = w, .before = used(d, w) };
	struct batch *b = d->batch;
	size_t rows = b->rows_count, exemplars = b->exemplars_count;
	uint64_t extras = b->extras_bytes;
	const char *why = "a metric is malformed";
	if (!is_good(in.p, in.p + in.len, METRIC, &why))
		return errbuf_set(eb, ERR_MALFORMED, "%s, in family \"%.*s\"", why,
		    (int)rune_cut((const char *)w->name.p, w->name.len, 80), (const char *)w->name.p);
	d->records++;
	if (!metric_rows(&m, in)) {
		b->rows_count = rows;
		b->exemplars_count = exemplars;
		b->extras_bytes = extras;
		decode_bad(d, "metric %llu of family \"%.*s\": %s", (unsigned long long)d->records,
		    (int)rune_cut((const char *)w->name.p, w->name.len, 80),
		    (const char *)w->name.p, m.bad ? m.bad : "no memory");
	}
	arena_reset(&w->scratch, SCRATCH_KEEP);
	return ERR_OK;
}

static void tell(struct decode *d, struct own *w)
{
	struct batch_meta *m = batch_add_meta(d->batch);
	*m = (struct batch_meta){ .family = (const char *)w->name.p,
		.help = w->help.len ? (const char *)w->help.p : "",
		.unit = w->unit.len ? (const char *)w->unit.p : "",
		.family_len = (uint32_t)w->name.len,
		.help_len = (uint32_t)w->help.len,
		.unit_len = (uint32_t)w->unit.len,
		.type = meta_types[w->type] };
	w->told = true;
}

/* The delimiter at *p and what it announces. */
static enum err family_begin(struct own *w, const uint8_t **p, const uint8_t *end, struct errbuf *eb)
{
	uint64_t len;
	const char *why = "a family is malformed";
	const uint8_t *q = *p;
	if (!pbscan_varint(&q, end, LENGTH_BYTES, &len) || len > (size_t)(end - q))
		return errbuf_set(eb, ERR_MALFORMED,
		    "the length of a family is wrong: %zu bytes are left", (size_t)(end - *p));
	struct piece in = { q, (size_t)len };
	if (!is_good(q, q + len, FAMILY, &why))
		return errbuf_set(eb, ERR_MALFORMED, "%s", why);
	w->family = in;
	w->at = q;
	w->name = piece_of(in, 1);
	w->help = piece_of(in, 2);
	w->unit = piece_of(in, 5);
	w->told = false;
	uint32_t type = (uint32_t)number_of(in, 3);
	*p = q;
	if (!count_of(in, 4)) /* nobody looks at it */
		return ERR_OK;
	if (!w->name.len || !rune_valid((const char *)w->name.p, w->name.len))
		return errbuf_set(eb, ERR_MALFORMED, "the name of a family is %s",
		    w->name.len ? "no UTF-8" : "empty");
	if (w->help.len && !rune_valid((const char *)w->help.p, w->help.len))
		return errbuf_set(eb, ERR_MALFORMED, "the help text of a family is no UTF-8");
	if (type >= TYPES)
		return errbuf_set(eb, ERR_MALFORMED, "a family has the unknown type %u", type);
	w->type = type;
	return ERR_OK;
}

static enum err expopb_next(
    struct decode *d, const uint8_t **p, const uint8_t *end, bool last, struct errbuf *eb)
{
	struct own *w = own_of(d);
	const uint8_t *from = *p;
	enum err e = ERR_OK;
	(void)last;
	while (!e && (*p < end || w->family.p) && !decode_full(d) &&
	    *p - from < (ptrdiff_t)DECODE_TURN) {
		struct pbscan_field f;
		if (!w->family.p) {
			e = family_begin(w, p, end, eb);
			continue;
		}
		const uint8_t *family_end = w->family.p + w->family.len;
		if (next_of(&w->at, family_end, 4, &f)) {
			if (!w->told)
				tell(d, w);
			*p = w->at;
			e = metric(d, w, (struct piece){ f.data, f.len }, eb);
		} else {
			*p = family_end;
			w->family.p = NULL;
		}
	}
	return e;
}

const struct decoder expopb_decoder = { "metric", false, expopb_next, own_end };
