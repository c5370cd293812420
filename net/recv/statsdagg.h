/*
 * statsdagg - what one loop adds up of one tenant's samples of StatsD, and what becomes of it.
 *
 *   statsd_agg_take (an event) ... > every flush interval: statsd_agg_begin, statsd_agg_rows until
 *   all series have given a row (batch by batch, in slices)
 *
 *   counter          cumulative sum; a negative one is left out
 *   gauge            the last value; a change is added to it (to 0 at the beginning)
 *   set              distinct members since the last flush
 *   histogram        _bucket{le}, _sum, _count, cumulative
 *   summary          quantiles of the last max_age, _sum, _count
 *   native           a native histogram, cumulative; one that becomes too wide gets wider buckets
 *
 * (1) A series lives on one loop (statsd_target_owner), by the stem of its name: m, m_bucket, m_sum
 *     and m_count come to the same one, so that no two metrics ever write the same series, and a
 *     name has one type.
 * (2) What counts up begins with a row of 0, one interval before its first value but never before
 *     the flush before, so that rate() sees the first increments.
 * (3) Each flush gives each series one row, changed or not; one that nothing came for in its ttl
 *     gets stale markers and is forgotten.
 * (4) A family keeps the options of its first series as long as it has any.
 * (5) A sample of rate r counts 1/r times; the fractions are carried on, so that counts are whole.
 *
 * Cost: an event some 60 ns, a series about 150 bytes and its labels. No call works on all series:
 * tables grow in 256 segments.
 * Memory: taken from the purse before it is used; what does not fit is refused. What rows point at
 * lies in the caller's arena.
 * Thread: the loop it belongs to; targets are of others, read only.
 */
#ifndef NET_RECV_STATSDAGG_H
#define NET_RECV_STATSDAGG_H

#include "core/base/purse.h"
#include "core/model/batch.h"
#include "net/recv/statsdmap.h"

enum statsd_kind {
	STATSD_KIND_COUNTER,
	STATSD_KIND_GAUGE,
	STATSD_KIND_SET,
	STATSD_KIND_CLASSIC,
	STATSD_KIND_SUMMARY,
	STATSD_KIND_NATIVE
};
/* A series, as who sends it knows it. */
struct statsd_target {
	uint64_t hash; /* of labels */
	uint64_t stem; /* hash of the stem of the name: (1) */
	struct labels labels;
	const char *name, *help; /* of the family; help NULL: none */
	uint32_t name_len;
	enum statsd_kind kind;
	const struct statsd_options *options; /* of observers */
	uint64_t ttl_ms;                      /* 0: for ever */
};
void statsd_target_hash(struct statsd_target *t); /* fills in hash and stem */
static inline unsigned statsd_target_owner(const struct statsd_target *t, unsigned loops)
{
	return (unsigned)(((t->stem >> 32) * loops) >> 32);
}

enum statsd_op {
	STATSD_ADD,
	STATSD_SET_TO,
	STATSD_CHANGE,
	STATSD_MEMBER,
	STATSD_OBSERVE
};
struct statsd_event {
	const struct statsd_target *to;
	enum statsd_op op;
	union {
		double value;
		uint64_t member; /* hash of it */
	};
	double rate;
};
enum statsd_took {
	STATSD_TOOK,
	STATSD_TOOK_NEGATIVE, /* of a counter */
	STATSD_TOOK_CONFLICT, /* the name has another type */
	STATSD_TOOK_MEMORY,
	STATSD_TOOK_MEMBERS, /* the set has as many as may be */
	STATSD_TOOKS
};

struct statsd_agg;
/* start_ms: no row is older. purse: of the tenant, of all loops. */
struct statsd_agg *statsd_agg_create(struct purse *purse, int64_t start_ms);
void statsd_agg_free(struct statsd_agg *g);
void statsd_agg_members(struct statsd_agg *g, uint64_t most); /* of a set, from now on */
enum statsd_took statsd_agg_take(struct statsd_agg *g, const struct statsd_event *e, int64_t now_ms);

/* A flush at t_ms, which is later than the one before, unless the clock was set back. */
void statsd_agg_begin(struct statsd_agg *g, int64_t t_ms, uint64_t interval_ms);
/*
 * Adds rows of the flush to b, until there are `most` or more, or late says so (asked every few
 * series). True: all is there. May give none.
 */
bool statsd_agg_rows(
    struct statsd_agg *g, struct batch *b, struct arena *a, size_t most, bool (*late)(void));
uint64_t statsd_agg_series(const struct statsd_agg *g);

#endif
