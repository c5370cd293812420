/*
 * testtls - a blocking TLS client for tests, header only: handshake, bytes out, an answer in.
 *
 * Thread: any that is not a loop. Memory: a client is ended with testtls_close.
 */
#ifndef TESTS_LIB_TESTTLS_H
#define TESTS_LIB_TESTTLS_H

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "tests/lib/httpcli.h"
#include "tests/lib/testcert.h"

struct testtls_want {
	int version;      /* TLS1_2_VERSION, ...; 0 = any */
	const char *alpn; /* "\x02h2\x08http/1.1"; NULL = none */
	const char *host; /* SNI */
	const struct testcert *cert;
	SSL_SESSION *session;
	const char *ciphers;
	/* Sent before the handshake. */
	const void *before;
	size_t before_len;
};
struct testtls {
	int fd;
	SSL_CTX *ctx;
	SSL *ssl;
	bool ok;              /* the handshake was done */
	char why[200];        /* else */
	SSL_SESSION *session; /* the last ticket that came */
};

TESTCERT_UNUSED static int testtls_ticket(SSL *ssl, SSL_SESSION *s)
{
	struct testtls *t = SSL_get_app_data(ssl);
	SSL_SESSION_free(t->session);
	t->session = s;
	return 1;
}

TESTCERT_UNUSED static void testtls_open(
    struct testtls *t, const char *address, const struct testtls_want *w)
{
	*t = (struct testtls){ .fd = httpcli_dial(address) };
	t->ctx = SSL_CTX_new(TLS_client_method());
	testcert_need(t->ctx, "no client");
	SSL_CTX_set_security_level(t->ctx, 0); /* old versions are to be refused by the server */
	if (w->version) {
		SSL_CTX_set_min_proto_version(t->ctx, w->version);
		SSL_CTX_set_max_proto_version(t->ctx, w->version);
	}
	SSL_CTX_set_session_cache_mode(
	    t->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
	SSL_CTX_sess_set_new_cb(t->ctx, testtls_ticket);
	if (w->ciphers)
		SSL_CTX_set_cipher_list(t->ctx, w->ciphers);
	t->ssl = SSL_new(t->ctx);
	testcert_need(t->ssl && SSL_set_fd(t->ssl, t->fd) == 1, "no client");
	SSL_set_app_data(t->ssl, t);
	if (w->alpn)
		SSL_set_alpn_protos(t->ssl, (const uint8_t *)w->alpn, (unsigned)strlen(w->alpn));
	if (w->host)
		SSL_set_tlsext_host_name(t->ssl, w->host);
	if (w->cert)
		testcert_need(SSL_use_certificate(t->ssl, w->cert->cert) == 1 &&
		        SSL_use_PrivateKey(t->ssl, w->cert->key) == 1,
		    "no certificate");
	if (w->session)
		SSL_set_session(t->ssl, w->session);
	if (w->before_len)
		httpcli_send(t->fd, w->before, w->before_len);
	struct timeval patience = { .tv_sec = 120 };
	setsockopt(t->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	ERR_clear_error();
	t->ok = SSL_connect(t->ssl) == 1;
	if (!t->ok) {
		const char *why = ERR_reason_error_string(ERR_peek_error());
		snprintf(t->why, sizeof t->why, "%s", why ? why : "closed");
	}
}

TESTCERT_UNUSED static bool testtls_send(struct testtls *t, const void *data, size_t len)
{
	const uint8_t *p = data;
	for (size_t n; len; p += n, len -= n)
		if (SSL_write_ex(t->ssl, p, len, &n) != 1)
			return false;
	return true;
}

/* What comes until so many bytes are there, or the end. Returns how many. */
TESTCERT_UNUSED static size_t testtls_read(struct testtls *t, void *out, size_t len)
{
	size_t got = 0, n;
	ERR_clear_error();
	while (got < len && SSL_read_ex(t->ssl, (uint8_t *)out + got, len - got, &n) == 1)
		got += n;
	return got;
}

/* One answer with Content-Length: head and body, NUL-terminated, to be freed. NULL: none came. */
TESTCERT_UNUSED static char *testtls_answer(struct testtls *t)
{
	size_t cap = 1 << 16, len = 0, want = 0, n;
	char *text = malloc(cap + 1), *end = NULL;
	ERR_clear_error();
	while (!end || len < want) {
		if (len == cap)
			text = realloc(text, (cap *= 2) + 1);
		if (SSL_read_ex(t->ssl, text + len, cap - len, &n) != 1)
			break;
		len += n;
		text[len] = 0;
		if (!end && (end = strstr(text, "\r\n\r\n"))) {
			const char *field = strcasestr(text, "content-length:");
			want = (size_t)(end + 4 - text) +
			    (field && field < end ? strtoul(field + 15, NULL, 10) : 0);
			end = text;
		}
	}
	if (!end || len < want) {
		free(text);
		return NULL;
	}
	return text;
}

TESTCERT_UNUSED static char *testtls_ask(struct testtls *t, const char *request)
{
	return testtls_send(t, request, strlen(request)) ? testtls_answer(t) : NULL;
}

TESTCERT_UNUSED static void testtls_close(struct testtls *t)
{
	SSL_SESSION_free(t->session);
	/* Without a word, but as if: else its session may not be resumed. */
	SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(t->ssl);
	SSL_CTX_free(t->ctx);
	close(t->fd);
}

#endif
