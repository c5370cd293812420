#include "bench/load/trend.h"

#include <math.h>

struct trend trend_of(const double *x, const double *y, size_t count)
{
	struct trend t = { .count = count };
	double mx = 0, my = 0, xx = 0, xy = 0, rest = 0;
	for (size_t i = 0; i < count; i++) {
		mx += x[i] / (double)count;
		my += y[i] / (double)count;
	}
	for (size_t i = 0; i < count; i++) {
		xx += (x[i] - mx) * (x[i] - mx);
		xy += (x[i] - mx) * (y[i] - my);
	}
	t.mean = my;
	if (count < 3 || xx <= 0)
		return t;
	t.span = x[count - 1] - x[0];
	t.slope = xy / xx;
	for (size_t i = 0; i < count; i++) {
		double off = y[i] - my - t.slope * (x[i] - mx);
		rest += off * off;
	}
	t.error = sqrt(rest / (double)(count - 2) / xx);
	return t;
}

bool trend_grows(const struct trend *t)
{
	return t->count >= TREND_LEAST && t->slope > TREND_ERRORS * t->error &&
	    t->slope * t->span > TREND_PART * fabs(t->mean);
}

const char *trend_word(const struct trend *t)
{
	return t->count < TREND_LEAST ? "too short" : trend_grows(t) ? "grows" : "steady";
}
