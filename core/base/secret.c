#include "core/base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fsio.h"
#include "core/base/mem.h"

struct secret {
	uint8_t *bytes; /* of sodium_malloc; NULL: forgotten */
	size_t len;
};

/* NULL: there is no memory, or there are no mappings of it. */
static struct secret *secret_room(size_t len)
{
	if (sodium_init() < 0)
		panic("libsodium cannot begin");
	struct secret *s = mem_zalloc(sizeof(*s));
	s->bytes = sodium_malloc(len + 1);
	if (!s->bytes) {
		mem_free(s);
		return NULL;
	}
	s->len = len;
	s->bytes[len] = 0;
	return s;
}

struct secret *secret_make(const void *bytes, size_t len)
{
	struct secret *s = secret_room(len);
	if (!s)
		panic("no memory for a secret");
	if (len)
		memcpy(s->bytes, bytes, len);
	return s;
}

void secret_forget(struct secret *s)
{
	if (!s)
		return;
	sodium_free(s->bytes); /* wipes it */
	s->bytes = NULL;
	s->len = 0;
}

void secret_free(struct secret *s)
{
	secret_forget(s);
	mem_free(s);
}

const uint8_t *secret_bytes(const struct secret *s, size_t *len)
{
	*len = s->len;
	return s->bytes ? s->bytes : (const uint8_t *)"";
}

bool secret_same(const struct secret *a, const struct secret *b)
{
	return a && b && a->bytes && b->bytes && a->len == b->len &&
	    !sodium_memcmp(a->bytes, b->bytes, a->len);
}

/* ---- from a file ---- */

static enum err look_at(const char *path, const struct stat *st, struct errbuf *eb)
{
	if (!S_ISREG(st->st_mode))
		return errbuf_set(eb, ERR_BADDATA, "%s is not a plain file", path);
	if (st->st_mode & S_IRWXO)
		return errbuf_set(eb, ERR_ACCESS,
		    "%s holds a secret, and others may read or change it (mode %04o): chmod o-rwx, or "
		    "where it is mounted (a Kubernetes or Docker secret) mode 0440",
		    path, (unsigned)(st->st_mode & 07777));
	if (st->st_size > (off_t)SECRET_MAX)
		return errbuf_set(eb, ERR_TOOBIG, "%s is larger than %u bytes", path, SECRET_MAX);
	return ERR_OK;
}

static size_t without_line_end(const uint8_t *bytes, size_t len)
{
	if (len && bytes[len - 1] == '\n')
		len--;
	if (len && bytes[len - 1] == '\r')
		len--;
	return len;
}

static enum err read_open(int fd, const char *path, struct secret **out, struct errbuf *eb)
{
	struct stat st;
	if (fstat(fd, &st))
		return errbuf_set(eb, ERR_IO, "%s: %s", path, err_why(err_of_errno(errno)));
	enum err e = look_at(path, &st, eb);
	if (e)
		return e;
	struct secret *s = secret_room((size_t)st.st_size);
	if (!s)
		return errbuf_set(eb, ERR_NOMEM,
		    "%s: no memory that is locked and guarded: a process has a number of mappings (vm.max_map_count)",
		    path);
	e = fsio_read_fd(fd, s->bytes, s->len, &s->len);
	if (e) {
		secret_free(s);
		return errbuf_set(eb, e, "%s: %s", path, err_why(e));
	}
	s->len = without_line_end(s->bytes, s->len);
	s->bytes[s->len] = 0;
	if (!s->len) {
		secret_free(s);
		return errbuf_set(eb, ERR_BADDATA, "%s is empty: a secret is needed", path);
	}
	*out = s;
	return ERR_OK;
}

enum err secret_read(const char *path, struct secret **out, struct errbuf *eb)
{
	/* Not to wait for who writes into a pipe. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		enum err e = err_of_errno(errno);
		return errbuf_set(eb, e, "%s: %s", path, err_why(e));
	}
	enum err e = read_open(fd, path, out, eb);
	close(fd);
	return e;
}
