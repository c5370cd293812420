/*
 * scan - a piece of it, on the loop of its shard:
 *
 *   COLLECTS > LISTS (an array of pointers to what was collected) > SORTS > SHRINKS (no item twice)
 *      |  not small any more: grow_msg goes home and comes back; the job sleeps meanwhile
 *   With opts.find what comes goes to one pick for all pieces of a loop, so that each knows what is
 *   of no use any more; the piece that is through last LISTS what that has.
 *   Any error, or cancel: the piece goes home at once.
 */
#include "net/api/scan.h"

#include <sys/random.h>

#include "core/base/clock.h"
#include "core/base/msort.h"
#include "core/base/wire.h"
#include "core/rt/job.h"

#define ITEMS_PER_LOOK 16u   /* between looks at the clock */
#define STEPS_PER_LOOK 256u  /* of listing and sorting */
#define LOOK_WORK      8192u /* of core/base/fuzzy, at most: some 40 us and one text */
#define WARNINGS_MAX   4u
#define ITEM_HEAD      4u   /* length before each item */
#define ITEM_SAMPLES   32u  /* reading, sorting and telling one costs as much as so many samples */
#define CALL_SAMPLES   100u /* a call of a cursor that only gives what it found at its end */
#define FIRST_BLOCK    4096u
#define CHUNK_LEAST    ((size_t)1 << 10)
#define CHUNK_MOST     ((size_t)32 << 10)

enum piece_state {
	PIECE_COLLECTS,
	PIECE_LISTS,
	PIECE_SORTS,
	PIECE_SHRINKS
};
struct chunk { /* of items: length, bytes, length, bytes */
	struct chunk *next;
	size_t len, cap;
	uint8_t data[];
};
struct found { /* of one loop; with opts.find */
	const struct loop *loop;
	struct pick pick;
	uint64_t bytes;   /* of it, charged */
	unsigned collect; /* pieces that still do */
};
struct piece { /* of one shard: made at home, filled on the shard's loop, read at home */
	struct scan *scan;
	struct mbox_msg msg, cancel_msg, grow_msg;
	struct loop_deferred leave;
	struct loop *loop;
	struct job job;
	unsigned shard;
	enum piece_state state;
	size_t set;
	struct source_query query;
	struct source_cursor *cursor;
	struct arena arena; /* of the ticket's purse */
	struct chunk *chunks, *chunk;
	size_t chunk_at; /* LISTS: in chunk */
	const void **items;
	struct msort sort;
	struct found *found; /* opts.find */
	struct fuzzy_scratch scratch;
	uint64_t cursor_bytes;   /* of the cursor, charged */
	size_t count, told;      /* items collected; those the ticket knows of */
	uint64_t calls;          /* of cursors, that it does not know of */
	size_t at, kept;         /* in items: LISTS, SHRINKS, scan_next; SHRINKS */
	bool grows;              /* the job sleeps, home has grow_msg */
	struct piece *next_grow; /* home's list of them */
	bool cancel, truncated;
	enum err err;
	struct errbuf eb;
	char *warning; /* first one, or NULL */
};
struct scan {
	struct source *source;
	struct scan_opts o;
	struct loop *home;
	uint64_t piece_items_max, seed;
	size_t out;            /* messages that are not home yet */
	struct piece *growing; /* wait for a heavy place */
	bool truncated;
	enum err cancelled;
	enum err err;
	struct errbuf eb;
	uint64_t given;
	struct found *found; /* opts.find: as many as loops have pieces */
	unsigned found_count;
	unsigned pieces_count;
	struct piece pieces[];
};

static void piece_begin(struct mbox_msg *m);
static enum job_state piece_run(struct job *j);
static void piece_home(struct mbox_msg *m);
static void piece_grows(struct mbox_msg *m);
static void piece_goes(struct mbox_msg *m);
static void one_home(struct scan *s);

/* --- home --- */

/* The pick of a loop, for one more piece of it. */
static struct found *found_of(struct scan *s, const struct loop *l)
{
	unsigned i = 0;
	while (i < s->found_count && s->found[i].loop != l)
		i++;
	if (i == s->found_count) {
		s->found[s->found_count++].loop = l;
		pick_init(&s->found[i].pick, s->o.find->order, s->o.find->max, s->seed);
	}
	s->found[i].collect++;
	return &s->found[i];
}

