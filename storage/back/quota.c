#include "storage/back/quota.h"

#include "core/base/arena.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "storage/back/back.h"
#include "storage/share.h"

struct quota {
	struct share **shares;
	unsigned loops;
	uint64_t bytes;
	struct mbox_msg msg;
	struct loop_timer timer;
	struct quota_ends ends;
	int64_t before_ms; /* of this walk */
	unsigned at;       /* the loop it is on, or on its way to */
	bool walking, stopped;
};

static void arrive(struct mbox_msg *msg);

struct quota *quota_create(struct share **shares, unsigned loops, uint64_t bytes)
{
	struct quota *q = mem_zalloc(sizeof(*q));
	q->shares = shares;
	q->loops = loops;
	q->bytes = bytes;
	q->before_ms = INT64_MIN;
	q->msg.fn = arrive;
	return q;
}

void quota_free(struct quota *q)
{
	if (!q)
		return;
	CHECK(!q->walking);
	mem_free(q);
}

void quota_ends_add(struct quota_ends *e, int64_t end_ms, uint64_t bytes)
{
	unsigned at = 0;
	while (at < e->count && e->list[at].end_ms < end_ms)
		at++;
	if (at == QUOTA_ENDS)
		return;
	if (at < e->count && e->list[at].end_ms == end_ms) {
		e->list[at].bytes += bytes;
		return;
	}
	if (e->count < QUOTA_ENDS)
		e->count++;
	memmove(&e->list[at + 1], &e->list[at], (e->count - 1 - at) * sizeof(e->list[0]));
	e->list[at] = (struct quota_end){ .end_ms = end_ms, .bytes = bytes };
}

void quota_ends_cut(struct quota_ends *e, int64_t t_ms)
{
	e->cut_ms = e->cut && e->cut_ms < t_ms ? e->cut_ms : t_ms;
	e->cut = true;
}

int64_t quota_choose(const struct quota_ends *e, uint64_t bytes, int64_t newest_ms)
{
	uint64_t freed = 0;
	int64_t before_ms = INT64_MIN;
	for (unsigned i = 0; i < e->count && freed < bytes && e->list[i].end_ms <= newest_ms; i++) {
		if (i && e->cut && e->list[i].end_ms > e->cut_ms)
			break;
		freed += e->list[i].bytes;
		before_ms = e->list[i].end_ms;
	}
	return before_ms;
}

/*
 * Files stand in the order in which they begin, those that end early among the first: QUOTA_ENDS of
 * them are QUOTA_ENDS ends at most. Whatever ends early behind them comes in a later walk: many of
 * them may be of one range, and a time is not chosen for what they alone would have freed.
 */
static void shard_visit(struct quota *q, const struct shard *sh)
{
	struct back *b = back_of(sh);
	if (b)
		b->full_before_ms = q->before_ms;
	for (uint32_t i = 0; i < sh->files_count && i < QUOTA_ENDS; i++) {
		const struct files_entry *e = &sh->places[i]->entry;
		quota_ends_add(&q->ends, e->meta.end_ms, e->size_bytes);
	}
	if (sh->files_count > QUOTA_ENDS)
		quota_ends_cut(&q->ends, sh->places[QUOTA_ENDS]->entry.meta.start_ms);
}

/* On loop 0. */
static void decide(struct quota *q)
{
	const struct newest *n = &q->shares[0]->newest;
	uint64_t bytes =
	    metric_sum(M_BYTES_FILES) + metric_sum(M_BYTES_CATALOG) + metric_sum(M_BYTES_LOG);
	int64_t newest_ms = newest_senders(n), own_ms = newest_own(n);
	newest_ms = share_bounded(q->shares[0], own_ms > newest_ms ? own_ms : newest_ms);
	q->before_ms =
	    bytes > q->bytes ? quota_choose(&q->ends, bytes - q->bytes, newest_ms) : INT64_MIN;
	if (bytes > q->bytes && q->before_ms == INT64_MIN)
		LOG_EVERY(LOG_LEVEL_WARN, "retention_size_too_small",
		    "bytes=%llu limit=%llu text=\"log, catalog and the newest range alone are larger (--retention.size)\"",
		    (unsigned long long)bytes, (unsigned long long)q->bytes);
}

static void arrive(struct mbox_msg *msg)
{
	struct quota *q = CONTAINER_OF(msg, struct quota, msg);
	unsigned loops = q->loops;
	if (q->at < loops) {
		const struct share *sh = q->shares[q->at];
		for (unsigned k = 0; k < sh->shards_count; k++)
			shard_visit(q, sh->shards[k]);
		if (++q->at < loops) {
			loop_send(q->shares[q->at]->loop, msg);
			return;
		}
		if (loops > 1) { /* home */
			loop_send(q->shares[0]->loop, msg);
			return;
		}
	}
	q->walking = false;
	if (!q->stopped)
		decide(q);
}

static void tick(struct loop_timer *t)
{
	struct quota *q = CONTAINER_OF(t, struct quota, timer);
	loop_timer_set(q->shares[0]->loop, t, QUOTA_EVERY_MS);
	if (q->walking)
		return;
	q->walking = true;
	q->at = 0;
	q->ends.count = 0;
	q->ends.cut = false;
	arrive(&q->msg);
}

void quota_start(struct quota *q)
{
	loop_check_here(q->shares[0]->loop);
	metric_gauge_set(M_RETENTION_BYTES, (int64_t)q->bytes);
	loop_timer_init(&q->timer, tick);
	if (q->bytes)
		tick(&q->timer);
}

void quota_stop(struct quota *q)
{
	loop_check_here(q->shares[0]->loop);
	loop_timer_cancel(q->shares[0]->loop, &q->timer);
	metric_gauge_set(M_RETENTION_BYTES, 0);
	q->stopped = true;
}

bool quota_busy(const struct quota *q)
{
	return q->walking;
}
