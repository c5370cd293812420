#include "core/promql/run/ql_kernel.h"

#include <math.h>
#include <string.h>

#define ALWAYS_INLINE inline __attribute__((always_inline))
#define VECTOR        __attribute__((optimize("O3")))
#if defined(__x86_64__)
# define WIDE     __attribute__((target("avx2"), optimize("O3")))
# define has_wide __builtin_cpu_supports("avx2")
#else
# define WIDE     VECTOR
# define has_wide false
#endif

/*
 * The error of a sum by two-sum needs no look at magnitudes. It is that of Kahan-Neumaier, exactly,
 * while nothing comes near the largest number: beyond this the slow step decides.
 */
#define SUM_SAFE 1e300
#define SUM_MAX  1.7976931348623157e308
#define BLOCK    256u /* values looked at before they are added */

/* --- looks --- */

#define LOOK 512u /* values between two decisions */

static ALWAYS_INLINE bool any_nan(const double *v, uint32_t n)
{
	for (size_t from = 0; from < n; from += LOOK) {
		const double *now = v + from;
		size_t count = n - from < LOOK ? n - from : LOOK;
		uint64_t found = 0;
		for (size_t i = 0; i < count; i++)
			found |= (uint64_t) - (int64_t)(now[i] != now[i]);
		if (found)
			return true;
	}
	return false;
}

static ALWAYS_INLINE bool any_falls(const double *v, uint32_t n)
{
	for (size_t from = 1; from < n; from += LOOK) {
		const double *now = v + from, *before = now - 1;
		size_t count = n - from < LOOK ? n - from : LOOK;
		uint64_t found = 0;
		for (size_t i = 0; i < count; i++)
			found |= (uint64_t) - (int64_t)(now[i] < before[i]);
		if (found)
			return true;
	}
	return false;
}

/* --- sums --- */

/* Are all sums at most so large? False for NaN. */
static ALWAYS_INLINE bool sums_within(const double *s, const double *v, uint32_t n, double most)
{
	uint64_t bad = 0;

	for (uint32_t i = 0; i < n; i++)
		bad |= (uint64_t) - (int64_t) !(fabs(s[i] + v[i]) <= most);
	return !bad;
}

static ALWAYS_INLINE void add_safe(
    double *restrict s, double *restrict c, const double *restrict v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		double x = v[i], sum = s[i], t = sum + x, b = t - sum;
		c[i] += (sum - (t - b)) + (x - b);
		s[i] = t;
	}
}

/* By magnitudes; x = 0 changes nothing. */
static ALWAYS_INLINE void add_any(
    double *restrict s, double *restrict c, const double *restrict v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		double x = v[i], sum = s[i], t = sum + x;
		double big = fabs(sum) >= fabs(x) ? sum : x;
		double small = fabs(sum) >= fabs(x) ? x : sum;
		double e = c[i] + ((big - t) + small);
		c[i] = fabs(t) > SUM_MAX ? 0 : e;
		s[i] = t;
	}
}

static ALWAYS_INLINE void add_all(double *s, double *c, const double *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i += BLOCK) {
		uint32_t k = n - i < BLOCK ? n - i : BLOCK;
		if (LIKELY(sums_within(s + i, v + i, k, SUM_SAFE)))
			add_safe(s + i, c + i, v + i, k);
		else
			add_any(s + i, c + i, v + i, k);
	}
}

/* --- rates --- */

static ALWAYS_INLINE bool rates(const struct ql_kernel_rate *w, const double *first,
    const double *last, uint32_t n, bool counter, double *restrict out)
{
	const double *restrict sampled = w->sampled, *restrict to_start = w->to_start;
	const double *restrict factor = w->factor;
	uint64_t near = 0;

	for (uint32_t i = 0; i < n; i++) {
		double result = last[i] - first[i];
		/* the factor 2 covers rounding (ql_rate.c) */
		bool far = first[i] * sampled[i] > 2 * (to_start[i] * result);
		near |= (uint64_t) - (int64_t)((result > 0) & (first[i] >= 0) & !far);
		out[i] = result * factor[i];
	}
	return !counter || !near;
}

