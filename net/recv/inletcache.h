/*
 * inletcache - what rules made of label sets before, of one loop.
 *
 * The key is the bytes of a label set as they came, and the way (net/recv/inletconf.h) by which it
 * went; all bytes are compared. Bounded: there are two halves; when the newer one is full, the older
 * one is emptied as a whole, so what is in use is found out anew once for each half of new sets.
 * An entry is good until the next inletcache_add or inletcache_clear.
 *
 * Thread: its loop. Cost: a hash of the bytes and a comparison.
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
uint64_t inletcache_hash(const struct inletcache *c, struct labels key, uint32_t way);
/* NULL: not known. */
const struct inlet_result *inletcache_find(
    const struct inletcache *c, struct labels key, uint32_t way, uint64_t hash);
/* Copies everything; key and r lie outside. What is larger than a tenth of a half is not kept. */
void inletcache_add(struct inletcache *c, struct labels key, uint32_t way, uint64_t hash,
    const struct inlet_result *r);

#endif
