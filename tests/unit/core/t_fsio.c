#include "core/base/arena.h"
#include "core/base/fsio.h"
#include "tests/lib/tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char names[10][40];
static unsigned names_count;
static enum err name(void *arg, const char *n)
{
	snprintf(names[names_count++], 40, "%s", n);
	return arg ? ERR_CANCELED : ERR_OK;
}

static unsigned syncs;
static enum err counting_sync(struct fsio_file *f)
{
	syncs++;
	return fsio_real.sync(f);
}
static enum err failing_rename(struct fsio_dir *d, const char *from, const char *to)
{
	(void)d;
	(void)from;
	(void)to;
	return ERR_IO;
}

int main(void)
{
	char root[] = "/tmp/t_fsio.XXXXXX", path[100];
	if (!mkdtemp(root))
		return 1;
	snprintf(path, sizeof(path), "%s/./a//b/c/", root);
	struct fsio_dir *d, *sub, *none;
	TAP_OK(fsio_dir_open(path, false, &none) == ERR_NOTFOUND);
	TAP_OK(fsio_dir_open(path, true, &d) == ERR_OK);
	tap_ok(strstr(fsio_dir_path(d), "/a/b/c") && !strstr(fsio_dir_path(d), "/./"),
	    "its path is %s", fsio_dir_path(d));
	TAP_OK(fsio_dir_sub(d, "sub", true, &sub) == ERR_OK && fsio_dir_sync(sub) == ERR_OK);
	struct fsio_file *f;
	TAP_OK(fsio_open(d, "f", FSIO_READ, &f) == ERR_NOTFOUND);
	TAP_OK(fsio_open(d, "f", FSIO_WRITE, &f) == ERR_NOTFOUND);
	TAP_OK(fsio_open(d, "f", FSIO_CREATE, &f) == ERR_OK);
	struct fsio_file *again;
	TAP_OK(fsio_open(d, "f", FSIO_CREATE, &again) == ERR_EXISTS);
	/* More pieces than one system call takes, some of them empty. */
	struct iovec v[200];
	char bytes[200 * 7], back[200 * 7];
	for (int i = 0; i < 200; i++) {
		v[i] = (struct iovec){ .iov_base = bytes + i * 7, .iov_len = i % 5 ? 7 : 0 };
		memset(bytes + i * 7, i, 7);
	}
	TAP_OK(fsio_writev_at(f, v, 200, 10) == ERR_OK);
	uint64_t size;
	TAP_OK(fsio_size(f, &size) == ERR_OK && size == 10 + 160 * 7);
	TAP_OK(fsio_read_at(f, back, 160 * 7, 10) == ERR_OK);
	unsigned bad = 0;
	for (int i = 0, at = 0; i < 200; i++) {
		if (i % 5) {
			bad += memcmp(back + at, bytes + i * 7, 7) != 0;
			at += 7;
		}
	}
	tap_is_u64(bad, 0, "what was written in pieces is read back");
	TAP_OK(fsio_read_at(f, back, 160 * 7, 11) == ERR_TRUNCATED);
	enum err e = fsio_read_nowait(f, back, 100, 0);
	tap_ok(e == ERR_OK || e == ERR_AGAIN, "reading without waiting: %s", err_text(e));
	TAP_OK(fsio_read_nowait(f, back, 100, 5000) == ERR_TRUNCATED || e == ERR_AGAIN);
	TAP_OK(fsio_allocate(f, 100000) == ERR_OK && fsio_size(f, &size) == ERR_OK && size == 100000);
	TAP_OK(fsio_truncate(f, 50) == ERR_OK && fsio_size(f, &size) == ERR_OK && size == 50);
	TAP_OK(fsio_write_at(f, "xyz", 3, 0) == ERR_OK && fsio_sync(f) == ERR_OK);
	tap_ok(
	    strstr(fsio_file_path(f), "/a/b/c/f") && fsio_file_fd(f) >= 0, "a file knows its path");
	fsio_close(f);
	TAP_OK(fsio_replace(d, "small", "one", 3) == ERR_OK &&
	    fsio_replace(d, "small", "second", 6) == ERR_OK);
	uint8_t *data;
	size_t len;
	TAP_OK(fsio_load(d, "small", 6, &data, &len) == ERR_OK && len == 6 &&
	    strcmp((char *)data, "second") == 0);
	mem_free(data);
	TAP_OK(fsio_load(d, "small", 5, &data, &len) == ERR_TOOBIG);
	TAP_OK(fsio_link(d, "f", "g") == ERR_OK && fsio_link(d, "f", "g") == ERR_EXISTS);
	TAP_OK(fsio_rename(d, "g", "h") == ERR_OK && fsio_remove(d, "g") == ERR_NOTFOUND);
	TAP_OK(fsio_dir_each(d, name, NULL) == ERR_OK && names_count == 4);
	tap_ok(!strcmp(names[0], "f") && !strcmp(names[1], "h") && !strcmp(names[2], "small") &&
	        !strcmp(names[3], "sub"),
	    "entries come in order of names");
	names_count = 0;
	TAP_OK(fsio_dir_each(d, name, &names) == ERR_CANCELED && names_count == 1);
	uint64_t free_bytes, total;
	TAP_OK(fsio_free_bytes(d, &free_bytes, &total) == ERR_OK && total >= free_bytes && total > 0);
	struct fsio_ops ops = fsio_real;
	ops.sync = counting_sync;
	ops.rename = failing_rename;
	fsio_hook(&ops);
	TAP_OK(fsio_replace(d, "small", "third", 5) == ERR_IO && syncs == 1);
	fsio_hook(NULL);
	TAP_OK(fsio_load(d, "small", 100, &data, &len) == ERR_OK && len == 6);
	mem_free(data);
	TAP_OK(fsio_replace(d, "small", "third", 5) == ERR_OK && syncs == 1);
	fsio_dir_close(sub);
	fsio_dir_close(d);
	char cmd[64];
	snprintf(cmd, sizeof(cmd), "rm -rf %s", root);
	return tap_done() | (system(cmd) != 0);
}
