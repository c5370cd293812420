/*
 * Moments of the largest metrics, labels, pairs and targets (storage/marks.h), through a store: an
 * hour and a day ago, played back, over restarts, power cuts, damage, clocks that are set, sleep.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "storage/cardnow.h"
#include "storage/marks.h"
#include "storage/store_priv.h"
#include "tests/lib/fsdouble.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define T0     INT64_C(1700000000000)
#define HR     (3600 * INT64_C(1000))
#define MIN    (60 * INT64_C(1000))
#define TENANT 0u

static struct storetest s;
static char *dir, *top_dir;

/* On a disk that is busy what each shard writes is most of the time that all takes. */
static void small_store(const char *at)
{
	storetest_init(&s, at);
	s.opts.shards = 4;
	s.opts.reserve_bytes = 1;
	s.opts.log_segment_bytes = 256u << 10;
}

static bool begin(void)
{
	return TAP_OK(!storetest_open(&s, 2));
}

static void put(const char *name, unsigned count)
{
	struct arena a;
	arena_init(&a, 1 << 16);
	struct labels *names = mem_array(NULL, count, sizeof(*names));
	struct storetest_row *rows = mem_array(NULL, count, sizeof(*rows));
	storetest_names(&a, name, names, count);
	for (unsigned i = 0; i < count; i++)
		rows[i] =
		    (struct storetest_row){ .labels = names[i], .t_ms = clock_wall_ms(), .v = i };
	s.tenant = TENANT;
	TAP_OK(storetest_write(&s, 0, rows, count).stored == count);
	mem_free(rows);
	mem_free(names);
	arena_release(&a);
}

struct asked {
	uint32_t tenant;
	int64_t ago_ms; /* INT64_MIN: is it busy? */
	struct marks_mark *mark;
	bool busy;
};

static void ask_here(void *arg)
{
	struct asked *k = arg;
	if (k->ago_ms != INT64_MIN)
		k->mark = marks_copy(s.store->marks, k->tenant, k->ago_ms);
	k->busy = marks_busy(s.store->marks);
}

static struct marks_mark *mark_of(uint32_t tenant, int64_t ago_ms)
{
	struct asked k = { .tenant = tenant, .ago_ms = ago_ms };
	testteam_run(&s.tt, 0, ask_here, &k);
	return k.mark;
}

