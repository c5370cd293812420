#include "storage/compact/plan.h"

#include <stdlib.h>

#include "core/base/arena.h"
#include "core/base/num.h"
#include "core/model/sample.h"

#define HOUR_MS INT64_C(3600000)

/* What a bucket is decided from. */
struct planning {
	const struct plan_limits *limits;
	const struct plan_clock *clock;
	struct plan_merge *out;
	unsigned level;
	int64_t start_ms, end_ms;      /* of the bucket */
	const struct plan_file **wide; /* overlap the bucket and reach out of it */
	size_t wide_count;
	const struct plan_file **ranks; /* inside, and wide, by rank */
	size_t ranks_count;
	uint64_t added_ns; /* of the youngest inside */
};

void plan_widths(struct plan_limits *l, int64_t retention_ms)
{
	static const int64_t hours[] = { 2, 12, 24, 48, 240 };
	int64_t most_ms = retention_ms / 10;
	l->widths_count = 0;
	for (size_t i = 0; i < COUNT_OF(hours); i++) {
		int64_t width_ms = hours[i] * HOUR_MS;
		if (i && width_ms > most_ms)
			break;
		/* One day is a step only where it is the last: two would not be worth a rewrite. */
		if (hours[i] == 24 && most_ms >= 48 * HOUR_MS)
			continue;
		l->widths_ms[l->widths_count++] = width_ms;
	}
}

int64_t plan_bucket(int64_t t_ms, int64_t width_ms)
{
	int64_t start_ms = t_ms / width_ms * width_ms;
	return start_ms > t_ms ? num_sat_sub(start_ms, width_ms) : start_ms;
}

int64_t plan_round(const struct plan_limits *l, int64_t closed_ms, const int64_t *ranges,
    size_t count, int64_t start_ms, int64_t *end_ms)
{
	for (unsigned i = l->widths_count; i-- > 1;) {
		int64_t from_ms = plan_bucket(start_ms, l->widths_ms[i]);
		*end_ms = num_sat_add(from_ms, l->widths_ms[i]);
		if (*end_ms > closed_ms || *end_ms - l->widths_ms[i] != from_ms)
			continue;
		size_t at = sample_place(ranges, count, from_ms);
		if (at + 1 < count && ranges[at + 1] < *end_ms)
			return from_ms;
	}
	*end_ms = start_ms + l->widths_ms[0];
	return start_ms;
}

static int by_start(const void *a, const void *b)
{
	const struct plan_file *x = a, *y = b;
	if (x->start_ms != y->start_ms)
		return x->start_ms < y->start_ms ? -1 : 1;
	return (x->rank > y->rank) - (x->rank < y->rank);
}

static int by_rank(const void *a, const void *b)
{
	const struct plan_file *x = *(const struct plan_file *const *)a,
	                       *y = *(const struct plan_file *const *)b;
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return (x->start_ms > y->start_ms) - (x->start_ms < y->start_ms);
}

static bool is_inside(const struct planning *p, const struct plan_file *f)
{
	return f->start_ms >= p->start_ms && f->end_ms <= p->end_ms;
}

/* It divides what is merged, see (1). */
static bool is_wall(const struct planning *p, const struct plan_file *f)
{
	return f->state != PLAN_FREE || !is_inside(p, f);
}

static bool is_behind(const struct planning *p)
{
	return p->clock->silent || p->end_ms <= p->clock->closed_ms;
}

static bool is_closed(const struct planning *p)
{
	const struct plan_clock *c = p->clock;
	if (c->silent)
		return true;
	if (!is_behind(p))
		return false;
	if (!p->added_ns || c->now_ns - p->added_ns >= c->quiet_ns)
		return true;
	uint64_t again_ns = p->added_ns + c->quiet_ns;
	if (!p->out->again_ns || again_ns < p->out->again_ns)
		p->out->again_ns = again_ns;
	return false;
}

static bool is_due(const struct planning *p, size_t count)
{
	if (p->clock->force && (!p->level || is_behind(p)))
		return true;
	return count >= (size_t)PLAN_MANY << p->level || is_closed(p);
}

static void take(struct planning *p, size_t from, size_t to)
{
	struct plan_merge *m = p->out;
	m->start_ms = INT64_MAX;
	m->end_ms = INT64_MIN;
	for (size_t i = from; i < to; i++) {
		const struct plan_file *f = p->ranks[i];
		m->refs[m->count++] = f->ref;
		m->size_bytes += f->size_bytes;
		m->start_ms = f->start_ms < m->start_ms ? f->start_ms : m->start_ms;
		m->end_ms = f->end_ms > m->end_ms ? f->end_ms : m->end_ms;
	}
}

/* Between two walls: [from, to). The longest newest part whose oldest the others outweigh. */
static bool part_merge(struct planning *p, size_t from, size_t to)
{
	const struct plan_limits *l = p->limits;
	uint64_t younger = 0;
	size_t best = to;
	for (size_t i = to; i > from && to - i < l->inputs_max; i--) {
		uint64_t bytes = p->ranks[i - 1]->size_bytes;
		if (younger + bytes > l->size_max && i < to)
			break;
		/* Ranges that lie beside each other are worth more: fewer files for good. */
		if (i < to && bytes / (p->level ? 2 : 1) <= younger)
			best = i - 1;
		younger += bytes;
	}
	if (best == to || !is_due(p, to - best))
		return false;
	take(p, best, to);
	return true;
}

