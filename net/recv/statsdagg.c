#include "net/recv/statsdagg.h"

#include <math.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/base/num.h"
#include "core/model/exphist.h"

#define SEED          UINT64_C(0x9ae16a3b2f90404f)
#define SEGMENTS      256u
#define LATE_EVERY    16u /* series between two looks at the clock */
#define ITEM_BYTES    32u /* of an item: its places in the table, and the heap's own */
#define MEMBERS_LEAST 16u
#define WEIGHT_SLACK  1e-9 /* 1/0.1 is 10 */

/* ---- a table of items that grows in segments ---- */

struct item {
	uint64_t hash;
};
struct segment {
	struct item **items;
	uint32_t *slots; /* 1 + place in items; 0: free */
	uint32_t count, cap, mask;
};
struct table {
	struct segment segments[SEGMENTS];
	uint64_t count;
};

static struct segment *segment_of(struct table *t, uint64_t hash)
{
	return &t->segments[hash >> 56];
}

static void segment_put(struct segment *s, uint32_t place)
{
	uint64_t h = s->items[place]->hash;
	while (s->slots[h & s->mask])
		h++;
	s->slots[h & s->mask] = place + 1;
}

static void segment_grow(struct segment *s)
{
	s->cap = s->cap ? s->cap * 2 : 4;
	s->items = mem_array(s->items, s->cap, sizeof(struct item *));
	mem_free(s->slots);
	s->mask = s->cap * 2 - 1;
	s->slots = mem_zalloc(((size_t)s->mask + 1) * sizeof(*s->slots));
	for (uint32_t i = 0; i < s->count; i++)
		segment_put(s, i);
}

static void table_add(struct table *t, struct item *i)
{
	struct segment *s = segment_of(t, i->hash);
	if (s->count == s->cap)
		segment_grow(s);
	s->items[s->count++] = i;
	t->count++;
	segment_put(s, s->count - 1);
}

/* Where the slot of that place is. */
static uint32_t slot_of(const struct segment *s, uint32_t place)
{
	uint64_t h = s->items[place]->hash;
	while (s->slots[h & s->mask] != place + 1)
		h++;
	return (uint32_t)(h & s->mask);
}

/* The slot becomes free; those behind it move up as far as they may. */
static void slot_free(struct segment *s, uint32_t at)
{
	for (uint32_t next = at;;) {
		next = (next + 1) & s->mask;
		if (!s->slots[next])
			break;
		uint32_t home = (uint32_t)s->items[s->slots[next] - 1]->hash & s->mask;
		if (((next - home) & s->mask) < ((next - at) & s->mask))
			continue; /* it may not stand before its home */
		s->slots[at] = s->slots[next];
		at = next;
	}
	s->slots[at] = 0;
}

/* The last item takes its place. */
static void segment_remove(struct segment *s, uint32_t place)
{
	uint32_t last = s->count - 1;
	slot_free(s, slot_of(s, place));
	if (place != last) {
		s->slots[slot_of(s, last)] = place + 1;
		s->items[place] = s->items[last];
	}
	s->count--;
}

static void table_remove(struct table *t, const struct item *i)
{
	struct segment *s = segment_of(t, i->hash);
	uint64_t h = i->hash;
	while (s->items[s->slots[h & s->mask] - 1] != i)
		h++;
	segment_remove(s, s->slots[h & s->mask] - 1);
	t->count--;
}

static void table_release(struct table *t)
{
	for (unsigned i = 0; i < SEGMENTS; i++) {
		for (uint32_t j = 0; j < t->segments[i].count; j++)
			mem_free(t->segments[i].items[j]);
		mem_free(t->segments[i].items);
		mem_free(t->segments[i].slots);
	}
}

/* ---- families and series ---- */

