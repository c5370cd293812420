#include "net/api/apidoc.h"

#include <string.h>

/* clang-format off */
static const struct {
	const char *name, *help;
} types[] = {
	[PARAM_TEXT]      = { "text", "any text" },
	[PARAM_PROMQL]    = { "PromQL", "an expression" },
	[PARAM_SELECTORS] = { "selectors", "a series selector, `up{job=\"a\"}`; may be repeated, several are or-ed" },
	[PARAM_TIME]      = { "time", "seconds since 1970 with a fraction, or RFC 3339 with its zone, `2026-01-31T12:00:00Z`; the `+` of `+01:00` is `%2B` in a URL" },
	[PARAM_DURATION]  = { "duration", "seconds with a fraction, or `1h30m`" },
	[PARAM_COUNT]     = { "count", "a whole number" },
	[PARAM_LABEL]     = { "label", "a label name; with other letters than `[A-Za-z0-9_]` percent-encoded, or as `U__...`" },
};
static const struct {
	unsigned status;
	const char *text;
} errors[] = {
	{ 400, "wrong: a parameter, the expression, the path or the body; a write that was stored in part only" },
	{ 401, "no identity, or not a known one" },
	{ 403, "the identity lacks the role, or the call is not enabled" },
	{ 404, "there is none of that name" },
	{ 405, "another method; `Allow` names those that may be used" },
	{ 413, "the body is over its limit" },
	{ 415, "the body has another type or encoding" },
	{ 422, "the expression cannot be evaluated, or met a limit, which is named" },
	{ 429, "over the rate that was agreed; `Retry-After` says when to come back" },
	{ 500, "a call that is not enabled (`errorType` unavailable), or an error of the server" },
	{ 503, "overloaded, out of time, starting or stopping; to repeat is right, after `Retry-After` where it stands" },
};
/* clang-format on */

const char *apidoc_type(enum param_type t)
{
	return types[t].name;
}

const char *apidoc_type_help(enum param_type t)
{
	return types[t].help;
}

const char *apidoc_role(enum role role)
{
	static const struct {
		enum role role;
		const char *name;
	} names[] = { { ROLE_WRITE, "write" }, { ROLE_READ, "read" }, { ROLE_RULES, "rules" },
		{ ROLE_ADMIN, "admin" } };
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (names[i].role == role)
			return names[i].name;
	return "";
}

unsigned apidoc_status(const char *text)
{
	unsigned n = 0;
	for (unsigned i = 0; i < 3; i++) {
		CHECK(text[i] >= '0' && text[i] <= '9');
		n = n * 10 + (unsigned)(text[i] - '0');
	}
	return n;
}

const char *apidoc_error(unsigned status)
{
	for (size_t i = 0; i < COUNT_OF(errors); i++)
		if (errors[i].status == status)
			return errors[i].text;
	return NULL;
}

/* Does every row of this kind refuse so? */
static bool usual_error(const struct route *row, unsigned status)
{
	if (row->flags & ROUTE_SPOKEN) /* the others are told in words of its own, behind a 200 */
		return status == 405;
	switch (status) {
	case 401:
	case 403:
		return row->role != ROLE_NONE;
	case 405:
		return true;
	case 413:
		return row->body_max != 0;
	case 503:
		return !(row->flags & ROUTE_UNGATED);
	default:
		return false;
	}
}

static bool own_error(const struct route *row, unsigned status)
{
	for (const char *s = row->doc->errors; *s; s += s[3] ? 4 : 3)
		if (apidoc_status(s) == status)
			return true;
	return false;
}

size_t apidoc_errors(const struct route *row, unsigned out[APIDOC_ERRORS_MAX])
{
	size_t count = 0;
	STATIC(COUNT_OF(errors) <= APIDOC_ERRORS_MAX);
	for (size_t i = 0; i < COUNT_OF(errors); i++)
		if (usual_error(row, errors[i].status) || own_error(row, errors[i].status))
			out[count++] = errors[i].status;
	return count;
}

bool apidoc_next(const struct route_table *t, const char *group, const struct route **row)
{
	size_t i = *row ? (size_t)(*row - t->rows) + 1 : 0;
	for (; i < t->count; i++)
		if (t->rows[i].doc && !strcmp(t->rows[i].doc->group, group)) {
			*row = &t->rows[i];
			return true;
		}
	return false;
}

