/*
 * Deletions in the middle of everything else: random histories of requests (late rows, overwrites,
 * repeats, series that come back), deletions of some series or all, of all times or of some,
 * rounds, merges, files written anew, restarts. Every now and then each kind of read is compared
 * with a plain model; then images of what a power cut at a random moment would have left are
 * opened: what was acknowledged is found, what was deleted and acknowledged is not, nothing else
 * is, and a second recovery finds the same.
 *
 * KYMO_IMAGES (120) images over KYMO_HISTORIES (6) histories, from KYMO_SEED.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "storage/back/back.h"
#include "storage/store_priv.h"
#include "storage/storedelete.h"
#include "tests/lib/fsdouble.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define SERIES       24
#define GROUPS       4 /* a selector names one series, a group of them, or all */
#define SLOTS        400
#define STEP         15000
#define STEP_WIDE    (30 * 60000)
#define VERSIONS_MAX 24 /* of one cell that are remembered */
#define SNAPS_MAX    16
#define TURNS        170

static struct arena arena;
static struct labels names[SERIES];
static int64_t base_ms, step_ms;
static uint64_t rng;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 33) % n;
}

/* All versions of a cell in their order; one is that it was deleted. */
struct version {
	double v;
	bool gone;
	uint64_t sent, acked; /* points; acked 0: never */
};
struct cell {
	unsigned count;
	struct version at[VERSIONS_MAX];
};
static struct cell cells[SERIES][SLOTS];

static const struct version *newest(const struct cell *c)
{
	return c->count ? &c->at[c->count - 1] : NULL;
}

static bool is_there(const struct cell *c)
{
	return c->count && !newest(c)->gone;
}

static void version_add(struct cell *c, double v, bool gone, uint64_t point)
{
	if (c->count == VERSIONS_MAX) { /* the oldest is not asked for any more */
		memmove(c->at, c->at + 1, (VERSIONS_MAX - 1) * sizeof(c->at[0]));
		c->count--;
	}
	c->at[c->count++] = (struct version){ .v = v, .gone = gone, .sent = point };
}

struct snap {
	char path[64];
	uint64_t point;
};
static struct snap snaps[SNAPS_MAX];
static unsigned snaps_count;

static void take_snap(const char *dir, const char *top)
{
	if (snaps_count == SNAPS_MAX)
		return;
	char from[4096];
	struct snap *s = &snaps[snaps_count];
	snprintf(s->path, sizeof(s->path), "%.40s/catalog-%u", top, snaps_count++);
	snprintf(from, sizeof(from), "%s/catalog", dir);
	testlib_copy(from, s->path);
	s->point = fsdouble_point();
}

/* ---- the history ---- */

static unsigned one_request(struct storetest *s, unsigned slot, unsigned loops)
{
	struct storetest_row rows[SERIES + 8];
	unsigned at[SERIES + 8][2];
	size_t n = 0;
	for (unsigned i = 0; i < SERIES; i++) {
		if (rnd(4) || (i % 5 == 0 && slot / 60 % 2)) /* some pause for long */
			continue;
		at[n][0] = i;
		at[n++][1] = slot;
	}
	for (unsigned k = rnd(6); k; k--) {
		at[n][0] = rnd(SERIES);
		at[n++][1] = slot - rnd(slot > 100 ? 100 : slot + 1);
	}
	uint64_t point = fsdouble_point();
	for (size_t k = 0; k < n; k++) {
		struct cell *c = &cells[at[k][0]][at[k][1]];
		bool again = is_there(c) && rnd(3) == 0;
		double v = again ? newest(c)->v : (double)rnd(100000) / (rnd(2) ? 1 : 8);
		rows[k] = (struct storetest_row){ .labels = names[at[k][0]],
			.t_ms = base_ms + (int64_t)at[k][1] * step_ms,
			.v = v };
		storetest_row_kind(&rows[k]);
		if (!is_there(c) || num_bits(newest(c)->v) != num_bits(v))
			version_add(c, v, false, point);
	}
	if (!n)
		return 0;
	struct storetest_verdict v = storetest_write(s, rnd(loops), rows, n);
	if (v.err || v.refused) {
		tap_note("request: %s, %llu refused", err_text(v.err), (unsigned long long)v.refused);
		return 1;
	}
	point = fsdouble_point();
	for (size_t k = 0; k < n; k++) {
		struct cell *c = &cells[at[k][0]][at[k][1]];
		for (unsigned x = c->count; x-- > 0;) {
			if (c->at[x].gone || num_bits(c->at[x].v) != num_bits(rows[k].v))
				continue;
			if (!c->at[x].acked)
				c->at[x].acked = point;
			break;
		}
	}
	return 0;
}

