#include "core/promql/run/ql_aggr.h"

#include "core/promql/run/ql_kernel.h"

#include <math.h>
#include <string.h>

void ql_aggr_init(struct ql_aggr *g, enum ql_agg op, struct ql_names names, bool without,
    uint32_t n, struct arena *a)
{
	*g = (struct ql_aggr){ .op = op, .names = names, .without = without, .n = n, .arena = a };
	ql_tab_init(&g->tab, a);
	buf_init(&g->_scratch);
}

void ql_aggr_release(struct ql_aggr *g)
{
	buf_release(&g->_scratch);
}

uint32_t ql_aggr_group_of(struct ql_tab *tab, const struct ql_names *names, bool without,
    struct labels ls, struct buf *scratch, bool *fresh)
{
	struct labels key = { 0 };
	if (without || names->count)
		key = ql_labels_pick(scratch, ls, names, !without);
	return ql_tab_add(tab, key, label_hash(key), true, fresh);
}

unsigned ql_aggr_arrays(enum ql_agg op)
{
	switch (op) {
	case QL_SUM:
		return 2;
	case QL_AVG:
	case QL_STDDEV:
	case QL_STDVAR:
		return 3;
	case QL_COUNT:
	case QL_MIN:
	case QL_MAX:
	case QL_GROUP:
		return 1;
	case QL_TOPK:
	case QL_BOTTOMK:
	case QL_COUNT_VALUES:
	case QL_QUANTILE:
	case QL_LIMITK:
	case QL_LIMIT_RATIO:
		break;
	}
	return 0;
}

static struct ql_aggr_group *group_at(const struct ql_aggr *g, uint32_t i)
{
	return &g->_pages[i / QL_AGGR_PAGE][i % QL_AGGR_PAGE];
}

/* Room for group at, the next one. Groups do not move: only the table of their pages grows. */
static struct ql_aggr_group *group_new(struct ql_aggr *g, uint32_t at)
{
	uint32_t page = at / QL_AGGR_PAGE;

	if (page >= g->_pages_cap) {
		uint32_t cap = page ? page * 2 : 4;
		struct ql_aggr_group **pages =
		    arena_array(g->arena, cap, sizeof(struct ql_aggr_group *));
		if (page)
			memcpy(pages, g->_pages, page * sizeof(*pages));
		g->_pages = pages;
		g->_pages_cap = cap;
	}
	if (at % QL_AGGR_PAGE == 0)
		g->_pages[page] = arena_array(g->arena, QL_AGGR_PAGE, sizeof(struct ql_aggr_group));
	return group_at(g, at);
}

/* The memory of a group; group_clear makes it one. */
static void group_init(struct ql_aggr *g, struct ql_aggr_group *gr)
{
	unsigned k = ql_aggr_arrays(g->op);
	size_t words = ql_words(g->n);
	uint64_t *mem = arena_alloc(g->arena, (words * 2 + (size_t)g->n * k) * 8);
	double *v = (double *)(mem + 2 * words);

	*gr = (struct ql_aggr_group){
		.has = mem,
		.mean = mem + words,
		.a = v,
		.b = k > 1 ? v + g->n : NULL,
		.c = k > 2 ? v + 2 * (size_t)g->n : NULL,
	};
}

/* n steps of a group, or of a part of it, as they are before the first column. */
static void group_clear(const struct ql_aggr *g, struct ql_aggr_group *gr, uint32_t n)
{
	/* -0 + x is x for every x. */
	double none = g->op == QL_MIN || g->op == QL_MAX ? (double)NAN
	    : g->op == QL_SUM || g->op == QL_AVG         ? -0.0
	                                                 : 0;

	memset(gr->has, 0, ql_words(n) * sizeof(*gr->has));
	memset(gr->mean, 0, ql_words(n) * sizeof(*gr->mean));
	for (uint32_t i = 0; i < n; i++)
		gr->a[i] = none;
	if (gr->b)
		memset(gr->b, 0, n * sizeof(*gr->b));
	if (gr->c)
		memset(gr->c, 0, n * sizeof(*gr->c));
}

/* The group from a step on. */
static struct ql_aggr_group group_from(const struct ql_aggr_group *gr, uint32_t step)
{
	struct ql_aggr_group part = *gr;

	part.has += step / 64;
	part.mean += step / 64;
	part.a += step;
	if (part.b)
		part.b += step;
	if (part.c)
		part.c += step;
	return part;
}

/* --- adding columns --- */

