/*
 * cfile - an immutable file of samples of one shard, for one range of time or several neighbouring
 * ones, with a rank. Round files and sealed files have this one format.
 *
 * Integers are little endian; all checksums CRC-32C.
 *   offset  size  header
 *   0       8     magic "KYMOCF01"
 *   8       2     version (1)
 *   10      1     flags: CFILE_SEALED, CFILE_OWN
 *   11      1     bit set of sample kinds inside (bit 0 float, bit 1 histogram: none yet)
 *   12      4     shard
 *   16      8     start of the range in ms, inclusive: the base of all times in the file
 *   24      8     end of the range, exclusive
 *   32      8     rank
 *   40      16    random or counter salt of the writer, zero allowed
 *   56      4     zero
 *   60      4     crc of bytes 0..59: also seeds every other crc of the file
 * then units and label blocks in any order, each behind a head of 32 bytes, then directory and
 * footer:
 *   offset  size  head of a unit or block
 *   0       4     magic: "KUNI" unit of samples, "KLAB" block of definitions
 *   4       1     kind of the samples (enum sample_kind), 0 for definitions
 *   5       1     bit 0: payload is zstd
 *   6       2     count of entries
 *   8       4     first id
 *   12      4     last id
 *   16      4     length of the payload in the file
 *   20      4     length of the payload unpacked (<= CFILE_UNIT_RAW_MAX)
 *   24      4     crc of the payload as stored
 *   28      4     crc of bytes 0..27; seed: crc of the header plus the offset of the unit in the
 *           file. A unit in the wrong file or place does not pass
 * Unit payload: varint count of time columns; per column varint samples, varint length; the columns
 * (chunk time streams, relative to the start of the range); entries; their value streams. Each part
 * without gaps.
 *   entry: varint (length of value stream << 2 | new column << 1 | gap),
 *          [varint id - previous id, previous = first id for the first entry: 0 allowed],
 *          [varint column index]
 *   without gap the id is previous + 1 (the first entry: first id); without new column it is the
 *   one of the entry before (the first: 0). A gap of 0 goes on with the same series.
 *   Columns of equal content stand once in a unit. They are not shared over units, so that a unit
 *   is read with one read and damage costs that unit alone.
 * Label block payload, per entry: varint id - previous id (first: 0), varint tenant, varint bytes
 * shared with the labels before, varint more bytes, those bytes. Ids ascending.
 * Directory: varints: flags (CFILE_LABELS_ALL), count of units, count of blocks, samples; t_min and
 * t_max (8 bytes each); per unit varints: distance from the end of the unit before, length in the
 * file, first id - last id of the unit before,
 *   then runs of ids: (ids in the run - 1) << 1 | more runs follow,
 *          gap to the next run (its first id - last id of this one - 1, at least 1), ...
 *   Per block the same with last id - first id in place of the runs.
 *   offset  size  footer (the last 96 bytes)
 *   0       64    copy of the header, for when the first one is damaged
 *   64      8     offset of the directory
 *   72      4     its length
 *   76      4     its crc, seeded as above
 *   80      4     crc of bytes 64..79, seeded with the crc of the header
 *   84      4     zero
 *   88      8     magic "KYMOCFND"
 *
 * Cost: 32 bytes a unit (CFILE_UNIT_TARGET or CFILE_UNIT_ENTRIES_MAX series), 1-2 bytes an entry,
 * some 10-30 bytes a unit for its time columns: round files of 40 samples pay about 2 bytes a
 * series.
 * Memory of an open file: 24 bytes a unit and the id runs; far below 1 byte a series.
 * (1) Nothing of a unit is looked at before its checksums held.  (2) ids ascend over units; entries
 *     of one id are in time order and do not overlap.
 * (3) Damage is ERR_DAMAGED with a text naming file and offset, and costs one unit. With a damaged
 *     directory or footer, or a cut end, open scans the units (cfile_salvaged() tells).
 *
 * Thread: writer, open, iterators on workers. A reader is immutable after open: cfile_find and the
 * unit functions may be used on any thread that can see it (they neither block nor write to it).
 * Errors: the writer is sticky: after the first error every call returns it; cfile_writer_abort
 * removes the file.
 */
#ifndef STORAGE_CFILE_CFILE_H
#define STORAGE_CFILE_CFILE_H

#include "core/base/fsio.h"
#include "core/model/label.h"
#include "core/model/sample.h"
#include "storage/chunk/chunk.h"

#define CFILE_SEALED     1u /* whole ranges, best codec */
#define CFILE_LABELS_ALL 2u /* the labels of all its series are inside */
#define CFILE_OWN        4u /* samples of the server's own metrics only */

