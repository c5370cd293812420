#include "storage/read/idchain.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "storage/back/back.h"
#include "storage/meta/postings.h"
#include "storage/store_priv.h"

#define CHOOSE_NS    200000u /* of one step of choosing */
#define SERIES_AHEAD 8u      /* hot lines of active series fetched so many ahead */

/* ---- sets: ids that are not found by the head's table, by labels ---- */

static void set_init(struct idchain_set *s)
{
	*s = (struct idchain_set){ 0 };
	arena_init(&s->arena, 16 << 10);
}

static void set_release(struct idchain_set *s)
{
	arena_release(&s->arena);
	mem_free(s->items);
	mem_free(s->table);
}

/* Place of these labels in the table: of their last item, or empty. */
static uint32_t *set_slot(const struct idchain_set *s, struct labels ls, uint64_t hash)
{
	uint32_t mask = s->table_size - 1, i = (uint32_t)hash & mask;
	for (; s->table[i]; i = (i + 1) & mask) {
		const struct idchain_item *x = &s->items[s->table[i] - 1];
		if (x->hash == hash && label_equal(x->labels, ls))
			break;
	}
	return &s->table[i];
}

/*
 * Room for count items. The table is made anew in the order of items, so that the last one of
 * equal labels is what it knows.
 */
static void set_room(struct idchain_set *s, size_t count)
{
	if (count <= s->cap)
		return;
	CHECK(count <= UINT32_MAX / 4);
	s->cap = count > 2 * s->cap ? count : 2 * s->cap;
	s->items = mem_array(s->items, s->cap, sizeof(*s->items));
	mem_free(s->table);
	for (s->table_size = 16; s->table_size < 2 * s->cap;)
		s->table_size *= 2;
	s->table = mem_zalloc(s->table_size * sizeof(*s->table));
	for (size_t i = 0; i < s->count; i++)
		*set_slot(s, s->items[i].labels, s->items[i].hash) = (uint32_t)i + 1;
}

/* labels stay where they are. */
static void set_add(struct idchain_set *s, uint32_t id, struct labels ls)
{
	set_room(s, s->count + 1 < 16 ? 16 : s->count + 1);
	struct idchain_item *x = &s->items[s->count];
	*x = (struct idchain_item){ .id = id, .hash = label_hash(ls), .labels = ls };
	uint32_t *slot = set_slot(s, ls, x->hash);
	x->other = *slot;
	*slot = (uint32_t)++s->count;
}

static void left_add(struct idchain *c, const struct series *s)
{
	struct labels ls = { .bytes = arena_dup(&c->left.arena, s->labels, s->labels_len),
		.len = s->labels_len };
	set_add(&c->left, s->id, ls);
}

/* ---- series that leave memory ---- */

static void gone_add(struct idchain *c, uint32_t id)
{
	if (c->gone_count == c->gone_cap) {
		c->gone_cap = c->gone_cap ? 2 * c->gone_cap : 64;
		c->gone = mem_array(c->gone, c->gone_cap, sizeof(*c->gone));
	}
	c->gone[c->gone_count++] = id;
}

