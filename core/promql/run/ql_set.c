/*
 * and, or, unless: the left side decides what "or" takes of the right one, the right
 * side what the others take of the left one. A match group has the steps where the deciding side
 * has anything.
 */
#include "core/promql/run/ql_aggr.h"
#include "core/promql/run/ql_nodes.h"

enum set_phase {
	SET_GATHER, /* the deciding side's presence into the groups */
	SET_FILTER, /* the other side */
	SET_JOIN,   /* or: both together */
	SET_TIDY
};
struct setop {
	struct ql_vec l, r;
	struct ql_names names;
	struct ql_tab groups;
	uint64_t **present; /* per group: steps where the deciding side is there */
	struct buf scratch;
	enum set_phase phase;
	uint32_t pos, step;
};

static void setop_release(void *arg)
{
	struct setop *s = arg;
	buf_release(&s->scratch);
}

static void set_enter(struct setop *s, enum set_phase phase)
{
	s->phase = phase;
	s->pos = s->step = 0;
}

static struct setop *set_start(struct ql_run *x, struct ql_pn *pn)
{
	const struct ql_node *n = pn->ast;
	struct setop *s = pn->state = arena_zalloc(x->arena, sizeof(*s));
	uint32_t most;

	s->l = pn->arg[0]->vec;
	s->r = pn->arg[1]->vec;
	s->names = ql_aggr_names(x->arena, n->bin.labels, n->bin.labels_count, !n->bin.on);
	buf_init(&s->scratch);
	ql_run_at_end(x, setop_release, s);
	/* Only the deciding side makes groups that matter. */
	most = n->bin.op == QL_OR ? s->l.count : s->r.count;
	x->err = ql_room(&x->budget, (uint64_t)most * sizeof(*s->present), x->eb);
	if (x->err || !ql_run_tab(x, &s->groups, most))
		return NULL;
	s->present = arena_array(x->arena, (size_t)most + 1, sizeof(*s->present));
	return s;
}

static struct labels set_key(const struct ql_pn *pn, struct setop *s, struct labels ls)
{
	struct labels none = { 0 };
	if (pn->ast->bin.on && !s->names.count)
		return none;
	return ql_labels_pick(&s->scratch, ls, &s->names, pn->ast->bin.on);
}

static enum ql_did set_gather(
    struct ql_run *x, const struct ql_pn *pn, struct setop *s, const struct ql_col *c)
{
	struct labels key = set_key(pn, s, c->ls);
	uint32_t words = ql_words(pn->grid.n);
	bool fresh;
	uint32_t g = ql_tab_add(&s->groups, key, label_hash(key), true, &fresh);

	if (fresh) {
		x->err = ql_room(&x->budget, (uint64_t)words * sizeof(uint64_t), x->eb);
		if (x->err)
			return QL_FAILED;
		s->present[g] = arena_zalloc(x->arena, words * sizeof(uint64_t));
	}
	for (uint32_t w = 0; w < words; w++)
		s->present[g][w] |= ql_col_word(c, w);
	return QL_DONE;
}

/* Takes away the steps of mask, or all others. */
static void filter_part(
    struct ql_col *c, const uint64_t *mask, bool keep, uint32_t from, uint32_t count)
{
	for (uint32_t w = from / 64; w < from / 64 + ql_words(count); w++) {
		uint64_t gone = keep ? ~mask[w] : mask[w];
		if (UNLIKELY(c->hists != NULL))
			ql_hists_off(c->hists, w, gone);
		gone &= c->has[w];
		c->has[w] &= ~gone;
		for (; gone; gone &= gone - 1)
			c->v[w * 64 + (uint32_t)__builtin_ctzll(gone)] = 0;
	}
}

static void filter_all(struct ql_col *c, bool keep, uint32_t from, uint32_t count)
{
	if (!keep)
		return;
	for (uint32_t w = from / 64; w < from / 64 + ql_words(count); w++)
		c->has[w] = 0;
	for (uint32_t i = from; i < from + count; i++)
		c->v[i] = 0;
	for (uint32_t w = from / 64; c->hists && w < from / 64 + ql_words(count); w++)
		ql_hists_off(c->hists, w, ~(uint64_t)0);
}

