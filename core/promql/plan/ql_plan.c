#include "core/promql/plan/ql_plan_priv.h"

#include <math.h>
#include <string.h>

static struct ql_pn *plan(struct ql_plan *p, const struct ql_node *n, const struct ql_grid *g);
static struct ql_pn *plan_here(struct ql_plan *p, const struct ql_node *n, const struct ql_grid *g);

static void fail(struct ql_plan *p, const char *text)
{
	if (!p->err)
		p->err = errbuf_set(p->eb, ERR_EXECUTION, "%s", text);
}

static struct ql_pn *node_make(struct ql_plan *p, enum ql_pn_kind kind, const struct ql_node *ast,
    const struct ql_grid *g, unsigned args)
{
	struct ql_pn *pn = arena_zalloc(p->arena, sizeof(*pn));
	pn->kind = kind;
	pn->scope = p->_scope;
	pn->ast = ast;
	pn->grid = *g;
	pn->args_count = args;
	pn->arg = arena_zalloc(p->arena, (args + 1) * sizeof(*pn->arg));
	return pn;
}

/* Appended to the order of evaluation: after its arguments. */
static struct ql_pn *node_done(struct ql_plan *p, struct ql_pn *pn)
{
	*p->_end = pn;
	p->_end = &pn->next;
	return pn;
}

static struct ql_pn *plan_known(
    struct ql_plan *p, const struct ql_node *n, const struct ql_grid *g, struct ql_scalar value)
{
	struct ql_pn *pn = node_make(p, PN_SCALAR, n, g, 0);
	pn->scalar = value;
	return node_done(p, pn);
}

/* What is read for step 0 of these, once. */
static struct ql_reads first_alone(const struct ql_reads *around)
{
	struct ql_reads r = { .one = true };
	r.none = !ql_reads_at(around, 0, &r.at);
	return r;
}

static struct ql_pn *plan_expanded(
    struct ql_plan *p, const struct ql_node *n, const struct ql_grid *g)
{
	struct ql_grid once = { g->start_ms, g->step_ms, 1 };
	struct ql_scope scope = p->_scope;

	p->_scope.uses *= g->n;
	p->_scope.reads = first_alone(&scope.reads);
	struct ql_pn *inner = plan_here(p, n, &once);
	p->_scope = scope;
	if (!inner || inner->kind == PN_STRING)
		return inner;
	struct ql_pn *pn = node_make(p, PN_EXPAND, n, g, 1);
	pn->arg[0] = inner;
	return node_done(p, pn);
}

/* --- selectors and pieces --- */

static bool name_is_pinned(const struct ql_node *sel)
{
	for (uint32_t i = 0; i < sel->sel.matchers_count; i++) {
		const struct matcher *m = &sel->sel.matchers[i];
		if (m->type == MATCHER_EQ && m->value_len &&
		    label_is_metric_name(m->name, m->name_len))
			return true;
	}
	return false;
}

static void piece_drops_name(struct ql_plan *p, struct ql_pn *pn)
{
	if (pn->pipe->names == QL_NAMES_KEEP)
		pn->pipe->names =
		    ql_names_drop(p->opts->features.delayed_name_removal, name_is_pinned(pn->ast));
}

static struct ql_range_spec range_of(
    const struct ql_plan *p, const struct ql_mods *m, int64_t range_ms, const struct ql_grid *g)
{
	return (struct ql_range_spec){
		.grid = *g,
		.range_ms = range_ms,
		.offset_ms = m->offset_ms,
		.fixed = m->at != QL_AT_NONE,
		.at_ms = m->at_ms,
		.anchored = m->anchored,
		.smoothed = m->smoothed,
		.start_times = p->opts->features.start_timestamps,
		.by_type = p->opts->features.type_and_unit_labels,
		.lookback_ms = p->lookback_ms,
		.reads = p->_scope.reads,
		.buckets = p->_buckets,
	};
}

/* What is read for one step, and used at all of them alike, need not be counted step by step. */
static void plan_tally(const struct ql_plan *p, struct ql_pipe *s)
{
	const struct ql_reads *reads = &s->range.reads;

	if (LIKELY(!p->opts->per_step) || p->steps == 1 || reads->one || reads->none ||
	    s->mode == QL_PIECE_SMOOTH || s->mode == QL_PIECE_RAW)
		return;
	s->tally_n = p->steps;
	s->tally_used = p->_scope.uses != 0;
}

