/*
 * chunkenc - samples as chunks of Prometheus ("Chunks Disk Format" of its documentation), for
 * remote read and for blocks: XOR (1), HISTOGRAM (2), FLOAT_HISTOGRAM (3).
 *
 * A chunk has samples of one kind. One of histograms has one layout, and no counter in it goes
 * back, so that readers may take every sample but the first as no reset; gauges stand by
 * themselves. A histogram that is a stale marker has a chunk of its own.
 * Decoders: Prometheus, Thanos, storage/block/bchunk, t_chunkenc's own.
 * Cost: some 10 ns a float and a bucket. Thread: pure.
 */
#ifndef CORE_MODEL_CHUNKENC_H
#define CORE_MODEL_CHUNKENC_H

#include "core/base/buf.h"
#include "core/model/hist.h"

#define CHUNKENC_SAMPLES    120u  /* of a chunk, as Prometheus' head */
#define CHUNKENC_HIST_FULL  1024u /* bytes after which no histogram is added, but 10 are taken */
#define CHUNKENC_HIST_LEAST 10u
#define CHUNKENC_HIST_MOST  16384u /* bytes after which nothing is added */
#define CHUNKENC_COUNT_MOST 65535u /* samples: their number has 16 bits */
/* As Prometheus' head: no sample of floats is added that might not fit. */
#define CHUNKENC_XOR_BYTES  1024u
#define CHUNKENC_XOR_SAMPLE 19u

enum chunkenc_type {
	CHUNKENC_XOR = 1,
	CHUNKENC_HISTOGRAM = 2,
	CHUNKENC_FLOAT_HISTOGRAM = 3
};
struct chunkenc {
	enum chunkenc_type type;
	int64_t t_min_ms, t_max_ms;
	uint32_t count; /* samples in it */
};
/*
 * Appends the data of one chunk with the samples of c from `from` on; told gets what it is. from is
 * below c->count.
 */
void chunkenc_next(
    const struct sample_column *c, uint32_t from, struct buf *out, struct chunkenc *told);
/*
 * The same, cut where Prometheus' head cuts: at multiples of range_ms (> 0) at the latest, so many
 * samples or bytes that the chunks of a range become about even, which is foreseen when a quarter
 * is there. Floats have at most 240 samples, 1 KiB; histograms about 1 KiB, but 10 samples.
 */
void chunkenc_head_next(const struct sample_column *c, uint32_t from, int64_t range_ms,
    struct buf *out, struct chunkenc *told);

#endif
