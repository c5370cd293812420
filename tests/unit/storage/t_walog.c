/*
 * The log writer, one log looked at closely: what it answers when the disk is full, fails or is
 * well again, which segments it frees, what it does with its room, and with a client that knows
 * the format. Power cuts: t_walcut.c.
 */
#include "storage/wal/walog.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/num.h"
#include "storage/wal/replay.h"
#include "storage/wal/walog_priv.h"
#include "storage/wal/walrec.h"
#include "storage/wal/walseg.h"
#include "tests/lib/fault.h"
#include "tests/lib/fsdouble.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"
#include "tests/lib/testteam.h"
#include "tests/lib/walclient.h"

#define TRIES 60000u /* of 10 ms: what must come is waited for, however busy the machine is */

/* ---- One log, looked at closely ---- */

struct bench {
	char *dir;
	struct testteam tt;
	struct fsio_dir *d;
	struct walog *w;
};

static void bench_open(struct bench *b, const char *root, const char *stem, enum walog_sync sync)
{
	memset(walclients, 0, sizeof(walclients));
	b->dir = walclient_path(root, stem, 0);
	struct walclient_found f;
	struct replay_result r;
	walclient_found_read(b->dir, &f, &r);
	testteam_start(&b->tt, WALCLIENT_LOOPS);
	CHECK(walclient_log(b->dir, &b->d, &b->tt, sync, &r, &b->w) == 0);
	walclient_found_release(&f, &r);
	for (unsigned l = 0; l < WALCLIENT_LOOPS; l++)
		walclients[l] = (struct walclient){
			.w = b->w, .loop = l, .window = 8, .rows_max = 200, .state = l
		};
}

/* Each loop hands over so many more frames; true when all are answered in time. */
static bool bench_send(struct bench *b, unsigned loops, unsigned frames)
{
	bool ok = true;
	for (unsigned l = 0; l < loops; l++) {
		walclients[l].more = frames;
		testteam_run(&b->tt, l, walclient_goes_on, &walclients[l]);
	}
	for (unsigned l = 0; l < loops; l++)
		ok = testteam_wait(&b->tt, l, walclient_done, &walclients[l], TESTTEAM_LONG_MS) && ok;
	return ok;
}

static struct walclient looked;

static void client_look(void *arg)
{
	looked = *(struct walclient *)arg;
}

/* What loop l knows, as of now. */
static const struct walclient *look(struct bench *b, unsigned l)
{
	testteam_run(&b->tt, l, client_look, &walclients[l]);
	return &looked;
}

static bool client_well(void *arg)
{
	struct walclient *c = arg;
	return c->durable == c->next && !c->last_state;
}

static void client_forgets(void *arg)
{
	((struct walclient *)arg)->last_state = ERR_OK;
}

static void bench_stop(struct bench *b)
{
	for (unsigned l = 0; l < WALCLIENT_LOOPS; l++)
		testteam_run(&b->tt, l, walclient_ends, &walclients[l]);
	walog_stop(b->w);
	testteam_stop(&b->tt);
	walog_free(b->w);
	fsio_dir_close(b->d);
}

static void bench_close(struct bench *b)
{
	testlib_rmtree(b->dir);
	free(b->dir);
}

static size_t segments_with_head(const char *dir)
{
	struct walclient_found f;
	struct replay_result r;
	walclient_found_read(dir, &f, &r);
	size_t n = r.segments_count;
	walclient_found_release(&f, &r);
	return n;
}

static void clean_stop(const char *root)
{
	struct bench b;
	bench_open(&b, root, "clean", WALOG_SYNC_COMMIT);
	tap_ok(bench_send(&b, WALCLIENT_LOOPS, 40), "eighty frames are answered");
	bench_stop(&b);
	struct walclient_found f;
	struct replay_result r;
	walclient_found_read(b.dir, &f, &r);
	tap_is_u64(f.count, 80, "and found");
	tap_is_u64(r.pending_count, 0, "after a clean stop nothing has to be committed again");
	tap_is_u64(r.known_synced, 80, "everything is known to be synced");
	tap_ok(!r.torn_tail && !r.damaged_frames && !r.void_frames,
	    "nothing is torn, damaged or void");
	walclient_found_release(&f, &r);
	uint64_t next = walclients[0].next;
	struct walclient before[WALCLIENT_LOOPS];
	memcpy(before, walclients, sizeof(before));
	free(b.dir);
	bench_open(&b, root, "clean", WALOG_SYNC_COMMIT);
	for (unsigned l = 0; l < WALCLIENT_LOOPS; l++) {
		walclients[l].number = before[l].number;
		walclients[l].next = walclients[l].decided = walclients[l].durable = next;
	}
	TAP_OK(bench_send(&b, WALCLIENT_LOOPS, 40));
	bench_stop(&b);
	walclient_found_read(b.dir, &f, &r);
	tap_is_u64(f.count, 160, "a second life goes on behind the first");
	tap_is_u64(r.damaged_frames, 0, "and the mark between them is not taken for damage");
	walclient_found_release(&f, &r);
	bench_close(&b);
}

