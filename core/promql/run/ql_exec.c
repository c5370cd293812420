/*
 * ql_exec - a query from its text to its result.
 *
 *   CREATED --ql_start--> RUNNING --nodes done, or an error--> WINDING --pieces over--> DONE
 *
 * RUNNING is a job on the asking loop: it runs the nodes of the plan in order and sleeps while it
 * waits for a piece. Whatever ends the evaluation (result, error, deadline, cancel) leads to
 * WINDING,
 * where pieces that still run are cancelled and their last messages are awaited; then done() is
 * called at the end of a turn.
 */
#include "core/promql/run/ql_exec_priv.h"
#include "core/promql/run/ql_tracing.h"

#include "core/account/ticket.h"
#include "core/base/clock.h"
#include "core/base/metric.h"
#include "core/promql/run/ql_nodes.h"
#include "core/promql/run/ql_piece.h"
#include "core/promql/run/ql_sorter.h"
#include "core/promql/run/ql_tell.h"
#include "core/rt/job.h"

#include <string.h>

#define QL_LOOKBACK_MS      (5 * 60 * 1000)
#define QL_SUBQUERY_STEP_MS (60 * 1000)
#define QL_TIMEOUT_MS       (2 * 60 * 1000)
#define NOTES_PART          32 /* notes of a batch that are taken over between looks at the clock */

/* A piece, and its batches by shard, then by arrival: the order does not depend on the loops. */
struct reading {
	struct ql_piece piece;
	enum reading_phase {
		READ_TAKE,
		READ_ORDER,
		READ_NOTES,
		READ_OVER
	} phase;
	struct ql_batch **batch;
	uint32_t count, cap, pos;
	uint32_t noted; /* notes of the batch at pos */
	struct ql_sorter sorter;
};
/* What a node makes of them. */
struct gathered {
	enum gather_phase {
		GATHER_COUNT,
		GATHER_JOIN,
		GATHER_FINISH, /* groups become columns */
		GATHER_EQUAL
	} phase;
	uint32_t pos;
	uint64_t columns, raw; /* counted so far */
	struct ql_reducer *sum;
	bool may_collide;
};

/* --- making --- */

static void set_defaults(struct ql_opts *o)
{
	const struct limits *l = o->limits ? o->limits : limits_here();

	o->lookback_ms = o->lookback_ms ? o->lookback_ms : QL_LOOKBACK_MS;
	o->subquery_step_ms = o->subquery_step_ms ? o->subquery_step_ms : QL_SUBQUERY_STEP_MS;
	o->timeout_ms = o->timeout_ms ? o->timeout_ms : QL_TIMEOUT_MS;
	o->max_samples = o->max_samples ? o->max_samples : l->query_samples;
	o->max_bytes = o->max_bytes ? o->max_bytes : l->query_memory;
}

static enum err check_type(const struct ql *q, struct errbuf *eb)
{
	enum ql_type t = q->root->type;
	if (q->opts.step_ms > 0 && t != QL_VECTOR && t != QL_SCALAR)
		return errbuf_set(eb, ERR_BADDATA,
		    "invalid expression type \"%s\" for range query, must be Scalar or instant Vector",
		    ql_type_text(t));
	return ERR_OK;
}

/* Where a result that moves does not leave it behind. */
static enum err make_tally(struct ql *q)
{
	uint32_t n = q->plan.steps;
	enum err e = ql_room(&q->run.budget, 2 * (uint64_t)n * sizeof(uint64_t), &q->eb);

	if (e)
		return e;
	struct ql_tally *t = q->run.tally = arena_zalloc(&q->kept, sizeof(*t));
	t->n = n;
	t->used = arena_zalloc(&q->kept, n * sizeof(*t->used));
	t->read = arena_zalloc(&q->kept, n * sizeof(*t->read));
	return ERR_OK;
}

