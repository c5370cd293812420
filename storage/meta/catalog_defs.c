#include "core/base/wire.h"
#include "storage/meta/catalog_priv.h"

/* Blocks that were changed and have fewer ids than this join with the next one. */
#define SPARSE (DEFBLOCK_IDS / 4)

static enum err bad_block(struct env_txn *t, unsigned shard, uint32_t id)
{
	return catalog_malformed(t, "block of definitions", shard, id);
}

static uint32_t id_of_key(const uint8_t *key)
{
	return __builtin_bswap32(wire_load32(key));
}

/* ---- reading ---- */

void def_reader_init(struct def_reader *r, struct catalog *c, unsigned shard)
{
	r->c = c;
	r->shard = shard;
	catpack_unpacker_init(&r->unpacker);
	defblock_reader_init(&r->block);
}

void def_reader_release(struct def_reader *r)
{
	catpack_unpacker_release(&r->unpacker);
	defblock_reader_release(&r->block);
}

enum err def_reader_take(
    struct def_reader *r, struct env_txn *t, const struct env_record *rec, uint32_t *dict)
{
	const uint8_t *plain;
	size_t len;
	r->block.count = 0;
	if (rec->key_len == 4 &&
	    catpack_unpack(
	        r->c->pack, &r->unpacker, rec->value.data, rec->value.len, &plain, &len, dict) &&
	    defblock_read(&r->block, plain, len, id_of_key(rec->key)))
		return ERR_OK;
	return bad_block(t, r->shard, rec->key_len == 4 ? id_of_key(rec->key) : 0);
}

bool def_reader_has(const struct def_reader *r, uint32_t id, uint32_t *place)
{
	*place = defblock_find(&r->block, id);
	return *place < DEFBLOCK_IDS;
}

/* The block that an id is in, if it is in any: the first that ends at or behind it. */
static enum err block_at(struct def_reader *r, struct env_txn *t, uint32_t id)
{
	struct env_cursor cur;
	struct env_record rec;
	uint8_t key[4];
	catalog_id_key(key, id);
	enum err e = env_cursor_open(t, r->c->shards[r->shard].def, &cur);
	if (e)
		return e;
	e = env_cursor_seek(&cur, key, sizeof(key), &rec);
	if (!e)
		e = def_reader_take(r, t, &rec, NULL);
	env_cursor_close(&cur);
	return e;
}

enum err def_reader_find(struct def_reader *r, struct env_txn *t, uint32_t id, uint32_t *place)
{
	const struct defblock_reader *b = &r->block;
	if (def_reader_has(r, id, place))
		return ERR_OK;
	if (b->count && id > b->ids[0] && id < b->ids[b->count - 1])
		return ERR_NOTFOUND;
	enum err e = block_at(r, t, id);
	if (e)
		return e;
	return def_reader_has(r, id, place) ? ERR_OK : ERR_NOTFOUND;
}

/* ---- writing ---- */

/* Definitions on their way into blocks, in the order of ids. */
struct deflist {
	struct catalog_def *v;
	size_t count, cap;
	struct arena labels; /* of those that stood in blocks */
};

static void deflist_init(struct deflist *l)
{
	*l = (struct deflist){ .v = NULL };
	arena_init(&l->labels, 64 << 10);
}

static void deflist_release(struct deflist *l)
{
	mem_free(l->v);
	arena_release(&l->labels);
}

static void deflist_clear(struct deflist *l)
{
	l->count = 0;
	arena_reset(&l->labels, 1 << 20);
}

static void deflist_add(struct deflist *l, const struct catalog_def *d)
{
	if (l->count == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 2 * DEFBLOCK_IDS;
		l->v = mem_array(l->v, l->cap, sizeof(*l->v));
	}
	l->v[l->count++] = *d;
}

