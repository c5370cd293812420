/*
 * How many series each node of a plan has, as far as labels tell: which labels of which piece's
 * series tell them apart (core/promql/ql_trace.h). Counting is done elsewhere.
 */
#include "core/promql/lang/ql_arith.h"
#include "core/promql/run/ql_aggr.h"
#include "core/promql/run/ql_tracing.h"

#include <math.h>
#include <string.h>

static const struct ql_str metadata[] = { { "__name__", 8 }, { "__type__", 8 }, { "__unit__", 8 } };

static struct ql_names names_of(struct arena *a, const struct ql_str *s, uint32_t count,
    const struct ql_str *more, uint32_t more_count)
{
	struct ql_str *all = arena_array(a, (size_t)count + more_count + 1, sizeof(*all));
	if (count)
		memcpy(all, s, count * sizeof(*s));
	if (more_count)
		memcpy(all + count, more, more_count * sizeof(*more));
	return ql_names_make(a, all, count + more_count);
}

/* ---- keys ---- */

/* NULL shape, or too many: none. */
static struct ql_trace_key *key_new(struct ql_trace *t, struct ql_trace_piece *p, struct ql_shape *s)
{
	if (!s || p->keys_count == QL_TRACE_KEYS_MOST || t->keys_count == QL_TRACE_KEYS_ALL) {
		ql_shape_release(s);
		return NULL;
	}
	struct ql_trace_key *k = arena_zalloc(t->arena, sizeof(*k));
	t->keys_count++;
	*k = (struct ql_trace_key){ .next = p->keys, .piece = p, .shape = s, .index = p->keys_count++ };
	return p->keys = k;
}

static struct ql_trace_keys first_key(struct ql_trace *t, const struct ql_piece_spec *s)
{
	struct ql_trace_keys out = { .count = 1 };
	struct ql_trace_piece *p = t->pieces;
	while (p && p->shards != s->told)
		p = p->next;
	struct ql_trace_key *k = p ? p->keys : NULL;
	while (k && k->shape->steps)
		k = k->next;
	if (p && !k)
		k = key_new(t, p, ql_shape_add(t->arena, NULL, QL_SHAPE_ALL, (struct ql_names){ 0 }));
	out.of[0] = k;
	return k ? out : (struct ql_trace_keys){ 0 };
}

static bool names_equal(const struct ql_names *a, const struct ql_names *b)
{
	bool same = a->count == b->count;
	for (uint32_t i = 0; i < a->count && same; i++)
		same = bytes_equal(a->s[i].s, a->s[i].len, b->s[i].s, b->s[i].len);
	return same;
}

static struct ql_trace_key *key_as(
    const struct ql_trace_key *k, enum ql_shape_do what, const struct ql_names *names)
{
	for (struct ql_trace_key *x = k->piece->keys; x; x = x->next)
		if (x->shape->before == k->shape && x->shape->what == what &&
		    names_equal(&x->shape->names, names))
			return x;
	return NULL;
}

/* Nothing, when one of them cannot be. */
static struct ql_trace_keys keys_step(struct ql_trace *t, const struct ql_trace_keys *from,
    enum ql_shape_do what, const struct ql_names *names, const struct ql_node *call)
{
	struct ql_trace_keys out = { .count = from->count };
	for (unsigned i = 0; i < from->count; i++) {
		struct ql_trace_key *k = from->of[i];
		struct ql_trace_piece *p = t->pieces;
		while (p != k->piece)
			p = p->next;
		out.of[i] = call ? NULL : key_as(k, what, names);
		if (!out.of[i])
			out.of[i] = key_new(t, p,
			    call ? ql_shape_call(t->arena, k->shape, call)
			         : ql_shape_add(t->arena, k->shape, what, *names));
		if (!out.of[i])
			return (struct ql_trace_keys){ 0 };
	}
	return out;
}

static struct ql_trace_keys keys_pick(
    struct ql_trace *t, const struct ql_trace_keys *from, const struct ql_names *names, bool stay)
{
	return keys_step(t, from, stay ? QL_SHAPE_STAY : QL_SHAPE_GO, names, NULL);
}

