/*
 * The catalog made anew in the background: found damaged at a start, while the store runs, of an
 * earlier format. Queries find everything meanwhile and say so; series stay in memory; the process
 * may end at every step.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "storage/back/back.h"
#include "storage/back/feed.h"
#include "storage/meta/catalog_priv.h"
#include "storage/store_priv.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define SERIES 300u
#define SHARDS 2u
#define MINUTE INT64_C(60000)
#define T0     (INT64_C(1700000000000) / SAMPLE_RANGE_MS * SAMPLE_RANGE_MS)

static struct arena arena;
static struct labels names[SERIES], awake;
static unsigned samples[SERIES]; /* the model */
static struct storetest st;
static char *dir;
static bool all_well;

static int64_t now_ms(void)
{
	return clock_wall_ms() / MINUTE * MINUTE;
}

static void put(unsigned from, unsigned to)
{
	struct storetest_row rows[SERIES];
	for (unsigned i = from; i < to; i++) {
		rows[i - from] =
		    (struct storetest_row){ .labels = names[i], .t_ms = now_ms(), .v = i };
		samples[i]++;
	}
	struct storetest_verdict v = storetest_write(&st, 0, rows, to - from);
	all_well &= !v.err && !v.refused;
}

static void round_of_awake(void)
{
	struct storetest_row row = { .labels = awake, .t_ms = now_ms(), .v = 1 };
	struct storetest_verdict v = storetest_write(&st, 0, &row, 1);
	all_well &= !v.err && !v.refused && !storetest_flush(&st);
}

/* Long enough that all others leave memory, if they may. */
static void silence(void)
{
	for (unsigned k = 0; k < 4; k++) {
		storetest_advance(&st, 30 * MINUTE);
		round_of_awake();
		storetest_advance(&st, 10);
	}
}

static void open_it(struct storetest *s, const char *at)
{
	storetest_init(s, at);
	s->opts.shards = SHARDS;
	s->opts.round_every_ms = 24 * 60 * MINUTE;
	s->opts.retention_ms = 30 * 24 * 60 * MINUTE;
	s->opts.ooo_window_ms = 10 * 24 * 60 * MINUTE;
	all_well &= !storetest_open(s, SHARDS);
}

static unsigned seen[SERIES], strange;

static void take(void *arg, struct labels ls, const struct sample_column *col)
{
	unsigned i = 0;
	(void)arg;
	while (i < SERIES && !label_equal(names[i], ls))
		i++;
	if (i < SERIES)
		seen[i] += seen[i] ? 1000000 : (unsigned)col->count; /* a series comes once */
	else
		strange += !label_equal(awake, ls);
}

/* Every series once, with all its samples; then by a matcher. */
static bool whole(struct storetest *s)
{
	struct errbuf eb;
	struct matcher m;
	bool good = true;
	for (unsigned k = 0; k < 2; k++) {
		memset(seen, 0, sizeof(seen));
		strange = 0;
		errbuf_init(&eb);
		CHECK(!matcher_init(&m, MATCHER_RE, "series", 6, "1.*", 3, &eb));
		good &= !storetest_read(s, &m, k, T0 - MINUTE, now_ms() + MINUTE, take, NULL);
		for (unsigned i = 0; i < SERIES; i++) {
			char no[16];
			snprintf(no, sizeof(no), "%u", i);
			unsigned want = !k || no[0] == '1' ? samples[i] : 0;
			if (seen[i] != want && good)
				tap_note("series %u: %u samples, not %u", i, seen[i], want);
			good &= seen[i] == want;
		}
		good &= !strange;
		matcher_release(&m);
	}
	return good;
}

struct looking {
	struct storetest *s;
	unsigned loop;
	bool behind, resting;
};

static void look(void *arg)
{
	struct looking *l = arg;
	const struct share *share = l->s->store->shares[l->loop];
	for (unsigned k = 0; k < share->shards_count; k++) {
		const struct shard *sh = share->shards[k];
		const struct back *b = back_of(sh);
		l->behind |= shard_catalog_is_behind(sh) || !list_empty(&b->feed);
	}
}

static bool is_behind(struct storetest *s)
{
	struct looking l = { .s = s };
	for (l.loop = 0; l.loop < SHARDS; l.loop++)
		testteam_run(&s->tt, l.loop, look, &l);
	return l.behind;
}

