#include "net/conn/conn.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/fdcache.h"
#include "core/base/metric.h"
#include "net/conn/front.h"
#include "net/conn/tls.h"

#define SCRATCH_BYTES (64u << 10) /* of a loop: what is read when nobody gave memory */
#define WRITE_PIECES  64

struct conn_host {
	struct loop *loop;
	void (*open)(struct conn *c);
	void *ctx;
	bool draining;
	size_t count, count_max;
	struct list_link states[CONN_STATES];
	uint8_t *scratch;
	struct tls_keys *keys;
	const struct cidr_set *proxies;
	bool rush;
};

static void conn_run(struct conn *c);
static void conn_send(struct conn *c);
static void conn_give_room(struct loop_deferred *d);
static void conn_take_turn(struct loop_deferred *d);
static void conn_account(struct conn *c);
static void conn_close(struct conn *c);
static void conn_reap(struct loop_deferred *d);
static void conn_on_timer(struct loop_timer *t);
static void conn_wake_in(struct conn *c, uint64_t *due_ns, uint64_t after_ms);

/* ---- the plain socket ---- */

static ssize_t plain_read(struct conn *c, const struct iovec *v, int count)
{
	return count == 1 ? read(c->_fd, v->iov_base, v->iov_len) : readv(c->_fd, v, count);
}

static ssize_t plain_write(struct conn *c, const struct iovec *v, int count)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)v, .msg_iovlen = (size_t)count };
	return sendmsg(c->_fd, &msg, MSG_NOSIGNAL);
}

const struct conn_io conn_plain_io = {
	.read = plain_read, .write = plain_write, .turn_bytes = CONN_READ_TURN
};
STATIC(CONN_READ_TURN == CONN_WRITE_TURN);

/* ---- host ---- */

/* What the descriptors of the process allow besides those for files. */
static size_t conns_allowed(void)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) || r.rlim_cur == RLIM_INFINITY)
		return SIZE_MAX;
	return (size_t)(r.rlim_cur - fdcache_share(r.rlim_cur));
}

enum err conn_host_create(
    struct loop *l, void (*open)(struct conn *c), void *ctx, struct conn_host **out)
{
	struct conn_host *h = mem_zalloc(sizeof *h);
	h->loop = l;
	h->open = open;
	h->ctx = ctx;
	h->count_max = conns_allowed();
	h->scratch = mem_alloc(SCRATCH_BYTES);
	for (unsigned i = 0; i < CONN_STATES; i++)
		list_init(&h->states[i]);
	*out = h;
	return 0;
}

void *conn_host_ctx(const struct conn_host *h)
{
	return h->ctx;
}

size_t conn_host_count(const struct conn_host *h)
{
	return h->count;
}

struct loop *conn_host_loop(const struct conn_host *h)
{
	return h->loop;
}

static void conn_count(struct conn_host *h, int more)
{
	h->count += (size_t)more;
	loop_carry(h->loop, more);
	metric_gauge_add(M_CONNS_OPEN, more);
}

void conn_host_set_proxies(struct conn_host *h, const struct cidr_set *proxies)
{
	h->proxies = proxies;
}

const struct cidr_set *conn_host_proxies(const struct conn_host *h)
{
	return h->proxies;
}

void conn_host_set_keys(struct conn_host *h, struct tls_keys *keys)
{
	h->keys = keys;
}

struct tls_keys *conn_host_keys(const struct conn_host *h)
{
	return h->keys;
}

/* With the extra ones, all have descriptors. */
static uint64_t conns_max(const struct conn_host *h)
{
	uint64_t max = limits_here()->http_connections;
	uint64_t allowed = h->count_max / (LIMIT_CONNS_EXTRA + 1) * LIMIT_CONNS_EXTRA;
	return max < allowed ? max : allowed;
}

bool conn_host_has_room(const struct conn_host *h)
{
	uint64_t max = conns_max(h);
	return limit_conns() < max + max / LIMIT_CONNS_EXTRA;
}

static void conn_begin_drain(struct conn *c)
{
	if (c->_state != CONN_OPEN || c->draining)
		return;
	c->draining = true;
	c->ops->drain(c);
}

void conn_host_drain(struct conn_host *h)
{
	loop_check_here(h->loop);
	h->draining = true;
	LIST_EACH_SAFE(l, next, &h->states[CONN_OPEN])
		conn_begin_drain(CONTAINER_OF(l, struct conn, _link));
}

