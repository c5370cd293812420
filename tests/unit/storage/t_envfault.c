/*
 * LMDB does its own reading and writing, so what a disk does to it is done here from outside: its
 * file is cut under its map, writes of its head fail, the map and a transaction are full.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/fsio.h"
#include "core/base/guard.h"
#include "core/base/log.h"
#include "storage/meta/catalog_priv.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define HEAD_BYTES 8192
#define RECORDS    400u
#define SERIES     600u

/* Instead of libc's, also for the library: writes of the first two pages fail on demand. */
static int head_fails; /* how many more */
static unsigned head_failed;
ssize_t pwrite(int fd, const void *data, size_t len, off_t at);
ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
	if (head_fails > 0 && at < HEAD_BYTES) {
		head_fails--;
		head_failed++;
		errno = EIO;
		return -1;
	}
	return syscall(SYS_pwrite64, fd, data, len, at);
}
ssize_t pwrite64(int fd, const void *data, size_t len, off_t at);
ssize_t pwrite64(int fd, const void *data, size_t len, off_t at)
{
	return pwrite(fd, data, len, at);
}

static struct errbuf eb;

static enum err put_range(struct env *e, struct env_db *db, uint32_t from, uint32_t to, uint64_t need)
{
	static char value[3000];
	struct env_txn t;
	errbuf_init(&eb);
	enum err er = env_begin_write(e, need, &t, &eb);
	if (er)
		return er;
	for (uint32_t id = from; id < to; id++) {
		memset(value, (int)id, sizeof(value));
		env_put(&t, db, &id, 4, value, sizeof(value));
	}
	return env_commit(&t);
}

static enum err put_one(struct env *e, struct env_db *db, uint32_t id, uint64_t need)
{
	return put_range(e, db, id, id + 1, need);
}

static enum err put_many(struct env *e, struct env_db *db, uint32_t from, uint32_t to)
{
	return put_range(e, db, from, to, 0);
}

static unsigned whole(struct env *e, struct env_db *db, uint32_t upto)
{
	struct env_txn t;
	struct env_value v;
	unsigned n = 0;
	errbuf_init(&eb);
	if (env_begin_read(e, &t, &eb))
		return 0;
	for (uint32_t id = 0; id < upto; id++)
		n += !env_get(&t, db, &id, 4, &v) && v.len == 3000 && v.data[2999] == (uint8_t)id;
	env_abort(&t);
	return n;
}

static void env_make(const char *path, struct env **e, struct env_db **db)
{
	struct fsio_dir *d;
	CHECK(!fsio_dir_open(path, true, &d));
	fsio_dir_close(d);
	CHECK(!env_open(
	    &(struct env_opts){ .path = path, .dbs_max = 2, .map_step = 1 << 20 }, e, &eb));
	CHECK(!env_db(*e, "x", db, &eb));
}

static void nowhere(void *arg)
{
	(void)arg;
}

/* A page behind the end of a file that was cut under the map. */
static void cut_under_the_map(const char *root)
{
	struct env *e;
	struct env_db *db;
	char *dir = testlib_path(root, "cut"), *file = testlib_path(dir, "data.mdb");
	env_make(dir, &e, &db);
	for (uint32_t i = 0; i < RECORDS; i++)
		CHECK(!put_one(e, db, i, 10000));
	tap_is_u64(whole(e, db, RECORDS), RECORDS, "all records are there");
	tap_ok(!env_is_damaged(e), "nothing is damaged");
	struct env_txn before;
	struct env_value v;
	uint32_t id = RECORDS / 2;
	CHECK(!env_begin_read(e, &before, &eb));
	CHECK(!truncate(file, 3 * 4096));
	errbuf_init(&eb);
	tap_is_i64(env_get(&before, db, &id, 4, &v), ERR_DAMAGED, "a page that is gone is an error");
	tap_is_i64(before.err, ERR_DAMAGED, "the transaction keeps it");
	tap_note("%s", eb.text);
	tap_ok(env_is_damaged(e), "and it is remembered");
	env_abort(&before);
	struct env_txn t;
	tap_is_i64(env_begin_read(e, &t, &eb), ERR_DAMAGED, "later readers hear of it");
	tap_is_i64(put_one(e, db, 1, 10000), ERR_DAMAGED, "and writers");
	tap_ok(guard_run(nowhere, NULL), "the process lives");
	env_close(e);
	free(file);
	free(dir);
}

