#include "proto/rw1.h"

#include "core/base/wire.h"

/*
 *   WriteRequest       1 TimeSeries*  3 MetricMetadata*
 *   TimeSeries         1 Label*  2 Sample*  3 Exemplar*  4 Histogram*
 *   Sample             1 double value  2 int64 timestamp
 *   MetricMetadata     1 enum type  2 string family  4 string help  5 string unit
 *
 * Two ways through a series: fast_run() knows only the bytes that senders' encoders really make,
 * and leaves a series alone when a byte is different;
 * slow_series() knows the whole encoding and is the judge of what is malformed.
 */
enum {
	VARINT = 0,
	FIXED64 = 1,
	BYTES = 2,
	FIXED32 = 5
};
#define TAG(number, wire) ((number) << 3 | (wire))
#define TAG_BYTES_MAX     5 /* as protobuf-c: longer tags and lengths are malformed */
#define VARINT_BYTES_MAX  10
#define FAST_MARGIN       16 /* bytes behind a series that the fast way may read */
#define SLOW_FIELD        16 /* bytes that a field of the slow way counts as beside its own */

struct scan {
	struct arena *arena;
	const uint8_t *body, *end;
	struct batch *batch;
	struct errbuf *eb;
	const struct limits *limits;
	uint64_t series, samples; /* of this body; samples with histograms and exemplars */
	size_t slow_left;         /* bytes that may still go the slow way */
};
struct field {
	const uint8_t *start; /* its tag */
	uint64_t number, value;
	const uint8_t *data; /* BYTES, FIXED64 */
	size_t len;          /* BYTES */
	unsigned wire;
};

static enum err malformed(struct scan *s, const uint8_t *at, const char *what)
{
	return errbuf_set(s->eb, ERR_MALFORMED, "%s at byte %zu", what, (size_t)(at - s->body));
}

static enum err too_many(const struct scan *s, const char *what, enum limits_id id)
{
	char limit[LIMITS_TEXT_MAX];
	return errbuf_set(s->eb, ERR_TOOBIG, "too many %s in one request, %s", what,
	    limits_text(s->limits, id, limit));
}

static bool varint(const uint8_t **p, const uint8_t *end, size_t bytes_max, uint64_t *out)
{
	uint64_t v = 0;
	const uint8_t *q = *p;
	for (size_t i = 0; i < bytes_max && q < end; i++) {
		uint8_t byte = *q++;
		v |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (byte < 0x80) {
			*p = q;
			*out = v;
			return true;
		}
	}
	return false;
}

/* The next field of a message; false: malformed. */
static bool field_next(const uint8_t **p, const uint8_t *end, struct field *f)
{
	uint64_t tag;
	f->start = *p;
	if (!varint(p, end, TAG_BYTES_MAX, &tag))
		return false;
	f->number = tag >> 3;
	f->wire = (unsigned)(tag & 7);
	switch (f->wire) {
	case VARINT:
		return varint(p, end, VARINT_BYTES_MAX, &f->value);
	case FIXED64:
		f->data = *p;
		f->len = 8;
		break;
	case BYTES:
		if (!varint(p, end, TAG_BYTES_MAX, &f->value) || f->value > (size_t)(end - *p))
			return false;
		f->data = *p;
		f->len = (size_t)f->value;
		break;
	case FIXED32:
		f->data = *p;
		f->len = 4;
		break;
	default:
		return false; /* groups left the language long ago */
	}
	if (f->len > (size_t)(end - *p))
		return false;
	*p += f->len;
	return true;
}

/* --- the fast way --- */

/*
 * Varint of at most eight bytes at p, all eight readable; returns its length, 0 when it is longer.
 */
static inline size_t short_varint(const uint8_t *p, uint64_t *out)
{
	uint64_t w = wire_load64(p), stop = ~w & 0x8080808080808080u;
	if (UNLIKELY(!stop))
		return 0;
	w &= stop ^ (stop - 1); /* up to the first byte without the continuation bit */
	w = (w & 0x007f007f007f007fu) | (w & 0x7f007f007f007f00u) >> 1;
	w = (w & 0x00003fff00003fffu) | (w & 0x3fff00003fff0000u) >> 2;
	w = (w & 0x000000000fffffffu) | (w & 0x0fffffff00000000u) >> 4;
	*out = w;
	return (size_t)__builtin_ctzll(stop) / 8 + 1;
}

