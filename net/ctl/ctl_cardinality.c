#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/num.h"
#include "net/ctl/ctlask.h"
#include "net/ctl/ctlcmds.h"
#include "net/ctl/ctlplayed.h"
#include "net/ctl/ctltable.h"
#include "net/ctl/ctlterm.h"

struct card {
	struct ctlhttp *http;
	const char *match, *format;
	double limit;
	enum ctltable_form form;
	unsigned labels;
	char **names;
	bool history;
	const char *start, *end;
	int64_t from_ms, to_ms;
};

#define HISTORY_MS   (24 * INT64_C(3600000))
#define HISTORY_ROWS "64" /* of a moment: all there are */

/* A list of an answer: what it is called there, what it counts. */
static const struct section {
	const char *key, *title, *head, *count;
} ours[] = { { "metrics", "metrics with most series", "metric", "series" },
	{ "labels", "labels with most values", "label", "values" },
	{ "pairs", "labels and values with most series", "pair", "series" },
	{ "targets", "targets with most series", "target", "series" } },
  theirs[] = { { "seriesCountByMetricName", "metrics with most series", "metric", "series" },
	  { "labelValueCountByLabelName", "labels with most values", "label", "values" },
	  { "seriesCountByLabelValuePair", "labels and values with most series", "pair", "series" } };

static void number_cell(struct ctltable *t, const json_t *n)
{
	if (json_is_number(n))
		ctltable_cellf(t, "%.0f", json_number_value(n));
	else
		ctltable_cell(t, "");
}

/* "+120 (3 %)" against an earlier count. */
static void growth_cell(struct ctltable *t, const json_t *now, const json_t *was)
{
	double a = json_number_value(was), b = json_number_value(now);
	if (!json_is_number(was))
		ctltable_cell(t, "");
	else if (a > 0)
		ctltable_cellf(t, "%+.0f (%+.1f %%)", b - a, 100 * (b - a) / a);
	else
		ctltable_cellf(t, "%+.0f", b - a);
}

/* Rows of a section: with its own head for people, else one table for all. */
static void put_rows(struct ctltable *t, const struct section *s, const json_t *list, bool people)
{
	size_t i;
	json_t *row;
	json_array_foreach(list, i, row)
	{
		const char *name = json_string_value(json_object_get(row, "name"));
		const json_t *now = json_object_get(row, s->count);
		now = now ? now : json_object_get(row, "value");
		if (!people)
			ctltable_cell(t, s->head);
		ctltable_cell(t, name ? name : "");
		if (people && json_is_true(json_object_get(row, "about")))
			ctltable_cellf(t, "about %.0f", json_number_value(now));
		else
			number_cell(t, now);
		if (people) {
			growth_cell(t, now, json_object_get(row, "hourAgo"));
			growth_cell(t, now, json_object_get(row, "dayAgo"));
		} else {
			number_cell(t, json_object_get(row, "hourAgo"));
			number_cell(t, json_object_get(row, "dayAgo"));
			ctltable_cell(
			    t, json_is_true(json_object_get(row, "about")) ? "about" : "exact");
		}
	}
}

