#include "bench/load/hostinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench/load/child.h"
#include "bench/load/spread.h"
#include "core/base/clock.h"
#include "core/base/mem.h"

/* The value of the first line that begins so in a file of "key : value". */
static void line_of(const char *path, const char *key, char *out, size_t cap)
{
	char line[512];
	FILE *f = fopen(path, "r");
	snprintf(out, cap, "unknown");
	while (f && fgets(line, sizeof(line), f)) {
		char *colon = strchr(line, ':');
		if (!colon || strncmp(line, key, strlen(key)))
			continue;
		colon += 1 + strspn(colon + 1, " \t");
		colon[strcspn(colon, "\r\n")] = 0;
		snprintf(out, cap, "%s", colon);
		break;
	}
	if (f)
		fclose(f);
}

static void tell_sync(json_t *out, const char *dir)
{
	char path[600], piece[4096] = "";
	double ms[HOSTINFO_SYNCS];
	size_t n = 0;
	snprintf(path, sizeof(path), "%s/sync", dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	for (; fd >= 0 && n < HOSTINFO_SYNCS; n++) {
		uint64_t begin = clock_real_mono_ns();
		if (write(fd, piece, sizeof(piece)) != sizeof(piece) || fdatasync(fd))
			break;
		ms[n] = (double)(clock_real_mono_ns() - begin) / 1e6;
	}
	if (fd >= 0)
		close(fd);
	unlink(path);
	if (!n)
		return;
	json_object_set_new(out, "sync_p50_ms", json_real(spread_quantile(ms, n, 0.5)));
	json_object_set_new(out, "sync_p99_ms", json_real(spread_quantile(ms, n, 0.99)));
}

/* One piece at its place, whole. */
static int put_piece(int fd, const char *piece, size_t bytes, size_t at)
{
	for (size_t done = 0; done < bytes;) {
		ssize_t n = pwrite(fd, piece + done, bytes - done, (off_t)(at + done));
		if (n < 0 && errno != EINTR)
			return errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int time_syncs(int fd, const char *piece, size_t bytes, double *ms)
{
	int err = 0;
	for (size_t i = 0; !err && i < HOSTINFO_SYNCS; i++)
		err = put_piece(fd, piece, bytes, i * bytes);
	if (!err && fsync(fd))
		err = errno;
	for (size_t i = 0; !err && i < HOSTINFO_SYNCS; i++) {
		uint64_t begin = clock_real_mono_ns();
		err = put_piece(fd, piece, bytes, i * bytes);
		if (!err && fdatasync(fd))
			err = errno;
		ms[i] = (double)(clock_real_mono_ns() - begin) / 1e6;
	}
	return err;
}

int hostinfo_sync(const char *dir, size_t bytes, struct hostinfo_sync *out)
{
	char path[600];
	double ms[HOSTINFO_SYNCS];
	memset(out, 0, sizeof(*out));
	if (snprintf(path, sizeof(path), "%s/.kymobench-sync-XXXXXX", dir) >= (int)sizeof(path))
		return ENAMETOOLONG;
	int fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return errno;
	char *piece = mem_zalloc(bytes);
	int err = time_syncs(fd, piece, bytes, ms);
	mem_free(piece);
	close(fd);
	unlink(path);
	if (err)
		return err;
	out->p50_ms = spread_quantile(ms, HOSTINFO_SYNCS, 0.5);
	out->p99_ms = spread_quantile(ms, HOSTINFO_SYNCS, 0.99);
	out->max_ms = spread_quantile(ms, HOSTINFO_SYNCS, 1);
	return 0;
}

void hostinfo_tell(json_t *out, const cpu_set_t *servers, const cpu_set_t *generator, const char *dir)
{
	char text[512];
	struct utsname u;
	line_of("/proc/cpuinfo", "model name", text, sizeof(text));
	json_object_set_new(out, "cpu", json_string(text));
	json_object_set_new(out, "cores", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
	json_object_set_new(out, "memory_bytes",
	    json_real((double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE)));
	if (!uname(&u)) {
		snprintf(text, sizeof(text), "%s %s", u.sysname, u.release);
		json_object_set_new(out, "kernel", json_string(text));
	}
	child_cpus_text(servers, text, sizeof(text));
	json_object_set_new(out, "server_cpus", json_string(text));
	child_cpus_text(generator, text, sizeof(text));
	json_object_set_new(out, "generator_cpus", json_string(text));
	tell_sync(out, dir);
}
