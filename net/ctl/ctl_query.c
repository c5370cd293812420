#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/num.h"
#include "net/ctl/ctlask.h"
#include "net/ctl/ctlcmds.h"
#include "net/ctl/ctlgraph.h"
#include "net/ctl/ctlterm.h"
#include "net/ctl/ctlvalue.h"

#define SPAN_USUAL_MS 3600000 /* of a graph without --start */
#define POINTS_USUAL  240
#define EXPR_MAX      (1u << 20)
#define GRAPH_ROWS    24u
#define TIME_MOST_S   253402300800.0 /* the year 10000; what is no time stands there */

struct query {
	struct ctlhttp *http;
	const char *expr;
	char *read; /* of stdin */
	const char *time, *start, *end, *step, *format, *watch;
	bool graph, range;
	int64_t step_ms;
	enum ctltable_form form;
	struct ctlterm term;
	/* Of one question. */
	int64_t from_ms, to_ms, each_ms;
};

/* A step that people would choose, at least ms. */
static int64_t step_up(int64_t ms)
{
	static const int64_t steps[] = { 1000, 2000, 5000, 10000, 15000, 30000, 60000, 120000, 300000,
		600000, 900000, 1800000, 3600000, 7200000, 14400000, 21600000, 43200000, 86400000 };
	for (size_t i = 0; i < COUNT_OF(steps); i++)
		if (steps[i] >= ms)
			return steps[i];
	return (ms / 86400000 + 1) * 86400000;
}

static int make_form(struct query *q, struct buf *form)
{
	char text[32];
	ctlhttp_param(form, "query", q->expr);
	if (!q->range) {
		q->to_ms = q->time ? ctl_time_ms(q->time, "time") : clock_wall_ms();
		if (q->time) {
			text[num_fmt_ts(q->to_ms, text)] = 0;
			ctlhttp_param(form, "time", text);
		}
		return CTL_OK;
	}
	q->to_ms = q->end ? ctl_time_ms(q->end, "end") : clock_wall_ms();
	q->from_ms = q->start ? ctl_time_ms(q->start, "start") : num_sat_sub(q->to_ms, SPAN_USUAL_MS);
	if (q->from_ms > q->to_ms)
		return ctl_fail(CTL_USAGE, "--start is later than --end");
	int64_t span = num_sat_sub(q->to_ms, q->from_ms);
	q->each_ms = q->step_ms;
	if (!q->each_ms)
		q->each_ms = step_up(span / (q->graph ? (int64_t)q->term.columns : POINTS_USUAL));
	text[num_fmt_ts(q->from_ms, text)] = 0;
	ctlhttp_param(form, "start", text);
	text[num_fmt_ts(q->to_ms, text)] = 0;
	ctlhttp_param(form, "end", text);
	text[num_fmt_ts(q->each_ms, text)] = 0;
	ctlhttp_param(form, "step", text);
	return CTL_OK;
}

/* ---- graphs ---- */

/* What all series have the same, and would make their names long. */
static json_t *common_of(const json_t *result)
{
	json_t *all = json_deep_copy(json_object_get(json_array_get(result, 0), "metric")), *s, *v;
	size_t i;
	void *safe;
	const char *name;
	json_array_foreach(result, i, s)
	{
		json_object_foreach_safe(all, safe, name, v)
		{
			if (!json_equal(v, json_object_get(json_object_get(s, "metric"), name)))
				json_object_del(all, name);
		}
	}
	if (i < 2)
		json_object_clear(all);
	return all;
}

static void put_common(const json_t *common)
{
	struct buf b, shown;
	if (!json_object_size(common))
		return;
	buf_init(&b);
	buf_init(&shown);
	ctlvalue_series(&b, common);
	ctlterm_text(&shown, (const char *)b.data, b.len);
	printf("%.*s\n", (int)shown.len, (const char *)shown.data);
	buf_release(&b);
	buf_release(&shown);
}

static char *name_of(const json_t *series, const json_t *common)
{
	struct buf b;
	json_t *own = json_copy(json_object_get(series, "metric")), *v,
	       *walk = json_incref((json_t *)(uintptr_t)common);
	const char *name;
	json_object_foreach(walk, name, v) json_object_del(own, name);
	buf_init(&b);
	ctlvalue_series(&b, own);
	buf_add_u8(&b, 0);
	json_decref(own);
	json_decref(walk);
	return (char *)buf_take(&b, &(size_t){ 0 });
}

static double number_of(const json_t *value)
{
	double v;
	const char *text = json_string_value(value);
	return text && !num_parse_float(text, strlen(text), &v) ? v : NAN;
}

static int64_t time_of(const json_t *pair)
{
	double s = json_number_value(json_array_get(pair, 0));
	return (int64_t)llround(fmax(-TIME_MOST_S, fmin(TIME_MOST_S, s)) * 1000);
}

