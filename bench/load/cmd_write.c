/*
 * kymobench write - with --pace bodies are made while others are sent (pacer.h). Else they are
 * prepared before the clock starts, in waves that fit --memory. Ends with one JSON line, whose
 * fields bench/README.md tells.
 */
#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/load/child.h"
#include "bench/load/cmd.h"
#include "bench/load/hostinfo.h"
#include "bench/load/loadargs.h"
#include "bench/load/pacer.h"
#include "bench/load/procstat.h"
#include "bench/load/progress.h"
#include "bench/load/readback.h"
#include "core/base/clock.h"
#include "core/base/num.h"

#define LOOPS_MAX 64u
#define SYNC_KIB  64u /* --disk: such pieces are written and synced */
#define MEMORY_MB 6144.0
#define BACK_S    86400.0 /* without a pace, --duration: round 0 is so long ago */
#define AHEAD_MS  300000  /* and rounds after now by more than this are not sent */

struct write_run {
	struct loadargs l;
	const char *pace, *duration;
	double rounds, first, pid, memory_mb, idle_s, lead, every_s, settle_s;
	bool create, human, verify;
	const char *cpu, *disk;
	/* the run */
	struct hostinfo_sync sync; /* --disk */
	struct loadgen *gen;
	struct rwbody *body;
	struct fleet *fleet;
	double pace_s, duration_s, seconds;
	uint64_t last; /* round behind the last one sent */
	double created_s, idle_after_s, maker_s;
	struct procstat begin, created, end;
	struct procstat_thread loops[LOOPS_MAX];
	struct fleet_tally tally;
	/* --verify */
	struct readback_counts held;
	struct errbuf held_why;
	bool held_known;
};

static void pin(const char *cpus)
{
	cpu_set_t set;
	struct errbuf eb;
	errbuf_init(&eb);
	enum err e = child_cpus_parse(cpus, &set, &eb);
	if (!e && sched_setaffinity(0, sizeof(set), &set))
		e = errbuf_set(&eb, ERR_IO, "%s", strerror(errno));
	if (!e)
		return;
	fprintf(stderr, "kymobench write: --cpu: %s\n", eb.text);
	exit(2);
}

/* Bodies that wait are not to drive out the server's memory, nor the machine's. */
static double memory_by_itself(void)
{
	double mb = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
	return mb > 0 ? fmin(MEMORY_MB, fmax(16, mb / 4)) : MEMORY_MB;
}

static void look(const struct write_run *w, struct procstat *s)
{
	memset(s, 0, sizeof(*s));
	if (w->pid > 0 && procstat_read((int)w->pid, s))
		fprintf(stderr, "kymobench write: the server has ended\n");
}

/* ---- as fast as it goes ---- */

/* Rounds that fit the memory, and lie not too far ahead of now. */
static uint64_t fill(struct write_run *w, struct pacer *p, uint64_t round, uint64_t end)
{
	uint64_t bytes = 0, most = (uint64_t)w->memory_mb << 20;
	int64_t now = clock_wall_ms();
	if (w->duration_s > 0 && most > 512u << 20)
		most = 512u << 20; /* more would be made in vain */
	for (; round < end && bytes < most; round++) {
		int64_t t_ms = w->l.gen.start_ms + (int64_t)round * w->l.gen.step_ms;
		if (w->duration_s > 0 && t_ms > now + AHEAD_MS)
			break;
		pacer_push_round(p, round, -1);
		bytes = fleet_waiting(w->fleet);
	}
	return round;
}

static void run_waves(struct write_run *w, struct pacer *p)
{
	uint64_t round = p->first, end = p->rounds == UINT64_MAX ? UINT64_MAX : round + p->rounds;
	while (round < end && !fleet_hopeless(w->fleet)) {
		uint64_t made = fill(w, p, round, end);
		if (made == round)
			break;
		uint64_t begin = clock_real_mono_ns(), until = UINT64_MAX;
		if (w->duration_s > 0)
			until = begin + (uint64_t)((w->duration_s - w->seconds) * 1e9);
		fleet_gate(w->fleet, true);
		bool all = fleet_drain(w->fleet, until);
		if (!all)
			fleet_stop(w->fleet);
		(void)fleet_drain(w->fleet, UINT64_MAX);
		fleet_gate(w->fleet, false);
		w->seconds += (double)(clock_real_mono_ns() - begin) / 1e9;
		round = made;
		if (!all)
			break;
	}
	w->last = round;
}

