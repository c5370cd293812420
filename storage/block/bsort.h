/*
 * bsort - sorts records of any number in bounded memory: runs on disk, then merged.
 *
 * A record is a key and a value, both bytes. Order: prefix, then key by bytes (a shorter one that
 * begins the other comes first), then the order in which they were added. The prefix must not
 * contradict the keys: it is what most comparisons end with. With `unique` of records of one key
 * the first stays.
 *
 * bsort_add ... bsort_begin, then bsort_next until ERR_NOTFOUND. What was added fits the memory of
 * the merge: no file is made. More runs than BSORT_FAN are merged in several passes; no more than
 * twice as many files are open.
 *
 * Thread: one at a time. Memory: memory_bytes, and the longest record for each run that is merged.
 * Errors: the first one is kept.
 */
#ifndef STORAGE_BLOCK_BSORT_H
#define STORAGE_BLOCK_BSORT_H

#include "core/base/fsio.h"

#define BSORT_FAN        256u
#define BSORT_RECORD_MAX ((size_t)64 << 20)

struct bsort;
struct bsort_record {
	uint64_t prefix;
	const uint8_t *key, *value;
	uint32_t key_len, value_len;
};
/* Runs lie in dir, under no name. */
struct bsort *bsort_create(struct fsio_dir *dir, size_t memory_bytes, bool unique);
void bsort_free(struct bsort *s);
MUST_CHECK enum err bsort_add(struct bsort *s, const struct bsort_record *r);
/* Nothing is added from here on. memory_bytes: for the merge; the rest is freed. */
MUST_CHECK enum err bsort_begin(struct bsort *s, size_t memory_bytes);
/* *out is good until the next call. */
MUST_CHECK enum err bsort_next(struct bsort *s, struct bsort_record *out);
uint64_t bsort_runs(const struct bsort *s);
uint64_t bsort_spilled(const struct bsort *s); /* bytes written to runs */

#endif
