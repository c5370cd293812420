/* Vector loops over columns: the plain and the wide ones beside a loop over single values. */
#include "core/promql/plan/ql_value.h"
#include "core/promql/run/ql_kernel.c"
#include "tests/lib/tap.h"

#include <stdlib.h>

#define MOST   1100u
#define ROUNDS 300u

static uint64_t state = 88172645463325252u;

static uint64_t rnd(uint64_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % n;
}

/* Of all magnitudes; some infinite, some NaN, some near the largest number. */
static double any_value(bool wild)
{
	double v = ldexp((double)rnd(1000000) - 500000, (int)rnd(60) - 30);
	switch (wild ? rnd(40) : 10) {
	case 0:
		return (double)NAN;
	case 1:
		return (double)INFINITY;
	case 2:
		return -(double)INFINITY;
	case 3:
		return 1.7e308;
	case 4:
		return -1.7e308;
	case 5:
		return -0.0;
	case 6:
		return 0;
	default:
		return v;
	}
}

static bool same(const double *a, const double *b, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (num_bits(a[i]) != num_bits(b[i]) && !(isnan(a[i]) && isnan(b[i])))
			return false;
	return true;
}

static void column(double *v, uint32_t n, bool wild)
{
	for (uint32_t i = 0; i < n; i++)
		v[i] = any_value(wild);
}

static void test_looks(void)
{
	double v[MOST];
	unsigned bad = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint32_t n = (uint32_t)rnd(MOST), at = n ? (uint32_t)rnd(n) : 0;
		bool falls = false;
		for (uint32_t i = 0; i < n; i++)
			v[i] = (double)(i / 3);
		bad += nan_wide(v, n) || nan_plain(v, n) || falls_wide(v, n) || falls_plain(v, n);
		if (!n)
			continue;
		v[at] = round % 2 ? (double)NAN : -1;
		for (uint32_t i = 1; i < n; i++)
			falls |= v[i] < v[i - 1];
		bad += nan_wide(v, n) != (round % 2) || nan_plain(v, n) != (round % 2);
		bad += falls_wide(v, n) != falls || falls_plain(v, n) != falls;
	}
	tap_is_u64(bad, 0, "NaN and falls are seen wherever they are");
}

static void test_sums(void)
{
	double s[3][MOST], c[3][MOST], v[MOST];
	unsigned bad = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint32_t n = (uint32_t)rnd(MOST);
		for (uint32_t i = 0; i < n; i++)
			for (unsigned k = 0; k < 3; k++) {
				s[k][i] = -0.0;
				c[k][i] = 0;
			}
		for (unsigned add = 0; add < 8; add++) {
			column(v, n, round % 4 == 0);
			add_wide(s[0], c[0], v, n);
			add_plain(s[1], c[1], v, n);
			for (uint32_t i = 0; i < n; i++)
				ql_kahan(v[i], &s[2][i], &c[2][i]);
		}
		for (unsigned k = 0; k < 2; k++)
			bad += !same(s[k], s[2], n);
		for (uint32_t i = 0; i < n; i++)
			for (unsigned k = 0; k < 2; k++)
				bad += isfinite(s[2][i]) && !same(&c[k][i], &c[2][i], 1);
	}
	tap_is_u64(bad, 0, "sums and their errors are those of Kahan-Neumaier, bit for bit");
}

static void test_finite(void)
{
	double s[MOST], c[MOST], v[MOST], before[MOST];
	unsigned bad = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint32_t n = 1 + (uint32_t)rnd(MOST - 1), at = (uint32_t)rnd(n);
		column(s, n, false);
		memset(c, 0, sizeof(c));
		column(v, n, false);
		if (round % 2) {
			s[at] = 1.7e308;
			v[at] = 1.7e308;
		}
		memcpy(before, s, sizeof(s));
		bool done = ql_kernel_add_finite(s, c, v, n);
		bad += done == (round % 2) || (!done && !same(before, s, n));
		bad += finite_wide(before, v, n) != done || finite_plain(before, v, n) != done;
	}
	tap_is_u64(bad, 0, "a sum that would be infinite leaves all as they were");
}

