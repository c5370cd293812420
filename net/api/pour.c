/*
 * pour - a piece of it, on the loop of its shard:
 *
 *   LISTS (labels of series) > SORTS > READS > HANDS OVER > READS ... > over
 *   \__ sorted alone _____________/
 *
 * At home a piece is AWAY (its job works), HERE (its batch is read, its job sleeps) or OVER. Its
 * job ends after the last batch, or when it is cancelled; end_msg comes home then, exactly once,
 * and is the last thing that comes of the job.
 */
#include "net/api/pour.h"

#include "core/base/arena.h"
#include "core/base/msort.h"
#include "core/base/wire.h"
#include "core/rt/job.h"

#define BATCH_BYTES   ((size_t)128 << 10)
#define WINDOW_BYTES  ((size_t)2 << 20) /* of a sorted batch, about */
#define WINDOW_FIRST  64u               /* series */
#define WINDOW_MOST   65536u
#define FIRST_BLOCK   4096u
#define STEPS         256u /* of sorting, between looks at the clock */
#define ITEM_HEAD     12u  /* of a sorted item: length of labels, length of bytes, samples */
#define SERIES_WEIGHT 32u  /* a series costs as much as so many samples */

enum piece_state {
	PIECE_LISTS,
	PIECE_SORTS_LABELS,
	PIECE_READS,
	PIECE_SORTS_ITEMS
};
enum piece_where {
	PIECE_AWAY,
	PIECE_HERE,
	PIECE_OVER
};
struct piece {
	struct pour *pour;
	struct mbox_msg msg, cancel_msg, end_msg;
	struct loop_deferred leave;
	struct loop *loop;
	struct job job;
	unsigned shard;
	/* of the job */
	enum piece_state state;
	struct source_query query;
	struct source_cursor *cursor;
	uint64_t cursor_bytes;
	size_t set;
	bool item_open, cancel, handed;
	struct source_item item;
	uint32_t at;        /* of the item's samples */
	size_t item_start;  /* in batch */
	size_t own;         /* of encode */
	struct arena lists; /* labels of all series */
	const void **labels;
	size_t labels_count, labels_cap, lo, hi; /* lo, hi: the window */
	uint32_t window;
	struct msort sort;
	struct arena order; /* of a sorted batch */
	size_t items_count;
	enum err err;
	struct errbuf eb;
	/* of the job until it is handed over, then of home */
	struct buf batch;
	const void **items;
	uint64_t samples, series;
	/* of home */
	enum piece_where where;
	size_t read; /* bytes or items of batch */
};
struct pour {
	struct source *source;
	struct pour_opts o;
	struct loop *home;
	unsigned out; /* jobs that live, and messages to cancel them */
	bool ended;
	enum err err;
	struct errbuf eb;
	uint64_t samples, series;
	struct piece *giving; /* its head was given last */
	unsigned pieces_count;
	struct piece pieces[];
};
struct listed { /* labels in the arena of lists */
	struct labels labels;
};

static enum job_state piece_run(struct job *j);

/* --- on the loop of a shard: what is asked --- */

static void wake(void *arg)
{
	struct piece *p = arg;
	job_wake(&p->job);
}

static const struct param_sets *sets_of(const struct piece *p)
{
	return p->pour->o.sets;
}

/* Does one of the sets before this one select it, too? */
static bool was_given(const struct piece *p, struct labels ls)
{
	const struct param_sets *sets = sets_of(p);
	for (size_t i = 0; i + 1 < p->set; i++)
		if (matcher_labels(sets->sets[i].items, sets->sets[i].count, ls) == REX_YES)
			return true;
	return false;
}

static bool keep(void *arg, uint32_t tenant, struct labels ls)
{
	const struct piece *p = arg;
	(void)tenant;
	if (was_given(p, ls))
		return false;
	if (p->state != PIECE_READS || !p->pour->o.sorted)
		return true;
	const struct listed *first = p->labels[p->lo], *last = p->labels[p->hi - 1];
	return label_cmp(ls, first->labels) >= 0 && label_cmp(ls, last->labels) <= 0;
}

