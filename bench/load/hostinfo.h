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

/*
 * The disk's own sync: what HOSTINFO_SYNCS times pwrite of bytes and fdatasync take in a file of
 * dir
 * whose blocks are written already, so the file system has nothing to note. The file is removed.
 * Errors: 0 or errno.
 */
struct hostinfo_sync {
	double p50_ms, p99_ms, max_ms;
};
int hostinfo_sync(const char *dir, size_t bytes, struct hostinfo_sync *out);

#endif
