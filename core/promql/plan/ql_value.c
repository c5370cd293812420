#include "core/promql/plan/ql_value.h"

#include "core/account/ticket.h"
#include "core/model/limits.h"

#include <stdlib.h>
#include <string.h>

#define QL_TAB_MIN 16

const double *ql_scalar_run(const struct ql_scalar *s, uint32_t from, uint32_t count, double *room)
{
	if (s->kind == QL_EACH)
		return s->each + from;
	for (uint32_t i = 0; i < count; i++)
		room[i] = ql_scalar_at(s, from + i);
	return room;
}

#define LEASE_SAMPLES 8192u

/* Why so many bytes more do not fit, or why what was taken was too much: the purse remembers. */
static enum err refuse_bytes(const struct ql_budget *b, uint64_t bytes, struct errbuf *eb)
{
	return ticket_no_room(b->bytes, bytes, eb);
}

static enum err refuse_samples(const struct ql_budget *b, struct errbuf *eb)
{
	uint64_t max = b->samples->max;
	bool own = max < limits_here()->query_samples;
	return errbuf_set(eb, ERR_TOOBIG,
	    "query processing would load too many samples into memory in query execution, limit %llu (%s%s)",
	    (unsigned long long)max, own ? "" : "--",
	    own ? "query_samples of the tenant" : limits_flag(LIMITS_query_samples));
}

enum err ql_room(const struct ql_budget *b, uint64_t bytes, struct errbuf *eb)
{
	if (!b->bytes || purse_fits(b->bytes, bytes))
		return ERR_OK;
	if (!purse_take(b->bytes, bytes))
		return refuse_bytes(b, bytes, eb);
	purse_give(b->bytes, bytes); /* somebody gave some back meanwhile */
	return ERR_OK;
}

enum err ql_budget_look(const struct ql_budget *b, struct errbuf *eb)
{
	return !b->bytes || !purse_over(b->bytes) ? ERR_OK : refuse_bytes(b, 0, eb);
}

/* Samples come in leases: the purse is shared by all loops. */
static bool lease(struct ql_budget *b, uint64_t points)
{
	uint64_t lack = points > b->_lease ? points - b->_lease : 0;

	if (lack && purse_take(b->samples, lack + LEASE_SAMPLES))
		b->_lease += lack + LEASE_SAMPLES;
	else if (lack && purse_take(b->samples, lack))
		b->_lease += lack;
	else if (lack)
		return false;
	b->_lease -= points;
	return true;
}

enum err ql_charge(struct ql_budget *b, uint64_t points, struct errbuf *eb)
{
	if (b->samples && !lease(b, points))
		return refuse_samples(b, eb);
	ql_budget_adopt(b, points);
	/* A point is a double and its bit. */
	enum err e = ql_room(b, points * 9, eb);
	if (e)
		ql_uncharge(b, points);
	return e;
}

void ql_budget_adopt(struct ql_budget *b, uint64_t points)
{
	b->points += points;
	if (b->points > b->points_peak)
		b->points_peak = b->points;
}

void ql_budget_close(struct ql_budget *b)
{
	if (b->samples && b->_lease)
		purse_give(b->samples, b->_lease);
	b->_lease = b->points = 0;
}

enum err ql_charge_heap(struct ql_budget *b, uint64_t bytes, struct errbuf *eb)
{
	return !b->bytes || purse_take(b->bytes, bytes) ? ERR_OK : refuse_bytes(b, bytes, eb);
}

void ql_uncharge_heap(struct ql_budget *b, uint64_t bytes)
{
	if (b->bytes)
		purse_give(b->bytes, bytes);
}

void ql_uncharge(struct ql_budget *b, uint64_t points)
{
	CHECK(b->points >= points);
	b->points -= points;
	if (b->samples)
		b->_lease += points;
	if (b->_lease > 2 * LEASE_SAMPLES) {
		purse_give(b->samples, b->_lease - LEASE_SAMPLES);
		b->_lease = LEASE_SAMPLES;
	}
}

