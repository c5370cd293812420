#include "core/base/fsio.h"
#include "core/base/wire.h"
#include "storage/meta/catalog_priv.h"
#include "storage/meta/env.h"
#include "tests/lib/tap.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HOUR   (3600 * 1000LL)
#define SERIES 4000
#define SHARD  1
#define SHARDS 3

static uint64_t seed = 88172645463325252u;
static uint32_t rnd(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 20) % n);
}

/* The model: every series with the ranges it has samples in, as a bit set. */
static struct arena mem;
static struct {
	struct labels labels;
	uint32_t tenant;
	uint32_t ranges;
	bool in;
} model[SERIES];
static uint32_t ranges_kept = UINT32_MAX;

static char dir[] = "/tmp/t_catalog.XXXXXX";
static char path[64];
static struct errbuf eb;

static void sweep(void)
{
	struct fsio_dir *d;
	if (fsio_dir_open(path, false, &d))
		return;
	(void)!fsio_remove(d, "data.mdb");
	(void)!fsio_remove(d, "lock.mdb");
	fsio_dir_close(d);
	rmdir(path);
}

static struct catalog *reopen(struct catalog *c)
{
	catalog_close(c);
	errbuf_init(&eb);
	c = NULL;
	enum err e = catalog_open(path, SHARDS, 1, &c, &eb);
	if (e) {
		tap_ok(false, "catalog opens: %s %s", err_text(e), eb.text);
		exit(tap_done());
	}
	return c;
}

static struct labels random_labels(uint32_t id)
{
	char inst[32], pod[300], job[16];
	snprintf(inst, sizeof(inst), "host-%u", rnd(20));
	/* Some values are long and share much: blocks of many sizes. */
	snprintf(pod, sizeof(pod), "pod-%0*u", rnd(8) ? 5 : 250, id / 2);
	snprintf(job, sizeof(job), "job%u", rnd(3));
	struct label_builder b;
	label_builder_init(&b, &mem);
	label_builder_set(&b, "__name__", 8, rnd(2) ? "up" : "ht", 2);
	label_builder_set(&b, "instance", 8, arena_strndup(&mem, inst, strlen(inst)), strlen(inst));
	if (rnd(2))
		label_builder_set(&b, "job", 3, arena_strndup(&mem, job, strlen(job)), strlen(job));
	if (rnd(3))
		label_builder_set(&b, "pod", 3, arena_strndup(&mem, pod, strlen(pod)), strlen(pod));
	char *odd = arena_printf(&mem, "name_%u", rnd(300));
	label_builder_set(&b, odd, strlen(odd), "1", 1);
	return label_builder_done(&b);
}

static const struct {
	enum matcher_type type;
	const char *name, *value;
} asked[] = {
	{ MATCHER_EQ, "job", "job1" },
	{ MATCHER_EQ, "job", "" },
	{ MATCHER_NE, "job", "job1" },
	{ MATCHER_NE, "job", "" },
	{ MATCHER_RE, "instance", "host-1.*" },
	{ MATCHER_RE, "instance", "host-(1|3|5)" },
	{ MATCHER_NRE, "instance", "host-(1|3|5)" },
	{ MATCHER_RE, "job", "job1|" },
	{ MATCHER_NRE, "job", "job1|" },
	{ MATCHER_RE, "pod", "pod-[0-9]+7" },
	{ MATCHER_NRE, "pod", ".+" },
	{ MATCHER_RE, "pod", ".*" },
	{ MATCHER_NRE, "pod", ".*" },
	{ MATCHER_EQ, "pod", "pod-00033" },
	{ MATCHER_EQ, "nothing", "x" },
	{ MATCHER_NE, "nothing", "x" },
	{ MATCHER_EQ, "name_17", "1" },
};

static uint32_t bits_of(int64_t t_min, int64_t t_max)
{
	uint32_t bits = 0;
	for (int r = 0; r < 32; r++) {
		if (r * 2 * HOUR <= t_max && (r + 1) * 2 * HOUR > t_min)
			bits |= 1u << r;
	}
	return bits;
}

