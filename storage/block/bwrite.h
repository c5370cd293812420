/*
 * bwrite - writes Prometheus blocks: series come in any order, blocks come out sorted.
 *
 *   bwrite_open > bwrite_add ... > bwrite_finish (or bwrite_abandon)
 *
 * One writer makes all blocks of a directory: samples are put into blocks of block_ms, aligned to
 * multiples of it, as Prometheus does. A series may be added again and again, also with samples
 * before those that it has: of samples of one time those added last win. A chunk is cut as the head
 * of Prometheus cuts it (core/model/chunkenc.h).
 *
 * How: what is added is encoded and collected, sorted by block and labels and written to runs when
 * it fills memory; bwrite_finish merges them. Symbols and postings are sorted the same way. All of
 * it, the blocks while they are made too, lies in DIR/ULID.tmp-for-creation, which Prometheus
 * removes at its start when a process died; runs take about as much room as the blocks. A block's
 * files and directories are synced, and it is renamed to its ULID when all are made; then DIR is
 * synced.
 * A writer that was killed leaves that directory. The next one of DIR removes it, and none but it:
 * that of a writer that is alive is locked (core/base/fslock.h), those of Prometheus have no lock.
 *
 * Index: version 2, the bytes that Prometheus' own writer makes of the same chunks. A block has no
 * more than 2^32 - 1 bytes of symbols, 64 GiB of series.
 *
 * Memory: memory_bytes in all, whatever comes; what does not fit goes to disk. Thread: one at a
 * time, a worker (it blocks).
 * Errors: the first one is kept and every later call gives it; eb of the first has the text.
 */
#ifndef STORAGE_BLOCK_BWRITE_H
#define STORAGE_BLOCK_BWRITE_H

#include "core/model/label.h"
#include "core/model/sample.h"
#include "storage/block/bmeta.h"

#define BWRITE_MEMORY_LEAST ((size_t)1 << 20)
#define BWRITE_MEMORY       ((size_t)256 << 20)
#define BWRITE_SEGMENT      (512u << 20) /* bytes of a chunk file, as Prometheus' */

struct bwrite;
struct bwrite_opts {
	int64_t block_ms;       /* width of blocks, 0 = SAMPLE_RANGE_MS (two hours) */
	int64_t chunk_ms;       /* chunks end at its multiples at the latest, 0 = block_ms */
	size_t memory_bytes;    /* 0 = BWRITE_MEMORY */
	uint32_t segment_bytes; /* 0 = BWRITE_SEGMENT; for tests */
	const char *thanos;     /* an object in JSON for meta.json, or NULL; lent until finish */
};
struct bwrite_counts {
	uint64_t series, samples, floats, histograms, chunks; /* of finished blocks */
	uint64_t added_samples, added_parts;                  /* calls of bwrite_add with samples */
	uint64_t runs, spilled_bytes;
};

/* The directory is made when it is not there. */
MUST_CHECK enum err bwrite_open(
    const char *dir, const struct bwrite_opts *opts, struct bwrite **out, struct errbuf *eb);
/*
 * Samples of one series, times ascending and unique; both are copied. Start times are not kept:
 * the encodings that every Prometheus reads have no room for them. Labels: canonical, not empty.
 */
MUST_CHECK enum err bwrite_add(
    struct bwrite *w, struct labels labels, const struct sample_column *samples, struct errbuf *eb);
/* What adding has put on disk and holds, for progress. */
struct bwrite_counts bwrite_counts(const struct bwrite *w);
/*
 * Makes the blocks. Their metas, in order of time, are in the arena; no samples make no block.
 * keep_going (may be NULL) is asked now and then: false is ERR_CANCELED. The writer is freed, with
 * whatever result; after an error no block of it is there.
 */
MUST_CHECK enum err bwrite_finish(struct bwrite *take_w, struct arena *a, struct bmeta **blocks,
    size_t *count, bool (*keep_going)(void *arg), void *arg, struct errbuf *eb);
/* Removes what it has written. */
void bwrite_abandon(struct bwrite *take_w);

#endif
