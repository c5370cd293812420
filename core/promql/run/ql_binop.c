/*
 * Operators between two vectors.
 *
 * Labels do not change from step to step, so matching is done once: every series gets the ordinal
 * of its match group. What upstream decides per step (duplicates on the one side, many-to-one
 * matches,
 * duplicated results) is decided here by intersecting bitmaps of presence: an error is one only if
 * both are present at one step.
 *   one side   per group the list of its series and the union of their presence
 *   many side  series by series: each partner of the group gives the steps where both are there
 * A many-side series with a single partner is computed in place.
 */
#include "core/promql/run/ql_aggr.h"
#include "core/promql/run/ql_nodes.h"

#include <string.h>

struct side {                 /* of the one side, per match group: a list through next */
	uint32_t first, last; /* QL_TAB_NONE: empty */
	uint64_t *has;        /* union of presence */
	uint64_t *matched;    /* steps where a result was made */
};
struct seen { /* results of one match group with the same labels: their steps before filtering */
	struct seen *next;
	uint32_t group;
	uint64_t *bits;
};
struct binop {
	const struct ql_node *ast;
	struct ql_vec many, one;
	bool swapped; /* the many side is the right operand */
	uint32_t n;
	struct ql_names names; /* of on(), or of ignoring() with __name__ */
	struct ql_tab groups;
	uint32_t *many_group, *one_group, *one_next;
	struct side *side;
	uint32_t side_cap;
	uint64_t *many_any, *one_any; /* steps where the side has anything at all */
	struct ql_tab results;        /* labels of the result columns */
	struct seen **seen;           /* per result */
	uint32_t seen_cap;
	struct buf scratch;
	uint64_t *bits; /* of one pair */
	double *values; /* a filled-in partner, and results on their way */
	uint64_t *bits_out;
	enum {
		BIN_GROUP_ONE,
		BIN_GROUP_MANY,
		BIN_PAIR,
		BIN_FILL
	} phase;
	uint32_t pos;
};

/* series of the one side that are compared pair by pair for an error text */
#define NAMED_PAIR_MAX 1000

static bool is_one_to_one(const struct binop *b)
{
	return b->ast->bin.card == QL_ONE_TO_ONE;
}

static bool fills(const struct ql_node *n)
{
	return n->bin.fill_l_set || n->bin.fill_r_set;
}

static void binop_release(void *arg)
{
	struct binop *b = arg;
	buf_release(&b->scratch);
}

static struct ql_names match_names(struct arena *a, const struct ql_node *n)
{
	return ql_aggr_names(a, n->bin.labels, n->bin.labels_count, !n->bin.on);
}

static uint32_t group_of(struct binop *b, struct labels ls)
{
	bool fresh;
	return ql_aggr_group_of(&b->groups, &b->names, !b->ast->bin.on, ls, &b->scratch, &fresh);
}

static void collect_any(const struct ql_vec *v, uint32_t n, uint64_t *any)
{
	for (uint32_t i = 0; i < v->count; i++)
		for (uint32_t w = 0; w < ql_words(n); w++)
			any[w] |= v->cols[i].has[w];
}

static struct binop *binop_start(struct ql_run *x, struct ql_pn *pn)
{
	struct arena *a = x->arena;
	struct binop *b = arena_zalloc(a, sizeof(*b));
	uint32_t words = ql_words(pn->grid.n);

	b->ast = pn->ast;
	b->n = pn->grid.n;
	b->swapped = pn->ast->bin.card == QL_ONE_TO_MANY;
	b->many = pn->arg[b->swapped]->vec;
	b->one = pn->arg[!b->swapped]->vec;
	b->names = match_names(a, pn->ast);
	ql_tab_init(&b->groups, a);
	ql_tab_init(&b->results, a);
	buf_init(&b->scratch);
	ql_run_at_end(x, binop_release, b);
	b->many_group = arena_array(a, (size_t)b->many.count + 1, sizeof(uint32_t));
	b->one_group = arena_array(a, (size_t)b->one.count + 1, sizeof(uint32_t));
	b->one_next = arena_array(a, (size_t)b->one.count + 1, sizeof(uint32_t));
	b->many_any = arena_zalloc(a, words * sizeof(uint64_t));
	b->one_any = arena_zalloc(a, words * sizeof(uint64_t));
	b->bits = arena_zalloc(a, words * sizeof(uint64_t));
	b->bits_out = arena_zalloc(a, words * sizeof(uint64_t));
	b->values = arena_zalloc(a, b->n * sizeof(double));
	collect_any(&b->many, b->n, b->many_any);
	collect_any(&b->one, b->n, b->one_any);
	return b;
}

