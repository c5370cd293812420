/*
 * statsdsock - sockets of the receiver of StatsD: datagrams by UDP and unix sockets, lines by TCP,
 * lines or packets with their length before them by unix streams.
 *
 * A loop has one vector of datagrams, which belongs to one socket while what came is read. A stream
 * that begins with four bytes whose little-endian number is at most STATSD_PACKET_MAX has packets
 * of that length (DogStatsD); no line begins so.
 */
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/metric.h"
#include "net/conn/limit.h"
#include "net/conn/listen.h"
#include "net/recv/recv_statsd_priv.h"

#define ACCEPT_TURN  16u
#define STREAM_LEAST 4096u
#define IDLE_MS      60000 /* of a connection that others may take the place of */
#define PREFIX       4u
#define BACKLOG      256

/* ---- opening ---- */

static enum err fail(const struct statsd_door *d, const char *what, struct errbuf *eb)
{
	int e = errno;
	return errbuf_set(eb, e == EADDRINUSE ? ERR_EXISTS : ERR_IO,
	    "receivers.statsd.listen %s: %s: %s", d->address, what, strerrordesc_np(e));
}

static bool set_option(int fd, int level, int name, int value)
{
	return !setsockopt(fd, level, name, &value, sizeof(value));
}

static void set_receive_buffer(const struct statsd_door *d, int fd, uint64_t bytes)
{
	int want = bytes > INT32_MAX / 2 ? INT32_MAX / 2 : (int)bytes, has = 0;
	socklen_t len = sizeof(has);
	if (!set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, want))
		(void)set_option(fd, SOL_SOCKET, SO_RCVBUF, want);
	/* The kernel tells twice what it was asked for. */
	if (!getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &has, &len) && has / 2 < want)
		LOG_EVERY(LOG_LEVEL_WARN, "statsd_receive_buffer",
		    "address=%s bytes=%d asked=%d text=\"net.core.rmem_max allows no more, and datagrams may be lost\"",
		    d->address, has / 2, want);
}

static int udp_socket(const struct listen_addr *a, bool shared)
{
	int fd = socket(a->sa.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if ((shared && !set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1)) ||
	    (a->sa.ss_family == AF_INET6 && !set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) ||
	    bind(fd, (const struct sockaddr *)&a->sa, a->len)) {
		int e = errno;
		close(fd);
		errno = e;
		return -1;
	}
	return fd;
}

/* A socket of each loop; one that does not share tells whether somebody has the port already. */
static enum err open_udp(
    struct statsd_door *d, struct listen_addr *a, uint64_t bytes, struct errbuf *eb)
{
	int probe = udp_socket(a, false);
	if (probe < 0)
		return fail(d, "bind", eb);
	close(probe);
	for (unsigned i = 0; i < d->fds_count; i++) {
		d->fds[i] = udp_socket(a, true);
		if (d->fds[i] < 0)
			return fail(d, "bind", eb);
		(void)set_option(d->fds[i], SOL_SOCKET, SO_RXQ_OVFL, 1);
		set_receive_buffer(d, d->fds[i], bytes);
	}
	return ERR_OK;
}

/* A socket that nobody listens at any more is in the way of a new one. */
static bool is_left_over(const struct sockaddr_un *sa, int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	bool refused = fd >= 0 && connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) &&
	    errno == ECONNREFUSED;
	if (fd >= 0)
		close(fd);
	return refused;
}

static enum err open_unix(
    struct statsd_door *d, const struct statsd_listen *l, uint64_t bytes, struct errbuf *eb)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int type = d->transport == STATSD_UNIX ? SOCK_STREAM : SOCK_DGRAM;
	struct stat st;
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", d->path);
	if (!stat(d->path, &st) && S_ISSOCK(st.st_mode) && is_left_over(&sa, type))
		(void)unlink(d->path);
	d->fds[0] = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (d->fds[0] < 0)
		return fail(d, "socket", eb);
	if (bind(d->fds[0], (const struct sockaddr *)&sa, sizeof(sa))) {
		enum err e = fail(d, "bind", eb);
		d->path = NULL; /* somebody else's */
		return e;
	}
	if (chmod(d->path, l->mode))
		return fail(d, "chmod", eb);
	if (type == SOCK_STREAM && listen(d->fds[0], BACKLOG))
		return fail(d, "listen", eb);
	set_receive_buffer(d, d->fds[0], bytes);
	return ERR_OK;
}

