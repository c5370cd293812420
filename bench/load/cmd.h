/* cmd - the commands of kymobench: each parses its own arguments and returns the exit status. */
#ifndef BENCH_LOAD_CMD_H
#define BENCH_LOAD_CMD_H

#include "core/base/cmdline.h"

int cmd_write(int argc, char **argv);
int cmd_query(int argc, char **argv);
int cmd_recorded(int argc, char **argv);
int cmd_crash(int argc, char **argv);
int cmd_soak(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_mixed(int argc, char **argv);
int cmd_report(int argc, char **argv);

/* cmdline_parse for a command of kymobench, with its examples. */
void cmd_parse(const char *what, int argc, char **argv, const struct cmdline_arg *args, size_t count);
double cmd_duration_s(const char *text, const char *name);

#endif
