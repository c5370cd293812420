#include "storage/back/feed.h"

#include <stdlib.h>

#include "core/base/arena.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "core/base/num.h"
#include "storage/back/round.h"
#include "storage/stopping.h"

#define FEED_RETAIN_STEP 20000u /* series forgotten in one transaction */
#define FEED_LIST_STEP   1024u  /* slots looked at between two looks at the clock */

struct feed_item {
	struct list_link link;
	struct back *back;
	struct work_task task;
	uint64_t rank;
	uint64_t claim; /* the rank that the catalog notes */
	uint64_t epoch; /* of the catalog it goes to */
	uint32_t next_id;
	struct catalog_def *defs;
	size_t defs_count;
	struct catalog_range *ranges;
	size_t ranges_count, ranges_cap;
	enum err err;
	struct errbuf eb;
};

struct feed_item *feed_item_create(uint64_t rank, uint32_t next_id)
{
	struct feed_item *it = mem_zalloc(sizeof(*it));
	it->rank = rank;
	it->next_id = next_id;
	return it;
}

void feed_item_range(struct feed_item *it, int64_t start_ms, uint32_t *take_ids, size_t count)
{
	if (it->ranges_count == it->ranges_cap) {
		it->ranges_cap = it->ranges_cap ? 2 * it->ranges_cap : 4;
		it->ranges = mem_array(it->ranges, it->ranges_cap, sizeof(*it->ranges));
	}
	it->ranges[it->ranges_count++] =
	    (struct catalog_range){ .t_ms = start_ms, .ids = take_ids, .count = count };
}

void feed_item_defs(struct feed_item *it, struct catalog_def *take_defs, size_t count)
{
	it->defs = take_defs;
	it->defs_count = count;
}

static void item_clear(struct feed_item *it)
{
	for (size_t i = 0; i < it->ranges_count; i++)
		mem_free((void *)(uintptr_t)it->ranges[i].ids);
	mem_free(it->ranges);
	mem_free(it->defs);
	it->ranges = NULL;
	it->defs = NULL;
	it->ranges_count = it->ranges_cap = it->defs_count = 0;
}

static void item_free(struct feed_item *it)
{
	item_clear(it);
	mem_free(it);
}

static void retire_begin(struct back *b);
static bool forget_begin(struct back *b);

/* The catalog was renewed since this was handed to a worker: it waits for the rebuild. */
enum err feed_renewed(struct errbuf *eb)
{
	return errbuf_set(eb, ERR_BUSY, "the catalog is being rebuilt");
}

static void apply_run(struct work_task *t)
{
	struct feed_item *it = CONTAINER_OF(t, struct feed_item, task);
	struct shard *sh = it->back->shard;
	errbuf_init(&it->eb);
	if (catalog_epoch(sh->catalog) != it->epoch) {
		it->err = feed_renewed(&it->eb);
		return;
	}
	it->err = catalog_apply(sh->catalog, sh->index, it->claim, it->defs, it->defs_count,
	    it->ranges, it->ranges_count, &it->eb);
}

static void apply_done(struct work_task *t)
{
	struct feed_item *it = CONTAINER_OF(t, struct feed_item, task);
	struct back *b = it->back;
	b->feed_busy = false;
	if (it->err) {
		LOG_EVERY(LOG_LEVEL_ERROR, "catalog_feed_failed", "shard=%u err=%s text=\"%s\"",
		    b->shard->index, err_text(it->err), it->eb.text);
		b->feed_not_before_ns = back_retry_ns(b);
	} else {
		b->catalog_rank = it->rank;
		if (b->catalog_next_id < it->next_id)
			b->catalog_next_id = it->next_id;
		list_del(&it->link);
		item_free(it);
	}
	back_poke(b);
}

