#include "net/api/estimate.h"

#include "core/base/arena.h"
#include "core/base/hash.h"
#include "core/rt/job.h"
#include "net/api/outlook.h"

#include <string.h>

struct estimate_told { /* of one ask on one shard */
	struct distinct *groups;
	struct estimate_values *values;
	uint32_t partial; /* bits by name: there are values that were not told */
	uint32_t missed;  /* bits by key: as in estimate_ask */
};
struct estimate_piece { /* of a shard */
	struct estimate *of;
	struct mbox_msg msg, cancel_msg;
	struct loop_deferred leave;
	struct loop *loop;
	struct job job;
	unsigned shard;
	struct source_query query;
	struct source_cursor *cursor;
	size_t at;
	struct source_forecast *told; /* by ask */
	struct source_survey survey;
	struct ql_shape_room room;
	struct estimate_told *found; /* by ask */
	bool first;                  /* of its loop */
	struct outlook_pace pace;
	bool cancel;
	enum err err;
	struct errbuf eb;
};

/* ---- groups ---- */

static void series_seen(void *arg, uint32_t tenant, struct labels labels, bool in)
{
	(void)tenant;
	struct estimate_piece *p = arg;
	const struct estimate_ask *a = &p->of->asks[p->at];
	struct estimate_told *t = &p->found[p->at];
	for (const struct ql_trace_key *k = a->keys; k; k = k->next) {
		distinct_add(&t->groups[k->index], ql_shape_hash(k->shape, labels, &p->room), 1, in);
		t->missed |= (uint32_t)p->room.missed << k->index;
	}
	for (size_t i = 0; i < a->names_count; i++) {
		uint32_t len = 0;
		const char *v = label_get(labels, a->names[i], strlen(a->names[i]), &len);
		if (v && t->values[i].seen.used <= SOURCE_SURVEY_VALUES)
			distinct_add(&t->values[i].seen, hash64(v, len, 0), 1, 1);
	}
}

static void value_seen(void *arg, size_t name, const char *text, size_t len)
{
	struct estimate_piece *p = arg;
	struct estimate_values *v = &p->found[p->at].values[name];
	if (text)
		distinct_add(&v->seen, hash64(text, len, 0), 1, 1);
	else
		v->all = true;
}

/* Of one tenant. What was not told of any is not known of all. */
static void values_end(struct estimate_piece *p, const struct source_forecast *f)
{
	const struct estimate_ask *a = &p->of->asks[p->at];
	struct estimate_told *t = &p->found[p->at];
	bool each = f->surveyed == f->series_most;
	for (size_t i = 0; i < a->names_count; i++) {
		struct estimate_values *v = &t->values[i];
		bool all = (each || v->all) && v->seen.used <= SOURCE_SURVEY_VALUES;
		v->all = false;
		if (!all)
			t->partial |= 1u << i;
	}
}

static void found_make(struct estimate_piece *p, struct arena *a)
{
	const struct estimate *e = p->of;
	p->found = arena_zalloc(a, (e->count + 1) * sizeof(*p->found));
	for (size_t i = 0; i < e->count; i++) {
		struct estimate_told *t = &p->found[i];
		t->groups = arena_zalloc(a, (e->asks[i].keys_count + 1) * sizeof(*t->groups));
		t->values = arena_zalloc(a, (e->asks[i].names_count + 1) * sizeof(*t->values));
	}
}

static void found_home(struct estimate_ask *a, struct estimate_told *t)
{
	for (unsigned k = 0; k < a->keys_count; k++) {
		distinct_join(&a->groups[k], &t->groups[k]);
		distinct_release(&t->groups[k]);
	}
	a->missed |= t->missed;
	for (size_t i = 0; i < a->names_count; i++) {
		distinct_join(&a->values[i].seen, &t->values[i].seen);
		distinct_release(&t->values[i].seen);
		a->values[i].all &= !(t->partial & 1u << i);
	}
}

static void one_home(struct estimate *e)
{
	if (--e->_out == 0)
		e->done(e->arg);
}

static void piece_home(struct mbox_msg *m)
{
	struct estimate_piece *p = CONTAINER_OF(m, struct estimate_piece, msg);
	struct estimate *e = p->of;
	if (p->err && !e->err) {
		e->err = p->err;
		e->eb = p->eb;
	}
	for (size_t i = 0; i < e->count; i++) {
		outlook_gather(&e->asks[i].told, &p->told[i]);
		e->asks[i].columns += p->told[i].column;
		found_home(&e->asks[i], &p->found[i]);
	}
	ql_shape_room_release(&p->room);
	outlook_add(&e->pace, &p->pace);
	one_home(e);
}

static void leave(struct loop_deferred *d)
{
	struct estimate_piece *p = CONTAINER_OF(d, struct estimate_piece, leave);
	p->msg.fn = piece_home;
	loop_send(p->of->_home, &p->msg);
}

static void close_cursor(struct estimate_piece *p)
{
	if (p->cursor)
		p->cursor->ops->close(p->cursor);
	p->cursor = NULL;
}

static enum job_state finish(struct estimate_piece *p, enum err e)
{
	close_cursor(p);
	p->err = e;
	p->leave.fn = leave;
	loop_defer(p->loop, &p->leave);
	return JOB_DONE;
}

static void wake(void *arg)
{
	struct estimate_piece *p = arg;
	job_wake(&p->job);
}

