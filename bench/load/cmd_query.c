/*
 * kymobench query - a file of queries (bench/load/shapes.h), each run --rounds times against one or
 * more servers in turn; medians in ms, how they stand to the first server's, whether the answers
 * are equal to its own (bench/load/answer.h). With two servers it ends with the geometric mean of
 * the first one's time in that of the second.
 */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/access.h"
#include "bench/load/answer.h"
#include "bench/load/cmd.h"
#include "bench/load/httpc.h"
#include "bench/load/procstat.h"
#include "bench/load/shapes.h"
#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/num.h"

#define SERVERS_MAX    8
#define QUERY_PATH_MAX 7000
#define FAILURES_MAX   5 /* of the first queries: then none will do */

struct server {
	const char *url;
	struct httpc http;
	int pid;    /* 0: not told */
	double *ms; /* one per round */
	double *cpu_ms;
	double median_cpu_ms;
	double median_ms, sum_ms;
	size_t bytes;
	uint64_t series;
	struct answer answer; /* of the last round, where there is somebody to compare with */
	char differs[1200];   /* how it differs from the first server's, "" = it does not */
	bool answered;
};
struct plan {
	struct server servers[SERVERS_MAX];
	unsigned servers_count, rounds;
	double start_s, end_s, step_s, tolerance;
	double logs, worst; /* of first / second server: sum of logarithms, the largest */
	double cpu_logs;    /* the same of CPU time, where both were told */
	size_t timed;
	unsigned pids;
	const char *extra; /* appended parameters, e.g. nocache=1 */
	uint64_t failed, different;
	bool json; /* a line of JSON for each query, for programs */
};

static void escape(char *out, size_t cap, const char *s)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t n = 0;
	for (; *s && n + 4 < cap; s++) {
		unsigned char c = (unsigned char)*s;
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    strchr("-_.", c)) {
			out[n++] = (char)c;
		} else {
			out[n++] = '%';
			out[n++] = hex[c >> 4];
			out[n++] = hex[c & 15];
		}
	}
	out[n] = 0;
}

static int cmp_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static void path_of(const struct plan *p, const struct shape *q, char path[QUERY_PATH_MAX])
{
	char escaped[QUERY_PATH_MAX / 2];
	double start = q->own ? p->end_s - q->range_s : p->start_s;
	double step = q->own ? q->step_s : p->step_s;
	escape(escaped, sizeof(escaped), q->expr);
	int n = q->instant
	    ? snprintf(path, QUERY_PATH_MAX, "/api/v1/query?query=%s&time=%.3f", escaped, p->end_s)
	    : snprintf(path, QUERY_PATH_MAX,
	          "/api/v1/query_range?query=%s&start=%.3f&end=%.3f&step=%.3f", escaped, start,
	          p->end_s, step);
	snprintf(path + n, QUERY_PATH_MAX - (size_t)n, "%s%s", *p->extra ? "&" : "", p->extra);
}

static bool run_once(struct plan *p, struct server *s, const struct shape *q, unsigned round)
{
	char path[QUERY_PATH_MAX];
	path_of(p, q, path);
	size_t off = 0;
	uint64_t cpu = s->pid ? procstat_cpu_ns(s->pid) : 0, begin = clock_real_mono_ns();
	int status = httpc_do(&s->http, "GET", path, "", NULL, 0, &off);
	int why = errno;
	s->ms[round] = (double)(clock_real_mono_ns() - begin) / 1e6;
	s->cpu_ms[round] =
	    s->pid ? fmax(0, (double)(int64_t)(procstat_cpu_ns(s->pid) - cpu)) / 1e6 : 0;
	if (status != 200) {
		p->failed++;
		if (status > 0)
			fprintf(stderr, "%s: %d %.*s: %s\n", s->url, status,
			    (int)(s->http.in.len - off), (char *)s->http.in.data + off, q->expr);
		else
			fprintf(stderr, "%s: no answer (%s): %s\n", s->url, strerror(why), q->expr);
		return false;
	}
	s->bytes = s->http.in.len - off;
	s->series = 0;
	const char *in = (const char *)s->http.in.data + off, *end = in + s->bytes;
	while ((in = memmem(in, (size_t)(end - in), "\"metric\":", 9))) {
		s->series++;
		in += 9;
	}
	return true;
}

/* The last round's answer, kept until the query's line is printed. */
static void keep_answer(struct server *s)
{
	size_t off = s->http.in.len - s->bytes;
	s->answered = !answer_parse((const char *)s->http.in.data + off, s->bytes, &s->answer);
}

static void answers_drop(struct plan *p)
{
	for (unsigned k = 0; k < p->servers_count; k++) {
		if (p->servers[k].answered)
			answer_release(&p->servers[k].answer);
		p->servers[k].answered = false;
	}
}

