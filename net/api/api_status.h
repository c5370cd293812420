/*
 * api_status - what the server says of itself: /api/v1/status/..., /-/healthy, /-/ready, /metrics
 * and /version ("HTTP API" of the Prometheus documentation).
 *
 * buildinfo names a Prometheus-compatible version, since clients derive features from it; our own
 * stands in revision and branch. It never has a "features" object.
 * Thread: the loop of the request.
 */
#ifndef NET_API_API_STATUS_H
#define NET_API_API_STATUS_H

#include "core/base/metric.h"
#include "net/api/api.h"

#define API_HEALTHY_NS UINT64_C(10000000000) /* every loop must have turned within this */

void api_status_buildinfo(struct req *r);
void api_status_config(struct req *r);
void api_status_flags(struct req *r);
void api_status_runtimeinfo(struct req *r);
void api_status_tsdb(struct req *r);
void api_status_blocks(struct req *r);
void api_status_walreplay(struct req *r);
void api_status_healthy(struct req *r);
void api_status_ready(struct req *r);
void api_status_reload(struct req *r);
void api_status_quit(struct req *r); /* /-/reload, /-/quit */
void api_status_metrics(struct req *r);
void api_status_version(struct req *r);
void api_status_health(struct req *r); /* /health: 200 OK */
/* What /metrics is made of, row by row: net/METRICS.md is made from it. */
void api_status_metric_rows(void (*fn)(void *arg, const struct metric_row *r), void *arg);

#endif
