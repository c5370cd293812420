/*
 * kymobench compare - kymod beside other servers, each started here under equal conditions
 * (bench/load/rig.h), with paired rounds in turning order; a table for people, JSON for programs
 * and for "kymobench report". Status 1: something failed, or is not there again.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/stages.h"
#include "bench/load/table.h"
#include "core/base/clock.h"
#include "core/base/num.h"

#define SIZES_MAX 8

struct sizes {
	uint64_t list[SIZES_MAX];
	unsigned count;
};

static bool add_size(void *arg, const char *value)
{
	struct sizes *s = arg;
	char *end;
	double n = strtod(value, &end);
	if (s->count == SIZES_MAX || *end || !(n >= 1) || n > 1e9)
		return false;
	s->list[s->count++] = (uint64_t)n;
	return true;
}

/* What --quick and --full mean; a value of the command line, which is not 0, stays. */
static void choose(double *value, bool quick, bool full, double a, double b, double c)
{
	if (*value <= 0)
		*value = quick ? a : full ? c : b;
}

/* How many rounds of data all stages of one size can write. */
static double rounds_at_most(const struct stages *s, uint64_t series)
{
	double pace = fmax(1, round(s->pace_s / ((double)series / s->pace_rate)));
	return 1 + 3 * s->pairs * s->rounds + 2 * pace + fmax(4, ceil(20e6 / (double)series));
}

/* Wanted at this size, and there is time left; that there was none stands in the results. */
static bool may(struct stages *s, const char *stage, bool here)
{
	struct rig *r = &s->rig;
	if (!here || child_stopped() || !stages_wants(s, stage))
		return false;
	if (rig_may(r, 0, 1))
		return true;
	results_problem(r->root, "%s, %llu series: left out for want of time (--limit %.0fs)",
	    stage, (unsigned long long)s->series, r->limit_s);
	return false;
}

/* All stages, on fresh servers with this many series. */
static void run_size(struct stages *s, uint64_t series, bool first)
{
	struct rig *r = &s->rig;
	s->series = series;
	s->first_size = first;
	memset(s->lacks, 0, sizeof(s->lacks));
	r->round = 0;
	/* The last sample is some minutes old at the end: nobody calls it too new or unripe. */
	r->start_ms =
	    clock_wall_ms() / 1000 * 1000 - (int64_t)(rounds_at_most(s, series) + 20) * RIG_STEP_MS;
	rig_start_all(r);
	if (!child_stopped())
		stages_create(s);
	if (may(s, "write", true))
		stages_write(s);
	if (may(s, "paced", first))
		stages_paced(s);
	if (!child_stopped())
		stages_memory(s, "after writing");
	if (may(s, "disk", true)) {
		stages_disk(s);
		stages_memory(s, "after the flush");
	}
	if (may(s, "query", first))
		stages_query(s);
	if (may(s, "restart", true))
		stages_restart(s);
	if (may(s, "crash", first))
		stages_crash(s);
	rig_stop_all(r);
}

static int finish(struct stages *s, const char *out)
{
	struct rig *r = &s->rig;
	struct errbuf eb;
	errbuf_init(&eb);
	rig_say_end();
	bool stopped = rig_stopped(r);
	rig_tell_servers(r);
	results_close(r->root, rig_elapsed_s(r));
	table_print(r->root, stdout);
	if (out && results_save(r->root, out, &eb)) {
		fprintf(stderr, "kymobench compare: %s\n", eb.text);
		r->failed = true;
	}
	bool failed = r->failed;
	rig_release(r);
	return stopped ? 130 : failed ? 1 : 0;
}

int cmd_compare(int argc, char **argv)
{
	static struct stages s = {
		.rig = { .command = "compare", .batch = 2000, .connections = 4, .settle_s = 30 }
	};
	struct sizes sizes = { .count = 0 };
	const char *out = NULL, *queries = NULL, *limit = NULL;
	bool quick = false, full = false;
	const struct cmdline_arg args[] = {
		RIG_ARGS(s.rig),
		{ .name = "quick", .help = "within three minutes", .flag = &quick },
		{ .name = "full", .help = "with 1,000,000 series, too; within an hour", .flag = &full },
		{ .name = "limit",
		    .meta = "DURATION",
		    .help = "leave out what does not fit into it (15m; --quick 3m, --full 1h)",
		    .text = &limit },
		{ .name = "out", .meta = "FILE", .help = "results as JSON; - is stdout", .text = &out },
		{ .name = "only",
		    .meta = "LIST",
		    .help = "of write,paced,disk,query,restart,crash (all)",
		    .text = &s.only },
		{ .name = "series",
		    .meta = "N",
		    .help = "series, may be repeated for several sizes (100000)",
		    .each = add_size,
		    .arg = &sizes },
		{ .name = "pairs",
		    .meta = "N",
		    .help = "rounds of each write (5, --quick 2)",
		    .num = &s.pairs },
		{ .name = "rounds",
		    .meta = "N",
		    .help = "samples of each series in such a round (20)",
		    .num = &s.rounds },
		{ .name = "pace-rate",
		    .meta = "N",
		    .help = "samples per second of the paced load (100000)",
		    .num = &s.pace_rate },
		{ .name = "pace-s",
		    .meta = "S",
		    .help = "seconds of the paced load (20, --quick 6)",
		    .num = &s.pace_s },
		{ .name = "queries",
		    .meta = "FILE",
		    .help = "queries to ask, as kymobench query reads them (a dashboard of 7)",
		    .text = &queries },
		{ .name = "query-rounds",
		    .meta = "N",
		    .help = "times each query runs (7, --quick 3)",
		    .num = &s.query_rounds },
		{ .name = "restarts",
		    .meta = "N",
		    .help = "times each restarts (3, --quick 1)",
		    .num = &s.restarts },
		{ .name = "crash-s",
		    .meta = "S",
		    .help = "seconds of load before kill -9 (5, --quick 3)",
		    .num = &s.crash_s },
	};
	struct errbuf eb;
	errbuf_init(&eb);
	cmd_parse("compare", argc, argv, args, COUNT_OF(args));
	if (!stages_known(s.only, &eb)) {
		fprintf(stderr, "kymobench compare: %s\n", eb.text);
		return 2;
	}
	if (!sizes.count) {
		add_size(&sizes, "100000");
		if (full)
			add_size(&sizes, "1000000");
	}
	choose(&s.pairs, quick, full, 2, 5, 5);
	choose(&s.rounds, quick, full, 20, 20, 20);
	choose(&s.pace_rate, quick, full, 1e5, 1e5, 1e5);
	choose(&s.pace_s, quick, full, 6, 20, 30);
	choose(&s.query_rounds, quick, full, 3, 7, 7);
	choose(&s.restarts, quick, full, 1, 3, 3);
	choose(&s.crash_s, quick, full, 3, 5, 8);
	s.rig.series = (double)sizes.list[0];
	s.rig.limit_s = limit ? cmd_duration_s(limit, "limit") : quick ? 180 : full ? 3600 : 900;
	if (queries)
		snprintf(s.rig.queries, sizeof(s.rig.queries), "%s", queries);
	if (!results_writable(out, &eb) || rig_open(&s.rig, argc, argv, &eb)) {
		fprintf(stderr, "kymobench compare: %s\n", eb.text);
		child_clean();
		return 2;
	}
	for (unsigned i = 0; i < sizes.count && !child_stopped(); i++)
		run_size(&s, sizes.list[i], i == 0);
	return finish(&s, out);
}
