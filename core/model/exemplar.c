#include "core/model/exemplar.h"

#include "core/base/num.h"
#include "core/base/rune.h"

#include <stdlib.h>

/* Characters of a text, SIZE_MAX: no UTF-8, or more than max. */
static size_t runes(const char *s, size_t len, size_t max)
{
	size_t n = 0;
	uint32_t rune;
	if (len > 4 * max)
		return SIZE_MAX;
	for (size_t at = 0, step; at < len; at += step, n++) {
		step = rune_decode(s + at, len - at, &rune);
		if (!step || n == max)
			return SIZE_MAX;
	}
	return n;
}

bool exemplar_labels(struct arena *a, struct labels wire, struct labels *out)
{
	struct label_builder b;
	struct label_iter it = label_iter(wire);
	struct label l;
	size_t left = EXEMPLAR_RUNES;
	uint32_t len;
	label_builder_init(&b, a);
	while (label_next(&it, &l)) {
		size_t name = runes(l.name, l.name_len, left);
		if (!name || name == SIZE_MAX)
			return false;
		size_t value = runes(l.value, l.value_len, left - name);
		if (value == SIZE_MAX || label_builder_get(&b, l.name, l.name_len, &len))
			return false;
		left -= name + value;
		if (value)
			label_builder_set(&b, l.name, l.name_len, l.value, l.value_len);
	}
	if (it.bad)
		return false;
	*out = label_builder_done(&b);
	return out->len <= EXEMPLAR_BYTES_MAX;
}

bool exemplar_same(const struct exemplar *a, const struct exemplar *b)
{
	return a->t_ms == b->t_ms && num_bits(a->v) == num_bits(b->v) &&
	    label_equal(a->labels, b->labels);
}

/* As values go, all bits told apart: negative NaN, numbers, positive NaN. */
static uint64_t order_of(double v)
{
	uint64_t bits = num_bits(v), sign = UINT64_C(1) << 63;
	return bits & sign ? ~bits : bits | sign;
}

int exemplar_cmp(const struct exemplar *a, const struct exemplar *b)
{
	uint64_t x = order_of(a->v), y = order_of(b->v);
	if (a->t_ms != b->t_ms)
		return a->t_ms < b->t_ms ? -1 : 1;
	if (x != y)
		return x < y ? -1 : 1;
	return bytes_cmp(a->labels.bytes, a->labels.len, b->labels.bytes, b->labels.len);
}

void exemplar_put(struct buf *out, const struct exemplar *e)
{
	wire_put_zigzag(out, e->t_ms);
	wire_put_f64(out, e->v);
	wire_put_lenbytes(out, e->labels.bytes, e->labels.len);
}

bool exemplar_get(struct wire_reader *r, struct exemplar *out)
{
	size_t len;
	if (r->bad || !wire_left(r))
		return false;
	out->t_ms = wire_zigzag(r);
	out->v = num_from_bits(wire_u64(r));
	const uint8_t *bytes = wire_lenbytes(r, &len);
	if (len > EXEMPLAR_BYTES_MAX)
		r->bad = true;
	if (r->bad)
		return false;
	out->labels = (struct labels){ .bytes = len ? bytes : NULL, .len = (uint32_t)len };
	if (!label_is_canonical(out->labels))
		r->bad = true;
	return !r->bad;
}

static int by_order(const void *a, const void *b)
{
	return exemplar_cmp(a, b);
}

size_t exemplar_join(struct exemplar *list, size_t count, size_t max)
{
	size_t n = 0;
	if (count)
		qsort(list, count, sizeof(*list), by_order);
	for (size_t i = 0; i < count; i++)
		if (!n || !exemplar_same(&list[i], &list[n - 1]))
			list[n++] = list[i];
	if (n <= max)
		return n;
	memmove(list, list + (n - max), max * sizeof(*list));
	return max;
}