/* --- the one side --- */

static struct side *side_of(struct ql_run *x, struct binop *b, uint32_t group)
{
	if (group >= b->side_cap) {
		uint32_t cap = b->side_cap ? b->side_cap * 2 : 64;
		while (cap <= group)
			cap *= 2;
		struct side *s = arena_array(x->arena, cap, sizeof(*s));
		if (b->side_cap)
			memcpy(s, b->side, b->side_cap * sizeof(*s));
		for (uint32_t i = b->side_cap; i < cap; i++)
			s[i] = (struct side){ .first = QL_TAB_NONE, .last = QL_TAB_NONE };
		b->side = s;
		b->side_cap = cap;
	}
	return &b->side[group];
}

static enum ql_did fail_duplicate(
    struct ql_run *x, struct binop *b, struct labels l1, struct labels l2)
{
	struct buf group, t1, t2;
	struct labels key = ql_labels_pick(&b->scratch, l1, &b->names, b->ast->bin.on);

	buf_init(&group);
	buf_init(&t1);
	buf_init(&t2);
	label_text(&group, key);
	label_text(&t1, l1);
	label_text(&t2, l2);
	buf_add_u8(&group, 0);
	buf_add_u8(&t1, 0);
	buf_add_u8(&t2, 0);
	bool order = strcmp((char *)t1.data, (char *)t2.data) <= 0;
	enum ql_did did = ql_failf(x,
	    "found duplicate series for the match group %s on the %s hand-side of the operation: [%s, %s];many-to-many matching not allowed: matching labels must be unique on one side",
	    (char *)group.data, b->swapped ? "left" : "right", (char *)(order ? t1.data : t2.data),
	    (char *)(order ? t2.data : t1.data));
	buf_release(&group);
	buf_release(&t1);
	buf_release(&t2);
	return did;
}

/*
 * Two series of a group at one step: an error, unless the other side has nothing there and nothing
 * is filled in.
 */
static bool collide(const struct binop *b, const uint64_t *a, const uint64_t *c)
{
	for (uint32_t w = 0; w < ql_words(b->n); w++) {
		uint64_t both = a[w] & c[w];
		if (both && (fills(b->ast) || (both & b->many_any[w])))
			return true;
	}
	return false;
}

/*
 * Which pair is named must not depend on the order of shards: the smallest by labels, as long as
 * looking at all pairs is cheap.
 */
static enum ql_did fail_first_duplicate(
    struct ql_run *x, struct binop *b, uint32_t found, uint32_t with)
{
	const struct ql_col *c = b->one.cols, *l = &c[found], *r = &c[with];

	for (uint32_t i = b->pos; i < b->one.count; i++)
		b->one_group[i] = group_of(b, c[i].ls);
	for (uint32_t i = 0; b->one.count <= NAMED_PAIR_MAX && i < b->one.count; i++)
		for (uint32_t k = 0; k < b->one.count; k++) {
			if (i == k || b->one_group[i] != b->one_group[k] ||
			    !collide(b, c[i].has, c[k].has))
				continue;
			int d = label_cmp(c[i].ls, l->ls);
			if (d < 0 || (d == 0 && label_cmp(c[k].ls, r->ls) < 0)) {
				l = &c[i];
				r = &c[k];
			}
		}
	return fail_duplicate(x, b, l->ls, r->ls);
}

static enum ql_did add_one(struct ql_run *x, struct binop *b, uint32_t i)
{
	const struct ql_col *c = &b->one.cols[i];
	uint32_t words = ql_words(b->n);
	uint32_t group = b->one_group[i] = group_of(b, c->ls);
	struct side *s = side_of(x, b, group);

