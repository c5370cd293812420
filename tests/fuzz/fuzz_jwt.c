/*
 * Tokens and key sets of any bytes. The first byte says what the rest is:
 *   t  a token
 *   c  head, a newline, claims: signed here with the key that the set has
 *   k  a key set
 * The judge of signatures is libsodium, which shares no code with the path through OpenSSL: a token
 * passes when it verifies there, its head is taken, and names this key or none, and only then.
 * Claims are judged by a second look at them.
 */
#include "core/base/buf.h"
#include "proto/jwt.h"

#include <jansson.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define B64    sodium_base64_VARIANT_URLSAFE_NO_PADDING
#define NOW_MS INT64_C(1800000000000)
#define ISSUER "https://idp"

static uint8_t pk[crypto_sign_PUBLICKEYBYTES], sk[crypto_sign_SECRETKEYBYTES];
static struct jwk_set *keys;

static void set_up(void)
{
	static const uint8_t seed[crypto_sign_SEEDBYTES] = "a seed of thirty-two bytes, fix";
	char x[64], json[256];
	struct errbuf eb;
	errbuf_init(&eb);
	if (sodium_init() < 0)
		abort();
	crypto_sign_seed_keypair(pk, sk, seed);
	sodium_bin2base64(x, sizeof(x), pk, sizeof(pk), B64);
	snprintf(json, sizeof(json),
	    "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"k\",\"x\":\"%s\"}]}", x);
	if (jwk_set_parse(json, strlen(json), &keys, &eb))
		abort();
}

static bool sodium_verifies(const char *text, size_t len)
{
	uint8_t sig[crypto_sign_BYTES];
	size_t sig_len, at = len;
	while (at && text[at - 1] != '.')
		at--;
	return at &&
	    !sodium_base642bin(sig, sizeof(sig), text + at, len - at, NULL, &sig_len, NULL, B64) &&
	    sig_len == sizeof(sig) &&
	    !crypto_sign_verify_detached(sig, (const uint8_t *)text, at - 1, pk);
}

/* ---- the second look at claims ---- */

static bool in_time(const json_t *claims, const char *name, bool must, bool later)
{
	const json_t *v = json_object_get(claims, name);
	if (!v)
		return !must;
	double s = json_is_number(v) ? json_number_value(v) : -1, now = NOW_MS / 1000.0;
	if (!(s >= 0 && s <= 253402300800.0))
		return false;
	double ms = floor(s * 1000) / 1000;
	return later ? ms + 60 > now : ms <= now + 60;
}

static bool names(const json_t *v, const char *text)
{
	const json_t *item;
	size_t i;
	if (json_is_string(v))
		return json_string_length(v) == strlen(text) && !strcmp(json_string_value(v), text);
	json_array_foreach(v, i, item)
	{
		if (json_is_string(item) && names(item, text))
			return true;
	}
	return false;
}

static bool claims_fit(const json_t *claims)
{
	const json_t *iss = json_object_get(claims, "iss"), *aud = json_object_get(claims, "aud");
	return in_time(claims, "exp", true, true) && in_time(claims, "nbf", false, false) &&
	    in_time(claims, "iat", false, false) && json_is_string(iss) && names(iss, ISSUER) &&
	    names(aud, "kymo");
}

static void count_text(void *arg, const char *text, size_t len)
{
	size_t *sum = arg;
	if (memchr(text, 0, len))
		abort();
	*sum += len;
}

static void look_at_claims(struct jwt *j, size_t len)
{
	static const char *const audiences[] = { "kymo" };
	static const char *const paths[] = { "a", "a.b", "scope", ".", "..", "" };
	const struct jwt_wants w = { ISSUER, audiences, 1, NOW_MS };
	struct errbuf eb;
	errbuf_init(&eb);
	bool fine = jwt_check_claims(j, &w, &eb) == JWT_FINE;
	if (fine != claims_fit(j->claims) || fine != !eb.text[0])
		abort();
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		size_t sum = 0;
		if (jwt_texts(j, paths[i], i & 1, count_text, &sum) && sum > len)
			abort();
	}
}

/* ---- tokens ---- */

static void look_at_token(const char *text, size_t len, bool is_signed)
{
	struct jwt j;
	struct errbuf eb;
	errbuf_init(&eb);
	if (jwt_parse(text, len, &j, &eb) != JWT_FINE) {
		if (!eb.text[0])
			abort();
		return;
	}
	bool passes = jwt_check_signature(&j, keys, &eb) == JWT_FINE;
	bool judged =
	    j.alg == JWT_EDDSA && (!j.kid || !strcmp(j.kid, "k")) && sodium_verifies(text, len);
	if (passes != judged ||
	    (is_signed && passes != (j.alg == JWT_EDDSA && (!j.kid || !strcmp(j.kid, "k")))))
		abort();
	look_at_claims(&j, len);
	jwt_release(&j);
}

static void put_b64(struct buf *b, const void *data, size_t len)
{
	size_t cap = sodium_base64_encoded_len(len, B64);
	char *text = malloc(cap);
	if (!text)
		abort();
	sodium_bin2base64(text, cap, data, len, B64);
	buf_add(b, text, cap - 1);
	free(text);
}

static void sign_and_look(const char *text, size_t len)
{
	const char *line = len ? memchr(text, '\n', len) : NULL;
	uint8_t sig[crypto_sign_BYTES];
	struct buf b;
	if (!line || len > 8192)
		return;
	buf_init(&b);
	put_b64(&b, text, (size_t)(line - text));
	buf_add_u8(&b, '.');
	put_b64(&b, line + 1, len - (size_t)(line - text) - 1);
	crypto_sign_detached(sig, NULL, b.data, b.len, sk);
	buf_add_u8(&b, '.');
	put_b64(&b, sig, sizeof(sig));
	look_at_token((const char *)b.data, b.len, true);
	buf_release(&b);
}

static void look_at_keys(const char *text, size_t len)
{
	struct jwk_set *a, *b;
	struct errbuf eb;
	errbuf_init(&eb);
	if (jwk_set_parse(text, len, &a, &eb)) {
		if (!eb.text[0])
			abort();
		return;
	}
	if (jwk_set_parse(text, len, &b, &eb) || !jwk_set_equal(a, b) ||
	    a->count + a->left_out > JWK_KEYS_MAX)
		abort();
	for (size_t i = 0; i < a->count; i++)
		if (!a->keys[i].key || !a->keys[i].size_bytes)
			abort();
	jwk_set_free(a);
	jwk_set_free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!keys)
		set_up();
	if (!size)
		return 0;
	char *s = malloc(size > 1 ? size - 1 : 1); /* exact: reads behind the end are seen */
	if (!s)
		return 0;
	memcpy(s, data + 1, size - 1);
	switch (data[0]) {
	case 't':
		look_at_token(s, size - 1, false);
		break;
	case 'c':
		sign_and_look(s, size - 1);
		break;
	case 'k':
		look_at_keys(s, size - 1);
		break;
	default:
		break;
	}
	free(s);
	return 0;
}
