/*
 * The running sum of histograms. It is a histogram, with an error beside each count, in arrays of
 * its own: histograms of its layout are added in place; for others a second set of arrays is
 * written, and the two change places. Empty buckets stay until the end, as upstream leaves them.
 */
#include "core/model/histmath_priv.h"

#include <math.h>

struct sum_side {
	union hist_count *counts;
	double *errors;
	struct hist_span *spans;
	uint32_t counts_count, spans_count, counts_cap, spans_cap;
};
struct sum_state {
	struct sum_side sides[2]; /* negative, positive */
	double *bounds;
	uint32_t bounds_count, bounds_cap;
	int schema;
	double threshold, sum, sum_error, count, count_error, zero, zero_error;
};
struct hist_sum {
	struct arena *arena;
	struct sum_state states[3]; /* the sum, room for the next one, what is added by parts */
	unsigned now;               /* 0 or 1 */
	uint64_t count;
	uint8_t hint;
	bool mean, running; /* running: the state is the mean itself */
	bool reset_seen, no_reset_seen, lost;
};
#define STATE_PARTS 2

/* What is added, or what it is added to: a histogram and its errors. */
struct addend {
	struct hist h;
	const double *errors[2];
	double sum_error, count_error, zero_error;
};

struct hist_sum *hist_sum_make(struct arena *a, bool mean)
{
	struct hist_sum *s = arena_zalloc(a, sizeof *s);
	if (!s)
		return NULL;
	s->arena = a;
	s->mean = mean;
	return s;
}

void hist_sum_clear(struct hist_sum *s)
{
	s->count = 0;
	s->running = s->reset_seen = s->no_reset_seen = s->lost = false;
}

uint64_t hist_sum_count(const struct hist_sum *s)
{
	return s->count;
}

/* ---- arrays that grow; what was in them may be lost ---- */

static bool side_room(struct arena *a, struct sum_side *s, uint32_t counts)
{
	if (counts <= s->counts_cap)
		return true;
	uint32_t n = counts < UINT32_MAX / 2 ? counts + counts / 2 + 4 : counts;
	s->counts = arena_array(a, n, sizeof *s->counts);
	s->errors = arena_array(a, n, sizeof *s->errors);
	s->counts_cap = s->counts && s->errors ? n : 0;
	return s->counts_cap > 0;
}

static bool spans_room(struct arena *a, struct sum_side *s, uint32_t spans)
{
	if (spans <= s->spans_cap)
		return true;
	s->spans = arena_array(a, spans, sizeof *s->spans);
	s->spans_cap = s->spans ? spans : 0;
	return s->spans_cap > 0;
}

static bool bounds_room(struct arena *a, struct sum_state *t, uint32_t n)
{
	if (n <= t->bounds_cap)
		return true;
	t->bounds = arena_array(a, n, sizeof *t->bounds);
	t->bounds_cap = t->bounds ? n : 0;
	return t->bounds_cap > 0;
}

/* ---- between states and addends ---- */

static struct hist_side side_view(const struct sum_side *s)
{
	return (struct hist_side){ .counts = s->counts,
		.spans = s->spans,
		.counts_count = s->counts_count,
		.spans_count = s->spans_count };
}

static struct addend state_view(const struct sum_state *t)
{
	return (struct addend){ .h = { .is_float = true,
		                    .schema = (int8_t)t->schema,
		                    .sum = t->sum,
		                    .count.f = t->count,
		                    .zero_count.f = t->zero,
		                    .zero_threshold = t->threshold,
		                    .bounds = t->bounds,
		                    .bounds_count = t->bounds_count,
		                    .negative = side_view(&t->sides[0]),
		                    .positive = side_view(&t->sides[1]) },
		.errors = { t->sides[0].errors, t->sides[1].errors },
		.sum_error = t->sum_error,
		.count_error = t->count_error,
		.zero_error = t->zero_error };
}

static bool side_set(struct arena *a, struct sum_side *t, const struct hist_side *s)
{
	if (!side_room(a, t, s->counts_count) || !spans_room(a, t, s->spans_count))
		return false;
	if (s->spans_count)
		memcpy(t->spans, s->spans, s->spans_count * sizeof *t->spans);
	if (s->counts_count)
		memcpy(t->counts, s->counts, s->counts_count * sizeof *t->counts);
	t->counts_count = s->counts_count;
	t->spans_count = s->spans_count;
	return true;
}

