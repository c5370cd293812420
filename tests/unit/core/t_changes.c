/* core/rt/changes: numbers of changes by ranges of time: never too old, and seldom too new. */
#include <pthread.h>
#include <stdlib.h>

#include "core/base/check.h"
#include "core/rt/changes.h"
#include "tests/lib/tap.h"

#define MINUTE  60000
#define HOUR    (60 * (int64_t)MINUTE)
#define DAY     (24 * HOUR)
#define NOW     (INT64_C(1700000000000) / DAY * DAY)
#define MARKS   3000u
#define THREADS 3u
#define TURNS   4000u
#define CELLS   64u

static uint64_t data_of(struct changes *c, int64_t from, int64_t to)
{
	return changes_of(c, 1, CHANGES_DATA, from, to);
}

static void mark(struct changes *c, int64_t from, int64_t to)
{
	changes_mark(c, 0, 1, CHANGES_DATA, from, to, NOW);
}

/* --- one writer --- */

static void begins(void)
{
	struct changes *c = changes_create(2);
	tap_ok(!changes_now(c), "nothing has changed yet");
	mark(c, NOW, NOW);
	tap_ok(!changes_now(c), "what nobody asks for is not counted");
	uint64_t first = data_of(c, NOW, NOW);
	tap_ok(first == 1 && changes_now(c) == 1, "before the first question everything is new");
	mark(c, NOW, NOW);
	tap_ok(data_of(c, NOW, NOW) == 2 && changes_now(c) == 2, "a change has the next number");
	tap_is_u64(
	    data_of(c, NOW - 2 * MINUTE, NOW - MINUTE), first, "elsewhere nothing has changed");
	tap_is_u64(changes_of(c, 2, CHANGES_DATA, NOW, NOW), 3, "another one has a book of its own");
	tap_is_u64(changes_of(c, 1, CHANGES_ORDER, NOW, NOW), first, "and so has another kind");
	changes_mark(c, 1, CHANGES_ALL, CHANGES_DATA, NOW - DAY, NOW - DAY, NOW);
	tap_ok(data_of(c, NOW - DAY, NOW - DAY) == 4 &&
	        changes_of(c, 2, CHANGES_DATA, NOW - 2 * DAY, NOW) == 4,
	    "what is everybody's");
	tap_is_u64(data_of(c, NOW, NOW), 2, "is so where it was only");
	changes_free(c);
}

static void late(void)
{
	struct changes *c = changes_create(1);
	uint64_t first = data_of(c, NOW, NOW);
	for (int64_t t = NOW - 6 * HOUR; t <= NOW; t += MINUTE)
		mark(c, t, t);
	uint64_t n = changes_now(c);
	mark(c, NOW - 20 * MINUTE, NOW - 20 * MINUTE);
	tap_ok(data_of(c, NOW - 20 * MINUTE, NOW - 20 * MINUTE) > n &&
	        data_of(c, NOW - 19 * MINUTE, NOW) <= n &&
	        data_of(c, NOW - 50 * MINUTE, NOW - 21 * MINUTE) <= n,
	    "a late one of the last hour is new in its minute alone");
	n = changes_now(c);
	mark(c, NOW - 5 * HOUR, NOW - 5 * HOUR);
	tap_ok(data_of(c, NOW - 5 * HOUR, NOW - 5 * HOUR) > n &&
	        data_of(c, NOW - 5 * HOUR + 16 * MINUTE, NOW) <= n &&
	        data_of(c, NOW - 6 * HOUR, NOW - 5 * HOUR - 16 * MINUTE) <= n,
	    "an older one in its sixteen");
	n = changes_now(c);
	mark(c, NOW - 400 * DAY, NOW - 400 * DAY);
	tap_ok(data_of(c, NOW - 300 * DAY, NOW - 290 * DAY) > n && data_of(c, NOW - 5 * DAY, NOW) <= n,
	    "and what lies before all rings everywhere there");
	n = changes_now(c);
	mark(c, INT64_MIN, NOW - 3 * HOUR);
	tap_ok(data_of(c, NOW - 5 * HOUR, NOW) > n && data_of(c, NOW - 2 * HOUR, NOW) <= n &&
	        data_of(c, INT64_MIN, NOW - 900 * DAY) > n,
	    "all up to a time");
	tap_ok(first < n && data_of(c, NOW + 1, NOW) == first, "a range without times has none");
	changes_free(c);
}

