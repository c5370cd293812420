#include "tests/lib/tap.h"

#include "proto/unsnapf.h"
#include "proto/unzstd.h"
#include "tests/lib/packed.h"

#define MOST ((size_t)1 << 30)

static struct buf plain;

static bool gives(enum unpack_form form, const struct buf *packed, size_t piece, size_t times)
{
	struct buf out;
	buf_init(&out);
	bool fine = !packed_unpack(form, packed, piece, MOST, &out) && out.len == times * plain.len;
	for (size_t i = 0; fine && i < times; i++)
		fine = !memcmp(out.data + i * plain.len, plain.data, plain.len);
	buf_release(&out);
	return fine;
}

static enum err verdict(enum unpack_form form, const struct buf *packed)
{
	struct buf out;
	buf_init(&out);
	enum err e = packed_unpack(form, packed, SIZE_MAX, MOST, &out);
	buf_release(&out);
	return e;
}

static void in_pieces(enum unpack_form form, const struct buf *packed, const char *what)
{
	static const size_t pieces[] = { 1, 7, 1000, SIZE_MAX };
	bool fine = true;
	for (size_t i = 0; i < COUNT_OF(pieces); i++)
		fine &= gives(form, packed, pieces[i], 1);
	tap_ok(fine, "%s, in pieces of any size", what);
}

static void cut_and_turned(enum unpack_form form, struct buf *packed, size_t head, const char *what)
{
	bool cut = true, turned = true;
	size_t len = packed->len;
	for (size_t n = 1; n < len; n += 1 + n / 50) {
		packed->len = n;
		enum err e = verdict(form, packed);
		/* Between two chunks a framed body may end. */
		cut &= e == ERR_TRUNCATED || (form == UNPACK_SNAPPY_FRAMED && !e);
	}
	packed->len = len;
	for (size_t n = head; n < len && form != UNPACK_DEFLATE; n += 1 + n / 50) {
		packed->data[n] ^= 0x55;
		turned &= !gives(form, packed, SIZE_MAX, 1);
		packed->data[n] ^= 0x55;
	}
	tap_ok(cut, "%s, cut: never whole", what);
	tap_ok(turned, "%s, damaged: never the same", what);
}

static void form_case(enum unpack_form form, size_t head)
{
	struct buf packed;
	const char *what = unpack_name(form);
	buf_init(&packed);
	packed_by(&packed, form, plain.data, plain.len);
	in_pieces(form, &packed, what);
	cut_and_turned(form, &packed, head, what);
	packed_by(&packed, form, plain.data, plain.len);
	bool twice = form != UNPACK_DEFLATE;
	tap_ok(twice ? gives(form, &packed, 1000, 2) : verdict(form, &packed) == ERR_MALFORMED,
	    "%s, two behind each other: %s", what, twice ? "one body" : "an error");
	buf_add_str(&packed, "tail of it");
	tap_is_i64(verdict(form, &packed), ERR_MALFORMED, "%s, with a tail", what);
	buf_clear(&packed);
	buf_add_str(&packed, "hello, not packed at all");
	/* Any two bytes may begin a raw deflate. */
	enum err e = verdict(form, &packed);
	tap_ok(e == ERR_MALFORMED || (form == UNPACK_DEFLATE && e), "plain text is no %s", what);
	buf_clear(&packed);
	tap_is_i64(verdict(form, &packed), 0, "%s of nothing", what);
	buf_release(&packed);
}

/* --- zstd --- */

static void windows(void)
{
	struct buf packed;
	buf_init(&packed);
	packed_zstd(&packed, plain.data, plain.len, 20);
	in_pieces(UNPACK_ZSTD, &packed, "zstd without its length");
	struct unzstd *z;
	size_t used, got;
	static uint8_t out[UNPACK_STEP];
	CHECK(!unzstd_create(&z));
	enum err e = unzstd_next(z, packed.data, packed.len, &used, out, sizeof(out), &got);
	tap_ok(e == ERR_AGAIN && !got && unzstd_wants(z) == 1 << 20,
	    "a window is asked for before it is taken: %zu", unzstd_wants(z));
	unzstd_allow(z);
	e = unzstd_next(z, packed.data + used, packed.len - used, &used, out, sizeof(out), &got);
	tap_ok(!e && got == sizeof(out), "then it goes on");
	unzstd_free(z);
	buf_clear(&packed);
	packed_zstd(&packed, plain.data, plain.len, 23);
	tap_ok(gives(UNPACK_ZSTD, &packed, SIZE_MAX, 1), "8 MiB are a window");
	buf_clear(&packed);
	packed_zstd(&packed, plain.data, plain.len, 24);
	tap_is_i64(verdict(UNPACK_ZSTD, &packed), ERR_TOOBIG, "16 MiB are too much");
	buf_clear(&packed);
	static const uint8_t skipped[] = { 0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3 };
	buf_add(&packed, skipped, sizeof(skipped));
	packed_zstd(&packed, plain.data, plain.len, 0);
	buf_add(&packed, skipped, sizeof(skipped));
	tap_ok(gives(UNPACK_ZSTD, &packed, 3, 1), "frames to be skipped are");
	buf_clear(&packed);
	packed_zstd(&packed, "", 0, 0);
	tap_is_i64(verdict(UNPACK_ZSTD, &packed), 0, "a frame of nothing");
	packed_zstd(&packed, plain.data, plain.len, 0);
	tap_ok(gives(UNPACK_ZSTD, &packed, SIZE_MAX, 1), "and one behind it");
	buf_release(&packed);
}

