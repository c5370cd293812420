/*
 * cfile_priv - what the files of cfile share: fixed layouts, checksums, the open file, its
 * directory.
 */
#ifndef STORAGE_CFILE_CFILE_PRIV_H
#define STORAGE_CFILE_CFILE_PRIV_H

#include "core/base/fdcache.h"
#include "core/base/hash.h"
#include "core/base/memo.h"
#include "core/base/wire.h"
#include "storage/cfile/cfile.h"

#define CFILE_MAGIC             "KYMOCF01"
#define CFILE_MAGIC_END         "KYMOCFN2"
#define CFILE_MAGIC_END_V1      "KYMOCFND"
#define CFILE_VERSION           2u
#define CFILE_HEADER            64u
#define CFILE_FOOTER            192u
#define CFILE_FOOTER_V1         96u
#define CFILE_MAGIC_UNIT        0x494e554bu /* "KUNI" */
#define CFILE_MAGIC_BLOCK       0x42414c4bu /* "KLAB" */
#define CFILE_MAGIC_TIMES       0x4d49544bu /* "KTIM" */
#define CFILE_ZSTD              1u          /* flag of a unit head */
#define CFILE_DIR_MAX           (512u << 20)
#define CFILE_BLOCK_TARGET      (128u << 10)
#define CFILE_BLOCK_ENTRIES_MAX 8192u

struct cfile_head { /* of a piece, see the table in cfile.h */
	uint32_t magic, count, first_id, last_id, len, raw_len, crc;
	uint8_t kind, flags;
};
/* Seed of all checksums of the piece at an offset. */
uint32_t cfile_seed(uint32_t header_crc, uint64_t off);
void cfile_head_put(uint8_t *p, const struct cfile_head *h, uint32_t seed);
/* False: not the head of a piece at this place of this file. */
bool cfile_head_get(const uint8_t *p, uint32_t seed, struct cfile_head *h);
void cfile_header_put(uint8_t *p, const struct cfile_meta *m, uint64_t salt);
MUST_CHECK enum err cfile_header_get(const uint8_t *p, struct cfile_meta *m, unsigned *version);

struct cfile {
	struct fdfile *io;
	char name[CFILE_NAME_MAX];
	struct cfile_meta meta;
	struct cfile_stats stats;
	uint32_t header_crc;
	uint16_t version;
	bool salvaged, any_id;
	uint32_t id_max, kinds;
	uint64_t dir_off;
	uint32_t dir_len, dir_raw_len, dir_crc;
	struct memo dir; /* struct cfile_dir */
};
/* A header, or its copy, into an open file: meta, version, seed of the checksums. */
MUST_CHECK enum err cfile_header_take(const uint8_t *p, struct cfile *f);
/* What of an open file a footer tells. */
void cfile_footer_put(uint8_t *p, const struct cfile *f, const uint8_t *header);
MUST_CHECK enum err cfile_footer_get(const uint8_t *p, struct cfile *f, uint64_t size);

/* ---- the directory ---- */

struct cfile_ref { /* a piece of an open file */
	uint64_t off;
	uint32_t len;               /* with head */
	uint32_t first_id, last_id; /* or columns */
	/* units in id order: where their runs begin in dir->raw; times: see times_read */
	uint32_t runs;
};
struct cfile_list {
	struct cfile_ref *refs;
	uint32_t count, cap;
};
struct cfile_ref *cfile_list_push(struct cfile_list *l, const struct cfile_ref *ref);

#define CFILE_STEP 32u
struct cfile_step {    /* of the directory of ids: each CFILE_STEP ids */
	uint32_t id;   /* the first one */
	uint32_t unit; /* before it */
	uint32_t id_before;
	uint32_t off; /* of its entry */
};
struct cfile_ids { /* ids in metric order -> units */
	const uint8_t *p;
	size_t len;
	uint32_t count, units; /* units there are */
	struct cfile_step *steps;
	uint32_t steps_count;
};
struct cfile_id_unit { /* of the writer, and of a scan */
	uint32_t id, unit;
};
/* Sorts and encodes. */
void cfile_ids_put(struct buf *out, struct cfile_id_unit *pairs, size_t count);
/* ids->p, len, count and units are set: goes through all of it. False: it is damaged. */
MUST_CHECK bool cfile_ids_index(struct cfile_ids *ids);
void cfile_ids_release(struct cfile_ids *ids);
/* How many units have the id, from *unit on, one behind the other. */
uint32_t cfile_ids_find(const struct cfile_ids *ids, uint32_t id, uint32_t *unit);
/* The same, from what the last look knows. */
uint32_t cfile_ids_seek(
    const struct cfile_ids *ids, struct cfile_seek *s, uint32_t id, uint32_t *unit);
