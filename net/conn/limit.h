/*
 * limit - the limits towards peers, all defaults in one place, and the accounts of bytes in flight
 * and of answers that wait.
 *
 * In flight are bytes that a client made us hold for its request: bodies (their whole
 * Content-Length as soon as it is known, chunked ones as they grow) and what handlers add
 * (req_charge).
 * The account is one for the process: each thread adds to its own cell of M_INFLIGHT_BYTES, and a
 * question adds them up, so it may be behind by what other loops charge at the same moment.
 * Answers that wait for their readers have an account of their own (M_ANSWER_BYTES): who reads
 * slowly may keep others from asking, never from writing.
 * Thread: any loop.
 */
#ifndef NET_CONN_LIMIT_H
#define NET_CONN_LIMIT_H

#include "core/base/check.h"

/* clang-format off */
/* Connections. */
#define LIMIT_CONNS               10000u /* per process; then accepting pauses */
#define LIMIT_CONNS_PER_ADDRESS   1000u  /* then new ones are closed at once */
#define LIMIT_ACCEPT_PAUSE_MS     100u
#define LIMIT_ACCEPT_TURN         64u    /* accepted per turn and listener */
/* Deadlines. */
/* from the first byte of a request to the end of its head */
#define LIMIT_HEADER_MS           10000u
#define LIMIT_IDLE_MS             75000u /* between requests */
#define LIMIT_BODY_MS             60000u /* the whole body */
#define LIMIT_BODY_GRACE_MS       5000u  /* from here on the least rate holds */
#define LIMIT_BODY_BYTES_PER_S    1024u  /* or more, see limit_body_least() */
#define LIMIT_STALL_MS            60000u /* an answer nobody reads */
#define LIMIT_LINGER_MS           2000u  /* after our last byte: time for the peer to read it */
/* Sizes. */
#define LIMIT_REQUEST_LINE_BYTES  8192u  /* 414 */
#define LIMIT_HEAD_BYTES          16384u /* 431 */
#define LIMIT_HEAD_FIELDS         100u   /* 431 */
/* of an answer, per connection or stream; then pulling pauses */
#define LIMIT_UNREAD_BYTES        (256u << 10)
#define LIMIT_PIPELINED_BYTES     (64u << 10)  /* read ahead while a request runs */
#define LIMIT_BODY_BYTES          (32u << 20)  /* of a write: 413 */
#define LIMIT_FORM_BYTES          (10u << 20)  /* of a form: 413 */
/* HTTP/2. */
#define LIMIT_H2_STREAMS          128u
#define LIMIT_H2_CONTINUATIONS    8u
#define LIMIT_H2_STREAM_WINDOW    (256u << 10)
#define LIMIT_H2_CONN_WINDOW      (4u << 20)
#define LIMIT_H2_RESET_BURST      200u
#define LIMIT_H2_RESET_PER_S      33u
#define LIMIT_H2_IDLE_FRAME_BURST 1000u /* frames without data: net/http/h2guard.h has the list */
#define LIMIT_H2_IDLE_FRAME_PER_S 200u
/* Pressure. */
#define LIMIT_INFLIGHT_BYTES      (512u << 20)
/* held by answers nobody has read yet; then what is asked gets 503 */
#define LIMIT_ANSWER_BYTES        (512u << 20)
/*
 * more at once: may take half of the budget only, so that few who name large bodies do not keep the
 * small ones out
 */
#define LIMIT_LARGE_BYTES         (1u << 20)
#define LIMIT_PRESSURE_PERCENT    70u    /* of the budget: new bodies wait */
#define LIMIT_PARK_MS             2000u  /* this long */
#define LIMIT_PARK_LOOK_MS        20u
/* clang-format on */

void limit_inflight_max(size_t bytes); /* once, before loops serve */
enum limit_level {
	LIMIT_FREE,
	LIMIT_PRESSED /* 70-100 % with these bytes */,
	LIMIT_FULL
};
enum limit_level limit_inflight_look(size_t bytes); /* if so many more came */
void limit_inflight_add(size_t bytes);
void limit_inflight_sub(size_t bytes);
bool limit_answers_full(size_t bytes); /* if so many more waited */
void limit_answers_add(size_t bytes);
void limit_answers_sub(size_t bytes);

/*
 * Least rate of a body, in bytes a second: a large one is charged whole, so it must come at half
 * the rate at least that brings it home in LIMIT_BODY_MS. 0 = size unknown.
 */
uint64_t limit_body_least(uint64_t declared_bytes);

/* A bucket of tokens for misdeeds: burst at once, then per_s each second. */
struct limit_bucket {
	uint64_t _full_ns; /* when it will be full again */
};
/* Takes one; false when it is empty. */
bool limit_bucket_take(struct limit_bucket *b, uint64_t now_ns, unsigned burst, unsigned per_s);

#endif
