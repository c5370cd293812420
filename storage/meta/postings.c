#include "storage/meta/postings.h"

#include "core/base/num.h"
#include "core/base/wire.h"
#include "storage/meta/postings_priv.h"

#define TABLE_MIN      16u
#define SLOT_DEAD      UINT32_MAX
#define MOVE_BACK_STEP 64u
#define MOVE_STEP      16u /* old slots that go over at each addition: in time by far */
#define AHEAD          8u  /* labels looked at together, so that their cache misses overlap */
#define NAMES_MIN      16u
#define HEAP           8u /* what the heap takes for a piece */

/* ---- tables ---- */

static inline uint32_t slot_home(uint32_t hash, uint32_t size)
{
	return (uint32_t)((uint64_t)hash * size >> 32);
}

static inline uint32_t slot_next(uint32_t i, uint32_t size)
{
	return i + 1 == size ? 0 : i + 1;
}

static void table_init(struct table *t)
{
	*t = (struct table){ .slots = mem_zalloc(TABLE_MIN * sizeof(struct slot)), .size = TABLE_MIN };
}

static void table_release(struct table *t)
{
	mem_free(t->slots);
	mem_free(t->old);
}

static size_t table_bytes(const struct table *t)
{
	return ((size_t)t->size + (t->old ? t->old_size : 0)) * sizeof(struct slot);
}

static void table_place(struct table *t, struct slot s)
{
	uint32_t i = slot_home(s.hash, t->size);
	while (t->slots[i].place)
		i = slot_next(i, t->size);
	t->slots[i] = s;
}

static void table_move(struct table *t, unsigned step)
{
	for (; step && t->old_at < t->old_size; step--) {
		struct slot s = t->old[t->old_at++];
		if (s.place && s.place != SLOT_DEAD)
			table_place(t, s);
	}
	if (t->old_at == t->old_size) {
		mem_free(t->old);
		t->old = NULL;
	}
}

static void table_resize(struct table *t, uint32_t size)
{
	t->old = t->slots;
	t->old_size = t->size;
	t->old_at = 0;
	t->size = size;
	t->slots = mem_zalloc(size * sizeof(struct slot));
	table_move(t, MOVE_STEP);
}

static void table_add(struct table *t, uint32_t hash, uint32_t place)
{
	if (t->old)
		table_move(t, MOVE_STEP);
	if (++t->count > t->size / 4 * 3) {
		CHECK(!t->old); /* it is over long before */
		table_resize(t, t->size + t->size / 2);
	}
	table_place(t, (struct slot){ .hash = hash, .place = place + 1 });
}

/* Its slot among those, NULL: it is not there. */
static struct slot *slot_of(struct slot *slots, uint32_t size, uint32_t hash, uint32_t place)
{
	uint32_t i = slot_home(hash, size);
	while (slots[i].place && slots[i].place != place + 1)
		i = slot_next(i, size);
	return slots[i].place ? &slots[i] : NULL;
}

static uint32_t slots_between(uint32_t from, uint32_t to, uint32_t size)
{
	return to >= from ? to - from : to + size - from;
}

/* What follows without a gap moves up, as far as its own place allows. */
static void slot_close(struct table *t, uint32_t i)
{
	for (uint32_t j = i;;) {
		t->slots[i].place = 0;
		uint32_t home;
		do {
			j = slot_next(j, t->size);
			if (!t->slots[j].place)
				return;
			home = slot_home(t->slots[j].hash, t->size);
		} while (slots_between(home, j, t->size) < slots_between(i, j, t->size));
		t->slots[i] = t->slots[j];
		i = j;
	}
}

/*
 * A table that is nearly empty gives its memory back in the same way as it grew: over before it
 * could be nearly empty again.
 */
static void table_shrink(struct table *t)
{
	if (!t->count && t->size > TABLE_MIN) {
		table_release(t);
		table_init(t);
	} else if (t->old) {
		table_move(t, MOVE_BACK_STEP);
	} else if (t->size / 4 >= TABLE_MIN && t->count < t->size / 8) {
		table_resize(t, t->size / 4);
	}
}

