/*
 * quantile: of the values that a group has at a step.
 *
 * A group's columns are gone through once for a block of 8 steps (a cache line of values): their
 * values are gathered by step, then the one or two of the wanted rank are selected. Few values are
 * sorted; of many only the part that holds the rank is looked at again, in slices.
 */
#include "core/promql/run/ql_members.h"
#include "core/promql/run/ql_nodes.h"
#include "core/promql/run/ql_range_priv.h"

#include <math.h>

#define BLOCK         8
#define TOP           16   /* so many of the largest are kept while the values are looked at once */
#define TOP_COUNT     4096 /* of so many values at most */
#define SORT_MAX      64   /* so many values are sorted */
#define SAMPLE        33   /* values of which one is the pivot */
#define SAMPLE_MARGIN 3
#define SPLIT_CHECK   2048 /* values between looks at the clock */

enum quant_phase {
	QUANT_PARAM,
	QUANT_GROUPS,
	QUANT_COLUMNS,
	QUANT_GATHER,
	QUANT_SELECT,
	QUANT_TIDY
};
enum select_phase {
	SELECT_NANS,  /* they come first in the order */
	SELECT_SPLIT, /* around a value, until the part with the rank is small */
	SELECT_DONE
};
/* Looks for the value of rank among v[0 .. count - 1]; afterwards none to its right is smaller. */
struct selection {
	enum select_phase phase;
	double *v;
	uint32_t rank, count;
	uint32_t lo, hi;   /* the part that holds the rank, both ends in it */
	uint32_t i, j;     /* while it is split */
	bool split, equal; /* around the pivot; it is looked for what equals it */
	double pivot;
	uint64_t random;
};
struct quant {
	enum quant_phase phase;
	struct ql_extent param;
	struct ql_members m;
	uint32_t group, step, count, at; /* the block, and the member or step at hand */
	double *values;                  /* BLOCK rows, as long as the largest group */
	uint32_t have[BLOCK];
	struct selection s;
};

/* --- selection --- */

static void swap_values(double *v, uint32_t i, uint32_t j)
{
	double tmp = v[i];
	v[i] = v[j];
	v[j] = tmp;
}

/*
 * A value of the part that is a little beyond the one looked for, seen from the longer end, so that
 * little is left to look at: of some chosen by chance, as no order of the values is a bad one then.
 */
static void pick_pivot(struct selection *s)
{
	double some[SAMPLE], place = (double)(s->rank - s->lo) / (s->hi - s->lo) * (SAMPLE - 1);
	int at =
	    (int)(place < (SAMPLE - 1) / 2.0 ? place + SAMPLE_MARGIN : place - SAMPLE_MARGIN + 1);

	for (unsigned i = 0; i < SAMPLE; i++) {
		s->random = s->random * 6364136223846793005u + 1442695040888963407u;
		some[i] = s->v[s->lo + (uint32_t)((s->random >> 32) % (s->hi - s->lo + 1))];
	}
	ql_sort_doubles(some, SAMPLE);
	s->pivot = some[at];
	s->i = s->j = s->lo;
	s->split = true;
}

/*
 * Some of the part from i on: values below the pivot (with: not above it) go to the left, up to j.
 * Without branches, as nobody can foretell them.
 */
static void split_some(struct selection *s, bool with, uint32_t most)
{
	double *v = s->v, pivot = s->pivot;
	uint32_t end = s->hi - s->i < most ? s->hi + 1 : s->i + most, j = s->j;

	if (with)
		for (uint32_t i = s->i; i < end; i++) {
			double x = v[i];
			v[i] = v[j];
			v[j] = x;
			j += x <= pivot;
		}
	else
		for (uint32_t i = s->i; i < end; i++) {
			double x = v[i];
			v[i] = v[j];
			v[j] = x;
			j += x < pivot;
		}
	s->i = end;
	s->j = j;
}

/* False when the slice ended. */
static bool split_part(struct ql_run *x, struct selection *s, bool with)
{
	while (s->i <= s->hi) {
		split_some(s, with, SPLIT_CHECK);
		if (ql_tick(x, SPLIT_CHECK / 2) && s->i <= s->hi)
			return false;
	}
	return true;
}

/* The part that holds the rank becomes smaller, or it is found. False when the slice ended. */
static bool split_once(struct ql_run *x, struct selection *s)
{
	if (!s->split)
		pick_pivot(s);
	if (!s->equal) {
		if (!split_part(x, s, false))
			return false;
		if (s->rank < s->j) {
			s->hi = s->j - 1;
			s->split = false;
			return true;
		}
		/* Of the others those that are the pivot: they may be all. */
		s->lo = s->i = s->j;
		s->equal = true;
	}
	if (!split_part(x, s, true))
		return false;
	if (s->rank < s->j)
		s->phase = SELECT_DONE;
	s->lo = s->j;
	s->split = s->equal = false;
	return true;
}