static void cursor_charge(struct piece *p, uint64_t bytes)
{
	struct purse *purse = ticket_purse(p->pour->o.ticket);
	if (bytes > p->cursor_bytes)
		purse_force(purse, bytes - p->cursor_bytes);
	else
		purse_give(purse, p->cursor_bytes - bytes);
	p->cursor_bytes = bytes;
}

static void cursor_close(struct piece *p)
{
	if (!p->cursor)
		return;
	cursor_charge(p, 0);
	p->cursor->ops->close(p->cursor);
	p->cursor = NULL;
	p->item_open = false;
}

/* The cursor of the next set; false: none is left, or p->err. */
static bool cursor_open(struct piece *p)
{
	const struct param_sets *sets = sets_of(p);
	struct source *src = p->pour->source;
	bool labels = p->state == PIECE_LISTS || p->pour->o.labels_only;
	if (p->set >= (sets->count ? sets->count : 1))
		return false;
	p->query.what = labels ? SOURCE_SERIES : SOURCE_SERIES_SAMPLES;
	p->query.matchers = sets->count ? sets->sets[p->set].items : NULL;
	p->query.matchers_count = sets->count ? sets->sets[p->set].count : 0;
	p->set++;
	p->err = src->ops->open(src, p->shard, &p->query, &p->cursor);
	return !p->err;
}

/* --- steps of a job --- */

enum step {
	STEP_ON, /* call again */
	STEP_WAIT,
	STEP_NEXT, /* this state is over */
	STEP_HAND, /* the batch goes home */
	STEP_FAILED
};

static enum step no_room(struct piece *p, uint64_t more)
{
	p->err = ticket_no_room(ticket_purse(p->pour->o.ticket), more, &p->eb);
	return STEP_FAILED;
}

/* The next item of the cursors; NEXT: there are no more. ON: look at p->item_open. */
static enum step advance(struct piece *p)
{
	if (!p->cursor && !cursor_open(p))
		return p->err ? STEP_FAILED : STEP_NEXT;
	enum source_state st = p->cursor->ops->next(p->cursor, &p->item);
	cursor_charge(p, p->cursor->memory);
	switch (st) {
	case SOURCE_READY:
		p->item_open = keep(p, p->item.tenant, p->item.labels);
		p->at = 0;
		return STEP_ON;
	case SOURCE_AGAIN:
		return STEP_ON;
	case SOURCE_WAIT:
		return STEP_WAIT;
	case SOURCE_END:
		cursor_close(p);
		return STEP_ON;
	case SOURCE_ERROR:
		break;
	}
	p->eb = p->cursor->eb;
	p->err = p->cursor->err;
	return STEP_FAILED;
}

/* Grows by doubling: what was before is lost to the arena, a half at most. */
static bool labels_room(struct piece *p)
{
	struct purse *purse = ticket_purse(p->pour->o.ticket);
	if (p->labels_count < p->labels_cap)
		return true;
	size_t cap = p->labels_cap ? 2 * p->labels_cap : 64, bytes = 2 * cap * sizeof(void *);
	if (!purse_take(purse, bytes))
		return false;
	purse_give(purse, bytes); /* the arena takes it */
	const void **more = arena_array(&p->lists, 2 * cap, sizeof(*more));
	if (p->labels_count)
		memcpy(more, p->labels, p->labels_count * sizeof(*more));
	p->labels = more;
	p->labels_cap = cap;
	return true;
}

