#include "core/promql/run/ql_scan.h"

#include "core/account/ticket.h"
#include "core/base/clock.h"
#include "core/base/metric.h"
#include "core/promql/ql_trace.h"

#include <string.h>

#define SCAN_YIELD_SAMPLES 1024
#define SCAN_YIELD_SERIES  16
#define SCAN_TOUCH_SAMPLES 2048u /* between words to the ticket */
#define BATCH_FIRST_BLOCK  (16u << 10)

/* --- batches --- */

struct ql_batch *ql_scan_batch(struct ql_scan *s)
{
	const struct ql_piece_spec *spec = s->piece->spec;
	struct ql_batch *b = mem_zalloc(sizeof(*b));

	b->scan = s;
	arena_init(&b->arena, BATCH_FIRST_BLOCK);
	arena_purse(&b->arena, spec->bytes);
	ql_notes_init(&b->notes, &b->arena);
	b->pipes = arena_zalloc(&b->arena, spec->pipes_count * sizeof(*b->pipes));
	b->pipes_count = spec->pipes_count;
	for (const struct ql_pipe *p = spec->pipes; p; p = p->next) {
		ql_reducer_init(&b->pipes[p->index].reducer, &p->reduce, p->grid.n, &b->arena);
		ql_reducer_notes(&b->pipes[p->index].reducer, &b->notes);
		if (s->pipes)
			s->pipes[p->index].out = &b->pipes[p->index];
	}
	s->budget.points = 0;
	return b;
}

void ql_batch_free(struct ql_batch *b)
{
	if (!b)
		return;
	for (unsigned i = 0; i < b->pipes_count; i++)
		ql_reducer_release(&b->pipes[i].reducer);
	arena_release(&b->arena);
	mem_free(b);
}

static size_t pipe_bytes(const struct ql_batch_pipe *b, uint32_t n)
{
	size_t per = ((size_t)ql_words(n) + n) * 8 + sizeof(struct ql_col), sum = b->hist_bytes;

	for (uint32_t i = 0; i < b->vec.count; i++)
		sum += per + b->vec.cols[i].ls.len;
	for (size_t i = 0; i < b->raw_count; i++)
		sum += b->raw[i].count * 16 + b->raw[i].labels.len;
	return sum + ql_reducer_bytes(&b->reducer);
}

static size_t batch_bytes(const struct ql_batch *b, const struct ql_piece_spec *spec)
{
	size_t sum = sizeof(*b);

	for (const struct ql_pipe *p = spec->pipes; p; p = p->next)
		sum += pipe_bytes(&b->pipes[p->index], p->grid.n);
	return sum;
}

/* For who traces the query. */
static void scan_tell(struct ql_scan *s, const struct ql_batch *b)
{
	struct ql_trace_shard *t = &s->piece->spec->told[s->shard];

	t->series += b->series;
	t->samples += b->samples;
	t->home_bytes += batch_bytes(b, s->piece->spec);
}

/* Sends what there is; a credit must be home. */
static void scan_send(struct ql_scan *s, bool last)
{
	struct ql_batch *b = s->batch;
	unsigned slot = 0;

	b->last = last;
	b->over = last && s->state == SCAN_OVER;
	if (!b->over) {
		while (s->credits[slot].away)
			slot++;
		s->credits[slot].away = true;
		s->credits_home--;
	}
	b->slot = slot;
	b->points = s->budget.points;
	if (last && s->err) {
		b->err = s->err;
		b->err_text = arena_strndup(&b->arena, s->eb.text, strlen(s->eb.text));
	}
	if (s->loop != s->home)
		metric_add(M_QUERY_MOVED_BYTES, batch_bytes(b, s->piece->spec));
	if (UNLIKELY(s->piece->spec->told != NULL))
		scan_tell(s, b);
	s->batch = NULL;
	b->msg.fn = ql_piece_on_batch;
	loop_send(s->home, &b->msg);
}

/* Partial results are sent when all is read. */
static bool all_reduce(const struct ql_piece_spec *spec)
{
	for (const struct ql_pipe *p = spec->pipes; p; p = p->next)
		if (!p->reduce.kind)
			return false;
	return true;
}

