/*
 * loadgen - production-shaped Remote Write traffic: a named workload, an exposition page replicated
 * over N targets, or recorded pages replayed.
 *
 * Workloads (their shapes are those of the tools they are named after, the words our own):
 *   node                  a node_exporter of 500 series, or --page, for each target
 *   prometheus-benchmark  a node_exporter of 1,230 series for each of 1,000 targets, every 10 s;
 *                         each 10 minutes a target gets a new revision with probability 1 %
 *   tsbs-devops           4,000 hosts with 10 tags and 101 metrics of 9 subsystems, every 10 s
 *   tsbs-cpu              the 10 metrics of the CPU alone
 *   avalanche             metrics x series of a synthetic target with 10 labels and ids; values,
 *                         ids and names change at intervals
 *   k6                    12 labels, of which nine are the series' number in ever coarser steps
 * Page mode: each target is one node_exporter-like page; every series gets job,
 * instance="instance-<i>", revision="r<k>"; values move by round: most hardly do.
 * Replay mode: a file holds scrapes (a line "@ <unix ms>", then exposition lines); target t plays
 * scrape (round + 97 t) mod scrapes, so copies are not equal; a series absent from a scrape is left
 * out.
 * Values: a recording may also give its values to the series of a page that it holds, played in the
 * same way; the others stay as they are.
 * Churn: with probability churn (per turn of churn_rounds and target) a target gets a new revision,
 * as a restarted one would.
 * Histograms: that part of the metrics are native histograms (20 buckets), their names end in
 * _histogram. Exemplars: a sample carries one with that probability.
 *
 * Everything follows from the seed: two runs send the same bytes. Thread: one.
 * Memory: templates and some bytes a target; nothing a series (with shuffle 4 bytes, with values
 * that walk 8).
 */
#ifndef BENCH_LOAD_LOADGEN_H
#define BENCH_LOAD_LOADGEN_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/model/label.h"

#define GEN_FILES_MAX 8
struct avalanche_opts {
	double gauges, counters, histograms, buckets, natives, summaries, objectives;
	double series, labels, name_length, label_length;
	double value_s, series_s, metric_s; /* intervals; 0 = never */
};
struct loadgen_opts {
	const char *workload; /* NULL = node */
	const char *page;     /* exposition page; NULL = the built-in shape */
	const char *values;   /* page mode: recorded file with their values, or NULL */
	/* what instances are called, "#" for each digit of the number; NULL = instance-<i> */
	const char *instance;
	/* recorded files (.xz through xz), each replayed by all targets */
	const char *replay[GEN_FILES_MAX];
	unsigned replay_count;
	uint64_t series;           /* how many in all; 0 = as targets say */
	unsigned targets;          /* targets, hosts; 0 = the workload's */
	unsigned batch;            /* samples per request */
	int64_t start_ms, step_ms; /* time of round 0, time between rounds */
	double churn;              /* < 0: the workload's */
	uint64_t churn_rounds;     /* 0: the workload's */
	bool shuffle;              /* series of a request in random order */
	double histograms, exemplars;
	struct avalanche_opts avalanche;
};
/* What the workload's own tool has for the step, in ms; -1: no such workload. */
int64_t loadgen_step_ms(const char *workload);
extern const struct avalanche_opts loadgen_avalanche; /* its defaults */

struct loadgen;
MUST_CHECK enum err loadgen_create(
    const struct loadgen_opts *o, struct loadgen **out, struct errbuf *eb);
void loadgen_free(struct loadgen *g);
uint64_t loadgen_series(const struct loadgen *g);
uint64_t loadgen_batches(const struct loadgen *g); /* requests per round */
/* Moves to a round (ascending calls): churn and walks happen here. */
void loadgen_round(struct loadgen *g, uint64_t round);

struct hist;
struct loadgen_row {
	struct labels labels; /* canonical; valid during the call */
	int64_t t_ms;
	double v;
	const struct hist *hist; /* NULL: a float */
	uint8_t type;            /* metadata: 1 counter, 2 gauge, 3 histogram */
	bool exemplar;
	uint64_t trace; /* of the exemplar */
};
/* The samples of one request of the current round, in order. */
void loadgen_rows(struct loadgen *g, uint64_t batch,
    void (*row)(void *arg, const struct loadgen_row *r), void *arg);
/* Label matchers, in braces, that take this workload's series and few others. */
const char *loadgen_selector(const struct loadgen *g);
/* Names of metrics that the workload has now, each once: fn is called with each. */
void loadgen_names(
    struct loadgen *g, void (*fn)(void *arg, const char *name, size_t len, bool hist), void *arg);
/* False: there were others before, or will be. */
bool loadgen_names_stay(const struct loadgen *g);

#endif