/* All of them are there before the first is on its way: their counts are the loops' then. */
static void pieces_make(struct scan *s)
{
	for (unsigned i = 0; i < s->pieces_count; i++) {
		struct piece *p = &s->pieces[i];
		p->scan = s;
		p->shard = i;
		p->loop = s->source->ops->loop_of(s->source, i);
		p->msg.fn = piece_begin;
		arena_init(&p->arena, FIRST_BLOCK);
		arena_purse(&p->arena, ticket_purse(s->o.ticket));
		errbuf_init(&p->eb);
		fuzzy_scratch_init(&p->scratch);
		if (s->o.find)
			p->found = found_of(s, p->loop);
	}
}

struct scan *scan_start(struct source *src, const struct scan_opts *o)
{
	unsigned shards = src->ops->shards(src);
	struct scan *s = mem_zalloc(sizeof(*s) + shards * sizeof(s->pieces[0]));
	uint64_t most = limits_here()->query_items;
	s->source = src;
	s->o = *o;
	s->home = loop_here();
	s->pieces_count = shards;
	if (o->find && getrandom(&s->seed, sizeof(s->seed), GRND_NONBLOCK) != (ssize_t)sizeof(s->seed))
		s->seed = clock_real_mono_ns() ^ (uintptr_t)s;
	if (!s->o.items_max || s->o.items_max > most)
		s->o.items_max = most;
	/*
	 * One more than asked for tells that there were more; series that fit several sets are
	 * counted for each.
	 */
	if (__builtin_mul_overflow(
	        s->o.items_max + 1, o->sets->count ? o->sets->count : 1, &s->piece_items_max) ||
	    s->piece_items_max > most + 1)
		s->piece_items_max = most + 1;
	if (o->find)
		s->found = mem_zalloc(shards * sizeof(*s->found));
	pieces_make(s);
	s->out = shards;
	for (unsigned i = 0; i < shards; i++)
		loop_send(s->pieces[i].loop, &s->pieces[i].msg);
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

static enum err too_many(struct errbuf *eb)
{
	char limit[LIMITS_TEXT_MAX];
	return errbuf_set(eb, ERR_TOOBIG, "too many series, %s",
	    limits_text(limits_here(), LIMITS_query_items, limit));
}

/* Those that fit several sets are there once by now. */
static void judge_count(struct scan *s)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < s->pieces_count; i++)
		sum += s->pieces[i].count;
	if (sum > s->o.items_max)
		s->err = too_many(&s->eb);
}

static void one_home(struct scan *s)
{
	CHECK(s->out > 0);
	if (--s->out)
		return;
	if (s->o.all && !s->err)
		judge_count(s);
	if (s->cancelled)
		s->err = s->cancelled;
	s->o.done(s->o.arg, s);
}

void scan_free(struct scan *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->pieces_count; i++) {
		struct piece *p = &s->pieces[i];
		purse_give(ticket_purse(s->o.ticket), p->cursor_bytes);
		fuzzy_scratch_release(&p->scratch);
		arena_release(&p->arena);
		mem_free(p->warning);
	}
	for (unsigned i = 0; i < s->found_count; i++) {
		purse_give(ticket_purse(s->o.ticket), s->found[i].bytes);
		pick_release(&s->found[i].pick);
	}
	mem_free(s->found);
	mem_free(s);
}

/* --- a heavy place for all pieces --- */

static void let_go(struct piece *p)
{
	p->grow_msg.fn = piece_goes;
	loop_send(p->loop, &p->grow_msg);
}

static void all_go(struct scan *s)
{
	for (struct piece *p; (p = s->growing);) {
		s->growing = p->next_grow;
		let_go(p);
	}
}

static void grown(void *arg)
{
	struct scan *s = arg;
	if (s->cancelled || ticket_grow(s->o.ticket, grown, s))
		all_go(s);
}

static void piece_grows(struct mbox_msg *m)
{
	struct piece *p = CONTAINER_OF(m, struct piece, grow_msg);
	struct scan *s = p->scan;
	p->next_grow = s->growing;
	s->growing = p;
	grown(s);
}

