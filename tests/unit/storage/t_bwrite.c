/*
 * Blocks are written: the bytes of promtool for the same samples; random series in any order and in
 * parts, through memory far too small for them, against a plain model; calls that fail leave
 * nothing.
 */
#include "core/base/fsio.h"
#include "storage/block/bpost.h"
#include "storage/block/bsort.h"
#include "tests/lib/blocktest.h"
#include "tests/lib/fault.h"
#include "tests/lib/testlib.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define T0 INT64_C(1700006400000)

static struct errbuf eb;

/* ---- what promtool made ---- */

static void copy_block(struct bwrite *w, const char *path)
{
	struct bread *b;
	struct bread_item item;
	struct bread_walk walk = { .t_from_ms = INT64_MIN, .t_to_ms = INT64_MAX };
	struct { /* series, to be added in the other order */
		struct labels labels;
		struct column column;
	} all[100];
	struct arena a;
	size_t n = 0;
	arena_init(&a, 4096);
	TAP_OK(!bread_open(path, NULL, &b, &eb) && !bread_walk(b, &walk, &eb));
	while (!bread_next(b, &item, &eb)) {
		all[n].labels = (struct labels){ arena_dup(&a, item.labels.bytes, item.labels.len),
			item.labels.len };
		all[n].column = (struct column){ 0 };
		column_append(&all[n++].column, item.column, 0, item.column->count);
	}
	bread_close(b);
	while (n-- > 0) {
		struct sample_column c = column_view(&all[n].column, 0, all[n].column.count);
		if (bwrite_add(w, all[n].labels, &c, &eb))
			tap_ok(false, "%s", eb.text);
		column_release(&all[n].column);
	}
	arena_release(&a);
}

static void same_file(const char *a, const char *b, const char *name)
{
	struct fsio_dir *da, *db;
	uint8_t *x, *y;
	size_t n, k;
	if (fsio_dir_open(a, false, &da) || fsio_dir_open(b, false, &db)) {
		tap_ok(false, "%s and %s are there", a, b);
		return;
	}
	if (fsio_load(da, name, 1 << 20, &x, &n) || fsio_load(db, name, 1 << 20, &y, &k)) {
		tap_ok(false, "%s is there", name);
	} else {
		tap_ok(n == k && !memcmp(x, y, n), "%s: the bytes of promtool, %zu", name, n);
		mem_free(x);
		mem_free(y);
	}
	fsio_dir_close(da);
	fsio_dir_close(db);
}

static void golden(void)
{
	char from[1000], *out = testlib_tmpdir("bwrite");
	struct bdir d;
	struct bwrite *w;
	struct bmeta *m;
	size_t n;
	struct arena a;
	/* backfill of promtool takes twice the width of a block as the range of its head */
	struct bwrite_opts o = { .chunk_ms = 2 * SAMPLE_RANGE_MS };
	snprintf(from, sizeof(from), "%s/tests/golden/block/promtool", testlib_src());
	arena_init(&a, 4096);
	if (!tap_ok(!bdir_scan(from, &d, &eb) && d.count == 2, "%s has two blocks", from))
		return;
	TAP_OK(!bwrite_open(out, &o, &w, &eb));
	for (size_t i = d.count; i-- > 0;) {
		char *path = bdir_path(from, &d, i);
		copy_block(w, path);
		mem_free(path);
	}
	TAP_OK(!bwrite_finish(w, &a, &m, &n, NULL, NULL, &eb));
	tap_is_u64(n, 2, "two blocks are made");
	for (size_t i = 0; i < n && i < d.count; i++) {
		char *path = bdir_path(from, &d, i);
		char ours[1000];
		snprintf(ours, sizeof(ours), "%s/%s", out, m[i].ulid.text);
		same_file(path, ours, "index");
		same_file(path, ours, "chunks/000001");
		same_file(path, ours, "tombstones");
		const struct bmeta *t = &d.blocks[i].meta;
		tap_ok(t->t_min_ms == m[i].t_min_ms && t->t_max_ms == m[i].t_max_ms &&
		        t->samples == m[i].samples && t->series == m[i].series &&
		        t->chunks == m[i].chunks,
		    "meta.json tells the same of it");
		mem_free(path);
	}
	bdir_release(&d);
	arena_release(&a);
	testlib_rmtree(out);
	free(out);
}

/* ---- against a model ---- */

