/*
 * ptest_same - are values what a script expects? Floats may differ by a millionth; histograms in
 * their counts and sum as floats do, not in their layout once both are compact, and in their hint
 * only when the script gives one.
 */
#ifndef TESTS_PROMQL_PTEST_SAME_H
#define TESTS_PROMQL_PTEST_SAME_H

#include "core/promql/lang/ql_parse.h"

bool ptest_almost(double a, double b);
bool ptest_same(const struct ql_series_item *want, const struct ql_series *got, uint32_t at);

/* Texts are good for some calls. */
const char *ptest_show_item(const struct ql_series_item *it);
const char *ptest_show_point(const struct ql_series *s, uint32_t at);

#endif
