#include "net/conn/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/log.h"
#include "core/base/metric.h"

#define BACKLOG 1024

/* ---- addresses ---- */

struct listener {
	struct conn_host *host;
	int fd;
	struct event *event;
	struct loop *loop;
	struct loop_timer pause;
	struct conn_how how;
	struct cidr_set proxy_from; /* of how */
	struct listen_ring *ring;   /* NULL: none */
};

struct listen_ring {
	unsigned count;
	struct ring_place {
		struct conn_host *host;
		struct listener *listener; /* of the host's loop, and read there only */
	} at[];
};

/* A connection on its way to the loop of a place. */
struct handed {
	struct mbox_msg msg;
	struct ring_place *to;
	struct sockaddr_storage sa;
	int fd;
};

/* Cuts "host:port" into two strings; false when there is no port. */
static bool split_address(const char *text, char *host, size_t host_size, char *port, size_t port_size)
{
	const char *colon = strrchr(text, ':'), *start = text, *end = colon;
	if (!colon || !colon[1] || strlen(colon + 1) >= port_size)
		return false;
	if (*text == '[') {
		if (colon == text || colon[-1] != ']')
			return false;
		start++;
		end--;
	} else if (memchr(text, ':', (size_t)(colon - text))) {
		return false; /* an IPv6 address wants brackets */
	}
	size_t len = (size_t)(end - start);
	if (len >= host_size || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
	    strtoul(colon + 1, NULL, 10) > UINT16_MAX)
		return false;
	memcpy(host, start, len);
	host[len] = 0;
	memcpy(port, colon + 1, strlen(colon + 1) + 1);
	return true;
}

enum err listen_parse(const char *text, struct listen_addr *out, struct errbuf *eb)
{
	char host[256], port[6];
	if (!split_address(text, host, sizeof host, port, sizeof port))
		return errbuf_set(eb, ERR_BADDATA,
		    "address \"%s\": HOST:PORT or [IPV6]:PORT is wanted, PORT at most 65535", text);
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	if (!*host)
		hints.ai_family = AF_INET;
	struct addrinfo *ai = NULL;
	int r = getaddrinfo(*host ? host : NULL, port, &hints, &ai);
	if (r || !ai)
		return errbuf_set(eb, ERR_BADDATA, "address \"%s\": %s", text, gai_strerror(r));
	CHECK(ai->ai_addrlen <= sizeof out->sa);
	memset(out, 0, sizeof *out);
	memcpy(&out->sa, ai->ai_addr, ai->ai_addrlen);
	out->len = ai->ai_addrlen;
	freeaddrinfo(ai);
	return 0;
}

bool listen_fits(const char *text)
{
	char host[256], port[6];
	return split_address(text, host, sizeof host, port, sizeof port);
}

void listen_text(const struct listen_addr *a, char out[LISTEN_TEXT_MAX])
{
	char host[INET6_ADDRSTRLEN] = "?";
	if (a->sa.ss_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const void *)&a->sa;
		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
		snprintf(out, LISTEN_TEXT_MAX, "[%s]:%u", host, ntohs(v6->sin6_port));
	} else {
		const struct sockaddr_in *v4 = (const void *)&a->sa;
		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
		snprintf(out, LISTEN_TEXT_MAX, "%s:%u", host, ntohs(v4->sin_port));
	}
}

/* ---- sockets ---- */

static bool set_option(int fd, int level, int name, int value)
{
	return !setsockopt(fd, level, name, &value, sizeof value);
}

/*
 * SO_REUSEPORT lets loops share a port, and would let a second server of the same user take half of
 * the connections: a socket without it tells.
 */
enum err listen_probe(const struct listen_addr *a, struct errbuf *eb)
{
	char text[LISTEN_TEXT_MAX];
	listen_text(a, text);
	int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errbuf_set(eb, ERR_IO, "address %s: socket: %s", text, strerrordesc_np(errno));
	bool ok = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) &&
	    (a->sa.ss_family != AF_INET6 || set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) &&
	    !bind(fd, (const struct sockaddr *)&a->sa, a->len);
	int e = errno;
	close(fd);
	return ok ? 0
	          : errbuf_set(eb, e == EADDRINUSE ? ERR_EXISTS : ERR_IO, "address %s: bind: %s",
	                text, strerrordesc_np(e));
}

enum err listen_open(struct listen_addr *a, int *out, struct errbuf *eb)
{
	char text[LISTEN_TEXT_MAX];
	listen_text(a, text);
	int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errbuf_set(eb, ERR_IO, "address %s: socket: %s", text, strerrordesc_np(errno));
	const char *what = "socket options";
	bool ok = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) &&
	    set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1) &&
	    (a->sa.ss_family != AF_INET6 || set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1));
	if (ok) {
		what = "bind";
		ok = !bind(fd, (const struct sockaddr *)&a->sa, a->len);
	}
	if (ok) {
		what = "listen";
		ok = !listen(fd, BACKLOG);
	}
	if (ok) {
		what = "getsockname";
		ok = !getsockname(fd, (struct sockaddr *)&a->sa, &a->len);
	}
	if (!ok) {
		int e = errno;
		close(fd);
		return errbuf_set(eb, e == EADDRINUSE ? ERR_EXISTS : ERR_IO, "address %s: %s: %s",
		    text, what, strerrordesc_np(e));
	}
	*out = fd;
	return 0;
}

/* ---- rings ---- */

