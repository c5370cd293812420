/*
 * Damage: bits flipped and ends cut off in every kind of file of a stopped data directory. The
 * store opens, answers no wrong value, invents nothing, loses little, and says so: in the warnings
 * of a cursor or in a counter. What one byte costs is bounded by kind; both halves of a pair
 * (MANIFEST.a and .b) are never damaged together.
 *
 * KYMO_DAMAGES (180) damages in all, from KYMO_SEED.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define SERIES 40
#define SLOTS  1200 /* five hours: three ranges */
#define STEP   15000
#define PATHS  400

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

static double value_of(unsigned series, unsigned slot)
{
	return (double)series * 10000 + slot + (slot % 7 == 0 ? 0.25 : 0);
}

/* ---- what is found ---- */

struct found {
	unsigned samples, wrong, twice;
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
		if (i == SERIES || slot < 0 || slot >= SLOTS ||
		    base_ms + slot * STEP != col->t_ms[k] ||
		    col->v[k] != value_of(i, (unsigned)slot)) {
			f->wrong++;
			continue;
		}
		f->twice += f->there[i][slot];
		f->there[i][slot] = true;
		f->samples++;
	}
}

static uint64_t said(void)
{
	static const enum metric_id counters[] = { M_DAMAGED_UNITS, M_FILES_LOST,
		M_LOG_DAMAGED_FRAMES, M_CATALOG_REBUILT, M_ROWS_UNDEFINED };
	uint64_t sum = 0;
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		sum += metric_sum(counters[i]);
	return sum;
}

/* ---- a directory to damage ---- */

static void fill(struct storetest *s, unsigned from, unsigned to)
{
	for (unsigned slot = from; slot < to; slot++) {
		struct storetest_row rows[SERIES];
		for (unsigned i = 0; i < SERIES; i++)
			rows[i] = (struct storetest_row){ .labels = names[i],
				.t_ms = base_ms + (int64_t)slot * STEP,
				.v = value_of(i, slot) };
		struct storetest_verdict v = storetest_write(s, slot % 2, rows, SERIES);
		if (v.err || v.refused)
			tap_note("slot %u: %s, %llu refused", slot, err_text(v.err),
			    (unsigned long long)v.refused);
	}
}

static void opts(struct storetest *s, const char *dir)
{
	storetest_init(s, dir);
	s->opts.shards = 2;
	s->opts.log_segment_bytes = 256 << 10;
	s->opts.round_every_ms = 3600 * 1000;
}

/* Nothing here writes metadata: what lies there is damaged from the beginning. */
static bool metadata(const char *dir)
{
	char full[4096];
	snprintf(full, sizeof(full), "%s/METADATA", dir);
	FILE *f = fopen(full, "w");
	bool good = f && fprintf(f, "KYMOMETA%0200d", 1) > 0;
	return f && !fclose(f) && good;
}

/* Sealed files, round files, and a log that holds what no file has. */
static bool make(const char *dir)
{
	struct storetest s;
	opts(&s, dir);
	if (storetest_open(&s, 2))
		return false;
	fill(&s, 0, SLOTS / 2);
	enum err e = storetest_flush(&s);
	fill(&s, SLOTS / 2, SLOTS / 4 * 3);
	storetest_close(&s);
	s.opts.round_every_ms = 40; /* rounds, not merged yet */
	if (e || storetest_open(&s, 2))
		return false;
	usleep(300000);
	storetest_close(&s);
	s.opts.round_every_ms = 3600 * 1000;
	if (storetest_open(&s, 2))
		return false;
	fill(&s, SLOTS / 4 * 3, SLOTS);
	storetest_close(&s);
	return metadata(dir);
}

struct path {
	char name[200];
	size_t bytes;
};
static struct path paths[PATHS];
static unsigned paths_count;

static void list(void *arg, const char *name, size_t bytes)
{
	(void)arg;
	if (paths_count == PATHS)
		return;
	snprintf(paths[paths_count].name, sizeof(paths[0].name), "%s", name);
	paths[paths_count++].bytes = bytes;
}

/* ---- one damage ---- */

struct kind {
	const char *what, *part; /* of the path */
	unsigned loses;          /* samples, at most, of one damaged byte */
	bool cut_loses_all;      /* all of the file may be gone when its end is */
	unsigned tried, bad;
};
#define ALL_OF_FILE (SERIES * 480u)
/*
 * The one unit of a small file holds a whole range of a shard's series, and how two shards share
 * the series follows from the directory's random seed: any number of them.
 */
