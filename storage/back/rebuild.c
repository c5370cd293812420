/*
 * The catalog of a shard made anew from its files, in the background: when the catalog was renewed
 * because it was damaged, or when a start found much that it does not know.
 *
 * While it is behind (storage/shard.h) readers ask the files (storage/filedefs.h), series stay in
 * memory, merges, retention of the catalog and what rounds bring to it wait. The files there are at
 * the beginning are pinned and worked in by rank, a commit at a time in the catalog's lane; rounds
 * that come meanwhile follow as items of the feed. When the catalog is renewed once more in the
 * middle it begins anew; a process that ends in the middle goes on where it was at its next start.
 */
#include "core/base/arena.h"
#include "core/base/log.h"
#include "storage/back/back.h"
#include "storage/back/feed.h"
#include "storage/filedefs.h"

struct rebuild {
	struct back *back;
	struct work_task task;
	struct filedefs files; /* pinned; by rank */
	size_t at;             /* those before are worked in */
	unsigned steps;        /* begun */
	bool resting;          /* see rebuild_limit */
	bool begun;            /* at is behind what the catalog had already */
	uint64_t epoch;        /* of the catalog that is filled */
	uint64_t most;         /* highest rank that may be claimed */
	struct feed_catch *catching;
	struct catalog_state state; /* at the end */
	uint64_t since_ns;
	enum err err;
	struct errbuf eb;
};

/* A start may have left it half done: what it has by its rank need not come again. */
static void skip_known(struct rebuild *r, struct shard *sh)
{
	struct catalog_state st;
	r->err = catalog_state(sh->catalog, sh->index, &st, &r->eb);
	while (!r->err && r->at < r->files.count && r->files.files[r->at]->entry.meta.rank <= st.rank)
		r->at++;
	r->begun = !r->err;
}

static void step_run(struct work_task *t)
{
	struct rebuild *r = CONTAINER_OF(t, struct rebuild, task);
	struct shard *sh = r->back->shard;
	if (catalog_epoch(sh->catalog) != r->epoch) {
		r->err = feed_renewed(&r->eb);
		return;
	}
	if (!r->begun)
		skip_known(r, sh);
	if (!r->err && r->at < r->files.count)
		r->err = feed_catch_some(
		    r->catching, sh, r->files.files, r->files.count, r->most, &r->at, &r->eb);
	if (!r->err && r->at == r->files.count)
		r->err = catalog_state(sh->catalog, sh->index, &r->state, &r->eb);
}

static void step_done(struct work_task *t);

struct epoch rebuild_limit;

static void step(struct rebuild *r)
{
	uint64_t limit = epoch_now(&rebuild_limit);
	r->resting = limit && r->steps + 1 >= limit;
	if (r->resting)
		return;
	r->steps++;
	r->task = (struct work_task){
		.run = step_run, .done = step_done, .lane = BACK_LANE_CATALOG, .prio = WORK_BACKGROUND
	};
	work_submit(r->back->pool, &r->task);
}

static void finished(struct rebuild *r)
{
	struct back *b = r->back;
	struct shard *sh = b->shard;
	size_t n = r->files.count;
	b->catalog_rank = n ? r->files.files[n - 1]->entry.meta.rank : 0;
	b->catalog_next_id = r->state.next_id;
	epoch_set(&sh->catalog_epoch, r->epoch);
	feed_count(b, r->state.series);
	b->forgot_rank = 0; /* the files may define what was deleted */
	LOG_INFO("catalog_caught_up", "shard=%u files=%zu series=%llu took_ms=%llu", sh->index, n,
	    (unsigned long long)r->state.series,
	    (unsigned long long)((back_now_ns(b) - r->since_ns) / 1000000u));
}

static void end(struct rebuild *r)
{
	struct back *b = r->back;
	b->rebuild = NULL;
	filedefs_unpin(&r->files);
	feed_catch_end(r->catching);
	mem_free(r);
	back_poke(b);
}

static void step_done(struct work_task *t)
{
	struct rebuild *r = CONTAINER_OF(t, struct rebuild, task);
	struct back *b = r->back;
	uint64_t hold = feed_catch_hold(r->catching);
	b->shard->rank_hold = hold < b->shard->rank_hold ? hold : b->shard->rank_hold;
	if (r->err) {
		/* renewed: at once; else, also when it is damaged again, later */
		if (r->err != ERR_BUSY) {
			LOG_EVERY(LOG_LEVEL_ERROR, "catalog_not_caught_up",
			    "shard=%u err=%s text=\"%s\"", b->shard->index, err_text(r->err),
			    r->eb.text);
			b->rebuild_not_before_ns = back_retry_ns(b);
		}
		end(r);
	} else if (r->at < r->files.count && !b->closing) {
		step(r);
	} else {
		if (r->at == r->files.count)
			finished(r);
		end(r);
	}
}

void rebuild_abandon(struct back *b)
{
	struct rebuild *r = b->rebuild;
	if (!r || !r->resting)
		return;
	b->rebuild = NULL;
	filedefs_unpin(&r->files);
	feed_catch_end(r->catching);
	mem_free(r);
}

/* What uses the catalog already ends before: it was made for the old one. */
void rebuild_poke(struct back *b)
{
	struct shard *sh = b->shard;
	if (b->rebuild && b->rebuild->resting && !b->closing)
		step(b->rebuild);
	if (!sh->catalog || b->rebuild || b->closing || !shard_catalog_is_behind(sh))
		return;
	epoch_set(&sh->catalog_epoch, 0);
	b->catalog_rank = 0;
	b->catalog_next_id = 0;
	if (b->feed_busy || b->lost_busy || back_now_ns(b) < b->rebuild_not_before_ns)
		return;
	struct rebuild *r = mem_zalloc(sizeof(*r));
	r->back = b;
	r->epoch = catalog_epoch(sh->catalog);
	r->most = shard_rank_known(sh, UINT64_MAX);
	r->catching = feed_catch_begin();
	r->since_ns = back_now_ns(b);
	errbuf_init(&r->eb);
	filedefs_pin(&r->files, sh);
	feed_catch_sort(r->files.files, r->files.count);
	b->rebuild = r;
	step(r);
}
