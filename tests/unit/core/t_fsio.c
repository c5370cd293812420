#include "core/base/arena.h"
#include "core/base/fsio.h"
#include "tests/lib/tap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
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

/* A call that fails keeps what the kernel said, in a code and in words. */
static void what_errno_says(struct fsio_dir *d)
{
	static const struct {
		int errnum;
		enum err err;
		const char *words;
	} t[] = {
		{ ENOENT, ERR_NOTFOUND, "no such file or directory (ENOENT)" },
		{ ENOSPC, ERR_NOSPACE, "no space left on device (ENOSPC)" },
		{ ENFILE, ERR_NOFILES, "too many open files in system (ENFILE)" },
		{ ENOMEM, ERR_NOMEM, "cannot allocate memory (ENOMEM)" },
		{ EACCES, ERR_ACCESS, "permission denied (EACCES)" },
		{ EROFS, ERR_ACCESS, "read-only file system (EROFS)" },
		{ EIO, ERR_IO, "input/output error (EIO)" },
	};
	for (size_t i = 0; i < COUNT_OF(t); i++) {
		enum err e = err_of_errno(t[i].errnum);
		tap_is_str(err_why(e), t[i].words, "%s", t[i].words);
		tap_ok(e == t[i].err && strcmp(err_text(e), "unknown") != 0, "%s is %s", t[i].words,
		    err_text(e));
		tap_is_str(err_why(ERR_BUSY), "busy", "an error that came of no errno is a word");
	}
	err_note(ERR_SYNC, EIO);
	tap_is_str(err_why(ERR_SYNC), "input/output error (EIO)", "a sync keeps its errno too");
	tap_ok(err_own(ERR_TOOBIG) == ERR_IO && err_own(ERR_BUSY) == ERR_BUSY,
	    "own trouble never blames who asked");

	struct rlimit old, few = { .rlim_cur = 40 };
	struct fsio_file *f, *open[64];
	size_t n = 0;
	TAP_OK(!getrlimit(RLIMIT_NOFILE, &old));
	few.rlim_max = old.rlim_max;
	TAP_OK(!setrlimit(RLIMIT_NOFILE, &few));
	enum err e;
	while (!(e = fsio_open(d, "small", FSIO_READ, &f)) && n < COUNT_OF(open))
		open[n++] = f;
	tap_is_i64(e, ERR_NOFILES, "no descriptor is left");
	tap_is_str(err_why(e), "too many open files (EMFILE): 40 allowed", "in words");
	while (n)
		fsio_close(open[--n]);
	TAP_OK(!setrlimit(RLIMIT_NOFILE, &old));
}

static unsigned dir_syncs;
static void mapped(struct fsio_dir *d)
{
	struct fsio_file *f;
	struct fsio_dir *sub;
	const uint8_t *data;
	size_t len;
	TAP_OK(fsio_open(d, "map", FSIO_CREATE, &f) == ERR_OK);
	TAP_OK(fsio_map(f, &data, &len) == ERR_OK && !data && len == 0);
	fsio_unmap(data, len);
	TAP_OK(fsio_write_at(f, "bytes", 5, 0) == ERR_OK && fsio_map(f, &data, &len) == ERR_OK);
	tap_is_mem(data, len, "bytes", 5, "a file as memory");
	fsio_close(f);
	tap_is_mem(data, len, "bytes", 5, "the memory stays when the file is closed");
	fsio_unmap(data, len);
	TAP_OK(fsio_remove(d, "map") == ERR_OK);
	TAP_OK(fsio_dir_sub(d, "gone", true, &sub) == ERR_OK);
	fsio_dir_close(sub);
	TAP_OK(fsio_dir_remove(d, "gone") == ERR_OK && fsio_dir_remove(d, "gone") == ERR_NOTFOUND);
}

static enum err counting_dir_sync(struct fsio_dir *d)
{
	dir_syncs++;
	return fsio_real.dir_sync(d);
}

/* Killed between mkdir and the sync of the parent: the directory is there, its name may not be on
 * the disk. */
static void half_made(struct fsio_dir *d)
{
	struct fsio_dir *sub;
	struct fsio_file *f;
	struct fsio_ops ops = fsio_real;
	ops.dir_sync = counting_dir_sync;
	TAP_OK(fsio_real.mkdir(d, "half") == ERR_OK);
	fsio_hook(&ops);
	TAP_OK(fsio_dir_sub(d, "half", true, &sub) == ERR_OK);
	tap_is_u64(dir_syncs, 1, "an empty directory is synced into its parent");
	TAP_OK(fsio_open(sub, "f", FSIO_CREATE, &f) == ERR_OK);
	fsio_close(f);
	fsio_dir_close(sub);
	TAP_OK(fsio_dir_sub(d, "half", true, &sub) == ERR_OK);
	tap_is_u64(dir_syncs, 1, "one with something inside was synced before that came");
	fsio_dir_close(sub);
	fsio_hook(NULL);
}

