/*
 * slab - memory of one loop's heads: small pieces of known size from 2 MiB-aligned regions, given
 * back whole.
 *
 * Pieces come in classes (16-byte steps to 512, then eight per doubling up to SLAB_PIECE_MAX); a
 * class takes spans of 64 KiB out of regions of 2 MiB, and a span whose last piece went home
 * returns to its region,
 * an empty region to the stock (one is kept), see below. Regions after the first
 * SLAB_SMALL_REGIONS ask for huge pages, so a small store stays small. Larger pieces come from the
 * general heap; they are not given back by slab_free.
 * No header per piece: the caller tells the size again when it frees. slab_bytes() is what the
 * pieces in use and the free ones of taken spans take, so it is what the head's account is charged
 * with.
 *
 * Thread: one loop. What a piece holds may be read by another thread when its owner says so (frozen
 * samples, labels).
 */
#ifndef STORAGE_HEAD_SLAB_H
#define STORAGE_HEAD_SLAB_H

#include "core/base/check.h"

#define SLAB_PIECE_MAX     16384u
#define SLAB_REGION_BYTES  (2u << 20)
#define SLAB_SPAN_BYTES    (64u << 10)
#define SLAB_SMALL_REGIONS 4u /* per slab, before huge pages are asked for */

#define SLAB_STOCK 8u /* regions kept ready while the slab grows */

struct slab;
struct slab *slab_create(void);
void slab_free(struct slab *s);               /* pieces up to SLAB_PIECE_MAX still taken go too */
void *slab_take(struct slab *s, size_t size); /* 16-byte aligned, not zeroed; never NULL */
void slab_give(struct slab *s, void *piece, size_t size); /* size as taken; NULL is allowed */
size_t slab_bytes(const struct slab *s);
/* How many bytes a piece of this size really takes: callers that can use the slack ask first. */
size_t slab_round(size_t size);

/*
 * Stock. The first touch of a huge page zeroes 2 MiB, and may wait for the machine below: some
 * 0.2-7 ms. A growing slab says so (slab_stock_low), a worker makes a region ready
 * (slab_region_ready, any thread), the loop puts it in stock. So go regions that became empty, not
 * zeroed, as long as there are fewer than in use: what a round frees is filled again by the next.
 * slab_stock_trim, called every few seconds, gives back an eighth of what was not needed since the
 * last call, 16 regions at most: some 2 ms. slab_stock_drop at most so many regions, where memory
 * is
 * tight.
 */
bool slab_stock_low(const struct slab *s);
void *slab_region_ready(void);
void slab_stock_add(struct slab *s, void *take_region);
void slab_stock_trim(struct slab *s);
void slab_stock_drop(struct slab *s, uint32_t regions);
size_t slab_stock_bytes(const struct slab *s); /* in stock, beside slab_bytes */

/*
 * Large arrays of a head: zeroed, page-aligned (to 2 MiB when that large); memory is taken as it is
 * touched. slab_huge asks for huge pages.
 */
void *slab_map(size_t size);
void slab_huge(void *p, size_t size);
void slab_unmap(void *p, size_t size);

#endif
