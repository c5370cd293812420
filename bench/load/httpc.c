#include "bench/load/httpc.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bench/load/access.h"
#include "core/base/clock.h"

#define LOOK_US    200000       /* between looks whether to give up */
#define ANSWER_MAX (1ull << 32) /* bytes: more is no answer */

enum err httpc_url_parse(const char *url, struct httpc_url *out, struct errbuf *eb)
{
	memset(out, 0, sizeof(*out));
	out->tls = !strncmp(url, "https://", 8);
	if (!out->tls && strncmp(url, "http://", 7) != 0)
		return errbuf_set(
		    eb, ERR_BADDATA, "url \"%s\" does not begin with http:// or https://", url);
	const char *host = url + (out->tls ? 8 : 7);
	size_t len = strcspn(host, ":/");
	if (!len || len >= sizeof(out->host))
		return errbuf_set(eb, ERR_BADDATA, "url \"%s\" has no host", url);
	memcpy(out->host, host, len);
	const char *p = host + len;
	snprintf(out->port, sizeof(out->port), "%s", out->tls ? "443" : "80");
	if (*p == ':') {
		p++;
		len = strcspn(p, "/");
		if (!len || len >= sizeof(out->port))
			return errbuf_set(eb, ERR_BADDATA, "url \"%s\" has no port", url);
		memcpy(out->port, p, len);
		out->port[len] = 0;
		p += len;
	}
	snprintf(out->prefix, sizeof(out->prefix), "%s", p);
	len = strlen(out->prefix);
	if (len && out->prefix[len - 1] == '/')
		out->prefix[len - 1] = 0;
	return ERR_OK;
}

void httpc_url_base(struct httpc_url *u, char api[HTTPC_API_MAX])
{
	char *at = u->prefix;
	api[0] = 0;
	while ((at = strstr(at, "/api")) && at[4] && at[4] != '/')
		at++;
	if (!at)
		return;
	snprintf(api, HTTPC_API_MAX, "%s", at);
	*at = 0;
}

static bool spoken; /* a handshake went well, of any thread's */

void httpc_init(struct httpc *c, const struct httpc_url *url)
{
	c->url = *url;
	c->fd = -1;
	c->ssl = NULL;
	c->h2 = false;
	c->until_ns = c->repeats = 0;
	c->stop = NULL;
	buf_init(&c->in);
}

