/*
 * What kymobench says of several rounds, how results are read, and that no text of a file means
 * anything on a page.
 */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/load/child.h"
#include "bench/load/dashboard.h"
#include "bench/load/procstat.h"
#include "bench/load/report.h"
#include "bench/load/results.h"
#include "bench/load/rival.h"
#include "bench/load/spread.h"
#include "bench/load/svgchart.h"
#include "tests/lib/tap.h"

static void medians_and_spreads(void)
{
	const double odd[] = { 5, 1, 3 }, even[] = { 4, 1, 2, 3 }, holes[] = { NAN, 7, NAN };
	struct spread s = spread_of(odd, 3);
	tap_ok(s.median == 3 && s.min == 1 && s.max == 5 && s.count == 3,
	    "of three values the middle one");
	s = spread_of(even, 4);
	tap_ok(s.median == 2.5, "of four the mean of the middle two");
	s = spread_of(holes, 3);
	tap_ok(s.median == 7 && s.count == 1, "a round that failed is left out");
	s = spread_of(holes, 1);
	tap_ok(isnan(s.median) && !s.count, "nothing is no number");
}

static void ratios_of_pairs(void)
{
	const double a[] = { 8, 6, 9, NAN }, b[] = { 4, 2, 0, 1 };
	struct spread s = spread_ratio(a, b, 4, false);
	tap_ok(s.count == 2 && s.min == 2 && s.max == 3 && s.median == 2.5,
	    "more is better: first by other, in pairs, without those that failed or are 0");
	s = spread_ratio(a, b, 2, true);
	tap_ok(s.min == 2.0 / 6 && s.max == 0.5, "less is better: other by first");
}

static void quantiles(void)
{
	double v[100];
	for (int i = 0; i < 100; i++)
		v[i] = 100 - i;
	tap_ok(spread_quantile(v, 100, 0.99) == 99, "the 99th percentile of 1 to 100");
	tap_ok(spread_quantile(v, 100, 1) == 100, "and the greatest");
	tap_ok(isnan(spread_quantile(v, 0, 0.5)), "none of nothing");
}

static void says(double v, const char *unit, const char *want)
{
	char text[RESULTS_HUMAN_MAX];
	results_human(v, unit, text);
	tap_is_str(text, want, "%g %s for people", v, unit);
}

static void numbers_for_people(void)
{
	says(4712345, "", "4.71 M");
	says(12345, "", "12.3 k");
	says(9999, "", "9999");
	says(0, "", "0");
	says(0.8512, "", "0.851");
	says(1536, "bytes", "1.50 KiB");
	says(200.0 * 1024 * 1024, "bytes", "200 MiB");
	says(0.0042, "s", "4.20 ms");
	says(1500, "ms", "1.50 s");
	says(NAN, "ms", "-");
}

static json_t *parsed(const char *text, char why[1024])
{
	json_t *root = NULL;
	struct errbuf eb;
	errbuf_init(&eb);
	why[0] = 0;
	if (results_parse(text, strlen(text), "r.json", &root, &eb))
		snprintf(why, 1024, "%s", eb.text);
	return root;
}

static void refuses(const char *text, const char *want)
{
	char why[1024];
	json_t *root = parsed(text, why);
	tap_ok(!root, "refused: %s", text);
	tap_ok(strstr(why, want) != NULL, "because of %s (%s)", want, why);
	json_decref(root);
}

