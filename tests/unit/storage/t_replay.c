/*
 * Logs made by hand, segment by segment, so that every state a crash or a bad disk may leave can be
 * put together.
 */
#include "storage/wal/replay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/wire.h"
#include "storage/wal/walog_priv.h"
#include "storage/wal/walrec.h"
#include "storage/wal/walseg.h"
#include "tests/lib/fault.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define SEQ_MAX 4096u

/* ---- Making ---- */

struct maker {
	struct fsio_dir *d;
	struct fsio_file *f;
	struct walseg_head head;
	uint64_t offset;
	uint64_t at[SEQ_MAX]; /* offset of each frame of the segment, by its sequence */
};

static void seg_begin(
    struct maker *m, uint32_t slot, uint64_t order, uint64_t first_seq, uint64_t prev_end)
{
	CHECK(walseg_make(m->d, slot, WALSEG_MIN_BYTES * 2, false, &m->f) == 0);
	m->head = (struct walseg_head){ .slot = slot,
		.order = order,
		.salt = 1000 + order,
		.first_seq = first_seq,
		.prev_end = prev_end };
	m->offset = WALSEG_DATA;
}

/* A frame of one group: shard 0, the sequence as number, what (a mark of the maker's) as id. */
static void seg_frame(struct maker *m, uint64_t seq, uint64_t synced, uint32_t what)
{
	struct buf b;
	struct walrec_writer w;
	int64_t t = (int64_t)seq;
	double v[40] = { 0 };
	uint32_t ids[40];
	int64_t times[40];
	for (uint32_t i = 0; i < 40; i++) {
		ids[i] = what;
		times[i] = t;
	}
	buf_init(&b);
	walrec_begin(&w, &b);
	walrec_group(&w, 0, seq);
	walrec_rows(&w, 1 + seq % 40, ids, times, v);
	walrec_end(&w);
	uint8_t head[WALSEG_FRAME_BYTES];
	walseg_frame_put(head, walseg_salt_crc(m->head.salt), seq, synced, b.data, (uint32_t)b.len);
	CHECK(fsio_write_at(m->f, head, sizeof(head), m->offset) == 0);
	CHECK(fsio_write_at(m->f, b.data, b.len, m->offset + sizeof(head)) == 0);
	m->at[seq] = m->offset;
	m->offset += walseg_frame_space((uint32_t)b.len);
	buf_release(&b);
}

static void seg_frames(struct maker *m, uint64_t from, uint64_t to, uint32_t what)
{
	for (uint64_t seq = from; seq <= to; seq++)
		seg_frame(m, seq, seq - 1, what);
}

static void seg_end(struct maker *m)
{
	CHECK(walseg_head_write(m->f, &m->head) == 0);
	fsio_close(m->f);
}

static void flip(struct maker *m, uint32_t slot, uint64_t at, unsigned bit)
{
	char name[WALSEG_NAME_MAX];
	struct fsio_file *f;
	uint8_t c;
	walseg_name(slot, name);
	CHECK(fsio_open(m->d, name, FSIO_WRITE, &f) == 0);
	CHECK(fsio_read_at(f, &c, 1, at) == 0);
	c ^= (uint8_t)(1u << bit);
	CHECK(fsio_write_at(f, &c, 1, at) == 0);
	fsio_close(f);
}

/* ---- Reading ---- */

struct got {
	uint32_t what[SEQ_MAX]; /* by sequence; 0 = not delivered */
	uint32_t voids[SEQ_MAX];
	uint64_t last;
	size_t count, out_of_order;
	enum err refuse;
};

static uint32_t payload_what(const uint8_t *payload, size_t len)
{
	struct walrec_groups it;
	struct walrec_group g;
	struct walrec_reader r;
	struct walrec_record rec;
	uint32_t what = 0;
	walrec_groups_init(&it, payload, len);
	walrec_reader_init(&r);
	if (walrec_groups_next(&it, &g)) {
		walrec_reader_open(&r, &g);
		if (walrec_next(&r, &rec) && rec.count)
			what = rec.ids[0];
	}
	walrec_reader_release(&r);
	return what;
}

static enum err got_frame(void *arg, uint64_t seq, const uint8_t *payload, size_t len)
{
	struct got *g = arg;
	g->out_of_order += seq <= g->last;
	g->last = seq;
	g->count++;
	g->what[seq % SEQ_MAX] = payload_what(payload, len);
	return g->refuse;
}

