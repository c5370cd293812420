/*
 * rwbody - bodies of Remote Write requests, 1.0 and 2.0, of a workload's rows, compressed.
 *
 * A row is one TimeSeries with one sample, as Prometheus sends them; an exemplar stands in the
 * series of its sample. 2.0: symbols in the order of their first use; metadata in each series, as
 * Prometheus has it when it knows the type.
 *
 * Thread: one. Memory: buffers that are kept from body to body.
 */
#ifndef BENCH_LOAD_RWBODY_H
#define BENCH_LOAD_RWBODY_H

#include "bench/load/loadgen.h"

enum rwbody_protocol {
	RWBODY_1,
	RWBODY_2
};
struct rwbody_opts {
	enum rwbody_protocol protocol;
	bool metadata; /* 2.0 */
	bool starts;   /* 2.0: counters carry the time of round 0 as start */
	int64_t start_ms;
};
/* What stands in a body. samples: floats and histograms; sum: of the floats, size: of theirs
 * without signs; odd: some are no finite numbers. */
struct rwbody_counts {
	uint32_t samples, hists, exemplars;
	double sum, size;
	bool odd;
};
struct rwbody;
struct rwbody *rwbody_new(const struct rwbody_opts *o);
void rwbody_free(struct rwbody *b);
/* The raw message of a batch of the generator's round; valid until the next call. */
const struct buf *rwbody_raw(
    struct rwbody *b, struct loadgen *g, uint64_t batch, struct rwbody_counts *counts);
/* The same as it is sent. */
const struct buf *rwbody_packed(
    struct rwbody *b, struct loadgen *g, uint64_t batch, struct rwbody_counts *counts);
/* Fields of the request's head, each with its end of line. */
const char *rwbody_headers(enum rwbody_protocol p);

#endif
