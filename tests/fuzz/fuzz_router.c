/*
 * router on any path, judged by a slow matcher: it decodes the path to segments first, and
 * compares those with the segments of each pattern. What is redirected must be there.
 * The first byte of an input chooses the method and whether there is a prefix.
 */
#include "core/base/arena.h"
#include "net/http/router.h"

#include <stdlib.h>
#include <string.h>

static void handler(struct req *r)
{
	(void)r;
}
#define ROW(m, p)                                                                                  \
 {                                                                                                 \
  .methods = m, .path = p, .handler = handler                                                      \
 }
static const struct route rows[] = { ROW(REQ_GET, "/"), ROW(REQ_GET | REQ_POST, "/api/v1/query"),
	ROW(REQ_GET, "/api/v1/label/<name>/values"), ROW(REQ_PUT, "/api/v1/label/<name>/values"),
	ROW(REQ_GET, "/api/v1/label/<name>"), ROW(REQ_POST, "/api/v1/label/x"), ROW(REQ_GET, "/a"),
	ROW(REQ_POST, "/a/b"), ROW(REQ_GET, "/a/*"), ROW(REQ_PUT, "/a/b/*"), ROW(REQ_GET, "/a/b/*"),
	ROW(REQ_GET, "/-/ready"), ROW(REQ_GET, "/A/c"),
	{ .methods = REQ_POST, .path = "/r.S/C", .handler = handler, .flags = ROUTE_ROOT } };
static const struct route_table table = { .rows = rows, .count = COUNT_OF(rows) };

#define SEGMENTS_MAX 300
struct path {
	size_t count;
	struct segment {
		char text[300];
		size_t len;
		bool slash; /* one was escaped in it */
	} s[SEGMENTS_MAX];
};

static int digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;
	return at ? (int)(at - digits) : -1;
}

/* 0: bad; "/a/b" has two segments. A path without a slash at its start has none that fits. */
static bool split(const char *raw, size_t len, struct path *out)
{
	out->count = 0;
	struct segment *s = NULL, outside = { .len = 0 };
	bool begins = len && raw[0] == '/';
	for (size_t i = 0; i < len; i++) {
		char c = raw[i];
		if (c == '/') {
			s = &out->s[out->count++];
			s->len = 0;
			s->slash = false;
			continue;
		}
		if (c == '%') {
			if (i + 2 >= len || digit(raw[i + 1]) < 0 || digit(raw[i + 2]) < 0)
				return false;
			c = (char)(digit(raw[i + 1]) * 16 + digit(raw[i + 2]));
			i += 2;
		}
		if (!c)
			return false;
		struct segment *at = s ? s : &outside;
		at->slash |= c == '/';
		at->text[at->len++] = c;
		outside.len = 0;
	}
	if (!begins)
		out->count = 0;
	return true;
}

static bool segment_is(const struct segment *s, const char *text, size_t len)
{
	return !s->slash && s->len == len && !memcmp(s->text, text, len);
}

/* What a prefix row would take: joined, and looked at again for dots and empty parts. */
static bool rest_of(const struct path *p, size_t from, char *out, size_t *len)
{
	*len = 0;
	for (size_t i = from; i < p->count; i++) {
		if (i > from)
			out[(*len)++] = '/';
		memcpy(out + *len, p->s[i].text, p->s[i].len);
		*len += p->s[i].len;
	}
	out[*len] = 0;
	for (char *at = out; *at;) {
		size_t n = strcspn(at, "/");
		if ((!n && at[n]) || (n == 1 && at[0] == '.') || (n == 2 && !memcmp(at, "..", 2)))
			return false;
		at += n + (at[n] == '/');
	}
	return true;
}

static bool slow_match(
    const char *pattern, const struct path *p, size_t from, char *param, size_t *param_len)
{
	size_t i = from;
	*param_len = SIZE_MAX;
	while (*pattern == '/') {
		size_t n = strcspn(++pattern, "/");
		if (n == 1 && *pattern == '*')
			return i < p->count && rest_of(p, i, param, param_len);
		if (i == p->count)
			return false;
		if (*pattern == '<') {
			if (!p->s[i].len)
				return false;
			memcpy(param, p->s[i].text, p->s[i].len);
			*param_len = p->s[i].len;
		} else if (!segment_is(&p->s[i], pattern, n)) {
			return false;
		}
		pattern += n;
		i++;
	}
	return i == p->count;
}

