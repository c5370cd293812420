/*
 * otlpmake - bodies of OTLP metrics, message by message, for tests and measurements.
 *
 *   otlpmake_text(&point, 7 ...)  a message is a struct buf; otlpmake_in(&out, number, &message)
 *   puts it into another one and clears it.
 */
#ifndef TESTS_LIB_OTLPMAKE_H
#define TESTS_LIB_OTLPMAKE_H

#include "core/base/num.h"
#include "core/base/wire.h"

static inline void otlpmake_number(struct buf *b, unsigned number, uint64_t v)
{
	wire_put_varint(b, number << 3);
	wire_put_varint(b, v);
}
static inline void otlpmake_zigzag(struct buf *b, unsigned number, int64_t v)
{
	wire_put_varint(b, number << 3);
	wire_put_zigzag(b, v);
}
static inline void otlpmake_fixed(struct buf *b, unsigned number, uint64_t v)
{
	wire_put_varint(b, number << 3 | 1);
	wire_put_u64(b, v);
}
static inline void otlpmake_double(struct buf *b, unsigned number, double v)
{
	otlpmake_fixed(b, number, num_bits(v));
}
static inline void otlpmake_bytes(struct buf *b, unsigned number, const void *data, size_t len)
{
	wire_put_varint(b, number << 3 | 2);
	wire_put_lenbytes(b, data, len);
}
static inline void otlpmake_text(struct buf *b, unsigned number, const char *s)
{
	otlpmake_bytes(b, number, s, strlen(s));
}
/* The message inside goes into b, and is empty then. */
static inline void otlpmake_in(struct buf *b, unsigned number, struct buf *inside)
{
	otlpmake_bytes(b, number, inside->data, inside->len);
	buf_clear(inside);
}
/* KeyValue with a string. */
static inline void otlpmake_attr(struct buf *b, unsigned number, const char *key, const char *value)
{
	struct buf pair, any;
	buf_init(&pair);
	buf_init(&any);
	otlpmake_text(&pair, 1, key);
	otlpmake_text(&any, 1, value);
	otlpmake_in(&pair, 2, &any);
	otlpmake_in(b, number, &pair);
	buf_release(&pair);
	buf_release(&any);
}
enum { /* Metric's fields of data */
	OTLPMAKE_GAUGE = 5,
	OTLPMAKE_SUM = 7,
	OTLPMAKE_HISTOGRAM = 9,
	OTLPMAKE_EXPONENTIAL = 10,
	OTLPMAKE_SUMMARY = 11
};
/* A metric of the points in data, which is empty then; temporality 0: none. */
static inline void otlpmake_metric(
    struct buf *scope, const char *name, unsigned kind, unsigned temporality, struct buf *data)
{
	struct buf metric;
	buf_init(&metric);
	if (temporality)
		otlpmake_number(data, 2, temporality);
	if (kind == OTLPMAKE_SUM)
		otlpmake_number(data, 3, 1);
	otlpmake_text(&metric, 1, name);
	otlpmake_in(&metric, kind, data);
	otlpmake_in(scope, 2, &metric);
	buf_release(&metric);
}
/* A request of one scope, which is empty then, and these attributes of its resource. */
static inline void otlpmake_request(struct buf *out, struct buf *attributes, struct buf *scope)
{
	struct buf resource;
	buf_init(&resource);
	otlpmake_in(&resource, 1, attributes);
	otlpmake_in(&resource, 2, scope);
	otlpmake_in(out, 1, &resource);
	buf_release(&resource);
}

#endif
