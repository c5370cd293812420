/*
 * jwk - the public keys of an issuer: a JWK Set (RFC 7517) as keys that verify (RFC 7518).
 *
 * Taken: RSA of 2048 to 8192 bits, EC on P-256, P-384 and P-521, OKP Ed25519 and Ed448. A key that
 * is not for signatures ("use", "key_ops"), of another kind, or wrong is left out; a set may be
 * empty then. Symmetric keys ("oct") are never taken, so that nothing that is public can become a
 * secret of HMAC.
 *
 * Thread: any; a set never changes. Errors: ERR_MALFORMED, ERR_TOOBIG with a sentence.
 */
#ifndef PROTO_JWK_H
#define PROTO_JWK_H

#include "core/base/err.h"

#define JWK_SET_BYTES_MAX (512u << 10)
#define JWK_KEYS_MAX      64u
#define JWK_KID_MAX       512u /* bytes; a key with a longer name is left out */
#define JWK_DEPTH_MAX     16u  /* arrays and objects inside one another */

enum jwk_kind {
	JWK_RSA,
	JWK_P256,
	JWK_P384,
	JWK_P521,
	JWK_ED25519,
	JWK_ED448
};
struct jwk {
	enum jwk_kind kind;
	const char *kid;         /* NULL: it has none */
	const char *alg;         /* "RS256"; NULL: any that fits */
	struct evp_pkey_st *key; /* OpenSSL's EVP_PKEY */
	size_t size_bytes;       /* of an RSA modulus, of an EC coordinate */
};
struct jwk_set {
	struct jwk *keys;
	size_t count, left_out;
};
MUST_CHECK enum err jwk_set_parse(
    const char *json, size_t len, struct jwk_set **out, struct errbuf *eb);
void jwk_set_free(struct jwk_set *s);
/* Do they hold the same keys under the same names, in the same order? */
bool jwk_set_equal(const struct jwk_set *a, const struct jwk_set *b);

/* Text of JSON whose arrays and objects stand at most most deep in one another. */
bool jwk_depth_fits(const char *json, size_t len, unsigned most);

#endif