static void complete_all(void *arg)
{
	struct walclient *c = arg;
	walog_complete(c->w, c->loop, c->number);
}

static enum err file_count(void *arg, const char *name)
{
	uint32_t slot;
	*(size_t *)arg += walseg_name_parse(name, &slot);
	return ERR_OK;
}

static size_t files_in(const char *dir)
{
	struct fsio_dir *d;
	size_t n = 0;
	CHECK(fsio_dir_open(dir, false, &d) == 0);
	CHECK(fsio_dir_each(d, file_count, &n) == 0);
	fsio_dir_close(d);
	return n;
}

static void freeing(const char *root)
{
	struct bench b;
	bench_open(&b, root, "free", WALOG_SYNC_COMMIT);
	TAP_OK(bench_send(&b, WALCLIENT_LOOPS, 200));
	uint64_t held = look(&b, 0)->held_max, other = look(&b, 1)->held_max;
	held = held > other ? held : other; /* the loop that ended last saw all of it */
	tap_ok(held > 4 * WALSEG_MIN_BYTES, "the reports tell what the log holds: %llu bytes",
	    (unsigned long long)held);
	for (unsigned l = 0; l < WALCLIENT_LOOPS; l++)
		testteam_run(&b.tt, l, complete_all, &walclients[l]);
	bench_stop(&b);
	tap_ok(segments_with_head(b.dir) <= 1,
	    "what is complete is free: only the last segment is left");
	tap_ok(files_in(b.dir) <= 5, "three spares are kept, the others are gone: %zu files",
	    files_in(b.dir));
	bench_close(&b);

	/* Loop 0 writes first, then loop 1 alone; then loop 1's shard is complete. */
	for (unsigned broken = 0; broken < 2; broken++) {
		walog_broken = broken ? WALOG_BREAK_FREE_ORDER : 0;
		bench_open(&b, root, "order", WALOG_SYNC_COMMIT);
		TAP_OK(bench_send(&b, 1, 150));
		walclients[1].stop_at = 300;
		testteam_run(&b.tt, 1, walclient_start, &walclients[1]);
		TAP_OK(testteam_wait(&b.tt, 1, walclient_done, &walclients[1], TESTTEAM_LONG_MS));
		testteam_run(&b.tt, 1, complete_all, &walclients[1]);
		bench_stop(&b);
		walog_broken = 0;
		struct walclient_found f;
		struct replay_result r;
		walclient_found_read(b.dir, &f, &r);
		if (broken)
			tap_ok(f.count < 450,
			    "broken on purpose and found out: segments are freed oldest first");
		else
			tap_is_u64(f.count, 450,
			    "a younger segment stays as long as an older one is needed");
		walclient_found_release(&f, &r);
		bench_close(&b);
	}
}

/* ---- a copy while it goes on ---- */

struct holding {
	struct walog *w;
	struct walog_hold h;
	void (*call)(struct walog *w, struct walog_hold *h);
	bool answered;
};

static void hold_answered(struct walog_hold *h)
{
	CONTAINER_OF(h, struct holding, h)->answered = true;
}

static void hold_call(void *arg)
{
	struct holding *x = arg;
	x->h.done = hold_answered;
	x->answered = false;
	x->call(x->w, &x->h);
}

static bool hold_is_answered(void *arg)
{
	return ((struct holding *)arg)->answered;
}

static enum err hold_ask(
    struct bench *b, struct holding *x, void (*call)(struct walog *w, struct walog_hold *h))
{
	x->w = b->w;
	x->call = call;
	testteam_run(&b->tt, 0, hold_call, x);
	CHECK(testteam_wait(&b->tt, 0, hold_is_answered, x, TESTTEAM_LONG_MS));
	return x->h.err;
}

static void hold_ends(void *arg)
{
	struct holding *x = arg;
	walog_unhold(x->w, &x->h);
}

