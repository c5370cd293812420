/*
 * ql_kernel - loops over columns as vector code: each of them twice, for the plain processor and
 * for AVX2, with the same bits as results. Nothing is reordered or fused.
 *
 * Cost, AVX2, in the first cache: a look at a value 0.1 ns, an addition with its error 0.5 ns.
 * Thread: any.
 */
#ifndef CORE_PROMQL_RUN_QL_KERNEL_H
#define CORE_PROMQL_RUN_QL_KERNEL_H

#include "core/base/num.h"

bool ql_kernel_nan(const double *v, uint32_t n);   /* is there any? */
bool ql_kernel_falls(const double *v, uint32_t n); /* is one less than the one before it? */
/* A Kahan-Neumaier step (ql_kahan) for each: s and c become sums and errors with v. */
void ql_kernel_add(double *s, double *c, const double *v, uint32_t n);
/* Are all sums finite? Then the step is done, else nothing is. */
bool ql_kernel_add_finite(double *s, double *c, const double *v, uint32_t n);

/*
 * What rate makes of a window's first and last value, QL_KERNEL_STEPS windows at most, all with two
 * samples at least and no reset between.
 */
#define QL_KERNEL_STEPS 64u
struct ql_kernel_rate { /* of the windows' times: one array each */
	const double *sampled, *to_start, *factor;
};
/*
 * out = (v[hi - 1] - v[lo]) * factor. counter: false, and out is not made, where a counter's zero
 * point may lie inside the stretch to some window's start.
 */
bool ql_kernel_rates(const struct ql_kernel_rate *w, const double *v, const uint32_t *lo,
    const uint32_t *hi, uint32_t n, bool counter, double *out);
/* out = v[hi - 1], QL_KERNEL_STEPS at most; false where one of them is NaN. */
bool ql_kernel_last(const double *v, const uint32_t *hi, uint32_t n, double *out);
/*
 * to[i] = v[i + half] where that is more than v[i] (max), or less (min), else v[i]. v has n + half
 * values and no NaN; to is other memory.
 */
void ql_kernel_best(double *to, const double *v, uint32_t half, uint32_t n, bool max);

#endif
