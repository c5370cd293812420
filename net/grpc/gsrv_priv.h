/*
 * gsrv_priv - a call as its two files see it: gsrv.c, its life and its answers; gread.c, what the
 * client sends.
 *
 * What the client sends, and the states of reading it:
 *
 *   HEAD ----> PIECES ----> UNZIP ----> UNPACK ----> TAKEN ---gcall_next---> HEAD ... ---> OVER
 *   PIECES  bytes of a message come
 *   UNZIP   it is whole and packed: GUNZ_STEP bytes in each turn of LOOP_LATER
 *   UNPACK  protobuf-c, by a worker when it is large
 *   TAKEN   the handler has it
 *   OVER    the client has said all, and the handler knows
 * In UNZIP, UNPACK and TAKEN what comes waits in early, at most the stream's window, unconsumed; so
 * do further messages when those before them have had LOOP_WORK_NS.
 */
#ifndef NET_GRPC_GSRV_PRIV_H
#define NET_GRPC_GSRV_PRIV_H

#include "core/rt/work.h"
#include "net/grpc/gsrv.h"
#include "proto/gunz.h"

enum gread_state {
	GREAD_HEAD,
	GREAD_PIECES,
	GREAD_UNZIP,
	GREAD_UNPACK,
	GREAD_TAKEN,
	GREAD_OVER
};
/* Memory that is charged to the request as it grows. */
struct gbytes {
	uint8_t *data;
	size_t len, cap;
};
struct gcall_priv {
	struct gcall call;
	const struct gsrv *g;
	struct loop_timer deadline;
	/* What the client sends. */
	enum gread_state state;
	bool zipped;          /* grpc-encoding is gzip */
	bool packs;           /* and so is ours */
	bool client_end;      /* END_STREAM came */
	bool any;             /* a message came */
	bool running;         /* gread_run is below */
	uint64_t turn_end_ns; /* real clock */
	struct grpcf frames;
	struct gbytes early, zip, msg;
	struct gunz *gunz;
	size_t unzipped; /* of zip */
	struct loop_again again;
	struct loop_timer look;
	uint64_t begun_ns; /* of the message that comes */
	struct work_task task;
	bool at_work; /* a worker has the task */
	struct arena arena;
	size_t unpack_bytes;
	const ProtobufCMessage *unpacked;
	enum err unpack_err;
	/* The answer. */
	bool opened, told, begun, finished, stopped, gone, full;
	enum grpc_status status;
	const char *text;
	size_t text_len;
	struct buf out; /* queued */
	size_t out_off, held;
	size_t big_left; /* of a pulled message */
	bool (*big)(struct gcall *c, struct buf *out);
};

/* gsrv.c: the call ends by no will of its handler. */
void gsrv_stop(struct gcall_priv *p, enum grpc_status s, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* gread.c */
void gread_init(struct gcall_priv *p);
void gread_release(struct gcall_priv *p);
void gread_body(struct req *r, const uint8_t *data, size_t len, bool last); /* req->on_body */
void gread_next(struct gcall_priv *p);

#endif