static bool chosen(unsigned kind, unsigned which, unsigned i)
{
	return kind == 0 ? i == which : kind == 1 ? i % GROUPS == which % GROUPS : true;
}

static unsigned one_deletion(struct storetest *s, unsigned slot)
{
	unsigned kind = rnd(12) == 0 ? 2 : rnd(2), which = rnd(SERIES);
	char text[16];
	struct matcher m;
	struct errbuf eb;
	int64_t from_ms = INT64_MIN, to_ms = INT64_MAX;
	const char *label = kind == 0 ? "series" : kind == 1 ? "group" : LABEL_NAME;
	snprintf(text, sizeof text, "%u", kind == 0 ? which : which % GROUPS);
	const char *value = kind == 2 ? "deleted_total" : text;
	if (rnd(2)) {
		unsigned a = rnd(slot + 1), n = rnd(4) ? rnd(40) : SLOTS;
		from_ms = base_ms + (int64_t)a * step_ms - rnd(2);
		to_ms = rnd(5) ? from_ms + (int64_t)n * step_ms : INT64_MAX;
		if (rnd(5) == 0)
			from_ms = INT64_MIN;
	}
	if (matcher_init(&m, MATCHER_EQ, label, strlen(label), value, strlen(value), &eb))
		return 1;
	uint64_t point = fsdouble_point();
	static bool hit[SERIES][SLOTS];
	for (unsigned i = 0; i < SERIES; i++) {
		for (unsigned k = 0; k < SLOTS; k++) {
			int64_t t = base_ms + (int64_t)k * step_ms;
			hit[i][k] = chosen(kind, which, i) && t >= from_ms && t <= to_ms &&
			    cells[i][k].count;
			if (hit[i][k])
				version_add(&cells[i][k], 0, true, point);
		}
	}
	enum err e = storetest_delete(s, &m, 1, from_ms, to_ms);
	matcher_release(&m);
	point = fsdouble_point();
	for (unsigned i = 0; i < SERIES && !e; i++)
		for (unsigned k = 0; k < SLOTS; k++)
			if (hit[i][k])
				cells[i][k].at[cells[i][k].count - 1].acked = point;
	if (e)
		tap_note("deletion: %s", err_text(e));
	return e != ERR_OK;
}

/* ---- what is found ---- */

struct found {
	double v[SERIES][SLOTS];
	bool there[SERIES][SLOTS];
	bool series[SERIES];
	unsigned strange;
};

static unsigned number_of(struct labels ls)
{
	unsigned i = 0;
	while (i < SERIES && !label_equal(names[i], ls))
		i++;
	return i;
}

static void take(void *arg, struct labels ls, const struct sample_column *col)
{
	struct found *f = arg;
	unsigned i = number_of(ls);
	for (uint32_t k = 0; k < col->count; k++) {
		int64_t slot = (col->t_ms[k] - base_ms) / step_ms;
		if (i == SERIES || slot < 0 || slot >= SLOTS ||
		    base_ms + slot * step_ms != col->t_ms[k] || f->there[i][slot]) {
			f->strange++;
			continue;
		}
		f->there[i][slot] = true;
		f->strange += !storetest_value(col, k, &f->v[i][slot]);
	}
}

static void take_series(void *arg, struct labels ls, const struct sample_column *col)
{
	struct found *f = arg;
	unsigned i = number_of(ls);
	(void)col;
	if (i == SERIES || f->series[i])
		f->strange++;
	else
		f->series[i] = true;
}

