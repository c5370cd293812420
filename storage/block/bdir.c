#include "storage/block/bdir.h"

#include "core/base/fsio.h"

#include <stdlib.h>
#include <string.h>

struct scan {
	struct fsio_dir *dir;
	struct bdir *d;
	struct buf blocks; /* struct bdir_block */
	bool is_block;     /* it has a meta.json itself */
};

static enum err meta_load(struct fsio_dir *dir, struct arena *a, struct bmeta *m, struct errbuf *eb)
{
	uint8_t *json;
	size_t len;
	enum err e = fsio_load(dir, "meta.json", BMETA_MAX, &json, &len);
	if (e)
		return errbuf_set(eb, e, "meta.json: %s", err_why(e));
	e = bmeta_parse(a, json, len, m, eb);
	mem_free(json);
	return e;
}

static enum err seen(void *arg, const char *name)
{
	struct scan *s = arg;
	size_t len = strlen(name);
	s->d->has_wal |= strcmp(name, "wal") == 0;
	s->d->has_wbl |= strcmp(name, "wbl") == 0;
	s->is_block |= strcmp(name, "meta.json") == 0;
	if (!bulid_is(name, len))
		return ERR_OK;
	struct bdir_block b = { .err = ERR_OK };
	struct fsio_dir *sub;
	struct errbuf eb;
	memcpy(b.ulid.text, name, len + 1);
	errbuf_init(&eb);
	b.err = fsio_dir_sub(s->dir, name, false, &sub);
	if (b.err) {
		errbuf_set(&eb, b.err, "%s", err_why(b.err));
	} else {
		b.err = meta_load(sub, &s->d->arena, &b.meta, &eb);
		fsio_dir_close(sub);
	}
	b.trouble = arena_strndup(&s->d->arena, eb.text, strlen(eb.text));
	buf_add(&s->blocks, &b, sizeof(b));
	return ERR_OK;
}

static int ulids_cmp(const void *a, const void *b)
{
	return strcmp(((const struct bulid *)a)->text, ((const struct bulid *)b)->text);
}

/* "deletable" of tsdb/db.go: parents of what is here are gone at the next start of Prometheus. */
static void drop_parents(struct bdir *d, struct bdir_block *blocks, size_t *count)
{
	struct buf gone;
	buf_init(&gone);
	for (size_t i = 0; i < *count; i++) {
		const struct bmeta *m = &blocks[i].meta;
		for (size_t k = 0; !blocks[i].err && k < m->parents_count; k++)
			buf_add(&gone, &m->parents[k].ulid, sizeof(struct bulid));
	}
	size_t n = gone.len / sizeof(struct bulid), kept = 0;
	if (n)
		qsort(gone.data, n, sizeof(struct bulid), ulids_cmp);
	for (size_t i = 0; i < *count; i++) {
		bool is_gone = !blocks[i].err &&
		    (blocks[i].meta.deletable ||
		        (n && bsearch(&blocks[i].ulid, gone.data, n, sizeof(struct bulid), ulids_cmp)));
		if (!is_gone)
			blocks[kept++] = blocks[i];
	}
	d->superseded = *count - kept;
	*count = kept;
	buf_release(&gone);
}

static int blocks_cmp(const void *pa, const void *pb)
{
	const struct bdir_block *a = pa, *b = pb;
	if (!a->err != !b->err)
		return a->err ? 1 : -1;
	if (a->meta.t_min_ms != b->meta.t_min_ms)
		return a->meta.t_min_ms < b->meta.t_min_ms ? -1 : 1;
	if (a->meta.t_max_ms != b->meta.t_max_ms)
		return a->meta.t_max_ms < b->meta.t_max_ms ? -1 : 1;
	return strcmp(a->ulid.text, b->ulid.text);
}

static void finish(struct bdir *d, struct scan *s)
{
	struct bdir_block *blocks = (void *)s->blocks.data;
	size_t count = s->blocks.len / sizeof(*blocks);
	if (count) {
		drop_parents(d, blocks, &count);
		qsort(blocks, count, sizeof(*blocks), blocks_cmp);
	}
	d->blocks = arena_array(&d->arena, count + 1, sizeof(*blocks));
	if (count)
		memcpy(d->blocks, blocks, count * sizeof(*blocks));
	d->count = count;
	for (size_t i = 0; i < count; i++) {
		const struct bmeta *m = &blocks[i].meta;
		d->broken += blocks[i].err != ERR_OK;
		if (!blocks[i].err && !bmeta_has_hint(m, BMETA_OOO) && m->t_max_ms > d->head_from_ms)
			d->head_from_ms = m->t_max_ms;
	}
}

/* The directory is a block: the list has it alone, by its place and not by a name. */
static enum err itself(struct bdir *d, struct scan *s, struct errbuf *eb)
{
	struct bdir_block b = { .err = ERR_OK };
	enum err e = meta_load(s->dir, &d->arena, &b.meta, eb);
	if (e)
		return e;
	d->is_block = true;
	b.ulid = b.meta.ulid;
	b.trouble = "";
	buf_clear(&s->blocks);
	buf_add(&s->blocks, &b, sizeof(b));
	return ERR_OK;
}

enum err bdir_scan(const char *path, struct bdir *out, struct errbuf *eb)
{
	struct scan s = { .d = out };
	*out = (struct bdir){ .head_from_ms = INT64_MIN };
	enum err e = fsio_dir_open(path, false, &s.dir);
	if (e)
		return errbuf_set(eb, e, "%s: %s", path, err_why(e));
	arena_init(&out->arena, 4096);
	buf_init(&s.blocks);
	e = fsio_dir_each(s.dir, seen, &s);
	if (e)
		errbuf_set(eb, e, "%s: %s", path, err_why(e));
	if (!e && s.is_block)
		e = itself(out, &s, eb);
	if (!e)
		finish(out, &s);
	buf_release(&s.blocks);
	fsio_dir_close(s.dir);
	if (e)
		arena_release(&out->arena);
	return e;
}

void bdir_release(struct bdir *d)
{
	arena_release(&d->arena);
}

char *bdir_path(const char *path, const struct bdir *d, size_t i)
{
	struct buf b;
	buf_init(&b);
	buf_add_str(&b, path);
	if (!d->is_block) {
		buf_add_u8(&b, '/');
		buf_add_str(&b, d->blocks[i].ulid.text);
	}
	buf_add_u8(&b, 0);
	size_t len;
	return (char *)buf_take(&b, &len);
}
