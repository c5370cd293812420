/*
 * Walking the definitions of a cfile on a worker: as they stand, or with ascending ids.
 */
#include <stdlib.h>

#include "core/base/arena.h"
#include "core/base/num.h"
#include "storage/cfile/cfile.h"
#include "storage/cfile/cfile_priv.h"

struct item {
	uint32_t id, tenant;
	struct labels labels;
};
/* In metric order: definitions of ids [from, end) sorted by id, as many as there is room for. */
struct window {
	struct item *items;
	size_t count, cap, at;
	uint64_t bytes, end;
	struct arena arena;
	bool filled, sorted; /* sorted: ids ascend though the file has them in metric order */
};
struct cfile_defs {
	struct cfile *f;
	const struct cfile_dir *dir; /* pinned */
	struct buf bytes, raw, labels;
	void *zstd;
	struct wire_reader r;
	uint32_t from, next_block, left; /* entries left in this block */
	uint64_t id, first_id, last_id;
	bool first, again; /* again: damage was counted the first time */
	struct window window;
	struct cfile_damage damage;
};

static enum err create(struct cfile *f, struct cfile_defs **out)
{
	const struct cfile_dir *dir = NULL;
	enum err e = cfile_dir_load(f, &dir);
	if (e)
		return e;
	struct cfile_defs *it = mem_zalloc(sizeof(*it));
	it->f = f;
	it->dir = dir;
	buf_init(&it->bytes);
	buf_init(&it->raw);
	buf_init(&it->labels);
	*out = it;
	return ERR_OK;
}

enum err cfile_defs_create_order(struct cfile *f, struct cfile_defs **out)
{
	return create(f, out);
}

enum err cfile_defs_create(struct cfile *f, uint32_t from, struct cfile_defs **out)
{
	enum err e = create(f, out);
	if (e)
		return e;
	if ((*out)->dir->metric) {
		(*out)->window.sorted = true;
		arena_init(&(*out)->window.arena, 64 << 10);
	}
	cfile_defs_skip(*out, from);
	return ERR_OK;
}

void cfile_defs_skip(struct cfile_defs *it, uint32_t from)
{
	const struct cfile_list *l = &it->dir->blocks;
	if (from > it->from)
		it->from = from;
	if (it->dir->metric)
		return;
	if (it->left && it->last_id < it->from)
		it->left = 0;
	while (it->next_block < l->count && l->refs[it->next_block].last_id < it->from)
		it->next_block++;
}

void cfile_defs_free(struct cfile_defs *it)
{
	if (!it)
		return;
	if (it->window.sorted)
		arena_release(&it->window.arena);
	mem_free(it->window.items);
	buf_release(&it->bytes);
	buf_release(&it->raw);
	buf_release(&it->labels);
	cfile_zstd_free(it->zstd);
	cfile_dir_unpin(it->f);
	mem_free(it);
}

const struct cfile_damage *cfile_defs_damage(const struct cfile_defs *it)
{
	return &it->damage;
}

static void damage(struct cfile_defs *it, const struct errbuf *eb)
{
	if (!it->again)
		cfile_damage_add(&it->damage, eb);
}

static enum err block_next(struct cfile_defs *it)
{
	while (it->next_block < it->dir->blocks.count) {
		struct errbuf eb;
		errbuf_init(&eb);
		struct cfile_head h = { 0 };
		const uint8_t *payload = NULL;
		const struct cfile_ref *ref = &it->dir->blocks.refs[it->next_block++];
		if (ref->last_id < it->from)
			continue;
		enum err e = cfile_load(it->f, ref, &it->bytes, &eb);
		if (!e)
			e = cfile_piece_open(it->f, ref->off, ref->len, it->bytes.data,
			    CFILE_MAGIC_BLOCK, &h, &it->raw, &it->zstd, &payload, &eb);
		if (!e) {
			it->r = wire_reader(payload, h.raw_len);
			it->left = h.count;
			it->id = it->first_id = h.first_id;
			it->last_id = h.last_id;
			it->first = true;
			buf_clear(&it->labels);
			return ERR_OK;
		}
		if (!cfile_is_damage(e))
			return e;
		damage(it, &eb);
	}
	return ERR_NOTFOUND;
}

/* The id of an entry; false: it is wrong. */
static bool id_read(struct cfile_defs *it)
{
	uint64_t step = wire_varint(&it->r);
	if (it->f->version > 1)
		step = wire_unzigzag(step);
	it->id += step;
	if (it->id < it->first_id || it->id > it->last_id)
		return false;
	/* in id order they ascend, from the first one on */
	return it->dir->metric || ((step == 0) == it->first && step <= it->last_id - it->first_id);
}

