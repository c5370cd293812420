/*
 * pbhist - the Histogram message of Remote Write (1.0 and 2.0 have the same fields 1 to 16) to a
 * struct hist, in two passes: what there is, then its arrays.
 *
 * Which of count_int and count_float comes last says what the histogram is; counts of the other
 * kind are passed over. A schema of 9 to 52 becomes 8 (hist_reduce). What hist_check refuses, or
 * has more buckets, spans and bounds than may be, gives no histogram but words.
 *
 * Memory: the arena's: at most eight times the bytes of the message; the words too.
 * Errors: ERR_MALFORMED with `at`, ERR_NOMEM. Any bytes are safe. Thread: pure.
 */
#ifndef PROTO_PBHIST_H
#define PROTO_PBHIST_H

#include "core/model/hist.h"
#include "core/model/limits.h"

struct pbhist {
	const struct hist *hist; /* NULL: it may not be stored */
	const char *bad;         /* why; NULL when nobody asked */
	int64_t t_ms, start_ms;  /* start_ms: 0 = not told; a field of 2.0 alone */
	uint64_t cost;           /* buckets, spans and bounds there are in the message */
	const uint8_t *at;       /* what is malformed */
};
/* why: are words wanted? */
MUST_CHECK enum err pbhist_decode(const uint8_t *p, size_t len, struct arena *a,
    const struct limits *limits, bool why, struct pbhist *out);

/* Appends the fields of a Histogram message as encoders make them: packed, zeros left out. */
void pbhist_encode(const struct hist *h, int64_t t_ms, struct buf *out);

#endif
