/*
 * ptest_load - what a load of a script stores: the samples of each series with their histograms and
 * start times, and the native histograms that load_with_nhcb makes of classic ones.
 *
 * Two things are as Prometheus' storage has them, since scripts count on them: a stale marker
 * behind a histogram is a histogram, and counter reset hints are those that a reader of its chunks
 * gives: gauge as written; none where a histogram goes on from the one before it; else unknown.
 * So the last sample of each series is remembered from one load to the next.
 * Memory: the samples in the arena given, until the next clear.
 */
#ifndef TESTS_PROMQL_PTEST_LOAD_H
#define TESTS_PROMQL_PTEST_LOAD_H

#include "core/model/hist.h"
#include "tests/promql/ptest_script.h"

struct ptest_sample {
	int64_t t_ms, start_ms; /* start 0 = not told */
	double v;
	const struct hist *h; /* NULL = a float */
};
struct ptest_loaded {
	unsigned line;
	struct labels labels;
	struct ptest_sample *samples; /* ascending */
	size_t count;
};
struct ptest_last; /* sample of a series */
struct ptest_memory {
	struct ptest_last *last;
};
/* ERR_BADDATA: "line N: ...". */
MUST_CHECK enum err ptest_load_make(struct arena *a, struct ptest_memory *m,
    const struct ptest_cmd *c, struct ptest_loaded **out, size_t *count, struct errbuf *eb);

/* The series of load_with_nhcb (ptest_nhcb.c), added behind those that stand there. */
MUST_CHECK enum err ptest_nhcb_make(struct arena *a, const struct ptest_cmd *c,
    struct ptest_loaded *out, size_t *count, struct errbuf *eb);

#endif
