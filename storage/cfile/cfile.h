/*
 * cfile - an immutable file of samples of one shard, for one range of time or several neighbouring
 * ones, with a rank. Round files and sealed files have this one format: a round file has its series
 * in the order of ids, a sealed one lays the series of one metric beside each other.
 *
 * Integers are little endian; all checksums CRC-32C. This is version 2; version 1 is read, too
 * (storage/cfile/cfile_v1.c has what differs).
 *   offset  size  header
 *   0       8     magic "KYMOCF01"
 *   8       2     version (2)
 *   10      1     flags: CFILE_SEALED, CFILE_OWN, CFILE_METRIC; unknown ones are let be
 *   11      1     zero, not looked at
 *   12      4     shard
 *   16      8     start of the range in ms, inclusive: the base of all times in the file
 *   24      8     end of the range, exclusive
 *   32      8     rank
 *   40      16    random or counter salt of the writer, zero allowed
 *   56      4     zero
 *   60      4     crc of bytes 0..59: also seeds every other crc of the file
 * then pieces in any order, each behind a head of 32 bytes:
 *   offset  size  head of a piece
 *   0       4     magic: "KUNI" unit, "KLAB" block of definitions, "KTIM" block of time columns
 *   4       1     units: kind (enum cfile_kind), else 0
 *   5       1     bit 0: payload is zstd
 *   6       2     count of entries
 *   8       4     lowest id (of a block of time columns: its first column)
 *   12      4     highest id (last column)
 *   16      4     length of the payload in the file
 *   20      4     length of the payload unpacked (<= CFILE_UNIT_RAW_MAX)
 *   24      4     crc of the payload as stored
 *   28      4     crc of bytes 0..27; seed: crc of the header plus the offset of the piece in the
 *           file. A piece in the wrong file or place does not pass
 * Unit of floats (kind 0) or of samples among which are histograms (kind 1): entries, ids
 * ascending; then their streams, without gaps.
 *   entry: varint (id - id of the entry before) << 2 | other column << 1 | stream follows
 *              (the first entry: minus the lowest id; 0 is the same series again, later times)
 *          [zigzag varint (column - column before, of the first entry: 0) << 1 | other count;
 *              varint samples]    first entry: both must be there
 *          [varint length of its stream; 0: varint n, it has the stream of the n-th entry before]
 *          else it has the stream of the entry before
 *   A stream is that of the values (storage/chunk/chunk.h); in a unit of kind 1 what is left behind
 *   it is a stream of histograms and starts (storage/chunk/histchunk.h), if anything.
 * Unit of other bytes (kind 2): per entry varint (id - id before), varint length; then the bytes.
 * Block of time columns: per column varint samples, varint length; then their streams (chunk time
 *   streams, relative to the start of the range). Columns are numbered through the file; those of
 *   equal content stand once. A block stands in front of the first unit that needs it: mostly all
 *   of them at the beginning of the file. It is small (CFILE_TIMES_TARGET), for a damaged one costs
 *   every entry that uses it: where they are few all blocks stand once more at the end.
 * Label block, per entry: zigzag varint (id - id of the entry before; first: minus the lowest id),
 *   varint tenant, varint bytes shared with the labels before, varint more bytes, those bytes.
 *   In a file in the order of ids they ascend; in metric order they go by cfile_key_cmp().
 * Directory (zstd when that is smaller), behind all pieces; varints:
 *   count of units, of units of other bytes, of label blocks, of blocks of time columns; then
 *   per unit of samples: distance from the end of the one before (from the header's end), length;
 *     in id order also zigzag (lowest id - highest id of the one before) and runs of ids:
 *       (ids in the run - 1) << 1 | more runs follow,
 *       gap to the next run (its first id - last id of this one - 1, at least 1), ...
 *   per unit of other bytes: the same, always with ids;
 *   per label block: distance, length, zigzag (lowest id - lowest id before), highest - lowest id;
 *   per block of time columns: distance, length, columns in it;
 *   where second copies of all blocks of time columns begin, one behind the other; 0: once only;
 *   in metric order: count of ids with samples, then the ids, ascending:
 *     zigzag (unit - unit before) << 2 | it goes on in units behind it << 1 | gap before it,
 *     [gap: id - id before - 1]  [how many units behind it]
 *   offset  size  footer (the last 192 bytes)
 *   0       64    copy of the header
 *   64      8     offset of the directory
 *   72      4     its length
 *   76      4     its length unpacked, 0: it is not packed
 *   80      4     its crc, seeded as above
 *   84      4     flags: CFILE_LABELS_ALL
 *   88      8     samples
 *   96      16    times of the first and the last one
 *   112     8     bytes of label blocks
 *   120     4     series
 *   124     4     units of samples
 *   128     4     label blocks
 *   132     4     bit set of the kinds of units inside
 *   136     4     highest id with samples or a definition
 *   140     4     1: there is such an id
 *   144     8     bytes of blocks of time columns
 *   152     24    zero
 *   176     4     crc of bytes 64..175, seeded with the crc of the header
 *   180     4     zero
 *   184     8     magic "KYMOCFN2"
 *
 * Cost: 32 bytes a unit and some 6 in the directory; an entry 1 byte and its stream, 1-2 more
 * where its time column is not that of the entry before, 1-2 where no equal stream is near; the
 * directory of ids some half a byte a series.
 * Memory: an open file has some 400 bytes, whatever is in it. Its directory (struct cfile_dir) is
 * loaded when it is asked for and kept by core/base/memo: 24 bytes a unit, and in metric order 1-2
 * bytes a series.
 * (1) Nothing of a piece is looked at before its checksums held.  (2) In a unit ids ascend; entries
 *     of one id are in time order and do not overlap, also over units.
 * (3) Damage is ERR_DAMAGED with a text naming file and offset. It costs one unit; in a block of
 *     time columns that stands once, what uses its columns. With a damaged directory or footer, or
 *     a cut end, the pieces are looked for (cfile_dir_salvaged() tells).
 * (4) A unit of an unknown kind is ERR_UNSUPPORTED for itself.
 *
 * Thread: writer, open, iterators and what loads on workers. A struct cfile_dir is immutable:
 * cfile_find and the unit functions may be used on any thread that can see it (they neither block
 * nor write to it).
 * Errors: the writer is sticky: after the first error every call returns it; cfile_writer_abort
 * removes the file.
 */
