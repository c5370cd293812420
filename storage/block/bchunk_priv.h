/*
 * bchunk_priv - bits of a chunk, the highest first, and what both kinds of chunks read with them.
 *
 * The bytes are followed by BITS_SLOP zero bytes, so that a sample may be read before anybody looks
 * whether the bits have ended: bits_over() is asked once for each. Where more may be read at once
 * (buckets), it is asked in between.
 */
#ifndef STORAGE_BLOCK_BCHUNK_PRIV_H
#define STORAGE_BLOCK_BCHUNK_PRIV_H

#include "storage/block/bchunk.h"

#define BITS_SLOP 64u

struct bits {
	const uint8_t *p;
	uint64_t at, end; /* in bits */
};

static inline bool bits_over(const struct bits *b)
{
	return b->at > b->end;
}

static inline uint64_t bits_load(const uint8_t *p)
{
	return __builtin_bswap64(wire_load64(p));
}

/* What comes next, from the highest bit on; 57 bits of it at least are so. */
static inline uint64_t bits_peek(const struct bits *b)
{
	return bits_load(b->p + (b->at >> 3)) << (b->at & 7);
}

/* The same, all 64. */
static inline uint64_t bits_peek64(const struct bits *b)
{
	const uint8_t *p = b->p + (b->at >> 3);
	unsigned s = (unsigned)(b->at & 7);
	return (bits_load(p) << s) | (((uint64_t)p[8] << s) >> 8);
}

/* n of 1..64 */
static inline uint64_t bits_take(struct bits *b, unsigned n)
{
	uint64_t v = bits_peek64(b) >> (64 - n);
	b->at += n;
	return v;
}

/* n bits, of which values above 2^(n-1) are below 0 ("tsdb/chunkenc/varbit.go"). */
static inline int64_t bits_signed(uint64_t v, unsigned n)
{
	return (int64_t)(n < 64 && v > UINT64_C(1) << (n - 1) ? v - (UINT64_C(1) << n) : v);
}

/* Widths behind a prefix of so many ones and a zero. */
static inline unsigned bits_varbit_width(struct bits *b)
{
	static const uint8_t widths[9] = { 0, 3, 6, 9, 12, 18, 25, 56, 64 };
	uint64_t w = bits_peek(b);
	unsigned ones = (unsigned)__builtin_clzll(~w | (UINT64_C(1) << 55)); /* at most 8 */
	b->at += ones < 8 ? ones + 1 : 8;
	return widths[ones];
}

static inline int64_t bits_varbit(struct bits *b)
{
	unsigned n = bits_varbit_width(b);
	return n ? bits_signed(bits_take(b, n), n) : 0;
}

static inline uint64_t bits_uvarbit(struct bits *b)
{
	unsigned n = bits_varbit_width(b);
	return n ? bits_take(b, n) : 0;
}

/* LEB128 in whole bytes that need not be aligned; false: it is longer than 10 bytes. */
static inline bool bits_uvarint(struct bits *b, uint64_t *out)
{
	uint64_t v = 0;
	for (unsigned i = 0; i < 10; i++) {
		uint64_t byte = bits_take(b, 8);
		v |= (byte & 0x7f) << (7 * i);
		if (byte < 0x80) {
			*out = v;
			return i < 9 || byte <= 1;
		}
	}
	return false;
}

static inline bool bits_varint(struct bits *b, int64_t *out)
{
	uint64_t v = 0;
	bool ok = bits_uvarint(b, &v);
	*out = (int64_t)wire_unzigzag(v);
	return ok;
}

/* A stream of floats: the value before, and the window that its bits changed in. */
struct bits_float {
	uint64_t last;
	uint8_t lead, trail; /* both 0 before there was one, as in Go */
};

/* 5 bits of leading zeros, 6 of significant ones, those. */
static inline bool bits_new_window(struct bits *b, struct bits_float *f)
{
	uint64_t w = bits_take(b, 11);
	unsigned lead = (unsigned)(w >> 6), width = (unsigned)(w & 63);
	width = width ? width : 64;
	if (lead + width > 64)
		return false;
	f->lead = (uint8_t)lead;
	f->trail = (uint8_t)(64 - lead - width);
	f->last ^= bits_take(b, width) << f->trail;
	return true;
}

static inline void bits_same_window(struct bits *b, struct bits_float *f)
{
	f->last ^= bits_take(b, 64u - f->lead - f->trail) << f->trail;
}

/* xor with the value before; false: no such window. */
static inline bool bits_xor(struct bits *b, struct bits_float *f)
{
	uint64_t w = bits_peek(b);
	if (!(w >> 63)) {
		b->at++;
		return true;
	}
	b->at += 2;
	if (w >> 62 & 1)
		return bits_new_window(b, f);
	bits_same_window(b, f);
	return true;
}

/* When samples began to count, as XOR2 and the ST histograms have it. */
struct bits_starts {
	bool known;    /* the first sample has a start time */
	uint8_t first; /* the first sample whose start time is another one; 0 = none has */
	int64_t diff, start_ms;
};

static inline struct bits_starts bits_starts_of(uint8_t head)
{
	return (struct bits_starts){ .known = head >> 7, .first = head & 0x7f };
}

/* Behind sample i at t_ms; before_ms is the time of the sample before. */
static inline bool bits_starts_next(
    struct bits *b, struct bits_starts *s, uint32_t i, int64_t t_ms, int64_t before_ms)
{
	if (i == 0) {
		int64_t d = 0;
		if (s->known && !bits_varint(b, &d))
			return false;
		s->start_ms = s->known ? (int64_t)((uint64_t)t_ms - (uint64_t)d) : 0;
		return true;
	}
	if (!s->first || i < s->first)
		return true;
	uint64_t d = (uint64_t)bits_varbit(b);
	s->diff = (int64_t)(i == s->first ? d : (uint64_t)s->diff + d);
	s->start_ms = (int64_t)((uint64_t)before_ms - (uint64_t)s->diff);
	return true;
}

/*
 * Histograms of n samples behind the head of a chunk; rows are written behind to->count, which
 * stays.
 */
struct bits_hist {
	struct bits bits;
	uint32_t count;
	uint8_t reset; /* the two bits of the header */
	bool is_float, has_starts;
	struct bits_starts starts;
	struct column *to;
	const char *what;
};
MUST_CHECK enum err bchunk_histograms(struct bits_hist *h);

#endif