static enum step list_step(struct piece *p)
{
	enum step s = advance(p);
	if (s != STEP_ON || !p->item_open)
		return s;
	p->item_open = false;
	if (!labels_room(p))
		return no_room(p, 2 * p->labels_cap * sizeof(void *));
	struct listed *l = arena_alloc(&p->lists, sizeof(*l));
	uint8_t *bytes = arena_alloc(&p->lists, p->item.labels.len + 1u);
	if (p->item.labels.len)
		memcpy(bytes, p->item.labels.bytes, p->item.labels.len);
	l->labels = (struct labels){ .bytes = bytes, .len = p->item.labels.len };
	p->labels[p->labels_count++] = l;
	return STEP_ON;
}

static int listed_cmp(const void *x, const void *y)
{
	const struct listed *a = x, *b = y;
	return label_cmp(a->labels, b->labels);
}

static enum step sort_labels_step(struct piece *p)
{
	if (!p->sort.items)
		msort_begin(
		    &p->sort, p->labels, p->labels + p->labels_cap, p->labels_count, listed_cmp);
	if (!msort_run(&p->sort, STEPS))
		return STEP_ON;
	p->labels = p->sort.items;
	return STEP_NEXT;
}

/* The head of a sorted item, filled in when it is over. */
static void item_begin(struct piece *p)
{
	p->item_start = p->batch.len;
	p->own = 0;
	if (!p->pour->o.sorted)
		return;
	wire_put_u32(&p->batch, p->item.labels.len);
	wire_put_u32(&p->batch, 0);
	wire_put_u32(&p->batch, p->item.col.count);
	buf_add(&p->batch, p->item.labels.bytes, p->item.labels.len);
}

static bool item_end(struct piece *p)
{
	p->item_open = false;
	p->samples += p->item.col.count;
	p->series++;
	if (!p->pour->o.sorted)
		return true;
	size_t len = p->batch.len - p->item_start - ITEM_HEAD - p->item.labels.len;
	if (len > UINT32_MAX)
		return false;
	uint32_t n = (uint32_t)len;
	memcpy(p->batch.data + p->item_start + 4, &n, sizeof(n));
	p->items_count++;
	return true;
}

static enum step encode_step(struct piece *p)
{
	const struct pour_opts *o = &p->pour->o;
	if (p->at == 0)
		item_begin(p);
	bool over = o->encode(o->encode_arg, &p->item, &p->at, &p->own, &p->batch);
	if (p->batch.over)
		return no_room(p, p->batch.cap);
	if (over && !item_end(p)) {
		p->err = errbuf_set(&p->eb, ERR_TOOBIG, "a series takes more than 4 GiB");
		return STEP_FAILED;
	}
	return !o->sorted && p->batch.len >= BATCH_BYTES ? STEP_HAND : STEP_ON;
}

static enum step read_step(struct piece *p)
{
	if (p->pour->o.sorted && p->lo == p->labels_count)
		return STEP_NEXT;
	if (p->item_open)
		return encode_step(p);
	return advance(p);
}

static const uint8_t *item_labels(const void *item, struct labels *out)
{
	const uint8_t *b = item;
	*out = (struct labels){ .bytes = b + ITEM_HEAD, .len = wire_load32(b) };
	return b + ITEM_HEAD + out->len;
}

static int item_cmp(const void *x, const void *y)
{
	struct labels a, b;
	item_labels(x, &a);
	item_labels(y, &b);
	return label_cmp(a, b);
}

static bool order_begin(struct piece *p)
{
	struct purse *purse = ticket_purse(p->pour->o.ticket);
	size_t bytes = 2 * p->items_count * sizeof(void *), at = 0;
	arena_reset(&p->order, FIRST_BLOCK);
	if (!purse_take(purse, bytes))
		return false;
	purse_give(purse, bytes);
	const void **items = arena_array(&p->order, 2 * p->items_count + 1, sizeof(*items));
	for (size_t i = 0; i < p->items_count; i++) {
		struct labels ls;
		items[i] = p->batch.data + at;
		const uint8_t *payload = item_labels(items[i], &ls);
		at = (size_t)(payload - p->batch.data) + wire_load32(p->batch.data + at + 4);
	}
	msort_begin(&p->sort, items, items + p->items_count, p->items_count, item_cmp);
	p->items = items;
	return true;
}

