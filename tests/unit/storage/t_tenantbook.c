/*
 * storage/tenantbook through a store: ids are given once, found on all loops, and survive kills,
 * power cuts, failing disks and damage of either copy; what neither copy has keeps its data and its
 * id.
 */
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/model/limits.h"
#include "storage/store_priv.h"
#include "tests/lib/fault.h"
#include "tests/lib/fsdouble.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define T0     INT64_C(1700000000000)
#define MANY   300u
#define LOOPS  3u
#define REC    72u
#define HEAD   32u
#define NAMES  24u
#define IMAGES 60u

static struct storetest s;
static char *dir;

static const char *path_of(const char *name)
{
	static char path[4400];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static bool open_here(void)
{
	storetest_init(&s, dir);
	return TAP_OK(!storetest_open(&s, LOOPS));
}

static bool begin(const char *name)
{
	dir = testlib_tmpdir(name);
	return open_here();
}

static bool again(void)
{
	storetest_close(&s);
	return open_here();
}

static void end(void)
{
	storetest_close(&s);
	testlib_rmtree(dir);
	free(dir);
}

/* ---- asking ---- */

struct made {
	struct store_tenant_req req;
	sem_t done;
	const char *name;
	uint32_t id;
};

static void made_done(struct store_tenant_req *r)
{
	sem_post(&CONTAINER_OF(r, struct made, req)->done);
}

static void made_begin(void *arg)
{
	struct made *m = arg;
	m->req = (struct store_tenant_req){
		.names = &m->name, .count = 1, .ids = &m->id, .done = made_done
	};
	store_tenant_make(s.store, &m->req);
}

static void made_start(struct made *m, const char *name, unsigned loop)
{
	m->name = name;
	sem_init(&m->done, 0, 0);
	testteam_run(&s.tt, loop, made_begin, m);
}

static enum err made_wait(struct made *m)
{
	while (sem_wait(&m->done)) {
	}
	sem_destroy(&m->done);
	return m->req.err;
}

static struct made last;

static uint32_t make(const char *name, unsigned loop)
{
	made_start(&last, name, loop);
	return made_wait(&last) ? TENANT_NONE : last.id;
}

struct found {
	const char *name;
	uint32_t id, count;
	const char *back;
};

static void find_here(void *arg)
{
	struct found *f = arg;
	f->id = store_tenant_find(s.store, f->name, strlen(f->name));
	f->back = f->id == TENANT_NONE ? NULL : store_tenant_name(s.store, f->id);
	f->count = store_tenants(s.store);
}

static uint32_t find(const char *name, unsigned loop)
{
	struct found f = { .name = name };
	testteam_run(&s.tt, loop, find_here, &f);
	return f.back && strcmp(f.back, name) ? TENANT_NONE - 1 : f.id;
}

static bool all_find(const char *name, uint32_t id)
{
	bool all = true;
	for (unsigned i = 0; i < LOOPS; i++)
		all &= find(name, i) == id;
	return all;
}

static uint64_t put(uint32_t tenant, unsigned count)
{
	struct arena a;
	arena_init(&a, 1 << 16);
	struct labels *names = mem_array(NULL, count, sizeof(*names));
	struct storetest_row *rows = mem_array(NULL, count, sizeof(*rows));
	storetest_names(&a, "m", names, count);
	for (unsigned i = 0; i < count; i++)
		rows[i] = (struct storetest_row){ .labels = names[i], .t_ms = T0, .v = i };
	s.tenant = tenant;
	struct storetest_verdict v = storetest_write(&s, 0, rows, count);
	mem_free(rows);
	mem_free(names);
	arena_release(&a);
	return v.err ? 0 : v.stored;
}

static void count_series(void *arg, struct labels ls, const struct sample_column *col)
{
	(void)ls;
	*(unsigned *)arg += col->count;
}

static unsigned samples_of(uint32_t tenant)
{
	unsigned n = 0;
	s.tenant = tenant;
	if (storetest_read(&s, NULL, 0, INT64_MIN, INT64_MAX, count_series, &n))
		return UINT32_MAX;
	return n;
}

/* ---- cases ---- */

static void ids_are_given_once(void)
{
	if (!begin("book-ids"))
		return;
	tap_ok(all_find("default", 0), "tenant 0 is default, everywhere");
	tap_ok(access(path_of("TENANTS.a"), F_OK) != 0, "no file before the first tenant");
	tap_ok(all_find("acme", TENANT_NONE), "nobody has a name that was never made");
	tap_ok(make("acme", 1) == 1 && all_find("acme", 1),
	    "the first one is 1, on all loops at once");
	tap_ok(make("zoo", 2) == 2 && all_find("zoo", 2), "the next one 2");
	tap_ok(make("acme", 0) == 1, "made again it is the same");
	tap_ok(make("default", 0) == 0, "default is 0");
	static const char *const bad[] = { "a/b", "", "~3", "a|b" };
	for (size_t i = 0; i < 4; i++)
		tap_ok(make(bad[i], 1) == TENANT_NONE && last.req.err == ERR_BADDATA &&
		        last.req.eb.text[0],
		    "name %zu is refused: %s", i, last.req.eb.text);
	if (again())
		tap_ok(all_find("acme", 1) && all_find("zoo", 2) && make("new", 0) == 3,
		    "the next start has them, and goes on behind them");
	end();
}

static void many_at_once(void)
{
	if (!begin("book-many"))
		return;
	struct made *m = mem_zalloc(2 * MANY * sizeof *m);
	char(*names)[16] = mem_zalloc(MANY * sizeof *names);
	for (unsigned i = 0; i < MANY; i++)
		snprintf(names[i], sizeof names[i], "t%u", i);
	for (unsigned i = 0; i < 2 * MANY; i++)
		made_start(&m[i], names[i / 2], i % LOOPS);
	bool same = true;
	for (unsigned i = 0; i < 2 * MANY; i++)
		same &= !made_wait(&m[i]);
	bool *seen = mem_zalloc((MANY + 1) * sizeof *seen);
	for (unsigned i = 0; i < MANY; i++) {
		uint32_t id = m[2 * i].id;
		same &= id == m[2 * i + 1].id && id && id <= MANY && !seen[id];
		seen[id <= MANY ? id : 0] = true;
	}
	tap_ok(same, "names asked for twice at the same time get one id each, and no id two names");
	for (unsigned i = 0; i < MANY; i++)
		same &= all_find(names[i], m[2 * i].id);
	tap_ok(same, "all loops find all of them");
	if (again()) {
		for (unsigned i = 0; i < MANY; i++)
			same &= all_find(names[i], m[2 * i].id);
		tap_ok(same, "so does the next start");
	}
	mem_free(seen);
	mem_free(names);
	mem_free(m);
	end();
}

static void limits_set(void *arg)
{
	loop_set_limits(loop_here(), arg);
}

struct bound {
	struct store_tenants_req req;
	sem_t done;
};

static void bound_done(struct store_tenants_req *r)
{
	sem_post(&CONTAINER_OF(r, struct bound, req)->done);
}

static void bound_begin(void *arg)
{
	store_tenants_bind(s.store, &((struct bound *)arg)->req);
}

/* A snapshot comes with limits that no loop has yet: 3 is the loops' number of tenants. */
static enum err bound_with(uint64_t most, const char *name, struct errbuf *eb)
{
	struct tenant_row row = { 0 };
	struct limits l;
	struct bound b = { .req = { .limits = &l, .done = bound_done } };
	limits_default(&l);
	l.tenants = most;
	snprintf(row.name, sizeof row.name, "%s", name);
	if (tenants_create(&b.req.tenants, NULL, &row, 1, eb))
		return ERR_BUG;
	sem_init(&b.done, 0, 0);
	testteam_run(&s.tt, 0, bound_begin, &b);
	while (sem_wait(&b.done)) {
	}
	sem_destroy(&b.done);
	*eb = b.req.eb;
	tenants_free(b.req.tenants);
	return b.req.err;
}

static void limits_of_their_own(void)
{
	struct errbuf eb;
	errbuf_init(&eb);
	tap_ok(!bound_with(4, "row", &eb) && all_find("row", 3),
	    "rows that come with a higher limit are taken by that one");
	tap_ok(bound_with(4, "more", &eb) == ERR_TOOBIG, "and no more than it says");
	tap_is_str(
	    eb.text, "no more tenants are taken: limit 4 (--limits.tenants)", "which the text has");
}

static void the_limit(void)
{
	static struct limits l;
	limits_default(&l);
	l.tenants = 3;
	if (!begin("book-limit"))
		return;
	testteam_run(&s.tt, 0, limits_set, &l);
	tap_ok(make("a", 0) == 1 && make("b", 1) == 2, "two beside the default one are taken");
	tap_ok(make("c", 1) == TENANT_NONE && last.req.err == ERR_TOOBIG, "a third one is not");
	tap_is_str(last.req.eb.text, "no more tenants are taken: limit 3 (--limits.tenants)",
	    "the text has the limit and its flag");
	tap_ok(make("b", 2) == 2, "those that are there go on");
	limits_of_their_own();
	end();
}

static void rows_are_bound(void)
{
	struct tenant_row rows[3] = { { .name = "x" }, { .name = "default" }, { .name = "y" } };
	struct tenants *t;
	struct errbuf eb;
	errbuf_init(&eb);
	if (!begin("book-bind") || !TAP_OK(!tenants_create(&t, NULL, rows, 3, &eb)))
		return;
	TAP_OK(make("y", 1) == 1);
	tap_ok(!store_tenants_bind_wait(s.store, t, &eb), "all rows of a snapshot get their ids");
	tap_ok(tenants_of(t, 0) == tenants_find(t, "default", 7) &&
	        tenants_of(t, 1) == tenants_find(t, "y", 1) &&
	        tenants_of(t, 2) == tenants_find(t, "x", 1) && all_find("x", 2),
	    "those of the book");
	tenants_free(t);
	end();
}

/* ---- trouble ---- */

static void flip(const char *name, long off)
{
	FILE *f = fopen(path_of(name), "r+b");
	if (!TAP_OK(f != NULL))
		return;
	fseek(f, off, SEEK_SET);
	int c = fgetc(f);
	fseek(f, off, SEEK_SET);
	fputc(c ^ 0x10, f);
	fclose(f);
}

static long length(const char *name)
{
	FILE *f = fopen(path_of(name), "rb");
	if (!f)
		return -1;
	fseek(f, 0, SEEK_END);
	long n = ftell(f);
	fclose(f);
	return n;
}

static bool three_found(void)
{
	return all_find("one", 1) && all_find("two", 2) && all_find("three", 3);
}

static void a_damaged_copy(void)
{
	if (!begin("book-damage"))
		return;
	TAP_OK(make("one", 0) == 1 && make("two", 0) == 2 && make("three", 0) == 3);
	static const long offs[] = { 0, 9, HEAD, HEAD + REC + 8, HEAD + 2 * REC + 5 };
	for (unsigned i = 0; i < 10; i++) {
		storetest_close(&s);
		flip(i % 2 ? "TENANTS.b" : "TENANTS.a", offs[i / 2]);
		if (!open_here())
			return;
		tap_ok(three_found(), "byte %ld of one copy damaged: the other has all", offs[i / 2]);
	}
	storetest_close(&s);
	flip("TENANTS.a", HEAD + 8);
	flip("TENANTS.b", HEAD + REC + 8);
	if (!open_here())
		return;
	tap_ok(three_found(), "each damaged in another record: all are there");
	storetest_close(&s);
	unlink(path_of("TENANTS.a"));
	TAP_OK(!truncate(path_of("TENANTS.b"), HEAD + 3 * REC + 11));
	if (!open_here())
		return;
	tap_ok(three_found() && make("four", 1) == 4, "one gone, the other with a torn end");
	tap_ok(length("TENANTS.a") == HEAD + 4 * REC && length("TENANTS.b") == HEAD + 4 * REC,
	    "both are whole again");
	end();
}

static void a_record_neither_has(void)
{
	if (!begin("book-lost"))
		return;
	TAP_OK(make("one", 0) == 1 && make("two", 0) == 2 && make("three", 0) == 3);
	TAP_OK(put(2, 5) == 5 && put(3, 7) == 7);
	storetest_close(&s);
	flip("TENANTS.a", HEAD + REC + 8);
	flip("TENANTS.b", HEAD + REC + 8);
	if (!open_here())
		return;
	tap_ok(all_find("one", 1) && all_find("three", 3) && all_find("two", TENANT_NONE),
	    "a name that neither copy has is lost, the others are there");
	tap_ok(samples_of(2) == 5 && samples_of(3) == 7, "its data is kept");
	tap_ok(make("two", 0) == 4 && !samples_of(4), "its name is a new tenant's, without data");
	tap_ok(length("TENANTS.a.damaged") > 0 && length("TENANTS.b.damaged") > 0,
	    "what was damaged is set aside");
	unlink(path_of("TENANTS.a.damaged"));
	if (!again())
		return;
	tap_ok(all_find("two", 4) && length("TENANTS.a.damaged") < 0,
	    "the next start finds the same, and nothing to set aside");
	storetest_close(&s);
	unlink(path_of("TENANTS.a"));
	unlink(path_of("TENANTS.b"));
	if (!open_here())
		return;
	tap_ok(samples_of(2) == 5 && samples_of(3) == 7, "without both copies all data is kept");
	tap_ok(make("one", 0) > 3 && make("three", 1) > 3, "and no id that has data is given again");
	end();
}

static void a_later_format(void)
{
	if (!begin("book-later"))
		return;
	TAP_OK(make("one", 0) == 1);
	storetest_close(&s);
	FILE *f = fopen(path_of("TENANTS.b"), "r+b");
	uint8_t head[HEAD];
	TAP_OK(f && fread(head, 1, sizeof head, f) == sizeof head);
	head[8] = 2;
	uint32_t crc = crc32c(0, head, HEAD - 4);
	memcpy(head + HEAD - 4, &crc, 4);
	fseek(f, 0, SEEK_SET);
	TAP_OK(fwrite(head, 1, sizeof head, f) == sizeof head);
	fclose(f);
	storetest_init(&s, dir);
	tap_ok(storetest_open(&s, LOOPS) == ERR_UNSUPPORTED, "a later format ends the start");
	testlib_rmtree(dir);
	free(dir);
}

/* Every call on the files fails once, on the way of a first and of a later tenant. */
static void a_failing_disk(void)
{
	unsigned hits = 0, cases = 0;
	for (unsigned later = 0; later < 2; later++) {
		for (uint64_t n = 1;; n++) {
			fault_start(NULL);
			if (!begin("book-fault"))
				return;
			if (later)
				TAP_OK(make("zero", 0) == 1);
			fault_set(FAULT_ANY, "TENANTS", n, 1, ERR_IO);
			uint32_t id = make("one", 1);
			bool hit = fault_hits(FAULT_ANY) > 0;
			uint32_t second = make("two", 2);
			hits += hit;
			bool good =
			    second != TENANT_NONE && (id != TENANT_NONE || !hit || id != second);
			uint32_t third = make("one", 0);
			good &= third != TENANT_NONE && third != second &&
			    (id == TENANT_NONE || id == third);
			good &= all_find("one", third) && all_find("two", second);
			if (!again())
				return;
			good &= all_find("one", third) && all_find("two", second);
			cases++;
			tap_ok(good, "call %u of a %s tenant fails: ids stay unique", (unsigned)n,
			    later ? "later" : "first");
			end();
			fault_stop();
			if (!hit)
				break;
		}
	}
	tap_ok(hits > 6, "%u calls failed in %u cases", hits, cases);
}

/* ---- power cuts ---- */

struct acked {
	char name[16];
	uint32_t id;
	uint64_t point;
};

static void power_cuts(void)
{
	static struct acked acked[NAMES];
	static const char *const exclude[] = { "catalog", NULL };
	char *top = testlib_tmpdir("book-cuts"), first[4096];
	snprintf(first, sizeof first, "%s/first", top);
	fsdouble_start(&(struct fsdouble_opts){ .root = first, .exclude = exclude });
	dir = strdup(first);
	if (!open_here())
		return;
	for (unsigned i = 0; i < NAMES; i++) {
		snprintf(acked[i].name, sizeof acked[i].name, "cut%u", i);
		if (i == NAMES / 2)
			fsdouble_fail_syncs("TENANTS", 2, 1);
		acked[i].id = make(acked[i].name, i % LOOPS);
		if (acked[i].id != TENANT_NONE)
			(void)put(acked[i].id, 3);
		acked[i].point = acked[i].id == TENANT_NONE ? UINT64_MAX : fsdouble_point();
	}
	uint64_t end_point = fsdouble_point();
	storetest_close(&s);
	free(dir);
	char(*images)[4200] = mem_zalloc(IMAGES * sizeof *images);
	uint64_t points[IMAGES];
	for (unsigned i = 0; i < IMAGES; i++) {
		points[i] = end_point * (i + 1) / IMAGES;
		snprintf(images[i], sizeof images[i], "%s/image-%u", top, i);
		fsdouble_image(points[i], i + 1,
		    i % 8 == 7       ? FSDOUBLE_ALL
		        : i % 8 == 6 ? FSDOUBLE_SYNCED
		                     : FSDOUBLE_RANDOM,
		    images[i]);
	}
	fsdouble_stop();
	unsigned good = 0;
	for (unsigned i = 0; i < IMAGES; i++) {
		dir = images[i];
		storetest_init(&s, dir);
		if (storetest_open(&s, LOOPS))
			continue;
		bool all = true;
		for (unsigned k = 0; k < NAMES; k++) {
			bool must = acked[k].point <= points[i];
			uint32_t id = find(acked[k].name, k % LOOPS);
			all &= must ? id == acked[k].id : id == TENANT_NONE || id <= NAMES;
			all &= !must || samples_of(acked[k].id) == 3;
		}
		uint32_t fresh = make("fresh", 0);
		all &= fresh != TENANT_NONE && !samples_of(fresh);
		storetest_close(&s);
		good += all;
		if (!all)
			tap_note("image %u of point %llu", i, (unsigned long long)points[i]);
	}
	tap_is_u64(good, IMAGES, "every image has what was told, under its id");
	mem_free(images);
	testlib_rmtree(top);
	free(top);
}

/* ---- kills while tenants are made ---- */

static void child(int fd)
{
	storetest_init(&s, dir);
	s.opts.round_every_ms = 40;
	if (storetest_open(&s, 2))
		_exit(2);
	struct found f = { .name = "x" };
	testteam_run(&s.tt, 0, find_here, &f);
	for (uint32_t k = f.count;; k++) {
		char name[16];
		snprintf(name, sizeof name, "k%u", k);
		uint32_t id = make(name, k % 2);
		if (id == TENANT_NONE || put(id, 4) != 4)
			_exit(3);
		uint32_t told[2] = { k, id };
		if (write(fd, told, sizeof told) != (ssize_t)sizeof told)
			_exit(4);
	}
}

static void kills(void)
{
	enum {
		ROUNDS = 5,
		MOST = 4096
	};
	static uint32_t ids[MOST];
	dir = testlib_tmpdir("book-kill");
	memset(ids, 0xff, sizeof ids);
	unsigned told_all = 0;
	for (unsigned round = 0; round < ROUNDS; round++) {
		int p[2];
		if (!TAP_OK(!pipe(p)))
			return;
		fflush(stdout);
		pid_t pid = fork();
		if (!pid) {
			close(p[0]);
			child(p[1]);
		}
		close(p[1]);
		uint32_t told[2];
		unsigned count = 0;
		while (read(p[0], told, sizeof told) == (ssize_t)sizeof told) {
			if (told[0] < MOST)
				ids[told[0]] = told[1];
			told_all++;
			if (++count == 5 + round)
				kill(pid, SIGKILL);
		}
		close(p[0]);
		int status;
		tap_ok(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status),
		    "a child is killed while it makes tenants");
	}
	if (!open_here())
		return;
	bool all = true;
	for (uint32_t k = 0; k < MOST; k++) {
		char name[16];
		snprintf(name, sizeof name, "k%u", k);
		if (ids[k] != TENANT_NONE)
			all &= find(name, k % LOOPS) == ids[k] && samples_of(ids[k]) == 4;
	}
	tap_ok(all && told_all >= ROUNDS * 5, "all %u that were told are there, with their data",
	    told_all);
	end();
}

int main(void)
{
	kills();
	clock_fake(T0);
	ids_are_given_once();
	many_at_once();
	the_limit();
	rows_are_bound();
	a_damaged_copy();
	a_record_neither_has();
	a_later_format();
	a_failing_disk();
	power_cuts();
	return tap_done();
}
