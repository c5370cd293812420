#include "proto/snapz.h"

#include "core/base/wire.h"

#include <snappy-c.h>

/*
 * One row per tag byte: what it says of its element.
 *
 *   bits 0-7 length   8-15 high part of the offset, as it stands in an offset
 * A literal has an offset that is no shorter than any length. What is rare has ROW_RARE, a length
 * beyond all its offsets: literals that say their length behind the tag, and 32-bit offsets.
 */
#define ROW_RARE    0xff
#define ROW_LITERAL 0x100
#define LEN_OF(row) ((row)&0xff)
#define OFF_OF(row) ((row)&0xff00)

#define ROW(tag)                                                                                   \
 (uint16_t)(((tag)&3) == 0                                                                         \
	 ? ((tag) >> 2 < LITERAL_LONG ? (ROW_LITERAL | (((tag) >> 2) + 1)) : ROW_RARE)             \
	 : ((tag)&3) == 1 ? ((((tag) >> 5) & 7) << 8 | (4 + (((tag) >> 2) & 7)))                   \
	 : ((tag)&3) == 2 ? (((tag) >> 2) + 1)                                                     \
	                  : ROW_RARE)
#define ROW4(t)      ROW(t), ROW((t) + 1), ROW((t) + 2), ROW((t) + 3)
#define ROW16(t)     ROW4(t), ROW4((t) + 4), ROW4((t) + 8), ROW4((t) + 12)
#define ROW64(t)     ROW16(t), ROW16((t) + 16), ROW16((t) + 32), ROW16((t) + 48)
#define LITERAL_LONG 60 /* from here on the tag names the number of length bytes */
static const uint16_t tag_rows[256] = { ROW64(0), ROW64(64), ROW64(128), ROW64(192) };
/* bytes behind the tag that are the low part of the offset, by type; of what is not rare */
static const uint16_t off_masks[4] = { 0, 0xff, 0xffff, 0 };

#define COPY_WIDTH 64 /* bytes moved at once, whatever is needed of them; no element has more */
#define TURN       4  /* elements between two looks at the margins */
/*
 * Output is fetched so far before it is written, two lines a turn: buffers of several requests
 * wait for their sync at a time, and leave the caches until it is their turn again.
 */
#define AHEAD 2048u
/* What so many elements may read from the byte behind a tag on; each goes on by 61 at most. */
#define IN_MARGIN(turn) (61 * ((turn)-1) + 65)
STATIC(SNAPZ_SLOP >= COPY_WIDTH + 16);

enum err snapz_length(const uint8_t *in, size_t len, size_t *out_len)
{
	uint64_t v = 0;
	for (size_t i = 0;; i++) {
		if (i == len || i == 5)
			return ERR_MALFORMED;
		v |= (uint64_t)(in[i] & 0x7f) << (7 * i);
		if (in[i] < 0x80)
			break;
	}
	if (v > UINT32_MAX)
		return ERR_MALFORMED;
	if (v > SNAPZ_DECODED_MAX)
		return ERR_TOOBIG;
	if (len <= SNAPZ_DECODED_MAX && v > len * SNAPZ_RATIO_MAX + SNAPZ_RATIO_FREE)
		return ERR_TOOBIG;
	*out_len = (size_t)v;
	return ERR_OK;
}

typedef uint8_t vec16 __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint8_t vec32 __attribute__((vector_size(32), aligned(1), may_alias));
enum width {
	WIDTH_16,
	WIDTH_32
}; /* 64 was tried: no faster, the moves cross cache lines */

#define ALWAYS_INLINE inline __attribute__((always_inline))

static ALWAYS_INLINE void copy16(uint8_t *to, const uint8_t *from)
{
	*(vec16 *)to = *(const vec16 *)from;
}

static ALWAYS_INLINE void copy64(uint8_t *to, const uint8_t *from, enum width w)
{
	if (w == WIDTH_32) {
		vec32 a = *(const vec32 *)from, b = *(const vec32 *)(from + 32);
		*(vec32 *)to = a;
		*(vec32 *)(to + 32) = b;
		return;
	}
	vec16 a = *(const vec16 *)from, b = *(const vec16 *)(from + 16),
	      c = *(const vec16 *)(from + 32), d = *(const vec16 *)(from + 48);
	*(vec16 *)to = a;
	*(vec16 *)(to + 16) = b;
	*(vec16 *)(to + 32) = c;
	*(vec16 *)(to + 48) = d;
}

/* A copy that reads what it writes: offset < len <= 64. Writes at most 79 bytes from op. */
static void copy_pattern(uint8_t *op, size_t offset, size_t len)
{
	const uint8_t *from = op - offset;
	if (offset < 16) {
		/*
		 * Lay the pattern down until it is 16 bytes long or more, then go on in whole
		 * multiples of it.
		 */
		size_t have = offset;
		while (have < 16) {
			for (size_t i = 0; i < offset; i++)
				op[have - offset + i] = from[i];
			have += offset;
		}
		size_t done = have - offset;
		for (size_t at = done; at < len; at += 16) {
			/* from + at - done stays `have` >= 16 bytes behind op + at */
			copy16(op + at, op + at - have);
		}
		return;
	}
	for (size_t at = 0; at < len; at += 16)
		copy16(op + at, from + at);
}

struct state {
	const uint8_t *ip, *in_end;
	uint8_t *op;
	uint8_t *const out, *const out_end;
};

/*
 * Is the tag a copy's, then the second, else the first; without a branch: which one comes is hard
 * to guess.
 */