#define CFILE_UNIT_TARGET      (16u << 10) /* a unit is closed when its payload has reached this */
#define CFILE_UNIT_ENTRIES_MAX 512u
/*
 * no unit or block is larger, unpacked: target + one chunk of CHUNK_SAMPLES_MAX raw samples with
 * its times
 */
#define CFILE_UNIT_RAW_MAX (256u << 10)
#define CFILE_UNIT_HEAD    32u
#define CFILE_LABELS_MAX   65536u /* bytes of one label set */
#define CFILE_NAME_MAX     80u

struct cfile_meta {
	uint32_t shard, flags;
	int64_t start_ms, end_ms; /* range, end exclusive */
	uint64_t rank;
};
/*
 * What is in it, known at finish and after open. Times INT64_MAX, INT64_MIN when there are no
 * samples.
 */
struct cfile_stats {
	uint64_t size_bytes, samples;
	uint32_t series, units, blocks;
	int64_t t_min_ms, t_max_ms;
	uint64_t label_bytes, directory_bytes; /* parts of size_bytes */
};

/*
 * "<start ms>-<width ms>-<rank>.kcf": unique by rank within a shard. buf has room for
 * CFILE_NAME_MAX.
 */
void cfile_name(const struct cfile_meta *m, char *buf);
/*
 * The same with ".<serial>" behind the rank: a merge has the range and rank of one of its inputs.
 */
void cfile_name_serial(const struct cfile_meta *m, unsigned serial, char *buf);

/* Rank and serial (0: none) of such a name; false: it is no such name. */
bool cfile_name_parse(const char *name, uint64_t *rank, unsigned *serial);

/* ---- writer (worker) ---- */
struct cfile_writer;
MUST_CHECK enum err cfile_writer_create(
    struct fsio_dir *d, const char *name, const struct cfile_meta *m, struct cfile_writer **out);
/*
 * Samples of one series, ascending times inside the range; ids ascend from call to call, the same
 * id may follow with later times. Any n; split into chunks inside.
 */
enum err cfile_writer_add(struct cfile_writer *w, uint32_t id, const struct sample_column *col);
/*
 * A definition; ids ascend among definitions, in any order to cfile_writer_add. ERR_TOOBIG over
 * CFILE_LABELS_MAX (not sticky: nothing was written).
 */
enum err cfile_writer_define(struct cfile_writer *w, uint32_t id, uint32_t tenant, struct labels ls);
/* Says that every series added has been defined, too: CFILE_LABELS_ALL. */
void cfile_writer_labels_all(struct cfile_writer *w);
/*
 * Syncs what is written so far: a large file reaches the disk bit by bit, and nobody else's sync
 * waits for all of it.
 */
enum err cfile_writer_sync(struct cfile_writer *w);
/*
 * Directory, footer, sync of the file (not of the directory it is in). Frees the writer in any
 * case; after an error the file is removed. stats may be NULL.
 */
MUST_CHECK enum err cfile_writer_finish(struct cfile_writer *w, struct cfile_stats *stats);
void cfile_writer_abort(struct cfile_writer *w); /* frees, removes the file */

/* ---- reader ---- */
struct cfile;
/*
 * name is copied; d stays open as long as the reader, and the file keeps its name: its descriptor
 * comes from core/base/fdcache and may go when others need it. ERR_DAMAGED only when neither the
 * header nor its copy could be read, see (3); ERR_UNSUPPORTED: a later version.
 */
MUST_CHECK enum err cfile_open(
    struct fsio_dir *d, const char *name, struct cfile **out, struct errbuf *eb);
void cfile_close(struct cfile *f);
const struct cfile_meta *cfile_meta(const struct cfile *f);
const struct cfile_stats *cfile_stats(const struct cfile *f);
const char *cfile_path(const struct cfile *f); /* its name in the directory */
/*
 * Bytes of the file, exactly len: on a worker (the file may have to be opened again), and on a
 * loop: ERR_AGAIN, let a worker do it.
 */
MUST_CHECK enum err cfile_read(struct cfile *f, void *bytes, size_t len, uint64_t off);
MUST_CHECK enum err cfile_read_nowait(struct cfile *f, void *bytes, size_t len, uint64_t off);
bool cfile_salvaged(const struct cfile *f); /* opened by scanning; something may be missing */
bool cfile_has(const struct cfile *f, uint32_t id); /* samples of this id inside? */

struct cfile_extent { /* one unit in the file */
	uint64_t off;
	uint32_t len; /* head and payload: bytes to load */
	/*
	 * its number; extents with equal file and unit are the same bytes: load once for many
	 * series
	 */
	uint32_t unit;
};
/* The highest id with samples or a definition; false: there is none. */
bool cfile_id_max(const struct cfile *f, uint32_t *id);
/*
 * Units with samples of id, in time order: almost always none or one. Writes at most max, returns
 * how many there are. Some 100-300 ns, memory only.
 */