struct listen_ring *listen_ring_create(struct conn_host *const *hosts, unsigned count)
{
	struct listen_ring *r = mem_zalloc(sizeof *r + count * sizeof r->at[0]);
	r->count = count;
	for (unsigned i = 0; i < count; i++)
		r->at[i].host = hosts[i];
	return r;
}

void listen_ring_free(struct listen_ring *r)
{
	mem_free(r);
}

static struct ring_place *ring_place(struct listen_ring *r, const struct loop *loop)
{
	CHECK(loop_index(loop) < r->count);
	return &r->at[loop_index(loop)];
}

/* The place with the fewest connections; mine unless another one has fewer. */
static struct ring_place *ring_least(struct listen_ring *r, struct ring_place *mine)
{
	struct ring_place *least = mine;
	size_t has = loop_carries(conn_host_loop(mine->host));
	for (unsigned i = 0; has && i < r->count; i++) {
		size_t load = loop_carries(conn_host_loop(r->at[i].host));
		if (load >= has)
			continue;
		least = &r->at[i];
		has = load;
	}
	return least;
}

static void handed_arrive(struct mbox_msg *msg)
{
	struct handed *h = CONTAINER_OF(msg, struct handed, msg);
	struct ring_place *here = h->to;
	loop_carry(loop_here(), -1);
	if (here->listener)
		conn_accept(here->host, h->fd, &h->sa, &here->listener->how);
	else /* it has stopped meanwhile */
		close(h->fd);
	mem_free(h);
}

static void ring_hand(struct ring_place *to, int fd, const struct sockaddr_storage *sa)
{
	struct handed *h = mem_alloc(sizeof *h);
	*h = (struct handed){ .msg.fn = handed_arrive, .to = to, .sa = *sa, .fd = fd };
	loop_carry(conn_host_loop(to->host), 1);
	metric_add(M_CONNS_HANDED, 1);
	loop_send(conn_host_loop(to->host), &h->msg);
}

/* ---- accepting ---- */

static void listener_pause(struct listener *l)
{
	metric_add(M_ACCEPT_PAUSES, 1);
	event_del(l->event);
	loop_timer_set(l->loop, &l->pause, LIMIT_ACCEPT_PAUSE_MS);
}

static void listener_resume(struct loop_timer *t)
{
	struct listener *l = CONTAINER_OF(t, struct listener, pause);
	CHECK(!event_add(l->event, NULL));
}

static void listener_take_conn(struct listener *l, int fd, const struct sockaddr_storage *sa)
{
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, LIMIT_NOTSENT_BYTES);
	struct ring_place *mine = l->ring ? ring_place(l->ring, l->loop) : NULL;
	struct ring_place *least = mine ? ring_least(l->ring, mine) : NULL;
	if (least == mine)
		conn_accept(l->host, fd, sa, &l->how);
	else
		ring_hand(least, fd, sa);
}

static void listener_run(struct listener *l)
{
	for (unsigned n = 0; n < LIMIT_ACCEPT_TURN && !(n && loop_is_late(l->loop)); n++) {
		if (!conn_host_has_room(l->host)) {
			listener_pause(l);
			return;
		}
		struct sockaddr_storage sa;
		socklen_t len = sizeof sa;
		int fd = accept4(l->fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			listener_take_conn(l, fd, &sa);
		} else if (errno == EAGAIN) {
			return;
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			LOG_EVERY(LOG_LEVEL_ERROR, "accept_failed", "errno=%d", errno);
			listener_pause(l);
			return;
		} /* else: that connection failed, the next one may be fine */
	}
}

static void listener_on_read(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct listener *l = arg;
	(void)loop_now_ns(l->loop); /* the turn has begun */
	listener_run(l);
}

static void listener_forget(struct listener *l)
{
	tls_drop(l->how.tls);
	cidr_set_release(&l->proxy_from);
}

static void listener_take(struct listener *l, const struct conn_how *how)
{
	cidr_set_copy(&l->proxy_from, how->proxy_from);
	l->how = (struct conn_how){ .tls = tls_hold(how->tls),
		.proxy_from = l->proxy_from.count ? &l->proxy_from : NULL,
		.admin = how->admin };
}

void listener_change(struct listener *l, const struct conn_how *how)
{
	loop_check_here(l->loop);
	struct listener old = *l;
	listener_take(l, how);
	listener_forget(&old);
}

enum err listener_start(struct conn_host *h, int fd, const struct conn_how *how,
    struct listen_ring *ring, struct listener **out)
{
	struct loop *loop = loop_here();
	CHECK(loop);
	struct listener *l = mem_zalloc(sizeof *l);
	*l = (struct listener){ .host = h, .fd = fd, .loop = loop, .ring = ring };
	listener_take(l, how);
	loop_timer_init(&l->pause, listener_resume);
	l->event = event_new(loop_base(loop), fd, EV_READ | EV_PERSIST, listener_on_read, l);
	if (!l->event || event_add(l->event, NULL)) {
		listener_stop(l);
		return ERR_NOMEM;
	}
	if (ring)
		ring_place(ring, loop)->listener = l;
	*out = l;
	return 0;
}

void listener_stop(struct listener *l)
{
	if (l->ring)
		ring_place(l->ring, l->loop)->listener = NULL;
	loop_timer_cancel(l->loop, &l->pause);
	if (l->event)
		event_free(l->event);
	close(l->fd);
	listener_forget(l);
	mem_free(l);
}
