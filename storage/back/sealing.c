/*
 * Which files of a shard are merged, and when. storage/compact/plan decides, from the list of now,
 * on a worker: a look goes over all files in parts of LOOK_FILES, oldest ranges first, and starts
 * again where it was when a merge has ended. seal_run does the merging, on a worker, too.
 *
 * A range is behind when, for every class of samples that is not silent (storage/append/newest.h),
 * its end is SEALING_BEHIND_MS behind the newest accepted time; it closes when, besides, no row
 * came for it for SEALING_QUIET_NS; all of a shard's close when nothing came for the shard for so
 * long.
 * A bucket with files that the catalog has not worked in waits for it, as the merge asks it for
 * labels. A file that could not be opened and may return is not merged over.
 *
 * Tombstones. Dead samples of tenants are left out by every merge. Of a sealed file that lies
 * before a tombstone it is weighed, once, how many of its series are the tenant's; when WORN_SHARE
 * of all are dead it is written again alone.
 *
 * Disk. Two merges may run at a time in the process (BACK_LANE_MERGE). Every PACE_BYTES the file is
 * synced, and the worker rests PACE_REST times as long as writing and syncing took: so both
 * together take at most half of the disk's time. Who asked for it (force) does not wait.
 * Memory. A merge holds about SEALING_INPUT_BYTES for each input; all inputs together take at most
 * 1/64 of the budget. Files: at most SEALING_FILE_BYTES. Where the disk has no room for a merge,
 * smaller ones are looked for (seal_bytes_max) until none is found.
 */
#include <stdio.h>
#include <time.h>

#include "core/base/arena.h"
#include "core/base/budget.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "core/model/exemplar.h"
#include "core/model/limits.h"
#include "storage/back/back.h"
#include "storage/back/feed.h"
#include "storage/compact/plan.h"
#include "storage/compact/seal.h"
#include "storage/share.h"
#include "storage/space.h"

#define SEALING_BEHIND_MS (3600 * INT64_C(1000))
#define SEALING_QUIET_NS  (3600 * UINT64_C(1000000000))
/* bytes free beyond those of the inputs: labels, the new list */
#define SEALING_ROOM       (1u << 20)
#define SEALING_FILE_BYTES (2ull << 30)
/* Retention by size goes by whole files: each of so many parts of it at most. */
#define SEALING_QUOTA_PARTS 10u
#define SEALING_FILE_LEAST  (1u << 20)
#define SEALING_INPUT_BYTES (256u << 10)
#define LOOK_FILES          4096u
#define LOOK_WEIGHED        16u  /* files weighed in one part of a look */
#define WORN_SHARE          341u /* of 1,024 */
#define PACE_BYTES          (8u << 20)
#define PACE_STEP_NS        100000000u
#define PACE_REST           (2 * BACK_MERGES - 1)

STATIC(PLAN_INPUTS_MAX <= SEAL_INPUTS_MAX);

struct merge_work {
	struct shard *shard;
	struct back *back;
	struct shard_file *inputs[SEAL_INPUTS_MAX];
	struct cfile *cfiles[SEAL_INPUTS_MAX];
	size_t count;
	unsigned serial; /* of the output's name */
	bool paced;
	struct seal_dead *dead; /* the list's tombstones at the beginning */
	size_t dead_count;
	struct tombs *tombs;             /* pinned: what was deleted of series at the beginning */
	uint64_t ranks[SEAL_INPUTS_MAX]; /* of inputs: see seal.h */
	bool empty;                      /* nothing is left: there is no output */
	size_t exemplars_max;            /* of one series */
	struct fsio_use rested;          /* the worker's, at the last rest */
	uint64_t took_ns;                /* of the worker's */
	struct work_task task;
	struct feed_labels *labels; /* of the worker */
	struct seal_result result;
	struct cfile *out;
	enum err err;
	struct errbuf eb;
	struct back_switch sw;
};

