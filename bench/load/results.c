#include "bench/load/results.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/load/spread.h"
#include "core/base/arena.h"
#include "core/base/clock.h"

#define TEXT_MAX 4096u

static void set_text(json_t *o, const char *key, const char *text)
{
	json_t *s = json_string(text);
	if (!s) { /* what a program printed may be anything */
		struct buf b;
		buf_init(&b);
		for (; *text; text++)
			buf_add_u8(&b, (unsigned char)*text < 0x80 ? (uint8_t)*text : '?');
		s = json_stringn(b.len ? (const char *)b.data : "", b.len);
		buf_release(&b);
	}
	json_object_set_new(o, key, s);
}

json_t *results_new(const char *command, int argc, char **argv)
{
	json_t *root = json_object();
	char when[32];
	struct tm tm;
	struct buf b;
	time_t now = (time_t)(clock_wall_ms() / 1000);
	buf_init(&b);
	for (int i = 0; i < argc; i++)
		buf_printf(&b, "%s%s", i ? " " : "", argv[i]);
	buf_add_u8(&b, 0);
	json_object_set_new(root, "kymobench", json_integer(1));
	set_text(root, "command", command);
	set_text(root, "arguments", (const char *)b.data);
	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	set_text(root, "started", when);
	json_object_set_new(root, "machine", json_object());
	json_object_set_new(root, "servers", json_array());
	json_object_set_new(root, "figures", json_array());
	json_object_set_new(root, "queries", json_array());
	json_object_set_new(root, "lines", json_array());
	json_object_set_new(root, "problems", json_array());
	buf_release(&b);
	return root;
}

void results_server(
    json_t *root, const char *name, const char *version, const char *command, const char *promise)
{
	json_t *s = json_object();
	set_text(s, "name", name);
	set_text(s, "version", version);
	set_text(s, "command", command);
	set_text(s, "promise", promise);
	json_array_append_new(json_object_get(root, "servers"), s);
}

json_t *results_figure(json_t *root, const char *id, const char *group, const char *title,
    const char *unit, const char *better)
{
	json_t *f = json_object();
	set_text(f, "id", id);
	set_text(f, "group", group);
	set_text(f, "title", title);
	set_text(f, "unit", unit);
	set_text(f, "better", better);
	json_object_set_new(f, "servers", json_array());
	json_array_append_new(json_object_get(root, "figures"), f);
	return f;
}

/* The object of this name in an array of them. */
static json_t *named(const json_t *array, const char *name)
{
	size_t i;
	json_t *o;
	json_array_foreach(array, i, o)
	{
		if (!strcmp(results_text(o, "name"), name))
			return o;
	}
	return NULL;
}

static json_t *row_of(json_t *figure, const char *server)
{
	json_t *rows = json_object_get(figure, "servers"), *row = named(rows, server);
	if (row)
		return row;
	row = json_object();
	set_text(row, "name", server);
	json_object_set_new(row, "values", json_array());
	json_object_set_new(row, "notes", json_array());
	json_array_append_new(rows, row);
	return row;
}

void results_value(json_t *figure, const char *server, double value)
{
	json_array_append_new(json_object_get(row_of(figure, server), "values"),
	    isfinite(value) ? json_real(value) : json_null());
}

void results_note(json_t *figure, const char *server, const char *text)
{
	json_t *notes = json_object_get(row_of(figure, server), "notes"), *holder = json_object();
	size_t i;
	json_t *n;
	set_text(holder, "t", text);
	json_array_foreach(notes, i, n)
	{
		if (json_equal(n, json_object_get(holder, "t"))) {
			json_decref(holder);
			return;
		}
	}
	json_array_append(notes, json_object_get(holder, "t"));
	json_decref(holder);
}

void results_apart(json_t *figure, const char *server, const char *why)
{
	json_t *row = row_of(figure, server);
	if (!results_text(row, "apart")[0])
		set_text(row, "apart", why);
}

void results_point(
    json_t *root, const char *title, const char *unit, const char *server, double t_s, double value)
{
	json_t *lines = json_object_get(root, "lines"), *line = NULL, *row, *l;
	size_t i;
	json_array_foreach(lines, i, l)
	{
		if (!strcmp(results_text(l, "title"), title))
			line = l;
	}
	if (!line) {
		line = json_object();
		set_text(line, "title", title);
		set_text(line, "unit", unit);
		json_object_set_new(line, "servers", json_array());
		json_array_append_new(lines, line);
	}
	row = named(json_object_get(line, "servers"), server);
	if (!row) {
		row = json_object();
		set_text(row, "name", server);
		json_object_set_new(row, "points", json_array());
		json_array_append_new(json_object_get(line, "servers"), row);
	}
	if (isfinite(value))
		json_array_append_new(json_object_get(row, "points"), json_pack("[f,f]", t_s, value));
}

void results_problem(json_t *root, const char *fmt, ...)
{
	char text[TEXT_MAX];
	json_t *holder = json_object();
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	set_text(holder, "t", text);
	json_array_append(json_object_get(root, "problems"), json_object_get(holder, "t"));
	json_decref(holder);
}

static double *values_of(const json_t *row, size_t *count)
{
	const json_t *values = json_object_get(row, "values");
	size_t n = json_array_size(values);
	double *v = mem_array(NULL, n ? n : 1, sizeof(*v));
	for (size_t i = 0; i < n; i++) {
		const json_t *x = json_array_get(values, i);
		v[i] = json_is_number(x) ? json_number_value(x) : NAN;
	}
	*count = n;
	return v;
}