static void deflist_add_place(struct deflist *l, const struct defblock_reader *b, uint32_t place)
{
	struct catalog_def d = { .id = b->ids[place],
		.tenant = b->tenants[place],
		.labels = defblock_labels_dup(b, place, &l->labels) };
	deflist_add(l, &d);
}

/* How many of the first definitions make a block, by their labels' bytes. */
static size_t block_count(const struct catalog_def *defs, size_t count, size_t most)
{
	uint64_t bytes = 0;
	size_t n = 0;
	for (; n < count && n < most; n++) {
		bytes += defs[n].labels.len;
		if (n && bytes > DEFBLOCK_LABELS)
			break;
	}
	return n;
}

static enum err block_put(struct catalog *c, struct env_txn *t, unsigned shard,
    const struct buf *packed, uint32_t last_id, bool append)
{
	uint8_t key[4];
	catalog_id_key(key, last_id);
	return env_put2(
	    t, c->shards[shard].def, key, sizeof(key), packed->data, packed->len, NULL, 0, append);
}

/* Writes definitions as blocks; append: behind all that there are. */
static enum err blocks_put(struct catalog *c, struct env_txn *t, unsigned shard,
    const struct catalog_def *defs, size_t count, bool append)
{
	struct buf plain, packed;
	enum err e = t->err;
	buf_init(&plain);
	buf_init(&packed);
	for (size_t i = 0, n; !e && i < count; i += n) {
		if (defs[i].labels.len > DEFBLOCK_ONE_MAX) {
			e = errbuf_set(
			    t->eb, ERR_BADDATA, "catalog: labels of %u bytes", defs[i].labels.len);
			break;
		}
		n = block_count(defs + i, count - i, c->block_ids);
		for (;;) {
			buf_clear(&plain);
			buf_clear(&packed);
			defblock_write(c->blocks, defs + i, n, &plain);
			catpack_pack(c->pack, plain.data, plain.len, &packed);
			if (packed.len <= CATALOG_BLOCK || n == 1)
				break;
			n = (n + 1) / 2;
			c->block_ids = (uint32_t)n;
		}
		e = block_put(c, t, shard, &packed, defs[i + n - 1].id, append);
		if (n == c->block_ids && packed.len < CATALOG_BLOCK / 2 && n < DEFBLOCK_IDS)
			c->block_ids = (uint32_t)(n * 2 < DEFBLOCK_IDS ? n * 2 : DEFBLOCK_IDS);
	}
	buf_release(&plain);
	buf_release(&packed);
	return e;
}

static enum err block_del(struct catalog *c, struct env_txn *t, unsigned shard, uint32_t last_id)
{
	uint8_t key[4];
	catalog_id_key(key, last_id);
	return env_del(t, c->shards[shard].def, key, sizeof(key));
}

struct adding {
	struct catalog *c;
	struct env_txn *t;
	unsigned shard;
	struct def_reader reader;
	struct deflist list;
};

/* Definitions that lie before the end of the block that is held. */
static enum err add_inside(struct adding *a, const struct catalog_def *defs, size_t count, bool *fresh)
{
	const struct defblock_reader *b = &a->reader.block;
	uint32_t at = 0;
	bool any = false;
	deflist_clear(&a->list);
	for (size_t i = 0; i < count; i++) {
		while (at < b->count && b->ids[at] < defs[i].id)
			deflist_add_place(&a->list, b, at++);
		fresh[i] = at == b->count || b->ids[at] != defs[i].id;
		any |= fresh[i];
		if (fresh[i])
			deflist_add(&a->list, &defs[i]);
	}
	while (at < b->count)
		deflist_add_place(&a->list, b, at++);
	if (!any)
		return ERR_OK;
	enum err e = block_del(a->c, a->t, a->shard, b->ids[b->count - 1]);
	return e ? e : blocks_put(a->c, a->t, a->shard, a->list.v, a->list.count, false);
}

