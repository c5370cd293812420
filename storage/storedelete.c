#include "storage/storedelete.h"

#include <roaring/roaring.h>
#include <string.h>

#include "core/base/arena.h"
#include "storage/asidebook.h"
#include "storage/back/back.h"
#include "storage/cardgone.h"
#include "storage/marks.h"
#include "storage/read/idchain.h"
#include "storage/store_priv.h"

/* Where selectors have no bound differences of times must not overflow. */
#define TIME_MIN   (INT64_MIN / 2)
#define TIME_MAX   (INT64_MAX / 2)
#define IDS_STEP   1024u /* between two looks at the clock */
#define NAMES_STEP 128u

struct deleting { /* the names that a deletion may take along; loop 0 has them before and behind */
	struct mbox_msg msg;
	struct store_delete_req *req;
	struct marks_forget forget;
	enum err err;
};

struct part { /* of one shard */
	struct mbox_msg msg;
	struct loop_deferred end;
	struct store_delete_req *req;
	struct shard *shard;
	struct job job;
	size_t at;              /* its selector of now */
	bool open, touching;    /* open: the chain is; touching: its old ids' labels are read */
	struct cardgone *names; /* NULL: none may go */
	struct cardgone_part names_part;
	struct source_query query;
	struct idchain chain;
	size_t old_at; /* of the chain's old ids, those before it are taken */
	roaring_bitmap_t *all;
	roaring_uint32_iterator_t *listing; /* all -> ids */
	uint32_t *ids;
	size_t count, listed;
	struct back_deletion deletion;
	enum err err;
	struct errbuf eb;
};

static void names_end(struct store_delete_req *r);

/* ---- the whole of it ---- */

static void end(struct store_delete_req *r)
{
	store_here(r->_store)->deletions--;
	r->done(r);
}

/* ---- home ---- */

static void home(struct mbox_msg *msg)
{
	struct part *p = CONTAINER_OF(msg, struct part, msg);
	struct store_delete_req *r = p->req;
	if (p->err && !r->err) {
		r->err = p->err;
		r->eb = p->eb;
	}
	r->series += p->count;
	if (p->names) {
		cardgone_join(p->names, &p->names_part, p->count);
		cardgone_part_release(&p->names_part);
	}
	mem_free(p->ids);
	mem_free(p);
	if (--r->_open)
		return;
	if (r->_names)
		names_end(r);
	else
		end(r);
}

static void go_home(struct loop_deferred *d)
{
	struct part *p = CONTAINER_OF(d, struct part, end);
	p->shard->cursors--; /* store_close waits for this */
	p->msg.fn = home;
	loop_send(p->req->_from, &p->msg);
}

static void part_end(struct part *p, enum err err)
{
	p->err = err;
	if (err && !p->eb.text[0])
		(void)errbuf_set(&p->eb, err, "%s", err_text(err));
	p->end.fn = go_home;
	loop_defer(loop_here(), &p->end); /* its job may be in its last slice */
}

static const struct postings *postings_of(const struct part *p)
{
	return head_postings(&p->shard->head, p->req->tenant);
}

/* Which names are left, whatever became of the deletion. */
static enum job_state look_after(struct job *j)
{
	struct part *p = CONTAINER_OF(j, struct part, job);
	while (!cardgone_look(p->names, &p->names_part, postings_of(p), true, NAMES_STEP))
		if (job_should_yield())
			return JOB_YIELD;
	part_end(p, p->err);
	return JOB_DONE;
}

/* Its job is over, or in its last slice. */
static void look_begin(struct loop_deferred *d)
{
	struct part *p = CONTAINER_OF(d, struct part, end);
	job_init(&p->job, JOB_QUERY, look_after);
	job_start(p->shard->loop, &p->job);
}

static void part_over(struct part *p, enum err err)
{
	if (!p->names) {
		part_end(p, err);
		return;
	}
	p->err = err;
	p->end.fn = look_begin;
	loop_defer(loop_here(), &p->end);
}

static void deleted(struct back_deletion *d, enum err err)
{
	struct part *p = CONTAINER_OF(d, struct part, deletion);
	p->eb = d->eb;
	part_over(p, err);
}