static struct ql_pipe *plan_pipe(
    struct ql_plan *p, const struct ql_node *sel, const struct ql_grid *g, enum ql_piece_mode mode)
{
	struct ql_pipe *s = arena_zalloc(p->arena, sizeof(*s));

	s->mode = mode;
	s->grid = *g;
	s->pos = sel->pos;
	s->range = range_of(p, &sel->sel.mods, sel->sel.range_ms, g);
	if (mode == QL_PIECE_INSTANT || mode == QL_PIECE_TIME || mode == QL_PIECE_INFO ||
	    mode == QL_PIECE_START) {
		s->range.range_ms = p->lookback_ms;
		s->range.smoothed = s->range.anchored = false;
	} else if (mode == QL_PIECE_SMOOTH) {
		s->range.range_ms = 0;
	}
	plan_tally(p, s);
	return s;
}

static struct ql_pn *plan_piece(struct ql_plan *p, const struct ql_node *sel,
    const struct ql_grid *g, enum ql_piece_mode mode, unsigned args)
{
	struct ql_pn *pn = node_make(p, PN_PIECE, sel, g, args);
	struct ql_piece_spec *s = arena_zalloc(p->arena, sizeof(*s));

	s->source = p->opts->source;
	s->tenant = p->opts->tenant;
	s->tenants = p->opts->tenants;
	s->tenants_count = p->opts->tenants_count;
	s->matchers = sel->sel.matchers;
	s->matchers_count = sel->sel.matchers_count;
	s->bytes = p->bytes;
	s->samples = p->samples;
	s->ticket = p->opts->ticket;
	s->pipes = s->_last = pn->pipe = plan_pipe(p, sel, g, mode);
	s->pipes_count = 1;
	ql_range_reach(&s->pipes->range, &s->t_min_ms, &s->t_max_ms);
	pn->spec = s;
	pn->next_piece = p->pieces;
	p->pieces = pn;
	return pn;
}

static struct ql_pn *plan_selector(
    struct ql_plan *p, const struct ql_node *n, const struct ql_grid *g)
{
	if (n->type == QL_MATRIX)
		return node_done(p, plan_piece(p, n, g, QL_PIECE_RAW, 0));
	return node_done(
	    p, plan_piece(p, n, g, n->sel.mods.smoothed ? QL_PIECE_SMOOTH : QL_PIECE_INSTANT, 0));
}

/* Can what stands above the node go on where its series live? */
static bool piece_takes(const struct ql_pn *pn)
{
	return pn->kind == PN_PIECE && pn->pipe->names != QL_NAMES_DROP && !pn->pipe->reduce.kind &&
	    pn->pipe->mode != QL_PIECE_RAW;
}

/* Room for one more stage; NULL: that is done at home. */
static struct ql_stage *pipe_stage(struct ql_pipe *s, enum ql_stage_kind kind)
{
	if (s->stages_count == QL_PIPE_STAGES)
		return NULL;
	s->stages[s->stages_count].kind = kind;
	return &s->stages[s->stages_count++];
}

static struct ql_elem *pipe_elem(struct ql_pipe *s)
{
	struct ql_stage *last = s->stages_count ? &s->stages[s->stages_count - 1] : NULL;

	if (!last || last->kind != QL_STAGE_ELEM || last->elems_count == QL_STAGE_ELEMS) {
		if (!(last = pipe_stage(s, QL_STAGE_ELEM)))
			return NULL;
	}
	return &last->elems[last->elems_count++];
}

static struct ql_pn *plan_elem(struct ql_plan *p, const struct ql_node *n, const struct ql_grid *g,
    struct ql_elem e, struct ql_pn *vec, struct ql_pn *const *param, unsigned params)
{
	bool fixed = true; /* parameters of data cannot go along */
	struct ql_elem *to;

	for (unsigned i = 0; i < params; i++) {
		fixed = fixed && param[i]->kind == PN_SCALAR;
		e.param[i] = param[i]->scalar; /* or known later */
	}
	if (fixed && piece_takes(vec) && (to = pipe_elem(vec->pipe))) {
		*to = e;
		if (ql_elem_drops_name(&e))
			piece_drops_name(p, vec);
		return vec;
	}
	struct ql_pn *pn = node_make(p, PN_ELEM, n, g, 1 + params);
	pn->elem = e;
	pn->arg[0] = vec;
	for (unsigned i = 0; i < params; i++)
		pn->arg[1 + i] = param[i];
	return node_done(p, pn);
}

/* --- range functions --- */

