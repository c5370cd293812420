#include "bench/load/stages.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/load/procstat.h"
#include "core/base/clock.h"
#include "core/base/num.h"

#define START_LIMIT_S  120.0
#define RETRY_S        5.0
#define KILL_MEMORY_MB 8.0
#define ID_MAX         96
#define TITLE_MAX      256

bool stages_wants(const struct stages *s, const char *stage)
{
	size_t n = strlen(stage);
	for (const char *p = s->only; p && *p; p += strcspn(p, ",") + (p[strcspn(p, ",")] == ','))
		if (strcspn(p, ",") == n && !memcmp(p, stage, n))
			return true;
	return !s->only;
}

bool stages_known(const char *only, struct errbuf *eb)
{
	static const char *const all[] = { "write", "paced", "disk", "query", "restart", "crash" };
	for (const char *p = only; p;) {
		size_t n = strcspn(p, ","), i = 0;
		while (i < COUNT_OF(all) && (strlen(all[i]) != n || memcmp(all[i], p, n) != 0))
			i++;
		if (i == COUNT_OF(all)) {
			errbuf_set(eb, ERR_BADDATA,
			    "--only: \"%.*s\" is none of write,paced,disk,query,restart,crash",
			    (int)n, p);
			return false;
		}
		p = p[n] ? p + n + 1 : NULL;
	}
	return true;
}

static void number(uint64_t n, char out[32])
{
	char raw[24];
	size_t len = (size_t)snprintf(raw, sizeof(raw), "%llu", (unsigned long long)n), k = 0;
	for (size_t i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			out[k++] = ',';
		out[k++] = raw[i];
	}
	out[k] = 0;
}

/* A figure of this number of series: "id_100000", "title, 100,000 series". */
static json_t *figure(struct stages *s, const char *id, const char *group, const char *title,
    const char *unit, const char *better)
{
	char full_id[ID_MAX], full[TITLE_MAX], n[32];
	number(s->series, n);
	snprintf(full_id, sizeof(full_id), "%s_%llu", id, (unsigned long long)s->series);
	snprintf(full, sizeof(full), "%s, %s series", title, n);
	return results_figure(s->rig.root, full_id, group, full, unit, better);
}

