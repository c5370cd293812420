/*
 * store_stats: every loop counts its shards' pairs of label names and values, in a job, into a
 * table of its own; a worker puts the tables together and picks the largest.
 * A label that has more values in a shard than BIG (BIG_LISTS where only lists are wanted) gets a
 * sketch of them instead, and only its BEST pairs of that shard go to the table: series are spread
 * over shards by hash, so what is large in all is among the largest of each.
 *
 * (1) All counts of a store together hold what STORE_STATS_* say at most: COUNTS_MOST are under
 *     way, others wait, and each has its part for its loops and for what is put together.
 * (2) Where half of a loop's part is taken, a pair needs ever more series of a shard to get into
 *     the table; where all is, none does. What is left out goes to the sketch of its name, as long
 *     as there is room for one, and the name remembers the most series that a pair left out had
 *     there. So a figure is exact, or too low by as much as it says (struct store_top: off).
 * A walk over values may tell one twice where series come meanwhile: it counts once a shard.
 */
#include "core/base/budget.h"
#include "core/base/num.h"
#include "core/base/rune.h"
#include "core/base/sketch.h"
#include "core/rt/job.h"
#include "storage/cardhist.h"
#include "storage/meta/postings.h"
#include "storage/store.h"
#include "storage/store_priv.h"
#include <stdlib.h>

#define BIG         62500u
#define BIG_LISTS   CARDHIST_EXACT
#define BEST        256u
#define COUNTS_MOST 2u
#define PAGE        256u /* pairs: so that none is moved */
#define LEVELS      32u  /* of a loop's part of memory: (2) */
#define STEP_SERIES 256u
#define STEP_NAMES  64u
#define STEP_VALUES 256u
#define STEP_BYTES  (64u << 10) /* of texts */
#define SHOWN_MAX   (sizeof(((struct store_top *)0)->name) - 1)
#define NO_SHARD    UINT16_MAX
#define NO_NAME     UINT32_MAX
#define INDEX_PARTS 256u /* so that one part grows within a slice */
#define INDEX_FIRST 16u  /* slots of a part to begin with, in the arena */

struct index { /* hash -> place in an array; a place is found by who knows the array */
	struct index_part {
		uint32_t *slots; /* place + 1; 0 = free */
		uint32_t mask, count;
	} parts[INDEX_PARTS];
};
struct pair {
	uint64_t hash; /* of name and value */
	uint64_t series;
	const char *value;         /* cut to what a list shows */
	uint32_t name;             /* index of names */
	uint16_t value_len, shard; /* the last one that told it */
	uint16_t told;             /* by so many */
};
struct name {
	uint64_t hash;
	char *text;
	uint32_t len;
	uint64_t values, bytes;
	struct sketch *sketch; /* of its pairs' hashes, once it had too many; NULL */
	uint64_t values_most;  /* of one shard: it has as many at least */
	/* the most series that a pair left out had, in the shard of now and over all (2) */
	uint64_t left_out, off;
	bool about;     /* values may be more */
	uint16_t loops; /* whose tables have it */
};
struct best { /* a pair of a label that has too many; a heap, the least first */
	uint64_t hash, series;
	char *value; /* cut; its own room, of SHOWN_MAX bytes */
	size_t value_len;
};
enum count_at {
	COUNT_NEXT,   /* before the next shard */
	COUNT_SERIES, /* of the tenant, from an id on */
	COUNT_TENANT, /* before its names */
	COUNT_NAMES,  /* some names of the tenant */
	COUNT_VALUES, /* the values of here[here_at...] */
};
struct count { /* what one loop found */
	struct mbox_msg msg;
	struct store_stats_req *req;
	struct share *share;
	unsigned shard; /* next one */
	struct arena texts;
	uint64_t seed;       /* secret: labels that meet in one place cannot be made */
	size_t held, room;   /* bytes beside those of texts; all that it may hold */
	bool joins;          /* the others' tables come into it: their room is its own, too */
	uint16_t shards;     /* that were counted */
	struct pair **pairs; /* in pages */
	uint32_t pairs_count, pages_count, pages_cap;
	uint64_t names_left_out; /* most values of a name that found no room */
	uint64_t pairs_left_out; /* values of such names */
	uint64_t names_off;      /* series, of loops that had no room for a name */
	struct name *names;
	uint32_t names_count, names_cap;
	struct index pairs_index, names_index;
	uint64_t series, made, chunks;
	int64_t t_min_ms, t_max_ms;
	struct job job;
	struct loop_deferred deferred;
	struct work_task task; /* of the first one home: puts all together */
	struct count *next;    /* others that are home */
	/* where it is */
	enum count_at at;
	const struct shard *in;
	uint64_t id;                     /* of the tenant's, the next one */
	const struct postings *postings; /* the tenant's of in; NULL: it has none */
	uint32_t here[STEP_NAMES];       /* names at work */
	bool here_big[STEP_NAMES];       /* has this one too many values in this shard */
	struct best best[BEST];          /* of the one at work */
	uint32_t best_count;
	uint32_t here_count, here_at, name;
	size_t names_left; /* not told yet */
	struct postings_cursor values_at;
	size_t step_bytes;
};