static void got_void(void *arg, uint64_t seq, const uint8_t *payload, size_t len)
{
	struct got *g = arg;
	g->voids[seq % SEQ_MAX] = payload_what(payload, len);
}

static const struct replay_ops got_ops = { .frame = got_frame, .void_frame = got_void };

static struct got got;
static struct replay_result res;

static enum err read_log(struct maker *m)
{
	struct errbuf eb;
	errbuf_init(&eb);
	replay_result_release(&res);
	memset(&got, 0, sizeof(got));
	enum err e = replay_run(m->d, &got_ops, &got, &res, &eb);
	if (e)
		tap_note("%s", eb.text);
	return e;
}

static bool got_range(uint64_t from, uint64_t to, uint32_t what)
{
	for (uint64_t seq = from; seq <= to; seq++) {
		if (got.what[seq] != what)
			return false;
	}
	return true;
}

static bool aside(uint32_t slot, enum walseg_aside why)
{
	return res.asides_count == 1 && res.asides[0].slot == slot && res.asides[0].why == why;
}

static struct maker *maker_new(const char *root)
{
	static unsigned n;
	char path[4096];
	struct maker *m = mem_zalloc(sizeof(*m));
	snprintf(path, sizeof(path), "%s/log%u", root, n++);
	CHECK(fsio_dir_open(path, true, &m->d) == 0);
	return m;
}

static void maker_free(struct maker *m)
{
	testlib_rmtree(fsio_dir_path(m->d));
	fsio_dir_close(m->d);
	mem_free(m);
}

/* ---- Cases ---- */

static void empty(const char *root)
{
	struct maker *m = maker_new(root);
	TAP_OK(read_log(m) == 0);
	tap_ok(got.count == 0 && res.next_seq == 1 && res.known_synced == 0 && res.segments_count == 0,
	    "an empty directory is an empty log");
	struct fsio_file *f;
	TAP_OK(walseg_make(m->d, 7, WALSEG_MIN_BYTES, false, &f) == 0);
	fsio_close(f);
	TAP_OK(fsio_replace(m->d, "notes.txt", "hello", 5) == 0);
	TAP_OK(fsio_replace(m->d, "00000009.seg", "", 0) == 0);
	TAP_OK(read_log(m) == 0);
	tap_ok(res.spares_count == 2 && res.spares[0] == 7 && res.next_slot == 10,
	    "blank files are spares, strange names are left alone");
	TAP_OK(fsio_replace(m->d, "00000009.seg", "short", 5) == 0);
	TAP_OK(fsio_replace(m->d, "damaged-00000023.seg", "short", 5) == 0);
	TAP_OK(fsio_replace(m->d, "unread-00000011.seg", "short", 5) == 0);
	TAP_OK(read_log(m) == 0);
	tap_ok(res.spares_count == 1 && aside(9, WALSEG_DAMAGED) && res.damaged_frames == 1,
	    "what is not blank is nobody's spare, and damage");
	tap_ok(res.next_slot == 0x24 && res.unread_count == 1,
	    "names of files that lie aside are not given again");
	maker_free(m);
}

static void in_order(const char *root)
{
	struct maker *m = maker_new(root);
	seg_begin(m, 3, 1, 1, 0);
	seg_frames(m, 1, 50, 1);
	seg_end(m);
	seg_begin(m, 0, 2, 51, 50);
	seg_frames(m, 51, 80, 2);
	seg_frame(m, 81, 79, 2);
	seg_end(m);
	TAP_OK(read_log(m) == 0);
	tap_ok(
	    got.count == 81 && got.out_of_order == 0 && got_range(1, 50, 1) && got_range(51, 81, 2),
	    "segments are read by their order, not by their names");
	tap_ok(res.known_synced == 79 && res.next_seq == 82 && res.next_order == 3 &&
	        res.next_slot == 4,
	    "what comes next is above it all");
	tap_ok(res.pending_count == 2 && res.pending[0].seq == 80 && res.pending[1].seq == 81,
	    "what nobody told to be synced is kept");
	tap_is_u64(payload_what(res.pending[1].payload, res.pending[1].len), 2, "with its payload");
	tap_ok(res.segments_count == 2 && res.segments[0].tops_count == 1 &&
	        res.segments[0].tops[0] == 50 && res.segments[1].tops[0] == 81,
	    "the highest numbers of each segment");
	tap_ok(!res.damaged_frames && !res.void_frames && !res.torn_tail, "nothing is damaged");
	got.refuse = 0;
	maker_free(m);
}

