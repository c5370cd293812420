/*
 * The values of a name by their texts (postings_priv.h).
 *
 *   fork    what all texts below share from here on (prefix), then a child for each next byte; and
 *           a bag for the texts that end there (or of which only so much counts)
 *   bag     places of pairs; each pair knows its position, so that the last one takes the place of
 *           one that goes
 * (1) A bag is not empty, a fork has at least TREE_LEAST values.
 * (2) Paths of bags are in order of bytes, and but for those of ends none begins with another one.
 */
#include "storage/meta/postings_priv.h"

#include "core/base/num.h"

#include <string.h>

#define TREE_LEAST  128u /* a fork with fewer values becomes a bag */
#define HEAP        8u   /* what the heap takes for a piece */
#define PAIRS_AHEAD 40u
#define TEXTS_AHEAD 20u

STATIC(TREE_TEXT == POSTINGS_PATH);
STATIC(TREE_TEXT < 256);

struct tree_node {
	bool is_fork;
};
struct bag {
	struct tree_node node;
	uint32_t serial, count, cap;
	uint32_t v[]; /* places, and from cap on what each may have (postings_sign) */
};
struct fork {
	struct tree_node node;
	uint8_t len;          /* of prefix */
	uint16_t edges_count; /* ascending by key */
	uint16_t edges_cap;
	uint32_t count; /* values below */
	struct bag *end;
	struct edge {
		struct tree_node *to;
		uint8_t key;
	} * edges;
	uint8_t *prefix;
};

static inline struct fork *fork_of(struct tree_node *t)
{
	return CONTAINER_OF(t, struct fork, node);
}

static inline struct bag *bag_of(struct tree_node *t)
{
	return CONTAINER_OF(t, struct bag, node);
}

STATIC(offsetof(struct fork, node) == 0);
STATIC(offsetof(struct bag, node) == 0);

static inline const struct fork *fork_in(const struct tree_node *t)
{
	return (const void *)t;
}

static inline const struct bag *bag_in(const struct tree_node *t)
{
	return (const void *)t;
}

/*
 * Digits have bits of their own, letters 22 between them, whatever their case. What stands between
 * words has none.
 */
uint32_t postings_sign(const char *text, size_t len)
{
	static const uint8_t letter[26] = { 10, 11, 12, 13, 14, 15, 16, 17, 18, 27, 27, 19, 20, 21,
		22, 23, 30, 24, 25, 26, 28, 29, 31, 30, 31, 30 };
	uint32_t sign = 0;
	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)text[i], low = (uint8_t)(c | 0x20);
		if (c >= 0x80)
			return UINT32_MAX;
		if (c >= '0' && c <= '9')
			sign |= UINT32_C(1) << (c - '0');
		else if (low >= 'a' && low <= 'z')
			sign |= UINT32_C(1) << letter[low - 'a'];
	}
	return sign;
}

/* What counts of the text of a value. */
static inline const uint8_t *text_of(const struct postings *p, uint32_t place, uint32_t *len)
{
	const uint8_t *text = (const uint8_t *)pair_value(pair_at(p, place), len);
	*len = *len < TREE_TEXT ? *len : TREE_TEXT;
	return text;
}

static unsigned common(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	size_t most = a_len < b_len ? a_len : b_len, n = 0;
	while (n < most && a[n] == b[n])
		n++;
	return (unsigned)n;
}

/* ---- bags ---- */

static size_t bag_bytes(uint32_t cap)
{
	return sizeof(struct bag) + (size_t)cap * 2 * sizeof(uint32_t);
}

/* Sizes are those that the heap has anyway. */
static uint32_t bag_cap(uint32_t count)
{
	return (count + 1) / 4 * 4 + 2;
}

static struct bag *bag_resize(struct postings *p, struct bag *old, uint32_t cap)
{
	struct bag *b = mem_alloc(bag_bytes(cap));
	p->parts.order += bag_bytes(cap) + HEAP;
	p->shape++;
	*b = (struct bag){ .serial = old ? old->serial : ++p->serial, .cap = cap };
	if (!old)
		return b;
	p->parts.order -= bag_bytes(old->cap) + HEAP;
	b->count = old->count;
	memcpy(b->v, old->v, old->count * sizeof(*b->v));
	memcpy(b->v + cap, old->v + old->cap, old->count * sizeof(*b->v));
	mem_free(old);
	return b;
}

static struct bag *bag_put(struct postings *p, struct bag *b, uint32_t place, uint32_t sign)
{
	if (!b || b->count == b->cap)
		b = bag_resize(p, b, bag_cap(b ? b->cap + b->cap / 4 + 1 : 1));
	pair_at(p, place)->pos = b->count & (POSTINGS_PAIRS_MAX - 1);
	b->v[b->cap + b->count] = sign;
	b->v[b->count++] = place;
	return b;
}

