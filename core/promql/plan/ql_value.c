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
	return errbuf_set(eb, ERR_EXECUTION,
	    "query processing would load too many samples into memory in query execution, limit %llu (--%s)",
	    (unsigned long long)b->samples->max, limits_flag(LIMITS_query_samples));
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
	uint64_t keys = count < QL_TAB_MIN ? QL_TAB_MIN : count;
	return keys * sizeof(struct ql_tab_key) + (uint64_t)slots_for(count) * sizeof(uint32_t);
}

void ql_tab_reserve(struct ql_tab *t, uint32_t count)
{
	uint32_t cap = count < QL_TAB_MIN ? QL_TAB_MIN : count;

	if (cap <= t->_cap)
		return;
	struct ql_tab_key *keys = arena_array(t->arena, cap, sizeof(*keys));
	if (t->count)
		memcpy(keys, t->keys, t->count * sizeof(*keys));
	t->keys = keys;
	t->_cap = cap;
	t->_slots_count = slots_for(cap);
	t->_slots = arena_zalloc(t->arena, t->_slots_count * sizeof(*t->_slots));
	for (uint32_t i = 0; i < t->count; i++) {
		uint32_t at = (uint32_t)keys[i].hash & (t->_slots_count - 1);
		while (t->_slots[at])
			at = (at + 1) & (t->_slots_count - 1);
		t->_slots[at] = i + 1;
	}
}

uint32_t ql_tab_add(struct ql_tab *t, struct labels ls, uint64_t hash, bool copy, bool *fresh)
{
	if (t->count == t->_cap)
		ql_tab_reserve(t, t->_cap ? t->_cap * 2 : QL_TAB_MIN);
	uint32_t at = (uint32_t)hash & (t->_slots_count - 1);
	for (; t->_slots[at]; at = (at + 1) & (t->_slots_count - 1)) {
		const struct ql_tab_key *k = &t->keys[t->_slots[at] - 1];
		if (k->hash == hash && label_equal(k->ls, ls)) {
			*fresh = false;
			return t->_slots[at] - 1;
		}
	}
	if (copy && ls.len)
		ls.bytes = arena_dup(t->arena, ls.bytes, ls.len);
	t->keys[t->count] = (struct ql_tab_key){ .ls = ls, .hash = hash };
	t->_slots[at] = ++t->count;
	*fresh = true;
	return t->count - 1;
}

uint32_t ql_tab_find(const struct ql_tab *t, struct labels ls, uint64_t hash)
{
	if (!t->count)
		return QL_TAB_NONE;
	uint32_t at = (uint32_t)hash & (t->_slots_count - 1);
	for (; t->_slots[at]; at = (at + 1) & (t->_slots_count - 1)) {
		const struct ql_tab_key *k = &t->keys[t->_slots[at] - 1];
		if (k->hash == hash && label_equal(k->ls, ls))
			return t->_slots[at] - 1;
	}
	return QL_TAB_NONE;
}

bool ql_col_absorb(struct ql_col *to, const struct ql_col *from, uint32_t at, uint32_t count)
{
	uint64_t *has = to->has + at / 64;
	const uint64_t *more = from->has + at / 64;

	for (uint32_t w = 0; w < ql_words(count); w++)
		if (has[w] & more[w])
			return false;
	QL_EACH_BIT(i, more, count)
	to->v[at + i] = from->v[at + i];
	for (uint32_t w = 0; w < ql_words(count); w++)
		has[w] |= more[w];
	return true;
}
