#include "storage/meta/postings.h"

#include "core/base/num.h"
#include "core/base/wire.h"
#include "storage/meta/postings_priv.h"

#define ARRAY_MAX          32 /* more ids go to a bitmap */
#define TABLE_MIN          64
#define SLOTS_AT_START_MAX (1u << 20)
#define AHEAD              16  /* labels looked at together, so that their cache misses overlap */
#define BIG_BYTES          160 /* of a bitmap, before its ids: about */
#define BIG_PER_ID         2   /* about */

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
struct table { /* open addressing, at most 3/4 full */
	struct slot *slots;
	size_t mask, count;
};
struct postings {
	struct table pairs, names;
	roaring_bitmap_t *all;
	uint64_t series;
	size_t bytes;
	bool growing; /* nothing is deleted: pairs lie in the arena */
	struct arena arena;
};

/* Tables */

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

static void table_add(struct table *t, uint64_t hash, void *entry)
{
	if (++t->count > t->mask / 4 * 3) {
		struct table bigger = { .slots = mem_zalloc((t->mask + 1) * 2 * sizeof(struct slot)),
			.mask = t->mask * 2 + 1,
			.count = t->count };
		for (size_t i = 0; i <= t->mask; i++) {
			if (t->slots[i].entry)
				table_place(&bigger, t->slots[i].hash, t->slots[i].entry);
		}
		mem_free(t->slots);
		*t = bigger;
	}
	table_place(t, hash, entry);
}

static void table_del(struct table *t, uint64_t hash, const void *entry)
{
	size_t i = hash & t->mask;
	while (t->slots[i].entry != entry)
		i = (i + 1) & t->mask;
	/* What follows without a gap moves up, as far as its own place allows. */
	for (size_t j = i;;) {
		t->slots[i].entry = NULL;
		size_t home;
		do {
			j = (j + 1) & t->mask;
			if (!t->slots[j].entry) {
				t->count--;
				return;
			}
			home = t->slots[j].hash & t->mask;
		} while (((j - home) & t->mask) < ((j - i) & t->mask));
		t->slots[i] = t->slots[j];
		i = j;
	}
}

static struct pair *pair_find(
    const struct postings *p, uint64_t hash, const uint8_t *bytes, size_t len)
{
	for (size_t i = hash & p->pairs.mask; p->pairs.slots[i].entry; i = (i + 1) & p->pairs.mask) {
		struct pair *x = p->pairs.slots[i].entry;
		if (p->pairs.slots[i].hash == hash && x->len == len &&
		    memcmp(x->bytes, bytes, len) == 0)
			return x;
	}
	return NULL;
}

static struct pname *name_find(const struct postings *p, const char *name, size_t len)
{
	uint64_t hash = hash64(name, len, 0);
	for (size_t i = hash & p->names.mask; p->names.slots[i].entry; i = (i + 1) & p->names.mask) {
		struct pname *x = p->names.slots[i].entry;
		if (x->hash == hash && x->len == len && memcmp(x->text, name, len) == 0)
			return x;
	}
	return NULL;
}

struct postings *postings_create(void)
{
	struct postings *p = mem_zalloc(sizeof(*p));
	table_init(&p->pairs, TABLE_MIN);
	table_init(&p->names, TABLE_MIN);
	p->all = roaring_bitmap_create();
	if (!p->all)
		panic("out of memory: bitmap");
	arena_init(&p->arena, 65536);
	return p;
}

struct postings *postings_create_growing(size_t series)
{
	struct postings *p = postings_create();
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
	for (size_t i = 0; i <= p->pairs.mask; i++) {
		struct pair *x = p->pairs.slots[i].entry;
		if (x) {
			pair_free_ids(x);
			if (!p->growing)
				mem_free(x);
		}
	}
	for (size_t i = 0; i <= p->names.mask; i++) {
		struct pname *n = p->names.slots[i].entry;
		if (n) {
			mem_free(n->pairs);
			mem_free(n);
		}
	}
	mem_free(p->pairs.slots);
	mem_free(p->names.slots);
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
	n->hash = hash64(l->name, l->name_len, 0);
	n->len = l->name_len;
	memcpy(n->text, l->name, l->name_len);
	table_add(&p->names, n->hash, n);
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
		s->hash = hash64(start, s->len, 0);
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
		struct pair *x = pair_find(p, hash64(start, len, 0), start, len);
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
	return p->bytes + p->series * BIG_PER_ID + (p->pairs.mask + 1) * sizeof(struct slot);
}

