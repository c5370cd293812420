/*
 * Aggregations that choose or need all members of a group at a step: topk, bottomk, limitk,
 * limit_ratio, quantile, count_values.
 * Members of a group stand together (counting sort by group); then it goes step by step. Equal
 * values are ordered by labels, so the choice does not depend on shards.
 */
#include "core/promql/run/ql_aggr.h"
#include "core/promql/run/ql_nodes.h"
#include "core/promql/run/ql_range.h"

#include "core/base/hash.h"
#include "core/base/rune.h"

#include <math.h>
#include <string.h>
#include <xxhash.h>

struct members {
	uint32_t groups, *from, *col; /* group g: col[from[g]] .. col[from[g + 1] - 1] */
	struct ql_names names;
	struct ql_tab tab; /* labels of the groups */
	uint32_t *of, pos; /* group of each column, as far as known */
};

static void members_init(
    struct ql_run *x, struct members *m, const struct ql_node *ast, const struct ql_vec *v)
{
	m->names =
	    ql_aggr_names(x->arena, ast->agg.grouping, ast->agg.grouping_count, ast->agg.without);
	m->of = arena_array(x->arena, (size_t)v->count + 1, sizeof(*m->of));
	ql_tab_init(&m->tab, x->arena);
}

static void members_sort(struct ql_run *x, struct members *m, uint32_t count)
{
	m->groups = m->tab.count;
	m->from = arena_zalloc(x->arena, ((size_t)m->groups + 2) * sizeof(*m->from));
	m->col = arena_array(x->arena, (size_t)count + 1, sizeof(*m->col));
	for (uint32_t i = 0; i < count; i++)
		m->from[m->of[i] + 2]++;
	for (uint32_t g = 0; g < m->groups; g++)
		m->from[g + 2] += m->from[g + 1];
	for (uint32_t i = 0; i < count; i++)
		m->col[m->from[m->of[i] + 1]++] = i;
}

/* Finds the group of each column; true when all are known. */
static bool members_run(
    struct ql_run *x, struct members *m, const struct ql_node *ast, const struct ql_vec *v)
{
	struct buf scratch;
	bool fresh, yield = false;

	if (m->col)
		return true;
	buf_init(&scratch);
	while (m->pos < v->count && !yield) {
		m->of[m->pos] = ql_aggr_group_of(
		    &m->tab, &m->names, ast->agg.without, v->cols[m->pos].ls, &scratch, &fresh);
		m->pos++;
		yield = ql_tick(x, 128);
	}
	buf_release(&scratch);
	if (m->pos < v->count)
		return false;
	members_sort(x, m, v->count);
	return true;
}

/* --- parameters --- */

struct param {
	double min, max;
	bool nan;
};

static struct param param_range(const struct ql_scalar *s, uint32_t n)
{
	struct param r = { .min = INFINITY, .max = -INFINITY };
	for (uint32_t i = 0; i < (s->kind == QL_SAME ? 1 : n); i++) {
		double p = ql_scalar_at(s, i);
		r.nan = r.nan || isnan(p);
		r.min = ql_min_of(r.min, p);
		r.max = ql_max_of(r.max, p);
	}
	return r;
}

static enum ql_did check_k(struct ql_run *x, const struct param *p, bool *nothing)
{
	*nothing = p->max < 1;
	if (*nothing)
		return QL_DONE;
	if (p->nan)
		return ql_failf(x, "Parameter value is NaN");
	if (p->min <= -9223372036854775808.0)
		return ql_failf(x, "Scalar value %s underflows int64", ql_fmt_g(x->arena, p->min));
	if (p->max >= 9223372036854775807.0)
		return ql_failf(x, "Scalar value %s overflows int64", ql_fmt_g(x->arena, p->max));
	return QL_DONE;
}

static enum ql_did check_ratio(
    struct ql_run *x, const struct ql_pn *pn, const struct param *p, bool *nothing)
{
	struct ql_pos pos = ql_bare_pos(pn->ast->agg.param);

	*nothing = p->max == 0 && p->min == 0;
	if (*nothing)
		return QL_DONE;
	if (p->nan)
		return ql_failf(x, "Ratio value is NaN");
	if (p->max > 1)
		ql_notes_add(&x->notes, false, pos,
		    "ratio value should be between -1 and 1, got %s, capping to 1",
		    ql_fmt_g(x->arena, p->max));
	if (p->min < -1)
		ql_notes_add(&x->notes, false, pos,
		    "ratio value should be between -1 and 1, got %s, capping to -1",
		    ql_fmt_g(x->arena, p->min));
	return QL_DONE;
}

