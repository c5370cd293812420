/*
 * scan - label sets, label names or values of the source, from all shards: collected by jobs on the
 * loops that own them, brought home in one message per shard,
 * sorted and freed of duplicates by a worker. This is what /series, /labels and
 * /label/<name>/values need.
 *
 *   home: scan_start > one message per shard > (job on the owner: cursor after cursor, one for each
 *   set of matchers) > home, when all are there > worker: merge > done(arg)
 *
 * Limits: items_max of distinct items; query_items of the limits, API_META_BYTES_MAX and API_META_MS_MAX
 * for everybody. What is over them is left out, and scan_truncated() tells.
 * Thread: the loop that started it. Memory: items live until scan_free, which comes after done.
 */
#ifndef NET_API_SCAN_H
#define NET_API_SCAN_H

#include "net/api/api.h"
#include "net/api/param.h"

struct scan;
struct scan_opts {             /* everything pointed at is borrowed until done */
	enum source_what what; /* SERIES, LABEL_NAMES or LABEL_VALUES */
	const char *label;     /* LABEL_VALUES */
	size_t label_len;
	int64_t t_min_ms, t_max_ms;
	const struct param_sets *sets; /* no set = everything */
	uint64_t items_max;            /* 0 = query_items of the limits */
	void (*done)(void *arg, struct scan *s);
	void *arg;
};
struct scan *scan_start(struct api *a, const struct scan_opts *o);
void scan_cancel(struct scan *s); /* before done, which then says ERR_CANCELED */
void scan_free(struct scan *s);

enum err scan_err(const struct scan *s, const char **text);
size_t scan_count(const struct scan *s);
size_t scan_bytes(const struct scan *s); /* held by the scan */
/* Item i in byte order: canonical label bytes (SERIES) or text. */
const char *scan_item(const struct scan *s, size_t i, size_t *len);
bool scan_truncated(const struct scan *s);
/* Texts of storage about damaged data, at most four. */
const char *scan_warning(const struct scan *s, size_t i); /* NULL behind the last */

#endif
