/*
 * The store's write path and recovery against a sorted map: random requests, odd labels, refusals,
 * limits, restarts, kills.
 */
#include "core/base/metric.h"
#include "core/base/wire.h"
#include "storage/back/back.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"
#include "tests/lib/teststore.h"

#include <malloc.h>
#include <signal.h>
#include <sys/wait.h>

static uint64_t seed = 1;
static uint32_t rnd(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 33) % below;
}

#ifdef KYMO_WEAK_FINGERPRINT
# define WEAK 1
#else
# define WEAK 0
#endif

/* Rounds stay away: memory holds everything. */
static void quiet(struct store_opts *o)
{
	o->round_every_ms = 1ll << 40;
	o->log_share_bytes = 1ull << 40;
}

static void one_hour(struct store_opts *o)
{
	quiet(o);
	o->ooo_window_ms = 3600 * 1000;
}

/* ---- the model ---- */

#define SERIES 400
#define TIMES  600
struct model {
	bool has[SERIES][TIMES];
	double v[SERIES][TIMES];
};
static struct arena names;
static struct labels canonical[SERIES];
static int64_t base_ms;

static void names_make(void)
{
	arena_init(&names, 1 << 16);
	for (unsigned i = 0; i < SERIES; i++) {
		char n[32], long_value[300];
		snprintf(n, sizeof n, "host-%u", i);
		memset(long_value, 'a' + (int)(i % 26), sizeof long_value - 1);
		long_value[i % 290] = 0;
		canonical[i] = label_make(&names, LABEL_NAME, "requests_total", "instance", n,
		    "job", "api", "pad", long_value[0] ? long_value : "x", NULL);
	}
}

static void put_label(
    struct buf *b, const char *name, size_t name_len, const char *value, size_t value_len)
{
	struct buf in;
	buf_init(&in);
	buf_add_u8(&in, 0x0a);
	wire_put_lenbytes(&in, name, name_len);
	buf_add_u8(&in, 0x12);
	wire_put_lenbytes(&in, value, value_len);
	buf_add_u8(b, 0x0a);
	wire_put_lenbytes(b, in.data, in.len);
	buf_release(&in);
}

/* The same series as a careless sender writes it: from the back, with an empty value in between. */
static struct labels odd_form(struct arena *a, struct labels ls)
{
	struct label l[8];
	unsigned n = 0;
	struct label_iter it = label_iter(ls);
	while (n < 8 && label_next(&it, &l[n]))
		n++;
	struct buf b;
	buf_init(&b);
	for (unsigned i = n; i-- > 0;) {
		put_label(&b, l[i].name, l[i].name_len, l[i].value, l[i].value_len);
		if (i == 1)
			put_label(&b, "nothing", 7, "", 0);
	}
	struct labels out = { .bytes = arena_dup(a, b.data, b.len), .len = (uint32_t)b.len };
	buf_release(&b);
	return out;
}

/*
 * Request k, made from k alone, so that a second process knows what the first one sent. apply: into
 * the model as well.
 */
static void request_make(uint64_t k, struct batch *b, struct arena *a, struct model *m)
{
	seed = (k + 1) * 0x9e3779b97f4a7c15u;
	unsigned rows = 1 + rnd(k % 7 == 0 ? 900 : 60);
	unsigned front = k * 2 < TIMES - 20 ? (unsigned)k * 2 : TIMES - 20;
	for (unsigned i = 0; i < rows;) {
		unsigned s = rnd(SERIES), more = rnd(5) ? 1 : 1 + rnd(6);
		struct labels ls = rnd(8) ? canonical[s] : odd_form(a, canonical[s]);
		for (unsigned r = 0; r < more && i < rows; r++, i++) {
			unsigned t = rnd(4) ? front + rnd(20) : rnd(front + 20);
			/*
			 * One value for a time in a request: in which order two spellings of a
			 * series are stored is not promised.
			 */
			double v = (double)((k * 31 + s * 7 + t) % 3);
			teststore_row(b, ls, base_ms + t, v);
			if (m) {
				m->has[s][t] = true;
				m->v[s][t] = v;
			}
		}
	}
}

