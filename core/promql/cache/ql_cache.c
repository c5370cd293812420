#include "core/promql/cache/ql_cache.h"

#include "core/base/clock.h"
#include "core/base/metric.h"
#include "core/model/limits.h"
#include "core/promql/cache/ql_kept.h"
#include "core/promql/cache/ql_reach.h"
#include "core/promql/lang/ql_parse.h"
#include "core/promql/run/ql_exec_priv.h"

#include <string.h>

#define RANGES_MAX  2u
#define CELLS_MAX   512u /* stretches of time whose changes are looked at, of one tenant */
#define CELLS_LEAST 16u
#define CELL_MS     60000
#define KEPT_PART   4u          /* a result takes at most this part of the whole, */
#define KEPT_BYTES  (16u << 20) /* and so much: what it takes to free it is a part of a turn */

/*
 *   CREATED > EVALUATES > MEASURES > MAKES_ROOM > JOINS > ANSWERS > over
 *        \___________________________________________/
 *   EVALUATES again, from the beginning, when parts cannot be joined
 */
enum cached_state {
	CACHED_CREATED,
	CACHED_EVALUATES,
	CACHED_MEASURES,
	CACHED_MAKES_ROOM,
	CACHED_JOINS,
	CACHED_ANSWERS,
	CACHED_OVER
};
struct ql_cache {
	struct ql_front front;
	struct hoard *hoard;
};
struct steps { /* [from, to) of the grid */
	uint32_t from, to;
};
struct cached {
	struct ql q; /* as it is seen outside */
	struct ql_cache *cache;
	enum cached_state state;
	struct ql_opts opts; /* of its parts */
	struct ql_grid grid;
	struct ql_reach reach;
	uint64_t number; /* of now, at the start */
	void *key;
	size_t key_len;
	struct ql_kept *old; /* what was kept, and is used */
	struct steps missing[RANGES_MAX];
	unsigned missing_count, at; /* the part that is evaluated */
	struct ql *parts[RANGES_MAX];
	struct ql_join join;
	struct ql_kept *made;
	bool keep, canceled;
	size_t given; /* series of the answer */
};

/* From 0 on, before 1970, too. */
static int64_t modulo(int64_t t, int64_t by)
{
	int64_t m = t % by;
	return m < 0 ? m + by : m;
}

static struct cached *cached_of(struct ql *q)
{
	return CONTAINER_OF(q, struct cached, q);
}

static enum job_state cached_run(struct job *j);
static void part_done(void *arg, struct ql *part);
static void parts_free(struct cached *c);

/* ---- the query ---- */

static uint32_t owner_of(const struct cached *c)
{
	return c->opts.tenants_count ? c->opts.tenants[0] : c->opts.tenant;
}

/* What the value of a step depends on, beside the data. */
static void make_key(struct cached *c)
{
	const struct ql_opts *o = &c->parts[0]->opts; /* with what 0 stood for filled in */
	const bool range = c->reach.kind == QL_REACH_RANGE;
	const int64_t start_ms = o->whole_start_ms, end_ms = o->whole_end_ms;
	const int64_t head[] = { o->step_ms, modulo(start_ms, o->step_ms), o->lookback_ms,
		o->subquery_step_ms, range, range ? start_ms : 0, range ? end_ms : 0,
		start_ms == end_ms, /* step() is 0 */
		(int64_t)o->tenants_count, o->tenant };
	size_t tenants = o->tenants_count * sizeof(*o->tenants);
	uint8_t *p;
	c->key_len = sizeof(head) + sizeof(o->features) + tenants + c->q.text_len;
	p = c->key = arena_alloc(&c->q.arena, c->key_len);
	memcpy(p, head, sizeof(head));
	memcpy(p += sizeof(head), &o->features, sizeof(o->features));
	p += sizeof(o->features);
	if (tenants)
		memcpy(p, o->tenants, tenants);
	if (c->q.text_len)
		memcpy(p + tenants, c->q.text, c->q.text_len);
}