/* ---- choosing ---- */

static void found(struct idchain *c)
{
	job_wake(&CONTAINER_OF(c, struct part, chain)->job);
}

static void chain_open(struct part *p)
{
	const struct store_delete_req *r = p->req;
	const struct store_selector *s = &r->selectors[p->at];
	p->query = (struct source_query){ .what = SOURCE_SERIES,
		.tenants = &r->tenant,
		.tenants_count = 1,
		.t_min_ms = r->t_min_ms < TIME_MIN ? TIME_MIN : r->t_min_ms,
		.t_max_ms = r->t_max_ms > TIME_MAX ? TIME_MAX : r->t_max_ms,
		.matchers = s->matchers,
		.matchers_count = s->count };
	idchain_open(&p->chain, p->shard, &p->query, found);
	p->open = true;
}

/* False: it goes on in another turn. */
static bool chain_take(struct part *p)
{
	const struct idchain *c = &p->chain;
	while (p->old_at < c->old.count) {
		for (unsigned n = 0; n < IDS_STEP && p->old_at < c->old.count; n++)
			roaring_bitmap_add(p->all, c->old.items[p->old_at++].id);
		if (job_should_yield())
			return false;
	}
	if (!p->touching) {
		roaring_bitmap_or_inplace(p->all, c->chosen);
		p->touching = p->names && c->old.count;
		if (p->touching)
			idchain_skip_active(&p->chain);
	}
	return !p->touching;
}

static void chain_close(struct part *p)
{
	idchain_close(&p->chain);
	p->open = p->touching = false;
	p->old_at = 0;
	p->at++;
}

/*
 * The labels of series that are not in memory, for their names. False: more come, when it is called
 * again or the chain has found them (*waits).
 */
static bool chain_touch(struct part *p, bool *waits)
{
	for (unsigned n = 0; n < NAMES_STEP; n++) {
		switch (idchain_next(&p->chain)) {
		case IDCHAIN_SERIES:
			cardgone_touch(p->names, &p->names_part, p->chain.labels);
			idchain_done(&p->chain);
			break;
		case IDCHAIN_AGAIN:
			break;
		case IDCHAIN_WAIT:
			*waits = true;
			return false;
		case IDCHAIN_ERROR:
			p->err = p->chain.err;
			p->eb = p->chain.eb;
			return true;
		case IDCHAIN_END:
			return true;
		}
	}
	return false;
}

/* The same. */
static bool ids_list(struct part *p)
{
	if (!p->listing) {
		p->count = (size_t)roaring_bitmap_get_cardinality(p->all);
		p->ids = mem_array(NULL, p->count + 1, sizeof(*p->ids));
		p->listing = roaring_create_iterator(p->all);
	}
	while (p->listed < p->count) {
		p->listed += roaring_read_uint32_iterator(p->listing, p->ids + p->listed, IDS_STEP);
		if (job_should_yield())
			return false;
	}
	roaring_free_uint32_iterator(p->listing);
	roaring_bitmap_free(p->all);
	return true;
}

static void delete_begin(struct part *p)
{
	const struct store_delete_req *r = p->req;
	p->deletion = (struct back_deletion){ .ids = p->ids,
		.count = p->count,
		.tenant = r->tenant,
		.t_min_ms = r->t_min_ms,
		.t_max_ms = r->t_max_ms,
		.done = deleted };
	back_delete(p->shard, &p->deletion);
}

/* JOB_DONE: the selectors' ids are all known, or p->err. */
static enum job_state chains(struct part *p)
{
	bool waits = false;
	while (p->at < p->req->selectors_count && !p->err) {
		if (!p->open)
			chain_open(p);
		if (p->touching) {
			if (chain_touch(p, &waits))
				chain_close(p);
			else if (waits)
				return JOB_WAIT;
			else if (job_should_yield())
				return JOB_YIELD;
			continue;
		}
		switch (idchain_choose(&p->chain)) {
		case IDCHAIN_CHOOSING:
			if (job_should_yield())
				return JOB_YIELD;
			break;
		case IDCHAIN_LOOKUP:
			return JOB_WAIT;
		case IDCHAIN_READY:
		case IDCHAIN_LABELS:
			if (chain_take(p))
				chain_close(p);
			else if (!p->touching)
				return JOB_YIELD;
			break;
		case IDCHAIN_FAILED:
			p->err = p->chain.err;
			p->eb = p->chain.eb;
			idchain_close(&p->chain);
			break;
		}
	}
	return JOB_DONE;
}

