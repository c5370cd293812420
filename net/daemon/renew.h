/*
 * renew - certificates that were renewed are taken: every minute a worker looks at the files of all
 * listeners (as cert-manager and others replace them), reads what has changed, and new connections
 * get it. What cannot be used is told and counted, and what was there goes on.
 *
 * Thread: start, stop on the loop; looks run on a worker, in RENEW_LANE, where everything else that
 * changes listeners belongs (net/http/srv.h: one call at a time).
 */
#ifndef NET_DAEMON_RENEW_H
#define NET_DAEMON_RENEW_H

#include "core/rt/work.h"
#include "net/http/srv.h"

#define RENEW_EVERY_MS 60000u
#define RENEW_LANE     240u

struct renew;
/* The first look follows at once. */
struct renew *renew_start(struct loop *l, struct work_pool *pool, struct srv *srv);
/* No look begins after it; one may still run, until work_stop. */
void renew_stop(struct renew *r);
void renew_free(struct renew *r); /* after team_stop; NULL is fine */

#endif
