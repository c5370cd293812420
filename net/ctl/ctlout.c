#include "net/ctl/ctlout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "core/base/mem.h"
#include "proto/gz.h"

#define FULL       ((size_t)256 << 10)
#define GZIP_LEVEL 4
#define ZSTD_LEVEL 3

struct ctlout {
	char *path, *part;
	int fd;
	enum ctlout_pack pack;
	struct gz *gz;
	ZSTD_CCtx *zstd;
	struct buf text, packed;
	int64_t at, cut;
	uint64_t bytes;
	bool open; /* something was written behind the last cut */
	int status;
};

enum ctlout_pack ctlout_pack_of(const char *path, size_t *len)
{
	static const struct {
		const char *end;
		enum ctlout_pack pack;
	} ends[] = { { ".gz", CTLOUT_GZIP }, { ".zst", CTLOUT_ZSTD } };
	*len = strlen(path);
	for (size_t i = 0; i < COUNT_OF(ends); i++) {
		size_t n = strlen(ends[i].end);
		if (*len > n && !strcmp(path + *len - n, ends[i].end)) {
			*len -= n;
			return ends[i].pack;
		}
	}
	return CTLOUT_PLAIN;
}

static int failed(struct ctlout *o, const char *what)
{
	enum err e = err_of_errno(errno);
	o->status = ctl_fail(CTL_LOCAL, "%s: %s: %s", o->part ? o->part : "stdout", what, err_why(e));
	return o->status;
}

