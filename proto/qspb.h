/*
 * qspb - results of queries as InstantQueryResponse and RangeQueryResponse of
 * proto/schema/query_service.proto, whose bytes are the same: counted first, since the length of a
 * gRPC message stands before it, then encoded piece by piece; the message is never in memory whole.
 *
 *   qspb_begin(&q, value, sizes)
 *   while (!qspb_count(&q, 64 << 10))      some points at a time
 *           let others work
 *   q.bytes is the length
 *   while (!qspb_next(&q, &buf, 32 << 10)) as promjson_next
 *           send and clear buf
 *
 * A field with the value 0 is left out, as proto3 wants it; -0 and NaN are not 0, each NaN keeps
 * its bits.
 * Cost: some 0.5 ns per point to count, 4 to encode (b_promjson). Pure.
 * Memory: sizes has a place for each series; everything pointed at stays the caller's.
 */
#ifndef PROTO_QSPB_H
#define PROTO_QSPB_H

#include "core/base/buf.h"
#include "core/promql/ql.h"

struct qspb {
	const struct ql_value *_v;
	uint64_t *_sizes; /* of each series, its own head left out */
	size_t _series, _point;
	bool _begun;
	uint64_t bytes; /* of the message, once it is counted */
};
/* value: a vector, a matrix or a scalar. */
void qspb_begin(struct qspb *q, const struct ql_value *value, uint64_t *sizes);
/* About so many points more are counted; true: all are. */
bool qspb_count(struct qspb *q, size_t points);
/* Appends until out grew by at_least, or by one label set more; true: that was all. */
bool qspb_next(struct qspb *q, struct buf *out, size_t at_least);

#endif
