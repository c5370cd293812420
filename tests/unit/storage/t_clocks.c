/*
 * A store under clocks that go wrong: what counts as newest after each way of coming back, which
 * files hold whose samples, and what retention takes of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "storage/recover/refill.h"
#include "storage/store_priv.h"
#include "tests/lib/fault.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define HR  INT64_C(3600000)
#define DAY (24 * HR)
#define T0  (INT64_C(1750000000000) - INT64_C(1750000000000) % DAY)

static struct arena arena;
static struct labels sent, mine; /* a sender's series; one of our own */
static struct storetest s;
static char *dir;

static bool begin(unsigned shards)
{
	clock_fake(T0);
	dir = testlib_tmpdir("clocks");
	storetest_init(&s, dir);
	s.opts.shards = shards;
	s.opts.ooo_window_ms = HR;
	return tap_ok(!storetest_open(&s, 2), "opens");
}

static void end(void)
{
	storetest_close(&s);
	testlib_rmtree(dir);
	free(dir);
}

static bool again(unsigned loops)
{
	storetest_close(&s);
	return !storetest_open(&s, loops);
}

static struct storetest_verdict put(bool own, int64_t t_ms)
{
	struct storetest_row r = { .labels = own ? mine : sent, .t_ms = t_ms, .v = (double)t_ms };
	s.own = own;
	struct storetest_verdict v =
	    storetest_write(&s, (unsigned)(t_ms / 1000) % s.store->loops, &r, 1);
	s.own = false;
	return v;
}

static bool takes(int64_t t_ms)
{
	struct storetest_verdict v = put(false, t_ms);
	return !v.err && v.stored == 1;
}

static void count_one(void *arg, struct labels ls, const struct sample_column *col)
{
	uint64_t *n = arg;
	n[label_equal(ls, mine)] += col->count;
}

static uint64_t count(bool own)
{
	uint64_t n[2] = { 0 };
	if (storetest_read(&s, NULL, 0, 0, T0 + 1000 * DAY, count_one, n))
		return UINT64_MAX;
	return n[own];
}

static enum clockwatch_state state(void)
{
	struct clockwatch_now now;
	clock_both(&now.wall_ms, &now.mono_ns);
	return clockwatch_look(s.store->clock, now);
}

/* Samples go along with the clock for long enough. */
static bool confirm(void)
{
	bool taken = takes(clock_wall_ms());
	storetest_advance(&s, CLOCKWATCH_FIRM_MS);
	return taken && takes(clock_wall_ms()) && state() == CLOCKWATCH_SURE;
}

/* Files of all shards: how many hold our own samples only, and how many others. */
static void files(unsigned *own, unsigned *others)
{
	*own = *others = 0;
	for (unsigned j = 0; j < s.store->manifest.shards; j++) {
		LIST_EACH(l, &s.store->shards[j]->files) {
			const struct shard_file *f = CONTAINER_OF(l, struct shard_file, link);
			++*(f->entry.meta.flags & CFILE_OWN ? own : others);
		}
	}
}

static void live(int64_t ms)
{
	for (int64_t some; ms > 0; ms -= some) {
		some = ms < 2 * HR ? ms : 2 * HR;
		storetest_advance(&s, some);
	}
}

static void rewrite(const char *name, void (*change)(struct buf *text))
{
	char path[4096];
	for (unsigned j = 0; j < s.opts.shards; j++) {
		snprintf(path, sizeof(path), "%s/shards/%02u/%s", dir, j, name);
		FILE *f = fopen(path, "rb");
		if (!f)
			continue;
		struct buf text;
		buf_init(&text);
		for (int c; (c = fgetc(f)) != EOF;)
			buf_add_u8(&text, (uint8_t)c);
		fclose(f);
		if (change) {
			change(&text);
			f = fopen(path, "wb");
			fwrite(text.data, 1, text.len, f);
			fclose(f);
		} else {
			remove(path);
		}
		buf_release(&text);
	}
}

