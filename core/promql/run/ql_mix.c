#include "core/promql/run/ql_mix_priv.h"

#include <string.h>

/* --- life --- */

static struct ql_mix *make(struct ql_range *r)
{
	struct ql_mix *m = mem_zalloc(sizeof(*m));

	arena_init(&m->keep, 4096);
	arena_init(&m->scratch, 4096);
	if (r->_budget && r->_budget->bytes) {
		arena_purse(&m->keep, r->_budget->bytes);
		arena_purse(&m->scratch, r->_budget->bytes);
	}
	return m;
}

void ql_mix_release(struct ql_range *r)
{
	struct ql_mix *m = r->_mix;
	struct ql_range_room *rooms[] = { &m->t, &m->v, &m->raw, &m->h, &m->start, &m->hists,
		&m->customs, &m->gauges, &m->points, &m->events, &m->overlaps, &m->float_t,
		&m->float_v, &m->out_has, &m->out_h };

	for (size_t i = 0; i < COUNT_OF(rooms); i++)
		ql_range_room_free(r, rooms[i]);
	if (m->has_floats)
		ql_range_release(&m->floats);
	arena_release(&m->keep);
	arena_release(&m->scratch);
	mem_free(m);
	r->_mix = NULL;
}

static void enter(struct ql_mix *m, enum ql_mix_phase phase)
{
	m->phase = phase;
	m->pos = 0;
}

/* Whatever came of it: the next run begins a column. */
static enum err end(struct ql_range *r, enum err e)
{
	r->_mix->phase = QL_MIX_NEW;
	r->again = false; /* the slice may be over, but so is the column */
	return e;
}

/* Is the slice over, or *e: arenas grew above a limit. */
static bool pause(struct ql_range *r, uint64_t work, enum err *e, struct errbuf *eb)
{
	r->_work += work;
	if (r->_work < QL_RANGE_WORK)
		return false;
	if (r->_budget && (*e = ql_budget_look(r->_budget, eb)))
		return true;
	return ql_range_pause(r, 0);
}

static bool of_times(enum ql_fn fn) /* functions that know start times */
{
	return fn == QL_FN_RATE || fn == QL_FN_INCREASE || fn == QL_FN_IRATE || fn == QL_FN_RESETS;
}

bool ql_mix_wants(const struct ql_range *r, const struct sample_column *in)
{
	const struct ql_range_spec *s = &r->spec;

	return in->h || (in->start_ms && s->start_times && of_times(s->fn) && !ql_range_extended(s));
}

/* --- gathering --- */

static enum err gather_room(struct ql_range *r, struct errbuf *eb)
{
	struct ql_mix *m = r->_mix;
	size_t n = r->_in.count;
	struct {
		struct ql_range_room *room;
		size_t count, size;
		bool when;
	} rows[] = {
		{ &m->t, n, sizeof(int64_t), true },
		{ &m->v, n, sizeof(double), true },
		{ &m->raw, n, sizeof(void *), true },
		{ &m->h, n, sizeof(void *), true },
		{ &m->hists, n + 1, sizeof(uint32_t), true },
		{ &m->customs, n + 1, sizeof(uint32_t), true },
		{ &m->gauges, n + 1, sizeof(uint32_t), true },
		{ &m->points, n + 1, sizeof(uint64_t), true },
		{ &m->start, n, sizeof(int64_t), m->starts },
		{ &m->float_t, n, sizeof(int64_t), !m->starts },
		{ &m->float_v, n, sizeof(double), !m->starts },
		{ &m->events, n + 1, sizeof(uint32_t), true },
		{ &m->overlaps, n + 1, sizeof(uint32_t), m->starts },
	};
	enum err e = ERR_OK;

	for (size_t i = 0; !e && i < COUNT_OF(rows); i++)
		if (rows[i].when)
			e = ql_range_room(r, rows[i].room, rows[i].count, rows[i].size, eb);
	return e;
}

