/*
 * sketch - about how many different hashes were seen, in a fixed size, whatever their number
 * (HyperLogLog: Flajolet, Fusy, Gandouet, Meunier 2007).
 *
 * The standard error is 0.8 % (1.04 / sqrt of SKETCH_PLACES). The same set of hashes gives the same
 * number, in whatever order and however often they come, and however it was put together with
 * sketch_join; so what did not change does not seem to. Hashes are of 64 good bits.
 * Cost: a hash a few ns; an estimate 20 us. Thread: one at a time. Memory: 16 KiB, plain.
 */
#ifndef CORE_BASE_SKETCH_H
#define CORE_BASE_SKETCH_H

#include "core/base/check.h"

#define SKETCH_BITS   14u
#define SKETCH_PLACES (1u << SKETCH_BITS)

struct sketch { /* all zero: empty */
	uint8_t _ranks[SKETCH_PLACES];
};
void sketch_add(struct sketch *s, uint64_t hash);
void sketch_join(struct sketch *to, const struct sketch *s);
uint64_t sketch_estimate(const struct sketch *s);

#endif
