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
 * Prometheus does (bdir.h, head_from_ms), not in wbl. chunks_head only repeats what the logs have,
 * so it is read where they are damaged, or when it is asked for; who takes the samples must not
 * mind repeats.
 *
 *   wal, wbl     segments of pages of records (bpages.h, brec.h); checkpoint.N stands for the
 *                segments up to N
 *   chunks_head  BE32 0x0130BC91, byte 1, three zeros; then BE64 ref, mint, maxt; encoding (bit 7:
 *                late), uvarint length, chunk, BE32 CRC-32C
 *
 * Damage: a bad fragment costs the rest of its page and its record; told and counted, and the
 * reader goes on with the next record that begins in a later page. A record of an unknown type is
 * counted.
 *
 * Memory: the labels of all series of the log, and batch_samples samples: 32 bytes each, twice that
 * while they are sorted, and what their histograms take.
 * Thread: one at a time, a worker.
 */
#ifndef STORAGE_BLOCK_BHEAD_H
#define STORAGE_BLOCK_BHEAD_H

#include "storage/block/bread.h"

#define BHEAD_BATCH_SAMPLES (1u << 20)

struct bhead;
struct bhead_opts {
	int64_t from_ms;                /* INT64_MIN = all */
	int64_t t_from_ms, t_to_ms;     /* asked range, both within */
	const struct matcher *matchers; /* lent until bhead_close */
	size_t matchers_count;
	uint32_t batch_samples; /* 0 = BHEAD_BATCH_SAMPLES */
	bool mapped_chunks;     /* chunks_head is read in any case */
	struct bdamage damage;
};
struct bhead_counts {
	uint64_t series, records, segments, head_chunks;
	uint64_t samples, floats, histograms; /* given out so far, repeats within a batch removed */
	uint64_t deleted;                     /* under deletions */
	uint64_t before;                      /* passed over, before from_ms */
	uint64_t orphans;                     /* samples of series that no record defines */
	uint64_t unfit;                       /* histograms that are none */
	uint64_t exemplars, metadata, markers, unknown; /* records, passed over */
	uint64_t damaged;                               /* pieces left out */
	uint64_t bytes_read, bytes;                     /* of samples' reading, for progress */
};
/* path: the data directory. ERR_NOTFOUND: it has no wal. */
MUST_CHECK enum err bhead_open(
    const char *path, const struct bhead_opts *opts, struct bhead **out, struct errbuf *eb);
void bhead_close(struct bhead *h);
/*
 * ref of an item is the number of its series in order of labels. ERR_NOTFOUND: that was the last
 * one. batch_ends (may be NULL) is true when all of the batch has been given out with this item; a
 * batch whose last series are deleted ends untold.
 */
MUST_CHECK enum err bhead_next(
    struct bhead *h, struct bread_item *out, bool *batch_ends, struct errbuf *eb);
struct bhead_counts bhead_counts(const struct bhead *h);

#endif
