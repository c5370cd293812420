#include "net/api/openapi.h"

#include <string.h>

#include "core/base/json.h"
#include "net/api/apidoc.h"

static void text(struct buf *b, const char *before, const char *s)
{
	buf_add_str(b, before);
	json_str_raw(b, s, strlen(s));
}

/* "/label/<name>/values" is "/label/{name}/values", what a star stands for is {rest}. */
static void put_path(struct buf *b, const char *path)
{
	buf_add_u8(b, '"');
	for (; *path; path++) {
		if (*path == '*')
			buf_add_str(b, "{rest}");
		else
			buf_add_u8(b, *path == '<' ? '{' : *path == '>' ? '}' : (uint8_t)*path);
	}
	buf_add_u8(b, '"');
}

/* Is it the <name> of the path? */
static bool in_path(const struct route *row, const char *name)
{
	const char *at = strchr(row->path, '<');
	size_t n = strlen(name);
	return at && !strncmp(at + 1, name, n) && at[1 + n] == '>';
}

static void put_schema(struct buf *b, enum param_type t)
{
	switch (t) {
	case PARAM_SELECTORS:
		buf_add_str(b, "{\"type\":\"array\",\"items\":{\"type\":\"string\"}");
		break;
	case PARAM_COUNT:
		buf_add_str(b, "{\"type\":\"integer\"");
		break;
	case PARAM_TEXT:
	case PARAM_PROMQL:
	case PARAM_TIME:
	case PARAM_DURATION:
	case PARAM_LABEL:
		buf_add_str(b, "{\"type\":\"string\"");
		break;
	}
	text(b, ",\"description\":", apidoc_type_help(t));
	buf_add_str(b, "}");
}

/* Of a GET all, of a POST those of the path only. */
static void put_params(struct buf *b, const struct route *row, bool form)
{
	bool any = false;
	buf_add_str(b, ",\"parameters\":[");
	for (const struct route_param *p = row->doc->params; p->name; p++) {
		bool path = in_path(row, p->name);
		if (form && !path)
			continue;
		text(b, any ? ",{\"name\":" : "{\"name\":", p->name);
		buf_printf(b, ",\"in\":\"%s\"", path ? "path" : "query");
		text(b, ",\"description\":", p->help);
		buf_printf(b, ",\"required\":%s", p->required || path ? "true" : "false");
		if (p->type == PARAM_SELECTORS)
			buf_add_str(b, ",\"style\":\"form\",\"explode\":true");
		buf_add_str(b, ",\"schema\":");
		put_schema(b, p->type);
		buf_add_str(b, "}");
		any = true;
	}
	if (strchr(row->path, '*'))
		buf_printf(b,
		    "%s{\"name\":\"rest\",\"in\":\"path\",\"required\":true,\"schema\":{\"type\":\"string\"}}",
		    any ? "," : "");
	buf_add_str(b, "]");
}

static void put_form(struct buf *b, const struct route *row)
{
	const struct route_param *params = row->doc->params;
	buf_add_str(b,
	    ",\"requestBody\":{\"content\":{\"application/x-www-form-urlencoded\":{\"schema\":{\"type\":\"object\",\"properties\":{");
	for (const struct route_param *p = params; p->name; p++) {
		text(b, p == params ? "" : ",", p->name);
		buf_add_str(b, ":");
		put_schema(b, p->type);
	}
	bool any = false;
	for (const struct route_param *p = params; p->name; p++)
		if (p->required) {
			text(b, any ? "," : "},\"required\":[", p->name);
			any = true;
		}
	buf_add_str(b, any ? "]}}}}" : "}}}}}");
}

static void put_body(struct buf *b, const struct route *row, bool form)
{
	if (form)
		put_form(b, row);
	else if (row->body_max == ROUTE_BODY_WRITE)
		buf_add_str(b,
		    ",\"requestBody\":{\"required\":true,\"content\":{\"application/x-protobuf\":{\"schema\":{\"type\":\"string\",\"contentMediaType\":\"application/x-protobuf\"}}}}");
}

static void put_answers(struct buf *b, const struct route *row)
{
	unsigned list[APIDOC_ERRORS_MAX], status = apidoc_status(row->doc->answer);
	size_t n = apidoc_errors(row, list);
	bool json = row->flags & ROUTE_JSON;
	buf_printf(b, ",\"responses\":{\"%u\":{", status);
	text(b, "\"description\":", row->doc->answer + 4);
	if (status == 200 && json)
		buf_add_str(b,
		    ",\"content\":{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/answer\"}}}");
	buf_add_str(b, "}");
	for (size_t i = 0; i < n; i++)
		buf_printf(b, ",\"%u\":{\"$ref\":\"#/components/responses/%s%u\"}", list[i],
		    json && list[i] != 405 ? "json" : "text", list[i]);
	buf_add_str(b, "}");
}

