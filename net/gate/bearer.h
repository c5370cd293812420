/*
 * bearer - who an OIDC token is of: signature, claims, and what the configuration makes of them.
 *
 * A struct keyring is one issuer's keys, a struct issuer_book all issuers of a configuration with
 * the keys they have just now. Both never change; the loop that keeps them counts who uses them, so
 * a worker may read one meanwhile.
 *
 * Thread: book and keyrings are taken and dropped on one loop; bearer_check any, it takes up to a
 * millisecond: workers.
 */
#ifndef NET_GATE_BEARER_H
#define NET_GATE_BEARER_H

#include "core/base/arena.h"
#include "net/gate/ident.h"
#include "proto/jwt.h"

struct keyring {
	unsigned refs;
	struct jwk_set *set;
};
struct keyring *keyring_make(struct jwk_set *take_set); /* one reference; NULL stays NULL */
struct keyring *keyring_take(struct keyring *k);
void keyring_drop(struct keyring *k); /* NULL is fine */

struct issuer_book {
	unsigned refs;
	uint64_t serial; /* of the set whose issuers these are */
	struct arena arena;
	struct issuer_page {
		struct ident_oidc conf;
		unsigned roles;
		struct keyring *keys; /* NULL: none yet, or too old */
	} * pages;
	size_t count;
};
struct issuer_book *issuer_book_make(const struct ident_set *s); /* NULL: no set, no issuers */
/* Another one with these keys (a list of count), each taken. */
struct issuer_book *issuer_book_with(const struct issuer_book *b, struct keyring *const *keys);
struct issuer_book *issuer_book_take(struct issuer_book *b);
void issuer_book_drop(struct issuer_book *b);
/* The same but for slashes at the end: somebody has written it down wrong. */
bool issuer_name_like(const char *a, const char *b);

/* In one piece of memory: bearer_free, or mem_free. */
struct bearer {
	uint64_t serial; /* of the set */
	size_t issuer;   /* of the set's */
	size_t bytes;
	int64_t expires_ms; /* leeway included */
	unsigned roles;
	const char *name;
	/* With a tenant_claim: what it says, the first is its own; 0: nothing that is a tenant. */
	const char *tenants[IDENT_TENANTS_MAX];
	size_t tenants_count;
	char text[]; /* the texts */
};
/*
 * JWT_FINE: *out is set. JWT_NO_KEY: *issuer is set, and its keys should be asked for again.
 * now_ms: the wall clock.
 */
MUST_CHECK enum jwt_fault bearer_check(const struct issuer_book *b, const char *token, size_t len,
    int64_t now_ms, struct bearer **out, size_t *issuer, struct errbuf *eb);
struct bearer *bearer_copy(const struct bearer *b);
void bearer_free(struct bearer *b);

#endif