static enum step sort_items_step(struct piece *p)
{
	if (!p->items && !order_begin(p))
		return no_room(p, 2 * p->items_count * sizeof(void *));
	if (!msort_run(&p->sort, STEPS))
		return STEP_ON;
	p->items = p->sort.items;
	return STEP_HAND;
}

static void window_begin(struct piece *p)
{
	size_t left = p->labels_count - p->lo;
	p->hi = p->lo + (left < p->window ? left : p->window);
	p->set = 0;
	p->state = PIECE_READS;
}

static enum step piece_step(struct piece *p)
{
	switch (p->state) {
	case PIECE_LISTS:
		return list_step(p);
	case PIECE_SORTS_LABELS:
		return sort_labels_step(p);
	case PIECE_READS:
		return read_step(p);
	case PIECE_SORTS_ITEMS:
		return sort_items_step(p);
	}
	return STEP_FAILED;
}

/* NEXT of a state; false: the piece is over. */
static bool piece_next_state(struct piece *p)
{
	switch (p->state) {
	case PIECE_LISTS:
		p->state = PIECE_SORTS_LABELS;
		return p->labels_count > 0;
	case PIECE_SORTS_LABELS:
		window_begin(p);
		return true;
	case PIECE_READS:
		p->state = PIECE_SORTS_ITEMS;
		return p->pour->o.sorted && p->lo < p->labels_count;
	case PIECE_SORTS_ITEMS:
		break;
	}
	return false;
}

/* --- its ends --- */

static void piece_home(struct mbox_msg *m);
static void piece_over(struct mbox_msg *m);

/*
 * The job's memory is left alone until its loop has forgotten it: the piece goes home at the end of
 * the turn.
 */
static void leave(struct loop_deferred *d)
{
	struct piece *p = CONTAINER_OF(d, struct piece, leave);
	p->end_msg.fn = piece_over;
	loop_send(p->pour->home, &p->end_msg);
}

static enum job_state finish(struct piece *p, enum err e)
{
	cursor_close(p);
	p->err = e;
	p->leave.fn = leave;
	loop_defer(p->loop, &p->leave);
	return JOB_DONE;
}

static enum job_state hand_over(struct piece *p)
{
	p->handed = true;
	p->msg.fn = piece_home;
	loop_send(p->pour->home, &p->msg);
	return JOB_WAIT;
}

/* Home has read the batch. */
static void batch_begin(struct piece *p)
{
	size_t len = p->batch.len;
	buf_clear(&p->batch);
	p->items_count = 0;
	p->items = NULL;
	job_set_class(&p->job, JOB_QUERY_HEAVY); /* it is not the first one */
	if (!p->pour->o.sorted)
		return;
	p->lo = p->hi;
	if (len < WINDOW_BYTES / 2 && p->window < WINDOW_MOST)
		p->window *= 2;
	else if (len > 2 * WINDOW_BYTES && p->window > 1)
		p->window /= 2;
	if (p->batch.cap > 4 * WINDOW_BYTES) {
		struct purse *purse = p->batch.purse;
		buf_release(&p->batch);
		buf_init(&p->batch);
		p->batch.purse = purse;
	}
	window_begin(p);
}

static enum job_state piece_run(struct job *j)
{
	struct piece *p = CONTAINER_OF(j, struct piece, job);
	struct purse *purse = ticket_purse(p->pour->o.ticket);
	for (;;) {
		if (p->cancel)
			return finish(p, ERR_CANCELED);
		if (p->handed)
			return JOB_WAIT;
		if (purse_over(purse)) {
			no_room(p, 0);
			return finish(p, p->err);
		}
		switch (piece_step(p)) {
		case STEP_ON:
			break;
		case STEP_WAIT:
			return JOB_WAIT;
		case STEP_FAILED:
			return finish(p, p->err);
		case STEP_HAND:
			return hand_over(p);
		case STEP_NEXT:
			if (!piece_next_state(p))
				return finish(p, ERR_OK);
			break;
		}
		if (job_should_yield())
			return JOB_YIELD;
	}
}