struct family {
	struct item item; /* hash of the name */
	uint64_t series;
	enum statsd_kind kind;
	bool told;                     /* its metadata has gone out */
	struct statsd_options options; /* numbers behind the name */
	size_t bytes;
	char *help; /* NULL: none */
	uint32_t help_len, name_len;
	char name[];
};
struct members { /* hashes, open addressing; 0 is another number */
	uint64_t *slots;
	uint32_t count, mask;
};
struct counts {
	double sum, carry;
	uint64_t count;
	union {
		uint64_t *buckets;     /* of CLASSIC: one more than bounds */
		struct exphist *steps; /* NATIVE: one; SUMMARY: age_buckets + 1 */
	};
	uint32_t step;   /* of SUMMARY: the one that values go to */
	int64_t turn_ms; /* when the next one has its turn */
};
struct series {
	struct item item;
	struct family *family;
	int64_t last_ms; /* of the last event */
	uint64_t ttl_ms;
	uint32_t labels_len;
	bool fresh; /* has given no row yet */
	union {
		double v;
		struct members members;
		struct counts *counts;
	};
	uint8_t labels[];
};
struct statsd_agg {
	struct purse *purse;
	struct table families, series;
	uint64_t members_max;
	int64_t before_ms, t_ms, zero_ms; /* of the flush before (or the start), of this one */
	unsigned segment;                 /* the next to give rows, and the place in it */
	uint32_t place;
};

static const char *const parts[] = { "_bucket", "_sum", "_count" };

/* Length of a name without what its histogram would have behind it. */
static size_t stem_len(const char *name, size_t len)
{
	for (unsigned i = 0; i < COUNT_OF(parts); i++) {
		size_t n = strlen(parts[i]);
		if (len > n && !memcmp(name + len - n, parts[i], n))
			return len - n;
	}
	return len;
}

void statsd_target_hash(struct statsd_target *t)
{
	t->hash = hash64(t->labels.bytes, t->labels.len, SEED);
	t->stem = hash64(t->name, stem_len(t->name, t->name_len), SEED);
}

struct statsd_agg *statsd_agg_create(struct purse *purse, int64_t start_ms)
{
	struct statsd_agg *g = mem_zalloc(sizeof(*g));
	g->purse = purse;
	g->before_ms = start_ms;
	g->members_max = UINT32_MAX >> 1;
	return g;
}

void statsd_agg_members(struct statsd_agg *g, uint64_t most)
{
	g->members_max = most < UINT32_MAX >> 1 ? most : UINT32_MAX >> 1;
}

uint64_t statsd_agg_series(const struct statsd_agg *g)
{
	return g->series.count;
}

static struct family *family_find(struct statsd_agg *g, const char *name, size_t len)
{
	uint64_t hash = hash64(name, len, SEED);
	struct segment *s = segment_of(&g->families, hash);
	for (uint64_t h = hash; s->slots && s->slots[h & s->mask]; h++) {
		struct item *i = s->items[s->slots[h & s->mask] - 1];
		struct family *f = CONTAINER_OF(i, struct family, item);
		if (i->hash == hash && f->name_len == len && !memcmp(f->name, name, len))
			return f;
	}
	return NULL;
}

static bool has_parts(enum statsd_kind k, const char *part)
{
	return k == STATSD_KIND_CLASSIC || (k == STATSD_KIND_SUMMARY && part[1] != 'b');
}

/* Would a new family of that name and kind write what another one writes? */
static bool family_collides(struct statsd_agg *g, const struct statsd_target *t)
{
	size_t stem = stem_len(t->name, t->name_len);
	const struct family *f = stem < t->name_len ? family_find(g, t->name, stem) : NULL;
	if (f && has_parts(f->kind, t->name + stem))
		return true;
	for (unsigned i = 0; i < COUNT_OF(parts); i++) {
		char name[256];
		size_t n = strlen(parts[i]);
		if (!has_parts(t->kind, parts[i]) || t->name_len + n > sizeof(name))
			continue;
		memcpy(name, t->name, t->name_len);
		memcpy(name + t->name_len, parts[i], n);
		if (family_find(g, name, t->name_len + n))
			return true;
	}
	return false;
}

