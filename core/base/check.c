#include "core/base/check.h"

#include "core/base/log.h"
#include "core/base/logdrain.h"
#include "core/base/rune.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* stdio is left out on purpose: the state of the process is in doubt. */
NORETURN static void die(const char *text, int len, size_t cap)
{
	size_t n = len < 0 ? 0 : (size_t)len;
	if (n > cap - 1)
		n = cap - 1;
	logdrain_last_words(text, n);
	abort();
}

void check_failed(const char *what, const char *file, int line, const char *func)
{
	char text[1024];
	die(text,
	    snprintf(text, sizeof(text),
	        "level=error event=check_failed check=\"%s\" at=%s:%d func=%s\n", what, file, line,
	        func),
	    sizeof(text));
}

bool check_odd(const char *what, const char *file, int line, bool *said)
{
	/* A race between threads says it twice at worst. */
	if (!__atomic_exchange_n(said, true, __ATOMIC_RELAXED))
		LOG_ERROR("odd", "check=\"%s\" at=%s:%d", what, file, line);
	return true;
}

void panic(const char *fmt, ...)
{
	char text[1024];
	const size_t head = sizeof("level=error event=panic ") - 1;
	int n = snprintf(text, sizeof(text), "level=error event=panic ");
	if (n < 0)
		abort();
	va_list ap;
	va_start(ap, fmt);
	size_t len = head + rune_vprintf(text + head, sizeof(text) - head - 1, fmt, ap);
	va_end(ap);
	text[len++] = '\n';
	die(text, (int)len, sizeof(text));
}