static bool same(struct catalog *c, const struct matcher *ms, size_t n, uint32_t tenant,
    int64_t t_min, int64_t t_max)
{
	uint32_t *ids;
	size_t count, at = 0;
	errbuf_init(&eb);
	enum err e = catalog_select(c, SHARD, tenant, ms, n, t_min, t_max, &ids, &count, &eb);
	if (e) {
		tap_note("%s %s", err_text(e), eb.text);
		return false;
	}
	bool ok = true;
	for (uint32_t id = 0; id < SERIES; id++) {
		if (!model[id].in || model[id].tenant != tenant ||
		    !(model[id].ranges & bits_of(t_min, t_max)) ||
		    matcher_labels(ms, n, model[id].labels) != REX_YES)
			continue;
		ok = ok && at < count && ids[at] == id;
		at++;
	}
	ok = ok && at == count;
	mem_free(ids);
	return ok;
}

static void check_all(struct catalog *c, const char *when)
{
	unsigned bad = 0;
	struct matcher ms[COUNT_OF(asked)];
	for (size_t i = 0; i < COUNT_OF(asked); i++) {
		if (matcher_init(&ms[i], asked[i].type, asked[i].name, strlen(asked[i].name),
		        asked[i].value, strlen(asked[i].value), &eb))
			bad++;
	}
	for (size_t i = 0; i < COUNT_OF(asked); i++) {
		bad += !same(c, &ms[i], 1, 0, 0, 64 * HOUR);
		for (int k = 0; k < 6; k++) {
			struct matcher three[3] = { ms[i], ms[rnd(COUNT_OF(asked))],
				ms[rnd(COUNT_OF(asked))] };
			int64_t from = rnd(20) * HOUR;
			bad += !same(c, three, 3, rnd(4) == 0, from, from + rnd(10) * HOUR + rnd(2));
		}
	}
	bad += !same(c, NULL, 0, 0, 5 * HOUR, 6 * HOUR);
	bad += !same(c, NULL, 0, 7, 0, 64 * HOUR);
	for (size_t i = 0; i < COUNT_OF(asked); i++)
		matcher_release(&ms[i]);
	tap_is_u64(bad, 0, "every selection equals a walk over the model, %s", when);
}

/* Applies count new ids, and samples of them and of some older ones. */
static uint32_t next_id;
static uint64_t rank;
static void apply(struct catalog *c, uint32_t count, unsigned range)
{
	struct catalog_def *defs = mem_array(NULL, count, sizeof(*defs));
	uint32_t *ids = mem_array(NULL, SERIES, sizeof(*ids)), n = 0;
	uint32_t from = next_id;
	for (uint32_t i = 0; i < count; i++, next_id++) {
		model[next_id].labels = random_labels(next_id);
		model[next_id].tenant = rnd(5) == 0;
		model[next_id].in = true;
		defs[i] = (struct catalog_def){ .id = next_id,
			.tenant = model[next_id].tenant,
			.labels = model[next_id].labels };
	}
	for (uint32_t id = 0; id < next_id; id++) {
		if (model[id].in && (id >= from || rnd(8) == 0)) {
			ids[n++] = id;
			model[id].ranges |= 1u << range;
		}
	}
	struct catalog_range r[2] = {
		{ .t_ms = range * 2 * HOUR + rnd(7200000), .ids = ids, .count = n / 2 },
		{ .t_ms = range * 2 * HOUR, .ids = ids + n / 2, .count = n - n / 2 }
	};
	enum err e = catalog_apply(c, SHARD, ++rank, defs, count, r, 2, &eb);
	if (e)
		tap_ok(false, "apply: %s %s", err_text(e), eb.text);
	mem_free(defs);
	mem_free(ids);
}

static void test_labels(struct catalog *c)
{
	struct arena a;
	arena_init(&a, 4096);
	uint32_t ids[SERIES + 10], tenants[SERIES + 10];
	static struct labels out[SERIES + 10];
	size_t n = 0;
	for (uint32_t id = 0; id < SERIES + 5000; id += 1 + rnd(4)) {
		if (n < COUNT_OF(ids))
			ids[n++] = id;
	}
	enum err e = catalog_labels(c, SHARD, ids, n, &a, out, tenants, &eb);
	unsigned bad = e != ERR_OK;
	for (size_t i = 0; !e && i < n; i++) {
		if (ids[i] < SERIES && model[ids[i]].in)
			bad += !label_equal(out[i], model[ids[i]].labels) ||
			    tenants[i] != model[ids[i]].tenant;
		else
			bad += out[i].len != 0;
	}
	tap_is_u64(bad, 0, "labels and tenants of ids come back, unknown ids are empty");
	arena_release(&a);
	arena_init(&a, 256);
	arena_limit(&a, 1000);
	TAP_OK(catalog_labels(c, SHARD, ids, n, &a, out, NULL, &eb) == ERR_NOMEM);
	arena_release(&a);
}