static void table_del(struct table *t, uint32_t hash, uint32_t place)
{
	struct slot *in = slot_of(t->slots, t->size, hash, place);
	struct slot *old = t->old ? slot_of(t->old, t->old_size, hash, place) : NULL;
	CHECK(in || old);
	if (in)
		slot_close(t, (uint32_t)(in - t->slots));
	if (old)
		old->place = SLOT_DEAD;
	t->count--;
	table_shrink(t);
}

/* ---- the whole ---- */

struct postings *postings_create(uint64_t seed, const struct postings_labels *labels)
{
	struct postings *p = mem_zalloc(sizeof(*p));
	p->seed = seed;
	if (labels)
		p->labels = *labels;
	table_init(&p->pairs_table);
	table_init(&p->names_table);
	for (unsigned i = 0; i < POSTINGS_GUESSES; i++)
		p->guesses[i] = p->gone[i] = POSTINGS_NO_PAIR;
	return p;
}

void postings_free(struct postings *p)
{
	if (!p)
		return;
	for (uint32_t i = 0; i < p->pages_count; i++) {
		struct pair_page *page = p->pages[i];
		for (unsigned k = 0; page && k < POSTINGS_PAGE; k++)
			if (page->pairs[k].label)
				ids_release(&page->pairs[k].ids, (enum ids_kind)page->pairs[k].kind);
		mem_free(page);
	}
	for (uint32_t i = 0; i < p->names_end; i++) {
		if (p->names[i])
			tree_free(p, p->names[i]->tree);
		mem_free(p->names[i]);
	}
	table_release(&p->pairs_table);
	table_release(&p->names_table);
	mem_free(p->pages);
	mem_free(p->free_pages);
	mem_free(p->names);
	ids_release(&p->all, p->all_kind);
	mem_free(p);
}

uint64_t postings_made(const struct postings *p)
{
	return p->made;
}

void postings_made_begin(struct postings *p)
{
	p->made = 0;
}

uint64_t postings_series(const struct postings *p)
{
	return p->series;
}

uint64_t postings_pairs(const struct postings *p)
{
	return p->pairs_table.count;
}

struct postings_parts postings_parts(const struct postings *p)
{
	struct postings_parts parts = p->parts;
	parts.pairs += sizeof(*p) + (p->pages_cap + p->free_pages_cap) * sizeof(void *);
	parts.table += table_bytes(&p->pairs_table);
	parts.names += table_bytes(&p->names_table) + p->names_cap * sizeof(void *);
	return parts;
}

size_t postings_bytes(const struct postings *p)
{
	struct postings_parts parts = postings_parts(p);
	return parts.pairs + parts.table + parts.ids + parts.order + parts.names;
}

/* ---- pages of pairs ---- */

static uint32_t page_number(struct postings *p)
{
	if (p->free_pages_count)
		return p->free_pages[--p->free_pages_count];
	if (p->pages_count == p->pages_cap) {
		p->pages_cap = p->pages_cap ? p->pages_cap * 2 : 4;
		p->pages = mem_array(p->pages, p->pages_cap, sizeof(*p->pages));
	}
	CHECK(p->pages_count < POSTINGS_PAIRS_MAX / POSTINGS_PAGE);
	return p->pages_count++;
}

static void page_link(struct postings *p, uint32_t number)
{
	struct pair_page *page = p->pages[number];
	page->next = p->room;
	page->previous = 0;
	if (p->room)
		p->pages[p->room - 1]->previous = number + 1;
	p->room = number + 1;
}

static void page_unlink(struct postings *p, uint32_t number)
{
	struct pair_page *page = p->pages[number];
	if (page->next)
		p->pages[page->next - 1]->previous = page->previous;
	if (page->previous)
		p->pages[page->previous - 1]->next = page->next;
	else
		p->room = page->next;
}

