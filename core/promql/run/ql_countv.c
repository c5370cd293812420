/*
 * count_values: how many series of a group have each value. A value of a group finds
 * its result column by a hash of both; labels are made once for it, when there is room for them.
 */
#include "core/promql/run/ql_aggr.h"
#include "core/promql/run/ql_nodes.h"

#include "core/base/hash.h"
#include "core/base/rune.h"
#include "core/model/histmath.h"

#include <string.h>

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
	struct buf scratch, print;
	struct arena text; /* one label set */
};

static const struct ql_str *label_param(const struct ql_node *ast)
{
	return &ql_skip_parens(ast->agg.param)->text;
}

static void countv_release(void *arg)
{
	struct countv *c = arg;
	buf_release(&c->scratch);
	buf_release(&c->print);
	arena_release(&c->text);
}

static struct countv_slot *countv_slot(struct countv *s, uint32_t group, uint64_t bits)
{
	uint32_t at = (uint32_t)hash_mix64(bits ^ hash_mix64(group)) & (s->slots_count - 1);

	while (s->slots[at].col && (s->slots[at].bits != bits || s->slots[at].group != group))
		at = (at + 1) & (s->slots_count - 1);
	return &s->slots[at];
}

/* Room for so many columns at least. */
static enum err countv_grow(struct ql_run *x, struct countv *s, uint32_t least)
{
	struct countv_slot *old = s->slots;
	uint32_t count = s->slots_count, more = count ? count * 2 : 256;

	while (more / 2 < least)
		more *= 2;
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

/* The result column of a group and a value's text: its number, or QL_TAB_NONE and x->err. */
static uint32_t countv_named(struct ql_run *x, struct ql_pn *pn, struct countv *s, uint32_t group,
    const char *text, size_t len)
{
	const struct ql_str *name = label_param(pn->ast);
	struct label_builder b;
	bool fresh;

	arena_reset(&s->text, 4096);
	label_builder_from(&b, &s->text, ql_tab_key(&s->groups, group)->ls);
	if (s->keeps_value)
		label_builder_set(&b, name->s, name->len, text, len);
	struct labels ls = label_builder_done(&b);
	if ((x->err = ql_room(&x->budget, ls.len, x->eb)))
		return QL_TAB_NONE;
	uint32_t at = ql_tab_add(&s->tab, ls, label_hash(ls), true, &fresh);
	if (fresh && !ql_run_col(x, &pn->vec, ql_tab_key(&s->tab, at)->ls, pn->grid.n))
		return QL_TAB_NONE;
	return at;
}

/* The labels of a result column are made once for a group and a value. False: x->err. */
static bool countv_make(
    struct ql_run *x, struct ql_pn *pn, struct countv *s, struct countv_slot *slot, double v)
{
	char text[NUM_FMT_MAX];
	size_t len = num_fmt_f(v, text);
	uint32_t at = countv_named(x, pn, s, slot->group, text, len);

	if (at == QL_TAB_NONE)
		return false;
	slot->col = at + 1;
	s->used++;
	return true;
}

/* The same of a histogram: its text is its value. */
static struct ql_col *countv_hist(
    struct ql_run *x, struct ql_pn *pn, struct countv *s, uint32_t group, const struct hist *h)
{
	buf_clear(&s->print);
	hist_print(h, &s->print);
	uint32_t at = countv_named(x, pn, s, group, (const char *)s->print.data, s->print.len);
	return at == QL_TAB_NONE ? NULL : &pn->vec.cols[at];
}

/* The result column of a value in a group; NULL: x->err. */
static struct ql_col *countv_column(
    struct ql_run *x, struct ql_pn *pn, struct countv *s, uint32_t group, double v, bool *made)
{
	if (s->used >= s->slots_count / 2 && (x->err = countv_grow(x, s, 0)))
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
	if (ast->agg.without && label_is_metric_name(name->s, name->len))
		s->keeps_value = false;
}

static enum ql_did countv_start(struct ql_run *x, struct ql_pn *pn)
{
	const struct ql_str *name = label_param(pn->ast);
	struct countv *s = pn->state = arena_zalloc(x->arena, sizeof(*s));

	buf_init(&s->scratch);
	buf_init(&s->print);
	arena_init(&s->text, 4096);
	ql_run_at_end(x, countv_release, s);
	if (!name->len || !rune_valid(name->s, name->len))
		return ql_failf(x, "invalid label name %s", ql_fmt_q(x->arena, name->s, name->len));
	/* As if each series had one value of its own: then nothing has to grow while it runs. */
	uint32_t columns = pn->arg[0]->vec.count;
	if (!ql_run_tab(x, &s->tab, columns) || !ql_run_tab(x, &s->groups, columns) ||
	    !ql_run_reserve(x, &pn->vec, columns) || (x->err = countv_grow(x, s, columns)))
		return QL_FAILED;
	countv_names(x, s, pn->ast);
	return QL_DONE;
}

static enum ql_did countv_hists(struct ql_run *x, struct ql_pn *pn, struct countv *s,
    uint32_t group, const struct hist *h, uint32_t step)
{
	struct ql_col *to = countv_hist(x, pn, s, group, h);

	if (!to)
		return QL_FAILED;
	to->v[step] += 1;
	ql_bit_on(to->has, step);
	return ql_tick(x, 1024 + 8 * hist_cost(h)) ? QL_AGAIN : QL_DONE;
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
		if (!ql_bit(c->has, i)) {
			if (LIKELY(!c->hists || !ql_bit(c->hists->has, i)))
				continue;
			enum ql_did did = countv_hists(x, pn, s, group, c->hists->h[i], i);
			if (did)
				return did;
			to = NULL;
			continue;
		}
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
