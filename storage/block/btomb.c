#include "storage/block/btomb.h"

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/base/num.h"
#include "core/base/wire.h"
#include "storage/chunk/column.h"

#include <stdlib.h>

#define MAGIC  0x0130BA30u
#define FORMAT 1
#define HEAD   5u

void btombs_release(struct btombs *t)
{
	mem_free(t->items);
	*t = (struct btombs){ 0 };
}

void btombs_add(struct btombs *t, uint64_t ref, int64_t t_from_ms, int64_t t_to_ms)
{
	if (t->count == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 16;
		t->items = mem_array(t->items, t->cap, sizeof(*t->items));
	}
	t->items[t->count++] =
	    (struct btomb){ .ref = ref, .t_from_ms = t_from_ms, .t_to_ms = t_to_ms };
}

static int items_cmp(const void *pa, const void *pb)
{
	const struct btomb *a = pa, *b = pb;
	if (a->ref != b->ref)
		return a->ref < b->ref ? -1 : 1;
	return (a->t_from_ms > b->t_from_ms) - (a->t_from_ms < b->t_from_ms);
}

void btombs_order(struct btombs *t)
{
	size_t n = 0;
	if (!t->count)
		return;
	qsort(t->items, t->count, sizeof(*t->items), items_cmp);
	for (size_t i = 0; i < t->count; i++) {
		struct btomb *x = &t->items[i], *last = n ? &t->items[n - 1] : NULL;
		if (x->t_from_ms > x->t_to_ms)
			continue;
		if (last && last->ref == x->ref && x->t_from_ms <= num_sat_add(last->t_to_ms, 1)) {
			if (x->t_to_ms > last->t_to_ms)
				last->t_to_ms = x->t_to_ms;
			continue;
		}
		t->items[n++] = *x;
	}
	t->count = n;
}

static uint32_t be32(const uint8_t *p)
{
	return __builtin_bswap32(wire_load32(p));
}

enum err btombs_read(const uint8_t *data, size_t len, struct btombs *out, struct errbuf *eb)
{
	*out = (struct btombs){ 0 };
	if (len < HEAD + 4 || be32(data) != MAGIC)
		return errbuf_set(eb, ERR_DAMAGED, "tombstones: it does not begin as one");
	if (data[4] != FORMAT)
		return errbuf_set(eb, ERR_UNSUPPORTED, "tombstones: version %u", data[4]);
	if (crc32c(0, data + HEAD, len - HEAD - 4) != be32(data + len - 4))
		return errbuf_set(eb, ERR_DAMAGED, "tombstones: the checksum is wrong");
	struct wire_reader r = wire_reader(data + HEAD, len - HEAD - 4);
	while (wire_left(&r) && !r.bad) {
		uint64_t ref = wire_varint(&r);
		int64_t from = wire_zigzag(&r), to = wire_zigzag(&r);
		if (!r.bad)
			btombs_add(out, ref, from, to);
	}
	if (r.bad) {
		btombs_release(out);
		return errbuf_set(eb, ERR_DAMAGED, "tombstones: an entry is cut");
	}
	btombs_order(out);
	return ERR_OK;
}

void btombs_write(struct buf *out, const struct btombs *t)
{
	uint32_t v = __builtin_bswap32(MAGIC);
	buf_add(out, &v, sizeof(v));
	buf_add_u8(out, FORMAT);
	size_t at = out->len;
	for (size_t i = 0; i < t->count; i++) {
		wire_put_varint(out, t->items[i].ref);
		wire_put_zigzag(out, t->items[i].t_from_ms);
		wire_put_zigzag(out, t->items[i].t_to_ms);
	}
	v = __builtin_bswap32(crc32c(0, out->data + at, out->len - at));
	buf_add(out, &v, sizeof(v));
}

const struct btomb *btombs_of(const struct btombs *t, uint64_t ref, size_t *count)
{
	size_t lo = 0, hi = t->count;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (t->items[mid].ref < ref)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (hi = lo; hi < t->count && t->items[hi].ref == ref;)
		hi++;
	*count = hi - lo;
	return *count ? &t->items[lo] : NULL;
}

uint32_t btombs_row(const struct column *c, uint32_t first, int64_t t)
{
	uint32_t lo = first, hi = c->count;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (c->t_ms[mid] < t)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

uint32_t btombs_apply(const struct btomb *of_series, size_t count, struct column *c, uint32_t first)
{
	uint32_t before = c->count;
	for (size_t i = 0; i < count && first < c->count; i++) {
		uint32_t lo = btombs_row(c, first, of_series[i].t_from_ms),
		         hi = of_series[i].t_to_ms == INT64_MAX
		    ? c->count
		    : btombs_row(c, lo, of_series[i].t_to_ms + 1);
		column_keep(c, lo, hi - lo, c->count - hi);
		first = lo;
	}
	return before - c->count;
}
