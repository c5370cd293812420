#include "bench/load/bytesum.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_MAX_HERE 4096

/* Bytes of a file, or of all files below a folder; one with holes counts what it occupies. */
static uint64_t size_of(const char *path)
{
	struct stat st;
	if (lstat(path, &st))
		return 0;
	if (!S_ISDIR(st.st_mode)) {
		uint64_t size = (uint64_t)st.st_size, used = (uint64_t)st.st_blocks * 512;
		return used < size ? used : size;
	}
	DIR *d = opendir(path);
	uint64_t sum = 0;
	for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
		char below[PATH_MAX_HERE];
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (snprintf(below, sizeof(below), "%s/%s", path, e->d_name) < (int)sizeof(below))
			sum += size_of(below);
	}
	if (d)
		closedir(d);
	return sum;
}

static uint64_t size_in(const char *dir, const char *name)
{
	char path[PATH_MAX_HERE];
	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return 0;
	return size_of(path);
}

enum err bytesum_peer(const char *dir, struct bytesum *out, struct errbuf *eb)
{
	*out = (struct bytesum){ .data = size_in(dir, "data"), .index = size_in(dir, "indexdb") };
	/* where indexdb stands below data it is index */
	uint64_t inner = size_in(dir, "data/indexdb");
	out->index += inner;
	out->data -= inner;
	if (out->data + out->index == 0)
		return errbuf_set(eb, ERR_NOTFOUND, "%s: no folder data or indexdb there", dir);
	out->other = size_of(dir) - out->data - out->index;
	return ERR_OK;
}

/* ---- kymod ---- */

static enum err unit_add(
    struct cfile *f, const struct cfile_extent *ext, struct bytesum *out, struct errbuf *eb)
{
	struct cfile_unit u;
	struct buf bytes;
	cfile_unit_init(&u);
	buf_init(&bytes);
	enum err e = buf_reserve(&bytes, ext->len) ? cfile_read(f, bytes.data, ext->len, ext->off)
	                                           : ERR_NOMEM;
	if (!e)
		e = cfile_unit_open(&u, f, ext, bytes.data, eb);
	for (uint32_t i = 0; i < u.entries && !e; i++) {
		const struct cfile_entry *one = cfile_unit_entry(&u, i);
		e = chunk_forms_add(one->values, one->values_len, one->count, &out->forms);
		out->streams_bytes += one->values_len;
	}
	buf_release(&bytes);
	cfile_unit_release(&u);
	return e;
}

static enum err file_add(
    struct fsio_dir *dir, const char *name, struct bytesum *out, struct errbuf *eb)
{
	struct cfile *f = NULL;
	const struct cfile_dir *d = NULL;
	enum err e = cfile_open(dir, name, &f, eb);
	if (e)
		return e;
	const struct cfile_stats *st = cfile_stats(f);
	out->files++;
	out->data += st->size_bytes - st->label_bytes;
	out->labels += st->label_bytes;
	out->times += st->times_bytes;
	out->directory += st->directory_bytes;
	out->units += st->units;
	out->samples += st->samples;
	out->series += st->series;
	e = cfile_dir_load(f, &d);
	for (uint32_t i = 0; i < st->units && !e; i++) {
		struct cfile_extent ext = cfile_unit_extent(d, i);
		e = unit_add(f, &ext, out, eb);
	}
	if (d)
		cfile_dir_unpin(f);
	cfile_close(f);
	return e;
}

static enum err shard_add(const char *path, struct bytesum *out, struct errbuf *eb)
{
	struct fsio_dir *dir = NULL;
	enum err e = fsio_dir_open(path, false, &dir);
	if (e)
		return errbuf_set(eb, e, "%s: %s", path, err_text(e));
	DIR *d = opendir(path);
	for (struct dirent *f = d ? readdir(d) : NULL; f && !e; f = readdir(d)) {
		uint64_t rank;
		unsigned serial;
		if (cfile_name_parse(f->d_name, &rank, &serial))
			e = file_add(dir, f->d_name, out, eb);
		if (e && !eb->text[0])
			(void)errbuf_set(eb, e, "%s/%s: %s", path, f->d_name, err_text(e));
	}
	if (d)
		closedir(d);
	fsio_dir_close(dir);
	return e;
}

enum err bytesum_kymo(const char *dir, struct bytesum *out, struct errbuf *eb)
{
	char path[PATH_MAX_HERE];
	enum err e = ERR_OK;
	*out = (struct bytesum){ .index = size_in(dir, "catalog/data.mdb"),
		.log = size_in(dir, "log") + size_in(dir, "RESERVE") };
	if (snprintf(path, sizeof(path), "%s/shards", dir) >= (int)sizeof(path))
		return errbuf_set(eb, ERR_TOOBIG, "the path is too long");
	DIR *d = opendir(path);
	if (!d)
		return errbuf_set(eb, ERR_NOTFOUND, "%s: %s", path, strerror(errno));
	for (struct dirent *s = readdir(d); s && !e; s = readdir(d)) {
		char shard[PATH_MAX_HERE];
		if (s->d_name[0] != '.' &&
		    snprintf(shard, sizeof(shard), "%s/%s", path, s->d_name) < (int)sizeof(shard))
			e = shard_add(shard, out, eb);
	}
	closedir(d);
	out->other = size_of(dir) - out->data - out->labels - out->index - out->log;
	return e;
}
