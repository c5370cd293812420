#include "bench/load/rig.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/load/dashboard.h"
#include "bench/load/hostinfo.h"
#include "core/base/clock.h"

#define START_LIMIT_S 60.0
#define CLEAN_S       5.0  /* of the time there is: to end servers and remove directories */
#define BEHIND_PART   1.02 /* of the time that a paced run was to take */
#define BEHIND_S      0.25
#define IDLE_LIMIT_S  30.0 /* after a load, and of all the time at most this part */
#define IDLE_PART     0.05

bool rig_add_peer(void *arg, const char *value)
{
	struct rig *r = arg;
	struct errbuf eb;
	errbuf_init(&eb);
	if (r->chosen + 1 >= RIVALS_MAX)
		return false;
	if (rival_parse(value, &r->peers[1 + r->chosen], &eb)) {
		fprintf(stderr, "kymobench %s: %s\n", r->command, eb.text);
		exit(2);
	}
	r->chosen++;
	return true;
}

/* The first server, and those that were named or are found. */
static enum err find_servers(struct rig *r, struct errbuf *eb)
{
	struct rival found[RIVALS_MAX];
	unsigned n = rival_find(found, RIVALS_MAX), from = 0;
	if (r->server) {
		enum err e = rival_parse(r->server, &r->peers[0], eb);
		if (e)
			return e;
	} else if (n && found[0].kind == RIVAL_KYMOD) {
		r->peers[0] = found[0];
		from = 1;
	} else {
		return errbuf_set(eb, ERR_NOTFOUND,
		    "no kymod beside kymobench and on PATH; --server NAME=PROGRAM names the first one");
	}
	r->count = 1 + r->chosen;
	for (unsigned i = from; i < n && !r->chosen && r->count < RIVALS_MAX; i++)
		if (found[i].kind != RIVAL_KYMOD)
			r->peers[r->count++] = found[i];
	for (unsigned i = 0; i < r->count; i++)
		for (unsigned k = 0; k < i; k++)
			if (!strcmp(r->peers[i].name, r->peers[k].name))
				return errbuf_set(eb, ERR_BADDATA,
				    "two servers are named \"%s\": --peer NAME=PROGRAM gives another",
				    r->peers[i].name);
	return ERR_OK;
}

/* Servers on the first half of the CPUs, the generator on the rest; one CPU is shared. */
static enum err share_cpus(struct rig *r, struct errbuf *eb)
{
	cpu_set_t mine;
	enum err e = ERR_OK;
	CPU_ZERO(&r->server_cpus);
	CPU_ZERO(&r->generator_cpus);
	sched_getaffinity(0, sizeof(mine), &mine);
	int all = CPU_COUNT(&mine), seen = 0;
	for (int i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET(i, &mine))
			continue;
		CPU_SET(i, seen < (all + 1) / 2 ? &r->server_cpus : &r->generator_cpus);
		seen++;
	}
	if (all == 1)
		r->generator_cpus = r->server_cpus;
	if (r->servers_on) {
		e = child_cpus_parse(r->servers_on, &r->server_cpus, eb);
		CPU_XOR(&r->generator_cpus, &mine, &r->server_cpus);
		if (!CPU_COUNT(&r->generator_cpus))
			r->generator_cpus = mine;
	}
	if (!e && r->generator_on)
		e = child_cpus_parse(r->generator_on, &r->generator_cpus, eb);
	return e;
}

static enum err write_queries(struct rig *r, struct errbuf *eb)
{
	if (r->queries[0])
		return access(r->queries, R_OK)
		    ? errbuf_set(eb, ERR_IO, "--queries %s: %s", r->queries, strerror(errno))
		    : ERR_OK;
	snprintf(r->queries, sizeof(r->queries), "%s/dashboard.txt", r->dir);
	FILE *f = fopen(r->queries, "w");
	if (!f || fputs(dashboard_text, f) < 0 || fclose(f))
		return errbuf_set(eb, ERR_IO, "%s: %s", r->queries, strerror(errno));
	return ERR_OK;
}