static unsigned long bad_series;
static bool agrees(struct teststore *ts, const struct model *m)
{
	struct column col = { 0 };
	bool good = true;
	for (unsigned s = 0; s < SERIES; s++) {
		bool known = teststore_read(ts, canonical[s], &col);
		uint32_t at = 0;
		bool same = true;
		for (unsigned t = 0; t < TIMES && same; t++) {
			if (!m->has[s][t])
				continue;
			same = known && at < col.count && col.t_ms[at] == base_ms + t &&
			    col.v[at] == m->v[s][t];
			at++;
		}
		same = same && (!known || at == col.count);
		if (!same)
			bad_series = s;
		good = good && same;
	}
	column_release(&col);
	return good;
}

static void random_requests(unsigned loops)
{
	char *dir = testlib_tmpdir("store");
	struct teststore ts;
	struct model *m = mem_zalloc(sizeof *m);
	struct arena a;
	arena_init(&a, 1 << 16);
	base_ms = clock_wall_ms() - 1000000;
	teststore_open(&ts, dir, loops, quiet);
	bool answered = true, counts = true;
	uint64_t k = 0;
	for (int part = 0; part < 3; part++) {
		for (int i = 0; i < 80; i++, k++) {
			struct batch b;
			struct sink_req r = { 0 };
			batch_init(&b);
			request_make(k, &b, &a, m);
			answered = answered && teststore_append(&ts, (unsigned)k % ts.loops, &b, &r);
			counts = counts && !r.err && r.stored == b.rows_count && r.refused == 0;
			if (k % 5 == 0) { /* a retry changes nothing */
				answered = answered &&
				    teststore_append(&ts, (unsigned)(k + 1) % ts.loops, &b, &r);
				counts = counts && !r.err && r.stored == b.rows_count;
			}
			batch_release(&b);
			arena_reset(&a, 1 << 16);
		}
		tap_ok(answered && counts,
		    "%u loops: requests are answered, every row stored (part %d)", ts.loops, part);
		tap_ok(agrees(&ts, m), "memory agrees with a sorted map (series %lu)", bad_series);
		teststore_close(&ts);
		teststore_open(&ts, dir, loops == 1 ? 1 + (unsigned)part : loops, quiet);
		tap_ok(agrees(&ts, m), "after a restart on %u loops it still does (series %lu)",
		    ts.loops, bad_series);
		uint64_t series = 0;
		for (unsigned j = 0; j < store_shards(ts.store); j++)
			series += ts.store->shards[j]->head.series_count;
		tap_ok(series <= SERIES && series == store_series(ts.store),
		    "no series stands twice: %llu", (unsigned long long)series);
	}
	teststore_close(&ts);
	arena_release(&a);
	mem_free(m);
	testlib_rmtree(dir);
	free(dir);
}

/* ---- judgement ---- */

static void one_loop(struct teststore *ts, const char *dir, void (*change)(struct store_opts *))
{
	teststore_open(ts, dir, 1, change);
}

static void no_rounds(struct store_opts *o)
{
	o->round_every_ms = 1ll << 40;
}

/* Rounds that ran while requests of 100 rows were written: 100, or until more than wanted did. */
static uint64_t rounds_meanwhile(struct teststore *ts, int64_t *t_ms, uint64_t wanted)
{
	struct batch b;
	struct sink_req r;
	uint64_t before = metric_sum(M_ROUNDS), ran = 0;
	batch_init(&b);
	for (unsigned n = 0; n < (wanted ? 6000 : 100) && ran <= wanted; n++) {
		batch_clear(&b);
		for (unsigned i = 0; i < 100; i++)
			teststore_row(&b, canonical[i], *t_ms, 1);
		++*t_ms;
		teststore_append(ts, 0, &b, &r);
		ran = metric_sum(M_ROUNDS) - before;
		usleep(wanted ? 10000 : 0);
	}
	batch_release(&b);
	return ran;
}

struct relief {
	struct store *store;
	bool rested, had;
};

/* A shard whose rounds would let go of little has none for the log's sake, or only now and then. */
static void relief_here(void *arg)
{
	struct relief *r = arg;
	struct share *sh = r->store->shares[0];
	r->rested = true;
	for (unsigned k = 0; k < sh->shards_count; k++) {
		sh->shards[k]->round_end_ns = loop_now_ns(sh->loop);
		sh->shards[k]->rows_since_round = 50;
	}
	back_relieve(sh, STORE_LOG_SHARE_BYTES);
	for (unsigned k = 0; k < sh->shards_count; k++)
		r->rested &= sh->shards[k]->round == SHARD_IDLE;
	sh->shards[3]->rows_since_round = STORE_LOG_SHARE_BYTES / 9 / sh->shards_count;
	back_relieve(sh, STORE_LOG_SHARE_BYTES);
	r->had = sh->shards[3]->round != SHARD_IDLE;
}