/*
 * All is complete while it is held: nothing is freed. The cut names all that was answered; what is
 * linked then stays as it is, though the log goes on and has everything freed.
 */
static void held(const char *root, enum walog_sync sync, unsigned broken)
{
	struct bench b;
	struct holding one = { 0 }, two = { 0 };
	struct fsio_dir *kept;
	bench_open(&b, root, "held", sync);
	TAP_OK(bench_send(&b, WALCLIENT_LOOPS, 200));
	uint64_t frames = walclients[0].next + walclients[1].next;
	walog_broken = broken;
	TAP_OK(!hold_ask(&b, &one, walog_hold));
	for (unsigned l = 0; l < WALCLIENT_LOOPS; l++)
		testteam_run(&b.tt, l, complete_all, &walclients[l]);
	TAP_OK(!hold_ask(&b, &two, walog_hold)); /* the writer has heard of it by then */
	TAP_OK(!hold_ask(&b, &one, walog_cut));
	TAP_OK(!fsio_dir_sub(b.d, "kept", true, &kept));
	unsigned lost = 0;
	for (size_t i = 0; i < one.h.slots_count; i++)
		lost += walog_hold_link(&one.h, i, b.d, kept) != ERR_OK;
	testteam_run(&b.tt, 0, hold_ends, &one);
	testteam_run(&b.tt, 0, hold_ends, &two);
	TAP_OK(bench_send(&b, WALCLIENT_LOOPS, 100)); /* in segments of before, where they may */
	for (unsigned l = 0; l < WALCLIENT_LOOPS; l++)
		testteam_run(&b.tt, l, complete_all, &walclients[l]);
	bench_stop(&b);
	walog_broken = 0;
	struct walclient_found f;
	struct replay_result r;
	walclient_found_read(fsio_dir_path(kept), &f, &r);
	if (broken)
		tap_ok(lost || f.count != frames, "broken on purpose and found out: rule %x", broken);
	else
		tap_ok(!lost && f.count == frames && !r.damaged_frames && one.h.slots == NULL,
		    "a copy has all %llu frames in mode %d, whatever becomes of the log: %zu",
		    (unsigned long long)frames, (int)sync, (size_t)f.count);
	walclient_found_release(&f, &r);
	tap_ok(segments_with_head(b.dir) <= 1, "and the log itself was freed");
	fsio_dir_close(kept);
	bench_close(&b);
}

/* Copies one after the other leave no segments behind, but for a few. */
static void held_often(const char *root)
{
	struct bench b;
	unsigned bad = 0;
	bench_open(&b, root, "often", WALOG_SYNC_COMMIT);
	for (unsigned n = 1; n <= 12; n++) {
		struct holding x = { 0 };
		struct fsio_dir *kept;
		struct walclient_found f;
		struct replay_result r;
		char name[16];
		CHECK(bench_send(&b, WALCLIENT_LOOPS, 1));
		uint64_t frames = walclients[0].next + walclients[1].next;
		snprintf(name, sizeof(name), "kept%u", n);
		CHECK(!fsio_dir_sub(b.d, name, true, &kept));
		CHECK(!hold_ask(&b, &x, walog_hold));
		CHECK(!hold_ask(&b, &x, walog_cut));
		for (size_t i = 0; i < x.h.slots_count; i++)
			CHECK(!walog_hold_link(&x.h, i, b.d, kept));
		testteam_run(&b.tt, 0, hold_ends, &x);
		walclient_found_read(fsio_dir_path(kept), &f, &r);
		bad += f.count != frames || r.damaged_frames || r.damaged_places;
		walclient_found_release(&f, &r);
		fsio_dir_close(kept);
	}
	bench_stop(&b);
	tap_ok(!bad && segments_with_head(b.dir) <= 4,
	    "twelve copies, each with all there was, of a log that has %zu segments still (%u bad)",
	    segments_with_head(b.dir), bad);
	bench_close(&b);
}

