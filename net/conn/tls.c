/*
 * tls - the handshake and the bytes of one connection.
 *
 *   begun > SSL made with its first bytes > handshake, step by step > the protocol begins >
 *   records in and out > close_notify
 *
 * SSL_read is asked until it says "wait", or the caller's room is full: then t->more, because bytes
 * may wait in OpenSSL that the socket does not tell of.
 * OpenSSL reads the socket through a BIO of ours, no more than READ_CALL_BYTES a call, and a call
 * takes READ_CALL_RECORDS records: small ones, too, are a turn's work and no more. Who goes on to
 * send records that carry no data (KeyUpdate, requests to renegotiate) is cut off.
 * Each call of SSL_write makes one record of at most RECORD_BYTES. What it refused is offered again
 * with the same bytes in front, as OpenSSL wants it: the queue of a connection only grows behind.
 */
#include <errno.h>
#include <openssl/err.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "net/conn/tls_priv.h"

#define RECORD_BYTES      16384u
#define WRITE_CALL_BYTES  (128u << 10)
#define READ_CALL_BYTES   (64u << 10)
#define READ_CALL_RECORDS 64u
#define TALK_BURST        32u /* records without data behind the handshake: so many, */
#define TALK_PER_S        1u
#define TELL_EVERY_NS     UINT64_C(60000000000)

struct tls_conn {
	struct tls *of; /* held */
	SSL *ssl;
	bool shaken;  /* the handshake is done */
	bool more;    /* SSL_read did not say "wait" */
	bool blocked; /* SSL_write did, in a call that had written something */
	bool broken;  /* nothing more goes through it */
	bool ended;   /* the peer has closed its side of the socket */
	bool stopped; /* the call has had its share of the socket: more may wait there */
	bool chatty;  /* too many records without data */
	size_t left;  /* of the call's share of the socket */
	size_t charged;
	struct limit_bucket talk;
};

enum failure {
	FAIL_NOT_TLS,
	FAIL_NOTHING_IN_COMMON,
	FAIL_CLIENT_CERT,
	FAIL_ALERT,
	FAIL_LEFT,
	FAIL_LATE,
	FAIL_NO_ROOM,
	FAIL_OTHER,
	FAILURES
};
static const struct {
	enum metric_id count;
	const char *name;
} failures[] = {
	[FAIL_NOT_TLS] = { M_TLS_FAILED_NOT_TLS, "not_tls" },
	[FAIL_NOTHING_IN_COMMON] = { M_TLS_FAILED_COMMON, "nothing_in_common" },
	[FAIL_CLIENT_CERT] = { M_TLS_FAILED_CLIENT_CERT, "client_certificate" },
	[FAIL_ALERT] = { M_TLS_FAILED_ALERT, "client_refused" },
	[FAIL_LEFT] = { M_TLS_FAILED_LEFT, "client_left" },
	[FAIL_LATE] = { M_TLS_FAILED_LATE, "too_slow" },
	[FAIL_NO_ROOM] = { M_TLS_FAILED_NO_ROOM, "no_room" },
	[FAIL_OTHER] = { M_TLS_FAILED_OTHER, "other" },
};
STATIC(COUNT_OF(failures) == FAILURES);

/* ---- the socket, as OpenSSL sees it ---- */

static int io_read(BIO *b, char *data, int len)
{
	struct conn *c = BIO_get_data(b);
	struct tls_conn *t = c->_tls;
	BIO_clear_retry_flags(b);
	if (t->chatty)
		return -1;
	if (!t->left) {
		t->stopped = true;
		BIO_set_retry_read(b);
		return -1;
	}
	ssize_t n = recv(c->_fd, data, (size_t)len < t->left ? (size_t)len : t->left, 0);
	if (n > 0)
		t->left -= (size_t)n;
	else if (n == 0)
		t->ended = true;
	else if (errno == EAGAIN || errno == EINTR)
		BIO_set_retry_read(b);
	return (int)n;
}

static int io_write(BIO *b, const char *data, int len)
{
	struct conn *c = BIO_get_data(b);
	BIO_clear_retry_flags(b);
	ssize_t n = send(c->_fd, data, (size_t)len, MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_write(b);
	return (int)n;
}

static long io_ctrl(BIO *b, int what, long num, void *ptr)
{
	const struct conn *c = BIO_get_data(b);
	(void)num;
	(void)ptr;
	if (what == BIO_CTRL_EOF)
		return ((const struct tls_conn *)c->_tls)->ended;
	return what == BIO_CTRL_FLUSH;
}

static BIO_METHOD *io_method;
static CRYPTO_ONCE io_once = CRYPTO_ONCE_STATIC_INIT;

static void io_method_make(void)
{
	io_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "connection");
	if (!io_method || BIO_meth_set_read(io_method, io_read) != 1 ||
	    BIO_meth_set_write(io_method, io_write) != 1 ||
	    BIO_meth_set_ctrl(io_method, io_ctrl) != 1)
		panic("no memory for TLS");
}