	b->one_next[i] = QL_TAB_NONE;
	if (s->first == QL_TAB_NONE) {
		s->first = s->last = i;
		s->has = c->has; /* copied when a second one comes */
		return QL_DONE;
	}
	if (collide(b, s->has, c->has))
		for (uint32_t k = s->first; k != QL_TAB_NONE; k = b->one_next[k])
			if (collide(b, b->one.cols[k].has, c->has))
				return fail_first_duplicate(x, b, k, i);
	if (s->first == s->last) {
		s->has = arena_dup(x->arena, s->has, words * sizeof(uint64_t));
	}
	for (uint32_t w = 0; w < words; w++)
		s->has[w] |= c->has[w];
	b->one_next[s->last] = i;
	s->last = i;
	return QL_DONE;
}

/* --- results --- */

static bool drops_name(const struct ql_node *n)
{
	return !ql_op_is_compare(n->bin.op);
}

/* Labels of a result: many side, one side (resultMetric in Prometheus' engine). */
static struct labels result_labels(
    struct ql_run *x, struct binop *b, struct labels many, struct labels one)
{
	const struct ql_node *n = b->ast;
	struct labels ls = many;

	if (drops_name(n) || (n->bin.return_bool && !x->late))
		ls = ql_labels_drop_name(x->arena, ls);
	if (is_one_to_one(b)) {
		struct ql_names *names = &b->names, plain;
		if (!n->bin.on) { /* only what is listed: the name went above, or stays */
			plain = ql_names_make(x->arena, n->bin.labels, n->bin.labels_count);
			names = &plain;
		}
		if (n->bin.on || names->count) {
			ls = ql_labels_pick(&b->scratch, ls, names, n->bin.on);
			if (ls.len)
				ls.bytes = arena_dup(x->arena, ls.bytes, ls.len);
		}
	}
	if (n->bin.include_count) {
		struct label_builder lb;
		label_builder_from(&lb, x->arena, ls);
		for (uint32_t i = 0; i < n->bin.include_count; i++) {
			const struct ql_str *s = &n->bin.include[i];
			uint32_t len = 0;
			const char *v = label_get(one, s->s, s->len, &len);
			label_builder_set(&lb, s->s, s->len, v ? v : "", v ? len : 0);
		}
		ls = label_builder_done(&lb);
	}
	return ls;
}

/* Steps of a result before filtering, judged against what the group has made so far. */
static enum ql_did claim_steps(struct ql_run *x, struct binop *b, uint32_t group, uint32_t result)
{
	uint32_t words = ql_words(b->n);
	struct side *s = side_of(x, b, group);
	bool again = false;

	if (!s->matched)
		s->matched = arena_zalloc(x->arena, words * sizeof(uint64_t));
	for (uint32_t w = 0; w < words; w++) {
		again = again || (s->matched[w] & b->bits[w]);
		s->matched[w] |= b->bits[w];
	}
	if (is_one_to_one(b)) {
		if (again)
			return ql_failf(x,
			    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)");
		return QL_DONE;
	}
	if (result >= b->seen_cap) {
		uint32_t cap = b->seen_cap ? b->seen_cap * 2 : 64;
		struct seen **seen = arena_zalloc(x->arena, cap * sizeof(struct seen *));
		if (b->seen_cap)
			memcpy(seen, b->seen, b->seen_cap * sizeof(struct seen *));
		b->seen = seen;
		b->seen_cap = cap;
	}
	struct seen *e = b->seen[result];
	while (e && e->group != group)
		e = e->next;
	if (!e) {
		e = arena_alloc(x->arena, sizeof(*e));
		e->next = b->seen[result];
		e->group = group;
		e->bits = arena_dup(x->arena, b->bits, words * sizeof(uint64_t));
		b->seen[result] = e;
		return QL_DONE;
	}
	for (uint32_t w = 0; w < words; w++) {
		if (e->bits[w] & b->bits[w])
			return ql_failf(x,
			    "multiple matches for labels: grouping labels must ensure unique matches");
		e->bits[w] |= b->bits[w];
	}
	return QL_DONE;
}

#define LOOP(expr)                                                                                 \
 for (uint32_t i = 0; i < n; i++)                                                                  \
  out[i] = (expr);                                                                                 \
 break

