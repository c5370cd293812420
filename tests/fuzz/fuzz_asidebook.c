/*
 * Any bytes as the book of what lies aside. Bit 0 of the first byte: they are the content of one
 * copy, which gets its head and its checksum; so the fuzzer comes to what stands behind it. What is
 * read says the same when it is written and read again; asking is safe.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/wire.h"
#include "storage/asidebook.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool hides(
    const struct asidebook *b, uint32_t slot, const struct asidebook_cut *c, struct labels ls)
{
	uint32_t *cuts = mem_array(NULL, b->cuts_count + 1, sizeof(*cuts));
	size_t count = asidebook_cuts_of(b, c->tenant, ls, cuts);
	bool is = asidebook_hides(b, cuts, count, slot, c->t_min_ms);
	mem_free(cuts);
	return is;
}

static void check(const struct asidebook *b)
{
	struct buf first, second;
	struct asidebook again;
	const uint8_t name[] = "\0";
	struct labels none = { .bytes = name, .len = 0 };
	asidebook_init(&again, b->shards);
	buf_init(&first);
	buf_init(&second);
	asidebook_encode(b, &first);
	CHECK(asidebook_decode(&again, first.data, first.len) == ERR_OK);
	asidebook_encode(&again, &second);
	CHECK(first.len == second.len && !memcmp(first.data, second.data, first.len));
	for (size_t i = 0; i < b->cuts_count && i < 40; i++) {
		const struct asidebook_cut *c = &b->cuts[i];
		uint32_t slot = c->slots_count ? c->slots[0] : 0;
		CHECK(hides(b, slot, c, none) == hides(&again, slot, c, none));
	}
	for (size_t i = 0; i < b->files_count && i < 40; i++)
		CHECK(asidebook_find(b, b->files[i].slot) != NULL);
	asidebook_release(&again);
	buf_release(&first);
	buf_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct asidebook b;
	struct buf in;
	if (!size)
		return 0;
	buf_init(&in);
	if (data[0] & 1) {
		buf_add_str(&in, "KYMOASD1");
		wire_put_u32(&in, (uint32_t)(size - 1));
	}
	buf_add(&in, data + 1, size - 1);
	if (data[0] & 1)
		wire_put_u32(&in, crc32c(0, in.data, in.len));
	asidebook_init(&b, 2);
	if (!asidebook_decode(&b, in.data, in.len))
		check(&b);
	asidebook_release(&b);
	buf_release(&in);
	return 0;
}