/* ---- paced ---- */

static void clock_begins(void *arg)
{
	struct write_run *w = arg;
	look(w, &w->created);
	if (w->pid > 0)
		(void)procstat_threads((int)w->pid, "loop", w->loops, LOOPS_MAX);
	w->seconds = -(double)clock_real_mono_ns() / 1e9;
}

static void run_paced(struct write_run *w, struct pacer *p)
{
	p->pace_s = w->pace_s;
	p->create = w->create;
	p->created = clock_begins;
	p->arg = w;
	fleet_gate(w->fleet, true);
	pacer_run(p);
	w->seconds += (double)clock_real_mono_ns() / 1e9;
	w->created_s = p->created_s;
	w->last = p->first + p->rounds;
}

/* ---- the line ---- */

static double ms(const struct write_run *w, enum fleet_set set, double q)
{
	return fleet_quantile_ms(w->fleet, set, q);
}

static void put_what(const struct write_run *w)
{
	const struct loadargs *l = &w->l;
	const struct fleet_tally *t = &w->tally;
	printf("{\"workload\":\"%s\",\"protocol\":\"%s\",\"transport\":\"%s\",\"order\":\"%s\"",
	    l->gen.workload ? l->gen.workload : "node", l->protocol == RWBODY_2 ? "2.0" : "1.0",
	    loadargs_transport(l), l->gen.shuffle ? "shuffled" : "grouped");
	printf(",\"series\":%llu,\"batch\":%u,\"connections\":%u,\"in_flight\":%u",
	    (unsigned long long)loadgen_series(w->gen), l->gen.batch, l->conns, l->flying);
	printf(",\"samples\":%llu,\"histograms\":%llu,\"exemplars\":%llu",
	    (unsigned long long)t->samples, (unsigned long long)t->hists,
	    (unsigned long long)t->exemplars);
	printf(
	    ",\"requests\":%llu,\"failed\":%llu,\"retries\":%llu,\"rejected\":%llu,\"partial\":%llu",
	    (unsigned long long)t->requests, (unsigned long long)t->failed,
	    (unsigned long long)t->retries, (unsigned long long)t->rejected,
	    (unsigned long long)t->partial);
	printf(",\"refused\":%llu,\"refused_p50_ms\":%.2f,\"refused_p99_ms\":%.2f",
	    (unsigned long long)t->refused, ms(w, FLEET_REFUSED, 0.5), ms(w, FLEET_REFUSED, 0.99));
	if (l->protocol == RWBODY_2)
		printf(",\"written_wrong\":%llu", (unsigned long long)t->written_wrong);
	else
		printf(",\"written_wrong\":null");
}

static void put_speed(const struct write_run *w, double samples)
{
	const struct fleet_tally *t = &w->tally;
	printf(",\"seconds\":%.3f,\"samples_per_s\":%.0f,\"bytes\":%llu,\"bytes_per_sample\":%.2f",
	    w->seconds, w->seconds > 0 ? samples / w->seconds : 0, (unsigned long long)t->bytes,
	    t->samples ? (double)t->bytes / (double)t->samples : 0);
}

static void put_fast(const struct write_run *w)
{
	double cpu = w->end.cpu_s - w->begin.cpu_s, samples = (double)w->tally.samples;
	put_speed(w, samples);
	printf(",\"p50_us\":%.0f,\"p99_us\":%.0f,\"max_us\":%.0f", 1e3 * ms(w, FLEET_LATENCY, 0.5),
	    1e3 * ms(w, FLEET_LATENCY, 0.99), 1e3 * ms(w, FLEET_LATENCY, 1));
	printf(",\"server_cpu_s\":%.2f,\"samples_per_cpu_s\":%.0f,\"idle_after_s\":%.1f", cpu,
	    cpu > 0 ? samples / cpu : 0, w->idle_after_s);
}

