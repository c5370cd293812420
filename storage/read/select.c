#include "storage/read/select.h"

#include <string.h>

#include "core/base/arena.h"
#include "storage/read/exread.h"
#include "storage/read/forecast.h"
#include "storage/read/idchain.h"
#include "storage/read/textset.h"
#include "storage/read/unitread.h"
#include "storage/read/valuewalk.h"

#define SELECT_IDS_AHEAD    16u /* of one series, whose units are fetched together */
#define SELECT_SERIES_AHEAD 48u /* of those behind it, theirs too */
#define WORK_SERIES         64u /* what a look at a series costs */
#define NOTE_MEMORY_WORK    8192u
#define FREE_HERE_MAX       (2u << 20)
#define WORK_HIST           16u /* of a histogram, in units of a float's */

enum select_state {
	SELECT_CHOOSING, /* series are being chosen */
	SELECT_VALUES,   /* of a label are listed */
	SELECT_FETCHING, /* exemplars of all series are looked for in files */
	SELECT_FORECAST, /* nothing is read, but some is looked at */
	SELECT_SERIES,   /* one after the other */
	SELECT_LOADING,  /* units come from the disk */
	SELECT_END,
};
enum select_reading {
	READ_NOTHING,
	READ_MEMORY,  /* in pieces, into kept */
	READ_OPENING, /* the list of files is taken, with their directories */
	READ_FILES,   /* and memory behind them */
};
enum select_joining { /* of the id that is being read */
	JOIN_NONE,    /* its files are read */
	JOIN_MEMORY,  /* memory's samples come to those */
	JOIN_IDS,     /* all come to those of the ids before */
};
struct select {
	struct source_cursor base;
	struct shard *shard;
	const struct source_query *query;
	enum select_state state, after_loading;
	bool has_exemplars; /* is what is asked for */
	bool closed;        /* freed when what is with a worker has come back */
	struct idchain chain;
	struct unitread units;
	/* the series under way */
	enum select_reading reading;
	enum select_joining joining;
	size_t at;                   /* its id that is being read: chain.refs[at] */
	int64_t from_ms;             /* of the next piece of memory */
	struct column acc, one;      /* what the ids before at have; what it has */
	struct column memory;        /* of one id */
	struct column *kept;         /* memory of refs[i], as it was at the first wait */
	size_t kept_count, kept_cap; /* count: 0 before the first pause */
	struct textset texts;
	struct valuewalk values;
	struct exread exemplars; /* when they are asked for */
	struct forecast *forecast;
	struct work_task task; /* to end it */
};

static void wake(struct select *s)
{
	if (s->query->wake)
		s->query->wake(s->query->wake_arg);
}

static void destroy_now(struct select *s)
{
	CHECK(s->shard->cursors > 0);
	s->shard->cursors--; /* store_close waits for this */
	idchain_close(&s->chain);
	unitread_release(&s->units);
	column_release(&s->acc);
	column_release(&s->one);
	column_release(&s->memory);
	for (size_t i = 0; i < s->kept_cap; i++)
		column_release(&s->kept[i]);
	mem_free(s->kept);
	textset_release(&s->texts);
	valuewalk_release(&s->values);
	if (s->has_exemplars)
		exread_release(&s->exemplars);
	forecast_free(s->forecast);
	mem_free(s);
}

/* Large columns go back to the system on a worker: that takes a millisecond for 16 MiB. */
static void free_columns(struct work_task *t)
{
	struct select *s = CONTAINER_OF(t, struct select, task);
	column_release(&s->acc);
	column_release(&s->one);
	column_release(&s->memory);
	column_release(&s->units.spare);
	for (size_t i = 0; i < s->kept_cap; i++)
		column_release(&s->kept[i]);
}

static void columns_free(struct work_task *t)
{
	destroy_now(CONTAINER_OF(t, struct select, task));
}

static void destroy(struct select *s)
{
	if (s->base.memory <= FREE_HERE_MAX) {
		destroy_now(s);
		return;
	}
	s->task = (struct work_task){ .run = free_columns, .done = columns_free, .prio = WORK_READ };
	work_submit(s->shard->pool, &s->task);
}