/* Past the page cache, or through it where this file system has nothing else: the same bytes. */
static void past_the_cache(struct fsio_dir *d)
{
	_Alignas(FSIO_BLOCK) static uint8_t out[4 * FSIO_BLOCK], in[4 * FSIO_BLOCK];
	struct fsio_file *f, *other;
	TAP_OK(fsio_open(d, "direct", FSIO_CREATE, &f) == ERR_OK);
	TAP_OK(fsio_open(d, "direct", FSIO_READ, &other) == ERR_OK);
	enum err e = fsio_direct(f, true);
	tap_ok(e == ERR_OK || e == ERR_UNSUPPORTED, "direct writes are there, or are said not to be");
	memset(out, 7, sizeof(out));
	TAP_OK(fsio_write_at(f, out, 2 * FSIO_BLOCK, 0) == ERR_OK && fsio_sync(f) == ERR_OK);
	TAP_OK(fsio_write_sync(f, out + 2 * FSIO_BLOCK, 2 * FSIO_BLOCK, 2 * FSIO_BLOCK) == ERR_OK);
	TAP_OK(fsio_read_at(other, in, sizeof(in), 0) == ERR_OK);
	tap_ok(memcmp(in, out, sizeof(in)) == 0, "what was written is read");
	TAP_OK(fsio_direct(f, false) == ERR_OK);
	TAP_OK(fsio_write_sync(f, "odd", 3, 5) == ERR_OK && fsio_read_at(other, in, 16, 0) == ERR_OK);
	tap_ok(memcmp(in, "\7\7\7\7\7odd\7", 9) == 0, "and any bytes once they are off again");
	fsio_close(other);
	fsio_close(f);
	TAP_OK(fsio_remove(d, "direct") == ERR_OK);
}

static void links_and_trees(struct fsio_dir *d)
{
	struct fsio_dir *from, *to;
	struct fsio_stat st, other;
	TAP_OK(!fsio_dir_sub(d, "tree", true, &from) && !fsio_dir_sub(from, "below", true, &to));
	TAP_OK(!fsio_replace(from, "file", "12345", 5) && !fsio_link_to(from, "file", to, "name"));
	TAP_OK(!fsio_stat(from, "file", &st) && !fsio_stat(to, "name", &other));
	tap_ok(st.size == 5 && st.links == 2 && st.is_file && !st.is_dir &&
	        st.inode == other.inode && st.device == other.device && st.mtime_ns > 0,
	    "two names of one file");
	TAP_OK(fsio_link_to(from, "file", to, "name") == ERR_EXISTS);
	TAP_OK(!fsio_stat(d, "tree", &st) && st.is_dir && fsio_stat(d, "no", &st) == ERR_NOTFOUND);
	TAP_OK(fsio_rmdir(d, "tree") != ERR_OK && fsio_remove_tree(d, "no") == ERR_OK);
	struct fsio_file *a, *b;
	uint8_t back[5];
	uint64_t size;
	TAP_OK(!fsio_open(from, "file", FSIO_READ, &a) && !fsio_open(from, "to", FSIO_CREATE, &b));
	TAP_OK(fsio_copy(a, b, 6) == ERR_TRUNCATED && !fsio_copy(a, b, 4));
	TAP_OK(!fsio_size(b, &size) && size <= 5 && !fsio_read_at(b, back, 4, 0) &&
	    memcmp(back, "1234", 4) == 0);
	fsio_close(a);
	fsio_close(b);
	/* What a link points to is not part of the tree, be the link in it or its top. */
	struct fsio_dir *far;
	TAP_OK(!fsio_dir_sub(d, "far", true, &far) && !fsio_replace(far, "kept", "1", 1));
	TAP_OK(!symlinkat("../far", fsio_dir_fd(from), "in") &&
	    !symlinkat("far", fsio_dir_fd(d), "top"));
	fsio_dir_close(to);
	fsio_dir_close(from);
	TAP_OK(!fsio_remove_tree(d, "top") && fsio_stat(d, "top", &st) == ERR_NOTFOUND);
	TAP_OK(!fsio_remove_tree(d, "tree") && fsio_stat(d, "tree", &st) == ERR_NOTFOUND);
	TAP_OK(!fsio_stat(far, "kept", &st) && st.size == 1);
	fsio_dir_close(far);
	TAP_OK(!fsio_remove_tree(d, "far"));
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
	TAP_OK(fsio_load(d, "small.tmp", 100, &data, &len) == ERR_OK);
	mem_free(data);
	tap_ok(!fsio_replace_undo(d, "small") && !fsio_replace_undo(d, "small") &&
	        fsio_load(d, "small", 100, &data, &len) == ERR_NOTFOUND &&
	        fsio_load(d, "small.tmp", 100, &data, &len) == ERR_NOTFOUND,
	    "a replacement is undone, with what was left of one, or nothing is");
	TAP_OK(fsio_replace(d, "small", "third", 5) == ERR_OK && syncs == 1);
	mapped(d);
	links_and_trees(d);
	past_the_cache(d);
	what_errno_says(d);
	half_made(d);
	fsio_dir_close(sub);
	fsio_dir_close(d);
	char cmd[64];
	snprintf(cmd, sizeof(cmd), "rm -rf %s", root);
	return tap_done() | (system(cmd) != 0);
}