static void no_space(const char *root)
{
	struct bench b;
	fault_start(NULL);
	bench_open(&b, root, "space", WALOG_SYNC_COMMIT);
	TAP_OK(bench_send(&b, WALCLIENT_LOOPS, 5));
	fault_set(FAULT_ALLOCATE, ".seg", 1, UINT64_MAX, ERR_NOSPACE);
	TAP_OK(bench_send(&b, WALCLIENT_LOOPS, 400));
	tap_is_i64(look(&b, 0)->last_state, ERR_NOSPACE, "a full disk is told as such");
	tap_is_i64(look(&b, 0)->last_err, ERR_NOSPACE, "and so are the requests that wait");
	fault_set(FAULT_ALLOCATE, NULL, 1, 0, ERR_OK);
	tap_ok(testteam_wait(&b.tt, 0, client_well, &walclients[0], TESTTEAM_LONG_MS) &&
	        testteam_wait(&b.tt, 1, client_well, &walclients[1], TESTTEAM_LONG_MS),
	    "it goes on by itself when there is space again");
	TAP_OK(bench_send(&b, WALCLIENT_LOOPS, 20));
	uint64_t sent = walclients[0].next + walclients[1].next;
	bench_stop(&b);
	fault_stop();
	struct walclient_found f;
	struct replay_result r;
	walclient_found_read(b.dir, &f, &r);
	tap_is_u64(f.count, sent, "and every frame is there, those told to have failed too");
	walclient_found_release(&f, &r);
	bench_close(&b);
}

/* Syncs of the writer fail, those of the thread that prepares segments do not. */
static bool writer_fails;
static enum err writer_sync(struct fsio_file *f)
{
	char name[16] = "";
	(void)pthread_getname_np(pthread_self(), name, sizeof(name));
	if (__atomic_load_n(&writer_fails, __ATOMIC_RELAXED) && strcmp(name, "walog") == 0)
		return err_note(ERR_SYNC, EIO);
	return fsio_real.sync(f);
}

static enum err writer_write_sync(struct fsio_file *f, const void *data, size_t len, uint64_t off)
{
	enum err e = fsio_write_at(f, data, len, off);
	return e ? e : writer_sync(f);
}

static void all_found(const char *dir, uint64_t sent, const char *what)
{
	struct walclient_found f;
	struct replay_result r;
	walclient_found_read(dir, &f, &r);
	tap_is_u64(f.count, sent, "%s", what);
	walclient_found_release(&f, &r);
}

/* Syncs of the writer are counted, and wait while they are held. */
static unsigned syncs, syncs_held;

static enum err held_write_sync(struct fsio_file *f, const void *data, size_t len, uint64_t off)
{
	__atomic_fetch_add(&syncs, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&syncs_held, __ATOMIC_SEQ_CST))
		usleep(1000);
	return fsio_real.write_sync(f, data, len, off);
}

/* What a loop hands over in many turns while the writer syncs is synced together. */
static void shared_syncs(const char *root)
{
	struct bench b;
	struct fsio_ops ops = fsio_real;
	ops.write_sync = held_write_sync;
	fsio_hook(&ops);
	bench_open(&b, root, "shared", WALOG_SYNC_COMMIT);
	walclients[0].window = 100;
	TAP_OK(bench_send(&b, 1, 1));
	__atomic_store_n(&syncs, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&syncs_held, 1, __ATOMIC_SEQ_CST);
	walclients[0].more = 1;
	testteam_run(&b.tt, 0, walclient_goes_on, &walclients[0]);
	while (!__atomic_load_n(&syncs, __ATOMIC_SEQ_CST)) /* or the program is ended */
		usleep(1000);
	for (unsigned i = 0; i < 50; i++)
		testteam_run(&b.tt, 0, walclient_goes_on, &walclients[0]);
	tap_ok(look(&b, 0)->next - looked.decided == 51, "none of them is answered yet");
	__atomic_store_n(&syncs_held, 0, __ATOMIC_SEQ_CST);
	TAP_OK(testteam_wait(&b.tt, 0, walclient_done, &walclients[0], TESTTEAM_LONG_MS));
	unsigned n = __atomic_load_n(&syncs, __ATOMIC_SEQ_CST);
	/* Of those during the sync the last ones may not have gone out yet: they share another. */
	tap_ok(n == 2 || n == 3, "51 frames, 50 of them during a sync: %u syncs", n);
	uint64_t sent = walclients[0].next;
	bench_stop(&b);
	fsio_hook(NULL);
	all_found(b.dir, sent, "and every frame is there");
	bench_close(&b);
}

static void wait_well(struct bench *b, const char *what)
{
	tap_ok(testteam_wait(&b->tt, 0, client_well, &walclients[0], TESTTEAM_LONG_MS) &&
	        testteam_wait(&b->tt, 1, client_well, &walclients[1], TESTTEAM_LONG_MS),
	    "%s", what);
}

