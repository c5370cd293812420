/*
 * forked - runs a function in a child and keeps what it said, for what ends the program; header
 * only.
 *
 * Thread: main, before there are others.
 */
#ifndef TESTS_LIB_FORKED_H
#define TESTS_LIB_FORKED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct forked {
	int status; /* of exit; -1: a signal ended it */
	char out[65536], err[65536];
};

__attribute__((unused)) static void forked_read(FILE *f, char *to, size_t size)
{
	rewind(f);
	to[fread(to, 1, size - 1, f)] = 0;
	fclose(f);
}

/* What fn returns is its status; it may exit as well. */
__attribute__((unused)) static void forked_run(struct forked *f, int (*fn)(void *arg), void *arg)
{
	FILE *out = tmpfile(), *err = tmpfile();
	int how;
	fflush(NULL);
	pid_t pid = fork();
	if (!out || !err || pid < 0)
		exit(99);
	if (!pid) {
		dup2(fileno(out), STDOUT_FILENO);
		dup2(fileno(err), STDERR_FILENO);
		int status = fn(arg);
		fflush(NULL);
		_exit(status);
	}
	if (waitpid(pid, &how, 0) != pid)
		exit(99);
	f->status = WIFEXITED(how) ? WEXITSTATUS(how) : -1;
	forked_read(out, f->out, sizeof(f->out));
	forked_read(err, f->err, sizeof(f->err));
}

#endif