size_t cfile_find(const struct cfile *f, uint32_t id, struct cfile_extent *out, size_t max);
/* All ids with samples, as runs of neighbours, ascending, each id once. Memory only. */
void cfile_each_run(
    const struct cfile *f, void (*fn)(void *arg, uint32_t first, uint32_t last), void *arg);
/* Unit number i in file order, i < stats.units. */
struct cfile_extent cfile_unit_extent(const struct cfile *f, uint32_t i);

/*
 * A loaded unit. cfile_unit_open checks the loaded bytes (exactly ext->len of them) and unpacks
 * them if needed into memory of the unit; the loaded bytes are borrowed until the unit is opened
 * again or released.
 * Keep one struct per cursor or job and use it again: its memory and zstd context stay. Pure: may
 * be used on a loop; costs some 2-4 us for checksum and table (10 more when the unit is
 * compressed).
 */
struct cfile_entry {
	uint32_t id, count; /* samples */
	const uint8_t *times, *values;
	uint32_t times_len, values_len;
	uint32_t column; /* entries of a unit with equal column have equal times */
};
struct cfile_unit {
	const struct cfile *file; /* the one it was opened for; NULL = none */
	uint32_t unit, entries;
	struct cfile_entry *_entries; /* ids ascending */
	struct cfile_column *_columns;
	struct buf _raw; /* unpacked payload */
	void *_zstd;
	int64_t *_times; /* decoded times of column _times_column */
	uint32_t _times_column, _times_cap;
};
void cfile_unit_init(struct cfile_unit *u);
void cfile_unit_release(struct cfile_unit *u);
/*
 * Memory that only opening needs goes from one unit to another; both stay as they are. Whoever
 * keeps many units needs it once.
 */
void cfile_unit_hand(struct cfile_unit *from, struct cfile_unit *to);
/* ERR_DAMAGED: eb names file and offset; the unit is then empty. */
MUST_CHECK enum err cfile_unit_open(struct cfile_unit *u, const struct cfile *f,
    const struct cfile_extent *ext, const uint8_t *bytes, struct errbuf *eb);
/* Entries of id: *first and the count that follow each other in time order; 0 = not here. */
size_t cfile_unit_find(const struct cfile_unit *u, uint32_t id, const struct cfile_entry **first);
static inline const struct cfile_entry *cfile_unit_entry(const struct cfile_unit *u, uint32_t i)
{
	return &u->_entries[i];
}
/*
 * Decodes an entry: exactly e->count elements each. Times come from the unit's cache when the entry
 * before had the same column.
 */
MUST_CHECK enum err cfile_unit_decode(
    struct cfile_unit *u, const struct cfile_entry *e, int64_t *t_ms, double *v, struct errbuf *eb);
/* The same without a copy of times: *t_ms points into the unit, valid until the next decode. */
MUST_CHECK enum err cfile_unit_decode_borrow(struct cfile_unit *u, const struct cfile_entry *e,
    const int64_t **t_ms, double *v, struct errbuf *eb);

/* ---- iteration (worker) ---- */
struct cfile_damage {   /* what was skipped */
	uint64_t units; /* of samples or definitions */
	struct errbuf first;
};
/* All entries in id order, unit by unit. Damaged units are skipped and counted. */
struct cfile_iter;
MUST_CHECK enum err cfile_iter_create(struct cfile *f, struct cfile_iter **out);
void cfile_iter_free(struct cfile_iter *it);
/*
 * The next entry and its decoded samples; arrays are valid until the next call. ERR_NOTFOUND at the
 * end; ERR_IO when reading failed.
 */
MUST_CHECK enum err cfile_iter_next(struct cfile_iter *it, uint32_t *id, struct sample_column *col);
const struct cfile_damage *cfile_iter_damage(const struct cfile_iter *it);

/*
 * All definitions with id >= from, ascending. labels are valid until the next call. ERR_NOTFOUND at
 * the end.
 */
struct cfile_defs;
MUST_CHECK enum err cfile_defs_create(struct cfile *f, uint32_t from, struct cfile_defs **out);
void cfile_defs_free(struct cfile_defs *it);
MUST_CHECK enum err cfile_defs_next(
    struct cfile_defs *it, uint32_t *id, uint32_t *tenant, struct labels *ls);
/* From now on only ids >= from are wanted: blocks without one are not read. */
void cfile_defs_skip(struct cfile_defs *it, uint32_t from);
const struct cfile_damage *cfile_defs_damage(const struct cfile_defs *it);
/*
 * Reads and checks every byte that has a checksum (scrub, kymoctl verify). ERR_DAMAGED when
 * damage->units > 0 or the file was salvaged.
 */
MUST_CHECK enum err cfile_verify(struct cfile *f, struct cfile_damage *damage);

#endif
