/*
 * Failing calls at the start and under a running log. Every Nth call of the file system fails,
 * once or from then on, with each errno: a start is refused with a text, or goes on; writes are
 * acknowledged or not; and when the disk is well again everything acknowledged is found and
 * writes go on. Then what a start must refuse, and what it must remember.
 *
 * KYMO_FAULTS (240) failing calls in all; 0 = every one.
 */
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "core/base/wire.h"
#include "storage/cfile/cfile_priv.h"
#include "storage/cfile/files.h"
#include "storage/manifest.h"
#include "storage/meta/catalog_priv.h"
#include "storage/store_priv.h"
#include "storage/wal/replay.h"
#include "storage/wal/walog_priv.h"
#include "storage/wal/walrec.h"
#include "tests/lib/fault.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define SERIES   60
#define SLOTS    400
#define STEP     15000
#define LOOPS    2
#define HOURS_MS (2 * 3600 * 1000) /* more than an idle series may stay for */

static struct arena arena;
static struct labels names[SERIES];
static int64_t base_ms;
static bool acked[SERIES][SLOTS];
static const int errnums[] = { EIO, ENOSPC, EMFILE, ENFILE, ENOMEM, EACCES };

static double value_of(unsigned series, unsigned slot)
{
	return (double)series * 10000 + slot;
}

static void opts(struct storetest *s, const char *dir)
{
	storetest_init(s, dir);
	s->opts.shards = 2;
	s->opts.log_segment_bytes = WALSEG_MIN_BYTES;
	s->opts.log_probe_ms = 200;
	s->opts.retention_ms = 10LL * 365 * 24 * 3600 * 1000;
}

/* One row of each series; what is acknowledged is noted. */
static enum err put(struct storetest *s, unsigned slot)
{
	struct storetest_row rows[SERIES];
	for (unsigned i = 0; i < SERIES; i++) {
		rows[i] = (struct storetest_row){ .labels = names[i],
			.t_ms = base_ms + (int64_t)slot * STEP,
			.v = value_of(i, slot) };
		storetest_row_kind(&rows[i]);
	}
	struct storetest_verdict v = storetest_write(s, slot % LOOPS, rows, SERIES);
	for (unsigned i = 0; !v.err && i < SERIES; i++)
		acked[i][slot] = true;
	return v.err ? v.err : v.refused ? ERR_BADDATA : ERR_OK;
}

struct found {
	unsigned wrong;
	bool there[SERIES][SLOTS];
};

static void take(void *arg, struct labels ls, const struct sample_column *col)
{
	struct found *f = arg;
	unsigned i = 0;
	while (i < SERIES && !label_equal(names[i], ls))
		i++;
	for (uint32_t k = 0; k < col->count; k++) {
		int64_t slot = (col->t_ms[k] - base_ms) / STEP;
		double v;
		if (i == SERIES || slot < 0 || slot >= SLOTS || !storetest_value(col, k, &v) ||
		    v != value_of(i, (unsigned)slot) || f->there[i][slot])
			f->wrong++;
		else
			f->there[i][slot] = true;
	}
}

/* Samples that were acknowledged and are missing, or are wrong. */
static unsigned faults_of(struct storetest *s)
{
	static struct found f;
	memset(&f, 0, sizeof(f));
	enum err e = storetest_read(s, NULL, 0, base_ms, base_ms + (int64_t)SLOTS * STEP, take, &f);
	unsigned bad = f.wrong + (e != ERR_OK);
	for (unsigned i = 0; i < SERIES; i++)
		for (unsigned slot = 0; slot < SLOTS; slot++)
			bad += acked[i][slot] && !f.there[i][slot];
	return bad;
}

/* Files of two ranges, a log of several segments behind them, as kill -9 leaves it. */
static void base_make(const char *root, const char *dir)
{
	struct storetest s;
	char *live = testlib_path(root, "live");
	opts(&s, live);
	CHECK(!storetest_open(&s, LOOPS));
	for (unsigned slot = 0; slot < 40; slot++)
		CHECK(!put(&s, slot));
	CHECK(!storetest_flush(&s));
	for (unsigned slot = 40; slot < 80; slot++)
		CHECK(!put(&s, slot));
	CHECK(!storetest_flush(&s));
	for (unsigned slot = 80; slot < 200; slot++)
		CHECK(!put(&s, slot));
	testlib_copy(live, dir);
	storetest_close(&s);
	testlib_rmtree(live);
	free(live);
}

/* Writes go on once the fault has passed. */
static bool put_until_well(struct storetest *s, unsigned slot)
{
	enum err e = put(s, slot);
	for (unsigned i = 0; e && i < 60000; i++) {
		usleep(10000);
		e = put(s, slot);
	}
	if (e)
		tap_note("writes do not go on: %s", err_text(e));
	return !e;
}

