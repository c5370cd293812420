/*
 * Snapshots (storage/back/snapshot.h).
 *
 * Histories: writes (late rows, overwrites, new series), rounds and merges go on while snapshots
 * are made, on a disk that remembers (tests/lib/fsdouble), in all modes of the log. Then each
 * snapshot is opened as a store of its own: out of images of power cuts after it was answered, and
 * where it lies, after the original went on for long: every row that was acknowledged before the
 * call is there, none older than acknowledged, nothing that was not sent. In images of a cut in the
 * middle a directory without ".part" is whole. The original is read again after its copies were
 * written to.
 * Then the rest: without the head, every call failing once, half ones, lists, deletions, queues.
 *
 * KYMO_HISTORIES (3), KYMO_SEED.
 */
#include <dirent.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "storage/back/snapshot.h"
#include "storage/wal/walog_priv.h"
#include "tests/lib/fault.h"
#include "tests/lib/fsdouble.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define SERIES     24
#define SLOTS      300
#define STEP       15000
#define WRITES_MAX 12
#define REQUESTS   120
#define SNAPS_MAX  6

static struct arena arena;
static struct labels names[SERIES];
static int64_t base_ms;
static uint64_t rng;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 33) % n;
}

/* Versions of a cell in the order sent; times are counts of requests: 0 = never. */
struct cell {
	unsigned count;
	double v[WRITES_MAX];
	unsigned sent[WRITES_MAX], acked[WRITES_MAX];
};
static struct cell cells[SERIES][SLOTS];
static unsigned now; /* requests begun */
static bool quiet;   /* what is bad is expected */

/* ---- asking ---- */

struct asking {
	struct storetest *s;
	struct snapshot_req r;
	sem_t done;
	unsigned called, answered; /* in requests */
	uint64_t point_called, point_answered;
};

static void ask_done(struct snapshot_req *r)
{
	sem_post(&CONTAINER_OF(r, struct asking, r)->done);
}

static void ask_here(void *arg)
{
	struct asking *a = arg;
	store_snapshot(a->s->store, &a->r);
}

static void ask_begin(struct asking *a, struct storetest *s, unsigned loop)
{
	a->s = s;
	a->r.done = ask_done;
	sem_init(&a->done, 0, 0);
	testteam_run(&s->tt, loop, ask_here, a);
}

static enum err ask(struct storetest *s, struct snapshot_req *r)
{
	struct asking a = { .r = *r };
	ask_begin(&a, s, 0);
	sem_wait(&a.done);
	*r = a.r;
	return r->err;
}

static char snap_text[ERRBUF_SIZE]; /* of the last one that failed */

static enum err snap(struct storetest *s, bool skip_head, char name[SNAPSHOT_NAME_MAX])
{
	struct snapshot_req r = { .ask = SNAPSHOT_MAKE, .skip_head = skip_head };
	enum err e = ask(s, &r);
	memcpy(name, r.name, SNAPSHOT_NAME_MAX);
	if (e) {
		name[0] = 0;
		memcpy(snap_text, r.eb.text, sizeof(snap_text));
	}
	return e;
}

/* ---- writing and judging ---- */

static void one_request(struct storetest *s, unsigned slot, unsigned loops)
{
	struct storetest_row rows[SERIES + 8] = { 0 };
	unsigned at[SERIES + 8][2];
	size_t n = 0;
	for (unsigned i = 0; i < SERIES; i++) {
		if (rnd(4))
			continue;
		at[n][0] = i;
		at[n++][1] = slot;
	}
	for (unsigned k = rnd(6); k; k--) {
		at[n][0] = rnd(SERIES);
		at[n++][1] = slot - rnd(slot > 100 ? 100 : slot + 1);
	}
	unsigned when = ++now;
	for (size_t k = 0; k < n; k++) {
		struct cell *c = &cells[at[k][0]][at[k][1]];
		bool again = c->count && (rnd(3) == 0 || c->count == WRITES_MAX);
		double v = again ? c->v[c->count - 1] : (double)rnd(100000) / (rnd(2) ? 1 : 8);
		rows[k] = (struct storetest_row){ .labels = names[at[k][0]],
			.t_ms = base_ms + (int64_t)at[k][1] * STEP,
			.v = v };
		storetest_row_kind(&rows[k]);
		if (!c->count || num_bits(c->v[c->count - 1]) != num_bits(v)) {
			c->v[c->count] = v;
			c->sent[c->count] = when;
			c->acked[c->count++] = 0;
		}
	}
	struct storetest_verdict v = storetest_write(s, rnd(loops), rows, n);
	for (size_t k = 0; !v.err && k < n; k++) {
		struct cell *c = &cells[at[k][0]][at[k][1]];
		for (unsigned x = c->count; x-- > 0;) {
			if (num_bits(c->v[x]) != num_bits(rows[k].v))
				continue;
			if (!c->acked[x])
				c->acked[x] = when;
			break;
		}
	}
}

