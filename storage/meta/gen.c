#include "storage/meta/gen.h"

#include "core/base/bytes.h"
#include "core/base/num.h"
#include "core/base/wire.h"
#include "storage/meta/postings_priv.h"

#include <stdlib.h>

#define KEY_LEN 13

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
	buf_init(&w->names_done);
	buf_init(&w->scratch);
}

static void write_record(
    struct gen_writer *w, enum gen_kind kind, uint32_t number, const uint8_t *data, size_t len)
{
	uint8_t key[KEY_LEN];
	make_key(key, w->gen, w->tenant, kind, number);
	env_put2(w->txn, w->db, key, sizeof(key), data, len, NULL, 0, true);
	w->bytes += len + 32;
}

static void end_block(struct gen_writer *w, struct gen_level *l)
{
	if (l->block.len == 0)
		return;
	if (l->kind == GEN_NAMES)
		wire_put_lenbytes(&w->names_done, l->block.data, l->block.len);
	else
		write_record(w, l->kind, l->number++, l->block.data, l->block.len);
	buf_clear(&l->block);
}

/* The text of an entry. more: bytes that come behind it. True: it is the first of its block. */
static bool write_text(
    struct gen_writer *w, struct gen_level *l, const char *text, size_t len, size_t more)
{
	size_t shared = 0;
	bool first = !l->block.len;
	if (!first) {
		size_t most = len < l->last.len ? len : l->last.len;
		while (shared < most && l->last.data[shared] == (uint8_t)text[shared])
			shared++;
		if (l->block.len + len - shared + 2 * wire_varint_len(len) + more > GEN_BLOCK) {
			end_block(w, l);
			shared = 0;
			first = true;
		}
	}
	wire_put_varint(&l->block, shared);
	wire_put_lenbytes(&l->block, text + shared, len - shared);
	buf_clear(&l->last);
	buf_add(&l->last, text, len);
	return first;
}

/* Values of the name under way are all there: now its entry can tell where they are. */
static void end_name(struct gen_writer *w)
{
	if (!w->open)
		return;
	w->open = false;
	end_block(w, &w->values);
	if (w->name.values == 0)
		return;
	w->name.blocks = w->values.number - w->name.first_block;
	buf_clear(&w->scratch);
	wire_put_varint(&w->scratch, w->name.first_block);
	wire_put_varint(&w->scratch, w->name.blocks);
	wire_put_varint(&w->scratch, w->name.values);
	wire_put_varint(&w->scratch, w->name.ids);
	(void)write_text(
	    w, &w->names, (const char *)w->name_text.data, w->name_text.len, w->scratch.len);
	buf_add(&w->names.block, w->scratch.data, w->scratch.len);
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
	struct gen_level *l = &w->values;
	CHECK(w->open);
	CHECK(count);
	buf_clear(&w->scratch);
	idset_put(&w->scratch, ids, count, l->last_first);
	if (write_text(w, l, value, len, w->scratch.len) && l->last_first) {
		buf_clear(&w->scratch);
		idset_put(&w->scratch, ids, count, 0);
	}
	buf_add(&l->block, w->scratch.data, w->scratch.len);
	l->last_first = ids[0];
	w->name.values++;
	w->name.ids += count;
}

void gen_writer_value_bitmap(
    struct gen_writer *w, const char *value, size_t len, const roaring_bitmap_t *ids)
{
	size_t count;
	uint32_t *array = idset_array(ids, &count);
	gen_writer_value(w, value, len, array, count);
	mem_free(array);
}

static void write_names(struct gen_writer *w)
{
	struct wire_reader r = wire_reader(w->names_done.data, w->names_done.len);
	for (uint32_t i = 0; wire_left(&r); i++) {
		size_t len;
		const uint8_t *block = wire_lenbytes(&r, &len);
		write_record(w, GEN_NAMES, i, block, len);
	}
}

enum err gen_writer_finish(struct gen_writer *w, const uint32_t *ids, size_t count)
{
	end_name(w);
	end_block(w, &w->names);
	write_names(w);
	buf_clear(&w->scratch);
	idset_put(&w->scratch, ids, count, 0);
	write_record(w, GEN_IDS, 0, w->scratch.data, w->scratch.len);
	buf_release(&w->names.block);
	buf_release(&w->names.last);
	buf_release(&w->values.block);
	buf_release(&w->values.last);
	buf_release(&w->names_done);
	buf_release(&w->name_text);
	buf_release(&w->scratch);
	return w->txn->err;
}

