#include "storage/meta/idset.h"

#include "core/base/mem.h"

enum idset_form {
	FORM_DISTANCES,
	FORM_RUNS,
	FORM_BITS,
	FORMS
};
#define SPREAD   1024u /* ids handed over at once */
#define RUN_LONG 64u   /* runs from so many ids on are added as runs */

/* Writing */

static uint64_t first_of(uint32_t first, uint32_t base)
{
	return wire_zigzag_of((uint64_t)first - base);
}

/* Bytes that each form takes behind the first id. */
static void sizes(const uint32_t *ids, size_t count, uint64_t size[FORMS])
{
	uint64_t distances = 0, runs = 0;
	size_t run = 0; /* index of the first id of the run under way */
	for (size_t i = 1; i < count; i++) {
		uint32_t d = ids[i] - ids[i - 1];
		distances += wire_varint_len(d - 1);
		if (d == 1)
			continue;
		runs += wire_varint_len(i - run - 1) + wire_varint_len(d - 2);
		run = i;
	}
	size[FORM_DISTANCES] = distances;
	size[FORM_RUNS] = runs + wire_varint_len(count - run - 1);
	size[FORM_BITS] = ((uint64_t)ids[count - 1] - ids[0]) / 8 + 1;
}

static uint8_t *put_distances(uint8_t *p, const uint32_t *ids, size_t count)
{
	for (size_t i = 1; i < count; i++)
		p = wire_store_varint(p, ids[i] - ids[i - 1] - 1);
	return p;
}

static uint8_t *put_runs(uint8_t *p, const uint32_t *ids, size_t count)
{
	size_t run = 0;
	for (size_t i = 1; i < count; i++) {
		uint32_t d = ids[i] - ids[i - 1];
		if (d == 1)
			continue;
		p = wire_store_varint(p, i - run - 1);
		p = wire_store_varint(p, d - 2);
		run = i;
	}
	return wire_store_varint(p, count - run - 1);
}

static uint8_t *put_bits(uint8_t *p, const uint32_t *ids, size_t count)
{
	size_t len = (size_t)(ids[count - 1] - ids[0]) / 8 + 1;
	memset(p, 0, len);
	for (size_t i = 0; i < count; i++) {
		uint32_t at = ids[i] - ids[0];
		p[at / 8] |= (uint8_t)(1u << at % 8);
	}
	return p + len;
}

void idset_put(struct buf *to, const uint32_t *ids, size_t count, uint32_t base)
{
	if (count == 0) {
		wire_put_varint(to, 0);
		return;
	}
	uint64_t size[FORMS], first = first_of(ids[0], base);
	unsigned form = FORM_DISTANCES;
	sizes(ids, count, size);
	for (unsigned i = 1; i < FORMS; i++)
		form = size[i] < size[form] ? i : form;
	uint64_t len = wire_varint_len(first) + size[form];
	wire_put_varint(to, len << 2 | form);
	if (!buf_reserve(to, (size_t)len + 10))
		return;
	uint8_t *begin = to->data + to->len, *p = wire_store_varint(begin, first);
	if (form == FORM_DISTANCES)
		p = put_distances(p, ids, count);
	else if (form == FORM_RUNS)
		p = put_runs(p, ids, count);
	else
		p = put_bits(p, ids, count);
	CHECK((uint64_t)(p - begin) == len);
	to->len += (size_t)len;
}

/* Reading */

bool idset_read(struct wire_reader *r, uint32_t base, struct idset *out)
{
	uint64_t head = wire_varint(r);
	*out = (struct idset){ .form = (unsigned)(head & 3), .base = base };
	if (!r->bad && (out->form >= FORMS || head >> 2 > wire_left(r)))
		r->bad = true;
	if (r->bad)
		return false;
	out->len = (size_t)(head >> 2);
	out->data = wire_bytes(r, out->len);
	return !r->bad;
}

static bool read_first(const struct idset *s, struct wire_reader *r, uint32_t *id)
{
	*r = wire_reader(s->data, s->len);
	uint64_t first = s->base + wire_unzigzag(wire_varint(r));
	*id = (uint32_t)first;
	return !r->bad && first <= UINT32_MAX;
}

bool idset_first(const struct idset *s, uint32_t *id)
{
	struct wire_reader r;
	return s->len && read_first(s, &r, id);
}

/* Ids on their way into a bitmap. */
struct spread {
	roaring_bitmap_t *to;
	uint32_t ids[SPREAD];
	size_t count;
};

static void spread_flush(struct spread *s)
{
	if (s->count)
		roaring_bitmap_add_many(s->to, s->count, s->ids);
	s->count = 0;
}

static void spread_add(struct spread *s, uint32_t id)
{
	if (s->count == SPREAD)
		spread_flush(s);
	s->ids[s->count++] = id;
}

static bool or_distances(struct spread *to, struct wire_reader *r, uint64_t id)
{
	spread_add(to, (uint32_t)id);
	while (wire_left(r)) {
		uint64_t d = wire_varint(r);
		if (r->bad || d > UINT32_MAX || (id += d + 1) > UINT32_MAX)
			return false;
		spread_add(to, (uint32_t)id);
	}
	return true;
}

