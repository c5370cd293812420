/*
 * rig - servers side by side under equal conditions, for "compare" and "mixed": each on a fresh
 * directory and free ports of loopback, all on one list of CPUs, the generator on another, and all
 * given the same bytes: what is written follows from the number of the round.
 *
 * Load comes from "kymobench write" and "kymobench query", run as children; what they print in JSON
 * is what is believed. What failed, was refused or is not there again stands beside the figure.
 *
 * Thread: the main one. Memory: rig_release, which ends all servers and removes their directories.
 */
#ifndef BENCH_LOAD_RIG_H
#define BENCH_LOAD_RIG_H

#include "bench/load/child.h"
#include "bench/load/cmd.h"
#include "bench/load/results.h"
#include "bench/load/rival.h"

#define RIG_STEP_MS 15000 /* between rounds in the data */

struct rig {
	const char *command; /* for messages */
	struct rival peers[RIVALS_MAX];
	unsigned count, chosen;                               /* chosen: named by --peer */
	const char *server, *servers_on, *generator_on, *top; /* as on the command line */
	double ports, batch, connections, series, settle_s;
	cpu_set_t server_cpus, generator_cpus;
	char self[512], dir[512], queries[600];
	json_t *root;
	uint64_t round; /* the next one of the data, the same for all */
	int64_t start_ms;
	uint64_t begin_ns;
	double limit_s;
	bool failed;
};
bool rig_add_peer(void *arg, const char *value); /* for --peer */
/* Rows for cmd_parse. */
#define RIG_ARGS(r)                                                                                 \
 { .name = "peer",                                                                                  \
	 .meta = "NAME=PROGRAM",                                                                    \
	 .help = "server to compare with, may be repeated (those found on PATH)",                   \
	 .each = rig_add_peer,                                                                      \
	 .arg = &(r) },                                                                             \
     { .name = "server",                                                                            \
	     .meta = "NAME=PROGRAM",                                                                \
	     .help = "the first one, which others are compared with (kymod beside kymobench)",      \
	     .text = &(r).server },                                                                 \
     { .name = "server-cpus",                                                                       \
	     .meta = "LIST",                                                                        \
	     .help = "CPUs of the servers, e.g. 0,2-3 (the first half)",                            \
	     .text = &(r).servers_on },                                                             \
     { .name = "generator-cpus",                                                                    \
	     .meta = "LIST",                                                                        \
	     .help = "CPUs of the load (the others)",                                               \
	     .text = &(r).generator_on },                                                           \
     { .name = "dir",                                                                               \
	     .meta = "DIR",                                                                         \
	     .help = "where data directories are made, and removed (TMPDIR, or /var/tmp)",          \
	     .text = &(r).top },                                                                    \
     { .name = "ports",                                                                             \
	     .meta = "N",                                                                           \
	     .help = "first of the ports of loopback to use, two a server (free ones)",             \
	     .num = &(r).ports },                                                                   \
     { .name = "settle",                                                                            \
	     .meta = "S",                                                                           \
	     .help = "wait at most so long until what was written can be read back (30)",           \
	     .num = &(r).settle_s },                                                                \
     { .name = "batch", .meta = "N", .help = "samples per request (2000)", .num = &(r).batch },     \
 {                                                                                                  \
  .name = "connections", .meta = "N", .help = "connections that write (4)", .num = &(r).connections \
 }

/*
 * Finds servers and CPUs and opens the results; no server runs yet. ERR_BADDATA and others: what
 * the command line says cannot be, as eb tells.
 */
MUST_CHECK enum err rig_open(struct rig *r, int argc, char **argv, struct errbuf *eb);
void rig_release(struct rig *r);

/* "[ 1:02, 3:10 left ] text" on stderr: one line that changes on a terminal, else one each. */
void rig_say(const struct rig *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
void rig_say_end(void);
double rig_elapsed_s(const struct rig *r);
/* Whether what takes about need_s can still be done within this part of the time there is. */
bool rig_may(const struct rig *r, double need_s, double part);
/* Kept in the results; the command then ends with status 1. Nothing once child_stopped(). */
void rig_problem(struct rig *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* At the end: somebody stopped it. That, or that the time was over, stands in the results. */
bool rig_stopped(struct rig *r);
void rig_tell_servers(struct rig *r); /* into the results, as they were started last */

/* All on fresh directories; a server that does not start is a problem, and is left out. */
void rig_start_all(struct rig *r);
void rig_stop_all(struct rig *r);
/* Number k in the order of pair i: 0 1 2, then 2 1 0, ... */
unsigned rig_turn(const struct rig *r, unsigned i, unsigned k);

struct rig_load {
	uint64_t first, rounds, series;
	const char *version; /* of Remote Write, "1.0" or "2.0" */
	bool shuffle, no_pid, no_verify;
	double pace_s, retry_s; /* pace_s 0: as fast as it goes */
	double memory_mb; /* of bodies that are prepared at a time; 0: as kymobench write does */
};
struct rig_wrote { /* NaN: not told */
	double samples, failed, requests, seconds, per_s, cpu_s, per_cpu_s, cores;
	double p50_ms, p99_ms; /* of answers; at a pace since they were due */
	double late_p99_ms, asked_per_s;
	double idle_after_s;    /* how long the server was waited for; at most rig_idle_limit_s() */
	double read_back;       /* samples of these rounds that the server then holds */
	char verify_error[256]; /* why it could not be asked, or what else differs; "" */
	/* what was refused, or why there are no figures; "" = all went well */
	char why[ERRBUF_SIZE];
	bool cut; /* no figures, since the time of --limit was up: nobody's failure */
};
/*
 * At a pace: true when less came through than was to be sent. Figures of such a run are of another
 * load than the others'; out is "at 41.2 k samples/s".
 */
bool rig_fell_behind(const struct rig_wrote *w, char *out, size_t cap);
double rig_idle_limit_s(const struct rig *r);
/* One run of "kymobench write"; false: no figures at all. */
bool rig_write(struct rig *r, struct rival *p, const struct rig_load *load, struct rig_wrote *out);
/* Of a run that did not go well, among the problems; one that was cut is no failure. */
void rig_tell(struct rig *r, const struct rival *p, const char *what, const struct rig_wrote *w);
MUST_CHECK enum err rig_write_begin(struct rig *r, struct rival *p, const struct rig_load *load,
    struct child_job *job, struct errbuf *eb);
void rig_no_figures(struct rig_wrote *w); /* all NaN and "" */
bool rig_write_finish(struct rig *r, struct child_job *job, double limit_s, struct rig_wrote *out);
bool rig_writes_v2(struct rig *r); /* this kymobench can write Remote Write 2.0 */
/* The one JSON object, or array of them by line, that a command of kymobench prints; or NULL. */
json_t *rig_json_lines(const struct buf *out);

#endif