/* The last block there is, when it has room for more: it is taken away and begins the list. */
static enum err take_last(struct adding *a)
{
	struct env_cursor cur;
	struct env_record rec;
	enum err e = env_cursor_open(a->t, a->c->shards[a->shard].def, &cur);
	if (e)
		return e;
	e = env_cursor_last(&cur, &rec);
	size_t bytes = e ? 0 : rec.value.len;
	if (!e)
		e = def_reader_take(&a->reader, a->t, &rec, NULL);
	env_cursor_close(&cur);
	if (e)
		return e == ERR_NOTFOUND ? ERR_OK : e;
	const struct defblock_reader *b = &a->reader.block;
	if (b->count >= a->c->block_ids || bytes > CATALOG_BLOCK / 4 * 3)
		return ERR_OK;
	for (uint32_t i = 0; i < b->count; i++)
		deflist_add_place(&a->list, b, i);
	return block_del(a->c, a->t, a->shard, b->ids[b->count - 1]);
}

static enum err add_behind(struct adding *a, const struct catalog_def *defs, size_t count, bool *fresh)
{
	deflist_clear(&a->list);
	enum err e = take_last(a);
	for (size_t i = 0; i < count; i++) {
		fresh[i] = true;
		/* the labels stay the caller's: only the heads are copied */
		deflist_add(&a->list, &defs[i]);
	}
	return e ? e : blocks_put(a->c, a->t, a->shard, a->list.v, a->list.count, true);
}

enum err defs_add(struct catalog *c, struct env_txn *t, unsigned shard,
    const struct catalog_def *defs, size_t count, bool *fresh)
{
	struct adding a = { .c = c, .t = t, .shard = shard };
	enum err e = t->err;
	size_t i = 0;
	def_reader_init(&a.reader, c, shard);
	deflist_init(&a.list);
	while (!e && i < count) {
		e = block_at(&a.reader, t, defs[i].id);
		if (e)
			break;
		uint32_t last = a.reader.block.ids[a.reader.block.count - 1];
		size_t n = 1;
		while (i + n < count && defs[i + n].id <= last)
			n++;
		e = add_inside(&a, defs + i, n, fresh + i);
		i += n;
	}
	if (e == ERR_NOTFOUND)
		e = add_behind(&a, defs + i, count - i, fresh + i);
	def_reader_release(&a.reader);
	deflist_release(&a.list);
	return e;
}

/* Ids of the block that is held leave it, to gone; those that stay go to the list. */
static size_t keep_others(struct adding *a, const uint32_t *ids, size_t count, uint32_t *gone)
{
	const struct defblock_reader *b = &a->reader.block;
	size_t n = 0, k = 0;
	for (uint32_t i = 0; i < b->count; i++) {
		while (k < count && ids[k] < b->ids[i])
			k++;
		if (k < count && ids[k] == b->ids[i])
			gone[n++] = ids[k];
		else
			deflist_add_place(&a->list, b, i);
	}
	return n;
}

/* What is left of neighbouring blocks becomes blocks again; few ids join with those behind them. */
static enum err flush_kept(struct adding *a, uint32_t last_id)
{
	if (!a->list.count)
		return ERR_OK;
	enum err e = a->list.count < SPARSE && last_id < UINT32_MAX
	    ? block_at(&a->reader, a->t, last_id + 1)
	    : ERR_NOTFOUND;
	if (!e) {
		keep_others(a, NULL, 0, NULL);
		e = block_del(a->c, a->t, a->shard, a->reader.block.ids[a->reader.block.count - 1]);
	}
	if (e && e != ERR_NOTFOUND)
		return e;
	e = blocks_put(a->c, a->t, a->shard, a->list.v, a->list.count, false);
	deflist_clear(&a->list);
	return e;
}

