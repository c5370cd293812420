/* Blocks of definitions, packing with dictionaries, sets of ids: what is written comes back. */
#include "storage/meta/catalog_priv.h"
#include "tests/lib/tap.h"

#include <stdio.h>

static uint64_t seed = 88172645463325252u;
static uint32_t rnd(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 20) % n);
}

static struct labels random_labels(struct arena *a)
{
	struct label_builder b;
	label_builder_init(&b, a);
	label_builder_set(&b, "__name__", 8, arena_printf(a, "metric_%u_total", rnd(9)), 14);
	for (uint32_t i = rnd(6); i > 0; i--) {
		char *name = arena_printf(a, "label_%0*u", rnd(9) ? 1 : 200, rnd(7));
		char *value = arena_printf(a, "value-%0*u", rnd(9) ? 2 : 300, rnd(50));
		label_builder_set(&b, name, strlen(name), value, strlen(value));
	}
	return label_builder_done(&b);
}

static bool comes_back(struct defblock_writer *w, const struct catalog_def *defs, size_t count)
{
	struct defblock_reader r;
	struct arena a;
	struct buf b;
	buf_init(&b);
	arena_init(&a, 4096);
	defblock_reader_init(&r);
	defblock_write(w, defs, count, &b);
	bool same = defblock_read(&r, b.data, b.len, defs[count - 1].id) && r.count == count;
	for (uint32_t i = 0; same && i < count; i++)
		same = r.ids[i] == defs[i].id && r.tenants[i] == defs[i].tenant &&
		    defblock_labels_len(&r, i) == defs[i].labels.len &&
		    label_equal(defblock_labels_dup(&r, i, &a), defs[i].labels) &&
		    defblock_find(&r, defs[i].id) == i;
	same = same && defblock_find(&r, defs[count - 1].id + 1) == DEFBLOCK_IDS;
	/* Cut anywhere it is no block. */
	for (size_t len = 0; same && len < b.len; len += 1 + len / 8)
		same = !defblock_read(&r, b.data, len, defs[count - 1].id) && !r.count;
	defblock_reader_release(&r);
	arena_release(&a);
	buf_release(&b);
	return same;
}

static void blocks(void)
{
	struct defblock_writer *w = defblock_writer_create();
	struct arena a;
	unsigned bad = 0;
	arena_init(&a, 4096);
	for (unsigned round = 0; round < 500; round++) {
		struct catalog_def defs[DEFBLOCK_IDS];
		size_t count = 1 + rnd(DEFBLOCK_IDS);
		uint32_t id = rnd(4) ? rnd(1000) : 0;
		for (size_t i = 0; i < count; i++) {
			defs[i] = (struct catalog_def){ .id = id,
				.tenant = round % 3 ? 0 : rnd(3),
				.labels = random_labels(&a) };
			id += 1 + (round % 2 ? 0 : rnd(3) * rnd(100000));
		}
		bad += !comes_back(w, defs, count);
		arena_reset(&a, 1 << 16);
	}
	tap_is_u64(bad, 0, "blocks of random definitions come back, cut ones are none");
	defblock_writer_free(w);
	arena_release(&a);
}

/* What is not canonical stands as it is, beside others. */
static void odd_labels(void)
{
	static const uint8_t swapped[] = "\x0a\x06\x12\x01v\x0a\x01n";
	static const uint8_t broken[] = "\x0a\x09\x0a";
	static const uint8_t descend[] = "\x0a\x06\x0a\x01z\x12\x01v\x0a\x06\x0a\x01n\x12\x01v";
	struct defblock_writer *w = defblock_writer_create();
	struct arena a;
	arena_init(&a, 4096);
	char *large = arena_alloc(&a, 70000);
	memset(large, 'x', 70000);
	struct label_builder b;
	label_builder_init(&b, &a);
	label_builder_set(&b, "n", 1, large, 70000);
	struct labels good = label_make(&a, "n", "v", "z", "v", NULL);
	struct catalog_def defs[] = {
		{ .id = 0, .labels = { .len = 0 } },
		{ .id = 5, .labels = good },
		{ .id = 6, .labels = { .bytes = swapped, .len = sizeof(swapped) - 1 } },
		{ .id = 7, .labels = good },
		{ .id = 8, .labels = { .bytes = broken, .len = sizeof(broken) - 1 } },
		{ .id = 9, .labels = { .bytes = descend, .len = sizeof(descend) - 1 } },
		{ .id = 10, .labels = { .bytes = descend, .len = sizeof(descend) - 1 } },
		{ .id = UINT32_MAX - 1, .labels = label_builder_done(&b) },
		{ .id = UINT32_MAX, .tenant = UINT32_MAX, .labels = good },
	};
	struct defblock_reader r;
	struct buf bytes;
	buf_init(&bytes);
	defblock_reader_init(&r);
	defblock_write(w, defs, COUNT_OF(defs), &bytes);
	bool same = defblock_read(&r, bytes.data, bytes.len, UINT32_MAX);
	for (uint32_t i = 0; same && i < COUNT_OF(defs); i++)
		same = label_equal(defblock_labels_dup(&r, i, &a), defs[i].labels) &&
		    r.ids[i] == defs[i].id && r.tenants[i] == defs[i].tenant;
	tap_ok(same, "labels that are empty, not canonical or very long come back");
	tap_ok(!defblock_read(&r, bytes.data, bytes.len, 3), "a last id below its ids is no block");
	defblock_reader_release(&r);
	buf_release(&bytes);
	defblock_writer_free(w);
	arena_release(&a);
}

