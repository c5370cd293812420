/*
 * hclient - requests of ours to other servers: HTTP/1.1 and HTTP/2, plain and over TLS, directly or
 * through a proxy, on one loop and without ever blocking it.
 *
 *   hclient_fetch > name resolved > address allowed > connected > TLS > request sent
 *                 > head() > data()* > trailers() > done()
 *
 * (1) done() is called exactly once, as the last of a fetch's callbacks, unless hclient_cancel()
 *     came first. No callback runs below a call of this module: all come from the loop.
 * (2) An error is one line that names host, address and reason: "connect to 10.0.0.1:443
 *     (idp.example): connection refused". It never holds a path, a query or a field: those may be
 *     secrets. An answer of any status is no error.
 * (3) What an answer makes us hold is bounded: its head by head_max, its body (unpacked) by
 *     answer_max, what came while data() pauses by the windows of HTTP/2 or one read of a socket.
 * (4) http and https only. Each address is looked at after its name was resolved, on redirects too:
 *     link-local ones (169.254.0.0/16 with the clouds' metadata services, fe80::/10) are always
 *     refused, loopback and private ones by choice. An address of a proxy is the operator's word,
 *     and the proxy resolves the name of the origin: there the rules see literal addresses only.
 * (5) Credentials (Authorization, Cookie and fields marked secret) do not follow a redirect to
 *     another scheme, host or port; https does not redirect to http.
 *
 * Retries: a request whose method is idempotent (RFC 9110, 9.2.2) or that allows it is sent again,
 * up to `retries` times, when the connection failed before its answer began, or the answer was 429,
 * 502, 503 or 504, as long as nothing of that answer was handed on. The wait is random between 0
 * and backoff_ms * 2^try ("full jitter"), at most HCLIENT_BACKOFF_MAX_MS; Retry-After makes it
 * longer, and one over retry_after_max_ms or over the deadline ends the fetch with that answer.
 * A kept connection that turns out to be closed before its answer began (idempotent or allowed), a
 * request that HTTP/2 says was never looked at (REFUSED_STREAM, GOAWAY; any method): sent again at
 * once, not counted.
 * Bodies that are pulled cannot be sent twice: only before the first byte was pulled.
 *
 * Thread: the loop it was created on. Memory: a client belongs to its caller, a fetch to the
 * client.
 */
#ifndef NET_CLIENT_HCLIENT_H
#define NET_CLIENT_HCLIENT_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/rt/loop.h"

struct hclient;
struct hfetch;
struct tlscli;
struct resolve_conf;

#define HCLIENT_NONE           UINT32_MAX /* of a deadline: there is none */
#define HCLIENT_BACKOFF_MAX_MS 10000u

enum hclient_rule {
	HCLIENT_ANYWHERE, /* but link-local */
	HCLIENT_PUBLIC    /* nor loopback, nor private or other special addresses (RFC 6890) */
};
enum hclient_proxy {
	HCLIENT_PROXY_ENV, /* HTTP_PROXY, HTTPS_PROXY, NO_PROXY, as Go reads them */
	HCLIENT_PROXY_NONE,
	HCLIENT_PROXY_URL /* proxy_url, for all */
};

/* Begin with hclient_opts_usual(), then change what differs. All is copied. */
struct hclient_opts {
	/*
	 * Servers and hosts for names (net/client/resolve.h), trust and certificate of ours
	 * (net/client/tlscli.h). NULL: the system's, read by hclient_create, which blocks then.
	 * Both outlive the client.
	 */
	const struct resolve_conf *resolve;
	const struct tlscli *tls;
	const char *tls_name; /* name asked for and verified instead of the URL's host */
	const char *user_agent;
	enum hclient_proxy proxy;
	const char *proxy_url; /* http://[user:password@]host[:port] */
	enum hclient_rule rule;
	unsigned redirects; /* 0 = none are followed: the answer is handed on */
	unsigned retries;
	/* Deadlines in milliseconds; HCLIENT_NONE = none. */
	uint32_t connect_ms; /* one connection, its name resolved: TCP, the proxy's consent */
	uint32_t tls_ms;
	uint32_t head_ms; /* from the request's last byte, or the last we could send, to the head */
	uint32_t idle_ms; /* between bytes of an answer */
	uint32_t whole_ms; /* everything, retries and waits for a connection included */
	uint32_t keep_ms;  /* a connection nobody uses */
	uint32_t backoff_ms, retry_after_max_ms;
	/* Sizes. */
	size_t head_max;   /* names and values of an answer's fields, with 32 bytes each */
	size_t answer_max; /* of a body as handed on; SIZE_MAX = none */
	unsigned conns_host, conns_all;
	unsigned idle_host; /* connections kept for one host */
	unsigned streams;   /* of HTTP/2 on one connection, besides what the server allows */
};
/*
 * connect 5 s, TLS 10 s, head 30 s, idle 30 s, whole 60 s, keep 30 s; backoff from 200 ms, no
 * Retry-After over 30 s; head 64 KiB, answer 16 MiB; 8 connections for a host, 64 in all, 2 kept;
 * 100 streams; 2 retries; no redirects.
 */
void hclient_opts_usual(struct hclient_opts *o);

MUST_CHECK enum err hclient_create(
    struct loop *l, const struct hclient_opts *opts, struct hclient **out, struct errbuf *eb);
