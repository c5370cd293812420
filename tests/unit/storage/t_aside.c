/*
 * Segments of the log that lie aside, for a start could not read them, and deletions: of before,
 * whose cut has gone since; of meanwhile, of series that have other ids by then; of others that
 * have got their ids. What was deleted does not come back when a later start reads the segment, and
 * what was not does. And the book itself: its bytes, damaged, and when it cannot be written or
 * read.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "storage/asidebook.h"
#include "storage/store_priv.h"
#include "storage/wal/replay.h"
#include "storage/wal/walog_priv.h"
#include "tests/lib/fault.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define SERIES 40u
#define STEP   15000
#define LOOPS  2u
#define ROWS   200u /* slots of the base */
#define LAST   150u /* slots up to this one are deleted */
#define MORE   210u /* slots that come while a segment lies aside */
#define END    230u
#define SEGS   40u
#define TRIED  5u /* segments, about; the first one has the definitions */

static struct arena arena;
static struct labels names[SERIES], others[SERIES];
static struct matcher of_names, of_others;
static int64_t base_ms;
static char segs[SEGS][WALSEG_NAME_MAX];
static uint64_t segment_bytes = WALSEG_MIN_BYTES;

static void opts(struct storetest *s, const char *dir)
{
	storetest_init(s, dir);
	s->opts.shards = 2;
	s->opts.log_segment_bytes = segment_bytes;
	s->opts.retention_ms = 10LL * 365 * 24 * 3600 * 1000;
}

static enum err put(struct storetest *s, const struct labels *of, unsigned slot)
{
	struct storetest_row rows[SERIES];
	for (unsigned i = 0; i < SERIES; i++)
		rows[i] = (struct storetest_row){ .labels = of[i],
			.t_ms = base_ms + (int64_t)slot * STEP,
			.v = (double)i * 10000 + slot };
	struct storetest_verdict v = storetest_write(s, slot % LOOPS, rows, SERIES);
	return v.err ? v.err : v.refused ? ERR_BADDATA : ERR_OK;
}

static void count_rows(void *arg, struct labels ls, const struct sample_column *col)
{
	(void)ls;
	*(size_t *)arg += col->count;
}

static size_t rows_of(struct storetest *s, const struct matcher *m, unsigned first, unsigned last)
{
	size_t n = 0;
	CHECK(!storetest_read(s, m, 1, base_ms + (int64_t)first * STEP,
	    base_ms + (int64_t)last * STEP, count_rows, &n));
	return n;
}

static enum err delete_range(struct storetest *s, const struct matcher *m)
{
	return storetest_delete(s, m, 1, base_ms, base_ms + (int64_t)LAST * STEP);
}

static enum err seg_name(void *arg, const char *name)
{
	unsigned *count = arg;
	uint32_t slot;
	if (walseg_name_parse(name, &slot) && *count < SEGS)
		snprintf(segs[(*count)++], WALSEG_NAME_MAX, "%s", name);
	return ERR_OK;
}

static unsigned segs_look(const char *base)
{
	struct fsio_dir *d;
	unsigned count = 0;
	char *log = testlib_path(base, "log");
	CHECK(!fsio_dir_open(log, false, &d));
	CHECK(!fsio_dir_each(d, seg_name, &count));
	fsio_dir_close(d);
	free(log);
	return count;
}

static void look_aside(void *arg, const char *name, size_t bytes)
{
	(void)bytes;
	*(size_t *)arg +=
	    (!strncmp(name, "log/", 4) && (strstr(name, "unread") || strstr(name, "waiting"))) ||
	    !strcmp(name, ASIDEBOOK_NAME);
}

/* Segments that lie aside, and the book. */
static size_t count_aside(const char *dir)
{
	size_t count = 0;
	testlib_files(dir, look_aside, &count);
	return count;
}

/* A directory as kill -9 leaves it. */
static void killed(struct storetest *s, const char *base, const char *dir)
{
	testlib_copy(base, dir);
	storetest_close(s);
	testlib_copy(dir, base);
}