static void cached_end(struct cached *c)
{
	struct ql *q = &c->q;
	parts_free(c);
	ql_kept_drop(c->old);
	ql_kept_drop(c->made);
	arena_release(&q->arena);
	purse_give(q->purse, sizeof(*c));
	purse_end(&q->own);
	q->magic = 0;
	mem_free(c);
}

static struct cached *cached_make(
    struct ql_cache *cache, const char *text, size_t len, const struct ql_opts *o)
{
	struct cached *c = mem_zalloc(sizeof(*c));
	struct ql *q = &c->q;
	const struct limits *l = o->limits ? o->limits : limits_here();
	uint64_t bytes = o->max_bytes ? o->max_bytes : l->query_memory;

	c->cache = cache;
	q->magic = QL_MAGIC;
	q->opts = *o;
	purse_init(&q->own, bytes, NULL);
	purse_init(&q->samples, o->max_samples ? o->max_samples : l->query_samples, NULL);
	q->purse = o->purse ? o->purse : &q->own;
	purse_force(q->purse, sizeof(*c));
	arena_init(&q->arena, QL_FIRST_BLOCK);
	arena_purse(&q->arena, q->purse);
	q->text = arena_strndup(&q->arena, text, len);
	q->text_len = len;
	q->run = (struct ql_run){
		.arena = &q->arena,
		.budget = { .bytes = q->purse, .samples = &q->samples },
		.eb = &q->eb,
		.opts = &q->opts,
	};
	c->opts = *o;
	c->opts.front = NULL;
	c->opts.part = true;
	c->opts.whole_start_ms = o->start_ms;
	c->opts.whole_end_ms = o->end_ms;
	c->opts.purse = q->purse;
	c->opts.done = part_done;
	c->opts.arg = c;
	c->grid = (struct ql_grid){ .start_ms = o->start_ms,
		.step_ms = o->step_ms,
		.n = (uint32_t)((o->end_ms - o->start_ms) / o->step_ms) + 1 };
	return c;
}

/* ---- parts ---- */

static enum err part_create(struct cached *c, struct steps s, struct errbuf *eb)
{
	struct ql_opts o = c->opts;
	struct ql **out = &c->parts[c->at];
	o.start_ms = ql_grid_t(&c->grid, s.from);
	o.end_ms = ql_grid_t(&c->grid, s.to - 1);
	CHECK(!*out);
	return ql_create(c->q.text, c->q.text_len, &o, out, eb);
}

static void parts_free(struct cached *c)
{
	for (unsigned i = 0; i < RANGES_MAX; i++) {
		ql_free(c->parts[i]);
		c->parts[i] = NULL;
	}
}

static struct steps all_steps(const struct cached *c)
{
	return (struct steps){ 0, c->grid.n };
}

/* ---- the end ---- */

static void tell_done(struct loop_deferred *d)
{
	struct ql *q = CONTAINER_OF(d, struct ql, defer);
	uint64_t took_ns = clock_real_mono_ns() - q->t_start_ns;
	q->state = QL_FINISHED;
	metric_add(M_QUERIES, 1);
	metric_observe_ns(M_QUERY_SECONDS, took_ns);
	q->stats.total_s = (double)took_ns / 1e9;
	q->opts.done(q->opts.arg, q);
}

static void finish(struct cached *c, enum err e)
{
	struct ql *q = &c->q;
	CHECK(q->state == QL_RUNNING);
	c->state = CACHED_OVER;
	q->state = QL_WINDING;
	q->err = e;
	q->defer.fn = tell_done;
	loop_defer(q->loop, &q->defer);
}

static void finish_canceled(struct cached *c)
{
	errbuf_init(&c->q.eb);
	finish(c, errbuf_set(&c->q.eb, ERR_CANCELED, "query was canceled in expression evaluation"));
}

/* ---- what is kept, and still so ---- */