static void errors_set(struct sum_side *t, const double *errors)
{
	if (!t->counts_count)
		return;
	if (errors)
		memcpy(t->errors, errors, t->counts_count * sizeof *errors);
	else
		memset(t->errors, 0, t->counts_count * sizeof *t->errors);
}

static bool bounds_set(struct arena *a, struct sum_state *t, const double *bounds, uint32_t n)
{
	if (!bounds_room(a, t, n))
		return false;
	if (n)
		memcpy(t->bounds, bounds, n * sizeof *bounds);
	t->bounds_count = n;
	return true;
}

static bool state_set(struct arena *a, struct sum_state *t, const struct addend *x)
{
	const struct hist *h = &x->h;
	if (!side_set(a, &t->sides[0], &h->negative) || !side_set(a, &t->sides[1], &h->positive) ||
	    !bounds_set(a, t, h->bounds, h->bounds_count))
		return false;
	errors_set(&t->sides[0], x->errors[0]);
	errors_set(&t->sides[1], x->errors[1]);
	t->schema = h->schema;
	t->threshold = h->zero_threshold;
	t->sum = h->sum;
	t->sum_error = x->sum_error;
	t->count = h->count.f;
	t->count_error = x->count_error;
	t->zero = h->zero_count.f;
	t->zero_error = x->zero_error;
	return true;
}

static double scaled(double v, double by, bool divide)
{
	return divide ? v / by : v * by;
}

static void state_scale(struct sum_state *t, double by, bool divide)
{
	for (unsigned k = 0; k < 2; k++)
		for (uint32_t i = 0; i < t->sides[k].counts_count; i++) {
			struct sum_side *s = &t->sides[k];
			s->counts[i].f = scaled(s->counts[i].f, by, divide);
			s->errors[i] = scaled(s->errors[i], by, divide);
		}
	t->sum = scaled(t->sum, by, divide);
	t->sum_error = scaled(t->sum_error, by, divide);
	t->count = scaled(t->count, by, divide);
	t->count_error = scaled(t->count_error, by, divide);
	t->zero = scaled(t->zero, by, divide);
	t->zero_error = scaled(t->zero_error, by, divide);
}

static bool state_overflows(const struct sum_state *t)
{
	if (isinf(t->zero) || isinf(t->count) || isinf(t->sum))
		return true;
	for (unsigned k = 0; k < 2; k++)
		for (uint32_t i = 0; i < t->sides[k].counts_count; i++)
			if (isinf(t->sides[k].counts[i].f))
				return true;
	for (uint32_t i = 0; i < t->bounds_count; i++)
		if (isinf(t->bounds[i]))
			return true;
	return false;
}

/* ---- one sum ---- */

static void kahan_with(double count, double error, double *sum, double *c)
{
	histm_kahan(count, sum, c);
	if (error != 0)
		histm_kahan(error, sum, c);
}

/* To a side of the next state; out's spans are used when they are enough. */
static bool side_done(struct arena *a, struct histm_out *o, struct sum_side *out)
{
	if (o->failed)
		return false;
	if (o->spans == o->few) {
		if (!spans_room(a, out, o->spans_count))
			return false;
		if (o->spans_count)
			memcpy(out->spans, o->few, o->spans_count * sizeof *o->few);
	} else {
		out->spans = o->spans;
		out->spans_cap = o->spans_cap;
	}
	out->counts_count = o->counts_count;
	out->spans_count = o->spans_count;
	return true;
}

static bool side_begin(struct arena *a, struct histm_out *o, struct sum_side *out, uint32_t counts)
{
	if (!side_room(a, out, counts))
		return false;
	histm_out_into(o, a, out->counts);
	o->errors = out->errors;
	if (out->spans_cap > HISTM_FEW) {
		o->spans = out->spans;
		o->spans_cap = out->spans_cap;
	}
	return true;
}

static bool side_merge(struct arena *a, struct histm_walk *l, struct histm_walk *r, int schema,
    double threshold, struct sum_side *out)
{
	struct histm_out o;
	if (!side_begin(a, &o, out, l->s->counts_count + r->s->counts_count))
		return false;
	bool in_l = histm_walk_next(l), in_r = histm_walk_over(r, schema, threshold);
	while (in_l || in_r) {
		bool use_l = in_l && (!in_r || l->index <= r->index);
		bool use_r = in_r && (!in_l || r->index <= l->index);
		if (use_l && use_r)
			kahan_with(r->count, r->error, &l->count, &l->error);
		if (use_l)
			histm_out_add(&o, l->index, l->count, l->error);
		else
			histm_out_add(&o, r->index, r->count, r->error);
		if (use_l)
			in_l = histm_walk_next(l);
		if (use_r)
			in_r = histm_walk_next(r);
	}
	return side_done(a, &o, out);
}