/* --- topk, bottomk, limitk, limit_ratio --- */

struct topk {
	enum ql_agg op;
	struct members m;
	uint64_t *keep; /* per column: ql_words(n) words */
	uint32_t *heap, heap_count;
	double *offset;               /* limit_ratio: of each column */
	uint32_t *order, order_count; /* instant: the result in order */
	const struct ql_vec *v;
	uint32_t n, step;
};

/* Does column a come before b? NaN is worst for both. */
static bool better(const struct topk *t, uint32_t a, uint32_t b)
{
	double x = t->v->cols[a].v[t->step], y = t->v->cols[b].v[t->step];

	if (t->op != QL_LIMITK) {
		if (isnan(x) != isnan(y))
			return isnan(y);
		if (x != y && !isnan(x))
			return t->op == QL_TOPK ? x > y : x < y;
	}
	return label_cmp(t->v->cols[a].ls, t->v->cols[b].ls) < 0;
}

static void heap_down(struct topk *t, uint32_t at) /* the worst is at the root */
{
	for (;;) {
		uint32_t worst = at, l = 2 * at + 1, r = l + 1, tmp;
		if (l < t->heap_count && better(t, t->heap[worst], t->heap[l]))
			worst = l;
		if (r < t->heap_count && better(t, t->heap[worst], t->heap[r]))
			worst = r;
		if (worst == at)
			return;
		tmp = t->heap[at];
		t->heap[at] = t->heap[worst];
		t->heap[worst] = tmp;
		at = worst;
	}
}

static void heap_push(struct topk *t, uint32_t col)
{
	uint32_t at = t->heap_count++;

	t->heap[at] = col;
	while (at && better(t, t->heap[(at - 1) / 2], t->heap[at])) {
		uint32_t up = (at - 1) / 2, tmp = t->heap[up];
		t->heap[up] = t->heap[at];
		t->heap[at] = tmp;
		at = up;
	}
}

static void topk_keep(struct topk *t, uint32_t col)
{
	ql_bit_on(t->keep + (size_t)col * ql_words(t->n), t->step);
}

/* The heap's columns, best first. */
static void heap_to_order(struct topk *t)
{
	uint32_t count = t->heap_count;

	for (uint32_t i = 0; i < count; i++)
		topk_keep(t, t->heap[i]);
	if (t->n != 1)
		return;
	while (t->heap_count) {
		t->order[t->order_count + t->heap_count - 1] = t->heap[0];
		t->heap[0] = t->heap[--t->heap_count];
		heap_down(t, 0);
	}
	t->order_count += count;
}

static void group_k(struct topk *t, uint32_t g, uint32_t k)
{
	t->heap_count = 0;
	for (uint32_t i = t->m.from[g]; i < t->m.from[g + 1]; i++) {
		uint32_t col = t->m.col[i];
		if (!ql_bit(t->v->cols[col].has, t->step))
			continue;
		if (t->heap_count < k) {
			heap_push(t, col);
		} else if (better(t, col, t->heap[0])) {
			t->heap[0] = col;
			heap_down(t, 0);
		}
	}
	heap_to_order(t);
}

static void group_ratio(struct topk *t, uint32_t g, double r)
{
	for (uint32_t i = t->m.from[g]; i < t->m.from[g + 1]; i++) {
		uint32_t col = t->m.col[i];
		double u = t->offset[col];
		if (!ql_bit(t->v->cols[col].has, t->step) || !(r >= 0 ? u < r : u >= 1 + r))
			continue;
		topk_keep(t, col);
		if (t->n == 1)
			t->order[t->order_count++] = col;
	}
}

static void put_len(struct buf *b, uint32_t len)
{
	uint8_t l[4] = { 255, (uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16) };
	if (len < 255)
		buf_add_u8(b, (uint8_t)len);
	else
		buf_add(b, l, 4);
}

/*
 * Where Prometheus' default build puts a label set in [0, 1]: XXH64 of its length-prefixed strings.
 */
static double ratio_offset(struct labels ls, struct buf *b)
{
	struct label_iter it = label_iter(ls);
	struct label l;

	buf_clear(b);
	while (label_next(&it, &l)) {
		put_len(b, l.name_len);
		buf_add(b, l.name, l.name_len);
		put_len(b, l.value_len);
		buf_add(b, l.value, l.value_len);
	}
	return (double)XXH64(b->data, b->len, 0) / 18446744073709551616.0;
}

