#include "core/base/sketch.h"

#include <math.h>

void sketch_add(struct sketch *s, uint64_t hash)
{
	/* The bit behind the rest ends the run of zeros. */
	uint64_t rest = hash << SKETCH_BITS | UINT64_C(1) << (SKETCH_BITS - 1);
	uint8_t rank = (uint8_t)(__builtin_clzll(rest) + 1);
	uint8_t *at = &s->_ranks[hash >> (64 - SKETCH_BITS)];
	if (rank > *at)
		*at = rank;
}

void sketch_join(struct sketch *to, const struct sketch *s)
{
	for (unsigned i = 0; i < SKETCH_PLACES; i++)
		if (s->_ranks[i] > to->_ranks[i])
			to->_ranks[i] = s->_ranks[i];
}

uint64_t sketch_estimate(const struct sketch *s)
{
	const double m = SKETCH_PLACES;
	double sum = 0;
	unsigned empty = 0;
	for (unsigned i = 0; i < SKETCH_PLACES; i++) {
		sum += ldexp(1, -s->_ranks[i]);
		empty += !s->_ranks[i];
	}
	double n = 0.7213 / (1 + 1.079 / m) * m * m / sum;
	if (n <= 2.5 * m && empty)
		n = m * log(m / empty); /* few: the places that nobody took say more */
	return (uint64_t)(n + 0.5);
}