/* Reading */

enum err gen_ids(
    struct env_txn *t, struct env_db *db, uint32_t gen, uint32_t tenant, roaring_bitmap_t **out)
{
	uint8_t key[KEY_LEN];
	struct env_value v;
	struct idset ids;
	make_key(key, gen, tenant, GEN_IDS, 0);
	enum err e = env_get(t, db, key, sizeof(key), &v);
	if (e)
		return e;
	struct wire_reader r = wire_reader(v.data, v.len);
	*out = postings_bitmap();
	if (idset_read(&r, 0, &ids) && !wire_left(&r) && idset_or(&ids, *out))
		return ERR_OK;
	roaring_bitmap_free(*out);
	*out = NULL;
	return broken(t, gen);
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
	it->first = it->block = name->first_block;
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
	it->base = 0;
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
	return idset_read(r, it->base, &it->ids) && idset_first(&it->ids, &it->base);
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

/* The text of the first entry of a block, against the wanted one: > 0 when it is above. */
static enum err block_cmp(struct gen_iter *it, uint64_t number, const char *text, size_t len, int *c)
{
	enum err e = load_block(it, number);
	if (!e)
		e = read_entry(it);
	if (!e)
		*c = bytes_cmp(it->text.data, it->text.len, text, len);
	return e;
}

/*
 * The last block whose first text is not above the wanted one, by halving. The number of blocks of
 * names is not known: it is found by doubling.
 */
static enum err block_find(struct gen_iter *it, const char *text, size_t len, uint64_t *found)
{
	uint64_t lo = it->first, hi = it->end;
	enum err e;
	int c;
	if (it->kind == GEN_NAMES) {
		/* hi stays a block that is not there, or whose first text is above. */
		for (hi = 1; hi < UINT32_MAX; hi *= 2) {
			e = block_cmp(it, hi, text, len, &c);
			if (e == ERR_NOTFOUND)
				break;
			if (e)
				return e;
			if (c > 0)
				break;
			lo = hi;
		}
	}
	while (hi - lo > 1) {
		uint64_t mid = lo + (hi - lo) / 2;
		e = block_cmp(it, mid, text, len, &c);
		if (e && e != ERR_NOTFOUND)
			return e;
		if (e || c > 0)
			hi = mid;
		else
			lo = mid;
	}
	*found = lo;
	return ERR_OK;
}

enum err gen_iter_seek(struct gen_iter *it, const char *text, size_t len)
{
	uint64_t number;
	if (it->first >= it->end)
		return ERR_NOTFOUND;
	enum err e = block_find(it, text, len, &number);
	if (!e)
		e = load_block(it, number);
	/* When all of this block is below, the next one's first entry is the one. */
	while (!e && !(e = gen_iter_next(it)) && bytes_cmp(it->text.data, it->text.len, text, len) < 0)
		;
	return e;
}

enum err gen_iter_find(struct gen_iter *it, const char *text, size_t len)
{
	enum err e = gen_iter_seek(it, text, len);
	if (e)
		return e;
	return bytes_cmp(it->text.data, it->text.len, text, len) == 0 ? ERR_OK : ERR_NOTFOUND;
}

/* The text that is above all that begin with prefix; length 0: there is none. */
static size_t behind_all(struct buf *b, const char *prefix, size_t len)
{
	while (len && (uint8_t)prefix[len - 1] == 0xff)
		len--;
	buf_add(b, prefix, len);
	if (len)
		b->data[len - 1]++;
	return len;
}

enum err gen_iter_blocks(struct gen_iter *it, const char *prefix, size_t len, uint64_t *count)
{
	uint64_t from = it->first, to = it->end;
	struct buf behind;
	buf_init(&behind);
	enum err e = from < to ? block_find(it, prefix, len, &from) : ERR_OK;
	size_t n = behind_all(&behind, prefix, len);
	if (!e && from < to && n)
		e = block_find(it, (const char *)behind.data, n, &to);
	buf_release(&behind);
	*count = to - from + (n > 0);
	return e;
}

enum err gen_iter_meet(const struct gen_iter *it, const uint32_t *ids, size_t count, bool *in)
{
	return idset_meet(&it->ids, ids, count, in) ? ERR_OK : broken(it->txn, it->gen);
}

enum err gen_iter_ids_or(const struct gen_iter *it, roaring_bitmap_t *to)
{
	return idset_or(&it->ids, to) ? ERR_OK : broken(it->txn, it->gen);
}