static void put_loops(const struct write_run *w)
{
	struct procstat_thread t[LOOPS_MAX];
	unsigned n = w->pid > 0 ? procstat_threads((int)w->pid, "loop", t, LOOPS_MAX) : 0;
	printf(",\"loops\":[");
	for (unsigned i = 0; i < n; i++)
		printf("%s%.4f", i ? "," : "",
		    (t[i].cpu_s - w->loops[i].cpu_s) / fmax(w->seconds, 1e-9));
	printf("]");
}

static double asked_per_s(const struct write_run *w)
{
	return (double)loadgen_series(w->gen) / w->pace_s;
}

static void put_paced(const struct write_run *w)
{
	double first = (double)w->tally.first_samples, create = w->created.cpu_s - w->begin.cpu_s,
	       cpu = w->end.cpu_s - w->created.cpu_s, samples = (double)w->tally.samples - first;
	printf(",\"create_s\":%.2f,\"create_cpu_s\":%.2f,\"create_per_cpu_s\":%.0f", w->created_s,
	    create, create > 0 && first > 0 ? first / create : 0);
	printf(",\"create_p50_ms\":%.2f,\"create_p99_ms\":%.2f", ms(w, FLEET_FIRST, 0.5),
	    ms(w, FLEET_FIRST, 0.99));
	put_speed(w, samples);
	printf(",\"asked_per_s\":%.0f", asked_per_s(w));
	printf(",\"server_cpu_s\":%.2f,\"samples_per_cpu_s\":%.0f,\"cores\":%.4f", cpu,
	    cpu > 0 ? samples / cpu : 0, w->seconds > 0 ? cpu / w->seconds : 0);
	put_loops(w);
	printf(",\"late_p50_ms\":%.1f,\"late_p99_ms\":%.1f,\"late_max_ms\":%.1f",
	    ms(w, FLEET_LATE, 0.5), ms(w, FLEET_LATE, 0.99), ms(w, FLEET_LATE, 1));
	printf(",\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"max_ms\":%.1f", ms(w, FLEET_LATENCY, 0.5),
	    ms(w, FLEET_LATENCY, 0.99), ms(w, FLEET_LATENCY, 1));
	printf(",\"due_p50_ms\":%.2f,\"due_p99_ms\":%.2f", ms(w, FLEET_DUE, 0.5),
	    ms(w, FLEET_DUE, 0.99));
	printf(",\"maker_cpu_s\":%.1f,\"waiting_peak_mb\":%.1f", w->maker_s,
	    (double)w->tally.waiting_peak / 1e6);
}

/* The sums are those of the same floats, in another order. */
static bool sums_comparable(const struct write_run *w)
{
	return w->held.summed && !w->tally.odd && !w->tally.failed && !w->tally.retries &&
	    w->held.samples == w->tally.samples;
}

static uint64_t missing(const struct write_run *w)
{
	return w->tally.samples > w->held.samples ? w->tally.samples - w->held.samples : 0;
}

static void put_text(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			printf("\\%c", *s);
		else if ((unsigned char)*s >= 0x80)
			putchar('?'); /* of a server: it may be no UTF-8 */
		else if ((unsigned char)*s >= 0x20)
			putchar(*s);
		else
			putchar(' ');
	}
	putchar('"');
}

static void put_held(const struct write_run *w)
{
	if (w->held_known) {
		uint64_t more =
		    w->held.samples > w->tally.samples ? w->held.samples - w->tally.samples : 0;
		printf(",\"read_back\":%llu,\"missing\":%llu,\"extra\":%llu",
		    (unsigned long long)w->held.samples, (unsigned long long)missing(w),
		    (unsigned long long)more);
	} else {
		printf(",\"read_back\":null,\"missing\":null,\"extra\":null");
	}
	if (w->held_known && sums_comparable(w))
		printf(",\"sum_equal\":%s",
		    fabs(w->held.sum - w->tally.sum) <= 1e-9 * w->tally.size ? "true" : "false");
	else
		printf(",\"sum_equal\":null");
	printf(",\"verify_error\":");
	put_text(w->held_why.text);
}

