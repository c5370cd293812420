/*
 * Retention by time: files whose range ended before their cutoff leave FILES, whole, then the disk;
 * the catalog forgets series that are valid in no range any more. The cutoff of a class of samples
 * (storage/newest.h) is the earlier of clock and newest accepted sample, minus the
 * retention: a
 * clock that runs ahead deletes nothing, and a store that gets no new sample keeps what it has. A
 * silent class goes by the newest time of all senders. A file goes when it is past the cutoffs of
 * all classes that may be in it. While the clock is in doubt (core/base/clockwatch.h) nothing goes;
 * as long as nothing has confirmed it, it counts as far as it is trusted.
 */
#include "core/base/arena.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "storage/back/back.h"
#include "storage/back/feed.h"
#include "storage/share.h"

struct retain_work {
	struct back *back;
	struct newest_cutoffs cutoffs;
	struct back_switch sw;
};

static bool past(const struct files_entry *e, const struct newest_cutoffs *c)
{
	return e->meta.end_ms <= (e->meta.flags & CFILE_OWN ? c->own_ms : c->all_ms);
}

/* The open files and the list are in one order: where the walk over the files stands. */
struct keeping {
	struct list_link *at, *end;
	const struct newest_cutoffs *cutoffs;
};

static bool keep(void *arg, const struct files_entry *e)
{
	struct keeping *k = arg;
	if (k->at == k->end) /* the rest of the list could not be opened */
		return !past(e, k->cutoffs);
	const struct shard_file *f = CONTAINER_OF(k->at, struct shard_file, link);
	if (strcmp(f->entry.name, e->name) != 0)
		return !past(e, k->cutoffs); /* nor this one */
	k->at = k->at->next;
	return !f->leaving;
}

static void change_files(struct back_switch *s, struct files *next)
{
	struct retain_work *w = CONTAINER_OF(s, struct retain_work, sw);
	struct list_link *files = &s->shard->files;
	LIST_EACH(l, files) {
		struct shard_file *f = CONTAINER_OF(l, struct shard_file, link);
		if (!f->busy && past(&f->entry, &w->cutoffs)) {
			f->busy = true; /* no merge takes it meanwhile */
			f->leaving = true;
		}
	}
	for (size_t i = 0; i < s->shard->lost_count; i++) {
		struct shard_lost *l = &s->shard->lost[i];
		l->leaving = past(&l->entry, &w->cutoffs);
	}
	struct keeping k = { .at = files->next, .end = files, .cutoffs = &w->cutoffs };
	files_keep(next, keep, &k);
	CHECK(k.at == k.end);
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
	int64_t to_ms = c->own_ms > c->all_ms ? c->own_ms : c->all_ms;
	LIST_EACH(l, &sh->files) {
		const struct shard_file *f = CONTAINER_OF(l, struct shard_file, link);
		to_ms = f->entry.meta.start_ms < to_ms ? f->entry.meta.start_ms : to_ms;
	}
	for (size_t i = 0; i < sh->lost_count; i++)
		to_ms = sh->lost[i].entry.meta.start_ms < to_ms ? sh->lost[i].entry.meta.start_ms
		                                                : to_ms;
	return to_ms;
}

static void switched(struct back_switch *s, enum err err)
{
	struct retain_work *w = CONTAINER_OF(s, struct retain_work, sw);
	struct back *b = w->back;
	unsigned count = 0;
	LIST_EACH_SAFE(l, n, &s->shard->files) {
		struct shard_file *f = CONTAINER_OF(l, struct shard_file, link);
		if (!f->leaving)
			continue;
		f->leaving = f->busy = false;
		if (!err) {
			shard_file_gone(f);
			count++;
		}
	}
	for (size_t i = 0; err && i < s->shard->lost_count; i++)
		s->shard->lost[i].leaving = false;
	if (!err)
		lost_forget(s->shard, &w->cutoffs);
	metric_add(M_FILES_RETIRED, count);
	if (err) {
		b->retain_not_before_ns = back_retry_ns(b);
	} else {
		feed_retire(b, forget_to(s->shard, &w->cutoffs));
	}
	b->retain_busy = false;
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

void retain_poke(struct back *b)
{
	struct shard *sh = b->shard;
	struct clockwatch_now now = share_now(sh->share);
	if (b->closing || b->retain_busy || now.mono_ns < b->retain_not_before_ns ||
	    clockwatch_look(b->env->clock, now) == CLOCKWATCH_DOUBT)
		return;
	struct newest_cutoffs cutoffs = cutoffs_of(sh, now);
	bool any = false;
	LIST_EACH(l, &sh->files) {
		const struct shard_file *f = CONTAINER_OF(l, struct shard_file, link);
		any |= !f->busy && past(&f->entry, &cutoffs);
	}
	for (size_t i = 0; i < sh->lost_count; i++)
		any |= past(&sh->lost[i].entry, &cutoffs);
	if (!any)
		return;
	struct retain_work *w = mem_zalloc(sizeof(*w));
	w->back = b;
	w->cutoffs = cutoffs;
	w->sw = (struct back_switch){ .change = change_files, .done = switched, .frees = true };
	b->retain_busy = true;
	back_switch(sh, &w->sw);
}
