/*
 * inlet - the one way of a batch to the sink, whoever received it: HA pairs are deduplicated,
 * external labels added, rules of relabelling applied, then it is stored.
 *
 *   inlet_append > (nothing is configured: the sink) | rows kept, changed or left out, in slices of
 *   LOOP_WORK_NS > the sink > done
 *
 * Where nothing is configured for the tenant and the receiver (net/recv/inletconf.h) the batch goes
 * to the sink as it is. Else, for each series of it, in this order:
 *   a pair    with both labels of a pair, of a replica that is not elected (core/account/hapair.h):
 *             left out; of the one that is: the label of the replica goes
 *   external  labels are added
 *   rules     are applied; a series that they drop, or leave without a label, is left out
 * What comes of it is judged by the store, as what came from outside: without a name, or with more
 * labels than may be, it is refused there. Of metadata, families go whose every series here is left
 * out. Each loop keeps what it made of labels (net/recv/inletcache.h).
 *
 * Rows that rules or pairs leave out are no refusals: they are counted in `dropped` and the request
 * succeeds. Rows are refused (req.refused) when their tenant has too many pairs, an expression
 * takes too many steps on their labels, or there are too many of these for rules.
 * req.batch, req.applied and what they point at stay the caller's until done, as of sink_append;
 * rows, exemplars and metadata are moved within the batch, its counts at done are those of before.
 * What rules make of labels lies in `arena`, which is the caller's, too; nobody takes from it once
 * the sink has the batch, so that req.applied may give it back.
 * Thread: a loop, and done on the same, never below inlet_append unless the sink does so.
 * Cost: nothing configured: three reads. Else a hash and a comparison for each series.
 */
#ifndef NET_RECV_INLET_H
#define NET_RECV_INLET_H

#include "core/base/arena.h"
#include "core/model/receiver.h"
#include "core/seam/sink.h"

struct api;
struct api_loop;
struct inlet_walk;
struct inlet {
	struct sink_req req; /* batch (with its tenant), applied: the caller's */
	enum receiver receiver;
	struct arena *arena; /* of the batch */
	void (*done)(struct inlet *i);
	/* result, beside that of req */
	uint64_t dropped;                          /* rows left out by rules and pairs */
	uint64_t dropped_hists, dropped_exemplars; /* of dropped: native histograms; beside it */
	bool ha_duplicate; /* the whole batch is of replicas that are not elected: not stored */
	struct inlet_walk *_walk;
};
void inlet_append(struct api *a, struct inlet *i);

/* Another configuration holds on this loop: what was made by the one before is forgotten. */
void inlet_conf_changed(struct api_loop *l);
void inlet_loop_end(struct api_loop *l);

#endif
