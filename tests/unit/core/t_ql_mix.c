/*
 * core/promql/run/ql_mix: every range function over columns with histograms, floats, stale markers
 * and start times, against a loop over each window that has floats and histograms apart, as
 * Prometheus' functions have them; what is told of the windows; and the same, interrupted wherever
 * it asks. Instant selectors, plain and smoothed; range selectors with points at their ends.
 */
#include "tests/lib/tap.h"
#include "tests/unit/core/mixmodel.h"

#define STEPS_MAX 90

static bool cut_always(void *arg, uint64_t work)
{
	(void)work;
	++*(unsigned *)arg;
	return true;
}

static unsigned bad, cuts;
static uint64_t values, hists, notes_met;

static bool same(double a, double b)
{
	return (isnan(a) && isnan(b)) || a == b || fabs(a - b) <= 1e-12 * fmax(fabs(a), fabs(b));
}

static bool same_value(const struct value *x, const struct ql_col *col, uint32_t i)
{
	bool is_hist_there = col->hists && ql_bit(col->hists->has, i);
	if (!x->h)
		return !is_hist_there && ql_bit(col->has, i) == x->there && same(col->v[i], x->v);
	return is_hist_there && !ql_bit(col->has, i) && hist_equal(col->hists->h[i], x->h);
}

static void compare_notes(const struct ql_notes *notes, unsigned told, uint32_t overlaps)
{
	unsigned seen = 0;
	uint64_t times = 0;

	for (uint32_t i = 0; i < notes->tab.count; i++) {
		for (unsigned k = 0; k < COUNT_OF(told_texts); k++)
			seen |= strcmp(notes->items[i].text, told_texts[k]) ? 0 : 1u << k;
		if (strstr(notes->items[i].text, "overlaps"))
			times += notes->items[i].times;
	}
	if (seen != told || times != overlaps) {
		if (bad++ < 5)
			tap_note("told %x, wanted %x; %d overlaps, wanted %d", seen, told,
			    (int)times, (int)overlaps);
	}
	notes_met += told || overlaps;
}

static void compare(struct ql_range *r, const struct column *c)
{
	static double out[STEPS_MAX];
	static uint64_t has[(STEPS_MAX + 63) / 64];
	static struct window w;
	struct errbuf eb;
	bool any, seen = false;
	struct sample_column in = { .count = c->count,
		.t_ms = c->t,
		.v = c->v,
		.h = c->has_h ? c->h : NULL,
		.start_ms = c->start };
	struct ql_col col = { .has = has, .v = out };
	struct arena a;
	struct ql_notes notes;

	arena_init(&a, 1 << 16);
	ql_notes_init(&notes, &a);
	errbuf_init(&eb);
	r->notes = &notes;
	r->labels = label_make(&a, "__name__", "m", "a", "b", NULL);
	memset(out, 0x55, sizeof(out)); /* nothing has to be cleared before */
	memset(has, 0x55, sizeof(has));
	do
		if (ql_range_run(r, &in, &col, &any, &eb))
			abort();
	while (r->again);
	w.told = w.overlaps = 0;
	for (uint32_t i = 0; i < r->spec.grid.n; i++) {
		unsigned told = w.told;
		w.told = 0;
		window_cut(&w, c, &r->spec, i, &a);
		if (of_floats(r->spec.fn)) {
			w.told = told | (w.f.n && w.h.n ? IGNORED : 0);
			seen = any;
			continue;
		}
		struct value x = want(r->spec.fn, &w);
		w.told |= told;
		seen = seen || x.there;
		values += x.there;
		hists += x.h != NULL;
		if (any ? !same_value(&x, &col, i) : x.there)
			if (bad++ < 5)
				tap_note(
				    "%s%s%s step %u, %u floats, %u histograms: got %d %.17g%s, wanted %d %.17g%s",
				    ql_functab[r->spec.fn].name, r->spec.anchored ? " anchored" : "",
				    r->spec.smoothed ? " smoothed" : "", i, w.f.n, w.h.n,
				    ql_bit(has, i), out[i],
				    col.hists && ql_bit(col.hists->has, i) ? " hist" : "", x.there,
				    x.v, x.h ? " hist" : "");
	}
	bad += any != seen;
	compare_notes(&notes, w.told, w.overlaps);
	arena_release(&a);
}

static struct ql_range_spec random_spec(enum ql_fn fn)
{
	static const int64_t ranges[] = { 1, 15000, 60000, 300000, 3600000 };
	static const int64_t steps[] = { 1, 7000, 15000, 60000, 600000 };
	bool rate = fn == QL_FN_RATE || fn == QL_FN_INCREASE || fn == QL_FN_DELTA;
	bool events = fn == QL_FN_RESETS || fn == QL_FN_CHANGES;
	struct ql_range_spec s = {
		.fn = fn,
		.grid = { 900000 + rnd(3000000), steps[rnd(5)], 1 + rnd(STEPS_MAX) },
		.range_ms = ranges[rnd(5)],
		.offset_ms = rnd(3) ? 0 : rnd(600000) - 300000,
		.fixed = rnd(8) == 0,
		.at_ms = 2500000,
		.start_times =
		    rnd(2) && fn != QL_FN_CHANGES && fn != QL_FN_DELTA && fn != QL_FN_IDELTA,
		.lookback_ms = 60000,
		.param = { ql_scalar_same(0.5), ql_scalar_same(0.5) },
	};
	s.anchored = (rate || events) && rnd(3) == 0;
	s.smoothed = rate && !s.anchored && rnd(2);
	return s;
}