static bool extended_is_allowed(struct ql_plan *p, const struct ql_mods *m, const struct ql_func *f)
{
	enum ql_fn fn = f->fn;
	bool rate = fn == QL_FN_RATE || fn == QL_FN_INCREASE || fn == QL_FN_DELTA;
	bool count = fn == QL_FN_CHANGES || fn == QL_FN_RESETS;

	if (m->anchored && !rate && !count)
		fail(p,
		    arena_printf(p->arena,
		        "anchored modifier can only be used with: changes, delta, increase, rate, resets - not with %s",
		        f->name));
	if (m->smoothed && !rate)
		fail(p,
		    arena_printf(p->arena,
		        "smoothed modifier can only be used with: delta, increase, rate - not with %s",
		        f->name));
	return !p->err;
}

struct ql_grid ql_plan_subquery_grid(
    const struct ql_plan *p, const struct ql_node *sub, const struct ql_grid *outer)
{
	const struct ql_mods *m = &sub->sub.mods;
	int64_t step = sub->sub.step_ms ? sub->sub.step_ms : p->subquery_step_ms;
	int64_t first = outer->start_ms, last = ql_grid_t(outer, outer->n - 1);

	if (m->at != QL_AT_NONE)
		first = last = m->at_ms;
	int64_t end = num_sat_sub(last, m->offset_ms);
	int64_t left = num_sat_sub(num_sat_sub(first, m->offset_ms), sub->sub.range_ms);
	/* Aligned to multiples of the step, left-open; the division truncates. */
	int64_t start = left / step * step;
	if (start <= left)
		start = num_sat_add(start, step);
	struct ql_grid g = { start, step, 0 };
	if (end >= start) {
		uint64_t n = (uint64_t)(num_sat_sub(end, start) / step) + 1;
		g.n = n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
	}
	return g;
}

/* What of a subquery is read (upstream: MergeSamplesReadFromSubquery). */
static struct ql_reads subquery_reads(const struct ql_plan *p, const struct ql_node *sub,
    const struct ql_grid *outer, const struct ql_grid *g)
{
	const struct ql_reads *around = &p->_scope.reads;
	const struct ql_mods *m = &sub->sub.mods;
	bool gaps = m->at != QL_AT_NONE || outer->step_ms > sub->sub.range_ms;

	if (around->none || outer->n == 1)
		return first_alone(around);
	if (!around->around && !gaps && !p->opts->per_step)
		return (struct ql_reads){ 0 };
	struct ql_around *a = arena_alloc(p->arena, sizeof(*a));
	*a = (struct ql_around){
		.grid = *g,
		.outer = *outer,
		.range_ms = sub->sub.range_ms,
		.offset_ms = m->offset_ms,
		.reads = *around,
	};
	return (struct ql_reads){ .around = a };
}

/* One column of so many steps must fit, whatever there is to see. */
static bool grid_fits(struct ql_plan *p, uint64_t n)
{
	struct purse samples;
	struct ql_budget one = { .bytes = p->bytes, .samples = &samples };

	purse_init(&samples, p->samples->max, NULL);
	if (!p->err)
		p->err = ql_charge(&one, n, p->eb);
	return !p->err;
}

/*
 * The inner expression of a subquery on its own grid; NULL when the grid is empty or too long.
 * below_window: the caller restores the scope.
 */
static struct ql_pn *plan_subquery(
    struct ql_plan *p, const struct ql_node *sub, const struct ql_grid *outer, bool below_window)
{
	struct ql_grid g = ql_plan_subquery_grid(p, sub, outer);

	if (!g.n)
		return NULL;
	if (!grid_fits(p, g.n))
		return NULL;
	if (below_window)
		p->_scope = (struct ql_scope){ .reads = subquery_reads(p, sub, outer, &g) };
	enum ql_buckets before = p->_buckets;
	p->_buckets = ql_plan_buckets(sub, before);
	bool once = g.n > 1 && sub->sub.expr->type != QL_SCALAR && sub->sub.expr->invariant;
	struct ql_pn *pn = once ? plan_expanded(p, sub->sub.expr, &g) : plan(p, sub->sub.expr, &g);
	p->_buckets = before;
	return pn;
}