/* Selecting */

/*
 * Each matcher gives a set: of ids it holds for when it does not hold for "", else of ids it does
 * not hold for, which are taken away.
 * Sets of known values are looked up; others are gathered by walking the values of the name from
 * the last one down: a pair that goes away puts the last one in its place, which has been seen.
 */
struct postings_select {
	const struct postings *p;
	const struct matcher *ms;
	size_t count;
	roaring_bitmap_t *result; /* NULL: all so far */
	size_t *order, over;      /* indices of matchers; how many are done */
	/* the matcher at work */
	size_t at;
	roaring_bitmap_t *set; /* NULL: none at work */
	uint32_t left;         /* values of its name not seen yet */
};

static bool is_direct(const struct matcher *m)
{
	switch (m->type) {
	case MATCHER_EQ:
	case MATCHER_NE:
		return m->value_len > 0;
	case MATCHER_RE:
		return rex_kind(m->rex) == REX_LITERALS && !m->matches_empty;
	case MATCHER_NRE:
		return rex_kind(m->rex) == REX_LITERALS && m->matches_empty;
	}
	return false;
}

static void or_value(const struct postings *p, const struct matcher *m, const char *value,
    size_t len, roaring_bitmap_t *to)
{
	struct buf b;
	buf_init(&b);
	size_t body = 2 + wire_varint_len(m->name_len) + wire_varint_len(len) + m->name_len + len;
	buf_add_u8(&b, 0x0a);
	wire_put_varint(&b, body);
	buf_add_u8(&b, 0x0a);
	wire_put_lenbytes(&b, m->name, m->name_len);
	buf_add_u8(&b, 0x12);
	wire_put_lenbytes(&b, value, len);
	const struct pair *x = pair_find(p, hash64(b.data, b.len, 0), b.data, b.len);
	if (x)
		ids_or_into(x, to);
	buf_release(&b);
}