struct found {
	double v[SERIES][SLOTS];
	bool there[SERIES][SLOTS];
	unsigned strange;
};

static void take(void *arg, struct labels ls, const struct sample_column *col)
{
	struct found *f = arg;
	unsigned i = 0;
	while (i < SERIES && !label_equal(names[i], ls))
		i++;
	for (uint32_t k = 0; k < col->count; k++) {
		int64_t slot = (col->t_ms[k] - base_ms) / STEP;
		if (i == SERIES || slot < 0 || slot >= SLOTS ||
		    base_ms + slot * STEP != col->t_ms[k] || f->there[i][slot]) {
			f->strange++;
			continue;
		}
		f->there[i][slot] = true;
		f->strange += !storetest_value(col, k, &f->v[i][slot]);
	}
}

/* What was acknowledged by then must be there, what was sent later must not. */
static unsigned judge(const struct found *f, unsigned acked, unsigned sent, const char *what)
{
	unsigned bad = f->strange;
	for (unsigned i = 0; i < SERIES; i++) {
		for (unsigned k = 0; k < SLOTS; k++) {
			const struct cell *c = &cells[i][k];
			int least = -1;
			for (unsigned x = 0; x < c->count; x++)
				if (c->acked[x] && c->acked[x] <= acked)
					least = (int)x;
			bool fits = !f->there[i][k] && least < 0;
			for (int x = least < 0 ? 0 : least; f->there[i][k] && x < (int)c->count; x++)
				fits |=
				    num_bits(c->v[x]) == num_bits(f->v[i][k]) && c->sent[x] <= sent;
			if (!fits && bad++ < 3 && !quiet)
				tap_note("%s: series %u slot %u: %s %g, acknowledged is %d of %u",
				    what, i, k, f->there[i][k] ? "found" : "lost", f->v[i][k],
				    least, c->count);
		}
	}
	return bad;
}

static bool read_open(struct storetest *s, struct found *f)
{
	memset(f, 0, sizeof(*f));
	return !storetest_read(s, NULL, 0, base_ms - STEP, base_ms + SLOTS * STEP, take, f);
}

/* Opens the directory as a store, judges; writes: then goes on in it, as a store does. */
static unsigned check(const char *dir, unsigned acked, unsigned sent, bool writes, const char *what)
{
	struct storetest s;
	static struct found f;
	storetest_init(&s, dir);
	s.opts.round_every_ms = 40;
	if (storetest_open(&s, 1 + rnd(2))) {
		tap_note("%s: does not open", what);
		return 1;
	}
	unsigned bad = read_open(&s, &f) ? judge(&f, acked, sent, what) : 1;
	for (unsigned k = 0; writes && k < 20; k++) {
		struct storetest_row row = {
			.labels = names[k % SERIES], .t_ms = base_ms + (SLOTS + 1) * STEP, .v = k
		};
		bad += storetest_write(&s, 0, &row, 1).err != 0;
		if (k % 10 == 9)
			bad += storetest_flush(&s) != 0;
	}
	storetest_close(&s);
	return bad;
}

static char *sub(const char *dir, const char *name)
{
	static char path[4096];
	snprintf(path, sizeof(path), "%s/" SNAPSHOTS_DIR "/%s", dir, name);
	return path;
}

/* ---- histories ---- */

struct waiting {
	struct asking a[SNAPS_MAX];
	unsigned count, answered;
};

static void answers_take(struct waiting *w)
{
	while (w->answered < w->count && !sem_trywait(&w->a[w->answered].done)) {
		struct asking *a = &w->a[w->answered++];
		a->answered = now;
		a->point_answered = fsdouble_point();
		if (a->r.err)
			tap_note("snapshot: %s %s", err_text(a->r.err), a->r.eb.text);
	}
}

