#include "bench/load/procstat.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"

enum err procstat_read(int pid, struct procstat *out)
{
	char path[64], line[1024];
	unsigned long long user, sys;
	memset(out, 0, sizeof(*out));
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	FILE *f = fopen(path, "r");
	if (!f)
		return ERR_NOTFOUND;
	size_t n = fread(line, 1, sizeof(line) - 1, f);
	fclose(f);
	line[n] = 0;
	const char *p = strrchr(line, ')');
	if (!p ||
	    sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &sys) != 2)
		return ERR_MALFORMED;
	out->cpu_s = (double)(user + sys) / (double)sysconf(_SC_CLK_TCK);
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "r");
	if (!f)
		return ERR_NOTFOUND;
	while (fgets(line, sizeof(line), f)) {
		unsigned long kib;
		if (sscanf(line, "VmRSS: %lu", &kib) == 1)
			out->rss_mb = (double)kib / 1024;
		else if (sscanf(line, "RssAnon: %lu", &kib) == 1)
			out->anon_mb = (double)kib / 1024;
		else if (sscanf(line, "VmHWM: %lu", &kib) == 1)
			out->peak_mb = (double)kib / 1024;
	}
	fclose(f);
	return ERR_OK;
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
