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
	size_t n = l->name_len < r->name_len ? l->name_len : r->name_len;
	int c = n ? memcmp(l->name, r->name, n) : 0;
	c = c ? c : (l->name_len > r->name_len) - (l->name_len < r->name_len);
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
	while (n->kind == QL_PAREN)
		n = n->paren;
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

enum ql_did ql_absent_run(struct ql_run *x, struct ql_pn *pn)
{
	const struct ql_vec *v = &pn->arg[0]->vec;
	uint32_t n = pn->grid.n;
	struct ql_col *c = ql_run_col(x, &pn->vec, absent_labels(x, pn->ast->call.args[0]), n);

	if (!c)
		return QL_FAILED;
	ql_bits_fill(c->has, n);
	for (uint32_t i = 0; i < v->count; i++)
		for (uint32_t w = 0; w < ql_words(n); w++)
			c->has[w] &= ~v->cols[i].has[w];
	QL_EACH_BIT(i, c->has, n)
	c->v[i] = 1;
	if (!ql_bits_any(c->has, n))
		pn->vec.count = 0;
	return QL_DONE;
}
