#include "storage/manifest.h"
#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/num.h"
#include "core/base/wire.h"
#include <errno.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#define MAGIC     "KYMODIR1"
#define LOCK_NAME "LOCK"

static const char *const copies[2] = { "MANIFEST.a", "MANIFEST.b" };

void manifest_put(const struct manifest *m, uint8_t out[MANIFEST_BYTES])
{
	memset(out, 0, MANIFEST_BYTES);
	memcpy(out, MAGIC, 8);
	wire_store32(out + 8, MANIFEST_VERSION);
	wire_store32(out + 12, m->shards);
	memcpy(out + 16, m->identity, 16);
	wire_store64(out + 32, m->seed);
	wire_store64(out + 40, (uint64_t)m->created_ms);
	wire_store32(out + 60, crc32c(0, out, 60));
}

enum err manifest_get(const uint8_t in[MANIFEST_BYTES], struct manifest *out)
{
	if (memcmp(in, MAGIC, 8) != 0 || wire_load32(in + 60) != crc32c(0, in, 60))
		return ERR_DAMAGED;
	if (wire_load32(in + 8) != MANIFEST_VERSION)
		return ERR_UNSUPPORTED;
	struct manifest m = { .shards = wire_load32(in + 12),
		.seed = wire_load64(in + 32),
		.created_ms = (int64_t)wire_load64(in + 40) };
	memcpy(m.identity, in + 16, 16);
	if (!m.shards || m.shards > MANIFEST_SHARDS_MAX)
		return ERR_DAMAGED;
	*out = m;
	return 0;
}

static enum err copy_load(struct fsio_dir *d, const char *name, struct manifest *out)
{
	uint8_t *data;
	size_t len;
	enum err e = fsio_load(d, name, 4096, &data, &len);
	if (e)
		return e;
	e = len == MANIFEST_BYTES ? manifest_get(data, out) : ERR_DAMAGED;
	mem_free(data);
	return e;
}

static enum err copy_save(struct fsio_dir *d, const char *name, const struct manifest *m)
{
	uint8_t bytes[MANIFEST_BYTES];
	manifest_put(m, bytes);
	return fsio_replace(d, name, bytes, sizeof bytes);
}

static enum err entry_data(void *arg, const char *name)
{
	bool *data = arg;
	*data = *data || strcmp(name, "shards") == 0 || strcmp(name, "log") == 0;
	return 0;
}

static enum err manifest_create(
    struct fsio_dir *d, uint32_t shards, struct manifest *out, struct errbuf *eb)
{
	bool data = false;
	enum err e = fsio_dir_each(d, entry_data, &data);
	if (e)
		return errbuf_set(eb, e, "%s: cannot be read: %s", fsio_dir_path(d), err_why(e));
	if (data)
		return errbuf_set(eb, ERR_DAMAGED,
		    "%s: holds data, but neither MANIFEST.a nor MANIFEST.b", fsio_dir_path(d));
	struct manifest m = { .shards = shards, .created_ms = clock_wall_ms() };
	if (getrandom(m.identity, sizeof m.identity, 0) != (ssize_t)sizeof m.identity ||
	    getrandom(&m.seed, sizeof m.seed, 0) != (ssize_t)sizeof m.seed)
		return errbuf_set(eb, ERR_IO, "no random numbers from the kernel");
	for (unsigned i = 0; i < 2 && !e; i++)
		e = copy_save(d, copies[i], &m);
	if (e)
		return errbuf_set(
		    eb, e, "%s: MANIFEST cannot be written: %s", fsio_dir_path(d), err_why(e));
	*out = m;
	return 0;
}

static bool says_nothing(enum err e)
{
	return e && e != ERR_DAMAGED && e != ERR_NOTFOUND && e != ERR_TRUNCATED && e != ERR_TOOBIG;
}

/* The other copy is enough: a start does not fail for one that cannot be written again. */
static void copy_mend(
    struct fsio_dir *d, const char *name, const struct manifest *good, enum err e, const char *why)
{
	bool mend = !says_nothing(e) || e == ERR_IO;
	enum err w = mend ? copy_save(d, name, good) : e;
	LOG_WARN("manifest_copy", "file=%s err=\"%s\" action=\"%s\"", name, why,
	    mend ? w ? "cannot be written again" : "written again" : "left as it is");
}