enum err rig_open(struct rig *r, int argc, char **argv, struct errbuf *eb)
{
	ssize_t len = readlink("/proc/self/exe", r->self, sizeof(r->self) - 1);
	r->begin_ns = clock_real_mono_ns();
	if (len <= 0)
		return errbuf_set(eb, ERR_IO, "/proc/self/exe: %s", strerror(errno));
	if (r->batch < 1 || r->connections < 1 || r->connections > 1024 || r->series < 1)
		return errbuf_set(
		    eb, ERR_BADDATA, "--series, --batch and --connections must be at least 1");
	if (r->ports > 0 && (r->ports < 1024 || r->ports > 65535 - 2 * RIVALS_MAX))
		return errbuf_set(
		    eb, ERR_BADDATA, "--ports %g: 1024 to %d", r->ports, 65535 - 2 * RIVALS_MAX);
	child_watch();
	child_limit(fmax(r->limit_s - CLEAN_S, r->limit_s / 2));
	enum err e = find_servers(r, eb);
	if (!e)
		e = share_cpus(r, eb);
	if (!e)
		e = child_dir(r->top, r->dir, sizeof(r->dir), eb);
	if (!e)
		e = write_queries(r, eb);
	if (e)
		return e;
	r->root = results_new(r->command, argc, argv);
	hostinfo_tell(
	    json_object_get(r->root, "machine"), &r->server_cpus, &r->generator_cpus, r->dir);
	if (CPU_EQUAL(&r->server_cpus, &r->generator_cpus))
		results_problem(r->root,
		    "servers and generator share their CPUs: figures of CPU time hold, those of wall time say little");
	for (unsigned i = 0; i < r->count; i++)
		rival_ask_version(&r->peers[i]);
	return ERR_OK;
}

void rig_release(struct rig *r)
{
	child_clean();
	json_decref(r->root);
	r->root = NULL;
}

double rig_elapsed_s(const struct rig *r)
{
	return (double)(clock_real_mono_ns() - r->begin_ns) / 1e9;
}

bool rig_may(const struct rig *r, double need_s, double part)
{
	return !child_stopped() && rig_elapsed_s(r) + need_s < r->limit_s * part;
}

void rig_say(const struct rig *r, const char *fmt, ...)
{
	char text[200];
	unsigned at = (unsigned)rig_elapsed_s(r);
	unsigned left = r->limit_s > at ? (unsigned)r->limit_s - at : 0;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s[%3u:%02u, at most %u:%02u left] %s%s", isatty(2) ? "\r\033[K" : "",
	    at / 60, at % 60, left / 60, left % 60, text, isatty(2) ? "" : "\n");
}

void rig_say_end(void)
{
	if (isatty(2))
		fputs("\r\033[K", stderr);
}

void rig_problem(struct rig *r, const char *fmt, ...)
{
	char text[2048];
	va_list ap;
	if (child_stopped()) /* what ends then has not failed */
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	rig_say_end();
	fprintf(stderr, "kymobench %s: %s\n", r->command, text);
	results_problem(r->root, "%s", text);
	r->failed = true;
}

bool rig_stopped(struct rig *r)
{
	if (!child_stopped())
		return false;
	if (child_late())
		results_problem(r->root,
		    "the time is over (--limit %.0fs): what was under way, and what follows it, is left out",
		    r->limit_s);
	else
		results_problem(r->root, "stopped: what was not measured is missing");
	return !child_late();
}

void rig_start_all(struct rig *r)
{
	for (unsigned i = 0; i < r->count && !child_stopped(); i++) {
		struct rival *p = &r->peers[i];
		struct errbuf eb;
		double ready_s;
		errbuf_init(&eb);
		unsigned port = r->ports > 0 ? (unsigned)r->ports + 2 * i : 0;
		rig_say(r, "starting %s", p->name);
		if (rival_prepare(p, r->top, port, &eb) ||
		    rival_start(p, &r->server_cpus, START_LIMIT_S, &ready_s, &eb))
			rig_problem(r, "%s", eb.text);
	}
}

void rig_stop_all(struct rig *r)
{
	for (unsigned i = 0; i < r->count; i++)
		rival_release(&r->peers[i]);
}

unsigned rig_turn(const struct rig *r, unsigned i, unsigned k)
{
	return i % 2 ? r->count - 1 - k : k;
}

bool rig_writes_v2(struct rig *r)
{
	const char *argv[] = { r->self, "write", "--help", NULL };
	struct buf out, err;
	struct errbuf eb;
	int status;
	errbuf_init(&eb);
	buf_init(&out);
	buf_init(&err);
	bool found = !child_run(argv, NULL, 10, &out, &err, &status, &eb) && out.len &&
	    memmem(out.data, out.len, "--protocol ", 11);
	buf_release(&out);
	buf_release(&err);
	return found;
}