static void void_frames(const char *root)
{
	struct maker *m = maker_new(root);
	seg_begin(m, 0, 1, 1, 0);
	seg_frames(m, 1, 3, 1);
	seg_frame(m, 4, 3, 66); /* of a sync that failed, or unread by an earlier start */
	seg_frame(m, 5, 3, 66);
	seg_frame(m, 6, 3, 66);
	seg_end(m);
	seg_begin(m, 1, 2, 4, 3);
	seg_frames(m, 4, 5, 2);
	seg_end(m);
	TAP_OK(read_log(m) == 0);
	tap_ok(got.count == 5 && got_range(1, 3, 1) && got_range(4, 5, 2),
	    "frames past a later prev_end do not exist");
	tap_ok(got.voids[6] == 66 && res.void_frames == 3, "but their ids and numbers are told");
	walog_broken = WALOG_BREAK_VOID;
	TAP_OK(read_log(m) == 0);
	walog_broken = 0;
	tap_ok(!got_range(4, 5, 2), "broken on purpose and found out: void frames");
	/*
	 * The sync of the second one's head failed, yet the head is there: a third one replaces
	 * both.
	 */
	seg_begin(m, 2, 3, 4, 3);
	seg_frames(m, 4, 7, 3);
	seg_end(m);
	TAP_OK(read_log(m) == 0);
	tap_ok(got.count == 7 && got_range(1, 3, 1) && got_range(4, 7, 3),
	    "the smallest prev_end of all later segments counts");
	tap_is_u64(res.damaged_frames, 0, "which is no damage");
	maker_free(m);
}

static void ends(const char *root)
{
	struct maker *m = maker_new(root);
	seg_begin(m, 0, 1, 1, 0);
	seg_frames(m, 1, 20, 1);
	for (uint64_t seq = 21; seq <= 30; seq++)
		seg_frame(m, seq, 20, 1); /* one group */
	seg_end(m);
	flip(m, 0, m->at[25] + 40, 3);
	TAP_OK(read_log(m) == 0);
	tap_ok(got.count == 24 && res.next_seq == 25 && res.known_synced == 20,
	    "a bad frame that nobody told to be synced ends the log");
	tap_ok(res.torn_tail && res.damaged_frames == 0 && res.void_frames == 5,
	    "that is no damage; what stands behind it is void");
	tap_is_u64(res.pending_count, 4, "and the frames before it have to be committed again");
	flip(m, 0, m->at[25] + 40, 3);
	flip(m, 0, m->at[30] + 24, 3);
	TAP_OK(read_log(m) == 0);
	tap_ok(got.count == 29 && res.next_seq == 30 && res.damaged_frames == 0,
	    "a torn last frame too");
	flip(m, 0, m->at[30] + 24, 3);
	flip(m, 0, m->at[10] + 40, 1);
	TAP_OK(read_log(m) == 0);
	tap_ok(got.count == 29 && !got.what[10] && got_range(11, 30, 1) &&
	        res.damaged_frames == 1 && res.damaged_places == 1,
	    "a bad frame that was synced is damage and costs that frame only");
	flip(m, 0, m->at[11] + 9, 1);
	flip(m, 0, m->at[15] + 4, 7);
	TAP_OK(read_log(m) == 0);
	tap_ok(got.count == 27 && res.damaged_frames == 3 && res.damaged_places == 2,
	    "bad heads as well");
	maker_free(m);

	m = maker_new(root);
	seg_begin(m, 0, 1, 1, 0);
	seg_frames(m, 1, 20, 1);
	seg_end(m);
	seg_begin(m, 1, 2, 31, 30);
	seg_frames(m, 31, 40, 2);
	seg_end(m);
	TAP_OK(read_log(m) == 0);
	tap_ok(got.count == 30 && res.damaged_frames == 10,
	    "what is missing before a segment was synced, by its head: counted");
	maker_free(m);

	m = maker_new(root);
	seg_begin(m, 0, 1, 1, 0);
	seg_frames(m, 1, 20, 1);
	seg_end(m);
	flip(m, 0, 30, 1);
	TAP_OK(read_log(m) == 0);
	tap_is_u64(got.count, 20, "one bad copy of the head does not matter");
	flip(m, 0, WALSEG_HEAD_COPY + 30, 1);
	TAP_OK(read_log(m) == 0);
	tap_ok(got.count == 0 && res.spares_count == 0 && aside(0, WALSEG_DAMAGED) &&
	        res.damaged_frames >= 1,
	    "two do: it is damage, and never a spare");
	maker_free(m);

	m = maker_new(root);
	seg_begin(m, 0, 1, 1, 0);
	seg_frames(m, 1, 20, 1);
	m->head.slot = 5;
	seg_end(m);
	TAP_OK(read_log(m) == 0);
	tap_ok(got.count == 0 && res.spares_count == 0 && aside(0, WALSEG_DAMAGED),
	    "nor is a segment in the wrong place");
	maker_free(m);
}

