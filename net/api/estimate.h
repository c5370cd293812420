/*
 * estimate - how many series selectors will read at most, without reading any: a job on each shard
 * asks the index, one selector after the other.
 *
 *   estimate_start > one message per shard > done(arg), once, when all are home
 *
 * Thread: the loop that started it. Memory: some 500 bytes a shard; what is asked is borrowed until
 * done.
 */
#ifndef NET_API_ESTIMATE_H
#define NET_API_ESTIMATE_H

#include "core/account/ticket.h"
#include "core/seam/source.h"

struct estimate_ask {
	const struct matcher *matchers;
	size_t matchers_count;
	int64_t t_min_ms, t_max_ms;
	uint64_t series; /* at most; result */
};
struct estimate {
	struct source *source;
	struct ticket *ticket;
	const uint32_t *tenants;
	size_t tenants_count;
	struct estimate_ask *asks;
	size_t count;
	void (*done)(void *arg);
	void *arg;
	enum err err; /* result */
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
