/*
 * Deletions of series, one at a time in a shard, each behind the rounds that run when its turn
 * comes:
 *
 *   memory   slices: of each id what live holds in the range goes; of a deletion of all times the
 *            series itself. The number of a slice is the shard's of then: rows at or below it were
 *            there, rows above it come later and live (storage/cfile/tombs.h)
 *   write    a worker: the set of all deletions with this one, and its file
 *   switch   FILES has it: now files are hidden, too, and it is answered
 *
 * No round begins meanwhile, so nothing of the ids is frozen, and the rank that the deletion took
 * stands between those of the rounds before and behind it. What a merge began with an older set
 * brings has an older rank, or an older "clean", and is hidden like its inputs.
 * After a failure memory has lost what the files still have: who asked is told, and asks again.
 */
#include <inttypes.h>

#include "core/base/arena.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "storage/back/back.h"
#include "storage/share.h"
#include "storage/space.h"

unsigned back_broken;

#define IDS_STEP 32u /* between two looks at the clock */
#define TAKEN_UP 2u  /* a file of deletions goes into one behind it that has so much of its size */

struct deletion {
	struct back *back;
	struct back_deletion *asked;
	struct back_deletion told; /* BACK_BREAK_TELL: asked, once it was answered */
	struct job job;
	uint64_t rank;
	size_t at; /* ids that were dealt with */
	struct tomb_cut *cuts;
	uint32_t cuts_count, cuts_cap;
	struct tomb_entry *entries;
	uint64_t buried;
	/* the worker's */
	struct work_task task;
	struct tombs *old, *set;  /* old: pinned by the shard */
	struct files_tomb *files; /* those of now */
	size_t files_count, kept;
	struct files_tomb file;
	enum err err;
	struct errbuf eb;
	struct back_switch sw;
};

static bool is_whole(const struct back_deletion *a)
{
	return a->t_min_ms == INT64_MIN && a->t_max_ms == INT64_MAX;
}

static void end(struct deletion *d, enum err err)
{
	struct back *b = d->back;
	struct back_deletion *a = d->asked;
	b->deletion = NULL;
	if (err && !a->eb.text[0])
		(void)errbuf_set(&a->eb, err, "%s", d->eb.text[0] ? d->eb.text : err_text(err));
	mem_free(d->files);
	mem_free(d->cuts);
	mem_free(d->entries);
	/* what was due comes before the next one: deletions without end hold up neither */
	if (!b->closing) {
		round_poke(b);
		tidy_poke(b);
	}
	a->done(a, err);
	mem_free(d);
	back_poke(b);
}

/* ---- memory ---- */

/* The cut of now: another one where rows have come since the last slice. */
static uint32_t cut_now(struct deletion *d)
{
	const struct back_deletion *a = d->asked;
	uint64_t number = back_holds(BACK_BREAK_NUMBER) ? d->back->shard->number : 0;
	if (d->cuts_count && d->cuts[d->cuts_count - 1].number == number)
		return d->cuts_count - 1;
	if (is_whole(a) && d->cuts_count) { /* nothing of them comes any more */
		d->cuts[0].number = number;
		return 0;
	}
	if (d->cuts_count == d->cuts_cap) {
		d->cuts_cap = d->cuts_cap ? 2 * d->cuts_cap : 16;
		d->cuts = mem_array(d->cuts, d->cuts_cap, sizeof(*d->cuts));
	}
	d->cuts[d->cuts_count] = (struct tomb_cut){
		.rank = d->rank, .number = number, .t_min_ms = a->t_min_ms, .t_max_ms = a->t_max_ms
	};
	return d->cuts_count++;
}

static void one(struct deletion *d, uint32_t id)
{
	struct back *b = d->back;
	struct shard *sh = b->shard;
	const struct back_deletion *a = d->asked;
	uint32_t slot = head_slot_by_id(&sh->head, id);
	if (slot == SERIES_NONE)
		return;
	CHECK(head_at(&sh->head, slot)->tenant == a->tenant);
	if (!is_whole(a)) {
		head_cut(&sh->head, slot, a->t_min_ms, a->t_max_ms);
		return;
	}
	shard_bury(sh, slot, id < b->catalog_next_id || id >= sh->defs_from);
	sh->inactive++; /* it may stand in the catalog */
	metric_gauge_add(M_SERIES_ACTIVE, -1);
	d->buried++;
}

