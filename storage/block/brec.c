#include "storage/block/brec.h"

#define LABELS_MAX 65536u

enum start { /* of ST records */
	START_NONE,
	START_SAME,
	START_OTHER
};
struct reader {
	struct wire_reader r;
	struct brec_sink *sink;
};

static uint64_t be64(struct wire_reader *r)
{
	return __builtin_bswap64(wire_u64(r));
}

static double f64(struct wire_reader *r)
{
	return num_from_bits(be64(r));
}

uint8_t brec_type(const uint8_t *rec, size_t len)
{
	return len ? rec[0] : 0;
}

/* ---- series, tombstones ---- */

static struct labels labels(struct reader *x)
{
	struct label_builder b;
	uint64_t n = wire_varint(&x->r);
	if (n > LABELS_MAX || n > wire_left(&x->r) / 2)
		x->r.bad = true;
	label_builder_init(&b, x->sink->arena);
	for (uint64_t i = 0; i < n && !x->r.bad; i++) {
		size_t name_len, value_len;
		const char *name = (const char *)wire_lenbytes(&x->r, &name_len);
		const char *value = (const char *)wire_lenbytes(&x->r, &value_len);
		if (!x->r.bad && name_len)
			label_builder_set(&b, name, name_len, value, value_len);
	}
	return x->r.bad ? (struct labels){ 0 } : label_builder_done(&b);
}

static void series(struct reader *x)
{
	while (wire_left(&x->r) && !x->r.bad) {
		uint64_t ref = be64(&x->r);
		struct labels ls = labels(x);
		if (!x->r.bad && x->sink->series)
			x->sink->series(x->sink->arg, ref, ls);
	}
}

static void tombstones(struct reader *x)
{
	while (wire_left(&x->r) && !x->r.bad) {
		uint64_t ref = be64(&x->r);
		int64_t from = wire_zigzag(&x->r), to = wire_zigzag(&x->r);
		if (!x->r.bad && x->sink->tombstone)
			x->sink->tombstone(x->sink->arg, ref, from, to);
	}
}

/* ---- histograms ---- */

static void spans(struct reader *x, struct hist_side *side)
{
	uint64_t n = wire_varint(&x->r);
	if (n > HIST_BUCKETS_MAX || n > wire_left(&x->r) / 2)
		x->r.bad = true;
	if (x->r.bad)
		return;
	struct hist_span *s = arena_array(x->sink->arena, n + 1, sizeof(*s));
	for (uint64_t i = 0; s && i < n; i++) {
		s[i].offset = (int32_t)wire_zigzag(&x->r);
		s[i].length = (uint32_t)wire_varint(&x->r);
	}
	side->spans = s;
	side->spans_count = s ? (uint32_t)n : 0;
}

static void buckets(struct reader *x, bool is_float, struct hist_side *side)
{
	uint64_t n = wire_varint(&x->r), sum = 0;
	if (n > HIST_BUCKETS_MAX || n > wire_left(&x->r))
		x->r.bad = true;
	if (x->r.bad)
		return;
	union hist_count *c = arena_array(x->sink->arena, n + 1, sizeof(*c));
	for (uint64_t i = 0; c && i < n; i++) {
		if (is_float)
			c[i].f = f64(&x->r);
		else
			c[i].n = sum += (uint64_t)wire_zigzag(&x->r);
	}
	side->counts = c;
	side->counts_count = c ? (uint32_t)n : 0;
}

static void bounds(struct reader *x, struct hist *h)
{
	uint64_t n = wire_varint(&x->r);
	if (n > HIST_BUCKETS_MAX || n > wire_left(&x->r) / 8)
		x->r.bad = true;
	if (x->r.bad)
		return;
	double *v = arena_array(x->sink->arena, n + 1, sizeof(*v));
	for (uint64_t i = 0; v && i < n; i++)
		v[i] = f64(&x->r);
	h->bounds = v;
	h->bounds_count = v ? (uint32_t)n : 0;
}

static bool side_is_whole(const struct hist_side *s)
{
	uint64_t n = 0;
	for (uint32_t i = 0; i < s->spans_count; i++)
		n += s->spans[i].length;
	return n == s->counts_count;
}

static union hist_count count(struct reader *x, bool is_float)
{
	union hist_count c;
	if (is_float)
		c.f = f64(&x->r);
	else
		c.n = wire_varint(&x->r);
	return c;
}

/* What was read is a histogram that may be stored, in our shape; NULL: it is none. */
static const struct hist *finished(struct reader *x, struct hist *h, int64_t schema)
{
	if (hist_is_stale(h)) {
		*h = (struct hist){ .is_float = h->is_float, .sum = h->sum };
		return h;
	}
	bool known = schema == HIST_SCHEMA_CUSTOM ||
	    (schema >= HIST_SCHEMA_MIN && schema <= HIST_SCHEMA_FINER);
	if (!known || !side_is_whole(&h->positive) || !side_is_whole(&h->negative) ||
	    hist_cost(h) > HIST_BUCKETS_MAX)
		return NULL;
	return schema > HIST_SCHEMA_MAX ? hist_reduce(x->sink->arena, h, HIST_SCHEMA_MAX) : h;
}