void conn_host_abort(struct conn_host *h)
{
	loop_check_here(h->loop);
	for (unsigned s = 0; s < CONN_CLOSED; s++)
		while (!list_empty(&h->states[s]))
			conn_abort(CONTAINER_OF(h->states[s].next, struct conn, _link));
}

void conn_host_free(struct conn_host *h)
{
	if (!h)
		return;
	CHECK(h->count == 0);
	mem_free(h->scratch);
	mem_free(h);
}

/* ---- birth ---- */

void conn_host_rush(struct conn_host *h, bool rush)
{
	h->rush = rush;
}

static bool conn_must_wait(const struct conn *c)
{
	return c->host->rush ? loop_events_late(c->loop) : loop_is_late(c->loop);
}

/* Now, or when its turn comes. */
static void conn_turn(struct conn *c, bool write)
{
	(void)loop_now_ns(c->loop); /* the turn has begun */
	c->_turn_write |= write;
	c->_turn_read |= !write;
	if (c->_turn_set)
		return;
	if (!c->_heavy && !conn_must_wait(c)) {
		conn_take_turn(&c->_turn);
		return;
	}
	c->_turn_set = true;
	c->_asked_ns = clock_real_mono_ns();
	if (c->_heavy && !write) {
		event_del(c->_read_event);
		c->_read_stops = true;
	}
	loop_work(c->loop, c->_heavy ? LOOP_LATER : LOOP_SOON, &c->_turn);
}

static void conn_take_turn(struct loop_deferred *d)
{
	struct conn *c = CONTAINER_OF(d, struct conn, _turn);
	bool write = c->_turn_write, read = c->_turn_read;
	c->_turn_set = c->_turn_write = c->_turn_read = false;
	c->waited_ns = c->_asked_ns ? clock_real_mono_ns() - c->_asked_ns : 0;
	c->_asked_ns = 0;
	if (c->_read_stops) {
		c->_read_stops = false;
		CHECK(!event_add(c->_read_event, NULL));
	}
	if (write && c->_read_wants_write) {
		c->_read_wants_write = false;
		read = true;
	}
	if (write)
		conn_send(c);
	if (read)
		conn_run(c);
}

/* There is more to read that no event will tell of. */
static void conn_turn_again(struct conn *c)
{
	c->_turn_read = true;
	if (c->_turn_set)
		return;
	c->_turn_set = true;
	c->_asked_ns = clock_real_mono_ns();
	loop_work(c->loop, c->_heavy ? LOOP_LATER : LOOP_SOON, &c->_turn);
}

static void conn_on_read(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	conn_turn(arg, false);
}

static void conn_on_write(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct conn *c = arg;
	c->_write_waits = false;
	conn_turn(c, true);
}

/* One that may go: of an address with more than its share. */
static void conn_shed(struct conn_host *h, uint64_t max)
{
	struct list_link *open = &h->states[CONN_OPEN];
	for (unsigned n = 0; n < LIMIT_SHED_LOOKS && !list_empty(open); n++) {
		struct list_link *l = list_pop(open);
		struct conn *c = CONTAINER_OF(l, struct conn, _link);
		list_add_tail(open, l);
		if (!c->draining && !c->proxy && limit_conns_over(c->who, max)) {
			conn_begin_drain(c);
			return;
		}
	}
}

/* Is there a place for one more of who? A proxy may have as many as there are. */
static bool conn_admit(struct conn_host *h, uint32_t who, bool proxy)
{
	uint64_t max = conns_max(h);
	if (proxy)
		limit_conn_add(who);
	else if (!limit_conn_take(who))
		return false;
	if (limit_conns() <= max)
		return true;
	if (!proxy && limit_conns_over(who, max)) {
		limit_conn_give(who);
		return false;
	}
	conn_shed(h, max);
	return true;
}

bool conn_set_remote(struct conn *c, const struct sockaddr_storage *remote, bool proxy)
{
	uint32_t who = limit_who(remote);
	uint64_t max = conns_max(c->host);
	limit_conn_give(c->who);
	if (proxy)
		limit_conn_add(who);
	else if (!limit_conn_take(who)) {
		limit_conn_add(c->who); /* which gives it back when it ends */
		metric_add(M_CONNS_REFUSED, 1);
		return false;
	}
	CHECK(!c->_held);
	c->remote = *remote;
	c->who = who;
	c->proxy = proxy;
	if (proxy || limit_conns() <= max || !limit_conns_over(who, max))
		return true;
	metric_add(M_CONNS_REFUSED, 1);
	return false;
}

