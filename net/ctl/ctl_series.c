#include <stdio.h>
#include <string.h>

#include "core/base/json.h"
#include "core/base/mem.h"
#include "core/base/num.h"
#include "net/ctl/ctlask.h"
#include "net/ctl/ctlcmds.h"
#include "net/ctl/ctlterm.h"
#include "net/ctl/ctlvalue.h"

/* What series, labels and their values have in common: which series, when, how many. */
struct listing {
	const char *matches[64];
	size_t matches_count;
	const char *start, *end, *format;
	double limit;
};

static bool add_match(void *arg, const char *value)
{
	struct listing *l = arg;
	if (l->matches_count == COUNT_OF(l->matches))
		return false;
	l->matches[l->matches_count++] = value;
	return true;
}

/* clang-format off */
#define LISTING_ARGS(l)                                                                            \
	{ .name = "start", .meta = "TIME", .help = "begin of the range: 1h, 2026-11-29T08:00:00Z, unix seconds", .text = &(l).start }, \
	{ .name = "end", .meta = "TIME", .help = "its end", .text = &(l).end }, \
	{ .name = "limit", .meta = "N", .help = "at most so many (0: all)", .num = &(l).limit }, \
	CTLTABLE_ARG((l).format)
/* clang-format on */

static void make_form(const struct listing *l, struct buf *form)
{
	char text[32];
	for (size_t i = 0; i < l->matches_count; i++)
		ctlhttp_param(form, "match[]", l->matches[i]);
	if (l->start) {
		text[num_fmt_ts(ctl_time_ms(l->start, "start"), text)] = 0;
		ctlhttp_param(form, "start", text);
	}
	if (l->end) {
		text[num_fmt_ts(ctl_time_ms(l->end, "end"), text)] = 0;
		ctlhttp_param(form, "end", text);
	}
	if (l->limit >= 1) {
		text[num_fmt_u64((uint64_t)l->limit, text)] = 0;
		ctlhttp_param(form, "limit", text);
	}
}

/* Servers that know no limit, or take it for a hint, gave more. */
static void cut(const struct listing *l, json_t *list)
{
	if (l->limit < 1 || (double)json_array_size(list) <= l->limit)
		return;
	ctl_note("%zu are there, the first %.0f are shown", json_array_size(list), l->limit);
	while ((double)json_array_size(list) > l->limit)
		json_array_remove(list, json_array_size(list) - 1);
}

int ctl_series(int argc, char **argv)
{
	struct ctlhttp_access access = { 0 };
	struct listing l = { .matches_count = 0 };
	const struct cmdline_arg args[] = { LISTING_ARGS(l), CTLHTTP_ARGS(access) };
	int words = cmdline_parse(
	    &(struct cmdline){ .program = "kymoctl",
	        .command = "series",
	        .words = "SELECTOR...",
	        .help = "Lists the series that one of the selectors selects, one on each line.",
	        .examples =
	            "  kymoctl series up 'node_load1{job=~\"web.*\"}'\n"
	            "      all there are of both\n"
	            "  kymoctl series --start 1h --format csv '{job=\"web\"}' | cut -d, -f1 | sort | uniq -c\n"
	            "      how many of each metric had samples within the last hour\n",
	        .args = args,
	        .args_count = COUNT_OF(args),
	        .words_min = 1,
	        .words_max = COUNT_OF(l.matches) },
	    argc, argv);
	struct ctlhttp *http;
	struct buf form;
	json_t *data = NULL;
	ctl_catch();
	for (int i = 0; i < words; i++)
		add_match(&l, argv[i]);
	enum ctltable_form shape = ctltable_form(l.format);
	int status = ctlhttp_open(&access, &http);
	buf_init(&form);
	if (!status) {
		make_form(&l, &form);
		status = ctlask(http, "/api/v1/series", &form, words == 1 ? argv[0] : NULL, &data);
	}
	if (!status)
		status = ctlhttp_shape(http, data, JSON_ARRAY);
	if (!status) {
		cut(&l, data);
		if (shape == CTLTABLE_TABLE && !json_array_size(data))
			ctl_note("no series");
		else if (!ctlvalue_sets(stdout, data, shape))
			status =
			    ctl_fail(CTL_REFUSED, "%s: the answer is no list", ctlhttp_server(http));
	}
	json_decref(data);
	buf_release(&form);
	ctlhttp_close(http);
	return status;
}

/* ---- labels ---- */

/* /api/v1/label/<name>/values */
static void values_path(struct buf *path, const char *name)
{
	buf_add_str(path, "/api/v1/label/");
	for (const char *s = name; *s; s++) {
		bool plain = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
		    (*s >= '0' && *s <= '9') || *s == '_';
		if (plain)
			buf_add_u8(path, (uint8_t)*s);
		else
			buf_printf(path, "%%%02X", (unsigned char)*s);
	}
	buf_add_str(path, "/values");
	buf_add_u8(path, 0);
}

