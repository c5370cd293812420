#include "tests/promql/ptest_run.h"

#include "core/promql/lang/ql_func.h"
#include "tests/promql/ptest_same.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MINUTE_MS 60000

struct run {
	struct team *team;
	struct ptest_db *db;
	const struct ptest_cmd *c;
	struct ptest_result *out;
};

static PRINTF_LIKE(2, 3) bool fail(struct run *r, const char *fmt, ...);

/* ---- one query on a loop ---- */

struct query {
	struct mbox_msg msg; /* to the main thread */
	struct ql_opts opts;
	const char *text;
	size_t len;
	struct ql *q;
	enum err err;
	struct errbuf eb;
	const char *err_text;
};

/* One box for all queries: a sender may still be at it when its message has been taken. */
static struct mbox *answers(void)
{
	static struct mbox *box;
	if (!box && mbox_create(&box))
		panic("mbox_create");
	return box;
}

static void query_done(void *arg, struct ql *q)
{
	struct query *x = arg;
	x->err = ql_err(q, &x->err_text);
	mbox_send(answers(), &x->msg);
}
static void query_start(void *arg)
{
	struct query *x = arg;
	x->err = ql_create(x->text, x->len, &x->opts, &x->q, &x->eb);
	x->err_text = x->eb.text;
	if (x->err)
		mbox_send(answers(), &x->msg);
	else
		ql_start(x->q);
}
static void query_free(void *arg)
{
	ql_free(((struct query *)arg)->q);
}

static void query_run(struct run *r, struct query *x, const char *text, size_t len,
    int64_t start_ms, int64_t end_ms, int64_t step_ms)
{
	*x = (struct query){
		.text = text,
		.len = len,
		.opts = {
			.source = ptest_db_source(r->db),
			.start_ms = start_ms,
			.end_ms = end_ms,
			.step_ms = step_ms,
			.lookback_ms = 5 * MINUTE_MS,
			.subquery_step_ms = MINUTE_MS,
			.timeout_ms = 100000,
			.features = { true, true, true, true, true },
			.done = query_done,
			.arg = x,
		},
	};
	errbuf_init(&x->eb);
	answers();
	team_run_on(r->team, 0, query_start, x);
	while (!mbox_take(answers()))
		mbox_wait(answers(), -1);
}
static void query_end(struct run *r, struct query *x)
{
	if (x->q)
		team_run_on(r->team, 0, query_free, x);
}

/* ---- comparing ---- */

static bool fail(struct run *r, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(r->out->reason, sizeof(r->out->reason), fmt, ap);
	va_end(ap);
	return false;
}

static const char *label_show(struct labels ls)
{
	static struct buf bufs[2];
	static int turn;
	struct buf *b = &bufs[turn++ % 2];
	buf_clear(b);
	label_text_metric(b, ls);
	if (!b->len)
		buf_add_str(b, "{}");
	buf_add_u8(b, 0);
	return (const char *)b->data;
}

static const struct ptest_series *expected(const struct ptest_cmd *c, struct labels ls, size_t *at)
{
	for (*at = 0; *at < c->series_count; ++*at)
		if (label_equal(c->series[*at].desc.labels, ls))
			return &c->series[*at];
	return NULL;
}

static bool compare_scalar(struct run *r, const struct ql_value *v)
{
	if (!r->c->wants_scalar)
		return fail(r, "a scalar, which was not expected");
	if (!ptest_almost(r->c->scalar, v->series[0].v[0]))
		return fail(r, "expected scalar %.17g, got %.17g", r->c->scalar, v->series[0].v[0]);
	return true;
}

/* One point per series: index at[i] of series i, or -1 for none. */
static bool compare_points(struct run *r, const struct ql_value *v, bool in_range, int64_t t_ms)
{
	const struct ptest_cmd *c = r->c;
	size_t seen = 0, at;
	if (c->wants_scalar)
		return fail(r, "expected a scalar, got a vector");
	for (size_t i = 0; i < v->series_count; i++) {
		const struct ql_series *s = &v->series[i];
		uint32_t k = 0;
		while (in_range && k < s->count && s->t_ms[k] != t_ms)
			k++;
		if (k == s->count)
			continue;
		const struct ptest_series *want = expected(c, s->labels, &at);
		if (!want)
			return fail(
			    r, "unexpected %s %s", label_show(s->labels), ptest_show_point(s, k));
		if (c->wants[PTEST_ORDERED] && at != i)
			return fail(
			    r, "%s at place %zu, expected at %zu", label_show(s->labels), i, at);
		if (!ptest_same(&want->desc.items[0], s, k))
			return fail(r, "%s: expected %s, got %s", label_show(s->labels),
			    ptest_show_item(&want->desc.items[0]), ptest_show_point(s, k));
		for (size_t j = 0; j < i; j++)
			if (label_equal(v->series[j].labels, s->labels))
				return fail(r, "%s twice in the result", label_show(s->labels));
		seen++;
	}
	for (size_t i = 0; seen != c->series_count && i < c->series_count; i++) {
		bool found = false;
		for (size_t j = 0; j < v->series_count && !found; j++)
			found = label_equal(v->series[j].labels, c->series[i].desc.labels);
		if (!found)
			return fail(r, "missing %s, result has %zu series",
			    label_show(c->series[i].desc.labels), v->series_count);
	}
	if (seen != c->series_count)
		return fail(r, "%zu of %zu expected series have a value", seen, c->series_count);
	return true;
}