static bool changed(const struct cached *c, const struct ql_kept *k, int64_t from_ms, int64_t to_ms)
{
	const struct ql_opts *o = &c->opts;
	const uint32_t *tenants = o->tenants_count ? o->tenants : &o->tenant;
	size_t count = o->tenants_count ? o->tenants_count : 1;
	return o->source->ops->changes(o->source, tenants, count, from_ms, to_ms, c->reach.order) >
	    k->number;
}

static void mark(uint64_t *bits, const struct steps *s)
{
	for (uint32_t i = s->from; i < s->to; i++)
		ql_bit_on(bits, i);
}

/* The steps from a on whose times reach into [from_ms, to_ms]: those before b. */
static struct steps steps_that_read(
    const struct cached *c, int64_t from_ms, int64_t to_ms, struct steps within)
{
	const struct ql_grid *g = &c->grid;
	int64_t first = from_ms - c->reach.ahead_ms - g->start_ms;
	int64_t last = to_ms + c->reach.back_ms - g->start_ms;
	int64_t from = first > 0 ? (first + g->step_ms - 1) / g->step_ms : 0;
	int64_t to = last >= 0 ? last / g->step_ms + 1 : 0;
	if (from < within.from)
		from = within.from;
	if (to > within.to)
		to = within.to;
	return from < to ? (struct steps){ (uint32_t)from, (uint32_t)to } : (struct steps){ 0, 0 };
}

/* Time is looked at in cells: whole minutes, as many as one turn may take. */
static void mark_changed(
    const struct cached *c, const struct ql_kept *k, struct steps have, uint64_t *missing)
{
	int64_t from = ql_grid_t(&c->grid, have.from) - c->reach.back_ms;
	int64_t to = ql_grid_t(&c->grid, have.to - 1) + c->reach.ahead_ms;
	size_t tenants = c->opts.tenants_count ? c->opts.tenants_count : 1;
	int64_t cells =
	    tenants < CELLS_MAX / CELLS_LEAST ? (int64_t)(CELLS_MAX / tenants) : CELLS_LEAST;
	if (!c->reach.any || !changed(c, k, from, to))
		return;
	int64_t width = ((to - from) / cells / CELL_MS + 1) * CELL_MS;
	for (int64_t at = from - modulo(from, width); at <= to; at += width) {
		int64_t a = at > from ? at : from, b = at + width - 1 < to ? at + width - 1 : to;
		struct steps s = steps_that_read(c, a, b, have);
		if (s.to > s.from && changed(c, k, a, b))
			mark(missing, &s);
	}
}

/* Which steps of the query a kept result has. */
static struct steps steps_of(const struct cached *c, const struct ql_kept *k)
{
	int64_t from = (k->grid.start_ms - c->grid.start_ms) / c->grid.step_ms;
	int64_t to = from + k->grid.n;
	if (from < 0)
		from = 0;
	if (to > c->grid.n)
		to = c->grid.n;
	return from < to ? (struct steps){ (uint32_t)from, (uint32_t)to } : (struct steps){ 0, 0 };
}

/*
 * Missing steps as one stretch, or as two with the longest stretch of kept ones between them, when
 * that is worth it.
 */
static void ranges_make(struct cached *c, const uint64_t *missing)
{
	struct steps all = { 0, 0 }, gap = { 0, 0 };
	bool any = false;
	for (uint32_t i = 0; i < c->grid.n; i++) {
		if (!ql_bit(missing, i))
			continue;
		if (!any)
			all.from = i;
		else if (i - all.to > gap.to - gap.from)
			gap = (struct steps){ all.to, i };
		any = true;
		all.to = i + 1;
	}
	c->missing_count = 0;
	if (!any)
		return;
	if ((gap.to - gap.from) * (uint64_t)4 < all.to - all.from) {
		c->missing[c->missing_count++] = all;
		return;
	}
	c->missing[c->missing_count++] = (struct steps){ all.from, gap.from };
	c->missing[c->missing_count++] = (struct steps){ gap.to, all.to };
}

static uint32_t missing_steps(const struct cached *c)
{
	uint32_t n = 0;
	for (unsigned i = 0; i < c->missing_count; i++)
		n += c->missing[i].to - c->missing[i].from;
	return n;
}

