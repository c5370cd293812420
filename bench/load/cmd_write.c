/*
 * kymobench write - with --pace bodies are made while others are sent (pacer.h). Else they are
 * prepared before the clock starts (in waves that fit --memory); each
 * connection is a thread that sends its share of a round in order, and a series' samples go over
 * one connection, in time order, as Prometheus' shards do.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/load/access.h"
#include "bench/load/cmd.h"
#include "bench/load/httpc.h"
#include "bench/load/loadgen.h"
#include "bench/load/pacer.h"
#include "bench/load/procstat.h"
#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/num.h"
#include "proto/snapz.h"

struct body {
	uint8_t *data;
	size_t len;
	uint32_t samples;
	uint64_t round;
};
struct bodies {
	struct body *list;
	size_t count, cap;
};
struct conn {
	pthread_t thread;
	struct run *run;
	struct httpc http;
	struct bodies bodies;
	uint64_t *lat_ns; /* one per request sent */
	size_t lat_count, lat_cap;
	uint64_t samples, failed, retries;
	uint64_t round; /* being sent; UINT64_MAX / 2 = all sent. Read by the others */
	char first_error[512];
};
#define REFUSALS_MAX 20u /* of the first requests: then all will be */
#define WRITE_PATH   "/api/v1/write"

struct run {
	uint64_t taken, refused; /* requests, of all connections */
	struct conn *conns;
	unsigned conns_count;
	uint64_t begin_ns;
	const char *path;
	double retry_s;
	uint64_t lead; /* rounds a connection may be ahead of the slowest */
};

static void keep_latency(struct conn *c, uint64_t ns)
{
	if (c->lat_count == c->lat_cap) {
		c->lat_cap = c->lat_cap ? 2 * c->lat_cap : 4096;
		c->lat_ns = mem_array(c->lat_ns, c->lat_cap, sizeof(*c->lat_ns));
	}
	c->lat_ns[c->lat_count++] = ns;
}

/* Nothing was ever taken, and enough was refused, or one repeated for as long as --retry says. */
static bool hopeless(const struct run *r)
{
	return __atomic_load_n(&r->refused, __ATOMIC_RELAXED) >= REFUSALS_MAX &&
	    !__atomic_load_n(&r->taken, __ATOMIC_RELAXED);
}

/* "partial: stored 18 of 20 samples": something was taken. */
static bool stored_some(const struct conn *c, size_t off)
{
	static const char head[] = "partial: stored ";
	const struct buf *in = &c->http.in;
	size_t len = sizeof(head) - 1;
	return in->len > off + len && !memcmp(in->data + off, head, len) &&
	    in->data[off + len] != '0';
}

static void count_refused(struct run *r, bool repeated)
{
	__atomic_add_fetch(&r->refused, repeated ? REFUSALS_MAX : 1, __ATOMIC_RELAXED);
}

/*
 * 5xx and broken connections are repeated for a while, as a sender does; everything else that is
 * not 2xx has failed.
 */
static void send_body(struct conn *c, const struct body *b)
{
	uint64_t begin = clock_real_mono_ns();
	for (;;) {
		size_t off = 0;
		uint64_t sent = clock_real_mono_ns();
		int status = httpc_do(&c->http, "POST", c->run->path,
		    "Content-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\n",
		    b->data, b->len, &off);
		keep_latency(c, clock_real_mono_ns() - sent);
		if (status >= 200 && status < 300) {
			c->samples += b->samples;
			__atomic_add_fetch(&c->run->taken, 1, __ATOMIC_RELAXED);
			return;
		}
		if (!c->first_error[0] && status < 0)
			snprintf(c->first_error, sizeof(c->first_error),
			    "no answer (no server there, or it closed the connection)");
		else if (!c->first_error[0])
			snprintf(c->first_error, sizeof(c->first_error), "%d %.*s", status,
			    (int)(c->http.in.len - off), (char *)c->http.in.data + off);
		bool later = status < 0 || status >= 500;
		bool again = later && !hopeless(c->run) &&
		    (double)(clock_real_mono_ns() - begin) / 1e9 < c->run->retry_s;
		if (!again) {
			c->failed++;
			if (status == 400 && stored_some(c, off))
				__atomic_add_fetch(&c->run->taken, 1, __ATOMIC_RELAXED);
			else
				count_refused(c->run, later);
			return;
		}
		c->retries++;
		usleep(30000);
	}
}

