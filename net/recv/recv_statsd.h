/*
 * recv_statsd - the receiver of StatsD and DogStatsD: listeners, what they bring added up, and a
 * row for each series at each flush.
 *
 *   socket of a loop > proto/statsd > route (labels, owner) > [a pack of events to the owner's
 *   mailbox] > statsdagg of the owner and tenant > every flush interval: rows, batch by batch >
 *   inlet
 *
 * (1) The kernel gives datagrams of one client to any loop; a series has one owner, so its sum is
 *     exact. Packs go home when they were read; while too many are away, nothing is read from
 *     sockets, and the kernel counts what it has to drop (kymo_statsd_kernel_drops_total).
 * (2) A sample with a timestamp (|T) is no matter of sums: it is stored as it is, at once.
 * (3) Nothing is acknowledged by the protocol: what came since the last flush is lost when the
 *     process is killed, and nothing is when it is asked to end. After a restart counters begin
 *     with 0, which rate() sees as the reset it is.
 * (4) A part of a flush that nobody can store now (disk full, busy) is tried again until it is
 *     stored; flushes that would begin meanwhile are left out.
 *
 * A turn reads STATSD_READ_NS; a flush is a job. Listeners, memory and connections hold from start
 * to end; rules, flush interval and members are those of the newest configuration.
 * Thread: create, start, stop and free the main thread, while the team runs.
 */
#ifndef NET_RECV_RECV_STATSD_H
#define NET_RECV_RECV_STATSD_H

#include "core/base/err.h"
#include "net/recv/statsdconf.h"

#define STATSD_READ_NS 200000u

struct api;
struct statsd;
struct store;
/*
 * Opens the sockets and makes tenants that have no id yet. No listener: *out is NULL. The store is
 * open; conf is copied.
 */
MUST_CHECK enum err statsd_create(struct api *a, struct store *store,
    const struct statsd_conf *conf, struct statsd **out, struct errbuf *eb);
void statsd_start(struct statsd *s); /* NULL is fine, here and below */
/*
 * Reads what lies in the sockets, closes them, and flushes all; gives up after STATSD_STOP_MS, and
 * says so in the log.
 */
#define STATSD_STOP_MS 5000u
void statsd_stop(struct statsd *s);
void statsd_free(struct statsd *s); /* stopped, or never started */

#endif
