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

/* The judge's message as a histogram; the arena's. */
static inline struct hist_side rw1judge_side(struct arena *a, bool is_float, size_t spans_count,
    Prometheus__BucketSpan **spans, size_t deltas_count, const int64_t *deltas, size_t counts_count,
    const double *counts)
{
	size_t n = is_float ? counts_count : deltas_count;
	struct hist_span *sp = arena_array(a, spans_count, sizeof *sp);
	union hist_count *c = arena_array(a, n, sizeof *c);
	uint64_t sum = 0;
	for (size_t i = 0; i < spans_count; i++)
		sp[i] = (struct hist_span){ spans[i]->offset, spans[i]->length };
	for (size_t i = 0; i < n; i++) {
		if (is_float)
			c[i].f = counts[i];
		else
			c[i].n = sum += (uint64_t)deltas[i];
	}
	return (struct hist_side){ sp, c, (uint32_t)spans_count, (uint32_t)n };
}

static inline struct hist *rw1judge_hist(struct arena *a, const Prometheus__Histogram *j)
{
	struct hist *h = arena_zalloc(a, sizeof *h);
	bool f = j->count_case == PROMETHEUS__HISTOGRAM__COUNT_COUNT_FLOAT;
	h->is_float = f;
	h->hint = (unsigned)j->reset_hint <= 3 ? (uint8_t)j->reset_hint : 0;
	h->sum = j->sum;
	h->zero_threshold = j->zero_threshold;
	if (f)
		h->count.f = j->count_float;
	else if (j->count_case == PROMETHEUS__HISTOGRAM__COUNT_COUNT_INT)
		h->count.n = j->count_int;
	if (f && j->zero_count_case == PROMETHEUS__HISTOGRAM__ZERO_COUNT_ZERO_COUNT_FLOAT)
		h->zero_count.f = j->zero_count_float;
	else if (!f && j->zero_count_case == PROMETHEUS__HISTOGRAM__ZERO_COUNT_ZERO_COUNT_INT)
		h->zero_count.n = j->zero_count_int;
	h->negative = rw1judge_side(a, f, j->n_negative_spans, j->negative_spans,
	    j->n_negative_deltas, j->negative_deltas, j->n_negative_counts, j->negative_counts);
	h->positive = rw1judge_side(a, f, j->n_positive_spans, j->positive_spans,
	    j->n_positive_deltas, j->positive_deltas, j->n_positive_counts, j->positive_counts);
	h->bounds_count = (uint32_t)j->n_custom_values;
	h->bounds = arena_dup(a, j->custom_values, j->n_custom_values * sizeof(double));
	return h;
}

/*
 * A row of a histogram: the same one, or refused as it must be. One of a finer schema was reduced:
 * its sums are the same.
 */
static inline const char *rw1judge_histogram(
    struct arena *a, const struct batch_row *row, const Prometheus__Histogram *j)
{
	const struct hist *ours = row->extra->hist;
	struct hist *h = rw1judge_hist(a, j);
	bool finer = j->schema > HIST_SCHEMA_MAX && j->schema <= HIST_SCHEMA_FINER;
	if (row->t_ms != j->timestamp || row->extra->start_ms)
		return "another time of a histogram";
	if (!ours != (row->extra->bad != NULL))
		return "a histogram that is neither good nor bad";
	bool known = finer || (j->schema >= -128 && j->schema <= 127);
	h->schema = finer ? HIST_SCHEMA_MAX : known ? (int8_t)j->schema : 0;
	bool good =
	    known && hist_cost(h) <= limits_here()->write_hist_buckets && !hist_check(h, NULL);
	if (finer && good) {
		h->schema = (int8_t)j->schema;
		h = hist_reduce(a, h, HIST_SCHEMA_MAX);
		good = h != NULL;
	}
	if (good != (ours != NULL))
		return good ? "a bad histogram that is good" : "a good histogram that is bad";
	return !ours || hist_equal(ours, h) ? NULL : "another histogram";
}

static inline const char *rw1judge_exemplar(
    const struct batch_exemplar *x, const Prometheus__Exemplar *j, const Prometheus__TimeSeries *ts)
{
	const struct batch_row own = { .labels = x->own, .labels_len = x->own_len };
	const struct batch_row series = { .labels = x->labels, .labels_len = x->labels_len };
	const Prometheus__TimeSeries labels = { .n_labels = j->n_labels, .labels = j->labels };
	if (x->t_ms != j->timestamp || num_bits(x->v) != num_bits(j->value))
		return "another exemplar";
	const char *wrong = rw1judge_labels(&own, &labels);
	return wrong ? wrong : rw1judge_labels(&series, ts);
}

static inline const char *rw1judge_series(
    struct arena *a, const struct batch *b, size_t *at, const Prometheus__TimeSeries *ts)
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
		if (row->flags & BATCH_EXTRA) {
			if (histograms >= ts->n_histograms)
				return "more histograms than the judge";
			wrong = rw1judge_histogram(a, row, ts->histograms[histograms++]);
			if (wrong)
				return wrong;
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

static inline const char *rw1judge_contents(
    struct arena *a, const struct batch *b, const Prometheus__WriteRequest *req)
{
	size_t at = 0, exemplars = 0;
	if (b->series_count != req->n_timeseries)
		return "another number of series";
	for (size_t i = 0; i < req->n_timeseries; i++) {
		const Prometheus__TimeSeries *ts = req->timeseries[i];
		const char *wrong = rw1judge_series(a, b, &at, ts);
		if (wrong)
			return wrong;
		for (size_t k = 0; k < ts->n_exemplars; k++, exemplars++) {
			if (exemplars >= b->exemplars_count)
				return "fewer exemplars than the judge";
			wrong = rw1judge_exemplar(&b->exemplars[exemplars], ts->exemplars[k], ts);
			if (wrong)
				return wrong;
		}
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
		wrong = rw1judge_contents(&ours, &b, req);
	batch_release(&b);
	arena_release(&judges);
	arena_release(&ours);
	return wrong;
}

#endif
