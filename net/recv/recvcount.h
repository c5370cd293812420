/*
 * recvcount - what came in by each receiver, as /metrics tells: kymo_receiver_requests_total,
 * _bytes_total, _samples_total, _bad_records_total.
 *
 * recv.c counts what comes over HTTP; who has a way of his own (gRPC, packets) calls it.
 * Thread: any.
 */
#ifndef NET_RECV_RECVCOUNT_H
#define NET_RECV_RECVCOUNT_H

#include <stdint.h>

#include "core/base/metric.h"
#include "core/model/receiver.h"

STATIC(M_RECEIVER_REQUESTS_STATSD == M_RECEIVER_REQUESTS_REMOTE_WRITE + RECEIVER_STATSD);
STATIC(M_RECEIVER_BYTES_STATSD == M_RECEIVER_BYTES_REMOTE_WRITE + RECEIVER_STATSD);
STATIC(M_RECEIVER_SAMPLES_STATSD == M_RECEIVER_SAMPLES_REMOTE_WRITE + RECEIVER_STATSD);
STATIC(M_RECEIVER_BAD_STATSD == M_RECEIVER_BAD_REMOTE_WRITE + RECEIVER_STATSD);
STATIC(RECEIVERS == RECEIVER_STATSD + 1);

/* A request (or packet) of so many bytes. */
static inline void recvcount_came(enum receiver w, uint64_t bytes)
{
	metric_add((enum metric_id)(M_RECEIVER_REQUESTS_REMOTE_WRITE + (int)w), 1);
	metric_add((enum metric_id)(M_RECEIVER_BYTES_REMOTE_WRITE + (int)w), bytes);
}
/* What was in it. */
static inline void recvcount_read(enum receiver w, uint64_t samples, uint64_t bad)
{
	metric_add((enum metric_id)(M_RECEIVER_SAMPLES_REMOTE_WRITE + (int)w), samples);
	if (bad)
		metric_add((enum metric_id)(M_RECEIVER_BAD_REMOTE_WRITE + (int)w), bad);
}

#endif
