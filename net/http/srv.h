/*
 * srv - the HTTP server of a process: listening sockets on every loop, one port for HTTP/1.1 and
 * HTTP/2 with prior knowledge, a route table, and the end of it all.
 *
 *   srv_create (open the addresses) > srv_serve > ... > srv_stop_accepting > srv_drain >
 *   srv_connections() until 0 or patience ends > srv_close_all > team_stop > srv_free
 *
 * Thread: all calls from the main thread (they go to the loops by team_run_on), while the team
 * runs; srv_free after team_stop or after srv_close_all.
 */
#ifndef NET_HTTP_SRV_H
#define NET_HTTP_SRV_H

#include "core/rt/team.h"
#include "net/conn/listen.h"
#include "net/http/router.h"

struct srv;
struct srv_field {
	const char *name, *value; /* name in lower case */
};
#define SRV_FIELDS_MAX 8u
struct srv_opts {
	struct team *team;
	/*
	 * "0.0.0.0:9470", "[::]:9470", "localhost:0" (port 0: any, the same on all loops).
	 * Borrowed until srv_create returns.
	 */
	const struct listen_conf *listeners;
	size_t listener_count;
	/* Behind these stand others, named by X-Forwarded-For or Forwarded. Borrowed likewise. */
	const struct cidr_set *trusted_proxies;
	struct route_table routes; /* borrowed until srv_free */
	/*
	 * What stands before every path of routes: "/kymo"; NULL or "" = nothing. A path that is
	 * not under it is 404; "/" leads to it.
	 */
	const char *prefix;
	/*
	 * What stands before a path in links and in Location: what clients see, which a proxy may
	 * change on the way to us. NULL = prefix.
	 */
	const char *links;
	void *ctx; /* becomes req->ctx */
	/*
	 * Optional: asked for each matched request whose route is not ROUTE_UNGATED, before
	 * before_body. True to go on; false when it has answered (starting, stopping).
	 */
	bool (*gate)(struct req *r);
	/*
	 * Optional: asked for each matched request behind gate, before route->before_body and
	 * before its body is read (enum req_step, in req.h).
	 */
	enum req_step (*door)(struct req *r);
	/*
	 * Optional: asked for each matched request when its body is whole, before its handler. True
	 * to go on; false when it has answered, or will call req_go_on() later.
	 */
	bool (*prepare)(struct req *r);
	/*
	 * Optional, for routes with ROUTE_SPOKEN (gRPC): says in its own words what req_reply*()
	 * and req_refuse*() would have said, whoever called them. True: it has answered
	 * (req_reply_trailed). False: the answer goes out as it stands.
	 */
	bool (*speak)(struct req *r, int status, const char *text, size_t len);
	/*
	 * Optional: the route of a request whose path has no row (unknown methods of gRPC, which
	 * are neither 404 nor redirected). NULL: it has none.
	 */
	const struct route *(*unmatched)(struct req *r);
	/*
	 * Optional: what a 404 says of a path (behind prefix) that other servers have; *ours: the
	 * row that does it here, or NULL. NULL: nothing is known of it.
	 */
	const char *(*stranger)(const char *inside, size_t len, const char **ours);
	/*
	 * Optional: told of each request when it is over, its route and parts as they were, before
	 * on_done. For logs: answers nothing.
	 */
	void (*told)(struct req *r, const struct req_told *t);
	const char *cors_origin; /* NULL = any ("*") */
	/* Of every answer of a request; borrowed until srv_free. */
	const struct srv_field *fields;
	size_t field_count;
};
/* Opens the sockets; nothing is accepted yet. Errors name the address in eb. Reads files (TLS). */
MUST_CHECK enum err srv_create(const struct srv_opts *opts, struct srv **out, struct errbuf *eb);
void srv_serve(struct srv *s);
/*
 * New ways for the listeners of these addresses, from the next connection on; running connections
 * stay as they are. What is not among them stays as it was, what was not there before is left out
 * (*missing, its address; NULL: all were there). Reads files: not from a loop. On an error nothing
 * has changed.
 */
MUST_CHECK enum err srv_change(struct srv *s, const struct listen_conf *listeners, size_t count,
    const struct cidr_set *trusted_proxies, const char **missing, struct errbuf *eb);
/*
 * Are there files of TLS that have changed? Then they are read, and new connections get what is in
 * them. Not from a loop, one call at a time, also beside srv_change. On an error the
 * listener keeps what it has, the others go on.
 */
struct srv_renewal {
	unsigned changed; /* listeners with something new */
	int64_t ends_s;   /* when the first certificate in use ends, unix seconds; 0 = none */
};
MUST_CHECK enum err srv_renew(struct srv *s, struct srv_renewal *out, struct errbuf *eb);
/* "127.0.0.1:34567" of the i-th address as bound. */
const char *srv_address(const struct srv *s, size_t i);
void srv_stop_accepting(struct srv *s);
/*
 * Idle connections close; the others are told (Connection: close, GOAWAY) and close after what runs
 * on them.
 */
void srv_drain(struct srv *s);
size_t srv_connections(struct srv *s);
/*
 * Ends all connections at once: running requests are told by on_gone, and their handlers still own
 * them until they answer.
 */
void srv_close_all(struct srv *s);
/* Requests whose handlers have not answered yet. */
size_t srv_requests(struct srv *s);
void srv_free(struct srv *s);

#endif
