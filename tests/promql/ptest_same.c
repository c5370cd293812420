#include "tests/promql/ptest_same.h"

#include "core/model/histmath.h"

#include <float.h>
#include <math.h>
#include <string.h>

bool ptest_almost(double a, double b)
{
	static const double epsilon = 1e-6, smallest = 2.2250738585072014e-308;
	if (sample_is_stale(a) || sample_is_stale(b))
		return sample_is_stale(a) && sample_is_stale(b);
	if ((isnan(a) && isnan(b)) || a == b)
		return true;
	double sum = fabs(a) + fabs(b), diff = fabs(a - b);
	if (a == 0 || b == 0 || sum < smallest)
		return diff < epsilon * smallest;
	return diff / fmin(sum, DBL_MAX) < epsilon;
}

static bool same_side(const struct hist_side *a, const struct hist_side *b)
{
	if (a->spans_count != b->spans_count || a->counts_count != b->counts_count)
		return false;
	for (uint32_t i = 0; i < a->spans_count; i++)
		if (a->spans[i].offset != b->spans[i].offset ||
		    a->spans[i].length != b->spans[i].length)
			return false;
	for (uint32_t i = 0; i < a->counts_count; i++)
		if (!ptest_almost(a->counts[i].f, b->counts[i].f))
			return false;
	return true;
}

static bool same_bounds(const struct hist *a, const struct hist *b)
{
	if (a->schema != HIST_SCHEMA_CUSTOM)
		return true;
	if (a->bounds_count != b->bounds_count)
		return false;
	for (uint32_t i = 0; i < a->bounds_count; i++)
		if (a->bounds[i] != b->bounds[i])
			return false;
	return true;
}

static bool same_hist(const struct hist *want, const struct hist *got, bool hint)
{
	struct arena a;
	arena_init(&a, 4096);
	want = hist_compact(&a, want);
	got = hist_compact(&a, got);
	bool same = want && got && want->schema == got->schema &&
	    ptest_almost(want->count.f, got->count.f) && ptest_almost(want->sum, got->sum) &&
	    ptest_almost(want->zero_count.f, got->zero_count.f) &&
	    want->zero_threshold == got->zero_threshold && same_bounds(want, got) &&
	    same_side(&want->positive, &got->positive) &&
	    same_side(&want->negative, &got->negative) && (!hint || want->hint == got->hint);
	arena_release(&a);
	return same;
}

bool ptest_same(const struct ql_series_item *want, const struct ql_series *got, uint32_t at)
{
	const struct hist *h = got->h ? got->h[at] : NULL;
	if (want->kind == QL_ITEM_HISTOGRAM)
		return h && same_hist(want->h, h, want->hint_given);
	return want->kind == QL_ITEM_FLOAT && !h && ptest_almost(want->v, got->v[at]);
}

static struct buf *text(void)
{
	static struct buf bufs[4];
	static int turn;
	struct buf *b = &bufs[turn++ % 4];
	buf_clear(b);
	return b;
}

static const char *show(double v, const struct hist *h)
{
	static const char *const hints[] = { "", " reset", " not_reset", " gauge" };
	struct buf *b = text();
	if (h) {
		buf_printf(b, "schema %d zero %.17g bounds %u ", h->schema, h->zero_threshold,
		    h->bounds_count);
		hist_print(h, b);
		buf_add_str(b, hints[h->hint]);
	} else {
		buf_printf(b, "%.17g", v);
	}
	buf_add_u8(b, 0);
	return (const char *)b->data;
}

const char *ptest_show_item(const struct ql_series_item *it)
{
	if (it->kind == QL_ITEM_OMITTED)
		return "nothing";
	return it->kind == QL_ITEM_HISTOGRAM ? show(0, it->h) : show(it->v, NULL);
}

const char *ptest_show_point(const struct ql_series *s, uint32_t at)
{
	return show(s->v[at], s->h ? s->h[at] : NULL);
}
