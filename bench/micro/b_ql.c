/*
 * The PromQL engine alone: 10,000 series x 240 samples (15 s apart) in memory, 16 shards;
 * milliseconds a query, milliseconds of the asking loop's thread, nanoseconds of it a sample read.
 * b_ql [loops] [query [series [step in ms]]] - the best of RUNS runs.
 */
#include "core/base/clock.h"
#include "core/base/metric.h"
#include "core/promql/ql.h"
#include "tests/lib/memsrc.h"
#include "tests/lib/testteam.h"

#include <math.h>
#include <stdlib.h>
#include <sys/resource.h>

#define SERIES  10000u /* unless told */
#define SAMPLES 240u
#define STEP_MS 15000
#define BASE_MS INT64_C(1700000000000)
#define RUNS    7

static struct testteam tt;
static struct memsrc *src;
static unsigned series_count = SERIES;

struct run {
	const char *text;
	int64_t step_ms;
	struct ql *q;
	bool over;
	double total_s,
	    /* cpu: of the asking loop's thread, which does everything when there is one loop */
	    cpu_s;
	uint64_t samples, series;
	size_t out;
};

static void load(void)
{
	static const char *const modes[] = { "idle", "user", "system", "iowait", "irq", "softirq",
		"steal", "nice" };
	struct arena a;
	char host[32], cpu[16];

	arena_init(&a, 4096);
	for (unsigned i = 0; i < series_count; i++) {
		snprintf(host, sizeof(host), "host-%u", i / 64);
		snprintf(cpu, sizeof(cpu), "%u", i / 8 % 8);
		struct labels c = label_make(&a, "__name__", "cpu_seconds_total", "cpu", cpu,
		    "instance", host, "job", "node", "mode", modes[i % 8], NULL);
		double v = (double)(i * 100);
		for (unsigned k = 0; k < SAMPLES; k++) {
			v += (double)((i * 7 + k * 13) % 30) / 8;
			if (memsrc_add(src, c, BASE_MS + k * STEP_MS, v))
				abort();
		}
		arena_reset(&a, 4096);
	}
	arena_release(&a);
}

static double thread_cpu_s(void)
{
	struct rusage u;
	if (getrusage(RUSAGE_THREAD, &u))
		abort();
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void done(void *arg, struct ql *q)
{
	struct run *r = arg;
	const char *text;

	if (ql_err(q, &text)) {
		fprintf(stderr, "%s: %s\n", r->text, text);
		exit(1);
	}
	r->cpu_s = thread_cpu_s() - r->cpu_s;
	r->total_s = ql_stats(q)->total_s;
	r->samples = ql_stats(q)->samples_total;
	r->out = ql_result(q)->series_count;
	ql_free(q);
	r->over = true;
}

static void start(void *arg)
{
	struct run *r = arg;
	struct errbuf eb;
	struct ql_opts o = {
		.source = memsrc_source(src),
		.start_ms = BASE_MS + 300000,
		.end_ms = r->step_ms ? BASE_MS + (SAMPLES - 1) * STEP_MS : BASE_MS + 300000,
		.step_ms = r->step_ms,
		.done = done,
		.arg = r,
	};
	errbuf_init(&eb);
	r->cpu_s = thread_cpu_s();
	if (ql_create(r->text, strlen(r->text), &o, &r->q, &eb)) {
		fprintf(stderr, "%s\n", eb.text);
		exit(1);
	}
	ql_start(r->q);
}

static bool is_over(void *arg)
{
	return ((struct run *)arg)->over;
}

static void bench(const char *text, int64_t step_ms)
{
	double best = INFINITY, cpu = INFINITY;
	struct run r = { 0 };
	uint64_t moved = metric_sum(M_QUERY_MOVED_BYTES);

	for (int i = 0; i < RUNS; i++) {
		r = (struct run){ .text = text, .step_ms = step_ms };
		testteam_run(&tt, 0, start, &r);
		testteam_wait(&tt, 0, is_over, &r, 60000);
		best = fmin(best, r.total_s);
		cpu = fmin(cpu, r.cpu_s);
	}
	moved = (metric_sum(M_QUERY_MOVED_BYTES) - moved) / RUNS;
	printf("%7.2f ms %7.2f ms cpu %6.2f ns/sample %6zu series %7.1f KiB moved  %s\n",
	    best * 1e3, cpu * 1e3, cpu * 1e9 / (double)(r.samples ? r.samples : 1), r.out,
	    (double)moved / 1024, text);
}

int main(int argc, char **argv)
{
	testteam_start(&tt, argc > 1 ? (unsigned)atol(argv[1]) : 1);
	src = memsrc_create(tt.team, 16);
	if (argc > 3)
		series_count = (unsigned)atol(argv[3]);
	load();
	if (argc > 2) {
		for (int i = 0; i < (argc > 3 ? 1 : 30); i++)
			bench(argv[2], argc > 4 ? atol(argv[4]) : 55000);
	} else {
		bench("sum by (mode) (rate(cpu_seconds_total[5m]))", 55000);
		bench("sum by (mode) (cpu_seconds_total)", 55000);
		bench("avg(cpu_seconds_total)", 55000);
		bench("max by (instance) (max_over_time(cpu_seconds_total[5m]))", 55000);
		bench("avg by (instance) (avg_over_time(cpu_seconds_total[30m]))", 55000);
		bench("quantile_over_time(0.9, cpu_seconds_total[5m])", 55000);
		bench("rate(cpu_seconds_total[5m])", 55000);
		bench("cpu_seconds_total{mode=\"idle\"} / on (instance, cpu) cpu_seconds_total{mode=\"user\"}",
		    55000);
		bench("cpu_seconds_total / ignoring (mode) group_left sum without (mode) (cpu_seconds_total)",
		    55000);
		bench("topk(5, rate(cpu_seconds_total[5m]))", 55000);
		bench("predict_linear(cpu_seconds_total[30m], 3600)", 55000);
		bench("sum by (mode) (rate(cpu_seconds_total[5m]))", 0);
		bench("cpu_seconds_total", 0);
	}
	memsrc_free(src);
	testteam_stop(&tt);
	return 0;
}
