#include "core/promql/run/ql_kernel.h"
#include "core/promql/run/ql_range_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define QL_SHELL_MAX 4096 /* beyond, the library sorts */
/*
 * Longer columns find their bounds faster than they are compared with the column before: 1 MiB of
 * times.
 */
#define QL_TIMES_KEEP (1u << 17)

/* --- memory --- */

static enum err charge(struct ql_range *r, uint64_t bytes, struct errbuf *eb)
{
	enum err e = r->_budget ? ql_charge_heap(r->_budget, bytes, eb) : ERR_OK;
	if (!e)
		r->_charged += bytes;
	return e;
}

static void room_free(struct ql_range *r, struct ql_range_room *room)
{
	mem_free(room->p);
	if (r->_budget)
		ql_uncharge_heap(r->_budget, room->bytes);
	r->_charged -= room->bytes;
	*room = (struct ql_range_room){ 0 };
}

enum err ql_range_room(
    struct ql_range *r, struct ql_range_room *room, size_t count, size_t size, struct errbuf *eb)
{
	size_t want = count < 1u << 20 ? count + count / 2 + 64 : count;

	if (LIKELY(count <= room->bytes / size))
		return ERR_OK;
	room_free(r, room);
	enum err e = charge(r, (uint64_t)want * size, eb);
	if (e)
		return e;
	room->p = mem_array(NULL, want, size);
	room->bytes = want * size;
	return ERR_OK;
}

void ql_range_room_free(struct ql_range *r, struct ql_range_room *room)
{
	room_free(r, room);
}

/* An array with a value for each step; NULL: *e. */
static void *steps_array(struct ql_range *r, size_t size, enum err *e, struct errbuf *eb)
{
	*e = charge(r, (uint64_t)r->spec.grid.n * size, eb);
	return *e ? NULL : mem_array(NULL, r->spec.grid.n, size);
}

static bool is_rate(enum ql_fn fn)
{
	return fn == QL_FN_RATE || fn == QL_FN_INCREASE || fn == QL_FN_DELTA;
}

static bool is_line(enum ql_fn fn)
{
	return fn == QL_FN_DERIV || fn == QL_FN_PREDICT_LINEAR;
}

enum err ql_range_init(struct ql_range *r, const struct ql_range_spec *spec,
    struct ql_budget *budget, struct errbuf *eb)
{
	*r = (struct ql_range){ .spec = *spec, ._budget = budget };
	enum err e;
	if (!(r->lo = steps_array(r, sizeof(*r->lo), &e, eb)))
		return e;
	if (!(r->hi = steps_array(r, sizeof(*r->hi), &e, eb)))
		return e;
	if ((e = charge(r, ql_words(spec->grid.n) * sizeof(*r->enough), eb)))
		return e;
	r->enough = mem_array(NULL, ql_words(spec->grid.n), sizeof(*r->enough));
	bool rate = is_rate(spec->fn) && !ql_range_extended(spec);
	if (rate && !(r->rate = steps_array(r, sizeof(*r->rate), &e, eb)))
		return e;
	if (rate && !(r->rates = steps_array(r, 3 * sizeof(*r->rates), &e, eb)))
		return e;
	if (is_line(spec->fn) && !(r->line = steps_array(r, sizeof(*r->line), &e, eb)))
		return e;
	return ERR_OK;
}

void ql_range_release(struct ql_range *r)
{
	if (r->_mix)
		ql_mix_release(r);
	mem_free(r->lo);
	mem_free(r->hi);
	mem_free(r->enough);
	mem_free(r->rate);
	mem_free(r->rates);
	mem_free(r->line);
	room_free(r, &r->_t);
	room_free(r, &r->_v);
	room_free(r, &r->_times);
	room_free(r, &r->_sums);
	room_free(r, &r->_errors);
	room_free(r, &r->_index);
	room_free(r, &r->_table);
	if (r->_budget)
		ql_uncharge_heap(r->_budget, r->_charged);
	*r = (struct ql_range){ 0 };
}

/* --- slices --- */

bool ql_range_pause_slow(struct ql_range *r)
{
	uint64_t work = r->_work;

	r->_work = 0;
	return r->again = r->yield && r->yield(r->yield_arg, work);
}