/* ---- the two things that come back from workers ---- */

static void found(struct idchain *c)
{
	struct select *s = CONTAINER_OF(c, struct select, chain);
	if (s->closed)
		destroy(s);
	else
		wake(s);
}

static void loaded(struct unitread *u)
{
	struct select *s = CONTAINER_OF(u, struct select, units);
	s->state = s->after_loading;
	if (s->closed)
		destroy(s);
	else
		wake(s);
}

static void fetched(struct exread *x)
{
	struct select *s = CONTAINER_OF(x, struct select, exemplars);
	s->state = SELECT_FETCHING;
	if (s->closed)
		destroy(s);
	else
		wake(s);
}

static void foreseen(void *arg)
{
	struct select *s = arg;
	s->state = SELECT_FORECAST;
	if (s->closed)
		destroy(s);
	else
		wake(s);
}

/* The list of files of now; WAIT: their directories come, FAILED: s->units.err. */
static enum unitread_got files_take(struct select *s)
{
	enum unitread_got got = unitread_begin(&s->units);
	if (UNLIKELY(got == UNITREAD_WAIT)) {
		s->after_loading = s->state;
		s->state = SELECT_LOADING;
		unitread_load_dirs(&s->units);
	}
	return got;
}

/* ---- one series ---- */

/* An id of the series of now; NULL: not in memory. */
static inline const struct series *in_memory(const struct select *s, size_t i)
{
	const struct idchain_ref *ref = &s->chain.refs[i];
	if (LIKELY(s->chain.active && !ref->old))
		return s->chain.active;
	return head_by_id(&s->shard->head, ref->id);
}

/* What memory holds of it now. */
static enum err read_memory(struct select *s, size_t i, struct column *out)
{
	const struct series *series =
	    shard_remembers(s->shard, s->query->t_max_ms) ? in_memory(s, i) : NULL;
	column_clear(out);
	if (!series || series->t_newest_ms < s->query->t_min_ms ||
	    (!series_has_live(series) && !series_frozen(series)))
		return ERR_OK;
	enum err err = series_read(series, s->query->t_min_ms, s->query->t_max_ms, out);
	s->units.work += out->count;
	s->base.read.memory_samples += out->count;
	if (UNLIKELY(s->query->weigh)) {
		uint64_t bytes;
		(void)series_about(series, s->query->t_min_ms, s->query->t_max_ms, &bytes);
		s->base.read.memory_bytes += bytes;
	}
	if (UNLIKELY(out->x != NULL))
		s->units.work += out->count * WORK_HIST;
	return err;
}

static bool has_large_memory(const struct select *s)
{
	if (!shard_remembers(s->shard, s->query->t_max_ms))
		return false;
	for (size_t i = 0; i < s->chain.refs_count; i++) {
		const struct series *series = in_memory(s, i);
		if (series && series->t_newest_ms >= s->query->t_min_ms &&
		    series_holds_more(series, SELECT_MEMORY_AT_ONCE))
			return true;
	}
	return false;
}

static void kept_room(struct select *s)
{
	size_t count = s->chain.refs_count;
	if (s->kept_cap < count) {
		s->kept = mem_array(s->kept, count, sizeof(*s->kept));
		memset(s->kept + s->kept_cap, 0, (count - s->kept_cap) * sizeof(*s->kept));
		s->kept_cap = count;
	}
	s->kept_count = count;
	for (size_t i = 0; i < count; i++)
		column_clear(&s->kept[i]);
}

static void read_begin(struct select *s)
{
	s->at = s->kept_count = 0;
	column_clear(&s->acc);
	column_clear(&s->one);
	unitread_times_begin(&s->units);
	s->joining = JOIN_NONE;
	if (LIKELY(!has_large_memory(s))) {
		s->reading = READ_OPENING;
		return;
	}
	kept_room(s);
	s->from_ms = s->query->t_min_ms;
	s->reading = READ_MEMORY;
}

