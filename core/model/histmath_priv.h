/*
 * histmath_priv - walking the buckets of one side and writing those of a new one, for the files of
 * histmath alone.
 *
 * A walk gives the buckets of a side in the order of their index, those of a finer schema put
 * together; with errors (of Kahan sums) beside the counts, or without.
 * A side under way (histm_out) takes buckets in that order. Its arrays are the arena's, or were
 * given to it. Thread: pure.
 */
#ifndef CORE_MODEL_HISTMATH_PRIV_H
#define CORE_MODEL_HISTMATH_PRIV_H

#include "core/model/histmath.h"
#include <float.h>

/* One step of a Kahan-Neumaier sum; when it is infinite, its error is 0. */
static inline void histm_kahan(double x, double *sum, double *c)
{
	double s = *sum, t = s + x;
	if (t > DBL_MAX || t < -DBL_MAX)
		*c = 0;
	else if (__builtin_fabs(s) >= __builtin_fabs(x))
		*c += (s - t) + x;
	else
		*c += (x - t) + s;
	*sum = t;
}

/* ---- reading ---- */

struct histm_walk {
	const struct hist_side *s;
	const double *errors; /* of the counts; NULL = all are 0 */
	unsigned steps;       /* schemas to go down */
	bool kahan;           /* what is put together is, with errors */
	bool solid;           /* buckets of 0, with an error of 0, are left out */
	uint32_t span, in, at;
	int64_t raw; /* index of the bucket at `at`, in its own schema */
	/* the bucket that was given last */
	int64_t index;
	double count, error;
};
static inline struct histm_walk histm_walk(const struct hist_side *s, unsigned steps)
{
	return (struct histm_walk){
		.s = s, .steps = steps, .raw = s->spans_count ? s->spans[0].offset : 0
	};
}
/* Is there a bucket at `at`? Goes over the ends of spans. */
static inline bool histm_walk_more(struct histm_walk *w)
{
	while (w->span < w->s->spans_count && w->in >= w->s->spans[w->span].length) {
		w->in = 0;
		if (++w->span < w->s->spans_count)
			w->raw += w->s->spans[w->span].offset;
	}
	return w->span < w->s->spans_count;
}
static inline void histm_walk_skip(struct histm_walk *w)
{
	w->in++;
	w->at++;
	w->raw++;
}
bool histm_walk_next(struct histm_walk *w);
/* Leaves out the first ones, of the schema of the histogram, that begin below the threshold. */
void histm_walk_above(struct histm_walk *w, int schema, double threshold);
/* To the first one that does not end at or below the threshold, in this schema; false: none. */
bool histm_walk_over(struct histm_walk *w, int schema, double threshold);

/* hist_iter_next in two: to the next bucket, and what it is; bounds cost more than a step. */
bool histm_iter_step(struct hist_iter *it, double *count);
void histm_iter_bucket(const struct hist_iter *it, struct hist_bucket *out);

/* ---- writing ---- */

#define HISTM_FEW 16
struct histm_out {
	struct arena *arena;
	union hist_count *counts;
	double *errors; /* NULL = none are kept */
	struct hist_span *spans;
	uint32_t counts_count, spans_count, spans_cap;
	int64_t next; /* index after the last bucket */
	bool failed;  /* no memory */
	struct hist_span few[HISTM_FEW];
};
/* Room for so many counts; false without memory. */
bool histm_out_init(struct histm_out *o, struct arena *a, uint32_t counts);
/* Into this array, which may be the one that is read. */
void histm_out_into(struct histm_out *o, struct arena *a, union hist_count *counts);
void histm_out_add(struct histm_out *o, int64_t index, double count, double error);
/* What was written; false when it failed. Buckets of 0 must have been left out by the caller. */
bool histm_out_take(struct histm_out *o, struct hist_side *to);

/* ---- layouts ---- */

/* Upper bound of a bucket, whatever the kind; what no bound tells is infinite. */
double histm_bound(const struct hist *h, int64_t index);
bool histm_same_spans(const struct hist_side *l, const struct hist_side *r);
bool histm_same_bounds(const struct hist *l, const struct hist *r);
static inline bool histm_is_custom(const struct hist *h)
{
	return h->schema == HIST_SCHEMA_CUSTOM;
}
static inline uint32_t histm_min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/*
 * One side of a sum or a difference, whose zero bucket may have been widened. threshold and
 * zero_count are what they have become.
 */
struct histm_term {
	const struct hist *h;
	const double *errors[2]; /* negative, positive; NULL = none */
	double threshold, zero_count, zero_error;
	bool widened; /* buckets below the threshold are in zero_count */
};
/*
 * Widens the zero buckets of both until they are equal and cut no bucket that holds something. What
 * l had counted goes into its zero bucket for good, so l is looked at as it has become each time.
 */
void histm_zeros(struct histm_term *l, struct histm_term *r);
/*
 * What the zero bucket of h would hold if it ended at a higher threshold; true when that cuts a
 * bucket that holds something.
 */
bool histm_zero_cut(const struct hist *h, double threshold, double *count);
/* The bounds that both have, into an array with room for those of one of them; how many. */
uint32_t histm_bounds_of_both(const struct hist *l, const struct hist *r, double *both);
/* The same in the arena; false without memory. */
bool histm_common_bounds(struct arena *a, const struct hist *l, const struct hist *r,
    const double **bounds, uint32_t *count);
/* The hint of a sum; *told gets HISTMATH_COLLIDED. */
enum hist_hint histm_hint(unsigned l, unsigned r, unsigned *told);

#endif
