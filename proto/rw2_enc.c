#include "core/base/wire.h"
#include "proto/pbhist.h"
#include "proto/pbscan.h"
#include "proto/rw2.h"

#define TAG(number, wire) ((uint8_t)((number) << 3 | (wire)))
#define START_TAG_1       0x88 /* field 17 of a histogram, a number */
#define START_TAG_2       0x01
#define SYMBOLS_FIRST     1024u

struct rw2_enc_symbol {
	size_t at; /* in texts */
	uint32_t len, hash;
};

void rw2_enc_init(struct rw2_enc *e)
{
	*e = (struct rw2_enc){ 0 };
	buf_init(&e->symbols);
	buf_init(&e->series);
	buf_init(&e->one);
	buf_init(&e->texts);
}

void rw2_enc_release(struct rw2_enc *e)
{
	buf_release(&e->symbols);
	buf_release(&e->series);
	buf_release(&e->one);
	buf_release(&e->texts);
	mem_free(e->list);
	mem_free(e->places);
	*e = (struct rw2_enc){ 0 };
}

void rw2_enc_begin(struct rw2_enc *e)
{
	buf_clear(&e->symbols);
	buf_clear(&e->series);
	buf_clear(&e->one);
	buf_clear(&e->texts);
	if (e->places)
		memset(e->places, 0, ((size_t)e->mask + 1) * sizeof *e->places);
	e->count = 0;
	e->is_open = false;
	(void)rw2_enc_symbol(e, "", 0);
}

/* --- strings --- */

static void table_grow(struct rw2_enc *e)
{
	e->cap = e->cap ? e->cap * 2 : SYMBOLS_FIRST;
	e->list = mem_array(e->list, e->cap, sizeof *e->list);
	mem_free(e->places);
	e->mask = e->cap * 2 - 1;
	e->places = mem_zalloc(((size_t)e->mask + 1) * sizeof *e->places);
	for (uint32_t i = 0; i < e->count; i++) {
		uint32_t at = e->list[i].hash & e->mask;
		while (e->places[at])
			at = (at + 1) & e->mask;
		e->places[at] = i + 1;
	}
}

uint32_t rw2_enc_symbol(struct rw2_enc *e, const char *s, size_t len)
{
	uint32_t hash = (uint32_t)hash64(s, len, 0);
	if (e->count == e->cap)
		table_grow(e);
	uint32_t at = hash & e->mask;
	for (; e->places[at]; at = (at + 1) & e->mask) {
		const struct rw2_enc_symbol *y = &e->list[e->places[at] - 1];
		if (y->hash == hash && y->len == len &&
		    (!len || memcmp(e->texts.data + y->at, s, len) == 0))
			return e->places[at] - 1;
	}
	e->list[e->count] =
	    (struct rw2_enc_symbol){ .at = e->texts.len, .len = (uint32_t)len, .hash = hash };
	e->places[at] = ++e->count;
	buf_add(&e->texts, s, len);
	buf_add_u8(&e->symbols, TAG(4, PBSCAN_BYTES));
	wire_put_lenbytes(&e->symbols, s, len);
	return e->count - 1;
}

/* --- series --- */

static void series_close(struct rw2_enc *e)
{
	if (!e->is_open)
		return;
	buf_add_u8(&e->series, TAG(5, PBSCAN_BYTES));
	wire_put_lenbytes(&e->series, e->one.data, e->one.len);
	buf_clear(&e->one);
	e->is_open = false;
}

/* Makes the bytes from `from` on the inside of a field. */
static void frame(struct buf *b, uint8_t tag, size_t from)
{
	uint8_t head[1 + PBSCAN_VARINT_BYTES] = { tag };
	size_t len = b->len - from, head_len = (size_t)(wire_store_varint(head + 1, len) - head);
	if (!buf_reserve(b, head_len))
		return;
	memmove(b->data + from + head_len, b->data + from, len);
	memcpy(b->data + from, head, head_len);
	b->len += head_len;
}

static void put_number(struct buf *b, uint8_t tag, uint64_t v)
{
	if (!v)
		return;
	buf_add_u8(b, tag);
	wire_put_varint(b, v);
}

static void put_double(struct buf *b, uint8_t tag, double v)
{
	if (!num_bits(v))
		return;
	buf_add_u8(b, tag);
	wire_put_f64(b, v);
}

