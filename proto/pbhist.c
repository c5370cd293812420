#include "proto/pbhist.h"

#include "proto/pbscan.h"

/*
 *   1 count_int  2 count_float  3 sum  4 schema  5 zero_threshold  6 zero_count_int
 *   7 zero_count_float  8 BucketSpan negative*  9 sint64 negative_deltas*  10 double
 *   negative_counts*  11 BucketSpan positive*  12 sint64 positive_deltas*  13 double
 *   positive_counts*  14 reset_hint  15 timestamp  16 double custom_values*  17 start_timestamp
 *   BucketSpan         1 sint32 offset  2 uint32 length
 */
enum {
	COUNT_INT = 1,
	COUNT_FLOAT,
	SUM,
	SCHEMA,
	ZERO_THRESHOLD,
	ZERO_INT,
	ZERO_FLOAT,
	NEGATIVE_SPANS,
	NEGATIVE_DELTAS,
	NEGATIVE_COUNTS,
	POSITIVE_SPANS,
	POSITIVE_DELTAS,
	POSITIVE_COUNTS,
	HINT,
	TIME,
	BOUNDS,
	START,
	FIELDS
};
enum type {
	NOTHING,
	NUMBER, /* varint */
	DOUBLE,
	MESSAGE,
	NUMBERS, /* packed or one by one */
	DOUBLES
};
static const uint8_t types[FIELDS] = {
	[COUNT_INT] = NUMBER,
	[COUNT_FLOAT] = DOUBLE,
	[SUM] = DOUBLE,
	[SCHEMA] = NUMBER,
	[ZERO_THRESHOLD] = DOUBLE,
	[ZERO_INT] = NUMBER,
	[ZERO_FLOAT] = DOUBLE,
	[NEGATIVE_SPANS] = MESSAGE,
	[NEGATIVE_DELTAS] = NUMBERS,
	[NEGATIVE_COUNTS] = DOUBLES,
	[POSITIVE_SPANS] = MESSAGE,
	[POSITIVE_DELTAS] = NUMBERS,
	[POSITIVE_COUNTS] = DOUBLES,
	[HINT] = NUMBER,
	[TIME] = NUMBER,
	[BOUNDS] = DOUBLES,
};

struct message {
	const uint8_t *p, *end;
	struct arena *arena;
	uint64_t value[FIELDS]; /* of NUMBER and DOUBLE: the last one */
	uint64_t count[FIELDS]; /* of the others: how many */
	bool zero_is_float;
	const uint8_t *at; /* of what is malformed */
};

static bool wire_is(const struct pbscan_field *f, enum type t)
{
	switch (t) {
	case NOTHING:
		return true;
	case NUMBER:
		return f->wire == PBSCAN_VARINT;
	case DOUBLE:
		return f->wire == PBSCAN_FIXED64;
	case MESSAGE:
		return f->wire == PBSCAN_BYTES;
	case NUMBERS:
		return f->wire == PBSCAN_VARINT || f->wire == PBSCAN_BYTES;
	case DOUBLES:
		return f->wire == PBSCAN_FIXED64 || (f->wire == PBSCAN_BYTES && f->len % 8 == 0);
	}
	return false;
}

/* Elements of a repeated field. */
static uint64_t elements(const struct pbscan_field *f, enum type t)
{
	uint64_t n = 0;
	if (f->wire != PBSCAN_BYTES || t == MESSAGE)
		return 1;
	if (t == DOUBLES)
		return f->len / 8;
	for (size_t i = 0; i < f->len; i++)
		n += f->data[i] < 0x80;
	return n;
}

static enum err bad_at(struct message *m, const uint8_t *at)
{
	m->at = at;
	return ERR_MALFORMED;
}

/* ---- the first pass ---- */

