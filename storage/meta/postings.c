#include "storage/meta/postings.h"

#include "core/base/num.h"
#include "core/base/wire.h"
#include "storage/meta/postings_priv.h"

#define ARRAY_MAX          32 /* more ids go to a bitmap */
#define TABLE_MIN          64
#define SLOTS_AT_START_MAX (1u << 20)
#define MOVE_STEP          8   /* old slots that go over at each addition: in time by far */
#define AHEAD              16  /* labels looked at together, so that their cache misses overlap */
#define BIG_BYTES          160 /* of a bitmap, before its ids: about */
#define BIG_PER_ID         2   /* about */
#define VALUE_STEP         256 /* bytes of a value: one step of matching */
#define IDS_STEP           512 /* ids put into a set: one step */
#define TEST_FACTOR        2   /* a look at a series' labels costs so many looks at values */
#define TEST_AT_ONCE       64u

enum pair_kind {
	PAIR_FEW,
	PAIR_ARRAY,
	PAIR_BIG
};

struct pname;
struct pair {
	uint64_t hash;
	struct pname *name;
	uint32_t pos; /* in name->pairs */
	uint32_t count;
	union {
		uint32_t few[2];
		uint32_t *array; /* capacity: the next power of two, from 4 */
		roaring_bitmap_t *big;
	} ids;
	uint32_t len, value_at, value_len;
	enum pair_kind kind;
	uint8_t bytes[]; /* the label as it stands in canonical labels */
};
struct pname {
	uint64_t hash;
	uint32_t pos; /* in postings.list */
	struct pair **pairs;
	uint32_t count, cap;
	uint64_t series, bytes;
	uint32_t len;
	char text[];
};
struct slot {
	uint64_t hash;
	void *entry; /* NULL = free */
};
/*
 * Open addressing, at most 3/4 full. It doubles beside the old slots, which go over a few at each
 * addition, in order; those that are over stay where they are (chains in there stay whole), those
 * that are deleted are dead.
 */
struct table {
	struct slot *slots, *old; /* old: NULL = none */
	size_t mask, count;
	size_t old_mask, old_at; /* those of old below old_at are in slots, too */
};
struct postings {
	struct table pairs, names;
	struct pname **list; /* of all names */
	uint32_t list_count, list_cap;
	roaring_bitmap_t *all;
	uint64_t series, seed;
	size_t bytes;
	bool growing; /* nothing is deleted: pairs lie in the arena */
	struct arena arena;
};

/* Tables */

static char dead; /* its address: a slot of old whose entry is gone */

static void table_init(struct table *t, size_t slots)
{
	*t = (struct table){ .slots = mem_zalloc(slots * sizeof(struct slot)), .mask = slots - 1 };
}

static void table_place(struct table *t, uint64_t hash, void *entry)
{
	size_t i = hash & t->mask;
	while (t->slots[i].entry)
		i = (i + 1) & t->mask;
	t->slots[i] = (struct slot){ .hash = hash, .entry = entry };
}

static void table_move(struct table *t, size_t step)
{
	for (; step && t->old_at <= t->old_mask; step--) {
		const struct slot *x = &t->old[t->old_at++];
		if (x->entry && x->entry != &dead)
			table_place(t, x->hash, x->entry);
	}
	if (t->old_at > t->old_mask) {
		mem_free(t->old);
		t->old = NULL;
	}
}

static void table_add(struct table *t, uint64_t hash, void *entry)
{
	if (t->old)
		table_move(t, MOVE_STEP);
	if (++t->count > t->mask / 4 * 3) {
		CHECK(!t->old); /* it is over long before */
		struct slot *was = t->slots;
		size_t was_mask = t->mask;
		t->mask = was_mask * 2 + 1;
		t->slots = mem_zalloc((t->mask + 1) * sizeof(struct slot));
		t->old = was;
		t->old_mask = was_mask;
		t->old_at = 0;
		table_move(t, MOVE_STEP);
	}
	table_place(t, hash, entry);
}

