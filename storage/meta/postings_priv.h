/*
 * postings_priv - sets of ids as bitmaps, for who writes generations and who reads series.
 */
#ifndef STORAGE_META_POSTINGS_PRIV_H
#define STORAGE_META_POSTINGS_PRIV_H

#include "storage/meta/postings.h"

#include <roaring/roaring.h>

/*
 * The ids of a value told by postings_values, lent as long as postings do not change: an array
 * (*bitmap = NULL), ascending, or a bitmap.
 */
const uint32_t *postings_value_ids(const struct postings_value *v, const roaring_bitmap_t **bitmap);
const roaring_bitmap_t *postings_all(const struct postings *p);

/* An empty set; the caller's. */
static inline roaring_bitmap_t *postings_bitmap(void)
{
	roaring_bitmap_t *r = roaring_bitmap_create();
	if (!r)
		panic("out of memory: bitmap");
	return r;
}

/* After DONE: the ids; the caller's (roaring_bitmap_free). */
roaring_bitmap_t *postings_select_take(struct postings_select *s);
/* Ids >= from of a set, ascending, at most max; returns how many. */
size_t postings_bitmap_from(const roaring_bitmap_t *b, uint32_t from, uint32_t *ids, size_t max);

#endif
