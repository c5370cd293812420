/*
 * A process that writes floats, native histograms and start times while rounds, merges and the
 * catalog's feed run every few milliseconds is
 * killed at any moment; what it was told is stored is found, nothing else, twice (reliability I1,
 * I2, I4).
 * Requests are made from their number alone, so the parent knows what the child sent.
 */
#include "core/base/arena.h"
#include "core/base/clock.h"
#include "storage/store_priv.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define SERIES 150
#define SLOTS  700
#define STEP   15000ll
#define ROWS   40

static struct arena arena;
static struct labels names[SERIES];
static int64_t base_ms;
struct model {
	bool has[SERIES][SLOTS];
	double v[SERIES][SLOTS];
};
static uint64_t rng;
static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 33) % n;
}

static size_t request_make(uint64_t k, struct storetest_row *rows, struct model *m)
{
	rng = (k + 1) * 0x9e3779b97f4a7c15u;
	unsigned front = k / 2 < SLOTS - 10 ? (unsigned)(k / 2) : SLOTS - 10;
	/* half of them pause and come back */
	unsigned active = k % 400 < 200 ? SERIES : SERIES / 2;
	for (unsigned i = 0; i < ROWS; i++) {
		unsigned s = rnd(active), t = front + rnd(8);
		if (rnd(6) == 0)
			t = front > 100 ? front - rnd(100) : rnd(front + 1);
		double v = (double)((k * 7 + s + t) % 11);
		rows[i] =
		    (struct storetest_row){ .labels = names[s], .t_ms = base_ms + t * STEP, .v = v };
		storetest_row_kind(&rows[i]);
		if (m) {
			m->has[s][t] = true;
			m->v[s][t] = v;
		}
	}
	return ROWS;
}

static void setup(struct storetest *s, const char *dir)
{
	storetest_init(s, dir);
	s->opts.round_every_ms = 40;
	s->opts.ooo_window_ms = 24 * 3600 * 1000ll;
	s->opts.retention_ms = 365 * 24 * 3600 * 1000ll;
	s->opts.log_share_bytes = 1 << 20;
}

static void child(const char *dir, unsigned loops, int fd, uint64_t from)
{
	struct storetest s;
	setup(&s, dir);
	if (storetest_open(&s, loops))
		_exit(2);
	for (uint64_t k = from;; k++) {
		struct storetest_row rows[ROWS];
		size_t n = request_make(k, rows, NULL);
		struct storetest_verdict v = storetest_write(&s, (unsigned)k % loops, rows, n);
		if (v.err || v.stored != n || write(fd, &k, sizeof k) != (ssize_t)sizeof k)
			_exit(3);
		if (k % 50 == 49 && storetest_flush(&s))
			_exit(4);
	}
}

struct check {
	const struct model *m, *next;
	bool seen[SERIES][SLOTS];
	unsigned twice, foreign, wrong;
	bool series[SERIES];
};

static void check_series(void *arg, struct labels ls, const struct sample_column *col)
{
	struct check *c = arg;
	unsigned i = 0;
	while (i < SERIES && !label_equal(names[i], ls))
		i++;
	if (i == SERIES) {
		c->foreign++;
		return;
	}
	c->twice += c->series[i];
	c->series[i] = true;
	for (uint32_t k = 0; k < col->count; k++) {
		int64_t t = (col->t_ms[k] - base_ms) / STEP;
		if (t < 0 || t >= SLOTS || col->t_ms[k] != base_ms + t * STEP) {
			c->foreign++;
			continue;
		}
		c->seen[i][t] = true;
		double v;
		bool whole = storetest_value(col, k, &v);
		bool acked = c->m->has[i][t] && c->m->v[i][t] == v;
		bool next = c->next->has[i][t] && c->next->v[i][t] == v;
		c->wrong += !whole || (!acked && !next);
	}
}

static bool check(struct storetest *s, const struct model *m, const struct model *next)
{
	struct check *c = mem_zalloc(sizeof *c);
	c->m = m;
	c->next = next;
	enum err e = storetest_read(s, NULL, 0, INT64_MIN, INT64_MAX, check_series, c);
	unsigned lost = 0;
	for (unsigned i = 0; i < SERIES; i++)
		for (unsigned t = 0; t < SLOTS; t++)
			lost += m->has[i][t] && !c->seen[i][t];
	bool good = !e && !c->twice && !c->foreign && !c->wrong && !lost;
	if (!good)
		tap_note("err %s, lost %u, wrong %u, foreign %u, twice %u", err_text(e), lost,
		    c->wrong, c->foreign, c->twice);
	mem_free(c);
	return good;
}

