/*
 * head - the active series of one shard: slots of hot lines, the map labels -> slot, ids -> slot,
 * postings.
 *
 *   slots     hot lines in pieces of 2 MiB; a slot number stays with its series; new series take
 *             the next one, so neighbours in arrival order are neighbours in memory
 *   map       fingerprint -> slot (slotmap.h). A hit is a hint: label bytes decide
 *   ids       id -> slot, in pages of 1,024; ids are given by the shard's counter in arrival order,
 *             never twice
 *   postings  storage/meta/postings, for each tenant its own: name/value -> ids of its series in
 *             this head
 * Rows are turned into slots by storage/head/trail.h, for all heads of a loop together.
 *
 * Readers (storage/read) on the head's loop:
 *   postings_select_begin(head_postings(h, tenant), ...) -> ids;  head_by_id(h, id) -> series;
 *   series_read /
 *   series_live + series_frozen (series.h)
 *   All of it is the state of now: take what a slice needs within the slice. A series found in one
 *   slice may be gone in the next (head_by_id gives NULL), its slot may be another's: keep ids, not
 *   slots or pointers.
 * The round (storage/back/round.c) on the head's loop:
 *   head_freeze() in slices; head.frozen are the slots with a frozen run (stable for a worker,
 *   series.h (4)); head_frozen_drop() in slices.
 *
 * Thread: the shard's loop. Memory: the loop's slab, lines and the map mapped.
 */
#ifndef STORAGE_HEAD_HEAD_H
#define STORAGE_HEAD_HEAD_H

#include "core/base/hash.h"
#include "core/model/batch.h"
#include "storage/head/exemplars.h"
#include "storage/head/series.h"
#include "storage/head/slotmap.h"

struct postings;

#define HEAD_CHUNK      (SLAB_REGION_BYTES / sizeof(struct series)) /* slots per piece */
#define HEAD_CHUNKS_MAX 1024u                                       /* 32 M series a shard */
#define HEAD_ID_PAGE    1024u

struct head_id_page { /* slots of neighbouring ids, SERIES_NONE = not in memory */
	uint32_t used;
	uint32_t slots[HEAD_ID_PAGE];
};

struct head_tenant {
	uint32_t tenant;
	struct postings *postings; /* stay until head_release, so that a reader may keep them */
	size_t bytes;              /* of them, when another tenant's changed after them */
};
struct head {
	struct slab *mem; /* the loop's */
	struct series_stats stats;
	uint32_t slots_count;  /* slots ever used: 0..slots_count-1, some free */
	uint32_t series_count; /* in use now */
	uint32_t free_slots_count, free_slots_cap;
	uint32_t *free_slots;
	struct series *chunks[HEAD_CHUNKS_MAX];
	struct slotmap map;
	struct head_id_page **id_pages;
	uint32_t id_pages_count;
	struct tally *tally;         /* active series of each tenant, of all heads; or NULL */
	struct head_tenant *tenants; /* ascending */
	uint32_t tenants_count;
	uint32_t changed;      /* of tenants: whose postings changed last */
	size_t postings_bytes; /* sum of bytes of all but that one */
	uint64_t seed;         /* of the postings' tables, secret */
	uint64_t labels_bytes;
	/* freezing */
	uint32_t freeze_slot; /* next slot of a running hand-over ... */
	uint32_t freeze_end;  /* ... which ends here: slots there were at its beginning */
	uint32_t *frozen;     /* slots with a frozen run, in slot order */
	uint32_t frozen_count, frozen_cap;
	/* a frozen run that has left its series, not yet given back whole */
	struct series_run going;
	struct exemplars exemplars; /* by id; leave with their series */
};

void head_init(struct head *h, struct slab *mem, uint64_t seed);
void head_release(struct head *h);

static inline struct series *head_at(const struct head *h, uint32_t slot)
{
	return &h->chunks[slot / HEAD_CHUNK][slot % HEAD_CHUNK];
}
static inline uint32_t head_slot_by_id(const struct head *h, uint32_t id)
{
	uint32_t page = id / HEAD_ID_PAGE;
	if (UNLIKELY(page >= h->id_pages_count || !h->id_pages[page]))
		return SERIES_NONE;
	return h->id_pages[page]->slots[id % HEAD_ID_PAGE];
}
/* NULL: not in memory. */
static inline struct series *head_by_id(const struct head *h, uint32_t id)
{
	uint32_t slot = head_slot_by_id(h, id);
	return slot == SERIES_NONE ? NULL : head_at(h, slot);
}
/* NULL: the tenant never had a series here. */
struct postings *head_postings(const struct head *h, uint32_t tenant);
/* Has no other tenant a series here, or had one? */
static inline bool head_is_alone(const struct head *h, uint32_t tenant)
{
	return !h->tenants_count || (h->tenants_count == 1 && h->tenants[0].tenant == tenant);
}