static void calm_wait(void)
{
	struct asked k = { .busy = true, .ago_ms = INT64_MIN };
	for (unsigned i = 0; i < 60000 && k.busy; i++) {
		testteam_run(&s.tt, 0, ask_here, &k);
		if (k.busy)
			nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	TAP_OK(!k.busy);
}

/* So much later; a round that is due has been, and its file is written. */
static void later(int64_t ms)
{
	calm_wait(); /* a round begins only where none is under way */
	storetest_advance(&s, ms);
	calm_wait();
}

static void round_wait(void)
{
	later(MARKS_LOOK_MS + 1000);
}

static void tells(
    int64_t ago_ms, enum store_card_kind kind, const char *name, bool known, uint64_t want)
{
	struct marks_mark *m = mark_of(TENANT, ago_ms);
	uint64_t v;
	bool is_known = marks_value(m, kind, name, &v);
	tap_ok(is_known == known && v == want, "%lld h ago %s had %llu, %s",
	    (long long)(ago_ms / HR), name, (unsigned long long)v, is_known ? "known" : "not known");
	marks_mark_free(m);
}

static void hours_are_told(void)
{
	put("a", 10);
	round_wait();
	tells(HR, STORE_CARD_METRIC, "a", false, 0);
	put("b", 20);
	put("a", 30);
	later(HR);
	round_wait();
	tells(HR, STORE_CARD_METRIC, "a", true, 10);
	tells(HR, STORE_CARD_METRIC, "b", true, 0);
	tells(HR, STORE_CARD_LABEL, "series", true, 10);
	tells(HR, STORE_CARD_PAIR, "__name__=a", true, 10);
	tells(24 * HR, STORE_CARD_METRIC, "a", false, 0);
	tap_ok(!mark_of(TENANT + 1, HR), "nobody else has a mark");
}

static void they_outlive_the_process(void)
{
	storetest_close(&s);
	if (!begin())
		return;
	tells(HR, STORE_CARD_METRIC, "a", true, 10);
	for (unsigned i = 0; i < 23; i++)
		later(HR);
	put("a", 40);
	tells(24 * HR, STORE_CARD_METRIC, "a", true, 10);
	tells(23 * HR, STORE_CARD_METRIC, "b", true, 20);
	for (unsigned i = 0; i < 4; i++)
		later(HR);
	round_wait();
	tap_ok(!mark_of(TENANT, 28 * HR), "those of longer ago have gone");
}

/* ---- played back ---- */

struct played {
	struct store_card_history_req req;
	bool done;
};

static void played(struct store_card_history_req *r)
{
	CONTAINER_OF(r, struct played, req)->done = true;
}

static void play_here(void *arg)
{
	struct played *p = arg;
	store_card_history(s.store, &p->req);
}

static bool has_played(void *arg)
{
	return ((struct played *)arg)->done;
}

/* All moments of metrics there are; asked on another loop than theirs. */
static struct store_card_cut play(void)
{
	struct played p = { .req = { .tenant = TENANT,
		                .t_min_ms = INT64_MIN,
		                .t_max_ms = INT64_MAX,
		                .limit = CARDHIST_TOP,
		                .done = played } };
	testteam_run(&s.tt, 1, play_here, &p);
	TAP_OK(testteam_wait(&s.tt, 1, has_played, &p, TESTTEAM_LONG_MS));
	return p.req.cut;
}

static bool ascends(const struct store_card_cut *c)
{
	for (uint32_t i = 1; i < c->moments_count; i++)
		if (c->moments[i].t_ms <= c->moments[i - 1].t_ms ||
		    c->moments[i].since_ms < c->moments[i - 1].t_ms)
			return false;
	return true;
}

static const struct store_card_moment *last_of(const struct store_card_cut *c)
{
	static const struct store_card_moment none;
	return c->moments_count ? &c->moments[c->moments_count - 1] : &none;
}

static void an_explosion_is_played_back(void)
{
	put("steady", 10);
	for (unsigned i = 0; i < 6; i++) {
		if (i == 3)
			put("explodes", 500);
		later(5 * MIN);
	}
	struct store_card_cut c = play();
	bool told = ascends(&c) && c.moments_count >= 6;
	unsigned came = 0;
	for (uint32_t i = c.moments_count - 6; told && i < c.moments_count; i++) {
		const struct store_card_moment *m = &c.moments[i];
		const char *first = c.texts + c.names[c.rows[m->rows_at].name];
		came += m->made == 500 && !strcmp(first, "explodes") &&
		    m->t_ms - m->since_ms == 5 * MIN;
		told &= m->made == 500 || m->made <= 10;
	}
	tap_ok(told && came == 1, "the moment at which it began says what it was: %u of %u", came,
	    c.moments_count);
	store_card_cut_release(&c);
}

static void a_restart_is_a_gap(void)
{
	struct store_card_cut c = play();
	int64_t last_ms = last_of(&c)->t_ms;
	uint32_t count = c.moments_count;
	store_card_cut_release(&c);
	storetest_close(&s);
	clock_fake_advance(40 * MIN);
	int64_t begun_ms = clock_wall_ms();
	if (!begin())
		return;
	put("new", 7);
	round_wait();
	c = play();
	const struct store_card_moment *m = last_of(&c);
	tap_ok(ascends(&c) && c.moments_count == count + 1 && m->since_ms == begun_ms &&
	        m[-1].t_ms == last_ms,
	    "a restart is a gap of %lld minutes", (long long)((m->since_ms - m[-1].t_ms) / MIN));
	tap_ok(
	    m->made == 7, "what a start reads again is not new: %llu", (unsigned long long)m->made);
	store_card_cut_release(&c);
}

/* ---- clocks ---- */

static void step(int64_t ms)
{
	calm_wait();
	clock_fake_step_wall(ms);
	storetest_advance(&s, 0);
	calm_wait();
}

static void clocks_that_are_set(void)
{
	later(5 * MIN);
	later(5 * MIN);
	struct store_card_cut c = play();
	uint32_t count = c.moments_count;
	store_card_cut_release(&c);
	/* Daylight saving is nothing to it; a clock that was some minutes ahead is. */
	step(-12 * MIN);
	later(5 * MIN);
	later(5 * MIN);
	c = play();
	tap_ok(ascends(&c) && c.moments_count >= count - 2 && last_of(&c)->t_ms <= clock_wall_ms() &&
	        last_of(&c)->t_ms > clock_wall_ms() - 6 * MIN,
	    "a clock set back by minutes: %u of %u moments, the last one is of now",
	    c.moments_count, count);
	count = c.moments_count;
	store_card_cut_release(&c);

	/* In doubt there is none, and what is there stays. */
	step(5 * 24 * HR);
	for (unsigned i = 0; i < 5; i++)
		later(5 * MIN);
	c = play();
	tap_ok(c.moments_count == count, "a clock five days ahead takes nothing and makes nothing");
	store_card_cut_release(&c);
	step(-5 * 24 * HR);
	put("right", 3);
	for (unsigned i = 0; i < 4; i++) { /* senders confirm it */
		later(5 * MIN);
		put("right", 3);
	}
	later(5 * MIN);
	c = play();
	tap_ok(ascends(&c) && c.moments_count > count && last_of(&c)->t_ms > clock_wall_ms() - 6 * MIN,
	    "set right it goes on, %u moments, with a gap", c.moments_count - count);
	store_card_cut_release(&c);
}

/* The wall clock has gone on, the other one has not. */
static void a_machine_that_slept(void)
{
	struct store_card_cut c = play();
	uint32_t count = c.moments_count;
	store_card_cut_release(&c);
	step(50 * MIN);
	later(MARKS_LOOK_MS + 1000);
	c = play();
	const struct store_card_moment *m = last_of(&c);
	tap_ok(c.moments_count == count + 1 && m->t_ms - m[-1].t_ms >= 50 * MIN,
	    "after a sleep there is one at once, and a gap before it");
	store_card_cut_release(&c);
}

/* ---- a label with very many values ---- */

struct figures_call {
	struct store_stats_req req;
	bool done;
};

static void figures_done(struct store_stats_req *r)
{
	CONTAINER_OF(r, struct figures_call, req)->done = true;
}

static void figures_ask(void *arg)
{
	struct figures_call *c = arg;
	store_stats(s.store, &c->req);
}

static bool figures_are(void *arg)
{
	return ((struct figures_call *)arg)->done;
}

static uint64_t value_of(const struct store_top *top, unsigned count, const char *name)
{
	for (unsigned i = 0; i < count; i++)
		if (!strcmp(top[i].name, name))
			return top[i].value;
	return 0;
}

/* ---- who ask together ---- */

#define TOGETHER 10u
static struct store_stats together_stats[TOGETHER];
static struct figures_call together[TOGETHER];

static void together_ask(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < TOGETHER; i++) {
		together[i] = (struct figures_call){
			.req = { .tenant = i == 5, .stats = &together_stats[i], .done = figures_done }
		};
		cardnow_ask(s.store, &together[i].req);
	}
}

