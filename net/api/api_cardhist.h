/*
 * api_cardhist - GET /api/v1/cardinality/history: how a tenant's cardinality came about, moment by
 * moment (storage/cardhist.h), to be played back.
 *
 *   {"kind": "metrics", "unit": "series", "every": 300, "tenants": 256,
 *    "names": ["requests_total", ...],
 *    "moments": [{"time": 1700000000.000, "since": 1699999700.000, "series": 1200, "made": 17,
 *                 "top": [[0, 900], ...], "below": 3}, ...]}
 *
 * A row of top is the place of its name in names, and its series (of a label: its values); rows
 * descend. A name that is not there had `below` at most. `made` series came into memory between
 * since and time; where that leaves a gap between two moments the server did not run, and a start
 * loads idle series again. Moments are `every` seconds apart, farther with very many series or
 * tenants, and while the clock is in doubt.
 * Only the `tenants` tenants with most series have moments. Values of labels are exact up to
 * `exact` (of that kind alone); more may be an estimate, within 2 %.
 * With more pairs of names and values than there is room to count, small ones may be too low.
 * With step the last one of each piece of the range stands for it. Pairs and targets: name=value.
 * Thread: the loop of the request; the answer is written by a worker.
 */
#ifndef NET_API_API_CARDHIST_H
#define NET_API_API_CARDHIST_H

#include "net/api/api.h"

#define CARDHIST_RANGE_MS (24 * INT64_C(3600000)) /* usual */

void api_card_history(struct req *r);

#endif
