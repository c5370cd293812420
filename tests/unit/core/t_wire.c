#include "core/base/wire.h"
#include "tests/lib/tap.h"

static uint64_t seed = 88172645463325252u;
static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

int main(void)
{
	struct buf b;
	buf_init(&b);
	static uint64_t v[3000];
	for (unsigned i = 0; i < 3000; i++) {
		v[i] = rnd() >> (rnd() % 64);
		wire_put_varint(&b, v[i]);
		wire_put_zigzag(&b, (int64_t)v[i]);
		wire_put_u16(&b, (uint16_t)v[i]);
		wire_put_u32(&b, (uint32_t)v[i]);
		wire_put_u64(&b, v[i]);
		wire_put_f64(&b, (double)v[i]);
		wire_put_lenbytes(&b, &v[i], v[i] % 9);
	}
	struct wire_reader r = wire_reader(b.data, b.len);
	unsigned bad = 0;
	for (unsigned i = 0; i < 3000; i++) {
		size_t n;
		const uint8_t *start = r.p;
		bad += wire_varint(&r) != v[i];
		bad += (size_t)(r.p - start) != wire_varint_len(v[i]);
		bad += wire_zigzag(&r) != (int64_t)v[i];
		bad += wire_u16(&r) != (uint16_t)v[i];
		bad += wire_u32(&r) != (uint32_t)v[i];
		bad += wire_u64(&r) != v[i];
		bad += wire_f64(&r) != (double)v[i];
		const uint8_t *p = wire_lenbytes(&r, &n);
		bad += n != v[i] % 9 || memcmp(p, &v[i], n) != 0;
	}
	tap_ok(bad == 0 && !r.bad && wire_left(&r) == 0, "what was written is read");
	unsigned wrong = 0;
	for (size_t cut = 0; cut < 200; cut++) {
		r = wire_reader(b.data, cut);
		while (!r.bad) {
			size_t n;
			wire_varint(&r);
			wire_zigzag(&r);
			wire_u16(&r);
			wire_u32(&r);
			wire_u64(&r);
			wire_f64(&r);
			wire_lenbytes(&r, &n);
		}
		size_t n = 5;
		wrong += wire_u8(&r) != 0 || wire_varint(&r) != 0 ||
		    wire_lenbytes(&r, &n) != NULL || n != 0 || wire_bytes(&r, 0) != NULL;
	}
	tap_is_u64(wrong, 0, "a cut end is bad for good, and gives zeros");
	static const uint8_t ten[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01 };
	r = wire_reader(ten, 10);
	tap_ok(wire_varint(&r) == UINT64_MAX && !r.bad, "ten bytes hold 64 bits");
	static const uint8_t over[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02 };
	r = wire_reader(over, 10);
	tap_ok(wire_varint(&r) == 0 && r.bad, "a 65th bit is an error");
	static const uint8_t eleven[] = { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
		0x80, 0x00 };
	r = wire_reader(eleven, 11);
	tap_ok(wire_varint(&r) == 0 && r.bad, "eleven bytes are an error");
	static const uint8_t huge[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
		'x' };
	size_t n;
	r = wire_reader(huge, sizeof(huge));
	tap_ok(!wire_lenbytes(&r, &n) && r.bad && n == 0, "a length beyond the end is an error");
	uint8_t text[10];
	tap_is_u64((uint64_t)(wire_store_varint(text, UINT64_MAX) - text), 10,
	    "the longest varint has ten bytes");
	TAP_OK(wire_varint_len(0) == 1 && wire_varint_len(127) == 1 && wire_varint_len(128) == 2 &&
	    wire_varint_len(UINT64_MAX) == 10);
	static const char *const base64[] = { "", "Zg==", "Zm8=", "Zm9v",
		"Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy" }; /* RFC 4648, 10 */
	for (size_t i = 0; i < COUNT_OF(base64); i++) {
		size_t len = strlen(base64[i]), bare = strcspn(base64[i], "=");
		buf_clear(&b);
		wire_put_base64(&b, "foobar", i, true);
		wire_put_base64(&b, "foobar", i, false);
		tap_ok(b.len == len + bare && (!len || !memcmp(b.data, base64[i], len)) &&
		        (!bare || !memcmp(b.data + len, base64[i], bare)),
		    "base64 of %zu bytes, padded and not", i);
	}
	buf_release(&b);
	return tap_done();
}
