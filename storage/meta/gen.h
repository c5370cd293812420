/*
 * gen - one generation of a shard's index in the catalog: writing it, walking it, merging several.
 *
 * Records of a tenant in a generation (keys: generation u32, tenant u32, kind u8, number u32, big
 * endian):
 *   kind 0, number 0   the ids (roaring, portable)
 *   kind 1, number i   blocks of the directory: names, sorted
 *   kind 2, number i   blocks of values, sorted within a name; a block belongs to one name
 * A block is a run of entries, at most GEN_BLOCK bytes unless a single entry is larger:
 *   varint bytes shared with the text before (first: 0), varint more bytes, those bytes, then
 *   of a name:   varint first block, varint blocks, varint values, varint ids (counted per value)
 *   of a value:  varint (count << 1): that many varints, ids as distances; or
 *                varint (bytes << 1 | 1), a roaring bitmap
 *
 * Any bytes are safe for the readers: what does not fit is ERR_DAMAGED (the checksums make that a
 * bug or an attack).
 * Thread: workers. Memory: texts and ids are lent until the iterator moves.
 */
#ifndef STORAGE_META_GEN_H
#define STORAGE_META_GEN_H

#include "storage/meta/env.h"
#include "storage/meta/postings.h"

#include <roaring/roaring.h>

#define GEN_BLOCK    16000 /* with key and checksum within four pages */
#define GEN_TEXT_MAX 65536

enum gen_kind {
	GEN_IDS,
	GEN_NAMES,
	GEN_VALUES
};

/* Where a name's values are. */
struct gen_name {
	uint64_t first_block, blocks, values, ids;
};

/* ---- writing ---- */
/* Names and values in ascending order; sticky errors stay in the transaction. */
struct gen_writer {
	struct env_txn *txn;
	struct env_db *db;
	uint32_t gen, tenant;
	struct gen_level {
		enum gen_kind kind;
		struct buf block; /* entries not written yet */
		struct buf last;  /* text of the last entry */
		uint32_t number;  /* of the block under way */
	} names, values;
	struct buf name_text; /* of the name under way */
	struct gen_name name;
	bool open;
	struct buf scratch;
	uint64_t bytes;
};
void gen_writer_init(
    struct gen_writer *w, struct env_txn *t, struct env_db *db, uint32_t gen, uint32_t tenant);
/* Values of the next name follow. */
void gen_writer_name(struct gen_writer *w, const char *name, size_t len);
void gen_writer_value(
    struct gen_writer *w, const char *value, size_t len, const uint32_t *ids, size_t count);
void gen_writer_value_bitmap(
    struct gen_writer *w, const char *value, size_t len, const roaring_bitmap_t *ids);
enum err gen_writer_finish(
    struct gen_writer *w, const roaring_bitmap_t *all); /* releases w in any case */
/* Everything in postings as one tenant's part of a generation. *bytes grows by what was written. */
MUST_CHECK enum err gen_write(struct env_txn *t, struct env_db *db, uint32_t gen, uint32_t tenant,
    const struct postings *p, uint64_t *bytes);

/* ---- reading ---- */
/* The ids of a tenant; ERR_NOTFOUND: it has none here. *out is the caller's. */
MUST_CHECK enum err gen_ids(
    struct env_txn *t, struct env_db *db, uint32_t gen, uint32_t tenant, roaring_bitmap_t **out);

/* Walks names, or the values of a name. */
struct gen_iter {
	struct env_txn *txn;
	struct env_db *db;
	uint32_t gen, tenant;
	enum gen_kind kind;
	uint64_t block,
	    end; /* number of the next block, and one past the last; names: end is found out */
	const uint8_t *p, *block_end;
	struct buf text;
	/* the entry */
	struct gen_name name;         /* GEN_NAMES */
	const uint8_t *ids, *ids_end; /* GEN_VALUES */
	bool ids_bitmap;
	uint64_t ids_count; /* of an array */
};
void gen_iter_names(
    struct gen_iter *it, struct env_txn *t, struct env_db *db, uint32_t gen, uint32_t tenant);
void gen_iter_values(struct gen_iter *it, struct env_txn *t, struct env_db *db, uint32_t gen,
    uint32_t tenant, const struct gen_name *name);
/* To the next entry; ERR_NOTFOUND: that was the last. */
MUST_CHECK enum err gen_iter_next(struct gen_iter *it);
/* To the entry with just this text; ERR_NOTFOUND: there is none. Only on a fresh iterator. */
MUST_CHECK enum err gen_iter_find(struct gen_iter *it, const char *text, size_t len);
MUST_CHECK enum err gen_iter_ids_or(const struct gen_iter *it, roaring_bitmap_t *to);
void gen_iter_release(struct gen_iter *it);

/* ---- merging ---- */
/* The tenants in a generation, ascending, on the heap. */
MUST_CHECK enum err gen_tenants(
    struct env_txn *t, struct env_db *db, uint32_t gen, uint32_t **tenants, size_t *count);
/*
 * One tenant's parts of several generations into the generation to, ids in drop left out. from is
 * read through reader, which sees none of what is written.
 */
MUST_CHECK enum err gen_merge(struct env_txn *reader, struct env_txn *writer, struct env_db *db,
    const uint32_t *from, size_t count, uint32_t tenant, uint32_t to, const roaring_bitmap_t *drop,
    uint64_t *bytes, uint64_t *ids);
/* Takes all records of a generation away. */
MUST_CHECK enum err gen_remove(struct env_txn *t, struct env_db *db, uint32_t gen);

#endif