/* --- extremes --- */

static ALWAYS_INLINE void best(
    double *restrict to, const double *restrict v, uint32_t half, uint32_t n, bool max)
{
	const double *restrict later = v + half;

	if (max)
		for (size_t i = 0; i < n; i++)
			to[i] = later[i] > v[i] ? later[i] : v[i];
	else
		for (size_t i = 0; i < n; i++)
			to[i] = later[i] < v[i] ? later[i] : v[i];
}

/* --- twice --- */

WIDE static bool nan_wide(const double *v, uint32_t n)
{
	return any_nan(v, n);
}
VECTOR static bool nan_plain(const double *v, uint32_t n)
{
	return any_nan(v, n);
}
WIDE static bool falls_wide(const double *v, uint32_t n)
{
	return any_falls(v, n);
}
VECTOR static bool falls_plain(const double *v, uint32_t n)
{
	return any_falls(v, n);
}
WIDE static void add_wide(double *s, double *c, const double *v, uint32_t n)
{
	add_all(s, c, v, n);
}
VECTOR static void add_plain(double *s, double *c, const double *v, uint32_t n)
{
	add_all(s, c, v, n);
}
WIDE static bool finite_wide(const double *s, const double *v, uint32_t n)
{
	return sums_within(s, v, n, SUM_MAX);
}
VECTOR static bool finite_plain(const double *s, const double *v, uint32_t n)
{
	return sums_within(s, v, n, SUM_MAX);
}
WIDE static bool rates_wide(const struct ql_kernel_rate *w, const double *first, const double *last,
    uint32_t n, bool counter, double *out)
{
	return rates(w, first, last, n, counter, out);
}
VECTOR static bool rates_plain(const struct ql_kernel_rate *w, const double *first,
    const double *last, uint32_t n, bool counter, double *out)
{
	return rates(w, first, last, n, counter, out);
}
WIDE static void best_wide(double *to, const double *v, uint32_t half, uint32_t n, bool max)
{
	best(to, v, half, n, max);
}
VECTOR static void best_plain(double *to, const double *v, uint32_t half, uint32_t n, bool max)
{
	best(to, v, half, n, max);
}

bool ql_kernel_nan(const double *v, uint32_t n)
{
	return has_wide ? nan_wide(v, n) : nan_plain(v, n);
}

bool ql_kernel_falls(const double *v, uint32_t n)
{
	return has_wide ? falls_wide(v, n) : falls_plain(v, n);
}

void ql_kernel_add(double *s, double *c, const double *v, uint32_t n)
{
	if (has_wide)
		add_wide(s, c, v, n);
	else
		add_plain(s, c, v, n);
}

bool ql_kernel_add_finite(double *s, double *c, const double *v, uint32_t n)
{
	if (!(has_wide ? finite_wide(s, v, n) : finite_plain(s, v, n)))
		return false;
	ql_kernel_add(s, c, v, n);
	return true;
}

bool ql_kernel_rates(const struct ql_kernel_rate *w, const double *v, const uint32_t *lo,
    const uint32_t *hi, uint32_t n, bool counter, double *out)
{
	SCRATCH double first[QL_KERNEL_STEPS], last[QL_KERNEL_STEPS], made[QL_KERNEL_STEPS];

	for (uint32_t i = 0; i < n; i++) {
		first[i] = v[lo[i]];
		last[i] = v[hi[i] - 1];
	}
	if (!(has_wide ? rates_wide(w, first, last, n, counter, made)
	               : rates_plain(w, first, last, n, counter, made)))
		return false;
	memcpy(out, made, n * sizeof(*out));
	return true;
}

bool ql_kernel_last(const double *v, const uint32_t *hi, uint32_t n, double *out)
{
	for (uint32_t i = 0; i < n; i++)
		out[i] = v[hi[i] - 1];
	return !ql_kernel_nan(out, n);
}

void ql_kernel_best(double *to, const double *v, uint32_t half, uint32_t n, bool max)
{
	if (has_wide)
		best_wide(to, v, half, n, max);
	else
		best_plain(to, v, half, n, max);
}
