/*
 * recv - the one table of what is written over HTTP, and the way of a body to the store.
 *
 *   RECV    net/http has the whole body
 *   UNPACK  identity, gzip, deflate, zstd, snappy (block or framed), as the row allows
 *   DECODE  the row's decoder (proto/decoder.h), a batch at a time; large bodies on a worker
 *   APPEND  the inlet (net/recv/inlet.h) answers when all of the batch is durable; DECODE goes on
 *   REPLY   in the form of the row: status and body that senders of this protocol understand
 *
 * A row (struct recv_kind) is all that a protocol has to say. Its route (net/api/routes.c) has
 * recv_before as before_body, and a handler of one line that calls recv_write with the row. Remote
 * Write has the same walk with a decoder that takes the whole body at once (recv_remote.h).
 *
 * Memory of a request: the packed body, one unpacked form (whole kinds) or a window of it (lines),
 * one batch: all charged before they are taken.
 * Thread: the loop of the request, and a worker.
 */
#ifndef NET_RECV_RECV_H
#define NET_RECV_RECV_H

#include "core/model/receiver.h"
#include "core/seam/sink.h"
#include "net/http/req.h"
#include "proto/decoder.h"

enum recv_pack { /* of Content-Encoding */
	RECV_IDENTITY = 1,
	RECV_GZIP = 2,
	RECV_DEFLATE = 4,
	RECV_ZSTD = 8,
	RECV_SNAPPY = 16,       /* the block format */
	RECV_SNAPPY_FRAMED = 32 /* the framing format, under the same token */
};
#define RECV_ALL 63u

/* How it ended. */
struct recv_end {
	enum err err;     /* 0: read to its end; what was stored before an error is stored */
	const char *word; /* with err: what is wrong with the request; NULL: it may come again */
	const char *text; /* a sentence, "" without err, or when the usual one says it */
	uint32_t retry_after_s;                  /* with err and no word */
	const struct decode *decode;             /* NULL: refused by the head alone */
	const char *record;                      /* of the decoder: "line" */
	uint64_t rows, stored, refused, dropped; /* dropped: by rules, pairs */
	uint64_t hists, exemplars, exemplars_refused;
	enum sink_reason first_reason;
	const char *first_text; /* of the first refused row: series and why */
	bool ha_duplicate;      /* of the last batch, as of an inlet */
};

struct recv_kind {
	enum receiver receiver;
	const struct decoder *decoder;
	unsigned packs; /* of enum recv_pack */
	/*
	 * On the loop, with the whole head and body: d->opts from parameters and configuration, in
	 * the request's arena. False: it has answered. NULL: nothing to say.
	 */
	bool (*open)(struct req *r, struct decode *d);
	void (*reply)(struct req *r, const struct recv_end *e); /* answers r, once */
};

/*
 * By the head alone: 404 where the receiver is off, 415 of another encoding (in the form of reply),
 * 503 while nothing is accepted. False: it has answered.
 */
bool recv_before(struct req *r, const struct recv_kind *k);
void recv_write(struct req *r, const struct recv_kind *k);
/*
 * The same walk for a message that is no body of r (gRPC): body, not packed, lives until
 * recv_release, which is the caller's, behind the reply; *out is set before anything else.
 */
struct recv;
void recv_message(
    struct req *r, const struct recv_kind *k, const uint8_t *body, size_t len, struct recv **out);
void recv_release(struct recv *x);
/* For what is no write of a receiver: is it off? Then it has answered 404. */
bool recv_is_off(struct req *r, enum receiver which);

/* ---- For replies ---- */

/*
 * One sentence for people about what is missing: "stored 10 of 12 samples; 2 refused; first:
 * too_old: up{...}: ...; 1 of 3 lines cannot be read; first: line 2: ..."; out gets nothing when
 * nothing is.
 */
void recv_sentence(const struct recv_end *e, struct buf *out);
/*
 * Is nothing missing? Then recv_sentence has nothing to say. What rules drop is not missed, nor are
 * exemplars: they are kept as far as they can be.
 */
bool recv_whole(const struct recv_end *e);
/* Status of e->err for a sender that may repeat: 503, 413, 400, ...; Retry-After is set on r. */
int recv_status(struct req *r, const struct recv_end *e);
/* A sentence for e->err: e->text, or the usual one of the code. */
void recv_why(const struct req *r, const struct recv_end *e, char *out, size_t size);
/*
 * The plain answer: 204 (202 of a replica that is not elected); 400 "partial: <recv_sentence>"; or
 * "<word>: <sentence>" and its status.
 */
void recv_reply_plain(struct req *r, const struct recv_end *e);

#endif
