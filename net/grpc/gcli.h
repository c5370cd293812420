/*
 * gcli - gRPC calls of ours to other servers, on the HTTP/2 of net/client: all four kinds.
 *
 *   gcli_call > gcli_send* > gcli_end
 *             > message* (each asks for the next by gcli_next) > done
 *
 * (1) done() is called exactly once, as the last callback, unless gcli_cancel() came first. No
 *     callback runs below a call of this module.
 * (2) Messages are told in order, and all of them before done, however long the caller keeps one:
 *     meanwhile the server's window shuts.
 * (3) What an answer makes us hold is bounded: a message, as it came and unzipped, by in_max, what
 *     protobuf-c makes of it by GCLI_UNPACK_TIMES as much, what came behind it by the window.
 * (4) An answer without a status has one made of what HTTP said ("HTTP to gRPC Status Code Mapping"
 *     of the gRPC documentation); a reset, a deadline, a connection that fails likewise.
 *
 * Nothing is tried twice here: who knows that a call may be repeated does that, when its status is
 * UNAVAILABLE.
 * Thread: the loop of the client. Memory: a call belongs to itself until done returns or
 * gcli_cancel.
 */
#ifndef NET_GRPC_GCLI_H
#define NET_GRPC_GCLI_H

#include <protobuf-c/protobuf-c.h>

#include "net/client/hclient.h"
#include "proto/grpcf.h"

#define GCLI_MESSAGE_BYTES (4u << 20) /* in_max by default */
#define GCLI_UNPACK_TIMES  4u
#define GCLI_QUEUE_BYTES   (64u << 10) /* messages that wait; more, and there is no room */

struct gcli;
enum gcli_kind {
	GCLI_ONE, /* the answer is one message, if its status is OK */
	GCLI_STREAM
};
struct gcli_end {
	enum grpc_status status;
	const char *text; /* "" = none */
	/* Metadata, before and behind the messages. */
	const struct hclient_field *head, *trailers;
	size_t head_count, trailer_count;
};
struct gcli_req {
	const char *server; /* "http://host:port" or https; no path */
	const char *path;   /* "/package.Service/Method" */
	enum gcli_kind kind;
	const struct hclient_field *metadata;
	size_t metadata_count;
	uint64_t timeout_ms; /* told to the server, and kept here; 0 = none */
	bool packs;          /* what we send is packed by gzip, where it is worth it */
	size_t in_max;       /* 0 = GCLI_MESSAGE_BYTES */
	/*
	 * Of answers. NULL: they are given as bytes; so should large ones be, since they are
	 * unpacked on the loop.
	 */
	const ProtobufCMessageDescriptor *in;
	void *own;
	/* Lives until gcli_next, or until done returns. */
	void (*message)(void *own, const void *msg, size_t len);
	void (*room)(void *own); /* after gcli_send has said false; may be NULL */
	void (*done)(void *own, const struct gcli_end *end);
};

/* What req points to is copied. Never fails: what is wrong is told by done(). */
struct gcli *gcli_call(struct hclient *c, const struct gcli_req *req);
/* False: it is queued, but wait for room() before the next. Not after gcli_end. */
bool gcli_send(struct gcli *k, const ProtobufCMessage *m);
bool gcli_send_bytes(struct gcli *k, const void *data, size_t len); /* the same, encoded */
void gcli_end(struct gcli *k); /* that was all; twice does no harm */
void gcli_next(struct gcli *k);
void gcli_cancel(struct gcli *k); /* no more callbacks; the server is told */

#endif
