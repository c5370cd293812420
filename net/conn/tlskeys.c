/*
 * tlskeys - keys of session tickets, made from one secret that moves on.
 *
 *   chain(0) = seed;  chain(n + 1) = KDF(chain(n), 4);  name, cipher and MAC key of period n =
 *   KDF(chain(n), 1..3)
 *
 * A loop keeps chain(n - 1)'s keys, those of n and of n + 1, and chain(n + 1); no older ones. So
 * loops agree without a word, a ticket of a loop whose clock is ahead opens, and what is in memory
 * opens no ticket of before the last period.
 */
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <sodium.h>
#include <string.h>

#include "net/conn/tls_priv.h"

#define NAME_BYTES 16u
#define KEY_BYTES  32u
#define KEPT       3u /* the last, this one, the next */
STATIC(TLS_SEED_BYTES == crypto_kdf_KEYBYTES);
STATIC(NAME_BYTES >= crypto_kdf_BYTES_MIN);

struct ticket_key {
	uint8_t name[NAME_BYTES], cipher[KEY_BYTES], mac[KEY_BYTES];
};
struct tls_keys {
	uint64_t start_ns, period;
	uint8_t chain[TLS_SEED_BYTES]; /* of the period after the next one */
	bool has_last;
	struct ticket_key keys[KEPT];
};

static void derive(const uint8_t chain[TLS_SEED_BYTES], uint64_t which, uint8_t *out, size_t len)
{
	CHECK(!crypto_kdf_derive_from_key(out, len, which, "kymotick", chain));
}

/* The keys of the period of k->chain, which moves on. */
static void key_next(struct tls_keys *k, struct ticket_key *out)
{
	uint8_t next[TLS_SEED_BYTES];
	derive(k->chain, 1, out->name, sizeof(out->name));
	derive(k->chain, 2, out->cipher, sizeof(out->cipher));
	derive(k->chain, 3, out->mac, sizeof(out->mac));
	derive(k->chain, 4, next, sizeof(next));
	memcpy(k->chain, next, sizeof(next));
	sodium_memzero(next, sizeof(next));
}

struct tls_keys *tls_keys_create(const uint8_t seed[TLS_SEED_BYTES], uint64_t now_ns)
{
	struct tls_keys *k = mem_zalloc(sizeof(*k));
	k->start_ns = now_ns;
	memcpy(k->chain, seed, sizeof(k->chain));
	key_next(k, &k->keys[1]);
	key_next(k, &k->keys[2]);
	return k;
}

void tls_keys_free(struct tls_keys *k)
{
	if (!k)
		return;
	sodium_memzero(k, sizeof(*k));
	mem_free(k);
}

static void keys_move(struct tls_keys *k, uint64_t now_ns)
{
	uint64_t period = (now_ns - k->start_ns) / (TLS_KEY_S * UINT64_C(1000000000));
	for (; k->period < period; k->period++) {
		k->keys[0] = k->keys[1];
		k->keys[1] = k->keys[2];
		k->has_last = true;
		key_next(k, &k->keys[2]);
	}
}

static const struct ticket_key *key_named(const struct tls_keys *k, const unsigned char *name)
{
	for (size_t i = k->has_last ? 0 : 1; i < KEPT; i++)
		if (!memcmp(k->keys[i].name, name, NAME_BYTES))
			return &k->keys[i];
	return NULL;
}

static bool set_mac(EVP_MAC_CTX *mac, const struct ticket_key *key)
{
	static char sha256[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(
		    OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->mac, sizeof(key->mac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 0),
		OSSL_PARAM_construct_end(),
	};
	return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* 1: go on; 0: no such key, a full handshake follows; -1: it does not work. */
int tls_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
    EVP_MAC_CTX *mac, int enc)
{
	struct conn *c = SSL_get_app_data(ssl);
	struct tls_keys *k = conn_host_keys(c->host);
	if (!k)
		return enc ? -1 : 0;
	keys_move(k, loop_now_ns(c->loop));
	const struct ticket_key *key = enc ? &k->keys[1] : key_named(k, name);
	if (!key)
		return 0;
	if (enc) {
		memcpy(name, key->name, NAME_BYTES);
		if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
			return -1;
	}
	int ok = enc ? EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv)
	             : EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv);
	if (ok != 1 || !set_mac(mac, key))
		return -1;
	/* 2: and a new one is wanted: those of TLS 1.3 are good for one use (RFC 8446, C.4). */
	return enc || (key == &k->keys[1] && SSL_version(ssl) < TLS1_3_VERSION) ? 1 : 2;
}
