/*
 * api_query - query and query_range ("HTTP API" of the Prometheus documentation).
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
#include "proto/promjson.h"

void api_query(struct req *r);
void api_query_range(struct req *r);

/* What net/api/api_expr.h has in common with these. */
MUST_CHECK enum err api_query_text_fits(const struct limits *l, size_t len, struct errbuf *eb);
/* prefixed: what is wrong with the expression names the parameter. */
void api_query_error(struct req *r, enum err e, const struct errbuf *eb, bool prefixed);
/* False: so much may not wait for its reader, and the request is answered with that. */
bool api_query_held(struct req *r, uint64_t bytes);

/*
 * The same for who does not answer in JSON (net/api/api_grpc.h): from the ticket to the counted
 * result, which reply(arg) reads until api_query_end. Errors are answered by apierr_json. What is
 * pointed at lives as long as the request, whose own, on_gone and on_done are the caller's.
 *
 *   api_query_plain > api_query_go > reply, or an error is answered > api_query_end
 */
struct query;
struct query_plain {
	const char *text;
	size_t text_len;
	int64_t start_ms, end_ms, step_ms; /* 0 = instant; else api_query_steps_fit */
	int64_t timeout_ms;
	void (*reply)(void *arg, const struct promjson_answer *a); /* without stats */
	void *arg;
};
bool api_query_steps_fit(int64_t start_ms, int64_t end_ms, int64_t step_ms);
struct query *api_query_plain(struct req *r, const struct query_plain *p);
void api_query_go(struct query *q);
/* The client has left, or time is up: it ends soon, answered all the same. */
void api_query_left(struct query *q);
void api_query_end(struct query *q); /* in the caller's on_done; NULL is fine */

#endif