/*
 * As the shards of one sender, connections stay near each other in time: the samples of one are not
 * hours older than those of another.
 */
static void keep_together(struct conn *c, uint64_t round)
{
	__atomic_store_n(&c->round, round, __ATOMIC_RELAXED);
	for (unsigned k = 0; k < c->run->conns_count; k++) {
		while (__atomic_load_n(&c->run->conns[k].round, __ATOMIC_RELAXED) + c->run->lead <
		    round)
			usleep(200);
	}
}

static void *conn_main(void *arg)
{
	struct conn *c = arg;
	for (size_t i = 0; i < c->bodies.count && !hopeless(c->run); i++) {
		const struct body *b = &c->bodies.list[i];
		keep_together(c, b->round);
		send_body(c, b);
	}
	__atomic_store_n(&c->round, UINT64_MAX / 2, __ATOMIC_RELAXED);
	return NULL;
}

static void prepare(struct loadgen *g, struct run *r, uint64_t round, struct buf *raw,
    struct buf *packed, size_t *bytes)
{
	uint64_t batches = loadgen_batches(g);
	loadgen_round(g, round);
	for (uint64_t i = 0; i < batches; i++) {
		uint64_t samples = loadgen_body(g, i, raw);
		if (!samples)
			continue;
		buf_clear(packed);
		snapz_encode(packed, raw->data, raw->len);
		struct bodies *to = &r->conns[i % r->conns_count].bodies;
		if (to->count == to->cap) {
			to->cap = to->cap ? 2 * to->cap : 1024;
			to->list = mem_array(to->list, to->cap, sizeof(*to->list));
		}
		struct body *b = &to->list[to->count++];
		b->data = mem_alloc(packed->len);
		memcpy(b->data, packed->data, packed->len);
		b->len = packed->len;
		b->samples = (uint32_t)samples;
		b->round = round;
		*bytes += packed->len;
	}
}

static void drop_bodies(struct run *r)
{
	for (unsigned k = 0; k < r->conns_count; k++) {
		for (size_t i = 0; i < r->conns[k].bodies.count; i++)
			mem_free(r->conns[k].bodies.list[i].data);
		r->conns[k].bodies.count = 0;
	}
}

static double wave(struct run *r, uint64_t first_round)
{
	r->begin_ns = clock_real_mono_ns();
	for (unsigned k = 0; k < r->conns_count; k++)
		r->conns[k].round = first_round;
	for (unsigned k = 0; k < r->conns_count; k++) {
		if (pthread_create(&r->conns[k].thread, NULL, conn_main, &r->conns[k])) {
			perror("pthread_create");
			exit(1);
		}
	}
	for (unsigned k = 0; k < r->conns_count; k++)
		pthread_join(r->conns[k].thread, NULL);
	return (double)(clock_real_mono_ns() - r->begin_ns) / 1e9;
}

static int cmp_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static bool add_replay(void *arg, const char *value)
{
	struct loadgen_opts *o = arg;
	if (o->replay_count == GEN_FILES_MAX)
		return false;
	o->replay[o->replay_count++] = value;
	return true;
}

static void pin(const char *cpus)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	for (const char *p = cpus; *p;) {
		char *end;
		unsigned long cpu = strtoul(p, &end, 10);
		if (end == p || cpu >= CPU_SETSIZE)
			break;
		CPU_SET(cpu, &set);
		p = *end == ',' ? end + 1 : end;
	}
	if (sched_setaffinity(0, sizeof(set), &set)) {
		perror("kymobench write: --cpu");
		exit(2);
	}
}