static void broken_files(void)
{
	refuses("", "r.json: line 1");
	refuses("[1,2", "r.json: line 1, column");
	refuses("{}", "no results of kymobench");
	refuses("{\"kymobench\":2}", "version 2, this program reads version 1");
	refuses("{\"kymobench\":1,\"kymobench\":1}", "duplicate");
	refuses("{\"kymobench\":1,\"figures\":7}", "r.json: figures: an array is wanted");
	refuses("{\"kymobench\":1,\"figures\":[1]}", "r.json: figures[0]: an object is wanted");
	refuses("{\"kymobench\":1,\"figures\":[{\"servers\":[{\"values\":\"x\"}]}]}",
	    "figures[0].servers[0].values: an array is wanted");
	refuses("{\"kymobench\":1,\"figures\":[{\"servers\":[{\"values\":[1,\"x\"]}]}]}",
	    "figures[0].servers[0].values[1]: a number or null is wanted");
	refuses("{\"kymobench\":1,\"lines\":[{\"servers\":[{\"points\":[[1]]}]}]}",
	    "points[0]: a pair of numbers is wanted");
	refuses("{\"kymobench\":1,\"servers\":[{\"name\":3}]}", "servers[0].name: a text is wanted");
	refuses("{\"kymobench\":1,\"machine\":[]}", "machine: an object is wanted");
	refuses("{\"kymobench\":1,\"command\":\"\xff\"}", "r.json: line 1");
}

/* Two servers, three rounds, of which one failed. */
static void a_whole_run(void)
{
	char program[] = "--quick", *argv[] = { program };
	json_t *root = results_new("compare", 1, argv), *again;
	struct errbuf eb;
	char path[] = "t_results-XXXXXX";
	errbuf_init(&eb);
	results_server(root, "a", "1", "a --x", "synced");
	results_server(root, "b", "2", "b \xff", "none");
	json_t *f = results_figure(root, "x", "Writes", "speed", "", "more");
	const double a[] = { 4, 6, 8 }, b[] = { 2, NAN, 2 };
	for (int i = 0; i < 3; i++) {
		results_value(f, "a", a[i]);
		results_value(f, "b", b[i]);
	}
	results_note(f, "b", "refused");
	results_note(f, "b", "refused");
	results_problem(root, "%s broke", "b");
	results_point(root, "memory", "bytes", "a", 0, 10);
	results_point(root, "memory", "bytes", "a", 1, 20);
	results_close(root, 3);
	const json_t *row = results_of(f, "b"), *ratio = json_object_get(row, "ratio");
	tap_ok(results_number(ratio, "median") == 3 && results_number(ratio, "pairs") == 2,
	    "the ratio is of rounds that both did");
	tap_ok(json_array_size(json_object_get(row, "notes")) == 1, "a note stands once");
	tap_is_i64(mkstemp(path) >= 0, 1, "a file");
	TAP_OK(!results_save(root, path, &eb));
	TAP_OK(!results_load(path, &again, &eb));
	tap_ok(json_array_size(json_object_get(again, "figures")) == 1 &&
	        results_number(results_of(json_array_get(json_object_get(again, "figures"), 0), "a"),
	            "median") == 6,
	    "what was saved is read again");
	struct buf md;
	buf_init(&md);
	report_md_table(again, &md);
	buf_add_u8(&md, 0);
	tap_is_str((char *)md.data,
	    "| | a | b |\n| --- | --- | --- |\n| speed | 6 | 2, **3.00x** (2.00x to 4.00x) |\n",
	    "the table of README");
	buf_release(&md);
	json_decref(again);
	json_decref(root);
	unlink(path);
}

