/*
 * rw1judge - protobuf-c as the judge of proto/rw1: what it unpacks, rw1 must accept with the same
 * contents.
 *
 * rw1judge() gives NULL when both agree, else what was different. Strings with a NUL inside are
 * compared up to it: protobuf-c forgets their length.
 */
#ifndef TESTS_LIB_RW1JUDGE_H
#define TESTS_LIB_RW1JUDGE_H

#include "proto/gen/remote.pb-c.h"
#include "proto/pbmem.h"
#include "proto/rw1.h"

static inline bool rw1judge_text(const char *ours, size_t len, const char *judge)
{
	size_t n = strnlen(ours, len);
	return n == strlen(judge) && !memcmp(ours, judge, n);
}

static inline const char *rw1judge_labels(
    const struct batch_row *row, const Prometheus__TimeSeries *ts)
{
	struct label_iter it =
	    label_iter((struct labels){ .bytes = row->labels, .len = row->labels_len });
	struct label l;
	size_t n = 0;
	for (; label_next(&it, &l); n++) {
		if (n >= ts->n_labels)
			return "more labels than the judge";
		if (!rw1judge_text(l.name, l.name_len, ts->labels[n]->name))
			return "another label name";
		if (!rw1judge_text(l.value, l.value_len, ts->labels[n]->value))
			return "another label value";
	}
	if (it.bad)
		return "labels that label_next refuses";
	return n == ts->n_labels ? NULL : "fewer labels than the judge";
}

static inline const char *rw1judge_series(
    const struct batch *b, size_t *at, const Prometheus__TimeSeries *ts)
{
	size_t floats = 0, histograms = 0;
	if (!b->rows) /* nothing was pushed */
		return ts->n_samples + ts->n_histograms ? "fewer rows than the judge" : NULL;
	const struct batch_row *row = &b->rows[*at];
	for (; floats + histograms < ts->n_samples + ts->n_histograms; row++) {
		if ((size_t)(row - b->rows) >= b->rows_count)
			return "fewer rows than the judge";
		const char *wrong = rw1judge_labels(row, ts);
		if (wrong)
			return wrong;
		if (row->flags & BATCH_HISTOGRAM) {
			histograms++;
			continue;
		}
		if (floats >= ts->n_samples)
			return "more samples than the judge";
		if (row->t_ms != ts->samples[floats]->timestamp)
			return "another time";
		if (num_bits(row->v) != num_bits(ts->samples[floats]->value))
			return "another value";
		floats++;
	}
	*at = (size_t)(row - b->rows);
	return histograms == ts->n_histograms ? NULL : "another number of histograms";
}

static inline const char *rw1judge_contents(const struct batch *b, const Prometheus__WriteRequest *req)
{
	size_t at = 0, exemplars = 0;
	if (b->series_count != req->n_timeseries)
		return "another number of series";
	for (size_t i = 0; i < req->n_timeseries; i++) {
		const char *wrong = rw1judge_series(b, &at, req->timeseries[i]);
		if (wrong)
			return wrong;
		exemplars += req->timeseries[i]->n_exemplars;
	}
	if (at != b->rows_count)
		return "more rows than the judge";
	if (exemplars != b->exemplars_count)
		return "another number of exemplars";
	if (b->metas_count != req->n_metadata)
		return "another number of metadata entries";
	for (size_t i = 0; i < b->metas_count; i++) {
		const struct batch_meta *m = &b->metas[i];
		const Prometheus__MetricMetadata *j = req->metadata[i];
		unsigned type = (unsigned)j->type <= 7 ? (unsigned)j->type : 0;
		if (m->type != type ||
		    !rw1judge_text(m->family, m->family_len, j->metric_family_name) ||
		    !rw1judge_text(m->help, m->help_len, j->help) ||
		    !rw1judge_text(m->unit, m->unit_len, j->unit))
			return "another metadata entry";
	}
	return NULL;
}

/* *accepted: did rw1 take it? */
static inline const char *rw1judge(const uint8_t *body, size_t len, bool *accepted)
{
	struct arena ours, judges;
	struct batch b;
	struct pbmem mem;
	const char *wrong = NULL;
	arena_init(&ours, 1024);
	arena_init(&judges, 1024);
	batch_init(&b);
	pbmem_init(&mem, &judges, 64u << 20);
	enum err err = rw1_decode(&ours, body, len, NULL, &b, NULL);
	*accepted = !err;
	Prometheus__WriteRequest *req = prometheus__write_request__unpack(&mem.allocator, len, body);
	if (req && err)
		wrong = err == ERR_TOOBIG ? NULL : "refused what the judge takes";
	else if (req)
		wrong = rw1judge_contents(&b, req);
	batch_release(&b);
	arena_release(&judges);
	arena_release(&ours);
	return wrong;
}

#endif
