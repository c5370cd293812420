/* cmd - the commands of kymobench: each parses its own arguments and returns the exit status. */
#ifndef BENCH_LOAD_CMD_H
#define BENCH_LOAD_CMD_H

#include "core/base/check.h"

int cmd_write(int argc, char **argv);
int cmd_query(int argc, char **argv);
int cmd_recorded(int argc, char **argv);
int cmd_crash(int argc, char **argv);
int cmd_soak(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_mixed(int argc, char **argv);
int cmd_report(int argc, char **argv);

/*
 * Arguments as --name value or --name=value; unknown names name the nearest known one and end the
 * program with status 2.
 */
struct cmd_arg {
	const char *name, *meta, *help;
	const char **text; /* one of these three is set */
	double *num;
	bool *flag;
	bool (*each)(void *arg, const char *value); /* repeatable */
	void *arg;
};
void cmd_parse(const char *what, int argc, char **argv, const struct cmd_arg *args, size_t count);
double cmd_duration_s(const char *text, const char *name);

#endif
