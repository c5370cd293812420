#include "net/api/outlook.h"

#include <math.h>

#define DECAY        0.98F /* of what the queries before weigh */
#define DECAY_BIN    0.9F  /* ... of those with about as much work, beside */
#define FORGET       0.6F  /* ... when they would have told another time */
#define LEAST        2.5F  /* queries that must have ended, by that weight */
#define FAINT        1e-3  /* what weighs less is not there */
#define NEAR         1.2   /* bins: how far away others count */
#define FAR          1e-9  /* ... all of them do where nothing is near */
#define SERIES_WORK  64u   /* of a series that is read, in samples */
#define FACTOR       3.0
#define SECONDS_MIN  20e-6
#define SERIES_BYTES 320u        /* of a column, with its labels */
#define POINT_BYTES  20u         /* of a series' column, and of what the result has of it */
#define CURSOR_BYTES 40u         /* a sample of the longest series takes so many on its shard */
#define SCAN_BYTES   (20u << 10) /* of a shard that has a series */
#define QUERY_BYTES  (32u << 10)

uint64_t outlook_times(uint64_t a, uint64_t b)
{
	uint64_t v;
	return __builtin_mul_overflow(a, b, &v) ? UINT64_MAX : v;
}

uint64_t outlook_plus(uint64_t a, uint64_t b)
{
	return a + b < a ? UINT64_MAX : a + b;
}

/* ---- the pace ---- */

static double work_of(struct outlook_work w)
{
	return (double)w.samples + (double)w.values + (double)w.series * SERIES_WORK;
}

void outlook_note(struct outlook_pace *p, struct outlook_work w, double seconds)
{
	double y = seconds > SECONDS_MIN ? seconds : SECONDS_MIN, work = work_of(w), per_s;
	double x = work > 1 ? log2(work) : 0, told = outlook_seconds(p, w, &per_s);
	bool off = told >= 0 && (told > y * FACTOR || told * FACTOR < y);
	struct outlook_bin *b = &p->bins[x < OUTLOOK_BINS - 1 ? (size_t)x : OUTLOOK_BINS - 1];
	for (unsigned i = 0; i < OUTLOOK_BINS; i++) {
		p->bins[i].n *= DECAY;
		p->bins[i].x *= DECAY;
		p->bins[i].y *= DECAY;
	}
	float keep = off ? FORGET : DECAY_BIN;
	*b = (struct outlook_bin){
		.n = b->n * keep + 1, .x = b->x * keep + (float)x, .y = b->y * keep + (float)log2(y)
	};
	p->count = p->count * DECAY + 1;
}

void outlook_add(struct outlook_pace *p, const struct outlook_pace *more)
{
	p->count += more->count;
	for (unsigned i = 0; i < OUTLOOK_BINS; i++) {
		p->bins[i].n += more->bins[i].n;
		p->bins[i].x += more->bins[i].x;
		p->bins[i].y += more->bins[i].y;
	}
}

struct line {
	double x, y, slope; /* of logarithms */
};

/* The line through what is near x. */
static struct line line_at(const struct outlook_pace *p, double x)
{
	double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
	struct line l = { .slope = 1 };
	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < OUTLOOK_BINS; i++) {
			const struct outlook_bin *b = &p->bins[i];
			if ((double)b->n < FAINT)
				continue;
			double bx = (double)b->x / (double)b->n, by = (double)b->y / (double)b->n;
			double d = (bx - x) / NEAR, weight = (double)b->n * (exp(-d * d / 2) + FAR);
			n += pass ? 0 : weight;
			sx += pass ? 0 : weight * bx;
			sy += pass ? 0 : weight * by;
			sxx += pass ? weight * (bx - l.x) * (bx - l.x) : 0;
			sxy += pass ? weight * (bx - l.x) * (by - l.y) : 0;
		}
		l.x = n > 0 ? sx / n : 0;
		l.y = n > 0 ? sy / n : 0;
	}
	if (sxx > n * 1e-3)
		l.slope = sxy / sxx;
	l.slope = l.slope < 0 ? 0 : l.slope > 1 ? 1 : l.slope;
	return l;
}

