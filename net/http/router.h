/*
 * router - finds the row of a path and method in a table somebody else owns (net/api/routes.c).
 *
 * A pattern is literal text with at most one <name>, which matches one whole segment that is not
 * empty ("/api/v1/label/<name>/values"). Paths are compared segment by segment after
 * percent-decoding, so %2F never splits a segment.
 * Several rows may have the same path with different methods; the first that fits wins.
 * Pure: no thread, no state.
 */
#ifndef NET_HTTP_ROUTER_H
#define NET_HTTP_ROUTER_H

#include "core/base/metric.h"
#include "net/http/req.h"

enum route_flags {
	ROUTE_JSON = 1, /* refusals of net/http come in the JSON envelope; plain text otherwise */
	ROUTE_UNGATED = 2, /* srv_opts.gate is not asked (/-/healthy, walreplay, ...) */
	ROUTE_READY = 4,   /* speaks for all loops: the gate opens last (/-/ready) */
};

/* What an identity may do; a bit each (net/gate). */
enum role {
	ROLE_NONE = 0, /* of a route: anybody may ask, without an identity */
	ROLE_WRITE = 1,
	ROLE_READ = 2,
	ROLE_RULES = 4,
	ROLE_ADMIN = 8,
	ROLES_ALL = 15
};

struct route {
	/* REQ_GET | ... ; REQ_HEAD only where it is meant. OPTIONS is answered by net/http: 204 */
	unsigned methods;
	const char *path;
	void (*handler)(struct req *r);
	unsigned flags;
	/*
	 * more is 413; 0: a body is not wanted, up to ROUTE_SKIP_BODY_MAX are read and dropped
	 * (req->body is NULL). ROUTE_BODY_WRITE, ROUTE_BODY_FORM: what the limits say.
	 */
	size_t body_max;
	/*
	 * Optional; head known, body not yet read (nor "100 Continue" sent). Returns true to go on,
	 * or answers and returns false.
	 */
	bool (*before_body)(struct req *r);
	enum metric_id took; /* histogram of its requests' times; 0 = M_HTTP_SECONDS_OTHER */
	enum role role;      /* who asks needs it, once identities are set up */
};
#define ROUTE_SKIP_BODY_MAX (64u << 10)
#define ROUTE_BODY_WRITE    SIZE_MAX       /* limits.body-bytes */
#define ROUTE_BODY_FORM     (SIZE_MAX - 1) /* web.max-form-bytes */

struct route_table {
	const struct route *rows;
	size_t count;
};

enum route_found {
	ROUTE_FOUND,
	ROUTE_NO_PATH /* 404 */,
	ROUTE_NO_METHOD /* 405 */,
	ROUTE_BAD_PATH /* 400: bad percent sign, %00 */
};
struct route_match {
	const struct route *route; /* ROUTE_FOUND; for ROUTE_NO_METHOD the first row of this path */
	unsigned methods;          /* of all rows of this path, for Allow */
	const char *path;          /* decoded, in the arena, NUL-terminated */
	const char *param;         /* NULL without one */
	size_t path_len, param_len;
};
/* raw: the path as it came, without the query. */
enum route_found router_match(const struct route_table *t, enum req_method method, const char *raw,
    size_t len, struct arena *a, struct route_match *out);
/*
 * The path that was meant, when router_match says ROUTE_NO_PATH: without doubled slashes, "." and
 * "..", without a slash at its end, letters in the table's case (as httprouter's
 * RedirectTrailingSlash and RedirectFixedPath). True when a row of this method has it: *out is the
 * row's path, what <name> took stands in it as it came. It always begins with one slash, so a
 * redirect to it stays on this host.
 */
bool router_fix(const struct route_table *t, enum req_method method, const char *raw, size_t len,
    struct arena *a, const char **out);
/* The path of a row that looks like this one, for people who mistyped it; NULL: none does. */
const char *router_near(const struct route_table *t, const char *path, size_t len);
/* "GET, POST" into out. */
void router_allow_text(unsigned methods, char *out, size_t size);

#endif
