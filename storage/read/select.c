#include "storage/read/select.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "storage/meta/postings.h"
#include "storage/read/oldseries.h"
#include "storage/read/textset.h"
#include "storage/read/unitread.h"
#include "storage/store_priv.h"

#define SELECT_POSTINGS_BUDGET 2000u /* values looked at in one call */
#define SELECT_TRIES_MAX       64u   /* series without an item in one call */

enum select_state {
	SELECT_POSTINGS, /* active ids are being chosen, in steps */
	SELECT_LOOKUP,   /* the catalog is asked, on a worker */
	SELECT_SERIES,   /* active ids from pos on, then old ones from old_pos on */
	SELECT_LOADING,  /* units come from the disk */
	SELECT_END,
};
struct select {
	struct source_cursor base;
	struct shard *shard;
	const struct source_query *query;
	enum select_state state;
	bool closed; /* freed when what is with a worker has come back */
	struct postings_select *choosing;
	uint32_t *ids; /* active, ascending */
	size_t ids_count, pos;
	uint32_t *missed; /* of them: left memory before their turn came, ascending */
	size_t missed_count, missed_cap;
	bool have_old;
	struct oldseries old;
	size_t old_pos;
	struct unitread units;
	struct series_col acc, memory, one; /* result, what memory holds, one id's samples */
	uint8_t *labels; /* copy of the item's: the series may leave memory while the item is looked at */
	size_t labels_cap;
	struct textset texts;
};

static void wake(struct select *s)
{
	if (s->query->wake)
		s->query->wake(s->query->wake_arg);
}

static void destroy(struct select *s)
{
	if (s->choosing)
		postings_select_end(s->choosing);
	unitread_release(&s->units);
	series_col_release(&s->acc);
	series_col_release(&s->memory);
	series_col_release(&s->one);
	textset_release(&s->texts);
	if (s->have_old)
		oldseries_free(&s->old);
	mem_free(s->ids);
	mem_free(s->missed);
	mem_free(s->labels);
	mem_free(s);
}

/* ---- the two things that come back from workers ---- */

