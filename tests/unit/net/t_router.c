/* Paths and methods against a table. */
#include "net/http/router.h"
#include "tests/lib/tap.h"

static void h(struct req *r)
{
	(void)r;
}

static const struct route rows[] = {
	{ .methods = REQ_GET, .path = "/", .handler = h },
	{ .methods = REQ_GET | REQ_POST, .path = "/api/v1/query", .handler = h },
	{ .methods = REQ_GET, .path = "/api/v1/label/<name>/values", .handler = h },
	{ .methods = REQ_PUT, .path = "/api/v1/label/<name>/values", .handler = h },
	{ .methods = REQ_GET, .path = "/files/<file>", .handler = h },
	{ .methods = REQ_GET | REQ_HEAD, .path = "/-/ready", .handler = h },
	{ .methods = REQ_GET, .path = "/ui/*", .handler = h },
	{ .methods = REQ_GET, .path = "/ui/static/*", .handler = h },
	{ .methods = REQ_POST, .path = "/ui/*", .handler = h },
	{ .methods = REQ_PUT, .path = "/ui/save", .handler = h },
	{ .methods = REQ_POST, .path = "/svc.Name/Call", .handler = h, .flags = ROUTE_ROOT },
};
static const struct route_table table = { .rows = rows, .count = COUNT_OF(rows) };

/* clang-format off */
static const struct {
	enum req_method method;
	const char *raw;
	enum route_found found;
	int row; /* -1: none */
	const char *path, *param;
} cases[] = {
	{ REQ_GET, "/", ROUTE_FOUND, 0, "/", NULL },
	{ REQ_GET, "", ROUTE_NO_PATH, -1, "", NULL },
	{ REQ_GET, "//", ROUTE_NO_PATH, -1, "//", NULL },
	{ REQ_POST, "/api/v1/query", ROUTE_FOUND, 1, "/api/v1/query", NULL },
	{ REQ_GET, "/api/v1/quer", ROUTE_NO_PATH, -1, "/api/v1/quer", NULL },
	{ REQ_GET, "/api/v1/query/", ROUTE_NO_PATH, -1, "/api/v1/query/", NULL },
	{ REQ_GET, "/api/v1/queryx", ROUTE_NO_PATH, -1, "/api/v1/queryx", NULL },
	{ REQ_GET, "/API/v1/query", ROUTE_NO_PATH, -1, "/API/v1/query", NULL },
	{ REQ_GET, "/api/%761/query", ROUTE_FOUND, 1, "/api/v1/query", NULL },
	{ REQ_GET, "/api%2Fv1/query", ROUTE_NO_PATH, -1, "/api/v1/query", NULL },
	{ REQ_DELETE, "/api/v1/query", ROUTE_NO_METHOD, 1, "/api/v1/query", NULL },
	{ REQ_GET, "/api/v1/label/job/values", ROUTE_FOUND, 2, "/api/v1/label/job/values", "job" },
	{ REQ_PUT, "/api/v1/label/job/values", ROUTE_FOUND, 3, "/api/v1/label/job/values", "job" },
	{ REQ_GET, "/api/v1/label/a%2Fb/values", ROUTE_FOUND, 2, "/api/v1/label/a/b/values", "a/b" },
	{ REQ_GET, "/api/v1/label/a+%C3%A4/values", ROUTE_FOUND, 2, "/api/v1/label/a+\xc3\xa4/values", "a+\xc3\xa4" },
	{ REQ_GET, "/api/v1/label//values", ROUTE_NO_PATH, -1, "/api/v1/label//values", NULL },
	{ REQ_GET, "/api/v1/label/a/b/values", ROUTE_NO_PATH, -1, "/api/v1/label/a/b/values", NULL },
	{ REQ_GET, "/files/x", ROUTE_FOUND, 4, "/files/x", "x" },
	{ REQ_GET, "/files/", ROUTE_NO_PATH, -1, "/files/", NULL },
	{ REQ_GET, "/files/..", ROUTE_FOUND, 4, "/files/..", ".." },
	{ REQ_GET, "/files/%", ROUTE_BAD_PATH, -1, NULL, NULL },
	{ REQ_GET, "/files/%4", ROUTE_BAD_PATH, -1, NULL, NULL },
	{ REQ_GET, "/files/%4g", ROUTE_BAD_PATH, -1, NULL, NULL },
	{ REQ_GET, "/files/%00", ROUTE_BAD_PATH, -1, NULL, NULL },
	{ REQ_HEAD, "/-/ready", ROUTE_FOUND, 5, "/-/ready", NULL },
	{ REQ_HEAD, "/api/v1/query", ROUTE_NO_METHOD, 1, "/api/v1/query", NULL },
	{ REQ_GET, "/ui/", ROUTE_FOUND, 6, "/ui/", "" },
	{ REQ_GET, "/ui", ROUTE_NO_PATH, -1, "/ui", NULL },
	{ REQ_GET, "/ui/a/b.js", ROUTE_FOUND, 6, "/ui/a/b.js", "a/b.js" },
	{ REQ_GET, "/ui/a%20b/%C3%A4/", ROUTE_FOUND, 6, "/ui/a b/\xc3\xa4/", "a b/\xc3\xa4/" },
	{ REQ_GET, "/ui/static/x", ROUTE_FOUND, 7, "/ui/static/x", "x" },
	{ REQ_GET, "/ui/static/", ROUTE_FOUND, 7, "/ui/static/", "" },
	{ REQ_GET, "/ui/static", ROUTE_FOUND, 6, "/ui/static", "static" },
	{ REQ_GET, "/ui/stati%63/x", ROUTE_FOUND, 7, "/ui/static/x", "x" },
	{ REQ_POST, "/ui/static/x", ROUTE_FOUND, 8, "/ui/static/x", "static/x" },
	{ REQ_PUT, "/ui/save", ROUTE_FOUND, 9, "/ui/save", NULL },
	{ REQ_PUT, "/ui/other", ROUTE_NO_METHOD, 6, "/ui/other", NULL },
	{ REQ_GET, "/ui/save", ROUTE_FOUND, 6, "/ui/save", "save" },
	{ REQ_DELETE, "/ui/save", ROUTE_NO_METHOD, 9, "/ui/save", NULL },
	{ REQ_GET, "/ui/..", ROUTE_NO_PATH, -1, "/ui/..", NULL },
	{ REQ_GET, "/ui/a/../b", ROUTE_NO_PATH, -1, "/ui/a/../b", NULL },
	{ REQ_GET, "/ui/%2e%2E/b", ROUTE_NO_PATH, -1, "/ui/../b", NULL },
	{ REQ_GET, "/ui/a%2F..%2fb", ROUTE_NO_PATH, -1, "/ui/a/../b", NULL },
	{ REQ_GET, "/ui/a/.", ROUTE_NO_PATH, -1, "/ui/a/.", NULL },
	{ REQ_GET, "/ui//a", ROUTE_NO_PATH, -1, "/ui//a", NULL },
	{ REQ_GET, "/ui/%2Fetc", ROUTE_NO_PATH, -1, "/ui//etc", NULL },
	{ REQ_GET, "/ui/a/...", ROUTE_FOUND, 6, "/ui/a/...", "a/..." },
	{ REQ_GET, "/ui/..a", ROUTE_FOUND, 6, "/ui/..a", "..a" },
	{ REQ_GET, "/UI/a", ROUTE_NO_PATH, -1, "/UI/a", NULL },
	{ REQ_GET, "/ui/%00", ROUTE_BAD_PATH, -1, NULL, NULL },
	{ REQ_POST, "/svc.Name/Call", ROUTE_FOUND, 10, "/svc.Name/Call", NULL },
};
/* clang-format on */

