#include "bench/load/spread.h"

#include <math.h>
#include <stdlib.h>

#include "core/base/arena.h"

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

struct spread spread_of(const double *values, size_t count)
{
	struct spread s = { .median = NAN, .min = NAN, .max = NAN };
	double *v = mem_array(NULL, count ? count : 1, sizeof(*v));
	for (size_t i = 0; i < count; i++)
		if (isfinite(values[i]))
			v[s.count++] = values[i];
	if (s.count) {
		qsort(v, s.count, sizeof(*v), by_size);
		s.min = v[0];
		s.max = v[s.count - 1];
		s.median = (v[(s.count - 1) / 2] + v[s.count / 2]) / 2;
	}
	mem_free(v);
	return s;
}

struct spread spread_ratio(const double *first, const double *other, size_t count, bool less_is_better)
{
	double *v = mem_array(NULL, count ? count : 1, sizeof(*v));
	for (size_t i = 0; i < count; i++) {
		double over = less_is_better ? other[i] : first[i];
		double under = less_is_better ? first[i] : other[i];
		v[i] = under > 0 ? over / under : NAN;
	}
	struct spread s = spread_of(v, count);
	mem_free(v);
	return s;
}

double spread_quantile(double *values, size_t count, double part)
{
	if (!count)
		return NAN;
	qsort(values, count, sizeof(*values), by_size);
	size_t above = (size_t)((double)count * (1 - part));
	return values[count - 1 - (above < count ? above : count - 1)];
}
