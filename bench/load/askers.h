/*
 * askers - clients that ask the queries of a dashboard one after another without a pause, each over
 * a connection of its own, until they are told to end.
 *
 * Threads: one a client; begin and end from one thread. Memory: askers_end frees all.
 */
#ifndef BENCH_LOAD_ASKERS_H
#define BENCH_LOAD_ASKERS_H

#include "bench/load/httpc.h"
#include "bench/load/shapes.h"

struct askers;
struct askers_opts {
	const char *url; /* query base */
	const struct shapes *shapes;
	unsigned clients;
	double start_s, end_s; /* range of queries without one of their own */
	double step_s, speed;  /* speed: seconds by which the range moves on per second of time */
};
MUST_CHECK enum err askers_begin(const struct askers_opts *o, struct askers **out, struct errbuf *eb);
struct asked {
	uint64_t answers, failed;
	double p50_ms, p99_ms, per_s; /* of those that were answered with 200; NaN: none */
	char why[300];                /* the first that failed; "" */
};
void askers_end(struct askers *a, struct asked *out);

#endif