static struct histm_walk walk_with(const struct histm_term *t, unsigned k, unsigned steps)
{
	struct histm_walk w = histm_walk(k ? &t->h->positive : &t->h->negative, steps);
	w.errors = t->errors[k];
	w.kahan = true;
	return w;
}

static bool sides_merge(
    struct arena *a, const struct histm_term *l, const struct histm_term *r, struct sum_state *to)
{
	bool custom = to->schema == HIST_SCHEMA_CUSTOM;
	for (unsigned k = 0; k < 2; k++) {
		struct histm_walk wl =
		    walk_with(l, k, custom ? 0 : (unsigned)(l->h->schema - to->schema));
		struct histm_walk wr =
		    walk_with(r, k, custom ? 0 : (unsigned)(r->h->schema - to->schema));
		if (l->widened) {
			histm_walk_above(&wl, l->h->schema, l->threshold);
			wl.solid = true; /* as upstream: those it leaves are compact */
		}
		if (!side_merge(a, &wl, &wr, to->schema, to->threshold, &to->sides[k]))
			return false;
	}
	return true;
}

static void map_custom(
    const struct addend *x, const struct sum_state *to, union hist_count *counts, double *errors)
{
	struct histm_walk w = histm_walk(&x->h.positive, 0);
	uint32_t k = 0;
	w.errors = x->errors[1];
	while (histm_walk_next(&w)) {
		uint32_t at = to->bounds_count;
		if (w.index >= 0 && w.index < x->h.bounds_count) {
			while (k < to->bounds_count && to->bounds[k] < x->h.bounds[w.index])
				k++;
			at = k;
		}
		histm_kahan(w.count, &counts[at].f, &errors[at]);
		if (x->errors[1])
			histm_kahan(w.error, &counts[at].f, &errors[at]);
	}
}

/* Custom buckets of different bounds; all is made in the arrays of the next state. */
static bool custom_merge(
    struct arena *a, const struct addend *l, const struct addend *r, struct sum_state *to)
{
	struct sum_side *side = &to->sides[1];
	struct histm_out o;
	if (!bounds_room(a, to, histm_min_u32(l->h.bounds_count, r->h.bounds_count)))
		return false;
	uint32_t n = to->bounds_count = histm_bounds_of_both(&l->h, &r->h, to->bounds);
	if (!side_begin(a, &o, side, n + 1))
		return false;
	memset(side->counts, 0, (n + 1) * sizeof *side->counts);
	memset(side->errors, 0, (n + 1) * sizeof *side->errors);
	map_custom(l, to, side->counts, side->errors);
	map_custom(r, to, side->counts, side->errors);
	for (uint32_t i = 0; i <= n; i++) {
		double count = side->counts[i].f, error = side->errors[i];
		if (count != 0 || error != 0)
			histm_out_add(&o, i, count, error);
	}
	to->sides[0].counts_count = to->sides[0].spans_count = 0;
	return side_done(a, &o, side);
}

static struct histm_term term_of(const struct addend *x)
{
	return (struct histm_term){ .h = &x->h,
		.errors = { x->errors[0], x->errors[1] },
		.threshold = x->h.zero_threshold,
		.zero_count = x->h.zero_count.f,
		.zero_error = x->zero_error };
}

static bool layouts_merge(struct arena *a, const struct addend *l, const struct addend *r,
    struct sum_state *to, unsigned *told)
{
	struct histm_term tl = term_of(l), tr = term_of(r);
	if (!histm_is_custom(&l->h)) {
		histm_zeros(&tl, &tr);
		to->zero = tl.zero_count;
		to->zero_error = tl.zero_error;
		histm_kahan(tr.zero_count, &to->zero, &to->zero_error);
		histm_kahan(tr.zero_error, &to->zero, &to->zero_error);
		to->schema = r->h.schema < l->h.schema ? r->h.schema : l->h.schema;
		to->threshold = tl.threshold;
		to->bounds_count = 0;
		return sides_merge(a, &tl, &tr, to);
	}
	to->zero = to->zero_error = to->threshold = 0;
	to->schema = HIST_SCHEMA_CUSTOM;
	if (histm_same_bounds(&l->h, &r->h))
		return bounds_set(a, to, l->h.bounds, l->h.bounds_count) &&
		    sides_merge(a, &tl, &tr, to);
	*told |= HISTMATH_RECONCILED;
	return custom_merge(a, l, r, to);
}