static void ahead(void)
{
	struct changes *c = changes_create(1);
	data_of(c, NOW, NOW);
	mark(c, NOW, NOW);
	uint64_t n = changes_now(c);
	mark(c, NOW + 90 * DAY, NOW + 90 * DAY);
	tap_ok(data_of(c, NOW - 50 * MINUTE, NOW) <= n && data_of(c, NOW + DAY, NOW + 91 * DAY) > n,
	    "what lies far ahead moves no ring");
	changes_mark(c, 0, 1, CHANGES_DATA, NOW + 91 * DAY, NOW + 91 * DAY, NOW + 91 * DAY);
	tap_ok(data_of(c, NOW + 90 * DAY, NOW + 90 * DAY) > n,
	    "and is not forgotten when they get there");
	changes_free(c);
}

/* A ring may have reached what lies far ahead: its slots are wide, and clocks are set back. */
static void ahead_within_a_ring(void)
{
	static const int64_t beyond[] = { CHANGES_AHEAD_MS + 1, CHANGES_AHEAD_MS + 30000, 2 * HOUR,
		20 * HOUR, 60 * HOUR };
	for (size_t i = 0; i < COUNT_OF(beyond); i++) {
		struct changes *c = changes_create(1);
		data_of(c, NOW, NOW);
		mark(c, NOW, NOW + CHANGES_AHEAD_MS);
		uint64_t n = changes_now(c);
		int64_t t = NOW + beyond[i];
		mark(c, t, t);
		tap_ok(data_of(c, t, t) > n && data_of(c, NOW - HOUR, t) > n,
		    "what lies %d s ahead is seen where rings reach already",
		    (int)(beyond[i] / 1000));
		n = changes_now(c);
		mark(c, NOW - HOUR, t);
		tap_ok(data_of(c, t, t) > n && data_of(c, NOW, NOW) > n, "and as the end of a range");
		changes_free(c);
	}
	struct changes *c = changes_create(1);
	data_of(c, NOW, NOW);
	mark(c, NOW, NOW);
	uint64_t n = changes_now(c);
	changes_mark(c, 0, 1, CHANGES_DATA, NOW - HOUR, NOW, NOW - DAY);
	tap_ok(data_of(c, NOW, NOW) > n && data_of(c, NOW - 30 * MINUTE, NOW - 30 * MINUTE) > n,
	    "a clock that was set back hides no change");
	changes_free(c);
}

static struct changes_span marked[MARKS];

/* The true number, by the list of all. */
static uint64_t truth(uint64_t first, unsigned count, int64_t from, int64_t to)
{
	for (unsigned i = count; i > 0; i--)
		if (marked[i - 1].t_min_ms <= to && marked[i - 1].t_max_ms >= from)
			return first + i;
	return first;
}

static int64_t some_time(void)
{
	static const int64_t reach[] = { 5 * MINUTE, HOUR, 10 * HOUR, 5 * DAY, 100 * DAY, 500 * DAY };
	int64_t r = reach[(unsigned)rand() % COUNT_OF(reach)];
	return NOW - (int64_t)rand() % r + (rand() % 50 ? 0 : 30 * DAY);
}

