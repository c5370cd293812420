#include "proto/jwk.h"

#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <sodium.h>
#include <string.h>

#include "core/base/mem.h"

#define RSA_BITS_LEAST 2048
#define RSA_BITS_MOST  8192
#define RSA_E_BYTES    8u /* more makes each check slow */
#define NUMBER_BYTES   (RSA_BITS_MOST / 8 + 1)

static const struct curve {
	const char *name, *group;
	enum jwk_kind kind;
	size_t bytes; /* of a coordinate, or of a whole key of Edwards' curves */
	int raw;      /* of EVP_PKEY_new_raw_public_key; 0: has two coordinates */
} curves[] = { { "P-256", "P-256", JWK_P256, 32, 0 }, { "P-384", "P-384", JWK_P384, 48, 0 },
	{ "P-521", "P-521", JWK_P521, 66, 0 }, { "Ed25519", NULL, JWK_ED25519, 32, EVP_PKEY_ED25519 },
	{ "Ed448", NULL, JWK_ED448, 57, EVP_PKEY_ED448 } };

bool jwk_depth_fits(const char *json, size_t len, unsigned most)
{
	unsigned depth = 0;
	bool inside = false; /* a string */
	for (size_t i = 0; i < len; i++) {
		char c = json[i];
		if (inside) {
			if (c == '\\')
				i++;
			else if (c == '"')
				inside = false;
			continue;
		}
		if (c == '"')
			inside = true;
		else if (c == '[' || c == '{')
			depth++;
		else if ((c == ']' || c == '}') && depth)
			depth--;
		if (depth > most)
			return false;
	}
	return true;
}

static const char *text_of(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

/* A member in base64url as bytes (RFC 7515, section 2); 0: not there, or wrong. */
static size_t bytes_of(const json_t *o, const char *key, uint8_t *out, size_t cap)
{
	const json_t *v = json_object_get(o, key);
	size_t len;
	if (!json_is_string(v) ||
	    sodium_base642bin(out, cap, json_string_value(v), json_string_length(v), NULL, &len,
	        NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING))
		return 0;
	return len;
}

/* ---- keys ---- */

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *bld)
{
	EVP_PKEY *key = NULL;
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) <= 0 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) <= 0)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	return key;
}

/* Is the point on its curve, and not the neutral one? */
static bool public_is_sound(EVP_PKEY *key)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	bool sound = ctx && EVP_PKEY_public_check(ctx) == 1;
	EVP_PKEY_CTX_free(ctx);
	return sound;
}

static bool take_rsa(const json_t *o, struct jwk *out)
{
	uint8_t n[NUMBER_BYTES], e[RSA_E_BYTES];
	size_t n_len = bytes_of(o, "n", n, sizeof n), e_len = bytes_of(o, "e", e, sizeof e);
	if (!n_len || !e_len || !(n[n_len - 1] & 1) || !(e[e_len - 1] & 1))
		return false;
	BIGNUM *bn = BN_bin2bn(n, (int)n_len, NULL), *be = BN_bin2bn(e, (int)e_len, NULL);
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	int bits = bn ? BN_num_bits(bn) : 0;
	if (bld && be && bits >= RSA_BITS_LEAST && bits <= RSA_BITS_MOST && !BN_is_one(be) &&
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, bn) &&
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, be))
		out->key = from_params("RSA", bld);
	OSSL_PARAM_BLD_free(bld);
	BN_free(bn);
	BN_free(be);
	out->kind = JWK_RSA;
	out->size_bytes = (size_t)(bits + 7) / 8;
	return out->key;
}

static bool take_ec(const json_t *o, const struct curve *c, struct jwk *out)
{
	uint8_t point[1 + 2 * 66];
	/* RFC 7518, 6.2.1.2: coordinates have the length of the curve's. */
	if (bytes_of(o, "x", point + 1, c->bytes) != c->bytes ||
	    bytes_of(o, "y", point + 1 + c->bytes, c->bytes) != c->bytes)
		return false;
	point[0] = POINT_CONVERSION_UNCOMPRESSED;
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	if (bld && OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, c->group, 0) &&
	    OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * c->bytes))
		out->key = from_params("EC", bld);
	OSSL_PARAM_BLD_free(bld);
	if (out->key && !public_is_sound(out->key)) {
		EVP_PKEY_free(out->key);
		out->key = NULL;
	}
	return out->key;
}

static bool take_okp(const json_t *o, const struct curve *c, struct jwk *out)
{
	uint8_t x[57];
	if (bytes_of(o, "x", x, c->bytes) != c->bytes)
		return false;
	out->key = EVP_PKEY_new_raw_public_key(c->raw, NULL, x, c->bytes);
	return out->key;
}