/* A part of a look: files as they are now, with a worker. */
struct seal_look {
	struct back *back;
	struct work_task task;
	struct plan_limits limits;
	struct plan_clock clock;
	struct plan_file *files;
	struct shard_file **refs; /* of plan_file.ref; good while the list is the same */
	uint32_t count, refs_count;
	uint64_t version;
	int64_t next_ms; /* where the next part begins */
	bool last;
	struct plan_merge merge;
	/* files to be weighed: pinned; what was found is the file's when the look is back */
	struct shard_file *weigh[LOOK_WEIGHED];
	struct shard_part *parts[LOOK_WEIGHED];
	uint32_t weigh_count;
	struct files_dead *dead;
	size_t dead_count;
};

/* ---- looking ---- */

/* Ranges that end at or before it are behind what senders write to. */
int64_t sealing_closed_ms(const struct shard *sh)
{
	const struct newest *n = &sh->share->newest;
	uint64_t now_ns = loop_now_ns(sh->loop);
	int64_t closed = INT64_MAX;
	for (uint32_t i = 0; i < n->count; i++) {
		const struct newest_class *c = &n->classes[i];
		int64_t t_ms = num_sat_sub(share_bounded(sh->share, c->t_ms), SEALING_BEHIND_MS);
		if (!newest_is_silent(c, now_ns) && t_ms < closed)
			closed = t_ms;
	}
	return closed;
}

static struct plan_clock clock_of(const struct back *b)
{
	const struct shard *sh = b->shard;
	uint64_t now_ns = back_now_ns(b);
	return (struct plan_clock){ .closed_ms = sealing_closed_ms(sh),
		.now_ns = now_ns,
		.quiet_ns = SEALING_QUIET_NS,
		.silent = sh->newest_put_ns && now_ns - sh->newest_put_ns >= SEALING_QUIET_NS,
		.force = b->seal_force };
}

static uint32_t inputs_max(void)
{
	uint64_t n = budget_bytes() / 64 / BACK_MERGES / SEALING_INPUT_BYTES;
	return n < 16 ? 16 : n > PLAN_INPUTS_MAX ? PLAN_INPUTS_MAX : (uint32_t)n;
}

struct plan_limits sealing_limits(const struct back *b)
{
	const struct back_env *o = b->env;
	struct plan_limits l = { .inputs_max = inputs_max(), .size_max = SEALING_FILE_BYTES };
	uint64_t fine = o->retention_bytes / SEALING_QUOTA_PARTS / o->shards;
	plan_widths(&l, o->retention_ms);
	if (o->retention_bytes && fine < l.size_max)
		l.size_max = fine > SEALING_FILE_LEAST ? fine : SEALING_FILE_LEAST;
	if (b->seal_bytes_max && b->seal_bytes_max < l.size_max)
		l.size_max = b->seal_bytes_max;
	return l;
}

static void look_add(struct seal_look *k, const struct files_entry *e, enum plan_state state)
{
	k->files[k->count++] = (struct plan_file){ .start_ms = e->meta.start_ms,
		.end_ms = e->meta.end_ms,
		.rank = e->meta.rank,
		.size_bytes = e->size_bytes,
		.ref = k->refs_count,
		.sealed = e->meta.flags & CFILE_SEALED,
		.state = state };
}

/* Does a tombstone hide all that the file has of its tenant? */
static bool is_hidden(const struct shard_file *f, const struct files_dead *d)
{
	return f->entry.samples && f->entry.meta.end_ms <= d->before_ms;
}

static const struct shard_part *part_of(const struct shard_file *f, uint32_t tenant)
{
	for (uint32_t i = 0; i < f->parts_count; i++)
		if (f->parts[i].tenant == tenant)
			return &f->parts[i];
	return NULL;
}

