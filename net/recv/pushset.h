/*
 * pushset - which series and families the groups of a tenant have, by their hashes, to find those
 * that two groups have in common.
 *
 * Thread: one at a time (the tenant's lane). Memory: 16 bytes an entry, half full at most.
 */
#ifndef NET_RECV_PUSHSET_H
#define NET_RECV_PUSHSET_H

#include "core/base/check.h"

struct pushset_entry {
	uint64_t hash;  /* not 0 */
	uint32_t count; /* groups that have it; 0: the place is free */
	uint8_t type;   /* of a family */
};
struct pushset {
	struct pushset_entry *entries;
	size_t mask, count;
};
void pushset_release(struct pushset *s);
/* NULL: no group has it. Until the next change. */
const struct pushset_entry *pushset_find(const struct pushset *s, uint64_t hash);
void pushset_add(struct pushset *s, uint64_t hash, uint8_t type);
void pushset_remove(struct pushset *s, uint64_t hash); /* was added */

#endif
