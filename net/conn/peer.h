/*
 * peer - who the certificate of a TLS client says it is. Only a certificate that the authorities of
 * the listener vouch for makes one.
 *
 * Thread: the loop of its connection. Memory: counted; a connection holds one, and each of its
 * requests, which may outlive it.
 */
#ifndef NET_CONN_PEER_H
#define NET_CONN_PEER_H

#include "core/base/arena.h"

enum conn_san_kind {
	CONN_SAN_DNS,
	CONN_SAN_URI,
	CONN_SAN_EMAIL,
	CONN_SAN_IP /* as text */
};
struct conn_san {
	enum conn_san_kind kind;
	const char *value;
};
struct conn_peer {
	const char *subject;     /* "CN=agent,O=Example", as RFC 4514 */
	const char *common_name; /* "" without one */
	const char *issuer;      /* as subject */
	const struct conn_san *sans;
	size_t san_count;
	uint8_t sha256[32]; /* of the certificate (DER) */

	struct arena _arena; /* the strings, the struct itself not */
	unsigned _held;
};
struct conn_peer *conn_peer_create(void);              /* held once, empty strings */
struct conn_peer *conn_peer_hold(struct conn_peer *p); /* p, which may be NULL */
void conn_peer_drop(struct conn_peer *p);              /* NULL is nobody */
/* Does one of its alternative names, of any kind, equal this text? */
bool conn_peer_has(const struct conn_peer *p, const char *san);

#endif