static bool together_are(void *arg)
{
	unsigned done = 0;
	(void)arg;
	for (unsigned i = 0; i < TOGETHER; i++)
		done += together[i].done;
	return done == TOGETHER;
}

static void counts_here(void *arg)
{
	*(uint64_t *)arg = cardnow_counts(s.store->cardnow);
}

static void those_who_ask_together(void)
{
	uint64_t before, counts, series = 0;
	bool same = true;
	testteam_run(&s.tt, 0, counts_here, &before);
	testteam_run(&s.tt, 1, together_ask, NULL);
	TAP_OK(testteam_wait(&s.tt, 1, together_are, NULL, TESTTEAM_LONG_MS));
	testteam_run(&s.tt, 0, counts_here, &counts);
	for (unsigned i = 0; i < TOGETHER; i++) {
		series = i == 5 ? series : together_stats[i].series;
		same &= together_stats[i].series == (i == 5 ? 0 : together_stats[0].series);
	}
	tap_ok(same && series, "ten who ask are told the same, but the one of another tenant");
	/* The first one's, that of all who waited, the other tenant's. */
	tap_ok(counts - before <= 3, "and are counted for together: %u counts",
	    (unsigned)(counts - before));
	put("asked", 5);
	testteam_run(&s.tt, 1, together_ask, NULL);
	TAP_OK(testteam_wait(&s.tt, 1, together_are, NULL, TESTTEAM_LONG_MS));
	tap_ok(together_stats[0].series == series + 5, "who asks later is told what came meanwhile");
}

