#include "core/base/check.h"
#include "core/base/num.h"
#include "core/model/deltacum_priv.h"
#include "core/model/histmath.h"

/*
 * Bucket i of OpenTelemetry holds (base^i, base^(i+1)], which is bucket i + 1 of core/model/hist.h.
 * One scale less: buckets 2i and 2i + 1 become i. Scales above HIST_SCHEMA_MAX are brought down to
 * it at once, as the native histogram will have it at most.
 */
#define FINEST   HIST_SCHEMA_MAX
#define COARSEST HIST_SCHEMA_MIN

struct range { /* of the counts that are not 0, at some scale; empty: first > last */
	int64_t first, last;
};
struct part { /* a side, and how far it is shifted */
	const struct deltacum_side *side;
	unsigned shift;
};

static int64_t shifted(int64_t index, unsigned shift)
{
	return index >> (shift < 63 ? shift : 63);
}

static struct range range_of(const struct part *p)
{
	uint32_t from = 0, to = p->side->count;
	while (from < to && !p->side->counts[from])
		from++;
	while (to > from && !p->side->counts[to - 1])
		to--;
	if (from == to)
		return (struct range){ .first = 1, .last = 0 };
	return (struct range){ shifted((int64_t)p->side->offset + from, p->shift),
		shifted((int64_t)p->side->offset + to - 1, p->shift) };
}

static struct range both(struct range x, struct range y)
{
	if (x.first > x.last)
		return y;
	if (y.first > y.last)
		return x;
	return (struct range){ x.first < y.first ? x.first : y.first,
		x.last > y.last ? x.last : y.last };
}

/* Is there a double in all of these buckets? 2^-1075 to 2^1025, by and large. */
static bool fits_doubles(struct range r, int scale)
{
	int64_t lowest = scale < 0 ? -1076 >> -scale : -1076 * (1 << scale);
	int64_t highest = scale < 0 ? 1025 >> -scale : 1025 * (1 << scale);
	return r.first > r.last || (r.first >= lowest && r.last <= highest);
}

static bool add_counts(const struct part *p, struct deltaexp_side *to)
{
	for (uint32_t i = 0; i < p->side->count; i++) {
		uint64_t n = p->side->counts[i];
		if (!n)
			continue;
		int64_t at = shifted((int64_t)p->side->offset + i, p->shift) - to->first;
		CHECK(at >= 0 && at < to->count);
		if (__builtin_add_overflow(to->counts[at], n, &to->counts[at]))
			return false;
	}
	return true;
}

static bool merge_side(
    const struct part *x, const struct part *y, unsigned coarser, struct deltaexp_side *out)
{
	struct part parts[2] = { *x, *y };
	parts[0].shift += coarser;
	parts[1].shift += coarser;
	struct range r = both(range_of(&parts[0]), range_of(&parts[1]));
	out->first = 0;
	out->count = 0;
	if (r.first > r.last)
		return true;
	CHECK(r.last - r.first < DELTACUM_BUCKETS);
	out->first = (int32_t)r.first;
	out->count = (uint32_t)(r.last - r.first + 1);
	memset(out->counts, 0, out->count * sizeof(out->counts[0]));
	return add_counts(&parts[0], out) && add_counts(&parts[1], out);
}

/* ---- the zero bucket ---- */

/*
 * Moves the buckets that begin below the threshold into the zero bucket, which then ends where the
 * last of them does. False: no change.
 */
static bool take_into_zero(struct deltaexp_side *s, int scale, double *threshold, uint64_t *zero)
{
	uint32_t n = 0;
	double to = *threshold;
	for (uint32_t i = 0; i < s->count; i++) {
		int64_t index = (int64_t)s->first + i;
		if (!(hist_bound(scale, index) < *threshold))
			break;
		n = i + 1;
		double upper = hist_bound(scale, index + 1);
		if (s->counts[i] && upper > to)
			to = upper;
	}
	if (!n)
		return false;
	for (uint32_t i = 0; i < n; i++)
		*zero += s->counts[i];
	memmove(s->counts, s->counts + n, (s->count - n) * sizeof(s->counts[0]));
	s->first += (int32_t)n;
	s->count -= n;
	*threshold = to;
	return true;
}