/* Is so much of it dead that it should be written again? Else it may have to be weighed first. */
static bool is_worn(struct seal_look *k, struct shard_file *f)
{
	const struct files *list = &k->back->shard->list;
	uint32_t share =
	    f->entry.series ? (uint32_t)((uint64_t)f->tombs_whole * 1024 / f->entry.series) : 0;
	bool unknown = false;
	for (size_t i = 0; i < list->dead_count; i++) {
		const struct shard_part *p = part_of(f, list->dead[i].tenant);
		if (!is_hidden(f, &list->dead[i]))
			continue;
		share += p ? p->share : 0;
		unknown |= !p;
	}
	if (unknown && k->weigh_count < LOOK_WEIGHED) {
		shard_file_pin(f);
		k->weigh[k->weigh_count++] = f;
	}
	return !unknown && share >= WORN_SHARE;
}

static void look_add_file(struct seal_look *k, struct shard_file *f, bool fixed)
{
	enum plan_state state = fixed || f->busy         ? PLAN_FIXED
	    : f->entry.meta.rank > k->back->catalog_rank ? PLAN_SOON
	                                                 : PLAN_FREE;
	look_add(k, &f->entry, state);
	k->files[k->count - 1].added_ns = f->added_ns;
	if (state == PLAN_FREE && (f->entry.meta.flags & CFILE_LABELS_ALL))
		k->files[k->count - 1].worn = is_worn(k, f);
	k->refs[k->refs_count++] = f;
}

/* What is older than a file that may return must not rise above it. */
static void look_add_lost(struct seal_look *k)
{
	const struct shard *sh = k->back->shard;
	for (size_t i = 0; i < sh->lost_count; i++)
		if (shard_lost_returns(&sh->lost[i]))
			look_add(k, &sh->lost[i].entry, PLAN_FIXED);
}

/* Where the part that begins at `from` ends: behind LOOK_FILES files, between widest buckets. */
static uint32_t part_end(const struct shard *sh, uint32_t from, int64_t width_ms, int64_t *next_ms)
{
	uint32_t to = sh->files_count;
	*next_ms = INT64_MAX;
	if (to - from <= LOOK_FILES)
		return to;
	int64_t last_ms = sh->places[from + LOOK_FILES - 1]->entry.meta.start_ms;
	*next_ms = num_sat_add(plan_bucket(last_ms, width_ms), width_ms);
	return shard_place_from(sh, *next_ms);
}

/* Files of before that reach into the part: wider ones, made for another retention. */
static uint32_t part_reach(const struct shard *sh, uint32_t from, int64_t width_ms, int64_t at_ms)
{
	if (sh->files_width_ms <= width_ms)
		return from;
	return shard_place_from(sh, num_sat_sub(at_ms, sh->files_width_ms));
}

static struct seal_look *look_create(struct back *b)
{
	struct shard *sh = b->shard;
	struct seal_look *k = mem_zalloc(sizeof(*k));
	k->back = b;
	k->limits = sealing_limits(b);
	k->clock = clock_of(b);
	k->version = shard_files_version(sh);
	int64_t width_ms = k->limits.widths_ms[k->limits.widths_count - 1];
	uint32_t from = shard_place_from(sh, b->look_at_ms);
	uint32_t to = part_end(sh, from, width_ms, &k->next_ms);
	uint32_t reach = part_reach(sh, from, width_ms, b->look_at_ms);
	k->last = to == sh->files_count;
	k->files = mem_array(NULL, to - reach + sh->lost_count + 1, sizeof(*k->files));
	k->refs = mem_array(NULL, to - reach + 1, sizeof(struct shard_file *));
	for (uint32_t i = reach; i < to; i++) {
		struct shard_file *f = sh->places[i];
		bool before = i < from;
		if (!before || f->entry.meta.end_ms > b->look_at_ms)
			look_add_file(k, f, before);
	}
	look_add_lost(k);
	k->dead_count = k->weigh_count ? sh->list.dead_count : 0;
	k->dead = mem_array(NULL, k->dead_count + 1, sizeof(*k->dead));
	if (k->dead_count)
		memcpy(k->dead, sh->list.dead, k->dead_count * sizeof(*k->dead));
	return k;
}

