/*
 * What deletions of series leave behind: files that still hold what they hide, and the deletions
 * themselves, which go when nothing is left for them to hide.
 *
 *   weigh   a worker, some files at a time: which have samples of what was deleted
 *   think   a worker: which files are clean, which cuts go. A cut goes when the log cannot bring
 *           back what it dropped (complete_to has passed its number, and nothing of the log waits
 *           for a start that can read it), when the catalog has
 *           forgotten the series that it made dead, and when no file of lower rank overlaps it
 *           that is not clean
 *   switch  FILES gets the marks of clean files, and another file of deletions, or none
 *
 * Merges leave out what was deleted; a sealed file of which much is dead is written again alone
 * (sealing.c). For those who wait for all of it to leave the disk (back_purge) each file that has
 * some is, one after another.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/log.h"
#include "core/model/exemplar.h"
#include "storage/back/back.h"
#include "storage/share.h"

#define WEIGHED_MAX 64u /* files that a worker looks into at once */

struct tidy {
	struct back *back;
	struct work_task task;
	struct tombs *tombs; /* pinned */
	struct shard_file *weigh[WEIGHED_MAX];
	uint64_t above[WEIGHED_MAX];
	uint32_t hits[WEIGHED_MAX], whole[WEIGHED_MAX], count;
	/* think */
	struct tidy_file {
		char name[CFILE_NAME_MAX];
		int64_t start_ms;
		uint64_t of_rank; /* its own */
		uint64_t rank;    /* deletions of a higher one hide what they hide in it */
		struct span {
			int64_t t_min_ms, t_max_ms;
		} span;       /* of what it may have */
		bool cleaned; /* now */
	} * files;
	size_t files_count;
	uint64_t complete_to, forgot_rank, least; /* least: rank of all files */
	bool log_waits;                           /* no cut goes */
	bool drops, cleans;
	uint64_t rank;     /* of the new file's name */
	struct tombs *set; /* NULL, with drops: nothing is left */
	struct files_tomb file;
	char (*old)[CFILE_NAME_MAX]; /* files of before */
	size_t old_count;
	enum err err;
	struct back_switch sw;
};

static void end(struct tidy *t)
{
	struct back *b = t->back;
	for (uint32_t i = 0; i < t->count; i++)
		shard_file_unpin(t->weigh[i]);
	tombs_unpin(t->tombs);
	mem_free(t->files);
	mem_free(t->old);
	mem_free(t);
	b->tidy = NULL;
	back_poke(b);
}

/* Exemplars have times of their own: any before the end of the file's range. */
static bool has_exemplars(const struct shard_file *f)
{
	return cfile_has_kind(f->cfile, CFILE_OPAQUE);
}

static struct span span_of(const struct files_entry *e, bool exemplars)
{
	int64_t end_ms = e->meta.end_ms;
	if (!exemplars)
		return (struct span){ e->t_min_ms, e->t_max_ms };
	return (struct span){ INT64_MIN, e->samples && e->t_max_ms > end_ms ? e->t_max_ms : end_ms };
}

/* Has the set something that may be in the file, and was not looked for? */
static bool is_unknown(const struct shard_file *f, const struct tombs *set)
{
	struct span s = span_of(&f->entry, has_exemplars(f));
	return (f->entry.samples || has_exemplars(f)) && f->tombs_rank < set->rank_max &&
	    shard_file_rank(f) < set->rank_max && s.t_min_ms <= set->t_max_ms &&
	    s.t_max_ms >= set->t_min_ms;
}

/* ---- weighing ---- */

struct weighing {
	const struct tidy *t;
	const struct shard_file *f;
	uint64_t above; /* only younger cuts are new */
	size_t at;      /* entries before it are of lower ids */
	uint32_t hits, whole;
};

