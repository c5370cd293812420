/* Delta points are added up, stream by stream; what does not fit is refused and changes nothing. */
#include "core/model/deltacum.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/num.h"
#include "core/model/histmath.h"
#include "tests/lib/tap.h"

#define S UINT64_C(1000000000)

static struct arena arena;
static struct deltacum *dc;
static struct deltacum_ask ask;

static void begin(uint64_t max_bytes)
{
	dc = deltacum_create(max_bytes);
	ask = (struct deltacum_ask){ .dc = dc,
		.arena = &arena,
		.now_ns = 1000 * S,
		.stale_ns = 300 * S,
		.streams_max = 1000,
		.tenant = 1 };
}

static void end(void)
{
	deltacum_free(dc);
	arena_reset(&arena, 0);
}

static struct deltacum_when when(const char *key, uint64_t start_s, uint64_t t_s)
{
	return (struct deltacum_when){ .key = (const uint8_t *)key,
		.key_len = (uint32_t)strlen(key),
		.start_ns = start_s * S,
		.t_ns = t_s * S };
}

/* ---- numbers ---- */

static enum deltacum_told told;
static struct deltacum_when last;
static double add(const char *key, uint64_t start_s, uint64_t t_s, double v)
{
	last = when(key, start_s, t_s);
	told = deltacum_values(&ask, &last, 1, true, &v, 1);
	return v;
}

static void numbers(void)
{
	begin(1 << 20);
	tap_ok(add("a", 10, 20, 5) == 5 && !told && last.begins && last.start_ns == 10 * S,
	    "the first point is the sum");
	tap_ok(add("a", 20, 30, 7) == 12 && !told && !last.begins && last.start_ns == 10 * S &&
	        last.t_ns == 30 * S,
	    "the next one is added, the start stays");
	tap_ok(add("a", 50, 60, 1) == 13 && last.start_ns == 10 * S, "a gap goes on");
	tap_ok(add("a", 55, 65, 1) == 14 && !told, "an overlap is added");
	tap_ok(add("a", 55, 65, 1) == 14 && told == DELTACUM_AGAIN && last.start_ns == 10 * S &&
	        last.begins,
	    "the last point again changes nothing; the first one may not be stored");
	(void)add("long", 10, 20, 5);
	(void)add("long", 171, 181, 5);
	tap_ok(add("long", 171, 181, 5) == 10 && told == DELTACUM_AGAIN && !last.begins,
	    "unless it was long ago");
	tap_ok(add("a", 55, 65, 2) == 2 && told == DELTACUM_OUT_OF_ORDER,
	    "another point of its time is refused");
	(void)add("a", 20, 30, 7);
	tap_ok(told == DELTACUM_OUT_OF_ORDER, "an earlier one, too");
	(void)add("a", 5, 70, 7);
	tap_ok(told == DELTACUM_OLD_START && last.start_ns == 5 * S,
	    "one that starts before its stream is refused");
	tap_ok(add("a", 0, 75, 1) == 15 && !told, "a start that is not told fits");
	(void)add("a", 75, 80, -1);
	tap_ok(told == DELTACUM_BAD, "a counter does not fall");
	(void)add("a", 75, 80, NAN);
	tap_ok(told == DELTACUM_BAD, "NaN is no increment");
	(void)add("a", 75, 80, INFINITY);
	tap_ok(told == DELTACUM_BAD, "nor is infinity");
	tap_ok(add("a", 75, 80, 1) == 16 && !told, "what was refused left no trace");
	(void)add("a", 80, 0, 1);
	tap_ok(told == DELTACUM_BAD, "a point has a time");
	tap_ok(add("b", 75, 80, 3) == 3 && last.begins, "another key is another stream");
	ask.tenant = 2;
	tap_ok(add("a", 75, 80, 4) == 4 && last.begins, "another tenant, too");
	tap_ok(deltacum_streams(dc, 1) == 3 && deltacum_streams(dc, 2) == 1, "counted by tenant");
	end();
}

static void falling(void)
{
	begin(1 << 20);
	double v = -5;
	struct deltacum_when w = when("u", 1, 2);
	told = deltacum_values(&ask, &w, 1, false, &v, 1);
	tap_ok(!told && v == -5, "sums that go up and down may fall");
	w = when("u", 2, 3);
	told = deltacum_values(&ask, &w, 1, false, &v, 1);
	tap_ok(!told && v == -10, "more than once");
	end();
}

static unsigned fill(uint32_t tenant, unsigned count)
{
	unsigned taken = 0;
	char key[32];
	ask.tenant = tenant;
	for (unsigned i = 0; i < count; i++) {
		(void)snprintf(key, sizeof(key), "key %u", i);
		(void)add(key, 10, 20 + i, 1);
		taken += !deltacum_refused(told);
	}
	return taken;
}

