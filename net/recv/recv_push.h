/*
 * recv_push - the receiver of pushes, as a Prometheus Pushgateway is one.
 *
 *   PUT, POST, DELETE /metrics/job/<job>{/<label>/<value>}    (<label>@base64: its value is coded)
 *   body > unpacked > [in the lane of its tenant] read, judged, its file written and synced, the
 *   group put in its place > rows of now and stale markers to the inlet > 200
 *
 * Nobody scrapes a gateway here: the rows of every group are stored again each
 * receivers.pushgateway.repeat, so that they stay (lookback), until a DELETE, or until nobody has
 * pushed for receivers.pushgateway.ttl. What goes ends with stale markers.
 * A push that is answered 200 is kept; rows that the store cannot take now come with the next
 * repetition.
 *
 * Thread: create, start and free the main thread; handlers the loop of the request. Turns are
 * bounded by batches of PUSH_ROWS.
 */
#ifndef NET_RECV_RECV_PUSH_H
#define NET_RECV_RECV_PUSH_H

#include "net/http/req.h"

#define PUSH_ROWS       8192u
#define PUSH_REPEAT_MS  15000u
#define PUSH_MAX_GROUPS 10000u
#define PUSH_MAX_BYTES  (64u << 20)

struct api;
struct push;
struct push *push_create(struct api *a);
/* The data directory may be read and the sink is there; before any loop is open. */
void push_start(struct push *p);
void push_free(struct push *p); /* the loops have ended */

bool recv_push_before(struct req *r);
void recv_push(struct req *r);        /* PUT, POST */
void recv_push_delete(struct req *r); /* DELETE */
void recv_push_wipe(struct req *r);   /* PUT /api/v1/admin/wipe */
void recv_push_groups(struct req *r); /* GET /api/v1/metrics */
void recv_push_page(struct req *r);   /* GET /pushgateway */
void recv_push_status(struct req *r); /* GET /api/v1/status */

#endif
