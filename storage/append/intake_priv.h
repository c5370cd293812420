/*
 * intake_priv - what intake.c (the loop's writing side, its limits and its time), append.c (a
 * request, at home) and slice.c (a piece of a request, on its owner) tell each other.
 *
 * Where a request is:
 *   append   intake_append > step > slices out > home, one by one > told at the end of the turn
 *   slice    arrive > [ready | parked] > pieces > waiting (in the log) > settled > [children
 *            settled] > home
 * open counts: an append's = its slices out, plus one while rows are left; a slice's = itself, plus
 * its children. running counts: the step's slices that have not run, plus one while it is made.
 *
 * Thread: the loop of the intake.
 */
#ifndef STORAGE_APPEND_INTAKE_PRIV_H
#define STORAGE_APPEND_INTAKE_PRIV_H

#include "storage/append/intake.h"

/*
 * A slice per loop, and which rows of the batch are whose: where a slice is not the batch itself.
 * Places, keys, fingerprints are of the step's rows as they came.
 */
struct step {
	struct list_link link;
	struct append *append;
	uint64_t *fps;
	uint16_t *places;        /* of their heads at their owners */
	uint16_t *keys;          /* by which they are sorted */
	uint32_t *index;         /* sorted: which row of the step; each slice has a part */
	struct head_row *rows;   /* exemplars, sorted */
	struct batch_row *items; /* of exemplars, while the step is made; else NULL */
	uint32_t cap, open;
	bool by_shard;         /* exemplars: else rows are sorted by loop */
	uint32_t *ends;        /* of loops; or of shards in the order of owners */
	struct slice slices[]; /* [loops] */
};

struct append {
	struct list_link link; /* pool, done */
	struct mbox_msg step_msg;
	struct intake *home;
	struct sink_req *req;
	size_t next_row;
	uint32_t open, running;
	/* of the class when the request came: its own rows do not make each other old */
	int64_t newest_ms;
	struct shard_judge judge; /* of the step under way */
	struct shard_verdict verdict;
	enum err err;
	uint32_t retry_after_s;
	enum intake_slow slow;
};

/* ---- intake.c ---- */

/* From here on intake_time_is_up tells; false: somebody further out has entered. */
bool intake_enter(struct intake *in);
void intake_leave(struct intake *in, bool entered);
/* Requests of many connections in one turn: when they have had their time, the next one waits. */
bool intake_turn_is_full(const struct intake *in);
/* How long that is; tests let every look at the clock say: too long. */
uint64_t intake_since(uint64_t began_ns);
uint32_t intake_retry_after(enum err err);

/* ---- append.c ---- */

void append_answer(
    struct append *ap, const struct shard_verdict *v, enum err err, uint32_t retry_after_s);
/* One of the step's slices has run, or all are sent: after the last one the next step follows. */
void append_ran(struct append *ap);
void append_step_put(struct intake *in, struct step *sp);
void append_step_free(struct step *sp);
void append_done_run(struct loop_deferred *d);

/* ---- slice.c ---- */

/* On any loop: what the home loop changes from step to step is given, not read here. */
void slice_init(struct slice *sl, struct append *ap, struct shard_judge judge, struct intake *from,
    struct intake *at);
/* Its rows are known. */
void slice_weigh(struct slice *sl);
void slice_send(struct slice *sl);
/* The slice's own part is decided. */
void slice_settle(struct slice *sl, enum err err);
/* What was parked and fits now, or cannot wait any longer. */
void slice_parked_run(struct intake *in);
void slice_park_tick(struct loop_timer *t);
enum job_state slice_run_ready(struct job *j);

#endif