static void piece_begin(struct mbox_msg *m)
{
	struct piece *p = CONTAINER_OF(m, struct piece, msg);
	const struct pour_opts *o = &p->pour->o;
	p->query = (struct source_query){ .tenants = o->tenants,
		.tenants_count = o->tenants_count,
		.t_min_ms = o->t_min_ms,
		.t_max_ms = o->t_max_ms,
		.keep = keep,
		.keep_arg = p,
		.wake = wake,
		.wake_arg = p };
	job_init(&p->job, JOB_QUERY, piece_run);
	job_group(&p->job, o->ticket);
	if (ticket_class(o->ticket) == TICKET_HEAVY)
		job_set_class(&p->job, JOB_QUERY_HEAVY);
	job_start(p->loop, &p->job);
}

static void piece_go(struct mbox_msg *m)
{
	struct piece *p = CONTAINER_OF(m, struct piece, msg);
	if (p->cancel)
		return;
	p->handed = false;
	batch_begin(p);
	job_wake(&p->job);
}

/* --- home --- */

struct pour *pour_start(struct source *src, const struct pour_opts *o)
{
	unsigned shards = src->ops->shards(src);
	struct pour *u = mem_zalloc(sizeof(*u) + shards * sizeof(u->pieces[0]));
	u->source = src;
	u->o = *o;
	u->home = loop_here();
	u->pieces_count = shards;
	errbuf_init(&u->eb);
	for (unsigned i = 0; i < shards; i++) {
		struct piece *p = &u->pieces[i];
		p->pour = u;
		p->shard = i;
		p->loop = src->ops->loop_of(src, i);
		p->state = o->sorted ? PIECE_LISTS : PIECE_READS;
		p->window = WINDOW_FIRST;
		p->msg.fn = piece_begin;
		arena_init(&p->lists, FIRST_BLOCK);
		arena_purse(&p->lists, ticket_purse(o->ticket));
		arena_init(&p->order, FIRST_BLOCK);
		arena_purse(&p->order, ticket_purse(o->ticket));
		buf_init(&p->batch);
		p->batch.purse = ticket_purse(o->ticket);
		errbuf_init(&p->eb);
		u->out++;
		loop_send(p->loop, &p->msg);
	}
	return u;
}

static void pour_free(struct pour *u)
{
	void (*gone)(void *arg) = u->o.gone;
	void *arg = u->o.arg;
	for (unsigned i = 0; i < u->pieces_count; i++) {
		arena_release(&u->pieces[i].lists);
		arena_release(&u->pieces[i].order);
		buf_release(&u->pieces[i].batch);
	}
	mem_free(u);
	gone(arg);
}

static void came(struct pour *u)
{
	if (!u->ended)
		u->o.ready(u->o.arg);
	else if (!u->out)
		pour_free(u);
}

static void take_counts(struct piece *p)
{
	p->pour->samples += p->samples;
	p->pour->series += p->series;
	p->samples = p->series = 0;
	p->read = 0;
}

static void piece_home(struct mbox_msg *m)
{
	struct piece *p = CONTAINER_OF(m, struct piece, msg);
	p->where = PIECE_HERE;
	take_counts(p);
	came(p->pour);
}

static void piece_over(struct mbox_msg *m)
{
	struct piece *p = CONTAINER_OF(m, struct piece, end_msg);
	struct pour *u = p->pour;
	bool was_here = p->where == PIECE_HERE; /* cancelled while home reads: nobody does now */
	p->where = PIECE_OVER;
	if (!was_here)
		take_counts(p);
	if (p->err && !u->err) {
		u->err = p->err;
		u->eb = p->eb;
	}
	u->out--;
	came(u);
}