static unsigned names_of(const char *dir, bool part)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/" SNAPSHOTS_DIR, dir);
	DIR *d = opendir(path);
	unsigned count = 0;
	for (struct dirent *ent; d && (ent = readdir(d));)
		count += part ? strstr(ent->d_name, SNAPSHOT_PART) != NULL
		              : snapshot_name_parse(ent->d_name, NULL);
	if (d)
		closedir(d);
	return count;
}

/* The power goes: after the answer the snapshot is whole; before, what has a name is. */
static unsigned check_image(struct asking *a, const char *top, uint64_t point, uint64_t seed)
{
	char dir[256], what[128];
	snprintf(dir, sizeof(dir), "%.100s/image", top);
	snprintf(what, sizeof(what), "%.60s, power cut %s the answer", a->r.name,
	    point >= a->point_answered ? "after" : "before");
	fsdouble_image(point, seed,
	    seed % 3 == 0       ? FSDOUBLE_SYNCED
	        : seed % 3 == 1 ? FSDOUBLE_ALL
	                        : FSDOUBLE_RANDOM,
	    dir);
	unsigned bad = 0;
	bool there = access(sub(dir, a->r.name), F_OK) == 0;
	if (point >= a->point_answered && !there) {
		tap_note("%s: it is gone", what);
		bad++;
	}
	if (there) {
		char copy[256];
		snprintf(copy, sizeof(copy), "%.100s/moved", top);
		CHECK(rename(sub(dir, a->r.name), copy) == 0);
		bad += check(copy, a->called, a->answered, false, what);
		testlib_rmtree(copy);
	}
	testlib_rmtree(dir);
	return bad;
}

static unsigned history(unsigned no, const char *what)
{
	char *top = testlib_tmpdir("snap");
	char dir[128];
	unsigned loops = 1 + no % 2, bad = 0;
	static struct waiting w;
	snprintf(dir, sizeof(dir), "%s/data", top);
	memset(cells, 0, sizeof(cells));
	memset(&w, 0, sizeof(w));
	now = 0;
	base_ms = clock_wall_ms() - SLOTS * STEP;
	base_ms -= base_ms % STEP;
	fsdouble_start(&(struct fsdouble_opts){ .root = dir,
	    .exclude = (const char *const[]){ "catalog", NULL },
	    .sync_delay_us = no % 2 ? 200 : 0 });
	struct storetest s;
	storetest_init(&s, dir);
	s.opts.shards = 3;
	s.opts.round_every_ms = 30;
	s.opts.log_segment_bytes = 64 << 10;
	s.opts.sync = (enum store_sync)(no % 3);
	CHECK(!storetest_open(&s, loops));
	for (unsigned k = 0; k < REQUESTS; k++) {
		one_request(&s, k * 2 + 20, loops);
		answers_take(&w);
		if (k % 20 == 3 && w.count < SNAPS_MAX) {
			struct asking *a = &w.a[w.count++];
			a->called = now;
			a->point_called = fsdouble_point();
			a->r.ask = SNAPSHOT_MAKE;
			ask_begin(a, &s, rnd(loops));
		}
		if (rnd(30) == 0)
			bad += storetest_flush(&s) != 0;
	}
	while (w.answered < w.count) {
		answers_take(&w);
		usleep(1000);
	}
	bad += storetest_flush(&s) != 0;
	uint64_t end = fsdouble_point();
	for (unsigned k = 0; k < w.count; k++) {
		struct asking *a = &w.a[k];
		bad += a->r.err != 0;
		uint64_t from = a->point_called, span = a->point_answered - from;
		bad += check_image(a, top, a->point_answered, no + k);
		bad += check_image(a, top, from + rnd((uint32_t)span + 1), no + k + 1);
		bad += check_image(a, top,
		    a->point_answered + rnd((uint32_t)(end - a->point_answered) + 1), no + k + 2);
	}
	storetest_close(&s);
	fsdouble_stop();
	/* where they lie, beside the original, which has freed its segments long since */
	for (unsigned k = 0; k < w.count; k++)
		bad += check(sub(dir, w.a[k].r.name), w.a[k].called, w.a[k].answered, true, what);
	bad += check(dir, now, now, false, what);
	if (!bad || quiet)
		testlib_rmtree(top);
	else
		tap_note("%s: kept: %s", what, top);
	free(top);
	return bad;
}

/* ---- the rest ---- */

static void fill(struct storetest *s, unsigned from, unsigned to)
{
	for (unsigned k = from; k < to; k++)
		one_request(s, k, 1);
}

