#ifndef _GNU_SOURCE
# define _GNU_SOURCE /* strerrorname_np */
#endif
#include "core/base/err.h"

#include "core/base/rune.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static _Thread_local struct {
	enum err err;
	int errnum;
	char text[160];
} noted;

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
	case ERR_NOFILES:
		return "too_many_open_files";
	case ERR_ACCESS:
		return "no_access";
	}
	return "unknown";
}

static enum err code_of(int errnum)
{
	switch (errnum) {
	case ENOENT:
		return ERR_NOTFOUND;
	case EEXIST:
		return ERR_EXISTS;
	case ENOSPC:
	case EDQUOT:
		return ERR_NOSPACE;
	case EMFILE:
	case ENFILE:
		return ERR_NOFILES;
	case ENOMEM:
		return ERR_NOMEM;
	case EACCES:
	case EPERM:
	case EROFS:
		return ERR_ACCESS;
	case EAGAIN:
		return ERR_AGAIN;
	default:
		return ERR_IO;
	}
}

enum err err_note(enum err e, int errnum)
{
	noted.err = e;
	noted.errnum = errnum;
	return e;
}

enum err err_of_errno(int errnum)
{
	return err_note(code_of(errnum), errnum);
}

const char *err_why(enum err e)
{
	const char *name, *words;
	if (!e || noted.err != e || !(name = strerrorname_np(noted.errnum)) ||
	    !(words = strerrordesc_np(noted.errnum)))
		return err_text(e);
	size_t cap = sizeof(noted.text), n;
	n = (size_t)snprintf(
	    noted.text, cap, "%c%s (%s)", tolower((unsigned char)words[0]), words + 1, name);
	struct rlimit files;
	if (noted.errnum == EMFILE && !getrlimit(RLIMIT_NOFILE, &files) && n < cap)
		snprintf(
		    noted.text + n, cap - n, ": %llu allowed", (unsigned long long)files.rlim_cur);
	return noted.text;
}

enum err err_own(enum err e)
{
	switch ((int)e) {
	case ERR_NOTFOUND:
	case ERR_EXISTS:
	case ERR_TRUNCATED:
	case ERR_MALFORMED:
	case ERR_TOOBIG:
	case ERR_UNSUPPORTED:
	case ERR_BADDATA:
		return ERR_IO;
	default:
		return e;
	}
}

enum err errbuf_set(struct errbuf *eb, enum err e, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	errbuf_vset(eb, e, fmt, ap);
	va_end(ap);
	return e;
}

enum err errbuf_vset(struct errbuf *eb, enum err e, const char *fmt, va_list ap)
{
	if (!eb || eb->text[0])
		return e;
	rune_vprintf(eb->text, sizeof(eb->text), fmt, ap);
	for (char *p = eb->text; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	}
	return e;
}
