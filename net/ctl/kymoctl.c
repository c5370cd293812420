/*
 * kymoctl - the tool for every day: each command is a row of net/ctl/ctlcmds.def.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/near.h"
#include "net/ctl/ctl.h"
#include "net/ctl/ctlcmds.h"

/* clang-format off */
#define CTL_COMMAND(name, function, help) { name, function, help },
const struct ctl_command ctl_commands[] = {
#include "net/ctl/ctlcmds.def"
};
#undef CTL_COMMAND
/* clang-format on */
const size_t ctl_commands_count = COUNT_OF(ctl_commands);
extern const char *ctl_running;

static void usage(FILE *to)
{
	fprintf(to, "usage: kymoctl COMMAND [flags] [words], each with --help\n");
	for (size_t i = 0; i < ctl_commands_count; i++)
		fprintf(to, "  %-12s %s\n", ctl_commands[i].name, ctl_commands[i].help);
	fprintf(to,
	    "exit status: 0 done, 1 done and the answer is no, 2 usage, 3 no server, 4 the server "
	    "refused,\n  5 damaged data, 6 interrupted (the same command goes on), 7 this machine\n");
}

/*
 * Of the first three descriptors those that are closed: what is opened next would get their number,
 * and an answer would be written into it. Reading and writing fails there.
 */
static void hold_descriptors(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
		    open("/dev/null", fd ? O_RDONLY : O_WRONLY) < 0)
			_exit(CTL_LOCAL);
}

/* What promtool, vmctl, mimirtool and amtool call it, and who asks for what is no command here. */
static const char *const foreign[][2] = {
	{ "alert", "of rules and alerts Prometheus or vmalert have the tools" },
	{ "analyze", "kymoctl cardinality of a server, kymoctl inspect of a directory" },
	{ "check", "kymoctl check-config FILE" },
	{ "config", "kymoctl check-config FILE" },
	{ "clean-tombstones", "kymoctl delete --clean" },
	{ "delete-series", "kymoctl delete SELECTOR" },
	{ "dump", "kymoctl export" },
	{ "instant", "kymoctl query EXPR" },
	{ "list", "kymoctl backup list REPO" },
	{ "prometheus", "kymoctl import DIRECTORY, or kymoctl migrate --from prometheus URL" },
	{ "prune", "kymoctl backup prune REPO --keep N" },
	{ "push", "kymoctl import FILE" },
	{ "range", "kymoctl query --start 1h EXPR" },
	{ "remote-read", "kymoctl migrate --from prometheus URL" },
	{ "rules", "of rules and alerts Prometheus or vmalert have the tools" },
	{ "tsdb",
	    "kymoctl inspect (analyze), export (dump), import (create-blocks-from, a directory)" },
	{ "vm-native", "kymoctl migrate --from victoriametrics URL" },
};

static int unknown(const char *word)
{
	const char *names[COUNT_OF(ctl_commands)];
	for (size_t i = 0; i < ctl_commands_count; i++)
		names[i] = ctl_commands[i].name;
	for (size_t i = 0; i < COUNT_OF(foreign); i++)
		if (!strcmp(word, foreign[i][0]))
			return ctl_fail(
			    CTL_USAGE, "no command \"%s\"; here: %s", word, foreign[i][1]);
	if (*word == '-')
		return ctl_fail(
		    CTL_USAGE, "\"%s\": the command stands before its flags, see --help", word);
	const char *near = near_word(word, strlen(word), names, COUNT_OF(names));
	return ctl_fail(CTL_USAGE, "unknown command \"%s\"%s%s%s", word,
	    near ? ", did you mean " : ", see --help", near ? near : "", near ? "?" : "");
}

static bool is_one_of(const char *word, const char *a, const char *b, const char *c)
{
	return !strcmp(word, a) || !strcmp(word, b) || !strcmp(word, c);
}

int main(int argc, char **argv)
{
	static char help[] = "--help";
	hold_descriptors();
	signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && is_one_of(argv[1], "--version", "version", "-v")) {
		printf("kymoctl %s\n", PACKAGE_VERSION);
		return CTL_OK;
	}
	if (argc == 2 && is_one_of(argv[1], "--help", "help", "-h")) {
		usage(stdout);
		return CTL_OK;
	}
	/* help COMMAND is COMMAND --help */
	if (argc > 2 && is_one_of(argv[1], "help", "--help", "-h")) {
		argv[1] = argv[2];
		argc = 3;
		argv[2] = help;
	}
	for (size_t i = 0; i < ctl_commands_count; i++) {
		if (argc > 1 && !strcmp(argv[1], ctl_commands[i].name)) {
			ctl_running = ctl_commands[i].name;
			int status = ctl_commands[i].run(argc - 2, argv + 2);
			if (fflush(stdout) || ferror(stdout))
				return ctl_fail(CTL_LOCAL, "the answer could not be written");
			return status;
		}
	}
	if (argc > 1)
		return unknown(argv[1]);
	usage(stderr);
	return CTL_USAGE;
}