static enum err sizes(struct message *m)
{
	struct pbscan_field f;
	for (const uint8_t *p = m->p; p < m->end;) {
		if (!pbscan_next(&p, m->end, &f))
			return bad_at(m, f.start);
		enum type t = f.number < FIELDS ? types[f.number] : NOTHING;
		if (!wire_is(&f, t))
			return bad_at(m, f.start);
		if (t == NUMBER)
			m->value[f.number] = f.value;
		else if (t == DOUBLE)
			m->value[f.number] = wire_load64(f.data);
		else if (f.number == START && f.wire == PBSCAN_VARINT)
			m->value[START] = f.value; /* 1.0 does not know it, nor how it is written */
		else if (t != NOTHING)
			m->count[f.number] += elements(&f, t);
		if (f.number == COUNT_INT || f.number == COUNT_FLOAT)
			m->count[COUNT_FLOAT] = f.number == COUNT_FLOAT;
		if (f.number == ZERO_INT || f.number == ZERO_FLOAT)
			m->zero_is_float = f.number == ZERO_FLOAT;
	}
	return ERR_OK;
}

/* ---- the second ---- */

struct side {
	struct hist_span *spans;
	union hist_count *counts;
	uint64_t spans_count, counts_count, sum;
};

static enum err span_get(struct message *m, const struct pbscan_field *f, struct hist_span *out)
{
	const uint8_t *p = f->data, *end = f->data + f->len;
	struct pbscan_field in;
	*out = (struct hist_span){ 0 };
	while (p < end) {
		if (!pbscan_next(&p, end, &in))
			return bad_at(m, in.start);
		if (in.number != 1 && in.number != 2)
			continue;
		if (in.wire != PBSCAN_VARINT)
			return bad_at(m, in.start);
		uint32_t x = (uint32_t)in.value; /* as numbers of 32 bits are read */
		if (in.number == 1)
			out->offset = (int32_t)(x >> 1 ^ (0u - (x & 1)));
		else
			out->length = x;
	}
	return ERR_OK;
}

static void delta_add(struct side *s, uint64_t zigzag)
{
	s->sum += wire_unzigzag(zigzag);
	s->counts[s->counts_count++].n = s->sum;
}

static enum err deltas_get(struct message *m, const struct pbscan_field *f, struct side *s)
{
	uint64_t v;
	if (f->wire == PBSCAN_VARINT) {
		delta_add(s, f->value);
		return ERR_OK;
	}
	for (const uint8_t *p = f->data, *end = p + f->len; p < end;) {
		if (!pbscan_varint(&p, end, PBSCAN_VARINT_BYTES, &v))
			return bad_at(m, p);
		delta_add(s, v);
	}
	return ERR_OK;
}

static void doubles_get(const struct pbscan_field *f, void *to, uint64_t *count)
{
	memcpy((uint8_t *)to + *count * 8, f->data, f->len);
	*count += f->len / 8;
}

static enum err side_room(
    struct message *m, struct side *s, unsigned spans, unsigned counts, struct hist_side *out)
{
	uint64_t n = m->count[spans], k = m->count[counts];
	*s = (struct side){ .spans = n ? arena_array(m->arena, n, sizeof *s->spans) : NULL,
		.counts = k ? arena_array(m->arena, k, sizeof *s->counts) : NULL };
	if ((n && !s->spans) || (k && !s->counts))
		return ERR_NOMEM;
	*out = (struct hist_side){ .spans = s->spans,
		.counts = s->counts,
		.spans_count = (uint32_t)n,
		.counts_count = (uint32_t)k };
	return ERR_OK;
}