static void put_sync(const struct write_run *w)
{
	if (w->disk)
		printf(",\"sync_p50_ms\":%.2f,\"sync_p99_ms\":%.2f,\"sync_max_ms\":%.1f",
		    w->sync.p50_ms, w->sync.p99_ms, w->sync.max_ms);
	else
		printf(",\"sync_p50_ms\":null,\"sync_p99_ms\":null,\"sync_max_ms\":null");
}

static void put_line(const struct write_run *w)
{
	const struct loadgen_opts *g = &w->l.gen;
	put_what(w);
	if (w->pace)
		put_paced(w);
	else
		put_fast(w);
	put_sync(w);
	printf(",\"rss_mb\":%.1f,\"anon_mb\":%.1f,\"peak_rss_mb\":%.1f", w->end.rss_mb,
	    w->end.anon_mb, w->end.peak_mb);
	put_held(w);
	printf(",\"start_ms\":%lld,\"end_ms\":%lld,\"kind\":\"%s\",\"promise\":\"%s\"}\n",
	    (long long)(g->start_ms + (int64_t)w->first * g->step_ms),
	    (long long)(g->start_ms + (int64_t)(w->last ? w->last - 1 : 0) * g->step_ms),
	    w->l.kind->name, w->l.kind->promise);
	fflush(stdout);
}

/* ---- for people ---- */

static void tell_refusals(const struct write_run *w)
{
	const struct fleet_tally *t = &w->tally;
	const struct httpc_url *u = &w->l.u;
	int len = (int)strcspn(t->why, "\n");
	if (fleet_hopeless(w->fleet))
		fprintf(stderr,
		    "kymobench write: stopped, nothing of %llu requests was taken: POST %s://%s:%s%s%s answers: %.*s\n",
		    (unsigned long long)t->requests, u->tls ? "https" : "http", u->host, u->port,
		    u->prefix, w->l.path, len, t->why);
	else if (t->why[0])
		fprintf(stderr, "kymobench write: first refusal: %.*s\n", len, t->why);
	if (t->written_wrong)
		fprintf(stderr,
		    "kymobench write: %llu answers 2xx do not say that all was written (Remote Write 2.0): the server may know 1.0 alone\n",
		    (unsigned long long)t->written_wrong);
	if (w->held_known && missing(w))
		fprintf(stderr,
		    "kymobench write: %llu samples that were acknowledged are not found in the server\n",
		    (unsigned long long)missing(w));
	if (w->held_why.text[0])
		fprintf(stderr, "kymobench write: not read back: %s\n", w->held_why.text);
}

static void tell_people(const struct write_run *w)
{
	char a[PROGRESS_TEXT], b[PROGRESS_TEXT], c[PROGRESS_TEXT];
	const struct fleet_tally *t = &w->tally;
	double samples = (double)t->samples - (double)t->first_samples,
	       cpu = w->end.cpu_s - (w->pace ? w->created.cpu_s : w->begin.cpu_s);
	fprintf(stderr, "%s samples in %s: %s/s", progress_count(samples, a),
	    progress_time(w->seconds, b), progress_count(samples / fmax(w->seconds, 1e-9), c));
	if (w->pid > 0 && cpu > 0)
		fprintf(stderr, ", %s per CPU-second of the server, %s of memory",
		    progress_count(samples / cpu, a), progress_bytes(w->end.rss_mb * 1048576, b));
	fprintf(stderr, "\nanswers: p50 %.2f ms, p99 %.2f ms, longest %.1f ms",
	    ms(w, FLEET_LATENCY, 0.5), ms(w, FLEET_LATENCY, 0.99), ms(w, FLEET_LATENCY, 1));
	if (w->pace)
		fprintf(stderr, "; sent late: p50 %.1f ms, p99 %.1f ms", ms(w, FLEET_LATE, 0.5),
		    ms(w, FLEET_LATE, 0.99));
	if (w->disk)
		fprintf(stderr,
		    "\nthe disk's own sync of %u KiB: p50 %.2f ms, p99 %.2f ms, longest %.1f ms",
		    SYNC_KIB, w->sync.p50_ms, w->sync.p99_ms, w->sync.max_ms);
	fprintf(stderr,
	    "\n%s series, %s a sample on the wire; %llu failed, %llu repeated, %llu refused",
	    progress_count((double)loadgen_series(w->gen), a),
	    progress_bytes(t->samples ? (double)t->bytes / (double)t->samples : 0, b),
	    (unsigned long long)t->failed, (unsigned long long)t->retries,
	    (unsigned long long)t->refused);
	if (w->held_known)
		fprintf(stderr, "; read back %s, missing %llu",
		    progress_count((double)w->held.samples, c), (unsigned long long)missing(w));
	fprintf(stderr, "\n%s: %s\n", w->l.kind->name, w->l.kind->promise);
}

