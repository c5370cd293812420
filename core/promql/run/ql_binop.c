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
#include "core/promql/run/ql_binop_hist.h"
#include "core/promql/run/ql_nodes.h"

#include <string.h>

struct side {                 /* of the one side, per match group: a list through next */
	uint32_t first, last; /* of the list, + 1; 0: empty */
	uint64_t *has;        /* union of presence */
	bool own;             /* has is no column's */
	uint64_t *matched;    /* steps where a result was made */
};
struct seen { /* results of one match group with the same labels: their steps before filtering */
	struct seen *next;
	uint32_t group;
	uint64_t *bits;
};
/* Each phase goes through one side, from the first series to the last. */
enum bin_phase {
	BIN_ANY, /* many side: where it has anything */
	BIN_GROUP_ONE,
	BIN_NAME, /* one side, instead of the rest: which duplicates the error names */
	BIN_GROUP_MANY,
	BIN_PAIR, /* many side */
	BIN_FILL, /* one side */
	BIN_TIDY
};
struct pair { /* results of two series, made part by part */
	bool open;
	bool in_place; /* in the column of the many side */
	uint32_t col, step;
	const struct ql_col *many, *one; /* NULL: the value filled in */
	bool mixed;                      /* one of them has histograms, or a number is trimmed */
	struct ql_binop_sides sides;     /* then: both as they are written */
};
struct binop {
	const struct ql_node *ast;
	struct ql_vec many, one;
	bool swapped; /* the many side is the right operand */
	uint32_t n;
	struct ql_names names;   /* of on(), or of ignoring() with __name__ */
	struct ql_names listed;  /* of ignoring() alone */
	struct ql_names include; /* of group_left() and group_right() */
	struct ql_tab groups;
	uint32_t *many_group, *one_group, *one_next;
	struct side *side;
	uint64_t *many_any;    /* steps where the many side has anything at all */
	struct ql_tab results; /* labels of the result columns */
	struct seen **seen;    /* per result */
	uint32_t seen_cap;
	struct buf scratch;
	uint64_t *bits; /* of one pair */
	uint64_t *bits_out;
	/* a part of a column each: results on their way, the values that are filled in */
	double *values, *fill_many, *fill_one;
	enum bin_phase phase;
	uint32_t pos;
	struct pair pair;
	bool at_partners;     /* of the many-side series at pos */
	uint32_t partner;     /* the next of them */
	uint32_t dup, dup_of; /* BIN_NAME: the smallest two so far */
};

/* series of the one side that are compared pair by pair for an error text */
#define NAMED_PAIR_MAX 1000

static void binop_enter(struct binop *b, enum bin_phase phase)
{
	b->phase = phase;
	b->pos = 0;
}

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

static uint32_t group_of(struct binop *b, struct labels ls)
{
	bool fresh;
	return ql_aggr_group_of(&b->groups, &b->names, !b->ast->bin.on, ls, &b->scratch, &fresh);
}

/* Presence at all steps, none on; NULL over budget. */
static uint64_t *words_make(struct ql_run *x, const struct binop *b)
{
	uint64_t bytes = (uint64_t)ql_words(b->n) * sizeof(uint64_t);
	x->err = ql_room(&x->budget, bytes, x->eb);
	return x->err ? NULL : arena_zalloc(x->arena, bytes);
}

static void make_parts(struct ql_run *x, struct binop *b)
{
	uint32_t count = ql_part(0, b->n);

	b->values = arena_array(x->arena, count, sizeof(*b->values));
	if (!fills(b->ast))
		return;
	b->fill_many = arena_array(x->arena, count, sizeof(*b->fill_many));
	b->fill_one = arena_array(x->arena, count, sizeof(*b->fill_one));
	for (uint32_t i = 0; i < count; i++) {
		b->fill_one[i] = b->ast->bin.fill_r;
		b->fill_many[i] = b->ast->bin.fill_l;
	}
}

/* NULL over budget. */
static struct binop *binop_start(struct ql_run *x, struct ql_pn *pn)
{
	const struct ql_node *n = pn->ast;
	struct arena *a = x->arena;
	struct binop *b = arena_zalloc(a, sizeof(*b));
	uint64_t most;

