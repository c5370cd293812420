/*
 * epoch - a number that says which life of a shared thing is on: set by whoever renews it, asked by
 * any thread. What was written before epoch_set is seen by who reads the new number.
 */
#ifndef CORE_RT_EPOCH_H
#define CORE_RT_EPOCH_H

#include <stdatomic.h>
#include <stdint.h>

struct epoch {
	_Atomic uint64_t _now; /* all zero: none yet */
};
static inline void epoch_set(struct epoch *e, uint64_t now)
{
	atomic_store_explicit(&e->_now, now, memory_order_release);
}
static inline uint64_t epoch_now(const struct epoch *e)
{
	return atomic_load_explicit(&e->_now, memory_order_acquire);
}

#endif
