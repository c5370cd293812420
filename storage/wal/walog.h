/*
 * walog - the log of a data directory: one writer thread, one sync for what all loops handed over.
 *
 * A loop fills a frame (walog_frame, walrec_*) and hands it over (walog_submit). It reaches the
 * writer at the end of the loop's turn. While the writer has earlier frames of this loop, new ones
 * wait for its report, at most until the loop has nothing else to do or LOOP_IDLE_NS: they go
 * together and share a sync. The writer takes what is there, gives sequence numbers, writes all
 * frames as one, syncs, reports to each loop that had frames, and begins again: no timer between
 * syncs.
 *
 * Positions. Each loop counts the frames it handed over: walog_submit returns the position of its
 * frame, walog_handed the newest one. A request waits for the highest position among its frames;
 * one that held only duplicates waits for walog_handed() of the loops that judged them. Then:
 *   report.durable >= position                       answer 2xx (or 400 partial)
 *   report.failed >= position while still waiting    answer 503 with report.err
 *   walog_durable() >= position when asked           need not wait at all
 *   report.state / walog_state() != 0                refuse new writes with it, and fail what would
 *                                                    begin to wait
 * A failed frame is not dropped: the writer keeps it and writes it first, so a later duplicate of
 * its rows may be acknowledged once durable has passed it ("Commit" of storage/README.md).
 *
 * (1) durable never passes a frame that is not in a segment whose sync succeeded after it was
 *     written there, and whose header is durable (storage/README.md (3), (4)).
 * (2) Frames of one loop are in the log in the order of their positions.
 * (3) A segment that replaces another, and every other new one: frames, sync, header, sync; only
 *     then reports.
 * (4) Segments are freed oldest first, and the freeing of one is durable before the next one is
 *     freed: void frames never come back (storage/README.md (5)).
 * (5) A sync is never repeated on a file on which it failed, nor is that file used again: once
 *     free it is removed.
 * In sync mode interval, durable means written to the file, in mode off taken by the writer; what
 * was not synced yet is kept in memory and written again when a sync fails.
 *
 * Failures. A sync or write that fails closes the segment, its requests are failed with
 * ERR_LOGFAILED, its frames go to a new segment. Three failures in 60 s: state ERR_READONLY;
 * after each 60 s what waits (or a mark) is written once more, and the state ends when that is
 * synced. The next segment cannot be prepared: that is no failure of what is there. Waiting
 * requests are failed with the state, ERR_NOSPACE or ERR_BUSY; tried again after 50 ms .. 1 s,
 * until it works. Whatever the state, frames are kept and written first.
 *
 * Thread:  walog_create, walog_stop, walog_free: the main thread, while the team runs. Everything
 *          else: on a loop of the team.
 * Memory:  frames belong to the walog; a loop has one from walog_frame to walog_submit. The backlog
 *          is bounded by walog_room, which the caller asks before it applies rows.
 */
#ifndef STORAGE_WAL_WALOG_H
#define STORAGE_WAL_WALOG_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/base/list.h"
#include "core/rt/team.h"

struct replay_result;
struct walog;

enum walog_sync {
	WALOG_SYNC_COMMIT,
	WALOG_SYNC_INTERVAL,
	WALOG_SYNC_OFF
};

#define WALOG_SEGMENT_BYTES (64u << 20)
#define WALOG_BACKLOG_BYTES (128u << 20) /* frames in memory, all loops */
#define WALOG_SPARES_MAX    8u           /* freed segments kept for reuse; more are removed */

struct walog_report {
	uint64_t durable; /* frames of this loop that are durable, counted from 1 */
	/*
	 * waiting requests at positions in (durable, failed] are to be failed with err now; 0 =
	 * none
	 */
	uint64_t failed;
	enum err err; /* with failed: ERR_LOGFAILED, ERR_NOSPACE, ERR_BUSY, ERR_READONLY */
	/* 0 or why no new writes should be taken: ERR_NOSPACE, ERR_BUSY, ERR_READONLY */
	enum err state;
	/* bytes of frames in segments that are not free yet: when over its share, a round is due */
	uint64_t held_bytes;
	/* bytes handed over by all loops and not durable, as the writer saw it */
	uint64_t backlog_bytes;
};

