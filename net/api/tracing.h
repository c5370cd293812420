/*
 * tracing - what a query did (trace=1), and what it would do (explain=1), as JSON.
 *
 *   "trace":{"duration_msec":1.5,"message":"/api/v1/query: query=up: series=3","children":[...]}
 *
 * as VictoriaMetrics has it: a tree of steps, each with how long it took; below the evaluation what
 * each selector read on each shard. Every step has beside it, as numbers, what its message says:
 *   kind        query, admission, plan, evaluation, read, shard, finish, sort, answer
 *   start_msec  since the request came
 *   read, shard  series, samples, samples_memory, samples_files, bytes_memory, bytes_files (what
 *               they stood in, encoded)
 *   shard       shard, loop, bytes_source, bytes_sent; busy_msec, wait_turn_msec (other work of its
 *               loop), wait_files_msec (workers), wait_home_msec (the loop that asked): these four
 *               are all of the time from its start
 * At most TRACING_SHARDS shards are told one by one; the others' number stands in `left_out`.
 * explain gives the plan, and of each selector and of all what would be read, held and waited for
 * (net/api/estimate.h, outlook.h).
 * Thread: the loop of the request. Cost: some microseconds a node, for who asks.
 */
#ifndef NET_API_TRACING_H
#define NET_API_TRACING_H

#include "core/promql/ql.h"
#include "core/promql/ql_trace.h"
#include "net/api/estimate.h"
#include "net/api/outlook.h"

#define TRACING_SHARDS 2048u

struct tracing {
	struct ql_trace ql;
	struct arena arena; /* of ql; the ticket's */
	/* of clock_real_mono_ns(): it came, had its place, was parsed and planned, had a result */
	uint64_t came_ns, granted_ns, made_ns, done_ns;
	struct buf json;    /* members beside "data": ,"trace":{...} */
	uint64_t encode_ns; /* of the answer, until now */
	unsigned loop;
	struct estimate estimate;
	struct outlook outlook;
	struct ql_peek peek;
	uint64_t memory_max;
};
struct tracing_told { /* about the query */
	const char *path, *text;
	size_t path_len, text_len;
	int64_t start_ms, end_ms, step_ms;
};
void tracing_put(struct tracing *t, const struct tracing_told *about, const struct ql *ql);
/* Asks for estimates of all selectors; what the caller knows stands in e. */
void tracing_ask(struct tracing *t, struct estimate e);
/* The data of an explanation: {"plan":{...},"selectors":[...],...}. */
void tracing_explain(struct tracing *t, const struct tracing_told *about, struct buf *out);
/* Before the query goes. */
void tracing_release(struct tracing *t);

#endif