#ifndef STORAGE_CFILE_CFILE_H
#define STORAGE_CFILE_CFILE_H

#include "core/base/fsio.h"
#include "core/model/label.h"
#include "core/model/sample.h"
#include "storage/chunk/chunk.h"
#include "storage/chunk/column.h"

#define CFILE_SEALED     1u /* whole ranges, best codec */
#define CFILE_LABELS_ALL 2u /* the labels of all its series are inside */
#define CFILE_OWN        4u /* samples of the server's own metrics only */
#define CFILE_METRIC     8u /* in metric order */

enum cfile_kind { /* of a unit */
	CFILE_FLOATS = SAMPLE_FLOAT,
	CFILE_HISTS = SAMPLE_HIST, /* histograms or starts are among the samples */
	CFILE_OPAQUE = 2,          /* bytes for ids */
};

/* A unit is closed when its payload has reached this; in metric order a few series are read. */
#define CFILE_UNIT_TARGET      (16u << 10)
#define CFILE_UNIT_METRIC      (4u << 10)
#define CFILE_UNIT_ENTRIES_MAX 512u
#define CFILE_TIMES_TARGET     (4u << 10)
#define CFILE_TIMES_MAX        1024u /* columns of a block */
/*
 * no piece is larger, unpacked: target + one chunk of CHUNK_SAMPLES_MAX raw samples, or one
 * histogram of HIST_BUCKETS_MAX buckets
 */
#define CFILE_UNIT_RAW_MAX (1024u << 10)
#define CFILE_OPAQUE_MAX   (128u << 10) /* bytes of one id */
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
	uint64_t label_bytes, times_bytes, directory_bytes; /* parts of size_bytes */
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
/*
 * m->flags: CFILE_SEALED, CFILE_OWN and CFILE_METRIC are taken. Memory: some 300 KiB; label bytes
 * of a block; the time columns of the file, up to CFILE_TIMES_KEPT (then equal ones may stand
 * twice); in metric order 8 bytes a series.
 */