static bool batch_full(const struct ql_scan *s)
{
	return s->batch && arena_used(&s->batch->arena) >= QL_BATCH_BYTES &&
	    !all_reduce(s->piece->spec);
}

/* --- the job --- */

/* The series may leave the source while its parts wait; its column is the cursor's. */
static void scan_hold(struct ql_scan *s)
{
	struct labels *ls = &s->item.labels;
	if (ls->len)
		ls->bytes = arena_dup(&s->batch->arena, ls->bytes, ls->len);
}

static void scan_wake(void *arg)
{
	struct ql_scan *s = arg;
	CHECK(s->magic == SCAN_MAGIC);
	job_wake(&s->job);
}

/* The function that all pipes have, if there is one. */
static const char *scan_hint(const struct ql_piece_spec *spec)
{
	const struct ql_pipe *first = spec->pipes;

	for (const struct ql_pipe *p = first; p; p = p->next)
		if (p->mode != QL_PIECE_RANGE || p->range.fn != first->range.fn)
			return NULL;
	return ql_functab[first->range.fn].name;
}

static void scan_ask(struct ql_scan *s)
{
	const struct ql_piece_spec *spec = s->piece->spec;
	const struct ql_range_spec *range = &spec->pipes->range; /* all have the same window */

	s->query = (struct source_query){
		.what = SOURCE_SERIES_SAMPLES,
		.tenants = spec->tenants_count ? spec->tenants : &spec->tenant,
		.tenants_count = spec->tenants_count ? spec->tenants_count : 1,
		.t_min_ms = spec->t_min_ms,
		.t_max_ms = spec->t_max_ms,
		.matchers = spec->matchers,
		.matchers_count = spec->matchers_count,
		.hint_step_ms = range->grid.step_ms,
		.hint_range_ms = range->range_ms,
		.hint_func = scan_hint(spec),
		.weigh = spec->told != NULL,
		.wake = scan_wake,
		.wake_arg = s,
	};
}

static enum err scan_open(struct ql_scan *s)
{
	const struct ql_piece_spec *spec = s->piece->spec;

	s->budget = (struct ql_budget){ .bytes = spec->bytes, .samples = spec->samples };
	s->state = SCAN_READ;
	arena_init(&s->made, SCAN_MADE_BLOCK);
	arena_purse(&s->made, spec->bytes);
	enum err e = ql_scan_pipes_init(s);
	if (e)
		return e;
	e = spec->source->ops->open(spec->source, s->shard, &s->query, &s->cursor);
	if (e)
		return errbuf_set(&s->eb, e, "expanding series: %s", err_text(e));
	return ERR_OK;
}

/* The ticket hears of samples now and then. The first word that they are many holds the scan. */
static void scan_touch(struct ql_scan *s, uint64_t samples)
{
	struct ticket *t = s->piece->spec->ticket;

	s->touched += samples + 1;
	if (!t || s->heavy_told || s->touched < SCAN_TOUCH_SAMPLES)
		return;
	uint64_t touched = s->touched;
	s->touched = 0;
	if (!ticket_touched(t, touched))
		return;
	s->heavy_told = s->heavy_away = s->held = true;
	s->heavy.fn = ql_piece_on_heavy;
	loop_send(s->home, &s->heavy);
}

/*
 * At the first series: as many values as the shard's series will have, for what is heavy is so at
 * once.
 */
static uint64_t scan_sure(struct ql_scan *s)
{
	if (s->estimated)
		return 0;
	s->estimated = true;
	const struct ql_piece_spec *spec = s->piece->spec;
	return s->cursor->est_series * spec->pipes->range.grid.n * spec->pipes_count;
}

static bool scan_should_yield(struct ql_scan *s)
{
	if (s->since_samples < SCAN_YIELD_SAMPLES && s->since_series < SCAN_YIELD_SERIES &&
	    s->since_work < QL_TICK_WORK)
		return false;
	s->since_samples = s->since_series = 0;
	s->since_work = 0;
	return job_should_yield();
}

/* What the source holds for this query, as far as it grew. */
static void scan_charge_cursor(struct ql_scan *s)
{
	uint64_t memory = s->cursor->memory;
	if (LIKELY(memory <= s->cursor_memory))
		return;
	s->err = ql_charge_heap(&s->budget, memory - s->cursor_memory, &s->eb);
	s->cursor_memory = s->err ? s->cursor_memory : memory;
}

