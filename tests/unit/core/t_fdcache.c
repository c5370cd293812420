/*
 * Files behind a bounded number of descriptors: what is read, what stays open, what happens when
 * there are none left.
 */
#include "core/base/fdcache.h"

#include "tests/lib/fault.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define FILES 64u
#define SIZE  4096u

static char *root;
static struct fsio_dir *dir;
static struct fdfile *files[FILES];

static void name_of(unsigned i, char name[16])
{
	snprintf(name, 16, "f%u", i);
}

static void files_make(void)
{
	uint8_t bytes[SIZE];
	char name[16];
	for (unsigned i = 0; i < FILES; i++) {
		struct fsio_file *io = NULL;
		memset(bytes, (int)i, SIZE);
		name_of(i, name);
		if (fsio_open(dir, name, FSIO_CREATE, &io) || fsio_write_at(io, bytes, SIZE, 0))
			abort();
		fsio_close(io);
	}
}

static unsigned files_open(void)
{
	unsigned bad = 0;
	char name[16];
	for (unsigned i = 0; i < FILES; i++) {
		name_of(i, name);
		bad += fdcache_open(dir, name, &files[i]) != ERR_OK;
	}
	return bad;
}

static void files_close(void)
{
	for (unsigned i = 0; i < FILES; i++) {
		fdcache_close(files[i]);
		files[i] = NULL;
	}
}

static bool right(unsigned i, uint64_t off)
{
	uint8_t got[64];
	if (fdcache_read_at(files[i], got, sizeof(got), off))
		return false;
	for (size_t k = 0; k < sizeof(got); k++)
		if (got[k] != i)
			return false;
	return true;
}

/* Memory cannot tell whether a read would wait: here it never does. */
static enum err read_any(struct fsio_file *f, void *data, size_t len, uint64_t off, bool nowait)
{
	(void)nowait;
	return fsio_real.read_at(f, data, len, off, false);
}

static enum err nowait(unsigned i)
{
	uint8_t got[8];
	return fdcache_read_nowait(files[i], got, sizeof(got), 0);
}