void ql_col_init(struct arena *a, struct ql_col *c, struct labels ls, uint64_t hash, uint32_t n)
{
	/* Bitmap and values side by side: one piece of memory per column. */
	size_t words = ql_words(n);
	uint64_t *mem = arena_zalloc(a, (words + n) * 8);
	*c = (struct ql_col){ .ls = ls, .hash = hash, .has = mem, .v = (double *)(mem + words) };
}

void ql_col_hists(struct arena *a, struct ql_col *c, uint32_t n)
{
	struct ql_hists *hs = arena_alloc(a, sizeof(*hs));

	hs->has = arena_zalloc(a, (size_t)ql_words(n) * 8);
	hs->h = arena_zalloc(a, n * sizeof(*hs->h));
	c->hists = hs;
}

void ql_hists_off(struct ql_hists *hs, uint32_t word, uint64_t gone)
{
	gone &= hs->has[word];
	hs->has[word] &= ~gone;
	for (; gone; gone &= gone - 1)
		hs->h[word * 64 + (uint32_t)__builtin_ctzll(gone)] = NULL;
}

enum err ql_hists_copy(struct ql_budget *b, struct arena *a, struct ql_hists *to,
    const struct ql_hists *from, uint32_t n, uint32_t *at, uint64_t *work, struct errbuf *eb)
{
	uint32_t i = *at;

	*work = 0;
	for (; i < n && *work < QL_HISTS_WORK; i++) {
		++*work;
		if (!ql_bit(from->has, i))
			continue;
		if (i && from->h[i] == from->h[i - 1]) {
			to->h[i] = to->h[i - 1];
		} else {
			uint64_t cost = hist_cost(from->h[i]) + sizeof(struct hist) / 8;
			enum err e = ql_room(b, cost * 8, eb);
			if (e)
				return e;
			if (!(to->h[i] = hist_copy(a, from->h[i])))
				return errbuf_set(eb, ERR_NOMEM, "no memory for a histogram");
			*work += cost;
		}
		ql_bit_on(to->has, i);
	}
	*at = i;
	return ERR_OK;
}

void ql_vec_reserve(struct arena *a, struct ql_vec *v, uint32_t count)
{
	if (count <= v->cap)
		return;
	struct ql_col *cols = arena_array(a, count, sizeof(*cols));
	if (v->count)
		memcpy(cols, v->cols, v->count * sizeof(*cols));
	v->cols = cols;
	v->cap = count;
}

struct ql_col *ql_vec_add(struct arena *a, struct ql_vec *v)
{
	if (v->count == v->cap)
		ql_vec_reserve(a, v, v->cap ? v->cap * 2 : 16);
	return &v->cols[v->count++];
}

/* --- label sets --- */

#define NAMES_FEW 8 /* so many are looked at one after the other */

/* The first name from i on that is not before the label's. */
static uint32_t names_from(const struct ql_names *names, uint32_t i, const struct label *l)
{
	uint32_t end = names->count;

	while (i < end) {
		uint32_t mid = i + (end - i) / 2;
		const struct ql_str *s = &names->s[mid];
		if (ql_bytes_cmp(s->s, s->len, l->name, l->name_len) < 0)
			i = mid + 1;
		else
			end = mid;
	}
	return i;
}

struct labels ql_labels_pick(
    struct buf *scratch, struct labels ls, const struct ql_names *names, bool keep)
{
	struct label_iter it = label_iter(ls);
	struct label l;
	const uint8_t *from = it.p;
	uint32_t i = 0;

	buf_clear(scratch);
	while (label_next(&it, &l)) {
		/* Both sides are sorted by name: one merge. */
		int c = 1;
		if (names->count - i > NAMES_FEW)
			i = names_from(names, i, &l);
		while (i < names->count &&
		    (c = ql_bytes_cmp(names->s[i].s, names->s[i].len, l.name, l.name_len)) < 0)
			i++;
		if ((i < names->count && c == 0) == keep)
			buf_add(scratch, from, (size_t)(it.p - from));
		else if (keep && i == names->count)
			break;
		from = it.p;
	}
	return (struct labels){ .bytes = scratch->data, .len = num_u32(scratch->len) };
}

