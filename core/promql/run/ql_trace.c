/* The plan of a query as its trace tells it (core/promql/ql_trace.h). */
#include "core/promql/run/ql_tracing.h"

#include "core/base/rune.h"

#define TEXT_MOST  200u /* bytes of an expression */
#define TEXT_ROOM  4096u
#define DEPTH_MOST 64u /* nodes inside one another; deeper ones are left out */

static const char *const kinds[] = {
	[PN_SCALAR] = "scalar",
	[PN_SCALAR_OP] = "scalar operator",
	[PN_SCALAR_NEG] = "scalar minus",
	[PN_SCALAR_FN] = "scalar function",
	[PN_SCALAR_OF] = "scalar()",
	[PN_STRING] = "string",
	[PN_EMPTY] = "nothing",
	[PN_PIECE] = "piece",
	[PN_VECTOR_OF] = "vector()",
	[PN_ELEM] = "each value",
	[PN_BINARY] = "binary operator",
	[PN_SET] = "set operator",
	[PN_AGGR] = "aggregation",
	[PN_TOPK] = "topk",
	[PN_QUANTILE] = "quantile",
	[PN_COUNT_VALUES] = "count_values",
	[PN_WINDOW] = "windows over a subquery",
	[PN_SUBQUERY] = "subquery",
	[PN_EXPAND] = "one step for all",
	[PN_LABEL_REPLACE] = "label_replace",
	[PN_LABEL_JOIN] = "label_join",
	[PN_SORT] = "sort",
	[PN_HISTOGRAM] = "histogram",
	[PN_INFO] = "info",
	[PN_ABSENT] = "absent",
};

/* The end of what is printed is not needed, nor its cost: the buffer stops taking more. */
static const char *text_of(struct arena *a, const struct ql_node *n)
{
	struct buf b;
	buf_init(&b);
	b.limit = TEXT_ROOM;
	if (n)
		ql_print(&b, n);
	size_t len = rune_cut((const char *)b.data, b.len, TEXT_MOST);
	const char *text = arena_strndup(a, b.len ? (const char *)b.data : "", len);
	buf_release(&b);
	return text;
}

static const char *shards_do(struct arena *a, const struct ql_pn *pn)
{
	const struct ql_pipe *p = pn->pipe;
	static const char *const modes[] = { [QL_PIECE_INSTANT] = "newest sample of each step",
		[QL_PIECE_TIME] = "times of samples",
		[QL_PIECE_INFO] = "newest sample of each step",
		[QL_PIECE_START] = "start times of samples",
		[QL_PIECE_SMOOTH] = "smoothed samples",
		[QL_PIECE_RANGE] = "windows",
		[QL_PIECE_RAW] = "samples as they are" };
	const char *fn = p->mode == QL_PIECE_RANGE ? ql_functab[p->range.fn].name : "";
	return arena_printf(a, "%s%s%s, %u stages%s", modes[p->mode], *fn ? " of " : "", fn,
	    p->stages_count, p->reduce.kind ? ", reduced to groups" : "");
}

static int piece_number(const struct ql_trace *t, const struct ql_piece_spec *s)
{
	int i = 0;
	for (const struct ql_trace_piece *p = t->pieces; p; p = p->next, i++)
		if (p->shards == s->told)
			return i;
	return -1;
}

static struct ql_trace_node *node_of(struct ql_trace *t, const struct ql_pn *pn, unsigned depth)
{
	struct ql_trace_node *n = arena_zalloc(t->arena, sizeof(*n)), **last = &n->first;
	n->what = kinds[pn->kind];
	n->text = text_of(t->arena, pn->ast);
	n->steps = pn->grid.n;
	n->piece = -1;
	if (pn->kind == PN_PIECE) {
		n->more = shards_do(t->arena, pn);
		n->piece = piece_number(t, pn->spec);
	}
	for (unsigned i = 0; i < pn->args_count && depth < DEPTH_MOST; i++) {
		if (!pn->arg[i])
			continue;
		*last = node_of(t, pn->arg[i], depth + 1);
		last = &(*last)->next;
	}
	ql_trace_groups(t, pn, n);
	return n;
}

static const char *selector_of(struct arena *a, const struct ql_piece_spec *s)
{
	static const char *const ops[] = { "=", "!=", "=~", "!~" };
	struct buf b;
	buf_init(&b);
	for (uint32_t i = 0; i < s->matchers_count && b.len < TEXT_MOST; i++) {
		const struct matcher *m = &s->matchers[i];
		buf_add_u8(&b, i ? ',' : '{');
		buf_add(&b, m->name, m->name_len);
		buf_add_str(&b, ops[m->type]);
		label_quote_go(&b, m->value, rune_cut(m->value, m->value_len, TEXT_MOST));
	}
	buf_add_str(&b, s->matchers_count ? "}" : "{}");
	const char *text = arena_strndup(a, (const char *)b.data, b.len);
	buf_release(&b);
	return text;
}

/* What becomes of its series, and how far back it looks. */
static void pipes_tell(struct ql_trace_piece *p, const struct ql_piece_spec *s)
{
	const struct ql_pipe *first = s->pipes;
	p->range_ms = first->range.range_ms;
	p->step_ms = first->grid.step_ms;
	if (first->mode == QL_PIECE_RANGE)
		p->function = ql_functab[first->range.fn].name;
	for (const struct ql_pipe *i = s->pipes; i; i = i->next) {
		p->raws += i->mode == QL_PIECE_RAW;
		p->columns += !i->reduce.kind && i->mode != QL_PIECE_RAW;
		if (i->mode != first->mode || i->range.fn != first->range.fn)
			p->function = NULL;
	}
}

static void piece_add(struct ql_trace *t, struct ql_piece_spec *s)
{
	struct ql_trace_piece *p = arena_zalloc(t->arena, sizeof(*p));
	p->selector = selector_of(t->arena, s);
	p->t_min_ms = s->t_min_ms;
	p->t_max_ms = s->t_max_ms;
	p->matchers = s->matchers;
	p->matchers_count = s->matchers_count;
	p->pipes = s->pipes_count;
	p->steps = s->pipes->grid.n;
	pipes_tell(p, s);
	p->shards_count = s->source->ops->shards(s->source);
	p->shards = arena_zalloc(t->arena, p->shards_count * sizeof(*p->shards));
	s->told = p->shards;
	*t->_pieces_end = p;
	t->_pieces_end = &p->next;
}

void ql_trace_plan(struct ql_trace *t, const struct ql_plan *plan)
{
	for (struct ql_pn *p = plan->pieces; p; p = p->next_piece)
		if (!p->spec->told)
			piece_add(t, p->spec);
	if (!t->plan && plan->root)
		t->plan = node_of(t, plan->root, 0);
}

void ql_trace_release(struct ql_trace *t)
{
	for (struct ql_trace_piece *p = t->pieces; p; p = p->next)
		for (struct ql_trace_key *k = p->keys; k; k = k->next)
			ql_shape_release(k->shape);
}
