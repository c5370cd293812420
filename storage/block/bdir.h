/*
 * bdir - what lies in a data directory of Prometheus: its blocks, and whether there is a head.
 *
 * Blocks are directories that are named by a ULID; what Prometheus would remove at its start is
 * left out (ULID.tmp-for-creation, ULID.tmp-for-deletion, and the parents of blocks that are there
 * themselves: their samples are in those). A block whose meta.json cannot be read is in the list
 * with its error, so that who imports can say so.
 * The head (bhead.h) holds what is not in blocks yet. Prometheus passes over its samples before
 * head_from_ms, the end of the last block that is not out-of-order: they are in blocks, or deleted.
 *
 * Thread: one. Memory: bdir_release frees all of it.
 */
#ifndef STORAGE_BLOCK_BDIR_H
#define STORAGE_BLOCK_BDIR_H

#include "storage/block/bmeta.h"

struct bdir_block {
	struct bulid ulid; /* the name of its directory */
	struct bmeta meta; /* with an error: nothing in it */
	enum err err;
	const char *trouble; /* the error's text */
};
struct bdir {
	struct arena arena;
	struct bdir_block *blocks; /* by t_min_ms, then t_max_ms, then ULID; broken ones last */
	size_t count, broken;      /* broken: of count, those with an error */
	size_t superseded;         /* left out, since what was made of them is here */
	int64_t head_from_ms;      /* INT64_MIN: there is no such block */
	bool has_wal, has_wbl;     /* a directory of that name */
	bool is_block;             /* the directory itself is one, and the list has it alone */
};
/*
 * A path that is a block itself (it has a meta.json and an index) gives a list of that one.
 * ERR_NOTFOUND and the like: of the directory itself.
 */
MUST_CHECK enum err bdir_scan(const char *path, struct bdir *out, struct errbuf *eb);
void bdir_release(struct bdir *d);
/* The path of a block, mem_alloc'd. */
char *bdir_path(const char *path, const struct bdir *d, size_t i);

#endif