static uint32_t pair_take(struct postings *p)
{
	if (!p->room) {
		uint32_t number = page_number(p);
		p->pages[number] = mem_zalloc(sizeof(struct pair_page));
		p->pages[number]->free = UINT64_MAX;
		p->parts.pairs += sizeof(struct pair_page) + HEAP;
		page_link(p, number);
	}
	uint32_t number = p->room - 1;
	struct pair_page *page = p->pages[number];
	unsigned i = (unsigned)__builtin_ctzll(page->free);
	page->free &= page->free - 1;
	if (!page->free)
		page_unlink(p, number);
	return number * POSTINGS_PAGE + i;
}

static void pair_give(struct postings *p, uint32_t place)
{
	uint32_t number = place / POSTINGS_PAGE;
	struct pair_page *page = p->pages[number];
	page->pairs[place % POSTINGS_PAGE].label = NULL;
	if (!page->free)
		page_link(p, number);
	page->free |= UINT64_C(1) << place % POSTINGS_PAGE;
	if (page->free != UINT64_MAX)
		return;
	page_unlink(p, number);
	mem_free(page);
	p->pages[number] = NULL;
	p->parts.pairs -= sizeof(struct pair_page) + HEAP;
	if (p->free_pages_count == p->free_pages_cap) {
		p->free_pages_cap = p->free_pages_cap ? p->free_pages_cap * 2 : 4;
		p->free_pages = mem_array(p->free_pages, p->free_pages_cap, sizeof(*p->free_pages));
	}
	p->free_pages[p->free_pages_count++] = number;
	if (p->free_pages_count < p->pages_count)
		return;
	mem_free(p->pages);
	mem_free(p->free_pages);
	p->pages = NULL;
	p->free_pages = NULL;
	p->pages_count = p->pages_cap = p->free_pages_count = p->free_pages_cap = 0;
}

/* ---- names ---- */

static uint32_t name_in(const struct postings *p, const struct slot *slots, uint32_t size,
    uint64_t hash, const char *name, size_t len)
{
	for (uint32_t i = slot_home((uint32_t)hash, size); slots[i].place; i = slot_next(i, size)) {
		if (slots[i].hash != (uint32_t)hash || slots[i].place == SLOT_DEAD)
			continue;
		const struct pname *n = p->names[slots[i].place - 1];
		if (n->hash == hash && n->len == len && memcmp(n->text, name, len) == 0)
			return slots[i].place;
	}
	return 0;
}

/* Its place + 1; 0: nobody has it. */
static uint32_t name_place(const struct postings *p, const char *name, size_t len, uint64_t hash)
{
	const struct table *t = &p->names_table;
	uint32_t place = name_in(p, t->slots, t->size, hash, name, len);
	if (!place && UNLIKELY(t->old != NULL))
		place = name_in(p, t->old, t->old_size, hash, name, len);
	return place;
}

struct pname *postings_name_find(const struct postings *p, const char *name, size_t len)
{
	uint32_t place = name_place(p, name, len, hash64(name, len, p->seed));
	return place ? p->names[place - 1] : NULL;
}

static uint32_t name_make(struct postings *p, const struct label *l)
{
	uint64_t hash = hash64(l->name, l->name_len, p->seed);
	uint32_t place = name_place(p, l->name, l->name_len, hash);
	if (place)
		return place - 1;
	struct pname *n = mem_zalloc(sizeof(*n) + l->name_len);
	n->hash = hash;
	n->len = l->name_len;
	memcpy(n->text, l->name, l->name_len);
	for (place = p->names_hole; place < p->names_end && p->names[place]; place++)
		;
	p->names_hole = place + 1;
	if (place == p->names_cap) {
		p->names_cap = p->names_cap ? p->names_cap * 2 : NAMES_MIN;
		p->names = mem_array(p->names, p->names_cap, sizeof(*p->names));
	}
	if (place == p->names_end)
		p->names_end++;
	p->names[place] = n;
	p->names_count++;
	table_add(&p->names_table, (uint32_t)hash, place);
	p->parts.names += sizeof(*n) + n->len + HEAP;
	return place;
}

