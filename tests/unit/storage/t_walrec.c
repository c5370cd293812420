#include "storage/wal/walrec.h"

#include <stdlib.h>

#include "core/base/arena.h"
#include "core/base/hash.h"
#include "core/model/exemplar.h"
#include "tests/lib/tap.h"
#include "tests/lib/testhist.h"

static uint64_t seed = 1;

static uint64_t rnd(void)
{
	seed += 0x9e3779b97f4a7c15u;
	return hash_mix64(seed);
}

#define ROWS 5000
static uint32_t ids[WALREC_ROWS_MAX];
static int64_t times[WALREC_ROWS_MAX];
static double values[WALREC_ROWS_MAX];

/*
 * Writes one group of rows and reads it back; returns the bytes a row took, or a negative number
 * when something is not the same.
 */
static double round_trip(size_t count)
{
	struct buf b;
	buf_init(&b);
	struct walrec_writer w;
	walrec_begin(&w, &b);
	walrec_group(&w, 3, 77);
	walrec_rows(&w, count, ids, times, values);
	walrec_end(&w);
	struct walrec_groups it;
	struct walrec_group g;
	struct walrec_reader r;
	struct walrec_record rec;
	walrec_groups_init(&it, b.data, b.len);
	walrec_reader_init(&r);
	bool ok = walrec_groups_next(&it, &g) && g.shard == 3 && g.number == 77;
	walrec_reader_open(&r, &g);
	ok = ok && walrec_next(&r, &rec) && rec.tag == WALREC_ROWS && rec.count == count &&
	    memcmp(rec.ids, ids, count * sizeof(*ids)) == 0 &&
	    memcmp(rec.t_ms, times, count * sizeof(*times)) == 0 &&
	    memcmp(rec.v, values, count * sizeof(*values)) == 0;
	ok = ok && !walrec_next(&r, &rec) && !r.err && !walrec_groups_next(&it, &g) && !it.err;
	double per_row = (double)b.len / (double)count;
	walrec_reader_release(&r);
	buf_release(&b);
	return ok ? per_row : -1;
}

static void usual_requests(void)
{
	for (uint32_t i = 0; i < ROWS; i++) {
		ids[i] = 1000000 + i;
		times[i] = 1700000000000;
		values[i] = (double)rnd();
	}
	double per_row = round_trip(ROWS);
	tap_note("consecutive ids, one time: %.3f bytes a row", per_row);
	tap_ok(per_row > 0 && per_row < 8.02,
	    "a request of known series costs its values and a few bytes");
	for (uint32_t i = 0; i < ROWS; i++)
		times[i] = 1700000000000 + i / 50 * 15;
	per_row = round_trip(ROWS);
	tap_note("a time for each target of 50 series: %.3f bytes a row", per_row);
	tap_ok(per_row > 0 && per_row < 8.2, "times of targets cost little");
	for (uint32_t i = 0; i < ROWS; i++) {
		ids[i] = 42;
		times[i] = 1700000000000 + i * 15000;
	}
	per_row = round_trip(ROWS);
	tap_ok(per_row > 0 && per_row < 8.02,
	    "one series loaded with history costs as little: %.3f", per_row);
	for (uint32_t i = 0; i < ROWS; i++) {
		ids[i] = (uint32_t)(rnd() % 1000000);
		times[i] = 1700000000000;
	}
	per_row = round_trip(ROWS);
	tap_ok(per_row > 0 && per_row < 12, "random ids of a million cost under 4 bytes: %.3f",
	    per_row);
	for (uint32_t i = 0; i < ROWS; i++)
		ids[i] = i * 16 + (rnd() % 8 == 0);
	per_row = round_trip(ROWS);
	tap_ok(per_row > 0 && per_row < 10, "ids with a step and some jitter: %.3f", per_row);
}