/*
 * Connections are closed, fetches end with ERR_STOPPING: their done() comes at the end of the turn.
 * Then the memory goes; no other call with it is allowed any more. NULL is fine.
 */
void hclient_free(struct hclient *c);

struct hclient_field {
	const char *name; /* lower case */
	const char *value;
	size_t name_len, value_len; /* of requests: 0 = strlen */
	bool secret; /* a credential: goes to the URL's own host only, never indexed */
};

/* What a pull callback says after it has added to out. */
enum hclient_pull {
	HCLIENT_MORE,  /* call again when there is room */
	HCLIENT_LATER, /* nothing now, as MORE that adds nothing: hclient_resume() will be called */
	HCLIENT_END,   /* that was all */
	HCLIENT_ABORT, /* cannot go on: the fetch ends with ERR_CANCELED */
};
enum hclient_retry {
	HCLIENT_RETRY_IDEMPOTENT,
	HCLIENT_RETRY_ALWAYS, /* the caller knows that twice is as good as once */
	HCLIENT_RETRY_NEVER
};

struct hclient_head {
	int status;       /* 200..599 */
	unsigned version; /* 10, 11, 20 */
	/* Valid until done() returns, or hclient_cancel(). NUL-terminated. */
	const struct hclient_field *fields;
	size_t field_count;
};
/* Value of the first field of this name (lower case), or NULL. */
const char *hclient_header(
    const struct hclient_field *fields, size_t count, const char *name, size_t *len);

/* How a fetch ended; valid during done(). */
struct hclient_end {
	/*
	 * 0: the answer is complete. ERR_TIMEOUT, ERR_CANCELED (HCLIENT_ABORT), ERR_STOPPING,
	 * ERR_BADDATA (URL, method or field: nothing was sent), ERR_ACCESS (an address rule, a
	 * certificate, a proxy that says no), ERR_NOTFOUND (no such name), ERR_TOOBIG (head_max,
	 * answer_max), ERR_MALFORMED (it breaks its format), ERR_TRUNCATED (it ends early), ERR_IO
	 * (all else of the connection).
	 */
	enum err err;
	const char *text;         /* of an error: one line, see (2); "" else */
	struct hclient_head head; /* status 0: no answer began */
	/*
	 * Without data(): the body, whole; NULL when it is empty. The callee may take it out of
	 * here.
	 */
	struct buf *body;
	const struct hclient_field *trailers;
	size_t trailer_count;
	/* HTTP/2: the peer's RST_STREAM or GOAWAY code that ended it (ERR_IO then); -1 = none. */
	int64_t h2_code;
	unsigned tries; /* times the request was begun to be sent */
};

struct hclient_req {
	const char *method; /* "GET" */
	const char *url;
	const struct hclient_field *fields;
	size_t field_count;
	/*
	 * The body: bytes, copied by hclient_fetch; or pull, called from the loop whenever less
	 * than HCLIENT_PULL_ROOM wait to be sent. pull_len: how much pull will bring in all, -1 =
	 * not known (chunked in HTTP/1.1).
	 */
	const void *body;
	size_t body_len;
	enum hclient_pull (*pull)(void *own, struct buf *out);
	int64_t pull_len;
	/*
	 * HTTP/2 or nothing: over TLS by ALPN, with http:// at once (RFC 9113, 3.3). Without it
	 * http:// is HTTP/1.1 and https:// what the server prefers.
	 */
	bool h2_only;
	enum hclient_retry retry;
	/* 0: those of the client. */
	uint32_t head_ms, idle_ms, whole_ms;
	size_t answer_max;
	bool keep_packed; /* no Accept-Encoding of ours: data() gets the bytes as they came */
	/*
	 * Callbacks; all but done may be NULL. Any of them may cancel this fetch or begin another.
	 * head: the final one, never 1xx. data: a piece of the body, valid for the call; without it
	 * the body is gathered for done(). trailers: of HTTP/2 alone, behind all data.
	 */
	void *own;
	void (*head)(void *own, const struct hclient_head *h);
	void (*data)(void *own, const uint8_t *data, size_t len);
	void (*trailers)(void *own, const struct hclient_field *fields, size_t count);
	void (*done)(void *own, const struct hclient_end *end);
};
#define HCLIENT_PULL_ROOM (64u << 10)

/*
 * What req points to is copied but for `own`. The handle lives until done() returns or until
 * hclient_cancel(). Never fails: what is wrong is told by done().
 */
struct hfetch *hclient_fetch(struct hclient *c, const struct hclient_req *req);
/*
 * No more callbacks. HTTP/2: the stream is reset (CANCEL); HTTP/1.1: the connection is closed.
 */
void hclient_cancel(struct hfetch *f);
void hclient_resume(struct hfetch *f); /* after HCLIENT_LATER; harmless otherwise */
/*
 * Flow control: no data() until it is called with false; what is read ahead is bounded, and the
 * server has to wait. No deadline but whole_ms runs meanwhile. May be called below data().
 */
void hclient_pause(struct hfetch *f, bool pause);
/* "10.0.0.1:443" of the connection it is on; "" while there is none. */
const char *hfetch_peer(const struct hfetch *f);

/* For tests and metrics: connections that are open or being opened, and those nobody uses. */
size_t hclient_conns(const struct hclient *c);
size_t hclient_idle(const struct hclient *c);

#endif