static bool check_sorted(struct run *r, const struct ql_value *v)
{
	for (size_t i = 1; i < v->series_count; i++)
		if (label_cmp(v->series[i - 1].labels, v->series[i].labels) >= 0)
			return fail(r, "result is not sorted by labels: %s before %s",
			    label_show(v->series[i - 1].labels), label_show(v->series[i].labels));
	return true;
}

/* The next point from k on of the kind. */
static uint32_t next_of_kind(const struct ql_series *s, uint32_t k, bool hist)
{
	while (k < s->count && (s->h && s->h[k]) != hist)
		k++;
	return k;
}

/* The points of one kind, in the order of their times. */
static bool compare_kind(struct run *r, const struct ql_series *got,
    const struct ql_series_desc *want, int64_t start_ms, int64_t step_ms, bool hist)
{
	uint32_t k = next_of_kind(got, 0, hist);
	for (size_t i = 0; i < want->items_count; i++) {
		const struct ql_series_item *it = &want->items[i];
		int64_t t_ms = start_ms + (int64_t)i * step_ms;
		if (it->kind != (hist ? QL_ITEM_HISTOGRAM : QL_ITEM_FLOAT))
			continue;
		if (k == got->count || got->t_ms[k] != t_ms)
			return fail(r, "%s: expected %s at %" PRId64 " ms, got %s at %" PRId64 " ms",
			    label_show(got->labels), ptest_show_item(it), t_ms,
			    k == got->count ? "nothing more" : ptest_show_point(got, k),
			    k == got->count ? t_ms : got->t_ms[k]);
		if (!ptest_same(it, got, k))
			return fail(r, "%s: expected %s at %" PRId64 " ms, got %s",
			    label_show(got->labels), ptest_show_item(it), t_ms,
			    ptest_show_point(got, k));
		k = next_of_kind(got, k + 1, hist);
	}
	if (k != got->count)
		return fail(r, "%s: unexpected point at %" PRId64 " ms: %s",
		    label_show(got->labels), got->t_ms[k], ptest_show_point(got, k));
	return true;
}

static bool compare_series(struct run *r, const struct ql_series *got,
    const struct ql_series_desc *want, int64_t start_ms, int64_t step_ms)
{
	return compare_kind(r, got, want, start_ms, step_ms, false) &&
	    compare_kind(r, got, want, start_ms, step_ms, true);
}

static bool compare_matrix(struct run *r, const struct ql_value *v, int64_t start_ms, int64_t step_ms)
{
	size_t at;
	if (r->c->wants_scalar)
		return fail(r, "expected a scalar, got a matrix");
	if (!check_sorted(r, v))
		return false;
	for (size_t i = 0; i < v->series_count; i++) {
		const struct ptest_series *want = expected(r->c, v->series[i].labels, &at);
		if (!want)
			return fail(r, "unexpected %s with %u points",
			    label_show(v->series[i].labels), v->series[i].count);
		if (!compare_series(r, &v->series[i], &want->desc, start_ms, step_ms))
			return false;
	}
	for (size_t i = 0; i < r->c->series_count && v->series_count != r->c->series_count; i++) {
		bool found = false;
		for (size_t j = 0; j < v->series_count && !found; j++)
			found = label_equal(v->series[j].labels, r->c->series[i].desc.labels);
		if (!found)
			return fail(r, "missing %s, result has %zu series",
			    label_show(r->c->series[i].desc.labels), v->series_count);
	}
	return true;
}

static bool compare_string(struct run *r, const struct ql_value *v)
{
	if (!r->c->wants_string)
		return fail(r, "a string, which was not expected");
	if (v->string_len != r->c->string.len || memcmp(v->string, r->c->string.s, v->string_len))
		return fail(r, "expected string \"%s\", got \"%.*s\"", r->c->string.s,
		    (int)v->string_len, v->string);
	return true;
}