/* In one shard, more than there are tables for: what is large is exact all the same. */
static void very_many_values(void)
{
	enum {
		MANY = 20000,
		HEAVY = 3000
	};
	char *path = testlib_path(top_dir, "many");
	struct arena a;
	arena_init(&a, 1 << 20);
	struct storetest_row *rows = mem_array(NULL, MANY, sizeof(*rows));
	small_store(path);
	s.opts.shards = 1;
	if (!begin())
		return;
	/* Characters of two bytes; "lng=" is four: there is room for half of the last one. */
	char long_value[601] = "", cut[256] = "lng=";
	for (unsigned i = 0; i < 300; i++)
		memcpy(long_value + (size_t)2 * i, "\xc3\xa9", 3);
	memcpy(cut + 4, long_value, 250);
	for (unsigned i = 0; i < MANY; i++) {
		char no[16], user[16];
		snprintf(no, sizeof(no), "%u", i);
		snprintf(user, sizeof(user), "u%u", i < MANY - HEAVY ? i : MANY);
		struct labels ls = label_make(&a, LABEL_NAME, i % 4 ? "big" : "small", "instance",
		    i % 2 ? "x:1" : "y:1", "lng", long_value, "no", no, "user", user, NULL);
		rows[i] = (struct storetest_row){ .labels = ls, .t_ms = clock_wall_ms(), .v = 1 };
	}
	TAP_OK(storetest_write(&s, 0, rows, MANY).stored == MANY);
	static struct store_stats f;
	for (unsigned lists = 0; lists < 2; lists++) {
		struct figures_call c = { .req = { .tenant = TENANT,
			                      .top = 20,
			                      .lists = lists,
			                      .stats = &f,
			                      .done = figures_done } };
		testteam_run(&s.tt, 1, figures_ask, &c);
		TAP_OK(testteam_wait(&s.tt, 1, figures_are, &c, TESTTEAM_LONG_MS));
		uint64_t no = value_of(f.by_label, f.by_label_count, "no"),
		         off = lists ? MANY / 50 : 0;
		uint64_t user = value_of(f.by_label, f.by_label_count, "user");
		tap_ok(f.series == MANY && f.made == MANY, "all are counted");
		tap_ok(value_of(f.by_metric, f.by_metric_count, "big") == MANY / 4 * 3 &&
		        value_of(f.by_target, f.by_target_count, "instance=x:1") == MANY / 2 &&
		        f.by_target_count == 2,
		    "metrics and targets are exact");
		tap_ok(value_of(f.by_pair, f.by_pair_count, cut) == MANY &&
		        value_of(f.by_label, f.by_label_count, "lng") == 1,
		    "a long value is cut, within no character");
		tap_ok(value_of(f.by_pair, f.by_pair_count, "user=u20000") == HEAVY,
		    "so is a large one among very many values");
		tap_ok(no >= MANY - off && no <= MANY + off && user >= MANY - HEAVY + 1 - off &&
		        user <= MANY - HEAVY + 1 + off,
		    "values of labels: %llu and %llu%s", (unsigned long long)no,
		    (unsigned long long)user, lists ? ", about" : "");
	}
	storetest_close(&s);
	mem_free(rows);
	arena_release(&a);
	free(path);
}

