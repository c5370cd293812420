/*
 * Retention by time: files whose range ended before now - retention leave FILES, whole, then the disk; the catalog forgets series that are valid in no range any more.
 * The wall clock decides. One that moved more than an hour against the monotonic clock suspends retention for ten minutes: a clock step never deletes data at once.
 */
#include "core/base/arena.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "storage/back/back.h"
#include "storage/back/feed.h"
#include "storage/store_priv.h"

#define RETAIN_STEP_MS    (3600 * 1000)
#define RETAIN_SUSPEND_MS (10 * 60 * 1000)

struct retain_work {
	struct back *back;
	int64_t cutoff_ms;
	struct back_switch sw;
};

static bool past(const struct shard_file *f, int64_t cutoff_ms)
{
	return f->entry.meta.end_ms <= cutoff_ms && !f->busy;
}

static bool clock_is_sane(struct back *b, uint64_t now_ns)
{
	int64_t offset = loop_now_ms(b->shard->loop) - (int64_t)(now_ns / 1000000);
	if (b->clock_offset_ms == INT64_MIN)
		b->clock_offset_ms = offset;
	int64_t step = offset - b->clock_offset_ms;
	if (step > RETAIN_STEP_MS || step < -RETAIN_STEP_MS) {
		LOG_WARN("clock_stepped", "shard=%u step_ms=%lld retention=suspended",
		    b->shard->index, (long long)step);
		b->clock_offset_ms = offset;
		b->retain_not_before_ns = now_ns + RETAIN_SUSPEND_MS * 1000000ull;
	}
	return now_ns >= b->retain_not_before_ns;
}

static void change_files(struct back_switch *s, struct files *next)
{
	struct retain_work *w = CONTAINER_OF(s, struct retain_work, sw);
	LIST_EACH(l, &s->shard->files) {
		struct shard_file *f = CONTAINER_OF(l, struct shard_file, link);
		if (past(f, w->cutoff_ms)) {
			CHECK(files_del(next, f->entry.name));
			f->busy = true; /* no merge takes it meanwhile */
			f->leaving = true;
		}
	}
	for (size_t i = 0; i < s->shard->lost_count; i++) {
		const struct files_entry *e = &s->shard->lost[i];
		if (e->meta.end_ms <= w->cutoff_ms)
			(void)files_del(next,
			    e->name); /* what may lie there under its name goes at the next start */
	}
}

static void lost_forget(struct shard *sh, int64_t cutoff_ms)
{
	size_t kept = 0;
	for (size_t i = 0; i < sh->lost_count; i++)
		if (sh->lost[i].meta.end_ms > cutoff_ms)
			sh->lost[kept++] = sh->lost[i];
	sh->lost_count = kept;
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
	if (!err)
		lost_forget(s->shard, w->cutoff_ms);
	metric_add(M_FILES_RETIRED, count);
	if (err) {
		LOG_EVERY(LOG_LEVEL_ERROR, "files_switch_failed", "shard=%u err=%s",
		    s->shard->index, err_text(err));
		b->retain_not_before_ns = back_retry_ns(b);
	} else {
		feed_retire(b, w->cutoff_ms);
	}
	b->retain_busy = false;
	mem_free(w);
	back_poke(b);
}

void retain_poke(struct back *b)
{
	struct shard *sh = b->shard;
	uint64_t now = back_now_ns(b);
	if (b->closing || b->retain_busy || !clock_is_sane(b, now))
		return;
	int64_t cutoff = num_sat_sub(loop_now_ms(sh->loop), sh->store->opts.retention_ms);
	bool any = false;
	LIST_EACH(l, &sh->files)
		any |= past(CONTAINER_OF(l, struct shard_file, link), cutoff);
	for (size_t i = 0; i < sh->lost_count; i++)
		any |= sh->lost[i].meta.end_ms <= cutoff;
	if (!any)
		return;
	struct retain_work *w = mem_zalloc(sizeof(*w));
	w->back = b;
	w->cutoff_ms = cutoff;
	w->sw = (struct back_switch){ .change = change_files, .done = switched };
	b->retain_busy = true;
	back_switch(sh, &w->sw);
}
