/*
 * api_queries - which queries are asked now, and which took most lately, as VictoriaMetrics tells
 * (/api/v1/status/active_queries, /api/v1/status/top_queries); and an end to one of them.
 *
 * Everybody sees, and cancels, what reads of his own tenants alone. Lists come from all loops.
 * Thread: the loop of the request.
 */
#ifndef NET_API_API_QUERIES_H
#define NET_API_API_QUERIES_H

#include "net/api/api.h"

void api_queries_active(struct req *r);
void api_queries_cancel(struct req *r); /* POST .../<id>/cancel: 204, 404 */
void api_queries_top(struct req *r);

#endif