/* 0 literal, 1 with a name, 2 prefix */
static unsigned kind(const char *pattern)
{
	return strchr(pattern, '*') ? 2 : strchr(pattern, '<') ? 1 : 0;
}

struct verdict {
	enum route_found found;
	const struct route *route;
	unsigned methods;
	char param[4096];
	size_t param_len;
};

enum side {
	SIDE_ANY, /* no prefix */
	SIDE_ROOT,
	SIDE_INSIDE
};

static void judge(
    const struct path *p, size_t from, enum side side, unsigned method, struct verdict *v)
{
	v->found = ROUTE_NO_PATH;
	v->route = NULL;
	v->methods = 0;
	for (unsigned k = 0; k < 3; k++)
		for (size_t longest = k == 2 ? 300 : 1; longest; longest--)
			for (size_t i = 0; i < COUNT_OF(rows); i++) {
				bool root = rows[i].flags & ROUTE_ROOT;
				if (kind(rows[i].path) != k || (side == SIDE_ROOT && !root) ||
				    (side == SIDE_INSIDE && root) ||
				    (k == 2 && strlen(rows[i].path) != longest) ||
				    !slow_match(rows[i].path, p, from, v->param, &v->param_len))
					continue;
				v->methods |= rows[i].methods;
				if (rows[i].methods & method) {
					v->route = &rows[i];
					v->found = ROUTE_FOUND;
					return;
				}
				if (!v->route)
					v->route = &rows[i];
				v->found = ROUTE_NO_METHOD;
			}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct router *routers[2];
	static struct path p;
	static struct verdict v;
	static const enum req_method methods[] = { REQ_GET, REQ_POST, REQ_PUT, REQ_DELETE };
	if (!routers[0]) {
		routers[0] = router_create(&table, "");
		routers[1] = router_create(&table, "/k/y");
	}
	if (!size || size > 250)
		return 0;
	bool prefix = data[0] & 4;
	unsigned method = methods[data[0] & 3];
	const struct router *rt = routers[prefix];
	struct arena a;
	struct route_match m;
	char *raw = malloc(size);
	if (!raw)
		return 0;
	memcpy(raw, data + 1, size - 1);
	arena_init(&a, 4096);
	enum route_found f = router_match(rt, method, raw, size - 1, &a, &m);
	if (!split(raw, size - 1, &p)) {
		if (f != ROUTE_BAD_PATH)
			abort();
		goto end;
	}
	size_t from = 0;
	v.found = ROUTE_NO_PATH;
	v.route = NULL;
	if (prefix) {
		from = 2;
		bool in = p.count >= 2 && segment_is(&p.s[0], "k", 1) && segment_is(&p.s[1], "y", 1);
		if (!!m.inside != in)
			abort();
		if (in && p.count > 2)
			judge(&p, from, SIDE_INSIDE, method, &v);
		else if (!in && p.count)
			judge(&p, 0, SIDE_ROOT, method, &v);
	} else if (p.count) {
		judge(&p, from, SIDE_ANY, method, &v);
	}
	if (f != v.found || m.route != v.route)
		abort();
	if (f == ROUTE_NO_METHOD && m.methods != v.methods)
		abort();
	if (f == ROUTE_FOUND) {
		if (!m.param != (v.param_len == SIZE_MAX))
			abort();
		if (m.param && (m.param_len != v.param_len || memcmp(m.param, v.param, v.param_len)))
			abort();
	}
	const char *to;
	if (f == ROUTE_NO_PATH && router_fix(rt, method, raw, size - 1, &a, &to)) {
		if (to[0] != '/' || to[1] == '/')
			abort();
		const char *whole = arena_printf(&a, "%s%s", router_prefix(rt), to);
		if (router_match(rt, method, whole, strlen(whole), &a, &m) != ROUTE_FOUND)
			abort();
	}
	if (m.inside)
		(void)router_near(rt, m.inside, strlen(m.inside));
end:
	arena_release(&a);
	free(raw);
	return 0;
}
