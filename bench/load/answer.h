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
 * Same series, same times, values that differ by at most tolerance of their size (the larger of the
 * two). True: nothing differs. Servers may define a function differently: how much of the answer is
 * the same is told, too.
 */
struct answer_diff {
	size_t points, near; /* of all series; those within the tolerance */
	double largest;      /* difference of two values, of their size */
	bool others;         /* some series, or times, are not the same */
};
bool answer_compare(const struct answer *a, const struct answer *b, double tolerance,
    struct answer_diff *diff, struct errbuf *first);

#endif
