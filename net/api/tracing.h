/*
 * tracing - what a query did (trace=1), and what it would do (explain=1), as JSON.
 *
 *   "trace":{"duration_msec":1.5,"message":"/api/v1/query: query=up: series=3","children":[...]}
 *
 * as VictoriaMetrics has it: a tree of steps, each with how long it took; below the evaluation what
 * each selector read on each shard. explain gives the plan, and how many series each selector has
 * at most (net/api/estimate.h).
 * Thread: the loop of the request. Cost: some microseconds a node, for who asks.
 */
#ifndef NET_API_TRACING_H
#define NET_API_TRACING_H

#include "core/promql/ql.h"
#include "core/promql/ql_trace.h"
#include "net/api/estimate.h"

struct tracing {
	struct ql_trace ql;
	struct arena arena; /* of ql; the ticket's */
	/* of clock_mono_ns(): it came, had its place, was parsed and planned, had a result */
	uint64_t came_ns, granted_ns, made_ns, done_ns;
	struct buf json; /* members beside "data": ,"trace":{...} */
	struct estimate estimate;
};
struct tracing_told { /* about the query */
	const char *path, *text;
	size_t path_len, text_len;
	int64_t start_ms, end_ms, step_ms;
};
void tracing_put(struct tracing *t, const struct tracing_told *about, const struct ql *ql);
/* The data of an explanation: {"plan":{...},"selectors":[...],...}. */
void tracing_explain(struct tracing *t, const struct tracing_told *about, struct buf *out);

#endif
