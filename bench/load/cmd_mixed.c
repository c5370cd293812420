/*
 * kymobench mixed - writes, a dashboard's queries, and both at once, of servers that are started
 * here (bench/load/rig.h): what each costs the other. Status 1: something failed.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/load/askers.h"
#include "bench/load/stages.h"
#include "bench/load/table.h"
#include "core/base/clock.h"
#include "core/base/num.h"

#define HISTORY_ROUNDS 60.0 /* of data before the first query: 15 minutes */

struct mixed {
	struct rig rig;
	struct shapes shapes;
	double clients, pairs, rounds, pace_rate, seconds;
	bool full_speed;
	/* By [alone, together]. */
	json_t *write_p50[2], *write_p99[2], *write_cost[2], *query_p50[2], *query_p99[2],
	    *query_rate[2];
};

static void make_figures(struct mixed *m)
{
	static const char *const when[2] = { "alone", "beside the other" };
	char id[64], title[160];
	struct row {
		json_t **figure;
		const char *id, *group, *title, *unit, *better;
	} rows[] = {
		{ m->write_p50, "write_p50", "Writes", "answer to a write, median", "ms", "less" },
		{ m->write_p99, "write_p99", "Writes", "answer to a write, 99th percentile", "ms",
		    "less" },
		{ m->write_cost, "write_rate", "Writes", "samples per second", "", "more" },
		{ m->query_p50, "query_p50", "Queries", "answer to a query, median", "ms", "less" },
		{ m->query_p99, "query_p99", "Queries", "answer to a query, 99th percentile", "ms",
		    "less" },
		{ m->query_rate, "query_rate", "Queries", "queries per second", "", "more" },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		for (unsigned k = 0; k < 2; k++) {
			snprintf(id, sizeof(id), "%s_%s", rows[i].id, k ? "together" : "alone");
			snprintf(title, sizeof(title), "%s, %s", rows[i].title, when[k]);
			rows[i].figure[k] = results_figure(
			    m->rig.root, id, rows[i].group, title, rows[i].unit, rows[i].better);
		}
	}
}

static struct rig_load load_of(const struct mixed *m)
{
	double series = m->rig.series, round_s = series / m->pace_rate;
	struct rig_load load = { .first = m->rig.round,
		.rounds =
		    (uint64_t)(m->full_speed ? m->rounds : fmax(1, round(m->seconds / round_s))),
		.series = (uint64_t)series,
		.version = "1.0",
		.retry_s = 5,
		.no_pid = true,
		.pace_s = m->full_speed ? 0 : round_s };
	return load;
}

static void take_writes(struct mixed *m, struct rival *p, const struct rig_wrote *w, unsigned together)
{
	bool there = isfinite(w->samples) && w->samples > 0;
	char behind[RESULTS_HUMAN_MAX + 32];
	json_t *const figures[] = { m->write_p50[together], m->write_p99[together],
		m->write_cost[together], m->query_p50[together], m->query_p99[together],
		m->query_rate[together] };
	if (child_stopped())
		return;
	for (unsigned i = 0; i < (together ? 6 : 3) && rig_fell_behind(w, behind, sizeof(behind)); i++)
		results_apart(figures[i], p->name, behind);
	results_value(m->write_p50[together], p->name, there ? w->p50_ms : NAN);
	results_value(m->write_p99[together], p->name, there ? w->p99_ms : NAN);
	results_value(m->write_cost[together], p->name, there ? w->per_s : NAN);
	if ((!there || w->failed > 0) && !child_stopped()) {
		results_note(m->write_p50[together], p->name, w->why);
		rig_problem(&m->rig, "%s: %.0f requests failed: %s", p->name, w->failed, w->why);
	}
}

static void take_queries(struct mixed *m, struct rival *p, const struct asked *a, unsigned together)
{
	char text[400];
	results_value(m->query_p50[together], p->name, a->p50_ms);
	results_value(m->query_p99[together], p->name, a->p99_ms);
	results_value(m->query_rate[together], p->name, a->per_s);
	if (!a->failed || child_stopped())
		return;
	snprintf(text, sizeof(text), "%llu of %llu queries failed: %s",
	    (unsigned long long)a->failed, (unsigned long long)(a->failed + a->answers), a->why);
	results_note(m->query_p50[together], p->name, text);
	rig_problem(&m->rig, "%s: %s", p->name, text);
}