static struct topk *topk_start(struct ql_run *x, struct ql_pn *pn)
{
	struct topk *t = arena_zalloc(x->arena, sizeof(*t));
	const struct ql_vec *v = &pn->arg[0]->vec;
	struct buf b;

	t->op = pn->ast->agg.op;
	t->n = pn->grid.n;
	t->v = v;
	members_init(x, &t->m, pn->ast, v);
	t->keep = arena_zalloc(x->arena, (size_t)v->count * ql_words(t->n) * sizeof(*t->keep) + 8);
	t->heap = arena_array(x->arena, (size_t)v->count + 1, sizeof(*t->heap));
	t->order = arena_array(x->arena, (size_t)v->count + 1, sizeof(*t->order));
	if (t->op != QL_LIMIT_RATIO)
		return t;
	t->offset = arena_array(x->arena, (size_t)v->count + 1, sizeof(*t->offset));
	buf_init(&b);
	for (uint32_t i = 0; i < v->count; i++)
		t->offset[i] = ratio_offset(v->cols[i].ls, &b);
	buf_release(&b);
	return t;
}

static void topk_step(struct topk *t, double p)
{
	for (uint32_t g = 0; g < t->m.groups; g++) {
		if (t->op == QL_LIMIT_RATIO) {
			if (p != 0)
				group_ratio(t, g, p < -1 ? -1 : p > 1 ? 1 : p);
		} else if (p >= 1) {
			group_k(t, g, p < (double)t->v->count ? (uint32_t)p : t->v->count);
		}
	}
}

static void topk_result(struct ql_run *x, struct ql_pn *pn, struct topk *t)
{
	uint32_t words = ql_words(t->n);

	for (uint32_t i = 0; i < t->v->count; i++) {
		struct ql_col *c = &t->v->cols[i];
		const uint64_t *keep = t->keep + (size_t)i * words;
		for (uint32_t w = 0; w < words; w++) {
			uint64_t gone = c->has[w] & ~keep[w];
			c->has[w] &= keep[w];
			for (; gone; gone &= gone - 1)
				c->v[w * 64 + (uint32_t)__builtin_ctzll(gone)] = 0;
		}
	}
	if (t->n == 1) {
		for (uint32_t i = 0; i < t->order_count; i++)
			*ql_vec_add(x->arena, &pn->vec) = t->v->cols[t->order[i]];
		pn->ordered = true;
	} else {
		pn->vec = *t->v;
	}
}

enum ql_did ql_topk_run(struct ql_run *x, struct ql_pn *pn)
{
	const struct ql_scalar *p = &pn->arg[1]->scalar;
	struct topk *t = pn->state;

	if (!t) {
		struct param range = param_range(p, pn->grid.n);
		bool nothing;
		enum ql_did did = pn->ast->agg.op == QL_LIMIT_RATIO
		    ? check_ratio(x, pn, &range, &nothing)
		    : check_k(x, &range, &nothing);
		if (did || nothing)
			return did;
		t = pn->state = topk_start(x, pn);
	}
	if (!members_run(x, &t->m, pn->ast, t->v))
		return QL_AGAIN;
	while (t->step < t->n) {
		topk_step(t, ql_scalar_at(p, t->step));
		t->step++;
		if (ql_tick(x, (uint64_t)t->v->count * 4))
			return QL_AGAIN;
	}
	topk_result(x, pn, t);
	x->err = ql_run_tidy(x, &pn->vec, t->n, false, false);
	return x->err ? QL_FAILED : QL_DONE;
}

/* --- quantile --- */

struct quant {
	struct members m;
	double *values;
	uint32_t step;
};

static void quantile_warn(struct ql_run *x, const struct ql_pn *pn, double q)
{
	ql_notes_add(&x->notes, false, ql_bare_pos(pn->ast->agg.param),
	    "quantile value should be between 0 and 1, got %s", ql_fmt_g(x->arena, q));
}

static void quantile_start(struct ql_run *x, struct ql_pn *pn)
{
	const struct ql_vec *v = &pn->arg[0]->vec;
	struct param p = param_range(&pn->arg[1]->scalar, pn->grid.n);
	struct quant *s = pn->state = arena_zalloc(x->arena, sizeof(*s));

	if (p.nan)
		quantile_warn(x, pn, NAN);
	if (p.max > 1)
		quantile_warn(x, pn, p.max);
	if (p.min < 0)
		quantile_warn(x, pn, p.min);
	members_init(x, &s->m, pn->ast, v);
	s->values = arena_array(x->arena, (size_t)v->count + 1, sizeof(*s->values));
}

