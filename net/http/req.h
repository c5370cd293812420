/*
 * req - one HTTP request and its answer, whatever version it came by.
 *
 *   arrives > (route found, gate, door, before_body) > body read whole > (prepare) > handler > ...
 *   > one req_reply*() > sent > on_done > freed
 *
 * A handler may answer at once or later, from any callback on the same loop, but exactly once. The
 * request, its body and its arena live until then at least, also when the client
 * has gone: nothing is freed below a handler. What the answer borrows lives until on_done.
 *   on_gone  the client left before the answer was complete (a half-closed connection counts).
 *            Once, never after on_done. Stop the work and answer all the same: the answer of a
 *            client that has gone for good is thrown away.
 *   on_done  the answer is sent or thrown away; the last call before the request is freed. Release
 *            what hangs on req->own here.
 *
 * Streamed requests (ROUTE_STREAM of net/http/router.h, HTTP/2 only): the handler runs at the head;
 * the body comes behind it through on_body, as long as the peer's window is open. What on_body was
 * given counts against the window (LIMIT_H2_STREAM_WINDOW) until req_body_consume() gives it back:
 * who does not consume is sent no more. Such an answer may begin before the body is whole, and may
 * end with trailers: req_reply_trailed. Nobody but the handler ends one that is idle.
 *
 * Answers: gzip or deflate when the client takes it and the body is worth it, Vary, CORS, Date,
 * Content-Length and HEAD are done here.
 * Thread: the loop of the request. Memory: strings of a request are NUL-terminated and live as long
 * as it.
 */
#ifndef NET_HTTP_REQ_H
#define NET_HTTP_REQ_H

#include <sys/socket.h>

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/rt/job.h"
#include "core/rt/loop.h"

/* Methods are bits, for the masks of routes. */
enum req_method {
	REQ_GET = 1,
	REQ_HEAD = 2,
	REQ_POST = 4,
	REQ_PUT = 8,
	REQ_DELETE = 16,
	REQ_OPTIONS = 32,
	REQ_OTHER = 64,
};

struct req_field {
	const char *name; /* lower case */
	const char *value;
	size_t name_len, value_len;
};

/* What became of a request: srv_opts.told. */
struct req_told {
	int status;                   /* 0: it was never answered */
	uint64_t in_bytes, out_bytes; /* of the bodies, as they came and went */
	uint64_t took_ns;             /* from its head to its end */
};

/* Whose data who asks may read, by naming them: of routes with ROUTE_WHO. */
struct req_reads {
	const char *const *tenants; /* names, its own first */
	size_t count;
	bool any; /* and every other one */
};

struct asset;
struct conn_peer;
struct req;
struct req_ops;
struct req_answer;
struct route;
struct srv_loop;

/* What a pull callback says after it has added to out. */
enum req_pull {
	REQ_MORE,  /* call again when there is room */
	REQ_LATER, /* nothing now: req_resume() will be called */
	REQ_END,   /* that was all */
	/*
	 * cannot go on: the stream is reset, so that the client sees a broken answer, never a short
	 * one
	 */
	REQ_ABORT,
};
typedef enum req_pull (*req_pull_fn)(struct req *r, struct buf *out);

/* Whose are the bytes of an answer? */
enum req_own {
	REQ_COPY,   /* copied before the call returns */
	REQ_BORROW, /* live until on_done: static text, the request's arena */
	REQ_TAKE,   /* from mem_alloc; freed here */
};

/* What srv_opts.door says of a request whose head is known and whose body is not yet read. */
enum req_step {
	REQ_GO,
	/*
	 * Later: nothing of the body is read, nor is "100 Continue" sent. req_door_open() has the
	 * door asked again, or the request is answered. Who waits is told by on_gone when the
	 * client leaves, and does one of the two all the same, maybe there.
	 */
	REQ_WAIT,
	REQ_ANSWERED
};