static struct pair *pair_at(const struct count *c, uint32_t place)
{
	return &c->pairs[place / PAGE][place % PAGE];
}

/* ---- room ---- */

static size_t count_bytes(const struct count *c)
{
	return c->held + arena_used(&c->texts);
}

static bool has_room(const struct count *c)
{
	return c->joins || count_bytes(c) < c->room;
}

/* (2) */
static bool is_admitted(const struct count *c, uint64_t series)
{
	size_t bytes = count_bytes(c), half = c->room / 2;
	if (c->joins || bytes < half)
		return true;
	size_t level = (bytes - half) / (c->room / LEVELS);
	return bytes < c->room && series >> (level + 1);
}

static void sketch_for(struct count *c, struct name *n)
{
	if (n->sketch)
		return;
	if (!has_room(c)) {
		n->about = true;
		return;
	}
	n->sketch = mem_zalloc(sizeof(*n->sketch));
	c->held += sizeof(*n->sketch);
}

static void leave_out(struct count *c, struct name *n, uint64_t hash, uint64_t series)
{
	n->left_out = series > n->left_out ? series : n->left_out;
	sketch_for(c, n);
	if (n->sketch)
		sketch_add(n->sketch, hash);
}

static void count_begin(struct mbox_msg *msg);
static void count_home(struct mbox_msg *msg);

/* ---- indices ---- */

static struct index_part *index_part(struct index *x, uint64_t hash)
{
	return &x->parts[hash >> 56];
}

/* A place for one more of these hashes, which is not in. */
static void index_add(struct index *x, uint64_t hash, uint32_t place,
    uint64_t (*hash_of)(const struct count *c, uint32_t place), struct count *c)
{
	struct index_part *p = index_part(x, hash);
	if (!p->slots) {
		p->mask = INDEX_FIRST - 1;
		p->slots = arena_zalloc(&c->texts, INDEX_FIRST * sizeof *p->slots);
	} else if (p->count > p->mask / 2) {
		struct index_part old = *p;
		p->mask = old.mask * 2 + 1;
		p->slots = mem_zalloc(((size_t)p->mask + 1) * sizeof *p->slots);
		c->held += ((size_t)p->mask + 1) * sizeof *p->slots;
		for (uint32_t i = 0; i <= old.mask; i++) {
			if (!old.slots[i])
				continue;
			uint32_t at = (uint32_t)hash_of(c, old.slots[i] - 1) & p->mask;
			while (p->slots[at])
				at = (at + 1) & p->mask;
			p->slots[at] = old.slots[i];
		}
		if (old.mask >= INDEX_FIRST) {
			c->held -= ((size_t)old.mask + 1) * sizeof *old.slots;
			mem_free(old.slots);
		}
	}
	uint32_t at = (uint32_t)hash & p->mask;
	while (p->slots[at])
		at = (at + 1) & p->mask;
	p->slots[at] = place + 1;
	p->count++;
}

