/*
 * porter - asks each request who it is, before its body is read.
 *
 *   Authorization: Bearer   a token of the set, or one that an issuer has signed (OIDC)
 *   Authorization: Basic    a user of the set
 *   nothing of that         the client's certificate, else anonymous when that is set up
 * and where InfluxDB's clients write (ROUTE_INFLUX), as they put it:
 *   Authorization: Token    such a token, or a user, a colon and the password
 *   Authorization: Basic    also any name, with such a token as its password
 *   parameters u and p      the same as Basic, without an Authorization
 * and where Datadog's do (ROUTE_DATADOG):
 *   DD-Api-Key, api_key     such a token, without an Authorization
 *
 * What is shown is what counts: a wrong token is 401, also where a certificate would have done.
 * 401 says what may be shown (WWW-Authenticate), 403 what was missing: a role, or a tenant. Basic
 * is not said to a page's script (X-Requested-With), which has a dialog of its own.
 *
 * Tenants. Who names none works in its own. X-Scope-OrgID, and THANOS-TENANT as well, name one, or
 * several to read of ("a|b"). The own one may be named by everybody. Another one may be read when
 * it stands in the identity's tenants, and written to when the identity is trusted, too. What is
 * not allowed is 403, several to write to 400; nothing is ignored.
 *
 * Slow checks (passwords, signatures) are for net/gate/checks.h; the request waits meanwhile, its
 * body unread. What was found right is remembered by the loop: until the next configuration
 * (users), or until the token expires.
 *
 * Thread: a porter on the main thread, struct porter_loop on its loop. Cost: without a set one look
 * at a pointer; see net/gate/ident.h for tokens.
 */
#ifndef NET_GATE_PORTER_H
#define NET_GATE_PORTER_H

#include "core/rt/team.h"
#include "core/rt/work.h"
#include "net/gate/ident.h"
#include "net/gate/issuers.h"
#include "net/http/req.h"

/* The book of tenants, as storage has it. All on the loop that asks. */
struct porter_book {
	void *arg;
	/* UINT32_MAX: there is no such tenant yet. */
	uint32_t (*find)(void *arg, const char *name, size_t len);
	/*
	 * Makes it; done is called later, on this loop, never from inside, with ERR_OK or what was
	 * wrong (ERR_TOOBIG: there are too many) and a sentence. name lives until then.
	 */
	void (*make)(void *arg, const char *name,
	    void (*done)(void *own, enum err e, const char *text), void *own);
};

struct porter;
struct porter_opts {
	struct team *team;
	struct work_pool *pool;
	struct porter_book book;
	struct issuers_fetch fetch; /* begin NULL: no issuer can be reached */
};
MUST_CHECK enum err porter_create(const struct porter_opts *o, struct porter **out);
/*
 * From now on this set (NULL: everybody may come). It and the texts in it live until no loop
 * serves a request that began before the next call.
 */
void porter_use(struct porter *p, const struct ident_set *set);
/* The same for one loop, on it. Loop 0 knows issuers and checks of the set, so it comes first. */
void porter_use_here(struct porter *p, const struct ident_set *set);
/* When no request waits; the team runs. */
void porter_free(struct porter *p);

/* For srv_opts.door. */
enum req_step gate_ask(struct req *r);

#endif
