/*
 * api_expr - expressions that are not evaluated: format_query and parse_query ("HTTP API" of the
 * Prometheus documentation), and parse_query?check=1, for editors: 200 with {} or with
 * {"error": "1:5: parse error: ..."}, since a mistake in what somebody is typing is no error.
 *
 * They wait for a ticket as queries do (net/api/ask.h); what is costly to parse a worker parses.
 * Thread: the loop of the request.
 */
#ifndef NET_API_API_EXPR_H
#define NET_API_API_EXPR_H

#include "net/api/api.h"

void api_expr_format(struct req *r);
void api_expr_parse(struct req *r);

#endif