static bool is_missing(const struct cached *c, int64_t t_ms)
{
	int64_t i = (t_ms - c->grid.start_ms) / c->grid.step_ms;
	if (t_ms < c->grid.start_ms || i >= c->grid.n)
		return true;
	for (unsigned k = 0; k < c->missing_count; k++)
		if (i >= c->missing[k].from && i < c->missing[k].to)
			return true;
	return false;
}

/* (2) of the header. */
static bool notes_hold(const struct cached *c, const struct ql_kept *k)
{
	bool whole =
	    !c->missing_count && k->grid.start_ms == c->grid.start_ms && k->grid.n == c->grid.n;
	if (whole || (!k->notes_count[0] && !k->notes_count[1]))
		return true;
	return k->notes_anywhere && k->last_ms != INT64_MIN && !is_missing(c, k->last_ms);
}

/* c->missing: all of it where nothing kept is of use. */
static struct ql_kept *look_up(struct cached *c)
{
	struct ql_kept *k = ql_kept_of(hoard_get(c->cache->hoard, owner_of(c), c->key, c->key_len));
	struct steps have = k ? steps_of(c, k) : (struct steps){ 0, 0 };
	c->missing[0] = all_steps(c);
	c->missing_count = 1;
	if (have.from < have.to &&
	    !(c->reach.fixed && changed(c, k, c->reach.fixed_min_ms, c->reach.fixed_max_ms))) {
		uint64_t *missing = mem_zalloc(ql_words(c->grid.n) * sizeof(*missing));
		mark(missing, &(struct steps){ 0, have.from });
		mark(missing, &(struct steps){ have.to, c->grid.n });
		mark_changed(c, k, have, missing);
		ranges_make(c, missing);
		mem_free(missing);
		bool range = c->reach.kind == QL_REACH_RANGE;
		if ((c->missing_count && range) || !notes_hold(c, k) ||
		    missing_steps(c) > c->grid.n - c->grid.n / 4)
			have.to = have.from;
	} else {
		have.to = have.from;
	}
	if (have.from < have.to)
		return k;
	ql_kept_drop(k);
	c->missing[0] = all_steps(c);
	c->missing_count = 1;
	return NULL;
}

/* ---- the answer ---- */

/* Points count as those of an evaluated result; they are nobody's from now on. */
static enum err answer_counts(struct cached *c)
{
	struct ql *q = &c->q;
	enum err e = ql_charge(&q->run.budget, q->value.points, &q->eb);
	ql_uncharge(&q->run.budget, q->value.points);
	ql_budget_close(&q->run.budget);
	return e;
}

static void answer_notes(struct cached *c, struct ql_note *const notes[2], const size_t count[2])
{
	for (unsigned i = 0; i < 2; i++) {
		c->q.notes[i] = notes[i];
		c->q.notes_count[i] = count[i];
	}
}

static void answer_kept(struct cached *c, const struct ql_kept *k)
{
	struct ql *q = &c->q;
	q->value = (struct ql_value){ .type = QL_MATRIX,
		.series = k->series,
		.series_count = k->series_count,
		.points = k->points };
	answer_notes(c, k->notes, k->notes_count);
	finish(c, answer_counts(c));
}

/* As it was evaluated, whole. */
static void answer_part(struct cached *c)
{
	const struct ql *part = c->parts[0];
	c->q.value = part->value;
	answer_notes(c, part->notes, part->notes_count);
	finish(c, ERR_OK);
}

/* A part of what is kept, where it stands. */
static void give_series(struct cached *c, const struct ql_series *s)
{
	struct ql_value *v = &c->q.value;
	uint32_t lo = ql_kept_from(s, c->grid.start_ms);
	uint32_t hi = ql_kept_from(s, ql_grid_t(&c->grid, c->grid.n - 1) + 1);
	if (lo == hi)
		return;
	struct ql_series *out = &v->series[v->series_count++];
	*out = *s;
	out->count = hi - lo;
	v->points += out->count;
	out->t_ms += lo;
	out->v += lo;
	bool any = false;
	for (uint32_t i = lo; s->h && i < hi && !any; i++)
		any = s->h[i] != NULL;
	out->h = any ? s->h + lo : NULL;
}