static void names_go(struct ql_trace *t, struct ql_trace_keys *k)
{
	struct ql_names names = names_of(t->arena, metadata, COUNT_OF(metadata), NULL, 0);
	*k = keys_pick(t, k, &names, false);
}

/* ---- pieces ---- */

static bool needs_two(enum ql_fn fn)
{
	static const enum ql_fn fns[] = { QL_FN_RATE, QL_FN_INCREASE, QL_FN_DELTA, QL_FN_IRATE,
		QL_FN_IDELTA, QL_FN_DERIV, QL_FN_PREDICT_LINEAR, QL_FN_DOUBLE_EXPONENTIAL_SMOOTHING };
	bool two = false;
	for (unsigned i = 0; i < COUNT_OF(fns); i++)
		two |= fns[i] == fn;
	return two;
}

static bool elem_filters(const struct ql_elem *e)
{
	return !ql_elem_drops_name(e) ||
	    (e->kind == QL_ELEM_FN && !strncmp(ql_functab[e->fn].name, "histogram_", 10));
}

static void group_by(struct ql_trace *t, struct ql_trace_groups *g, const struct ql_trace_keys *in,
    const struct ql_names *names, bool without)
{
	g->made = QL_MADE_KEYS;
	g->by = !without;
	g->names = *names;
	g->keys = keys_pick(t, in, names, !without);
}

static void of_piece(struct ql_trace *t, const struct ql_pn *pn, struct ql_trace_node *n)
{
	struct ql_trace_groups *g = &n->groups;
	const struct ql_pipe *s = pn->pipe;
	const struct ql_reduce *r = &s->reduce;
	bool windows = s->mode == QL_PIECE_RANGE || s->mode == QL_PIECE_INSTANT;
	g->made = QL_MADE_KEYS;
	g->keys = first_key(t, pn->spec);
	g->values = s->range.anchored || s->range.smoothed || !windows ||
	    (s->mode == QL_PIECE_RANGE && needs_two(s->range.fn)) ||
	    (s->grid.n > 1 && s->range.range_ms < s->grid.step_ms && !s->range.fixed);
	for (unsigned i = 0; i < s->stages_count; i++) {
		const struct ql_stage *st = &s->stages[i];
		if (st->kind == QL_STAGE_RATIO)
			g->share *= fabs(st->ratio);
		for (unsigned k = 0; k < st->elems_count; k++)
			g->values |= elem_filters(&st->elems[k]);
	}
	if (s->names != QL_NAMES_KEEP)
		names_go(t, &g->keys);
	if (r->kind == QL_REDUCE_AGGR) {
		group_by(t, g, &g->keys, &r->names, r->without);
		n->held = ql_aggr_arrays(r->op);
	} else if (r->kind == QL_REDUCE_BEST) {
		g->made = QL_MADE_BEST;
		g->k = r->k;
		n->held = r->k;
		g->more = keys_pick(t, &g->keys, &r->names, !r->without);
	}
}

/* ---- what stands above ---- */

static const struct ql_trace_node *argument(
    const struct ql_trace_node *n, const struct ql_pn *pn, unsigned i)
{
	const struct ql_trace_node *c = n->first;
	for (unsigned k = 0; c && k < pn->args_count; k++) {
		if (!pn->arg[k])
			continue;
		if (k == i)
			return c;
		c = c->next;
	}
	return NULL;
}

/* The first that is a vector. */
static const struct ql_trace_node *vector_of(const struct ql_trace_node *n)
{
	const struct ql_trace_node *c = n->first;
	while (c && c->groups.made == QL_MADE_NO_SERIES)
		c = c->next;
	return c;
}

static void pass(struct ql_trace_node *n, const struct ql_trace_node *in, bool values)
{
	n->groups.made = QL_MADE_KEYS;
	n->groups.keys = in->groups.keys;
	n->groups.values = values;
	n->joined = in->joined;
	n->joined_keys = in->joined_keys;
}

