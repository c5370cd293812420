#include "proto/jwt.h"

#include <jansson.h>
#include <math.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <sodium.h>
#include <string.h>

#include "core/base/mem.h"

#define TIME_MOST_S   253402300800.0 /* the year 10000 */
#define ECDSA_DER_MAX 160u
#define TRY_KEYS_MAX  4u /* of a token that names none */

static const struct alg {
	const char *name, *digest;
	bool pss;
	enum jwk_kind kind; /* of JWT_EDDSA: both of Edwards' curves */
} algs[JWT_ALGS] = {
	[JWT_RS256] = { "RS256", "SHA256", false, JWK_RSA },
	[JWT_RS384] = { "RS384", "SHA384", false, JWK_RSA },
	[JWT_RS512] = { "RS512", "SHA512", false, JWK_RSA },
	[JWT_PS256] = { "PS256", "SHA256", true, JWK_RSA },
	[JWT_PS384] = { "PS384", "SHA384", true, JWK_RSA },
	[JWT_PS512] = { "PS512", "SHA512", true, JWK_RSA },
	[JWT_ES256] = { "ES256", "SHA256", false, JWK_P256 },
	[JWT_ES384] = { "ES384", "SHA384", false, JWK_P384 },
	[JWT_ES512] = { "ES512", "SHA512", false, JWK_P521 },
	[JWT_EDDSA] = { "EdDSA", NULL, false, JWK_ED25519 },
};

static enum jwt_fault fault(struct errbuf *eb, enum jwt_fault f, const char *text)
{
	(void)errbuf_set(eb, ERR_MALFORMED, "%s", text);
	return f;
}

/* ---- parsing ---- */

bool jwt_is_like(const char *text, size_t len)
{
	unsigned dots = 0;
	for (size_t i = 0; i < len; i++)
		dots += text[i] == '.';
	return dots == 2 && text[0] != '.' && text[len - 1] != '.';
}

/* base64url without padding, and no bits left over (RFC 7515, section 2). NULL: it is not. */
static uint8_t *decode(const char *text, size_t len, size_t *out_len)
{
	size_t cap = len / 4 * 3 + 3;
	uint8_t *out = mem_alloc(cap);
	if (sodium_base642bin(out, cap, text, len, NULL, out_len, NULL,
	        sodium_base64_VARIANT_URLSAFE_NO_PADDING)) {
		mem_free(out);
		return NULL;
	}
	return out;
}

