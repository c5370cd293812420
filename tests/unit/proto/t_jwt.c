#include "proto/jwt.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "tests/lib/tap.h"

#define NOW_MS INT64_C(1800000000000)
#define B64    sodium_base64_VARIANT_URLSAFE_NO_PADDING

/* ---- an issuer ---- */

struct signer {
	const char *kid, *alg;
	enum jwt_alg id;
	EVP_PKEY *key;
	size_t size; /* of a coordinate */
};

static void put_b64(struct buf *b, const void *data, size_t len)
{
	size_t cap = sodium_base64_encoded_len(len, B64);
	char *text = malloc(cap);
	sodium_bin2base64(text, cap, data, len, B64);
	buf_add_str(b, text);
	free(text);
}

static void put_number(struct buf *b, EVP_PKEY *key, const char *param, size_t size)
{
	BIGNUM *n = NULL;
	uint8_t bytes[1024];
	CHECK(EVP_PKEY_get_bn_param(key, param, &n));
	int len = size ? (int)size : BN_num_bytes(n);
	CHECK(BN_bn2binpad(n, bytes, len) == len);
	put_b64(b, bytes, (size_t)len);
	BN_free(n);
}

static void put_jwk(struct buf *b, const struct signer *s)
{
	uint8_t raw[64];
	size_t raw_len = sizeof(raw);
	switch (EVP_PKEY_get_base_id(s->key)) {
	case EVP_PKEY_RSA:
		buf_add_str(b, "{\"kty\":\"RSA\",\"n\":\"");
		put_number(b, s->key, OSSL_PKEY_PARAM_RSA_N, 0);
		buf_add_str(b, "\",\"e\":\"");
		put_number(b, s->key, OSSL_PKEY_PARAM_RSA_E, 0);
		break;
	case EVP_PKEY_EC:
		buf_printf(b, "{\"kty\":\"EC\",\"crv\":\"P-%s\",\"x\":\"",
		    s->size == 32       ? "256"
		        : s->size == 48 ? "384"
		                        : "521");
		put_number(b, s->key, OSSL_PKEY_PARAM_EC_PUB_X, s->size);
		buf_add_str(b, "\",\"y\":\"");
		put_number(b, s->key, OSSL_PKEY_PARAM_EC_PUB_Y, s->size);
		break;
	default:
		CHECK(EVP_PKEY_get_raw_public_key(s->key, raw, &raw_len));
		buf_printf(b, "{\"kty\":\"OKP\",\"crv\":\"%s\",\"x\":\"",
		    raw_len == 32 ? "Ed25519" : "Ed448");
		put_b64(b, raw, raw_len);
	}
	buf_printf(b, "\",\"kid\":\"%s\",\"use\":\"sig\"}", s->kid);
}

static size_t sign_ecdsa(const struct signer *s, uint8_t *sig, size_t len)
{
	const uint8_t *p = sig;
	ECDSA_SIG *e = d2i_ECDSA_SIG(NULL, &p, (long)len);
	CHECK(e);
	CHECK(BN_bn2binpad(ECDSA_SIG_get0_r(e), sig, (int)s->size) == (int)s->size);
	CHECK(BN_bn2binpad(ECDSA_SIG_get0_s(e), sig + s->size, (int)s->size) == (int)s->size);
	ECDSA_SIG_free(e);
	return 2 * s->size;
}

static const char *digest_of(enum jwt_alg a)
{
	static const char *const names[] = { "SHA256", "SHA384", "SHA512" };
	return a == JWT_EDDSA ? NULL : names[a % 3];
}

/* <head>.<claims>.<signature>; NUL behind. */
static char *token_of(const struct signer *s, const char *head, const char *claims)
{
	struct buf b;
	uint8_t sig[2048];
	size_t len = sizeof(sig);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	EVP_PKEY_CTX *ctx;
	buf_init(&b);
	put_b64(&b, head, strlen(head));
	buf_add_u8(&b, '.');
	put_b64(&b, claims, strlen(claims));
	CHECK(EVP_DigestSignInit_ex(md, &ctx, digest_of(s->id), NULL, NULL, s->key, NULL) > 0);
	if (s->id >= JWT_PS256 && s->id <= JWT_PS512) {
		CHECK(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0);
		CHECK(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0);
	}
	CHECK(EVP_DigestSign(md, sig, &len, b.data, b.len) > 0);
	EVP_MD_CTX_free(md);
	if (s->size)
		len = sign_ecdsa(s, sig, len);
	buf_add_u8(&b, '.');
	put_b64(&b, sig, len);
	buf_add_u8(&b, 0);
	return (char *)buf_take(&b, &len);
}