static void looked_up(struct oldseries *o)
{
	struct select *s = CONTAINER_OF(o, struct select, old);
	s->have_old = true;
	s->state = SELECT_SERIES;
	if (s->closed) {
		destroy(s);
		return;
	}
	s->base.est_series += o->count;
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

/* Everything of one id into *out. False: wait. */
static bool read_id(struct select *s, uint32_t id, struct series_col *out, enum err *err)
{
	const struct source_query *q = s->query;
	if (!unitread_series(&s->units, id, out))
		return false;
	const struct series *series = head_by_id(&s->shard->head, id);
	if (!series)
		return true;
	*err = series_read(series, q->t_min_ms, q->t_max_ms, &s->memory);
	if (!*err)
		unitread_merge(&s->units, out, &s->memory);
	return true;
}

/* The id and its older ones (same labels), the higher id winning. False: wait. */
static bool read_chain(struct select *s, uint32_t id, uint32_t older, enum err *err)
{
	if (!read_id(s, id, &s->acc, err))
		return false;
	while (older && !*err) {
		const struct oldseries_item *o = &s->old.items[older - 1];
		if (!read_id(s, o->id, &s->one, err))
			return false;
		/* acc holds the newer ids: one is older, so acc goes over it */
		struct series_col newer = s->acc;
		s->acc = s->one;
		s->one = newer;
		unitread_merge(&s->units, &s->acc, &s->one);
		older = o->older;
	}
	return true;
}

static bool in_range(struct select *s, uint32_t id, uint32_t older)
{
	const struct source_query *q = s->query;
	const struct series *series = head_by_id(&s->shard->head, id);
	int64_t t_min, t_max;
	if (series && series_bounds(series, &t_min, &t_max) && t_min <= q->t_max_ms &&
	    t_max >= q->t_min_ms)
		return true;
	if (unitread_has(&s->units, id))
		return true;
	for (; older; older = s->old.items[older - 1].older) {
		if (unitread_has(&s->units, s->old.items[older - 1].id))
			return true;
	}
	return false;
}

static struct labels copy_labels(struct select *s, struct labels ls)
{
	if (s->labels_cap < ls.len) {
		s->labels_cap = 2 * (size_t)ls.len;
		s->labels = mem_realloc(s->labels, s->labels_cap);
	}
	if (ls.len)
		memcpy(s->labels, ls.bytes, ls.len);
	return (struct labels){ .bytes = s->labels, .len = ls.len };
}

static int by_id(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

static void missed_note(struct select *s, uint32_t id)
{
	if (s->missed_count == s->missed_cap) {
		s->missed_cap = s->missed_cap ? 2 * s->missed_cap : 64;
		s->missed = mem_array(s->missed, s->missed_cap, sizeof(*s->missed));
	}
	s->missed[s->missed_count++] = id;
}

/* Series that were active when the ids were chosen have left memory since: the catalog is asked (again), leaving out all that was dealt with, chains of active ones included. */
static void look_up_missed(struct select *s)
{
	size_t n = 0, m = 0;
	for (size_t i = 0; i < s->ids_count; i++) {
		if (m < s->missed_count && s->missed[m] == s->ids[i])
			m++;
		else
			s->ids[n++] = s->ids[i];
	}
	s->missed_count = 0;
	if (s->have_old) {
		s->ids = mem_array(s->ids, n + s->old.count + 1, sizeof(*s->ids));
		for (size_t i = 0; i < s->old.count; i++)
			if (s->old.items[i].taken)
				s->ids[n++] = s->old.items[i].id;
		oldseries_free(&s->old);
		s->have_old = false;
	}
	qsort(s->ids, n, sizeof(*s->ids), by_id);
	s->pos = s->ids_count = n;
	s->state = SELECT_LOOKUP;
	oldseries_start(&s->old, s->shard, s->query, s->ids, n, looked_up);
}

/* The next series that was not dealt with yet; *older is the chain of its old ids. False at the end. */
static bool next_series(struct select *s, uint32_t *id, struct labels *ls, uint32_t *older)
{
	while (s->pos < s->ids_count) {
		const struct series *series = head_by_id(&s->shard->head, s->ids[s->pos]);
		*id = s->ids[s->pos];
		*older = 0;
		if (series && series->tenant == s->query->tenant) {
			*ls = series_labels(series);
			*older = s->have_old ? oldseries_find(&s->old, *ls) : 0;
			return true;
		}
		if (!series)
			missed_note(s, *id);
		s->pos++;
	}
	if (s->missed_count)
		return false;
	while (s->have_old && s->old_pos < s->old.count) {
		const struct oldseries_item *o = &s->old.items[s->old_pos];
		if (!o->joined) {
			*id = o->id;
			*ls = o->labels;
			*older = o->older;
			return true;
		}
		s->old_pos++;
	}
	return false;
}

static void advance(struct select *s)
{
	if (s->pos < s->ids_count)
		s->pos++;
	else
		s->old_pos++;
}

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

/* One series towards an item: READY gives it, WAIT waits, END means that this series gives none. */
static enum source_state try_series(
    struct select *s, uint32_t id, struct labels ls, uint32_t older, struct source_item *out)
{
	const struct source_query *q = s->query;
	if (q->what != SOURCE_SERIES_SAMPLES) {
		if (!in_range(s, id, older))
			return SOURCE_END;
		out->labels = copy_labels(s, ls);
		if (q->what == SOURCE_SERIES)
			return SOURCE_READY;
		return textset_take(&s->texts, q, out->labels) ? SOURCE_READY : SOURCE_END;
	}
	enum err err = ERR_OK;
	if (!read_chain(s, id, older, &err))
		return SOURCE_WAIT;
	if (err)
		return fail(s, err, "samples in memory are damaged");
	if (!s->acc.count)
		return SOURCE_END;
	out->labels = copy_labels(s, ls);
	out->col = (struct sample_column){
		.kind = SAMPLE_FLOAT, .count = s->acc.count, .t_ms = s->acc.t_ms, .v = s->acc.v
	};
	return SOURCE_READY;
}

static enum source_state series_step(struct select *s, struct source_item *out)
{
	if (textset_pop(&s->texts, out))
		return SOURCE_READY;
	unitread_sync(&s->units);
	uint32_t id, older;
	struct labels ls;
	for (unsigned tries = 0; next_series(s, &id, &ls, &older); tries++) {
		if (tries == SELECT_TRIES_MAX) {
			wake(s);
			return SOURCE_WAIT;
		}
		enum source_state st = try_series(s, id, ls, older, out);
		take_warnings(s);
		if (st == SOURCE_WAIT) {
			s->state = SELECT_LOADING;
			unitread_load(&s->units);
			return SOURCE_WAIT;
		}
		if (st == SOURCE_ERROR)
			return st;
		advance(s);
		if (st == SOURCE_READY &&
		    (s->query->what == SOURCE_SERIES || s->query->what == SOURCE_SERIES_SAMPLES ||
		        textset_pop(&s->texts, out)))
			return SOURCE_READY;
	}
	if (s->missed_count) {
		look_up_missed(s);
		return SOURCE_WAIT;
	}
	s->state = SELECT_END;
	return SOURCE_END;
}

/* A step of choosing the active ids; with the last one the catalog is asked, if it has to be. */
static enum source_state postings_step(struct select *s)
{
	enum postings_state st = postings_select_step(s->choosing, SELECT_POSTINGS_BUDGET);
	if (st == POSTINGS_FAILED)
		return fail(s, ERR_EXECUTION, "a label expression needs too many steps to match");
	if (st == POSTINGS_DONE) {
		s->ids = postings_select_ids(s->choosing, &s->ids_count);
		postings_select_end(s->choosing);
		s->choosing = NULL;
		s->base.est_series = s->ids_count;
		s->state = SELECT_SERIES;
		if (oldseries_needed(s->shard)) {
			s->state = SELECT_LOOKUP;
			oldseries_start(&s->old, s->shard, s->query, s->ids, s->ids_count, looked_up);
			return SOURCE_WAIT;
		}
	}
	wake(s);
	return SOURCE_WAIT;
}

static enum source_state select_next(struct source_cursor *c, struct source_item *out)
{
	struct select *s = CONTAINER_OF(c, struct select, base);
	loop_check_here(s->shard->loop);
	switch (s->state) {
	case SELECT_POSTINGS:
		return postings_step(s);
	case SELECT_LOOKUP:
	case SELECT_LOADING:
		return SOURCE_WAIT;
	case SELECT_SERIES:
		if (s->have_old && s->old.err)
			return fail(s, s->old.err,
			    s->old.eb.text[0] ? s->old.eb.text : "the catalog cannot be read");
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
	if (s->state != SELECT_LOOKUP && s->state != SELECT_LOADING)
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
	s->query = q;
	textset_init(&s->texts);
	unitread_init(&s->units, sh, q->t_min_ms, q->t_max_ms, loaded);
	s->state = SELECT_POSTINGS;
	*out = &s->base;
	s->choosing = postings_select_begin(head_postings(&sh->head), q->matchers, q->matchers_count);
	return ERR_OK;
}
