#include "tests/lib/tap.h"

#include "core/base/arena.h"
#include "core/base/hash.h"
#include "proto/snapz.h"

#include <snappy-c.h>

static enum err decode(const char *in, size_t len, uint8_t *out, size_t *out_len)
{
	enum err err = snapz_length((const uint8_t *)in, len, out_len);
	return err ? err : snapz_decode((const uint8_t *)in, len, out, *out_len);
}
#define BYTES(s) s, sizeof(s) - 1

static void hand_made(void)
{
	uint8_t out[4096 + SNAPZ_SLOP];
	size_t n;
	TAP_OK(decode(BYTES("\x00"), out, &n) == ERR_OK && n == 0);
	tap_ok(!decode(BYTES("\x05\x10hello"), out, &n), "a literal is taken");
	tap_is_mem(out, n, "hello", 5, "and gives its bytes");
	tap_ok(!decode(BYTES("\x09\x00"
	                     "a\x11\x01"),
	           out, &n),
	    "a copy that overlaps itself is taken");
	tap_is_mem(out, n, "aaaaaaaaa", 9, "and repeats the byte");
	tap_ok(!decode(BYTES("\x13\x08"
	                     "abc\x3e\x03\x00"),
	           out, &n),
	    "a pattern of three bytes with a 16-bit offset");
	tap_is_mem(out, n, "abcabcabcabcabcabca", 19, "is repeated");
	tap_ok(!decode(BYTES("\x06\x04"
	                     "ab\x0f\x02\x00\x00\x00"),
	           out, &n),
	    "a 32-bit offset");
	tap_is_mem(out, n, "ababab", 6, "works alike");
	tap_ok(!decode(BYTES("\x03\xf0\x02"
	                     "abc"),
	           out, &n),
	    "a literal may say its length in a longer form");
	tap_is_mem(out, n, "abc", 3, "than it needs");
}

static void refused(void)
{
	uint8_t out[4096 + SNAPZ_SLOP];
	size_t n;
	static const struct {
		const char *bytes;
		size_t len;
		const char *why;
	} bad[] = {
		{ BYTES(""), "nothing at all" },
		{ BYTES("\x80"), "a length cut short" },
		{ BYTES("\xff\xff\xff\xff\xff\x01"), "a length of six bytes" },
		{ BYTES("\xff\xff\xff\xff\x1f"), "a length over 32 bits" },
		{ BYTES("\x05\x10hell"), "a literal cut short" },
		{ BYTES("\x04\x10hello"), "more bytes than announced" },
		{ BYTES("\x06\x10hello"), "fewer bytes than announced" },
		{ BYTES("\x09\x00"
		        "a\x11\x00"),
		    "an offset of nothing" },
		{ BYTES("\x09\x00"
		        "a\x11\x02"),
		    "an offset before the start" },
		{ BYTES("\x04\x01\x01"), "a copy before any byte" },
		{ BYTES("\x06\x04"
		        "ab\x0f\x02\x00\x00"),
		    "an offset cut short" },
		{ BYTES("\x06\xf4\x05"
		        "a"),
		    "a length of a literal cut short" },
		{ BYTES("\x05\x10hello\x00z"), "an element too many" },
	};
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		tap_ok(decode(bad[i].bytes, bad[i].len, out, &n) == ERR_MALFORMED, "refused: %s",
		    bad[i].why);
}

static void limits(void)
{
	size_t n;
	tap_ok(snapz_length((const uint8_t *)"\x81\x80\x80\x80\x04", 5, &n) == ERR_TOOBIG,
	    "a length over 1 GiB is refused");
	tap_ok(snapz_length((const uint8_t *)"\x80\x80\x80\x10", 4, &n) == ERR_TOOBIG,
	    "a length over 22 times the body is refused");
	uint8_t body[100] = { 0 };
	unsigned most = 100 * SNAPZ_RATIO_MAX + SNAPZ_RATIO_FREE;
	body[0] = (uint8_t)(most | 0x80);
	body[1] = (uint8_t)(most >> 7);
	tap_ok(!snapz_length(body, 100, &n) && n == most, "22 times and 64 bytes pass");
	body[0]++;
	tap_ok(snapz_length(body, 100, &n) == ERR_TOOBIG, "one more does not");
}

/* A body with repetition at all distances, and its mutations: libsnappy judges. */
static void against_libsnappy(void)
{
	enum {
		SIZE = 20000,
		ROUNDS = 20000
	};
	uint8_t *plain = mem_alloc(SIZE), *ours = mem_alloc(SIZE * 2 + SNAPZ_SLOP),
	        *judges = mem_alloc(SIZE * 2);
	uint64_t rnd = 1;
	unsigned verdicts = 0, bytes = 0, taken = 0;
	for (unsigned round = 0; round < ROUNDS; round++) {
		size_t size = 1 + (rnd = hash_mix64(rnd + round)) % (round % 10 ? 600 : SIZE);
		for (size_t i = 0; i < size; i++) {
			rnd = hash_mix64(rnd + i);
			size_t back = 1 + rnd % (rnd & 0x10000 ? 20 : 300);
			plain[i] =
			    rnd >> 40 & 7 && i >= back ? plain[i - back] : (uint8_t)(rnd >> 50);
			if (i && rnd >> 20 & 3)
				plain[i] = plain[i - 1 - (i > 40 ? (rnd >> 22 & 31) : 0)];
		}
		struct buf packed;
		buf_init(&packed);
		snapz_encode(&packed, plain, size);
		unsigned changes = round % 4;
		for (unsigned c = 0; c < changes; c++) {
			rnd = hash_mix64(rnd + c);
			packed.data[rnd % packed.len] = (uint8_t)(rnd >> 32);
		}
		size_t len, judge_len;
		enum err err = snapz_length(packed.data, packed.len, &len);
		if (!err && len <= SIZE * 2 &&
		    snappy_uncompressed_length((char *)packed.data, packed.len, &judge_len) ==
		        SNAPPY_OK) {
			err = snapz_decode(packed.data, packed.len, ours, len);
			bool judge = snappy_uncompress((char *)packed.data, packed.len,
			                 (char *)judges, &judge_len) == SNAPPY_OK;
			verdicts += (err == ERR_OK) != judge;
			bytes += judge && !err && memcmp(ours, judges, len);
			taken += !err;
		}
		buf_release(&packed);
	}
	tap_is_u64(verdicts, 0, "libsnappy gives the same verdicts on %d bodies", ROUNDS);
	tap_is_u64(bytes, 0, "and the same bytes");
	tap_ok(taken > ROUNDS / 4, "a good part of them is valid");
	mem_free(plain);
	mem_free(ours);
	mem_free(judges);
}

int main(void)
{
	hand_made();
	refused();
	limits();
	against_libsnappy();
	return tap_done();
}
