/* Marks of the largest metrics and labels (storage/marks.h), through a store, hour by hour. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "storage/marks.h"
#include "storage/store_priv.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define T0     INT64_C(1700000000000)
#define HR     (3600 * INT64_C(1000))
#define TENANT 0u

static struct storetest s;
static char *dir;

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
	int64_t ago_ms;
	struct marks_mark *mark;
	bool busy;
};

static void ask_here(void *arg)
{
	struct asked *k = arg;
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
	struct asked k = { .busy = true };
	for (unsigned i = 0; i < 60000 && k.busy; i++) {
		testteam_run(&s.tt, 0, ask_here, &k);
		mem_free(k.mark);
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

static void tells(int64_t ago_ms, enum marks_kind kind, const char *name, bool known, uint64_t want)
{
	struct marks_mark *m = mark_of(TENANT, ago_ms);
	uint64_t v;
	bool is_known = marks_value(m, kind, name, &v);
	tap_ok(is_known == known && v == want, "%lld h ago %s had %llu, %s",
	    (long long)(ago_ms / HR), name, (unsigned long long)v, is_known ? "known" : "not known");
	mem_free(m);
}

static void hours_are_told(void)
{
	put("a", 10);
	round_wait();
	tells(HR, MARKS_METRIC, "a", false, 0);
	put("b", 20);
	put("a", 30);
	later(HR);
	round_wait();
	tells(HR, MARKS_METRIC, "a", true, 10);
	tells(HR, MARKS_METRIC, "b", true, 0);
	tells(HR, MARKS_LABEL, "series", true, 10);
	tells(HR, MARKS_PAIR, "__name__=a", true, 10);
	tells(24 * HR, MARKS_METRIC, "a", false, 0);
	tap_ok(!mark_of(TENANT + 1, HR), "nobody else has a mark");
}

static void they_outlive_the_process(void)
{
	storetest_close(&s);
	if (!begin())
		return;
	tells(HR, MARKS_METRIC, "a", true, 10);
	for (unsigned i = 0; i < 23; i++)
		later(HR);
	put("a", 40);
	tells(24 * HR, MARKS_METRIC, "a", true, 10);
	tells(23 * HR, MARKS_METRIC, "b", true, 20);
	for (unsigned i = 0; i < 4; i++)
		later(HR);
	round_wait();
	tap_ok(!mark_of(TENANT, 28 * HR), "those of longer ago have gone");
}

/* Nothing depends on the file. */
static void damage_is_no_harm(void)
{
	storetest_close(&s);
	char *path = testlib_path(dir, "CARDINALITY");
	FILE *f = fopen(path, "r+b");
	if (!TAP_OK(f != NULL))
		return;
	TAP_OK(!fseek(f, 20, SEEK_SET) && fputc('x', f) == 'x' && !fclose(f));
	free(path);
	if (!begin())
		return;
	tap_ok(!mark_of(TENANT, 0), "marks that are damaged are none");
	round_wait();
	struct marks_mark *m = mark_of(TENANT, 0);
	tap_ok(m != NULL, "and new ones are made");
	mem_free(m);
	later(HR - 10000);
	later(MARKS_LOOK_MS);
	m = mark_of(TENANT, (HR + 20000) / 2);
	tap_ok(m != NULL, "in the middle between two, of which one came late, one is near");
	mem_free(m);
	storetest_close(&s);
}

int main(void)
{
	clock_fake(T0);
	dir = testlib_tmpdir("marks");
	storetest_init(&s, dir);
	if (!begin())
		return tap_done();
	hours_are_told();
	they_outlive_the_process();
	damage_is_no_harm();
	testlib_rmtree(dir);
	free(dir);
	return tap_done();
}
