/*
 * core/promql/ql_aggr: each operator against plain sums over the members, whole and as partial
 * groups that merge.
 */
#include "core/promql/run/ql_aggr.h"
#include "tests/lib/tap.h"

#include <math.h>
#include <stdlib.h>

#define STEPS   70
#define MEMBERS 40

static uint64_t seed = 7;
static uint32_t rnd(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(hash_mix64(seed) % n);
}

struct world {
	struct arena a;
	struct ql_budget budget;
	struct errbuf eb;
	struct ql_col col[MEMBERS];
};

static void world_make(struct world *w, bool special, bool full)
{
	static const double odd[] = { NAN, INFINITY, -INFINITY, 1.7e308, 1.7e308, -1.7e308, 0 };
	char id[16];

	arena_init(&w->a, 4096);
	w->budget = (struct ql_budget){ 0 };
	errbuf_init(&w->eb);
	for (unsigned i = 0; i < MEMBERS; i++) {
		snprintf(id, sizeof(id), "%u", i);
		struct labels ls = label_make(&w->a, "__name__", "m", "group",
		    i % 3 ? i % 3 == 1 ? "a" : "b" : "c", "id", id, NULL);
		ql_col_init(&w->a, &w->col[i], ls, label_hash(ls), STEPS);
		for (uint32_t k = 0; k < STEPS; k++) {
			if (!full && rnd(4) == 0)
				continue;
			w->col[i].v[k] =
			    special && rnd(6) == 0 ? odd[rnd(COUNT_OF(odd))] : rnd(1000) / 7.0 - 50;
			ql_bit_on(w->col[i].has, k);
		}
	}
}

static bool member(unsigned i, const char *group)
{
	return *group == (i % 3 ? i % 3 == 1 ? 'a' : 'b' : 'c');
}

/* The oracle for one group and step. */
static bool want(const struct world *w, enum ql_agg op, const char *group, uint32_t k, double *out)
{
	double v[MEMBERS], sum = 0, c = 0;
	unsigned n = 0;

	for (unsigned i = 0; i < MEMBERS; i++)
		if (member(i, group) && ql_bit(w->col[i].has, k))
			v[n++] = w->col[i].v[k];
	if (!n)
		return false;
	*out = v[0];
	for (unsigned i = 0; i < n; i++)
		ql_kahan(v[i], &sum, &c);
	switch ((int)op) {
	case QL_SUM:
		*out = sum + c;
		return true;
	case QL_COUNT:
		*out = n;
		return true;
	case QL_GROUP:
		*out = 1;
		return true;
	case QL_MIN:
	case QL_MAX:
		for (unsigned i = 1; i < n; i++)
			if (isnan(*out) || (op == QL_MIN ? v[i] < *out : v[i] > *out))
				*out = v[i];
		return true;
	case QL_AVG: {
		long double exact = 0;
		for (unsigned i = 0; i < n; i++)
			exact += (long double)v[i] / n;
		*out = (double)exact;
		return true;
	}
	default: {
		long double mean = 0, dev = 0;
		for (unsigned i = 0; i < n; i++)
			mean += (long double)v[i] / n;
		for (unsigned i = 0; i < n; i++)
			dev += (v[i] - mean) * (v[i] - mean) / n;
		*out = (double)(op == QL_STDVAR ? dev : sqrtl(dev));
		return true;
	}
	}
}

static bool near(double a, double b)
{
	if (isnan(a) || isnan(b))
		return isnan(a) && isnan(b);
	return a == b || fabs(a - b) <= 1e-9 * fmax(1, fmax(fabs(a), fabs(b)));
}

static enum err add(struct world *w, struct ql_aggr *g, const struct ql_col *col)
{
	bool more;
	enum err e;
	while (!(e = ql_aggr_add(g, col, &more, &w->budget, &w->eb)) && more)
		continue;
	return e;
}

static enum err merge(struct world *w, struct ql_aggr *g, const struct ql_aggr *from)
{
	bool more;
	enum err e;
	while (!(e = ql_aggr_merge(g, from, &more, &w->budget, &w->eb)) && more)
		continue;
	return e;
}

static struct ql_col finish(struct ql_aggr *g, uint32_t i)
{
	struct ql_col out;
	while (ql_aggr_finish(g, i, &out))
		continue;
	return out;
}