static void make_plan(struct ql *q)
{
	const struct ql_opts *o = &q->opts;

	q->plan = (struct ql_plan){
		.arena = &q->arena,
		.opts = o,
		.lookback_ms = o->lookback_ms,
		.subquery_step_ms = o->subquery_step_ms,
		.bytes = q->purse,
		.samples = &q->samples,
		.eb = &q->eb,
	};
	q->run = (struct ql_run){
		.arena = &q->arena,
		.budget = { .bytes = q->purse, .samples = &q->samples },
		.eb = &q->eb,
		.opts = o,
		.names = ql_names_drop(o->features.delayed_name_removal, false),
	};
	ql_notes_init(&q->run.notes, &q->arena);
	ql_tab_init(&q->run.warnings, &q->arena);
	q->err = ql_plan_make(&q->plan, q->root);
	if (!q->err && o->per_step)
		q->err = make_tally(q);
	if (!q->err)
		q->err = ql_budget_look(&q->run.budget, &q->eb);
	if (!q->err && q->opts.trace)
		ql_trace_plan(q->opts.trace, &q->plan);
	for (struct ql_pn *p = q->plan.pieces; p; p = p->next_piece) {
		struct reading *r = arena_zalloc(&q->arena, sizeof(*r));
		p->piece = &r->piece;
		ql_piece_init(p->piece, p->spec);
	}
}

static void query_end(struct ql *q)
{
	purse_give(q->purse, sizeof(*q));
	purse_end(&q->own);
	q->magic = 0;
	mem_free(q);
}

enum err ql_create(
    const char *text, size_t len, const struct ql_opts *opts, struct ql **out, struct errbuf *eb)
{
	if (opts->front && opts->step_ms > 0 && !opts->per_step)
		return opts->front->create(opts->front, text, len, opts, out, eb);
	struct ql *q = mem_zalloc(sizeof(*q));
	struct ql_parse_opts po = {
		.experimental_functions = opts->features.experimental_functions,
		.extended_selectors = opts->features.extended_selectors,
		.fill_modifiers = opts->features.fill_modifiers,
		.limits = opts->limits,
	};
	uint64_t t0 = clock_real_mono_ns();
	int64_t step = opts->step_ms > 0 ? opts->step_ms : 0;

	q->magic = QL_MAGIC;
	q->opts = *opts;
	set_defaults(&q->opts);
	if (!opts->part) {
		q->opts.whole_start_ms = opts->start_ms;
		q->opts.whole_end_ms = opts->end_ms;
	}
	purse_init(&q->own, q->opts.max_bytes, NULL);
	purse_init(&q->samples, q->opts.max_samples, NULL);
	q->purse = opts->purse ? opts->purse : &q->own;
	purse_force(q->purse, sizeof(*q));
	arena_init(&q->arena, QL_FIRST_BLOCK);
	arena_init(&q->kept, QL_FIRST_BLOCK);
	arena_purse(&q->arena, q->purse);
	arena_purse(&q->kept, q->purse);
	q->text = arena_strndup(&q->arena, text, len);
	q->text_len = len;
	enum err e = ql_parse(&q->arena, q->text, len, &po, &q->root, eb);
	if (!e)
		e = check_type(q, eb);
	if (!e)
		e = ql_ast_resolve(q->root, q->opts.whole_start_ms, q->opts.whole_end_ms, step, eb);
	if (e) {
		if (q->root)
			ql_ast_release(q->root);
		arena_release(&q->arena);
		query_end(q);
		return e;
	}
	q->stats.parse_s = (double)(clock_real_mono_ns() - t0) / 1e9;
	make_plan(q);
	*out = q;
	return ERR_OK;
}

/* --- the end --- */

/* All but a result that has moved. */
static void query_release(struct ql *q)
{
	struct ql_batch *b;

	if (q->released)
		return;
	q->released = true;
	ql_run_clean(&q->run);
	for (struct ql_pn *p = q->plan.pieces; p; p = p->next_piece)
		ql_piece_release(p->piece);
	while ((b = q->run.kept)) {
		q->run.kept = b->next;
		ql_batch_free(b);
	}
	ql_plan_release(&q->plan);
	ql_ast_release(q->root);
	arena_release(&q->arena);
}

static void query_done(struct loop_deferred *d)
{
	struct ql *q = CONTAINER_OF(d, struct ql, defer);

	CHECK(q->state == QL_WINDING);
	q->state = QL_FINISHED;
	loop_timer_cancel(q->loop, &q->timer);
	uint64_t took_ns = clock_real_mono_ns() - q->t_start_ns;
	if (!q->opts.part) {
		metric_add(M_QUERIES, 1);
		metric_observe_ns(M_QUERY_SECONDS, took_ns);
	}
	q->stats.total_s = (double)took_ns / 1e9;
	if (q->moved && !q->err)
		query_release(q);
	q->opts.done(q->opts.arg, q);
}

/* Everything has come home? Then done() at the end of the turn. */
static void query_try_end(struct ql *q)
{
	if (q->state != QL_WINDING || !q->job_over || q->deferred)
		return;
	for (struct ql_pn *p = q->plan.pieces; p; p = p->next_piece)
		if (!ql_piece_over(p->piece))
			return;
	q->deferred = true;
	loop_defer(q->loop, &q->defer);
}