static void take_value(void *arg, struct labels text, const struct sample_column *col)
{
	struct found *f = arg;
	char s[16] = "";
	(void)col;
	memcpy(s, text.bytes, text.len < 15 ? text.len : 15);
	unsigned i = (unsigned)strtoul(s, NULL, 10);
	if (i < SERIES)
		f->series[i] = true; /* of several shards it comes once each */
	else
		f->strange++;
}

/* Where samples stand the series must be; where none is near it must not. */
static unsigned judge_series(const struct found *f, unsigned from, unsigned to, const char *what)
{
	unsigned bad = f->strange;
	for (unsigned i = 0; i < SERIES; i++) {
		bool in = false, any = false;
		for (unsigned k = 0; k < SLOTS; k++) {
			any |= is_there(&cells[i][k]);
			in |= is_there(&cells[i][k]) && k >= from && k <= to;
		}
		bool fits = f->series[i] ? any : !in;
		if (!fits && bad++ < 3)
			tap_note("%s: series %u is %s, it has %s", what, i,
			    f->series[i] ? "named" : "missing", in ? "samples" : "none at all");
	}
	return bad;
}

static unsigned same_now(struct storetest *s, const char *what)
{
	static struct found f;
	unsigned a = rnd(3) ? 0 : rnd(SLOTS), b = a ? a + rnd(SLOTS - a) : SLOTS - 1, bad = 0;
	int64_t from_ms = base_ms + (int64_t)a * step_ms, to_ms = base_ms + (int64_t)b * step_ms;
	memset(&f, 0, sizeof f);
	enum err e = storetest_read(s, NULL, 0, from_ms, to_ms, take, &f);
	bad += f.strange;
	for (unsigned i = 0; i < SERIES; i++) {
		for (unsigned k = a; k <= b; k++) {
			const struct cell *c = &cells[i][k];
			bool fits = f.there[i][k] == is_there(c) &&
			    (!is_there(c) || num_bits(f.v[i][k]) == num_bits(newest(c)->v));
			if (!fits && bad++ < 3)
				tap_note("%s: series %u slot %u: %s %g, newest is %s %g", what, i,
				    k, f.there[i][k] ? "found" : "not found", f.v[i][k],
				    is_there(c) ? "a value" : "gone", c->count ? newest(c)->v : 0);
		}
	}
	memset(&f, 0, sizeof f);
	if (!e)
		e = storetest_labels(s, SOURCE_SERIES, NULL, from_ms, to_ms, take_series, &f);
	bad += judge_series(&f, a, b, "series");
	memset(&f, 0, sizeof f);
	if (!e)
		e = storetest_labels(
		    s, SOURCE_LABEL_VALUES, "series", from_ms, to_ms, take_value, &f);
	bad += judge_series(&f, a, b, "label values");
	if (e)
		tap_note("%s: %s", what, err_text(e));
	return bad + (e != ERR_OK);
}

static unsigned judge(const struct found *f, uint64_t point, const char *what)
{
	unsigned bad = f->strange;
	for (unsigned i = 0; i < SERIES; i++) {
		for (unsigned k = 0; k < SLOTS; k++) {
			const struct cell *c = &cells[i][k];
			int acked = -1;
			for (unsigned x = 0; x < c->count; x++)
				if (c->at[x].acked && c->at[x].acked <= point)
					acked = (int)x;
			bool fits = acked < 0 && !f->there[i][k];
			for (int x = acked < 0 ? 0 : acked; x < (int)c->count; x++)
				fits |= c->at[x].sent <= point &&
				    (c->at[x].gone ? !f->there[i][k]
				                   : f->there[i][k] &&
				                num_bits(c->at[x].v) == num_bits(f->v[i][k]));
			if (!fits && bad++ < 3)
				tap_note(
				    "%s: series %u slot %u: %s %g, acknowledged is version %d of %u (%s)",
				    what, i, k, f->there[i][k] ? "found" : "lost", f->v[i][k], acked,
				    c->count, acked >= 0 && c->at[acked].gone ? "gone" : "a value");
		}
	}
	return bad;
}

/* ---- images ---- */

