/*
 * deltacum - delta points become cumulative ones: what came of a stream is kept and added up.
 *
 * A sender with delta temporality tells what happened since its last point; Prometheus' functions
 * want counters that grow. So each stream (tenant, kind and key: the labels of its series) has a
 * running sum here. A point is given as it came and comes back as the cumulative one of the same
 * time, whose start is that of the stream's first point.
 *
 *   first point           the stream begins: its start and value are those of the point
 *   t later than the last added. A gap before it (it starts later than the last one ended) is an
 *                         interval without events: the sum goes on; an overlap is added, too
 *   the last one again    (same start, time and content): a sender repeats what it got no answer
 *                         for. Nothing is added, the sum as it stands comes back
 *   t not later           DELTACUM_OUT_OF_ORDER
 *   starts before stream  DELTACUM_OLD_START: another process sends the same series. A start of 0
 *                         is not told, and fits everywhere
 *   layout changed (bounds of a histogram): the stream begins anew with this point, which is a
 *                         counter reset to who reads it
 * (OpenTelemetry's metrics data model, "Sums: Delta-to-Cumulative", and its collector's processor
 * deltatocumulative, which Prometheus has behind otlp-deltatocumulative.)
 * Exponential histograms: the smaller scale, the wider zero bucket (which takes in whole buckets),
 * ranges that grow; beyond DELTACUM_BUCKETS buckets of a side the scale becomes smaller.
 *
 * Sums live in memory alone. After a restart of the server, or when a stream was silent for
 * stale_ns, it begins anew: `begins` is set, and a row of 0 just behind the start lets rate() and
 * increase() see the reset and count the first point whatever it is.
 *
 * (1) A point that is refused changes nothing.
 * (2) No stream goes because another one wants its place: a new one is refused instead. A tenant
 *     may hold three times what is still free, so that all of it never belongs to one.
 *
 * Thread: any, at the same time; points of one stream are added in the order in which they come
 * here. A lock of one of DELTACUM_PARTS parts is held while one point is added (below 1 us for a
 * number, some us for a histogram of 160 buckets).
 * Memory: own, all of it counted before it is taken: about 150 bytes, the key, and 8 for each
 * bucket. Results in the caller's arena.
 */
#ifndef CORE_MODEL_DELTACUM_H
#define CORE_MODEL_DELTACUM_H

#include "core/base/arena.h"

#define DELTACUM_PARTS   256u
#define DELTACUM_BUCKETS 160u /* of a side of an exponential histogram */

enum deltacum_told {
	DELTACUM_ADDED,
	DELTACUM_AGAIN, /* the last point again: as if it was added */
	/* The point is refused: */
	DELTACUM_OUT_OF_ORDER,
	DELTACUM_OLD_START,
	DELTACUM_BAD,     /* not finite; negative, of what can only grow; counts over 64 bits */
	DELTACUM_STREAMS, /* the tenant has as many streams as it may */
	DELTACUM_MEMORY   /* no room for the stream, or for more buckets of it */
};
#define DELTACUM_TOLD 7
/* What is wrong, as the end of a sentence: "it is not later than the last one of its stream". */
const char *deltacum_text(enum deltacum_told told);
static inline bool deltacum_refused(enum deltacum_told told)
{
	return told >= DELTACUM_OUT_OF_ORDER;
}

struct deltacum;
/* max_bytes: of all streams. It outlives everybody who was given it. */
struct deltacum *deltacum_create(uint64_t max_bytes);
void deltacum_free(struct deltacum *dc);

/* What is the same for the points of a request. */
struct deltacum_ask {
	struct deltacum *dc;
	struct arena *arena;  /* of results */
	uint64_t now_ns;      /* monotonic */
	uint64_t stale_ns;    /* a stream without a point for so long is gone */
	uint64_t streams_max; /* of a tenant */
	uint32_t tenant;
};
/* Of a point; in: as it came, out (unless it is refused): of the cumulative one. */
struct deltacum_when {
	const uint8_t *key; /* labels of the series, canonical */
	uint32_t key_len;
	bool begins;       /* out: the first of its stream, or a repeat of one soon after it */
	uint64_t start_ns; /* since the epoch; 0 = not told */
	uint64_t t_ns;
};
struct deltacum_side {
	int32_t offset;
	uint32_t count;
	const uint64_t *counts;
};
struct deltacum_exp { /* exponential, of any scale */
	uint64_t count, zero_count;
	double sum, zero_threshold;
	bool has_sum;
	int32_t scale;
	struct deltacum_side positive, negative;
};
/*
 * Values that are added one by one, in place: of a counter or a sum (count 1: finite, and with
 * `grows` not negative), or all that a histogram counts. layout says what the values are (a hash of
 * bounds, of labels): when it changes the stream begins anew.
 */
enum deltacum_told deltacum_values(const struct deltacum_ask *a, struct deltacum_when *w,
    uint64_t layout, bool grows, double *values, uint32_t count);
/* Replaces what it is given by the cumulative point. */
enum deltacum_told deltacum_exp(
    const struct deltacum_ask *a, struct deltacum_when *w, struct deltacum_exp *e);

/*
 * Lets go of streams that are silent, some thousand at most: call it once a second, from one loop.
 * A part that takes a new stream lets go of some of its own, too.
 */
void deltacum_sweep(struct deltacum *dc, uint64_t now_ns);
uint64_t deltacum_streams(const struct deltacum *dc, uint32_t tenant);
uint64_t deltacum_bytes(const struct deltacum *dc);

#endif
