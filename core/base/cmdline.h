/*
 * cmdline - the arguments of a command of ours (kymoctl, kymobench): flags as --name value or
 * --name=value, and words. One table serves parsing, --help, completion and man pages.
 *
 * Mistakes end the program with status 2 and one line that names the nearest known flag; --help
 * ends it with status 0. "--" ends the flags. "-" is a word.
 *
 * Thread: the main thread, before there are others. Memory: texts are those of argv.
 */
#ifndef CORE_BASE_CMDLINE_H
#define CORE_BASE_CMDLINE_H

#include "core/base/check.h"

#define CMDLINE_ARGS_MAX 128u
struct cmdline_arg {
	const char *name, *meta, *help; /* meta: "FILE"; of a choice "table|csv|json" */
	/* One of these is set. */
	const char **text;
	double *num; /* 0 or more */
	bool *flag;
	bool (*each)(void *arg, const char *value); /* repeatable; false: it is wrong */
	void *arg;
};
struct cmdline {
	const char *program, *command; /* "kymoctl", "query" */
	const char *words;             /* "EXPR", "SOURCE DIR", "[MATCHER...]"; NULL: none */
	const char *help;              /* a sentence or two; may be NULL */
	const char *examples;          /* lines, "  command\n      what it does\n"; may be NULL */
	const struct cmdline_arg *args;
	size_t args_count;
	/* How many words there may be; they are moved to the front of argv. */
	unsigned words_min, words_max;
};
/* The number of words, which are argv[0] to argv[n - 1] then. */
int cmdline_parse(const struct cmdline *c, int argc, char **argv);
/* Duration of a flag's text; not one: ends the program with status 2. */
double cmdline_duration_s(const char *program, const char *text, const char *name);

/*
 * How cmdline_parse goes on: CMDLINE_RUN as above. CMDLINE_SHOW: hands the table to show() and ends
 * the program with status 0, whatever the arguments are: so completion and pages are made of the
 * tables that the commands have.
 */
void cmdline_show(void (*show)(const struct cmdline *c));

#endif
