/*
 * bselect - which series of an index may satisfy matchers.
 *
 * Matchers that a missing label does not satisfy are looked up: the lists of the values that they
 * take are joined, and met with those of the others. The rest (label!="x", label=~".*") are left to
 * whoever reads the series. No such matcher: the list of all series.
 *
 * Thread: that of the index. Memory: bselect_release; 4 bytes for each series where a matcher was
 * looked up, twice that while it works.
 */
#ifndef STORAGE_BLOCK_BSELECT_H
#define STORAGE_BLOCK_BSELECT_H

#include "core/model/matcher.h"
#include "storage/block/bindex.h"

struct bselect {
	uint32_t *ids;         /* NULL: all are */
	struct bindex_ids all; /* then; count 0 where the list is damaged */
	bool all_damaged;
	size_t count;
};
/* ERR_DAMAGED: a list is; ERR_BADDATA: a pattern is beyond its limit. Both with a text. */
MUST_CHECK enum err bselect_make(struct bindex *x, const struct matcher *matchers, size_t count,
    struct bselect *out, struct errbuf *eb);
void bselect_release(struct bselect *s);
uint32_t bselect_id(const struct bselect *s, size_t i);
/* The first place whose id is behind ref. */
size_t bselect_after(const struct bselect *s, uint32_t ref);

#endif
