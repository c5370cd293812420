/*
 * groupings - how many series each node of a plan will have, by what its keys say of the series
 * that were looked at (net/api/estimate.h, core/promql/ql_trace.h).
 *
 *   exact    the labels of all series were looked at, and each has samples in the range: so many,
 *            unless stale markers end some of them where values are looked for
 *   bounds   the labels of all were looked at, but some may have nothing in the range, or values
 *            or labels that could not be made decide: about so many, never more than `most`
 *   sampled  the labels of some were looked at: about so many; most is the product of the values
 *            that labels of by() have, as far as they are few, or what stands below has at most
 *
 * Thread: any; pure but for what it writes. Cost: some microseconds a node; where keys of several
 * pieces come together that of their sets.
 */
#ifndef NET_API_GROUPINGS_H
#define NET_API_GROUPINGS_H

#include "net/api/estimate.h"

/* Before the estimate: which labels' values are to be counted, of one piece; texts: the arena's. */
void groupings_names(struct ql_trace *t, const struct ql_trace_piece *p, struct estimate_ask *ask);
/* After it: the told of each node. */
void groupings_make(struct ql_trace *t, const struct estimate *e);

#endif
