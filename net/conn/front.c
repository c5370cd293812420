#include "net/conn/front.h"

#include <errno.h>

#include "core/base/arena.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "net/conn/tls.h"
#include "proto/proxyhdr.h"

/* While a header comes. */
struct front {
	struct tls *tls; /* held; what comes behind it */
	size_t len;
	uint8_t bytes[PROXYHDR_MAX];
};

static void front_free(struct conn *c)
{
	struct front *f = c->_front;
	if (!f)
		return;
	tls_drop(f->tls);
	mem_free(f);
	c->_front = NULL;
}

/* ---- there is no protocol yet ---- */

static void front_input(struct conn *c, const uint8_t *data, size_t len)
{
	(void)c;
	(void)data;
	(void)len;
}

static void front_filled(struct conn *c, size_t len)
{
	(void)c;
	(void)len;
}

static void front_end(struct conn *c)
{
	if (!c->_front)
		tls_give_up(c, false);
	conn_finish(c);
}

static void front_deadline(struct conn *c)
{
	metric_add(M_CONN_TIMEOUTS_FRONT, 1);
	if (!c->_front)
		tls_give_up(c, true);
	conn_abort(c);
}

static const struct conn_ops front_ops = {
	.input = front_input,
	.filled = front_filled,
	.eof = front_end,
	.room = front_end,
	.deadline = front_deadline,
	.drain = front_end,
	.closed = front_free,
};

/* ---- the header ---- */

static ssize_t front_refuse(struct conn *c, const char *why)
{
	char from[CIDR_TEXT_MAX];
	cidr_address_text(&c->remote, from);
	metric_add(M_PROXY_REFUSED, 1);
	LOG_EVERY(LOG_LEVEL_WARN, "proxy_header_refused", "from=%s reason=\"%s\"", from, why);
	errno = EPROTO;
	return -1;
}

static void front_tls(struct conn *c, struct tls *t)
{
	tls_begin(c, t);
	conn_deadline(c, LIMIT_HANDSHAKE_MS);
}

/* The header is whole and read. False: the client it names has too many connections. */
static bool front_header_done(struct conn *c, const struct proxyhdr *h)
{
	struct front *f = c->_front;
	struct tls *t = tls_hold(f->tls);
	const struct cidr_set *proxies = conn_host_proxies(c->host);
	const struct sockaddr_storage from = h->local ? c->remote : h->from;
	front_free(c);
	c->_io = &conn_plain_io;
	metric_add(M_PROXY_HEADERS, 1);
	if (h->local) {
		c->proxy = cidr_set_has(proxies, &from);
	} else if (!conn_set_remote(c, &from, cidr_set_has(proxies, &from))) {
		tls_drop(t);
		return false;
	}
	if (t)
		front_tls(c, t);
	else
		conn_opened(c);
	tls_drop(t);
	return true;
}

static ssize_t front_read(struct conn *c, const struct iovec *v, int count)
{
	struct front *f = c->_front;
	for (;;) {
		struct proxyhdr h;
		uint8_t *at = f->bytes + f->len;
		ssize_t n = recv(c->_fd, at, sizeof(f->bytes) - f->len, MSG_PEEK);
		if (n <= 0)
			return n;
		enum proxyhdr_state s = proxyhdr_parse(f->bytes, f->len + (size_t)n, &h);
		if (s == PROXYHDR_BAD)
			return front_refuse(c, h.why);
		size_t take = s == PROXYHDR_DONE ? h.len - f->len : (size_t)n;
		if (recv(c->_fd, at, take, 0) != (ssize_t)take)
			return front_refuse(c, "the header cannot be read");
		f->len += take;
		if (s == PROXYHDR_MORE)
			continue;
		if (front_header_done(c, &h))
			return c->_io->read(c, v, count);
		errno = ECONNREFUSED;
		return -1;
	}
}

static ssize_t front_write(struct conn *c, const struct iovec *v, int count)
{
	(void)c;
	(void)v;
	(void)count;
	errno = EAGAIN; /* nobody has anything to say yet */
	return -1;
}

static const struct conn_io front_io = {
	.read = front_read, .write = front_write, .turn_bytes = CONN_READ_TURN
};

void front_begin(struct conn *c, const struct conn_how *how, bool header)
{
	c->ops = &front_ops;
	if (!header) {
		front_tls(c, how->tls);
		return;
	}
	struct front *f = mem_zalloc(sizeof(*f));
	f->tls = tls_hold(how->tls);
	c->_front = f;
	c->_io = &front_io;
	conn_deadline(c, LIMIT_HEADER_MS);
}
