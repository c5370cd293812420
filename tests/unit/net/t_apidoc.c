/*
 * The table of routes as documentation: every row says what it is, the OpenAPI document is JSON and
 * whole, and net/API.md is what the table says. "t_apidoc write" writes that page.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/api/api.h"
#include "net/api/apidoc.h"
#include "net/api/openapi.h"
#include "tests/lib/tap.h"

/* --- the page --- */

static void page_row(struct buf *b, const struct route *row)
{
	unsigned list[APIDOC_ERRORS_MAX];
	char methods[64];
	const char *role = apidoc_role(row->role);
	router_allow_text(row->methods, methods, sizeof methods);
	buf_printf(b, "### `%s %s`\n\n%s %s%s.\n\n", methods, row->path, row->doc->what,
	    role[0] ? "Role: " : "Open to anybody", role);
	const struct route_param *p = row->doc->params;
	if (p->name)
		buf_add_str(b, "| parameter | type | |\n| --- | --- | --- |\n");
	for (; p->name; p++)
		buf_printf(b, "| `%s` | %s%s | %s |\n", p->name, apidoc_type(p->type),
		    p->required ? ", needed" : "", p->help);
	buf_printf(b, "%sAnswer: %s. Errors:", row->doc->params->name ? "\n" : "", row->doc->answer);
	size_t n = apidoc_errors(row, list);
	for (size_t i = 0; i < n; i++)
		buf_printf(b, "%s %u", i ? "," : "", list[i]);
	buf_add_str(b, ".\n\n");
}

static void page(struct buf *b)
{
	const char *group;
	buf_add_str(b,
	    "# HTTP API\n\n"
	    "Made from `net/api/routes.c` by `t_apidoc write`; a test keeps it in step. A running server shows the same at `/api`, and for programs at `/api/v1/openapi.json`.\n\n"
	    "Parameters stand in the URL; a POST may have them in a form instead. Roles count once identities are set up.\n\n");
	for (size_t n = 0; (group = apidoc_group(&api_routes, n)); n++) {
		buf_printf(b, "## %s\n\n", group);
		for (const struct route *row = NULL; apidoc_next(&api_routes, group, &row);)
			page_row(b, row);
	}
	buf_add_str(b, "## Types of parameters\n\n| type | how it is written |\n| --- | --- |\n");
	for (unsigned t = PARAM_TEXT; t <= PARAM_LABEL; t++)
		buf_printf(b, "| %s | %s |\n", apidoc_type((enum param_type)t),
		    apidoc_type_help((enum param_type)t));
	buf_add_str(b, "\n## Errors\n\n| status | meaning |\n| --- | --- |\n");
	for (unsigned status = 400; status < 600; status++)
		if (apidoc_error(status))
			buf_printf(b, "| %u | %s |\n", status, apidoc_error(status));
}

static FILE *page_file(const char *mode)
{
	char path[4096];
	const char *src = getenv("KYMO_SRC");
	snprintf(path, sizeof path, "%s/%s", src ? src : ".", "net/API.md");
	FILE *f = fopen(path, mode);
	if (!f)
		perror(path);
	return f;
}

static int write_page(void)
{
	struct buf b;
	FILE *f = page_file("w");
	buf_init(&b);
	page(&b);
	bool ok = f && fwrite(b.data, 1, b.len, f) == b.len;
	if (f)
		ok &= !fclose(f);
	buf_release(&b);
	return ok ? 0 : 1;
}

static void page_in_step(void)
{
	static char there[1u << 20];
	struct buf b;
	FILE *f = page_file("r");
	size_t len = f ? fread(there, 1, sizeof there, f) : 0;
	if (f)
		fclose(f);
	buf_init(&b);
	page(&b);
	tap_ok(len == b.len && !memcmp(there, b.data, len),
	    "net/API.md is what the table says (else: t_apidoc write)");
	buf_release(&b);
}

/* --- rows --- */

static bool is_sentence(const char *s)
{
	size_t n = strlen(s);
	return n > 4 && n < 160 && s[n - 1] == '.' && s[0] >= 'A' && s[0] <= 'Z';
}

static bool params_fit(const struct route *row)
{
	const char *at = strchr(row->path, '<');
	bool in_path = !at;
	for (const struct route_param *p = row->doc->params; p->name; p++) {
		size_t n = strlen(p->help);
		if (!n || p->help[n - 1] == '.' || strchr(p->help, '|'))
			return false;
		in_path |= at && !strncmp(at + 1, p->name, strlen(p->name));
	}
	return in_path;
}

static void rows_are_told(void)
{
	size_t shown = 0;
	const char *group;
	for (size_t i = 0; i < api_routes.count; i++) {
		const struct route *row = &api_routes.rows[i];
		const struct route_doc *d = row->doc;
		unsigned list[APIDOC_ERRORS_MAX];
		bool ok = d && is_sentence(d->what) && strlen(d->answer) > 4 &&
		    apidoc_status(d->answer) / 100 == 2 && d->answer[3] == ' ' && params_fit(row);
		size_t n = ok ? apidoc_errors(row, list) : 0;
		for (const char *s = d ? d->errors : ""; *s; s += s[3] ? 4 : 3)
			ok &= apidoc_error(apidoc_status(s)) != NULL;
		tap_ok(ok && n, "%s says what it is", row->path);
	}
	for (size_t n = 0; (group = apidoc_group(&api_routes, n)); n++)
		for (const struct route *row = NULL; apidoc_next(&api_routes, group, &row);)
			shown++;
	tap_is_u64(shown, api_routes.count, "each stands in one part");
}

/* --- OpenAPI --- */

