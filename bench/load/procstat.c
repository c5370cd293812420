#include "bench/load/procstat.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"

#define FAMILY_MAX 64u /* a server and what it starts */

/* Appends the children of a process to out[n..max); how many there are then. */
static unsigned add_children(int pid, int *out, unsigned n, unsigned max)
{
	char path[320];
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
		int child;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/children", pid, e->d_name);
		FILE *f = e->d_name[0] == '.' ? NULL : fopen(path, "r");
		while (f && n < max && fscanf(f, "%d", &child) == 1)
			out[n++] = child;
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	return n;
}

/* The process and all that descends from it, in out[0..); how many. */
static unsigned family_of(int pid, int out[FAMILY_MAX])
{
	unsigned n = 1;
	out[0] = pid;
	for (unsigned i = 0; i < n; i++)
		n = add_children(out[i], out, n, FAMILY_MAX);
	return n;
}

/* CPU time of one process, of its threads that ended and children that were waited for, too. */
static enum err add_cpu(int pid, struct procstat *out)
{
	char path[64], line[1024];
	unsigned long long user, sys;
	long long waited_user, waited_sys;
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	FILE *f = fopen(path, "r");
	if (!f)
		return ERR_NOTFOUND;
	size_t n = fread(line, 1, sizeof(line) - 1, f);
	fclose(f);
	line[n] = 0;
	const char *p = strrchr(line, ')');
	if (!p ||
	    sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %lld %lld", &user,
	        &sys, &waited_user, &waited_sys) != 4)
		return ERR_MALFORMED;
	out->cpu_s += ((double)(user + sys) + (double)(waited_user + waited_sys)) /
	    (double)sysconf(_SC_CLK_TCK);
	return ERR_OK;
}

static enum err add_memory(int pid, struct procstat *out)
{
	char path[64], line[1024];
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	FILE *f = fopen(path, "r");
	if (!f)
		return ERR_NOTFOUND;
	while (fgets(line, sizeof(line), f)) {
		unsigned long kib;
		if (sscanf(line, "VmRSS: %lu", &kib) == 1)
			out->rss_mb += (double)kib / 1024;
		else if (sscanf(line, "RssAnon: %lu", &kib) == 1)
			out->anon_mb += (double)kib / 1024;
		else if (sscanf(line, "VmHWM: %lu", &kib) == 1)
			out->peak_mb += (double)kib / 1024;
	}
	fclose(f);
	return ERR_OK;
}

enum err procstat_read(int pid, struct procstat *out)
{
	int family[FAMILY_MAX];
	unsigned n = family_of(pid, family);
	memset(out, 0, sizeof(*out));
	enum err e = add_cpu(pid, out);
	if (!e)
		e = add_memory(pid, out);
	for (unsigned i = 1; i < n && !e; i++) /* what has ended was waited for */
		if (!add_cpu(family[i], out))
			(void)add_memory(family[i], out);
	return e;
}

/* Of one line of /proc/PID/task/TID/stat. */
static bool thread_read(int pid, const char *tid, struct procstat_thread *t)
{
	char path[320], line[1024];
	unsigned long long user, sys;
	snprintf(path, sizeof(path), "/proc/%d/task/%s/stat", pid, tid);
	FILE *f = fopen(path, "r");
	if (!f)
		return false;
	size_t n = fread(line, 1, sizeof(line) - 1, f);
	fclose(f);
	line[n] = 0;
	const char *open = strchr(line, '('), *close = strrchr(line, ')');
	if (!open || !close ||
	    sscanf(close + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
	        &sys) != 2)
		return false;
	snprintf(t->name, sizeof(t->name), "%.*s", (int)(close - open - 1), open + 1);
	t->cpu_s = (double)(user + sys) / (double)sysconf(_SC_CLK_TCK);
	return true;
}

static int by_name(const void *a, const void *b)
{
	const struct procstat_thread *x = a, *y = b;
	return strcmp(x->name, y->name);
}

unsigned procstat_threads(int pid, const char *name, struct procstat_thread *out, unsigned max)
{
	char path[64];
	unsigned n = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	DIR *d = opendir(path);
	if (!d)
		return 0;
	for (struct dirent *e; n < max && (e = readdir(d)) != NULL;)
		if (e->d_name[0] != '.' && thread_read(pid, e->d_name, &out[n]) &&
		    strncmp(out[n].name, name, strlen(name)) == 0)
			n++;
	closedir(d);
	qsort(out, n, sizeof(*out), by_name);
	return n;
}

double procstat_wait_idle(int pid, double limit_s)
{
	uint64_t begin = clock_real_mono_ns();
	struct procstat last, now;
	unsigned quiet = 0;
	if (procstat_read(pid, &last))
		return 0;
	while (quiet < 8 && (double)(clock_real_mono_ns() - begin) / 1e9 < limit_s) {
		usleep(250000);
		if (procstat_read(pid, &now))
			break;
		quiet = now.cpu_s - last.cpu_s < 0.011
		    ? quiet + 1
		    : 0; /* a tick of the kernel's clock is 10 ms */
		last = now;
	}
	return (double)(clock_real_mono_ns() - begin) / 1e9;
}

static uint64_t ran_ns(int pid)
{
	char path[300];
	uint64_t sum = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	DIR *d = opendir(path);
	if (!d)
		return 0;
	for (struct dirent *e; (e = readdir(d));) {
		unsigned long long ran = 0;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pid, e->d_name);
		FILE *f = e->d_name[0] == '.' ? NULL : fopen(path, "r");
		if (!f)
			continue;
		if (fscanf(f, "%llu", &ran) == 1)
			sum += ran;
		fclose(f);
	}
	closedir(d);
	return sum;
}

uint64_t procstat_cpu_ns(int pid)
{
	int family[FAMILY_MAX];
	unsigned n = family_of(pid, family);
	uint64_t sum = 0;
	for (unsigned i = 0; i < n; i++)
		sum += ran_ns(family[i]);
	return sum;
}