/* The log may hold more where there are more series, unless its share was given. */
static void log_share(void)
{
	char *dir = testlib_tmpdir("store");
	struct teststore ts;
	int64_t t_ms = clock_wall_ms() - 60000;
	one_loop(&ts, dir, no_rounds);
	struct intake_env *env = &ts.store->intake_env;
	bool usual = env->log_share_bytes == STORE_LOG_SHARE_BYTES &&
	    env->log_series_bytes == STORE_LOG_SERIES_BYTES;
	__atomic_store_n(&env->log_share_bytes, 1, __ATOMIC_RELEASE);
	__atomic_store_n(&env->log_series_bytes, 1ull << 30, __ATOMIC_RELEASE);
	tap_ok(usual && rounds_meanwhile(&ts, &t_ms, 0) == 0,
	    "a log below the share of its series has no rounds");
	__atomic_store_n(&env->log_series_bytes, 1, __ATOMIC_RELEASE);
	tap_ok(rounds_meanwhile(&ts, &t_ms, 1) > 1, "one beyond it has");
	teststore_close(&ts);
	one_loop(&ts, dir, quiet);
	env = &ts.store->intake_env;
	tap_ok(env->log_share_bytes == 1ull << 40 && !env->log_series_bytes,
	    "a share that was given counts alone");
	struct relief r = { .store = ts.store };
	testteam_run(&ts.tt, 0, relief_here, &r);
	tap_ok(r.rested && r.had, "rounds for the log's sake come where they let go of some of it");
	teststore_close(&ts);
	testlib_rmtree(dir);
	free(dir);
}

static void refusals(unsigned loops)
{
	char *dir = testlib_tmpdir("store");
	struct teststore ts;
	struct arena a;
	struct batch b;
	struct sink_req r;
	arena_init(&a, 1 << 16);
	batch_init(&b);
	teststore_open(&ts, dir, loops, one_hour);
	int64_t now = clock_wall_ms();
	struct labels up = label_make(&a, LABEL_NAME, "up", NULL),
	              other = label_make(&a, LABEL_NAME, "other", NULL);
	teststore_row(&b, up, now - 20ll * 24 * 3600 * 1000, 1);
	teststore_append(&ts, 0, &b, &r);
	tap_ok(!r.err && r.stored == 1, "a fresh server takes what is 20 days old");
	batch_clear(&b);
	teststore_row(&b, other, now - 40ll * 24 * 3600 * 1000, 1);
	teststore_append(&ts, 0, &b, &r);
	tap_ok(!r.err && r.refused == 1 && r.first_reason == SINK_TOO_OLD,
	    "but nothing before the newest minus the window");
	batch_clear(&b);
	teststore_row(&b, up, now, 1);
	teststore_row(&b, up, now + 11 * 60 * 1000, 1);
	teststore_row(&b, other, now + 9 * 60 * 1000, 1);
	teststore_append(&ts, 0, &b, &r);
	tap_ok(!r.err && r.stored == 2 && r.refused == 1 && r.first_reason == SINK_OUT_OF_BOUNDS,
	    "the future is bounded by the clock");
	tap_ok(strncmp(r.first_text, "up: sample of ", 14) == 0 &&
	        strstr(r.first_text, ", newest accepted ") &&
	        strstr(r.first_text, " (--limits.future 10m)"),
	    "and the refused series is named, with numbers: %s", r.first_text);
	batch_clear(&b);
	teststore_row(&b, up, now, 1);
	teststore_row(&b, up, now, 2);
	teststore_row(&b, up, now - 1000, 5);
	teststore_row(&b, up, now - 2 * 3600 * 1000, 5);
	teststore_append(&ts, 0, &b, &r);
	tap_ok(!r.err && r.stored == 3 && r.refused == 1 && r.first_reason == SINK_TOO_OLD,
	    "duplicates, overwrites and late rows are taken, what is older than the window is not");
	tap_ok(strstr(r.first_text, "up: sample of ") && strstr(r.first_text, ", oldest accepted ") &&
	        strstr(r.first_text, " (--out-of-order-window 1h)"),
	    "whose text has both times and the flags: %s", r.first_text);
	static const struct {
		int64_t per_ms, of_ms;
		const char *word;
	} units[] = { { 1, 1000, "seconds" }, { 1000, 1, "microseconds" },
		{ 1000000, 1, "nanoseconds" } };
	for (size_t i = 0; i < COUNT_OF(units); i++) {
		batch_clear(&b);
		teststore_row(&b, up, now / units[i].of_ms * units[i].per_ms, 1);
		teststore_append(&ts, 0, &b, &r);
		tap_ok(r.refused == 1 && strstr(r.first_text, ", looks like ") &&
		        strstr(strstr(r.first_text, ", looks like "), units[i].word),
		    "%s sent as milliseconds are named: %s", units[i].word, r.first_text);
	}
	struct column col = { 0 };
	bool ok = teststore_read(&ts, up, &col) && col.count == 3 && col.v[2] == 2 &&
	    col.v[1] == 5 && col.t_ms[1] == now - 1000;
	tap_ok(ok, "the last write wins");
	batch_clear(&b);
	teststore_row(
	    &b, (struct labels){ .bytes = (const uint8_t *)"\x0a\x02\x0a\x7f", .len = 4 }, now, 1);
	teststore_row(&b, label_make(&a, "job", "x", NULL), now, 1);
	static const struct batch_extra bad = { .bad = "no histogram at all" };
	teststore_row(&b, up, now, 1);
	batch_row_extra(&b, &b.rows[2], &bad);
	teststore_row(&b, (struct labels){ .bytes = NULL, .len = 0 }, now, 1);
	teststore_row(&b, up, now + 1, 1);
	teststore_append(&ts, 0, &b, &r);
	tap_ok(!r.err && r.stored == 1 && r.refused == 4 && r.first_reason == SINK_BAD_LABELS,
	    "bad labels, a missing name, bad histograms and no labels at all are refused row by row");
	char *big = arena_alloc(&a, 20000);
	memset(big, 'x', 19999);
	big[19999] = 0;
	batch_clear(&b);
	teststore_row(&b, up, now + 2, 1);
	teststore_row(&b, label_make(&a, LABEL_NAME, "big", "value", big, NULL), now, 1);
	teststore_append(&ts, 0, &b, &r);
	tap_ok(!r.err && r.stored == 1 && r.refused == 1 && r.first_reason == SINK_LABEL_LIMIT &&
	        strncmp(r.first_text, "big{", 4) == 0,
	    "a label over its limit is refused: %.60s...", r.first_text);
	batch_clear(&b);
	teststore_append(&ts, 0, &b, &r);
	tap_ok(!r.err && r.stored == 0 && r.refused == 0, "an empty request is answered");
	tap_ok(teststore_read(&ts, other, &col) && col.count == 1,
	    "a series refused for its age was not made, later it was");
	teststore_close(&ts);
	column_release(&col);
	batch_release(&b);
	arena_release(&a);
	testlib_rmtree(dir);
	free(dir);
}

