/*
 * Power cuts: histories of writes (late rows, overwrites, repeats, new series), rounds, merges and
 * failing syncs run on a disk that remembers (tests/lib/fsdouble); then images of what a power cut
 * at a random moment, or right after a repeated request was acknowledged, would have left are
 * opened:
 * every acknowledged sample is found, none older than acknowledged, nothing that was not sent, and
 * a second recovery finds the same.
 * The catalog, which does its own I/O, is paired with each image as a copy taken earlier, or left
 * out.
 *
 * Half of the histories are of a week: their merges make files of days from many ranges.
 *
 * KYMO_IMAGES (200) images over KYMO_HISTORIES (8) histories, from KYMO_SEED.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "tests/lib/fsdouble.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define SERIES     24
#define SLOTS      400
#define STEP       15000
#define STEP_WIDE  (30 * 60000)
#define WRITES_MAX 12 /* versions of one cell that are remembered */
#define SNAPS_MAX  16
#define REQUESTS   150
#define HOT_MAX    64
#define REPEATS    20 /* of a request that was not taken */
#define LOG_FAILS  2  /* of a history: the third within a minute makes the log read-only */

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

/*
 * All versions of a cell in the order sent; acked[k] is the point at which version k was known to
 * be durable, 0 = never.
 */
struct cell {
	unsigned count;
	double v[WRITES_MAX];
	uint64_t sent[WRITES_MAX], acked[WRITES_MAX];
};
static struct cell cells[SERIES][SLOTS];