/* As it was before newest times were kept, and files marked. */
static void to_version_1(struct buf *text)
{
	struct files fs;
	if (!TAP_OK(!files_parse(text->data, text->len, &fs, NULL)))
		return;
	files_newest_clear(&fs);
	for (size_t i = 0; i < fs.count; i++)
		fs.entries[i].meta.flags &= ~CFILE_OWN;
	buf_clear(text);
	files_format(&fs, text);
	files_release(&fs);
	text->data[strlen("kymo-files ")] = '1';
	text->len -= strlen("crc 01234567\n");
	buf_printf(text, "crc %08x\n", crc32c(0, text->data, text->len));
}

/* ---- newest times come back ---- */

static void own_moves_nobody(void)
{
	if (!begin(4))
		return;
	TAP_OK(takes(T0 - 5 * HR) && put(true, T0).stored == 1);
	tap_ok(!takes(T0 - 7 * HR), "too old by the senders' newest sample");
	for (unsigned way = 0; way < 4; way++) {
		if (way & 1)
			TAP_OK(!storetest_flush(&s));
		if (!TAP_OK(again(1 + way)))
			return;
		tap_ok(takes(T0 - 5 * HR - way * 60000) && state() == CLOCKWATCH_DOUBT,
		    "start %u: a sample of five hours ago is taken", way);
		TAP_OK(newest_get(&s.store->shares[0]->newest, 0, false) == T0 - 5 * HR &&
		    newest_get(&s.store->shares[0]->newest, 0, true) == T0);
		TAP_OK(put(true, T0 + (int64_t)way).stored == 1);
		storetest_advance(&s, 1);
	}
	TAP_OK(!storetest_flush(&s));
	storetest_close(&s);
	rewrite("FILES", to_version_1);
	rewrite("FILES.prev", to_version_1);
	TAP_OK(!storetest_open(&s, 2));
	tap_is_i64(newest_get(&s.store->shares[1]->newest, 0, false), T0 + 3,
	    "a list of the first version is read: what its files say counts, for all");
	TAP_OK(again(2));
	tap_is_i64(
	    newest_get(&s.store->shares[1]->newest, 0, false), T0 + 3, "and is kept from then on");
	storetest_advance(&s, HR);
	tap_ok(confirm(), "samples of now are taken");
	end();
}

static void lists_are_lost(void)
{
	if (!begin(2))
		return;
	TAP_OK(takes(T0 - DAY) && put(true, T0 + 1).stored == 1);
	storetest_advance(&s, 5 * 60 * 1000);
	TAP_OK(!storetest_flush(&s));
	unsigned own, others;
	files(&own, &others);
	tap_ok(own == 1 && others >= 1, "a file of our own samples is known as that (%u, %u)", own,
	    others);
	storetest_close(&s);
	rewrite("FILES", NULL);
	rewrite("FILES.prev", NULL);
	TAP_OK(!storetest_open(&s, 2));
	files(&own, &others);
	TAP_OK(own == 1);
	tap_ok(newest_senders(&s.store->shares[0]->newest) == T0 - DAY &&
	        newest_own(&s.store->shares[0]->newest) == T0 + 1,
	    "without lists the files tell, each what it holds");
	tap_ok(count(false) == 1 && count(true) == 1, "nothing is lost");
	end();
}