static void extremes(void)
{
	static const uint32_t some_ids[] = { 0, UINT32_MAX, 0, 1, 2, UINT32_MAX - 1, UINT32_MAX, 7,
		7, 7 };
	static const int64_t some_times[] = { INT64_MIN, INT64_MAX, 0, INT64_MIN, -1, 1, INT64_MAX,
		INT64_MAX, 0, 5 };
	static const uint64_t some_bits[] = { 0x7ff0000000000002u, 0x7ff8000000000001u, 0, 1,
		UINT64_MAX, 1u << 31, 0x8000000000000000u, 0x7ff0000000000000u, 0xfff0000000000000u,
		42 };
	size_t bad = 0;
	for (size_t n = 1; n <= COUNT_OF(some_ids); n++) {
		for (size_t from = 0; from + n <= COUNT_OF(some_ids); from++) {
			memcpy(ids, some_ids + from, n * sizeof(*ids));
			memcpy(times, some_times + from, n * sizeof(*times));
			memcpy(values, some_bits + from, n * sizeof(*values));
			bad += round_trip(n) < 0;
		}
	}
	tap_is_u64(bad, 0, "the ends of the number ranges come back, and every bit of a value");
	for (size_t round = 0; round < 3000; round++) {
		size_t n = 1 + rnd() % 40;
		uint32_t id = (uint32_t)rnd();
		int64_t t = (int64_t)rnd();
		for (size_t i = 0; i < n; i++) {
			id += rnd() % 3 ? 1 : (uint32_t)rnd();
			t = rnd() % 3 ? t : (int64_t)rnd();
			ids[i] = id;
			times[i] = t;
		}
		bad += round_trip(n) < 0;
	}
	tap_is_u64(bad, 0, "random mixtures of runs come back");
	for (uint32_t i = 0; i < WALREC_ROWS_MAX; i++) {
		ids[i] = (uint32_t)rnd();
		times[i] = (int64_t)rnd();
	}
	double per_row = round_trip(WALREC_ROWS_MAX);
	tap_ok(per_row > 0 && per_row < 26,
	    "the most rows of the worst kind stay under 1.7 MiB: %.2f a row", per_row);
}

/* The rows of ids, times and values again, some with a histogram or a start time. */
static void put_extras(struct walrec_writer *w, size_t count, size_t every)
{
	static struct walrec_extra extras[WALREC_ROWS_MAX];
	struct buf hists;
	struct arena a;
	size_t n = 0;
	arena_init(&a, 4096);
	buf_init(&hists);
	CHECK(buf_reserve(&hists, 1u << 20)); /* it does not move */
	for (size_t i = every - 1; i < count; i += every) {
		struct walrec_extra *x = &extras[n++];
		*x = (struct walrec_extra){ .row = (uint32_t)i, .start_ms = (int64_t)i - 3 };
		if (n % 3 == 0)
			continue;
		size_t at = hists.len;
		hist_encode(testhist_any(&a, i), &hists);
		x->hist = hists.data + at;
		x->hist_len = (uint32_t)(hists.len - at);
		values[i] = num_from_bits(SAMPLE_HIST_BITS);
	}
	CHECK(hists.len <= 1u << 20);
	walrec_rows_extras(w, count, ids, times, values, n, extras);
	buf_release(&hists);
	arena_release(&a);
}

static bool extras_are(const struct walrec_record *rec, size_t every)
{
	struct arena a;
	size_t n = 0;
	bool good = memcmp(rec->v, values, rec->count * sizeof *values) == 0;
	arena_init(&a, 4096);
	for (size_t i = every - 1; i < rec->count && good; i += every) {
		struct hist h;
		const struct walrec_extra *x = &rec->extras[n++];
		good = n <= rec->extras_count && x->row == i && x->start_ms == (int64_t)i - 3 &&
		    (x->hist != NULL) == (n % 3 != 0);
		if (good && x->hist)
			good = hist_decode(&a, x->hist, x->hist_len, &h, NULL) == 0 &&
			    hist_equal(&h, testhist_any(&a, i));
	}
	arena_release(&a);
	return good && n == rec->extras_count;
}

static void extras(void)
{
	static const size_t counts[] = { 1, 7, 256, 3000 };
	unsigned bad = 0;
	struct walrec_reader r;
	walrec_reader_init(&r);
	for (size_t k = 0; k < COUNT_OF(counts) * 5; k++) {
		size_t count = counts[k % COUNT_OF(counts)], every = 1 + k % 5;
		struct buf b;
		struct walrec_writer w;
		struct walrec_groups it;
		struct walrec_group g;
		struct walrec_record rec;
		buf_init(&b);
		for (uint32_t i = 0; i < count; i++) {
			ids[i] = i / 2;
			times[i] = 1700000000000 + i % 2;
			values[i] = i;
		}
		walrec_begin(&w, &b);
		walrec_group(&w, 1, 2);
		put_extras(&w, count, every);
		walrec_rows(&w, 1, ids, times, (const double[]){ 5 });
		walrec_end(&w);
		walrec_groups_init(&it, b.data, b.len);
		bad += !walrec_groups_next(&it, &g);
		walrec_reader_open(&r, &g);
		bad += !walrec_next(&r, &rec) || rec.count != count || !extras_are(&rec, every);
		bad += !walrec_next(&r, &rec) || rec.count != 1 || rec.extras_count || r.err;
		buf_release(&b);
	}
	tap_ok(!bad, "rows with histograms and start times come back, bit by bit (%u do not)", bad);
	/* A float of an older format that has the bits of histograms is one that never was sent. */
	struct buf b;
	struct walrec_writer w;
	struct walrec_groups it;
	struct walrec_group g;
	struct walrec_record rec;
	const uint32_t id = 1;
	const int64_t t = 2;
	const double v = num_from_bits(SAMPLE_HIST_BITS);
	buf_init(&b);
	walrec_begin(&w, &b);
	walrec_group(&w, 1, 2);
	walrec_rows(&w, 1, &id, &t, &v);
	walrec_end(&w);
	b.data[0] = 2;
	walrec_groups_init(&it, b.data, b.len);
	TAP_OK(walrec_groups_next(&it, &g));
	walrec_reader_open(&r, &g);
	tap_ok(walrec_next(&r, &rec) && num_bits(rec.v[0]) == SAMPLE_NAN_BITS,
	    "a float with the bits of histograms in an older payload is a NaN");
	buf_release(&b);
	walrec_reader_release(&r);
}

