/*
 * A round takes what is new in memory to files (storage/shard.h has the states):
 *
 *   FREEZING   slices: head_freeze; then the frozen runs, new exemplars and new definitions are
 *              listed
 *   WRITING    worker: one file per range, or per bucket that merges would make of several
 *              (plan_round); definitions into the last of them; each is synced and opened
 *   SWITCHING  FILES gets them, complete_to and next_id
 *   UNWRITTEN, UNSWITCHED   that has failed: frozen stays as it is and is tried again
 *   DROPPING   slices: frozen goes, the log is told, series idle for long leave memory; at once
 *              after FREEZING when nothing is new
 *
 * The cut is the number at the start; what came during FREEZING may be in the files too and is met
 * again at replay, where it changes nothing: rows come in log order and the newest wins.
 * Definitions are listed at the end of FREEZING, so that no series has samples in a file before its
 * definition is in one.
 */
#include "storage/back/round.h"

#include <stdlib.h>

#include "core/base/arena.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "core/base/num.h"
#include "storage/back/back.h"
#include "storage/back/feed.h"
#include "storage/compact/plan.h"
#include "storage/share.h"
#include "storage/space.h"
#include "storage/wal/walog.h"

/*
 * Work between two looks at the clock, some 50 us: series looked at, packs given back. A series
 * that leaves memory costs as much as EVICT_COST that are only looked at.
 */
#define ROUND_STEP 256u
#define EVICT_COST 16u
/* Late samples go to wider files than two hours where these may be so large. */
#define ROUND_WIDE_BYTES (16u << 20)
#define ROUND_BEHIND_MS  (3600 * INT64_C(1000))

/*
 * Where a round is while its work is done in slices. Moved by move() alone, never guessed from
 * counters that others move between two slices.
 */
enum round_phase {
	ROUND_FREEZE,         /* SHARD_FREEZING: slots below head.freeze_end */
	ROUND_LIST_RUNS,      /* ... the slots with a frozen run: fixed from here on */
	ROUND_LIST_EXEMPLARS, /* ... what no round has taken */
	ROUND_LIST_DEFS,      /* ... ids in [defs_from, round_next_id): fixed from here on */
	ROUND_LISTED,         /* ... all of it: the worker's turn */
};
struct round_run {
	uint32_t id;
	const struct series_run *run;
};
struct round_exemplars { /* of one series */
	uint32_t id;
	size_t len;
	const uint8_t *list;
};
struct round_out {
	struct cfile_writer *writer;
	struct cfile_meta meta;
	char name[CFILE_NAME_MAX];
	struct cfile_stats stats;
	struct cfile *cfile;
};
/* For the catalog, which knows two hours whatever a file holds. */
struct round_ids {
	int64_t start_ms;
	uint32_t *ids; /* with samples in it, ascending */
	size_t count, cap;
};
/* A range in a pass: its file and its ids, as their numbers + 1; 0: none yet. */
struct round_slot {
	size_t out, ids;
};
struct round_work {
	struct shard *shard;
	struct back *back;
	uint64_t rank, began_ns;
	struct shard_span span; /* of senders' rows, those that came while it froze too */
	enum round_phase phase;
	uint32_t listed; /* frozen slots or ids listed so far */
	struct round_run *runs;
	size_t runs_count, runs_cap;
	struct catalog_def *defs; /* go to the feed afterwards */
	size_t defs_count, defs_cap;
	struct round_exemplars *exemplars;
	size_t exemplars_count, exemplars_cap;
	struct arena lists;   /* of them */
	int64_t exemplars_ms; /* the newest of them: they stand in the file of its range */
	/* worker */
	struct work_task task;
	struct round_out *outs;
	size_t outs_count, outs_cap;
	struct round_ids *ids; /* one for a range with samples */
	size_t ids_count, ids_cap;
	/* what is late goes by buckets: those that end at or before closed_ms */
	struct plan_limits limits;
	int64_t closed_ms;
	int64_t *late; /* starts of ranges with samples before it */
	size_t late_count, late_cap;
	bool defs_written, exemplars_written;
	int64_t def_start_ms; /* range of the file that holds definitions when no other can */
	struct column col;
	enum err err;
	struct errbuf eb;
	struct back_switch sw;
};

/* ---- worker: files ---- */

int64_t round_range(int64_t t_ms)
{
	int64_t r = t_ms / SAMPLE_RANGE_MS * SAMPLE_RANGE_MS;
	return r > t_ms ? r - SAMPLE_RANGE_MS : r;
}

