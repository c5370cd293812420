/*
 * pacer - a paced run of "kymobench write": bodies are made while others are sent.
 *
 * A thread makes bodies in order; each connection has a queue. A body is due at its round's begin
 * plus its share of the round, as scrapes of many targets spread over their interval. What was late
 * (the server, or this machine) is told as lateness: sent minus due.
 * Memory: bodies that wait are bounded by memory_bytes, all queues together: the maker waits. The
 * samples of latency and lateness are bounded by PACER_KEPT: every 2nd, 4th, ... is kept when there
 * are more.
 * With create, the first round is sent as fast as it is taken; the clock of the others begins when
 * it is over.
 * Thread: pacer_run on the caller's; one for the maker, one for each connection.
 */
#ifndef BENCH_LOAD_PACER_H
#define BENCH_LOAD_PACER_H

#include "bench/load/httpc.h"
#include "bench/load/loadgen.h"

#define PACER_KEPT    (1u << 20)
#define PACER_THREADS 64u

struct pacer_opts {
	struct loadgen *gen;
	const struct httpc_url *url;
	const char *path;
	unsigned connections;
	uint64_t first, rounds;
	double pace_s, retry_s;
	size_t memory_bytes;
	int pid; /* of the server; 0 = not looked at */
	bool create;
	double every_s; /* a line on stderr so often; 0 = none */
};
/* Prints one JSON line. False: requests failed. */
bool pacer_run(const struct pacer_opts *o);

#endif