static enum err arrays(struct message *m, struct hist *h)
{
	struct side negative, positive;
	uint64_t bounds_count = 0;
	double *bounds = NULL;
	unsigned counts = h->is_float;
	enum err e = side_room(m, &negative, NEGATIVE_SPANS, NEGATIVE_DELTAS + counts, &h->negative);
	if (!e)
		e = side_room(m, &positive, POSITIVE_SPANS, POSITIVE_DELTAS + counts, &h->positive);
	if (!e && m->count[BOUNDS]) {
		h->bounds = bounds = arena_array(m->arena, m->count[BOUNDS], sizeof *bounds);
		h->bounds_count = (uint32_t)m->count[BOUNDS];
		e = bounds ? ERR_OK : ERR_NOMEM;
	}
	for (const uint8_t *p = m->p; p < m->end && !e;) {
		struct pbscan_field f;
		CHECK(pbscan_next(&p, m->end, &f)); /* the first pass did */
		if (f.number == NEGATIVE_SPANS)
			e = span_get(m, &f, &negative.spans[negative.spans_count++]);
		else if (f.number == POSITIVE_SPANS)
			e = span_get(m, &f, &positive.spans[positive.spans_count++]);
		else if (f.number == NEGATIVE_DELTAS && !h->is_float)
			e = deltas_get(m, &f, &negative);
		else if (f.number == POSITIVE_DELTAS && !h->is_float)
			e = deltas_get(m, &f, &positive);
		else if (f.number == NEGATIVE_COUNTS && h->is_float && f.len)
			doubles_get(&f, negative.counts, &negative.counts_count);
		else if (f.number == POSITIVE_COUNTS && h->is_float && f.len)
			doubles_get(&f, positive.counts, &positive.counts_count);
		else if (f.number == BOUNDS && f.len)
			doubles_get(&f, bounds, &bounds_count);
	}
	return e;
}

static uint64_t counted(const struct message *m)
{
	unsigned counts = m->count[COUNT_FLOAT] ? 1 : 0;
	return m->count[NEGATIVE_SPANS] + m->count[POSITIVE_SPANS] + m->count[BOUNDS] +
	    m->count[NEGATIVE_DELTAS + counts] + m->count[POSITIVE_DELTAS + counts];
}

/* The schema as it may be kept, or ERR_BADDATA. */
static enum err schema_take(
    struct message *m, const struct hist **h, int32_t schema, struct errbuf *eb)
{
	struct hist *whole = arena_dup(m->arena, *h, sizeof **h);
	if (!whole)
		return ERR_NOMEM;
	*h = whole;
	if (schema < INT8_MIN || schema > INT8_MAX) /* none that hist_check knows */
		return errbuf_set(
		    eb, ERR_BADDATA, "a native histogram has the unknown schema %d", schema);
	whole->schema = (int8_t)schema;
	if (schema <= HIST_SCHEMA_MAX || schema > HIST_SCHEMA_FINER)
		return hist_check(whole, eb);
	whole->schema = HIST_SCHEMA_MAX;
	enum err e = hist_check(whole, eb);
	if (e)
		return e;
	whole->schema = (int8_t)schema;
	*h = hist_reduce(m->arena, whole, HIST_SCHEMA_MAX);
	return *h ? ERR_OK : ERR_NOMEM;
}

