/*
 * api_grpc - the gRPC services of the server: codesprintpro.monitoring.v1.QueryService
 * (proto/schema/query_service.proto), health (net/api/api_health.h), reflection
 * (net/grpc/greflect.h).
 *
 * A query goes the way of /api/v1/query and /api/v1/query_range (net/api/api_query.h), from the
 * same ticket to the same result; the answer is counted, then encoded while it is sent. Its
 * deadline is that of the call, at most --query.timeout.
 *   result   scalar: one series without labels; string: INVALID_ARGUMENT; with native histograms:
 *            UNIMPLEMENTED. Warnings and infos are metadata behind it: kymo-warning, kymo-info,
 *            escaped as grpc-message is
 *   errors   as codes of core/base/err.h are told by grpcf_of_err (proto/grpcf.h)
 * Paths of gRPC are those of its methods, whatever --web.route-prefix says (ROUTE_ROOT).
 * Thread: the loop of the request.
 */
#ifndef NET_API_API_GRPC_H
#define NET_API_API_GRPC_H

#include "net/api/api.h"

void api_grpc(struct req *r); /* the handler of all its routes */
/* Of a method's path: is there a service with this name ("package.Service")? */
bool api_grpc_has(const char *service);

#endif