static void enter(struct ql_range *r, enum ql_range_phase phase)
{
	r->_phase = phase;
	r->_pos = 0;
}

/* Phases return true when the slice is over. */

static bool run_clear(struct ql_range *r, struct ql_col *out)
{
	uint32_t n = r->spec.grid.n;

	for (;;) {
		uint32_t k = ql_range_stretch(r, n, QL_RANGE_STRETCH);
		memset(out->v + r->_pos, 0, k * sizeof(*out->v));
		memset(out->has + r->_pos / 64, 0, ql_words(k) * sizeof(*out->has));
		r->_pos += k;
		if (LIKELY(r->_pos == n))
			return false;
		if (ql_range_pause(r, k / 8))
			return true;
	}
}

static bool any_stale(const double *v, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (sample_is_no_float(v[i]))
			return true;
	return false;
}

static bool run_markers(struct ql_range *r)
{
	const struct sample_column *in = &r->_in;

	for (;;) {
		uint32_t k = ql_range_stretch(r, in->count, QL_RANGE_STRETCH);
		const double *v = in->v + r->_pos;
		/* a stale marker is a NaN, and NaN is rare */
		if (UNLIKELY(ql_kernel_nan(v, k))) {
			r->has_nan = true;
			r->_stale = any_stale(v, k);
		}
		r->_pos += k;
		if (LIKELY(r->_pos == in->count) || r->_stale)
			return false;
		if (ql_range_pause(r, k / 8))
			return true;
	}
}

static enum err filter_room(struct ql_range *r, struct errbuf *eb)
{
	enum err e = ql_range_room(r, &r->_t, r->_in.count, sizeof(int64_t), eb);
	return e ? e : ql_range_room(r, &r->_v, r->_in.count, sizeof(double), eb);
}

static bool run_filter(struct ql_range *r)
{
	struct sample_column *in = &r->_in;
	int64_t *t = r->_t.p;
	double *v = r->_v.p;

	for (;;) {
		uint32_t n = r->_kept, k = ql_range_stretch(r, in->count, QL_RANGE_WORK);
		for (uint32_t i = r->_pos; i < r->_pos + k; i++) {
			t[n] = in->t_ms[i];
			v[n] = in->v[i];
			n += !sample_is_no_float(in->v[i]);
		}
		r->_pos += k;
		r->_kept = n;
		if (r->_pos == in->count)
			break;
		if (ql_range_pause(r, k / 2))
			return true;
	}
	*in = (struct sample_column){ .count = r->_kept, .t_ms = t, .v = v };
	return false;
}

/* Are the bounds at hand those of these times? */
static bool times_known(const struct ql_range *r)
{
	const struct sample_column *in = &r->_in;
	if (LIKELY(r->_times_valid && r->times_id && r->_times_id == r->times_id && !r->_stale))
		return true;
	return r->_times_valid && r->_times_count == in->count &&
	    memcmp(r->_times.p, in->t_ms, in->count * sizeof(*in->t_ms)) == 0;
}

static enum err keep_times(struct ql_range *r, struct errbuf *eb)
{
	const struct sample_column *in = &r->_in;

	r->_times_valid = false;
	r->_line_upto = 0;
	r->_bounds = (struct ql_range_bounds){ 0 };
	if (in->count > QL_TIMES_KEEP)
		return ERR_OK;
	enum err e = ql_range_room(r, &r->_times, in->count, sizeof(*in->t_ms), eb);
	if (e)
		return e;
	memcpy(r->_times.p, in->t_ms, in->count * sizeof(*in->t_ms));
	r->_times_count = in->count;
	return ERR_OK;
}

/* --- windows --- */

/* The first sample from k on that is later; each step doubles the way, then halves it. */
uint32_t ql_range_search(struct ql_range *r, uint32_t k, int64_t upto)
{
	const int64_t *t = r->_in.t_ms;
	uint32_t way = QL_RANGE_NEAR, count = r->_in.count;

	r->_work += 64;
	while (way < count - k && t[k + way] <= upto) {
		k += way;
		way *= 2;
	}
	uint32_t end = way < count - k ? k + way : count;
	while (k < end) {
		uint32_t mid = k + (end - k) / 2;
		if (t[mid] <= upto)
			k = mid + 1;
		else
			end = mid;
	}
	return k;
}

