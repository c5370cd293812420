#include "proto/rread.h"

#include "core/base/hash.h"
#include "core/base/rune.h"
#include "core/base/wire.h"
#include "core/model/chunkenc.h"
#include "core/promql/lang/ql_ast.h"
#include "proto/pbhist.h"
#include "proto/pbscan.h"

#include <inttypes.h>

#define LEN_ROOM 5u /* of a length, before it is known */

enum {
	REQUEST_QUERY = 1,
	REQUEST_ACCEPTS = 2,
	QUERY_START = 1,
	QUERY_END = 2,
	QUERY_MATCHER = 3,
	QUERY_HINTS = 4,
	HINTS_FUNC = 2,
	MATCHER_TYPE = 1,
	MATCHER_NAME = 2,
	MATCHER_VALUE = 3,
	CHUNK_MIN = 1,
	CHUNK_MAX = 2,
	CHUNK_TYPE = 3,
	CHUNK_DATA = 4,
	ACCEPT_SAMPLES = 0,
	ACCEPT_STREAMED = 1
};

/* --- requests --- */

struct decoder {
	struct arena *a;
	const uint8_t *body;
	const struct limits *limits;
	struct ql_counts counts; /* of all queries */
	struct errbuf *eb;
};

static enum err malformed(struct decoder *d, const uint8_t *at)
{
	return errbuf_set(d->eb, ERR_MALFORMED,
	    "the request is no prometheus.ReadRequest, at byte %zu", (size_t)(at - d->body));
}

static bool wire_is(const struct pbscan_field *f, unsigned wire)
{
	return f->wire == wire;
}

/* How often the field number is in a message; malformed ones are told. */
static enum err fields_count(
    struct decoder *d, const uint8_t *p, size_t len, uint64_t number, size_t *count)
{
	const uint8_t *end = p + len;
	struct pbscan_field f;
	*count = 0;
	while (p < end) {
		if (!pbscan_next(&p, end, &f))
			return malformed(d, f.start);
		*count += f.number == number;
	}
	return ERR_OK;
}

static enum err text_take(
    struct decoder *d, const struct pbscan_field *f, const char **out, uint32_t *len)
{
	if (!wire_is(f, PBSCAN_BYTES))
		return malformed(d, f->start);
	if (!rune_valid((const char *)f->data, f->len))
		return errbuf_set(d->eb, ERR_MALFORMED,
		    "a matcher has bytes that are no UTF-8, at byte %zu",
		    (size_t)(f->data - d->body));
	*out = arena_strndup(d->a, (const char *)f->data, f->len);
	*len = num_u32(f->len);
	return ERR_OK;
}

/* Patterns count as those of match[] do: those that the engine compiles, at least 64 bytes each. */
static enum err matcher_counts(struct decoder *d, const struct matcher *m)
{
	if ((m->type != MATCHER_RE && m->type != MATCHER_NRE) || matcher_is_direct(m))
		return ERR_OK;
	d->counts.pattern_bytes += m->value_len < 64 ? 64 : m->value_len;
	return ql_counts_check(&d->counts, d->limits, d->eb);
}

static enum err matcher_decode(struct decoder *d, const uint8_t *p, size_t len, struct matcher *out)
{
	static const enum matcher_type types[] = { MATCHER_EQ, MATCHER_NE, MATCHER_RE, MATCHER_NRE };
	const uint8_t *end = p + len, *start = p;
	const char *name = "", *value = "";
	uint32_t name_len = 0, value_len = 0;
	uint64_t type = 0;
	struct pbscan_field f;
	while (p < end) {
		enum err e = ERR_OK;
		if (!pbscan_next(&p, end, &f))
			return malformed(d, f.start);
		if (f.number == MATCHER_TYPE && !wire_is(&f, PBSCAN_VARINT))
			return malformed(d, f.start);
		if (f.number == MATCHER_TYPE)
			type = f.value;
		else if (f.number == MATCHER_NAME)
			e = text_take(d, &f, &name, &name_len);
		else if (f.number == MATCHER_VALUE)
			e = text_take(d, &f, &value, &value_len);
		if (e)
			return e;
	}
	if (type >= COUNT_OF(types))
		return errbuf_set(d->eb, ERR_MALFORMED,
		    "invalid matcher type %" PRIu64 ", at byte %zu", type, (size_t)(start - d->body));
	enum err e = matcher_init(out, types[type], name, name_len, value, value_len, d->eb);
	if (e)
		return e;
	e = matcher_counts(d, out);
	if (e)
		matcher_release(out);
	return e;
}