uint64_t ql_hist_points(const struct hist *h)
{
	return h ? (176 + 8 * hist_cost(h)) / 16 : 1;
}

const uint64_t *ql_mix_points(const struct ql_range *r)
{
	return r->_mix->points.p;
}

/* What counts of one without its buckets. */
static const struct hist bare_hist = { .is_float = true };

/* One that is no marker. */
static void gather(struct ql_mix *m, const struct sample_column *in, uint32_t i)
{
	const struct hist *h = in->h ? in->h[i] : NULL;
	uint32_t k = m->count++;
	uint32_t *hists = m->hists.p, *customs = m->customs.p, *gauges = m->gauges.p;
	uint64_t *points = m->points.p;

	((int64_t *)m->t.p)[k] = in->t_ms[i];
	((double *)m->v.p)[k] = in->v[i];
	((const struct hist **)m->raw.p)[k] = h;
	((const struct hist **)m->h.p)[k] = NULL;
	hists[k + 1] = hists[k] + (h != NULL);
	customs[k + 1] = customs[k] + (h && h->schema == HIST_SCHEMA_CUSTOM);
	gauges[k + 1] = gauges[k] + (h && h->hint == HIST_GAUGE);
	points[k + 1] = points[k] + (h && m->hints ? ql_hist_points(&bare_hist) : ql_hist_points(h));
	if (m->starts)
		((int64_t *)m->start.p)[k] = in->start_ms ? in->start_ms[i] : 0;
	if (h) {
		m->schema_min = h->schema < m->schema_min ? h->schema : m->schema_min;
		m->schema_max = h->schema > m->schema_max ? h->schema : m->schema_max;
	} else if (!m->starts) {
		((int64_t *)m->float_t.p)[m->floats_count] = in->t_ms[i];
		((double *)m->float_v.p)[m->floats_count++] = in->v[i];
	}
}

static bool is_marker(const struct sample_column *in, uint32_t i)
{
	const struct hist *h = in->h ? in->h[i] : NULL;
	return h ? hist_is_stale(h) : sample_is_no_float(in->v[i]);
}

static bool run_gather(struct ql_range *r, enum err *e, struct errbuf *eb)
{
	struct ql_mix *m = r->_mix;
	const struct sample_column *in = &r->_in;

	while (m->pos < in->count) {
		uint32_t k = in->count - m->pos < QL_RANGE_WORK ? in->count - m->pos : QL_RANGE_WORK;
		for (uint32_t i = m->pos; i < m->pos + k; i++)
			if (!is_marker(in, i))
				gather(m, in, i);
		m->pos += k;
		if (pause(r, k, e, eb))
			return true;
	}
	return false;
}

/* Has the counter begun again, as far as the buckets of h and the one before it tell? */
static enum hist_hint hint_of(const struct hist *h, const struct hist *before)
{
	struct arena a;

	if (h->hint != HIST_UNKNOWN || !before)
		return (enum hist_hint)h->hint;
	arena_init(&a, 4096);
	bool reset = hist_reset_after(&a, hist_to_float(&a, before), hist_to_float(&a, h));
	arena_release(&a);
	return reset ? HIST_RESET : HIST_NO_RESET;
}

/* A float histogram of what the store has: whole, or without its buckets (enum ql_buckets). */
static const struct hist *made_of(struct ql_mix *m, const struct hist *h, const struct hist *before)
{
	if (LIKELY(!m->hints))
		return hist_to_float(&m->keep, h);
	struct hist *bare = arena_zalloc(&m->keep, sizeof(*bare));
	*bare = (struct hist){ .is_float = true,
		.hint = (uint8_t)hint_of(h, before),
		.schema = h->schema,
		.sum = h->sum,
		.count.f = h->is_float ? h->count.f : (double)h->count.n };
	return bare;
}

