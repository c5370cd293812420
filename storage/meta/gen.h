/*
 * gen - one generation of a shard's index in the catalog: writing it, walking it, merging several.
 *
 * Records of a tenant in a generation (keys: generation u32, tenant u32, kind u8, number u32, big
 * endian; they are written in the order of their keys, behind all that is there):
 *   kind 0, number i   blocks of values, sorted within a name; a block belongs to one name
 *   kind 1, number i   blocks of the directory: names, sorted
 *   kind 2, number 0   the ids (storage/meta/idset.h)
 * A block is a run of entries, at most GEN_BLOCK bytes unless a single entry is larger:
 *   varint bytes shared with the text before (first: 0), varint more bytes, those bytes, then
 *   of a name:   varint first block, varint blocks, varint values, varint ids (counted per value)
 *   of a value:  its ids (idset.h), base: the first id of the entry before, 0 in the first one
 *
 * Any bytes are safe for the readers: what does not fit is ERR_DAMAGED (the checksums make that a
 * bug or an attack).
 * Thread: workers. Memory: texts and ids are lent until the iterator moves.
 */
#ifndef STORAGE_META_GEN_H
#define STORAGE_META_GEN_H

#include "core/model/label.h"
#include "storage/meta/env.h"
#include "storage/meta/idset.h"

#include <roaring/roaring.h>

/* Two blocks with keys, checksums and what LMDB adds fill a page. */
#define GEN_BLOCK    2008
#define GEN_TEXT_MAX 65536

enum gen_kind {
	GEN_VALUES,
	GEN_NAMES,
	GEN_IDS
};

/* Where a name's values are. */
struct gen_name {
	uint64_t first_block, blocks, values, ids;
};

/* ---- writing ---- */
/*
 * Names and values in ascending order; sticky errors stay in the transaction. The generation is
 * above all others of db, tenants come in ascending order.
 */
struct gen_writer {
	struct env_txn *txn;
	struct env_db *db;
	uint32_t gen, tenant;
	struct gen_level {
		enum gen_kind kind;
		struct buf block;    /* entries not written yet */
		struct buf last;     /* text of the last entry */
		uint32_t number;     /* of the block under way */
		uint32_t last_first; /* the first id of the last entry */
	} names, values;
	struct buf names_done; /* blocks of names, each behind its length: written at the end */
	struct buf name_text;  /* of the name under way */
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
/* ids: all of them, ascending. Releases w in any case. */
enum err gen_writer_finish(struct gen_writer *w, const uint32_t *ids, size_t count);

/*
 * What one tenant's series bring, gathered in memory. Labels are lent until it is written; some
 * 60 bytes a pair and 8 a run of ids; 0.1 us a series that differs little from the one before.
 */
struct gen_builder;
struct gen_builder *gen_builder_create(uint64_t seed); /* secret, of tables */
void gen_builder_free(struct gen_builder *b);
void gen_builder_add(struct gen_builder *b, uint32_t id, struct labels ls); /* ids ascend */
uint64_t gen_builder_series(const struct gen_builder *b);
/* As one tenant's part of a generation. *bytes grows by what was written. */
MUST_CHECK enum err gen_write(struct env_txn *t, struct env_db *db, uint32_t gen, uint32_t tenant,
    const struct gen_builder *b, uint64_t *bytes);

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
	uint64_t first; /* block of the first entry */
	uint64_t block,
	    end; /* number of the next block, and one past the last; names: end is found out */
	const uint8_t *p, *block_end;
	struct buf text;
	/* the entry */
	struct gen_name name; /* GEN_NAMES */
	struct idset ids;     /* GEN_VALUES */
	uint32_t base;        /* of the next entry's ids */
};
void gen_iter_names(
    struct gen_iter *it, struct env_txn *t, struct env_db *db, uint32_t gen, uint32_t tenant);
void gen_iter_values(struct gen_iter *it, struct env_txn *t, struct env_db *db, uint32_t gen,
    uint32_t tenant, const struct gen_name *name);
/* To the next entry; ERR_NOTFOUND: that was the last. */
MUST_CHECK enum err gen_iter_next(struct gen_iter *it);
/*
 * To the first entry at or above this text; ERR_NOTFOUND: there is none. Some loads of a block, by
 * halving. Any time.
 */
MUST_CHECK enum err gen_iter_seek(struct gen_iter *it, const char *text, size_t len);
/* To the entry with just this text; ERR_NOTFOUND: there is none. Only on a fresh iterator. */
MUST_CHECK enum err gen_iter_find(struct gen_iter *it, const char *text, size_t len);
/* How many blocks have entries that begin with prefix, about. */
MUST_CHECK enum err gen_iter_blocks(
    struct gen_iter *it, const char *prefix, size_t len, uint64_t *count);
MUST_CHECK enum err gen_iter_ids_or(const struct gen_iter *it, roaring_bitmap_t *to);
/* Which of these ids (ascending) the entry has: in[i]. */
MUST_CHECK enum err gen_iter_meet(
    const struct gen_iter *it, const uint32_t *ids, size_t count, bool *in);
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
