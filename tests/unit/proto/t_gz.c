#include "tests/lib/tap.h"

#include "core/base/arena.h"
#include "core/base/hash.h"
#include "proto/gz.h"
#include "proto/pbmem.h"

#include <zlib.h>

/* Inflates with the window bits that fit one form only. */
static bool same(const struct buf *packed, int window_bits, const struct buf *plain)
{
	z_stream z = { 0 };
	uint8_t *out = mem_alloc(plain->len + 1);
	CHECK(inflateInit2(&z, window_bits) == Z_OK);
	z.next_in = packed->data;
	z.avail_in = (uInt)packed->len;
	z.next_out = out;
	z.avail_out = (uInt)plain->len + 1;
	int rc = inflate(&z, Z_FINISH);
	bool ok = rc == Z_STREAM_END && z.total_out == plain->len &&
	    !memcmp(out, plain->data, plain->len);
	inflateEnd(&z);
	mem_free(out);
	return ok;
}

static void round_trip(enum gz_form form, int window_bits, size_t piece)
{
	struct buf plain, packed;
	struct gz *g;
	buf_init(&plain);
	buf_init(&packed);
	for (int i = 0; i < 20000; i++)
		buf_printf(&plain, "[%d,\"%d\"],", 1755000000 + i * 15,
		    (int)(hash_mix64((uint64_t)i) % 1000));
	tap_ok(!gz_create(form, 1, &g), "a stream of %s", gz_token(form));
	for (size_t at = 0; at < plain.len; at += piece)
		gz_push(g, plain.data + at, at + piece < plain.len ? piece : plain.len - at, &packed);
	gz_finish(g, &packed);
	gz_free(g);
	tap_ok(same(&packed, window_bits, &plain), "pieces of %zu come back", piece);
	tap_ok(packed.len < plain.len / 2, "and were smaller: %zu of %zu", packed.len, plain.len);
	buf_release(&plain);
	buf_release(&packed);
}

static void chosen(void)
{
	static const struct {
		const char *header;
		enum gz_form form;
	} cases[] = {
		{ "", GZ_NONE },
		{ "gzip", GZ_GZIP },
		{ "br, GZIP;q=0.5", GZ_GZIP },
		{ "deflate, gzip", GZ_DEFLATE },
		{ "gzip;q=0, deflate", GZ_DEFLATE },
		{ "gzip; q=0.000", GZ_NONE },
		{ "identity,*", GZ_NONE },
		{ " ,, gzip\t", GZ_GZIP },
		{ "gzipped", GZ_NONE },
		{ "averyveryverylongtokenindeed", GZ_NONE },
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		tap_ok(gz_choose(cases[i].header, strlen(cases[i].header)) == cases[i].form,
		    "Accept-Encoding \"%s\"", cases[i].header);
}

static void taken(void)
{
	static const struct {
		const char *header;
		bool gzip, deflate;
	} cases[] = {
		{ "", false, false },
		{ "deflate, br, gzip", true, true },
		{ "*", true, true },
		{ "*;q=0", false, false },
		{ "gzip;q=0, *", false, true },
		{ "*, gzip;q=0.0", false, true },
		{ "identity", false, false },
		{ "X-GZIP", true, false },
		{ "gzip;q=0.001", true, false },
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const char *h = cases[i].header;
		tap_ok(gz_takes(h, strlen(h), GZ_GZIP) == cases[i].gzip &&
		        gz_takes(h, strlen(h), GZ_DEFLATE) == cases[i].deflate,
		    "Accept-Encoding \"%s\" takes", h);
	}
}

static void gone_before_the_end(void)
{
	struct gz *g;
	struct buf out;
	buf_init(&out);
	CHECK(!gz_create(GZ_GZIP, 1, &g));
	gz_push(g, "abc", 3, &out);
	gz_flush(g, &out);
	tap_ok(out.len > 10, "a flush gives what is there");
	gz_free(g);
	gz_free(NULL);
	buf_release(&out);
}

static void messages_on_an_arena(void)
{
	struct arena a;
	struct pbmem m;
	arena_init(&a, 256);
	pbmem_init(&m, &a, 100);
	tap_ok(m.allocator.alloc(m.allocator.allocator_data, 60) && !pbmem_over(&m),
	    "an allocation within the limit");
	tap_ok(!m.allocator.alloc(m.allocator.allocator_data, 41) && pbmem_over(&m),
	    "one beyond it is refused, and told");
	tap_ok(m.allocator.alloc(m.allocator.allocator_data, 40), "what is left may still be had");
	arena_release(&a);
}

int main(void)
{
	round_trip(GZ_GZIP, 15 + 16, 1000);
	round_trip(GZ_DEFLATE, 15, 100000);
	round_trip(GZ_GZIP, 15 + 16, 7);
	chosen();
	taken();
	gone_before_the_end();
	messages_on_an_arena();
	return tap_done();
}
