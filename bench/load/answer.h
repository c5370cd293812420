/*
 * answer - a query's answer from the JSON of Prometheus' HTTP API, so that two servers' answers can
 * be compared: series by their labels, whatever order they come in, points by time and value.
 *
 * Thread: one at a time. Memory: the answer's arena; answer_release.
 */
#ifndef BENCH_LOAD_ANSWER_H
#define BENCH_LOAD_ANSWER_H

#include "core/base/arena.h"
#include "core/base/err.h"

struct answer_point {
	double t_s, v;
};
struct answer_series {
	const char *key; /* labels in order: name="value",... as the JSON spells them */
	struct answer_point *points;
	size_t count;
};
struct answer {
	struct arena arena;
	struct answer_series *series; /* by key */
	size_t count;
};
/* ERR_MALFORMED: that is no answer of such an API; *out is released then. */
MUST_CHECK enum err answer_parse(const char *text, size_t len, struct answer *out);
void answer_release(struct answer *a);
/*
 * Same series, same times, values that differ by at most 1e-9 of their size. False: why names the
 * first difference.
 */
bool answer_equal(const struct answer *a, const struct answer *b, struct errbuf *why);

#endif
