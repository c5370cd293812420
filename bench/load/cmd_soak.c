/*
 * kymobench soak - hours of paced writing beside a dashboard that is asked at intervals; each
 * interval is a JSON line: memory, CPU, latencies, bytes on disk. The last line tells slopes of
 * memory and latencies, and whether they grow (trend.h).
 *
 * The first part of the run (--warm-up, a quarter) is not in the slopes: caches and heads fill.
 */
#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/load/cmd.h"
#include "bench/load/loadargs.h"
#include "bench/load/pacer.h"
#include "bench/load/procstat.h"
#include "bench/load/progress.h"
#include "bench/load/trend.h"
#include "core/base/clock.h"

#define MEMORY_BYTES (64u << 20)
#define PANELS       6u
#define ALL_S        3600.0 /* range of a panel */
#define STEP_S       60.0

enum figure {
	RSS,
	WRITE_P50,
	WRITE_P99,
	QUERY,
	CPU,
	FIGURES
};
static const char *const figure_names[FIGURES] = { "rss_mb", "write_p50_ms", "write_p99_ms",
	"query_ms", "cores" };
/* Those that are not to grow. */
static const enum figure judged[] = { RSS, WRITE_P50, QUERY };

struct soak {
	struct loadargs l;
	const char *duration, *every, *pace, *data_dir, *warm_up;
	double hours, pid;
	bool human;
	/* the run */
	struct loadgen *gen;
	struct pacer pacer;
	pthread_t maker;
	bool stop;
	struct httpc http;
	char panels[PANELS][1000];
	unsigned panels_count;
	double duration_s, every_s, warm_up_s;
	uint64_t begin_ns, queries, query_failures;
	double *x, *y[FIGURES]; /* [intervals] */
	size_t count, cap;
	struct procstat was;
	uint64_t was_samples;
	char why[300]; /* the first query that failed */
};
static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

static double now_s(const struct soak *s)
{
	return (double)(clock_real_mono_ns() - s->begin_ns) / 1e9;
}

/* ---- the dashboard ---- */

/* Panels over a few of the workload's own metrics. */
static void add_panel(void *arg, const char *name, size_t len, bool hist)
{
	struct soak *s = arg;
	if (hist || s->panels_count == PANELS)
		return;
	char *to = s->panels[s->panels_count];
	unsigned form = s->panels_count % 3;
	snprintf(to, sizeof(s->panels[0]), "%s({__name__=\"%.*s\",%s}%s",
	    form == 0       ? "sum(rate"
	        : form == 1 ? "max(max_over_time"
	                    : "count",
	    (int)len, name, loadgen_selector(s->gen), form == 2 ? ")" : "[5m]))");
	s->panels_count++;
}

static void escape(char *out, size_t cap, const char *s)
{
	size_t n = 0;
	for (; *s && n + 4 < cap; s++)
		n += (size_t)snprintf(out + n, 4, "%%%02X", (unsigned char)*s);
	out[n] = 0;
}

/* Milliseconds of all panels together. */
static double ask_dashboard(struct soak *s)
{
	double sum = 0, end = (double)clock_wall_ms() / 1000;
	char expr[3 * 1000 + 4], path[sizeof(expr) + 300];
	for (unsigned i = 0; i < s->panels_count; i++) {
		size_t off = 0;
		escape(expr, sizeof(expr), s->panels[i]);
		snprintf(path, sizeof(path),
		    "/api/v1/query_range?query=%s&start=%.0f&end=%.0f&step=%.0f", expr, end - ALL_S,
		    end, STEP_S);
		uint64_t begin = clock_real_mono_ns();
		int status = httpc_do(&s->http, "GET", path, "", NULL, 0, &off);
		sum += (double)(clock_real_mono_ns() - begin) / 1e6;
		s->queries++;
		s->query_failures += status != 200;
		if (status == 200 || s->why[0])
			continue;
		if (status < 0)
			snprintf(s->why, sizeof(s->why), "no answer (%s)", strerror(errno));
		else
			snprintf(s->why, sizeof(s->why), "%d %.*s", status,
			    (int)(s->http.in.len - off), (char *)s->http.in.data + off);
	}
	return sum;
}

/* ---- an interval ---- */

static uint64_t disk_bytes;

static int add_file(const char *path, const struct stat *st, int what, struct FTW *ftw)
{
	(void)path, (void)ftw;
	disk_bytes += what == FTW_F ? (uint64_t)st->st_blocks * 512 : 0;
	return 0;
}

static void keep(struct soak *s, double at_s, const double figures[FIGURES])
{
	if (s->count == s->cap) {
		s->cap = s->cap ? 2 * s->cap : 256;
		s->x = mem_array(s->x, s->cap, sizeof(double));
		for (unsigned f = 0; f < FIGURES; f++)
			s->y[f] = mem_array(s->y[f], s->cap, sizeof(double));
	}
	s->x[s->count] = at_s;
	for (unsigned f = 0; f < FIGURES; f++)
		s->y[f][s->count] = figures[f];
	s->count++;
}

