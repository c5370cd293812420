/*
 * walog_priv - what the files of the log share, and the knobs by which tests break its rules.
 *
 * A test sets a bit of walog_broken before it starts a log, sees its checks fail, and clears it: so
 * each rule has a test that would notice its loss. Nothing else ever sets one.
 */
#ifndef STORAGE_WAL_WALOG_PRIV_H
#define STORAGE_WAL_WALOG_PRIV_H

#include <stdint.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/list.h"
#include "storage/wal/walog.h"
#include "storage/wal/walprep.h"
#include "storage/wal/walrec.h"
#include "storage/wal/walseg.h"

#define WALOG_FAILURES 3u /* failed syncs in one minute: read-only */

enum walog_rule {
	WALOG_BREAK_HEADER_LAST = 1u
	    << 0, /* the head of a new segment is written and synced before its frames */
	WALOG_BREAK_ACK_AFTER_SYNC = 1u << 1, /* reports leave before the sync */
	WALOG_BREAK_VOID = 1u << 2,           /* frames past a later prev_end are taken for real */
	WALOG_BREAK_RECOMMIT =
	    1u << 3, /* what replay does not know to be synced is not committed again */
	WALOG_BREAK_KEEP_FAILED = 1u
	    << 4, /* frames of a failed sync are told durable without being written again */
	WALOG_BREAK_NEW_SALT = 1u << 5,   /* a segment used again keeps one and the same salt */
	WALOG_BREAK_FREE_ORDER = 1u << 6, /* a segment is freed although an older one is not */
	WALOG_BREAK_BLOCKS = 1u << 7, /* a commit begins in the block where the last one ended */
	WALOG_BREAK_HOLD = 1u << 8,   /* segments are freed although they are held */
	WALOG_BREAK_LINKS = 1u << 9,  /* a segment with another name is blanked and used again */
};
extern unsigned walog_broken;
/* The first pause before a failed read is tried again at the start; each next one is four times as
 * long. Tests make it short. */
extern unsigned walog_pause_ms;
/* While there is no space: the pause before the next try; the longest one after other failures to
 * prepare a segment. */
extern unsigned walog_retry_ms;
static inline bool walog_holds(enum walog_rule rule)
{
	return LIKELY(!(walog_broken & (unsigned)rule));
}

/* Highest number per shard; the table grows as shards come. */
static inline void walog_tops_raise(uint64_t **tops, uint32_t *count, uint32_t shard, uint64_t number)
{
	if (shard >= *count) {
		*tops = mem_array(*tops, shard + 1, sizeof(**tops));
		memset(*tops + *count, 0, (shard + 1 - *count) * sizeof(**tops));
		*count = shard + 1;
	}
	if (number > (*tops)[shard])
		(*tops)[shard] = number;
}

/* ---- Frames in a row, in the order of their sequences ---- */

struct frame_list {
	struct walog_frame *first, *last;
	size_t count;
	uint64_t bytes; /* space in a segment */
};

static inline void frame_list_push(struct frame_list *l, struct walog_frame *f)
{
	f->_next = NULL;
	if (l->last)
		l->last->_next = f;
	else
		l->first = f;
	l->last = f;
	l->count++;
	l->bytes += walseg_frame_space(f->_len);
}

static inline struct walog_frame *frame_list_take(struct frame_list *l)
{
	struct walog_frame *f = l->first;
	if (!f)
		return NULL;
	l->first = f->_next;
	if (!l->first)
		l->last = NULL;
	l->count--;
	l->bytes -= walseg_frame_space(f->_len);
	f->_next = NULL;
	return f;
}

/* ---- The log: its part on the loops is walend.c, the writer's is walog.c ---- */