static void index_release(struct index *x)
{
	for (unsigned i = 0; i < INDEX_PARTS; i++)
		if (x->parts[i].mask >= INDEX_FIRST)
			mem_free(x->parts[i].slots);
}

static uint64_t pair_hash(const struct count *c, uint32_t place)
{
	return pair_at(c, place)->hash;
}

static uint64_t name_hash(const struct count *c, uint32_t place)
{
	return c->names[place].hash;
}

static struct count *count_create(struct store *st, struct store_stats_req *r, struct share *sh)
{
	struct count *c = mem_zalloc(sizeof *c);
	c->req = r;
	c->share = sh;
	c->t_min_ms = INT64_MAX;
	c->t_max_ms = INT64_MIN;
	c->seed = st->manifest.seed;
	c->room = (size_t)(st->stats_bytes / COUNTS_MOST / 2 / st->loops);
	arena_init(&c->texts, 64u << 10);
	return c;
}

/* All that it holds: on a worker, it may be much. */
static void count_empty(struct count *c)
{
	arena_release(&c->texts);
	index_release(&c->pairs_index);
	index_release(&c->names_index);
	for (uint32_t i = 0; i < c->names_count; i++)
		mem_free(c->names[i].sketch);
	for (uint32_t i = 0; i < c->pages_count; i++)
		mem_free(c->pairs[i]);
	mem_free(c->pairs);
	mem_free(c->names);
}

/* NO_NAME: there is no room for another one. */
static uint32_t name_index(struct count *c, const char *text, size_t len)
{
	uint64_t hash = hash64(text, len, c->seed);
	const struct index_part *p = index_part(&c->names_index, hash);
	for (uint32_t i = (uint32_t)hash & p->mask; p->slots && p->slots[i]; i = (i + 1) & p->mask) {
		const struct name *n = &c->names[p->slots[i] - 1];
		if (n->hash == hash && n->len == len && memcmp(n->text, text, len) == 0)
			return p->slots[i] - 1;
	}
	if (!has_room(c))
		return NO_NAME;
	if (c->names_count == c->names_cap) {
		c->held += (c->names_cap + 64) * sizeof(*c->names);
		c->names_cap = c->names_cap * 2 + 64;
		c->names = mem_array(c->names, c->names_cap, sizeof *c->names);
	}
	c->names[c->names_count] = (struct name){
		.hash = hash, .text = arena_strndup(&c->texts, text, len), .len = (uint32_t)len
	};
	index_add(&c->names_index, hash, c->names_count, name_hash, c);
	return c->names_count++;
}

static struct pair *pair_find(struct count *c, uint64_t hash)
{
	const struct index_part *p = index_part(&c->pairs_index, hash);
	for (uint32_t i = (uint32_t)hash & p->mask; p->slots && p->slots[i]; i = (i + 1) & p->mask)
		if (pair_at(c, p->slots[i] - 1)->hash == hash)
			return pair_at(c, p->slots[i] - 1);
	return NULL;
}

/* A place for one more, zeroed. */
static struct pair *pair_new(struct count *c)
{
	if (c->pairs_count == c->pages_count * PAGE) {
		if (c->pages_count == c->pages_cap) {
			c->held += (c->pages_cap + 64) * sizeof(*c->pairs);
			c->pages_cap = c->pages_cap * 2 + 64;
			c->pairs = mem_array(c->pairs, c->pages_cap, sizeof(*c->pairs));
		}
		c->pairs[c->pages_count++] = mem_array(NULL, PAGE, sizeof(struct pair));
		c->held += PAGE * sizeof(struct pair);
	}
	return pair_at(c, c->pairs_count);
}

