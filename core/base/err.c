#include "core/base/err.h"

#include <stdarg.h>
#include <stdio.h>

const char *err_text(enum err e)
{
	switch (e) {
	case ERR_OK:
		return "ok";
	case ERR_BUG:
		return "bug";
	case ERR_NOMEM:
		return "no_memory";
	case ERR_IO:
		return "io";
	case ERR_NOSPACE:
		return "no_space";
	case ERR_SYNC:
		return "sync_failed";
	case ERR_DAMAGED:
		return "damaged";
	case ERR_NOTFOUND:
		return "not_found";
	case ERR_EXISTS:
		return "exists";
	case ERR_LOCKED:
		return "locked";
	case ERR_TRUNCATED:
		return "truncated";
	case ERR_MALFORMED:
		return "malformed";
	case ERR_TOOBIG:
		return "too_big";
	case ERR_UNSUPPORTED:
		return "unsupported";
	case ERR_BADDATA:
		return "bad_data";
	case ERR_EXECUTION:
		return "execution";
	case ERR_CANCELED:
		return "canceled";
	case ERR_TIMEOUT:
		return "timeout";
	case ERR_BUSY:
		return "busy";
	case ERR_READONLY:
		return "read_only";
	case ERR_STOPPING:
		return "stopping";
	case ERR_AGAIN:
		return "again";
	case ERR_LOGFAILED:
		return "log_failed";
	case ERR_NOTREADY:
		return "not_ready";
	}
	return "unknown";
}

enum err errbuf_set(struct errbuf *eb, enum err e, const char *fmt, ...)
{
	if (!eb || eb->text[0])
		return e;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(eb->text, sizeof(eb->text), fmt, ap);
	va_end(ap);
	for (char *p = eb->text; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	}
	return e;
}
