/*
 * hwire - the bytes of one connection we began: plain, or TLS from some point on.
 *
 *   hwire_open(fd) [> hwire_tls > ops->ready] > hwire_write, ops->input > hwire_close
 *
 * Why not net/conn/conn.h: that one is for those who come to us. It takes part in the book of peers
 * (limits, shares, shedding), cuts off slow readers and says nothing of why it ended; here one
 * caller wants every reason in words, and sets its own deadlines.
 *
 * (1) None of ops runs below hwire_open, hwire_tls, hwire_write, hwire_flush or hwire_pause;
 *     hwire_close may be called below any of them, and is the end: no more of them.
 * (2) At most HWIRE_TURN bytes are read in a turn, then others have theirs.
 * (3) What is written waits in memory until the socket takes it: writers look at hwire_unsent().
 *
 * Thread: the loop's. Memory: embedded in its owner, who frees it later than the callback that
 * closed it (loop_defer).
 */
#ifndef NET_CLIENT_HWIRE_H
#define NET_CLIENT_HWIRE_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/rt/loop.h"
#include "net/client/tlscli.h"

#define HWIRE_TURN     (256u << 10)
#define HWIRE_PEER_MAX 320u
#define HWIRE_TEXT_MAX 768u

struct hwire;
struct event;
struct hwire_ops {
	void (*ready)(struct hwire *w); /* TLS is up: w->h2 says what was agreed on */
	void (*input)(struct hwire *w, const uint8_t *data, size_t len); /* takes all */
	/*
	 * The peer sends no more; w->torn: TLS ended without its goodbye, so bytes may be
	 * missing.
	 */
	void (*eof)(struct hwire *w);
	void (*room)(struct hwire *w); /* all that was written has been sent */
	/* text: "read from 10.0.0.1:443 (idp.example): connection reset by peer" */
	void (*failed)(struct hwire *w, enum err e, const char *text);
};
struct hwire {
	const struct hwire_ops *ops; /* may be changed by the owner */
	struct loop *loop;
	char peer[HWIRE_PEER_MAX];
	bool h2, torn;
	uint64_t received; /* bytes of the protocol above */
	/* Of wire.c. */
	int _fd; /* -1: closed, or not open yet */
	struct event *_read_event, *_write_event;
	const struct tlscli *_tls;
	struct ssl_st *_ssl;
	struct buf _out;
	size_t _out_off;
	struct loop_again _again;
	bool _shaking, _paused, _eof, _write_set, _in_run, _want_flush, _mute;
};

void hwire_init(struct hwire *w, struct loop *l, const struct hwire_ops *ops);
void hwire_open(struct hwire *w, int take_fd, const char *peer);
void hwire_tls(struct hwire *w, const struct tlscli *t, const char *name, enum tlscli_alpn alpn);
void hwire_write(struct hwire *w, const void *data, size_t len); /* copied; flush sends */
void hwire_flush(struct hwire *w);
size_t hwire_unsent(const struct hwire *w);
void hwire_pause(struct hwire *w, bool pause); /* reading */
/*
 * Nothing but silence since the last byte: the peer has neither sent something nor closed. Asks the
 * socket (one call).
 */
bool hwire_is_quiet(const struct hwire *w);
bool hwire_is_open(const struct hwire *w);
void hwire_close(struct hwire *w); /* what waits is dropped; harmless when it is closed */

#endif
