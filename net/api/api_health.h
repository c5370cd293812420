/*
 * api_health - grpc.health.v1.Health ("GRPC Health Checking Protocol" of the gRPC documentation).
 *
 * "" is the server as a whole. SERVING when every loop answers, as /-/ready says it; NOT_SERVING
 * while starting and stopping. A service without a name of ours: Check NOT_FOUND, Watch
 * SERVICE_UNKNOWN. Watches end with UNAVAILABLE when the server stops, so that it need not wait.
 * Thread: the loop of the call.
 */
#ifndef NET_API_API_HEALTH_H
#define NET_API_API_HEALTH_H

#include "net/api/api.h"
#include "net/grpc/gsrv.h"

void api_health_check(struct gcall *c, const void *msg, size_t len);
void api_health_watch(struct gcall *c, const void *msg, size_t len);
void api_health_cancelled(struct gcall *c);
void api_health_done(struct gcall *c);
/* The phase of this loop has changed. */
void api_health_phase(struct api_loop *l);

#endif