/* Everybody against the first server. */
static void compare(struct plan *p)
{
	struct server *first = &p->servers[0];
	bool equal = true;
	for (unsigned k = 1; k < p->servers_count; k++) {
		struct server *s = &p->servers[k];
		struct answer_diff d = { 0 };
		struct errbuf why;
		errbuf_init(&why);
		s->differs[0] = 0;
		if (!first->answered || !s->answered)
			errbuf_set(&why, ERR_BADDATA, "no answer of Prometheus' HTTP API");
		else if (answer_compare(&first->answer, &s->answer, p->tolerance, &d, &why))
			continue;
		snprintf(s->differs, sizeof(s->differs),
		    "%zu of %zu points equal, others up to %.2g off%s; first: %s", d.near, d.points,
		    d.largest, d.others ? ", some are missing" : "", why.text);
		if (!p->json)
			printf("DIFFERENT (%s: %s)  ", s->url, s->differs);
		equal = false;
	}
	if (equal && !p->json)
		printf("equal  ");
	p->different += !equal;
}

static void add_ratio(struct plan *p)
{
	double ratio = p->servers[0].median_ms / p->servers[1].median_ms;
	p->logs += log(ratio);
	p->worst = fmax(p->worst, ratio);
	p->timed++;
	if (p->servers[0].median_cpu_ms > 0 && p->servers[1].median_cpu_ms > 0)
		p->cpu_logs += log(p->servers[0].median_cpu_ms / p->servers[1].median_cpu_ms);
}

/* {"query": "...", "servers": [{"url", "ms", "cpu_ms", "series", "bytes", "differs"}, ...]} */
static void print_json(const struct plan *p, const struct shape *q)
{
	json_t *servers = json_array();
	for (unsigned k = 0; k < p->servers_count; k++) {
		const struct server *s = &p->servers[k];
		json_t *o = json_pack("{s:s,s:f,s:I,s:I,s:s*}", "url", s->url, "ms", s->median_ms,
		    "series", (json_int_t)s->series, "bytes", (json_int_t)s->bytes, "differs",
		    s->differs[0] ? s->differs : NULL);
		if (s->pid)
			json_object_set_new(o, "cpu_ms", json_real(s->median_cpu_ms));
		json_array_append_new(servers, o);
	}
	json_t *line = json_pack("{s:s,s:o}", "query", q->name, "servers", servers);
	json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
	putchar('\n');
	json_decref(line);
}

static void run_query(struct plan *p, const struct shape *q)
{
	bool many = p->servers_count > 1;
	for (unsigned round = 0; round < p->rounds; round++) {
		for (unsigned k = 0; k < p->servers_count; k++) {
			if (!run_once(p, &p->servers[k], q, round)) {
				answers_drop(p);
				return;
			}
			if (many && round + 1 == p->rounds)
				keep_answer(&p->servers[k]);
		}
	}
	for (unsigned k = 0; k < p->servers_count; k++) {
		struct server *s = &p->servers[k];
		qsort(s->ms, p->rounds, sizeof(*s->ms), cmp_double);
		qsort(s->cpu_ms, p->rounds, sizeof(*s->cpu_ms), cmp_double);
		s->median_ms = s->ms[p->rounds / 2];
		s->median_cpu_ms = s->cpu_ms[p->rounds / 2];
		s->sum_ms += s->median_ms;
		if (p->json)
			continue;
		if (s->pid)
			printf("%8.2f CPU ms ", s->median_cpu_ms);
		printf("%10.2f ms %7llu series %9zu B  ", s->median_ms,
		    (unsigned long long)s->series, s->bytes);
	}
	for (unsigned k = 1; k < p->servers_count && !p->json; k++)
		printf("%6.3f of it  ", p->servers[0].median_ms / p->servers[k].median_ms);
	if (many) {
		add_ratio(p);
		compare(p);
	}
	answers_drop(p);
	if (p->json)
		print_json(p, q);
	else
		printf("%s\n", q->name);
	fflush(stdout);
}

static bool add_url(void *arg, const char *value)
{
	struct plan *p = arg;
	if (p->servers_count == SERVERS_MAX)
		return false;
	p->servers[p->servers_count++].url = value;
	return true;
}

static bool add_pid(void *arg, const char *value)
{
	struct plan *p = arg;
	if (p->pids == SERVERS_MAX)
		return false;
	p->servers[p->pids++].pid = (int)strtol(value, NULL, 10);
	return true;
}

/* The first server is the usual one where only peers are named. */
static bool add_peer(void *arg, const char *value)
{
	struct plan *p = arg;
	if (!p->servers_count)
		add_url(p, "http://127.0.0.1:9470");
	return add_url(p, value);
}

static double time_s(const char *text, const char *name)
{
	int64_t ms;
	if (num_parse_time(text, strlen(text), &ms)) {
		fprintf(stderr, "kymobench query: --%s: \"%s\" is not a time\n", name, text);
		exit(2);
	}
	return (double)ms / 1000;
}

