#include "core/base/wire.h"

STATIC(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__); /* integers are copied as they lie in memory */

static const uint8_t *take(struct wire_reader *r, size_t len)
{
	if (UNLIKELY(r->bad || wire_left(r) < len)) {
		r->bad = true;
		r->p = r->end;
		return NULL;
	}
	const uint8_t *p = r->p;
	r->p += len;
	return p;
}

uint8_t wire_u8(struct wire_reader *r)
{
	const uint8_t *p = take(r, 1);
	return p ? *p : 0;
}

uint16_t wire_u16(struct wire_reader *r)
{
	const uint8_t *p = take(r, 2);
	return p ? wire_load16(p) : 0;
}

uint32_t wire_u32(struct wire_reader *r)
{
	const uint8_t *p = take(r, 4);
	return p ? wire_load32(p) : 0;
}

uint64_t wire_u64(struct wire_reader *r)
{
	const uint8_t *p = take(r, 8);
	return p ? wire_load64(p) : 0;
}

double wire_f64(struct wire_reader *r)
{
	uint64_t bits = wire_u64(r);
	double v;
	memcpy(&v, &bits, 8);
	return v;
}

/* The tenth byte carries one bit: more would be cut off silently, so it is an error. */
uint64_t wire_varint_slow_(struct wire_reader *r)
{
	uint64_t v = 0;
	const uint8_t *p = r->p;
	for (unsigned shift = 0; shift < 64 && p < r->end; shift += 7) {
		uint8_t c = *p++;
		if (shift == 63 && c > 1)
			break;
		v |= (uint64_t)(c & 0x7f) << shift;
		if (c < 0x80) {
			r->p = p;
			return v;
		}
	}
	r->bad = true;
	r->p = r->end;
	return 0;
}

int64_t wire_zigzag(struct wire_reader *r)
{
	return (int64_t)wire_unzigzag(wire_varint(r));
}

const uint8_t *wire_bytes(struct wire_reader *r, size_t len)
{
	return take(r, len);
}

const uint8_t *wire_lenbytes(struct wire_reader *r, size_t *len)
{
	uint64_t n = wire_varint(r);
	const uint8_t *p = n > wire_left(r) ? take(r, SIZE_MAX) : take(r, (size_t)n);
	*len = p ? (size_t)n : 0;
	return p;
}

void wire_put_u16(struct buf *b, uint16_t v)
{
	buf_add(b, &v, 2);
}

void wire_put_u32(struct buf *b, uint32_t v)
{
	buf_add(b, &v, 4);
}

void wire_put_u64(struct buf *b, uint64_t v)
{
	buf_add(b, &v, 8);
}

void wire_put_f64(struct buf *b, double v)
{
	buf_add(b, &v, 8);
}

void wire_put_varint(struct buf *b, uint64_t v)
{
	uint8_t tmp[10];
	buf_add(b, tmp, (size_t)(wire_store_varint(tmp, v) - tmp));
}

void wire_put_zigzag(struct buf *b, int64_t v)
{
	wire_put_varint(b, wire_zigzag_of((uint64_t)v));
}

void wire_put_lenbytes(struct buf *b, const void *data, size_t len)
{
	wire_put_varint(b, len);
	buf_add(b, data, len);
}

void wire_put_base64(struct buf *b, const void *data, size_t len, bool padded)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *p = data;
	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		uint32_t v = (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
		    (n > 2 ? (uint32_t)p[i + 2] : 0);
		for (size_t k = 0; k < 4; k++)
			if (k <= n)
				buf_add_u8(b, (uint8_t)digits[v >> (18 - 6 * k) & 63]);
			else if (padded)
				buf_add_u8(b, '=');
	}
}