static void silence(void)
{
	begin(1 << 20);
	(void)add("a", 10, 20, 5);
	(void)add("b", 10, 20, 5);
	ask.now_ns += 300 * S;
	tap_ok(add("a", 300, 320, 1) == 6, "a stream is kept as long as it may be silent");
	ask.now_ns += 1;
	tap_ok(add("b", 300, 320, 1) == 1 && last.begins && last.start_ns == 300 * S,
	    "then it begins anew");
	ask.now_ns += 300 * S;
	deltacum_sweep(dc, ask.now_ns);
	tap_ok(deltacum_streams(dc, 1) == 1, "silent ones go");
	deltacum_sweep(dc, ask.now_ns + S);
	tap_ok(deltacum_streams(dc, 1) == 0 && deltacum_bytes(dc) == 0, "with all their memory");
	end();
	begin(1 << 20);
	ask.stale_ns = 3600 * S;
	(void)fill(1, 500);
	ask.stale_ns = S;
	(void)fill(2, 500);
	deltacum_sweep(dc, ask.now_ns + S);
	tap_ok(deltacum_streams(dc, 2) == 500, "who may be silent for less stays as long");
	deltacum_sweep(dc, ask.now_ns + S + 1);
	tap_ok(deltacum_streams(dc, 2) == 0, "and goes, whoever was there before under another rule");
	end();
}

static void limits(void)
{
	begin(1 << 20);
	tap_ok(fill(1, 1500) == 1000 && told == DELTACUM_STREAMS, "so many streams, not more");
	tap_ok(fill(2, 1000) == 1000, "another tenant has its own");
	end();
	begin(100000);
	unsigned one = fill(1, 2000);
	tap_ok(told == DELTACUM_MEMORY && one > 100 && deltacum_bytes(dc) <= 75000,
	    "one tenant has three quarters of the memory (%u streams)", one);
	unsigned two = fill(2, 2000);
	tap_ok(two > one / 8 && deltacum_bytes(dc) <= 100000, "another one has room (%u)", two);
	ask.tenant = 1;
	tap_ok(add("key 0", 20, 5000, 1) == 2 && !told, "and nobody lost a stream");
	end();
}

/* ---- many values ---- */

static enum deltacum_told add_many(double *v, uint32_t count, uint64_t layout, uint64_t t_s)
{
	last = when("h", t_s - 10, t_s);
	return told = deltacum_values(&ask, &last, layout, true, v, count);
}

static void many_values(void)
{
	begin(1 << 20);
	double v[] = { 1, 2, 3 }, u[] = { 1, 2, 3 }, x[] = { 1, 2, NAN };
	tap_ok(!add_many(v, 3, 7, 20) && last.begins && v[2] == 3, "the first one");
	tap_ok(!add_many(u, 3, 7, 30) && !last.begins && u[0] == 2 && u[1] == 4 && u[2] == 6,
	    "value by value");
	v[0] = 1;
	tap_ok(add_many(v, 3, 7, 30) == DELTACUM_AGAIN && v[0] == 2 && v[2] == 6,
	    "the last one again");
	tap_ok(!add_many(x, 3, 7, 40) && x[0] == 3 && isnan(x[2]), "a histogram's sum may be NaN");
	v[0] = 8;
	tap_ok(!add_many(v, 3, 9, 50) && last.begins && last.start_ns == 40 * S && v[0] == 8,
	    "another layout begins anew");
	tap_ok(!add_many(v, 2, 9, 60) && last.begins && v[0] == 8, "so do less values");
	tap_ok(!add_many(v, 1, 9, 70) && last.begins && !add_many(v, 2, 9, 80) && !last.begins,
	    "one alone is another stream");
	end();
	begin(4000);
	double many[200] = { 1 };
	(void)add_many(many, 200, 1, 20);
	tap_ok(!told && many[0] == 1, "what has room is kept");
	double lots[400] = { 1 };
	tap_ok(add_many(lots, 400, 1, 30) == DELTACUM_MEMORY && lots[0] == 1,
	    "what has none is refused");
	tap_ok(!add_many(many, 200, 1, 40) && many[0] == 2, "and changes nothing");
	end();
}

/* ---- exponential histograms ---- */

/* An observation is the index of its bucket at scale 20; what it is at others follows. */
#define FINE 20
#define MANY 4000
static int64_t seen[2][MANY];
static unsigned seen_count[2];

static uint64_t counts_of(const struct deltacum_side *s, int64_t index)
{
	int64_t at = index - s->offset;
	return at >= 0 && at < s->count ? s->counts[at] : 0;
}