/*
 * Reads until the slice is over, the source or a credit must be waited for, or all is read
 * (JOB_DONE).
 */
static enum job_state scan_read(struct ql_scan *s)
{
	for (;;) {
		if (!s->canceled && !s->err)
			s->err = ql_budget_look(&s->budget, &s->eb);
		if (s->canceled || s->err)
			return JOB_DONE;
		if (s->held)
			return JOB_WAIT; /* home says when it goes on */
		if (s->again) {          /* the item is good until the next one is asked for */
			s->err = ql_scan_value(s, &s->item);
			if (s->again)
				return JOB_YIELD;
			continue;
		}
		if (batch_full(s)) {
			if (!s->credits_home)
				return JOB_WAIT; /* the home loop sends a credit */
			scan_send(s, false);
		}
		enum source_state st = s->cursor->ops->next(s->cursor, &s->item);
		scan_charge_cursor(s);
		if (s->err)
			return JOB_DONE;
		switch (st) {
		case SOURCE_READY:
			s->times_id += !s->item.same_times;
			scan_touch(s, s->item.col.count + scan_sure(s));
			s->err = ql_scan_series(s, &s->item);
			if (s->again) {
				scan_hold(s);
				return JOB_YIELD;
			}
			break;
		case SOURCE_AGAIN:
			s->since_work = QL_TICK_WORK; /* so that the clock is looked at */
			break;
		case SOURCE_WAIT:
			s->waits_files = true;
			return JOB_WAIT; /* the source calls scan_wake */
		case SOURCE_END:
			return JOB_DONE;
		case SOURCE_ERROR:
			s->err = s->cursor->err ? s->cursor->err : ERR_IO;
			errbuf_set(&s->eb, s->err, "expanding series: %s",
			    s->cursor->eb.text[0] ? s->cursor->eb.text : err_text(s->err));
			return JOB_DONE;
		}
		if (scan_should_yield(s))
			return JOB_YIELD;
	}
}

/* Nothing more is read: what the last batch needs, then the insides go. */
static void scan_close(struct ql_scan *s)
{
	if (!s->batch)
		s->batch = ql_scan_batch(s);
	if (s->cursor) {
		for (unsigned i = 0; i < s->cursor->warnings_count; i++) {
			const char *w = s->cursor->warnings[i];
			s->batch->warnings[s->batch->warnings_count++] =
			    arena_strndup(&s->batch->arena, w, strlen(w));
		}
		if (UNLIKELY(s->piece->spec->told != NULL)) {
			s->piece->spec->told[s->shard].bytes = s->cursor_memory;
			s->piece->spec->told[s->shard].read = s->cursor->read;
		}
		s->cursor->ops->close(s->cursor);
		s->cursor = NULL;
		ql_uncharge_heap(&s->budget, s->cursor_memory);
		s->cursor_memory = 0;
	}
	ql_scan_tally(s);
	ql_scan_pipes_release(s);
	arena_release(&s->made);
	if (s->canceled && !s->err)
		s->err = ERR_CANCELED;
	uint64_t points = s->budget.points; /* the batch's, which goes home */
	ql_budget_close(&s->budget);
	s->budget.points = points;
	s->state = SCAN_FLUSH;
}

void ql_scan_over(struct loop_deferred *d)
{
	struct ql_scan *s = CONTAINER_OF(d, struct ql_scan, defer);
	if (s->batch) { /* the last one, which is the end, too */
		scan_send(s, true);
		return;
	}
	s->end.fn = ql_piece_on_end;
	loop_send(s->home, &s->end);
}

/* Nobody holds anything of it any more. */
static enum job_state scan_end(struct ql_scan *s)
{
	s->state = SCAN_OVER;
	loop_defer(s->loop, &s->defer);
	return JOB_DONE;
}

static enum job_state scan_run(struct job *j)
{
	struct ql_scan *s = CONTAINER_OF(j, struct ql_scan, job);
	enum job_state st;