static bool has_more(const struct piece *p)
{
	if (p->where == PIECE_AWAY)
		return false;
	return p->read < (p->pour->o.sorted ? p->items_count : p->batch.len);
}

/* What was given last is over: a piece that has nothing more is asked for its next batch. */
static void let_go_of_last(struct pour *u)
{
	struct piece *p = u->giving;
	u->giving = NULL;
	if (!p || has_more(p) || p->where != PIECE_HERE)
		return;
	p->where = PIECE_AWAY;
	p->msg.fn = piece_go;
	loop_send(p->loop, &p->msg);
}

static enum pour_got give_any(struct pour *u, const uint8_t **bytes, size_t *len)
{
	bool away = false;
	for (unsigned i = 0; i < u->pieces_count; i++) {
		struct piece *p = &u->pieces[i];
		if (has_more(p)) {
			*bytes = p->batch.data + p->read;
			*len = p->batch.len - p->read;
			p->read = p->batch.len;
			u->giving = p;
			return POUR_BYTES;
		}
		away |= p->where != PIECE_OVER;
	}
	return away ? POUR_LATER : POUR_END;
}

static enum pour_got give_least(struct pour *u, const uint8_t **bytes, size_t *len)
{
	struct piece *least = NULL;
	for (unsigned i = 0; i < u->pieces_count; i++) {
		struct piece *p = &u->pieces[i];
		if (!has_more(p)) {
			if (p->where != PIECE_OVER)
				return POUR_LATER;
			continue;
		}
		if (!least || item_cmp(p->items[p->read], least->items[least->read]) < 0)
			least = p;
	}
	if (!least)
		return POUR_END;
	struct labels ls;
	const uint8_t *item = least->items[least->read++];
	*bytes = item_labels(item, &ls);
	*len = wire_load32(item + 4);
	u->giving = least;
	return POUR_BYTES;
}

/* A window whose series have all gone since gives an empty batch. */
static void pass_empty(struct pour *u)
{
	for (unsigned i = 0; i < u->pieces_count; i++) {
		struct piece *p = &u->pieces[i];
		if (p->where == PIECE_HERE && !has_more(p)) {
			u->giving = p;
			let_go_of_last(u);
		}
	}
}

enum pour_got pour_next(struct pour *u, const uint8_t **bytes, size_t *len)
{
	let_go_of_last(u);
	if (u->err)
		return POUR_FAILED;
	pass_empty(u);
	return u->o.sorted ? give_least(u, bytes, len) : give_any(u, bytes, len);
}

uint64_t pour_samples(const struct pour *u)
{
	return u->samples;
}

uint64_t pour_series(const struct pour *u)
{
	return u->series;
}

enum err pour_err(const struct pour *u, const char **text)
{
	*text = u->eb.text[0] ? u->eb.text : err_text(u->err);
	return u->err;
}

/* A message to each loop that comes home again, so that no piece is freed below it. */
static void cancel_home(struct mbox_msg *m)
{
	struct piece *p = CONTAINER_OF(m, struct piece, cancel_msg);
	p->pour->out--;
	came(p->pour);
}

static void cancel_there(struct mbox_msg *m)
{
	struct piece *p = CONTAINER_OF(m, struct piece, cancel_msg);
	p->cancel = true;
	job_wake(&p->job);
	m->fn = cancel_home;
	loop_send(p->pour->home, m);
}

void pour_end(struct pour *u)
{
	CHECK(!u->ended);
	u->ended = true;
	u->out += u->pieces_count; /* also to those that are over: they have no job any more */
	for (unsigned i = 0; i < u->pieces_count; i++) {
		u->pieces[i].cancel_msg.fn = cancel_there;
		loop_send(u->pieces[i].loop, &u->pieces[i].cancel_msg);
	}
}