struct snap {
	char path[64];
	uint64_t point; /* the catalog's content is of this point or earlier */
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

/* Points at which a request that had failed before was acknowledged. */
static uint64_t hot[HOT_MAX];
static unsigned hot_count;

/* ---- the history ---- */

static void one_request(struct storetest *s, unsigned slot, unsigned loops)
{
	struct storetest_row rows[SERIES + 8];
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
	uint64_t point = fsdouble_point();
	for (size_t k = 0; k < n; k++) {
		struct cell *c = &cells[at[k][0]][at[k][1]];
		bool again = c->count && rnd(3) == 0;
		if (c->count == WRITES_MAX)
			again = true;
		double v = again ? c->v[c->count - 1] : (double)rnd(100000) / (rnd(2) ? 1 : 8);
		rows[k] = (struct storetest_row){ .labels = names[at[k][0]],
			.t_ms = base_ms + (int64_t)at[k][1] * step_ms,
			.v = v };
		storetest_row_kind(&rows[k]);
		if (!c->count || num_bits(c->v[c->count - 1]) != num_bits(v)) {
			c->v[c->count] = v;
			c->sent[c->count] = point;
			c->acked[c->count++] = 0;
		}
	}
	struct storetest_verdict v = storetest_write(s, rnd(loops), rows, n);
	/* Not acknowledged: it may be there or not. The sender repeats it; then it must be. */
	bool repeated = v.err != ERR_OK;
	for (unsigned k = 0; k < REPEATS && v.err; k++) {
		if (k)
			usleep(5000);
		v = storetest_write(s, rnd(loops), rows, n);
	}
	if (v.err)
		return;
	point = fsdouble_point();
	if (repeated && hot_count < HOT_MAX)
		hot[hot_count++] = point;
	for (size_t k = 0; k < n; k++) {
		struct cell *c = &cells[at[k][0]][at[k][1]];
		/* the version that this request left in the cell: the last one with this value */
		for (unsigned x = c->count; x-- > 0;) {
			if (num_bits(c->v[x]) == num_bits(rows[k].v)) {
				if (!c->acked[x])
					c->acked[x] = point;
				break;
			}
		}
	}
}

/* ---- judging an image ---- */

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

static unsigned judge(const struct found *f, uint64_t point, const char *what)
{
	unsigned bad = f->strange;
	for (unsigned i = 0; i < SERIES; i++) {
		for (unsigned k = 0; k < SLOTS; k++) {
			const struct cell *c = &cells[i][k];
			int newest_acked = -1;
			bool fits = !f->there[i][k];
			for (unsigned x = 0; x < c->count; x++) {
				if (c->acked[x] && c->acked[x] <= point)
					newest_acked = (int)x;
			}
			if (newest_acked >= 0)
				fits = false;
			for (int x = newest_acked < 0 ? 0 : newest_acked;
			     f->there[i][k] && x < (int)c->count; x++)
				fits |= num_bits(c->v[x]) == num_bits(f->v[i][k]) &&
				    c->sent[x] <= point;
			if (!fits && bad++ < 3)
				tap_note(
				    "%s: series %u slot %u: %s %g, acknowledged is version %d of %u",
				    what, i, k, f->there[i][k] ? "found" : "lost", f->v[i][k],
				    newest_acked, c->count);
		}
	}
	return bad;
}

static enum err no_space(struct fsio_file *f, uint64_t size)
{
	(void)f;
	(void)size;
	return ERR_NOSPACE;
}

/*
 * full: no segment can be made, so that nothing can be committed again; what was acknowledged can
 * be read all the same.
 */
static bool read_image(const char *dir, unsigned loops, bool full, struct found *f, bool *opened)
{
	struct storetest s;
	storetest_init(&s, dir);
	memset(f, 0, sizeof(*f));
	fsdouble_start(&(struct fsdouble_opts){ .root = dir,
	    .exclude = (const char *const[]){ "catalog", NULL } }); /* at memory speed */
	struct fsio_ops ops = *fsdouble_ops();
	ops.allocate = no_space;
	if (full)
		fsio_hook(&ops);
	*opened = !storetest_open(&s, loops);
	if (!*opened) {
		fsdouble_stop();
		return false;
	}
	enum err e =
	    storetest_read(&s, NULL, 0, base_ms - step_ms, base_ms + SLOTS * step_ms, take, f);
	storetest_close(&s);
	fsdouble_stop();
	return !e;
}

struct image {
	char dir[64];
	uint64_t point;
};

static unsigned check_image(
    const struct image *im, bool with_catalog, struct found *one, struct found *two)
{
	bool opened;
	char what[128];
	if (with_catalog) {
		const struct snap *best = NULL;
		for (unsigned k = 0; k < snaps_count; k++) {
			if (snaps[k].point <= im->point && (!best || rnd(2)))
				best = &snaps[k];
		}
		char to[sizeof(im->dir) + 16];
		snprintf(to, sizeof(to), "%.*s/catalog", (int)sizeof(im->dir) - 1, im->dir);
		if (best)
			testlib_copy(best->path, to);
	}
	snprintf(what, sizeof(what), "image at %llu", (unsigned long long)im->point);
	unsigned bad = 0;
	if (im->point % 3 == 0) {
		bool good = read_image(im->dir, 1, true, one, &opened);
		bad += good ? judge(one, im->point, "on a full disk") : 1;
		if (!good)
			tap_note(
			    "%s: on a full disk: cannot be %s", what, opened ? "read" : "opened");
	}
	if (!read_image(im->dir, 1 + rnd(2), false, one, &opened)) {
		tap_note("%s: %s", what, opened ? "cannot be read" : "cannot be opened");
		return 1;
	}
	bad += judge(one, im->point, what);
	if (!read_image(im->dir, 1, false, two, &opened))
		return bad + 1;
	if (memcmp(one->there, two->there, sizeof(one->there)) ||
	    memcmp(one->v, two->v, sizeof(one->v))) {
		tap_note("%s: a second recovery finds something else", what);
		bad++;
	}
	return bad;
}

/* A week in wide steps: what is flushed is merged over many ranges, into files of days. */
static bool is_wide(unsigned no)
{
	return no % 4 > 1;
}

static void history(unsigned no, unsigned images)
{
	step_ms = is_wide(no) ? STEP_WIDE : STEP;
	base_ms = clock_wall_ms() - SLOTS * step_ms;
	base_ms -= base_ms % step_ms;
	char *top = testlib_tmpdir("cut");
	char dir[128];
	static struct image list[1000];
	unsigned loops = 1 + no % 2;
	snprintf(dir, sizeof(dir), "%s/data", top);
	memset(cells, 0, sizeof(cells));
	snaps_count = hot_count = 0;
	unsigned log_fails = 0;
	fsdouble_start(&(struct fsdouble_opts){ .root = dir,
	    .exclude = (const char *const[]){ "catalog", NULL },
	    .sync_delay_us = no % 2 ? 300 : 0 });
	struct storetest s;
	storetest_init(&s, dir);
	s.opts.shards = 3;
	s.opts.round_every_ms = 40;
	if (!tap_ok(!storetest_open(&s, loops), "history %u opens", no)) {
		fsdouble_stop();
		return;
	}
	uint64_t ready = fsdouble_point(), merging[2] = { ready, ready };
	for (unsigned k = 0; k < REQUESTS; k++) {
		unsigned slot = k * 2 + 20;
		if (no % 2 &&
		    rnd(30) == 0) { /* a sync fails in what follows, then the request is repeated */
			bool log = log_fails < LOG_FAILS;
			log_fails += log;
			fsdouble_fail_syncs(log ? "log" : "shards", 1 + rnd(log ? 2 : 4), 1);
		}
		one_request(&s, slot, loops);
		uint64_t before = fsdouble_point();
		bool flush = rnd(30) == 0;
		if (flush && storetest_flush(&s))
			tap_note("flush failed, as a failing sync may make it");
		if (flush) { /* rounds and merges */
			merging[0] = before;
			merging[1] = fsdouble_point();
		}
		if (rnd(12) == 0)
			take_snap(dir, top);
	}
	uint64_t end = fsdouble_point();
	uint64_t failed = fsdouble_syncs_failed();
	for (unsigned k = 0; k < images; k++) {
		uint64_t from = ready, to = end;
		if (is_wide(no) && k % 3 == 1 && merging[1] > merging[0]) {
			from = merging[0];
			to = merging[1];
		}
		list[k].point = hot_count && k % 3 == 0
		    ? hot[k / 3 % hot_count]
		    : from + ((uint64_t)rnd(1 << 30) * (to - from) >> 30);
	}
	for (unsigned k = 0; k < images; k++) {
		snprintf(list[k].dir, sizeof(list[k].dir), "%.40s/image-%u", top, k);
		fsdouble_image(list[k].point, rng + k,
		    k % 4 == 0       ? FSDOUBLE_SYNCED
		        : k % 8 == 1 ? FSDOUBLE_ALL
		                     : FSDOUBLE_RANDOM,
		    list[k].dir);
	}
	storetest_close(&s);
	fsdouble_stop();
	struct found *one = mem_zalloc(sizeof(*one)), *two = mem_zalloc(sizeof(*two));
	unsigned bad = 0;
	for (unsigned k = 0; k < images; k++) {
		bad += check_image(&list[k], k % 3 != 0, one, two);
		testlib_rmtree(list[k].dir);
	}
	mem_free(one);
	mem_free(two);
	tap_ok(!bad,
	    "history %u: %u images between %llu and %llu (%llu failed syncs): acknowledged is found, nothing else, twice the same (%u bad)",
	    no, images, (unsigned long long)ready, (unsigned long long)end,
	    (unsigned long long)failed, bad);
	if (!bad)
		testlib_rmtree(top);
	else
		tap_note("kept: %s", top);
	free(top);
}

static unsigned number(const char *name, unsigned otherwise)
{
	const char *s = getenv(name);
	return s ? (unsigned)strtoul(s, NULL, 10) : otherwise;
}

int main(void)
{
	unsigned images = number("KYMO_IMAGES", 200), histories = number("KYMO_HISTORIES", 8),
	         seed = number("KYMO_SEED", 1);
	log_setup(LOG_LEVEL_NONE, false);
	arena_init(&arena, 1 << 14);
	storetest_names(&arena, "cut_total", names, SERIES);
	for (unsigned h = 0; h < histories; h++) {
		rng = 0x9e3779b97f4a7c15u * (seed * 1000 + h + 1);
		history(h, images / histories);
	}
	arena_release(&arena);
	return tap_done();
}
