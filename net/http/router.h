/*
 * router - finds the row of a path and method in a table somebody else owns (net/api/routes.c).
 *
 * A pattern is one of
 *   "/api/v1/query"               this path
 *   "/api/v1/label/<name>/values" <name> is one whole segment that is not empty
 *   "/ui/" and a star             what begins with "/ui/": the rest is the parameter, maybe empty
 * Paths are compared character by character after percent-decoding, but %2F never splits a segment.
 * A rest has no "." or "..", no empty segment but a last one, not even behind an escape, so a
 * handler may look it up as it is.
 * Literal rows are asked first, then those with <name> in the order of the table, then prefixes,
 * the longest first. Several rows may have the same path with different methods; the first that
 * fits path and method wins.
 * All paths of a table may lie under a prefix ("/kymo"), which the table does not know; those of
 * ROUTE_ROOT stay where they are.
 * Cost: a literal path is one hash and one comparison, whatever the size of the table.
 * Thread: a router is read only after router_create. Memory: some 32 bytes a row.
 */
#ifndef NET_HTTP_ROUTER_H
#define NET_HTTP_ROUTER_H

#include "core/base/metric.h"
#include "net/http/req.h"

enum route_flags {
	ROUTE_JSON = 1, /* refusals of net/http come in the JSON envelope; plain text otherwise */
	ROUTE_UNGATED = 2, /* srv_opts.gate is not asked (/-/healthy, walreplay, ...) */
	ROUTE_READY = 4,   /* speaks for all loops: the gate opens last (/-/ready) */
	/*
	 * The handler runs at the head, the body comes in pieces (req->on_body), whatever its size;
	 * prepare is not asked. HTTP/2 only: over HTTP/1.1 it is 505.
	 */
	ROUTE_STREAM = 8,
	/* What anybody answers for it (gates, limits, refusals) is said by srv_opts.speak. */
	ROUTE_SPOKEN = 16,
	/*
	 * Answers where administration does, as rows of ROLE_ADMIN do, when that has a listener of
	 * its own; rows of ROLE_NONE answer everywhere.
	 */
	ROUTE_ADMIN_SIDE = 32,
	/* A literal path that is never under the router's prefix: clients of gRPC know of none. */
	ROUTE_ROOT = 64,
	/*
	 * Who asks may also show it as InfluxDB's clients do: Authorization: Token, a token as the
	 * password of Basic, parameters u and p (net/gate). Every answer, whoever gives it, has the
	 * fields of the table.
	 */
	ROUTE_INFLUX = 128,
	/*
	 * The same of Datadog's: a token as DD-Api-Key, or as parameter api_key. Who is not known
	 * is told 403: agents repeat what is answered with 401 for ever.
	 */
	ROUTE_DATADOG = 256,
	/* Answers on every listener: its handler looks at req.apart and req.admin. */
	ROUTE_BOTH_SIDES = 512,
	/*
	 * Has something else for browsers: who prefers text/html (net/http/accept.h) and asks by
	 * GET or HEAD is answered by route_table.page, whatever role this row needs. Answers of
	 * both tell caches so (Vary).
	 */
	ROUTE_PAGED = 1024,
	ROUTE_WHO = 2048, /* wants req.who_reads */
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

struct route_doc; /* net/api/apidoc.h */

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
	const struct route_doc *doc; /* for people; NULL in tables that nobody reads */
};
#define ROUTE_SKIP_BODY_MAX (64u << 10)
#define ROUTE_BODY_WRITE    SIZE_MAX       /* limits.body-bytes */
#define ROUTE_BODY_FORM     (SIZE_MAX - 1) /* web.max-form-bytes */

struct route_table {
	const struct route *rows;
	size_t count;
	/*
	 * All rows answer below this folder, too ("/prometheus"): what a path has behind it is
	 * looked up where the path itself is no row's. NULL: there is none.
	 */
	const char *alias;
	const struct req_field *influx_fields; /* of ROUTE_INFLUX, up to one without a name */
	const struct route *page; /* of ROUTE_PAGED, itself one of them; NULL: there is none */
};

#define ROUTER_PREFIX_MAX 256u /* bytes of a prefix */

struct router;
/*
 * rows: borrowed until router_free. prefix: "" or "/some/where", plain text as
 * router_prefix_check() allows it; copied.
 */
struct router *router_create(const struct route_table *rows, const char *prefix);
void router_free(struct router *rt);
const char *router_prefix(const struct router *rt);
/*
 * May this be a prefix? "" is; else segments of letters, digits and "-._~", each behind a slash,
 * none of them "." or "..", no slash at the end, ROUTER_PREFIX_MAX bytes at most.
 */
bool router_prefix_check(const char *prefix);

enum route_found {
	ROUTE_FOUND,
	ROUTE_NO_PATH /* 404 */,
	ROUTE_NO_METHOD /* 405 */,
	ROUTE_BAD_PATH /* 400: bad percent sign, a NUL */
};
struct route_match {
	const struct route *route; /* ROUTE_FOUND; for ROUTE_NO_METHOD the first row of this path */
	unsigned methods;          /* for Allow, of ROUTE_NO_METHOD: of all rows of this path */
	const char *path;          /* decoded, in the arena, NUL-terminated */
	const char *inside;        /* path behind the prefix; NULL: it is not under it */
	const char *param;         /* of <name> or of a prefix row; NULL without one */
	size_t path_len, param_len;
};
/* raw: the path as it came, without the query. */
enum route_found router_match(const struct router *rt, enum req_method method, const char *raw,
    size_t len, struct arena *a, struct route_match *out);
/*
 * The path that was meant, when router_match says ROUTE_NO_PATH: without doubled slashes, "." and
 * "..", without a slash at its end, letters in the table's case (as httprouter's
 * RedirectTrailingSlash and RedirectFixedPath). True when a row of this method has it: *out is the
 * row's path, without the router's prefix; what <name> or a prefix row took stands in it as it
 * came. It always begins with one slash, so a redirect to it stays on this host.
 */
bool router_fix(const struct router *rt, enum req_method method, const char *raw, size_t len,
    struct arena *a, const char **out);
/*
 * The path of a row that looks like this one (without the router's prefix), for people who mistyped
 * it; NULL: none does.
 */
const char *router_near(const struct router *rt, const char *inside, size_t len);
/* "GET, POST" into out. */
void router_allow_text(unsigned methods, char *out, size_t size);

#endif
