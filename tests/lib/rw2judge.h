/*
 * rw2judge - two judges of proto/rw2: protobuf-c, which must unpack the same contents, and the
 * decoder of 1.0: what a body decodes to, written as a 1.0 body, gives the same rows, exemplars and
 * metadata.
 *
 * rw2judge() gives NULL when all agree, else what was different. Texts are compared whole: their
 * lengths are counted here, because protobuf-c forgets them.
 */
#ifndef TESTS_LIB_RW2JUDGE_H
#define TESTS_LIB_RW2JUDGE_H

#include "proto/gen/remote2.pb-c.h"
#include "proto/pbhist.h"
#include "proto/pbmem.h"
#include "proto/pbscan.h"
#include "proto/rw1.h"
#include "proto/rw2.h"

struct rw2judge {
	struct arena arena; /* judge's */
	const char **texts; /* of the symbols */
	size_t *lens, count;
	const Remote2__Request *req;
	const struct batch *b;
	size_t row, exemplar; /* how far the batch is compared */
	struct batch_meta *metas;
	size_t metas_count;
	uint64_t left_rows, left_exemplars;
	bool left;
};

static inline void rw2judge_texts(struct rw2judge *j, const uint8_t *p, size_t len)
{
	const uint8_t *end = p + len;
	struct pbscan_field f;
	j->texts = arena_array(&j->arena, j->req->n_symbols + 1, sizeof *j->texts);
	j->lens = arena_array(&j->arena, j->req->n_symbols + 1, sizeof *j->lens);
	while (p < end && pbscan_next(&p, end, &f)) {
		if (f.number != 4 || f.wire != PBSCAN_BYTES)
			continue;
		j->texts[j->count] = (const char *)f.data;
		j->lens[j->count++] = f.len;
	}
}

static inline bool rw2judge_text(const struct rw2judge *j, uint32_t ref, const char *text, size_t len)
{
	return ref < j->count && j->lens[ref] == len && (!len || !memcmp(j->texts[ref], text, len));
}

static inline bool rw2judge_refs(const struct rw2judge *j, const uint32_t *refs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (refs[i] >= j->count)
			return false;
	return count % 2 == 0;
}

static inline const char *rw2judge_labels(
    const struct rw2judge *j, const uint8_t *labels, size_t len, const uint32_t *refs, size_t count)
{
	struct label_iter it = label_iter((struct labels){ .bytes = labels, .len = (uint32_t)len });
	struct label l;
	size_t n = 0;
	for (; label_next(&it, &l); n += 2) {
		if (n + 2 > count)
			return "more labels than the judge";
		if (!rw2judge_text(j, refs[n], l.name, l.name_len))
			return "another label name";
		if (!rw2judge_text(j, refs[n + 1], l.value, l.value_len))
			return "another label value";
	}
	if (it.bad)
		return "labels that label_next refuses";
	return n == count ? NULL : "fewer labels than the judge";
}