static void run_of_ids(void *arg, uint32_t first, uint32_t last)
{
	struct weighing *w = arg;
	const struct tombs *set = w->t->tombs;
	const struct files_entry *e = &w->f->entry;
	struct tombs_seek seek = { .at = w->at };
	const struct tomb_entry *cuts = NULL;
	(void)tombs_of(set, &seek, first, &cuts);
	size_t at = seek.at;
	while (at < set->count && set->entries[at].id <= last) {
		size_t n = 1;
		while (at + n < set->count && set->entries[at + n].id == set->entries[at].id)
			n++;
		bool young = false;
		for (size_t i = 0; i < n; i++)
			young |= set->cuts[set->entries[at + i].cut].rank > w->above;
		enum tombs_cover cover = young
		    ? tombs_cover(set, &set->entries[at], n, w->above, e->t_min_ms, e->t_max_ms)
		    : TOMBS_NONE;
		w->hits += cover != TOMBS_NONE;
		w->whole += cover == TOMBS_ALL;
		at += n;
	}
	w->at = at;
}

/* Is one of these hidden by a younger cut? */
static bool some_hidden(const struct weighing *w, const struct tomb_entry *cuts, size_t n,
    const uint8_t *bytes, size_t len)
{
	struct wire_reader list = wire_reader(bytes, len);
	struct exemplar e;
	while (exemplar_get(&list, &e))
		for (size_t i = 0; i < n; i++) {
			const struct tomb_cut *c = &w->t->tombs->cuts[cuts[i].cut];
			if (c->rank > w->above && e.t_ms >= c->t_min_ms && e.t_ms <= c->t_max_ms)
				return true;
		}
	return false;
}