/* The rows of one request do not make each other old, however many steps it takes. */
static void one_request(void)
{
	enum {
		ROWS = 3 * INTAKE_STEP_ROWS
	};
	if (!begin(4))
		return;
	struct storetest_row *rows = mem_array(NULL, ROWS, sizeof(*rows));
	for (int64_t i = 0; i < ROWS; i++)
		rows[i] =
		    (struct storetest_row){ .labels = sent, .t_ms = T0 - i * (9 * HR / ROWS), .v = 1 };
	struct storetest_verdict v = storetest_write(&s, 0, rows, ROWS);
	tap_ok(!v.err && v.stored == ROWS && !v.refused,
	    "an empty store takes a long request from new to old (%llu refused)",
	    (unsigned long long)v.refused);
	for (int64_t i = 0; i < ROWS; i++) /* late ones first; the last step is of tomorrow */
		rows[i].t_ms = i < 2 * INTAKE_STEP_ROWS ? T0 - 30 * 60000 + i : T0 + DAY;
	v = storetest_write(&s, 0, rows, ROWS);
	tap_ok(v.stored == 2 * INTAKE_STEP_ROWS && v.refused == INTAKE_STEP_ROWS &&
	        v.reason == SINK_OUT_OF_BOUNDS,
	    "each step is judged");
	mem_free(rows);
	end();
}

/* Rows of the log of before newest times were kept speak for themselves. */
struct replaying {
	uint8_t version;
	struct newest *newest;
	struct shard *shard;
	enum err err;
};
static void replay_here(void *arg)
{
	struct replaying *r = arg;
	struct shard *sh = r->shard;
	struct buf b;
	struct walrec_writer w;
	struct walrec_groups it;
	struct walrec_group g;
	struct walrec_reader rd;
	uint32_t id = sh->next_id;
	int64_t t_ms = T0 - HR;
	double v = 1;
	buf_init(&b);
	walrec_begin(&w, &b);
	walrec_group(&w, sh->index, sh->number + 1);
	walrec_def(&w, id, 0, sent.bytes, sent.len);
	walrec_rows(&w, 1, &id, &t_ms, &v);
	if (r->version > 1)
		walrec_newest(&w, 0, false, T0 - 2 * HR);
	walrec_end(&w);
	b.data[0] = r->version;
	walrec_groups_init(&it, b.data, b.len);
	walrec_reader_init(&rd);
	r->err = walrec_groups_next(&it, &g) ? refill_group(sh, &g, &rd, NULL) : it.err;
	r->newest = &sh->share->newest;
	walrec_reader_release(&rd);
	buf_release(&b);
}

static void old_log(void)
{
	for (uint8_t version = 1; version <= 2; version++) {
		if (!begin(1))
			return;
		struct replaying r = { .version = version, .shard = s.store->shards[0] };
		testteam_run(&s.tt, 0, replay_here, &r);
		TAP_OK(!r.err);
		tap_is_i64(newest_get(r.newest, 0, false), version == 1 ? T0 - HR : T0 - 2 * HR,
		    "version %u: %s", version,
		    version == 1 ? "rows tell" : "rows do not, records do");
		end();
	}
}

/* What cannot be a time of today's samples is neither taken nor believed. */
static void nonsense(void)
{
	static const int64_t times[] = { INT64_MIN, -1, 0, 1, INTAKE_T_MAX_MS + 1, INT64_MAX };
	if (!begin(2))
		return;
	unsigned taken = 0, moved = 0;
	for (unsigned i = 0; i < COUNT_OF(times); i++) {
		taken += takes(times[i]);
		moved += state() != CLOCKWATCH_OPEN;
	}
	tap_ok(!taken && !moved, "a store without samples, nonsense: refused, the clock stands");
	clock_fake_step_wall(2 * HR);
	TAP_OK(state() == CLOCKWATCH_DOUBT);
	storetest_advance(&s, 1);
	for (unsigned i = 0; i < COUNT_OF(times); i++)
		taken += takes(times[i]);
	tap_ok(!taken && state() == CLOCKWATCH_DOUBT, "in doubt: refused too");
	TAP_OK(put(true, clock_wall_ms()).stored == 1 && !storetest_flush(&s));
	end();
}

/* ---- times that a wrong clock let in ---- */

