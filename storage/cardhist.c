#include "storage/cardhist.h"

#include <string.h>

#include "core/base/hash.h"
#include "core/base/num.h"
#include "core/base/wire.h"

#define MAGIC      "KYMOCAR3"
#define MAGIC_LEN  8u
#define MAGIC_KIND 7u  /* bytes of it that all formats have: 1 was hourly, hashes for names */
#define FORMER     '2' /* read, too */
/* Of a tenant while an image is read, before it is made to fit. */
#define READ_BYTES (2 * CARDHIST_TENANT_BYTES)
/* A name is so many bytes at least (names_grow). */
#define NAMES_MOST (READ_BYTES / (sizeof(struct hname) + sizeof(uint32_t)))
#define NAME_MAX_  (sizeof(((struct store_top *)0)->name) - 1)
#define NONE       UINT32_MAX

struct hname {
	char *text; /* NULL: free */
	uint32_t len, refs, next;
};
struct list {
	uint64_t below;
	uint32_t refs, count, len;
	uint8_t bytes[];
};
struct moment {
	int64_t t_ms, since_ms;
	uint64_t series, made;
	struct list *lists[STORE_CARD_KINDS];
};
struct past { /* of a tenant */
	uint32_t tenant;
	struct moment *moments;
	uint32_t count, cap;
	struct hname *names;
	uint32_t names_end, names_cap, names_count, free; /* count: taken; free: a chain */
	uint32_t *heads;                                  /* [mask + 1], of chains by hash */
	uint32_t mask;
	size_t bytes;
	/* of this process */
	bool counted;
	uint64_t made;
};
struct cardhist {
	struct past **pasts;
	uint32_t count;
	size_t bytes, bytes_max, moments;
};

/* ---- names ---- */

static void weigh(struct cardhist *h, struct past *p, size_t more, size_t less)
{
	p->bytes += more - less;
	h->bytes += more - less;
}

static uint32_t name_slot(const struct past *p, const char *text, uint32_t len)
{
	return (uint32_t)hash64(text, len, 0) & p->mask;
}

static void names_grow(struct cardhist *h, struct past *p)
{
	uint32_t cap = p->names_cap ? p->names_cap * 2 : 64;
	weigh(h, p, (cap - p->names_cap) * (sizeof(*p->names) + sizeof(*p->heads)), 0);
	p->names = mem_array(p->names, cap, sizeof(*p->names));
	mem_free(p->heads);
	p->heads = mem_array(NULL, cap, sizeof(*p->heads));
	p->names_cap = cap;
	p->mask = cap - 1;
	memset(p->heads, 0xff, cap * sizeof(*p->heads));
	for (uint32_t i = 0; i < p->names_end; i++) {
		struct hname *n = &p->names[i];
		if (!n->text)
			continue;
		uint32_t at = name_slot(p, n->text, n->len);
		n->next = p->heads[at];
		p->heads[at] = i;
	}
}

/* Its place; nobody refers to it yet when it is new. */
static uint32_t name_take(struct cardhist *h, struct past *p, const char *text, uint32_t len)
{
	if (p->names_cap)
		for (uint32_t i = p->heads[name_slot(p, text, len)]; i != NONE; i = p->names[i].next)
			if (p->names[i].len == len && !memcmp(p->names[i].text, text, len))
				return i;
	uint32_t i = p->free;
	if (i != NONE) {
		p->free = p->names[i].next;
	} else {
		if (p->names_end == p->names_cap)
			names_grow(h, p);
		i = p->names_end++;
	}
	uint32_t at = name_slot(p, text, len);
	struct hname *n = &p->names[i];
	*n = (struct hname){ .text = mem_alloc((size_t)len + 1), .len = len, .next = p->heads[at] };
	memcpy(n->text, text, len);
	n->text[len] = '\0';
	p->heads[at] = i;
	p->names_count++;
	weigh(h, p, (size_t)len + 1, 0);
	return i;
}

static void name_leave(struct cardhist *h, struct past *p, uint32_t i)
{
	struct hname *n = &p->names[i];
	CHECK(n->refs);
	if (--n->refs)
		return;
	uint32_t *at = &p->heads[name_slot(p, n->text, n->len)];
	while (*at != i)
		at = &p->names[*at].next;
	*at = n->next;
	weigh(h, p, 0, (size_t)n->len + 1);
	mem_free(n->text);
	*n = (struct hname){ .next = p->free };
	p->free = i;
	p->names_count--;
}

