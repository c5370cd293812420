/*
 * reload - the configuration file is read again while the server runs.
 *
 *   asked (SIGHUP, POST /-/reload) > LOADING (a worker reads and checks) > BINDING (storage gives
 *   ids to new tenants) > TAKING (a worker hands the new one to every loop) > who asked is answered
 *
 * (1) Whatever is wrong, the configuration in force stays as it is, whole.
 * (2) Who asks is answered by a reload that began after he asked: those who come while one runs
 *     share the next one.
 * (3) Keys that hold from start to end (--data-dir, --loops; YAML_START) keep the value in force;
 *     a file that changes one is taken, and a warning names the key.
 * (4) The command line wins over the file, as at start.
 *
 * The file, its secrets and certificates are read on workers; a loop does a few assignments in one
 * message. What was replaced is freed by a worker when the last request that began under it ends.
 *
 * Thread: create, start, stop and free the main thread, while the team runs; ask any.
 */
#ifndef NET_DAEMON_RELOAD_H
#define NET_DAEMON_RELOAD_H

#include "core/rt/team.h"
#include "net/api/api.h"
#include "net/daemon/config.h"

struct reload;
struct reload_opts {
	struct team *team;
	struct work_pool *pool;
	struct store *store; /* NULL: tenants get no ids (tests) */
	int argc;
	char **argv;
	/*
	 * On a worker, both. may: can it be taken by whatever has files and sockets? ERR_BADDATA
	 * with lines in told: nothing has changed. take: now it is in force; loops are reached by
	 * team_run_on.
	 */
	enum err (*may)(void *arg, const struct config *next, struct buf *told); /* may be NULL */
	void (*take)(void *arg, struct config *next);
	void *arg;
};
/* conf: in force. The reload has its own reference. */
struct reload *reload_create(const struct reload_opts *o, struct config *conf);
/* done is called on a's loop; from a thread that is no loop never, and a is freed (mem_free). */
void reload_ask(struct reload *r, struct api_reload *take_a);
/* Who still asks is told that it failed; returns when nothing runs any more. */
void reload_stop(struct reload *r);
void reload_free(struct reload *r); /* NULL is fine */

#endif
