/*
 * issuers - the keys of OIDC issuers: fetched, kept, renewed ahead of time, and fetched at once
 * when a token names one that is not known.
 *
 *   <issuer>/.well-known/openid-configuration ("OpenID Connect Discovery 1.0", 4) says where the
 *   keys are, unless jwks_url does; then the keys (RFC 7517) are fetched.
 *
 * (1) What was fetched holds for ISSUERS_KEEP_MS, also when the issuer cannot be reached. It is
 *     fetched again every ISSUERS_RENEW_MS, sooner after a failure (from 2 s on, doubled to 60 s).
 *     Keys of kinds that are not known are left out (RFC 7517, 5). A set of which none is left is
 *     a failure as well, since an issuer that starts may have none; but one that says so for longer
 *     than ISSUERS_EMPTY_MS has taken its keys back.
 * (2) Unknown keys cost the issuer ISSUERS_ASK_BURST fetches at once, then one in ISSUERS_ASK_MS:
 *     tokens with invented names of keys do not make us its attacker.
 * (3) Discovery must name the very issuer; an https issuer has its keys at an https URL.
 * (4) A new configuration keeps the keys of issuers that stay.
 *
 * Thread: one loop. Errors: in the log (keys_not_fetched), counted.
 */
#ifndef NET_GATE_ISSUERS_H
#define NET_GATE_ISSUERS_H

#include "core/rt/loop.h"
#include "net/gate/bearer.h"

#define ISSUERS_RENEW_MS  600000u
#define ISSUERS_KEEP_MS   86400000u
#define ISSUERS_EMPTY_MS  1200000u
#define ISSUERS_ASK_MS    15000u
#define ISSUERS_ASK_BURST 4u
#define ISSUERS_RETRY_MS  2000u
#define ISSUERS_RETRY_MAX 60000u
#define ISSUERS_FETCH_MS  5000u /* of one answer, tries included */

/* How things are fetched. All on the loop. */
struct issuers_fetch {
	void *arg;
	/*
	 * GET; done is called once, never from inside, unless it is canceled. NULL: cannot be done.
	 * text: NULL, or why there is no answer. The body is at most JWK_SET_BYTES_MAX long.
	 */
	void *(*begin)(void *arg, const char *url,
	    void (*done)(void *own, int status, const char *body, size_t len, const char *text),
	    void *own);
	void (*cancel)(void *arg, void *handle);
};
struct issuers;
/* changed: book or the answer of issuers_want is another one now. */
struct issuers *issuers_create(
    struct loop *l, const struct issuers_fetch *fetch, void (*changed)(void *arg), void *arg);
void issuers_free(struct issuers *is);
void issuers_use(struct issuers *is, const struct ident_set *set);
/* The book of now, borrowed until changed() or the next call; NULL: there are no issuers. */
struct issuer_book *issuers_book(struct issuers *is);
/* Another number for each book there has been. */
uint64_t issuers_version(const struct issuers *is);

/* Counts fetches as they begin: what is asked for later is newer. */
uint64_t issuers_mark(const struct issuers *is);
enum issuers_answer {
	ISSUERS_WAIT,  /* it is being asked: come again at changed() */
	ISSUERS_KNOWN, /* the keys are newer than the mark: what is not in the book is not there */
	ISSUERS_LATER  /* it cannot be reached, or was asked too often, see (2) */
};
/* A token that came at that mark needs a key that is not in the book. */
enum issuers_answer issuers_want(struct issuers *is, size_t issuer, uint64_t mark);

#endif