/* Kills a child some time after it acknowledged a few requests; the number of the next request. */
static uint64_t kill_one(
    const char *dir, unsigned loops, uint64_t from, unsigned least, unsigned more_us)
{
	int p[2];
	uint64_t k, acked = UINT64_MAX;
	if (pipe(p))
		return UINT64_MAX;
	fflush(stdout);
	pid_t pid = fork();
	if (!pid) {
		close(p[0]);
		child(dir, loops, p[1], from);
	}
	close(p[1]);
	while (read(p[0], &k, sizeof k) == (ssize_t)sizeof k) {
		acked = k;
		if (k >= from + least)
			break;
	}
	usleep(more_us);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	while (read(p[0], &k, sizeof k) == (ssize_t)sizeof k)
		acked = k;
	close(p[0]);
	return acked == UINT64_MAX ? UINT64_MAX : acked + 1;
}

static void kills(unsigned count)
{
	char *dir = testlib_tmpdir("storekill");
	struct model *m = mem_zalloc(sizeof *m), *next = mem_zalloc(sizeof *next);
	struct storetest_row rows[ROWS];
	uint64_t from = 0, rounds = 0;
	unsigned done = 0;
	bool good = true;
	uint64_t dice = 77;
	for (; done < count && good; done++) {
		dice = dice * 6364136223846793005u + 1442695040888963407u;
		uint64_t now = kill_one(dir, 1 + done % 2, from, 5 + (unsigned)(dice >> 40) % 90,
		    (unsigned)(dice >> 33) % 20000);
		good = now != UINT64_MAX;
		for (; good && from < now; from++)
			request_make(from, rows, m);
		memset(next, 0, sizeof *next);
		request_make(from, rows, next);
		for (unsigned again = 0; again < 2 && good; again++) {
			struct storetest s;
			setup(&s, dir);
			s.opts.round_every_ms = 1ll << 40;
			good = !storetest_open(&s, 1 + (done + again) % 2) && check(&s, m, next);
			for (unsigned j = 0; good && j < store_shards(s.store); j++)
				rounds += again == 1 ? s.store->shards[j]->list.generation : 0;
			if (good && again) {
				request_make(from, rows, m);
				struct storetest_verdict v = storetest_write(&s, 0, rows, ROWS);
				good = !v.err && v.stored == ROWS && check(&s, m, m);
				from++;
			}
			storetest_close(&s);
		}
	}
	tap_ok(good,
	    "%u kills between rounds, merges and switches lose nothing and invent nothing (%llu requests)",
	    done, (unsigned long long)from);
	tap_ok(rounds > count * 16, "files were switched meanwhile (%llu)",
	    (unsigned long long)rounds);
	mem_free(m);
	mem_free(next);
	testlib_rmtree(dir);
	free(dir);
}

/*
 * What is only in files when a process ends keeps its ids: senders that go on make no new series.
 */
static void ids_stay(void)
{
	char *dir = testlib_tmpdir("storekill");
	struct storetest s;
	struct storetest_row rows[SERIES];
	setup(&s, dir);
	s.opts.round_every_ms = 1ll << 40;
	int64_t now = clock_wall_ms();
	if (!tap_ok(!storetest_open(&s, 2), "opens"))
		return;
	for (unsigned i = 0; i < SERIES; i++)
		rows[i] = (struct storetest_row){ .labels = names[i], .t_ms = now - 60000, .v = i };
	struct storetest_verdict v = storetest_write(&s, 0, rows, SERIES);
	uint64_t ids = 0, after = 0;
	bool good = !v.err && !storetest_flush(&s);
	for (unsigned j = 0; j < store_shards(s.store); j++)
		ids += s.store->shards[j]->next_id;
	storetest_close(&s);
	good = good && !storetest_open(&s, 1) && store_series(s.store) == SERIES;
	for (unsigned i = 0; i < SERIES; i++)
		rows[i].t_ms = now - 45000;
	v = storetest_write(&s, 0, rows, SERIES);
	for (unsigned j = 0; j < store_shards(s.store); j++)
		after += s.store->shards[j]->next_id;
	tap_ok(good && !v.err && v.stored == SERIES && ids == after && store_series(s.store) == SERIES,
	    "after flush and restart known series go on under their ids (%llu, %llu)",
	    (unsigned long long)ids, (unsigned long long)after);
	storetest_close(&s);
	testlib_rmtree(dir);
	free(dir);
}

int main(int argc, char **argv)
{
	arena_init(&arena, 1 << 16);
	for (unsigned i = 0; i < SERIES; i++) {
		char n[32];
		snprintf(n, sizeof n, "host-%u", i);
		names[i] = label_make(&arena, LABEL_NAME, "m", "instance", n, NULL);
	}
	base_ms = clock_wall_ms() - (int64_t)SLOTS * STEP;
	base_ms -= base_ms % STEP;
	kills(argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 12);
	ids_stay();
	arena_release(&arena);
	return tap_done();
}