static void never_too_old(void)
{
	struct changes *c = changes_create(1);
	uint64_t first = data_of(c, NOW, NOW);
	unsigned old = 0, exact = 0, asked = 0;
	srand(7);
	for (unsigned i = 0; i < MARKS; i++) {
		int64_t from = some_time(), to = rand() % 10 ? from : from + rand() % HOUR;
		marked[i] = (struct changes_span){ from, to };
		changes_mark(c, 0, 1, CHANGES_DATA, from, to, NOW + (int64_t)i * 100);
		for (unsigned k = 0; k < 20; k++) {
			int64_t a = some_time(), b = a + rand() % (rand() % 2 ? HOUR : 20 * DAY);
			uint64_t has = data_of(c, a, b), is = truth(first, i + 1, a, b);
			old += has < is;
			exact += has == is;
			asked++;
		}
	}
	tap_is_u64(old, 0, "no number is too old");
	tap_ok(exact > asked / 10, "and not all are too new");
	changes_free(c);
}

static void spans(void)
{
	struct changes_spans s = { 0 };
	for (int64_t t = 0; t < 100; t++)
		changes_spans_add(&s, NOW + t * 1000, NOW + t * 1000);
	tap_ok(s.count == 1 && s.at[0].t_max_ms == NOW + 99000,
	    "times near to each other are one range");
	for (int i = 1; i < 20; i++)
		changes_spans_add(&s, NOW - i * HOUR, NOW - i * HOUR);
	tap_ok(s.count == CHANGES_SPANS, "there are not too many");
	bool all = true;
	for (int i = 1; i < 20; i++) {
		bool in = false;
		for (unsigned k = 0; k < s.count; k++)
			in |= s.at[k].t_min_ms <= NOW - i * HOUR &&
			    s.at[k].t_max_ms >= NOW - i * HOUR;
		all &= in;
	}
	tap_ok(all, "and each time is in one");
}

/* --- several threads --- */

static struct changes *shared;
static _Atomic uint64_t cells[CELLS];
static _Atomic unsigned wrong;

static void *write_some(void *arg)
{
	unsigned w = (unsigned)(uintptr_t)arg, x = w + 1;
	for (unsigned i = 0; i < TURNS; i++) {
		x = x * 1664525 + 1013904223;
		unsigned at = (x >> 16) % CELLS;
		cells[at]++;
		changes_mark(shared, w, 1, CHANGES_DATA, NOW - at * MINUTE, NOW - at * MINUTE, NOW);
	}
	return NULL;
}

struct reading {
	uint64_t n, v;
};

static void *read_some(void *arg)
{
	struct reading *r = arg;
	for (unsigned i = 0; i < TURNS; i++) {
		unsigned at = i % CELLS;
		int64_t t = NOW - at * MINUTE;
		uint64_t now = changes_now(shared);
		if (r[at].n && changes_of(shared, 1, CHANGES_DATA, t, t) <= r[at].n)
			r[at].n = now; /* still so */
		else
			r[at] = (struct reading){ now, cells[at] };
	}
	return NULL;
}

static void together(void)
{
	static struct reading readings[2][CELLS];
	pthread_t threads[THREADS + 2];
	shared = changes_create(THREADS);
	data_of(shared, NOW, NOW);
	for (uintptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, write_some, (void *)i))
			abort();
	for (unsigned i = 0; i < 2; i++)
		if (pthread_create(&threads[THREADS + i], NULL, read_some, readings[i]))
			abort();
	for (unsigned i = 0; i < THREADS + 2; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < 2; i++)
		for (unsigned at = 0; at < CELLS; at++) {
			int64_t t = NOW - at * MINUTE;
			const struct reading *r = &readings[i][at];
			if (changes_of(shared, 1, CHANGES_DATA, t, t) <= r->n && r->v != cells[at])
				wrong++;
		}
	tap_ok(!wrong, "what is said to be unchanged is");
	tap_is_u64(changes_now(shared), 1 + THREADS * TURNS, "every change has its number");
	changes_free(shared);
}

int main(void)
{
	begins();
	late();
	ahead();
	ahead_within_a_ring();
	never_too_old();
	spans();
	together();
	return tap_done();
}