static struct ql_pn *plan_window(struct ql_plan *p, const struct ql_node *call,
    const struct ql_node *sub, const struct ql_grid *g, struct ql_pn *const *param, unsigned params)
{
	struct ql_scope scope = p->_scope;
	struct ql_pn *inner = plan_subquery(p, sub, g, true);

	p->_scope = scope;
	if (p->err)
		return NULL;
	if (!inner)
		return node_done(p, node_make(p, PN_EMPTY, call, g, 0));
	struct ql_pn *pn = node_make(p, PN_WINDOW, call, g, 1 + params);
	pn->arg[0] = inner;
	for (unsigned i = 0; i < params; i++)
		pn->arg[1 + i] = param[i];
	pn->range = range_of(p, &sub->sub.mods, sub->sub.range_ms, g);
	pn->range.buckets = QL_BUCKETS_NEEDED; /* its points have them, to look for resets by */
	pn->range.fn = call->call.func->fn;
	return node_done(p, pn);
}

static struct ql_pn *plan_range_piece(struct ql_plan *p, const struct ql_node *call,
    const struct ql_node *sel, const struct ql_grid *g, struct ql_pn *const *param, unsigned params)
{
	const struct ql_func *f = call->call.func;

	if (!extended_is_allowed(p, &sel->sel.mods, f))
		return NULL;
	struct ql_pn *pn = plan_piece(p, sel, g, QL_PIECE_RANGE, params);
	pn->pipe->range.fn = f->fn;
	pn->pipe->param_pos = ql_bare_pos(call->call.args[0]);
	for (unsigned i = 0; i < params; i++) {
		pn->arg[i] = param[i];
		pn->pipe->range.param[i] = param[i]->scalar; /* or known later */
	}
	if (!ql_range_keeps_name(f->fn))
		piece_drops_name(p, pn);
	return node_done(p, pn);
}

static struct ql_pn *plan_range_call(
    struct ql_plan *p, const struct ql_node *n, const struct ql_grid *g)
{
	const struct ql_node *m = NULL;
	struct ql_pn *param[2] = { NULL }, *pn;
	unsigned params = 0;

	for (uint32_t i = 0; i < n->call.args_count; i++) {
		const struct ql_node *a = ql_skip_parens(n->call.args[i]);
		if (a->type == QL_MATRIX)
			m = a;
		else if (params < COUNT_OF(param) && !(param[params++] = plan(p, a, g)))
			return NULL;
	}
	CHECK(m);
	if (m->kind == QL_SUBQUERY)
		pn = plan_window(p, n, m, g, param, params);
	else
		pn = plan_range_piece(p, n, m, g, param, params);
	if (!pn || n->call.func->fn != QL_FN_ABSENT_OVER_TIME)
		return pn;
	struct ql_pn *absent = node_make(p, PN_ABSENT, n, g, 1);
	absent->arg[0] = pn;
	if (pn->kind == PN_PIECE) { /* only presence is asked for: one group */
		pn->pipe->reduce.kind = QL_REDUCE_AGGR;
		pn->pipe->reduce.op = QL_GROUP;
	}
	return node_done(p, absent);
}

/* --- calls --- */

static struct ql_pn *plan_args(
    struct ql_plan *p, enum ql_pn_kind kind, const struct ql_node *n, const struct ql_grid *g)
{
	struct ql_pn *pn = node_make(p, kind, n, g, n->call.args_count);
	unsigned k = 0;

	for (uint32_t i = 0; i < n->call.args_count; i++) {
		const struct ql_node *a = ql_skip_parens(n->call.args[i]);
		if (a->type == QL_STRING)
			continue; /* taken from the tree */
		if (!(pn->arg[k++] = plan(p, a, g)))
			return NULL;
	}
	pn->args_count = k;
	return node_done(p, pn);
}

static struct ql_pn *plan_vector_of_time(
    struct ql_plan *p, const struct ql_node *n, const struct ql_grid *g)
{
	/* whole seconds, truncated as upstream */
	struct ql_pn *time = plan_known(p, n, g, ql_scalar_times(g, true));
	struct ql_pn *vec = node_make(p, PN_VECTOR_OF, n, g, 1);
	vec->arg[0] = time;
	return node_done(p, vec);
}

static struct ql_pn *plan_elem_call(
    struct ql_plan *p, const struct ql_node *n, const struct ql_grid *g)
{
	struct ql_elem e = { .kind = QL_ELEM_FN, .fn = n->call.func->fn };
	struct ql_pn *vec, *param[2] = { NULL };
	unsigned params = 0;