/* A piece of what memory holds of the series, before its files. */
static enum err memory_piece(struct select *s)
{
	const struct series *series = head_by_id(&s->shard->head, s->chain.refs[s->at].id);
	bool more = false;
	enum err err = ERR_OK;
	if (series)
		err = series_read_some(series, &s->from_ms, s->query->t_max_ms,
		    SELECT_MEMORY_AT_ONCE / 2, &s->kept[s->at], &more);
	s->units.work += SELECT_MEMORY_AT_ONCE / 2;
	if (more || err)
		return err;
	s->from_ms = s->query->t_min_ms;
	if (++s->at == s->chain.refs_count)
		s->reading = READ_OPENING;
	return ERR_OK;
}

/*
 * The first pause of a series: what memory holds is taken in the same turn as the list of files
 * was.
 */
static enum err memory_keep(struct select *s)
{
	enum err err = ERR_OK;
	if (s->kept_count)
		return ERR_OK;
	kept_room(s);
	for (size_t i = s->at; i < s->kept_count && !err; i++)
		err = read_memory(s, i, &s->kept[i]);
	return err;
}

/* Adds what memory holds, or held when the reading of this series began. False: again. */
static bool add_memory(struct select *s, struct column *to, enum err *err)
{
	bool kept = s->kept_count > 0;
	struct column *more = kept ? &s->kept[s->at] : &s->memory;
	if (!kept && (*err = read_memory(s, s->at, more)))
		return true;
	if (s->joining == JOIN_NONE && to == &s->acc && unitread_times_put(&s->units, to, more))
		return true;
	if (s->joining == JOIN_NONE && !to->count) { /* nothing in files */
		column_swap(to, more);
		return true;
	}
	if (unitread_merge(&s->units, to, more))
		return true;
	if (kept)
		return false;
	/* What was read already is what is kept of it. */
	*err = memory_keep(s);
	column_swap(&s->kept[s->at], &s->memory);
	return false;
}

static void load(struct select *s)
{
	const struct idchain *c = &s->chain;
	uint32_t ids[SELECT_IDS_AHEAD + SELECT_SERIES_AHEAD];
	size_t n = 0;
	for (size_t i = s->at; i < c->refs_count && n < SELECT_IDS_AHEAD; i++)
		ids[n++] = c->refs[i].id;
	for (unsigned i = c->ahead_at; i < c->ahead_count && n < COUNT_OF(ids); i++)
		ids[n++] = c->ahead[i];
	s->after_loading = s->state;
	s->state = SELECT_LOADING;
	unitread_load(&s->units, ids, n);
}

/* One id towards s->acc: its files, memory, and both behind what the ids before have. */
static enum unitread_got read_id(struct select *s, enum err *err)
{
	struct column *to = s->at ? &s->one : &s->acc;
	if (s->joining == JOIN_NONE) {
		enum unitread_got got =
		    unitread_series(&s->units, s->chain.refs[s->at].id, to, to == &s->acc);
		if (got != UNITREAD_ALL)
			return got;
	}
	if (s->joining != JOIN_IDS) {
		bool whole = add_memory(s, to, err);
		s->joining = whole ? JOIN_IDS : JOIN_MEMORY;
		if (!whole || *err)
			return UNITREAD_AGAIN;
	}
	if (s->at && !unitread_merge(&s->units, &s->acc, &s->one))
		return UNITREAD_AGAIN;
	s->joining = JOIN_NONE;
	column_clear(&s->one);
	return UNITREAD_ALL;
}

/* Its ids, oldest first, the higher ones winning. */
static enum source_state read_series(struct select *s, enum err *err)
{
	if (s->reading == READ_NOTHING)
		read_begin(s);
	while (s->reading == READ_MEMORY) {
		*err = memory_piece(s);
		if (*err || s->units.work >= UNITREAD_WORK)
			return SOURCE_AGAIN;
	}
	if (s->reading == READ_OPENING) {
		enum unitread_got got = files_take(s);
		if (got == UNITREAD_FAILED)
			*err = s->units.err;
		if (got != UNITREAD_ALL)
			return got == UNITREAD_WAIT ? SOURCE_WAIT : SOURCE_AGAIN;
		s->at = 0;
		s->reading = READ_FILES;
	}
	for (; s->at < s->chain.refs_count; s->at++) {
		enum unitread_got got = read_id(s, err);
		if (got == UNITREAD_ALL &&
		    (s->units.work < UNITREAD_WORK || s->at + 1 == s->chain.refs_count))
			continue;
		if (!*err)
			*err = got == UNITREAD_FAILED ? s->units.err : memory_keep(s);
		if (got == UNITREAD_ALL)
			s->at++;
		if (*err || got != UNITREAD_WAIT)
			return SOURCE_AGAIN;
		load(s);
		return SOURCE_WAIT;
	}
	s->reading = READ_NOTHING;
	return SOURCE_READY;
}