static void look_free(struct seal_look *k)
{
	mem_free(k->dead);
	mem_free(k->files);
	mem_free(k->refs);
	mem_free(k);
}

/*
 * How many of the file's series with samples belong to the tenants that have tombstones. What
 * cannot be read counts for nobody.
 */
static void weigh(const struct seal_look *k, struct cfile *f, struct shard_part *parts)
{
	struct cfile_defs *defs;
	uint32_t id, tenant, series = cfile_stats(f)->series;
	struct labels ls;
	for (size_t i = 0; i < k->dead_count; i++)
		parts[i] = (struct shard_part){ .tenant = k->dead[i].tenant };
	if (cfile_defs_create(f, 0, &defs))
		return;
	while (!cfile_defs_next(defs, &id, &tenant, &ls))
		for (size_t i = 0; i < k->dead_count; i++)
			parts[i].share += tenant == parts[i].tenant && cfile_has(f, id);
	for (size_t i = 0; i < k->dead_count && series; i++)
		parts[i].share = (uint32_t)((uint64_t)parts[i].share * 1024 / series);
	cfile_defs_free(defs);
}

static void look_run(struct work_task *t)
{
	struct seal_look *k = CONTAINER_OF(t, struct seal_look, task);
	for (uint32_t i = 0; i < k->weigh_count; i++) {
		k->parts[i] = mem_zalloc((k->dead_count + 1) * sizeof(*k->parts[i]));
		weigh(k, k->weigh[i]->cfile, k->parts[i]);
	}
	(void)plan_next(&k->limits, &k->clock, k->files, k->count, &k->merge);
}

/* All was looked at. */
static void look_end(struct back *b)
{
	b->look_at_ms = INT64_MIN;
	if (b->look_soon) /* again when the catalog has gone on */
		return;
	b->seal_bytes_max = 0;
	b->seal_looked_ns = back_now_ns(b);
	b->seal_wanted = b->seal_force = false;
	back_tell(&b->seal_waiters, ERR_OK);
}

static bool still_there(const struct seal_look *k)
{
	if (k->version != shard_files_version(k->back->shard))
		return false;
	for (uint32_t i = 0; i < k->merge.count; i++)
		if (k->refs[k->merge.refs[i]]->busy)
			return false;
	return true;
}

/* The files are told what was found of them. */
static void weighed(struct seal_look *k)
{
	for (uint32_t i = 0; i < k->weigh_count; i++) {
		struct shard_file *f = k->weigh[i];
		mem_free(f->parts);
		f->parts = k->parts[i];
		f->parts_count = (uint32_t)k->dead_count;
		shard_file_unpin(f);
	}
}

static void begin(struct back *b, const struct seal_look *k);

static void look_done(struct work_task *t)
{
	struct seal_look *k = CONTAINER_OF(t, struct seal_look, task);
	struct back *b = k->back;
	bool same = !b->closing && still_there(k);
	b->look = NULL;
	weighed(k);
	if (b->look_again) { /* somebody wants more than this look was for */
		b->look_again = b->look_soon = false;
		b->look_at_ms = INT64_MIN;
	} else if (same) {
		b->look_soon |= k->merge.soon;
		if (k->merge.count) {
			begin(b, k);
		} else if (!k->weigh_count) { /* else the same part once more */
			b->look_at_ms = k->next_ms;
			if (k->last)
				look_end(b);
		}
	}
	look_free(k);
	back_poke(b);
}

static void look(struct back *b)
{
	struct seal_look *k = look_create(b);
	if (b->look_at_ms == INT64_MIN) {
		b->look_soon = false;
		b->look_rank = b->catalog_rank;
	}
	b->look = k;
	k->task = (struct work_task){ .run = look_run, .done = look_done, .prio = WORK_BACKGROUND };
	work_submit(b->pool, &k->task);
}

/* ---- merging ---- */

