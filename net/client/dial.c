#include "net/client/dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/metric.h"
#include "net/client/addrule.h"

#define PEER_MAX 320u /* host, address and port */
/* TCP's own probes: a silent connection is given up after a minute. */
#define KEEP_IDLE_S 30
#define KEEP_EACH_S 10
#define KEEP_PROBES 3

struct attempt {
	struct dial *d;
	int fd; /* -1 = none */
	struct event *event;
	char peer[PEER_MAX];
};

struct dial {
	struct loop *loop;
	struct dial_opts opts;
	struct resolveconf_addr *addrs; /* in the order of attempts */
	struct attempt *attempts;
	size_t begun, failed;
	struct loop_timer timer;
	struct loop_deferred end;
	bool end_set;
	struct attempt *winner;
	/* The first failure; one of a rule gives way to any other. */
	enum err err;
	char text[DIAL_TEXT_MAX];
};

static void dial_next(struct dial *d);

/* ---- addresses ---- */

static socklen_t sockaddr_of(
    const struct resolveconf_addr *a, uint16_t port, struct sockaddr_storage *out)
{
	memset(out, 0, sizeof *out);
	if (a->family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)out;
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		memcpy(&in->sin_addr, a->ip, 4);
		return sizeof *in;
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	memcpy(&in6->sin6_addr, a->ip, 16);
	return sizeof *in6;
}

static void name_peer(
    char out[PEER_MAX], const struct resolveconf_addr *a, uint16_t port, const char *host)
{
	char ip[INET6_ADDRSTRLEN] = "";
	inet_ntop(a->family, a->ip, ip, sizeof ip);
	bool six = a->family == AF_INET6, literal = !strcmp(ip, host);
	snprintf(out, PEER_MAX, "%s%s%s:%u%s%s%s", six ? "[" : "", ip, six ? "]" : "",
	    (unsigned)port, literal ? "" : " (", literal ? "" : host, literal ? "" : ")");
}

/* Families take turns, IPv6 first; within one the order stays. */
static void set_order(struct dial *d)
{
	const struct dial_opts *o = &d->opts;
	size_t six = 0, four = 0, n = 0;
	while (n < o->addr_count) {
		while (six < o->addr_count && o->addrs[six].family != AF_INET6)
			six++;
		if (six < o->addr_count)
			d->addrs[n++] = o->addrs[six++];
		while (four < o->addr_count && o->addrs[four].family != AF_INET)
			four++;
		if (four < o->addr_count)
			d->addrs[n++] = o->addrs[four++];
	}
}

/* ---- attempts ---- */

static void attempt_close(struct attempt *a)
{
	if (a->event)
		event_free(a->event);
	if (a->fd >= 0)
		close(a->fd);
	a->event = NULL;
	a->fd = -1;
}

static void dial_free(struct dial *d)
{
	for (size_t i = 0; i < d->begun; i++)
		attempt_close(&d->attempts[i]);
	loop_timer_cancel(d->loop, &d->timer);
	if (d->end_set)
		list_del(&d->end.link);
	mem_free(d->attempts);
	mem_free(d->addrs);
	mem_free(d);
}

static void dial_tell(struct loop_deferred *def)
{
	struct dial *d = CONTAINER_OF(def, struct dial, end);
	struct dial_end end = { .fd = -1, .err = d->err, .text = d->text };
	char peer[PEER_MAX] = "";
	d->end_set = false;
	if (d->winner) {
		memcpy(peer, d->winner->peer, sizeof peer);
		end = (struct dial_end){ .fd = d->winner->fd, .text = "", .peer = peer };
		d->winner->fd = -1;
	} else if (d->failed > 1) {
		size_t n = strlen(d->text);
		snprintf(d->text + n, sizeof d->text - n,
		    " (the first of %zu addresses that failed)", d->failed);
	}
	void (*done)(void *arg, const struct dial_end *end) = d->opts.done;
	void *arg = d->opts.arg;
	char text[DIAL_TEXT_MAX];
	memcpy(text, d->text, sizeof text);
	if (end.fd < 0)
		end.text = text;
	dial_free(d);
	done(arg, &end);
}

static void dial_end_soon(struct dial *d)
{
	if (d->end_set)
		return;
	d->end_set = true;
	loop_timer_cancel(d->loop, &d->timer);
	loop_defer(d->loop, &d->end);
}

