/*
 * estimate - what selectors will read, without reading it: a job on each shard asks the source for
 * a forecast of each (core/seam/source.h), one selector after the other.
 *
 *   estimate_start > one message per shard > done(arg), once, when all are home
 *
 * Beside it some series of each shard are put into groups by the keys of the plan
 * (core/promql/ql_trace.h), ESTIMATE_SERIES in all, and the values of labels that stand in by() are
 * counted where they are few: from that net/api/groupings.h tells how many groups there are.
 * It brings along what the loops know of how fast queries are (net/api/outlook.h).
 * Thread: the loop that started it. Memory: some 1,200 bytes a shard and 80 a selector of each, 32
 * bytes a series that is put into a group; what is asked is borrowed until done.
 */
#ifndef NET_API_ESTIMATE_H
#define NET_API_ESTIMATE_H

#include "core/account/ticket.h"
#include "core/base/distinct.h"
#include "core/promql/ql_trace.h"
#include "core/seam/source.h"

/* What queries took by their work, in powers of two (net/api/outlook.h); zero at first. */
#define OUTLOOK_BINS 44u
struct outlook_pace {
	float count;
	struct outlook_bin {
		float n, x, y; /* weight; sums of log2 of work, and of seconds */
	} bins[OUTLOOK_BINS];
};

/* Series put into groups, by how many keys; of a shard, a tenant and a selector so many. */
#define ESTIMATE_SERIES 16384u
#define ESTIMATE_LEAST  16u
#define ESTIMATE_MOST   2048u
#define ESTIMATE_NAMES  16u /* of a selector */

struct estimate_values { /* of a label, among the chosen series */
	struct distinct seen;
	bool all; /* there are no others */
};
struct estimate_ask {
	const struct ql_trace_key *keys; /* NULL: none */
	unsigned keys_count;
	const char *const *names; /* of labels whose values are counted */
	size_t names_count;
	const struct matcher *matchers;
	size_t matchers_count;
	int64_t t_min_ms, t_max_ms;
	struct source_forecast told;    /* result, over all shards */
	uint64_t columns;               /* the longest series of each shard, added up */
	struct distinct *groups;        /* by the index of the key */
	uint32_t missed;                /* bits by that: of some the labels could not be made */
	struct estimate_values *values; /* by name */
};
struct estimate {
	struct source *source;
	struct ticket *ticket;
	const uint32_t *tenants;
	size_t tenants_count;
	struct estimate_ask *asks;
	size_t count;
	const char *what; /* for the log, borrowed */
	size_t what_len;
	/* Asked on each loop that has a shard, once; borrowed. NULL: nobody is asked. */
	const struct outlook_pace *(*pace_of)(void *arg, struct loop *l);
	void (*done)(void *arg);
	void *arg;
	struct outlook_pace pace; /* result */
	enum err err;             /* result */
	struct errbuf eb;
	/* private */
	struct loop *_home;
	unsigned _out;
	uint32_t _most;
	struct estimate_piece *_pieces;
};
void estimate_start(struct estimate *e, struct arena *a);
/* After done: what the arena does not hold. */
void estimate_release(struct estimate *e);
/* Before done: it ends soon, with ERR_CANCELED. */
void estimate_cancel(struct estimate *e);

#endif