static enum err labels_of(void *arg, uint32_t id, uint32_t *tenant, struct labels *ls)
{
	struct merge_work *w = arg;
	return feed_labels_get(w->labels, id, tenant, ls);
}

static void rest(struct merge_work *w, uint64_t ns)
{
	while (ns && !latch_is_set(&w->back->stopping)) {
		uint64_t step = ns < PACE_STEP_NS ? ns : PACE_STEP_NS;
		nanosleep(&(struct timespec){ .tv_nsec = (long)step }, NULL);
		ns -= step;
	}
}

/* See the top of this file. */
static enum err pace(void *arg, struct cfile_writer *writer)
{
	struct merge_work *w = arg;
	struct fsio_use use = fsio_use();
	enum err e = ERR_OK;
	if (latch_is_set(&w->back->stopping))
		return ERR_STOPPING;
	if (use.bytes - w->rested.bytes < PACE_BYTES)
		return ERR_OK;
	e = cfile_writer_sync(writer);
	use = fsio_use();
	if (!e && w->paced)
		rest(w, (use.ns - w->rested.ns) * PACE_REST);
	w->rested = use;
	return e;
}

static void keep_damaged(struct merge_work *w)
{
	for (size_t i = 0; i < w->count; i++) {
		char aside[CFILE_NAME_MAX + 8];
		snprintf(aside, sizeof(aside), "%s.aside", w->inputs[i]->entry.name);
		enum err e = fsio_link(w->shard->dir, w->inputs[i]->entry.name, aside);
		if (e && e != ERR_EXISTS)
			LOG_WARN("damaged_file_not_kept", "shard=%u file=%s err=%s",
			    w->shard->index, w->inputs[i]->entry.name, err_text(e));
	}
}

/* Exemplars of one series: the newest of what the inputs have. */
static void exemplars_merge(
    void *arg, uint32_t id, const struct seal_piece *pieces, size_t count, struct buf *out)
{
	const struct merge_work *w = arg;
	struct exemplar *list = NULL, e;
	size_t n = 0, cap = 0;
	for (size_t i = 0; i < count; i++) {
		struct wire_reader r = wire_reader(pieces[i].bytes, pieces[i].len);
		while (exemplar_get(&r, &e)) {
			if (tombs_hides(w->tombs, id, pieces[i].rank, e.t_ms))
				continue;
			if (n == cap) {
				cap = cap ? 2 * cap : 64;
				list = mem_array(list, cap, sizeof(*list));
			}
			list[n++] = e;
		}
	}
	n = exemplar_join(list, n, w->exemplars_max);
	for (size_t i = 0; i < n; i++)
		exemplar_put(out, &list[i]);
	mem_free(list);
}

static void merge_write(struct merge_work *w)
{
	uint64_t bytes = SEALING_ROOM;
	for (size_t i = 0; i < w->count; i++)
		bytes += w->inputs[i]->entry.size_bytes;
	w->err = space_room(w->back->env->space, bytes, &w->eb);
	if (w->err)
		return;
	w->labels = feed_labels_begin(w->shard);
	w->rested = fsio_use();
	struct seal_opts o = { .dir = w->shard->dir,
		.inputs = w->cfiles,
		.inputs_count = w->count,
		.labels_of = labels_of,
		.step = pace,
		.opaque = exemplars_merge,
		.tombs = w->tombs,
		.ranks = w->ranks,
		.dead = w->dead,
		.dead_count = w->dead_count,
		.arg = w,
		.serial = w->serial };
	w->err = seal_run(&o, &w->result, &w->eb);
	feed_labels_end(w->labels);
	if (w->err)
		return;
	if (w->result.damage_units)
		keep_damaged(w);
	w->err = cfile_open(w->shard->dir, w->result.name, &w->out, &w->eb);
	w->empty = !w->err && w->tombs && !w->result.stats.samples && !w->result.stats.blocks &&
	    !cfile_has_kind(w->out, CFILE_OPAQUE);
}

