/*
 * shard - one shard of the store on its loop: head, numbers and ids, the list of its files, the
 * state of its round.
 *
 * Words as in the room's README: every group of rows that enters has the shard's next number; ids
 * are the shard's counter; complete_to is the highest number up to which everything is in files.
 *
 * Files. shard.files lists the open files of FILES (struct shard_file) in the list's order:
 * ascending by range start, then rank. Who reads pins: shard_file_pin(f) ... shard_file_unpin(f),
 * on this loop; a file that leaves the list (merged, past retention) is marked gone, and closed and
 * removed from disk when its last pin ends. The list may change between slices: walk it again in
 * each.
 *
 * Round (storage/back/round.c moves it; everybody may look):
 *   IDLE > FREEZING   round_number = number, round_next_id = next_id; head_freeze() in slices
 *        > WRITING    frozen runs are stable; a worker writes one file per range, and the
 *                     definitions of ids in [defs_from, round_next_id) into the last of them
 *        > SWITCHING  FILES gets the new files, complete_to = round_number, next_id = round_next_id
 *        > DROPPING   head_frozen_drop() in slices, defs_from = round_next_id; the
 *                     log hears of it
 *        > EVICTING   series idle for long leave memory, in slices > IDLE
 *   A failure leaves frozen as it is, until a later try succeeds: in WRITING > UNWRITTEN >
 *   WRITING, in SWITCHING > UNSWITCHED > SWITCHING.
 * Definitions: an id >= defs_from stands in no file yet; a series of this head whose id is below it
 * may be dropped when the catalog has it, idle and without samples.
 *
 * Series leave memory by shard_evict() only: cursors that chose one and have not read it yet are
 * told first (struct shard_reader).
 *
 * Thread: the shard's loop, but for what a round hands to a worker. Memory: the loop's slab.
 */
#ifndef STORAGE_SHARD_H
#define STORAGE_SHARD_H

#include "core/base/list.h"
#include "core/model/batch.h"
#include "core/rt/epoch.h"
#include "core/rt/loop.h"
#include "core/seam/sink.h"
#include "storage/cfile/files.h"
#include "storage/cfile/tombs.h"
#include "storage/head/head.h"
#include "storage/meta/catalog.h"
#include "storage/removal.h"

struct share;

struct shard_part {
	uint32_t tenant, share;
};
struct shard_file {
	struct list_link link; /* shard.files */
	struct shard *shard;
	struct cfile *cfile;      /* open; owned */
	struct files_entry entry; /* name, range, rank, times, counts */
	uint64_t added_ns;        /* monotonic, when a round made it; 0 = earlier, or by a merge */
	bool busy;                /* input of a running merge */
	bool gone;                /* not in FILES any more */
	bool leaving;             /* a switch that drops it is under way */
	uint32_t pins;
	/* of tenants with tombstones, once weighed: how many of its series are theirs, of 1,024 */
	struct shard_part *parts;
	uint32_t parts_count;
	/*
	 * Deletions up to this rank were looked for in it: it has samples of so many of their ids,
	 * and of so many that have nothing else in it.
	 */
	uint64_t tombs_rank;
	uint32_t tombs_hits, tombs_whole;
};
/* Deletions of a higher rank than this hide what they hide in it. */
static inline uint64_t shard_file_rank(const struct shard_file *f)
{
	return files_entry_rank(&f->entry);
}

/* Labels of a deleted series that are still on their way to the catalog. */
struct shard_grave {
	uint32_t id;
	struct labels labels;
};

/* Embed it; in shard.readers while it wants to be told. */
struct shard_reader {
	struct list_link link;
	void (*leaves)(struct shard_reader *r, const struct series *s); /* s is still whole */
};

struct shard_lost {
	struct files_entry entry;
	enum err err;
	bool leaving; /* a switch that drops it is under way */
};
/* It is there, or may be: what stands above it in rank must not be taken for all there is. */
static inline bool shard_lost_returns(const struct shard_lost *l)
{
	return l->err != ERR_NOTFOUND && l->err != ERR_DAMAGED;
}

enum shard_round {
	SHARD_IDLE,
	SHARD_FREEZING,
	SHARD_WRITING,
	SHARD_SWITCHING,
	SHARD_UNSWITCHED,
	SHARD_DROPPING,
	SHARD_EVICTING,
	SHARD_UNWRITTEN
};

