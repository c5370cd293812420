#include "storage/read/exread.h"

#include "core/model/limits.h"

#include <inttypes.h>
#include <roaring/roaring.h>
#include <stdio.h>
#include <stdlib.h>

#define IDS_PER_TASK 65536u /* looked for in directories */

void exread_init(struct exread *x, struct shard *sh, const struct idchain *chain, int64_t t_min_ms,
    int64_t t_max_ms, void (*back)(struct exread *x))
{
	*x = (struct exread){
		.shard = sh, .chain = chain, .t_min_ms = t_min_ms, .t_max_ms = t_max_ms, .back = back
	};
	arena_init(&x->arena, 4096);
	arena_init(&x->labels, 4096);
	buf_init(&x->bytes);
	cfile_unit_init(&x->unit);
	errbuf_init(&x->eb);
	sh->exemplar_readers++;
}

void exread_release(struct exread *x)
{
	CHECK(!x->away && x->shard->exemplar_readers > 0);
	x->shard->exemplar_readers--;
	for (size_t i = 0; i < x->files_count; i++)
		shard_file_unpin(x->files[i]);
	tombs_unpin(x->tombs);
	mem_free(x->files);
	mem_free(x->ranks);
	mem_free(x->ids);
	mem_free(x->found);
	mem_free(x->list);
	arena_release(&x->arena);
	arena_release(&x->labels);
	buf_release(&x->bytes);
	cfile_unit_release(&x->unit);
}

size_t exread_memory(const struct exread *x)
{
	return arena_used(&x->arena) + x->found_cap * sizeof(*x->found) +
	    x->ids_count * sizeof(*x->ids) + x->cap * sizeof(*x->list);
}

/* ---- worker ---- */