static enum err open_next(struct estimate_piece *p)
{
	const struct estimate *e = p->of;
	const struct estimate_ask *a = &e->asks[p->at];
	p->survey = (struct source_survey){ .most = e->_most,
		.series = series_seen,
		.names = a->names,
		.names_count = a->names_count,
		.value = value_seen,
		.arg = p };
	p->query = (struct source_query){ .what = SOURCE_FORECAST,
		.tenants = e->tenants,
		.tenants_count = e->tenants_count,
		.t_min_ms = a->t_min_ms,
		.t_max_ms = a->t_max_ms,
		.matchers = a->matchers,
		.matchers_count = a->matchers_count,
		.survey = a->keys ? &p->survey : NULL,
		.wake = wake,
		.wake_arg = p };
	return e->source->ops->open(e->source, p->shard, &p->query, &p->cursor);
}

/* A selector has an item for each tenant. */
static enum err take_next(struct estimate_piece *p, bool *waits)
{
	struct source_item item = { .forecast = NULL };
	enum err e = p->cursor ? ERR_OK : open_next(p);
	if (e)
		return e;
	switch (p->cursor->ops->next(p->cursor, &item)) {
	case SOURCE_READY:
		if (!item.forecast) /* a source that tells nothing */
			return ERR_UNSUPPORTED;
		outlook_gather(&p->told[p->at], item.forecast);
		values_end(p, item.forecast);
		break;
	case SOURCE_AGAIN:
		break;
	case SOURCE_WAIT:
		*waits = true;
		break;
	case SOURCE_END:
		close_cursor(p);
		p->at++;
		break;
	case SOURCE_ERROR:
		p->eb = p->cursor->eb;
		return p->cursor->err;
	}
	return ERR_OK;
}

static enum job_state piece_run(struct job *j)
{
	struct estimate_piece *p = CONTAINER_OF(j, struct estimate_piece, job);
	const struct estimate *of = p->of;
	bool waits = false;
	while (p->at < of->count) {
		enum err e = p->cancel ? ERR_CANCELED : take_next(p, &waits);
		if (e)
			return finish(p, e);
		if (waits)
			return JOB_WAIT;
		if (job_should_yield())
			return JOB_YIELD;
	}
	if (p->first && of->pace_of)
		p->pace = *of->pace_of(of->arg, p->loop);
	return finish(p, ERR_OK);
}

static void piece_begin(struct mbox_msg *m)
{
	struct estimate_piece *p = CONTAINER_OF(m, struct estimate_piece, msg);
	job_init(&p->job, JOB_QUERY, piece_run);
	job_group(&p->job, p->of->ticket);
	p->job.what = p->of->what;
	p->job.what_len = p->of->what_len;
	job_start(p->loop, &p->job);
}

static void groups_make(struct estimate *e, unsigned shards, struct arena *a)
{
	size_t keys = 1;
	for (size_t i = 0; i < e->count; i++) {
		struct estimate_ask *k = &e->asks[i];
		keys += k->keys_count;
		k->groups = arena_zalloc(a, (k->keys_count + 1) * sizeof(*k->groups));
		k->values = arena_zalloc(a, (k->names_count + 1) * sizeof(*k->values));
		for (size_t n = 0; n < k->names_count; n++)
			k->values[n].all = true;
		CHECK(k->names_count <= ESTIMATE_NAMES && k->keys_count <= QL_TRACE_KEYS_MOST);
	}
	size_t most = ESTIMATE_SERIES / keys / shards / (e->tenants_count ? e->tenants_count : 1);
	e->_most = most > ESTIMATE_MOST ? ESTIMATE_MOST
	    : most < ESTIMATE_LEAST     ? ESTIMATE_LEAST
	                                : (uint32_t)most;
}

void estimate_release(struct estimate *e)
{
	for (size_t i = 0; i < e->count && e->_pieces; i++) {
		struct estimate_ask *a = &e->asks[i];
		for (unsigned k = 0; k < a->keys_count; k++)
			distinct_release(&a->groups[k]);
		for (size_t n = 0; n < a->names_count; n++)
			distinct_release(&a->values[n].seen);
	}
}

void estimate_start(struct estimate *e, struct arena *a)
{
	unsigned shards = e->source->ops->shards(e->source);
	groups_make(e, shards, a);
	e->_home = loop_here();
	e->_pieces = arena_zalloc(a, shards * sizeof(*e->_pieces));
	e->_out = shards;
	errbuf_init(&e->eb);
	for (unsigned i = 0; i < shards; i++) {
		struct estimate_piece *p = &e->_pieces[i];
		p->of = e;
		p->shard = i;
		p->loop = e->source->ops->loop_of(e->source, i);
		p->told = arena_zalloc(a, (e->count + 1) * sizeof(*p->told));
		p->first = true;
		for (unsigned k = 0; k < i && p->first; k++)
			p->first = e->_pieces[k].loop != p->loop;
		errbuf_init(&p->eb);
		ql_shape_room_init(&p->room);
		found_make(p, a);
		p->msg.fn = piece_begin;
		loop_send(p->loop, &p->msg);
	}
}

static void cancel_home(struct mbox_msg *m)
{
	struct estimate_piece *p = CONTAINER_OF(m, struct estimate_piece, cancel_msg);
	one_home(p->of);
}

static void cancel_there(struct mbox_msg *m)
{
	struct estimate_piece *p = CONTAINER_OF(m, struct estimate_piece, cancel_msg);
	p->cancel = true;
	job_wake(&p->job);
	m->fn = cancel_home;
	loop_send(p->of->_home, m);
}

void estimate_cancel(struct estimate *e)
{
	unsigned shards = e->source->ops->shards(e->source);
	if (e->err == ERR_CANCELED || !e->_out)
		return;
	e->err = ERR_CANCELED;
	e->_out += shards;
	for (unsigned i = 0; i < shards; i++) {
		e->_pieces[i].cancel_msg.fn = cancel_there;
		loop_send(e->_pieces[i].loop, &e->_pieces[i].cancel_msg);
	}
}