void feed_poke(struct back *b)
{
	if (b->feed_busy || b->closing || back_now_ns(b) < b->feed_not_before_ns ||
	    shard_catalog_is_behind(b->shard))
		return;
	if (list_empty(&b->feed)) {
		if (!forget_begin(b) && b->retire_wanted)
			retire_begin(b);
		return;
	}
	struct feed_item *it = CONTAINER_OF(b->feed.next, struct feed_item, link);
	b->feed_busy = true;
	it->claim = shard_rank_known(b->shard, it->rank);
	it->epoch = epoch_now(&b->shard->catalog_epoch);
	it->task = (struct work_task){
		.run = apply_run, .done = apply_done, .lane = BACK_LANE_CATALOG, .prio = WORK_BACKGROUND
	};
	work_submit(b->pool, &it->task);
}

void feed_add(struct back *b, struct feed_item *take_item)
{
	take_item->back = b;
	list_add_tail(&b->feed, &take_item->link);
	feed_poke(b);
}

void feed_drop_all(struct back *b)
{
	struct list_link *l;
	CHECK(!b->feed_busy);
	while ((l = list_pop(&b->feed)))
		item_free(CONTAINER_OF(l, struct feed_item, link));
}

bool feed_is_behind(const struct back *b)
{
	return !list_empty(&b->feed) && b->feed.next != b->feed.prev;
}

/*
 * Series of the head that the catalog has: ids are given once, and none that the catalog has not
 * leaves memory. Too few rather than too many: what is not counted is asked of the catalog.
 */
static uint64_t known_active(const struct back *b)
{
	const struct shard *sh = b->shard;
	uint64_t all = sh->head.series_count;
	uint64_t young = sh->next_id > b->catalog_next_id ? sh->next_id - b->catalog_next_id : 0;
	return all > young ? all - young : 0;
}

void feed_count(struct back *b, uint64_t in_catalog)
{
	uint64_t active = known_active(b);
	/* More active ones than there are cannot be: rather ask the catalog too often. */
	b->shard->inactive = in_catalog >= active ? in_catalog - active : 1;
}

void feed_open(struct back *b)
{
	const struct catalog_state *st = &b->shard->catalog_state;
	b->catalog_rank =
	    b->shard->list.next_rank - 1; /* worked in by the start; what it claims may be less */
	b->catalog_next_id = st->next_id;
	feed_count(b, st->series);
	if (shard_catalog_is_behind(b->shard)) { /* see rebuild.c */
		b->catalog_rank = 0;
		b->catalog_next_id = 0;
	}
}

/* ---- retention ---- */

/* The ids in memory are listed in slices, then a worker makes the catalog forget the others. */
struct retire {
	struct back *back;
	struct job job;
	uint32_t slot, slots_end; /* those there were at the beginning */
	struct work_task task;
	int64_t keep_from_ms;
	uint64_t epoch;
	uint32_t *keep;
	size_t keep_count, keep_cap;
	struct catalog_state state;
	enum err err;
	struct errbuf eb;
};

static int by_u32(const void *a, const void *b)
{
	uint32_t x, y;
	__builtin_memcpy(&x, a, 4);
	__builtin_memcpy(&y, b, 4);
	return x < y ? -1 : x > y;
}

static void retire_run(struct work_task *t)
{
	struct retire *r = CONTAINER_OF(t, struct retire, task);
	struct shard *sh = r->back->shard;
	bool more = true;
	if (catalog_epoch(sh->catalog) != r->epoch)
		r->err = feed_renewed(&r->eb);
	if (r->keep_count) /* none: no array either */
		qsort(r->keep, r->keep_count, sizeof(*r->keep), by_u32);
	while (more && !r->err)
		r->err = catalog_retain(sh->catalog, sh->index, r->keep_from_ms, r->keep,
		    r->keep_count, FEED_RETAIN_STEP, &more, &r->eb);
	if (!r->err)
		r->err = catalog_state(sh->catalog, sh->index, &r->state, &r->eb);
}

static void retire_done(struct work_task *t)
{
	struct retire *r = CONTAINER_OF(t, struct retire, task);
	struct back *b = r->back;
	b->feed_busy = false;
	if (r->err) /* tried again when the next file goes */
		LOG_EVERY(LOG_LEVEL_ERROR, "catalog_retention_failed",
		    "shard=%u err=%s text=\"%s\"", b->shard->index, err_text(r->err), r->eb.text);
	else
		feed_count(b, r->state.series);
	mem_free(r->keep);
	mem_free(r);
	back_poke(b);
}