static enum ql_did answer_cut(struct cached *c)
{
	struct ql *q = &c->q;
	const struct ql_kept *k = c->old;
	if (!q->value.series) {
		uint64_t bytes = (k->series_count + 1) * sizeof(*q->value.series);
		if ((q->run.err = ql_room(&q->run.budget, bytes, &q->eb)))
			return QL_FAILED;
		q->value = (struct ql_value){ .type = QL_MATRIX,
			.series =
			    arena_array(&q->arena, k->series_count + 1, sizeof(*q->value.series)) };
	}
	while (c->given < k->series_count) {
		give_series(c, &k->series[c->given++]);
		if (ql_tick(&q->run, 32))
			return QL_AGAIN;
	}
	answer_notes(c, k->notes, k->notes_count);
	finish(c, answer_counts(c));
	return QL_DONE;
}

/* ---- starting ---- */

static void count_hit(const struct cached *c)
{
	uint32_t missing = missing_steps(c);
	metric_add(!missing ? M_QUERY_CACHE_HITS
	        : c->old    ? M_QUERY_CACHE_PARTS
	                    : M_QUERY_CACHE_MISSES,
	    1);
	metric_add(M_QUERY_CACHE_STEPS_KEPT, c->grid.n - missing);
	metric_add(M_QUERY_CACHE_STEPS_EVALUATED, missing);
}

static void part_start(struct cached *c, struct ql *part)
{
	uint64_t took_ms = (clock_real_mono_ns() - c->q.t_start_ns) / 1000000;
	int64_t left = part->opts.timeout_ms - (int64_t)took_ms;
	part->opts.timeout_ms = left > 1 ? left : 1;
	ql_start(part);
}

static void run_job(struct cached *c, enum cached_state state)
{
	struct ql *q = &c->q;
	c->state = state;
	job_init(&q->job, JOB_QUERY, cached_run);
	job_group(&q->job, q->purse);
	q->job.what = q->text;
	q->job.what_len = q->text_len;
	job_start(q->loop, &q->job);
}

/* The next stretch of missing steps; false: it failed. */
static bool part_next(struct cached *c)
{
	struct errbuf eb;
	enum err e = ERR_OK;
	errbuf_init(&eb);
	c->state = CACHED_EVALUATES;
	if (!c->parts[c->at])
		e = part_create(c, c->missing[c->at], &eb);
	if (e) {
		c->q.eb = eb;
		finish(c, e);
		return false;
	}
	part_start(c, c->parts[c->at]);
	return true;
}

static void number_take(struct cached *c)
{
	const struct ql_opts *o = &c->opts;
	make_key(c);
	(void)o->source->ops->changes(o->source, o->tenants_count ? o->tenants : &o->tenant,
	    o->tenants_count ? o->tenants_count : 1, 0, -1, false);
	c->number = o->source->ops->changes_now(o->source);
}

/*
 * An empty range says who will be asked for; the number of now comes before what is kept is looked
 * at (source.h).
 */
static void cached_start(struct ql *q)
{
	struct cached *c = cached_of(q);
	if (c->reach.kind == QL_REACH_NONE) {
		c->missing[0] = all_steps(c);
		c->missing_count = 1;
		part_next(c);
		return;
	}
	number_take(c);
	c->old = look_up(c);
	count_hit(c);
	q->stats.steps = c->grid.n;
	q->stats.steps_kept = c->grid.n - missing_steps(c);
	if (c->old) /* what was planned is all of it */
		parts_free(c);
	if (c->missing_count)
		part_next(c);
	else if (c->old->grid.n == c->grid.n)
		answer_kept(c, c->old);
	else
		run_job(c, CACHED_ANSWERS);
}

