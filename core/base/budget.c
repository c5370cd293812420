#include "core/base/budget.h"

#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/base/num.h"

#define FILE_MAX 4096
/* Version 1 says "no limit" with a number near 2^63, rounded down to pages. */
#define V1_NONE (UINT64_C(1) << 62)

/* The text of a small file, NUL-terminated; 0 when there is none. */
static size_t text_of(const char *path, char out[static FILE_MAX])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = 0;

	if (fd < 0)
		return 0;
	while (len < FILE_MAX - 1 && (n = read(fd, out + len, FILE_MAX - 1 - len)) > 0)
		len += (size_t)n;
	close(fd);
	out[n < 0 ? 0 : len] = 0;
	return n < 0 ? 0 : len;
}

/* The number in a file; UINT64_MAX without one ("max" is none). */
static uint64_t number_of(const char *path)
{
	char text[FILE_MAX];
	uint64_t v;
	size_t len = text_of(path, text);

	while (len && text[len - 1] == '\n')
		len--;
	return len && !num_parse_u64(text, len, &v) ? v : UINT64_MAX;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The least limit of a group and of all above it. group: as /proc/self/cgroup has it. */
static uint64_t groups(const char *root, const char *mount, const char *group, const char *file)
{
	char at[FILE_MAX], path[2 * FILE_MAX + 64];
	uint64_t min = UINT64_MAX;
	size_t len = strlen(group);

	memcpy(at, group, len + 1);
	for (;;) {
		while (len && at[len - 1] == '/')
			at[--len] = 0;
		snprintf(path, sizeof(path), "%s%s%s/%s", root, mount, at, file);
		min = least(min, number_of(path));
		if (!len)
			return min;
		while (len && at[len - 1] != '/')
			at[--len] = 0;
	}
}

/* One line of /proc/self/cgroup: "0::/a/b" (version 2), "4:memory:/a/b" (version 1). */
static uint64_t group_line(const char *root, char *line)
{
	char *names = strchr(line, ':'), *group = names ? strchr(names + 1, ':') : NULL;

	if (!group)
		return UINT64_MAX;
	*group++ = 0;
	names++;
	if (!*names)
		return groups(root, "/sys/fs/cgroup", group, "memory.max");
	for (char *word = strtok_r(names, ",", &names); word; word = strtok_r(NULL, ",", &names)) {
		if (strcmp(word, "memory"))
			continue;
		uint64_t v = groups(root, "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes");
		return v < V1_NONE ? v : UINT64_MAX;
	}
	return UINT64_MAX;
}

static uint64_t cgroup_max(const char *root)
{
	char path[FILE_MAX], text[FILE_MAX], *rest = text;
	/* A container sees its own group as the root, whatever the line says. */
	snprintf(path, sizeof(path), "%s/sys/fs/cgroup/memory.max", root);
	uint64_t min = number_of(path);

	snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	if (text_of(path, text))
		for (char *l = strtok_r(rest, "\n", &rest); l; l = strtok_r(NULL, "\n", &rest))
			min = least(min, group_line(root, l));
	return min;
}

uint64_t budget_memory_under(const char *root, const char **of)
{
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	uint64_t memory = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 1ull << 30;
	uint64_t group = cgroup_max(root);
	struct rlimit as;

	*of = "machine";
	if (group < memory) {
		memory = group;
		*of = "cgroup";
	}
	if (!getrlimit(RLIMIT_AS, &as) && as.rlim_cur != RLIM_INFINITY && as.rlim_cur < memory) {
		memory = as.rlim_cur;
		*of = "address space";
	}
	return memory;
}

uint64_t budget_memory(const char **of)
{
	static _Atomic uint64_t known;
	static const char *_Atomic who;
	uint64_t memory = atomic_load(&known);

	if (!memory) {
		const char *by;
		memory = budget_memory_under("", &by);
		atomic_store(&who, by);
		atomic_store(&known, memory ? memory : 1);
	}
	*of = atomic_load(&who);
	return memory;
}

uint64_t budget_bytes(void)
{
	const char *of;
	return budget_memory(&of) / 100 * 75;
}
