/*
 * answerjob - a streamed or compressed answer is made by a job (core/rt/job.h), in slices that the
 * group of who asked pays for: making JSON and gzip of large answers takes turns with queries, and
 * comes behind writes.
 *
 *   protocol: pull > nothing made, REQ_LATER > (the job makes some) > ops->resume > pull > bytes
 *
 * It makes a piece when it is asked for one, so who does not read costs nothing but what waits for
 * him already. Between two pieces no memory is kept here.
 * Cost: a step of some 200 us, then a look at the clock; a piece is ANSWERJOB_BYTES and one pull at
 * most.
 * Thread: the loop of the request. Memory: the request's arena, and the buffers of its answer.
 */
#ifndef NET_HTTP_ANSWERJOB_H
#define NET_HTTP_ANSWERJOB_H

#include "core/rt/job.h"
#include "net/http/req_priv.h"

#define ANSWERJOB_BYTES (64u << 10)

/* As req_answer_pull. */
enum req_pull answerjob_pull(struct req *r, struct buf *out);
/* The handler has more, after its REQ_LATER. */
void answerjob_resume(struct req *r);
/* The answer is sent or dropped: its handler is not asked any more. */
void answerjob_end(struct req *r);

#endif
