#include "core/base/wire.h"
#include "storage/meta/catalog_priv.h"

static void put_be16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

struct sets_key sets_key_drop(unsigned shard)
{
	struct sets_key k = { .len = 2 };
	put_be16(k.bytes, shard);
	return k;
}

struct sets_key sets_key_range(unsigned shard, int64_t start_ms)
{
	struct sets_key k = { .len = 10 };
	put_be16(k.bytes, shard);
	wire_store64(k.bytes + 2, __builtin_bswap64((uint64_t)start_ms ^ ((uint64_t)1 << 63)));
	return k;
}

int64_t sets_range_of(const uint8_t *key)
{
	return (int64_t)(__builtin_bswap64(wire_load64(key + 2)) ^ ((uint64_t)1 << 63));
}

static void chunk_set(struct sets_key *k, uint32_t chunk)
{
	wire_store32(k->bytes + k->len, __builtin_bswap32(chunk));
}

enum err sets_record_or(struct env_txn *t, const struct env_record *r, roaring_bitmap_t *to)
{
	struct wire_reader in = wire_reader(r->value.data, r->value.len);
	struct idset set;
	uint32_t base = 0;
	if (r->key_len >= 4)
		base = __builtin_bswap32(wire_load32(r->key + r->key_len - 4)) << SETS_CHUNK_BITS;
	if (idset_read(&in, base, &set) && !wire_left(&in) && idset_or(&set, to))
		return ERR_OK;
	t->err = ERR_DAMAGED;
	return errbuf_set(t->eb, ERR_DAMAGED, "catalog: a set of ids is malformed");
}

/* One chunk: what is there and ids, or without ids. */
static enum err chunk_change(struct env_txn *t, struct env_db *db, struct sets_key *key,
    const uint32_t *ids, size_t count, bool add)
{
	struct env_record r = { .key = key->bytes, .key_len = key->len + 4 };
	struct buf b;
	chunk_set(key, ids[0] >> SETS_CHUNK_BITS);
	roaring_bitmap_t *set = catalog_bitmap();
	enum err e = env_get(t, db, r.key, r.key_len, &r.value);
	if (!e)
		e = sets_record_or(t, &r, set);
	e = e == ERR_NOTFOUND ? ERR_OK : e;
	if (e) {
		roaring_bitmap_free(set);
		return e;
	}
	uint64_t before = roaring_bitmap_get_cardinality(set);
	if (add)
		roaring_bitmap_add_many(set, count, ids);
	for (size_t i = 0; !add && i < count; i++)
		roaring_bitmap_remove(set, ids[i]);
	size_t n;
	uint32_t *all = idset_array(set, &n);
	if (n == before) { /* nothing is new */
	} else if (n) {
		buf_init(&b);
		idset_put(&b, all, n, ids[0] >> SETS_CHUNK_BITS << SETS_CHUNK_BITS);
		e = env_put(t, db, key->bytes, key->len + 4, b.data, b.len);
		buf_release(&b);
	} else {
		e = env_del(t, db, key->bytes, key->len + 4);
	}
	mem_free(all);
	roaring_bitmap_free(set);
	return e;
}

static enum err change(struct env_txn *t, struct env_db *db, struct sets_key key,
    const uint32_t *ids, size_t count, bool add)
{
	enum err e = t->err;
	for (size_t i = 0, n; !e && i < count; i += n) {
		uint32_t chunk = ids[i] >> SETS_CHUNK_BITS;
		for (n = 1; i + n < count && ids[i + n] >> SETS_CHUNK_BITS == chunk;)
			n++;
		e = chunk_change(t, db, &key, ids + i, n, add);
	}
	return e;
}

enum err sets_add(
    struct env_txn *t, struct env_db *db, struct sets_key key, const uint32_t *ids, size_t count)
{
	return change(t, db, key, ids, count, true);
}

enum err sets_del(
    struct env_txn *t, struct env_db *db, struct sets_key key, const uint32_t *ids, size_t count)
{
	return change(t, db, key, ids, count, false);
}

enum err sets_or(struct env_txn *t, struct env_db *db, struct sets_key key, roaring_bitmap_t *to)
{
	struct env_cursor c;
	struct env_record r;
	enum err e = env_cursor_open(t, db, &c);
	if (e)
		return e;
	chunk_set(&key, 0);
	for (e = env_cursor_seek(&c, key.bytes, key.len + 4, &r); !e; e = env_cursor_next(&c, &r)) {
		if (r.key_len != key.len + 4 || memcmp(r.key, key.bytes, key.len) != 0)
			break;
		e = sets_record_or(t, &r, to);
		if (e)
			break;
	}
	env_cursor_close(&c);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

enum err sets_remove(struct env_txn *t, struct env_db *db, struct sets_key key)
{
	for (;;) {
		struct env_cursor c;
		struct env_record r;
		chunk_set(&key, 0);
		enum err e = env_cursor_open(t, db, &c);
		if (e)
			return e;
		e = env_cursor_seek(&c, key.bytes, key.len + 4, &r);
		bool ours = !e && r.key_len == key.len + 4 && !memcmp(r.key, key.bytes, key.len);
		if (ours)
			memcpy(key.bytes, r.key, r.key_len);
		env_cursor_close(&c);
		if (e == ERR_NOTFOUND || (!e && !ours))
			return ERR_OK;
		if (!e)
			e = env_del(t, db, key.bytes, key.len + 4);
		if (e)
			return e;
	}
}
