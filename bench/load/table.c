#include "bench/load/table.h"

#include <math.h>
#include <string.h>

#include "bench/load/results.h"
#include "core/base/num.h"

#define TITLE_WIDTH 74
#define CELL_WIDTH  32

/* "733 k  6.42x [6.31-6.60]"; "failed" where every round did. */
static void cell(const json_t *figure, const json_t *row, char *out, size_t cap)
{
	char value[RESULTS_HUMAN_MAX], ratio[3][RESULTS_HUMAN_MAX];
	const json_t *r = json_object_get(row, "ratio");
	double median = results_number(row, "median");
	if (!row) {
		snprintf(out, cap, "-");
		return;
	}
	if (!isfinite(median)) {
		snprintf(out, cap, "%s",
		    json_array_size(json_object_get(row, "values")) ? "failed" : "-");
		return;
	}
	results_human(median, results_text(figure, "unit"), value);
	results_human_ratio(results_number(r, "median"), ratio[0]);
	results_human_ratio(results_number(r, "min"), ratio[1]);
	results_human_ratio(results_number(r, "max"), ratio[2]);
	if (results_text(row, "apart")[0])
		snprintf(out, cap, "%s (%s)", value, results_text(row, "apart"));
	else if (!r)
		snprintf(out, cap, "%s", value);
	else if (results_number(r, "pairs") < 2)
		snprintf(out, cap, "%s  %s", value, ratio[0]);
	else
		snprintf(out, cap, "%s  %s [%s-%s]", value, ratio[0], ratio[1], ratio[2]);
}

static void print_figure(const json_t *root, const json_t *f, FILE *to)
{
	size_t i;
	const json_t *s;
	fprintf(to, "  %-*s", TITLE_WIDTH, results_text(f, "title"));
	json_array_foreach(json_object_get(root, "servers"), i, s)
	{
		char text[256];
		cell(f, results_of(f, results_text(s, "name")), text, sizeof(text));
		fprintf(to, " %-*s", i ? CELL_WIDTH : 12, text);
	}
	fputc('\n', to);
	json_array_foreach(json_object_get(f, "servers"), i, s)
	{
		size_t k;
		const json_t *n;
		json_array_foreach(json_object_get(s, "notes"), k, n)
		    fprintf(to, "      %s: %s\n", results_text(s, "name"), json_string_value(n));
	}
}

static void print_queries(const json_t *root, FILE *to)
{
	const json_t *queries = json_object_get(root, "queries"), *q;
	size_t i, equal = 0;
	json_array_foreach(queries, i, q) equal += json_is_true(json_object_get(q, "equal"));
	if (json_array_size(queries))
		fprintf(to, "\n  answers equal to the first server's: %zu of %zu queries\n", equal,
		    json_array_size(queries));
	json_array_foreach(queries, i, q) if (!json_is_true(json_object_get(q, "equal"))) fprintf(
	    to, "      %s\n        %s\n", results_text(q, "query"), results_text(q, "difference"));
}

void table_print(const json_t *root, FILE *to)
{
	const char *group = "";
	size_t i;
	const json_t *o;
	fprintf(to, "%-*s", TITLE_WIDTH + 2, "");
	json_array_foreach(json_object_get(root, "servers"), i, o)
	    fprintf(to, " %-*s", i ? CELL_WIDTH : 12, results_text(o, "name"));
	fprintf(to, "\n");
	json_array_foreach(json_object_get(root, "figures"), i, o)
	{
		if (strcmp(group, results_text(o, "group")))
			fprintf(to, "%s\n", results_text(o, "group"));
		group = results_text(o, "group");
		print_figure(root, o, to);
	}
	print_queries(root, to);
	json_array_foreach(json_object_get(root, "servers"), i, o)
	{
		fprintf(to, "  %s: %s; a write's answer: %s\n", results_text(o, "name"),
		    results_text(o, "version"), results_text(o, "promise"));
		if (results_text(o, "queries")[0])
			fprintf(to, "      %s\n", results_text(o, "queries"));
	}
	json_array_foreach(json_object_get(root, "problems"), i, o)
	    fprintf(to, "%s  %s\n", i ? "" : "What failed or was left out\n", json_string_value(o));
	fprintf(to,
	    "  \"6.42x [6.31-6.60]\": how often the first server is better, median and spread of pairs; %.0f s in all\n",
	    results_number(root, "seconds"));
}