static enum job_state choose(struct job *j)
{
	struct part *p = CONTAINER_OF(j, struct part, job);
	enum job_state state = chains(p);
	if (state != JOB_DONE)
		return state;
	if (p->err) {
		roaring_bitmap_free(p->all);
		part_over(p, p->err);
		return JOB_DONE;
	}
	if (!ids_list(p))
		return JOB_YIELD;
	while (
	    p->names && !cardgone_look(p->names, &p->names_part, postings_of(p), false, NAMES_STEP))
		if (job_should_yield())
			return JOB_YIELD;
	delete_begin(p);
	return JOB_DONE;
}

static void part_begin(struct mbox_msg *msg)
{
	struct part *p = CONTAINER_OF(msg, struct part, msg);
	p->shard->cursors++;
	p->all = roaring_bitmap_create();
	if (!p->all)
		panic("out of memory: bitmap");
	job_init(&p->job, JOB_QUERY, choose);
	job_start(p->shard->loop, &p->job);
}

static void parts_begin(struct store_delete_req *r)
{
	struct store *st = r->_store;
	struct cardgone *names = r->_names ? r->_names->forget.gone : NULL;
	r->_open = st->manifest.shards;
	for (unsigned i = 0; i < st->manifest.shards; i++) {
		struct part *p = mem_zalloc(sizeof(*p));
		p->req = r;
		p->shard = st->shards[i];
		if (names && cardgone_count(names)) {
			p->names = names;
			cardgone_part_init(names, &p->names_part);
		}
		errbuf_init(&p->eb);
		p->msg.fn = part_begin;
		loop_send(p->shard->loop, &p->msg);
	}
}

/* ---- names ---- */

static void names_home(struct mbox_msg *msg)
{
	struct deleting *d = CONTAINER_OF(msg, struct deleting, msg);
	struct store_delete_req *r = d->req;
	mem_free(d);
	end(r);
}

static void names_forget(struct mbox_msg *msg)
{
	struct deleting *d = CONTAINER_OF(msg, struct deleting, msg);
	d->msg.fn = names_home;
	marks_forget_end(d->req->_store->marks, &d->forget);
	loop_send(d->req->_from, &d->msg);
}

static void names_end(struct store_delete_req *r)
{
	r->_names->msg.fn = names_forget;
	loop_send(r->_store->shares[0]->loop, &r->_names->msg);
}

static void names_here(struct mbox_msg *msg)
{
	struct deleting *d = CONTAINER_OF(msg, struct deleting, msg);
	struct store_delete_req *r = d->req;
	if (!d->err) {
		parts_begin(r);
		return;
	}
	r->err = errbuf_set(&r->eb, d->err,
	    "the file CARDINALITY, which may name what is deleted, cannot be removed: %s",
	    err_why(d->err));
	mem_free(d);
	end(r);
}

static void names_ready(struct marks_forget *f, enum err err)
{
	struct deleting *d = CONTAINER_OF(f, struct deleting, forget);
	d->err = err;
	d->msg.fn = names_here;
	loop_send(d->req->_from, &d->msg);
}

static void names_begin(struct mbox_msg *msg)
{
	struct deleting *d = CONTAINER_OF(msg, struct deleting, msg);
	marks_forget_begin(d->req->_store->marks, &d->forget);
}

static void shards_begin(struct store_delete_req *r)
{
	if (r->t_min_ms != INT64_MIN || r->t_max_ms != INT64_MAX) {
		parts_begin(r);
		return;
	}
	struct deleting *d = mem_zalloc(sizeof(*d));
	d->req = r;
	d->forget = (struct marks_forget){ .tenant = r->tenant, .ready = names_ready };
	d->msg.fn = names_begin;
	r->_names = d;
	loop_send(r->_store->shares[0]->loop, &d->msg);
}