void conn_opened(struct conn *c)
{
	CHECK(!c->_begun);
	c->_begun = true;
	c->_heavy = false;
	c->_deadline_ns = 0;
	c->host->open(c);
	if (c->host->draining)
		conn_begin_drain(c);
}

void conn_accept(
    struct conn_host *h, int fd, const struct sockaddr_storage *remote, const struct conn_how *how)
{
	loop_check_here(h->loop);
	uint32_t who = limit_who(remote);
	bool header = cidr_set_has(how->proxy_from, remote);
	bool proxy = header || cidr_set_has(h->proxies, remote);
	if (!conn_admit(h, who, proxy)) {
		metric_add(M_CONNS_REFUSED, 1);
		close(fd);
		return;
	}
	struct conn *c = mem_zalloc(sizeof *c);
	*c = (struct conn){ .loop = h->loop,
		.host = h,
		.remote = *remote,
		.who = who,
		.proxy = proxy,
		.admin = how->admin,
		._io = &conn_plain_io,
		._fd = fd };
	struct event_base *base = loop_base(h->loop);
	c->_read_event = event_new(base, fd, EV_READ | EV_PERSIST, conn_on_read, c);
	c->_write_event = event_new(base, fd, EV_WRITE, conn_on_write, c);
	c->_out = evbuffer_new();
	if (!c->_read_event || !c->_write_event || !c->_out || event_add(c->_read_event, NULL))
		panic("no memory for a connection");
	loop_timer_init(&c->_timer, conn_on_timer);
	c->_reap.fn = conn_reap;
	c->_room.fn = conn_give_room;
	c->_turn.fn = conn_take_turn;
	list_init(&c->_refs);
	list_add_tail(&h->states[CONN_OPEN], &c->_link);
	conn_count(h, 1);
	metric_add(M_CONNS_ACCEPTED, 1);
	if (header || how->tls)
		front_begin(c, how, header);
	else
		conn_opened(c);
}

/* ---- states ---- */

static void conn_move(struct conn *c, enum conn_state to)
{
	CHECK(to > c->_state);
	c->_state = to;
	list_del(&c->_link);
	list_add_tail(&c->host->states[to], &c->_link);
}

/* The end; memory goes at the end of the turn. */
static void conn_close(struct conn *c)
{
	if (c->_state == CONN_CLOSED)
		return;
	conn_move(c, CONN_CLOSED);
	event_del(c->_read_event);
	event_del(c->_write_event);
	loop_timer_cancel(c->loop, &c->_timer);
	if (c->_room_set)
		list_del(&c->_room.link);
	if (c->_turn_set)
		list_del(&c->_turn.link);
	loop_defer(c->loop, &c->_reap);
}

static void conn_reap(struct loop_deferred *d)
{
	struct conn *c = CONTAINER_OF(d, struct conn, _reap);
	struct conn_host *h = c->host;
	CHECK(c->_state == CONN_CLOSED);
	c->ops->closed(c);
	tls_conn_free(c);
	conn_peer_drop(c->peer);
	list_del(&c->_link);
	event_free(c->_read_event);
	event_free(c->_write_event);
	evbuffer_free(c->_out);
	close(c->_fd);
	limit_answers_sub(c->who, c->_held);
	limit_conn_give(c->who);
	conn_count(h, -1);
	mem_free(c);
}

void conn_abort(struct conn *c)
{
	if (c->_state == CONN_CLOSED)
		return;
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	(void)setsockopt(c->_fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset); /* a wish */
	conn_close(c);
}

void conn_finish(struct conn *c)
{
	if (c->_state != CONN_OPEN)
		return;
	conn_move(c, CONN_FLUSH);
	c->_deadline_ns = 0;
	c->_into = NULL;
	c->_into_len = 0;
	/*
	 * What still comes is read and dropped: unread bytes would turn our close into a reset,
	 * which may overtake our last answer.
	 */
	conn_read_pause(c, false);
	conn_flush(c);
}