static bool read_image(const char *dir, unsigned loops, struct found *f)
{
	struct storetest s;
	storetest_init(&s, dir);
	memset(f, 0, sizeof(*f));
	fsdouble_start(&(struct fsdouble_opts){
	    .root = dir, .exclude = (const char *const[]){ "catalog", NULL } });
	bool good = !storetest_open(&s, loops);
	if (good) {
		good = !storetest_read(
		    &s, NULL, 0, base_ms - step_ms, base_ms + SLOTS * step_ms, take, f);
		storetest_close(&s);
	}
	fsdouble_stop();
	return good;
}

struct image {
	char dir[64];
	uint64_t point;
};

static unsigned check_image(
    const struct image *im, bool with_catalog, struct found *one, struct found *two)
{
	char what[64];
	if (with_catalog) {
		const struct snap *best = NULL;
		for (unsigned k = 0; k < snaps_count; k++)
			if (snaps[k].point <= im->point && (!best || rnd(2)))
				best = &snaps[k];
		char to[sizeof(im->dir) + 16];
		snprintf(to, sizeof(to), "%.*s/catalog", (int)sizeof(im->dir) - 1, im->dir);
		if (best)
			testlib_copy(best->path, to);
	}
	snprintf(what, sizeof(what), "image at %llu", (unsigned long long)im->point);
	if (!read_image(im->dir, 1 + rnd(2), one)) {
		tap_note("%s: cannot be read", what);
		return 1;
	}
	unsigned bad = judge(one, im->point, what);
	if (!read_image(im->dir, 1, two))
		return bad + 1;
	if (memcmp(one->there, two->there, sizeof(one->there)) ||
	    memcmp(one->v, two->v, sizeof(one->v))) {
		tap_note("%s: a second recovery finds something else", what);
		bad++;
	}
	return bad;
}

static bool open_store(struct storetest *s, const char *dir, unsigned loops)
{
	storetest_init(s, dir);
	s->opts.shards = 3;
	s->opts.round_every_ms = 40;
	s->opts.seal_every_ms = 60;
	s->opts.evict_idle_ms = 20 * STEP;
	return !storetest_open(s, loops);
}

/* How much is wrong. quiet: a rule is broken, which is to be seen. */
static unsigned history(unsigned no, unsigned images, bool quiet)
{
	step_ms = no % 4 > 1 ? STEP_WIDE : STEP;
	base_ms = clock_wall_ms() - SLOTS * step_ms;
	base_ms -= base_ms % step_ms;
	char *top = testlib_tmpdir("delete");
	char dir[128];
	static struct image list[1000];
	unsigned loops = 1 + no % 2, bad = 0, deletions = 0, cleans = 0, starts = 0;
	snprintf(dir, sizeof(dir), "%s/data", top);
	memset(cells, 0, sizeof(cells));
	snaps_count = 0;
	fsdouble_start(&(struct fsdouble_opts){
	    .root = dir, .exclude = (const char *const[]){ "catalog", NULL } });
	struct storetest s;
	bool open = open_store(&s, dir, loops);
	if (!quiet || !open)
		tap_ok(open, "history %u opens", no);
	if (!open) {
		fsdouble_stop();
		return 1;
	}
	uint64_t ready = fsdouble_point();
	for (unsigned k = 0; k < TURNS && !bad; k++) {
		unsigned slot = k * 2 + 20;
		bad += one_request(&s, slot, loops);
		if (rnd(9) == 0) {
			bad += one_deletion(&s, slot);
			deletions++;
		}
		if (rnd(25) == 0)
			bad += storetest_flush(&s) != 0;
		if (rnd(25) == 0) {
			bad += storetest_clean(&s) != 0;
			cleans++;
		}
		if (rnd(8) == 0)
			bad += same_now(&s, "while it runs");
		if (rnd(12) == 0)
			take_snap(dir, top);
		if (rnd(40) == 0) {
			storetest_close(&s);
			starts++;
			if (!open_store(&s, dir, loops)) {
				tap_note("does not open again");
				bad++;
				break;
			}
			bad += same_now(&s, "after a restart");
		}
	}
	uint64_t end = fsdouble_point();
	for (unsigned k = 0; k < images; k++) {
		list[k].point = ready + ((uint64_t)rnd(1 << 30) * (end - ready) >> 30);
		snprintf(list[k].dir, sizeof(list[k].dir), "%.40s/image-%u", top, k);
		fsdouble_image(list[k].point, rng + k,
		    k % 4 == 0       ? FSDOUBLE_SYNCED
		        : k % 8 == 1 ? FSDOUBLE_ALL
		                     : FSDOUBLE_RANDOM,
		    list[k].dir);
	}
	storetest_close(&s);
	fsdouble_stop();
	if (!quiet)
		tap_ok(!bad,
		    "history %u: %u deletions, %u times files written anew, %u restarts: as the model",
		    no, deletions, cleans, starts);
	struct found *one = mem_zalloc(sizeof(*one)), *two = mem_zalloc(sizeof(*two));
	for (unsigned k = 0; k < images; k++) {
		if (!quiet || !bad)
			bad += check_image(&list[k], k % 3 != 0, one, two);
		testlib_rmtree(list[k].dir);
	}
	mem_free(one);
	mem_free(two);
	if (!quiet)
		tap_ok(!bad,
		    "history %u: %u images: what was acknowledged is found, what was deleted is not, twice the same (%u bad)",
		    no, images, bad);
	if (!bad || quiet)
		testlib_rmtree(top);
	else
		tap_note("kept: %s", top);
	free(top);
	return bad;
}