struct walog_seg {
	struct list_link link;
	struct fsio_file *file; /* NULL: found at the start */
	uint32_t slot;
	uint64_t order, size, offset, bytes;
	uint64_t *tops;
	uint32_t tops_count, salt_crc;
	enum walprep_end how; /* what becomes of the file once it is free */
};
/* What a loop keeps here; touched only on it. */
struct walog_end {
	uint64_t handed, durable, out_bytes /* handed over and not home */;
	enum err state;
	/* handed over, to go to the writer with what else this turn brings: oldest first */
	struct walog_frame *out, *out_last;
	uint64_t sent;          /* position of the newest frame that went to the writer */
	uint64_t out_now_bytes; /* of those */
	struct loop_deferred out_work;
	struct walog *w;
	struct walog_frame *pool;
	uint64_t pool_bytes;
	char _apart[CACHE_LINE]; /* from what the next loop writes */
};
/* What the writer knows of a loop. */
struct walog_peer {
	uint64_t taken, durable, failed;
	enum err err;             /* why, as long as failed has not been told */
	struct walog_frame *home; /* newest first */
	bool news;
};
struct walog_report_msg {
	struct mbox_msg msg;
	struct walog *w;
	unsigned loop;
	struct walog_report report;
	struct walog_frame *home;
};
struct walog_complete_msg {
	struct mbox_msg msg;
	struct walog *w;
	uint32_t shard;
	uint64_t complete_to;
};

struct walog {
	struct fsio_dir *dir;
	struct team *team;
	enum walog_sync sync;
	uint64_t interval_ns, segment_bytes, share_bytes;
	void (*on_report)(void *arg, unsigned loop, const struct walog_report *r);
	void *arg;
	unsigned loops;
	struct walog_end *ends;
	struct mbox *mbox;
	struct thread *thread;
	struct walprep *prep;
	struct mbox_msg stop_msg;
	/* the writer's */
	struct walog_peer *peers;
	struct frame_list queue, batch;
	struct frame_list promised; /* to go home once their copies in batch are written */
	/* first of batch that does not stand in the current segment; NULL = none */
	struct walog_frame *unwritten;
	uint64_t unwritten_bytes;
	uint64_t next_seq, synced, next_order, held_bytes;
	struct list_link segs; /* oldest first; cur is among them */
	unsigned segs_count;
	struct walog_seg *cur; /* NULL: none open */
	struct walprep_spare spare;
	/* what is to be written next, and where: whole blocks, aligned (seg_write) */
	uint8_t *stage;
	size_t stage_len;
	uint64_t stage_at;
	struct walprep_ready ready;
	size_t queue_promised; /* mode off: frames at the front of queue that are copies already */
	bool asked, stopping;
	uint64_t need_bytes;    /* a batch waits for a spare of this size; 0 = none waits */
	uint64_t spare_next_ns; /* not asked again before */
	uint64_t prepare_ns;    /* the pause after the next failure to make one */
	uint64_t probe_ns;      /* read-only: tried again then */
	uint64_t probe_every_ns;
	uint64_t sync_due_ns, write_due_ns; /* 0 = nothing to do */
	uint64_t failed_ns[WALOG_FAILURES];
	enum err state;
	bool state_news;
	uint64_t complete[WALREC_SHARDS_MAX];
	unsigned holds;        /* nothing is freed while there are any */
	struct list_link cuts; /* walog_cut that waits */
	size_t cut_left;       /* frames at the front of queue that it waits for */
};

/* walend.c, on the loop that the message is for. */
void walog_report_arrived(struct mbox_msg *msg);
void walog_end_init(struct walog *w, struct walog_end *e);
/* On a loop: what it has handed over goes to the writer. */
void walog_end_flush(void *walog);
void walog_frame_free(struct walog_frame *f);
void walog_frame_pad(struct walog_frame *f);
/*
 * walhold.c, on the writer's thread: a cut needs that frames of the queue are written though they
 * might rest, that what is written is synced; and gets what it waits for.
 */
bool walhold_wants_write(const struct walog *w);
bool walhold_wants_sync(const struct walog *w);
void walhold_poke(struct walog *w);
/* walog.c, on the writer's thread. */
void walog_frame_arrived(struct mbox_msg *msg);
void walog_complete_arrived(struct mbox_msg *msg);

#endif