static enum err exemplars_weigh(struct weighing *w)
{
	struct cfile_opaque *it = NULL;
	struct tombs_seek seek = { 0 };
	uint32_t id;
	const uint8_t *bytes;
	size_t len;
	enum err e = cfile_opaque_create(w->f->cfile, &it);
	while (!e && !(e = cfile_opaque_next(it, &id, &bytes, &len))) {
		const struct tomb_entry *cuts;
		size_t n = tombs_of(w->t->tombs, &seek, id, &cuts);
		w->hits += n && some_hidden(w, cuts, n, bytes, len);
	}
	cfile_opaque_free(it);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

static void weigh_run(struct work_task *task)
{
	struct tidy *t = CONTAINER_OF(task, struct tidy, task);
	for (uint32_t i = 0; i < t->count; i++) {
		struct weighing w = { .t = t, .f = t->weigh[i], .above = t->above[i] };
		/* what cannot be read now may have something of it */
		if (cfile_each_run(t->weigh[i]->cfile, run_of_ids, &w) ||
		    (has_exemplars(t->weigh[i]) && exemplars_weigh(&w)))
			w.hits++;
		t->hits[i] = w.hits;
		t->whole[i] = w.whole;
	}
}

static void weighed(struct work_task *task)
{
	struct tidy *t = CONTAINER_OF(task, struct tidy, task);
	for (uint32_t i = 0; i < t->count; i++) {
		struct shard_file *f = t->weigh[i];
		f->tombs_hits += t->hits[i];
		f->tombs_whole += t->whole[i];
		f->tombs_rank = t->tombs->rank_max;
	}
	t->back->tidy_wanted = t->back->tidy_now = true; /* others, or what follows from it */
	end(t);
}

/* Files that are still to be looked into; false: none is. */
static bool weigh_begin(struct tidy *t)
{
	const struct shard *sh = t->back->shard;
	for (uint32_t i = 0; i < sh->files_count && t->count < WEIGHED_MAX; i++) {
		struct shard_file *f = sh->places[i];
		if (!is_unknown(f, t->tombs))
			continue;
		shard_file_pin(f);
		t->above[t->count] =
		    f->tombs_rank > shard_file_rank(f) ? f->tombs_rank : shard_file_rank(f);
		t->weigh[t->count++] = f;
	}
	if (!t->count)
		return false;
	t->task = (struct work_task){ .run = weigh_run, .done = weighed, .prio = WORK_BACKGROUND };
	work_submit(t->back->pool, &t->task);
	return true;
}

/* ---- thinking ---- */

static bool keeps(void *arg, const struct tomb_cut *c)
{
	struct tidy *t = arg;
	if (c->number > t->complete_to && back_holds(BACK_BREAK_KEEP))
		return true;
	if (tomb_cut_is_whole(c))
		return c->rank > t->forgot_rank || t->least < c->rank;
	if (t->least >= c->rank)
		return false;
	for (size_t i = 0; i < t->files_count; i++)
		if (t->files[i].rank < c->rank && t->files[i].span.t_min_ms <= c->t_max_ms &&
		    t->files[i].span.t_max_ms >= c->t_min_ms)
			return true;
	return false;
}

static void think_run(struct work_task *task)
{
	struct tidy *t = CONTAINER_OF(task, struct tidy, task);
	struct shard *sh = t->back->shard;
	for (uint32_t i = 0; i < t->tombs->cuts_count && !t->drops && !t->log_waits; i++)
		t->drops = !keeps(t, &t->tombs->cuts[i]);
	if (!t->drops)
		return;
	t->set = tombs_make(t->tombs, NULL, 0, NULL, 0, keeps, t);
	if (!t->set)
		return;
	t->file.rank = t->rank;
	tombs_name(t->rank, t->file.name);
	t->err = tombs_write(
	    sh->dir, t->file.name, t->set, sh->index, 0, &t->file.bytes, &t->file.entries);
}

static int by_place(const void *a, const void *b)
{
	const struct tidy_file *x = a, *y = b;
	if (x->start_ms != y->start_ms)
		return x->start_ms < y->start_ms ? -1 : 1;
	if (x->of_rank != y->of_rank)
		return x->of_rank < y->of_rank ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* Was the file found to be clean? They stand in the order of FILES. */
static bool is_cleaned(const struct tidy *t, const struct files_entry *e)
{
	struct tidy_file want = { .start_ms = e->meta.start_ms, .of_rank = e->meta.rank };
	memcpy(want.name, e->name, sizeof(want.name));
	const struct tidy_file *f =
	    t->files_count ? bsearch(&want, t->files, t->files_count, sizeof(want), by_place) : NULL;
	return f && f->cleaned;
}

static void change_files(struct back_switch *s, struct files *next)
{
	const struct tidy *t = CONTAINER_OF(s, struct tidy, sw);
	for (size_t i = 0; i < next->count; i++)
		if (is_cleaned(t, &next->entries[i]))
			next->entries[i].clean = t->tombs->rank_max;
	if (t->drops)
		files_tombs_set(next, 0, t->set ? &t->file : NULL);
}

/* What is kept of deletions is another set from now on. */
static void set_take(struct tidy *t)
{
	struct shard *sh = t->back->shard;
	for (size_t i = 0; i < t->old_count; i++)
		removal_add(sh, t->old[i], NULL);
	shard_tombs_set(sh, t->set);
}

static void failed(struct tidy *t, enum err err)
{
	struct back *b = t->back;
	LOG_EVERY(LOG_LEVEL_WARN, "deletions_not_tidied", "shard=%u err=%s", b->shard->index,
	    err_text(err));
	b->tidy_not_before_ns = back_retry_ns(b);
	if (t->file.name[0]) /* stays, while a list may name it */
		removal_add(b->shard, t->file.name, NULL);
	tombs_unpin(t->set);
	tidy_purge_failed(b, err);
	end(t);
}

static void switched(struct back_switch *s, enum err err)
{
	struct tidy *t = CONTAINER_OF(s, struct tidy, sw);
	struct shard *sh = t->back->shard;
	if (err) {
		failed(t, err);
		return;
	}
	for (uint32_t i = 0; i < sh->files_count; i++)
		if (is_cleaned(t, &sh->places[i]->entry))
			sh->places[i]->entry.clean = t->tombs->rank_max;
	if (t->drops)
		set_take(t);
	t->back->purge_seen = true;
	end(t);
}

static void thought(struct work_task *task)
{
	struct tidy *t = CONTAINER_OF(task, struct tidy, task);
	if (t->err) {
		failed(t, t->err);
		return;
	}
	if (!t->drops && !t->cleans) {
		t->back->purge_seen = true;
		end(t);
		return;
	}
	t->sw = (struct back_switch){ .change = change_files, .done = switched, .frees = true };
	back_switch(t->back->shard, &t->sw);
}

/* One that was looked into, and has nothing of what was deleted. */
static bool is_found_clean(const struct shard_file *f, const struct tombs *set)
{
	return (f->entry.samples || has_exemplars(f)) && !f->tombs_hits &&
	    f->tombs_rank >= set->rank_max && shard_file_rank(f) < set->rank_max;
}

static void files_note(struct tidy *t)
{
	const struct shard *sh = t->back->shard;
	const struct files *list = &sh->list;
	uint32_t at = 0;
	t->least = UINT64_MAX;
	t->files = mem_array(NULL, list->count + 1, sizeof(*t->files));
	for (size_t i = 0; i < list->count; i++) {
		const struct files_entry *e = &list->entries[i];
		struct tidy_file *f = &t->files[t->files_count];
		/* open ones stand in the same order; what lies between is lost */
		bool open = at < sh->files_count && strcmp(sh->places[at]->entry.name, e->name) == 0;
		/* a lost one may have some */
		bool exemplars = !open || has_exemplars(sh->places[at]);
		*f = (struct tidy_file){ .start_ms = e->meta.start_ms,
			.of_rank = e->meta.rank,
			.rank = files_entry_rank(e),
			.span = span_of(e, exemplars) };
		memcpy(f->name, e->name, sizeof(f->name));
		f->cleaned = open && is_found_clean(sh->places[at], t->tombs);
		at += open;
		if (!e->samples && !exemplars)
			continue;
		t->cleans |= f->cleaned;
		f->rank = f->cleaned ? t->tombs->rank_max : f->rank;
		t->least = f->rank < t->least ? f->rank : t->least;
		t->files_count++;
	}
}

static void think_begin(struct tidy *t)
{
	struct shard *sh = t->back->shard;
	files_note(t);
	t->complete_to = sh->list.complete_to;
	t->log_waits = sh->log_waits;
	t->forgot_rank = sh->catalog ? t->back->forgot_rank : UINT64_MAX;
	t->rank = sh->list.next_rank++;
	t->old_count = sh->list.tombs_count;
	t->old = mem_array(NULL, t->old_count + 1, sizeof(*t->old));
	for (size_t i = 0; i < t->old_count; i++)
		memcpy(t->old[i], sh->list.tombs[i].name, sizeof(t->old[i]));
	t->task = (struct work_task){
		.run = think_run, .done = thought, .lane = shard_lane(sh), .prio = WORK_BACKGROUND
	};
	work_submit(t->back->pool, &t->task);
}

/* ---- when ---- */

static bool is_due(const struct back *b)
{
	uint64_t now = back_now_ns(b), every_ns = (uint64_t)b->env->seal_every_ms * 1000000u;
	if (b->tidy_not_before_ns && now < b->tidy_not_before_ns)
		return false;
	return b->tidy_now || (b->tidy_wanted && b->purging) || now - b->tidy_looked_ns >= every_ns;
}

void tidy_poke(struct back *b)
{
	struct shard *sh = b->shard;
	if (LIKELY(!sh->tombs)) {
		b->purge_seen |= b->purging;
		return;
	}
	if (b->closing || b->tidy || b->deletion || !is_due(b))
		return;
	struct tidy *t = mem_zalloc(sizeof(*t));
	t->back = b;
	t->tombs = tombs_pin(sh->tombs);
	b->tidy = t;
	b->tidy_wanted = b->tidy_now = false;
	b->tidy_not_before_ns = 0;
	if (weigh_begin(t))
		return;
	b->tidy_looked_ns = back_now_ns(b);
	think_begin(t);
}

/* ---- those who wait for all of it to leave the disk ---- */

static void purged(struct back *b, enum err err)
{
	b->purging = b->purge_seen = false;
	back_tell(&b->purge_waiters, err);
}

void tidy_purge_failed(struct back *b, enum err err)
{
	if (b->purging)
		purged(b, err);
}

bool tidy_purge(struct back *b)
{
	struct shard *sh = b->shard;
	bool waits = false;
	if (LIKELY(!b->purging) || !b->purge_seen)
		return false;
	for (uint32_t i = 0; sh->tombs && i < sh->files_count; i++) {
		struct shard_file *f = sh->places[i];
		if (!f->tombs_hits || shard_file_rank(f) >= sh->tombs->rank_max)
			continue;
		if (f->busy || f->entry.meta.rank > b->catalog_rank) {
			waits = true;
			continue;
		}
		sealing_begin(b, &f, 1);
		return true;
	}
	if (waits)
		return false;
	if (b->purge_last) { /* what is left of the deletions was looked at once more */
		b->purge_last = false;
		purged(b, ERR_OK);
		return false;
	}
	b->purge_last = true;
	b->purge_seen = false;
	b->tidy_wanted = true;
	return false;
}