/* l + r into another state. */
static bool merge(struct arena *a, const struct addend *l, const struct addend *r,
    struct sum_state *to, unsigned *told)
{
	to->count = l->h.count.f;
	to->count_error = l->count_error;
	kahan_with(r->h.count.f, r->count_error, &to->count, &to->count_error);
	to->sum = l->h.sum;
	to->sum_error = l->sum_error;
	kahan_with(r->h.sum, r->sum_error, &to->sum, &to->sum_error);
	return layouts_merge(a, l, r, to, told);
}

/* ---- in place ---- */

static bool in_place_side(const struct sum_state *t, unsigned k, const struct hist_side *s)
{
	const struct hist_side v = side_view(&t->sides[k]);
	return histm_same_spans(&v, s) &&
	    (t->schema == HIST_SCHEMA_CUSTOM || !s->spans_count ||
	        hist_bound(t->schema, s->spans[0].offset) > t->threshold);
}

static bool in_place(const struct sum_state *t, const struct addend *x)
{
	const struct hist v = { .bounds = t->bounds, .bounds_count = t->bounds_count };
	return !x->errors[0] && t->schema == x->h.schema && t->threshold == x->h.zero_threshold &&
	    in_place_side(t, 0, &x->h.negative) && in_place_side(t, 1, &x->h.positive) &&
	    histm_same_bounds(&v, &x->h);
}

static void add_in_place(struct sum_state *t, const struct hist *h)
{
	for (unsigned k = 0; k < 2; k++) {
		struct sum_side *s = &t->sides[k];
		const union hist_count *c = k ? h->positive.counts : h->negative.counts;
		for (uint32_t i = 0; i < s->counts_count; i++)
			histm_kahan(c[i].f, &s->counts[i].f, &s->errors[i]);
	}
	histm_kahan(h->zero_count.f, &t->zero, &t->zero_error);
	histm_kahan(h->count.f, &t->count, &t->count_error);
	histm_kahan(h->sum, &t->sum, &t->sum_error);
}

/* ---- adding ---- */

static bool add_plain(struct hist_sum *s, const struct addend *x, unsigned *told)
{
	struct sum_state *t = &s->states[s->now];
	if (in_place(t, x)) {
		add_in_place(t, &x->h);
		return true;
	}
	const struct addend l = state_view(t);
	if (!merge(s->arena, &l, x, &s->states[!s->now], told))
		return false;
	s->now = !s->now;
	return true;
}

/*
 * As long as the sum is finite it is a sum; then it goes on as a mean: m * (n - 1) / n + x / n. x
 * stands for x_count histograms, of which it is the sum, or the mean already.
 */
static bool add_to_mean(
    struct hist_sum *s, const struct addend *x, uint64_t x_count, bool x_running, unsigned *told)
{
	double before = (double)s->count, n = (double)(s->count + x_count);
	if (!s->running && !x_running) {
		const struct addend l = state_view(&s->states[s->now]);
		if (!merge(s->arena, &l, x, &s->states[!s->now], told))
			return false;
		if (!state_overflows(&s->states[!s->now])) {
			s->now = !s->now;
			return true;
		}
	}
	if (!s->running)
		state_scale(&s->states[s->now], before, true);
	s->running = true;
	state_scale(&s->states[s->now], before / n, false);
	struct sum_state *part = &s->states[STATE_PARTS];
	if (!state_set(s->arena, part, x))
		return false;
	state_scale(part, x_running ? (double)x_count / n : n, !x_running);
	struct addend y = state_view(part);
	if (!x->errors[0])
		y.errors[0] = y.errors[1] = NULL;
	return add_plain(s, &y, told);
}

static bool add_first(struct hist_sum *s, const struct addend *x, uint8_t hint)
{
	s->hint = hint;
	return state_set(s->arena, &s->states[s->now], x);
}