	b->ast = n;
	b->n = pn->grid.n;
	b->swapped = n->bin.card == QL_ONE_TO_MANY;
	b->many = pn->arg[b->swapped]->vec;
	b->one = pn->arg[!b->swapped]->vec;
	b->names = ql_aggr_names(a, n->bin.labels, n->bin.labels_count, !n->bin.on);
	b->listed = ql_names_make(a, n->bin.labels, n->bin.labels_count);
	b->include = ql_names_make(a, n->bin.include, n->bin.include_count);
	buf_init(&b->scratch);
	ql_run_at_end(x, binop_release, b);
	make_parts(x, b);
	most = (uint64_t)b->many.count + b->one.count;
	uint64_t room = most * (2 * sizeof(uint32_t) + sizeof(*b->side));
	x->err = ql_room(&x->budget, room + b->many.count * sizeof(*b->seen), x->eb);
	if (x->err || !ql_run_tab(x, &b->groups, (uint32_t)most) ||
	    !ql_run_tab(x, &b->results, b->many.count) || !ql_run_reserve(x, &pn->vec, b->many.count))
		return NULL;
	b->many_group = arena_array(a, (size_t)b->many.count + 1, sizeof(uint32_t));
	b->one_group = arena_array(a, (size_t)b->one.count + 1, sizeof(uint32_t));
	b->one_next = arena_array(a, (size_t)b->one.count + 1, sizeof(uint32_t));
	b->side = arena_zalloc(a, (most + 1) * sizeof(*b->side));
	b->seen_cap = is_one_to_one(b) ? 0 : b->many.count;
	b->seen = arena_zalloc(a, ((size_t)b->seen_cap + 1) * sizeof(struct seen *));
	if (!(b->many_any = words_make(x, b)) || !(b->bits = words_make(x, b)) ||
	    !(b->bits_out = words_make(x, b)))
		return NULL;
	pn->state = b;
	return b;
}

static void add_any(struct binop *b, const struct ql_col *c)
{
	for (uint32_t w = 0; w < ql_words(b->n); w++)
		b->many_any[w] |= ql_col_word(c, w);
}

/* --- the one side --- */

static struct side *side_of(struct binop *b, uint32_t group)
{
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
static bool collide_at(const struct binop *b, uint32_t w, uint64_t both)
{
	return both && (fills(b->ast) || (both & b->many_any[w]));
}
static bool collide(const struct binop *b, const struct ql_col *l, const struct ql_col *r)
{
	for (uint32_t w = 0; w < ql_words(b->n); w++)
		if (collide_at(b, w, ql_col_word(l, w) & ql_col_word(r, w)))
			return true;
	return false;
}
static bool collide_side(const struct binop *b, const struct side *s, const struct ql_col *c)
{
	for (uint32_t w = 0; w < ql_words(b->n); w++)
		if (collide_at(b, w, s->has[w] & ql_col_word(c, w)))
			return true;
	return false;
}

/*
 * Which pair is named must not depend on the order of shards: the smallest by labels, as long as
 * looking at all pairs is cheap. This series with all others of its group.
 */
static void name_duplicate(struct binop *b, uint32_t i)
{
	const struct ql_col *c = b->one.cols;

	for (uint32_t k = 0; k < b->one.count; k++) {
		if (i == k || b->one_group[i] != b->one_group[k] || !collide(b, &c[i], &c[k]))
			continue;
		int d = label_cmp(c[i].ls, c[b->dup].ls);
		if (d < 0 || (d == 0 && label_cmp(c[k].ls, c[b->dup_of].ls) < 0)) {
			b->dup = i;
			b->dup_of = k;
		}
	}
}

static enum ql_did found_duplicate(struct ql_run *x, struct binop *b, uint32_t with)
{
	const struct ql_col *c = b->one.cols;

	b->dup = with;
	b->dup_of = b->pos;
	if (b->one.count > NAMED_PAIR_MAX)
		return fail_duplicate(x, b, c[b->dup].ls, c[b->dup_of].ls);
	for (uint32_t i = b->pos; i < b->one.count; i++)
		b->one_group[i] = group_of(b, c[i].ls);
	binop_enter(b, BIN_NAME);
	return QL_AGAIN;
}

/* The presence of another column into the union, which is copied when it is a column's own. */
static enum ql_did side_add(struct ql_run *x, struct binop *b, struct side *s, const struct ql_col *c)
{
	uint32_t words = ql_words(b->n);
	const uint64_t *first = s->has;

