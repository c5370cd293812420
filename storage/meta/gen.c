#include "storage/meta/gen.h"

#include "core/base/bytes.h"
#include "core/base/num.h"
#include "core/base/wire.h"
#include "storage/meta/postings_priv.h"

#include <stdlib.h>

#define KEY_LEN   13
#define ARRAY_MAX 16 /* up to so many ids are an array */

static void put_be32(uint8_t *p, uint32_t v)
{
	wire_store32(p, __builtin_bswap32(v));
}

static void make_key(uint8_t *key, uint32_t gen, uint32_t tenant, enum gen_kind kind, uint32_t number)
{
	put_be32(key, gen);
	put_be32(key + 4, tenant);
	key[8] = (uint8_t)kind;
	put_be32(key + 9, number);
}

static enum err broken(struct env_txn *t, uint32_t gen)
{
	if (!t->err)
		t->err = ERR_DAMAGED;
	return errbuf_set(t->eb, ERR_DAMAGED, "catalog: generation %u is malformed", gen);
}

/* Writing */

void gen_writer_init(
    struct gen_writer *w, struct env_txn *t, struct env_db *db, uint32_t gen, uint32_t tenant)
{
	*w = (struct gen_writer){ .txn = t,
		.db = db,
		.gen = gen,
		.tenant = tenant,
		.names.kind = GEN_NAMES,
		.values.kind = GEN_VALUES };
	buf_init(&w->names.block);
	buf_init(&w->names.last);
	buf_init(&w->values.block);
	buf_init(&w->values.last);
	buf_init(&w->scratch);
}

static void write_block(struct gen_writer *w, struct gen_level *l)
{
	uint8_t key[KEY_LEN];
	if (l->block.len == 0)
		return;
	make_key(key, w->gen, w->tenant, l->kind, l->number++);
	env_put(w->txn, w->db, key, sizeof(key), l->block.data, l->block.len);
	w->bytes += l->block.len + 32;
	buf_clear(&l->block);
}

/* One entry: text, then what scratch holds. */
static void write_entry(struct gen_writer *w, struct gen_level *l, const char *text, size_t len)
{
	if (l->block.len && l->block.len + len + 10 + w->scratch.len > GEN_BLOCK)
		write_block(w, l);
	size_t shared = 0;
	if (l->block.len) {
		size_t most = len < l->last.len ? len : l->last.len;
		while (shared < most && l->last.data[shared] == (uint8_t)text[shared])
			shared++;
	}
	wire_put_varint(&l->block, shared);
	wire_put_lenbytes(&l->block, text + shared, len - shared);
	buf_add(&l->block, w->scratch.data, w->scratch.len);
	buf_clear(&l->last);
	buf_add(&l->last, text, len);
}

/* Values of the name under way are all there: now its entry can tell where they are. */
static void end_name(struct gen_writer *w)
{
	if (!w->open)
		return;
	w->open = false;
	write_block(w, &w->values);
	if (w->name.values == 0)
		return;
	w->name.blocks = w->values.number - w->name.first_block;
	buf_clear(&w->scratch);
	wire_put_varint(&w->scratch, w->name.first_block);
	wire_put_varint(&w->scratch, w->name.blocks);
	wire_put_varint(&w->scratch, w->name.values);
	wire_put_varint(&w->scratch, w->name.ids);
	write_entry(w, &w->names, (const char *)w->name_text.data, w->name_text.len);
}

void gen_writer_name(struct gen_writer *w, const char *name, size_t len)
{
	end_name(w);
	buf_clear(&w->name_text);
	buf_add(&w->name_text, name, len);
	w->name = (struct gen_name){ .first_block = w->values.number };
	w->open = true;
}

void gen_writer_value(
    struct gen_writer *w, const char *value, size_t len, const uint32_t *ids, size_t count)
{
	CHECK(w->open);
	buf_clear(&w->scratch);
	wire_put_varint(&w->scratch, (uint64_t)count << 1);
	uint32_t last = 0;
	for (size_t i = 0; i < count; i++) {
		wire_put_varint(&w->scratch, ids[i] - last);
		last = ids[i];
	}
	write_entry(w, &w->values, value, len);
	w->name.values++;
	w->name.ids += count;
}

