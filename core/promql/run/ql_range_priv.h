/* ql_range_priv - what the files of ql_range share: ql_range.c, ql_rate.c, ql_over.c. */
#ifndef CORE_PROMQL_RUN_QL_RANGE_PRIV_H
#define CORE_PROMQL_RUN_QL_RANGE_PRIV_H

#include "core/promql/run/ql_range.h"

/* After the window of step i: false, or the slice is over. */
#define QL_RANGE_WORK 4096 /* samples looked at between looks at the clock */
bool ql_range_pause_slow(struct ql_range *r, uint32_t i);
static inline bool ql_range_pause(struct ql_range *r, uint32_t i, uint64_t work)
{
	r->_work += work;
	return UNLIKELY(r->_work >= QL_RANGE_WORK) && ql_range_pause_slow(r, i);
}
/* Parts (ql_rate.c, ql_over.c), on filtered columns with bounds in r. */
void ql_rate_windows(struct ql_range *r, const int64_t *t);
/* Grows an array of the range's: charged first. NULL over budget, the old one stays. */
void *ql_range_grow(
    struct ql_range *r, void *p, size_t have, size_t want, size_t size, struct errbuf *eb);
void ql_rate_run(struct ql_range *r, const double *v, uint32_t count, double *out, uint64_t *has);
void ql_rate_extended(struct ql_range *r, const int64_t *t, const double *v, uint32_t count,
    double *out, uint64_t *has);
MUST_CHECK enum err ql_over_run(struct ql_range *r, const int64_t *t, const double *v,
    uint32_t count, double *out, uint64_t *has, struct errbuf *eb);

#endif
