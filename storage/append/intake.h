/*
 * intake - the writing side of one loop: requests that came in here, slices of requests for its
 * shards, the alias table, the limits of writes.
 *
 * A write request on loop A becomes an append. Its rows are fingerprinted and sorted by owner; each
 * owning loop gets one slice (message; labels stay lent), its own one without a message. Where one
 * loop owns all shards its slice is the batch itself: who needs a fingerprint makes it (trail.h).
 * A slice runs on its owner, in pieces: of a piece rows are resolved, judged, put into memory and
 * into the frame, the frame is handed to the log (storage README (1)). After its last piece the
 * slice waits in `waiting` for its position (3) and goes home.
 *   ready    more is to do than one turn takes: tenants take turns (ready.h), within a tenant
 *            slices of several requests; those of one request keep their order
 *   parked   no room in the log's backlog: tried again on each report and every PARK_TICK_MS,
 *            ERR_BUSY after INTAKE_PARK_MS
 *   child    rows whose label bytes were not canonical, or were rewritten by a rule (card.h), go
 *            under their canonical bytes to their owner in a slice of their own; the parent waits
 *            for it
 *
 * Work is bounded by time: who enters looks at the clock (intake_time_is_up) and stops after
 * INTAKE_PIECE_NS. A large request is taken in steps: as many rows as are fingerprinted in half of
 * that, at most INTAKE_STEP_ROWS; the next one when the owners have run the slices of the one
 * before.
 * What is no series however large the limits are (more than INTAKE_LABELS_MAX bytes of labels) is
 * refused before anybody looks at its bytes.
 *
 * What loops know of each other (storage/share.h) rides in the slices.
 *
 * Times of rows (judged at home, step by step; core/base/clockwatch.h has the states):
 *   own metrics   any time
 *   SURE, OPEN    not later than clock + opts.future_ms; not earlier than the newest accepted
 *                 sample of the tenant's senders - opts.ooo_window_ms, a newest beyond the clock
 *                 counting as that; where there is none yet, clock - retention
 *   DOUBT         nothing is refused for the clock's sake: until INTAKE_T_MAX_MS; not earlier than
 *                 retention before the earliest of clock, newest, and the step's own newest row
 * Thread: its loop. Memory: appends and slices are kept for reuse.
 */
#ifndef STORAGE_APPEND_INTAKE_H
#define STORAGE_APPEND_INTAKE_H

#include "core/base/arena.h"
#include "core/base/clockwatch.h"
#include "core/model/limits.h"
#include "core/model/tenant.h"
#include "core/rt/job.h"
#include "core/rt/work.h"
#include "storage/append/ready.h"
#include "storage/share.h"
#include "storage/wal/walog.h"
#include "storage/wal/walrec.h"

#define INTAKE_STEP_ROWS  16384u
#define INTAKE_PIECE_NS   500000u
#define INTAKE_LABELS_MAX (CFILE_LABELS_MAX - 1) /* bytes; what files take */
#define INTAKE_PARK_MS    2000u
#define INTAKE_PARKED_MAX 256u                   /* slices; more are answered ERR_BUSY at once */
#define INTAKE_T_MAX_MS   INT64_C(4102444800000) /* 2100: no sample is later, whatever clocks say */
#define INTAKE_T_MIN_MS   INT64_C(946684800000)  /* 2000: earlier says nothing about the clock */
/*
 * New series. INTAKE_BURST_S seconds of the limit (opts.new_series_per_s) may come at once. Beyond
 * SHARE_TIGHT percent of the head's part of memory they come slower: INTAKE_TIGHT_RATE a second and
 * loop there, none at all when it is full, until rounds have made room.
 */
#define INTAKE_BURST_S    10u
#define INTAKE_TIGHT_RATE 20000u
/* Why new series have to wait. */
enum intake_slow {
	INTAKE_SLOW_NOT,
	INTAKE_SLOW_RATE,   /* more than opts.new_series_per_s */
	INTAKE_SLOW_TENANT, /* more than the tenant's own rate */
	INTAKE_SLOW_MEMORY  /* the head's memory is tight */
};

/* New series that are allowed now. */
struct intake_bucket {
	uint64_t count; /* in units of 1/1,000 */
	uint64_t ns;    /* of the last filling; 0 = none were given yet */
};

struct alias;
struct card;
struct census_set;
struct append;
struct slice;
struct step;

struct intake;
/* What is asked of the store above. */
struct intake_up {
	/*
	 * Memory may hold more than its share, or the log (of log_share bytes; 0: it does not): a
	 * round before its time may help. On the share's loop.
	 */
	void (*relieve)(struct share *sh, uint64_t log_share);
	/*
	 * Metadata of the batch from *done on, until the intake's time is up: true: all. *position
	 * is raised to what the request must wait for. On loop 0.
	 */
	bool (*metas)(void *arg, const struct intake *in, const struct batch *b, size_t *done,
	    uint64_t *position);
};
/* What all intakes stand on. The store's; it outlives them. */
struct intake_env {
	unsigned shards; /* of the store */
	uint64_t seed;
	const uint16_t *places;  /* [shards] where a shard comes in the order of owners */
	struct intake **intakes; /* [loops] */
	int64_t retention_ms, ooo_window_ms, future_ms;
	uint64_t series_max;       /* all tenants */
	uint64_t new_series_per_s; /* per loop; 0 = its limits, UINT64_MAX = as many as come */
	/*
	 * Rounds start when the log holds more than log_share_bytes, and than log_series_bytes for
	 * each active series.
	 */
	uint64_t log_share_bytes, log_series_bytes;
	struct label_limits labels; /* 0 = the loop's limits */
	struct census_set *census;  /* what rules of cardinality count, of all loops */
	const struct intake_up *up;
	void *up_arg;
};
static inline unsigned intake_shard_of(const struct intake_env *env, struct hash128 fp)
{
	return head_shard_of(fp, env->shards);
}

