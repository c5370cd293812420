/*
 * storedir - what a data directory (or a snapshot of one) consists of, for tools that copy it or
 * look at it while no server has it open: backup, verify, inspect. Only reads, but for LOCK.
 *
 * Belongs to it: MANIFEST.a, MANIFEST.b, TENANTS.a, TENANTS.b, METADATA, CARDINALITY; log/:
 * segments that hold something, and those set aside; shards/NN/: FILES and what it names
 * (files_names). Does not: LOCK, RESERVE, the catalog, which is derived (catalog, CLEAN,
 * CATALOG_DAMAGED), snapshots, what is left over or set aside for people.
 *
 * Thread: one, blocks.
 */
#ifndef STORAGE_STOREDIR_H
#define STORAGE_STOREDIR_H

#include "storage/cfile/files.h"
#include "storage/manifest.h"

enum storedir_kind {
	STOREDIR_MANIFEST,
	STOREDIR_TENANTS,
	STOREDIR_METADATA,
	STOREDIR_MARKS,
	STOREDIR_BOOK, /* of what lies aside (storage/asidebook.h) */
	STOREDIR_SEGMENT,
	STOREDIR_ASIDE, /* a segment that waits for a later start */
	STOREDIR_LIST,  /* FILES */
	STOREDIR_FILE,  /* what it names */
};
struct storedir_item {
	enum storedir_kind kind;
	const char *path;     /* "shards/03/FILES" */
	struct fsio_dir *dir; /* where it is ... */
	const char *name;     /* ... and how it is called there */
	unsigned shard;
	const struct files_entry *entry; /* STOREDIR_FILE: NULL when it is no file of samples */
	struct fsio_stat stat;
	enum err err; /* ERR_NOTFOUND: a list names it; others: it cannot be looked at */
};
struct storedir {
	struct fsio_dir *dir;
	struct manifest manifest;
	struct fsio_file *lock; /* NULL: not taken */
};
/*
 * ERR_NOTFOUND: it is no data directory (there is no manifest). ERR_EXISTS: not all of it is, a
 * backup is being restored there. lock: also takes LOCK, for as long as it is open; ERR_LOCKED: a
 * server has it.
 */
MUST_CHECK enum err storedir_open(
    const char *path, bool lock, struct storedir *out, struct errbuf *eb);
void storedir_close(struct storedir *d);
/*
 * All that belongs to it, files of samples by shard and as their list has them, MANIFEST last. The
 * shards' lists may be damaged: then left() is told, and the shard is passed over; NULL: the walk
 * ends with that error. What fn returns ends it, too.
 */
MUST_CHECK enum err storedir_each(struct storedir *d,
    enum err (*fn)(void *arg, const struct storedir_item *item),
    void (*left)(void *arg, unsigned shard, enum err err, const char *why), void *arg,
    struct errbuf *eb);

#endif