/* What is redirected, and what is not. */
/* clang-format off */
static const struct {
	enum req_method method;
	const char *raw, *fixed; /* NULL: to nowhere */
} fixes[] = {
	{ REQ_GET, "/api/v1/query/", "/api/v1/query" },
	{ REQ_POST, "/api/v1/query/", "/api/v1/query" },
	{ REQ_GET, "//api/v1/query", "/api/v1/query" },
	{ REQ_GET, "/api//v1///query//", "/api/v1/query" },
	{ REQ_GET, "/api/./v1/x/../query", "/api/v1/query" },
	{ REQ_GET, "/api/%2e/v1/x/.%2E/query", "/api/v1/query" },
	{ REQ_GET, "/../../api/v1/query", "/api/v1/query" },
	{ REQ_GET, "/API/V1/Query", "/api/v1/query" },
	{ REQ_GET, "/api/v1/label/Job/values/", "/api/v1/label/Job/values" },
	{ REQ_GET, "/api/v1/label/a%2Fb//values", "/api/v1/label/a%2Fb/values" },
	{ REQ_GET, "/API/v1/label/%25/values", "/api/v1/label/%25/values" },
	{ REQ_HEAD, "/-/ready/", "/-/ready" },
	{ REQ_GET, "//", "/" },
	{ REQ_GET, "/.", "/" },
	{ REQ_GET, "//evil.com/..", "/" },
	{ REQ_GET, "//evil.com/%2e%2e", "/" },
	{ REQ_GET, "//evil.com/../api/v1/query", "/api/v1/query" },
	{ REQ_GET, "//evil.com", NULL },
	{ REQ_GET, "//evil.com/", NULL },
	{ REQ_GET, "//evil.com/%2f..", NULL },
	{ REQ_GET, "/%2fevil.com/..%2f", NULL },
	{ REQ_GET, "//evil.com/api/v1/query", NULL },
	{ REQ_GET, "http://evil.com/..", NULL },
	{ REQ_PUT, "/api/v1/query/", NULL },
	{ REQ_DELETE, "/-/ready/", NULL },
	{ REQ_GET, "/api/v1/quer/", NULL },
	{ REQ_GET, "/api%2Fv1/query/", NULL },
	{ REQ_GET, "/api/v1/label//values", NULL },
	{ REQ_GET, "/api/v1/label/../values", NULL },
	{ REQ_GET, "", NULL },
	{ REQ_OPTIONS, "*", NULL },
	{ REQ_GET, "/ui", "/ui/" },
	{ REQ_GET, "/UI", "/ui/" },
	{ REQ_GET, "/ui/a//B/", "/ui/a/B" },
	{ REQ_GET, "/UI/Static/X", "/ui/static/X" },
	{ REQ_GET, "//ui/a/../b", "/ui/b" },
	{ REQ_GET, "/ui/../ui/%2e%2e/files/x", "/files/x" },
	{ REQ_GET, "/ui//a%2F..%2Fb", NULL },
	{ REQ_PUT, "/UI/SAVE", "/ui/save" },
	{ REQ_PUT, "/UI/x/", NULL },
};
/* clang-format on */