static struct statsd_doubles copy_doubles(struct statsd_doubles d, double **at)
{
	double *v = *at;
	if (d.count)
		memcpy(v, d.v, d.count * sizeof(*v));
	*at += d.count;
	return (struct statsd_doubles){ v, d.count };
}

static struct family *family_make(struct statsd_agg *g, const struct statsd_target *t)
{
	const struct statsd_options none = { 0 }, *o = t->options ? t->options : &none;
	size_t help = t->help ? strlen(t->help) : 0;
	size_t texts = (sizeof(struct family) + t->name_len + help + 7) & ~(size_t)7;
	size_t bytes = texts + (o->bounds.count + o->quantiles.count) * sizeof(double);
	if (!purse_take(g->purse, bytes + ITEM_BYTES))
		return NULL;
	struct family *f = mem_alloc(bytes);
	*f = (struct family){ .item.hash = hash64(t->name, t->name_len, SEED),
		.kind = t->kind,
		.options = *o,
		.bytes = bytes + ITEM_BYTES,
		.help_len = (uint32_t)help,
		.name_len = t->name_len };
	memcpy(f->name, t->name, t->name_len);
	f->help = f->name + t->name_len;
	if (help)
		memcpy(f->help, t->help, help);
	double *at = (double *)(void *)((char *)f + texts);
	f->options.bounds = copy_doubles(o->bounds, &at);
	f->options.quantiles = copy_doubles(o->quantiles, &at);
	table_add(&g->families, &f->item);
	return f;
}

static void family_leave(struct statsd_agg *g, struct family *f)
{
	if (f->series)
		return;
	table_remove(&g->families, &f->item);
	purse_give(g->purse, f->bytes);
	mem_free(f);
}

/* ---- what series hold ---- */

static uint32_t steps_of(const struct family *f)
{
	return f->kind == STATSD_KIND_NATIVE ? 1 : (uint32_t)f->options.age_buckets + 1;
}

static size_t counts_bytes(const struct family *f)
{
	return sizeof(struct counts) +
	    (f->kind == STATSD_KIND_CLASSIC ? (f->options.bounds.count + 1) * sizeof(uint64_t)
	                                    : steps_of(f) * sizeof(struct exphist));
}

static bool is_counts(enum statsd_kind k)
{
	return k == STATSD_KIND_CLASSIC || k == STATSD_KIND_SUMMARY || k == STATSD_KIND_NATIVE;
}

static int step_schema(const struct family *f)
{
	return f->kind == STATSD_KIND_NATIVE ? exphist_schema(f->options.factor) : 5;
}

static struct counts *counts_make(const struct family *f, int64_t now_ms)
{
	struct counts *c = mem_zalloc(counts_bytes(f));
	if (f->kind == STATSD_KIND_CLASSIC) {
		c->buckets = (uint64_t *)(void *)(c + 1);
		return c;
	}
	uint32_t most = f->kind == STATSD_KIND_NATIVE ? (uint32_t)f->options.max_buckets : 512;
	c->steps = (struct exphist *)(void *)(c + 1);
	for (uint32_t i = 0; i < steps_of(f); i++)
		exphist_init(&c->steps[i], step_schema(f), most);
	if (f->kind == STATSD_KIND_SUMMARY)
		c->turn_ms = now_ms + (int64_t)(f->options.max_age_ms / f->options.age_buckets);
	return c;
}

static size_t grown_bytes(const struct series *s)
{
	size_t bytes = 0;
	const struct family *f = s->family;
	if (f->kind == STATSD_KIND_SET)
		return s->members.slots ? ((size_t)s->members.mask + 1) * sizeof(uint64_t) : 0;
	if (f->kind == STATSD_KIND_NATIVE || f->kind == STATSD_KIND_SUMMARY)
		for (uint32_t i = 0; i < steps_of(f); i++)
			bytes += exphist_bytes(&s->counts->steps[i]);
	return bytes;
}

