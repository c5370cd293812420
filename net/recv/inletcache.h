/*
 * inletcache - what rules made of label sets before, of one loop.
 *
 * The key is the bytes of a label set as they came, and the way (net/recv/inletconf.h) by which it
 * went; all bytes are compared. Senders repeat their series in the same order: the entry that was
 * made behind the one found last is looked at first, then the table.
 * Bounded: there are two halves; when the newer one is full, the older one is emptied as a whole,
 * so what is in use is found out anew once for each half of new sets.
 * An entry is good until the next inletcache_add or inletcache_clear.
 *
 * Thread: its loop. Cost: a comparison, and a hash where the order is another one.
 * Memory: `bytes` and a table of 1/16 of it, of which the system gives what was used; kept for
 * reuse until free.
 */
#ifndef NET_RECV_INLETCACHE_H
#define NET_RECV_INLETCACHE_H

#include "core/model/label.h"

enum inlet_fate {
	INLET_SAME, /* stored as it came */
	INLET_CHANGED,
	INLET_DROPPED,
	INLET_LIMIT /* an expression took too many steps */
};
struct inlet_result {
	enum inlet_fate fate;
	struct labels labels; /* of CHANGED */
	/* Of a pair: both are there; inside the bytes of the key. Else NULL. */
	const char *cluster, *replica;
	uint32_t cluster_len, replica_len;
};
struct inletcache;
struct inletcache *inletcache_create(size_t bytes);
void inletcache_free(struct inletcache *c);
void inletcache_clear(struct inletcache *c);
/* NULL: not known. */
const struct inlet_result *inletcache_find(struct inletcache *c, struct labels key, uint32_t way);
/*
 * Copies everything; key and r lie outside, and the key is not known. What is larger than a tenth
 * of a half is not kept.
 */
void inletcache_add(
    struct inletcache *c, struct labels key, uint32_t way, const struct inlet_result *r);

#endif
