/*
 * ctlpush - samples into a server by Remote Write 2.0 (1.0 where it does not speak it): rows in,
 * requests out, several in flight, each repeated until it is acknowledged.
 *
 * The order of work: ctlpush_series, then its samples by ctlpush_floats and ctlpush_hists, in any
 * number of calls; the next series. Samples gather until a request is full; when `in_flight`
 * requests are under way the call waits, which turns the loop. Rows of one series go over one
 * connection's request after another, so that they arrive in their order.
 *
 * Where to go on. The caller gives positions (any rising numbers of its own, such as the number of
 * a series or of a byte) with ctlpush_at(position): what was given before belongs to positions
 * below. ctlpush_acked() is the highest position below which everything is acknowledged: what a
 * mark may hold (net/ctl/ctlmark.h). Repeating what was acknowledged is harmless: the same series,
 * time and value again is success.
 *
 * Errors. A 5xx, a 429 and a broken connection are waited for and repeated until the user stops. A
 * 400 (a row that the server refuses for good) is told, counted, and the work goes on: the server
 * has stored the rest of the request. 401, 403, 404, 413 and other answers end the work.
 *
 * Thread: the main thread. Memory: what is not acknowledged, at most in_flight requests of
 * request_bytes each, and one being filled.
 */
#ifndef NET_CTL_CTLPUSH_H
#define NET_CTL_CTLPUSH_H

#include "core/model/hist.h"
#include "core/model/label.h"
#include "net/ctl/ctlhttp.h"

struct ctlpush;
struct ctlpush_opts {
	struct ctlhttp *http; /* borrowed */
	const char *path;     /* NULL: /api/v1/write */
	unsigned in_flight;   /* 0 = 4 */
	size_t request_bytes; /* before compression; 0 = 1 MiB */
	double samples_per_s; /* 0 = as fast as it goes */
};
MUST_CHECK int ctlpush_open(const struct ctlpush_opts *o, struct ctlpush **out); /* enum ctl_exit */

/*
 * Labels: canonical bytes (core/model/label.h), borrowed for the call. Family metadata as Remote
 * Write 2.0 has it; type 0, help and unit "" where nothing is known.
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
void ctlpush_at(struct ctlpush *p, uint64_t position);
uint64_t ctlpush_acked(const struct ctlpush *p);
/* Everything that was given is acknowledged, or the work is over (CTL_INTERRUPTED, ...). */
MUST_CHECK int ctlpush_finish(struct ctlpush *p);

struct ctlpush_counts {
	uint64_t samples, histograms; /* given */
	uint64_t acked;               /* of both */
	uint64_t refused;             /* of both, by 400 */
	uint64_t requests, repeated, bytes;
	char first_refusal[512]; /* "" = none */
};
void ctlpush_counts(const struct ctlpush *p, struct ctlpush_counts *out);
void ctlpush_close(struct ctlpush *p); /* NULL is fine; what is under way is canceled */

#endif
