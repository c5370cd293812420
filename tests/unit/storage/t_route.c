/*
 * Whose rows are is guessed: what was learned is known in its order and in others, series that come
 * and go cost a guess each; and where hashes are alike, so that rows go to a loop whose series they
 * are not, each series is made once, at its owner, and every row is found.
 */
#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/metric.h"
#include "storage/head/route.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES 1000u

static struct arena arena;
static struct batch_row row_of(struct labels ls)
{
	return (struct batch_row){ .labels = ls.bytes, .labels_len = ls.len };
}

static uint16_t owner_of(unsigned i)
{
	return (uint16_t)(i * 7 % 5);
}

/* Rows from `from` on as they come: how many were not known, SIZE_MAX when one was wrong. */
static size_t come(
    struct route *r, uint32_t tenant, const struct labels *names, unsigned from, unsigned count)
{
	size_t unknown = 0;
	for (unsigned i = 0; i < count; i++) {
		struct route_guess g;
		struct batch_row row = row_of(names[from + i]);
		route_guess(r, tenant, &row, 1, &g);
		if (g.owners[0] == ROUTE_NONE) {
			route_learn(r, g.hashes[0], owner_of(from + i), NAMES);
			unknown++;
		} else if (g.owners[0] != owner_of(from + i)) {
			return SIZE_MAX;
		}
	}
	return unknown;
}

static void guesses(void)
{
	struct route r = { 0 };
	struct labels names[NAMES];
	storetest_names(&arena, "some_metric_of_a_usual_length_seconds_total", names, NAMES);
	tap_is_u64(come(&r, 0, names, 0, NAMES), NAMES, "nothing is known at first");
	tap_ok(route_begin(&r, 2 * NAMES) && route_begin(&r, 2 * NAMES),
	    "they do not rest while they learn");
	tap_is_u64(come(&r, 0, names, 0, NAMES), 0, "then all is");
	tap_is_u64(r.jumps, 0, "in their order without a look elsewhere");
	tap_ok(come(&r, 0, names, NAMES / 2, 100) < 10 && come(&r, 0, names, 17, 100) < 10,
	    "runs that begin elsewhere are found");
	tap_is_u64(come(&r, 3, names, 0, NAMES), NAMES, "of another tenant nothing is");
	tap_ok(route_bytes(&r) <= (2 * NAMES + 64) * 4 + 4096 * 4, "a few bytes a series");
	(void)route_begin(&r, 2 * NAMES + 100); /* more than were learned */
	struct route_guess g;
	for (unsigned i = 0; i < 200; i++) {
		struct batch_row row = row_of(names[i * 37 % NAMES]);
		route_guess(&r, 0, &row, 1, &g);
	}
	tap_ok(route_begin(&r, NAMES), "the next request is still guessed at");
	unsigned rests = 0;
	while (!route_begin(&r, NAMES))
		rests++;
	tap_is_u64(rests, 16, "without an order, guesses rest");
	route_release(&r);
}

/* ---- hashes that are alike ---- */

#define ALIKE    40u
#define REQUESTS 6u

struct seen {
	unsigned series, samples;
};
static void see(void *arg, struct labels ls, const struct sample_column *col)
{
	struct seen *s = arg;
	(void)ls;
	s->series++;
	s->samples += col->count;
}

static struct seen seen_in(struct storetest *s)
{
	struct seen seen = { 0 };
	struct matcher m = { 0 };
	if (storetest_read(s, &m, 0, INT64_MIN, INT64_MAX, see, &seen))
		seen.series = 0;
	return seen;
}

/* They differ far behind what the quick hash looks at. */
static void strays(unsigned loops)
{
	char *dir = testlib_tmpdir("route");
	struct storetest s;
	struct storetest_row rows[2 * ALIKE];
	static char pad[5000];
	memset(pad, 'x', sizeof pad - 1);
	int64_t now_ms = clock_wall_ms();
	storetest_init(&s, dir);
	if (!tap_ok(!storetest_open(&s, loops), "opens with %u loops", loops))
		return;
	uint64_t before = metric_sum(M_SERIES_CREATED);
	bool good = true;
	for (unsigned k = 0; k < REQUESTS; k++) {
		for (unsigned i = 0; i < ALIKE; i++) {
			char last[8];
			snprintf(last, sizeof last, "%04u", i);
			struct labels ls =
			    label_make(&arena, LABEL_NAME, "m", "pad", pad, "z", last, NULL);
			for (unsigned n = 0; n < 2; n++)
				rows[2 * i + n] = (struct storetest_row){
					.labels = ls, .t_ms = now_ms - 100000 + 10 * k + n, .v = i
				};
		}
		struct storetest_verdict v = storetest_write(&s, k % loops, rows, 2 * ALIKE);
		good = good && !v.err && v.stored == 2 * (uint64_t)ALIKE && !v.refused;
	}
	tap_ok(good, "rows that go astray are stored");
	tap_is_u64(metric_sum(M_SERIES_CREATED) - before, ALIKE, "each series is made once");
	struct seen seen = seen_in(&s);
	tap_ok(seen.series == ALIKE && seen.samples == 2 * ALIKE * REQUESTS,
	    "and all are found: %u of %u", seen.series, seen.samples);
	storetest_close(&s);
	if (!tap_ok(!storetest_open(&s, loops), "opens again"))
		return;
	seen = seen_in(&s);
	tap_ok(seen.series == ALIKE && seen.samples == 2 * ALIKE * REQUESTS,
	    "and after a restart: %u of %u", seen.series, seen.samples);
	storetest_close(&s);
	testlib_rmtree(dir);
	free(dir);
}

int main(void)
{
	arena_init(&arena, 1 << 16);
	guesses();
	strays(2);
	strays(3);
	arena_release(&arena);
	return tap_done();
}
