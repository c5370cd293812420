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
		return errbuf_set(eb, e, "%s: cannot be read", fsio_dir_path(d));
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
		return errbuf_set(eb, e, "%s: MANIFEST cannot be written", fsio_dir_path(d));
	*out = m;
	return 0;
}

enum err manifest_open(struct fsio_dir *d, uint32_t shards, struct manifest *out, struct errbuf *eb)
{
	struct manifest m[2];
	enum err e[2];
	for (unsigned i = 0; i < 2; i++)
		e[i] = copy_load(d, copies[i], &m[i]);
	if (e[0] == ERR_NOTFOUND && e[1] == ERR_NOTFOUND)
		return manifest_create(d, shards, out, eb);
	unsigned good = e[0] ? 1 : 0;
	if (e[good])
		return errbuf_set(eb,
		    e[0] == ERR_UNSUPPORTED || e[1] == ERR_UNSUPPORTED ? ERR_UNSUPPORTED : ERR_DAMAGED,
		    "%s: no copy of MANIFEST can be used: %s, %s", fsio_dir_path(d), err_text(e[0]),
		    err_text(e[1]));
	if (e[1 - good]) {
		LOG_WARN("manifest_copy", "file=%s err=%s action=\"written again\"",
		    copies[1 - good], err_text(e[1 - good]));
		enum err w = copy_save(d, copies[1 - good], &m[good]);
		if (w)
			return errbuf_set(
			    eb, w, "%s: %s cannot be written", fsio_dir_path(d), copies[1 - good]);
	}
	*out = m[good];
	return 0;
}

enum err manifest_lock(struct fsio_dir *d, struct fsio_file **lock, struct errbuf *eb)
{
	struct fsio_file *f;
	enum err e = fsio_open(d, LOCK_NAME, FSIO_CREATE, &f);
	if (e == ERR_EXISTS || e == ERR_IO)
		e = fsio_open(d, LOCK_NAME, FSIO_WRITE, &f);
	if (e)
		return errbuf_set(eb, e, "%s/%s cannot be opened: %s", fsio_dir_path(d), LOCK_NAME,
		    strerrordesc_np(errno));
	char text[32] = "";
	if (flock(fsio_file_fd(f), LOCK_EX | LOCK_NB) != 0) {
		uint64_t size = 0;
		if (!fsio_size(f, &size) && size > 0 && size < sizeof text &&
		    fsio_read_at(f, text, (size_t)size, 0))
			text[0] = 0;
		text[strcspn(text, "\n")] = 0;
		fsio_close(f);
		return errbuf_set(eb, ERR_LOCKED, "%s is in use by process %s", fsio_dir_path(d),
		    text[0] ? text : "(unknown)");
	}
	int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
	e = fsio_truncate(f, 0);
	if (!e)
		e = fsio_write_at(f, text, (size_t)len, 0);
	if (e) {
		fsio_close(f);
		return errbuf_set(eb, e, "%s/%s cannot be written", fsio_dir_path(d), LOCK_NAME);
	}
	*lock = f;
	return 0;
}

void manifest_unlock(struct fsio_file *lock)
{
	if (lock)
		fsio_close(
		    lock); /* the file stays: removing it would let two processes hold two locks */
}