static enum unitread_has in_range(struct select *s)
{
	const struct source_query *q = s->query;
	enum unitread_has has = UNITREAD_HAS_NONE;
	for (size_t i = 0; i < s->chain.refs_count; i++) {
		const struct series *series = in_memory(s, i);
		int64_t t_min, t_max;
		if (series && series_bounds(series, &t_min, &t_max) && t_min <= q->t_max_ms &&
		    t_max >= q->t_min_ms)
			return UNITREAD_HAS_SOME;
		enum unitread_has one = unitread_has(&s->units, s->chain.refs[i].id);
		if (one == UNITREAD_HAS_SOME)
			return one;
		has = one == UNITREAD_HAS_MAYBE ? one : has;
	}
	return has;
}

/* ---- the cursor ---- */

static enum source_state fail(struct select *s, enum err err, const char *text)
{
	s->base.err = errbuf_set(&s->base.eb, err_own(err), "%s", text);
	s->state = SELECT_END;
	return SOURCE_ERROR;
}

static void take_warnings(struct select *s)
{
	const char **to = s->base.warnings;
	unsigned n = 0;
	for (unsigned i = 0; i < s->units.warnings_count && n < COUNT_OF(s->base.warnings); i++)
		to[n++] = s->units.warnings[i];
	if (s->chain.warning[0] && n < COUNT_OF(s->base.warnings))
		to[n++] = s->chain.warning;
	if (s->has_exemplars && s->exemplars.warning[0] && n < COUNT_OF(s->base.warnings))
		to[n++] = s->exemplars.warning;
	s->base.warnings_count = n;
}

static void note_memory(struct select *s)
{
	size_t bytes = column_bytes(&s->acc) + column_bytes(&s->one) + column_bytes(&s->memory) +
	    column_bytes(&s->units.spare);
	for (size_t i = 0; i < s->kept_cap; i++)
		bytes += column_bytes(&s->kept[i]);
	if (s->has_exemplars)
		bytes += exread_memory(&s->exemplars);
	s->base.memory = bytes + idchain_memory(&s->chain) + textset_bytes(&s->texts);
}

static enum source_state give_labels(struct select *s, struct source_item *out)
{
	const struct source_query *q = s->query;
	idchain_keep(&s->chain);
	out->labels = s->chain.labels;
	if (q->what == SOURCE_SERIES)
		return SOURCE_READY;
	return textset_take(&s->texts, q, out->labels) ? SOURCE_READY : SOURCE_END;
}