	if (!s->own) {
		if (!(s->has = words_make(x, b)))
			return QL_FAILED;
		memcpy(s->has, first, words * sizeof(*first));
		s->own = true;
	}
	for (uint32_t w = 0; w < words; w++)
		s->has[w] |= ql_col_word(c, w);
	return QL_DONE;
}

static enum ql_did add_one(struct ql_run *x, struct binop *b, uint32_t i)
{
	const struct ql_col *c = &b->one.cols[i];
	uint32_t group = b->one_group[i] = group_of(b, c->ls);
	struct side *s = side_of(b, group);

	b->one_next[i] = QL_TAB_NONE;
	if (!s->first) {
		s->first = s->last = i + 1;
		s->has = c->has; /* copied when a second one comes */
		s->own = false;
		return UNLIKELY(c->hists != NULL) ? side_add(x, b, s, c) : QL_DONE;
	}
	if (collide_side(b, s, c))
		for (uint32_t k = s->first - 1; k != QL_TAB_NONE; k = b->one_next[k])
			if (collide(b, &b->one.cols[k], c))
				return found_duplicate(x, b, k);
	b->one_next[s->last - 1] = i;
	s->last = i + 1;
	return side_add(x, b, s, c);
}

/* --- results --- */

static bool drops_name(const struct ql_node *n)
{
	return !ql_op_is_compare(n->bin.op) && !ql_op_is_trim(n->bin.op);
}

static struct labels labels_copy(struct ql_run *x, struct labels ls)
{
	if (ls.len)
		ls.bytes = arena_dup(x->arena, ls.bytes, ls.len);
	return ls;
}

/* Labels of a result: many side, one side (resultMetric upstream). */
static struct labels result_labels(
    struct ql_run *x, struct binop *b, struct labels many, struct labels one)
{
	const struct ql_node *n = b->ast;
	struct labels ls = many;

	if (drops_name(n) || (n->bin.return_bool && x->names != QL_NAMES_DROP_LATE))
		ls = ql_labels_drop_name(x->arena, ls);
	if (is_one_to_one(b)) {
		/* ignoring: only what is listed; the name went above, or stays */
		const struct ql_names *names = n->bin.on ? &b->names : &b->listed;
		if (n->bin.on || names->count)
			ls = labels_copy(x, ql_labels_pick(&b->scratch, ls, names, n->bin.on));
	}
	if (n->bin.include_count) {
		struct label_builder lb;
		struct label l;
		ls = labels_copy(x, ql_labels_pick(&b->scratch, ls, &b->include, false));
		label_builder_from(&lb, x->arena, ls);
		struct label_iter it =
		    label_iter(ql_labels_pick(&b->scratch, one, &b->include, true));
		while (label_next(&it, &l))
			label_builder_set(&lb, l.name, l.name_len, l.value, l.value_len);
		ls = label_builder_done(&lb);
	}
	return ls;
}

static bool claim_group(
    struct ql_run *x, struct binop *b, struct seen **list, uint32_t group, bool *again)
{
	uint32_t words = ql_words(b->n);
	struct seen *e = *list;

	while (e && e->group != group)
		e = e->next;
	if (!e) {
		e = arena_alloc(x->arena, sizeof(*e));
		*e = (struct seen){ .next = *list, .group = group, .bits = words_make(x, b) };
		if (!e->bits)
			return false;
		*list = e;
	}
	for (uint32_t w = 0; w < words; w++) {
		*again = *again || (e->bits[w] & b->bits[w]);
		e->bits[w] |= b->bits[w];
	}
	return true;
}

static bool seen_grow(struct ql_run *x, struct binop *b, uint32_t result)
{
	uint32_t cap = b->seen_cap ? b->seen_cap * 2 : 64;

	while (cap <= result)
		cap *= 2;
	x->err = ql_room(&x->budget, (uint64_t)cap * sizeof(*b->seen), x->eb);
	if (x->err)
		return false;
	struct seen **seen = arena_zalloc(x->arena, cap * sizeof(struct seen *));
	if (b->seen_cap)
		memcpy(seen, b->seen, b->seen_cap * sizeof(struct seen *));
	b->seen = seen;
	b->seen_cap = cap;
	return true;
}

/* Steps of a result before filtering, judged against what the group has made so far. */
static enum ql_did claim_steps(struct ql_run *x, struct binop *b, uint32_t group, uint32_t result)
{
	struct side *s = side_of(b, group);
	bool again = false;