static void keep_some(struct retire *r)
{
	const struct head *h = &r->back->shard->head;
	for (unsigned n = 0; n < FEED_LIST_STEP && r->slot < r->slots_end; n++) {
		const struct series *s = head_at(h, r->slot++);
		if (!(s->flags & SERIES_USED))
			continue;
		if (r->keep_count == r->keep_cap) {
			r->keep_cap = r->keep_cap ? 2 * r->keep_cap : 1024;
			r->keep = mem_array(r->keep, r->keep_cap, sizeof(*r->keep));
		}
		r->keep[r->keep_count++] = s->id;
	}
}

/*
 * Series made meanwhile come to the catalog behind this; of those that leave, the files say whether
 * they are kept.
 */
static enum job_state retire_list(struct job *j)
{
	struct retire *r = CONTAINER_OF(j, struct retire, job);
	while (r->slot < r->slots_end) {
		keep_some(r);
		if (job_should_yield())
			return JOB_YIELD;
	}
	r->task = (struct work_task){ .run = retire_run,
		.done = retire_done,
		.lane = BACK_LANE_CATALOG,
		.prio = WORK_BACKGROUND };
	work_submit(r->back->pool, &r->task);
	return JOB_DONE;
}

static void retire_begin(struct back *b)
{
	struct retire *r = mem_zalloc(sizeof(*r));
	r->back = b;
	r->keep_from_ms = b->retire_from_ms;
	r->slots_end = b->shard->head.slots_count;
	r->epoch = epoch_now(&b->shard->catalog_epoch);
	b->feed_busy = true;
	b->retire_wanted = false;
	job_init(&r->job, JOB_WRITE, retire_list);
	job_start(b->shard->loop, &r->job);
}

void feed_retire(struct back *b, int64_t keep_from_ms)
{
	b->retire_wanted = true;
	b->retire_from_ms = keep_from_ms;
	feed_poke(b);
}

/* ---- deletions ---- */

/* Series that are dead leave the catalog, behind all that brings some to it. */
struct forget {
	struct back *back;
	struct work_task task;
	struct tombs *tombs; /* pinned */
	uint64_t above, epoch;
	struct catalog_state state;
	enum err err;
	struct errbuf eb;
};

static bool is_young(const struct forget *f, const struct tomb_entry *e)
{
	const struct tomb_cut *c = &f->tombs->cuts[e->cut];
	return c->rank > f->above && tomb_cut_is_whole(c);
}

static void forget_run(struct work_task *t)
{
	struct forget *f = CONTAINER_OF(t, struct forget, task);
	struct shard *sh = f->back->shard;
	const struct tombs *set = f->tombs;
	uint32_t *ids = mem_array(NULL, set->count + 1, sizeof(*ids));
	size_t n = 0;
	for (size_t i = 0; i < set->count; i++)
		if (is_young(f, &set->entries[i]) && (!n || ids[n - 1] != set->entries[i].id))
			ids[n++] = set->entries[i].id;
	f->err = catalog_epoch(sh->catalog) == f->epoch
	    ? catalog_forget(sh->catalog, sh->index, ids, n, &f->eb)
	    : feed_renewed(&f->eb);
	if (!f->err)
		f->err = catalog_state(sh->catalog, sh->index, &f->state, &f->eb);
	mem_free(ids);
}

static void forget_done(struct work_task *t)
{
	struct forget *f = CONTAINER_OF(t, struct forget, task);
	struct back *b = f->back;
	b->feed_busy = false;
	if (f->err) {
		LOG_EVERY(LOG_LEVEL_ERROR, "catalog_forget_failed", "shard=%u err=%s text=\"%s\"",
		    b->shard->index, err_text(f->err), f->eb.text);
		b->feed_not_before_ns = back_retry_ns(b);
	} else {
		b->forgot_rank = f->tombs->rank_max;
		b->tidy_now = true;
		feed_count(b, f->state.series);
	}
	tombs_unpin(f->tombs);
	mem_free(f);
	back_poke(b);
}

