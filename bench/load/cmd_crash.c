/*
 * kymobench crash - starts a server, writes to it, kills it (SIGKILL) at random moments, starts it
 * again over what it left, and in the end reads every acknowledged sample back. Senders repeat what
 * they got no answer for, as those of Prometheus do, and go on; the last kill ends the load, so
 * that what is read is what the server had when it died.
 *
 * What is known: acknowledged samples that are not there again (lost), and samples that were never
 * sent (ghosts). A kill of the process leaves the kernel's page cache: it says nothing of a power
 * cut.
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
#include "bench/load/ledger.h"
#include "bench/load/loadargs.h"
#include "bench/load/pacer.h"
#include "bench/load/progress.h"
#include "bench/load/readback.h"
#include "bench/load/victim.h"
#include "core/base/clock.h"
#include "core/base/hash.h"

#define MEMORY_BYTES (64u << 20)
#define FOR_EVER_S   1e9

struct crash {
	struct loadargs l;
	struct victim v;
	const char *dir, *pace;
	double kills, seed, uptime_s, port, start_s;
	bool keep, human;
	/* the run */
	struct loadgen *gen;
	struct ledger *ledger;
	struct pacer pacer;
	pthread_t maker;
	bool stop;
	double slowest_s, seconds;
	struct fleet_tally tally;
	struct ledger_result result;
	struct errbuf eb;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	interrupted = sig;
}

static bool was_interrupted(void)
{
	return interrupted != 0;
}

static void body_ended(void *arg, const struct fleet_body *b, bool taken)
{
	struct crash *c = arg;
	ledger_note(c->ledger, b->round, b->batch, taken);
}

static void *maker_main(void *arg)
{
	pacer_run(arg);
	return NULL;
}

static void load_begin(struct crash *c)
{
	struct fleet_opts o = loadargs_fleet(&c->l);
	o.memory_bytes = MEMORY_BYTES;
	o.retry_s = FOR_EVER_S;
	o.ended = body_ended;
	o.arg = c;
	c->pacer = (struct pacer){ .gen = c->gen,
		.body = loadargs_body(&c->l),
		.fleet = fleet_new(&o),
		.rounds = UINT64_MAX,
		.pace_s = cmd_duration_s(c->pace, "pace"),
		.stop = &c->stop };
	fleet_gate(c->pacer.fleet, true);
	if (pthread_create(&c->maker, NULL, maker_main, &c->pacer)) {
		perror("kymobench crash: pthread_create");
		exit(1);
	}
}

/* What is on its way ends with an answer, or without one. */
static void load_end(struct crash *c)
{
	__atomic_store_n(&c->stop, true, __ATOMIC_RELAXED);
	fleet_stop(c->pacer.fleet);
	pthread_join(c->maker, NULL);
	fleet_tally(c->pacer.fleet, &c->tally);
	fleet_free(c->pacer.fleet);
	rwbody_free(c->pacer.body);
}

static enum err start(struct crash *c)
{
	double took = 0;
	enum err e = victim_start(&c->v, c->start_s, &took, &c->eb);
	if (took > c->slowest_s)
		c->slowest_s = took;
	return e;
}

static void pause_s(double s)
{
	struct timespec t = { .tv_sec = (time_t)s, .tv_nsec = (long)((s - (double)(time_t)s) * 1e9) };
	nanosleep(&t, NULL);
}

/* From a tenth of the mean time between kills up to twice of it. */
static double uptime(const struct crash *c, unsigned kill)
{
	uint64_t x = hash_mix64(((uint64_t)c->seed << 20) + kill);
	return c->uptime_s * (0.1 + 1.9 * (double)(x >> 11) / 9007199254740992.0);
}

/* A server that has taken nothing since its start has nothing new to lose. */
static void wait_for_load(const struct crash *c, uint64_t taken)
{
	struct fleet_tally t;
	uint64_t begin = clock_real_mono_ns();
	do {
		fleet_tally(c->pacer.fleet, &t);
		if (t.taken > taken)
			return;
		usleep(10000);
	} while (!interrupted && (double)(clock_real_mono_ns() - begin) / 1e9 < c->start_s);
}

static enum err kill_again_and_again(struct crash *c)
{
	enum err e = ERR_OK;
	for (unsigned k = 0; k < (unsigned)c->kills && !e; k++) {
		struct fleet_tally t;
		fleet_tally(c->pacer.fleet, &t);
		if (!interrupted)
			pause_s(uptime(c, k));
		wait_for_load(c, t.taken);
		bool last = k + 1 == (unsigned)c->kills || interrupted;
		victim_end(&c->v, SIGKILL);
		if (last)
			load_end(c);
		if (!interrupted)
			e = start(c);
		if (isatty(STDERR_FILENO))
			fprintf(stderr, "\r\033[Kcrash  %u of %.0f kills, slowest start %.2f s",
			    k + 1, c->kills, c->slowest_s);
		if (e && !last)
			load_end(c);
	}
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K");
	return e;
}