/* A hash is enough: figures, not identities. value: whole, or cut. NO_SHARD: of a loop's shards. */
static void pair_add(struct count *c, uint32_t name, uint64_t hash, const char *value, size_t len,
    uint64_t series, uint16_t shard, uint16_t told)
{
	struct pair *p = pair_find(c, hash);
	if (p) {
		if (p->shard == shard && shard != NO_SHARD)
			return;
		p->series += series;
		p->told += told;
		p->shard = shard;
		return;
	}
	if (!is_admitted(c, series)) {
		leave_out(c, &c->names[name], hash, series);
		return;
	}
	len = rune_cut(value, len, SHOWN_MAX);
	*pair_new(c) = (struct pair){ .hash = hash,
		.series = series,
		.value = arena_strndup(&c->texts, value, len),
		.value_len = (uint16_t)len,
		.shard = shard,
		.told = told,
		.name = name };
	index_add(&c->pairs_index, hash, c->pairs_count++, pair_hash, c);
}

/* ---- of a label with too many values ---- */

static void best_sift(struct best *heap, uint32_t count)
{
	for (uint32_t i = 0;;) {
		uint32_t least = i;
		for (uint32_t k = 2 * i + 1; k <= 2 * i + 2; k++)
			if (k < count && heap[k].series < heap[least].series)
				least = k;
		if (least == i)
			return;
		struct best was = heap[i];
		heap[i] = heap[least];
		heap[least] = was;
		i = least;
	}
}

static void best_set(struct count *c, struct best *b, const struct postings_value *v, uint64_t hash)
{
	if (!b->value)
		b->value = arena_alloc(&c->texts, SHOWN_MAX);
	b->hash = hash;
	b->series = v->series;
	b->value_len = rune_cut(v->value, v->value_len, SHOWN_MAX);
	if (b->value_len)
		memcpy(b->value, v->value, b->value_len);
}

static void best_add(struct count *c, const struct postings_value *v, uint64_t hash)
{
	struct name *n = &c->names[c->name];
	if (c->best_count == BEST) {
		struct best *least = &c->best[0];
		uint64_t out = v->series < least->series ? v->series : least->series;
		n->left_out = out > n->left_out ? out : n->left_out;
		if (least->series >= v->series)
			return;
		best_set(c, least, v, hash);
		best_sift(c->best, BEST);
		return;
	}
	uint32_t at = c->best_count++;
	best_set(c, &c->best[at], v, hash);
	while (at && c->best[(at - 1) / 2].series > c->best[at].series) {
		struct best was = c->best[at];
		c->best[at] = c->best[(at - 1) / 2];
		c->best[(at - 1) / 2] = was;
		at = (at - 1) / 2;
	}
}

static void best_out(struct count *c)
{
	for (uint32_t i = 0; i < c->best_count; i++) {
		const struct best *b = &c->best[i];
		pair_add(c, c->name, b->hash, b->value, b->value_len, b->series,
		    (uint16_t)c->in->index, 1);
	}
	c->best_count = 0;
}

/* Of the shard that is counted, all values of the name are. */
static void name_over(struct count *c)
{
	struct name *n = &c->names[c->name];
	best_out(c);
	n->off += n->left_out;
	n->left_out = 0;
}

/* ---- steps ---- */

static bool step_goes_on(struct count *c, size_t bytes)
{
	c->step_bytes += bytes;
	return c->step_bytes < STEP_BYTES;
}

static bool on_value(void *arg, const struct postings_value *v)
{
	struct count *c = arg;
	struct name *n = &c->names[c->name];
	uint64_t hash = hash64(v->value, v->value_len, n->hash);
	if (c->here_big[c->here_at]) {
		if (n->sketch)
			sketch_add(n->sketch, hash);
		best_add(c, v, hash);
	} else {
		pair_add(
		    c, c->name, hash, v->value, v->value_len, v->series, (uint16_t)c->in->index, 1);
	}
	return step_goes_on(c, v->value_len);
}