static void test_retain(struct catalog *c)
{
	uint32_t keep[] = { 3, 5 };
	int64_t from = 6 * 2 * HOUR;
	bool more = true;
	unsigned calls = 0, e = 0;
	while (more && !e && calls++ < 1000)
		e = (unsigned)-catalog_retain(c, SHARD, from, keep, COUNT_OF(keep), 50, &more, &eb);
	tap_ok(!e && !more && calls > 3, "retention works in bounded steps: %u", calls);
	ranges_kept = ~((1u << 6) - 1);
	uint64_t left = 0;
	for (uint32_t id = 0; id < SERIES; id++) {
		model[id].ranges &= ranges_kept;
		if (!model[id].ranges && id != 3 && id != 5)
			model[id].in = false;
		left += model[id].in;
	}
	struct catalog_state st;
	TAP_OK(catalog_state(c, SHARD, &st, &eb) == ERR_OK);
	tap_is_u64(st.series, left, "the count of series follows");
	/* Kept series without a range are no more found by time, but known. */
	struct arena a;
	struct labels out[2];
	arena_init(&a, 1024);
	TAP_OK(catalog_labels(c, SHARD, keep, 2, &a, out, NULL, &eb) == ERR_OK &&
	    label_equal(out[0], model[3].labels) && label_equal(out[1], model[5].labels));
	arena_release(&a);
	for (int i = 0; i < 2; i++) {
		if (!model[keep[i]].ranges)
			model[keep[i]].ranges = 1u << 6; /* comes back with new samples */
	}
	struct catalog_range r = { .t_ms = from, .ids = keep, .count = 2 };
	model[3].ranges |= 1u << 6;
	model[5].ranges |= 1u << 6;
	TAP_OK(catalog_apply(c, SHARD, ++rank, NULL, 0, &r, 1, &eb) == ERR_OK);
}

static void test_again(struct catalog *c)
{
	/* Catching up may bring what is known, in any order of ids and ranks. */
	struct catalog_def *defs = mem_array(NULL, SERIES, sizeof(*defs));
	size_t n = 0;
	struct catalog_state before, after;
	TAP_OK(catalog_state(c, SHARD, &before, &eb) == ERR_OK);
	for (uint32_t id = next_id; id-- > 0;) {
		if (model[id].in)
			defs[n++] = (struct catalog_def){
				.id = id, .tenant = model[id].tenant, .labels = model[id].labels
			};
	}
	TAP_OK(catalog_apply(c, SHARD, 1, defs, n, NULL, 0, &eb) == ERR_OK);
	TAP_OK(catalog_state(c, SHARD, &after, &eb) == ERR_OK);
	tap_is_u64(after.series, before.series, "definitions that are known are passed over");
	tap_is_u64(after.rank, before.rank, "the rank never falls");
	tap_is_u64(after.next_id, before.next_id, "nor does the next id");
	/* One below next_id that is not known is taken. */
	uint32_t id = 0;
	while (id < next_id && model[id].in)
		id++;
	if (id < next_id) {
		uint32_t ids[] = { id };
		model[id].in = true;
		model[id].ranges = 1u << 7;
		struct catalog_def d = {
			.id = id, .tenant = model[id].tenant, .labels = model[id].labels
		};
		struct catalog_range r = { .t_ms = 7 * 2 * HOUR, .ids = ids, .count = 1 };
		TAP_OK(catalog_apply(c, SHARD, 1, &d, 1, &r, 1, &eb) == ERR_OK);
	}
	mem_free(defs);
}

/* The packed block that an id is in, copied. */
static struct buf block_of(uint32_t id, uint32_t *last)
{
	struct env *e;
	struct env_db *db;
	struct env_txn t;
	struct env_cursor c;
	struct env_record r;
	struct buf b;
	uint8_t key[4];
	buf_init(&b);
	catalog_id_key(key, id);
	CHECK(!env_open(&(struct env_opts){ .path = path, .dbs_max = 64 }, &e, &eb));
	CHECK(!env_db(e, "def.01", &db, &eb));
	CHECK(!env_begin_read(e, &t, &eb));
	CHECK(!env_cursor_open(&t, db, &c));
	CHECK(!env_cursor_seek(&c, key, sizeof(key), &r));
	buf_add(&b, r.value.data, r.value.len);
	*last = __builtin_bswap32(wire_load32(r.key));
	env_cursor_close(&c);
	env_abort(&t);
	env_close(e);
	return b;
}

