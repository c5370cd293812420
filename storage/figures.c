#include "storage/figures.h"

#include "core/base/arena.h"
#include "core/base/metric.h"
#include "storage/back/back.h"
#include "storage/store_priv.h"

#define NS_PER_MS 1000000u

struct sums {
	uint64_t memory_bytes;
	int64_t oldest_ms; /* INT64_MAX: no file yet */
	int64_t newest_ms, newest_own_ms;
	int64_t round_ms; /* of the round that ended last */
	uint64_t round_took_ns;
	int64_t merge_ms; /* and of the merge */
	uint64_t merge_took_ns;
	unsigned rounds_running, rounds_waiting;
	unsigned merges[BACK_MERGES]; /* of each lane: one of them runs */
};

struct figures {
	struct store *st;
	struct mbox_msg msg;
	struct loop_timer timer;
	struct sums sums;
	unsigned at; /* the loop it is on, or on its way to */
	bool walking, stopped;
};

static void arrive(struct mbox_msg *msg);

struct figures *figures_create(struct store *st)
{
	struct figures *f = mem_zalloc(sizeof(*f));
	f->st = st;
	f->msg.fn = arrive;
	return f;
}

void figures_free(struct figures *f)
{
	if (!f)
		return;
	CHECK(!f->walking);
	mem_free(f);
}

/* Files stand in the order in which their ranges begin: none has a sample before its own. */
static int64_t oldest_of(const struct shard *sh)
{
	int64_t oldest = INT64_MAX;
	LIST_EACH(l, &sh->files) {
		const struct files_entry *e = &CONTAINER_OF(l, struct shard_file, link)->entry;
		if (e->meta.start_ms > oldest)
			break;
		if (e->samples)
			oldest = e->t_min_ms < oldest ? e->t_min_ms : oldest;
	}
	return oldest;
}

static void add_shard(struct sums *s, const struct shard *sh)
{
	int64_t oldest = oldest_of(sh);
	s->oldest_ms = oldest < s->oldest_ms ? oldest : s->oldest_ms;
	if (sh->round_last_ms > s->round_ms) {
		s->round_ms = sh->round_last_ms;
		s->round_took_ns = sh->round_last_took_ns;
	}
	if (sh->merge_last_ms > s->merge_ms) {
		s->merge_ms = sh->merge_last_ms;
		s->merge_took_ns = sh->merge_last_took_ns;
	}
	if (sh->round == SHARD_UNWRITTEN || sh->round == SHARD_UNSWITCHED)
		s->rounds_waiting++;
	else if (sh->round != SHARD_IDLE)
		s->rounds_running++;
	if (sh->back && back_of(sh)->merge)
		s->merges[sh->index % BACK_MERGES]++;
}

static void add_share(struct sums *s, struct share *sh)
{
	int64_t newest = newest_senders(&sh->newest), own = newest_own(&sh->newest);
	s->memory_bytes += share_head_bytes(sh);
	s->newest_ms = newest > s->newest_ms ? newest : s->newest_ms;
	s->newest_own_ms = own > s->newest_own_ms ? own : s->newest_own_ms;
	slab_stock_trim(sh->mem);
	for (unsigned k = 0; k < sh->shards_count; k++)
		add_shard(s, sh->shards[k]);
}

/* On loop 0. */
static void show(const struct sums *s, int64_t retention_ms)
{
	metric_gauge_set(M_SERIES_BYTES, (int64_t)s->memory_bytes);
	metric_gauge_set(M_OLDEST_MS, s->oldest_ms == INT64_MAX ? 0 : s->oldest_ms);
	metric_gauge_set(M_NEWEST_MS, s->newest_ms);
	metric_gauge_set(M_NEWEST_OWN_MS, s->newest_own_ms);
	metric_gauge_set(M_ROUND_LAST_MS, s->round_ms);
	metric_gauge_set(M_ROUND_LAST_TOOK_MS, (int64_t)(s->round_took_ns / NS_PER_MS));
	metric_gauge_set(M_ROUNDS_RUNNING, s->rounds_running);
	metric_gauge_set(M_ROUNDS_WAITING, s->rounds_waiting);
	metric_gauge_set(M_SEAL_LAST_MS, s->merge_ms);
	metric_gauge_set(M_SEAL_LAST_TOOK_MS, (int64_t)(s->merge_took_ns / NS_PER_MS));
	unsigned running = 0, waiting = 0;
	for (unsigned i = 0; i < BACK_MERGES; i++) {
		running += s->merges[i] > 0;
		waiting += s->merges[i] > 1 ? s->merges[i] - 1 : 0;
	}
	metric_gauge_set(M_SEALS_RUNNING, running);
	metric_gauge_set(M_SEALS_WAITING, waiting);
	metric_gauge_set(M_RETENTION_MS, retention_ms);
}

static void arrive(struct mbox_msg *msg)
{
	struct figures *f = CONTAINER_OF(msg, struct figures, msg);
	unsigned loops = f->st->loops;
	if (f->at < loops) {
		add_share(&f->sums, f->st->shares[f->at]);
		if (++f->at < loops) {
			loop_send(f->st->shares[f->at]->loop, msg);
			return;
		}
		if (loops > 1) { /* home */
			loop_send(f->st->shares[0]->loop, msg);
			return;
		}
	}
	f->walking = false;
	if (!f->stopped)
		show(&f->sums, f->st->opts.retention_ms);
}

static void tick(struct loop_timer *t)
{
	struct figures *f = CONTAINER_OF(t, struct figures, timer);
	loop_timer_set(f->st->shares[0]->loop, t, FIGURES_EVERY_MS);
	if (f->walking)
		return;
	f->walking = true;
	f->at = 0;
	f->sums = (struct sums){ .oldest_ms = INT64_MAX };
	arrive(&f->msg);
}

void figures_start(struct figures *f)
{
	loop_check_here(f->st->shares[0]->loop);
	loop_timer_init(&f->timer, tick);
	tick(&f->timer);
	metric_gauge_set(M_LIMIT_SERIES, (int64_t)(f->st->share_env.head_bytes_max * f->st->loops));
}

void figures_stop(struct figures *f)
{
	loop_check_here(f->st->shares[0]->loop);
	loop_timer_cancel(f->st->shares[0]->loop, &f->timer);
	f->stopped = true;
	show(&(struct sums){ .oldest_ms = INT64_MAX }, 0);
	metric_gauge_set(M_LIMIT_SERIES, 0);
}

bool figures_busy(const struct figures *f)
{
	return f->walking;
}
