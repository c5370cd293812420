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
};
static const struct route_table table = { rows, COUNT_OF(rows) };

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
};
/* clang-format on */

static void redirects(struct arena *a)
{
	for (size_t i = 0; i < COUNT_OF(fixes); i++) {
		struct route_match m;
		const char *out = NULL;
		bool found =
		    router_fix(&table, fixes[i].method, fixes[i].raw, strlen(fixes[i].raw), a, &out);
		tap_is_str(found ? out : NULL, fixes[i].fixed, "redirected: %s", fixes[i].raw);
		tap_ok(!found ||
		        (out[0] == '/' && out[1] != '/' &&
		            router_match(&table, fixes[i].method, out, strlen(out), a, &m) ==
		                ROUTE_FOUND),
		    "to a path of this host that is there");
	}
}

int main(void)
{
	struct arena a;
	arena_init(&a, 4096);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct route_match m;
		enum route_found f = router_match(
		    &table, cases[i].method, cases[i].raw, strlen(cases[i].raw), &a, &m);
		bool ok = f == cases[i].found;
		if (f != ROUTE_BAD_PATH)
			ok &= (m.route ? (int)(m.route - rows) : -1) == cases[i].row &&
			    !strcmp(m.path, cases[i].path) && m.path_len == strlen(cases[i].path);
		if (f == ROUTE_FOUND)
			ok &= cases[i].param ? m.param && !strcmp(m.param, cases[i].param) : !m.param;
		tap_ok(ok, "%s (%d)", cases[i].raw, (int)cases[i].method);
	}
	struct route_match m;
	router_match(&table, REQ_POST, "/api/v1/label/x/values", 22, &a, &m);
	char text[64];
	router_allow_text(m.methods, text, sizeof text);
	tap_is_str(text, "GET, PUT", "Allow has the methods of all rows of a path");
	redirects(&a);
	tap_is_str(router_near(&table, "/api/v1/qeury", 13), "/api/v1/query", "a path that is near");
	tap_ok(!router_near(&table, "/index.html", 11) && !router_near(&table, "/x", 2) &&
	        !router_near(&table, "", 0),
	    "none is near");
	tap_ok(!router_near(&table, "/api/v1/nope", 12), "a folder that fits makes no path near");
	arena_release(&a);
	return tap_done();
}
