/*
 * child - processes that kymobench starts, and directories that it makes, for "compare" and
 * "mixed": whatever way the program ends, the ones are ended, by their ids, and the others removed.
 *
 * A child has a process group of its own, so that Ctrl-C reaches kymobench alone, which then ends
 * them in order; when kymobench itself is killed, the kernel ends them (PR_SET_PDEATHSIG).
 *
 * Thread: the main one. Memory: tables of fixed size.
 */
#ifndef BENCH_LOAD_CHILD_H
#define BENCH_LOAD_CHILD_H

#include <sched.h>

#include "core/base/buf.h"
#include "core/base/err.h"

#define CHILD_ARGS_MAX 64

/* SIGINT, SIGTERM and SIGHUP set child_stopped() from here on, and waiting ends early. */
void child_watch(void);
bool child_stopped(void);
/* From then on child_stopped(), too: the time is over. */
void child_limit(double seconds);
bool child_late(void); /* it was the time, nobody's signal */

/* "0,2-3". ERR_BADDATA: no list of CPUs that this process may use. */
MUST_CHECK enum err child_cpus_parse(const char *text, cpu_set_t *out, struct errbuf *eb);
void child_cpus_text(const cpu_set_t *cpus, char *out, size_t cap);

/*
 * Starts argv[0] (looked for on PATH) on these CPUs (NULL: any); what it prints goes to the file
 * log. Returns its id, or -1 with the reason in eb.
 */
int child_start(const char *const *argv, const cpu_set_t *cpus, const char *log, struct errbuf *eb);
/* It has not ended. One that has is forgotten; *status (or NULL) is as of waitpid(2) then. */
bool child_alive(int pid, int *status);
/*
 * Sends sig to it and to what it started in its group, and SIGKILL after limit_s. Returns the
 * seconds it took to end. What is left of its group is killed.
 */
double child_end(int pid, int sig, double limit_s);
/*
 * Runs argv to its end, at most limit_s: out and err (both cleared first) are what it printed.
 * ERR_TIMEOUT, ERR_CANCELED (child_stopped): it was ended. Else *status as of waitpid(2).
 */
MUST_CHECK enum err child_run(const char *const *argv, const cpu_set_t *cpus, double limit_s,
    struct buf *out, struct buf *err, int *status, struct errbuf *eb);
/* The same begun, and waited for later: one at a time. */
struct child_job {
	int pid, out_fd, err_fd;
};
MUST_CHECK enum err child_begin(
    const char *const *argv, const cpu_set_t *cpus, struct child_job *job, struct errbuf *eb);
MUST_CHECK enum err child_finish(struct child_job *job, double limit_s, struct buf *out,
    struct buf *err, int *status, struct errbuf *eb);

/* A new directory below top (NULL: TMPDIR, else /var/tmp); removed by child_dir_drop. */
MUST_CHECK enum err child_dir(const char *top, char *out, size_t cap, struct errbuf *eb);
void child_dir_drop(const char *path);
/* Ends all that still runs and removes all directories: the last thing a command does. */
void child_clean(void);

#endif