static void put_labels(struct rw2_enc *e, struct labels labels)
{
	struct label_iter it = label_iter(labels);
	struct label l;
	size_t from = e->one.len;
	while (label_next(&it, &l)) {
		wire_put_varint(&e->one, rw2_enc_symbol(e, l.name, l.name_len));
		wire_put_varint(&e->one, rw2_enc_symbol(e, l.value, l.value_len));
	}
	if (e->one.len > from)
		frame(&e->one, TAG(1, PBSCAN_BYTES), from);
}

void rw2_enc_series(struct rw2_enc *e, struct labels labels)
{
	series_close(e);
	e->is_open = true;
	put_labels(e, labels);
}

void rw2_enc_series_refs(struct rw2_enc *e, const uint32_t *refs, size_t count)
{
	series_close(e);
	e->is_open = true;
	for (size_t i = 0; i < count; i++)
		wire_put_varint(&e->one, refs[i]);
	if (count)
		frame(&e->one, TAG(1, PBSCAN_BYTES), 0);
}

void rw2_enc_sample(struct rw2_enc *e, int64_t t_ms, double v, int64_t start_ms)
{
	size_t from = e->one.len;
	put_double(&e->one, TAG(1, PBSCAN_FIXED64), v);
	put_number(&e->one, TAG(2, PBSCAN_VARINT), (uint64_t)t_ms);
	put_number(&e->one, TAG(3, PBSCAN_VARINT), (uint64_t)start_ms);
	frame(&e->one, TAG(2, PBSCAN_BYTES), from);
}

#define SAMPLE_MOST 24u /* bytes of a sample with its frame */

void rw2_enc_floats(struct rw2_enc *e, const int64_t *t_ms, const double *v, size_t count)
{
	if (!buf_reserve(&e->one, count * SAMPLE_MOST))
		return;
	uint8_t *p = e->one.data + e->one.len;
	for (size_t i = 0; i < count; i++) {
		uint64_t bits = num_bits(v[i]);
		uint8_t *begin = p;
		p += 2;
		if (bits) {
			*p++ = TAG(1, PBSCAN_FIXED64);
			wire_store64(p, bits);
			p += 8;
		}
		if (t_ms[i]) {
			*p++ = TAG(2, PBSCAN_VARINT);
			p = wire_store_varint(p, (uint64_t)t_ms[i]);
		}
		begin[0] = TAG(2, PBSCAN_BYTES);
		begin[1] = (uint8_t)(p - begin - 2);
	}
	e->one.len = (size_t)(p - e->one.data);
}

void rw2_enc_hist(struct rw2_enc *e, const struct hist *h, int64_t t_ms, int64_t start_ms)
{
	size_t from = e->one.len;
	pbhist_encode(h, t_ms, &e->one);
	if (start_ms) {
		buf_add_u8(&e->one, START_TAG_1);
		put_number(&e->one, START_TAG_2, (uint64_t)start_ms);
	}
	frame(&e->one, TAG(3, PBSCAN_BYTES), from);
}

void rw2_enc_exemplar(struct rw2_enc *e, struct labels own, int64_t t_ms, double v)
{
	size_t from = e->one.len;
	put_labels(e, own);
	put_double(&e->one, TAG(2, PBSCAN_FIXED64), v);
	put_number(&e->one, TAG(3, PBSCAN_VARINT), (uint64_t)t_ms);
	frame(&e->one, TAG(4, PBSCAN_BYTES), from);
}

void rw2_enc_meta(struct rw2_enc *e, const struct batch_meta *m)
{
	size_t from = e->one.len;
	uint32_t help = rw2_enc_symbol(e, m->help, m->help_len),
	         unit = rw2_enc_symbol(e, m->unit, m->unit_len);
	put_number(&e->one, TAG(1, PBSCAN_VARINT), m->type);
	put_number(&e->one, TAG(3, PBSCAN_VARINT), help);
	put_number(&e->one, TAG(4, PBSCAN_VARINT), unit);
	frame(&e->one, TAG(5, PBSCAN_BYTES), from);
}

void rw2_enc_end(struct rw2_enc *e, struct buf *out)
{
	series_close(e);
	buf_add(out, e->symbols.data, e->symbols.len);
	buf_add(out, e->series.data, e->series.len);
}
