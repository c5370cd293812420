/*
 * share - what one loop owns of the store: its shards, its slab, the slices that wait for the log,
 * the alias table, the limits.
 *
 * A write request on loop A becomes an append. Its rows are fingerprinted and sorted by owner and
 * shard; each owning loop gets one slice (message; labels stay lent), its own one without a
 * message.
 * A slice runs on its owner, in pieces: of a piece rows are resolved, judged, put into memory and
 * into the frame, the frame is handed to the log (storage README (1)). After its last piece the
 * slice waits in `waiting` for its position (3) and goes home.
 *   ready    more is to do than one turn takes: slices of several requests take turns, those of one
 *            request keep their order
 *   parked   no room in the log's backlog: tried again on each report and every PARK_TICK_MS,
 *            ERR_BUSY after SHARE_PARK_MS
 *   child    rows whose label bytes were not canonical go, under their canonical bytes, to their
 *            owner in a slice of their own; the parent waits for it
 *
 * Work is bounded by time: who enters looks at the clock (share_time_is_up) and stops after
 * SHARE_PIECE_NS. A large request is taken in steps: as many rows as are fingerprinted in half of
 * that, at most SHARE_STEP_ROWS; the next one when the owners have run the slices of the one
 * before.
 * What is no series however large the limits are (more than SHARE_LABELS_MAX bytes of labels) is
 * refused before anybody looks at its bytes.
 *
 * What loops know of each other (newest times of classes, counts of series) rides in the slices: no
 * cell is shared.
 *
 * Times of rows (judged at home, step by step; core/base/clockwatch.h has the states):
 *   own metrics   any time
 *   SURE, OPEN    not later than clock + opts.future_ms; not earlier than the newest accepted
 *                 sample of the tenant's senders - opts.ooo_window_ms, a newest beyond the clock
 *                 counting as that; where there is none yet, clock - retention
 *   DOUBT         nothing is refused for the clock's sake: until SHARE_T_MAX_MS; not earlier than
 *                 retention before the earliest of clock, newest, and the step's own newest row
 * Thread: its loop. Memory: appends and slices are kept for reuse.
 */
#ifndef STORAGE_APPEND_SHARE_H
#define STORAGE_APPEND_SHARE_H

#include "core/base/arena.h"
#include "core/base/clockwatch.h"
#include "core/model/limits.h"
#include "core/rt/job.h"
#include "core/rt/team.h"
#include "core/rt/work.h"
#include "storage/newest.h"
#include "storage/shard.h"
#include "storage/wal/walog.h"
#include "storage/wal/walrec.h"

#define SHARE_STEP_ROWS  16384u
#define SHARE_PIECE_NS   500000u
#define SHARE_LABELS_MAX (CFILE_LABELS_MAX - 1) /* bytes; what files take */
#define SHARE_STOCK_STEP 2u
#define SHARE_PARK_MS    2000u
#define SHARE_PARKED_MAX 256u /* slices; more are answered ERR_BUSY at once */
#define SHARE_LOOPS_MAX  256u
#define SHARE_T_MAX_MS   INT64_C(4102444800000) /* 2100: no sample is later, whatever clocks say */
#define SHARE_T_MIN_MS   INT64_C(946684800000)  /* 2000: earlier says nothing about the clock */
/*
 * New series. SHARE_BURST_S seconds of the limit (opts.new_series_per_s) may come at once. Beyond
 * SHARE_TIGHT percent of the head's part of memory they come slower: SHARE_TIGHT_RATE a second and
 * loop there, none at all when it is full, until rounds have made room.
 */
#define SHARE_BURST_S    10u
#define SHARE_TIGHT      90u
#define SHARE_TIGHT_RATE 20000u
/*
 * Tight memory, or a log over its share, has rounds before their time, one shard after another:
 * for memory those whose samples are 1/SHARE_RELIEF of the head's part together, each other one
 * after SHARE_RELIEF_MS. Where labels fill memory rounds one behind the other would give nothing
 * back and leave thousands of small files.
 */
#define SHARE_RELIEF         16u
#define SHARE_RELIEF_MS      60000u
#define SHARE_RELIEF_OVER_MS 10000u /* the same where nothing is taken */

/* Why new series have to wait. */
enum share_slow {
	SHARE_SLOW_NOT,
	SHARE_SLOW_RATE,  /* more than opts.new_series_per_s */
	SHARE_SLOW_MEMORY /* the head's memory is tight */
};

struct alias;
struct append;
struct slice;
struct step;