static size_t series_bytes(const struct family *f, uint32_t labels_len)
{
	return sizeof(struct series) + labels_len + ITEM_BYTES +
	    (is_counts(f->kind) ? counts_bytes(f) : 0);
}

static void series_empty(struct series *s)
{
	const struct family *f = s->family;
	if (f->kind == STATSD_KIND_SET)
		mem_free(s->members.slots);
	if (f->kind == STATSD_KIND_NATIVE || f->kind == STATSD_KIND_SUMMARY)
		for (uint32_t i = 0; i < steps_of(f); i++)
			exphist_release(&s->counts->steps[i]);
	if (is_counts(f->kind))
		mem_free(s->counts);
}

static struct series *series_make(
    struct statsd_agg *g, struct family *f, const struct statsd_target *t, int64_t now_ms)
{
	if (!purse_take(g->purse, series_bytes(f, t->labels.len))) {
		family_leave(g, f);
		return NULL;
	}
	struct series *s = mem_zalloc(sizeof(*s) + t->labels.len);
	s->item.hash = t->hash;
	s->family = f;
	s->labels_len = t->labels.len;
	s->fresh = true;
	memcpy(s->labels, t->labels.bytes, t->labels.len);
	if (is_counts(f->kind))
		s->counts = counts_make(f, now_ms);
	f->series++;
	table_add(&g->series, &s->item);
	return s;
}

/* Is taken out of the table by the caller. */
static void series_end(struct statsd_agg *g, struct series *s)
{
	struct family *f = s->family;
	purse_give(g->purse, series_bytes(f, s->labels_len) + grown_bytes(s));
	series_empty(s);
	mem_free(s);
	f->series--;
	family_leave(g, f);
}

void statsd_agg_free(struct statsd_agg *g)
{
	for (unsigned i = 0; i < SEGMENTS; i++) {
		struct segment *s = &g->series.segments[i];
		while (s->count) {
			struct series *x = CONTAINER_OF(s->items[--s->count], struct series, item);
			series_end(g, x);
		}
	}
	table_release(&g->series);
	table_release(&g->families);
	mem_free(g);
}

/* ---- events ---- */

static struct series *series_find(struct statsd_agg *g, const struct statsd_target *t)
{
	struct segment *s = segment_of(&g->series, t->hash);
	for (uint64_t h = t->hash; s->slots && s->slots[h & s->mask]; h++) {
		struct item *i = s->items[s->slots[h & s->mask] - 1];
		struct series *x = CONTAINER_OF(i, struct series, item);
		if (i->hash == t->hash && x->labels_len == t->labels.len &&
		    !memcmp(x->labels, t->labels.bytes, t->labels.len))
			return x;
	}
	return NULL;
}

static enum statsd_took series_get(
    struct statsd_agg *g, const struct statsd_target *t, int64_t now_ms, struct series **out)
{
	struct series *s = series_find(g, t);
	if (!s) {
		struct family *f = family_find(g, t->name, t->name_len);
		if (f ? f->kind != t->kind : family_collides(g, t))
			return STATSD_TOOK_CONFLICT;
		if (!f)
			f = family_make(g, t);
		s = f ? series_make(g, f, t, now_ms) : NULL;
		if (!s)
			return STATSD_TOOK_MEMORY;
	}
	if (s->family->kind != t->kind)
		return STATSD_TOOK_CONFLICT;
	*out = s;
	return STATSD_TOOK;
}

static bool members_grow(struct statsd_agg *g, struct members *m)
{
	struct members old = *m;
	uint32_t size = m->slots ? (m->mask + 1) * 2 : MEMBERS_LEAST;
	if (!purse_take(g->purse, (size - (old.slots ? old.mask + 1u : 0)) * sizeof(uint64_t)))
		return false;
	m->slots = mem_zalloc(size * sizeof(*m->slots));
	m->mask = size - 1;
	for (uint32_t i = 0; old.slots && i <= old.mask; i++) {
		uint64_t h = old.slots[i];
		if (!h)
			continue;
		while (m->slots[h & m->mask])
			h++;
		m->slots[h & m->mask] = old.slots[i];
	}
	mem_free(old.slots);
	return true;
}