/* ---- what is deleted ---- */

static bool delete (const char *metric)
{
	struct matcher m;
	struct errbuf eb;
	errbuf_init(&eb);
	CHECK(!matcher_init(
	    &m, MATCHER_EQ, LABEL_NAME, strlen(LABEL_NAME), metric, strlen(metric), &eb));
	enum err e = storetest_delete(&s, &m, 1, INT64_MIN, INT64_MAX);
	matcher_release(&m);
	return !e;
}

/* In the file, or in what a crash left of one. */
static bool dir_has(const char *at, const char *text)
{
	static const char *const files[] = { "CARDINALITY", "CARDINALITY.tmp" };
	struct fsio_dir *d;
	bool has = false;
	if (fsio_dir_open(at, false, &d))
		return false;
	for (unsigned i = 0; i < COUNT_OF(files); i++) {
		uint8_t *data = NULL;
		size_t len = 0;
		has |= !fsio_load(d, files[i], 1u << 20, &data, &len) &&
		    memmem(data, len, text, strlen(text));
		mem_free(data);
	}
	fsio_dir_close(d);
	return has;
}

static bool is_played(const char *text)
{
	struct store_card_cut c = play();
	bool has = false;
	for (uint32_t i = 0; i < c.names_count; i++)
		has |= strstr(c.texts + c.names[i], text) != NULL;
	store_card_cut_release(&c);
	return has;
}

static void deleted_names_go(void)
{
	put("stays", 12);
	put("secret", 30);
	later(5 * MIN);
	put("idle_secret", 8);
	later(5 * MIN);
	tap_ok(is_played("secret") && is_played("idle_secret") && dir_has(dir, "secret"),
	    "names of series that are there are told, and written down");
	/* Idle series leave memory; the one that is written stays. */
	struct store_card_cut c;
	uint32_t moments = 0;
	uint64_t series = 0;
	for (unsigned i = 0; i < 16 && series != 42; i++) {
		put("stays", 12);
		put("secret", 30);
		later(HR);
		c = play();
		moments = c.moments_count;
		series = last_of(&c)->series;
		store_card_cut_release(&c);
	}
	tap_ok(series == 42 && is_played("idle_secret"), "idle ones of a while ago, too");
	tap_ok(delete ("idle_secret"), "idle ones are deleted");
	tap_ok(!is_played("idle_secret") && is_played("secret") && is_played("stays"),
	    "and told no more");
	tap_ok(delete ("secret"), "others, too");
	calm_wait();
	c = play();
	tap_ok(!is_played("secret") && is_played("stays") && c.moments_count == moments &&
	        last_of(&c)->series == series,
	    "nor are those; all %u moments stay, with their sums", moments);
	store_card_cut_release(&c);
	tap_ok(!dir_has(dir, "secret") && dir_has(dir, "stays"), "the file says the same");
	tells(HR, STORE_CARD_METRIC, "stays", true, 12);
	storetest_close(&s);
	if (!begin())
		return;
	tap_ok(!is_played("secret") && is_played("stays"), "and a start");
	later(5 * MIN);
	tap_ok(!is_played("secret") && !dir_has(dir, "secret"), "and the round behind it");
}

static void left_file(const char *name, const char *text)
{
	char *path = testlib_path(dir, name);
	FILE *f = fopen(path, "wb");
	TAP_OK(f && fputs(text, f) >= 0 && !fclose(f));
	free(path);
}

/* What this process cannot read, and what another one has not finished, may have names. */
static void left_names_go(void)
{
	static const char *const files[] = { "CARDINALITY", "CARDINALITY.tmp" };
	for (unsigned i = 0; i < COUNT_OF(files); i++) {
		put("left", 3);
		storetest_close(&s);
		left_file(files[i], "KYMOCAR9: left");
		if (!begin())
			return;
		tap_ok(delete ("left") && !dir_has(dir, "left"),
		    "a deletion takes a foreign %s along", files[i]);
	}
}