struct totals {
	uint64_t samples, failed, requests, retries;
	double p50_us, p99_us, max_us;
	const char *first_error;
};

static struct totals add_up(const struct run *r)
{
	struct totals t = { .first_error = "" };
	size_t n = 0;
	for (unsigned k = 0; k < r->conns_count; k++)
		n += r->conns[k].lat_count;
	uint64_t *all = mem_array(NULL, n ? n : 1, sizeof(*all));
	n = 0;
	for (unsigned k = 0; k < r->conns_count; k++) {
		const struct conn *c = &r->conns[k];
		if (c->lat_count)
			memcpy(all + n, c->lat_ns, c->lat_count * sizeof(*all));
		n += c->lat_count;
		t.samples += c->samples;
		t.failed += c->failed;
		t.retries += c->retries;
		if (c->first_error[0])
			t.first_error = c->first_error;
	}
	t.requests = n;
	qsort(all, n, sizeof(*all), cmp_u64);
	if (n) {
		t.p50_us = (double)all[n / 2] / 1e3;
		t.p99_us = (double)all[n - 1 - n / 100] / 1e3;
		t.max_us = (double)all[n - 1] / 1e3;
	}
	mem_free(all);
	return t;
}

/* Anything below /api that is not what "kymobench query" asks: a server may write elsewhere
 * (/api/v1/push). */
static bool is_write_path(const char *api)
{
	static const char *const others[] = { "", "/api", "/api/v1", "/api/v1/query",
		"/api/v1/query_range" };
	for (size_t i = 0; i < COUNT_OF(others); i++)
		if (!strcmp(api, others[i]))
			return false;
	return true;
}

