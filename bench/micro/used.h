/*
 * used - what the bench has taken of the machine. Header only.
 */
#ifndef BENCH_MICRO_USED_H
#define BENCH_MICRO_USED_H

#include <stdint.h>
#include <stdio.h>
#include <time.h>

/* Processor time of this thread: others use the machine too. */
static inline uint64_t used_cpu_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Anonymous memory of the process in bytes, as the kernel counts it; 0: it does not tell. */
static inline double used_anonymous_bytes(void)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "r");
	char line[256];
	double kib = 0;
	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "Anonymous: %lf", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib * 1024;
}

#endif
