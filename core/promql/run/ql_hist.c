/*
 * histogram_quantile, histogram_quantiles and histogram_fraction on classic buckets.
 */
#include "core/promql/run/ql_nodes.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define QL_HIST_TOLERANCE 1e-12

struct bucket {
	double bound, count;
};
struct hist_member { /* one input column */
	double bound;
	uint32_t group, col;
};
struct hist {
	const struct ql_vec *v;
	struct ql_tab tab;          /* labels without le */
	struct hist_member *member; /* sorted by group, then bound */
	uint32_t members, *from;
	struct bucket *bucket; /* of one group at one step */
	struct buf scratch;
	struct ql_names le;
	uint32_t pos, group;
	bool sorted;
	unsigned quantiles;
	const char *fix_text; /* the note of the group at hand, once made */
};

static void hist_release(void *arg)
{
	struct hist *h = arg;
	buf_release(&h->scratch);
}

/* --- buckets: sorted, equal bounds merged --- */

static uint32_t merge_equal(struct bucket *b, uint32_t n)
{
	uint32_t k = 0;
	for (uint32_t i = 1; i < n; i++) {
		if (b[i].bound == b[k].bound)
			b[k].count += b[i].count;
		else
			b[++k] = b[i];
	}
	return k + 1;
}

static bool almost_equal(double a, double b)
{
	double sum = fabs(a) + fabs(b), diff = fabs(a - b);

	if (a == b)
		return true;
	if (a == 0 || b == 0 || sum < DBL_MIN)
		return diff < QL_HIST_TOLERANCE * DBL_MIN;
	return diff / fmin(sum, DBL_MAX) < QL_HIST_TOLERANCE;
}

static void make_monotonic(struct bucket *b, uint32_t n, struct ql_note_fix *fix)
{
	double prev = b[0].count;

	for (uint32_t i = 1; i < n; i++) {
		double cur = b[i].count;
		if (cur == prev)
			continue;
		if (almost_equal(prev, cur)) {
			b[i].count = prev;
			continue;
		}
		if (cur < prev) {
			b[i].count = prev;
			fix->count = 1;
			fix->min_bucket = fmin(fix->min_bucket, b[i].bound);
			fix->max_bucket = fmax(fix->max_bucket, b[i].bound);
			fix->max_diff = fmax(fix->max_diff, prev - cur);
			continue;
		}
		prev = cur;
	}
}

static double bucket_quantile(double q, struct bucket *b, uint32_t n, struct ql_note_fix *fix)
{
	uint32_t at = 0;

	if (isnan(q))
		return NAN;
	if (q < 0)
		return -INFINITY;
	if (q > 1)
		return INFINITY;
	if (!(isinf(b[n - 1].bound) && b[n - 1].bound > 0))
		return NAN;
	n = merge_equal(b, n);
	make_monotonic(b, n, fix);
	if (n < 2 || b[n - 1].count == 0)
		return NAN;

	double rank = q * b[n - 1].count, start = 0, end, count;
	while (at < n - 1 && !(b[at].count >= rank))
		at++;
	if (at == n - 1)
		return b[n - 2].bound;
	if (at == 0 && b[0].bound <= 0)
		return b[0].bound;
	end = b[at].bound;
	count = b[at].count;
	if (at) {
		start = b[at - 1].bound;
		count -= b[at - 1].count;
		rank -= b[at - 1].count;
	}
	return start + (end - start) * (rank / count);
}

/* Observations at or below x, when x lies inside a bucket of count..b->count. */
static double rank_inside(const struct bucket *b, double low, double rank, double x)
{
	if (isinf(low) && low < 0)
		return b->count;
	return rank + (b->count - rank) * (x - low) / (b->bound - low);
}