static void bounded(void)
{
	if (!begin(4))
		return;
	TAP_OK(takes(T0));
	clock_fake_step_wall(DAY);
	storetest_advance(&s, 1000);
	TAP_OK(state() == CLOCKWATCH_DOUBT);
	tap_ok(confirm(), "clock and samples agree, both a day ahead");
	for (unsigned i = 0; i < 3; i++)
		TAP_OK(!put(true, clock_wall_ms()).err);
	storetest_close(&s);
	clock_fake_step_wall(-DAY);
	if (!TAP_OK(!storetest_open(&s, 2)))
		return;
	tap_ok(state() == CLOCKWATCH_DOUBT, "the right clock is behind what is stored");
	tap_ok(confirm(), "samples of now are taken and end the doubt");
	int64_t now = clock_wall_ms();
	tap_ok(takes(now - 40 * 60000) && takes(now + 9 * 60000), "the window is that of now");
	tap_ok(!takes(now - 2 * HR) && !takes(now + 11 * 60000), "and no wider");
	live(3 * HR);
	now = clock_wall_ms();
	tap_ok(takes(now) && takes(now - 30 * 60000), "three hours later too");
	end();
}

/* ---- retention ---- */

static void ahead_deletes_nothing(void)
{
	if (!begin(4))
		return;
	for (int64_t t = T0 - 3 * DAY; t <= T0; t += HR)
		TAP_OK(takes(t));
	for (int64_t t = T0 - 2 * HR; t <= T0; t += HR / 2)
		TAP_OK(put(true, t).stored == 1);
	TAP_OK(!storetest_flush(&s));
	uint64_t n = count(false), m = count(true);
	clock_fake_step_wall(45 * DAY);
	live(2 * HR);
	tap_ok(state() == CLOCKWATCH_DOUBT && count(false) == n && count(true) == m,
	    "a step of 45 days deletes nothing");
	(void)put(true, clock_wall_ms());
	for (unsigned i = 0; i < 2; i++) {
		TAP_OK(again(2));
		live(2 * HR);
		(void)put(true, clock_wall_ms());
		TAP_OK(!storetest_flush(&s));
		live(HR);
		tap_ok(count(false) == n && count(true) == m + 2 + i,
		    "nor %u start(s) with it, of our own neither (%llu, %llu)", i + 1,
		    (unsigned long long)count(false), (unsigned long long)count(true));
	}
	clock_fake_step_wall(-45 * DAY);
	live(HR);
	TAP_OK(confirm());
	live(2 * HR);
	tap_ok(count(false) == n + 2 && count(true) == m + 3,
	    "all there when the clock is right again");
	end();
}

static void reopen_with_files_alone(void)
{
	char path[4096];
	static const char *const gone[] = { "catalog",
		"log" }; /* rebuilt; all in files, as if its segments were used again */
	storetest_close(&s);
	for (size_t i = 0; i < COUNT_OF(gone); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, gone[i]);
		testlib_rmtree(path);
	}
	TAP_OK(!storetest_open(&s, 1));
}

/*
 * Labels of senders' series stand in files that do not go earlier than their samples: not with
 * files of our own,
 */
static void definitions_stay(void)
{
	if (!begin(1))
		return;
	s.opts.retention_ms = DAY;
	TAP_OK(again(1));
	/* the first file is our own */
	TAP_OK(put(true, T0 - 2 * DAY).stored == 1 && takes(T0 + 1000));
	TAP_OK(put(true, T0).stored == 1);
	struct shard *sh = s.store->shards[0];
	live(10 * 60 * 1000);
	live(10 * 60 * 1000);
	unsigned own, others;
	files(&own, &others);
	tap_ok(others == 1 && sh->list.complete_to > 0,
	    "one file of a sender, those of our own from before its retention gone (%u)", own);
	reopen_with_files_alone();
	tap_ok(count(false) == 1, "the sender's series has its labels without the catalog");
	end();
}