double outlook_seconds(const struct outlook_pace *p, struct outlook_work w, double *per_s)
{
	double work = work_of(w), x = work > 1 ? log2(work) : 0, low = INFINITY, high = -INFINITY;
	*per_s = -1;
	for (unsigned i = 0; i < OUTLOOK_BINS; i++) {
		const struct outlook_bin *b = &p->bins[i];
		double bx = (double)b->n < FAINT ? -1 : (double)b->x / (double)b->n;
		low = bx >= 0 && bx < low ? bx : low;
		high = bx > high ? bx : high;
	}
	if (p->count < LEAST || high < 0)
		return -1;
	double at = x < low ? low : x > high ? high : x;
	struct line l = line_at(p, at);
	double y = l.y + l.slope * (at - l.x) + (x > at ? x - at : 0);
	double seconds = exp2(y);
	if (work > 0)
		*per_s = work / seconds;
	return seconds;
}

/* ---- the query ---- */

void outlook_gather(struct source_forecast *to, const struct source_forecast *f)
{
	to->sure = f->sure > to->sure ? f->sure : to->sure;
	to->series = outlook_plus(to->series, f->series);
	to->series_most = outlook_plus(to->series_most, f->series_most);
	to->memory_samples = outlook_plus(to->memory_samples, f->memory_samples);
	to->file_samples = outlook_plus(to->file_samples, f->file_samples);
	to->samples_most = outlook_plus(to->samples_most, f->samples_most);
	to->memory_bytes = outlook_plus(to->memory_bytes, f->memory_bytes);
	to->file_bytes = outlook_plus(to->file_bytes, f->file_bytes);
	to->files = outlook_plus(to->files, f->files);
	to->surveyed = outlook_plus(to->surveyed, f->surveyed);
	to->surveyed_sure = outlook_plus(to->surveyed_sure, f->surveyed_sure);
	to->column = f->column > to->column ? f->column : to->column;
}

static void more(uint64_t *sum, uint64_t a, uint64_t b)
{
	*sum = outlook_plus(*sum, outlook_plus(a, b));
}

/* Values of a step that groups hold: on shards, each those that it has, and joined. */
struct held {
	uint64_t most, least;
};

static uint64_t whole(double v)
{
	return v < 0 ? 0 : v < 0x1p63 ? (uint64_t)(v + 0.5) : UINT64_MAX;
}

static uint64_t of_groups(uint64_t groups, unsigned held, uint64_t series, uint64_t shards)
{
	uint64_t there = outlook_times(groups, shards);
	there = there < series ? there : series;
	return outlook_plus(outlook_times(there, held), groups);
}

/* Below a node, for one piece. */
static void held_add(const struct ql_trace_node *n, int piece, const struct source_forecast *f,
    uint64_t shards, struct held *sum)
{
	for (const struct ql_trace_node *c = n->first; c; c = c->next)
		held_add(c, piece, f, shards, sum);
	if (n->piece != piece || !n->held)
		return;
	const struct ql_trace_told *g = &n->held_groups;
	uint64_t groups = g->n >= 0 ? whole(g->n) : f->series;
	uint64_t least = g->n >= 0 && g->sure == SOURCE_EXACT ? groups : (groups + 2) / 3;
	sum->most = outlook_plus(sum->most, of_groups(groups, n->held, f->series, shards));
	sum->least = outlook_plus(sum->least, of_groups(least, n->held, f->series, shards));
}

static uint64_t share(uint64_t v, double part)
{
	double x = (double)v * part;
	return x < 0x1p64 ? (uint64_t)x : UINT64_MAX;
}

struct parts { /* of what the plan takes, that which is evaluated at once: of steps, of samples */
	double steps, samples;
};