static void test_rates(void)
{
	double v[MOST], sampled[64], to_start[64], factor[64], out[2][64], first[64], last[64];
	uint32_t lo[64], hi[64];
	struct ql_kernel_rate w = { sampled, to_start, factor };
	unsigned bad = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint32_t n = 1 + (uint32_t)rnd(64);
		bool counter = round % 2, near = false;
		for (uint32_t i = 0; i < MOST; i++)
			v[i] = (double)i * 3 + (round % 3 ? 1e6 : 0);
		for (uint32_t i = 0; i < n; i++) {
			lo[i] = (uint32_t)rnd(MOST - 40);
			hi[i] = lo[i] + 2 + (uint32_t)rnd(30);
			sampled[i] = 1 + (double)rnd(300);
			to_start[i] = (double)rnd(20);
			factor[i] = (double)rnd(1000) / 977;
			first[i] = v[lo[i]];
			last[i] = v[hi[i] - 1];
			double result = last[i] - first[i];
			near |= result > 0 && first[i] >= 0 &&
			    !(first[i] * sampled[i] > 2 * (to_start[i] * result));
		}
		bool made = ql_kernel_rates(&w, v, lo, hi, n, counter, out[0]);
		bad += made == (counter && near);
		for (uint32_t i = 0; i < n && made; i++)
			bad += num_bits(out[0][i]) != num_bits((last[i] - first[i]) * factor[i]);
		bad += rates_plain(&w, first, last, n, counter, out[1]) != made;
		bad += rates_wide(&w, first, last, n, counter, out[1]) != made;
		bad += made && !same(out[0], out[1], n);
	}
	tap_is_u64(
	    bad, 0, "rates are those of single windows; counters near zero are left to others");
}

static void test_last(void)
{
	double v[MOST], out[64];
	uint32_t hi[64];
	unsigned bad = 0;

	column(v, MOST, false);
	v[7] = (double)NAN;
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint32_t n = 1 + (uint32_t)rnd(64);
		bool nan = false;
		for (uint32_t i = 0; i < n; i++) {
			hi[i] = 1 + (uint32_t)rnd(round % 2 ? 20 : MOST);
			nan |= hi[i] == 8;
		}
		bad += ql_kernel_last(v, hi, n, out) == nan;
		for (uint32_t i = 0; i < n; i++)
			bad += !same(&out[i], &v[hi[i] - 1], 1);
	}
	tap_is_u64(bad, 0, "the last values of windows, and whether one is NaN");
}

static void test_best(void)
{
	double v[MOST], made[3][MOST];
	unsigned bad = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint32_t n = 1 + (uint32_t)rnd(MOST / 2 - 1), half = 1 + (uint32_t)rnd(MOST / 2 - 1);
		bool max = rnd(2);
		column(v, MOST, false);
		v[rnd(n)] = round % 3 ? -0.0 : (double)INFINITY;
		v[rnd(n) + half] = round % 5 ? 0.0 : -(double)INFINITY;
		best_wide(made[0], v, half, n, max);
		best_plain(made[1], v, half, n, max);
		for (uint32_t i = 0; i < n; i++)
			made[2][i] =
			    (max ? v[i + half] > v[i] : v[i + half] < v[i]) ? v[i + half] : v[i];
		bad += !same(made[0], made[2], n) || !same(made[1], made[2], n);
		ql_kernel_best(made[0], v, half, n, max);
		bad += !same(made[0], made[2], n);
	}
	tap_is_u64(bad, 0, "extremes of two runs of samples: of equal ones, zeroes too, the earlier");
}

int main(void)
{
	test_looks();
	test_sums();
	test_finite();
	test_rates();
	test_last();
	test_best();
	return tap_done();
}