static enum ql_did quantile_columns(struct ql_run *x, struct ql_pn *pn, const struct quant *s)
{
	while (pn->vec.count < s->m.groups)
		if (!ql_run_col(x, &pn->vec, s->m.tab.keys[pn->vec.count].ls, pn->grid.n))
			return QL_FAILED;
	return QL_DONE;
}

enum ql_did ql_quantile_run(struct ql_run *x, struct ql_pn *pn)
{
	const struct ql_vec *v = &pn->arg[0]->vec;

	if (!pn->state)
		quantile_start(x, pn);
	struct quant *s = pn->state;
	if (!members_run(x, &s->m, pn->ast, v))
		return QL_AGAIN;
	if (quantile_columns(x, pn, s))
		return QL_FAILED;
	while (s->step < pn->grid.n) {
		for (uint32_t g = 0; g < s->m.groups; g++) {
			uint32_t k = 0;
			for (uint32_t i = s->m.from[g]; i < s->m.from[g + 1]; i++) {
				const struct ql_col *c = &v->cols[s->m.col[i]];
				if (!ql_bit(c->has, s->step))
					continue;
				s->values[k++] = c->v[s->step];
				pn->vec.cols[g].drop_name |= c->drop_name;
			}
			if (!k)
				continue;
			pn->vec.cols[g].v[s->step] =
			    ql_quantile(ql_scalar_at(&pn->arg[1]->scalar, s->step), s->values, k);
			ql_bit_on(pn->vec.cols[g].has, s->step);
		}
		s->step++;
		if (ql_tick(x, (uint64_t)v->count * 16))
			return QL_AGAIN;
	}
	x->err = ql_run_tidy(x, &pn->vec, pn->grid.n, false, false);
	return x->err ? QL_FAILED : QL_DONE;
}

/* --- count_values --- */

struct countv_slot { /* the result column of a value in a group */
	uint64_t bits;
	uint32_t group, col; /* col + 1; 0: free */
};
struct countv {
	struct ql_tab tab;    /* labels of the result */
	struct ql_tab groups; /* labels of the groups, without the value */
	/* what makes a group: the value's label is not among them, or dropped */
	struct ql_names names;
	bool keeps_value; /* false: "without" names it */
	struct countv_slot *slots;
	uint32_t slots_count, used; /* a power of 2 */
	struct buf scratch;
	struct arena text; /* one label set */
};

static const struct ql_str *label_param(const struct ql_node *ast)
{
	const struct ql_node *n = ast->agg.param;
	while (n->kind == QL_PAREN)
		n = n->paren;
	return &n->text;
}

static void countv_release(void *arg)
{
	struct countv *c = arg;
	buf_release(&c->scratch);
	arena_release(&c->text);
}

static struct countv_slot *countv_slot(struct countv *s, uint32_t group, uint64_t bits)
{
	uint32_t at = (uint32_t)hash_mix64(bits ^ hash_mix64(group)) & (s->slots_count - 1);

	while (s->slots[at].col && (s->slots[at].bits != bits || s->slots[at].group != group))
		at = (at + 1) & (s->slots_count - 1);
	return &s->slots[at];
}

static enum err countv_grow(struct ql_run *x, struct countv *s)
{
	struct countv_slot *old = s->slots;
	uint32_t count = s->slots_count, more = count ? count * 2 : 256;
	enum err e = ql_room(&x->budget, (uint64_t)more * sizeof(*old), x->eb);

	if (e)
		return e;
	s->slots = arena_zalloc(x->arena, more * sizeof(*old));
	s->slots_count = more;
	for (uint32_t i = 0; i < count; i++)
		if (old[i].col)
			*countv_slot(s, old[i].group, old[i].bits) = old[i];
	return ERR_OK;
}

/* The labels of a result column are made once for a group and a value. False: x->err. */
static bool countv_make(
    struct ql_run *x, struct ql_pn *pn, struct countv *s, struct countv_slot *slot, double v)
{
	const struct ql_str *name = label_param(pn->ast);
	char text[NUM_FMT_MAX];
	struct label_builder b;
	bool fresh;