static void widen_zero(struct deltaexp_sum *s)
{
	bool more = true;
	while (more) {
		more = take_into_zero(
		    &s->positive, s->all.scale, &s->all.zero_threshold, &s->all.zero_count);
		more |= take_into_zero(
		    &s->negative, s->all.scale, &s->all.zero_threshold, &s->all.zero_count);
	}
}

static void trim(struct deltaexp_side *s)
{
	uint32_t n = 0;
	while (n < s->count && !s->counts[n])
		n++;
	memmove(s->counts, s->counts + n, (s->count - n) * sizeof(s->counts[0]));
	s->first = n < s->count ? s->first + (int32_t)n : 0;
	s->count -= n;
}

/* ---- adding ---- */

/* The sum of all counts fits 64 bits, so what moves between buckets does, too. */
static bool add_up(const struct deltaexp_sum *s)
{
	uint64_t sum = s->all.zero_count;
	for (uint32_t i = 0; i < s->positive.count; i++)
		if (__builtin_add_overflow(sum, s->positive.counts[i], &sum))
			return false;
	for (uint32_t i = 0; i < s->negative.count; i++)
		if (__builtin_add_overflow(sum, s->negative.counts[i], &sum))
			return false;
	return true;
}

static bool narrow(struct range x, struct range y, unsigned coarser)
{
	struct range r = both(x, y);
	return r.first > r.last ||
	    shifted(r.last, coarser) - shifted(r.first, coarser) < DELTACUM_BUCKETS;
}

/* Scales that both must lose so that neither side has too many buckets. */
static unsigned steps_down(const struct range r[4])
{
	unsigned n = 0;
	while (!narrow(r[0], r[1], n) || !narrow(r[2], r[3], n))
		n++;
	return n;
}

bool deltaexp_add(
    const struct deltacum_exp *have, const struct deltacum_exp *more, struct deltaexp_sum *out)
{
	static const struct deltacum_exp nothing;
	if (more->scale < COARSEST)
		return false;
	int64_t finest = more->scale < FINEST ? more->scale : FINEST;
	int64_t scale = have && have->scale < finest ? have->scale : finest;
	unsigned shift = (unsigned)(more->scale - scale),
	         own = have ? (unsigned)(have->scale - scale) : 0;
	if (!have)
		have = &nothing;
	struct part p[4] = { { &have->positive, own }, { &more->positive, shift },
		{ &have->negative, own }, { &more->negative, shift } };
	struct range r[4];
	for (unsigned i = 0; i < 4; i++) {
		r[i] = range_of(&p[i]);
		if (!fits_doubles(r[i], (int)scale))
			return false;
	}
	unsigned coarser = steps_down(r);
	out->all = *more;
	out->all.scale = (int32_t)scale - (int32_t)coarser;
	if (__builtin_add_overflow(have->count, more->count, &out->all.count) ||
	    __builtin_add_overflow(have->zero_count, more->zero_count, &out->all.zero_count) ||
	    !merge_side(&p[0], &p[1], coarser, &out->positive) ||
	    !merge_side(&p[2], &p[3], coarser, &out->negative) || !add_up(out))
		return false;
	if (have == &nothing)
		return true;
	out->all.has_sum = have->has_sum && more->has_sum;
	out->all.sum = have->sum + more->sum;
	if (have->zero_threshold != more->zero_threshold) {
		if (have->zero_threshold > more->zero_threshold)
			out->all.zero_threshold = have->zero_threshold;
		widen_zero(out);
		trim(&out->positive);
		trim(&out->negative);
	}
	return true;
}