	if (!n->call.args_count) {
		vec = plan_vector_of_time(p, n, g);
	} else {
		const struct ql_node *a = ql_skip_parens(n->call.args[0]);
		if (e.fn == QL_FN_TIMESTAMP && a->kind == QL_SELECTOR) {
			vec = plan_piece(p, a, g, QL_PIECE_TIME, 0);
			piece_drops_name(p, vec);
			return node_done(p, vec);
		}
		vec = plan(p, a, g);
	}
	for (uint32_t i = 1; vec && i < n->call.args_count && params < 2; i++)
		if (!(param[params++] = plan(p, n->call.args[i], g)))
			return NULL;
	return vec ? plan_elem(p, n, g, e, vec, param, params) : NULL;
}

/* Of other expressions than selectors, and without the feature, nothing. */
static struct ql_pn *plan_start_timestamp(
    struct ql_plan *p, const struct ql_node *n, const struct ql_grid *g)
{
	const struct ql_node *a = ql_skip_parens(n->call.args[0]);

	if (a->kind != QL_SELECTOR || !p->opts->features.start_timestamps)
		return plan_args(p, PN_EMPTY, n, g);
	struct ql_pn *vec = plan_piece(p, a, g, QL_PIECE_START, 0);
	piece_drops_name(p, vec);
	return node_done(p, vec);
}

/* --- info() --- */

/*
 * The first selector's "@" and offset; those of subqueries around it count until one has an "@"
 * (promql/info.go).
 */
static bool first_selector(const struct ql_node *n, struct ql_mods *out)
{
	const struct ql_node *at;
	bool found = false;

	switch (n->kind) {
	case QL_SELECTOR:
		*out = (struct ql_mods){ .at = n->sel.mods.at,
			.at_ms = n->sel.mods.at_ms,
			.offset_ms = n->sel.mods.offset_ms };
		return true;
	case QL_SUBQUERY:
		if (!first_selector(n->sub.expr, out))
			return false;
		if (out->at == QL_AT_NONE) {
			out->offset_ms = num_sat_add(out->offset_ms, n->sub.mods.offset_ms);
			out->at = n->sub.mods.at;
			out->at_ms = n->sub.mods.at_ms;
		}
		return true;
	case QL_CALL:
		for (uint32_t i = 0; !found && i < n->call.args_count; i++)
			found = first_selector(n->call.args[i], out);
		return found;
	case QL_AGGREGATE:
		return first_selector(n->agg.expr, out) ||
		    (n->agg.param && first_selector(n->agg.param, out));
	case QL_BINARY:
		for (at = n; at->bin.l->kind == QL_BINARY;)
			at = at->bin.l;
		found = first_selector(at->bin.l, out) || first_selector(at->bin.r, out);
		for (; !found && at != n; at = at->up)
			found = first_selector(at->up->bin.r, out);
		return found;
	case QL_UNARY:
		return first_selector(n->unary.expr, out);
	case QL_PAREN:
		return first_selector(n->paren, out);
	case QL_NUMBER:
	case QL_TEXT:
		break;
	}
	return false;
}

/*
 * Matchers of the info series: those of the second argument, and the default name when none asks
 * for one.
 */
static struct matcher *info_matchers(struct ql_plan *p, const struct ql_node *sel, uint32_t *count)
{
	uint32_t given = sel ? sel->sel.matchers_count : 0, names = 0, positive = 0;
	struct matcher *ms = arena_array(p->arena, (size_t)given + 1, sizeof(*ms));

	for (uint32_t i = 0; i < given; i++) {
		ms[i] = sel->sel.matchers[i];
		if (!label_is_metric_name(ms[i].name, ms[i].name_len))
			continue;
		names++;
		positive += ms[i].type == MATCHER_EQ || ms[i].type == MATCHER_RE;
	}
	*count = given;
	if (positive)
		return ms;
	struct ql_plan_matcher *own = arena_zalloc(p->arena, sizeof(*own));
	const char *value = names ? ".+_info" : "target_info";
	p->err = matcher_init(
	    &own->m, names ? MATCHER_RE : MATCHER_EQ, LABEL_NAME, 8, value, strlen(value), p->eb);
	if (p->err)
		return NULL;
	own->next = p->matchers;
	p->matchers = own;
	ms[(*count)++] = own->m;
	return ms;
}

void ql_plan_release(struct ql_plan *p)
{
	for (; p->matchers; p->matchers = p->matchers->next)
		matcher_release(&p->matchers->m);
}

static struct ql_pn *plan_info(struct ql_plan *p, const struct ql_node *n, const struct ql_grid *g)
{
	const struct ql_node *sel = n->call.args_count > 1 ? ql_skip_parens(n->call.args[1]) : NULL;
	struct ql_node *made = arena_zalloc(p->arena, sizeof(*made));
	struct ql_pn *base = plan(p, n->call.args[0], g);