/* What to do while a segment lies aside; how many are wrong. */
typedef unsigned meanwhile_fn(struct storetest *s);
struct tally {
	unsigned tried, bad, back, lost, stays;
};
/* expect: rows of names up to LAST that must be there in the end, of each series. */
static struct tally each_segment(
    const char *base, const char *dir, meanwhile_fn *meanwhile, unsigned expect)
{
	struct tally t = { 0 };
	unsigned count = segs_look(base);
	for (unsigned i = 0; i < count; i += 1 + count / TRIED, t.tried++) {
		struct storetest s;
		testlib_copy(base, dir);
		opts(&s, dir);
		fault_set_errno(FAULT_READ, segs[i], 1, UINT64_MAX, EIO);
		enum err e = storetest_open(&s, LOOPS);
		t.bad += e || !count_aside(dir);
		t.bad += e ? 0 : meanwhile(&s);
		if (!e)
			storetest_close(&s);
		fault_set(FAULT_READ, NULL, 1, 0, ERR_OK);
		for (unsigned starts = 0; starts < 3; starts++) {
			opts(&s, dir);
			CHECK(!storetest_open(&s, LOOPS));
			size_t old = rows_of(&s, &of_names, 0, LAST);
			t.back += old > (size_t)expect * SERIES;
			/* rows of segments that are not free yet may wait for one with the ids */
			if (!starts) {
				CHECK(!storetest_flush(&s));
				storetest_close(&s);
				continue;
			}
			t.lost += old < (size_t)expect * SERIES ||
			    rows_of(&s, &of_names, LAST + 1, ROWS - 1) !=
			        (size_t)(ROWS - 1 - LAST) * SERIES ||
			    rows_of(&s, &of_names, MORE, END - 1) != (size_t)(END - MORE) * SERIES;
			storetest_close(&s);
		}
		t.stays += count_aside(dir) != 0;
	}
	return t;
}

static void tell(const struct tally *t, const char *what)
{
	tap_ok(t->tried && !t->bad, "%s: each of %u segments lies aside for a start (%u wrong)",
	    what, t->tried, t->bad);
	tap_is_u64(t->back, 0, "what was deleted does not come back with it");
	tap_is_u64(t->lost, 0, "the rest is there");
	tap_is_u64(t->stays, 0, "and nothing lies aside any more");
}

static unsigned put_more(struct storetest *s)
{
	unsigned bad = 0;
	for (unsigned slot = MORE; slot < END; slot++)
		bad += put(s, names, slot) != ERR_OK;
	return bad;
}

/* ---- the cut has gone before ---- */

/* One segment has all of it, which goes on. */
static void gone_before(const char *root, const char *dir)
{
	struct storetest s;
	char *base = testlib_path(root, "gone");
	segment_bytes = 4 * 1024 * 1024;
	opts(&s, base);
	CHECK(!storetest_open(&s, LOOPS));
	for (unsigned slot = 0; slot < ROWS; slot++)
		CHECK(!put(&s, names, slot));
	CHECK(!delete_range(&s, &of_names) && !storetest_flush(&s) && !storetest_clean(&s));
	bool gone = true;
	for (unsigned i = 0; i < s.opts.shards; i++)
		gone &= !s.store->shards[i]->tombs;
	tap_ok(gone && rows_of(&s, &of_names, 0, LAST) == 0,
	    "the log still holds what was deleted, its cut has gone");
	killed(&s, base, dir);
	struct tally t = each_segment(base, dir, put_more, 0);
	tell(&t, "deleted before");
	segment_bytes = WALSEG_MIN_BYTES;
	free(base);
}

/* ---- deleted meanwhile, under other ids ---- */

static unsigned delete_some(struct storetest *s)
{
	unsigned bad = put_more(s);
	bad += delete_range(s, &of_names) != ERR_OK;
	bad += storetest_flush(s) || storetest_clean(s);
	return bad + (rows_of(s, &of_names, 0, LAST) != 0);
}

/* The series themselves; what is written behind it stays. */
static unsigned delete_all(struct storetest *s)
{
	unsigned bad = put_more(s);
	bad += storetest_delete(s, &of_names, 1, INT64_MIN, INT64_MAX) != ERR_OK;
	bad += rows_of(s, &of_names, 0, END) != 0;
	for (unsigned slot = LAST + 1; slot < ROWS; slot++)
		bad += put(s, names, slot) != ERR_OK;
	bad += put_more(s);
	return bad + (storetest_flush(s) || storetest_clean(s));
}

