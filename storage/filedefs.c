#include "storage/filedefs.h"

#include "core/base/mem.h"

#include <roaring/roaring.h>

static roaring_bitmap_t *bitmap(void)
{
	roaring_bitmap_t *b = roaring_bitmap_create();
	if (!b)
		panic("out of memory: bitmap");
	return b;
}

static void list_files(struct filedefs *d, struct shard *sh)
{
	*d = (struct filedefs){ .files = mem_array(NULL, sh->files_count + 1, sizeof(*d->files)) };
	LIST_EACH(l, &sh->files)
		d->files[d->count++] = CONTAINER_OF(l, struct shard_file, link);
}

void filedefs_pin(struct filedefs *d, struct shard *sh)
{
	list_files(d, sh);
	for (size_t i = 0; i < d->count; i++)
		shard_file_pin(d->files[i]);
}

void filedefs_unpin(struct filedefs *d)
{
	for (size_t i = 0; i < d->count; i++)
		shard_file_unpin(d->files[i]);
	mem_free(d->files);
	*d = (struct filedefs){ .files = NULL };
}

static void add_run(void *arg, uint32_t first, uint32_t last)
{
	roaring_bitmap_add_range_closed(arg, first, last);
}

/* What the disk does not give now is missing, as what is damaged; what says nothing of it ends. */
static enum err missing(struct filedefs *d, enum err e)
{
	if (e != ERR_IO && e != ERR_DAMAGED && e != ERR_NOTFOUND)
		return e;
	d->damaged++;
	return ERR_OK;
}

static enum err ids_in(struct filedefs *d, int64_t t_min_ms, int64_t t_max_ms, roaring_bitmap_t *into)
{
	enum err e = ERR_OK;
	for (size_t i = 0; i < d->count && !e; i++) {
		const struct files_entry *f = &d->files[i]->entry;
		if (f->meta.start_ms > t_max_ms || f->meta.end_ms <= t_min_ms)
			continue;
		e = cfile_each_run(d->files[i]->cfile, add_run, into);
		if (e)
			e = missing(d, e);
	}
	return e;
}

struct selecting {
	struct filedefs *d;
	uint32_t tenant;
	const struct matcher *ms;
	size_t count;
	roaring_bitmap_t *wanted; /* ids not met yet */
	void (*fn)(void *arg, uint32_t id, struct labels ls);
	void *arg;
	struct errbuf *eb;
};

