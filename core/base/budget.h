/*
 * budget - how much memory this process may use: 75 % of the least of the machine's memory, the
 * limits of the control groups it lives in (version 2, all the way up to the root, and version 1),
 * and its address space (ulimit -v).
 *
 * Read once, at the first call; blocks on small files of /proc and /sys: ask before serving.
 * Thread: any.
 */
#ifndef CORE_BASE_BUDGET_H
#define CORE_BASE_BUDGET_H

#include <stdint.h>

/* 75 % of what is there. */
uint64_t budget_bytes(void);
/* What is there, and who says so: "machine", "cgroup", "address space". */
uint64_t budget_memory(const char **of);
/* For tests: the same, with the files under root ("" = the system's); no answer is kept. */
uint64_t budget_memory_under(const char *root, const char **of);

#endif
