/*
 * distinct - how many different things there are, from some of many: how often each hash was seen
 * among those looked at, and what that says of the rest.
 *
 * Where all were looked at it is a count. Where a part `rate` was, each as likely as the others, it
 * is Chao's estimate for drawing without replacement (Chao, Lin 2012): with f1 things seen once
 * and f2 seen twice, seen + f1 * f1 / (2 * f2 + f1 * rate / (1 - rate)). It is right where all
 * things are equally frequent (also where each is single: seen / rate), and too low where they are
 * not, as nothing is known of what is rare: about a half of it where few are large and most single.
 *
 * Cost: some 20 ns a hash. Thread: one at a time. Memory: 16 bytes a place, twice as many places as
 * hashes.
 */
#ifndef CORE_BASE_DISTINCT_H
#define CORE_BASE_DISTINCT_H

#include "core/base/check.h"

struct distinct_slot {
	uint64_t hash;
	/* of those looked at: how many have it; and how many that count for what is there */
	uint32_t all, in;
};
struct distinct { /* all zero: empty */
	struct distinct_slot *slots;
	uint32_t places, used;
	uint32_t seen, once, twice; /* hashes by how many are in */
};
/* The same hash n times, of which n_in are in. */
void distinct_add(struct distinct *d, uint64_t hash, uint32_t n, uint32_t n_in);
void distinct_join(struct distinct *to, const struct distinct *d);
/* Hashes that both have in; *part: of what is in a, those whose hash b has in, 0 to 1. */
uint32_t distinct_common(const struct distinct *a, const struct distinct *b, double *part);
/* How many there are in all; rate: 0 to 1, 1: all were looked at. */
double distinct_estimate(const struct distinct *d, double rate);
void distinct_release(struct distinct *d);

#endif