/* out = l op r at the steps of bits; comparisons take steps away, or give 0 and 1. */
static void compute(const struct ql_node *ast, uint32_t n, const double *l, const double *r,
    double *out, uint64_t *bits)
{
	enum ql_op op = ast->bin.op;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
	switch (op) {
	case QL_ADD:
		LOOP(l[i] + r[i]);
	case QL_SUB:
		LOOP(l[i] - r[i]);
	case QL_MUL:
		LOOP(l[i] * r[i]);
	case QL_DIV:
		LOOP(l[i] / r[i]);
	case QL_MOD:
	case QL_POW:
	case QL_ATAN2:
		LOOP(ql_arith(op, l[i], r[i]));
	default:
		for (uint32_t i = 0; i < n; i++) {
			bool yes = ql_compare(op, l[i], r[i]);
			out[i] = ast->bin.return_bool ? (double)yes : l[i];
			if (!yes && !ast->bin.return_bool)
				ql_bit_off(bits, i);
		}
	}
#pragma GCC diagnostic pop
	for (uint32_t w = 0; w < ql_words(n); w++)
		if (bits[w] != ~(uint64_t)0)
			for (uint32_t i = w * 64; i < n && i < w * 64 + 64; i++)
				if (!ql_bit(bits, i))
					out[i] = 0;
}
#undef LOOP

static struct ql_col *result_column(
    struct ql_run *x, struct ql_pn *pn, struct binop *b, struct labels ls, bool *fresh)
{
	uint64_t hash = label_hash(ls);
	uint32_t at = ql_tab_add(&b->results, ls, hash, false, fresh);

	if (*fresh) {
		struct ql_col *c = ql_vec_add(x->arena, &pn->vec);
		*c = (struct ql_col){ .ls = ls, .hash = hash };
	}
	return &pn->vec.cols[at];
}

static enum ql_did join_column(struct ql_run *x, struct binop *b, struct ql_col *c)
{
	for (uint32_t w = 0; w < ql_words(b->n); w++)
		if (c->has[w] & b->bits_out[w])
			return ql_failf(x, "vector cannot contain metrics with the same labelset");
	QL_EACH_BIT(i, b->bits_out, b->n)
	c->v[i] = b->values[i];
	for (uint32_t w = 0; w < ql_words(b->n); w++)
		c->has[w] |= b->bits_out[w];
	return QL_DONE;
}

/*
 * One pair at the steps of b->bits. many and one: values of both; own: the column of the many side
 * that may be overwritten, NULL when it is needed again.
 */
static enum ql_did make_pair(struct ql_run *x, struct ql_pn *pn, struct binop *b, uint32_t group,
    struct labels many_ls, const double *many, struct labels one_ls, const double *one,
    struct ql_col *own)
{
	const double *l = b->swapped ? one : many, *r = b->swapped ? many : one;
	size_t size = ql_words(b->n) * sizeof(uint64_t);
	bool fresh;

	if (!ql_bits_any(b->bits, b->n))
		return QL_DONE;
	struct labels ls = result_labels(x, b, many_ls, one_ls);
	struct ql_col *c = result_column(x, pn, b, ls, &fresh);
	if (claim_steps(x, b, group, (uint32_t)(c - pn->vec.cols)))
		return QL_FAILED;
	c->drop_name = c->drop_name || b->ast->bin.return_bool;
	memcpy(b->bits_out, b->bits, size);
	if (fresh && own) {
		c->v = own->v;
		c->has = own->has;
		compute(b->ast, b->n, l, r, c->v, b->bits_out);
		memcpy(c->has, b->bits_out, size);
		return QL_DONE;
	}
	compute(b->ast, b->n, l, r, b->values, b->bits_out);
	if (fresh) {
		x->err = ql_charge(&x->budget, b->n, x->eb);
		if (x->err)
			return QL_FAILED;
		struct ql_col made;
		ql_col_init(x->arena, &made, ls, c->hash, b->n);
		c->v = made.v;
		c->has = made.has;
	}
	return join_column(x, b, c);
}

/* A many-side series with all partners of its group. */
static enum ql_did pair_many(struct ql_run *x, struct ql_pn *pn, struct binop *b, uint32_t i)
{
	struct ql_col *m = &b->many.cols[i];
	uint32_t group = b->many_group[i];
	const struct side *s = side_of(x, b, group);
	bool single = s->first == s->last && !fills(b->ast);