static void conn_linger(struct conn *c)
{
	if (c->_io->shut)
		c->_io->shut(c);
	if (c->_eof) {
		conn_close(c);
		return;
	}
	conn_move(c, CONN_LINGER);
	c->_io = &conn_plain_io; /* what still comes is dropped */
	if (shutdown(c->_fd, SHUT_WR)) {
		conn_close(c);
		return;
	}
	c->_deadline_ns = loop_now_ns(c->loop) + LIMIT_LINGER_MS * UINT64_C(1000000);
	loop_timer_set(c->loop, &c->_timer, LIMIT_LINGER_MS);
}

bool conn_is_open(const struct conn *c)
{
	return c->_state == CONN_OPEN;
}

/* ---- reading ---- */

void conn_read_pause(struct conn *c, bool pause)
{
	if (c->_state == CONN_CLOSED || c->_paused == pause || c->_eof)
		return;
	c->_paused = pause;
	CHECK(!(pause ? event_del(c->_read_event) : event_add(c->_read_event, NULL)));
	if (!pause && c->_io->holds && c->_io->holds(c))
		conn_turn_again(c);
	if (pause && !c->_left)
		conn_wake_in(c, &c->_gone_ns, LIMIT_GONE_LOOK_MS);
	else
		c->_gone_ns = 0;
}

/*
 * Reading pauses: what the peer has sent hides its end. Level-triggered events cannot tell it
 * without telling of those bytes, too, turn after turn.
 */
static void conn_gone_look(struct conn *c)
{
	struct pollfd p = { .fd = c->_fd, .events = POLLRDHUP };
	c->_gone_ns = 0;
	if (poll(&p, 1, 0) <= 0) {
		conn_wake_in(c, &c->_gone_ns, LIMIT_GONE_LOOK_MS);
	} else if (p.revents & (POLLERR | POLLHUP)) {
		conn_close(c);
	} else {
		c->_left = true;
		if (c->_state == CONN_OPEN && c->ops->left)
			c->ops->left(c);
	}
}

void conn_read_into(struct conn *c, uint8_t *data, size_t len)
{
	c->_into = data;
	c->_into_len = len;
}

static void conn_got(struct conn *c, size_t len)
{
	size_t direct = len < c->_into_len ? len : c->_into_len;
	if (direct) {
		c->_into += direct;
		c->_into_len -= direct;
		c->ops->filled(c, direct);
	}
	if (len > direct && c->_state == CONN_OPEN)
		c->ops->input(c, c->host->scratch, len - direct);
}

/* One read; false when there is no more for now. */
static bool conn_read_once(struct conn *c, size_t *budget)
{
	size_t into = c->_into_len < *budget ? c->_into_len : *budget;
	struct iovec v[2] = { { .iov_base = c->_into, .iov_len = into },
		{ .iov_base = c->host->scratch, .iov_len = SCRATCH_BYTES } };
	bool whole = into == c->_into_len; /* else the scratch would get what belongs to the body */
	ssize_t n = into ? c->_io->read(c, v, whole ? 2 : 1) : c->_io->read(c, &v[1], 1);
	if (n < 0) {
		if (errno == EINTR)
			return true;
		if (errno != EAGAIN)
			conn_close(c);
		return false;
	}
	if (n == 0) {
		c->_eof = true;
		event_del(c->_read_event);
		if (c->_state == CONN_LINGER)
			conn_close(c);
		else if (c->_state == CONN_OPEN)
			c->ops->eof(c);
		return false;
	}
	size_t len = (size_t)n, room = into + (whole ? SCRATCH_BYTES : 0);
	*budget -= len < *budget ? len : *budget;
	if (c->_state == CONN_OPEN)
		conn_got(c, len);
	return len == room; /* less than we had room for: the socket is empty */
}

/* What the io asks for besides the next event of the socket. */
static void conn_after_read(struct conn *c)
{
	if (c->_state == CONN_CLOSED)
		return;
	if (c->_read_wants_write && !c->_write_waits) {
		c->_write_waits = true;
		CHECK(!event_add(c->_write_event, NULL));
	}
	if (c->_write_wants_read) {
		c->_write_wants_read = false;
		c->_want_flush = true;
	}
	if (!c->_paused && !c->_eof && c->_io->holds && c->_io->holds(c))
		conn_turn_again(c);
}