static void read_only(const char *root)
{
	struct bench b;
	struct fsio_ops ops = fsio_real;
	ops.sync = writer_sync;
	ops.write_sync = writer_write_sync;
	fsio_hook(&ops);
	bench_open(&b, root, "broken", WALOG_SYNC_COMMIT);
	TAP_OK(bench_send(&b, WALCLIENT_LOOPS, 5));
	__atomic_store_n(&writer_fails, true, __ATOMIC_RELAXED);
	TAP_OK(bench_send(&b, WALCLIENT_LOOPS, 20));
	for (unsigned i = 0; i < 5 && !look(&b, 0)->last_state; i++)
		TAP_OK(bench_send(&b, WALCLIENT_LOOPS, 20));
	tap_is_i64(look(&b, 0)->last_state, ERR_READONLY, "three failures make the log read-only");
	tap_is_i64(look(&b, 1)->last_state, ERR_READONLY, "every loop hears of it");
	uint64_t durable = look(&b, 0)->durable;
	for (unsigned l = 0; l < WALCLIENT_LOOPS; l++)
		testteam_run(&b.tt, l, client_forgets, &walclients[l]); /* try all the same */
	TAP_OK(bench_send(&b, WALCLIENT_LOOPS, 5));
	tap_ok(look(&b, 0)->durable == durable && looked.last_err == ERR_READONLY,
	    "and it stays so as long as syncs fail");
	__atomic_store_n(&writer_fails, false, __ATOMIC_RELAXED);
	wait_well(&b, "it ends by itself when they do not");
	TAP_OK(bench_send(&b, WALCLIENT_LOOPS, 20));
	uint64_t sent = walclients[0].next + walclients[1].next;
	bench_stop(&b);
	fsio_hook(NULL);
	all_found(b.dir, sent, "and every frame is there");
	bench_close(&b);
}

/* Nobody writes any more when it becomes read-only: it ends by itself all the same. */
static void read_only_idle(const char *root)
{
	struct bench b;
	struct fsio_ops ops = fsio_real;
	ops.sync = writer_sync;
	ops.write_sync = writer_write_sync;
	fsio_hook(&ops);
	bench_open(&b, root, "idle", WALOG_SYNC_INTERVAL);
	TAP_OK(bench_send(&b, WALCLIENT_LOOPS, 5));
	__atomic_store_n(&writer_fails, true, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < TRIES && look(&b, 0)->last_state != ERR_READONLY; i++) {
		TAP_OK(bench_send(&b, WALCLIENT_LOOPS, 1));
		usleep(10000);
	}
	tap_is_i64(look(&b, 0)->last_state, ERR_READONLY, "mode interval: read-only too");
	__atomic_store_n(&writer_fails, false, __ATOMIC_RELAXED);
	wait_well(&b, "and it ends without a new write");
	uint64_t sent = walclients[0].next + walclients[1].next;
	bench_stop(&b);
	fsio_hook(NULL);
	all_found(b.dir, sent, "every frame is there");
	bench_close(&b);
}

/* What fails before a segment is there is no failure of what is there. */
static void prepare_fails(const char *root)
{
	static const struct {
		enum fault_kind kind;
		int errnum;
		enum err state;
	} t[] = { { FAULT_OPEN, EMFILE, ERR_BUSY }, { FAULT_OPEN, ENFILE, ERR_BUSY },
		{ FAULT_OPEN, EACCES, ERR_BUSY }, { FAULT_ALLOCATE, ENOMEM, ERR_BUSY },
		{ FAULT_ALLOCATE, EIO, ERR_BUSY }, { FAULT_ALLOCATE, ENOSPC, ERR_NOSPACE },
		{ FAULT_DIR_SYNC, EIO, ERR_BUSY } };
	for (size_t i = 0; i < COUNT_OF(t); i++) {
		struct bench b;
		fault_start(NULL);
		bench_open(&b, root, "prepare", WALOG_SYNC_COMMIT);
		TAP_OK(bench_send(&b, WALCLIENT_LOOPS, 5));
		fault_set_errno(t[i].kind, NULL, 1, UINT64_MAX, t[i].errnum);
		TAP_OK(bench_send(&b, WALCLIENT_LOOPS, 400));
		unsigned hits = t[i].state == ERR_BUSY ? 3 : 1;
		for (unsigned k = 0; k < TRIES &&
		     (look(&b, 0)->last_state != t[i].state || fault_hits(t[i].kind) < hits);
		     k++)
			usleep(10000);
		tap_is_i64(look(&b, 0)->last_state, t[i].state, "no segment can be made: %s",
		    err_text(t[i].state));
		tap_ok(fault_hits(t[i].kind) >= hits, "however often it is tried: %llu times",
		    (unsigned long long)fault_hits(t[i].kind));
		size_t files = files_in(b.dir);
		fault_set(t[i].kind, NULL, 1, 0, ERR_OK);
		wait_well(&b, "it goes on by itself once one can be made");
		tap_ok(files <= files_in(b.dir), "failing left no litter: %zu files", files);
		TAP_OK(bench_send(&b, WALCLIENT_LOOPS, 20));
		uint64_t sent = walclients[0].next + walclients[1].next;
		bench_stop(&b);
		fault_stop();
		all_found(b.dir, sent, "and every frame is there");
		bench_close(&b);
	}
}