static bool is_metadata(const struct label *l)
{
	static const char *const names[] = { "__name__", "__type__", "__unit__" };
	if (l->name_len != 8 || memcmp(l->name, "__", 2) != 0)
		return false;
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (memcmp(l->name, names[i], 8) == 0)
			return true;
	return false;
}

bool ql_labels_have_name(struct labels ls)
{
	struct label_iter it = label_iter(ls);
	struct label l;
	while (label_next(&it, &l)) {
		if (is_metadata(&l))
			return true;
		if (ql_bytes_cmp(l.name, l.name_len, "__unit__", 8) > 0)
			return false;
	}
	return false;
}

struct labels ql_labels_drop(struct arena *a, struct labels ls, unsigned *dropped)
{
	struct label_iter it = label_iter(ls);
	struct label l;
	const uint8_t *from = it.p;
	uint8_t *out = NULL;
	uint32_t len = 0;

	*dropped = 0;
	while (label_next(&it, &l)) {
		if (is_metadata(&l)) {
			++*dropped;
			if (!out) {
				len = (uint32_t)(from - ls.bytes);
				out = arena_alloc(a, ls.len);
				memcpy(out, ls.bytes, len);
			}
		} else if (ql_bytes_cmp(l.name, l.name_len, "__unit__", 8) > 0) {
			break; /* the rest stays as it is */
		} else if (out) {
			memcpy(out + len, from, (size_t)(it.p - from));
			len += (uint32_t)(it.p - from);
		}
		from = it.p;
	}
	if (!out)
		return ls;
	uint32_t rest = (uint32_t)(ls.bytes + ls.len - from);
	memcpy(out + len, from, rest);
	return (struct labels){ .bytes = out, .len = len + rest };
}

/* --- interning --- */

void ql_tab_init(struct ql_tab *t, struct arena *a)
{
	*t = (struct ql_tab){ .arena = a };
}

static uint32_t slots_for(uint32_t count) /* a power of 2, half of them used */
{
	uint32_t slots = QL_TAB_MIN * 2;
	while (slots / 2 < count)
		slots *= 2;
	return slots;
}

uint64_t ql_tab_bytes(uint32_t count)
{
	uint64_t keys = (uint64_t)count + QL_TAB_PAGE;
	return keys * sizeof(struct ql_tab_key) + (uint64_t)slots_for(count) * sizeof(uint32_t);
}

static void slots_make(struct ql_tab *t, uint32_t slots)
{
	t->_slots_count = slots;
	t->_slots = arena_zalloc(t->arena, slots * sizeof(*t->_slots));
}

void ql_tab_reserve(struct ql_tab *t, uint32_t count)
{
	if (!t->count && slots_for(count) > t->_slots_count)
		slots_make(t, slots_for(count));
}

/* The slot of a key: it, or the free one where it would stand. */
static uint32_t *slot_of(
    const struct ql_tab *t, uint32_t *slots, uint32_t slots_count, struct labels ls, uint64_t hash)
{
	uint32_t at = (uint32_t)hash & (slots_count - 1);

	for (; slots[at]; at = (at + 1) & (slots_count - 1)) {
		const struct ql_tab_key *k = ql_tab_key(t, slots[at] - 1);
		if (k->hash == hash && label_equal(k->ls, ls))
			break;
	}
	return &slots[at];
}

/* Twice as many slots; the keys of before come over one by one. */
static void tab_grow(struct ql_tab *t)
{
	t->_old = t->_slots;
	t->_old_count = t->_slots_count;
	t->_old_keys = t->count;
	t->_moved = 0;
	slots_make(t, t->_slots_count ? t->_slots_count * 2 : QL_TAB_MIN * 2);
}

