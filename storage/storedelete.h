/*
 * storedelete - deletion of series over all shards: each chooses the ids that any of the selectors
 * holds for (storage/read/idchain), then deletes them (storage/back/back.h). And the writing anew
 * of files that still hold what was deleted.
 *
 * A shard that fails does not stop the others: the request has the first error. What was deleted
 * stays so; asking again deletes the rest, and does nothing to what is gone.
 * A deletion of all times takes the names that only its series had out of what is told of
 * cardinality, too (storage/marks.h), before it is done.
 * Thread: store_delete, store_clean on a loop; done there. store_close waits for it.
 */
#ifndef STORAGE_STOREDELETE_H
#define STORAGE_STOREDELETE_H

#include "core/model/matcher.h"
#include "storage/store.h"

struct store_selector {
	const struct matcher *matchers; /* all must hold */
	size_t count;
};
struct store_delete_req {
	uint32_t tenant;
	const struct store_selector *selectors; /* borrowed until done */
	size_t selectors_count;
	int64_t t_min_ms, t_max_ms; /* both inclusive; all times: the series themselves */
	void (*done)(struct store_delete_req *r);
	enum err err;
	struct errbuf eb;
	uint64_t series; /* ids that were met, a series that came back counts for each of its ids */
	struct loop *_from;
	uint32_t _open;
	struct store *_store;
	struct deleting *_names; /* NULL: of some times */
};
void store_delete(struct store *st, struct store_delete_req *r);

struct store_clean_req {
	void (*done)(struct store_clean_req *r);
	enum err err;
	struct loop *_from;
	uint32_t _open;
	struct store *_store;
};
/* Done when no file of now holds what deletions of before hide in it. */
void store_clean(struct store *st, struct store_clean_req *r);

#endif