/* One entry into it->labels; false: the block is broken. */
static bool def_read(struct cfile_defs *it, uint32_t *tenant)
{
	if (!id_read(it))
		return false;
	it->first = false;
	uint64_t who = wire_varint(&it->r), shared = wire_varint(&it->r);
	size_t len = 0;
	const uint8_t *more = wire_lenbytes(&it->r, &len);
	if (it->r.bad || !more || who > UINT32_MAX || shared > it->labels.len ||
	    shared + len > CFILE_LABELS_MAX)
		return false;
	it->labels.len = (size_t)shared;
	buf_add(&it->labels, more, len);
	*tenant = (uint32_t)who;
	return true;
}

/* As they stand in the file. */
static enum err next_in_file(struct cfile_defs *it, uint32_t *id, uint32_t *tenant, struct labels *ls)
{
	for (;;) {
		while (it->left == 0) {
			enum err e = block_next(it);
			if (e)
				return e;
		}
		it->left--;
		if (!def_read(it, tenant)) {
			struct errbuf eb;
			errbuf_init(&eb);
			(void)cfile_damaged(it->f, it->dir->blocks.refs[it->next_block - 1].off,
			    "a definition is wrong", &eb);
			damage(it, &eb);
			it->left = 0;
			continue;
		}
		if (it->id < it->from)
			continue;
		*id = (uint32_t)it->id;
		*ls = (struct labels){ it->labels.data, (uint32_t)it->labels.len };
		return ERR_OK;
	}
}

/* ---- ascending ids, in metric order ---- */

static int by_id(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	return (x->id > y->id) - (x->id < y->id);
}

/* Keeps the lowest ids, CFILE_DEFS_MEMORY bytes of them; one at least. */
static void window_cut(struct window *w)
{
	struct arena kept;
	uint64_t bytes = 0;
	size_t n = 0;
	arena_init(&kept, 64 << 10);
	qsort(w->items, w->count, sizeof(*w->items), by_id);
	while (n < w->count && (n == 0 || bytes < CFILE_DEFS_MEMORY)) {
		struct labels *ls = &w->items[n++].labels;
		ls->bytes = arena_dup(&kept, ls->bytes, ls->len);
		bytes += ls->len + sizeof(struct item);
	}
	if (n < w->count)
		w->end = w->items[n].id;
	w->count = n;
	w->bytes = bytes;
	arena_release(&w->arena);
	w->arena = kept;
}

static void window_add(struct window *w, uint32_t id, uint32_t tenant, struct labels ls)
{
	if (w->count == w->cap) {
		w->cap = w->cap ? 2 * w->cap : 1024;
		w->items = mem_array(w->items, w->cap, sizeof(*w->items));
	}
	w->items[w->count++] = (struct item){ .id = id,
		.tenant = tenant,
		.labels = { arena_dup(&w->arena, ls.bytes, ls.len), ls.len } };
	w->bytes += ls.len + sizeof(struct item);
	if (w->bytes > 2 * (uint64_t)CFILE_DEFS_MEMORY)
		window_cut(w);
}

static enum err window_fill(struct cfile_defs *it)
{
	struct window *w = &it->window;
	uint32_t id, tenant;
	struct labels ls;
	enum err e;
	arena_release(&w->arena);
	arena_init(&w->arena, 64 << 10);
	w->count = w->at = 0;
	w->bytes = 0;
	w->end = (uint64_t)UINT32_MAX + 1;
	it->next_block = it->left = 0;
	while (!(e = next_in_file(it, &id, &tenant, &ls)))
		if (id < w->end)
			window_add(w, id, tenant, ls);
	it->again = true;
	if (e != ERR_NOTFOUND)
		return e;
	if (w->count)
		qsort(w->items, w->count, sizeof(*w->items), by_id);
	w->filled = true;
	return ERR_OK;
}

static enum err next_sorted(struct cfile_defs *it, uint32_t *id, uint32_t *tenant, struct labels *ls)
{
	struct window *w = &it->window;
	for (;;) {
		while (w->filled && w->at < w->count) {
			const struct item *item = &w->items[w->at++];
			if (item->id < it->from || (w->at > 1 && item[-1].id == item->id))
				continue;
			*id = item->id;
			*tenant = item->tenant;
			*ls = item->labels;
			return ERR_OK;
		}
		if (w->filled && w->end > UINT32_MAX)
			return ERR_NOTFOUND;
		if (w->filled && w->end > it->from)
			it->from = (uint32_t)w->end;
		enum err e = window_fill(it);
		if (e)
			return e;
	}
}

enum err cfile_defs_next(struct cfile_defs *it, uint32_t *id, uint32_t *tenant, struct labels *ls)
{
	return it->window.sorted ? next_sorted(it, id, tenant, ls) : next_in_file(it, id, tenant, ls);
}