static struct router *rt, *under;

/* clang-format off */
static const struct {
	const char *raw;
	enum route_found found;
	int row;
	const char *inside, *param;
} prefixed[] = {
	{ "/kymo/x/", ROUTE_FOUND, 0, "/", NULL },
	{ "/kymo/x", ROUTE_NO_PATH, -1, "", NULL },
	{ "/kymo/xapi/v1/query", ROUTE_NO_PATH, -1, NULL, NULL },
	{ "/kymo/x/api/v1/query", ROUTE_FOUND, 1, "/api/v1/query", NULL },
	{ "/k%79mo/x/api/%761/query", ROUTE_FOUND, 1, "/api/v1/query", NULL },
	{ "/kymo%2Fx/api/v1/query", ROUTE_NO_PATH, -1, NULL, NULL },
	{ "/kymo/x/ui/a/b", ROUTE_FOUND, 6, "/ui/a/b", "a/b" },
	{ "/kymo/x/files/f", ROUTE_FOUND, 4, "/files/f", "f" },
	{ "/api/v1/query", ROUTE_NO_PATH, -1, NULL, NULL },
	{ "/", ROUTE_NO_PATH, -1, NULL, NULL },
	{ "", ROUTE_NO_PATH, -1, NULL, NULL },
};
static const struct {
	const char *raw, *fixed;
} prefixed_fixes[] = {
	{ "/kymo/x", "/" },
	{ "/KYMO/X/API/v1/query/", "/api/v1/query" },
	{ "//kymo/y/../x//api/v1/query", "/api/v1/query" },
	{ "/kymo/x/../api/v1/query", NULL },
	{ "/api/v1/query/", NULL },
	{ "/kymo", NULL },
};
static const struct {
	const char *prefix;
	bool good;
} prefix_texts[] = { { "", true }, { "/a", true }, { "/a/b-c_d.e~1", true }, { "/a/...", true },
	{ "a", false }, { "/", false }, { "/a/", false }, { "//a", false }, { "/a//b", false },
	{ "/a/..", false }, { "/./a", false }, { "/a b", false }, { "/a%20", false },
	{ "/a?b", false }, { "/\xc3\xa4", false }, { "http://a", false } };
/* clang-format on */

static void prefixes(struct arena *a)
{
	for (size_t i = 0; i < COUNT_OF(prefixed); i++) {
		struct route_match m;
		enum route_found f =
		    router_match(under, REQ_GET, prefixed[i].raw, strlen(prefixed[i].raw), a, &m);
		bool ok = f == prefixed[i].found;
		ok &= f != ROUTE_FOUND || m.route - rows == prefixed[i].row;
		ok &= prefixed[i].inside ? m.inside && !strcmp(m.inside, prefixed[i].inside)
		                         : !m.inside;
		ok &= prefixed[i].param ? m.param && !strcmp(m.param, prefixed[i].param) : !m.param;
		tap_ok(ok, "under a prefix: %s (%d, %s)", prefixed[i].raw, (int)f,
		    m.inside ? m.inside : "outside");
	}
	struct route_match call;
	tap_ok(router_match(under, REQ_POST, "/svc%2eName/Call", 16, a, &call) == ROUTE_FOUND &&
	        call.route == &rows[10] && !call.inside,
	    "a row of the root is there");
	tap_ok(router_match(under, REQ_GET, "/svc.Name/Call", 14, a, &call) == ROUTE_NO_METHOD &&
	        call.methods == REQ_POST,
	    "with its methods");
	tap_ok(router_match(under, REQ_POST, "/kymo/x/svc.Name/Call", 21, a, &call) == ROUTE_NO_PATH,
	    "not under the prefix");
	tap_ok(!router_near(under, "/svc.Name/Cal", 13) && router_near(rt, "/svc.Name/Cal", 13),
	    "nor is it named to who looks there");
	for (size_t i = 0; i < COUNT_OF(prefixed_fixes); i++) {
		const char *raw = prefixed_fixes[i].raw, *out = NULL;
		bool found = router_fix(under, REQ_GET, raw, strlen(raw), a, &out);
		tap_is_str(found ? out : NULL, prefixed_fixes[i].fixed, "redirected: %s", raw);
	}
	for (size_t i = 0; i < COUNT_OF(prefix_texts); i++)
		tap_ok(router_prefix_check(prefix_texts[i].prefix) == prefix_texts[i].good,
		    "prefix \"%s\"", prefix_texts[i].prefix);
}

