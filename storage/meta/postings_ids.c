#include "storage/meta/postings_ids.h"

#include "core/base/mem.h"

#include <string.h>

#define MANY_MIN    128u /* fewer ids of MANY become SOME again */
#define SOME_BYTES  24u  /* of the smallest piece: what malloc gives for 32 */
#define SOME_STEP   16u
#define VARINT_MAX  5u
#define COUNT_EVERY 1024u /* changes of a bitmap, before its bytes are counted again ... */
#define COUNT_PART  8u    /* ... and at least such a part of it */
#define MANY_BYTES  96u   /* of a bitmap, beside its containers */
#define CONTAINER   48u   /* of a container, beside its ids: with its shares of the heap */
#define MANY_PER_ID 2u

struct ids_some {
	uint16_t count, used, room; /* bytes of distances */
	uint16_t unused_;
	uint32_t last;  /* the highest id */
	uint8_t data[]; /* the first id, then how far it is to each next one */
};

static void no_memory(void)
{
	panic("out of memory: bitmap");
}

/* ---- distances ---- */

static inline const uint8_t *distance_get(const uint8_t *p, uint32_t *out)
{
	uint32_t v = *p++;
	if (UNLIKELY(v >= 0x80)) {
		v &= 0x7f;
		for (unsigned shift = 7;; shift += 7) {
			uint32_t b = *p++;
			v |= (b & 0x7f) << shift;
			if (b < 0x80)
				break;
		}
	}
	*out = v;
	return p;
}

static inline uint8_t *distance_put(uint8_t *p, uint32_t v)
{
	for (; v >= 0x80; v >>= 7)
		*p++ = (uint8_t)(v | 0x80);
	*p++ = (uint8_t)v;
	return p;
}

static uint32_t some_read(const struct ids_some *s, uint32_t *out)
{
	const uint8_t *p = s->data;
	uint32_t id = 0, step;
	for (uint32_t i = 0; i < s->count; i++) {
		p = distance_get(p, &step);
		out[i] = id += step;
	}
	return s->count;
}

static size_t some_bytes(size_t data)
{
	size_t all = sizeof(struct ids_some) + data;
	return all <= SOME_BYTES
	    ? SOME_BYTES
	    : SOME_BYTES + (all - SOME_BYTES + SOME_STEP - 1) / SOME_STEP * SOME_STEP;
}

/* Room for so many bytes of distances; what is in stays. */
static struct ids_some *some_room(struct ids_some *s, size_t data)
{
	size_t all = some_bytes(data);
	s = mem_realloc(s, all);
	s->room = (uint16_t)(all - sizeof(*s));
	return s;
}

static struct ids_some *some_of(struct ids_some *s, const uint32_t *ids, uint32_t count)
{
	uint8_t data[IDS_SOME_MAX * VARINT_MAX], *p = data;
	uint32_t before = 0;
	for (uint32_t i = 0; i < count; i++) {
		p = distance_put(p, ids[i] - before);
		before = ids[i];
	}
	size_t used = (size_t)(p - data);
	if (!s || some_bytes(used) != sizeof(*s) + s->room)
		s = some_room(s, used);
	memcpy(s->data, data, used);
	s->used = (uint16_t)used;
	s->count = (uint16_t)count;
	s->last = before;
	return s;
}

static struct ids_some *some_append(struct ids_some *s, uint32_t id)
{
	if (UNLIKELY(s->used + VARINT_MAX > s->room)) {
		uint8_t step[VARINT_MAX];
		size_t used = s->used + (size_t)(distance_put(step, id - s->last) - step);
		if (used > s->room)
			s = some_room(s, used + s->used / 4u);
		memcpy(s->data + s->used, step, used - s->used);
		s->used = (uint16_t)used;
	} else {
		uint8_t *end = distance_put(s->data + s->used, id - s->last);
		s->used = (uint16_t)(end - s->data);
	}
	s->count++;
	s->last = id;
	return s;
}