static int open_file(struct ctlout *o, const char *path, bool overwrite, int64_t *from)
{
	struct stat st;
	size_t len = strlen(path);
	o->path = mem_alloc(len + 1);
	memcpy(o->path, path, len + 1);
	o->part = mem_alloc(len + 6);
	snprintf(o->part, len + 6, "%s.part", path);
	if (!overwrite && !access(path, F_OK))
		return ctl_fail(CTL_LOCAL, "%s is there already (--overwrite)", path);
	o->fd = open(o->part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (o->fd < 0)
		return failed(o, "it cannot be opened");
	if (fstat(o->fd, &st))
		return failed(o, "it cannot be looked at");
	if (st.st_size < *from || !S_ISREG(st.st_mode))
		*from = 0;
	if (S_ISREG(st.st_mode) && (ftruncate(o->fd, *from) || lseek(o->fd, *from, SEEK_SET) < 0))
		return failed(o, "it cannot be cut");
	o->at = o->cut = *from;
	return CTL_OK;
}

int ctlout_open(
    const char *path, enum ctlout_pack pack, bool overwrite, int64_t *from, struct ctlout **out)
{
	struct ctlout *o = mem_zalloc(sizeof(*o));
	o->pack = pack;
	o->fd = STDOUT_FILENO;
	if (!strcmp(path, "-"))
		*from = 0;
	else
		o->status = open_file(o, path, overwrite, from);
	int status = o->status;
	if (status) {
		ctlout_close(o);
		o = NULL;
	}
	*out = o;
	return status;
}

bool ctlout_is_stdout(const struct ctlout *o)
{
	return !o->part;
}

struct buf *ctlout_buf(struct ctlout *o)
{
	return &o->text;
}

static int put(struct ctlout *o, const uint8_t *p, size_t len)
{
	while (len && !o->status) {
		ssize_t n = write(o->fd, p, len);
		if (n < 0 && errno == EINTR && !ctl_stopped())
			continue;
		if (n < 0)
			return failed(o, "it cannot be written");
		p += n;
		len -= (size_t)n;
		o->at += n;
	}
	return o->status;
}

static int broken(struct ctlout *o, const char *what)
{
	o->status = ctl_fail(CTL_LOCAL, "%s", what);
	return o->status;
}

static void pack_gzip(struct ctlout *o, bool end)
{
	if (!o->gz && gz_create(GZ_GZIP, GZIP_LEVEL, &o->gz)) {
		(void)broken(o, "no memory for gzip");
		return;
	}
	gz_push(o->gz, o->text.data, o->text.len, &o->packed);
	if (!end)
		return;
	gz_finish(o->gz, &o->packed);
	gz_free(o->gz);
	o->gz = NULL;
}

static void pack_zstd(struct ctlout *o, bool end)
{
	if (!o->zstd) {
		o->zstd = ZSTD_createCCtx();
		if (!o->zstd ||
		    ZSTD_isError(
		        ZSTD_CCtx_setParameter(o->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL)) ||
		    ZSTD_isError(ZSTD_CCtx_setParameter(o->zstd, ZSTD_c_checksumFlag, 1))) {
			(void)broken(o, "no memory for zstd");
			return;
		}
	}
	ZSTD_inBuffer in = { .src = o->text.data, .size = o->text.len };
	for (;;) {
		if (!buf_reserve(&o->packed, ZSTD_CStreamOutSize()))
			return;
		ZSTD_outBuffer to = { .dst = o->packed.data + o->packed.len,
			.size = o->packed.cap - o->packed.len };
		size_t left =
		    ZSTD_compressStream2(o->zstd, &to, &in, end ? ZSTD_e_end : ZSTD_e_continue);
		if (ZSTD_isError(left)) {
			(void)broken(o, "zstd failed");
			return;
		}
		o->packed.len += to.pos;
		if (end ? !left : in.pos == in.size)
			return;
	}
}

static int flush(struct ctlout *o, bool end)
{
	if (o->status)
		return o->status;
	o->bytes += o->text.len;
	o->open |= o->text.len > 0;
	const struct buf *b = &o->text;
	if (o->pack != CTLOUT_PLAIN) {
		b = &o->packed;
		if (o->open && o->pack == CTLOUT_GZIP)
			pack_gzip(o, end);
		else if (o->open)
			pack_zstd(o, end);
	}
	if (!o->status && b->len)
		(void)put(o, b->data, b->len);
	buf_clear(&o->text);
	buf_clear(&o->packed);
	if (end && !o->status)
		o->open = false;
	return o->status;
}

int ctlout_flush_some(struct ctlout *o)
{
	return o->text.len < FULL ? o->status : flush(o, false);
}

int ctlout_cut(struct ctlout *o)
{
	int status = flush(o, true);
	if (!status)
		o->cut = o->at;
	return status;
}

static void drop_packers(struct ctlout *o)
{
	gz_free(o->gz);
	o->gz = NULL;
	ZSTD_freeCCtx(o->zstd);
	o->zstd = NULL;
}

int ctlout_back(struct ctlout *o)
{
	if (o->status)
		return o->status;
	if (ctlout_is_stdout(o))
		return broken(o, "what is on stdout cannot be taken back: into a file it goes on");
	drop_packers(o);
	buf_clear(&o->text);
	buf_clear(&o->packed);
	o->open = false;
	if (ftruncate(o->fd, o->cut) || lseek(o->fd, o->cut, SEEK_SET) < 0)
		return failed(o, "it cannot be cut");
	o->at = o->cut;
	return CTL_OK;
}

int64_t ctlout_offset(const struct ctlout *o)
{
	return o->cut;
}

int ctlout_sync(struct ctlout *o)
{
	if (!o->status && !ctlout_is_stdout(o) && fdatasync(o->fd) && errno != EINVAL)
		return failed(o, "it cannot be synced");
	return o->status;
}

uint64_t ctlout_bytes(const struct ctlout *o)
{
	return o->bytes;
}

static int sync_dir(struct ctlout *o)
{
	char *slash = strrchr(o->path, '/');
	if (slash)
		*slash = 0;
	int fd = open(!slash       ? "."
	        : slash == o->path ? "/"
	                           : o->path,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (slash)
		*slash = '/';
	int status = fd < 0 || fsync(fd) ? failed(o, "its directory cannot be synced") : CTL_OK;
	if (fd >= 0)
		close(fd);
	return status;
}

int ctlout_finish(struct ctlout *o)
{
	int status = ctlout_cut(o);
	if (!status)
		status = ctlout_sync(o);
	if (status || ctlout_is_stdout(o))
		return status;
	if (rename(o->part, o->path))
		return failed(o, "it cannot be renamed");
	return sync_dir(o);
}

void ctlout_close(struct ctlout *o)
{
	if (!o)
		return;
	drop_packers(o);
	if (o->fd > STDERR_FILENO)
		close(o->fd);
	buf_release(&o->text);
	buf_release(&o->packed);
	mem_free(o->path);
	mem_free(o->part);
	mem_free(o);
}
