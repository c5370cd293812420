/*
 * ctlsame - is a sample on the other side the same? Samples of one series, out of a server, and two
 * columns of them, compared one by one: floats bit by bit (any NaN is as another, but a stale
 * marker), native histograms with all their buckets (core/model/histalike).
 *
 * Thread: the main thread.
 */
#ifndef NET_CTL_CTLSAME_H
#define NET_CTL_CTLSAME_H

#include "net/ctl/ctlsrc.h"
#include "storage/chunk/column.h"

/*
 * *out (empty): all that the server has of the series in a range, both ends within, times
 * ascending. What passes is tried again. 0, or an enum ctl_exit that has been told.
 */
MUST_CHECK int ctlsame_read(
    struct ctlsrc *src, struct labels ls, int64_t from_ms, int64_t to_ms, struct column *out);
/* Is each sample of c there, and the same? Times of both ascend. */
bool ctlsame_within(const struct column *c, const struct column *there);

#endif
