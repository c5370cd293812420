/*
 * kymobench - load and measure: each command is a row of the table below, with its examples.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/cmd.h"
#include "core/base/near.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
	const char *examples; /* a line each, for --help */
} cmds[] = {
	{ "write", cmd_write, "replay Remote Write traffic, print one JSON line",
	    "  kymobench write --series 100000 --rounds 200 --pid \"$(pidof -s kymod)\"\n"
	    "      as fast as it goes; samples per CPU-second of the server\n"
	    "  kymobench write --series 100000 --rounds 20 --pace 15s\n"
	    "      as scrapers send: each body at its place in the round of 15 s\n" },
	{ "query", cmd_query, "time a file of queries against servers, compare their answers",
	    "  kymobench query --file bench/load/dashboard.txt --peer http://127.0.0.1:8428\n"
	    "      medians of both, and whether their answers are equal\n" },
	{ "soak", cmd_soak, "hours of paced writing and asking: does anything grow?",
	    "  kymobench soak --hours 8 --series 100000 --pid \"$(pidof -s kymod)\" --data-dir ./data\n"
	    "      a JSON line a minute, the last one with slopes of memory and latencies\n"
	    "  kymobench soak --duration 30m --every 10s --workload prometheus-benchmark --targets 100\n"
	    "      with its churn\n" },
	{ "crash", cmd_crash, "kill a server under load, again and again: what of it is lost?",
	    "  kymobench crash --server build/kymod --kills 30\n"
	    "      starts it, kills it 30 times, reads every acknowledged sample back\n"
	    "  kymobench crash --server victoria-metrics --kills 10 --uptime 5\n"
	    "      what another server loses\n"
	    "  kymobench crash --server build/kymod -- --loops 2 --wal.sync=commit\n"
	    "      flags of the server stand behind --\n" },
	{ "recorded", cmd_recorded, "bytes on disk of recorded metrics, beside a peer's",
	    "  kymobench recorded --dir ./data --replay scrapes.prom.xz\n"
	    "      bytes a sample of recorded scrapes, by the forms of the codec\n" },
	{ "compare", cmd_compare, "start servers side by side, tell how they stand to each other",
	    "  kymobench compare --quick\n"
	    "      kymod beside each server on PATH, 100,000 series, three minutes\n"
	    "  kymobench compare --full --out all.json\n"
	    "      also 1,000,000 series, at most an hour; then: kymobench report all.json --html all.html\n"
	    "  kymobench compare --peer vm=/opt/victoria-metrics-prod --only write,query\n"
	    "      beside this one alone, and less of it\n"
	    "  kymobench compare --server new=build/kymod --peer old=/usr/bin/kymod\n"
	    "      two builds\n"
	    "  kymobench compare --peer \"mimir=/opt/mimir -config.file=m.yml -server.http-listen-port={port}\"\n"
	    "      a server by its command line, with {port} and {dir} filled in\n" },
	{ "mixed", cmd_mixed, "writes with dashboards beside them, and each alone",
	    "  kymobench mixed --alone --full-speed --clients 8\n"
	    "      kymod without peers: writes at full speed, 8 clients that ask without a pause\n"
	    "  kymobench mixed --pace-rate 100000 --peer vm=victoria-metrics --out mixed.json\n"
	    "      at a pace, beside a peer\n" },
	{ "report", cmd_report, "a page of results: HTML with charts, Markdown",
	    "  kymobench report results.json --html page.html --md -\n"
	    "      one page that fetches nothing, and the same as Markdown\n"
	    "  kymobench report results.json --table -\n"
	    "      only the table, as bench/README.md has it\n" },
};

void cmd_parse(const char *what, int argc, char **argv, const struct cmdline_arg *args, size_t count)
{
	struct cmdline c = {
		.program = "kymobench", .command = what, .args = args, .args_count = count
	};
	for (size_t i = 0; i < COUNT_OF(cmds); i++)
		if (!strcmp(cmds[i].name, what))
			c.examples = cmds[i].examples;
	cmdline_parse(&c, argc, argv);
}

double cmd_duration_s(const char *text, const char *name)
{
	return cmdline_duration_s("kymobench", text, name);
}

int main(int argc, char **argv)
{
	const char *names[COUNT_OF(cmds)];
	for (size_t i = 0; i < COUNT_OF(cmds); i++) {
		names[i] = cmds[i].name;
		if (argc > 1 && !strcmp(argv[1], cmds[i].name))
			return cmds[i].run(argc - 2, argv + 2);
	}
	bool help = argc > 1 && (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help"));
	const char *near =
	    argc > 1 && !help ? near_word(argv[1], strlen(argv[1]), names, COUNT_OF(names)) : NULL;
	if (argc > 1 && !help)
		fprintf(stderr, "kymobench: unknown command \"%s\"%s%s%s\n", argv[1],
		    near ? ", did you mean " : "", near ? near : "", near ? "?" : "");
	printf("usage: kymobench COMMAND [flags], each with --help\n");
	for (size_t i = 0; i < COUNT_OF(cmds); i++)
		printf("  %-8s %s\n", cmds[i].name, cmds[i].help);
	return help ? 0 : 2;
}