/* ---- lists ---- */

struct rows { /* of a list, one after the other */
	struct wire_reader r;
	uint32_t left;
	uint64_t value;
	bool begun;
};

static struct rows rows_of(const struct list *l)
{
	return (struct rows){ .r = wire_reader(l->bytes, l->len), .left = l->count };
}

static bool rows_next(struct rows *it, uint32_t *name, uint64_t *value)
{
	if (!it->left)
		return false;
	it->left--;
	*name = (uint32_t)wire_varint(&it->r);
	uint64_t v = wire_varint(&it->r);
	it->value = it->begun ? it->value - v : v;
	it->begun = true;
	*value = it->value;
	return true;
}

static void row_put(struct buf *b, uint32_t name, uint64_t value, uint64_t before, bool first)
{
	wire_put_varint(b, name);
	wire_put_varint(b, first ? value : before - value);
}

static size_t list_size(const struct list *l)
{
	return sizeof(*l) + l->len;
}

/* Of encoded rows whose names are p's; a reference to each name is taken. */
static struct list *list_make(
    struct cardhist *h, struct past *p, uint32_t count, uint64_t below, const struct buf *b)
{
	struct list *l = mem_alloc(sizeof(*l) + b->len);
	*l = (struct list){ .below = below, .refs = 1, .count = count, .len = (uint32_t)b->len };
	if (b->len)
		memcpy(l->bytes, b->data, b->len);
	weigh(h, p, list_size(l), 0);
	struct rows it = rows_of(l);
	uint64_t value;
	for (uint32_t name; rows_next(&it, &name, &value);)
		p->names[name].refs++;
	return l;
}

static void list_leave(struct cardhist *h, struct past *p, struct list *l)
{
	if (--l->refs)
		return;
	struct rows it = rows_of(l);
	uint64_t value;
	for (uint32_t name; rows_next(&it, &name, &value);)
		name_leave(h, p, name);
	weigh(h, p, 0, list_size(l));
	mem_free(l);
}

/* The list of the moment before where it is the same. */
static struct list *list_of(struct cardhist *h, struct past *p, const struct store_top *top,
    unsigned count, uint64_t least_below, struct list *before)
{
	struct buf b;
	uint64_t last = 0;
	buf_init(&b);
	for (unsigned i = 0; i < count; i++) {
		CHECK(!i || top[i].value <= last);
		row_put(&b, name_take(h, p, top[i].name, (uint32_t)strlen(top[i].name)),
		    top[i].value, last, !i);
		last = top[i].value;
	}
	struct list *l = before;
	uint64_t below = count == CARDHIST_TOP ? last : 0;
	below = below > least_below ? below : least_below;
	if (l && l->count == count && l->below == below && l->len == b.len &&
	    (!b.len || !memcmp(l->bytes, b.data, b.len)))
		l->refs++;
	else
		l = list_make(h, p, count, below, &b);
	buf_release(&b);
	return l;
}

/* ---- moments ---- */

static void moment_free(struct cardhist *h, struct past *p, struct moment *m)
{
	for (unsigned k = 0; k < STORE_CARD_KINDS; k++)
		list_leave(h, p, m->lists[k]);
}

/* (3) */
static void moment_go(struct cardhist *h, struct past *p, uint32_t i)
{
	struct moment *m = &p->moments[i];
	if (i + 1 < p->count) {
		m[1].made += m->made;
		m[1].since_ms = m->since_ms;
	}
	moment_free(h, p, m);
	p->count--;
	memmove(m, m + 1, (p->count - i) * sizeof(*m));
	weigh(h, p, 0, sizeof(*m));
	h->moments--;
}

static struct moment *moment_new(struct cardhist *h, struct past *p)
{
	if (p->count == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 16;
		p->moments = mem_array(p->moments, p->cap, sizeof(*p->moments));
	}
	weigh(h, p, sizeof(*p->moments), 0);
	h->moments++;
	p->moments[p->count] = (struct moment){ 0 };
	return &p->moments[p->count++];
}

