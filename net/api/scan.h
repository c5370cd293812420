/*
 * scan - label sets, label names or values, exemplars of the source, from all shards: collected and
 * sorted by
 * jobs on the loops that own them, merged while the answer is made. This is what /series, /labels
 * /label/<name>/values, /query_exemplars and /federate need.
 *
 *   home: scan_start > one message per shard > (job on the owner: cursor after cursor, one for each
 *   set of matchers, then the sort) > home, when all are there > done(arg) > scan_next, scan_next
 *   ...
 *   A job that finds that this is not small any more (core/account/ticket.h) sends a message home
 *   and sleeps until home has a heavy place for all of them.
 *
 * Everything collected is the ticket's: over its purse is an error that names the limit. More than
 * items_max distinct items, or what is not there at deadline_ns, is left out, and scan_truncated()
 * tells.
 * Thread: the loop that started it. Memory: items live until scan_free, which comes after done.
 */
#ifndef NET_API_SCAN_H
#define NET_API_SCAN_H

#include "core/account/ticket.h"
#include "core/base/wire.h"
#include "net/api/api.h"
#include "net/api/param.h"

struct scan;
struct scan_opts { /* everything pointed at is borrowed until scan_free */
	/*
	 * SERIES, EXEMPLARS, LABEL_NAMES, LABEL_VALUES; SERIES_SAMPLES: of each series the newest
	 * sample, unless that is a stale marker or a native histogram
	 */
	enum source_what what;
	const char *label; /* LABEL_VALUES */
	size_t label_len;
	int64_t t_min_ms, t_max_ms;
	const struct param_sets *sets; /* no set = everything */
	uint64_t items_max;            /* 0 = query_items of the limits, which is also the most */
	uint64_t deadline_ns;          /* loop_now_ns() */
	bool all;                      /* more than items_max are an error, nothing is left out */
	/*
	 * LABEL_NAMES, LABEL_VALUES: only the best of those that fit, in their order, by
	 * scan_next_found; find->max is items_max + 1. What is not there at deadline_ns is
	 * ERR_TIMEOUT then. NULL: all
	 */
	const struct source_find *find;
	const uint32_t *tenants; /* whose */
	size_t tenants_count;
	struct ticket *ticket;
	void (*done)(void *arg, struct scan *s);
	void *arg;
};
struct scan *scan_start(struct source *src, const struct scan_opts *o);
/* Before done, which then says e: ERR_CANCELED or ERR_TIMEOUT. */
void scan_cancel(struct scan *s, enum err e);
bool scan_waits(const struct scan *s); /* for a heavy place */
void scan_free(struct scan *s);

enum err scan_err(const struct scan *s, const char **text);
/*
 * The next item in byte order: canonical label bytes (SERIES) or text; of EXEMPLARS in the order of
 * label_cmp, for scan_exemplars; of SERIES_SAMPLES by metric name, then by label_cmp, for
 * scan_newest. NULL: that was the last one,
 * and scan_truncated() is known.
 */
const char *scan_next(struct scan *s, size_t *len);
/* The same with opts.find. Until scan_free. */
const struct pick_item *scan_next_found(struct scan *s);
/*
 * Labels and exemplars of such an item, see core/model/exemplar.h; several sets may give a series
 * twice.
 */
struct labels scan_exemplars(const char *item, size_t len, struct wire_reader *list);
struct labels scan_newest(const char *item, size_t len, struct sample *out);
bool scan_truncated(const struct scan *s);
/* Texts of storage about damaged data, at most four. */
const char *scan_warning(const struct scan *s, size_t i); /* NULL behind the last */

#endif
