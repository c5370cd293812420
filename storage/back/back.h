/*
 * back - what a shard does behind the requests: rounds to files, merges of files, retention, the
 * feed of the catalog.
 *
 * One struct back per shard, at shard.back. Everything here runs on the shard's loop in slices (a
 * job of class JOB_WRITE); whatever blocks goes to the disk workers:
 *   lane shard_lane(shard)         writing of a round's files, FILES switches and removals of a
 *                                  shard, one after another
 *   lane BACK_LANE_MERGE + 0..1    merges: at most two at a time in the process, behind everything
 *                                  else
 *   lane BACK_LANE_CATALOG         the one writer of the catalog
 * FILES is switched by back_switch only: one at a time per shard, in the order asked; each change
 * is applied to a copy of the list as it is then.
 *
 * Thread: the shard's loop.
 */
#ifndef STORAGE_BACK_BACK_H
#define STORAGE_BACK_BACK_H

#include "core/rt/job.h"
#include "core/rt/latch.h"
#include "core/rt/work.h"
#include "storage/shard.h"

#define BACK_TICK_MS       1000
#define BACK_TICK_MIN_MS   10
#define BACK_RETRY_MS      5000  /* after a failed round, switch, merge or feed */
#define BACK_SEAL_MS       60000 /* between looks at what can be merged */
#define BACK_LOST_MS       60000 /* between looks for files that could not be opened */
#define BACK_LANE_MERGE    101u
#define BACK_MERGES        2u /* lanes of them */
#define BACK_LANE_CATALOG  110u
#define BACK_LANE_SNAPSHOT 112u /* what begins, lists and deletes them: one at a time */
/* A series whose newest sample is so much older than the tenant's newest may leave memory ... */
#define BACK_IDLE_MS     (70 * 60 * 1000LL)
#define BACK_IDLE_ROUNDS 3u                 /* ... after so many rounds without a sample */
#define BACK_TIGHT_MS    (10 * 60 * 1000LL) /* ... where memory is tight, after one */
#define BACK_LATE_ROWS   200000u            /* late rows of a shard that make a round due */

/* What all backgrounds stand on. The store's; it outlives them. */
struct back_env {
	unsigned shards; /* of the store: their rounds are spread over the interval */
	struct clockwatch *clock;
	struct space *space;
	struct walog *log;      /* hears what is complete */
	unsigned round_writers; /* files that a round may write at the same time */
	int64_t retention_ms;
	uint64_t retention_bytes; /* of files, catalog and log together; 0 = no limit */
	int64_t round_every_ms, seal_every_ms;
	int64_t retry_ms;      /* after a failed round, switch, merge or feed */
	int64_t evict_idle_ms; /* a series so much older than the tenant's newest may leave */
};

struct round_work;
struct merge_work;
struct seal_look;
struct feed_item;
struct rebuild;

/*
 * Rules of deletions, which hold; a test breaks one by its bit before a store is opened, sees its
 * checks fail, and clears it (as walog_broken, storage/wal/walog_priv.h).
 */
enum back_rule {
	BACK_BREAK_TELL = 1u << 0,   /* a deletion is answered before FILES names it (30) */
	BACK_BREAK_NUMBER = 1u << 1, /* a cut has no number: a replay drops no row (29) */
	BACK_BREAK_KEEP = 1u << 2,   /* a cut goes while the log holds rows that it drops (32) */
};
extern unsigned back_broken;
static inline bool back_holds(enum back_rule rule)
{
	return LIKELY(!(back_broken & (unsigned)rule));
}

/*
 * A deletion of series (deletion.c). Its samples of the ids in the range, both ends inclusive, are
 * gone when done() says that it is durable; what comes afterwards lives. All times: the ids are
 * dead, and leave memory. After an error some of them may be gone; asking again does no harm.
 * ERR_TOOBIG: deletions hold 8 bytes of each id until no file has anything of it (tidy.c), and a
 * shard's would take more than a BACK_TOMBS_PART th of its memory.
 * Embed it; it is the caller's until done, on the shard's loop.
 */