/* NULL: it is none, or the record is broken. */
static const struct hist *hist(struct reader *x, bool is_float)
{
	struct hist *h = arena_zalloc(x->sink->arena, sizeof(*h));
	if (!h)
		return NULL;
	h->is_float = is_float;
	uint8_t hint = wire_u8(&x->r);
	h->hint = hint <= HIST_GAUGE ? hint : HIST_UNKNOWN; /* the numbers are the same */
	int64_t schema = wire_zigzag(&x->r);
	h->schema = (int8_t)schema;
	h->zero_threshold = f64(&x->r);
	h->zero_count = count(x, is_float);
	h->count = count(x, is_float);
	h->sum = f64(&x->r);
	spans(x, &h->positive);
	spans(x, &h->negative);
	buckets(x, is_float, &h->positive);
	buckets(x, is_float, &h->negative);
	if (schema == HIST_SCHEMA_CUSTOM)
		bounds(x, h);
	return x->r.bad ? NULL : finished(x, h, schema);
}

/* ---- samples ---- */

enum value {
	FLOAT,
	HISTOGRAM,
	FLOAT_HISTOGRAM
};

static void sample(struct reader *x, struct brec_sample *s, enum value kind)
{
	s->h = NULL;
	if (kind == FLOAT)
		s->v = f64(&x->r);
	else
		s->h = hist(x, kind == FLOAT_HISTOGRAM);
	if (x->r.bad)
		return;
	if (kind != FLOAT && !s->h) {
		x->sink->left_out++;
		return;
	}
	if (s->h)
		s->v = num_from_bits(SAMPLE_HIST_BITS);
	else if (sample_is_hist(s->v))
		s->v = num_from_bits(SAMPLE_NAN_BITS);
	if (x->sink->sample)
		x->sink->sample(x->sink->arg, s);
}

static void samples(struct reader *x, enum value kind)
{
	if (!wire_left(&x->r))
		return;
	uint64_t ref = be64(&x->r), t = be64(&x->r);
	while (wire_left(&x->r) && !x->r.bad) {
		struct brec_sample s = { .ref = ref + (uint64_t)wire_zigzag(&x->r) };
		s.t_ms = (int64_t)(t + (uint64_t)wire_zigzag(&x->r));
		sample(x, &s, kind);
	}
}

static int64_t start(struct reader *x, int64_t before, int64_t first)
{
	switch (wire_u8(&x->r)) {
	case START_NONE:
		return 0;
	case START_SAME:
		return before;
	default:
		return (int64_t)((uint64_t)first + (uint64_t)wire_zigzag(&x->r));
	}
}

static void samples_st(struct reader *x, enum value kind)
{
	if (!wire_left(&x->r))
		return;
	struct brec_sample s = { .ref = (uint64_t)wire_zigzag(&x->r) };
	s.t_ms = wire_zigzag(&x->r);
	s.start_ms = wire_zigzag(&x->r);
	uint64_t t = (uint64_t)s.t_ms;
	int64_t first = s.start_ms;
	sample(x, &s, kind);
	while (wire_left(&x->r) && !x->r.bad) {
		s.ref += (uint64_t)wire_zigzag(&x->r);
		s.t_ms = (int64_t)(t + (uint64_t)wire_zigzag(&x->r));
		s.start_ms = start(x, s.start_ms, first);
		sample(x, &s, kind);
	}
}

enum err brec_decode(const uint8_t *rec, size_t len, struct brec_sink *sink)
{
	struct reader x = { .r = wire_reader(rec, len), .sink = sink };
	switch (wire_u8(&x.r)) {
	case BREC_SERIES:
		series(&x);
		break;
	case BREC_SAMPLES:
		samples(&x, FLOAT);
		break;
	case BREC_TOMBSTONES:
		tombstones(&x);
		break;
	case BREC_HISTOGRAMS:
	case BREC_CUSTOM_HISTOGRAMS:
		samples(&x, HISTOGRAM);
		break;
	case BREC_FLOAT_HISTOGRAMS:
	case BREC_CUSTOM_FLOAT_HISTOGRAMS:
		samples(&x, FLOAT_HISTOGRAM);
		break;
	case BREC_SAMPLES_ST:
		samples_st(&x, FLOAT);
		break;
	case BREC_HISTOGRAMS_ST:
		samples_st(&x, HISTOGRAM);
		break;
	case BREC_FLOAT_HISTOGRAMS_ST:
		samples_st(&x, FLOAT_HISTOGRAM);
		break;
	case BREC_EXEMPLARS:
	case BREC_MARKERS:
	case BREC_METADATA:
		return ERR_OK;
	default:
		return ERR_UNSUPPORTED;
	}
	return x.r.bad ? ERR_MALFORMED : ERR_OK;
}
