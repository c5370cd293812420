/*
 * Any bytes as a record of the catalog, its checksum right: reading never crashes, what is handed
 * out is in its bounds. Input: a byte that selects, then bytes:
 *   0 a block of definitions, plain (what can be read is written again and must read the same)
 *   1 a packed piece       2 a set of ids
 *   3 the record of a catalog in which everything is looked for: a byte says which one
 */
#include "core/base/log.h"
#include "storage/meta/catalog_priv.h"
#include "tests/lib/testlib.h"

#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SERIES 200u

static void must(bool good)
{
	if (!good)
		abort();
}

/* ---- 0: blocks ---- */

static void write_again(const struct defblock_reader *r, struct arena *a)
{
	struct catalog_def defs[DEFBLOCK_IDS];
	struct defblock_reader again;
	struct buf b;
	uint64_t bytes = 0;
	for (uint32_t i = 0; i < r->count; i++) {
		defs[i] = (struct catalog_def){ .id = r->ids[i],
			.tenant = r->tenants[i],
			.labels = defblock_labels_dup(r, i, a) };
		must(defs[i].labels.len == defblock_labels_len(r, i));
		bytes += defs[i].labels.len;
		must(defblock_find(r, r->ids[i]) == i);
	}
	if (bytes > DEFBLOCK_LABELS) /* more than one is ever asked to write */
		return;
	struct defblock_writer *w = defblock_writer_create();
	buf_init(&b);
	defblock_write(w, defs, r->count, &b);
	defblock_reader_init(&again);
	must(defblock_read(&again, b.data, b.len, r->ids[r->count - 1]));
	must(again.count == r->count);
	for (uint32_t i = 0; i < r->count; i++)
		must(again.ids[i] == r->ids[i] && again.tenants[i] == r->tenants[i] &&
		    label_equal(defblock_labels_dup(&again, i, a), defs[i].labels));
	defblock_reader_release(&again);
	defblock_writer_free(w);
	buf_release(&b);
}

static void block(const uint8_t *data, size_t size)
{
	struct defblock_reader r;
	struct arena a;
	uint32_t last = size >= 4 ? wire_load32(data) : 77;
	defblock_reader_init(&r);
	arena_init(&a, 4096);
	size_t skip = size >= 4 ? 4 : 0;
	if (defblock_read(&r, data + skip, size - skip, last))
		write_again(&r, &a);
	arena_release(&a);
	defblock_reader_release(&r);
}

/* ---- 1, 2 ---- */

static void packed(const uint8_t *data, size_t size)
{
	struct catpack *p = catpack_create();
	struct catpack_unpacker u;
	const uint8_t *plain;
	size_t len;
	catpack_unpacker_init(&u);
	if (size > 600) /* any bytes are a dictionary, too */
		(void)!catpack_add(p, 1, data + size / 2, size - size / 2);
	if (catpack_unpack(p, &u, data, size, &plain, &len, NULL)) {
		struct buf b;
		buf_init(&b);
		uint8_t *copy = mem_alloc(len + 1);
		memcpy(copy, plain, len);
		catpack_pack(p, copy, len, &b);
		size_t n = 0;
		must(catpack_unpack(p, &u, b.data, b.len, &plain, &n, NULL) && n == len &&
		    (!len || !memcmp(plain, copy, len)));
		mem_free(copy);
		buf_release(&b);
	}
	catpack_unpacker_release(&u);
	catpack_free(p);
}

/* Some ids that are in and their neighbours: what the set says of them, read as far as needed. */
static void meet(const struct idset *s, const roaring_bitmap_t *all, const uint32_t *v, size_t n)
{
	uint32_t asked[64];
	bool in[64];
	size_t count = 0;
	for (size_t i = 0; i < n && count + 2 < COUNT_OF(asked); i += 1 + n / 16) {
		for (uint32_t k = 0; k < 3 && count < COUNT_OF(asked); k++) {
			uint64_t id = (uint64_t)v[i] + k;
			if (id <= UINT32_MAX && (!count || id > asked[count - 1]))
				asked[count++] = (uint32_t)id;
		}
	}
	must(idset_meet(s, asked, count, in));
	for (size_t i = 0; i < count; i++)
		must(in[i] == roaring_bitmap_contains(all, asked[i]));
}

static void ids(const uint8_t *data, size_t size)
{
	struct wire_reader r = wire_reader(data, size);
	struct idset s;
	uint32_t base = (uint32_t)wire_varint(&r), first;
	roaring_bitmap_t *b = catalog_bitmap();
	if (!r.bad && idset_read(&r, base, &s) && idset_first(&s, &first) && idset_or(&s, b) &&
	    roaring_bitmap_get_cardinality(b) < 1000000) {
		size_t n, m;
		struct buf again;
		roaring_bitmap_t *c = catalog_bitmap();
		uint32_t *v = idset_array(b, &n);
		must(n && v[0] == first);
		buf_init(&again);
		idset_put(&again, v, n, base);
		r = wire_reader(again.data, again.len);
		must(idset_read(&r, base, &s) && !wire_left(&r) && idset_or(&s, c));
		uint32_t *w = idset_array(c, &m);
		must(m == n && !memcmp(v, w, n * sizeof(*v)));
		meet(&s, c, v, n);
		mem_free(v);
		mem_free(w);
		buf_release(&again);
		roaring_bitmap_free(c);
	}
	roaring_bitmap_free(b);
}

