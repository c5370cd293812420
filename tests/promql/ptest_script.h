/*
 * ptest_script - promqltest scripts as commands: clear, load, eval, with everything that eval
 * expects.
 *
 * The whole file is read first. A mistake in the script ends it (ERR_BADDATA, "line N: ...").
 * Memory: the script's arena.
 */
#ifndef TESTS_PROMQL_PTEST_SCRIPT_H
#define TESTS_PROMQL_PTEST_SCRIPT_H

#include "core/base/rex.h"
#include "core/promql/lang/ql_parse.h"

enum ptest_verb {
	PTEST_CLEAR,
	PTEST_LOAD,
	PTEST_EVAL
};
enum ptest_want {
	PTEST_FAIL,
	PTEST_WARN,
	PTEST_NO_WARN,
	PTEST_INFO,
	PTEST_NO_INFO,
	PTEST_ORDERED,
	PTEST_WANTS
};

struct ptest_note { /* one expectation about an error or annotation */
	struct ptest_note *next;
	enum ptest_want kind;
	const char *msg; /* whole text, or NULL */
	struct rex *re;  /* anywhere in the text, or NULL */
};
struct ptest_start { /* of a sample: its start time from its own on */
	bool given;
	int64_t offset_ms;
};
struct ptest_series {
	unsigned line;
	struct ql_series_desc desc;
	const struct ptest_start *starts; /* as many as items; NULL = none is told */
};
struct ptest_cmd {
	struct ptest_cmd *next;
	enum ptest_verb verb;
	unsigned line;
	/* load */
	int64_t step_ms;
	bool nhcb;                   /* load_with_nhcb */
	struct ptest_series *series; /* of load, or the expected ones of eval */
	size_t series_count;
	/* eval */
	bool range;
	int64_t start_ms, end_ms, eval_step_ms; /* instant: start = end */
	const char *query;
	bool wants[PTEST_WANTS];
	struct ptest_note *notes;
	bool wants_scalar, wants_string, wants_range_vector;
	double scalar;
	struct ql_str string;
	int64_t rv_start_ms, rv_end_ms, rv_step_ms;
};
struct ptest_script {
	struct arena arena;
	struct ptest_cmd *first;
	unsigned evals;
};

/* Text is not changed. On error the commands before the mistake stand in the script. */
MUST_CHECK enum err ptest_script_read(
    struct ptest_script *s, const char *text, size_t len, struct errbuf *eb);
void ptest_script_release(struct ptest_script *s);
bool ptest_note_matches(const struct ptest_note *n, const char *text);

#endif