/* Two distances become one, which is no longer than both were. */
static struct ids_some *some_cut(
    struct ids_some *s, size_t from, size_t next, uint32_t before, uint32_t gone)
{
	uint8_t *to = s->data + from;
	const uint8_t *rest = s->data + next;
	if (next == s->used) {
		s->last = before;
	} else {
		uint32_t step;
		rest = distance_get(rest, &step);
		to = distance_put(to, gone - before + step);
	}
	size_t left = (size_t)(s->data + s->used - rest);
	memmove(to, rest, left);
	s->used = (uint16_t)(to + left - s->data);
	s->count--;
	return s->used < s->room / 2 ? some_room(s, s->used) : s;
}

/* NULL: it is not in. */
static struct ids_some *some_del(struct ids_some *s, uint32_t id)
{
	const uint8_t *p = s->data, *end = p + s->used, *from;
	uint32_t at = 0, before, step;
	do {
		from = p;
		before = at;
		p = distance_get(p, &step);
		at += step;
	} while (at < id && p < end);
	if (at != id)
		return NULL;
	return some_cut(s, (size_t)(from - s->data), (size_t)(p - s->data), before, id);
}

/* ---- bitmaps ---- */

/* Runs that came are stored as such where that is less, and no longer where it is not. */
static void many_count_bytes(struct ids_many *m)
{
	roaring_statistics_t st;
	roaring_bitmap_run_optimize(m->bitmap);
	roaring_bitmap_statistics(m->bitmap, &st);
	m->bytes =
	    (uint32_t)(MANY_BYTES + st.n_containers * CONTAINER + st.n_bytes_bitset_containers +
	        st.n_bytes_run_containers + st.n_bytes_array_containers / 8 * 9);
	m->changes = 0;
}

static void many_flush(struct ids_many *m)
{
	if (m->run_count == 1)
		roaring_bitmap_add(m->bitmap, m->run_from);
	else if (m->run_count)
		roaring_bitmap_add_range(
		    m->bitmap, m->run_from, (uint64_t)m->run_from + m->run_count);
	m->run_count = 0;
}

static roaring_bitmap_t *many_bitmap(const union ids *s)
{
	if (s->many->run_count)
		many_flush(s->many);
	return s->many->bitmap;
}

static struct ids_many *many_of(const uint32_t *ids, uint32_t count)
{
	struct ids_many *m = mem_zalloc(sizeof(*m));
	m->bitmap = roaring_bitmap_of_ptr(count, ids);
	if (!m->bitmap)
		no_memory();
	m->count = count;
	m->top = ids[count - 1];
	many_count_bytes(m);
	return m;
}

static void many_free(struct ids_many *m)
{
	roaring_bitmap_free(m->bitmap);
	mem_free(m);
}

static void many_changed(struct ids_many *m)
{
	if (LIKELY(++m->changes < COUNT_EVERY || m->changes < m->count / COUNT_PART))
		return;
	many_flush(m);
	many_count_bytes(m);
}

static bool many_add(struct ids_many *m, uint32_t id, size_t *bytes)
{
	uint32_t before = m->bytes;
	if (LIKELY(id > m->top && m->run_count && id == m->run_from + m->run_count)) {
		m->run_count++;
		m->top = id;
	} else {
		many_flush(m);
		if (id <= m->top && !roaring_bitmap_add_checked(m->bitmap, id))
			return false;
		if (id > m->top) {
			m->top = m->run_from = id;
			m->run_count = 1;
		}
		m->bytes += MANY_PER_ID;
	}
	m->count++;
	many_changed(m);
	*bytes += m->bytes - (size_t)before;
	return true;
}

/* ---- the set ---- */