/* As /proc tells it: 'Z' has ended and nobody has waited for it; 0: not there. */
static char ended_state(int pid)
{
	char path[64], state = 0;
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	FILE *f = fopen(path, "r");
	if (f && fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = 0;
	if (f)
		fclose(f);
	return state;
}

/* The second server did not take the load that it was to take. */
static void rows_apart(void)
{
	json_t *root = results_new("compare", 0, NULL);
	results_server(root, "a", "", "", "");
	results_server(root, "b", "", "", "");
	results_server(root, "c", "", "", "");
	json_t *f = results_figure(root, "x", "Paced", "cores", "", "less");
	results_value(f, "a", 1);
	results_value(f, "b", 2);
	results_value(f, "c", 4);
	results_apart(f, "b", "at 3 samples/s");
	results_apart(f, "b", "another reason");
	results_close(root, 3);
	tap_ok(!json_object_get(results_of(f, "b"), "ratio") &&
	        json_object_get(results_of(f, "c"), "ratio"),
	    "no ratio is made of a row that stands apart");
	const json_t *roots[] = { root };
	struct buf page;
	buf_init(&page);
	report_md_table(root, &page);
	buf_add_u8(&page, 0);
	tap_is_str((char *)page.data,
	    "| | a | b | c |\n| --- | --- | --- | --- |\n| cores | 1 | 2 (at 3 samples/s) | 4, **4.00x** |\n",
	    "and why stands beside its figure");
	buf_clear(&page);
	report_html(roots, 1, &page);
	buf_add_u8(&page, 0);
	tap_ok(
	    strstr((char *)page.data, "<small>at 3 samples/s</small>") != NULL, "on the page, too");
	buf_release(&page);
	results_apart(f, "a", "holds less than was sent");
	json_object_del(json_array_get(json_object_get(f, "servers"), 2), "ratio");
	results_close(root, 3);
	tap_ok(!json_object_get(results_of(f, "c"), "ratio"), "nor against one that does");
	json_decref(root);
}

static void line_of_write(void)
{
	char why[1024];
	json_t *root = parsed("{\"samples\":10,\"seconds\":2.5,\"p99_us\":1500,\"failed\":0}", why);
	tap_ok(root && json_array_size(json_object_get(root, "figures")) == 3,
	    "a line of kymobench write is a result, too %s", why);
	json_decref(root);
	root = parsed(
	    "{\"at_s\":1,\"rss_mb\":10,\"cores\":0.5,\"write_p99_ms\":3}\n"
	    "{\"at_s\":2,\"rss_mb\":12,\"cores\":0.5,\"write_p99_ms\":2}\n"
	    "{\"summary\":true,\"seconds\":2,\"failed\":3,\"query_failures\":0,"
	    "\"rss_mb\":{\"mean\":11,\"slope_per_h\":2,\"error_per_h\":1,\"trend\":\"grows\"}}\n",
	    why);
	const json_t *lines = json_object_get(root, "lines");
	const json_t *first = json_array_get(json_object_get(json_array_get(lines, 0), "servers"), 0);
	tap_ok(json_array_size(lines) == 3 && json_array_size(json_object_get(first, "points")) == 2,
	    "lines of kymobench soak are drawn over their time %s", why);
	tap_ok(json_array_size(json_object_get(root, "problems")) == 2 &&
	        json_array_size(json_object_get(root, "figures")) == 1,
	    "what grows and what failed is told");
	json_decref(root);
	root = parsed(
	    "{\"at_s\":1,\"rss_mb\":\"<b>\"}\n[\n{\"at_s\":[]}\n\xff{}\n{\"summary\":true,\"rss_mb\":7}",
	    why);
	tap_ok(root && !json_array_size(json_object_get(root, "figures")), "of broken lines nothing");
	json_decref(root);
}

#define HOSTILE "<script>alert(1)</script>\\\"'&amp;|`*_[x](javascript:1)\\u0001\\n# \\uffff"

static void hostile_texts(void)
{
	char why[1024];
	json_t *root = parsed(
	    "{\"kymobench\":1,\"command\":\"" HOSTILE "\",\"started\":\"" HOSTILE
	    "\",\"arguments\":\"" HOSTILE "\",\"problems\":[\"" HOSTILE
	    "\"],\"machine\":{\"" HOSTILE "\":\"" HOSTILE "\"},\"servers\":[{\"name\":\"" HOSTILE
	    "\",\"version\":\"" HOSTILE "\",\"command\":\"" HOSTILE "\",\"promise\":\"" HOSTILE
	    "\",\"queries\":\"" HOSTILE "\"}],\"figures\":[{\"title\":\"" HOSTILE
	    "\",\"group\":\"" HOSTILE "\",\"unit\":\"" HOSTILE "\",\"better\":\"" HOSTILE
	    "\",\"servers\":[{\"name\":\"" HOSTILE "\",\"apart\":\"" HOSTILE
	    "\",\"values\":[1],\"median\":1,\"min\":-1e308,\"max\":1e308,\"notes\":[\"" HOSTILE
	    "\"],\"ratio\":{\"median\":1e308,\"min\":0,\"max\":1e308,\"pairs\":9}}]}],\"queries\":[{\"query\":\"" HOSTILE
	    "\",\"difference\":\"" HOSTILE "\",\"servers\":[]}],\"lines\":[{\"title\":\"" HOSTILE
	    "\",\"unit\":\"" HOSTILE "\",\"servers\":[{\"name\":\"" HOSTILE
	    "\",\"points\":[[0,1e308],[-1e308,-1],[1e308,0]]}]}]}",
	    why);
	const json_t *roots[] = { root, root };
	struct buf page;
	if (!tap_ok(root != NULL, "a file of hostile texts is a result (%s)", why))
		return;
	buf_init(&page);
	report_html(roots, 2, &page);
	buf_add_u8(&page, 0);
	const char *html = (const char *)page.data;
	tap_ok(!strstr(html, "<script"), "no script on the page");
	tap_ok(strstr(html, "&lt;script&gt;alert(1)") != NULL, "but its text");
	tap_ok(!strchr(html, 1) && !strstr(html, "\xef\xbf\xbf"), "no character that XML forbids");
	tap_ok(!strstr(html, "nan") && !strstr(html, "inf\""), "no number that is none");
	tap_ok(!strstr(html, " src=") && !strstr(html, " href=") && !strstr(html, "url("),
	    "nothing is fetched");
	buf_clear(&page);
	report_md(roots, 2, &page);
	buf_add_u8(&page, 0);
	const char *md = (const char *)page.data;
	tap_ok(!strstr(md, "<script") && !strstr(md, "x](javascript") && !strstr(md, "\n# \xef"),
	    "Markdown has neither elements, links nor headings of a file");
	buf_release(&page);
	json_decref(root);
}

static void scales(void)
{
	struct svgchart_scale s = svgchart_scale(0.7, 6.5);
	tap_ok(s.from == -1 && s.to == 3, "a scale of ratios goes from 1/2 to 8 (%d %d)", s.from,
	    s.to);
	tap_ok(svgchart_at(&s, 1) == 0.25 && svgchart_at(&s, 8) == 1 && svgchart_at(&s, 100) == 1 &&
	        svgchart_at(&s, 0) == 0,
	    "where ratios stand on it");
	s = svgchart_scale(INFINITY, 0);
	tap_ok(s.from == -1 && s.to == 1, "of nothing it is 1/2 to 2");
}

static void names_of_peers(void)
{
	struct rival p;
	struct errbuf eb;
	errbuf_init(&eb);
	TAP_OK(!rival_parse("x=/bin/sh -c {port}", &p, &eb));
	tap_ok(p.kind == RIVAL_OTHER && !strcmp(p.name, "x"), "a command line");
	TAP_OK(!rival_parse("mimir-2=/opt/m -p={port}", &p, &eb));
	tap_ok(p.kind == RIVAL_MIMIR, "whose name tells its paths");
	TAP_OK(rival_parse("x=/nowhere/prometheus", &p, &eb) == ERR_NOTFOUND);
	errbuf_init(&eb);
	TAP_OK(rival_parse("/bin/sh", &p, &eb) == ERR_UNSUPPORTED);
	errbuf_init(&eb);
	TAP_OK(rival_parse("=/bin/sh", &p, &eb) == ERR_BADDATA);
	errbuf_init(&eb);
	TAP_OK(rival_parse("x=", &p, &eb) == ERR_BADDATA);
}

static void lists_of_cpus(void)
{
	cpu_set_t mine, got;
	struct errbuf eb;
	char text[1024];
	errbuf_init(&eb);
	sched_getaffinity(0, sizeof(mine), &mine);
	child_cpus_text(&mine, text, sizeof(text));
	tap_ok(!child_cpus_parse(text, &got, &eb) && CPU_EQUAL(&mine, &got), "all of mine: %s", text);
	static const char *const bad[] = { "", "x", "0,", "-1", "99999999999", "0-", "0 1" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		errbuf_init(&eb);
		tap_ok(child_cpus_parse(bad[i], &got, &eb) == ERR_BADDATA, "\"%s\" is none", bad[i]);
	}
}

/* A server behind a script: its CPU time counts, and it ends with the script. */
static void families(void)
{
	const char *const script[] = { "sh", "-c",
		"sh -c 'echo $$; while :; do :; done' & wait; exit", NULL };
	char dir[200], log[220], text[32] = "";
	struct procstat ps = { 0 };
	struct errbuf eb;
	errbuf_init(&eb);
	TAP_OK(!child_dir(".", dir, sizeof(dir), &eb));
	snprintf(log, sizeof(log), "%s/log", dir);
	int pid = child_start(script, NULL, log, &eb);
	while (ps.cpu_s < 0.05 && !procstat_read(pid, &ps))
		usleep(1000);
	tap_ok(ps.cpu_s >= 0.05 && procstat_cpu_ns(pid) >= 40000000, "%.2f s of CPU", ps.cpu_s);
	FILE *f = fopen(log, "r");
	tap_ok(f && fgets(text, sizeof(text), f), "what the script started says who it is");
	if (f)
		fclose(f);
	child_end(pid, SIGKILL, 60);
	/* Whoever adopts it may not have waited for it yet: then it is a zombie. */
	int inner = (int)strtol(text, NULL, 10);
	tap_ok(inner > 1, "a process (%d)", inner);
	for (unsigned i = 0; i < 60000 && !kill(inner, 0) && ended_state(inner) != 'Z'; i++)
		usleep(1000);
	tap_ok(kill(inner, 0) || ended_state(inner) == 'Z', "and it has ended with the script");
	child_dir_drop(dir);
}

/* What runs, what it prints, when it is ended; and directories. */
static void children(void)
{
	const char *const talk[] = { "sh", "-c", "echo out; echo err >&2; exit 3", NULL };
	const char *const wait[] = { "sleep", "1000", NULL };
	char dir[200];
	struct buf out, err;
	struct errbuf eb;
	int status;
	errbuf_init(&eb);
	buf_init(&out);
	buf_init(&err);
	TAP_OK(!child_run(talk, NULL, 600, &out, &err, &status, &eb));
	tap_is_mem(out.data, out.len, "out\n", 4, "its output");
	tap_is_mem(err.data, err.len, "err\n", 4, "and the other one");
	tap_is_i64(status >> 8, 3, "its status");
	TAP_OK(child_run(wait, NULL, 0.2, &out, &err, &status, &eb) == ERR_TIMEOUT);
	TAP_OK(!child_dir(".", dir, sizeof(dir), &eb));
	char log[220];
	snprintf(log, sizeof(log), "%s/log", dir);
	int pid = child_start(wait, NULL, log, &eb);
	tap_ok(pid > 0 && child_alive(pid, NULL), "one runs");
	child_clean();
	tap_ok(access(dir, F_OK) != 0, "the directory is gone");
	tap_ok(!child_alive(pid, NULL), "and so is the child");
	families();
	buf_release(&out);
	buf_release(&err);
}

static void built_in_queries(void)
{
	char path[1024];
	const char *src = getenv("KYMO_SRC");
	struct buf text;
	buf_init(&text);
	snprintf(path, sizeof(path), "%s/bench/load/dashboard.txt", src ? src : ".");
	FILE *f = fopen(path, "r");
	for (int c; f && (c = getc(f)) != EOF;)
		buf_add_u8(&text, (uint8_t)c);
	if (f)
		fclose(f);
	tap_is_mem(text.data, text.len, dashboard_text, strlen(dashboard_text),
	    "the built-in dashboard is bench/load/dashboard.txt");
	buf_release(&text);
}

int main(void)
{
	medians_and_spreads();
	ratios_of_pairs();
	quantiles();
	numbers_for_people();
	broken_files();
	a_whole_run();
	rows_apart();
	line_of_write();
	hostile_texts();
	scales();
	names_of_peers();
	lists_of_cpus();
	children();
	built_in_queries();
	return tap_done();
}
