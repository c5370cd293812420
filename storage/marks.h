/*
 * marks - every MARKS_EVERY_MS each tenant's cardinality gets a moment in its history
 * (storage/cardhist.h), so that growth has a number and the last day can be played back.
 *
 * A round counts the MARKS_TENANTS tenants with most series, one after the other, in jobs on all
 * loops (store_stats); then a worker writes the history to the file CARDINALITY, which is replaced.
 * A round takes MARKS_SHARE th of the time at most: with so many series that one takes longer, the
 * next comes later, an hour at most, and moments are farther apart. MARKS_KEPT_MS they are kept.
 * A file that is damaged or of another format is told in the log and begun anew; nothing else
 * depends on it. What a crash loses is what came after the last file: a moment.
 *
 * Deletion: between marks_forget_begin and marks_forget_end series of a tenant are deleted. The
 * tenant gets no moment, and the file is not there: so neither it, nor a snapshot, nor a start
 * after a crash has names that were deleted. Behind the last deletion it is written again.
 *
 * Clocks: a round is due when so long has passed by either clock, so a machine that slept has one
 * soon after. While the wall clock is in doubt (core/base/clockwatch.h) none is made and none
 * goes: a gap. A clock that was set back takes the place of moments later than it says.
 *
 * Thread: made, loaded and freed on the main thread; all else on loop 0, the file on a worker,
 * which reads the history while nobody changes it. Memory: MARKS_BYTES_PART th of the budget,
 * MARKS_BYTES_LEAST to MARKS_BYTES_MOST (kymo_cardinality_history_bytes).
 */
#ifndef STORAGE_MARKS_H
#define STORAGE_MARKS_H

#include "core/base/fsio.h"
#include "storage/cardhist.h"
#include "storage/store.h"

#define MARKS_TENANTS     256u
#define MARKS_EVERY_MS    300000
#define MARKS_LOOK_MS     15000u
#define MARKS_SHARE       50
#define MARKS_HOUR_MS     INT64_C(3600000)
#define MARKS_KEPT_MS     (26 * MARKS_HOUR_MS)
#define MARKS_BYTES_PART  256u
#define MARKS_BYTES_LEAST (2u << 20)
#define MARKS_BYTES_MOST  (32u << 20)

/* One moment with all its lists. */
struct marks_mark {
	int64_t t_ms;
	uint64_t series;
	struct store_card_cut kinds[STORE_CARD_KINDS];
};
struct marks;
struct marks *marks_create(struct store *st);
void marks_free(struct marks *m);
/* Blocks; before loops use it. */
void marks_load(struct marks *m);
void marks_start(struct marks *m);
void marks_stop(struct marks *m);
bool marks_busy(const struct marks *m); /* after marks_stop it ends what it has begun */
struct cardgone;
struct marks_forget {
	uint32_t tenant;
	/*
	 * gone: what is told of the tenant, to be looked up until the end. err: the file cannot be
	 * removed, and it has not begun.
	 */
	void (*ready)(struct marks_forget *f, enum err err);
	struct cardgone *gone;
	struct list_link _link;
};
/* ready() comes from inside, or later. */
void marks_forget_begin(struct marks *m, struct marks_forget *f);
/* What f->gone says has gone is told no more: moments, explosions, the lists of now. Frees it. */
void marks_forget_end(struct marks *m, struct marks_forget *f);
const struct cardhist *marks_history(const struct marks *m);
/*
 * A copy of the tenant's moment nearest to so long ago, some half an hour off at most; NULL: none.
 * marks_mark_free.
 */
struct marks_mark *marks_copy(const struct marks *m, uint32_t tenant, int64_t ago_ms);
void marks_mark_free(struct marks_mark *mark);
/*
 * What it says of a name. False: nothing is known; a name that is missing where all were written
 * down had 0.
 */
bool marks_value(
    const struct marks_mark *mark, enum store_card_kind kind, const char *name, uint64_t *value);

#endif
