/*
 * postings_priv - the ids behind a value, for the writer of generations.
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

#endif