/* ---- from the parts on ---- */

#define NOTE_ANYWHERE "PromQL info: metric might not be a counter, name does not end in "

/* Do they hold wherever there is a value? */
static bool notes_anywhere(const struct cached *c, const struct ql *part)
{
	if (part->notes_count[0] || (part->notes_count[1] && !c->reach.strict))
		return false;
	for (size_t i = 0; i < part->notes_count[1]; i++)
		if (strncmp(part->notes[1][i].text, NOTE_ANYWHERE, sizeof(NOTE_ANYWHERE) - 1) != 0)
			return false;
	return true;
}

static bool stats_add(struct cached *c, const struct ql *part)
{
	struct ql_stats *s = &c->q.stats;
	s->samples_total += part->stats.samples_total;
	s->samples_read += part->stats.samples_read;
	s->series += part->stats.series;
	s->parse_s += part->stats.parse_s;
	s->prepare_s += part->stats.prepare_s;
	s->eval_s += part->stats.eval_s;
	s->sort_s += part->stats.sort_s;
	s->queue_s += part->stats.queue_s;
	if (part->stats.samples_peak > s->samples_peak)
		s->samples_peak = part->stats.samples_peak;
	return part->run.warnings.count == 0;
}

/* Several parts whose notes say something of all their steps: they are evaluated as one. */
static void evaluate_whole(struct cached *c)
{
	parts_free(c);
	ql_kept_drop(c->old);
	c->old = NULL;
	c->missing[0] = all_steps(c);
	c->missing_count = 1;
	c->at = 0;
	c->q.stats.steps_kept = 0;
	part_next(c);
}

static void join_make(struct cached *c)
{
	const struct ql_kept *k = c->old;
	uint32_t pos = 0;
	ql_join_init(&c->join, &c->q.run, c->grid);
	for (unsigned i = 0; i <= c->missing_count; i++) {
		uint32_t from = i < c->missing_count ? c->missing[i].from : c->grid.n;
		if (from > pos)
			ql_join_add(&c->join, k->series, k->series_count, ql_grid_t(&c->grid, pos),
			    ql_grid_t(&c->grid, from - 1));
		if (i == c->missing_count)
			break;
		const struct ql_value *v = &c->parts[i]->value;
		ql_join_add(&c->join, v->series, v->series_count, INT64_MIN, INT64_MAX);
		pos = c->missing[i].to;
	}
}

static void part_done(void *arg, struct ql *part)
{
	struct cached *c = arg;
	const char *text;
	enum err e = ql_err(part, &text);
	if (e) {
		errbuf_init(&c->q.eb);
		finish(c, errbuf_set(&c->q.eb, e, "%s", text));
		return;
	}
	if (c->canceled) {
		finish_canceled(c);
		return;
	}
	c->at++;
	if (c->at < c->missing_count) {
		part_next(c);
		return;
	}
	bool keep = c->reach.kind != QL_REACH_NONE, anywhere = true;
	for (unsigned i = 0; i < c->missing_count; i++) {
		keep &= stats_add(c, c->parts[i]);
		anywhere &= notes_anywhere(c, c->parts[i]);
	}
	bool whole = c->missing_count == 1 && !c->old;
	if (!whole && !anywhere) {
		evaluate_whole(c);
		return;
	}
	c->keep = keep;
	if (whole && !keep) {
		answer_part(c);
		return;
	}
	join_make(c);
	run_job(c, CACHED_MEASURES);
}

