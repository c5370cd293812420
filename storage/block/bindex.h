/*
 * bindex - the index of a block, read where it lies ("Index Disk Format" of Prometheus, versions 2
 * and 3, which read alike).
 *
 *   BE32 0xBAAAD700, byte version | symbols | series, each at a multiple of 16 | label indices (not
 *   looked at) | postings, each at a multiple of 4 | label offset table (not looked at) | postings
 *   offset table | six BE64 offsets and their CRC-32C
 *   symbols   BE32 length, BE32 count, texts ascending; a symbol is its number
 *   series    uvarint length; labels as pairs of symbols; chunks: varint mint, uvarint maxt - mint,
 *             uvarint ref, then each by its differences to the one before
 *   postings  BE32 length, BE32 count, BE32 series each; a series is its offset / 16
 *   table     BE32 length, BE32 count, { 2, name, value, uvarint64 offset }, ("", "") first
 * Each but the header ends with the CRC-32C of what stands behind its length.
 *
 * Labels of a series should be in order; old blocks have some that are not: bindex_series sorts.
 *
 * Opening checks the frame, symbols and table (CRC, order, bounds) and makes sparse tables of both.
 * Series and lists are checked when they are read; a damaged one costs itself alone.
 *
 * Any bytes are safe. The bytes must stay as they are while the index is open.
 * Thread: one at a time (a series is put together in buffers of the index).
 * Memory: 1/2 byte for each symbol, 1/4 byte for each entry of the table, 32 bytes for each name.
 */
#ifndef STORAGE_BLOCK_BINDEX_H
#define STORAGE_BLOCK_BINDEX_H

#include "core/model/label.h"

#define BINDEX_ALIGN 16u

struct bindex;
struct bindex_text {
	const char *s;
	uint32_t len;
};
struct bindex_chunk {
	int64_t t_min_ms, t_max_ms; /* both within */
	uint64_t ref;               /* segment << 32 | offset in it */
};
struct bindex_series {
	uint32_t ref;
	struct labels labels; /* canonical */
	const struct bindex_chunk *chunks;
	uint32_t chunks_count;
};
struct bindex_ids { /* ascending, as they stand in the file */
	const uint8_t *be32;
	uint32_t count;
};
static inline uint32_t bindex_id(const struct bindex_ids *l, uint32_t i)
{
	uint32_t v;
	memcpy(&v, l->be32 + 4 * (size_t)i, 4);
	return __builtin_bswap32(v);
}

/* ERR_DAMAGED, ERR_UNSUPPORTED, with a text. */
MUST_CHECK enum err bindex_open(
    const uint8_t *data, size_t len, struct bindex **out, struct errbuf *eb);
void bindex_close(struct bindex *x);
uint32_t bindex_symbols(const struct bindex *x);
/* False: there is none of that number. */
bool bindex_symbol(const struct bindex *x, uint32_t i, struct bindex_text *out);
/*
 * The series at ref; *out is good until the next call. ERR_DAMAGED: none stands there, and *what
 * (may be NULL) says why.
 */
MUST_CHECK enum err bindex_series(
    struct bindex *x, uint32_t ref, struct bindex_series *out, const char **what);
uint64_t bindex_offset_of(uint32_t ref); /* in the file */
/* There is no room for more series than this, whatever lists say. */
uint64_t bindex_series_most(const struct bindex *x);
/*
 * The list of a pair; that of ("", "") has all series. ERR_NOTFOUND: the block has no such pair.
 * ERR_DAMAGED: the list is.
 */
MUST_CHECK enum err bindex_ids(struct bindex *x, const char *name, size_t name_len,
    const char *value, size_t value_len, struct bindex_ids *out);
/* Where a series would come behind ref when the list of all is damaged; 0 = there is none. */
uint32_t bindex_scan(struct bindex *x, uint32_t after_ref);
/* Names and values, ascending; fn ends it with an error. offset: for bindex_ids_at. */
MUST_CHECK enum err bindex_names(struct bindex *x,
    enum err (*fn)(void *arg, struct bindex_text name, uint32_t values), void *arg);
MUST_CHECK enum err bindex_values(struct bindex *x, const char *name, size_t name_len,
    enum err (*fn)(void *arg, struct bindex_text value, uint64_t offset), void *arg);
MUST_CHECK enum err bindex_ids_at(struct bindex *x, uint64_t offset, struct bindex_ids *out);

#endif
