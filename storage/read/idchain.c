#include "storage/read/idchain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "storage/meta/postings_priv.h"

#define CHOOSE_NS     200000u /* of one step of choosing */
#define SERIES_AHEAD  8u      /* hot lines of active series fetched so many ahead */
#define INSIDES_AHEAD 4u      /* and what they point to */
#define SKIPS_MAX     512u    /* ids without a series in one call */
#define TABLES        256u
#define FETCH_AT      64u /* labels fetched at once */
#define FETCH_KEEP    (256u << 10)

/* ---- old ids, by the hash of their labels ---- */

static uint32_t hash_of(const struct idchain *c, struct labels ls)
{
	return (uint32_t)(hash64(ls.bytes, ls.len, c->shard->seed) >> 32);
}

static void old_release(struct idchain_old *o)
{
	for (unsigned i = 0; o->tables && i < TABLES; i++)
		mem_free(o->tables[i].slots);
	mem_free(o->tables);
	mem_free(o->items);
}

/* Place of a hash: of its last item, or empty. */
static uint32_t *table_slot(const struct idchain_old *o, const struct idchain_table *t, uint32_t hash)
{
	uint32_t i = hash & t->mask;
	while (t->slots[i] && o->items[t->slots[i] - 1].hash != hash)
		i = (i + 1) & t->mask;
	return &t->slots[i];
}

static void table_grow(const struct idchain_old *o, struct idchain_table *t)
{
	struct idchain_table old = *t;
	t->mask = old.slots ? old.mask * 2 + 1 : 15;
	t->slots = mem_zalloc(((size_t)t->mask + 1) * sizeof(*t->slots));
	for (uint32_t i = 0; old.slots && i <= old.mask; i++)
		if (old.slots[i])
			*table_slot(o, t, o->items[old.slots[i] - 1].hash) = old.slots[i];
	mem_free(old.slots);
}

/* Index + 1 of the last item with a hash; 0: there is none. */
static uint32_t old_find(const struct idchain_old *o, uint32_t hash)
{
	const struct idchain_table *t = &o->tables[hash >> 24];
	return t->slots ? *table_slot(o, t, hash) : 0;
}

static void old_add(struct idchain_old *o, uint32_t id, uint32_t hash)
{
	if (!o->tables)
		o->tables = mem_zalloc(TABLES * sizeof(*o->tables));
	if (o->count == o->cap) {
		o->cap = o->cap ? 2 * o->cap : 16;
		o->items = mem_array(o->items, o->cap, sizeof(*o->items));
	}
	CHECK(o->count < UINT32_MAX / 4);
	struct idchain_table *t = &o->tables[hash >> 24];
	if (!t->slots || t->count > t->mask / 4 * 3)
		table_grow(o, t);
	uint32_t *slot = table_slot(o, t, hash);
	o->items[o->count] = (struct idchain_item){ .id = id, .hash = hash, .other = *slot };
	t->count += !*slot;
	*slot = (uint32_t)++o->count;
}

size_t idchain_old_labels(const struct idchain *c)
{
	size_t n = 0;
	for (unsigned i = 0; c->old.tables && i < TABLES; i++)
		n += c->old.tables[i].count;
	return n;
}

bool idchain_knows_old(const struct idchain *c, struct labels ls)
{
	return c->old.tables && old_find(&c->old, hash_of(c, ls));
}

/* ---- series that leave memory ---- */

static void gone_add(struct idchain *c, uint32_t id, uint32_t hash)
{
	if (c->gone_count == c->gone_cap) {
		c->gone_cap = c->gone_cap ? 2 * c->gone_cap : 64;
		c->gone = mem_array(c->gone, c->gone_cap, sizeof(*c->gone));
	}
	c->gone[c->gone_count++] = (struct idchain_gone){ .id = id, .hash = hash };
}