/* The data's time goes on with the load: so do the queries' ranges. */
static struct askers *begin_asking(
    struct mixed *m, struct rival *p, const struct rig_load *load, bool moving)
{
	char url[600];
	struct errbuf eb;
	struct askers *a = NULL;
	struct askers_opts o = { .url = url,
		.shapes = &m->shapes,
		.clients = (unsigned)m->clients,
		.step_s = 15,
		.speed = moving && load->pace_s > 0 ? RIG_STEP_MS / 1000.0 / load->pace_s : 0 };
	errbuf_init(&eb);
	rival_query_url(p, url, sizeof(url));
	o.end_s = (double)m->rig.start_ms / 1000 + (double)load->first * RIG_STEP_MS / 1000;
	o.start_s = o.end_s - HISTORY_ROUNDS * RIG_STEP_MS / 1000;
	if (!url[0])
		results_note(m->query_p50[0], p->name, "answers no queries itself");
	else if (askers_begin(&o, &a, &eb))
		rig_problem(&m->rig, "%s: %s", p->name, eb.text);
	return a;
}

static void ask_alone(struct mixed *m, struct rival *p, const struct rig_load *load, double seconds)
{
	struct askers *a = begin_asking(m, p, load, false);
	struct asked asked;
	uint64_t begin = clock_real_mono_ns();
	if (!a)
		return;
	while ((double)(clock_real_mono_ns() - begin) / 1e9 < seconds && !child_stopped())
		usleep(10000);
	askers_end(a, &asked);
	take_queries(m, p, &asked, 0);
}

/* Writes, with or without those who ask meanwhile. */
static void write_once(struct mixed *m, struct rival *p, unsigned together)
{
	struct rig_load load = load_of(m);
	struct rig_wrote w;
	struct child_job job;
	struct errbuf eb;
	struct askers *a = NULL;
	struct asked asked;
	errbuf_init(&eb);
	if (!rival_running(p) || rig_write_begin(&m->rig, p, &load, &job, &eb)) {
		rig_problem(&m->rig, "%s: it does not run", p->name);
		return;
	}
	if (together)
		a = begin_asking(m, p, &load, true);
	double left = m->rig.limit_s - rig_elapsed_s(&m->rig);
	rig_write_finish(&m->rig, &job, left > 30 ? left : 30, &w);
	if (a) {
		askers_end(a, &asked);
		take_queries(m, p, &asked, 1);
	}
	take_writes(m, p, &w, together);
}

static void one_pair(struct mixed *m, unsigned i)
{
	struct rig *r = &m->rig;
	for (unsigned phase = 0; phase < 3 && !child_stopped(); phase++) {
		struct rig_load load = load_of(m);
		for (unsigned k = 0; k < r->count && !child_stopped(); k++) {
			struct rival *p = &r->peers[rig_turn(r, i, k)];
			static const char *const what[] = { "writes alone", "queries alone", "both" };
			rig_say(r, "%s, round %u of %.0f: %s", what[phase], i + 1, m->pairs, p->name);
			if (phase == 1)
				ask_alone(m, p, &load, m->seconds);
			else
				write_once(m, p, phase / 2);
		}
		if (phase != 1)
			r->round += load.rounds;
	}
}

/* Data for the first queries. */
static void write_history(struct mixed *m)
{
	struct rig *r = &m->rig;
	for (unsigned i = 0; i < r->count && !child_stopped(); i++) {
		struct rig_load load = load_of(m);
		struct rig_wrote w;
		struct errbuf eb;
		errbuf_init(&eb);
		load.rounds = (uint64_t)HISTORY_ROUNDS;
		load.pace_s = 0;
		rig_say(r, "data for the queries: %s", r->peers[i].name);
		if (!rig_write(r, &r->peers[i], &load, &w) || w.failed > 0)
			rig_tell(r, &r->peers[i], "data for the queries", &w);
		if (rival_running(&r->peers[i]) && rival_settle(&r->peers[i], &eb))
			rig_problem(r, "%s", eb.text);
	}
	r->round += (uint64_t)HISTORY_ROUNDS;
}

/* What the other's load costs, of each server by itself. */
static void tell_costs(struct mixed *m)
{
	json_t **both[] = { m->write_p50, m->write_p99, m->query_p50, m->query_p99 };
	for (size_t i = 0; i < COUNT_OF(both); i++) {
		for (unsigned k = 0; k < m->rig.count; k++) {
			const char *name = m->rig.peers[k].name;
			double alone = results_number(results_of(both[i][0], name), "median");
			double beside = results_number(results_of(both[i][1], name), "median");
			char text[64];
			if (!(alone > 0) || !isfinite(beside))
				continue;
			snprintf(text, sizeof(text), "%.2f times as long as alone", beside / alone);
			results_note(both[i][1], name, text);
		}
	}
}

