/*
 * machine - what the system says of this process and the machine it runs on: memory, swap, control
 * group, descriptors, and settings of the kernel that matter to a database.
 *
 * Sources: /proc/meminfo, /proc/self/{status,cgroup}, /proc/sys/vm/overcommit_memory,
 * /sys/kernel/mm/transparent_hugepage/enabled, memory.* and cpu.stat of the process' control group
 * (version 2; its own, or the root as a container sees it). What cannot be read is 0, or as said.
 * Blocks on small files of /proc and /sys: for workers. Thread: any. Memory: the caller's.
 */
#ifndef CORE_BASE_MACHINE_H
#define CORE_BASE_MACHINE_H

#include <stdint.h>

struct machine {
	/*
	 * Of this process; pages of mapped files, which the kernel drops when it likes, not
	 * counted.
	 */
	uint64_t held_bytes, swap_bytes;
	uint64_t memory_bytes, available_bytes; /* of the machine */
	/* Memory of the control group; max 0: no limit; used: without what is a copy of files. */
	uint64_t group_max, group_used;
	uint64_t cpu_periods, cpu_throttled; /* of the control group, since it began */
	uint64_t fds_open, fds_max;
	int overcommit; /* 0 heuristic, 1 always, 2 never; -1 not known */
	uint64_t commit_limit, commit_used;
	char huge_pages[16]; /* "always", "madvise", "never"; "" not known */
};
/* root: "" = the system's files; for tests another folder that /proc and /sys lie in. */
void machine_read(const char *root, struct machine *out);

#endif
