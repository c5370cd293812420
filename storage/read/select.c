#include "storage/read/select.h"

#include <string.h>

#include "core/base/arena.h"
#include "storage/read/idchain.h"
#include "storage/read/textset.h"
#include "storage/read/unitread.h"

#define SELECT_TRIES_MAX 64u /* series without an item in one call */
#define SELECT_IDS_AHEAD 16u /* of one series, whose units are fetched together */

enum select_state {
	SELECT_CHOOSING, /* series are being chosen */
	SELECT_SERIES,   /* one after the other */
	SELECT_LOADING,  /* units come from the disk */
	SELECT_END,
};
struct select {
	struct source_cursor base;
	struct shard *shard;
	const struct source_query *query;
	enum select_state state;
	bool closed; /* freed when what is with a worker has come back */
	struct idchain chain;
	struct unitread units;
	/* the series under way */
	bool reading;
	size_t at;                   /* its id that is being read: chain.refs[at] */
	struct series_col acc, one;  /* what the ids before at have; what it has */
	struct series_col memory;    /* of one id */
	struct series_col *kept;     /* memory of refs[i], as it was at the first wait */
	size_t kept_count, kept_cap; /* count: 0 before the first wait */
	struct textset texts;
};

static void wake(struct select *s)
{
	if (s->query->wake)
		s->query->wake(s->query->wake_arg);
}

static void destroy(struct select *s)
{
	CHECK(s->shard->cursors > 0);
	s->shard->cursors--; /* store_close waits for this */
	idchain_close(&s->chain);
	unitread_release(&s->units);
	series_col_release(&s->acc);
	series_col_release(&s->one);
	series_col_release(&s->memory);
	for (size_t i = 0; i < s->kept_cap; i++)
		series_col_release(&s->kept[i]);
	mem_free(s->kept);
	textset_release(&s->texts);
	mem_free(s);
}

/* ---- the two things that come back from workers ---- */

static void found(struct idchain *c)
{
	struct select *s = CONTAINER_OF(c, struct select, chain);
	s->base.est_series = idchain_count(c);
	if (s->closed)
		destroy(s);
	else
		wake(s);
}

static void loaded(struct unitread *u)
{
	struct select *s = CONTAINER_OF(u, struct select, units);
	s->state = SELECT_SERIES;
	if (s->closed)
		destroy(s);
	else
		wake(s);
}

/* ---- one series ---- */

/* An id of the series of now, in the turn in which it was met; NULL: not in memory. */
static inline const struct series *in_memory(const struct select *s, size_t i)
{
	const struct idchain_ref *ref = &s->chain.refs[i];
	return ref->set ? head_by_id(&s->shard->head, ref->id) : s->chain.active;
}

/* What memory holds of it now. */
static enum err read_memory(const struct select *s, size_t i, struct series_col *out)
{
	const struct series *series = in_memory(s, i);
	out->count = 0;
	if (!series || (!series_has_live(series) && !series_frozen(series)))
		return ERR_OK;
	return series_read(series, s->query->t_min_ms, s->query->t_max_ms, out);
}

static void read_begin(struct select *s)
{
	unitread_begin(&s->units);
	s->at = s->kept_count = 0;
	s->acc.count = s->one.count = 0;
	s->reading = true;
}

/*
 * The first wait of a series: what memory holds is taken in the same turn as the list of files
 * was.
 */
static enum err memory_keep(struct select *s)
{
	size_t count = s->chain.refs_count;
	enum err err = ERR_OK;
	if (s->kept_count)
		return ERR_OK;
	if (s->kept_cap < count) {
		s->kept = mem_array(s->kept, count, sizeof(*s->kept));
		memset(s->kept + s->kept_cap, 0, (count - s->kept_cap) * sizeof(*s->kept));
		s->kept_cap = count;
	}
	s->kept_count = count;
	for (size_t i = s->at; i < count && !err; i++)
		err = read_memory(s, i, &s->kept[i]);
	return err;
}

/* Adds what memory holds, or held when the reading of this series began. */
static enum err add_memory(struct select *s, struct series_col *to)
{
	if (s->kept_count) {
		unitread_merge(&s->units, to, &s->kept[s->at]);
		return ERR_OK;
	}
	if (!to->count) /* nothing in files */
		return read_memory(s, s->at, to);
	enum err err = read_memory(s, s->at, &s->memory);
	if (!err)
		unitread_merge(&s->units, to, &s->memory);
	return err;
}

static void load(struct select *s)
{
	const struct idchain *c = &s->chain;
	uint32_t ids[SELECT_IDS_AHEAD];
	size_t n = 0;
	for (size_t i = s->at; i < c->refs_count && n < COUNT_OF(ids); i++)
		ids[n++] = c->refs[i].id;
	s->state = SELECT_LOADING;
	unitread_load(&s->units, ids, n);
}