struct shard_span { /* of times; empty: min_ms > max_ms */
	int64_t min_ms, max_ms;
};
#define SHARD_SPAN_NONE ((struct shard_span){ .min_ms = INT64_MAX, .max_ms = INT64_MIN })
static inline void shard_span_add(struct shard_span *s, struct shard_span more)
{
	s->min_ms = more.min_ms < s->min_ms ? more.min_ms : s->min_ms;
	s->max_ms = more.max_ms > s->max_ms ? more.max_ms : s->max_ms;
}
static inline bool shard_span_meets(struct shard_span s, int64_t from_ms, int64_t to_ms)
{
	return s.min_ms < to_ms && s.max_ms >= from_ms;
}

#define SHARD_NUMBER_JUMP (UINT64_C(1) << 32) /* the log never holds so many groups */

struct shard {
	unsigned index;
	struct share *share; /* what its loop owns */
	struct work_pool *pool;
	struct catalog *catalog; /* NULL: memory and log only */
	/*
	 * the life of the catalog that has all files there were; set on the loop, read by any
	 * thread
	 */
	struct epoch catalog_epoch;
	struct loop *loop;
	struct head head;
	uint64_t number;      /* of the group given last */
	uint64_t void_number; /* highest one seen in frames that do not exist any more */
	uint32_t next_id;     /* of the next series */
	uint64_t seed;        /* of fingerprints, from the manifest */
	/* files */
	struct fsio_dir *dir; /* shards/NN */
	struct files list;    /* FILES as it was switched last: complete_to, next_rank, ... */
	struct files_switcher switcher; /* used by one worker task at a time, see switching */
	bool list_current; /* at the start FILES was good: its complete_to is the newest */
	struct list_link files;
	struct shard_file **places; /* the same, to be searched */
	/* what was deleted of series, as FILES has it; NULL: nothing. Who reads files pins it */
	struct tombs *tombs;
	struct shard_grave *graves;
	size_t graves_count, graves_cap;
	uint32_t files_count, places_cap;
	int64_t files_width_ms;  /* of the widest that ever was there */
	struct shard_lost *lost; /* named by FILES, but they could not be opened: reads say so */
	size_t lost_count;
	/* the catalog claims no rank above it: a file there could not be read at the start */
	uint64_t rank_hold;
	uint64_t files_changed; /* grows when files has changed without a switch */
	/*
	 * rows in the log are of series that a lost file defines: nothing of the log goes until
	 * a start has read it
	 */
	bool log_held;
	/*
	 * files of the log lie aside; a start that can read them takes in their rows: no deletion
	 * is forgotten until then. Their numbers may have been given again, so one that comes
	 * meanwhile goes up by SHARD_NUMBER_JUMP, above all of them, before it takes its number
	 */
	bool log_waits;
	uint32_t defs_from;
	struct removals removals; /* files on their way out */
	uint32_t cursors; /* open, or closed while a worker reads for them: they hold pins */
	bool switching;   /* one FILES switch at a time: rounds, merges and retention take turns */
	bool unknown;     /* which list is on disk: the last switch failed, see files.h (1) */
	unsigned merge_serial; /* of the name given last */
	/* round */
	enum shard_round round;
	uint64_t round_number;
	uint32_t round_next_id;
	uint64_t round_end_ns; /* monotonic, of the last one; 0 = none yet */
	int64_t round_last_ms; /* wall clock, when a round's files became durable; 0 = not yet */
	uint64_t round_last_took_ns;
	int64_t merge_last_ms; /* the same of merges */
	uint64_t merge_last_took_ns;
	/* of senders' rows that its files may hold: others hold the server's own only */
	struct shard_span round_span;
	/* what came since the last round */
	uint64_t rows_since_round;
	struct shard_span span; /* of senders' rows */
	/*
	 * No row in memory is older than these: of anybody's that came since the last round began,
	 * and before
	 */
	int64_t live_min_ms, frozen_min_ms;
	uint64_t newest_put_ns;             /* monotonic time of the last accepted row; 0 = none */
	int64_t t_newest_ms;                /* newest row of anybody, INT64_MIN = none */
	struct catalog_state catalog_state; /* as recovery left it */
	/* series in the catalog that are not in memory: 0 = readers need not ask it */
	uint64_t inactive;
	/* cursors that read exemplars: meanwhile no series that has some leaves memory */
	uint32_t exemplar_readers;
	struct list_link readers; /* told of each series that leaves memory */
	void *back;               /* of the background (storage/back/round.c) */
};
/* May memory hold rows that are no later than a time? */
static inline bool shard_remembers(const struct shard *sh, int64_t t_max_ms)
{
	return sh->live_min_ms <= t_max_ms || sh->frozen_min_ms <= t_max_ms;
}

