#include "tests/promql/ptest_store.h"

#include "core/rt/work.h"
#include "storage/store.h"
#include "tests/lib/testlib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct back {
	struct ptest_db_opts opts;
	struct work_pool *pool;
	struct store *store;
	unsigned store_number;
	char *store_dir;
};
/* scripts write at the epoch, and far behind it */
#define FAR_MS (INT64_C(400) * 365 * 86400 * 1000)

static enum err store_make(struct back *b, bool fresh, struct errbuf *eb)
{
	struct store_opts o;
	store_opts_default(&o);
	if (fresh) {
		free(b->store_dir);
		if (asprintf(&b->store_dir, "%s/store-%u", b->opts.dir, b->store_number++) < 0)
			abort();
		testlib_rmtree(b->store_dir);
	}
	o.dir = b->store_dir;
	o.team = b->opts.team;
	o.pool = b->pool;
	o.shards = b->opts.shards;
	o.sync = STORE_SYNC_OFF;
	o.retention_ms = FAR_MS;
	o.future_ms = FAR_MS;
	o.ooo_window_ms = FAR_MS;
	o.new_series_per_s = UINT64_MAX;
	o.min_free_bytes = 1;
	return store_open(&o, &b->store, eb);
}
static void store_drop(struct back *b)
{
	if (!b->store)
		return;
	store_close(b->store);
	testlib_rmtree(b->store_dir);
	b->store = NULL;
}

/*
 * Answers come to the main thread here. One box for all: a sender may still be at it when its
 * message has been taken.
 */
static struct mbox *answers(void)
{
	static struct mbox *box;
	if (!box && mbox_create(&box))
		panic("mbox_create");
	return box;
}
static void await(void)
{
	while (!mbox_take(answers()))
		mbox_wait(answers(), -1);
}

struct append { /* one batch on its way through the sink */
	struct sink_req req;
	struct mbox_msg msg;
	struct sink *sink;
};
static void append_done(struct sink_req *req)
{
	mbox_send(answers(), &CONTAINER_OF(req, struct append, req)->msg);
}
static void append_start(void *arg)
{
	struct append *a = arg;
	sink_append(a->sink, &a->req);
}

static enum err append(struct back *b, struct batch *batch, struct errbuf *eb)
{
	struct append a = { .req = { .batch = batch, .done = append_done },
		.sink = store_sink(b->store) };
	answers();
	team_run_on(b->opts.team, 0, append_start, &a);
	await();
	if (a.req.err)
		return errbuf_set(eb, a.req.err, "append: %s", err_text(a.req.err));
	if (a.req.refused)
		return errbuf_set(eb, ERR_BADDATA, "append: %s", a.req.first_text);
	return ERR_OK;
}

struct flush {
	struct store_flush_req req;
	struct mbox_msg msg;
	struct store *store;
};
static void flush_done(struct store_flush_req *req)
{
	mbox_send(answers(), &CONTAINER_OF(req, struct flush, req)->msg);
}
static void flush_start(void *arg)
{
	struct flush *f = arg;
	store_flush(f->store, &f->req);
}

static enum err flush(struct back *b, struct errbuf *eb)
{
	struct flush f = { .req = { .done = flush_done }, .store = b->store };
	team_run_on(b->opts.team, 0, flush_start, &f);
	await();
	return f.req.err ? errbuf_set(eb, f.req.err, "flush: %s", err_text(f.req.err)) : ERR_OK;
}

static enum err reopen(struct back *b, struct errbuf *eb)
{
	store_close(b->store);
	b->store = NULL;
	return store_make(b, false, eb);
}

/* A row; extras stand in the arena until the batch is used. */
static enum err add_row(struct arena *a, struct batch *b, const struct ptest_loaded *l,
    const struct ptest_sample *s, struct errbuf *eb)
{
	struct batch_row *row = batch_add(b);
	*row = (struct batch_row){
		.labels = l->labels.bytes, .labels_len = l->labels.len, .t_ms = s->t_ms, .v = s->v
	};
	if (!s->h && !s->start_ms)
		return ERR_OK;
	struct batch_extra *x = arena_alloc(a, sizeof(*x));
	*x = (struct batch_extra){ .v = s->v, .hist = s->h, .start_ms = s->start_ms };
	struct errbuf why;
	errbuf_init(&why);
	if (s->h && hist_check(s->h, &why))
		return errbuf_set(eb, ERR_BADDATA, "line %u: %s", l->line, why.text);
	batch_row_extra(b, row, x);
	return ERR_OK;
}

static enum err back_load(
    void *state, const struct ptest_loaded *series, size_t count, struct errbuf *eb)
{
	struct batch b;
	struct arena a;
	enum err e = ERR_OK;
	arena_init(&a, 4096);
	batch_init(&b);
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < series[i].count && !e; k++)
			e = add_row(&a, &b, &series[i], &series[i].samples[k], eb);
		b.series_count++;
	}
	if (!e && b.rows_count)
		e = append(state, &b, eb);
	batch_release(&b);
	arena_release(&a);
	struct back *back = state;
	if (!e && back->opts.flush)
		e = flush(back, eb);
	if (!e && back->opts.reopen)
		e = reopen(back, eb);
	return e;
}

static enum err back_clear(void *state, struct errbuf *eb)
{
	store_drop(state);
	return store_make(state, true, eb);
}
static void back_close(void *state)
{
	struct back *b = state;
	store_drop(b);
	work_stop(b->pool);
	work_free(b->pool);
	free(b->store_dir);
	mem_free(b);
}
static enum err back_open(const struct ptest_db_opts *o, void **state, struct errbuf *eb)
{
	struct back *b = mem_zalloc(sizeof(*b));
	b->opts = *o;
	enum err e = work_create(4, &b->pool);
	if (!e)
		e = store_make(b, true, eb);
	*state = b;
	return e;
}
static struct source *back_source(void *state)
{
	return store_source(((struct back *)state)->store);
}

const struct ptest_back ptest_store = { back_open, back_close, back_clear, back_load, back_source,
	NULL };
const int64_t ptest_store_wall_ms = FAR_MS / 2;
