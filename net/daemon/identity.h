/*
 * identity - the porter (net/gate/porter.h) with what it needs of the rest: storage's book of
 * tenants, and a client on loop 0 that fetches the keys of issuers.
 *
 * Thread: main, or a worker, while the team runs; one at a time.
 */
#ifndef NET_DAEMON_IDENTITY_H
#define NET_DAEMON_IDENTITY_H

#include "net/gate/porter.h"

struct store;
struct identity;
MUST_CHECK enum err identity_create(
    struct team *team, struct work_pool *pool, struct identity **out, struct errbuf *eb);
/*
 * From now on these may come in; NULL: everybody. A set lives until it is replaced on each loop and
 * no request of its time is left. Either all at once, or: prepare (on no loop: reads files, so that
 * issuers can be asked), then each loop for itself, between turns, before the old set goes.
 */
void identity_use(struct identity *id, const struct ident_set *set);
void identity_prepare(struct identity *id, const struct ident_set *set);
void identity_use_here(struct identity *id, const struct ident_set *set);
/* Tenants are in this book. Before it is called only "default" is there. */
void identity_store(struct identity *id, struct store *st);
/* When no request is left and no task of the pool. */
void identity_free(struct identity *id);

/*
 * kymod --hash-token, --hash-password: one line of stdin, its hash to stdout. Returns the exit
 * code.
 */
int identity_hash_token(void);
int identity_hash_password(void);

#endif