static void put_explosions(const json_t *list)
{
	struct buf b;
	size_t i;
	json_t *e, *value;
	const char *key;
	buf_init(&b);
	json_array_foreach(list, i, e)
	{
		buf_add_str(&b, "explosion:");
		json_object_foreach(e, key, value)
		{
			char *text = json_is_string(value)
			    ? NULL
			    : json_dumps(
			          value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
			const char *shown = text ? text : json_string_value(value);
			buf_add_u8(&b, ' ');
			ctlterm_text(&b, key, strlen(key));
			buf_add_u8(&b, '=');
			ctlterm_text(&b, shown, strlen(shown));
			free(text);
		}
		buf_add_u8(&b, '\n');
	}
	if (b.len)
		fwrite(b.data, 1, b.len, stdout);
	buf_release(&b);
}

static void show_people(
    const json_t *data, const struct section *sections, size_t count, double series)
{
	char text[CTL_TEXT];
	printf("%s series in memory\n", ctl_count(series, text));
	put_explosions(json_object_get(data, "explosions"));
	for (size_t i = 0; i < count; i++) {
		const json_t *list = json_object_get(data, sections[i].key);
		const struct ctltable_column columns[] = { { sections[i].head, false },
			{ sections[i].count, true }, { "in an hour", true }, { "in a day", true } };
		struct ctltable t;
		if (!json_array_size(list))
			continue;
		printf("\n%s\n", sections[i].title);
		ctltable_begin(&t, stdout, CTLTABLE_TABLE, columns, COUNT_OF(columns));
		put_rows(&t, &sections[i], list, true);
		ctltable_end(&t);
	}
}

static void show(const struct card *c, const json_t *data, const struct section *sections,
    size_t count, double series)
{
	static const struct ctltable_column columns[] = { { "of", false }, { "name", false },
		{ "count", true }, { "hour_ago", true }, { "day_ago", true }, { "kind", false } };
	struct ctltable t;
	if (c->form == CTLTABLE_TABLE) {
		show_people(data, sections, count, series);
		return;
	}
	ctltable_begin(&t, stdout, c->form, columns, COUNT_OF(columns));
	ctltable_cell(&t, "all");
	ctltable_cell(&t, "");
	ctltable_cellf(&t, "%.0f", series);
	number_cell(&t, json_object_get(data, "seriesHourAgo"));
	number_cell(&t, json_object_get(data, "seriesDayAgo"));
	ctltable_cell(&t, "exact");
	for (size_t i = 0; i < count; i++)
		put_rows(&t, &sections[i], json_object_get(data, sections[i].key), false);
	ctltable_end(&t);
}

static void limit_param(const struct card *c, struct buf *form)
{
	char text[32];
	text[num_fmt_u64((uint64_t)c->limit, text)] = 0;
	ctlhttp_param(form, "limit", text);
}

/* kymod's own list has growth, too; elsewhere (404) the one of Prometheus will do. */
static int whole(struct card *c)
{
	struct ctlhttp_call call = { 0 };
	struct buf form;
	json_t *answer, *data;
	buf_init(&form);
	limit_param(c, &form);
	ctlhttp_call_json(c->http, "GET", "/api/v1/cardinality", &form, &call, &answer);
	data = json_object_get(answer, "data");
	int status = CTL_OK;
	if (!call.err && call.status != 200 &&
	    (call.status == 404 || call.status == 400 || call.status == 405)) {
		json_decref(answer);
		answer = NULL;
		status = ctlhttp_json(c->http, "GET", "/api/v1/status/tsdb", &form, &data);
		answer = data;
		if (!status)
			status = ctlhttp_shape(c->http, data, JSON_OBJECT);
		if (!status) {
			const json_t *head = json_object_get(data, "headStats"),
			             *n = json_object_get(head, "numSeries");
			n = n ? n : json_object_get(data, "totalSeries"); /* VictoriaMetrics */
			show(c, data, theirs, COUNT_OF(theirs), json_number_value(n));
		}
	} else {
		status = ctlhttp_outcome(&call);
		if (!status)
			status = ctlhttp_shape(c->http, data, JSON_OBJECT);
		if (!status)
			show(c, data, ours, COUNT_OF(ours),
			    json_number_value(json_object_get(data, "series")));
	}
	json_decref(answer);
	ctlhttp_call_release(&call);
	buf_release(&form);
	return status;
}

static void show_label(const struct card *c, const json_t *label, struct ctltable *all)
{
	static const struct ctltable_column columns[] = { { "value", false }, { "series", true } };
	struct ctltable own, *t = c->form == CTLTABLE_TABLE ? &own : all;
	const char *name = json_string_value(json_object_get(label, "label_name"));
	size_t i;
	json_t *v;
	name = name ? name : "";
	if (t == &own) {
		ctlterm_print(stdout, name);
		printf(": %.0f values, %.0f series\n",
		    json_number_value(json_object_get(label, "label_values_count")),
		    json_number_value(json_object_get(label, "series_count")));
		ctltable_begin(&own, stdout, CTLTABLE_TABLE, columns, COUNT_OF(columns));
	}
	json_array_foreach(json_object_get(label, "cardinality"), i, v)
	{
		const char *text = json_string_value(json_object_get(v, "label_value"));
		if (t == all)
			ctltable_cell(t, name);
		ctltable_cell(t, text ? text : "");
		number_cell(t, json_object_get(v, "series_count"));
	}
	if (t == &own)
		ctltable_end(&own);
}

/* Of labels, or of a selector: the calls of Mimir, which kymod has as well. */
static int some(struct card *c)
{
	static const struct ctltable_column columns[] = { { "label", false }, { "value", false },
		{ "series", true } };
	struct ctlhttp_call call = { 0 };
	struct ctltable t;
	struct buf form;
	json_t *answer, *label;
	size_t i;
	buf_init(&form);
	limit_param(c, &form);
	if (c->match)
		ctlhttp_param(&form, "selector", c->match);
	for (unsigned k = 0; k < c->labels; k++)
		ctlhttp_param(&form, "label_names[]", c->names[k]);
	ctlhttp_call_json(c->http, "GET", "/api/v1/cardinality/label_values", &form, &call, &answer);
	int status = ctlask_outcome(&call, answer, c->match);
	if (!status)
		status = ctlhttp_shape(c->http, json_object_get(answer, "labels"), JSON_ARRAY);
	if (!status) {
		if (c->form != CTLTABLE_TABLE)
			ctltable_begin(&t, stdout, c->form, columns, COUNT_OF(columns));
		json_array_foreach(json_object_get(answer, "labels"), i, label)
		{
			if (i && c->form == CTLTABLE_TABLE)
				putchar('\n');
			show_label(c, label, &t);
		}
		if (c->form != CTLTABLE_TABLE)
			ctltable_end(&t);
	}
	json_decref(answer);
	ctlhttp_call_release(&call);
	buf_release(&form);
	return status;
}

/* ---- how it came about ---- */

/* "12:05" of this day, "11-28 12:05" of another one; UTC. */
static const char *clock_text(int64_t ms, int64_t now_ms, char text[NUM_FMT_MAX])
{
	char now[NUM_FMT_MAX];
	size_t len = num_fmt_time(ms, text);
	(void)num_fmt_time(now_ms, now);
	if (len < sizeof("2026-11-28T12:00") - 1)
		return "";
	text[sizeof("2026-11-28T12:00") - 1] = 0;
	text[sizeof("2026-11-28") - 1] = ' ';
	return text +
	    (memcmp(text, now, sizeof("2026-11-28") - 1) ? sizeof("2026") : sizeof("2026-11-28"));
}

static void course_cell(
    struct ctltable *t, const struct ctlplayed *p, const double *values, const json_t *alarms)
{
	struct ctlterm term;
	struct buf b;
	ctlterm_look(1, &term);
	buf_init(&b);
	if (values)
		ctlplayed_course(&b, p, values, term.utf8);
	else
		ctlplayed_alarms(&b, p, alarms);
	ctltable_cell_len(t, (const char *)b.data, b.len);
	buf_release(&b);
}

static size_t most_at(const double *values, size_t count)
{
	size_t most = 0;
	for (size_t i = 1; i < count; i++)
		most = values[i] > values[most] ? i : most;
	return most;
}

static void at_most_cell(struct ctltable *t, double value, bool at_most)
{
	ctltable_cellf(t, "%s%.0f", at_most ? "<=" : "", value);
}

static void moments_people(const struct ctlplayed *p, const json_t *alarms)
{
	static const struct ctltable_column columns[] = { { "in memory", false }, { "then", true },
		{ "now", true }, { "most", true }, { "at", false }, { "over the time", false } };
	char text[NUM_FMT_MAX], from[NUM_FMT_MAX];
	int64_t last_ms = p->times_ms[p->moments - 1];
	size_t most = most_at(p->series, p->moments);
	ptrdiff_t burst = ctlplayed_burst(p);
	struct ctltable t;
	printf("%zu moment%s from %s to %s (UTC)\n", p->moments, p->moments == 1 ? "" : "s",
	    clock_text(p->times_ms[0], 0, from), clock_text(last_ms, 0, text));
	if (burst >= 0)
		printf("most new series came until %s: %.0f\n",
		    clock_text(p->times_ms[burst], last_ms, text), p->made[burst]);
	put_explosions(alarms);
	putchar('\n');
	ctltable_begin(&t, stdout, CTLTABLE_TABLE, columns, COUNT_OF(columns));
	ctltable_cell(&t, "series");
	ctltable_cellf(&t, "%.0f", p->series[0]);
	ctltable_cellf(&t, "%.0f", p->series[p->moments - 1]);
	ctltable_cellf(&t, "%.0f", p->series[most]);
	ctltable_cell(&t, clock_text(p->times_ms[most], last_ms, text));
	course_cell(&t, p, p->series, NULL);
	most = most_at(p->made, p->moments);
	ctltable_cell(&t, "new series");
	ctltable_cellf(&t, "%.0f", p->made[0]);
	ctltable_cellf(&t, "%.0f", p->made[p->moments - 1]);
	ctltable_cellf(&t, "%.0f", p->made[most]);
	ctltable_cell(&t, clock_text(p->times_ms[most], last_ms, text));
	course_cell(&t, p, p->made, NULL);
	if (json_array_size(alarms)) {
		ctltable_cell(&t, "explosions");
		for (unsigned i = 0; i < 4; i++)
			ctltable_cell(&t, "");
		course_cell(&t, p, NULL, alarms);
	}
	ctltable_end(&t);
}

static void played_people(const struct ctlplayed *p, const struct section *s)
{
	const struct ctltable_column columns[] = { { s->head, false }, { "then", true },
		{ "now", true }, { "most", true }, { "at", false }, { "over the time", false },
		{ "", false } };
	char text[NUM_FMT_MAX];
	struct ctltable t;
	if (!p->rows_count)
		return;
	printf("\n%s that rose most, by %s\n", s->key, s->count);
	ctltable_begin(&t, stdout, CTLTABLE_TABLE, columns, COUNT_OF(columns));
	for (size_t i = 0; i < p->rows_count; i++) {
		const struct ctlplayed_row *row = &p->rows[i];
		ctltable_cell(&t, row->name);
		at_most_cell(&t, row->then, row->then_most);
		at_most_cell(&t, row->now, row->now_most);
		ctltable_cellf(&t, "%.0f", row->most);
		ctltable_cell(
		    &t, clock_text(p->times_ms[row->most_at], p->times_ms[p->moments - 1], text));
		course_cell(&t, p, row->values, NULL);
		ctltable_cell(&t, row->explodes ? "explodes" : row->exploded ? "exploded" : "");
	}
	ctltable_end(&t);
}

static void played_row(
    struct ctltable *t, const char *of, const char *name, int64_t t_ms, double value)
{
	char text[NUM_FMT_MAX];
	size_t len = num_fmt_time(t_ms, text);
	if (value != value)
		return;
	ctltable_cell(t, of);
	ctltable_cell(t, name);
	ctltable_cell_len(t, text, len);
	ctltable_cellf(t, "%.0f", value);
}

/* A row for each moment; those of explosions at their begin, with what they brought. */
static void moments_rows(struct ctltable *t, const struct ctlplayed *p, const json_t *alarms)
{
	size_t k;
	json_t *e;
	for (size_t i = 0; i < p->moments; i++)
		played_row(t, "all", "", p->times_ms[i], p->series[i]);
	for (size_t i = 0; i < p->moments; i++)
		played_row(t, "new", "", p->times_ms[i], p->made[i]);
	json_array_foreach(alarms, k, e)
	{
		static const char *const keys[] = { "metric", "label", "target" };
		const char *time = json_string_value(json_object_get(e, "firstSeen")),
		           *kind = json_string_value(json_object_get(e, "kind")), *part;
		struct buf name;
		buf_init(&name);
		for (unsigned i = 0; i < COUNT_OF(keys); i++) {
			part = json_string_value(json_object_get(e, keys[i]));
			buf_add_str(&name, name.len && part && *part ? " " : "");
			buf_add_str(&name, part ? part : "");
		}
		ctltable_cellf(t, "explosion %s", kind ? kind : "");
		ctltable_cell_len(t, (const char *)name.data, name.len);
		ctltable_cell(t, time ? time : "");
		buf_release(&name);
		number_cell(t, json_object_get(e, "total"));
	}
}

static void played_rows(struct ctltable *t, const struct ctlplayed *p, const struct section *s)
{
	for (size_t k = 0; k < p->rows_count; k++)
		for (size_t i = 0; i < p->moments; i++)
			played_row(t, s->head, p->rows[k].name, p->times_ms[i], p->rows[k].values[i]);
}

static int history_of(const struct card *c, const struct section *s, struct ctlplayed **out)
{
	char text[NUM_FMT_MAX];
	struct buf form;
	json_t *data;
	*out = NULL;
	buf_init(&form);
	ctlhttp_param(&form, "kind", s->key);
	ctlhttp_param(&form, "limit", HISTORY_ROWS);
	ctlhttp_param_len(&form, "start", text, num_fmt_time(c->from_ms, text));
	ctlhttp_param_len(&form, "end", text, num_fmt_time(c->to_ms, text));
	int status = ctlhttp_json(c->http, "GET", "/api/v1/cardinality/history", &form, &data);
	if (!status)
		status = ctlhttp_shape(c->http, data, JSON_OBJECT);
	if (!status)
		*out = ctlplayed_read(data, (size_t)c->limit);
	json_decref(data);
	buf_release(&form);
	return status;
}

static int history(struct card *c)
{
	static const struct ctltable_column columns[] = { { "of", false }, { "name", false },
		{ "time", false }, { "count", true } };
	struct ctltable t;
	json_t *alarms = NULL;
	int status = ctlhttp_json(c->http, "GET", "/api/v1/cardinality/explosions", NULL, &alarms);
	if (!status)
		status = ctlhttp_shape(c->http, alarms, JSON_ARRAY);
	if (!status && c->form != CTLTABLE_TABLE)
		ctltable_begin(&t, stdout, c->form, columns, COUNT_OF(columns));
	bool begun = !status && c->form != CTLTABLE_TABLE;
	for (size_t i = 0; !status && i < COUNT_OF(ours); i++) {
		struct ctlplayed *p;
		status = history_of(c, &ours[i], &p);
		if (!status && !p->moments) {
			if (!i)
				ctl_note(
				    "there are no moments of that time yet: one comes every five minutes");
			ctlplayed_free(p);
			break;
		}
		if (status)
			break;
		ctlplayed_mark(p, ours[i].key, alarms);
		if (c->form == CTLTABLE_TABLE) {
			if (!i)
				moments_people(p, alarms);
			played_people(p, &ours[i]);
		} else {
			if (!i)
				moments_rows(&t, p, alarms);
			played_rows(&t, p, &ours[i]);
		}
		ctlplayed_free(p);
	}
	if (begun)
		ctltable_end(&t);
	json_decref(alarms);
	return status;
}

int ctl_cardinality(int argc, char **argv)
{
	struct ctlhttp_access access = { 0 };
	struct card c = { .limit = 10, .names = argv };
	const struct cmdline_arg args[] = {
		{ .name = "match",
		    .meta = "SELECTOR",
		    .help = "with LABEL: only series that it selects",
		    .text = &c.match },
		{ .name = "limit",
		    .meta = "N",
		    .help = "entries of each list, 1 to 100 (10)",
		    .num = &c.limit },
		{ .name = "history",
		    .help = "how it came about, over the last day",
		    .flag = &c.history },
		{ .name = "start",
		    .meta = "TIME",
		    .help = "of --history (a day before its end)",
		    .text = &c.start },
		{ .name = "end", .meta = "TIME", .help = "of --history (now)", .text = &c.end },
		CTLTABLE_ARG(c.format),
		CTLHTTP_ARGS(access),
	};
	c.labels = (unsigned)cmdline_parse(
	    &(struct cmdline){ .program = "kymoctl",
	        .command = "cardinality",
	        .words = "[LABEL...]",
	        .help = "What most series are of: metrics, labels, pairs, targets, with what came "
	                "in an hour and a day; or the values of labels.",
	        .examples = "  kymoctl cardinality\n"
	                    "      where do all these series come from?\n"
	                    "  kymoctl cardinality pod --match 'http_requests_total'\n"
	                    "      the pods with most series of a metric\n"
	                    "  kymoctl cardinality --history\n"
	                    "      what grew in the last day, when, and what exploded\n",
	        .args = args,
	        .args_count = COUNT_OF(args),
	        .words_max = 16 },
	    argc, argv);
	ctl_catch();
	c.form = ctltable_form(c.format);
	if (c.limit < 1 || c.limit > 100)
		return ctl_fail(CTL_USAGE, "--limit: from 1 to 100");
	if (c.match && !c.labels)
		return ctl_fail(CTL_USAGE, "--match needs a LABEL whose values are counted");
	if (c.history ? c.labels > 0 : c.start || c.end)
		return ctl_fail(CTL_USAGE,
		    c.history ? "--history is of everything: no LABEL"
		              : "--start and --end are of --history");
	c.to_ms = ctl_time_ms(c.end ? c.end : "now", "end");
	c.from_ms = c.start ? ctl_time_ms(c.start, "start") : num_sat_sub(c.to_ms, HISTORY_MS);
	if (c.from_ms > c.to_ms)
		return ctl_fail(CTL_USAGE, "--start is later than --end");
	int status = ctlhttp_open(&access, &c.http);
	if (!status)
		status = c.history ? history(&c) : c.labels ? some(&c) : whole(&c);
	ctlhttp_close(c.http);
	return status;
}
