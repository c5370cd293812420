/*
 * kind - what server is there: its paths, and what its 2xx promises.
 *
 * A kind is named (--kind), or found: each of them tells its own name in GET /metrics. What cannot
 * be found is taken for a server with Prometheus' paths.
 *
 * Thread: any. Memory: static.
 */
#ifndef BENCH_LOAD_KIND_H
#define BENCH_LOAD_KIND_H

#include "bench/load/httpc.h"

struct kind {
	const char *name;
	const char *write; /* path of Remote Write */
	const char *read;  /* what stands before /api/v1/query */
	const char *flush; /* GET: what was taken is visible after it; NULL: it is at once */
	const char *extra; /* parameters of a query that is to see everything; "" */
	const char *promise;
	/* A part of what /metrics says; NULL: not found by it. */
	const char *mark;
};
/* ERR_BADDATA: no such name; eb tells them all. */
MUST_CHECK enum err kind_named(const char *name, const struct kind **out, struct errbuf *eb);
/* Asks the server. Never NULL. */
const struct kind *kind_probe(const struct httpc_url *u);

#endif