/* ---- 3: a record of a catalog ---- */

static struct catalog *catalog;
static char *dir;

static void end(void)
{
	catalog_close(catalog);
	testlib_rmtree(dir);
	free(dir);
}

static void begin(void)
{
	struct errbuf eb;
	struct arena a;
	struct catalog_def defs[SERIES];
	uint32_t all[SERIES];
	bool more = true;
	errbuf_init(&eb);
	arena_init(&a, 4096);
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	dir = testlib_tmpdir("fuzz_catalog");
	log_setup(LOG_LEVEL_NONE, false);
	for (uint32_t i = 0; i < SERIES; i++) {
		all[i] = i;
		defs[i] = (struct catalog_def){ .id = i,
			.labels = label_make(&a, "__name__", i % 3 ? "up" : "down", "host",
			    arena_printf(&a, "host-%u", i), NULL) };
	}
	struct catalog_range r[2] = { { .t_ms = 0, .ids = all, .count = 50 },
		{ .t_ms = 7200000, .ids = all + 20, .count = SERIES - 20 } };
	must(!catalog_open(dir, 1, 1, &catalog, &eb));
	must(!catalog_apply(catalog, 0, 7, defs, SERIES, r, 2, &eb));
	must(!catalog_retain(catalog, 0, 7200000, NULL, 0, 100, &more, &eb));
	arena_release(&a);
	must(!atexit(end));
}

struct putting {
	struct env_db *db;
	const uint8_t *key, *value;
	size_t key_len, len;
};

static enum err put_run(void *arg, struct env_txn *t)
{
	const struct putting *p = arg;
	return env_put(t, p->db, p->key, p->key_len, p->value, p->len);
}

static void look_everywhere(void)
{
	struct errbuf eb;
	struct arena a;
	struct matcher m[3];
	struct catalog_state st;
	struct labels out[8];
	uint32_t tenants[8], some[8] = { 0, 20, 21, 63, 64, 127, 199, 200 }, *found;
	size_t count;
	errbuf_init(&eb);
	arena_init(&a, 4096);
	must(!matcher_init(&m[0], MATCHER_EQ, "__name__", 8, "up", 2, &eb) &&
	    !matcher_init(&m[1], MATCHER_RE, "host", 4, "host-1.*", 8, &eb) &&
	    !matcher_init(&m[2], MATCHER_NE, "host", 4, "host-150", 8, &eb));
	for (size_t n = 0; n <= 3; n++) {
		if (!catalog_select(
		        catalog, 0, 0, m, n, 0, n & 1 ? INT64_MAX : 1000, &found, &count, &eb))
			mem_free(found);
	}
	if (!catalog_select(catalog, 0, 0, m + 1, 1, INT64_MIN, INT64_MAX, &found, &count, &eb))
		mem_free(found);
	(void)!catalog_labels(catalog, 0, some, 8, &a, out, tenants, &eb);
	(void)!catalog_state(catalog, 0, &st, &eb);
	for (int i = 0; i < 3; i++)
		matcher_release(&m[i]);
	arena_release(&a);
}

static void record(const uint8_t *data, size_t size)
{
	static const uint8_t keys[][14] = { { 0, 0, 0, 63 }, { 0, 0, 0, 0, 0, 0, 0, 0, GEN_VALUES },
		{ 0, 0, 0, 0, 0, 0, 0, 0, GEN_NAMES }, { 0, 0, 0, 0, 0, 0, 0, 0, GEN_IDS },
		{ 0, 0, 0x80, 0, 0, 0, 0, 0x6d, 0xdd, 0 }, { 0, 0 }, { 0, 0 } };
	static const uint8_t lens[] = { 4, 13, 13, 13, 14, 6, 2 };
	struct errbuf eb;
	struct env_txn t;
	struct env_value v;
	struct buf was;
	if (!catalog)
		begin();
	unsigned which = data[0] % COUNT_OF(lens);
	struct env_db *dbs[] = { catalog->shards[0].def, catalog->shards[0].gen,
		catalog->shards[0].gen, catalog->shards[0].gen, catalog->range, catalog->drop,
		catalog->state };
	struct putting p = { .db = dbs[which],
		.key = keys[which],
		.key_len = lens[which],
		.value = data + 1,
		.len = size - 1 };
	buf_init(&was);
	errbuf_init(&eb);
	must(!env_begin_read(catalog->env, &t, &eb));
	if (!env_get(&t, p.db, p.key, p.key_len, &v))
		buf_add(&was, v.data, v.len);
	env_abort(&t);
	must(!catalog_write(catalog, 0, put_run, &p, &eb));
	look_everywhere();
	p.value = was.data;
	p.len = was.len;
	if (was.len)
		must(!catalog_write(catalog, 0, put_run, &p, &eb));
	buf_release(&was);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	switch (data[0] & 3) {
	case 0:
		block(data + 1, size - 1);
		break;
	case 1:
		packed(data + 1, size - 1);
		break;
	case 2:
		ids(data + 1, size - 1);
		break;
	default:
		record(data + 1, size - 1);
	}
	return 0;
}