	for (uint32_t k = s->first; k != QL_TAB_NONE; k = b->one_next[k]) {
		const struct ql_col *o = &b->one.cols[k];
		for (uint32_t w = 0; w < ql_words(b->n); w++)
			b->bits[w] = m->has[w] & o->has[w];
		if (make_pair(x, pn, b, group, m->ls, m->v, o->ls, o->v, single ? m : NULL))
			return QL_FAILED;
	}
	return QL_DONE;
}

/* --- made-up partners --- */

static const double *fill_values(struct ql_run *x, struct binop *b, double v)
{
	double *a = arena_array(x->arena, b->n, sizeof(*a));
	for (uint32_t i = 0; i < b->n; i++)
		a[i] = v;
	return a;
}

static struct labels fill_labels(struct ql_run *x, struct binop *b, struct labels ls)
{
	struct labels key = ql_labels_pick(&b->scratch, ls, &b->names, b->ast->bin.on);
	if (key.len)
		key.bytes = arena_dup(x->arena, key.bytes, key.len);
	return key;
}

/*
 * Fill values stand as written: the right one for the one side, the left one for the many side
 * (VectorBinop upstream).
 */
static enum ql_did fill_many(struct ql_run *x, struct ql_pn *pn, struct binop *b, uint32_t i)
{
	const struct ql_col *m = &b->many.cols[i];
	const struct side *s = side_of(x, b, b->many_group[i]);

	if (!b->ast->bin.fill_r_set)
		return QL_DONE;
	for (uint32_t w = 0; w < ql_words(b->n); w++)
		b->bits[w] = m->has[w] & ~(s->first == QL_TAB_NONE ? 0 : s->has[w]);
	return make_pair(x, pn, b, b->many_group[i], m->ls, m->v, fill_labels(x, b, m->ls),
	    fill_values(x, b, b->ast->bin.fill_r), NULL);
}

static enum ql_did fill_one(struct ql_run *x, struct ql_pn *pn, struct binop *b, uint32_t i)
{
	const struct ql_col *o = &b->one.cols[i];
	const struct side *s = side_of(x, b, b->one_group[i]);

	if (!b->ast->bin.fill_l_set)
		return QL_DONE;
	for (uint32_t w = 0; w < ql_words(b->n); w++)
		b->bits[w] = o->has[w] & ~(s->matched ? s->matched[w] : 0);
	return make_pair(x, pn, b, b->one_group[i], fill_labels(x, b, o->ls),
	    fill_values(x, b, b->ast->bin.fill_l), o->ls, o->v, NULL);
}

static enum ql_did binop_one(struct ql_run *x, struct ql_pn *pn, struct binop *b)
{
	switch (b->phase) {
	case BIN_GROUP_ONE:
		return add_one(x, b, b->pos);
	case BIN_GROUP_MANY:
		b->many_group[b->pos] = group_of(b, b->many.cols[b->pos].ls);
		return QL_DONE;
	case BIN_PAIR:
		if (pair_many(x, pn, b, b->pos))
			return QL_FAILED;
		return fills(b->ast) ? fill_many(x, pn, b, b->pos) : QL_DONE;
	case BIN_FILL:
		return fill_one(x, pn, b, b->pos);
	}
	return QL_DONE;
}

static enum ql_did run_trim(struct ql_run *x, struct ql_pn *pn)
{
	const char *op = ql_op_text(pn->ast->bin.op);
	if (pn->arg[0]->vec.count && pn->arg[1]->vec.count)
		ql_notes_add(&x->notes, true, pn->ast->pos,
		    "incompatible sample types encountered for binary operator \"%s\": float %s float",
		    op, op);
	return QL_DONE;
}

enum ql_did ql_binop_run(struct ql_run *x, struct ql_pn *pn)
{
	struct binop *b = pn->state;

