/*
 * cfile_priv - what the files of cfile share: fixed layouts, checksums, the open file.
 */
#ifndef STORAGE_CFILE_CFILE_PRIV_H
#define STORAGE_CFILE_CFILE_PRIV_H

#include "core/base/fdcache.h"
#include "core/base/hash.h"
#include "core/base/wire.h"
#include "storage/cfile/cfile.h"

#define CFILE_MAGIC             "KYMOCF01"
#define CFILE_MAGIC_END         "KYMOCFND"
#define CFILE_VERSION           1u
#define CFILE_HEADER            64u
#define CFILE_FOOTER            96u
#define CFILE_MAGIC_UNIT        0x494e554bu /* "KUNI" */
#define CFILE_MAGIC_BLOCK       0x42414c4bu /* "KLAB" */
#define CFILE_ZSTD              1u          /* flag of a unit head */
#define CFILE_DIR_MAX           (512u << 20)
#define CFILE_BLOCK_TARGET      (128u << 10)
#define CFILE_BLOCK_ENTRIES_MAX 8192u

struct cfile_head { /* of a unit or block, see the table in cfile.h */
	uint32_t magic, count, first_id, last_id, len, raw_len, crc;
	uint8_t kind, flags;
};
/* Seed of all checksums of the piece at an offset. */
uint32_t cfile_seed(uint32_t header_crc, uint64_t off);
void cfile_head_put(uint8_t *p, const struct cfile_head *h, uint32_t seed);
/* False: not the head of a unit or block at this place of this file. */
bool cfile_head_get(const uint8_t *p, uint32_t seed, struct cfile_head *h);
void cfile_header_put(uint8_t *p, const struct cfile_meta *m, uint64_t salt);
MUST_CHECK enum err cfile_header_get(const uint8_t *p, struct cfile_meta *m);

struct cfile_ref { /* a unit or block of an open file */
	uint64_t off;
	uint32_t len; /* with head */
	uint32_t first_id, last_id;
	uint32_t runs; /* units: where the runs of ids begin in f->runs */
};
struct cfile {
	struct fdfile *io;
	char name[CFILE_NAME_MAX];
	struct cfile_meta meta;
	struct cfile_stats stats;
	uint32_t header_crc;
	bool salvaged;
	struct cfile_ref *units, *blocks;
	uint8_t *runs; /* the directory, or what the scan made of it */
	size_t runs_len;
};
struct cfile_column {
	const uint8_t *p;
	uint32_t len, count;
};

/* One run after another; false when there are no more. Any bytes are safe. */
struct cfile_runs {
	struct wire_reader r;
	uint64_t first, last; /* ids of the run, both inclusive */
	bool more;
};
struct cfile_runs cfile_runs(const uint8_t *p, size_t len, uint32_t first_id);
bool cfile_runs_next(struct cfile_runs *it);
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
/* Fills f from a scan of the whole file when the directory is not to be had. */
MUST_CHECK enum err cfile_salvage(struct cfile *f, uint64_t size);
/* Loads a piece into b (exactly ref->len bytes). */
MUST_CHECK enum err cfile_piece_load(struct cfile *f, const struct cfile_ref *ref, struct buf *b);

#endif