/*
 * The window is as long as the retention: who was cut off for hours while others went on is taken.
 */
static void late_senders(void)
{
	char *dir = testlib_tmpdir("store");
	struct teststore ts;
	struct arena a;
	struct batch b;
	struct sink_req r;
	arena_init(&a, 1 << 16);
	batch_init(&b);
	teststore_open(&ts, dir, 2, quiet);
	int64_t now = clock_wall_ms(), day = 24 * 3600 * 1000;
	struct labels up = label_make(&a, LABEL_NAME, "up", "job", "x", NULL),
	              cut = label_make(&a, LABEL_NAME, "cut_off", NULL);
	teststore_row(&b, up, now, 1);
	for (int64_t t = now - 2 * day / 24; t < now; t += 60000)
		teststore_row(&b, cut, t, 1);
	teststore_row(&b, cut, now - 29 * day, 1);
	teststore_append(&ts, 0, &b, &r);
	tap_ok(!r.err && r.refused == 0, "two hours late, and 29 days: taken");
	batch_clear(&b);
	teststore_row(&b, up, now - 31 * day, 1);
	teststore_append(&ts, 0, &b, &r);
	tap_ok(r.refused == 1 && r.first_reason == SINK_TOO_OLD &&
	        strncmp(r.first_text, "up{job=\"x\"}: sample of ", 23) == 0 &&
	        strstr(r.first_text, ", oldest accepted ") &&
	        strstr(r.first_text, " (--out-of-order-window 30d)"),
	    "31 days are not: %s", r.first_text);
	batch_clear(&b);
	teststore_row(&b, up, now - 30 * day - 2000, 1);
	teststore_append(&ts, 0, &b, &r);
	tap_ok(r.refused == 1 && strstr(r.first_text, "sample of 20") &&
	        strstr(r.first_text, "oldest accepted 20"),
	    "times of one day that is not today are told with it: %s", r.first_text);
	batch_clear(&b);
	teststore_row(&b, up, now / 1000, 1);
	teststore_append(&ts, 0, &b, &r);
	tap_ok(r.first_reason == SINK_TOO_OLD &&
	        strstr(r.first_text, "looks like seconds, not milliseconds"),
	    "seconds are named as such: %s", r.first_text);
	batch_clear(&b);
	teststore_row(&b, up, now * 1000000, 1);
	teststore_append(&ts, 0, &b, &r);
	tap_ok(r.first_reason == SINK_OUT_OF_BOUNDS &&
	        strstr(r.first_text, "looks like nanoseconds, not milliseconds"),
	    "nanoseconds, too: %s", r.first_text);
	teststore_close(&ts);
	batch_release(&b);
	arena_release(&a);
	testlib_rmtree(dir);
	free(dir);
}