#define BACK_TOMBS_PART 4u
struct back_deletion {
	struct list_link link;
	const uint32_t *ids; /* ascending, each once; borrowed until done */
	size_t count;
	uint32_t tenant; /* whose they are */
	int64_t t_min_ms, t_max_ms;
	void (*done)(struct back_deletion *d, enum err err);
	struct errbuf eb; /* why not */
	struct deletion *_work;
};
struct deletion;
struct tidy;

struct back_waiter {
	struct list_link link;
	void (*done)(void *arg, enum err err);
	void *arg;
};
/*
 * A change of FILES. A failure is logged by back_switch; its maker decides what then. change() runs
 * on the loop, on a copy of the list; done() on the loop: with err = 0 shard.list is the new one,
 * durable. Embed it; it is the caller's until done.
 */
struct back_switch {
	struct list_link link;
	void (*change)(struct back_switch *s, struct files *next);
	void (*done)(struct back_switch *s, enum err err);
	struct shard *shard;
	bool frees; /* files go with it: on a full disk RESERVE is given up for it */
	struct files next;
	struct work_task task;
	enum err err;
};
struct back {
	const struct back_env *env;
	struct shard *shard;
	struct work_pool *pool;
	struct loop_timer tick;
	uint64_t tick_ms;
	bool closing;
	void (*closed)(void *arg);
	void *closed_arg;
	struct loop_deferred ending;
	/* round */
	struct job slices; /* freezing, dropping, evicting */
	bool slices_live, in_slice;
	struct round_work *round;
	bool round_wanted;
	uint64_t round_not_before_ns;   /* after a failure */
	struct list_link round_waiters; /* want a round that begins from now on */
	struct list_link round_running; /* told when the running one has ended */
	uint32_t evict_slot, evict_end; /* SHARD_EVICTING: slots [0, end) are looked at */
	/* FILES */
	struct list_link switches;
	/* no change: tells which list is on disk, when that is unknown */
	struct back_switch resolving;
	bool resolve_busy;
	uint64_t resolve_not_before_ns;
	/* merges */
	struct merge_work *merge;
	bool seal_wanted, seal_force;
	uint64_t seal_not_before_ns, seal_looked_ns;
	uint64_t seal_bytes_max; /* of a merge: the disk had no room for a larger one; 0 = any */
	struct latch stopping;   /* for the worker that merges */
	struct seal_look *look;  /* what can be merged: a part of the files, with a worker */
	int64_t look_at_ms;      /* where the next part begins; INT64_MIN: a look begins anew */
	bool look_again;         /* ... when the one under way has come back */
	bool look_soon;          /* it has met what waits for the catalog ... */
	uint64_t look_rank;      /* ... which had worked in so much when it began */
	struct list_link seal_waiters;
	/* deletions of series */
	struct list_link deletions; /* to come, oldest first */
	struct deletion *deletion;  /* changes memory, then FILES: no round begins meanwhile */
	struct tidy *tidy;          /* what deletions have left: looked at, or let go */
	uint64_t tidy_looked_ns, tidy_not_before_ns;
	bool tidy_wanted, tidy_now;     /* now: something has become possible */
	struct list_link purge_waiters; /* want files without what was deleted */
	/* seen: which files have some of it; last: one more look, when none has any more */
	bool purging, purge_seen, purge_last;
	uint64_t forgot_rank; /* the catalog has forgotten what was deleted up to that rank */
	bool forget_busy;
	bool retain_busy;
	/* files that end by then go for their size (quota.h); INT64_MIN: none */
	int64_t full_before_ms;
	uint64_t retain_looked_ns;
	/* lost files */
	bool lost_busy;
	size_t lost_next; /* of this round of looks */
	uint64_t lost_not_before_ns;
	uint64_t retain_not_before_ns;
	/* catalog */
	struct list_link feed; /* items, oldest first */
	bool feed_busy;
	struct rebuild *rebuild; /* NULL: none is on */
	uint64_t rebuild_not_before_ns;
	uint64_t feed_not_before_ns;
	bool retire_wanted; /* retention has taken files */
	int64_t retire_from_ms;
	uint64_t catalog_rank;    /* highest rank worked in */
	uint32_t catalog_next_id; /* every definition below is in the catalog */
};