#define WORD_MAX 96
struct words {
	char text[40][WORD_MAX];
	const char *argv[42];
	unsigned count;
};

static void word(struct words *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void word(struct words *w, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	CHECK(w->count < 40);
	vsnprintf(w->text[w->count], WORD_MAX, fmt, ap);
	va_end(ap);
	w->argv[w->count + 1] = w->text[w->count];
	w->count++;
	w->argv[w->count + 1] = NULL;
}

enum err rig_write_begin(struct rig *r, struct rival *p, const struct rig_load *load,
    struct child_job *job, struct errbuf *eb)
{
	struct words w = { .count = 0 };
	char url[600];
	w.argv[0] = r->self;
	rival_write_url(p, url, sizeof(url));
	word(&w, "write");
	word(&w, "--url=%s", url);
	word(&w, "--series=%llu", (unsigned long long)load->series);
	word(&w, "--first-round=%llu", (unsigned long long)load->first);
	word(&w, "--rounds=%llu", (unsigned long long)load->rounds);
	word(&w, "--start=%.3f", (double)r->start_ms / 1000);
	word(&w, "--step=%dms", RIG_STEP_MS);
	word(&w, "--batch=%.0f", r->batch);
	word(&w, "--connections=%.0f", r->connections);
	word(&w, "--retry=%g", load->retry_s);
	word(&w, "--idle-limit=%g", rig_idle_limit_s(r));
	word(&w, "--settle=%g", r->settle_s);
	if (!load->no_verify)
		word(&w, "--verify");
	if (!load->no_pid)
		word(&w, "--pid=%d", p->pid);
	if (load->memory_mb > 0)
		word(&w, "--memory=%.0f", load->memory_mb);
	if (load->shuffle)
		word(&w, "--shuffle");
	if (load->pace_s > 0)
		word(&w, "--pace=%.0fms", load->pace_s * 1000);
	if (strcmp(load->version, "1.0"))
		word(&w, "--protocol=%s", load->version);
	return child_begin(w.argv, &r->generator_cpus, job, eb);
}

json_t *rig_json_lines(const struct buf *out)
{
	json_t *all = json_array();
	const char *p = (const char *)out->data, *end = p ? p + out->len : p;
	while (p && p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((nl ? nl : end) - p);
		json_t *o = *p == '{' ? json_loadb(p, n, 0, NULL) : NULL;
		if (o)
			json_array_append_new(all, o);
		p += n + 1;
	}
	return all;
}

/* "kymobench write: first refusal: ..." without who says it; the last line counts. */
static void why_of(const struct buf *err, char *out, size_t cap)
{
	const char *p = (const char *)err->data, *end = p ? p + err->len : p;
	out[0] = 0;
	while (p && p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((nl ? nl : end) - p);
		size_t head = n > 17 && !memcmp(p, "kymobench write: ", 17) ? 17 : 0;
		if (n > head && head)
			snprintf(out, cap, "%.*s", (int)(n - head), p + head);
		p += n + 1;
	}
}

void rig_no_figures(struct rig_wrote *w)
{
	*w = (struct rig_wrote){ .samples = NAN, .failed = NAN, .requests = NAN, .seconds = NAN };
	w->per_s = w->per_cpu_s = w->cpu_s = w->cores = NAN;
	w->idle_after_s = NAN;
	w->p50_ms = w->p99_ms = w->late_p99_ms = w->asked_per_s = w->read_back = NAN;
}

static void read_figures(const json_t *o, struct rig_wrote *w)
{
	double us50 = results_number(o, "p50_us"), us99 = results_number(o, "p99_us");
	w->samples = results_number(o, "samples");
	w->failed = results_number(o, "failed");
	w->requests = results_number(o, "requests");
	w->seconds = results_number(o, "seconds");
	w->per_s = results_number(o, "samples_per_s");
	w->cpu_s = results_number(o, "server_cpu_s");
	w->per_cpu_s = results_number(o, "samples_per_cpu_s");
	w->cores = results_number(o, "cores");
	w->read_back = results_number(o, "read_back");
	snprintf(w->verify_error, sizeof(w->verify_error), "%s", results_text(o, "verify_error"));
	if (json_is_false(json_object_get(o, "sum_equal")))
		snprintf(
		    w->verify_error, sizeof(w->verify_error), "values that are read back differ");
	w->late_p99_ms = results_number(o, "late_p99_ms");
	w->asked_per_s = results_number(o, "asked_per_s");
	w->idle_after_s = results_number(o, "idle_after_s");
	/* A request that could not be sent in time has waited, too. */
	w->p50_ms = isfinite(us50) ? us50 / 1000 : results_number(o, "due_p50_ms");
	w->p99_ms = isfinite(us99) ? us99 / 1000 : results_number(o, "due_p99_ms");
}

double rig_idle_limit_s(const struct rig *r)
{
	return fmax(5, fmin(IDLE_LIMIT_S, r->limit_s * IDLE_PART));
}

bool rig_fell_behind(const struct rig_wrote *w, char *out, size_t cap)
{
	char rate[RESULTS_HUMAN_MAX];
	/* Answers of the last requests come behind the last moment that something is due. */
	double due_s = w->asked_per_s > 0 ? w->samples / w->asked_per_s : INFINITY;
	if (!isfinite(w->asked_per_s) || !isfinite(w->per_s) ||
	    (!(w->failed > 0) && w->seconds <= due_s * BEHIND_PART + BEHIND_S))
		return false;
	results_human(w->per_s, "", rate);
	snprintf(out, cap, "at %s samples/s", rate);
	return true;
}

bool rig_write_finish(struct rig *r, struct child_job *job, double limit_s, struct rig_wrote *out)
{
	struct buf text, err;
	struct errbuf eb;
	int status = 0;
	json_t *lines = NULL;
	rig_no_figures(out);
	(void)r;
	errbuf_init(&eb);
	buf_init(&text);
	buf_init(&err);
	enum err e = child_finish(job, limit_s, &text, &err, &status, &eb);
	if (e) {
		snprintf(out->why, sizeof(out->why), "%s", eb.text);
		out->cut = e == ERR_TIMEOUT;
	} else {
		lines = rig_json_lines(&text);
		why_of(&err, out->why, sizeof(out->why));
		if (json_array_size(lines))
			read_figures(json_array_get(lines, json_array_size(lines) - 1), out);
		else if (!out->why[0])
			snprintf(out->why, sizeof(out->why), "no figures, status %d",
			    WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	}
	json_decref(lines);
	buf_release(&text);
	buf_release(&err);
	return isfinite(out->samples);
}

bool rig_write(struct rig *r, struct rival *p, const struct rig_load *load, struct rig_wrote *out)
{
	struct child_job job;
	struct errbuf eb;
	errbuf_init(&eb);
	double left = r->limit_s - rig_elapsed_s(r);
	if (!rival_running(p)) {
		rig_no_figures(out);
		snprintf(out->why, sizeof(out->why), "the server does not run");
		return false;
	}
	if (left <= 0) {
		rig_no_figures(out);
		snprintf(out->why, sizeof(out->why), "left out for want of time (--limit %.0fs)",
		    r->limit_s);
		out->cut = true;
		return false;
	}
	if (rig_write_begin(r, p, load, &job, &eb)) {
		rig_no_figures(out);
		snprintf(out->why, sizeof(out->why), "%s", eb.text);
		return false;
	}
	bool done = rig_write_finish(r, &job, left, out);
	if (out->cut)
		snprintf(out->why, sizeof(out->why),
		    "cut off after %.1f s for want of time (--limit %.0fs)", left, r->limit_s);
	return done;
}

void rig_tell(struct rig *r, const struct rival *p, const char *what, const struct rig_wrote *w)
{
	if (w->cut)
		results_problem(r->root, "%s: %s: %s", p->name, what, w->why);
	else
		rig_problem(r, "%s: %s: %s", p->name, what, w->why);
}

void rig_tell_servers(struct rig *r)
{
	for (unsigned i = 0; i < r->count; i++) {
		const struct rival *p = &r->peers[i];
		results_server(r->root, p->name, p->version, p->command, rival_promise(p));
		if (rival_queries(p)[0]) {
			json_t *all = json_object_get(r->root, "servers");
			json_object_set_new(
			    json_array_get(all, i), "queries", json_string(rival_queries(p)));
		}
	}
}