/* count histograms, whose sum or mean is x. */
static unsigned add(
    struct hist_sum *s, const struct addend *x, uint8_t hint, uint64_t count, bool x_running)
{
	unsigned told = 0, ignored = 0;
	bool ok;
	if (s->lost)
		return HISTMATH_NONE;
	if (!s->count) {
		ok = add_first(s, x, hint);
		s->running = x_running;
	} else {
		bool custom = s->states[s->now].schema == HIST_SCHEMA_CUSTOM;
		if (custom != histm_is_custom(&x->h))
			return HISTMATH_MIXED;
		s->hint = (uint8_t)histm_hint(s->hint, hint, &ignored);
		ok = s->mean ? add_to_mean(s, x, count, x_running, &told) : add_plain(s, x, &told);
	}
	s->count += count;
	s->lost = !ok;
	return told | (ok ? 0 : (unsigned)HISTMATH_NONE);
}

static unsigned collided(const struct hist_sum *s)
{
	return s->reset_seen && s->no_reset_seen ? HISTMATH_COLLIDED : 0;
}

unsigned hist_sum_add(struct hist_sum *s, const struct hist *h)
{
	const struct addend x = { .h = *h };
	unsigned told = add(s, &x, h->hint, 1, false);
	s->reset_seen |= h->hint == HIST_RESET;
	s->no_reset_seen |= h->hint == HIST_NO_RESET;
	return told | collided(s);
}

unsigned hist_sum_merge(struct hist_sum *s, const struct hist_sum *from)
{
	unsigned told = from->lost ? HISTMATH_NONE : 0;
	if (!from->count || from->lost)
		return told;
	const struct addend x = state_view(&from->states[from->now]);
	told |= add(s, &x, from->hint, from->count, from->running);
	s->reset_seen |= from->reset_seen;
	s->no_reset_seen |= from->no_reset_seen;
	return told | collided(s);
}

/* ---- the result ---- */

static double total(const struct hist_sum *s, double v, double error, double n)
{
	if (n != 1) {
		v /= n;
		error /= n;
	}
	return s->count > 1 ? v + error : v;
}

static bool side_total(
    const struct hist_sum *s, struct arena *a, unsigned k, double n, struct hist_side *to)
{
	const struct sum_state *t = &s->states[s->now];
	const struct sum_side *from = &t->sides[k];
	union hist_count *c = arena_array(a, from->counts_count, sizeof *c);
	struct hist_span *spans = arena_array(a, from->spans_count, sizeof *spans);
	if (!c || !spans)
		return false;
	if (from->spans_count)
		memcpy(spans, from->spans, from->spans_count * sizeof *spans);
	*to = (struct hist_side){ .counts = c,
		.spans = spans,
		.counts_count = from->counts_count,
		.spans_count = from->spans_count };
	/* Errors of buckets inside the zero bucket are not added, as upstream. */
	struct histm_walk w = histm_walk(to, 0);
	if (t->schema != HIST_SCHEMA_CUSTOM)
		while (histm_walk_more(&w) && hist_bound(t->schema, w.raw) <= t->threshold)
			histm_walk_skip(&w);
	for (uint32_t i = 0; i < from->counts_count; i++)
		c[i].f = total(s, from->counts[i].f, i < w.at ? 0 : from->errors[i], n);
	return true;
}

const struct hist *hist_sum_get(const struct hist_sum *s, struct arena *a)
{
	const struct sum_state *t = &s->states[s->now];
	double n = s->mean && !s->running ? (double)s->count : 1;
	if (!s->count || s->lost)
		return NULL;
	struct hist *to = arena_zalloc(a, sizeof *to);
	if (!to || !side_total(s, a, 0, n, &to->negative) || !side_total(s, a, 1, n, &to->positive))
		return NULL;
	to->is_float = true;
	to->hint = s->hint;
	to->schema = (int8_t)t->schema;
	to->zero_threshold = t->threshold;
	to->sum = total(s, t->sum, t->sum_error, n);
	to->count.f = total(s, t->count, t->count_error, n);
	to->zero_count.f = total(s, t->zero, t->zero_error, n);
	if (t->bounds_count) {
		to->bounds = arena_dup(a, t->bounds, t->bounds_count * sizeof *t->bounds);
		to->bounds_count = t->bounds_count;
		if (!to->bounds)
			return NULL;
	}
	return hist_compact(a, to);
}