	arena_reset(&s->text, 4096);
	label_builder_from(&b, &s->text, s->groups.keys[slot->group].ls);
	if (s->keeps_value)
		label_builder_set(&b, name->s, name->len, text, num_fmt_f(v, text));
	struct labels ls = label_builder_done(&b);
	if ((x->err = ql_room(&x->budget, ls.len, x->eb)))
		return false;
	uint32_t at = ql_tab_add(&s->tab, ls, label_hash(ls), true, &fresh);
	if (fresh && !ql_run_col(x, &pn->vec, s->tab.keys[at].ls, pn->grid.n))
		return false;
	slot->col = at + 1;
	s->used++;
	return true;
}

/* The result column of a value in a group; NULL: x->err. */
static struct ql_col *countv_column(
    struct ql_run *x, struct ql_pn *pn, struct countv *s, uint32_t group, double v, bool *made)
{
	if (s->used >= s->slots_count / 2 && (x->err = countv_grow(x, s)))
		return NULL;
	struct countv_slot *slot = countv_slot(s, group, num_bits(v));
	*made = !slot->col;
	if (*made) {
		slot->group = group;
		slot->bits = num_bits(v);
		if (!countv_make(x, pn, s, slot, v))
			return NULL;
	}
	return &pn->vec.cols[slot->col - 1];
}

/* by: the names without the value's label, which is always there. without: and that label. */
static void countv_names(struct ql_run *x, struct countv *s, const struct ql_node *ast)
{
	const struct ql_str *name = label_param(ast), *given = ast->agg.grouping;
	struct ql_str *names =
	    arena_array(x->arena, (size_t)ast->agg.grouping_count + 1, sizeof(*names));
	uint32_t count = 0;

	s->keeps_value = true;
	for (uint32_t i = 0; i < ast->agg.grouping_count; i++) {
		bool value = given[i].len == name->len && memcmp(given[i].s, name->s, name->len) == 0;
		if (!value)
			names[count++] = given[i];
		else if (ast->agg.without)
			s->keeps_value = false;
	}
	if (ast->agg.without)
		names[count++] = *name;
	s->names = ql_aggr_names(x->arena, names, count, ast->agg.without);
	/* "without" drops the metric's name even when it is the label asked for. */
	if (ast->agg.without && name->len == sizeof(LABEL_NAME) - 1 &&
	    memcmp(name->s, LABEL_NAME, name->len) == 0)
		s->keeps_value = false;
}

static enum ql_did countv_start(struct ql_run *x, struct ql_pn *pn)
{
	const struct ql_str *name = label_param(pn->ast);
	struct countv *s = pn->state = arena_zalloc(x->arena, sizeof(*s));

	buf_init(&s->scratch);
	arena_init(&s->text, 4096);
	ql_run_at_end(x, countv_release, s);
	if (!name->len || !rune_valid(name->s, name->len))
		return ql_failf(x, "invalid label name %s", ql_fmt_q(x->arena, name->s, name->len));
	ql_tab_init(&s->tab, x->arena);
	ql_tab_init(&s->groups, x->arena);
	countv_names(x, s, pn->ast);
	return QL_DONE;
}

/* One series from pn->step on. */
static enum ql_did countv_series(
    struct ql_run *x, struct ql_pn *pn, struct countv *s, const struct ql_col *c)
{
	bool fresh, made = false;
	uint32_t group = ql_aggr_group_of(
	    &s->groups, &s->names, pn->ast->agg.without, c->ls, &s->scratch, &fresh);
	struct ql_col *to = NULL;
	uint64_t last = 0;

	while (pn->step < pn->grid.n) {
		uint32_t i = pn->step++;
		if (!ql_bit(c->has, i))
			continue;
		if (!to || num_bits(c->v[i]) != last)
			to = countv_column(x, pn, s, group, c->v[i], &made);
		if (!to)
			return QL_FAILED;
		last = num_bits(c->v[i]);
		to->v[i] += 1;
		ql_bit_on(to->has, i);
		if (ql_tick(x, made ? 1024 : 0))
			return QL_AGAIN;
		made = false;
	}
	pn->step = 0;
	pn->pos++;
	return QL_DONE;
}

enum ql_did ql_count_values_run(struct ql_run *x, struct ql_pn *pn)
{
	const struct ql_vec *v = &pn->arg[0]->vec;

	if (!pn->state && countv_start(x, pn))
		return QL_FAILED;
	while (pn->pos < v->count) {
		enum ql_did did = countv_series(x, pn, pn->state, &v->cols[pn->pos]);
		if (did)
			return did;
		if (ql_tick(x, 128))
			return QL_AGAIN;
	}
	return QL_DONE;
}
