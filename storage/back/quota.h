/*
 * quota - retention by size: when files, catalog and log together are larger than the limit
 * (store_opts.retention_bytes), the files of the oldest ranges go, in all shards, until they are
 * not.
 *
 * One message walks over the loops every QUOTA_EVERY_MS. It tells each shard up to which time its
 * files may go (back.full_before_ms; storage/back/retain.c takes them, whole, as it does by time),
 * and learns how many bytes end when: of each shard's oldest files, as many as QUOTA_ENDS times are
 * needed. At home the time for the next walk is chosen: the earliest that frees enough. What is
 * still open goes never: files that end after the newest sample, or after now where that one bears
 * a time that the clock does not allow. While the clock is in doubt nothing goes.
 *
 * Thread: made and freed on the main thread, started and stopped on loop 0, where the message
 * rests. Memory: own.
 */
#ifndef STORAGE_BACK_QUOTA_H
#define STORAGE_BACK_QUOTA_H

#include "core/base/check.h"

#define QUOTA_EVERY_MS 5000u
#define QUOTA_ENDS     64u

struct share;
struct quota;
/* shares: of all loops, borrowed. bytes: the limit; 0 = none. */
struct quota *quota_create(struct share **shares, unsigned loops, uint64_t bytes);
void quota_free(struct quota *q);
void quota_start(struct quota *q);
void quota_stop(struct quota *q);
bool quota_busy(const struct quota *q); /* on its way; after quota_stop it comes home once more */

/* The bytes of files that end at the same time. */
struct quota_end {
	int64_t end_ms;
	uint64_t bytes;
};
struct quota_ends { /* ascending: the earliest there are */
	struct quota_end list[QUOTA_ENDS];
	unsigned count;
	bool cut; /* of ends later than cut_ms not all bytes are known */
	int64_t cut_ms;
};
void quota_ends_add(struct quota_ends *e, int64_t end_ms, uint64_t bytes);
/* Files that begin at t_ms or later were not looked at. */
void quota_ends_cut(struct quota_ends *e, int64_t t_ms);
/*
 * The earliest end up to which so many bytes go, not later than newest_ms; the latest of those
 * there are when that is not enough. What is not known to the last byte goes alone: more may go by
 * it than was counted. INT64_MIN: nothing may go.
 */
int64_t quota_choose(const struct quota_ends *e, uint64_t bytes, int64_t newest_ms);

#endif