/* Labels of the one side are not in the keys of the many side. */
static void group_joined(struct ql_trace *t, struct ql_trace_groups *g,
    const struct ql_trace_node *in, const struct ql_names *names)
{
	struct ql_str *own = arena_array(t->arena, (size_t)names->count + 1, sizeof(*own));
	struct ql_str *of_one = arena_array(t->arena, (size_t)names->count + 1, sizeof(*of_one));
	uint32_t own_count = 0, one_count = 0;
	for (uint32_t i = 0; i < names->count; i++) {
		if (ql_names_have(&in->joined, names->s[i].s, names->s[i].len))
			of_one[one_count++] = names->s[i];
		else
			own[own_count++] = names->s[i];
	}
	if (!one_count)
		return;
	struct ql_names mine = ql_names_make(t->arena, own, own_count),
	                one = ql_names_make(t->arena, of_one, one_count);
	g->made = QL_MADE_JOINED;
	g->by = false;
	g->keys = keys_pick(t, &in->groups.keys, &mine, true);
	g->more = keys_pick(t, &in->joined_keys, &one, true);
}

static void of_aggregation(struct ql_trace *t, const struct ql_pn *pn, struct ql_trace_node *n,
    const struct ql_trace_node *in)
{
	const struct ql_node *ast = pn->ast;
	struct ql_trace_groups *g = &n->groups;
	struct ql_names names = names_of(t->arena, ast->agg.grouping, ast->agg.grouping_count,
	    metadata, ast->agg.without ? 1 : 0);
	const struct ql_pn *param = pn->args_count > 1 ? pn->arg[1] : NULL;
	if (pn->kind == PN_TOPK) {
		bool known = param && param->kind == PN_SCALAR && param->scalar.kind == QL_SAME;
		double k = known ? param->scalar.same : NAN;
		pass(n, in, !known);
		if (known && ast->agg.op == QL_LIMIT_RATIO) {
			g->share = fabs(k) < 1 ? fabs(k) : 1;
		} else if (known) {
			g->made = QL_MADE_BEST;
			g->k = k >= 1 ? floor(k) : 0;
			g->more = keys_pick(t, &in->groups.keys, &names, !ast->agg.without);
		}
		return;
	}
	if (pn->kind == PN_COUNT_VALUES) {
		g->made = QL_MADE_VALUES;
		return;
	}
	group_by(t, g, &in->groups.keys, &names, ast->agg.without);
	if (!ast->agg.without && in->joined.count)
		group_joined(t, g, in, &names);
}

static void of_operator(struct ql_trace *t, const struct ql_pn *pn, struct ql_trace_node *n)
{
	const struct ql_node *ast = pn->ast;
	struct ql_trace_groups *g = &n->groups;
	const struct ql_trace_node *side[2] = { argument(n, pn, 0), argument(n, pn, 1) };
	bool set = pn->kind == PN_SET,
	     compares = ql_op_is_compare(ast->bin.op) && !ast->bin.return_bool;
	bool one_to_one = ast->bin.card == QL_ONE_TO_ONE;
	struct ql_names match = names_of(
	    t->arena, ast->bin.labels, ast->bin.labels_count, metadata, ast->bin.on ? 0 : 1);
	g->made = QL_MADE_UNKNOWN;
	if (!side[0] || !side[1])
		return;
	for (unsigned i = 0; i < 2; i++)
		g->match[i] = keys_pick(t, &side[i]->groups.keys, &match, ast->bin.on);
	g->many = ast->bin.card == QL_ONE_TO_MANY;
	g->keys = side[g->many]->groups.keys;
	g->values = compares || ql_op_is_trim(ast->bin.op);
	if (ast->bin.op == QL_OR || ast->bin.fill_l_set || ast->bin.fill_r_set) {
		const struct ql_trace_keys *r = &side[!g->many]->groups.keys;
		g->made = QL_MADE_OR;
		g->values |= ast->bin.op != QL_OR;
		if (!g->keys.count || !r->count || g->keys.count + r->count > QL_TRACE_KEYS) {
			g->keys.count = 0;
			return;
		}
		memcpy(&g->keys.of[g->keys.count], r->of, r->count * sizeof(r->of[0]));
		g->keys.count += r->count;
		return;
	}
	if (set) {
		g->made = ast->bin.op == QL_AND ? QL_MADE_AND : QL_MADE_UNLESS;
		return;
	}
	if (one_to_one) {
		g->made = QL_MADE_MATCHED;
		g->keys = g->match[0];
		return;
	}
	g->made = QL_MADE_MANY;
	n->joined = names_of(t->arena, ast->bin.include, ast->bin.include_count, NULL, 0);
	n->joined_keys = side[!g->many]->groups.keys;
	if (!compares)
		names_go(t, &g->keys);
	if (n->joined.count)
		g->keys = keys_pick(t, &g->keys, &n->joined, false);
}