struct req {
	struct loop *loop;
	/*
	 * Who asks (net/gate). Until srv_opts.door has said more, and always without identities:
	 * the tenant 0, all roles, no name. Texts and lists live as long as the request.
	 */
	uint32_t tenant;         /* whose data it writes; reads, when it reads of one only */
	const uint32_t *tenants; /* whose data it reads, in the order of their names */
	size_t tenants_count;
	unsigned roles;                    /* of enum role (router.h), ORed */
	const char *identity;              /* its name, for logs; "" = none */
	const struct req_reads *who_reads; /* NULL without identities */
	void *identify; /* of net/gate, while it waits for an answer to who this is */
	void *ctx;      /* srv_opts.ctx: the program around the handlers */
	const struct route *route;
	enum req_method method;
	const char *path; /* percent-decoded */
	/* what <param> of the route matched, percent-decoded; NULL without one */
	const char *param;
	const char *query; /* raw, without the question mark; "" when there is none */
	size_t path_len, param_len, query_len;
	const struct req_field *fields; /* without pseudo headers */
	size_t field_count;
	int64_t body_declared; /* bytes to come by its head; 0: no body, -1: they are not told */
	const uint8_t *body;   /* NULL when body_len is 0; 16 bytes behind the end may be read */
	size_t body_len;
	struct sockaddr_storage remote; /* the client, also behind proxies that are trusted */
	uint32_t who;                   /* remote, in the book of net/conn/limit.h */
	/* Whose certificate came with the connection; NULL = nobody's. As long as the request. */
	const struct conn_peer *peer;
	bool tls;              /* it came over TLS */
	bool admin;            /* by the listener for administration */
	bool apart;            /* there is such a listener */
	unsigned http_version; /* 10, 11 or 20 */
	uint64_t start_ns;     /* loop_now_ns() when its head was complete */
	uint64_t waited_ns;    /* that its bytes have waited for their turn before; real clock */
	struct arena arena;
	bool gone; /* the client has left */
	/* What srv_opts.prepare made of it; freed behind on_done. */
	void *form;
	void (*form_free)(void *form);

	/*
	 * The door's: where it stands (0 at first), and what it keeps to the end: door_done is
	 * called behind on_done. While it waits it also has own, on_gone and on_done; it gives them
	 * back as they were.
	 */
	unsigned door_step;
	void *door_own;
	void (*door_done)(struct req *r);

	/* The handler's. */
	void *own;
	void (*on_gone)(struct req *r);
	void (*on_done)(struct req *r);
	/*
	 * Of a streamed request: set by its handler before it returns, and called until the answer
	 * is complete or the client has left. data is borrowed for the call; what is kept of it is
	 * charged by who keeps it. last: nothing more will come (len may be 0).
	 */
	void (*on_body)(struct req *r, const uint8_t *data, size_t len, bool last);

	/* Of net/http. */
	struct srv_loop *_srv;
	const struct req_ops *_ops;
	void *_stream; /* of the protocol */
	struct req_answer *_answer;
	struct snap_seat *_seat; /* the configuration of its begin, and all newer: core/rt/snap.h */
	struct conn_peer *_peer; /* held */
	bool _behind;            /* a trusted proxy sent it */
	size_t _charged_bytes, _held_bytes;
	uint64_t _pulled_bytes, _consumed_bytes; /* of a streamed answer, of a streamed body */
	uint8_t *_body_memory;
	struct list_link _link;
	struct loop_deferred _end;
	bool _told_gone, _ending, _spoke, _kept;
	bool _at_door, _door_open; /* it waits; and is to be asked again */
};

/*
 * After REQ_WAIT: the door is asked again, in one of the next turns, never below this call. Once;
 * on the request's loop. Of a client that has left for good nothing is asked any more.
 */
void req_door_open(struct req *r);
/*
 * Does the body fit its route by what was declared of it? False: it has been answered, 413. For
 * the door: what is too large by its own word needs no further question.
 */
bool req_size_fits(struct req *r);
/* After srv_opts.prepare has said false: the handler runs. On the request's loop. */
void req_go_on(struct req *r);

/* Value of the first field of this name (lower case), or NULL. len may be NULL. */
const char *req_header(const struct req *r, const char *name, size_t *len);
/* Does Content-Type name this media type (lower case, "type/subtype"), whatever its parameters? */
bool req_content_is(const struct req *r, const char *type);
/* "10.0.0.1:1234" or "[::1]:1234" into out (at least 64 bytes). */
void req_remote_text(const struct req *r, char *out, size_t size);

/*
 * Charges more memory in flight to the request (decoded bodies); false: over the server's budget,
 * answer with req_refuse_overloaded(). Given back when the request ends. A loop that was lent the
 * request's work (core/rt/lend.h) may charge, too: its own loop does not meanwhile.
 */