	if (!s->matched && !(s->matched = words_make(x, b)))
		return QL_FAILED;
	for (uint32_t w = 0; w < ql_words(b->n); w++) {
		again = again || (s->matched[w] & b->bits[w]);
		s->matched[w] |= b->bits[w];
	}
	if (is_one_to_one(b))
		return again
		    ? ql_failf(x,
		          "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)")
		    : QL_DONE;
	if (result >= b->seen_cap && !seen_grow(x, b, result))
		return QL_FAILED;
	again = false;
	if (!claim_group(x, b, &b->seen[result], group, &again))
		return QL_FAILED;
	return again
	    ? ql_failf(x, "multiple matches for labels: grouping labels must ensure unique matches")
	    : QL_DONE;
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

/* --- one pair --- */

static bool result_column(
    struct ql_run *x, struct ql_pn *pn, struct binop *b, struct labels ls, uint32_t *col)
{
	uint64_t hash = label_hash(ls);
	bool fresh;

	*col = ql_tab_add(&b->results, ls, hash, false, &fresh);
	if (fresh)
		*ql_vec_add(x->arena, &pn->vec) = (struct ql_col){ .ls = ls, .hash = hash };
	return fresh;
}

/* Memory of a new result: the many side's own column when nobody needs it again, or its own. */
static bool column_memory(struct ql_run *x, struct binop *b, struct ql_col *c, struct ql_col *own)
{
	struct ql_col made;

	b->pair.in_place = own != NULL;
	if (own) {
		c->v = own->v;
		c->has = own->has;
		return true;
	}
	if ((x->err = ql_charge(&x->budget, b->n, x->eb)))
		return false;
	ql_col_init(x->arena, &made, c->ls, c->hash, b->n);
	c->v = made.v;
	c->has = made.has;
	return true;
}

/* Room for histograms in the result. */
static bool column_hists(struct ql_run *x, struct binop *b, struct ql_col *c)
{
	if (c->hists || b->ast->bin.return_bool)
		return true;
	if ((x->err = ql_charge(&x->budget, b->n, x->eb)))
		return false;
	ql_col_hists(x->arena, c, b->n);
	return true;
}

/* Steps whose kinds of values the operator does not know go, and are told. */
static void pair_kinds(struct ql_run *x, struct binop *b)
{
	struct pair *p = &b->pair;

	p->mixed = (p->many && p->many->hists) || (p->one && p->one->hists) ||
	    ql_op_is_trim(b->ast->bin.op);
	if (LIKELY(!p->mixed))
		return;
	p->sides = (struct ql_binop_sides){
		.l = b->swapped ? p->one : p->many,
		.r = b->swapped ? p->many : p->one,
		.fill_l = b->ast->bin.fill_l,
		.fill_r = b->ast->bin.fill_r,
	};
	if (b->swapped) {
		p->sides.fill_l = b->ast->bin.fill_r;
		p->sides.fill_r = b->ast->bin.fill_l;
	}
	ql_binop_kinds(&x->notes, b->ast, &p->sides, b->n, b->bits);
}

/*
 * Begins a pair at the steps of b->bits; it stays closed when there are none. many and one: both
 * series, NULL where they are filled in; own: the column of the many side that may be overwritten,
 * NULL when it is needed again.
 */
static enum ql_did pair_begin(struct ql_run *x, struct ql_pn *pn, struct binop *b, uint32_t group,
    struct labels many_ls, const struct ql_col *many, struct labels one_ls,
    const struct ql_col *one, struct ql_col *own)
{
	struct pair *p = &b->pair;

	if (!ql_bits_any(b->bits, b->n))
		return QL_DONE;
	*p = (struct pair){ .many = many, .one = one };
	pair_kinds(x, b);
	if (UNLIKELY(p->mixed && !ql_bits_any(b->bits, b->n)))
		return QL_DONE;
	struct labels ls = result_labels(x, b, many_ls, one_ls);
	bool fresh = result_column(x, pn, b, ls, &p->col);
	struct ql_col *c = &pn->vec.cols[p->col];
	if (claim_steps(x, b, group, p->col))
		return QL_FAILED;
	c->drop_name = c->drop_name || b->ast->bin.return_bool;
	memcpy(b->bits_out, b->bits, ql_words(b->n) * sizeof(*b->bits));
	if (fresh && !column_memory(x, b, c, p->mixed ? NULL : own))
		return QL_FAILED;
	if (UNLIKELY(p->mixed && !column_hists(x, b, c)))
		return QL_FAILED;
	p->open = true;
	return QL_DONE;
}

static bool part_join(struct ql_col *c, uint32_t from, uint32_t count, const double *v, uint64_t *bits)
{
	uint64_t *has = c->has + from / 64;

	for (uint32_t w = 0; w < ql_words(count); w++)
		if (ql_col_word(c, from / 64 + w) & bits[w])
			return false;
	QL_EACH_BIT(i, bits, count)
	c->v[from + i] = v[i];
	for (uint32_t w = 0; w < ql_words(count); w++)
		has[w] |= bits[w];
	return true;
}

/* One step of the way for a pair of floats. False: the result is there already. */
static bool pair_floats(struct binop *b, struct ql_col *c, uint32_t from, uint32_t count)
{
	const struct pair *p = &b->pair;
	const double *many = p->many ? p->many->v + from : b->fill_many;
	const double *one = p->one ? p->one->v + from : b->fill_one;
	const double *l = b->swapped ? one : many, *r = b->swapped ? many : one;
	uint64_t *bits = b->bits_out + from / 64;

	if (p->in_place) {
		compute(b->ast, count, l, r, c->v + from, bits);
		memcpy(c->has + from / 64, bits, ql_words(count) * sizeof(*bits));
		return true;
	}
	compute(b->ast, count, l, r, b->values, bits);
	return part_join(c, from, count, b->values, bits);
}

/* Goes on with the pair until it is closed. */
static enum ql_did pair_run(struct ql_run *x, struct ql_pn *pn, struct binop *b)
{
	struct pair *p = &b->pair;
	struct ql_col *c = &pn->vec.cols[p->col];

