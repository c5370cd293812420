/* tls_priv - a context as the files of net/conn/tls* share it. */
#ifndef NET_CONN_TLS_PRIV_H
#define NET_CONN_TLS_PRIV_H

#include <openssl/ssl.h>
#include <time.h>

#include "core/base/arena.h"
#include "core/rt/snap.h"
#include "net/conn/tls.h"

#define TLS_FILES_MAX 64u

struct tls_file { /* as it was when it was read */
	const char *path;
	uint64_t device, inode, size;
	struct timespec changed, renamed;
};
struct tls_cert {
	X509 *cert;
	EVP_PKEY *key;
	STACK_OF(X509) * chain;
};
struct tls {
	/*
	 * Listeners and connections, which hold longer than their SSL. Counted here: what OpenSSL
	 * counts, the thread sanitizer does not see.
	 */
	struct snap snap;
	SSL_CTX *ctx;
	struct tls_conf conf;
	struct arena arena; /* of conf */
	struct tls_cert *certs;
	size_t cert_count;
	struct tls_file files[TLS_FILES_MAX];
	size_t file_count;
	bool verifies; /* a certificate of a client says who it is */
	uint8_t alpn[16];
	unsigned alpn_len;
};

/* The callback of OpenSSL for tickets; the keys are those of the connection's host. */
int tls_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
    EVP_MAC_CTX *mac, int enc);
struct conn_peer *tls_peer_of(X509 *cert);
bool tls_peer_current(X509 *cert); /* has it not ended? */

#endif
