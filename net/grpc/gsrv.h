/*
 * gsrv - gRPC calls as their handlers see them ("gRPC over HTTP2" of the gRPC documentation), on
 * streamed requests of net/http.
 *
 *   open > message* > end > gcall_send* > gcall_finish > done
 *
 *                  message                                          end
 *   UNARY,         once, when the client has said all              -
 *   SERVER_STREAM
 *   CLIENT_STREAM, each; the next one after gcall_next()           the client has said all
 *   BIDI
 *   room       after gcall_send() has said false: the queue is short again
 *   cancelled  the client left, its deadline has passed, or it broke the protocol: stop the
 *              work, and finish all the same (with whatever status: the client is told the
 *              reason, if anything). NULL only for handlers that do nothing beyond their callbacks
 *   done       the last call, for every call that was opened; only after gcall_finish() or without
 *              a handler that had begun
 *
 * A handler may finish at once or later, from any callback on the same loop, exactly once. The
 * call, its request and its arena live until done, also when the client has gone.
 * Deadlines: grpc-timeout counts from the request's head. What a handler has finished in time is
 * sent a second beyond it, then cut: a call that was in time is not told as one that was reset.
 * Packing: gzip both ways; a client that packs its messages is answered with packed ones, if they
 * are small enough to be packed at once.
 * Limits: a message as it came, and unzipped, is at most in_max bytes, what protobuf-c makes of it
 * at most GSRV_UNPACK_TIMES as many; all of it is charged before it is taken. What waits for the
 * client counts as answers do. A message that has begun must come at the rate of bodies
 * (net/conn/limit.h); between messages a client may rest.
 * What others answer for these routes (gates, identity, limits) is told as a status: gsrv_speak.
 * With UNAVAILABLE and RESOURCE_EXHAUSTED a Retry-After of the answer is told as
 * google.rpc.RetryInfo, too.
 * Thread: the loop of the request. Memory: the request's arena.
 */
#ifndef NET_GRPC_GSRV_H
#define NET_GRPC_GSRV_H

#include <protobuf-c/protobuf-c.h>

#include "net/http/router.h"
#include "proto/grpcf.h"

#define GSRV_UNPACK_TIMES 4u
#define GSRV_QUEUE_BYTES  (64u << 10) /* messages of a call that wait; more, and it has no room */

struct work_pool;
struct gcall;
enum gsrv_kind {
	GSRV_UNARY,
	GSRV_SERVER_STREAM,
	GSRV_CLIENT_STREAM,
	GSRV_BIDI
};
struct gsrv_method {
	const char *path; /* "/package.Service/Method" */
	enum gsrv_kind kind;
	size_t in_max; /* 0 = limits' grpc_message_bytes */
	/* NULL: messages are given as they came */
	const ProtobufCMessageDescriptor *in;
	void (*open)(struct gcall *c); /* may be NULL, as all but message */
	/* msg: unpacked (len 0), or bytes. Lives until gcall_next or done. */
	void (*message)(struct gcall *c, const void *msg, size_t len);
	void (*end)(struct gcall *c);
	void (*room)(struct gcall *c);
	void (*cancelled)(struct gcall *c);
	void (*done)(struct gcall *c);
};
struct gsrv {
	const struct gsrv_method *methods;
	size_t count;
	struct work_pool *pool; /* for messages that take longer to unpack than a turn may */
};

struct gcall {
	struct req *req; /* metadata are its fields */
	const struct gsrv_method *method;
	void *own;            /* the handler's */
	uint64_t deadline_ns; /* of loop_now_ns; UINT64_MAX = none */
	struct gcall_priv *_p;
};

/* The handler of routes with ROUTE_STREAM | ROUTE_SPOKEN, POST, one for each method's path. */
void gsrv_call(const struct gsrv *g, struct req *r);
/* srv_opts.speak and srv_opts.unmatched: of requests that are gRPC. */
bool gsrv_speak(struct req *r, int status, const char *text, size_t len);
const struct route *gsrv_unmatched(struct req *r);
/*
 * For what answers a request without knowing of calls: finishes the call of r with this status; or
 * without a call answers with it. False: r is not gRPC.
 */
bool gsrv_fail(struct req *r, enum grpc_status s, const char *text, size_t len);
/* The call of a request that gsrv_call has taken. */
struct gcall *gcall_of(struct req *r);
/* Milliseconds to the deadline, from 0; max_ms when that is sooner. */
uint64_t gcall_left_ms(const struct gcall *c, uint64_t max_ms);

/* The handler has done with the message it has; the next one may be given to it below this. */
void gcall_next(struct gcall *c);
/*
 * A message more. False: it is queued, but wait for room() before the next. Of a client that has
 * left nothing is kept.
 */
bool gcall_send(struct gcall *c, const ProtobufCMessage *m);
bool gcall_send_bytes(struct gcall *c, const void *data, size_t len); /* the same, encoded */
/*
 * A message of len bytes that pull adds to out in pieces of 16-64 KiB; it says false when it cannot
 * go on. It is called until len bytes are there, never below this call; nothing may be sent behind
 * it. Before the first byte of an answer only. False: too much waits for its readers, or the client
 * has left; finish with an error.
 */
MUST_CHECK bool gcall_send_pulled(
    struct gcall *c, size_t len, bool (*pull)(struct gcall *c, struct buf *out));
/* fmt NULL: no text. */
void gcall_finish(struct gcall *c, enum grpc_status s, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