static void avg_step(struct ql_aggr_group *gr, uint32_t i, double x)
{
	double count = gr->c[i] += 1;
	if (count == 1) {
		gr->a[i] = x;
		return;
	}
	if (!ql_bit(gr->mean, i)) {
		double s = gr->a[i], sc = gr->b[i];
		ql_kahan(x, &s, &sc);
		if (!isinf(s)) {
			gr->a[i] = s;
			gr->b[i] = sc;
			return;
		}
		ql_bit_on(gr->mean, i);
		gr->any_mean = true;
		gr->a[i] /= count - 1;
		gr->b[i] /= count - 1;
	}
	double q = (count - 1) / count;
	gr->a[i] *= q;
	gr->b[i] *= q;
	ql_kahan(x / count, &gr->a[i], &gr->b[i]);
}

static void add_count(double *c, const uint64_t *has, uint32_t n)
{
	for (uint32_t w = 0; w < n / 64; w++) {
		double *p = c + (size_t)w * 64;
		uint64_t m = has[w];
		if (m == ~(uint64_t)0)
			for (unsigned k = 0; k < 64; k++)
				p[k] += 1;
		else
			for (unsigned k = 0; k < 64; k++)
				p[k] += (double)(m >> k & 1);
	}
	for (uint32_t i = n / 64 * 64; i < n; i++)
		c[i] += (double)(has[i >> 6] >> (i & 63) & 1);
}

static void add_avg(struct ql_aggr_group *gr, const struct ql_col *col, uint32_t n)
{
	if (!gr->any_mean && ql_kernel_add_finite(gr->a, gr->b, col->v, n)) {
		add_count(gr->c, col->has, n);
		return;
	}
	QL_EACH_BIT(i, col->has, n)
	avg_step(gr, i, col->v[i]);
}

static void add_extreme(struct ql_aggr_group *gr, const struct ql_col *col, uint32_t n, bool max)
{
	for (uint32_t w = 0; w < ql_words(n); w++) {
		uint64_t m = col->has[w];
		uint32_t end = n < w * 64 + 64 ? n : w * 64 + 64;
		for (uint32_t i = w * 64; i < end; i++) {
			double x = col->v[i], a = gr->a[i];
			bool take = (max ? a < x : a > x) || a != a;
			gr->a[i] = take && (m >> (i & 63) & 1) ? x : a;
		}
	}
}

static void add_deviation(struct ql_aggr_group *gr, const struct ql_col *col, uint32_t n)
{
	QL_EACH_BIT(i, col->has, n)
	{
		double x = col->v[i], count = gr->c[i] += 1;
		if (count == 1) {
			gr->b[i] = x;
			gr->a[i] = isfinite(x) ? 0 : (double)NAN;
		} else {
			double delta = x - gr->b[i];
			gr->b[i] += delta / count;
			gr->a[i] += delta * (x - gr->b[i]);
		}
	}
}

static void group_add(
    const struct ql_aggr *g, struct ql_aggr_group *gr, const struct ql_col *col, uint32_t n)
{
	switch (g->op) {
	case QL_SUM:
		ql_kernel_add(gr->a, gr->b, col->v, n);
		break;
	case QL_AVG:
		add_avg(gr, col, n);
		break;
	case QL_COUNT:
		add_count(gr->a, col->has, n);
		break;
	case QL_MIN:
	case QL_MAX:
		add_extreme(gr, col, n, g->op == QL_MAX);
		break;
	case QL_STDDEV:
	case QL_STDVAR:
		add_deviation(gr, col, n);
		break;
	case QL_GROUP:
	case QL_TOPK:
	case QL_BOTTOMK:
	case QL_COUNT_VALUES:
	case QL_QUANTILE:
	case QL_LIMITK:
	case QL_LIMIT_RATIO:
		break;
	}
	for (uint32_t w = 0; w < ql_words(n); w++)
		gr->has[w] |= col->has[w];
	gr->drop_name |= col->drop_name;
}

/* The column's group, a new one where there is none. */
static enum err add_begin(
    struct ql_aggr *g, const struct ql_col *col, struct ql_budget *b, struct errbuf *eb)
{
	g->_group =
	    ql_aggr_group_of(&g->tab, &g->names, g->without, col->ls, &g->_scratch, &g->_fresh);
	if (!g->_fresh)
		return ERR_OK;
	enum err e = ql_charge(b, (uint64_t)g->n * ql_aggr_arrays(g->op), eb);
	if (!e)
		group_init(g, group_new(g, g->_group));
	return e;
}

/* A part of a long column; false when it was the last. */
static bool add_part(struct ql_aggr *g, const struct ql_col *col)
{
	struct ql_aggr_group *gr = group_at(g, g->_group), part = group_from(gr, g->_step);
	uint32_t n = ql_aggr_part(g->n - g->_step);
	struct ql_col from = *col;

	from.has += g->_step / 64;
	from.v += g->_step;
	if (g->_fresh)
		group_clear(g, &part, n);
	group_add(g, &part, &from, n);
	gr->any_mean = part.any_mean;
	gr->drop_name = part.drop_name;
	g->_busy = g->_step + n < g->n;
	g->_step = g->_busy ? g->_step + n : 0;
	return g->_busy;
}

