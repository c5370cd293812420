#include "storage/recover/warm.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "storage/filedefs.h"
#include "storage/recover/recover.h"

#define WARM_MS                                                                                    \
 (70 * 60 *                                                                                        \
     1000ll) /* newest samples so much older than the newest of all: a series that may come back */
#define WARM_SET 16384u /* ids per look into the catalog */

struct warm {
	const struct recover_env *env;
	struct share *share;
	uint64_t series;
	int64_t since_ms; /* files with newer samples: their series come back */
	int64_t over_ms;  /* older files, down to here: only those that an older id stands in for */
};

/* Ids of one shard: each is looked up once, however many files it is in. */
struct missing {
	const struct shard *sh;
	uint64_t *seen; /* a bit for each id below next_id: in memory, or looked up */
	uint32_t *ids;
	size_t count, cap;
};

static void seen_begin(struct missing *m, const struct shard *sh)
{
	*m = (struct missing){ .sh = sh, .seen = mem_zalloc(sh->next_id / 64 * 8 + 8) };
	for (uint32_t slot = 0; slot < sh->head.slots_count; slot++) {
		const struct series *s = head_at(&sh->head, slot);
		if (s->flags & SERIES_USED && s->id < sh->next_id)
			m->seen[s->id / 64] |= UINT64_C(1) << s->id % 64;
	}
	/* what is dead does not come back */
	for (size_t i = 0; sh->tombs && i < sh->tombs->count; i++) {
		uint32_t id = sh->tombs->entries[i].id;
		if (id < sh->next_id && tomb_cut_is_whole(&sh->tombs->cuts[sh->tombs->entries[i].cut]))
			m->seen[id / 64] |= UINT64_C(1) << id % 64;
	}
}

static void seen_end(struct missing *m)
{
	mem_free(m->seen);
	mem_free(m->ids);
}

static void missing_add(void *arg, uint32_t first, uint32_t last)
{
	struct missing *m = arg;
	for (uint64_t id = first; id <= last && id < m->sh->next_id; id++) {
		uint64_t *word = &m->seen[id / 64], bit = UINT64_C(1) << id % 64;
		if (*word == UINT64_MAX) {
			id |= 63;
			continue;
		}
		if (*word & bit)
			continue;
		*word |= bit;
		if (m->count == m->cap) {
			m->cap = m->cap ? m->cap * 2 : 1024;
			m->ids = mem_array(m->ids, m->cap, sizeof *m->ids);
		}
		m->ids[m->count++] = (uint32_t)id;
	}
}

/* over: only in place of older ids. */
static void warm_ids(struct warm *w, struct shard *sh, const uint32_t *ids, size_t count, bool over)
{
	struct arena a;
	struct errbuf eb;
	arena_init(&a, 1 << 20);
	errbuf_init(&eb);
	struct labels *ls = mem_array(NULL, count, sizeof *ls);
	uint32_t *tenants = mem_array(NULL, count, sizeof *tenants);
	enum err e = filedefs_ask(sh, ids, count, &a, ls, tenants, &eb);
	if (e)
		LOG_WARN("series_not_loaded", "shard=%u err=%s text=\"%s\"", sh->index, err_text(e),
		    eb.text);
	for (size_t i = 0; i < count && !e; i++) {
		if (!ls[i].len)
			continue;
		/*
		 * Of equal labels the highest id goes on; the samples of the others are in files.
		 */
		uint32_t slot = head_find(&sh->head,
		    label_fingerprint(ls[i], tenants[i], sh->seed).lo, tenants[i], ls[i]);
		if (slot == SERIES_NONE ? over : head_at(&sh->head, slot)->id > ids[i])
			continue;
		refill_define(sh, ids[i], tenants[i], ls[i]);
		w->series++;
	}
	mem_free(tenants);
	mem_free(ls);
	arena_release(&a);
}

/* Files whose newest sample lies in [from, to). */
static void warm_files(
    struct warm *w, struct shard *sh, struct missing *m, int64_t from_ms, int64_t to_ms, bool over)
{
	/*
	 * Newest files first: of two ids with the same labels the younger one is mostly met first.
	 */
	for (struct list_link *l = sh->files.prev; l != &sh->files; l = l->prev) {
		const struct shard_file *f = CONTAINER_OF(l, struct shard_file, link);
		if (stopping_told(&w->env->stop)) /* what is not loaded is found in the catalog */
			return;
		if (!f->entry.samples || f->entry.t_max_ms < from_ms || f->entry.t_max_ms >= to_ms)
			continue;
		m->count = 0;
		if (cfile_each_run(f->cfile, missing_add, m))
			continue;
		for (size_t at = m->count; at > 0;) { /* highest ids first, see above */
			size_t n = at < WARM_SET ? at : WARM_SET;
			at -= n;
			warm_ids(w, sh, m->ids + at, n, over);
		}
	}
}

static void warm_shard(struct warm *w, struct shard *sh)
{
	struct missing m;
	seen_begin(&m, sh);
	warm_files(w, sh, &m, w->since_ms, INT64_MAX, false);
	warm_files(w, sh, &m, w->over_ms, w->since_ms, true);
	seen_end(&m);
}

static void warm_on_loop(void *arg)
{
	struct warm *w = arg;
	for (unsigned k = 0; k < w->share->shards_count; k++)
		warm_shard(w, w->share->shards[k]);
}

/*
 * From where on samples may still be written: tenants may have windows of their own, up to the
 * retention, which a reload may widen at any time, and be behind others.
 */
static int64_t written_from(const struct recover_env *env, const struct newest *n, int64_t newest_ms)
{
	int64_t from_ms = num_sat_sub(newest_ms, env->ooo_window_ms);
	for (uint32_t i = 0; i < n->count; i++) {
		const struct newest_class *c = &n->classes[i];
		int64_t t_ms = num_sat_sub(newest_bounded(c->t_ms, newest_ms), env->retention_ms);
		from_ms = !c->own && t_ms < from_ms ? t_ms : from_ms;
	}
	return from_ms;
}

void warm_series(const struct recover_env *env)
{
	uint64_t begun = clock_real_mono_ns();
	const struct newest *n = &env->shares[0]->newest; /* all loops know the same now */
	struct clockwatch_now now;
	uint64_t series = 0;
	int64_t newest = newest_senders(n);
	if (newest == NEWEST_NONE)
		newest = newest_own(n);
	if (newest == NEWEST_NONE)
		return;
	clock_both(&now.wall_ms, &now.mono_ns);
	if (clockwatch_look(env->clock, now) != CLOCKWATCH_DOUBT)
		newest = newest_bounded(newest, num_sat_add(now.wall_ms, env->future_ms));
	struct warm *w = mem_zalloc(env->loops * sizeof *w);
	for (unsigned i = 0; i < env->loops; i++)
		w[i] = (struct warm){ .env = env,
			.share = env->shares[i],
			.since_ms = num_sat_sub(newest, WARM_MS),
			/* what lies before has no sample at a time that may still be written to */
			.over_ms = written_from(env, n, newest) };
	recover_on_all(env, warm_on_loop, w, sizeof *w);
	for (unsigned i = 0; i < env->loops; i++)
		series += w[i].series;
	mem_free(w);
	if (series)
		LOG_INFO("series_loaded", "series=%llu took_ms=%llu", (unsigned long long)series,
		    (unsigned long long)((clock_real_mono_ns() - begun) / 1000000u));
}