static void query_drop(struct ql_piece *p)
{
	if (!ql_piece_all_here(p))
		ql_piece_cancel(p);
	ql_piece_drain(p);
}

static void query_wind(struct ql *q, enum err e)
{
	if (q->state != QL_RUNNING)
		return;
	q->state = QL_WINDING;
	q->err = e;
	if (q->grow == GROW_ASKED)
		ticket_worked_out(q->opts.ticket); /* its wake does not come any more */
	for (struct ql_pn *p = q->plan.pieces; p; p = p->next_piece) {
		query_drop(p->piece);
		ql_piece_go_on(p->piece);
	}
	if (!q->job_over)
		job_wake(&q->job);
}

static void query_stop(struct ql *q, enum err e, const char *text)
{
	if (q->state != QL_RUNNING)
		return;
	errbuf_init(&q->eb);
	query_wind(q, errbuf_set(&q->eb, e, "%s", text));
}

static void query_timeout(struct loop_timer *t)
{
	struct ql *q = CONTAINER_OF(t, struct ql, timer);
	query_stop(q, ERR_TIMEOUT, "query timed out in expression evaluation");
}

void ql_cancel(struct ql *q)
{
	CHECK(q->magic == QL_MAGIC);
	if (q->loop)
		loop_check_here(q->loop);
	if (q->front) {
		q->front->cancel(q);
		return;
	}
	query_stop(q, ERR_CANCELED, "query was canceled in expression evaluation");
}

/* --- pieces --- */

/* A query that turns out to be heavy waits for a place among the heavy ones. */
static void query_grown(void *arg);

static void query_grow(struct ql *q)
{
	if (q->state == QL_RUNNING && q->grow == GROW_SMALL) {
		bool now = ticket_grow(q->opts.ticket, query_grown, q);
		q->grow = now ? GROW_HEAVY : GROW_ASKED;
		if (now)
			job_set_class(&q->job, JOB_QUERY_HEAVY);
	}
	if (q->state == QL_RUNNING && q->grow == GROW_ASKED)
		return;
	for (struct ql_pn *p = q->plan.pieces; p; p = p->next_piece)
		ql_piece_go_on(p->piece);
}

static void query_grown(void *arg)
{
	struct ql *q = arg;

	CHECK(q->magic == QL_MAGIC && q->grow == GROW_ASKED);
	q->grow = GROW_SMALL;
	query_grow(q);
	job_wake(&q->job);
}

static void piece_heavy(struct ql_piece *p)
{
	query_grow(p->arg);
}

/* What the shard charged is this loop's from now on. */
static enum err batch_arrived(struct ql *q, const struct ql_batch *b)
{
	q->run.series += b->series;
	ql_budget_adopt(&q->run.budget, b->points);
	return ql_budget_look(&q->run.budget, &q->eb);
}

static void piece_arrived(struct ql_piece *p, struct ql_batch *b)
{
	struct ql *q = p->arg;
	enum err e = ERR_OK;

	CHECK(q->magic == QL_MAGIC);
	if (q->state == QL_RUNNING && b && !b->err)
		e = batch_arrived(q, b);
	if (e)
		query_wind(q, e);
	if (q->state == QL_RUNNING)
		job_wake(&q->job);
	else
		query_try_end(q);
}

static void piece_start(struct ql *q, struct ql_pn *pn)
{
	struct ql_piece *p = pn->piece;

	for (unsigned i = 0; i < pn->args_count; i++)
		pn->pipe->range.param[i] = pn->arg[i]->scalar;
	pn->spec->text = q->text;
	pn->spec->text_len = q->text_len;
	p->arrived = piece_arrived;
	p->heavy = piece_heavy;
	p->arg = q;
	ql_piece_start(p, q->loop);
}

static bool piece_ready(const struct ql_pn *pn)
{
	for (unsigned i = 0; i < pn->args_count; i++)
		if (pn->arg[i]->scalar.kind == QL_UNKNOWN)
			return false;
	return true;
}

/* Copied: the batch may go before they are told. */
static void keep_warnings(struct ql_run *x, const struct ql_batch *b)
{
	for (unsigned i = 0; i < b->warnings_count; i++) {
		const char *w = b->warnings[i];
		struct labels key = { (const uint8_t *)w, num_u32(strlen(w) + 1) };
		bool fresh;
		ql_tab_add(&x->warnings, key, label_hash(key), true, &fresh);
	}
}