/* Every bit of a small log is flipped, one after the other. */
static void flips(const char *root)
{
	struct maker *m = maker_new(root);
	seg_begin(m, 0, 1, 1, 0);
	seg_frames(m, 1, 5, 1);
	seg_end(m);
	uint64_t end = m->offset;
	seg_begin(m, 1, 2, 6, 5);
	seg_frames(m, 6, 8, 2);
	seg_end(m);
	size_t wrong = 0, lost_most = 0, places = 0;
	for (uint64_t at = WALSEG_DATA; at < end; at++) {
		unsigned bit = (unsigned)(at % 8);
		flip(m, 0, at, bit);
		enum err e = read_log(m);
		size_t lost = 8 - got.count;
		for (uint64_t seq = 1; seq <= 8; seq++)
			wrong += got.what[seq] && got.what[seq] != (seq <= 5 ? 1 : 2);
		wrong += e || got.out_of_order || res.damaged_frames != lost || res.next_seq != 9;
		lost_most = lost > lost_most ? lost : lost_most;
		places++;
		flip(m, 0, at, bit);
	}
	tap_ok(places > 300 && wrong == 0,
	    "%zu flipped bits: never a wrong frame, every lost one counted", places);
	tap_is_u64(lost_most, 1, "and never more than one lost");
	maker_free(m);
}

static void cuts(const char *root)
{
	struct maker *m = maker_new(root);
	seg_begin(m, 0, 1, 1, 0);
	seg_frames(m, 1, 10, 1);
	seg_end(m);
	size_t wrong = 0, most = 0;
	for (uint64_t size = m->offset; size >= WALSEG_DATA; size -= 8) {
		struct fsio_file *f;
		CHECK(fsio_open(m->d, "00000000.seg", FSIO_WRITE, &f) == 0);
		CHECK(fsio_truncate(f, size) == 0);
		fsio_close(f);
		wrong += read_log(m) != 0 || !got_range(1, got.count, 1) || res.damaged_frames;
		wrong += got.count < 10 && m->at[got.count + 1] + WALSEG_FRAME_BYTES + 8 <= size &&
		    got.count + 2 <= 10 && m->at[got.count + 2] <= size;
		most = got.count > most ? got.count : most;
	}
	tap_ok(wrong == 0 && most == 10, "a file cut short anywhere gives the frames before the cut");
	maker_free(m);
}

static void bad_disk(const char *root)
{
	struct maker *m = maker_new(root);
	seg_begin(m, 0, 1, 1, 0);
	seg_frames(m, 1, 100, 1);
	seg_end(m);
	fault_start(NULL);
	/*
	 * 1, 2: heads; again for reading; then the window; then its pieces, of which the fourth
	 * fails.
	 */
	fault_set(FAULT_READ, ".seg", 3, 1, ERR_IO);
	TAP_OK(read_log(m) == 0);
	tap_is_u64(got.count, 100, "a read that fails once is tried in pieces");
	fault_set(FAULT_READ, ".seg", 3, 4, ERR_IO);
	TAP_OK(read_log(m) == 0);
	tap_ok(got.count == 0 && res.damaged_frames && aside(0, WALSEG_UNREAD),
	    "a segment with an unreadable place is set aside before anything is taken of it");
	tap_ok(res.segments_count == 0 && res.spares_count == 0, "and is nobody's");
	fault_set_errno(FAULT_READ, ".seg", 3, UINT64_MAX, ENOMEM);
	tap_is_i64(read_log(m), ERR_NOMEM, "no memory is no damage: the start is refused");
	fault_stop();
	maker_free(m);
}

/* The head of the only segment cannot be read: each call before the first frame, with each errno.
 *  */