	if (!base)
		return NULL;
	made->kind = QL_SELECTOR;
	made->type = QL_VECTOR;
	made->pos = n->pos;
	made->sel.matchers = info_matchers(p, sel, &made->sel.matchers_count);
	if (!first_selector(n->call.args[0], &made->sel.mods))
		made->sel.mods = (struct ql_mods){ 0 };
	if (p->err)
		return NULL;
	struct ql_pn *pn = node_make(p, PN_INFO, n, g, 2);
	pn->arg[0] = base;
	pn->arg[1] = node_done(p, plan_piece(p, made, g, QL_PIECE_INFO, 0));
	return node_done(p, pn);
}

static struct ql_pn *plan_unsupported(struct ql_plan *p, const struct ql_node *n)
{
	fail(p, arena_printf(p->arena, "function \"%s\" is not supported yet", n->call.func->name));
	return NULL;
}

static struct ql_pn *plan_call(struct ql_plan *p, const struct ql_node *n, const struct ql_grid *g)
{
	enum ql_fn fn = n->call.func->fn;

	if (ql_range_knows(fn))
		return plan_range_call(p, n, g);
	if (ql_elem_knows(fn))
		return plan_elem_call(p, n, g);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
	switch (fn) {
	case QL_FN_TIME:
		return plan_known(p, n, g, ql_scalar_times(g, false));
	case QL_FN_VECTOR:
		return plan_args(p, PN_VECTOR_OF, n, g);
	case QL_FN_SCALAR:
		return plan_args(p, PN_SCALAR_OF, n, g);
	case QL_FN_MIN_OF:
	case QL_FN_MAX_OF:
		return plan_args(p, PN_SCALAR_FN, n, g);
	case QL_FN_ABSENT:
		return plan_args(p, PN_ABSENT, n, g);
	case QL_FN_LABEL_REPLACE:
		return plan_args(p, PN_LABEL_REPLACE, n, g);
	case QL_FN_LABEL_JOIN:
		return plan_args(p, PN_LABEL_JOIN, n, g);
	case QL_FN_SORT:
	case QL_FN_SORT_DESC:
	case QL_FN_SORT_BY_LABEL:
	case QL_FN_SORT_BY_LABEL_DESC:
		return plan_args(p, PN_SORT, n, g);
	case QL_FN_HISTOGRAM_QUANTILE:
	case QL_FN_HISTOGRAM_QUANTILES:
	case QL_FN_HISTOGRAM_FRACTION:
		return plan_args(p, PN_HISTOGRAM, n, g);
	case QL_FN_INFO:
		return plan_info(p, n, g);
	case QL_FN_START_TIMESTAMP:
		return plan_start_timestamp(p, n, g);
	default:
		return plan_unsupported(p, n);
	}
#pragma GCC diagnostic pop
}

/* --- aggregations and operators --- */

static bool is_metadata_name(const struct ql_str *s)
{
	return s->len == 8 &&
	    (memcmp(s->s, "__name__", 8) == 0 || memcmp(s->s, "__type__", 8) == 0 ||
	        memcmp(s->s, "__unit__", 8) == 0);
}

/*
 * What the labels are after the piece dropped them cannot be grouped by; so the piece need not drop
 * them one by one.
 */
static struct ql_names names_after_drop(struct ql_plan *p, const struct ql_node *n)
{
	struct ql_str *s = arena_array(p->arena, (size_t)n->agg.grouping_count + 2, sizeof(*s));
	uint32_t k = 0;

	for (uint32_t i = 0; i < n->agg.grouping_count; i++)
		if (n->agg.without || !is_metadata_name(&n->agg.grouping[i]))
			s[k++] = n->agg.grouping[i];
	if (n->agg.without) {
		s[k++] = (struct ql_str){ "__type__", 8 };
		s[k++] = (struct ql_str){ "__unit__", 8 };
	}
	return ql_aggr_names(p->arena, s, k, n->agg.without);
}

static enum ql_pn_kind aggregate_kind(enum ql_agg op)
{
	if (ql_aggr_knows(op))
		return PN_AGGR;
	if (op == QL_QUANTILE)
		return PN_QUANTILE;
	return op == QL_COUNT_VALUES ? PN_COUNT_VALUES : PN_TOPK;
}