/* ---- while a part of the log lies aside ---- */

struct noting { /* in the book, before any shard begins */
	struct work_task task;
	struct store *store;
	struct store_delete_req *req;
};

static void note_run(struct work_task *t)
{
	const struct noting *n = CONTAINER_OF(t, struct noting, task);
	struct store_delete_req *r = n->req;
	struct arena a;
	arena_init(&a, 1024);
	struct asidebook_selector *s = arena_array(&a, r->selectors_count + 1, sizeof(*s));
	for (size_t i = 0; i < r->selectors_count; i++) {
		const struct store_selector *from = &r->selectors[i];
		s[i].count = from->count;
		s[i].matchers = arena_array(&a, from->count + 1, sizeof(struct matcher));
		if (from->count)
			memcpy(s[i].matchers, from->matchers, from->count * sizeof(struct matcher));
	}
	struct asidebook_cut cut = { .tenant = r->tenant,
		.t_min_ms = r->t_min_ms,
		.t_max_ms = r->t_max_ms,
		.selectors = s,
		.selectors_count = r->selectors_count };
	struct store *st = n->store;
	r->err = asidebook_delete(&st->book, st->dir, &cut, &r->eb);
	/* as for the deletion's own file (back/deletion.c): it makes room */
	if (r->err == ERR_NOSPACE && space_reserve_give(&st->space, "a deletion of series")) {
		errbuf_init(&r->eb);
		r->err = asidebook_delete(&st->book, st->dir, &cut, &r->eb);
	}
	arena_release(&a);
}

static void noted(struct work_task *t)
{
	struct noting *n = CONTAINER_OF(t, struct noting, task);
	struct store_delete_req *r = n->req;
	mem_free(n);
	if (r->err)
		end(r);
	else
		shards_begin(r);
}

void store_delete(struct store *st, struct store_delete_req *r)
{
	r->_from = loop_here();
	r->_store = st;
	r->_names = NULL;
	r->err = ERR_OK;
	r->series = 0;
	errbuf_init(&r->eb);
	store_here(st)->deletions++; /* store_close waits for this */
	if (LIKELY(!asidebook_waits(&st->book))) {
		shards_begin(r);
		return;
	}
	struct noting *n = mem_zalloc(sizeof(*n));
	*n = (struct noting){
		.task = { .run = note_run, .done = noted, .lane = ASIDEBOOK_LANE, .prio = WORK_READ },
		.store = st,
		.req = r
	};
	work_submit(st->opts.pool, &n->task);
}

/* ---- files without what was deleted ---- */

struct clean { /* one shard */
	struct mbox_msg msg;
	struct store_clean_req *req;
	struct shard *shard;
	enum err err;
};

static void clean_home(struct mbox_msg *msg)
{
	struct clean *c = CONTAINER_OF(msg, struct clean, msg);
	struct store_clean_req *r = c->req;
	if (c->err && !r->err)
		r->err = c->err;
	mem_free(c);
	if (--r->_open)
		return;
	store_here(r->_store)->deletions--;
	r->done(r);
}

static void cleaned(void *arg, enum err err)
{
	struct clean *c = arg;
	c->err = err;
	c->msg.fn = clean_home;
	loop_send(c->req->_from, &c->msg);
}

static void clean_begin(struct mbox_msg *msg)
{
	struct clean *c = CONTAINER_OF(msg, struct clean, msg);
	back_purge(c->shard, cleaned, c);
}

void store_clean(struct store *st, struct store_clean_req *r)
{
	r->_from = loop_here();
	r->_store = st;
	r->err = ERR_OK;
	r->_open = st->manifest.shards;
	store_here(st)->deletions++;
	for (unsigned i = 0; i < st->manifest.shards; i++) {
		struct clean *c = mem_zalloc(sizeof(*c));
		c->req = r;
		c->shard = st->shards[i];
		c->msg.fn = clean_begin;
		loop_send(c->shard->loop, &c->msg);
	}
}