static void note(json_t *f, const char *server, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void note(json_t *f, const char *server, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	results_note(f, server, text);
}

/* What went wrong with a run of writes; true: nothing did. */
static bool note_failures(
    struct stages *s, json_t *f, const struct rival *p, const struct rig_wrote *w)
{
	if (isfinite(w->samples) && !(w->failed > 0) && w->samples > 0)
		return true;
	if (w->failed > 0)
		note(f, p->name, "%.0f of %.0f requests failed: %s", w->failed, w->requests, w->why);
	else
		note(f, p->name, "%s%s",
		    w->cut ? "" : "failed: ", w->why[0] ? w->why : "no sample was taken");
	(void)s;
	return false;
}

/* A figure that there was no time for is not told, and not "failed". */
static void value(json_t *f, const struct rival *p, const struct rig_wrote *w, double v)
{
	if (!w->cut)
		results_value(f, p->name, v);
}

/* CPU time is counted until a server has nothing to do: one that always has is cut short. */
static void note_busy(struct stages *s, json_t *f, const struct rival *p, const struct rig_wrote *w)
{
	if (w->idle_after_s >= rig_idle_limit_s(&s->rig))
		note(f, p->name,
		    "still at work %.0f s after the load: its CPU time is counted until then",
		    w->idle_after_s);
}

/* Rounds of load from the next one on, without moving it. */
static struct rig_load load_of(const struct stages *s, double rounds)
{
	return (struct rig_load){ .first = s->rig.round,
		.rounds = (uint64_t)rounds,
		.series = s->series,
		.version = "1.0",
		.retry_s = RETRY_S };
}

/* What a server acknowledged and does not hold is a problem, whatever the figure says. */
static bool note_missing(
    struct stages *s, json_t *f, const struct rival *p, const struct rig_wrote *w)
{
	char want[32], got[32];
	if (!(w->samples > 0) || child_stopped())
		return false;
	if (!isfinite(w->read_back) || w->verify_error[0])
		note(f, p->name, "read back: %s",
		    w->verify_error[0] ? w->verify_error : "it cannot be asked");
	if (!isfinite(w->read_back) || w->read_back >= w->samples)
		return false;
	number((uint64_t)w->samples, want);
	number((uint64_t)w->read_back, got);
	note(f, p->name, "read back: %s of %s samples that it acknowledged", got, want);
	rig_problem(&s->rig, "%s: read back: %s of %s samples that it acknowledged (%s)", p->name,
	    got, want, results_text(f, "title"));
	return true;
}

/* Memory, files and answers of a server that holds less than the others are not compared. */
static void tell_lacking(struct stages *s, json_t *f)
{
	for (unsigned i = 0; i < s->rig.count; i++)
		if (s->lacks[i] && results_of(f, s->rig.peers[i].name))
			results_apart(f, s->rig.peers[i].name, "holds less than was sent");
}

/* After a load that all are to hold. */
static void judge_held(struct stages *s, const struct rival *p, const struct rig_wrote *w)
{
	s->lacks[p - s->rig.peers] |= !(w->samples > 0) || w->failed > 0 || w->read_back < w->samples;
}

void stages_create(struct stages *s)
{
	struct rig *r = &s->rig;
	json_t *f =
	    figure(s, "new_series", "Writes", "new series: samples per CPU-second", "", "more");
	struct rig_load load = load_of(s, 1);
	struct rig_wrote w;
	for (unsigned k = 0; k < r->count && !child_stopped(); k++) {
		struct rival *p = &r->peers[k];
		rig_say(r, "new series: %s", p->name);
		rig_write(r, p, &load, &w);
		if (child_stopped())
			return;
		bool missing = note_missing(s, f, p, &w);
		note_busy(s, f, p, &w);
		value(f, p, &w, w.per_cpu_s > 0 && !missing ? w.per_cpu_s : NAN);
		judge_held(s, p, &w);
		if (!note_failures(s, f, p, &w))
			rig_tell(r, p, "new series", &w);
	}
	r->round++;
}

struct write_figures {
	json_t *cpu, *rate, *p50, *p99; /* the last three NULL: only the first is told */
};

/* One run of one server; false: not all of it is there. */
static bool one_write(struct stages *s, struct write_figures *f, struct rival *p,
    const struct rig_load *load, bool optional)
{
	struct rig_wrote w;
	rig_write(&s->rig, p, load, &w);
	if (child_stopped())
		return false;
	bool good = note_failures(s, f->cpu, p, &w);
	bool missing = note_missing(s, f->cpu, p, &w);
	note_busy(s, f->cpu, p, &w);
	/* Of a run of which a part was refused, what was taken still cost what it cost. */
	bool some = isfinite(w.samples) && w.samples > 0 && !missing;
	value(f->cpu, p, &w, some && w.per_cpu_s > 0 ? w.per_cpu_s : NAN);
	if (f->rate) {
		value(f->rate, p, &w, some ? w.per_s : NAN);
		value(f->p50, p, &w, some ? w.p50_ms : NAN);
		value(f->p99, p, &w, some ? w.p99_ms : NAN);
	}
	if (!optional)
		judge_held(s, p, &w);
	if (!good && (w.cut || !optional) && !child_stopped())
		rig_tell(&s->rig, p, results_text(f->cpu, "title"), &w);
	return good && !missing;
}

/* The same rounds by Remote Write 1.0, not counted: all servers hold the same data for queries. */
static void fill(struct stages *s, struct rival *p, uint64_t first, uint64_t end)
{
	struct rig_load load = load_of(s, (double)(end - first));
	struct rig_wrote w;
	load.first = first;
	rig_say(&s->rig, "the same data by 1.0: %s", p->name);
	if (end == first || child_stopped())
		return;
	if (!rig_write(&s->rig, p, &load, &w) || w.failed > 0)
		rig_tell(&s->rig, p, "the same data by 1.0", &w);
	judge_held(s, p, &w);
}

/*
 * Pairs of rounds, in an order that turns round; as many as there is time for. optional: a server
 * that does not speak it is noted, not asked for more, and is given the data in another way.
 */
static void write_pairs(struct stages *s, struct write_figures *f, struct rig_load load,
    const char *what, double part, bool optional)
{
	struct rig *r = &s->rig;
	bool lacks[RIVALS_MAX] = { false };
	double took = 0;
	uint64_t first = r->round;
	unsigned i;
	for (i = 0; i < (unsigned)s->pairs && (!i || rig_may(r, took, part)) && !child_stopped();
	     i++) {
		double begin = rig_elapsed_s(r);
		load.first = r->round;
		for (unsigned k = 0; k < r->count && !child_stopped(); k++) {
			unsigned who = rig_turn(r, i, k);
			struct rival *p = &r->peers[who];
			rig_say(r, "%s, round %u of %.0f: %s", what, i + 1, s->pairs, p->name);
			if (optional && lacks[who])
				continue;
			lacks[who] = !one_write(s, f, p, &load, optional);
		}
		r->round += load.rounds;
		took = rig_elapsed_s(r) - begin;
	}
	if (i < (unsigned)s->pairs && !lacks[0] && !child_stopped())
		note(f->cpu, r->peers[0].name, "%u of %.0f rounds, for want of time", i, s->pairs);
	for (unsigned k = 0; k < r->count && optional; k++)
		if (lacks[k] && rival_running(&r->peers[k]))
			fill(s, &r->peers[k], first, r->round);
}

void stages_write(struct stages *s)
{
	struct write_figures f = { 0 };
	struct rig_load load = load_of(s, s->rounds);
	f.cpu = figure(s, "rw1_grouped", "Writes",
	    "Remote Write 1.0, grouped: samples per CPU-second", "", "more");
	f.rate = figure(
	    s, "rw1_rate", "Writes", "Remote Write 1.0, grouped: samples per second", "", "more");
	f.p50 =
	    figure(s, "rw1_p50", "Answers", "answer to a write at full speed, median", "ms", "less");
	f.p99 = figure(s, "rw1_p99", "Answers", "answer to a write at full speed, 99th percentile",
	    "ms", "less");
	write_pairs(s, &f, load, "writes, grouped", s->first_size ? 0.3 : 0.6, false);
	if (child_stopped())
		return;
	f = (struct write_figures){ 0 };
	f.cpu = figure(s, "rw1_shuffled", "Writes",
	    "Remote Write 1.0, shuffled: samples per CPU-second", "", "more");
	load.shuffle = true;
	write_pairs(s, &f, load, "writes, shuffled", s->first_size ? 0.4 : 0.7, false);
	load.shuffle = false;
	if (child_stopped())
		return;
	f.cpu = figure(s, "rw2_grouped", "Writes",
	    "Remote Write 2.0, grouped: samples per CPU-second", "", "more");
	load.version = "2.0";
	if (rig_writes_v2(&s->rig))
		write_pairs(s, &f, load, "writes, 2.0", s->first_size ? 0.5 : 0.8, true);
}

/* CPU and memory of each server over the time of a load, for lines. */
static void watch(struct stages *s, struct rival *p, struct child_job *job, double seconds)
{
	uint64_t begin = clock_real_mono_ns();
	double t = 0;
	uint64_t cpu = procstat_cpu_ns(p->pid);
	double before = 0;
	(void)job;
	for (double next = 1; next < seconds && !child_stopped(); next = floor(t) + 1) {
		struct procstat ps;
		while ((t = (double)(clock_real_mono_ns() - begin) / 1e9) < next && !child_stopped())
			usleep(20000);
		uint64_t now = procstat_cpu_ns(p->pid);
		if (procstat_read(p->pid, &ps))
			return;
		results_point(s->rig.root, "cores used while it is written to at a pace", "",
		    p->name, t, fmax(0, (double)(int64_t)(now - cpu)) / 1e9 / (t - before));
		results_point(s->rig.root, "memory (RSS) while it is written to at a pace", "bytes",
		    p->name, t, ps.rss_mb * (1 << 20));
		cpu = now;
		before = t;
	}
}

static bool paced_once(
    struct stages *s, struct rival *p, const struct rig_load *load, bool draw, struct rig_wrote *w)
{
	struct rig *r = &s->rig;
	struct child_job job;
	struct errbuf eb;
	errbuf_init(&eb);
	rig_no_figures(w);
	if (!rival_running(p) || rig_write_begin(r, p, load, &job, &eb)) {
		snprintf(
		    w->why, sizeof(w->why), "%s", eb.text[0] ? eb.text : "the server does not run");
		return false;
	}
	if (draw)
		watch(s, p, &job, (double)load->rounds * load->pace_s);
	return rig_write_finish(r, &job, (double)load->rounds * load->pace_s + 60, w);
}

/* figures: cores, median and 99th percentile of answers. */
static void take_paced(
    struct stages *s, struct rival *p, json_t *const figures[3], const struct rig_wrote *w)
{
	const double values[] = { w->cores, w->p50_ms, w->p99_ms };
	bool missing = note_missing(s, figures[0], p, w);
	char behind[RESULTS_HUMAN_MAX + 32];
	for (unsigned i = 0; i < 3; i++) {
		results_value(figures[i], p->name, missing ? NAN : values[i]);
		if (rig_fell_behind(w, behind, sizeof(behind)))
			results_apart(figures[i], p->name, behind);
	}
	judge_held(s, p, w);
	if (!note_failures(s, figures[0], p, w))
		rig_problem(&s->rig, "%s: paced: %s", p->name, w->why);
	if (rig_fell_behind(w, behind, sizeof(behind)))
		note(figures[0], p->name,
		    "the pace was not reached: %s, done %.1f s after the last was due: no ratio is of the same load",
		    behind, w->seconds - w->samples / w->asked_per_s);
	else if (w->late_p99_ms > 50)
		note(figures[0], p->name, "the pace was not held: sent up to %.0f ms late (p99)",
		    w->late_p99_ms);
}

void stages_paced(struct stages *s)
{
	struct rig *r = &s->rig;
	char rate[32], title[160];
	double round_s = (double)s->series / s->pace_rate, took = 0;
	struct rig_load load = load_of(s, fmax(1, round(s->pace_s / round_s)));
	load.pace_s = round_s;
	number((uint64_t)s->pace_rate, rate);
	snprintf(title, sizeof(title), "at %s samples/s: cores in use", rate);
	json_t *figures[3];
	figures[0] = figure(s, "paced_cores", "Paced", title, "", "less");
	snprintf(title, sizeof(title),
	    "at %s samples/s: answer to a write since it was due, median", rate);
	figures[1] = figure(s, "paced_p50", "Paced", title, "ms", "less");
	snprintf(title, sizeof(title),
	    "at %s samples/s: answer to a write since it was due, 99th percentile", rate);
	figures[2] = figure(s, "paced_p99", "Paced", title, "ms", "less");
	for (unsigned i = 0; i < 2 && (!i || rig_may(r, took, 0.65)) && !child_stopped(); i++) {
		double begin = rig_elapsed_s(r);
		load.first = r->round;
		for (unsigned k = 0; k < r->count && !child_stopped(); k++) {
			struct rival *p = &r->peers[rig_turn(r, i, k)];
			struct rig_wrote w;
			rig_say(r, "%s samples/s, round %u: %s", rate, i + 1, p->name);
			paced_once(s, p, &load, !i, &w);
			if (!child_stopped())
				take_paced(s, p, figures, &w);
		}
		r->round += load.rounds;
		took = rig_elapsed_s(r) - begin;
	}
}

void stages_memory(struct stages *s, const char *when)
{
	char title[128], id[64];
	snprintf(id, sizeof(id), "rss_%s", strstr(when, "flush") ? "flushed" : "written");
	snprintf(title, sizeof(title), "memory (RSS) %s", when);
	json_t *f = figure(s, id, "Memory and disk", title, "bytes", "less");
	for (unsigned i = 0; i < s->rig.count; i++) {
		struct rival *p = &s->rig.peers[i];
		struct procstat ps;
		bool there = rival_running(p) && !procstat_read(p->pid, &ps);
		results_value(f, p->name, there ? ps.rss_mb * (1 << 20) : NAN);
	}
	tell_lacking(s, f);
}

void stages_disk(struct stages *s)
{
	struct rig *r = &s->rig;
	double samples = (double)s->series * (double)r->round;
	json_t *before = figure(s, "disk_written", "Memory and disk",
	    "directory after writing, with logs and reserves", "bytes", "less");
	json_t *files = figure(s, "bytes_sample", "Memory and disk",
	    "bytes a sample after flush and merge", "", "less");
	json_t *whole = figure(s, "disk_flushed", "Memory and disk",
	    "directory after flush and merge, with logs and reserves", "bytes", "less");
	for (unsigned i = 0; i < r->count && !child_stopped(); i++) {
		struct rival *p = &r->peers[i];
		struct rival_bytes b;
		struct errbuf eb;
		errbuf_init(&eb);
		if (!rival_running(p))
			continue;
		rig_say(r, "flush and merge: %s", p->name);
		results_value(before, p->name, rival_whole_bytes(p));
		enum err e = rival_flush(p, &b, &eb);
		if (child_stopped())
			return;
		results_value(files, p->name, e ? NAN : b.files / samples);
		results_value(whole, p->name, e ? NAN : b.whole);
		if (e == ERR_UNSUPPORTED)
			note(files, p->name, "%s", eb.text);
		else if (e)
			rig_problem(r, "%s", eb.text);
		else
			note(files, p->name, "%s", b.what);
	}
	tell_lacking(s, before);
	tell_lacking(s, files);
	tell_lacking(s, whole);
}

static const char *name_of_url(struct stages *s, const char *url)
{
	char mine[600];
	for (unsigned i = 0; i < s->rig.count; i++) {
		rival_query_url(&s->rig.peers[i], mine, sizeof(mine));
		if (mine[0] && !strcmp(mine, url))
			return s->rig.peers[i].name;
	}
	return "";
}

/* Of one line of "kymobench query --json": times into the figures, equality into the queries. */
static void take_query(struct stages *s, const json_t *line, json_t *ms, json_t *cpu, bool keep)
{
	json_t *q = json_object(), *rows = json_array();
	struct buf differs;
	const json_t *o;
	size_t i;
	bool equal = true;
	buf_init(&differs);
	json_array_foreach(json_object_get(line, "servers"), i, o)
	{
		const char *name = name_of_url(s, results_text(o, "url"));
		const char *d = results_text(o, "differs");
		results_value(ms, name, results_number(o, "ms"));
		results_value(cpu, name, results_number(o, "cpu_ms"));
		json_t *row = json_pack("{s:s,s:O?,s:O?,s:O?}", "name", name, "ms",
		    json_object_get(o, "ms"), "cpu_ms", json_object_get(o, "cpu_ms"), "series",
		    json_object_get(o, "series"));
		json_array_append_new(rows, row);
		if (*d)
			buf_printf(&differs, "%s%s: %s", equal ? "" : "; ", name, d);
		equal = equal && !*d;
	}
	buf_add_u8(&differs, 0);
	json_object_set(q, "query", json_object_get(line, "query"));
	json_object_set_new(q, "equal", json_boolean(equal));
	json_object_set_new(q, "difference", json_string((const char *)differs.data));
	json_object_set(q, "servers", rows);
	if (keep)
		json_array_append(json_object_get(s->rig.root, "queries"), q);
	json_decref(rows);
	json_decref(q);
	buf_release(&differs);
}

static void run_queries(struct stages *s, const char *extra, json_t *ms, json_t *cpu, bool keep)
{
	struct rig *r = &s->rig;
	static char words[2 * RIVALS_MAX + 10][700];
	const char *argv[2 * RIVALS_MAX + 12];
	unsigned n = 0;
	struct buf out, err;
	struct errbuf eb;
	int status = 0;
	double end_s = (double)r->start_ms / 1000 + (double)(r->round - 1) * RIG_STEP_MS / 1000;
	argv[n++] = r->self;
	argv[n++] = "query";
	argv[n++] = "--json";
	for (unsigned i = 0; i < r->count; i++) {
		char url[600];
		rival_query_url(&r->peers[i], url, sizeof(url));
		if (!url[0] || !rival_running(&r->peers[i]))
			continue;
		snprintf(words[n], sizeof(*words), "--url=%s", url);
		argv[n] = words[n];
		n++;
		snprintf(words[n], sizeof(*words), "--pid=%d", r->peers[i].pid);
		argv[n] = words[n];
		n++;
	}
	snprintf(words[n], sizeof(*words), "--file=%s", r->queries);
	argv[n] = words[n];
	n++;
	snprintf(words[n], sizeof(*words), "--end=%.3f", end_s);
	argv[n] = words[n];
	n++;
	snprintf(words[n], sizeof(*words), "--rounds=%.0f", s->query_rounds);
	argv[n] = words[n];
	n++;
	if (*extra) {
		snprintf(words[n], sizeof(*words), "--extra=%s", extra);
		argv[n] = words[n];
		n++;
	}
	argv[n] = NULL;
	errbuf_init(&eb);
	buf_init(&out);
	buf_init(&err);
	double left = r->limit_s * 0.9 - rig_elapsed_s(r);
	enum err e =
	    child_run(argv, &r->generator_cpus, left > 10 ? left : 10, &out, &err, &status, &eb);
	json_t *lines = rig_json_lines(&out);
	const json_t *line,
	    *sum = json_array_get(lines, json_array_size(lines) ? json_array_size(lines) - 1 : 0);
	size_t i;
	json_array_foreach(lines, i, line) if (json_object_get(line, "query"))
	    take_query(s, line, ms, cpu, keep);
	tell_lacking(s, ms);
	tell_lacking(s, cpu);
	if (e && !child_stopped())
		rig_problem(r, "queries: %s", eb.text);
	else if (!e && (results_number(sum, "failed") > 0 || !json_object_get(sum, "queries")))
		rig_problem(r, "queries: %.0f failed: %.*s", results_number(sum, "failed"),
		    (int)(err.len < 500 ? err.len : 500), err.len ? (const char *)err.data : "");
	json_decref(lines);
	buf_release(&out);
	buf_release(&err);
}

void stages_query(struct stages *s)
{
	struct rig *r = &s->rig;
	struct errbuf eb;
	for (unsigned i = 0; i < r->count; i++) {
		errbuf_init(&eb);
		if (rival_running(&r->peers[i]) && rival_settle(&r->peers[i], &eb))
			rig_problem(r, "%s", eb.text);
	}
	json_t *ms = figure(
	    s, "query_ms", "Queries", "dashboard, evaluated anew: time of a query", "ms", "less");
	json_t *cpu = figure(s, "query_cpu_ms", "Queries",
	    "dashboard, evaluated anew: CPU of a query", "ms", "less");
	rig_say(r, "queries of the dashboard");
	run_queries(s, "nocache=1", ms, cpu, true);
	ms = figure(s, "query_again_ms", "Queries", "dashboard, asked again: time of a query", "ms",
	    "less");
	cpu = figure(s, "query_again_cpu_ms", "Queries", "dashboard, asked again: CPU of a query",
	    "ms", "less");
	if (!child_stopped() && rig_may(r, 20, 0.9))
		run_queries(s, "", ms, cpu, false);
}

void stages_restart(struct stages *s)
{
	struct rig *r = &s->rig;
	double took = 0;
	json_t *stop = figure(s, "stop_s", "Restart", "to end after SIGTERM", "s", "less");
	json_t *start =
	    figure(s, "restart_s", "Restart", "from start to ready, after SIGTERM", "s", "less");
	for (unsigned i = 0; i < (unsigned)s->restarts && (!i || rig_may(r, took, 0.9)); i++) {
		double begin = rig_elapsed_s(r);
		for (unsigned k = 0; k < r->count && !child_stopped(); k++) {
			struct rival *p = &r->peers[rig_turn(r, i, k)];
			struct errbuf eb;
			double ready_s = NAN;
			errbuf_init(&eb);
			if (!rival_running(p))
				continue;
			rig_say(r, "restart %u: %s", i + 1, p->name);
			double stop_s = rival_stop(p, SIGTERM);
			if (child_stopped())
				return;
			results_value(stop, p->name, stop_s);
			if (rival_start(p, &r->server_cpus, START_LIMIT_S, &ready_s, &eb)) {
				ready_s = NAN;
				if (child_stopped())
					return;
				rig_problem(r, "%s", eb.text);
			}
			results_value(start, p->name, ready_s);
		}
		took = rig_elapsed_s(r) - begin;
	}
	tell_lacking(s, stop);
	tell_lacking(s, start);
}

/* Load that would go on for long; the server is killed in the midst of it, and started again. */
static void kill_one(struct stages *s, struct rival *p, json_t *ready)
{
	struct rig *r = &s->rig;
	struct rig_load load = load_of(s, fmax(4, ceil(20e6 / (double)s->series)));
	struct child_job job;
	struct rig_wrote w;
	struct errbuf eb;
	char n[32];
	double ready_s = NAN;
	errbuf_init(&eb);
	load.retry_s = 0;
	load.no_pid = load.no_verify = true;
	load.memory_mb = KILL_MEMORY_MB; /* the load begins at once */
	if (rig_write_begin(r, p, &load, &job, &eb)) {
		note(ready, p->name, "%s", eb.text);
		return;
	}
	for (uint64_t begin = clock_real_mono_ns(), end = (uint64_t)(s->crash_s * 1e9);
	     clock_real_mono_ns() - begin < end && !child_stopped();)
		usleep(10000);
	rival_stop(p, SIGKILL);
	rig_write_finish(r, &job, 60, &w);
	if (child_stopped())
		return;
	if (rival_start(p, &r->server_cpus, START_LIMIT_S, &ready_s, &eb)) {
		if (child_stopped())
			return;
		rig_problem(r, "after SIGKILL: %s", eb.text);
		ready_s = NAN;
	}
	results_value(ready, p->name, ready_s);
	number(w.samples > 0 ? (uint64_t)w.samples : 0, n);
	note(ready, p->name, "killed after %.1f s of load and %s samples", s->crash_s, n);
}

/* "kymobench crash", with a server of its own: every acknowledged sample is read back. */
static void crash_one(struct stages *s, struct rival *p, json_t *lost)
{
	struct rig *r = &s->rig;
	char dir[700], port[32], n[32], server[700];
	const char *argv[] = { r->self, "crash", "--server", server, "--kills", "2", "--uptime",
		"2", "--seed", "1", "--dir", dir, r->ports > 0 ? "--port" : NULL, port, NULL };
	struct buf out, err;
	struct errbuf eb;
	int status;
	if (p->kind != RIVAL_KYMOD && p->kind != RIVAL_VICTORIA && p->kind != RIVAL_PROMETHEUS) {
		note(lost, p->name, "not measured: kymobench crash does not start it by itself");
		return;
	}
	errbuf_init(&eb);
	buf_init(&out);
	buf_init(&err);
	snprintf(dir, sizeof(dir), "%s/crash-%d", r->dir, p->port);
	if (!p->top[0] || rival_known_name(p, server, sizeof(server), &eb)) {
		rig_problem(r, "%s", eb.text);
		return;
	}
	snprintf(port, sizeof(port), "%.0f", r->ports + 2 * RIVALS_MAX);
	double left = r->limit_s - rig_elapsed_s(r);
	enum err e =
	    child_run(argv, &r->server_cpus, left > 20 ? left : 20, &out, &err, &status, &eb);
	json_t *lines = rig_json_lines(&out);
	const json_t *o = json_array_get(lines, 0);
	double acked = results_number(o, "acknowledged");
	if (child_stopped()) {
		; /* nothing is said of half a run */
	} else if (isfinite(acked) && !(acked > 0)) {
		results_value(lost, p->name, NAN);
		note(lost, p->name, "it acknowledged nothing");
	} else if (isfinite(acked)) {
		results_value(lost, p->name, results_number(o, "lost"));
		number((uint64_t)acked, n);
		note(lost, p->name, "of %s acknowledged, two kills; those of the last %.1f s of load",
		    n, results_number(o, "lost_s"));
	} else {
		results_value(lost, p->name, NAN);
		rig_problem(r, "%s: kill -9: %.*s", p->name, (int)(err.len < 500 ? err.len : 500),
		    e             ? eb.text
		        : err.len ? (const char *)err.data
		                  : "no figures");
	}
	json_decref(lines);
	buf_release(&out);
	buf_release(&err);
}

void stages_crash(struct stages *s)
{
	struct rig *r = &s->rig;
	json_t *ready = figure(s, "crash_ready_s", "Restart",
	    "from start to ready, after kill -9 under load", "s", "less");
	json_t *lost = results_figure(r->root, "crash_lost", "Durability",
	    "acknowledged samples that kill -9 under load loses", "", "less");
	for (unsigned i = 0; i < r->count && !child_stopped(); i++) {
		struct rival *p = &r->peers[i];
		if (!rival_running(p))
			continue;
		rig_say(r, "kill -9 under load, and start: %s", p->name);
		kill_one(s, p, ready);
	}
	tell_lacking(s, ready);
	for (unsigned i = 0; i < r->count && !child_stopped() && (!i || rig_may(r, 10, 1)); i++) {
		struct rival *p = &r->peers[i];
		rig_say(r, "kill -9 under load, and what is lost: %s", p->name);
		crash_one(s, p, lost);
		note(lost, p->name, "promises: %s", rival_promise(p));
	}
}
