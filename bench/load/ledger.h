/*
 * ledger - every sample that was sent, and what became of it, to be compared with what a server
 * holds: for "kymobench crash".
 *
 * While the run goes, it notes the fate of each request (ledger_note). Afterwards the same samples
 * are made once more from the seed (ledger_fill), and each series that the server gives back is
 * judged (ledger_judge), sample by sample: an acknowledged one that is not there, or has another
 * value, is lost; one that is there and was never sent is a ghost. A server may keep values in a
 * form of its own that rounds (VictoriaMetrics): such samples are counted, and are not lost. What
 * was sent without an answer may be there or not.
 *
 * Thread: ledger_note from any, under the caller's lock; the rest one.
 * Memory: 2 bits a request; after ledger_fill 24 bytes a sample.
 */
#ifndef BENCH_LOAD_LEDGER_H
#define BENCH_LOAD_LEDGER_H

#include "bench/load/answer.h"
#include "bench/load/loadgen.h"

#define LEDGER_NEAR 1e-12 /* part of a value */
struct ledger_result {
	uint64_t acknowledged, unanswered, found; /* samples */
	uint64_t lost, wrong, ghosts;             /* wrong: there, with another value */
	uint64_t rounded;                         /* the same value to LEDGER_NEAR, not its bits */
	uint64_t rounds_lost;                     /* rounds with a lost sample */
	char first[300];                          /* the first that is wrong, in words */
};
struct ledger;
struct ledger *ledger_new(uint64_t batches); /* requests a round */
void ledger_free(struct ledger *l);
/* A request of a round has ended: it was acknowledged, or was sent and nobody knows. */
void ledger_note(struct ledger *l, uint64_t round, uint64_t batch, bool taken);
/* gen: at its beginning. */
void ledger_fill(struct ledger *l, struct loadgen *gen);
/* The samples of one series of an answer. */
void ledger_judge(struct ledger *l, const struct answer_series *s);
/* After all answers: what was in none of them counts. */
void ledger_end(struct ledger *l, struct ledger_result *out);

#endif
