/*
 * expopb - metric families as targets expose them in protobuf (schema/exposition.proto), each
 * behind its length, to rows of a batch: a decoder (proto/decoder.h) of the whole kind.
 *
 * What comes of a metric is as in Prometheus 3.14: summaries and classic histograms become _count,
 * _sum and their quantiles or buckets, with le and quantile in OpenMetrics' form and a bucket of
 * +Inf that may be missing; a histogram with spans, a zero threshold or a zero count is a native
 * one, without empty buckets, and its classic buckets are left out unless the options want them.
 * A time of 0 is none. Families without metrics are passed over.
 *
 * A metric whose labels or histogram may not be is bad; bytes that are no such message, or give a
 * message twice where one belongs, end the body.
 *
 * Memory: the arena's, some eight times the bytes. Thread: as decoders. Any bytes are safe
 * (fuzz_expopb, judged by protobuf-c).
 */
#ifndef PROTO_EXPOPB_H
#define PROTO_EXPOPB_H

#include "proto/decoder.h"

struct expopb_opts {  /* d->opts; NULL: all 0 */
	int64_t t_ms; /* of samples without a time; 0: of the request */
	bool created; /* start times are taken */
	bool classic; /* buckets of native histograms, too */
};
extern const struct decoder expopb_decoder;

#endif
