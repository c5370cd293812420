#include "net/api/scan.h"

#include "core/base/wire.h"
#include "core/rt/job.h"

#include <stdlib.h>

#define ITEMS_PER_LOOK 16u /* between looks at the clock */
#define WARNINGS_MAX   4u
#define NS_PER_MS      1000000u
#define ITEM_HEAD      4u /* length before each item */

struct piece { /* of one shard: made at home, filled on the shard's loop, read at home */
	struct scan *scan;
	struct mbox_msg msg, cancel_msg;
	struct loop_deferred leave;
	struct loop *loop;
	struct job job;
	unsigned shard;
	size_t set;
	struct source_query query;
	struct source_cursor *cursor;
	struct buf items; /* length, bytes, length, bytes */
	uint64_t count;
	bool cancel, truncated;
	enum err err;
	struct errbuf eb;
	char *warning; /* first one, or NULL */
};
struct item {
	const uint8_t *bytes; /* behind its length */
	uint32_t len;
};
struct scan {
	struct api *api;
	struct scan_opts o;
	struct loop *home;
	uint64_t deadline_ns, piece_items_max;
	size_t piece_bytes_max;
	size_t out; /* messages that are not home yet */
	struct work_task merge;
	bool cancelled, truncated;
	enum err err;
	struct errbuf eb;
	struct item *items;
	size_t count;
	unsigned pieces_count;
	struct piece pieces[];
};

static void piece_begin(struct mbox_msg *m);
static enum job_state piece_run(struct job *j);
static void piece_home(struct mbox_msg *m);
static void one_home(struct scan *s);
static void merge_on_worker(struct work_task *t);
static void merged(struct work_task *t);

/* --- home --- */

struct scan *scan_start(struct api *a, const struct scan_opts *o)
{
	struct source *src = a->source;
	unsigned shards = src->ops->shards(src);
	struct scan *s = mem_zalloc(sizeof(*s) + shards * sizeof(s->pieces[0]));
	s->api = a;
	s->o = *o;
	s->home = loop_here();
	s->pieces_count = shards;
	s->deadline_ns = loop_now_ns(s->home) + (uint64_t)API_META_MS_MAX * NS_PER_MS;
	uint64_t most = limits_here()->query_items;
	if (!s->o.items_max || s->o.items_max > most)
		s->o.items_max = most;
	/*
	 * One more than asked for tells that there were more; series that fit several sets are
	 * counted for each.
	 */
	s->piece_items_max = (s->o.items_max + 1) * (o->sets->count ? o->sets->count : 1);
	if (s->piece_items_max > most + 1)
		s->piece_items_max = most + 1;
	s->piece_bytes_max = API_META_BYTES_MAX / shards;
	for (unsigned i = 0; i < shards; i++) {
		struct piece *p = &s->pieces[i];
		p->scan = s;
		p->shard = i;
		p->loop = src->ops->loop_of(src, i);
		p->msg.fn = piece_begin;
		buf_init(&p->items);
		errbuf_init(&p->eb);
		s->out++;
		loop_send(p->loop, &p->msg);
	}
	return s;
}

static void piece_home(struct mbox_msg *m)
{
	struct piece *p = CONTAINER_OF(m, struct piece, msg);
	struct scan *s = p->scan;
	if (p->err && !s->err) {
		s->err = p->err;
		s->eb = p->eb;
	}
	s->truncated |= p->truncated;
	one_home(s);
}

static void one_home(struct scan *s)
{
	CHECK(s->out > 0);
	if (--s->out)
		return;
	if (s->cancelled)
		s->err = ERR_CANCELED;
	s->merge = (struct work_task){ .run = merge_on_worker, .done = merged, .prio = WORK_READ };
	if (s->err)
		s->o.done(s->o.arg, s);
	else
		work_submit(s->api->opts.pool, &s->merge);
}

static void merged(struct work_task *t)
{
	struct scan *s = CONTAINER_OF(t, struct scan, merge);
	if (s->cancelled)
		s->err = ERR_CANCELED;
	s->o.done(s->o.arg, s);
}