/* ---- the command ---- */

static void read_back(struct write_run *w)
{
	const struct loadgen_opts *g = &w->l.gen;
	if (!w->verify || !w->last || !w->tally.taken)
		return;
	struct readback r = { .url = &w->l.query,
		.kind = w->l.kind,
		.gen = w->gen,
		.first_ms = g->start_ms + (int64_t)w->first * g->step_ms,
		.last_ms = g->start_ms + (int64_t)(w->last - 1) * g->step_ms,
		.rounds = w->last - (uint64_t)w->first,
		.want = w->tally.samples,
		.settle_s = w->settle_s };
	w->held_known = !readback_count(&r, &w->held, &w->held_why);
}

static void parse(struct write_run *w, int argc, char **argv)
{
	const struct cmdline_arg args[] = {
		LOADARGS_ARGS(w->l),
		{ .name = "rounds", .meta = "N", .help = "samples per series (10)", .num = &w->rounds },
		{ .name = "duration",
		    .meta = "DURATION",
		    .help = "send for so long, instead of --rounds",
		    .text = &w->duration },
		{ .name = "first-round",
		    .meta = "N",
		    .help = "number of the first round, to go on where an earlier run ended (0)",
		    .num = &w->first },
		{ .name = "pace",
		    .meta = "DURATION",
		    .help = "wall time between rounds, which are spread over it (as fast as it goes)",
		    .text = &w->pace },
		{ .name = "create",
		    .help =
		        "with --pace: the first round goes as fast as it is taken, and is counted alone",
		    .flag = &w->create },
		{ .name = "verify",
		    .help = "afterwards, ask the server for how many samples it holds and their sum",
		    .flag = &w->verify },
		{ .name = "settle",
		    .meta = "S",
		    .help = "--verify: wait at most so long until all is visible (30)",
		    .num = &w->settle_s },
		{ .name = "human",
		    .help = "the result in words on stderr, too (always on a terminal)",
		    .flag = &w->human },
		{ .name = "every",
		    .meta = "S",
		    .help = "with --pid: memory and CPU on stderr every S seconds (0 = never)",
		    .num = &w->every_s },
		{ .name = "pid",
		    .meta = "PID",
		    .help = "the server's process: its CPU is counted until it has been idle for 2 s",
		    .num = &w->pid },
		{ .name = "idle-limit",
		    .meta = "S",
		    .help = "wait at most so long for idleness (600)",
		    .num = &w->idle_s },
		{ .name = "cpu", .meta = "LIST", .help = "run on these CPUs, e.g. 1", .text = &w->cpu },
		{ .name = "disk",
		    .meta = "DIR",
		    .help =
		        "a directory on the server's disk: first measure what a sync takes there, to see beside the answers",
		    .text = &w->disk },
		{ .name = "memory",
		    .meta = "MB",
		    .help =
		        "prepare at most so much at a time; the clock stands meanwhile, but with --pace (a quarter of the machine's, at most 6144)",
		    .num = &w->memory_mb },
		{ .name = "lead",
		    .meta = "ROUNDS",
		    .help = "rounds a connection may be ahead of the slowest one (40)",
		    .num = &w->lead },
	};
	cmd_parse("write", argc, argv, args, COUNT_OF(args));
}

