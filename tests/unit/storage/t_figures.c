/* How full the store says it is (storage/figures, and the gauges beside it). */
#include <stdlib.h>
#include <sys/stat.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/metric.h"
#include "storage/space.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define SERIES  20u
#define HOUR_MS (3600 * 1000LL)
#define T0      (1750000000000LL - 1750000000000LL % (24 * HOUR_MS))

static struct arena arena;
static struct labels names[SERIES];
static struct storetest s;

static int64_t gauge(enum metric_id id)
{
	return (int64_t)metric_sum(id);
}

static void write_at(int64_t t_ms, bool own)
{
	struct storetest_row rows[SERIES];
	for (unsigned i = 0; i < SERIES; i++)
		rows[i] = (struct storetest_row){ .labels = names[i], .t_ms = t_ms + i, .v = i };
	s.own = own;
	struct storetest_verdict v = storetest_write(&s, 0, rows, SERIES);
	s.own = false;
	tap_ok(!v.err && !v.refused, "%u rows are written", SERIES);
}

static uint64_t bytes_of(const char *dir, const char *name)
{
	char path[600];
	struct stat st;
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return stat(path, &st) ? 0 : (uint64_t)st.st_size;
}

static void memory_and_log(const char *dir)
{
	int64_t before = gauge(M_SERIES_BYTES);
	tap_ok(before < gauge(M_LIMIT_SERIES), "memory of series is below its limit");
	tap_is_i64(gauge(M_FILES), 0, "no file yet");
	tap_is_i64(gauge(M_OLDEST_MS), 0, "so none has an oldest sample");
	tap_is_i64(gauge(M_NEWEST_MS), 0, "and nobody sent a newest one");
	tap_is_i64(gauge(M_RETENTION_MS), s.opts.retention_ms, "the retention is told");
	write_at(T0, false);
	write_at(T0 + HOUR_MS, true);
	for (unsigned i = 0; i < 10; i++)
		storetest_advance(&s, 1000);
	tap_is_i64(gauge(M_NEWEST_MS), T0 + SERIES - 1, "the newest time of senders is theirs");
	tap_is_i64(gauge(M_NEWEST_OWN_MS), T0 + HOUR_MS + SERIES - 1, "own metrics have their own");
	tap_ok(gauge(M_BYTES_LOG) >= 1 << 20 && gauge(M_BYTES_LOG) % (1 << 20) == 0,
	    "the log has its segments, spare ones too");
	tap_is_u64((uint64_t)gauge(M_BYTES_RESERVE), bytes_of(dir, SPACE_RESERVE_NAME),
	    "the reserve is as large as its file");
	tap_is_u64((uint64_t)gauge(M_BYTES_CATALOG), bytes_of(dir, "catalog/data.mdb"),
	    "so is the catalog");
}

static void files_and_rounds(void)
{
	tap_is_i64(gauge(M_ROUND_LAST_MS), 0, "no round yet");
	TAP_OK(storetest_flush(&s) == ERR_OK);
	int64_t flushed_ms = clock_wall_ms();
	storetest_advance(&s, 5000);
	tap_is_i64(gauge(M_ROUND_LAST_MS), flushed_ms, "a round ended now");
	tap_is_i64(gauge(M_OLDEST_MS), T0, "files have an oldest sample");
	tap_ok(gauge(M_FILES) > 0 && gauge(M_FILES) <= (int64_t)s.opts.shards * 2, "some files");
	tap_is_i64(gauge(M_FILES_SAMPLES), 2 * SERIES, "every sample is in one of them");
	tap_ok(gauge(M_BYTES_FILES) > gauge(M_FILES) * 100, "they have their bytes");
}

static void run(unsigned loops)
{
	char *dir = testlib_tmpdir("figures");
	clock_fake(T0 + HOUR_MS);
	storetest_init(&s, dir);
	s.opts.shards = 4;
	s.opts.log_segment_bytes = 1 << 20;
	if (!tap_ok(!storetest_open(&s, loops), "opens on %u loops", loops))
		return;
	storetest_advance(&s, 5000);
	memory_and_log(dir);
	files_and_rounds();
	int64_t files = gauge(M_FILES), bytes = gauge(M_BYTES_FILES);
	storetest_close(&s);
	static const enum metric_id all[] = { M_SERIES_BYTES, M_LIMIT_SERIES, M_BYTES_LOG,
		M_BYTES_FILES, M_BYTES_CATALOG, M_BYTES_RESERVE, M_FILES, M_FILES_SAMPLES,
		M_OLDEST_MS, M_NEWEST_MS, M_NEWEST_OWN_MS, M_RETENTION_MS, M_ROUND_LAST_MS };
	unsigned left = 0;
	for (size_t i = 0; i < COUNT_OF(all); i++)
		left += gauge(all[i]) != 0;
	tap_is_u64(left, 0, "a closed store fills nothing");
	TAP_OK(storetest_open(&s, loops) == ERR_OK);
	tap_ok(gauge(M_FILES) == files && gauge(M_BYTES_FILES) == bytes,
	    "the next start finds the same files");
	storetest_close(&s);
	testlib_rmtree(dir);
	free(dir);
}

int main(void)
{
	arena_init(&arena, 4096);
	storetest_names(&arena, "m", names, SERIES);
	run(1);
	run(3);
	arena_release(&arena);
	return tap_done();
}
