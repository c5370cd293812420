/*
 * ptest_run - runs one eval in all the ways a script means: as written, pinned with @ at other
 * times, and each of these as a range query around its time.
 *
 * Thread: the main thread, while the team runs.
 */
#ifndef TESTS_PROMQL_PTEST_RUN_H
#define TESTS_PROMQL_PTEST_RUN_H

#include "tests/promql/ptest_db.h"

struct ptest_result {
	bool passed;
	char mode[128]; /* which run failed first */
	char reason[1500];
};
void ptest_run_eval(
    struct team *team, struct ptest_db *db, const struct ptest_cmd *c, struct ptest_result *out);

#endif
