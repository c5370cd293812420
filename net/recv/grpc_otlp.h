/*
 * grpc_otlp - opentelemetry.proto.collector.metrics.v1.MetricsService/Export: metrics of
 * OpenTelemetry over gRPC ("OTLP Specification", OTLP/gRPC), by the decoder and the way of those
 * over HTTP (net/recv/recv_otlp.h).
 *
 *   OK                  all of it is stored, or partial_success says what was left out
 *   INVALID_ARGUMENT    it cannot be read, and never will
 *   UNAVAILABLE, RESOURCE_EXHAUSTED  with google.rpc.RetryInfo: it may come again then; so are the
 *                       door's refusals (rates, load)
 *   RESOURCE_EXHAUSTED  without it: the message is larger than --grpc.max-message-bytes
 *   UNIMPLEMENTED       the receiver is off
 * Thread: the loop of the request. A client that leaves does not stop what is being stored.
 */
#ifndef NET_RECV_GRPC_OTLP_H
#define NET_RECV_GRPC_OTLP_H

#include "net/grpc/gsrv.h"

#define GRPC_OTLP_SERVICE "opentelemetry.proto.collector.metrics.v1.MetricsService"
#define GRPC_OTLP_EXPORT  "/" GRPC_OTLP_SERVICE "/Export"

/* By the head: false, it has answered. */
bool grpc_otlp_before(struct req *r);
/* Of the table of methods. */
void grpc_otlp_message(struct gcall *c, const void *msg, size_t len);
void grpc_otlp_cancelled(struct gcall *c);
void grpc_otlp_done(struct gcall *c);

#endif