bool scan_waits(const struct scan *s)
{
	return s->growing != NULL;
}

static void piece_goes(struct mbox_msg *m)
{
	struct piece *p = CONTAINER_OF(m, struct piece, grow_msg);
	p->grows = false;
	job_set_class(&p->job, JOB_QUERY_HEAVY);
	job_wake(&p->job);
}

/* True: the job sleeps until there is a place. */
static bool piece_too_heavy(struct piece *p)
{
	uint64_t more = (p->count - p->told) * ITEM_SAMPLES + p->calls * CALL_SAMPLES;
	p->told = p->count;
	p->calls = 0;
	if (!ticket_touched(p->scan->o.ticket, more))
		return false;
	p->grows = true;
	p->grow_msg.fn = piece_grows;
	loop_send(p->scan->home, &p->grow_msg);
	return true;
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
		.tenants = o->tenants,
		.tenants_count = o->tenants_count,
		.t_min_ms = o->t_min_ms,
		.t_max_ms = o->t_max_ms,
		.label = o->label,
		.label_len = o->label_len,
		.find = o->find,
		.found = o->find ? &p->found->pick : NULL,
		.wake = wake,
		.wake_arg = p,
	};
	job_init(&p->job, JOB_QUERY, piece_run);
	job_group(&p->job, o->ticket);
	if (ticket_class(o->ticket) == TICKET_HEAVY)
		job_set_class(&p->job, JOB_QUERY_HEAVY);
	job_start(p->loop, &p->job);
}

static void charge(struct purse *purse, uint64_t *charged, uint64_t bytes)
{
	if (bytes > *charged)
		purse_force(purse, bytes - *charged);
	else
		purse_give(purse, *charged - bytes);
	*charged = bytes;
}

/* What the cursor holds is the ticket's, too, and the pick. */
static void cursor_charge(struct piece *p, uint64_t bytes)
{
	struct purse *purse = ticket_purse(p->scan->o.ticket);
	charge(purse, &p->cursor_bytes, bytes);
	if (p->found)
		charge(purse, &p->found->bytes, pick_bytes(&p->found->pick));
}

static void cursor_close(struct piece *p)
{
	struct source_cursor *c = p->cursor;
	if (!c)
		return;
	cursor_charge(p, 0);
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
	struct source *src = p->scan->source;
	if (p->set >= (sets->count ? sets->count : 1))
		return false;
	p->query.matchers = sets->count ? sets->sets[p->set].items : NULL;
	p->query.matchers_count = sets->count ? sets->sets[p->set].count : 0;
	p->set++;
	p->err = src->ops->open(src, p->shard, &p->query, &p->cursor);
	return !p->err;
}

static uint8_t *chunk_room(struct piece *p, size_t need)
{
	struct chunk *c = p->chunk;
	if (!c || c->cap - c->len < need) {
		size_t cap = c ? c->cap * 2 : CHUNK_LEAST;
		cap = cap > CHUNK_MOST ? CHUNK_MOST : cap;
		cap = cap < need ? need : cap;
		c = arena_alloc(&p->arena, sizeof(*c) + cap);
		*c = (struct chunk){ .cap = cap };
		*(p->chunk ? &p->chunk->next : &p->chunks) = c;
		p->chunk = c;
	}
	c->len += need;
	return c->data + c->len - need;
}

/* false: this piece has all it may have. */
static bool take(struct piece *p, const void *bytes, size_t len)
{
	if (p->count >= p->scan->piece_items_max) {
		p->truncated = true;
		if (p->scan->o.all)
			p->err = too_many(&p->eb);
		return false;
	}
	uint8_t *to = chunk_room(p, ITEM_HEAD + len);
	wire_store32(to, num_u32(len));
	if (len)
		memcpy(to + ITEM_HEAD, bytes, len);
	p->count++;
	return true;
}

/* A series and its exemplars: length of the labels, labels, list. */
static bool take_exemplars(struct piece *p, const struct source_item *item)
{
	struct buf b;
	bool taken = true;
	if (!item->exemplars_count)
		return true;
	buf_init(&b);
	wire_put_u32(&b, item->labels.len);
	buf_add(&b, item->labels.bytes, item->labels.len);
	for (size_t i = 0; i < item->exemplars_count; i++)
		exemplar_put(&b, &item->exemplars[i]);
	taken = take(p, b.data, b.len);
	buf_release(&b);
	return taken;
}