static int by_number(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

static int by_id(const void *a, const void *b)
{
	const struct exread_found *x = a, *y = b;
	return (x->id > y->id) - (x->id < y->id);
}

/* The choice does not change; old ids stand at the beginning already. */
static void ids_list(struct exread *x)
{
	const roaring_bitmap_t *chosen = x->chain->chosen;
	size_t n = chosen ? (size_t)roaring_bitmap_get_cardinality(chosen) : 0;
	x->ids = mem_array(x->ids, x->old_count + n + 1, sizeof(*x->ids));
	if (n)
		roaring_bitmap_to_uint32_array(chosen, x->ids + x->old_count);
	x->ids_count = x->old_count + n;
	if (x->old_count)
		qsort(x->ids, x->ids_count, sizeof(*x->ids), by_number);
}

/* What the disk does not give now, or what is damaged, is missing, in words; else it ends. */
static void missing(struct exread *x, const struct cfile *f, enum err e)
{
	if (e != ERR_IO && e != ERR_DAMAGED && e != ERR_UNSUPPORTED && e != ERR_NOTFOUND)
		x->err = errbuf_set(&x->eb, e, "%s: %s", cfile_path(f), err_why(e));
	else if (!x->warning[0])
		snprintf(x->warning, sizeof(x->warning), "exemplars of %s could not be read: %s",
		    cfile_path(f), err_text(e));
}

static void list_take(struct exread *x, uint32_t id, const struct cfile_entry *entry)
{
	struct wire_reader list = wire_reader(entry->values, entry->values_len);
	struct exemplar e;
	uint64_t rank = x->ranks[x->file_at];
	while (exemplar_get(&list, &e)) {
		if (tombs_hides(x->tombs, id, rank, e.t_ms))
			continue;
		if (x->found_count == x->found_cap) {
			x->found_cap = x->found_cap ? 2 * x->found_cap : 64;
			x->found = mem_array(x->found, x->found_cap, sizeof(*x->found));
		}
		if (e.labels.len)
			e.labels.bytes = arena_dup(&x->arena, e.labels.bytes, e.labels.len);
		x->found[x->found_count++] = (struct exread_found){ .id = id, .e = e };
	}
}

static enum err unit_load(struct exread *x, struct cfile *f, const struct cfile_extent *ext)
{
	x->loaded_off = 0;
	buf_clear(&x->bytes);
	if (!buf_reserve(&x->bytes, ext->len))
		return ERR_NOMEM;
	enum err e = cfile_read(f, x->bytes.data, ext->len, ext->off);
	if (!e)
		e = cfile_unit_open_opaque(&x->unit, f, ext, x->bytes.data, NULL);
	if (!e)
		x->loaded_off = ext->off;
	return e;
}

/* From id_at on, until enough was loaded for one task: true when the file is done. */
static bool file_read(struct exread *x, struct cfile *f, const struct cfile_dir *dir)
{
	unsigned loads = 0, ids = 0;
	for (; x->id_at < x->ids_count && !x->err; x->id_at++) {
		const struct cfile_entry *entry;
		struct cfile_extent ext;
		if (loads >= EXREAD_WORK || ids++ >= IDS_PER_TASK)
			return false;
		uint32_t id = x->ids[x->id_at];
		if (!cfile_find_opaque(dir, id, &ext, 1))
			continue;
		if (x->loaded_off != ext.off) {
			enum err e = unit_load(x, f, &ext);
			loads++;
			if (e) {
				missing(x, f, e);
				continue;
			}
		}
		for (size_t n = cfile_unit_find(&x->unit, id, &entry); n > 0; n--, entry++)
			list_take(x, id, entry);
	}
	return true;
}

static void run(struct work_task *t)
{
	struct exread *x = CONTAINER_OF(t, struct exread, task);
	struct cfile *f = x->files[x->file_at]->cfile;
	const struct cfile_dir *dir;
	bool done = true;
	if (!x->ids_count)
		ids_list(x);
	enum err e = cfile_dir_load(f, &dir);
	if (e) {
		missing(x, f, e);
	} else {
		done = file_read(x, f, dir);
		cfile_dir_unpin(f);
	}
	if (!done)
		return;
	x->file_at++;
	x->id_at = 0;
	x->loaded_off = 0;
	if (x->file_at == x->files_count && x->found_count)
		qsort(x->found, x->found_count, sizeof(*x->found), by_id);
}

/* ---- loop ---- */

static void came_back(struct work_task *t)
{
	struct exread *x = CONTAINER_OF(t, struct exread, task);
	x->away = false;
	x->back(x);
}

static void files_note(struct exread *x)
{
	x->tombs = tombs_pin(x->shard->tombs);
	LIST_EACH(l, &x->shard->files) {
		struct shard_file *f = CONTAINER_OF(l, struct shard_file, link);
		if (f->entry.meta.end_ms <= x->t_min_ms || !cfile_has_kind(f->cfile, CFILE_OPAQUE))
			continue;
		if (!(x->files_count & (x->files_count + 1))) {
			x->files = mem_array(x->files, 2 * x->files_count + 1, sizeof(*x->files));
			x->ranks = mem_array(x->ranks, 2 * x->files_count + 1, sizeof(*x->ranks));
		}
		x->ranks[x->files_count] = shard_file_rank(f);
		x->files[x->files_count++] = f;
		shard_file_pin(f);
	}
}

static void begin(struct exread *x)
{
	const struct idchain_old *old = &x->chain->old;
	x->begun = true;
	files_note(x);
	if (!x->files_count)
		return;
	x->ids = mem_array(NULL, old->count + 1, sizeof(*x->ids));
	for (size_t i = 0; i < old->count; i++)
		x->ids[i] = old->items[i].id;
	x->old_count = old->count;
}

bool exread_step(struct exread *x)
{
	if (!x->begun)
		begin(x);
	if (x->err || x->file_at == x->files_count)
		return true;
	x->away = true;
	x->task = (struct work_task){ .run = run, .done = came_back, .prio = WORK_READ };
	work_submit(x->shard->pool, &x->task);
	return false;
}

static size_t add(struct exread *x, size_t n, const struct exemplar *e)
{
	if (n == x->cap) {
		x->cap = x->cap ? 2 * x->cap : 16;
		x->list = mem_array(x->list, x->cap, sizeof(*x->list));
	}
	x->list[n] = *e;
	return n + 1;
}

static size_t found_of(struct exread *x, uint32_t id, size_t n)
{
	size_t lo = 0, hi = x->found_count;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (x->found[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < x->found_count && x->found[lo].id == id; lo++)
		n = add(x, n, &x->found[lo].e);
	return n;
}

/* Their labels are copied: the ring may lose them before the next call. */
static size_t memory_of(struct exread *x, uint32_t id, size_t n)
{
	const struct exemplars_ring *r = exemplars_of(&x->shard->head.exemplars, id);
	for (uint32_t i = 0; r && i < r->count; i++) {
		struct exemplar e = exemplars_at(r, i);
		if (e.labels.len)
			e.labels.bytes = arena_dup(&x->labels, e.labels.bytes, e.labels.len);
		n = add(x, n, &e);
	}
	return n;
}

size_t exread_series(struct exread *x, const struct exemplar **list)
{
	size_t n = 0, from = 0;
	arena_reset(&x->labels, 4096);
	for (size_t i = 0; i < x->chain->refs_count; i++) {
		n = found_of(x, x->chain->refs[i].id, n);
		n = memory_of(x, x->chain->refs[i].id, n);
	}
	n = exemplar_join(x->list, n, (size_t)limits_here()->write_exemplars);
	while (from < n && x->list[from].t_ms < x->t_min_ms)
		from++;
	while (n > from && x->list[n - 1].t_ms > x->t_max_ms)
		n--;
	*list = x->list ? x->list + from : NULL;
	return n - from;
}