static enum statsd_took members_add(struct statsd_agg *g, struct members *m, uint64_t member)
{
	uint64_t h = member += !member;
	for (; m->slots && m->slots[h & m->mask]; h++)
		if (m->slots[h & m->mask] == member)
			return STATSD_TOOK;
	if (m->count >= g->members_max)
		return STATSD_TOOK_MEMBERS;
	if (!m->slots || m->count * 4 >= m->mask * 3) {
		if (!members_grow(g, m))
			return STATSD_TOOK_MEMORY;
		for (h = member; m->slots[h & m->mask];)
			h++;
	}
	m->slots[h & m->mask] = member;
	m->count++;
	return STATSD_TOOK;
}

static uint64_t whole_weight(struct counts *c, double rate)
{
	double w = 1 / rate + c->carry + WEIGHT_SLACK;
	if (!(w < 0x1p53))
		w = 0x1p53;
	double n = floor(w);
	c->carry = w - n > 2 * WEIGHT_SLACK ? w - n - WEIGHT_SLACK : 0;
	return (uint64_t)n;
}

static void steps_turn(const struct family *f, struct counts *c, int64_t now_ms)
{
	int64_t each = (int64_t)(f->options.max_age_ms / f->options.age_buckets);
	for (uint32_t i = 0; c->turn_ms <= now_ms; i++) {
		if (i >= f->options.age_buckets) {
			c->turn_ms = now_ms + each;
			break;
		}
		c->step = (c->step + 1) % (uint32_t)f->options.age_buckets;
		exphist_clear(&c->steps[c->step], step_schema(f));
		c->turn_ms += each;
	}
}

static enum statsd_took observe(
    struct statsd_agg *g, struct series *s, const struct statsd_event *e, int64_t now_ms)
{
	const struct family *f = s->family;
	struct counts *c = s->counts;
	uint64_t n = whole_weight(c, e->rate);
	c->sum += e->value * (double)n;
	c->count += n;
	if (f->kind == STATSD_KIND_CLASSIC) {
		size_t i = 0;
		while (i < f->options.bounds.count && e->value > f->options.bounds.v[i])
			i++;
		c->buckets[i] += n;
		return STATSD_TOOK;
	}
	if (f->kind == STATSD_KIND_SUMMARY)
		steps_turn(f, c, now_ms);
	struct exphist *h = &c->steps[c->step];
	size_t before = exphist_bytes(h);
	exphist_add(h, e->value, n);
	/* Some hundred bytes at a time, up to the limit of a side: never refused. */
	purse_force(g->purse, exphist_bytes(h) - before);
	return STATSD_TOOK;
}

enum statsd_took statsd_agg_take(struct statsd_agg *g, const struct statsd_event *e, int64_t now_ms)
{
	struct series *s = NULL;
	if (e->op == STATSD_ADD && e->value < 0)
		return STATSD_TOOK_NEGATIVE;
	enum statsd_took took = series_get(g, e->to, now_ms, &s);
	if (took)
		return took;
	s->last_ms = now_ms;
	s->ttl_ms = e->to->ttl_ms;
	switch (e->op) {
	case STATSD_ADD:
	case STATSD_CHANGE:
		s->v += e->value;
		break;
	case STATSD_SET_TO:
		s->v = e->value;
		break;
	case STATSD_MEMBER:
		return members_add(g, &s->members, e->member);
	case STATSD_OBSERVE:
		return observe(g, s, e, now_ms);
	}
	return STATSD_TOOK;
}

/* ---- rows ---- */