/* "getApiV1Query" */
static void put_id(struct buf *b, const char *method, const char *path)
{
	bool up = true;
	buf_printf(b, ",\"operationId\":\"%s", method);
	if (!path[1])
		buf_add_str(b, "Root");
	for (; *path; path++) {
		bool letter = (*path >= 'a' && *path <= 'z') || (*path >= '0' && *path <= '9');
		if (letter)
			buf_add_u8(b, (uint8_t)(up && *path >= 'a' ? *path - 32 : *path));
		up = !letter;
	}
	buf_add_str(b, "\"");
}

static void put_operation(
    struct buf *b, const struct route *row, enum req_method bit, const char *method)
{
	bool form = bit == REQ_POST && row->body_max == ROUTE_BODY_FORM;
	const char *role = apidoc_role(row->role);
	buf_printf(b, "\"%s\":{", method);
	text(b, "\"summary\":", row->doc->what);
	text(b, ",\"tags\":[", row->doc->group);
	buf_add_str(b, "]");
	put_id(b, method, row->path);
	if (role[0])
		buf_printf(b, ",\"x-kymo-role\":\"%s\"", role);
	else
		buf_add_str(b, ",\"security\":[]");
	put_params(b, row, form);
	put_body(b, row, form);
	put_answers(b, row);
	buf_add_str(b, "}");
}

static void put_operations(struct buf *b, const struct route *row, bool *any)
{
	static const struct {
		enum req_method bit;
		const char *name;
	} methods[] = { { REQ_GET, "get" }, { REQ_HEAD, "head" }, { REQ_POST, "post" },
		{ REQ_PUT, "put" }, { REQ_DELETE, "delete" } };
	for (size_t i = 0; i < COUNT_OF(methods); i++) {
		if (!(row->methods & (unsigned)methods[i].bit))
			continue;
		buf_add_str(b, *any ? "," : "");
		put_operation(b, row, methods[i].bit, methods[i].name);
		*any = true;
	}
}

static const struct route *first_of_path(const struct route_table *t, const struct route *row)
{
	for (const struct route *r = t->rows; r < row; r++)
		if (r->doc && !strcmp(r->path, row->path))
			return r;
	return row;
}

/* A path, with the operations of all its rows. */
static void put_item(
    struct buf *b, const struct route_table *t, const struct route *row, const char *links)
{
	bool any = links[0] && (row->flags & ROUTE_ROOT);
	put_path(b, row->path);
	buf_add_str(b, any ? ":{\"servers\":[{\"url\":\"/\"}]" : ":{");
	for (const struct route *r = row; r < t->rows + t->count; r++)
		if (r->doc && !strcmp(r->path, row->path))
			put_operations(b, r, &any);
	buf_add_str(b, "}");
}

static void put_components(struct buf *b)
{
	buf_add_str(b,
	    ",\"security\":[{},{\"bearer\":[]},{\"basic\":[]},{\"certificate\":[]}],\"components\":{\"securitySchemes\":{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\"},\"basic\":{\"type\":\"http\",\"scheme\":\"basic\"},\"certificate\":{\"type\":\"mutualTLS\"}},"
	    "\"schemas\":{\"answer\":{\"type\":\"object\",\"required\":[\"status\"],\"properties\":{\"status\":{\"const\":\"success\"},\"data\":{},\"warnings\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},\"infos\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}},"
	    "\"error\":{\"type\":\"object\",\"required\":[\"status\",\"errorType\",\"error\"],\"properties\":{\"status\":{\"const\":\"error\"},\"errorType\":{\"type\":\"string\"},\"error\":{\"type\":\"string\"}}}},\"responses\":{");
	bool any = false;
	for (unsigned status = 400; status < 600; status++) {
		const char *what = apidoc_error(status);
		if (!what)
			continue;
		buf_printf(b, "%s\"json%u\":{", any ? "," : "", status);
		text(b, "\"description\":", what);
		buf_add_str(b,
		    ",\"content\":{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/error\"}}}},");
		buf_printf(b, "\"text%u\":{", status);
		text(b, "\"description\":", what);
		buf_add_str(b, ",\"content\":{\"text/plain\":{\"schema\":{\"type\":\"string\"}}}}");
		any = true;
	}
	buf_add_str(b, "}}");
}

void openapi_json(struct buf *b, const struct route_table *t, const char *links, const char *version)
{
	text(b, "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Kymo\",\"version\":", version);
	buf_add_str(b, ",\"description\":\"Prometheus' HTTP API, and Remote Write.\"}");
	if (links[0]) {
		text(b, ",\"servers\":[{\"url\":", links);
		buf_add_str(b, "}]");
	}
	buf_add_str(b, ",\"tags\":[");
	const char *group;
	for (size_t n = 0; (group = apidoc_group(t, n)); n++) {
		text(b, n ? ",{\"name\":" : "{\"name\":", group);
		buf_add_str(b, "}");
	}
	buf_add_str(b, "],\"paths\":{");
	bool any = false;
	for (size_t n = 0; (group = apidoc_group(t, n)); n++)
		for (const struct route *row = NULL; apidoc_next(t, group, &row);) {
			if (first_of_path(t, row) != row)
				continue;
			buf_add_str(b, any ? "," : "");
			put_item(b, t, row, links);
			any = true;
		}
	buf_add_str(b, "}");
	put_components(b);
	buf_add_str(b, "}\n");
}
