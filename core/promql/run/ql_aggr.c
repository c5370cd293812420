#include "core/promql/run/ql_aggr.h"

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

static unsigned arrays_of(enum ql_agg op)
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

static void group_slot(struct ql_aggr *g, uint32_t at)
{
	if (at < g->_cap)
		return;
	uint32_t cap = g->_cap ? g->_cap * 2 : 16;
	struct ql_aggr_group *groups = arena_array(g->arena, cap, sizeof(*groups));
	if (at)
		memcpy(groups, g->groups, at * sizeof(*groups));
	g->groups = groups;
	g->_cap = cap;
}

static void group_init(struct ql_aggr *g, struct ql_aggr_group *gr)
{
	unsigned k = arrays_of(g->op);
	size_t words = ql_words(g->n);
	uint64_t *mem = arena_zalloc(g->arena, (words * 2 + (size_t)g->n * k) * 8);
	double *v = (double *)(mem + 2 * words);

	*gr = (struct ql_aggr_group){
		.has = mem,
		.mean = mem + words,
		.a = v,
		.b = k > 1 ? v + g->n : NULL,
		.c = k > 2 ? v + 2 * (size_t)g->n : NULL,
	};
	if (g->op == QL_MIN || g->op == QL_MAX)
		for (uint32_t i = 0; i < g->n; i++)
			gr->a[i] = NAN;
	if (g->op == QL_SUM || g->op == QL_AVG)
		for (uint32_t i = 0; i < g->n; i++)
			gr->a[i] = -0.0; /* -0 + x is x for every x */
}

/* --- adding columns --- */

/* Kahan-Neumaier without branches, so that it becomes vector code; x = 0 changes nothing. */
__attribute__((optimize("O3"))) static void add_sums(
    double *restrict s, double *restrict c, const double *restrict v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		double x = v[i], sum = s[i], t = sum + x;
		double big = fabs(sum) >= fabs(x) ? sum : x;
		double small = fabs(sum) >= fabs(x) ? x : sum;
		double e = c[i] + ((big - t) + small);
		c[i] = fabs(t) > 1.7976931348623157e308 ? 0 : e;
		s[i] = t;
	}
}

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

__attribute__((optimize("O3"))) static bool sums_stay_finite(
    const double *restrict s, const double *restrict v, uint32_t n)
{
	uint64_t bad = 0;
	for (uint32_t i = 0; i < n; i++)
		bad += !(fabs(s[i] + v[i]) <= 1.7976931348623157e308);
	return !bad;
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
	if (!gr->any_mean && sums_stay_finite(gr->a, col->v, n)) {
		add_sums(gr->a, gr->b, col->v, n);
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

static void group_add(struct ql_aggr *g, struct ql_aggr_group *gr, const struct ql_col *col)
{
	switch (g->op) {
	case QL_SUM:
		add_sums(gr->a, gr->b, col->v, g->n);
		break;
	case QL_AVG:
		add_avg(gr, col, g->n);
		break;
	case QL_COUNT:
		add_count(gr->a, col->has, g->n);
		break;
	case QL_MIN:
	case QL_MAX:
		add_extreme(gr, col, g->n, g->op == QL_MAX);
		break;
	case QL_STDDEV:
	case QL_STDVAR:
		add_deviation(gr, col, g->n);
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
	for (uint32_t w = 0; w < ql_words(g->n); w++)
		gr->has[w] |= col->has[w];
	gr->drop_name |= col->drop_name;
}

enum err ql_aggr_add(
    struct ql_aggr *g, const struct ql_col *col, struct ql_budget *b, struct errbuf *eb)
{
	bool fresh;
	uint32_t at = ql_aggr_group_of(&g->tab, &g->names, g->without, col->ls, &g->_scratch, &fresh);

	group_slot(g, at);
	if (fresh) {
		enum err e = ql_charge(b, (uint64_t)g->n * arrays_of(g->op), eb);
		if (e)
			return e;
		group_init(g, &g->groups[at]);
	}
	group_add(g, &g->groups[at], col);
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
	unsigned k = arrays_of(g->op);
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

enum err ql_aggr_merge(
    struct ql_aggr *g, const struct ql_aggr *from, struct ql_budget *b, struct errbuf *eb)
{
	for (uint32_t k = 0; k < from->tab.count; k++) {
		const struct ql_aggr_group *f = &from->groups[k];
		bool fresh;
		uint32_t at =
		    ql_tab_add(&g->tab, from->tab.keys[k].ls, from->tab.keys[k].hash, false, &fresh);
		group_slot(g, at);
		if (fresh) {
			enum err e = ql_charge(b, g->n, eb);
			if (e)
				return e;
			g->groups[at] = *f; /* its arrays are ours now */
			continue;
		}
		struct ql_aggr_group *to = &g->groups[at];
		QL_EACH_BIT(i, f->has, g->n)
		{
			if (ql_bit(to->has, i))
				merge_step(g, to, f, i);
			else
				copy_step(g, to, f, i);
		}
		for (uint32_t w = 0; w < ql_words(g->n); w++)
			to->has[w] |= f->has[w];
		to->drop_name |= f->drop_name;
		to->any_mean |= f->any_mean;
	}
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
		return gr->a[i] / gr->c[i] + gr->b[i] / gr->c[i];
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

void ql_aggr_finish(struct ql_aggr *g, uint32_t i, struct ql_col *out)
{
	struct ql_aggr_group *gr = &g->groups[i];

	for (uint32_t k = 0; k < g->n; k++)
		gr->a[k] = ql_bit(gr->has, k) ? group_value(g, gr, k) : 0;
	*out = (struct ql_col){
		.ls = g->tab.keys[i].ls,
		.hash = g->tab.keys[i].hash,
		.has = gr->has,
		.v = gr->a,
		.drop_name = gr->drop_name,
	};
}

size_t ql_aggr_bytes(const struct ql_aggr *g)
{
	size_t per = (size_t)ql_words(g->n) * 16 + (size_t)g->n * arrays_of(g->op) * 8 +
	    sizeof(struct ql_aggr_group) + sizeof(struct ql_tab_key);
	size_t sum = g->tab.count * per;
	for (uint32_t i = 0; i < g->tab.count; i++)
		sum += g->tab.keys[i].ls.len;
	return sum;
}