int cmd_write(int argc, char **argv)
{
	struct loadgen_opts o = { 0 };
	static struct access access;
	const char *url = "http://127.0.0.1:9470", *step = "15s", *start = NULL, *cpu = NULL,
	           *pace = NULL;
	double series = 100000, rounds = 10, batch = 2000, connections = 4, targets = 20, pid = 0,
	       memory_mb = 6144, idle_s = 600, first = 0, retry_s = 30, lead = 40, every_s = 0;
	bool create = false;
	const struct cmd_arg args[] = {
		{ .name = "url",
		    .meta = "URL",
		    .help = "server, its base or the path to write to (http://127.0.0.1:9470)",
		    .text = &url },
		{ .name = "series", .meta = "N", .help = "series in all (100000)", .num = &series },
		{ .name = "rounds", .meta = "N", .help = "samples per series (10)", .num = &rounds },
		{ .name = "first-round",
		    .meta = "N",
		    .help = "number of the first round, to go on where an earlier run ended (0)",
		    .num = &first },
		{ .name = "batch", .meta = "N", .help = "samples per request (2000)", .num = &batch },
		{ .name = "connections",
		    .meta = "N",
		    .help = "connections, a thread each (4)",
		    .num = &connections },
		{ .name = "step",
		    .meta = "DURATION",
		    .help = "time between rounds in the data (15s)",
		    .text = &step },
		{ .name = "start",
		    .meta = "TIME",
		    .help =
		        "time of round 0, unix seconds or RFC 3339 (now - rounds x step; with --pace now)",
		    .text = &start },
		{ .name = "pace",
		    .meta = "DURATION",
		    .help = "wall time between rounds, which are spread over it (as fast as it goes)",
		    .text = &pace },
		{ .name = "create",
		    .help =
		        "with --pace: the first round goes as fast as it is taken, and is counted alone",
		    .flag = &create },
		{ .name = "every",
		    .meta = "S",
		    .help =
		        "with --pace and --pid: memory and CPU on stderr every S seconds (0 = never)",
		    .num = &every_s },
		{ .name = "churn",
		    .meta = "P",
		    .help = "probability that a target gets new series, per round (0)",
		    .num = &o.churn },
		{ .name = "page",
		    .meta = "FILE",
		    .help = "exposition page to replicate (a built-in one of 500 series)",
		    .text = &o.page },
		{ .name = "values",
		    .meta = "FILE",
		    .help = "recorded scrapes that give the page's series their values",
		    .text = &o.values },
		{ .name = "instance",
		    .meta = "NAME",
		    .help = "of targets, # for each digit: target-#####.example.net:9100 (instance-N)",
		    .text = &o.instance },
		{ .name = "replay",
		    .meta = "FILE",
		    .help = "recorded scrapes to replay, may be repeated, .xz is unpacked",
		    .each = add_replay,
		    .arg = &o },
		{ .name = "targets",
		    .meta = "N",
		    .help = "targets of each recorded file (20)",
		    .num = &targets },
		{ .name = "shuffle", .help = "series in random order", .flag = &o.shuffle },
		{ .name = "pid",
		    .meta = "PID",
		    .help = "the server's process: its CPU is counted until it has been idle for 2 s",
		    .num = &pid },
		{ .name = "idle-limit",
		    .meta = "S",
		    .help = "wait at most so long for idleness (600)",
		    .num = &idle_s },
		{ .name = "cpu", .meta = "LIST", .help = "run on these CPUs, e.g. 1", .text = &cpu },
		{ .name = "memory",
		    .meta = "MB",
		    .help =
		        "prepare at most so much at a time; the clock stands meanwhile, but with --pace (6144)",
		    .num = &memory_mb },
		{ .name = "lead",
		    .meta = "ROUNDS",
		    .help = "rounds a connection may be ahead of the slowest one (40)",
		    .num = &lead },
		{ .name = "retry",
		    .meta = "S",
		    .help = "repeat 5xx and broken connections for so long (30)",
		    .num = &retry_s },
		ACCESS_ARGS(access),
	};
	cmd_parse("write", argc, argv, args, COUNT_OF(args));
	if (series < 1 || batch < 1 || connections < 1 || connections > 1024 || targets < 1) {
		fprintf(stderr,
		    "kymobench write: --series, --batch, --targets and --connections must be at least 1\n");
		return 2;
	}
	struct errbuf eb;
	errbuf_init(&eb);
	o.series = (uint64_t)series;
	o.batch = (unsigned)batch;
	o.targets = (unsigned)targets;
	o.step_ms = (int64_t)(cmd_duration_s(step, "step") * 1000);
	o.start_ms = clock_wall_ms() - (int64_t)(first + (pace ? 0 : rounds)) * o.step_ms;
	o.start_ms -= o.start_ms % 1000;
	if (start && num_parse_time(start, strlen(start), &o.start_ms)) {
		fprintf(stderr, "kymobench write: --start: \"%s\" is not a time\n", start);
		return 2;
	}
	if (cpu)
		pin(cpu);
	struct httpc_url u;
	struct loadgen *g = NULL;
	if (access_use(&access, &eb) || httpc_url_parse(url, &u, &eb) || loadgen_create(&o, &g, &eb)) {
		fprintf(stderr, "kymobench write: %s\n", eb.text);
		return 2;
	}
	char path[HTTPC_API_MAX];
	httpc_url_base(&u, path);
	if (!is_write_path(path))
		snprintf(path, sizeof(path), WRITE_PATH);
	if (pace) {
		struct pacer_opts po = { .gen = g,
			.url = &u,
			.path = path,
			.connections = (unsigned)connections,
			.first = (uint64_t)first,
			.rounds = (uint64_t)rounds,
			.pace_s = cmd_duration_s(pace, "pace"),
			.retry_s = retry_s,
			.memory_bytes = (size_t)memory_mb << 20,
			.pid = (int)pid,
			.create = create,
			.every_s = every_s };
		bool good = pacer_run(&po);
		loadgen_free(g);
		return good ? 0 : 1;
	}
	struct run r = { .conns_count = (unsigned)connections,
		.path = path,
		.retry_s = retry_s,
		.lead = (uint64_t)lead };
	r.conns = mem_zalloc(r.conns_count * sizeof(*r.conns));
	for (unsigned k = 0; k < r.conns_count; k++) {
		r.conns[k].run = &r;
		httpc_init(&r.conns[k].http, &u);
	}
	struct buf raw, packed;
	buf_init(&raw);
	buf_init(&packed);
	struct procstat before = { 0 }, after = { 0 };
	double seconds = 0;
	uint64_t round = (uint64_t)first, last = round + (uint64_t)rounds;
	if (pid > 0 && procstat_read((int)pid, &before)) {
		fprintf(stderr, "kymobench write: no process %d\n", (int)pid);
		return 2;
	}
	while (round < last && !hopeless(&r)) {
		size_t bytes = 0;
		uint64_t begin = round;
		while (round < last && bytes < (size_t)memory_mb << 20)
			prepare(g, &r, round++, &raw, &packed, &bytes);
		seconds += wave(&r, begin);
		drop_bodies(&r);
	}
	double idle = 0;
	if (pid > 0) {
		idle = procstat_wait_idle((int)pid, idle_s);
		if (procstat_read((int)pid, &after))
			fprintf(stderr, "kymobench write: the server has ended\n");
	}
	struct totals t = add_up(&r);
	double cpu_s = after.cpu_s - before.cpu_s;
	printf(
	    "{\"series\":%llu,\"samples\":%llu,\"requests\":%llu,\"failed\":%llu,\"retries\":%llu,\"seconds\":%.3f,\"samples_per_s\":%.0f,\"p50_us\":%.0f,\"p99_us\":%.0f,\"max_us\":%.0f,"
	    "\"server_cpu_s\":%.2f,\"samples_per_cpu_s\":%.0f,\"idle_after_s\":%.1f,\"rss_mb\":%.1f,\"anon_mb\":%.1f,\"peak_rss_mb\":%.1f,\"start_ms\":%lld,\"end_ms\":%lld}\n",
	    (unsigned long long)loadgen_series(g), (unsigned long long)t.samples,
	    (unsigned long long)t.requests, (unsigned long long)t.failed,
	    (unsigned long long)t.retries, seconds, seconds > 0 ? (double)t.samples / seconds : 0,
	    t.p50_us, t.p99_us, t.max_us, cpu_s, cpu_s > 0 ? (double)t.samples / cpu_s : 0, idle,
	    after.rss_mb, after.anon_mb, after.peak_mb,
	    (long long)(o.start_ms + (int64_t)first * o.step_ms),
	    (long long)(o.start_ms + (int64_t)(last ? last - 1 : 0) * o.step_ms));
	if (hopeless(&r))
		fprintf(stderr,
		    "kymobench write: stopped, nothing of %llu requests was taken: POST %s://%s:%s%s%s answers: %.*s\n",
		    (unsigned long long)t.requests, u.tls ? "https" : "http", u.host, u.port,
		    u.prefix, path, (int)strcspn(t.first_error, "\n"), t.first_error);
	else if (t.failed || t.retries)
		fprintf(stderr, "kymobench write: first refusal: %.*s\n",
		    (int)strcspn(t.first_error, "\n"), t.first_error);
	for (unsigned k = 0; k < r.conns_count; k++) {
		httpc_release(&r.conns[k].http);
		mem_free(r.conns[k].bodies.list);
		mem_free(r.conns[k].lat_ns);
	}
	mem_free(r.conns);
	buf_release(&raw);
	buf_release(&packed);
	loadgen_free(g);
	return t.failed ? 1 : 0;
}