/* nor with files of older ranges of the same round. */
static void definitions_last(void)
{
	if (!begin(1))
		return;
	s.opts.retention_ms = 3 * HR;
	TAP_OK(again(1));
	TAP_OK(takes(T0 - 150 * 60000) && takes(T0 + 1000));
	live(10 * 60 * 1000);
	live(40 * 60 *
	    /* an hour without rows would close the range, and its merge would look labels up */
	    1000);
	struct storetest_row r = { .labels = mine, .t_ms = T0 + HR, .v = 1 };
	TAP_OK(!storetest_write(&s, 0, &r, 1).refused);
	live(10 * 60 * 1000);
	TAP_OK(count(false) == 1);
	reopen_with_files_alone();
	tap_ok(count(false) == 1, "a series outlives the oldest file of the round that defined it");
	end();
}

/* A round that fails gives what it knew of its rows back. */
static void failed_round(void)
{
	fault_start(NULL);
	if (!begin(1))
		return;
	TAP_OK(takes(T0) && put(true, T0 - 3 * HR).stored == 1);
	fault_set(FAULT_WRITE, ".kcf", 1, 1, ERR_NOSPACE);
	tap_ok(storetest_flush(&s) != 0 && fault_hits(FAULT_WRITE) == 1, "a round fails");
	TAP_OK(put(true, T0 + 1000).stored == 1);
	live(HR);
	TAP_OK(!storetest_flush(&s));
	unsigned own, others;
	files(&own, &others);
	tap_ok(own == 1 && others == 1, "the next one knows whose samples are where (%u, %u)", own,
	    others);
	TAP_OK(again(1));
	files(&own, &others);
	tap_ok(own == 1 && others == 1, "so does a start");
	TAP_OK(put(true, clock_wall_ms() - 3 * HR).stored == 1 && takes(clock_wall_ms()));
	end();
	fault_stop();
}

/* Replayed rows know whose they are: the files of the round after a start are marked. */
static void replayed(void)
{
	if (!begin(1))
		return;
	TAP_OK(takes(T0) && put(true, T0 - 3 * HR).stored == 1 && put(true, T0 - 9 * HR).stored == 1);
	TAP_OK(again(2) && !storetest_flush(&s));
	unsigned own, others;
	files(&own, &others);
	tap_ok(own == 2 && others == 1, "files after a replay: %u of our own, %u of others", own,
	    others);
	for (int k = 1; k <= 2; k++) /* until they weigh as much as what the sender's file has */
		TAP_OK(put(true, T0 + k).stored == 1 && !storetest_flush(&s));
	files(&own, &others);
	tap_ok(own == 2 && others == 1, "merged with a sender's it is nobody's own (%u, %u)", own,
	    others);
	end();
}

static void silent_tenant(void)
{
	if (!begin(2))
		return;
	s.opts.retention_ms = 2 * DAY;
	TAP_OK(again(2));
	s.tenant = 5;
	TAP_OK(takes(T0 - DAY));
	s.tenant = 0;
	TAP_OK(takes(T0) && !storetest_flush(&s));
	unsigned own, before, others;
	files(&own, &before);
	TAP_OK(before == 2);
	for (int i = 0; i < 20;
	     i++) { /* in one shard or two: both loops must hear of the time that goes on */
		live(2 * HR);
		struct storetest_row r[64];
		for (unsigned k = 0; k < 64; k++) {
			char no[8];
			snprintf(no, sizeof(no), "%u", k);
			r[k] = (struct storetest_row){ .labels = label_make(&arena, "__name__",
				                           "many", "k", no, NULL),
				.t_ms = clock_wall_ms() };
		}
		TAP_OK(!storetest_write(&s, (unsigned)i % 2, r, 64).refused);
	}
	live(HR);
	bool there = false;
	for (unsigned j = 0; j < 2; j++) {
		LIST_EACH(l, &s.store->shards[j]->files) {
			const struct shard_file *f = CONTAINER_OF(l, struct shard_file, link);
			there |= f->entry.meta.start_ms < T0 - 4 * HR;
		}
	}
	files(&own, &others);
	tap_ok(!there && others > 2,
	    "a silent tenant's samples expire by the store's newest time (%u files)", others);
	end();
}

