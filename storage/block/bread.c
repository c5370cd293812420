#include "storage/block/bread.h"

#include "core/base/fsio.h"
#include "core/base/guard.h"
#include "core/base/mem.h"
#include "storage/block/bchunk.h"
#include "storage/block/bindex.h"
#include "storage/block/bsegs.h"
#include "storage/block/bselect.h"
#include "storage/block/btomb.h"
#include "storage/chunk/colruns.h"

#define TOMBSTONES_MAX ((size_t)1 << 30)

struct bread {
	struct bdamage damage;
	struct arena arena; /* of meta */
	struct bmeta meta;
	const uint8_t *index_data;
	size_t index_len;
	struct bindex *index;
	struct bsegs segs;
	struct btombs tombs;
	struct bread_counts counts;
	struct buf scratch;
	struct column column;
	struct colruns runs;
	uint64_t spent; /* bytes of chunks that this walk has read */
	bool lost;      /* a page could not be read */

	/* the walk */
	struct bread_walk walk;
	struct bselect select;
	size_t at;      /* in select, of the next series */
	uint32_t after; /* where select has no list: the series that was read last */
	bool walking;
	/* the series whose samples come */
	struct bindex_series series;
	uint32_t chunk; /* its next one */
	bool in_series;
};

/* ---- opening ---- */

static enum err load_meta(struct bread *b, struct fsio_dir *dir, struct errbuf *eb)
{
	uint8_t *json;
	size_t len;
	enum err e = fsio_load(dir, "meta.json", BMETA_MAX, &json, &len);
	if (e)
		return errbuf_set(eb, e, "meta.json: %s", err_why(e));
	e = bmeta_parse(&b->arena, json, len, &b->meta, eb);
	mem_free(json);
	return e;
}

static enum err map_index(struct bread *b, struct fsio_dir *dir, struct errbuf *eb)
{
	struct fsio_file *f;
	enum err e = fsio_open(dir, "index", FSIO_READ, &f);
	if (!e) {
		e = fsio_map(f, &b->index_data, &b->index_len);
		fsio_close(f);
	}
	return e ? errbuf_set(eb, e, "index: %s", err_why(e)) : ERR_OK;
}

static enum err load_tombs(struct bread *b, struct fsio_dir *dir, struct errbuf *eb)
{
	uint8_t *data;
	size_t len;
	enum err e = fsio_load(dir, "tombstones", TOMBSTONES_MAX, &data, &len);
	if (e == ERR_NOTFOUND)
		return ERR_OK;
	if (e)
		return errbuf_set(eb, e, "tombstones: %s", err_why(e));
	e = btombs_read(data, len, &b->tombs, eb);
	mem_free(data);
	return e;
}

/* Maps are looked at inside of a guard: what it leaves behind is given up with the reader. */
struct guarded {
	struct bread *b;
	struct errbuf *eb;
	struct bread_item *item;
	uint32_t ref;
	int64_t t_from_ms, t_to_ms;
	struct arena *arena;
	struct labels *labels;
	struct column *to;
	enum err e;
};

static enum err guarded(struct bread *b, void (*fn)(void *arg), struct guarded *g)
{
	if (b->lost)
		return errbuf_set(g->eb, ERR_IO, "a page of the block could not be read before");
	if (guard_run(fn, g))
		return g->e;
	b->lost = true;
	return errbuf_set(g->eb, ERR_IO, "a page of the block cannot be read");
}

static void open_index(void *arg)
{
	struct guarded *g = arg;
	g->e = bindex_open(g->b->index_data, g->b->index_len, &g->b->index, g->eb);
}

static enum err open_all(struct bread *b, struct fsio_dir *dir, struct errbuf *eb)
{
	struct guarded g = { .b = b, .eb = eb };
	enum err e = load_meta(b, dir, eb);
	if (!e)
		e = map_index(b, dir, eb);
	if (!e)
		e = guarded(b, open_index, &g);
	if (!e)
		e = load_tombs(b, dir, eb);
	return e ? e : bsegs_open(dir, &b->segs, eb);
}

enum err bread_open(
    const char *path, const struct bdamage *damage, struct bread **out, struct errbuf *eb)
{
	struct fsio_dir *dir;
	enum err e = fsio_dir_open(path, false, &dir);
	if (e)
		return errbuf_set(eb, e, "%s: %s", path, err_why(e));
	struct bread *b = mem_zalloc(sizeof(*b));
	if (damage)
		b->damage = *damage;
	arena_init(&b->arena, 4096);
	buf_init(&b->scratch);
	e = open_all(b, dir, eb);
	fsio_dir_close(dir);
	if (e)
		bread_close(b);
	else
		*out = b;
	return e;
}