/* Codes that point at no value, names that do not ascend, texts that grow without end. */
static void hostile(void)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *what;
	} bad[] = {
		{ "\x01\x00\x00\x01\x01n\x01\x01\x00\x01\x00\x01v\x00\x00", 15, "no value yet" },
		{ "\x01\x00\x00\x01\x01n\x01\x01\x00\x01\x00\x01v\x00\x02", 15,
		    "a value not used yet" },
		{ "\x01\x00\x00\x01\x01n\x01\x01\x00\x00\x00\x01", 12, "a value that is not there" },
		{ "\x01\x00\x00\x02\x01n\x01m\x01\x02\x00\x01", 12, "names that descend" },
		{ "\x01\x00\x00\x01\x01n\x01\x01\x01", 9, "a name that is not there" },
		{ "\x01\x00\x00\x01\x01n\x01\x01\x00\x01\x01\x00\x00\x01", 14,
		    "shares more than there is" },
		{ "\x41\x00\x00", 3, "too many ids" },
		{ "\x00\x00\x00", 3, "no ids" },
		{ "\x01\x04\x00", 3, "unknown flags" },
		{ "\x01\x00\x00\x01\x01n\x01\x01\x00\x01\x00\x01v\x01\x01", 15,
		    "a shape that is not there" },
	};
	static const char good[] = "\x01\x00\x00\x01\x01n\x01\x01\x00\x01\x00\x01v\x00\x01";
	struct defblock_reader r;
	defblock_reader_init(&r);
	TAP_OK(defblock_read(&r, (const uint8_t *)good, sizeof(good) - 1, 9));
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		tap_ok(!defblock_read(&r, (const uint8_t *)bad[i].bytes, bad[i].len, 9), "%s",
		    bad[i].what);
	/*
	 * Each value shares all of the one before and has a byte more: 20,000 of them are 200 MB.
	 */
	struct buf b;
	buf_init(&b);
	buf_add(&b, "\x01\x00\x00\x01\x01n\x01\x01\x00", 9);
	wire_put_varint(&b, 20000);
	for (uint32_t i = 0; i < 20000; i++) {
		wire_put_varint(&b, i);
		buf_add(&b, "\x01v", 2);
	}
	buf_add(&b, "\x00\x01", 2);
	tap_ok(!defblock_read(&r, b.data, b.len, 9) && r.text.len <= DEFBLOCK_TEXT_MAX,
	    "texts that grow without end are refused, in bounded memory");
	buf_release(&b);
	defblock_reader_release(&r);
}

