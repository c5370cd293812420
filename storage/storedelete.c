#include "storage/storedelete.h"

#include <roaring/roaring.h>

#include "core/base/arena.h"
#include "storage/back/back.h"
#include "storage/read/idchain.h"
#include "storage/store_priv.h"

/* Where selectors have no bound differences of times must not overflow. */
#define TIME_MIN (INT64_MIN / 2)
#define TIME_MAX (INT64_MAX / 2)
#define IDS_STEP 1024u /* between two looks at the clock */

struct part { /* of one shard */
	struct mbox_msg msg;
	struct loop_deferred end;
	struct store_delete_req *req;
	struct shard *shard;
	struct job job;
	size_t at; /* its selector of now */
	bool open; /* the chain is */
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
	mem_free(p->ids);
	mem_free(p);
	if (!--r->_open)
		r->done(r);
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

static void deleted(struct back_deletion *d, enum err err)
{
	struct part *p = CONTAINER_OF(d, struct part, deletion);
	p->eb = d->eb;
	part_end(p, err);
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
	roaring_bitmap_or_inplace(p->all, c->chosen);
	idchain_close(&p->chain);
	p->open = false;
	p->old_at = 0;
	p->at++;
	return true;
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

static enum job_state choose(struct job *j)
{
	struct part *p = CONTAINER_OF(j, struct part, job);
	while (p->at < p->req->selectors_count && !p->err) {
		if (!p->open)
			chain_open(p);
		switch (idchain_choose(&p->chain)) {
		case IDCHAIN_CHOOSING:
			if (job_should_yield())
				return JOB_YIELD;
			break;
		case IDCHAIN_LOOKUP:
			return JOB_WAIT;
		case IDCHAIN_READY:
		case IDCHAIN_LABELS:
			if (!chain_take(p))
				return JOB_YIELD;
			break;
		case IDCHAIN_FAILED:
			p->err = p->chain.err;
			p->eb = p->chain.eb;
			idchain_close(&p->chain);
			break;
		}
	}
	if (p->err) {
		roaring_bitmap_free(p->all);
		part_end(p, p->err);
		return JOB_DONE;
	}
	if (!ids_list(p))
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

void store_delete(struct store *st, struct store_delete_req *r)
{
	r->_from = loop_here();
	r->err = ERR_OK;
	r->series = 0;
	errbuf_init(&r->eb);
	r->_open = st->manifest.shards;
	for (unsigned i = 0; i < st->manifest.shards; i++) {
		struct part *p = mem_zalloc(sizeof(*p));
		p->req = r;
		p->shard = st->shards[i];
		errbuf_init(&p->eb);
		p->msg.fn = part_begin;
		loop_send(p->shard->loop, &p->msg);
	}
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
	if (!--r->_open)
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
	r->err = ERR_OK;
	r->_open = st->manifest.shards;
	for (unsigned i = 0; i < st->manifest.shards; i++) {
		struct clean *c = mem_zalloc(sizeof(*c));
		c->req = r;
		c->shard = st->shards[i];
		c->msg.fn = clean_begin;
		loop_send(c->shard->loop, &c->msg);
	}
}