/* Deletions while a round counts; the file of each image has nothing of what was deleted. */
static void deletions_and_rounds(void)
{
	static const char *const exclude[] = { "catalog", "log", "shards", "RESERVE", NULL };
	char *first = testlib_path(top_dir, "deletions"), name[32];
	unsigned images = 0, told = 0, found = 0;
	fsdouble_start(&(struct fsdouble_opts){ .root = first, .exclude = exclude });
	small_store(first);
	bool open = begin();
	for (unsigned i = 0; open && i < 4; i++) {
		snprintf(name, sizeof(name), "hidden%u", i);
		put("cut", 10);
		put(name, 20 + i);
		if (i % 3)
			later(5 * MIN);
		clock_fake_advance(5 * MIN); /* a round is due, and may be under way */
		TAP_OK(delete (name));
		told += is_played(name);
		uint64_t done = fsdouble_point();
		later(5 * MIN);
		told += is_played(name);
		for (uint64_t point = done; point <= fsdouble_point(); point += 1 + point % 9) {
			for (uint64_t seed = 0; seed < 2; seed++, images++) {
				char *to = testlib_path(top_dir, "image");
				fsdouble_image(
				    point, seed, seed ? FSDOUBLE_RANDOM : FSDOUBLE_SYNCED, to);
				found += dir_has(to, name);
				testlib_rmtree(to);
				free(to);
			}
		}
	}
	tap_ok(!told && is_played("cut"), "what is deleted while rounds count is never told");
	if (open)
		storetest_close(&s);
	fsdouble_stop();
	tap_ok(images > 20 && !found, "nor is it in any of %u images of power cuts", images);
	tap_ok(dir_has(first, "cut"), "the file is there in the end");
	free(first);
}

/* ---- more than there is room to count ---- */

static void ask_many(void *arg)
{
	struct figures_call *all = arg;
	for (unsigned i = 0; i < 5; i++)
		store_stats(s.store, &all[i].req);
}

static bool many_are(void *arg)
{
	const struct figures_call *all = arg;
	for (unsigned i = 0; i < 5; i++)
		if (!all[i].done)
			return false;
	return true;
}

static const struct store_top *row_of(const struct store_top *top, unsigned count, const char *name)
{
	for (unsigned i = 0; i < count; i++)
		if (!strcmp(top[i].name, name))
			return &top[i];
	return NULL;
}

/* Five at once, of which two are under way: each holds what it may, and says what is not exact. */
static void little_room(uint64_t bytes, bool exact)
{
	char *path = testlib_path(top_dir, exact ? "room" : "little");
	static struct store_stats stats[5];
	struct figures_call all[5];
	small_store(path);
	s.opts.stats_bytes = bytes;
	if (!begin())
		return;
	put("large", 7000);
	put("middle", 5000);
	put("small", 20);
	for (unsigned i = 0; i < 5; i++)
		all[i] = (struct figures_call){
			.req = { .top = 100, .lists = i % 2, .stats = &stats[i], .done = figures_done }
		};
	testteam_run(&s.tt, 1, ask_many, all);
	TAP_OK(testteam_wait(&s.tt, 1, many_are, all, TESTTEAM_LONG_MS));
	bool held = true, metrics = true, pairs = true, same = true;
	for (unsigned i = 0; i < 5; i++) {
		const struct store_stats *c = &stats[i];
		const struct store_top *m = row_of(c->by_metric, c->by_metric_count, "middle"),
		                       *l = row_of(c->by_label, c->by_label_count, "series");
		held &= c->bytes <= bytes / 2;
		metrics &= c->series == 12020 && m && m->value == 5000 && !m->off &&
		    value_of(c->by_metric, c->by_metric_count, "large") == 7000 && l &&
		    (exact ? l->value == 7000 : l->value > 6700 && l->value < 7300);
		for (unsigned k = 0; k < c->by_pair_count; k++) {
			const struct store_top *p = &c->by_pair[k];
			uint64_t is = strncmp(p->name, "series=", 7) ? p->value
			    : atoi(p->name + 7) < 20                 ? 3
			    : atoi(p->name + 7) < 5000               ? 2
			                                             : 1;
			pairs &= p->value <= is && is <= p->value + p->off && (!exact || !p->off);
		}
		pairs &= c->pair_below >= c->by_pair[c->by_pair_count - 1].value &&
		    (!exact || !c->pairs_about);
		same &= !memcmp(c->by_label, stats[0].by_label, sizeof(c->by_label));
	}
	tap_ok(held, "with %llu bytes a count holds %llu of them", (unsigned long long)bytes,
	    (unsigned long long)stats[0].bytes);
	tap_ok(metrics && pairs,
	    exact ? "all is exact" : "what is large is exact, all else says how much it may be off");
	tap_ok(same, "and each who asks is told the same");
	storetest_close(&s);
	free(path);
}