#define ALL_OF_UNIT ALL_OF_FILE
static struct kind kinds[] = {
	{ "a segment of the log", ".seg", SERIES * 2, true, 0, 0 },
	{ "a file of samples", ".kcf", ALL_OF_UNIT, true, 0, 0 },
	{ "FILES", "/FILES", 0, false, 0, 0 },
	{ "MANIFEST", "MANIFEST", 0, false, 0, 0 },
	{ "the catalog", "data.mdb", 0, false, 0, 0 },
	{ "METADATA", "METADATA", 0, false, 0, 0 },
	{ "CLEAN", "CLEAN", 0, false, 0, 0 },
	{ "RESERVE", "RESERVE", 0, false, 0, 0 },
	{ "LOCK", "LOCK", 0, false, 0, 0 },
};

static bool damage(const char *dir, const struct path *p, bool cut, char *text, size_t cap)
{
	char full[4096];
	snprintf(full, sizeof(full), "%s/%s", dir, p->name);
	int fd = open(full, O_RDWR);
	size_t at = p->bytes ? rnd((uint32_t)p->bytes) : 0;
	uint8_t byte = 0;
	bool done = fd >= 0;
	if (done && cut) {
		/* a segment without a head does not exist: so does one look that was being made */
		if (strstr(p->name, ".seg") && at < 8192)
			at = 8192;
		done = !ftruncate(fd, (off_t)at);
		snprintf(text, cap, "%s cut at %zu of %zu", p->name, at, p->bytes);
	} else if (done && p->bytes) {
		/* the written part of a segment is at its beginning: half of the flips go there */
		if (strstr(p->name, ".seg") && rnd(2))
			at = 8192 + rnd(40000);
		done = pread(fd, &byte, 1, (off_t)at) == 1;
		byte ^= (uint8_t)(1u << rnd(8));
		done = done && pwrite(fd, &byte, 1, (off_t)at) == 1;
		snprintf(text, cap, "%s flipped at %zu of %zu", p->name, at, p->bytes);
	}
	if (fd >= 0)
		close(fd);
	return done;
}

static void one(const char *good, const char *dir, struct kind *k, unsigned no)
{
	char text[300] = "";
	bool cut = no % 3 == 2;
	unsigned of_kind = 0, pick = 0;
	for (unsigned i = 0; i < paths_count; i++)
		of_kind += strstr(paths[i].name, k->part) != NULL;
	if (!of_kind)
		return;
	pick = rnd(of_kind);
	const struct path *p = NULL;
	for (unsigned i = 0; i < paths_count && !p; i++)
		if (strstr(paths[i].name, k->part) && !pick--)
			p = &paths[i];
	testlib_rmtree(dir);
	testlib_copy(good, dir);
	if (!p || !damage(dir, p, cut, text, sizeof(text)))
		return;
	k->tried++;
	struct storetest s;
	static struct found f;
	opts(&s, dir);
	uint64_t before = said();
	memset(&f, 0, sizeof(f));
	if (storetest_open(&s, 2)) {
		k->bad++;
		tap_note("%s: not opened", text);
		return;
	}
	enum err e = storetest_read(&s, NULL, 0, base_ms - STEP, base_ms + SLOTS * STEP, take, &f);
	storetest_close(&s);
	unsigned lost = SERIES * SLOTS - f.samples;
	unsigned may = cut && k->cut_loses_all ? ALL_OF_FILE : k->loses;
	bool silent = lost && said() == before;
	if (e || f.wrong || f.twice || lost > may || silent) {
		if (k->bad++ < 4)
			tap_note("%s: err %s, %u wrong, %u twice, %u lost%s", text, err_text(e),
			    f.wrong, f.twice, lost, silent ? ", silently" : "");
	}
}

static unsigned number(const char *name, unsigned otherwise)
{
	const char *s = getenv(name);
	return s ? (unsigned)strtoul(s, NULL, 10) : otherwise;
}

int main(void)
{
	unsigned damages = number("KYMO_DAMAGES", 180), count = sizeof(kinds) / sizeof(kinds[0]);
	char *top = testlib_tmpdir("damage");
	char good[200], dir[200];
	log_setup(LOG_LEVEL_NONE, false);
	arena_init(&arena, 1 << 14);
	rng = 0x9e3779b97f4a7c15u * (number("KYMO_SEED", 1) + 1);
	base_ms = clock_wall_ms() - SLOTS * STEP;
	base_ms -= base_ms % STEP;
	storetest_names(&arena, "damage_total", names, SERIES);
	snprintf(good, sizeof(good), "%s/good", top);
	snprintf(dir, sizeof(dir), "%s/data", top);
	if (!tap_ok(make(good), "a directory with sealed files, round files and a log"))
		return tap_done();
	testlib_files(good, list, NULL);
	for (unsigned n = 0; n < damages; n++)
		one(good, dir, &kinds[n % count], n / count);
	for (unsigned i = 0; i < count; i++)
		tap_ok(!kinds[i].bad && kinds[i].tried,
		    "%s: %u damages, %u with more than they may cost", kinds[i].what,
		    kinds[i].tried, kinds[i].bad);
	testlib_rmtree(top);
	free(top);
	arena_release(&arena);
	return tap_done();
}