static void bounds_steps(struct ql_range *r, struct ql_range_bounds *b, uint32_t end)
{
	const struct ql_range_spec *s = &r->spec;
	int64_t before = s->range_ms, after = 0;
	uint32_t needs = r->rate ? 2 : 1;

	if (ql_range_extended(s))
		before = num_sat_add(before, s->lookback_ms);
	if (s->smoothed)
		after = s->lookback_ms;
	for (uint32_t i = r->_pos; i < end; i++) {
		int64_t ref = ql_range_ref(s, i), from = num_sat_sub(ref, before);
		int64_t to = num_sat_add(ref, after);
		b->hi = ql_range_after(r, b->hi, to);
		uint32_t lo = ql_range_after(r, b->lo, from);
		b->lo = lo < b->hi ? lo : b->hi;
		if (i) {
			uint32_t seen = ql_range_after(r, b->seen, num_sat_sub(to, s->grid.step_ms));
			b->seen = seen < b->hi ? seen : b->hi;
		}
		r->lo[i] = b->lo;
		r->hi[i] = b->hi;
		uint32_t n = b->hi - b->lo;
		if (i % 64 == 0)
			r->enough[i / 64] = 0;
		r->enough[i / 64] |= (uint64_t)(n >= needs) << (i % 64);
		b->in_windows += n;
		if (n > b->longest)
			b->longest = n;
		if (ql_reads_step(&s->reads, i) && !(s->fixed && i))
			b->read += b->hi - (b->seen > b->lo ? b->seen : b->lo);
	}
}

static bool run_bounds(struct ql_range *r)
{
	for (;;) {
		struct ql_range_bounds b = r->_bounds;
		uint32_t end = r->_pos + ql_range_stretch(r, r->spec.grid.n, QL_PART / 4);
		bounds_steps(r, &b, end);
		r->_bounds = b;
		uint32_t k = end - r->_pos;
		r->_pos = end;
		if (end == r->spec.grid.n)
			break;
		if (ql_range_pause(r, k))
			return true;
	}
	r->_times_valid = r->_in.count <= QL_TIMES_KEEP;
	return false;
}

/* --- a column --- */

static void column_begin(struct ql_range *r, const struct sample_column *in)
{
	r->_in = *in;
	r->samples_in_windows = r->samples_read = 0;
	r->has_nan = r->_stale = false;
	r->_kept = 0;
	enter(r, QL_RANGE_CLEAR);
}

/* Whatever came of it: the next run begins a column. */
static enum err column_end(struct ql_range *r, enum err e)
{
	r->_phase = QL_RANGE_NEW;
	return e;
}

/* True: go on. False: the slice is over, or *e. The result is cleared, stale markers are out. */
static bool column_filter(struct ql_range *r, struct ql_col *out, enum err *e, struct errbuf *eb)
{
	if (r->_phase == QL_RANGE_CLEAR) {
		if (run_clear(r, out))
			return false;
		enter(r, QL_RANGE_MARKERS);
	}
	if (r->_phase == QL_RANGE_MARKERS) {
		if (run_markers(r))
			return false;
		if (LIKELY(!r->_stale)) {
			enter(r, QL_RANGE_TIMES);
			return true;
		}
		if ((*e = filter_room(r, eb)))
			return false;
		enter(r, QL_RANGE_FILTER);
	}
	if (r->_phase == QL_RANGE_FILTER) {
		if (run_filter(r))
			return false;
		enter(r, QL_RANGE_TIMES);
	}
	return true;
}

/* The same: bounds of all windows are there. */
static bool column_bounds(struct ql_range *r, enum err *e, struct errbuf *eb)
{
	if (r->_phase == QL_RANGE_TIMES) {
		bool known = times_known(r);
		r->_times_id = r->_stale ? 0 : r->times_id;
		if (known) {
			enter(r, QL_RANGE_PARAMS);
			return true;
		}
		if ((*e = keep_times(r, eb)))
			return false;
		enter(r, QL_RANGE_BOUNDS);
	}
	if (r->_phase == QL_RANGE_BOUNDS) {
		if (run_bounds(r))
			return false;
		enter(r, QL_RANGE_FACTORS);
	}
	if (r->_phase == QL_RANGE_FACTORS) {
		if (r->rate && ql_rate_factors(r)) {
			r->_times_valid = false; /* until all are known */
			return false;
		}
		enter(r, QL_RANGE_PARAMS);
	}
	return true;
}
/* --- functions --- */

