/*
 * ctlpush - samples into a server by Remote Write 2.0: rows in, requests out, several in flight,
 * each repeated until it is acknowledged.
 *
 * The order of work: ctlpush_series, then its samples, times ascending, in any number of calls; the
 * next series. Samples gather until a request is full; when `in_flight` requests are under way the
 * call waits, which turns the loop. Many samples of one series in one request are what costs the
 * least on both sides; the same series may come again at any time.
 *
 * (1) Samples of one series arrive in the order in which they were given: a request that has a
 *     series of one that is not acknowledged waits for it. Others overtake each other.
 * (2) Where to go on. The caller tells positions (numbers of its own that never fall, such as the
 *     number of a series or a byte) with ctlpush_at(position): all that was given before belongs
 *     to positions below it. ctlpush_acked() is the highest position told of which all before it
 *     is acknowledged: what a mark may hold (net/ctl/ctlmark.h). Repeating what was acknowledged
 *     is harmless: the same series, time and value again is success.
 *
 * Errors. 429, 502, 503, 504 and broken connections are waited for, as long as Retry-After says,
 * and repeated until the user stops; that it waits is told now and then. A 400 "partial" (rows that
 * the server refuses for good) is counted, and the work goes on: the rest of that request is
 * stored. Every other answer, and what cannot be repeated (names, certificates), ends the work.
 * When the user stops (ctl_stopped), calls return CTL_INTERRUPTED; that alone is not told here.
 * The first end stays: every later call returns it.
 *
 * Thread: the main thread. Memory: what is not acknowledged: in_flight requests of
 * request_bytes each, packed (and as often in the HTTP client), one being filled, and 32 bytes for
 * each series of the last CTLPUSH_WINDOW requests.
 * Cost: some 30 ns a sample, most of it snappy.
 */
#ifndef NET_CTL_CTLPUSH_H
#define NET_CTL_CTLPUSH_H

#include "core/model/hist.h"
#include "core/model/label.h"
#include "core/model/sample.h"
#include "net/ctl/ctlhttp.h"

#define CTLPUSH_IN_FLIGHT     4u
#define CTLPUSH_IN_FLIGHT_MAX 16u
#define CTLPUSH_WINDOW        32u /* requests from the oldest unacknowledged one to the newest */
#define CTLPUSH_REQUEST_BYTES (1u << 20)

struct ctlpush;
struct ctlpush_opts {
	struct ctlhttp *http; /* borrowed */
	const char *path;     /* NULL: /api/v1/write */
	unsigned in_flight;   /* 0 = CTLPUSH_IN_FLIGHT */
	size_t request_bytes; /* before compression; 0 = CTLPUSH_REQUEST_BYTES */
	double samples_per_s; /* 0 = as fast as it goes */
	bool no_pack; /* snappy in form alone: spares CPU on both sides, takes twice the wire */
};
MUST_CHECK int ctlpush_open(const struct ctlpush_opts *o, struct ctlpush **out); /* enum ctl_exit */

/*
 * Labels: canonical bytes (core/model/label.h), borrowed for the call. Family metadata as Remote
 * Write 2.0 has it, borrowed until the next series; type 0, help and unit "" or NULL where nothing
 * is known.
 */
struct ctlpush_series {
	struct labels labels;
	unsigned type; /* of io.prometheus.write.v2.Metadata */
	const char *help, *unit;
};
/* Each returns 0 or an enum ctl_exit that has been told: the work is over. */
MUST_CHECK int ctlpush_series(struct ctlpush *p, const struct ctlpush_series *s);
MUST_CHECK int ctlpush_floats(
    struct ctlpush *p, const int64_t *times_ms, const double *values, size_t count);
MUST_CHECK int ctlpush_hists(
    struct ctlpush *p, const int64_t *times_ms, const struct hist *const *values, size_t count);
/* Floats, histograms and start times, as they come from storage. */
MUST_CHECK int ctlpush_samples(struct ctlpush *p, const struct sample_column *s);
void ctlpush_at(struct ctlpush *p, uint64_t position);
uint64_t ctlpush_acked(const struct ctlpush *p); /* 0 = none yet */
/* Sends what is there; answers are taken, none is waited for. For callers that wait themselves. */
MUST_CHECK int ctlpush_look(struct ctlpush *p);
/*
 * Everything that was given is acknowledged, or the work is over. To be called after an end, too:
 * it waits CTLPUSH_DRAIN_MS at most for what is under way, so that ctlpush_acked says all of it.
 */
#define CTLPUSH_DRAIN_MS 3000u
MUST_CHECK int ctlpush_finish(struct ctlpush *p);

#define CTLPUSH_REASONS 12u
struct ctlpush_counts {
	uint64_t samples, histograms; /* given: floats, histograms */
	uint64_t acked;               /* of both: stored, or there already */
	uint64_t refused;             /* of both, by 400 */
	uint64_t requests, repeated;
	uint64_t bytes;          /* sent, without repeats */
	char first_refusal[512]; /* the server's sentence; "" = none */
	/* Refused ones by the reason that the server names first for their request. */
	struct ctlpush_reason {
		char word[32]; /* "" = not used */
		uint64_t count;
	} reasons[CTLPUSH_REASONS];
};
void ctlpush_counts(const struct ctlpush *p, struct ctlpush_counts *out);
void ctlpush_close(struct ctlpush *p); /* NULL is fine; what is under way is canceled */

#endif
