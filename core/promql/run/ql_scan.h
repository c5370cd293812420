/*
 * ql_scan - a piece's scan of one shard: a job on the shard's loop (ql_piece.h tells the exchange).
 *
 * It pulls series from the source one by one, makes each a column and puts that into the batch
 * that goes home next.
 *   ql_scan.c         the job: open, read, send, end
 *   ql_scan_series.c  what is done with one series
 *
 * Thread: the shard's loop from ql_scan_start to ql_scan_over; the messages go back and forth. Home
 * reads what never changes and writes next_held.
 */
#ifndef CORE_PROMQL_RUN_QL_SCAN_H
#define CORE_PROMQL_RUN_QL_SCAN_H

#include "core/promql/run/ql_piece.h"
#include "core/rt/job.h"

#define SCAN_MAGIC      0x5cab51e5u
#define SCAN_MADE_BLOCK (4u << 10)
#define QL_TICK_WORK    4096 /* samples of windows between looks at the clock */

/* Where the series at hand is. Each part may take more than a slice. */
enum scan_part {
	SCAN_WINDOWS,
	SCAN_TALLY, /* samples are counted for each step */
	SCAN_NOTES,
	SCAN_STAGES,
	SCAN_TAKE,
	SCAN_HISTS /* the copy of the column is done but for its histograms */
};
/* A pipe at work, on the series at hand. */
struct scan_pipe {
	const struct ql_pipe *spec;
	struct ql_batch_pipe *out; /* of the batch at hand */
	struct ql_range range;
	uint64_t col_bytes; /* charged for col */
	struct ql_col col;  /* its memory is used again */
	enum scan_part part;
	unsigned stage;
	uint32_t step;  /* what its part has behind it: steps, or samples */
	int64_t *raw_t; /* QL_PIECE_RAW: where its samples go, so many are there */
	double *raw_v;
	uint32_t raw_count;
	const struct hist **raw_h; /* when it may have histograms */
	bool raw_any_h;            /* it has one */
	bool any;                  /* some step has a value */
	struct ql_elem_at elem_at;
	struct arena text; /* labels of the series as they are without its name */
	struct buf scratch;
	struct ql_tally tally;
	uint64_t tally_bytes; /* charged for it */
};
enum scan_state {
	SCAN_OPEN,
	SCAN_READ,
	SCAN_FLUSH,
	SCAN_HOME,
	SCAN_OVER
};
struct ql_scan {
	uint32_t magic;
	enum scan_state state;
	struct ql_piece *piece;
	struct loop *loop, *home;
	unsigned shard;
	struct job job;
	struct loop_deferred defer;
	struct mbox_msg start, cancel, end, heavy;
	struct ql_scan *next_held;   /* home: of the piece's held ones */
	bool held;                   /* until home says that the query is admitted as a heavy one */
	bool heavy_away, heavy_told; /* the message is not here; it was sent once */
	bool estimated;              /* the ticket was told what is known before reading */
	uint64_t touched;            /* samples that the ticket does not know of yet */
	struct scan_credit {
		struct mbox_msg msg;
		struct ql_scan *scan;
		bool away;
	} credits[QL_PIECE_CREDITS];
	unsigned credits_home;
	bool canceled;
	/*
	 * Its end tells of so many scans of the loop that had nothing to scan, and have no batch;
	 * 0 = of itself.
	 */
	unsigned empties;
	bool chained;               /* home: it is in a chain of starts */
	struct ql_scan *next_start; /* of the same loop */
	struct source_query query;
	struct source_cursor *cursor;
	struct ql_budget budget;
	struct scan_pipe *pipes; /* of the piece's spec, by their index */
	unsigned pipe;           /* at hand; those before it are done with the item */
	struct source_item item; /* the series at hand, good until the next one is asked for */
	uint64_t times_id;       /* of its times: those of the items before with this number */
	bool again;              /* it is not done yet */
	struct arena made;       /* histograms that the pipe at hand made of the item's */
	struct ql_batch *batch;  /* being filled */
	uint64_t cursor_memory;  /* charged */
	bool waits_files;        /* what it waits for between two slices, for who traces */
	bool yields;
	uint64_t since_work;                  /* windows and steps */
	unsigned since_samples, since_series; /* since job_should_yield was asked */
	enum err err;
	struct errbuf eb;
};

/* Messages from home, and the end of the job. */
void ql_scan_start(struct mbox_msg *msg);
void ql_scan_credit(struct mbox_msg *msg);
void ql_scan_go_on(struct mbox_msg *msg);
void ql_scan_cancel(struct mbox_msg *msg);
void ql_scan_over(struct loop_deferred *d);
/* Messages to home (ql_piece.c). */
void ql_piece_on_batch(struct mbox_msg *msg);
void ql_piece_on_heavy(struct mbox_msg *msg);
void ql_piece_on_end(struct mbox_msg *msg);
void ql_piece_on_ack(struct mbox_msg *msg);

/* The batch that is filled next. */
struct ql_batch *ql_scan_batch(struct ql_scan *s);
/* Memory of the pipes; after an error, too, it is released. */
MUST_CHECK enum err ql_scan_pipes_init(struct ql_scan *s);
void ql_scan_pipes_release(struct ql_scan *s);
void ql_scan_tally(struct ql_scan *s); /* what was counted for each step goes into the batch */
/* True: the slice is over. work in samples or steps since it was asked last. */
bool ql_scan_yield(void *arg, uint64_t work);
/*
 * A series that the source gave goes into the batch. While s->again is set, its parts go on with
 * ql_scan_value in the next slice.
 */
MUST_CHECK enum err ql_scan_series(struct ql_scan *s, const struct source_item *item);
MUST_CHECK enum err ql_scan_value(struct ql_scan *s, const struct source_item *item);

#endif