/* A segment on which a sync failed is not among the files that are used again. */
static void bad_place(const char *root)
{
	struct bench b;
	struct fsio_ops ops = fsio_real;
	ops.sync = writer_sync;
	ops.write_sync = writer_write_sync;
	fsio_hook(&ops);
	bench_open(&b, root, "place", WALOG_SYNC_COMMIT);
	TAP_OK(bench_send(&b, WALCLIENT_LOOPS, 5));
	struct walclient_found f;
	struct replay_result r;
	walclient_found_read(b.dir, &f, &r);
	uint32_t slot = r.segments_count ? r.segments[0].slot : 0;
	walclient_found_release(&f, &r);
	__atomic_store_n(&writer_fails, true, __ATOMIC_RELAXED);
	TAP_OK(bench_send(&b, 1, 1));
	__atomic_store_n(&writer_fails, false, __ATOMIC_RELAXED);
	wait_well(&b, "one sync failed");
	for (unsigned i = 0; i < 4; i++) {
		TAP_OK(bench_send(&b, WALCLIENT_LOOPS, 100));
		for (unsigned l = 0; l < WALCLIENT_LOOPS; l++)
			testteam_run(&b.tt, l, complete_all, &walclients[l]);
	}
	bench_stop(&b);
	fsio_hook(NULL);
	struct fsio_dir *d;
	struct fsio_file *file = NULL;
	char name[WALSEG_NAME_MAX];
	walseg_name(slot, name);
	CHECK(fsio_dir_open(b.dir, false, &d) == 0);
	tap_is_i64(fsio_open(d, name, FSIO_READ, &file), ERR_NOTFOUND,
	    "the file is removed once it is free, not used again");
	fsio_close(file);
	fsio_dir_close(d);
	bench_close(&b);
}

/* A segment that cannot be freed keeps the younger ones, and is tried again. */
static void freeing_fails(const char *root)
{
	struct bench b;
	fault_start(NULL);
	bench_open(&b, root, "stuck", WALOG_SYNC_COMMIT);
	TAP_OK(bench_send(&b, WALCLIENT_LOOPS, 200));
	fault_set_errno(FAULT_OPEN, ".seg", 1, UINT64_MAX, EMFILE);
	fault_set_errno(FAULT_REMOVE, ".seg", 1, UINT64_MAX, EIO);
	fault_set_errno(FAULT_WRITE, ".seg", 1, UINT64_MAX, EIO);
	for (unsigned l = 0; l < WALCLIENT_LOOPS; l++)
		testteam_run(&b.tt, l, complete_all, &walclients[l]);
	for (unsigned i = 0; i < TRIES && !fault_hits(FAULT_REMOVE); i++)
		usleep(10000);
	tap_ok(files_in(b.dir) > 5 && fault_hits(FAULT_REMOVE) >= 1, "nothing can be freed");
	fault_set(FAULT_OPEN, NULL, 1, 0, ERR_OK);
	fault_set(FAULT_REMOVE, NULL, 1, 0, ERR_OK);
	fault_set(FAULT_WRITE, NULL, 1, 0, ERR_OK);
	for (unsigned i = 0; i < TRIES && files_in(b.dir) > 5; i++)
		usleep(10000);
	tap_ok(files_in(b.dir) <= 5, "until it can: %zu files", files_in(b.dir));
	bench_stop(&b);
	fault_stop();
	bench_close(&b);
}