static bool compare(struct run *r, const struct ql_value *v)
{
	const struct ptest_cmd *c = r->c;
	if (c->wants_string && v->type != QL_STRING)
		return fail(r, "expected a string, got %s", ql_type_text(v->type));
	switch (v->type) {
	case QL_SCALAR:
		return compare_scalar(r, v);
	case QL_STRING:
		return compare_string(r, v);
	case QL_VECTOR:
		if (c->wants_range_vector)
			return fail(r, "expected a range vector, got an instant vector");
		return compare_points(r, v, false, 0);
	case QL_MATRIX:
		if (c->wants[PTEST_ORDERED])
			return fail(r, "expected an order, got a matrix");
		if (!c->range && !c->wants_range_vector)
			return fail(r, "a range vector, which was not expected");
		return c->range ? compare_matrix(r, v, c->start_ms, c->eval_step_ms)
		                : compare_matrix(r, v, c->rv_start_ms, c->rv_step_ms);
	case QL_NONE:
		break;
	}
	return fail(r, "no result");
}

/* ---- annotations and errors ---- */

static bool check_kind(struct run *r, const struct ql_note *notes, size_t count,
    enum ptest_want want, enum ptest_want none, const char *word)
{
	const struct ptest_cmd *c = r->c;
	if (c->wants[want] && !count)
		return fail(r, "expected %s, got none", word);
	if (c->wants[none] && count)
		return fail(r, "unexpected %s: %s", word, notes[0].text);
	bool any = false;
	for (const struct ptest_note *n = c->notes; n; n = n->next) {
		bool found = n->kind != want;
		any = any || n->kind == want;
		for (size_t i = 0; i < count && !found; i++)
			found = ptest_note_matches(n, notes[i].text);
		if (!found)
			return fail(r, "no %s is %s, the first of %zu is: %s", word,
			    n->msg ? n->msg : "as the regex", count, notes[0].text);
	}
	for (size_t i = 0; any && i < count; i++) {
		bool found = false;
		for (const struct ptest_note *n = c->notes; n && !found; n = n->next)
			found = n->kind == want && ptest_note_matches(n, notes[i].text);
		if (!found)
			return fail(r, "unexpected %s: %s", word, notes[i].text);
	}
	return true;
}

static bool check_notes(struct run *r, const struct ql *q)
{
	size_t count;
	const struct ql_note *notes = ql_warnings(q, &count);
	if (!check_kind(r, notes, count, PTEST_WARN, PTEST_NO_WARN, "warning"))
		return false;
	notes = ql_infos(q, &count);
	return check_kind(r, notes, count, PTEST_INFO, PTEST_NO_INFO, "info");
}

/* Did it fail the way it had to? */
static bool check_error(struct run *r, const struct query *x)
{
	if (!r->c->wants[PTEST_FAIL])
		return fail(r, "error: %s", x->err_text);
	for (const struct ptest_note *n = r->c->notes; n; n = n->next)
		if (n->kind == PTEST_FAIL && !ptest_note_matches(n, x->err_text))
			return fail(r, "failed with another error: %s", x->err_text);
	return true;
}

static bool run_whole(
    struct run *r, const char *text, size_t len, int64_t start_ms, int64_t end_ms, int64_t step_ms)
{
	struct query x;
	bool ok;
	query_run(r, &x, text, len, start_ms, end_ms, step_ms);
	if (x.err)
		ok = check_error(r, &x);
	else if (r->c->wants[PTEST_FAIL])
		ok = fail(r, "no error");
	else
		ok = check_notes(r, x.q) && compare(r, ql_result(x.q));
	query_end(r, &x);
	return ok;
}

/* ---- the other ways ---- */

/* The same expression as a range query around t: the point at t must be the same. */
static bool run_as_range(struct run *r, const char *text, size_t len, int64_t t_ms)
{
	struct query x;
	bool ok;
	query_run(r, &x, text, len, t_ms - MINUTE_MS, t_ms + MINUTE_MS, MINUTE_MS);
	if (x.err) {
		ok = fail(r, "error: %s", x.err_text);
	} else {
		const struct ql_value *v = ql_result(x.q);
		if (v->type != QL_MATRIX)
			ok = fail(r, "a range query gave a %s", ql_type_text(v->type));
		else if (r->c->wants[PTEST_ORDERED] || !check_sorted(r, v))
			ok = r->c->wants[PTEST_ORDERED];
		else if (!r->c->wants_scalar)
			ok = compare_points(r, v, true, t_ms);
		else if (v->series_count != 1 || v->series[0].count != 3 || v->series[0].labels.len)
			ok = fail(
			    r, "expected a scalar at all steps, got %zu series", v->series_count);
		else
			ok = ptest_almost(r->c->scalar, v->series[0].v[1]) ||
			    fail(r, "expected scalar %.17g, got %.17g", r->c->scalar,
			        v->series[0].v[1]);
	}
	query_end(r, &x);
	return ok;
}