/* Does the side hold exactly what was seen? */
static bool is_sum(const struct deltacum_side *s, int32_t scale, unsigned which)
{
	uint64_t sum = 0;
	for (uint32_t i = 0; i < s->count; i++)
		sum += s->counts[i];
	bool good = sum == seen_count[which] && s->count <= DELTACUM_BUCKETS;
	for (unsigned i = 0; good && i < seen_count[which]; i++) {
		uint64_t n = 0;
		int64_t index = seen[which][i] >> (FINE - scale);
		for (unsigned k = 0; k < seen_count[which]; k++)
			n += seen[which][k] >> (FINE - scale) == index;
		good = counts_of(s, index) == n;
	}
	return good;
}

static void put(struct deltacum_side *s, int32_t scale, unsigned which, int64_t middle)
{
	unsigned n = (unsigned)(random() % 4);
	int64_t lowest = INT64_MAX, highest = INT64_MIN, at[4];
	*s = (struct deltacum_side){ 0 };
	for (unsigned i = 0; i < n; i++) {
		int64_t v = middle + random() % ((int64_t)1 << (FINE - scale + 5));
		seen[which][seen_count[which]++] = v;
		at[i] = v >> (FINE - scale);
		lowest = at[i] < lowest ? at[i] : lowest;
		highest = at[i] > highest ? at[i] : highest;
	}
	if (!n)
		return;
	uint64_t *counts = arena_zalloc(&arena, (size_t)(highest - lowest + 3) * 8);
	s->offset = (int32_t)lowest - 1; /* zeros at both ends */
	s->count = (uint32_t)(highest - lowest + 3);
	s->counts = counts;
	for (unsigned i = 0; i < n; i++)
		counts[at[i] - lowest + 1]++;
}

static void exponential_random(void)
{
	bool good = true;
	for (unsigned seed = 1; good && seed <= 40; seed++) {
		begin(1 << 20);
		srandom(seed);
		memset(seen_count, 0, sizeof(seen_count));
		uint64_t count = 0;
		int32_t scale_before = 100;
		for (unsigned i = 0; good && i < 100; i++) {
			int32_t scale =
			    (int32_t)(random() % (seed % 2 ? 14 : 24)) - 4 + (seed % 2 ? 6 : 0);
			scale = scale > FINE ? FINE : scale;
			int64_t wide = (int64_t)1 << (FINE + seed % 9);
			struct deltacum_exp e = { .scale = scale };
			put(&e.positive, scale, 0, random() % wide - wide / 2);
			put(&e.negative, scale, 1, random() % wide - wide / 2);
			for (uint32_t k = 0; k < e.positive.count; k++)
				e.count += e.positive.counts[k];
			for (uint32_t k = 0; k < e.negative.count; k++)
				e.count += e.negative.counts[k];
			count += e.count;
			struct deltacum_when w = when("e", 10 + i, 11 + i);
			told = deltacum_exp(&ask, &w, &e);
			good = !told && e.count == count && is_sum(&e.positive, e.scale, 0) &&
			    is_sum(&e.negative, e.scale, 1) && e.scale <= scale &&
			    e.scale <= scale_before && e.scale >= HIST_SCHEMA_MIN;
			scale_before = e.scale;
			if (!good)
				printf("# seed %u, point %u: told %d, scale %d\n", seed, i, told,
				    e.scale);
		}
		end();
	}
	tap_ok(good, "sums of exponential histograms hold what all points held, at any scales");
}

static enum deltacum_told give(struct deltacum_exp *e, uint64_t t_s)
{
	struct deltacum_when w = when("e", t_s - 10, t_s);
	return deltacum_exp(&ask, &w, e);
}

