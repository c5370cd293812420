/*
 * door - what each request passes before its body is read (srv_opts.door):
 *
 *   IDENTITY  api_opts.identify: who it is, which tenant, which role; 401, 403
 *   SIZE      what its head declares: 413
 *   RATE      writes: the tenant's own rates (core/account/rate.h). Up to a second it is parked
 *             here, longer is 429 rate_limited; 503 with --limits.rate-status=503, for senders that
 *             throw away what is answered with 429 (Prometheus' default)
 *   LOAD      writes: while more comes than can be done (core/account/throttle.h) only so many are
 *             under way on a loop as would be done soon; 503 overloaded for the others, at once:
 *             first of all for who has more than an equal part of them
 *   OPEN      it may come in; route->before_body is next
 *
 * DOOR_PARKED_MAX requests of a loop may be parked, a tenant has as many as are still free (one
 * alone: half, two: a third each), so that one more tenant always finds some.
 * A sender that leaves while it is parked is given its charge back.
 * Thread: the loop of the request.
 */
#ifndef NET_API_DOOR_H
#define NET_API_DOOR_H

#include "core/account/throttle.h"
#include "core/base/list.h"
#include "net/http/req.h"

#define DOOR_PARKED_MAX 64u

struct door_loop { /* of one loop */
	struct list_link parked;
	unsigned parked_count;
	struct throttle throttle; /* of writes */
};
void door_begin(struct door_loop *d);

/* For srv_opts.door. */
enum req_step api_door(struct req *r);

/* A write is answered; by what it had its rates are charged now. */
enum door_end {
	DOOR_STORED, /* so many samples, refused ones count */
	DOOR_BROKEN, /* not usable, nobody has counted */
	DOOR_AGAIN   /* it will be repeated */
};
void door_wrote(struct req *r, enum door_end end, uint64_t samples);

#endif
