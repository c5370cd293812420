/*
 * limit - the limits towards peers, and the book of what they hold: bytes of requests in flight,
 * answers that wait, connections.
 *
 * What an operator may set is in core/model/limits.h; here are deadlines, sizes of our own buffers
 * and what HTTP/2 wants.
 *
 * In flight are bytes that a client made us hold for its request: heads over LIMIT_HEAD_FREE_BYTES,
 * bodies as they come (never what was only announced), and what handlers add (req_charge).
 * Who holds more has less of http_inflight_bytes to take it from, so that few large requests do not
 * keep many small ones out:
 *
 *   held by one request    may fill         presses from
 *   LIMIT_SMALL_BYTES      all of it        90 % of that
 *   LIMIT_LARGE_BYTES      three quarters   70 %
 *   more                   half             70 %
 *
 * Answers that wait for their readers have an account of their own (http_answer_bytes): who reads
 * slowly may keep others from asking, never from writing. The last eighth is for who holds little.
 * A peer is an address, an IPv6 one its /64. It may have all there is; while another one asks in
 * vain, it has its share (core/base/crowd.h).
 * Writes in flight are counted, too: while there is more to do than can be done, who has more of
 * them than an equal part is told to come later (limit_writes_over).
 * A request of a tenant that an identity names is the tenant's, from wherever it comes
 * (limit_who_tenant): tenants behind one address do not stand in for each other.
 * One book for the process, exact over loops. Thread: any loop; limits are those of the loop.
 */
#ifndef NET_CONN_LIMIT_H
#define NET_CONN_LIMIT_H

#include <sys/socket.h>

#include "core/base/check.h"
#include "core/model/limits.h"

/* clang-format off */
/* Connections. */
#define LIMIT_ACCEPT_PAUSE_MS     100u
#define LIMIT_ACCEPT_TURN         64u    /* accepted per turn and listener */
/* over http_connections, a sixteenth of it, for addresses with less than their share */
#define LIMIT_CONNS_EXTRA         16u
#define LIMIT_SHED_LOOKS          256u   /* connections looked at to find one that may go */
/* Deadlines. */
/* from the first byte of a request to the end of its head */
#define LIMIT_HEADER_MS           10000u
#define LIMIT_HANDSHAKE_MS        10000u /* of TLS */
#define LIMIT_IDLE_MS             75000u /* between requests */
#define LIMIT_BODY_MS             60000u /* the whole body */
#define LIMIT_BODY_GRACE_MS       5000u  /* from here on the least rate holds */
#define LIMIT_BODY_BYTES_PER_S    1024u  /* or more, see limit_body_least() */
#define LIMIT_BODY_STALE_MS       2000u  /* while memory is short: a body that did not grow */
#define LIMIT_LOOK_MS             1000u  /* how often a body that comes is looked at */
#define LIMIT_STALL_MS            60000u /* an answer nobody reads, see limit_reader_look() */
#define LIMIT_READER_BYTES_PER_S  1024u
#define LIMIT_READER_LOOK_MS      5000u
#define LIMIT_LINGER_MS           2000u  /* after our last byte: time for the peer to read it */
#define LIMIT_GONE_LOOK_MS        1000u  /* how often a peer we do not read from is looked for */
/* Sizes. */
/* of an answer, per connection or stream; then pulling pauses */
#define LIMIT_UNREAD_BYTES        (256u << 10)
#define LIMIT_PIPELINED_UNREAD    (32u << 10)  /* of answers, then no pipelined request begins */
#define LIMIT_NOTSENT_BYTES       (128u << 10) /* in the kernel, before the peer's window opens */
#define LIMIT_PIPELINED_BYTES     (64u << 10)  /* read ahead while a request runs */
#define LIMIT_HEAD_FREE_BYTES     (16u << 10)  /* a larger head is charged, as bodies are */
#define LIMIT_LOCATION_BYTES      (16u << 10)  /* no redirect is longer */
#define LIMIT_SMALL_BYTES         (64u << 10)
#define LIMIT_LARGE_BYTES         (1u << 20)
#define LIMIT_STREAM_BYTES        (8u << 10)   /* an HTTP/2 stream without its body */
#define LIMIT_HANDSHAKE_BYTES     (40u << 10)  /* TLS before its first request */
/* HTTP/2. */
#define LIMIT_H2_STREAMS          128u
#define LIMIT_H2_CONTINUATIONS    64u
/*
 * Larger frames cost less: the rest of one is read to its place in the body. Streams of one client
 * alternate in steps that are at most so coarse.
 */