static void tell_change(const struct deletion *d)
{
	const struct back_deletion *a = d->asked;
	struct share *share = d->back->shard->share;
	share_changed(share, a->tenant, CHANGES_DATA, a->t_min_ms, a->t_max_ms);
	if (is_whole(a))
		share_changed(share, a->tenant, CHANGES_ORDER, a->t_min_ms, a->t_max_ms);
}

static void write_begin(struct deletion *d);

static enum job_state slice(struct job *j)
{
	struct deletion *d = CONTAINER_OF(j, struct deletion, job);
	const struct back_deletion *a = d->asked;
	bool yield = false;
	uint32_t cut = cut_now(d);
	while (d->at < a->count && !yield) {
		for (unsigned n = 0; n < IDS_STEP && d->at < a->count; n++, d->at++) {
			d->entries[d->at] = (struct tomb_entry){ .id = a->ids[d->at], .cut = cut };
			one(d, a->ids[d->at]);
		}
		yield = job_should_yield();
	}
	tell_change(d);
	if (d->at < a->count)
		return JOB_YIELD;
	write_begin(d);
	return JOB_DONE;
}

/* ---- files ---- */

/* How many of the files stay: the last ones go into this one while they are not much larger. */
static void kept_find(struct deletion *d)
{
	uint64_t entries = d->asked->count;
	d->kept = d->files_count;
	while (d->kept && d->files[d->kept - 1].entries <= TAKEN_UP * entries)
		entries += d->files[--d->kept].entries;
}

static enum err file_write(struct deletion *d)
{
	return tombs_write(d->back->shard->dir, d->file.name, d->set, d->back->shard->index,
	    d->kept ? d->files[d->kept - 1].rank : 0, &d->file.bytes, &d->file.entries);
}

static void write_run(struct work_task *t)
{
	struct deletion *d = CONTAINER_OF(t, struct deletion, task);
	struct shard *sh = d->back->shard;
	d->set = tombs_make(d->old, d->cuts, d->cuts_count, d->entries, d->asked->count, NULL, NULL);
	kept_find(d);
	d->err = file_write(d);
	if (d->err == ERR_NOSPACE && !fsio_remove(sh->dir, d->file.name) &&
	    space_reserve_give(d->back->env->space, "a deletion of series"))
		d->err = file_write(d);
	if (d->err)
		(void)errbuf_set(&d->eb, d->err, "shard %u: %s cannot be written: %s", sh->index,
		    d->file.name, err_why(d->err));
}

static void change_files(struct back_switch *s, struct files *next)
{
	const struct deletion *d = CONTAINER_OF(s, struct deletion, sw);
	files_tombs_set(next, d->kept, &d->file);
	/* Numbers that it speaks of are not given again, whatever becomes of the log's end. */
	for (uint32_t i = 0; i < d->cuts_count; i++)
		if (next->next_number <= d->cuts[i].number)
			next->next_number = d->cuts[i].number + 1;
}

static void failed(struct deletion *d, enum err err)
{
	LOG_EVERY(LOG_LEVEL_ERROR, "deletion_failed", "shard=%u series=%zu err=%s text=\"%s\"",
	    d->back->shard->index, d->asked->count, err_text(err), d->eb.text);
	removal_add(d->back->shard, d->file.name, NULL); /* stays, while a list may name it */
	tombs_unpin(d->set);
	end(d, err);
}

static void switched(struct back_switch *s, enum err err)
{
	struct deletion *d = CONTAINER_OF(s, struct deletion, sw);
	struct back *b = d->back;
	struct shard *sh = b->shard;
	if (err) {
		(void)errbuf_set(
		    &d->eb, err, "shard %u: FILES cannot be written: %s", sh->index, err_text(err));
		failed(d, err);
		return;
	}
	for (size_t i = d->kept; i < d->files_count; i++)
		removal_add(sh, d->files[i].name, NULL);
	shard_tombs_set(sh, d->set);
	tell_change(d);
	b->tidy_wanted = true;
	metric_add(M_DELETIONS, 1);
	metric_add(M_SERIES_DELETED, d->buried);
	end(d, ERR_OK);
}