/* A request that takes its memory back as soon as its rows are stored. */
struct early {
	struct sink_req req;
	struct store *store;
	uint8_t *bytes;
	size_t bytes_len;
	unsigned applied, done, applied_at_done;
};

static void early_applied(struct sink_req *req)
{
	struct early *e = CONTAINER_OF(req, struct early, req);
	e->applied++;
	memset(e->bytes, 0xee, e->bytes_len);
	memset(req->batch->rows, 0xee, req->batch->rows_count * sizeof *req->batch->rows);
}

static void early_done(struct sink_req *req)
{
	struct early *e = CONTAINER_OF(req, struct early, req);
	e->done++;
	e->applied_at_done = e->applied;
}

static void early_send(void *arg)
{
	struct early *e = arg;
	sink_append(store_sink(e->store), &e->req);
}

static bool early_is_done(void *arg)
{
	return ((struct early *)arg)->done > 0;
}

static void early_append(struct teststore *ts, struct early *e, struct batch *b)
{
	e->req = (struct sink_req){ .batch = b, .done = early_done, .applied = early_applied };
	e->store = ts->store;
	e->applied = e->done = 0;
	testteam_run(&ts->tt, 0, early_send, e);
	(void)testteam_wait(&ts->tt, 0, early_is_done, e, TESTTEAM_LONG_MS);
}

static void memory_comes_back(void)
{
	enum {
		EARLY = 3000
	};
	char *dir = testlib_tmpdir("store");
	struct teststore ts;
	struct arena a;
	struct batch b;
	struct early e = { 0 };
	struct column col = { 0 };
	arena_init(&a, 1 << 16);
	batch_init(&b);
	teststore_open(&ts, dir, 1, quiet);
	int64_t now = clock_wall_ms();
	e.bytes = mem_alloc(EARLY * 64);
	for (int round = 0; round < 3; round++) {
		batch_clear(&b);
		e.bytes_len = 0;
		for (int i = 0; i < EARLY; i++) {
			char no[16];
			snprintf(no, sizeof no, "%d", i);
			struct labels ls = label_make(&a, LABEL_NAME, "early", "no", no, NULL);
			memcpy(e.bytes + e.bytes_len, ls.bytes, ls.len);
			ls.bytes = e.bytes + e.bytes_len;
			e.bytes_len += ls.len;
			teststore_row(&b, ls, now + round * 1000, i + round);
		}
		early_append(&ts, &e, &b);
		tap_ok(e.done == 1 && e.applied_at_done == 1 && !e.req.err && e.req.stored == EARLY,
		    "round %d: memory comes back once, before the answer", round);
	}
	unsigned wrong = 0;
	for (int i = 0; i < EARLY; i += 7) {
		char no[16];
		snprintf(no, sizeof no, "%d", i);
		teststore_read(&ts, label_make(&a, LABEL_NAME, "early", "no", no, NULL), &col);
		wrong += col.count != 3 || col.v[0] != i || col.v[2] != i + 2;
	}
	tap_is_u64(wrong, 0, "and what was stored is what was sent");
	batch_clear(&b);
	teststore_row(&b, label_make(&a, LABEL_NAME, "early", NULL), now, 1);
	teststore_row(&b, label_make(&a, LABEL_NAME, "early", NULL), now * 1000, 1);
	early_append(&ts, &e, &b);
	tap_ok(e.done == 1 && !e.applied && e.req.refused == 1 && strstr(e.req.first_text, "early: "),
	    "not when a row was refused, whose series is told: %s", e.req.first_text);
	teststore_close(&ts);
	column_release(&col);
	mem_free(e.bytes);
	batch_release(&b);
	arena_release(&a);
	testlib_rmtree(dir);
	free(dir);
}