void scan_free(struct scan *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->pieces_count; i++) {
		buf_release(&s->pieces[i].items);
		mem_free(s->pieces[i].warning);
	}
	mem_free(s->items);
	mem_free(s);
}

/* --- on the loop of a shard --- */

static void wake(void *arg)
{
	struct piece *p = arg;
	job_wake(&p->job);
}

static void piece_begin(struct mbox_msg *m)
{
	struct piece *p = CONTAINER_OF(m, struct piece, msg);
	const struct scan_opts *o = &p->scan->o;
	p->query = (struct source_query){
		.what = o->what,
		.t_min_ms = o->t_min_ms,
		.t_max_ms = o->t_max_ms,
		.label = o->label,
		.label_len = o->label_len,
		.wake = wake,
		.wake_arg = p,
	};
	job_init(&p->job, JOB_QUERY, piece_run);
	job_start(p->loop, &p->job);
}

static void cursor_close(struct piece *p)
{
	struct source_cursor *c = p->cursor;
	if (!c)
		return;
	if (c->warnings_count && !p->warning) {
		size_t len = strlen(c->warnings[0]);
		p->warning = mem_alloc(len + 1);
		memcpy(p->warning, c->warnings[0], len + 1);
	}
	c->ops->close(c);
	p->cursor = NULL;
}

/*
 * The job's memory is left alone until its loop has forgotten it: the piece goes home at the end of
 * the turn.
 */
static void leave(struct loop_deferred *d)
{
	struct piece *p = CONTAINER_OF(d, struct piece, leave);
	p->msg.fn = piece_home;
	loop_send(p->scan->home, &p->msg);
}

static enum job_state finish(struct piece *p, enum err e)
{
	cursor_close(p);
	p->err = e;
	p->leave.fn = leave;
	loop_defer(p->loop, &p->leave);
	return JOB_DONE;
}

/* The cursor of the next set of matchers; false: none is left, or p->err. */
static bool cursor_open(struct piece *p)
{
	const struct param_sets *sets = p->scan->o.sets;
	struct source *src = p->scan->api->source;
	if (p->set >= (sets->count ? sets->count : 1))
		return false;
	p->query.matchers = sets->count ? sets->sets[p->set].items : NULL;
	p->query.matchers_count = sets->count ? sets->sets[p->set].count : 0;
	p->set++;
	p->err = src->ops->open(src, p->shard, &p->query, &p->cursor);
	return !p->err;
}

/* false: this piece has all it may have. */
static bool take(struct piece *p, const void *bytes, size_t len)
{
	if (p->count >= p->scan->piece_items_max ||
	    p->items.len + len + ITEM_HEAD > p->scan->piece_bytes_max) {
		p->truncated = true;
		return false;
	}
	uint8_t head[ITEM_HEAD];
	wire_store32(head, num_u32(len));
	buf_add(&p->items, head, sizeof(head));
	buf_add(&p->items, bytes, len);
	p->count++;
	return true;
}

static enum job_state piece_run(struct job *j)
{
	struct piece *p = CONTAINER_OF(j, struct piece, job);
	struct source_item item;
	for (unsigned n = 1;; n++) {
		if (p->cancel)
			return finish(p, ERR_CANCELED);
		if (loop_now_ns(p->loop) > p->scan->deadline_ns) {
			p->truncated = true;
			return finish(p, ERR_OK);
		}
		if (!p->cursor && !cursor_open(p))
			return finish(p, p->err);
		bool more = true;
		switch (p->cursor->ops->next(p->cursor, &item)) {
		case SOURCE_READY:
			more = p->scan->o.what == SOURCE_SERIES
			    ? take(p, item.labels.bytes, item.labels.len)
			    : take(p, item.text, item.text_len);
			break;
		case SOURCE_AGAIN:
			if (job_should_yield())
				return JOB_YIELD;
			break;
		case SOURCE_WAIT:
			return JOB_WAIT;
		case SOURCE_END:
			cursor_close(p);
			break;
		case SOURCE_ERROR:
			p->eb = p->cursor->eb;
			return finish(p, p->cursor->err);
		}
		if (!more)
			return finish(p, ERR_OK);
		if (n % ITEMS_PER_LOOK == 0 && job_should_yield())
			return JOB_YIELD;
	}
}