/* ---- memory ---- */

static void memory_look(void *arg)
{
	const struct share *share = arg;
	for (unsigned k = 0; k < share->shards_count; k++) {
		struct shard *sh = share->shards[k];
		struct tombs *held = sh->tombs;
		uint64_t with = share_head_bytes(share);
		sh->tombs = NULL;
		tap_ok(held && with - share_head_bytes(share) >= 8 * held->count,
		    "what shard %u holds of %zu ranges is counted with the series", sh->index,
		    held ? held->count : 0);
		sh->tombs = held;
	}
}

struct memory_max {
	struct store *store;
	uint64_t bytes;
};

static void memory_set(void *arg)
{
	const struct memory_max *m = arg;
	m->store->share_env.head_bytes_max = m->bytes;
}

/* Ranges without end, and no file is written anew: they are refused before they fill memory. */
static void memory_bounded(struct storetest *s, const struct matcher *m)
{
	struct memory_max was = { s->store, s->store->share_env.head_bytes_max };
	struct memory_max little = { s->store, 16u << 10 };
	enum err e = ERR_OK;
	unsigned n = 0;
	CHECK(!storetest_flush(s));
	team_run_on(s->store->team, 0, memory_set, &little);
	for (; n < 39 && !e; n++)
		e = storetest_delete(
		    s, m, 1, base_ms + (59 - n) * step_ms, base_ms + (59 - n) * step_ms);
	/* chance says which of the three shards a series is in; all in one, the fifth is refused */
	tap_ok(e == ERR_TOOBIG && n > 4, "deletion %u finds no memory for its ranges: %s", n,
	    err_text(e));
	team_run_on(s->store->team, 0, memory_set, &was);
	CHECK(!storetest_flush(s) && !storetest_clean(s));
	team_run_on(s->store->team, 0, memory_set, &little);
	tap_ok(!storetest_delete(s, m, 1, base_ms, base_ms + 59 * step_ms),
	    "once files are clean it is done");
	team_run_on(s->store->team, 0, memory_set, &was);
}

static void memory_counted(void)
{
	struct storetest s;
	char *dir = testlib_tmpdir("deletebytes");
	step_ms = STEP;
	base_ms = clock_wall_ms() - SLOTS * step_ms;
	memset(cells, 0, sizeof(cells));
	CHECK(open_store(&s, dir, 1));
	for (unsigned slot = 20; slot < 60; slot++)
		CHECK(!one_request(&s, slot, 1));
	struct matcher m;
	struct errbuf eb;
	CHECK(!matcher_init(&m, MATCHER_EQ, LABEL_NAME, strlen(LABEL_NAME), "deleted_total", 13, &eb));
	CHECK(!storetest_delete(&s, &m, 1, base_ms, base_ms + 30 * step_ms));
	team_run_on(s.store->team, 0, memory_look, s.store->shares[0]);
	memory_bounded(&s, &m);
	matcher_release(&m);
	storetest_close(&s);
	testlib_rmtree(dir);
	free(dir);
}

