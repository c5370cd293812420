#include "net/http/router.h"

#include <stdio.h>
#include <string.h>

#include "core/base/bytes.h"
#include "core/base/near.h"
#include "proto/urlq.h"

#define ROUTE_NEAR_ROWS 128u

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* One character of raw, whose escapes are valid; a slash that was escaped is none. */
static bool next_char(const char **raw, char *c)
{
	const char *r = *raw;
	*c = *r;
	*raw = r + 1;
	if (*c != '%')
		return true;
	*c = (char)(bytes_hex((unsigned char)r[1]) * 16 + bytes_hex((unsigned char)r[2]));
	*raw = r + 3;
	return *c != '/';
}

/* Does raw (with valid escapes) match? What <name> took comes back raw. fold: letters of any
 * case. */
static bool match(const char *pattern, const char *raw, const char *end, bool fold,
    const char **param, size_t *param_len)
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
		char c;
		if (r == end || !next_char(&r, &c))
			return false;
		if (c != *p && !(fold && lower(c) == lower(*p)))
			return false;
		p++;
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
		if (!match(row->path, raw, raw + len, false, &param, &param_len))
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

/* --- paths that almost fit --- */

/* How many dots are all of this segment? */
static size_t dots(const char *s, const char *end)
{
	size_t n = 0;
	for (char c; s < end; n++)
		if (!next_char(&s, &c) || c != '.')
			return 0;
	return n;
}

/* raw without empty segments, "." and "..", and without a slash at its end. */
static const char *clean(struct arena *a, const char *raw, size_t len, size_t *out_len)
{
	char *out = arena_alloc(a, len + 2);
	size_t n = 0;
	for (const char *s = raw, *end = raw + len; s < end;) {
		const char *slash = memchr(s, '/', (size_t)(end - s));
		const char *stop = slash ? slash : end;
		size_t d = dots(s, stop);
		if (d == 2) {
			while (n && out[--n] != '/')
				;
		} else if (stop > s && d != 1) {
			out[n++] = '/';
			memcpy(out + n, s, (size_t)(stop - s));
			n += (size_t)(stop - s);
		}
		s = slash ? slash + 1 : end;
	}
	if (!n)
		out[n++] = '/';
	*out_len = n;
	return out;
}

/* The row's path with param in the place of its <name>. */
static const char *fill(struct arena *a, const char *pattern, const char *param, size_t len)
{
	const char *open = strchr(pattern, '<');
	if (!open)
		return pattern;
	return arena_printf(a, "%.*s%.*s%s", (int)(open - pattern), pattern, (int)len, param,
	    strchr(open, '>') + 1);
}

bool router_fix(const struct route_table *t, enum req_method method, const char *raw, size_t len,
    struct arena *a, const char **out)
{
	if (!len || *raw != '/')
		return false;
	size_t clean_len, param_len = 0;
	const char *path = clean(a, raw, len, &clean_len), *param;
	for (size_t i = 0; i < t->count; i++) {
		const struct route *row = &t->rows[i];
		if (!(row->methods & (unsigned)method) ||
		    !match(row->path, path, path + clean_len, true, &param, &param_len))
			continue;
		*out = fill(a, row->path, param, param_len);
		return true;
	}
	return false;
}

/* Where the last part of a path begins. */
static size_t tail_of(const char *path, size_t len)
{
	while (len && path[len - 1] != '/')
		len--;
	return len;
}

const char *router_near(const struct route_table *t, const char *path, size_t len)
{
	const char *paths[ROUTE_NEAR_ROWS];
	size_t count = 0, dir = tail_of(path, len);
	/* In the same folder the last parts are compared: what they share says nothing. */
	for (size_t i = 0; dir > 1 && i < t->count && count < ROUTE_NEAR_ROWS; i++) {
		const char *known = t->rows[i].path;
		if (tail_of(known, strlen(known)) == dir && !memcmp(known, path, dir))
			paths[count++] = known + dir;
	}
	const char *tail = count ? near_word(path + dir, len - dir, paths, count) : NULL;
	if (tail)
		return tail - dir;
	bool in = count > 0;
	count = 0;
	for (size_t i = 0; i < t->count && count < ROUTE_NEAR_ROWS; i++) {
		const char *known = t->rows[i].path;
		if (known[1] &&
		    !(in && tail_of(known, strlen(known)) == dir && !memcmp(known, path, dir)))
			paths[count++] = known;
	}
	return near_word(path, len, paths, count);
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
