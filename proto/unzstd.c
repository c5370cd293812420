#include "proto/unzstd.h"

#include "core/base/mem.h"

#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

/*
 * A frame's head (RFC 8878, 3.1.1.1):
 *   4  magic 0xfd2fb528, little endian; 0x184d2a50 to ..5f: a skippable frame
 *   1  descriptor: bits 7, 6 size of the content's length; 5 the content is the window;
 *      1, 0 size of the dictionary's number
 *   0-1  window descriptor, without bit 5   0-4  dictionary   0-8  length of the content
 */
#define MAGIC        0xfd2fb528u
#define SKIP_MAGIC   0x184d2a50u
#define HEAD_LEAST   5u
#define HEAD_MOST    18u
#define WINDOW_LEAST 10u /* bits */
#define SKIP_HEAD    8u
#define BLOCK_HEAD   3u /* 3.1.1.2: bit 0 the last, 1 and 2 its type, then its size */
#define BLOCK_RLE    1u
#define FRAME_COST   32u /* of a frame, in blocks */

struct unzstd {
	ZSTD_DCtx *ctx;
	size_t allowed, wants; /* bytes of a window */
	uint8_t head[HEAD_MOST];
	unsigned head_len;
	bool inside;     /* the head has been judged, the end is yet to come */
	bool head_given; /* to the library */
};

enum err unzstd_create(struct unzstd **out)
{
	struct unzstd *z = mem_try(sizeof(*z));
	if (!z)
		return ERR_NOMEM;
	*z = (struct unzstd){ .ctx = ZSTD_createDCtx() };
	if (!z->ctx) {
		mem_free(z);
		return ERR_NOMEM;
	}
	*out = z;
	return ERR_OK;
}

static uint64_t head_number(const uint8_t *p, unsigned len)
{
	uint64_t v = 0;
	for (unsigned i = 0; i < len; i++)
		v |= (uint64_t)p[i] << 8 * i;
	return v;
}

static bool head_is_skipped(const struct unzstd *z)
{
	return (head_number(z->head, 4) & ~15u) == SKIP_MAGIC;
}

/* Sizes of its parts by the descriptor. */
static unsigned dict_size(uint8_t descriptor)
{
	static const uint8_t sizes[4] = { 0, 1, 2, 4 };
	return sizes[descriptor & 3];
}
static bool is_single(uint8_t descriptor)
{
	return descriptor & 32;
}
static unsigned content_size(uint8_t descriptor)
{
	static const uint8_t sizes[4] = { 0, 2, 4, 8 };
	return descriptor >> 6 == 0 && is_single(descriptor) ? 1 : sizes[descriptor >> 6];
}

static unsigned head_size(const struct unzstd *z)
{
	if (z->head_len < HEAD_LEAST || head_is_skipped(z))
		return HEAD_LEAST;
	uint8_t d = z->head[4];
	return HEAD_LEAST + !is_single(d) + dict_size(d) + content_size(d);
}

static uint64_t head_window(const struct unzstd *z)
{
	uint8_t d = z->head[4], w = z->head[5];
	if (head_is_skipped(z))
		return 0;
	if (!is_single(d)) {
		uint64_t base = UINT64_C(1) << (WINDOW_LEAST + (w >> 3));
		return base + base / 8 * (w & 7);
	}
	unsigned n = content_size(d);
	return head_number(z->head + HEAD_LEAST + dict_size(d), n) + (n == 2 ? 256 : 0);
}

/* The head, as far as it is there; ERR_AGAIN: its window is larger than allowed. */
static enum err head_take(struct unzstd *z, const uint8_t *in, size_t len, size_t *used)
{
	while (z->head_len < head_size(z)) {
		if (*used == len)
			return ERR_OK;
		z->head[z->head_len++] = in[(*used)++];
		if (z->head_len == 4 && head_number(z->head, 4) != MAGIC && !head_is_skipped(z))
			return ERR_MALFORMED;
	}
	uint64_t window = head_window(z);
	if (window > UNZSTD_WINDOW_MAX)
		return ERR_TOOBIG;
	if (window > z->allowed) {
		z->wants = (size_t)window;
		return ERR_AGAIN;
	}
	z->inside = true;
	z->head_given = false;
	return ERR_OK;
}

static enum err of_zstd(size_t r)
{
	switch ((int)ZSTD_getErrorCode(r)) {
	case ZSTD_error_no_error:
		return ERR_OK;
	case ZSTD_error_memory_allocation:
		return ERR_NOMEM;
	case ZSTD_error_frameParameter_windowTooLarge:
		return ERR_TOOBIG;
	default:
		return ERR_MALFORMED;
	}
}