static enum ql_did set_filter(
    struct ql_run *x, const struct ql_pn *pn, struct setop *s, struct ql_col *c)
{
	struct labels key = set_key(pn, s, c->ls);
	uint32_t g = ql_tab_find(&s->groups, key, label_hash(key)), n = pn->grid.n;
	bool keep = pn->ast->bin.op == QL_AND;

	while (s->step < n) {
		uint32_t count = ql_part(s->step, n);
		if (g == QL_TAB_NONE)
			filter_all(c, keep, s->step, count);
		else
			filter_part(c, s->present[g], keep, s->step, count);
		s->step += count;
		if (ql_tick(x, 96 + count / 4) && s->step < n)
			return QL_AGAIN;
	}
	s->step = 0;
	return QL_DONE;
}

static enum ql_did set_one(struct ql_run *x, struct ql_pn *pn, struct setop *s)
{
	bool is_or = pn->ast->bin.op == QL_OR;

	switch (s->phase) {
	case SET_GATHER:
		return set_gather(x, pn, s, is_or ? &s->l.cols[s->pos] : &s->r.cols[s->pos]);
	case SET_FILTER:
		return set_filter(x, pn, s, is_or ? &s->r.cols[s->pos] : &s->l.cols[s->pos]);
	case SET_JOIN:
		*ql_vec_add(x->arena, &pn->vec) =
		    s->pos < s->l.count ? s->l.cols[s->pos] : s->r.cols[s->pos - s->l.count];
		return QL_DONE;
	case SET_TIDY:
		break;
	}
	return QL_DONE;
}

static uint32_t set_count(const struct ql_pn *pn, const struct setop *s)
{
	bool is_or = pn->ast->bin.op == QL_OR;

	switch (s->phase) {
	case SET_GATHER:
		return is_or ? s->l.count : s->r.count;
	case SET_FILTER:
		return is_or ? s->r.count : s->l.count;
	case SET_JOIN:
		return s->l.count + s->r.count;
	case SET_TIDY:
		break;
	}
	return 0;
}

static enum ql_did set_next(struct ql_run *x, struct ql_pn *pn, struct setop *s)
{
	switch (s->phase) {
	case SET_GATHER:
		set_enter(s, SET_FILTER);
		break;
	case SET_FILTER:
		if (pn->ast->bin.op != QL_OR) {
			pn->vec = s->l;
			set_enter(s, SET_TIDY);
			break;
		}
		if (!ql_run_reserve(x, &pn->vec, s->l.count + s->r.count))
			return QL_FAILED;
		set_enter(s, SET_JOIN);
		break;
	case SET_JOIN:
		set_enter(s, SET_TIDY);
		break;
	case SET_TIDY:
		break;
	}
	return QL_DONE;
}

/* "or" may bring equal labels together: fine at different steps. */
static enum ql_equal set_equal(const struct ql_run *x, const struct ql_pn *pn)
{
	if (pn->ast->bin.op != QL_OR)
		return QL_EQUAL_NONE;
	return pn->grid.n == 1 ? ql_run_equal(x, QL_EQUAL_JOINS) : QL_EQUAL_JOINS;
}

enum ql_did ql_set_run(struct ql_run *x, struct ql_pn *pn)
{
	struct setop *s = pn->state;
	enum ql_did did;

	if (!s && !(s = set_start(x, pn)))
		return QL_FAILED;
	while (s->phase != SET_TIDY) {
		while (s->pos < set_count(pn, s)) {
			if ((did = set_one(x, pn, s)))
				return did;
			s->pos++;
			if (ql_tick(x, 96 + ql_words(pn->grid.n)))
				return QL_AGAIN;
		}
		if (set_next(x, pn, s))
			return QL_FAILED;
	}
	return ql_run_tidy(x, pn, set_equal(x, pn));
}