enum err manifest_restored(struct fsio_dir *d, struct errbuf *eb)
{
	struct fsio_stat st;
	enum err e = fsio_stat(d, MANIFEST_RESTORING, &st);
	if (e == ERR_NOTFOUND)
		return ERR_OK;
	return e
	    ? errbuf_set(eb, e, "%s/" MANIFEST_RESTORING ": %s", fsio_dir_path(d), err_why(e))
	    : errbuf_set(eb, ERR_EXISTS,
	          "%s: a backup is being restored there, and not all of it is there yet: repeat kymoctl restore, or begin anew in an empty directory (" MANIFEST_RESTORING
	          " names the backup)",
	          fsio_dir_path(d));
}

enum err manifest_open(struct fsio_dir *d, uint32_t shards, struct manifest *out, struct errbuf *eb)
{
	struct manifest m[2];
	enum err e[2];
	char why[2][160];
	enum err half = manifest_restored(d, eb);
	if (half)
		return half;
	for (unsigned i = 0; i < 2; i++) {
		e[i] = copy_load(d, copies[i], &m[i]);
		snprintf(why[i], sizeof why[i], "%s", err_why(e[i]));
	}
	if (e[0] == ERR_NOTFOUND && e[1] == ERR_NOTFOUND)
		return manifest_create(d, shards, out, eb);
	for (unsigned i = 0; i < 2; i++)
		if (e[i] == ERR_UNSUPPORTED)
			return errbuf_set(eb, e[i],
			    "%s/%s is of a later format than this program knows (%u)",
			    fsio_dir_path(d), copies[i], MANIFEST_VERSION);
	unsigned good = e[0] ? 1 : 0;
	if (e[good]) /* what cannot be read says nothing of the copy, and may pass */
		return errbuf_set(eb, says_nothing(e[0]) ? e[0] : e[1],
		    "%s: no copy of MANIFEST can be used: %s, %s", fsio_dir_path(d), why[0], why[1]);
	if (e[1 - good])
		copy_mend(d, copies[1 - good], &m[good], e[1 - good], why[1 - good]);
	*out = m[good];
	return 0;
}

/* f is closed where it is not had. */
static enum err lock_take(struct fsio_dir *d, struct fsio_file *f, struct errbuf *eb)
{
	char text[32] = "";
	int r;
	do {
		r = flock(fsio_file_fd(f), LOCK_EX | LOCK_NB);
	} while (r && errno == EINTR);
	if (!r)
		return ERR_OK;
	if (errno != EWOULDBLOCK) { /* no locks on this file system, or none left */
		enum err e = err_of_errno(errno);
		fsio_close(f);
		return errbuf_set(
		    eb, e, "%s/%s cannot be locked: %s", fsio_dir_path(d), LOCK_NAME, err_why(e));
	}
	uint64_t size = 0;
	if (!fsio_size(f, &size) && size > 0 && size < sizeof text &&
	    fsio_read_at(f, text, (size_t)size, 0))
		text[0] = 0;
	text[strcspn(text, "\n")] = 0;
	fsio_close(f);
	return errbuf_set(eb, ERR_LOCKED, "%s is in use by process %s", fsio_dir_path(d),
	    text[0] ? text : "(unknown)");
}

enum err manifest_lock(struct fsio_dir *d, struct fsio_file **lock, struct errbuf *eb)
{
	struct fsio_file *f;
	char text[32];
	enum err e = fsio_open(d, LOCK_NAME, FSIO_CREATE, &f);
	if (e == ERR_EXISTS)
		e = fsio_open(d, LOCK_NAME, FSIO_WRITE, &f);
	if (e)
		return errbuf_set(
		    eb, e, "%s/%s cannot be opened: %s", fsio_dir_path(d), LOCK_NAME, err_why(e));
	e = lock_take(d, f, eb);
	if (e)
		return e;
	int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
	e = fsio_truncate(f, 0);
	if (!e)
		e = fsio_write_at(f, text, (size_t)len, 0);
	if (e) /* the lock is held all the same; the next one to ask does not learn by whom */
		LOG_WARN("lock_without_pid", "file=%s err=\"%s\"", LOCK_NAME, err_why(e));
	*lock = f;
	return 0;
}

enum err manifest_lock_read(struct fsio_dir *d, struct fsio_file **lock, struct errbuf *eb)
{
	struct fsio_file *f;
	*lock = NULL;
	if (fsio_open(d, LOCK_NAME, FSIO_READ, &f))
		return ERR_OK;
	enum err e = lock_take(d, f, eb);
	if (!e)
		*lock = f;
	return e;
}

void manifest_unlock(struct fsio_file *lock)
{
	if (lock)
		fsio_close(
		    lock); /* the file stays: removing it would let two processes hold two locks */
}