static double bucket_fraction(double lower, double upper, struct bucket *b, uint32_t n)
{
	double rank = 0, lower_rank = 0, upper_rank = 0, low;
	bool lower_set = false, upper_set = false;

	if (!(isinf(b[n - 1].bound) && b[n - 1].bound > 0))
		return NAN;
	n = merge_equal(b, n);
	double count = b[n - 1].count;
	if (count == 0 || isnan(lower) || isnan(upper))
		return NAN;
	if (lower >= upper)
		return 0;
	low = b[0].bound <= 0 ? -INFINITY : 0;
	for (uint32_t i = 0; i < n && !(lower_set && upper_set); i++) {
		if (i)
			low = b[i - 1].bound;
		if (!lower_set && low >= lower) {
			lower_rank = rank;
			lower_set = true;
		}
		if (!upper_set && low >= upper) {
			upper_rank = rank;
			upper_set = true;
		}
		if (!lower_set && low < lower && b[i].bound > lower) {
			lower_rank = rank_inside(&b[i], low, rank, lower);
			lower_set = true;
		}
		if (!upper_set && low < upper && b[i].bound > upper) {
			upper_rank = rank_inside(&b[i], low, rank, upper);
			upper_set = true;
		}
		rank = b[i].count;
	}
	if (!lower_set || lower_rank > count)
		lower_rank = count;
	if (!upper_set || upper_rank > count)
		upper_rank = count;
	return (upper_rank - lower_rank) / count;
}

/* --- grouping --- */

static int member_cmp(const void *pa, const void *pb)
{
	const struct hist_member *a = pa, *b = pb;
	if (a->group != b->group)
		return a->group < b->group ? -1 : 1;
	if (a->bound != b->bound)
		return a->bound < b->bound ? -1 : 1;
	return (a->col > b->col) - (a->col < b->col);
}

static const char *name_of(struct ql_run *x, struct labels ls, uint32_t *len)
{
	const char *s = x->names == QL_NAMES_DROP_LATE
	    ? label_get(ls, LABEL_NAME, sizeof(LABEL_NAME) - 1, len)
	    : NULL;
	*len = s ? *len : 0;
	return s;
}

/* for metric name "m", where it appears at all. */
static const char *for_name(struct ql_run *x, struct labels ls)
{
	uint32_t len;
	const char *s = name_of(x, ls, &len);
	return len ? arena_printf(x->arena, " for metric name %s", ql_fmt_q(x->arena, s, len)) : "";
}

static void note_bad_le(
    struct ql_run *x, const struct ql_node *arg, struct labels ls, const char *le, uint32_t len)
{
	ql_notes_add(&x->notes, false, ql_bare_pos(arg),
	    "bucket label \"le\" is missing or has a malformed value of %s%s",
	    ql_fmt_q(x->arena, le ? le : "", le ? len : 0), for_name(x, ls));
}

static const struct ql_node *hist_arg(const struct ql_pn *pn)
{
	enum ql_fn fn = pn->ast->call.func->fn;
	return pn->ast->call.args[fn == QL_FN_HISTOGRAM_QUANTILES ? 0
	        : fn == QL_FN_HISTOGRAM_FRACTION                  ? 2
	                                                          : 1];
}

static struct hist *hist_start(struct ql_run *x, struct ql_pn *pn, const struct ql_vec *v)
{
	static const struct ql_str le_name = { "le", 2 };
	struct hist *h = arena_zalloc(x->arena, sizeof(*h));

	h->v = v;
	h->le = ql_names_make(x->arena, &le_name, 1);
	buf_init(&h->scratch);
	ql_run_at_end(x, hist_release, h);
	ql_tab_init(&h->tab, x->arena);
	h->member = arena_array(x->arena, (size_t)v->count + 1, sizeof(*h->member));
	h->bucket = arena_array(x->arena, (size_t)v->count + 1, sizeof(*h->bucket));
	pn->state = h;
	return h;
}