static void name_gone(struct postings *p, uint32_t place)
{
	struct pname *n = p->names[place];
	table_del(&p->names_table, (uint32_t)n->hash, place);
	p->parts.names -= sizeof(*n) + n->len + HEAP;
	mem_free(n);
	p->names[place] = NULL;
	p->names_count--;
	if (place < p->names_hole)
		p->names_hole = place;
	while (p->names_end && !p->names[p->names_end - 1])
		p->names_end--;
	if (!p->names_end) {
		mem_free(p->names);
		p->names = NULL;
		p->names_cap = 0;
	}
}

/* ---- pairs ---- */

static inline bool pair_is(const struct pair *x, const uint8_t *bytes, size_t len)
{
	return x->label && pair_label_len(x->label) == len && memcmp(x->label, bytes, len) == 0;
}

static uint32_t pair_in(const struct postings *p, const struct slot *slots, uint32_t size,
    uint32_t hash, const uint8_t *bytes, size_t len)
{
	for (uint32_t i = slot_home(hash, size); slots[i].place; i = slot_next(i, size)) {
		if (slots[i].hash == hash && slots[i].place != SLOT_DEAD &&
		    pair_is(pair_at(p, slots[i].place - 1), bytes, len))
			return slots[i].place - 1;
	}
	return POSTINGS_NO_PAIR;
}

static uint32_t pair_find(const struct postings *p, uint32_t hash, const uint8_t *bytes, size_t len)
{
	const struct table *t = &p->pairs_table;
	uint32_t place = pair_in(p, t->slots, t->size, hash, bytes, len);
	if (place == POSTINGS_NO_PAIR && UNLIKELY(t->old != NULL))
		place = pair_in(p, t->old, t->old_size, hash, bytes, len);
	return place;
}

static uint32_t hash_of(const struct postings *p, const uint8_t *bytes, size_t len)
{
	return (uint32_t)hash64(bytes, len, p->seed);
}

struct pair *postings_pair(const struct postings *p, const char *name, size_t name_len,
    const char *value, size_t value_len)
{
	struct buf b;
	buf_init(&b);
	size_t body =
	    2 + wire_varint_len(name_len) + wire_varint_len(value_len) + name_len + value_len;
	buf_add_u8(&b, 0x0a);
	wire_put_varint(&b, body);
	buf_add_u8(&b, 0x0a);
	wire_put_lenbytes(&b, name, name_len);
	buf_add_u8(&b, 0x12);
	wire_put_lenbytes(&b, value, value_len);
	uint32_t place = pair_find(p, hash_of(p, b.data, b.len), b.data, b.len);
	buf_release(&b);
	return place == POSTINGS_NO_PAIR ? NULL : pair_at(p, place);
}

/* A label of the series at work. */
struct step {
	const uint8_t *bytes;
	uint32_t len, hash;
	uint32_t place;  /* of its pair */
	uint32_t *guess; /* of the next series; NULL = none */
	struct label label;
};

/*
 * Labels are canonical, so they are taken apart without looking twice. Returns their bytes.
 */
static inline uint32_t step_take(const uint8_t *at, struct step *s)
{
	uint32_t body, n;
	const uint8_t *b = pair_varint(at + 1, &body);
	s->bytes = at;
	s->len = (uint32_t)(b - at) + body;
	b = pair_varint(b + 1, &n);
	s->label.name = (const char *)b;
	s->label.name_len = n;
	b = pair_varint(b + n + 1, &n);
	s->label.value = (const char *)b;
	s->label.value_len = n;
	return s->len;
}

static uint32_t pair_make(struct postings *p, const struct step *s)
{
	uint32_t place = pair_take(p), name = name_make(p, &s->label);
	struct pair *x = pair_at(p, place);
	*x = (struct pair){ .label = s->bytes, .name = name, .kind = IDS_NONE };
	table_add(&p->pairs_table, s->hash, place);
	p->names[name]->count++;
	tree_add(p, p->names[name], place);
	return place;
}

static void pair_gone(struct postings *p, uint32_t place, uint32_t hash)
{
	struct pair *x = pair_at(p, place);
	struct pname *n = p->names[x->name];
	table_del(&p->pairs_table, hash, place);
	tree_del(p, n, place);
	if (--n->count == 0)
		name_gone(p, x->name);
	pair_give(p, place);
}

