/*
 * recv_remote - POST /api/v1/write (also push, receive): Remote Write 1.0 and 2.0. The head decides
 * which of them it is (writetype.h); how it ends stands in writeend.h.
 *
 * Per sample: snappy decode (about 25 ns for 250 bytes), scan (about 19 ns), no allocation; per
 * request one decode buffer, batch and arena, reused by the loop, last used first (shelf.h).
 * Thread: the loop of the request. A worker decodes and scans what costs more than a turn may take:
 * bodies over RECV_REMOTE_LOOP_BYTES decoded, and those of which more than RECV_REMOTE_SLOW_BYTES
 * are not as senders usually write them (proto/rw1.h).
 */
#ifndef NET_RECV_RECV_REMOTE_H
#define NET_RECV_RECV_REMOTE_H

#include "net/api/api.h"

#define RECV_REMOTE_LOOP_BYTES (640u << 10)
#define RECV_REMOTE_SLOW_BYTES (64u << 10)

bool recv_remote_before(struct req *r); /* by the head alone: 415, 503 */
void recv_remote(struct req *r);

#endif
