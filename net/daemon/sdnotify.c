#include "net/daemon/sdnotify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/num.h"

#define TEXT_MAX 1024 /* of a message; a status that is longer is cut */

static struct {
	int fd; /* -1: nobody to tell */
	struct sockaddr_un to;
	socklen_t to_len;
	uint64_t watchdog_us;
} who = { .fd = -1 };

static uint64_t number_in(const char *name)
{
	const char *text = getenv(name);
	uint64_t v;
	return text && !num_parse_u64(text, strlen(text), &v) ? v : 0;
}

/* $WATCHDOG_PID names another process when this one was given the variables of its parent. */
static uint64_t watchdog_of_env(void)
{
	uint64_t pid = number_in("WATCHDOG_PID");
	return pid && pid != (uint64_t)getpid() ? 0 : number_in("WATCHDOG_USEC");
}

void sdnotify_open(void)
{
	const char *at = getenv("NOTIFY_SOCKET");
	size_t len = at ? strlen(at) : 0;
	if (!len)
		return;
	if ((at[0] != '/' && at[0] != '@') || len < 2 || len >= sizeof(who.to.sun_path)) {
		LOG_WARN("service_manager", "NOTIFY_SOCKET=\"%s\" text=\"it is no unix socket\"", at);
		return;
	}
	memset(&who.to, 0, sizeof(who.to));
	who.to.sun_family = AF_UNIX;
	memcpy(who.to.sun_path, at, len);
	if (at[0] == '@')
		who.to.sun_path[0] = 0;
	/* An abstract name has no end but its length; a path ends with a byte of 0. */
	who.to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (at[0] == '/'));
	who.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (who.fd < 0) {
		LOG_WARN("service_manager", "text=\"no socket to tell it anything\"");
		return;
	}
	/* A sandbox lets what is connected already go on. */
	if (connect(who.fd, (const struct sockaddr *)&who.to, who.to_len))
		LOG_WARN("service_manager", "NOTIFY_SOCKET=\"%s\" text=\"nobody listens there\"", at);
	who.watchdog_us = watchdog_of_env();
}

void sdnotify_close(void)
{
	if (who.fd >= 0)
		close(who.fd);
	who.fd = -1;
	who.watchdog_us = 0;
}

bool sdnotify_on(void)
{
	return who.fd >= 0;
}

uint64_t sdnotify_watchdog_us(void)
{
	return who.watchdog_us;
}

static void tell(const char *text, size_t len)
{
	if (who.fd < 0 || send(who.fd, text, len, MSG_NOSIGNAL) >= 0)
		return;
	/* A manager that was started anew has a new socket in the same place. */
	if ((errno == ECONNREFUSED || errno == ENOTCONN || errno == EDESTADDRREQ) &&
	    !connect(who.fd, (const struct sockaddr *)&who.to, who.to_len))
		(void)send(who.fd, text, len, MSG_NOSIGNAL);
}

/* A line break would begin another message's line. */
static size_t without_breaks(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < ' ')
			text[i] = ' ';
	return len;
}

static void tell_with_status(const char *what, const char *fmt, va_list args)
{
	char text[TEXT_MAX];
	int begin = snprintf(text, sizeof(text), "%sSTATUS=", what);
	CHECK(begin > 0 && (size_t)begin < sizeof(text));
	int n = vsnprintf(text + begin, sizeof(text) - (size_t)begin, fmt, args);
	if (n < 0)
		return;
	size_t len = strlen(text + begin);
	tell(text, (size_t)begin + without_breaks(text + begin, len));
}

void sdnotify_ready(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	tell_with_status("READY=1\n", fmt, args);
	va_end(args);
}

void sdnotify_stopping(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	tell_with_status("STOPPING=1\n", fmt, args);
	va_end(args);
}

void sdnotify_status(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	tell_with_status("", fmt, args);
	va_end(args);
}

/* The manager compares the time with its own clock: CLOCK_MONOTONIC, whatever a test's says. */
void sdnotify_reloading(void)
{
	char text[160];
	int n = snprintf(text, sizeof(text),
	    "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=reading the configuration again",
	    clock_real_mono_ns() / 1000);
	tell(text, (size_t)n);
}

void sdnotify_watchdog(void)
{
	static const char text[] = "WATCHDOG=1";
	tell(text, sizeof(text) - 1);
}

void sdnotify_extend(uint64_t us)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "EXTEND_TIMEOUT_USEC=%" PRIu64, us);
	tell(text, (size_t)n);
}
