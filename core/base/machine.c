#include "core/base/machine.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/metric_priv.h"
#include "core/base/num.h"

#define TEXT_MAX  8192
#define GROUP_MAX 1024

/* The text of a small file; false: there is none. As in metric_proc.c: the kernel's memory. */
static bool text_of(const char *root, const char *path, char out[TEXT_MAX])
{
	char full[2 * GROUP_MAX + 128];
	size_t len = 0;
	ssize_t n;
	int size = snprintf(full, sizeof(full), "%s%s", root, path);
	int fd = size > 0 && (size_t)size < sizeof(full) ? open(full, O_RDONLY | O_CLOEXEC) : -1;
	out[0] = 0;
	if (fd < 0)
		return false;
	while (len < TEXT_MAX - 1 && (n = read(fd, out + len, TEXT_MAX - 1 - len)) > 0)
		len += (size_t)n;
	close(fd);
	out[len] = 0;
	return len > 0;
}

/* The number behind a name that begins a line ("MemTotal:  123 kB"); 0: it is not there. */
static uint64_t number_behind(const char *text, const char *name)
{
	size_t len = strlen(name);
	for (const char *line = text; line && *line;) {
		if (!strncmp(line, name, len))
			return strtoull(line + len, NULL, 10);
		line = strchr(line, '\n');
		line += line != NULL;
	}
	return 0;
}

/* "max" and what is not there are 0. */
static uint64_t number_in(const char *root, const char *path)
{
	char text[TEXT_MAX];
	return text_of(root, path, text) ? strtoull(text, NULL, 10) : 0;
}

static void read_memory(const char *root, struct machine *out)
{
	char text[TEXT_MAX];
	if (text_of(root, "/proc/meminfo", text)) {
		out->memory_bytes = number_behind(text, "MemTotal:") << 10;
		out->available_bytes = number_behind(text, "MemAvailable:") << 10;
		out->commit_limit = number_behind(text, "CommitLimit:") << 10;
		out->commit_used = number_behind(text, "Committed_AS:") << 10;
	}
	if (text_of(root, "/proc/self/status", text)) {
		out->held_bytes = (number_behind(text, "VmRSS:") - number_behind(text, "RssFile:"))
		    << 10;
		out->swap_bytes = number_behind(text, "VmSwap:") << 10;
	}
	if (text_of(root, "/proc/sys/vm/overcommit_memory", text))
		out->overcommit = text[0] >= '0' && text[0] <= '2' ? text[0] - '0' : -1;
}

/* The word in brackets: "always [madvise] never". */
static void read_huge_pages(const char *root, struct machine *out)
{
	char text[TEXT_MAX];
	if (!text_of(root, "/sys/kernel/mm/transparent_hugepage/enabled", text))
		return;
	const char *begin = strchr(text, '['), *end = begin ? strchr(begin, ']') : NULL;
	if (end && (size_t)(end - begin) <= sizeof(out->huge_pages))
		(void)snprintf(out->huge_pages, sizeof(out->huge_pages), "%.*s",
		    (int)(end - begin - 1), begin + 1);
}

/* Of the group with this path below the mount. False: it is not there. */
static bool read_group_at(const char *root, const char *group, struct machine *out)
{
	char path[GROUP_MAX + 64], text[TEXT_MAX];
	bool any = false;
	(void)snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.current", group);
	if (text_of(root, path, text)) {
		any = true;
		out->group_used = strtoull(text, NULL, 10);
		(void)snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.stat", group);
		if (text_of(root, path, text)) {
			uint64_t pages = number_behind(text, "file ");
			uint64_t kept = number_behind(text, "shmem ");
			uint64_t free = pages > kept ? pages - kept : 0;
			out->group_used -= free < out->group_used ? free : out->group_used;
		}
		(void)snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.max", group);
		out->group_max = number_in(root, path);
	}
	(void)snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cpu.stat", group);
	if (text_of(root, path, text)) {
		any = true;
		out->cpu_periods = number_behind(text, "nr_periods ");
		out->cpu_throttled = number_behind(text, "nr_throttled ");
	}
	return any;
}

/* A container sees its own group as the root, whatever the line says. */
static void read_group(const char *root, struct machine *out)
{
	char text[TEXT_MAX];
	if (text_of(root, "/proc/self/cgroup", text)) {
		char *group = strstr(text, "0::/");
		size_t len = group ? strcspn(group + 3, "\n") : 0;
		if (len > 1 && len < GROUP_MAX) {
			group[3 + len] = 0;
			if (read_group_at(root, group + 3, out))
				return;
		}
	}
	(void)read_group_at(root, "", out);
}

static void read_fds(struct machine *out)
{
	struct metric_proc p[METRIC_PROC_MAX];
	unsigned n = metric_proc_read(p);
	for (unsigned i = 0; i < n; i++) {
		if (!strcmp(p[i].name, "process_open_fds"))
			out->fds_open = (uint64_t)p[i].value;
		if (!strcmp(p[i].name, "process_max_fds"))
			out->fds_max = (uint64_t)p[i].value;
	}
}

void machine_read(const char *root, struct machine *out)
{
	*out = (struct machine){ .overcommit = -1 };
	read_memory(root, out);
	read_huge_pages(root, out);
	read_group(root, out);
	read_fds(out);
}
