/*
 * estimate - what selectors will read, without reading it: a job on each shard asks the source for
 * a forecast of each (core/seam/source.h), one selector after the other.
 *
 *   estimate_start > one message per shard > done(arg), once, when all are home
 *
 * It brings along what the loops know of how fast queries are (net/api/outlook.h).
 * Thread: the loop that started it. Memory: some 500 bytes a shard and 80 a selector of each; what
 * is asked is borrowed until done.
 */
#ifndef NET_API_ESTIMATE_H
#define NET_API_ESTIMATE_H

#include "core/account/ticket.h"
#include "core/seam/source.h"

struct outlook_pace { /* sums, weighted (net/api/outlook.h); zero at first */
	double count, n, x, y, xx, xy;
};

struct estimate_ask {
	const struct matcher *matchers;
	size_t matchers_count;
	int64_t t_min_ms, t_max_ms;
	struct source_forecast told; /* result, over all shards */
	uint64_t columns;            /* the longest series of each shard, added up */
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
	struct estimate_piece *_pieces;
};
void estimate_start(struct estimate *e, struct arena *a);
/* Before done: it ends soon, with ERR_CANCELED. */
void estimate_cancel(struct estimate *e);

#endif