static void piece_add(struct outlook *o, const struct ql_trace_piece *p,
    const struct estimate_ask *a, const struct held *held, struct parts part)
{
	const struct source_forecast *f = &a->told;
	uint64_t steps = share(p->steps, part.steps) + 1;
	steps = steps < p->steps ? steps : p->steps;
	uint64_t shards = f->series_most < p->shards_count ? f->series_most : p->shards_count;
	uint64_t column = outlook_times(steps, 8) + steps / 8 + SERIES_BYTES;
	uint64_t samples = share(outlook_plus(f->memory_samples, f->file_samples), part.samples);
	uint64_t columns = outlook_times(f->series, p->columns);
	uint64_t bytes = outlook_times(columns, steps * (uint64_t)POINT_BYTES + SERIES_BYTES);
	uint64_t points = outlook_times(columns, steps);
	if (p->raws) {
		bytes = outlook_plus(bytes, outlook_times(samples, 16));
		bytes = outlook_plus(bytes, outlook_times(f->series, SERIES_BYTES));
		points = outlook_plus(points, samples);
	}
	bytes = outlook_plus(bytes, outlook_times(share(a->columns, part.samples), CURSOR_BYTES));
	bytes = outlook_plus(bytes, shards * (uint64_t)SCAN_BYTES);
	more(&o->memory, bytes, outlook_times(held->most, column));
	more(&o->memory_least, bytes, outlook_times(held->least, column));
	more(&o->points, points, outlook_times(held->most, steps));
	more(&o->points_least, points, outlook_times(held->least, steps));
	o->values_most = outlook_plus(o->values_most, outlook_times(f->series_most, p->steps));
	outlook_gather(&o->all, f);
}

static void refuse(
    struct outlook *o, enum limits_id limit, uint64_t most, uint64_t wants, uint64_t least)
{
	if (wants > most && o->refusals_count < OUTLOOK_REFUSALS)
		o->refusals[o->refusals_count++] =
		    (struct outlook_refusal){ limit, most, wants, least > most };
}

/* What is kept is joined with what was evaluated, and counts as that. */
static void join_add(struct outlook *o, const struct ql_trace *t, const struct ql_peek *peek)
{
	uint64_t lines = t->plan && t->plan->told.n > 0 ? whole(t->plan->told.n) : 0;
	uint64_t more = outlook_times(lines, peek->steps - peek->steps_kept);
	uint64_t all = outlook_plus(peek->points_kept, more);
	o->points = all > o->points ? all : o->points;
	o->points_least = peek->points_kept > o->points_least ? peek->points_kept : o->points_least;
	o->memory = outlook_plus(o->memory, outlook_times(more, 16));
}

void outlook_make(struct outlook *o, const struct ql_trace *t, const struct estimate *e,
    const struct ql_peek *peek, const struct outlook_limits *limits)
{
	uint64_t values = 0, series = 0;
	int i = 0;
	bool kept = peek->steps_kept > 0;
	struct parts part = { 1, 1 };
	if (kept) {
		part.steps = (double)peek->steps_most / (double)peek->steps;
		part.samples = peek->part;
	}
	*o = (struct outlook){ .memory = QUERY_BYTES, .memory_least = QUERY_BYTES };
	for (const struct ql_trace_piece *p = t->pieces; p; p = p->next, i++) {
		const struct source_forecast *f = &e->asks[i].told;
		uint64_t shards = f->series_most < p->shards_count ? f->series_most : p->shards_count;
		struct held held = { 0 };
		if (t->plan)
			held_add(t->plan, i, f, shards, &held);
		piece_add(o, p, &e->asks[i], &held, part);
		values = outlook_plus(
		    values, outlook_times(outlook_times(f->series, p->steps), p->pipes));
		series = outlook_plus(series, f->series);
	}
	uint64_t samples = outlook_plus(o->all.memory_samples, o->all.file_samples);
	struct outlook_work w = { share(samples, peek->part), share(values, peek->part),
		peek->part > 0 ? series : 0 };
	o->seconds = outlook_seconds(&e->pace, w, &o->per_s);
	if (kept)
		join_add(o, t, peek);
	refuse(o, LIMITS_query_samples, limits->samples, o->points, o->points_least);
	if (peek->part <= 0)
		return; /* kept: it is there */
	refuse(o, LIMITS_query_memory, limits->memory, o->memory, o->memory_least);
	if (o->seconds > 0)
		refuse(o, LIMITS_query_timeout_ms, limits->timeout_ms, share(1000, o->seconds),
		    share(1000, o->seconds / FACTOR));
}
