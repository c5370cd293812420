/*
 * recv_deltas - the book of delta streams of the process, as the receiver of OTLP uses it: one for
 * all loops (core/model/deltacum.h), swept once a second by loop 0.
 *
 * Thread: create, free: the main thread while no request is served; begin, end: loop 0; the rest:
 * the loop of the request.
 */
#ifndef NET_RECV_RECV_DELTAS_H
#define NET_RECV_RECV_DELTAS_H

#include "net/http/req.h"
#include "net/recv/recvconf.h"
#include "proto/otlp.h"

struct recv_deltas;
struct recv_deltas *recv_deltas_create(uint64_t max_bytes);
void recv_deltas_free(struct recv_deltas *d);
/* Sweeps from now on, until end. */
void recv_deltas_begin(struct recv_deltas *d, struct loop *l);
void recv_deltas_end(struct recv_deltas *d);
/*
 * What is done with the delta points of r: they become cumulative, or stay as they are; in its
 * arena. NULL: they are to be rejected.
 */
const struct otlp_delta *recv_deltas_hook(
    struct recv_deltas *d, struct req *r, const struct recv_otlp *c);

#endif