/* Three of one series, one without labels. */
static void exemplars_put(struct walrec_writer *w)
{
	struct buf list;
	struct arena a;
	buf_init(&list);
	arena_init(&a, 1024);
	for (int64_t i = 0; i < 3; i++) {
		struct exemplar e = { .t_ms = 1000 * i - 1000, .v = (double)i / 3 };
		if (i)
			e.labels = label_make(&a, "trace_id", i == 1 ? "one" : "two", NULL);
		exemplar_put(&list, &e);
	}
	walrec_exemplars(w, 77, list.data, list.len);
	buf_release(&list);
	arena_release(&a);
}

static bool exemplars_are(const struct walrec_record *rec)
{
	struct wire_reader r = wire_reader(rec->bytes, rec->bytes_len);
	struct exemplar e;
	unsigned n = 0, wrong = rec->id != 77;
	for (; exemplar_get(&r, &e); n++)
		wrong += e.t_ms != 1000 * (int64_t)n - 1000 || e.v != (double)n / 3 ||
		    (e.labels.len > 0) != (n > 0);
	return n == 3 && !wrong && !r.bad;
}

static void build_all_kinds(struct buf *b)
{
	struct walrec_writer w;
	buf_clear(b);
	walrec_begin(&w, b);
	walrec_group(&w, 0, 1);
	walrec_def(&w, 12, 0, "labels", 6);
	walrec_def(&w, 13, 9, NULL, 0);
	for (uint32_t i = 0; i < 100; i++) {
		ids[i] = 12 + (i & 1);
		times[i] = i;
		values[i] = i;
	}
	walrec_rows(&w, 100, ids, times, values);
	put_extras(&w, 20, 2);
	walrec_group(&w, WALREC_SHARDS_MAX - 1, UINT64_MAX);
	walrec_meta(&w,
	    &(struct walrec_meta){
	        .tenant = 4, .type = 3, .family = "f", .family_len = 1, .help = "help", .help_len = 4 });
	walrec_tomb(&w, "grave", 5);
	exemplars_put(&w);
	walrec_own(&w);
	walrec_newest(&w, 7, true, -1);
	walrec_newest(&w, UINT32_MAX, false, INT64_MAX);
	walrec_group(&w, 5, 6);
	walrec_end(&w);
}

static void all_kinds(void)
{
	struct buf b;
	buf_init(&b);
	build_all_kinds(&b);
	struct walrec_groups it;
	struct walrec_group g[4];
	walrec_groups_init(&it, b.data, b.len);
	size_t n = 0;
	while (n < 4 && walrec_groups_next(&it, &g[n]))
		n++;
	tap_is_u64(n, 3, "three groups are found without looking into them");
	TAP_OK(!it.err && g[2].version == WALREC_VERSION);
	struct walrec_reader r;
	struct walrec_record rec;
	walrec_reader_init(&r);
	walrec_reader_open(&r, &g[0]);
	tap_ok(walrec_next(&r, &rec) && rec.tag == WALREC_DEF && rec.id == 12 && rec.tenant == 0 &&
	        rec.bytes_len == 6 && memcmp(rec.bytes, "labels", 6) == 0,
	    "a definition");
	tap_ok(walrec_next(&r, &rec) && rec.tag == WALREC_DEF && rec.id == 13 && rec.tenant == 9 &&
	        rec.bytes_len == 0,
	    "a definition without labels");
	tap_ok(walrec_next(&r, &rec) && rec.tag == WALREC_ROWS && rec.count == 100 &&
	        rec.ids[99] == 13,
	    "its rows");
	tap_ok(walrec_next(&r, &rec) && rec.tag == WALREC_ROWS && rec.count == 20 &&
	        extras_are(&rec, 2),
	    "rows with histograms");
	tap_ok(!walrec_next(&r, &rec) && !r.err, "the end of the group");
	tap_ok(g[1].shard == WALREC_SHARDS_MAX - 1 && g[1].number == UINT64_MAX,
	    "the last shard and number");
	walrec_reader_open(&r, &g[1]);
	tap_ok(walrec_next(&r, &rec) && rec.tag == WALREC_META && rec.meta.tenant == 4 &&
	        rec.meta.type == 3 && rec.meta.family_len == 1 && rec.meta.help_len == 4 &&
	        rec.meta.unit_len == 0,
	    "metadata");
	tap_ok(walrec_next(&r, &rec) && rec.tag == WALREC_TOMB && rec.bytes_len == 5,
	    "a tombstone passes as bytes");
	tap_ok(walrec_next(&r, &rec) && rec.tag == WALREC_EXEMPLARS && exemplars_are(&rec),
	    "exemplars of a series");
	tap_ok(walrec_next(&r, &rec) && rec.tag == WALREC_OWN, "the mark of own rows");
	tap_ok(walrec_next(&r, &rec) && rec.tag == WALREC_NEWEST && rec.tenant == 7 && rec.own &&
	        rec.newest_ms == -1,
	    "the newest time of own metrics");
	tap_ok(walrec_next(&r, &rec) && rec.tag == WALREC_NEWEST && rec.tenant == UINT32_MAX &&
	        !rec.own && rec.newest_ms == INT64_MAX,
	    "and of senders");
	walrec_reader_open(&r, &g[2]);
	tap_ok(!walrec_next(&r, &rec) && !r.err, "an empty group");
	walrec_reader_release(&r);
	buf_release(&b);
}