static void of_histogram(struct ql_trace *t, const struct ql_pn *pn, struct ql_trace_node *n,
    const struct ql_trace_node *in)
{
	static const struct ql_str le = { "le", 2 };
	struct ql_names names = names_of(t->arena, &le, 1, metadata, COUNT_OF(metadata));
	pass(n, in, true);
	n->groups.keys = keys_pick(t, &in->groups.keys, &names, false);
	if (pn->ast->call.func->fn == QL_FN_HISTOGRAM_QUANTILES) {
		n->groups.made = QL_MADE_TIMES;
		n->groups.k = pn->ast->call.args_count > 2 ? pn->ast->call.args_count - 2 : 1;
	}
}

/* Of one argument. */
static void of_node(struct ql_trace *t, const struct ql_pn *pn, struct ql_trace_node *n,
    const struct ql_trace_node *in)
{
	struct ql_trace_groups *g = &n->groups;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
	switch (pn->kind) {
	case PN_ELEM:
		pass(n, in, elem_filters(&pn->elem));
		if (ql_elem_drops_name(&pn->elem))
			names_go(t, &g->keys);
		break;
	case PN_WINDOW:
		pass(n, in, needs_two(pn->range.fn) || pn->range.range_ms < pn->grid.step_ms);
		if (!ql_range_keeps_name(pn->range.fn))
			names_go(t, &g->keys);
		break;
	case PN_SUBQUERY:
	case PN_EXPAND:
	case PN_SORT:
		pass(n, in, false);
		g->made = QL_MADE_SAME;
		break;
	case PN_INFO:
		pass(n, in, true);
		break;
	case PN_LABEL_REPLACE:
	case PN_LABEL_JOIN:
		pass(n, in, false);
		g->keys = keys_step(t, &in->groups.keys, QL_SHAPE_ALL, NULL, pn->ast);
		break;
	case PN_HISTOGRAM:
		of_histogram(t, pn, n, in);
		break;
	case PN_AGGR:
	case PN_QUANTILE:
	case PN_TOPK:
	case PN_COUNT_VALUES:
		of_aggregation(t, pn, n, in);
		break;
	default:
		g->made = QL_MADE_UNKNOWN;
	}
#pragma GCC diagnostic pop
}

void ql_trace_groups(struct ql_trace *t, const struct ql_pn *pn, struct ql_trace_node *n)
{
	struct ql_trace_groups *g = &n->groups;
	g->share = 1;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
	switch (pn->kind) {
	case PN_SCALAR:
	case PN_SCALAR_OP:
	case PN_SCALAR_NEG:
	case PN_SCALAR_FN:
	case PN_SCALAR_OF:
	case PN_STRING:
		g->made = QL_MADE_NO_SERIES;
		return;
	case PN_EMPTY:
		g->made = QL_MADE_NOTHING;
		return;
	case PN_VECTOR_OF:
		g->made = QL_MADE_ONE;
		return;
	case PN_ABSENT:
		g->made = QL_MADE_ABSENT;
		return;
	case PN_PIECE:
		of_piece(t, pn, n);
		return;
	case PN_BINARY:
	case PN_SET:
		of_operator(t, pn, n);
		return;
	default:
		break;
	}
#pragma GCC diagnostic pop
	const struct ql_trace_node *in = vector_of(n);
	if (!in && pn->kind == PN_EXPAND)
		g->made = QL_MADE_NO_SERIES;
	else if (!in)
		g->made = QL_MADE_UNKNOWN;
	else
		of_node(t, pn, n, in);
}