static void hist_add(struct ql_run *x, struct ql_pn *pn, struct hist *h, uint32_t i)
{
	uint32_t len = 0;
	struct labels ls = h->v->cols[i].ls;
	const char *le = label_get(ls, "le", 2, &len);
	struct hist_member *m = &h->member[h->members];
	bool fresh;

	if (!le || num_parse_float(le, len, &m->bound)) {
		note_bad_le(x, hist_arg(pn), ls, le, len);
		return;
	}
	struct labels key = ql_labels_pick(&h->scratch, ls, &h->le, false);
	m->group = ql_tab_add(&h->tab, key, label_hash(key), true, &fresh);
	m->col = i;
	h->members++;
}

static void hist_sort(struct ql_run *x, struct hist *h)
{
	qsort(h->member, h->members, sizeof(*h->member), member_cmp);
	h->from = arena_zalloc(x->arena, ((size_t)h->tab.count + 1) * sizeof(*h->from));
	for (uint32_t i = 0; i < h->members; i++)
		h->from[h->member[i].group + 1] = i + 1;
	h->sorted = true;
}

/* The buckets of a group that are there at a step, sorted. */
static uint32_t buckets_at(struct hist *h, uint32_t group, uint32_t step)
{
	uint32_t n = 0;
	for (uint32_t i = h->from[group]; i < h->from[group + 1]; i++) {
		const struct ql_col *c = &h->v->cols[h->member[i].col];
		if (ql_bit(c->has, step))
			h->bucket[n++] = (struct bucket){ h->member[i].bound, c->v[step] };
	}
	return n;
}

/* --- per group --- */

static const char *quantile_label(struct ql_run *x, double q)
{
	const char *s = ql_fmt_g(x->arena, q);
	if (isnan(q) || isinf(q) || strpbrk(s, "e."))
		return s;
	return arena_printf(x->arena, "%s.0", s);
}

static void note_fix(
    struct ql_run *x, const struct ql_pn *pn, struct hist *h, struct ql_note_fix *fix, uint32_t i)
{
	if (!fix->count)
		return;
	if (!h->fix_text)
		h->fix_text = arena_printf(x->arena,
		    "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)%s",
		    for_name(x, h->tab.keys[h->group].ls));
	fix->t_min_ms = fix->t_max_ms = ql_grid_t(&pn->grid, i);
	ql_notes_fix(&x->notes, ql_bare_pos(hist_arg(pn)), fix, h->fix_text);
}

static struct ql_col *hist_column(struct ql_run *x, struct ql_pn *pn, struct labels ls)
{
	struct ql_col *c = ql_run_col(x, &pn->vec, ls, pn->grid.n);
	if (c)
		ql_run_drop_name(x, c);
	return c;
}

static enum ql_did group_quantile(
    struct ql_run *x, struct ql_pn *pn, struct hist *h, const struct ql_scalar *q, struct labels ls)
{
	struct ql_col *c = hist_column(x, pn, ls);

	if (!c)
		return QL_FAILED;
	for (uint32_t i = 0; i < pn->grid.n; i++) {
		struct ql_note_fix fix = { .min_bucket = INFINITY, .max_bucket = -INFINITY };
		uint32_t n = buckets_at(h, h->group, i);
		if (!n)
			continue;
		c->v[i] = bucket_quantile(ql_scalar_at(q, i), h->bucket, n, &fix);
		ql_bit_on(c->has, i);
		note_fix(x, pn, h, &fix, i);
	}
	return QL_DONE;
}

/*
 * histogram_quantiles: the value of each quantile becomes a label, and may change from step to
 * step.
 */
static enum ql_did group_quantiles(struct ql_run *x, struct ql_pn *pn, struct hist *h)
{
	struct ql_str name = ql_skip_parens(pn->ast->call.args[1])->text;

