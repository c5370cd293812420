#include "proto/rreadin.h"

#include "core/base/hash.h"
#include "core/base/wire.h"
#include "proto/pbhist.h"
#include "proto/pbscan.h"
#include "proto/snapz.h"

/*
 *   ReadRequest          1 Query*  2 accepted_response_types (0 SAMPLES, 1 STREAMED_XOR_CHUNKS)
 *   Query                1 start_ms  2 end_ms  3 LabelMatcher*
 *   LabelMatcher         1 type (= != =~ !~)  2 name  3 value
 *   ChunkedReadResponse  1 ChunkedSeries*  2 query_index
 *   ChunkedSeries        1 Label*  2 Chunk*
 *   Chunk                1 min_time_ms  2 max_time_ms  3 type  4 data
 *   ReadResponse         1 QueryResult { 1 TimeSeries* }
 *   TimeSeries           1 Label*  2 Sample { 1 value 2 timestamp }  4 Histogram*
 */
#define TAG_BYTES(field) ((uint8_t)((field) << 3 | PBSCAN_BYTES))
#define TAG_NUM(field)   ((uint8_t)((field) << 3 | PBSCAN_VARINT))
#define LABELS           1u

/* --- requests --- */

static void put_matcher(struct buf *out, const struct matcher *m)
{
	static const uint8_t types[] = {
		[MATCHER_EQ] = 0, [MATCHER_NE] = 1, [MATCHER_RE] = 2, [MATCHER_NRE] = 3
	};
	struct buf b;
	buf_init(&b);
	buf_add_u8(&b, TAG_NUM(1));
	buf_add_u8(&b, types[m->type]);
	buf_add_u8(&b, TAG_BYTES(2));
	wire_put_lenbytes(&b, m->name, m->name_len);
	buf_add_u8(&b, TAG_BYTES(3));
	wire_put_lenbytes(&b, m->value, m->value_len);
	buf_add_u8(out, TAG_BYTES(3));
	wire_put_lenbytes(out, b.data, b.len);
	buf_release(&b);
}

static void put_query(struct buf *out, const struct rreadin_query *q)
{
	struct buf b;
	buf_init(&b);
	buf_add_u8(&b, TAG_NUM(1));
	wire_put_varint(&b, (uint64_t)q->start_ms);
	buf_add_u8(&b, TAG_NUM(2));
	wire_put_varint(&b, (uint64_t)q->end_ms);
	for (size_t i = 0; i < q->matchers_count; i++)
		put_matcher(&b, &q->matchers[i]);
	buf_add_u8(out, TAG_BYTES(1));
	wire_put_lenbytes(out, b.data, b.len);
	buf_release(&b);
}

void rreadin_request(struct buf *out, const struct rreadin_query *queries, size_t count, bool streamed)
{
	struct buf b;
	buf_init(&b);
	for (size_t i = 0; i < count; i++)
		put_query(&b, &queries[i]);
	if (streamed) {
		buf_add_u8(&b, TAG_NUM(2));
		buf_add_u8(&b, 1);
		buf_add_u8(&b, TAG_NUM(2));
		buf_add_u8(&b, 0);
	}
	snapz_encode(out, b.data, b.len);
	buf_release(&b);
}

/* --- frames: uvarint length, CRC-32C with the highest byte first, message --- */