/* ---- reading back ---- */

struct reading {
	struct crash *c;
	struct httpc http;
	int64_t end_ms;
	long long span_ms;
	enum err err;
};

static void read_name(void *arg, const char *name, size_t len, bool hist)
{
	struct reading *r = arg;
	struct answer got;
	char expr[1200];
	(void)hist;
	if (r->err)
		return;
	snprintf(expr, sizeof(expr), "{__name__=\"%.*s\",%s}[%lldms]", (int)len, name,
	    loadgen_selector(r->c->gen), r->span_ms);
	r->err = readback_ask(&r->http, r->c->v.kind, expr, r->end_ms, &got, &r->c->eb);
	if (r->err)
		return;
	for (size_t i = 0; i < got.count; i++)
		ledger_judge(r->c->ledger, &got.series[i]);
	answer_release(&got);
}

static enum err read_all(struct crash *c)
{
	struct loadgen *again = NULL;
	int64_t now = clock_wall_ms();
	struct reading r = {
		.c = c, .end_ms = now + 60000, .span_ms = now + 60000 - c->l.gen.start_ms + 1000
	};
	if (loadgen_create(&c->l.gen, &again, &c->eb))
		return ERR_BADDATA;
	ledger_fill(c->ledger, again);
	loadgen_free(again);
	httpc_init(&r.http, &c->v.url);
	r.http.stop = was_interrupted;
	readback_flush(&r.http, c->v.kind);
	loadgen_names(c->gen, read_name, &r);
	httpc_release(&r.http);
	ledger_end(c->ledger, &c->result);
	return r.err;
}

/* ---- the directory ---- */

static int remove_one(const char *path, const struct stat *st, int what, struct FTW *ftw)
{
	(void)st, (void)what, (void)ftw;
	return remove(path);
}

static void make_dir(struct crash *c)
{
	if (c->dir) {
		snprintf(c->v.dir, sizeof(c->v.dir), "%s", c->dir);
		if (!mkdir(c->v.dir, 0755))
			return;
		fprintf(stderr, "kymobench crash: --dir %s: %s (it is to be a new one)\n", c->dir,
		    strerror(errno));
	} else {
		const char *top = getenv("TMPDIR");
		snprintf(c->v.dir, sizeof(c->v.dir), "%s/kymobench-crash-XXXXXX",
		    top && *top ? top : "/tmp");
		if (mkdtemp(c->v.dir))
			return;
		fprintf(stderr, "kymobench crash: %s: %s\n", c->v.dir, strerror(errno));
	}
	exit(2);
}

/* ---- the command ---- */

static void tell(const struct crash *c)
{
	const struct ledger_result *r = &c->result;
	double pace_s = c->pacer.pace_s;
	printf("{\"kind\":\"%s\",\"kills\":%.0f,\"seed\":%.0f,\"protocol\":\"%s\",\"series\":%llu",
	    c->v.kind->name, c->kills, c->seed, c->l.protocol == RWBODY_2 ? "2.0" : "1.0",
	    (unsigned long long)loadgen_series(c->gen));
	printf(",\"samples\":%llu,\"acknowledged\":%llu,\"unanswered\":%llu,\"found\":%llu",
	    (unsigned long long)(r->acknowledged + r->unanswered),
	    (unsigned long long)r->acknowledged, (unsigned long long)r->unanswered,
	    (unsigned long long)r->found);
	printf(",\"lost\":%llu,\"wrong\":%llu,\"rounded\":%llu,\"ghosts\":%llu,\"lost_s\":%.1f",
	    (unsigned long long)r->lost, (unsigned long long)r->wrong, (unsigned long long)r->rounded,
	    (unsigned long long)r->ghosts, (double)r->rounds_lost * pace_s);
	printf(",\"failed\":%llu,\"retries\":%llu,\"slowest_start_s\":%.2f,\"seconds\":%.1f",
	    (unsigned long long)c->tally.failed, (unsigned long long)c->tally.retries, c->slowest_s,
	    c->seconds);
	printf(",\"promise\":\"%s\"}\n", c->v.kind->promise);
	fflush(stdout);
	if (r->first[0])
		fprintf(stderr, "kymobench crash: %s\n", r->first);
	if (!c->human && !isatty(STDERR_FILENO))
		return;
	char a[PROGRESS_TEXT], b[PROGRESS_TEXT];
	fprintf(stderr,
	    "%s: %.0f kills, %s samples acknowledged, %s of them lost (of %.1f s), %llu ghosts, slowest start %.2f s\n",
	    c->v.kind->name, c->kills, progress_count((double)r->acknowledged, a),
	    progress_count((double)r->lost, b), (double)r->rounds_lost * pace_s,
	    (unsigned long long)r->ghosts, c->slowest_s);
}