/* How much it takes: kept, or the query's own. */
static enum ql_did make_room(struct cached *c)
{
	struct ql *q = &c->q;
	struct hoard *h = c->cache->hoard;
	uint64_t bytes = c->join.bytes + c->grid.n * sizeof(int64_t) + c->key_len + 4096;
	bool whole = c->missing_count == 1 && !c->old;
	enum hoard_got got = c->keep && bytes <= KEPT_BYTES && bytes <= hoard_max(h) / KEPT_PART
	    ? HOARD_AGAIN
	    : HOARD_NO_ROOM;
	while (got == HOARD_AGAIN) {
		unsigned gone;
		got = hoard_room(h, owner_of(c), bytes, &gone);
		metric_add(M_QUERY_CACHE_GONE, gone);
		if (got == HOARD_AGAIN && ql_tick(&q->run, QL_TICK))
			return QL_AGAIN;
	}
	c->keep = got == HOARD_HAS_ROOM;
	if (!c->keep && whole) {
		answer_part(c);
		return QL_DONE;
	}
	if (!c->keep && (q->run.err = ql_room(&q->run.budget, bytes, &q->eb)))
		return QL_FAILED;
	ql_join_begin(&c->join, c->keep ? hoard_purse(h) : q->purse);
	c->made = c->join.out;
	c->state = CACHED_JOINS;
	return QL_DONE;
}

static void made_keep(struct cached *c, struct ql_kept *k)
{
	void *key = arena_dup(&k->arena, c->key, c->key_len);
	k->number = c->number;
	k->item.owner = owner_of(c);
	k->item.key = key;
	k->item.key_len = c->key_len;
	k->item.bytes = arena_used(&k->arena) + sizeof(*k);
	hoard_put(c->cache->hoard, &k->item);
}

static void join_done(struct cached *c)
{
	struct ql_kept *k = c->made;
	k->notes_anywhere = true;
	for (unsigned info = 0; info < 2; info++) {
		if (c->old)
			ql_kept_note(k, info, c->old->notes[info], c->old->notes_count[info]);
		for (unsigned i = 0; i < c->missing_count; i++)
			ql_kept_note(
			    k, info, c->parts[i]->notes[info], c->parts[i]->notes_count[info]);
	}
	for (unsigned i = 0; i < c->missing_count; i++)
		k->notes_anywhere &= notes_anywhere(c, c->parts[i]);
	if (c->keep)
		made_keep(c, k);
	parts_free(c);
	ql_kept_drop(c->old);
	c->old = NULL;
	answer_kept(c, k);
}

static enum ql_did run_state(struct cached *c)
{
	enum ql_did did = QL_DONE;
	switch (c->state) {
	case CACHED_MEASURES:
		did = ql_join_measure(&c->join);
		if (!did)
			c->state = CACHED_MAKES_ROOM;
		break;
	case CACHED_MAKES_ROOM:
		did = make_room(c);
		break;
	case CACHED_JOINS:
		did = ql_join_run(&c->join);
		if (!did)
			join_done(c);
		break;
	case CACHED_ANSWERS:
		did = answer_cut(c);
		break;
	case CACHED_CREATED:
	case CACHED_EVALUATES:
	case CACHED_OVER:
		break;
	}
	return did;
}

static enum job_state cached_run(struct job *j)
{
	struct cached *c = cached_of(CONTAINER_OF(j, struct ql, job));
	CHECK(c->q.magic == QL_MAGIC);
	while (c->state != CACHED_OVER) {
		if (c->canceled) {
			finish_canceled(c);
			break;
		}
		enum ql_did did = run_state(c);
		if (did == QL_AGAIN)
			return JOB_YIELD;
		if (did == QL_FAILED)
			finish(c, c->q.run.err);
	}
	return JOB_DONE;
}

/* ---- as a query ---- */

static void cached_cancel(struct ql *q)
{
	struct cached *c = cached_of(q);
	if (q->state != QL_RUNNING || c->canceled)
		return;
	c->canceled = true;
	if (c->state == CACHED_EVALUATES)
		ql_cancel(c->parts[c->at]);
}

static void cached_free(struct ql *q)
{
	cached_end(cached_of(q));
}

/* Missing steps, each stretch with what it reads before and behind them. */
static double part_to_read(const struct cached *c)
{
	double beside = (double)c->reach.back_ms + (double)c->reach.ahead_ms, sum = 0;
	double step = (double)c->grid.step_ms, whole = (c->grid.n - 1) * step + beside;
	for (unsigned i = 0; i < c->missing_count; i++)
		sum += (c->missing[i].to - c->missing[i].from - 1) * step + beside;
	return sum < whole ? sum / whole : 1;
}

