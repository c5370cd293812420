#include "core/base/crowd.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/random.h>

#include "core/base/clock.h"
#include "core/base/hash.h"

#define RELAXED   memory_order_relaxed
#define SLOT_BITS 16u
#define NS_PER_MS UINT64_C(1000000)
STATIC(CROWD_SLOTS < 1u << SLOT_BITS);

/* --- slots --- */

static uint64_t seed;

static void seed_make(void)
{
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed))
		seed = clock_real_mono_ns() * UINT64_C(0x9e3779b97f4a7c15);
}

uint32_t crowd_slot(const void *key, size_t len)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, seed_make);
	return (uint32_t)(hash64(key, len, seed) & (CROWD_SLOTS - 1));
}

/* --- counts --- */

void crowd_add(struct crowd *c, unsigned thing, uint32_t slot, uint64_t n)
{
	if (!n)
		return;
	if (!atomic_fetch_add_explicit(&c->_held[slot][thing], n, RELAXED))
		atomic_fetch_add_explicit(&c->_members[thing], 1, RELAXED);
	atomic_fetch_add_explicit(&c->_sum[thing], n, RELAXED);
}

void crowd_sub(struct crowd *c, unsigned thing, uint32_t slot, uint64_t n)
{
	if (!n)
		return;
	uint64_t had = atomic_fetch_sub_explicit(&c->_held[slot][thing], n, RELAXED);
	CHECK(had >= n);
	if (had == n)
		atomic_fetch_sub_explicit(&c->_members[thing], 1, RELAXED);
	atomic_fetch_sub_explicit(&c->_sum[thing], n, RELAXED);
}

bool crowd_take(struct crowd *c, unsigned thing, uint32_t slot, uint64_t n, uint64_t max)
{
	uint64_t had = crowd_held(c, thing, slot);
	do {
		if (had >= max || n > max - had)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
	    &c->_held[slot][thing], &had, had + n, RELAXED, RELAXED));
	if (!had && n)
		atomic_fetch_add_explicit(&c->_members[thing], 1, RELAXED);
	atomic_fetch_add_explicit(&c->_sum[thing], n, RELAXED);
	return true;
}

uint64_t crowd_sum(const struct crowd *c, unsigned thing)
{
	return atomic_load_explicit(&c->_sum[thing], RELAXED);
}

uint64_t crowd_held(const struct crowd *c, unsigned thing, uint32_t slot)
{
	return atomic_load_explicit(&c->_held[slot][thing], RELAXED);
}

/* --- shares --- */

uint64_t crowd_share(const struct crowd *c, unsigned thing, uint32_t slot, uint64_t max)
{
	uint64_t members = atomic_load_explicit(&c->_members[thing], RELAXED);
	members += !crowd_held(c, thing, slot); /* it would be one more */
	return max / (members > 2 ? members : 2);
}

static uint32_t vain_slot(uint64_t v)
{
	return (uint32_t)(v & ((1u << SLOT_BITS) - 1)) - 1;
}

/* Two threads may write over each other: one note is lost, the next question makes it again. */
void crowd_in_vain(struct crowd *c, unsigned thing, uint32_t slot, uint64_t now_ns)
{
	uint64_t last = atomic_load_explicit(&c->_vain[thing][0], RELAXED);
	uint64_t note = (now_ns / NS_PER_MS) << SLOT_BITS | (slot + 1);
	if (last && vain_slot(last) != slot)
		atomic_store_explicit(&c->_vain[thing][1], last, RELAXED);
	atomic_store_explicit(&c->_vain[thing][0], note, RELAXED);
}

bool crowd_others_wait(const struct crowd *c, unsigned thing, uint32_t slot, uint64_t now_ns)
{
	for (unsigned i = 0; i < 2; i++) {
		uint64_t v = atomic_load_explicit(&c->_vain[thing][i], RELAXED);
		uint64_t then_ns = (v >> SLOT_BITS) * NS_PER_MS;
		if (v && vain_slot(v) != slot && now_ns < then_ns + CROWD_WAIT_NS)
			return true;
	}
	return false;
}