/* False: there is nothing to forget. */
static bool forget_begin(struct back *b)
{
	struct shard *sh = b->shard;
	if (LIKELY(!sh->tombs) || sh->tombs->rank_max <= b->forgot_rank || !sh->catalog)
		return false;
	struct forget *f = mem_zalloc(sizeof(*f));
	f->back = b;
	f->tombs = tombs_pin(sh->tombs);
	f->above = b->forgot_rank;
	f->epoch = epoch_now(&sh->catalog_epoch);
	b->feed_busy = true;
	f->task = (struct work_task){ .run = forget_run,
		.done = forget_done,
		.lane = BACK_LANE_CATALOG,
		.prio = WORK_BACKGROUND };
	work_submit(b->pool, &f->task);
	return true;
}

/* ---- files into the catalog ---- */

/* What one commit brings to the catalog: of so many small files. */
#define CATCH_DEFS  20000u
#define CATCH_BYTES (8u << 20)
#define CATCH_IDS   1000000u
unsigned feed_catch_files = 256;

struct feed_catch {
	struct catalog_def *defs;
	size_t defs_count, defs_cap;
	struct arena arena;
	uint32_t *ids;
	size_t ids_count, ids_cap;
	/* a file has one for each two hours of its samples; count 0: as the one before */
	struct catalog_range *ranges;
	size_t ranges_count, ranges_cap, files;
	uint64_t hold; /* no higher rank may be claimed: a file could not be read */
};

static enum err catch_defs(struct feed_catch *c, struct cfile *f)
{
	struct cfile_defs *it;
	enum err err = cfile_defs_create(f, 0, &it);
	if (err)
		return err;
	uint32_t id, tenant;
	struct labels ls;
	while (!(err = cfile_defs_next(it, &id, &tenant, &ls))) {
		if (c->defs_count == c->defs_cap) {
			c->defs_cap = c->defs_cap ? 2 * c->defs_cap : 1024;
			c->defs = mem_array(c->defs, c->defs_cap, sizeof(*c->defs));
		}
		c->defs[c->defs_count++] = (struct catalog_def){ .id = id,
			.tenant = tenant,
			.labels = { .bytes = arena_dup(&c->arena, ls.bytes, ls.len), .len = ls.len } };
	}
	if (cfile_defs_damage(it)->units)
		LOG_WARN("damaged_data_skipped", "%s", cfile_defs_damage(it)->first.text);
	cfile_defs_free(it);
	return err == ERR_NOTFOUND ? ERR_OK : err;
}

static void catch_run(void *arg, uint32_t first, uint32_t last)
{
	struct feed_catch *c = arg;
	for (uint64_t id = first; id <= last; id++) {
		if (c->ids_count == c->ids_cap) {
			c->ids_cap = c->ids_cap ? 2 * c->ids_cap : 1024;
			c->ids = mem_array(c->ids, c->ids_cap, sizeof(*c->ids));
		}
		c->ids[c->ids_count++] = (uint32_t)id;
	}
}

/*
 * Every two hours from its first sample to its last: where a series was silent for some of them the
 * files tell.
 */
static void catch_ranges(struct feed_catch *c, const struct cfile_stats *st, size_t ids)
{
	int64_t t_ms = round_range(st->t_min_ms);
	for (; t_ms <= st->t_max_ms; t_ms = num_sat_add(t_ms, SAMPLE_RANGE_MS)) {
		if (c->ranges_count == c->ranges_cap) {
			c->ranges_cap = c->ranges_cap ? 2 * c->ranges_cap : 64;
			c->ranges = mem_array(c->ranges, c->ranges_cap, sizeof(*c->ranges));
		}
		c->ranges[c->ranges_count++] = (struct catalog_range){ .t_ms = t_ms, .count = ids };
		ids = 0;
	}
}

/* What the file has, beside what is there: nothing, when its directory cannot be read. */
static enum err catch_read(struct feed_catch *c, struct cfile *f, struct errbuf *eb)
{
	size_t from = c->ids_count;
	c->files++;
	enum err err = cfile_each_run(f, catch_run, c);
	if (c->ids_count > from)
		catch_ranges(c, cfile_stats(f), c->ids_count - from);
	if (!err)
		err = catch_defs(c, f);
	return err ? errbuf_set(eb, err, "cannot read %s: %s", cfile_path(f), err_why(err)) : ERR_OK;
}