static void world(struct storetest *s, char *dir)
{
	memset(cells, 0, sizeof(cells));
	now = 0;
	base_ms = clock_wall_ms() - SLOTS * STEP;
	base_ms -= base_ms % STEP;
	storetest_init(s, dir);
	s->opts.shards = 3;
	CHECK(!storetest_open(s, 1));
}

static void without_head(void)
{
	char *dir = testlib_tmpdir("snap-head");
	struct storetest s;
	char name[SNAPSHOT_NAME_MAX];
	world(&s, dir);
	fill(&s, 10, 40);
	TAP_OK(!storetest_flush(&s));
	unsigned flushed = now;
	fill(&s, 40, 60);
	TAP_OK(!snap(&s, true, name));
	char copy[4096];
	snprintf(copy, sizeof(copy), "%s", sub(dir, name));
	storetest_close(&s);
	tap_ok(!check(copy, flushed, flushed, false, "skip_head"),
	    "skip_head: what is in files is in the copy, what is in memory alone is not");
	testlib_rmtree(dir);
	free(dir);
}

/* Every call below snapshots/ fails once: no snapshot, or a whole one; the store goes on. */
static void failing(void)
{
	char *dir = testlib_tmpdir("snap-fault");
	struct storetest s;
	char name[SNAPSHOT_NAME_MAX];
	unsigned failed = 0, bad = 0, made = 0, full = 0, untold = 0;
	fsdouble_start(&(struct fsdouble_opts){ .root = dir }); /* at memory speed */
	fault_start(fsdouble_ops());
	world(&s, dir);
	fill(&s, 10, 20);
	TAP_OK(!snap(&s, false, name));
	for (uint64_t n = 1;; n++) {
		one_request(&s, 20 + (unsigned)n % 200, 1);
		fault_within("/" SNAPSHOTS_DIR);
		fault_set(FAULT_ANY, NULL, n, 1, n % 2 ? ERR_NOSPACE : ERR_IO);
		enum err e = snap(&s, false, name);
		bool hit = fault_hits(FAULT_ANY) > 0;
		fault_set(FAULT_ANY, NULL, 1, 0, ERR_OK);
		failed += e != 0;
		made += !e;
		full += e == ERR_NOSPACE;
		untold += e && (e == ERR_NOSPACE) != (strstr(snap_text, "--remove NAME") != NULL);
		if (!hit)
			break;
		if (names_of(dir, false) != 1u + !e || (!e && names_of(dir, true)))
			bad++;
		if (!e && n % 7 == 0) { /* what was missed was no part of it */
			char copy[4096];
			snprintf(copy, sizeof(copy), "%s", sub(dir, name));
			bad += check(copy, now, now, false, "a copy in spite of a failed call");
		}
		struct snapshot_req d = { .ask = SNAPSHOT_DROP };
		memcpy(d.name, name, sizeof(d.name));
		bad += !e && ask(&s, &d);
		if (n % 4 == 0) /* else there are more segments, and calls, each time */
			bad += storetest_flush(&s) != 0;
	}
	tap_ok(failed > 20 && !bad,
	    "%u of %u calls that fail make it fail, and leave nothing (%u bad)", failed,
	    failed + made, bad);
	tap_ok(full > 10 && !untold, "on a full disk it says what to do (%u times)", full);
	TAP_OK(!snap(&s, false, name));
	storetest_close(&s);
	fault_stop();
	fsdouble_stop();
	bad = check(sub(dir, name), now, now, false, "after failures");
	tap_ok(!bad, "then one is made again");
	testlib_rmtree(dir);
	free(dir);
}

static bool looked(void *arg)
{
	return names_of(arg, true) == 0;
}