/* (4) */
static void thin(struct cardhist *h, struct past *p)
{
	uint32_t best = 0;
	int64_t best_gap = INT64_MAX;
	for (uint32_t i = 1; i + 1 < p->count; i++) {
		int64_t gap = num_sat_sub(p->moments[i + 1].t_ms, p->moments[i - 1].t_ms);
		if (gap >= best_gap)
			continue;
		best = i;
		best_gap = gap;
	}
	moment_go(h, p, best);
}

/* ---- tenants ---- */

static struct past *past_of(const struct cardhist *h, uint32_t tenant)
{
	for (uint32_t i = 0; i < h->count; i++)
		if (h->pasts[i]->tenant == tenant)
			return h->pasts[i];
	return NULL;
}

static void past_free(struct cardhist *h, struct past *p)
{
	for (uint32_t i = 0; i < p->count; i++)
		moment_free(h, p, &p->moments[i]);
	for (uint32_t i = 0; i < p->names_end; i++)
		mem_free(p->names[i].text); /* of an image that went bad */
	h->moments -= p->count;
	h->bytes -= p->bytes;
	mem_free(p->moments);
	mem_free(p->names);
	mem_free(p->heads);
	mem_free(p);
}

static void past_go(struct cardhist *h, uint32_t i)
{
	past_free(h, h->pasts[i]);
	h->pasts[i] = h->pasts[--h->count];
}

static struct past *past_make(struct cardhist *h, uint32_t tenant)
{
	struct past *p = mem_zalloc(sizeof(*p));
	p->tenant = tenant;
	p->free = NONE;
	weigh(h, p, sizeof(*p), 0);
	return p;
}

/* Who was counted longest ago, of these who holds most; but p, who is new, or not read yet. */
static uint32_t past_least(const struct cardhist *h, const struct past *p)
{
	uint32_t least = NONE;
	for (uint32_t i = 0; i < h->count; i++) {
		const struct past *x = h->pasts[i], *l = least == NONE ? NULL : h->pasts[least];
		if (x == p || !x->count)
			continue;
		int64_t x_ms = x->moments[x->count - 1].t_ms;
		int64_t l_ms = l ? l->moments[l->count - 1].t_ms : INT64_MAX;
		if (!l || x_ms < l_ms || (x_ms == l_ms && x->bytes > l->bytes))
			least = i;
	}
	return least;
}

static struct past *past_add(struct cardhist *h, uint32_t tenant)
{
	if (h->count == CARDHIST_TENANTS)
		past_go(h, past_least(h, NULL));
	struct past *p = past_make(h, tenant);
	h->pasts = mem_array(h->pasts, h->count + 1, sizeof(struct past *));
	h->pasts[h->count++] = p;
	return p;
}

static void past_put(struct buf *to, const struct past *p, struct buf *room);
static bool past_fill(struct cardhist *h, struct past *p, struct wire_reader *r, bool former);

/* Gives back the places of names that have gone. Costs what is left, a quarter of them at most. */
static void slim(struct cardhist *h, struct past *p)
{
	if (p->names_cap <= 64 || p->names_count >= p->names_cap / 4)
		return;
	struct buf image, room;
	buf_init(&image);
	buf_init(&room);
	past_put(&image, p, &room);
	struct past *fresh = past_make(h, p->tenant);
	struct wire_reader r = wire_reader(image.data, image.len);
	(void)wire_u32(&r);
	CHECK(past_fill(h, fresh, &r, false));
	fresh->counted = p->counted;
	fresh->made = p->made;
	struct past was = *p;
	*p = *fresh;
	*fresh = was;
	past_free(h, fresh);
	buf_release(&room);
	buf_release(&image);
}

/* The last moment of each stays while that is enough. */
static void fit(struct cardhist *h, struct past *p)
{
	slim(h, p);
	while (p->count > 1 && (p->bytes > CARDHIST_TENANT_BYTES || p->count > CARDHIST_MOMENTS)) {
		thin(h, p);
		slim(h, p);
	}
	while (h->bytes > h->bytes_max) {
		struct past *most = NULL;
		for (uint32_t i = 0; i < h->count; i++)
			if (h->pasts[i]->count > 1 && (!most || h->pasts[i]->bytes > most->bytes))
				most = h->pasts[i];
		if (most) {
			thin(h, most);
			slim(h, most);
			continue;
		}
		uint32_t least = past_least(h, p);
		if (least == NONE)
			return;
		past_go(h, least);
	}
}

