/*
 * ql_ratio - which series limit_ratio keeps. Thread: pure functions.
 */
#ifndef CORE_PROMQL_RUN_QL_RATIO_H
#define CORE_PROMQL_RUN_QL_RATIO_H

#include "core/base/buf.h"
#include "core/model/label.h"

/*
 * Where Prometheus' default build puts a label set in [0, 1]: XXH64 of its length-prefixed strings.
 */
double ql_ratio_offset(struct labels ls, struct buf *scratch);
/* Of what lies there; ratios beyond -1 and 1 are those. */
bool ql_ratio_keeps(double ratio, double offset);

#endif
