/*
 * tlscli - TLS of connections we begin: whom we trust, who we are.
 *
 * TLS 1.2 and 1.3, no renegotiation, no compression. The server's certificate must lead to a
 * trusted one and name the host (RFC 9525: a wildcard is a whole label), unless no_verify. Trust:
 * ca_file, else the file SSL_CERT_FILE names, else the system's bundle, read whole now, so that no
 * handshake reads files.
 *
 * Thread: tlscli_load reads files: before loops serve, or a worker; sessions are of one loop each,
 * any loop at the same time. Memory: the caller's; outlives its sessions' clients.
 */
#ifndef NET_CLIENT_TLSCLI_H
#define NET_CLIENT_TLSCLI_H

#include "core/base/err.h"

struct tlscli;
struct ssl_st;
struct tlscli_conf {
	const char *ca_file;              /* PEM; NULL = the system's */
	const char *cert_file, *key_file; /* PEM; NULL = none of our own */
	bool no_verify;                   /* believes anybody */
};
/* ERR_ACCESS, ERR_IO, ERR_BADDATA with a text that names the file. */
MUST_CHECK enum err tlscli_load(
    const struct tlscli_conf *conf, struct tlscli **out, struct errbuf *eb);
void tlscli_free(struct tlscli *t); /* NULL is fine */

enum tlscli_alpn {
	TLSCLI_H1, /* http/1.1 alone */
	TLSCLI_H2,
	TLSCLI_BOTH /* h2 first */
};
/* On a connected socket; name: host or literal address that the certificate must have. */
struct ssl_st *tlscli_session(
    const struct tlscli *t, int fd, const char *name, enum tlscli_alpn alpn);
/*
 * Why the handshake, or reading or writing after it, failed: the first error OpenSSL has noted on
 * this thread, in words; it is taken. ERR_ACCESS: the certificate is not good. ERR_UNSUPPORTED: no
 * protocol of alpn.
 */
enum err tlscli_why(const struct tlscli *t, struct ssl_st *ssl, char *out, size_t size);

#endif