static enum err try_open(struct storetest *s, struct errbuf *eb)
{
	errbuf_init(eb);
	testteam_start(&s->tt, LOOPS);
	s->opts.team = s->tt.team;
	s->opts.pool = s->tt.pool;
	enum err e = store_open(&s->opts, &s->store, eb);
	if (e)
		testteam_stop(&s->tt);
	return e;
}

/* ---- every call of a start ---- */

struct sweep {
	const char *base, *dir;
	unsigned refused, silent, lost, stuck, opened;
};

/* The nth call and those after it (count) fail with errnum. false: so many calls are not made. */
static bool start_once(struct sweep *w, uint64_t n, uint64_t count, int errnum)
{
	struct storetest s;
	struct errbuf eb;
	static bool before[SERIES][SLOTS];
	memcpy(before, acked, sizeof(acked));
	testlib_copy(w->base, w->dir);
	opts(&s, w->dir);
	fault_set_errno(FAULT_ANY, NULL, n, count, errnum);
	enum err e = try_open(&s, &eb);
	bool hit = fault_hits(FAULT_ANY) > 0;
	fault_set(FAULT_ANY, NULL, 1, 0, ERR_OK);
	if (e) {
		w->refused++;
		w->silent += !eb.text[0];
	} else {
		w->opened++;
		bool well = put_until_well(&s, 200);
		w->stuck += !well;
		if (!well)
			tap_note("call %llu, %llu times, errno %d", (unsigned long long)n,
			    (unsigned long long)count, errnum);
		storetest_close(&s);
	}
	opts(&s, w->dir);
	e = try_open(&s, &eb);
	unsigned bad = e ? 1 : faults_of(&s);
	if (bad)
		tap_note("call %llu, %llu times, errno %d: %u missing afterwards: %s",
		    (unsigned long long)n, (unsigned long long)count, errnum, bad, eb.text);
	w->lost += bad != 0;
	if (!e)
		storetest_close(&s);
	memcpy(acked, before, sizeof(acked));
	return hit;
}

static uint64_t calls_of_start(struct sweep *w)
{
	struct storetest s;
	struct errbuf eb;
	testlib_copy(w->base, w->dir);
	opts(&s, w->dir);
	fault_set_errno(FAULT_ANY, NULL, 1, 0, EIO);
	uint64_t n = 1;
	/* A fault far away counts. */
	fault_set(FAULT_ANY, NULL, UINT64_MAX / 2, 1, ERR_IO);
	CHECK(!try_open(&s, &eb));
	n = fault_calls(FAULT_ANY);
	storetest_close(&s);
	return n;
}

static void start_sweep(const char *base, const char *dir, unsigned budget)
{
	struct sweep w = { .base = base, .dir = dir };
	fault_start(NULL);
	uint64_t calls = calls_of_start(&w);
	uint64_t all = calls * COUNT_OF(errnums) * 2;
	uint64_t step = budget && all > budget ? all / budget : 1;
	unsigned tried = 0;
	for (uint64_t k = 0; k < all; k += step, tried++) {
		uint64_t n = 1 + k / (COUNT_OF(errnums) * 2);
		start_once(&w, n, k & 1 ? UINT64_MAX : 1, errnums[(k >> 1) % COUNT_OF(errnums)]);
	}
	fault_stop();
	tap_note("%llu calls of a start, %u faults: %u refused, %u opened",
	    (unsigned long long)calls, tried, w.refused, w.opened);
	tap_ok(tried > 10 && w.refused > 0 && w.opened > 0, "calls of a start fail");
	tap_is_u64(w.silent, 0, "a start that is refused says why");
	tap_is_u64(w.lost, 0, "the next start finds everything");
	tap_is_u64(w.stuck, 0, "one that goes on takes writes when the fault has passed");
}

/* ---- every call under a running log ---- */

static void running_once(struct sweep *w, uint64_t n, uint64_t count, int errnum, bool rounds)
{
	struct storetest s;
	struct errbuf eb;
	static bool before[SERIES][SLOTS];
	memcpy(before, acked, sizeof(acked));
	testlib_copy(w->base, w->dir);
	opts(&s, w->dir);
	CHECK(!try_open(&s, &eb));
	fault_set_errno(FAULT_ANY, NULL, n, count, errnum);
	for (unsigned slot = 200; slot < 260; slot++) {
		enum err e = put(&s, slot);
		w->refused += e != ERR_OK;
		if (e == ERR_BADDATA)
			w->silent++;
		if (rounds && slot % 20 == 10)
			(void)storetest_flush(&s);
	}
	fault_set(FAULT_ANY, NULL, 1, 0, ERR_OK);
	bool well = put_until_well(&s, 260);
	w->stuck += !well;
	storetest_close(&s);
	opts(&s, w->dir);
	enum err e = try_open(&s, &eb);
	unsigned bad = e ? 1 : faults_of(&s);
	if (bad || !well)
		tap_note("call %llu, %llu times, errno %d, rounds %d: %u missing: %s",
		    (unsigned long long)n, (unsigned long long)count, errnum, rounds, bad, eb.text);
	w->lost += bad != 0;
	if (!e)
		storetest_close(&s);
	memcpy(acked, before, sizeof(acked));
}