/* Timers run on, a second at a time, until the catalog has all, or has come as far as it may. */
static bool settles(struct storetest *s, bool caught_up)
{
	for (unsigned i = 0; i < 400; i++) {
		storetest_advance(s, 1000);
		if (caught_up && !is_behind(s))
			return true;
		if (!caught_up && i > 20)
			return true;
		if (i > 50)
			usleep(20000);
	}
	return false;
}

static void catalog_remove(const char *of)
{
	static const char *const names_of[] = { "CLEAN", "CATALOG_DAMAGED" };
	char *path = testlib_path(of, "catalog");
	testlib_rmtree(path);
	free(path);
	for (unsigned i = 0; i < 2; i++) {
		path = testlib_path(of, names_of[i]);
		(void)!unlink(path);
		free(path);
	}
}

/* Series with several ids, most of them out of memory, in several files. */
static void populate(void)
{
	dir = testlib_tmpdir("rebuild");
	open_it(&st, dir);
	for (unsigned k = 0; k < 4; k++) {
		put(k * 20, SERIES - k * 30);
		all_well &= !storetest_flush(&st);
		silence();
	}
	all_well &= settles(&st, true);
	tap_ok(all_well && metric_sum(M_SERIES_EVICTED) > SERIES, "series have left memory: %llu",
	    (unsigned long long)metric_sum(M_SERIES_EVICTED));
	tap_ok(whole(&st) && !storetest_warnings,
	    "with the catalog everything is found, without a warning");
}

/* ---- at a start ---- */

static void while_it_is_rebuilt(const char *what)
{
	uint64_t evicted = metric_sum(M_SERIES_EVICTED);
	tap_ok(is_behind(&st), "%s: the store is open, the catalog is behind", what);
	tap_ok(whole(&st), "everything is found meanwhile");
	tap_ok(storetest_warnings && strstr(storetest_warning, "catalog"), "with a warning: %s",
	    storetest_warning);
	put(10, 40);
	all_well &= !storetest_flush(&st);
	silence();
	tap_ok(whole(&st), "samples that come meanwhile, too");
	tap_is_u64(metric_sum(M_SERIES_EVICTED), evicted, "no series leaves memory");
}

static void then_it_is_back(void)
{
	epoch_set(&rebuild_limit, 0);
	tap_ok(settles(&st, true), "the catalog catches up");
	tap_ok(whole(&st) && !storetest_warnings, "everything is found in it, without a warning");
	uint64_t evicted = metric_sum(M_SERIES_EVICTED);
	put(50, 80);
	all_well &= !storetest_flush(&st);
	silence();
	silence();
	tap_ok(metric_sum(M_SERIES_EVICTED) > evicted, "series leave memory again");
	tap_ok(whole(&st) && !storetest_warnings, "and are found");
}

static void at_a_start(void)
{
	storetest_close(&st);
	catalog_remove(dir);
	feed_start_bytes = 0;
	feed_catch_files = 1;
	epoch_set(&rebuild_limit, 1);
	open_it(&st, dir);
	while_it_is_rebuilt("at a start");
	epoch_set(&rebuild_limit, 3);
	settles(&st, false);
	tap_ok(
	    is_behind(&st) && whole(&st) && storetest_warnings, "nor is anything missing half way");
	storetest_close(&st);
	open_it(&st, dir);
	tap_ok(is_behind(&st) && whole(&st), "it is ended in an orderly way, and begins again");
	then_it_is_back();
}

/* ---- killed at every step ---- */

static void killed(void)
{
	unsigned bad = 0, steps = 0, behind = 1;
	storetest_close(&st);
	catalog_remove(dir);
	for (unsigned limit = 1; behind && limit < 40; limit++, steps++) {
		char *copy = testlib_tmpdir("rebuild_copy");
		struct storetest other;
		epoch_set(&rebuild_limit, limit);
		open_it(&st, dir);
		settles(&st, false);
		behind = is_behind(&st);
		/* nothing is written while it rests: what lies there is what a kill would leave */
		testlib_copy(dir, copy);
		storetest_close(&st);
		epoch_set(&rebuild_limit, 0);
		open_it(&other, copy);
		bad += !whole(&other);
		bad += !settles(&other, true) || !whole(&other) || storetest_warnings;
		storetest_close(&other);
		testlib_rmtree(copy);
		free(copy);
	}
	tap_ok(
	    !bad && !behind && all_well, "killed after each of %u steps nothing is missing", steps);
	epoch_set(&rebuild_limit, 0);
	open_it(&st, dir);
	tap_ok(settles(&st, true) && whole(&st) && !storetest_warnings, "nor where it went on");
}

