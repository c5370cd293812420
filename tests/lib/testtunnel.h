/*
 * testtunnel - a way to a TLS server for tests that speak plain bytes, header only: what is sent to
 * its address goes on over TLS, and back; ends and resets of a side are passed on.
 *
 * Thread: one for accepting, one a connection; they end with the process. Memory: of a tunnel,
 * never given back.
 */
#ifndef TESTS_LIB_TESTTUNNEL_H
#define TESTS_LIB_TESTTUNNEL_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>

#include "tests/lib/testtls.h"

#define TESTTUNNEL_BYTES 65536u

struct testtunnel {
	int fd;
	char address[64];
	char to[64];
	const char *alpn;
};
struct testtunnel_conn_ {
	const struct testtunnel *of;
	int plain;
	struct testtls tls;
	/* To the server, and from it: what waits, and whether the side it comes from has ended. */
	uint8_t up[TESTTUNNEL_BYTES], down[TESTTUNNEL_BYTES];
	size_t up_off, up_len, down_off, down_len;
	bool up_end, down_end, broken;
};

/* SSL_ERROR_WANT_* is 0, an end -1. */
TESTCERT_UNUSED static ssize_t testtunnel_result_(struct testtunnel_conn_ *c, int ok, size_t n)
{
	int e = ok == 1 ? 0 : SSL_get_error(c->tls.ssl, ok);
	if (ok == 1)
		return (ssize_t)n;
	if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
		return 0;
	c->broken |= e != SSL_ERROR_ZERO_RETURN;
	return -1;
}

TESTCERT_UNUSED static void testtunnel_from_client_(struct testtunnel_conn_ *c)
{
	ssize_t n = recv(c->plain, c->up, sizeof c->up, MSG_DONTWAIT);
	if (n > 0) {
		c->up_off = 0;
		c->up_len = (size_t)n;
	} else if (n == 0) {
		c->up_end = true;
		SSL_shutdown(c->tls.ssl);
		shutdown(c->tls.fd, SHUT_WR);
	} else if (errno != EAGAIN) {
		c->broken = true;
	}
}

TESTCERT_UNUSED static void testtunnel_from_server_(struct testtunnel_conn_ *c)
{
	size_t n = 0;
	ERR_clear_error();
	int ok = SSL_read_ex(c->tls.ssl, c->down, sizeof c->down, &n);
	ssize_t r = testtunnel_result_(c, ok, n);
	if (r > 0) {
		c->down_off = 0;
		c->down_len = (size_t)r;
	} else if (r < 0) {
		c->down_end = true;
		shutdown(c->plain, SHUT_WR);
	}
}

TESTCERT_UNUSED static void testtunnel_on_(struct testtunnel_conn_ *c)
{
	size_t n = 0;
	ERR_clear_error();
	int ok = c->up_len ? SSL_write_ex(c->tls.ssl, c->up + c->up_off, c->up_len, &n) : 1;
	ssize_t r = testtunnel_result_(c, ok, n);
	if (r > 0) {
		c->up_off += (size_t)r;
		c->up_len -= (size_t)r;
	}
	r = c->down_len
	    ? send(c->plain, c->down + c->down_off, c->down_len, MSG_DONTWAIT | MSG_NOSIGNAL)
	    : 0;
	if (r > 0) {
		c->down_off += (size_t)r;
		c->down_len -= (size_t)r;
	} else if (r < 0 && errno != EAGAIN) {
		c->broken = true;
	}
}

TESTCERT_UNUSED static void testtunnel_wait_(struct testtunnel_conn_ *c)
{
	short plain = (short)((!c->up_len && !c->up_end ? POLLIN : 0) | (c->down_len ? POLLOUT : 0));
	short tls = (short)((!c->down_len && !c->down_end ? POLLIN : 0) | (c->up_len ? POLLOUT : 0));
	struct pollfd p[] = { { .fd = plain ? c->plain : -1, .events = plain },
		{ .fd = tls ? c->tls.fd : -1, .events = tls } };
	if (c->down_len || c->down_end || !SSL_pending(c->tls.ssl))
		poll(p, 2, 1000);
}

TESTCERT_UNUSED static void *testtunnel_conn_run_(void *arg)
{
	struct testtunnel_conn_ *c = arg;
	struct linger reset = { .l_onoff = 1 };
	testtls_open(&c->tls, c->of->to, &(struct testtls_want){ .alpn = c->of->alpn });
	c->broken = !c->tls.ok;
	fcntl(c->tls.fd, F_SETFL, O_NONBLOCK);
	SSL_set_mode(c->tls.ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	while (!c->broken && !(c->up_end && c->down_end && !c->down_len)) {
		testtunnel_wait_(c);
		if (!c->up_len && !c->up_end)
			testtunnel_from_client_(c);
		if (!c->down_len && !c->down_end)
			testtunnel_from_server_(c);
		testtunnel_on_(c);
		if (c->down_end && !c->down_len) {
			/* Whoever has closed takes nothing more. */
			struct pollfd p = { .fd = c->tls.fd, .events = 0 };
			c->broken |= poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLHUP));
		}
	}
	if (c->broken) {
		setsockopt(c->plain, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
		setsockopt(c->tls.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	}
	close(c->plain);
	testtls_close(&c->tls);
	free(c);
	return NULL;
}

TESTCERT_UNUSED static void *testtunnel_run_(void *arg)
{
	struct testtunnel *t = arg;
	for (;;) {
		pthread_t thread;
		struct testtunnel_conn_ *c = calloc(1, sizeof *c);
		c->of = t;
		c->plain = accept4(t->fd, NULL, NULL, SOCK_CLOEXEC);
		testcert_need(c->plain >= 0 &&
		        !pthread_create(&thread, NULL, testtunnel_conn_run_, c) &&
		        !pthread_detach(thread),
		    "no tunnel");
	}
	return NULL;
}

/* to: "127.0.0.1:1234". Where to dial instead. */
TESTCERT_UNUSED static const char *testtunnel_start(const char *to, const char *alpn)
{
	struct testtunnel *t = calloc(1, sizeof *t);
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof sa;
	pthread_t thread;
	t->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	t->alpn = alpn;
	snprintf(t->to, sizeof t->to, "%s", to);
	testcert_need(t->fd >= 0 && !bind(t->fd, (struct sockaddr *)&sa, len) &&
	        !listen(t->fd, 1000) && !getsockname(t->fd, (struct sockaddr *)&sa, &len),
	    "no tunnel");
	snprintf(t->address, sizeof t->address, "127.0.0.1:%u", ntohs(sa.sin_port));
	testcert_need(!pthread_create(&thread, NULL, testtunnel_run_, t) && !pthread_detach(thread),
	    "no tunnel");
	return t->address;
}

#endif