static void running_sweep(const char *base, const char *dir, unsigned budget)
{
	struct sweep w = { .base = base, .dir = dir };
	unsigned tried = 0;
	fault_start(NULL);
	for (uint64_t n = 1; n < 260; n += budget ? 1 + 260 * 12 / budget : 1)
		for (size_t i = 0; i < COUNT_OF(errnums); i++, tried++) {
			uint64_t count = i % 2 ? 40 : 1;
			/* rounds that fail wait for seconds: by hand only */
			running_once(&w, n + i, n % 2 ? count : 41 - count, errnums[i],
			    !budget && tried % 3 == 0);
		}
	fault_stop();
	tap_note("%u faults, %u requests not acknowledged", tried, w.refused);
	tap_ok(tried > 10 && w.refused > 0, "calls under a running log fail");
	tap_is_u64(w.silent, 0, "no good row is refused as bad for it");
	tap_is_u64(w.lost, 0, "everything acknowledged is found afterwards");
	tap_is_u64(w.stuck, 0, "and writes go on when the fault has passed");
}

/* ---- the heads of the log ---- */

/* All reads of a segment fail for a whole start; the disk is well again at the next one. */
static void unread_head(const char *base, const char *dir)
{
	struct storetest s;
	struct errbuf eb;
	static bool had[SERIES][SLOTS];
	memcpy(had, acked, sizeof(acked));
	testlib_copy(base, dir);
	opts(&s, dir);
	uint64_t before = metric_sum(M_LOG_DAMAGED_FRAMES);
	fault_start(NULL);
	fault_set_errno(FAULT_READ, ".seg", 1, 4, EIO);
	TAP_OK(try_open(&s, &eb) == ERR_OK);
	fault_set(FAULT_READ, NULL, 1, 0, ERR_OK);
	tap_is_u64(faults_of(&s), 0, "a head that cannot be read at first is tried again");
	tap_ok(metric_sum(M_LOG_DAMAGED_FRAMES) == before, "and nothing is counted as damage");
	storetest_close(&s);

	testlib_copy(base, dir);
	opts(&s, dir);
	fault_set_errno(FAULT_READ, ".seg", 1, UINT64_MAX, EIO);
	enum err e = try_open(&s, &eb);
	fault_set(FAULT_READ, NULL, 1, 0, ERR_OK);
	tap_ok(e == ERR_OK,
	    "a log that cannot be read does not keep the rest from being served: %s", eb.text);
	tap_ok(metric_sum(M_LOG_DAMAGED_FRAMES) > before, "it is counted");
	tap_ok(put_until_well(&s, 201), "writes are taken");
	storetest_close(&s);
	fault_stop();
	opts(&s, dir);
	TAP_OK(try_open(&s, &eb) == ERR_OK);
	tap_is_u64(faults_of(&s), 0, "when the disk is well again, everything is found");
	storetest_close(&s);
	opts(&s, dir);
	TAP_OK(try_open(&s, &eb) == ERR_OK);
	tap_is_u64(faults_of(&s), 0, "and at the start after that");
	storetest_close(&s);
	memcpy(acked, had, sizeof(acked));
}

static enum err seg_name(void *arg, const char *name)
{
	char(*list)[WALSEG_NAME_MAX] = arg;
	uint32_t slot;
	while ((*list)[0])
		list++;
	if (walseg_name_parse(name, &slot))
		snprintf(*list, WALSEG_NAME_MAX, "%s", name);
	return ERR_OK;
}

static void look_aside(void *arg, const char *name, size_t bytes)
{
	(void)bytes;
	*(size_t *)arg +=
	    !strncmp(name, "log/", 4) && (strstr(name, "unread") || strstr(name, "waiting"));
}

static size_t count_aside(const char *dir)
{
	size_t count = 0;
	testlib_files(dir, look_aside, &count);
	return count;
}

/*
 * No file holds anything yet, and the definitions stand in the first segment. One segment at a
 * time cannot be read for a whole start, which goes on, gives ids anew, and puts all it has into
 * files.
 */