/* Its slot among those, NULL: it is not there. */
static struct slot *slot_of(struct slot *slots, size_t mask, uint64_t hash, const void *entry)
{
	size_t i = hash & mask;
	while (slots[i].entry && slots[i].entry != entry)
		i = (i + 1) & mask;
	return slots[i].entry ? &slots[i] : NULL;
}

/* What follows without a gap moves up, as far as its own place allows. */
static void slot_close(struct table *t, size_t i)
{
	for (size_t j = i;;) {
		t->slots[i].entry = NULL;
		size_t home;
		do {
			j = (j + 1) & t->mask;
			if (!t->slots[j].entry)
				return;
			home = t->slots[j].hash & t->mask;
		} while (((j - home) & t->mask) < ((j - i) & t->mask));
		t->slots[i] = t->slots[j];
		i = j;
	}
}

static void table_del(struct table *t, uint64_t hash, const void *entry)
{
	struct slot *in = slot_of(t->slots, t->mask, hash, entry);
	struct slot *old = t->old ? slot_of(t->old, t->old_mask, hash, entry) : NULL;
	CHECK(in || old);
	if (in)
		slot_close(t, (size_t)(in - t->slots));
	if (old)
		old->entry = &dead;
	t->count--;
}

/* All entries: i from 0 to below table_end(), NULL where there is none. */
static size_t table_end(const struct table *t)
{
	return t->mask + 1 + (t->old ? t->old_mask + 1 - t->old_at : 0);
}

static void *table_at(const struct table *t, size_t i)
{
	void *x = i <= t->mask ? t->slots[i].entry : t->old[t->old_at + i - t->mask - 1].entry;
	return x == &dead ? NULL : x;
}

static void table_release(struct table *t)
{
	mem_free(t->slots);
	mem_free(t->old);
}

static struct pair *pair_in(
    const struct slot *slots, size_t mask, uint64_t hash, const uint8_t *bytes, size_t len)
{
	for (size_t i = hash & mask; slots[i].entry; i = (i + 1) & mask) {
		struct pair *x = slots[i].entry;
		if (slots[i].hash == hash && slots[i].entry != &dead && x->len == len &&
		    memcmp(x->bytes, bytes, len) == 0)
			return x;
	}
	return NULL;
}

static struct pname *name_in(
    const struct slot *slots, size_t mask, uint64_t hash, const char *name, size_t len)
{
	for (size_t i = hash & mask; slots[i].entry; i = (i + 1) & mask) {
		struct pname *x = slots[i].entry;
		if (slots[i].hash == hash && slots[i].entry != &dead && x->len == len &&
		    memcmp(x->text, name, len) == 0)
			return x;
	}
	return NULL;
}

static struct pair *pair_find(
    const struct postings *p, uint64_t hash, const uint8_t *bytes, size_t len)
{
	const struct table *t = &p->pairs;
	struct pair *x = pair_in(t->slots, t->mask, hash, bytes, len);
	if (!x && UNLIKELY(t->old != NULL))
		x = pair_in(t->old, t->old_mask, hash, bytes, len);
	return x;
}

static struct pname *name_find(const struct postings *p, const char *name, size_t len)
{
	uint64_t hash = hash64(name, len, p->seed);
	const struct table *t = &p->names;
	struct pname *x = name_in(t->slots, t->mask, hash, name, len);
	if (!x && UNLIKELY(t->old != NULL))
		x = name_in(t->old, t->old_mask, hash, name, len);
	return x;
}

struct postings *postings_create(uint64_t seed)
{
	struct postings *p = mem_zalloc(sizeof(*p));
	p->seed = seed;
	table_init(&p->pairs, TABLE_MIN);
	table_init(&p->names, TABLE_MIN);
	p->all = roaring_bitmap_create();
	if (!p->all)
		panic("out of memory: bitmap");
	arena_init(&p->arena, 65536);
	return p;
}

