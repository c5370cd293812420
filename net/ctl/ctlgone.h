/*
 * ctlgone - what a deletion would take: the question that a server is asked before it, and its
 * answer in words.
 *
 * The question is a range selector over all of the time, with explain=1: kymod tells what it would
 * read and reads nothing (net/api/estimate.h). A server that knows no explain=1 would run it, so
 * it is asked for a constant first (ctlgone_try).
 *
 * Memory: the caller's. Thread: pure.
 */
#ifndef NET_CTL_CTLGONE_H
#define NET_CTL_CTLGONE_H

#include <jansson.h>

#include "core/base/buf.h"

struct ctlgone {
	double series, samples;
	bool about; /* estimates */
};
/* Bounds of a time that was not given: farther than any sample. */
#define CTLGONE_BEGIN_MS INT64_MIN
#define CTLGONE_END_MS   INT64_MAX

/* Parameters of /api/v1/query. */
void ctlgone_try(struct buf *form);
void ctlgone_ask(struct buf *form, const char *selector, int64_t t_min_ms, int64_t t_max_ms);
/* "data" of the answer; false: it is none to a question of ours. Any JSON is safe. */
bool ctlgone_take(const json_t *data, struct ctlgone *out);
void ctlgone_add(struct ctlgone *sum, const struct ctlgone *more);
/* "1 series, 240 samples", "about 1.20 M series, about 4.50 G samples" */
void ctlgone_words(struct buf *out, const struct ctlgone *g);
/* " of all times", " from 2026-11-29T08:00:00Z", " from ... to ..." */
void ctlgone_span(struct buf *out, int64_t t_min_ms, int64_t t_max_ms);

#endif