static void unread_segment(const char *root, const char *dir)
{
	struct storetest s;
	struct errbuf eb;
	static bool had[SERIES][SLOTS];
	static char segs[40][WALSEG_NAME_MAX];
	unsigned tried = 0, bad = 0, stays = 0, longest = 0;
	char *base = testlib_path(root, "nofiles"), *log = testlib_path(base, "log");
	struct fsio_dir *d;
	memcpy(had, acked, sizeof(acked));
	memset(acked, 0, sizeof(acked));
	opts(&s, base);
	CHECK(!storetest_open(&s, LOOPS));
	for (unsigned slot = 0; slot < 200; slot++)
		CHECK(!put(&s, slot));
	testlib_copy(base, dir);
	storetest_close(&s);
	testlib_copy(dir, base); /* as kill -9 left it */
	CHECK(!fsio_dir_open(log, false, &d));
	CHECK(!fsio_dir_each(d, seg_name, segs));
	fsio_dir_close(d);
	static bool base_acked[SERIES][SLOTS];
	memcpy(base_acked, acked, sizeof(acked));
	fault_start(NULL);
	for (unsigned i = 0; segs[i][0]; i++, tried++) {
		memcpy(acked, base_acked, sizeof(acked));
		testlib_copy(base, dir);
		opts(&s, dir);
		fault_set_errno(FAULT_READ, segs[i], 1, UINT64_MAX, EIO);
		enum err e = try_open(&s, &eb);
		bad += e != ERR_OK;
		for (unsigned slot = 210; !e && slot < 240; slot++)
			bad += !put_until_well(&s, slot);
		bad += !e && storetest_flush(&s) != ERR_OK;
		fault_set(FAULT_READ, NULL, 1, 0, ERR_OK);
		if (!e)
			storetest_close(&s);
		for (unsigned starts = 0; starts < 2; starts++) {
			opts(&s, dir);
			e = try_open(&s, &eb);
			unsigned missing = e ? 1 : faults_of(&s);
			if (missing)
				tap_note("%s unread: %u missing %s", segs[i], missing, eb.text);
			bad += missing != 0;
			if (!e)
				storetest_close(&s);
		}
		stays += count_aside(dir) != 0;
		longest = i;
	}
	fault_stop();
	tap_ok(tried > 3 && longest > 2, "each of %u segments cannot be read for a start", tried);
	tap_is_u64(bad, 0, "the next one finds all rows again, whatever ids they had");
	tap_is_u64(stays, 0, "and nothing lies aside any more");
	memcpy(acked, had, sizeof(acked));
	free(log);
	free(base);
}

static void count_rows(void *arg, struct labels ls, const struct sample_column *col)
{
	(void)ls;
	*(size_t *)arg += col->count;
}

static size_t rows_between(struct storetest *s, unsigned first, unsigned last)
{
	size_t n = 0;
	CHECK(!storetest_read(s, NULL, 0, base_ms + (int64_t)first * STEP,
	    base_ms + (int64_t)last * STEP, count_rows, &n));
	return n;
}

/*
 * The same with series that files define, and what the segment holds is deleted while it lies
 * aside, in files and memory: a later start that can read it does not bring it back, only what
 * was not deleted.
 */
static void deleted_while_aside(const char *root, const char *dir)
{
	struct storetest s;
	struct errbuf eb;
	struct matcher m;
	static char segs[40][WALSEG_NAME_MAX];
	unsigned tried = 0, bad = 0, back = 0, lost = 0, aside = 0;
	char *base = testlib_path(root, "infiles"), *log = testlib_path(base, "log");
	struct fsio_dir *d;
	CHECK(!matcher_init(&m, MATCHER_NE, LABEL_NAME, strlen(LABEL_NAME), "", 0, &eb));
	static bool had[SERIES][SLOTS];
	memcpy(had, acked, sizeof(acked));
	memset(segs, 0, sizeof(segs));
	opts(&s, base);
	CHECK(!storetest_open(&s, LOOPS));
	CHECK(!put(&s, 0) && !storetest_flush(&s));
	for (unsigned slot = 1; slot < 200; slot++)
		CHECK(!put(&s, slot));
	testlib_copy(base, dir);
	storetest_close(&s);
	testlib_copy(dir, base); /* as kill -9 left it */
	CHECK(!fsio_dir_open(log, false, &d));
	CHECK(!fsio_dir_each(d, seg_name, segs));
	fsio_dir_close(d);
	fault_start(NULL);
	for (unsigned i = 0; segs[i][0]; i++, tried++) {
		testlib_copy(base, dir);
		opts(&s, dir);
		fault_set_errno(FAULT_READ, segs[i], 1, UINT64_MAX, EIO);
		enum err e = try_open(&s, &eb);
		bad += e != ERR_OK;
		aside += count_aside(dir) != 0;
		bad += !e && storetest_delete(&s, &m, 1, base_ms, base_ms + 150ll * STEP) != ERR_OK;
		for (unsigned slot = 210; !e && slot < 240; slot++)
			bad += !put_until_well(&s, slot);
		bad += !e && (storetest_flush(&s) || storetest_clean(&s));
		bad += !e && rows_between(&s, 0, 150) != 0;
		if (!e)
			storetest_close(&s);
		fault_set(FAULT_READ, NULL, 1, 0, ERR_OK);
		for (unsigned starts = 0; starts < 2; starts++) {
			opts(&s, dir);
			e = try_open(&s, &eb);
			bad += e != ERR_OK;
			back += !e && rows_between(&s, 0, 150) != 0;
			lost += !e &&
			    (rows_between(&s, 151, 199) != 49u * SERIES ||
			        rows_between(&s, 210, 239) != 30u * SERIES);
			if (!e)
				storetest_close(&s);
		}
		bad += count_aside(dir) != 0;
	}
	fault_stop();
	tap_ok(tried > 3 && !bad && aside == tried, "each of %u segments lies aside for a start",
	    tried);
	tap_is_u64(back, 0, "what was deleted meanwhile does not come back with it");
	tap_is_u64(lost, 0, "the rest is there");
	memcpy(acked, had, sizeof(acked));
	matcher_release(&m);
	free(log);
	free(base);
}