/* ---- the store closes meanwhile ---- */

struct left { /* nobody waits for it: who asked has gone */
	struct store_delete_req req;
	struct store_selector one;
	struct store *store;
	_Atomic bool done;
};

static void left_done(struct store_delete_req *r)
{
	CONTAINER_OF(r, struct left, req)->done = true;
}

static void left_begin(void *arg)
{
	struct left *l = arg;
	store_delete(l->store, &l->req);
}

static void closed_meanwhile(void)
{
	char *dir = testlib_tmpdir("deleteclose");
	struct matcher m;
	struct errbuf eb;
	unsigned early = 0;
	CHECK(!matcher_init(&m, MATCHER_EQ, LABEL_NAME, strlen(LABEL_NAME), "deleted_total", 13, &eb));
	for (unsigned i = 0; i < 30; i++) {
		struct storetest s;
		CHECK(open_store(&s, dir, 2));
		CHECK(!one_request(&s, 20 + i, 2));
		struct left l = { .one = { .matchers = &m, .count = 1 }, .store = s.store };
		l.req = (struct store_delete_req){ .tenant = s.tenant,
			.selectors = &l.one,
			.selectors_count = 1,
			.t_min_ms = i % 2 ? INT64_MIN : base_ms,
			.t_max_ms = INT64_MAX,
			.done = left_done };
		testteam_run(&s.tt, 1, left_begin, &l);
		if (i % 3 == 0)
			nanosleep(&(struct timespec){ .tv_nsec = 300000 * i / 3 }, NULL);
		storetest_close(&s);
		early += !l.done;
	}
	tap_is_u64(early, 0, "store_close waits for a deletion whose asker has gone");
	matcher_release(&m);
	testlib_rmtree(dir);
	free(dir);
}

/* ---- rules that are broken on purpose ---- */

/* Each is seen by the same checks, within some histories. */
static void broken_rules(void)
{
	static const struct {
		enum back_rule rule;
		const char *what;
	} rules[] = { { BACK_BREAK_TELL, "answered before FILES has it" },
		{ BACK_BREAK_NUMBER, "a replay drops no row" },
		{ BACK_BREAK_KEEP, "a cut goes while the log has its rows" } };
	for (size_t i = 0; i < COUNT_OF(rules); i++) {
		unsigned bad = 0, no = 0;
		back_broken = (unsigned)rules[i].rule;
		for (; no < 12 && !bad; no++) {
			rng = 0x9e3779b97f4a7c15u * (7000 + no);
			bad = history(no, 24, true);
		}
		back_broken = 0;
		tap_ok(bad > 0, "%s: that is seen (history %u)", rules[i].what, no);
	}
}

/* ---- a shard that cannot ---- */

static bool full; /* no file of deletions can be made in shard 1 */

static enum err open_or_full(
    struct fsio_dir *d, const char *name, enum fsio_mode mode, struct fsio_file **out)
{
	if (__atomic_load_n(&full, __ATOMIC_RELAXED) && mode == FSIO_CREATE &&
	    strstr(name, "deleted-") && strstr(fsio_dir_path(d), "shards/01"))
		return ERR_NOSPACE;
	return fsio_real.open(d, name, mode, out);
}

static unsigned series_found(struct storetest *s)
{
	static struct found f;
	unsigned n = 0;
	memset(&f, 0, sizeof f);
	if (storetest_labels(s, SOURCE_SERIES, NULL, 0, INT64_MAX / 2, take_series, &f) || f.strange)
		return UINT32_MAX;
	for (unsigned i = 0; i < SERIES; i++)
		n += f.series[i];
	return n;
}

