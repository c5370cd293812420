/*
 * progress - how a run is going, for people: a line on a terminal that is written over and over,
 * and numbers as people read them.
 *
 * Thread: progress_begin starts one that asks the fleet twice a second; nothing is started where
 * stderr is no terminal and no line was asked for.
 * Memory: the caller's struct.
 */
#ifndef BENCH_LOAD_PROGRESS_H
#define BENCH_LOAD_PROGRESS_H

#include <pthread.h>

#include "bench/load/fleet.h"
#include "bench/load/procstat.h"

struct progress {
	struct fleet *fleet;
	const char *what;
	uint64_t goal; /* samples in all; 0 = not known */
	double goal_s; /* how long it is to go on; 0 = not known */
	int pid;
	double every_s; /* memory and CPU of pid, a line of its own, so often; 0 = never */
	pthread_t _thread;
	bool _runs, _stop, _terminal;
};
void progress_begin(struct progress *p);
void progress_end(struct progress *p); /* the line is wiped away */

#define PROGRESS_TEXT 32u
/* "1.23 M", "45.6 k", "789": three digits. */
const char *progress_count(double n, char text[PROGRESS_TEXT]);
/* "1.23 GB" */
const char *progress_bytes(double n, char text[PROGRESS_TEXT]);
/* "1 h 02 min", "3 min 05 s", "4.2 s" */
const char *progress_time(double s, char text[PROGRESS_TEXT]);

#endif
