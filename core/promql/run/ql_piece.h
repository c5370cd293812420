/*
 * ql_piece - the part of a query that runs where the series live.
 *
 * A piece is one selector and what stands directly above it: stages, as long as that looks at one
 * series alone (range function, functions and operators with a scalar), and at its top a reducer
 * (an aggregation that adds up). Parts of the query that read the same series in the same time are
 * several such pipes of one piece: each series is read once and goes through all of them.
 * One scan per shard of the source runs as a job on the shard's loop, pulls series, and sends home
 * batches: columns in an arena that the receiver keeps (nothing is copied), or its partial groups
 * at the end.
 *
 *   home loop                               shard's loop
 *   ql_piece_start  --- start ------------> open the source, run
 *   <---- batch (slot k) ------------------ columns of at most QL_BATCH_BYTES; QL_PIECE_CREDITS of
 *                                           them may be on the way
 *   take it     --- credit k -------------> one more may be sent
 *   <---- batch, last --------------------- partial groups, notes, counts, error
 *   <---- heavy --------------------------- touched more than a small query may: it waits
 *   ql_piece_go_on  --- go on ------------> and goes on
 *   ql_piece_cancel --- cancel -----------> ends at its next yield; the message comes back
 *   <---- end ----------------------------- all credits are back; the scan is over there
 * A scan whose shard has nothing for it sends its end at once, and no batch. A last batch that
 * leaves while all credits are back is the end, too.
 * Who does not take holds the shards back: a piece whose turn has not come has at most its credits
 * at home.
 * No scan waits for another one's credits, and a piece that is dropped (ql_piece_drain) sends all
 * back, so that every scan ends.
 * A piece may be freed when ql_piece_over() says that every scan has ended and every message is
 * home.
 *
 * Thread: functions here run on the home loop. The spec is read by all shards' loops and never
 * changes after the start.
 */
#ifndef CORE_PROMQL_RUN_QL_PIECE_H
#define CORE_PROMQL_RUN_QL_PIECE_H

#include "core/promql/run/ql_elem.h"
#include "core/promql/run/ql_notes.h"
#include "core/promql/run/ql_range.h"
#include "core/promql/run/ql_reduce.h"
#include "core/promql/run/ql_tally.h"

/* x credits x shards is what may be on the way: 4 MiB with 16 shards */
#define QL_BATCH_BYTES   (128u << 10)
#define QL_PIECE_CREDITS 2

struct ql_batch_pipe { /* what a batch has of one pipe */
	struct ql_vec vec;
	struct ql_series *raw; /* QL_PIECE_RAW */
	size_t raw_count, raw_cap;
	uint64_t hist_bytes; /* of histograms in columns and raw series */
	struct ql_reducer reducer;
	bool may_collide; /* labels were dropped that may have told series apart */
	uint64_t samples_used, samples_read; /* as statistics of queries count them (ql_plan.h) */
	struct ql_tally tally;               /* the same for each step, in a shard's last batch */
};
struct ql_batch { /* made on the shard's loop, owned by the home loop after it was sent */
	struct mbox_msg msg;
	struct ql_batch *next;
	struct ql_scan *scan;
	unsigned slot;
	bool last;
	bool over; /* the scan ended with it: nothing goes back, nothing else comes */
	struct arena arena;
	struct ql_batch_pipe *pipes; /* of the piece's spec, by their index */
	unsigned pipes_count;
	struct ql_notes notes;
	uint64_t samples, series;
	uint64_t points; /* values in it, charged to the query's purse where it was made */
	enum err err;
	const char *err_text; /* in the arena */
	const char *warnings[4];
	unsigned warnings_count;
};

struct ql_scan;
struct ql_piece {
	const struct ql_piece_spec *spec;
	struct loop *home;
	/* A batch came, which is still the piece's; NULL: a scan ended, or a cancel came back. */
	void (*arrived)(struct ql_piece *p, struct ql_batch *b);
	/* A scan has touched more than a small query may: it goes on after ql_piece_go_on. */
	void (*heavy)(struct ql_piece *p);
	void *arg;
	struct ql_batch *batches; /* arrived, oldest first; the receiver takes them off */
	struct ql_batch **_batches_end;
	unsigned scans_count, lasts,
	    ends; /* shards; how many sent their last batch; how many have ended */
	unsigned _acks_open;
	struct ql_scan *_scans;
	struct ql_scan *_held; /* scans that wait for ql_piece_go_on */
	bool started, canceled, drained;
};
void ql_piece_init(struct ql_piece *p, const struct ql_piece_spec *spec); /* which outlives it */
void ql_piece_start(struct ql_piece *p, struct loop *home);               /* spec is filled */
void ql_piece_go_on(struct ql_piece *p);  /* scans that were held go on */
void ql_piece_cancel(struct ql_piece *p); /* any time, also twice */
/* every scan has sent its last batch */
static inline bool ql_piece_all_here(const struct ql_piece *p)
{
	return p->started && p->lasts == p->scans_count;
}
static inline bool ql_piece_over(const struct ql_piece *p)
{
	return !p->started || (p->ends == p->scans_count && !p->_acks_open);
}
void ql_piece_release(struct ql_piece *p);          /* only when over */
struct ql_batch *ql_piece_take(struct ql_piece *p); /* NULL: none is here. Its credit goes home */
void ql_piece_drain(struct ql_piece *p); /* what is here and what still comes is dropped */
void ql_batch_free(struct ql_batch *b);

#endif