static void one_shard_fails(void)
{
	char *dir = testlib_tmpdir("delete");
	struct fsio_ops ops = fsio_real;
	struct storetest s;
	struct storetest_row rows[SERIES];
	struct matcher m;
	struct errbuf eb;
	step_ms = STEP;
	base_ms = clock_wall_ms() / STEP * STEP - SLOTS * STEP;
	ops.open = open_or_full;
	fsio_hook(&ops);
	CHECK(!matcher_init(&m, MATCHER_EQ, LABEL_NAME, strlen(LABEL_NAME), "deleted_total",
	    strlen("deleted_total"), &eb));
	storetest_init(&s, dir);
	s.opts.shards = 3;
	s.opts.round_every_ms = 1ll << 40;
	if (!tap_ok(!storetest_open(&s, 2), "opens"))
		return;
	for (unsigned i = 0; i < SERIES; i++)
		rows[i] = (struct storetest_row){ .labels = names[i], .t_ms = base_ms, .v = i };
	struct storetest_verdict v = storetest_write(&s, 0, rows, SERIES);
	tap_ok(!v.err && v.stored == SERIES && !storetest_flush(&s), "series in files");
	__atomic_store_n(&full, true, __ATOMIC_RELAXED);
	enum err e = storetest_delete(&s, &m, 1, INT64_MIN, INT64_MAX);
	unsigned left = series_found(&s);
	tap_ok(e == ERR_NOSPACE && left > 0 && left < SERIES,
	    "a full disk in one shard is told (%s), the others have deleted theirs: %u of %u left",
	    err_text(e), left, SERIES);
	storetest_close(&s);
	CHECK(!storetest_open(&s, 1));
	tap_ok(series_found(&s) == left, "the same after a restart");
	e = storetest_delete(&s, &m, 1, INT64_MIN, INT64_MAX);
	tap_ok(e == ERR_NOSPACE && series_found(&s) == left, "still full");
	__atomic_store_n(&full, false, __ATOMIC_RELAXED);
	e = storetest_delete(&s, &m, 1, INT64_MIN, INT64_MAX);
	tap_ok(!e && series_found(&s) == 0, "asked again with room it deletes the rest");
	tap_ok(!storetest_delete(&s, &m, 1, INT64_MIN, INT64_MAX), "and nothing is no mistake");
	v = storetest_write(&s, 0, rows, SERIES);
	tap_ok(!v.err && v.stored == SERIES && series_found(&s) == SERIES,
	    "written again at the same times they are there");
	storetest_close(&s);
	CHECK(!storetest_open(&s, 1));
	tap_ok(series_found(&s) == SERIES && !storetest_clean(&s) && series_found(&s) == SERIES,
	    "also after a restart, and when files are written anew");
	storetest_close(&s);
	fsio_hook(NULL);
	matcher_release(&m);
	testlib_rmtree(dir);
	free(dir);
}

struct behind {
	struct shard *shard;
	bool behind;
};

static void look_behind(void *arg)
{
	struct behind *b = arg;
	const struct back *back = back_of(b->shard);
	b->behind = shard_catalog_is_behind(b->shard) || !list_empty(&back->feed);
}

/*
 * A round writes definitions into the file of its last range, wherever the samples are: that file
 * holds nothing else of the series. When the catalog is made anew from files it must not find it.
 */
static void defined_elsewhere(void)
{
	char *dir = testlib_tmpdir("delete-defs"), *catalog = testlib_path(dir, "catalog");
	struct storetest s;
	struct matcher m;
	struct errbuf eb;
	int64_t now_ms = clock_wall_ms();
	struct storetest_row rows[] = { { .labels = names[0], .t_ms = now_ms - 86400000, .v = 1 },
		{ .labels = names[1], .t_ms = now_ms, .v = 2 } };
	CHECK(!matcher_init(&m, MATCHER_EQ, "series", 6, "0", 1, &eb));
	storetest_init(&s, dir);
	s.opts.shards = 1;
	CHECK(!storetest_open(&s, 1));
	struct storetest_verdict v = storetest_write(&s, 0, rows, 2);
	tap_ok(!v.err && v.stored == 2 && !storetest_flush(&s) && series_found(&s) == 2,
	    "a series of yesterday and one of today, in files");
	tap_ok(!storetest_delete(&s, &m, 1, INT64_MIN, INT64_MAX) && series_found(&s) == 1,
	    "the first is deleted");
	storetest_write(&s, 0, &rows[1], 1);
	tap_ok(!storetest_flush(&s) && !storetest_clean(&s), "files are written anew");
	tap_is_u64(metric_sum(M_DELETED_LEFT), 0, "nothing is left to be deleted");
	storetest_close(&s);
	testlib_rmtree(catalog);
	CHECK(!storetest_open(&s, 1));
	struct behind b = { .shard = s.store->shards[0], .behind = true };
	for (unsigned i = 0; i < 500 && b.behind; i++) {
		usleep(20000);
		testteam_run(&s.tt, 0, look_behind, &b);
	}
	tap_is_u64(series_found(&s), 1, "a catalog made anew does not know it");
	storetest_close(&s);
	matcher_release(&m);
	testlib_rmtree(dir);
	free(catalog);
	free(dir);
}

