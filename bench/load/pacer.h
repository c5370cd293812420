/*
 * pacer - bodies of rounds for a fleet: as many as there is memory for, ahead of time; with a pace
 * each one is due at its round's begin plus its share of the round, as scrapes of many targets
 * spread over their interval.
 *
 * With create, the first round is sent as fast as it is taken; the clock of the others begins when
 * it is over. Without a pace everything is due at once.
 *
 * Thread: the caller's makes the bodies. Memory: as fleet_opts.memory_bytes says.
 */
#ifndef BENCH_LOAD_PACER_H
#define BENCH_LOAD_PACER_H

#include "bench/load/fleet.h"
#include "bench/load/loadgen.h"

struct pacer {
	struct loadgen *gen;
	struct rwbody *body;
	struct fleet *fleet;
	uint64_t first, rounds; /* rounds: UINT64_MAX = until stop */
	double pace_s;          /* 0 = as fast as it goes */
	bool create;
	const bool *stop; /* looked at between bodies; may be NULL */
	/* told: */
	double created_s; /* how long the first round took */
	void (*created)(void *arg);
	void *arg;
};
/*
 * One round of bodies, due at that time of the clock (seconds; < 0: at once), spread over pace_s.
 */
void pacer_push_round(struct pacer *p, uint64_t round, double at_s);
/* All rounds; all of them have ended when it returns. */
void pacer_run(struct pacer *p);

#endif
