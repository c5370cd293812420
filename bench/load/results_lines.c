/* results_of_lines: what "kymobench write" and "soak" print, as results of one server. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/load/results.h"

/* "p99_us": {title, unit, factor}. */
static const struct {
	const char *key, *title, *unit, *better;
	double factor;
} known[] = {
	{ "samples", "samples taken", "", "more", 1 },
	{ "failed", "requests that failed", "", "less", 1 },
	{ "refused", "requests that were refused", "", "less", 1 },
	{ "retries", "requests that were repeated", "", "less", 1 },
	{ "samples_per_s", "samples per second", "", "more", 1 },
	{ "samples_per_cpu_s", "samples per server-CPU-second", "", "more", 1 },
	{ "cores", "cores of the server", "", "less", 1 },
	{ "p50_us", "answer to a write, median", "ms", "less", 1e-3 },
	{ "p99_us", "answer to a write, 99th percentile", "ms", "less", 1e-3 },
	{ "max_us", "answer to a write, longest", "ms", "less", 1e-3 },
	{ "asked_per_s", "samples per second that were to be sent", "", "more", 1 },
	{ "due_p50_ms", "answer to a write since it was due, median", "ms", "less", 1 },
	{ "due_p99_ms", "answer to a write since it was due, 99th percentile", "ms", "less", 1 },
	{ "p50_ms", "answer to a write since it was sent, median", "ms", "less", 1 },
	{ "p99_ms", "answer to a write since it was sent, 99th percentile", "ms", "less", 1 },
	{ "max_ms", "answer to a write since it was sent, longest", "ms", "less", 1 },
	{ "rss_mb", "memory (RSS)", "bytes", "less", 1 << 20 },
	{ "anon_mb", "memory of its own (anonymous)", "bytes", "less", 1 << 20 },
	{ "peak_rss_mb", "memory (RSS), highest", "bytes", "less", 1 << 20 },
};

static json_t *begin(const char *command)
{
	char arguments[1] = "", *argv[] = { arguments };
	json_t *root = results_new(command, 0, argv);
	results_server(root, "server", "", "", "");
	json_object_set_new(root, "started", json_string(""));
	return root;
}

/* The line of "kymobench write": one value each. */
static json_t *from_write(const json_t *line, const char *path)
{
	const char *name = strrchr(path, '/');
	json_t *root = begin("write");
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		double v = results_number(line, known[i].key);
		if (isfinite(v))
			results_value(results_figure(root, known[i].key, name ? name + 1 : path,
			                  known[i].title, known[i].unit, known[i].better),
			    "server", v * known[i].factor);
	}
	results_close(
	    root, isfinite(results_number(line, "seconds")) ? results_number(line, "seconds") : 0);
	return root;
}

/* Of each interval of a soak: what is drawn over its time. */
static const struct {
	const char *key, *title, *unit;
	double factor;
} drawn[] = {
	{ "samples_per_s", "samples per second", "", 1 },
	{ "rss_mb", "memory (RSS)", "bytes", 1 << 20 },
	{ "cores", "cores of the server", "", 1 },
	{ "write_p50_ms", "answer to a write since it was due, median", "ms", 1 },
	{ "write_p99_ms", "answer to a write since it was due, 99th percentile", "ms", 1 },
	{ "query_ms", "all panels of the dashboard", "ms", 1 },
	{ "disk_bytes", "bytes on disk", "bytes", 1 },
};

static void add_interval(json_t *root, const json_t *line)
{
	double at_s = results_number(line, "at_s");
	for (size_t i = 0; i < sizeof(drawn) / sizeof(*drawn); i++) {
		double v = results_number(line, drawn[i].key);
		if (isfinite(v))
			results_point(root, drawn[i].title, drawn[i].unit, "server", at_s,
			    v * drawn[i].factor);
	}
}

/* Means, and how each went: "steady, +0.1 +- 0.2 an hour". */
static void add_summary(json_t *root, const json_t *line, const char *group)
{
	double failed = results_number(line, "failed"),
	       asked = results_number(line, "query_failures");
	for (size_t i = 0; i < sizeof(drawn) / sizeof(*drawn); i++) {
		const json_t *t = json_object_get(line, drawn[i].key);
		char text[300];
		if (!isfinite(results_number(t, "mean")))
			continue;
		json_t *f =
		    results_figure(root, drawn[i].key, group, drawn[i].title, drawn[i].unit, "less");
		results_value(f, "server", results_number(t, "mean") * drawn[i].factor);
		snprintf(text, sizeof(text), "%.100s: %+.4g +- %.2g an hour%s",
		    results_text(t, "trend"), results_number(t, "slope_per_h"),
		    results_number(t, "error_per_h"), drawn[i].factor > 1 ? " (MiB)" : "");
		results_note(f, "server", text);
		if (!strcmp(results_text(t, "trend"), "grows"))
			results_problem(root, "%s grows", drawn[i].title);
	}
	if (failed > 0 || asked > 0)
		results_problem(root, "%.0f requests and %.0f queries failed", failed, asked);
}

/* The line that begins at *p, moved behind it; NULL: it is no JSON object. */
static json_t *next_line(const char **p, const char *end)
{
	const char *nl = memchr(*p, '\n', (size_t)(end - *p)), *from = *p;
	size_t n = (size_t)((nl ? nl : end) - from);
	*p = from + n + (nl != NULL);
	json_t *o = json_loadb(from, n, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(o))
		return o;
	json_decref(o);
	return NULL;
}

json_t *results_of_lines(const char *bytes, size_t len, const char *path)
{
	const char *p = bytes, *end = bytes + len, *slash = strrchr(path, '/');
	const char *group = slash ? slash + 1 : path;
	json_t *root = NULL, *line;
	for (size_t count = 0; p < end && count < RESULTS_VALUES_MAX; count++) {
		line = next_line(&p, end);
		bool soak = json_is_number(json_object_get(line, "at_s")),
		     summary = json_is_true(json_object_get(line, "summary"));
		if (!root && (soak || summary))
			root = begin("soak");
		else if (!root && json_is_number(json_object_get(line, "samples")) &&
		    !json_object_get(line, "kymobench"))
			root = from_write(line, path);
		if (root && soak)
			add_interval(root, line);
		if (root && summary)
			add_summary(root, line, group);
		if (root && summary)
			results_close(root, results_number(line, "seconds"));
		json_decref(line);
		if (!root)
			return NULL;
	}
	return root;
}