static roaring_bitmap_t *bitmap_new(void)
{
	roaring_bitmap_t *r = roaring_bitmap_create();
	if (!r)
		panic("out of memory: bitmap");
	return r;
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

static void select_direct(struct postings_select *s)
{
	const struct matcher *m = &s->ms[s->at];
	s->set = bitmap_new();
	if (m->type == MATCHER_EQ || m->type == MATCHER_NE) {
		or_value(s->p, m, m->value, m->value_len, s->set);
	} else {
		size_t len;
		const char *v;
		for (size_t i = 0; (v = rex_literal(m->rex, i, &len)); i++) {
			if (len)
				or_value(s->p, m, v, len, s->set);
		}
	}
	set_done(s);
}

/* Those that narrow and cost nothing come first. */
static unsigned rank_of(const struct matcher *m)
{
	return (is_direct(m) ? 0u : 2u) + m->matches_empty;
}

struct postings_select *postings_select_begin(
    const struct postings *p, const struct matcher *ms, size_t count)
{
	struct postings_select *s = mem_zalloc(sizeof(*s));
	size_t n = 0;

	*s = (struct postings_select){ .p = p, .ms = ms, .count = count };
	s->order = mem_array(NULL, count + 1, sizeof(*s->order));
	for (unsigned rank = 0; rank < 4; rank++)
		for (size_t i = 0; i < count; i++)
			if (rank_of(&ms[i]) == rank)
				s->order[n++] = i;
	return s;
}

/* The next matcher; false: none is left. */
static bool next_matcher(struct postings_select *s)
{
	if (s->over == s->count)
		return false;
	s->at = s->order[s->over];
	return true;
}

static bool needs_engine(const struct matcher *m)
{
	return m->rex && rex_kind(m->rex) == REX_PCRE;
}

/* Some values of the matcher at work, until it is enough. */
static enum postings_state walk_values(struct postings_select *s, bool (*enough)(void *arg), void *arg)
{
	const struct matcher *m = &s->ms[s->at];
	const struct pname *n = name_find(s->p, m->name, m->name_len);
	unsigned every = needs_engine(m) ? 1 : POSTINGS_CHEAP, since = 0;

	if (!n)
		s->left = 0;
	else if (s->left > n->count)
		s->left = n->count;
	while (s->left) {
		const struct pair *x = n->pairs[--s->left];
		enum rex_result r = matcher_value(m, pair_value(x), x->value_len);
		if (r == REX_LIMIT)
			return POSTINGS_FAILED;
		if ((r == REX_YES) != m->matches_empty)
			ids_or_into(x, s->set);
		if (++since == every) {
			since = 0;
			if (s->left && enough && enough(arg))
				return POSTINGS_MORE;
		}
	}
	set_done(s);
	return POSTINGS_DONE;
}

enum postings_state postings_select_step(
    struct postings_select *s, bool (*enough)(void *arg), void *arg)
{
	for (;;) {
		bool empty = s->result && roaring_bitmap_is_empty(s->result);
		if (!s->set) {
			if (empty || !next_matcher(s))
				return POSTINGS_DONE;
			if (!is_direct(&s->ms[s->at])) {
				s->set = bitmap_new();
				s->left = UINT32_MAX;
			}
		}
		if (is_direct(&s->ms[s->at])) {
			select_direct(s);
		} else {
			enum postings_state st = walk_values(s, enough, arg);
			if (st != POSTINGS_DONE)
				return st;
		}
		/* Between matchers, too: each may be a large set. */
		if (s->over < s->count && enough && enough(arg))
			return POSTINGS_MORE;
	}
}

uint32_t *postings_select_ids(struct postings_select *s, size_t *count)
{
	const roaring_bitmap_t *r = s->result ? s->result : s->p->all;
	*count = roaring_bitmap_get_cardinality(r);
	uint32_t *ids = mem_array(NULL, *count, sizeof(*ids));
	roaring_bitmap_to_uint32_array(r, ids);
	return ids;
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

enum err postings_select(const struct postings *p, const struct matcher *ms, size_t count,
    uint32_t **ids, size_t *ids_count)
{
	struct postings_select *s = postings_select_begin(p, ms, count);
	enum postings_state st;
	do {
		st = postings_select_step(s, NULL, NULL);
	} while (st == POSTINGS_MORE);
	if (st == POSTINGS_DONE)
		*ids = postings_select_ids(s, ids_count);
	postings_select_end(s);
	return st == POSTINGS_DONE ? ERR_OK : ERR_EXECUTION;
}

/* Listing */

void postings_names(
    const struct postings *p, bool (*fn)(void *arg, const struct postings_name *n), void *arg)
{
	for (size_t i = 0; i <= p->names.mask; i++) {
		const struct pname *n = p->names.slots[i].entry;
		if (n &&
		    !fn(arg,
		        &(struct postings_name){ .name = n->text,
		            .name_len = n->len,
		            .values = n->count,
		            .series = n->series,
		            .bytes = n->bytes }))
			return;
	}
}

size_t postings_values_part(const struct postings *p, const char *name, size_t name_len,
    size_t from, size_t count, bool (*fn)(void *arg, const struct postings_value *v), void *arg)
{
	const struct pname *n = name_find(p, name, name_len);
	size_t told = 0;
	for (size_t i = from; n && i < n->count && told < count; i++) {
		const struct pair *x = n->pairs[i];
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

void postings_values(const struct postings *p, const char *name, size_t name_len,
    bool (*fn)(void *arg, const struct postings_value *v), void *arg)
{
	(void)postings_values_part(p, name, name_len, 0, SIZE_MAX, fn, arg);
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