struct cardhist *cardhist_create(size_t bytes_max)
{
	struct cardhist *h = mem_zalloc(sizeof(*h));
	h->bytes_max = bytes_max;
	return h;
}

static void empty(struct cardhist *h)
{
	while (h->count)
		past_go(h, h->count - 1);
	CHECK(!h->bytes && !h->moments);
}

void cardhist_free(struct cardhist *h)
{
	if (!h)
		return;
	empty(h);
	mem_free(h->pasts);
	mem_free(h);
}

void cardhist_add(struct cardhist *h, const struct cardhist_new *n)
{
	struct past *p = past_of(h, n->tenant);
	uint64_t made = n->made;
	int64_t since_ms = n->begun_ms;
	if (!p)
		p = past_add(h, n->tenant);
	if (p->counted)
		made = n->made > p->made ? n->made - p->made : 0;
	/* (1) */
	while (p->count && p->moments[p->count - 1].t_ms >= n->t_ms) {
		made += p->moments[p->count - 1].made;
		moment_go(h, p, p->count - 1);
	}
	const struct moment *last = p->count ? &p->moments[p->count - 1] : NULL;
	if (last && (p->counted || last->t_ms > since_ms))
		since_ms = last->t_ms;
	p->counted = true;
	p->made = n->made;
	struct list *before[STORE_CARD_KINDS] = { 0 };
	for (unsigned k = 0; last && k < STORE_CARD_KINDS; k++)
		before[k] = last->lists[k];
	struct moment *m = moment_new(h, p);
	m->t_ms = n->t_ms;
	m->since_ms = since_ms < n->t_ms ? since_ms : n->t_ms;
	m->series = n->series;
	m->made = made;
	for (unsigned k = 0; k < STORE_CARD_KINDS; k++) {
		unsigned count = n->counts[k] < CARDHIST_TOP ? n->counts[k] : CARDHIST_TOP;
		m->lists[k] = list_of(h, p, n->tops[k], count, n->below[k], before[k]);
	}
	fit(h, p);
}

void cardhist_expire(struct cardhist *h, int64_t t_ms)
{
	for (uint32_t i = h->count; i--;) {
		struct past *p = h->pasts[i];
		uint32_t old = 0;
		while (old < p->count && p->moments[old].t_ms < t_ms)
			old++;
		if (old == p->count) {
			past_go(h, i);
			continue;
		}
		for (uint32_t k = 0; k < old; k++)
			moment_free(h, p, &p->moments[k]);
		p->count -= old;
		memmove(p->moments, p->moments + old, p->count * sizeof(*p->moments));
		weigh(h, p, 0, old * sizeof(*p->moments));
		h->moments -= old;
		slim(h, p);
	}
}

uint32_t cardhist_lives(const struct cardhist *h, uint32_t tenants[CARDHIST_TENANTS])
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < h->count; i++)
		if (h->pasts[i]->moments[h->pasts[i]->count - 1].series)
			tenants[n++] = h->pasts[i]->tenant;
	return n;
}

size_t cardhist_bytes(const struct cardhist *h)
{
	return h->bytes;
}

size_t cardhist_moments(const struct cardhist *h)
{
	return h->moments;
}

/* ---- forgotten ---- */

void cardhist_names(const struct cardhist *h, uint32_t tenant,
    void (*fn)(void *arg, const char *text, size_t len), void *arg)
{
	const struct past *p = past_of(h, tenant);
	for (uint32_t i = 0; p && i < p->names_end; i++)
		if (p->names[i].text)
			fn(arg, p->names[i].text, p->names[i].len);
}

/* l without the rows of names that are gone; l itself where it has none of them. */
static struct list *list_without(struct cardhist *h, struct past *p, struct list *l, const bool *gone)
{
	struct rows it = rows_of(l);
	struct buf b;
	uint64_t value, last = 0;
	uint32_t count = 0;
	buf_init(&b);
	for (uint32_t name; rows_next(&it, &name, &value);) {
		if (gone[name])
			continue;
		row_put(&b, name, value, last, !count++);
		last = value;
	}
	struct list *without = l;
	if (count < l->count)
		without = list_make(h, p, count, l->below, &b);
	else
		l->refs++;
	buf_release(&b);
	return without;
}

