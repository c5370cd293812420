/*
 * ctl - the ground of kymoctl's commands: how they end, how they are interrupted, what they say.
 *
 * Answers go to stdout, all else to stderr: "kymoctl COMMAND: what is wrong". What servers and
 * files say is shown without what steers a terminal (net/ctl/ctlterm.h).
 * Exit status, for scripts (also in the man page):
 */
#ifndef NET_CTL_CTL_H
#define NET_CTL_CTL_H

#include "core/base/cmdline.h"
#include "core/base/err.h"

enum ctl_exit {
	CTL_OK = 0,
	CTL_NO = 1,    /* done, and the answer is no: trouble found, damage found, sides differ */
	CTL_USAGE = 2, /* flags, words, an expression */
	CTL_UNREACHABLE = 3, /* no answer from the server */
	CTL_REFUSED = 4,     /* the server refused or failed */
	CTL_DAMAGED = 5,     /* what was read is damaged or of no known form */
	CTL_INTERRUPTED = 6, /* the same command goes on where it was */
	CTL_LOCAL = 7        /* this machine: no room, no rights, no such file */
};

/*
 * A row of kymoctl's table (net/ctl/ctlcmds.def); argv without the command's name. run calls
 * cmdline_parse before it takes anything that would have to be given back: completion and the
 * manual page call it for its table alone, and leave it there.
 */
struct ctl_command {
	const char *name;
	int (*run)(int argc, char **argv); /* enum ctl_exit */
	const char *help;                  /* a line */
};
extern const struct ctl_command ctl_commands[];
extern const size_t ctl_commands_count;

/* Of the command that runs: "query". */
const char *ctl_name(void);
/* "kymoctl query: text" on stderr; returns how. */
int ctl_fail(enum ctl_exit how, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The same without an end: what the user should know. */
void ctl_note(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* CTL_LOCAL, CTL_DAMAGED, CTL_UNREACHABLE, ...: what an error of our own means. */
enum ctl_exit ctl_exit_of(enum err e);

/*
 * Has the user asked to stop (SIGINT, SIGTERM, SIGHUP unless nohup ignores it)? Long work looks at
 * it, writes its mark, and ends with CTL_INTERRUPTED. The second signal ends the program at once;
 * so does any before ctl_catch.
 */
void ctl_catch(void);
bool ctl_stopped(void);
/* Readable from the first signal on, for who waits in a poll; -1 before ctl_catch. */
int ctl_stop_fd(void);
/* What the second signal does before it ends the program; async-signal-safe. */
void ctl_at_kill(void (*fn)(void));
/* Sleeps, at most until stopped; false: stopped. */
bool ctl_sleep_ms(unsigned ms);

/* Does a word name a server, where it could be a directory, too? */
bool ctl_is_url(const char *word);

/* "1.23 M", "45.6 k"; "1.23 GB"; "3 min 05 s": into text. */
#define CTL_TEXT 32u
const char *ctl_count(double n, char text[CTL_TEXT]);
const char *ctl_bytes(double n, char text[CTL_TEXT]);
const char *ctl_time(double s, char text[CTL_TEXT]);

/*
 * Time of a flag: what the API takes (unix seconds, RFC 3339), a day ("2026-11-29", its begin in
 * UTC), "now", or before now: "-1h", "7d", "now-1h". Ends the program with CTL_USAGE when it
 * is none.
 */
int64_t ctl_time_ms(const char *text, const char *flag);

#endif