void gen_writer_value_bitmap(
    struct gen_writer *w, const char *value, size_t len, const roaring_bitmap_t *ids)
{
	uint64_t count = roaring_bitmap_get_cardinality(ids);
	uint32_t few[ARRAY_MAX];
	if (count <= ARRAY_MAX) {
		roaring_bitmap_to_uint32_array(ids, few);
		gen_writer_value(w, value, len, few, (size_t)count);
		return;
	}
	CHECK(w->open);
	buf_clear(&w->scratch);
	size_t size = roaring_bitmap_portable_size_in_bytes(ids);
	wire_put_varint(&w->scratch, (uint64_t)size << 1 | 1);
	if (buf_reserve(&w->scratch, size))
		w->scratch.len +=
		    roaring_bitmap_portable_serialize(ids, (char *)w->scratch.data + w->scratch.len);
	write_entry(w, &w->values, value, len);
	w->name.values++;
	w->name.ids += count;
}

enum err gen_writer_finish(struct gen_writer *w, const roaring_bitmap_t *all)
{
	end_name(w);
	write_block(w, &w->names);
	uint8_t key[KEY_LEN];
	make_key(key, w->gen, w->tenant, GEN_IDS, 0);
	buf_clear(&w->scratch);
	size_t size = roaring_bitmap_portable_size_in_bytes(all);
	if (buf_reserve(&w->scratch, size))
		w->scratch.len += roaring_bitmap_portable_serialize(all, (char *)w->scratch.data);
	env_put(w->txn, w->db, key, sizeof(key), w->scratch.data, w->scratch.len);
	w->bytes += w->scratch.len;
	buf_release(&w->names.block);
	buf_release(&w->names.last);
	buf_release(&w->values.block);
	buf_release(&w->values.last);
	buf_release(&w->name_text);
	buf_release(&w->scratch);
	return w->txn->err;
}

/*
 * Names and values of postings, to be sorted. The key is the eight bytes behind what all texts
 * share: most comparisons end there.
 */
struct item {
	uint64_t key;
	const char *text;
	size_t len;
	struct postings_value value;
};
struct items {
	struct item *v;
	size_t count, cap;
};

static struct item *items_add(struct items *to, const char *text, size_t len)
{
	if (to->count == to->cap) {
		to->cap = to->cap ? to->cap * 2 : 64;
		to->v = mem_array(to->v, to->cap, sizeof(*to->v));
	}
	struct item *i = &to->v[to->count++];
	i->text = text;
	i->len = len;
	return i;
}

static int item_cmp(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return bytes_cmp(x->text, x->len, y->text, y->len);
}

static void items_sort(struct items *items)
{
	if (items->count < 2)
		return;
	size_t shared = items->v[0].len;
	for (size_t i = 1; i < items->count; i++) {
		size_t n = 0, most = items->v[i].len < shared ? items->v[i].len : shared;
		while (n < most && items->v[i].text[n] == items->v[0].text[n])
			n++;
		shared = n;
	}
	for (size_t i = 0; i < items->count; i++) {
		uint64_t key = 0;
		size_t n = items->v[i].len - shared;
		memcpy(&key, items->v[i].text + shared, n < 8 ? n : 8);
		items->v[i].key = __builtin_bswap64(key);
	}
	qsort(items->v, items->count, sizeof(*items->v), item_cmp);
}

static bool gather_value(void *arg, const struct postings_value *v)
{
	items_add(arg, v->value, v->value_len)->value = *v;
	return true;
}

static bool gather_name(void *arg, const struct postings_name *n)
{
	items_add(arg, n->name, n->name_len);
	return true;
}