void bread_close(struct bread *b)
{
	if (!b)
		return;
	bselect_release(&b->select);
	bindex_close(b->index);
	fsio_unmap(b->index_data, b->index_len);
	bsegs_close(&b->segs);
	btombs_release(&b->tombs);
	column_release(&b->column);
	colruns_release(&b->runs);
	buf_release(&b->scratch);
	arena_release(&b->arena);
	mem_free(b);
}

const struct bmeta *bread_meta(const struct bread *b)
{
	return &b->meta;
}

struct bread_counts bread_counts(const struct bread *b)
{
	return b->counts;
}

/* ---- samples ---- */

static void tell_chunk(struct bread *b, uint64_t ref, const char *what)
{
	b->counts.damaged_chunks++;
	bdamage_tell(&b->damage, bsegs_name(&b->segs, ref), (uint32_t)ref, what);
}

/* Rows that do not come behind the others are joined with them: the later chunk wins. */
static void chunk_read(struct bread *b, const struct bindex_chunk *c)
{
	struct bsegs_chunk data;
	const char *what;
	struct column *to = colruns_top(&b->runs);
	uint32_t before = to->count;
	enum err e = bsegs_chunk(&b->segs, c->ref, &data, &what);
	if (!e && data.len > b->segs.bytes - b->spent) {
		e = ERR_DAMAGED;
		what = "chunks are referred to more than once";
	}
	if (!e) {
		b->spent += data.len;
		e = bchunk_decode(data.type, data.data, data.len, &b->scratch, to, &what);
	}
	if (e) {
		tell_chunk(b, c->ref, what ? what : err_text(e));
		return;
	}
	b->counts.chunks++;
	if (before && to->count > before && to->t_ms[before] <= to->t_ms[before - 1])
		colruns_split(&b->runs, before);
}

static void cut(struct column *c, int64_t from, int64_t to)
{
	uint32_t lo = btombs_row(c, 0, from),
	         hi = to == INT64_MAX ? c->count : btombs_row(c, 0, to + 1);
	if (hi < lo)
		hi = lo;
	if (lo || hi < c->count)
		column_keep(c, 0, lo, hi - lo);
}

static void bury(struct bread *b, uint32_t ref, struct column *c)
{
	size_t n;
	const struct btomb *t = btombs_of(&b->tombs, ref, &n);
	if (t)
		b->counts.deleted += btombs_apply(t, n, c, 0);
}

static bool outside(const struct bindex_chunk *c, int64_t from, int64_t to)
{
	return c->t_max_ms < from || c->t_min_ms > to;
}

/* ---- the walk ---- */

static void walk_begin(void *arg)
{
	struct guarded *g = arg;
	struct bread *b = g->b;
	g->e = bselect_make(b->index, b->walk.matchers, b->walk.matchers_count, &b->select, g->eb);
	if (g->e)
		return;
	if (b->select.all_damaged) {
		b->counts.damaged_series++; /* the list; the series themselves are looked for */
		bdamage_tell(&b->damage, "index", 0, "the list of all series is damaged");
	}
	b->at = bselect_after(&b->select, b->walk.after_ref);
}

enum err bread_walk(struct bread *b, const struct bread_walk *w, struct errbuf *eb)
{
	struct guarded g = { .b = b, .eb = eb };
	bselect_release(&b->select);
	b->walk = *w;
	b->after = w->after_ref;
	b->in_series = false;
	b->spent = 0;
	enum err e = guarded(b, walk_begin, &g);
	b->walking = !e;
	return e;
}

/* The next series' place; false: there is none. */
static bool next_ref(struct bread *b, uint32_t *ref)
{
	if (b->select.all_damaged) {
		*ref = b->after = bindex_scan(b->index, b->after);
		return *ref != 0;
	}
	if (b->at == b->select.count)
		return false;
	*ref = bselect_id(&b->select, b->at++);
	return true;
}

static void tell_series(struct bread *b, uint32_t ref, const char *what)
{
	b->counts.damaged_series++;
	bdamage_tell(&b->damage, "index", bindex_offset_of(ref), what);
}

