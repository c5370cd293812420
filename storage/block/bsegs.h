/*
 * bsegs - the chunk files of a block, mapped ("Chunks Disk Format" of Prometheus).
 *
 *   BE32 0x85BD40DD, byte 1, three bytes; then chunks: uvarint length, encoding, data, BE32 CRC-32C
 *   of encoding and data
 * Files are numbered by their order, the first is segment 0; a chunk's reference is its segment
 * << 32 and the offset of its length.
 *
 * Thread: any number may read. Memory: maps; they are kept until bsegs_close. A page that cannot be
 * read is SIGBUS: read inside of guard_run.
 */
#ifndef STORAGE_BLOCK_BSEGS_H
#define STORAGE_BLOCK_BSEGS_H

#include "core/base/fsio.h"

struct bseg {
	const uint8_t *data;
	size_t len;
	char *name; /* "chunks/000001" */
};
struct bsegs {
	struct bseg *items;
	size_t count, cap;
	uint64_t bytes; /* of all */
};
struct bsegs_chunk {
	uint8_t type;
	const uint8_t *data;
	size_t len;
};
/* dir: of the block. A block without the directory has no segments. */
MUST_CHECK enum err bsegs_open(struct fsio_dir *dir, struct bsegs *out, struct errbuf *eb);
void bsegs_close(struct bsegs *s);
/* ERR_DAMAGED, and *what says why. */
MUST_CHECK enum err bsegs_chunk(
    const struct bsegs *s, uint64_t ref, struct bsegs_chunk *out, const char **what);
/* The file of a reference, for those who are told of damage; "chunks" where there is none. */
const char *bsegs_name(const struct bsegs *s, uint64_t ref);

#endif
