/*
 * api_query - query, query_range, format_query, parse_query ("HTTP API" of the
 * Prometheus documentation).
 *
 * Parameters are checked in Prometheus' order with its texts without reading the expression; then
 * the query waits for its ticket (net/api/ask.h), is parsed, evaluated whole, counted, and only
 * then
 * answered, piece by piece.
 * Waiting counts towards the timeout. A client that leaves ends its query at the next slice.
 * Thread: the loop of the request.
 */
#ifndef NET_API_API_QUERY_H
#define NET_API_API_QUERY_H

#include "net/api/api.h"

void api_query(struct req *r);
void api_query_range(struct req *r);
void api_query_format(struct req *r);
void api_query_parse(struct req *r);

#endif