/* A batch becomes part of the query: its parts are used when all are here. */
static enum err batch_adopt(struct ql *q, struct ql_batch *b)
{
	struct ql_run *x = &q->run;

	b->next = x->kept;
	x->kept = b;
	metric_add(M_QUERY_SAMPLES, b->samples);
	keep_warnings(x, b);
	if (b->err)
		return errbuf_set(&q->eb, b->err, "%s", b->err_text);
	return ERR_OK;
}

static struct reading *reading_of(const struct ql_pn *pn)
{
	return CONTAINER_OF(pn->lead->piece, struct reading, piece);
}

static void reading_add(struct ql_run *x, struct reading *r, struct ql_batch *b)
{
	if (r->count == r->cap) {
		uint32_t cap = r->cap ? r->cap * 2 : 64;
		struct ql_batch **n = arena_array(x->arena, cap, sizeof(*n));
		if (r->count)
			memcpy(n, r->batch, r->count * sizeof(*n));
		r->batch = n;
		r->cap = cap;
	}
	r->batch[r->count++] = b;
}

/* A shard's batches come in order, and the sort keeps it. */
static int cmp_batches(const void *arg, uint32_t a, uint32_t b)
{
	struct ql_batch *const *batch = arg;
	return (batch[a]->scan > batch[b]->scan) - (batch[a]->scan < batch[b]->scan);
}

static struct ql_batch *reading_batch(const struct reading *r, uint32_t pos)
{
	return r->batch[r->sorter.idx[pos]];
}

static enum ql_did reading_take(struct ql *q, struct reading *r)
{
	struct ql_batch *b;

	while ((b = ql_piece_take(&r->piece))) {
		if ((q->run.err = batch_adopt(q, b)))
			return QL_FAILED;
		reading_add(&q->run, r, b);
	}
	if (!ql_piece_all_here(&r->piece))
		return QL_WAIT;
	ql_sorter_init(&r->sorter, &q->arena, r->count, cmp_batches, r->batch);
	r->phase = READ_ORDER;
	return QL_DONE;
}

static enum ql_did reading_notes(struct ql_run *x, struct reading *r)
{
	for (; r->pos < r->count; r->pos++, r->noted = 0) {
		const struct ql_batch *b = reading_batch(r, r->pos);
		while (ql_notes_merge(&x->notes, &b->notes, &r->noted, NOTES_PART))
			if (ql_tick(x, QL_TICK))
				return QL_AGAIN;
		if (ql_tick(x, b->notes.tab.count ? QL_TICK : 0)) {
			r->pos++;
			r->noted = 0;
			return QL_AGAIN;
		}
	}
	r->phase = READ_OVER;
	return QL_DONE;
}

/* All batches of the piece, in order, with their notes; once for all its nodes. */
static enum ql_did reading_run(struct ql *q, struct reading *r)
{
	enum ql_did did = QL_DONE;

	while (!did && r->phase != READ_OVER) {
		switch (r->phase) {
		case READ_TAKE:
			did = reading_take(q, r);
			break;
		case READ_ORDER:
			if (!ql_sorter_run(&r->sorter, &q->run))
				return QL_AGAIN;
			r->phase = READ_NOTES;
			break;
		case READ_NOTES:
			did = reading_notes(&q->run, r);
			break;
		case READ_OVER:
			break;
		}
	}
	return did;
}

static void gather_enter(struct gathered *g, enum gather_phase phase)
{
	g->phase = phase;
	g->pos = 0;
}

static void batch_tally(struct ql_run *x, const struct ql_pn *pn, const struct ql_batch_pipe *b)
{
	const struct ql_reads *r = &pn->pipe->range.reads;

	if (pn->pipe->tally_n) {
		ql_tally_add(x->tally, &b->tally);
		return;
	}
	ql_tally_alike(x->tally, b->samples_used * (pn->scope.uses / x->tally->n));
	x->tally->read[r->one ? r->at : 0] += b->samples_read;
}

static void gather_stats(struct ql_run *x, const struct ql_pn *pn, const struct ql_batch_pipe *b)
{
	x->samples_used += b->samples_used * pn->scope.uses;
	x->samples_read += b->samples_read;
	x->hist_bytes += b->hist_bytes;
	if (UNLIKELY(x->tally != NULL))
		batch_tally(x, pn, b);
}