/* A series and its newest sample: time, value, labels. */
static bool take_newest(struct piece *p, const struct source_item *item)
{
	const struct sample_column *c = &item->col;
	struct buf b;
	if (!c->count || sample_is_no_float(c->v[c->count - 1]))
		return true;
	buf_init(&b);
	wire_put_u64(&b, (uint64_t)c->t_ms[c->count - 1]);
	wire_put_f64(&b, c->v[c->count - 1]);
	buf_add(&b, item->labels.bytes, item->labels.len);
	bool taken = take(p, b.data, b.len);
	buf_release(&b);
	return taken;
}

static bool take_found(struct piece *p, const struct source_item *item)
{
	const struct source_find *f = p->scan->o.find;
	struct pick *pick = &p->found->pick;
	double score;
	if (fuzzy_score_least(
	        f->fuzzy, &p->scratch, item->text, item->text_len, pick_least(pick), &score) &&
	    pick_wants(pick, item->text, item->text_len, score))
		pick_put(pick, item->text, item->text_len, score);
	return true;
}

static bool take_item(struct piece *p, const struct source_item *item)
{
	if (p->scan->o.find)
		return take_found(p, item);
	if (p->scan->o.what == SOURCE_SERIES_SAMPLES)
		return take_newest(p, item);
	if (p->scan->o.what == SOURCE_EXEMPLARS)
		return take_exemplars(p, item);
	if (p->scan->o.what == SOURCE_SERIES)
		return take(p, item->labels.bytes, item->labels.len);
	return take(p, item->text, item->text_len);
}

enum step {
	STEP_ON, /* call again */
	STEP_WAIT,
	STEP_NEXT, /* this state is over */
	STEP_FAILED
};

/* Is there time left, and a place? */
static enum step collect_looks(struct piece *p)
{
	const struct scan_opts *o = &p->scan->o;
	bool late = loop_now_ns(p->loop) > o->deadline_ns;
	if (late && o->find) {
		p->err = ERR_TIMEOUT;
		return STEP_FAILED;
	}
	p->truncated |= late;
	return late ? STEP_NEXT : piece_too_heavy(p) ? STEP_WAIT : STEP_ON;
}

static enum step collect(struct piece *p)
{
	const struct scan *s = p->scan;
	struct source_item item = { .tenant = 0 };
	for (unsigned n = 0; n < ITEMS_PER_LOOK; n++) {
		if (!p->cursor && !cursor_open(p))
			return p->err ? STEP_FAILED : STEP_NEXT;
		enum source_state state = p->cursor->ops->next(p->cursor, &item);
		cursor_charge(p, p->cursor->memory);
		p->calls += s->o.find != NULL;
		switch (state) {
		case SOURCE_READY:
			if (!take_item(p, &item))
				return p->err ? STEP_FAILED : STEP_NEXT;
			if (p->scratch.work > LOOK_WORK) {
				p->scratch.work = 0;
				return collect_looks(p);
			}
			break;
		case SOURCE_AGAIN:
			return s->o.find ? collect_looks(p) : STEP_ON;
		case SOURCE_WAIT:
			return STEP_WAIT;
		case SOURCE_END:
			cursor_close(p);
			break;
		case SOURCE_ERROR:
			p->eb = p->cursor->eb;
			p->err = p->cursor->err;
			return STEP_FAILED;
		}
	}
	return collect_looks(p);
}

/* Both arrays are asked for before they are taken. */
static bool list_begin(struct piece *p)
{
	struct purse *purse = ticket_purse(p->scan->o.ticket);
	size_t bytes = 2 * p->count * sizeof(*p->items);
	if (!purse_take(purse, bytes)) {
		p->err = ticket_no_room(purse, bytes, &p->eb);
		return false;
	}
	purse_give(purse, bytes); /* the arena takes it */
	p->items = arena_array(&p->arena, 2 * p->count, sizeof(*p->items));
	p->chunk = p->chunks;
	return true;
}