static unsigned wrong(struct world *w, struct ql_aggr *g, enum ql_agg op)
{
	unsigned bad = g->tab.count != 3;
	for (uint32_t i = 0; i < g->tab.count; i++) {
		struct ql_col col = finish(g, i);
		uint32_t len;
		const char *group = label_get(col.ls, "group", 5, &len);
		for (uint32_t k = 0; group && k < STEPS; k++) {
			double x = 0;
			bool there = want(w, op, group, k, &x);
			if (there == ql_bit(col.has, k) && near(x, col.v[k]))
				continue;
			if (bad++ < 3)
				tap_note("%s step %u: got %.17g, wanted %.17g", ql_agg_text(op), k,
				    col.v[k], x);
		}
	}
	return bad;
}

static void operator_is_right(enum ql_agg op, bool special, unsigned parts)
{
	struct world w;
	struct ql_aggr g[4];
	struct ql_str by = { "group", 5 };
	unsigned bad = 0;

	for (unsigned round = 0; round < 10; round++) {
		world_make(&w, special, round % 2);
		struct ql_names names = ql_aggr_names(&w.a, &by, 1, false);
		for (unsigned p = 0; p < parts; p++)
			ql_aggr_init(&g[p], op, names, false, STEPS, &w.a);
		for (unsigned i = 0; i < MEMBERS; i++)
			bad += add(&w, &g[i % parts], &w.col[i]) != ERR_OK;
		for (unsigned p = 1; p < parts; p++)
			bad += merge(&w, &g[0], &g[p]) != ERR_OK;
		bad += wrong(&w, &g[0], op);
		for (unsigned p = 0; p < parts; p++)
			ql_aggr_release(&g[p]);
		arena_release(&w.a);
	}
	tap_ok(bad == 0, "%s of %s values in %u parts", ql_agg_text(op),
	    special ? "odd" : "ordinary", parts);
}

static void average_survives_overflow(void)
{
	struct world w;
	struct ql_aggr g[2];
	struct ql_col out;

	for (unsigned parts = 1; parts <= 2; parts++) {
		world_make(&w, false, true);
		for (unsigned p = 0; p < parts; p++)
			ql_aggr_init(&g[p], QL_AVG, (struct ql_names){ 0 }, false, STEPS, &w.a);
		for (unsigned i = 0; i < MEMBERS; i++) {
			for (uint32_t k = 0; k < STEPS; k++)
				w.col[i].v[k] = 1.6e308;
			TAP_UNUSED enum err e = add(&w, &g[i % parts], &w.col[i]);
		}
		if (parts == 2) {
			TAP_UNUSED enum err e = merge(&w, &g[0], &g[1]);
		}
		out = finish(&g[0], 0);
		tap_ok(fabs(out.v[STEPS - 1] / 1.6e308 - 1) < 1e-12,
		    "the average of values whose sum overflows is finite, %u parts", parts);
		for (unsigned p = 0; p < parts; p++)
			ql_aggr_release(&g[p]);
		arena_release(&w.a);
	}
}

static void budget_is_asked_first(void)
{
	struct world w;
	struct ql_aggr g;

	world_make(&w, false, true);
	ql_aggr_init(&g, QL_SUM, ql_aggr_names(&w.a, NULL, 0, true), true, STEPS, &w.a);
	struct purse samples;
	purse_init(&samples, STEPS * 5, NULL);
	w.budget.samples = &samples;
	unsigned i = 0;
	while (i < MEMBERS && !add(&w, &g, &w.col[i]))
		i++;
	tap_is_u64(i, 2, "a third group of %d steps is over the limit of points", STEPS);
	tap_ok(strstr(w.eb.text, "too many samples") != NULL, "and the text says so");
	ql_budget_close(&w.budget);
	ql_aggr_release(&g);
	arena_release(&w.a);
}

int main(void)
{
	for (int op = QL_SUM; op <= QL_STDVAR; op++)
		for (unsigned parts = 1; parts <= 4; parts++) {
			operator_is_right(op, false, parts);
			if (op == QL_COUNT || op == QL_MIN || op == QL_MAX || op == QL_GROUP ||
			    (op == QL_SUM && parts == 1))
				operator_is_right(op, true, parts);
		}
	average_survives_overflow();
	budget_is_asked_first();
	return tap_done();
}
