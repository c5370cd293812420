/*
 * qlrun - runs one query on loop 0 of a team and waits for it; the result as a line of text, for
 * tests. Header only.
 *
 *   struct qlrun_opts o = { .end_ms = 60000, .step_ms = 15000 };
 *   char *s = qlrun(&tt, memsrc_source(src), "sum(x)", &o);   // free() it
 * Text: series "{a="b"} 0:1 15:{count:2, ...}" in order of the result (vectors sorted by labels
 * unless
 * in_order), joined by "; ". Errors: "error: text". Notes stand at the end: " | PromQL info: ...".
 */
#ifndef TESTS_LIB_QLRUN_H
#define TESTS_LIB_QLRUN_H

#include "core/model/histmath.h"
#include "core/promql/ql.h"
#include "tests/lib/memsrc.h"
#include "tests/lib/testteam.h"

#include <stdlib.h>

struct qlrun_opts {
	int64_t start_ms, end_ms, step_ms; /* step 0: instant, at start */
	struct ql_features features;
	uint64_t max_bytes, max_samples;
	struct purse *purse; /* NULL = the query makes one of max_bytes */
	int64_t timeout_ms;
	bool in_order, per_step;
	int digits;                    /* of values: 0 = 17 */
	unsigned cancel_after_us;      /* 0 = never */
	struct ql_stats *stats;        /* out, may be NULL */
	void (*at_done)(struct ql *q); /* sees it before it is read and freed */
};
struct qlrun_ {
	const char *text;
	struct source *src;
	const struct qlrun_opts *o;
	struct ql *q;
	struct buf out;
	enum err err;
	bool over;
};

static inline int qlrun_cmp_(const void *a, const void *b)
{
	const struct ql_series *x = a, *y = b;
	return label_cmp(x->labels, y->labels);
}

static inline void qlrun_series_(struct buf *out, const struct ql_series *s, int digits)
{
	label_text(out, s->labels);
	for (uint32_t i = 0; i < s->count; i++) {
		buf_printf(out, " %lld:", (long long)s->t_ms[i]);
		if (s->h && s->h[i])
			hist_print(s->h[i], out);
		else
			buf_printf(out, "%.*g", digits ? digits : 17, s->v[i]);
	}
}

static inline void qlrun_done_(void *arg, struct ql *q)
{
	struct qlrun_ *r = arg;
	const char *text;
	size_t n;

	r->err = ql_err(q, &text);
	if (r->o->at_done)
		r->o->at_done(q);
	if (r->o->stats)
		*r->o->stats = *ql_stats(q);
	if (r->err) {
		buf_printf(&r->out, "error: %s", text);
	} else {
		const struct ql_value *v = ql_result(q);
		struct ql_series *s = malloc((v->series_count + 1) * sizeof(*s));
		if (!s)
			abort();
		if (v->series_count)
			memcpy(s, v->series, v->series_count * sizeof(*s));
		if (v->type == QL_VECTOR && !r->o->in_order)
			qsort(s, v->series_count, sizeof(*s), qlrun_cmp_);
		for (size_t i = 0; i < v->series_count; i++) {
			if (i)
				buf_add_str(&r->out, "; ");
			qlrun_series_(&r->out, &s[i], r->o->digits);
		}
		if (v->type == QL_STRING)
			buf_printf(&r->out, "\"%.*s\"", (int)v->string_len, v->string);
		free(s);
	}
	const struct ql_note *w = ql_warnings(q, &n);
	for (size_t i = 0; i < n; i++)
		buf_printf(&r->out, " | %s", w[i].text);
	w = ql_infos(q, &n);
	for (size_t i = 0; i < n; i++)
		buf_printf(&r->out, " | %s", w[i].text);
	ql_free(q);
	r->over = true;
}

static inline void qlrun_start_(void *arg)
{
	struct qlrun_ *r = arg;
	struct errbuf eb;
	struct ql_opts o = {
		.source = r->src,
		.per_step = r->o->per_step,
		.start_ms = r->o->start_ms,
		.end_ms = r->o->step_ms ? r->o->end_ms : r->o->start_ms,
		.step_ms = r->o->step_ms,
		.features = r->o->features,
		.max_bytes = r->o->max_bytes,
		.purse = r->o->purse,
		.max_samples = r->o->max_samples,
		.timeout_ms = r->o->timeout_ms,
		.done = qlrun_done_,
		.arg = r,
	};
	errbuf_init(&eb);
	if (ql_create(r->text, strlen(r->text), &o, &r->q, &eb)) {
		buf_printf(&r->out, "refused: %s", eb.text);
		r->over = true;
		return;
	}
	ql_start(r->q);
}

static inline bool qlrun_over_(void *arg)
{
	return ((struct qlrun_ *)arg)->over;
}

static inline void qlrun_cancel_(void *arg)
{
	struct qlrun_ *r = arg;
	if (!r->over)
		ql_cancel(r->q);
}

static inline char *qlrun(
    struct testteam *tt, struct source *src, const char *text, const struct qlrun_opts *o)
{
	struct qlrun_ r = { .text = text, .src = src, .o = o };

	buf_init(&r.out);
	testteam_run(tt, 0, qlrun_start_, &r);
	if (o->cancel_after_us) {
		usleep(o->cancel_after_us);
		testteam_run(tt, 0, qlrun_cancel_, &r);
	}
	if (!testteam_wait(tt, 0, qlrun_over_, &r, TESTTEAM_LONG_MS)) {
		fprintf(stderr, "qlrun: no answer within 60 s: %s\n", text);
		abort();
	}
	buf_add_u8(&r.out, 0);
	char *s = strdup((char *)r.out.data);
	buf_release(&r.out);
	return s;
}

#endif