static enum step list(struct piece *p)
{
	if (!p->items && !list_begin(p))
		return STEP_FAILED;
	if (p->scan->o.find) {
		memcpy(p->items, p->found->pick.items, p->count * sizeof(*p->items));
		return STEP_NEXT;
	}
	for (unsigned n = 0; n < STEPS_PER_LOOK && p->at < p->count; n++) {
		if (p->chunk_at == p->chunk->len) {
			p->chunk = p->chunk->next;
			p->chunk_at = 0;
		}
		const uint8_t *item = p->chunk->data + p->chunk_at;
		p->items[p->at++] = item;
		p->chunk_at += ITEM_HEAD + wire_load32(item);
	}
	return p->at < p->count ? STEP_ON : STEP_NEXT;
}

static int item_cmp(const void *x, const void *y)
{
	const uint8_t *a = x, *b = y;
	uint32_t a_len = wire_load32(a), b_len = wire_load32(b);
	uint32_t n = a_len < b_len ? a_len : b_len;
	int c = n ? memcmp(a + ITEM_HEAD, b + ITEM_HEAD, n) : 0;
	return c ? c : (a_len > b_len) - (a_len < b_len);
}

struct labels scan_exemplars(const char *item, size_t len, struct wire_reader *list)
{
	uint32_t n = wire_load32(item);
	*list = wire_reader(item + 4 + n, len - 4 - n);
	return (struct labels){ .bytes = (const uint8_t *)item + 4, .len = n };
}

static int series_cmp(const void *x, const void *y)
{
	const uint8_t *a = (const uint8_t *)x + ITEM_HEAD, *b = (const uint8_t *)y + ITEM_HEAD;
	int c = label_cmp((struct labels){ .bytes = a + 4, .len = wire_load32(a) },
	    (struct labels){ .bytes = b + 4, .len = wire_load32(b) });
	return c ? c : item_cmp(x, y);
}

struct labels scan_newest(const char *item, size_t len, struct sample *out)
{
	struct wire_reader r = wire_reader(item, len);
	out->t_ms = (int64_t)wire_u64(&r);
	out->v = wire_f64(&r);
	return (struct labels){ .bytes = r.p, .len = num_u32(wire_left(&r)) };
}

static int newest_cmp(const void *x, const void *y)
{
	const uint8_t *a = x, *b = y;
	struct sample ignored;
	struct labels la = scan_newest((const char *)a + ITEM_HEAD, wire_load32(a), &ignored),
	              lb = scan_newest((const char *)b + ITEM_HEAD, wire_load32(b), &ignored);
	uint32_t a_len = 0, b_len = 0;
	const char *a_name = label_get(la, LABEL_NAME, strlen(LABEL_NAME), &a_len),
	           *b_name = label_get(lb, LABEL_NAME, strlen(LABEL_NAME), &b_len);
	int c = bytes_cmp(a_name ? a_name : "", a_len, b_name ? b_name : "", b_len);
	c = c ? c : label_cmp(la, lb);
	return c ? c : item_cmp(x, y);
}

static int text_cmp(const void *x, const void *y)
{
	return pick_cmp(PICK_TEXT, x, y);
}

static int text_down_cmp(const void *x, const void *y)
{
	return pick_cmp(PICK_TEXT_DOWN, x, y);
}

static int score_cmp(const void *x, const void *y)
{
	return pick_cmp(PICK_SCORE, x, y);
}

static msort_cmp cmp_of(const struct scan *s)
{
	static const msort_cmp found[] = {
		[PICK_TEXT] = text_cmp, [PICK_TEXT_DOWN] = text_down_cmp, [PICK_SCORE] = score_cmp
	};
	if (s->o.find)
		return found[s->o.find->order];
	return s->o.what == SOURCE_EXEMPLARS     ? series_cmp
	    : s->o.what == SOURCE_SERIES_SAMPLES ? newest_cmp
	                                         : item_cmp;
}

static int scan_cmp(const struct scan *s, const void *x, const void *y)
{
	return cmp_of(s)(x, y);
}

static enum step sort(struct piece *p)
{
	if (!p->sort.items)
		msort_begin(&p->sort, p->items, p->items + p->count, p->count, cmp_of(p->scan));
	return msort_run(&p->sort, STEPS_PER_LOOK) ? STEP_NEXT : STEP_ON;
}