static BIO *io_make(struct conn *c)
{
	CHECK(CRYPTO_THREAD_run_once(&io_once, io_method_make) == 1);
	BIO *b = BIO_new(io_method);
	if (!b)
		panic("no memory for a connection");
	BIO_set_data(b, c);
	BIO_set_init(b, 1);
	return b;
}

/* What a call may take. */
static void io_share(struct tls_conn *t)
{
	t->left = READ_CALL_BYTES;
	t->stopped = false;
}

/* Each record that comes, by its type: with TLS 1.3 the one inside. */
static void on_record(
    int out, int version, int type, const void *data, size_t len, SSL *ssl, void *arg)
{
	struct conn *c = arg;
	struct tls_conn *t = c->_tls;
	(void)version;
	bool tells = type == SSL3_RT_INNER_CONTENT_TYPE ||
	    (type == SSL3_RT_HEADER && SSL_version(ssl) < TLS1_3_VERSION);
	if (out || !t->shaken || !tells || !len || *(const uint8_t *)data == SSL3_RT_APPLICATION_DATA)
		return;
	if (!limit_bucket_take(&t->talk, loop_now_ns(c->loop), TALK_BURST, TALK_PER_S))
		t->chatty = true;
}

/* ---- failures: counted, and told once a minute for each reason (and loop) ---- */

static void tell(const struct conn *c, enum failure f, const char *why)
{
	static __thread uint64_t next_ns[FAILURES];
	char from[CIDR_TEXT_MAX];
	uint64_t now_ns = loop_now_ns(c->loop);
	metric_add(failures[f].count, 1);
	if (f == FAIL_LEFT || now_ns < next_ns[f])
		return;
	next_ns[f] = now_ns + TELL_EVERY_NS;
	cidr_address_text(&c->remote, from);
	LOG_WARN("tls_handshake_failed", "reason=%s so_far=%llu from=%s why=\"%s\"",
	    failures[f].name, (unsigned long long)metric_sum(failures[f].count), from, why);
}

static enum failure failure_of(unsigned long e)
{
	switch (ERR_GET_REASON(e)) {
	case SSL_R_HTTP_REQUEST:
	case SSL_R_HTTPS_PROXY_REQUEST:
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_UNKNOWN_PROTOCOL:
	case SSL_R_UNEXPECTED_MESSAGE:
	case SSL_R_BAD_RECORD_TYPE:
	case SSL_R_PACKET_LENGTH_TOO_LONG:
		return FAIL_NOT_TLS;
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_VERSION_TOO_LOW:
	case SSL_R_NO_SHARED_CIPHER:
	case SSL_R_NO_SUITABLE_KEY_SHARE:
	case SSL_R_NO_SUITABLE_GROUPS:
	case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
	case SSL_R_NO_APPLICATION_PROTOCOL:
		return FAIL_NOTHING_IN_COMMON;
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
		return FAIL_CLIENT_CERT;
	case SSL_R_UNEXPECTED_EOF_WHILE_READING:
		return FAIL_LEFT;
	default:
		return ERR_GET_REASON(e) >= SSL_AD_REASON_OFFSET ? FAIL_ALERT : FAIL_OTHER;
	}
}

void tls_give_up(struct conn *c, bool late)
{
	struct tls_conn *t = c->_tls;
	if (!t || t->shaken || t->broken)
		return;
	t->broken = true;
	tell(c, late ? FAIL_LATE : FAIL_LEFT, "the handshake did not end in time");
}

static ssize_t wait_for_event(void)
{
	errno = EAGAIN;
	return -1;
}

static const char https_wanted[] =
    "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 55\r\n"
    "connection: close\r\n\r\n"
    "this address speaks HTTPS: begin its URL with https://\n";

