/*
 * ptest_db - what the scripts load into and query: memory (tests/lib/memsrc), or a back end like
 * the real store (ptest_store.h).
 *
 * Thread: the main thread, while the team runs.
 */
#ifndef TESTS_PROMQL_PTEST_DB_H
#define TESTS_PROMQL_PTEST_DB_H

#include "core/rt/team.h"
#include "core/seam/source.h"
#include "tests/promql/ptest_load.h"

struct ptest_db;
struct ptest_db_opts;
struct ptest_back { /* a back end: state from open, errors with a text */
	enum err (*open)(const struct ptest_db_opts *o, void **back, struct errbuf *eb);
	void (*close)(void *back);
	enum err (*clear)(void *back, struct errbuf *eb);
	enum err (*load)(
	    void *back, const struct ptest_loaded *series, size_t count, struct errbuf *eb);
	struct source *(*source)(void *back);
	size_t (*open_cursors)(const void *back); /* may be NULL */
};
struct ptest_db_opts {
	struct team *team;
	unsigned shards;
	unsigned shaky;                /* memory: see memsrc_shaky */
	const struct ptest_back *back; /* NULL = memory */
	const char *dir;               /* for back ends that have one: made when needed, emptied */
	bool flush,
	    /* back ends on disk: after each load, seal what was loaded; close and open again */
	    reopen;
};
MUST_CHECK enum err ptest_db_open(
    const struct ptest_db_opts *o, struct ptest_db **out, struct errbuf *eb);
void ptest_db_close(struct ptest_db *db);
MUST_CHECK enum err ptest_db_clear(struct ptest_db *db, struct errbuf *eb);
MUST_CHECK enum err ptest_db_load(
    struct ptest_db *db, const struct ptest_cmd *load, struct errbuf *eb);
struct source *ptest_db_source(struct ptest_db *db);
size_t ptest_db_open_cursors(const struct ptest_db *db);

#endif
