#include "core/promql/cache/ql_reach.h"

#include "core/base/num.h"
#include "core/promql/lang/ql_func.h"

#include <string.h>

#define FAR_MS (INT64_C(1) << 50) /* further away than any sample: somebody plays with offsets */

/* The times at which a node is evaluated, seen from a step at 0; fixed: as they are. */
struct when {
	bool fixed;
	int64_t min_ms, max_ms;
};
struct walk {
	struct ql_reach *out;
	int64_t lookback_ms;
	/*
	 * equal label sets may come up at different steps: names differ, or two vectors are joined
	 */
	bool names, joined, all_steps;
};

static void walk_node(struct walk *w, const struct ql_node *n, struct when at);

static void depends_on_range(struct walk *w)
{
	if (w->out->kind == QL_REACH_STEP)
		w->out->kind = QL_REACH_RANGE;
}

static void look_at_dur(struct walk *w, const struct ql_dur *d)
{
	if (!d)
		return;
	if (d->kind == QL_DUR_RANGE)
		depends_on_range(w);
	look_at_dur(w, d->l);
	look_at_dur(w, d->r);
}

static struct when moved(struct walk *w, const struct ql_mods *m, struct when at)
{
	look_at_dur(w, m->offset);
	if (m->at == QL_AT_START || m->at == QL_AT_END)
		depends_on_range(w);
	if (m->at != QL_AT_NONE)
		at = (struct when){ .fixed = true, .min_ms = m->at_ms, .max_ms = m->at_ms };
	at.min_ms = num_sat_sub(at.min_ms, m->offset_ms);
	at.max_ms = num_sat_sub(at.max_ms, m->offset_ms);
	return at;
}

static void reads(struct ql_reach *r, int64_t min_ms, int64_t max_ms)
{
	if (min_ms < -FAR_MS || max_ms > FAR_MS) {
		r->kind = QL_REACH_NONE;
		return;
	}
	if (!r->any || -min_ms > r->back_ms)
		r->back_ms = -min_ms;
	if (!r->any || max_ms > r->ahead_ms)
		r->ahead_ms = max_ms;
	r->any = true;
}

static void reads_fixed(struct ql_reach *r, int64_t min_ms, int64_t max_ms)
{
	if (!r->fixed || min_ms < r->fixed_min_ms)
		r->fixed_min_ms = min_ms;
	if (!r->fixed || max_ms > r->fixed_max_ms)
		r->fixed_max_ms = max_ms;
	r->fixed = true;
}

static bool is_name(const struct matcher *m)
{
	return m->name_len == sizeof(LABEL_NAME) - 1 && !memcmp(m->name, LABEL_NAME, m->name_len);
}

static bool has_one_name(const struct ql_node *n)
{
	for (uint32_t i = 0; i < n->sel.matchers_count; i++) {
		const struct matcher *m = &n->sel.matchers[i];
		if (is_name(m) && m->type == MATCHER_EQ && m->value_len)
			return true;
	}
	return false;
}

static void walk_selector(struct walk *w, const struct ql_node *n, struct when at)
{
	const struct ql_mods *m = &n->sel.mods;
	int64_t before = n->type == QL_MATRIX ? n->sel.range_ms : w->lookback_ms, after = 0;
	at = moved(w, m, at);
	look_at_dur(w, n->sel.range);
	if (m->anchored || m->smoothed)
		before = num_sat_add(before, w->lookback_ms);
	if (m->smoothed)
		after = w->lookback_ms;
	if (!has_one_name(n)) {
		w->names = true;
		w->out->strict = false;
	}
	at.min_ms = num_sat_sub(at.min_ms, before);
	at.max_ms = num_sat_add(at.max_ms, after);
	if (at.fixed)
		reads_fixed(w->out, at.min_ms, at.max_ms);
	else
		reads(w->out, at.min_ms, at.max_ms);
}

static void walk_subquery(struct walk *w, const struct ql_node *n, struct when at)
{
	at = moved(w, &n->sub.mods, at);
	look_at_dur(w, n->sub.range);
	look_at_dur(w, n->sub.step);
	at.min_ms = num_sat_sub(at.min_ms, n->sub.range_ms);
	w->all_steps = true;
	walk_node(w, n->sub.expr, at);
}

static void walk_call(struct walk *w, const struct ql_node *n, struct when at)
{
	enum ql_fn fn = n->call.func->fn;
	if (fn == QL_FN_START || fn == QL_FN_END || fn == QL_FN_RANGE ||
	    fn == QL_FN_LABEL_REPLACE || fn == QL_FN_LABEL_JOIN)
		depends_on_range(w);
	else if (fn == QL_FN_INFO)
		w->out->kind = QL_REACH_NONE;
	else if (fn == QL_FN_ABSENT || fn == QL_FN_ABSENT_OVER_TIME || fn == QL_FN_SCALAR ||
	    fn == QL_FN_VECTOR)
		w->out->strict = false;
	for (uint32_t i = 0; i < n->call.args_count; i++)
		walk_node(w, n->call.args[i], at);
}

static void walk_aggregate(struct walk *w, const struct ql_node *n, struct when at)
{
	switch (n->agg.op) {
	case QL_LIMITK:
	case QL_LIMIT_RATIO:
		w->out->kind = QL_REACH_NONE;
		break;
	case QL_STDDEV:
	case QL_STDVAR:
	case QL_TOPK:
	case QL_BOTTOMK:
		w->out->order = true;
		depends_on_range(w);
		break;
	case QL_SUM:
	case QL_AVG:
	case QL_COUNT:
	case QL_MIN:
	case QL_MAX:
	case QL_GROUP:
	case QL_COUNT_VALUES:
	case QL_QUANTILE:
		break;
	}
	if (n->agg.param)
		walk_node(w, n->agg.param, at);
	walk_node(w, n->agg.expr, at);
}

static void walk_chain(struct walk *w, const struct ql_node *n, struct when at)
{
	for (; n->kind == QL_BINARY; n = n->bin.l) {
		if (n->bin.op == QL_OR || n->bin.op == QL_UNLESS || n->bin.fill_l_set ||
		    n->bin.fill_r_set)
			w->out->strict = false;
		w->joined |= n->bin.op == QL_OR;
		walk_node(w, n->bin.r, at);
	}
	walk_node(w, n, at);
}

static void walk_node(struct walk *w, const struct ql_node *n, struct when at)
{
	switch (n->kind) {
	case QL_NUMBER:
	case QL_TEXT:
		break;
	case QL_SELECTOR:
		walk_selector(w, n, at);
		break;
	case QL_SUBQUERY:
		walk_subquery(w, n, at);
		break;
	case QL_CALL:
		walk_call(w, n, at);
		break;
	case QL_AGGREGATE:
		walk_aggregate(w, n, at);
		break;
	case QL_BINARY:
		walk_chain(w, n, at);
		break;
	case QL_UNARY:
		w->all_steps |= n->unary.minus;
		walk_node(w, n->unary.expr, at);
		break;
	case QL_PAREN:
		walk_node(w, n->paren, at);
		break;
	}
}

struct ql_reach ql_reach(struct ql_node *root, int64_t lookback_ms)
{
	struct ql_reach r = { .kind = QL_REACH_STEP, .strict = true };
	struct walk w = { .out = &r, .lookback_ms = lookback_ms };
	walk_node(&w, root, (struct when){ .fixed = false });
	if (w.names || (w.joined && w.all_steps))
		depends_on_range(&w);
	if (!r.any && !r.fixed)
		r.kind = QL_REACH_NONE;
	return r;
}
