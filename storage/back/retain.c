/*
 * Retention by time: files whose range ended before their cutoff leave FILES, whole, then the disk;
 * the catalog forgets series that are valid in no range any more. The cutoff of a class of samples
 * (storage/newest.h) is the earlier of clock and newest accepted sample, minus the
 * retention: a
 * clock that runs ahead deletes nothing, and a store that gets no new sample keeps what it has. A
 * silent class goes by the newest time of all senders. A file goes when it is past the cutoffs of
 * all classes that may be in it. While the clock is in doubt (core/base/clockwatch.h) nothing goes;
 * as long as nothing has confirmed it, it counts as far as it is trusted.
 * Retention by size (storage/back/quota.h) only tells another time up to which files go.
 *
 * A tenant with a shorter retention of its own has a tombstone in FILES: samples of it before that
 * time, the beginning of two hours, are dead. Reads hide them from the switch on, none is taken any
 * more, merges leave them out, and a file of which much is dead is written again alone
 * (storage/back/sealing.c). A tombstone goes when nothing is left before it.
 */
#include "core/base/arena.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "core/model/tenant.h"
#include "storage/back/back.h"
#include "storage/back/feed.h"
#include "storage/back/round.h"
#include "storage/share.h"

#define RETAIN_LOOK_NS 500000000u

struct retain_work {
	struct back *back;
	struct newest_cutoffs cutoffs; /* by time, or by size where that is later */
	int64_t full_before_ms;
	struct files_dead *dead; /* tombstones that rise */
	size_t dead_count;
	struct back_switch sw;
};

static bool past(const struct files_entry *e, const struct newest_cutoffs *c)
{
	return e->meta.end_ms <= (e->meta.flags & CFILE_OWN ? c->own_ms : c->all_ms);
}

/* Files stand in the order in which they begin: none that begins there or later is past. */
static int64_t last_of(const struct newest_cutoffs *c)
{
	return c->own_ms > c->all_ms ? c->own_ms : c->all_ms;
}

/* One goes when retention of all has passed it, and no file reaches back before it. */
static void tombstones_change(const struct retain_work *w, struct files *next)
{
	int64_t from_ms = next->count ? next->entries[0].meta.start_ms : INT64_MAX;
	for (size_t i = 0; i < w->dead_count; i++)
		files_dead_raise(next, w->dead[i].tenant, w->dead[i].before_ms);
	for (size_t i = next->dead_count; i > 0; i--) {
		const struct files_dead *d = &next->dead[i - 1];
		if (d->before_ms <= w->cutoffs.all_ms && d->before_ms <= from_ms)
			files_dead_drop(next, d->tenant);
	}
}

static void change_files(struct back_switch *s, struct files *next)
{
	struct retain_work *w = CONTAINER_OF(s, struct retain_work, sw);
	struct shard *sh = s->shard;
	uint32_t end = shard_place_from(sh, last_of(&w->cutoffs));
	struct files_entry *gone = mem_array(NULL, end + sh->lost_count + 1, sizeof(*gone));
	size_t count = 0;
	for (uint32_t i = 0; i < end; i++) {
		struct shard_file *f = sh->places[i];
		if (f->busy || !past(&f->entry, &w->cutoffs))
			continue;
		f->busy = true; /* no merge takes it meanwhile */
		f->leaving = true;
		gone[count++] = f->entry;
	}
	for (size_t i = 0; i < sh->lost_count; i++) {
		struct shard_lost *l = &sh->lost[i];
		l->leaving = past(&l->entry, &w->cutoffs);
		if (l->leaving)
			gone[count++] = l->entry;
	}
	CHECK(files_del_many(next, gone, count));
	mem_free(gone);
	tombstones_change(w, next);
}

static void lost_forget(struct shard *sh, const struct newest_cutoffs *cutoffs)
{
	size_t kept = 0;
	for (size_t i = 0; i < sh->lost_count; i++) {
		const struct files_entry *e = &sh->lost[i].entry;
		if (!past(e, cutoffs))
			sh->lost[kept++] = sh->lost[i];
		else /* something may lie there under its name */
			removal_add(sh, e->name, NULL);
	}
	sh->lost_count = kept;
}

/* The catalog forgets by time alone: up to the first range of which something is left. */
static int64_t forget_to(const struct shard *sh, const struct newest_cutoffs *c)
{
	int64_t to_ms = last_of(c);
	if (sh->files_count && sh->places[0]->entry.meta.start_ms < to_ms)
		to_ms = sh->places[0]->entry.meta.start_ms;
	for (size_t i = 0; i < sh->lost_count; i++)
		to_ms = sh->lost[i].entry.meta.start_ms < to_ms ? sh->lost[i].entry.meta.start_ms
		                                                : to_ms;
	return to_ms;
}

static void tell_changes(const struct retain_work *w, const struct shard *sh, int64_t gone_before_ms)
{
	if (gone_before_ms != INT64_MIN)
		share_changed(sh->share, CHANGES_ALL, CHANGES_DATA, INT64_MIN, gone_before_ms);
	for (size_t i = 0; i < w->dead_count; i++)
		share_changed(
		    sh->share, w->dead[i].tenant, CHANGES_DATA, INT64_MIN, w->dead[i].before_ms);
}