/* Parts of random series at random times, some before others of theirs, some over them. */
static void fill(struct blocktest *m, struct bwrite *w, uint64_t *s, uint32_t parts)
{
	struct column put = { 0 };
	for (uint32_t p = 0; p < parts; p++) {
		uint32_t i = (uint32_t)(testhist_mix(s) % m->count),
		         n = 1 + (uint32_t)(testhist_mix(s) % 200);
		blocktest_put(
		    m, i, s, T0 + (int64_t)(testhist_mix(s) % (6 * SAMPLE_RANGE_MS)), n, &put);
		struct sample_column c = column_view(&put, 0, put.count);
		if (bwrite_add(w, m->series[i].labels, &c, &eb))
			tap_ok(false, "%s", eb.text);
	}
	column_release(&put);
}

static void model(size_t memory, uint32_t segment, uint32_t parts, uint64_t seed)
{
	struct blocktest m;
	struct bwrite *w;
	struct bmeta *metas;
	size_t n;
	struct arena a;
	struct bwrite_opts o = { .memory_bytes = memory,
		.segment_bytes = segment,
		.thanos = "{\"labels\":{\"x\":\"y\"}}" };
	char *dir = testlib_tmpdir("bwrite");
	arena_init(&a, 4096);
	blocktest_init(&m, 150);
	TAP_OK(!bwrite_open(dir, &o, &w, &eb));
	fill(&m, w, &seed, parts);
	struct bwrite_counts c = bwrite_counts(w);
	TAP_OK(!bwrite_finish(w, &a, &metas, &n, NULL, NULL, &eb));
	tap_ok(n >= 6 && n < 9, "%zu blocks of %u parts, %" PRIu64 " runs", n, parts, c.runs);
	bool ascending = true, thanos = true;
	uint64_t samples = 0, want = 0;
	for (size_t i = 0; i < n; i++) {
		ascending &= !i || strcmp(metas[i - 1].ulid.text, metas[i].ulid.text) < 0;
		ascending &= metas[i].t_min_ms / SAMPLE_RANGE_MS ==
		    (metas[i].t_max_ms - 1) / SAMPLE_RANGE_MS;
		samples += metas[i].samples;
	}
	for (uint32_t i = 0; i < m.count; i++)
		want += m.series[i].column.count;
	tap_ok(ascending, "names of blocks ascend, and none is wider than two hours");
	tap_is_u64(samples, want, "the metas tell how many samples there are");
	tap_is_u64(
	    blocktest_check(&m, dir, NULL, 0, INT64_MIN, INT64_MAX), 0, "all samples are there");
	struct bdir d;
	TAP_OK(!bdir_scan(dir, &d, &eb));
	for (size_t i = 0; i < d.count; i++)
		thanos &= d.blocks[i].meta.thanos &&
		    !strcmp(d.blocks[i].meta.thanos, "{\"labels\":{\"x\":\"y\"}}");
	tap_ok(thanos && d.count == n && !d.broken, "the section of Thanos stands in each meta.json");
	bdir_release(&d);
	tap_is_u64(m.damaged, 0, "and nothing is damaged");
	blocktest_release(&m);
	arena_release(&a);
	testlib_rmtree(dir);
	free(dir);
}

/* ---- more symbols than the table has room for ---- */

static uint32_t shuffled(uint32_t i, uint32_t n)
{
	return (uint32_t)((uint64_t)i * 48271 % n);
}

static void many_symbols(uint32_t n)
{
	char *dir = testlib_tmpdir("bwrite"), path[600], id[20];
	struct arena a;
	struct bwrite *w;
	struct bmeta *m;
	struct bread *b;
	struct bread_item item;
	size_t count = 0;
	uint32_t bad = 0, got = 0;
	struct bwrite_opts o = { .memory_bytes = 1 };
	arena_init(&a, 4096);
	TAP_OK(!bwrite_open(dir, &o, &w, &eb));
	for (uint32_t i = 0; i < n; i++) {
		uint32_t k = shuffled(i, n);
		int64_t t = T0 + k;
		double v = k;
		struct sample_column c = { .count = 1, .t_ms = &t, .v = &v };
		arena_reset(&a, 4096);
		snprintf(id, sizeof(id), "%08u", k);
		bad += bwrite_add(w, label_make(&a, "__name__", "m", "id", id, NULL), &c, &eb) != 0;
	}
	TAP_OK(!bwrite_finish(w, &a, &m, &count, NULL, NULL, &eb) && count == 1);
	snprintf(path, sizeof(path), "%s/%s", dir, m[0].ulid.text);
	struct bread_walk walk = { .t_from_ms = INT64_MIN, .t_to_ms = INT64_MAX };
	TAP_OK(!bread_open(path, NULL, &b, &eb) && !bread_walk(b, &walk, &eb));
	while (!bread_next(b, &item, &eb)) {
		uint32_t len;
		snprintf(id, sizeof(id), "%08u", got);
		const char *v = label_get(item.labels, "id", 2, &len);
		bad += !v || len != 8 || memcmp(v, id, 8) != 0 || item.column->v[0] != got;
		got++;
	}
	tap_ok(!bad && got == n, "%u series of a symbol each", got);
	struct matcher x;
	for (uint32_t k = 0; k < n; k += n / 50) {
		snprintf(id, sizeof(id), "%08u", k);
		CHECK(!matcher_init(&x, MATCHER_EQ, "id", 2, id, 8, &eb));
		walk.matchers = &x;
		walk.matchers_count = 1;
		bad += bread_walk(b, &walk, &eb) || bread_next(b, &item, &eb) ||
		    item.column->v[0] != k || bread_next(b, &item, &eb) != ERR_NOTFOUND;
		matcher_release(&x);
	}
	tap_is_u64(bad, 0, "each is found by its symbol");
	bread_close(b);
	arena_release(&a);
	testlib_rmtree(dir);
	free(dir);
}