struct postings *postings_create_growing(uint64_t seed, size_t series)
{
	struct postings *p = postings_create(seed);
	size_t slots = TABLE_MIN;
	while (slots < series && slots < SLOTS_AT_START_MAX)
		slots *= 2;
	mem_free(p->pairs.slots);
	table_init(&p->pairs, slots);
	p->growing = true;
	return p;
}

static void pair_free_ids(struct pair *x)
{
	if (x->kind == PAIR_ARRAY)
		mem_free(x->ids.array);
	else if (x->kind == PAIR_BIG)
		roaring_bitmap_free(x->ids.big);
}

void postings_free(struct postings *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < table_end(&p->pairs); i++) {
		struct pair *x = table_at(&p->pairs, i);
		if (x) {
			pair_free_ids(x);
			if (!p->growing)
				mem_free(x);
		}
	}
	for (uint32_t i = 0; i < p->list_count; i++) {
		mem_free(p->list[i]->pairs);
		mem_free(p->list[i]);
	}
	table_release(&p->pairs);
	table_release(&p->names);
	mem_free(p->list);
	roaring_bitmap_free(p->all);
	arena_release(&p->arena);
	mem_free(p);
}

/* Ids of a pair */

static bool is_power_of_2(uint32_t v)
{
	return (v & (v - 1)) == 0;
}

static size_t ids_bytes(const struct pair *x)
{
	switch (x->kind) {
	case PAIR_FEW:
		return 0;
	case PAIR_ARRAY:
		return x->count * sizeof(uint32_t) + 16;
	case PAIR_BIG:
		return BIG_BYTES + x->count * BIG_PER_ID;
	}
	return 0;
}

/* Place of id in the sorted ids. */
static uint32_t ids_place(const uint32_t *v, uint32_t count, uint32_t id)
{
	uint32_t i = count;
	while (i && v[i - 1] >= id)
		i--;
	return i;
}

static bool array_add(uint32_t *v, uint32_t count, uint32_t id)
{
	uint32_t at = ids_place(v, count, id);
	if (at < count && v[at] == id)
		return false;
	memmove(v + at + 1, v + at, (count - at) * sizeof(*v));
	v[at] = id;
	return true;
}

static bool ids_add(struct pair *x, uint32_t id)
{
	if (x->kind == PAIR_FEW && x->count == COUNT_OF(x->ids.few)) {
		uint32_t *v = mem_array(NULL, 4, sizeof(*v));
		memcpy(v, x->ids.few, sizeof(x->ids.few));
		x->ids.array = v;
		x->kind = PAIR_ARRAY;
	} else if (x->kind == PAIR_ARRAY && x->count == ARRAY_MAX) {
		roaring_bitmap_t *big = roaring_bitmap_of_ptr(x->count, x->ids.array);
		if (!big)
			panic("out of memory: bitmap");
		mem_free(x->ids.array);
		x->ids.big = big;
		x->kind = PAIR_BIG;
	} else if (x->kind == PAIR_ARRAY && is_power_of_2(x->count)) {
		x->ids.array = mem_array(x->ids.array, x->count * 2, sizeof(uint32_t));
	}
	bool added = x->kind == PAIR_FEW ? array_add(x->ids.few, x->count, id)
	    : x->kind == PAIR_ARRAY      ? array_add(x->ids.array, x->count, id)
	                                 : roaring_bitmap_add_checked(x->ids.big, id);
	x->count += added;
	return added;
}