static char *token(const struct signer *s, const char *claims)
{
	char head[256];
	snprintf(head, sizeof(head), "{\"alg\":\"%s\",\"kid\":\"%s\"}", s->alg, s->kid);
	return token_of(s, head, claims);
}

static struct signer signers[] = {
	{ "r", "RS256", JWT_RS256, NULL, 0 },
	{ "r", "RS384", JWT_RS384, NULL, 0 },
	{ "r", "RS512", JWT_RS512, NULL, 0 },
	{ "r", "PS256", JWT_PS256, NULL, 0 },
	{ "r", "PS384", JWT_PS384, NULL, 0 },
	{ "r", "PS512", JWT_PS512, NULL, 0 },
	{ "e2", "ES256", JWT_ES256, NULL, 32 },
	{ "e3", "ES384", JWT_ES384, NULL, 48 },
	{ "e5", "ES512", JWT_ES512, NULL, 66 },
	{ "d", "EdDSA", JWT_EDDSA, NULL, 0 },
	{ "d4", "EdDSA", JWT_EDDSA, NULL, 0 },
};
#define SIGNERS (sizeof(signers) / sizeof(signers[0]))
enum {
	RS256 = 0,
	ES256 = 6,
	ED25519 = 9
};

static void make_keys(void)
{
	signers[0].key = EVP_RSA_gen(2048);
	for (unsigned i = 1; i < 6; i++)
		signers[i].key = signers[0].key;
	signers[6].key = EVP_EC_gen("P-256");
	signers[7].key = EVP_EC_gen("P-384");
	signers[8].key = EVP_EC_gen("P-521");
	signers[9].key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	signers[10].key = EVP_PKEY_Q_keygen(NULL, NULL, "ED448");
}

static struct jwk_set *set_of(const char *json)
{
	struct jwk_set *s = NULL;
	struct errbuf eb;
	errbuf_init(&eb);
	if (jwk_set_parse(json, strlen(json), &s, &eb))
		printf("# %s\n", eb.text);
	return s;
}

static struct jwk_set *all_keys(void)
{
	struct buf b;
	buf_init(&b);
	buf_add_str(&b, "{\"keys\":[");
	for (unsigned i = 0; i < SIGNERS; i++) {
		if (i && i < 6)
			continue;
		if (i)
			buf_add_u8(&b, ',');
		put_jwk(&b, &signers[i]);
	}
	buf_add_str(&b, "]}");
	buf_add_u8(&b, 0);
	struct jwk_set *s = set_of((const char *)b.data);
	buf_release(&b);
	return s;
}

/* ---- asking ---- */

static enum jwt_fault check(const char *text, const struct jwk_set *keys, struct errbuf *eb)
{
	static const char *const audiences[] = { "kymo", "other" };
	struct jwt j;
	struct jwt_wants w = { "https://idp", audiences, 2, NOW_MS };
	errbuf_init(eb);
	enum jwt_fault f = jwt_parse(text, strlen(text), &j, eb);
	if (f != JWT_FINE)
		return f;
	f = jwt_check_signature(&j, keys, eb);
	if (f == JWT_FINE)
		f = jwt_check_claims(&j, &w, eb);
	jwt_release(&j);
	return f;
}

#define GOOD "{\"iss\":\"https://idp\",\"aud\":\"kymo\",\"exp\":1800000100}"

static void expect(const struct jwk_set *keys, char *take_token, enum jwt_fault want, const char *what)
{
	struct errbuf eb;
	enum jwt_fault got = check(take_token, keys, &eb);
	tap_is_i64(got, want, "%s", what);
	if (got != want)
		printf("# %s\n", eb.text);
	free(take_token);
}

static void each_algorithm(const struct jwk_set *keys)
{
	for (unsigned i = 0; i < SIGNERS; i++) {
		char what[64];
		snprintf(what, sizeof(what), "a token of %s (%s) is right", signers[i].alg,
		    signers[i].kid);
		expect(keys, token(&signers[i], GOOD), JWT_FINE, what);
	}
}

