#include "storage/wal/walseg.h"

#include <stdlib.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/wire.h"
#include "tests/lib/fault.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

static void names(void)
{
	char name[WALSEG_NAME_MAX];
	uint32_t slot;
	walseg_name(0xbeef, name);
	tap_is_str(name, "0000beef.seg", "a slot names its file");
	tap_ok(walseg_name_parse("0000beef.seg", &slot) && slot == 0xbeef, "and back");
	static const char *const others[] = { "", "0", "0000beef", "0000BEEF.seg", "0000beef.segx",
		"0000beef.seg.tmp", "x000beef.seg", "00000beef.seg", "000beef.seg" };
	size_t taken = 0;
	for (size_t i = 0; i < COUNT_OF(others); i++)
		taken += walseg_name_parse(others[i], &slot);
	tap_is_u64(taken, 0, "other names are left alone");
}

static bool same_head(const struct walseg_head *a, const struct walseg_head *b)
{
	return a->slot == b->slot && a->order == b->order && a->salt == b->salt &&
	    a->first_seq == b->first_seq && a->prev_end == b->prev_end && a->size == b->size;
}

static void heads(void)
{
	struct walseg_head h = { .slot = 1, .order = 2, .salt = 3, .first_seq = 5, .prev_end = 4 },
	                   out;
	uint8_t bytes[WALSEG_HEAD_BYTES];
	walseg_head_put(&h, bytes);
	tap_ok(walseg_head_get(bytes, &out) && same_head(&h, &out), "a head comes back");
	size_t taken = 0;
	for (unsigned i = 0; i < WALSEG_HEAD_BYTES * 8; i++) {
		bytes[i / 8] ^= (uint8_t)(1u << i % 8);
		taken += walseg_head_get(bytes, &out);
		bytes[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	tap_is_u64(taken, 0, "with any flipped bit it does not");
	h.prev_end = 5;
	walseg_head_put(&h, bytes);
	tap_ok(!walseg_head_get(bytes, &out), "prev_end lies before the first frame");
	memset(bytes, 0, sizeof(bytes));
	tap_ok(!walseg_head_get(bytes, &out), "zeroes are no head");
}

/* ---- A segment in memory ---- */

#define SIZE (256u << 10)
static uint8_t image[SIZE];
static uint64_t at_end, offsets[200];

static enum err memory_read(void *arg, void *data, size_t len, uint64_t off)
{
	(void)arg;
	if (off > SIZE || SIZE - off < len)
		return ERR_TRUNCATED;
	memcpy(data, image + off, len);
	return ERR_OK;
}

static void image_make(unsigned frames, size_t len)
{
	struct walseg_head h = { .slot = 7, .order = 1, .salt = 99, .first_seq = 1 };
	memset(image, 0, sizeof(image));
	walseg_head_put(&h, image);
	walseg_head_put(&h, image + WALSEG_HEAD_COPY);
	at_end = WALSEG_DATA;
	for (unsigned i = 0; i < frames; i++) {
		uint8_t *p = image + at_end;
		size_t n = len ? len : i * 3;
		memset(p + WALSEG_FRAME_BYTES, (int)i, n);
		walseg_frame_put(
		    p, walseg_salt_crc(99), i + 1, i, p + WALSEG_FRAME_BYTES, (uint32_t)n);
		offsets[i] = at_end;
		at_end += walseg_frame_space((uint32_t)n);
	}
}

static unsigned image_count(unsigned *resyncs)
{
	struct walseg_reader r;
	struct walseg_frame f;
	unsigned n = 0;
	*resyncs = 0;
	if (walseg_reader_init(&r, 7, SIZE, memory_read, NULL) == 0) {
		for (enum walseg_got got = walseg_next(&r, &f); got != WALSEG_END;
		     got = walseg_next(&r, &f)) {
			if (got == WALSEG_BAD) {
				if (walseg_resync(&r, &f) == WALSEG_END)
					break;
				++*resyncs;
			}
			n++;
		}
	}
	walseg_reader_release(&r);
	return n;
}

static void frames(void)
{
	struct walseg_reader r;
	struct walseg_frame f;
	unsigned resyncs;
	image_make(100, 0);
	TAP_OK(walseg_reader_init(&r, 7, SIZE, memory_read, NULL) == 0);
	unsigned right = 0;
	for (unsigned i = 0; i < 100; i++) {
		right += walseg_next(&r, &f) == WALSEG_FRAME && f.seq == i + 1 && f.synced == i &&
		    f.len == i * 3 && f.offset == offsets[i] &&
		    (f.len == 0 || f.payload[f.len - 1] == i);
	}
	tap_is_u64(right, 100, "frames of all lengths come back, the empty mark too");
	TAP_OK(walseg_next(&r, &f) == WALSEG_BAD);
	tap_ok(!walseg_begun(&r), "behind them begins nothing");
	TAP_OK(walseg_resync(&r, &f) == WALSEG_END);
	walseg_reader_release(&r);
	tap_is_i64(walseg_reader_init(&r, 8, SIZE, memory_read, NULL), ERR_DAMAGED,
	    "a file in the wrong place is not this segment");
	walseg_reader_release(&r);

	uint64_t at = offsets[50];
	image[at + WALSEG_FRAME_BYTES + 5] ^= 1;
	tap_ok(image_count(&resyncs) == 99 && resyncs == 1, "a bad payload costs its frame");
	image[at + WALSEG_FRAME_BYTES + 5] ^= 1;
	image[at + 4] ^= 1;
	tap_ok(image_count(&resyncs) == 99 && resyncs == 1,
	    "a bad length too: the next frame is searched for");
	image[at + 4] ^= 1;
	image[at] ^= 1;
	tap_ok(image_count(&resyncs) == 99 && resyncs == 1, "and a bad magic");
	image[at] ^= 1;
	memset(image + offsets[20], 0, (size_t)(offsets[40] - offsets[20]));
	tap_ok(image_count(&resyncs) == 80 && resyncs == 1,
	    "twenty frames of zeroes are passed over in one go");

	image_make(100, 0);
	struct walseg_head h = {
		.slot = 7, .order = 2, .salt = 100, .first_seq = 101, .prev_end = 100
	};
	walseg_head_put(&h, image);
	walseg_head_put(&h, image + WALSEG_HEAD_COPY);
	tap_is_u64(
	    image_count(&resyncs), 0, "with a new salt the frames of the use before do not exist");
}

/*
 * A length that lies past the end of the file, and one over the limit, both with right checksums.
 */
static void edges(void)
{
	unsigned resyncs;
	image_make(3, 100);
	walseg_frame_put(image + SIZE - WALSEG_FRAME_BYTES, walseg_salt_crc(99), 9, 8, NULL, 0);
	tap_is_u64(image_count(&resyncs), 4, "a mark in the last bytes of the file is found");
	uint8_t *p = image + offsets[2], head[24];
	p[4] = 0xff;
	p[5] = 0xff;
	p[6] = 0x7f;
	memcpy(head, p, 24);
	uint32_t crc = crc32c(walseg_salt_crc(99), head, 24);
	memcpy(p + 24, &crc, 4);
	tap_is_u64(image_count(&resyncs), 3, "a frame that does not fit the file is none");
}

/* Behind the last frame of a commit there is a gap up to the next block, whatever stands in it. */
static void commits(void)
{
	struct walseg_reader r;
	struct walseg_frame f;
	struct walseg_head h = { .slot = 7, .order = 1, .salt = 99, .first_seq = 1 };
	memset(image, 0, sizeof(image));
	walseg_head_put(&h, image);
	uint64_t at = WALSEG_DATA;
	for (unsigned i = 0; i < 60; i++) {
		uint8_t *p = image + at;
		uint32_t n = i * 41;
		memset(p + WALSEG_FRAME_BYTES, (int)i, n);
		(i % 3 == 2 ? walseg_frame_put_last : walseg_frame_put)(
		    p, walseg_salt_crc(99), i + 1, i, p + WALSEG_FRAME_BYTES, n);
		offsets[i] = at;
		at += walseg_frame_space(n);
		uint64_t next = i % 3 == 2 ? walseg_block_end(at) : at;
		memset(image + at, 0xc9, (size_t)(next - at));
		at = next;
	}
	TAP_OK(walseg_reader_init(&r, 7, SIZE, memory_read, NULL) == 0);
	unsigned right = 0;
	for (unsigned i = 0; i < 60; i++)
		right += walseg_next(&r, &f) == WALSEG_FRAME && f.seq == i + 1 && f.len == i * 41 &&
		    f.offset == offsets[i];
	tap_is_u64(right, 60, "frames of commits that end with their block come back");
	walseg_reader_release(&r);
	unsigned resyncs;
	image[offsets[32] + WALSEG_FRAME_BYTES] ^= 1;
	tap_ok(image_count(&resyncs) == 59 && resyncs == 1, "a bad one before a gap costs itself");
	image[offsets[32] + 7] ^= 0x80;
	tap_ok(image_count(&resyncs) == 59 && resyncs == 1,
	    "without its sign of a gap it is bad, and the next one is found");
}

/* What the release before wrote: heads of version 1, no gaps. */
static void version_1(void)
{
	unsigned resyncs;
	image_make(100, 0);
	for (uint64_t at = 0; at <= WALSEG_HEAD_COPY; at += WALSEG_HEAD_COPY) {
		wire_store32(image + at + 8, 1);
		wire_store32(image + at + 60, crc32c(0, image + at, 60));
	}
	tap_ok(image_count(&resyncs) == 100 && resyncs == 0, "a segment of version 1 is read");
}

/* A disk that takes direct writes of 64 KiB only. */
static bool coarse_on;

static enum err coarse_direct(struct fsio_file *f, bool on)
{
	(void)f;
	coarse_on = on;
	return ERR_OK;
}

static enum err coarse_write(struct fsio_file *f, const struct iovec *v, size_t count, uint64_t off)
{
	for (size_t i = 0; coarse_on && i < count; i++)
		if ((v[i].iov_len | off) % 65536)
			return ERR_IO;
	return fsio_real.write_at(f, v, count, off);
}

static void coarse(struct fsio_dir *d)
{
	struct fsio_file *f;
	struct walseg_head h = { .slot = 5, .order = 1, .salt = 5, .first_seq = 1 };
	struct fsio_ops ops = fsio_real;
	ops.direct = coarse_direct;
	ops.write_at = coarse_write;
	fsio_hook(&ops);
	TAP_OK(walseg_make(d, 5, WALSEG_MIN_BYTES, true, &f) == 0);
	tap_ok(!coarse_on && walseg_head_write(f, &h) == 0,
	    "one made where direct writes are of larger blocks takes its head all the same");
	fsio_close(f);
	fsio_hook(NULL);
}

static void direct(const char *root)
{
	struct fsio_dir *d;
	struct fsio_file *f, *in;
	struct walseg_reader r;
	struct walseg_head h = { .slot = 3, .order = 1, .salt = 5, .first_seq = 1 };
	TAP_OK(fsio_dir_open(root, true, &d) == 0);
	TAP_OK(walseg_make(d, 3, WALSEG_MIN_BYTES, true, &f) == 0);
	TAP_OK(walseg_head_write(f, &h) == 0);
	TAP_OK(fsio_open(d, "00000003.seg", FSIO_READ, &in) == 0);
	tap_is_i64(walseg_reader_open(&r, 3, in), 0,
	    "one made past the page cache takes its head, whether this disk has that or not");
	walseg_reader_release(&r);
	TAP_OK(walseg_blank(f) == 0);
	fsio_close(f);
	fsio_close(in);
	/* A disk that says only at the first write that it has no direct ones. */
	fault_start(NULL);
	fault_set(FAULT_WRITE, NULL, 1, 1, ERR_IO);
	TAP_OK(walseg_make(d, 4, WALSEG_MIN_BYTES, true, &f) == 0);
	tap_is_u64(fault_hits(FAULT_WRITE), 1, "a first write that fails is done as of any file");
	fault_stop();
	fsio_close(f);
	coarse(d);
	fsio_dir_close(d);
}

static void files(const char *root)
{
	struct fsio_dir *d;
	struct fsio_file *f;
	TAP_OK(fsio_dir_open(root, true, &d) == 0);
	TAP_OK(walseg_make(d, 1, WALSEG_MIN_BYTES, false, &f) == 0);
	uint64_t size;
	TAP_OK(fsio_size(f, &size) == 0 && size == WALSEG_MIN_BYTES);
	struct walseg_reader r;
	tap_is_i64(walseg_reader_open(&r, 1, f), ERR_NOTFOUND, "a new file is not a segment yet");
	walseg_reader_release(&r);
	struct walseg_head h = { .slot = 1, .order = 1, .salt = 5, .first_seq = 1 };
	TAP_OK(walseg_head_write(f, &h) == 0);
	tap_is_i64(walseg_reader_open(&r, 1, f), 0, "with its head it is");
	walseg_reader_release(&r);
	TAP_OK(walseg_blank(f) == 0);
	tap_is_i64(walseg_reader_open(&r, 1, f), ERR_NOTFOUND, "blank it is none again");
	walseg_reader_release(&r);
	fsio_close(f);
	tap_is_i64(walseg_make(d, 1, WALSEG_MIN_BYTES, false, &f), ERR_EXISTS, "a slot is made once");

	/* Any call may fail: an error, and no file left behind. */
	fault_start(NULL);
	unsigned n = 0;
	size_t left = 0;
	for (;; n++) {
		fault_set(FAULT_ANY, NULL, n + 1, 1, ERR_NOSPACE);
		enum err e = walseg_make(d, 2, WALSEG_MIN_BYTES, false, &f);
		if (!e)
			break;
		fault_set(FAULT_ANY, NULL, 1, 0, ERR_OK);
		left +=
		    e != ERR_NOSPACE || fsio_open(d, "00000002.seg", FSIO_READ, &f) != ERR_NOTFOUND;
	}
	fault_stop();
	fsio_close(f);
	tap_ok(n >= 5 && left == 0,
	    "each of the %u calls of making one may fail, and leaves nothing", n);
	fsio_dir_close(d);
}

int main(void)
{
	log_setup(LOG_LEVEL_NONE, false);
	char *root = testlib_tmpdir("walseg");
	names();
	heads();
	frames();
	edges();
	commits();
	version_1();
	files(root);
	direct(root);
	testlib_rmtree(root);
	free(root);
	return tap_done();
}