/*
 * A byte of a definition's block is flipped: reading it is an error that names the record,
 * everything else is there.
 */
static void test_damaged_record(void)
{
	char file[128];
	uint32_t id = 0, last;
	while (!model[id].in)
		id++;
	struct buf block = block_of(id, &last);
	snprintf(file, sizeof(file), "%s/data.mdb", path);
	FILE *f = fopen(file, "r+b");
	fseek(f, 0, SEEK_END);
	size_t size = (size_t)ftell(f), flipped = 0;
	uint8_t *all = mem_alloc(size);
	rewind(f);
	bool ok = fread(all, 1, size, f) == size;
	/* Old copies of the page lie around in free pages: all of them get it. */
	for (size_t at = 0; at + block.len <= size; at++) {
		if (memcmp(all + at, block.data, block.len) == 0) {
			fseek(f, (long)at + 12, SEEK_SET);
			fputc(all[at + 12] ^ 1, f);
			flipped++;
		}
	}
	fclose(f);
	mem_free(all);
	buf_release(&block);
	struct catalog *c = reopen(NULL);
	struct arena a;
	struct labels out[2];
	uint32_t ids[2] = { id, last + 1 };
	arena_init(&a, 1024);
	errbuf_init(&eb);
	enum err e = catalog_labels(c, SHARD, ids, 1, &a, out, NULL, &eb);
	tap_ok(ok && flipped && e == ERR_DAMAGED && strstr(eb.text, "def.01"),
	    "a damaged definition is an error: %s", eb.text);
	errbuf_init(&eb);
	TAP_OK(catalog_labels(c, SHARD, ids + 1, 1, &a, out, NULL, &eb) == ERR_OK);
	arena_release(&a);
	catalog_close(c);
}

/* Any flipped byte in the file is told, by the walk or at opening; nothing reads wrong data. */
static void test_damage(void)
{
	char file[128];
	snprintf(file, sizeof(file), "%s/data.mdb", path);
	FILE *f = fopen(file, "r+b");
	fseek(f, 0, SEEK_END);
	long size = ftell(f);
	unsigned told_of = 0, tried = 0, other = 0;
	for (int i = 0; i < 40; i++) {
		long at = 8192 + (long)rnd((uint32_t)(size - 8192));
		fseek(f, at, SEEK_SET);
		int was = fgetc(f);
		fseek(f, at, SEEK_SET);
		fputc(was ^ (1 << rnd(8)), f);
		fflush(f);
		errbuf_init(&eb);
		enum err e = catalog_check(path, NULL, NULL, &eb);
		tried++;
		told_of += e == ERR_DAMAGED;
		other += e != ERR_DAMAGED && e != ERR_OK;
		fseek(f, at, SEEK_SET);
		fputc(was, f);
		fflush(f);
	}
	fclose(f);
	/* Flips in free pages, or in the unused middle of a page, change nothing. */
	tap_ok(told_of >= tried / 4 && other == 0,
	    "of %u flipped bytes %u are told as damage, the others lie in unused space", tried,
	    told_of);
	TAP_OK(catalog_check("/tmp/there-is-no-such-catalog", NULL, NULL, &eb) == ERR_NOTFOUND);
	test_damaged_record();
	/* A file cut short kills the walk or is told by it. */
	char cmd_ok = truncate(file, size / 2) == 0;
	errbuf_init(&eb);
	tap_ok(cmd_ok && catalog_check(path, NULL, NULL, &eb) == ERR_DAMAGED && eb.text[0],
	    "a cut file is damage: %s", eb.text);
}

static void test_growth(void)
{
	struct env *e;
	struct env_db *db;
	struct env_txn t;
	TAP_OK(env_open(&(struct env_opts){ .path = dir, .dbs_max = 2, .map_step = 1 << 20 }, &e,
	           &eb) == ERR_OK);
	TAP_OK(env_db(e, "x", &db, &eb) == ERR_OK);
	static char value[100000];
	unsigned bad = 0;
	for (uint32_t i = 0; i < 100; i++) {
		bad += env_begin_write(e, sizeof(value), &t, &eb) != ERR_OK;
		env_put(&t, db, &i, 4, value, sizeof(value));
		bad += env_commit(&t) != ERR_OK;
	}
	tap_is_u64(bad, 0, "ten times the first size of the map is written without meeting its end");
	tap_ok(env_map_bytes(e) > 10u << 20 && env_map_bytes(e) % (1 << 20) == 0,
	    "the map grew in steps to %llu", (unsigned long long)env_map_bytes(e));
	struct env_value v;
	uint32_t key = 50;
	TAP_OK(env_begin_read(e, &t, &eb) == ERR_OK && env_get(&t, db, &key, 4, &v) == ERR_OK &&
	    v.len == sizeof(value));
	key = 1000;
	TAP_OK(env_get(&t, db, &key, 4, &v) == ERR_NOTFOUND && t.err == ERR_OK);
	env_abort(&t);
	env_close(e);
}