/* The series of now towards an item: READY gives it, END means that it gives none. */
static enum source_state try_series(struct select *s, struct source_item *out)
{
	const struct source_query *q = s->query;
	enum err err = ERR_OK;
	if (q->what == SOURCE_EXEMPLARS) {
		out->exemplars_count = exread_series(&s->exemplars, &out->exemplars);
		if (!out->exemplars_count)
			return SOURCE_END;
		idchain_keep(&s->chain);
		out->labels = s->chain.labels;
		return SOURCE_READY;
	}
	if (q->what != SOURCE_SERIES_SAMPLES && s->reading == READ_NOTHING) {
		enum unitread_got got = files_take(s);
		if (UNLIKELY(got != UNITREAD_ALL)) {
			idchain_keep(&s->chain);
			s->chain.active = NULL;
			if (got == UNITREAD_WAIT)
				return SOURCE_WAIT;
			return fail(s, s->units.err, s->units.why);
		}
		switch (in_range(s)) {
		case UNITREAD_HAS_NONE:
			return SOURCE_END;
		case UNITREAD_HAS_SOME:
			return give_labels(s, out);
		case UNITREAD_HAS_MAYBE: /* its samples tell */
			break;
		}
	}
	if (UNLIKELY(q->keep != NULL) && q->what == SOURCE_SERIES_SAMPLES &&
	    s->reading == READ_NOTHING && !q->keep(q->keep_arg, out->tenant, s->chain.labels))
		return SOURCE_END;
	enum source_state st = read_series(s, &err);
	if (UNLIKELY(st != SOURCE_READY)) {
		idchain_keep(&s->chain);
		s->chain.active = NULL; /* it may leave before the next call */
		note_memory(s);
		if (!err)
			return st;
		return fail(s, err, s->units.err ? s->units.why : "samples in memory are damaged");
	}
	bool same = unitread_times_end(&s->units, &s->acc);
	s->base.read.file_samples = s->units.samples;
	s->base.read.file_bytes = s->units.bytes;
	if (!s->acc.count)
		return SOURCE_END;
	if (UNLIKELY(q->what != SOURCE_SERIES_SAMPLES))
		return give_labels(s, out);
	out->same_times = same;
	idchain_keep(&s->chain);
	out->labels = s->chain.labels;
	out->col = column_view(&s->acc, 0, s->acc.count);
	return SOURCE_READY;
}

/* Values from the postings, as long as there are some. */
static enum source_state values_step(struct select *s, struct source_item *out)
{
	if (textset_pop(&s->texts, out))
		return SOURCE_READY;
	enum unitread_got got = files_take(s);
	if (UNLIKELY(got != UNITREAD_ALL))
		return got == UNITREAD_WAIT ? SOURCE_WAIT : fail(s, s->units.err, s->units.why);
	if (!valuewalk_step(&s->values, &s->texts, &s->units)) {
		idchain_skip_active(&s->chain);
		s->state = SELECT_SERIES;
	}
	return textset_pop(&s->texts, out) ? SOURCE_READY : SOURCE_AGAIN;
}

static enum source_state next_series(struct select *s)
{
	switch (idchain_next(&s->chain)) {
	case IDCHAIN_SERIES:
		return SOURCE_READY;
	case IDCHAIN_AGAIN:
		return SOURCE_AGAIN;
	case IDCHAIN_WAIT:
		return SOURCE_WAIT;
	case IDCHAIN_END:
		s->state = SELECT_END;
		return SOURCE_END;
	case IDCHAIN_ERROR:
		return fail(s, s->chain.err, s->chain.eb.text);
	}
	return SOURCE_END;
}

static enum source_state series_step(struct select *s, struct source_item *out)
{
	if (textset_pop(&s->texts, out))
		return SOURCE_READY;
	while (s->units.work < UNITREAD_WORK) {
		enum source_state st = next_series(s);
		if (st != SOURCE_READY)
			return st;
		s->units.work += WORK_SERIES;
		st = try_series(s, out);
		take_warnings(s);
		if (st != SOURCE_READY && st != SOURCE_END)
			return st;
		idchain_done(&s->chain);
		if (st == SOURCE_READY &&
		    (s->query->what == SOURCE_SERIES || s->has_exemplars ||
		        s->query->what == SOURCE_SERIES_SAMPLES || textset_pop(&s->texts, out)))
			return SOURCE_READY;
	}
	return SOURCE_AGAIN;
}

/* The choice is made and the catalog was asked. */
static enum source_state chosen(struct select *s)
{
	bool walk = s->query->what == SOURCE_LABEL_VALUES &&
	    valuewalk_open(&s->values, s->shard, s->query, &s->chain);
	s->base.est_series = idchain_count(&s->chain);
	take_warnings(s);
	note_memory(s);
	s->state = walk                         ? SELECT_VALUES
	    : s->has_exemplars                  ? SELECT_FETCHING
	    : s->query->what == SOURCE_FORECAST ? SELECT_FORECAST
	                                        : SELECT_SERIES;
	return SOURCE_AGAIN;
}

