/*
 * Any bytes as a file of deletions. Bit 0 of the first byte: they are one copy without its
 * checksum, which gets one and a second copy; so the fuzzer comes to what stands behind it. What is
 * read says the same when it is written and read again, and each question is answered as a plain
 * walk over all entries answers it.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/hash.h"
#include "core/base/wire.h"
#include "storage/cfile/tombs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool plain(const struct tombs *t, uint32_t id, uint64_t rank, int64_t t_ms, bool numbers)
{
	for (size_t i = 0; i < t->count; i++) {
		const struct tomb_cut *c = &t->cuts[t->entries[i].cut];
		bool counts = numbers ? c->number >= rank : c->rank > rank;
		if (t->entries[i].id == id && (counts || tomb_cut_is_whole(c)) &&
		    t_ms >= c->t_min_ms && t_ms <= c->t_max_ms)
			return true;
	}
	return false;
}

static void ask(const struct tombs *t)
{
	for (size_t i = 0; i < t->count && i < 40; i++) {
		const struct tomb_cut *c = &t->cuts[t->entries[i].cut];
		const int64_t times[] = { c->t_min_ms, c->t_max_ms, 0, INT64_MIN, INT64_MAX };
		for (size_t k = 0; k < COUNT_OF(times); k++) {
			uint32_t id = t->entries[i].id + (k == 2);
			uint64_t rank = c->rank - (c->rank && i % 2), number = c->number + i % 2;
			CHECK(tombs_hides(t, id, rank, times[k]) ==
			    plain(t, id, rank, times[k], false));
			CHECK(tombs_drops(t, id, number, times[k]) ==
			    plain(t, id, number, times[k], true));
			const struct tomb_entry *e;
			struct tombs_seek seek = { .at = i * 7 };
			size_t n = tombs_of(t, &seek, id, &e);
			enum tombs_cover cover = tombs_cover(t, e, n, rank, times[k], times[k]);
			CHECK((cover == TOMBS_ALL) == plain(t, id, rank, times[k], false));
		}
	}
}

static void check(struct tombs *t)
{
	struct buf b;
	struct tombs *again = NULL;
	buf_init(&b);
	CHECK(tombs_encode(t, 3, 0, &b) <= t->count);
	size_t len = b.len;
	for (size_t i = 0; i < len; i++)
		buf_add_u8(&b, b.data[i]);
	bool none_above = t->cuts[0].rank == 0; /* rank 0 is nobody's */
	if (!none_above) {
		CHECK(tombs_decode(b.data, b.len, 3, &again, NULL) == ERR_OK);
		CHECK(again->count == t->count && again->cuts_count == t->cuts_count);
		CHECK(!memcmp(again->entries, t->entries, t->count * sizeof(*t->entries)));
		CHECK(!memcmp(again->cuts, t->cuts, t->cuts_count * sizeof(*t->cuts)));
		tombs_unpin(again);
	}
	buf_release(&b);
	ask(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tombs *t = NULL;
	struct buf b;
	if (!size)
		return 0;
	buf_init(&b);
	buf_add(&b, data + 1, size - 1);
	if (data[0] & 1) {
		wire_put_u32(&b, crc32c(0, b.data, b.len));
		size_t len = b.len;
		(void)buf_reserve(&b, len);
		memcpy(b.data + len, b.data, len);
		b.len = 2 * len;
	}
	if (!tombs_decode(b.data, b.len, 3, &t, NULL) && t)
		check(t);
	tombs_unpin(t);
	buf_release(&b);
	return 0;
}
