#include "storage/store.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "storage/append/alarm.h"
#include "storage/append/gossip.h"
#include "storage/append/recount.h"
#include "storage/back/quota.h"
#include "storage/cardnow.h"
#include "storage/figures.h"
#include "storage/marks.h"
#include "storage/meta/postings.h"
#include "storage/read/storesrc.h"
#include "storage/recover/restore.h"
#include "storage/recover/warm.h"
#include "storage/store_priv.h"
#include <time.h>

static void sink_append_here(struct sink *s, struct sink_req *req);
static enum err sink_accepts_here(struct sink *s, uint32_t *retry_after_s);
static const struct sink_ops sink_ops = { .append = sink_append_here, .accepts = sink_accepts_here };

void store_opts_default(struct store_opts *o)
{
	*o = (struct store_opts){
		.sync = STORE_SYNC_COMMIT,
		.sync_interval_ms = 1000,
		.ooo_window_ms = -1,
		.retention_ms = 30ll * 24 * 3600 * 1000,
		.future_ms = 10 * 60 * 1000,
		.round_every_ms = 10 * 60 * 1000,
	};
}

static void opts_fill(struct store_opts *o)
{
	if (!o->shards)
		o->shards = MANIFEST_SHARDS;
	if (!o->series_max)
		o->series_max = space_series_of(space_head_bytes());
	if (o->ooo_window_ms < 0)
		o->ooo_window_ms = o->retention_ms;
	if (!o->retry_ms)
		o->retry_ms = BACK_RETRY_MS;
	if (!o->seal_every_ms)
		o->seal_every_ms = BACK_SEAL_MS;
	if (!o->evict_idle_ms)
		o->evict_idle_ms = BACK_IDLE_MS;
	if (!o->reserve_bytes)
		o->reserve_bytes = SPACE_RESERVE_BYTES;
	if (!o->log_share_bytes)
		o->log_share_bytes = STORE_LOG_SHARE_BYTES;
}

/* ---- opening ---- */

static void on_report(void *arg, unsigned loop, const struct walog_report *r)
{
	struct store *st = arg;
	intake_report(st->intakes[loop], r);
}

static enum err dirs_open(struct store *st, struct errbuf *eb)
{
	enum err e = fsio_dir_open(st->opts.dir, true, &st->dir);
	if (e)
		return errbuf_set(
		    eb, e, "%s: cannot be opened or made: %s", st->opts.dir, err_why(e));
	e = manifest_lock(st->dir, &st->lock, eb);
	if (!e)
		e = manifest_open(st->dir, st->opts.shards, &st->manifest, eb);
	if (e)
		return e;
	e = fsio_dir_sub(st->dir, "log", true, &st->log_dir);
	if (!e)
		e = fsio_dir_sub(st->dir, "shards", true, &st->shards_dir);
	if (e)
		return errbuf_set(eb, e, "%s: log and shards cannot be opened or made: %s",
		    st->opts.dir, err_why(e));
	return 0;
}

/*
 * Shards in the order of their owners: all of loop 0, then all of loop 1, ... so that a loop's rows
 * lie together in a request.
 */
static void places_make(struct store *st)
{
	unsigned all = st->manifest.shards;
	uint16_t place = 0;
	st->places = mem_array(NULL, all, sizeof *st->places);
	for (unsigned i = 0; i < st->loops; i++)
		for (unsigned j = i; j < all; j += st->loops)
			st->places[j] = place++;
}

static void shares_make(struct store *st)
{
	st->share_env = (struct share_env){ .loops = st->loops,
		.pool = st->opts.pool,
		.clock = st->clock,
		.future_ms = st->opts.future_ms,
		.head_bytes_max = space_head_bytes() / st->loops,
		.tenants = tally_create(),
		.changes = changes_create(st->loops) };
	st->shares = mem_zalloc(st->loops * sizeof(*st->shares));
	st->shards = mem_zalloc(st->manifest.shards * sizeof(*st->shards));
	for (unsigned i = 0; i < st->loops; i++) {
		struct share *sh = share_create(&st->share_env, team_loop(st->team, i), i);
		st->shares[i] = sh;
		sh->shards = mem_zalloc((st->manifest.shards / st->loops + 1) * sizeof(*sh->shards));
		for (unsigned j = i; j < st->manifest.shards; j += st->loops) {
			st->shards[j] = mem_alloc(sizeof *st->shards[j]);
			shard_init(st->shards[j], sh, j, st->manifest.seed);
			sh->shards[sh->shards_count++] = st->shards[j];
		}
		share_trail(sh, st->manifest.shards, st->manifest.seed);
	}
}

