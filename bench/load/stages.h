/*
 * stages - what "kymobench compare" measures of the servers of a rig, stage by stage; each adds its
 * figures to the results, with what failed beside them.
 *
 * Thread: the main one. Memory: none is kept.
 */
#ifndef BENCH_LOAD_STAGES_H
#define BENCH_LOAD_STAGES_H

#include "bench/load/rig.h"

struct stages {
	struct rig rig;
	double pairs, rounds; /* of writes: how often, samples of each series in one */
	double pace_rate, pace_s, query_rounds, restarts, crash_s;
	const char *only;       /* stages to run, "write,paced"; NULL = all */
	uint64_t series;        /* of the servers that run now */
	bool lacks[RIVALS_MAX]; /* a server holds less than it was sent */
	bool first_size;        /* the smallest number of series: what is measured once, is here */
};
/* On running servers, whose series come into being with the first round. */
void stages_create(struct stages *s);
void stages_write(struct stages *s); /* orders and versions of Remote Write, read back */
void stages_paced(struct stages *s);
void stages_memory(struct stages *s, const char *when); /* "after writing", "after the flush" */
void stages_disk(struct stages *s);
void stages_query(struct stages *s);
void stages_restart(struct stages *s);
/* A server is killed under load, started again, and asked for what it had acknowledged. */
void stages_crash(struct stages *s);
bool stages_wants(const struct stages *s, const char *stage);
/* False, with what is wrong: a list of stages of which one is none. NULL is all. */
bool stages_known(const char *only, struct errbuf *eb);

#endif
