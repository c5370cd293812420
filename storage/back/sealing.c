/*
 * Which files of a shard are merged, and when (seal_run does the merging on a worker): a range is
 * closed when, for every class of samples that is not silent (storage/newest.h), its end is
 * SEALING_BEHIND_MS behind the newest accepted time, and no row came for it for SEALING_QUIET_NS;
 * or when nothing came for the shard for so long. Then all its files become one sealed file. It
 * opens again when rows come for it: the sealed file and the new ones are merged when it has closed
 * again. An open range that has collected SEALING_FILES_MAX files is merged as well, so that reads
 * and the list stay short. Inputs are all files of the range there are: contiguous in rank. Nothing
 * is merged before the catalog has worked in its files: the merge asks it for labels; nor over a
 * file that could not be opened and may return.
 */
#include <stdio.h>

#include "core/base/arena.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "storage/back/back.h"
#include "storage/back/feed.h"
#include "storage/compact/seal.h"
#include "storage/space.h"
#include "storage/store_priv.h"

#define SEALING_FILES_MAX 24
#define SEALING_BEHIND_MS (3600 * INT64_C(1000))
#define SEALING_QUIET_NS  (3600 * UINT64_C(1000000000))
/* bytes free beyond those of the inputs: labels, the new list */
#define SEALING_ROOM (1u << 20)

struct merge_work {
	struct shard *shard;
	struct back *back;
	struct shard_file *inputs[SEAL_INPUTS_MAX];
	struct cfile *cfiles[SEAL_INPUTS_MAX];
	size_t count;
	unsigned serial; /* of the output's name */
	struct work_task task;
	struct feed_labels *labels; /* of the worker */
	struct seal_result result;
	struct cfile *out;
	enum err err;
	struct errbuf eb;
	struct back_switch sw;
};

/* added_ns: when the youngest of its files came, 0 = a start found them all. */
static bool range_closed(const struct shard *sh, int64_t end_ms, uint64_t added_ns)
{
	const struct newest *n = &sh->share->newest;
	uint64_t now_ns = loop_now_ns(sh->loop);
	if (sh->newest_put_ns && now_ns - sh->newest_put_ns >= SEALING_QUIET_NS)
		return true;
	if (added_ns && now_ns - added_ns < SEALING_QUIET_NS)
		return false;
	for (uint32_t i = 0; i < n->count; i++) {
		const struct newest_class *c = &n->classes[i];
		int64_t t_ms = share_bounded(sh->share, c->t_ms);
		if (!newest_is_silent(c, now_ns) && num_sat_sub(t_ms, SEALING_BEHIND_MS) < end_ms)
			return false;
	}
	return true;
}

/* The files of a range. */
struct range {
	size_t count;
	bool known, busy;  /* the catalog knows them all; some are being merged */
	uint64_t added_ns; /* see range_closed */
};

/* That of the range that begins at `l`. */
static struct range range_at(const struct back *b, struct list_link *l)
{
	const struct shard_file *first = CONTAINER_OF(l, struct shard_file, link);
	struct range r = { .known = true };
	for (; l != &b->shard->files; l = l->next) {
		const struct shard_file *f = CONTAINER_OF(l, struct shard_file, link);
		if (f->entry.meta.start_ms != first->entry.meta.start_ms)
			break;
		r.count++;
		r.known &= f->entry.meta.rank <= b->catalog_rank;
		r.busy |= f->busy;
		r.added_ns = f->added_ns > r.added_ns ? f->added_ns : r.added_ns;
	}
	return r;
}

/*
 * A file of the range could not be opened, and may return: what is older than it must not rise
 * above it.
 */
static bool has_hole(const struct shard *sh, int64_t start_ms, int64_t end_ms)
{
	for (size_t i = 0; i < sh->lost_count; i++) {
		const struct cfile_meta *m = &sh->lost[i].entry.meta;
		if (shard_lost_returns(&sh->lost[i]) && m->start_ms < end_ms && m->end_ms > start_ms)
			return true;
	}
	return false;
}

/* The first range worth merging; NULL: none. *later: one is, but not yet. */
static struct list_link *choose(const struct back *b, bool *later)
{
	const struct shard *sh = b->shard;
	for (struct list_link *l = sh->files.next; l != &sh->files;) {
		const struct shard_file *f = CONTAINER_OF(l, struct shard_file, link);
		struct range r = range_at(b, l);
		bool sealed = r.count == 1 && (f->entry.meta.flags & CFILE_SEALED);
		bool due = b->seal_force || r.count >= SEALING_FILES_MAX ||
		    range_closed(sh, f->entry.meta.end_ms, r.added_ns);
		if (!sealed && due && !r.busy &&
		    !has_hole(sh, f->entry.meta.start_ms, f->entry.meta.end_ms)) {
			if (r.known)
				return l;
			*later = true;
		}
		while (r.count--)
			l = l->next;
	}
	return NULL;
}