#define LIMIT_H2_FRAME_BYTES      (256u << 10)
#define LIMIT_H2_STREAM_WINDOW    (256u << 10)
#define LIMIT_H2_BODY_WINDOW      (1u << 20) /* of a stream that has declared a large body */
#define LIMIT_H2_CONN_WINDOW      (4u << 20)
/* nothing heard from a peer with open streams: it is asked (PING), and has so long to answer */
#define LIMIT_H2_PING_MS          60000u
#define LIMIT_H2_PING_WAIT_MS     20000u
#define LIMIT_H2_RESET_BURST      200u
#define LIMIT_H2_RESET_PER_S      33u
#define LIMIT_H2_IDLE_FRAME_BURST 1000u /* frames without data: net/http/h2guard.h has the list */
#define LIMIT_H2_IDLE_FRAME_PER_S 200u
/* Pressure. */
#define LIMIT_PARK_MS             2000u /* new bodies wait this long for room */
#define LIMIT_PARK_LOOK_MS        20u
/* clang-format on */

/* Whose bytes: a slot of the book. */
uint32_t limit_who(const struct sockaddr_storage *sa);

uint32_t limit_who_tenant(uint32_t tenant);

/* Another connection of who: false when it has http_connections_address of them. */
MUST_CHECK bool limit_conn_take(uint32_t who);
void limit_conn_add(uint32_t who); /* of one for whom that limit is not */
void limit_conn_give(uint32_t who);
uint64_t limit_conns(void); /* of all */
/* Has who more than its share of max? */
bool limit_conns_over(uint32_t who, uint64_t max);

enum limit_level {
	LIMIT_FREE,
	LIMIT_PRESSED, /* it fits, but waiting a little is better */
	LIMIT_SHORT,   /* it does not fit; who has less than its share, so waiting helps */
	LIMIT_FULL
};
/* If more came to a request of who that has some. What does not fit counts as asked in vain. */
enum limit_level limit_inflight_look(uint32_t who, size_t has, size_t more, uint64_t now_ns);
void limit_inflight_add(uint32_t who, size_t bytes);
void limit_inflight_sub(uint32_t who, size_t bytes);
/* What was counted in *charged is bytes now. */
void limit_inflight_set(uint32_t who, size_t *charged, size_t bytes);
/* Should bodies that do not come make room? */
bool limit_inflight_short(void);

/* If so many more waited for who. */
bool limit_answers_full(uint32_t who, size_t bytes, uint64_t now_ns);
void limit_answers_add(uint32_t who, size_t bytes);
void limit_answers_sub(uint32_t who, size_t bytes);

void limit_writes_add(uint32_t who);
void limit_writes_sub(uint32_t who);
/* Has who more of those that there are than an equal part? Of two who has some at least. */
bool limit_writes_over(uint32_t who);

/*
 * Least rate of a body, in bytes a second: a large one must come at half the rate at least that
 * brings it home in LIMIT_BODY_MS. 0 = size unknown.
 */
uint64_t limit_body_least(uint64_t declared_bytes);

/*
 * A reader that makes us wait for took_ms now, and has read so much meanwhile; held: what waits for
 * it. Slow is who does not read LIMIT_READER_BYTES_PER_S for LIMIT_STALL_MS, and while the account
 * of answers is more than half full, who would take more than 10 s for what is held.
 */
enum limit_reader {
	LIMIT_READER_FAST, /* begin to count anew */
	LIMIT_READER_WAIT, /* too early to say */
	LIMIT_READER_SLOW
};
enum limit_reader limit_reader_look(uint64_t read, uint64_t held, uint64_t took_ms);
uint64_t limit_reader_next_ms(uint64_t took_ms); /* until the next look */

/* A bucket of tokens for misdeeds: burst at once, then per_s each second. */
struct limit_bucket {
	uint64_t _full_ns; /* when it will be full again */
};
/* Takes one; false when it is empty. */
bool limit_bucket_take(struct limit_bucket *b, uint64_t now_ns, unsigned burst, unsigned per_s);

#endif
