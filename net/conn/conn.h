/*
 * conn - one accepted TCP connection on one loop: bytes in, bytes out, deadlines, and an end that
 * never pulls memory from under a caller.
 *
 *   OPEN ---- conn_finish() ---> FLUSH ---- all sent ---> LINGER ---- peer closed, or
 *   LIMIT_LINGER_MS ---> CLOSED
 *     \________ error, conn_abort() ________ \_______________________
 *     \_________________________________/
 *   CLOSED: ops->closed(c) runs at the end of the turn, then the connection is freed. All calls on
 *   a closed connection are harmless until then.
 *
 * Reading: everything that comes is given to ops->input, at most CONN_READ_TURN bytes per turn.
 * With conn_read_into() the next bytes go straight to the protocol's memory (bodies): one copy by
 * the kernel, none by us.
 * Writing: conn_write() queues, conn_flush() sends what the socket takes (at the end of the
 * callback when called below one of ops), the rest goes when the socket is writable again, at most
 * CONN_WRITE_TURN bytes per turn. What was copied and waits is counted as an answer of the peer.
 * A peer that reads too slowly while something is queued is cut off (limit_reader_look).
 * Turns: when the loop is late, a connection that has something to read or write waits in the
 * loop's queue (LOOP_SOON), so that peers take turns. In a rush (conn_host_rush) who comes goes
 * past the queue, as far as the time for events lasts: most are told to come later, and soon.
 * While reading pauses, ops->left is told once when the peer has closed its side.
 * How it begins: what a listener says (struct conn_how) comes before the protocol: the header of a
 * proxy, then the handshake of TLS (net/conn/front, net/conn/tls). Only then is the host's open()
 * called; c->remote, c->who, c->alpn and c->peer are what they stay.
 * What carries the bytes is struct conn_io: a plain socket, or TLS on it.
 * Thread: the loop of the host. Memory: the connection belongs to its host.
 */
#ifndef NET_CONN_CONN_H
#define NET_CONN_CONN_H

#include <sys/socket.h>
#include <sys/uio.h>

#include "core/base/cidr.h"
#include "core/base/err.h"
#include "core/base/list.h"
#include "core/rt/loop.h"
#include "net/conn/limit.h"
#include "net/conn/peer.h"

#define CONN_READ_TURN  (1u << 20)
#define CONN_WRITE_TURN (1u << 20)
/* Over TLS a turn is as long for a quarter of the bytes: they are decrypted, too. */
#define CONN_TLS_TURN (256u << 10)

struct conn;
struct conn_host;
struct event;
struct evbuffer;
struct tls;
struct tls_keys;

/* What a listener says of its connections. Borrowed for conn_accept. */
struct conn_how {
	struct tls *tls; /* NULL: plain */
	/* From these a PROXY header comes first, or the connection is closed. */
	const struct cidr_set *proxy_from;
	bool admin; /* of the listener for administration */
};

/* What carries the bytes. */
struct conn_io {
	/* As readv() and writev(); -1 with EAGAIN: wait. 0 of read is the end. */
	ssize_t (*read)(struct conn *c, const struct iovec *v, int count);
	ssize_t (*write)(struct conn *c, const struct iovec *v, int count);
	/* The rest may be NULL. Are there bytes that the socket will not tell of? */
	bool (*holds)(const struct conn *c);
	void (*shut)(struct conn *c); /* all is written: say so to the peer */
	size_t turn_bytes;            /* of one turn, each way */
};

/* The protocol on top. None of them may free what belongs to the connection before closed(). */
struct conn_ops {
	void (*input)(struct conn *c, const uint8_t *data, size_t len); /* takes all */
	void (*filled)(struct conn *c,
	    size_t len);             /* so many bytes came into the memory of conn_read_into() */
	void (*eof)(struct conn *c); /* the peer will send no more; writing goes on */
	/* May be NULL: as eof, but what the peer has sent before it is not read yet. */
	void (*left)(struct conn *c);
	void (*room)(
	    /* asked for by conn_want_room(): less than LIMIT_UNREAD_BYTES wait now */
	    struct conn *c);
	void (*deadline)(struct conn *c); /* conn_deadline() has passed */
	void (*drain)(struct conn *c);    /* the server ends: finish what runs, take nothing new */
	void (*closed)(struct conn *c);   /* last call: let go of c */
};

/* What was agreed on in the handshake of TLS (ALPN). */
enum conn_alpn {
	CONN_ALPN_NONE, /* the first bytes tell */
	CONN_ALPN_H1,
	CONN_ALPN_H2
};

enum conn_state {
	CONN_OPEN,
	CONN_FLUSH,
	CONN_LINGER,
	CONN_CLOSED
};
#define CONN_STATES 4