/* One commit. rank: what the catalog may claim to have worked in afterwards. */
static enum err catch_apply(struct feed_catch *c, struct shard *sh, uint64_t rank, struct errbuf *eb)
{
	const uint32_t *ids = c->ids;
	for (size_t i = 0; i < c->ranges_count; i++) {
		struct catalog_range *r = &c->ranges[i];
		if (!r->count) {
			r->ids = r[-1].ids;
			r->count = r[-1].count;
			continue;
		}
		r->ids = ids;
		ids += r->count;
	}
	enum err err = catalog_apply(
	    sh->catalog, sh->index, rank, c->defs, c->defs_count, c->ranges, c->ranges_count, eb);
	c->defs_count = c->ids_count = c->ranges_count = c->files = 0;
	arena_reset(&c->arena, 1 << 20);
	return err;
}

static bool catch_is_full(const struct feed_catch *c)
{
	return c->files >= feed_catch_files || c->defs_count >= CATCH_DEFS ||
	    c->ids_count >= CATCH_IDS || arena_used(&c->arena) >= CATCH_BYTES;
}

static void catching_begin(struct feed_catch *c)
{
	*c = (struct feed_catch){ .hold = UINT64_MAX };
	arena_init(&c->arena, 1 << 16);
}

static void catching_end(struct feed_catch *c)
{
	arena_release(&c->arena);
	mem_free(c->defs);
	mem_free(c->ids);
	mem_free(c->ranges);
}

enum err feed_file(struct shard *sh, struct cfile *f, uint64_t rank, struct errbuf *eb)
{
	struct feed_catch c;
	catching_begin(&c);
	enum err err = catch_read(&c, f, eb);
	if (!err)
		err = catch_apply(&c, sh, rank, eb);
	catching_end(&c);
	return err;
}

static int by_rank(const void *a, const void *b)
{
	const struct shard_file *const *x = a, *const *y = b;
	return (*x)->entry.meta.rank < (*y)->entry.meta.rank
	    ? -1
	    : (*x)->entry.meta.rank > (*y)->entry.meta.rank;
}

/*
 * A disk that does not give the definitions now may do so at the next start: until then the file is
 * not claimed.
 */
static enum err catch_one(struct feed_catch *c, struct shard *sh, struct cfile *f, struct errbuf *eb)
{
	struct errbuf why;
	errbuf_init(&why);
	enum err err = catch_read(c, f, &why);
	if (err == ERR_NOMEM || err == ERR_NOFILES)
		return errbuf_set(eb, err, "%s", why.text);
	if (err) {
		LOG_ERROR("file_not_fed", "shard=%u err=%s text=\"%s\"", sh->index, err_text(err),
		    why.text);
		uint64_t below = cfile_meta(f)->rank - (cfile_meta(f)->rank > 0);
		c->hold = below < c->hold ? below : c->hold;
	}
	return ERR_OK;
}

struct feed_catch *feed_catch_begin(void)
{
	struct feed_catch *c = mem_alloc(sizeof(*c));
	catching_begin(c);
	return c;
}

void feed_catch_end(struct feed_catch *c)
{
	if (!c)
		return;
	catching_end(c);
	mem_free(c);
}

uint64_t feed_catch_hold(const struct feed_catch *c)
{
	return c->hold;
}

void feed_catch_sort(struct shard_file **files, size_t count)
{
	if (count)
		qsort(files, count, sizeof(struct shard_file *), by_rank);
}

enum err feed_catch_some(struct feed_catch *c, struct shard *sh, struct shard_file *const *files,
    size_t count, uint64_t most, size_t *at, struct errbuf *eb)
{
	for (;;) {
		/*
		 * The files of one round have one rank: only the last one completes it, or a crash
		 * in between would leave the others out for good.
		 */
		size_t i = (*at)++;
		uint64_t rank = files[i]->entry.meta.rank;
		bool last = i + 1 == count || files[i + 1]->entry.meta.rank > rank;
		enum err err = catch_one(c, sh, files[i]->cfile, eb);
		if (err)
			return err;
		if (!catch_is_full(c) && i + 1 < count)
			continue;
		rank = last ? rank : rank - 1;
		rank = rank < most ? rank : most;
		return catch_apply(c, sh, rank < c->hold ? rank : c->hold, eb);
	}
}