	while (p->open) {
		uint64_t work = ql_part(p->step, b->n);
		bool fine;
		if (UNLIKELY(p->mixed)) {
			fine = ql_binop_mixed(
			    x, b->ast, &p->sides, b->n, b->bits_out, &p->step, c, &work);
		} else {
			fine = pair_floats(b, c, p->step, (uint32_t)work);
			p->step += (uint32_t)work;
		}
		if (!fine)
			return ql_failf(x, "vector cannot contain metrics with the same labelset");
		p->open = p->step < b->n;
		if (ql_tick(x, work) && p->open)
			return QL_AGAIN;
	}
	return QL_DONE;
}

/* --- all pairs --- */

/* The partners of a many-side series, from b->partner on. */
static enum ql_did pair_partners(struct ql_run *x, struct ql_pn *pn, struct binop *b, uint32_t i)
{
	struct ql_col *m = &b->many.cols[i];
	uint32_t group = b->many_group[i];
	const struct side *s = side_of(b, group);
	bool single = s->first == s->last && !fills(b->ast);
	enum ql_did did;

	while (b->partner != QL_TAB_NONE) {
		const struct ql_col *o = &b->one.cols[b->partner];
		if (!b->pair.open) {
			for (uint32_t w = 0; w < ql_words(b->n); w++)
				b->bits[w] = ql_col_word(m, w) & ql_col_word(o, w);
			if (pair_begin(x, pn, b, group, m->ls, m, o->ls, o, single ? m : NULL))
				return QL_FAILED;
		}
		if ((did = pair_run(x, pn, b)))
			return did;
		b->partner = b->one_next[b->partner];
		if (b->partner != QL_TAB_NONE && ql_tick(x, ql_words(b->n)))
			return QL_AGAIN;
	}
	return QL_DONE;
}

static struct labels fill_labels(struct ql_run *x, struct binop *b, struct labels ls)
{
	return labels_copy(x, ql_labels_pick(&b->scratch, ls, &b->names, b->ast->bin.on));
}

/*
 * Fill values stand as written: the right one for the one side, the left one for the many side
 * (VectorBinop upstream).
 */
static enum ql_did fill_many(struct ql_run *x, struct ql_pn *pn, struct binop *b, uint32_t i)
{
	const struct ql_col *m = &b->many.cols[i];
	const struct side *s = side_of(b, b->many_group[i]);

	if (!b->ast->bin.fill_r_set)
		return QL_DONE;
	for (uint32_t w = 0; w < ql_words(b->n); w++)
		b->bits[w] = ql_col_word(m, w) & ~(s->first ? s->has[w] : 0);
	return pair_begin(x, pn, b, b->many_group[i], m->ls, m, fill_labels(x, b, m->ls), NULL, NULL);
}

/* A many-side series with all partners of its group, then with the made-up one. */
static enum ql_did pair_many(struct ql_run *x, struct ql_pn *pn, struct binop *b, uint32_t i)
{
	enum ql_did did;