static enum err hints_decode(struct decoder *d, const uint8_t *p, size_t len, struct rread_query *out)
{
	const uint8_t *end = p + len;
	struct pbscan_field f;
	while (p < end) {
		if (!pbscan_next(&p, end, &f))
			return malformed(d, f.start);
		if (f.number == HINTS_FUNC && !wire_is(&f, PBSCAN_BYTES))
			return malformed(d, f.start);
		if (f.number == HINTS_FUNC)
			out->labels_only = bytes_equal(f.data, f.len, "series", 6);
	}
	return ERR_OK;
}

static enum err query_field(struct decoder *d, const struct pbscan_field *f, struct rread_query *out)
{
	bool number = f->number == QUERY_START || f->number == QUERY_END;
	bool message = f->number == QUERY_MATCHER || f->number == QUERY_HINTS;
	if ((number && !wire_is(f, PBSCAN_VARINT)) || (message && !wire_is(f, PBSCAN_BYTES)))
		return malformed(d, f->start);
	if (number)
		*(f->number == QUERY_START ? &out->start_ms : &out->end_ms) = (int64_t)f->value;
	if (f->number == QUERY_HINTS)
		return hints_decode(d, f->data, f->len, out);
	if (f->number != QUERY_MATCHER)
		return ERR_OK;
	enum err e = matcher_decode(d, f->data, f->len, &out->matchers[out->matchers_count]);
	out->matchers_count += !e;
	return e;
}

static enum err query_decode(struct decoder *d, const uint8_t *p, size_t len, struct rread_query *out)
{
	const uint8_t *end = p + len;
	struct pbscan_field f;
	size_t matchers;
	enum err e = fields_count(d, p, len, QUERY_MATCHER, &matchers);
	if (e)
		return e;
	d->counts.matchers = num_u32(matchers < UINT32_MAX ? matchers : UINT32_MAX);
	e = ql_counts_check(&d->counts, d->limits, d->eb);
	if (e)
		return e;
	out->matchers = arena_array(d->a, matchers + 1, sizeof(*out->matchers));
	while (!e && p < end) {
		if (!pbscan_next(&p, end, &f))
			return malformed(d, f.start);
		e = query_field(d, &f, out);
	}
	return e;
}

/* The first of those that are spoken here; packed or one by one. */
static void accepts(struct rread *out, uint64_t type, bool *chosen)
{
	if (*chosen || (type != ACCEPT_SAMPLES && type != ACCEPT_STREAMED))
		return;
	*chosen = true;
	out->streamed = type == ACCEPT_STREAMED;
}

static enum err accepts_field(
    struct decoder *d, const struct pbscan_field *f, struct rread *out, bool *chosen)
{
	if (f->wire == PBSCAN_VARINT) {
		accepts(out, f->value, chosen);
		return ERR_OK;
	}
	if (f->wire != PBSCAN_BYTES)
		return malformed(d, f->start);
	const uint8_t *p = f->data, *end = p + f->len;
	while (p < end) {
		uint64_t type;
		if (!pbscan_varint(&p, end, PBSCAN_VARINT_BYTES, &type))
			return malformed(d, p);
		accepts(out, type, chosen);
	}
	return ERR_OK;
}

static enum err request_field(
    struct decoder *d, const struct pbscan_field *f, struct rread *out, bool *chosen, bool *told)
{
	if (f->number == REQUEST_ACCEPTS) {
		*told = true;
		return accepts_field(d, f, out, chosen);
	}
	if (f->number != REQUEST_QUERY)
		return ERR_OK;
	if (!wire_is(f, PBSCAN_BYTES))
		return malformed(d, f->start);
	struct rread_query *q = &out->queries[out->count++];
	*q = (struct rread_query){ .matchers_count = 0 };
	return query_decode(d, f->data, f->len, q);
}

enum err rread_decode(struct arena *a, const uint8_t *body, size_t len, const struct limits *l,
    struct rread *out, struct errbuf *eb)
{
	struct decoder d = { .a = a, .body = body, .limits = l, .eb = eb };
	const uint8_t *p = body, *end = body + len;
	struct pbscan_field f;
	bool chosen = false, told = false;
	size_t queries;
	*out = (struct rread){ .count = 0 };
	enum err e = fields_count(&d, body, len, REQUEST_QUERY, &queries);
	if (e)
		return e;
	d.counts.selectors = num_u32(queries < UINT32_MAX ? queries : UINT32_MAX);
	e = ql_counts_check(&d.counts, l, eb);
	if (e)
		return e;
	out->queries = arena_array(a, queries + 1, sizeof(*out->queries));
	while (!e && p < end) {
		if (!pbscan_next(&p, end, &f))
			e = malformed(&d, f.start);
		else
			e = request_field(&d, &f, out, &chosen, &told);
	}
	out->supported = chosen || !told;
	if (e)
		rread_release(out);
	return e;
}

