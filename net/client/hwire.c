#include "net/client/hwire.h"

#include <errno.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/metric.h"

#define READ_BYTES (16u << 10) /* a TLS record, and then some plain reads */

enum io {
	IO_DONE, /* *n bytes */
	IO_WAIT,
	IO_EOF,
	IO_FAILED /* told already */
};

static void hwire_run(struct hwire *w);
static void hwire_send(struct hwire *w);

/* ---- life ---- */

static void on_again(struct loop_deferred *d)
{
	struct hwire *w = CONTAINER_OF(d, struct hwire, _again.work);
	loop_again_begin(&w->_again);
	if (w->_fd >= 0)
		hwire_run(w);
}

void hwire_init(struct hwire *w, struct loop *l, const struct hwire_ops *ops)
{
	*w = (struct hwire){ .loop = l, .ops = ops, ._fd = -1 };
	w->_again.work.fn = on_again;
	buf_init(&w->_out);
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct hwire *w = arg;
	(void)loop_now_ns(w->loop); /* the turn has begun */
	hwire_run(w);
}

static void on_write(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct hwire *w = arg;
	(void)loop_now_ns(w->loop);
	w->_write_set = false;
	if (w->_ssl) /* it may be a handshake or a read that wanted to write */
		hwire_run(w);
	else
		hwire_send(w);
}

void hwire_open(struct hwire *w, int take_fd, const char *peer)
{
	CHECK(w->_fd < 0 && take_fd >= 0);
	struct event_base *base = loop_base(w->loop);
	w->_fd = take_fd;
	snprintf(w->peer, sizeof w->peer, "%s", peer);
	w->_read_event = event_new(base, take_fd, EV_READ | EV_PERSIST, on_read, w);
	w->_write_event = event_new(base, take_fd, EV_WRITE, on_write, w);
	if (!w->_read_event || !w->_write_event || event_add(w->_read_event, NULL))
		panic("no memory for a connection");
}

void hwire_close(struct hwire *w)
{
	if (w->_fd < 0)
		return;
	event_free(w->_read_event);
	event_free(w->_write_event);
	loop_again_cancel(&w->_again);
	if (w->_ssl && !w->_shaking) {
		ERR_clear_error();
		(void)SSL_shutdown(w->_ssl); /* a goodbye, where the socket takes it */
		ERR_clear_error();
	}
	SSL_free(w->_ssl);
	w->_ssl = NULL;
	close(w->_fd);
	w->_fd = -1;
	buf_release(&w->_out);
	w->_out_off = 0;
}

bool hwire_is_open(const struct hwire *w)
{
	return w->_fd >= 0;
}

static void hwire_fail(struct hwire *w, enum err e, const char *doing, const char *why)
{
	char text[HWIRE_TEXT_MAX];
	snprintf(text, sizeof text, "%s %s: %s", doing, w->peer, why);
	w->ops->failed(w, e, text);
}

static void hwire_fail_errno(struct hwire *w, const char *doing, int errnum)
{
	enum err e = err_of_errno(errnum);
	hwire_fail(w, ERR_IO, doing, err_why(e));
}

static void want_write(struct hwire *w)
{
	if (w->_write_set)
		return;
	w->_write_set = true;
	CHECK(!event_add(w->_write_event, NULL));
}

/* ---- TLS ---- */

/* What an SSL call that returned r wants. */
static enum io tls_result(struct hwire *w, int r, const char *doing)
{
	int errnum = errno;
	char why[256];
	switch (SSL_get_error(w->_ssl, r)) {
	case SSL_ERROR_WANT_READ:
		return IO_WAIT;
	case SSL_ERROR_WANT_WRITE:
		want_write(w);
		return IO_WAIT;
	case SSL_ERROR_ZERO_RETURN:
		return IO_EOF;
	case SSL_ERROR_SYSCALL:
		ERR_clear_error();
		if (errnum)
			hwire_fail_errno(w, doing, errnum);
		else
			hwire_fail(w, ERR_IO, doing, "the connection was closed");
		return IO_FAILED;
	default:
		break;
	}
	if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING && !w->_shaking) {
		ERR_clear_error();
		w->torn = true;
		return IO_EOF;
	}
	enum err e = tlscli_why(w->_tls, w->_ssl, why, sizeof why);
	hwire_fail(w, e, doing, why);
	return IO_FAILED;
}

static void shake(struct hwire *w)
{
	ERR_clear_error();
	errno = 0;
	int r = SSL_do_handshake(w->_ssl);
	if (r != 1) {
		if (tls_result(w, r, "TLS with") == IO_EOF)
			hwire_fail(w, ERR_IO, "TLS with", "the connection was closed");
		return;
	}
	const unsigned char *word;
	unsigned len;
	w->_shaking = false;
	SSL_get0_alpn_selected(w->_ssl, &word, &len);
	w->h2 = len == 2 && !memcmp(word, "h2", 2);
	w->ops->ready(w);
}

void hwire_tls(struct hwire *w, const struct tlscli *t, const char *name, enum tlscli_alpn alpn)
{
	CHECK(w->_fd >= 0 && !w->_ssl && !hwire_unsent(w));
	w->_tls = t;
	w->_ssl = tlscli_session(t, w->_fd, name, alpn);
	w->_shaking = true;
	loop_again(w->loop, LOOP_SOON, &w->_again);
}