static void conn_run(struct conn *c)
{
	size_t budget = c->_io->turn_bytes;
	c->_in_run = true;
	while (budget && c->_state != CONN_CLOSED && !c->_paused && !c->_eof)
		if (!conn_read_once(c, &budget))
			break;
	c->_in_run = false;
	conn_after_read(c);
	if (c->_want_flush)
		conn_flush(c);
}

/* ---- writing ---- */

void conn_write(struct conn *c, const void *data, size_t len)
{
	if (c->_state != CONN_OPEN || !len)
		return;
	c->_queued += len;
	if (evbuffer_add(c->_out, data, len))
		panic("no memory for an answer");
}

/* Bytes of somebody else: start..end of what was ever queued. */
struct ref {
	struct list_link link;
	uint64_t start, end;
	void (*done)(void *arg);
	void *arg;
};

static void ref_done(const void *data, size_t len, void *arg)
{
	(void)data;
	(void)len;
	struct ref r = *(struct ref *)arg;
	list_del(&((struct ref *)arg)->link);
	mem_free(arg);
	r.done(r.arg);
}

void conn_write_ref(struct conn *c, const void *data, size_t len, void (*done)(void *arg), void *arg)
{
	if (c->_state != CONN_OPEN || !len) {
		done(arg);
		return;
	}
	struct ref *r = mem_alloc(sizeof *r);
	*r = (struct ref){ .start = c->_queued, .end = c->_queued + len, .done = done, .arg = arg };
	list_add_tail(&c->_refs, &r->link);
	c->_queued += len;
	if (evbuffer_add_reference(c->_out, data, len, ref_done, r))
		panic("no memory for an answer");
}

/* What waits and was copied counts as an answer here; the rest is counted by its owner. */
static void conn_account(struct conn *c)
{
	size_t now = evbuffer_get_length(c->_out);
	LIST_EACH(l, &c->_refs) {
		const struct ref *r = CONTAINER_OF(l, struct ref, link);
		now -= (size_t)(r->end - (r->start > c->_sent ? r->start : c->_sent));
	}
	if (now > c->_held)
		limit_answers_add(c->who, now - c->_held);
	else
		limit_answers_sub(c->who, c->_held - now);
	c->_held = now;
}

size_t conn_unsent(const struct conn *c)
{
	return evbuffer_get_length(c->_out);
}

void conn_flush(struct conn *c)
{
	if (c->_in_run) {
		c->_want_flush = true;
		return;
	}
	c->_want_flush = false;
	if (c->_write_waits)
		conn_account(c);
	else
		conn_send(c);
}

void conn_want_room(struct conn *c)
{
	c->_want_room = true;
}

static void conn_give_room(struct loop_deferred *d)
{
	struct conn *c = CONTAINER_OF(d, struct conn, _room);
	c->_room_set = false;
	if (c->_state == CONN_OPEN)
		c->ops->room(c);
}

/* How much the peer has taken: what its kernel says it has. */
static uint64_t conn_read_by_peer(const struct conn *c)
{
	int waits = 0;
	if (ioctl(c->_fd, SIOCOUTQ, &waits) || waits < 0 || (uint64_t)waits > c->_sent)
		waits = 0;
	return c->_sent - (uint64_t)waits;
}

static void conn_wait_begin(struct conn *c)
{
	c->_wait_ns = loop_now_ns(c->loop);
	c->_wait_read = conn_read_by_peer(c);
}

static void conn_reader_look(struct conn *c)
{
	uint64_t took_ms = (loop_now_ns(c->loop) - c->_wait_ns) / 1000000;
	uint64_t read = conn_read_by_peer(c) - c->_wait_read;
	switch (limit_reader_look(read, evbuffer_get_length(c->_out), took_ms)) {
	case LIMIT_READER_FAST:
		conn_wait_begin(c);
		took_ms = 0;
		break;
	case LIMIT_READER_WAIT:
		break;
	case LIMIT_READER_SLOW:
		metric_add(M_CONN_TIMEOUTS_STALL, 1);
		conn_abort(c);
		return;
	}
	conn_wake_in(c, &c->_stall_ns, limit_reader_next_ms(took_ms));
}