enum err statsd_door_open(struct statsd_door *d, unsigned loops, const struct statsd_listen *l,
    uint64_t receive_bytes, struct errbuf *eb)
{
	struct listen_addr a;
	size_t len = strlen(l->address) + 1;
	d->address = memcpy(mem_alloc(len), l->address, len);
	const char *rest = statsd_address(d->address, &d->transport);
	d->dogstatsd = l->dialect == STATSD_DOGSTATSD;
	d->fds_count = d->transport == STATSD_UDP ? loops : 1;
	d->fds = mem_array(NULL, d->fds_count, sizeof(*d->fds));
	for (unsigned i = 0; i < d->fds_count; i++)
		d->fds[i] = -1;
	if (d->transport == STATSD_UNIX || d->transport == STATSD_UNIXGRAM) {
		d->path = rest;
		return open_unix(d, l, receive_bytes, eb);
	}
	enum err e = listen_parse(rest, &a, eb);
	if (!e && d->transport == STATSD_UDP)
		return open_udp(d, &a, receive_bytes, eb);
	if (!e)
		e = listen_probe(&a, eb);
	return e ? e : listen_open(&a, &d->fds[0], eb);
}

void statsd_door_close(struct statsd_door *d)
{
	for (unsigned i = 0; i < d->fds_count; i++)
		if (d->fds[i] >= 0)
			close(d->fds[i]);
	if (d->path)
		(void)unlink(d->path);
	mem_free(d->fds);
	mem_free(d->address);
}

/* ---- sockets of a loop ---- */

static void run(struct statsd_sock *s)
{
	if (s->ended)
		return;
	s->l->begin_ns = clock_real_mono_ns();
	s->run(s);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct statsd_sock *s = arg;
	(void)fd, (void)what;
	(void)loop_now_ns(s->l->loop); /* the turn has begun */
	run(s);
}

static void on_again(struct loop_deferred *d)
{
	struct statsd_sock *s = CONTAINER_OF(d, struct statsd_sock, again.work);
	loop_again_begin(&s->again);
	run(s);
}

static void sock_again(struct statsd_sock *s)
{
	loop_again(s->l->loop, LOOP_SOON, &s->again);
}

static void sock_init(struct statsd_sock *s, struct statsd_loop *l, const struct statsd_door *d,
    int fd, void (*fn)(struct statsd_sock *s))
{
	*s = (struct statsd_sock){ .l = l, .door = d, .fd = fd, .run = fn };
	s->again.work.fn = on_again;
	list_init(&s->link);
	list_add_tail(&l->socks, &s->link);
	s->event = event_new(loop_base(l->loop), fd, EV_READ | EV_PERSIST, on_event, s);
	CHECK(s->event);
	if (!l->paused)
		CHECK(!event_add(s->event, NULL));
}

/* What is left is the memory, for s->end. */
static void sock_end(struct statsd_sock *s)
{
	s->ended = true;
	loop_again_cancel(&s->again);
	list_del(&s->link);
	event_free(s->event);
	close(s->fd);
	loop_defer(s->l->loop, &s->end);
}

void statsd_socks_pause(struct statsd_loop *l)
{
	l->paused = true;
	LIST_EACH(i, &l->socks)
		event_del(CONTAINER_OF(i, struct statsd_sock, link)->event);
}

/* Each goes on where it stopped. */
void statsd_socks_resume(struct statsd_loop *l)
{
	l->paused = false;
	LIST_EACH(i, &l->socks) {
		struct statsd_sock *s = CONTAINER_OF(i, struct statsd_sock, link);
		CHECK(!event_add(s->event, NULL));
		sock_again(s);
	}
}

/* True: on with it. Else it comes again. */
static bool fed(struct statsd_sock *s, enum statsd_fed how)
{
	if (how == STATSD_FED_LATE)
		sock_again(s);
	else if (how == STATSD_FED_FULL && !s->l->paused)
		statsd_socks_pause(s->l);
	return how == STATSD_FED_ALL;
}

static void count_packets(const struct statsd_sock *s, unsigned n)
{
	metric_add(M_STATSD_PACKETS_UDP + s->door->transport, n);
}

/* ---- datagrams ---- */

struct dgram {
	struct statsd_sock sock;
	uint32_t dropped; /* by the kernel, as it told last */
};
struct statsd_rx {
	struct dgram *of; /* whose they are; NULL: nobody's */
	unsigned count, at;
	bool in; /* the reader has begun with the one at hand */
	struct statsd_reader reader;
	struct mmsghdr messages[STATSD_VECTOR];
	struct iovec pieces[STATSD_VECTOR];
	char controls[STATSD_VECTOR][CMSG_SPACE(sizeof(uint32_t))];
	char *bytes;
};

