/*
 * What the catalog costs: 1 M series of ten labels and about 216 bytes of labels in 16 shards, fed
 * in batches; then selections.
 * Usage: b_catalog [series] [directory]
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "core/base/clock.h"
#include "storage/meta/catalog.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define SHARDS 16

static double cpu_s(void)
{
	struct rusage ru;
	getrusage(RUSAGE_SELF, &ru);
	return (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
	    (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
}

static double wall_s(void)
{
	return (double)clock_mono_ns() / 1e9;
}

static struct labels make(struct arena *a, unsigned n)
{
	char inst[64], pod[64], ns[64], node[64], le[16], uid[40], metric[64];
	snprintf(metric, sizeof(metric), "http_request_seconds_%03u", n % 200);
	snprintf(
	    inst, sizeof(inst), "10.%u.%u.%u:9100", n / 65536 % 256, n / 256 % 256, n / 200 % 256);
	snprintf(pod, sizeof(pod), "frontend-%08x-%05u", n / 2000 * 2654435761u, n / 200);
	snprintf(ns, sizeof(ns), "namespace-%u", n / 4000 % 50);
	snprintf(node, sizeof(node), "node-%u", n / 2000 % 500);
	snprintf(le, sizeof(le), "%u", n % 12);
	snprintf(uid, sizeof(uid), "%08x",
	    n / 16 * 2654435761u); /* a value of its own for each series of a shard */
	return label_make(a, "__name__", metric, "instance", inst, "job", "pods", "pod", pod,
	    "namespace", ns, "node", node, "le", le, "cluster", "eu-1", "uid", uid, "method",
	    n % 2 ? "GET" : "POST", NULL);
}

static void die(const char *what, enum err e, const struct errbuf *eb)
{
	fprintf(stderr, "%s: %s %s\n", what, err_text(e), eb->text);
	exit(1);
}

static void ask(struct catalog *c, const char *what, struct matcher *ms, size_t n)
{
	struct errbuf eb;
	size_t total = 0;
	errbuf_init(&eb);
	double start = wall_s();
	const int rounds = 5;
	for (int r = 0; r < rounds; r++) {
		for (unsigned s = 0; s < SHARDS; s++) {
			uint32_t *ids;
			size_t count;
			enum err e = catalog_select(c, s, 0, ms, n, 0, INT64_MAX, &ids, &count, &eb);
			if (e)
				die("select", e, &eb);
			total += count;
			mem_free(ids);
		}
	}
	printf("select %-60s %8zu series %8.2f ms over all shards\n", what, total / rounds,
	    (wall_s() - start) / rounds * 1e3);
}

int main(int argc, char **argv)
{
	unsigned series = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1000000;
	char dir[] = "/tmp/b_catalog.XXXXXX", cmd[128];
	const char *path = argc > 2 ? argv[2] : mkdtemp(dir);
	struct errbuf eb;
	struct catalog *c;
	errbuf_init(&eb);
	enum err e = catalog_open(path, SHARDS, 1, &c, &eb);
	if (e)
		die("open", e, &eb);
	const unsigned per_shard = series / SHARDS;
	uint64_t label_bytes = 0;
	for (unsigned batch = 5000; batch <= 60000; batch *= 12) {
		double cpu = 0, wall = 0;
		unsigned done = 0;
		if (batch == 5000) /* a warm-up that also makes many generations: one shard */
			continue;
		for (unsigned s = 0; s < SHARDS; s++) {
			for (unsigned from = 0; from < per_shard; from += batch) {
				unsigned n = per_shard - from < batch ? per_shard - from : batch;
				struct arena a;
				arena_init(&a, 1 << 20);
				struct catalog_def *defs = mem_array(NULL, n, sizeof(*defs));
				uint32_t *ids = mem_array(NULL, n, sizeof(*ids));
				for (unsigned i = 0; i < n; i++) {
					defs[i] = (struct catalog_def){ .id = from + i,
						.labels = make(&a, (from + i) * SHARDS + s) };
					label_bytes += defs[i].labels.len;
					ids[i] = from + i;
				}
				struct catalog_range range = { .t_ms = 0, .ids = ids, .count = n };
				double c0 = cpu_s(), w0 = wall_s();
				e = catalog_apply(c, s, from + 1, defs, n, &range, 1, &eb);
				if (e)
					die("apply", e, &eb);
				cpu += cpu_s() - c0;
				wall += wall_s() - w0;
				done += n;
				mem_free(defs);
				mem_free(ids);
				arena_release(&a);
			}
		}
		printf(
		    "apply of up to %u: %u series, %.2f us cpu %.2f us wall per series; %.0f B labels, %.0f B on disk per series\n",
		    batch, done, cpu / done * 1e6, wall / done * 1e6, (double)label_bytes / done,
		    (double)catalog_disk_bytes(c) / done);
	}
	struct matcher m[3];
	if (matcher_init(&m[0], MATCHER_EQ, "__name__", 8, "http_request_seconds_007", 24, &eb) ||
	    matcher_init(&m[1], MATCHER_EQ, "namespace", 9, "namespace-7", 11, &eb) ||
	    matcher_init(&m[2], MATCHER_RE, "pod", 3, "frontend-.*[05]", 15, &eb))
		die("matcher", ERR_BADDATA, &eb);
	ask(c, "one name", m, 1);
	ask(c, "name, namespace", m, 2);
	ask(c, "name, namespace, pod=~", m, 3);
	ask(c, "pod=~ alone", m + 2, 1);
	double w0;
	struct arena a;
	arena_init(&a, 1 << 20);
	uint32_t ids[10000];
	struct labels out[10000];
	for (uint32_t i = 0; i < 10000; i++)
		ids[i] = i * 6;
	w0 = wall_s();
	e = catalog_labels(c, 3, ids, 10000, &a, out, NULL, &eb);
	if (e)
		die("labels", e, &eb);
	printf("labels of every sixth id: %.2f us each\n", (wall_s() - w0) / 10000 * 1e6);
	arena_release(&a);
	catalog_close(c);
	w0 = wall_s();
	e = catalog_check(path, NULL, NULL, &eb);
	printf("walk in a child process: %s, %.0f ms\n", err_text(e), (wall_s() - w0) * 1e3);
	for (int i = 0; i < 3; i++)
		matcher_release(&m[i]);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return argc > 2 ? 0 : system(cmd);
}
