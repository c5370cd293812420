/*
 * victim - the server that "kymobench crash" starts, kills and starts again over the same
 * directory.
 *
 * kymod, victoria-metrics and prometheus are known by the name of their file: they get the flags
 * for directory and address, the rest is the caller's. Of others, {port} and {dir} in the flags
 * become port and directory. It listens on 127.0.0.1 alone, and ends with kymobench.
 *
 * Thread: one, which lives as long as the server. Memory: the caller's struct.
 */
#ifndef BENCH_LOAD_VICTIM_H
#define BENCH_LOAD_VICTIM_H

#include <sys/types.h>

#include "bench/load/kind.h"

#define VICTIM_FLAGS_MAX 60u
struct victim {
	const char *program;
	char *const *flags;
	int flags_count;
	char dir[400];
	unsigned port;
	bool (*stop)(void); /* waiting ends when it says so; NULL: never does */
	/* made by victim_init */
	const struct kind *kind;
	struct httpc_url url;
	char log[440], texts[4][512];
	pid_t pid; /* 0: does not run */
};
/* program, flags, dir and port are set; port 0: a free one. kind: a name, or NULL. */
MUST_CHECK enum err victim_init(struct victim *v, const char *kind, struct errbuf *eb);
/*
 * Starts it and waits until it is ready; *ready_s: how long that took. ERR_IO with the end of its
 * log: it ended, or was not ready within limit_s.
 */
MUST_CHECK enum err victim_start(
    struct victim *v, double limit_s, double *ready_s, struct errbuf *eb);
/* Sends the signal to it and to what it started, and waits for the end. */
void victim_end(struct victim *v, int sig);

#endif