/* --- snappy --- */

static enum err framed(const char *what, size_t len)
{
	struct buf packed;
	buf_init(&packed);
	buf_add(&packed, what, len);
	enum err e = verdict(UNPACK_SNAPPY_FRAMED, &packed);
	buf_release(&packed);
	return e;
}
#define FRAMED(text) framed(text, sizeof(text) - 1)
#define BEGIN        "\xff\6\0\0sNaPpY"

static void chunks(void)
{
	struct buf packed;
	buf_init(&packed);
	packed_framed(&packed, plain.data, plain.len, 100);
	tap_ok(gives(UNPACK_SNAPPY_FRAMED, &packed, 13, 1), "many small chunks");
	buf_release(&packed);
	tap_is_i64(FRAMED(BEGIN), 0, "its begin alone holds nothing");
	tap_is_i64(FRAMED(BEGIN "\xfe\3\0\0abc\x80\0\0\0" BEGIN), 0, "what may be skipped is");
	tap_is_i64(FRAMED(BEGIN "\x7f\3\0\0abc"), ERR_MALFORMED, "what may not is not");
	tap_is_i64(FRAMED("\1\5\0\0abcde"), ERR_MALFORMED, "it begins with its begin");
	tap_is_i64(FRAMED("\xff\6\0\0sNaPpy"), ERR_MALFORMED, "as it is written");
	tap_is_i64(FRAMED(BEGIN "\1\5\0\0abcde"), ERR_MALFORMED, "a wrong sum");
	tap_is_i64(FRAMED(BEGIN "\1\3\0\0abc"), ERR_MALFORMED, "no room for a sum");
	tap_is_i64(FRAMED(BEGIN "\1\5\0\1abcde"), ERR_MALFORMED, "more than 64 KiB in a chunk");
	tap_is_i64(FRAMED(BEGIN "\0\5\0\2abcde"), ERR_MALFORMED, "packed, too");
}

/* n times a piece behind a head, then an end. */
static enum err length_of(const char *head, size_t head_len, const char *piece, size_t piece_len,
    size_t n, const char *end, size_t end_len, size_t *out)
{
	struct buf b;
	buf_init(&b);
	buf_add(&b, head, head_len);
	for (size_t i = 0; i < n; i++)
		buf_add(&b, piece, piece_len);
	buf_add(&b, end, end_len);
	enum err e = unzstd_length(b.data, b.len, out);
	buf_release(&b);
	return e;
}

/* Pieces that hold nothing: as many as a loop looks at in a turn. */
static void test_zstd_pieces(void)
{
	static const char head[] = "\x28\xb5\x2f\xfd\x20\0", last[] = "\1\0\0", block[] = "\0\0\0";
	static const char frame[] = "\x28\xb5\x2f\xfd\x20\0\1\0\0",
	                  skipped[] = "\x50\x2a\x4d\x18\0\0\0\0", sum[] = "\x28\xb5\x2f\xfd\x24\0";
	size_t len = 1;
	tap_ok(!length_of(head, 6, block, 3, 1000, last, 3, &len) && !len, "a thousand empty blocks");
	tap_ok(length_of(head, 6, block, 3, UNZSTD_PIECES_MAX, last, 3, &len) == ERR_TOOBIG,
	    "very many are too many");
	tap_ok(!length_of(frame, 9, frame, 9, 1000, "", 0, &len) && !len, "a thousand empty frames");
	tap_ok(length_of(frame, 9, frame, 9, 10000, "", 0, &len) == ERR_TOOBIG, "ten thousand");
	tap_ok(!length_of(frame, 9, skipped, 8, 1000, frame, 9, &len) && !len,
	    "a thousand that are skipped");
	tap_ok(length_of(frame, 9, skipped, 8, 10000, frame, 9, &len) == ERR_TOOBIG, "ten thousand");
	tap_ok(!length_of(sum, 6, block, 3, 1000, "\1\0\0\x99\xe9\xd8\x51", 7, &len) && !len,
	    "with a sum behind them");
	tap_ok(length_of("", 0, sum, 6, 10000, "", 0, &len) == ERR_MALFORMED,
	    "what is none is malformed");
}

int main(void)
{
	buf_init(&plain);
	for (int i = 0; i < 20000; i++)
		buf_printf(&plain, "%d,%d;", i, (int)(hash_mix64((uint64_t)i) % 1000));
	form_case(UNPACK_GZIP, 12);
	form_case(UNPACK_DEFLATE, 2);
	form_case(UNPACK_ZSTD, 4);
	form_case(UNPACK_SNAPPY_FRAMED, 4);
	windows();
	chunks();
	test_zstd_pieces();
	buf_release(&plain);
	return tap_done();
}
