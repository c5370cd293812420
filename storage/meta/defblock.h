/*
 * defblock - definitions of neighbouring ids as one piece of bytes: labels by columns, each text
 * once.
 *
 * Plain form (catpack compresses it):
 *   varint count, u8 flags
 *   flags & 1: the ids have holes: count - 1 times varint (distance - 1); the last id is known
 *   flags & 2: count times varint tenant; else one varint tenant for all
 *   varint names; of each varint length, bytes
 *   varint shapes; of each varint labels, so many varints: numbers of names
 *   of each name varint values; of each varint bytes shared with the value before (first: 0),
 *       varint more bytes, those bytes
 *   count times varint shape
 *   of each id, of each label of its shape, varint: 0 the value that the label had last in this
 *       block, 1 the next value of its name that was not used yet, k + 2 value number k
 * A name without bytes, alone in its shape, stands for labels that are not canonical: its value is
 * all of them.
 *
 * Pure. Any bytes are safe for the reader: it hands out canonical labels (core/model/label.h), or
 * what stood there as not canonical.
 * Thread: one at a time for a writer or a reader. Memory: their own, kept from block to block;
 * bounded by DEFBLOCK_TEXT_MAX.
 */
#ifndef STORAGE_META_DEFBLOCK_H
#define STORAGE_META_DEFBLOCK_H

#include "storage/meta/catalog.h"

#define DEFBLOCK_IDS 64u /* at most in a block */
/* A block is full when its labels have so many bytes; a single one may have as many more. */
#define DEFBLOCK_LABELS   (64u << 10)
#define DEFBLOCK_ONE_MAX  (1u << 20)
#define DEFBLOCK_TEXT_MAX (4u << 20)

/* Labels lie scattered in memory: who walks many fetches those of one some steps later. */
#define DEFBLOCK_AHEAD 6u
static inline void defblock_fetch(struct labels ls)
{
	for (uint32_t at = 0; at < ls.len && at < 512; at += 64)
		__builtin_prefetch(ls.bytes + at);
}

struct defblock_writer;
struct defblock_writer *defblock_writer_create(void);
void defblock_writer_free(struct defblock_writer *w);
/*
 * Appends the plain form of 1..DEFBLOCK_IDS definitions, ids ascending, labels of at most
 * DEFBLOCK_LABELS + DEFBLOCK_ONE_MAX bytes in all.
 */
void defblock_write(
    struct defblock_writer *w, const struct catalog_def *defs, size_t count, struct buf *out);

struct defblock_reader {
	uint32_t count;
	uint32_t ids[DEFBLOCK_IDS], tenants[DEFBLOCK_IDS];
	/* the rest is its own */
	struct defblock_text {
		const uint8_t *data;
		uint32_t len;
	} * names, *values;
	size_t names_count, names_cap, values_count, values_cap, columns_cap;
	struct defblock_shape {
		uint32_t at, labels; /* in shape_names */
	} * shapes;
	size_t shapes_count, shapes_cap;
	uint32_t *numbers; /* of names in shapes, then of values in series */
	size_t numbers_count, numbers_cap;
	struct defblock_column {
		uint32_t first, count; /* its values */
		uint32_t used, last;
	} * columns; /* as names */
	uint32_t shape_of[DEFBLOCK_IDS], refs_at[DEFBLOCK_IDS];
	struct buf text;
};
void defblock_reader_init(struct defblock_reader *r);
void defblock_reader_release(struct defblock_reader *r);
/*
 * Takes a block to pieces; raw must stay until the next one. last_id: of the block. false: no block
 * at all, the reader is empty then.
 */
bool defblock_read(struct defblock_reader *r, const uint8_t *raw, size_t len, uint32_t last_id);
/* The place of an id; DEFBLOCK_IDS: it is not in. */
uint32_t defblock_find(const struct defblock_reader *r, uint32_t id);
/* Bytes of the labels at a place, and themselves to `to`, which has room for them. */
uint32_t defblock_labels_len(const struct defblock_reader *r, uint32_t place);
void defblock_labels(const struct defblock_reader *r, uint32_t place, uint8_t *to);
/* In the arena; len 0 with bytes NULL: the arena is over its limit. */
struct labels defblock_labels_dup(const struct defblock_reader *r, uint32_t place, struct arena *a);

#endif