	if (ql_op_is_trim(pn->ast->bin.op))
		return run_trim(x, pn);
	if (!b)
		b = pn->state = binop_start(x, pn);
	if (!fills(b->ast) && (!b->many.count || !b->one.count))
		return QL_DONE;
	for (;;) {
		bool of_one = b->phase == BIN_GROUP_ONE || b->phase == BIN_FILL;
		uint32_t count = of_one ? b->one.count : b->many.count;
		while (b->pos < count) {
			if (binop_one(x, pn, b))
				return QL_FAILED;
			b->pos++;
			if (ql_tick(x, b->n))
				return QL_AGAIN;
		}
		b->pos = 0;
		if (b->phase == BIN_FILL)
			break;
		b->phase++;
	}
	x->err = ql_run_tidy(x, &pn->vec, b->n, false, false);
	return x->err ? QL_FAILED : QL_DONE;
}

/* --- and, or, unless --- */

struct setop {
	struct ql_vec l, r;
	struct ql_names names;
	struct ql_tab groups;
	uint64_t **present; /* per group: steps where the deciding side is there */
	uint32_t cap, pos;
	struct buf scratch;
	bool second;
};

static void setop_release(void *arg)
{
	struct setop *s = arg;
	buf_release(&s->scratch);
}

static uint64_t *set_group(struct ql_run *x, struct ql_pn *pn, struct setop *s, struct labels ls)
{
	bool fresh;
	uint32_t g =
	    ql_aggr_group_of(&s->groups, &s->names, !pn->ast->bin.on, ls, &s->scratch, &fresh);

	if (g >= s->cap) {
		uint32_t cap = s->cap ? s->cap * 2 : 64;
		uint64_t **p = arena_zalloc(x->arena, cap * sizeof(*p));
		if (s->cap)
			memcpy(p, s->present, s->cap * sizeof(*p));
		s->present = p;
		s->cap = cap;
	}
	if (fresh)
		s->present[g] = arena_zalloc(x->arena, ql_words(pn->grid.n) * sizeof(uint64_t));
	return s->present[g];
}

static void set_filter(struct ql_col *c, const uint64_t *mask, bool keep, uint32_t n)
{
	for (uint32_t w = 0; w < ql_words(n); w++) {
		uint64_t gone = c->has[w] & (keep ? ~mask[w] : mask[w]);
		c->has[w] &= ~gone;
		for (; gone; gone &= gone - 1)
			c->v[w * 64 + (uint32_t)__builtin_ctzll(gone)] = 0;
	}
}

enum ql_did ql_set_run(struct ql_run *x, struct ql_pn *pn)
{
	struct setop *s = pn->state;
	enum ql_op op = pn->ast->bin.op;
	uint32_t n = pn->grid.n;

	if (!s) {
		s = pn->state = arena_zalloc(x->arena, sizeof(*s));
		s->l = pn->arg[0]->vec;
		s->r = pn->arg[1]->vec;
		s->names = match_names(x->arena, pn->ast);
		ql_tab_init(&s->groups, x->arena);
		buf_init(&s->scratch);
		ql_run_at_end(x, setop_release, s);
	}
	/* The side that decides: left for "or", right for the others. */
	const struct ql_vec *from = op == QL_OR ? &s->l : &s->r;
	struct ql_vec *to = op == QL_OR ? &s->r : &s->l;
	while (!s->second && s->pos < from->count) {
		const struct ql_col *c = &from->cols[s->pos++];
		uint64_t *present = set_group(x, pn, s, c->ls);
		for (uint32_t w = 0; w < ql_words(n); w++)
			present[w] |= c->has[w];
		if (ql_tick(x, n / 16))
			return QL_AGAIN;
	}
	if (!s->second) {
		s->second = true;
		s->pos = 0;
	}
	while (s->pos < to->count) {
		struct ql_col *c = &to->cols[s->pos++];
		set_filter(c, set_group(x, pn, s, c->ls), op == QL_AND, n);
		if (ql_tick(x, n / 16))
			return QL_AGAIN;
	}
	pn->vec = s->l;
	if (op == QL_OR)
		for (uint32_t i = 0; i < s->r.count; i++)
			*ql_vec_add(x->arena, &pn->vec) = s->r.cols[i];
	/* "or" may bring equal labels together: fine at different steps. */
	x->err = ql_run_tidy(x, &pn->vec, n, op == QL_OR && !(x->late && n == 1), false);
	return x->err ? QL_FAILED : QL_DONE;
}