static int by_id(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

/* Has its turn still to come? */
static bool is_ahead(const struct idchain *c, uint32_t id)
{
	if (c->has_series && c->is_active && id == c->ahead[c->ahead_at]) { /* (3) */
		CHECK(c->copy && c->labels.bytes == c->copy); /* kept over the end of the turn */
		return false;
	}
	if (id >= c->next_id)
		return roaring_bitmap_contains(c->chosen, id);
	return c->ahead_at < c->ahead_count &&
	    bsearch(&id, c->ahead + c->ahead_at, c->ahead_count - c->ahead_at, sizeof(id), by_id);
}

static void leaves(struct shard_reader *r, const struct series *s)
{
	struct idchain *c = CONTAINER_OF(r, struct idchain, reader);
	if (s->tenant != c->tenant || c->state == IDCHAIN_FAILED)
		return;
	uint32_t hash = hash_of(c, series_labels(s));
	if (c->state == IDCHAIN_CHOOSING)
		gone_add(c, s->id, hash);
	else if (!is_ahead(c, s->id))
		return;
	else if (c->state == IDCHAIN_LOOKUP) /* the worker has the old ones */
		gone_add(c, s->id, hash);
	else
		old_add(&c->old, s->id, hash);
}

/* ---- the choice ---- */

static bool labels_of(void *arg, uint32_t id, struct labels *out)
{
	struct idchain *c = arg;
	const struct series *s = head_by_id(&c->shard->head, id);
	if (!s || s->tenant != c->tenant)
		return false;
	*out = series_labels(s);
	return true;
}

void idchain_open(struct idchain *c, struct shard *sh, const struct source_query *query,
    void (*found)(struct idchain *c))
{
	const struct postings *p = head_postings(&sh->head, source_first_tenant(query));
	*c = (struct idchain){ .state = IDCHAIN_CHOOSING,
		.shard = sh,
		.tenant = source_first_tenant(query),
		.t_min_ms = query->t_min_ms,
		.t_max_ms = query->t_max_ms,
		.query = query,
		.found = found,
		.labels_of = { .get = labels_of, .arg = c },
		.reader.leaves = leaves };
	errbuf_init(&c->eb);
	c->refs_cap = 8;
	c->refs = mem_array(NULL, c->refs_cap, sizeof(*c->refs));
	arena_init(&c->arena, 1 << 10);
	arena_init(&c->batch.arena, 16 << 10);
	list_add_tail(&sh->readers, &c->reader.link);
	if (p)
		c->choosing =
		    postings_select_begin(p, query->matchers, query->matchers_count, &c->labels_of);
}

void idchain_close(struct idchain *c)
{
	CHECK(!idchain_is_away(c));
	postings_select_end(c->choosing);
	list_del(&c->reader.link);
	for (size_t i = 0; i < c->matchers_count; i++)
		matcher_release(&c->matchers[i]);
	old_release(&c->old);
	if (c->chosen)
		roaring_bitmap_free(c->chosen);
	filedefs_unpin(&c->files);
	arena_release(&c->arena);
	arena_release(&c->batch.arena);
	mem_free(c->batch.parts);
	mem_free(c->gone);
	mem_free(c->refs);
	mem_free(c->copy);
}

/*
 * Does the catalog know series that are not in memory? Where a file is lost the count of them
 * may be wrong.
 */
bool idchain_asks_catalog(const struct shard *sh)
{
	return sh->catalog && (sh->inactive || sh->lost_count || shard_catalog_is_behind(sh));
}

bool idchain_none(const struct shard *sh, const struct source_query *query)
{
	const struct postings *p = head_postings(&sh->head, source_first_tenant(query));

	if (idchain_asks_catalog(sh))
		return false;
	return !p || postings_select_none(p, query->matchers, query->matchers_count);
}

static void look_up_begin(struct idchain *c);

static void choice_made(struct idchain *c)
{
	c->chosen = c->choosing ? postings_select_take(c->choosing) : roaring_bitmap_create();
	if (!c->chosen)
		panic("out of memory: bitmap");
	postings_select_end(c->choosing);
	c->choosing = NULL;
	for (size_t i = 0; i < c->gone_count; i++)
		roaring_bitmap_remove(c->chosen, c->gone[i].id);
	c->chosen_count = (size_t)roaring_bitmap_get_cardinality(c->chosen);
	c->state = IDCHAIN_READY;
	if (c->gone_count || idchain_asks_catalog(c->shard))
		look_up_begin(c);
	c->gone_count = 0;
	c->query = NULL;
}

static bool enough(void *arg)
{
	const uint64_t *end_ns = arg;
	return clock_real_mono_ns() >= *end_ns;
}

enum idchain_state idchain_choose(struct idchain *c)
{
	uint64_t end_ns = clock_real_mono_ns() + CHOOSE_NS;

	if (c->state != IDCHAIN_CHOOSING)
		return c->state;
	switch (c->choosing ? postings_select_step(c->choosing, enough, &end_ns) : POSTINGS_DONE) {
	case POSTINGS_MORE:
		break;
	case POSTINGS_DONE:
		choice_made(c);
		break;
	case POSTINGS_FAILED:
		c->err = errbuf_set(
		    &c->eb, ERR_EXECUTION, "a label expression needs too many steps to match");
		c->state = IDCHAIN_FAILED;
		break;
	}
	return c->state;
}

/* ---- the look-up on a worker ---- */

static enum err old_of_ids(struct idchain *c, const uint32_t *ids, size_t count)
{
	struct labels labels[FETCH_AT];
	struct arena a;
	enum err e = ERR_OK;
	arena_init(&a, 64 << 10);
	for (size_t at = 0; at < count && !e; at += FETCH_AT) {
		size_t n = count - at < FETCH_AT ? count - at : FETCH_AT;
		e = catalog_labels(
		    c->shard->catalog, c->shard->index, ids + at, n, &a, labels, NULL, &c->eb);
		for (size_t i = 0; i < n && !e; i++)
			if (labels[i].len)
				old_add(&c->old, ids[at + i], hash_of(c, labels[i]));
		arena_reset(&a, FETCH_KEEP);
	}
	arena_release(&a);
	return e;
}

/*
 * On a worker, behind reads of the catalog: was it the one that knew all? It may be damaged, or
 * renewed meanwhile. Then the files are asked instead.
 */
static void judge(struct idchain *c)
{
	if (c->err != ERR_DAMAGED && (c->err || catalog_epoch(c->shard->catalog) == c->epoch))
		return;
	c->incomplete = true;
	c->err = ERR_OK;
	errbuf_init(&c->eb);
}

static void old_of_file(void *arg, uint32_t id, struct labels ls)
{
	struct idchain *c = arg;
	if (!roaring_bitmap_contains(c->chosen, id))
		old_add(&c->old, id, hash_of(c, ls));
}

static void look_up_files(struct work_task *t)
{
	struct idchain *c = CONTAINER_OF(t, struct idchain, task);
	c->err = filedefs_select(&c->files, c->tenant, c->matchers, c->matchers_count, c->t_min_ms,
	    c->t_max_ms, old_of_file, c, &c->eb);
}

static void look_up(struct work_task *t)
{
	struct idchain *c = CONTAINER_OF(t, struct idchain, task);
	uint32_t *ids = NULL;
	size_t count = 0, kept = 0;
	c->err = catalog_select(c->shard->catalog, c->shard->index, c->tenant, c->matchers,
	    c->matchers_count, c->t_min_ms, c->t_max_ms, &ids, &count, &c->eb);
	judge(c);
	if (c->err || c->incomplete) {
		mem_free(ids);
		return;
	}
	for (size_t i = 0; i < count; i++)
		if (!roaring_bitmap_contains(c->chosen, ids[i]))
			ids[kept++] = ids[i];
	c->err = old_of_ids(c, ids, kept);
	judge(c);
	mem_free(ids);
}

/* Says that files were asked, and what they could not tell. */
static void warn_files(struct idchain *c)
{
	if (!c->by_files)
		return;
	if (c->files.damaged)
		snprintf(c->warning, sizeof(c->warning),
		    "the catalog is being rebuilt; series whose labels stand in %llu damaged blocks of files may be missing",
		    (unsigned long long)c->files.damaged);
	else
		snprintf(c->warning, sizeof(c->warning),
		    "the catalog is being rebuilt: series that are not in memory were looked for in the files, nothing is missing");
}

static void home(struct idchain *c)
{
	c->state = c->err ? IDCHAIN_FAILED : IDCHAIN_READY;
	if (c->err && !c->eb.text[0])
		errbuf_set(&c->eb, c->err, "the catalog cannot be read");
}

/* The files of now, instead of the catalog: what was found in it is found again. */
static void files_begin(
    struct idchain *c, void (*run)(struct work_task *t), void (*done)(struct work_task *t))
{
	c->incomplete = false;
	c->by_files = true;
	filedefs_pin(&c->files, c->shard);
	c->task = (struct work_task){ .run = run, .done = done, .prio = WORK_READ };
	work_submit(c->shard->pool, &c->task);
}

static void looked_up(struct work_task *t)
{
	struct idchain *c = CONTAINER_OF(t, struct idchain, task);
	if (c->incomplete) {
		old_release(&c->old);
		c->old = (struct idchain_old){ .count = 0 };
		files_begin(c, look_up_files, looked_up);
		return;
	}
	home(c);
	warn_files(c);
	for (size_t i = 0; i < c->gone_count; i++) /* left meanwhile */
		old_add(&c->old, c->gone[i].id, c->gone[i].hash);
	c->gone_count = 0;
	c->found(c);
}

/*
 * The cursor may be closed, and its query gone, while the worker still looks: it gets matchers
 * of its own.
 */
static void copy_matchers(struct idchain *c)
{
	const struct source_query *q = c->query;
	struct arena *a = &c->arena;
	c->matchers = arena_zalloc(a, (q->matchers_count + 1) * sizeof(*c->matchers));
	for (size_t i = 0; i < q->matchers_count && !c->err; i++) {
		const struct matcher *m = &q->matchers[i];
		c->err = matcher_init(&c->matchers[i], m->type, arena_dup(a, m->name, m->name_len),
		    m->name_len, arena_dup(a, m->value, m->value_len), m->value_len, &c->eb);
		if (!c->err)
			c->matchers_count = i + 1;
	}
}

static void look_up_begin(struct idchain *c)
{
	copy_matchers(c);
	if (c->err) {
		c->state = IDCHAIN_FAILED;
		return;
	}
	c->state = IDCHAIN_LOOKUP;
	c->epoch = epoch_now(&c->shard->catalog_epoch);
	c->task = (struct work_task){ .run = look_up, .done = looked_up, .prio = WORK_READ };
	work_submit(c->shard->pool, &c->task);
}

/* ---- labels of old ids ---- */

/* What stands in memory is told at once. */
static void part_add(struct idchain *c, uint32_t index)
{
	struct idchain_batch *b = &c->batch;
	struct idchain_item *x = &c->old.items[index];
	if (b->count == b->cap) {
		b->cap = b->cap ? 2 * b->cap : 64;
		b->parts = mem_array(b->parts, b->cap, sizeof(*b->parts));
	}
	struct idchain_part *p = &b->parts[b->count++];
	struct labels ls;
	*p = (struct idchain_part){ .index = index, .id = x->id };
	x->queued = true;
	if (!labels_of(c, x->id, &ls))
		return;
	p->told = true;
	p->labels = (struct labels){ .bytes = arena_dup(&b->arena, ls.bytes, ls.len), .len = ls.len };
}

static void parts_add(struct idchain *c, uint32_t hash)
{
	struct idchain_batch *b = &c->batch;
	for (uint32_t at = old_find(&c->old, hash); at; at = c->old.items[at - 1].other) {
		const struct idchain_item *x = &c->old.items[at - 1];
		if (!x->done && !x->queued)
			part_add(c, at - 1);
	}
	if (!b->first)
		b->first = b->count;
}

static void batch_clear_all(struct idchain *c)
{
	for (size_t i = 0; i < c->batch.count; i++)
		c->old.items[c->batch.parts[i].index].queued = false;
	c->batch.count = c->batch.first = 0;
	arena_reset(&c->batch.arena, IDCHAIN_BATCH_BYTES);
}

static int by_index(const void *a, const void *b)
{
	const struct idchain_part *x = a, *y = b;
	return (x->index > y->index) - (x->index < y->index);
}

/* The part of an item; NULL: it is in no batch, or its labels did not come. */
static const struct idchain_part *part_of(const struct idchain *c, uint32_t index)
{
	struct idchain_part want = { .index = index };
	const struct idchain_part *p = c->old.items[index].queued
	    ? bsearch(&want, c->batch.parts, c->batch.count, sizeof(want), by_index)
	    : NULL;
	return p && p->told ? p : NULL;
}

/* Labels that a part before has, too, stand once. */
static bool is_known(struct idchain_batch *b, size_t at, struct labels ls)
{
	if (!at || !b->parts[at - 1].told || !label_equal(b->parts[at - 1].labels, ls))
		return false;
	b->parts[at].labels = b->parts[at - 1].labels;
	return true;
}

static void fetch(struct work_task *t)
{
	struct idchain *c = CONTAINER_OF(t, struct idchain, task);
	struct idchain_batch *b = &c->batch;
	uint32_t ids[FETCH_AT];
	struct labels labels[FETCH_AT];
	size_t places[FETCH_AT];
	struct arena a;
	arena_init(&a, 64 << 10);
	for (size_t at = 0; at < b->count && !c->err;) {
		size_t n = 0;
		if (at >= b->first && arena_used(&b->arena) > IDCHAIN_BATCH_BYTES)
			break;
		for (; at < b->count && n < FETCH_AT; at++) {
			if (b->parts[at].told)
				continue;
			places[n] = at;
			ids[n++] = b->parts[at].id;
		}
		if (n)
			c->err = catalog_labels(
			    c->shard->catalog, c->shard->index, ids, n, &a, labels, NULL, &c->eb);
		for (size_t i = 0; i < n && !c->err; i++) {
			struct idchain_part *p = &b->parts[places[i]];
			p->told = true;
			if (labels[i].len && !is_known(b, places[i], labels[i]))
				p->labels = (struct labels){ .bytes = arena_dup(&b->arena,
					                         labels[i].bytes, labels[i].len),
					.len = labels[i].len };
		}
		arena_reset(&a, FETCH_KEEP);
	}
	judge(c);
	arena_release(&a);
}

/* The parts whose labels are to be fetched from files, by id. */
struct file_parts {
	struct idchain *c;
	struct file_part {
		uint32_t id, place;
		bool later; /* the batch is full: it comes with the next one */
	} * v;
	size_t count;
};

static int by_part_id(const void *a, const void *b)
{
	const struct file_part *x = a, *y = b;
	return (x->id > y->id) - (x->id < y->id);
}

static void part_of_file(void *arg, size_t at, uint32_t tenant, struct labels ls)
{
	struct file_parts *f = arg;
	struct idchain_batch *b = &f->c->batch;
	struct idchain_part *p = &b->parts[f->v[at].place];
	(void)tenant;
	if (f->v[at].place >= b->first && arena_used(&b->arena) > IDCHAIN_BATCH_BYTES) {
		f->v[at].later = true;
		return;
	}
	p->labels = (struct labels){ .bytes = arena_dup(&b->arena, ls.bytes, ls.len), .len = ls.len };
}

/* All of the first hash, of the others what has room. */
static void fetch_files(struct work_task *t)
{
	struct idchain *c = CONTAINER_OF(t, struct idchain, task);
	struct idchain_batch *b = &c->batch;
	struct file_parts f = { .c = c, .v = mem_array(NULL, b->count + 1, sizeof(*f.v)) };
	uint32_t *ids = mem_array(NULL, b->count + 1, sizeof(*ids));
	for (size_t i = 0; i < b->count; i++) {
		if (!b->parts[i].told)
			f.v[f.count++] =
			    (struct file_part){ .id = b->parts[i].id, .place = (uint32_t)i };
	}
	if (f.count)
		qsort(f.v, f.count, sizeof(*f.v), by_part_id);
	for (size_t i = 0; i < f.count; i++)
		ids[i] = f.v[i].id;
	c->err = filedefs_labels(&c->files, ids, f.count, part_of_file, &f);
	for (size_t i = 0; !c->err && i < f.count; i++)
		b->parts[f.v[i].place].told = !f.v[i].later;
	mem_free(ids);
	mem_free(f.v);
}

/* Who is known to nobody was forgotten by the retention meanwhile. */
static void batch_take(struct idchain *c)
{
	struct idchain_batch *b = &c->batch;
	for (size_t i = 0; i < b->count; i++)
		if (b->parts[i].told && !b->parts[i].labels.len)
			c->old.items[b->parts[i].index].done = true;
	if (b->count)
		qsort(b->parts, b->count, sizeof(*b->parts), by_index);
}

/* What the catalog told before it was renewed may be "nobody": asked again, as what it did not. */
static void forget_told(struct idchain *c)
{
	struct idchain_batch *b = &c->batch;
	for (size_t i = 0; i < b->count; i++)
		b->parts[i].told = b->parts[i].told && b->parts[i].labels.len;
}

static void fetched(struct work_task *t)
{
	struct idchain *c = CONTAINER_OF(t, struct idchain, task);
	if (c->incomplete) {
		forget_told(c);
		files_begin(c, fetch_files, fetched);
		return;
	}
	home(c);
	warn_files(c);
	if (!c->err)
		batch_take(c);
	c->found(c);
}

static enum idchain_step batch_fetch(struct idchain *c)
{
	bool all = true;
	for (size_t i = 0; i < c->batch.count && all; i++)
		all = c->batch.parts[i].told;
	if (all || !c->shard->catalog) {
		for (size_t i = 0; i < c->batch.count; i++)
			c->batch.parts[i].told = true;
		batch_take(c);
		return IDCHAIN_AGAIN;
	}
	c->state = IDCHAIN_LABELS;
	c->task = (struct work_task){
		.run = c->by_files ? fetch_files : fetch, .done = fetched, .prio = WORK_READ
	};
	work_submit(c->shard->pool, &c->task);
	return IDCHAIN_WAIT;
}

/* Of the active series of now, and of those that come next. */
static enum idchain_step batch_of_active(struct idchain *c)
{
	batch_clear_all(c);
	for (unsigned i = c->ahead_at; i < c->ahead_count && c->batch.count < IDCHAIN_BATCH_IDS &&
	     arena_used(&c->batch.arena) < IDCHAIN_BATCH_BYTES;
	     i++) {
		struct labels ls;
		if (labels_of(c, c->ahead[i], &ls))
			parts_add(c, hash_of(c, ls));
	}
	return batch_fetch(c);
}

/* Of the old ids whose turn comes. */
static enum idchain_step batch_of_old(struct idchain *c)
{
	batch_clear_all(c);
	size_t end = c->old.pos + IDCHAIN_BATCH_IDS;
	for (size_t i = c->old.pos; i < c->old.count && i < end &&
	     c->batch.count < IDCHAIN_BATCH_IDS && arena_used(&c->batch.arena) < IDCHAIN_BATCH_BYTES;
	     i++)
		if (!c->old.items[i].done && !c->old.items[i].queued)
			parts_add(c, c->old.items[i].hash);
	return batch_fetch(c);
}

/* ---- series by series ---- */

static void ref_add(struct idchain *c, struct idchain_ref ref)
{
	if (c->refs_count == c->refs_cap) {
		c->refs_cap *= 2;
		c->refs = mem_array(c->refs, c->refs_cap, sizeof(*c->refs));
	}
	size_t i = c->refs_count++;
	for (; i && c->refs[i - 1].id > ref.id; i--)
		c->refs[i] = c->refs[i - 1];
	c->refs[i] = ref;
}

/* Old ids with these labels, to the refs. False: labels have to be fetched for that. */
static bool refs_of_old(struct idchain *c, struct labels ls, uint32_t hash)
{
	for (uint32_t at = old_find(&c->old, hash); at; at = c->old.items[at - 1].other) {
		const struct idchain_item *x = &c->old.items[at - 1];
		if (x->done)
			continue;
		const struct idchain_part *p = part_of(c, at - 1);
		if (!p)
			return false;
		if (label_equal(p->labels, ls))
			ref_add(c, (struct idchain_ref){ .old = true, .index = at - 1, .id = x->id });
	}
	return true;
}

/* Makes c->ahead; false: the choice is at its end. */
static bool ahead_fill(struct idchain *c)
{
	if (LIKELY(c->ahead_at < c->ahead_count))
		return true;
	c->ahead_at = c->ahead_count = 0;
	if (c->next_id > UINT32_MAX)
		return false;
	c->ahead_count =
	    (unsigned)postings_bitmap_from(c->chosen, (uint32_t)c->next_id, c->ahead, IDCHAIN_AHEAD);
	c->next_id =
	    c->ahead_count ? (uint64_t)c->ahead[c->ahead_count - 1] + 1 : (uint64_t)UINT32_MAX + 1;
	return c->ahead_count;
}

/* What the hot line of a series points to, and a step later what that points to. */
static inline void insides_fetch(const struct series *s, unsigned ahead)
{
	if (UNLIKELY(!s || !s->labels))
		return;
	if (ahead == INSIDES_AHEAD) {
		for (unsigned at = 0; at < s->labels_len; at += CACHE_LINE)
			__builtin_prefetch(s->labels + at);
		__builtin_prefetch(s->more);
		__builtin_prefetch(s->tail.bytes);
	} else if (s->more && s->more->packs.count) {
		const struct packs *p = &s->more->packs;
		__builtin_prefetch(packs_place(p, p->count - 1));
	}
}

static enum idchain_step next_active(struct idchain *c)
{
	const struct head *h = &c->shard->head;
	for (unsigned skips = 0; ahead_fill(c); c->ahead_at++) {
		const struct series *s = head_by_id(h, c->ahead[c->ahead_at]);
		if (LIKELY(c->ahead_at + SERIES_AHEAD < c->ahead_count))
			__builtin_prefetch(head_by_id(h, c->ahead[c->ahead_at + SERIES_AHEAD]));
		for (unsigned k = INSIDES_AHEAD; k && c->ahead_at + k < c->ahead_count; k /= 2)
			insides_fetch(head_by_id(h, c->ahead[c->ahead_at + k]), k);
		if (UNLIKELY(!s || s->tenant != c->tenant || (s->flags & SERIES_SHADOWED))) {
			if (s && s->tenant == c->tenant)
				old_add(&c->old, s->id, hash_of(c, series_labels(s)));
			if (++skips < SKIPS_MAX)
				continue;
			c->ahead_at++;
			return IDCHAIN_AGAIN;
		}
		struct labels ls = series_labels(s);
		c->refs[0] = (struct idchain_ref){ .id = s->id };
		c->refs_count = 1;
		if (UNLIKELY(c->old.count) && !refs_of_old(c, ls, hash_of(c, ls)))
			return batch_of_active(c);
		c->is_active = true;
		c->active = s;
		c->labels = ls;
		return IDCHAIN_SERIES;
	}
	return IDCHAIN_END;
}

static enum idchain_step next_old(struct idchain *c)
{
	struct idchain_old *o = &c->old;
	for (unsigned skips = 0; o->pos < o->count && o->items[o->pos].done; o->pos++)
		if (++skips == SKIPS_MAX)
			return IDCHAIN_AGAIN;
	if (o->pos == o->count)
		return IDCHAIN_END;
	const struct idchain_part *p = part_of(c, (uint32_t)o->pos);
	c->refs_count = 0;
	if (!p || !refs_of_old(c, p->labels, o->items[o->pos].hash))
		return batch_of_old(c);
	c->is_active = false;
	c->active = NULL;
	c->labels = p->labels;
	return IDCHAIN_SERIES;
}

enum idchain_step idchain_next(struct idchain *c)
{
	if (c->has_series)
		return IDCHAIN_SERIES;
	if (c->state == IDCHAIN_FAILED)
		return IDCHAIN_ERROR;
	if (c->state == IDCHAIN_LABELS)
		return IDCHAIN_WAIT;
	CHECK(c->state == IDCHAIN_READY);
	enum idchain_step st = next_active(c);
	if (st == IDCHAIN_END)
		st = next_old(c);
	c->has_series = st == IDCHAIN_SERIES;
	return st;
}

void idchain_keep(struct idchain *c)
{
	if (c->copy && c->labels.bytes == c->copy)
		return;
	if (c->copy_cap < c->labels.len) {
		c->copy_cap = 2 * (size_t)c->labels.len;
		c->copy = mem_realloc(c->copy, c->copy_cap);
	}
	if (c->labels.len)
		memcpy(c->copy, c->labels.bytes, c->labels.len);
	c->labels.bytes = c->copy;
}

void idchain_done(struct idchain *c)
{
	CHECK(c->has_series);
	c->has_series = false;
	if (LIKELY(c->is_active))
		c->ahead_at++;
	if (LIKELY(c->is_active && c->refs_count == 1))
		return;
	for (size_t i = 0; i < c->refs_count; i++)
		if (c->refs[i].old)
			c->old.items[c->refs[i].index].done = true;
}

void idchain_skip_active(struct idchain *c)
{
	CHECK(!c->has_series);
	c->ahead_at = c->ahead_count = 0;
	c->next_id = (uint64_t)UINT32_MAX + 1;
}

size_t idchain_count(const struct idchain *c)
{
	return c->chosen_count + (c->state == IDCHAIN_LOOKUP ? 0 : c->old.count);
}

size_t idchain_memory(const struct idchain *c)
{
	if (c->state == IDCHAIN_LOOKUP)
		return 0;
	return c->old.cap * (sizeof(*c->old.items) + 3 * sizeof(uint32_t));
}
