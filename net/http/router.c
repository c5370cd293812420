#include "net/http/router.h"

#include <stdio.h>
#include <string.h>

#include "proto/urlq.h"

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Does raw (with valid escapes) match? What <name> took comes back raw. */
static bool match(
    const char *pattern, const char *raw, const char *end, const char **param, size_t *param_len)
{
	const char *r = raw;
	*param = NULL;
	for (const char *p = pattern; *p;) {
		if (*p == '<') {
			const char *segment = r;
			while (r < end && *r != '/')
				r++;
			if (r == segment)
				return false;
			*param = segment;
			*param_len = (size_t)(r - segment);
			while (*p++ != '>')
				;
			continue;
		}
		if (r == end)
			return false;
		char c = *r++;
		if (c == '%') {
			c = (char)(hex(r[0]) * 16 + hex(r[1]));
			r += 2;
			if (c == '/')
				return false;
		}
		if (c != *p++)
			return false;
	}
	return r == end;
}

/* Percent-decodes; plain text stays where it is, but gets its NUL. */
static bool decode(struct arena *a, const char *raw, size_t len, const char **out, size_t *out_len)
{
	if (!memchr(raw, '%', len)) {
		*out = arena_strndup(a, raw, len);
		*out_len = len;
		return true;
	}
	return !urlq_path_segment(a, raw, len, out, out_len, NULL) && !memchr(*out, 0, *out_len);
}

enum route_found router_match(const struct route_table *t, enum req_method method, const char *raw,
    size_t len, struct arena *a, struct route_match *out)
{
	*out = (struct route_match){ .route = NULL };
	if (!decode(a, raw, len, &out->path, &out->path_len))
		return ROUTE_BAD_PATH;
	const char *param;
	size_t param_len = 0;
	for (size_t i = 0; i < t->count; i++) {
		const struct route *row = &t->rows[i];
		if (!match(row->path, raw, raw + len, &param, &param_len))
			continue;
		out->methods |= row->methods;
		if (!(row->methods & (unsigned)method)) {
			if (!out->route)
				out->route = row;
			continue;
		}
		out->route = row;
		if (param && !decode(a, param, param_len, &out->param, &out->param_len))
			return ROUTE_BAD_PATH;
		return ROUTE_FOUND;
	}
	return out->route ? ROUTE_NO_METHOD : ROUTE_NO_PATH;
}

void router_allow_text(unsigned methods, char *out, size_t size)
{
	static const struct {
		enum req_method bit;
		const char *name;
	} names[] = { { REQ_GET, "GET" }, { REQ_HEAD, "HEAD" }, { REQ_POST, "POST" },
		{ REQ_PUT, "PUT" }, { REQ_DELETE, "DELETE" }, { REQ_OPTIONS, "OPTIONS" } };
	size_t at = 0;
	out[0] = 0;
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		if (!(methods & (unsigned)names[i].bit))
			continue;
		int n = snprintf(out + at, size - at, "%s%s", at ? ", " : "", names[i].name);
		CHECK(n > 0 && (size_t)n < size - at);
		at += (size_t)n;
	}
}