static void failing_write(const char *root)
{
	struct bench b;
	fault_start(NULL);
	fault_thread("walog"); /* not of the one that prepares segments meanwhile */
	fault_partial(100);
	bench_open(&b, root, "write", WALOG_SYNC_COMMIT);
	TAP_OK(bench_send(&b, WALCLIENT_LOOPS, 5));
	fault_set(FAULT_WRITE, ".seg", 3, 1, ERR_IO);
	TAP_OK(bench_send(&b, WALCLIENT_LOOPS, 20));
	tap_ok(fault_hits(FAULT_WRITE) == 1 && look(&b, 0)->last_err == 0 &&
	        look(&b, 1)->last_err == 0,
	    "one failing write is tried again, nobody hears of it");
	fault_set(FAULT_WRITE, ".seg", 1, 2, ERR_IO);
	TAP_OK(bench_send(&b, WALCLIENT_LOOPS, 20));
	tap_ok(look(&b, 0)->last_err == ERR_LOGFAILED || look(&b, 1)->last_err == ERR_LOGFAILED,
	    "one that fails twice fails its requests");
	tap_ok(look(&b, 0)->last_state == 0, "and the log goes on");
	uint64_t sent = walclients[0].next + walclients[1].next;
	bench_stop(&b);
	fault_stop();
	struct walclient_found f;
	struct replay_result r;
	walclient_found_read(b.dir, &f, &r);
	tap_is_u64(f.count, sent, "all frames are there");
	walclient_found_release(&f, &r);
	bench_close(&b);
}

static void mode_off(const char *root)
{
	struct bench b;
	bench_open(&b, root, "off", WALOG_SYNC_OFF);
	TAP_OK(bench_send(&b, WALCLIENT_LOOPS, 300));
	struct walclient_found f;
	struct replay_result r;
	size_t found = 0;
	for (unsigned i = 0; i < TRIES && found < 600; i++) {
		usleep(10000);
		walclient_found_read(b.dir, &f, &r);
		found = f.count;
		walclient_found_release(&f, &r);
	}
	tap_is_u64(found, 600, "mode off: what was taken is in the file although nothing follows");
	TAP_OK(bench_send(&b, WALCLIENT_LOOPS, 10));
	bench_stop(&b);
	walclient_found_read(b.dir, &f, &r);
	tap_is_u64(f.count, 620, "and all of it after a stop");
	walclient_found_release(&f, &r);
	bench_close(&b);
}

/* ---- Room and large frames ---- */

struct roomy {
	struct walog *w;
	bool before, in_between, alone;
	uint64_t position;
};

static void room_use(void *arg)
{
	struct roomy *x = arg;
	x->alone = walog_room(x->w, UINT64_MAX / 2);
	struct walog_frame *f = walog_frame(x->w);
	struct walrec_writer w;
	static uint32_t ids[WALREC_ROWS_MAX];
	static int64_t times[WALREC_ROWS_MAX];
	static double values[WALREC_ROWS_MAX];
	walrec_begin(&w, &f->payload);
	walrec_group(&w, 0, 1);
	while (!walrec_full(&w))
		walrec_rows(&w, WALREC_ROWS_MAX, ids, times, values);
	walrec_end(&w);
	x->before = walog_room(x->w, f->payload.len);
	x->position = walog_submit(x->w, f);
	x->in_between = walog_room(x->w, WALOG_BACKLOG_BYTES / WALCLIENT_LOOPS);
}

static bool room_durable(void *arg)
{
	struct roomy *x = arg;
	return walog_durable(x->w) >= x->position &&
	    walog_room(x->w, WALOG_BACKLOG_BYTES / WALCLIENT_LOOPS);
}

static void room(const char *root)
{
	struct bench b;
	bench_open(&b, root, "room", WALOG_SYNC_COMMIT);
	struct roomy x = { .w = b.w };
	testteam_run(&b.tt, 0, room_use, &x);
	tap_ok(x.before && !x.in_between, "what is handed over takes room in the backlog");
	tap_ok(x.alone, "but one request alone always finds room");
	tap_ok(testteam_wait(&b.tt, 0, room_durable, &x, TESTTEAM_LONG_MS),
	    "a frame larger than a segment gets a segment of its own, then there is room again");
	bench_stop(&b);
	bench_close(&b);
}

/* ---- A client that knows the format ---- */