static ALWAYS_INLINE const uint8_t *pick(size_t tag, const uint8_t *of_literal, const uint8_t *of_copy)
{
#ifdef __x86_64__
	__asm__("testb $3, %b[tag]\n\tcmovne %[copy], %[it]"
	        : [it] "+r"(of_literal)
	        : [tag] "q"(tag), [copy] "r"(of_copy)
	        : "cc");
	return of_literal;
#else
	return tag & 3 ? of_copy : of_literal;
#endif
}

/*
 * Elements, `turn` by `turn`, as long as input and output have room for so many of the longest, up
 * to one that is rare; false: malformed.
 * The time of an element is that of the way from its tag to the next one: a load, and a choice
 * between what follows a literal and what follows a copy.
 */
static ALWAYS_INLINE bool fast(struct state *s, enum width w, const int turn)
{
	if (s->in_end - s->ip <= IN_MARGIN(turn) || s->out_end - s->op <= turn * COPY_WIDTH)
		return true;
	const uint8_t *ip = s->ip, *const in_safe = s->in_end - IN_MARGIN(turn);
	uint8_t *op = s->op, *const out = s->out, *const out_safe = s->out_end - turn * COPY_WIDTH;
	size_t tag = *ip++; /* ip is behind it */
	do {
		__builtin_prefetch((const void *)((uintptr_t)op + AHEAD), 1);
		__builtin_prefetch((const void *)((uintptr_t)op + AHEAD + CACHE_LINE), 1);
#pragma GCC unroll 8
		for (int i = 0; i < turn; i++) {
			const uint8_t *const body = ip;
			const size_t it = tag, type = tag & 3, literal = tag >> 2;
			const unsigned row = tag_rows[it];
			const size_t len = LEN_OF(row),
			             offset = OFF_OF(row) + (wire_load32(body) & off_masks[type]);
			const uint8_t *const next = pick(it, body + literal + 1, body + type);
			tag = *next;
			ip = next + 1;
			const uint8_t *from = op - offset;
			if (UNLIKELY(offset < len)) {
				if (len == ROW_RARE) {
					s->ip = body - 1;
					s->op = op;
					return true;
				}
				if (offset - 1 >= (size_t)(op - out))
					return false;
				copy_pattern(op, offset, len);
				op += len;
				continue;
			}
			if (UNLIKELY(offset > (size_t)(op - out)) && type)
				return false;
			copy64(op, pick(it, body, from), w);
			op += len;
		}
	} while (LIKELY(ip < in_safe && op < out_safe));
	s->ip = ip - 1;
	s->op = op;
	return true;
}

/* One element, every step checked. */
static bool careful(struct state *s)
{
	const uint8_t *ip = s->ip;
	const unsigned tag = *ip++, type = tag & 3;
	const size_t left = (size_t)(s->in_end - ip);
	/* bytes of length or offset behind the tag */
	size_t len = (tag >> 2) + 1, extra = type == 3 ? 4 : type, told = 0;
	if (!type && len > LITERAL_LONG)
		extra = len - LITERAL_LONG;
	if (extra > left)
		return false;
	for (size_t i = 0; i < extra; i++)
		told |= (size_t)ip[i] << (8 * i);
	ip += extra;
	if (!type) {
		len = extra ? told + 1 : len;
		if (len > left - extra || len > (size_t)(s->out_end - s->op))
			return false;
		memcpy(s->op, ip, len);
		s->op += len;
		s->ip = ip + len;
		return true;
	}
	size_t offset = told;
	if (type == 1) {
		len = LEN_OF(tag_rows[tag]);
		offset += OFF_OF(tag_rows[tag]);
	}
	if (len > (size_t)(s->out_end - s->op) || offset == 0 || offset > (size_t)(s->op - s->out))
		return false;
	if (offset >= len)
		memcpy(s->op, s->op - offset, len);
	else
		copy_pattern(s->op, offset, len);
	s->op += len;
	s->ip = ip;
	return true;
}

static ALWAYS_INLINE enum err decode(struct state *s, enum width w)
{
	while (s->ip < s->in_end) {
		if (!fast(s, w, TURN) || !fast(s, w, 1))
			return ERR_MALFORMED;
		if (s->ip < s->in_end && !careful(s))
			return ERR_MALFORMED;
	}
	return s->op == s->out_end ? ERR_OK : ERR_MALFORMED;
}

static enum err decode_16(struct state *s)
{
	return decode(s, WIDTH_16);
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static enum err decode_32(struct state *s)
{
	return decode(s, WIDTH_32);
}
#endif

enum err snapz_decode(const uint8_t *in, size_t len, uint8_t *out, size_t out_len)
{
	size_t told, head = 0;
	if (snapz_length(in, len, &told) || told != out_len)
		return ERR_MALFORMED;
	while (in[head++] >= 0x80)
		;
	struct state s = {
		.ip = in + head, .in_end = in + len, .op = out, .out = out, .out_end = out + out_len
	};
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx2"))
		return decode_32(&s);
#endif
	return decode_16(&s);
}

void snapz_encode(struct buf *out, const void *data, size_t len)
{
	size_t made = snappy_max_compressed_length(len);
	if (!buf_reserve(out, made))
		return;
	snappy_status st = snappy_compress(data, len, (char *)out->data + out->len, &made);
	CHECK(st == SNAPPY_OK);
	out->len += made;
}

void snapz_put_length(struct buf *out, uint32_t len)
{
	wire_put_varint(out, len);
}

/* libsnappy compresses pieces of 64 KiB by themselves, so that no copy reaches before the part. */
void snapz_encode_part(struct buf *out, const void *data, size_t len)
{
	CHECK(len <= SNAPZ_PART);
	size_t at = out->len;
	snapz_encode(out, data, len);
	if (out->len == at)
		return;
	size_t head = 0;
	while (out->data[at + head++] >= 0x80)
		;
	memmove(out->data + at, out->data + at + head, out->len - at - head);
	out->len -= head;
}