/*
 * What a piece of a slice has for the log, by shard: rows come in the order of the request, groups
 * are of one shard.
 */
#define LANE_ROWS   256u
#define LANE_EXTRAS 256u /* of all lanes */
#define LANE_NONE   UINT32_MAX
struct lane {
	bool open;                  /* in this piece */
	uint32_t count;             /* of rows */
	int64_t t_min_ms;           /* older rows are not taken */
	uint32_t made, made_last;   /* series that were made (apply.c), LANE_NONE = none */
	uint32_t extra, extra_last; /* of intake.extras, the same */
};
struct lane_rows {
	uint32_t ids[LANE_ROWS];
	int64_t t_ms[LANE_ROWS];
	double v[LANE_ROWS];
};
struct lane_extra {
	struct walrec_extra e;
	size_t hist_at; /* in intake.hists */
	uint32_t next;  /* of the same lane */
};

/* A row of a batch, whose place is not known. */
static inline void intake_row_set(struct head_row *to, const struct batch_row *r, uint32_t row)
{
	*to = (struct head_row){ .labels = r->labels,
		.labels_len = r->labels_len,
		.row = row,
		.t_ms = r->t_ms,
		.bits = r->bits,
		.place = HEAD_PLACE_NONE,
		.flags = (uint16_t)r->flags };
	if (UNLIKELY(r->bits == SAMPLE_HIST_BITS)) /* a float, for no pointer has them */
		to->bits = SAMPLE_NAN_BITS;
}

struct intake {
	const struct intake_env *env;
	struct share *share;      /* of its loop */
	struct walog *log;        /* given when the store is ready */
	struct list_link waiting; /* slices, by log position */
	struct ready ready;       /* slices to run, or to run on with */
	struct job runner;        /* runs them */
	bool running;             /* it is started */
	bool in_job, in_turn; /* who looks at the clock now: the runner; an entry of this intake */
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
	struct card *card;
	struct arena scratch; /* of one slice's run */
	struct intake_bucket tokens,
	    *buckets; /* of all tenants; [buckets_count] of each with a rate */
	uint32_t buckets_count;
	/* a piece of a slice under way: rows as they are resolved, and what goes to the log */
	struct head_row sub[TRAIL_ROWS];
	struct lane *lanes; /* [shards of the loop] */
	struct lane_rows *lane_rows;
	uint16_t *lanes_open; /* their places; as many as there are shards */
	uint32_t lanes_open_count;
	struct lane_extra extras[LANE_EXTRAS];
	struct buf hists; /* canonical bytes of the extras, one behind the other */
};

struct intake *intake_create(const struct intake_env *env, struct share *share);
void intake_free(struct intake *in);

/* The seam's two calls, on any loop of the team. */
void intake_append(struct intake *in, struct sink_req *req);
enum err intake_accepts(struct intake *in, uint32_t *retry_after_s);
/* From the log, on the loop. */
void intake_report(struct intake *in, const struct walog_report *r);
/* Fails what is parked, ends timers; open appends end by themselves. */
void intake_stop(struct intake *in);

/* As opened with; 0 there: the loop's (core/model/limits.h). None is above INTAKE_LABELS_MAX. */
struct label_limits intake_label_limits(const struct intake *in);
/* Has the piece of work under way taken its time? Reads the clock: ask every 20 us or so. */
bool intake_time_is_up(const struct intake *in);

/*
 * A slice of a request for the shards of one loop, in the order of the request; exemplars sorted by
 * shard.
 */
struct slice {
	struct mbox_msg msg;
	struct list_link link;    /* waiting, parked */
	struct ready_item queued; /* ready */
	struct append *append;
	struct step *step;    /* whose it is; NULL of a child */
	struct slice *parent; /* NULL: answers to the append */
	struct slice *next_child;
	bool metas; /* the keeper looks at the batch's metadata too */
	/* the next step waits for it: told when its last piece has run, before it goes home */
	bool paced;
	struct mbox_msg ran_msg;
	struct intake *from, *at;
	const struct batch *batch;
	uint32_t tenant;
	bool canonical; /* of aliases: labels are canonical, nothing is looked up again */
	bool ruled;     /* so, and they have been under the rules of their tenant */
	struct shard_judge judge;
	/* NULL: those of the batch from rows_from on, all of them or what index says */
	struct head_row *rows;
	const uint32_t *index; /* NULL: all */
	uint32_t rows_from;
	uint32_t rows_count;
	uint32_t rows_done; /* in the pieces so far */
	size_t metas_done;
	uint64_t extras_bytes; /* of its rows' extras and its exemplars in the log, at most */
	bool exemplars;        /* they are what its rows are */
	uint32_t open;         /* itself and its children */
	uint64_t position;     /* of the log, that it waits for */
	uint64_t park_until_ns;
	/* what loops tell each other */
	int64_t t_newest_ms; /* of the class (tenant, batch->own) */
	uint64_t series;
	/* result */
	struct shard_verdict verdict;
	enum err err;
	uint32_t retry_after_s;
	enum intake_slow slow; /* with ERR_BUSY */
	struct arena *memory;  /* of a child's rows and labels */
};

#endif