static void merge_run(struct work_task *t)
{
	struct merge_work *w = CONTAINER_OF(t, struct merge_work, task);
	uint64_t began_ns = clock_real_mono_ns();
	merge_write(w);
	w->took_ns = clock_real_mono_ns() - began_ns;
}

/*
 * Who asked is told; the next try comes in its time. Where there was no room, a smaller one is
 * tried at once: what shrinks may make room.
 */
static void not_merged(struct back *b, enum err err, uint64_t bytes)
{
	const struct back_env *o = b->env;
	bool smaller = err == ERR_NOSPACE && bytes / 2;
	b->seal_bytes_max = smaller ? bytes / 2 : 0;
	b->look_at_ms = INT64_MIN;
	b->seal_not_before_ns = err != ERR_NOSPACE ? back_retry_ns(b)
	    : smaller                              ? 0
	              : back_now_ns(b) + (uint64_t)o->seal_every_ms * 1000000u;
	b->seal_wanted |= smaller;
	b->seal_force = false;
	back_tell(&b->seal_waiters, err);
}

static void merge_end(struct merge_work *w, enum err err)
{
	struct back *b = w->back;
	if (w->result.serial > w->shard->merge_serial)
		w->shard->merge_serial = w->result.serial;
	if ((err || w->empty) && w->result.name[0]) /* no list will name it */
		removal_add(w->shard, w->result.name, w->out);
	uint64_t bytes = 0;
	for (size_t i = 0; i < w->count; i++) {
		struct shard_file *f = w->inputs[i];
		bytes += f->entry.size_bytes;
		f->busy = false;
		if (!err)
			shard_file_gone(f);
		shard_file_unpin(f);
	}
	b->merge = NULL;
	if (err) {
		not_merged(b, err, bytes);
	} else {
		metric_add(M_SEALS, 1);
		w->shard->merge_last_ms = loop_now_ms(w->shard->loop);
		w->shard->merge_last_took_ns = w->took_ns;
	}
	if (err)
		tidy_purge_failed(b, err);
	tombs_unpin(w->tombs);
	mem_free(w->dead);
	mem_free(w);
	back_poke(b);
}

/* Deletions that were known when the merge began have nothing left to hide in it. */
static struct files_entry output_of(const struct merge_work *w)
{
	struct files_entry e = files_entry_of(w->result.name, &w->result.meta, &w->result.stats);
	if (w->tombs && w->tombs->rank_max > e.meta.rank)
		e.clean = w->tombs->rank_max;
	return e;
}

static void change_files(struct back_switch *s, struct files *next)
{
	struct merge_work *w = CONTAINER_OF(s, struct merge_work, sw);
	struct files_entry *gone = mem_array(NULL, w->count, sizeof(*gone));
	for (size_t i = 0; i < w->count; i++)
		gone[i] = w->inputs[i]->entry;
	CHECK(files_del_many(next, gone, w->count));
	mem_free(gone);
	if (w->empty)
		return;
	struct files_entry e = output_of(w);
	files_add(next, &e);
}

static void switched(struct back_switch *s, enum err err)
{
	struct merge_work *w = CONTAINER_OF(s, struct merge_work, sw);
	if (err) {
		merge_end(w, err);
		return;
	}
	if (!w->empty) {
		struct shard_file *f = mem_zalloc(sizeof(*f));
		f->cfile = w->out;
		f->entry = output_of(w);
		shard_file_add(w->shard, f);
	}
	if (w->tombs)
		w->back->tidy_wanted = true;
	if (w->result.damage_units)
		LOG_WARN("damaged_data_skipped", "shard=%u file=%s units=%llu first=\"%s\"",
		    w->shard->index, w->result.name, (unsigned long long)w->result.damage_units,
		    w->result.damage.text);
	merge_end(w, ERR_OK);
}