/* Behind its floats the column's histograms, in parts of their own. */
static enum err add_hists(
    struct ql_aggr *g, const struct ql_col *col, bool *more, struct ql_budget *b, struct errbuf *eb)
{
	enum err e = ql_aggr_hists_add(g, group_at(g, g->_group), col, more, b, eb);
	g->_in_hists = *more;
	return e;
}

enum err ql_aggr_add(
    struct ql_aggr *g, const struct ql_col *col, bool *more, struct ql_budget *b, struct errbuf *eb)
{
	*more = false;
	if (UNLIKELY(g->_in_hists))
		return add_hists(g, col, more, b, eb);
	if (!g->_busy) {
		enum err e = add_begin(g, col, b, eb);
		if (e)
			return e;
	}
	if (UNLIKELY(g->n > QL_AGGR_PART)) {
		*more = add_part(g, col);
	} else {
		struct ql_aggr_group *gr = group_at(g, g->_group);
		if (g->_fresh)
			group_clear(g, gr, g->n);
		group_add(g, gr, col, g->n);
	}
	if (UNLIKELY(col->hists != NULL) && !*more)
		return add_hists(g, col, more, b, eb);
	return ERR_OK;
}

/* --- partial groups --- */

static void to_mean(double *a, double *b, double count)
{
	*a /= count;
	*b /= count;
}

static void merge_avg(struct ql_aggr_group *to, const struct ql_aggr_group *from, uint32_t i)
{
	double count = to->c[i] + from->c[i], s = to->a[i], sc = to->b[i];
	double fa = from->a[i], fb = from->b[i];
	bool to_is = ql_bit(to->mean, i), from_is = ql_bit(from->mean, i);

	if (!to_is && !from_is) {
		ql_kahan(fa, &s, &sc);
		if (!isinf(s)) {
			to->a[i] = s;
			to->b[i] = sc + fb;
			to->c[i] = count;
			return;
		}
	}
	if (!to_is)
		to_mean(&to->a[i], &to->b[i], to->c[i]);
	if (!from_is)
		to_mean(&fa, &fb, from->c[i]);
	ql_bit_on(to->mean, i);
	to->any_mean = true;
	double q = to->c[i] / count, p = from->c[i] / count;
	to->a[i] *= q;
	to->b[i] *= q;
	ql_kahan(fa * p, &to->a[i], &to->b[i]);
	to->b[i] += fb * p;
	to->c[i] = count;
}

static void merge_deviation(struct ql_aggr_group *to, const struct ql_aggr_group *from, uint32_t i)
{
	double na = to->c[i], nb = from->c[i], n = na + nb, delta = from->b[i] - to->b[i];
	to->b[i] += delta * (nb / n);
	to->a[i] += from->a[i] + delta * delta * (na * nb / n);
	to->c[i] = n;
}

static void copy_step(
    const struct ql_aggr *g, struct ql_aggr_group *to, const struct ql_aggr_group *from, uint32_t i)
{
	unsigned k = ql_aggr_arrays(g->op);
	to->a[i] = from->a[i];
	if (k > 1)
		to->b[i] = from->b[i];
	if (k > 2)
		to->c[i] = from->c[i];
	if (ql_bit(from->mean, i))
		ql_bit_on(to->mean, i);
}

static void merge_step(
    const struct ql_aggr *g, struct ql_aggr_group *to, const struct ql_aggr_group *from, uint32_t i)
{
	switch (g->op) {
	case QL_SUM:
		ql_kahan(from->a[i], &to->a[i], &to->b[i]);
		if (!isinf(to->a[i]))
			to->b[i] += from->b[i];
		break;
	case QL_AVG:
		merge_avg(to, from, i);
		break;
	case QL_COUNT:
		to->a[i] += from->a[i];
		break;
	case QL_MIN:
		if (to->a[i] > from->a[i] || isnan(to->a[i]))
			to->a[i] = from->a[i];
		break;
	case QL_MAX:
		if (to->a[i] < from->a[i] || isnan(to->a[i]))
			to->a[i] = from->a[i];
		break;
	case QL_STDDEV:
	case QL_STDVAR:
		merge_deviation(to, from, i);
		break;
	case QL_GROUP:
	case QL_TOPK:
	case QL_BOTTOMK:
	case QL_COUNT_VALUES:
	case QL_QUANTILE:
	case QL_LIMITK:
	case QL_LIMIT_RATIO:
		break;
	}
}

