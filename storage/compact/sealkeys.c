#include "storage/compact/sealkeys.h"

#include <stdlib.h>
#include <zstd.h>

#include "core/base/arena.h"
#include "core/base/wire.h"

#define BLOCK_BYTES (64u << 10)
#define ZSTD_LEVEL  1

struct item {
	struct cfile_key key;
	uint32_t id;
};
struct run {               /* a sorted batch, packed */
	struct buf packed; /* blocks: u32 length, u32 length unpacked, bytes */
	size_t at;         /* of the next block */
	struct buf raw;    /* the one that is read */
	struct wire_reader r;
	struct buf labels; /* of the entry */
	uint32_t id;
	struct cfile_key key;
	bool end;
};
struct sealkeys {
	size_t batch_bytes, bytes;
	struct arena arena;
	struct item *items;
	size_t count, cap;
	struct run *runs;
	size_t runs_count;
	size_t at; /* with one batch only: items are given as they are */
	ZSTD_CCtx *pack;
	ZSTD_DCtx *unpack;
	struct run *given;
};

struct sealkeys *sealkeys_create(size_t batch_bytes)
{
	struct sealkeys *k = mem_zalloc(sizeof(*k));
	k->batch_bytes = batch_bytes;
	arena_init(&k->arena, 256 << 10);
	return k;
}

void sealkeys_free(struct sealkeys *k)
{
	if (!k)
		return;
	for (size_t i = 0; i < k->runs_count; i++) {
		buf_release(&k->runs[i].packed);
		buf_release(&k->runs[i].raw);
		buf_release(&k->runs[i].labels);
	}
	ZSTD_freeCCtx(k->pack);
	ZSTD_freeDCtx(k->unpack);
	mem_free(k->runs);
	mem_free(k->items);
	arena_release(&k->arena);
	mem_free(k);
}

static int by_key(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int c = cfile_key_cmp(&x->key, &y->key);
	return c ? c : (x->id > y->id) - (x->id < y->id);
}

/* ---- packing ---- */

static void block_put(struct sealkeys *k, struct run *run, const struct buf *raw)
{
	size_t bound = ZSTD_compressBound(raw->len);
	buf_reserve(&run->packed, 8 + bound);
	uint8_t *p = run->packed.data + run->packed.len;
	size_t n = ZSTD_compressCCtx(k->pack, p + 8, bound, raw->data, raw->len, ZSTD_LEVEL);
	CHECK(!ZSTD_isError(n));
	wire_store32(p, (uint32_t)n);
	wire_store32(p + 4, (uint32_t)raw->len);
	run->packed.len += 8 + n;
}

static void entry_put(struct buf *raw, const struct item *it, struct buf *before)
{
	struct labels ls = it->key.labels;
	size_t shared = 0, max = before->len < ls.len ? before->len : ls.len;
	while (shared < max && before->data[shared] == ls.bytes[shared])
		shared++;
	wire_put_varint(raw, it->id);
	wire_put_varint(raw, it->key.tenant);
	wire_put_varint(raw, shared);
	wire_put_lenbytes(raw, ls.bytes + shared, ls.len - shared);
	before->len = shared;
	buf_add(before, ls.bytes + shared, ls.len - shared);
}

static void batch_pack(struct sealkeys *k)
{
	struct buf raw, before;
	if (!k->count)
		return;
	if (!k->pack && !(k->pack = ZSTD_createCCtx()))
		panic("no memory for a zstd context");
	qsort(k->items, k->count, sizeof(*k->items), by_key);
	k->runs = mem_array(k->runs, k->runs_count + 1, sizeof(*k->runs));
	struct run *run = &k->runs[k->runs_count++];
	*run = (struct run){ 0 };
	buf_init(&raw);
	buf_init(&before);
	for (size_t i = 0; i < k->count; i++) {
		entry_put(&raw, &k->items[i], &before);
		if (raw.len < BLOCK_BYTES && i + 1 < k->count)
			continue;
		block_put(k, run, &raw);
		buf_clear(&raw);
		buf_clear(&before); /* each block begins anew */
	}
	buf_release(&raw);
	buf_release(&before);
	arena_release(&k->arena);
	arena_init(&k->arena, 256 << 10);
	k->count = k->bytes = 0;
}

void sealkeys_add(struct sealkeys *k, uint32_t id, uint32_t tenant, struct labels ls)
{
	if (k->count == k->cap) {
		k->cap = k->cap ? 2 * k->cap : 1024;
		k->items = mem_array(k->items, k->cap, sizeof(*k->items));
	}
	k->items[k->count++] =
	    (struct item){ { tenant, { arena_dup(&k->arena, ls.bytes, ls.len), ls.len } }, id };
	k->bytes += ls.len + sizeof(struct item);
	if (k->bytes >= k->batch_bytes)
		batch_pack(k);
}

/* ---- merging ---- */

static void run_next(struct sealkeys *k, struct run *run)
{
	if (!wire_left(&run->r)) {
		if (run->at == run->packed.len) {
			run->end = true;
			return;
		}
		const uint8_t *p = run->packed.data + run->at;
		uint32_t n = wire_load32(p), raw_len = wire_load32(p + 4);
		buf_clear(&run->raw);
		buf_reserve(&run->raw, raw_len);
		size_t got = ZSTD_decompressDCtx(k->unpack, run->raw.data, raw_len, p + 8, n);
		CHECK(got == raw_len);
		run->at += 8 + (size_t)n;
		run->r = wire_reader(run->raw.data, raw_len);
		buf_clear(&run->labels);
	}
	size_t len = 0;
	run->id = (uint32_t)wire_varint(&run->r);
	run->key.tenant = (uint32_t)wire_varint(&run->r);
	run->labels.len = (size_t)wire_varint(&run->r);
	const uint8_t *more = wire_lenbytes(&run->r, &len);
	CHECK(more && !run->r.bad);
	buf_add(&run->labels, more, len);
	run->key.labels = (struct labels){ run->labels.data, (uint32_t)run->labels.len };
}

void sealkeys_sort(struct sealkeys *k)
{
	if (!k->runs_count) {
		if (k->count)
			qsort(k->items, k->count, sizeof(*k->items), by_key);
		return;
	}
	batch_pack(k);
	if (!(k->unpack = ZSTD_createDCtx()))
		panic("no memory for a zstd context");
	for (size_t i = 0; i < k->runs_count; i++)
		run_next(k, &k->runs[i]);
}

static struct run *lowest(struct sealkeys *k)
{
	struct run *best = NULL;
	for (size_t i = 0; i < k->runs_count; i++) {
		struct run *run = &k->runs[i];
		if (run->end)
			continue;
		int c = best ? cfile_key_cmp(&run->key, &best->key) : -1;
		if (c < 0 || (c == 0 && run->id < best->id))
			best = run;
	}
	return best;
}

bool sealkeys_next(struct sealkeys *k, uint32_t *id, uint32_t *tenant, struct labels *ls)
{
	const struct cfile_key *key;
	if (!k->runs_count) {
		if (k->at == k->count)
			return false;
		*id = k->items[k->at].id;
		key = &k->items[k->at++].key;
	} else {
		if (k->given)
			run_next(k, k->given);
		k->given = lowest(k);
		if (!k->given)
			return false;
		*id = k->given->id;
		key = &k->given->key;
	}
	*tenant = key->tenant;
	*ls = key->labels;
	return true;
}

size_t sealkeys_bytes(const struct sealkeys *k)
{
	size_t n = 0;
	for (size_t i = 0; i < k->runs_count; i++)
		n += k->runs[i].packed.len;
	return n;
}