static void halves_lists_drops(void)
{
	char *dir = testlib_tmpdir("snap-list");
	char path[4096], name[4][SNAPSHOT_NAME_MAX];
	struct storetest s;
	world(&s, dir);
	fill(&s, 10, 30);
	storetest_close(&s);
	snprintf(path, sizeof(path), "%s/" SNAPSHOTS_DIR, dir);
	CHECK(mkdir(path, 0700) == 0);
	snprintf(
	    path, sizeof(path), "%s/" SNAPSHOTS_DIR "/20260101T000000Z-0123456789abcdef.part", dir);
	CHECK(mkdir(path, 0700) == 0);
	strcat(path, "/log");
	CHECK(mkdir(path, 0700) == 0);
	CHECK(!storetest_open(&s, 1));
	tap_ok(
	    testteam_wait(&s.tt, 0, looked, dir, TESTTEAM_LONG_MS), "a half one goes at the start");
	struct asking a[3] = { 0 };
	for (unsigned k = 0; k < 3; k++)
		ask_begin(&a[k], &s, 0);
	for (unsigned k = 0; k < 3; k++) {
		sem_wait(&a[k].done);
		memcpy(name[k], a[k].r.name, sizeof(name[k]));
	}
	tap_ok(!a[0].r.err && !a[1].r.err && !a[2].r.err && names_of(dir, false) == 3,
	    "three at once are three");
	struct snapshot_req r = { .ask = SNAPSHOT_LIST };
	TAP_OK(!ask(&s, &r) && r.list_count == 3);
	bool good = true;
	for (unsigned k = 0; k < r.list_count; k++)
		good &= r.list[k].files >= 6 && r.list[k].bytes > 64 << 10 &&
		    r.list[k].own_bytes < r.list[k].bytes &&
		    r.list[k].made_ms > clock_wall_ms() - 600000;
	tap_ok(good, "they are listed with what they hold");
	mem_free(r.list);
	fill(&s, 30, 60);
	for (unsigned k = 0; k < 4; k++)
		TAP_OK(!storetest_flush(&s));
	TAP_OK(!ask(&s, &r) && r.list_count == 3 && r.list[0].own_bytes > 64 << 10);
	mem_free(r.list);
	struct snapshot_req d = { .ask = SNAPSHOT_DROP };
	memcpy(d.name, name[1], sizeof(d.name));
	TAP_OK(!ask(&s, &d) && names_of(dir, false) == 2 && names_of(dir, true) == 0);
	TAP_OK(ask(&s, &d) == ERR_NOTFOUND);
	static const char *const none[] = { "", "..", "../log", "20260101T000000Z-0123456789abcdeg",
		"20260101T000000Z-0123456789abcdef" };
	for (unsigned k = 0; k < COUNT_OF(none); k++) {
		snprintf(d.name, sizeof(d.name), "%s", none[k]);
		TAP_OK(ask(&s, &d) == ERR_NOTFOUND);
	}
	/* A stop tells those who wait. */
	static struct asking many[SNAPSHOT_ASKED_MAX + 8];
	memset(many, 0, sizeof(many));
	for (unsigned k = 0; k < COUNT_OF(many); k++)
		ask_begin(&many[k], &s, 0);
	storetest_close(&s);
	unsigned made = 0, busy = 0, stopped = 0;
	for (unsigned k = 0; k < COUNT_OF(many); k++) {
		sem_wait(&many[k].done);
		made += !many[k].r.err;
		busy += many[k].r.err == ERR_BUSY;
		stopped += many[k].r.err == ERR_STOPPING;
	}
	tap_ok(made + busy + stopped == COUNT_OF(many) && stopped > 0,
	    "a stop ends what waits: %u made, %u too many, %u stopped", made, busy, stopped);
	TAP_OK(names_of(dir, true) == 0 && names_of(dir, false) == 2 + made);
	testlib_rmtree(dir);
	free(dir);
}

static unsigned number(const char *name, unsigned otherwise)
{
	const char *s = getenv(name);
	return s ? (unsigned)strtoul(s, NULL, 10) : otherwise;
}

int main(void)
{
	unsigned histories = number("KYMO_HISTORIES", 3), seed = number("KYMO_SEED", 1);
	log_setup(LOG_LEVEL_NONE, false);
	arena_init(&arena, 1 << 14);
	storetest_names(&arena, "snap_total", names, SERIES);
	for (unsigned h = 0; h < histories; h++) {
		rng = 0x9e3779b97f4a7c15u * (seed * 1000 + h + 1);
		tap_ok(!history(h, "history"), "history %u: copies have what they must", h);
	}
	rng = 0x9e3779b97f4a7c15u * seed;
	walog_broken = WALOG_BREAK_LINKS;
	quiet = true;
	tap_ok(history(1, "segments are blanked though they are shared: that must be seen"),
	    "a segment that is used again under a snapshot is noticed");
	walog_broken = 0;
	quiet = false;
	without_head();
	failing();
	halves_lists_drops();
	arena_release(&arena);
	return tap_done();
}
