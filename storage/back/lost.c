/*
 * Files that could not be opened at the start, but may return (shard_lost_returns): looked for now
 * and then, one at a time. One that opens is worked into the catalog, which has not claimed its
 * rank so far, and takes its place among the shard's files; no restart is needed.
 */
#include "core/base/arena.h"
#include "core/base/log.h"
#include "storage/back/back.h"
#include "storage/back/feed.h"
#include "storage/share.h"

struct lost_work {
	struct back *back;
	struct work_task task;
	struct files_entry entry;
	uint64_t claim; /* the rank that the catalog notes */
	uint64_t epoch; /* of the catalog it goes to */
	struct cfile *cfile;
	struct catalog_state state; /* with the file */
	enum err err;
	struct errbuf eb;
};

static void look_run(struct work_task *t)
{
	struct lost_work *w = CONTAINER_OF(t, struct lost_work, task);
	struct shard *sh = w->back->shard;
	errbuf_init(&w->eb);
	w->err = cfile_open(sh->dir, w->entry.name, &w->cfile, &w->eb);
	if (!w->err && catalog_epoch(sh->catalog) != w->epoch)
		w->err = feed_renewed(&w->eb);
	if (!w->err)
		w->err = feed_file(sh, w->cfile, w->claim, &w->eb);
	if (!w->err)
		w->err = catalog_state(sh->catalog, sh->index, &w->state, &w->eb);
	if (w->err)
		cfile_close(w->cfile);
}

/* NULL: retention has let it go meanwhile. */
static struct shard_lost *find(struct shard *sh, const struct files_entry *e)
{
	for (size_t i = 0; i < sh->lost_count; i++)
		if (strcmp(sh->lost[i].entry.name, e->name) == 0)
			return &sh->lost[i];
	return NULL;
}

static void returned(struct lost_work *w, struct shard_lost *l)
{
	struct shard *sh = w->back->shard;
	struct shard_file *f = mem_zalloc(sizeof(*f));
	f->cfile = w->cfile;
	f->entry = w->entry;
	f->leaving = f->busy = l->leaving; /* retention was faster: it goes with the others */
	*l = sh->lost[--sh->lost_count];
	shard_file_add(sh, f);
	sh->files_changed++;
	share_changed(sh->share, CHANGES_ALL, CHANGES_DATA, INT64_MIN, f->entry.meta.end_ms);
	share_changed(sh->share, CHANGES_ALL, CHANGES_ORDER, INT64_MIN, f->entry.meta.end_ms);
	feed_count(w->back, w->state.series); /* readers ask the catalog for what it has brought */
	LOG_INFO("file_found_again", "shard=%u file=%s%s", sh->index, w->entry.name,
	    sh->log_held ? " then=\"a restart takes the rows that wait for it in the log\"" : "");
}

static void look_done(struct work_task *t)
{
	struct lost_work *w = CONTAINER_OF(t, struct lost_work, task);
	struct back *b = w->back;
	struct shard_lost *l = find(b->shard, &w->entry);
	b->lost_busy = false;
	if (!w->err && l) {
		returned(w, l);
	} else if (!w->err) {
		removal_add(b->shard, w->entry.name, w->cfile);
	} else {
		if (l)
			l->err = w->err;
		b->lost_next++;
		LOG_EVERY(LOG_LEVEL_WARN, "file_not_opened", "shard=%u file=%s err=%s text=\"%s\"",
		    b->shard->index, w->entry.name, err_text(w->err), w->eb.text);
	}
	mem_free(w);
	back_poke(b);
}

/* The next that may return, from lost_next on; NULL: all were looked at. */
static const struct shard_lost *next_lost(struct back *b)
{
	const struct shard *sh = b->shard;
	for (; b->lost_next < sh->lost_count; b->lost_next++)
		if (shard_lost_returns(&sh->lost[b->lost_next]))
			return &sh->lost[b->lost_next];
	return NULL;
}

void lost_poke(struct back *b)
{
	uint64_t now = back_now_ns(b);
	if (b->closing || b->lost_busy || !b->shard->lost_count || now < b->lost_not_before_ns ||
	    shard_catalog_is_behind(b->shard))
		return;
	const struct shard_lost *l = next_lost(b);
	if (!l) {
		b->lost_next = 0;
		b->lost_not_before_ns = now + BACK_LOST_MS * 1000000ull;
		return;
	}
	struct lost_work *w = mem_zalloc(sizeof(*w));
	w->back = b;
	w->entry = l->entry;
	w->claim = shard_rank_known(b->shard, l->entry.meta.rank);
	w->epoch = epoch_now(&b->shard->catalog_epoch);
	w->task = (struct work_task){
		.run = look_run, .done = look_done, .lane = BACK_LANE_CATALOG, .prio = WORK_BACKGROUND
	};
	b->lost_busy = true;
	work_submit(b->pool, &w->task);
}