static void parse(struct crash *c, int argc, char **argv)
{
	const struct cmdline_arg args[] = {
		{ .name = "server",
		    .meta = "PROGRAM",
		    .help =
		        "kymod, victoria-metrics, prometheus or another with --kind; its flags stand behind --",
		    .text = &c->v.program },
		{ .name = "kills", .meta = "N", .help = "times it is killed (10)", .num = &c->kills },
		{ .name = "seed",
		    .meta = "N",
		    .help = "of the moments (the time of day)",
		    .num = &c->seed },
		{ .name = "uptime",
		    .meta = "S",
		    .help = "mean time from ready to the next kill (2)",
		    .num = &c->uptime_s },
		{ .name = "dir",
		    .meta = "DIR",
		    .help = "a new directory for it (one below TMPDIR)",
		    .text = &c->dir },
		{ .name = "keep",
		    .help = "leave the directory; it is left when anything was lost, too",
		    .flag = &c->keep },
		{ .name = "port", .meta = "N", .help = "on 127.0.0.1 (a free one)", .num = &c->port },
		{ .name = "start-limit",
		    .meta = "S",
		    .help = "it is to be ready within so long (120)",
		    .num = &c->start_s },
		{ .name = "pace",
		    .meta = "DURATION",
		    .help = "time between rounds, real and in the data (100ms)",
		    .text = &c->pace },
		{ .name = "human",
		    .help = "the result in words on stderr, too (always on a terminal)",
		    .flag = &c->human },
		LOADARGS_ARGS(c->l),
	};
	int mine = argc;
	for (int i = argc - 1; i >= 0; i--)
		if (!strcmp(argv[i], "--"))
			mine = i;
	c->v.flags = argv + mine + (mine < argc);
	c->v.flags_count = argc - mine - (mine < argc);
	cmd_parse("crash", mine, argv, args, COUNT_OF(args));
	if (!c->v.program || c->kills < 1) {
		fprintf(stderr, "kymobench crash: --server is needed, --kills at least 1\n");
		exit(2);
	}
	if (c->l.gen.histograms > 0) {
		fprintf(stderr, "kymobench crash: no --histograms here, floats are compared\n");
		exit(2);
	}
}

static void prepare(struct crash *c)
{
	static char url[64];
	struct sigaction sa = { .sa_handler = on_signal };
	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	c->v.port = (unsigned)c->port;
	make_dir(c);
	errbuf_init(&c->eb);
	if (victim_init(&c->v, c->l.kind_name, &c->eb)) {
		rmdir(c->v.dir);
		fprintf(stderr, "kymobench crash: %s\n", c->eb.text);
		exit(2);
	}
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", c->v.port);
	c->l.url = url;
	c->l.kind_name = c->v.kind->name;
	c->l.step = c->pace;
	if (c->l.series < 1 && c->l.targets < 1)
		c->l.series = 5000;
	if (c->l.churn < 0)
		c->l.churn = 0.001;
	c->gen = loadargs_use(&c->l, "crash", 0);
	c->ledger = ledger_new(loadgen_batches(c->gen));
}

int cmd_crash(int argc, char **argv)
{
	static struct crash c = { .kills = 10, .uptime_s = 2, .pace = "100ms", .start_s = 120 };
	loadargs_init(&c.l);
	c.seed = (double)(clock_wall_ms() / 1000 % 1000000);
	parse(&c, argc, argv);
	prepare(&c);
	uint64_t begin = clock_real_mono_ns();
	c.v.stop = was_interrupted;
	enum err e = start(&c);
	if (!e) {
		load_begin(&c);
		e = kill_again_and_again(&c);
	}
	c.seconds = (double)(clock_real_mono_ns() - begin) / 1e9;
	if (!e && !interrupted)
		e = read_all(&c);
	if (interrupted)
		fprintf(stderr, "kymobench crash: stopped\n");
	else if (e)
		fprintf(stderr, "kymobench crash: %s\n", c.eb.text);
	else
		tell(&c);
	victim_end(&c.v, interrupted ? SIGKILL : SIGTERM);
	bool bad = e || c.result.lost || c.result.ghosts || c.result.wrong || !c.result.acknowledged;
	if ((bad && !interrupted) || c.keep)
		fprintf(stderr, "kymobench crash: its directory is left: %s\n", c.v.dir);
	else
		nftw(c.v.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	ledger_free(c.ledger);
	loadgen_free(c.gen);
	return interrupted ? 130 : bad ? 1 : 0;
}
