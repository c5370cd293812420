/* absent and absent_over_time: one column with the labels that the selector fixes. */
#include "core/promql/run/ql_nodes.h"

#include <stdlib.h>
#include <string.h>

/*
 * Negative, and true for a missing label: upstream's storage moves these behind the others
 * (tsdb/querier.go, PostingsForMatchers).
 */
static bool subtracts(const struct matcher *m)
{
	return (m->type == MATCHER_NE || m->type == MATCHER_NRE) && m->matches_empty;
}

static int matcher_qcmp(const void *a, const void *b)
{
	const struct matcher *l = *(const struct matcher *const *)a;
	const struct matcher *r = *(const struct matcher *const *)b;
	int c = ql_bytes_cmp(l->name, l->name_len, r->name, r->name_len);
	c = c ? c : subtracts(l) - subtracts(r);
	return c ? c : (l > r) - (l < r); /* as they stand in the selector */
}

static bool same_name(const struct matcher *a, const struct matcher *b)
{
	return a->name_len == b->name_len && memcmp(a->name, b->name, a->name_len) == 0;
}

/*
 * Labels that the selector fixes. The matchers of a name are taken from left to right: the first
 * "=" sets it, any other takes it away again
 * (promql/functions.go upstream, createLabelsForAbsentFunction).
 */
static struct labels absent_labels(struct ql_run *x, const struct ql_node *n)
{
	struct label_builder b;
	bool had = false;

	label_builder_init(&b, x->arena);
	n = ql_skip_parens(n);
	if (n->kind != QL_SELECTOR)
		return label_builder_done(&b);
	uint32_t count = n->sel.matchers_count;
	const struct matcher **ms = arena_array(x->arena, (size_t)count + 1, sizeof(*ms));
	for (uint32_t i = 0; i < count; i++)
		ms[i] = &n->sel.matchers[i];
	qsort(ms, count, sizeof(*ms), matcher_qcmp);
	for (uint32_t i = 0; i < count; i++) {
		const struct matcher *m = ms[i];
		had = had && same_name(m, ms[i - 1]);
		if (m->type == MATCHER_EQ && !had) {
			label_builder_set(&b, m->name, m->name_len, m->value, m->value_len);
			had = true;
		} else {
			label_builder_del(&b, m->name, m->name_len);
		}
	}
	label_builder_del(&b, LABEL_NAME, sizeof(LABEL_NAME) - 1);
	return label_builder_done(&b);
}

struct absent {
	uint32_t pos;  /* columns looked at */
	uint32_t step; /* whose value is set */
};

static struct absent *absent_start(struct ql_run *x, struct ql_pn *pn)
{
	struct labels ls = absent_labels(x, pn->ast->call.args[0]);
	struct ql_col *c = ql_run_col(x, &pn->vec, ls, pn->grid.n);

	if (!c)
		return NULL;
	ql_bits_fill(c->has, pn->grid.n);
	pn->state = arena_zalloc(x->arena, sizeof(struct absent));
	return pn->state;
}

enum ql_did ql_absent_run(struct ql_run *x, struct ql_pn *pn)
{
	const struct ql_vec *v = &pn->arg[0]->vec;
	struct absent *s = pn->state ? pn->state : absent_start(x, pn);
	uint32_t n = pn->grid.n;

	if (!s)
		return QL_FAILED;
	struct ql_col *c = &pn->vec.cols[0];
	while (s->pos < v->count) {
		for (uint32_t w = 0; w < ql_words(n); w++)
			c->has[w] &= ~ql_col_word(&v->cols[s->pos], w);
		s->pos++;
		if (ql_tick(x, ql_words(n)))
			return QL_AGAIN;
	}
	while (s->step < n) {
		uint32_t count = ql_part(s->step, n);
		QL_EACH_BIT(i, c->has + s->step / 64, count)
		c->v[s->step + i] = 1;
		s->step += count;
		if (ql_tick(x, count) && s->step < n)
			return QL_AGAIN;
	}
	if (!ql_bits_any(c->has, n))
		pn->vec.count = 0;
	return QL_DONE;
}
