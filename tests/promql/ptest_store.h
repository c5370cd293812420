/*
 * ptest_store - the real store as a back end of test scripts: loads through its sink, a new
 * directory after each clear.
 *
 * Scripts write at the epoch and far behind it: the wall clock must be faked to lie far ahead
 * (ptest_store_wall_ms) before threads start.
 */
#ifndef TESTS_PROMQL_PTEST_STORE_H
#define TESTS_PROMQL_PTEST_STORE_H

#include "tests/promql/ptest_db.h"

extern const struct ptest_back ptest_store;
extern const int64_t ptest_store_wall_ms;

#endif
