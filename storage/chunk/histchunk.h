/*
 * histchunk - what stands beside the floats of a column, as bytes: its histograms and its start
 * times. Lossless; pure functions.
 *
 * The column's times and values are coded elsewhere (chunk.h) and known to the reader: the value
 * SAMPLE_HIST_BITS says which rows have a histogram. One stream for n rows delimits itself:
 *   head     1  bit 0 histograms follow, bit 1 start times follow, bit 2 with bit 1: relative to
 *               the time of the row before (0 before the first); other bits are 0
 *   starts      runs, n rows in all: zigzag(difference to the run before) varint(rows)
 *   hists       one per row whose value is SAMPLE_HIST_BITS:
 *     head   1  bits 0-1 hint; bits 2-3: 0 as the one before (all but the hint)
 *                                        1 layout as the one before
 *                                        2 layout follows
 *                                        3 bare (hist.h): xor of the sum with 0; nothing else
 *               bit 4 with bare: float; other bits are 0
 *     layout    hist.h, with 2
 *     sum       xor with that of the one before
 *     mask      a bit for each of count, zero_count, negative and positive buckets: it follows
 *     counts    for the bits that are 1. Integers: zigzag(second difference). Doubles: xor
 *     xor       1 byte: 0 the same, else bits 0-3 bytes that follow, bits 4-7 zero bytes before
 *               them; then the bytes, highest first, those behind them are 0
 * "The one before" is that before which was not bare. When a layout follows, buckets that the
 * layout before had, too, go on from their counts (same kind, schema and bounds), others from 0.
 *
 * So histograms of one layout cost 10 bytes, one for eight buckets and a byte or two for each
 * bucket whose rate changed; unchanged ones a byte.
 * Any bytes are safe to decode: ERR_MALFORMED, ERR_TRUNCATED, ERR_NOMEM. What they decode to is at
 * most 65 times as many bytes, plus some 100 a row.
 * Thread: pure.
 */
#ifndef STORAGE_CHUNK_HISTCHUNK_H
#define STORAGE_CHUNK_HISTCHUNK_H

#include "storage/chunk/column.h"

/* Is there anything to code? */
static inline bool histchunk_wanted(const struct sample_column *c)
{
	return c->h || c->start_ms;
}
/* Appends one stream for all rows of c. */
void histchunk_encode(const struct sample_column *c, struct buf *out);
/*
 * Of rows first..first+n-1 of c, whose times and values are there. *used (may be NULL) gets the
 * length of the stream. After an error the rows are of no use.
 */
MUST_CHECK enum err histchunk_decode(
    const uint8_t *p, size_t len, struct column *c, uint32_t first, uint32_t n, size_t *used);

#endif