static enum err check_smoothing(const struct ql_range_spec *s, uint32_t i, struct errbuf *eb)
{
	double sf = ql_scalar_at(&s->param[0], i), tf = ql_scalar_at(&s->param[1], i);

	if (sf <= 0 || sf >= 1)
		return errbuf_set(eb, ERR_EXECUTION,
		    "invalid smoothing factor. Expected: 0 < sf < 1, got: %f", sf);
	if (tf <= 0 || tf >= 1)
		return errbuf_set(
		    eb, ERR_EXECUTION, "invalid trend factor. Expected: 0 < tf < 1, got: %f", tf);
	return ERR_OK;
}

/* Parameters are the same for all series: looked at once. */
static bool run_params(struct ql_range *r, enum err *e, struct errbuf *eb)
{
	const struct ql_range_spec *s = &r->spec;
	bool same = s->param[0].kind == QL_SAME && s->param[1].kind == QL_SAME;
	uint32_t n = same ? 1 : s->grid.n;

	if (s->fn != QL_FN_DOUBLE_EXPONENTIAL_SMOOTHING)
		return false;
	while (r->_params_upto < n) {
		if ((*e = check_smoothing(s, r->_params_upto, eb)))
			return true;
		if (++r->_params_upto % QL_PART == 0 && ql_range_pause(r, QL_PART))
			return true;
	}
	return false;
}

static bool counts_resets(const struct ql_range_spec *s)
{
	return is_rate(s->fn) || ql_range_extended(s);
}

static bool function_windows(struct ql_range *r, struct ql_col *out)
{
	if (ql_range_extended(&r->spec))
		return ql_rate_extended(r, out);
	return is_rate(r->spec.fn) ? ql_rate_windows(r, out) : ql_over_windows(r, out);
}

/* The same: all is done. */
static bool column_function(struct ql_range *r, struct ql_col *out, enum err *e, struct errbuf *eb)
{
	bool rate = counts_resets(&r->spec);

	if (r->_phase == QL_RANGE_PARAMS) {
		if (run_params(r, e, eb))
			return false;
		if ((*e = rate ? ql_rate_room(r, eb) : ql_over_room(r, eb)))
			return false;
		enter(r, QL_RANGE_PREPARE);
	}
	if (r->_phase == QL_RANGE_PREPARE) {
		if (rate ? ql_rate_prepare(r) : ql_over_prepare(r))
			return false;
		enter(r, QL_RANGE_WINDOWS);
	}
	return !function_windows(r, out);
}

enum err ql_range_run(struct ql_range *r, const struct sample_column *in, struct ql_col *out,
    bool *any, struct errbuf *eb)
{
	enum err e = ERR_OK;

	if (UNLIKELY(in->h || in->start_ms) && ql_mix_wants(r, in))
		return ql_mix_run(r, false, in, out, any, eb);
	out->hists = NULL;
	*any = r->again = false;
	if (r->_phase == QL_RANGE_NEW)
		column_begin(r, in);
	if (!column_filter(r, out, &e, eb))
		return e ? column_end(r, e) : ERR_OK;
	if (!r->_in.count)
		return column_end(r, ERR_OK);
	if (!column_bounds(r, &e, eb) || !column_function(r, out, &e, eb))
		return e ? column_end(r, e) : ERR_OK;
	r->samples_in_windows = r->_bounds.in_windows;
	r->samples_read = r->_bounds.read;
	*any = ql_bits_any(out->has, r->spec.grid.n);
	return column_end(r, ERR_OK);
}

/* --- instant selectors --- */

static uint64_t bits_below(uint32_t n) /* at most 64 */
{
	return n < 64 ? ((uint64_t)1 << n) - 1 : ~(uint64_t)0;
}

