/*
 * recv_otlp - POST /api/v1/otlp/v1/metrics and /v1/metrics: metrics of OpenTelemetry over HTTP
 * ("OTLP Specification", OTLP/HTTP), as protobuf or JSON; the Content-Type says which, and the
 * answer has the same.
 *
 *   200  ExportMetricsServiceResponse; partial_success with rejected_data_points and error_message
 *        when something was left out: nothing of it is worth a repeat
 *   400  google.rpc.Status: it cannot be read. 413: it is too large, 415: another type or encoding
 *   429, 503  with Retry-After: it may come again (the door's, for the whole server)
 * Thread: the loop of the request.
 */
#ifndef NET_RECV_RECV_OTLP_H
#define NET_RECV_RECV_OTLP_H

#include "core/base/buf.h"
#include "net/recv/recv.h"
#include "proto/otlp.h"

bool recv_otlp_before(struct req *r);
void recv_otlp(struct req *r);

/* ---- For OTLP over gRPC ---- */

/* What the configuration says, in the request's arena. */
const struct otlp_opts *recv_otlp_opts(struct req *r);
/* Data points that were left out: those of the decoder, and rows that were refused. */
uint64_t recv_otlp_rejected(const struct recv_end *e);
/* ExportMetricsServiceResponse, as protobuf. */
void recv_otlp_response(const struct recv_end *e, struct buf *out);

#endif
