/*
 * latch - something that has happened and stays so until who looks after it clears it: set by any
 * thread, asked by any.
 */
#ifndef CORE_RT_LATCH_H
#define CORE_RT_LATCH_H

#include <stdatomic.h>
#include <stdbool.h>

struct latch {
	_Atomic bool _set; /* all zero: not yet */
};
static inline void latch_set(struct latch *l)
{
	atomic_store_explicit(&l->_set, true, memory_order_release);
}
static inline void latch_clear(struct latch *l)
{
	atomic_store_explicit(&l->_set, false, memory_order_release);
}
static inline bool latch_is_set(const struct latch *l)
{
	return atomic_load_explicit(&l->_set, memory_order_acquire);
}

#endif