int cmd_query(int argc, char **argv)
{
	struct plan p = { .extra = "" };
	static struct access access;
	const char *file = NULL, *start = NULL, *end = NULL, *step = "15s", *only = "",
	           *tolerance = "1e-9";
	double rounds = 5;
	const struct cmdline_arg args[] = {
		{ .name = "file", .meta = "FILE", .help = "queries: lines, or JSON", .text = &file },
		{ .name = "url",
		    .meta = "URL",
		    .help =
		        "server, its base or a path of its API (http://127.0.0.1:9470); several: answers are compared",
		    .each = add_url,
		    .arg = &p },
		{ .name = "peer", .meta = "URL", .help = "one more server", .each = add_peer, .arg = &p },
		{ .name = "start", .meta = "TIME", .help = "begin of ranges (end - 1 h)", .text = &start },
		{ .name = "end",
		    .meta = "TIME",
		    .help = "end of ranges and time of instant queries (now)",
		    .text = &end },
		{ .name = "step", .meta = "DURATION", .help = "step of ranges (15s)", .text = &step },
		{ .name = "rounds",
		    .meta = "N",
		    .help = "times each query runs on each server (5)",
		    .num = &rounds },
		{ .name = "pid",
		    .meta = "PID",
		    .help = "a server's process, in their order: its CPU time is told, too",
		    .each = add_pid,
		    .arg = &p },
		{ .name = "only",
		    .meta = "TEXT",
		    .help = "queries whose name holds it (all)",
		    .text = &only },
		{ .name = "tolerance",
		    .meta = "X",
		    .help = "values that differ by this part of their size are equal (1e-9)",
		    .text = &tolerance },
		{ .name = "extra",
		    .meta = "PARAMS",
		    .help = "parameters added to each request, e.g. nocache=1",
		    .text = &p.extra },
		{ .name = "json",
		    .help = "a line of JSON for each query, instead of one for people",
		    .flag = &p.json },
		ACCESS_ARGS(access),
	};
	cmd_parse("query", argc, argv, args, COUNT_OF(args));
	if (!file || rounds < 1) {
		fprintf(stderr, "kymobench query: --file is needed, --rounds at least 1\n");
		return 2;
	}
	if (!p.servers_count)
		add_url(&p, "http://127.0.0.1:9470");
	p.rounds = (unsigned)rounds;
	p.end_s = end ? time_s(end, "end") : (double)clock_wall_ms() / 1000;
	p.start_s = start ? time_s(start, "start") : p.end_s - 3600;
	p.step_s = cmd_duration_s(step, "step");
	p.tolerance = strtod(tolerance, NULL);
	struct shapes shapes;
	struct errbuf eb;
	errbuf_init(&eb);
	if (shapes_load(file, &shapes, &eb)) {
		fprintf(stderr, "kymobench query: %s: %s\n", file, eb.text);
		return 2;
	}
	if (access_use(&access, &eb)) {
		fprintf(stderr, "kymobench query: %s\n", eb.text);
		return 2;
	}
	for (unsigned k = 0; k < p.servers_count; k++) {
		struct httpc_url u;
		char api[HTTPC_API_MAX];
		if (httpc_url_parse(p.servers[k].url, &u, &eb)) {
			fprintf(stderr, "kymobench query: %s\n", eb.text);
			return 2;
		}
		httpc_url_base(&u, api);
		httpc_init(&p.servers[k].http, &u);
		p.servers[k].ms = mem_array(NULL, p.rounds, sizeof(double));
		p.servers[k].cpu_ms = mem_array(NULL, p.rounds, sizeof(double));
	}
	size_t count = 0;
	for (size_t i = 0; i < shapes.count; i++) {
		if (!strstr(shapes.list[i].name, only))
			continue;
		run_query(&p, &shapes.list[i]);
		count++;
		if (p.failed == FAILURES_MAX && p.failed == count) {
			fprintf(stderr,
			    "kymobench query: stopped, the first %d queries all failed: is there a server with Prometheus' HTTP API?\n",
			    FAILURES_MAX);
			break;
		}
	}
	printf("{\"queries\":%zu,\"failed\":%llu", count, (unsigned long long)p.failed);
	for (unsigned k = 0; k < p.servers_count; k++)
		printf(",\"sum_of_medians_ms_%c\":%.2f", 'a' + (int)k, p.servers[k].sum_ms);
	if (p.servers_count == 2 && p.servers[0].sum_ms > 0)
		printf(",\"ratio\":%.3f,\"geometric_mean\":%.3f,\"worst\":%.3f",
		    p.servers[0].sum_ms / p.servers[1].sum_ms,
		    p.timed ? exp(p.logs / (double)p.timed) : 0, p.worst);
	if (p.servers_count == 2 && p.pids == 2 && p.timed)
		printf(",\"geometric_mean_cpu\":%.3f", exp(p.cpu_logs / (double)p.timed));
	if (p.servers_count > 1)
		printf(",\"different\":%llu", (unsigned long long)p.different);
	printf("}\n");
	for (unsigned k = 0; k < p.servers_count; k++) {
		httpc_release(&p.servers[k].http);
		mem_free(p.servers[k].ms);
		mem_free(p.servers[k].cpu_ms);
	}
	shapes_free(&shapes);
	return p.failed || p.different ? 1 : 0;
}