	CHECK(s->magic == SCAN_MAGIC);
	for (;;) {
		switch (s->state) {
		case SCAN_OPEN:
			if (!s->canceled)
				s->err = scan_open(s);
			s->state = SCAN_READ;
			break;
		case SCAN_READ:
			st = scan_read(s);
			if (st != JOB_DONE)
				return st;
			scan_close(s);
			break;
		case SCAN_FLUSH:
			if (!s->credits_home)
				return JOB_WAIT; /* a credit comes back */
			if (s->credits_home == QL_PIECE_CREDITS && !s->heavy_away)
				return scan_end(s);
			scan_send(s, true);
			s->state = SCAN_HOME;
			break;
		case SCAN_HOME:
			if (s->credits_home < QL_PIECE_CREDITS || s->heavy_away)
				return JOB_WAIT; /* the rest of the credits, the word of home */
			return scan_end(s);
		case SCAN_OVER:
			return JOB_DONE;
		}
	}
}

/* The same, and how long it takes. */
static enum job_state scan_run_told(struct job *j)
{
	struct ql_scan *s = CONTAINER_OF(j, struct ql_scan, job);
	struct ql_trace_shard *t = &s->piece->spec->told[s->shard];
	uint64_t from = clock_real_mono_ns(), since = t->begin_ns ? t->end_ns : t->asked_ns;

	if (!t->begin_ns || s->yields)
		t->turn_ns += from - since;
	else if (s->waits_files)
		t->files_ns += from - since;
	else
		t->home_ns += from - since;
	s->waits_files = false;
	t->begin_ns = t->begin_ns ? t->begin_ns : from;
	enum job_state st = scan_run(j);
	t->end_ns = clock_real_mono_ns();
	t->busy_ns += t->end_ns - from;
	s->yields = st == JOB_YIELD;
	return st;
}

/* False: its shard has nothing for it. */
static bool scan_begin(struct ql_scan *s)
{
	struct source *src = s->piece->spec->source;
	const struct ticket *t = s->piece->spec->ticket;
	bool heavy = t && ticket_class(t) == TICKET_HEAVY;

	loop_check_here(s->loop);
	scan_ask(s);
	if (src->ops->none && src->ops->none(src, s->shard, &s->query)) {
		s->state = SCAN_OVER;
		return false;
	}
	job_init(&s->job, heavy ? JOB_QUERY_HEAVY : JOB_QUERY,
	    s->piece->spec->told ? scan_run_told : scan_run);
	job_group(&s->job, s->piece->spec->bytes); /* all of one query */
	if (UNLIKELY(s->piece->spec->told != NULL)) {
		s->piece->spec->told[s->shard].loop = loop_index(s->loop);
		s->piece->spec->told[s->shard].asked_ns = clock_real_mono_ns();
	}
	s->job.what = s->piece->spec->text;
	s->job.what_len = s->piece->spec->text_len;
	job_start(s->loop, &s->job);
	return true;
}

/* All scans of the loop. The word of those that are over already goes last. */
void ql_scan_start(struct mbox_msg *msg)
{
	struct ql_scan *s = CONTAINER_OF(msg, struct ql_scan, start), *over = NULL;
	unsigned empties = 0;

	for (; s; s = s->next_start) {
		if (scan_begin(s))
			continue;
		over = s;
		empties++;
	}
	if (!over)
		return;
	over->empties = empties;
	over->end.fn = ql_piece_on_end;
	loop_send(over->home, &over->end);
}

void ql_scan_credit(struct mbox_msg *msg)
{
	struct scan_credit *c = CONTAINER_OF(msg, struct scan_credit, msg);
	c->away = false;
	c->scan->credits_home++;
	job_wake(&c->scan->job);
}

void ql_scan_go_on(struct mbox_msg *msg)
{
	struct ql_scan *s = CONTAINER_OF(msg, struct ql_scan, heavy);
	s->held = s->heavy_away = false;
	job_set_class(&s->job, JOB_QUERY_HEAVY);
	job_wake(&s->job);
}

/* The scan may be over already: then only the message goes home. */
void ql_scan_cancel(struct mbox_msg *msg)
{
	struct ql_scan *s = CONTAINER_OF(msg, struct ql_scan, cancel);
	s->canceled = true;
	if (s->state != SCAN_OVER) {
		s->job.cancel = true;
		job_wake(&s->job);
	}
	s->cancel.fn = ql_piece_on_ack;
	loop_send(s->home, &s->cancel);
}
