/*
 * api_exemplars - query_exemplars ("HTTP API" of the Prometheus documentation): the exemplars of
 * all series that the selectors of an expression choose, sorted by series, then by time.
 *
 * Parameters are checked, then the request waits for its ticket, the expression is parsed, its
 * selectors are collected by net/api/scan, and the answer goes out piece by piece.
 * Thread: the loop of the request.
 */
#ifndef NET_API_API_EXEMPLARS_H
#define NET_API_API_EXEMPLARS_H

#include "net/api/api.h"

void api_query_exemplars(struct req *r);

#endif