static enum err step(struct unzstd *z, ZSTD_inBuffer *in, ZSTD_outBuffer *out)
{
	size_t r = ZSTD_decompressStream(z->ctx, out, in);
	if (!ZSTD_isError(r) && r == 0) {
		z->inside = false;
		z->head_len = 0;
	}
	return ZSTD_isError(r) ? of_zstd(r) : ERR_OK;
}

/*
 * A head that came in this call is left where it stands: the library unpacks a whole frame to its
 * place when it sees all of it, and there is room.
 */
static enum err head_give(struct unzstd *z, size_t *used, ZSTD_outBuffer *out)
{
	ZSTD_inBuffer head = { .src = z->head, .size = z->head_len };
	z->head_given = true;
	if (*used < z->head_len)
		return step(z, &head, out);
	*used = 0;
	return ERR_OK;
}

enum err unzstd_next(struct unzstd *z, const uint8_t *in, size_t len, size_t *used, uint8_t *out,
    size_t cap, size_t *out_len)
{
	ZSTD_outBuffer o = { .dst = out, .size = cap };
	*used = *out_len = 0;
	enum err e = z->inside ? ERR_OK : head_take(z, in, len, used);
	if (!e && z->inside && !z->head_given)
		e = head_give(z, used, &o);
	if (!e && z->inside) {
		ZSTD_inBuffer i = { .src = in, .size = len, .pos = *used };
		e = step(z, &i, &o);
		*used = i.pos;
	}
	*out_len = o.pos;
	return e;
}

size_t unzstd_wants(const struct unzstd *z)
{
	return z->wants - z->allowed;
}

void unzstd_allow(struct unzstd *z)
{
	z->allowed = z->wants;
}

bool unzstd_whole(const struct unzstd *z)
{
	return !z->inside && !z->head_len;
}

void unzstd_free(struct unzstd *z)
{
	if (!z)
		return;
	ZSTD_freeDCtx(z->ctx);
	mem_free(z);
}

/* --- as a whole --- */

/* Behind the blocks of a frame, *left fewer of them; len: it ends early, or none are left. */
static size_t blocks_end(const uint8_t *in, size_t len, size_t at, size_t *left)
{
	for (bool last = false; !last;) {
		if (at > len || len - at < BLOCK_HEAD || !*left)
			return len;
		uint32_t head = (uint32_t)head_number(in + at, BLOCK_HEAD);
		last = head & 1;
		at += BLOCK_HEAD + ((head >> 1 & 3) == BLOCK_RLE ? 1 : head >> 3);
		--*left;
	}
	return at;
}

/*
 * Three bytes are a block, and eight a frame, that hold nothing and take their time all the same.
 * What is none is the library's to say.
 */
static bool too_many_pieces(const uint8_t *in, size_t len)
{
	size_t left = UNZSTD_PIECES_MAX;
	for (size_t at = 0; at < len && len - at >= SKIP_HEAD;) {
		struct unzstd z = { .head_len = HEAD_LEAST };
		if (left <= FRAME_COST)
			return true;
		left -= FRAME_COST;
		memcpy(z.head, in + at, HEAD_LEAST);
		if (head_is_skipped(&z)) {
			at += SKIP_HEAD + (size_t)head_number(in + at + 4, 4);
		} else if (head_number(z.head, 4) == MAGIC) {
			at = blocks_end(in, len, at + head_size(&z), &left);
			at += z.head[4] & 4 ? 4 : 0; /* its sum */
		} else {
			break;
		}
	}
	return !left;
}

enum err unzstd_length(const uint8_t *in, size_t len, size_t *out_len)
{
	size_t sum = 0;
	if (too_many_pieces(in, len))
		return ERR_TOOBIG;
	for (size_t at = 0; at < len;) {
		size_t frame = ZSTD_findFrameCompressedSize(in + at, len - at);
		unsigned long long holds = ZSTD_getFrameContentSize(in + at, len - at);
		if (ZSTD_isError(frame) || !frame || holds == ZSTD_CONTENTSIZE_ERROR)
			return ERR_MALFORMED;
		if (holds == ZSTD_CONTENTSIZE_UNKNOWN)
			return ERR_UNSUPPORTED;
		if (holds > SIZE_MAX / 2 - sum)
			return ERR_MALFORMED;
		sum += (size_t)holds;
		at += frame;
	}
	*out_len = sum;
	return len ? ERR_OK : ERR_MALFORMED;
}

enum err unzstd_decode(struct unzstd *z, const uint8_t *in, size_t len, uint8_t *out, size_t out_len)
{
	size_t r = ZSTD_decompressDCtx(z->ctx, out, out_len, in, len);
	if (ZSTD_isError(r))
		return of_zstd(r) == ERR_NOMEM ? ERR_NOMEM : ERR_MALFORMED;
	return r == out_len ? ERR_OK : ERR_MALFORMED;
}