/* Requests of which no row leaves home take nothing that is not given back. */
static void all_refused_at_home(void)
{
	char *dir = testlib_tmpdir("store");
	struct teststore ts;
	struct arena a;
	struct batch b;
	struct sink_req r;
	arena_init(&a, 1 << 16);
	batch_init(&b);
	teststore_open(&ts, dir, 1, quiet);
	struct labels up = label_make(&a, LABEL_NAME, "up", NULL);
	static const struct batch_extra bad = { .bad = "no histogram at all" };
	for (unsigned i = 0; i < 10; i++)
		*batch_add(&b) = (struct batch_row){
			.labels = up.bytes, .labels_len = up.len, .flags = BATCH_EXTRA, .extra = &bad
		};
	unsigned good = 0, times = 2000;
	size_t before = 0;
	for (unsigned i = 0; i < times; i++) {
		teststore_append(&ts, 0, &b, &r);
		good += !r.err && r.refused == 10;
		if (i == times / 2)
			before = mallinfo2().uordblks;
	}
	tap_is_u64(good, times, "requests of bad histograms alone are answered");
	size_t after = mallinfo2().uordblks;
	/* Kept steps would be 12 MiB; other threads come and go with buffers of one. */
	tap_ok(after < before + (4 << 20), "and keep nothing: %zu bytes, then %zu", before, after);
	teststore_close(&ts);
	batch_release(&b);
	arena_release(&a);
	testlib_rmtree(dir);
	free(dir);
}

static void few_series(struct store_opts *o)
{
	quiet(o);
	o->series_max = 10;
}

static void slow_series(struct store_opts *o)
{
	quiet(o);
	o->new_series_per_s = 10;
}

static void full_disk(struct store_opts *o)
{
	quiet(o);
	o->min_free_bytes = 1ull << 60;
}

static void limits(void)
{
	char *dir = testlib_tmpdir("store");
	struct teststore ts;
	struct batch b;
	struct sink_req r;
	batch_init(&b);
	int64_t now = clock_wall_ms();
	for (unsigned i = 0; i < 300; i++)
		teststore_row(&b, canonical[i], now, 1);
	one_loop(&ts, dir, slow_series);
	teststore_append(&ts, 0, &b, &r);
	tap_ok(r.err == ERR_BUSY && r.retry_after_s > 0,
	    "series that come too fast make the request busy");
	uint64_t some = store_series(ts.store);
	tap_ok(some >= 100 && some < 300, "those in the budget were made: %llu",
	    (unsigned long long)some);
	teststore_close(&ts);
	one_loop(&ts, dir, few_series);
	teststore_append(&ts, 0, &b, &r);
	tap_ok(!r.err && r.stored == some && r.refused == 300 - some &&
	        r.first_reason == SINK_SERIES_LIMIT &&
	        strstr(r.first_text, " active series, limit ") &&
	        strstr(r.first_text, " (--limits.series-total)"),
	    "over the limit of series known ones go on, new ones are refused: %s", r.first_text);
	teststore_close(&ts);
	one_loop(&ts, dir, full_disk);
	uint32_t retry = 0;
	teststore_append(&ts, 0, &b, &r);
	tap_ok(r.err == ERR_NOSPACE && r.retry_after_s == 30,
	    "below the floor of free space writes are refused");
	(void)retry;
	teststore_close(&ts);
	batch_release(&b);
	testlib_rmtree(dir);
	free(dir);
}

struct account {
	struct store *store;
	uint64_t all, slab;
};

/* A stock of memory that a worker makes counts when it arrives. */
static bool is_stocked(void *arg)
{
	const struct account *c = arg;
	return !c->store->shares[0]->stocking;
}

static void account_here(void *arg)
{
	struct account *c = arg;
	c->all = share_head_bytes(c->store->shares[0]);
	c->slab = slab_bytes(c->store->shares[0]->mem);
}

/* New series are as fast as memory allows; where it ends they wait, and known ones go on. */
struct head_part {
	struct store *store;
	uint64_t bytes;
};

static void head_part_here(void *arg)
{
	const struct head_part *p = arg;
	p->store->share_env.head_bytes_max = p->bytes;
}