/* Walks everything; the sum only keeps the compiler from leaving it out. */
static enum err walk(const uint8_t *data, size_t len, uint64_t *rows)
{
	struct walrec_groups it;
	struct walrec_group g;
	struct walrec_reader r;
	struct walrec_record rec;
	enum err e = ERR_OK;
	walrec_groups_init(&it, data, len);
	walrec_reader_init(&r);
	while (!e && walrec_groups_next(&it, &g)) {
		walrec_reader_open(&r, &g);
		while (walrec_next(&r, &rec))
			*rows += rec.count;
		e = r.err;
	}
	walrec_reader_release(&r);
	return e ? e : it.err;
}

static void hostile(void)
{
	struct buf b;
	buf_init(&b);
	build_all_kinds(&b);
	uint64_t rows = 0;
	size_t cut_ok = 0;
	for (size_t len = 0; len < b.len; len++) {
		uint8_t *exact = mem_alloc(len + 1);
		memcpy(exact, b.data, len);
		cut_ok += walk(exact, len, &rows) == ERR_OK;
		mem_free(exact);
	}
	/* Nothing, the version alone, and the ends of the first two groups. */
	tap_is_u64(cut_ok, 4, "a payload cut anywhere but between groups is told as broken");
	size_t judged = 0;
	for (size_t i = 0; i < b.len * 8; i++) {
		b.data[i / 8] ^= (uint8_t)(1u << i % 8);
		enum err e = walk(b.data, b.len, &rows);
		judged += e == ERR_OK || e == ERR_MALFORMED || e == ERR_UNSUPPORTED;
		b.data[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	tap_is_u64(judged, b.len * 8, "every flipped bit is read without harm");
	b.data[0] = 1;
	tap_is_i64(walk(b.data, b.len, &rows), ERR_OK, "the first version is still read");
	b.data[0] = 2;
	tap_is_i64(walk(b.data, b.len, &rows), ERR_OK, "and the second");
	b.data[0] = WALREC_VERSION + 1;
	tap_is_i64(
	    walk(b.data, b.len, &rows), ERR_UNSUPPORTED, "a later version is not read as this one");
	static const uint8_t bomb[] = { 1, 1, 0, 1, 12, 0, 0, 0, 3, 0, 0xff, 0xff, 3, 0, 0xfe, 0xff,
		7, 0, 0xfe, 0xff };
	tap_is_i64(walk(bomb, sizeof(bomb), &rows), ERR_MALFORMED,
	    "a count without the bytes of its values allocates nothing");
	static const uint8_t later[] = { 1, 1, 0, 1, 1, 0, 0, 0, 99 };
	tap_is_i64(walk(later, sizeof(later), &rows), ERR_UNSUPPORTED,
	    "a record of a later format is not passed over");
	buf_release(&b);
}

static void splitting(void)
{
	struct buf b;
	buf_init(&b);
	struct walrec_writer w;
	walrec_begin(&w, &b);
	walrec_group(&w, 1, 1);
	size_t calls = 0;
	while (!walrec_full(&w)) {
		walrec_rows(&w, WALREC_ROWS_MAX, ids, times, values);
		calls++;
	}
	walrec_end(&w);
	tap_ok(b.len >= WALREC_SPLIT_BYTES && b.len < WALREC_SPLIT_BYTES + (2u << 20),
	    "a frame is full at 4 MiB, after %zu calls", calls);
	buf_release(&b);
}

int main(void)
{
	extras();
	usual_requests();
	extremes();
	all_kinds();
	hostile();
	splitting();
	return tap_done();
}