static void hang_up(struct httpc *c)
{
	SSL_free(c->ssl);
	c->ssl = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

void httpc_release(struct httpc *c)
{
	hang_up(c);
	buf_release(&c->in);
}

static bool hurried(const struct httpc *c)
{
	return c->until_ns || c->stop;
}

static bool gives_up(const struct httpc *c)
{
	if (!(c->until_ns && clock_real_mono_ns() > c->until_ns) && !(c->stop && c->stop()))
		return false;
	errno = ETIMEDOUT;
	return true;
}

static int connect_to(const struct httpc *c)
{
	const struct httpc_url *u = &c->url;
	const struct timeval look = { .tv_usec = LOOK_US };
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
	if (getaddrinfo(u->host, u->port, &hints, &list))
		return -1;
	int fd = -1;
	for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
		if (fd >= 0 && hurried(c)) {
			setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &look, sizeof(look));
			setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &look, sizeof(look));
		}
		if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen)) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(list);
	int on = 1;
	if (fd >= 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

/*
 * As errno tells it: of TLS there is no better word. Before anything was spoken a repeat is
 * pointless, and so is the rest of the run: it ends here, by the first thread that comes.
 */
static bool tls_failed(const struct httpc *c)
{
	static bool told;
	const char *why = ERR_reason_error_string(ERR_peek_last_error());
	long cert = SSL_get_verify_result(c->ssl);
	if (why && !__atomic_load_n(&spoken, __ATOMIC_RELAXED)) {
		if (__atomic_exchange_n(&told, true, __ATOMIC_RELAXED))
			for (;;)
				pause();
		fprintf(stderr, "kymobench: https://%s:%s: TLS: %s%s%s%s\n", c->url.host, c->url.port,
		    why, cert ? ": " : "", cert ? X509_verify_cert_error_string(cert) : "",
		    cert ? " (--ca FILE: whom to believe; --insecure: anybody)" : "");
		_exit(EXIT_FAILURE);
	}
	if (why)
		fprintf(stderr, "kymobench: TLS: %s\n", why);
	errno = EPROTO;
	return false;
}

static bool connect_tls(struct httpc *c)
{
	CHECK(access_tls());
	ERR_clear_error();
	c->ssl = SSL_new(access_tls());
	CHECK(c->ssl && SSL_set_fd(c->ssl, c->fd) == 1);
	X509_VERIFY_PARAM *p = SSL_get0_param(c->ssl);
	if (X509_VERIFY_PARAM_set1_ip_asc(p, c->url.host) != 1)
		CHECK(SSL_set_tlsext_host_name(c->ssl, c->url.host) == 1 &&
		    X509_VERIFY_PARAM_set1_host(p, c->url.host, 0) == 1);
	static const unsigned char h2[] = { 2, 'h', '2' };
	if (c->h2)
		CHECK(!SSL_set_alpn_protos(c->ssl, h2, sizeof(h2)));
	if (SSL_connect(c->ssl) != 1)
		return tls_failed(c);
	__atomic_store_n(&spoken, true, __ATOMIC_RELAXED);
	return true;
}

static bool connect_now(struct httpc *c)
{
	c->fd = connect_to(c);
	return c->fd >= 0 && (!c->url.tls || connect_tls(c));
}

static bool send_tls(struct httpc *c, const struct iovec *v, int count)
{
	size_t n;
	for (int i = 0; i < count; i++)
		if (v[i].iov_len && SSL_write_ex(c->ssl, v[i].iov_base, v[i].iov_len, &n) != 1) {
			errno = EPIPE;
			return false;
		}
	return true;
}

static ssize_t recv_some(struct httpc *c, void *data, size_t len)
{
	size_t n;
	if (!c->ssl)
		return recv(c->fd, data, len, 0);
	if (SSL_read_ex(c->ssl, data, len, &n) == 1)
		return (ssize_t)n;
	errno = ECONNRESET;
	return -1;
}

static bool send_all(int fd, struct iovec *v, int count)
{
	while (count) {
		struct msghdr m = { .msg_iov = v, .msg_iovlen = (size_t)count };
		ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		size_t left = (size_t)n;
		while (count && left >= v->iov_len) {
			left -= v->iov_len;
			v++;
			count--;
		}
		if (count) {
			v->iov_base = (char *)v->iov_base + left;
			v->iov_len -= left;
		}
	}
	return true;
}

static bool more(struct httpc *c)
{
	buf_reserve(&c->in, 65536);
	ssize_t n;
	do
		n = recv_some(c, c->in.data + c->in.len, c->in.cap - c->in.len);
	while (n < 0 && (errno == EINTR || (errno == EAGAIN && hurried(c))) && !gives_up(c));
	if (n == 0)
		errno = ECONNRESET;
	if (n <= 0)
		return false;
	c->in.len += (size_t)n;
	return true;
}

static char *header_end(struct httpc *c)
{
	return c->in.len ? memmem(c->in.data, c->in.len, "\r\n\r\n", 4) : NULL;
}

static const char *header(const char *head, const char *name)
{
	size_t n = strlen(name);
	for (const char *p = strstr(head, "\r\n"); p; p = strstr(p, "\r\n")) {
		p += 2;
		if (!strncasecmp(p, name, n) && p[n] == ':')
			return p + n + 1 + strspn(p + n + 1, " ");
	}
	return NULL;
}

/* Chunks are joined in place behind the header. */
static bool read_chunked(struct httpc *c, size_t off)
{
	size_t in = off, out = off;
	for (;;) {
		char *eol;
		while (!(eol = memmem(c->in.data + in, c->in.len - in, "\r\n", 2))) {
			if (!more(c))
				return false;
		}
		size_t size = strtoul((char *)c->in.data + in, NULL, 16);
		in = (size_t)(eol + 2 - (char *)c->in.data);
		if (size > ANSWER_MAX || in > ANSWER_MAX)
			return false;
		while (c->in.len < in + size + 2) {
			if (!more(c))
				return false;
		}
		memmove(c->in.data + out, c->in.data + in, size);
		out += size;
		in += size + 2;
		if (!size)
			break;
	}
	c->in.len = out;
	return true;
}

static int exchange(struct httpc *c, struct iovec *v, int count, bool head_only, size_t *body_off)
{
	buf_clear(&c->in);
	if (!(c->ssl ? send_tls(c, v, count) : send_all(c->fd, v, count)))
		return -1;
	char *end;
	while (!(end = header_end(c))) {
		if (!more(c))
			return -1;
	}
	size_t off = (size_t)(end + 4 - (char *)c->in.data);
	end[2] = 0;
	const char *head = (const char *)c->in.data;
	int status = !strncmp(head, "HTTP/1.", 7) && head[7] && head[8]
	    ? (int)strtol(head + 9, NULL, 10)
	    : -1;
	const char *length = header(head, "Content-Length"),
	           *coding = header(head, "Transfer-Encoding"), *conn = header(head, "Connection");
	bool closing = conn && !strncasecmp(conn, "close", 5);
	size_t want = length ? strtoul(length, NULL, 10) : 0;
	bool chunked = coding && !strncasecmp(coding, "chunked", 7);
	*body_off = off;
	if (status < 100 || status > 999 || want > ANSWER_MAX) {
		errno = EPROTO;
		return -1;
	}
	if (!head_only && status != 204) {
		if (chunked && !read_chunked(c, off))
			return -1;
		while (!chunked && c->in.len < off + want) {
			if (!more(c))
				return -1;
		}
	}
	if (closing)
		hang_up(c);
	return status;
}

int httpc_do(struct httpc *c, const char *method, const char *path, const char *headers,
    const void *body, size_t len, size_t *body_off)
{
	char head[4096 + 8192];
	for (int attempt = 0;; attempt++) {
		bool fresh = c->fd < 0;
		if (fresh && !connect_now(c)) {
			int e = errno;
			hang_up(c);
			errno = e;
			return -1;
		}
		int n = snprintf(head, sizeof(head),
		    "%s %s%s HTTP/1.1\r\nHost: %s:%s\r\nContent-Length: %zu\r\n%s%s\r\n", method,
		    c->url.prefix, path, c->url.host, c->url.port, len, access_headers(), headers);
		if (n < 0 || (size_t)n >= sizeof(head)) {
			errno = E2BIG;
			return -1;
		}
		struct iovec v[2] = { { head, (size_t)n }, { (void *)(uintptr_t)body, len } };
		int status = exchange(c, v, len ? 2 : 1, !strcmp(method, "HEAD"), body_off);
		if (status >= 0)
			return status;
		int e = errno;
		hang_up(c);
		errno = e;
		if (fresh || attempt || e == ETIMEDOUT || e == EPROTO)
			return -1;
		c->repeats++;
	}
}

const char *httpc_field(const struct httpc *c, const char *name)
{
	return c->in.len ? header((const char *)c->in.data, name) : NULL;
}

bool httpc_connect(struct httpc *c)
{
	return connect_now(c);
}

bool httpc_speaks_h2(const struct httpc *c)
{
	const unsigned char *got;
	unsigned len;
	SSL_get0_alpn_selected(c->ssl, &got, &len);
	return len == 2 && !memcmp(got, "h2", 2);
}

void httpc_close(struct httpc *c)
{
	hang_up(c);
}