/* Do both say the same? */
static bool is_same(const struct scan *s, const void *x, const void *y)
{
	return !(s->o.find ? scan_cmp(s, x, y) : item_cmp(x, y));
}

static enum step shrink(struct piece *p)
{
	const void **items = p->sort.items;
	for (unsigned n = 0; n < STEPS_PER_LOOK && p->at < p->count; n++, p->at++)
		if (!p->kept || !is_same(p->scan, items[p->at], items[p->kept - 1]))
			items[p->kept++] = items[p->at];
	if (p->at < p->count)
		return STEP_ON;
	p->items = items;
	p->count = p->kept;
	return STEP_NEXT;
}

static enum step piece_step(struct piece *p)
{
	switch (p->state) {
	case PIECE_COLLECTS:
		return collect(p);
	case PIECE_LISTS:
		return list(p);
	case PIECE_SORTS:
		return sort(p);
	case PIECE_SHRINKS:
		return shrink(p);
	}
	return STEP_FAILED;
}

static void piece_next_state(struct piece *p)
{
	cursor_close(p);
	p->at = 0;
	p->state++;
}

static enum job_state piece_run(struct job *j)
{
	struct piece *p = CONTAINER_OF(j, struct piece, job);
	struct purse *purse = ticket_purse(p->scan->o.ticket);
	for (;;) {
		if (p->grows)
			return JOB_WAIT;
		if (p->cancel)
			return finish(p, ERR_CANCELED);
		if (purse_over(purse))
			return finish(p, ticket_no_room(purse, 0, &p->eb));
		switch (piece_step(p)) {
		case STEP_ON:
			break;
		case STEP_WAIT:
			return JOB_WAIT;
		case STEP_FAILED:
			return finish(p, p->err);
		case STEP_NEXT:
			if (p->state == PIECE_COLLECTS && p->found)
				p->count = --p->found->collect ? 0 : p->found->pick.count;
			if (!p->count || p->state == PIECE_SHRINKS) {
				p->at = 0;
				return finish(p, ERR_OK);
			}
			piece_next_state(p);
			break;
		}
		if (job_should_yield())
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

void scan_cancel(struct scan *s, enum err e)
{
	if (s->cancelled)
		return;
	s->cancelled = e;
	CHECK(s->out > 0);
	all_go(s);
	s->out += s->pieces_count;
	for (unsigned i = 0; i < s->pieces_count; i++) {
		s->pieces[i].cancel_msg.fn = cancel_there;
		loop_send(s->pieces[i].loop, &s->pieces[i].cancel_msg);
	}
}

/* --- results --- */

enum err scan_err(const struct scan *s, const char **text)
{
	*text = s->err == ERR_CANCELED ? "query was canceled in query execution"
	    : s->err == ERR_TIMEOUT    ? "query timed out in query execution"
	    : s->eb.text[0]            ? s->eb.text
	                               : err_text(s->err);
	return s->err;
}

static const void *head_of(const struct piece *p)
{
	return p->at < p->count ? p->items[p->at] : NULL;
}

/* The least of the heads of all pieces; it is taken from each that has it. */
static const void *next_item(struct scan *s)
{
	const void *least = NULL;
	for (unsigned i = 0; i < s->pieces_count; i++) {
		const void *head = head_of(&s->pieces[i]);
		if (head && (!least || scan_cmp(s, head, least) < 0))
			least = head;
	}
	if (!least)
		return NULL;
	if (s->given == s->o.items_max) {
		s->truncated = true;
		return NULL;
	}
	for (unsigned i = 0; i < s->pieces_count; i++) {
		const void *head = head_of(&s->pieces[i]);
		if (head && (head == least || is_same(s, head, least)))
			s->pieces[i].at++;
	}
	s->given++;
	return least;
}

const char *scan_next(struct scan *s, size_t *len)
{
	const uint8_t *item = next_item(s);
	if (!item)
		return NULL;
	*len = wire_load32(item);
	return (const char *)item + ITEM_HEAD;
}

const struct pick_item *scan_next_found(struct scan *s)
{
	CHECK(s->o.find != NULL);
	return next_item(s);
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
