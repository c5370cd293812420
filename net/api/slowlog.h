/*
 * slowlog - queries that took long stand in the log, with their text: one line at once, then at
 * most one in ten seconds and loop, which says how many were left out.
 *
 *   event=slow_query seconds=12.3 samples=48000000 from=10.0.0.1:40312 query="sum(..." bytes=512
 *
 * bytes: of the whole text, of which SLOWLOG_TEXT_BYTES are shown. Seconds count from the request's
 * head, waiting for a place included.
 * Thread: the loop of the request.
 */
#ifndef NET_API_SLOWLOG_H
#define NET_API_SLOWLOG_H

#include "net/http/req.h"

#define SLOWLOG_QUERY_NS   UINT64_C(5000000000)
#define SLOWLOG_TEXT_BYTES 200u

/* Once, when the query has its result or its error. took_ns below SLOWLOG_QUERY_NS says nothing. */
void slowlog_query(
    const struct req *r, const char *text, size_t len, uint64_t took_ns, uint64_t samples);

#endif
