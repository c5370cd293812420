#include "core/base/budget.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/model/limits.h"
#include "tests/lib/tap.h"

static char root[] = "/tmp/t_budget.XXXXXX";

static void put(const char *path, const char *text)
{
	char cmd[512], full[300];
	snprintf(full, sizeof(full), "%s%s", root, path);
	snprintf(cmd, sizeof(cmd), "mkdir -p \"$(dirname '%s')\"", full);
	CHECK(system(cmd) == 0);
	FILE *f = fopen(full, "w");
	CHECK(f && fputs(text, f) >= 0 && !fclose(f));
}

static uint64_t memory(void)
{
	const char *of;
	return budget_memory_under(root, &of);
}

int main(void)
{
	const char *of;
	CHECK(mkdtemp(root));
	uint64_t machine = memory();
	budget_memory_under(root, &of);
	tap_ok(!strcmp(of, "machine") && machine, "without control groups the machine counts");

	put("/proc/self/cgroup", "0::/system.slice/kymod.service\n");
	put("/sys/fs/cgroup/system.slice/kymod.service/memory.max", "max\n");
	tap_ok(memory() == machine, "the word max is no limit");
	put("/sys/fs/cgroup/system.slice/kymod.service/memory.max", "300000000\n");
	tap_ok(memory() == 300000000, "MemoryMax of a service is seen");
	put("/sys/fs/cgroup/system.slice/memory.max", "200000000\n");
	tap_ok(memory() == 200000000, "a group further up limits its children");
	put("/sys/fs/cgroup/memory.max", "100000000\n");
	tap_ok(memory() == 100000000, "a container's own group is the root");

	put("/proc/self/cgroup", "9:cpu,memory:/docker/x\n1:name=systemd:/y\n");
	put("/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "90000000\n");
	tap_ok(memory() == 90000000, "version 1 is seen");
	put("/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "9223372036854771712\n");
	tap_ok(memory() == 100000000, "and its way to say none");
	budget_memory_under(root, &of);
	tap_ok(!strcmp(of, "cgroup"), "who says so is told");

	struct limits l;
	limits_default(&l);
	bool all = true;
	for (unsigned i = 0; i < LIMITS_COUNT; i++) {
		const struct limits_row *r = &limits_rows[i];
		uint64_t v;
		memcpy(&v, (const char *)&l + r->off, sizeof(v));
		/* 0 may be a way to say off, which is told in brackets */
		bool right = v ? v >= r->least && v <= r->most : strchr(r->help, '(') != NULL;
		if (!right)
			tap_note("%s: %llu", r->flag, (unsigned long long)v);
		all = all && right;
	}
	tap_ok(all, "every limit has a value in its own range");
	tap_ok(l.query_memory == 512u << 20 || l.query_memory * 4 <= l.query_memory_total,
	    "a query may have a quarter of what all may have");
	l = (struct limits){ .query_memory = 1000, .query_memory_total = 500 };
	limits_fill(&l, 3);
	tap_ok(l.query_memory == 500 && l.query_concurrency == 6, "what was set stays, in bounds");
	tap_ok(l.http_answer_bytes == 375, "answers not read leave a part of what queries may have");
	char cmd[64];
	snprintf(cmd, sizeof(cmd), "rm -rf %s", root);
	CHECK(system(cmd) == 0);
	return tap_done();
}
