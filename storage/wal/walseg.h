/*
 * walseg - one segment of the log: a file of fixed size, written front to back, used again with a
 * new salt.
 *
 *   offset  size  meaning
 *   0       64    head          } all zero until the frames that opened the segment are synced
 *   4096    64    head again    } (head last); one good copy is enough
 *   8192    ...   frames, each at a multiple of 8, one behind the other; then zeroes or what an
 *                 earlier use left
 * Head (little endian):
 *   0       8     magic "KYMOLOG1"
 *   8       4     version (2); 1 is read too: its frames have no gaps behind them
 *   12      4     slot: the number in the file's name, so that a file in the wrong place is not
 *                 taken for a segment
 *   16      8     order: 1, 2, 3, ... over all segments ever written
 *   24      8     salt, random, new at each use
 *   32      8     first_seq: sequence of the first frame
 *   40      8     prev_end: the last sequence known synced before this segment; frames of older
 *                 segments past it are void (storage/README.md (5))
 *   48      8     size of the file, 0 = not told: a shorter one was cut, which no crash does
 *   56      4     zero
 *   60      4     crc32c of the 60 bytes before
 * A later format keeps magic, version and checksum where they are, so that an older program sees
 * that it must not go on.
 * Frame (32 bytes and its payload):
 *   0       4     magic
 *   4       4     length of the payload, 0..WALSEG_PAYLOAD_MAX; 0 = a mark that carries only
 *                 sequence and synced. Top bit (WALSEG_LAST): zeroes follow up to the next multiple
 *                 of 4,096, and there the next frame begins
 *   8       8     sequence
 *   16      8     synced: the highest sequence that was durable when this frame was written
 *   24      4     crc32c of the salt and the 24 bytes before
 *   28      4     crc32c of the payload, going on from the one before
 *   32      n     payload, then zeroes to the next multiple of 8
 * (1) Nobody outside knows the salt, so bytes of a client are never taken for a frame.
 * (2) A damaged payload costs its frame only: the length is vouched for by the first checksum. A
 *     damaged frame head costs the frame, found by searching on.
 *
 * A commit ends with WALSEG_LAST, so it is whole blocks, and no block that holds what was synced is
 * ever written again: a block that a power cut tears, or loses, costs nothing acknowledged. It is
 * also what lets it be written past the page cache (fsio_direct).
 *
 * Why zeroed and used again: fdatasync of 50 KB into written blocks took 0.12 ms (p50; p99 0.25),
 * into fallocated ones 0.26 (3.2), appending 0.28 (2.9): no extent or size has to be journaled.
 *
 * Thread:  one at a time. Memory: windows and payloads are the reader's, valid until its next call.
 * Errors:  of the disk when writing; damaged and unreadable places are results (WALSEG_BAD), not
 *          errors.
 *          Not being able to read (no memory, no descriptor, no right) says nothing about the
 *          file: the reader keeps it in err and gives WALSEG_END.
 */
#ifndef STORAGE_WAL_WALSEG_H
#define STORAGE_WAL_WALSEG_H

#include "core/base/err.h"
#include "core/base/fsio.h"

#define WALSEG_VERSION     2u
#define WALSEG_HEAD_BYTES  64u
#define WALSEG_HEAD_COPY   4096u
#define WALSEG_DATA        8192u /* where frames begin */
#define WALSEG_FRAME_BYTES 32u
#define WALSEG_ALIGN       8u
#define WALSEG_BLOCK       4096u /* as FSIO_BLOCK */
/* twice what a frame is split at: one record may pass the split */
#define WALSEG_PAYLOAD_MAX  (8u << 20)
#define WALSEG_WINDOW_BYTES (4u << 20) /* one read */
#define WALSEG_NAME_MAX     16u
#define WALSEG_MIN_BYTES    (64u << 10) /* least size of a segment, for tests */

/* "00000000.seg" */
void walseg_name(uint32_t slot, char out[WALSEG_NAME_MAX]);
bool walseg_name_parse(const char *name, uint32_t *slot);

/*
 * What is no segment any more, and must not be lost: set aside under a name of its own, never
 * blanked.
 *   "damaged-00000000.seg"   its head is wrong, or it stands in the wrong place: for a human
 *   "unread-00000000.seg"    the disk could not read all of it, and the store has not gone on since
 *   "waiting-00000000.seg"   the store has gone on: once all of it can be read it is taken in again
 */
enum walseg_aside {
	WALSEG_DAMAGED,
	WALSEG_UNREAD,
	WALSEG_WAITING
};
#define WALSEG_ASIDE_NAME_MAX 32u
void walseg_aside_name(uint32_t slot, enum walseg_aside why, char out[WALSEG_ASIDE_NAME_MAX]);
bool walseg_aside_parse(const char *name, uint32_t *slot, enum walseg_aside *why);

