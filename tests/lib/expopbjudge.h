/*
 * expopbjudge - what protobuf-c makes of families of metrics, against proto/expopb.h: the same
 * verdict of bytes, and for each metric the same rows: how many, their values and times; and of
 * native histograms their counts.
 *
 * Metrics that ours calls bad (labels, histograms) are passed over: nothing is there of them.
 */
#ifndef TESTS_LIB_EXPOPBJUDGE_H
#define TESTS_LIB_EXPOPBJUDGE_H

#include "proto/expopb.h"
#include "proto/gen/exposition.pb-c.h"
#include "proto/pbmem.h"
#include "proto/pbscan.h"

#include <math.h>

struct expopbjudge {
	const struct batch *b;
	size_t row;
	int64_t t_ms;
	const char *wrong;
};

static inline void expopbjudge_row(struct expopbjudge *j, double v)
{
	if (j->wrong || j->row >= j->b->rows_count) {
		j->wrong = j->wrong ? j->wrong : "fewer rows";
		return;
	}
	const struct batch_row *r = &j->b->rows[j->row++];
	if ((r->flags & BATCH_EXTRA) || r->t_ms != j->t_ms ||
	    (num_bits(r->v) != num_bits(v) && !(isnan(r->v) && isnan(v))))
		j->wrong = "another row";
}

static inline void expopbjudge_native(struct expopbjudge *j, const Exposition__Histogram *h)
{
	if (j->wrong || j->row >= j->b->rows_count) {
		j->wrong = j->wrong ? j->wrong : "fewer rows";
		return;
	}
	const struct batch_row *r = &j->b->rows[j->row++];
	bool is_float = h->sample_count_float > 0 || h->zero_count_float > 0;
	if (!(r->flags & BATCH_EXTRA) || !r->extra->hist || r->t_ms != j->t_ms)
		j->wrong = "no histogram";
	else if (r->extra->hist->is_float != is_float ||
	    num_bits(r->extra->hist->sum) != num_bits(h->sample_sum) ||
	    r->extra->hist->count.n != (is_float ? num_bits(h->sample_count_float) : h->sample_count))
		j->wrong = "another histogram";
}

static inline void expopbjudge_histogram(struct expopbjudge *j, const Exposition__Histogram *h)
{
	static const Exposition__Histogram none = EXPOSITION__HISTOGRAM__INIT;
	h = h ? h : &none;
	double count = h->sample_count_float == 0 ? (double)h->sample_count : h->sample_count_float;
	if (h->n_positive_span || h->n_negative_span || h->zero_threshold > 0 || h->zero_count > 0) {
		expopbjudge_native(j, h);
		return;
	}
	expopbjudge_row(j, count);
	expopbjudge_row(j, h->sample_sum);
	for (size_t i = 0; i < h->n_bucket; i++) {
		const Exposition__Bucket *b = h->bucket[i];
		expopbjudge_row(j,
		    b->cumulative_count_float == 0 ? (double)b->cumulative_count
		                                   : b->cumulative_count_float);
		if (b->upper_bound == INFINITY)
			return;
	}
	expopbjudge_row(j, count);
}

static inline void expopbjudge_metric(
    struct expopbjudge *j, const Exposition__Metric *m, int type, int64_t now_ms)
{
	j->t_ms = m->timestamp_ms ? m->timestamp_ms : now_ms;
	switch (type) {
	case EXPOSITION__METRIC_TYPE__COUNTER:
		expopbjudge_row(j, m->counter ? m->counter->value : 0);
		break;
	case EXPOSITION__METRIC_TYPE__GAUGE:
		expopbjudge_row(j, m->gauge ? m->gauge->value : 0);
		break;
	case EXPOSITION__METRIC_TYPE__UNTYPED:
		expopbjudge_row(j, m->untyped ? m->untyped->value : 0);
		break;
	case EXPOSITION__METRIC_TYPE__SUMMARY:
		expopbjudge_row(j, m->summary ? (double)m->summary->sample_count : 0);
		expopbjudge_row(j, m->summary ? m->summary->sample_sum : 0);
		for (size_t i = 0; m->summary && i < m->summary->n_quantile; i++)
			expopbjudge_row(j, m->summary->quantile[i]->value);
		break;
	default:
		expopbjudge_histogram(j, m->histogram);
	}
}

/* One family, behind its length; ours: all that it made of the body, without a bad metric. */
static inline const char *expopbjudge(
    const uint8_t *body, size_t len, const struct batch *b, int64_t now_ms, bool *accepted)
{
	struct expopbjudge j = { .b = b };
	const uint8_t *p = body, *end = body + len;
	struct arena arena;
	arena_init(&arena, 4096);
	*accepted = true;
	while (p < end && !j.wrong && *accepted) {
		uint64_t n;
		struct pbmem mem;
		pbmem_init(&mem, &arena, 64 * len + 65536);
		*accepted = pbscan_varint(&p, end, 5, &n) && n <= (size_t)(end - p);
		if (!*accepted)
			break;
		Exposition__MetricFamily *f =
		    exposition__metric_family__unpack(&mem.allocator, (size_t)n, p);
		*accepted = f != NULL;
		for (size_t i = 0; f && i < f->n_metric; i++)
			expopbjudge_metric(&j, f->metric[i], (int)f->type, now_ms);
		p += n;
		arena_reset(&arena, SIZE_MAX);
	}
	arena_release(&arena);
	if (!j.wrong && *accepted && j.row != b->rows_count)
		j.wrong = "more rows";
	return j.wrong;
}

#endif