/* A loop whose shards get no rows hears of the time that goes on elsewhere. */
static struct labels on_loop(unsigned loop)
{
	for (unsigned k = 0;; k++) {
		char no[8];
		snprintf(no, sizeof(no), "%u", k);
		struct labels ls = label_make(&arena, "__name__", "alone", "k", no, NULL);
		struct hash128 fp = label_fingerprint(ls, 0, s.store->manifest.seed);
		if (store_shard_of(s.store, fp) % s.store->loops == loop)
			return ls;
	}
}

static void quiet_loop(void)
{
	if (!begin(4))
		return;
	s.opts.retention_ms = DAY;
	TAP_OK(again(3));
	struct storetest_row r = { .t_ms = T0, .v = 1 };
	for (unsigned loop = 0; loop < 3; loop++) {
		r.labels = on_loop(loop);
		TAP_OK(storetest_write(&s, 0, &r, 1).stored == 1);
	}
	TAP_OK(!storetest_flush(&s));
	unsigned own, others;
	files(&own, &others);
	TAP_OK(others == 3);
	r.labels = on_loop(0);
	for (unsigned i = 0; i < 15; i++) {
		live(2 * HR);
		r.t_ms = clock_wall_ms();
		TAP_OK(storetest_write(&s, 0, &r, 1).stored == 1);
	}
	live(HR);
	unsigned old = 0;
	for (unsigned j = 0; j < 4; j++) {
		LIST_EACH(l, &s.store->shards[j]->files)
			old += CONTAINER_OF(l, struct shard_file, link)->entry.meta.start_ms == T0;
	}
	tap_is_u64(old, 0, "old files go on loops that get no rows, too");
	end();
}

/* ---- a random walk ---- */

#define RETENTION (10 * DAY)

struct walk {
	uint64_t rnd;
	int64_t right_ms, wrong_ms; /* the world's time; how far the clock is ahead of it */
	int64_t *good;              /* times of senders' samples that were taken */
	size_t count, cap;
	unsigned refused, starts, steps;
	int64_t lost;
};

static int64_t below(struct walk *w, int64_t n)
{
	w->rnd += 0x9e3779b97f4a7c15u;
	return (int64_t)(hash_mix64(w->rnd) % (uint64_t)n);
}

/* Right, or wrong by more than samples and clock may be apart. */
static int64_t some_offset(struct walk *w)
{
	int64_t most = below(w, 2) ? 45 * DAY : 3 * HR, off = 12 * 60000 + below(w, most);
	return below(w, 2) ? 0 : below(w, 2) ? off : -off;
}

static void step_to(struct walk *w, int64_t wrong_ms)
{
	w->steps += wrong_ms != w->wrong_ms;
	clock_fake_step_wall(wrong_ms - w->wrong_ms);
	w->wrong_ms = wrong_ms;
}

static void good_sample(struct walk *w)
{
	int64_t late_ms = below(w, 4) ? below(w, 60000) : below(w, 45 * 60000);
	int64_t t_ms = w->right_ms - late_ms;
	if (!takes(t_ms)) {
		w->refused++;
		tap_note("refused: %lld late, clock %lld s ahead, state %d", (long long)late_ms,
		    (long long)(w->wrong_ms / 1000), (int)state());
	}
	if (w->count == w->cap) {
		w->cap = w->cap ? 2 * w->cap : 256;
		w->good = mem_array(w->good, w->cap, sizeof(*w->good));
	}
	w->good[w->count++] = t_ms;
}

static void pass(struct walk *w, int64_t ms)
{
	live(ms);
	w->right_ms += ms;
}