/* Length of a BYTES field at p in one or two bytes, shortest form; 0 when it is anything else. */
static inline size_t short_len(const uint8_t *p, size_t *len)
{
	if (LIKELY(p[0] < 0x80)) {
		*len = p[0];
		return 1;
	}
	if (LIKELY(p[1] < 0x80 && p[1])) {
		*len = (size_t)(p[0] & 0x7f) | (size_t)p[1] << 7;
		return 2;
	}
	return 0;
}

static inline bool fast_sample(const uint8_t *p, const uint8_t *end, struct batch_row *row)
{
	uint64_t t = 0, bits = 0;
	if (LIKELY(end - p > 9 && p[0] == TAG(1, FIXED64))) {
		bits = wire_load64(p + 1);
		p += 9;
	}
	if (LIKELY(p[0] == TAG(2, VARINT) && p < end)) {
		size_t t_len = short_varint(p + 1, &t);
		if (UNLIKELY(!t_len))
			return false;
		p += 1 + t_len;
	}
	row->t_ms = (int64_t)t;
	row->v = num_from_bits(bits);
	return p == end;
}

/*
 * The series whose tag is at p, FAST_MARGIN bytes or more before the end of the body: its rows from
 * *row on.
 * Gives its end and moves *row; or NULL, when a byte is unusual or the rows are full, and then
 * nothing counts of what was written.
 */
static inline const uint8_t *fast_series(const uint8_t *p, const uint8_t *body_end,
    struct batch_row **row, const struct batch_row *rows_end)
{
	size_t len, head = short_len(p + 1, &len);
	p += 1 + head;
	if (UNLIKELY(!head || (size_t)(body_end - p) < len + FAST_MARGIN))
		return NULL;
	const uint8_t *const labels = p, *const end = p + len;
	while (p < end && *p == TAG(1, BYTES)) {
		if (LIKELY(p[1] < 0x80)) {
			p += 2 + p[1];
		} else {
			size_t label_len;
			if (UNLIKELY(!short_len(p + 1, &label_len)))
				return NULL;
			p += 3 + label_len;
		}
	}
	if (UNLIKELY(p > end))
		return NULL;
	const uint32_t labels_len = (uint32_t)(p - labels);
	struct batch_row *r = *row;
	for (; p < end; r++) {
		size_t sample_len = p[1];
		if (UNLIKELY(p[0] != TAG(2, BYTES) || sample_len >= 0x80 ||
		        sample_len + 2 > (size_t)(end - p) || r == rows_end))
			return NULL;
		r->labels = labels;
		r->labels_len = labels_len;
		r->flags = 0;
		if (UNLIKELY(!fast_sample(p + 2, p + 2 + sample_len, r)))
			return NULL;
		p += 2 + sample_len;
	}
	*row = r;
	/* not p, though equal: so the next series can begin before this one's walk has ended */
	return end;
}

/* Series after series as long as they are usual. Gives the end of the last one. */
static const uint8_t *fast_run(struct scan *s, const uint8_t *p)
{
	struct batch *b = s->batch;
	if (!b->rows) /* no room yet; the slow way makes some */
		return p;
	const uint8_t *const body_end = s->end;
	const uint64_t series_max = s->limits->write_series - s->series,
	               samples_max = s->limits->write_samples - s->samples;
	struct batch_row *const first = b->rows + b->rows_count, *row = first;
	const size_t room = b->rows_cap - b->rows_count;
	const struct batch_row *const rows_end = first + (room < samples_max ? room : samples_max);
	uint64_t series = 0;
	while (body_end - p > FAST_MARGIN && *p == TAG(1, BYTES) && series < series_max) {
		const uint8_t *next = fast_series(p, body_end, &row, rows_end);
		if (!next)
			break;
		p = next;
		series++;
	}
	b->rows_count += (size_t)(row - first);
	s->samples += (size_t)(row - first);
	s->series += series;
	return p;
}

/* --- the whole encoding --- */