/* ---- calls that fail ---- */

static unsigned entries;
static enum err entry(void *arg, const char *name)
{
	(void)arg;
	(void)name;
	entries++;
	return ERR_OK;
}

static unsigned left_in(const char *dir)
{
	struct fsio_dir *d;
	entries = 0;
	if (fsio_dir_open(dir, false, &d))
		return 1000;
	CHECK(!fsio_dir_each(d, entry, NULL));
	fsio_dir_close(d);
	return entries;
}

static bool made(const char *dir, bool abandon, bool (*keep_going)(void *arg))
{
	struct blocktest m;
	struct bwrite *w;
	struct bmeta *metas;
	size_t n = 0;
	uint64_t seed = 9;
	struct arena a;
	struct errbuf why;
	struct column put = { 0 };
	struct bwrite_opts o = { .memory_bytes = 1, .block_ms = 6 * SAMPLE_RANGE_MS };
	enum err e;
	errbuf_init(&why);
	if (bwrite_open(dir, &o, &w, &why))
		return false;
	arena_init(&a, 4096);
	blocktest_init(&m, 20);
	for (uint32_t i = 0; i < 20; i++) {
		blocktest_put(&m, i, &seed, T0, 30, &put);
		struct sample_column c = column_view(&put, 0, put.count);
		e = bwrite_add(w, m.series[i].labels, &c, &why);
		(void)e; /* it is kept */
	}
	e = ERR_CANCELED;
	if (abandon)
		bwrite_abandon(w);
	else
		e = bwrite_finish(w, &a, &metas, &n, keep_going, NULL, &why);
	if (e && !abandon && !*why.text)
		tap_ok(false, "an error has a text");
	column_release(&put);
	blocktest_release(&m);
	arena_release(&a);
	return !e;
}

static void anew(const char *dir)
{
	struct fsio_dir *d;
	testlib_rmtree(dir);
	CHECK(!fsio_dir_open(dir, true, &d));
	fsio_dir_close(d);
}

static bool never(void *arg)
{
	(void)arg;
	return false;
}

static bool dies(void *arg)
{
	(void)arg;
	raise(SIGKILL);
	return true;
}

/* What a writer that was killed has left goes with the directory's next one, and that alone. */
static void killed(void)
{
	static const char theirs[] = "01HF0123456789ABCDEFGHJKMN.tmp-for-creation";
	char *dir = testlib_tmpdir("bwrite"), *other = testlib_path(dir, theirs);
	struct fsio_dir *d;
	struct bwrite *alive;
	struct bwrite_opts o = { .memory_bytes = 1 };
	int status;
	for (unsigned i = 0; i < 2; i++) {
		pid_t child = fork();
		if (!child) {
			(void)made(dir, false, dies);
			_exit(0);
		}
		TAP_OK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
		tap_is_u64(left_in(dir), 1, "a killed writer leaves one directory, of itself");
	}
	CHECK(!fsio_dir_open(other, true, &d)); /* of a Prometheus that makes a block */
	CHECK(!fsio_replace(d, "meta.json", "{}", 2));
	fsio_dir_close(d);
	TAP_OK(!bwrite_open(dir, &o, &alive, &eb));
	tap_is_u64(left_in(dir), 2, "the next one removes it");
	tap_ok(made(dir, false, NULL) && left_in(dir) == 3,
	    "but nothing of a writer that is alive, or of Prometheus");
	bwrite_abandon(alive);
	tap_is_u64(left_in(dir), 2, "each ends with its own");
	testlib_rmtree(dir);
	free(other);
	free(dir);
}