static int finish(struct mixed *m, const char *out)
{
	struct rig *r = &m->rig;
	struct errbuf eb;
	errbuf_init(&eb);
	rig_say_end();
	bool stopped = rig_stopped(r);
	rig_tell_servers(r);
	results_close(r->root, rig_elapsed_s(r));
	tell_costs(m);
	table_print(r->root, stdout);
	if (out && results_save(r->root, out, &eb)) {
		fprintf(stderr, "kymobench mixed: %s\n", eb.text);
		r->failed = true;
	}
	bool failed = r->failed;
	rig_release(r);
	shapes_free(&m->shapes);
	return stopped ? 130 : failed ? 1 : 0;
}

static void run(struct mixed *m)
{
	struct rig *r = &m->rig;
	double took = 0;
	r->start_ms = clock_wall_ms() / 1000 * 1000 -
	    (int64_t)(HISTORY_ROUNDS + 2 * m->pairs * (double)load_of(m).rounds + 20) * RIG_STEP_MS;
	make_figures(m);
	rig_start_all(r);
	if (!child_stopped())
		write_history(m);
	for (unsigned i = 0; i < (unsigned)m->pairs && (!i || rig_may(r, took, 1)); i++) {
		double begin = rig_elapsed_s(r);
		one_pair(m, i);
		took = rig_elapsed_s(r) - begin;
		if (child_stopped())
			break;
	}
	rig_stop_all(r);
}

int cmd_mixed(int argc, char **argv)
{
	static struct mixed m = { .rig = { .command = "mixed",
		                      .batch = 2000,
		                      .connections = 4,
		                      .series = 100000,
		                      .settle_s = 30 },
		.clients = 4,
		.pairs = 3,
		.rounds = 60,
		.pace_rate = 100000,
		.seconds = 10 };
	const char *out = NULL, *queries = NULL, *limit = "15m";
	bool alone = false;
	const struct cmdline_arg args[] = {
		RIG_ARGS(m.rig),
		{ .name = "alone", .help = "the first server only, no peer", .flag = &alone },
		{ .name = "series", .meta = "N", .help = "series (100000)", .num = &m.rig.series },
		{ .name = "clients",
		    .meta = "N",
		    .help = "clients that ask without a pause (4)",
		    .num = &m.clients },
		{ .name = "pace-rate",
		    .meta = "N",
		    .help = "samples per second that are written (100000)",
		    .num = &m.pace_rate },
		{ .name = "full-speed",
		    .help = "write as fast as it goes, --rounds samples of each series",
		    .flag = &m.full_speed },
		{ .name = "rounds", .meta = "N", .help = "with --full-speed (60)", .num = &m.rounds },
		{ .name = "seconds",
		    .meta = "S",
		    .help = "of paced writes, and of queries alone (10)",
		    .num = &m.seconds },
		{ .name = "pairs", .meta = "N", .help = "rounds of all (3)", .num = &m.pairs },
		{ .name = "queries",
		    .meta = "FILE",
		    .help = "queries to ask, as kymobench query reads them (a dashboard of 7)",
		    .text = &queries },
		{ .name = "limit",
		    .meta = "DURATION",
		    .help = "leave out what does not fit into it (15m)",
		    .text = &limit },
		{ .name = "out", .meta = "FILE", .help = "results as JSON; - is stdout", .text = &out },
	};
	struct errbuf eb;
	errbuf_init(&eb);
	cmd_parse("mixed", argc, argv, args, COUNT_OF(args));
	if (m.clients < 1 || m.clients > 1024 || m.pairs < 1 || m.rounds < 1 || m.seconds <= 0 ||
	    m.pace_rate < 1) {
		fprintf(stderr,
		    "kymobench mixed: --clients is 1 to 1024; --pairs, --rounds and --pace-rate at least 1, --seconds above 0\n");
		return 2;
	}
	m.rig.limit_s = cmd_duration_s(limit, "limit");
	if (queries)
		snprintf(m.rig.queries, sizeof(m.rig.queries), "%s", queries);
	if (!results_writable(out, &eb) || rig_open(&m.rig, argc, argv, &eb) ||
	    shapes_load(m.rig.queries, &m.shapes, &eb)) {
		fprintf(stderr, "kymobench mixed: %s\n", eb.text);
		child_clean();
		return 2;
	}
	if (alone)
		m.rig.count = 1;
	/* Those who ask are threads of this process: beside the writers. */
	sched_setaffinity(0, sizeof(m.rig.generator_cpus), &m.rig.generator_cpus);
	run(&m);
	return finish(&m, out);
}