enum err defs_drop(struct catalog *c, struct env_txn *t, unsigned shard, const uint32_t *ids,
    size_t count, uint32_t *dropped, size_t *dropped_count)
{
	struct adding a = { .c = c, .t = t, .shard = shard };
	enum err e = t->err;
	uint32_t last = 0;
	*dropped_count = 0;
	def_reader_init(&a.reader, c, shard);
	deflist_init(&a.list);
	for (size_t i = 0, n; !e && i < count; i += n) {
		n = 1;
		e = block_at(&a.reader, t, ids[i]);
		if (e == ERR_NOTFOUND) { /* nothing ends behind it */
			e = ERR_OK;
			break;
		}
		if (e)
			break;
		const struct defblock_reader *b = &a.reader.block;
		uint32_t first = b->ids[0], end = b->ids[b->count - 1];
		while (i + n < count && ids[i + n] <= end)
			n++;
		/* Other blocks may lie between: what was kept must stand before them. */
		if (a.list.count && first > last + 1) {
			e = flush_kept(&a, last);
			n = 0;
			continue;
		}
		size_t before = a.list.count,
		       gone = keep_others(&a, ids + i, n, dropped + *dropped_count);
		if (!gone && !before) { /* none of them was in: nothing to change */
			deflist_clear(&a.list);
			continue;
		}
		*dropped_count += gone;
		last = end;
		e = block_del(c, t, shard, end);
		if (!e && a.list.count >= DEFBLOCK_IDS) {
			e = blocks_put(c, t, shard, a.list.v, a.list.count, false);
			deflist_clear(&a.list);
		}
	}
	if (!e)
		e = flush_kept(&a, last);
	def_reader_release(&a.reader);
	deflist_release(&a.list);
	return e;
}

/* The next block from *next_id on that has an older dictionary than the newest. */
static enum err next_old(
    struct def_reader *r, struct env_txn *t, uint64_t *next_id, uint32_t newest, unsigned *looks)
{
	struct env_cursor cur;
	struct env_record rec;
	uint8_t key[4];
	uint32_t dict = newest;
	catalog_id_key(key, (uint32_t)*next_id);
	enum err e = env_cursor_open(t, r->c->shards[r->shard].def, &cur);
	if (e)
		return e;
	for (e = env_cursor_seek(&cur, key, sizeof(key), &rec); !e && *looks;
	     e = env_cursor_next(&cur, &rec)) {
		--*looks;
		if (rec.key_len != 4) {
			e = bad_block(t, r->shard, 0);
			break;
		}
		*next_id = (uint64_t)id_of_key(rec.key) + 1;
		struct wire_reader in = wire_reader(rec.value.data, rec.value.len);
		dict = (uint32_t)wire_varint(&in);
		if (dict == newest)
			continue;
		e = def_reader_take(r, t, &rec, NULL);
		break;
	}
	env_cursor_close(&cur);
	return e ? e : dict != newest ? ERR_OK : ERR_AGAIN;
}

enum err defs_repack(struct catalog *c, struct env_txn *t, unsigned shard, uint64_t *next_id,
    unsigned blocks, bool *more)
{
	struct adding a = { .c = c, .t = t, .shard = shard };
	enum err e = t->err;
	unsigned looks = blocks * 16;
	def_reader_init(&a.reader, c, shard);
	deflist_init(&a.list);
	*more = false;
	while (!e && *next_id <= UINT32_MAX) {
		e = next_old(&a.reader, t, next_id, catpack_newest(c->pack), &looks);
		if (e)
			break;
		deflist_clear(&a.list);
		keep_others(&a, NULL, 0, NULL);
		e = block_del(c, t, shard, (uint32_t)(*next_id - 1));
		if (!e)
			e = blocks_put(c, t, shard, a.list.v, a.list.count, false);
		if (!e && !--blocks)
			break;
	}
	*more = !blocks || e == ERR_AGAIN;
	def_reader_release(&a.reader);
	deflist_release(&a.list);
	return e == ERR_NOTFOUND || e == ERR_AGAIN ? ERR_OK : e;
}