/* Numbers are real ones: a claim may be larger than an int64_t, and need not be one of ours. */
static json_t *decode_object(const char *text, size_t len)
{
	size_t n;
	json_t *o = NULL;
	char *json = (char *)decode(text, len, &n);
	if (json && jwk_depth_fits(json, n, JWT_DEPTH_MAX))
		o = json_loadb(json, n, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
	mem_free(json);
	if (o && !json_is_object(o)) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static enum jwt_fault read_head(struct jwt *j, struct errbuf *eb)
{
	const json_t *kid = json_object_get(j->head, "kid");
	const char *alg = json_string_value(json_object_get(j->head, "alg"));
	if (!alg)
		return fault(eb, JWT_MALFORMED, "its head names no algorithm");
	if (json_object_get(j->head, "crit"))
		return fault(
		    eb, JWT_MALFORMED, "its head has \"crit\", and nothing of that is known");
	if (kid && !json_is_string(kid))
		return fault(eb, JWT_MALFORMED, "the \"kid\" of its head is no text");
	j->kid = json_string_value(kid);
	for (size_t i = 0; i < JWT_ALGS; i++) {
		if (strcmp(algs[i].name, alg))
			continue;
		j->alg = (enum jwt_alg)i;
		return JWT_FINE;
	}
	return fault(eb, JWT_ALGORITHM, "its algorithm is none of RS, PS, ES and EdDSA");
}

enum jwt_fault jwt_parse(const char *text, size_t len, struct jwt *out, struct errbuf *eb)
{
	memset(out, 0, sizeof *out);
	out->expires_ms = INT64_MIN;
	if (len > JWT_TOKEN_BYTES_MAX)
		return fault(eb, JWT_MALFORMED, "it is larger than 16384 bytes");
	if (!len || !jwt_is_like(text, len))
		return fault(eb, JWT_MALFORMED, "it has not three parts");
	const char *dot = memchr(text, '.', len);
	size_t head_len = (size_t)(dot - text);
	const char *body = dot + 1, *end = memchr(body, '.', len - head_len - 1);
	size_t body_len = (size_t)(end - body), sig_len = len - head_len - body_len - 2;
	out->signed_text = text;
	out->signed_len = head_len + 1 + body_len;
	enum jwt_fault f = JWT_MALFORMED;
	if (head_len > JWT_HEAD_BYTES_MAX || !(out->head = decode_object(text, head_len)))
		(void)fault(eb, f, "its head is no JSON object in base64url");
	else if (!(out->claims = decode_object(body, body_len)))
		(void)fault(eb, f, "its claims are no JSON object in base64url");
	else if (!(out->sig = decode(end + 1, sig_len, &out->sig_len)))
		(void)fault(eb, f, "its signature is no base64url");
	else
		f = read_head(out, eb);
	if (f != JWT_FINE)
		jwt_release(out);
	else
		out->issuer = json_string_value(json_object_get(out->claims, "iss"));
	return f;
}

void jwt_release(struct jwt *j)
{
	json_decref(j->head);
	json_decref(j->claims);
	mem_free(j->sig);
	memset(j, 0, sizeof *j);
}

/* ---- signatures ---- */

/* Two numbers side by side (RFC 7518, 3.4) as the DER that OpenSSL reads. */
static size_t ecdsa_der(const struct jwt *j, size_t size, uint8_t der[ECDSA_DER_MAX])
{
	if (j->sig_len != 2 * size)
		return 0;
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(j->sig, (int)size, NULL);
	BIGNUM *s = BN_bin2bn(j->sig + size, (int)size, NULL);
	int len = 0;
	if (sig && r && s && ECDSA_SIG_set0(sig, r, s)) {
		uint8_t *p = der;
		r = s = NULL; /* sig's now */
		len = i2d_ECDSA_SIG(sig, NULL);
		len = len > 0 && (size_t)len <= ECDSA_DER_MAX ? i2d_ECDSA_SIG(sig, &p) : 0;
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(sig);
	return len > 0 ? (size_t)len : 0;
}

static bool set_padding(EVP_PKEY_CTX *ctx, const struct alg *a)
{
	if (!a->pss)
		return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0;
	/* RFC 7518, 3.5: the salt is as long as the digest. */
	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
	    EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0;
}

static bool verifies(const struct jwt *j, const struct jwk *k)
{
	const struct alg *a = &algs[j->alg];
	uint8_t der[ECDSA_DER_MAX];
	const uint8_t *sig = j->sig;
	size_t sig_len = j->sig_len;
	if (k->kind == JWK_RSA && sig_len != k->size_bytes)
		return false;
	if (k->kind == JWK_P256 || k->kind == JWK_P384 || k->kind == JWK_P521) {
		sig = der;
		sig_len = ecdsa_der(j, k->size_bytes, der);
		if (!sig_len)
			return false;
	}
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	EVP_PKEY_CTX *ctx = NULL;
	bool fine = md &&
	    EVP_DigestVerifyInit_ex(md, &ctx, a->digest, NULL, NULL, k->key, NULL) > 0 &&
	    (k->kind != JWK_RSA || set_padding(ctx, a)) &&
	    EVP_DigestVerify(md, sig, sig_len, (const uint8_t *)j->signed_text, j->signed_len) == 1;
	EVP_MD_CTX_free(md);
	ERR_clear_error();
	return fine;
}

static bool key_fits(const struct jwt *j, const struct jwk *k)
{
	const struct alg *a = &algs[j->alg];
	bool kind = k->kind == a->kind || (j->alg == JWT_EDDSA && k->kind == JWK_ED448);
	/* RFC 9864 gives the curves of EdDSA names of their own, which keys may have. */
	bool own = k->alg && j->alg == JWT_EDDSA &&
	    !strcmp(k->alg, k->kind == JWK_ED448 ? "Ed448" : "Ed25519");
	return kind && (!k->alg || own || !strcmp(k->alg, a->name));
}

enum jwt_fault jwt_check_signature(const struct jwt *j, const struct jwk_set *keys, struct errbuf *eb)
{
	bool named = false;
	unsigned tried = 0;
	for (size_t i = 0; i < keys->count && tried < TRY_KEYS_MAX; i++) {
		const struct jwk *k = &keys->keys[i];
		if (j->kid && (!k->kid || strcmp(j->kid, k->kid)))
			continue;
		named = true;
		if (!key_fits(j, k))
			continue;
		tried++;
		if (verifies(j, k))
			return JWT_FINE;
	}
	if (tried)
		return fault(eb, JWT_SIGNATURE, "its signature is wrong");
	if (named && j->kid)
		return fault(eb, JWT_ALGORITHM, "its algorithm is not that of its key");
	return fault(eb, JWT_NO_KEY, "the issuer has no key of this name");
}

/* ---- claims ---- */

/* RFC 7519, section 2: NumericDate, seconds with a fraction. */
static bool time_of(const struct jwt *j, const char *name, bool *there, int64_t *ms)
{
	const json_t *v = json_object_get(j->claims, name);
	*there = v;
	if (!v)
		return true;
	if (!json_is_number(v))
		return false;
	double s = json_number_value(v);
	if (!(s >= 0 && s <= TIME_MOST_S))
		return false;
	*ms = (int64_t)floor(s * 1000);
	return true;
}

static enum jwt_fault check_times(struct jwt *j, int64_t now_ms, struct errbuf *eb)
{
	bool has_exp, has_nbf, has_iat;
	int64_t exp = 0, nbf = 0, iat = 0;
	if (!time_of(j, "exp", &has_exp, &exp) || !time_of(j, "nbf", &has_nbf, &nbf) ||
	    !time_of(j, "iat", &has_iat, &iat))
		return fault(eb, JWT_CLAIMS, "exp, nbf or iat is no time");
	if (!has_exp)
		return fault(eb, JWT_CLAIMS, "it never expires: it has no claim exp");
	if (now_ms >= exp + JWT_LEEWAY_MS)
		return fault(eb, JWT_EXPIRED, "it has expired");
	if (has_nbf && nbf > now_ms + JWT_LEEWAY_MS)
		return fault(eb, JWT_NOT_YET, "it is not valid yet (nbf)");
	if (has_iat && iat > now_ms + JWT_LEEWAY_MS)
		return fault(eb, JWT_NOT_YET, "it comes from the future (iat)");
	j->expires_ms = exp + JWT_LEEWAY_MS;
	return JWT_FINE;
}

static bool is_text(const json_t *v, const char *text)
{
	return json_is_string(v) && json_string_length(v) == strlen(text) &&
	    !strcmp(json_string_value(v), text);
}

static bool is_for(const json_t *aud, const char *who)
{
	const json_t *v;
	size_t i;
	if (is_text(aud, who))
		return true;
	json_array_foreach(aud, i, v) if (is_text(v, who)) return true;
	return false;
}

enum jwt_fault jwt_check_claims(struct jwt *j, const struct jwt_wants *w, struct errbuf *eb)
{
	enum jwt_fault f = check_times(j, w->now_ms, eb);
	if (f != JWT_FINE)
		return f;
	if (!is_text(json_object_get(j->claims, "iss"), w->issuer))
		return fault(eb, JWT_ISSUER, "it is of another issuer");
	const json_t *aud = json_object_get(j->claims, "aud");
	for (size_t i = 0; i < w->audiences_count; i++)
		if (is_for(aud, w->audiences[i]))
			return JWT_FINE;
	return fault(eb, JWT_AUDIENCE, "it is for somebody else (aud)");
}

/* The claim of this name, or what stands at the end of the path. */
static const json_t *claim_of(const struct jwt *j, const char *name)
{
	const json_t *o = json_object_get(j->claims, name);
	if (o)
		return o;
	o = j->claims;
	for (const char *part = name; o && *part;) {
		size_t n = strcspn(part, ".");
		o = json_object_getn(o, part, n);
		part += n + (part[n] == '.');
	}
	return o;
}

static bool each_word(const json_t *v, void (*fn)(void *arg, const char *text, size_t len), void *arg)
{
	const char *s = json_string_value(v), *end = s + json_string_length(v);
	for (unsigned count = 0; s < end;) {
		size_t n = 0;
		while (s + n < end && s[n] != ' ')
			n++;
		if (n && ++count > JWT_TEXTS_MAX)
			return false;
		if (n)
			fn(arg, s, n);
		s += n + (s + n < end);
	}
	return true;
}

bool jwt_texts(const struct jwt *j, const char *name, bool split,
    void (*fn)(void *arg, const char *text, size_t len), void *arg)
{
	const json_t *v = claim_of(j, name), *item;
	size_t i;
	if (json_is_string(v)) {
		if (split)
			return each_word(v, fn, arg);
		fn(arg, json_string_value(v), json_string_length(v));
		return true;
	}
	if (!json_is_array(v) || json_array_size(v) > JWT_TEXTS_MAX)
		return false;
	json_array_foreach(v, i, item) if (!json_is_string(item)) return false;
	json_array_foreach(v, i, item) fn(arg, json_string_value(item), json_string_length(item));
	return true;
}