static int by_time(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static void late_sort(struct round_work *w)
{
	size_t kept = 0;
	if (w->late_count)
		qsort(w->late, w->late_count, sizeof(*w->late), by_time);
	for (size_t i = 0; i < w->late_count; i++)
		if (!kept || w->late[kept - 1] != w->late[i])
			w->late[kept++] = w->late[i];
	w->late_count = kept;
}

static void late_note(void *arg, int64_t t_ms)
{
	struct round_work *w = arg;
	size_t n = w->late_count;
	if (t_ms >= w->closed_ms ||
	    (n && t_ms >= w->late[n - 1] && t_ms - w->late[n - 1] < SAMPLE_RANGE_MS))
		return;
	if (n == w->late_cap) {
		late_sort(w);
		if (2 * w->late_count >= w->late_cap) {
			w->late_cap = w->late_cap ? 2 * w->late_cap : 256;
			w->late = mem_array(w->late, w->late_cap, sizeof(*w->late));
		}
	}
	w->late[w->late_count++] = round_range(t_ms);
}

/* The range's file: where it begins and ends. */
static int64_t out_range(const struct round_work *w, int64_t start_ms, int64_t *end_ms)
{
	return plan_round(&w->limits, w->closed_ms, w->late, w->late_count, start_ms, end_ms);
}

/* The file that the range's samples go to. */
static struct round_out *out_open(struct round_work *w, int64_t range_ms)
{
	int64_t end_ms, start_ms = out_range(w, range_ms, &end_ms);
	bool own = !shard_span_meets(w->span, start_ms, end_ms); /* no row of a sender is in it */
	if (w->outs_count == w->outs_cap) {
		w->outs_cap = w->outs_cap ? 2 * w->outs_cap : 4;
		w->outs = mem_array(w->outs, w->outs_cap, sizeof(*w->outs));
	}
	struct round_out *o = &w->outs[w->outs_count++];
	*o = (struct round_out){ .meta = { .shard = w->shard->index,
		                     .start_ms = start_ms,
		                     .end_ms = end_ms,
		                     .flags = own ? CFILE_OWN : 0,
		                     .rank = w->rank } };
	cfile_name(&o->meta, o->name);
	w->err = cfile_writer_create(w->shard->dir, o->name, &o->meta, &o->writer);
	if (w->err) {
		errbuf_set(&w->eb, w->err, "cannot create %s: %s", o->name, err_why(w->err));
		w->outs_count--;
		return NULL;
	}
	return o;
}

static void out_close(struct round_work *w, struct round_out *o)
{
	struct cfile_writer *writer = o->writer;
	o->writer = NULL;
	if (!writer)
		return;
	w->err = cfile_writer_finish(writer, &o->stats);
	if (w->err)
		errbuf_set(&w->eb, w->err, "cannot finish %s: %s", o->name, err_why(w->err));
	else
		w->err = cfile_open(w->shard->dir, o->name, &o->cfile, &w->eb);
}

/* The range of a pass that a time lies in. */
static struct round_slot *slot_at(struct round_slot *slots, int64_t from, int64_t t_ms)
{
	return &slots[(t_ms - from) / SAMPLE_RANGE_MS];
}

/* The number of the range's file + 1, opened when it is not yet; 0: it could not be. */
static size_t slot_out(struct round_work *w, struct round_slot *slots, int64_t from, int64_t range_ms)
{
	int64_t end_ms, start_ms = out_range(w, range_ms, &end_ms);
	struct round_slot *s = slot_at(slots, from, start_ms);
	if (!s->out && out_open(w, range_ms))
		s->out = w->outs_count;
	return s->out;
}

static void slot_note_id(struct round_work *w, struct round_slot *s, int64_t range_ms, uint32_t id)
{
	if (!s->ids) {
		if (w->ids_count == w->ids_cap) {
			w->ids_cap = w->ids_cap ? 2 * w->ids_cap : 4;
			w->ids = mem_array(w->ids, w->ids_cap, sizeof(*w->ids));
		}
		w->ids[w->ids_count] = (struct round_ids){ .start_ms = range_ms };
		s->ids = ++w->ids_count;
	}
	struct round_ids *r = &w->ids[s->ids - 1];
	if (r->count == r->cap) {
		r->cap = r->cap ? 2 * r->cap : 1024;
		r->ids = mem_array(r->ids, r->cap, sizeof(*r->ids));
	}
	r->ids[r->count++] = id;
}

static int by_id(const void *a, const void *b)
{
	const struct round_run *x = a, *y = b;
	return x->id < y->id ? -1 : x->id > y->id;
}

static void sort_runs(struct round_work *w)
{
	for (size_t i = 1; i < w->runs_count; i++) {
		if (w->runs[i - 1].id > w->runs[i].id) {
			qsort(w->runs, w->runs_count, sizeof(*w->runs), by_id);
			return;
		}
	}
}

/* How many of the samples from i on lie before end_ms. */
static uint32_t count_before(const struct column *c, uint32_t i, int64_t end_ms)
{
	uint32_t n = 0;
	while (i + n < c->count && c->t_ms[i + n] < end_ms)
		n++;
	return n;
}

/* Samples of one run inside the pass, cut at files; the ids are noted range by range. */
static void write_run(struct round_work *w, const struct round_run *r, int64_t from, int64_t to,
    struct round_slot *slots)
{
	w->err = series_run_read(r->run, from, to - 1, &w->col);
	if (w->err) {
		errbuf_set(&w->eb, w->err, "samples of series %u in memory are damaged", r->id);
		return;
	}
	for (uint32_t i = 0, n; i < w->col.count && !w->err; i += n) {
		int64_t range_ms = round_range(w->col.t_ms[i]), end_ms;
		size_t out = slot_out(w, slots, from, range_ms);
		if (!out)
			return;
		(void)out_range(w, range_ms, &end_ms);
		for (n = 0; i + n < w->col.count && w->col.t_ms[i + n] < end_ms;) {
			range_ms = round_range(w->col.t_ms[i + n]);
			slot_note_id(w, slot_at(slots, from, range_ms), range_ms, r->id);
			n += count_before(&w->col, i + n, range_ms + SAMPLE_RANGE_MS);
		}
		struct round_out *o = &w->outs[out - 1];
		struct sample_column part = column_view(&w->col, i, n);
		w->err = cfile_writer_add(o->writer, r->id, &part);
		if (w->err)
			errbuf_set(&w->eb, w->err, "cannot write %s: %s", o->name, err_why(w->err));
	}
}

static void write_definitions(struct round_work *w, struct cfile_writer *writer)
{
	for (size_t i = 0; i < w->defs_count && !w->err; i++)
		w->err =
		    cfile_writer_define(writer, w->defs[i].id, w->defs[i].tenant, w->defs[i].labels);
	w->defs_written = true;
}

/*
 * Where definitions stand: in the file that retention takes last, and where there are samples of
 * senders not with our own only, which may go earlier.
 */
static struct round_out *defs_out(const struct round_work *w, size_t first)
{
	bool senders = w->span.min_ms <= w->span.max_ms;
	struct round_out *best = NULL;
	for (size_t i = first; i < w->outs_count; i++) {
		struct round_out *o = &w->outs[i];
		if (senders && (o->meta.flags & CFILE_OWN))
			continue;
		if (!best || o->meta.end_ms > best->meta.end_ms)
			best = o;
	}
	return best;
}

static int by_series(const void *a, const void *b)
{
	const struct round_exemplars *x = a, *y = b;
	return (x->id > y->id) - (x->id < y->id);
}

static void write_exemplars(struct round_work *w, struct round_out *o)
{
	qsort(w->exemplars, w->exemplars_count, sizeof(*w->exemplars), by_series);
	for (size_t i = 0; i < w->exemplars_count && !w->err; i++) {
		const struct round_exemplars *x = &w->exemplars[i];
		w->err = cfile_writer_add_opaque(o->writer, x->id, x->list, x->len);
	}
	if (w->err)
		errbuf_set(&w->eb, w->err, "cannot write %s: %s", o->name, err_why(w->err));
	w->exemplars_written = true;
}

/* To the file of their range, when it is one of this pass. */
static void exemplars_pass(struct round_work *w, int64_t from, int64_t to, struct round_slot *slots)
{
	if (w->err || w->exemplars_written || !w->exemplars_count)
		return;
	int64_t start = round_range(w->exemplars_ms);
	if (start < from || start >= to)
		return;
	size_t out = slot_out(w, slots, from, start);
	if (out)
		write_exemplars(w, &w->outs[out - 1]);
}

/* Ranges [from, to) in one reading of the runs. */
static void write_pass(struct round_work *w, int64_t from, int64_t to)
{
	struct round_slot slots[SPACE_WRITERS] = { 0 };
	CHECK((to - from) / SAMPLE_RANGE_MS <= SPACE_WRITERS);
	size_t first = w->outs_count;
	for (size_t i = 0; i < w->runs_count && !w->err; i++) {
		int64_t t_min, t_max;
		if (series_run_bounds(w->runs[i].run, &t_min, &t_max) && t_max >= from && t_min < to)
			write_run(w, &w->runs[i], from, to, slots);
	}
	exemplars_pass(w, from, to, slots);
	struct round_out *defs = defs_out(w, first);
	if (!w->err && !w->defs_written && defs)
		write_definitions(w, defs->writer);
	for (size_t i = first; i < w->outs_count && !w->err; i++)
		out_close(w, &w->outs[i]);
}

/* What stands in no file with samples. */
static void write_alone(struct round_work *w)
{
	bool exemplars = w->exemplars_count && !w->exemplars_written;
	struct round_out *o = out_open(w, exemplars ? round_range(w->exemplars_ms) : w->def_start_ms);
	if (o && exemplars)
		write_exemplars(w, o);
	if (o && !w->err && !w->defs_written)
		write_definitions(w, o->writer);
	if (o && !w->err)
		out_close(w, o);
}

/*
 * Where a pass that begins there ends: no file is of two passes, and no more are open than may be.
 */
static int64_t pass_end(const struct round_work *w, int64_t from)
{
	int64_t to = num_sat_add(from, (int64_t)w->back->env->round_writers * SAMPLE_RANGE_MS),
	        end_ms;
	int64_t start_ms = out_range(w, to - SAMPLE_RANGE_MS, &end_ms);
	return end_ms <= to ? to : start_ms > from ? start_ms : end_ms;
}

static void write_files(struct work_task *t)
{
	struct round_work *w = CONTAINER_OF(t, struct round_work, task);
	int64_t lo = INT64_MAX, hi = INT64_MIN;
	sort_runs(w);
	w->late_count = 0;
	for (size_t i = 0; i < w->runs_count; i++) {
		int64_t t_min, t_max;
		if (!series_run_bounds(w->runs[i].run, &t_min, &t_max))
			continue;
		lo = t_min < lo ? t_min : lo;
		hi = t_max > hi ? t_max : hi;
		if (t_min < w->closed_ms)
			series_run_times(w->runs[i].run, late_note, w);
	}
	late_sort(w);
	if (lo <= hi) {
		int64_t end_ms, to;
		for (int64_t from = out_range(w, round_range(lo), &end_ms); from <= hi && !w->err;
		     from = to) {
			to = pass_end(w, from);
			write_pass(w, from, to);
		}
	}
	if (!w->err &&
	    ((!w->defs_written && w->defs_count) || (!w->exemplars_written && w->exemplars_count)))
		write_alone(w);
	column_release(&w->col);
	for (size_t i = 0; i < w->outs_count && w->err; i++) {
		struct round_out *o = &w->outs[i];
		if (o->writer)
			cfile_writer_abort(o->writer);
		o->writer = NULL;
	}
}

/* ---- loop: the states ---- */

static void ids_forget(struct round_work *w)
{
	for (size_t i = 0; i < w->ids_count; i++)
		mem_free(w->ids[i].ids);
	w->ids_count = 0;
}

static void round_work_free(struct round_work *w)
{
	ids_forget(w);
	mem_free(w->ids);
	mem_free(w->late);
	mem_free(w->outs);
	mem_free(w->runs);
	mem_free(w->defs);
	mem_free(w->exemplars);
	arena_release(&w->lists);
	mem_free(w);
}

/* No list names what it has written, nor will one. */
static void outs_remove(struct round_work *w)
{
	for (size_t i = 0; i < w->outs_count; i++)
		removal_add(w->shard, w->outs[i].name, w->outs[i].cfile);
	w->outs_count = 0;
	ids_forget(w);
}

static void slices_start(struct back *b)
{
	CHECK(!b->slices_live);
	b->slices_live = true;
	if (!b->in_slice) /* else the running slice goes on with it */
		job_start(b->shard->loop, &b->slices);
}

bool round_busy(const struct back *b)
{
	return b->shard->round != SHARD_IDLE || b->slices_live;
}

static void begin(struct back *b)
{
	struct shard *sh = b->shard;
	struct round_work *w = mem_zalloc(sizeof(*w));
	w->shard = sh;
	w->back = b;
	/* FILES has every definition below its next_id, and the next file has all others. */
	CHECK(sh->defs_from == sh->list.next_id);
	w->rank = sh->list.next_rank++;
	w->began_ns = back_now_ns(b);
	errbuf_init(&w->eb);
	arena_init(&w->lists, 4096);
	w->exemplars_ms = INT64_MIN;
	b->round = w;
	b->round_wanted = false;
	list_move_all(&b->round_running, &b->round_waiters);
	sh->round_number = sh->number;
	sh->rows_since_round = 0;
	sh->round_span = sh->span;
	sh->span = SHARD_SPAN_NONE;
	if (sh->live_min_ms < sh->frozen_min_ms)
		sh->frozen_min_ms = sh->live_min_ms;
	sh->live_min_ms = INT64_MAX;
	sh->round = SHARD_FREEZING;
	head_freeze_begin(&sh->head);
	slices_start(b);
}

static void end(struct back *b, enum err err)
{
	struct shard *sh = b->shard;
	sh->round = SHARD_IDLE;
	sh->round_end_ns = back_now_ns(b);
	b->round = NULL;
	back_tell(&b->round_running, err);
	back_poke(b);
}

static void wrote(struct work_task *t);

/* What the next phase goes through is fixed here, once. */
static void move(struct round_work *w, enum round_phase to)
{
	struct shard *sh = w->shard;
	CHECK(to == w->phase + 1);
	w->phase = to;
	switch (to) {
	case ROUND_LIST_RUNS:
		w->runs_cap = sh->head.frozen_count;
		w->runs = mem_array(NULL, w->runs_cap + 1, sizeof(*w->runs));
		w->listed = 0;
		break;
	case ROUND_LIST_DEFS:
		sh->round_next_id = sh->next_id;
		w->listed = sh->defs_from;
		break;
	case ROUND_FREEZE:
	case ROUND_LIST_EXEMPLARS:
	case ROUND_LISTED:
		break;
	}
}

/* True when all are listed. */
static bool list_runs(struct round_work *w)
{
	const struct head *h = &w->shard->head;
	CHECK(h->frozen_count == w->runs_cap);
	for (unsigned n = 0; n < ROUND_STEP && w->listed < w->runs_cap; n++) {
		const struct series *s = head_at(h, h->frozen[w->listed++]);
		const struct series_run *run = series_frozen(s);
		if (!run || s->flags & SERIES_UNDEFINED)
			continue;
		CHECK(w->runs_count < w->runs_cap);
		w->runs[w->runs_count++] = (struct round_run){ .id = s->id, .run = run };
	}
	return w->listed >= w->runs_cap;
}

/* The same of exemplars. */
static bool list_exemplars(struct round_work *w)
{
	struct buf list;
	bool more = true;
	buf_init(&list);
	for (unsigned n = 0; n < ROUND_STEP && more; n++) {
		struct round_exemplars x;
		int64_t t_ms = INT64_MIN;
		buf_clear(&list);
		more = exemplars_take(&w->shard->head.exemplars, &x.id, &list, &t_ms);
		if (!more)
			break;
		if (w->exemplars_count == w->exemplars_cap) {
			w->exemplars_cap = w->exemplars_cap ? 2 * w->exemplars_cap : 256;
			w->exemplars =
			    mem_array(w->exemplars, w->exemplars_cap, sizeof(*w->exemplars));
		}
		x.len = list.len;
		x.list = arena_dup(&w->lists, list.data, list.len);
		w->exemplars[w->exemplars_count++] = x;
		w->exemplars_ms = t_ms > w->exemplars_ms ? t_ms : w->exemplars_ms;
	}
	buf_release(&list);
	return !more;
}

/* True when all are listed. */
static bool list_defs(struct round_work *w)
{
	const struct shard *sh = w->shard;
	for (unsigned n = 0; n < ROUND_STEP && w->listed < sh->round_next_id; n++) {
		const struct series *s = head_by_id(&sh->head, w->listed++);
		if (!s || (s->flags & SERIES_UNDEFINED))
			continue;
		if (w->defs_count == w->defs_cap) {
			w->defs_cap = w->defs_cap ? 2 * w->defs_cap : 256;
			w->defs = mem_array(w->defs, w->defs_cap, sizeof(*w->defs));
		}
		w->defs[w->defs_count++] = (struct catalog_def){
			.id = s->id, .tenant = s->tenant, .labels = series_labels(s)
		};
	}
	return w->listed >= sh->round_next_id;
}

/* A piece of the work of SHARD_FREEZING: true when the worker can begin. */
static bool freeze_some(struct round_work *w)
{
	bool over = false;
	switch (w->phase) {
	case ROUND_FREEZE:
		over = head_freeze(&w->shard->head, ROUND_STEP);
		break;
	case ROUND_LIST_RUNS:
		over = list_runs(w);
		break;
	case ROUND_LIST_EXEMPLARS:
		over = list_exemplars(w);
		break;
	case ROUND_LIST_DEFS:
		over = list_defs(w);
		break;
	case ROUND_LISTED:
		CHECK(!"nothing is left to list");
	}
	if (over)
		move(w, w->phase + 1);
	return w->phase == ROUND_LISTED;
}

/* The range of senders' rows, when no file of the round is in it; else that of the newest row. */
static int64_t def_start(const struct round_work *w)
{
	const struct shard *sh = w->shard;
	if (w->span.min_ms <= w->span.max_ms)
		return round_range(w->span.max_ms);
	return round_range(sh->t_newest_ms != INT64_MIN
	        ? sh->t_newest_ms
	        : clockwatch_trusted_ms(w->back->env->clock, share_now(sh->share)));
}

/*
 * What is closed for merges, as far as the shard's own newest row tells, too: after a start no
 * class may have spoken yet. Retention by a small size needs small files.
 */
static int64_t late_before(const struct round_work *w)
{
	int64_t closed_ms = sealing_closed_ms(w->shard);
	int64_t behind_ms =
	    num_sat_sub(share_bounded(w->shard->share, w->shard->t_newest_ms), ROUND_BEHIND_MS);
	if (w->limits.size_max < ROUND_WIDE_BYTES)
		return INT64_MIN;
	return behind_ms < closed_ms ? behind_ms : closed_ms;
}

static void submit_write(struct round_work *w)
{
	w->span = w->shard->round_span;
	shard_span_add(&w->span, w->shard->span);
	if (w->exemplars_count)
		shard_span_add(&w->span,
		    (struct shard_span){ .min_ms = w->exemplars_ms, .max_ms = w->exemplars_ms });
	w->def_start_ms = def_start(w);
	w->limits = sealing_limits(w->back);
	w->closed_ms = late_before(w);
	w->shard->round = SHARD_WRITING;
	w->task = (struct work_task){
		.run = write_files, .done = wrote, .lane = shard_lane(w->shard), .prio = WORK_BACKGROUND
	};
	work_submit(w->back->pool, &w->task);
}

static void change_files(struct back_switch *s, struct files *next)
{
	struct round_work *w = CONTAINER_OF(s, struct round_work, sw);
	struct files_entry *made = mem_array(NULL, w->outs_count + 1, sizeof(*made));
	for (size_t i = 0; i < w->outs_count; i++)
		made[i] = files_entry_of(w->outs[i].name, &w->outs[i].meta, &w->outs[i].stats);
	CHECK(files_add_many(next, made, w->outs_count));
	mem_free(made);
	if (!w->shard->log_held)
		next->complete_to = w->shard->round_number;
	if (next->next_id < w->shard->round_next_id)
		next->next_id = w->shard->round_next_id;
	if (next->next_number <= w->shard->round_number)
		next->next_number = w->shard->round_number + 1;
}

static void take_files(struct round_work *w)
{
	struct shard *sh = w->shard;
	struct feed_item *item = feed_item_create(w->rank, sh->round_next_id);
	for (size_t i = 0; i < w->outs_count; i++) {
		struct round_out *o = &w->outs[i];
		struct shard_file *f = mem_zalloc(sizeof(*f));
		f->cfile = o->cfile;
		f->added_ns = back_now_ns(w->back);
		f->entry = files_entry_of(o->name, &o->meta, &o->stats);
		shard_file_add(sh, f);
	}
	for (size_t i = 0; i < w->ids_count; i++) {
		const struct round_ids *r = &w->ids[i];
		feed_item_range(item, r->start_ms, r->ids, r->count); /* takes ids */
	}
	w->ids_count = 0;
	feed_item_defs(item, w->defs, w->defs_count); /* takes defs */
	w->defs = NULL;
	feed_add(w->back, item);
}

/* It has to be tried again; the next round waits for it. */
static void not_now(struct back *b, enum err err)
{
	b->round_not_before_ns = back_retry_ns(b);
	back_tell(&b->round_running, err);
	back_tell(&b->round_waiters, err);
}

static void switched(struct back_switch *s, enum err err)
{
	struct round_work *w = CONTAINER_OF(s, struct round_work, sw);
	struct shard *sh = w->shard;
	struct back *b = w->back;
	if (err) { /* the files are written: frozen stays, the switch is tried again */
		sh->round = SHARD_UNSWITCHED;
		not_now(b, err);
		return;
	}
	take_files(w);
	sh->defs_from = sh->round_next_id;
	metric_add(M_ROUNDS, 1);
	sh->round_last_ms = loop_now_ms(sh->loop);
	sh->round_last_took_ns = back_now_ns(b) - w->began_ns;
	metric_observe_ns(M_ROUND_SECONDS, sh->round_last_took_ns);
	if (!sh->log_held)
		walog_complete(b->env->log, sh->index, sh->round_number);
	sh->round = SHARD_DROPPING;
	round_work_free(w);
	b->round = NULL;
	slices_start(b);
}

/* To FILES, with the list of now; again when it has failed before. */
static void switch_try(struct round_work *w)
{
	w->back->round_not_before_ns = 0;
	w->shard->round = SHARD_SWITCHING;
	w->sw = (struct back_switch){ .change = change_files, .done = switched };
	back_switch(w->shard, &w->sw);
}

static void wrote(struct work_task *t)
{
	struct round_work *w = CONTAINER_OF(t, struct round_work, task);
	struct back *b = w->back;
	if (!w->err) {
		switch_try(w);
		return;
	}
	LOG_EVERY(LOG_LEVEL_ERROR, "round_failed", "shard=%u err=%s text=\"%s\"", w->shard->index,
	    err_text(w->err), w->eb.text);
	metric_add(M_ROUNDS_FAILED, 1);
	outs_remove(w);
	w->shard->round = SHARD_UNWRITTEN;
	not_now(b, w->err);
	back_poke(b); /* a shard that is closing waits for no other try */
}

/*
 * The same frozen runs once more, to files of other names: those of before may still be on their
 * way out.
 */
static void write_again(struct round_work *w)
{
	w->back->round_not_before_ns = 0;
	w->rank = w->shard->list.next_rank++;
	w->err = ERR_OK;
	w->defs_written = w->exemplars_written = false;
	errbuf_init(&w->eb);
	submit_write(w);
}

static void evict_begin(struct back *b)
{
	b->shard->round = SHARD_EVICTING;
	shard_graves_give(b->shard, b->catalog_next_id);
	b->evict_slot = 0;
	b->evict_end = b->shard->head.slots_count;
}

/* The tenant's, by its senders; by our own metrics where there are no others. */
static int64_t newest_of(const struct shard *sh, uint32_t tenant)
{
	const struct newest *n = &sh->share->newest;
	int64_t t_ms = newest_get(n, tenant, false);
	if (t_ms == NEWEST_NONE)
		t_ms = newest_get(n, tenant, true);
	return share_bounded(sh->share, t_ms);
}

/*
 * How long a series must be idle that leaves. Where memory is tight those that ended lately go,
 * too: else the new ones of a fleet that was deployed anew could not come for an hour. Where it is
 * so full that nothing is taken no newest time goes on, either, and only rounds count.
 */
struct idle {
	uint32_t rounds;
	int64_t ms;
};
static struct idle idle_of(const struct shard *sh)
{
	int64_t ms = back_of(sh)->env->evict_idle_ms;
	switch (share_fill(sh->share)) {
	case SHARE_HAS_ROOM:
		break;
	case SHARE_IS_TIGHT:
		return (struct idle){ .rounds = 1, .ms = ms < BACK_TIGHT_MS ? ms : BACK_TIGHT_MS };
	case SHARE_IS_OVER:
		return (struct idle){ .rounds = BACK_IDLE_ROUNDS, .ms = INT64_MIN };
	}
	return (struct idle){ .rounds = BACK_IDLE_ROUNDS, .ms = ms };
}

/* Its exemplars stand in no file yet, or a cursor relies on memory for those that came lately. */
static bool exemplars_hold(const struct shard *sh, uint32_t id)
{
	const struct exemplars_ring *r = exemplars_of(&sh->head.exemplars, id);
	return r && (r->fresh || sh->exemplar_readers);
}

/*
 * Series without samples in memory, idle for long and known to the catalog leave. True when all
 * slots there were at the beginning have been looked at.
 */
static bool evict_some(struct back *b)
{
	struct shard *sh = b->shard;
	struct head *h = &sh->head;
	if (feed_is_behind(b)) /* readers would not find what left: next time */
		return true;
	const struct idle idle = idle_of(sh);
	for (unsigned n = 0; n < ROUND_STEP && b->evict_slot < b->evict_end; n++) {
		uint32_t slot = b->evict_slot++;
		const struct series *s = head_at(h, slot);
		if (!(s->flags & SERIES_USED) || (s->flags & SERIES_UNDEFINED) ||
		    s->idle < idle.rounds || s->id >= b->catalog_next_id || series_has_live(s) ||
		    series_frozen(s) || exemplars_hold(sh, s->id))
			continue;
		if (num_sat_sub(newest_of(sh, s->tenant), s->t_newest_ms) < idle.ms)
			continue;
		shard_evict(sh, slot);
		n += EVICT_COST;
		sh->inactive++;
		metric_add(M_SERIES_EVICTED, 1);
		metric_gauge_add(M_SERIES_ACTIVE, -1);
	}
	return b->evict_slot >= b->evict_end;
}

/* One piece of the state's work: true when the state's slices are over. */
static bool step(struct back *b)
{
	struct shard *sh = b->shard;
	switch (sh->round) {
	case SHARD_FREEZING:
		return freeze_some(b->round);
	case SHARD_DROPPING:
		if (head_frozen_drop(&sh->head, ROUND_STEP)) {
			sh->frozen_min_ms = INT64_MAX; /* what is in memory came since it began */
			evict_begin(b);
		}
		return false;
	case SHARD_EVICTING:
		return evict_some(b);
	case SHARD_IDLE:
	case SHARD_WRITING:
	case SHARD_UNWRITTEN:
	case SHARD_SWITCHING:
	case SHARD_UNSWITCHED:
		break;
	}
	CHECK(!"no slices in this state");
	return true;
}

static bool nothing_is_new(const struct round_work *w)
{
	const struct shard *sh = w->shard;
	return !w->runs_count && !w->defs_count && !w->exemplars_count &&
	    sh->round_number <= sh->list.complete_to && sh->round_next_id <= sh->list.next_id;
}

/* Nothing to write and FILES as it should be: what was idle for long leaves memory all the same. */
static void leave_only(struct back *b)
{
	round_work_free(b->round);
	b->round = NULL;
	b->shard->round = SHARD_DROPPING;
	slices_start(b);
}

enum job_state round_slice(struct job *j)
{
	struct back *b = CONTAINER_OF(j, struct back, slices);
	while (!step(b)) {
		if (job_should_yield())
			return JOB_YIELD;
	}
	b->slices_live = false;
	b->in_slice = true;
	if (b->shard->round != SHARD_FREEZING)
		end(b, ERR_OK);
	else if (nothing_is_new(b->round))
		leave_only(b);
	else
		submit_write(b->round);
	b->in_slice = false;
	return b->slices_live ? JOB_YIELD : JOB_DONE;
}

/*
 * New rows; numbers that hold the log, as metadata and frames that do not exist any more do without
 * rows; or series, which leave memory only by rounds that count how long they were idle.
 */
static bool is_worth_while(const struct shard *sh)
{
	return sh->rows_since_round || sh->number > sh->list.complete_to || sh->head.series_count;
}

void round_poke(struct back *b)
{
	struct shard *sh = b->shard;
	uint64_t now = back_now_ns(b);
	if (b->round_not_before_ns && now < b->round_not_before_ns)
		return;
	if (sh->round == SHARD_UNSWITCHED) {
		switch_try(b->round);
		return;
	}
	if (sh->round == SHARD_UNWRITTEN) {
		write_again(b->round);
		return;
	}
	if (round_busy(b) || b->closing || b->deletion)
		return;
	uint64_t every_ns = (uint64_t)b->env->round_every_ms * 1000000u;
	bool due = is_worth_while(sh) && now - sh->round_end_ns >= every_ns;
	bool late = sh->head.stats.late_rows >= BACK_LATE_ROWS;
	if (b->round_wanted || due || late) {
		b->round_not_before_ns = 0;
		begin(b);
	}
}

void round_abandon(struct back *b)
{
	struct round_work *w = b->round;
	CHECK(b->shard->round == SHARD_UNSWITCHED || b->shard->round == SHARD_UNWRITTEN);
	outs_remove(w); /* stays, while a list on disk may name it */
	round_work_free(w);
	b->round = NULL;
	b->shard->round = SHARD_IDLE;
	back_tell(&b->round_running, ERR_STOPPING);
}