/* Memory here, files on a worker; then the one item. */
static enum source_state forecast_step(struct select *s, struct source_item *out)
{
	if (s->forecast && s->forecast->over) {
		if (!forecast_survey(s->forecast))
			return SOURCE_AGAIN;
		s->state = SELECT_END;
		out->labels = (struct labels){ .len = 0 };
		out->forecast = &s->forecast->told;
		return SOURCE_READY;
	}
	enum unitread_got got = files_take(s);
	if (got != UNITREAD_ALL)
		return got == UNITREAD_WAIT ? SOURCE_WAIT : fail(s, s->units.err, s->units.why);
	take_warnings(s);
	s->forecast = forecast_make(&s->chain, &s->units, s->query->survey);
	if (!forecast_begin(s->forecast, foreseen, s))
		return SOURCE_AGAIN;
	s->state = SELECT_LOADING;
	return SOURCE_WAIT;
}

/* Exemplars in files, some in each step. */
static enum source_state fetch_step(struct select *s)
{
	note_memory(s);
	if (!exread_step(&s->exemplars)) {
		s->state = SELECT_LOADING;
		return SOURCE_WAIT;
	}
	take_warnings(s);
	if (s->exemplars.err)
		return fail(s, s->exemplars.err, s->exemplars.eb.text);
	s->state = SELECT_SERIES;
	return SOURCE_AGAIN;
}

static enum source_state choosing_step(struct select *s)
{
	switch (idchain_choose(&s->chain)) {
	case IDCHAIN_CHOOSING:
		return SOURCE_AGAIN;
	case IDCHAIN_LOOKUP:
		return SOURCE_WAIT;
	case IDCHAIN_READY:
	case IDCHAIN_LABELS:
		return chosen(s);
	case IDCHAIN_FAILED:
		break;
	}
	return fail(s, s->chain.err, s->chain.eb.text);
}

static enum source_state select_next(struct source_cursor *c, struct source_item *out)
{
	struct select *s = CONTAINER_OF(c, struct select, base);
	loop_check_here(s->shard->loop);
	out->tenant = source_first_tenant(s->query);
	out->same_times = false;
	s->units.work = 0;
	if (s->state == SELECT_CHOOSING) {
		enum source_state st = choosing_step(s);
		if (st != SOURCE_AGAIN || s->state == SELECT_CHOOSING)
			return st;
	}
	enum source_state st = SOURCE_END;
	switch (s->state) {
	case SELECT_CHOOSING:
		break;
	case SELECT_LOADING:
		return SOURCE_WAIT;
	case SELECT_VALUES:
		st = values_step(s, out);
		break;
	case SELECT_FETCHING:
		return fetch_step(s);
	case SELECT_FORECAST:
		return forecast_step(s, out);
	case SELECT_SERIES:
		st = series_step(s, out);
		break;
	case SELECT_END:
		return s->base.err ? SOURCE_ERROR : SOURCE_END;
	}
	if (UNLIKELY(s->units.work >= NOTE_MEMORY_WORK))
		note_memory(s);
	return st;
}

static void select_close(struct source_cursor *c)
{
	struct select *s = CONTAINER_OF(c, struct select, base);
	loop_check_here(s->shard->loop);
	s->closed = true;
	if (!idchain_is_away(&s->chain) && s->state != SELECT_LOADING)
		destroy(s);
}

static const struct source_cursor_ops select_ops = { .next = select_next, .close = select_close };

enum err select_open(struct shard *sh, const struct source_query *q, struct source_cursor **out)
{
	loop_check_here(sh->loop);
	struct select *s = mem_zalloc(sizeof(*s));
	s->base.ops = &select_ops;
	errbuf_init(&s->base.eb);
	s->shard = sh;
	sh->cursors++;
	s->query = q;
	textset_init(&s->texts, sh->seed);
	unitread_init(&s->units, sh, q->t_min_ms, q->t_max_ms, loaded);
	idchain_open(&s->chain, sh, q, found);
	s->has_exemplars = q->what == SOURCE_EXEMPLARS;
	if (s->has_exemplars)
		exread_init(&s->exemplars, sh, &s->chain, q->t_min_ms, q->t_max_ms, fetched);
	s->state = SELECT_CHOOSING;
	*out = &s->base;
	return ERR_OK;
}