struct walseg_head {
	uint32_t slot;
	uint64_t order, salt, first_seq, prev_end, size;
};
void walseg_head_put(const struct walseg_head *h, uint8_t out[WALSEG_HEAD_BYTES]);
bool walseg_head_get(const uint8_t in[WALSEG_HEAD_BYTES], struct walseg_head *out);

/* ---- Writing ---- */
/*
 * A file for a new slot: allocated, written with zeroes, synced, its name synced. ERR_NOSPACE
 * leaves nothing behind. direct: past the page cache, from now on, where the file system can.
 */
MUST_CHECK enum err walseg_make(
    struct fsio_dir *dir, uint32_t slot, uint64_t bytes, bool direct, struct fsio_file **out);
/*
 * Writes zeroes over the head and syncs: the segment does not exist any more, the file may be used
 * again.
 */
MUST_CHECK enum err walseg_blank(struct fsio_file *f);
/* Both copies of the head, not synced. */
MUST_CHECK enum err walseg_head_write(struct fsio_file *f, const struct walseg_head *h);
uint32_t walseg_salt_crc(uint64_t salt);
void walseg_frame_put(uint8_t out[WALSEG_FRAME_BYTES], uint32_t salt_crc, uint64_t seq,
    uint64_t synced, const void *payload, uint32_t len);
/* The same with WALSEG_LAST. */
void walseg_frame_put_last(uint8_t out[WALSEG_FRAME_BYTES], uint32_t salt_crc, uint64_t seq,
    uint64_t synced, const void *payload, uint32_t len);
static inline uint64_t walseg_frame_space(uint32_t len) /* bytes a frame takes in the file */
{
	return WALSEG_FRAME_BYTES +
	    (((uint64_t)len + WALSEG_ALIGN - 1) & ~(uint64_t)(WALSEG_ALIGN - 1));
}

/* Where a commit that ends at offset leaves off. */
static inline uint64_t walseg_block_end(uint64_t offset)
{
	return (offset + WALSEG_BLOCK - 1) & ~(uint64_t)(WALSEG_BLOCK - 1);
}

/* ---- Reading ---- */
enum walseg_got {
	WALSEG_FRAME,
	WALSEG_BAD,
	WALSEG_END
};
struct walseg_frame {
	uint64_t offset; /* of the frame in the file */
	uint64_t seq, synced;
	const uint8_t *payload;
	uint32_t len;
};
struct walseg_reader {
	struct walseg_head head;
	uint64_t offset; /* where the next frame is looked for */
	uint64_t size;
	uint64_t unreadable_bytes; /* the disk could not read; taken for zeroes */
	enum err err;              /* why nothing more is read, see "Errors" */
	/* private */
	enum err (*_read)(void *arg, void *data, size_t len, uint64_t off);
	void *_arg;
	uint32_t _salt_crc;
	uint8_t *_window;
	size_t _window_cap, _window_len;
	uint64_t _window_at;
	uint64_t _bad_next; /* behind a bad frame whose length is vouched for; 0 = unknown */
};
/*
 * read gives exactly len bytes inside size.
 * ERR_NOTFOUND: both copies of the head are zero, there is no segment in it (and nobody needs it).
 * ERR_UNSUPPORTED: a whole head of a later version. ERR_DAMAGED: a head was there, and is not
 * whole, or is that of another slot. Else what read said of a copy, when the other one is not good.
 */
MUST_CHECK enum err walseg_reader_init(struct walseg_reader *r, uint32_t slot, uint64_t size,
    enum err (*read)(void *arg, void *data, size_t len, uint64_t off), void *arg);
MUST_CHECK enum err walseg_reader_open(
    struct walseg_reader *r, uint32_t slot, struct fsio_file *f); /* f is borrowed until release */
void walseg_reader_release(struct walseg_reader *r);
/* Reads all of it once, before anything is taken from it: can the disk give it? See
 * unreadable_bytes, err. */
bool walseg_readable(struct walseg_reader *r);
/*
 * The frame at r->offset. WALSEG_BAD: what stands there is none (r->offset stays). WALSEG_END: no
 * room for a frame is left.
 */
enum walseg_got walseg_next(struct walseg_reader *r, struct walseg_frame *out);
/*
 * After WALSEG_BAD: searches on for a valid frame. WALSEG_FRAME: found and read, as by walseg_next;
 * WALSEG_END: there is none.
 */
enum walseg_got walseg_resync(struct walseg_reader *r, struct walseg_frame *out);
/*
 * After WALSEG_BAD: did a frame of this segment begin there? (Its head is whole, its payload is
 * not.)
 */
bool walseg_begun(const struct walseg_reader *r);

#endif
