#include <math.h>
#include <string.h>

#include "bench/load/report.h"
#include "bench/load/results.h"

void report_md_text(struct buf *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if (c == '\n' || c == '\r' || c == '\t')
			buf_add_u8(out, ' ');
		else if (c == '<')
			buf_add_str(out, "&lt;");
		else if (c == '>')
			buf_add_str(out, "&gt;");
		else if (c == '&')
			buf_add_str(out, "&amp;");
		else if (c == '|')
			buf_add_str(out, "&#124;");
		else if (strchr("\\`*_[]#!~", c))
			buf_printf(out, "\\%c", c);
		else if (c >= 0x20 && c != 0x7f)
			buf_add_u8(out, c);
	}
}

/* Code that shows its text as it is; a backtick would end it. */
static void code(struct buf *out, const char *text)
{
	buf_add_str(out, "<code>");
	report_md_text(out, text);
	buf_add_str(out, "</code>");
}

static void value(struct buf *out, const json_t *f, const json_t *row)
{
	char text[RESULTS_HUMAN_MAX], r[3][RESULTS_HUMAN_MAX];
	const json_t *ratio = json_object_get(row, "ratio");
	double median = results_number(row, "median");
	if (!isfinite(median)) {
		buf_add_str(out, json_array_size(json_object_get(row, "values")) ? "failed" : "-");
		return;
	}
	results_human(median, results_text(f, "unit"), text);
	buf_add_str(out, text);
	if (results_text(row, "apart")[0]) {
		buf_add_str(out, " (");
		report_md_text(out, results_text(row, "apart"));
		buf_add_u8(out, ')');
	}
	if (!ratio)
		return;
	results_human_ratio(results_number(ratio, "median"), r[0]);
	results_human_ratio(results_number(ratio, "min"), r[1]);
	results_human_ratio(results_number(ratio, "max"), r[2]);
	buf_printf(out, ", **%s**", r[0]);
	if (results_number(ratio, "pairs") > 1)
		buf_printf(out, " (%s to %s)", r[1], r[2]);
}

void report_md_table(const json_t *root, struct buf *out)
{
	const json_t *servers = json_object_get(root, "servers"), *s, *f;
	size_t i, k;
	buf_add_str(out, "| |");
	json_array_foreach(servers, i, s)
	{
		buf_add_u8(out, ' ');
		report_md_text(out, results_text(s, "name"));
		buf_add_str(out, " |");
	}
	buf_add_str(out, "\n| --- |");
	for (i = 0; i < json_array_size(servers); i++)
		buf_add_str(out, " --- |");
	buf_add_u8(out, '\n');
	json_array_foreach(json_object_get(root, "figures"), i, f)
	{
		buf_add_str(out, "| ");
		report_md_text(out, results_text(f, "title"));
		buf_add_str(out, " |");
		json_array_foreach(servers, k, s)
		{
			buf_add_u8(out, ' ');
			value(out, f, results_of(f, results_text(s, "name")));
			buf_add_str(out, " |");
		}
		buf_add_u8(out, '\n');
	}
}

static void machine(struct buf *out, const json_t *root)
{
	const json_t *v;
	json_t *m = json_object_get(root, "machine");
	const char *key;
	char text[RESULTS_HUMAN_MAX];
	json_object_foreach(m, key, v)
	{
		buf_add_str(out, "- ");
		report_md_text(out, key);
		buf_add_str(out, ": ");
		if (json_is_string(v)) {
			report_md_text(out, json_string_value(v));
		} else if (json_is_number(v)) {
			results_human(json_number_value(v),
			    strstr(key, "bytes")     ? "bytes"
			        : strstr(key, "_ms") ? "ms"
			                             : "",
			    text);
			buf_add_str(out, text);
		}
		buf_add_u8(out, '\n');
	}
}

static void servers_of(struct buf *out, const json_t *root)
{
	size_t i;
	const json_t *s;
	json_array_foreach(json_object_get(root, "servers"), i, s)
	{
		buf_add_str(out, "- **");
		report_md_text(out, results_text(s, "name"));
		buf_add_str(out, "**: ");
		report_md_text(out, results_text(s, "version"));
		buf_add_str(out, "; a write's answer: ");
		report_md_text(out, results_text(s, "promise"));
		if (results_text(s, "queries")[0]) {
			buf_add_str(out, "; ");
			report_md_text(out, results_text(s, "queries"));
		}
		buf_add_str(out, "; ");
		code(out, results_text(s, "command"));
		buf_add_u8(out, '\n');
	}
}

static void notes(struct buf *out, const json_t *root)
{
	size_t i, k, n;
	const json_t *f, *s, *note;
	json_array_foreach(json_object_get(root, "figures"), i, f)
	{
		json_array_foreach(json_object_get(f, "servers"), k, s)
		{
			json_array_foreach(json_object_get(s, "notes"), n, note)
			{
				buf_add_str(out, "- ");
				report_md_text(out, results_text(f, "title"));
				buf_add_str(out, ": ");
				report_md_text(out, results_text(s, "name"));
				buf_add_str(out, ": ");
				report_md_text(out, json_string_value(note));
				buf_add_u8(out, '\n');
			}
		}
	}
}

static void queries(struct buf *out, const json_t *root)
{
	size_t i;
	const json_t *q;
	json_array_foreach(json_object_get(root, "queries"), i, q)
	{
		buf_add_str(out, "- ");
		code(out, results_text(q, "query"));
		buf_add_str(out,
		    json_is_true(json_object_get(q, "equal")) ? ": answers equal"
		                                              : ": answers differ: ");
		report_md_text(out, results_text(q, "difference"));
		buf_add_u8(out, '\n');
	}
}

/* A heading, and what add makes below it; without it when that is nothing. */
static void part(struct buf *out, const char *title, const json_t *root,
    void (*add)(struct buf *out, const json_t *root))
{
	size_t before = out->len, inside;
	buf_printf(out, "\n### %s\n\n", title);
	inside = out->len;
	add(out, root);
	if (out->len == inside)
		out->len = before;
}

static void problems(struct buf *out, const json_t *root)
{
	size_t i;
	const json_t *p;
	json_array_foreach(json_object_get(root, "problems"), i, p)
	{
		buf_add_str(out, "- ");
		report_md_text(out, json_string_value(p));
		buf_add_u8(out, '\n');
	}
}

static void table(struct buf *out, const json_t *root)
{
	report_md_table(root, out);
}

static void one(struct buf *out, const json_t *root)
{
	buf_add_str(out, "\n## kymobench ");
	report_md_text(out, results_text(root, "command"));
	buf_add_u8(out, ' ');
	report_md_text(out, results_text(root, "started"));
	buf_add_str(out,
	    "\n\nMedians; in bold how often the first server is better, round by round (lowest to highest).\n");
	part(out, "What failed or was left out", root, problems);
	part(out, "Figures", root, table);
	part(out, "Beside the figures", root, notes);
	part(out, "Answers", root, queries);
	part(out, "Servers", root, servers_of);
	part(out, "Machine", root, machine);
	buf_add_str(out, "\n### Command\n\n");
	code(out, results_text(root, "arguments"));
	buf_add_u8(out, '\n');
}

void report_md(const json_t *const *roots, size_t count, struct buf *out)
{
	buf_add_str(out, "# Measured by kymobench\n");
	for (size_t i = 0; i < count; i++)
		one(out, roots[i]);
}
