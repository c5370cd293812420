/*
 * promqltest - runs promqltest scripts: promqltest [-v] [--store DIR [--flush] [--reopen]]
 * [--shards N] [--loops N] [--shaky N] FILE...
 *
 * Prints "file passed/total" for each file and the sum; 0 when everything passed, 1 when not, 2
 * when a script is broken.
 */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "tests/promql/ptest_file.h"
#include "tests/promql/ptest_store.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static unsigned number(const char *s)
{
	uint64_t n;
	if (num_parse_u64(s, strlen(s), &n) || n > 1000) {
		fprintf(stderr, "promqltest: bad number \"%s\"\n", s);
		exit(2);
	}
	return (unsigned)n;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "store", required_argument, NULL, 's' },
		{ "shards", required_argument, NULL, 'n' }, { "loops", required_argument, NULL, 'l' },
		{ "shaky", required_argument, NULL, 'k' }, { "flush", no_argument, NULL, 'f' },
		{ "reopen", no_argument, NULL, 'r' }, { NULL, 0, NULL, 0 } };
	struct ptest_file_opts o = { .db = { .shards = 3 }, .out = stdout, .prefix = "" };
	struct team_opts to = { .loops = 2 };
	struct ptest_count sum = { 0 };
	for (int c; (c = getopt_long(argc, argv, "v", options, NULL)) != -1;) {
		if (c == 'v')
			o.verbose = true;
		else if (c == 's')
			o.db.dir = optarg;
		else if (c == 'n')
			o.db.shards = number(optarg);
		else if (c == 'l')
			to.loops = number(optarg);
		else if (c == 'k')
			o.db.shaky = number(optarg);
		else if (c == 'f')
			o.db.flush = true;
		else if (c == 'r')
			o.db.reopen = true;
		else
			return 2;
	}
	log_setup(LOG_LEVEL_WARN, false);
	if (o.db.dir) {
		o.db.back = &ptest_store;
		clock_fake(ptest_store_wall_ms);
	}
	if (team_create(&to, &o.db.team) || team_start(o.db.team)) {
		fputs("promqltest: cannot start threads\n", stderr);
		return 2;
	}
	for (int i = optind; i < argc; i++) {
		struct ptest_count n = ptest_file_run(argv[i], &o);
		printf("%s %u/%u%s\n", argv[i], n.passed, n.total, n.broken ? " BROKEN" : "");
		sum.passed += n.passed;
		sum.total += n.total;
		sum.broken = sum.broken || n.broken;
	}
	printf("total %u/%u\n", sum.passed, sum.total);
	team_stop(o.db.team);
	team_free(o.db.team);
	return sum.broken ? 2 : sum.passed != sum.total;
}
