#include "core/base/metric_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * /proc is the kernel's memory, not the disk: these reads do not wait, and no test double has a say
 * in them.
 */
static bool slurp(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	size_t len = 0;
	ssize_t n;
	while (len < size - 1 &&
	    ((n = read(fd, text + len, size - 1 - len)) > 0 || (n < 0 && errno == EINTR))) {
		if (n > 0)
			len += (size_t)n;
	}
	close(fd);
	text[len] = 0;
	return len > 0;
}

/*
 * Field number n (proc(5) counts from 1) of /proc/self/stat; the command name in field 2 may hold
 * blanks and parentheses.
 */
static bool stat_field(const char *stat_text, int n, double *out)
{
	const char *p = strrchr(stat_text, ')');
	if (!p)
		return false;
	for (int field = 2; field < n; field++) {
		p = strchr(p + 1, ' ');
		if (!p)
			return false;
	}
	*out = strtod(p + 1, NULL);
	return true;
}

static bool boot_time_s(double *out)
{
	char text[16384];
	const char *p;
	if (!slurp("/proc/stat", text, sizeof(text)) || !(p = strstr(text, "\nbtime ")))
		return false;
	*out = strtod(p + 7, NULL);
	return true;
}

/* Its size is their number since Linux 6.2; before that, thousands of them take milliseconds. */
static bool count_fds(double *out)
{
	struct stat st;
	double n = 0;
	if (!stat("/proc/self/fd", &st) && st.st_size > 0) {
		*out = (double)st.st_size;
		return true;
	}
	DIR *d = opendir("/proc/self/fd");
	if (!d)
		return false;
	for (struct dirent *e; (e = readdir(d));) {
		if (e->d_name[0] != '.')
			n++;
	}
	closedir(d);
	*out = n - 1; /* the one just used */
	return true;
}

enum proc {
	PROC_CPU,
	PROC_FDS,
	PROC_FDS_MAX,
	PROC_VIRTUAL,
	PROC_RESIDENT,
	PROC_START,
	PROCS
};
const struct metric_proc metric_procs[PROCS] = {
	[PROC_CPU] = { "process_cpu_seconds_total",
	    "Total user and system CPU time spent in seconds.", METRIC_COUNTER, 0 },
	[PROC_FDS] = { "process_open_fds", "Number of open file descriptors.", METRIC_GAUGE, 0 },
	[PROC_FDS_MAX] = { "process_max_fds", "Maximum number of open file descriptors.",
	    METRIC_GAUGE, 0 },
	[PROC_VIRTUAL] = { "process_virtual_memory_bytes", "Virtual memory size in bytes.",
	    METRIC_GAUGE, 0 },
	[PROC_RESIDENT] = { "process_resident_memory_bytes", "Resident memory size in bytes.",
	    METRIC_GAUGE, 0 },
	[PROC_START] = { "process_start_time_seconds",
	    "Start time of the process since unix epoch in seconds.", METRIC_GAUGE, 0 },
};
const unsigned metric_procs_count = PROCS;
STATIC(PROCS <= METRIC_PROC_MAX);

static void put(struct metric_proc *out, unsigned *n, enum proc which, double value)
{
	out[*n] = metric_procs[which];
	out[(*n)++].value = value;
}

unsigned metric_proc_read(struct metric_proc *out)
{
	unsigned n = 0;
	char text[2048];
	double v, boot;
	struct rusage ru;
	struct rlimit rl;
	if (getrusage(RUSAGE_SELF, &ru) == 0)
		put(out, &n, PROC_CPU,
		    (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
		        (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6);
	if (count_fds(&v))
		put(out, &n, PROC_FDS, v);
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0)
		put(out, &n, PROC_FDS_MAX, (double)rl.rlim_cur);
	if (!slurp("/proc/self/stat", text, sizeof(text)))
		return n;
	if (stat_field(text, 23, &v))
		put(out, &n, PROC_VIRTUAL, v);
	if (stat_field(text, 24, &v))
		put(out, &n, PROC_RESIDENT, v * (double)sysconf(_SC_PAGESIZE));
	if (stat_field(text, 22, &v) && boot_time_s(&boot))
		put(out, &n, PROC_START, boot + v / (double)sysconf(_SC_CLK_TCK));
	return n;
}