/* Slot of the series with these bytes, SERIES_NONE when unknown. */
uint32_t head_find(const struct head *h, uint64_t fp, uint32_t tenant, struct labels ls);
/*
 * A new series: labels are copied. The id must be new to this head; the labels must not be in it.
 */
uint32_t head_create(struct head *h, uint64_t fp, uint32_t tenant, uint32_t id, struct labels ls);
/* The same, and counts it in the tally; head_create leaves that to who has counted it already. */
uint32_t head_create_counted(
    struct head *h, uint64_t fp, uint32_t tenant, uint32_t id, struct labels ls);
/* Recovery: an id without labels (SERIES_UNDEFINED), and its definition later. */
uint32_t head_create_undefined(struct head *h, uint32_t id);
void head_define(struct head *h, uint32_t slot, uint64_t fp, uint32_t tenant, struct labels ls);
/* Recovery: leaves the table, because a higher id has its labels (SERIES_SHADOWED). */
void head_shadow(struct head *h, uint32_t slot, uint64_t fp);
/*
 * Out of memory with everything it holds. Not while it has a frozen run. fp as when it was made
 * (UNDEFINED: not used).
 */
void head_drop(struct head *h, uint32_t slot, uint64_t fp);
/* The same of a defined one, but that its label bytes are the caller's now: head_labels_give. */
struct labels head_drop_but_labels(struct head *h, uint32_t slot, uint64_t fp);
void head_labels_give(struct head *h, struct labels ls);
/* Samples and exemplars in the range leave, both ends inclusive. Not while it has a frozen run. */
void head_cut(struct head *h, uint32_t slot, int64_t t_min_ms, int64_t t_max_ms);

/* Which shard of so many a fingerprint belongs to. */
static inline unsigned head_shard_of(struct hash128 fp, unsigned shards)
{
	return (unsigned)((fp.hi >> 32) * shards >> 32);
}

/* Rows of one batch for the heads of a loop, to be turned into slots (trail.h). */
struct head_row {
	const uint8_t *labels;
	uint32_t labels_len;
	uint32_t row; /* index in the batch */
	uint64_t fp;  /* hash128.lo; not known while place is not */
	int64_t t_ms;
	union {
		double v;                              /* never SAMPLE_HIST_BITS */
		const struct batch_extra *extra;       /* with BATCH_EXTRA */
		uint64_t bits;                         /* of either */
		const struct batch_exemplar *exemplar; /* with HEAD_EXEMPLAR */
	};
	uint32_t slot;  /* out */
	uint16_t place; /* of its head among those of the loop, or HEAD_PLACE_NONE */
	uint16_t flags; /* of the batch's row, or HEAD_EXEMPLAR */
};
STATIC(sizeof(struct head_row) == 48);
#define HEAD_PLACE_NONE UINT16_MAX
#define HEAD_EXEMPLAR   2u /* no row, but an exemplar of its series; none is resolved */

/*
 * Hand-over of live to frozen, of the slots there are at head_freeze_begin, about `budget` series a
 * call: true when done, and not to be called again then.
 * Counts idle. No frozen run may be left at the beginning. Series made meanwhile stay live, or, in
 * a free slot, may be taken along: they are younger than the round.
 */
void head_freeze_begin(struct head *h);
bool head_freeze(struct head *h, unsigned budget);
/*
 * Drops frozen runs, about `budget` series and packs a call, however long a series is: true when
 * none is left.
 */
bool head_frozen_drop(struct head *h, unsigned budget);
/* Bytes that live samples take in the slab, about: what a round gives back. */
static inline uint64_t head_live_bytes(const struct head *h)
{
	return h->stats.tails_bytes + h->stats.packs_bytes + h->stats.late_rows * LATE_ROW +
	    h->stats.extras_bytes;
}
/* Parts of head_bytes. */
size_t head_table_bytes(const struct head *h);
size_t head_id_bytes(const struct head *h);
/* Bytes of memory: slots, tables, postings; the slab is counted by its loop. */
size_t head_bytes(const struct head *h);

#endif