/* Group k of the other: a new one as it is, else where it goes. */
static enum err merge_begin(struct ql_aggr *g, const struct ql_aggr *from, uint32_t k, uint32_t *at,
    bool *fresh, struct ql_budget *b, struct errbuf *eb)
{
	const struct ql_tab_key *key = ql_tab_key(&from->tab, k);

	*at = ql_tab_add(&g->tab, key->ls, key->hash, false, fresh);
	if (!*fresh)
		return ERR_OK;
	enum err e = ql_charge(b, g->n, eb);
	if (!e)
		*group_new(g, *at) = *group_at(from, k); /* its arrays are ours now */
	return e;
}

static void merge_steps(
    const struct ql_aggr *g, struct ql_aggr_group *to, const struct ql_aggr_group *from, uint32_t n)
{
	QL_EACH_BIT(i, from->has, n)
	{
		if (ql_bit(to->has, i))
			merge_step(g, to, from, i);
		else
			copy_step(g, to, from, i);
	}
	for (uint32_t w = 0; w < ql_words(n); w++)
		to->has[w] |= from->has[w];
	to->drop_name |= from->drop_name;
	to->any_mean |= from->any_mean;
}

enum err ql_aggr_merge(struct ql_aggr *g, const struct ql_aggr *from, bool *more,
    struct ql_budget *b, struct errbuf *eb)
{
	uint32_t work = 0, at;
	bool fresh;

	*more = false;
	while (g->_merged < from->tab.count && work < QL_AGGR_PART) {
		uint32_t n = ql_aggr_part(g->n - g->_step);
		enum err e = merge_begin(g, from, g->_merged, &at, &fresh, b, eb);
		if (e)
			return e;
		work += 64;
		if (!fresh) {
			struct ql_aggr_group *gr = group_at(g, at), to = group_from(gr, g->_step);
			struct ql_aggr_group part = group_from(group_at(from, g->_merged), g->_step);
			merge_steps(g, &to, &part, n);
			gr->drop_name = to.drop_name;
			gr->any_mean = to.any_mean;
			work += n;
			g->_step += n;
		}
		if (fresh || g->_step == g->n) {
			bool rest = false;
			const struct ql_aggr_group *other = group_at(from, g->_merged);
			if (UNLIKELY(!fresh && other->hists))
				e = ql_aggr_hists_merge(g, group_at(g, at), other, &rest, b, eb);
			if (e || rest) {
				*more = rest;
				return e;
			}
			g->_step = 0;
			g->_merged++;
		}
	}
	*more = g->_merged < from->tab.count;
	if (!*more)
		g->_merged = 0;
	return ERR_OK;
}

/* --- results --- */

static double group_value(const struct ql_aggr *g, const struct ql_aggr_group *gr, uint32_t i)
{
	switch (g->op) {
	case QL_SUM:
		return gr->a[i] + gr->b[i];
	case QL_AVG:
		if (ql_bit(gr->mean, i))
			return gr->a[i] + gr->b[i];
		return ql_kahan_mean(gr->a[i], gr->b[i], gr->c[i]);
	case QL_GROUP:
		return 1;
	case QL_STDVAR:
		return gr->a[i] / gr->c[i];
	case QL_STDDEV:
		return sqrt(gr->a[i] / gr->c[i]);
	case QL_COUNT:
	case QL_MIN:
	case QL_MAX:
	case QL_TOPK:
	case QL_BOTTOMK:
	case QL_COUNT_VALUES:
	case QL_QUANTILE:
	case QL_LIMITK:
	case QL_LIMIT_RATIO:
		break;
	}
	return gr->a[i];
}

bool ql_aggr_finish(struct ql_aggr *g, uint32_t i, struct ql_col *out)
{
	struct ql_aggr_group *gr = group_at(g, i);
	uint32_t end = g->_step + ql_aggr_part(g->n - g->_step);

	for (uint32_t k = g->_step; k < end; k++)
		gr->a[k] = ql_bit(gr->has, k) ? group_value(g, gr, k) : 0;
	g->_step = end;
	if (end < g->n || (UNLIKELY(gr->hists != NULL) && ql_aggr_hists_finish(g, gr, out)))
		return true;
	g->_step = 0;
	*out = (struct ql_col){
		.ls = ql_tab_key(&g->tab, i)->ls,
		.hash = ql_tab_key(&g->tab, i)->hash,
		.has = gr->has,
		.v = gr->a,
		.hists = gr->hists ? gr->hists->out : NULL,
		.drop_name = gr->drop_name,
	};
	return false;
}

size_t ql_aggr_bytes(const struct ql_aggr *g)
{
	size_t per = (size_t)ql_words(g->n) * 16 + (size_t)g->n * ql_aggr_arrays(g->op) * 8 +
	    sizeof(struct ql_aggr_group) + sizeof(struct ql_tab_key);
	size_t sum = g->tab.count * per;
	for (uint32_t i = 0; i < g->tab.count; i++)
		sum += ql_tab_key(&g->tab, i)->ls.len;
	return sum;
}