static void draw_matrix(const struct query *q, const json_t *result)
{
	size_t count = json_array_size(result), hists = 0;
	struct ctlgraph_series *series = mem_zalloc((count + 1) * sizeof(*series));
	int64_t least = INT64_MAX, most = INT64_MIN;
	json_t *common = common_of(result);
	for (size_t i = 0; i < count; i++) {
		const json_t *s = json_array_get(result, i), *values = json_object_get(s, "values");
		size_t n = json_array_size(values);
		int64_t *times = mem_array(NULL, n + 1, sizeof(*times));
		double *numbers = mem_array(NULL, n + 1, sizeof(*numbers));
		for (size_t k = 0; k < n; k++) {
			times[k] = time_of(json_array_get(values, k));
			numbers[k] = number_of(json_array_get(json_array_get(values, k), 1));
			least = times[k] < least ? times[k] : least;
			most = times[k] > most ? times[k] : most;
		}
		series[i] = (struct ctlgraph_series){ name_of(s, common), times, numbers, n };
		hists += json_array_size(json_object_get(s, "histograms"));
	}
	struct ctlgraph g = { .columns = q->term.columns,
		.rows = q->term.rows < GRAPH_ROWS ? q->term.rows : GRAPH_ROWS,
		.colour = q->term.colour,
		.utf8 = q->term.utf8,
		.begin_ms = q->range ? q->from_ms : least,
		.end_ms = q->range ? q->to_ms : most,
		.gap_ms = q->range ? q->each_ms + q->each_ms / 2 : 0,
		.series = series,
		.count = count };
	struct buf out;
	buf_init(&out);
	if (g.end_ms <= g.begin_ms)
		g.end_ms = g.begin_ms + 1000;
	if (count && least <= most) {
		put_common(common);
		ctlgraph_draw(&out, &g);
	}
	if (out.len)
		fwrite(out.data, 1, out.len, stdout);
	buf_release(&out);
	json_decref(common);
	if (hists)
		ctl_note("%zu native histograms are not drawn: ask for histogram_quantile() or "
		         "histogram_avg() of them",
		    hists);
	for (size_t i = 0; i < count; i++) {
		mem_free((void *)(uintptr_t)series[i].name);
		mem_free((void *)(uintptr_t)series[i].times_ms);
		mem_free((void *)(uintptr_t)series[i].values);
	}
	mem_free(series);
}

static void draw_vector(const struct query *q, const json_t *result)
{
	size_t count = json_array_size(result);
	struct ctlgraph_bar *bars = mem_zalloc((count + 1) * sizeof(*bars));
	json_t *common = common_of(result);
	struct buf out;
	buf_init(&out);
	put_common(common);
	for (size_t i = 0; i < count; i++) {
		const json_t *s = json_array_get(result, i);
		bars[i].name = name_of(s, common);
		bars[i].value = number_of(json_array_get(json_object_get(s, "value"), 1));
	}
	ctlgraph_bars(&out, bars, count, q->term.columns, q->term.utf8);
	if (out.len)
		fwrite(out.data, 1, out.len, stdout);
	buf_release(&out);
	json_decref(common);
	for (size_t i = 0; i < count; i++)
		mem_free((void *)(uintptr_t)bars[i].name);
	mem_free(bars);
}

/* ---- a question ---- */

static int show(const struct query *q, const json_t *data)
{
	const char *type = json_string_value(json_object_get(data, "resultType"));
	const json_t *result = json_object_get(data, "result");
	if (type && json_is_array(result) && !json_array_size(result) && q->form == CTLTABLE_TABLE)
		ctl_note("no series");
	else if (q->graph && type && !strcmp(type, "matrix"))
		draw_matrix(q, result);
	else if (q->graph && type && !strcmp(type, "vector"))
		draw_vector(q, result);
	else if (!ctlvalue_show(stdout, data, q->form))
		return ctl_fail(
		    CTL_REFUSED, "%s: the answer is no result of a query", ctlhttp_server(q->http));
	return CTL_OK;
}

static int ask(struct query *q)
{
	struct buf form;
	json_t *data = NULL;
	buf_init(&form);
	ctlterm_look(STDOUT_FILENO, &q->term);
	int status = make_form(q, &form);
	if (!status)
		status = ctlask(q->http, q->range ? "/api/v1/query_range" : "/api/v1/query", &form,
		    q->expr, &data);
	if (!status)
		status = show(q, data);
	json_decref(data);
	buf_release(&form);
	return status;
}