/* Rounds to send; UINT64_MAX: until the time is over. */
static uint64_t rounds_of(struct write_run *w)
{
	w->pace_s = w->pace ? cmd_duration_s(w->pace, "pace") : 0;
	w->duration_s = w->duration ? cmd_duration_s(w->duration, "duration") : 0;
	if (w->pace && w->pace_s <= 0) {
		fprintf(stderr, "kymobench write: --pace must be more than 0\n");
		exit(2);
	}
	if (!w->duration)
		return (uint64_t)w->rounds;
	if (!w->pace)
		return UINT64_MAX;
	uint64_t n = (uint64_t)ceil(w->duration_s / w->pace_s) + w->create;
	w->duration_s = 0; /* so many rounds last so long */
	return n ? n : 1;
}

static double back_rounds(const struct write_run *w, uint64_t rounds)
{
	if (w->pace)
		return w->first;
	if (rounds != UINT64_MAX)
		return w->first + (double)rounds;
	int64_t step = w->l.step ? (int64_t)(cmd_duration_s(w->l.step, "step") * 1000)
	                         : loadgen_step_ms(w->l.gen.workload);
	return w->first + (step > 0 ? BACK_S * 1000 / (double)step : 0);
}

/* Before anything is sent, while nothing else syncs. */
static bool measure_disk(struct write_run *w)
{
	int err = hostinfo_sync(w->disk, SYNC_KIB << 10, &w->sync);
	if (err)
		fprintf(stderr, "kymobench write: --disk %s: no sync can be measured there: %s\n",
		    w->disk, strerror(err));
	return err != 0;
}

static void run(struct write_run *w, uint64_t rounds)
{
	struct fleet_opts o = loadargs_fleet(&w->l);
	o.memory_bytes = w->pace ? (size_t)w->memory_mb << 20 : SIZE_MAX;
	o.lead = w->pace ? UINT64_MAX : (uint64_t)w->lead;
	w->fleet = fleet_new(&o);
	w->body = loadargs_body(&w->l);
	struct pacer p = { .gen = w->gen,
		.body = w->body,
		.fleet = w->fleet,
		.first = (uint64_t)w->first,
		.rounds = rounds };
	struct progress line = { .fleet = w->fleet,
		.what = "write",
		.pid = (int)w->pid,
		.every_s = w->every_s,
		.goal_s = w->duration_s,
		.goal = rounds == UINT64_MAX ? 0 : rounds * loadgen_series(w->gen) };
	uint64_t cpu = clock_thread_cpu_ns();
	look(w, &w->begin);
	progress_begin(&line);
	if (w->pace)
		run_paced(w, &p);
	else
		run_waves(w, &p);
	w->maker_s = (double)(clock_thread_cpu_ns() - cpu) / 1e9;
	progress_end(&line);
	if (w->pid > 0 && !w->pace)
		w->idle_after_s = procstat_wait_idle((int)w->pid, w->idle_s);
	look(w, &w->end);
	fleet_tally(w->fleet, &w->tally);
}

int cmd_write(int argc, char **argv)
{
	static struct write_run w = { .rounds = 10, .idle_s = 600, .lead = 40, .settle_s = 30 };
	loadargs_init(&w.l);
	parse(&w, argc, argv);
	uint64_t rounds = rounds_of(&w);
	if (w.cpu)
		pin(w.cpu);
	if (w.memory_mb <= 0)
		w.memory_mb = memory_by_itself();
	if (w.pid > 0 && procstat_read((int)w.pid, &w.begin)) {
		fprintf(stderr, "kymobench write: no process %d\n", (int)w.pid);
		return 2;
	}
	if (w.disk && measure_disk(&w))
		return 2;
	errbuf_init(&w.held_why);
	w.gen = loadargs_use(&w.l, "write", back_rounds(&w, rounds));
	run(&w, rounds);
	read_back(&w);
	put_line(&w);
	tell_refusals(&w);
	if (w.human || isatty(STDERR_FILENO))
		tell_people(&w);
	fleet_free(w.fleet);
	rwbody_free(w.body);
	loadgen_free(w.gen);
	return w.tally.failed || w.tally.written_wrong || (w.held_known && missing(&w)) ||
	        (w.verify && !w.held_known)
	    ? 1
	    : 0;
}