struct conn {
	struct loop *loop;
	struct conn_host *host;
	const struct conn_ops *ops;     /* may be changed by the protocol (detection) */
	void *proto;                    /* the protocol's */
	struct sockaddr_storage remote; /* the client: behind a PROXY header who it names */
	uint32_t who;                   /* remote, in the book of limit.h */
	bool draining, admin;
	bool proxy; /* of conn_host_set_proxies */
	bool tls;
	enum conn_alpn alpn;
	struct conn_peer *peer; /* whose certificate was verified; NULL = none */
	uint64_t waited_ns;     /* what came last has waited so long for its turn */

	/* Of conn.c. */
	const struct conn_io *_io;
	void *_front; /* of the io, until the protocol begins */
	void *_tls;   /* of net/conn/tls */
	int _fd;
	enum conn_state _state;
	struct list_link _link; /* in the host's list of its state */
	struct event *_read_event, *_write_event;
	struct evbuffer *_out;
	uint8_t *_into;
	size_t _into_len;
	bool _paused, _eof, _left, _in_run, _want_flush, _write_waits;
	uint64_t _deadline_ns, _stall_ns, _gone_ns; /* 0 = none */
	/* A reader that makes us wait: since when, and what it had read by then. */
	uint64_t _wait_ns, _wait_read, _sent;
	uint64_t _queued;       /* bytes ever written to _out */
	struct list_link _refs; /* in _out, not copied */
	size_t _held;           /* counted as an answer that waits */
	struct loop_timer _timer;
	struct loop_deferred _reap, _room, _turn;
	uint64_t _asked_ns; /* when _turn was asked for; real clock */
	bool _want_room, _room_set, _turn_set, _turn_read, _turn_write;
	bool _begun;      /* the host's open() was called */
	bool _heavy;      /* a handshake: its turns come behind those of others */
	bool _read_stops; /* while such a turn waits, the socket is not looked at */
	/* What the io waits for, when it is the other direction. */
	bool _read_wants_write, _write_wants_read;
};

/*
 * A host keeps the connections of one loop; the limits hold for all hosts together. open(c) sets
 * c->ops and c->proto of a new one.
 */
MUST_CHECK enum err conn_host_create(
    struct loop *l, void (*open)(struct conn *c), void *ctx, struct conn_host **out);
void *conn_host_ctx(const struct conn_host *h);
void conn_host_drain(struct conn_host *h); /* ops->drain on each, and on each to come */
void conn_host_abort(struct conn_host *h);
size_t conn_host_count(const struct conn_host *h);
struct loop *conn_host_loop(const struct conn_host *h);
void conn_host_rush(struct conn_host *h, bool rush);
void conn_host_free(
    struct conn_host *h); /* with no connections left; any thread once the loop has ended */
/*
 * Behind these stand others: what one address may hold is not for them. The set is the caller's,
 * and changed on the loop.
 */
void conn_host_set_proxies(struct conn_host *h, const struct cidr_set *proxies);
const struct cidr_set *conn_host_proxies(const struct conn_host *h);
/* Keys of session tickets (net/conn/tls), NULL until then; owned by the caller. */
void conn_host_set_keys(struct conn_host *h, struct tls_keys *keys);
struct tls_keys *conn_host_keys(const struct conn_host *h);
/* Takes the descriptor: a new connection, or closed at once when over a limit. */
void conn_accept(
    struct conn_host *h, int fd, const struct sockaddr_storage *remote, const struct conn_how *how);
/*
 * When there are http_connections of them already, who has more than its share is refused, and
 * another one takes the place of a connection of such: it is told to end, as in a drain.
 */
/* May another connection be accepted in this process? */
bool conn_host_has_room(const struct conn_host *h);

/* For net/conn/front and tls. The client is another one than who connected; false: it is over its
 * limit, the connection is to end. */
MUST_CHECK bool conn_set_remote(struct conn *c, const struct sockaddr_storage *remote, bool proxy);
void conn_opened(struct conn *c); /* the protocol begins */
extern const struct conn_io conn_plain_io;

void conn_read_pause(struct conn *c, bool pause);
/*
 * The next len bytes go to data (filled() tells, maybe in parts); input() gets what comes behind
 * them. NULL, 0 ends it.
 */
void conn_read_into(struct conn *c, uint8_t *data, size_t len);
void conn_write(struct conn *c, const void *data, size_t len); /* copied */
/* Not copied; done(arg) when it is sent or dropped. */
void conn_write_ref(struct conn *c, const void *data, size_t len, void (*done)(void *arg), void *arg);
void conn_flush(struct conn *c);
size_t conn_unsent(const struct conn *c);
/*
 * LIMIT_UNREAD_BYTES or more wait: ops->room, once, at the end of a turn in which that has changed.
 */
void conn_want_room(struct conn *c);
bool conn_is_open(const struct conn *c);               /* false: nothing more will be sent */
void conn_deadline(struct conn *c, uint64_t after_ms); /* 0 = none; replaces the one before */
void conn_finish(struct conn *c);                      /* close when all is sent */
void conn_abort(struct conn *c);                       /* close now, with a reset */

#endif