static struct statsd_rx *rx_create(void)
{
	struct statsd_rx *x = mem_zalloc(sizeof(*x));
	/* Pages come as they are used. */
	x->bytes = mem_alloc((size_t)STATSD_VECTOR * STATSD_PACKET_MAX);
	return x;
}

static void note_drops(struct dgram *g, struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		uint32_t n;
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SO_RXQ_OVFL)
			continue;
		memcpy(&n, CMSG_DATA(c), sizeof(n));
		metric_add(M_STATSD_KERNEL_DROPS, n - g->dropped);
		if (n != g->dropped)
			LOG_EVERY(LOG_LEVEL_WARN, "statsd_kernel_drops",
			    "address=%s datagrams=%u text=\"more comes than is read: receivers.statsd.receive_buffer, or senders that put several lines in a packet\"",
			    g->sock.door->address, n - g->dropped);
		g->dropped = n;
	}
}

static bool rx_receive(struct statsd_rx *x, struct dgram *g)
{
	for (unsigned i = 0; i < STATSD_VECTOR; i++) {
		x->pieces[i] =
		    (struct iovec){ x->bytes + (size_t)i * STATSD_PACKET_MAX, STATSD_PACKET_MAX };
		x->messages[i].msg_hdr = (struct msghdr){ .msg_iov = &x->pieces[i],
			.msg_iovlen = 1,
			.msg_control = x->controls[i],
			.msg_controllen = sizeof(x->controls[i]) };
	}
	int n = recvmmsg(g->sock.fd, x->messages, STATSD_VECTOR, MSG_DONTWAIT, NULL);
	x->at = 0;
	x->count = n > 0 ? (unsigned)n : 0;
	x->of = n > 0 ? g : NULL;
	count_packets(&g->sock, x->count);
	if (n > 0)
		note_drops(g, &x->messages[n - 1].msg_hdr);
	return n > 0;
}

/* The packet at hand. False: it comes again. */
static bool rx_packet(struct statsd_rx *x, struct dgram *g)
{
	const struct mmsghdr *m = &x->messages[x->at];
	if (m->msg_hdr.msg_flags & MSG_TRUNC) {
		statsd_refuse(g->sock.l, STATSD_REFUSED_TOO_LONG, g->sock.door,
		    x->pieces[x->at].iov_base, m->msg_len);
	} else {
		if (!x->in)
			statsd_reader_init(&x->reader, x->pieces[x->at].iov_base, m->msg_len);
		x->in = true;
		if (!fed(&g->sock, statsd_feed(g->sock.l, g->sock.door, &x->reader)))
			return false;
	}
	x->in = false;
	x->at++;
	return true;
}

static void dgram_run(struct statsd_sock *s)
{
	struct dgram *g = CONTAINER_OF(s, struct dgram, sock);
	struct statsd_rx *x = s->l->rx;
	if (x->of && x->of != g)
		return; /* its event comes again */
	do {
		while (x->at < x->count)
			if (!rx_packet(x, g))
				return;
		x->of = NULL;
		if (statsd_late(s->l))
			return; /* likewise */
	} while (rx_receive(x, g));
}

static void dgram_free(struct loop_deferred *d)
{
	mem_free(CONTAINER_OF(d, struct dgram, sock.end));
}

/* ---- streams ---- */

enum framing {
	FRAMING_UNKNOWN,
	FRAMING_LINES,
	FRAMING_PACKETS
};
struct stream {
	struct statsd_sock sock;
	struct list_link lru; /* statsd_loop.streams */
	int64_t heard_ms;
	enum framing framing;
	char *bytes;
	size_t len, cap, at, unit_end; /* at: read so far; unit_end: of what the reader has */
	bool in, eof;
	struct statsd_reader reader;
};

static void stream_free(struct loop_deferred *d)
{
	struct stream *t = CONTAINER_OF(d, struct stream, sock.end);
	mem_free(t->bytes);
	mem_free(t);
}

static void stream_end(struct stream *t)
{
	t->sock.l->connections--;
	metric_gauge_add(M_STATSD_CONNECTIONS, -1);
	list_del(&t->lru);
	sock_end(&t->sock);
}