enum err gen_write(struct env_txn *t, struct env_db *db, uint32_t gen, uint32_t tenant,
    const struct postings *p, uint64_t *bytes)
{
	struct gen_writer w;
	struct items names = { 0 }, values = { 0 };
	gen_writer_init(&w, t, db, gen, tenant);
	size_t left = SIZE_MAX;
	postings_names(p, &left, SIZE_MAX, gather_name, &names);
	items_sort(&names);
	for (size_t i = 0; i < names.count; i++) {
		values.count = 0;
		left = SIZE_MAX;
		postings_values(
		    p, names.v[i].text, names.v[i].len, &left, SIZE_MAX, gather_value, &values);
		items_sort(&values);
		gen_writer_name(&w, names.v[i].text, names.v[i].len);
		for (size_t j = 0; j < values.count; j++) {
			const struct item *v = &values.v[j];
			const roaring_bitmap_t *bitmap;
			const uint32_t *ids = postings_value_ids(&v->value, &bitmap);
			if (bitmap)
				gen_writer_value_bitmap(&w, v->text, v->len, bitmap);
			else
				gen_writer_value(&w, v->text, v->len, ids, (size_t)v->value.series);
		}
	}
	mem_free(names.v);
	mem_free(values.v);
	enum err e = gen_writer_finish(&w, postings_all(p));
	*bytes += w.bytes;
	return e;
}

/* Reading */

enum err gen_ids(
    struct env_txn *t, struct env_db *db, uint32_t gen, uint32_t tenant, roaring_bitmap_t **out)
{
	uint8_t key[KEY_LEN];
	struct env_value v;
	make_key(key, gen, tenant, GEN_IDS, 0);
	enum err e = env_get(t, db, key, sizeof(key), &v);
	if (e)
		return e;
	*out = roaring_bitmap_portable_deserialize_safe((const char *)v.data, v.len);
	return *out ? ERR_OK : broken(t, gen);
}

static void iter_init(struct gen_iter *it, struct env_txn *t, struct env_db *db, uint32_t gen,
    uint32_t tenant, enum gen_kind kind)
{
	*it = (struct gen_iter){ .txn = t, .db = db, .gen = gen, .tenant = tenant, .kind = kind };
	buf_init(&it->text);
}

void gen_iter_names(
    struct gen_iter *it, struct env_txn *t, struct env_db *db, uint32_t gen, uint32_t tenant)
{
	iter_init(it, t, db, gen, tenant, GEN_NAMES);
	it->end = UINT32_MAX;
}

void gen_iter_values(struct gen_iter *it, struct env_txn *t, struct env_db *db, uint32_t gen,
    uint32_t tenant, const struct gen_name *name)
{
	iter_init(it, t, db, gen, tenant, GEN_VALUES);
	it->block = name->first_block;
	it->end = name->first_block + name->blocks;
}

void gen_iter_release(struct gen_iter *it)
{
	buf_release(&it->text);
}

static enum err load_block(struct gen_iter *it, uint64_t number)
{
	uint8_t key[KEY_LEN];
	struct env_value v;
	if (number > UINT32_MAX)
		return broken(it->txn, it->gen);
	make_key(key, it->gen, it->tenant, it->kind, (uint32_t)number);
	enum err e = env_get(it->txn, it->db, key, sizeof(key), &v);
	if (e)
		return e == ERR_NOTFOUND && it->kind == GEN_VALUES
		    ? broken(it->txn, it->gen)
		    : e; /* names end where there is no next block */
	it->p = v.data;
	it->block_end = v.data + v.len;
	it->block = number + 1;
	buf_clear(&it->text);
	return ERR_OK;
}

/* The payload of an entry; false when it does not fit. */
static bool read_payload(struct gen_iter *it, struct wire_reader *r)
{
	if (it->kind == GEN_NAMES) {
		it->name.first_block = wire_varint(r);
		it->name.blocks = wire_varint(r);
		it->name.values = wire_varint(r);
		it->name.ids = wire_varint(r);
		return !r->bad && it->name.first_block <= UINT32_MAX && it->name.blocks <= UINT32_MAX;
	}
	uint64_t head = wire_varint(r);
	it->ids_bitmap = head & 1;
	it->ids = r->p;
	if (it->ids_bitmap) {
		if (head >> 1 > wire_left(r))
			return false;
		wire_bytes(r, (size_t)(head >> 1));
	} else {
		it->ids_count = head >> 1;
		if (it->ids_count > wire_left(r))
			return false;
		for (uint64_t i = 0; i < it->ids_count; i++)
			wire_varint(r);
	}
	it->ids_end = r->p;
	return !r->bad;
}