static void switched(struct back_switch *s, enum err err)
{
	struct retain_work *w = CONTAINER_OF(s, struct retain_work, sw);
	struct back *b = w->back;
	unsigned count = 0, by_size = 0;
	int64_t gone_before_ms = INT64_MIN;
	LIST_EACH_SAFE(l, n, &s->shard->files) {
		struct shard_file *f = CONTAINER_OF(l, struct shard_file, link);
		if (!f->leaving)
			continue;
		f->leaving = f->busy = false;
		if (!err) {
			count++;
			by_size += f->entry.meta.end_ms <= w->full_before_ms;
			if (f->entry.meta.end_ms > gone_before_ms)
				gone_before_ms = f->entry.meta.end_ms;
			shard_file_gone(f);
		}
	}
	for (size_t i = 0; err && i < s->shard->lost_count; i++)
		s->shard->lost[i].leaving = false;
	if (!err) {
		lost_forget(s->shard, &w->cutoffs);
		tell_changes(w, s->shard, gone_before_ms);
	}
	metric_add(M_FILES_RETIRED, count - by_size);
	metric_add(M_FILES_RETIRED_SIZE, by_size);
	if (err) {
		b->retain_not_before_ns = back_retry_ns(b);
	} else {
		feed_retire(b, forget_to(s->shard, &w->cutoffs));
	}
	b->retain_busy = false;
	mem_free(w->dead);
	mem_free(w);
	back_poke(b);
}

/*
 * While a full disk keeps samples out, newest times stand still, and nothing would ever make room:
 * a clock that samples have confirmed decides alone then.
 */
static struct newest_cutoffs cutoffs_of(const struct shard *sh, struct clockwatch_now now)
{
	const struct back_env *env = back_of(sh)->env;
	int64_t t_ms = clockwatch_delete_ms(env->clock, now), retention_ms = env->retention_ms;
	int64_t cutoff_ms = num_sat_sub(t_ms, retention_ms);
	if (sh->share->refuse == ERR_NOSPACE && clockwatch_look(env->clock, now) == CLOCKWATCH_SURE)
		return (struct newest_cutoffs){ .own_ms = cutoff_ms, .all_ms = cutoff_ms };
	return newest_cutoffs(&sh->share->newest, t_ms, retention_ms, now.mono_ns);
}

/* Is there anything to take? */
static bool any_past(const struct shard *sh, const struct newest_cutoffs *c)
{
	uint32_t end = shard_place_from(sh, last_of(c));
	bool any = false;
	for (uint32_t i = 0; i < end && !any; i++)
		any = !sh->places[i]->busy && past(&sh->places[i]->entry, c);
	for (size_t i = 0; i < sh->lost_count && !any; i++)
		any = past(&sh->lost[i].entry, c);
	return any;
}

/* 0: it has none of its own that is shorter than that of all. */
static int64_t own_retention(const struct back_env *env, const struct tenants *t, uint32_t tenant)
{
	int64_t ms = (int64_t)tenant_limits_of(t, tenant)->retention_ms;
	return ms < env->retention_ms ? ms : 0;
}

/* Tombstones that have to rise, on the heap; NULL: none. */
static struct files_dead *tombstones_due(
    const struct back *b, struct clockwatch_now now, size_t *count)
{
	const struct tenants *t = loop_tenants(b->shard->share->loop);
	const struct newest *n = &b->shard->share->newest;
	*count = 0;
	if (LIKELY(!t || !(t->any >> TENANT_LIMIT_retention_ms & 1)))
		return NULL;
	int64_t t_ms = clockwatch_delete_ms(b->env->clock, now), senders_ms = newest_senders(n);
	struct files_dead *out = mem_array(NULL, (size_t)n->count + 1, sizeof(*out));
	for (uint32_t i = 0; i < n->count; i++) {
		uint32_t tenant = n->classes[i].tenant;
		int64_t keep_ms = own_retention(b->env, t, tenant);
		if (!keep_ms)
			continue;
		int64_t cutoff_ms =
		    newest_cutoff_of(n, senders_ms, tenant, t_ms, keep_ms, now.mono_ns);
		/* nothing is known of the tenant, or nothing may go */
		if (cutoff_ms <= INT64_MIN + SAMPLE_RANGE_MS)
			continue;
		int64_t before_ms = round_range(cutoff_ms);
		if (before_ms > files_dead_before(&b->shard->list, tenant))
			out[(*count)++] =
			    (struct files_dead){ .tenant = tenant, .before_ms = before_ms };
	}
	return out;
}

void retain_poke(struct back *b)
{
	struct shard *sh = b->shard;
	struct clockwatch_now now = share_now(sh->share);
	if (b->closing || b->retain_busy || now.mono_ns < b->retain_not_before_ns ||
	    now.mono_ns - b->retain_looked_ns < RETAIN_LOOK_NS ||
	    clockwatch_look(b->env->clock, now) == CLOCKWATCH_DOUBT)
		return;
	b->retain_looked_ns = now.mono_ns;
	struct newest_cutoffs cutoffs = cutoffs_of(sh, now);
	cutoffs.own_ms = cutoffs.own_ms > b->full_before_ms ? cutoffs.own_ms : b->full_before_ms;
	cutoffs.all_ms = cutoffs.all_ms > b->full_before_ms ? cutoffs.all_ms : b->full_before_ms;
	size_t dead_count;
	struct files_dead *dead = tombstones_due(b, now, &dead_count);
	if (!dead_count && !any_past(sh, &cutoffs)) {
		mem_free(dead);
		return;
	}
	struct retain_work *w = mem_zalloc(sizeof(*w));
	w->dead = dead;
	w->dead_count = dead_count;
	w->back = b;
	w->cutoffs = cutoffs;
	w->full_before_ms = b->full_before_ms;
	w->sw = (struct back_switch){ .change = change_files, .done = switched, .frees = true };
	b->retain_busy = true;
	back_switch(sh, &w->sw);
}