/* Readers on other threads while the map grows under them. */
struct reading {
	struct env *env;
	struct env_db *db;
	bool stop;
	unsigned bad, reads;
};
static void *read_on(void *arg)
{
	struct reading *r = arg;
	struct errbuf why;
	errbuf_init(&why);
	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		struct env_txn t;
		struct env_value v;
		if (env_begin_read(r->env, &t, &why)) {
			r->bad++;
			break;
		}
		uint32_t n = (uint32_t)env_count(&t, r->db);
		for (uint32_t i = 0; i < n; i++) {
			r->bad += env_get(&t, r->db, &i, 4, &v) != ERR_OK || v.len != 50000 ||
			    v.data[49999] != (uint8_t)i;
			r->reads++;
		}
		env_abort(&t);
	}
	return NULL;
}

static void test_threads(void)
{
	char sub[80];
	snprintf(sub, sizeof(sub), "%s/threads", dir);
	struct fsio_dir *d;
	TAP_OK(fsio_dir_open(sub, true, &d) == ERR_OK);
	fsio_dir_close(d);
	struct env *e;
	struct env_db *db;
	errbuf_init(&eb);
	TAP_OK(env_open(&(struct env_opts){ .path = sub, .dbs_max = 2, .map_step = 1 << 20 }, &e,
	           &eb) == ERR_OK &&
	    env_db(e, "x", &db, &eb) == ERR_OK);
	struct reading r[2] = { { .env = e, .db = db }, { .env = e, .db = db } };
	pthread_t t[2];
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, read_on, &r[i]);
	static uint8_t value[50000];
	unsigned bad = 0;
	for (uint32_t i = 0; i < 150; i++) {
		struct env_txn w;
		memset(value, (int)i, sizeof(value));
		bad += env_begin_write(e, sizeof(value), &w, &eb) != ERR_OK;
		env_put(&w, db, &i, 4, value, sizeof(value));
		bad += env_commit(&w) != ERR_OK;
	}
	for (int i = 0; i < 2; i++) {
		__atomic_store_n(&r[i].stop, true, __ATOMIC_RELAXED);
		pthread_join(t[i], NULL);
		bad += r[i].bad;
	}
	tap_ok(bad == 0 && env_map_bytes(e) > 8u << 20,
	    "readers go on while the map grows under them: %u reads", r[0].reads + r[1].reads);
	env_close(e);
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/catalog", dir);
	arena_init(&mem, 1 << 16);
	struct catalog *c = reopen(NULL);
	check_all(c, "empty");
	apply(c, 1500, 0);
	check_all(c, "after one file");
	for (unsigned i = 1; i < 20; i++) {
		apply(c, 40 + rnd(60), i / 2);
		if (i == 10)
			c = reopen(c);
	}
	struct catalog_state st;
	TAP_OK(catalog_state(c, SHARD, &st, &eb) == ERR_OK);
	tap_ok(st.generations < 12, "20 generations were merged to %u", st.generations);
	tap_is_u64(st.series, next_id, "as many series as were defined");
	tap_is_u64(st.next_id, next_id, "the next id is above them");
	check_all(c, "after many files and merges");
	test_labels(c);
	test_retain(c);
	check_all(c, "after retention");
	test_again(c);
	check_all(c, "after catching up again");
	c = reopen(c);
	check_all(c, "after opening again");
	TAP_OK(catalog_state(c, 0, &st, &eb) == ERR_OK && st.series == 0 && st.rank == 0);
	catalog_close(c);
	errbuf_init(&eb);
	TAP_OK(catalog_open(path, SHARDS + 1, 1, &c, &eb) == ERR_DAMAGED);
	errbuf_init(&eb);
	tap_ok(catalog_check(path, NULL, NULL, &eb) == ERR_OK, "the walk finds everything whole %s",
	    eb.text);
	test_damage();
	sweep();
	test_growth();
	test_threads();
	char cmd[64];
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	arena_release(&mem);
	return tap_done() | (system(cmd) != 0);
}