/* The series that lent its text goes: another one lends it. */
static void pair_text_anew(struct postings *p, struct pair *x, const struct step *s)
{
	struct labels ls;
	uint32_t id = ids_last(&x->ids, (enum ids_kind)x->kind);
	CHECK(p->labels.get(p->labels.arg, id, &ls));
	struct step other;
	for (uint32_t done = 0; done < ls.len;) {
		done += step_take(ls.bytes + done, &other);
		if (other.len == s->len && memcmp(other.bytes, s->bytes, s->len) == 0) {
			x->label = other.bytes;
			return;
		}
	}
	panic("a series has not the label that it was added with");
}

/* ---- adding and removing ---- */

static void pair_add_id(struct postings *p, const struct step *s, uint32_t id)
{
	struct pair *x = pair_at(p, s->place);
	enum ids_kind kind = (enum ids_kind)x->kind;
	ids_add(&x->ids, &kind, id, &p->parts.ids);
	x->kind = kind & 7;
	struct pname *n = p->names[x->name];
	n->series++;
	n->bytes += s->label.name_len + s->label.value_len;
}

/*
 * Each line of memory is asked for a while before it is needed. (A call of a function that only
 * prefetches is left out by gcc as one without an effect, unless it is inlined early.)
 */
static inline __attribute__((always_inline)) void look_ahead(
    const struct postings *p, const struct step *steps, unsigned count)
{
	const struct table *t = &p->pairs_table;
	for (unsigned i = 0; i < count; i++) {
		struct slot s = t->slots[slot_home(steps[i].hash, t->size)];
		if (s.place && s.hash == steps[i].hash)
			__builtin_prefetch(pair_at(p, s.place - 1));
	}
	for (unsigned i = 0; i < count; i++) {
		struct slot s = t->slots[slot_home(steps[i].hash, t->size)];
		if (s.place && s.hash == steps[i].hash)
			__builtin_prefetch(pair_at(p, s.place - 1)->label);
	}
}

static void add_steps(struct postings *p, uint32_t id, struct step *steps, unsigned count)
{
	look_ahead(p, steps, count);
	for (struct step *s = steps; s < steps + count; s++) {
		s->place = pair_find(p, s->hash, s->bytes, s->len);
		if (s->place == POSTINGS_NO_PAIR)
			s->place = pair_make(p, s);
		if (s->guess)
			*s->guess = s->place;
		pair_add_id(p, s, id);
	}
}

/* Has the series before the same label here? */
static inline bool guess(const struct postings *p, uint32_t place, const uint8_t *bytes, uint32_t len)
{
	return place / POSTINGS_PAGE < p->pages_count && p->pages[place / POSTINGS_PAGE] &&
	    pair_is(pair_at(p, place), bytes, len);
}

void postings_add(struct postings *p, uint32_t id, struct labels ls)
{
	bool was_in = !ids_add(&p->all, &p->all_kind, id, &p->parts.ids);
	if (ODD(was_in))
		return;
	p->series++;
	p->made++;
	struct step steps[AHEAD];
	unsigned count = 0, at = 0;
	const struct table *t = &p->pairs_table;
	for (uint32_t done = 0; done < ls.len; at++) {
		struct step *s = &steps[count];
		done += step_take(ls.bytes + done, s);
		s->guess = at < POSTINGS_GUESSES ? &p->guesses[at] : NULL;
		if (LIKELY(s->guess && guess(p, *s->guess, s->bytes, s->len))) {
			s->place = *s->guess;
			pair_add_id(p, s, id);
			continue;
		}
		s->hash = hash_of(p, s->bytes, s->len);
		__builtin_prefetch(&t->slots[slot_home(s->hash, t->size)]);
		if (++count == AHEAD) {
			add_steps(p, id, steps, AHEAD);
			count = 0;
		}
	}
	add_steps(p, id, steps, count);
}