static void bad_head(const char *root)
{
	static const enum fault_kind kinds[] = { FAULT_OPEN, FAULT_SIZE, FAULT_READ };
	static const struct {
		int errnum;
		enum err err; /* 0: set aside */
	} t[] = { { EIO, ERR_OK }, { EMFILE, ERR_NOFILES }, { ENFILE, ERR_NOFILES },
		{ ENOMEM, ERR_NOMEM }, { EACCES, ERR_ACCESS } };
	struct maker *m = maker_new(root);
	seg_begin(m, 3, 1, 1, 0);
	seg_frames(m, 1, 100, 1);
	seg_end(m);
	walog_pause_ms = 0;
	fault_start(NULL);
	for (size_t k = 0; k < COUNT_OF(kinds); k++) {
		for (size_t i = 0; i < COUNT_OF(t); i++) {
			fault_set_errno(
			    kinds[k], ".seg", 1, kinds[k] == FAULT_READ ? 2 : 1, t[i].errnum);
			enum err e = read_log(m);
			tap_ok(t[i].err ? e == t[i].err : !e && got.count == 100,
			    "call %zu fails with %s: %s, %zu frames", k,
			    strerrorname_np(t[i].errnum), err_text(e), got.count);
			fault_set_errno(kinds[k], ".seg", 1, UINT64_MAX, t[i].errnum);
			e = read_log(m);
			tap_ok(t[i].err ? e == t[i].err
			                : !e && aside(3, WALSEG_UNREAD) && res.damaged_frames,
			    "and for ever: %s", err_text(e));
			tap_ok(res.spares_count == 0, "never a spare");
			fault_set(kinds[k], NULL, 1, 0, ERR_OK);
			TAP_OK(read_log(m) == 0 && got.count == 100);
		}
	}
	fault_stop();
	walog_pause_ms = 10;
	maker_free(m);
}

/* What a later version wrote must not be passed over. */
static void later(const char *root)
{
	struct maker *m = maker_new(root);
	struct errbuf eb;
	struct fsio_file *f;
	uint8_t head[WALSEG_HEAD_BYTES];
	seg_begin(m, 2, 1, 1, 0);
	seg_frames(m, 1, 3, 1);
	seg_end(m);
	CHECK(fsio_open(m->d, "00000002.seg", FSIO_WRITE, &f) == 0);
	walseg_head_put(&m->head, head);
	wire_store32(head + 8, WALSEG_VERSION + 1);
	wire_store32(head + 60, crc32c(0, head, 60));
	CHECK(fsio_write_at(f, head, sizeof(head), 0) == 0);
	CHECK(fsio_write_at(f, head, sizeof(head), WALSEG_HEAD_COPY) == 0);
	fsio_close(f);
	replay_result_release(&res);
	errbuf_init(&eb);
	tap_is_i64(replay_run(m->d, &got_ops, &got, &res, &eb), ERR_UNSUPPORTED,
	    "a segment of a later format ends the start");
	tap_ok(strstr(eb.text, "00000002.seg") && strstr(eb.text, "later format"), "%s", eb.text);
	maker_free(m);
}

static bool stop_now(void *arg)
{
	(void)arg;
	return true;
}

static void stopped(const char *root)
{
	struct maker *m = maker_new(root);
	for (uint32_t i = 0; i < 40; i++) {
		seg_begin(m, i, i + 1, 1 + 100 * i, 100 * i);
		seg_frames(m, 1 + 100 * i, 100 + 100 * i, 1);
		seg_end(m);
	}
	struct replay_ops ops = got_ops;
	ops.stop = stop_now;
	memset(&got, 0, sizeof(got));
	replay_result_release(&res);
	tap_is_i64(replay_run(m->d, &ops, &got, &res, NULL), ERR_STOPPING, "a replay can be stopped");
	tap_ok(got.count > 0 && got.count < 4000, "on its way: after %zu frames", got.count);
	TAP_OK(read_log(m) == 0 && got.count == 4000);
	maker_free(m);
}

static void refusals(const char *root)
{
	struct maker *m = maker_new(root);
	seg_begin(m, 0, 1, 1, 0);
	seg_frames(m, 1, 3, 1);
	seg_end(m);
	memset(&got, 0, sizeof(got));
	got.refuse = ERR_NOMEM;
	replay_result_release(&res);
	tap_is_i64(replay_run(m->d, &got_ops, &got, &res, NULL), ERR_NOMEM,
	    "an error of the receiver ends the replay");
	tap_is_u64(got.count, 1, "at once");
	maker_free(m);
}

int main(void)
{
	log_setup(LOG_LEVEL_NONE, false);
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	char *root = testlib_tmpdir("replay");
	empty(root);
	in_order(root);
	void_frames(root);
	ends(root);
	flips(root);
	cuts(root);
	bad_disk(root);
	bad_head(root);
	later(root);
	stopped(root);
	refusals(root);
	replay_result_release(&res);
	testlib_rmtree(root);
	free(root);
	return tap_done();
}