static void nobody(struct back_deletion *a, enum err err)
{
	(void)a;
	(void)err;
}

static void wrote(struct work_task *t)
{
	struct deletion *d = CONTAINER_OF(t, struct deletion, task);
	if (d->err) {
		failed(d, d->err);
		return;
	}
	if (!back_holds(BACK_BREAK_TELL)) {
		struct back_deletion *a = d->asked;
		d->told = *a;
		d->told.done = nobody;
		d->asked = &d->told;
		a->done(a, ERR_OK);
	}
	d->sw = (struct back_switch){ .change = change_files, .done = switched, .frees = true };
	back_switch(d->back->shard, &d->sw);
}

static void write_begin(struct deletion *d)
{
	struct shard *sh = d->back->shard;
	d->old = sh->tombs;
	d->files_count = sh->list.tombs_count;
	d->files = mem_array(NULL, d->files_count + 1, sizeof(*d->files));
	if (d->files_count)
		memcpy(d->files, sh->list.tombs, d->files_count * sizeof(*d->files));
	d->file.rank = d->rank;
	tombs_name(d->rank, d->file.name);
	d->task = (struct work_task){
		.run = write_run, .done = wrote, .lane = shard_lane(sh), .prio = WORK_READ
	};
	work_submit(d->back->pool, &d->task);
}

/* ---- whose turn it is ---- */

static void begin(struct back *b, struct back_deletion *a)
{
	struct deletion *d = mem_zalloc(sizeof(*d));
	d->back = b;
	d->asked = a;
	errbuf_init(&d->eb);
	d->rank = b->shard->list.next_rank++;
	if (UNLIKELY(b->shard->log_waits))
		b->shard->number += SHARD_NUMBER_JUMP;
	d->entries = mem_array(NULL, a->count + 1, sizeof(*d->entries));
	b->deletion = d;
	job_init(&d->job, JOB_WRITE, slice);
	job_start(b->shard->loop, &d->job);
}

/* What frozen holds cannot be taken out of it, and it may stay so for long. */
static bool is_stuck(const struct shard *sh)
{
	return sh->round == SHARD_UNSWITCHED || sh->round == SHARD_UNWRITTEN;
}

/* Without a bound they would fill the part of memory beyond which nothing is taken. */
static bool has_room(const struct shard *sh, struct back_deletion *a)
{
	const struct share *share = sh->share;
	uint64_t held = tombs_bytes(sh->tombs), more = a->count * sizeof(struct tomb_entry);
	uint64_t most = share->env->head_bytes_max / BACK_TOMBS_PART / share->shards_count;
	if (!more || held + more <= most)
		return true;
	(void)errbuf_set(&a->eb, ERR_TOOBIG,
	    "shard %u: deletions would hold %" PRIu64
	    " bytes of memory until files are written anew, and %" PRIu64
	    " is the most: write them anew (kymoctl delete --clean), then delete the rest, fewer series or one longer range at a time",
	    sh->index, held + more, most);
	return false;
}

void deletion_poke(struct back *b)
{
	struct shard *sh = b->shard;
	while (!list_empty(&b->deletions) && (b->closing || is_stuck(sh))) {
		struct back_deletion *a =
		    CONTAINER_OF(list_pop(&b->deletions), struct back_deletion, link);
		enum err err = b->closing ? ERR_STOPPING : ERR_BUSY;
		if (!b->closing)
			(void)errbuf_set(&a->eb, err,
			    "shard %u: its samples in memory cannot be written to files now, so nothing can be deleted",
			    sh->index);
		a->done(a, err);
	}
	while (!b->closing && !b->deletion && !b->tidy && !round_busy(b) &&
	    !list_empty(&b->deletions)) {
		struct back_deletion *a =
		    CONTAINER_OF(list_pop(&b->deletions), struct back_deletion, link);
		if (has_room(sh, a))
			begin(b, a);
		else
			a->done(a, ERR_TOOBIG);
	}
}