static bool on_name(void *arg, const struct postings_name *n)
{
	struct count *c = arg;
	uint32_t at = name_index(c, n->name, n->name_len);
	bool big = n->values > (c->req->lists ? BIG_LISTS : BIG);
	if (at == NO_NAME) {
		c->names_left_out = n->values > c->names_left_out ? n->values : c->names_left_out;
		c->pairs_left_out += n->values;
		return step_goes_on(c, n->name_len);
	}
	struct name *to = &c->names[at];
	to->bytes += n->bytes;
	to->values_most = n->values > to->values_most ? n->values : to->values_most;
	if (big)
		sketch_for(c, to);
	c->here_big[c->here_count] = big;
	c->here[c->here_count++] = at;
	return step_goes_on(c, n->name_len);
}

static void bounds_add(struct count *c, int64_t lo, int64_t hi)
{
	c->t_min_ms = lo < c->t_min_ms ? lo : c->t_min_ms;
	c->t_max_ms = hi > c->t_max_ms ? hi : c->t_max_ms;
}

static void shard_begin(struct count *c, const struct shard *sh)
{
	c->at = c->req->lists ? COUNT_TENANT : COUNT_SERIES;
	c->in = sh;
	c->shards++;
	c->postings = head_postings(&sh->head, c->req->tenant);
	c->series += c->postings ? postings_series(c->postings) : 0;
	c->made += c->postings ? postings_made(c->postings) : 0;
	c->id = 0;
	if (c->req->lists)
		return;
	if (!share_is_alone(c->share, c->req->tenant))
		return;
	LIST_EACH(l, &sh->files) {
		const struct shard_file *f = CONTAINER_OF(l, struct shard_file, link);
		if (f->entry.samples)
			bounds_add(c, f->entry.t_min_ms, f->entry.t_max_ms);
	}
}

static uint32_t packs_of(const struct series *s)
{
	const struct series_run *frozen = series_frozen(s);
	return (s->more ? s->more->packs.count : 0) +
	    (frozen && frozen->more ? frozen->more->packs.count : 0);
}

static void series_count(struct count *c, const struct series *s)
{
	int64_t lo, hi;
	c->chunks += packs_of(s);
	c->chunks += (s->tail.count > 0) + (uint64_t)(s->tail.form & TAIL_PACKED);
	if (series_bounds(s, &lo, &hi))
		bounds_add(c, lo, hi);
}

/* The time it takes is that of the tenant's own series, whatever others have. */
static void series_step(struct count *c)
{
	uint32_t ids[STEP_SERIES];
	size_t n = c->postings && c->id <= UINT32_MAX
	    ? postings_ids_from(c->postings, (uint32_t)c->id, ids, STEP_SERIES)
	    : 0;
	for (size_t i = 0; i < n; i++) {
		const struct series *s = head_by_id(&c->in->head, ids[i]);
		if (s && s->tenant == c->req->tenant)
			series_count(c, s);
	}
	if (n)
		c->id = (uint64_t)ids[n - 1] + 1;
	if (n < STEP_SERIES)
		c->at = COUNT_TENANT;
}

static void tenant_begin(struct count *c)
{
	c->names_left = SIZE_MAX;
	c->at = c->postings ? COUNT_NAMES : COUNT_NEXT;
}

static void names_step(struct count *c)
{
	c->here_count = c->here_at = 0;
	c->step_bytes = 0;
	postings_names(c->postings, &c->names_left, STEP_NAMES, on_name, c);
	c->values_at = (struct postings_cursor){ 0 };
	c->at = c->here_count ? COUNT_VALUES : c->names_left ? COUNT_NAMES : COUNT_NEXT;
}

static void values_step(struct count *c)
{
	if (c->here_at == c->here_count) {
		c->at = COUNT_NAMES;
		return;
	}
	c->name = c->here[c->here_at];
	c->step_bytes = 0;
	const struct name *n = &c->names[c->name];
	postings_values(c->postings, n->text, n->len, NULL, &c->values_at, STEP_VALUES, on_value, c);
	if (!c->values_at.ended)
		return;
	name_over(c);
	c->here_at++;
	c->values_at = (struct postings_cursor){ 0 };
}