/* ---- what the parts stand on ---- */

static bool metas_put(
    void *arg, const struct intake *in, const struct batch *b, size_t *done, uint64_t *position)
{
	return keeper_put(arg, in, b, done, position);
}

static const struct intake_up intake_up = { .relieve = back_relieve, .metas = metas_put };

static const char *tenant_name(void *arg, uint32_t tenant)
{
	return store_tenant_name(arg, tenant);
}

static void intakes_make(struct store *st)
{
	const struct store_opts *o = &st->opts;
	st->census = census_set_create();
	st->intake_env = (struct intake_env){ .shards = st->manifest.shards,
		.seed = st->manifest.seed,
		.places = st->places,
		.retention_ms = o->retention_ms,
		.ooo_window_ms = o->ooo_window_ms,
		.future_ms = o->future_ms,
		.series_max = o->series_max,
		.new_series_per_s = o->new_series_per_s,
		.log_share_bytes = o->log_share_bytes,
		.log_series_bytes = st->log_series_bytes,
		.labels = o->labels,
		.census = st->census,
		.up = &intake_up,
		.up_arg = st->keeper };
	st->intakes = mem_zalloc(st->loops * sizeof(*st->intakes));
	for (unsigned i = 0; i < st->loops; i++)
		st->intakes[i] = intake_create(&st->intake_env, st->shares[i]);
	st->intake_env.intakes = st->intakes;
	st->recount = recount_create(st->intakes, st->loops);
	st->alarm = alarm_create(&(struct alarm_env){
	    .intakes = st->intakes, .loops = st->loops, .name = tenant_name, .arg = st });
}

static void keeper_setup(struct store *st)
{
	st->keeper_env = (struct keeper_env){ .loop = st->shares[0]->loop,
		.pool = st->opts.pool,
		.dir = st->dir,
		.seed = st->manifest.seed,
		.group = st->manifest.shards,
		.stamps = st->metas };
	st->keeper = keeper_create(&st->keeper_env);
}

static void space_setup(struct store *st)
{
	st->space = (struct space){ .dir = st->dir,
		.pool = st->opts.pool,
		.shares = st->shares,
		.loops = st->loops,
		.reserve_bytes = st->opts.reserve_bytes,
		.min_free_bytes = st->opts.min_free_bytes };
}

static void catalogs_setup(struct store *st)
{
	st->catalogs = (struct catalogs){ .dir = st->dir,
		.pool = st->opts.pool,
		.home = st->shares[0]->loop,
		.shards = st->shards,
		.shards_count = st->manifest.shards,
		.seed = st->manifest.seed,
		.stop = { .told = st->opts.stop, .arg = st->opts.stop_arg } };
}

static void back_setup(struct store *st)
{
	const struct store_opts *o = &st->opts;
	st->back_env = (struct back_env){ .shards = st->manifest.shards,
		.clock = st->clock,
		.space = &st->space,
		.retention_ms = o->retention_ms,
		.retention_bytes = o->retention_bytes,
		.round_every_ms = o->round_every_ms,
		.seal_every_ms = o->seal_every_ms,
		.retry_ms = o->retry_ms,
		.evict_idle_ms = o->evict_idle_ms };
}

static void snapshots_setup(struct store *st)
{
	st->snapshots_env = (struct snapshots_env){ .loop = st->shares[0]->loop,
		.pool = st->opts.pool,
		.dir = st->dir,
		.log_dir = st->log_dir,
		.shards = st->shards,
		.shards_count = st->manifest.shards };
	st->snapshots = snapshots_create(&st->snapshots_env);
}

static void meta_record(void *arg, bool own, uint64_t number, const struct walrec_meta *m)
{
	keeper_replay(arg, own, number, m);
}

static void meta_number(void *arg, uint64_t number)
{
	keeper_number_seen(arg, number);
}

