/*
 * cardmon - explosions of cardinality (storage/append/alarm.h) as series of the tenant's own, so
 * that they can be played back: every CARDMON_EVERY_MS, of each tenant that something explodes in,
 *   kymo_cardinality_values_per_second{kind, metric, label, target, job="kymo", instance}
 * new values a second of a label, or rows a second on which a rule acts. They go to that tenant, as
 * metrics of the server (batch.own): nobody else sees them. Nothing explodes: nothing is written.
 *
 * Thread: loop 0. At most one write is under way; a tick that comes before the last tenant had its
 * turn is left out. Memory: a copy of the rows while they are written.
 */
#ifndef NET_DAEMON_CARDMON_H
#define NET_DAEMON_CARDMON_H

#include "core/rt/loop.h"
#include "storage/store.h"

#define CARDMON_EVERY_MS 5000

struct cardmon;
/* On loop l. instance: as self metrics have it. */
struct cardmon *cardmon_start(struct loop *l, struct store *st, const char *instance);
/* On the same loop; done(arg) when nothing is under way any more and *m is freed. */
void cardmon_stop(struct cardmon *m, void (*done)(void *arg), void *arg);

#endif