static bool ids_del(struct pair *x, uint32_t id)
{
	if (x->kind == PAIR_BIG) {
		bool was = roaring_bitmap_remove_checked(x->ids.big, id);
		x->count -= was;
		if (x->count > ARRAY_MAX / 2)
			return was;
		uint32_t *v = mem_array(NULL, ARRAY_MAX, sizeof(*v));
		roaring_bitmap_to_uint32_array(x->ids.big, v);
		roaring_bitmap_free(x->ids.big);
		x->ids.array = v;
		x->kind = PAIR_ARRAY;
		return was;
	}
	uint32_t *v = x->kind == PAIR_FEW ? x->ids.few : x->ids.array;
	uint32_t at = ids_place(v, x->count, id);
	if (at == x->count || v[at] != id)
		return false;
	x->count--;
	memmove(v + at, v + at + 1, (x->count - at) * sizeof(*v));
	/*
	 * The capacity of an array follows from its count: keep that true when the count falls to a
	 * power of two.
	 */
	if (x->kind == PAIR_ARRAY && x->count >= 4 && is_power_of_2(x->count))
		x->ids.array = mem_array(x->ids.array, x->count, sizeof(uint32_t));
	return true;
}

static void ids_or_into(const struct pair *x, roaring_bitmap_t *to)
{
	switch (x->kind) {
	case PAIR_FEW:
		roaring_bitmap_add_many(to, x->count, x->ids.few);
		break;
	case PAIR_ARRAY:
		roaring_bitmap_add_many(to, x->count, x->ids.array);
		break;
	case PAIR_BIG:
		roaring_bitmap_or_inplace(to, x->ids.big);
		break;
	}
}

/* Pairs and names */

static const char *pair_value(const struct pair *x)
{
	return (const char *)x->bytes + x->value_at;
}

static struct pname *name_make(struct postings *p, const struct label *l)
{
	struct pname *n = name_find(p, l->name, l->name_len);
	if (n)
		return n;
	n = mem_zalloc(sizeof(*n) + l->name_len);
	n->hash = hash64(l->name, l->name_len, p->seed);
	n->len = l->name_len;
	memcpy(n->text, l->name, l->name_len);
	table_add(&p->names, n->hash, n);
	if (p->list_count == p->list_cap) {
		p->list_cap = p->list_cap ? p->list_cap * 2 : 16;
		p->list = mem_array(p->list, p->list_cap, sizeof(struct pname *));
	}
	n->pos = p->list_count;
	p->list[p->list_count++] = n;
	p->bytes += sizeof(*n) + n->len + 32;
	return n;
}

static struct pair *pair_make(
    struct postings *p, uint64_t hash, const uint8_t *bytes, size_t len, const struct label *l)
{
	struct pair *x =
	    p->growing ? arena_zalloc(&p->arena, sizeof(*x) + len) : mem_zalloc(sizeof(*x) + len);
	struct pname *n = name_make(p, l);
	x->hash = hash;
	x->name = n;
	x->len = num_u32(len);
	x->value_at = num_u32((size_t)((const uint8_t *)l->value - bytes));
	x->value_len = l->value_len;
	memcpy(x->bytes, bytes, len);
	if (n->count == n->cap) {
		n->cap = n->cap ? n->cap * 2 : 4;
		n->pairs = mem_array(n->pairs, n->cap, sizeof(struct pair *));
	}
	x->pos = n->count;
	n->pairs[n->count++] = x;
	table_add(&p->pairs, hash, x);
	p->bytes += sizeof(*x) + len + 40; /* with its shares of table, list and heap */
	return x;
}

static void pair_gone(struct postings *p, struct pair *x)
{
	struct pname *n = x->name;
	table_del(&p->pairs, x->hash, x);
	n->pairs[x->pos] = n->pairs[--n->count];
	n->pairs[x->pos]->pos = x->pos;
	p->bytes -= sizeof(*x) + x->len + 40;
	pair_free_ids(x);
	mem_free(x);
	if (n->count == 0) {
		table_del(&p->names, n->hash, n);
		p->list[n->pos] = p->list[--p->list_count];
		p->list[n->pos]->pos = n->pos;
		p->bytes -= sizeof(*n) + n->len + 32;
		mem_free(n->pairs);
		mem_free(n);
	}
}