static void nans_first(struct selection *s)
{
	uint32_t nans = 0;

	for (uint32_t i = 0; i < s->count; i++)
		if (isnan(s->v[i]))
			swap_values(s->v, nans++, i);
	s->lo = nans;
	s->hi = s->count - 1;
}

/* True when it is selected; false when the slice ended. */
static bool selection_run(struct ql_run *x, struct selection *s)
{
	if (s->phase == SELECT_NANS) {
		nans_first(s);
		s->phase = s->rank < s->lo ? SELECT_DONE : SELECT_SPLIT;
	}
	while (s->phase == SELECT_SPLIT) {
		if (s->hi - s->lo < SORT_MAX) {
			ql_sort_doubles(s->v + s->lo, s->hi - s->lo + 1);
			s->phase = SELECT_DONE;
			break;
		}
		if (!split_once(x, s) || ql_tick(x, 64))
			return false;
	}
	return true;
}

/* --- the largest --- */

/* v takes the place of the least of the k kept, which ascend; NaN is less than any number. */
static void top_put(double *top, uint32_t k, double v)
{
	uint32_t i = 1;

	for (; i < k && !(top[i] >= v); i++)
		top[i - 1] = top[i];
	top[i - 1] = v;
}

/* The largest k of the values, ascending. */
static void top_find(double *top, uint32_t k, const double *v, uint32_t count)
{
	for (uint32_t i = 0; i < k; i++)
		top[i] = NAN;
	for (uint32_t i = 0; i < count; i++)
		if (UNLIKELY(!(v[i] <= top[0])) && !isnan(v[i]))
			top_put(top, k, v[i]);
}

/* A quantile near the upper end needs no order of what is below; false: this one does. */
static bool quantile_top(double q, const double *v, uint32_t count, double *out)
{
	SCRATCH double top[TOP];
	struct ql_between b;

	if (count > TOP_COUNT || !ql_quantile_place(q, count, &b, out) || count - b.lower > TOP)
		return false;
	top_find(top, count - b.lower, v, count);
	*out = ql_quantile_mix(&b, top[0], top[b.upper - b.lower]);
	return true;
}

/* --- a step --- */

static double least_from(const double *v, uint32_t from, uint32_t count)
{
	double least = v[from];
	for (uint32_t i = from + 1; i < count; i++)
		least = v[i] < least ? v[i] : least;
	return least;
}

/* As ql_quantile, of values in any order; false when the slice ended. */
static bool quantile_many(
    struct ql_run *x, struct quant *s, double q, double *v, uint32_t count, double *out)
{
	double n = count, rank = q * (n - 1);
	double lower = fmax(0, floor(rank)), weight = rank - floor(rank);
	uint32_t at = (uint32_t)lower;

	if (!s->s.v)
		s->s = (struct selection){ .v = v, .rank = at, .count = count, .random = count };
	if (!selection_run(x, &s->s))
		return false;
	/* Both terms always: an infinite neighbour gives NaN even at weight 0. */
	double above = isnan(v[at]) || at + 1 == count ? v[at] : least_from(v, at + 1, count);
	*out = v[at] * (1 - weight) + above * weight;
	s->s.v = NULL;
	return true;
}

static bool quantile_at(
    struct ql_run *x, struct quant *s, double q, double *v, uint32_t count, double *out)
{
	if (!s->s.v && quantile_top(q, v, count, out))
		return true;
	if (count > SORT_MAX && q >= 0 && q <= 1)
		return quantile_many(x, s, q, v, count, out);
	*out = ql_quantile(q, v, count);
	return true;
}

/* --- blocks --- */

static uint32_t group_size(const struct quant *s)
{
	return s->m.from[s->group + 1] - s->m.from[s->group];
}

/* One member's values of the block. */
static void gather(struct quant *s, uint64_t bits, const double *v)
{
	double *to = s->values;

	if (LIKELY(bits == ((uint64_t)1 << BLOCK) - 1)) {
		for (uint32_t i = 0; i < BLOCK; i++, to += s->m.largest)
			to[s->have[i]++] = v[i];
		return;
	}
	for (; bits; bits &= bits - 1) {
		uint32_t i = (uint32_t)__builtin_ctzll(bits);
		to[(size_t)i * s->m.largest + s->have[i]++] = v[i];
	}
}

static bool quantile_gather(
    struct ql_run *x, struct ql_pn *pn, struct quant *s, const struct ql_vec *v)
{
	struct ql_col *to = &pn->vec.cols[s->group];

	while (s->at < group_size(s)) {
		const struct ql_col *c = &v->cols[s->m.col[s->m.from[s->group] + s->at++]];
		uint64_t bits = c->has[s->step / 64] >> (s->step % 64);
		bits &= ((uint64_t)1 << s->count) - 1;
		if (UNLIKELY(c->hists != NULL) && c->hists->has[s->step / 64])
			ql_notes_left_out(&x->notes, ql_bare_pos(pn->ast->agg.expr), "quantile");
		to->drop_name |= bits && c->drop_name;
		gather(s, bits, c->v + s->step);
		if (ql_tick(x, 8))
			return false;
	}
	return true;
}

