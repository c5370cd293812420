/*
 * jwt - tokens that an issuer has signed: JWS in its compact form (RFC 7515) with the claims of a
 * JWT (RFC 7519), checked as RFC 8725 (best current practices) wants it.
 *
 *   jwt_parse > jwt_check_signature > jwt_check_claims > the texts of claims
 *
 * Algorithms: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA. What the head
 * names must fit the kind of the key, and be the key's own "alg" where it has one; "none" and HMAC
 * are no algorithms here. "crit" is refused (RFC 7515, 4.1.11: we understand none of it).
 * Claims: exp must be there; exp, nbf and iat with a leeway; iss and aud byte by byte. They are
 * looked at behind the signature only, so what errors tell about them goes to who holds a real
 * token.
 *
 * Thread: any, one at a time for a token.
 * Cost: a signature of RSA-2048 some 20 us, of P-256 70 us, of Ed25519 100 us, of larger ones more;
 * parsing a few.
 * Memory: parsing holds at most some 64 times the token.
 */
#ifndef PROTO_JWT_H
#define PROTO_JWT_H

#include "core/base/err.h"
#include "proto/jwk.h"

#define JWT_TOKEN_BYTES_MAX (16u << 10)
#define JWT_HEAD_BYTES_MAX  (4u << 10) /* as base64url */
#define JWT_DEPTH_MAX       16u
#define JWT_LEEWAY_MS       60000
#define JWT_TEXTS_MAX       256u /* of one claim */

enum jwt_alg {
	JWT_RS256,
	JWT_RS384,
	JWT_RS512,
	JWT_PS256,
	JWT_PS384,
	JWT_PS512,
	JWT_ES256,
	JWT_ES384,
	JWT_ES512,
	JWT_EDDSA,
	JWT_ALGS
};
enum jwt_fault {
	JWT_FINE,
	JWT_MALFORMED,
	JWT_ALGORITHM, /* none of ours, or not the key's */
	JWT_NO_KEY,    /* the set has none of this name: it may be new */
	JWT_SIGNATURE,
	JWT_EXPIRED,
	JWT_NOT_YET,
	JWT_ISSUER,
	JWT_AUDIENCE,
	JWT_CLAIMS, /* exp is not there, or a claim has the wrong type */
	JWT_FAULTS
};
struct json_t;
struct jwt {
	enum jwt_alg alg;
	const char *kid;    /* NULL: it names no key */
	const char *issuer; /* "iss", not believed yet; NULL: none */
	int64_t expires_ms; /* INT64_MIN before jwt_check_claims */
	struct json_t *head, *claims;
	const char *signed_text; /* in the token */
	size_t signed_len;
	uint8_t *sig;
	size_t sig_len;
};
/* Looks like one: three parts with dots between. */
bool jwt_is_like(const char *text, size_t len);
/* text lives until jwt_release, which is due when JWT_FINE was returned. */
MUST_CHECK enum jwt_fault jwt_parse(const char *text, size_t len, struct jwt *out, struct errbuf *eb);
void jwt_release(struct jwt *j);
MUST_CHECK enum jwt_fault jwt_check_signature(
    const struct jwt *j, const struct jwk_set *keys, struct errbuf *eb);

struct jwt_wants {
	const char *issuer;
	const char *const *audiences; /* one of them */
	size_t audiences_count;
	int64_t now_ms;
};
MUST_CHECK enum jwt_fault jwt_check_claims(
    struct jwt *j, const struct jwt_wants *w, struct errbuf *eb);
/*
 * The texts of a claim, in order: a string (split: at blanks, as "scope" is, RFC 8693, 4.2), or the
 * strings of an array. name may be a path ("realm_access.roles") when no claim has that very name.
 * False: there is no such claim, or it is something else, or has more than JWT_TEXTS_MAX texts.
 */
MUST_CHECK bool jwt_texts(const struct jwt *j, const char *name, bool split,
    void (*fn)(void *arg, const char *text, size_t len), void *arg);

#endif
