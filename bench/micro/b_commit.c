/*
 * What one commit of the log costs the CPU, and how long it takes, by the way it is written:
 *   b_commit DIR [commits]
 * For 1, 4 and 50 frames of 200 and 2,000 rows, into a segment that was written whole before
 * (wal/walseg.h). CPU is that of the writing thread, with the interrupts that came while it ran.
 * "pads": commits begin at blocks of 4,096.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE /* O_DIRECT, pwritev2, sync_file_range */
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SEGMENT     (16u << 20)
#define DATA        8192u
#define BLOCK       4096u
#define PATH_ROOM   4096u
#define FRAME_BYTES 72u /* of a frame beside its values: heads, runs of ids and times */
#define WAYS        (sizeof(ways) / sizeof(ways[0]))

static uint8_t *bytes;
static double *took_us;

static int sync_after(int fd, size_t len, off_t at)
{
	return pwrite(fd, bytes, len, at) == (ssize_t)len ? fdatasync(fd) : -1;
}

static int begin_sync_after(int fd, size_t len, off_t at)
{
	if (pwrite(fd, bytes, len, at) != (ssize_t)len)
		return -1;
	if (sync_file_range(fd, at, (off_t)len, SYNC_FILE_RANGE_WRITE) != 0)
		return -1;
	return fdatasync(fd);
}

static int synced_write(int fd, size_t len, off_t at)
{
	struct iovec v = { .iov_base = bytes, .iov_len = len };
	return pwritev2(fd, &v, 1, at, RWF_DSYNC) == (ssize_t)len ? 0 : -1;
}

static const struct way {
	const char *name;
	int flags;
	int (*commit)(int fd, size_t len, off_t at);
} ways[] = {
	{ "page cache, fdatasync", 0, sync_after },
	{ "page cache, sync_file_range, fdatasync", 0, begin_sync_after },
	{ "page cache, RWF_DSYNC", 0, synced_write },
	{ "O_DIRECT, fdatasync, pads", O_DIRECT, sync_after },
	{ "O_DIRECT, RWF_DSYNC, pads (the log's)", O_DIRECT, synced_write },
};

static int double_cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static double now_us(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int die(const char *what)
{
	perror(what);
	exit(1);
}

static void segment_make(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || posix_fallocate(fd, 0, SEGMENT) || pwrite(fd, bytes, SEGMENT, 0) != SEGMENT ||
	    fsync(fd) != 0)
		die(path);
	close(fd);
}

/* Each way has a segment of its own: the page cache of one is nothing to the others. */
static void segment_path(const char *dir, const struct way *w, char out[PATH_ROOM])
{
	if (snprintf(out, PATH_ROOM, "%s/b_commit.%u", dir, (unsigned)(w - ways)) >= (int)PATH_ROOM)
		exit(2);
}

static double commits_run(const struct way *w, const char *dir, size_t len, unsigned n, double *took)
{
	char path[PATH_ROOM];
	segment_path(dir, w, path);
	int fd = open(path, O_RDWR | O_CLOEXEC | w->flags);
	if (fd < 0)
		return -1; /* a file system without O_DIRECT */
	off_t at = DATA;
	double cpu_us = now_us(CLOCK_THREAD_CPUTIME_ID);
	for (unsigned i = 0; i < n; i++) {
		if (at + (off_t)len > (off_t)SEGMENT)
			at = DATA;
		double from = now_us(CLOCK_MONOTONIC);
		if (w->commit(fd, len, at) != 0)
			die(w->name);
		took[i] = now_us(CLOCK_MONOTONIC) - from;
		at += (off_t)len;
	}
	cpu_us = now_us(CLOCK_THREAD_CPUTIME_ID) - cpu_us;
	close(fd);
	return cpu_us;
}

static void table(const char *dir, unsigned frames, unsigned rows, unsigned commits)
{
	size_t len = frames * (FRAME_BYTES + (size_t)rows * 8);
	size_t blocks = (len + BLOCK - 1) / BLOCK * BLOCK;
	double cpu_us[WAYS] = { 0 };
	const unsigned rounds = 10;
	unsigned each = commits / rounds;
	/* In turns, so that what else the disk does meets all of them. */
	for (unsigned r = 0; r < rounds; r++) {
		for (size_t k = 0; k < WAYS; k++)
			cpu_us[k] +=
			    commits_run(&ways[k], dir, ways[k].flags & O_DIRECT ? blocks : len,
			        each, took_us + (k * rounds + r) * each);
	}
	printf("%u frames of %u rows: %zu bytes, %zu with pads (%+.1f %%)\n", frames, rows, len,
	    blocks, 100.0 * (double)(blocks - len) / (double)len);
	for (size_t k = 0; k < WAYS; k++) {
		double *took = took_us + k * rounds * each;
		size_t n = (size_t)rounds * each;
		if (cpu_us[k] < 0) {
			printf("  %-40s this file system has none\n", ways[k].name);
			continue;
		}
		qsort(took, n, sizeof(*took), double_cmp);
		printf("  %-40s CPU us %6.1f, ns a row %6.2f; us p50 %6.0f p90 %6.0f p99 %6.0f\n",
		    ways[k].name, cpu_us[k] / (double)n,
		    1000 * cpu_us[k] / (double)n / ((double)frames * rows), took[n / 2],
		    took[n * 9 / 10], took[n * 99 / 100]);
	}
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	static const unsigned frames[] = { 1, 4, 50 }, rows[] = { 200, 2000 };
	unsigned commits = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 500;
	char path[PATH_ROOM];
	void *p;
	if (commits < 100)
		return 2;
	if (posix_memalign(&p, BLOCK, SEGMENT))
		return 1;
	bytes = p;
	memset(bytes, 7, SEGMENT);
	took_us = calloc((size_t)commits * WAYS, sizeof(*took_us));
	for (size_t k = 0; k < WAYS; k++) {
		segment_path(argv[1], &ways[k], path);
		segment_make(path);
	}
	for (size_t r = 0; took_us && r < 2; r++) {
		for (size_t f = 0; f < 3; f++)
			table(argv[1], frames[f], rows[r], commits);
	}
	for (size_t k = 0; k < WAYS; k++) {
		segment_path(argv[1], &ways[k], path);
		unlink(path);
	}
	free(took_us);
	free(p);
	return 0;
}