/* LMDB refuses all that comes after a failed write of its head. */
static void head_not_written(const char *root)
{
	struct env *e;
	struct env_db *db;
	char *dir = testlib_path(root, "head");
	env_make(dir, &e, &db);
	for (uint32_t i = 0; i < 10; i++)
		CHECK(!put_one(e, db, i, 10000));
	unsigned bad = 0, refused = 0;
	for (int fails = 1; fails < 4; fails++) {
		head_failed = 0;
		head_fails = fails;
		enum err er = put_one(e, db, 10, 10000);
		refused += er != ERR_OK;
		head_fails = 0;
		bad += !head_failed || whole(e, db, 10) != 10;
		/* Passing trouble: the next one works. */
		er = put_one(e, db, 11, 10000);
		if (er)
			tap_note("%d: %s %s", fails, err_text(er), eb.text);
		bad += er != ERR_OK || whole(e, db, 10) != 10;
	}
	tap_ok(refused == 3, "a head that cannot be written fails the transaction");
	tap_is_u64(bad, 0, "later ones work, and what was committed is whole");
	tap_ok(!env_is_damaged(e), "it is no damage");
	head_fails = 1;
	(void)!put_one(e, db, 12, 10000);
	head_fails = 0;
	errbuf_init(&eb);
	tap_is_i64(env_sweep_readers(e, &eb), ERR_OK, "the sweeper opens it again as well");
	tap_is_u64(whole(e, db, 10), 10, "readers find everything");
	env_close(e);
	free(dir);
}

static void map_full(const char *root)
{
	struct env *e;
	struct env_db *db;
	char *dir = testlib_path(root, "full");
	env_make(dir, &e, &db);
	/* Nobody says how much it will be: the end of the map is met again and again. */
	unsigned again = 0, bad = 0;
	for (uint32_t from = 0; from < 2000 && !bad; from += 500) {
		enum err er = put_many(e, db, from, from + 500);
		for (unsigned k = 0; er == ERR_AGAIN && k < 4; k++) {
			again++;
			er = put_many(e, db, from, from + 500);
		}
		bad += er != ERR_OK;
	}
	tap_ok(again > 0, "the end of the map is met %u times", again);
	tap_is_u64(bad, 0, "a full map grows");
	tap_is_u64(whole(e, db, 2000), 2000, "and nothing is lost");
	env_close(e);
	free(dir);
}

/* ---- the catalog above ---- */

static struct labels *series;
static struct catalog_def *defs;
static uint32_t *ids;

static void series_make(struct arena *a)
{
	series = mem_array(NULL, SERIES, sizeof(*series));
	defs = mem_array(NULL, SERIES, sizeof(*defs));
	ids = mem_array(NULL, SERIES, sizeof(*ids));
	for (uint32_t i = 0; i < SERIES; i++) {
		char name[16], value[16];
		snprintf(name, sizeof(name), "m%u", i % 7);
		snprintf(value, sizeof(value), "%u", i);
		series[i] = label_make(a, "__name__", name, "i", value, NULL);
		defs[i] = (struct catalog_def){ .id = i, .labels = series[i] };
		ids[i] = i;
	}
}

static bool catalog_has_all(struct catalog *c)
{
	uint32_t *found = NULL;
	size_t count = 0;
	errbuf_init(&eb);
	enum err e = catalog_select(c, 0, 0, NULL, 0, 0, 1000, &found, &count, &eb);
	bool all = !e && count == SERIES;
	for (size_t i = 0; all && i < count; i++)
		all = found[i] == i;
	mem_free(found);
	return all;
}

static enum err apply_all(struct catalog *c)
{
	struct catalog_range r[2] = { { .t_ms = 0, .ids = ids, .count = SERIES },
		{ .t_ms = 7200000, .ids = ids, .count = SERIES } };
	errbuf_init(&eb);
	enum err e = catalog_apply(c, 0, 7, defs, SERIES, r, 2, &eb);
	if (e)
		tap_note("%s", eb.text);
	return e;
}