MUST_CHECK enum err cfile_writer_create(
    struct fsio_dir *d, const char *name, const struct cfile_meta *m, struct cfile_writer **out);
#define CFILE_TIMES_KEPT (16u << 20)
/*
 * Samples of one series, ascending times inside the range; the same id may follow with later times.
 * In id order ids ascend from call to call; in metric order an id does not come back after another
 * one. Any count; split into chunks inside.
 */
enum err cfile_writer_add(struct cfile_writer *w, uint32_t id, const struct sample_column *col);
/*
 * The same in two steps, for those who keep what is encoded for a while: a chunk of at most
 * CHUNK_SAMPLES_MAX samples, behind what the buf has. False: too long for one chunk, two halves
 * have room.
 */
MUST_CHECK bool cfile_chunk_encode(
    const struct sample_column *col, enum chunk_effort effort, struct buf *out);
/* kind: CFILE_HISTS when the column has more than floats. */
enum err cfile_writer_add_chunk(struct cfile_writer *w, uint32_t id, enum cfile_kind kind,
    const int64_t *t_ms, uint32_t count, const uint8_t *chunk, size_t len);
enum chunk_effort cfile_writer_effort(const struct cfile_writer *w);
/* Appends what such a chunk holds to a column. */
MUST_CHECK enum err cfile_chunk_decode(enum cfile_kind kind, const int64_t *t_ms, uint32_t count,
    const uint8_t *chunk, size_t len, struct column *c);
/*
 * Bytes for an id, at most CFILE_OPAQUE_MAX (ERR_TOOBIG, not sticky); ids ascend from call to call,
 * whatever the order of the file, and need no samples.
 */
enum err cfile_writer_add_opaque(struct cfile_writer *w, uint32_t id, const void *bytes, size_t len);
/*
 * A definition; in any order to cfile_writer_add. In id order ids ascend among definitions; in
 * metric order they go by cfile_key_cmp, and no id comes twice. ERR_TOOBIG over CFILE_LABELS_MAX
 * (not sticky: nothing was written).
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
/* So many bytes were handed to the file until now. */
uint64_t cfile_writer_bytes(const struct cfile_writer *w);

/*
 * Metric order: tenant, metric name, then all label bytes. Total, any bytes will do; series of one
 * metric of one tenant are neighbours.
 */
struct cfile_key {
	uint32_t tenant;
	struct labels labels;
};
int cfile_key_cmp(const struct cfile_key *a, const struct cfile_key *b);

/* ---- reader ---- */
struct cfile;
/*
 * name is copied; d stays open as long as the reader, and the file keeps its name: its descriptor
 * comes from core/base/fdcache and may go when others need it. Reads the footer, no more (of
 * version 1 the directory). ERR_DAMAGED only when neither the header nor its copy could be read,
 * see (3); ERR_UNSUPPORTED: a later version.
 */
MUST_CHECK enum err cfile_open(
    struct fsio_dir *d, const char *name, struct cfile **out, struct errbuf *eb);
void cfile_close(struct cfile *f); /* nobody pins its directory */
const struct cfile_meta *cfile_meta(const struct cfile *f);
const struct cfile_stats *cfile_stats(const struct cfile *f);
const char *cfile_path(const struct cfile *f); /* its name in the directory */
/*
 * Bytes of the file, exactly len: on a worker (the file may have to be opened again), and on a
 * loop: ERR_AGAIN, let a worker do it.
 */
MUST_CHECK enum err cfile_read(struct cfile *f, void *bytes, size_t len, uint64_t off);
MUST_CHECK enum err cfile_read_nowait(struct cfile *f, void *bytes, size_t len, uint64_t off);
/* Opened by looking for its pieces, as its footer is damaged; something may be missing. */
bool cfile_salvaged(const struct cfile *f);
/* The highest id with samples or a definition; false: there is none. */
bool cfile_id_max(const struct cfile *f, uint32_t *id);
bool cfile_has_kind(const struct cfile *f, enum cfile_kind kind); /* any unit of it? */