static void moments_without(struct cardhist *h, struct past *p, const bool *gone)
{
	for (unsigned k = 0; k < STORE_CARD_KINDS; k++) {
		struct list *was = NULL, *is = NULL; /* of the moment before */
		for (uint32_t i = 0; i < p->count; i++) {
			struct moment *m = &p->moments[i];
			struct list *l = m->lists[k];
			if (l == was)
				is->refs++;
			else
				is = list_without(h, p, l, gone);
			m->lists[k] = is;
			was = l;
			list_leave(h, p, l);
		}
	}
}

uint32_t cardhist_forget(struct cardhist *h, uint32_t tenant,
    bool (*gone)(void *arg, const char *text, size_t len), void *arg)
{
	struct past *p = past_of(h, tenant);
	if (!p)
		return 0;
	uint32_t count = 0;
	bool *marks = mem_zalloc(p->names_end + 1);
	for (uint32_t i = 0; i < p->names_end; i++) {
		marks[i] = p->names[i].text && gone(arg, p->names[i].text, p->names[i].len);
		count += marks[i];
	}
	if (count)
		moments_without(h, p, marks);
	mem_free(marks);
	if (count)
		slim(h, p);
	return count;
}

/* ---- asked ---- */

struct cutter {
	const struct past *p;
	struct store_card_cut *c;
	uint32_t *places; /* of names in the cut + 1, by place in p */
	struct buf texts;
};

static uint32_t cut_name(struct cutter *x, uint32_t name)
{
	if (x->places[name])
		return x->places[name] - 1;
	const struct hname *n = &x->p->names[name];
	uint32_t at = (uint32_t)x->texts.len;
	buf_add(&x->texts, n->text, (size_t)n->len + 1);
	x->c->names[x->c->names_count++] = at;
	x->places[name] = x->c->names_count;
	return x->c->names_count - 1;
}

static void cut_rows(
    struct cutter *x, const struct list *l, unsigned limit, struct store_card_moment *to)
{
	struct rows it = rows_of(l);
	uint32_t name, count = 0;
	uint64_t value = 0;
	to->rows_at = x->c->rows_count;
	while (count < limit && rows_next(&it, &name, &value)) {
		x->c->rows[x->c->rows_count++] =
		    (struct store_card_row){ .name = cut_name(x, name), .value = value };
		count++;
	}
	to->rows_count = count;
	/* (2) */
	to->below = rows_next(&it, &name, &value) && value > l->below ? value : l->below;
}

static uint64_t piece_of(int64_t t_ms, int64_t t_min_ms, int64_t step_ms)
{
	return ((uint64_t)t_ms - (uint64_t)t_min_ms) / (uint64_t)step_ms;
}

void cardhist_cut(const struct cardhist *h, uint32_t tenant, enum store_card_kind kind,
    int64_t t_min_ms, int64_t t_max_ms, int64_t step_ms, unsigned limit, struct store_card_cut *c)
{
	const struct past *p = past_of(h, tenant);
	*c = (struct store_card_cut){ 0 };
	if (!p)
		return;
	struct cutter x = { .p = p, .c = c };
	if (limit > CARDHIST_TOP)
		limit = CARDHIST_TOP;
	buf_init(&x.texts);
	x.places = mem_zalloc((p->names_end + 1) * sizeof(*x.places));
	c->moments = mem_array(NULL, p->count + 1, sizeof(*c->moments));
	c->rows = mem_array(NULL, (size_t)p->count * limit + 1, sizeof(*c->rows));
	c->names = mem_array(NULL, p->names_end + 1, sizeof(*c->names));
	uint64_t made = 0;
	int64_t since_ms = 0;
	bool begun = false;
	for (uint32_t i = 0; i < p->count; i++) {
		const struct moment *m = &p->moments[i], *next = i + 1 < p->count ? m + 1 : NULL;
		if (m->t_ms < t_min_ms || m->t_ms > t_max_ms)
			continue;
		since_ms = begun ? since_ms : m->since_ms;
		made += m->made;
		begun = true;
		if (step_ms > 0 && next && next->t_ms <= t_max_ms &&
		    piece_of(next->t_ms, t_min_ms, step_ms) == piece_of(m->t_ms, t_min_ms, step_ms))
			continue;
		struct store_card_moment *to = &c->moments[c->moments_count++];
		*to = (struct store_card_moment){
			.t_ms = m->t_ms, .since_ms = since_ms, .series = m->series, .made = made
		};
		cut_rows(&x, m->lists[kind], limit, to);
		made = 0;
		begun = false;
	}
	mem_free(x.places);
	size_t len;
	c->texts = (char *)buf_take(&x.texts, &len);
}