static void zero_buckets(void)
{
	begin(1 << 20);
	/* Scale 0: buckets (1/4, 1/2], (1/2, 1], (1, 2], (2, 4] from index -2 on. */
	const uint64_t counts[] = { 1, 2, 4, 8 };
	struct deltacum_side side = { -2, 4, counts };
	struct deltacum_exp d = {
		.count = 18, .zero_count = 3, .positive = side, .zero_threshold = 0.25
	};
	struct deltacum_exp e = d;
	tap_ok(!give(&e, 20) && e.zero_count == 3 && e.positive.count == 4,
	    "the first one is as it is");
	e = (struct deltacum_exp){ .count = 5, .zero_count = 5, .zero_threshold = 0.5 };
	tap_ok(!give(&e, 30) && e.zero_threshold == 0.5 && e.zero_count == 9 &&
	        e.positive.offset == -1 && e.positive.count == 3 && e.positive.counts[0] == 2,
	    "a wider zero bucket takes in whole buckets");
	e = (struct deltacum_exp){ .count = 5, .zero_count = 5, .zero_threshold = 0.75 };
	tap_ok(!give(&e, 40) && e.zero_threshold == 1 && e.zero_count == 16 && e.positive.offset == 0,
	    "it ends where a bucket does that it cuts");
	e = d;
	tap_ok(!give(&e, 50) && e.zero_threshold == 1 && e.zero_count == 22 &&
	        e.positive.offset == 0 && e.positive.counts[0] == 8 && e.positive.counts[1] == 16,
	    "a narrower one is taken into it");
	uint64_t far[] = { 7 };
	e = (struct deltacum_exp){ .count = 7, .positive = { INT32_MAX, 1, far }, .zero_threshold = 1 };
	tap_ok(give(&e, 60) == DELTACUM_BAD, "a bucket that no double falls in is refused");
	e = (struct deltacum_exp){ .scale = -5, .zero_threshold = 1 };
	tap_ok(give(&e, 60) == DELTACUM_BAD, "so is a scale below the smallest one");
	e = (struct deltacum_exp){ .zero_threshold = NAN };
	tap_ok(give(&e, 60) == DELTACUM_BAD, "and a threshold that is none");
	e = (struct deltacum_exp){ .zero_count = UINT64_MAX, .zero_threshold = 1 };
	tap_ok(give(&e, 60) == DELTACUM_BAD, "and counts beyond 64 bits");
	e = (struct deltacum_exp){ .count = 1, .zero_count = 1, .zero_threshold = 1 };
	tap_ok(!give(&e, 60) && e.zero_count == 23, "nothing of them is left");
	e = (struct deltacum_exp){ .count = 1, .zero_count = 1, .zero_threshold = 1 };
	tap_ok(give(&e, 60) == DELTACUM_AGAIN && e.zero_count == 23 && e.positive.counts[1] == 16,
	    "the last one again");
	end();
}

static void wide_ranges(void)
{
	begin(1 << 20);
	uint64_t one[] = { 1 };
	struct deltacum_exp e = { .count = 1, .scale = INT32_MAX, .positive = { -1, 1, one } };
	tap_ok(!give(&e, 20) && e.scale == 8 && e.positive.offset == -1, "any scale is brought down");
	e = (struct deltacum_exp){ .count = 1, .scale = 8, .positive = { 1023 * 256, 1, one } };
	tap_ok(!give(&e, 30) && e.scale == -3 && e.positive.counts[0] == 1,
	    "ranges grow as buckets get wider");
	e = (struct deltacum_exp){ .count = 1, .scale = 8, .negative = { -1074 * 256, 1, one } };
	tap_ok(!give(&e, 40) && e.scale == -3, "each side for itself");
	e = (struct deltacum_exp){ .count = 1, .scale = 8, .negative = { 1023 * 256, 1, one } };
	tap_ok(!give(&e, 50) && e.scale == -4 && e.negative.count <= 160 && e.positive.counts[0] == 1,
	    "up to all doubles there are (scale %d)", e.scale);
	end();
}

/* ---- threads ---- */

#define THREADS 4
#define STREAMS 50
#define POINTS  400

static void *run(void *arg)
{
	struct arena own;
	struct deltacum_ask a = ask;
	unsigned at = (unsigned)(uintptr_t)arg;
	arena_init(&own, 4096);
	a.arena = &own;
	for (unsigned i = 0; i < POINTS; i++) {
		for (unsigned k = 0; k < STREAMS; k++) {
			char key[32];
			(void)snprintf(key, sizeof(key), "stream %u", k);
			/* Each thread has times of its own: some are refused, none is lost. */
			struct deltacum_when w = when(key, 0, i * THREADS + at + 1);
			double one = 1;
			enum deltacum_told t = deltacum_values(&a, &w, 1, true, &one, 1);
			if (deltacum_refused(t) && t != DELTACUM_OUT_OF_ORDER)
				abort();
		}
	}
	arena_release(&own);
	return NULL;
}

static void threads(void)
{
	begin(1 << 20);
	pthread_t t[THREADS];
	for (uintptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&t[i], NULL, run, (void *)i))
			abort();
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	tap_ok(deltacum_streams(dc, 1) == STREAMS, "many threads, one book");
	tap_ok(add("stream 0", 0, 100000, 1) > POINTS, "each stream goes on in order");
	end();
}

int main(void)
{
	arena_init(&arena, 4096);
	numbers();
	falling();
	silence();
	limits();
	many_values();
	exponential_random();
	zero_buckets();
	wide_ranges();
	threads();
	arena_release(&arena);
	return tap_done();
}
