/*
 * What the catalog costs: bytes of each part, time to apply, select and look labels up. Three sets
 * of series in 16 shards: the recorded pages as 20 targets (36,180 series), a node_exporter page as
 * 100 targets, and generated ones of ten labels and about 216 bytes of labels.
 * Usage: b_catalog [generated series] [directory]
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "bench/micro/recorded.h"
#include "core/base/clock.h"
#include "storage/meta/catalog.h"
#include "tests/lib/testlib.h"

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

/* The series of a set, by shard; ids are indexes. */
struct set {
	struct arena arena;
	struct labels *of[SHARDS];
	unsigned count[SHARDS], cap[SHARDS];
};

static void set_add(struct set *s, struct labels ls)
{
	unsigned k = (unsigned)(label_fingerprint(ls, 0, 1).hi >> 60);
	if (s->count[k] == s->cap[k]) {
		s->cap[k] = s->cap[k] ? 2 * s->cap[k] : 1024;
		s->of[k] = mem_array(s->of[k], s->cap[k], sizeof(*s->of[k]));
	}
	s->of[k][s->count[k]++] = ls;
}

static void set_release(struct set *s)
{
	for (unsigned k = 0; k < SHARDS; k++)
		mem_free(s->of[k]);
	arena_release(&s->arena);
}

static void apply_batch(struct catalog *c, const struct set *s, unsigned shard, unsigned from,
    unsigned n, uint64_t rank)
{
	struct errbuf eb;
	struct catalog_def *defs = mem_array(NULL, n, sizeof(*defs));
	uint32_t *ids = mem_array(NULL, n, sizeof(*ids));
	for (unsigned i = 0; i < n; i++) {
		ids[i] = from + i;
		defs[i] = (struct catalog_def){ .id = from + i, .labels = s->of[shard][from + i] };
	}
	struct catalog_range range = { .t_ms = 0, .ids = ids, .count = n };
	errbuf_init(&eb);
	enum err e = catalog_apply(c, shard, rank, defs, n, &range, 1, &eb);
	if (e)
		die("apply", e, &eb);
	mem_free(defs);
	mem_free(ids);
}

static void apply_all(struct catalog *c, const struct set *s, unsigned batch)
{
	uint64_t bytes = 0, series = 0, rank = 1;
	double c0 = cpu_s(), w0 = wall_s();
	bool any = true;
	for (unsigned from = 0; any; from += batch, rank++) {
		any = false;
		for (unsigned k = 0; k < SHARDS; k++) {
			unsigned left = s->count[k] > from ? s->count[k] - from : 0;
			if (left)
				apply_batch(c, s, k, from, left < batch ? left : batch, rank);
			any |= left > batch;
		}
	}
	double cpu = cpu_s() - c0, wall = wall_s() - w0;
	for (unsigned k = 0; k < SHARDS; k++) {
		series += s->count[k];
		for (unsigned i = 0; i < s->count[k]; i++)
			bytes += s->of[k][i].len;
	}
	double n = (double)series;
	struct catalog_parts p;
	catalog_parts(c, &p);
	printf("  apply %.0f ns cpu, %.0f ns wall a series; labels %.1f B a series\n",
	    cpu / n * 1e9, wall / n * 1e9, (double)bytes / n);
	printf("  bytes a series: definitions %.2f, postings %.2f, ranges %.2f, dropped %.2f, "
	       "dictionaries %.2f, state %.2f; file %.2f\n",
	    (double)p.definitions / n, (double)p.postings / n, (double)p.ranges / n,
	    (double)p.dropped / n, (double)p.dictionaries / n, (double)p.state / n,
	    (double)p.file / n);
}

static uint64_t xorshift(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	return *seed ^= *seed << 17;
}