static bool look(const struct soak *s, struct procstat *p)
{
	memset(p, 0, sizeof(*p));
	return s->pid <= 0 || !procstat_read((int)s->pid, p);
}

/* False: the server has ended. */
static bool interval(struct soak *s, double took_s)
{
	struct fleet_tally t;
	struct procstat p;
	double figures[FIGURES], max_ms, at_s = now_s(s);
	bool there = look(s, &p);
	fleet_tally(s->pacer.fleet, &t);
	uint64_t answers =
	    fleet_span(s->pacer.fleet, &figures[WRITE_P50], &figures[WRITE_P99], &max_ms);
	figures[QUERY] = ask_dashboard(s);
	figures[RSS] = p.rss_mb;
	figures[CPU] = took_s > 0 ? (p.cpu_s - s->was.cpu_s) / took_s : 0;
	disk_bytes = 0;
	if (s->data_dir)
		(void)nftw(s->data_dir, add_file, 16, FTW_PHYS);
	printf("{\"at_s\":%.1f,\"samples\":%llu,\"samples_per_s\":%.0f,\"answers\":%llu", at_s,
	    (unsigned long long)t.samples,
	    took_s > 0 ? (double)(t.samples - s->was_samples) / took_s : 0,
	    (unsigned long long)answers);
	for (unsigned f = 0; f < FIGURES; f++)
		printf(",\"%s\":%.3f", figure_names[f], figures[f]);
	printf(",\"write_max_ms\":%.1f,\"anon_mb\":%.1f,\"disk_bytes\":%llu,\"failed\":%llu",
	    max_ms, p.anon_mb, (unsigned long long)disk_bytes, (unsigned long long)t.failed);
	printf(",\"retries\":%llu,\"query_failures\":%llu}\n", (unsigned long long)t.retries,
	    (unsigned long long)s->query_failures);
	fflush(stdout);
	s->was = p;
	s->was_samples = t.samples;
	if (answers)
		keep(s, at_s, figures);
	return there;
}

/* ---- the end ---- */

struct trend_line {
	double slope_h, error_h, mean;
	const char *word;
};

static struct trend_line trend_line(const struct soak *s, enum figure f)
{
	size_t from = 0;
	while (from < s->count && s->x[from] < s->warm_up_s)
		from++;
	struct trend t = trend_of(s->x + from, s->y[f] + from, s->count - from);
	return (struct trend_line){ .slope_h = t.slope * 3600,
		.error_h = t.error * 3600,
		.mean = t.mean,
		.word = trend_word(&t) };
}

/* True: nothing grows, and nothing failed. */
static bool tell(const struct soak *s)
{
	struct fleet_tally t;
	bool good = true;
	fleet_tally(s->pacer.fleet, &t);
	printf(
	    "{\"summary\":true,\"kind\":\"%s\",\"seconds\":%.1f,\"intervals\":%zu,\"warm_up_s\":%.1f",
	    s->l.kind->name, now_s(s), s->count, s->warm_up_s);
	printf(",\"samples\":%llu,\"requests\":%llu,\"failed\":%llu,\"retries\":%llu,\"refused\":%llu",
	    (unsigned long long)t.samples, (unsigned long long)t.requests,
	    (unsigned long long)t.failed, (unsigned long long)t.retries,
	    (unsigned long long)t.refused);
	printf(",\"queries\":%llu,\"query_failures\":%llu", (unsigned long long)s->queries,
	    (unsigned long long)s->query_failures);
	for (unsigned f = 0; f < FIGURES; f++) {
		struct trend_line l = trend_line(s, f);
		printf(
		    ",\"%s\":{\"mean\":%.3f,\"slope_per_h\":%.4f,\"error_per_h\":%.4f,\"trend\":\"%s\"}",
		    figure_names[f], l.mean, l.slope_h, l.error_h, l.word);
	}
	printf(
	    ",\"rule\":\"grows: the slope is over %.0f standard errors, and over %.0f %% of the mean in the run\"}\n",
	    TREND_ERRORS, 100 * TREND_PART);
	for (size_t i = 0; i < COUNT_OF(judged); i++) {
		struct trend_line l = trend_line(s, judged[i]);
		bool of_server = judged[i] != RSS || s->pid > 0;
		good = good && (!of_server || strcmp(l.word, "grows") != 0);
		if (of_server && (s->human || isatty(STDERR_FILENO)))
			fprintf(stderr, "%s: mean %.2f, %+.3f +- %.3f an hour: %s\n",
			    figure_names[judged[i]], l.mean, l.slope_h, l.error_h, l.word);
	}
	if (s->why[0])
		fprintf(stderr, "kymobench soak: first query that failed: %.*s\n",
		    (int)strcspn(s->why, "\n"), s->why);
	if (t.why[0])
		fprintf(stderr, "kymobench soak: first refusal: %.*s\n", (int)strcspn(t.why, "\n"),
		    t.why);
	return good && !t.failed && !s->query_failures;
}