uint64_t feed_start_bytes = 128u << 10;

/* Bytes of labels in the files: what it costs to work them in. */
static uint64_t label_bytes(struct shard_file *const *files, size_t count)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < count; i++)
		bytes += cfile_stats(files[i]->cfile)->label_bytes;
	return bytes;
}

static enum err catch_all(struct shard *sh, struct shard_file *const *todo, size_t count,
    const struct stopping *stop, struct errbuf *eb)
{
	struct feed_catch *c = feed_catch_begin();
	enum err err = ERR_OK;
	for (size_t at = 0; at < count && !err;) {
		err = stopping_told(stop)
		    ? errbuf_set(eb, ERR_STOPPING, "told to stop while the catalog caught up")
		    : feed_catch_some(c, sh, todo, count, shard_rank_known(sh, UINT64_MAX), &at, eb);
		sh->rank_hold = c->hold < sh->rank_hold ? c->hold : sh->rank_hold;
	}
	feed_catch_end(c);
	return err;
}

enum err feed_recover(struct shard *sh, const struct stopping *stop, struct errbuf *eb)
{
	struct catalog_state *st = &sh->catalog_state;
	enum err err = catalog_state(sh->catalog, sh->index, st, eb);
	if (err)
		return err;
	struct shard_file **todo = mem_array(NULL, sh->files_count + 1, sizeof(*todo));
	size_t count = 0;
	LIST_EACH(l, &sh->files) {
		struct shard_file *f = CONTAINER_OF(l, struct shard_file, link);
		if (f->entry.meta.rank > st->rank)
			todo[count++] = f;
	}
	feed_catch_sort(todo, count);
	uint64_t bytes = label_bytes(todo, count);
	if (count && bytes >= feed_start_bytes) {
		LOG_INFO("catalog_behind",
		    "shard=%u files=%zu label_bytes=%llu then=\"it catches up in the background\"",
		    sh->index, count, (unsigned long long)bytes);
	} else {
		err = catch_all(sh, todo, count, stop, eb);
		if (!err)
			err = catalog_state(sh->catalog, sh->index, st, eb);
		if (!err)
			epoch_set(&sh->catalog_epoch, catalog_epoch(sh->catalog));
	}
	mem_free(todo);
	return err;
}

/* ---- labels for merges ---- */

struct feed_labels {
	struct shard *shard;
	struct catalog_lookup *lookup;
	uint64_t epoch;
	struct arena arena;
};

struct feed_labels *feed_labels_begin(struct shard *sh)
{
	struct feed_labels *f = mem_zalloc(sizeof(*f));
	f->shard = sh;
	f->epoch = epoch_now(&sh->catalog_epoch);
	f->lookup = catalog_lookup_begin(sh->catalog, sh->index);
	arena_init(&f->arena, 4096);
	return f;
}

enum err feed_labels_get(struct feed_labels *f, uint32_t id, uint32_t *tenant, struct labels *ls)
{
	struct errbuf eb;
	errbuf_init(&eb);
	arena_reset(&f->arena, 1 << 16);
	enum err err = catalog_lookup_get(f->lookup, id, &f->arena, ls, tenant, &eb);
	if (err)
		LOG_EVERY(LOG_LEVEL_WARN, "catalog_read_failed", "shard=%u err=%s text=\"%s\"",
		    f->shard->index, err_text(err), eb.text);
	if (err || ls->len)
		return err;
	/* one that is rebuilt does not know all yet: the merge must not leave them out */
	return catalog_epoch(f->shard->catalog) == f->epoch ? ERR_NOTFOUND : ERR_BUSY;
}

void feed_labels_end(struct feed_labels *f)
{
	catalog_lookup_end(f->lookup);
	arena_release(&f->arena);
	mem_free(f);
}