MUST_CHECK bool req_charge(struct req *r, size_t bytes);
void req_discharge(struct req *r, size_t bytes); /* so much of it is free again, before the end */

/*
 * Counts what an answer keeps in memory until it is read (results, lists); whole bodies given with
 * REQ_TAKE or REQ_COPY and the buffers of streams are counted without it. False: too much waits
 * already, let go
 * of it and answer with req_refuse_overloaded().
 */
MUST_CHECK bool req_hold(struct req *r, size_t bytes);
/* What is held has grown meanwhile: so much more, whether there is room or not. */
void req_hold_more(struct req *r, size_t bytes);

/*
 * From now on what it holds is counted for who, another slot of net/conn/limit.h. At the door.
 */
void req_set_who(struct req *r, uint32_t who);
/* Are requests of this loop to be looked at as soon as they come, since most are refused? */
void req_rush(struct req *r, bool rush);

/*
 * Adds a field to the coming answer; name in lower case, both copied. Control characters in the
 * value become spaces. content-encoding: the body is packed already, and not packed again.
 */
void req_answer_field(struct req *r, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Has every answer a field of this name, by srv_opts.fields? */
bool req_answers_field(const struct req *r, const char *name);

/* Value of a field that was added to it, or NULL. */
const char *req_answered_field(const struct req *r, const char *name, size_t *len);

/* The answer. type: Content-Type, or NULL without a body (204 never has one). */
void req_reply(
    struct req *r, int status, const char *type, const void *body, size_t len, enum req_own own);
/* The memory of b moves; b is empty afterwards. */
void req_reply_buf(struct req *r, int status, const char *type, struct buf *b);
/* text/plain; charset=utf-8, as it stands. */
void req_reply_text(struct req *r, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);
/*
 * An asset, which lives on: 200 in the form the client takes, with ETag, Cache-Control and Vary;
 * 304 when If-None-Match names what it would get. For GET and HEAD.
 */
void req_reply_asset(struct req *r, const struct asset *asset);
/*
 * Before the answer: making it (streams) and compressing it (when large) is work of this group and
 * class of jobs (core/rt/job.h); the group is an address of the caller's. Without it: of a group
 * of its own, JOB_QUERY.
 */
void req_payer(struct req *r, const void *group, enum job_class class);
/*
 * Streaming: pull is called from a job (never from inside this call) while less than
 * LIMIT_UNREAD_BYTES wait for the client, a few times per turn. Add some 16-64 KiB per call.
 */
void req_reply_stream(struct req *r, int status, const char *type, req_pull_fn pull);
void req_resume(struct req *r); /* after REQ_LATER; harmless otherwise */

/*
 * Streamed requests. req_body_consume: so much of what on_body was given is not kept any more, the
 * peer may send as much again.
 */
void req_body_consume(struct req *r, size_t len);
/*
 * A trailer of an answer by req_reply_trailed: a field that follows its last byte. Until pull has
 * said REQ_END, or before the call without a pull. name in lower case; both are copied; control
 * characters become spaces. At most REQ_TRAILERS_MAX.
 */
#define REQ_TRAILERS_MAX 24
void req_trailer(struct req *r, const char *name, const char *value, size_t len);
/*
 * As req_reply_stream, never compressed, nothing held (req_hold is the caller's), then trailers.
 * Without a pull the trailers stand in the head, and that is all.
 */
void req_reply_trailed(struct req *r, int status, const char *type, req_pull_fn pull);
/* What was pulled of a streamed answer and has not been sent. */
size_t req_unsent(const struct req *r);
/*
 * Cuts a streamed request instead of (the rest of) an answer: RST_STREAM with this code (RFC 9113,
 * 7). on_done follows, on_gone does not. Of an answer that has been sent nothing is left to cut.
 */
void req_reset(struct req *r, uint32_t code);
/*
 * While somebody works for a streamed request whose answer has begun: on_done waits until it is let
 * go, also when the client has left. Once each.
 */
void req_keep(struct req *r);
void req_let_go(struct req *r);

/*
 * A refusal in the form of its route. Plain: "<word>: <sentence>\n". JSON:
 * {"status":"error","errorType":"<word>","error":"<sentence>"}.
 */
void req_refuse(struct req *r, int status, const char *word, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* 503 "overloaded" (JSON routes: "unavailable") with Retry-After 1-5, random. */
void req_refuse_overloaded(struct req *r, const char *sentence);

#endif
