#include "storage/removal.h"

#include "core/base/arena.h"
#include "core/base/log.h"
#include "storage/shard.h"

struct removal {
	struct list_link link;
	struct cfile *cfile;
	enum err err;
	char name[CFILE_NAME_MAX];
};

void removal_init(struct removals *r)
{
	list_init(&r->fresh);
	list_init(&r->stuck);
	list_init(&r->going);
}

static void run(struct work_task *t)
{
	struct removals *rs = CONTAINER_OF(t, struct removals, task);
	struct shard *sh = CONTAINER_OF(rs, struct shard, removals);
	LIST_EACH(l, &rs->going) {
		struct removal *r = CONTAINER_OF(l, struct removal, link);
		cfile_close(r->cfile);
		r->cfile = NULL;
		r->err = files_remove(&sh->switcher, r->name);
		if (r->err && r->err != ERR_BUSY)
			LOG_EVERY(LOG_LEVEL_WARN, "file_not_removed",
			    "shard=%u file=%s err=%s text=\"%s\" then=\"tried again\"", sh->index,
			    r->name, err_text(r->err), err_why(r->err));
	}
}

static void submit(struct shard *sh);

static void done(struct work_task *t)
{
	struct removals *rs = CONTAINER_OF(t, struct removals, task);
	struct shard *sh = CONTAINER_OF(rs, struct shard, removals);
	rs->busy = false;
	struct list_link *l;
	while ((l = list_pop(&rs->going))) {
		struct removal *r = CONTAINER_OF(l, struct removal, link);
		if (r->err)
			list_add_tail(&rs->stuck, &r->link);
		else
			mem_free(r);
	}
	if (!list_empty(&rs->stuck))
		rs->not_before_ns = loop_now_ns(sh->loop) + REMOVAL_RETRY_MS * 1000000ull;
	submit(sh);
}

/* What has not been tried yet goes to the worker. */
static void submit(struct shard *sh)
{
	struct removals *rs = &sh->removals;
	if (rs->busy || list_empty(&rs->fresh))
		return;
	rs->busy = true;
	list_move_all(&rs->going, &rs->fresh);
	rs->task = (struct work_task){
		.run = run, .done = done, .lane = shard_lane(sh), .prio = WORK_BACKGROUND
	};
	work_submit(sh->pool, &rs->task);
}

void removal_add(struct shard *sh, const char *name, struct cfile *take)
{
	loop_check_here(sh->loop);
	struct removal *r = mem_zalloc(sizeof(*r));
	CHECK(strlen(name) < sizeof(r->name));
	memcpy(r->name, name, strlen(name) + 1);
	r->cfile = take;
	list_add_tail(&sh->removals.fresh, &r->link);
	submit(sh);
}

void removal_poke(struct shard *sh)
{
	struct removals *rs = &sh->removals;
	if (list_empty(&rs->stuck) || loop_now_ns(sh->loop) < rs->not_before_ns)
		return;
	list_move_all(&rs->fresh, &rs->stuck);
	submit(sh);
}

bool removal_settled(const struct shard *sh)
{
	return !sh->removals.busy && list_empty(&sh->removals.fresh);
}

size_t removal_stuck(const struct shard *sh)
{
	size_t n = 0;
	LIST_EACH(l, &sh->removals.stuck)
		n++;
	return n;
}

void removal_release(struct shard *sh)
{
	struct list_link *l;
	CHECK(removal_settled(sh));
	while ((l = list_pop(&sh->removals.stuck))) {
		struct removal *r = CONTAINER_OF(l, struct removal, link);
		cfile_close(r->cfile);
		mem_free(r);
	}
}