static bool quantile_select(
    struct ql_run *x, struct ql_pn *pn, struct quant *s, const struct ql_scalar *q)
{
	struct ql_col *to = &pn->vec.cols[s->group];

	while (s->at < s->count) {
		uint32_t i = s->at, step = s->step + i;
		double *v = s->values + (size_t)i * s->m.largest;
		if (s->have[i]) {
			if (!quantile_at(x, s, ql_scalar_at(q, step), v, s->have[i], &to->v[step]))
				return false;
			ql_bit_on(to->has, step);
		}
		s->at++;
		if (ql_tick(x, (uint64_t)s->have[i] * 4))
			return false;
	}
	return true;
}

static void block_enter(struct ql_pn *pn, struct quant *s)
{
	s->count = pn->grid.n - s->step < BLOCK ? pn->grid.n - s->step : BLOCK;
	s->at = 0;
	for (uint32_t i = 0; i < BLOCK; i++)
		s->have[i] = 0;
	s->phase = s->group < s->m.groups ? QUANT_GATHER : QUANT_TIDY;
}

static void block_next(struct ql_pn *pn, struct quant *s)
{
	s->step += s->count;
	if (s->step == pn->grid.n) {
		s->step = 0;
		s->group++;
	}
	block_enter(pn, s);
}

/* --- the node --- */

static void quantile_warn(struct ql_run *x, const struct ql_pn *pn, double q)
{
	ql_notes_add(&x->notes, false, ql_bare_pos(pn->ast->agg.param),
	    "quantile value should be between 0 and 1, got %s", ql_fmt_g(x->arena, q));
}

static void quantile_warnings(struct ql_run *x, const struct ql_pn *pn, const struct ql_extent *p)
{
	if (p->nan)
		quantile_warn(x, pn, NAN);
	if (p->max > 1)
		quantile_warn(x, pn, p->max);
	if (p->min < 0)
		quantile_warn(x, pn, p->min);
}

static bool quantile_begin(struct ql_run *x, struct ql_pn *pn, struct quant *s)
{
	uint64_t values = (uint64_t)s->m.largest * (pn->grid.n < BLOCK ? pn->grid.n : BLOCK);

	x->err = ql_room(&x->budget, values * sizeof(*s->values), x->eb);
	if (x->err || !ql_run_reserve(x, &pn->vec, s->m.groups))
		return false;
	s->values = arena_array(x->arena, values + 1, sizeof(*s->values));
	s->phase = QUANT_COLUMNS;
	return true;
}

static enum ql_did quantile_columns(struct ql_run *x, struct ql_pn *pn, struct quant *s)
{
	while (pn->vec.count < s->m.groups) {
		if (!ql_run_col(x, &pn->vec, ql_tab_key(&s->m.tab, pn->vec.count)->ls, pn->grid.n))
			return QL_FAILED;
		if (ql_tick(x, 64 + pn->grid.n / 8))
			return QL_AGAIN;
	}
	block_enter(pn, s);
	return QL_DONE;
}

static enum ql_did quantile_phase(struct ql_run *x, struct ql_pn *pn, struct quant *s)
{
	const struct ql_vec *v = &pn->arg[0]->vec;
	const struct ql_scalar *q = &pn->arg[1]->scalar;

	switch (s->phase) {
	case QUANT_PARAM:
		if (!ql_extent_run(x, &s->param, q, pn->grid.n))
			return QL_AGAIN;
		quantile_warnings(x, pn, &s->param);
		if (!ql_members_init(x, &s->m, pn->ast, v->count))
			return QL_FAILED;
		s->phase = QUANT_GROUPS;
		return QL_DONE;
	case QUANT_GROUPS:
		if (!ql_members_run(x, &s->m, v))
			return QL_AGAIN;
		return quantile_begin(x, pn, s) ? QL_DONE : QL_FAILED;
	case QUANT_COLUMNS:
		return quantile_columns(x, pn, s);
	case QUANT_GATHER:
		if (!quantile_gather(x, pn, s, v))
			return QL_AGAIN;
		s->at = 0;
		s->phase = QUANT_SELECT;
		return QL_DONE;
	case QUANT_SELECT:
		if (!quantile_select(x, pn, s, q))
			return QL_AGAIN;
		block_next(pn, s);
		return QL_DONE;
	case QUANT_TIDY:
		break;
	}
	return QL_DONE;
}

enum ql_did ql_quantile_run(struct ql_run *x, struct ql_pn *pn)
{
	struct quant *s = pn->state;

	if (!s) {
		s = pn->state = arena_zalloc(x->arena, sizeof(*s));
		s->param = ql_extent_none();
	}
	while (s->phase != QUANT_TIDY) {
		enum ql_did did = quantile_phase(x, pn, s);
		if (did)
			return did;
	}
	return ql_run_tidy(x, pn, QL_EQUAL_NONE);
}
