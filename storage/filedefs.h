/*
 * filedefs - series found in the files themselves, for as long as the catalog is being made anew:
 * slower, as all blocks of labels of a shard's files are read, but nothing is missing.
 *
 * Thread: pinning on the shard's loop; the rest on a worker, or at start where nobody else runs.
 * Memory: the list of files; one block of labels at a time.
 */
#ifndef STORAGE_FILEDEFS_H
#define STORAGE_FILEDEFS_H

#include "core/model/matcher.h"
#include "storage/shard.h"

/* The files of a shard as they are now: pinned, so that they stay. All zero: none. */
struct filedefs {
	struct shard_file **files; /* as in shard.files */
	size_t count;
	uint64_t damaged; /* blocks of labels that could not be read: what they define is missing */
};
void filedefs_pin(struct filedefs *d, struct shard *sh);
void filedefs_unpin(struct filedefs *d);
/*
 * Each series of the tenant for which all matchers hold, once, that has samples in a file that
 * overlaps [t_min_ms, t_max_ms]; in no order. ERR_EXECUTION: an expression hit its step limit.
 */
MUST_CHECK enum err filedefs_select(struct filedefs *d, uint32_t tenant, const struct matcher *ms,
    size_t count, int64_t t_min_ms, int64_t t_max_ms,
    void (*fn)(void *arg, uint32_t id, struct labels ls), void *arg, struct errbuf *eb);
/* fn for each of the ids (ascending, distinct) that a file defines; at: its place in ids. */
MUST_CHECK enum err filedefs_labels(struct filedefs *d, const uint32_t *ids, size_t count,
    void (*fn)(void *arg, size_t at, uint32_t tenant, struct labels ls), void *arg);

/*
 * Labels of ids (ascending, distinct) as catalog_labels gives them; what the catalog does not know
 * while it is behind comes from the files. At start.
 */
MUST_CHECK enum err filedefs_ask(struct shard *sh, const uint32_t *ids, size_t count,
    struct arena *a, struct labels *out, uint32_t *tenants, struct errbuf *eb);

#endif