static void count_leave(struct loop_deferred *d)
{
	struct count *c = CONTAINER_OF(d, struct count, deferred);
	c->msg.fn = count_home;
	loop_send(c->req->_from, &c->msg);
}

/* True when all shards are counted. */
static bool count_step(struct count *c)
{
	switch (c->at) {
	case COUNT_NEXT:
		if (c->shard == c->share->shards_count)
			return true;
		shard_begin(c, c->share->shards[c->shard++]);
		break;
	case COUNT_SERIES:
		series_step(c);
		break;
	case COUNT_TENANT:
		tenant_begin(c);
		break;
	case COUNT_NAMES:
		names_step(c);
		break;
	case COUNT_VALUES:
		values_step(c);
		break;
	}
	return false;
}

static enum job_state count_run(struct job *j)
{
	struct count *c = CONTAINER_OF(j, struct count, job);
	do {
		if (count_step(c)) {
			/* At the end of the turn: the loop still has the job in its hands. */
			c->deferred.fn = count_leave;
			loop_defer(c->share->loop, &c->deferred);
			return JOB_DONE;
		}
	} while (!job_should_yield());
	return JOB_YIELD;
}

static void count_begin(struct mbox_msg *msg)
{
	struct count *c = CONTAINER_OF(msg, struct count, msg);
	job_init(&c->job, JOB_QUERY, count_run);
	job_start(c->share->loop, &c->job);
}

static void stats_begin(struct store *st, struct store_stats_req *r)
{
	st->stats_open++;
	for (unsigned i = 0; i < st->loops; i++) {
		struct count *c = count_create(st, r, st->shares[i]);
		c->msg.fn = count_begin;
		loop_send(c->share->loop, &c->msg);
	}
}

/* (1), on loop 0 */
static void stats_asked(struct mbox_msg *msg)
{
	struct store_stats_req *r = CONTAINER_OF(msg, struct store_stats_req, _msg);
	struct store *st = r->_store;
	if (st->stats_open < COUNTS_MOST)
		stats_begin(st, r);
	else
		list_add_tail(&st->stats_wait, &r->_link);
}

void store_stats(struct store *st, struct store_stats_req *r)
{
	r->_from = loop_here();
	r->_store = st;
	r->_open = st->loops;
	r->_counts = NULL;
	if (r->top < 1 || r->top > STORE_TOP_MAX)
		r->top = 10;
	r->_msg.fn = stats_asked;
	loop_send(st->shares[0]->loop, &r->_msg);
}

void store_stats_init(struct store *st)
{
	uint64_t n = budget_bytes() / STORE_STATS_PART;
	n = n < STORE_STATS_LEAST ? STORE_STATS_LEAST : n;
	st->stats_bytes = n < STORE_STATS_MOST ? n : STORE_STATS_MOST;
	if (st->opts.stats_bytes)
		st->stats_bytes = st->opts.stats_bytes;
	list_init(&st->stats_wait);
}

/* ---- at home ---- */

static void name_join(struct name *to, const struct name *n)
{
	to->bytes += n->bytes;
	to->off += n->off;
	to->about |= n->about;
	to->loops = (uint16_t)(to->loops + n->loops);
	to->values_most = n->values_most > to->values_most ? n->values_most : to->values_most;
	if (n->sketch && !to->sketch)
		to->sketch = mem_zalloc(sizeof(*to->sketch));
	if (n->sketch)
		sketch_join(to->sketch, n->sketch);
}

/* Before any table comes into its own. */
static void alone(struct count *c)
{
	for (uint32_t i = 0; i < c->names_count; i++)
		c->names[i].loops = 1;
	c->names_off = c->names_left_out ? c->series : 0;
	c->names_left_out *= c->shards;
}