static void redirects(struct arena *a)
{
	for (size_t i = 0; i < COUNT_OF(fixes); i++) {
		struct route_match m;
		const char *out = NULL;
		bool found =
		    router_fix(rt, fixes[i].method, fixes[i].raw, strlen(fixes[i].raw), a, &out);
		tap_is_str(found ? out : NULL, fixes[i].fixed, "redirected: %s", fixes[i].raw);
		tap_ok(!found ||
		        (out[0] == '/' && out[1] != '/' &&
		            router_match(rt, fixes[i].method, out, strlen(out), a, &m) == ROUTE_FOUND),
		    "to a path of this host that is there");
	}
}

/* Rows answer below the alias, too, where the path itself is no row's. */
static void alias(struct arena *a, const char *prefix)
{
	static const struct {
		const char *path;
		enum route_found found;
		int row;
	} paths[] = { { "/other/api/v1/query", ROUTE_FOUND, 1 }, { "/api/v1/query", ROUTE_FOUND, 1 },
		{ "/other/api/v1/label/job/values", ROUTE_NO_METHOD, 2 },
		{ "/other", ROUTE_NO_PATH, -1 }, { "/otherapi/v1/query", ROUTE_NO_PATH, -1 },
		{ "/other/other/api/v1/query", ROUTE_NO_PATH, -1 },
		{ "/other/files/%", ROUTE_BAD_PATH, -1 } };
	struct route_table with = table;
	struct route_match m;
	char path[100];
	with.alias = "/other";
	struct router *r = router_create(&with, prefix);
	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		snprintf(path, sizeof(path), "%s%s", prefix, paths[i].path);
		enum route_found f = router_match(r, REQ_POST, path, strlen(path), a, &m);
		tap_ok(f == paths[i].found && (m.route ? (int)(m.route - rows) : -1) == paths[i].row,
		    "%s with an alias: %d", path, (int)f);
	}
	router_free(r);
}

int main(void)
{
	struct arena a;
	arena_init(&a, 4096);
	rt = router_create(&table, "");
	under = router_create(&table, "/kymo/x");
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct route_match m;
		enum route_found f =
		    router_match(rt, cases[i].method, cases[i].raw, strlen(cases[i].raw), &a, &m);
		bool ok = f == cases[i].found;
		if (f != ROUTE_BAD_PATH)
			ok &= (m.route ? (int)(m.route - rows) : -1) == cases[i].row &&
			    !strcmp(m.path, cases[i].path) && m.path_len == strlen(cases[i].path);
		if (f == ROUTE_FOUND)
			ok &= cases[i].param ? m.param && !strcmp(m.param, cases[i].param) : !m.param;
		tap_ok(ok, "%s (%d)", cases[i].raw, (int)cases[i].method);
	}
	struct route_match m;
	alias(&a, "");
	alias(&a, "/kymo/x");
	router_match(rt, REQ_POST, "/api/v1/label/x/values", 22, &a, &m);
	char text[64];
	router_allow_text(m.methods, text, sizeof text);
	tap_is_str(text, "GET, PUT", "Allow has the methods of all rows of a path");
	redirects(&a);
	tap_is_str(router_near(rt, "/api/v1/qeury", 13), "/api/v1/query", "a path that is near");
	tap_ok(!router_near(rt, "/index.html", 11) && !router_near(rt, "/x", 2) &&
	        !router_near(rt, "", 0),
	    "none is near");
	tap_ok(!router_near(rt, "/api/v1/nope", 12), "a folder that fits makes no path near");
	prefixes(&a);
	router_free(rt);
	router_free(under);
	arena_release(&a);
	return tap_done();
}