bool cardhist_near(
    const struct cardhist *h, uint32_t tenant, int64_t t_ms, int64_t off_ms, int64_t *found_ms)
{
	const struct past *p = past_of(h, tenant);
	bool found = false;
	for (uint32_t i = 0; p && i < p->count; i++) {
		int64_t at = p->moments[i].t_ms;
		int64_t off = at > t_ms ? num_sat_sub(at, t_ms) : num_sat_sub(t_ms, at);
		if (off > off_ms || (found && off == off_ms))
			continue;
		*found_ms = at;
		off_ms = off;
		found = true;
	}
	return found;
}

/* ---- the image ---- */

static void list_put(struct buf *to, const struct list *l, const uint32_t *dense, struct buf *room)
{
	struct rows it = rows_of(l);
	uint64_t value, last = 0;
	bool first = true;
	room->len = 0;
	wire_put_varint(room, l->below);
	for (uint32_t name; rows_next(&it, &name, &value); first = false) {
		row_put(room, dense[name], value, last, first);
		last = value;
	}
	wire_put_varint(to, (uint64_t)room->len + 1);
	buf_add(to, room->data, room->len);
}

static void past_put(struct buf *to, const struct past *p, struct buf *room)
{
	uint32_t *dense = mem_array(NULL, p->names_end + 1, sizeof(*dense)), names = 0;
	for (uint32_t i = 0; i < p->names_end; i++)
		dense[i] = p->names[i].text ? names++ : NONE;
	wire_put_u32(to, p->tenant);
	wire_put_varint(to, names);
	for (uint32_t i = 0; i < p->names_end; i++)
		if (p->names[i].text)
			wire_put_lenbytes(to, p->names[i].text, p->names[i].len);
	wire_put_varint(to, p->count);
	for (uint32_t i = 0; i < p->count; i++) {
		const struct moment *m = &p->moments[i];
		wire_put_u64(to, (uint64_t)m->t_ms);
		wire_put_u64(to, (uint64_t)m->since_ms);
		wire_put_varint(to, m->series);
		wire_put_varint(to, m->made);
		for (unsigned k = 0; k < STORE_CARD_KINDS; k++) {
			if (i && m->lists[k] == m[-1].lists[k])
				wire_put_varint(to, 0);
			else
				list_put(to, m->lists[k], dense, room);
		}
	}
	mem_free(dense);
}

void cardhist_encode(const struct cardhist *h, struct buf *to)
{
	struct buf room;
	size_t start = to->len;
	buf_init(&room);
	buf_add(to, MAGIC, MAGIC_LEN);
	wire_put_u32(to, h->count);
	for (uint32_t i = 0; i < h->count; i++)
		past_put(to, h->pasts[i], &room);
	wire_put_u32(to, crc32c(0, to->data + start, to->len - start));
	buf_release(&room);
}

/* Names of the image to those of p, since equal ones are one. */
struct decoder {
	struct cardhist *h;
	struct past *p;
	uint32_t *names;
	uint64_t names_count;
	bool former; /* lists have no below */
};

static const uint8_t empty_list[1]; /* below: 0 */

/* NULL: its bytes are no list. */
static struct list *list_read(struct decoder *d, const uint8_t *data, size_t len)
{
	struct wire_reader r = wire_reader(data, len);
	struct buf b;
	uint64_t value = 0, below = d->former ? 0 : wire_varint(&r);
	uint32_t count = 0;
	bool good = !r.bad;
	buf_init(&b);
	while (good && wire_left(&r)) {
		uint64_t name = wire_varint(&r), v = wire_varint(&r);
		good = !r.bad && name < d->names_count && count < CARDHIST_TOP &&
		    (!count || v <= value);
		if (!good)
			break;
		uint64_t is = count ? value - v : v;
		row_put(&b, d->names[name], is, value, !count);
		value = is;
		count++;
	}
	if (d->former)
		below = count == CARDHIST_TOP ? value : 0;
	struct list *l = good ? list_make(d->h, d->p, count, below, &b) : NULL;
	buf_release(&b);
	return l;
}

