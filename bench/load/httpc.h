/*
 * httpc - a small blocking HTTP/1.1 client on one kept connection, for load on loopback; over TLS
 * as bench/load/access says, whose fields each request carries. Thread: one per client.
 */
#ifndef BENCH_LOAD_HTTPC_H
#define BENCH_LOAD_HTTPC_H

#include "core/base/buf.h"
#include "core/base/err.h"

struct httpc_url { /* http://host:port/prefix, or https:// */
	bool tls;
	char host[256], port[8], prefix[512];
};
MUST_CHECK enum err httpc_url_parse(const char *url, struct httpc_url *out, struct errbuf *eb);
/*
 * A server is named by its base or by any path of its API, which is the same here: what begins with
 * "/api" is cut off the prefix. api: what was cut, "" for a base; at most HTTPC_API_MAX.
 */
#define HTTPC_API_MAX 512
void httpc_url_base(struct httpc_url *u, char api[HTTPC_API_MAX]);

struct httpc {
	struct httpc_url url;
	int fd;             /* -1 = not connected */
	struct ssl_st *ssl; /* over it, for https */
	bool h2; /* set before the first use: TLS asks for HTTP/2, which others speak over it */
	/* Set before the first use: waiting ends with ETIMEDOUT then (real monotonic; 0: never), */
	uint64_t until_ns;
	bool (*stop)(void); /* or soon after this says so (NULL: never does) */
	uint64_t repeats;   /* exchanges that were begun anew on a new connection */
	struct buf in;
};
void httpc_init(struct httpc *c, const struct httpc_url *url);
void httpc_release(struct httpc *c);
/*
 * One exchange; reconnects once when the kept connection was closed. body of the answer is in c->in
 * from *body_off. Returns the status, or -1 with errno set.
 */
int httpc_do(struct httpc *c, const char *method, const char *path, const char *headers,
    const void *body, size_t len, size_t *body_off);
/* A field of the last answer's head, up to the end of its line; NULL: it has none. */
const char *httpc_field(const struct httpc *c, const char *name);
/* For others who speak on the connection: false, with errno, when there is none. */
bool httpc_connect(struct httpc *c);
bool httpc_speaks_h2(const struct httpc *c); /* ALPN said so */
void httpc_close(struct httpc *c);

#endif
