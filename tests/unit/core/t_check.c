#include "core/base/check.h"
#include "core/base/err.h"
#include "tests/lib/tap.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail_check(void)
{
	int two = 2;
	CHECK(two == 3);
}
static void fail_panic(void)
{
	panic("out of %s", "luck");
}
static void pass_check(void)
{
	CHECK(2 > 1);
}
static void pass_odd(void)
{
	for (int i = 0; i < 3; i++) {
		if (!ODD(i >= 0))
			_exit(1);
	}
	_exit(ODD(false) ? 1 : 0);
}

/* Runs fn in a child; its stderr goes to text. */
static int run(void (*fn)(void), char *text, size_t size)
{
	int ends[2], status = 0;
	if (pipe(ends) != 0)
		return -1;
	pid_t pid = fork();
	if (pid == 0) {
		dup2(ends[1], 2);
		fn();
		_exit(0);
	}
	close(ends[1]);
	size_t len = 0;
	ssize_t n;
	while (len < size - 1 && (n = read(ends[0], text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = 0;
	close(ends[0]);
	waitpid(pid, &status, 0);
	return status;
}

static unsigned count(const char *text, const char *word)
{
	unsigned n = 0;
	for (const char *p = text; (p = strstr(p, word)); p++)
		n++;
	return n;
}

int main(void)
{
	char text[2000];
	int st = run(fail_check, text, sizeof(text));
	tap_ok(WIFSIGNALED(st) && WTERMSIG(st) == SIGABRT, "a failed check ends the process");
	tap_ok(strstr(text, "two == 3") && strstr(text, "t_check.c") && strstr(text, "fail_check"),
	    "and says what and where");
	st = run(fail_panic, text, sizeof(text));
	tap_ok(
	    WIFSIGNALED(st) && strstr(text, "out of luck\n"), "panic ends the process with a line");
	st = run(pass_check, text, sizeof(text));
	tap_ok(st == 0 && text[0] == 0, "a check that holds is silent");
	st = run(pass_odd, text, sizeof(text));
	tap_ok(st == 0, "ODD is true when its expression is, and the process lives");
	tap_is_u64(count(text, "event=odd"), 1, "an odd place is told once");

	tap_is_str(err_text(ERR_OK), "ok", "success has a word");
	bool all = true, unique = true;
	for (int e = ERR_NOTREADY; e <= 0; e++) {
		all = all && strcmp(err_text((enum err)e), "unknown") != 0;
		for (int f = ERR_NOTREADY; f < e; f++)
			unique = unique && strcmp(err_text((enum err)e), err_text((enum err)f)) != 0;
	}
	tap_ok(all && unique, "every error has a word of its own");
	struct errbuf eb;
	errbuf_init(&eb);
	TAP_OK(errbuf_set(&eb, ERR_IO, "first %d\n\x1b", 1) == ERR_IO);
	TAP_OK(errbuf_set(&eb, ERR_BUG, "second") == ERR_BUG);
	tap_is_str(eb.text, "first 1??", "the first text stays, control characters are masked");
	TAP_OK(errbuf_set(NULL, ERR_BUSY, "nowhere") == ERR_BUSY);
	return tap_done();
}