struct cfile_ids_iter {
	struct wire_reader r;
	uint32_t left, id, unit, more;
	bool begun;
};
struct cfile_ids_iter cfile_ids_iter(const struct cfile_ids *ids);
bool cfile_ids_next(struct cfile_ids_iter *it); /* any bytes are safe */

struct cfile_dir {
	bool salvaged, metric;
	struct cfile_list units, opaque, blocks, times;
	uint64_t times_copy; /* where the first one stands; 0: there are none */
	uint8_t *raw;        /* the directory, or what the scan made of it */
	size_t raw_len;
	struct cfile_ids ids; /* in metric order */
	/* what a footer would tell, of those without a good one */
	struct cfile_stats stats;
	uint32_t flags, kinds, id_max;
	bool any_id;
};
/* Fills an empty directory; ERR_DAMAGED: it cannot be had, or is none. */
MUST_CHECK enum err cfile_dir_read(struct cfile *f, struct cfile_dir *d);
/* limit: pieces end before it. */
MUST_CHECK bool cfile_dir_parse(struct cfile_dir *d, uint64_t limit);
void cfile_dir_clear(struct cfile_dir *d);
void cfile_dir_free(void *d);
/* Counts the ids of all pieces. */
void cfile_dir_id_max(struct cfile_dir *d);

/* Version 1: footer and directory. p: its last CFILE_FOOTER_V1 bytes. */
MUST_CHECK enum err cfile_v1_footer_get(const uint8_t *p, struct cfile *f, uint64_t size);
MUST_CHECK bool cfile_v1_dir_parse(struct cfile_dir *d, uint64_t limit);
/* Columns and entries of a unit. */
MUST_CHECK bool cfile_v1_unit_parse(
    struct cfile_unit *u, const struct cfile_head *h, const uint8_t *payload);

struct cfile_column {
	const uint8_t *p;
	uint32_t len, count;
	uint32_t decoded; /* index + 1 in _decoded of a block; 0: not there */
	bool seen;        /* asked for before */
};

/* One run after another; false when there are no more. Any bytes are safe. */
struct cfile_runs {
	struct wire_reader r;
	uint64_t first, last; /* ids of the run, both inclusive */
	bool more;
};
struct cfile_runs cfile_runs(const uint8_t *p, size_t len, uint32_t first_id);
bool cfile_runs_next(struct cfile_runs *it);
/* To the first id of the next run; false at the end of the runs. */
bool cfile_runs_skip(struct cfile_runs *it);
/* Appends the runs of ascending ids (repeats allowed). */
void cfile_runs_put(struct buf *out, const uint32_t *ids, size_t count);

/*
 * Checks head and payload of a loaded piece and unpacks it: *payload points into bytes or raw.
 * want: magic.
 */
MUST_CHECK enum err cfile_piece_open(const struct cfile *f, uint64_t off, uint32_t len,
    const uint8_t *bytes, uint32_t want, struct cfile_head *h, struct buf *raw, void **zstd,
    const uint8_t **payload, struct errbuf *eb);
void cfile_zstd_free(void *zstd);
/* Fills an empty directory from a scan of the whole file, when it is not to be had. */
MUST_CHECK enum err cfile_salvage(struct cfile *f, struct cfile_dir *d);
/* Loads a piece into b (exactly ref->len bytes). */
MUST_CHECK enum err cfile_piece_load(struct cfile *f, const struct cfile_ref *ref, struct buf *b);
enum err cfile_damaged(const struct cfile *f, uint64_t off, const char *what, struct errbuf *eb);

/* What is skipped by those who walk; a failing disk is no damage. */
void cfile_damage_add(struct cfile_damage *d, const struct errbuf *eb);
static inline bool cfile_is_damage(enum err e)
{
	return e == ERR_DAMAGED || e == ERR_UNSUPPORTED;
}
/* cfile_piece_load, with a file that ends early as ERR_DAMAGED. */
MUST_CHECK enum err cfile_load(
    struct cfile *f, const struct cfile_ref *ref, struct buf *b, struct errbuf *eb);

#endif