static enum err labels_of(void *arg, uint32_t id, uint32_t *tenant, struct labels *ls)
{
	struct merge_work *w = arg;
	return feed_labels_get(w->labels, id, tenant, ls);
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

static void merge_run(struct work_task *t)
{
	struct merge_work *w = CONTAINER_OF(t, struct merge_work, task);
	uint64_t bytes = SEALING_ROOM;
	for (size_t i = 0; i < w->count; i++)
		bytes += w->inputs[i]->entry.size_bytes;
	w->err = space_room(w->shard->store, bytes, &w->eb);
	if (w->err)
		return;
	w->labels = feed_labels_begin(w->shard);
	struct seal_opts o = { .dir = w->shard->dir,
		.inputs = w->cfiles,
		.inputs_count = w->count,
		.labels_of = labels_of,
		.arg = w,
		.serial = w->serial };
	w->err = seal_run(&o, &w->result, &w->eb);
	feed_labels_end(w->labels);
	if (w->err)
		return;
	if (w->result.damage_units)
		keep_damaged(w);
	w->err = cfile_open(w->shard->dir, w->result.name, &w->out, &w->eb);
}

static void merge_end(struct merge_work *w, enum err err)
{
	struct back *b = w->back;
	if (w->result.serial > w->shard->merge_serial)
		w->shard->merge_serial = w->result.serial;
	if (err && w->result.name[0]) /* no list will name it */
		removal_add(w->shard, w->result.name, w->out);
	for (size_t i = 0; i < w->count; i++) {
		struct shard_file *f = w->inputs[i];
		f->busy = false;
		if (!err)
			shard_file_gone(f);
		shard_file_unpin(f);
	}
	b->merge = NULL;
	mem_free(w);
	if (err) {
		const struct store_opts *o = &b->shard->store->opts;
		b->seal_not_before_ns = err == ERR_NOSPACE
		    ? back_now_ns(b) + (uint64_t)o->seal_every_ms * 1000000u
		    : back_retry_ns(b);
		b->seal_force = false; /* who asked is told; the next try comes in its time */
		back_tell(&b->seal_waiters, err);
	} else {
		metric_add(M_SEALS, 1);
	}
	back_poke(b);
}

static void change_files(struct back_switch *s, struct files *next)
{
	struct merge_work *w = CONTAINER_OF(s, struct merge_work, sw);
	for (size_t i = 0; i < w->count; i++)
		CHECK(files_del(next, &w->inputs[i]->entry));
	struct files_entry e = files_entry_of(w->result.name, &w->result.meta, &w->result.stats);
	files_add(next, &e);
}

static void switched(struct back_switch *s, enum err err)
{
	struct merge_work *w = CONTAINER_OF(s, struct merge_work, sw);
	if (err) {
		merge_end(w, err);
		return;
	}
	struct shard_file *f = mem_zalloc(sizeof(*f));
	f->cfile = w->out;
	f->entry = files_entry_of(w->result.name, &w->result.meta, &w->result.stats);
	shard_file_add(w->shard, f);
	if (w->result.damage_units)
		LOG_WARN("damaged_data_skipped", "shard=%u file=%s units=%llu first=\"%s\"",
		    w->shard->index, w->result.name, (unsigned long long)w->result.damage_units,
		    w->result.damage.text);
	merge_end(w, ERR_OK);
}

static void merged(struct work_task *t)
{
	struct merge_work *w = CONTAINER_OF(t, struct merge_work, task);
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

static void begin(struct back *b, struct list_link *l)
{
	struct shard *sh = b->shard;
	struct merge_work *w = mem_zalloc(sizeof(*w));
	int64_t start_ms = CONTAINER_OF(l, struct shard_file, link)->entry.meta.start_ms;
	w->shard = sh;
	w->back = b;
	errbuf_init(&w->eb);
	for (; l != &sh->files && w->count < SEAL_INPUTS_MAX; l = l->next) {
		struct shard_file *f = CONTAINER_OF(l, struct shard_file, link);
		if (f->entry.meta.start_ms != start_ms)
			break;
		f->busy = true;
		shard_file_pin(f);
		w->inputs[w->count] = f;
		w->cfiles[w->count++] = f->cfile;
	}
	w->serial = ++sh->merge_serial;
	b->merge = w;
	w->task = (struct work_task){ .run = merge_run,
		.done = merged,
		.lane = (uint16_t)(BACK_LANE_MERGE + sh->index % 2),
		.prio = WORK_BACKGROUND };
	work_submit(b->pool, &w->task);
}

void sealing_poke(struct back *b)
{
	uint64_t now = back_now_ns(b);
	if (b->closing || b->merge)
		return;
	if (b->shard->unknown) { /* an output would only lie there; who waits is not kept waiting */
		b->seal_force = false;
		back_tell(&b->seal_waiters, ERR_BUSY);
		return;
	}
	if (b->seal_not_before_ns && now < b->seal_not_before_ns && !b->seal_force)
		return;
	uint64_t every_ns = (uint64_t)b->shard->store->opts.seal_every_ms * 1000000u;
	if (!b->seal_wanted && now - b->seal_looked_ns < every_ns)
		return;
	bool later = false;
	struct list_link *l = choose(b, &later);
	if (l) {
		begin(b, l);
		return;
	}
	if (later) /* the catalog's feed pokes again */
		return;
	b->seal_looked_ns = now;
	b->seal_wanted = b->seal_force = false;
	back_tell(&b->seal_waiters, ERR_OK);
}