/*
 * --- cancel: a message to each loop that comes home again, so that no piece is freed below it ---
 */

static void cancel_home(struct mbox_msg *m)
{
	struct piece *p = CONTAINER_OF(m, struct piece, cancel_msg);
	one_home(p->scan);
}

static void cancel_there(struct mbox_msg *m)
{
	struct piece *p = CONTAINER_OF(m, struct piece, cancel_msg);
	p->cancel = true;
	job_wake(&p->job);
	m->fn = cancel_home;
	loop_send(p->scan->home, m);
}

void scan_cancel(struct scan *s)
{
	if (s->cancelled)
		return;
	s->cancelled = true;
	if (!s->out)
		return; /* with the worker: it ends soon by itself */
	s->out += s->pieces_count;
	for (unsigned i = 0; i < s->pieces_count; i++) {
		s->pieces[i].cancel_msg.fn = cancel_there;
		loop_send(s->pieces[i].loop, &s->pieces[i].cancel_msg);
	}
}

/* --- on a worker --- */

static int item_cmp(const void *x, const void *y)
{
	const struct item *a = x, *b = y;
	size_t n = a->len < b->len ? a->len : b->len;
	int c = n ? memcmp(a->bytes, b->bytes, n) : 0;
	return c ? c : (a->len > b->len) - (a->len < b->len);
}

static void merge_on_worker(struct work_task *t)
{
	struct scan *s = CONTAINER_OF(t, struct scan, merge);
	size_t all = 0, n = 0;
	for (unsigned i = 0; i < s->pieces_count; i++)
		all += s->pieces[i].count;
	s->items = mem_array(NULL, all ? all : 1, sizeof(*s->items));
	for (unsigned i = 0; i < s->pieces_count; i++) {
		const struct buf *b = &s->pieces[i].items;
		for (size_t at = 0; at < b->len;) {
			uint32_t len = wire_load32(b->data + at);
			s->items[n++] = (struct item){ b->data + at + ITEM_HEAD, len };
			at += ITEM_HEAD + len;
		}
	}
	CHECK(n == all);
	qsort(s->items, n, sizeof(*s->items), item_cmp);
	for (size_t i = 0; i < n; i++)
		if (!s->count || item_cmp(&s->items[i], &s->items[s->count - 1]))
			s->items[s->count++] = s->items[i];
	if (s->count > s->o.items_max) {
		s->count = (size_t)s->o.items_max;
		s->truncated = true;
	}
}

/* --- results --- */

enum err scan_err(const struct scan *s, const char **text)
{
	*text = s->err == ERR_CANCELED ? "query was canceled in query execution"
	    : s->eb.text[0]            ? s->eb.text
	                               : err_text(s->err);
	return s->err;
}

size_t scan_count(const struct scan *s)
{
	return s->count;
}

size_t scan_bytes(const struct scan *s)
{
	size_t bytes = 0;
	for (unsigned i = 0; i < s->pieces_count; i++)
		bytes += s->pieces[i].items.cap + s->pieces[i].count * sizeof(struct item);
	return bytes;
}

const char *scan_item(const struct scan *s, size_t i, size_t *len)
{
	CHECK(i < s->count);
	*len = s->items[i].len;
	return (const char *)s->items[i].bytes;
}

bool scan_truncated(const struct scan *s)
{
	return s->truncated;
}

const char *scan_warning(const struct scan *s, size_t at)
{
	for (unsigned i = 0; i < s->pieces_count && at < WARNINGS_MAX; i++)
		if (s->pieces[i].warning && !at--)
			return s->pieces[i].warning;
	return NULL;
}