/* A character of each part in turn; base64url spelled otherwise is no way around it either. */
static void any_change(const struct jwk_set *keys)
{
	unsigned let_in = 0, changed = 0;
	for (unsigned i = 0; i < SIGNERS; i++) {
		char *t = token(&signers[i], GOOD);
		struct errbuf eb;
		size_t len = strlen(t);
		for (size_t at = 0; at < len; at += 7) {
			char was = t[at];
			t[at] = was == 'A' ? 'B' : 'A';
			changed++;
			let_in += t[at] != was && check(t, keys, &eb) == JWT_FINE;
			t[at] = was;
		}
		char last = t[len - 1];
		for (const char *c =
		         "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
		     *c; c++) {
			t[len - 1] = *c;
			let_in += *c != last && check(t, keys, &eb) == JWT_FINE;
		}
		free(t);
	}
	tap_ok(changed > 500, "characters of tokens were changed");
	tap_is_u64(let_in, 0, "no changed token is right");
}

/* RFC 8725, 2.1: what a head says is not believed. */
static void confusion(const struct jwk_set *keys)
{
	struct signer s = signers[RS256];
	expect(keys, token_of(&s, "{\"alg\":\"none\",\"kid\":\"r\"}", GOOD), JWT_ALGORITHM,
	    "alg none is refused");
	expect(keys, token_of(&s, "{\"alg\":\"NONE\",\"kid\":\"r\"}", GOOD), JWT_ALGORITHM,
	    "in capitals, too");
	expect(keys, token_of(&s, "{\"alg\":\"HS256\",\"kid\":\"r\"}", GOOD), JWT_ALGORITHM,
	    "HMAC is refused");
	expect(keys, token_of(&s, "{\"alg\":\"ES256\",\"kid\":\"r\"}", GOOD), JWT_ALGORITHM,
	    "an RSA key does not do ES256");
	expect(keys, token_of(&s, "{\"alg\":\"PS256\",\"kid\":\"r\"}", GOOD), JWT_SIGNATURE,
	    "PKCS#1 is not PSS");
	expect(keys, token_of(&s, "{\"alg\":\"RS512\",\"kid\":\"r\"}", GOOD), JWT_SIGNATURE,
	    "SHA-256 is not SHA-512");
	expect(keys, token_of(&s, "{\"alg\":\"RS256\",\"kid\":\"e2\"}", GOOD), JWT_ALGORITHM,
	    "the key of another kind is refused");
	expect(keys, token_of(&s, "{\"alg\":\"RS256\",\"kid\":\"new\"}", GOOD), JWT_NO_KEY,
	    "a key nobody knows");
	expect(keys, token_of(&s, "{\"alg\":\"RS256\"}", GOOD), JWT_FINE,
	    "without a name all keys that fit are tried");
	expect(keys,
	    token_of(&s, "{\"alg\":\"RS256\",\"kid\":\"r\",\"crit\":[\"b64\"],\"b64\":false}", GOOD),
	    JWT_MALFORMED, "crit is refused");
	expect(keys, token_of(&s, "{\"alg\":\"RS256\",\"kid\":7}", GOOD), JWT_MALFORMED,
	    "a kid that is no text");
	expect(keys, token_of(&s, "{\"kid\":\"r\"}", GOOD), JWT_MALFORMED, "no algorithm");
	expect(keys, token_of(&s, "[\"RS256\"]", GOOD), JWT_MALFORMED, "a head that is no object");
	expect(keys, token_of(&s, "{\"alg\":\"RS256\",\"alg\":\"none\",\"kid\":\"r\"}", GOOD),
	    JWT_MALFORMED, "a member twice");
	s.key = EVP_RSA_gen(2048);
	expect(keys, token(&s, GOOD), JWT_SIGNATURE, "somebody else's key of the same name");
	EVP_PKEY_free(s.key);
}

