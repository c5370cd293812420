/*
 * outlook - what a query will take, by estimates of what it reads (net/api/estimate.h): memory,
 * which limit would refuse it, and how long it would run.
 *
 * The time follows from what queries took that have ended: each loop keeps (outlook_note) of its
 * last ones, some dozens, the mean of the logarithm of their seconds, by their work in powers of
 * two. Through these a line is laid near the work that is asked for, neither falling nor steeper
 * than in proportion; for more than all of them it goes on in proportion, less takes as long as the
 * least. Logarithms, since a machine that is busy makes some queries ten times longer, and a mean
 * of times would be theirs. Work is samples read, values made (series times steps) and series. They
 * tell of the machine, not of what anybody has.
 *
 * Thread: a pace on its loop; sums of copies anywhere. Cost: 0.1 us a query, 1 us to be asked.
 */
#ifndef NET_API_OUTLOOK_H
#define NET_API_OUTLOOK_H

#include "core/model/limits.h"
#include "core/promql/ql.h"
#include "core/promql/ql_trace.h"
#include "net/api/estimate.h"

struct outlook_work {
	uint64_t samples, values, series;
};
void outlook_note(struct outlook_pace *p, struct outlook_work w, double seconds);
void outlook_add(struct outlook_pace *p, const struct outlook_pace *more);
/* The time of so much work; negative: too few queries have ended. *per_s: work a second. */
double outlook_seconds(const struct outlook_pace *p, struct outlook_work w, double *per_s);

#define OUTLOOK_REFUSALS 3u
struct outlook_limits { /* of who asks */
	uint64_t samples, memory, timeout_ms;
};
struct outlook {
	struct source_forecast all; /* of all selectors */
	uint64_t values_most;
	uint64_t points; /* that it holds at once: columns, and samples as they are */
	uint64_t memory; /* bytes, about */
	uint64_t points_least, memory_least; /* the same with a third of unsure groups */
	double seconds, per_s;               /* < 0: not known */
	struct outlook_refusal {
		enum limits_id limit;
		uint64_t most, wants;
		bool sure; /* also when groups are fewer, or the machine is faster than lately */
	} refusals[OUTLOOK_REFUSALS];
	unsigned refusals_count;
};
/*
 * Groups of the plan are counted (net/api/groupings.h). peek: what kept results spare; stretches of
 * steps that they lack are evaluated one after the other, and joined with them.
 */
void outlook_make(struct outlook *o, const struct ql_trace *t, const struct estimate *e,
    const struct ql_peek *peek, const struct outlook_limits *limits);
/* What two parts of the same will read together. */
void outlook_gather(struct source_forecast *to, const struct source_forecast *more);
uint64_t outlook_times(uint64_t a, uint64_t b); /* UINT64_MAX: more than that */
uint64_t outlook_plus(uint64_t a, uint64_t b);

#endif