static bool take_curve(const json_t *o, bool edwards, struct jwk *out)
{
	const char *crv = text_of(o, "crv");
	for (size_t i = 0; crv && i < COUNT_OF(curves); i++) {
		const struct curve *c = &curves[i];
		if (strcmp(crv, c->name) || edwards != !!c->raw)
			continue;
		out->kind = c->kind;
		out->size_bytes = c->bytes;
		return c->raw ? take_okp(o, c, out) : take_ec(o, c, out);
	}
	return false;
}

/* RFC 7517, 4.2 and 4.3. */
static bool is_for_signatures(const json_t *o)
{
	const char *use = text_of(o, "use");
	const json_t *ops = json_object_get(o, "key_ops"), *op;
	size_t i;
	if (use && strcmp(use, "sig"))
		return false;
	if (!ops)
		return true;
	json_array_foreach(ops, i, op)
	{
		const char *word = json_string_value(op);
		if (word && !strcmp(word, "verify"))
			return true;
	}
	return false;
}

static char *keep(const char *s)
{
	size_t n = strlen(s) + 1;
	return memcpy(mem_alloc(n), s, n);
}

static bool take_key(const json_t *o, struct jwk *out)
{
	const char *kty = text_of(o, "kty"), *kid = text_of(o, "kid"), *alg = text_of(o, "alg");
	memset(out, 0, sizeof *out);
	if (!kty || !is_for_signatures(o) || (kid && strlen(kid) > JWK_KID_MAX))
		return false;
	bool taken = !strcmp(kty, "RSA") ? take_rsa(o, out)
	    : !strcmp(kty, "EC")         ? take_curve(o, false, out)
	    : !strcmp(kty, "OKP")        ? take_curve(o, true, out)
	                                 : false;
	if (!taken)
		return false;
	out->kid = kid ? keep(kid) : NULL;
	out->alg = alg ? keep(alg) : NULL;
	return true;
}

/* ---- sets ---- */

static enum err take_keys(const json_t *root, struct jwk_set *s, struct errbuf *eb)
{
	const json_t *keys = json_object_get(root, "keys"), *o;
	size_t i;
	if (!json_is_array(keys))
		return errbuf_set(eb, ERR_MALFORMED, "it has no list \"keys\"");
	if (json_array_size(keys) > JWK_KEYS_MAX)
		return errbuf_set(eb, ERR_TOOBIG, "it has %zu keys, at most %u are taken",
		    json_array_size(keys), JWK_KEYS_MAX);
	s->keys = mem_array(NULL, json_array_size(keys) + 1, sizeof *s->keys);
	json_array_foreach(keys, i, o)
	{
		if (take_key(o, &s->keys[s->count]))
			s->count++;
		else
			s->left_out++;
	}
	ERR_clear_error();
	return 0;
}

enum err jwk_set_parse(const char *json, size_t len, struct jwk_set **out, struct errbuf *eb)
{
	json_error_t why;
	if (len > JWK_SET_BYTES_MAX)
		return errbuf_set(
		    eb, ERR_TOOBIG, "it is larger than %u bytes", (unsigned)JWK_SET_BYTES_MAX);
	if (!jwk_depth_fits(json, len, JWK_DEPTH_MAX))
		return errbuf_set(eb, ERR_TOOBIG, "it is nested deeper than %u", JWK_DEPTH_MAX);
	json_t *root = json_loadb(json, len, JSON_REJECT_DUPLICATES, &why);
	if (!root)
		return errbuf_set(
		    eb, ERR_MALFORMED, "it is no JSON: line %d: %s", why.line, why.text);
	struct jwk_set *s = mem_zalloc(sizeof *s);
	enum err e = take_keys(root, s, eb);
	json_decref(root);
	if (e) {
		jwk_set_free(s);
		return e;
	}
	*out = s;
	return 0;
}

void jwk_set_free(struct jwk_set *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->count; i++) {
		EVP_PKEY_free(s->keys[i].key);
		mem_free((void *)(uintptr_t)s->keys[i].kid);
		mem_free((void *)(uintptr_t)s->keys[i].alg);
	}
	mem_free(s->keys);
	mem_free(s);
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

bool jwk_set_equal(const struct jwk_set *a, const struct jwk_set *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct jwk *x = &a->keys[i], *y = &b->keys[i];
		if (x->kind != y->kind || !same_text(x->kid, y->kid) ||
		    !same_text(x->alg, y->alg) || EVP_PKEY_eq(x->key, y->key) != 1)
			return false;
	}
	return true;
}
