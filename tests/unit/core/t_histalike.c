/* Histograms that say the same are alike, however they are laid out; any other number is not. */
#include "core/model/histalike.h"

#include "core/base/num.h"
#include "tests/lib/tap.h"

#define STALE num_from_bits(SAMPLE_STALE_BITS)

int main(void)
{
	static const struct hist_span sp[] = { { -3, 2 }, { 1, 1 } }, one[] = { { -3, 4 } },
	                              parts[] = { { -4, 2 }, { 0, 1 }, { 0, 0 }, { 1, 2 }, { 7, 0 } },
	                              off[] = { { -3, 2 }, { 2, 1 } };
	static const union hist_count c[] = { { 1 }, { 2 }, { 3 } },
	                              zero[] = { { 1 }, { 2 }, { 0 }, { 3 } },
	                              more[] = { { 0 }, { 1 }, { 2 }, { 3 }, { 0 } },
	                              other[] = { { 1 }, { 2 }, { 4 } };
	static const double bounds[] = { 1, 2 }, bounds2[] = { 1, 3 };
	const struct hist h = { .schema = 2,
		.sum = 3,
		.count.n = 7,
		.zero_count.n = 1,
		.zero_threshold = 0.5,
		.positive = { sp, c, 2, 3 } };
	struct hist x = h, y = h;
	x.hint = HIST_RESET;
	tap_ok(hist_alike(&h, &x), "the hint is of the sample before");
	x.positive = (struct hist_side){ one, zero, 1, 4 };
	tap_ok(hist_alike(&h, &x) && hist_alike(&x, &h), "an empty bucket between two");
	x.positive = (struct hist_side){ parts, more, 5, 5 };
	tap_ok(hist_alike(&h, &x) && hist_alike(&x, &h), "at both ends, and spans in parts");
	x.positive = (struct hist_side){ off, c, 2, 3 };
	tap_ok(!hist_alike(&h, &x), "another place is another bucket");
	x.positive = (struct hist_side){ sp, other, 2, 3 };
	tap_ok(!hist_alike(&h, &x) && !hist_alike(&x, &h), "another count is none alike");
	x.positive = (struct hist_side){ sp, c, 1, 2 };
	tap_ok(!hist_alike(&h, &x) && !hist_alike(&x, &h), "nor one bucket less");
	x = h;
	x.negative = h.positive;
	tap_ok(!hist_alike(&h, &x) && !hist_alike(&x, &h), "nor the same on the other side, too");
#define CHANGED(field, value)                                                                      \
 do {                                                                                              \
  x = h;                                                                                           \
  x.field = value;                                                                                 \
  tap_ok(!hist_alike(&x, &h) && !hist_alike(&h, &x), "nor with another " #field);                  \
 } while (0)
	CHANGED(is_float, true);
	CHANGED(schema, 3);
	CHANGED(sum, 3.5);
	CHANGED(sum, STALE);
	CHANGED(zero_threshold, 0.25);
	CHANGED(count.n, 8);
	CHANGED(zero_count.n, 2);
	x = y = h;
	x.bounds_count = y.bounds_count = 2;
	x.bounds = bounds;
	y.bounds = bounds2;
	tap_ok(!hist_alike(&x, &y) && !hist_alike(&x, &h) && hist_alike(&x, &x), "nor bounds");
	x = (struct hist){ .sum = STALE };
	y = h;
	y.sum = STALE;
	tap_ok(hist_alike(&x, &y), "stale markers are alike");
	tap_ok(hist_alike(NULL, NULL) && !hist_alike(&h, NULL) && !hist_alike(NULL, &h),
	    "none is as none alone");
	return tap_done();
}
