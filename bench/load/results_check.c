/* results_load: a file's bytes, and every shape that readers rely on. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/load/results.h"

/* What is said of a place: "file: figures[3].servers[0].values: an array of numbers is wanted". */
struct place {
	const char *path;
	char where[160];
	struct errbuf *eb;
};

static enum err wrong(const struct place *p, const char *key, const char *wanted)
{
	return errbuf_set(p->eb, ERR_BADDATA, "%s: %s%s%s: %s is wanted", p->path, p->where,
	    p->where[0] && key[0] ? "." : "", key, wanted);
}

static struct place into(const struct place *p, const char *key, size_t i)
{
	struct place in = { .path = p->path, .eb = p->eb };
	snprintf(in.where, sizeof(in.where), "%.*s%s%s[%zu]", 110, p->where, p->where[0] ? "." : "",
	    key, i);
	return in;
}

static enum err text(const json_t *o, const char *key, const struct place *p)
{
	const json_t *v = json_object_get(o, key);
	return !v || json_is_string(v) ? ERR_OK : wrong(p, key, "a text");
}

static enum err texts(const json_t *o, const struct place *p, const char *const *keys)
{
	enum err e = json_is_object(o) ? ERR_OK : wrong(p, "", "an object");
	for (; *keys && !e; keys++)
		e = text(o, *keys, p);
	return e;
}

static enum err numbers(const json_t *o, const struct place *p, const char *const *keys)
{
	enum err e = ERR_OK;
	for (; *keys && !e; keys++) {
		const json_t *v = json_object_get(o, *keys);
		if (v && !json_is_null(v) && !json_is_number(v))
			e = wrong(p, *keys, "a number");
	}
	return e;
}

typedef enum err check_fn(const json_t *o, const struct place *p);

/* Every element of an array of at most max; no such key is fine. */
static enum err every(
    const json_t *o, const char *key, size_t max, const struct place *p, check_fn *check)
{
	const json_t *a = json_object_get(o, key);
	enum err e = ERR_OK;
	char limit[64];
	if (!a)
		return ERR_OK;
	if (!json_is_array(a))
		return wrong(p, key, "an array");
	snprintf(limit, sizeof(limit), "an array of at most %zu", max);
	if (json_array_size(a) > max)
		return wrong(p, key, limit);
	for (size_t i = 0; i < json_array_size(a) && !e; i++) {
		struct place in = into(p, key, i);
		e = check(json_array_get(a, i), &in);
	}
	return e;
}

static enum err a_text(const json_t *v, const struct place *p)
{
	return json_is_string(v) ? ERR_OK : wrong(p, "", "a text");
}

static enum err a_value(const json_t *v, const struct place *p)
{
	return json_is_null(v) || json_is_number(v) ? ERR_OK : wrong(p, "", "a number or null");
}

static enum err a_point(const json_t *v, const struct place *p)
{
	return json_array_size(v) == 2 && json_is_number(json_array_get(v, 0)) &&
	        json_is_number(json_array_get(v, 1))
	    ? ERR_OK
	    : wrong(p, "", "a pair of numbers");
}

static enum err a_server(const json_t *o, const struct place *p)
{
	static const char *const keys[] = { "name", "version", "command", "promise", NULL };
	return texts(o, p, keys);
}

static enum err a_row(const json_t *o, const struct place *p)
{
	static const char *const keys[] = { "name", "apart", NULL },
	                         *const figures[] = { "median", "min", "max", "ms", "cpu_ms", NULL };
	const json_t *ratio = json_object_get(o, "ratio");
	enum err e = texts(o, p, keys);
	if (!e)
		e = numbers(o, p, figures);
	if (!e && ratio)
		e = json_is_object(ratio) ? numbers(ratio, p, figures)
		                          : wrong(p, "ratio", "an object");
	if (!e)
		e = every(o, "values", RESULTS_VALUES_MAX, p, a_value);
	if (!e)
		e = every(o, "points", RESULTS_VALUES_MAX, p, a_point);
	return e ? e : every(o, "notes", RESULTS_FIGURES_MAX, p, a_text);
}

static enum err a_figure(const json_t *o, const struct place *p)
{
	static const char *const keys[] = { "id", "group", "title", "unit", "better", "query",
		"difference", NULL };
	enum err e = texts(o, p, keys);
	return e ? e : every(o, "servers", RESULTS_SERVERS_MAX, p, a_row);
}

static enum err check_all(const json_t *root, const struct place *p)
{
	static const char *const keys[] = { "command", "arguments", "started", NULL },
	                         *const figures[] = { "seconds", NULL };
	const json_t *machine = json_object_get(root, "machine");
	enum err e = texts(root, p, keys);
	if (!e)
		e = numbers(root, p, figures);
	if (!e && machine && !json_is_object(machine))
		e = wrong(p, "machine", "an object");
	if (!e)
		e = every(root, "servers", RESULTS_SERVERS_MAX, p, a_server);
	if (!e)
		e = every(root, "figures", RESULTS_FIGURES_MAX, p, a_figure);
	if (!e)
		e = every(root, "queries", RESULTS_FIGURES_MAX, p, a_figure);
	if (!e)
		e = every(root, "lines", RESULTS_FIGURES_MAX, p, a_figure);
	return e ? e : every(root, "problems", RESULTS_FIGURES_MAX, p, a_text);
}

enum err results_parse(
    const char *bytes, size_t len, const char *path, json_t **out, struct errbuf *eb)
{
	json_error_t why;
	struct place p = { .path = path, .eb = eb };
	json_t *root;
	enum err e;
	if ((*out = results_of_lines(bytes, len, path)) != NULL)
		return ERR_OK;
	root = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, &why);
	if (!root)
		return errbuf_set(eb, ERR_BADDATA, "%s: line %d, column %d: %s", path, why.line,
		    why.column, why.text);
	const json_t *version = json_object_get(root, "kymobench");
	if (!json_is_integer(version))
		e = errbuf_set(eb, ERR_BADDATA,
		    "%s: no results of kymobench: a \"kymobench\": 1 is wanted, or lines of \"kymobench write\" or \"soak\"",
		    path);
	else if (json_integer_value(version) != 1)
		e = errbuf_set(eb, ERR_BADDATA,
		    "%s: results of version %lld, this program reads version 1", path,
		    (long long)json_integer_value(version));
	else
		e = check_all(root, &p);
	if (e)
		json_decref(root);
	else
		*out = root;
	return e;
}

enum err results_load(const char *path, json_t **out, struct errbuf *eb)
{
	struct buf b;
	char piece[65536];
	size_t n;
	FILE *f = strcmp(path, "-") ? fopen(path, "r") : stdin;
	enum err e = ERR_OK;
	*out = NULL;
	if (!f)
		return errbuf_set(eb, ERR_IO, "%s: %s", path, strerror(errno));
	buf_init(&b);
	while (!e && (n = fread(piece, 1, sizeof(piece), f)) > 0) {
		buf_add(&b, piece, n);
		if (b.len > RESULTS_BYTES_MAX)
			e = errbuf_set(
			    eb, ERR_TOOBIG, "%s: more than %u bytes", path, RESULTS_BYTES_MAX);
	}
	if (!e && ferror(f))
		e = errbuf_set(eb, ERR_IO, "%s: %s", path, strerror(errno));
	if (f != stdin)
		fclose(f);
	if (!e)
		e = results_parse(b.len ? (const char *)b.data : "", b.len, path, out, eb);
	buf_release(&b);
	return e;
}