static void pipe_reduce(
    struct ql_plan *p, struct ql_pipe *s, const struct ql_node *n, enum ql_reduce_kind kind)
{
	s->reduce = (struct ql_reduce){
		.kind = kind,
		.op = n->agg.op,
		.without = n->agg.without,
		.names = ql_names_go_now(s->names)
		    ? names_after_drop(p, n)
		    : ql_aggr_names(p->arena, n->agg.grouping, n->agg.grouping_count, n->agg.without),
		.drops_name = ql_names_go_now(s->names),
		.pos = n->pos,
		.inner = ql_bare_pos(n->agg.expr),
	};
}

/* With a parameter that is the same at all steps, and has no mistake that must be told. */
static bool pipe_limits(
    struct ql_plan *p, struct ql_pipe *s, const struct ql_node *n, const struct ql_pn *param)
{
	double k = param->scalar.same;
	struct ql_stage *st;

	if (param->kind != PN_SCALAR || param->scalar.kind != QL_SAME)
		return false;
	if (n->agg.op == QL_LIMIT_RATIO) {
		if (!(k >= -1 && k <= 1 && k != 0) || !(st = pipe_stage(s, QL_STAGE_RATIO)))
			return false;
		st->ratio = k;
		st->names_went = ql_names_go_now(s->names);
		return true;
	}
	if (!(k >= 1 && k < QL_BEST_MAX + 1))
		return false;
	pipe_reduce(p, s, n, QL_REDUCE_BEST);
	s->reduce.k = (uint32_t)k;
	return true;
}

/* The aggregation where the series live, when it can be done there. */
static bool pipe_aggregates(
    struct ql_plan *p, struct ql_pn *vec, const struct ql_node *n, const struct ql_pn *param)
{
	enum ql_pn_kind kind = aggregate_kind(n->agg.op);

	if (!piece_takes(vec))
		return false;
	if (kind == PN_TOPK)
		return pipe_limits(p, vec->pipe, n, param);
	if (kind != PN_AGGR)
		return false;
	pipe_reduce(p, vec->pipe, n, QL_REDUCE_AGGR);
	return true;
}

static struct ql_pn *plan_aggregate(
    struct ql_plan *p, const struct ql_node *n, const struct ql_grid *g)
{
	struct ql_pn *param = NULL, *vec;

	if (n->agg.param && n->agg.param->type == QL_SCALAR && !(param = plan(p, n->agg.param, g)))
		return NULL;
	if (!(vec = plan(p, n->agg.expr, g)))
		return NULL;
	if (pipe_aggregates(p, vec, n, param))
		return vec;
	struct ql_pn *pn = node_make(p, aggregate_kind(n->agg.op), n, g, param ? 2 : 1);
	pn->arg[0] = vec;
	pn->arg[1] = param;
	return node_done(p, pn);
}

static struct ql_pn *plan_two(struct ql_plan *p, enum ql_pn_kind kind, const struct ql_node *n,
    const struct ql_grid *g, struct ql_pn *l, struct ql_pn *r)
{
	struct ql_pn *pn = node_make(p, kind, n, g, 2);
	pn->arg[0] = l;
	pn->arg[1] = r;
	return node_done(p, pn);
}

static struct ql_pn *plan_binary(
    struct ql_plan *p, const struct ql_node *n, const struct ql_grid *g, struct ql_pn *l)
{
	bool ls = n->bin.l->type == QL_SCALAR, rs = n->bin.r->type == QL_SCALAR;
	struct ql_pn *r = l ? plan(p, n->bin.r, g) : NULL;

	if (!r)
		return NULL;
	if (ls && rs && ql_op_is_trim(n->bin.op)) {
		fail(p,
		    arena_printf(p->arena, "operator \"%s\" not allowed for Scalar operations",
		        ql_op_text(n->bin.op)));
		return NULL;
	}
	if (ls && rs)
		return plan_two(p, PN_SCALAR_OP, n, g, l, r);
	if (!ls && !rs)
		return plan_two(p, ql_op_is_set(n->bin.op) ? PN_SET : PN_BINARY, n, g, l, r);
	struct ql_elem e = { .kind = QL_ELEM_OP,
		.op = n->bin.op,
		.scalar_left = ls,
		.return_bool = n->bin.return_bool,
		.pos = n->pos };
	return plan_elem(p, n, g, e, ls ? r : l, ls ? &l : &r, 1);
}

/* Is it planned otherwise than by its parts? */
static bool is_known(const struct ql_node *n)
{
	return n->type == QL_SCALAR && n->constant;
}

static bool is_expanded(const struct ql_node *n, const struct ql_grid *g)
{
	return g->n > 1 && n->invariant && n->wraps;
}