/* Others get the ids of the segment, and are deleted: it says nothing of its own series. */
static unsigned delete_others(struct storetest *s)
{
	unsigned bad = 0;
	for (unsigned slot = MORE; slot < END; slot++)
		bad += put(s, others, slot) != ERR_OK;
	bad += storetest_delete(s, &of_others, 1, INT64_MIN, INT64_MAX) != ERR_OK;
	return bad + put_more(s) + (storetest_flush(s) || storetest_clean(s));
}

/* No file holds anything yet, and the definitions stand in the first segment. */
static void other_ids(const char *root, const char *dir)
{
	struct storetest s;
	char *base = testlib_path(root, "ids");
	opts(&s, base);
	CHECK(!storetest_open(&s, LOOPS));
	for (unsigned slot = 0; slot < ROWS; slot++)
		CHECK(!put(&s, names, slot));
	killed(&s, base, dir);
	struct tally t = each_segment(base, dir, delete_some, 0);
	tell(&t, "deleted meanwhile");
	t = each_segment(base, dir, delete_all, 0);
	tell(&t, "series deleted meanwhile");
	t = each_segment(base, dir, put_more, LAST + 1);
	tell(&t, "nothing deleted, and no round");
	free(base);
}

/* Nothing else speaks of the ids, so they are given again. */
static void ids_given_again(const char *root, const char *dir)
{
	struct storetest s;
	char *base = testlib_path(root, "again");
	segment_bytes = 4 * 1024 * 1024;
	opts(&s, base);
	CHECK(!storetest_open(&s, LOOPS));
	for (unsigned slot = 0; slot < ROWS; slot++)
		CHECK(!put(&s, names, slot));
	killed(&s, base, dir);
	struct tally t = each_segment(base, dir, delete_others, LAST + 1);
	tell(&t, "others deleted that have their ids");
	t = each_segment(base, dir, delete_some, 0);
	tell(&t, "deleted meanwhile, all in one segment");
	segment_bytes = WALSEG_MIN_BYTES;
	free(base);
}

/* ---- a book that cannot be kept ---- */

static void broken_book(const char *root, const char *dir)
{
	struct storetest s;
	char *base = testlib_path(root, "ids"), *path = testlib_path(dir, ASIDEBOOK_NAME);
	CHECK(segs_look(base) > 0);
	testlib_copy(base, dir);
	opts(&s, dir);
	fault_set_errno(FAULT_READ, segs[0], 1, UINT64_MAX, EIO);
	CHECK(!storetest_open(&s, LOOPS));
	CHECK(!put_more(&s));
	size_t before = rows_of(&s, &of_names, 0, END);
	fault_set_errno(FAULT_OPEN, ASIDEBOOK_NAME ".tmp", 1, UINT64_MAX, ENOSPC);
	tap_ok(delete_range(&s, &of_names) && rows_of(&s, &of_names, 0, END) == before,
	    "a deletion that the book has not got is not begun");
	fault_set(FAULT_OPEN, NULL, 1, 0, ERR_OK);
	tap_ok(!delete_range(&s, &of_names) && !delete_range(&s, &of_names),
	    "once it can be written, it is, also twice");
	space_reserve(&s.store->space);
	fault_set_errno(FAULT_OPEN, ASIDEBOOK_NAME ".tmp", 1, 1, ENOSPC);
	tap_ok(!storetest_delete(&s, &of_others, 1, base_ms, base_ms + STEP),
	    "on a full disk RESERVE is given up for it");
	fault_set(FAULT_OPEN, NULL, 1, 0, ERR_OK);
	storetest_close(&s);
	FILE *f = fopen(path, "r+");
	CHECK(f && !fseek(f, 20, SEEK_SET) && fputc(0x55, f) == 0x55 && !fclose(f));
	opts(&s, dir);
	fault_set_errno(FAULT_READ, segs[0], 1, UINT64_MAX, EIO);
	CHECK(!storetest_open(&s, LOOPS));
	tap_ok(!delete_range(&s, &of_names), "with one copy damaged all is well");
	storetest_close(&s);
	fault_set_errno(FAULT_READ, ASIDEBOOK_NAME, 1, UINT64_MAX, EIO);
	opts(&s, dir);
	CHECK(!storetest_open(&s, LOOPS));
	tap_ok(delete_range(&s, &of_names) && rows_of(&s, &of_names, 0, LAST) == 0 &&
	        count_aside(dir) > 1,
	    "when it cannot be read nothing is taken in, and nothing deleted");
	storetest_close(&s);
	fault_set(FAULT_READ, NULL, 1, 0, ERR_OK);
	opts(&s, dir);
	CHECK(!storetest_open(&s, LOOPS) && !storetest_flush(&s));
	storetest_close(&s);
	opts(&s, dir);
	CHECK(!storetest_open(&s, LOOPS));
	tap_ok(!delete_range(&s, &of_names) && rows_of(&s, &of_names, 0, LAST) == 0 &&
	        rows_of(&s, &of_names, LAST + 1, ROWS - 1) == (size_t)(ROWS - 1 - LAST) * SERIES &&
	        count_aside(dir) == 0,
	    "a start that can read both takes in what was not deleted");
	storetest_close(&s);
	free(path);
	free(base);
}