/* What is told, or not listed, and what it may be: so much is true. */
static bool holds(
    const struct store_top *top, unsigned count, uint64_t below, const char *name, uint64_t is)
{
	const struct store_top *row = row_of(top, count, name);
	if (!row)
		return is <= below;
	return row->value == is || (row->about && row->value < is && row->off >= is - row->value);
}

/* Labels that find no room are missing, and what that means is told. */
static void little_room_for_names(uint64_t bytes)
{
	enum {
		MANY = 2000
	};
	char *path = testlib_path(top_dir, "names"), name[16], pair[16];
	struct arena a;
	arena_init(&a, 1 << 20);
	struct storetest_row *rows = mem_array(NULL, MANY, sizeof(*rows));
	static struct store_stats f;
	struct figures_call c = { .req = { .top = 64, .stats = &f, .done = figures_done } };
	small_store(path);
	s.opts.stats_bytes = bytes;
	if (!begin())
		return;
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		struct labels ls = label_make(&a, LABEL_NAME, i % 4 ? "big" : "small", "instance",
		    i % 2 ? "x:1" : "y:1", name, "v", NULL);
		rows[i] = (struct storetest_row){ .labels = ls, .t_ms = clock_wall_ms(), .v = 1 };
	}
	TAP_OK(storetest_write(&s, 0, rows, MANY).stored == MANY);
	testteam_run(&s.tt, 1, figures_ask, &c);
	TAP_OK(testteam_wait(&s.tt, 1, figures_are, &c, TESTTEAM_LONG_MS));
	bool labels = true, pairs = true;
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		snprintf(pair, sizeof(pair), "n%u=v", i);
		labels &= holds(f.by_label, f.by_label_count, f.label_below, name, 1);
		pairs &= holds(f.by_pair, f.by_pair_count, f.pair_below, pair, 1);
	}
	tap_ok(labels && holds(f.by_label, f.by_label_count, f.label_below, LABEL_NAME, 2),
	    "of %u labels those that found no room have %llu values at most", MANY,
	    (unsigned long long)f.label_below);
	tap_ok(pairs && holds(f.by_metric, f.by_metric_count, f.metric_below, "big", MANY / 4 * 3) &&
	        holds(f.by_metric, f.by_metric_count, f.metric_below, "small", MANY / 4) &&
	        holds(f.by_target, f.by_target_count, f.target_below, "instance=x:1", MANY / 2),
	    "no pair, metric or target is more than is told");
	tap_ok(f.pairs_about || f.label_pairs == MANY + 4, "nor are all pairs: %llu",
	    (unsigned long long)f.label_pairs);
	tap_ok(f.pairs_about == (bytes < 1u << 20) && f.series == MANY, "with much room it is exact");
	storetest_close(&s);
	mem_free(rows);
	arena_release(&a);
	free(path);
}

/* ---- the file ---- */

static void file_is(const char *what, size_t skip)
{
	char *path = testlib_path(dir, "CARDINALITY");
	FILE *f = fopen(path, "r+b");
	TAP_OK(f && !fseek(f, (long)skip, SEEK_SET) && fputs(what, f) >= 0 && !fclose(f));
	free(path);
}

