/* srv_priv - the share of one loop in the server. Thread: that loop. */
#ifndef NET_HTTP_SRV_PRIV_H
#define NET_HTTP_SRV_PRIV_H

#include "net/conn/conn.h"
#include "net/conn/listen.h"
#include "net/http/req_priv.h"
#include "net/http/srv.h"

#define SRV_REQ_POOL_MAX 256 /* requests kept for reuse, with the arena's first block */

struct srv_loop {
	struct srv *srv;
	struct loop *loop;
	const struct srv_opts *opts;
	const struct router *router;
	struct conn_host *host;
	struct listener **listeners;
	struct cidr_set trusted_proxies; /* of this loop */
	bool apart;                      /* there is a listener for administration */
	struct list_link req_pool, req_open;
	size_t req_pool_count, req_open_count;
	struct buf head, scratch; /* of an answer being written, of a pull */
	struct {
		int64_t second;
		char text[64];
		size_t len;
	} date;
	uint64_t rnd; /* for Retry-After */
};

struct conn;
/* Protocols begin on a connection whose first bytes are not yet read. */
void h1srv_start(struct conn *c, struct srv_loop *sl);
void h2srv_start(struct conn *c, struct srv_loop *sl);

#endif