static void dictionaries(void)
{
	struct catpack *p = catpack_create();
	struct defblock_writer *w = defblock_writer_create();
	struct catpack_unpacker u;
	struct arena a;
	struct buf plain, dict, packed[3];
	size_t sizes[400], len[3];
	arena_init(&a, 4096);
	buf_init(&plain);
	buf_init(&dict);
	catpack_unpacker_init(&u);
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		struct catalog_def defs[20];
		for (uint32_t k = 0; k < 20; k++)
			defs[k] = (struct catalog_def){ .id = k, .labels = random_labels(&a) };
		size_t at = plain.len;
		defblock_write(w, defs, 20, &plain);
		sizes[i] = plain.len - at;
	}
	TAP_OK(catpack_train(plain.data, sizes, 4, &dict) == ERR_NOTFOUND);
	TAP_OK(catpack_train(plain.data, sizes, COUNT_OF(sizes), &dict) == ERR_OK &&
	    dict.len <= CATPACK_DICT_MAX);
	for (size_t i = 0; i < 3; i++) {
		buf_init(&packed[i]);
		if (i)
			TAP_OK(catpack_add(p, (uint32_t)i * 5, dict.data, dict.len / i) == ERR_OK);
		catpack_pack(p, plain.data, sizes[0], &packed[i]);
		len[i] = packed[i].len;
	}
	TAP_OK(catpack_newest(p) == 10);
	TAP_OK(catpack_add(p, 7, dict.data, dict.len) == ERR_DAMAGED);
	tap_ok(len[0] < sizes[0] && len[1] < len[0], "plain %zu, packed %zu, with a dictionary %zu",
	    sizes[0], len[0], len[1]);
	unsigned bad = 0;
	for (size_t i = 0; i < 3; i++) {
		const uint8_t *back;
		size_t n;
		uint32_t of = 99;
		bad += !catpack_unpack(p, &u, packed[i].data, packed[i].len, &back, &n, &of) ||
		    of != i * 5 || n != sizes[0] || memcmp(back, plain.data, n) != 0;
	}
	tap_is_u64(bad, 0, "each comes back by its own dictionary, old ones too");
	struct catpack *none = catpack_create();
	const uint8_t *back;
	size_t n;
	TAP_OK(!catpack_unpack(none, &u, packed[1].data, packed[1].len, &back, &n, NULL));
	catpack_free(none);
	for (size_t i = 0; i < 3; i++)
		buf_release(&packed[i]);
	catpack_unpacker_release(&u);
	buf_release(&plain);
	buf_release(&dict);
	arena_release(&a);
	defblock_writer_free(w);
	catpack_free(p);
}

static bool set_comes_back(const uint32_t *ids, size_t count, uint32_t base, size_t *bytes)
{
	struct buf b;
	struct idset s;
	uint32_t first = 0;
	size_t n;
	buf_init(&b);
	idset_put(&b, ids, count, base);
	*bytes = b.len;
	struct wire_reader r = wire_reader(b.data, b.len);
	roaring_bitmap_t *to = catalog_bitmap();
	bool same = idset_read(&r, base, &s) && !wire_left(&r) && idset_or(&s, to);
	uint32_t *back = idset_array(to, &n);
	same = same && n == count && (!n || !memcmp(back, ids, n * sizeof(*ids)));
	same = same && idset_first(&s, &first) == (count > 0) && (!count || first == ids[0]);
	mem_free(back);
	roaring_bitmap_free(to);
	buf_release(&b);
	return same;
}

static void sets(void)
{
	static uint32_t ids[20000];
	unsigned bad = 0;
	size_t bytes;
	for (unsigned round = 0; round < 300; round++) {
		size_t count = 0, most = 1 + rnd(round % 10 ? 200 : COUNT_OF(ids));
		uint64_t id = round % 7 ? rnd(100000) : 0;
		uint32_t gap = round % 3 == 0 ? 1 : round % 3 == 1 ? 1 + rnd(8) : 1 + rnd(100000);
		while (count < most && id <= UINT32_MAX) {
			ids[count++] = (uint32_t)id;
			id += rnd(16) ? 1 + rnd(gap) : 1 + rnd(3 * gap);
		}
		bad += !set_comes_back(ids, count, round % 2 ? ids[0] + rnd(50) : 0, &bytes);
	}
	tap_is_u64(bad, 0, "sets of ids come back: scattered, in runs, dense");
	TAP_OK(set_comes_back(NULL, 0, 0, &bytes) && bytes == 1);
	uint32_t ends[] = { 0, UINT32_MAX };
	TAP_OK(set_comes_back(ends, 2, UINT32_MAX, &bytes) && bytes < 16);
	for (uint32_t i = 0; i < COUNT_OF(ids); i++)
		ids[i] = 1000 + i;
	TAP_OK(set_comes_back(ids, COUNT_OF(ids), 0, &bytes) && bytes <= 8);
	for (uint32_t i = 0; i < COUNT_OF(ids); i++)
		ids[i] = 2 * i + rnd(2);
	TAP_OK(set_comes_back(ids, COUNT_OF(ids), 0, &bytes) && bytes <= COUNT_OF(ids) / 4 + 10);
}

int main(void)
{
	blocks();
	odd_labels();
	hostile();
	dictionaries();
	sets();
	return tap_done();
}