static enum err read_entry(struct gen_iter *it)
{
	struct wire_reader r = wire_reader(it->p, (size_t)(it->block_end - it->p));
	uint64_t shared = wire_varint(&r);
	size_t more;
	const uint8_t *text = wire_lenbytes(&r, &more);
	if (r.bad || shared > it->text.len || shared + more > GEN_TEXT_MAX)
		return broken(it->txn, it->gen);
	it->text.len = (size_t)shared;
	buf_add(&it->text, text, more);
	if (!read_payload(it, &r))
		return broken(it->txn, it->gen);
	it->p = r.p;
	return ERR_OK;
}

enum err gen_iter_next(struct gen_iter *it)
{
	if (it->p == it->block_end) {
		if (it->block >= it->end)
			return ERR_NOTFOUND;
		enum err e = load_block(it, it->block);
		if (e)
			return e;
	}
	return read_entry(it);
}

/*
 * The last block whose first text is not above the wanted one, by halving; then its entries one by
 * one. The number of blocks of names is not known: it is found by doubling.
 */
enum err gen_iter_find(struct gen_iter *it, const char *text, size_t len)
{
	uint64_t lo = it->block, hi = it->end;
	enum err e;
	if (lo >= hi)
		return ERR_NOTFOUND;
	if (it->kind == GEN_NAMES) {
		/* hi stays a block that is not there, or whose first text is above. */
		for (hi = 1; hi < UINT32_MAX; hi *= 2) {
			e = load_block(it, hi);
			if (e == ERR_NOTFOUND)
				break;
			if (e || (e = read_entry(it)))
				return e;
			if (bytes_cmp(it->text.data, it->text.len, text, len) > 0)
				break;
			lo = hi;
		}
	}
	while (hi - lo > 1) {
		uint64_t mid = lo + (hi - lo) / 2;
		e = load_block(it, mid);
		if (e == ERR_NOTFOUND) {
			hi = mid;
			continue;
		}
		if (e || (e = read_entry(it)))
			return e;
		if (bytes_cmp(it->text.data, it->text.len, text, len) > 0)
			hi = mid;
		else
			lo = mid;
	}
	e = load_block(it, lo);
	if (e)
		return e;
	while (it->p < it->block_end) {
		e = read_entry(it);
		if (e)
			return e;
		int c = bytes_cmp(it->text.data, it->text.len, text, len);
		if (c >= 0)
			return c == 0 ? ERR_OK : ERR_NOTFOUND;
	}
	return ERR_NOTFOUND;
}

static enum err ids_bitmap(const struct gen_iter *it, roaring_bitmap_t **out)
{
	*out = roaring_bitmap_portable_deserialize_safe(
	    (const char *)it->ids, (size_t)(it->ids_end - it->ids));
	return *out ? ERR_OK : broken(it->txn, it->gen);
}

enum err gen_iter_ids_or(const struct gen_iter *it, roaring_bitmap_t *to)
{
	if (it->ids_bitmap) {
		roaring_bitmap_t *b;
		enum err e = ids_bitmap(it, &b);
		if (e)
			return e;
		roaring_bitmap_or_inplace(to, b);
		roaring_bitmap_free(b);
		return ERR_OK;
	}
	struct wire_reader r = wire_reader(it->ids, (size_t)(it->ids_end - it->ids));
	uint32_t id = 0;
	while (wire_left(&r)) {
		id += (uint32_t)wire_varint(&r);
		roaring_bitmap_add(to, id);
	}
	return ERR_OK;
}
