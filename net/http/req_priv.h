/*
 * req_priv - requests as the protocols (h1srv, h2srv) and the server see them.
 *
 *   req_create > fill method, fields, body_declared > req_begin > (REQ_WAIT > ops->opened >
 *   req_enter) > (body) > req_run > ops->answer ... > req_end
 *
 * When the client is gone for good before the handler has answered, the protocol lets go with
 * req_orphan(): the request then ends by itself when the answer comes.
 * Thread: the loop of the request.
 */
#ifndef NET_HTTP_REQ_PRIV_H
#define NET_HTTP_REQ_PRIV_H

#include "core/rt/job.h"
#include "net/http/req.h"
#include "proto/gz.h"

struct answerjob;
struct srv_loop;

/* What a protocol does for its requests; called once per request, from inside req_reply*(). */
struct req_ops {
	void (*answer)(struct req *r); /* r->_answer is complete: send it */
	void (*resume)(struct req *r); /* after REQ_LATER */
	/* after REQ_WAIT: calls req_enter in one of its next turns */
	void (*opened)(struct req *r);
	/* Of streamed requests; HTTP/1.1 has none. */
	void (*consume)(struct req *r, size_t len);
	void (*reset)(struct req *r, uint32_t code);
	size_t (*unsent)(const struct req *r);
};

#define REQ_ANSWER_FIELDS_MAX 32
struct req_answer {
	int status;
	bool begun;   /* one of req_reply* was called */
	bool no_body; /* HEAD, 204, 304: fields only */
	size_t field_count;
	/* content-length included when it is known */
	struct req_field fields[REQ_ANSWER_FIELDS_MAX];
	struct req_field *trailers; /* REQ_TRAILERS_MAX places, NULL = none */
	size_t trailer_count;
	/* A whole body ... */
	const uint8_t *data;
	size_t len;
	enum req_own own; /* REQ_BORROW or REQ_TAKE */
	/* ... or a stream, of unknown length. */
	req_pull_fn pull;
	/* Who pays for making and compressing it (req_payer), and the job; NULL = not begun. */
	const void *payer;
	enum job_class payer_class;
	bool direct; /* pulled without a job: it is not made, only handed on */
	struct answerjob *job;
	struct gz *gz;
	struct buf plain;  /* pulled, to be compressed */
	size_t data_given; /* of data, when it is compressed in steps */
};

struct conn;
/* Of the peer of c. */
struct req *req_create(struct srv_loop *sl, const struct conn *c);
/*
 * Finds the route and asks gate, door and before_body. REQ_GO: the body may be read; REQ_WAIT:
 * ops->opened will be called, unless it is answered first; REQ_ANSWERED: it has been (not found,
 * refused). raw: path as it came.
 */
enum req_step req_begin(struct req *r, const char *raw_path, size_t raw_len);
/* Asks the door again, and what comes behind it; as req_begin. */
enum req_step req_enter(struct req *r);
/* Has it been answered, or is the door open? Else somebody holds it at the door. */
bool req_is_held(const struct req *r);
/* How large may the body be? Larger is 413 (req_refuse_size). */
size_t req_body_max(const struct req *r);
void req_refuse_size(struct req *r);
/* Room for len bytes of a body, of which so many are known to come (0 = unknown): the next cap. */
size_t req_body_step(const struct req *r, size_t len, size_t declared);
/* Grows *body from cap to more, charged. False: no room, refuse it. BODY_SLACK is kept behind. */
MUST_CHECK bool req_body_grow(struct req *r, uint8_t **body, size_t *cap, size_t more);
#define REQ_BODY_SLACK 16u /* readable behind a body, see req.h */
/* The body has come whole (memory from mem_alloc moves; NULL for none): calls the handler. */
void req_run(struct req *r, uint8_t *take_body, size_t len);
/* Charges without a look: what is here already. */
void req_charge_anyway(struct req *r, size_t bytes);
void req_tell(struct req *r, uint64_t took_ns); /* srv_opts.told, at its end */
void req_gone(struct req *r);                   /* tells the handler, once */
void req_orphan(struct req *r);                 /* the protocol is gone; never touches r again */
void req_end(
    struct req *r); /* answered, and sent or dropped: on_done and freedom at the end of the turn */
/* Next piece of a streamed answer, compressed when it should be. */
enum req_pull req_answer_pull(struct req *r, struct buf *out);
/* Text of the current second for Date; until the next call. */
const char *req_date(struct srv_loop *sl, size_t *len);
/* "503 because of bytes in flight", as a sentence that names the limit. */
#define REQ_INFLIGHT_FULL "too many bytes of requests in flight (--web.max-inflight-bytes)"
enum req_method req_method_of(const char *s, size_t len);
void req_free_all(struct srv_loop *sl); /* the pool */

#endif
