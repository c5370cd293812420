/*
 * slowlog - queries that took long (--log.slow-queries, 5s).
 *
 * In the log, one line at once, then at most one in ten seconds and loop, which says how many were
 * left out:
 *   event=slow_query seconds=12.3 samples=48000000 from=10.0.0.1:40312 query="sum(..." bytes=512
 * bytes: of the whole text, of which SLOWLOG_TEXT_BYTES are shown. Seconds count from the request's
 * head, waiting for a place included.
 *
 * In a file (--log.slow-queries-file) all of them, whole (to SLOWLOG_FILE_BYTES), as lines of JSON
 * with the names of Prometheus' query log, and more:
 *   {"ts", "params": {"query", "start", "end", "step"}, "stats": {"timings": {"evalTotalTime",
 *    "resultSortTime", "queryPreparationTime", "innerEvalTime", "execQueueTime", "execTotalTime",
 *    "parseTime"}, "samples": {"totalQueryableSamples", "peakSamples", "samplesRead"}, "series",
 *    "steps", "stepsKept"}, "seconds", "error", "httpRequest": {"clientIP", "method", "path"},
 *    "tenant", "identity", "userAgent"}
 * Times of samples in RFC 3339, step and timings in seconds; step 0: at one time. error, identity,
 * userAgent where there is one; tenant: of one tenant.
 *
 * Thread: the loop of the request.
 */
#ifndef NET_API_SLOWLOG_H
#define NET_API_SLOWLOG_H

#include "core/promql/ql.h"
#include "net/api/running.h"

#define SLOWLOG_USUAL_MS   5000
#define SLOWLOG_TEXT_BYTES 200u
#define SLOWLOG_FILE_BYTES (64u << 10)

/*
 * Once, when the query has its result or its error (NULL: none). What took less than it takes to
 * be slow says nothing.
 */
void slowlog_query(
    const struct running *n, uint64_t took_ns, const struct ql_stats *st, const char *error);

#endif