static int by_u32(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

/* 1,000 scattered ids, 10,000 neighbours; every labels compared. */
static void look_up(struct catalog *c, const struct set *s)
{
	static struct labels out[10000];
	static uint32_t ids[10000];
	struct arena a;
	struct errbuf eb;
	uint64_t seed = 88172645463325252u;
	errbuf_init(&eb);
	arena_init(&a, 1 << 20);
	const unsigned sizes[] = { 1000, s->count[3] < 10000 ? s->count[3] : 10000 };
	for (unsigned k = 0; k < 2; k++) {
		double best = 1e9;
		for (unsigned i = 0; i < sizes[k]; i++)
			ids[i] = k ? i : (uint32_t)(xorshift(&seed) % s->count[3]);
		qsort(ids, sizes[k], sizeof(*ids), by_u32);
		for (unsigned r = 0; r < 5; r++) {
			double c0 = cpu_s();
			enum err e = catalog_labels(c, 3, ids, sizes[k], &a, out, NULL, &eb);
			if (e)
				die("labels", e, &eb);
			best = cpu_s() - c0 < best ? cpu_s() - c0 : best;
			for (unsigned i = 0; i < sizes[k]; i++)
				if (!label_equal(out[i], s->of[3][ids[i]]))
					die("labels differ", ERR_DAMAGED, &eb);
			arena_reset(&a, 1 << 20);
		}
		printf("  labels of %u %s ids: %.2f ms, %.2f us each\n", sizes[k],
		    k ? "neighbouring" : "scattered", best * 1e3, best / sizes[k] * 1e6);
	}
	arena_release(&a);
}

static void run(const char *what, struct set *s, const char *path, unsigned batch,
    void (*selects)(struct catalog *c))
{
	struct errbuf eb;
	struct catalog *c;
	char cmd[160];
	uint64_t series = 0;
	errbuf_init(&eb);
	enum err e = catalog_open(path, SHARDS, 1, &c, &eb);
	if (e)
		die("open", e, &eb);
	for (unsigned k = 0; k < SHARDS; k++)
		series += s->count[k];
	printf("%s: %llu series, applied %u a shard at once\n", what, (unsigned long long)series,
	    batch);
	apply_all(c, s, batch);
	look_up(c, s);
	selects(c);
	catalog_close(c);
	double w0 = wall_s();
	e = catalog_check(path, NULL, NULL, &eb);
	printf("  walk in a child process: %s, %.0f ms\n", err_text(e), (wall_s() - w0) * 1e3);
	snprintf(cmd, sizeof(cmd), "rm -f %s/data.mdb %s/lock.mdb", path, path);
	if (system(cmd))
		die("rm", ERR_IO, &eb);
	set_release(s);
}

static void select_node(struct catalog *c)
{
	struct matcher m[2];
	struct errbuf eb;
	errbuf_init(&eb);
	if (matcher_init(&m[0], MATCHER_EQ, "__name__", 8, "node_cpu_seconds_total", 22, &eb) ||
	    matcher_init(&m[1], MATCHER_RE, "instance", 8, "10.20.[01].*", 12, &eb))
		die("matcher", ERR_BADDATA, &eb);
	ask(c, "one name", m, 1);
	ask(c, "one name, instance=~", m, 2);
	matcher_release(&m[0]);
	matcher_release(&m[1]);
}

static void select_generated(struct catalog *c)
{
	struct matcher m[3];
	struct errbuf eb;
	errbuf_init(&eb);
	if (matcher_init(&m[0], MATCHER_EQ, "__name__", 8, "http_request_seconds_007", 24, &eb) ||
	    matcher_init(&m[1], MATCHER_EQ, "namespace", 9, "namespace-7", 11, &eb) ||
	    matcher_init(&m[2], MATCHER_RE, "pod", 3, "frontend-.*[05]", 15, &eb))
		die("matcher", ERR_BADDATA, &eb);
	ask(c, "one name", m, 1);
	ask(c, "name, namespace", m, 2);
	ask(c, "name, namespace, pod=~", m, 3);
	ask(c, "pod=~ alone", m + 2, 1);
	for (int i = 0; i < 3; i++)
		matcher_release(&m[i]);
}

static void run_recorded(const char *path)
{
	static struct recorded rec[RECORDED_FILES];
	struct set s = { .count = { 0 } };
	arena_init(&s.arena, 1 << 20);
	for (unsigned f = 0; f < RECORDED_FILES; f++)
		if (!recorded_load(&rec[f], testlib_src(), recorded_names[f]))
			return;
	for (unsigned k = 0; k < 20; k++)
		for (unsigned f = 0; f < RECORDED_FILES; f++)
			for (size_t i = 0; i < rec[f].count; i++)
				set_add(&s,
				    recorded_series_labels(
				        &s.arena, rec[f].series[i].text, rec[f].name, k));
	run("recorded", &s, path, 1000000, select_node);
}

static void run_page(const char *path)
{
	struct set s = { .count = { 0 } };
	char line[4096];
	snprintf(line, sizeof(line), "%s/../shared/data/recorded/node-page.prom", testlib_src());
	FILE *f = fopen(line, "r");
	if (!f) {
		printf("# skipped: %s is not there\n", line);
		return;
	}
	arena_init(&s.arena, 1 << 20);
	for (unsigned k = 0; k < 100; k++) {
		rewind(f);
		while (fgets(line, sizeof(line), f)) {
			char *end = strchr(line, '}');
			if (line[0] == '#' || line[0] == '@')
				continue;
			end = end ? end + 1 : line + strcspn(line, " ");
			*end = 0;
			set_add(&s,
			    recorded_series_labels(
			        &s.arena, arena_strndup(&s.arena, line, strlen(line)), "node", k));
		}
	}
	fclose(f);
	run("node page", &s, path, 1000000, select_node);
}

int main(int argc, char **argv)
{
	unsigned series = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1000000;
	char dir[] = "/tmp/b_catalog.XXXXXX", cmd[128];
	const char *path = argc > 2 ? argv[2] : mkdtemp(dir);
	run_recorded(path);
	run_page(path);
	struct set s = { .count = { 0 } };
	arena_init(&s.arena, 1 << 20);
	for (unsigned n = 0; n < series; n++)
		set_add(&s, make(&s.arena, n));
	run("generated", &s, path, 60000, select_generated);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return argc > 2 ? 0 : system(cmd);
}
