/*
 * replay - reads the log after a start ("Recovery" of storage/README.md).
 *
 * Segments with a valid header, in order; a frame past the prev_end of a later segment is void (5).
 * A bad frame at or below the highest sequence told to be synced (by any frame or header) is
 * damage: skipped, counted, logged; a bad frame after that ends the log. Frames come once, in order
 * of sequence.
 * What is not known to be synced is kept in the result; walog_create commits it again, before
 * anything may be acknowledged.
 *
 * What becomes of a file by the name of a segment:
 *   both copies of its head are zero     a spare: nobody needs it
 *   a good head                          a segment
 *   a whole head of a later format       the start is refused, ERR_UNSUPPORTED
 *   a head that is not whole, or that    set aside as "damaged-...", counted as damage, never
 *   of another slot                      blanked
 *   the disk cannot read all of it       tried again (the head for about a second); then set aside
 *   (ERR_IO)                             as "unread-..." before a frame of it is taken:
 *                                        storage/recover/restore.h takes in what can be read, and
 *                                        the rest
 *                                        at a later start
 *   no descriptor, no memory, no right   the start is refused: this says nothing of the file
 *
 * Replay itself changes nothing on disk (walog_create does what it says): running it again gives
 * the same (11).
 * Thread:  any one that may block (main). Memory: one reading window (WALSEG_WINDOW_BYTES, or the
 *          largest frame) plus the frames not known synced, which a writer bounds by one
 *          group (sync mode commit) or one segment (interval, off).
 * Errors:  of reading a directory; ERR_NOFILES, ERR_NOMEM, ERR_ACCESS, ERR_UNSUPPORTED as above,
 *          ERR_STOPPING when ops->stop
 *          says so; damage is not an error. An error of ops->frame ends the replay and is returned.
 */
#ifndef STORAGE_WAL_REPLAY_H
#define STORAGE_WAL_REPLAY_H

#include "core/base/err.h"
#include "core/base/fsio.h"
#include "storage/wal/walseg.h"

struct replay_ops {
	/*
	 * A frame of the log: its payload as walrec, borrowed for the call. Groups at numbers <=
	 * complete_to or already seen are the receiver's to skip.
	 */
	enum err (*frame)(void *arg, uint64_t seq, const uint8_t *payload, size_t len);
	/*
	 * A frame that does not exist any more (void, or behind the end of the log): only its ids
	 * and numbers count, they are not given again. May be NULL.
	 */
	void (*void_frame)(void *arg, uint64_t seq, const uint8_t *payload, size_t len);
	/*
	 * Of a file that the disk cannot read: it will be set aside as "unread-...". Told before a
	 * frame that stands behind it is given. May be NULL.
	 */
	void (*aside)(void *arg, uint32_t slot);
	/* Asked often: shall the replay end with ERR_STOPPING? May be NULL. */
	bool (*stop)(void *arg);
};
struct replay_segment { /* a segment that holds frames */
	uint32_t slot;  /* names its file */
	uint64_t order;
	uint64_t bytes; /* of frames */
	uint64_t *tops; /* [tops_count] highest number per shard, 0 = none */
	uint32_t tops_count;
	bool keep; /* not to be blanked once it is free: set aside as "waiting-..." */
};
struct replay_aside { /* a file to be set aside before anything is written */
	uint32_t slot;
	enum walseg_aside why;
};
struct replay_frame { /* to be committed again */
	uint64_t seq;
	uint8_t *payload;
	uint32_t len;
};
struct replay_result {
	uint64_t next_seq;     /* above everything found */
	uint64_t known_synced; /* highest sequence known to be synced */
	uint64_t next_order;
	uint32_t next_slot;
	struct replay_segment *segments; /* in order */
	size_t segments_count;
	uint32_t *spares; /* slots of files without a valid header: for reuse */
	size_t spares_count;
	struct replay_aside *asides;
	size_t asides_count;
	/* "unread-..." and "waiting-..." files: of earlier starts, and asides that become one */
	size_t unread_count;
	struct replay_frame *pending; /* not known synced, in order */
	size_t pending_count;
	/* figures */
	uint64_t frames, bytes, void_frames;
	uint64_t damaged_frames; /* frames that were synced and cannot be read */
	uint64_t damaged_places;
	bool torn_tail; /* the log ended at a frame that was begun */
};
/* dir is the log directory. out is filled on success; release it with replay_result_release. */
MUST_CHECK enum err replay_run(struct fsio_dir *dir, const struct replay_ops *ops, void *arg,
    struct replay_result *out, struct errbuf *eb);
void replay_result_release(struct replay_result *r);

#endif
