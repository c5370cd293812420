#include "proto/decoder.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/base/rune.h"

void decode_bad(struct decode *d, const char *fmt, ...)
{
	va_list args;
	if (d->bad++)
		return;
	va_start(args, fmt);
	vsnprintf(d->bad_text, sizeof(d->bad_text), fmt, args);
	va_end(args);
	d->bad_text[rune_whole(d->bad_text, strlen(d->bad_text))] = 0;
}
