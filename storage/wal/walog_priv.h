/*
 * walog_priv - what the files of the log share, and the knobs by which tests break its rules.
 *
 * A test sets a bit of walog_broken before it starts a log, sees its checks fail, and clears it: so each rule has a test that would notice its loss. Nothing else ever sets one.
 */
#ifndef STORAGE_WAL_WALOG_PRIV_H
#define STORAGE_WAL_WALOG_PRIV_H

#include <stdint.h>
#include <string.h>

#include "core/base/arena.h"
#include "storage/wal/walog.h"
#include "storage/wal/walseg.h"

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

#endif
