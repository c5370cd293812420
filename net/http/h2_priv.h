/*
 * h2_priv - what the three files of the HTTP/2 server share.
 *
 *   h2srv     the connection: bytes in turns, GOAWAY, its end
 *   h2stream  a stream: its head, its body, its deadlines
 *   h2answer  what a stream sends
 *
 * A stream:  HEAD --END_HEADERS--> (DOOR) --> BODY --END_STREAM--> RUN --answer--> SEND
 *            --stream closed--> freed
 *   state  waits for                  ended by
 *   HEAD   the header block           LIMIT_HEADER_MS of the connection, http_head_bytes, h2guard
 *   DOOR   srv_opts.door              who holds it there; its window stays shut, what it has let
 *                                     through by then waits in the stream
 *   BODY   DATA                       LIMIT_BODY_MS, the least rate, LIMIT_BODY_STALE_MS while
 *                                     memory is short; before it begins, its window may stay shut,
 *                                     LIMIT_PARK_MS at most
 *   RUN    the handler                the handler
 *   SEND   windows, room, or data     a reader that is too slow (limit_reader_look)
 * A streamed request (ROUTE_STREAM) goes from HEAD to RUN at once; its DATA goes to the handler in
 * RUN and SEND.
 *
 * Below nghttp2_session_mem_recv and _send (h->inside) nothing is sent and nothing freed but the
 * stream nghttp2 closes; h2_flush follows.
 * Streamed answers are pulled in the connection's turn, never below a handler.
 * A stream is charged from its first frame on, a large head and the body as they come.
 * Thread: the loop of the connection.
 */
#ifndef NET_HTTP_H2_PRIV_H
#define NET_HTTP_H2_PRIV_H

#include <nghttp2/nghttp2.h>

#include "net/conn/conn.h"
#include "net/http/h2guard.h"
#include "net/http/srv_priv.h"

enum h2_state {
	H2_HEAD,
	H2_DOOR,
	H2_BODY,
	H2_RUN,
	H2_SEND
};

struct h2 {
	struct conn *c;
	struct srv_loop *sl;
	nghttp2_session *ng;
	struct list_link streams, hungry;
	struct list_link opened; /* streams whose door is to be asked again */
	size_t stream_count;
	bool inside;          /* below nghttp2 */
	bool head_open;       /* a header block has begun */
	bool ended;           /* GOAWAY is on its way: nothing new */
	bool heard, pinged;   /* since h2_alive looked last; and is asked whether it lives */
	uint64_t turn_end_ns; /* real clock */
	/* Came, and waits for its turn. */
	struct buf in;
	size_t in_off, in_charged;
	struct h2frame_scan scan; /* of what nghttp2 is given */
	struct h2guard guard;
	/* Whose body the connection reads into (h2_aim), and which stays meanwhile; NULL = none. */
	struct h2_stream *aimed;
	struct loop_again again;
};

struct h2_stream {
	struct h2 *h;
	struct list_link link, hungry, opened;
	int32_t id;
	enum h2_state state;
	struct req *req;
	/* The head. */
	struct req_field *fields;
	size_t field_count, field_cap, head_bytes;
	const char *method, *path, *authority;
	size_t method_len, path_len, authority_len;
	int64_t content_length;
	size_t head_charged;
	bool head_too_large, head_no_room;
	/* The body. */
	bool client_done; /* END_STREAM came */
	bool streamed;    /* the handler runs, and gets the body in pieces */
	bool parked;
	enum h2_over { /* what came while it waited at the door was too much */
		H2_OVER_NOT,
		H2_OVER_SIZE,
		H2_OVER_ROOM
	} over;
	uint8_t *body;
	size_t body_len, body_cap, unconsumed;
	uint64_t wait_ns; /* when the body, or the measure of its reader, began */
	uint64_t park_ns, grown_ns;
	uint64_t sent; /* since wait_ns */
	/* The answer. */
	struct buf out; /* pulled, not yet sent */
	size_t out_off, data_off;
	bool later, pulled_all, whole;
	struct loop_timer timer;
};

/* The connection (h2srv.c). */
void h2_end(struct h2 *h, enum h2guard_verdict v); /* no new streams, the running ones are cut */
void h2_conn_deadline(struct h2 *h);
void h2_again(struct h2 *h, enum loop_queue q); /* a turn, later */
void h2_flush(struct h2 *h);                    /* may free any stream */
/* The body of s moves, or ends: nothing is read into it any more. */
void h2_forget(struct h2 *h, const struct h2_stream *s);

/* Streams (h2stream.c). */
struct h2_stream *h2_stream_of(struct h2 *h, int32_t id); /* NULL: none, or it is not wanted */
void h2_stream_free(struct h2_stream *s);
void h2_reset(struct h2_stream *s, uint32_t code); /* may free s */
/* Where the next DATA of its body belongs, and how much may come there; NULL: nowhere. */
uint8_t *h2_body_room(const struct h2_stream *s, size_t *room);
int h2_on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *arg);
int h2_on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
    size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *arg);
int h2_on_data(
    nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg);
int h2_on_frame_recv(nghttp2_session *ng, const nghttp2_frame *frame, void *arg);
int h2_on_stream_close(nghttp2_session *ng, int32_t id, uint32_t code, void *arg);

void h2_enter(struct h2_stream *s); /* its turn: the door is asked again; may free s */
void h2_opened(struct req *r);

/* Answers (h2answer.c). */
extern const struct req_ops h2_req_ops;
void h2_feed_reader(struct h2_stream *s); /* its turn: a piece more of a streamed answer */
void h2_reader_look(struct h2_stream *s, uint64_t now_ns); /* may free s */
int h2_send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *head, size_t len,
    nghttp2_data_source *source, void *arg);
int h2_on_frame_send(nghttp2_session *ng, const nghttp2_frame *frame, void *arg);

#endif