static struct ql_pn *plan_chain(struct ql_plan *p, const struct ql_node *n, const struct ql_grid *g)
{
	const struct ql_node *at = n, *l;

	while ((l = at->bin.l)->kind == QL_BINARY && !is_known(l) && !is_expanded(l, g))
		at = l;
	struct ql_pn *pn = plan_binary(p, at, g, plan(p, at->bin.l, g));
	while (pn && at != n) {
		at = at->up;
		pn = plan_binary(p, at, g, pn);
	}
	return pn;
}

static struct ql_pn *plan_unary(struct ql_plan *p, const struct ql_node *n, const struct ql_grid *g)
{
	struct ql_pn *x = plan(p, n->unary.expr, g);

	if (!x || !n->unary.minus)
		return x;
	if (n->type == QL_SCALAR) {
		struct ql_pn *pn = node_make(p, PN_SCALAR_NEG, n, g, 1);
		pn->arg[0] = x;
		return node_done(p, pn);
	}
	return plan_elem(p, n, g, (struct ql_elem){ .kind = QL_ELEM_MINUS }, x, NULL, 0);
}

/* --- the tree --- */

static struct ql_pn *plan_here(struct ql_plan *p, const struct ql_node *n, const struct ql_grid *g)
{
	struct ql_pn *pn;

	switch (n->kind) {
	case QL_NUMBER:
		return plan_known(p, n, g, ql_scalar_same(n->num));
	case QL_TEXT:
		return node_done(p, node_make(p, PN_STRING, n, g, 0));
	case QL_PAREN:
		return plan(p, n->paren, g);
	case QL_SELECTOR:
		return plan_selector(p, n, g);
	case QL_SUBQUERY: /* as the result of an instant query */
		pn = node_make(p, PN_SUBQUERY, n, g, 1);
		pn->arg[0] = plan_subquery(p, n, g, false);
		if (p->err)
			return NULL;
		if (!pn->arg[0])
			pn->args_count = 0;
		return node_done(p, pn);
	case QL_CALL:
		return plan_call(p, n, g);
	case QL_AGGREGATE:
		return plan_aggregate(p, n, g);
	case QL_BINARY:
		return plan_chain(p, n, g);
	case QL_UNARY:
		return plan_unary(p, n, g);
	}
	return NULL;
}

static struct ql_pn *plan(struct ql_plan *p, const struct ql_node *n, const struct ql_grid *g)
{
	if (p->err)
		return NULL;
	if (is_known(n))
		return plan_known(p, n, g, ql_scalar_same(n->known));
	enum ql_buckets before = p->_buckets;
	p->_buckets = ql_plan_buckets(n, before);
	struct ql_pn *pn = is_expanded(n, g) ? plan_expanded(p, n, g) : plan_here(p, n, g);
	p->_buckets = before;
	return pn;
}

/*
 * What these nodes take follows from the grid alone, and they keep it: what cannot fit is refused
 * before anything is read or computed.
 */
static void check_sure(struct ql_plan *p)
{
	struct purse bytes, samples;
	struct ql_budget sure = { .bytes = &bytes, .samples = &samples };

	purse_init(&bytes, p->bytes->max, NULL);
	purse_init(&samples, p->samples->max, NULL);
	for (const struct ql_pn *pn = p->first; pn && !p->err; pn = pn->next) {
		uint64_t points = ql_pn_points(pn);
		p->points_sure += points;
		if (!(p->err = ql_charge(&sure, points, p->eb)))
			p->err = ql_charge_heap(&sure, points * 9 + ql_pn_scratch(pn), p->eb);
	}
}

enum err ql_plan_make(struct ql_plan *p, struct ql_node *root)
{
	const struct ql_opts *o = p->opts;
	struct ql_grid g = { o->start_ms, o->step_ms > 0 ? o->step_ms : 1, 1 };

	p->_end = &p->first;
	p->_scope = (struct ql_scope){ .uses = 1 };
	if (o->step_ms > 0) {
		uint64_t n = (uint64_t)(num_sat_sub(o->end_ms, o->start_ms) / o->step_ms) + 1;
		if (!grid_fits(p, n))
			return p->err;
		g.n = (uint32_t)n;
	}
	(void)ql_walk(root, QL_PARENTS_LAST, ql_plan_mark, p);
	p->steps = g.n;
	p->root = plan(p, root, &g);
	if (!p->err)
		check_sure(p);
	if (!p->err)
		ql_plan_share(p);
	return p->err;
}
