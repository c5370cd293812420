/*
 * tls - TLS 1.2 and 1.3 on accepted connections, by OpenSSL; its conventions stop in net/conn/tls*.
 *
 * A struct tls is what a listener offers: certificates, whom it trusts, versions and ciphers. It
 * never changes: a renewed certificate makes another one, and connections keep the one they began
 * with. tls_create reads files, so it is called at start or on a worker.
 * Cost of a handshake on a loop, in all its steps: 0.5 ms with an ECDSA key, 0.8 ms with RSA of
 * 2,048 bits; a resumed one saves the signature, not the key exchange. Each of its steps waits in
 * the loop's last queue (LOOP_LATER), where one at least and 200 us in all are done each turn: many
 * handshakes never hold up requests.
 * Sessions are resumed by tickets alone. Their keys are made anew every TLS_KEY_S seconds from a
 * secret that is one-way: what lies in memory does not open older tickets. All loops, and all that
 * replace one another, make the same keys. A ticket opens only where the same clients are trusted.
 * ALPN: h2 and http/1.1; who asks for something else only is refused, who does not ask has
 * HTTP/1.1.
 * Not offered: renegotiation, compression, early data.
 *
 * Thread: tls_create, tls_hold, tls_drop any; the rest is the loop's. Memory: counted.
 * Errors: a text that names the key of the configuration, the file, and what is wrong with it.
 */
#ifndef NET_CONN_TLS_H
#define NET_CONN_TLS_H

#include "net/conn/conn.h"

#define TLS_KEY_S     (6u * 3600u)
#define TLS_SESSION_S (2u * 3600u)

enum tls_client { /* certificates of clients */
	TLS_CLIENT_NONE,
	TLS_CLIENT_ASK,     /* asked for, none is fine, nor is it looked at */
	TLS_CLIENT_ANY,     /* one must come, whosever */
	TLS_CLIENT_VERIFY,  /* none is fine, one that comes must be vouched for */
	TLS_CLIENT_REQUIRE, /* one must come, and be vouched for */
};
enum tls_version {
	TLS_VERSION_USUAL,
	TLS_VERSION_1_2,
	TLS_VERSION_1_3,
};
struct tls_pair {
	const char *cert_file; /* PEM: the certificate, then those between it and the root */
	const char *key_file;  /* PEM, without a passphrase */
};
/* Memory: borrowed until tls_create returns. */
struct tls_conf {
	/* The first is for who does not say which host it wants (SNI), or names none of them. */
	const struct tls_pair *pairs;
	size_t pair_count;
	const char *client_ca_file; /* NULL = none; TLS_CLIENT_VERIFY and REQUIRE want it */
	enum tls_client client;
	/* A client's certificate must have one of these; none: any will do. */
	const char *const *allowed_sans;
	size_t allowed_san_count;
	enum tls_version least, most;
	const char *ciphers; /* OpenSSL names of TLS 1.2 suites with ':' between; NULL = usual */
	const char *groups;  /* of key exchange, e.g. "X25519:P-256"; NULL = usual */
	bool no_h2;
};
MUST_CHECK enum err tls_create(const struct tls_conf *conf, struct tls **out, struct errbuf *eb);
/* Again from its files. */
MUST_CHECK enum err tls_renew(struct tls *old, struct tls **out, struct errbuf *eb);
struct tls *tls_hold(struct tls *t); /* t; NULL is fine, here and below */
void tls_drop(struct tls *t);
/*
 * Is one of its files another one by now, or changed, since it was read or since the last call that
 * said so? Looks at the disk. One thread at a time.
 */
bool tls_is_stale(struct tls *t);
/* When its first certificate ends, in unix seconds. */
int64_t tls_ends_s(const struct tls *t);

/* The keys of tickets, for one loop. Those made from the same seed and time are the same. */
#define TLS_SEED_BYTES 32
struct tls_keys *tls_keys_create(const uint8_t seed[TLS_SEED_BYTES], uint64_t now_ns);
void tls_keys_free(struct tls_keys *k);

/* For net/conn/front and conn: the handshake begins; the end of c. */
void tls_begin(struct conn *c, struct tls *t);
void tls_conn_free(struct conn *c);
/* The handshake did not end in time, or the server ends meanwhile. */
void tls_give_up(struct conn *c, bool late);

#endif