void statsd_agg_begin(struct statsd_agg *g, int64_t t_ms, uint64_t interval_ms)
{
	int64_t zero = num_sat_sub(t_ms, (int64_t)interval_ms);
	if (t_ms <= g->before_ms) /* the clock was set back */
		g->before_ms = zero;
	g->zero_ms = zero > g->before_ms ? zero : g->before_ms + 1;
	g->t_ms = t_ms;
	g->segment = 0;
	g->place = 0;
}

/* Rows of one series: of its labels, or with another name and one label more. */
struct rows {
	struct statsd_agg *g;
	struct batch *b;
	struct arena *a;
	struct label_builder labels;
	const struct series *s;
	bool stale;
};

static void put_row(struct rows *r, struct labels ls, int64_t t_ms, double v)
{
	*batch_add(r->b) =
	    (struct batch_row){ .labels = ls.bytes, .labels_len = ls.len, .t_ms = t_ms, .v = v };
}

static void put(struct rows *r, struct labels ls, double v, bool counts_up)
{
	r->b->series_count++;
	if (r->stale)
		v = sample_stale();
	else if (r->s->fresh && counts_up && r->g->zero_ms < r->g->t_ms)
		put_row(r, ls, r->g->zero_ms, 0);
	put_row(r, ls, r->g->t_ms, v);
}

static void put_part(struct rows *r, const char *part, double v, bool counts_up)
{
	const struct family *f = r->s->family;
	size_t n = strlen(part);
	char *name = arena_alloc(r->a, f->name_len + n);
	memcpy(name, f->name, f->name_len);
	memcpy(name + f->name_len, part, n);
	label_builder_set(&r->labels, LABEL_NAME, strlen(LABEL_NAME), name, f->name_len + n);
	put(r, label_builder_done(&r->labels), v, counts_up);
}

/* With label le or quantile. */
static void put_at(
    struct rows *r, const char *part, const char *label, double at, double v, bool counts_up)
{
	char text[NUM_FMT_MAX];
	size_t n = num_fmt_f(at, text);
	label_builder_set(&r->labels, label, strlen(label), arena_strndup(r->a, text, n), n);
	put_part(r, part, v, counts_up);
}

static void rows_classic(struct rows *r)
{
	const struct counts *c = r->s->counts;
	const struct statsd_doubles *bounds = &r->s->family->options.bounds;
	uint64_t sum = 0;
	for (size_t i = 0; i <= bounds->count; i++) {
		sum += c->buckets[i];
		put_at(r, "_bucket", "le", i < bounds->count ? bounds->v[i] : INFINITY, (double)sum,
		    true);
	}
	label_builder_del(&r->labels, "le", 2);
	put_part(r, "_sum", c->sum, true);
	put_part(r, "_count", (double)c->count, true);
}

static void rows_summary(struct rows *r)
{
	const struct family *f = r->s->family;
	struct counts *c = r->s->counts;
	const struct statsd_doubles *q = &f->options.quantiles;
	uint32_t ages = (uint32_t)f->options.age_buckets;
	struct exphist *all = &c->steps[ages];
	size_t before = exphist_bytes(all);
	steps_turn(f, c, r->g->t_ms);
	exphist_clear(all, step_schema(f));
	for (uint32_t i = 0; i < ages; i++)
		exphist_merge(all, &c->steps[i]);
	purse_force(r->g->purse, exphist_bytes(all) - before);
	for (size_t i = 0; i < q->count; i++)
		put_at(r, "", "quantile", q->v[i], exphist_quantile(all, q->v[i]), false);
	label_builder_del(&r->labels, "quantile", 8);
	put_part(r, "_sum", c->sum, true);
	put_part(r, "_count", (double)c->count, true);
}