static void recover_setup(struct store *st)
{
	st->recover_env = (struct recover_env){ .loops = st->loops,
		.shares = st->shares,
		.shards_count = st->manifest.shards,
		.shards = st->shards,
		.dir = st->dir,
		.log_dir = st->log_dir,
		.shards_dir = st->shards_dir,
		.book = &st->book,
		.clock = st->clock,
		.space = &st->space,
		.team = st->team,
		.stop = { .told = st->opts.stop, .arg = st->opts.stop_arg },
		.future_ms = st->opts.future_ms,
		.ooo_window_ms = st->opts.ooo_window_ms,
		.retention_ms = st->opts.retention_ms,
		.metas = { .record = meta_record, .number = meta_number, .arg = st->keeper },
		.sink = &st->sink };
}

/* The parts, each with what it needs. */
static void parts_make(struct store *st)
{
	places_make(st);
	shares_make(st);
	asidebook_init(&st->book, st->manifest.shards);
	st->source = storesrc_create(st->shards, st->manifest.shards, st->share_env.changes);
	st->gossip = gossip_create(st->shares, st->loops);
	st->quota = quota_create(st->shares, st->loops, st->opts.retention_bytes);
	keeper_setup(st);
	st->tenantbook_env = (struct tenantbook_env){ .shares = st->shares,
		.loops = st->loops,
		.pool = st->opts.pool,
		.dir = st->dir,
		.several = &st->share_env.several };
	st->tenantbook = tenantbook_create(&st->tenantbook_env);
	intakes_make(st);
	space_setup(st);
	catalogs_setup(st);
	back_setup(st);
	snapshots_setup(st);
	recover_setup(st);
}

static enum err log_open(struct store *st, struct errbuf *eb)
{
	struct replay_result replay;
	enum err e = recover_log(&st->recover_env, &replay, eb);
	if (e)
		return e;
	static const enum walog_sync syncs[] = {
		[STORE_SYNC_COMMIT] = WALOG_SYNC_COMMIT, [STORE_SYNC_INTERVAL] = WALOG_SYNC_INTERVAL, [STORE_SYNC_OFF] = WALOG_SYNC_OFF
	};
	struct walog_opts o = { .dir = st->log_dir,
		.team = st->team,
		.sync = syncs[st->opts.sync],
		.sync_interval_ms = st->opts.sync_interval_ms,
		.segment_bytes = st->opts.log_segment_bytes,
		.probe_ms = st->opts.log_probe_ms,
		.replay = &replay,
		.on_report = on_report,
		.arg = st };
	recover_newest(&st->recover_env);
	if (st->catalogs.catalog)
		warm_series(&st->recover_env);
	recover_tell(&st->recover_env);
	e = walog_create(&o, &st->log, eb);
	replay_result_release(&replay);
	return e;
}

struct begin {
	struct store *st;
	unsigned loop;
};

static void begin_on_loop(void *arg)
{
	const struct begin *b = arg;
	struct store *st = b->st;
	const struct share *sh = st->shares[b->loop];
	st->intakes[b->loop]->log = st->log;
	for (unsigned k = 0; k < sh->shards_count; k++) {
		/* What the files had already when the process ended: its segments may be freed. */
		struct shard *shard = sh->shards[k];
		walog_complete(st->log, shard->index, shard->list.complete_to);
		back_open(shard, &st->back_env);
		for (uint32_t i = 0; i < shard->head.tenants_count; i++)
			postings_made_begin(shard->head.tenants[i].postings);
	}
	if (!sh->index) {
		keeper_start(st->keeper);
		space_watch(&st->space);
		gossip_start(st->gossip);
		recount_start(st->recount);
		alarm_start(st->alarm);
		figures_start(st->figures);
		marks_start(st->marks);
		quota_start(st->quota);
		snapshots_start(st->snapshots);
		catalogs_watch(&st->catalogs);
	}
}

static void release_on_loop(void *arg)
{
	struct share *sh = arg;
	for (unsigned k = 0; k < sh->shards_count; k++)
		shard_release(sh->shards[k]);
	metric_gauge_set(M_SERIES_ACTIVE, 0);
}

struct look {
	const struct share *share;
	bool settled;
};

static void removals_look(void *arg)
{
	struct look *l = arg;
	l->settled = true;
	for (unsigned k = 0; k < l->share->shards_count; k++)
		l->settled &= removal_settled(l->share->shards[k]);
}