/* Statistics, and room for all columns and series: none moves while they are joined. */
static enum ql_did gather_count(struct ql_run *x, struct ql_pn *pn, struct gathered *g)
{
	const struct reading *r = reading_of(pn);

	while (g->pos < r->count) {
		const struct ql_batch_pipe *b = &r->batch[g->pos++]->pipes[pn->pipe->index];
		g->columns += b->vec.count;
		g->raw += b->raw_count;
		gather_stats(x, pn, b);
		if (ql_tick(x, x->tally ? x->tally->n : 0))
			return QL_AGAIN;
	}
	if (!ql_run_reserve(x, &pn->vec, num_u32(g->columns)) ||
	    (x->err = ql_room(&x->budget, g->raw * sizeof(*pn->raw), x->eb)))
		return QL_FAILED;
	if (g->raw)
		pn->raw = arena_array(x->arena, g->raw, sizeof(*pn->raw));
	gather_enter(g, GATHER_JOIN);
	return QL_DONE;
}

/* *more: again, with the same batch. */
static enum err batch_join(
    struct ql_run *x, struct ql_pn *pn, struct gathered *g, struct ql_batch_pipe *b, bool *more)
{
	*more = false;
	if (pn->pipe->reduce.kind) {
		if (!g->sum) {
			g->sum = &b->reducer;
			ql_reducer_notes(g->sum, &x->notes);
			return ERR_OK;
		}
		return ql_reducer_merge(g->sum, &b->reducer, more, &x->budget, x->eb);
	}
	g->may_collide |= b->may_collide;
	for (uint32_t i = 0; i < b->vec.count; i++)
		*ql_vec_add(x->arena, &pn->vec) = b->vec.cols[i];
	for (size_t i = 0; i < b->raw_count; i++)
		pn->raw[pn->raw_count++] = b->raw[i];
	return ERR_OK;
}

static enum ql_did gather_join(struct ql_run *x, struct ql_pn *pn, struct gathered *g)
{
	const struct reading *r = reading_of(pn);

	while (g->pos < r->count) {
		struct ql_batch_pipe *b = &reading_batch(r, g->pos)->pipes[pn->pipe->index];
		bool more;
		if ((x->err = batch_join(x, pn, g, b, &more)))
			return QL_FAILED;
		g->pos += !more;
		if (ql_tick(x, more ? QL_AGGR_PART : (uint64_t)b->vec.count * 16))
			return QL_AGAIN;
	}
	gather_enter(g, GATHER_FINISH);
	return QL_DONE;
}

static enum ql_did gather_finish(struct ql_run *x, struct ql_pn *pn, struct gathered *g)
{
	if (g->sum) {
		enum ql_did did = ql_reducer_finish(x, g->sum, &pn->vec);
		if (did)
			return did;
		g->may_collide |= ql_reducer_may_collide(g->sum);
	}
	gather_enter(g, GATHER_EQUAL);
	return QL_DONE;
}

static enum ql_did gather_run(struct ql_run *x, struct ql_pn *pn, struct gathered *g)
{
	enum ql_did did = QL_DONE;

	while (!did && g->phase != GATHER_EQUAL) {
		switch (g->phase) {
		case GATHER_COUNT:
			did = gather_count(x, pn, g);
			break;
		case GATHER_JOIN:
			did = gather_join(x, pn, g);
			break;
		case GATHER_FINISH:
			did = gather_finish(x, pn, g);
			break;
		case GATHER_EQUAL:
			break;
		}
	}
	return did;
}

static enum ql_did piece_run(struct ql *q, struct ql_pn *pn)
{
	struct reading *r = reading_of(pn);
	struct gathered *g = pn->state;

	if (!r->piece.started)
		piece_start(q, pn->lead);
	if (!g)
		g = pn->state = arena_zalloc(&q->arena, sizeof(*g));
	enum ql_did did = reading_run(q, r);
	if (!did)
		did = gather_run(&q->run, pn, g);
	if (did)
		return did;
	return g->may_collide ? ql_run_join_equal(&q->run, pn, ql_pipe_equal(pn->pipe)) : QL_DONE;
}

/* --- the job --- */

static void stats_per_step(struct ql *q)
{
	const struct ql_tally *t = q->run.tally;

	q->stats.per_step = t->n;
	q->stats.used_at = t->used;
	q->stats.read_at = t->read;
	q->stats.start_ms = q->opts.start_ms;
	q->stats.step_ms = q->opts.step_ms;
}