void rread_release(struct rread *r)
{
	for (size_t i = 0; i < r->count; i++)
		for (size_t k = 0; k < r->queries[i].matchers_count; k++)
			matcher_release(&r->queries[i].matchers[k]);
	r->count = 0;
}

/* --- messages whose length is known at their end --- */

/* A tag and room for the length. */
static size_t open_message(struct buf *out, unsigned field)
{
	static const uint8_t room[LEN_ROOM];
	size_t at = out->len;
	wire_put_varint(out, (uint64_t)field << 3 | PBSCAN_BYTES);
	buf_add(out, room, sizeof(room));
	return at;
}

/* What is behind moves up to the length. */
static void close_message(struct buf *out, size_t at)
{
	if (out->over)
		return;
	uint8_t *len_at = out->data + at;
	while (*len_at++ >= 0x80)
		;
	size_t len = out->len - (size_t)(len_at - out->data) - LEN_ROOM;
	uint8_t *body = len_at + LEN_ROOM;
	for (; len_at < body && len >= 0x80; len >>= 7)
		*len_at++ = (uint8_t)(len | 0x80);
	*len_at++ = (uint8_t)len;
	size_t rest = out->len - (size_t)(body - out->data);
	memmove(len_at, body, rest);
	out->len = (size_t)(len_at - out->data) + rest;
}

/* --- SAMPLES --- */

size_t rread_series_begin(struct buf *out, struct labels ls)
{
	size_t start = open_message(out, 1);
	buf_add(out, ls.bytes, ls.len);
	return start;
}

static void float_put(struct buf *out, int64_t t_ms, double v)
{
	size_t at = open_message(out, 2);
	if (num_bits(v)) {
		buf_add_u8(out, 0x09);
		wire_put_f64(out, v);
	}
	if (t_ms) {
		buf_add_u8(out, 0x10);
		wire_put_varint(out, (uint64_t)t_ms);
	}
	close_message(out, at);
}

void rread_series_samples(struct buf *out, const struct sample_column *c, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++) {
		if (!c->h || !c->h[i]) {
			float_put(out, c->t_ms[i], c->v[i]);
			continue;
		}
		size_t at = open_message(out, 4);
		pbhist_encode(c->h[i], c->t_ms[i], out);
		close_message(out, at);
	}
}

void rread_series_end(struct buf *out, size_t start)
{
	close_message(out, start);
}

/* --- STREAMED --- */

/* Room for the head of a frame, 9 bytes at most, then the message. */
#define FRAME_ROOM (LEN_ROOM + 4u)

size_t rread_frame_begin(struct buf *out, struct labels ls)
{
	static const uint8_t room[FRAME_ROOM];
	size_t start = out->len;
	buf_add(out, room, sizeof(room));
	(void)open_message(out, 1);
	buf_add(out, ls.bytes, ls.len);
	return start;
}

static void number_put(struct buf *out, unsigned field, uint64_t v)
{
	if (!v)
		return;
	wire_put_varint(out, (uint64_t)field << 3 | PBSCAN_VARINT);
	wire_put_varint(out, v);
}

uint32_t rread_frame_chunk(struct buf *out, const struct sample_column *c, uint32_t from)
{
	struct chunkenc told;
	size_t chunk = open_message(out, 2), data = open_message(out, CHUNK_DATA);
	chunkenc_next(c, from, out, &told);
	close_message(out, data);
	number_put(out, CHUNK_MIN, (uint64_t)told.t_min_ms);
	number_put(out, CHUNK_MAX, (uint64_t)told.t_max_ms);
	number_put(out, CHUNK_TYPE, told.type);
	close_message(out, chunk);
	return told.count;
}

void rread_frame_end(struct buf *out, size_t start, uint32_t query)
{
	uint8_t head[FRAME_ROOM];
	close_message(out, start + FRAME_ROOM);
	number_put(out, 2, query);
	if (out->over)
		return;
	uint8_t *message = out->data + start + FRAME_ROOM;
	size_t len = (size_t)(out->data + out->len - message), n = 0;
	uint32_t crc = crc32c(0, message, len);
	for (size_t v = len;; v >>= 7) {
		head[n++] = (uint8_t)(v >= 0x80 ? v | 0x80 : v);
		if (v < 0x80)
			break;
	}
	for (unsigned i = 0; i < 4; i++)
		head[n++] = (uint8_t)(crc >> (24 - 8 * i));
	memcpy(out->data + start, head, n);
	memmove(out->data + start + n, message, len);
	out->len = start + n + len;
}