/* ---- while it runs ---- */

static enum err spoil_run(void *arg, struct env_txn *t)
{
	struct catalog *c = arg;
	for (unsigned i = 0; i < SHARDS; i++) {
		uint8_t keys[64][4];
		size_t count = 0;
		struct env_cursor cur;
		struct env_record r;
		enum err e = env_cursor_open(t, c->shards[i].def, &cur);
		while (!e && count < COUNT_OF(keys) && !(e = env_cursor_next(&cur, &r)))
			memcpy(keys[count++], r.key, 4);
		env_cursor_close(&cur);
		for (size_t k = 0; k < count; k++)
			(void)env_put(t, c->shards[i].def, keys[k], 4, "spoilt", 6);
	}
	return t->err;
}

static void while_it_runs(void)
{
	struct errbuf eb;
	struct catalog *c = st.store->catalogs.catalog;
	errbuf_init(&eb);
	uint64_t rebuilt = metric_sum(M_CATALOG_REBUILT);
	epoch_set(&rebuild_limit, 1);
	TAP_OK(catalog_write(c, 0, spoil_run, c, &eb) == ERR_OK);
	tap_ok(whole(&st) && storetest_warnings,
	    "damage met by a query: it finds everything, and says so: %s", storetest_warning);
	tap_ok(catalog_is_damaged(c), "it is remembered");
	settles(&st, false);
	tap_is_u64(metric_sum(M_CATALOG_REBUILT), rebuilt + 1, "within a second it is renewed");
	while_it_is_rebuilt("while it runs");
	then_it_is_back();
	tap_ok(!catalog_is_damaged(c), "nothing is damaged any more");
	/* Once more, and no time to rebuild: the next start knows. */
	epoch_set(&rebuild_limit, 1);
	TAP_OK(catalog_write(c, 0, spoil_run, c, &eb) == ERR_OK);
	tap_ok(whole(&st) && storetest_warnings, "damaged again");
	storetest_close(&st);
	open_it(&st, dir);
	tap_ok(is_behind(&st) && whole(&st), "ended at once: the next start rebuilds");
	epoch_set(&rebuild_limit, 0);
	tap_ok(settles(&st, true) && whole(&st) && !storetest_warnings, "and has all");
}

/* ---- of an earlier format ---- */

static enum err older_run(void *arg, struct env_txn *t)
{
	struct catalog *c = arg;
	uint8_t v[8];
	wire_store32(v, CATALOG_VERSION - 1);
	wire_store32(v + 4, SHARDS);
	return env_put(t, c->state, "format", 6, v, sizeof(v));
}

static void of_an_earlier_format(void)
{
	struct errbuf eb;
	struct catalog *c = st.store->catalogs.catalog;
	uint64_t rebuilt = metric_sum(M_CATALOG_REBUILT);
	errbuf_init(&eb);
	TAP_OK(catalog_write(c, 0, older_run, c, &eb) == ERR_OK);
	storetest_close(&st);
	feed_start_bytes = UINT64_MAX;
	open_it(&st, dir);
	tap_ok(metric_sum(M_CATALOG_REBUILT) == rebuilt + 1 && !is_behind(&st) && whole(&st) &&
	        !storetest_warnings,
	    "a catalog of an earlier format is made anew; where that is little, before the store opens");
}

int main(void)
{
	if (!access("/dev/shm", W_OK))
		setenv("TMPDIR", "/dev/shm", 0);
	log_setup(getenv("KYMO_IDS_LOG") ? LOG_LEVEL_INFO : LOG_LEVEL_NONE, false);
	arena_init(&arena, 1 << 16);
	storetest_names(&arena, "rebuild", names, SERIES);
	awake = label_make(&arena, "__name__", "awake", NULL);
	clock_fake(T0);
	all_well = true;
	populate();
	at_a_start();
	killed();
	while_it_runs();
	of_an_earlier_format();
	tap_ok(all_well, "every request was taken");
	storetest_close(&st);
	testlib_rmtree(dir);
	free(dir);
	arena_release(&arena);
	return tap_done();
}
