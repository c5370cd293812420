/*
 * resolve - names to addresses (A, AAAA) and services (SRV) on one loop, by c-ares.
 *
 *   resolve_start > literal, hosts, cache | query > done()
 *
 * (1) done() is called once, never below resolve_start, unless resolve_cancel() came first.
 * (2) One query for all who ask for the same: they wait at the entry of the cache.
 * (3) An answer is kept for its least TTL, at least 1 s and at most RESOLVE_KEEP_MAX_S; "no such
 *     name" for RESOLVE_NO_KEEP_S, a failure of servers for 1 s, so that a crowd of askers is one
 *     query.
 * (4) No file is read and nothing blocks: c-ares gets all of its settings, and only speaks DNS.
 *     Search domains and ndots are those of the table; a name with a dot at the end is asked as it
 *     stands.
 * A truncated answer is asked again over TCP; a server that fails is followed by the next.
 *
 * Thread: the loop's. Memory: a query belongs to its caller, an answer is valid during done().
 * Bounds: RESOLVE_ENTRIES names are kept, RESOLVE_ADDRS addresses and RESOLVE_SERVICES services
 * each.
 */
#ifndef NET_CLIENT_RESOLVE_H
#define NET_CLIENT_RESOLVE_H

#include "core/base/err.h"
#include "core/rt/loop.h"
#include "net/client/resolveconf.h"

#define RESOLVE_ENTRIES    1024u
#define RESOLVE_ADDRS      32u
#define RESOLVE_SERVICES   256u
#define RESOLVE_KEEP_MAX_S 300u
#define RESOLVE_NO_KEEP_S  5u
#define RESOLVE_NAME_MAX   255u

enum resolve_kind {
	RESOLVE_ADDRS_OF,    /* A and AAAA */
	RESOLVE_SERVICES_OF, /* SRV */
};
struct resolve_service {
	char *host;
	uint16_t port, priority, weight;
};
struct resolve_answer {
	enum err err;                         /* ERR_NOTFOUND: no such name, or none of this kind */
	const char *text;                     /* "resolve idp.example: no such name"; "" */
	const struct resolveconf_addr *addrs; /* as the servers order them */
	size_t addr_count;
	const struct resolve_service *services; /* by priority, then weight (larger first) */
	size_t service_count;
	uint32_t keep_s; /* how long it may be kept from now on */
};
/* Embed it; set done. */
struct resolve_query {
	void (*done)(struct resolve_query *q, const struct resolve_answer *a);
	struct list_link _link; /* with the others who wait for the entry */
	bool _waits;
};

struct resolve;
/* conf outlives it. */
MUST_CHECK enum err resolve_create(
    struct loop *l, const struct resolve_conf *conf, struct resolve **out, struct errbuf *eb);
void resolve_free(struct resolve *r); /* nobody waits any more; NULL is fine */
/* absolute: no search domains. A literal address is its own answer. */
void resolve_start(struct resolve *r, struct resolve_query *q, const char *name, bool absolute,
    enum resolve_kind kind);
void resolve_cancel(struct resolve_query *q); /* harmless when it does not wait */

#endif