/* On the loop that reads it: the store has one. */
static void head_part_set(struct teststore *ts, uint64_t bytes)
{
	testteam_run(
	    &ts->tt, 0, head_part_here, &(struct head_part){ .store = ts->store, .bytes = bytes });
}

static void tight_memory(void)
{
	char *dir = testlib_tmpdir("store");
	struct teststore ts;
	struct batch b;
	struct sink_req r;
	batch_init(&b);
	int64_t now = clock_wall_ms();
	one_loop(&ts, dir, quiet);
	for (unsigned i = 0; i < 300; i++)
		teststore_row(&b, canonical[i], now, 1);
	teststore_append(&ts, 0, &b, &r);
	struct account c = { .store = ts.store };
	TAP_OK(testteam_wait(&ts.tt, 0, is_stocked, &c, TESTTEAM_LONG_MS));
	testteam_run(&ts.tt, 0, account_here, &c);
	tap_ok(!r.err && r.stored == 300 && c.all > c.slab + 300 * 64,
	    "lines, tables and postings are counted: %llu bytes, slab %llu",
	    (unsigned long long)c.all, (unsigned long long)c.slab);
	head_part_set(&ts, c.all);
	batch_clear(&b);
	teststore_row(&b, canonical[0], now + 1, 1);
	teststore_row(&b, canonical[350], now, 1);
	teststore_append(&ts, 0, &b, &r);
	tap_ok(r.err == ERR_BUSY && r.retry_after_s && store_series(ts.store) == 300 &&
	        strstr(r.first_text, "memory for series is ") &&
	        strstr(r.first_text, ": 300 active series, limit ") &&
	        strstr(r.first_text, "(--limits.series-total)"),
	    "a full head makes no new ones for now: %s", r.first_text);
	struct column col = { 0 };
	tap_ok(teststore_read(&ts, canonical[0], &col) && col.count == 2, "known ones go on");
	head_part_set(&ts, c.all + c.all / 19); /* 95 % */
	for (unsigned i = 0; i < 60000 && (i == 0 || r.err == ERR_BUSY); i++) {
		usleep(i ? 1000 : 0);
		teststore_append(&ts, 0, &b, &r);
	}
	tap_ok(!r.err && r.stored == 2 && store_series(ts.store) == 301,
	    "below that they come slowly: %s", r.first_text);
	head_part_set(&ts, c.all / 2);
	teststore_append(&ts, 0, &b, &r);
	tap_ok(r.err == ERR_BUSY && strstr(r.first_text, "memory for series is 2"),
	    "far above nothing is taken: %s", r.first_text);
	column_release(&col);
	teststore_close(&ts);
	batch_release(&b);
	testlib_rmtree(dir);
	free(dir);
}

static void large_request(void)
{
	char *dir = testlib_tmpdir("store");
	struct teststore ts;
	struct batch b;
	struct sink_req r;
	struct arena a;
	struct column col = { 0 };
	arena_init(&a, 1 << 20);
	batch_init(&b);
	int64_t now = clock_wall_ms();
	enum {
		BIG = 60000
	};
	struct labels *ls = mem_alloc(BIG * sizeof *ls);
	for (unsigned i = 0; i < BIG; i++) {
		char n[300];
		snprintf(n, sizeof n, "%0250u", i);
		ls[i] = label_make(&a, LABEL_NAME, "big", "n", n, NULL);
		teststore_row(&b, ls[i], now, i);
		teststore_row(&b, ls[i], now + 1, i);
	}
	teststore_open(&ts, dir, 2, quiet);
	teststore_append(&ts, 1, &b, &r);
	tap_ok(!r.err && r.stored == 2 * BIG,
	    "120,000 rows of 60,000 new series, several frames long, are stored: %llu",
	    (unsigned long long)r.stored);
	teststore_append(&ts, 0, &b, &r);
	tap_ok(!r.err && r.stored == 2 * BIG && store_series(ts.store) == BIG, "and again");
	teststore_close(&ts);
	teststore_open(&ts, dir, 1, quiet);
	bool good = store_series(ts.store) == BIG;
	for (unsigned i = 0; i < BIG; i += 97)
		good = good && teststore_read(&ts, ls[i], &col) && col.count == 2 &&
		    col.v[0] == i && col.v[1] == i;
	tap_ok(good, "a restart finds them");
	teststore_close(&ts);
	column_release(&col);
	mem_free(ls);
	batch_release(&b);
	arena_release(&a);
	testlib_rmtree(dir);
	free(dir);
}