	if (b->pair.open && b->at_partners && b->partner == QL_TAB_NONE)
		return pair_run(x, pn, b); /* the made-up one */
	if (!b->at_partners) {
		const struct side *s = side_of(b, b->many_group[i]);
		b->partner = s->first ? s->first - 1 : QL_TAB_NONE;
		b->at_partners = true;
	}
	if ((did = pair_partners(x, pn, b, i)))
		return did;
	if (fills(b->ast) && (did = fill_many(x, pn, b, i)))
		return did;
	return pair_run(x, pn, b);
}

static enum ql_did fill_one(struct ql_run *x, struct ql_pn *pn, struct binop *b, uint32_t i)
{
	const struct ql_col *o = &b->one.cols[i];
	const struct side *s = side_of(b, b->one_group[i]);

	if (!b->ast->bin.fill_l_set)
		return QL_DONE;
	if (!b->pair.open) {
		for (uint32_t w = 0; w < ql_words(b->n); w++)
			b->bits[w] = ql_col_word(o, w) & ~(s->matched ? s->matched[w] : 0);
		if (pair_begin(
		        x, pn, b, b->one_group[i], fill_labels(x, b, o->ls), NULL, o->ls, o, NULL))
			return QL_FAILED;
	}
	return pair_run(x, pn, b);
}

/* --- the phases --- */

static enum ql_did binop_one(struct ql_run *x, struct ql_pn *pn, struct binop *b)
{
	switch (b->phase) {
	case BIN_ANY:
		add_any(b, &b->many.cols[b->pos]);
		return QL_DONE;
	case BIN_GROUP_ONE:
		return add_one(x, b, b->pos);
	case BIN_NAME:
		name_duplicate(b, b->pos);
		return QL_DONE;
	case BIN_GROUP_MANY:
		b->many_group[b->pos] = group_of(b, b->many.cols[b->pos].ls);
		return QL_DONE;
	case BIN_PAIR:
		return pair_many(x, pn, b, b->pos);
	case BIN_FILL:
		return fill_one(x, pn, b, b->pos);
	case BIN_TIDY:
		break;
	}
	return QL_DONE;
}

static uint32_t phase_count(const struct binop *b)
{
	switch (b->phase) {
	case BIN_ANY:
	case BIN_GROUP_MANY:
	case BIN_PAIR:
		return b->many.count;
	case BIN_GROUP_ONE:
	case BIN_NAME:
	case BIN_FILL:
		return b->one.count;
	case BIN_TIDY:
		break;
	}
	return 0;
}

static uint64_t phase_work(const struct binop *b)
{
	uint64_t work = 96 + ql_words(b->n);
	return b->phase == BIN_NAME ? work * b->one.count : work;
}

static enum ql_did phase_over(struct ql_run *x, struct binop *b)
{
	const struct ql_col *c = b->one.cols;

	switch (b->phase) {
	case BIN_ANY:
		binop_enter(b, BIN_GROUP_ONE);
		break;
	case BIN_GROUP_ONE:
		binop_enter(b, BIN_GROUP_MANY);
		break;
	case BIN_NAME:
		return fail_duplicate(x, b, c[b->dup].ls, c[b->dup_of].ls);
	case BIN_GROUP_MANY:
		binop_enter(b, BIN_PAIR);
		break;
	case BIN_PAIR:
		binop_enter(b, BIN_FILL);
		break;
	case BIN_FILL:
		binop_enter(b, BIN_TIDY);
		break;
	case BIN_TIDY:
		break;
	}
	return QL_DONE;
}

enum ql_did ql_binop_run(struct ql_run *x, struct ql_pn *pn)
{
	struct binop *b = pn->state;
	enum ql_did did;

	if (!fills(pn->ast) && (!pn->arg[0]->vec.count || !pn->arg[1]->vec.count))
		return QL_DONE;
	if (!b && !(b = binop_start(x, pn)))
		return QL_FAILED;
	while (b->phase != BIN_TIDY) {
		enum bin_phase phase = b->phase;
		while (b->pos < phase_count(b)) {
			did = binop_one(x, pn, b);
			if (did == QL_AGAIN && b->phase != phase)
				break; /* another phase, from its start */
			if (did)
				return did;
			b->pos++;
			b->at_partners = false;
			if (ql_tick(x, phase_work(b)))
				return QL_AGAIN;
		}
		if (b->phase == phase && phase_over(x, b))
			return QL_FAILED;
	}
	return ql_run_tidy(x, pn, QL_EQUAL_NONE);
}