/* ---- reading ---- */

void hwire_pause(struct hwire *w, bool pause)
{
	if (w->_fd < 0 || w->_paused == pause || w->_eof)
		return;
	w->_paused = pause;
	CHECK(!(pause ? event_del(w->_read_event) : event_add(w->_read_event, NULL)));
	if (!pause && w->_ssl) /* bytes may wait inside of OpenSSL, unseen by events */
		loop_again(w->loop, LOOP_SOON, &w->_again);
}

static enum io read_some(struct hwire *w, uint8_t *out, size_t *n)
{
	ssize_t r;
	errno = 0;
	if (w->_ssl) {
		ERR_clear_error();
		r = SSL_read(w->_ssl, out, READ_BYTES);
		if (r <= 0)
			return tls_result(w, (int)r, "read from");
	} else {
		r = recv(w->_fd, out, READ_BYTES, 0);
		if (r == 0)
			return IO_EOF;
		if (r < 0 && (errno == EAGAIN || errno == EINTR))
			return IO_WAIT;
		if (r < 0) {
			hwire_fail_errno(w, "read from", errno);
			return IO_FAILED;
		}
	}
	*n = (size_t)r;
	return IO_DONE;
}

static void hwire_read(struct hwire *w)
{
	SCRATCH uint8_t data[READ_BYTES];
	size_t total = 0, n = 0;
	/* input() may begin TLS: what comes behind is not read as if it were through. */
	while (w->_fd >= 0 && !w->_shaking && !w->_paused && !w->_eof && total < HWIRE_TURN) {
		enum io io = read_some(w, data, &n);
		if (io == IO_EOF) {
			w->_eof = true;
			event_del(w->_read_event);
			w->ops->eof(w);
		}
		if (io != IO_DONE)
			return;
		total += n;
		w->received += n;
		w->ops->input(w, data, n);
		if (!w->_ssl && n < READ_BYTES) /* the socket is empty */
			return;
	}
	if (w->_fd >= 0 && !w->_shaking && !w->_paused && !w->_eof)
		loop_again(w->loop, LOOP_LATER, &w->_again);
}

static void hwire_run(struct hwire *w)
{
	w->_in_run = true;
	if (w->_shaking)
		shake(w);
	if (w->_fd >= 0 && !w->_shaking)
		hwire_read(w);
	w->_in_run = false;
	if (w->_fd >= 0 && !w->_write_set && (w->_want_flush || hwire_unsent(w)))
		hwire_send(w);
}

bool hwire_is_quiet(const struct hwire *w)
{
	char c;
	if (w->_fd < 0 || w->_eof)
		return false;
	return recv(w->_fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* ---- writing ---- */

void hwire_write(struct hwire *w, const void *data, size_t len)
{
	if (w->_fd < 0 || w->_mute || !len)
		return;
	if (w->_out_off > w->_out.len / 2) {
		w->_out.len -= w->_out_off;
		memmove(w->_out.data, w->_out.data + w->_out_off, w->_out.len);
		w->_out_off = 0;
	}
	buf_add(&w->_out, data, len);
}

size_t hwire_unsent(const struct hwire *w)
{
	return w->_out.len - w->_out_off;
}

/*
 * The peer takes no more, but may have said why before (a 413, say): what it sent is read first,
 * and its end told as an end or a failure of reading.
 */
static void go_mute(struct hwire *w)
{
	w->_mute = true;
	buf_clear(&w->_out);
	w->_out_off = 0;
	loop_again(w->loop, LOOP_SOON, &w->_again);
}

static enum io write_some(struct hwire *w, size_t *n)
{
	const uint8_t *data = w->_out.data + w->_out_off;
	size_t len = hwire_unsent(w);
	ssize_t r;
	errno = 0;
	if (w->_ssl) {
		ERR_clear_error();
		r = SSL_write(w->_ssl, data, (int)(len < INT32_MAX ? len : INT32_MAX));
		if (r <= 0) {
			enum io io = tls_result(w, (int)r, "write to");
			if (io == IO_EOF)
				hwire_fail(w, ERR_IO, "write to", "the connection was closed");
			return io == IO_EOF ? IO_FAILED : io;
		}
	} else {
		r = send(w->_fd, data, len, MSG_NOSIGNAL);
		if (r < 0 && (errno == EAGAIN || errno == EINTR)) {
			want_write(w);
			return IO_WAIT;
		}
		if (r < 0) {
			go_mute(w);
			return IO_WAIT;
		}
	}
	*n = (size_t)r;
	return IO_DONE;
}

/* From the loop only: may tell of failures and room. */
static void hwire_send(struct hwire *w)
{
	size_t n = 0;
	bool any = false;
	w->_want_flush = false;
	if (w->_shaking)
		return;
	while (w->_fd >= 0 && hwire_unsent(w)) {
		if (write_some(w, &n) != IO_DONE)
			return;
		any = true;
		w->_out_off += n;
	}
	if (w->_fd < 0 || !any)
		return;
	buf_clear(&w->_out);
	w->_out_off = 0;
	w->ops->room(w);
}

void hwire_flush(struct hwire *w)
{
	if (w->_fd < 0)
		return;
	w->_want_flush = true;
	if (!w->_in_run && !w->_write_set)
		loop_again(w->loop, LOOP_SOON, &w->_again);
}