/* 64 steps, or those that are left; their bits. */
static ALWAYS_INLINE uint64_t instant_word(
    const struct ql_range *r, bool want_time, uint32_t from, uint32_t end, double *out)
{
	const uint32_t *lo = r->lo, *hi = r->hi;
	const double *v = r->_in.v;
	uint64_t bits = 0, bit = 1, all = bits_below(end - from);

	if (!want_time && r->enough[from / 64] == all &&
	    ql_kernel_last(v, hi + from, end - from, out + from))
		return all;
	for (uint32_t i = from; i < end; i++, bit <<= 1) {
		uint32_t k = hi[i];
		if (k == lo[i] || sample_is_no_float(v[k - 1])) {
			out[i] = 0;
			continue;
		}
		out[i] = want_time ? (double)r->_in.t_ms[k - 1] / 1000 : v[k - 1];
		bits |= bit;
	}
	return bits;
}

/* Those that a query around this one looks at. */
static uint64_t instant_reads(const struct ql_range *r, uint64_t bits, uint32_t from)
{
	uint64_t n = 0;

	for (; bits; bits &= bits - 1)
		n += ql_reads_step(&r->spec.reads, from + (uint32_t)__builtin_ctzll(bits));
	return n;
}

/* An instant selector uses, and reads, one sample at each step that has one. */
static bool run_instant(struct ql_range *r, bool want_time, struct ql_col *out)
{
	uint32_t n = r->spec.grid.n;
	bool around = r->spec.reads.around && !r->spec.reads.none;

	for (;;) {
		uint32_t from = r->_pos, end = ql_range_steps_end(r);
		for (uint32_t at = from; at < end; at += 64) {
			uint32_t upto = end - at < 64 ? end : at + 64;
			uint64_t bits = want_time ? instant_word(r, true, at, upto, out->v)
			                          : instant_word(r, false, at, upto, out->v);
			out->has[at / 64] = bits;
			r->samples_in_windows += bits == ~(uint64_t)0 ? 64 : ql_popcount(bits);
			if (UNLIKELY(around))
				r->samples_read += instant_reads(r, bits, at);
		}
		r->_pos = end;
		if (LIKELY(end == n))
			break;
		if (ql_range_pause(r, end - from))
			return true;
	}
	if (!around && !r->spec.reads.none)
		r->samples_read = r->samples_in_windows;
	return false;
}

enum err ql_instant_run(struct ql_range *r, bool want_time, const struct sample_column *in,
    struct ql_col *out, bool *any, struct errbuf *eb)
{
	enum err e = ERR_OK;

	if (UNLIKELY(in->h != NULL))
		return ql_mix_instant(r, want_time ? QL_MIX_TIME : QL_MIX_VALUE, in, out, any, eb);
	out->hists = NULL;
	*any = r->again = false;
	if (!in->count) {
		r->samples_in_windows = r->samples_read = 0;
		return ERR_OK;
	}
	if (r->_phase == QL_RANGE_NEW) {
		column_begin(r, in);
		enter(r, QL_RANGE_TIMES); /* all of the result is written */
	}
	if (!column_bounds(r, &e, eb))
		return e ? column_end(r, e) : ERR_OK;
	if (r->_phase == QL_RANGE_PARAMS)
		enter(r, QL_RANGE_WINDOWS);
	if (run_instant(r, want_time, out))
		return ERR_OK;
	*any = r->samples_in_windows != 0;
	return column_end(r, ERR_OK);
}

enum err ql_info_run_times(struct ql_range *r, const struct sample_column *in, struct ql_col *out,
    bool *any, struct errbuf *eb)
{
	if (UNLIKELY(in->h != NULL))
		return ql_mix_instant(r, QL_MIX_INFO, in, out, any, eb);
	return ql_instant_run(r, true, in, out, any, eb);
}

const uint64_t *ql_range_points(const struct ql_range *r, const struct sample_column *in)
{
	bool mixed = UNLIKELY(in->h || in->start_ms) && ql_mix_wants(r, in);
	return mixed ? ql_mix_points(r) : NULL;
}

enum err ql_start_run(struct ql_range *r, const struct sample_column *in, struct ql_col *out,
    bool *any, struct errbuf *eb)
{
	return ql_mix_instant(r, QL_MIX_START, in, out, any, eb);
}