static void too_much_at_once(const char *root)
{
	static const unsigned limits[] = { 0, 20, 40, 300 };
	for (size_t i = 0; i < COUNT_OF(limits); i++) {
		struct catalog *c;
		struct catalog_state st;
		char name[16];
		snprintf(name, sizeof(name), "halves%zu", i);
		char *dir = testlib_path(root, name);
		CHECK(!catalog_open(dir, 1, 1, &c, &eb));
		env_puts_max = limits[i];
		TAP_OK(apply_all(c) == ERR_OK);
		tap_ok(catalog_has_all(c), "%u records fit: all series are there", limits[i]);
		TAP_OK(!catalog_state(c, 0, &st, &eb) && st.rank == 7 && st.series == SERIES);
		bool more = true;
		unsigned calls = 0;
		enum err e = ERR_OK;
		errbuf_init(&eb);
		while (!e && more && calls++ < 1000)
			e = catalog_retain(c, 0, 100000000, NULL, 0, 500, &more, &eb);
		tap_ok(!e && !more, "retention too: %s %s", err_text(e), eb.text);
		env_puts_max = 0;
		TAP_OK(!catalog_state(c, 0, &st, &eb) && st.series == 0);
		catalog_close(c);
		free(dir);
	}
	env_puts_max = 1;
	struct catalog *c;
	char *dir = testlib_path(root, "halves9");
	CHECK(!catalog_open(dir, 1, 1, &c, &eb));
	TAP_OK(apply_all(c) == ERR_TOOBIG && eb.text[0]);
	env_puts_max = 0;
	tap_ok(!catalog_is_damaged(c), "which is no damage");
	catalog_close(c);
	free(dir);
}

static void full_in_the_middle(const char *root)
{
	unsigned bad = 0, tried = 0;
	for (unsigned at = 1; at < 700; at += 97, tried++) {
		struct catalog *c;
		char name[16];
		snprintf(name, sizeof(name), "grow%u", at);
		char *dir = testlib_path(root, name);
		CHECK(!catalog_open(dir, 1, 1, &c, &eb));
		env_map_full_at = at;
		bad += apply_all(c) != ERR_OK || !catalog_has_all(c);
		env_map_full_at = 0;
		catalog_close(c);
		free(dir);
	}
	tap_ok(
	    !bad && tried > 5, "a full map in the middle of an apply: it grows, all is done again");
}

/*
 * A map that is too small for anything: definitions, ranges, merges, dictionaries and retention
 * grow
 * it, each in the middle of its work, and nothing is lost. Others read all the time.
 */
struct beside {
	struct catalog *catalog;
	bool stop;
	unsigned reads, bad;
};

static void *read_beside(void *arg)
{
	struct beside *b = arg;
	struct errbuf why;
	do {
		uint32_t *found;
		size_t count;
		errbuf_init(&why);
		if (catalog_select(b->catalog, 0, 0, NULL, 0, 0, 1000, &found, &count, &why)) {
			b->bad++;
			break;
		}
		for (size_t i = 0; i < count; i++)
			b->bad += found[i] != i;
		b->reads++;
		mem_free(found);
	} while (!__atomic_load_n(&b->stop, __ATOMIC_RELAXED));
	return NULL;
}