static void merge(struct count *to, struct count *c)
{
	to->joins = true;
	alone(c);
	to->series += c->series;
	to->made += c->made;
	to->chunks += c->chunks;
	to->shards = (uint16_t)(to->shards + c->shards);
	to->names_left_out += c->names_left_out;
	to->pairs_left_out += c->pairs_left_out;
	to->names_off += c->names_off;
	bounds_add(to, c->t_min_ms, c->t_max_ms);
	uint32_t *names = mem_array(NULL, c->names_count + 1, sizeof *names);
	for (uint32_t i = 0; i < c->names_count; i++) {
		names[i] = name_index(to, c->names[i].text, c->names[i].len);
		name_join(&to->names[names[i]], &c->names[i]);
	}
	for (uint32_t i = 0; i < c->pairs_count; i++) {
		const struct pair *p = pair_at(c, i);
		pair_add(to, names[p->name], p->hash, p->value, p->value_len, p->series, NO_SHARD,
		    p->told);
	}
	mem_free(names);
}

/* Into a list of the largest, descending; equal ones in the order of their texts. */
static void top_add(struct store_top *top, unsigned *count, unsigned max, uint64_t value,
    uint64_t off, bool about, const char *a, size_t a_len, const char *b, size_t b_len)
{
	if (*count == max && top[max - 1].value > value)
		return;
	struct store_top t = { .value = value, .off = off, .about = about };
	size_t room = SHOWN_MAX, n = rune_cut(a, a_len, room);
	memcpy(t.name, a, n);
	if (b && n < room) {
		t.name[n++] = '=';
		size_t m = rune_cut(b, b_len, room - n);
		memcpy(t.name + n, b, m);
	}
	unsigned at = *count;
	while (at &&
	    (top[at - 1].value < value ||
	        (top[at - 1].value == value && strcmp(top[at - 1].name, t.name) > 0)))
		at--;
	if (at == max)
		return;
	unsigned last = *count < max ? (*count)++ : max - 1;
	memmove(&top[at + 1], &top[at], (last - at) * sizeof *top);
	top[at] = t;
}

static bool name_is(const struct name *n, const char *text)
{
	return n->len == strlen(text) && memcmp(n->text, text, n->len) == 0;
}

static void raise(uint64_t *most, uint64_t n)
{
	*most = n > *most ? n : *most;
}

static void report_pairs(struct count *c, struct store_stats *s, unsigned top)
{
	for (uint32_t i = 0; i < c->pairs_count; i++) {
		const struct pair *p = pair_at(c, i);
		struct name *n = &c->names[p->name];
		uint64_t off = p->told < c->shards ? n->off : 0;
		n->values++;
		if (n->sketch)
			sketch_add(n->sketch, p->hash);
		if (name_is(n, LABEL_NAME))
			top_add(s->by_metric, &s->by_metric_count, top, p->series, off, off > 0,
			    p->value, p->value_len, NULL, 0);
		if (name_is(n, "instance"))
			top_add(s->by_target, &s->by_target_count, top, p->series, off, off > 0,
			    n->text, n->len, p->value, p->value_len);
		top_add(s->by_pair, &s->by_pair_count, top, p->series, off, off > 0, n->text,
		    n->len, p->value, p->value_len);
	}
}

/* By some loop, perhaps. */
static bool is_left_out(const struct count *c, const struct name *n)
{
	return c->names_off && n->loops < c->req->_store->loops;
}

static void report_name(struct count *c, struct store_stats *s, struct name *n, unsigned top)
{
	uint64_t off = n->about ? UINT64_MAX : 0;
	n->values = n->sketch ? sketch_estimate(n->sketch) : n->values;
	if (n->about)
		raise(&n->values, n->values_most);
	s->label_pairs += n->values;
	s->pairs_about |= n->about || n->sketch;
	top_add(s->by_label, &s->by_label_count, top, n->values, off, n->about || n->sketch,
	    n->text, n->len, NULL, 0);
	off = is_left_out(c, n) ? UINT64_MAX : 0;
	top_add(s->mem_by_label, &s->mem_by_label_count, top, n->bytes, off, off > 0, n->text,
	    n->len, NULL, 0);
}