static bool moment_read(struct decoder *d, struct wire_reader *r)
{
	struct past *p = d->p;
	struct moment *m = moment_new(d->h, p);
	const struct moment *before = p->count > 1 ? m - 1 : NULL;
	bool good = true;
	m->t_ms = (int64_t)wire_u64(r);
	m->since_ms = (int64_t)wire_u64(r);
	m->series = wire_varint(r);
	m->made = wire_varint(r);
	for (unsigned k = 0; k < STORE_CARD_KINDS; k++) {
		uint64_t len = wire_varint(r);
		if (!len && before) {
			m->lists[k] = before->lists[k];
			m->lists[k]->refs++;
			continue;
		}
		const uint8_t *bytes = len > 1 ? wire_bytes(r, len - 1) : empty_list;
		m->lists[k] = len && bytes ? list_read(d, bytes, len - 1) : NULL;
		if (!m->lists[k]) { /* so that it can be freed */
			m->lists[k] = list_read(d, empty_list, !d->former);
			good = false;
		}
	}
	return good && !r->bad && m->since_ms <= m->t_ms && (!before || before->t_ms < m->t_ms) &&
	    p->bytes <= READ_BYTES;
}

static bool names_read(struct decoder *d, struct wire_reader *r)
{
	d->names_count = wire_varint(r);
	if (r->bad || d->names_count > wire_left(r) || d->names_count > NAMES_MOST)
		return false;
	d->names = mem_array(NULL, d->names_count + 1, sizeof(*d->names));
	for (uint64_t i = 0; i < d->names_count; i++) {
		size_t len;
		const uint8_t *text = wire_lenbytes(r, &len);
		if (r->bad || len > NAME_MAX_ || (len && memchr(text, 0, len)) ||
		    d->p->bytes > READ_BYTES)
			return false;
		d->names[i] = name_take(d->h, d->p, len ? (const char *)text : "", (uint32_t)len);
	}
	return true;
}

/* Names that no list has are forgotten. */
static void names_tidy(struct cardhist *h, struct past *p)
{
	for (uint32_t i = 0; i < p->names_end; i++) {
		if (!p->names[i].text || p->names[i].refs)
			continue;
		p->names[i].refs = 1;
		name_leave(h, p, i);
	}
}

/* Behind its id. */
static bool past_fill(struct cardhist *h, struct past *p, struct wire_reader *r, bool former)
{
	struct decoder d = { .h = h, .p = p, .former = former };
	bool good = names_read(&d, r);
	uint64_t count = good ? wire_varint(r) : 0;
	good = good && !r->bad && count && count <= CARDHIST_MOMENTS + 1;
	for (uint64_t i = 0; good && i < count; i++)
		good = moment_read(&d, r);
	mem_free(d.names);
	if (good)
		names_tidy(h, p);
	return good;
}

static bool past_read(struct cardhist *h, struct wire_reader *r, bool former)
{
	uint32_t tenant = wire_u32(r);
	if (r->bad || past_of(h, tenant) || h->count == CARDHIST_TENANTS)
		return false;
	return past_fill(h, past_add(h, tenant), r, former);
}

enum err cardhist_decode(struct cardhist *h, const uint8_t *data, size_t len)
{
	CHECK(!h->count);
	if (len < MAGIC_LEN + 8 || memcmp(data, MAGIC, MAGIC_KIND))
		return ERR_DAMAGED;
	uint8_t form = data[MAGIC_KIND];
	bool former = form == FORMER;
	if (form >= '1' && form <= '9' && form != MAGIC[MAGIC_KIND] && !former)
		return ERR_UNSUPPORTED;
	if ((form != MAGIC[MAGIC_KIND] && !former) ||
	    wire_load32(data + len - 4) != crc32c(0, data, len - 4))
		return ERR_DAMAGED;
	struct wire_reader r = wire_reader(data + MAGIC_LEN, len - MAGIC_LEN - 4);
	bool good = true;
	for (uint32_t n = wire_u32(&r); good && n; n--)
		good = past_read(h, &r, former);
	if (good && !r.bad && !wire_left(&r)) {
		for (uint32_t i = 0; i < h->count; i++)
			fit(h, h->pasts[i]);
		return 0;
	}
	empty(h);
	return ERR_DAMAGED;
}
