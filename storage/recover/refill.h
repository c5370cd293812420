/*
 * refill - groups of the log back into memory, nothing judged: the recovery's half of what
 * storage/append/apply does.
 *
 * Rows of ids that are defined nowhere yet make undefined series (storage/head/head.h).
 * Thread: the shard's loop, at the start.
 */
#ifndef STORAGE_RECOVER_REFILL_H
#define STORAGE_RECOVER_REFILL_H

#include "storage/shard.h"
#include "storage/wal/walrec.h"

/* Where records of metadata go: to who keeps them, above. */
struct refill_metas {
	/* own: of a group of metadata; else of a group of shard 0, as older versions wrote them */
	void (*record)(void *arg, bool own, uint64_t number, const struct walrec_meta *m);
	void (*number)(void *arg, uint64_t number); /* of a group of metadata that was met */
	void *arg;
};
/*
 * One group of the log into its shard. ERR_UNSUPPORTED, ERR_MALFORMED: not written by this version;
 * the shard's number stays.
 */
MUST_CHECK enum err refill_group(struct shard *sh, const struct walrec_group *g,
    struct walrec_reader *r, const struct refill_metas *metas);
/* The same of a group of metadata, which is no shard's. */
MUST_CHECK enum err refill_metas_group(
    const struct walrec_group *g, struct walrec_reader *r, const struct refill_metas *metas);
/*
 * The series of an id gets its labels; it is made when it is not there. Of two ids with the same
 * labels the higher one goes on.
 */
void refill_define(struct shard *sh, uint32_t id, uint32_t tenant, struct labels ls);

#endif
