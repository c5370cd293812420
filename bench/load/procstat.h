/*
 * procstat - CPU time over all threads and memory of another process, from /proc. What the process
 * has started itself is counted with it: a server may be behind a script.
 */
#ifndef BENCH_LOAD_PROCSTAT_H
#define BENCH_LOAD_PROCSTAT_H

#include "core/base/err.h"

struct procstat {
	double cpu_s;   /* user + system, all threads, ended ones included */
	double rss_mb;  /* VmRSS */
	double anon_mb; /* RssAnon */
	double peak_mb; /* VmHWM */
};
struct procstat_thread {
	char name[16];
	double cpu_s;
};
/* CPU time of the threads whose name begins so, at most max; how many there are. */
unsigned procstat_threads(int pid, const char *name, struct procstat_thread *out, unsigned max);
/*
 * CPU time of the threads that there are, to the microsecond; 0: no such process. It is less than
 * before when a thread has ended.
 */
uint64_t procstat_cpu_ns(int pid);
MUST_CHECK enum err procstat_read(int pid, struct procstat *out);
/*
 * Waits until the process used less than 2 % of a core for 2 s, at most limit_s. Returns how long
 * it waited.
 */
double procstat_wait_idle(int pid, double limit_s);

#endif