struct walog_opts {
	struct fsio_dir *dir; /* the log directory; borrowed until walog_free */
	struct team *team;
	enum walog_sync sync;
	int64_t sync_interval_ms;           /* WALOG_SYNC_INTERVAL: 1,000 */
	uint64_t segment_bytes;             /* 0 = WALOG_SEGMENT_BYTES */
	uint64_t backlog_bytes;             /* 0 = WALOG_BACKLOG_BYTES */
	unsigned spares_max;                /* 0 = WALOG_SPARES_MAX */
	unsigned probe_ms;                  /* 0 = 60 s: between tries while read-only */
	const struct replay_result *replay; /* what replay_run found; borrowed for the call */
	void (*on_report)(void *arg, unsigned loop,
	    const struct walog_report *r); /* on that loop; may call walog_submit */
	void *arg;
};
/*
 * Commits again what replay found and does not know to be synced, then starts the writer
 * ("Recovery" of storage/README.md). Blocks.
 */
MUST_CHECK enum err walog_create(const struct walog_opts *o, struct walog **out, struct errbuf *eb);
/*
 * Writes and syncs everything handed over, marks the end, ends the threads. No loop may hand over
 * frames from the call on. The team still runs (reports are delivered).
 */
void walog_stop(struct walog *w);
/*
 * After walog_stop, when the loops have run what was sent to them (the team has stopped, or
 * team_run_on on each).
 */
void walog_free(struct walog *w);

struct walog_frame {
	struct buf payload; /* fill with walrec_begin .. walrec_end */
	/* private */
	struct mbox_msg _msg;
	struct walog *_log;
	struct walog_frame *_next;
	uint64_t _seq;
	uint32_t _len; /* of the payload without padding */
	uint16_t _loop;
	uint8_t _kept; /* a copy the writer keeps itself */
};
/* An empty frame from this loop's pool. */
struct walog_frame *walog_frame(struct walog *w);
/*
 * Hands it over; returns its position. The payload must be a complete walrec payload of at most
 * WALSEG_PAYLOAD_MAX bytes.
 */
uint64_t walog_submit(struct walog *w, struct walog_frame *take_f);
uint64_t walog_handed(
    const struct walog *w); /* position of the newest frame this loop handed over; 0 = none */
uint64_t walog_durable(const struct walog *w); /* as of the last report to this loop */
enum err walog_state(const struct walog *w);   /* as of the last report to this loop */
/*
 * Is there room for so many bytes of payload in this loop's share of the backlog? Ask before rows
 * are applied; false: back-pressure.
 */
bool walog_room(const struct walog *w, uint64_t bytes);
/*
 * Every row and definition of the shard at a number <= complete_to is in its files (after the
 * switch is durable).
 */
void walog_complete(struct walog *w, uint32_t shard, uint64_t complete_to);

/*
 * A copy of the log while it goes on (storage/back/snapshot.h). Each call answers by done(), on the
 * loop that called, err set; a hold is under one call at a time and the caller's.
 *   walog_hold    from the answer on no segment is freed: what the files of a shard have not got by
 *                 then stays. Holds are counted. Always 0
 *   walog_cut     what was handed over before is written and synced, and slots names the files
 *                 (walseg_name) that hold all that is not freed, oldest first. Nothing is written
 *                 to them any more, but to the last one, where the log goes on behind last_bytes
 *                 (0: it does not, either). Else the state of the log, why that cannot be had now:
 *                 nothing has changed then
 *   walog_unhold  goes on freeing; no answer, h is the caller's at once; frees slots
 * Each walog_hold has its walog_unhold, before walog_stop.
 * A segment with another name, a hard link that somebody made of it while it was held, is never
 * blanked: once free it is removed (walprep.h). The one that the log goes on in gets none.
 */
struct walog_hold {
	void (*done)(struct walog_hold *h);
	enum err err;
	uint32_t *slots; /* mem, until walog_unhold */
	size_t slots_count;
	uint64_t last_bytes;
	struct mbox_msg _msg;
	struct list_link _link;
	struct loop *_from;
	struct walog *_log;
};
void walog_hold(struct walog *w, struct walog_hold *h);
void walog_cut(struct walog *w, struct walog_hold *h);
void walog_unhold(struct walog *w, struct walog_hold *h);
/*
 * After walog_cut, before walog_unhold: the segment slots[i] into another directory of the same
 * file system, a second name or, the last one, a copy of what it had at the cut. Blocks.
 */
MUST_CHECK enum err walog_hold_link(
    const struct walog_hold *h, size_t i, struct fsio_dir *log_dir, struct fsio_dir *to);

#endif
