/*
 * selfmon - the server records its own counters: every 5 s the rows of core/base/metric go to the
 * sink as series with job="kymo", instance="host:port" (the host's name, the port that is listened
 * on), and up{job="kymo"} 1, without a round trip over HTTP. A write that is refused is counted by
 * the sink and tried again at the next tick.
 *
 * Thread: loop 0. At most one write is under way; a tick that comes before its answer is left out.
 */
#ifndef NET_DAEMON_SELFMON_H
#define NET_DAEMON_SELFMON_H

#include "core/rt/loop.h"
#include "core/seam/sink.h"

#define SELFMON_EVERY_MS 5000

struct selfmon;
/* On loop l. address: what is listened on, "0.0.0.0:9470". The first write follows at once. */
struct selfmon *selfmon_start(struct loop *l, struct sink *sink, const char *address);
/* What its series have as instance; as long as it lives. */
const char *selfmon_instance(const struct selfmon *s);
/* On the same loop; done(arg) when nothing is under way any more and *s is freed. */
void selfmon_stop(struct selfmon *s, void (*done)(void *arg), void *arg);

#endif
