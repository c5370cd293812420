/*
 * bchunk - chunks of Prometheus to samples ("Chunks Disk Format" of its documentation; where that
 * and "tsdb/chunkenc" differ, the code). core/model/chunkenc.h is the way back.
 *
 *   1 XOR   2 histogram   3 float histogram   4 XOR2   5 and 6 the histograms with start times
 *
 * What is decoded has ascending, unique times, histograms whose spans and counts agree, and a
 * schema of -4..8 or -53: finer ones (up to 52) are made coarser, as Prometheus does. All but the
 * first of a chunk of counters are told as no reset, that one as unknown. A histogram that is a
 * stale marker is bare.
 *
 * Any bytes are safe: ERR_MALFORMED, ERR_TRUNCATED (the bits end before the samples do),
 * ERR_UNSUPPORTED (an encoding that is none of these), ERR_TOOBIG, ERR_NOMEM. Then nothing was
 * appended, and *what (may be NULL) says why.
 * A chunk of n bytes decodes to at most 8 n samples or buckets, 16 bytes each.
 *
 * Cost (bench/micro/b_block): some 5 ns a float.
 * Thread: pure; the scratch is one thread's at a time.
 */
#ifndef STORAGE_BLOCK_BCHUNK_H
#define STORAGE_BLOCK_BCHUNK_H

#include "storage/chunk/column.h"

#define BCHUNK_MAX (16u << 20) /* bytes of a chunk; Prometheus makes some of 1 KiB */

enum bchunk_type {
	BCHUNK_XOR = 1,
	BCHUNK_HISTOGRAM,
	BCHUNK_FLOAT_HISTOGRAM,
	BCHUNK_XOR2,
	BCHUNK_HISTOGRAM_ST,
	BCHUNK_FLOAT_HISTOGRAM_ST
};
/* Appends the samples; those of `to` need not be before them. scratch is kept for the next call. */
MUST_CHECK enum err bchunk_decode(uint8_t type, const uint8_t *data, size_t len,
    struct buf *scratch, struct column *to, const char **what);
/* How many samples it says to have; 0 of one that is too short. */
uint32_t bchunk_count(uint8_t type, const uint8_t *data, size_t len);

#endif