static bool depends_on_query_times(const char *text, size_t len)
{
	static const char *const words[] = { "start()", "end()", "range()", "step()" };
	for (size_t i = 0; i < COUNT_OF(words); i++)
		if (memmem(text, len, words[i], strlen(words[i])))
			return true;
	return false;
}

static bool run_instant(struct run *r, const char *text, size_t len, int64_t t_ms, const char *mode)
{
	snprintf(r->out->mode, sizeof(r->out->mode), "%s at %" PRId64 " ms", mode, t_ms);
	if (!run_whole(r, text, len, t_ms, t_ms, 0))
		return false;
	if (r->c->wants[PTEST_FAIL] || r->c->wants_range_vector || r->c->wants_string ||
	    depends_on_query_times(text, len))
		return true;
	snprintf(r->out->mode, sizeof(r->out->mode), "%s, as a range query around %" PRId64 " ms",
	    mode, t_ms);
	return run_as_range(r, text, len, t_ms);
}

/*
 * Pins every selector and sub-query at t; true when a function is called whose value depends on the
 * evaluation time. What is inside a sub-query stays.
 */
static bool pin(struct ql_node *n, int64_t t_ms)
{
	bool unsafe = false;
	struct ql_mods *m = NULL;
	switch (n->kind) {
	case QL_NUMBER:
	case QL_TEXT:
		return false;
	case QL_SELECTOR:
		m = &n->sel.mods;
		break;
	case QL_SUBQUERY:
		m = &n->sub.mods;
		break;
	case QL_CALL:
		unsafe = n->call.func->flags & QL_FN_EVALTIME;
		for (uint32_t i = 0; i < n->call.args_count; i++)
			unsafe = pin(n->call.args[i], t_ms) || unsafe;
		return unsafe;
	case QL_AGGREGATE:
		unsafe = n->agg.param && pin(n->agg.param, t_ms);
		return pin(n->agg.expr, t_ms) || unsafe;
	case QL_BINARY:
		unsafe = pin(n->bin.l, t_ms);
		return pin(n->bin.r, t_ms) || unsafe;
	case QL_UNARY:
		return pin(n->unary.expr, t_ms);
	case QL_PAREN:
		return pin(n->paren, t_ms);
	}
	if (m && m->at != QL_AT_TIME) {
		m->at = QL_AT_TIME;
		m->at_ms = t_ms;
	}
	return false;
}

static bool run_pinned(struct run *r, struct ql_node *n)
{
	int64_t t = r->c->start_ms;
	int64_t times[5] = { -10 * t, 0, t / 5, t, 10 * t };
	size_t count = 5;
	if (pin(n, t))
		return true;
	if (t == 0) {
		times[0] = -1000;
		times[2] = 1000;
		count = 3;
	}
	struct buf text;
	bool ok = true;
	buf_init(&text);
	ql_print(&text, n);
	for (size_t i = 0; i < count && ok; i++)
		ok = run_instant(r, (const char *)text.data, text.len, times[i], "pinned");
	buf_release(&text);
	return ok;
}

void ptest_run_eval(
    struct team *team, struct ptest_db *db, const struct ptest_cmd *c, struct ptest_result *out)
{
	static const struct ql_parse_opts all = { true, true, true, NULL };
	struct run r = { .team = team, .db = db, .c = c, .out = out };
	struct arena a;
	struct errbuf eb;
	struct ql_node *n;
	size_t len = strlen(c->query);
	memset(out, 0, sizeof(*out));
	snprintf(out->mode, sizeof(out->mode), "as written");
	arena_init(&a, 4096);
	errbuf_init(&eb);
	if (ql_parse(&a, c->query, len, &all, &n, &eb)) {
		fail(&r, "%s", eb.text);
		arena_release(&a);
		return;
	}
	if (c->range)
		out->passed = run_whole(&r, c->query, len, c->start_ms, c->end_ms, c->eval_step_ms);
	else
		out->passed =
		    run_instant(&r, c->query, len, c->start_ms, "as written") && run_pinned(&r, n);
	ql_ast_release(n);
	arena_release(&a);
}
