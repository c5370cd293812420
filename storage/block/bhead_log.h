/*
 * bhead_log - the segments of a head's logs, one behind the other, as records.
 *
 * checkpoint.N and the segments of wal above N, then those of wbl. A file that ends in the middle
 * of a page is taken as it is; a record that is cut at the end of the last segment of a log was
 * being written, and is not told.
 *
 * Thread: one, it blocks. Memory: a page, a record.
 * Damage is told (bdamage.h) and counted; ERR_IO and the like of a file: it is told, too, and the
 * next one goes on.
 */
#ifndef STORAGE_BLOCK_BHEAD_LOG_H
#define STORAGE_BLOCK_BHEAD_LOG_H

#include "core/base/fsio.h"
#include "storage/block/bdamage.h"
#include "storage/block/bpages.h"
#include "storage/block/bstream.h"

struct bhead_segment {
	char *name; /* below the data directory */
	bool late;  /* of wbl */
	bool last;  /* of its log */
};
struct bhead_log {
	struct fsio_dir *dir; /* lent: the data directory */
	struct bdamage damage;
	struct bhead_segment *segments;
	size_t count, cap;
	uint64_t bytes; /* of all */
	/* where it is */
	size_t at;
	struct fsio_file *file;
	struct bin in;
	struct bpages pages;
	uint64_t read, damaged;
	bool in_page;
};
/* ERR_NOTFOUND: there is no wal. */
MUST_CHECK enum err bhead_log_open(
    struct bhead_log *l, struct fsio_dir *dir, const struct bdamage *damage, struct errbuf *eb);
void bhead_log_close(struct bhead_log *l);
/* From the beginning. */
void bhead_log_rewind(struct bhead_log *l);
/* False: that was the last one. The record is good until the next call. */
bool bhead_log_next(struct bhead_log *l, const uint8_t **rec, size_t *len, bool *late);
/* Of the record that came last: told and counted. */
void bhead_log_bad(struct bhead_log *l, const char *what);

#endif