/* A label of the series at work. */
struct step {
	const uint8_t *bytes;
	size_t len;
	uint64_t hash;
	struct label label;
};

static void add_steps(struct postings *p, uint32_t id, const struct step *steps, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct step *s = &steps[i];
		struct pair *x = pair_find(p, s->hash, s->bytes, s->len);
		if (!x)
			x = pair_make(p, s->hash, s->bytes, s->len, &s->label);
		size_t before = ids_bytes(x);
		ids_add(x, id);
		p->bytes += ids_bytes(x) - before;
		x->name->series++;
		x->name->bytes += s->label.name_len + s->label.value_len;
	}
}

void postings_add(struct postings *p, uint32_t id, struct labels ls)
{
	bool was_in = !roaring_bitmap_add_checked(p->all, id);
	if (ODD(was_in))
		return;
	p->series++;
	struct label_iter it = label_iter(ls);
	struct step steps[AHEAD], *s = steps;
	for (const uint8_t *start = it.p; label_next(&it, &s->label); start = it.p) {
		s->bytes = start;
		s->len = (size_t)(it.p - start);
		s->hash = hash64(start, s->len, p->seed);
		__builtin_prefetch(&p->pairs.slots[s->hash & p->pairs.mask]);
		if (++s == steps + AHEAD) {
			add_steps(p, id, steps, AHEAD);
			s = steps;
		}
	}
	add_steps(p, id, steps, (size_t)(s - steps));
}

void postings_del(struct postings *p, uint32_t id, struct labels ls)
{
	CHECK(!p->growing);
	bool was_out = !roaring_bitmap_remove_checked(p->all, id);
	if (ODD(was_out))
		return;
	p->series--;
	struct label_iter it = label_iter(ls);
	struct label l;
	for (const uint8_t *start = it.p; label_next(&it, &l); start = it.p) {
		size_t len = (size_t)(it.p - start);
		struct pair *x = pair_find(p, hash64(start, len, p->seed), start, len);
		size_t before = x ? ids_bytes(x) : 0;
		bool missing = !x || !ids_del(x, id);
		if (ODD(missing))
			continue;
		p->bytes -= before - ids_bytes(x);
		x->name->series--;
		x->name->bytes -= l.name_len + l.value_len;
		if (x->count == 0)
			pair_gone(p, x);
	}
}

uint64_t postings_series(const struct postings *p)
{
	return p->series;
}

uint64_t postings_pairs(const struct postings *p)
{
	return p->pairs.count;
}

size_t postings_bytes(const struct postings *p)
{
	return p->bytes + p->series * BIG_PER_ID +
	    (p->pairs.mask + 1 + (p->pairs.old ? p->pairs.old_mask + 1 : 0)) * sizeof(struct slot);
}

/* Selecting */

/*
 * Each matcher gives a set: of ids it holds for when it does not hold for "", else of ids it does
 * not hold for, which are taken away.
 * Sets of known values are looked up; others are gathered by walking the values of the name from
 * the last one down: a pair that goes away puts the last one in its place, which has been seen.
 * When few ids are left by then, their labels are looked at instead.
 */
struct postings_select {
	const struct postings *p;
	const struct matcher *ms;
	size_t count;
	const struct postings_labels *labels; /* NULL: nobody can tell them */
	roaring_bitmap_t *result;             /* NULL: all so far */
	size_t *order, over;                  /* indices of matchers; how many are done */
	/* the matcher at work */
	size_t at;
	roaring_bitmap_t *set; /* NULL: none at work */
	uint32_t left;         /* values of its name not seen yet */
	bool direct;           /* its words are looked up; else values are walked */
	size_t literal;        /* next one of its expression */
	bool testing;          /* labels of the ids left, from test_id on */
	uint64_t test_id;
	unsigned since; /* steps since it was asked whether it is enough */
	uint64_t steps; /* in all */
};

