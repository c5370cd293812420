/*
 * recv_datadog - where Datadog's agents and clients submit ("Submit metrics" of the Datadog API
 * reference); bodies are read by proto/datadog.h.
 *
 *   /datadog/api/v1/series                      JSON; an agent's dd_url is http://HOST/datadog
 *   /api/v2/series                              protobuf or JSON, by its Content-Type
 *   /api/beta/sketches                          protobuf
 *   /api/intake/metrics/v3/series, .../sketches columns in protobuf
 *   /api/v1/distribution_points                 JSON
 *   /api/v1/validate                            the key is fine
 *   check runs, events, data of hosts           taken, and not kept
 * All are below /datadog; without it where no path of ours is in the way.
 *
 * Agents repeat whatever is not below 400, but 400, 403 and 413: what can never be stored is 400,
 * with all that is fine beside it stored; what may come again is 429 or 503.
 * Thread: the loop of the request.
 */
#ifndef NET_RECV_RECV_DATADOG_H
#define NET_RECV_RECV_DATADOG_H

#include "net/http/req.h"

bool recv_datadog_before_series1(struct req *r);
void recv_datadog_series1(struct req *r);
bool recv_datadog_before_series2(struct req *r);
void recv_datadog_series2(struct req *r);
bool recv_datadog_before_sketches(struct req *r);
void recv_datadog_sketches(struct req *r);
bool recv_datadog_before_columns(struct req *r);
void recv_datadog_columns(struct req *r);
bool recv_datadog_before_values(struct req *r);
void recv_datadog_values(struct req *r);
void recv_datadog_validate(struct req *r);
bool recv_datadog_before_other(struct req *r);
void recv_datadog_other(struct req *r);

#endif
