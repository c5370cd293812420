/*
 * api_federate - /federate: the newest sample of each series that match[] selects, as text that
 * Prometheus scrapes ("Federation" of its documentation).
 *
 * Series come sorted by metric name, then by labels, each with the time of its sample; a series
 * whose newest sample is older than the lookback, a stale marker or a native histogram is left out.
 * Errors are plain text.
 * Thread: the loop of the request.
 */
#ifndef NET_API_API_FEDERATE_H
#define NET_API_API_FEDERATE_H

#include "net/api/api.h"

void api_federate(struct req *r);

#endif