/* Until interrupted, which is how it ends; mistakes end it, too. */
static int watch(struct query *q)
{
	double every_s = cmdline_duration_s("kymoctl query", q->watch, "watch");
	char now[64];
	if (!(every_s >= 0.1 && every_s <= 86400))
		return ctl_fail(CTL_USAGE, "--watch: from 100ms to 1d");
	do {
		ctlterm_look(STDOUT_FILENO, &q->term);
		now[num_fmt_time(clock_wall_ms() / 1000 * 1000, now)] = 0;
		if (q->term.tty)
			printf("\033[H\033[2J");
		if (q->form == CTLTABLE_TABLE)
			printf("%s  every %s: %s\n\n", now, q->watch, q->expr);
		int status = ask(q);
		fflush(stdout);
		if (status == CTL_USAGE)
			return status;
	} while (!ctl_stopped() && ctl_sleep_ms((unsigned)(every_s * 1000)));
	return CTL_OK;
}

static int take_expr(struct query *q, const char *word)
{
	q->expr = word;
	if (strcmp(word, "-") != 0)
		return CTL_OK;
	q->read = mem_alloc(EXPR_MAX + 1);
	size_t len = fread(q->read, 1, EXPR_MAX + 1, stdin);
	if (len > EXPR_MAX || ferror(stdin))
		return ctl_fail(CTL_LOCAL, "stdin: %s",
		    ferror(stdin) ? "cannot be read" : "over 1 MiB is no expression");
	q->read[len] = 0;
	while (len && strchr(" \t\r\n", q->read[len - 1]))
		q->read[--len] = 0;
	q->expr = q->read;
	return CTL_OK;
}

static int check_flags(struct query *q)
{
	q->graph = q->format && !strcmp(q->format, "graph");
	q->form = ctltable_form_of(q->graph ? NULL : q->format, ", json or graph");
	if (q->time && (q->start || q->end || q->step))
		return ctl_fail(CTL_USAGE,
		    "--time is of one time, --start, --end and --step of a range: one or the other");
	q->range = q->start || q->end || q->step || (q->graph && !q->time);
	if (!q->step)
		return CTL_OK;
	double s;
	size_t len = strlen(q->step);
	if (!num_parse_duration(q->step, len, &q->step_ms) && q->step_ms > 0)
		return CTL_OK;
	if (!num_parse_float(q->step, len, &s) && s >= 0.001 && s < 1e12) {
		q->step_ms = (int64_t)(s * 1000);
		return CTL_OK;
	}
	return ctl_fail(CTL_USAGE, "--step: \"%s\" is no duration such as 15s", q->step);
}

int ctl_query(int argc, char **argv)
{
	struct ctlhttp_access access = { 0 };
	struct query q = { .expr = NULL };
	const struct cmdline_arg args[] = {
		{ .name = "time", .meta = "TIME", .help = "of the evaluation (now)", .text = &q.time },
		{ .name = "start",
		    .meta = "TIME",
		    .help =
		        "begin of a range: 1h, 2026-11-29T08:00:00Z, unix seconds (an hour before its end)",
		    .text = &q.start },
		{ .name = "end", .meta = "TIME", .help = "end of a range (now)", .text = &q.end },
		{ .name = "step",
		    .meta = "DURATION",
		    .help = "between two evaluations of a range (some 240 of them)",
		    .text = &q.step },
		{ .name = "format",
		    .meta = "table|csv|json|graph",
		    .help = "of the answer (table)",
		    .text = &q.format },
		{ .name = "watch",
		    .meta = "DURATION",
		    .help = "ask again and again, so often",
		    .text = &q.watch },
		CTLHTTP_ARGS(access),
	};
	cmdline_parse(
	    &(struct cmdline){ .program = "kymoctl",
	        .command = "query",
	        .words = "EXPR",
	        .help =
	            "Asks an expression of PromQL, at one time or over a range. EXPR - reads it from stdin.",
	        .examples =
	            "  kymoctl query 'sum by (job) (up)'\n"
	            "      now, as a table\n"
	            "  kymoctl query --start 6h --format graph 'rate(kymo_samples_stored_total[5m])'\n"
	            "      the last six hours, drawn\n"
	            "  kymoctl query --start 1d --step 1h --format csv up > up.csv\n"
	            "      for a spreadsheet\n"
	            "  kymoctl query --watch 5s --format graph --time now 'topk(10, count by (__name__) ({__name__!=\"\"}))'\n"
	            "      bars, every five seconds\n",
	        .args = args,
	        .args_count = COUNT_OF(args),
	        .words_min = 1,
	        .words_max = 1 },
	    argc, argv);
	ctl_catch();
	int status = check_flags(&q);
	if (!status)
		status = take_expr(&q, argv[0]);
	if (!status)
		status = ctlhttp_open(&access, &q.http);
	if (!status)
		status = q.watch ? watch(&q) : ask(&q);
	ctlhttp_close(q.http);
	mem_free(q.read);
	return status;
}