static double smooth_between(int64_t t0, double v0, int64_t t1, double v1, int64_t at)
{
	return v0 + (v1 - v0) * (double)(at - t0) / (double)(t1 - t0);
}

/* hi: the first sample after the step's time. */
static bool smooth_step(const struct ql_range *r, uint32_t hi, int64_t ref, double *out)
{
	const struct sample_column *in = &r->_in;
	int64_t lookback = r->spec.lookback_ms;

	if (!hi || in->t_ms[hi - 1] <= num_sat_sub(ref, lookback))
		return false; /* never from a later sample alone */
	*out = in->v[hi - 1];
	if (in->t_ms[hi - 1] != ref && hi < in->count && in->t_ms[hi] <= num_sat_add(ref, lookback))
		*out = smooth_between(in->t_ms[hi - 1], *out, in->t_ms[hi], in->v[hi], ref);
	return true;
}

static bool run_smooth(struct ql_range *r, struct ql_col *out)
{
	const struct ql_range_spec *s = &r->spec;

	for (;;) {
		uint32_t from = r->_pos, end = ql_range_steps_end(r);
		for (uint32_t i = from; i < end; i++) {
			int64_t ref = ql_range_ref(s, i);
			r->_bounds.hi = ql_range_after(r, r->_bounds.hi, ref);
			if (smooth_step(r, r->_bounds.hi, ref, &out->v[i]))
				ql_bit_on(out->has, i);
		}
		r->_pos = end;
		if (end == s->grid.n)
			return false;
		if (ql_range_pause(r, end - from))
			return true;
	}
}

enum err ql_smooth_run(struct ql_range *r, const struct sample_column *in, struct ql_col *out,
    bool *any, struct errbuf *eb)
{
	enum err e = ERR_OK;

	if (UNLIKELY(in->h != NULL))
		return ql_mix_run(r, true, in, out, any, eb);
	out->hists = NULL;
	*any = r->again = false;
	if (r->_phase == QL_RANGE_NEW) {
		column_begin(r, in);
		r->_bounds = (struct ql_range_bounds){ 0 };
	}
	if (!column_filter(r, out, &e, eb))
		return e ? column_end(r, e) : ERR_OK;
	if (r->_phase == QL_RANGE_TIMES)
		enter(r, QL_RANGE_WINDOWS);
	if (run_smooth(r, out))
		return ERR_OK;
	*any = ql_bits_any(out->has, r->spec.grid.n);
	return column_end(r, ERR_OK);
}

/* --- quantiles --- */

static int double_cmp(const void *pa, const void *pb)
{
	double a = *(const double *)pa, b = *(const double *)pb;
	if (isnan(a) || isnan(b))
		return !!isnan(b) - !!isnan(a);
	return (a > b) - (a < b);
}

/* Gaps of Ciura: no recursion, no calls, and no input is bad for it. */
static void shell_sort(double *v, uint32_t count)
{
	static const uint32_t gaps[] = { 1750, 701, 301, 132, 57, 23, 10, 4, 1 };

	/* Few values, and those of counters, are best served by the last pass alone. */
	for (size_t g = count > 24 ? 0 : COUNT_OF(gaps) - 1; g < COUNT_OF(gaps); g++)
		for (uint32_t i = gaps[g]; i < count; i++) {
			double x = v[i];
			uint32_t k = i;
			for (; k >= gaps[g] && v[k - gaps[g]] > x; k -= gaps[g])
				v[k] = v[k - gaps[g]];
			v[k] = x;
		}
}

void ql_sort_doubles(double *v, uint32_t count)
{
	uint32_t nans = 0;

	if (count > QL_SHELL_MAX) {
		qsort(v, count, sizeof(*v), double_cmp);
		return;
	}
	for (uint32_t i = 0; i < count; i++)
		if (isnan(v[i])) {
			double x = v[i];
			v[i] = v[nans];
			v[nans++] = x;
		}
	shell_sort(v + nans, count - nans);
}

double ql_quantile(double q, double *values, uint32_t count)
{
	struct ql_between b;
	double fixed;

	if (!ql_quantile_place(q, count, &b, &fixed))
		return fixed;
	ql_sort_doubles(values, count);
	return ql_quantile_mix(&b, values[b.lower], values[b.upper]);
}