static void faults(void)
{
	char *dir = testlib_tmpdir("bwrite");
	unsigned left = 0, failed = 0, n = 1;
	tap_ok(!made(dir, true, NULL) && !left_in(dir), "an abandoned writer leaves nothing");
	tap_ok(!made(dir, false, never) && !left_in(dir), "one that may not go on neither");
	static const enum fault_kind kinds[] = { FAULT_WRITE, FAULT_SYNC, FAULT_RENAME,
		FAULT_DIR_SYNC, FAULT_OPEN };
	unsigned fds = testlib_open_fds();
	for (size_t k = 0; k < COUNT_OF(kinds); k++) {
		for (n = 1; n < 60; n++) {
			fault_start(NULL);
			fault_set(kinds[k], dir, n, 1, ERR_NOSPACE);
			bool fine = made(dir, false, NULL);
			bool hit = fault_hits(kinds[k]) != 0;
			fault_stop();
			failed += hit;
			left += fine == hit || left_in(dir) != !hit;
			anew(dir);
			if (!hit)
				break;
		}
	}
	tap_ok(failed > 15, "%u calls fail one by one", failed);
	tap_is_u64(left, 0, "after each nothing is there");
	tap_is_u64(testlib_open_fds(), fds, "no descriptor is lost");
	tap_ok(made(dir, false, NULL) && left_in(dir) == 1, "then it works");
	testlib_rmtree(dir);
	free(dir);
}

/* ---- the sorts ---- */

static void sorts(size_t memory, uint32_t n, bool unique)
{
	char *path = testlib_tmpdir("bsort");
	struct fsio_dir *dir;
	uint64_t seed = n, bad = 0, given = 0;
	struct bsort_record r, last = { 0 };
	uint8_t last_key[16];
	uint32_t last_no = 0;
	CHECK(!fsio_dir_open(path, false, &dir));
	struct bsort *s = bsort_create(dir, memory, unique);
	for (uint32_t i = 0; i < n; i++) {
		uint8_t key[16];
		uint32_t len = (uint32_t)(testhist_mix(&seed) % 3 + 1);
		for (uint32_t k = 0; k < len; k++)
			key[k] = (uint8_t)(testhist_mix(&seed) % 40);
		r = (struct bsort_record){ .prefix = key[0],
			.key = key,
			.key_len = len,
			.value = (uint8_t *)&i,
			.value_len = sizeof(i) };
		bad += bsort_add(s, &r) != 0;
	}
	bad += bsort_begin(s, memory) != 0;
	while (!bsort_next(s, &r)) {
		uint32_t no;
		memcpy(&no, r.value, sizeof(no));
		int c = given ? bytes_cmp(last_key, last.key_len, r.key, r.key_len) : -1;
		bad += c > 0 || (c == 0 && (unique || last_no >= no));
		last = r;
		memcpy(last_key, r.key, r.key_len);
		last_no = no;
		given++;
	}
	tap_ok(!bad && (unique ? given < n : given == n),
	    "%u records through %zu bytes, %" PRIu64 " runs: %" PRIu64 "%s", n, memory,
	    bsort_runs(s), given, unique ? ", each once" : "");
	bsort_free(s);
	fsio_dir_close(dir);
	testlib_rmtree(path);
	free(path);
}

static void posts(size_t memory, uint32_t n)
{
	char *path = testlib_tmpdir("bpost");
	struct fsio_dir *dir;
	uint64_t seed = n, bad = 0, given = 0;
	struct bpost_tuple t, last = { 0 };
	CHECK(!fsio_dir_open(path, false, &dir));
	struct bpost *p = bpost_create(dir, memory);
	for (uint32_t i = 0; i < n; i++) {
		t = (struct bpost_tuple){ (uint32_t)(testhist_mix(&seed) % 5) << 20,
			(uint32_t)(testhist_mix(&seed) % 3000) * 4001, i };
		bad += bpost_add(p, t) != 0;
	}
	bad += bpost_begin(p) != 0;
	while (!bpost_next(p, &t)) {
		bool up = t.name != last.name ? t.name > last.name
		    : t.value != last.value   ? t.value > last.value
		                              : t.id > last.id;
		bad += given && !up;
		last = t;
		given++;
	}
	tap_ok(!bad && given == n, "%u tuples through %zu bytes", n, memory);
	bpost_free(p);
	fsio_dir_close(dir);
	testlib_rmtree(path);
	free(path);
}

int main(void)
{
	errbuf_init(&eb);
	sorts(1 << 20, 1000, false);
	sorts(20000, 30000, false);
	sorts(20000, 30000, true);
	sorts(3000, 30000, false); /* more runs than are merged at once */
	posts(1 << 20, 10000);
	posts(10000, 50000);
	golden();
	model(0, 0, 400, 1);
	model(1, 100000, 3000, 2);
	many_symbols(60000);
	faults();
	killed();
	return tap_done();
}