static enum err select_file(struct selecting *s, struct cfile *f)
{
	struct cfile_defs *defs;
	uint32_t id, tenant;
	struct labels ls;
	enum err e = cfile_defs_create(f, 0, &defs);
	if (e)
		return e;
	while (!(e = cfile_defs_next(defs, &id, &tenant, &ls))) {
		if (!roaring_bitmap_remove_checked(s->wanted, id) || tenant != s->tenant)
			continue;
		enum rex_result r = matcher_labels(s->ms, s->count, ls);
		if (r == REX_LIMIT) {
			e = errbuf_set(s->eb, ERR_EXECUTION,
			    "an expression of a label matcher is too expensive");
			break;
		}
		if (r == REX_YES)
			s->fn(s->arg, id, ls);
	}
	s->d->damaged += cfile_defs_damage(defs)->units;
	cfile_defs_free(defs);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

enum err filedefs_select(struct filedefs *d, uint32_t tenant, const struct matcher *ms,
    size_t count, int64_t t_min_ms, int64_t t_max_ms,
    void (*fn)(void *arg, uint32_t id, struct labels ls), void *arg, struct errbuf *eb)
{
	struct selecting s = { .d = d,
		.tenant = tenant,
		.ms = ms,
		.count = count,
		.wanted = bitmap(),
		.fn = fn,
		.arg = arg,
		.eb = eb };
	enum err e = ids_in(d, t_min_ms, t_max_ms, s.wanted);
	/* The newest have the labels of most. */
	for (size_t i = d->count; !e && i-- > 0 && !roaring_bitmap_is_empty(s.wanted);) {
		e = select_file(&s, d->files[i]->cfile);
		e = e == ERR_EXECUTION ? e : missing(d, e);
	}
	roaring_bitmap_free(s.wanted);
	return e;
}

struct asking {
	struct filedefs *d;
	const uint32_t *ids;
	size_t count, left;
	bool *known; /* [count] */
	void (*fn)(void *arg, size_t at, uint32_t tenant, struct labels ls);
	void *arg;
};

/* The first at or behind `at` that is not known; count: none. */
static size_t next_unknown(const struct asking *a, size_t at)
{
	while (at < a->count && a->known[at])
		at++;
	return at;
}

static enum err ask_file(struct asking *a, struct cfile *f)
{
	struct cfile_defs *defs;
	uint32_t id, tenant;
	struct labels ls;
	size_t at = next_unknown(a, 0);
	enum err e = cfile_defs_create(f, a->ids[at], &defs);
	if (e)
		return e;
	while (at < a->count && !(e = cfile_defs_next(defs, &id, &tenant, &ls))) {
		while (at < a->count && a->ids[at] < id)
			at = next_unknown(a, at + 1);
		if (at == a->count)
			break;
		if (a->ids[at] == id) {
			a->fn(a->arg, at, tenant, ls);
			a->known[at] = true;
			a->left--;
			at = next_unknown(a, at + 1);
		}
		if (at < a->count)
			cfile_defs_skip(defs, a->ids[at]);
	}
	a->d->damaged += cfile_defs_damage(defs)->units;
	cfile_defs_free(defs);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

enum err filedefs_labels(struct filedefs *d, const uint32_t *ids, size_t count,
    void (*fn)(void *arg, size_t at, uint32_t tenant, struct labels ls), void *arg)
{
	struct asking a = { .d = d,
		.ids = ids,
		.count = count,
		.left = count,
		.known = mem_zalloc(count + 1),
		.fn = fn,
		.arg = arg };
	enum err e = ERR_OK;
	for (size_t i = d->count; !e && a.left && i-- > 0;)
		if (cfile_stats(d->files[i]->cfile)->blocks)
			e = missing(d, ask_file(&a, d->files[i]->cfile));
	mem_free(a.known);
	return e;
}

/* ---- at start ---- */

struct filling {
	const size_t *places;
	struct arena *arena;
	struct labels *out;
	uint32_t *tenants;
};

static void fill(void *arg, size_t at, uint32_t tenant, struct labels ls)
{
	struct filling *f = arg;
	size_t place = f->places[at];
	f->out[place] =
	    (struct labels){ .bytes = arena_dup(f->arena, ls.bytes, ls.len), .len = ls.len };
	if (f->tenants)
		f->tenants[place] = tenant;
}

enum err filedefs_ask(struct shard *sh, const uint32_t *ids, size_t count, struct arena *a,
    struct labels *out, uint32_t *tenants, struct errbuf *eb)
{
	struct filedefs d;
	size_t n = 0;
	enum err e = catalog_labels(sh->catalog, sh->index, ids, count, a, out, tenants, eb);
	if (!shard_catalog_is_behind(sh))
		return e;
	size_t *places = mem_array(NULL, count + 1, sizeof(*places));
	uint32_t *unknown = mem_array(NULL, count + 1, sizeof(*unknown));
	for (size_t i = 0; i < count; i++) {
		if (!e && out[i].len)
			continue;
		out[i] = (struct labels){ 0 };
		places[n] = i;
		unknown[n++] = ids[i];
	}
	struct filling f = { .places = places, .arena = a, .out = out, .tenants = tenants };
	list_files(&d, sh);
	e = filedefs_labels(&d, unknown, n, fill, &f);
	mem_free(d.files);
	mem_free(places);
	mem_free(unknown);
	return e ? errbuf_set(eb, e, "labels cannot be read from files: %s", err_why(e)) : ERR_OK;
}
