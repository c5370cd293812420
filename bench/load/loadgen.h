/*
 * loadgen - production-shaped Remote Write traffic: an exposition page replicated over N targets
 * (as prometheus-benchmark does), or recorded pages replayed.
 *
 * Page mode: each target is one node_exporter-like page; every series gets job,
 * instance="instance-<i>", revision="r<k>"; values move by round: most hardly do.
 * Replay mode: a file holds scrapes (a line "@ <unix ms>", then exposition lines); target t plays
 * scrape (round + 97 t) mod scrapes, so copies are not equal; a series absent from a scrape is left
 * out.
 * Values: a recording may also give its values to the series of a page that it holds, played in the
 * same way; the others stay as they are.
 * Churn: with probability churn (per round and target) a target gets a new revision, as a restarted
 * one would.
 * Everything follows from the seed: two runs send the same bytes. Thread: one.
 * Memory: templates, one copy of their labels for each pair of lengths of instance and revision,
 * and some bytes a target; nothing a series (with shuffle 4 bytes).
 */
#ifndef BENCH_LOAD_LOADGEN_H
#define BENCH_LOAD_LOADGEN_H

#include "core/base/buf.h"
#include "core/base/err.h"

#define GEN_FILES_MAX 8
struct loadgen_opts {
	const char *page;   /* exposition page; NULL = the built-in shape of 500 series */
	const char *values; /* page mode: recorded file with their values, or NULL */
	/* what instances are called, "#" for each digit of the number; NULL = instance-<i> */
	const char *instance;
	/* recorded files (.xz through xz), each replayed by all targets */
	const char *replay[GEN_FILES_MAX];
	unsigned replay_count;
	uint64_t series;           /* page mode: how many in all */
	unsigned targets;          /* replay mode */
	unsigned batch;            /* samples per request */
	int64_t start_ms, step_ms; /* time of round 0, time between rounds */
	double churn;
	bool shuffle; /* series of a request in random order */
};
struct loadgen;
MUST_CHECK enum err loadgen_create(
    const struct loadgen_opts *o, struct loadgen **out, struct errbuf *eb);
void loadgen_free(struct loadgen *g);
uint64_t loadgen_series(const struct loadgen *g);
uint64_t loadgen_batches(const struct loadgen *g); /* requests per round */
/* Moves to a round (ascending calls): churn happens here. */
void loadgen_round(struct loadgen *g, uint64_t round);
/* Raw WriteRequest of one request of the current round, into raw (cleared). Returns its samples. */
uint64_t loadgen_body(struct loadgen *g, uint64_t batch, struct buf *raw);

#endif
