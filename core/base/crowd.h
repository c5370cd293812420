/*
 * crowd - how much each member of a crowd holds of what all share: counters by a hashed key.
 *
 * There are a few things to hold (CROWD_THINGS, numbered by the owner: connections, bytes). A
 * member is a slot: the hash of its key under a secret seed. Two members of one slot count as one,
 * which is rare at this size, and nobody can aim for it.
 * A member alone may hold everything. Its share, max / members that hold some, binds only while
 * another one has asked in vain: crowd_in_vain() notes who, crowd_others_wait() tells the others
 * for CROWD_WAIT_NS.
 *
 * Thread: any; counts are atomic and exact. Memory: as large as it says, part of its owner; a
 * zeroed struct is an empty crowd.
 */
#ifndef CORE_BASE_CROWD_H
#define CORE_BASE_CROWD_H

#include "core/base/check.h"

#define CROWD_SLOTS   32768u
#define CROWD_THINGS  4u
#define CROWD_WAIT_NS UINT64_C(5000000000)
STATIC((CROWD_SLOTS & (CROWD_SLOTS - 1)) == 0);

struct crowd {
	_Atomic uint64_t _held[CROWD_SLOTS][CROWD_THINGS];
	_Atomic uint64_t _sum[CROWD_THINGS], _members[CROWD_THINGS];
	/* Who asked in vain, the last two: time in ms << 16 | slot + 1. */
	_Atomic uint64_t _vain[CROWD_THINGS][2];
};
/* The slot of a key. */
uint32_t crowd_slot(const void *key, size_t len);
void crowd_add(struct crowd *c, unsigned thing, uint32_t slot, uint64_t n);
void crowd_sub(struct crowd *c, unsigned thing, uint32_t slot, uint64_t n);
/* Adds n if the member then has max at most. */
MUST_CHECK bool crowd_take(struct crowd *c, unsigned thing, uint32_t slot, uint64_t n, uint64_t max);
uint64_t crowd_sum(const struct crowd *c, unsigned thing);
uint64_t crowd_held(const struct crowd *c, unsigned thing, uint32_t slot);
/* What a member may hold while others wait: an equal part, of two at least. */
uint64_t crowd_share(const struct crowd *c, unsigned thing, uint32_t slot, uint64_t max);
void crowd_in_vain(struct crowd *c, unsigned thing, uint32_t slot, uint64_t now_ns);
bool crowd_others_wait(const struct crowd *c, unsigned thing, uint32_t slot, uint64_t now_ns);

#endif
