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

int main(int argc, char **argv)
{
	const char *names[COUNT_OF(ctl_commands)];
	hold_descriptors();
	signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && !strcmp(argv[1], "--version")) {
		printf("kymoctl %s\n", PACKAGE_VERSION);
		return CTL_OK;
	}
	if (argc > 1 && (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help"))) {
		usage(stdout);
		return CTL_OK;
	}
	for (size_t i = 0; i < ctl_commands_count; i++) {
		names[i] = ctl_commands[i].name;
		if (argc > 1 && !strcmp(argv[1], names[i])) {
			ctl_running = names[i];
			int status = ctl_commands[i].run(argc - 2, argv + 2);
			if (fflush(stdout) || ferror(stdout))
				return ctl_fail(CTL_LOCAL, "the answer could not be written");
			return status;
		}
	}
	const char *near =
	    argc > 1 ? near_word(argv[1], strlen(argv[1]), names, COUNT_OF(names)) : NULL;
	if (argc > 1)
		fprintf(stderr, "kymoctl: unknown command \"%s\"%s%s%s\n", argv[1],
		    near ? ", did you mean " : "", near ? near : "", near ? "?" : "");
	usage(stderr);
	return CTL_USAGE;
}
