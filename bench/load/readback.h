/*
 * readback - what a server says it holds of a workload, asked after the run.
 *
 * Counts: for each metric name of the workload the samples between two times, count_over_time(),
 * and the sum of the floats, sum_over_time(), in windows of at most READBACK_MOST samples. A server
 * that shows what it took later on (VictoriaMetrics) is told to, and asked until it shows all or
 * settle_s are over.
 *
 * Thread: one. Errors: ERR_IO, ERR_BADDATA with what the server said.
 */
#ifndef BENCH_LOAD_READBACK_H
#define BENCH_LOAD_READBACK_H

#include "bench/load/answer.h"
#include "bench/load/kind.h"
#include "bench/load/loadgen.h"

#define READBACK_MOST 5000000u

struct readback {
	const struct httpc_url *url; /* base of the query API */
	const struct kind *kind;
	struct loadgen *gen;
	int64_t first_ms, last_ms; /* both within */
	uint64_t rounds;
	uint64_t want; /* asked again until so many are there */
	double settle_s;
};
struct readback_counts {
	uint64_t samples;
	double sum;
	bool summed; /* false: the sum could not be asked */
};
MUST_CHECK enum err readback_count(
    const struct readback *r, struct readback_counts *out, struct errbuf *eb);
/* An instant query's answer. */
MUST_CHECK enum err readback_ask(struct httpc *h, const struct kind *k, const char *expr,
    int64_t at_ms, struct answer *out, struct errbuf *eb);
/* What was taken becomes visible, where the kind needs to be told. */
void readback_flush(struct httpc *h, const struct kind *k);

#endif