static int show_texts(const json_t *list, enum ctltable_form form, const char *head)
{
	struct ctltable t;
	struct buf b;
	const struct ctltable_column column = { .name = head };
	size_t i;
	json_t *text;
	if (!json_is_array(list))
		return ctl_fail(CTL_REFUSED, "the answer is no list");
	if (form == CTLTABLE_TABLE && !json_array_size(list))
		ctl_note("none");
	if (form == CTLTABLE_CSV)
		ctltable_begin(&t, stdout, form, &column, 1);
	if (form == CTLTABLE_JSON)
		fputs("[", stdout);
	buf_init(&b);
	json_array_foreach(list, i, text)
	{
		const char *s = json_string_value(text);
		size_t len = json_string_length(text);
		buf_clear(&b);
		if (form == CTLTABLE_CSV) {
			ctltable_cell_len(&t, s ? s : "", len);
			continue;
		}
		if (form == CTLTABLE_JSON) {
			buf_add_str(&b, i ? ",\n" : "\n");
			json_str_raw(&b, s ? s : "", len);
		} else {
			ctlterm_text(&b, s ? s : "", len);
			buf_add_u8(&b, '\n');
		}
		fwrite(b.data, 1, b.len, stdout);
	}
	if (form == CTLTABLE_CSV)
		ctltable_end(&t);
	if (form == CTLTABLE_JSON)
		fputs(json_array_size(list) ? "\n]\n" : "]\n", stdout);
	buf_release(&b);
	return CTL_OK;
}

static int list_labels(struct ctlhttp *http, struct listing *l, const char *name)
{
	struct buf form, path;
	json_t *data;
	enum ctltable_form shape = ctltable_form(l->format);
	const char *expr = l->matches_count == 1 ? l->matches[0] : NULL;
	buf_init(&form);
	buf_init(&path);
	make_form(l, &form);
	if (name)
		values_path(&path, name);
	int status = name ? ctlask_get(http, (const char *)path.data, &form, expr, &data)
	                  : ctlask(http, "/api/v1/labels", &form, expr, &data);
	if (!status) {
		cut(l, data);
		status = show_texts(data, shape, name ? name : "label");
	}
	json_decref(data);
	buf_release(&form);
	buf_release(&path);
	return status;
}

int ctl_labels(int argc, char **argv)
{
	struct ctlhttp_access access = { 0 };
	struct listing l = { .matches_count = 0 };
	const struct cmdline_arg args[] = {
		{ .name = "match",
		    .meta = "SELECTOR",
		    .help = "only of series that it selects, may be repeated",
		    .each = add_match,
		    .arg = &l },
		LISTING_ARGS(l),
		CTLHTTP_ARGS(access),
	};
	int words = cmdline_parse(&(struct cmdline){ .program = "kymoctl",
	                              .command = "labels",
	                              .words = "[NAME]",
	                              .help = "Lists the names of labels, or the values of one.",
	                              .examples = "  kymoctl labels\n"
	                                          "      all names\n"
	                                          "  kymoctl labels __name__ --match '{job=\"web\"}'\n"
	                                          "      the metrics of a job\n",
	                              .args = args,
	                              .args_count = COUNT_OF(args),
	                              .words_max = 1 },
	    argc, argv);
	struct ctlhttp *http;
	ctl_catch();
	ctltable_form(l.format);
	int status = ctlhttp_open(&access, &http);
	if (!status)
		status = list_labels(http, &l, words ? argv[0] : NULL);
	ctlhttp_close(http);
	return status;
}

/* ---- metadata ---- */

static void show_metadata(json_t *data, enum ctltable_form form)
{
	static const struct ctltable_column columns[] = { { "metric", false }, { "type", false },
		{ "unit", false }, { "help", false } };
	struct ctltable t;
	json_t *one;
	size_t i, count;
	json_t *wrap = json_pack("[O]", data);
	ctltable_begin(&t, stdout, form, columns, COUNT_OF(columns));
	const char **sorted = ctlvalue_names(wrap, NULL, &count);
	for (size_t k = 0; k < count; k++) {
		json_array_foreach(json_object_get(data, sorted[k]), i, one)
		{
			static const char *const keys[] = { "type", "unit", "help" };
			ctltable_cell(&t, sorted[k]);
			for (size_t c = 0; c < COUNT_OF(keys); c++) {
				const char *text = json_string_value(json_object_get(one, keys[c]));
				ctltable_cell(&t, text ? text : "");
			}
		}
	}
	ctltable_end(&t);
	mem_free(sorted);
	json_decref(wrap);
}

int ctl_metadata(int argc, char **argv)
{
	struct ctlhttp_access access = { 0 };
	const char *format = NULL;
	double limit = 0;
	const struct cmdline_arg args[] = {
		{ .name = "limit", .meta = "N", .help = "metrics at most (0: all)", .num = &limit },
		CTLTABLE_ARG(format),
		CTLHTTP_ARGS(access),
	};
	int words = cmdline_parse(&(struct cmdline){ .program = "kymoctl",
	                              .command = "metadata",
	                              .words = "[METRIC]",
	                              .help = "Type, unit and help of metrics, as senders told them.",
	                              .examples = "  kymoctl metadata node_load1\n"
	                                          "      what is this?\n",
	                              .args = args,
	                              .args_count = COUNT_OF(args),
	                              .words_max = 1 },
	    argc, argv);
	struct ctlhttp *http;
	struct buf form;
	json_t *data = NULL;
	char text[32];
	ctl_catch();
	enum ctltable_form shape = ctltable_form(format);
	int status = ctlhttp_open(&access, &http);
	buf_init(&form);
	if (words)
		ctlhttp_param(&form, "metric", argv[0]);
	if (limit >= 1) {
		text[num_fmt_u64((uint64_t)limit, text)] = 0;
		ctlhttp_param(&form, "limit", text);
	}
	if (!status)
		status = ctlask_get(http, "/api/v1/metadata", &form, NULL, &data);
	if (!status)
		status = ctlhttp_shape(http, data, JSON_OBJECT);
	if (!status && shape == CTLTABLE_TABLE && !json_object_size(data))
		ctl_note("no metadata");
	else if (!status)
		show_metadata(data, shape);
	json_decref(data);
	buf_release(&form);
	ctlhttp_close(http);
	return status;
}