/* One call of the socket; false when it takes no more, or is gone. */
static bool conn_send_once(struct conn *c)
{
	struct evbuffer_iovec v[WRITE_PIECES];
	int n = evbuffer_peek(c->_out, -1, NULL, v, WRITE_PIECES);
	struct iovec iov[WRITE_PIECES];
	size_t count = n < WRITE_PIECES ? (size_t)n : WRITE_PIECES, total = 0;
	for (size_t i = 0; i < count; i++) {
		iov[i] = (struct iovec){ .iov_base = v[i].iov_base, .iov_len = v[i].iov_len };
		total += v[i].iov_len;
	}
	ssize_t r = c->_io->write(c, iov, (int)count);
	if (r < 0 && errno == EINTR)
		return true;
	if (r < 0 && errno != EAGAIN)
		conn_close(c);
	if (r < 0)
		return false;
	c->_sent += (uint64_t)r;
	evbuffer_drain(c->_out, (size_t)r);
	return (size_t)r == total || c->_io != &conn_plain_io; /* which else says EAGAIN */
}

/* Sends what the socket takes. */
static void conn_send(struct conn *c)
{
	if (c->_state == CONN_CLOSED || c->_state == CONN_LINGER)
		return;
	uint64_t stop = c->_sent + c->_io->turn_bytes;
	while (evbuffer_get_length(c->_out) && c->_sent < stop)
		if (!conn_send_once(c))
			break;
	if (c->_state == CONN_CLOSED)
		return;
	if (evbuffer_get_length(c->_out) || c->_held)
		conn_account(c);
	if (evbuffer_get_length(c->_out)) {
		if (!c->_wait_ns)
			conn_wait_begin(c);
		if (!c->_stall_ns)
			conn_wake_in(c, &c->_stall_ns, LIMIT_READER_LOOK_MS);
		if (!c->_write_wants_read) {
			c->_write_waits = true;
			CHECK(!event_add(c->_write_event, NULL));
		}
	} else {
		c->_stall_ns = c->_wait_ns = 0;
		if (c->_state == CONN_FLUSH) {
			conn_linger(c);
			return;
		}
	}
	if (c->_want_room && !c->_room_set && evbuffer_get_length(c->_out) < LIMIT_UNREAD_BYTES) {
		c->_want_room = false;
		c->_room_set = true;
		loop_work(c->loop, LOOP_LATER, &c->_room);
	}
}

/* ---- deadlines: one timer, set early rather than moved often ---- */

static void conn_wake_in(struct conn *c, uint64_t *due_ns, uint64_t after_ms)
{
	*due_ns = loop_now_ns(c->loop) + after_ms * UINT64_C(1000000);
	if (!loop_timer_is_set(&c->_timer) || c->_timer._due_ns > *due_ns)
		loop_timer_set(c->loop, &c->_timer, after_ms);
}

void conn_deadline(struct conn *c, uint64_t after_ms)
{
	if (c->_state != CONN_OPEN)
		return;
	if (after_ms)
		conn_wake_in(c, &c->_deadline_ns, after_ms);
	else
		c->_deadline_ns = 0;
}

static void conn_timer_again(struct conn *c)
{
	const uint64_t all[] = { c->_deadline_ns, c->_stall_ns, c->_gone_ns };
	uint64_t due = 0;
	for (size_t i = 0; i < COUNT_OF(all); i++)
		if (all[i] && (!due || all[i] < due))
			due = all[i];
	if (!due || loop_timer_is_set(&c->_timer))
		return;
	uint64_t now = loop_now_ns(c->loop);
	loop_timer_set(c->loop, &c->_timer, due > now ? (due - now + 999999) / 1000000 : 0);
}

/* Is it due? Then it is taken. */
static bool conn_due(uint64_t *due_ns, uint64_t now_ns)
{
	if (!*due_ns || *due_ns > now_ns)
		return false;
	*due_ns = 0;
	return true;
}

static void conn_on_timer(struct loop_timer *t)
{
	struct conn *c = CONTAINER_OF(t, struct conn, _timer);
	uint64_t now = loop_now_ns(c->loop);
	if (conn_due(&c->_stall_ns, now))
		conn_reader_look(c);
	if (c->_state != CONN_CLOSED && conn_due(&c->_gone_ns, now))
		conn_gone_look(c);
	if (c->_state != CONN_CLOSED && conn_due(&c->_deadline_ns, now)) {
		if (c->_state == CONN_OPEN)
			c->ops->deadline(c);
		else
			conn_close(c);
	}
	if (c->_state != CONN_CLOSED)
		conn_timer_again(c);
}