/* What of it is whose is not known. */
static void report_left_out(struct count *c, struct store_stats *s)
{
	s->label_pairs = c->pairs_left_out;
	s->pairs_about = c->names_off > 0;
	s->label_below = c->names_left_out;
	s->metric_below = s->target_below = s->pair_below = c->names_off;
	for (uint32_t i = 0; i < c->names_count; i++) {
		struct name *n = &c->names[i];
		if (is_left_out(c, n)) {
			n->about = true;
			n->off += c->names_off;
		}
		raise(&s->pair_below, n->off);
		if (n->about)
			raise(&s->label_below, c->series);
		if (name_is(n, LABEL_NAME))
			s->metric_below = n->off;
		if (name_is(n, "instance"))
			s->target_below = n->off;
	}
}

/* The last of a full list. */
static void below(uint64_t *most, const struct store_top *top, unsigned count, unsigned max)
{
	if (count == max)
		raise(most, top[max - 1].value);
}

static void report(struct count *c, struct store_stats_req *r)
{
	struct store_stats *s = r->stats;
	memset(s, 0, sizeof *s);
	s->series = c->series;
	s->made = c->made;
	s->chunks = c->chunks;
	s->t_min_ms = c->t_min_ms;
	s->t_max_ms = c->t_max_ms;
	report_left_out(c, s);
	report_pairs(c, s, r->top);
	for (uint32_t i = 0; i < c->names_count; i++)
		report_name(c, s, &c->names[i], r->top);
	below(&s->metric_below, s->by_metric, s->by_metric_count, r->top);
	below(&s->label_below, s->by_label, s->by_label_count, r->top);
	below(&s->pair_below, s->by_pair, s->by_pair_count, r->top);
	below(&s->target_below, s->by_target, s->by_target_count, r->top);
}

static void together(struct work_task *t)
{
	struct count *c = CONTAINER_OF(t, struct count, task);
	alone(c);
	for (struct count *o = c->next; o; o = o->next)
		merge(c, o);
	report(c, c->req);
	for (struct count *o = c; o; o = o->next)
		c->req->stats->bytes += count_bytes(o);
	for (struct count *o = c; o; o = o->next)
		count_empty(o);
}

static void stats_told(struct mbox_msg *msg)
{
	struct store_stats_req *r = CONTAINER_OF(msg, struct store_stats_req, _msg);
	r->done(r);
}

/* On loop 0: the next one begins. */
static void stats_over(struct mbox_msg *msg)
{
	struct store_stats_req *r = CONTAINER_OF(msg, struct store_stats_req, _msg);
	struct store *st = r->_store;
	st->stats_open--;
	if (!list_empty(&st->stats_wait))
		stats_begin(
		    st, CONTAINER_OF(list_pop(&st->stats_wait), struct store_stats_req, _link));
	r->_msg.fn = stats_told;
	loop_send(r->_from, &r->_msg);
}

static void together_done(struct work_task *t)
{
	struct count *c = CONTAINER_OF(t, struct count, task);
	struct store_stats_req *r = c->req;
	for (struct count *o = c, *n; o; o = n) {
		n = o->next;
		mem_free(o);
	}
	r->_counts = NULL;
	r->_msg.fn = stats_over;
	loop_send(r->_store->shares[0]->loop, &r->_msg);
}

static void count_home(struct mbox_msg *msg)
{
	struct count *c = CONTAINER_OF(msg, struct count, msg);
	struct store_stats_req *r = c->req;
	c->next = r->_counts;
	r->_counts = c;
	if (--r->_open)
		return;
	/* A million pairs take a tenth of a second: not on a loop. */
	c->task.run = together;
	c->task.done = together_done;
	c->task.prio = WORK_READ;
	work_submit(c->share->env->pool, &c->task);
}