/* ---- the bytes of the book ---- */

static bool drops(
    const struct asidebook *b, uint32_t slot, uint32_t tenant, unsigned series, int64_t t_ms)
{
	uint32_t cuts[8];
	CHECK(b->cuts_count <= COUNT_OF(cuts));
	size_t count = asidebook_cuts_of(b, tenant, names[series], cuts);
	return asidebook_hides(b, cuts, count, slot, t_ms);
}

static void bytes(const char *root)
{
	struct asidebook b, got;
	struct fsio_dir *d;
	struct matcher m[2];
	struct buf out;
	struct errbuf eb;
	uint64_t done[2] = { 5, 1ull << 40 }, rank[2] = { 7, 9 };
	CHECK(!fsio_dir_open(root, false, &d));
	asidebook_init(&b, 2);
	CHECK(!asidebook_load(&b, d, &eb) && !asidebook_waits(&b));
	asidebook_note(&b, 3, done, rank);
	asidebook_note(&b, 4, rank, done);
	asidebook_note(&b, 3, rank, done);
	CHECK(!matcher_init(&m[0], MATCHER_RE, "series", 6, "number-(1|2)", 12, &eb));
	CHECK(!matcher_init(&m[1], MATCHER_EQ, "__name__", 8, "aside", 5, &eb));
	struct asidebook_selector sel[2] = { { m, 2 }, { &m[1], 1 } };
	struct asidebook_cut one = {
		.tenant = 1, .t_min_ms = -5, .t_max_ms = 5, .selectors = sel, .selectors_count = 1
	};
	struct asidebook_cut all = { .tenant = 2,
		.t_min_ms = INT64_MIN,
		.t_max_ms = INT64_MAX,
		.selectors = sel,
		.selectors_count = 2 };
	CHECK(!asidebook_delete(&b, d, &one, &eb));
	asidebook_note(&b, 9, done, rank);
	CHECK(!asidebook_delete(&b, d, &all, &eb) && !asidebook_delete(&b, d, &all, &eb));
	tap_is_u64(b.cuts_count, 2, "the same deletion stands there once");
	size_t used = arena_used(&b._arena);
	unsigned refused = 0;
	for (unsigned i = 0; i < 100; i++) {
		CHECK(!asidebook_delete(&b, d, &all, &eb));
		one.t_max_ms = 6 + i;
		fault_start(NULL);
		fault_set_errno(FAULT_OPEN, ASIDEBOOK_NAME ".tmp", 1, UINT64_MAX, ENOSPC);
		refused += asidebook_delete(&b, d, &one, &eb) == ERR_NOSPACE;
		fault_stop();
	}
	tap_ok(refused == 100 && arena_used(&b._arena) == used && b.cuts_count == 2,
	    "asked again, or refused, it holds nothing");
	asidebook_init(&got, 2);
	CHECK(!asidebook_load(&got, d, &eb));
	const struct asidebook_file *f = asidebook_find(&got, 3);
	tap_ok(got.files_count == 3 && f && f->complete_to[1] == 1ull << 40 && f->rank[0] == 7 &&
	        !asidebook_find(&got, 5) && !got.dirty,
	    "numbers of each file are those of the first note");
	tap_ok(drops(&got, 3, 1, 1, -5) && drops(&got, 4, 1, 2, 5) && !drops(&got, 9, 1, 1, 0) &&
	        !drops(&got, 3, 1, 3, 0) && !drops(&got, 3, 1, 1, 6) && !drops(&got, 3, 3, 1, 0),
	    "a deletion is of the files of then, of its tenant, labels and times");
	tap_ok(drops(&got, 9, 2, 3, INT64_MAX) && drops(&got, 3, 2, 0, INT64_MIN),
	    "one of several selectors will do");
	buf_init(&out);
	asidebook_encode(&got, &out);
	unsigned wrong = 0, half = 0;
	for (size_t i = 0; i < out.len; i++) {
		struct asidebook x;
		uint8_t was = out.data[i], twin = out.data[(i + out.len / 2) % out.len];
		asidebook_init(&x, 2);
		out.data[i] ^= 0x10;
		half += asidebook_decode(&x, out.data, out.len) != ERR_OK || x.cuts_count != 2;
		asidebook_release(&x);
		asidebook_init(&x, 2);
		out.data[(i + out.len / 2) % out.len] ^= 0x10;
		wrong += asidebook_decode(&x, out.data, out.len) != ERR_DAMAGED || x.files_count;
		asidebook_release(&x);
		out.data[i] = was;
		out.data[(i + out.len / 2) % out.len] = twin;
	}
	tap_ok(
	    !half && !wrong && out.len > 100, "each byte is covered, and one whole copy is enough");
	struct asidebook three;
	asidebook_init(&three, 3);
	tap_ok(asidebook_decode(&three, out.data, out.len) == ERR_DAMAGED,
	    "of another number of shards");
	asidebook_release(&three);
	asidebook_forget(&got, 9);
	asidebook_keep(&got, &(uint32_t){ 4 }, 1);
	tap_ok(got.files_count == 1 && got.cuts_count == 2 && got.cuts[0].slots_count == 1 &&
	        !asidebook_save(&got, d),
	    "what lies aside no more goes");
	asidebook_keep(&got, NULL, 0);
	tap_ok(!got.cuts_count && !asidebook_waits(&got) && !asidebook_save(&got, d) &&
	        !asidebook_load(&got, d, &eb) && !asidebook_waits(&got),
	    "and with the last one the book");
	buf_release(&out);
	matcher_release(&m[0]);
	matcher_release(&m[1]);
	asidebook_release(&b);
	asidebook_release(&got);
	fsio_dir_close(d);
}