/* Is the catalog being made anew from the files? Then it does not know all series. Any thread. */
static inline bool shard_catalog_is_behind(const struct shard *sh)
{
	return sh->catalog && epoch_now(&sh->catalog_epoch) != catalog_epoch(sh->catalog);
}

void shard_init(struct shard *sh, struct share *share, unsigned index, uint64_t seed);
void shard_release(struct shard *sh); /* closes its files */

/* Another one whenever shard.files has changed. */
static inline uint64_t shard_files_version(const struct shard *sh)
{
	return sh->list.generation + sh->files_changed;
}
static inline void shard_file_pin(struct shard_file *f)
{
	loop_check_here(f->shard->loop);
	f->pins++;
}
/*
 * The lane of core/rt/work in which everything that touches this shard's FILES and names goes: one
 * at a time, in order.
 */
static inline uint16_t shard_lane(const struct shard *sh)
{
	return (uint16_t)(1 + sh->index % 100u);
}
void shard_file_unpin(struct shard_file *f);
/* Place in shard.places of the first file that begins at or after t_ms; files_count: none does. */
uint32_t shard_place_from(const struct shard *sh, int64_t t_ms);
/* Takes its place in shard.files; the shard owns it from now, and its entry changes no more. */
void shard_file_add(struct shard *sh, struct shard_file *f);
/* Out of the list; closed and removed from disk (on a worker) when nobody pins it. */
void shard_file_gone(struct shard_file *f);

/* A series out of memory, readers told. Its samples are in files, the catalog knows it. */
void shard_evict(struct shard *sh, uint32_t slot);

/*
 * A series out of memory with all it has, for it is deleted: readers told. fed: the catalog has its
 * labels, or will never be given them; else they stay until shard_graves_give() says so.
 */
void shard_bury(struct shard *sh, uint32_t slot, bool fed);
/* take: what was deleted from now on, NULL: nothing. The set of before leaves with its last pin. */
void shard_tombs_set(struct shard *sh, struct tombs *take);
/* The catalog has all definitions below that id. */
void shard_graves_give(struct shard *sh, uint32_t catalog_next_id);

/*
 * What the catalog may claim of a rank it has worked in: it stays below every file that may return.
 */
uint64_t shard_rank_known(const struct shard *sh, uint64_t rank);

/* What a row may be, decided once per step of a request (storage/append/intake.h). */
struct shard_judge {
	int64_t t_min_ms, t_max_ms; /* older: too_old; newer: out_of_bounds */
	/*
	 * What retention keeps: exemplars may be as old as that. A target shows the last one of a
	 * bucket for hours.
	 */
	int64_t t_kept_ms;
	/* for the text of a refusal: the flags that decided, with their values; NULL: none */
	const char *old_flag, *new_flag;
	int64_t old_ms, new_ms;
};
#define SHARD_WHY_BYTES 320u
/*
 * Why a row of that time is refused: "sample of 12:00:03, oldest accepted 12:45:00
 * (--out-of-order-window 1h)"; times are UTC. A time in seconds, micro- or nanoseconds is named as
 * such.
 */
void shard_judge_why(
    const struct shard_judge *j, int64_t t_ms, int64_t now_ms, char out[SHARD_WHY_BYTES]);
/* Verdict of a piece of a request. */
struct shard_verdict {
	uint64_t stored, refused;
	uint64_t dup, over, late; /* of stored */
	uint64_t hists;           /* of stored */
	uint64_t exemplars;       /* kept, or there already */
	uint64_t exemplars_refused;
	uint32_t first_row; /* index of the first refused row of the request; UINT32_MAX = none */
	enum sink_reason first_reason;
	char first_text[480]; /* detail of that row, "" = none */
	/* the first refused exemplar, counted on from the rows; UINT32_MAX = none */
	uint32_t first_exemplar;
	const char *exemplar_why; /* in static words */
};
void shard_verdict_init(struct shard_verdict *v);
/* Would a refusal of this row be the one that is told? Texts of others need not be made. */
static inline bool shard_verdict_is_first(const struct shard_verdict *v, uint32_t row)
{
	return row < v->first_row;
}
void shard_verdict_refuse(
    struct shard_verdict *v, uint32_t row, enum sink_reason reason, const char *detail);
/* row: as in first_exemplar. */
void shard_verdict_refuse_exemplar(struct shard_verdict *v, uint32_t row, const char *why);
void shard_verdict_add(struct shard_verdict *v, const struct shard_verdict *part);

#endif