static void query_result_ready(struct ql *q)
{
	struct ql_run *x = &q->run;

	q->stats.samples_total = x->samples_used;
	q->stats.samples_read = x->samples_read;
	q->stats.samples_peak = x->budget.points_peak;
	q->stats.series = x->series;
	if (x->tally)
		stats_per_step(q);
	q->stats.eval_s = (double)(clock_real_mono_ns() - q->t_eval_ns) / 1e9;
	query_wind(q, ERR_OK);
}

/* Pieces whose parameters are known start before anything is evaluated. */
static void query_begin(struct ql *q)
{
	q->t_eval_ns = clock_real_mono_ns();
	q->stats.queue_s = (double)(q->t_eval_ns - q->t_start_ns) / 1e9;
	q->at = q->plan.first;
	if (q->opts.ticket && ticket_touched(q->opts.ticket, q->plan.points_sure))
		query_grow(q);
	for (struct ql_pn *p = q->plan.pieces; p; p = p->next_piece)
		if (piece_ready(p))
			piece_start(q, p);
}

static enum ql_did query_nodes(struct ql *q)
{
	while (q->at) {
		struct ql_pn *pn = q->at;
		enum ql_did did = pn->kind == PN_PIECE ? piece_run(q, pn) : ql_step_run(&q->run, pn);
		if (did)
			return did;
		q->at = pn->next;
		if (ql_tick(&q->run, QL_TICK / 32)) /* plans may have thousands of nodes */
			return QL_AGAIN;
	}
	enum ql_did did = ql_result_build(q);
	return did ? did : ql_result_notes(q);
}

static enum job_state query_run(struct job *j)
{
	struct ql *q = CONTAINER_OF(j, struct ql, job);
	enum ql_did did = QL_DONE;

	CHECK(q->magic == QL_MAGIC);
	if (q->state == QL_RUNNING && !q->err) {
		if (!q->t_eval_ns)
			query_begin(q);
		if (q->grow == GROW_ASKED)
			return JOB_WAIT; /* query_grown wakes it */
		q->run.err = ql_budget_look(&q->run.budget, &q->eb);
		did = q->run.err ? QL_FAILED : query_nodes(q);
		if (did == QL_AGAIN)
			return JOB_YIELD;
		if (did == QL_WAIT)
			return JOB_WAIT; /* a piece sends something */
		if (did == QL_DONE)
			query_result_ready(q);
	}
	if (q->state == QL_RUNNING)
		query_wind(q, q->err ? q->err : q->run.err ? q->run.err : ERR_BUG);
	q->job_over = true;
	query_try_end(q);
	return JOB_DONE;
}

void ql_start(struct ql *q)
{
	CHECK(q->magic == QL_MAGIC && q->state == QL_CREATED);
	q->loop = loop_here();
	CHECK(q->loop);
	q->state = QL_RUNNING;
	q->t_start_ns = clock_real_mono_ns();
	if (q->front) {
		q->front->start(q);
		return;
	}
	q->defer.fn = query_done;
	loop_timer_init(&q->timer, query_timeout);
	loop_timer_set(q->loop, &q->timer, (uint64_t)q->opts.timeout_ms);
	job_init(&q->job, JOB_QUERY, query_run);
	job_group(&q->job, q->purse);
	q->job.what = q->text;
	q->job.what_len = q->text_len;
	job_start(q->loop, &q->job);
}

void ql_free(struct ql *q)
{
	if (!q)
		return;
	CHECK(q->state == QL_CREATED || q->state == QL_FINISHED);
	if (q->front) {
		q->front->free(q);
		return;
	}
	query_release(q);
	arena_release(&q->kept);
	query_end(q);
}

enum err ql_err(const struct ql *q, const char **text)
{
	if (text)
		*text = q->err ? (q->eb.text[0] ? q->eb.text : err_text(q->err)) : "";
	return q->err;
}

const struct ql_value *ql_result(const struct ql *q)
{
	return &q->value;
}

const struct ql_note *ql_warnings(const struct ql *q, size_t *count)
{
	*count = q->notes_count[0];
	return q->notes[0];
}

const struct ql_note *ql_infos(const struct ql *q, size_t *count)
{
	*count = q->notes_count[1];
	return q->notes[1];
}

struct ql_peek ql_peek(struct ql *q)
{
	CHECK(q->state == QL_CREATED);
	if (q->front)
		return q->front->peek(q);
	struct ql_peek p = { .part = 1 };
	p.err = ql_err(q, &p.text);
	return p;
}

const struct ql_stats *ql_stats(const struct ql *q)
{
	return &q->stats;
}