static void merged(struct work_task *t)
{
	struct merge_work *w = CONTAINER_OF(t, struct merge_work, task);
	if (w->err == ERR_STOPPING) {
		merge_end(w, w->err);
		return;
	}
	if (w->err) {
		metric_add(M_SEALS_FAILED, 1);
		LOG_EVERY(LOG_LEVEL_ERROR, "seal_failed", "shard=%u err=%s text=\"%s\"",
		    w->shard->index, err_text(w->err), w->eb.text);
		merge_end(w, w->err);
		return;
	}
	w->sw = (struct back_switch){ .change = change_files, .done = switched, .frees = true };
	back_switch(w->shard, &w->sw);
}

void sealing_begin(struct back *b, struct shard_file *const *files, uint32_t count)
{
	struct shard *sh = b->shard;
	struct merge_work *w = mem_zalloc(sizeof(*w));
	w->exemplars_max = (size_t)limits_here()->write_exemplars;
	w->shard = sh;
	w->back = b;
	w->paced = !b->seal_force && !b->purging;
	errbuf_init(&w->eb);
	w->tombs = tombs_pin(sh->tombs);
	for (uint32_t i = 0; i < count; i++) {
		struct shard_file *f = files[i];
		f->busy = true;
		shard_file_pin(f);
		w->ranks[w->count] = shard_file_rank(f);
		w->inputs[w->count] = f;
		w->cfiles[w->count++] = f->cfile;
	}
	w->dead_count = sh->list.dead_count;
	w->dead = mem_array(NULL, w->dead_count + 1, sizeof(*w->dead));
	for (size_t i = 0; i < w->dead_count; i++)
		w->dead[i] = (struct seal_dead){ .tenant = sh->list.dead[i].tenant,
			.before_ms = sh->list.dead[i].before_ms };
	w->serial = ++sh->merge_serial;
	b->merge = w;
	w->task = (struct work_task){ .run = merge_run,
		.done = merged,
		.lane = (uint16_t)(BACK_LANE_MERGE + sh->index % BACK_MERGES),
		.prio = WORK_BACKGROUND };
	work_submit(b->pool, &w->task);
}

static void begin(struct back *b, const struct seal_look *k)
{
	struct shard_file *files[SEAL_INPUTS_MAX];
	for (uint32_t i = 0; i < k->merge.count; i++)
		files[i] = k->refs[k->merge.refs[i]];
	sealing_begin(b, files, k->merge.count);
}

/* Is it time for a look, or does one go on? */
static bool look_is_due(const struct back *b, uint64_t now_ns)
{
	uint64_t every_ns = (uint64_t)b->env->seal_every_ms * 1000000u;
	if (b->look_at_ms != INT64_MIN)
		return true;
	if (b->look_soon && b->look_rank == b->catalog_rank) /* it waits for the catalog */
		return false;
	return b->seal_wanted || b->look_soon || now_ns - b->seal_looked_ns >= every_ns;
}

void sealing_poke(struct back *b)
{
	uint64_t now = back_now_ns(b);
	if (b->closing || b->merge || b->look)
		return;
	if (b->shard->unknown) { /* an output would only lie there; who waits is not kept waiting */
		b->seal_force = false;
		back_tell(&b->seal_waiters, ERR_BUSY);
		tidy_purge_failed(b, ERR_BUSY);
		return;
	}
	if (shard_catalog_is_behind(b->shard)) { /* it has no labels yet: nothing can be merged */
		b->seal_force = false;
		back_tell(&b->seal_waiters, ERR_OK);
		tidy_purge_failed(b, ERR_BUSY);
		return;
	}
	if (tidy_purge(b))
		return;
	if (b->seal_not_before_ns && now < b->seal_not_before_ns && !b->seal_force)
		return;
	if (look_is_due(b, now))
		look(b);
}

void sealing_want(struct back *b, bool force)
{
	b->seal_wanted = true;
	b->seal_force |= force;
	b->look_again = b->look != NULL;
	b->look_at_ms = INT64_MIN;
	b->look_soon = false;
	sealing_poke(b);
}