enum err pbhist_decode(const uint8_t *p, size_t len, struct arena *a, const struct limits *limits,
    bool why, struct pbhist *out)
{
	struct message m = { .p = p, .end = p + len, .arena = a };
	struct errbuf eb;
	errbuf_init(&eb);
	*out = (struct pbhist){ 0 };
	enum err e = sizes(&m);
	out->at = m.at;
	if (e)
		return e;
	bool is_float = m.count[COUNT_FLOAT] != 0;
	out->t_ms = (int64_t)m.value[TIME];
	out->start_ms = (int64_t)m.value[START];
	out->cost = counted(&m);
	if (out->cost > limits->write_hist_buckets) {
		char text[LIMITS_TEXT_MAX];
		if (why)
			out->bad = arena_printf(a,
			    "a native histogram has %llu buckets, spans and bounds, %s",
			    (unsigned long long)out->cost,
			    limits_text(limits, LIMITS_write_hist_buckets, text));
		return ERR_OK;
	}
	struct hist h = { .is_float = is_float,
		.hint = (uint32_t)m.value[HINT] <= HIST_GAUGE ? (uint8_t)m.value[HINT] : HIST_UNKNOWN,
		.sum = num_from_bits(m.value[SUM]),
		.zero_threshold = num_from_bits(m.value[ZERO_THRESHOLD]),
		.count.n = m.value[is_float ? COUNT_FLOAT : COUNT_INT],
		.zero_count.n =
		    m.zero_is_float == is_float ? m.value[is_float ? ZERO_FLOAT : ZERO_INT] : 0 };
	e = arrays(&m, &h);
	out->at = m.at;
	if (e)
		return e;
	const struct hist *take = &h;
	uint32_t schema = (uint32_t)m.value[SCHEMA];
	e = schema_take(&m, &take, (int32_t)(schema >> 1 ^ (0u - (schema & 1))), &eb);
	if (e && e != ERR_BADDATA)
		return e;
	out->hist = e ? NULL : take;
	if (e && why)
		out->bad = arena_printf(a, "%s", eb.text);
	return ERR_OK;
}

/* ---- encoding ---- */

static void put_tag(struct buf *out, unsigned field, unsigned wire)
{
	wire_put_varint(out, (uint64_t)field << 3 | wire);
}

static void put_number(struct buf *out, unsigned field, uint64_t v)
{
	if (!v)
		return;
	put_tag(out, field, PBSCAN_VARINT);
	wire_put_varint(out, v);
}

static void put_double(struct buf *out, unsigned field, double v, bool always)
{
	if (!num_bits(v) && !always)
		return;
	put_tag(out, field, PBSCAN_FIXED64);
	wire_put_f64(out, v);
}

static void put_message(struct buf *out, unsigned field, struct buf *in)
{
	put_tag(out, field, PBSCAN_BYTES);
	wire_put_lenbytes(out, in->data, in->len);
	buf_clear(in);
}

static void put_side(struct buf *out, unsigned spans, const struct hist *h,
    const struct hist_side *s, struct buf *in)
{
	uint64_t before = 0;
	for (uint32_t i = 0; i < s->spans_count; i++) {
		put_number(in, 1, wire_zigzag_of((uint64_t)(int64_t)s->spans[i].offset));
		put_number(in, 2, s->spans[i].length);
		put_message(out, spans, in);
	}
	if (!s->counts_count)
		return;
	for (uint32_t i = 0; i < s->counts_count; i++) {
		if (h->is_float) {
			wire_put_f64(in, s->counts[i].f);
		} else {
			wire_put_zigzag(in, (int64_t)(s->counts[i].n - before));
			before = s->counts[i].n;
		}
	}
	put_message(out, spans + 1 + h->is_float, in);
}

void pbhist_encode(const struct hist *h, int64_t t_ms, struct buf *out)
{
	struct buf in;
	buf_init(&in);
	if (h->is_float) {
		put_double(out, COUNT_FLOAT, h->count.f, true);
		put_double(out, ZERO_FLOAT, h->zero_count.f, true);
	} else {
		put_number(out, COUNT_INT, h->count.n);
		put_number(out, ZERO_INT, h->zero_count.n);
	}
	put_double(out, SUM, h->sum, false);
	put_number(out, SCHEMA, wire_zigzag_of((uint64_t)(int64_t)h->schema));
	put_double(out, ZERO_THRESHOLD, h->zero_threshold, false);
	put_side(out, NEGATIVE_SPANS, h, &h->negative, &in);
	put_side(out, POSITIVE_SPANS, h, &h->positive, &in);
	put_number(out, HINT, h->hint);
	put_number(out, TIME, (uint64_t)t_ms);
	for (uint32_t i = 0; i < h->bounds_count; i++)
		wire_put_f64(&in, h->bounds[i]);
	if (h->bounds_count)
		put_message(out, BOUNDS, &in);
	buf_release(&in);
}