enum err rreadin_frame(
    const uint8_t *p, size_t len, const uint8_t **message, size_t *message_len, size_t *used)
{
	const uint8_t *at = p, *end = p + len;
	uint64_t n;
	if (!pbscan_varint(&at, end, PBSCAN_TAG_BYTES, &n))
		return len < PBSCAN_TAG_BYTES ? ERR_AGAIN : ERR_MALFORMED;
	if (n > RREADIN_FRAME_MAX)
		return ERR_TOOBIG;
	if ((uint64_t)(end - at) < n + 4)
		return ERR_AGAIN;
	uint32_t crc =
	    (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | (uint32_t)at[3];
	if (crc32c(0, at + 4, (size_t)n) != crc)
		return ERR_MALFORMED;
	*message = at + 4;
	*message_len = (size_t)n;
	*used = (size_t)(at + 4 - p) + (size_t)n;
	return ERR_OK;
}

/* --- series --- */

void rreadin_streamed(struct rreadin *r, const uint8_t *message, size_t len)
{
	*r = (struct rreadin){ ._p = message, ._end = message + len };
}

void rreadin_samples(struct rreadin *r, const uint8_t *answer, size_t len)
{
	*r = (struct rreadin){ ._outer = answer, ._outer_end = answer + len, .samples = true };
}

/* The next field of this number that is a message; false: none, or *bad. */
static bool next_message(
    const uint8_t **p, const uint8_t *end, uint64_t number, struct pbscan_field *f, bool *bad)
{
	while (*p < end) {
		if (!pbscan_next(p, end, f)) {
			*bad = true;
			return false;
		}
		if (f->number != number)
			continue;
		*bad = f->wire != PBSCAN_BYTES;
		return !*bad;
	}
	return false;
}

/* The labels, where they stand when they stand together. */
static bool labels_of(struct arena *a, struct rreadin_series *s)
{
	const uint8_t *p = s->_p, *first = NULL, *last = NULL;
	size_t total = 0;
	struct pbscan_field f;
	bool bad = false;
	while (next_message(&p, s->_end, LABELS, &f, &bad)) {
		first = first ? first : f.start;
		last = p;
		total += (size_t)(p - f.start);
	}
	if (bad)
		return false;
	s->wire = (struct labels){ .bytes = first, .len = num_u32(total) };
	if (!first || (size_t)(last - first) == total)
		return true;
	uint8_t *to = arena_alloc(a, total), *at = to;
	for (p = s->_p; next_message(&p, s->_end, LABELS, &f, &bad); at += p - f.start)
		memcpy(at, f.start, (size_t)(p - f.start));
	s->wire.bytes = to;
	return true;
}

bool rreadin_series(struct rreadin *r, struct arena *a, struct rreadin_series *out)
{
	struct pbscan_field f;
	for (;;) {
		if (r->bad)
			return false;
		if (next_message(&r->_p, r->_end, 1, &f, &r->bad))
			break;
		if (r->bad || !next_message(&r->_outer, r->_outer_end, 1, &f, &r->bad))
			return false;
		r->_p = f.data;
		r->_end = f.data + f.len;
	}
	*out = (struct rreadin_series){ ._p = f.data, ._end = f.data + f.len };
	r->bad = f.len > UINT32_MAX || !labels_of(a, out);
	return !r->bad;
}

bool rreadin_chunk(struct rreadin_series *s, struct rreadin_chunk *out)
{
	struct pbscan_field f;
	if (s->bad || !next_message(&s->_p, s->_end, 2, &f, &s->bad))
		return false;
	*out = (struct rreadin_chunk){ .len = 0 };
	const uint8_t *p = f.data, *end = f.data + f.len;
	while (p < end) {
		s->bad = !pbscan_next(&p, end, &f) ||
		    (f.number >= 1 && f.number <= 3 && f.wire != PBSCAN_VARINT) ||
		    (f.number == 4 && f.wire != PBSCAN_BYTES);
		if (s->bad)
			return false;
		if (f.number == 1)
			out->t_min_ms = (int64_t)f.value;
		else if (f.number == 2)
			out->t_max_ms = (int64_t)f.value;
		else if (f.number == 3)
			out->type = f.value;
		else if (f.number == 4) {
			out->data = f.data;
			out->len = f.len;
		}
	}
	return true;
}

/* --- samples --- */

static bool take_float(const struct pbscan_field *message, struct rreadin_sample *out)
{
	const uint8_t *p = message->data, *end = p + message->len;
	struct pbscan_field f;
	while (p < end) {
		if (!pbscan_next(&p, end, &f))
			return false;
		if (f.number == 1 && f.wire == PBSCAN_FIXED64)
			memcpy(&out->v, f.data, sizeof(out->v));
		else if (f.number == 2 && f.wire == PBSCAN_VARINT)
			out->t_ms = (int64_t)f.value;
	}
	if (sample_is_hist(out->v))
		out->v = num_from_bits(SAMPLE_NAN_BITS);
	return true;
}

static bool take_hist(const struct pbscan_field *f, struct arena *a, const struct limits *l,
    struct rreadin_sample *out)
{
	struct pbhist h;
	if (pbhist_decode(f->data, f->len, a, l, false, &h))
		return false;
	out->t_ms = h.t_ms;
	out->hist = h.hist;
	out->left = !h.hist;
	out->v = num_from_bits(SAMPLE_HIST_BITS);
	return true;
}

bool rreadin_sample(
    struct rreadin_series *s, struct arena *a, const struct limits *l, struct rreadin_sample *out)
{
	struct pbscan_field f;
	*out = (struct rreadin_sample){ .v = 0 };
	while (!s->bad && s->_p < s->_end) {
		s->bad = !pbscan_next(&s->_p, s->_end, &f);
		if (s->bad || (f.number != 2 && f.number != 4))
			continue;
		s->bad = f.wire != PBSCAN_BYTES ||
		    !(f.number == 2 ? take_float(&f, out) : take_hist(&f, a, l, out));
		return !s->bad;
	}
	return false;
}