static bool needs_engine(const struct matcher *m)
{
	return m->rex && rex_kind(m->rex) == REX_PCRE;
}

/* What a look at a value costs. */
static unsigned value_steps(const struct matcher *m, size_t len)
{
	return (needs_engine(m) ? POSTINGS_CHEAP : 1u) + (unsigned)(len / VALUE_STEP);
}

/* After some work: is it enough for now? */
static bool is_enough(struct postings_select *s, unsigned steps, bool (*enough)(void *arg), void *arg)
{
	s->steps += steps;
	s->since += steps;
	if (s->since < POSTINGS_CHEAP)
		return false;
	s->since = 0;
	return enough && enough(arg);
}

static const struct pair *pair_of(
    const struct postings *p, const char *name, size_t name_len, const char *value, size_t len)
{
	struct buf b;
	buf_init(&b);
	size_t body = 2 + wire_varint_len(name_len) + wire_varint_len(len) + name_len + len;
	buf_add_u8(&b, 0x0a);
	wire_put_varint(&b, body);
	buf_add_u8(&b, 0x0a);
	wire_put_lenbytes(&b, name, name_len);
	buf_add_u8(&b, 0x12);
	wire_put_lenbytes(&b, value, len);
	const struct pair *x = pair_find(p, hash64(b.data, b.len, p->seed), b.data, b.len);
	buf_release(&b);
	return x;
}

/* Returns the steps it took. */
static unsigned or_value(
    struct postings_select *s, const struct matcher *m, const char *value, size_t len)
{
	const struct pair *x = pair_of(s->p, m->name, m->name_len, value, len);
	if (!x)
		return 1;
	ids_or_into(x, s->set);
	return 1 + x->count / IDS_STEP;
}

/* The set of the matcher at work is whole: into the result with it. */
static void set_done(struct postings_select *s)
{
	const struct matcher *m = &s->ms[s->at];
	if (!s->result)
		s->result = m->matches_empty ? roaring_bitmap_copy(s->p->all) : NULL;
	if (m->matches_empty) {
		roaring_bitmap_andnot_inplace(s->result, s->set);
		roaring_bitmap_free(s->set);
	} else if (!s->result) {
		s->result = s->set;
	} else {
		roaring_bitmap_and_inplace(s->result, s->set);
		roaring_bitmap_free(s->set);
	}
	s->set = NULL;
	s->over++;
}

static enum postings_state select_direct(
    struct postings_select *s, bool (*enough)(void *arg), void *arg)
{
	const struct matcher *m = &s->ms[s->at];
	if (m->type == MATCHER_EQ || m->type == MATCHER_NE) {
		s->since += or_value(s, m, m->value, m->value_len);
		set_done(s);
		return POSTINGS_DONE;
	}
	size_t len;
	const char *v;
	while ((v = rex_literal(m->rex, s->literal, &len))) {
		s->literal++;
		if (len && is_enough(s, or_value(s, m, v, len), enough, arg))
			return POSTINGS_MORE;
	}
	set_done(s);
	return POSTINGS_DONE;
}

/* Those that narrow and cost nothing come first. */
static unsigned rank_of(const struct matcher *m)
{
	return (matcher_is_direct(m) ? 0u : 2u) + m->matches_empty;
}

struct postings_select *postings_select_begin(const struct postings *p, const struct matcher *ms,
    size_t count, const struct postings_labels *labels)
{
	struct postings_select *s = mem_zalloc(sizeof(*s));
	size_t n = 0;

	*s = (struct postings_select){ .p = p, .ms = ms, .count = count, .labels = labels };
	s->order = mem_array(NULL, count + 1, sizeof(*s->order));
	for (unsigned rank = 0; rank < 4; rank++)
		for (size_t i = 0; i < count; i++)
			if (rank_of(&ms[i]) == rank)
				s->order[n++] = i;
	return s;
}

