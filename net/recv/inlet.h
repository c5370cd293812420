/*
 * inlet - the one way of a batch to the sink, whoever received it: HA pairs are deduplicated,
 * external labels added, rules of relabelling applied, then it is stored.
 *
 *   inlet_append > (nothing is configured: the sink) | rows kept, changed or left out > the sink >
 *   done
 *
 * Where nothing is configured for the tenant and the receiver the batch goes to the sink as it is.
 * Rows that rules drop are no refusals: they are counted in `dropped` and the request succeeds.
 * req.batch, req.applied and what they point at stay the caller's until done, as of sink_append;
 * what rules make of labels lies in `arena`, which is the caller's, too.
 * Thread: a loop, and done on the same.
 */
#ifndef NET_RECV_INLET_H
#define NET_RECV_INLET_H

#include "core/base/arena.h"
#include "core/model/receiver.h"
#include "core/seam/sink.h"

struct api;
struct inlet {
	struct sink_req req; /* batch (with its tenant), applied: the caller's */
	enum receiver receiver;
	struct arena *arena; /* of the batch */
	void (*done)(struct inlet *i);
	/* result, beside that of req */
	uint64_t dropped;  /* rows left out by rules */
	bool ha_duplicate; /* the whole batch is of a replica that is not elected: not stored */
};
void inlet_append(struct api *a, struct inlet *i);

#endif
