/*
 * ptest_file - one script file from an empty database to its last eval.
 *
 * Thread: the main thread, while the team runs.
 */
#ifndef TESTS_PROMQL_PTEST_FILE_H
#define TESTS_PROMQL_PTEST_FILE_H

#include "tests/promql/ptest_run.h"

#include <stdio.h>

struct ptest_file_opts {
	struct ptest_db_opts db;
	bool verbose; /* every eval that did not pass: file:line: mode: reason */
	void (*failed)(void *arg, unsigned line); /* every eval that did not pass; may be NULL */
	void *arg;
	FILE *out;
	const char *prefix; /* of each line, "# " for TAP */
};
struct ptest_count {
	unsigned passed, total;
	bool broken; /* the script itself is wrong, or could not be read or loaded: said on out */
};
struct ptest_count ptest_file_run(const char *path, const struct ptest_file_opts *o);

#endif