/* Some values of the matcher at work, until it is enough. */
static enum postings_state walk_values(struct postings_select *s, bool (*enough)(void *arg), void *arg)
{
	const struct matcher *m = &s->ms[s->at];
	const struct pname *n = name_find(s->p, m->name, m->name_len);

	if (!n)
		s->left = 0;
	else if (s->left > n->count)
		s->left = n->count;
	while (s->left) {
		const struct pair *x = n->pairs[--s->left];
		unsigned steps = value_steps(m, x->value_len);
		enum rex_result r = matcher_value(m, pair_value(x), x->value_len);
		if (r == REX_LIMIT)
			return POSTINGS_FAILED;
		if ((r == REX_YES) != m->matches_empty) {
			ids_or_into(x, s->set);
			steps += x->count / IDS_STEP;
		}
		if (is_enough(s, steps, enough, arg) && s->left)
			return POSTINGS_MORE;
	}
	set_done(s);
	return POSTINGS_DONE;
}

/* Does the matcher at work hold for the labels of an id? A series that left memory: no. */
static enum rex_result test_id(const struct postings_select *s, uint32_t id, unsigned *steps)
{
	const struct matcher *m = &s->ms[s->at];
	struct labels ls;
	uint32_t len = 0;
	if (!s->labels->get(s->labels->arg, id, &ls))
		return REX_NO;
	const char *v = label_get(ls, m->name, m->name_len, &len);
	*steps = value_steps(m, len);
	return matcher_value(m, v ? v : "", v ? len : 0);
}

/* The ids that are left, by their labels, until it is enough. */
static enum postings_state test_ids(struct postings_select *s, bool (*enough)(void *arg), void *arg)
{
	uint32_t ids[TEST_AT_ONCE];
	for (;;) {
		size_t n = s->test_id > UINT32_MAX
		    ? 0
		    : postings_bitmap_from(s->result, (uint32_t)s->test_id, ids, TEST_AT_ONCE);
		for (size_t i = 0; i < n; i++) {
			unsigned steps = TEST_FACTOR;
			enum rex_result r = test_id(s, ids[i], &steps);
			if (r == REX_LIMIT)
				return POSTINGS_FAILED;
			if (r == REX_NO)
				roaring_bitmap_remove(s->result, ids[i]);
			s->test_id = (uint64_t)ids[i] + 1;
			if (is_enough(s, steps, enough, arg))
				return POSTINGS_MORE;
		}
		if (n)
			continue;
		s->testing = false;
		s->over++;
		return POSTINGS_DONE;
	}
}

/* The next matcher is taken up; false: none is left. */
static bool matcher_begin(struct postings_select *s)
{
	if (s->over == s->count || (s->result && roaring_bitmap_is_empty(s->result)))
		return false;
	s->at = s->order[s->over];
	s->left = UINT32_MAX;
	s->literal = 0;
	const struct matcher *m = &s->ms[s->at];
	const struct pname *n = name_find(s->p, m->name, m->name_len);
	/* More words than values: each value is looked up among the words. */
	s->direct = n && matcher_is_direct(m) && (!m->rex || rex_literals(m->rex) <= n->count);
	if (s->labels && s->result && !s->direct) {
		s->testing = n && roaring_bitmap_get_cardinality(s->result) * TEST_FACTOR < n->count;
		s->test_id = 0;
	}
	if (!s->testing)
		s->set = postings_bitmap();
	return true;
}

enum postings_state postings_select_step(
    struct postings_select *s, bool (*enough)(void *arg), void *arg)
{
	for (;;) {
		if (!s->set && !s->testing && !matcher_begin(s))
			return POSTINGS_DONE;
		enum postings_state st = s->testing ? test_ids(s, enough, arg)
		    : s->direct                     ? select_direct(s, enough, arg)
		                                    : walk_values(s, enough, arg);
		if (st != POSTINGS_DONE)
			return st;
		/* Between matchers, too: each may be a large set. */
		if (s->over < s->count && enough && enough(arg))
			return POSTINGS_MORE;
	}
}