static bool or_runs(struct spread *to, struct wire_reader *r, uint64_t id)
{
	for (;;) {
		uint64_t more = wire_varint(r);
		if (r->bad || more > UINT32_MAX || id + more > UINT32_MAX)
			return false;
		if (more >= RUN_LONG) {
			spread_flush(to);
			roaring_bitmap_add_range_closed(to->to, (uint32_t)id, (uint32_t)(id + more));
		} else {
			for (uint64_t i = 0; i <= more; i++)
				spread_add(to, (uint32_t)(id + i));
		}
		if (!wire_left(r))
			return true;
		uint64_t gap = wire_varint(r);
		if (r->bad || gap > UINT32_MAX || (id += more + gap + 2) > UINT32_MAX)
			return false;
	}
}

static bool bits_are_whole(const uint8_t *p, size_t len, uint64_t first)
{
	if (!len || !(p[0] & 1) || !p[len - 1] || len > ((uint64_t)1 << 29))
		return false;
	return first + (uint64_t)(len - 1) * 8 + (31 - (unsigned)__builtin_clz(p[len - 1])) <=
	    UINT32_MAX;
}

static bool or_bits(struct spread *to, struct wire_reader *r, uint64_t first)
{
	size_t len = wire_left(r), at = 0;
	const uint8_t *p = r->p;
	if (!bits_are_whole(p, len, first))
		return false;
	for (; at < len; at += 8) {
		uint64_t word = 0;
		memcpy(&word, p + at, len - at < 8 ? len - at : 8);
		for (; word; word &= word - 1)
			spread_add(to,
			    (uint32_t)(first + (uint64_t)at * 8 + (unsigned)__builtin_ctzll(word)));
	}
	return true;
}

bool idset_or(const struct idset *s, roaring_bitmap_t *to)
{
	struct wire_reader r;
	struct spread out;
	uint32_t first;
	out.to = to;
	out.count = 0;
	if (!s->len)
		return true;
	if (!read_first(s, &r, &first))
		return false;
	bool good;
	switch (s->form) {
	case FORM_DISTANCES:
		good = or_distances(&out, &r, first);
		break;
	case FORM_RUNS:
		good = or_runs(&out, &r, first);
		break;
	default:
		good = s->form == FORM_BITS && or_bits(&out, &r, first);
	}
	spread_flush(&out);
	return good;
}

/* Ids that are asked for, on the way along a set. */
struct meet {
	const uint32_t *ids;
	size_t count, at;
	bool *in;
};

/* All from first to last are in. */
static void meet_run(struct meet *m, uint64_t first, uint64_t last)
{
	while (m->at < m->count && m->ids[m->at] < first)
		m->at++;
	while (m->at < m->count && m->ids[m->at] <= last)
		m->in[m->at++] = true;
}

static bool meet_distances(struct meet *m, struct wire_reader *r, uint64_t id)
{
	meet_run(m, id, id);
	while (wire_left(r) && m->at < m->count) {
		uint64_t d = wire_varint(r);
		if (r->bad || d > UINT32_MAX || (id += d + 1) > UINT32_MAX)
			return false;
		meet_run(m, id, id);
	}
	return true;
}

static bool meet_runs(struct meet *m, struct wire_reader *r, uint64_t id)
{
	while (m->at < m->count) {
		uint64_t more = wire_varint(r);
		if (r->bad || more > UINT32_MAX || id + more > UINT32_MAX)
			return false;
		meet_run(m, id, id + more);
		if (!wire_left(r))
			return true;
		uint64_t gap = wire_varint(r);
		if (r->bad || gap > UINT32_MAX || (id += more + gap + 2) > UINT32_MAX)
			return false;
	}
	return true;
}

static bool meet_bits(struct meet *m, const struct wire_reader *r, uint64_t first)
{
	size_t len = wire_left(r);
	if (!bits_are_whole(r->p, len, first))
		return false;
	for (; m->at < m->count; m->at++) {
		uint64_t bit = m->ids[m->at] - first;
		if (m->ids[m->at] >= first && bit / 8 < len)
			m->in[m->at] = r->p[bit / 8] >> (bit & 7) & 1;
	}
	return true;
}

bool idset_meet(const struct idset *s, const uint32_t *ids, size_t count, bool *in)
{
	struct meet m = { .ids = ids, .count = count, .in = in };
	struct wire_reader r;
	uint32_t first;
	memset(in, 0, count * sizeof(*in));
	if (!s->len)
		return true;
	if (!read_first(s, &r, &first))
		return false;
	switch (s->form) {
	case FORM_DISTANCES:
		return meet_distances(&m, &r, first);
	case FORM_RUNS:
		return meet_runs(&m, &r, first);
	default:
		return s->form == FORM_BITS && meet_bits(&m, &r, first);
	}
}

uint32_t *idset_array(const roaring_bitmap_t *b, size_t *count)
{
	*count = (size_t)roaring_bitmap_get_cardinality(b);
	uint32_t *ids = mem_array(NULL, *count, sizeof(*ids));
	if (*count)
		roaring_bitmap_to_uint32_array(b, ids);
	return ids;
}
