/*
 * series - one active series in memory: its 64-byte hot line, and the samples it holds.
 *
 * Samples of a series stand in two runs:
 *   live    since the last round:  tail (raw rows, newest, and the pack they go to, tail.h)  <-
 *   packs (full ones, packs.h)  +  late (older than the newest when they came)
 *   frozen  what a running round took over from live: the same three things, which nobody changes
 *           any more
 * (1) In live a time stands once: a row for a time that is there overwrites it where it is. Frozen
 *     and live may both have a time: live wins.
 * (2) Packs and tail of one run are ascending and do not overlap; late rows lie anywhere at or
 *     below t_newest_ms.
 * (3) t_newest_ms is the newest time ever accepted for this series since it is in memory; it
 *     survives rounds, but for a deletion.
 * (4) A frozen run, the label bytes and the slot of a series do not move and do not change until
 *     head_frozen_drop(): a worker may read them meanwhile.
 * (5) Histograms and start times stand in the run's extras, by time; a histogram's row has the
 *     value SAMPLE_HIST_BITS. They go where their row goes: overwritten, frozen, dropped with it.
 *
 * Hot path: an append in order touches the hot line and one line of the tail.
 * Memory at a row every 15 s and rounds of ten minutes: 64 for the line, the labels, and for the
 * tail 16 where the value stands still, else some 110: 64 of rows, 28 of the pack's head, 1 to 2 a
 * sample for the pack. Full packs and late rows cost only those who have them.
 * Thread: the loop of the head, except (4). Memory: labels, tails, packs, late rows from the loop's
 * slab.
 */
#ifndef STORAGE_HEAD_SERIES_H
#define STORAGE_HEAD_SERIES_H

#include "core/model/label.h"
#include "core/model/sample.h"
#include "storage/chunk/column.h"
#include "storage/head/extras.h"
#include "storage/head/late.h"
#include "storage/head/packs.h"
#include "storage/head/tail.h"

#define SERIES_NONE UINT32_MAX /* no slot */
/* Of a slot that was given back: no request has it, so no row is taken for one of its own. */
#define SERIES_FREE_TENANT UINT32_MAX

/*
 * What most runs do not have: taken with the first full pack, late row or extra, leaves with its
 * run.
 */
struct series_more {
	struct packs packs;    /* older than the tail's */
	struct late *late;     /* NULL = none */
	struct extras *extras; /* of rows wherever they stand; NULL = none */
};
/* One run of samples: what live of a series becomes when it freezes. */
struct series_run {
	struct tail tail;
	int64_t t_last_ms;        /* of the tail's rows */
	struct series_more *more; /* NULL = none */
};
STATIC(sizeof(struct series_run) == 32);

/*
 * Flags of a slot. UNDEFINED: recovery met rows of an id before its definition; it has no labels
 * and is in no table. SHADOWED: recovery met the same labels under a higher id; it is not in the
 * table any more, its samples still count. */
enum {
	SERIES_USED = 1,
	SERIES_UNDEFINED = 2,
	SERIES_SHADOWED = 8,
};
struct series {
	const uint8_t *labels;
	struct tail tail;
	int64_t t_newest_ms;       /* INT64_MIN = none; of the tail's last row */
	struct series_more *more;  /* of live; NULL = none yet */
	struct series_run *frozen; /* NULL = none */
	uint32_t id;
	uint32_t at; /* its entry in the trail (trail.h), a guess */
	uint32_t tenant;
	uint16_t labels_len;
	uint8_t flags;
	/* rounds in a row without a new sample, up to 255: counted by head_freeze, reset by it */
	uint8_t idle;
};
STATIC(sizeof(struct series) == CACHE_LINE);

static inline struct labels series_labels(const struct series *s)
{
	return (struct labels){ .bytes = s->labels, .len = s->labels_len };
}
static inline bool series_has_live(const struct series *s)
{
	return s->tail.count || s->tail.form & TAIL_PACKED || s->more;
}
static inline const struct series_run *series_frozen(const struct series *s)
{
	return s->frozen;
}
/* Live as a run, borrowed until the series changes. */
static inline struct series_run series_live(const struct series *s)
{
	return (struct series_run){ .tail = s->tail, .t_last_ms = s->t_newest_ms, .more = s->more };
}
/* Loads what the next append will touch. */
static inline void series_fetch(const struct series *s)
{
	/* A number: a tail without rows has no bytes, and 0 is not added to NULL. */
	uintptr_t at = (uintptr_t)s->tail.bytes + s->tail.count * TAIL_EVEN_ROW;
	__builtin_prefetch((const void *)at, 1);
}

/* Samples of a run, or its bounds: false when it is empty. */
uint64_t series_run_count(const struct series_run *r);
bool series_run_bounds(const struct series_run *r, int64_t *t_min_ms, int64_t *t_max_ms);
/*
 * Where the run's samples lie: fn gets the first and the last time of each pack and of the rows
 * behind them, and every late one.
 */
