#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/num.h"
#include "net/ctl/ctlask.h"
#include "net/ctl/ctlcmds.h"
#include "net/ctl/ctltable.h"
#include "net/ctl/ctlterm.h"

struct card {
	struct ctlhttp *http;
	const char *match, *format;
	double limit;
	enum ctltable_form form;
	unsigned labels;
	char **names;
};

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
		number_cell(t, now);
		if (people) {
			growth_cell(t, now, json_object_get(row, "hourAgo"));
			growth_cell(t, now, json_object_get(row, "dayAgo"));
		} else {
			number_cell(t, json_object_get(row, "hourAgo"));
			number_cell(t, json_object_get(row, "dayAgo"));
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
		{ "count", true }, { "hour_ago", true }, { "day_ago", true } };
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
	                    "      the pods with most series of a metric\n",
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
	int status = ctlhttp_open(&access, &c.http);
	if (!status)
		status = c.labels ? some(&c) : whole(&c);
	ctlhttp_close(c.http);
	return status;
}