/* Does a narrower bucket hold all of it? */
static bool is_narrower(const struct planning *p, const struct plan_file *f)
{
	if (!p->level)
		return false;
	int64_t width_ms = p->limits->widths_ms[p->level - 1];
	return f->end_ms <= num_sat_add(plan_bucket(f->start_ms, width_ms), width_ms);
}

/* What nothing joins is sealed alone, in the narrowest bucket that holds it. */
static bool part_alone(struct planning *p, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		const struct plan_file *f = p->ranks[i];
		if (!f->sealed && !is_narrower(p, f) && f->size_bytes <= p->limits->size_max &&
		    is_due(p, 1)) {
			take(p, i, i + 1);
			return true;
		}
	}
	return false;
}

/*
 * Of equal ranks (files of one round, in ranges beside each other) walls come first: what is below
 * one must not rise to its rank.
 */
static void walls_first(struct planning *p)
{
	for (size_t from = 0, to; from < p->ranks_count; from = to) {
		size_t walls = from;
		for (to = from; to < p->ranks_count && p->ranks[to]->rank == p->ranks[from]->rank;
		     to++) {
			const struct plan_file *f = p->ranks[to];
			if (!is_wall(p, f))
				continue;
			p->ranks[to] = p->ranks[walls];
			p->ranks[walls++] = f;
		}
	}
}

static bool each_part(struct planning *p, bool (*merge)(struct planning *p, size_t from, size_t to))
{
	for (size_t to = p->ranks_count; to > 0;) {
		size_t from = to;
		while (from > 0 && !is_wall(p, p->ranks[from - 1]))
			from--;
		if (from < to && merge(p, from, to))
			return true;
		to = from ? from - 1 : 0;
	}
	return false;
}

/* The files [from, to) begin in the bucket. */
static bool bucket(struct planning *p, const struct plan_file *files, size_t from, size_t to)
{
	size_t free_count = 0, soon = 0;
	bool rough = false; /* has what is not sealed */
	p->ranks_count = 0;
	p->added_ns = 0;
	for (size_t i = from; i < to; i++) {
		const struct plan_file *f = &files[i];
		if (!is_inside(p, f))
			continue; /* among the wide ones */
		p->ranks[p->ranks_count++] = f;
		free_count += f->state == PLAN_FREE;
		soon += f->state == PLAN_SOON;
		rough |= f->state == PLAN_FREE && !f->sealed;
		p->added_ns = f->added_ns > p->added_ns ? f->added_ns : p->added_ns;
	}
	if (soon) {
		p->out->soon |= is_due(p, free_count + soon);
		return false;
	}
	if (!free_count || (free_count == 1 && !rough))
		return false;
	for (size_t i = 0; i < p->wide_count; i++)
		p->ranks[p->ranks_count++] = p->wide[i];
	qsort(p->ranks, p->ranks_count, sizeof(*p->ranks), by_rank);
	walls_first(p);
	return each_part(p, part_merge) || each_part(p, part_alone);
}

/* Wide files that end before the bucket are none of its business, nor of later ones. */
static void wide_drop(struct planning *p)
{
	size_t kept = 0;
	for (size_t i = 0; i < p->wide_count; i++)
		if (p->wide[i]->end_ms > p->start_ms)
			p->wide[kept++] = p->wide[i];
	p->wide_count = kept;
}

/* All buckets of one width, oldest first. */
static bool level(struct planning *p, const struct plan_file *files, size_t count)
{
	int64_t width_ms = p->limits->widths_ms[p->level];
	p->wide_count = 0;
	for (size_t from = 0, to; from < count; from = to) {
		p->start_ms = plan_bucket(files[from].start_ms, width_ms);
		p->end_ms = num_sat_add(p->start_ms, width_ms);
		wide_drop(p);
		for (to = from; to < count && files[to].start_ms < p->end_ms; to++)
			if (!is_inside(p, &files[to]))
				p->wide[p->wide_count++] = &files[to];
		CHECK(to > from);
		if (bucket(p, files, from, to))
			return true;
	}
	return false;
}

/* What nothing joins is rid of what is dead in it, alone. */
static void worn(struct planning *p, const struct plan_file *files, size_t count)
{
	const struct plan_file *f = files;
	while (f < files + count &&
	    (!f->worn || f->state != PLAN_FREE || f->size_bytes > p->limits->size_max))
		f++;
	if (f == files + count)
		return;
	p->ranks[0] = f;
	take(p, 0, 1);
}

bool plan_next(const struct plan_limits *l, const struct plan_clock *clock, struct plan_file *files,
    size_t count, struct plan_merge *out)
{
	struct planning p = { .limits = l, .clock = clock, .out = out };
	CHECK(l->inputs_max >= 2 && l->inputs_max <= PLAN_INPUTS_MAX);
	CHECK(l->widths_count >= 1 && l->widths_count <= PLAN_LEVELS_MAX);
	out->count = 0;
	out->size_bytes = out->again_ns = 0;
	out->soon = false;
	if (!count)
		return false;
	qsort(files, count, sizeof(*files), by_start);
	p.wide = mem_array(NULL, count, sizeof(*p.wide));
	p.ranks = mem_array(NULL, count, sizeof(*p.ranks));
	for (unsigned i = l->widths_count; i > 0 && !out->count; i--) {
		p.level = i - 1;
		(void)level(&p, files, count);
	}
	if (!out->count)
		worn(&p, files, count);
	mem_free(p.wide);
	mem_free(p.ranks);
	return out->count > 0;
}