uint64_t postings_select_steps(const struct postings_select *s)
{
	return s->steps;
}

roaring_bitmap_t *postings_select_take(struct postings_select *s)
{
	roaring_bitmap_t *r = s->result ? s->result : roaring_bitmap_copy(s->p->all);
	if (!r)
		panic("out of memory: bitmap");
	s->result = NULL;
	return r;
}

void postings_select_end(struct postings_select *s)
{
	if (!s)
		return;
	if (s->result)
		roaring_bitmap_free(s->result);
	if (s->set)
		roaring_bitmap_free(s->set);
	mem_free(s->order);
	mem_free(s);
}

size_t postings_bitmap_from(const roaring_bitmap_t *b, uint32_t from, uint32_t *ids, size_t max)
{
	roaring_uint32_iterator_t it;
	roaring_init_iterator(b, &it);
	if (!roaring_move_uint32_iterator_equalorlarger(&it, from))
		return 0;
	return roaring_read_uint32_iterator(&it, ids, num_u32(max));
}

/* Listing */

size_t postings_names_count(const struct postings *p)
{
	return p->list_count;
}

size_t postings_names(const struct postings *p, size_t *left, size_t count,
    bool (*fn)(void *arg, const struct postings_name *n), void *arg)
{
	size_t told = 0;
	if (*left > p->list_count)
		*left = p->list_count;
	while (*left && told < count) {
		const struct pname *n = p->list[--*left];
		told++;
		if (!fn(arg,
		        &(struct postings_name){ .name = n->text,
		            .name_len = n->len,
		            .values = n->count,
		            .series = n->series,
		            .bytes = n->bytes }))
			break;
	}
	return told;
}

size_t postings_values_count(const struct postings *p, const char *name, size_t name_len)
{
	const struct pname *n = name_find(p, name, name_len);
	return n ? n->count : 0;
}

size_t postings_values(const struct postings *p, const char *name, size_t name_len, size_t *left,
    size_t count, bool (*fn)(void *arg, const struct postings_value *v), void *arg)
{
	const struct pname *n = name_find(p, name, name_len);
	size_t told = 0;
	if (!n)
		*left = 0;
	else if (*left > n->count)
		*left = n->count;
	while (*left && told < count) {
		const struct pair *x = n->pairs[--*left];
		told++;
		if (!fn(arg,
		        &(struct postings_value){ .value = pair_value(x),
		            .value_len = x->value_len,
		            .series = x->count,
		            ._pair = x }))
			break;
	}
	return told;
}

size_t postings_value_from(const struct postings *p, const char *name, size_t name_len,
    const char *value, size_t value_len, uint32_t from, uint32_t *ids, size_t max)
{
	const struct pair *x = pair_of(p, name, name_len, value, value_len);
	if (!x)
		return 0;
	if (x->kind == PAIR_BIG)
		return postings_bitmap_from(x->ids.big, from, ids, max);
	const uint32_t *v = x->kind == PAIR_FEW ? x->ids.few : x->ids.array;
	size_t n = 0;
	for (uint32_t i = ids_place(v, x->count, from); i < x->count && n < max; i++)
		ids[n++] = v[i];
	return n;
}

const uint32_t *postings_value_ids(const struct postings_value *v, const roaring_bitmap_t **bitmap)
{
	const struct pair *x = v->_pair;
	*bitmap = x->kind == PAIR_BIG ? x->ids.big : NULL;
	return x->kind == PAIR_FEW ? x->ids.few : x->kind == PAIR_ARRAY ? x->ids.array : NULL;
}

const roaring_bitmap_t *postings_all(const struct postings *p)
{
	return p->all;
}