/* Nothing depends on the file. */
static void damage_is_no_harm(const char *what, size_t skip)
{
	storetest_close(&s);
	file_is(what, skip);
	if (!begin())
		return;
	struct marks_mark *m = mark_of(TENANT, 0);
	tap_ok(!m, "moments that are damaged, or of another format, are none");
	round_wait();
	m = mark_of(TENANT, 0);
	tap_ok(m != NULL, "and new ones are made");
	marks_mark_free(m);
}

/* An image of a power cut: what the last finished round had, or the one before. */
static void image_open(uint64_t point, uint64_t seed, unsigned rounds)
{
	char name[32];
	snprintf(name, sizeof(name), "image-%llu-%llu", (unsigned long long)point,
	    (unsigned long long)seed);
	char *to = testlib_path(top_dir, name);
	fsdouble_image(point, seed, seed ? FSDOUBLE_RANDOM : FSDOUBLE_SYNCED, to);
	struct fsio_dir *d;
	struct cardhist *h = cardhist_create(1u << 20);
	uint8_t *data = NULL;
	size_t len;
	bool good = !fsio_dir_open(to, false, &d);
	enum err e = good ? fsio_load(d, "CARDINALITY", 1u << 20, &data, &len) : ERR_IO;
	if (!e)
		e = cardhist_decode(h, data, len);
	size_t moments = cardhist_moments(h);
	good &= rounds ? !e && moments >= rounds && moments <= rounds + 1
	               : (!e && moments <= 1) || e == ERR_NOTFOUND;
	if (!good)
		tap_ok(false, "point %llu, seed %llu: %s, %zu moments of %u",
		    (unsigned long long)point, (unsigned long long)seed, err_text(e), moments,
		    rounds);
	mem_free(data);
	cardhist_free(h);
	fsio_dir_close(d);
	testlib_rmtree(to);
	free(to);
}

static void power_cuts(void)
{
	enum {
		ROUNDS = 6
	};
	static const char *const exclude[] = { "catalog", "log", "shards", "RESERVE", NULL };
	uint64_t points[ROUNDS + 1];
	char *first = testlib_path(top_dir, "first");
	fsdouble_start(&(struct fsdouble_opts){ .root = first, .exclude = exclude });
	small_store(first);
	bool open = begin();
	points[0] = fsdouble_point();
	for (unsigned i = 1; open && i <= ROUNDS; i++) {
		put("cut", 10 * i);
		later(5 * MIN);
		points[i] = fsdouble_point();
	}
	if (open)
		storetest_close(&s);
	unsigned images = 0;
	for (unsigned i = 0; open && i < ROUNDS; i++)
		for (uint64_t point = points[i]; point < points[i + 1]; point++)
			for (uint64_t seed = 0;
			     seed < 2 && (point % 32 == 0 || points[i + 1] - point < 8);
			     seed++, images++)
				image_open(point, seed, i);
	tap_ok(images > 60, "%u images of power cuts lost a moment at most", images);
	fsdouble_stop();
	free(first);
}

int main(void)
{
	clock_fake(T0);
	top_dir = testlib_tmpdir("marks");
	dir = testlib_path(top_dir, "data");
	small_store(dir);
	if (!begin())
		return tap_done();
	hours_are_told();
	they_outlive_the_process();
	an_explosion_is_played_back();
	a_restart_is_a_gap();
	clocks_that_are_set();
	a_machine_that_slept();
	damage_is_no_harm("x", 20);
	damage_is_no_harm("KYMOCAR1", 0);
	those_who_ask_together();
	deleted_names_go();
	left_names_go();
	storetest_close(&s);
	deletions_and_rounds();
	power_cuts();
	very_many_values();
	little_room(16u << 20, true);
	little_room(2u << 20, false);
	little_room_for_names(256u << 10);
	little_room_for_names(16u << 20);
	testlib_rmtree(top_dir);
	free(top_dir);
	free(dir);
	return tap_done();
}
