/*
 * fleet - the connections of a run: bodies in, tallies out.
 *
 * A body goes to the connection of its batch number, so that a series' samples go over one
 * connection, in time order, as the shards of a sender do. A connection has up to in_flight
 * requests on their way, never two of one batch number: the samples of a series would overtake one
 * another (HTTP/2).
 * A body with a due time waits for it. Answers 5xx and broken connections are repeated for retry_s
 * seconds, as a sender does; what is not 2xx then has failed. When nothing was ever taken and
 * FLEET_REFUSALS requests were refused, or one was repeated for all its time, the rest is dropped.
 * lead: rounds that a connection may be ahead of the slowest one.
 *
 * Thread: fleet_* from one thread (the maker's); each connection has a thread of its own.
 * Memory: bodies are the fleet's from fleet_push on; fleet_push waits while more than memory_bytes
 * of them are in the queues.
 */
#ifndef BENCH_LOAD_FLEET_H
#define BENCH_LOAD_FLEET_H

#include "bench/load/lane.h"
#include "bench/load/rwbody.h"
#include "bench/load/sampleset.h"

#define FLEET_REFUSALS 20u

struct fleet_body {
	struct list_link link;
	uint64_t round, batch;
	bool first;  /* of the round that is counted alone */
	double at_s; /* due so long after the clock's begin; < 0: at once */
	struct rwbody_counts counts;
	/* the fleet's */
	struct lane_call call;
	uint64_t begun_ns, again_ns; /* first sent; to be sent again (0 = not) */
	uint8_t data[];
};
struct fleet_opts {
	const struct httpc_url *url;
	const char *path;
	enum rwbody_protocol protocol;
	bool h2;
	unsigned connections, in_flight;
	double retry_s;
	uint64_t lead;       /* UINT64_MAX = any */
	size_t memory_bytes; /* SIZE_MAX = any */
	/* Called when a request ended for good, on the connection's thread; may be NULL. */
	void (*ended)(void *arg, const struct fleet_body *b, bool taken);
	void *arg;
};
struct fleet_tally {
	uint64_t samples, hists, exemplars; /* in what was taken */
	uint64_t first_samples;             /* of these: in the first round */
	uint64_t bytes;                     /* of bodies taken */
	double sum, size;                   /* of floats taken */
	bool odd;
	uint64_t requests, failed, retries, rejected, partial, refused, written_wrong, taken;
	uint64_t waiting_peak;        /* bytes in queues */
	char why[LANE_TEXT_MAX + 32]; /* the first refusal */
};
enum fleet_set {
	FLEET_FIRST,   /* answers 2xx of the first round */
	FLEET_LATENCY, /* of the others: answered - sent, the last time */
	FLEET_REFUSED, /* answers 429 and 503 */
	FLEET_LATE,    /* sent - due */
	FLEET_DUE,     /* answered 2xx - due */
	FLEET_SPAN,    /* FLEET_DUE, or FLEET_LATENCY of what was never due, since fleet_span */
	FLEET_SETS
};

struct fleet;
struct fleet *fleet_new(const struct fleet_opts *o);
/* The rest of the body (link, counts, call) is made here. */
void fleet_push(struct fleet *f, const struct fleet_body *like, const struct buf *packed);
/* While the gate is shut nothing is sent; with the clock, due times count from now on. */
void fleet_gate(struct fleet *f, bool open);
void fleet_clock(struct fleet *f);
/* Until all that was pushed has ended: true; or that time (real monotonic; UINT64_MAX = any). */
bool fleet_drain(struct fleet *f, uint64_t until_ns);
uint64_t fleet_waiting(struct fleet *f); /* bytes of bodies in the queues */
/* Nothing more is sent: what waits is dropped, what is on its way ends. */
void fleet_stop(struct fleet *f);
bool fleet_hopeless(struct fleet *f);
void fleet_tally(struct fleet *f, struct fleet_tally *out);
double fleet_quantile_ms(struct fleet *f, enum fleet_set which, double q);
/* Quantiles of FLEET_SPAN, which begins anew; count: how many there were. */
uint64_t fleet_span(struct fleet *f, double *p50_ms, double *p99_ms, double *max_ms);
/* Ends threads: drained or stopped before. */
void fleet_free(struct fleet *f);

#endif