static void small_map(const char *root)
{
	struct beside b = { .stop = false };
	struct catalog_state st;
	pthread_t t;
	unsigned bad = 0;
	char *dir = testlib_path(root, "small");
	env_map_step = 32 << 10; /* as much as an empty one takes */
	CHECK(!catalog_open(dir, 1, 1, &b.catalog, &eb));
	uint64_t map = env_map_bytes(b.catalog->env);
	CHECK(!pthread_create(&t, NULL, read_beside, &b));
	const uint32_t step = SERIES / 40;
	for (uint32_t at = 0; at < SERIES; at += step) {
		uint32_t n = SERIES - at < step ? SERIES - at : step;
		struct catalog_range r[3] = { { .t_ms = 0, .ids = ids + at, .count = n },
			{ .t_ms = 7200000, .ids = ids, .count = at + n },
			{ .t_ms = 7200000 * (int64_t)(at + 2), .ids = ids, .count = at + n } };
		errbuf_init(&eb);
		env_map_full_at = at % 7 + 1; /* and once more than it needs */
		bad += catalog_apply(b.catalog, 0, at + 1, defs + at, n, r, 3, &eb) != ERR_OK;
		env_map_full_at = 0;
	}
	tap_ok(!bad && catalog_has_all(b.catalog), "a map of some pages grows with what comes");
	bool more = true;
	enum err e = ERR_OK;
	for (unsigned calls = 0; !e && more && calls < 1000; calls++) {
		errbuf_init(&eb);
		env_map_full_at = calls % 3 + 1;
		e = catalog_retain(
		    b.catalog, 0, INT64_C(7200000) * 2, ids, SERIES / 2, SERIES / 10, &more, &eb);
		env_map_full_at = 0;
	}
	__atomic_store_n(&b.stop, true, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
	tap_ok(!e && !more, "with retention and merges, too: %s %s", err_text(e), eb.text);
	tap_ok(!b.bad && b.reads, "who reads meanwhile goes on: %u reads", b.reads);
	TAP_OK(!catalog_state(b.catalog, 0, &st, &eb) && st.rank && st.series == SERIES);
	tap_ok(env_map_bytes(b.catalog->env) > map, "%llu KiB at first, %llu KiB now",
	    (unsigned long long)map >> 10, (unsigned long long)env_map_bytes(b.catalog->env) >> 10);
	catalog_close(b.catalog);
	env_map_step = 0;
	free(dir);
}

/* A reader that takes its time: the map grows behind it, what it looks at stays. */
struct slow {
	struct env *env;
	struct env_db *db;
	sem_t inside;
	unsigned bad;
};

static void *read_slowly(void *arg)
{
	struct slow *s = arg;
	struct errbuf why;
	struct env_txn t;
	struct env_value v;
	uint32_t key = 0;
	errbuf_init(&why);
	s->bad += env_begin_read(s->env, &t, &why) != ERR_OK;
	s->bad += env_get(&t, s->db, &key, sizeof(key), &v) != ERR_OK;
	sem_post(&s->inside);
	usleep(50000); /* the writer comes to the gate, or it does not: both must hold */
	for (size_t i = 0; i < v.len; i++)
		s->bad += v.data[i] != v.data[0];
	s->bad += env_count(&t, s->db) != 1;
	env_abort(&t);
	return NULL;
}

static void long_reader(const char *root)
{
	struct slow s = { .bad = 0 };
	pthread_t t;
	char *dir = testlib_path(root, "slow");
	env_make(dir, &s.env, &s.db);
	CHECK(!put_one(s.env, s.db, 0, 10000) && !sem_init(&s.inside, 0, 0));
	CHECK(!pthread_create(&t, NULL, read_slowly, &s));
	while (sem_wait(&s.inside)) {
	}
	uint64_t map = env_map_bytes(s.env);
	struct env_txn w;
	errbuf_init(&eb);
	TAP_OK(env_begin_write(s.env, 2 * map, &w, &eb) == ERR_OK);
	env_abort(&w);
	pthread_join(t, NULL);
	tap_ok(!s.bad && env_map_bytes(s.env) > 2 * map, "a long reader ends before the map grows");
	sem_destroy(&s.inside);
	env_close(s.env);
	free(dir);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
/* In a child: no address space for a larger map; 0: all held. */
static int without_address_space(const char *dir)
{
	struct env *e;
	struct env_db *db;
	struct rlimit was, now;
	unsigned long pages = 0;
	env_make(dir, &e, &db);
	int bad = put_many(e, db, 0, 20) != ERR_OK;
	FILE *f = fopen("/proc/self/statm", "r");
	bad += !f || fscanf(f, "%lu", &pages) != 1;
	getrlimit(RLIMIT_AS, &was);
	now = was;
	now.rlim_cur = pages * 4096 + (8 << 20);
	bad += setrlimit(RLIMIT_AS, &now) != 0;
	struct env_txn w;
	errbuf_init(&eb);
	enum err er = env_begin_write(e, 64 << 20, &w, &eb);
	bad += er != ERR_NOMEM;
	bad += whole(e, db, 20) != 20 || env_is_damaged(e);
	bad += put_one(e, db, 20, 100) != ERR_OK; /* what fits is still taken */
	bad += setrlimit(RLIMIT_AS, &was) != 0;
	errbuf_init(&eb);
	bad += env_begin_write(e, 64 << 20, &w, &eb) != ERR_OK;
	env_abort(&w);
	bad += whole(e, db, 20) != 20;
	env_close(e);
	return bad;
}
#endif

static void no_address_space(const char *root)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	(void)root; /* the sanitizer's own: there is nothing to test */
#else
	char *dir = testlib_path(root, "space");
	int status = -1;
	pid_t pid = fork();
	if (!pid)
		_exit(without_address_space(dir));
	while (waitpid(pid, &status, 0) < 0) {
	}
	tap_ok(WIFEXITED(status) && !WEXITSTATUS(status),
	    "without address space it stays as it is, readers and small writes go on: %d", status);
	free(dir);
#endif
}

int main(void)
{
	struct arena a;
	log_setup(LOG_LEVEL_NONE, false);
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	char *root = testlib_tmpdir("envfault");
	arena_init(&a, 1 << 16);
	series_make(&a);
	cut_under_the_map(root);
	head_not_written(root);
	map_full(root);
	too_much_at_once(root);
	full_in_the_middle(root);
	small_map(root);
	long_reader(root);
	no_address_space(root);
	mem_free(series);
	mem_free(defs);
	mem_free(ids);
	arena_release(&a);
	testlib_rmtree(root);
	free(root);
	return tap_done();
}