static int by_id(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

/* Has its turn still to come? */
static bool is_ahead(const struct idchain *c, uint32_t id)
{
	if (c->pos == c->ids_count || id < c->ids[c->pos])
		return false;
	if (id == c->ids[c->pos] && c->has_series && c->is_active) {
		CHECK(c->copy && c->labels.bytes == c->copy); /* kept over the end of the turn */
		return false;
	}
	return bsearch(&id, c->ids + c->pos, c->ids_count - c->pos, sizeof(*c->ids), by_id);
}

static void leaves(struct shard_reader *r, const struct series *s)
{
	struct idchain *c = CONTAINER_OF(r, struct idchain, reader);
	if (s->tenant != c->tenant)
		return;
	if (c->state == IDCHAIN_CHOOSING)
		gone_add(c, s->id);
	else if (is_ahead(c, s->id))
		left_add(c, s);
}

/* ---- the choice ---- */

void idchain_open(struct idchain *c, struct shard *sh, const struct source_query *query,
    void (*found)(struct idchain *c))
{
	*c = (struct idchain){ .state = IDCHAIN_CHOOSING,
		.shard = sh,
		.tenant = query->tenant,
		.t_min_ms = query->t_min_ms,
		.t_max_ms = query->t_max_ms,
		.query = query,
		.found = found,
		.reader.leaves = leaves };
	errbuf_init(&c->eb);
	c->refs_cap = 8;
	c->refs = mem_array(NULL, c->refs_cap, sizeof(*c->refs));
	set_init(&c->files);
	set_init(&c->left);
	list_add_tail(&sh->readers, &c->reader.link);
	c->choosing =
	    postings_select_begin(head_postings(&sh->head), query->matchers, query->matchers_count);
}

void idchain_close(struct idchain *c)
{
	CHECK(c->state != IDCHAIN_LOOKUP);
	if (c->choosing)
		postings_select_end(c->choosing);
	list_del(&c->reader.link);
	for (size_t i = 0; i < c->matchers_count; i++)
		matcher_release(&c->matchers[i]);
	set_release(&c->files);
	set_release(&c->left);
	mem_free(c->ids);
	mem_free(c->gone);
	mem_free(c->refs);
	mem_free(c->copy);
}

/* Takes ids that are in b out of a; both ascend. */
static size_t subtract(uint32_t *a, size_t a_count, const uint32_t *b, size_t b_count)
{
	size_t kept = 0, k = 0;
	for (size_t i = 0; i < a_count; i++) {
		while (k < b_count && b[k] < a[i])
			k++;
		if (k == b_count || b[k] != a[i])
			a[kept++] = a[i];
	}
	return kept;
}

/*
 * Does the catalog know series that are not in memory? Where a file is lost the count of them
 * may be wrong.
 */
static bool catalog_needed(const struct shard *sh)
{
	return sh->store->catalog && ((sh->back && back_of(sh)->inactive) || sh->lost_count);
}

static void look_up_begin(struct idchain *c);

static void choice_made(struct idchain *c)
{
	c->ids = postings_select_ids(c->choosing, &c->ids_count);
	postings_select_end(c->choosing);
	c->choosing = NULL;
	if (c->gone_count) {
		qsort(c->gone, c->gone_count, sizeof(*c->gone), by_id);
		c->ids_count = subtract(c->ids, c->ids_count, c->gone, c->gone_count);
	}
	c->state = IDCHAIN_READY;
	if (c->gone_count || catalog_needed(c->shard))
		look_up_begin(c);
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
	switch (postings_select_step(c->choosing, enough, &end_ns)) {
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

static void look_up(struct work_task *t)
{
	struct idchain *c = CONTAINER_OF(t, struct idchain, task);
	struct catalog *catalog = c->shard->store->catalog;
	struct idchain_set *s = &c->files;
	unsigned shard = c->shard->index;
	uint32_t *ids = NULL;
	size_t count = 0;
	c->err = catalog_select(catalog, shard, c->tenant, c->matchers, c->matchers_count,
	    c->t_min_ms, c->t_max_ms, &ids, &count, &c->eb);
	if (c->err)
		return;
	count = subtract(ids, count, c->ids, c->ids_count);
	struct labels *labels = mem_array(NULL, count + 1, sizeof(*labels));
	if (count)
		c->err = catalog_labels(catalog, shard, ids, count, &s->arena, labels, NULL, &c->eb);
	set_room(s, count);
	for (size_t i = 0; i < count && !c->err; i++) {
		if (labels[i].len)
			set_add(s, ids[i], labels[i]);
	}
	mem_free(labels);
	mem_free(ids);
}

static void looked_up(struct work_task *t)
{
	struct idchain *c = CONTAINER_OF(t, struct idchain, task);
	c->state = c->err ? IDCHAIN_FAILED : IDCHAIN_READY;
	if (c->err && !c->eb.text[0])
		errbuf_set(&c->eb, c->err, "the catalog cannot be read");
	c->found(c);
}

/*
 * The cursor may be closed, and its query gone, while the worker still looks: it gets matchers
 * of its own.
 */
static void copy_matchers(struct idchain *c)
{
	const struct source_query *q = c->query;
	struct arena *a = &c->files.arena;
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
	c->task = (struct work_task){ .run = look_up, .done = looked_up, .prio = WORK_READ };
	work_submit(c->shard->store->opts.pool, &c->task);
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

static void refs_of_set(struct idchain *c, struct idchain_set *s, uint64_t hash)
{
	if (!s->count)
		return;
	for (uint32_t at = *set_slot(s, c->labels, hash); at; at = s->items[at - 1].other) {
		const struct idchain_item *x = &s->items[at - 1];
		if (!x->done)
			ref_add(c, (struct idchain_ref){ .set = s, .index = at - 1, .id = x->id });
	}
}

static void refs_of_sets(struct idchain *c, struct labels ls)
{
	c->labels = ls;
	if (!c->files.count && !c->left.count)
		return;
	uint64_t hash = label_hash(ls);
	refs_of_set(c, &c->files, hash);
	refs_of_set(c, &c->left, hash);
}

static bool next_active(struct idchain *c)
{
	const struct head *h = &c->shard->head;
	for (; c->pos < c->ids_count; c->pos++) {
		const struct series *s = head_by_id(h, c->ids[c->pos]);
		if (LIKELY(c->pos + SERIES_AHEAD < c->ids_count))
			__builtin_prefetch(head_by_id(h, c->ids[c->pos + SERIES_AHEAD]));
		if (!s || s->tenant != c->tenant)
			continue;
		if (UNLIKELY(s->flags & SERIES_SHADOWED)) {
			left_add(c, s);
			continue;
		}
		c->is_active = true;
		c->active = s;
		c->refs[0] = (struct idchain_ref){ .id = s->id };
		c->refs_count = 1;
		refs_of_sets(c, series_labels(s));
		return true;
	}
	return false;
}

static bool next_of_set(struct idchain *c, struct idchain_set *s)
{
	while (s->pos < s->count && s->items[s->pos].done)
		s->pos++;
	if (s->pos == s->count)
		return false;
	c->is_active = false;
	c->active = NULL;
	refs_of_sets(c, s->items[s->pos].labels);
	return true;
}

bool idchain_next(struct idchain *c)
{
	CHECK(c->state == IDCHAIN_READY);
	if (c->has_series)
		return true;
	c->refs_count = 0;
	c->has_series = next_active(c) || next_of_set(c, &c->files) || next_of_set(c, &c->left);
	return c->has_series;
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
		c->pos++;
	if (LIKELY(c->is_active && c->refs_count == 1))
		return;
	for (size_t i = 0; i < c->refs_count; i++)
		if (c->refs[i].set)
			c->refs[i].set->items[c->refs[i].index].done = true;
}

size_t idchain_count(const struct idchain *c)
{
	return c->ids_count + (c->state == IDCHAIN_LOOKUP ? 0 : c->files.count);
}