static uint32_t prefix_at(const struct stream *t)
{
	uint8_t b[PREFIX];
	memcpy(b, t->bytes + t->at, PREFIX);
	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static void find_framing(struct stream *t)
{
	if (t->sock.door->transport == STATSD_TCP)
		t->framing = FRAMING_LINES;
	else if (t->len - t->at >= PREFIX)
		t->framing = prefix_at(t) <= STATSD_PACKET_MAX ? FRAMING_PACKETS : FRAMING_LINES;
	else if (t->len > t->at && memchr(t->bytes + t->at, '\n', t->len - t->at))
		t->framing = FRAMING_LINES; /* shorter than any line that says something */
}

enum unit {
	UNIT_NONE, /* more bytes are needed */
	UNIT_READY,
	UNIT_TOO_LONG
};
/* All whole lines that there are, or one packet. */
static enum unit next_unit(struct stream *t)
{
	size_t left = t->len - t->at;
	if (t->framing == FRAMING_UNKNOWN)
		find_framing(t);
	if (t->framing == FRAMING_PACKETS) {
		size_t n = left >= PREFIX ? prefix_at(t) : 0;
		if (n > STATSD_PACKET_MAX)
			return UNIT_TOO_LONG;
		if (left < PREFIX || left - PREFIX < n)
			return UNIT_NONE;
		t->at += PREFIX;
		t->unit_end = t->at + n;
	} else {
		const char *nl = left ? memrchr(t->bytes + t->at, '\n', left) : NULL;
		if (!nl)
			return left >= STATSD_PACKET_MAX ? UNIT_TOO_LONG : UNIT_NONE;
		t->unit_end = (size_t)(nl + 1 - t->bytes);
	}
	statsd_reader_init(&t->reader, t->bytes + t->at, (uint32_t)(t->unit_end - t->at));
	return UNIT_READY;
}

static void stream_pack(struct stream *t)
{
	t->len -= t->at;
	if (t->len && t->at)
		memmove(t->bytes, t->bytes + t->at, t->len);
	t->at = 0;
	if (!t->len && t->cap > STREAM_LEAST) { /* who is silent holds little */
		mem_free(t->bytes);
		t->bytes = NULL;
		t->cap = 0;
	}
}

/* False: nothing came, or the end. */
static bool stream_receive(struct stream *t)
{
	const size_t most = PREFIX + STATSD_PACKET_MAX + 1;
	stream_pack(t);
	if (t->len == t->cap) {
		t->cap = t->cap ? t->cap * 4 : STREAM_LEAST;
		t->cap = t->cap > most ? most : t->cap;
		t->bytes = mem_realloc(t->bytes, t->cap);
	}
	ssize_t n = recv(t->sock.fd, t->bytes + t->len, t->cap - t->len, MSG_DONTWAIT);
	if (n > 0) {
		t->len += (size_t)n;
		t->heard_ms = loop_now_ms(t->sock.l->loop);
		list_del(&t->lru);
		list_add_tail(&t->sock.l->streams, &t->lru);
		count_packets(&t->sock, 1);
		return true;
	}
	t->eof = n == 0 || (errno != EAGAIN && errno != EINTR);
	return false;
}

static void stream_run(struct statsd_sock *s)
{
	struct stream *t = CONTAINER_OF(s, struct stream, sock);
	do {
		enum unit u;
		while (t->in || (u = next_unit(t)) == UNIT_READY) {
			t->in = true;
			if (!fed(s, statsd_feed(s->l, s->door, &t->reader)))
				return;
			t->in = false;
			t->at = t->unit_end;
		}
		if (u == UNIT_TOO_LONG) {
			statsd_refuse(s->l, STATSD_REFUSED_TOO_LONG, s->door, t->bytes + t->at,
			    t->len - t->at);
			stream_end(t);
			return;
		}
		if (statsd_late(s->l))
			return; /* its event comes again */
	} while (stream_receive(t));
	if (!t->eof)
		return;
	if (t->len > t->at)
		statsd_refuse(s->l, STATSD_REFUSED_CUT, s->door, t->bytes + t->at, t->len - t->at);
	stream_end(t);
}

/* ---- connections come ---- */

struct handed {
	struct mbox_msg msg;
	struct statsd_loop *to;
	const struct statsd_door *door;
	int fd;
};

/* Room for one more; who has been silent for long goes. */
static bool make_room(struct statsd_loop *l)
{
	if (l->connections < l->all->connections)
		return true;
	metric_add(M_STATSD_CONNECTIONS_REFUSED, 1);
	LOG_EVERY(LOG_LEVEL_WARN, "statsd_connections",
	    "limit=%u text=\"of a loop: receivers.statsd.connections\"", l->all->connections);
	struct stream *oldest = CONTAINER_OF(l->streams.next, struct stream, lru);
	if (l->draining || loop_now_ms(l->loop) - oldest->heard_ms < IDLE_MS)
		return false;
	stream_end(oldest);
	return true;
}

static void stream_begin(struct statsd_loop *l, const struct statsd_door *d, int fd)
{
	if (l->stopping || !make_room(l)) {
		close(fd);
		return;
	}
	struct stream *t = mem_zalloc(sizeof(*t));
	sock_init(&t->sock, l, d, fd, stream_run);
	t->sock.connection = true;
	t->sock.end.fn = stream_free;
	t->heard_ms = loop_now_ms(l->loop);
	list_init(&t->lru);
	list_add_tail(&l->streams, &t->lru);
	l->connections++;
	metric_gauge_add(M_STATSD_CONNECTIONS, 1);
}

static void handed_arrived(struct mbox_msg *m)
{
	struct handed *h = CONTAINER_OF(m, struct handed, msg);
	stream_begin(h->to, h->door, h->fd);
	mem_free(h);
}

/* Loops have their turns. */
static void hand_on(struct statsd_sock *s, int fd)
{
	struct statsd *all = s->l->all;
	struct statsd_loop *to = &all->loops[all->next++ % all->loops_count];
	if (to == s->l) {
		stream_begin(to, s->door, fd);
		return;
	}
	struct handed *h = mem_alloc(sizeof(*h));
	*h = (struct handed){ .msg.fn = handed_arrived, .to = to, .door = s->door, .fd = fd };
	loop_send(to->loop, &h->msg);
}

static void accept_run(struct statsd_sock *s)
{
	for (unsigned i = 0; i < ACCEPT_TURN; i++) {
		int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE)
				LOG_EVERY(LOG_LEVEL_ERROR, "accept_failed", "errno=%d", errno);
			return;
		}
		hand_on(s, fd);
	}
}