static void move_some(struct ql_tab *t)
{
	for (int i = 0; i < 4 && t->_moved < t->_old_keys; i++) {
		uint32_t at = (uint32_t)ql_tab_key(t, t->_moved)->hash & (t->_slots_count - 1);
		while (t->_slots[at])
			at = (at + 1) & (t->_slots_count - 1);
		t->_slots[at] = ++t->_moved;
	}
}

static struct ql_tab_key *key_add(struct ql_tab *t)
{
	uint32_t page = t->count / QL_TAB_PAGE;

	if (page >= t->_pages_cap) {
		uint32_t cap = t->_pages_cap ? t->_pages_cap * 2 : 4;
		struct ql_tab_key **pages = arena_array(t->arena, cap, sizeof(*pages));
		if (page)
			memcpy(pages, t->_pages, page * sizeof(*pages));
		t->_pages = pages;
		t->_pages_cap = cap;
	}
	if (t->count % QL_TAB_PAGE == 0)
		t->_pages[page] = arena_array(t->arena, QL_TAB_PAGE, sizeof(struct ql_tab_key));
	return &t->_pages[page][t->count++ % QL_TAB_PAGE];
}

uint32_t ql_tab_add(struct ql_tab *t, struct labels ls, uint64_t hash, bool copy, bool *fresh)
{
	uint32_t old = 0;

	if (t->count >= t->_slots_count / 2)
		tab_grow(t);
	uint32_t *slot = slot_of(t, t->_slots, t->_slots_count, ls, hash);
	if (!*slot && t->_moved < t->_old_keys)
		old = *slot_of(t, t->_old, t->_old_count, ls, hash);
	*fresh = !*slot && !old;
	if (!*fresh)
		return (*slot ? *slot : old) - 1;
	if (copy && ls.len)
		ls.bytes = arena_dup(t->arena, ls.bytes, ls.len);
	*key_add(t) = (struct ql_tab_key){ .ls = ls, .hash = hash };
	*slot = t->count;
	if (t->_moved < t->_old_keys)
		move_some(t);
	return t->count - 1;
}

uint32_t ql_tab_find(const struct ql_tab *t, struct labels ls, uint64_t hash)
{
	uint32_t found;

	if (!t->count)
		return QL_TAB_NONE;
	found = *slot_of(t, t->_slots, t->_slots_count, ls, hash);
	if (!found && t->_moved < t->_old_keys)
		found = *slot_of(t, t->_old, t->_old_count, ls, hash);
	return found ? found - 1 : QL_TAB_NONE;
}

/* Both may have histograms; to has room for them when from has some. */
static bool absorb_mixed(struct ql_col *to, const struct ql_col *from, uint32_t at, uint32_t count)
{
	for (uint32_t w = at / 64; w < at / 64 + ql_words(count); w++)
		if (ql_col_word(to, w) & ql_col_word(from, w))
			return false;
	QL_EACH_BIT(i, from->has + at / 64, count)
	to->v[at + i] = from->v[at + i];
	for (uint32_t w = at / 64; w < at / 64 + ql_words(count); w++)
		to->has[w] |= from->has[w];
	if (!from->hists)
		return true;
	QL_EACH_BIT(i, from->hists->has + at / 64, count)
	to->hists->h[at + i] = from->hists->h[at + i];
	for (uint32_t w = at / 64; w < at / 64 + ql_words(count); w++)
		to->hists->has[w] |= from->hists->has[w];
	return true;
}

bool ql_col_absorb(struct ql_col *to, const struct ql_col *from, uint32_t at, uint32_t count)
{
	uint64_t *has = to->has + at / 64;
	const uint64_t *more = from->has + at / 64;

	if (UNLIKELY(to->hists || from->hists))
		return absorb_mixed(to, from, at, count);
	for (uint32_t w = 0; w < ql_words(count); w++)
		if (has[w] & more[w])
			return false;
	QL_EACH_BIT(i, more, count)
	to->v[at + i] = from->v[at + i];
	for (uint32_t w = 0; w < ql_words(count); w++)
		has[w] |= more[w];
	return true;
}
