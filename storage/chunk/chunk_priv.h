/*
 * chunk_priv - what the encoder, the decoder and pack.c share: the bytes of a stream's head and of
 * its tokens, and streams of at most CHUNK_SUB numbers, made in place and in one sub-block.
 */
#ifndef STORAGE_CHUNK_CHUNK_PRIV_H
#define STORAGE_CHUNK_CHUNK_PRIV_H

#include "core/base/num.h"
#include "core/base/wire.h"
#include "core/model/sample.h"
#include "storage/chunk/bitpack.h"
#include "storage/chunk/chunk.h"

/* Head byte and tokens: the format table is in chunk.h. */
#define HEAD_CODE  0x1fu
#define HEAD_STEP  0x20u
#define HEAD_CONST 0x40u
#define HEAD_EXTRA 0x80u

#define TOKEN_LINE    0x20u /* below 0x40 the token is a run */
#define TOKEN_RUN_MAX 32u
#define WIDTH_64      57u /* how a token spells width 64 */
#define WIDTH_DENSE   58u /* and up to 61: the dense form */
#define DENSE_RAW     1u
#define DENSE_NEW     2u
#define FLAG_COUNT    0x1fu
#define FLAG_RAW      0x20u
#define FLAG_NOBASE   0x40u
#define RAW_STALE     0x80u

enum mode {
	MODE_RUN = 0,
	MODE_OFFSET = 1,
	MODE_DELTA = 2,
	MODE_DELTA2 = 3
};

extern const double chunk_pow10[CHUNK_CODE_DECIMAL_MAX + 1];

/*
 * The pattern of a double as an integer in numeric order, and back: negative ones have their lower
 * 63 bits turned over.
 */
static inline uint64_t order_bits(uint64_t u)
{
	return u ^ ((uint64_t)((int64_t)u >> 63) >> 1);
}

static inline unsigned bit_len(uint64_t v)
{
	return v ? 64u - (unsigned)__builtin_clzll(v) : 0;
}

#endif
