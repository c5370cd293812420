/*
 * gen - production-shaped Remote Write traffic: an exposition page replicated over N targets (as prometheus-benchmark does), or recorded pages replayed.
 *
 * Page mode: each target is one node_exporter-like page; every series gets job, instance="instance-<i>", revision="r<k>"; values move by round: most hardly do.
 * Replay mode: a file holds scrapes (a line "@ <unix ms>", then exposition lines); target t plays scrape (round + 97 t) mod scrapes, so copies are not equal; a series absent from a scrape is left out.
 * Churn: with probability churn (per round and target) a target gets a new revision, as a restarted one would.
 * Everything follows from the seed: two runs send the same bytes. Thread: one.
 */
#ifndef BENCH_LOAD_GEN_H
#define BENCH_LOAD_GEN_H

#include "core/base/buf.h"
#include "core/base/err.h"

#define GEN_FILES_MAX 8
struct gen_opts {
	const char *page; /* exposition page; NULL = the built-in shape of 500 series */
	const char *replay[GEN_FILES_MAX]; /* recorded files (.xz through xz), each replayed by all targets */
	unsigned replay_count;
	uint64_t series;           /* page mode: how many in all */
	unsigned targets;          /* replay mode */
	unsigned batch;            /* samples per request */
	int64_t start_ms, step_ms; /* time of round 0, time between rounds */
	double churn;
	bool shuffle; /* series of a request in random order */
};
struct gen;
MUST_CHECK enum err gen_create(const struct gen_opts *o, struct gen **out, struct errbuf *eb);
void gen_free(struct gen *g);
uint64_t gen_series(const struct gen *g);
uint64_t gen_batches(const struct gen *g); /* requests per round */
/* Moves to a round (ascending calls): churn happens here. */
void gen_round(struct gen *g, uint64_t round);
/* Raw WriteRequest of one request of the current round, into raw (cleared). Returns its samples. */
uint64_t gen_body(struct gen *g, uint64_t batch, struct buf *raw);

#endif