static void attempt_failed(struct attempt *a, enum err e, const char *why)
{
	struct dial *d = a->d;
	attempt_close(a);
	d->failed++;
	if (!d->err || (d->err == ERR_ACCESS && e != ERR_ACCESS)) {
		d->err = e;
		snprintf(d->text, sizeof d->text, "connect to %s: %s", a->peer, why);
	}
}

static void attempt_errno(struct attempt *a, int errnum)
{
	enum err e = err_of_errno(errnum);
	attempt_failed(a, e == ERR_ACCESS ? ERR_IO : e, err_why(e));
}

static void attempt_won(struct attempt *a)
{
	struct dial *d = a->d;
	event_free(a->event);
	a->event = NULL;
	d->winner = a;
	for (size_t i = 0; i < d->begun; i++)
		if (&d->attempts[i] != a)
			attempt_close(&d->attempts[i]);
	dial_end_soon(d);
}

static void on_connected(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	struct attempt *a = arg;
	struct dial *d = a->d;
	int errnum = 0;
	socklen_t len = sizeof errnum;
	(void)loop_now_ns(d->loop); /* the turn has begun */
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &errnum, &len))
		errnum = errno;
	if (!errnum) {
		attempt_won(a);
		return;
	}
	attempt_errno(a, errnum);
	dial_next(d);
}

static void set_option(int fd, int level, int name, int value)
{
	(void)setsockopt(fd, level, name, &value, sizeof value); /* a wish */
}

/* A peer that is gone without a word is noticed where no deadline runs: calls that last. */
static void set_options(int fd)
{
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S);
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEP_EACH_S);
	set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEP_PROBES);
}

/* False: it has failed already. */
static bool attempt_begin(struct attempt *a, const struct resolveconf_addr *addr)
{
	struct dial *d = a->d;
	struct sockaddr_storage sa;
	socklen_t len = sockaddr_of(addr, d->opts.port, &sa);
	name_peer(a->peer, addr, d->opts.port, d->opts.host);
	const char *why =
	    d->opts.any ? NULL : addrule_refuses((struct sockaddr *)&sa, d->opts.public_only);
	if (why) {
		metric_add(M_CLIENT_REFUSED, 1);
		attempt_failed(a, ERR_ACCESS, why);
		return false;
	}
	metric_add(M_CLIENT_DIALS, 1);
	a->fd = socket(addr->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (a->fd >= 0)
		set_options(a->fd);
	if (a->fd < 0 || (connect(a->fd, (struct sockaddr *)&sa, len) && errno != EINPROGRESS)) {
		attempt_errno(a, errno);
		return false;
	}
	a->event = event_new(loop_base(d->loop), a->fd, EV_WRITE, on_connected, a);
	if (!a->event || event_add(a->event, NULL))
		panic("no memory for a connection");
	return true;
}

static void dial_next(struct dial *d)
{
	while (d->begun < d->opts.addr_count) {
		struct attempt *a = &d->attempts[d->begun];
		*a = (struct attempt){ .d = d, .fd = -1 };
		d->begun++;
		if (attempt_begin(a, &d->addrs[d->begun - 1])) {
			if (d->begun < d->opts.addr_count)
				loop_timer_set(d->loop, &d->timer, DIAL_NEXT_MS);
			return;
		}
	}
	if (d->failed == d->begun)
		dial_end_soon(d);
}

static void on_timer(struct loop_timer *t)
{
	dial_next(CONTAINER_OF(t, struct dial, timer));
}

struct dial *dial_start(struct loop *l, const struct dial_opts *opts)
{
	CHECK(opts->addr_count);
	struct dial *d = mem_zalloc(sizeof *d);
	d->loop = l;
	d->opts = *opts;
	d->addrs = mem_array(NULL, opts->addr_count, sizeof *d->addrs);
	d->attempts = mem_array(NULL, opts->addr_count, sizeof *d->attempts);
	d->end.fn = dial_tell;
	loop_timer_init(&d->timer, on_timer);
	set_order(d);
	d->opts.addrs = NULL;
	dial_next(d);
	return d;
}

void dial_cancel(struct dial *d)
{
	dial_free(d);
}

const char *dial_peer(const struct dial *d)
{
	return d->begun ? d->attempts[d->begun - 1].peer : d->opts.host;
}