/* ---- kill -9 ---- */

static void child_writes(const char *dir, int fd, uint64_t from)
{
	struct teststore ts;
	struct arena a;
	arena_init(&a, 1 << 16);
	teststore_open(&ts, dir, 2, quiet);
	for (uint64_t k = from;; k++) {
		struct batch b;
		struct sink_req r;
		batch_init(&b);
		request_make(k, &b, &a, NULL);
		teststore_append(&ts, (unsigned)k % 2, &b, &r);
		if (!r.err && r.stored == b.rows_count && write(fd, &k, sizeof k) != (ssize_t)sizeof k)
			_exit(1);
		batch_release(&b);
		arena_reset(&a, 1 << 16);
	}
}

/* Everything acknowledged is there; beyond it at most what the next request would have written. */
static bool contains(struct teststore *ts, const struct model *m, const struct model *next)
{
	struct column col = { 0 };
	bool good = true;
	for (unsigned s = 0; s < SERIES && good; s++) {
		if (!teststore_read(ts, canonical[s], &col))
			col.count = 0;
		bool seen[TIMES] = { false };
		for (uint32_t i = 0; i < col.count && good; i++) {
			int64_t t = col.t_ms[i] - base_ms;
			good = t >= 0 && t < TIMES;
			if (!good)
				break;
			seen[t] = true;
			bool acked = m->has[s][t] && col.v[i] == m->v[s][t];
			good = acked || (next->has[s][t] && col.v[i] == next->v[s][t]);
		}
		for (unsigned t = 0; t < TIMES && good; t++)
			good = !m->has[s][t] || seen[t];
	}
	column_release(&col);
	return good;
}

static void killed(void)
{
	char *dir = testlib_tmpdir("store");
	struct model *m = mem_zalloc(sizeof *m), *next = mem_zalloc(sizeof *next);
	struct arena a;
	arena_init(&a, 1 << 16);
	uint64_t from = 0;
	bool good = true;
	base_ms = clock_wall_ms() - 1000000;
	int kills = 8;
	for (int i = 0; i < kills && good; i++) {
		int p[2];
		if (pipe(p))
			break;
		fflush(stdout);
		pid_t pid = fork();
		if (!pid) {
			close(p[0]);
			child_writes(dir, p[1], from);
		}
		close(p[1]);
		uint64_t acked = 0, k, least = from + 3 + (uint64_t)i * 4;
		bool any = false;
		while (read(p[0], &k, sizeof k) == (ssize_t)sizeof k) {
			acked = k;
			any = true;
			if (k >= least)
				break;
		}
		usleep((useconds_t)(rnd(3000)));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		while (read(p[0], &k, sizeof k) == (ssize_t)sizeof k)
			acked = k;
		close(p[0]);
		good = any;
		struct batch b;
		batch_init(&b);
		for (; from <= acked; from++) {
			batch_clear(&b);
			request_make(from, &b, &a, m);
		}
		memset(next, 0, sizeof *next);
		batch_clear(&b);
		request_make(from, &b, &a, next);
		for (int again = 0; again < 2 && good;
		     again++) { /* (11) a second recovery finds the same */
			struct teststore ts;
			teststore_open(&ts, dir, 1 + (unsigned)(i + again) % 2, quiet);
			good = contains(&ts, m, next);
			/*
			 * the interrupted request is sent again, so that the model knows what is
			 * there
			 */
			if (again) {
				struct sink_req r;
				teststore_append(&ts, 0, &b, &r);
				good = good && !r.err && r.stored == b.rows_count;
				request_make(from++, &b, &a, m);
				good = good && agrees(&ts, m);
			}
			teststore_close(&ts);
		}
		batch_release(&b);
		arena_reset(&a, 1 << 16);
	}
	tap_ok(good,
	    "after %d kills everything acknowledged is found, nothing else, twice; %llu requests",
	    kills, (unsigned long long)from);
	arena_release(&a);
	mem_free(m);
	mem_free(next);
	testlib_rmtree(dir);
	free(dir);
}

int main(void)
{
	names_make();
	killed();
	random_requests(1);
	random_requests(2);
	job_yield_always(true); /* requests in the smallest pieces there are */
	random_requests(3);
	job_yield_always(false);
	refusals(1);
	refusals(2);
	late_senders();
	memory_comes_back();
	all_refused_at_home();
	limits();
	tight_memory();
	log_share();
	if (!WEAK)
		large_request();
	arena_release(&names);
	return tap_done();
}
