/*
 * chunkenc - samples as chunks of Prometheus ("Chunks Disk Format" of its documentation), for
 * remote read: XOR (1), HISTOGRAM (2), FLOAT_HISTOGRAM (3).
 *
 * A chunk has samples of one kind. One of histograms has one layout, and no counter in it goes
 * back, so that readers may take every sample but the first as no reset; gauges stand by
 * themselves. A histogram that is a stale marker has a chunk of its own.
 * Decoders: Prometheus, Thanos, t_chunkenc's own.
 * Cost: some 20 ns a float, 10 ns a bucket. Thread: pure.
 */
#ifndef CORE_MODEL_CHUNKENC_H
#define CORE_MODEL_CHUNKENC_H

#include "core/base/buf.h"
#include "core/model/hist.h"

#define CHUNKENC_SAMPLES    120u  /* of a chunk, as Prometheus' head */
#define CHUNKENC_HIST_FULL  1024u /* bytes after which no histogram is added, but 10 are taken */
#define CHUNKENC_HIST_LEAST 10u
#define CHUNKENC_HIST_MOST  16384u /* bytes after which nothing is added */

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

#endif