/* Every $ref below v leads somewhere. */
static bool refs_lead(const json_t *root, json_t *v)
{
	const char *key;
	json_t *item;
	size_t i;
	json_array_foreach(v, i, item) if (!refs_lead(root, item)) return false;
	json_object_foreach(v, key, item)
	{
		if (strcmp(key, "$ref") && !refs_lead(root, item))
			return false;
		if (strcmp(key, "$ref"))
			continue;
		char path[200], *save = NULL;
		const json_t *at = root;
		snprintf(path, sizeof path, "%s", json_string_value(item) + 2);
		for (char *part = strtok_r(path, "/", &save); part && at;
		     part = strtok_r(NULL, "/", &save))
			at = json_object_get(at, part);
		if (!at)
			return false;
	}
	return true;
}

/* Operations of all paths; their ids are different. */
static unsigned operations(const json_t *paths, bool *unique)
{
	json_t *ids = json_object(), *item, *op;
	const char *path, *method;
	unsigned n = 0;
	*unique = true;
	json_object_foreach((json_t *)(uintptr_t)paths, path, item)
	    json_object_foreach(item, method, op)
	{
		if (!strcmp(method, "servers"))
			continue;
		const char *id = json_string_value(json_object_get(op, "operationId"));
		*unique &= id && !json_object_get(ids, id);
		if (id)
			json_object_set_new(ids, id, json_true());
		n += json_object_get(op, "responses") && json_object_get(op, "summary");
	}
	json_decref(ids);
	return n;
}

static unsigned bits(unsigned n)
{
	return n ? (n & 1) + bits(n >> 1) : 0;
}

static void openapi(void)
{
	struct buf b;
	json_error_t error;
	unsigned methods = 0;
	bool unique;
	buf_init(&b);
	openapi_json(&b, &api_routes, "/kymo", "1.2.3");
	json_t *root = json_loadb((const char *)b.data, b.len, JSON_REJECT_DUPLICATES, &error);
	tap_ok(root != NULL, "the OpenAPI document is JSON: %s", root ? "" : error.text);
	const json_t *paths = json_object_get(root, "paths");
	for (size_t i = 0; i < api_routes.count; i++)
		methods += bits(api_routes.rows[i].methods);
	tap_is_str(json_string_value(json_object_get(root, "openapi")), "3.1.0", "of OpenAPI 3.1");
	tap_is_u64(operations(paths, &unique), methods, "with all operations");
	tap_ok(unique, "each with its own id");
	tap_ok(root && refs_lead(root, root), "each reference leads somewhere");
	const json_t *query = json_object_get(json_object_get(paths, "/api/v1/query"), "get");
	tap_is_u64(
	    json_array_size(json_object_get(query, "parameters")), 8, "a query has parameters");
	const json_t *values = json_object_get(paths, "/api/v1/label/{name}/values");
	const json_t *name =
	    json_array_get(json_object_get(json_object_get(values, "get"), "parameters"), 0);
	tap_is_str(json_string_value(json_object_get(name, "in")), "path", "<name> is in the path");
	json_decref(root);
	buf_release(&b);
}

static void synthetic(void)
{
	static const struct route_param none[] = { { .name = NULL } };
	static const struct route_doc d = { "A & <b>", "Tells `code` & <more>.", "200 it", "422",
		none };
	static const struct route rows[] = { { .methods = REQ_GET, .path = "/ui/*", .doc = &d },
		{ .methods = REQ_PUT, .path = "/ui/*", .doc = &d, .body_max = 5, .role = ROLE_RULES },
		{ .methods = REQ_GET, .path = "/quiet" },
		{ .methods = REQ_POST,
		    .path = "/call",
		    .flags = ROUTE_ROOT | ROUTE_SPOKEN,
		    .role = ROLE_READ,
		    .doc = &d } };
	static const struct route_table t = { .rows = rows, .count = COUNT_OF(rows) };
	struct buf b;
	json_error_t error;
	unsigned list[APIDOC_ERRORS_MAX];
	buf_init(&b);
	openapi_json(&b, &t, "", "1");
	json_t *root = json_loadb((const char *)b.data, b.len, JSON_REJECT_DUPLICATES, &error);
	const json_t *item = json_object_get(json_object_get(root, "paths"), "/ui/{rest}");
	tap_ok(json_object_size(item) == 2 && !json_object_get(root, "servers"),
	    "rows of one path are one item; what has no doc is not told");
	json_decref(root);
	buf_clear(&b);
	openapi_json(&b, &t, "/x", "1");
	root = json_loadb((const char *)b.data, b.len, JSON_REJECT_DUPLICATES, &error);
	item = json_object_get(json_object_get(root, "paths"), "/call");
	tap_ok(json_object_get(item, "servers") && json_object_get(item, "post") &&
	        json_object_get(root, "servers"),
	    "what stays at the root says so");
	json_decref(root);
	buf_clear(&b);
	apidoc_html(&b, &t, "/x");
	const char *html = (const char *)b.data;
	buf_add_u8(&b, 0);
	html = (const char *)b.data;
	tap_ok(strstr(html, "<code>/x/ui/*</code>") && strstr(html, "<code>/call</code>") &&
	        strstr(html, "Tells <code>code</code> &amp; &lt;more>.") && !strstr(html, "quiet"),
	    "HTML has its characters escaped");
	buf_release(&b);
	tap_ok(apidoc_errors(&rows[1], list) == 6 && list[0] == 401 && list[5] == 503,
	    "errors that follow from the row are added");
	tap_ok(apidoc_errors(&rows[3], list) == 2 && list[0] == 405 && list[1] == 422,
	    "but not where they are told another way");
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "write"))
		return write_page();
	rows_are_told();
	page_in_step();
	openapi();
	synthetic();
	return tap_done();
}