	for (unsigned k = 1; k < pn->args_count; k++) {
		const struct ql_scalar *q = &pn->arg[k]->scalar;
		uint32_t i = 0;
		while (i < pn->grid.n) {
			struct label_builder b;
			double at = ql_scalar_at(q, i);
			const char *text = quantile_label(x, at);
			label_builder_from(&b, x->arena, h->tab.keys[h->group].ls);
			label_builder_set(&b, name.s, name.len, text, strlen(text));
			struct ql_col *c = hist_column(x, pn, label_builder_done(&b));
			if (!c)
				return QL_FAILED;
			for (; i < pn->grid.n && num_bits(ql_scalar_at(q, i)) == num_bits(at); i++) {
				struct ql_note_fix fix = { .min_bucket = INFINITY,
					.max_bucket = -INFINITY };
				uint32_t n = buckets_at(h, h->group, i);
				if (!n)
					continue;
				c->v[i] = bucket_quantile(at, h->bucket, n, &fix);
				ql_bit_on(c->has, i);
				note_fix(x, pn, h, &fix, i);
			}
		}
	}
	return QL_DONE;
}

static enum ql_did group_fraction(struct ql_run *x, struct ql_pn *pn, struct hist *h)
{
	const struct ql_scalar *lower = &pn->arg[0]->scalar, *upper = &pn->arg[1]->scalar;
	struct ql_col *c = hist_column(x, pn, h->tab.keys[h->group].ls);

	if (!c)
		return QL_FAILED;
	for (uint32_t i = 0; i < pn->grid.n; i++) {
		uint32_t n = buckets_at(h, h->group, i);
		if (!n)
			continue;
		c->v[i] =
		    bucket_fraction(ql_scalar_at(lower, i), ql_scalar_at(upper, i), h->bucket, n);
		ql_bit_on(c->has, i);
	}
	return QL_DONE;
}

static void warn_quantiles(
    struct ql_run *x, const struct ql_pn *pn, const struct ql_scalar *s, uint32_t arg)
{
	uint32_t n = s->kind == QL_SAME ? 1 : pn->grid.n;
	uint64_t said = num_bits(0);

	for (uint32_t i = 0; i < n; i++) {
		double q = ql_scalar_at(s, i);
		if ((q >= 0 && q <= 1) || num_bits(q) == said)
			continue;
		said = num_bits(q);
		ql_notes_quantile(&x->notes, ql_bare_pos(pn->ast->call.args[arg]), q);
	}
}

enum ql_did ql_histogram_run(struct ql_run *x, struct ql_pn *pn)
{
	enum ql_fn fn = pn->ast->call.func->fn;
	struct hist *h = pn->state;
	enum ql_did did;

	if (!h) {
		if (fn == QL_FN_HISTOGRAM_QUANTILE)
			warn_quantiles(x, pn, &pn->arg[0]->scalar, 0);
		for (unsigned k = 1; fn == QL_FN_HISTOGRAM_QUANTILES && k < pn->args_count; k++)
			warn_quantiles(x, pn, &pn->arg[k]->scalar, k + 1);
		h = hist_start(
		    x, pn, &pn->arg[fn == QL_FN_HISTOGRAM_QUANTILES ? 0 : pn->args_count - 1]->vec);
	}
	while (h->pos < h->v->count) {
		hist_add(x, pn, h, h->pos++);
		if (ql_tick(x, 256))
			return QL_AGAIN;
	}
	if (!h->sorted)
		hist_sort(x, h);
	while (h->group < h->tab.count) {
		if (fn == QL_FN_HISTOGRAM_FRACTION)
			did = group_fraction(x, pn, h);
		else if (fn == QL_FN_HISTOGRAM_QUANTILES)
			did = group_quantiles(x, pn, h);
		else
			did = group_quantile(x, pn, h, &pn->arg[0]->scalar, h->tab.keys[h->group].ls);
		if (did)
			return did;
		uint32_t buckets = h->from[h->group + 1] - h->from[h->group];
		h->group++;
		h->fix_text = NULL;
		if (ql_tick(x, (uint64_t)pn->grid.n * (buckets + 4)))
			return QL_AGAIN;
	}
	return ql_run_tidy(x, pn, ql_run_equal(x, QL_EQUAL_JOINS));
}