static void accept_free(struct loop_deferred *d)
{
	mem_free(CONTAINER_OF(d, struct statsd_sock, end));
}

/* ---- life ---- */

static void start_door(struct statsd_loop *l, struct statsd_door *d, unsigned which)
{
	if (d->transport == STATSD_UDP || d->transport == STATSD_UNIXGRAM) {
		struct dgram *g = mem_zalloc(sizeof(*g));
		sock_init(&g->sock, l, d, d->fds[which], dgram_run);
		g->sock.end.fn = dgram_free;
	} else {
		struct statsd_sock *s = mem_zalloc(sizeof(*s));
		sock_init(s, l, d, d->fds[which], accept_run);
		s->end.fn = accept_free;
	}
	d->fds[which] = -1; /* the socket's now */
}

/* Of UDP each loop has one; for datagrams by unix sockets loops take turns; loop 0 accepts. */
void statsd_socks_start(struct statsd_loop *l)
{
	unsigned me = loop_index(l->loop), turn = 0;
	l->rx = rx_create();
	for (unsigned i = 0; i < l->all->doors_count; i++) {
		struct statsd_door *d = &l->all->doors[i];
		if (d->transport == STATSD_UDP)
			start_door(l, d, me);
		else if (d->transport == STATSD_UNIXGRAM ? turn++ % l->all->loops_count == me
		                                         : me == 0)
			start_door(l, d, 0);
	}
}

bool statsd_socks_drain(struct statsd_loop *l)
{
	bool empty = !l->paused && !(l->rx && l->rx->of);
	l->draining = true;
	LIST_EACH_SAFE(i, n, &l->socks) {
		struct statsd_sock *s = CONTAINER_OF(i, struct statsd_sock, link);
		char byte;
		if (l->paused)
			return false;
		run(s);
		/* A connection that has ended has its memory until the turn is over. */
		if (!s->ended && s->run != accept_run &&
		    (s->again.set || recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0))
			empty = false;
	}
	return empty && !l->paused && !(l->rx && l->rx->of);
}

void statsd_socks_end(struct statsd_loop *l)
{
	l->stopping = true;
	LIST_EACH_SAFE(i, n, &l->socks) {
		struct statsd_sock *s = CONTAINER_OF(i, struct statsd_sock, link);
		if (s->connection)
			stream_end(CONTAINER_OF(s, struct stream, sock));
		else
			sock_end(s);
	}
	if (l->rx)
		mem_free(l->rx->bytes);
	mem_free(l->rx);
	l->rx = NULL;
}