/* ---- the command ---- */

static void parse(struct soak *s, int argc, char **argv)
{
	const struct cmdline_arg args[] = {
		{ .name = "hours", .meta = "N", .help = "how long (1)", .num = &s->hours },
		{ .name = "duration",
		    .meta = "DURATION",
		    .help = "the same as a duration, e.g. 30m",
		    .text = &s->duration },
		{ .name = "every",
		    .meta = "DURATION",
		    .help = "an interval: a line, and the dashboard is asked (60s)",
		    .text = &s->every },
		{ .name = "warm-up",
		    .meta = "DURATION",
		    .help = "not in the slopes (a quarter of the run)",
		    .text = &s->warm_up },
		{ .name = "pace",
		    .meta = "DURATION",
		    .help = "wall time between rounds (the workload's step: node 15s)",
		    .text = &s->pace },
		{ .name = "pid",
		    .meta = "PID",
		    .help = "the server's process: memory and CPU",
		    .num = &s->pid },
		{ .name = "data-dir",
		    .meta = "DIR",
		    .help = "the server's directory: bytes on disk",
		    .text = &s->data_dir },
		{ .name = "human",
		    .help = "the result in words on stderr, too (always on a terminal)",
		    .flag = &s->human },
		LOADARGS_ARGS(s->l),
	};
	cmd_parse("soak", argc, argv, args, COUNT_OF(args));
	s->duration_s = s->duration ? cmd_duration_s(s->duration, "duration") : s->hours * 3600;
	s->every_s = cmd_duration_s(s->every, "every");
	s->warm_up_s = s->warm_up ? cmd_duration_s(s->warm_up, "warm-up") : s->duration_s / 4;
	if (s->duration_s <= 0 || s->every_s <= 0) {
		fprintf(stderr, "kymobench soak: --duration and --every must be more than 0\n");
		exit(2);
	}
}

static void *maker_main(void *arg)
{
	pacer_run(arg);
	return NULL;
}

static void begin(struct soak *s)
{
	s->l.step = s->l.step ? s->l.step : s->pace;
	s->gen = loadargs_use(&s->l, "soak", 0);
	struct fleet_opts o = loadargs_fleet(&s->l);
	double pace_s = s->pace ? cmd_duration_s(s->pace, "pace") : (double)s->l.gen.step_ms / 1000;
	o.memory_bytes = MEMORY_BYTES;
	s->pacer = (struct pacer){ .gen = s->gen,
		.body = loadargs_body(&s->l),
		.fleet = fleet_new(&o),
		.rounds = UINT64_MAX,
		.pace_s = pace_s,
		.stop = &s->stop };
	loadgen_names(s->gen, add_panel, s);
	httpc_init(&s->http, &s->l.query);
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	fleet_gate(s->pacer.fleet, true);
	s->begin_ns = clock_real_mono_ns();
	if (pthread_create(&s->maker, NULL, maker_main, &s->pacer)) {
		perror("kymobench soak: pthread_create");
		exit(1);
	}
}

static void run(struct soak *s)
{
	bool there = look(s, &s->was);
	double last = 0;
	while (there && !interrupted && !fleet_hopeless(s->pacer.fleet) && now_s(s) < s->duration_s) {
		usleep(50000);
		double at = now_s(s);
		if (at - last < s->every_s)
			continue;
		there = interval(s, at - last);
		last = at;
	}
	if (!there)
		fprintf(stderr, "kymobench soak: the server has ended\n");
	__atomic_store_n(&s->stop, true, __ATOMIC_RELAXED);
	fleet_stop(s->pacer.fleet);
	pthread_join(s->maker, NULL);
	if (there)
		(void)interval(s, now_s(s) - last); /* what is left of it */
}

int cmd_soak(int argc, char **argv)
{
	static struct soak s = { .hours = 1, .every = "60s" };
	struct procstat p;
	loadargs_init(&s.l);
	parse(&s, argc, argv);
	if (!look(&s, &p)) {
		fprintf(stderr, "kymobench soak: no process %d\n", (int)s.pid);
		return 2;
	}
	begin(&s);
	run(&s);
	bool good = tell(&s) && look(&s, &p);
	fleet_free(s.pacer.fleet);
	rwbody_free(s.pacer.body);
	loadgen_free(s.gen);
	httpc_release(&s.http);
	mem_free(s.x);
	for (unsigned f = 0; f < FIGURES; f++)
		mem_free(s.y[f]);
	return good ? 0 : 1;
}