/* Two deletions take turns, each asked for again when it is done. */
struct again {
	struct back_deletion d[2];
	struct shard *shard;
	uint32_t id;
	unsigned done, errors, running;
	unsigned round_at, clean_at; /* how many were done when those ended; 0: they have not */
	bool asked, stop;
};
static struct again again;

static void deleted_again(struct back_deletion *d, enum err err)
{
	again.done++;
	again.errors += err != ERR_OK;
	if (again.stop)
		again.running--;
	else
		back_delete(again.shard, d);
}

static void ended_beside(void *arg, enum err err)
{
	*(unsigned *)arg = again.done;
	again.errors += err != ERR_OK;
}

static void again_begin(void *arg)
{
	(void)arg;
	again.id = head_at(&again.shard->head, 0)->id;
	again.running = 2;
	for (unsigned i = 0; i < 2; i++) {
		again.d[i] = (struct back_deletion){
			.ids = &again.id, .count = 1, .t_min_ms = 1, .t_max_ms = 2, .done = deleted_again
		};
		back_delete(again.shard, &again.d[i]);
	}
}

static void again_ask(void)
{
	again.asked = true;
	back_round(again.shard, true, ended_beside, &again.round_at);
	back_purge(again.shard, ended_beside, &again.clean_at);
}

static void again_look(void *arg)
{
	bool *over = arg;
	if (!again.asked && again.done > 4)
		again_ask();
	again.stop = (again.round_at && again.clean_at) || again.done > 2000;
	*over = again.stop && !again.running;
}

static void without_end(void)
{
	char *dir = testlib_tmpdir("delete-again");
	struct storetest s;
	struct storetest_row row = { .labels = names[0], .t_ms = clock_wall_ms(), .v = 1 };
	bool over = false;
	storetest_init(&s, dir);
	s.opts.shards = 1;
	CHECK(!storetest_open(&s, 1));
	CHECK(storetest_write(&s, 0, &row, 1).stored == 1);
	again = (struct again){ .shard = s.store->shards[0] };
	testteam_run(&s.tt, 0, again_begin, NULL);
	while (!over) {
		usleep(2000);
		testteam_run(&s.tt, 0, again_look, &over);
	}
	tap_ok(again.round_at && again.clean_at && !again.errors,
	    "deletions without end: a round ends behind %u, files are written anew behind %u of them",
	    again.round_at, again.clean_at);
	storetest_close(&s);
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
	unsigned images = number("KYMO_IMAGES", 120), histories = number("KYMO_HISTORIES", 6),
	         seed = number("KYMO_SEED", 1);
	log_setup(LOG_LEVEL_NONE, false);
	arena_init(&arena, 1 << 14);
	for (unsigned i = 0; i < SERIES; i++) {
		char no[16], group[16];
		snprintf(no, sizeof no, "%u", i);
		snprintf(group, sizeof group, "%u", i % GROUPS);
		names[i] = label_make(
		    &arena, LABEL_NAME, "deleted_total", "group", group, "series", no, NULL);
	}
	one_shard_fails();
	defined_elsewhere();
	without_end();
	memory_counted();
	closed_meanwhile();
	for (unsigned h = 0; h < histories; h++) {
		rng = 0x9e3779b97f4a7c15u * (seed * 1000 + h + 1);
		(void)history(h, images / histories, false);
	}
	broken_rules();
	arena_release(&arena);
	return tap_done();
}