static enum err slow_sample(
    struct scan *s, const uint8_t *p, const uint8_t *end, struct batch_row *row)
{
	struct field f;
	row->t_ms = 0;
	row->v = 0;
	while (p < end) {
		if (!field_next(&p, end, &f))
			return malformed(s, f.start, "broken field of a sample");
		if (f.number == 1 && f.wire == FIXED64)
			row->v = num_from_bits(wire_load64(f.data));
		else if (f.number == 2 && f.wire == VARINT)
			row->t_ms = (int64_t)f.value;
		else if (f.number == 1 || f.number == 2)
			return malformed(s, f.start, "wrong wire type in a sample");
	}
	return ERR_OK;
}

/*
 * Labels in pieces, or in a longer encoding than needed: joined in the arena, framed as label_iter
 * wants them.
 */
static enum err join_labels(
    struct scan *s, const uint8_t *p, const uint8_t *end, size_t joined_len, const uint8_t **out)
{
	struct field f;
	uint8_t *to = arena_alloc(s->arena, joined_len ? joined_len : 1);
	if (!to)
		return errbuf_set(s->eb, ERR_NOMEM, "no memory for labels of %zu bytes", joined_len);
	*out = to;
	while (p < end && field_next(&p, end, &f)) {
		if (f.number != 1)
			continue;
		*to++ = TAG(1, BYTES);
		to = wire_store_varint(to, f.len);
		if (f.len)
			memcpy(to, f.data, f.len);
		to += f.len;
	}
	CHECK((size_t)(to - *out) == joined_len);
	return ERR_OK;
}

static enum err slow_series(struct scan *s, const uint8_t *const start, const uint8_t *const end)
{
	const uint8_t *p = start, *run = start, *run_end = NULL;
	const size_t first_row = s->batch->rows_count;
	size_t labels_len = 0;
	bool joined = false;
	while (p < end) {
		struct field f;
		if (!field_next(&p, end, &f))
			return malformed(s, f.start, "broken field of a series");
		if (f.number < 1 || f.number > 4)
			continue;
		if (f.wire != BYTES)
			return malformed(s, f.start, "wrong wire type in a series");
		if (f.number == 1) {
			size_t plain = 1 + wire_varint_len(f.len) + f.len;
			if ((run_end && run_end != f.start) || (size_t)(p - f.start) != plain)
				joined = true;
			if (!run_end)
				run = f.start;
			run_end = p;
			labels_len += plain;
			continue;
		}
		s->samples++;
		if (s->samples > s->limits->write_samples)
			break; /* told by the caller */
		if (f.number == 3) {
			s->batch->exemplars_count++;
			continue;
		}
		struct batch_row *row = batch_add(s->batch);
		*row = (struct batch_row){ .flags = f.number == 4 ? BATCH_HISTOGRAM : 0 };
		enum err err = f.number == 2 ? slow_sample(s, f.data, p, row) : ERR_OK;
		if (err)
			return err;
	}
	if (joined) {
		enum err err = join_labels(s, start, end, labels_len, &run);
		if (err)
			return err;
	}
	for (size_t i = first_row; i < s->batch->rows_count; i++) {
		s->batch->rows[i].labels = run;
		s->batch->rows[i].labels_len = (uint32_t)labels_len;
	}
	return ERR_OK;
}

static enum err meta(struct scan *s, const uint8_t *p, const uint8_t *end)
{
	if (s->batch->metas_count >= s->limits->write_series)
		return too_many(s, "metadata entries", LIMITS_write_series);
	struct batch_meta *m = batch_add_meta(s->batch);
	*m = (struct batch_meta){ .family = "", .help = "", .unit = "" };
	while (p < end) {
		struct field f;
		if (!field_next(&p, end, &f))
			return malformed(s, f.start, "broken field of a metadata entry");
		if (f.number < 1 || f.number > 5 || f.number == 3)
			continue;
		if (f.wire != (f.number == 1 ? VARINT : BYTES))
			return malformed(s, f.start, "wrong wire type in a metadata entry");
		const char *text = (const char *)f.data;
		uint32_t text_len = (uint32_t)f.len;
		if (f.number == 1) { /* enums are 32 bits; what we do not know is unknown */
			m->type = (uint32_t)f.value <= 7 ? (uint8_t)f.value : 0;
		} else if (f.number == 2) {
			m->family = text;
			m->family_len = text_len;
		} else if (f.number == 4) {
			m->help = text;
			m->help_len = text_len;
		} else {
			m->unit = text;
			m->unit_len = text_len;
		}
	}
	return ERR_OK;
}