static int by_time(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

/* Young samples that are there, against those that must be. */
static void compare_young(struct walk *w)
{
	int64_t from_ms = w->right_ms - RETENTION;
	uint64_t want = 0, n[2] = { 0 };
	qsort(w->good, w->count, sizeof(*w->good), by_time);
	for (size_t i = 0; i < w->count; i++)
		want += w->good[i] >= from_ms && (!i || w->good[i] != w->good[i - 1]);
	if (storetest_read(&s, NULL, 0, from_ms, w->right_ms, count_one, n))
		n[0] = 0;
	if (n[0] != want && !w->lost) {
		w->lost = (int64_t)(want - n[0]);
		tap_note("lost %lld of %llu, clock %lld s ahead", (long long)w->lost,
		    (unsigned long long)want, (long long)(w->wrong_ms / 1000));
	}
}

static void walk_step(struct walk *w)
{
	switch (below(w, 12)) {
	case 0:
		step_to(w, some_offset(w));
		break;
	case 1:
		(void)storetest_flush(&s);
		break;
	case 2:
		storetest_close(&s);
		step_to(w, below(w, 2) ? w->wrong_ms : some_offset(w));
		w->starts++;
		TAP_OK(!storetest_open(&s, 1 + (unsigned)below(w, 3)));
		break;
	case 3:
		pass(w, (1 + below(w, 12)) * 10 * 60000);
		break;
	case 4:
		pass(w, DAY);
		break;
	case 5:
		(void)put(true, clock_wall_ms());
		compare_young(w);
		break;
	default:
		good_sample(w);
		pass(w, below(w, 2) * 10 * 60000);
		break;
	}
}

static void walks(void)
{
	const char *seed = getenv("KYMO_SEED"), *count = getenv("KYMO_HISTORIES");
	uint64_t first = seed ? strtoull(seed, NULL, 10) : 1,
	         n = count ? strtoull(count, NULL, 10) : 6;
	for (uint64_t k = first; k < first + n; k++) {
		struct walk w = { .rnd = k * 1000003, .right_ms = T0 };
		if (!begin(2))
			return;
		s.opts.retention_ms = RETENTION;
		TAP_OK(again(2));
		step_to(&w, some_offset(&w));
		for (unsigned i = 0; i < 150; i++)
			walk_step(&w);
		tap_ok(!w.refused && !w.lost,
		    "seed %llu: %zu good samples, %u starts, %u steps of the clock: %u refused, %lld lost",
		    (unsigned long long)k, w.count, w.starts, w.steps, w.refused, (long long)w.lost);
		step_to(&w, 0); /* the clock is right for good: what is old goes */
		for (unsigned i = 0; i < 4; i++) {
			good_sample(&w);
			pass(&w, 10 * 60000);
		}
		for (unsigned i = 0; i < 14; i++) {
			pass(&w, DAY);
			good_sample(&w);
		}
		pass(&w, 10 * 60000);
		uint64_t old[2] = { 0 };
		TAP_OK(!storetest_read(
		    &s, NULL, 0, 0, w.right_ms - RETENTION - DAY - 4 * HR, count_one, old));
		tap_ok(!old[0] && state() == CLOCKWATCH_SURE,
		    "old samples go when it is right again (%llu left)", (unsigned long long)old[0]);
		mem_free(w.good);
		end();
	}
}

/* A sender a little ahead, and a window smaller than what may lie in the future. */
static void small_window(void)
{
	if (!begin(1))
		return;
	s.opts.ooo_window_ms = 60 * 1000;
	TAP_OK(again(1));
	TAP_OK(takes(T0) && takes(T0 + 9 * 60 * 1000));
	tap_ok(takes(T0 + 1000), "one sender ahead shuts nobody out whose samples are of now");
	end();
}

/* In doubt any time is taken; one of far ahead must not stay the newest for good. */
static void far_ahead_in_doubt(void)
{
	if (!begin(1))
		return;
	TAP_OK(takes(T0));
	clock_fake_step_wall(-2 * DAY);
	TAP_OK(state() == CLOCKWATCH_DOUBT && takes(T0 + 20000 * DAY));
	tap_ok(newest_get(&s.store->shares[0]->newest, 0, false) < T0 + DAY,
	    "a sample of decades ahead does not move the newest time there");
	TAP_OK(again(1));
	clock_fake_step_wall(2 * DAY);
	tap_ok(takes(T0 + 2000), "and samples of now are taken after a restart");
	end();
}

/* ---- ranges that close ---- */

/* How many files there are of the range of that time, and whether they are one sealed one. */
static unsigned of_range(int64_t t_ms, bool *sealed)
{
	unsigned n = 0;
	*sealed = false;
	LIST_EACH(l, &s.store->shards[0]->files) {
		const struct shard_file *f = CONTAINER_OF(l, struct shard_file, link);
		if (f->entry.meta.start_ms > t_ms || f->entry.meta.end_ms <= t_ms)
			continue;
		n++;
		*sealed = f->entry.meta.flags & CFILE_SEALED;
	}
	*sealed &= n == 1;
	return n;
}

/* Samples of now, every ten minutes: true while they are taken. */
static bool go_on(unsigned tens)
{
	bool taken = true;
	for (; tens && taken; tens--) {
		storetest_advance(&s, 10 * 60000);
		taken = takes(clock_wall_ms());
	}
	return taken;
}

/*
 * A range is merged when its end is an hour behind the newest time and nothing came for it for an
 * hour; what comes later opens it again. Any age inside the retention is taken.
 */
static void ranges_close(void)
{
	const int64_t from = T0 - T0 % (2 * HR) + 2 * HR; /* a range begins here */
	bool sealed;
	clock_fake(from);
	dir = testlib_tmpdir("clocks");
	storetest_init(&s, dir);
	s.opts.shards = 1;
	if (!tap_ok(!storetest_open(&s, 2), "opens, with the usual window"))
		return;
	TAP_OK(s.store->opts.ooo_window_ms == s.opts.retention_ms);
	TAP_OK(takes(from) && go_on(17));
	unsigned open = of_range(from, &sealed);
	tap_ok(open > 5 && !sealed, "fifty minutes behind the newest, a range is open: %u files",
	    open);
	TAP_OK(go_on(3));
	tap_ok(of_range(from, &sealed) == 1 && sealed, "an hour behind it is closed and merged");
	TAP_OK(go_on(30));
	tap_ok(takes(from + 1) && takes(clock_wall_ms() - 8 * HR), "rows of hours ago are taken");
	TAP_OK(go_on(4));
	tap_ok(of_range(from, &sealed) == 2, "the range is open again");
	TAP_OK(takes(from + 2) && go_on(5));
	tap_ok(of_range(from, &sealed) == 3, "and stays open while rows come");
	TAP_OK(go_on(5));
	tap_ok(of_range(from, &sealed) == 1 && sealed, "an hour after the last one it has closed");
	uint64_t n = count(false);
	tap_ok(n == 67, "nothing is lost: %llu", (unsigned long long)n);
	end();
}

int main(void)
{
	log_setup(LOG_LEVEL_ERROR, false);
	arena_init(&arena, 1 << 14);
	sent = label_make(&arena, "__name__", "sent", "job", "x", NULL);
	mine = label_make(&arena, "__name__", "mine", "job", "kymo", NULL);
	own_moves_nobody();
	lists_are_lost();
	one_request();
	old_log();
	nonsense();
	bounded();
	ahead_deletes_nothing();
	small_window();
	far_ahead_in_doubt();
	definitions_stay();
	definitions_last();
	failed_round();
	replayed();
	silent_tenant();
	quiet_loop();
	walks();
	ranges_close();
	arena_release(&arena);
	return tap_done();
}