/* ---- what a start must refuse ---- */

static void patch(const char *dir, const char *name, off_t at, const void *bytes, size_t len)
{
	char *p = testlib_path(dir, name);
	int fd = open(p, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK(pwrite(fd, bytes, len, at) == (ssize_t)len);
	close(fd);
	free(p);
}

static size_t fetch(const char *dir, const char *name, uint8_t *out, size_t cap)
{
	char *p = testlib_path(dir, name);
	int fd = open(p, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	ssize_t n = read(fd, out, cap);
	CHECK(n >= 0);
	close(fd);
	free(p);
	return (size_t)n;
}

static void later_manifest(const char *dir)
{
	uint8_t b[MANIFEST_BYTES];
	CHECK(fetch(dir, "MANIFEST.b", b, sizeof(b)) == sizeof(b));
	wire_store32(b + 8, MANIFEST_VERSION + 1);
	wire_store32(b + 60, crc32c(0, b, 60));
	patch(dir, "MANIFEST.b", 0, b, sizeof(b));
}

static void later_files(const char *dir)
{
	static uint8_t b[1 << 16];
	char crc[16];
	size_t n = fetch(dir, "shards/00/FILES", b, sizeof(b));
	uint8_t *newline = memchr(b, '\n', n);
	CHECK(newline && n > 30);
	newline[-1] += 2; /* the number in its first line; 3 is known, too */
	snprintf(crc, sizeof(crc), "%08x\n", crc32c(0, b, n - 13));
	memcpy(b + n - 9, crc, 9);
	patch(dir, "shards/00/FILES", 0, b, n);
}

static enum err first_kcf(void *arg, const char *name)
{
	char *out = arg;
	if (strstr(name, ".kcf") && !out[0])
		snprintf(out, 64, "shards/00/%s", name);
	return ERR_OK;
}

static void later_cfile(const char *dir)
{
	struct fsio_dir *d;
	char name[64] = "", *sub = testlib_path(dir, "shards/00");
	uint8_t h[CFILE_HEADER];
	CHECK(!fsio_dir_open(sub, false, &d));
	CHECK(!fsio_dir_each(d, first_kcf, name));
	fsio_dir_close(d);
	free(sub);
	CHECK(name[0] && fetch(dir, name, h, sizeof(h)) == sizeof(h));
	wire_store16(h + 8, CFILE_VERSION + 1);
	wire_store32(h + 60, crc32c(0, h, 60));
	patch(dir, name, 0, h, sizeof(h));
	struct stat st;
	char *p = testlib_path(dir, name);
	CHECK(!stat(p, &st));
	free(p);
	patch(dir, name, (size_t)st.st_size - CFILE_FOOTER, h, sizeof(h)); /* its copy */
}

static void later_metadata(const char *dir)
{
	static const uint8_t body[] = "KYMOMETA\x02and whatever it says";
	uint8_t b[sizeof(body) + 4];
	char *p = testlib_path(dir, "METADATA");
	memcpy(b, body, sizeof(body));
	wire_store32(b + sizeof(body), crc32c(0, b, sizeof(body)));
	int fd = open(p, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	CHECK(write(fd, b, sizeof(b)) == (ssize_t)sizeof(b));
	close(fd);
	free(p);
}

static enum err no_frame(void *arg, uint64_t seq, const uint8_t *payload, size_t len)
{
	(void)arg;
	(void)seq;
	(void)payload;
	(void)len;
	return ERR_OK;
}

/* A segment behind all others with one frame: one group, its record of a tag nobody knows. */
static void later_record(const char *dir)
{
	struct fsio_dir *d;
	struct replay_result r;
	static const struct replay_ops ops = { .frame = no_frame };
	char *log = testlib_path(dir, "log");
	struct fsio_file *f;
	struct buf b;
	struct walrec_writer w;
	uint8_t head[WALSEG_FRAME_BYTES];
	CHECK(!fsio_dir_open(log, false, &d));
	CHECK(!replay_run(d, &ops, NULL, &r, NULL));
	struct walseg_head h = { .slot = r.next_slot,
		.order = r.next_order,
		.salt = 77,
		.first_seq = r.next_seq,
		.prev_end = r.next_seq - 1,
		.size = WALSEG_MIN_BYTES };
	buf_init(&b);
	walrec_begin(&w, &b);
	walrec_group(&w, 1, 100000);
	walrec_tomb(&w, "x", 1);
	walrec_end(&w);
	b.data[b.len - 3] = 0x2a;
	walseg_frame_put(
	    head, walseg_salt_crc(h.salt), h.first_seq, h.prev_end, b.data, (uint32_t)b.len);
	CHECK(!walseg_make(d, h.slot, WALSEG_MIN_BYTES, false, &f));
	CHECK(!fsio_write_at(f, head, sizeof(head), WALSEG_DATA));
	CHECK(!fsio_write_at(f, b.data, b.len, WALSEG_DATA + sizeof(head)));
	CHECK(!walseg_head_write(f, &h));
	fsio_close(f);
	buf_release(&b);
	replay_result_release(&r);
	fsio_dir_close(d);
	free(log);
}

static void later_formats(const char *base, const char *dir)
{
	static const struct {
		void (*make)(const char *dir);
		const char *names;
	} t[] = { { later_manifest, "MANIFEST.b" }, { later_files, "shards/00: FILES" },
		{ later_cfile, ".kcf" }, { later_metadata, "METADATA" },
		{ later_record, "shard 1" } };
	for (size_t i = 0; i < COUNT_OF(t); i++) {
		struct storetest s;
		struct errbuf eb;
		testlib_copy(base, dir);
		t[i].make(dir);
		opts(&s, dir);
		enum err e = try_open(&s, &eb);
		tap_ok(e == ERR_UNSUPPORTED && strstr(eb.text, t[i].names) &&
		        strstr(eb.text, "later format"),
		    "%s: %s", t[i].names, e ? eb.text : "the store opens");
		if (!e)
			storetest_close(&s);
		e = try_open(&s, &eb);
		tap_ok(e == ERR_UNSUPPORTED, "and again: nothing was changed");
		if (!e)
			storetest_close(&s);
	}
}

static void later_catalog(const char *base, const char *dir)
{
	struct storetest s;
	struct errbuf eb;
	char *path = testlib_path(dir, "catalog");
	struct env *env;
	struct env_db *db;
	struct env_txn t;
	uint8_t v[8];
	testlib_copy(base, dir);
	CHECK(!env_open(&(struct env_opts){ .path = path, .dbs_max = 20 }, &env, NULL));
	CHECK(!env_db(env, "state", &db, NULL));
	CHECK(!env_begin_write(env, 0, &t, NULL));
	wire_store32(v, CATALOG_VERSION + 1);
	wire_store32(v + 4, 2);
	env_put(&t, db, "format", 6, v, sizeof(v));
	CHECK(!env_commit(&t));
	env_close(env);
	opts(&s, dir);
	enum err e = try_open(&s, &eb);
	tap_ok(e == ERR_UNSUPPORTED && strstr(eb.text, "later format"), "catalog: %s", eb.text);
	if (!e)
		storetest_close(&s);
	free(path);
}

/* ---- MANIFEST ---- */

static void one_manifest(const char *base, const char *dir)
{
	static const char *const names_of[] = { "MANIFEST.a", "MANIFEST.b" };
	fault_start(NULL);
	for (size_t i = 0; i < 2; i++) {
		for (size_t k = 0; k < COUNT_OF(errnums); k++) {
			struct storetest s;
			struct errbuf eb;
			testlib_copy(base, dir);
			opts(&s, dir);
			fault_set_errno(FAULT_READ, names_of[i], 1, UINT64_MAX, errnums[k]);
			fault_set_errno(FAULT_WRITE, names_of[i], 1, UINT64_MAX, errnums[k]);
			enum err e = try_open(&s, &eb);
			tap_ok(!e, "%s cannot be read, errno %d: the other copy is enough %s",
			    names_of[i], errnums[k], eb.text);
			if (!e)
				storetest_close(&s);
		}
	}
	struct storetest s;
	struct errbuf eb;
	opts(&s, dir);
	fault_set_errno(FAULT_OPEN, "MANIFEST", 1, UINT64_MAX, EMFILE);
	enum err e = try_open(&s, &eb);
	tap_ok(e == ERR_NOFILES && strstr(eb.text, "too many open files (EMFILE)"), "%s", eb.text);
	fault_set(FAULT_OPEN, NULL, 1, 0, ERR_OK);
	fault_set_errno(FAULT_OPEN, "LOCK", 1, UINT64_MAX, EACCES);
	e = try_open(&s, &eb);
	tap_ok(
	    e == ERR_ACCESS && strstr(eb.text, "LOCK cannot be opened: permission denied (EACCES)"),
	    "%s", eb.text);
	fault_stop();
}

/* ---- a catalog that is found damaged while the store runs ---- */

static bool exists(const char *dir, const char *name)
{
	char *p = testlib_path(dir, name);
	bool there = access(p, F_OK) == 0;
	free(p);
	return there;
}

/* One byte in each copy of a record in the catalog's file. */
static unsigned flip_all(const char *dir, const void *bytes, size_t len)
{
	char *p = testlib_path(dir, "catalog/data.mdb");
	int fd = open(p, O_RDWR | O_CLOEXEC);
	struct stat st;
	CHECK(fd >= 0 && !fstat(fd, &st));
	uint8_t *all = mem_alloc((size_t)st.st_size);
	CHECK(pread(fd, all, (size_t)st.st_size, 0) == st.st_size);
	unsigned n = 0;
	for (off_t at = 0; at + (off_t)len <= st.st_size; at++) {
		if (memcmp(all + at, bytes, len) != 0)
			continue;
		uint8_t c = all[at + 3] ^ 1;
		CHECK(pwrite(fd, &c, 1, at + 3) == 1);
		n++;
	}
	mem_free(all);
	close(fd);
	free(p);
	return n;
}

/* The same to every block of definitions. They are found in a copy: LMDB opens no file twice. */
static unsigned flip_definitions(const char *dir, unsigned shards)
{
	char *copy = testlib_tmpdir("faultstart_copy"), *from = testlib_path(dir, "catalog");
	unsigned n = 0;
	MDB_env *env = NULL;
	MDB_txn *txn = NULL;
	testlib_copy(from, copy);
	CHECK(!mdb_env_create(&env) && !mdb_env_set_maxdbs(env, 64) &&
	    !mdb_env_open(env, copy, MDB_RDONLY, 0600) &&
	    !mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	for (unsigned i = 0; i < shards; i++) {
		char name[16];
		MDB_dbi dbi;
		MDB_cursor *c = NULL;
		MDB_val key, val;
		snprintf(name, sizeof(name), "def.%02u", i);
		CHECK(!mdb_dbi_open(txn, name, 0, &dbi) && !mdb_cursor_open(txn, dbi, &c));
		while (!mdb_cursor_get(c, &key, &val, MDB_NEXT))
			n += flip_all(dir, val.mv_data, val.mv_size);
		mdb_cursor_close(c);
	}
	mdb_txn_abort(txn);
	mdb_env_close(env);
	testlib_rmtree(copy);
	free(copy);
	free(from);
	return n;
}

static void remembered(const char *base, const char *dir)
{
	struct storetest s;
	struct errbuf eb;
	testlib_copy(base, dir);
	opts(&s, dir);
	TAP_OK(try_open(&s, &eb) == ERR_OK);
	storetest_close(&s);
	tap_ok(exists(dir, "CLEAN"), "an orderly end leaves CLEAN");
	for (unsigned round = 0; round < 2; round++) {
		TAP_OK(try_open(&s, &eb) == ERR_OK);
		uint64_t rebuilt = metric_sum(M_CATALOG_REBUILT);
		struct arena a;
		arena_init(&a, 1 << 20);
		unsigned flipped = flip_definitions(dir, 2), met = 0;
		for (unsigned shard = 0; shard < 2; shard++)
			for (uint32_t id = 0; id < SERIES; id++) {
				struct labels ls;
				errbuf_init(&eb);
				met += catalog_labels(s.store->catalogs.catalog, shard, &id, 1, &a,
				           &ls, NULL, &eb) == ERR_DAMAGED;
			}
		arena_release(&a);
		tap_ok(flipped > 0 && met > 0, "definitions are damaged in %u places, met %u times",
		    flipped, met);
		storetest_close(&s);
		/* it may have been renewed at once: then nothing is left to remember */
		tap_ok(metric_sum(M_CATALOG_REBUILT) > rebuilt ||
		        (!exists(dir, "CLEAN") && exists(dir, "CATALOG_DAMAGED")),
		    "it is remembered when the store ends");
		TAP_OK(try_open(&s, &eb) == ERR_OK);
		tap_ok(metric_sum(M_CATALOG_REBUILT) == rebuilt + 1 &&
		        !exists(dir, "CATALOG_DAMAGED") && exists(dir, "catalog.damaged"),
		    "the next start rebuilds%s", round ? ", for the second time as well" : "");
		tap_is_u64(faults_of(&s), 0, "and finds everything");
		storetest_close(&s);
		tap_ok(exists(dir, "CLEAN"), "then an orderly end leaves CLEAN again");
	}
}

/* ---- metadata alone does not hold the log ---- */

struct looking {
	struct store *store;
	uint64_t complete_to;
};
static void look(void *arg)
{
	struct looking *l = arg;
	l->complete_to = l->store->shards[0]->list.complete_to;
}

static void metadata_alone(const char *root)
{
	struct storetest s;
	struct errbuf eb;
	struct fsio_dir *d;
	char *dir = testlib_path(root, "meta"), *log = testlib_path(dir, "log");
	opts(&s, dir);
	TAP_OK(try_open(&s, &eb) == ERR_OK);
	storetest_close(&s);
	/* As kill -9 leaves it: one group of shard 0 with metadata, and nothing else. */
	CHECK(!fsio_dir_open(log, false, &d));
	struct buf b;
	struct walrec_writer w;
	struct fsio_file *f;
	uint8_t head[WALSEG_FRAME_BYTES];
	struct walseg_head h = {
		.slot = 50, .order = 50, .salt = 5, .first_seq = 100, .prev_end = 99, .size = WALSEG_MIN_BYTES
	};
	buf_init(&b);
	walrec_begin(&w, &b);
	walrec_group(&w, 0, 5);
	walrec_meta(&w,
	    &(struct walrec_meta){
	        .family = "up", .family_len = 2, .help = "h", .help_len = 1, .type = 1 });
	walrec_end(&w);
	walseg_frame_put(
	    head, walseg_salt_crc(h.salt), h.first_seq, h.prev_end, b.data, (uint32_t)b.len);
	CHECK(!walseg_make(d, h.slot, WALSEG_MIN_BYTES, false, &f));
	CHECK(!fsio_write_at(f, head, sizeof(head), WALSEG_DATA));
	CHECK(!fsio_write_at(f, b.data, b.len, WALSEG_DATA + sizeof(head)));
	CHECK(!walseg_head_write(f, &h));
	fsio_close(f);
	buf_release(&b);
	fsio_dir_close(d);
	s.opts.round_every_ms = 50;
	TAP_OK(try_open(&s, &eb) == ERR_OK);
	uint64_t complete_to = 0;
	for (unsigned i = 0; i < 30000 && complete_to < 5; i++) {
		usleep(20000);
		struct looking l = { .store = s.store };
		testteam_run(&s.tt, 0, look, &l);
		complete_to = l.complete_to;
	}
	tap_is_u64(complete_to, 5, "a round lets the log go though no row came");
	storetest_close(&s);
	free(log);
	free(dir);
}

/* ---- a shard that nobody writes to any more ---- */

static void silent_shard(const char *root)
{
	struct storetest s;
	struct errbuf eb;
	char *dir = testlib_path(root, "silent");
	opts(&s, dir);
	s.opts.round_every_ms = 50;
	uint64_t evicted = metric_sum(M_SERIES_EVICTED);
	TAP_OK(try_open(&s, &eb) == ERR_OK);
	unsigned silent = 0, refused = 0;
	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i < SERIES; i++) {
			struct hash128 fp = label_fingerprint(names[i], 0, s.store->manifest.seed);
			struct storetest_row row = { .labels = names[i],
				.t_ms = base_ms + pass * HOURS_MS };
			if (store_shard_of(s.store, fp) != pass)
				continue;
			silent += !pass;
			struct storetest_verdict v = storetest_write(&s, 0, &row, 1);
			refused += v.err || v.refused;
		}
	tap_ok(silent > 5 && !refused, "%u series of a shard are silent from now on", silent);
	/* Rows for the other shard only, again and again. */
	for (unsigned i = 0; i < 30000 && metric_sum(M_SERIES_EVICTED) - evicted < silent; i++) {
		usleep(20000);
		for (unsigned k = 0; k < SERIES; k++) {
			struct hash128 fp = label_fingerprint(names[k], 0, s.store->manifest.seed);
			struct storetest_row row = {
				.labels = names[k], .t_ms = base_ms + HOURS_MS + i, .v = 3
			};
			if (store_shard_of(s.store, fp) == 1)
				(void)storetest_write(&s, 0, &row, 1);
		}
	}
	tap_is_u64(metric_sum(M_SERIES_EVICTED) - evicted, silent,
	    "series of a shard without new rows leave memory too");
	storetest_close(&s);
	free(dir);
}

int main(void)
{
	log_setup(LOG_LEVEL_NONE, false);
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	const char *knob = getenv("KYMO_FAULTS");
	unsigned budget = knob ? (unsigned)strtoul(knob, NULL, 10) : 240;
	char *root = testlib_tmpdir("faultstart"), *base = testlib_path(root, "base"),
	     *dir = testlib_path(root, "dir");
	arena_init(&arena, 1 << 16);
	base_ms = clock_wall_ms() / 7200000 * 7200000 - 2 * 7200000;
	for (unsigned i = 0; i < SERIES; i++) {
		char name[32], value[32];
		snprintf(name, sizeof(name), "fault_%u", i % 4);
		snprintf(value, sizeof(value), "number-%u", i);
		names[i] = label_make(&arena, "__name__", name, "series", value, NULL);
	}
	walog_pause_ms = 0;
	walog_retry_ms = 20;
	base_make(root, base);
	later_formats(base, dir);
	later_catalog(base, dir);
	one_manifest(base, dir);
	unread_head(base, dir);
	unread_segment(root, dir);
	deleted_while_aside(root, dir);
	remembered(base, dir);
	metadata_alone(root);
	silent_shard(root);
	start_sweep(base, dir, budget / 2);
	running_sweep(base, dir, budget / 2);
	arena_release(&arena);
	testlib_rmtree(root);
	free(base);
	free(dir);
	free(root);
	return tap_done();
}