uint32_t ids_read(const union ids *s, enum ids_kind kind, uint32_t out[IDS_SOME_MAX])
{
	switch (kind) {
	case IDS_NONE:
		return 0;
	case IDS_ONE:
		out[0] = s->few[0];
		return 1;
	case IDS_TWO:
		out[0] = s->few[0];
		out[1] = s->few[1];
		return 2;
	case IDS_SOME:
		return some_read(s->some, out);
	case IDS_MANY:
		break;
	}
	panic("a bitmap is not read into an array");
}

/* What was in s is not looked at, but for the piece of SOME. */
static void ids_set(union ids *s, enum ids_kind *kind, const uint32_t *ids, uint32_t count)
{
	struct ids_some *piece = *kind == IDS_SOME ? s->some : NULL;
	if (count > 2 && count <= IDS_SOME_MAX) {
		s->some = some_of(piece, ids, count);
		*kind = IDS_SOME;
		return;
	}
	mem_free(piece);
	if (count > IDS_SOME_MAX) {
		s->many = many_of(ids, count);
		*kind = IDS_MANY;
		return;
	}
	s->few[0] = count > 0 ? ids[0] : 0;
	s->few[1] = count > 1 ? ids[1] : 0;
	*kind = (enum ids_kind)count; /* NONE, ONE, TWO */
}

static bool ids_insert(union ids *s, enum ids_kind *kind, uint32_t id)
{
	uint32_t ids[IDS_SOME_MAX + 1], n = ids_read(s, *kind, ids), at = n;
	while (at && ids[at - 1] >= id)
		at--;
	if (at < n && ids[at] == id)
		return false;
	memmove(ids + at + 1, ids + at, (n - at) * sizeof(*ids));
	ids[at] = id;
	ids_set(s, kind, ids, n + 1);
	return true;
}

bool ids_add(union ids *s, enum ids_kind *kind, uint32_t id, size_t *bytes)
{
	if (*kind == IDS_MANY)
		return many_add(s->many, id, bytes);
	size_t before;
	if (LIKELY(*kind == IDS_SOME && id > s->some->last && s->some->count < IDS_SOME_MAX)) {
		before = s->some->room;
		s->some = some_append(s->some, id);
		*bytes += s->some->room - before;
		return true;
	}
	before = ids_bytes(s, *kind);
	bool added = ids_insert(s, kind, id);
	*bytes += ids_bytes(s, *kind) - before;
	return added;
}

static bool many_del(union ids *s, enum ids_kind *kind, uint32_t id)
{
	struct ids_many *m = s->many;
	if (!roaring_bitmap_remove_checked(many_bitmap(s), id))
		return false;
	m->count--;
	many_changed(m);
	if (m->count >= MANY_MIN)
		return true;
	uint32_t ids[MANY_MIN], n = m->count;
	roaring_bitmap_to_uint32_array(m->bitmap, ids);
	many_free(m);
	*kind = IDS_NONE;
	ids_set(s, kind, ids, n);
	return true;
}

static bool few_del(union ids *s, enum ids_kind *kind, uint32_t id)
{
	if (*kind == IDS_SOME && s->some->count > 3) {
		struct ids_some *left = some_del(s->some, id);
		if (left)
			s->some = left;
		return left != NULL;
	}
	uint32_t ids[IDS_SOME_MAX], n = ids_read(s, *kind, ids), at = 0;
	while (at < n && ids[at] < id)
		at++;
	if (at == n || ids[at] != id)
		return false;
	memmove(ids + at, ids + at + 1, (n - at - 1) * sizeof(*ids));
	ids_set(s, kind, ids, n - 1);
	return true;
}

bool ids_del(union ids *s, enum ids_kind *kind, uint32_t id, size_t *bytes)
{
	size_t before = ids_bytes(s, *kind);
	bool was = *kind == IDS_MANY ? many_del(s, kind, id) : few_del(s, kind, id);
	*bytes += ids_bytes(s, *kind) - before;
	return was;
}

void ids_release(union ids *s, enum ids_kind kind)
{
	if (kind == IDS_SOME)
		mem_free(s->some);
	else if (kind == IDS_MANY)
		many_free(s->many);
}

