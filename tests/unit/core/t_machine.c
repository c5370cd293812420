/* What the system says of process and machine, from files as the kernel writes them. */
#include "core/base/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

static char *root;

/* A file below root, and the folders it lies in. */
static void put(const char *path, const char *text)
{
	char full[1024];
	(void)snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *c = full + strlen(root) + 1; (c = strchr(c, '/')); c++) {
		*c = 0;
		(void)mkdir(full, 0700);
		*c = '/';
	}
	FILE *f = fopen(full, "w");
	if (!f || fputs(text, f) < 0 || fclose(f))
		exit(1);
}

static void nothing_is_there(void)
{
	struct machine m;
	machine_read(root, &m);
	tap_ok(!m.memory_bytes && !m.held_bytes && !m.group_max && m.overcommit == -1 &&
	        !m.huge_pages[0],
	    "what is not there is not known");
	tap_ok(m.fds_open > 2 && m.fds_max >= m.fds_open, "descriptors are those of the process");
}

static void all_is_there(void)
{
	struct machine m;
	put("/proc/meminfo",
	    "MemTotal:        8000000 kB\nMemFree:  100 kB\nMemAvailable:    6000000 kB\n"
	    "CommitLimit:     4000000 kB\nCommitted_AS:    1000000 kB\n");
	put("/proc/self/status",
	    "Name:\tkymod\nVmRSS:\t  2048 kB\nRssAnon:\t 1000 kB\nRssFile:\t  1024 kB\nVmSwap:\t   512 kB\n");
	put("/proc/sys/vm/overcommit_memory", "2\n");
	put("/sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n");
	put("/proc/self/cgroup", "0::/system.slice/kymo.service\n");
	put("/sys/fs/cgroup/system.slice/kymo.service/memory.current", "1000\n");
	put("/sys/fs/cgroup/system.slice/kymo.service/memory.max", "5000\n");
	put("/sys/fs/cgroup/system.slice/kymo.service/memory.stat",
	    "anon 200\nfile 700\ninactive_file 650\nshmem 50\n");
	put("/sys/fs/cgroup/system.slice/kymo.service/cpu.stat",
	    "usage_usec 5\nnr_periods 100\nnr_throttled 30\nthrottled_usec 7\n");
	machine_read(root, &m);
	tap_ok(m.memory_bytes == 8000000ull << 10 && m.available_bytes == 6000000ull << 10,
	    "memory of the machine");
	tap_ok(m.held_bytes == 1024 << 10 && m.swap_bytes == 512 << 10,
	    "and of the process, without the files that it maps");
	tap_ok(m.overcommit == 2 && m.commit_limit == 4000000ull << 10 &&
	        m.commit_used == 1000000ull << 10,
	    "what may be promised");
	tap_is_str(m.huge_pages, "always", "the word in brackets");
	tap_ok(m.group_used == 350 && m.group_max == 5000,
	    "memory of its own control group, without copies of files");
	tap_ok(m.cpu_periods == 100 && m.cpu_throttled == 30, "and how often that was held back");
}

static void a_container(void)
{
	struct machine m;
	put("/proc/self/cgroup", "0::/\n");
	put("/sys/fs/cgroup/memory.current", "7\n");
	put("/sys/fs/cgroup/memory.max", "max\n");
	machine_read(root, &m);
	tap_ok(
	    m.group_used == 7 && !m.group_max, "in a container its group is the root; max is none");
}

static void this_machine(void)
{
	struct machine m;
	machine_read("", &m);
	tap_ok(m.memory_bytes > 1 << 20 && m.held_bytes > 1 << 16 && m.held_bytes < m.memory_bytes,
	    "this machine has memory, and this process some of it");
}

int main(void)
{
	root = testlib_tmpdir("machine");
	nothing_is_there();
	all_is_there();
	a_container();
	this_machine();
	testlib_rmtree(root);
	return tap_done();
}