const struct hist *ql_mix_hist(struct ql_mix *m, uint32_t k)
{
	const struct hist **h = (const struct hist **)m->h.p + k;
	const struct hist *const *raw = m->raw.p;
	uint32_t before = k;

	if (*h || !raw[k])
		return *h;
	while (before && !raw[before - 1])
		before--;
	*h = made_of(m, raw[k], before ? raw[before - 1] : NULL);
	return *h;
}

uint32_t ql_mix_first(const struct ql_range_room *list, uint32_t count, uint32_t k)
{
	const uint32_t *at = list->p;
	uint32_t lo = 0, hi = count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (at[mid] < k)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* --- neighbours --- */

static bool wants_events(const struct ql_range *r)
{
	enum ql_fn fn = r->spec.fn;
	return fn == QL_FN_RATE || fn == QL_FN_INCREASE || fn == QL_FN_RESETS || fn == QL_FN_CHANGES;
}

static void list(struct ql_range *r, uint32_t k)
{
	struct ql_mix *m = r->_mix;
	const int64_t *t = m->t.p, *s = m->start.p;

	if (ql_mixhist_event(r, k))
		((uint32_t *)m->events.p)[m->events_count++] = k;
	if (m->starts && ql_mixstart_overlaps(s[k - 1], t[k - 1], s[k]))
		((uint32_t *)m->overlaps.p)[m->overlaps_count++] = k;
	if (arena_used(&m->scratch) > QL_MIX_SCRATCH)
		arena_reset(&m->scratch, QL_MIX_SCRATCH);
}

static bool run_events(struct ql_range *r, enum err *e, struct errbuf *eb)
{
	struct ql_mix *m = r->_mix;

	for (m->pos = m->pos ? m->pos : 1; wants_events(r) && m->pos < m->count;) {
		list(r, m->pos++);
		if (pause(r, 1, e, eb))
			return true;
	}
	((uint32_t *)m->events.p)[m->events_count] = UINT32_MAX;
	if (m->starts)
		((uint32_t *)m->overlaps.p)[m->overlaps_count] = UINT32_MAX;
	return false;
}

/* --- windows --- */

static void bounds_step(struct ql_range *r, uint32_t i)
{
	const struct ql_range_spec *s = &r->spec;
	struct ql_range_bounds *b = &r->_bounds;
	bool extended = ql_range_extended(s);
	const uint64_t *points = r->_mix->points.p;
	int64_t ref = ql_range_ref(s, i);
	int64_t from = num_sat_sub(ref, num_sat_add(s->range_ms, extended ? s->lookback_ms : 0));
	int64_t to = num_sat_add(ref, s->smoothed ? s->lookback_ms : 0);

	b->hi = ql_range_after(r, b->hi, to);
	uint32_t lo = ql_range_after(r, b->lo, from);
	b->lo = lo < b->hi ? lo : b->hi;
	if (i) {
		uint32_t seen = ql_range_after(r, b->seen, num_sat_sub(to, s->grid.step_ms));
		b->seen = seen < b->hi ? seen : b->hi;
	}
	r->lo[i] = b->lo;
	r->hi[i] = b->hi;
	b->in_windows += points[b->hi] - points[b->lo];
	if (ql_reads_step(&s->reads, i) && !(s->fixed && i))
		b->read += points[b->hi] - points[b->seen > b->lo ? b->seen : b->lo];
}

static bool run_bounds(struct ql_range *r, enum err *e, struct errbuf *eb)
{
	struct ql_mix *m = r->_mix;

	for (; m->pos < r->spec.grid.n;) {
		bounds_step(r, m->pos++);
		if (pause(r, 4, e, eb))
			return true;
	}
	return false;
}

/* The windows of the floats alone, as a range of its own has them. */
static bool run_floats(
    struct ql_range *r, bool smooth, struct ql_col *out, enum err *e, struct errbuf *eb)
{
	struct ql_mix *m = r->_mix;
	struct ql_range *f = &m->floats;
	struct sample_column in = { .count = m->floats_count, .t_ms = m->float_t.p, .v = m->float_v.p };
	bool any;

	if (!m->has_floats) {
		m->has_floats = true; /* what is made is released */
		if ((*e = ql_range_init(f, &r->spec, r->_budget, eb)))
			return true;
	}
	f->yield = r->yield;
	f->yield_arg = r->yield_arg;
	f->plain = r->plain;
	*e = smooth ? ql_smooth_run(f, &in, out, &any, eb) : ql_range_run(f, &in, out, &any, eb);
	r->again = f->again;
	return *e || f->again;
}

static bool run_clear(struct ql_range *r, struct ql_col *out, enum err *e, struct errbuf *eb)
{
	struct ql_mix *m = r->_mix;
	uint32_t n = r->spec.grid.n;

	while (m->pos < n) {
		uint32_t k = n - m->pos < QL_RANGE_STRETCH ? n - m->pos : QL_RANGE_STRETCH;
		memset(out->v + m->pos, 0, k * sizeof(*out->v));
		memset(out->has + m->pos / 64, 0, ql_words(k) * sizeof(*out->has));
		m->pos += k;
		if (pause(r, k / 8, e, eb))
			return true;
	}
	return false;
}

/* May there be histograms in the result? */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
static bool gives_hists(enum ql_fn fn)
{
	switch (fn) {
	case QL_FN_RATE:
	case QL_FN_INCREASE:
	case QL_FN_DELTA:
	case QL_FN_IRATE:
	case QL_FN_IDELTA:
	case QL_FN_SUM_OVER_TIME:
	case QL_FN_AVG_OVER_TIME:
	case QL_FN_FIRST_OVER_TIME:
	case QL_FN_LAST_OVER_TIME:
		return true;
	default:
		return false;
	}
}
#pragma GCC diagnostic pop

static enum err out_room(struct ql_range *r, struct errbuf *eb)
{
	struct ql_mix *m = r->_mix;
	uint32_t n = r->spec.grid.n;
	enum err e = ql_range_room(r, &m->out_has, ql_words(n), sizeof(uint64_t), eb);

	if (!e)
		e = ql_range_room(r, &m->out_h, n, sizeof(void *), eb);
	m->out = (struct ql_hists){ .has = m->out_has.p, .h = m->out_h.p };
	return e;
}

/* The same for the histograms of the result. */
static bool run_clear_hists(struct ql_range *r, enum err *e, struct errbuf *eb)
{
	struct ql_mix *m = r->_mix;
	uint32_t n = r->spec.grid.n;

	if (!m->pos && (*e = out_room(r, eb)))
		return true;
	while (m->pos < n) {
		uint32_t k = n - m->pos < QL_RANGE_STRETCH ? n - m->pos : QL_RANGE_STRETCH;
		memset(m->out.h + m->pos, 0, k * sizeof(*m->out.h));
		memset(m->out.has + m->pos / 64, 0, ql_words(k) * sizeof(*m->out.has));
		m->pos += k;
		if (pause(r, k / 8, e, eb))
			return true;
	}
	return false;
}

static void put(struct ql_range *r, uint32_t i, enum ql_mix_did did, struct ql_col *out)
{
	struct ql_mix *m = r->_mix;

	if (did == QL_MIX_FLOAT) {
		out->v[i] = m->win.v;
		ql_bit_on(out->has, i);
	}
	if (did != QL_MIX_HIST)
		return;
	m->any_out = true;
	m->out.h[i] = m->win.stays ? m->win.h : hist_copy(&m->keep, m->win.h);
	ql_bit_on(m->out.has, i);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
static bool is_float_fn(enum ql_fn fn)
{
	switch (fn) {
	case QL_FN_DERIV:
	case QL_FN_PREDICT_LINEAR:
	case QL_FN_MIN_OVER_TIME:
	case QL_FN_MAX_OVER_TIME:
	case QL_FN_TS_OF_MIN_OVER_TIME:
	case QL_FN_TS_OF_MAX_OVER_TIME:
	case QL_FN_QUANTILE_OVER_TIME:
	case QL_FN_STDDEV_OVER_TIME:
	case QL_FN_STDVAR_OVER_TIME:
	case QL_FN_MAD_OVER_TIME:
	case QL_FN_DOUBLE_EXPONENTIAL_SMOOTHING:
		return true;
	default:
		return false;
	}
}
#pragma GCC diagnostic pop

/* One window; what floats alone make of it is there already. */
static enum ql_mix_did window(struct ql_range *r, bool smooth, uint32_t i, struct ql_col *out)
{
	struct ql_mix *m = r->_mix;
	uint32_t lo = r->lo[i], hi = r->hi[i], hists = ql_mix_hists(m, lo, hi);

	if (lo == hi || (!hists && !m->starts))
		return QL_MIX_NONE;
	if (!smooth && is_float_fn(r->spec.fn)) {
		if (hists < hi - lo)
			m->win.told = QL_MIX_IGNORED;
		return QL_MIX_NONE;
	}
	out->v[i] = 0;
	ql_bit_off(out->has, i);
	if (smooth)
		return ql_mixhist_smooth(r, lo, hi, ql_range_ref(&r->spec, i));
	return hists ? ql_mixhist_window(r, i, lo, hi) : ql_mixstart_window(r, i, lo, hi);
}

static bool run_windows(
    struct ql_range *r, bool smooth, struct ql_col *out, enum err *e, struct errbuf *eb)
{
	struct ql_mix *m = r->_mix;

	while (m->pos < r->spec.grid.n) {
		enum ql_mix_did did = window(r, smooth, m->pos, out);
		if (did == QL_MIX_CUT)
			return true;
		put(r, m->pos, did, out);
		m->told |= m->win.told;
		m->win = (struct ql_mix_win){ 0 };
		if (arena_used(&m->scratch) > QL_MIX_SCRATCH / 4)
			arena_reset(&m->scratch, QL_MIX_SCRATCH);
		m->pos++;
		if (pause(r, 2, e, eb))
			return true;
	}
	return false;
}

/* --- notes --- */

static void tell(struct ql_range *r, unsigned bit, bool info, const char *text)
{
	if (r->_mix->told & bit)
		ql_notes_named(r->notes, info, r->pos, text, r->labels);
}

static void tell_all(struct ql_range *r)
{
	struct ql_mix *m = r->_mix;
	unsigned aggr = (m->told & QL_MIX_AGGREGATED ? HISTMATH_RECONCILED : 0) |
	    (m->told & QL_MIX_COLLIDED ? HISTMATH_COLLIDED : 0);

	if (!r->notes || (!m->told && !m->overlapping))
		return;
	tell(r, QL_MIX_KINDS, false, "encountered a mix of histograms and floats for metric name");
	tell(r, QL_MIX_SCHEMAS, false,
	    "vector contains a mix of histograms with exponential and custom buckets schemas for metric name");
	tell(r, QL_MIX_NOT_COUNTER, false, "this native histogram metric is not a counter:");
	tell(r, QL_MIX_NOT_GAUGE, false, "this native histogram metric is not a gauge:");
	tell(r, QL_MIX_IGNORED, true,
	    "ignored histograms in a range containing both floats and histograms for metric name");
	if (m->told & QL_MIX_ADDED)
		ql_notes_told(r->notes, r->pos, HISTMATH_RECONCILED, "addition");
	if (m->told & QL_MIX_SUBTRACTED)
		ql_notes_told(r->notes, r->pos, HISTMATH_RECONCILED, "subtraction");
	ql_notes_told(r->notes, r->pos, aggr, "aggregation");
	if (m->overlapping)
		ql_notes_overlap(r->notes, r->pos, r->labels, m->overlapping);
}

/* --- a column --- */

static void begin(struct ql_range *r, const struct sample_column *in, struct ql_col *out)
{
	if (!r->_mix)
		r->_mix = make(r);
	struct ql_mix *m = r->_mix;

	out->hists = NULL;
	r->_in = *in;
	r->_times_valid = false;
	r->_bounds = (struct ql_range_bounds){ 0 };
	r->samples_in_windows = r->samples_read = 0;
	arena_reset(&m->keep, QL_MIX_SCRATCH);
	arena_reset(&m->scratch, QL_MIX_SCRATCH);
	m->count = m->floats_count = m->events_count = m->overlaps_count = 0;
	m->schema_min = HIST_SCHEMA_FINER + 1;
	m->schema_max = HIST_SCHEMA_CUSTOM - 1;
	m->win = (struct ql_mix_win){ 0 };
	m->any_out = false;
	m->hints = r->spec.buckets == QL_BUCKETS_HINTS;
	m->told = 0;
	m->overlapping = 0;
}

/* All phases of a gathered column. False: the slice is over, or *e. */
static bool phases(struct ql_range *r, bool smooth, struct ql_col *out, enum err *e, struct errbuf *eb)
{
	struct ql_mix *m = r->_mix;

	if (m->phase == QL_MIX_GATHER) {
		if (run_gather(r, e, eb))
			return false;
		r->_in = (struct sample_column){ .count = m->count, .t_ms = m->t.p, .v = m->v.p };
		enter(m, QL_MIX_EVENTS);
	}
	if (m->phase == QL_MIX_EVENTS) {
		if (!smooth && run_events(r, e, eb))
			return false;
		enter(m, QL_MIX_BOUNDS);
	}
	if (m->phase == QL_MIX_BOUNDS) {
		if (run_bounds(r, e, eb))
			return false;
		enter(m, m->floats_count ? QL_MIX_FLOATS : QL_MIX_CLEAR);
	}
	if (m->phase == QL_MIX_FLOATS) {
		if (run_floats(r, smooth, out, e, eb))
			return false;
		enter(m, QL_MIX_CLEAR_HISTS);
	}
	if (m->phase == QL_MIX_CLEAR) {
		if (run_clear(r, out, e, eb))
			return false;
		enter(m, QL_MIX_CLEAR_HISTS);
	}
	if (m->phase == QL_MIX_CLEAR_HISTS) {
		bool may = smooth || gives_hists(r->spec.fn);
		if (may && ql_mix_hists(m, 0, m->count) && run_clear_hists(r, e, eb))
			return false;
		enter(m, QL_MIX_WINDOWS);
	}
	return !run_windows(r, smooth, out, e, eb);
}

static void finish(struct ql_range *r, struct ql_col *out, bool *any)
{
	struct ql_mix *m = r->_mix;

	out->hists = m->any_out ? &m->out : NULL;
	*any = ql_col_any(out, r->spec.grid.n);
	tell_all(r);
}

enum err ql_mix_run(struct ql_range *r, bool smooth, const struct sample_column *in,
    struct ql_col *out, bool *any, struct errbuf *eb)
{
	struct ql_mix *m = r->_mix;
	enum err e = ERR_OK;

	*any = r->again = false;
	if (!m || m->phase == QL_MIX_NEW) {
		begin(r, in, out);
		m = r->_mix;
		m->starts = !smooth && in->start_ms && r->spec.start_times &&
		    of_times(r->spec.fn) && !ql_range_extended(&r->spec);
		if ((e = gather_room(r, eb)))
			return end(r, e);
		((uint32_t *)m->hists.p)[0] = ((uint32_t *)m->customs.p)[0] = 0;
		((uint32_t *)m->gauges.p)[0] = 0;
		((uint64_t *)m->points.p)[0] = 0;
		enter(m, QL_MIX_GATHER);
	}
	if (!phases(r, smooth, out, &e, eb))
		return e ? end(r, e) : ERR_OK;
	if (!smooth) {
		r->samples_in_windows = r->_bounds.in_windows;
		r->samples_read = r->_bounds.read;
	}
	finish(r, out, any);
	return end(r, ERR_OK);
}

/* --- instant selectors --- */

static double instant_number(const struct sample_column *in, uint32_t k, enum ql_mix_want want)
{
	if (want != QL_MIX_START)
		return (double)in->t_ms[k] / 1000;
	return in->start_ms ? (double)in->start_ms[k] / 1000 : 0;
}

/* The histogram before sample k that is no marker. */
static const struct hist *hist_before(const struct sample_column *in, uint32_t k)
{
	while (k && (!in->h[k - 1] || hist_is_stale(in->h[k - 1])))
		k--;
	return k ? in->h[k - 1] : NULL;
}

/* The newest sample, k, at step i. */
static enum ql_mix_did instant_step(struct ql_range *r, enum ql_mix_want want, uint32_t k)
{
	struct ql_mix *m = r->_mix;
	const struct sample_column *in = &r->_in;

	if (is_marker(in, k))
		return QL_MIX_NONE;
	bool itself = want == QL_MIX_VALUE || (want == QL_MIX_INFO && in->h && in->h[k]);
	if (!itself) {
		m->win.v = instant_number(in, k, want);
		return QL_MIX_FLOAT;
	}
	if (!in->h || !in->h[k]) {
		m->win.v = in->v[k];
		return QL_MIX_FLOAT;
	}
	if (m->last != k || !m->win.h) {
		m->win.h = made_of(m, in->h[k], hist_before(in, k));
		m->win.stays = true;
		m->last = k;
		r->_work += ql_mix_work(m->win.h);
	}
	return QL_MIX_HIST;
}

static bool run_instant(
    struct ql_range *r, enum ql_mix_want want, struct ql_col *out, enum err *e, struct errbuf *eb)
{
	struct ql_mix *m = r->_mix;
	const struct ql_range_spec *s = &r->spec;

	while (m->pos < s->grid.n) {
		uint32_t i = m->pos;
		int64_t ref = ql_range_ref(s, i);
		uint32_t hi = r->_bounds.hi = ql_range_after(r, r->_bounds.hi, ref);
		bool there = hi && r->_in.t_ms[hi - 1] > num_sat_sub(ref, s->range_ms);
		enum ql_mix_did did = there ? instant_step(r, want, hi - 1) : QL_MIX_NONE;
		put(r, i, did, out);
		if (did != QL_MIX_NONE) {
			uint64_t points = did == QL_MIX_HIST ? ql_hist_points(m->win.h) : 1;
			r->samples_in_windows += points;
			r->samples_read += ql_reads_step(&s->reads, i) ? points : 0;
		}
		m->pos++;
		if (pause(r, 2, e, eb))
			return true;
	}
	return false;
}

enum err ql_mix_instant(struct ql_range *r, enum ql_mix_want want, const struct sample_column *in,
    struct ql_col *out, bool *any, struct errbuf *eb)
{
	enum err e = ERR_OK;

	*any = r->again = false;
	if (!r->_mix || r->_mix->phase == QL_MIX_NEW) {
		begin(r, in, out);
		enter(r->_mix, QL_MIX_CLEAR);
	}
	if (r->_mix->phase == QL_MIX_CLEAR) {
		if (run_clear(r, out, &e, eb))
			return e ? end(r, e) : ERR_OK;
		enter(r->_mix, QL_MIX_CLEAR_HISTS);
	}
	if (r->_mix->phase == QL_MIX_CLEAR_HISTS) {
		if (want != QL_MIX_TIME && want != QL_MIX_START && run_clear_hists(r, &e, eb))
			return e ? end(r, e) : ERR_OK;
		enter(r->_mix, QL_MIX_WINDOWS);
	}
	if (run_instant(r, want, out, &e, eb))
		return e ? end(r, e) : ERR_OK;
	finish(r, out, any);
	return end(r, ERR_OK);
}