/* From here on there is a plain socket, to say the last word on. */
static ssize_t shake_failed(struct conn *c, int ssl_error)
{
	struct tls_conn *t = c->_tls;
	unsigned long e = ERR_peek_error();
	bool http = ssl_error == SSL_ERROR_SSL && ERR_GET_REASON(e) == SSL_R_HTTP_REQUEST;
	const char *why = ssl_error == SSL_ERROR_SSL && e ? ERR_reason_error_string(e) : NULL;
	t->broken = true;
	tell(c, ssl_error == SSL_ERROR_SSL ? failure_of(e) : FAIL_LEFT, why ? why : "");
	ERR_clear_error();
	c->_heavy = false;
	c->_io = &conn_plain_io;
	if (http)
		conn_write(c, https_wanted, sizeof(https_wanted) - 1);
	conn_finish(c);
	return wait_for_event();
}

/* ---- the handshake ---- */

static void uncharge(struct conn *c)
{
	struct tls_conn *t = c->_tls;
	limit_inflight_sub(c->who, t->charged);
	t->charged = 0;
}

/* With its first bytes; before them a connection costs as much as a plain one. */
static bool ssl_make(struct conn *c)
{
	struct tls_conn *t = c->_tls;
	uint64_t now_ns = loop_now_ns(c->loop);
	if (limit_inflight_look(c->who, 0, LIMIT_HANDSHAKE_BYTES, now_ns) > LIMIT_PRESSED) {
		t->broken = true;
		tell(c, FAIL_NO_ROOM,
		    "too many bytes of requests in flight (--web.max-inflight-bytes)");
		return false;
	}
	t->ssl = SSL_new(t->of->ctx);
	if (!t->ssl)
		panic("no memory for a connection");
	BIO *b = io_make(c);
	SSL_set_bio(t->ssl, b, b);
	SSL_set_app_data(t->ssl, c);
	SSL_set_msg_callback(t->ssl, on_record);
	SSL_set_msg_callback_arg(t->ssl, c);
	SSL_set_accept_state(t->ssl);
	t->charged = LIMIT_HANDSHAKE_BYTES;
	limit_inflight_add(c->who, t->charged);
	return true;
}

/* The client's certificate, when it was verified. False: it was once, and has ended since. */
static bool peer_take(struct conn *c)
{
	struct tls_conn *t = c->_tls;
	X509 *cert = SSL_get0_peer_certificate(t->ssl);
	if (!cert || !t->of->verifies || SSL_get_verify_result(t->ssl) != X509_V_OK)
		return true;
	if (!tls_peer_current(cert))
		return false;
	c->peer = tls_peer_of(cert);
	return true;
}

static ssize_t shaken(struct conn *c)
{
	struct tls_conn *t = c->_tls;
	const unsigned char *alpn = NULL;
	unsigned len = 0;
	metric_add(SSL_version(t->ssl) == TLS1_3_VERSION ? M_TLS_1_3 : M_TLS_1_2, 1);
	if (SSL_session_reused(t->ssl))
		metric_add(M_TLS_RESUMED, 1);
	uncharge(c);
	if (!peer_take(c)) {
		t->broken = true;
		tell(c, FAIL_CLIENT_CERT, "the certificate of a resumed session has ended");
		errno = EPROTO;
		return -1;
	}
	SSL_get0_alpn_selected(t->ssl, &alpn, &len);
	c->alpn = len == 2 ? CONN_ALPN_H2 : CONN_ALPN_H1;
	c->tls = true;
	t->shaken = t->more = true;
	conn_opened(c);
	return 1;
}

/* 1: it is done. Else as read. */
static ssize_t shake(struct conn *c)
{
	struct tls_conn *t = c->_tls;
	if (!t->ssl && !ssl_make(c)) {
		errno = ENOBUFS;
		return -1;
	}
	uint64_t begin_ns = clock_real_mono_ns();
	ERR_clear_error();
	io_share(t);
	int r = SSL_do_handshake(t->ssl), e = r == 1 ? 0 : SSL_get_error(t->ssl, r);
	metric_observe_ns(M_TLS_STEP_SECONDS, clock_real_mono_ns() - begin_ns);
	if (r == 1)
		return shaken(c);
	c->_read_wants_write = e == SSL_ERROR_WANT_WRITE;
	t->more = t->stopped;
	if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
		return wait_for_event();
	return shake_failed(c, e);
}

/* ---- bytes ---- */

/* SSL_read gave nothing more, and so much before. */
static ssize_t read_ended(struct conn *c, size_t got, int e)
{
	struct tls_conn *t = c->_tls;
	bool waits = e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE;
	t->more = !waits || t->stopped;
	c->_read_wants_write = e == SSL_ERROR_WANT_WRITE;
	if (got) /* an end is met again with the next call */
		return (ssize_t)got;
	if (waits)
		return wait_for_event();
	t->more = false;
	if (e == SSL_ERROR_ZERO_RETURN)
		return 0;
	t->broken = true;
	metric_add(M_TLS_BROKEN, 1);
	errno = EPROTO;
	return -1;
}

