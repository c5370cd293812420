/*
 * packed - bodies packed by the libraries' own compressors, to judge proto/unpack by.
 *
 * Appends to out. Thread: pure.
 */
#ifndef TESTS_LIB_PACKED_H
#define TESTS_LIB_PACKED_H

#include <snappy-c.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "core/base/buf.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "proto/unpack.h"

static inline void packed_zlib(struct buf *out, const void *data, size_t len, int window_bits)
{
	z_stream z = { 0 };
	CHECK(deflateInit2(&z, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY) == Z_OK);
	CHECK(buf_reserve(out, len + len / 100 + 1000));
	z.next_in = (Bytef *)(uintptr_t)data;
	z.avail_in = (uInt)len;
	z.next_out = out->data + out->len;
	z.avail_out = (uInt)(len + len / 100 + 1000);
	CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
	out->len += z.total_out;
	deflateEnd(&z);
}

/* A frame; window_log 0: the length of its content stands in its head, and is its window. */
static inline void packed_zstd(struct buf *out, const void *data, size_t len, int window_log)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	size_t room = ZSTD_compressBound(len) + 1000;
	CHECK(buf_reserve(out, room));
	ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
	if (window_log) {
		ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0);
		ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, window_log);
		/* Without this the length is known to the first call, and the window fits it. */
		ZSTD_inBuffer none = { .src = data, .size = 0 }, all = { .src = data, .size = len };
		ZSTD_outBuffer o = { .dst = out->data + out->len, .size = room };
		CHECK(!ZSTD_isError(ZSTD_compressStream2(c, &o, &none, ZSTD_e_continue)));
		CHECK(!ZSTD_isError(ZSTD_compressStream2(c, &o, &all, ZSTD_e_continue)));
		none.pos = 0;
		CHECK(ZSTD_compressStream2(c, &o, &none, ZSTD_e_end) == 0);
		out->len += o.pos;
	} else {
		size_t n = ZSTD_compress2(c, out->data + out->len, room, data, len);
		CHECK(!ZSTD_isError(n));
		out->len += n;
	}
	ZSTD_freeCCtx(c);
}

static inline void packed_chunk(struct buf *out, uint8_t type, const void *data, size_t len)
{
	const uint8_t head[4] = { type, (uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16) };
	buf_add(out, head, sizeof(head));
	buf_add(out, data, len);
}

/* framing_format.txt of snappy, around blocks by libsnappy; every third piece is not packed. */
static inline void packed_framed(struct buf *out, const void *data, size_t len, size_t piece)
{
	const uint8_t *p = data;
	unsigned n = 0;
	packed_chunk(out, 0xff, "sNaPpY", 6);
	for (size_t at = 0; at < len; at += piece, n++) {
		size_t some = len - at < piece ? len - at : piece;
		uint32_t c = crc32c(0, p + at, some), sum = (c >> 15 | c << 17) + 0xa282ead8u;
		size_t packed_len = snappy_max_compressed_length(some);
		char *block = mem_alloc(packed_len + 4);
		const uint8_t le[4] = { (uint8_t)sum, (uint8_t)(sum >> 8), (uint8_t)(sum >> 16),
			(uint8_t)(sum >> 24) };
		memcpy(block, le, 4);
		if (n % 3 == 2) {
			packed_len = some;
			memcpy(block + 4, p + at, some);
		} else {
			CHECK(snappy_compress((const char *)p + at, some, block + 4, &packed_len) ==
			    SNAPPY_OK);
		}
		packed_chunk(out, n % 3 == 2, block, packed_len + 4);
		mem_free(block);
	}
}

static inline void packed_by(struct buf *out, enum unpack_form form, const void *data, size_t len)
{
	switch (form) {
	case UNPACK_GZIP:
		packed_zlib(out, data, len, 15 + 16);
		break;
	case UNPACK_DEFLATE:
		packed_zlib(out, data, len, 15);
		break;
	case UNPACK_ZSTD:
		packed_zstd(out, data, len, 0);
		break;
	case UNPACK_SNAPPY_FRAMED:
		packed_framed(out, data, len, 65536);
		break;
	}
}

/*
 * All of in, by pieces; at most `most` bytes of it (enough of a bomb). 0 when it was whole.
 */
static inline enum err packed_unpack(
    enum unpack_form form, const struct buf *in, size_t piece, size_t most, struct buf *out)
{
	static uint8_t step[UNPACK_STEP];
	struct unpack *u;
	bool wants;
	enum err e = unpack_create(form, &u);
	CHECK(!e);
	for (size_t at = 0; !e && at < in->len && out->len < most;) {
		size_t n = in->len - at < piece ? in->len - at : piece, used, got;
		do {
			e = unpack_next(u, in->data + at, n, &used, step, sizeof(step), &got);
			CHECK(used <= n && got <= sizeof(step));
			buf_add(out, step, got);
			at += used;
			n -= used;
			wants = e == ERR_AGAIN;
			if (wants) {
				unpack_allow(u);
				e = ERR_OK;
			}
		} while (!e && (n || got || wants) && out->len < most);
	}
	if (!e && out->len < most && !unpack_whole(u))
		e = ERR_TRUNCATED;
	unpack_free(u);
	return e;
}

#endif
