/*
 * A merge reaches the disk bit by bit, and rests between: at least three times as long as it wrote
 * and synced, as there may be two of them. Told to stop it stops at once.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/metric.h"
#include "storage/store_priv.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define SERIES  40u
#define ROWS    25000u /* of a series in each of two rounds: 8 MB a file */
#define STEP_MS 100
#define HR      INT64_C(3600000)
#define T0      (1750000000000LL - 1750000000000LL % (48 * HR))
#define SYNC_MS 20
#define NS_MS   1000000u
#define SYNCS   64u

static struct arena arena;
static struct labels names[SERIES];
static struct storetest s;
/* Syncs of files of samples, of one merge: the worker's until M_SEALS goes up. */
static unsigned syncs;
static uint64_t begun_ns[SYNCS], ended_ns[SYNCS];
static bool slow;

static enum err slow_sync(struct fsio_file *f)
{
	if (!strstr(fsio_file_path(f), ".kcf") || !__atomic_load_n(&slow, __ATOMIC_ACQUIRE))
		return ERR_OK;
	unsigned at = __atomic_fetch_add(&syncs, 1, __ATOMIC_ACQ_REL);
	if (at >= SYNCS)
		return ERR_OK;
	begun_ns[at] = clock_real_mono_ns();
	usleep(SYNC_MS * 1000);
	ended_ns[at] = clock_real_mono_ns();
	return ERR_OK;
}

static bool write_round(unsigned first)
{
	static struct storetest_row rows[ROWS];
	uint64_t rng = 88172645463325252u + first;
	bool good = true;
	for (unsigned i = 0; i < SERIES; i++) {
		for (unsigned k = 0; k < ROWS; k++) {
			rng = hash_mix64(rng + k);
			rows[k] = (struct storetest_row){ .labels = names[i],
				.t_ms = T0 + (2 * k + first) * STEP_MS,
				.v = (double)(rng >> 12) / 7 };
		}
		struct storetest_verdict v = storetest_write(&s, 0, rows, ROWS);
		good = good && !v.err && !v.refused;
	}
	return good;
}

static void ignore(void *arg, enum err e)
{
	(void)e;
	__atomic_store_n((bool *)arg, true, __ATOMIC_RELEASE);
}

static bool round_done;

static void round_begin(void *arg)
{
	(void)arg;
	back_round(s.store->shards[0], true, ignore, &round_done);
}

static void round_now(void)
{
	__atomic_store_n(&round_done, false, __ATOMIC_RELEASE);
	testteam_run(&s.tt, 0, round_begin, NULL);
	while (!__atomic_load_n(&round_done, __ATOMIC_ACQUIRE))
		usleep(1000);
}

static bool begin(const char *dir)
{
	storetest_init(&s, dir);
	clock_fake(T0 + 2 * HR);
	s.opts.shards = 1;
	if (storetest_open(&s, 1))
		return false;
	for (unsigned first = 0; first < 2; first++) {
		if (!write_round(first))
			return false;
		round_now();
	}
	struct storetest_row row = { .labels = names[0], .t_ms = T0 + 2 * HR, .v = 1 };
	return !storetest_write(&s, 0, &row, 1).refused && metric_sum(M_FILES) == 2;
}

/* Two hours later, with a new sample, the range has closed. */
static void range_closes(void)
{
	struct storetest_row row = { .labels = names[0], .t_ms = T0 + 4 * HR, .v = 1 };
	syncs = 0;
	__atomic_store_n(&slow, true, __ATOMIC_RELEASE);
	clock_fake_advance(2 * HR);
	TAP_OK(!storetest_write(&s, 0, &row, 1).refused);
	team_clock_moved(s.tt.team);
}

static void it_rests(void)
{
	char *dir = testlib_tmpdir("pace");
	if (!tap_ok(begin(dir), "two rounds of %u samples of one range", SERIES * ROWS))
		return;
	uint64_t merges = metric_sum(M_SEALS);
	range_closes();
	for (unsigned k = 0; k < 60000 && metric_sum(M_SEALS) == merges; k++) {
		usleep(1000);
		if (k % 100 == 99)
			storetest_advance(&s, 1000);
	}
	tap_ok(metric_sum(M_SEALS) > merges, "they are merged");
	unsigned count = __atomic_load_n(&syncs, __ATOMIC_ACQUIRE), gaps = 0;
	count = count < SYNCS ? count : SYNCS;
	for (unsigned i = 1; i < count; i++)
		gaps += begun_ns[i] > ended_ns[i - 1] &&
		    begun_ns[i] - ended_ns[i - 1] >= 3ull * SYNC_MS * NS_MS;
	tap_ok(count >= 2 && gaps >= 1, "%u syncs, %u rests of three times that", count, gaps);
	__atomic_store_n(&slow, false, __ATOMIC_RELEASE);
	storetest_close(&s);
	testlib_rmtree(dir);
	free(dir);
}

static void it_stops(void)
{
	char *dir = testlib_tmpdir("pace");
	if (!tap_ok(begin(dir), "the same once more"))
		return;
	uint64_t failed = metric_sum(M_SEALS_FAILED);
	range_closes();
	for (unsigned k = 0; k < 60000 && !__atomic_load_n(&syncs, __ATOMIC_ACQUIRE); k++) {
		usleep(1000);
		if (k % 100 == 99) {
			clock_fake_advance(1000);
			team_clock_moved(s.tt.team);
		}
	}
	storetest_close(&s);
	tap_ok(metric_sum(M_SEALS_FAILED) == failed, "an end in the middle of a merge is no failure");
	__atomic_store_n(&slow, false, __ATOMIC_RELEASE);
	if (tap_ok(!storetest_open(&s, 1), "opens again"))
		storetest_close(&s);
	testlib_rmtree(dir);
	free(dir);
}

int main(void)
{
	struct fsio_ops ops = fsio_real;
	arena_init(&arena, 1 << 14);
	storetest_names(&arena, "pace", names, SERIES);
	ops.sync = slow_sync;
	fsio_hook(&ops);
	it_rests();
	it_stops();
	fsio_hook(NULL);
	arena_release(&arena);
	return tap_done();
}