/* A start that failed may have put removals on their way. */
static void removals_wait(struct store *st)
{
	for (unsigned i = 0; st->shares && i < st->loops;) {
		struct look l = { .share = st->shares[i] };
		team_run_on(st->team, i, removals_look, &l);
		if (l.settled)
			i++;
		else
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
}

static void store_release(struct store *st)
{
	removals_wait(st);
	if (st->shares)
		asidebook_release(&st->book);
	for (unsigned i = 0; st->shares && i < st->loops; i++)
		team_run_on(st->team, i, release_on_loop, st->shares[i]);
	catalogs_close(&st->catalogs);
	for (unsigned j = 0; st->shards && j < st->manifest.shards; j++)
		mem_free(st->shards[j]);
	for (unsigned i = 0; st->intakes && i < st->loops; i++)
		intake_free(st->intakes[i]);
	census_set_free(st->census);
	for (unsigned i = 0; st->shares && i < st->loops; i++)
		share_free(st->shares[i]);
	storesrc_free(st->source);
	keeper_free(st->keeper);
	stamps_free(st->metas);
	tenantbook_free(st->tenantbook);
	tally_free(st->share_env.tenants);
	changes_free(st->share_env.changes);
	clockwatch_free(st->clock);
	gossip_free(st->gossip);
	recount_free(st->recount);
	alarm_free(st->alarm);
	figures_free(st->figures);
	marks_free(st->marks);
	cardnow_free(st->cardnow);
	quota_free(st->quota);
	snapshots_free(st->snapshots);
	mem_free(st->shards);
	mem_free(st->shares);
	mem_free(st->intakes);
	mem_free(st->places);
	if (st->shards_dir)
		fsio_dir_close(st->shards_dir);
	if (st->log_dir)
		fsio_dir_close(st->log_dir);
	manifest_unlock(st->lock);
	if (st->dir)
		fsio_dir_close(st->dir);
	mem_free(st);
}

static void metas_save(struct store *st)
{
	enum err e = keeper_save(st->keeper);
	if (e)
		LOG_WARN("metadata_not_saved", "err=%s", err_text(e));
}

enum err store_open(const struct store_opts *o, struct store **out, struct errbuf *eb)
{
	uint64_t begun = clock_real_mono_ns();
	struct store *st = mem_zalloc(sizeof *st);
	st->metas = stamps_create();
	st->sink = (struct sink){ .ops = &sink_ops, .metas = st->metas };
	st->opts = *o;
	st->log_series_bytes = o->log_share_bytes ? 0 : STORE_LOG_SERIES_BYTES;
	opts_fill(&st->opts);
	struct clockwatch_now now;
	clock_both(&now.wall_ms, &now.mono_ns);
	st->clock = clockwatch_create(now);
	st->figures = figures_create(st);
	st->marks = marks_create(st);
	st->cardnow = cardnow_create(st);
	store_stats_init(st);
	st->team = o->team;
	st->loops = team_count(o->team);
	CHECK(st->loops <= SHARE_LOOPS_MAX);
	enum err e = 0;
	if (st->opts.shards > MANIFEST_SHARDS_MAX)
		e = errbuf_set(
		    eb, ERR_BADDATA, "%u shards: at most %u", st->opts.shards, MANIFEST_SHARDS_MAX);
	if (!e)
		e = dirs_open(st, eb);
	if (!e) {
		parts_make(st);
		e = keeper_load(st->keeper, eb);
	}
	if (!e)
		e = asidebook_load(&st->book, st->dir, eb);
	if (!e)
		e = tenantbook_load(st->tenantbook, eb);
	if (!e)
		marks_load(st->marks);
	if (!e) {
		space_reserve(&st->space);
		space_look(&st->space);
		e = space_files(st->manifest.shards, st->loops, &st->back_env.round_writers, eb);
	}
	if (!e)
		e = recover_files(&st->recover_env, eb);
	if (!e)
		e = catalogs_open(&st->catalogs, eb);
	if (!e)
		e = log_open(st, eb);
	if (e) {
		store_release(st);
		return e;
	}
	if (o->shards && o->shards != st->manifest.shards)
		LOG_WARN("shards_kept",
		    "asked=%u shards=%u text=\"a data directory keeps the number it was made with\"",
		    o->shards, st->manifest.shards);
	st->keeper_env.log = st->back_env.log = st->snapshots_env.log = st->log;
	metas_save(st);
	tenantbook_settle(st->tenantbook, store_tenant_max(st));
	for (unsigned i = 0; i < st->loops; i++)
		team_run_on(st->team, i, begin_on_loop, &(struct begin){ .st = st, .loop = i });
	restore_run(&st->recover_env);
	LOG_INFO("store_open", "dir=%s shards=%u loops=%u series=%llu took_ms=%llu", st->opts.dir,
	    st->manifest.shards, st->loops, (unsigned long long)store_series(st),
	    (unsigned long long)((clock_real_mono_ns() - begun) / 1000000u));
	*out = st;
	return 0;
}

/* ---- closing ---- */

struct closing {
	struct store *st;
	struct share *share;
	uint32_t open; /* shards whose background has not ended */
	bool idle;
};

static void back_closed(void *arg)
{
	struct closing *c = arg;
	c->open--;
}

static void close_begin(void *arg)
{
	struct closing *c = arg;
	struct store *st = c->st;
	intake_stop(st->intakes[c->share->index]);
	if (!c->share->index) {
		space_unwatch(&st->space);
		gossip_stop(st->gossip);
		recount_stop(st->recount);
		alarm_stop(st->alarm);
		figures_stop(st->figures);
		marks_stop(st->marks);
		quota_stop(st->quota);
		snapshots_stop(st->snapshots);
		keeper_stop(st->keeper);
		tenantbook_stop(st->tenantbook);
		catalogs_unwatch(&st->catalogs);
	}
	c->open = c->share->shards_count;
	for (unsigned k = 0; k < c->share->shards_count; k++)
		back_close(c->share->shards[k], back_closed, c);
}

static void close_look(void *arg)
{
	struct closing *c = arg;
	const struct store *st = c->st;
	c->idle = !c->open && !st->intakes[c->share->index]->open && !c->share->stocking &&
	    !c->share->deletions;
	for (unsigned k = 0; k < c->share->shards_count; k++)
		c->idle = c->idle && removal_settled(c->share->shards[k]) &&
		    !c->share->shards[k]->cursors;
	if (!c->share->index)
		c->idle = c->idle && !st->space.busy && !st->space.reserve_busy &&
		    !st->catalogs.busy && !keeper_busy(st->keeper) &&
		    !tenantbook_busy(st->tenantbook) && !gossip_busy(st->gossip) &&
		    !recount_busy(st->recount) && !alarm_busy(st->alarm) &&
		    !figures_busy(st->figures) && !marks_busy(st->marks) &&
		    !quota_busy(st->quota) && !snapshots_busy(st->snapshots);
}

static void nothing(void *arg)
{
	(void)arg;
}

void store_close(struct store *st)
{
	if (!st)
		return;
	struct closing *all = mem_zalloc(st->loops * sizeof *all);
	for (unsigned i = 0; i < st->loops; i++) {
		all[i] = (struct closing){ .st = st, .share = st->shares[i] };
		team_run_on(st->team, i, close_begin, &all[i]);
	}
	/*
	 * Workers and reports come home by messages: look until all have. What ends on one loop may
	 * have begun something on another, so all are looked at once more.
	 */
	for (unsigned i = 0, idle = 0; idle < st->loops; i = (i + 1) % st->loops) {
		team_run_on(st->team, i, close_look, &all[i]);
		idle = all[i].idle ? idle + 1 : 0;
		if (idle)
			continue;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	mem_free(all);
	walog_stop(st->log);
	metas_save(st);
	for (unsigned i = 0; i < st->loops; i++)
		team_run_on(st->team, i, nothing, NULL);
	walog_free(st->log);
	store_release(st);
}

/* ---- the seams ---- */

struct share *store_here(const struct store *st)
{
	struct loop *l = loop_here();
	CHECK(l != NULL);
	return st->shares[loop_index(l)];
}

static struct intake *intake_here(const struct store *st)
{
	return st->intakes[store_here(st)->index];
}

struct sink *store_sink(struct store *st)
{
	return &st->sink;
}

struct source *store_source(struct store *st)
{
	return st->source;
}

static void sink_append_here(struct sink *s, struct sink_req *req)
{
	intake_append(intake_here(CONTAINER_OF(s, struct store, sink)), req);
}

static enum err sink_accepts_here(struct sink *s, uint32_t *retry_after_s)
{
	return intake_accepts(intake_here(CONTAINER_OF(s, struct store, sink)), retry_after_s);
}

const struct store_opts *store_opts_in_force(const struct store *st)
{
	return &st->opts;
}

bool store_catalog_is_behind(const struct store *st)
{
	bool behind = false;
	for (unsigned j = 0; j < st->manifest.shards; j++)
		behind |= shard_catalog_is_behind(st->shards[j]);
	return behind;
}

unsigned store_shards(const struct store *st)
{
	return st->manifest.shards;
}

uint64_t store_series(const struct store *st)
{
	/*
	 * Every share knows its own count and what the others told last: loop 0's view is good
	 * enough from any thread that asks on a loop.
	 */
	return share_series(loop_here() ? store_here(st) : st->shares[0]);
}

/* ---- metadata: asked of loop 0's keeper ---- */

static void meta_home(struct mbox_msg *msg)
{
	struct store_meta_req *r = CONTAINER_OF(msg, struct store_meta_req, _msg);
	r->done(r);
}

/* At the end of the turn: the job is in what goes home, and may be freed there. */
static void meta_end(struct loop_deferred *d)
{
	struct store_meta_req *r = CONTAINER_OF(d, struct store_meta_req, _end);
	r->_msg.fn = meta_home;
	loop_send(r->_from, &r->_msg);
}

static enum job_state meta_some(struct job *j)
{
	struct store_meta_req *r = CONTAINER_OF(j, struct store_meta_req, _job);
	if (!keeper_get(r->_store->keeper, r))
		return JOB_YIELD;
	r->_end.fn = meta_end;
	loop_defer(r->_store->shards[0]->loop, &r->_end);
	return JOB_DONE;
}

static void meta_begin(struct mbox_msg *msg)
{
	struct store_meta_req *r = CONTAINER_OF(msg, struct store_meta_req, _msg);
	job_init(&r->_job, JOB_QUERY, meta_some);
	job_start(r->_store->shards[0]->loop, &r->_job);
}

void store_meta(struct store *st, struct store_meta_req *r)
{
	r->_from = loop_here();
	r->_store = st;
	r->_begun = false;
	r->_msg.fn = meta_begin;
	loop_send(st->shares[0]->loop, &r->_msg);
}

/* ---- flush: a forced round, then a forced seal, of every shard ---- */

struct flush { /* one loop's part */
	struct mbox_msg msg;
	struct store_flush_req *req;
	struct share *share;
	uint32_t open;
	enum err err;
};

static void flush_home(struct mbox_msg *msg)
{
	struct flush *f = CONTAINER_OF(msg, struct flush, msg);
	struct store_flush_req *r = f->req;
	if (f->err && !r->err)
		r->err = f->err;
	mem_free(f);
	if (!--r->_open)
		r->done(r);
}

static void flush_part(struct flush *f, enum err err)
{
	if (err && !f->err)
		f->err = err;
	if (--f->open)
		return;
	f->msg.fn = flush_home;
	loop_send(f->req->_from, &f->msg);
}

struct flush_shard {
	struct flush *flush;
	struct shard *shard;
};

static void flush_sealed(void *arg, enum err err)
{
	struct flush_shard *fs = arg;
	struct flush *f = fs->flush;
	mem_free(fs);
	flush_part(f, err);
}

static void flush_rounded(void *arg, enum err err)
{
	struct flush_shard *fs = arg;
	if (err)
		flush_sealed(fs, err);
	else
		back_seal(fs->shard, true, flush_sealed, fs);
}

static void flush_begin(struct mbox_msg *msg)
{
	struct flush *f = CONTAINER_OF(msg, struct flush, msg);
	f->open = 1 + f->share->shards_count;
	for (unsigned k = 0; k < f->share->shards_count; k++) {
		struct flush_shard *fs = mem_zalloc(sizeof *fs);
		fs->flush = f;
		fs->shard = f->share->shards[k];
		back_round(fs->shard, true, flush_rounded, fs);
	}
	flush_part(f, ERR_OK);
}

void store_snapshot(struct store *st, struct snapshot_req *r)
{
	snapshots_ask(st->snapshots, r);
}

void store_flush(struct store *st, struct store_flush_req *r)
{
	r->_from = loop_here();
	r->_open = st->loops;
	r->err = 0;
	for (unsigned i = 0; i < st->loops; i++) {
		struct flush *f = mem_zalloc(sizeof *f);
		f->req = r;
		f->share = st->shares[i];
		f->msg.fn = flush_begin;
		loop_send(f->share->loop, &f->msg);
	}
}