/* Its ids, oldest first, the higher ones winning. False: wait, unless *err. */
static bool read_series(struct select *s, enum err *err)
{
	if (!s->reading)
		read_begin(s);
	for (; s->at < s->chain.refs_count; s->at++) {
		struct series_col *to = s->at ? &s->one : &s->acc;
		if (!unitread_series(&s->units, s->chain.refs[s->at].id, to)) {
			*err = s->units.err ? s->units.err : memory_keep(s);
			if (!*err)
				load(s);
			return false;
		}
		*err = add_memory(s, to);
		if (*err)
			return false;
		if (s->at)
			unitread_merge(&s->units, &s->acc, &s->one);
		s->one.count = 0;
	}
	s->reading = false;
	return true;
}

static bool in_range(const struct select *s)
{
	const struct source_query *q = s->query;
	for (size_t i = 0; i < s->chain.refs_count; i++) {
		const struct series *series = in_memory(s, i);
		int64_t t_min, t_max;
		if (series && series_bounds(series, &t_min, &t_max) && t_min <= q->t_max_ms &&
		    t_max >= q->t_min_ms)
			return true;
		if (unitread_has(&s->units, s->chain.refs[i].id))
			return true;
	}
	return false;
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
	for (unsigned i = s->base.warnings_count;
	     i < s->units.warnings_count && i < COUNT_OF(s->base.warnings); i++)
		s->base.warnings[s->base.warnings_count++] = s->units.warnings[i];
}

/* The series of now towards an item: READY gives it, WAIT waits, END means that it gives none. */
static enum source_state try_series(struct select *s, struct source_item *out)
{
	const struct source_query *q = s->query;
	enum err err = ERR_OK;
	if (q->what != SOURCE_SERIES_SAMPLES) {
		unitread_sync(&s->units);
		if (!in_range(s))
			return SOURCE_END;
		idchain_keep(&s->chain);
		out->labels = s->chain.labels;
		if (q->what == SOURCE_SERIES)
			return SOURCE_READY;
		return textset_take(&s->texts, q, out->labels) ? SOURCE_READY : SOURCE_END;
	}
	if (!read_series(s, &err)) {
		idchain_keep(&s->chain);
		if (!err)
			return SOURCE_WAIT;
		return fail(s, err, s->units.err ? s->units.why : "samples in memory are damaged");
	}
	if (!s->acc.count)
		return SOURCE_END;
	idchain_keep(&s->chain);
	out->labels = s->chain.labels;
	out->col = (struct sample_column){
		.kind = SAMPLE_FLOAT, .count = s->acc.count, .t_ms = s->acc.t_ms, .v = s->acc.v
	};
	return SOURCE_READY;
}

static enum source_state series_step(struct select *s, struct source_item *out)
{
	if (textset_pop(&s->texts, out))
		return SOURCE_READY;
	for (unsigned tries = 0; tries < SELECT_TRIES_MAX; tries++) {
		if (!idchain_next(&s->chain)) {
			s->state = SELECT_END;
			return SOURCE_END;
		}
		enum source_state st = try_series(s, out);
		take_warnings(s);
		if (st == SOURCE_WAIT || st == SOURCE_ERROR)
			return st;
		idchain_done(&s->chain);
		if (st == SOURCE_READY &&
		    (s->query->what == SOURCE_SERIES || s->query->what == SOURCE_SERIES_SAMPLES ||
		        textset_pop(&s->texts, out)))
			return SOURCE_READY;
	}
	wake(s);
	return SOURCE_WAIT;
}

static enum source_state choosing_step(struct select *s, struct source_item *out)
{
	bool looked_up = s->chain.state == IDCHAIN_READY;
	enum idchain_state st = idchain_choose(&s->chain);
	if (st == IDCHAIN_FAILED)
		return fail(s, s->chain.err, s->chain.eb.text);
	if (st == IDCHAIN_READY)
		s->state = SELECT_SERIES;
	if (looked_up)
		return series_step(s, out);
	s->base.est_series = idchain_count(&s->chain);
	if (st != IDCHAIN_LOOKUP)
		wake(s);
	return SOURCE_WAIT;
}

static enum source_state select_next(struct source_cursor *c, struct source_item *out)
{
	struct select *s = CONTAINER_OF(c, struct select, base);
	loop_check_here(s->shard->loop);
	switch (s->state) {
	case SELECT_CHOOSING:
		return choosing_step(s, out);
	case SELECT_LOADING:
		return SOURCE_WAIT;
	case SELECT_SERIES:
		return series_step(s, out);
	case SELECT_END:
		return s->base.err ? SOURCE_ERROR : SOURCE_END;
	}
	return SOURCE_END;
}

static void select_close(struct source_cursor *c)
{
	struct select *s = CONTAINER_OF(c, struct select, base);
	loop_check_here(s->shard->loop);
	s->closed = true;
	if (s->chain.state != IDCHAIN_LOOKUP && s->state != SELECT_LOADING)
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
	textset_init(&s->texts);
	unitread_init(&s->units, sh, q->t_min_ms, q->t_max_ms, loaded);
	idchain_open(&s->chain, sh, q, found);
	s->state = SELECT_CHOOSING;
	*out = &s->base;
	return ERR_OK;
}