struct share {
	struct store *store;
	struct loop *loop;
	unsigned index;
	struct walog *log;
	struct slab *mem;
	struct work_task stock_task; /* makes regions for mem ready */
	void *stock[SHARE_STOCK_STEP];
	bool stocking;
	struct shard **shards; /* of this loop: shard index + k * loops */
	unsigned shards_count;
	struct list_link waiting; /* slices, by log position */
	struct list_link ready;   /* slices to run, or to run on with */
	struct job runner;        /* runs them */
	bool running;             /* it is started */
	bool in_job, in_turn; /* who looks at the clock now: the runner; an entry of this share */
	uint64_t began_ns;    /* in_turn: when it entered */
	uint64_t turn_ns, used_ns; /* the turn of the last entry, and what entries took in it */
	struct list_link parked;
	uint32_t parked_count;
	struct loop_timer park_timer;
	struct list_link done; /* appends to be told at the end of the turn */
	struct loop_deferred done_deferred;
	bool done_armed;
	struct list_link append_pool, step_pool;
	uint32_t append_pool_count, step_pool_count;
	uint32_t open; /* appends under way that began here */
	struct alias *alias;
	struct arena scratch;             /* of one slice's run */
	struct newest newest;             /* as far as this loop has heard */
	uint64_t tokens;                  /* new series allowed now, in units of 1/1,000 */
	uint64_t tokens_ns;               /* 0 = none were given yet */
	uint64_t series[SHARE_LOOPS_MAX]; /* active, per loop; others' as they told last */
	enum err refuse; /* 0, or why no write is taken: ERR_NOSPACE (disk), ERR_STOPPING */
	/* columns of the rows for the log */
	uint32_t ids[HEAD_SUB];
	int64_t t_ms[HEAD_SUB];
	double v[HEAD_SUB];
};

struct share *share_create(struct store *st, struct loop *loop, unsigned index);
void share_free(struct share *sh); /* its shards are released before */

/* The seam's two calls, on any loop of the team. */
void share_append(struct share *sh, struct sink_req *req);
enum err share_accepts(struct share *sh, uint32_t *retry_after_s);
/* From the log, on the loop. */
void share_report(struct share *sh, const struct walog_report *r);
/* Fails what is parked, ends timers; open appends end by themselves. */
void share_stop(struct share *sh);

/* What the heads of this loop take: samples, labels, hot lines, tables, postings. */
uint64_t share_head_bytes(const struct share *sh);
/* How full that is. */
enum share_fill {
	SHARE_HAS_ROOM,
	SHARE_IS_TIGHT, /* beyond SHARE_TIGHT percent of its part */
	SHARE_IS_OVER   /* a tenth beyond its part: nothing is taken */
};
enum share_fill share_fill(const struct share *sh);
/* As opened with; 0 there: the loop's (core/model/limits.h). None is above SHARE_LABELS_MAX. */
struct label_limits share_label_limits(const struct share *sh);
/* Has the piece of work under way taken its time? Reads the clock: ask every 20 us or so. */
bool share_time_is_up(const struct share *sh);
struct clockwatch_now share_now(const struct share *sh);
/*
 * A newest time as it may be used: never later than an honest sample can be; as it stands while the
 * clock is in doubt.
 */
int64_t share_bounded(const struct share *sh, int64_t t_newest_ms);
/* Newest times as this loop knows them, for FILES. */
void share_newest_save(const struct share *sh, struct files *to);

/*
 * A slice of a request for the shards of one loop; rows sorted by shard, ends[k] = end of the rows
 * of shards[k].
 */
struct slice {
	struct mbox_msg msg;
	struct list_link link;
	struct append *append;
	struct step *step;    /* whose it is; NULL of a child */
	struct slice *parent; /* NULL: answers to the append */
	struct slice *next_child;
	bool metas; /* the keeper looks at the batch's metadata too */
	/* the next step waits for it: told when its last piece has run, before it goes home */
	bool paced;
	struct mbox_msg ran_msg;
	struct share *from, *at;
	const struct batch *batch;
	uint32_t tenant;
	bool canonical; /* of aliases: labels are canonical, nothing is looked up again */
	struct shard_judge judge;
	struct head_row *rows;
	uint32_t *ends;
	uint32_t rows_count;
	uint32_t rows_done;  /* in the pieces so far */
	uint32_t labels_max; /* bytes of the largest labels among the rows */
	size_t metas_done;
	uint32_t open;     /* itself and its children */
	uint64_t position; /* of the log, that it waits for */
	uint64_t park_until_ns;
	/* what loops tell each other */
	int64_t t_newest_ms; /* of the class (tenant, batch->own) */
	uint64_t series;
	/* result */
	struct shard_verdict verdict;
	enum err err;
	uint32_t retry_after_s;
	enum share_slow slow; /* with ERR_BUSY */
	struct arena *memory; /* of a child's rows and labels */
};

#endif