/* ---- its directory ---- */
struct cfile_dir;
/* The directory, when it is in memory: any thread. NULL: cfile_dir_load. */
const struct cfile_dir *cfile_dir_pin(struct cfile *f);
/*
 * The same, loaded when need be: on a worker or at a start. ERR_IO and the like; never ERR_DAMAGED:
 * then the pieces are looked for.
 */
MUST_CHECK enum err cfile_dir_load(struct cfile *f, const struct cfile_dir **out);
void cfile_dir_unpin(struct cfile *f);
/* Made by looking for the pieces; something may be missing. */
bool cfile_dir_salvaged(const struct cfile_dir *d);
size_t cfile_dir_bytes(const struct cfile_dir *d); /* of memory */

#define CFILE_NUMBER_TIMES 0x80000000u /* numbers of extents: blocks of time columns */
#define CFILE_NUMBER_COPY  0x40000000u /* ... their second copies */
struct cfile_extent {                  /* one piece in the file */
	uint64_t off;
	uint32_t len; /* head and payload: bytes to load */
	/*
	 * its number; extents with equal file and number are the same bytes: load once for many
	 * series
	 */
	uint32_t unit;
};
/*
 * Units with samples of id, in time order: almost always none or one. Writes at most max, returns
 * how many there are. Some 50-300 ns, memory only.
 */
size_t cfile_find(const struct cfile_dir *d, uint32_t id, struct cfile_extent *out, size_t max);
/*
 * The same for who asks for many ids, mostly upwards: what a look decoded serves the next ones, at
 * some 5-10 ns each. One for each directory, zero at first; thread: its owner's.
 */
#define CFILE_SEEK_IDS 32u
struct cfile_seek {
	uint32_t _step, _count; /* in metric order: so many ids of step - 1 are known; 0: none */
	uint32_t _ids[CFILE_SEEK_IDS], _units[CFILE_SEEK_IDS];
	uint32_t _off; /* where the next one stands */
	uint32_t _ref; /* in id order: the unit that had the last one */
};
size_t cfile_find_near(const struct cfile_dir *d, struct cfile_seek *seek, uint32_t id,
    struct cfile_extent *out, size_t max);
/* The same of units of other bytes. */
size_t cfile_find_opaque(
    const struct cfile_dir *d, uint32_t id, struct cfile_extent *out, size_t max);
/* Samples of this id inside? */
bool cfile_dir_has(const struct cfile_dir *d, uint32_t id);
/* Unit number i of samples in file order, i < stats.units. */
struct cfile_extent cfile_unit_extent(const struct cfile_dir *d, uint32_t i);
/*
 * The block with a time column; copy 1: the second one. False: there is none. Its number is one
 * that no unit has.
 */
bool cfile_times_extent(
    const struct cfile_dir *d, uint32_t column, unsigned copy, struct cfile_extent *out);

/* All of them, once each: i < cfile_times_blocks. */
uint32_t cfile_times_blocks(const struct cfile_dir *d);
void cfile_times_nth(const struct cfile_dir *d, uint32_t i, struct cfile_extent *out);

/* For those who may block, with the directory loaded inside: */
bool cfile_has(struct cfile *f, uint32_t id); /* also when it cannot be told */
/* All ids with samples, as runs of neighbours, ascending, each id once. */
MUST_CHECK enum err cfile_each_run(
    struct cfile *f, void (*fn)(void *arg, uint32_t first, uint32_t last), void *arg);
/* Header, footer and directory are whole. */
bool cfile_is_whole(struct cfile *f);

/*
 * A loaded block of time columns, as a loaded unit below: opened from bytes that stay. Columns are
 * decoded when they are asked for and kept, up to CFILE_TIMES_DECODED bytes.
 */