static void put_hist(
    struct rows *r, struct labels ls, int64_t t_ms, const struct exphist *h, double sum)
{
	struct batch_extra *x = arena_zalloc(r->a, sizeof(*x));
	x->hist = exphist_hist(h, r->a, sum);
	struct batch_row *row = batch_add(r->b);
	*row = (struct batch_row){ .labels = ls.bytes, .labels_len = ls.len, .t_ms = t_ms };
	batch_row_extra(r->b, row, x);
}

static void rows_native(struct rows *r, struct labels ls)
{
	const struct counts *c = r->s->counts;
	struct exphist none;
	exphist_init(&none, c->steps[0].schema, 1);
	r->b->series_count++;
	if (r->stale) {
		put_hist(r, ls, r->g->t_ms, &none, sample_stale());
		return;
	}
	if (r->s->fresh && r->g->zero_ms < r->g->t_ms)
		put_hist(r, ls, r->g->zero_ms, &none, 0);
	put_hist(r, ls, r->g->t_ms, &c->steps[0], c->sum);
}

static void members_clear(struct statsd_agg *g, struct members *m)
{
	if (m->slots)
		purse_give(g->purse, ((size_t)m->mask + 1) * sizeof(uint64_t));
	mem_free(m->slots);
	*m = (struct members){ 0 };
}

static void put_meta(struct rows *r)
{
	static const uint8_t types[] = { [STATSD_KIND_COUNTER] = 1,
		[STATSD_KIND_GAUGE] = 2,
		[STATSD_KIND_SET] = 2,
		[STATSD_KIND_CLASSIC] = 3,
		[STATSD_KIND_SUMMARY] = 5,
		[STATSD_KIND_NATIVE] = 3 };
	struct family *f = r->s->family;
	f->told = true;
	*batch_add_meta(r->b) =
	    (struct batch_meta){ .family = arena_strndup(r->a, f->name, f->name_len),
		    .family_len = f->name_len,
		    .help = arena_strndup(r->a, f->help, f->help_len),
		    .help_len = f->help_len,
		    .unit = "",
		    .type = types[f->kind] };
}

/* False: it was the last of it. */
static bool rows_of(struct rows *r, struct series *s)
{
	enum statsd_kind kind = s->family->kind;
	struct labels ls = { arena_dup(r->a, s->labels, s->labels_len), s->labels_len };
	r->s = s;
	r->stale = s->ttl_ms && num_sat_sub(r->g->t_ms, s->last_ms) >= (int64_t)s->ttl_ms;
	if (!s->family->told)
		put_meta(r);
	switch (kind) {
	case STATSD_KIND_COUNTER:
	case STATSD_KIND_GAUGE:
		put(r, ls, s->v, kind == STATSD_KIND_COUNTER);
		break;
	case STATSD_KIND_SET:
		put(r, ls, s->members.count, false);
		members_clear(r->g, &s->members);
		break;
	case STATSD_KIND_CLASSIC:
	case STATSD_KIND_SUMMARY:
		label_builder_from(&r->labels, r->a, ls);
		if (kind == STATSD_KIND_CLASSIC)
			rows_classic(r);
		else
			rows_summary(r);
		break;
	case STATSD_KIND_NATIVE:
		rows_native(r, ls);
		break;
	}
	s->fresh = false;
	return !r->stale;
}

bool statsd_agg_rows(
    struct statsd_agg *g, struct batch *b, struct arena *a, size_t most, bool (*late)(void))
{
	struct rows r = { .g = g, .b = b, .a = a };
	unsigned looked = 0;
	for (; g->segment < SEGMENTS; g->segment++, g->place = 0) {
		struct segment *s = &g->series.segments[g->segment];
		while (g->place < s->count) {
			if (b->rows_count >= most || (++looked % LATE_EVERY == 0 && late && late()))
				return false;
			struct series *x = CONTAINER_OF(s->items[g->place], struct series, item);
			if (rows_of(&r, x)) {
				g->place++;
				continue;
			}
			segment_remove(s, g->place);
			g->series.count--;
			series_end(g, x);
		}
	}
	g->before_ms = g->t_ms;
	return true;
}
