#include "tests/lib/tap.h"

#include "core/base/buf.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "proto/gunz.h"

#include <zlib.h>

static struct buf plain;

static void pack(struct buf *out, int window_bits)
{
	z_stream z = { 0 };
	CHECK(deflateInit2(&z, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY) == Z_OK);
	CHECK(buf_reserve(out, plain.len + 1000));
	z.next_in = plain.data;
	z.avail_in = (uInt)plain.len;
	z.next_out = out->data + out->len;
	z.avail_out = (uInt)plain.len + 1000;
	CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
	out->len += z.total_out;
	deflateEnd(&z);
}

/* All of in, piece by piece; 0 when it was whole and nothing was left. */
static enum err unpack(const struct buf *in, enum gz_form form, size_t piece, struct buf *out)
{
	static uint8_t step[GUNZ_STEP];
	struct gunz *z;
	enum err e = gunz_create(form, &z);
	CHECK(!e);
	for (size_t at = 0; !e && at < in->len;) {
		size_t n = in->len - at < piece ? in->len - at : piece, used, got;
		do {
			e = gunz_next(z, in->data + at, n, &used, step, &got);
			buf_add(out, step, got);
			at += used;
			n -= used;
		} while (!e && (n || got == GUNZ_STEP));
	}
	if (!e && !gunz_whole(z))
		e = ERR_TRUNCATED;
	gunz_free(z);
	return e;
}

static void round_trip(enum gz_form form, int window_bits, const char *what)
{
	struct buf packed, out;
	buf_init(&packed);
	pack(&packed, window_bits);
	static const size_t pieces[] = { 1, 7, 1000, 1 << 30 };
	bool fine = true;
	for (size_t i = 0; i < COUNT_OF(pieces); i++) {
		buf_init(&out);
		fine &= !unpack(&packed, form, pieces[i], &out) && out.len == plain.len &&
		    !memcmp(out.data, plain.data, plain.len);
		buf_release(&out);
	}
	tap_ok(fine, "%s, in pieces of any size", what);
	bool cut = true, turned = true;
	for (size_t n = 1; n < packed.len; n += 1 + n / 50) {
		struct buf some = packed;
		some.len = n;
		buf_init(&out);
		cut &= unpack(&some, form, 1 << 30, &out) == ERR_TRUNCATED;
		buf_release(&out);
	}
	tap_ok(cut, "%s, cut: never whole", what);
	for (size_t n = 12; n < packed.len && form == GZ_GZIP; n += 1 + n / 50) {
		packed.data[n] ^= 0x55;
		buf_init(&out);
		turned &= unpack(&packed, form, 1 << 30, &out) != 0;
		buf_release(&out);
		packed.data[n] ^= 0x55;
	}
	tap_ok(turned, "%s, damaged: never whole", what);
	buf_release(&packed);
}

int main(void)
{
	struct buf packed, out;
	buf_init(&plain);
	for (int i = 0; i < 20000; i++)
		buf_printf(&plain, "%d,%d;", i, (int)(hash_mix64((uint64_t)i) % 1000));
	round_trip(GZ_GZIP, 15 + 16, "gzip");
	round_trip(GZ_DEFLATE, 15, "deflate");
	round_trip(GZ_DEFLATE, -15, "deflate without a head");
	buf_init(&packed);
	buf_init(&out);
	pack(&packed, 15 + 16);
	pack(&packed, 15 + 16);
	tap_ok(!unpack(&packed, GZ_GZIP, 1000, &out) && out.len == 2 * plain.len,
	    "two members are one body");
	buf_clear(&out);
	buf_add_str(&packed, "tail");
	tap_is_i64(unpack(&packed, GZ_GZIP, 1000, &out), ERR_MALFORMED, "a tail is not");
	buf_release(&packed);
	buf_clear(&out);
	buf_add_str(&packed, "hello, not packed at all");
	tap_is_i64(unpack(&packed, GZ_GZIP, 1000, &out), ERR_MALFORMED, "plain text is not gzip");
	packed.len = 0;
	tap_is_i64(unpack(&packed, GZ_GZIP, 1000, &out), 0, "nothing is a body of nothing");
	buf_release(&packed);
	buf_release(&out);
	buf_release(&plain);
	return tap_done();
}