static inline struct hist_side rw2judge_side(struct arena *a, bool is_float, size_t spans_count,
    Remote2__BucketSpan **spans, size_t deltas_count, const int64_t *deltas, size_t counts_count,
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

static inline struct hist *rw2judge_hist(struct arena *a, const Remote2__Histogram *j)
{
	struct hist *h = arena_zalloc(a, sizeof *h);
	bool f = j->count_case == REMOTE2__HISTOGRAM__COUNT_COUNT_FLOAT;
	h->is_float = f;
	h->hint = (unsigned)j->reset_hint <= 3 ? (uint8_t)j->reset_hint : 0;
	h->sum = j->sum;
	h->zero_threshold = j->zero_threshold;
	if (f)
		h->count.f = j->count_float;
	else if (j->count_case == REMOTE2__HISTOGRAM__COUNT_COUNT_INT)
		h->count.n = j->count_int;
	if (f && j->zero_count_case == REMOTE2__HISTOGRAM__ZERO_COUNT_ZERO_COUNT_FLOAT)
		h->zero_count.f = j->zero_count_float;
	else if (!f && j->zero_count_case == REMOTE2__HISTOGRAM__ZERO_COUNT_ZERO_COUNT_INT)
		h->zero_count.n = j->zero_count_int;
	h->negative = rw2judge_side(a, f, j->n_negative_spans, j->negative_spans,
	    j->n_negative_deltas, j->negative_deltas, j->n_negative_counts, j->negative_counts);
	h->positive = rw2judge_side(a, f, j->n_positive_spans, j->positive_spans,
	    j->n_positive_deltas, j->positive_deltas, j->n_positive_counts, j->positive_counts);
	h->bounds_count = (uint32_t)j->n_custom_values;
	h->bounds = arena_dup(a, j->custom_values, j->n_custom_values * sizeof(double));
	return h;
}

static inline const char *rw2judge_histogram(struct rw2judge *j, const struct batch_row *row,
    const Remote2__Histogram *theirs, int64_t created_ms)
{
	const struct hist *ours = row->extra->hist;
	struct hist *h = rw2judge_hist(&j->arena, theirs);
	int32_t schema = theirs->schema;
	bool finer = schema > HIST_SCHEMA_MAX && schema <= HIST_SCHEMA_FINER;
	int64_t start_ms = theirs->start_timestamp ? theirs->start_timestamp : created_ms;
	if (row->t_ms != theirs->timestamp || row->extra->start_ms != start_ms)
		return "another time of a histogram";
	if (!ours != (row->extra->bad != NULL))
		return "a histogram that is neither good nor bad";
	bool known = finer || (schema >= -128 && schema <= 127);
	h->schema = finer ? HIST_SCHEMA_MAX : known ? (int8_t)schema : 0;
	bool good =
	    known && hist_cost(h) <= limits_here()->write_hist_buckets && !hist_check(h, NULL);
	if (finer && good) {
		h->schema = (int8_t)schema;
		h = hist_reduce(&j->arena, h, HIST_SCHEMA_MAX);
		good = h != NULL;
	}
	if (good != (ours != NULL))
		return good ? "a bad histogram that is good" : "a good histogram that is bad";
	return !ours || hist_equal(ours, h) ? NULL : "another histogram";
}

static inline const char *rw2judge_sample(
    const struct batch_row *row, const Remote2__Sample *theirs, int64_t created_ms)
{
	int64_t start_ms = theirs->start_timestamp ? theirs->start_timestamp : created_ms;
	bool extra = row->flags & BATCH_EXTRA;
	if (extra != (start_ms != 0) || (extra && row->extra->start_ms != start_ms))
		return "another start time";
	if (row->t_ms != theirs->timestamp)
		return "another time";
	return num_bits(extra ? row->extra->v : row->v) == num_bits(theirs->value) ? NULL
	                                                                           : "another value";
}

static inline const char *rw2judge_rows(struct rw2judge *j, const Remote2__TimeSeries *ts)
{
	size_t floats = 0, histograms = 0;
	for (; floats + histograms < ts->n_samples + ts->n_histograms; j->row++) {
		if (j->row >= j->b->rows_count)
			return "fewer rows than the judge";
		const struct batch_row *row = &j->b->rows[j->row];
		const char *wrong = rw2judge_labels(
		    j, row->labels, row->labels_len, ts->labels_refs, ts->n_labels_refs);
		if (wrong)
			return wrong;
		bool is_hist = row->flags & BATCH_EXTRA && (row->extra->hist || row->extra->bad);
		if (is_hist ? histograms >= ts->n_histograms : floats >= ts->n_samples)
			return "more of a kind than the judge";
		wrong = is_hist
		    ? rw2judge_histogram(j, row, ts->histograms[histograms], ts->created_timestamp)
		    : rw2judge_sample(row, ts->samples[floats], ts->created_timestamp);
		if (wrong)
			return wrong;
		histograms += is_hist;
		floats += !is_hist;
	}
	return NULL;
}

static inline const char *rw2judge_exemplars(struct rw2judge *j, const Remote2__TimeSeries *ts)
{
	for (size_t i = 0; i < ts->n_exemplars; i++) {
		const Remote2__Exemplar *theirs = ts->exemplars[i];
		if (!rw2judge_refs(j, theirs->labels_refs, theirs->n_labels_refs)) {
			j->left_exemplars++;
			j->left = true;
			continue;
		}
		if (j->exemplar >= j->b->exemplars_count)
			return "fewer exemplars than the judge";
		const struct batch_exemplar *x = &j->b->exemplars[j->exemplar++];
		if (x->t_ms != theirs->timestamp || num_bits(x->v) != num_bits(theirs->value))
			return "another exemplar";
		const char *wrong = rw2judge_labels(
		    j, x->own, x->own_len, theirs->labels_refs, theirs->n_labels_refs);
		if (!wrong)
			wrong = rw2judge_labels(
			    j, x->labels, x->labels_len, ts->labels_refs, ts->n_labels_refs);
		if (wrong)
			return wrong;
	}
	return NULL;
}

static inline bool rw2judge_cut(struct batch_meta *m, const char *end)
{
	size_t n = strlen(end);
	if (m->family_len <= n || memcmp(m->family + m->family_len - n, end, n))
		return false;
	m->family_len -= (uint32_t)n;
	return true;
}

/* The metadata of a series, if it says something; the name is its family's. */
static inline void rw2judge_meta(struct rw2judge *j, const Remote2__TimeSeries *ts)
{
	const Remote2__Metadata *theirs = ts->metadata;
	struct batch_meta m = { .type = (unsigned)theirs->type <= 7 ? (uint8_t)theirs->type : 0,
		.help = theirs->help_ref ? j->texts[theirs->help_ref] : "",
		.help_len = theirs->help_ref ? (uint32_t)j->lens[theirs->help_ref] : 0,
		.unit = theirs->unit_ref ? j->texts[theirs->unit_ref] : "",
		.unit_len = theirs->unit_ref ? (uint32_t)j->lens[theirs->unit_ref] : 0 };
	size_t i = 0;
	while (i < ts->n_labels_refs && !rw2judge_text(j, ts->labels_refs[i], "__name__", 8))
		i += 2;
	if (i >= ts->n_labels_refs)
		return;
	m.family = j->texts[ts->labels_refs[i + 1]];
	m.family_len = (uint32_t)j->lens[ts->labels_refs[i + 1]];
	if (m.type == 3 || m.type == 4)
		(void)(rw2judge_cut(&m, "_bucket") || rw2judge_cut(&m, "_count") ||
		    rw2judge_cut(&m, "_sum") || rw2judge_cut(&m, "_created"));
	else if (m.type == 5)
		(void)(rw2judge_cut(&m, "_count") || rw2judge_cut(&m, "_sum") ||
		    rw2judge_cut(&m, "_created"));
	j->metas[j->metas_count++] = m;
}

static inline bool rw2judge_says(const struct rw2judge *j, const Remote2__TimeSeries *ts, bool *bad)
{
	const Remote2__Metadata *m = ts->metadata;
	*bad = m &&
	    ((m->help_ref && m->help_ref >= j->count) || (m->unit_ref && m->unit_ref >= j->count));
	if (!m || *bad)
		return false;
	return m->type || (m->help_ref && j->lens[m->help_ref]) ||
	    (m->unit_ref && j->lens[m->unit_ref]);
}

static inline const char *rw2judge_series(struct rw2judge *j, const Remote2__TimeSeries *ts)
{
	bool bad;
	if (!rw2judge_refs(j, ts->labels_refs, ts->n_labels_refs)) {
		j->left = true;
		j->left_rows += ts->n_samples + ts->n_histograms;
		j->left_exemplars += ts->n_exemplars;
		return NULL;
	}
	bool says = rw2judge_says(j, ts, &bad);
	j->left |= bad || (!says && !ts->n_samples && !ts->n_histograms && !ts->n_exemplars);
	const char *wrong = rw2judge_rows(j, ts);
	if (!wrong)
		wrong = rw2judge_exemplars(j, ts);
	if (!wrong && says)
		rw2judge_meta(j, ts);
	return wrong;
}

static inline bool rw2judge_meta_equal(const struct batch_meta *a, const struct batch_meta *b)
{
	return a->type == b->type && a->family_len == b->family_len && a->help_len == b->help_len &&
	    a->unit_len == b->unit_len && !memcmp(a->family, b->family, a->family_len) &&
	    !memcmp(a->help, b->help, a->help_len) && !memcmp(a->unit, b->unit, a->unit_len);
}

/* Each of these stands among those. */
static inline bool rw2judge_metas_in(
    const struct batch_meta *these, size_t count, const struct batch_meta *those, size_t in)
{
	for (size_t i = 0; i < count; i++) {
		size_t k = 0;
		while (k < in && !rw2judge_meta_equal(&these[i], &those[k]))
			k++;
		if (k == in)
			return false;
	}
	return true;
}

static inline const char *rw2judge_contents(struct rw2judge *j)
{
	const struct batch *b = j->b;
	if (b->series_count != j->req->n_timeseries)
		return "another number of series";
	j->metas = arena_array(&j->arena, j->req->n_timeseries + 1, sizeof *j->metas);
	for (size_t i = 0; i < j->req->n_timeseries; i++) {
		const char *wrong = rw2judge_series(j, j->req->timeseries[i]);
		if (wrong)
			return wrong;
	}
	if (j->row != b->rows_count)
		return "more rows than the judge";
	if (j->exemplar != b->exemplars_count)
		return "more exemplars than the judge";
	if (b->left_rows != j->left_rows || b->left_exemplars != j->left_exemplars ||
	    !b->left_why == j->left)
		return "something else left out";
	if (!rw2judge_metas_in(b->metas, b->metas_count, j->metas, j->metas_count))
		return "metadata that the judge has not";
	if (!rw2judge_metas_in(j->metas, j->metas_count, b->metas, b->metas_count))
		return "not all metadata";
	return NULL;
}

/* --- a round trip by 1.0 --- */

static inline void rw2judge_frame(struct buf *out, uint8_t tag, const struct buf *in)
{
	buf_add_u8(out, tag);
	wire_put_lenbytes(out, in->data, in->len);
}

/* A series of its own for each row and exemplar. Bad histograms are left out. */
static inline void rw2judge_as_1(const struct batch *b, struct buf *out)
{
	struct buf series, in;
	buf_init(&series);
	buf_init(&in);
	for (size_t i = 0; i < b->rows_count; i++) {
		const struct batch_row *r = &b->rows[i];
		const struct labels ls = { r->labels, r->labels_len };
		const struct batch_extra *x = r->flags & BATCH_EXTRA ? r->extra : NULL;
		if (x && x->bad)
			continue;
		if (!x || !x->hist) {
			rw1_encode_series(out, ls, r->t_ms, x ? x->v : r->v);
			continue;
		}
		buf_clear(&series);
		buf_clear(&in);
		buf_add(&series, r->labels, r->labels_len);
		pbhist_encode(x->hist, r->t_ms, &in);
		rw2judge_frame(&series, 0x22, &in);
		rw2judge_frame(out, 0x0a, &series);
	}
	for (size_t i = 0; i < b->exemplars_count; i++) {
		const struct batch_exemplar *x = &b->exemplars[i];
		buf_clear(&series);
		buf_clear(&in);
		buf_add(&series, x->labels, x->labels_len);
		buf_add(&in, x->own, x->own_len);
		buf_add_u8(&in, 0x11);
		wire_put_f64(&in, x->v);
		buf_add_u8(&in, 0x18);
		wire_put_varint(&in, (uint64_t)x->t_ms);
		rw2judge_frame(&series, 0x1a, &in);
		rw2judge_frame(out, 0x0a, &series);
	}
	for (size_t i = 0; i < b->metas_count; i++)
		rw1_encode_meta(out, &b->metas[i]);
	buf_release(&series);
	buf_release(&in);
}

static inline bool rw2judge_bytes(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	return a_len == b_len && (!a_len || !memcmp(a, b, a_len));
}

static inline const char *rw2judge_same_1(const struct batch *two, const struct batch *one)
{
	size_t n = 0;
	for (size_t i = 0; i < two->rows_count; i++) {
		const struct batch_row *x = &two->rows[i];
		const struct batch_extra *extra = x->flags & BATCH_EXTRA ? x->extra : NULL;
		if (extra && extra->bad)
			continue;
		const struct batch_row *y = n < one->rows_count ? &one->rows[n++] : NULL;
		if (!y || x->t_ms != y->t_ms ||
		    !rw2judge_bytes(x->labels, x->labels_len, y->labels, y->labels_len))
			return "1.0 has another row";
		if (extra && extra->hist
		        ? !(y->flags & BATCH_EXTRA) || !y->extra->hist ||
		            !hist_equal(extra->hist, y->extra->hist)
		        : y->flags || num_bits(extra ? extra->v : x->v) != num_bits(y->v))
			return "1.0 has another value";
	}
	if (n != one->rows_count || two->exemplars_count != one->exemplars_count ||
	    two->metas_count != one->metas_count)
		return "1.0 has more, or less";
	for (size_t i = 0; i < two->exemplars_count; i++) {
		const struct batch_exemplar *x = &two->exemplars[i], *y = &one->exemplars[i];
		if (x->t_ms != y->t_ms || num_bits(x->v) != num_bits(y->v) ||
		    !rw2judge_bytes(x->labels, x->labels_len, y->labels, y->labels_len) ||
		    !rw2judge_bytes(x->own, x->own_len, y->own, y->own_len))
			return "1.0 has another exemplar";
	}
	for (size_t i = 0; i < two->metas_count; i++)
		if (!rw2judge_meta_equal(&two->metas[i], &one->metas[i]))
			return "1.0 has other metadata";
	return NULL;
}

static inline const char *rw2judge_by_1(struct rw2judge *j)
{
	struct buf body;
	struct batch one;
	buf_init(&body);
	batch_init(&one);
	rw2judge_as_1(j->b, &body);
	const uint8_t *bytes = body.len ? body.data : (const uint8_t *)""; /* none is no NULL */
	enum err e = rw1_decode(&j->arena, bytes, body.len, NULL, &one, NULL);
	const char *wrong =
	    e ? (e == ERR_TOOBIG ? NULL : "1.0 does not take it") : rw2judge_same_1(j->b, &one);
	batch_release(&one);
	buf_release(&body);
	return wrong;
}

/* *accepted: did rw2 take it? rows: there is room for rows already, so that the fast way runs. */
static inline const char *rw2judge(
    const uint8_t *body, size_t len, struct rw2_memory *m, bool rows, bool *accepted)
{
	struct rw2judge j = { .count = 0 };
	struct arena ours;
	struct batch b;
	struct pbmem mem;
	const char *wrong = NULL;
	arena_init(&ours, 1024);
	arena_init(&j.arena, 1024);
	batch_init(&b);
	if (rows)
		(void)batch_add(&b);
	batch_clear(&b);
	pbmem_init(&mem, &j.arena, 64u << 20);
	enum err err = rw2_decode(&ours, m, body, len, NULL, &b, NULL);
	*accepted = !err;
	j.b = &b;
	j.req = remote2__request__unpack(&mem.allocator, len, body);
	if (j.req && err) {
		wrong = err == ERR_TOOBIG ? NULL : "refused what the judge takes";
	} else if (j.req) {
		rw2judge_texts(&j, body, len);
		wrong = j.count == j.req->n_symbols ? rw2judge_contents(&j) : "other symbols";
		if (!wrong)
			wrong = rw2judge_by_1(&j);
	}
	batch_release(&b);
	arena_release(&j.arena);
	arena_release(&ours);
	return wrong;
}

#endif