static uint64_t forged_payload(struct buf *out, uint64_t seq)
{
	struct buf inner;
	struct walrec_writer w;
	static const uint32_t id;
	static const int64_t t = 666;
	static const double v = 666;
	buf_init(&inner);
	walrec_begin(&w, &inner);
	walrec_group(&w, 0, 666);
	walrec_rows(&w, 1, &id, &t, &v);
	walrec_end(&w);
	uint8_t head[WALSEG_FRAME_BYTES];
	walseg_frame_put(head, walseg_salt_crc(1), seq, seq - 1, inner.data, (uint32_t)inner.len);
	for (unsigned shift = 0; shift < WALSEG_ALIGN; shift++) {
		buf_add(out, head, sizeof(head));
		buf_add(out, inner.data, inner.len);
		while (out->len % WALSEG_ALIGN != shift)
			buf_add_u8(out, 0);
	}
	buf_release(&inner);
	return out->len;
}

struct forger {
	struct walog *w;
	uint64_t position;
};

static void forge(void *arg)
{
	struct forger *x = arg;
	struct buf evil;
	buf_init(&evil);
	forged_payload(&evil, 2);
	struct walog_frame *f = walog_frame(x->w);
	struct walrec_writer w;
	walrec_begin(&w, &f->payload);
	walrec_group(&w, 0, 1);
	walrec_def(&w, 1, 0, evil.data, evil.len);
	walrec_end(&w);
	x->position = walog_submit(x->w, f);
	buf_release(&evil);
}

static bool forged_durable(void *arg)
{
	struct forger *x = arg;
	return walog_durable(x->w) >= x->position;
}

static enum err forged_found(void *arg, uint64_t seq, const uint8_t *payload, size_t len)
{
	(void)seq;
	struct walrec_groups it;
	struct walrec_group g;
	walrec_groups_init(&it, payload, len);
	while (walrec_groups_next(&it, &g))
		*(bool *)arg = *(bool *)arg || g.number == 666;
	return ERR_OK;
}

static void forgery(const char *root)
{
	for (unsigned broken = 0; broken < 2; broken++) {
		struct bench b;
		walog_broken = broken ? WALOG_BREAK_NEW_SALT : 0;
		bench_open(&b, root, "forged", WALOG_SYNC_COMMIT);
		struct forger x = { .w = b.w };
		testteam_run(&b.tt, 0, forge, &x);
		TAP_OK(testteam_wait(&b.tt, 0, forged_durable, &x, TESTTEAM_LONG_MS));
		bench_stop(&b);
		walog_broken = 0;
		/* The head of the frame that carries it goes bad, so the reader has to search. */
		struct fsio_dir *d;
		struct fsio_file *file;
		CHECK(fsio_dir_open(b.dir, false, &d) == 0);
		bool found = false;
		struct replay_ops ops = { .frame = forged_found };
		for (uint32_t slot = 0; slot < 4; slot++) {
			char name[WALSEG_NAME_MAX];
			walseg_name(slot, name);
			if (fsio_open(d, name, FSIO_WRITE, &file))
				continue;
			CHECK(fsio_write_at(file, "bad!", 4, WALSEG_DATA + 8) == 0);
			fsio_close(file);
		}
		struct replay_result r;
		CHECK(replay_run(d, &ops, &found, &r, NULL) == 0);
		replay_result_release(&r);
		fsio_dir_close(d);
		if (broken)
			tap_ok(found,
			    "broken on purpose and found out: with a known salt a label value can hold a frame");
		else
			tap_ok(!found, "a frame inside a label value is never taken for one");
		bench_close(&b);
	}
}

int main(void)
{
	log_setup(LOG_LEVEL_NONE, false);
	walclient_tokens = mem_zalloc(WALCLIENT_TOKENS_MAX * sizeof(*walclient_tokens));
	/* Nothing is synced for real, and thousands of small files come and go: memory will do. */
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	char *root = testlib_tmpdir("walog");
	clean_stop(root);
	freeing(root);
	held(root, WALOG_SYNC_COMMIT, 0);
	held(root, WALOG_SYNC_INTERVAL, 0);
	held(root, WALOG_SYNC_OFF, 0);
	held(root, WALOG_SYNC_COMMIT, WALOG_BREAK_HOLD);
	held(root, WALOG_SYNC_COMMIT, WALOG_BREAK_LINKS);
	held_often(root);
	no_space(root);
	read_only(root);
	read_only_idle(root);
	prepare_fails(root);
	bad_place(root);
	freeing_fails(root);
	failing_write(root);
	shared_syncs(root);
	mode_off(root);
	room(root);
	forgery(root);
	testlib_rmtree(root);
	free(root);
	mem_free(walclient_tokens);
	return tap_done();
}