/* The next series that is whole and that the matchers take. */
static enum err next_series(struct bread *b, struct errbuf *eb)
{
	uint32_t ref;
	const char *what;
	while (next_ref(b, &ref)) {
		if (bindex_series(b->index, ref, &b->series, &what)) {
			tell_series(b, ref, what);
			continue;
		}
		enum rex_result r =
		    matcher_labels(b->walk.matchers, b->walk.matchers_count, b->series.labels);
		if (r == REX_LIMIT)
			return errbuf_set(eb, ERR_BADDATA, "a pattern takes too long");
		if (r != REX_YES)
			continue;
		b->chunk = 0;
		b->in_series = true;
		b->counts.series++;
		return ERR_OK;
	}
	return ERR_NOTFOUND;
}

/*
 * Chunks until there is enough of them, and on while the next one begins before the end of those:
 * what comes later is later.
 */
static void fill(struct bread *b)
{
	const struct bindex_series *s = &b->series;
	int64_t from = b->walk.t_from_ms, to = b->walk.t_to_ms, end = INT64_MIN;
	for (; b->chunk < s->chunks_count; b->chunk++) {
		const struct bindex_chunk *c = &s->chunks[b->chunk];
		if (outside(c, from, to))
			continue;
		if (colruns_rows(&b->runs) >= BREAD_SAMPLES && c->t_min_ms > end)
			break;
		chunk_read(b, c);
		end = c->t_max_ms > end ? c->t_max_ms : end;
	}
	colruns_join(&b->runs, &b->column);
	cut(&b->column, from, to);
	bury(b, s->ref, &b->column);
	b->in_series = b->chunk < s->chunks_count;
}

static void count_samples(struct bread *b)
{
	uint64_t n = b->column.count, hists = 0;
	for (uint32_t i = 0; b->column.x && i < b->column.count; i++)
		hists += column_hist(&b->column, i) != NULL;
	b->counts.samples += n;
	b->counts.histograms += hists;
	b->counts.floats += n - hists;
}

static void walk_next(void *arg)
{
	struct guarded *g = arg;
	struct bread *b = g->b;
	g->e = ERR_OK;
	do {
		if (!b->in_series)
			g->e = next_series(b, g->eb);
		if (g->e)
			return;
		fill(b);
	} while (!b->column.count);
	count_samples(b);
	*g->item = (struct bread_item){ .ref = b->series.ref,
		.more = b->in_series,
		.labels = b->series.labels,
		.column = &b->column };
}

enum err bread_next(struct bread *b, struct bread_item *out, struct errbuf *eb)
{
	struct guarded g = { .b = b, .eb = eb, .item = out };
	if (!b->walking)
		return errbuf_set(eb, ERR_BUG, "bread_next without a walk");
	return guarded(b, walk_next, &g);
}

void bread_place(const struct bread *b, uint64_t *done, uint64_t *of)
{
	*done = b->at;
	*of = b->select.all_damaged ? b->meta.series : b->select.count;
}

/* ---- one series ---- */

static void series_read(void *arg)
{
	struct guarded *g = arg;
	struct bread *b = g->b;
	struct bindex_series s;
	const char *what;
	g->e = ERR_NOTFOUND;
	if (bindex_series(b->index, g->ref, &s, &what))
		return;
	struct column c = { 0 };
	for (uint32_t i = 0; i < s.chunks_count; i++)
		if (!outside(&s.chunks[i], g->t_from_ms, g->t_to_ms))
			chunk_read(b, &s.chunks[i]);
	colruns_join(&b->runs, &c);
	cut(&c, g->t_from_ms, g->t_to_ms);
	bury(b, g->ref, &c);
	*g->labels = (struct labels){ .bytes = arena_dup(g->arena, s.labels.bytes, s.labels.len),
		.len = s.labels.len };
	column_append(g->to, &c, 0, c.count);
	column_release(&c);
	g->e = ERR_OK;
}

enum err bread_series(struct bread *b, uint32_t ref, int64_t t_from_ms, int64_t t_to_ms,
    struct arena *a, struct labels *labels, struct column *to, struct errbuf *eb)
{
	struct guarded g = { .b = b,
		.eb = eb,
		.ref = ref,
		.t_from_ms = t_from_ms,
		.t_to_ms = t_to_ms,
		.arena = a,
		.labels = labels,
		.to = to };
	b->walking = b->in_series = false; /* the index holds one series at a time */
	b->spent = 0;
	return guarded(b, series_read, &g);
}