static void bag_free(struct postings *p, struct bag *b)
{
	p->parts.order -= bag_bytes(b->cap) + HEAP;
	p->shape++;
	mem_free(b);
}

/* NULL: that was the last one. */
static struct bag *bag_take(struct postings *p, struct bag *b, uint32_t place)
{
	uint32_t pos = pair_at(p, place)->pos, last = b->v[--b->count];
	CHECK(b->v[pos] == place);
	if (!b->count) {
		bag_free(p, b);
		return NULL;
	}
	b->v[pos] = last;
	b->v[b->cap + pos] = b->v[b->cap + b->count];
	pair_at(p, last)->pos = pos & (POSTINGS_PAIRS_MAX - 1);
	return b->cap > 8 && b->count < b->cap / 2 ? bag_resize(p, b, bag_cap(b->count)) : b;
}

/* ---- forks ---- */

static size_t fork_bytes(const struct fork *f)
{
	return sizeof(*f) + f->len + f->edges_cap * sizeof(*f->edges) + 3 * HEAP;
}

static struct fork *fork_make(struct postings *p, const uint8_t *prefix, unsigned len)
{
	struct fork *f = mem_zalloc(sizeof(*f));
	*f = (struct fork){ .node.is_fork = true, .len = (uint8_t)len, .edges_cap = 4 };
	f->edges = mem_array(NULL, f->edges_cap, sizeof(*f->edges));
	f->prefix = mem_alloc(len + 1);
	memcpy(f->prefix, prefix, len);
	p->parts.order += fork_bytes(f);
	return f;
}

static void fork_free(struct postings *p, struct fork *f)
{
	p->parts.order -= fork_bytes(f);
	mem_free(f->edges);
	mem_free(f->prefix);
	mem_free(f);
}

