/*
 * hoard - things that threads share, that nobody changes and that can be made again, kept by key up
 * to a number of bytes.
 *
 * A struct hoard_item is embedded in what is kept; its snap (core/rt/snap.h) counts who uses it.
 * Whoever gets one has a reference and drops it: a thing that leaves the hoard while it is read
 * goes
 * when its last reader has gone, and counts until then. What a thing takes is charged to the
 * hoard's purse by who makes it, and given back where it is freed.
 *
 *   item = hoard_get(h, owner, key, len)         NULL: it has to be made
 *   hoard_room(h, owner, bytes) until it is HAS  others go
 *   ... make it, charged to hoard_purse(h) ...
 *   hoard_put(h, item)                           in the place of one with the same key
 *   snap_drop(&item->snap)
 *
 * What goes first: the thing that was not got for longest; among those of the asker alone when they
 * are more than its part of the hoard, which is the same for all owners that have something. So one
 * owner does not drive out the others.
 *
 * Thread: any, but for create and free: alone. Cost: a lock that is held for some compares.
 * Memory: 300 bytes an owner; the rest is in the things.
 */
#ifndef CORE_RT_HOARD_H
#define CORE_RT_HOARD_H

#include "core/base/list.h"
#include "core/base/purse.h"
#include "core/rt/snap.h"

struct hoard_item {
	struct snap snap;
	/* set before hoard_put; borrowed from the thing */
	uint32_t owner;
	const void *key;
	size_t key_len;
	uint64_t bytes;
	/* private */
	uint64_t _hash;
	struct list_link _chain, _all, _own;
};
enum hoard_got {
	HOARD_HAS_ROOM,
	HOARD_AGAIN,  /* some things went; once more, at once or in another turn */
	HOARD_NO_ROOM /* more than the whole, or what is read takes it all */
};
struct hoard;
struct hoard *hoard_create(uint64_t max_bytes);
void hoard_free(struct hoard *h); /* nobody has a thing any more */
struct purse *hoard_purse(struct hoard *h);
uint64_t hoard_max(const struct hoard *h);
/* With a reference of the caller's. */
struct hoard_item *hoard_get(struct hoard *h, uint32_t owner, const void *key, size_t key_len);
enum hoard_got hoard_room(struct hoard *h, uint32_t owner, uint64_t bytes, unsigned *gone);
void hoard_put(struct hoard *h, struct hoard_item *item); /* takes a reference of its own */

#endif
