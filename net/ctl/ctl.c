#include "net/ctl/ctl.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/num.h"
#include "net/ctl/ctlterm.h"

static volatile sig_atomic_t stopped;
const char *ctl_running = "";

const char *ctl_name(void)
{
	return ctl_running;
}

static void say(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));
static void say(const char *fmt, va_list ap)
{
	struct buf shown;
	char *text = NULL;
	if (vasprintf(&text, fmt, ap) < 0)
		return;
	buf_init(&shown);
	for (const char *at = text; *at;) {
		size_t line = strcspn(at, "\n");
		ctlterm_text(&shown, at, line);
		at += line;
		if (*at) {
			buf_add_u8(&shown, '\n');
			at++;
		}
	}
	fflush(stdout);
	fprintf(stderr, "%skymoctl%s%s: %.*s\n", isatty(STDERR_FILENO) ? "\r\033[K" : "",
	    *ctl_running ? " " : "", ctl_running, (int)shown.len, (const char *)shown.data);
	buf_release(&shown);
	free(text);
}

int ctl_fail(enum ctl_exit how, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	return (int)how;
}

void ctl_note(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}

enum ctl_exit ctl_exit_of(enum err e)
{
	if (!e)
		return CTL_OK;
	if (e == ERR_DAMAGED || e == ERR_TRUNCATED || e == ERR_MALFORMED || e == ERR_UNSUPPORTED)
		return CTL_DAMAGED;
	if (e == ERR_BADDATA)
		return CTL_USAGE;
	if (e == ERR_TIMEOUT)
		return CTL_UNREACHABLE;
	return e == ERR_CANCELED || e == ERR_STOPPING ? CTL_INTERRUPTED : CTL_LOCAL;
}

static int stop_fd = -1;
static void (*at_kill)(void);

static void on_signal(int signo)
{
	int keep = errno;
	(void)signo;
	if (stopped) {
		if (at_kill)
			at_kill();
		_exit(CTL_INTERRUPTED);
	}
	stopped = 1;
	uint64_t one = 1;
	if (stop_fd >= 0 && write(stop_fd, &one, sizeof(one)) < 0)
		errno = keep;
	errno = keep;
}

int ctl_stop_fd(void)
{
	return stop_fd;
}

void ctl_at_kill(void (*fn)(void))
{
	at_kill = fn;
}

void ctl_catch(void)
{
	struct sigaction sa = { .sa_handler = on_signal }, was;
	if (stop_fd < 0)
		stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	if (!sigaction(SIGHUP, NULL, &was) && was.sa_handler != SIG_IGN)
		sigaction(SIGHUP, &sa, NULL);
}

bool ctl_stopped(void)
{
	return stopped != 0;
}

bool ctl_sleep_ms(unsigned ms)
{
	uint64_t end = clock_real_mono_ns() + (uint64_t)ms * 1000000;
	while (!stopped) {
		uint64_t now = clock_real_mono_ns();
		if (now >= end)
			return true;
		uint64_t left = end - now < 100000000 ? end - now : 100000000;
		nanosleep(&(struct timespec){ 0, (long)left }, NULL);
	}
	return false;
}

bool ctl_is_url(const char *word)
{
	return strncmp(word, "http://", 7) == 0 || strncmp(word, "https://", 8) == 0;
}

static const char *scaled(double n, const char *end, char *text)
{
	static const char *const units[] = { "", "k", "M", "G", "T", "P" };
	unsigned k = 0;
	while (n >= 999.5 && k + 1 < COUNT_OF(units)) {
		n /= 1000;
		k++;
	}
	int digits = n >= 99.95 || (!k && n == floor(n)) ? 0 : n >= 9.995 ? 1 : 2;
	snprintf(
	    text, CTL_TEXT, "%.*f%s%s%s", digits, n, *units[k] || *end ? " " : "", units[k], end);
	return text;
}

const char *ctl_count(double n, char text[CTL_TEXT])
{
	return scaled(n, "", text);
}

const char *ctl_bytes(double n, char text[CTL_TEXT])
{
	return scaled(n, "B", text);
}

const char *ctl_time(double s, char text[CTL_TEXT])
{
	unsigned long whole = s > 0 ? (unsigned long)(fmin(s, 1e15) + 0.5) : 0;
	if (s < 59.95)
		snprintf(text, CTL_TEXT, "%.1f s", s > 0 ? s : 0);
	else if (whole < 3600)
		snprintf(text, CTL_TEXT, "%lu min %02lu s", whole / 60, whole % 60);
	else
		snprintf(text, CTL_TEXT, "%lu h %02lu min", whole / 3600, whole / 60 % 60);
	return text;
}

int64_t ctl_time_ms(const char *text, const char *flag)
{
	int64_t ms;
	char whole[32];
	size_t skip = text[0] == '-' ? 1 : strncmp(text, "now-", 4) ? 0 : 4;
	if (!strcmp(text, "now"))
		return clock_wall_ms();
	if (!num_parse_time(text, strlen(text), &ms))
		return ms;
	snprintf(whole, sizeof(whole), "%.10sT00:00:00Z", text);
	if (strlen(text) == 10 && text[4] == '-' && !num_parse_time(whole, strlen(whole), &ms))
		return ms;
	if (!num_parse_duration(text + skip, strlen(text) - skip, &ms))
		return num_sat_sub(clock_wall_ms(), ms);
	ctl_note("--%s: \"%s\" is no time: unix seconds, RFC 3339 (2026-11-29T08:00:00Z), a day in "
	         "UTC (2026-11-29), now, or so long ago: 1h, 7d",
	    flag, text);
	exit(CTL_USAGE);
}
