/*
 * wire - sticky byte reader and writer: little-endian integers, varints, length-prefixed bytes.
 *
 * A reader keeps its first error (bad = true) and then returns zeros and empty pieces: check once
 * at the end.
 * The writer appends to a struct buf. Varint: LEB128, at most 10 bytes (protobuf encoding, section
 * "Base 128 Varints").
 * Fuzz: any bytes are safe for the reader.
 */
#ifndef CORE_BASE_WIRE_H
#define CORE_BASE_WIRE_H

#include "core/base/buf.h"

struct wire_reader {
	const uint8_t *p, *end;
	bool bad;
};
static inline struct wire_reader wire_reader(const void *data, size_t len)
{
	return (struct wire_reader){ .p = data, .end = (const uint8_t *)data + len };
}
static inline size_t wire_left(const struct wire_reader *r)
{
	return (size_t)(r->end - r->p);
}
uint8_t wire_u8(struct wire_reader *r);
uint16_t wire_u16(struct wire_reader *r);
uint32_t wire_u32(struct wire_reader *r);
uint64_t wire_u64(struct wire_reader *r);
double wire_f64(struct wire_reader *r);
uint64_t wire_varint_slow_(struct wire_reader *r);
static inline uint64_t wire_varint(struct wire_reader *r)
{
	if (LIKELY(r->p < r->end && *r->p < 0x80))
		return *r->p++;
	return wire_varint_slow_(r);
}
int64_t wire_zigzag(struct wire_reader *r);
/* Signed numbers as unsigned ones that are small when they are near 0, and back: in 64 bits. */
static inline uint64_t wire_zigzag_of(uint64_t v)
{
	return (v << 1) ^ (uint64_t)((int64_t)v >> 63);
}
static inline uint64_t wire_unzigzag(uint64_t v)
{
	return (v >> 1) ^ (0 - (v & 1));
}
/* Next len bytes, or NULL and bad when there are fewer. */
const uint8_t *wire_bytes(struct wire_reader *r, size_t len);
/* varint length, then that many bytes; *len = 0 on error. */
const uint8_t *wire_lenbytes(struct wire_reader *r, size_t *len);

void wire_put_u16(struct buf *b, uint16_t v);
void wire_put_u32(struct buf *b, uint32_t v);
void wire_put_u64(struct buf *b, uint64_t v);
void wire_put_f64(struct buf *b, double v);
void wire_put_varint(struct buf *b, uint64_t v);
void wire_put_zigzag(struct buf *b, int64_t v);
void wire_put_lenbytes(struct buf *b, const void *data, size_t len);
/* RFC 4648, 4; padded: with its signs at the end. */
void wire_put_base64(struct buf *b, const void *data, size_t len, bool padded);

/* Plain memory helpers for hot paths and fixed layouts. */
static inline uint16_t wire_load16(const void *p)
{
	uint16_t v;
	memcpy(&v, p, 2);
	return v;
}
static inline uint32_t wire_load32(const void *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return v;
}
static inline uint64_t wire_load64(const void *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
	return v;
}
static inline void wire_store16(void *p, uint16_t v)
{
	memcpy(p, &v, 2);
}
static inline void wire_store32(void *p, uint32_t v)
{
	memcpy(p, &v, 4);
}
static inline void wire_store64(void *p, uint64_t v)
{
	memcpy(p, &v, 8);
}
/* room for 10 bytes; returns the end */
static inline uint8_t *wire_store_varint(uint8_t *p, uint64_t v)
{
	while (v >= 0x80) {
		*p++ = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	*p++ = (uint8_t)v;
	return p;
}
static inline size_t wire_varint_len(uint64_t v)
{
	return v ? (size_t)((63 - __builtin_clzll(v)) / 7 + 1) : 1;
}

#endif