int main(void)
{
	struct errbuf eb;
	log_setup(LOG_LEVEL_NONE, false);
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	char *root = testlib_tmpdir("aside"), *dir = testlib_path(root, "dir");
	arena_init(&arena, 1 << 16);
	base_ms = clock_wall_ms() / 7200000 * 7200000 - 2 * 7200000;
	for (unsigned i = 0; i < SERIES; i++) {
		char value[32];
		snprintf(value, sizeof(value), "number-%u", i);
		names[i] = label_make(&arena, "__name__", "aside", "series", value, NULL);
		others[i] = label_make(&arena, "__name__", "other", "series", value, NULL);
	}
	CHECK(!matcher_init(&of_names, MATCHER_EQ, LABEL_NAME, strlen(LABEL_NAME), "aside", 5, &eb));
	CHECK(!matcher_init(&of_others, MATCHER_EQ, LABEL_NAME, strlen(LABEL_NAME), "other", 5, &eb));
	walog_pause_ms = 0;
	walog_retry_ms = 20;
	bytes(root);
	fault_start(NULL);
	gone_before(root, dir);
	other_ids(root, dir);
	ids_given_again(root, dir);
	broken_book(root, dir);
	fault_stop();
	matcher_release(&of_names);
	matcher_release(&of_others);
	arena_release(&arena);
	testlib_rmtree(root);
	free(dir);
	free(root);
	return tap_done();
}