static void function_matches(enum ql_fn fn)
{
	struct column *c = calloc(1, sizeof(*c));

	if (!c)
		abort();
	bad = 0;
	values = hists = notes_met = 0;
	arena_init(&c->arena, 1 << 16);
	for (unsigned round = 0; round < 80; round++) {
		struct ql_range_spec s = random_spec(fn);
		struct ql_range r;
		if (ql_range_init(&r, &s, NULL, NULL))
			abort();
		if (round % 2) {
			r.yield = cut_always;
			r.yield_arg = &cuts;
		}
		for (unsigned i = 0; i < 3; i++) {
			column_make(c, (enum flavour)rnd(FLAVOURS));
			compare(&r, c);
		}
		ql_range_release(&r);
	}
	arena_release(&c->arena);
	free(c);
	tap_ok(bad == 0, "%s: %d values, %d of them histograms, notes of %d columns",
	    ql_functab[fn].name, (int)values, (int)hists, (int)notes_met);
}

/* --- selectors --- */

enum selector {
	NEWEST,
	TIME,
	START,
	SMOOTHED
};

static struct value want_newest(enum selector what, const struct column *c, int64_t ref,
    const struct ql_range_spec *s, struct arena *a)
{
	uint32_t k = c->count;

	while (k && c->t[k - 1] > ref)
		k--;
	if (!k-- || c->t[k] <= ref - s->range_ms)
		return none;
	if (c->h[k] ? hist_is_stale(c->h[k]) : sample_is_stale(c->v[k]))
		return none;
	if (what != NEWEST)
		return a_float((double)(what == TIME ? c->t[k] : c->start[k]) / 1000);
	return c->h[k] ? a_hist(hist_to_float(a, c->h[k])) : a_float(c->v[k]);
}

static struct value want_smoothed(struct window *w, int64_t ref)
{
	const struct points *p = w->h.n ? &w->h : &w->f;
	uint32_t i = 0;

	if (w->f.n && w->h.n) {
		w->told |= KINDS_MET;
		return none;
	}
	while (i < p->n && p->t[i] < ref)
		i++;
	if (i < p->n && p->t[i] == ref)
		return w->h.n ? a_hist(p->h[i]) : a_float(p->v[i]);
	if (!i)
		return none;
	if (i == p->n)
		return w->h.n ? a_hist(hist_with_hint(w->a, p->h[i - 1], HIST_UNKNOWN))
		              : a_float(p->v[i - 1]);
	if (!w->h.n)
		return a_float(float_between(p, i - 1, ref, false));
	if (custom(p->h[i - 1]) != custom(p->h[i])) {
		w->told |= SCHEMAS_MET;
		return none;
	}
	bool counter = p->h[i - 1]->hint != HIST_GAUGE || p->h[i]->hint != HIST_GAUGE;
	return a_hist(between(w, i - 1, ref, counter));
}

static enum err selector_run(enum selector what, struct ql_range *r, const struct sample_column *in,
    struct ql_col *col, bool *any)
{
	struct errbuf eb;

	errbuf_init(&eb);
	if (what == SMOOTHED)
		return ql_smooth_run(r, in, col, any, &eb);
	return what == START ? ql_start_run(r, in, col, any, &eb)
	                     : ql_instant_run(r, what == TIME, in, col, any, &eb);
}

static void selector_compare(
    enum selector what, const struct column *c, const struct ql_range_spec *s)
{
	static double out[STEPS_MAX];
	static uint64_t has[(STEPS_MAX + 63) / 64];
	static struct window w;
	struct sample_column in = {
		.count = c->count, .t_ms = c->t, .v = c->v, .h = c->has_h ? c->h : NULL
	};
	struct ql_col col = { .has = has, .v = out };
	struct ql_notes notes;
	struct ql_range r;
	struct arena a;
	bool any;

	in.start_ms = c->start;
	arena_init(&a, 1 << 16);
	ql_notes_init(&notes, &a);
	if (ql_range_init(&r, s, NULL, NULL))
		abort();
	r.notes = &notes;
	r.labels = label_make(&a, "__name__", "m", NULL);
	memset(has, 0x55, sizeof(has));
	r.yield = cut_always;
	r.yield_arg = &cuts;
	do
		if (selector_run(what, &r, &in, &col, &any))
			abort();
	while (r.again);
	w.told = 0;
	for (uint32_t i = 0; i < s->grid.n; i++) {
		int64_t ref = ql_range_ref(s, i);
		window_cut(&w, c, s, i, &a);
		struct value x =
		    what == SMOOTHED ? want_smoothed(&w, ref) : want_newest(what, c, ref, s, &a);
		values += x.there;
		hists += x.h != NULL;
		if ((any ? !same_value(&x, &col, i) : x.there) && bad++ < 5)
			tap_note("step %u: got %d %.17g, wanted %d %.17g%s", i, ql_bit(has, i),
			    out[i], x.there, x.v, x.h ? " hist" : "");
	}
	compare_notes(&notes, w.told, 0);
	ql_range_release(&r);
	arena_release(&a);
}

