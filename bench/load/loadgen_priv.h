/*
 * loadgen_priv - what loadgen, its pages and its workloads share.
 *
 * A series is a template of a target: labels of the template's own, and slots, labels whose values
 * are the target's (instance, revision, hostname, ...). Slots are sorted by name; a template takes
 * those of its mask. Series stand target by target, templates in their order.
 */
#ifndef BENCH_LOAD_LOADGEN_PRIV_H
#define BENCH_LOAD_LOADGEN_PRIV_H

#include "bench/load/loadgen.h"
#include "core/base/arena.h"
#include "core/model/hist.h"

#define SLOTS_MAX     16u
#define SLOT_TEXT_MAX 64u
#define SLOT_WIRE_MAX (SLOT_TEXT_MAX + 48u) /* as a label message */

/* How a value goes from round to round. */
enum walk {
	WALK_SHAPE,   /* by hash of the series: most hardly move */
	WALK_STILL,   /* base for ever */
	WALK_PLAYED,  /* recorded */
	WALK_CLOCK,   /* the sample's time in seconds */
	WALK_UPTIME,  /* seconds since round 0 */
	WALK_DICE,    /* a whole number below 100, another one each turn */
	WALK_CLAMPED, /* a normal step (mean, sd), held between lo and hi */
	WALK_RISING,  /* the size of a normal step is added */
	WALK_TALLY,   /* such a number below 100 is added each turn */
	WALK_COUNT    /* one is added each turn when such a number is at most hi */
};
struct tmpl { /* one line of a page */
	struct labels labels;
	double base;
	unsigned file;
	double *replay; /* WALK_PLAYED: [scrapes], bits ABSENT_BITS where absent */
	enum walk walk;
	bool whole, hist;         /* hist: its samples are native histograms */
	uint8_t type;             /* of metadata */
	uint32_t dice;            /* templates of one number see the same dice */
	double mean, sd, lo, hi;  /* of walks */
	uint32_t slots;           /* mask */
	uint32_t cuts[SLOTS_MAX]; /* where in the labels the slots stand */
};
struct target {
	unsigned file, no, revision;
	size_t first; /* index of its first series */
};
struct slot {
	const char *name;
	size_t (*put)(const struct loadgen *g, const struct target *t, char out[SLOT_TEXT_MAX]);
};
struct loadgen {
	struct loadgen_opts o;
	struct arena arena; /* templates */
	struct tmpl *tmpls;
	size_t tmpls_count, tmpls_cap;
	size_t file_first[GEN_FILES_MAX + 1]; /* templates of each file */
	unsigned scrapes[GEN_FILES_MAX];
	struct slot slots[SLOTS_MAX];
	unsigned slots_count;
	struct target *targets;
	size_t targets_count;
	size_t series_count;
	uint32_t *order; /* shuffle; NULL: as they come */
	uint64_t round;
	uint64_t turn_rounds;   /* rounds of a turn of the dice */
	uint64_t rename_rounds; /* names are new after so many; 0 = never */
	void (*rename)(struct loadgen *g, uint64_t cycle);
	double *state;   /* of walks that have one, by series; NULL = none has */
	uint64_t walked; /* rounds the state has gone */
	const char *selector;
};

#define ABSENT_BITS        0x7ff8dead00000001u
#define REPLAY_SCRAPES_MAX 3000
#define REPLAY_SHIFT       97

struct tmpl *tmpl_add(struct loadgen *g, unsigned file, const char *name, char *labels);
/* pages.c: they append templates. */
MUST_CHECK enum err pages_load(struct loadgen *g, struct errbuf *eb);
struct node_shape {
	unsigned cpus, disks, nets, mounts, series;
	bool whole; /* with the families that newer exporters have */
};
void pages_node(struct loadgen *g, const struct node_shape *shape);
/* workloads.c: templates, slots, selector and defaults of a named workload. */
MUST_CHECK enum err workload_make(struct loadgen *g, struct errbuf *eb);
/* A number of [0, 1) that is the same for the same x. */
double workload_unit(uint64_t x);

#endif
