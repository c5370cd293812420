/*
 * api_search - names and values for who types them: /api/v1/search/metric_names, label_names and
 * label_values, as Prometheus 3.14 has them (web/api/v1/search.go, there behind a flag).
 *
 *   parameters > ask > scan with find (net/api/scan.h), on all shards > the best of them > metadata
 *   of those, when asked for > lines of JSON: {"results":[...]} of batch_size each, at least one,
 *   then {"status":"success","has_more":false}
 *
 * An error is an ordinary answer, never a line: nothing is sent before all is known. Metadata of a
 * metric are those of its own name, else of its family's (http_seconds for http_seconds_bucket).
 * What differs: a term has at most FUZZY_TERM_MAX bytes.
 * Thread: the loop of the request.
 */
#ifndef NET_API_API_SEARCH_H
#define NET_API_API_SEARCH_H

#include "net/api/api.h"

void api_search_metrics(struct req *r);
void api_search_names(struct req *r);
void api_search_values(struct req *r);

#endif
