/*
 * Our own scripts over the real store: from memory, from sealed files, after a restart, and both.
 */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"
#include "tests/promql/ptest_file.h"
#include "tests/promql/ptest_store.h"

#include <stdlib.h>

int main(void)
{
	static const char *const scripts[] = { "aggregation", "functions", "histogram_operators",
		"histograms", "operators", "selectors", "windows" };
	static const struct {
		bool flush, reopen;
		const char *what;
	} ways[] = { { false, false, "from memory" }, { true, false, "from files" },
		{ false, true, "after a restart" }, { true, true, "from files after a restart" } };
	struct ptest_file_opts o = { .out = stdout,
		.prefix = "# ",
		.verbose = true,
		.db = { .shards = 5, .back = &ptest_store } };
	struct team_opts to = { .loops = 2 };
	char path[4096], *dir = testlib_tmpdir("promqlstore");
	log_setup(LOG_LEVEL_WARN, false);
	clock_fake(ptest_store_wall_ms);
	if (team_create(&to, &o.db.team) || team_start(o.db.team))
		return 99;
	o.db.dir = dir;
	for (size_t w = 0; w < COUNT_OF(ways); w++) {
		o.db.flush = ways[w].flush;
		o.db.reopen = ways[w].reopen;
		for (size_t i = 0; i < COUNT_OF(scripts); i++) {
			snprintf(path, sizeof(path), "%s/tests/promql/%s.test", testlib_src(),
			    scripts[i]);
			struct ptest_count c = ptest_file_run(path, &o);
			tap_ok(!c.broken && c.total && c.passed == c.total, "%s: %u of %u pass %s",
			    scripts[i], c.passed, c.total, ways[w].what);
		}
	}
	team_stop(o.db.team);
	team_free(o.db.team);
	testlib_rmtree(dir);
	free(dir);
	return tap_done();
}
