#include "proto/qspb.h"

#include "core/base/wire.h"

/*
 * Canonical bytes of labels (core/model/label.h) are what `repeated LabelPair labels = 1` wants.
 */
/* Tags: the number of the field, and how its value stands. */
#define TAG_RESULT_SERIES 0x0a
#define TAG_SAMPLES       0x12
#define TAG_TIMESTAMP     0x08
#define TAG_NUMBER        0x11
#define SAMPLE_MAX        (2 + 1 + 10 + 1 + 8)
#define NUMBER_BYTES      9u
#define VARINT_MAX        10u
/* Times from 1971 to 2109 take six bytes. */
#define USUAL_BYTES 6u
#define USUAL_FROM  (INT64_C(1) << (7 * (USUAL_BYTES - 1)))
#define USUAL_TO    (INT64_C(1) << (7 * USUAL_BYTES))
#define POINTS_ONCE 512u /* encoded between looks at the room */

static unsigned varint_bytes(uint64_t v)
{
	return (70 - (unsigned)__builtin_clzll(v | 1)) / 7;
}

static uint8_t *put_varint(uint8_t *p, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*p++ = (uint8_t)(v | 0x80);
	*p++ = (uint8_t)v;
	return p;
}

static bool is_zero(double v)
{
	uint64_t bits;
	memcpy(&bits, &v, sizeof(bits));
	return !bits;
}

/* ---- counting ---- */

static unsigned sample_bytes(int64_t t_ms, double v)
{
	return (t_ms ? 1 + varint_bytes((uint64_t)t_ms) : 0) + (is_zero(v) ? 0 : NUMBER_BYTES);
}

/* Times rise: those between two that are as long are as long. */
static bool same_length(const struct ql_series *s, size_t from, size_t to)
{
	return s->t_ms[from] > 0 &&
	    varint_bytes((uint64_t)s->t_ms[from]) == varint_bytes((uint64_t)s->t_ms[to - 1]);
}

static uint64_t points_bytes(const struct ql_series *s, size_t from, size_t to)
{
	uint64_t bytes = 0;
	if (from < to && same_length(s, from, to)) {
		for (size_t i = from; i < to; i++)
			bytes += is_zero(s->v[i]) ? 0 : NUMBER_BYTES;
		return bytes + (to - from) * (3 + varint_bytes((uint64_t)s->t_ms[from]));
	}
	for (size_t i = from; i < to; i++)
		bytes += 2 + sample_bytes(s->t_ms[i], s->v[i]);
	return bytes;
}

void qspb_begin(struct qspb *q, const struct ql_value *value, uint64_t *sizes)
{
	*q = (struct qspb){ ._v = value, ._sizes = sizes };
}

bool qspb_count(struct qspb *q, size_t points)
{
	const struct ql_value *v = q->_v;
	while (q->_series < v->series_count && points) {
		const struct ql_series *s = &v->series[q->_series];
		uint64_t *size = &q->_sizes[q->_series];
		if (!q->_point)
			*size = s->labels.len;
		size_t left = s->count - q->_point, n = left < points ? left : points;
		*size += points_bytes(s, q->_point, q->_point + n);
		q->_point += n;
		points -= n ? n : 1;
		if (q->_point < s->count)
			continue;
		q->bytes += 1 + varint_bytes(*size) + *size;
		q->_point = 0;
		q->_series++;
	}
	if (q->_series < v->series_count)
		return false;
	q->_series = 0;
	return true;
}

/* ---- encoding ---- */

static void put_head(struct buf *out, uint8_t tag, uint64_t len)
{
	uint8_t head[1 + VARINT_MAX];
	head[0] = tag;
	buf_add(out, head, (size_t)(put_varint(head + 1, len) - head));
}

static uint8_t *put_number(uint8_t *p, double v)
{
	uint64_t bits;
	memcpy(&bits, &v, sizeof(bits));
	*p++ = TAG_NUMBER;
	wire_store64(p, bits);
	return p + sizeof(bits);
}

/* A usual time, a value that is not 0. */
static uint8_t *put_usual(uint8_t *p, uint64_t t_ms, double v)
{
	p[0] = TAG_SAMPLES;
	p[1] = 1 + USUAL_BYTES + NUMBER_BYTES;
	p[2] = TAG_TIMESTAMP;
	for (unsigned i = 0; i < USUAL_BYTES - 1; i++)
		p[3 + i] = (uint8_t)(t_ms >> (7 * i) | 0x80);
	p[2 + USUAL_BYTES] = (uint8_t)(t_ms >> (7 * (USUAL_BYTES - 1)));
	return put_number(p + 3 + USUAL_BYTES, v);
}

static uint8_t *put_sample(uint8_t *p, int64_t t_ms, double v)
{
	if (t_ms >= USUAL_FROM && t_ms < USUAL_TO && !is_zero(v))
		return put_usual(p, (uint64_t)t_ms, v);
	*p++ = TAG_SAMPLES;
	*p++ = (uint8_t)sample_bytes(t_ms, v); /* less than 128 */
	if (t_ms) {
		*p++ = TAG_TIMESTAMP;
		p = put_varint(p, (uint64_t)t_ms);
	}
	return is_zero(v) ? p : put_number(p, v);
}

static void put_points(struct qspb *q, struct buf *out, const struct ql_series *s)
{
	size_t left = s->count - q->_point, n = left < POINTS_ONCE ? left : POINTS_ONCE;
	if (!buf_reserve(out, n * SAMPLE_MAX))
		return;
	uint8_t *p = out->data + out->len;
	for (size_t i = q->_point; i < q->_point + n; i++)
		p = put_sample(p, s->t_ms[i], s->v[i]);
	out->len = (size_t)(p - out->data);
	q->_point += n;
}

bool qspb_next(struct qspb *q, struct buf *out, size_t at_least)
{
	const struct ql_value *v = q->_v;
	size_t before = out->len;
	while (q->_series < v->series_count && out->len - before < at_least) {
		const struct ql_series *s = &v->series[q->_series];
		if (!q->_begun) {
			put_head(out, TAG_RESULT_SERIES, q->_sizes[q->_series]);
			buf_add(out, s->labels.bytes, s->labels.len);
			q->_begun = true;
		}
		if (s->count)
			put_points(q, out, s);
		if (q->_point < s->count)
			continue;
		q->_begun = false;
		q->_point = 0;
		q->_series++;
	}
	return q->_series == v->series_count;
}
