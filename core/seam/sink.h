/*
 * sink - the seam through which samples enter: append a batch, answer later.
 *
 * Implemented by storage/store (and later by replication). sink_append on any loop; done(req) runs
 * on the same loop, once, after everything stored is durable as --wal.sync says.
 * req and its batch stay valid until done. At done: err (ERR_OK also when parts were refused;
 * ERR_LOGFAILED, ERR_NOSPACE, ERR_READONLY, ERR_BUSY, ERR_STOPPING when nothing may be
 * acknowledged) and the counts.
 * Verdict of parts that disagree: 503 before 429 before 400 before 204.
 */
#ifndef CORE_SEAM_SINK_H
#define CORE_SEAM_SINK_H

#include "core/model/batch.h"
#include "core/rt/stamps.h"

enum sink_reason {
	SINK_OK,
	SINK_OUT_OF_BOUNDS,
	SINK_TOO_OLD,
	SINK_BAD_LABELS,
	SINK_LABEL_LIMIT,
	SINK_SERIES_LIMIT,
	SINK_CARDINALITY, /* a rule refuses it: core/model/cardrule.h */
	SINK_BAD_HISTOGRAM,
	SINK_REASONS
};
extern const char *const sink_reason_word[SINK_REASONS];
struct sink_req {
	struct batch *batch;
	void (*done)(struct sink_req *req);
	/*
	 * May be NULL. Called at most once, on the loop of sink_append and before done: rows, and
	 * the bytes and extras that they point at, are not read any more; counts stay as they are.
	 * So memory that is in the caches serves the next request, while this one waits for its
	 * sync. Not called, if a row was refused, or several loops have a part: done gives it all
	 * back.
	 */
	void (*applied)(struct sink_req *req);
	/* result */
	enum err err;
	uint32_t retry_after_s;   /* with ERR_BUSY, ERR_NOSPACE, ERR_LOGFAILED, ERR_READONLY */
	uint64_t stored, refused; /* rows; stored + refused = rows when err = 0 */
	uint64_t hists;           /* of stored: native histograms */
	/*
	 * of stored: older than the newest of their series; in place of another value of that time
	 */
	uint64_t late, changed;
	/*
	 * of the batch's: kept, or there already; not kept, though nothing stood in their way but
	 * themselves (out of order, of an unknown series, bad)
	 */
	uint64_t exemplars, exemplars_refused;
	enum sink_reason first_reason; /* of the first refused row in request order */
	/* series (label text, cut) and detail of that row; with ERR_BUSY: why, "" = not known */
	char first_text[512];
};
struct sink;
struct sink_ops {
	void (*append)(struct sink *s, struct sink_req *req);
	/*
	 * 0, or why no write is accepted now (ERR_NOTREADY, ERR_NOSPACE, ERR_READONLY,
	 * ERR_STOPPING): asked before a body is read.
	 */
	enum err (*accepts)(struct sink *s, uint32_t *retry_after_s);
};
struct sink {
	const struct sink_ops *ops;
	const struct stamps *metas; /* marked when a family's metadata changes; NULL: nobody does */
};
static inline void sink_append(struct sink *s, struct sink_req *req)
{
	s->ops->append(s, req);
}
static inline enum err sink_accepts(struct sink *s, uint32_t *retry_after_s)
{
	return s->ops->accepts(s, retry_after_s);
}

#endif
