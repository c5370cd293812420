#include "net/client/tlscli.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/mem.h"

/* Where systems keep what they trust: Debian, Fedora, openSUSE, RHEL, Alpine and the BSDs. */
static const char *const bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
	"/etc/ssl/cert.pem",
};

struct tlscli {
	SSL_CTX *ctx;
	BIO_METHOD *socket;
	bool no_trust; /* the system has no bundle */
};

/* ---- a socket that raises no signal ---- */

static int sock_write(BIO *b, const char *data, int len)
{
	ssize_t n = send((int)(intptr_t)BIO_get_data(b), data, (size_t)len, MSG_NOSIGNAL);
	BIO_clear_retry_flags(b);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_write(b);
	return (int)n;
}

static int sock_read(BIO *b, char *out, int len)
{
	ssize_t n = recv((int)(intptr_t)BIO_get_data(b), out, (size_t)len, 0);
	BIO_clear_retry_flags(b);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_read(b);
	else if (n == 0)
		BIO_set_flags(b, BIO_FLAGS_IN_EOF);
	return (int)n;
}

static long sock_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	(void)num;
	(void)ptr;
	if (cmd == BIO_CTRL_EOF)
		return BIO_test_flags(b, BIO_FLAGS_IN_EOF) != 0;
	return cmd == BIO_CTRL_FLUSH;
}

/* ---- settings ---- */

static const char *openssl_says(void)
{
	unsigned long e = ERR_get_error();
	const char *why = e ? ERR_reason_error_string(e) : NULL;
	ERR_clear_error();
	return why ? why : "unknown trouble";
}

static enum err bad_file(const char *what, const char *path, struct errbuf *eb)
{
	if (access(path, R_OK)) {
		enum err e = err_of_errno(errno);
		return errbuf_set(eb, e, "%s %s: %s", what, path, err_why(e));
	}
	return errbuf_set(eb, ERR_BADDATA, "%s %s: %s", what, path, openssl_says());
}

static enum err load_trust(struct tlscli *t, const struct tlscli_conf *c, struct errbuf *eb)
{
	const char *said = c->ca_file ? c->ca_file : getenv("SSL_CERT_FILE");
	if (c->no_verify)
		return 0;
	if (said && *said)
		return SSL_CTX_load_verify_file(t->ctx, said) == 1
		    ? 0
		    : bad_file("CA certificates", said, eb);
	for (size_t i = 0; i < COUNT_OF(bundles); i++)
		if (!access(bundles[i], R_OK) && SSL_CTX_load_verify_file(t->ctx, bundles[i]) == 1)
			return 0;
	ERR_clear_error();
	t->no_trust = true;
	return 0;
}

static enum err load_own(struct tlscli *t, const struct tlscli_conf *c, struct errbuf *eb)
{
	if (!c->cert_file && !c->key_file)
		return 0;
	if (!c->cert_file || !c->key_file)
		return errbuf_set(eb, ERR_BADDATA, "TLS: a certificate and its key come together");
	if (SSL_CTX_use_certificate_chain_file(t->ctx, c->cert_file) != 1)
		return bad_file("certificate", c->cert_file, eb);
	if (SSL_CTX_use_PrivateKey_file(t->ctx, c->key_file, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(t->ctx) != 1)
		return bad_file("key", c->key_file, eb);
	return 0;
}

static void set_up(struct tlscli *t, const struct tlscli_conf *c)
{
	SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(t->ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(t->ctx,
	    SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
	        SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(t->ctx, c->no_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
}

enum err tlscli_load(const struct tlscli_conf *conf, struct tlscli **out, struct errbuf *eb)
{
	struct tlscli *t = mem_zalloc(sizeof *t);
	ERR_clear_error();
	t->ctx = SSL_CTX_new(TLS_client_method());
	/* No index of its own: OpenSSL has 127, and settings may be read more often. */
	t->socket = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "socket");
	if (!t->ctx || !t->socket || BIO_meth_set_write(t->socket, sock_write) != 1 ||
	    BIO_meth_set_read(t->socket, sock_read) != 1 ||
	    BIO_meth_set_ctrl(t->socket, sock_ctrl) != 1)
		panic("no memory for TLS");
	set_up(t, conf);
	enum err e = load_trust(t, conf, eb);
	if (!e)
		e = load_own(t, conf, eb);
	if (e) {
		tlscli_free(t);
		return e;
	}
	*out = t;
	return 0;
}

void tlscli_free(struct tlscli *t)
{
	if (!t)
		return;
	SSL_CTX_free(t->ctx);
	BIO_meth_free(t->socket);
	mem_free(t);
}

/* ---- sessions ---- */

static void set_name(SSL *ssl, const char *name)
{
	unsigned char ip[16];
	int ok;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1)
		ok = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name);
	else
		ok = SSL_set1_host(ssl, name) && SSL_set_tlsext_host_name(ssl, name);
	if (!ok)
		panic("no memory for a TLS session");
}

struct ssl_st *tlscli_session(const struct tlscli *t, int fd, const char *name, enum tlscli_alpn alpn)
{
	static const unsigned char words[] = "\x02h2\x08http/1.1";
	SSL *ssl = SSL_new(t->ctx);
	BIO *bio = BIO_new(t->socket);
	if (!ssl || !bio)
		panic("no memory for a TLS session");
	BIO_set_data(bio, (void *)(intptr_t)fd);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	SSL_set_connect_state(ssl);
	set_name(ssl, name);
	const unsigned char *from = alpn == TLSCLI_H1 ? words + 3 : words;
	unsigned len = alpn == TLSCLI_H2 ? 3 : alpn == TLSCLI_H1 ? 9 : 12;
	if (SSL_set_alpn_protos(ssl, from, len)) /* 0 is success here */
		panic("no memory for a TLS session");
	return ssl;
}

enum err tlscli_why(const struct tlscli *t, struct ssl_st *ssl, char *out, size_t size)
{
	long bad = SSL_get_verify_result(ssl);
	unsigned long e = ERR_peek_error();
	if (ERR_GET_LIB(e) == ERR_LIB_SSL && ERR_GET_REASON(e) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
		snprintf(out, size, "%s%s", X509_verify_cert_error_string(bad),
		    t->no_trust ? " (this system has no file of trusted certificates)" : "");
		ERR_clear_error();
		return ERR_ACCESS;
	}
	if (ERR_GET_LIB(e) == ERR_LIB_SSL &&
	    ERR_GET_REASON(e) == SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL) {
		snprintf(out, size, "the server does not speak HTTP/2, or nothing that is offered");
		ERR_clear_error();
		return ERR_UNSUPPORTED;
	}
	snprintf(out, size, "%s", openssl_says());
	return ERR_IO;
}
