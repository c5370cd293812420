/*
 * rival - a server that "kymobench compare" and "mixed" start themselves: kymod and others that
 * take Remote Write and answer PromQL. What is known of each kind stands in one table: paths,
 * flags, how it is told to write all to files, and what its answer to a write promises.
 *
 * A peer is named as NAME=PROGRAM, whose kind its file name tells, or as NAME=COMMAND LINE with
 * {port} and {dir} in it for servers that are not known here; NAME then chooses the paths
 * ("mimir-2" writes to /api/v1/push), /api/v1/write when it says nothing.
 *
 * Thread: the main one. Memory: the peer's own; rival_release.
 */
#ifndef BENCH_LOAD_RIVAL_H
#define BENCH_LOAD_RIVAL_H

#include <sched.h>

#include "bench/load/httpc.h"
#include "core/base/err.h"

#define RIVALS_MAX     8
#define RIVAL_NAME_MAX 48

enum rival_kind {
	RIVAL_KYMOD,
	RIVAL_VICTORIA,
	RIVAL_PROMETHEUS,
	RIVAL_THANOS,
	RIVAL_MIMIR,
	RIVAL_OTHER
};

struct rival {
	char name[RIVAL_NAME_MAX];
	enum rival_kind kind;
	char program[512]; /* path, or the command line of RIVAL_OTHER */
	char version[160];
	char command[2048];  /* as it was started last */
	char top[512];       /* its directory: data, log */
	int port, more_port; /* more_port: where Thanos is asked for health */
	int pid;             /* 0: does not run */
};
/*
 * "name=program" or a program alone. ERR_BADDATA, ERR_NOTFOUND: no such program; ERR_UNSUPPORTED:
 * one that speaks no Remote Write.
 */
MUST_CHECK enum err rival_parse(const char *text, struct rival *out, struct errbuf *eb);
/* kymod beside this program, then known servers on PATH; how many, at most max. */
unsigned rival_find(struct rival *out, unsigned max);
/* The first line that the program says of itself, or the package that it came with. */
void rival_ask_version(struct rival *p);

/* Where it is written to and asked; "" when it answers no queries. */
void rival_write_url(const struct rival *p, char *out, size_t cap);
void rival_query_url(const struct rival *p, char *out, size_t cap);
const char *rival_promise(const struct rival *p); /* what a 2xx to a write means */
const char *rival_queries(const struct rival *p); /* where its answers may differ; "" = nowhere */

/* Makes its directory below top. port: 0 = a free one. */
MUST_CHECK enum err rival_prepare(struct rival *p, const char *top, unsigned port, struct errbuf *eb);
/*
 * Starts it over what its directory holds, on these CPUs. *ready_s is the time from its start until
 * it says that it is ready, at most limit_s. After an error it does not run.
 */
MUST_CHECK enum err rival_start(
    struct rival *p, const cpu_set_t *cpus, double limit_s, double *ready_s, struct errbuf *eb);
double rival_stop(struct rival *p, int sig); /* seconds until it had ended */
void rival_release(struct rival *p);         /* ends it and removes its directory */
bool rival_running(struct rival *p);

/* All that was taken can be read: for servers that show it later. */
MUST_CHECK enum err rival_settle(struct rival *p, struct errbuf *eb);
/*
 * Memory to files, and files merged, by the peer's own ways; ERR_UNSUPPORTED: it has none. *files
 * is what the data then takes, with its index; *whole all of its directory with logs.
 */
struct rival_bytes {
	double files, whole;
	const char *what; /* what files is, of this kind */
};
MUST_CHECK enum err rival_flush(struct rival *p, struct rival_bytes *out, struct errbuf *eb);
double rival_whole_bytes(const struct rival *p); /* of its data directory, as it stands */

/*
 * The program under the file name that tells its kind, whatever it is called: a link in its
 * directory. ERR_IO.
 */
MUST_CHECK enum err rival_known_name(const struct rival *p, char *out, size_t cap, struct errbuf *eb);

/* GET of a path below its query base, or POST; status and the answer, or -1. */
int rival_ask(struct rival *p, const char *method, const char *path, struct buf *answer);

#endif