void series_run_times(const struct series_run *r, void (*fn)(void *arg, int64_t t_ms), void *arg);
/*
 * The run's samples with t_min <= t <= t_max, ascending, replace what is in *out. Pure: any thread
 * for a frozen run. ERR_DAMAGED when a pack does not decode (memory broken). About 5 ns a sample.
 */
MUST_CHECK enum err series_run_read(
    const struct series_run *r, int64_t t_min_ms, int64_t t_max_ms, struct column *out);
/* Live and frozen together, live winning where both have a time. Loop only. */
MUST_CHECK enum err series_read(
    const struct series *s, int64_t t_min_ms, int64_t t_max_ms, struct column *out);
/*
 * The same in pieces: about n samples, fewer if they are histograms, the oldest at or after
 * *from_ms, behind those in *out;
 * *from_ms
 * is where the next piece begins. *more: there may be one. Between pieces the series may change.
 */
MUST_CHECK enum err series_read_some(const struct series *s, int64_t *from_ms, int64_t t_max_ms,
    uint32_t n, struct column *out, bool *more);
/*
 * How many samples of it lie in the range, about, and in how many bytes they stand: from the bounds
 * of packs and rows, nothing is decoded. All of what it holds: exact.
 */
uint64_t series_about(const struct series *s, int64_t t_min_ms, int64_t t_max_ms, uint64_t *bytes);
/* Not fewer than lie in the range: packs that it cuts count whole. */
uint64_t series_most(const struct series *s, int64_t t_min_ms, int64_t t_max_ms);
/* Does it hold more than n samples, or what costs as much to read? */
bool series_holds_more(const struct series *s, uint32_t n);
/* Bounds of live and frozen together; false when memory holds no sample of it. */
bool series_bounds(const struct series *s, int64_t *t_min_ms, int64_t *t_max_ms);
/* What a put did. */
enum series_put {
	SERIES_PUT_NEW,  /* newest of its series */
	SERIES_PUT_SAME, /* the very bits were there: nothing changed, nothing to log */
	SERIES_PUT_OVER, /* another value stood at this time in live or frozen */
	SERIES_PUT_LATE, /* older than the newest, not there before */
};
/*
 * The pack that was read last, unpacked: repeats and late rows come in order of time, so the next
 * one is mostly in it, too. Known by its address; forgotten before it changes or its memory goes.
 */
struct series_unpacked {
	const struct pack *of; /* NULL = none */
	unsigned count;
	int64_t t_ms[PACK_SAMPLES_MAX];
	double v[PACK_SAMPLES_MAX];
};
struct series_stats { /* of one head, kept by the calls that change it */
	/* of live: packs are full ones; bytes of tails with their packs, and of full packs */
	uint64_t live_rows, late_rows, packs, packs_bytes, tails_bytes, extras_bytes;
	struct series_unpacked last;
};
/* e: what stands beside the row, NULL = nothing. v is SAMPLE_HIST_BITS if it is a histogram. */
enum series_put series_put_slow(struct series *s, struct slab *m, struct series_stats *st,
    int64_t t_ms, double v, const struct extra *e);
/*
 * One row of a float without a start time. SAME is told by the bits of the value and by what stands
 * beside the row; all times and values are taken, but SAMPLE_HIST_BITS.
 */
static inline enum series_put series_put(
    struct series *s, struct slab *m, struct series_stats *st, int64_t t_ms, double v)
{
	if (LIKELY(tail_put(&s->tail, s->t_newest_ms, t_ms, v))) {
		s->t_newest_ms = t_ms;
		st->live_rows++;
		return SERIES_PUT_NEW;
	}
	/* What is sent again is mostly the last row. */
	if (t_ms == s->t_newest_ms && s->tail.count && !(s->more && s->more->extras) &&
	    num_bits(tail_last(&s->tail)) == num_bits(v))
		return SERIES_PUT_SAME;
	return series_put_slow(s, m, st, t_ms, v, NULL);
}
/* Live becomes frozen (there must be none): false when there was nothing. */
bool series_freeze(struct series *s, struct slab *m, struct series_stats *st);
/*
 * Frozen leaves the series at once, whole: what is in it is the caller's, who gives its memory back
 * in pieces.
 */
struct series_run series_frozen_take(struct series *s, struct slab *m, struct series_stats *st);
/*
 * Gives back about `budget` packs and blocks of late rows, and takes what it did off the budget;
 * true: nothing is left.
 */
bool series_run_free(struct series_run *r, struct slab *m, unsigned *budget);
/*
 * Rows of live in the range, both ends inclusive, leave; there is no frozen run. The newest time is
 * that of what is left. False: none was in it.
 */
bool series_cut(
    struct series *s, struct slab *m, struct series_stats *st, int64_t t_min_ms, int64_t t_max_ms);
/* Everything it holds but the labels. */
void series_release(struct series *s, struct slab *m, struct series_stats *st);

#endif