uint32_t ids_count(const union ids *s, enum ids_kind kind)
{
	return kind == IDS_MANY ? s->many->count : kind == IDS_SOME ? s->some->count : kind;
}

uint32_t ids_last(const union ids *s, enum ids_kind kind)
{
	switch (kind) {
	case IDS_NONE:
		break;
	case IDS_ONE:
		return s->few[0];
	case IDS_TWO:
		return s->few[1];
	case IDS_SOME:
		return s->some->last;
	case IDS_MANY:
		return roaring_bitmap_maximum(many_bitmap(s));
	}
	panic("an empty set has no highest id");
}

bool ids_has(const union ids *s, enum ids_kind kind, uint32_t id)
{
	if (kind == IDS_MANY)
		return roaring_bitmap_contains(many_bitmap(s), id);
	uint32_t ids[IDS_SOME_MAX], n = ids_read(s, kind, ids);
	while (n && ids[n - 1] > id)
		n--;
	return n && ids[n - 1] == id;
}

size_t ids_bytes(const union ids *s, enum ids_kind kind)
{
	if (kind == IDS_SOME)
		return sizeof(*s->some) + s->some->room + 8;
	return kind == IDS_MANY ? s->many->bytes : 0;
}

size_t ids_from(const union ids *s, enum ids_kind kind, uint32_t from, uint32_t *out, size_t max)
{
	if (kind == IDS_MANY) {
		roaring_uint32_iterator_t it;
		roaring_init_iterator(many_bitmap(s), &it);
		if (!roaring_move_uint32_iterator_equalorlarger(&it, from))
			return 0;
		return roaring_read_uint32_iterator(
		    &it, out, max > UINT32_MAX ? UINT32_MAX : (uint32_t)max);
	}
	uint32_t ids[IDS_SOME_MAX], n = ids_read(s, kind, ids), at = 0;
	while (at < n && ids[at] < from)
		at++;
	size_t told = n - at < max ? n - at : max;
	memcpy(out, ids + at, told * sizeof(*out));
	return told;
}

void ids_or(const union ids *s, enum ids_kind kind, roaring_bitmap_t *to)
{
	if (kind == IDS_MANY) {
		roaring_bitmap_or_inplace(to, many_bitmap(s));
		return;
	}
	uint32_t ids[IDS_SOME_MAX], n = ids_read(s, kind, ids);
	roaring_bitmap_add_many(to, n, ids);
}

roaring_bitmap_t *ids_copy(const union ids *s, enum ids_kind kind)
{
	uint32_t ids[IDS_SOME_MAX];
	roaring_bitmap_t *b = kind == IDS_MANY ? roaring_bitmap_copy(many_bitmap(s))
	                                       : roaring_bitmap_of_ptr(ids_read(s, kind, ids), ids);
	if (!b)
		no_memory();
	return b;
}

void ids_and(const union ids *s, enum ids_kind kind, roaring_bitmap_t *to)
{
	if (kind == IDS_MANY) {
		roaring_bitmap_and_inplace(to, many_bitmap(s));
		return;
	}
	uint32_t ids[IDS_SOME_MAX], n = ids_read(s, kind, ids), kept = 0;
	for (uint32_t i = 0; i < n; i++)
		if (roaring_bitmap_contains(to, ids[i]))
			ids[kept++] = ids[i];
	roaring_bitmap_clear(to);
	roaring_bitmap_add_many(to, kept, ids);
}

void ids_andnot(const union ids *s, enum ids_kind kind, roaring_bitmap_t *to)
{
	if (kind == IDS_MANY) {
		roaring_bitmap_andnot_inplace(to, many_bitmap(s));
		return;
	}
	uint32_t ids[IDS_SOME_MAX], n = ids_read(s, kind, ids);
	for (uint32_t i = 0; i < n; i++)
		roaring_bitmap_remove(to, ids[i]);
}
