/*
 * bhead - reads the head of a Prometheus data directory, what is not in blocks yet: checkpoint,
 * wal, wbl (samples that came late) and chunks_head. Read-only; best while Prometheus does not run.
 *
 * The log has samples in the order in which they came, all series mixed; so they are collected, and
 * come in batches: within one, series in label order, each once, with its samples in order of time;
 * the next batch may have the same series again. Shape and use are those of bread.h.
 *
 * First all of the log is read for series and deletions (Prometheus applies those whenever they
 * came), then again for samples. Samples before from_ms are passed over in wal and chunks_head as
 * Prometheus does (bdir.h, head_from_ms), not in wbl. Chunks of chunks_head are read where a series
 * is known; they repeat what the log has, unless the log is damaged: who takes the samples must not
 * mind repeats.
 *
 *   wal, wbl   segments of 32 KiB pages; records in fragments: type (bit 3 snappy, bit 4 zstd),
 *              BE16 length, CRC-32C; checkpoint.N stands for the segments up to N
 *   records    1 series, 2 samples, 3 tombstones, 7 and 8 histograms, 9 and 10 those with custom
 *              buckets, 11 samples with start times; 4 exemplars, 5 markers of mapped chunks and
 *              6 metadata are counted
 *   chunks_head  BE64 ref, mint, maxt; encoding (bit 7: late), uvarint length, chunk, CRC-32C
 *
 * Damage: a bad fragment ends its segment's pages up to the next page that begins a record; told
 * and counted, and the reader goes on. A record of an unknown type is counted.
 *
 * Memory: the labels of all series of the log, and batch_samples samples (16 bytes each, and what
 * histograms take).
 * Thread: one at a time, a worker.
 */
#ifndef STORAGE_BLOCK_BHEAD_H
#define STORAGE_BLOCK_BHEAD_H

#include "storage/block/bread.h"

#define BHEAD_BATCH_SAMPLES (4u << 20)

struct bhead;
struct bhead_opts {
	int64_t from_ms;                /* INT64_MIN = all */
	int64_t t_from_ms, t_to_ms;     /* asked range, both within */
	const struct matcher *matchers; /* lent until bhead_close */
	size_t matchers_count;
	uint32_t batch_samples; /* 0 = BHEAD_BATCH_SAMPLES */
	struct bdamage damage;
};
struct bhead_counts {
	uint64_t series, records, segments, head_chunks;
	uint64_t samples, floats, histograms; /* given out so far, repeats within a batch removed */
	uint64_t deleted;                     /* under deletions */
	uint64_t before;                      /* passed over, before from_ms */
	uint64_t orphans;                     /* samples of series that no record defines */
	uint64_t exemplars, metadata, markers, unknown; /* records, passed over */
	uint64_t damaged;                               /* pieces left out */
	uint64_t bytes_read, bytes;                     /* of samples' reading, for progress */
};
/* path: the data directory. ERR_NOTFOUND: it has no wal. */
MUST_CHECK enum err bhead_open(
    const char *path, const struct bhead_opts *opts, struct bhead **out, struct errbuf *eb);
void bhead_close(struct bhead *h);
/*
 * ref of an item is its number in the batch. ERR_NOTFOUND: that was the last one. batch_ends (may
 * be NULL) is true with the last item of a batch.
 */
MUST_CHECK enum err bhead_next(
    struct bhead *h, struct bread_item *out, bool *batch_ends, struct errbuf *eb);
struct bhead_counts bhead_counts(const struct bhead *h);

#endif