/* A field of the request that the fast way did not take. */
static enum err slow_field(struct scan *s, const uint8_t **p)
{
	struct field f;
	if (!field_next(p, s->end, &f))
		return malformed(s, f.start, "broken field of the request");
	if (f.number != 1 && f.number != 3)
		return ERR_OK;
	if (f.wire != BYTES)
		return malformed(s, f.start, "wrong wire type in the request");
	if (f.len + SLOW_FIELD > s->slow_left)
		return ERR_AGAIN;
	s->slow_left -= f.len + SLOW_FIELD;
	if (f.number == 3)
		return meta(s, f.data, *p);
	s->series++;
	return slow_series(s, f.data, *p);
}

enum err rw1_decode(struct arena *a, const uint8_t *body, size_t len, const struct rw1_opts *o,
    struct batch *b, struct errbuf *eb)
{
	struct scan s = { .arena = a,
		.body = body,
		.end = body + len,
		.batch = b,
		.eb = eb,
		.limits = o && o->limits ? o->limits : limits_here(),
		.slow_left = o ? o->slow_bytes : SIZE_MAX };
	if (len > INT32_MAX)
		return errbuf_set(eb, ERR_TOOBIG, "body of %zu bytes", len);
	enum err err = ERR_OK;
	const uint8_t *p = body;
	while (p < s.end && !err) {
		p = fast_run(&s, p);
		if (p < s.end)
			err = slow_field(&s, &p);
		if (UNLIKELY(s.series > s.limits->write_series && !err))
			err = too_many(&s, "series", LIMITS_write_series);
		if (UNLIKELY(s.samples > s.limits->write_samples && !err))
			err = too_many(&s, "samples", LIMITS_write_samples);
	}
	b->series_count += s.series;
	return err;
}

/* --- encoding --- */

void rw1_encode_series(struct buf *out, struct labels labels, int64_t t_ms, double v)
{
	uint8_t sample[2 + 9 + 1 + VARINT_BYTES_MAX], *p = sample + 2;
	if (num_bits(v)) {
		*p++ = TAG(1, FIXED64);
		wire_store64(p, num_bits(v));
		p += 8;
	}
	if (t_ms) {
		*p++ = TAG(2, VARINT);
		p = wire_store_varint(p, (uint64_t)t_ms);
	}
	size_t sample_len = (size_t)(p - sample);
	sample[0] = TAG(2, BYTES);
	sample[1] = (uint8_t)(sample_len - 2);
	if (!buf_reserve(out, labels.len + sample_len + 1 + VARINT_BYTES_MAX))
		return;
	buf_add_u8(out, TAG(1, BYTES));
	wire_put_varint(out, labels.len + sample_len);
	buf_add(out, labels.bytes, labels.len);
	buf_add(out, sample, sample_len);
}

static size_t text_size(size_t len)
{
	return len ? 1 + wire_varint_len(len) + len : 0;
}

static void put_text(struct buf *out, uint8_t tag, const char *s, size_t len)
{
	if (!len)
		return;
	buf_add_u8(out, tag);
	wire_put_lenbytes(out, s, len);
}

void rw1_encode_meta(struct buf *out, const struct batch_meta *m)
{
	buf_add_u8(out, TAG(3, BYTES));
	wire_put_varint(out,
	    (m->type ? 2u : 0u) + text_size(m->family_len) + text_size(m->help_len) +
	        text_size(m->unit_len));
	if (m->type) {
		buf_add_u8(out, TAG(1, VARINT));
		buf_add_u8(out, m->type);
	}
	put_text(out, TAG(2, BYTES), m->family, m->family_len);
	put_text(out, TAG(4, BYTES), m->help, m->help_len);
	put_text(out, TAG(5, BYTES), m->unit, m->unit_len);
}