static unsigned descriptors(void)
{
	unsigned n = 0;
	DIR *d = opendir("/proc/self/fd");
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static void bounded(void)
{
	struct fsio_ops ops = fsio_real;
	ops.read_at = read_any;
	fsio_hook(&ops);
	fdcache_limit(8);
	unsigned before = descriptors(), wrong = 0, most = 0;
	TAP_OK(files_open() == 0);
	for (unsigned k = 0; k < 10 * FILES; k++) {
		wrong += !right(k * 7 % FILES, k % SIZE & ~63u);
		unsigned now = descriptors() - before;
		most = now > most ? now : most;
	}
	tap_is_u64(wrong, 0, "64 files are read through 8 descriptors");
	tap_ok(most == 8 && fdcache_count() == 8, "never more than 8 are open (%u)", most);
	TAP_OK(right(5, 0) && right(5, 0));
	for (unsigned k = 0; k < 40; k++)
		wrong += nowait(5) != ERR_OK || !right(10 + k, 0);
	tap_is_u64(wrong, 0, "what is read again and again stays open");
	unsigned open = 0, again = 0;
	for (unsigned i = 0; i < FILES; i++) {
		enum err e = nowait(i);
		open += e == ERR_OK;
		again += e == ERR_AGAIN;
	}
	tap_ok(open == 8 && again == FILES - 8, "without waiting %u are read, %u are for a worker",
	    open, again);
	fdcache_limit(2);
	tap_ok(descriptors() - before == 2, "a lower limit closes at once");
	uint64_t size = 0;
	TAP_OK(fdcache_size(files[0], &size) == ERR_OK && size == SIZE);
	struct fdfile *none = NULL;
	TAP_OK(fdcache_open(dir, "nothing", &none) == ERR_NOTFOUND && fdcache_count() <= 2);
	files_close();
	tap_ok(descriptors() == before && fdcache_count() == 0, "nothing is left open");
	fsio_hook(NULL);
}

static void failing(void)
{
	fdcache_limit(4);
	TAP_OK(files_open() == 0);
	fault_start(NULL);
	fault_set(FAULT_OPEN, NULL, 1, 1, ERR_NOFILES);
	tap_ok(right(0, 0) && fault_hits(FAULT_OPEN) == 1,
	    "no descriptor once: one of ours goes, and it is tried again");
	fault_set(FAULT_OPEN, NULL, 1, UINT64_MAX, ERR_NOFILES);
	uint8_t got[8];
	tap_ok(fdcache_read_at(files[1], got, sizeof(got), 0) == ERR_NOFILES, "none at all: told");
	fault_set(FAULT_OPEN, NULL, 1, 1, ERR_IO);
	tap_ok(fdcache_read_at(files[2], got, sizeof(got), 0) == ERR_IO, "an error of open is told");
	fault_stop();
	unsigned wrong = 0;
	for (unsigned i = 0; i < FILES; i++)
		wrong += !right(i, 0);
	tap_ok(!wrong && fdcache_count() == 4, "afterwards all is as before");
	files_close();
}

/* The process has none left: those of the cache are given up one by one. */
static void starving(void)
{
	struct rlimit r;
	int taken[4096], n = 0, fd;
	TAP_OK(getrlimit(RLIMIT_NOFILE, &r) == 0);
	struct rlimit low = { .rlim_cur = 64, .rlim_max = r.rlim_max };
	fdcache_limit(16);
	TAP_OK(files_open() == 0 && setrlimit(RLIMIT_NOFILE, &low) == 0);
	while ((fd = dup(0)) >= 0)
		taken[n++] = fd;
	unsigned wrong = 0;
	for (unsigned i = 0; i < FILES; i++)
		wrong += !right(i, 0);
	tap_is_u64(wrong, 0, "with no descriptor left in the process all files are read");
	struct fsio_file *io = NULL;
	tap_ok(!fdcache_open_other(dir, "f1", FSIO_WRITE, &io), "and somebody else's file is opened");
	fsio_close(io);
	while (n)
		close(taken[--n]);
	TAP_OK(setrlimit(RLIMIT_NOFILE, &r) == 0);
	files_close();
}

static void *reader(void *arg)
{
	unsigned long wrong = 0;
	uint64_t rng = (uint64_t)(uintptr_t)arg * 77777 + 1;
	for (unsigned k = 0; k < 4000; k++) {
		rng ^= rng << 13;
		rng ^= rng >> 7;
		rng ^= rng << 17;
		unsigned i = (unsigned)(rng >> 33) % FILES;
		uint8_t got[64];
		if (k % 3) {
			wrong += !right(i, 64);
			continue;
		}
		enum err e = fdcache_read_nowait(files[i], got, sizeof(got), 0);
		wrong += e ? e != ERR_AGAIN : got[0] != i || got[63] != i;
	}
	return (void *)wrong;
}

static void threads(void)
{
	struct fsio_ops ops = fsio_real;
	ops.read_at = read_any;
	fsio_hook(&ops);
	fdcache_limit(3);
	TAP_OK(files_open() == 0);
	pthread_t t[4];
	unsigned long wrong = 0;
	for (uintptr_t i = 0; i < COUNT_OF(t); i++)
		if (pthread_create(&t[i], NULL, reader, (void *)(i + 1)))
			abort();
	for (unsigned i = 0; i < COUNT_OF(t); i++) {
		void *part;
		pthread_join(t[i], &part);
		wrong += (unsigned long)part;
	}
	tap_is_u64(wrong, 0, "four threads read 64 files through 3 descriptors");
	tap_ok(fdcache_count() <= 3, "and leave %zu open", fdcache_count());
	files_close();
	fsio_hook(NULL);
}

static void shares(void)
{
	static const struct {
		uint64_t allowed, files;
	} is[] = { { 200, 100 }, { 512, 256 }, { 600, 256 }, { 1024, 256 }, { 4096, 1024 },
		{ 16000, 5760 }, { 20480, 10240 }, { 1048576, 16384 } };
	for (size_t i = 0; i < COUNT_OF(is); i++)
		tap_is_u64(fdcache_share(is[i].allowed), is[i].files, "of %u descriptors",
		    (unsigned)is[i].allowed);
	unsigned wrong = 0;
	for (uint64_t share = 1; share <= FDCACHE_SHARE_MAX; share++) {
		uint64_t a = fdcache_allowed(share);
		wrong += fdcache_share(a) < share;
		if (share > FDCACHE_SHARE_MIN)
			wrong += fdcache_share(a - 1) >= share;
	}
	tap_is_u64(wrong, 0, "a share tells how many it takes");
}

int main(void)
{
	root = testlib_tmpdir("t_fdcache");
	if (fsio_dir_open(root, false, &dir))
		abort();
	files_make();
	bounded();
	failing();
	starving();
	threads();
	shares();
	fsio_dir_close(dir);
	testlib_rmtree(root);
	free(root);
	return tap_done();
}
