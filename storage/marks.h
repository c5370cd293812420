/*
 * marks - what the largest metrics, labels and pairs of each tenant were, hour by hour, so that
 * growth has a number.
 *
 * A mark: of one tenant, its series in memory, and of the MARKS_TOP largest of each kind the hash
 * of the name (of a pair: name=value, as store_stats has it) and how many series or values it had.
 * Every MARKS_EVERY_MS the MARKS_TENANTS tenants with most series get one, one after the other;
 * they are kept for MARKS_KEPT_MS, in memory and in the file CARDINALITY:
 *   "KYMOCAR1"  count u32  of each mark: tenant u32  time u64  series u64  counts u32[3]
 *   of each row: hash u64  value u64  crc32c u32 of all before
 * A file that is damaged or not there has no marks; nothing else depends on it.
 *
 * Thread: made, loaded and freed on the main thread; all else on loop 0, the file on a worker,
 * which reads the list while nobody changes it. Memory: 2.4 KB a mark at most, so 16 MiB.
 */
#ifndef STORAGE_MARKS_H
#define STORAGE_MARKS_H

#include "core/base/fsio.h"
#include "core/base/list.h"
#include "storage/store.h"

#define MARKS_TOP      50u
#define MARKS_TENANTS  256u
#define MARKS_EVERY_MS 3600000
#define MARKS_LOOK_MS  30000u
#define MARKS_KEPT_MS  (26 * (int64_t)MARKS_EVERY_MS)

enum marks_kind {
	MARKS_METRIC,
	MARKS_LABEL, /* its values */
	MARKS_PAIR,
	MARKS_KINDS
};
struct marks_row {
	uint64_t hash, value;
};
struct marks_mark {
	struct list_link _link;
	uint32_t tenant;
	int64_t t_ms;
	uint64_t series;
	uint32_t counts[MARKS_KINDS]; /* of rows, one kind behind the other */
	struct marks_row rows[];
};
struct marks;
struct marks *marks_create(struct store *st);
void marks_free(struct marks *m);
/* Blocks; before loops use it. */
void marks_load(struct marks *m);
void marks_start(struct marks *m);
void marks_stop(struct marks *m);
bool marks_busy(const struct marks *m); /* after marks_stop it ends what it has begun */
/*
 * A copy of the tenant's mark nearest to so long ago, some half an hour off at most; NULL: none.
 * mem.
 */
struct marks_mark *marks_copy(const struct marks *m, uint32_t tenant, int64_t ago_ms);
/*
 * What it says of a name. False: nothing is known; a name that is missing where all were written
 * down had 0.
 */
bool marks_value(
    const struct marks_mark *mark, enum marks_kind kind, const char *name, uint64_t *value);

#endif
