/* hostinfo - the machine that was measured on, as an object for results. Thread: the main one. */
#ifndef BENCH_LOAD_HOSTINFO_H
#define BENCH_LOAD_HOSTINFO_H

#include <jansson.h>
#include <sched.h>

/*
 * CPU model, cores, memory, kernel, which CPUs servers and the generator run on, and what a sync of
 * 4 KiB more costs on the disk below dir (median and 99th percentile of SYNCS).
 */
#define HOSTINFO_SYNCS 200
void hostinfo_tell(
    json_t *out, const cpu_set_t *servers, const cpu_set_t *generator, const char *dir);

#endif