static ssize_t tls_read(struct conn *c, const struct iovec *v, int count)
{
	struct tls_conn *t = c->_tls;
	size_t got = 0, records = READ_CALL_RECORDS;
	if (!t->shaken) {
		ssize_t r = shake(c);
		if (r != 1)
			return r;
	}
	ERR_clear_error();
	io_share(t);
	for (int i = 0; i < count; i++) {
		for (size_t off = 0; off < v[i].iov_len && records; records--) {
			size_t n;
			int ok = SSL_read_ex(
			    t->ssl, (uint8_t *)v[i].iov_base + off, v[i].iov_len - off, &n);
			if (ok != 1)
				return read_ended(c, got, SSL_get_error(t->ssl, ok));
			off += n;
			got += n;
		}
	}
	t->more = true;
	return (ssize_t)got;
}

static bool tls_holds(const struct conn *c)
{
	const struct tls_conn *t = c->_tls;
	return t->more && !t->broken;
}

/* The next record of what v has from *at on: in place where it lies together, else in room. */
static const uint8_t *record(
    const struct iovec **v, size_t *off, size_t len, uint8_t room[RECORD_BYTES])
{
	const uint8_t *start = (const uint8_t *)(*v)->iov_base + *off;
	if ((*v)->iov_len - *off >= len) {
		*off += len;
		return start;
	}
	for (size_t n = 0; n < len;) {
		size_t piece = (*v)->iov_len - *off < len - n ? (*v)->iov_len - *off : len - n;
		memcpy(room + n, (const uint8_t *)(*v)->iov_base + *off, piece);
		n += piece;
		*off += piece;
		if (*off == (*v)->iov_len && n < len) {
			++*v;
			*off = 0;
		}
	}
	return room;
}

static ssize_t write_ended(struct conn *c, size_t done, int e)
{
	struct tls_conn *t = c->_tls;
	c->_write_wants_read = e == SSL_ERROR_WANT_READ;
	if (e == SSL_ERROR_WANT_WRITE || e == SSL_ERROR_WANT_READ) {
		t->blocked = done > 0;
		return done ? (ssize_t)done : wait_for_event();
	}
	t->broken = true;
	metric_add(M_TLS_BROKEN, 1);
	errno = EPIPE;
	return done ? (ssize_t)done : -1;
}

static ssize_t tls_write(struct conn *c, const struct iovec *v, int count)
{
	struct tls_conn *t = c->_tls;
	uint8_t room[RECORD_BYTES];
	size_t total = 0, done = 0, off = 0;
	if (t->blocked) {
		t->blocked = false;
		return wait_for_event();
	}
	if (t->broken) {
		errno = EPIPE;
		return -1;
	}
	for (int i = 0; i < count; i++)
		total += v[i].iov_len;
	if (total > WRITE_CALL_BYTES)
		total = WRITE_CALL_BYTES;
	ERR_clear_error();
	while (done < total) {
		size_t len = total - done < RECORD_BYTES ? total - done : RECORD_BYTES, n;
		while (off == v->iov_len) {
			v++;
			off = 0;
		}
		const uint8_t *p = record(&v, &off, len, room);
		int ok = SSL_write_ex(t->ssl, p, len, &n);
		if (ok != 1)
			return write_ended(c, done, SSL_get_error(t->ssl, ok));
		done += n;
		if (n < len) /* a record that was begun with less before it */
			break;
	}
	return (ssize_t)done;
}

static void tls_shut(struct conn *c)
{
	struct tls_conn *t = c->_tls;
	if (!t->shaken || t->broken)
		return;
	ERR_clear_error();
	(void)SSL_shutdown(t->ssl); /* a wish: what was sent is framed by HTTP */
	t->broken = true;
}

static const struct conn_io tls_io = {
	.read = tls_read,
	.write = tls_write,
	.holds = tls_holds,
	.shut = tls_shut,
	.turn_bytes = CONN_TLS_TURN,
};

/* ---- life ---- */

void tls_begin(struct conn *c, struct tls *of)
{
	struct tls_conn *t = mem_zalloc(sizeof(*t));
	t->of = tls_hold(of);
	c->_tls = t;
	c->_io = &tls_io;
	c->_heavy = true;
}

void tls_conn_free(struct conn *c)
{
	struct tls_conn *t = c->_tls;
	if (!t)
		return;
	uncharge(c);
	SSL_free(t->ssl);
	tls_drop(t->of);
	mem_free(t);
	c->_tls = NULL;
}