/* Is this row the first of its group? */
static bool begins_group(const struct route_table *t, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (t->rows[i].doc && !strcmp(t->rows[i].doc->group, t->rows[at].doc->group))
			return false;
	return true;
}

const char *apidoc_group(const struct route_table *t, size_t n)
{
	for (size_t i = 0; i < t->count; i++)
		if (t->rows[i].doc && begins_group(t, i) && !n--)
			return t->rows[i].doc->group;
	return NULL;
}

/* --- the page --- */

/* Text of the table, in which `...` is code. */
static void put_text(struct buf *b, const char *s)
{
	bool code = false;
	for (; *s; s++) {
		switch (*s) {
		case '<':
			buf_add_str(b, "&lt;");
			break;
		case '&':
			buf_add_str(b, "&amp;");
			break;
		case '`':
			buf_add_str(b, code ? "</code>" : "<code>");
			code = !code;
			break;
		default:
			buf_add_u8(b, (uint8_t)*s);
		}
	}
}

static void put_params(struct buf *b, const struct route_param *p)
{
	if (!p->name)
		return;
	buf_add_str(b, "<table>\n");
	for (; p->name; p++) {
		buf_printf(b, "<tr><td><code>%s</code><td>%s%s<td>", p->name, apidoc_type(p->type),
		    p->required ? ", needed" : "");
		put_text(b, p->help);
		buf_add_str(b, "\n");
	}
	buf_add_str(b, "</table>\n");
}

static void put_row(struct buf *b, const struct route *row, const char *links)
{
	unsigned list[APIDOC_ERRORS_MAX];
	char methods[64];
	const char *role = apidoc_role(row->role);
	router_allow_text(row->methods, methods, sizeof methods);
	buf_printf(b, "<h3>%s <code>%s", methods, row->flags & ROUTE_ROOT ? "" : links);
	put_text(b, row->path);
	buf_add_str(b, "</code></h3>\n<p>");
	put_text(b, row->doc->what);
	buf_printf(b, " %s%s.\n", role[0] ? "Role: " : "Open to anybody", role);
	put_params(b, row->doc->params);
	buf_add_str(b, "<p>Answer: ");
	put_text(b, row->doc->answer);
	size_t n = apidoc_errors(row, list);
	for (size_t i = 0; i < n; i++)
		buf_printf(b, "%s<a href=\"#e%u\">%u</a>", i ? ", " : ". Errors: ", list[i], list[i]);
	buf_add_str(b, ".\n");
}

static void put_tables(struct buf *b)
{
	buf_add_str(b, "<h2>Types of parameters</h2>\n<table>\n");
	for (size_t i = 0; i < COUNT_OF(types); i++) {
		buf_printf(b, "<tr><td>%s<td>", types[i].name);
		put_text(b, types[i].help);
		buf_add_str(b, "\n");
	}
	buf_add_str(b, "</table>\n<h2>Errors</h2>\n<table>\n");
	for (size_t i = 0; i < COUNT_OF(errors); i++) {
		buf_printf(b, "<tr id=\"e%u\"><td>%u<td>", errors[i].status, errors[i].status);
		put_text(b, errors[i].text);
		buf_add_str(b, "\n");
	}
	buf_add_str(b, "</table>\n");
}

void apidoc_html(struct buf *b, const struct route_table *t, const char *links)
{
	buf_printf(b,
	    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
	    "<meta name=\"viewport\" content=\"width=device-width\">\n<title>Kymo: HTTP API</title>\n"
	    "<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
	    "td{vertical-align:top;padding:0 1rem .2rem 0}h3{margin:2rem 0 0}p,table{margin:.2rem 0}</style>\n"
	    "<h1>HTTP API</h1>\n"
	    "<p>Prometheus' HTTP API, and Remote Write. Parameters stand in the URL; a POST may have them in a form instead.\n"
	    "The same for programs: <a href=\"%s/api/v1/openapi.json\">OpenAPI 3.1</a>.\n",
	    links);
	const char *group;
	for (size_t n = 0; (group = apidoc_group(t, n)); n++) {
		buf_printf(b, "<h2>%s</h2>\n", group);
		for (const struct route *row = NULL; apidoc_next(t, group, &row);)
			put_row(b, row, links);
	}
	put_tables(b);
}