static void claims(const struct jwk_set *keys)
{
	static const struct {
		const char *claims;
		enum jwt_fault want;
		const char *what;
	} rows[] = {
#define C "\"iss\":\"https://idp\",\"aud\":\"kymo\""
		{ "{" C ",\"exp\":1799999941}", JWT_FINE, "expired within the leeway" },
		{ "{" C ",\"exp\":1799999940}", JWT_EXPIRED, "expired 60 s ago" },
		{ "{" C ",\"exp\":1800000001.5,\"nbf\":1800000060,\"iat\":1800000060}", JWT_FINE,
		    "fractions, and a clock 60 s ahead" },
		{ "{" C ",\"exp\":1800000100,\"nbf\":1800000061}", JWT_NOT_YET,
		    "nbf beyond the leeway" },
		{ "{" C ",\"exp\":1800000100,\"iat\":1800000061}", JWT_NOT_YET,
		    "iat beyond the leeway" },
		{ "{" C "}", JWT_CLAIMS, "without exp" },
		{ "{" C ",\"exp\":\"1800000100\"}", JWT_CLAIMS, "exp as text" },
		{ "{" C ",\"exp\":-1}", JWT_CLAIMS, "exp before 1970" },
		{ "{" C ",\"exp\":1e300}", JWT_CLAIMS, "exp at the end of all times" },
		{ "{" C ",\"exp\":99999999999999999999}", JWT_CLAIMS, "exp beyond 64 bits" },
		{ "{" C ",\"exp\":1800000100,\"uid\":18446744073709551615}", JWT_FINE,
		    "another claim may be that large" },
		{ "{\"aud\":\"kymo\",\"exp\":1800000100}", JWT_ISSUER, "without issuer" },
		{ "{\"iss\":\"https://idp/\",\"aud\":\"kymo\",\"exp\":1800000100}", JWT_ISSUER,
		    "the issuer has to be the same letter by letter" },
		{ "{\"iss\":[\"https://idp\"],\"aud\":\"kymo\",\"exp\":1800000100}", JWT_ISSUER,
		    "a list of issuers" },
		{ "{\"iss\":\"https://idp\",\"exp\":1800000100}", JWT_AUDIENCE, "without audience" },
		{ "{\"iss\":\"https://idp\",\"aud\":\"kym\",\"exp\":1800000100}", JWT_AUDIENCE,
		    "another audience" },
		{ "{\"iss\":\"https://idp\",\"aud\":[\"a\",\"other\"],\"exp\":1800000100}",
		    JWT_FINE, "one of several audiences" },
		{ "{\"iss\":\"https://idp\",\"aud\":{\"kymo\":1},\"exp\":1800000100}", JWT_AUDIENCE,
		    "an object of audiences" },
#undef C
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect(keys, token(&signers[ED25519], rows[i].claims), rows[i].want, rows[i].what);
}

static void forms(const struct jwk_set *keys)
{
	static const char *const bad[] = { "", ".", "..", "a.b", "a.b.c", "a.b.c.d", "e30.e30.",
		".e30.AA", "e30..AA", "e30=.e30.AA", "e30.e30.AA==", "e 30.e30.AA", "bnVsbA.e30.AA" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct errbuf eb;
		tap_is_i64(check(bad[i], keys, &eb), JWT_MALFORMED, "\"%s\" is no token", bad[i]);
	}
	char *deep = malloc(400);
	size_t n = (size_t)snprintf(deep, 400, "{\"a\":");
	memset(deep + n, '[', 20);
	memset(deep + n + 20, ']', 20);
	snprintf(deep + n + 40, 400 - n - 40,
	    ","
	    "\"exp\":1800000100}");
	expect(keys, token(&signers[ED25519], deep), JWT_MALFORMED, "claims nested too deep");
	free(deep);
	char *large = malloc(20001);
	memset(large, 'a', 20000);
	large[20000] = 0;
	large[100] = large[200] = '.';
	expect(keys, large, JWT_MALFORMED, "more than 16 KiB");
}

static void collect(void *arg, const char *text, size_t len)
{
	struct buf *b = arg;
	buf_add(b, text, len);
	buf_add_u8(b, '|');
}

static void texts_are(const struct jwt *j, const char *name, bool split, const char *want)
{
	struct buf b;
	buf_init(&b);
	bool there = jwt_texts(j, name, split, collect, &b);
	buf_add_u8(&b, 0);
	tap_is_str(there ? (const char *)b.data : "none", want, "texts of %s", name);
	buf_release(&b);
}

static void texts(void)
{
	struct jwt j;
	struct errbuf eb;
	errbuf_init(&eb);
	char *t = token(&signers[ED25519],
	    "{\"scope\":\" read  write \",\"g\":[\"a b\",\"c\"],\"realm\":{\"x\":{\"roles\":[\"r\"]}},"
	    "\"https://a.b/t\":\"n\",\"mixed\":[\"a\",1],\"num\":5,\"empty\":[]}");
	tap_is_i64(jwt_parse(t, strlen(t), &j, &eb), JWT_FINE, "it is parsed");
	texts_are(&j, "scope", true, "read|write|");
	texts_are(&j, "scope", false, " read  write |");
	texts_are(&j, "g", true, "a b|c|");
	texts_are(&j, "realm.x.roles", true, "r|");
	texts_are(&j, "https://a.b/t", true, "n|");
	texts_are(&j, "empty", true, "");
	texts_are(&j, "mixed", true, "none");
	texts_are(&j, "num", true, "none");
	texts_are(&j, "realm.y.roles", true, "none");
	jwt_release(&j);
	free(t);
}

static void is_left_out(const char *jwk, const char *what)
{
	struct buf b;
	buf_init(&b);
	buf_printf(&b, "{\"keys\":[%s]}", jwk);
	buf_add_u8(&b, 0);
	struct jwk_set *s = set_of((const char *)b.data);
	tap_ok(s && !s->count && s->left_out == 1, "left out: %s", what);
	jwk_set_free(s);
	buf_release(&b);
}

static void sets(void)
{
	static const char *const bad[] = { "", "{}", "[]", "{\"keys\":{}}", "{\"keys\":[]",
		"{\"keys\":[],\"keys\":[]}" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct jwk_set *s;
		struct errbuf eb;
		errbuf_init(&eb);
		tap_ok(jwk_set_parse(bad[i], strlen(bad[i]), &s, &eb) && eb.text[0],
		    "no key set: %s", bad[i]);
	}
	is_left_out(
	    "{\"kty\":\"oct\",\"k\":\"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0\"}", "a secret of HMAC");
	is_left_out(
	    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"use\":\"enc\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
	    "a key to encrypt");
	is_left_out(
	    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"key_ops\":[\"sign\"],\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
	    "a key to sign");
	is_left_out("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg\"}",
	    "a short key");
	is_left_out(
	    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
	    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a1\"}",
	    "a point off its curve");
	is_left_out(
	    "{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AA\",\"y\":\"AA\"}", "another curve");
	is_left_out("{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}", "an RSA key of 17 bits");
	is_left_out("{\"kty\":\"RSA\"}", "a key without numbers");
	is_left_out("7", "a number");
	struct jwk_set *a = all_keys(), *b = all_keys();
	tap_ok(a->count == 6 && !a->left_out, "six keys are taken");
	tap_ok(jwk_set_equal(a, b), "the same keys are the same set");
	b->count--;
	tap_ok(!jwk_set_equal(a, b), "one less is another set");
	b->count++;
	jwk_set_free(a);
	jwk_set_free(b);
}

/* RFC 7515, A.2 and A.3; signed in 2011. */
static void golden(void)
{
	static const char *const payload =
	    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
	static const char *const rows[][3] = {
		{ "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\",\"e\":\"AQAB\"}]}",
		    "eyJhbGciOiJSUzI1NiJ9",
		    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw" },
		{ "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}",
		    "eyJhbGciOiJFUzI1NiJ9",
		    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q" },
	};
	for (size_t i = 0; i < 2; i++) {
		struct jwk_set *keys = set_of(rows[i][0]);
		struct errbuf eb;
		struct jwt j;
		char text[2048];
		errbuf_init(&eb);
		snprintf(text, sizeof(text), "%s.%s.%s", rows[i][1], payload, rows[i][2]);
		CHECK(keys);
		tap_is_i64(jwt_parse(text, strlen(text), &j, &eb), JWT_FINE,
		    "an example of RFC 7515 is parsed");
		tap_is_i64(
		    jwt_check_signature(&j, keys, &eb), JWT_FINE, "and its signature is right");
		jwt_release(&j);
		jwk_set_free(keys);
	}
}

int main(void)
{
	make_keys();
	struct jwk_set *keys = all_keys();
	CHECK(keys);
	each_algorithm(keys);
	any_change(keys);
	confusion(keys);
	claims(keys);
	forms(keys);
	texts();
	sets();
	golden();
	jwk_set_free(keys);
	EVP_PKEY_free(signers[0].key);
	for (unsigned i = 6; i < SIGNERS; i++)
		EVP_PKEY_free(signers[i].key);
	return tap_done();
}