static void set_spread(json_t *o, const struct spread *s)
{
	if (!s->count)
		return;
	json_object_set_new(o, "median", json_real(s->median));
	json_object_set_new(o, "min", json_real(s->min));
	json_object_set_new(o, "max", json_real(s->max));
}

static void close_figure(json_t *figure, const char *first)
{
	bool less = !strcmp(results_text(figure, "better"), "less");
	const json_t *base = results_of(figure, first);
	size_t i, base_n = 0;
	json_t *row;
	double *b = base && !results_text(base, "apart")[0] ? values_of(base, &base_n) : NULL;
	json_array_foreach(json_object_get(figure, "servers"), i, row)
	{
		size_t n;
		double *v = values_of(row, &n);
		struct spread s = spread_of(v, n);
		set_spread(row, &s);
		if (b && row != base && !results_text(row, "apart")[0]) {
			struct spread r = spread_ratio(b, v, n < base_n ? n : base_n, less);
			json_t *ratio = json_object();
			set_spread(ratio, &r);
			json_object_set_new(ratio, "pairs", json_integer((json_int_t)r.count));
			if (r.count)
				json_object_set(row, "ratio", ratio);
			json_decref(ratio);
		}
		mem_free(v);
	}
	mem_free(b);
}

void results_close(json_t *root, double seconds)
{
	const json_t *servers = json_object_get(root, "servers");
	const char *first = results_text(json_array_get(servers, 0), "name");
	size_t i;
	json_t *f, *figures = json_object_get(root, "figures");
	json_object_set_new(root, "seconds", json_real(seconds));
	for (i = json_array_size(figures); i-- > 0;) /* of what nobody measured nothing is said */
		if (!json_array_size(json_object_get(json_array_get(figures, i), "servers")))
			json_array_remove(figures, i);
	json_array_foreach(json_object_get(root, "figures"), i, f) close_figure(f, first);
}

bool results_writable(const char *out, struct errbuf *eb)
{
	FILE *f = out && strcmp(out, "-") ? fopen(out, "a") : stdout;
	if (!f)
		errbuf_set(eb, ERR_IO, "--out %s: %s", out, strerror(errno));
	else if (f != stdout)
		fclose(f);
	return f != NULL;
}

enum err results_save(const json_t *root, const char *path, struct errbuf *eb)
{
	size_t flags = JSON_INDENT(1) | JSON_REAL_PRECISION(9);
	int bad = strcmp(path, "-") ? json_dump_file(root, path, flags)
	                            : json_dumpf(root, stdout, flags) || putchar('\n') < 0;
	return bad ? errbuf_set(eb, ERR_IO, "%s: cannot be written: %s", path, strerror(errno))
	           : ERR_OK;
}

const char *results_text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

double results_number(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);
	return json_is_number(v) ? json_number_value(v) : NAN;
}

const json_t *results_of(const json_t *figure, const char *server)
{
	return named(json_object_get(figure, "servers"), server);
}

/* Three digits that count: 4.71, 47.1, 471. */
static int digits_of(double v)
{
	v = fabs(v);
	return v < 0.1 && v > 0 ? 4 : v < 1 ? 3 : v < 10 ? 2 : v < 100 ? 1 : 0;
}

static void scaled(double v, double base, const char *const *words, const char *tail, char *out)
{
	unsigned i = 0;
	while (fabs(v) >= base * 0.9995 && words[i + 1]) {
		v /= base;
		i++;
	}
	int digits = v == floor(v) && !i ? 0 : digits_of(v);
	bool gap = words[i][0] || tail[0];
	snprintf(out, RESULTS_HUMAN_MAX, "%.*f%s%s%s", digits, v, gap ? " " : "", words[i], tail);
}

void results_human(double v, const char *unit, char out[RESULTS_HUMAN_MAX])
{
	static const char *const bytes[] = { "B", "KiB", "MiB", "GiB", "TiB", NULL },
	                         *const counts[] = { "", "k", "M", "G", NULL },
	                         *const none[] = { "", NULL };
	if (!isfinite(v))
		snprintf(out, RESULTS_HUMAN_MAX, "-");
	else if (!strcmp(unit, "bytes"))
		scaled(v, 1024, bytes, "", out);
	else if (!strcmp(unit, "s"))
		scaled(fabs(v) < 1 ? v * 1000 : v, 1e300, none, fabs(v) < 1 ? "ms" : "s", out);
	else if (!strcmp(unit, "ms"))
		scaled(fabs(v) < 1000 ? v : v / 1000, 1e300, none, fabs(v) < 1000 ? "ms" : "s", out);
	else if (!strcmp(unit, "%"))
		scaled(v, 1e300, none, "%", out);
	else if (fabs(v) < 10000)
		scaled(v, 1e300, none, "", out);
	else
		scaled(v, 1000, counts, "", out);
}

void results_human_ratio(double v, char out[RESULTS_HUMAN_MAX])
{
	if (!isfinite(v))
		snprintf(out, RESULTS_HUMAN_MAX, "-");
	else if (fabs(v) < 0.1)
		snprintf(out, RESULTS_HUMAN_MAX, "%.2gx", v);
	else
		snprintf(out, RESULTS_HUMAN_MAX, "%.*fx", v < 10 ? 2 : v < 100 ? 1 : 0, v);
}