/* By the share of its steps that are used: it is not looked into. */
static uint64_t points_kept(const struct ql_kept *k, uint64_t steps)
{
	double n = (double)k->points * (double)steps / (double)k->grid.n;
	return steps < k->grid.n ? (uint64_t)(n + 0.5) : k->points;
}

static struct ql_peek cached_peek(struct ql *q)
{
	struct cached *c = cached_of(q);
	struct ql_peek p = { .steps = c->grid.n, .part = 1, .steps_most = c->grid.n };
	p.err = ql_err(c->parts[0], &p.text);
	if (c->reach.kind == QL_REACH_NONE)
		return p;
	number_take(c);
	struct ql_kept *kept = look_up(c);
	if (kept) {
		p.steps_kept = c->grid.n - missing_steps(c);
		p.part = c->missing_count ? part_to_read(c) : 0;
		p.points_kept = points_kept(kept, p.steps_kept);
		p.steps_most = 0;
		for (unsigned i = 0; i < c->missing_count; i++) {
			uint32_t n = c->missing[i].to - c->missing[i].from;
			p.steps_most = n > p.steps_most ? n : p.steps_most;
		}
	}
	ql_kept_drop(kept);
	return p;
}

static const struct ql_front_ops cached_ops = { cached_start, cached_cancel, cached_free,
	cached_peek };

/* Does the plan read nothing but what the tree told of? */
static bool plan_reaches(const struct cached *c, const struct ql_plan *plan)
{
	const struct ql_reach *r = &c->reach;
	int64_t min_ms = c->grid.start_ms - r->back_ms;
	int64_t max_ms = ql_grid_t(&c->grid, c->grid.n - 1) + r->ahead_ms;
	for (const struct ql_pn *p = plan->pieces; p; p = p->next_piece) {
		int64_t from = p->spec->t_min_ms, to = p->spec->t_max_ms;
		if ((!r->any || from < min_ms || to > max_ms) &&
		    (!r->fixed || from < r->fixed_min_ms || to > r->fixed_max_ms))
			return false;
	}
	return true;
}

static enum err front_create(struct ql_front *f, const char *text, size_t len,
    const struct ql_opts *opts, struct ql **out, struct errbuf *eb)
{
	struct ql_cache *cache = CONTAINER_OF(f, struct ql_cache, front);
	const struct source_ops *s = opts->source->ops;
	if (!s->changes || ql_text_is_costly(text, len) || opts->end_ms < opts->start_ms) {
		struct ql_opts plain = *opts;
		plain.front = NULL;
		return ql_create(text, len, &plain, out, eb);
	}
	struct cached *c = cached_make(cache, text, len, opts);
	enum err e = part_create(c, all_steps(c), eb);
	if (e) {
		cached_end(c);
		return e;
	}
	const struct ql *part = c->parts[0];
	c->reach = ql_reach(part->root, part->opts.lookback_ms);
	if (part->err || !plan_reaches(c, &part->plan)) /* errors are told when it starts */
		c->reach.kind = QL_REACH_NONE;
	c->q.front = &cached_ops;
	*out = &c->q;
	return ERR_OK;
}

/* ---- the cache ---- */

struct ql_cache *ql_cache_create(uint64_t max_bytes)
{
	struct ql_cache *c = mem_zalloc(sizeof(*c));
	c->front.create = front_create;
	c->hoard = hoard_create(max_bytes);
	purse_show(hoard_purse(c->hoard), M_QUERY_CACHE_BYTES);
	return c;
}

void ql_cache_free(struct ql_cache *c)
{
	if (!c)
		return;
	hoard_free(c->hoard);
	mem_free(c);
}

struct ql_front *ql_cache_front(struct ql_cache *c)
{
	return &c->front;
}

uint64_t ql_cache_bytes(struct ql_cache *c)
{
	return purse_used(hoard_purse(c->hoard));
}