static void del_step(struct postings *p, uint32_t id, const struct step *s, struct labels ls)
{
	struct pair *x = s->place == POSTINGS_NO_PAIR ? NULL : pair_at(p, s->place);
	enum ids_kind kind = x ? (enum ids_kind)x->kind : IDS_NONE;
	bool missing = !x || !ids_del(&x->ids, &kind, id, &p->parts.ids);
	if (ODD(missing))
		return;
	x->kind = kind & 7;
	struct pname *n = p->names[x->name];
	n->series--;
	n->bytes -= s->label.name_len + s->label.value_len;
	if (kind == IDS_NONE)
		pair_gone(p, s->place, hash_of(p, s->bytes, s->len));
	else if (x->label >= ls.bytes && x->label < ls.bytes + ls.len)
		pair_text_anew(p, x, s);
}

void postings_del(struct postings *p, uint32_t id, struct labels ls)
{
	/* Who goes was not touched for long: its lines are fetched together. */
	for (uint32_t i = 0; i < ls.len; i += CACHE_LINE)
		__builtin_prefetch(ls.bytes + i);
	bool was_out = !ids_del(&p->all, &p->all_kind, id, &p->parts.ids);
	if (ODD(was_out))
		return;
	p->series--;
	struct step s;
	unsigned at = 0;
	for (uint32_t done = 0; done < ls.len; at++) {
		done += step_take(ls.bytes + done, &s);
		uint32_t *known = at < POSTINGS_GUESSES ? &p->gone[at] : NULL;
		s.place = known ? *known : POSTINGS_NO_PAIR;
		if (!guess(p, s.place, s.bytes, s.len))
			s.place = pair_find(p, hash_of(p, s.bytes, s.len), s.bytes, s.len);
		if (known)
			*known = s.place;
		del_step(p, id, &s, ls);
	}
}

/* ---- listing ---- */

size_t postings_names_count(const struct postings *p)
{
	return p->names_count;
}

size_t postings_names(const struct postings *p, size_t *left, size_t count,
    bool (*fn)(void *arg, const struct postings_name *n), void *arg)
{
	size_t told = 0;
	if (*left > p->names_end)
		*left = p->names_end;
	while (*left && told < count) {
		const struct pname *n = p->names[--*left];
		if (!n)
			continue;
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

size_t postings_values_count(
    const struct postings *p, const char *name, size_t name_len, const struct matcher *within)
{
	const struct pname *n = postings_name_find(p, name, name_len);
	return n ? postings_next_count(n, within) : 0;
}

static bool tell_value(const struct postings *p, uint32_t place,
    bool (*fn)(void *arg, const struct postings_value *v), void *arg)
{
	const struct pair *x = pair_at(p, place);
	struct postings_value v = { .series = pair_count(x) };
	uint32_t len;
	v.value = pair_value(x, &len);
	v.value_len = len;
	return fn(arg, &v);
}

size_t postings_values(const struct postings *p, const char *name, size_t name_len,
    const struct matcher *within, struct postings_cursor *at, size_t count,
    bool (*fn)(void *arg, const struct postings_value *v), void *arg)
{
	const struct pname *n = postings_name_find(p, name, name_len);
	size_t told = 0;
	while (told < count) {
		uint32_t place = n ? postings_next(p, n, within, at) : POSTINGS_NO_PAIR;
		if (place == POSTINGS_PAUSE)
			continue;
		at->ended = place == POSTINGS_NO_PAIR;
		if (at->ended)
			break;
		told++;
		if (!tell_value(p, place, fn, arg))
			break;
	}
	return told;
}

size_t postings_value_from(const struct postings *p, const char *name, size_t name_len,
    const char *value, size_t value_len, uint32_t from, uint32_t *ids, size_t max)
{
	const struct pair *x = postings_pair(p, name, name_len, value, value_len);
	return x ? ids_from(&x->ids, (enum ids_kind)x->kind, from, ids, max) : 0;
}

size_t postings_ids_from(const struct postings *p, uint32_t from, uint32_t *ids, size_t max)
{
	return ids_from(&p->all, p->all_kind, from, ids, max);
}