#define CFILE_TIMES_DECODED (512u << 10)
struct cfile_column;
struct cfile_times {
	const struct cfile *file; /* NULL: none */
	uint32_t first, count;    /* columns */
	uint64_t off;
	struct cfile_column *_columns;
	uint32_t _columns_cap;
	int64_t *_decoded; /* one behind the other */
	uint32_t _decoded_count, _decoded_cap;
	struct buf _raw;
	void *_zstd;
};
void cfile_times_init(struct cfile_times *t);
void cfile_times_release(struct cfile_times *t);
MUST_CHECK enum err cfile_times_open(struct cfile_times *t, const struct cfile *f,
    const struct cfile_extent *ext, const uint8_t *bytes, struct errbuf *eb);
static inline bool cfile_times_has(const struct cfile_times *t, uint32_t column)
{
	return column - t->first < t->count;
}
/*
 * The times of a column that it has, exactly count of them; valid until the next call.
 */
MUST_CHECK enum err cfile_times_get(struct cfile_times *t, uint32_t column, uint32_t count,
    const int64_t **t_ms, struct errbuf *eb);

/* The same into a place of the caller's. */
MUST_CHECK enum err cfile_times_copy(
    struct cfile_times *t, uint32_t column, uint32_t count, int64_t *t_ms, struct errbuf *eb);

/*
 * A loaded unit. cfile_unit_open checks the loaded bytes (exactly ext->len of them) and unpacks
 * them if needed into memory of the unit; the loaded bytes are borrowed until the unit is opened
 * again or released.
 * Keep one struct per cursor or job and use it again: its memory and zstd context stay. Pure: may
 * be used on a loop; costs some 1-3 us for checksum and table (10 more when the unit is
 * compressed).
 */