static void selectors_match(enum selector what, const char *name)
{
	struct column *c = calloc(1, sizeof(*c));

	if (!c)
		abort();
	bad = 0;
	values = hists = notes_met = 0;
	arena_init(&c->arena, 1 << 16);
	for (unsigned round = 0; round < 300; round++) {
		struct ql_range_spec s = {
			.grid = { 900000 + rnd(3000000), 1 + rnd(40000), 1 + rnd(STEPS_MAX) },
			.range_ms = what == SMOOTHED ? 0 : 300000,
			.lookback_ms = 60000,
			.smoothed = what == SMOOTHED,
			.offset_ms = rnd(100000),
			.fixed = rnd(8) == 0,
			.at_ms = 2500000,
		};
		if (what == SMOOTHED && rnd(3) == 0) /* right at samples */
			s.grid = (struct ql_grid){ 1000000, 1000, STEPS_MAX };
		column_make(c, (enum flavour)rnd(FLAVOURS));
		if (rnd(3) == 0 && what == SMOOTHED)
			for (uint32_t i = 0; i < c->count; i++)
				c->t[i] -= c->t[i] % 1000;
		selector_compare(what, c, &s);
	}
	arena_release(&c->arena);
	free(c);
	tap_ok(bad == 0, "%s: %d values, %d of them histograms, notes of %d columns", name,
	    (int)values, (int)hists, (int)notes_met);
}

/* --- range selectors with a point at each end --- */

static void ends_are_made(const char *what, bool smoothed, const char *samples, const char *want)
{
	int64_t t[16] = { 0 };
	double v[16] = { 0 };
	uint32_t n = 0;
	char got[256] = "", *end;
	struct ql_range_spec s = {
		.grid = { 100000, 1, 1 }, .range_ms = 50000, .smoothed = smoothed, .anchored = !smoothed
	};

	for (const char *at = samples; *at; at = end + (*end == ' ')) {
		t[++n] = strtol(at, &end, 10) * 1000;
		v[n] = strtod(end + 1, &end);
	}
	struct ql_extend x = ql_extend(&s, t, v, n);
	for (uint32_t i = x.from; i < x.from + x.count; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%lld:%g",
		    i > x.from ? " " : "", (long long)t[i] / 1000, v[i]);
	tap_ok(strcmp(got, want) == 0, "%s %s: %s", smoothed ? "smoothed" : "anchored", what, got);
}

/* The window is (50, 100]. */
static void windows_have_ends(void)
{
	ends_are_made("with samples on all sides", false, "40:1 60:2 90:5", "50:1 60:2 90:5 100:5");
	ends_are_made(
	    "with samples on all sides", true, "40:1 60:2 90:5 110:9", "50:1.5 60:2 90:5 100:7");
	ends_are_made("with samples at the ends", false, "50:1 60:2 100:5", "50:1 60:2 100:5");
	ends_are_made("with samples at the ends", true, "50:1 60:2 100:5", "50:1 60:2 100:5");
	ends_are_made("with samples inside alone", false, "60:2 90:5", "50:2 60:2 90:5 100:5");
	ends_are_made("with samples inside alone", true, "60:2 90:5", "50:2 60:2 90:5 100:5");
	ends_are_made("with one sample", false, "60:2", "50:2 60:2 100:2");
	ends_are_made("with one sample at the end", false, "100:2", "50:2 100:2");
	ends_are_made("with one sample", true, "60:2", "50:2 60:2 100:2");
	ends_are_made("with nothing inside", false, "10:1 40:2", "");
	ends_are_made("with nothing inside", true, "40:2 120:6", "50:2.5 100:5");
	ends_are_made("with samples before alone", true, "10:1 50:2", "");
	ends_are_made("without samples", false, "", "");
	ends_are_made("of a counter that fell", true, "40:8 60:2 110:1", "50:5 60:2 100:1.2");
}

int main(void)
{
	for (int fn = 0; fn < QL_FN_COUNT; fn++)
		if (ql_range_knows((enum ql_fn)fn))
			function_matches((enum ql_fn)fn);
	selectors_match(NEWEST, "instant selectors");
	selectors_match(TIME, "timestamp");
	selectors_match(START, "start_timestamp");
	selectors_match(SMOOTHED, "smoothed selectors");
	windows_have_ends();
	tap_ok(cuts > 100, "interrupted %u times", cuts);
	return tap_done();
}