/* The first edge whose key is at or above this one. */
static unsigned edge_place(const struct fork *f, uint8_t key)
{
	unsigned lo = 0, hi = f->edges_count;
	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		if (f->edges[mid].key < key)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct edge *edge_find(const struct fork *f, uint8_t key)
{
	unsigned i = edge_place(f, key);
	return i < f->edges_count && f->edges[i].key == key ? &f->edges[i] : NULL;
}

static struct edge *edge_make(struct postings *p, struct fork *f, uint8_t key)
{
	unsigned i = edge_place(f, key);
	if (i < f->edges_count && f->edges[i].key == key)
		return &f->edges[i];
	if (f->edges_count == f->edges_cap) {
		p->parts.order -= fork_bytes(f);
		f->edges_cap = (uint16_t)(f->edges_cap * 2);
		f->edges = mem_array(f->edges, f->edges_cap, sizeof(*f->edges));
		p->parts.order += fork_bytes(f);
	}
	memmove(f->edges + i + 1, f->edges + i, (f->edges_count - i) * sizeof(*f->edges));
	f->edges_count++;
	f->edges[i] = (struct edge){ .key = key };
	return &f->edges[i];
}

static void edge_drop(struct fork *f, struct edge *e)
{
	unsigned i = (unsigned)(e - f->edges);
	f->edges_count--;
	memmove(f->edges + i, f->edges + i + 1, (f->edges_count - i) * sizeof(*f->edges));
}

/* Of a text that begins like the fork, at its end: to the bag of this next byte. */
static void fork_put(struct postings *p, struct fork *f, uint32_t place, uint32_t sign,
    const uint8_t *text, uint32_t len, uint32_t at)
{
	f->count++;
	if (at == len) {
		f->end = bag_put(p, f->end, place, sign);
		return;
	}
	struct edge *e = edge_make(p, f, text[at]);
	e->to = &bag_put(p, e->to ? bag_of(e->to) : NULL, place, sign)->node;
}

/* The texts of a bag begin alike up to at. They go to a fork's bags. */
static struct tree_node *bag_burst(struct postings *p, struct bag *b, uint32_t at)
{
	uint32_t len, first_len;
	const uint8_t *first = text_of(p, b->v[0], &first_len);
	unsigned shared = first_len - at;
	for (uint32_t i = 1; i < b->count && shared; i++) {
		const uint8_t *text = text_of(p, b->v[i], &len);
		shared = common(first + at, shared, text + at, len - at);
	}
	struct fork *f = fork_make(p, first + at, shared);
	for (uint32_t i = 0; i < b->count; i++) {
		const uint8_t *text = text_of(p, b->v[i], &len);
		fork_put(p, f, b->v[i], b->v[b->cap + i], text, len, at + shared);
	}
	bag_free(p, b);
	return &f->node;
}

/* A fork's texts share only so much with one that comes: a fork above it. */
static struct fork *fork_split(struct postings *p, struct fork *f, unsigned shared)
{
	struct fork *above = fork_make(p, f->prefix, shared);
	above->count = f->count;
	struct edge *e = edge_make(p, above, f->prefix[shared]);
	e->to = &f->node;
	p->parts.order -= fork_bytes(f);
	f->len = (uint8_t)(f->len - shared - 1);
	memmove(f->prefix, f->prefix + shared + 1, f->len);
	p->parts.order += fork_bytes(f);
	p->shape++;
	return above;
}

void tree_add(struct postings *p, struct pname *n, uint32_t place)
{
	struct tree_node **where = &n->tree;
	uint32_t len, at = 0;
	const uint8_t *text = (const uint8_t *)pair_value(pair_at(p, place), &len);
	uint32_t sign = postings_sign((const char *)text, len);
	len = len < TREE_TEXT ? len : TREE_TEXT;
	while (*where && (*where)->is_fork) {
		struct fork *f = fork_of(*where);
		unsigned shared = common(text + at, len - at, f->prefix, f->len);
		if (shared < f->len) {
			f = fork_split(p, f, shared);
			*where = &f->node;
		}
		at += shared;
		struct edge *e = at < len ? edge_find(f, text[at]) : NULL;
		if (!e) {
			fork_put(p, f, place, sign, text, len, at);
			return;
		}
		f->count++;
		where = &e->to;
		at++;
	}
	struct bag *b = bag_put(p, *where ? bag_of(*where) : NULL, place, sign);
	*where = b->count > TREE_BAG ? bag_burst(p, b, at) : &b->node;
}

static struct bag *bag_gather(
    struct postings *p, struct tree_node *t, struct bag *to, uint32_t without)
{
	if (!t->is_fork) {
		struct bag *b = bag_of(t);
		for (uint32_t i = 0; i < b->count; i++)
			if (b->v[i] != without)
				to = bag_put(p, to, b->v[i], b->v[b->cap + i]);
		bag_free(p, b);
		return to;
	}
	struct fork *f = fork_of(t);
	if (f->end)
		to = bag_gather(p, &f->end->node, to, without);
	for (unsigned i = 0; i < f->edges_count; i++)
		to = bag_gather(p, f->edges[i].to, to, without);
	fork_free(p, f);
	return to;
}

void tree_del(struct postings *p, struct pname *n, uint32_t place)
{
	struct tree_node **where = &n->tree;
	struct fork *f = NULL;
	struct edge *e = NULL;
	uint32_t len, at = 0;
	const uint8_t *text = text_of(p, place, &len);
	while ((*where)->is_fork) {
		f = fork_of(*where);
		if (--f->count < TREE_LEAST) { /* (1) */
			*where = &bag_gather(p, &f->node, NULL, place)->node;
			return;
		}
		at += f->len;
		if (at == len) {
			f->end = bag_take(p, f->end, place);
			return;
		}
		e = edge_find(f, text[at++]);
		where = &e->to;
	}
	struct bag *b = bag_take(p, bag_of(*where), place);
	*where = b ? &b->node : NULL;
	if (!b && f)
		edge_drop(f, e);
}

void tree_free(struct postings *p, struct tree_node *t)
{
	if (!t)
		return;
	if (!t->is_fork) {
		bag_free(p, bag_of(t));
		return;
	}
	struct fork *f = fork_of(t);
	if (f->end)
		bag_free(p, f->end);
	for (unsigned i = 0; i < f->edges_count; i++)
		tree_free(p, f->edges[i].to);
	fork_free(p, f);
}

uint32_t tree_count(const struct tree_node *t, const char *prefix, size_t len)
{
	const uint8_t *want = (const uint8_t *)prefix;
	size_t at = 0;
	len = len < TREE_TEXT ? len : TREE_TEXT;
	while (t && t->is_fork) {
		const struct fork *f = fork_in(t);
		unsigned shared = common(want + at, len - at, f->prefix, f->len);
		if (at + shared == len)
			return f->count;
		if (shared < f->len)
			return 0;
		at += shared;
		const struct edge *e = edge_find(f, want[at++]);
		t = e ? e->to : NULL;
	}
	return t ? bag_in(t)->count : 0;
}

/* ---- walking ---- */

struct seek {
	const uint8_t *want; /* the first bag with this path, or one that covers it ... */
	unsigned len;
	bool after; /* ... or behind it */
	uint8_t path[TREE_TEXT];
	unsigned path_len;
};

/* The first bag below t, which hangs at k->path: all paths there are behind what is wanted. */
static const struct bag *leftmost(const struct tree_node *t, struct seek *k)
{
	while (t->is_fork) {
		const struct fork *f = fork_in(t);
		memcpy(k->path + k->path_len, f->prefix, f->len);
		k->path_len += f->len;
		if (f->end)
			return f->end;
		k->path[k->path_len++] = f->edges[0].key;
		t = f->edges[0].to;
	}
	return bag_in(t);
}

static const struct bag *seek_fork(const struct fork *f, struct seek *k);

static const struct bag *seek(const struct tree_node *t, struct seek *k)
{
	if (t->is_fork)
		return seek_fork(fork_in(t), k);
	unsigned most = k->path_len < k->len ? k->path_len : k->len;
	int c = memcmp(k->path, k->want, most);
	/* One that covers what is wanted was made of those that are to come. */
	bool gives = c > 0 || (c == 0 && (k->path_len != k->len || !k->after));
	return gives ? bag_in(t) : NULL;
}

static const struct bag *seek_edges(const struct fork *f, struct seek *k, unsigned from)
{
	unsigned len = k->path_len;
	for (unsigned i = from; i < f->edges_count; i++) {
		k->path_len = len;
		k->path[k->path_len++] = f->edges[i].key;
		const struct bag *b = seek(f->edges[i].to, k);
		if (b)
			return b;
	}
	return NULL;
}

static const struct bag *seek_fork(const struct fork *f, struct seek *k)
{
	memcpy(k->path + k->path_len, f->prefix, f->len);
	unsigned len = k->path_len + f->len;
	int c = memcmp(k->path, k->want, len < k->len ? len : k->len);
	if (c < 0)
		return NULL;
	if (c > 0 || len > k->len)
		return leftmost(&f->node, k);
	k->path_len = len;
	if (len < k->len)
		return seek_edges(f, k, edge_place(f, k->want[len]));
	if (f->end && !k->after)
		return f->end;
	return seek_edges(f, k, 0);
}

/* To a bag that may hold texts with this prefix; NULL: there is no other one. */
static const struct bag *cursor_seek(const struct tree_node *t, struct postings_cursor *c,
    bool after, const char *prefix, size_t len)
{
	const uint8_t *want = c->_begun ? c->_path : (const uint8_t *)prefix;
	struct seek k = {
		.want = want, .len = c->_begun ? c->_path_len : (unsigned)len, .after = after
	};
	const struct bag *b = t ? seek(t, &k) : NULL;
	if (!b || memcmp(k.path, prefix, k.path_len < len ? k.path_len : len) != 0)
		return NULL;
	memcpy(c->_path, k.path, k.path_len);
	c->_path_len = (uint8_t)k.path_len;
	c->_begun = true;
	return b;
}

static void cursor_take(const struct postings *p, struct postings_cursor *c, const struct bag *b)
{
	if (!c->_in_bag || c->_serial != b->serial)
		c->_left = b->count;
	c->_in_bag = true;
	c->_serial = b->serial;
	c->_shape = p->shape;
	c->_bag = b;
}

static inline bool may_have(const struct bag *b, uint32_t i, uint32_t need)
{
	return (b->v[b->cap + i] & need) == need;
}

/*
 * Texts lie all over the heap: the lines of those to come are fetched ahead. (A call of a function
 * that only prefetches is left out by gcc as one without an effect, unless it is inlined early.)
 */
static inline __attribute__((always_inline)) void look_ahead(
    const struct postings *p, const struct bag *b, uint32_t left, uint32_t need)
{
	if (left >= PAIRS_AHEAD && may_have(b, left - PAIRS_AHEAD, need))
		__builtin_prefetch(pair_at(p, b->v[left - PAIRS_AHEAD]));
	if (left < TEXTS_AHEAD || !may_have(b, left - TEXTS_AHEAD, need))
		return;
	const uint8_t *label = pair_at(p, b->v[left - TEXTS_AHEAD])->label;
	__builtin_prefetch(label);
	__builtin_prefetch(label + CACHE_LINE / 2);
}

uint32_t tree_next(const struct postings *p, const struct tree_node *t, struct postings_cursor *c,
    const char *prefix, size_t len)
{
	uint32_t skipped = 0;
	len = len < TREE_TEXT ? len : TREE_TEXT;
	for (;;) {
		if (!c->_in_bag || c->_shape != p->shape) {
			const struct bag *found =
			    cursor_seek(t, c, !c->_in_bag && c->_begun, prefix, len);
			if (!found)
				return POSTINGS_NO_PAIR;
			cursor_take(p, c, found);
		}
		const struct bag *b = c->_bag;
		if (c->_left > b->count)
			c->_left = b->count;
		while (c->_left) {
			look_ahead(p, b, --c->_left, c->need);
			c->sign = b->v[b->cap + c->_left];
			if ((c->sign & c->need) == c->need)
				return b->v[c->_left];
			skipped++;
		}
		c->_in_bag = false;
		if (skipped >= POSTINGS_SKIPS)
			return POSTINGS_PAUSE;
	}
}