struct cfile_entry {
	uint32_t id, count; /* samples; of other bytes: their number */
	/* entries of a unit with equal column have equal times; of a file when outside is set */
	uint32_t column;
	uint32_t values_len, times_len;
	bool outside;          /* the times stand in a block of time columns */
	const uint8_t *values; /* what else is told of the samples stands behind the values */
	const uint8_t *times;  /* NULL: outside */
};
struct cfile_unit {
	const struct cfile *file; /* the one it was opened for; NULL = none */
	uint32_t unit, entries;
	uint8_t kind;
	uint64_t off;
	struct cfile_entry *_entries; /* ids ascending */
	uint32_t _entries_cap;
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
/*
 * A unit of samples, or one of other bytes: what is not the one that is asked for is damaged.
 * ERR_DAMAGED, ERR_UNSUPPORTED: eb names file and offset; the unit is then empty.
 */
MUST_CHECK enum err cfile_unit_open(struct cfile_unit *u, const struct cfile *f,
    const struct cfile_extent *ext, const uint8_t *bytes, struct errbuf *eb);
MUST_CHECK enum err cfile_unit_open_opaque(struct cfile_unit *u, const struct cfile *f,
    const struct cfile_extent *ext, const uint8_t *bytes, struct errbuf *eb);
/* Entries of id: *first and the count that follow each other in time order; 0 = not here. */
size_t cfile_unit_find(const struct cfile_unit *u, uint32_t id, const struct cfile_entry **first);
/* The same where ids go upwards: *near is where the last one was, any number at first. */
size_t cfile_unit_find_near(
    const struct cfile_unit *u, uint32_t id, uint32_t *near, const struct cfile_entry **first);
static inline const struct cfile_entry *cfile_unit_entry(const struct cfile_unit *u, uint32_t i)
{
	return &u->_entries[i];
}
/*
 * Decodes an entry behind what the column has; after an error the column is as it was. times: the
 * block that has e->column, when e->outside.
 */
MUST_CHECK enum err cfile_unit_append(struct cfile_unit *u, struct cfile_times *times,
    const struct cfile_entry *e, struct column *c, struct errbuf *eb);
/*
 * The same in two steps, of entries of floats: the times, into a place of the caller's, and of the
 * values those from..from + n - 1, behind the rows that the column has: there is room, and their
 * times are there.
 */
MUST_CHECK enum err cfile_unit_times_copy(struct cfile_unit *u, struct cfile_times *times,
    const struct cfile_entry *e, int64_t *t_ms, struct errbuf *eb);
MUST_CHECK enum err cfile_unit_values(const struct cfile_unit *u, const struct cfile_entry *e,
    uint32_t from, uint32_t n, struct column *c, struct errbuf *eb);
/*
 * The times of an entry alone, exactly e->count, without a copy: valid until the next call for this
 * unit or block.
 */
MUST_CHECK enum err cfile_unit_times(struct cfile_unit *u, struct cfile_times *times,
    const struct cfile_entry *e, const int64_t **t_ms, struct errbuf *eb);

/* ---- iteration (worker) ---- */
struct cfile_damage {   /* what was skipped */
	uint64_t units; /* of samples or definitions */
	struct errbuf first;
};
/*
 * All entries, unit by unit; in id order ids ascend, in metric order each unit's do. Damaged units
 * are skipped and counted.
 */
struct cfile_iter;
MUST_CHECK enum err cfile_iter_create(struct cfile *f, struct cfile_iter **out);
void cfile_iter_free(struct cfile_iter *it);
/*
 * The next entry and its decoded samples; arrays are valid until the next call. ERR_NOTFOUND at the
 * end; ERR_IO when reading failed.
 */
MUST_CHECK enum err cfile_iter_next(struct cfile_iter *it, uint32_t *id, struct sample_column *col);
/*
 * The next entry's id, its samples when they are asked for: cfile_iter_next in two steps.
 */
MUST_CHECK enum err cfile_iter_step(struct cfile_iter *it, uint32_t *id);
/* ERR_DAMAGED: counted; the next step goes on behind it. */
MUST_CHECK enum err cfile_iter_samples(struct cfile_iter *it, struct sample_column *col);
/*
 * From now on, from the beginning, only entries of these ids, ascending; borrowed. Units without
 * one are not read. In id order.
 */
void cfile_iter_want(struct cfile_iter *it, const uint32_t *ids, size_t count);
/*
 * Or one id after the other, in any order; cheap when its unit is the one that was read last.
 * cfile_iter_more: its entries in time order; ERR_NOTFOUND: no other one.
 */
bool cfile_iter_seek(struct cfile_iter *it, uint32_t id); /* false: it has none */
MUST_CHECK enum err cfile_iter_more(struct cfile_iter *it, struct sample_column *col);
/* Bytes read from the file until now. */
uint64_t cfile_iter_bytes(const struct cfile_iter *it);
const struct cfile_damage *cfile_iter_damage(const struct cfile_iter *it);

/*
 * All definitions with id >= from, ascending. labels are valid until the next call. ERR_NOTFOUND at
 * the end. In metric order the file is gone through as often as its definitions have
 * CFILE_DEFS_MEMORY bytes.
 */
#define CFILE_DEFS_MEMORY (16u << 20)
struct cfile_defs;
MUST_CHECK enum err cfile_defs_create(struct cfile *f, uint32_t from, struct cfile_defs **out);
/* As they stand in the file: in metric order by cfile_key_cmp. */
MUST_CHECK enum err cfile_defs_create_order(struct cfile *f, struct cfile_defs **out);
void cfile_defs_free(struct cfile_defs *it);
MUST_CHECK enum err cfile_defs_next(
    struct cfile_defs *it, uint32_t *id, uint32_t *tenant, struct labels *ls);
/* From now on only ids >= from are wanted: blocks without one are not read. */
void cfile_defs_skip(struct cfile_defs *it, uint32_t from);
const struct cfile_damage *cfile_defs_damage(const struct cfile_defs *it);

/* All other bytes, ids ascending; valid until the next call. ERR_NOTFOUND at the end. */
struct cfile_opaque;
MUST_CHECK enum err cfile_opaque_create(struct cfile *f, struct cfile_opaque **out);
void cfile_opaque_free(struct cfile_opaque *it);
MUST_CHECK enum err cfile_opaque_next(
    struct cfile_opaque *it, uint32_t *id, const uint8_t **bytes, size_t *len);
const struct cfile_damage *cfile_opaque_damage(const struct cfile_opaque *it);

/*
 * Reads and checks every byte that has a checksum (scrub, kymoctl verify). ERR_DAMAGED when
 * damage->units > 0 or header, footer or directory are.
 */
MUST_CHECK enum err cfile_verify(struct cfile *f, struct cfile_damage *damage);

#endif