/* After recovery, once per shard; timers start here. */
void back_open(struct shard *sh, const struct back_env *env);
/*
 * A round as soon as possible; force: also when little is there. done(arg, err) once, on the loop,
 * when the samples of now are in files and FILES is switched; NULL: nobody waits.
 */
void back_round(struct shard *sh, bool force, void (*done)(void *arg, enum err err), void *arg);
/* Merges what can be merged; force: open ranges too. */
void back_seal(struct shard *sh, bool force, void (*done)(void *arg, enum err err), void *arg);
/* Takes its turn behind those before it. */
void back_delete(struct shard *sh, struct back_deletion *d);
/*
 * Files with samples of before a deletion are written again without them, one by one; done() when
 * none is left of those that deletions of before hide something in. Where it ends early (an error,
 * a kill) what was done is done.
 */
void back_purge(struct shard *sh, void (*done)(void *arg, enum err err), void *arg);
/* Stops timers, ends what runs; done() when nothing of the shard is with a worker. */
void back_close(struct shard *sh, void (*done)(void *arg), void *arg);
/*
 * Memory may hold more than its share, or the log (of log_share bytes; 0: it does not): of the
 * shards whose rounds help the one whose last round is oldest has one. Shards of a loop take turns.
 * See relief.c.
 */
void back_relieve(struct share *share, uint64_t log_share);

static inline struct back *back_of(const struct shard *sh)
{
	return sh->back;
}
void back_switch(struct shard *sh, struct back_switch *s);
/*
 * Something ended or became possible: moves on what can move, and ends the shard when it is
 * closing.
 */
void back_poke(struct back *b);
uint64_t back_now_ns(const struct back *b);
/* When something that failed now is tried again. */
uint64_t back_retry_ns(const struct back *b);
/* Tells and frees all waiters. */
void back_tell(struct list_link *waiters, enum err err);

/* round.c */
void round_poke(struct back *b);
bool round_busy(const struct back *b);
/* At the end of the process: a round that has failed is let go; its rows are in the log. */
void round_abandon(struct back *b);
enum job_state round_slice(struct job *j);
/* sealing.c */
void sealing_poke(struct back *b);
/* A look from the beginning, as soon as possible; its waiter is in seal_waiters. */
void sealing_want(struct back *b, bool force);
/* The files are merged into one, without what was deleted; pins them. */
/* Of merges: the widths of their buckets, and before which time those are closed. */
struct plan_limits sealing_limits(const struct back *b);
int64_t sealing_closed_ms(const struct shard *sh);
void sealing_begin(struct back *b, struct shard_file *const *files, uint32_t count);
/* retain.c */
void retain_poke(struct back *b);
/* deletion.c */
void deletion_poke(struct back *b);
/* tidy.c */
void tidy_poke(struct back *b);
/* A merge for those who wait for files without deleted samples; false: none is to be done now. */
bool tidy_purge(struct back *b);
void tidy_purge_failed(struct back *b, enum err err);
/* lost.c */
void lost_poke(struct back *b);
/* rebuild.c */
void rebuild_poke(struct back *b);
void rebuild_abandon(struct back *b); /* at the end: one that rests is let go */
/* For tests: a rebuild rests after so many steps less one; 0 = never. */
extern struct epoch rebuild_limit;
/* feed.c */
void feed_poke(struct back *b);
void feed_add(struct back *b, struct feed_item *take_item);

#endif
