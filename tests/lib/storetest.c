#include "tests/lib/storetest.h"

#include <semaphore.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/hash.h"
#include "core/rt/job.h"
#include "storage/append/alarm.h"
#include "storage/append/recount.h"
#include "storage/back/back.h"
#include "storage/removal.h"
#include "storage/store_priv.h"
#include "storage/storedelete.h"
#include "tests/lib/tap.h"
#include "tests/lib/testhist.h"

#define SETTLE_LOOKS 100u /* of 2 ms: what does not come to rest by then waits for its time */

void storetest_init(struct storetest *s, const char *dir)
{
	memset(s, 0, sizeof(*s));
	store_opts_default(&s->opts);
	s->opts.dir = dir;
	s->opts.new_series_per_s = UINT64_MAX;
	s->opts.min_free_bytes = 1;
	s->opts.reserve_bytes = 1 << 16;
	s->opts.log_segment_bytes = 1 << 20;
}

enum err storetest_open(struct storetest *s, unsigned loops)
{
	struct errbuf eb;
	errbuf_init(&eb);
	testteam_start(&s->tt, loops);
	s->opts.team = s->tt.team;
	s->opts.pool = s->tt.pool;
	enum err e = store_open(&s->opts, &s->store, &eb);
	if (e) {
		tap_note("store_open: %s %s", err_text(e), eb.text);
		testteam_stop(&s->tt);
	}
	return e;
}

void storetest_close(struct storetest *s)
{
	store_close(s->store);
	s->store = NULL;
	testteam_stop(&s->tt);
}

static void tenants_set(void *arg)
{
	loop_set_tenants(loop_here(), arg);
}

void storetest_tenants(struct storetest *s, const struct tenants *t)
{
	for (unsigned i = 0; i < team_count(s->tt.team); i++)
		testteam_run(&s->tt, i, tenants_set, (void *)(uintptr_t)t);
}

/* ---- writing ---- */

struct writing {
	struct sink_req req;
	struct sink *sink;
	sem_t done;
};

static void write_done(struct sink_req *req)
{
	sem_post(&CONTAINER_OF(req, struct writing, req)->done);
}

static void write_begin(void *arg)
{
	struct writing *w = arg;
	sink_append(w->sink, &w->req);
}

static const struct hist *hist_of(struct arena *a, const struct storetest_row *row)
{
	struct hist *h = testhist_any(a, row->hist);
	h->sum = row->v;
	return h;
}

static void row_add(struct batch *b, struct arena *extras, const struct storetest_row *from)
{
	struct batch_row *row = batch_add(b);
	*row = (struct batch_row){ .labels = from->labels.bytes,
		.labels_len = from->labels.len,
		.t_ms = from->t_ms,
		.v = from->v };
	if (!from->hist && !from->start_ms)
		return;
	struct batch_extra *x = arena_alloc(extras, sizeof(*x));
	*x = (struct batch_extra){ .v = from->v, .start_ms = from->start_ms };
	if (from->hist)
		x->hist = hist_of(extras, from);
	batch_row_extra(b, row, x);
}

bool storetest_row_is(const struct storetest_row *row, const struct sample_column *col, uint32_t i)
{
	struct arena a;
	arena_init(&a, 4096);
	const struct hist *h = row->hist ? hist_of(&a, row) : NULL;
	uint64_t bits = h ? SAMPLE_HIST_BITS : num_bits(row->v);
	bool same = col->t_ms[i] == row->t_ms && num_bits(col->v[i]) == bits &&
	    hist_equal(col->h ? col->h[i] : NULL, h) &&
	    (col->start_ms ? col->start_ms[i] : 0) == row->start_ms;
	arena_release(&a);
	return same;
}

void storetest_row_kind(struct storetest_row *row)
{
	uint64_t bits = hash_mix64(num_bits(row->v) + 1);
	row->hist = bits % 3 == 0 ? 1 + bits % 1000 : 0;
	row->start_ms = bits / 3 % 4 == 0 ? (int64_t)(bits % 100000) : 0;
}

bool storetest_value(const struct sample_column *col, uint32_t i, double *v)
{
	const struct hist *h = col->h ? col->h[i] : NULL;
	struct storetest_row row = { .t_ms = col->t_ms[i], .v = h ? h->sum : col->v[i] };
	storetest_row_kind(&row);
	*v = row.v;
	return storetest_row_is(&row, col, i);
}

struct storetest_verdict storetest_send(struct storetest *s, unsigned loop, struct batch *b)
{
	struct writing w = { .sink = store_sink(s->store), .req = { .batch = b, .done = write_done } };
	sem_init(&w.done, 0, 0);
	b->tenant = s->tenant;
	b->own = s->own;
	testteam_run(&s->tt, loop, write_begin, &w);
	while (sem_wait(&w.done)) {
	}
	struct storetest_verdict v = { .err = w.req.err,
		.stored = w.req.stored,
		.refused = w.req.refused,
		.hists = w.req.hists,
		.exemplars = w.req.exemplars,
		.exemplars_refused = w.req.exemplars_refused,
		.reason = w.req.first_reason };
	memcpy(v.text, w.req.first_text, sizeof(v.text));
	sem_destroy(&w.done);
	return v;
}

struct storetest_verdict storetest_write(
    struct storetest *s, unsigned loop, const struct storetest_row *rows, size_t count)
{
	struct batch b;
	struct arena extras;
	batch_init(&b);
	arena_init(&extras, 4096);
	for (size_t i = 0; i < count; i++)
		row_add(&b, &extras, &rows[i]);
	b.series_count = count;
	struct storetest_verdict v = storetest_send(s, loop, &b);
	batch_release(&b);
	arena_release(&extras);
	return v;
}

/* ---- flush ---- */

struct flushing {
	struct store_flush_req req;
	struct store *store;
	sem_t done;
};

static void flush_done(struct store_flush_req *r)
{
	sem_post(&CONTAINER_OF(r, struct flushing, req)->done);
}

static void flush_begin(void *arg)
{
	struct flushing *f = arg;
	store_flush(f->store, &f->req);
}

enum err storetest_flush(struct storetest *s)
{
	struct flushing f = { .store = s->store, .req.done = flush_done };
	sem_init(&f.done, 0, 0);
	testteam_run(&s->tt, 0, flush_begin, &f);
	while (sem_wait(&f.done)) {
	}
	sem_destroy(&f.done);
	return f.req.err;
}

/* ---- deletion ---- */

struct deleting {
	struct store_delete_req req;
	struct store_selector one;
	struct store_clean_req clean;
	struct store *store;
	sem_t done;
};

static void delete_done(struct store_delete_req *r)
{
	sem_post(&CONTAINER_OF(r, struct deleting, req)->done);
}

static void clean_done(struct store_clean_req *r)
{
	sem_post(&CONTAINER_OF(r, struct deleting, clean)->done);
}

static void delete_begin(void *arg)
{
	struct deleting *d = arg;
	store_delete(d->store, &d->req);
}

static void clean_begin(void *arg)
{
	struct deleting *d = arg;
	store_clean(d->store, &d->clean);
}

static void deleting_run(struct storetest *s, struct deleting *d, void (*begin)(void *arg))
{
	d->store = s->store;
	sem_init(&d->done, 0, 0);
	testteam_run(&s->tt, 0, begin, d);
	while (sem_wait(&d->done)) {
	}
	sem_destroy(&d->done);
}

enum err storetest_delete(struct storetest *s, const struct matcher *ms, size_t ms_count,
    int64_t t_min_ms, int64_t t_max_ms)
{
	struct deleting d = { .one = { .matchers = ms, .count = ms_count } };
	d.req = (struct store_delete_req){ .tenant = s->tenant,
		.selectors = &d.one,
		.selectors_count = 1,
		.t_min_ms = t_min_ms,
		.t_max_ms = t_max_ms,
		.done = delete_done };
	deleting_run(s, &d, delete_begin);
	return d.req.err;
}

enum err storetest_clean(struct storetest *s)
{
	struct deleting d = { .clean.done = clean_done };
	deleting_run(s, &d, clean_begin);
	return d.clean.err;
}

/* ---- reading ---- */

struct got {
	struct labels labels;
	struct sample_column col;
};
__thread unsigned storetest_warnings;
__thread unsigned storetest_same_times;
__thread char storetest_warning[320];

struct reading {
	struct job job;
	struct source *source;
	unsigned shard;
	struct source_query query;
	struct source_cursor *cursor;
	unsigned warnings;
	char warning[320];
	struct arena arena;
	struct got *got;
	size_t count, cap;
	const int64_t *last_t_ms; /* the cursor's own array of the item before */
	unsigned same_times;
	enum err err;
	sem_t done;
};

static void woken(void *arg)
{
	struct reading *r = arg;
	job_wake(&r->job);
}

/* What the item says of its times is so. */
static void look_at_times(struct reading *r, const struct source_item *it)
{
	if (it->same_times) {
		CHECK(r->count > 0);
		const struct sample_column *before = &r->got[r->count - 1].col;
		CHECK(it->col.count == before->count);
		CHECK(it->col.t_ms == r->last_t_ms);
		CHECK(!memcmp(it->col.t_ms, before->t_ms, before->count * sizeof(*before->t_ms)));
		r->same_times++;
	}
	r->last_t_ms = it->col.t_ms;
}

static void keep(struct reading *r, const struct source_item *it)
{
	bool samples = r->query.what == SOURCE_SERIES_SAMPLES;
	if (samples)
		look_at_times(r, it);
	if (r->count == r->cap) {
		r->cap = r->cap ? 2 * r->cap : 64;
		r->got = mem_array(r->got, r->cap, sizeof(*r->got));
	}
	struct got *g = &r->got[r->count++];
	bool text = r->query.what == SOURCE_LABEL_NAMES || r->query.what == SOURCE_LABEL_VALUES;
	const void *bytes = text ? (const void *)it->text : it->labels.bytes;
	uint32_t len = text ? (uint32_t)it->text_len : it->labels.len;
	g->labels = (struct labels){ .bytes = arena_dup(&r->arena, bytes, len), .len = len };
	g->col = (struct sample_column){ .count = 0 };
	if (!samples)
		return;
	g->col = it->col;
	g->col.t_ms = arena_dup(&r->arena, it->col.t_ms, it->col.count * sizeof(*it->col.t_ms));
	g->col.v = arena_dup(&r->arena, it->col.v, it->col.count * sizeof(*it->col.v));
	if (it->col.start_ms)
		g->col.start_ms = arena_dup(
		    &r->arena, it->col.start_ms, it->col.count * sizeof(*it->col.start_ms));
	if (!it->col.h)
		return;
	const struct hist **h = arena_array(&r->arena, it->col.count, sizeof(*h));
	for (uint32_t i = 0; i < it->col.count; i++)
		h[i] = it->col.h[i] ? hist_copy(&r->arena, it->col.h[i]) : NULL;
	g->col.h = h;
}

static enum job_state read_slice(struct job *j)
{
	struct reading *r = CONTAINER_OF(j, struct reading, job);
	struct source_item it;
	if (!r->cursor)
		r->err = r->source->ops->open(r->source, r->shard, &r->query, &r->cursor);
	while (!r->err) {
		enum source_state st = r->cursor->ops->next(r->cursor, &it);
		if (st == SOURCE_WAIT)
			return JOB_WAIT;
		if (st == SOURCE_AGAIN) {
			if (job_should_yield())
				return JOB_YIELD;
			continue;
		}
		if (st == SOURCE_ERROR) {
			r->err = r->cursor->err;
			tap_note("cursor: %s", r->cursor->eb.text);
		}
		if (st != SOURCE_READY)
			break;
		keep(r, &it);
		if (job_should_yield())
			return JOB_YIELD;
	}
	if (r->cursor) {
		r->warnings = r->cursor->warnings_count;
		if (r->warnings)
			snprintf(r->warning, sizeof(r->warning), "%s", r->cursor->warnings[0]);
		r->cursor->ops->close(r->cursor);
	}
	sem_post(&r->done);
	return JOB_DONE;
}

static void read_begin(void *arg)
{
	struct reading *r = arg;
	job_start(loop_here(), &r->job);
}

static void nothing(void *arg)
{
	(void)arg;
}

enum err storetest_ask(struct storetest *s, const struct source_query *query,
    void (*fn)(void *arg, struct labels ls, const struct sample_column *col), void *arg)
{
	struct source *src = store_source(s->store);
	enum err err = ERR_OK;
	storetest_warnings = storetest_same_times = 0;
	for (unsigned shard = 0; shard < src->ops->shards(src); shard++) {
		struct reading r = { .source = src, .shard = shard, .query = *query };
		r.query.tenants = &s->tenant;
		r.query.tenants_count = 1;
		r.query.wake = woken;
		r.query.wake_arg = &r;
		arena_init(&r.arena, 1 << 16);
		sem_init(&r.done, 0, 0);
		job_init(&r.job, JOB_QUERY, read_slice);
		testteam_run(&s->tt, loop_index(src->ops->loop_of(src, shard)), read_begin, &r);
		while (sem_wait(&r.done)) {
		}
		/* the job's own turn ends before its memory goes */
		testteam_run(&s->tt, loop_index(src->ops->loop_of(src, shard)), nothing, NULL);
		for (size_t i = 0; i < r.count; i++)
			fn(arg, r.got[i].labels, &r.got[i].col);
		if (r.warnings && !storetest_warnings)
			memcpy(storetest_warning, r.warning, sizeof(r.warning));
		storetest_warnings += r.warnings;
		storetest_same_times += r.same_times;
		if (r.err && !err)
			err = r.err;
		mem_free(r.got);
		arena_release(&r.arena);
		sem_destroy(&r.done);
	}
	return err;
}

enum err storetest_read(struct storetest *s, const struct matcher *ms, size_t ms_count,
    int64_t t_min_ms, int64_t t_max_ms,
    void (*fn)(void *arg, struct labels ls, const struct sample_column *col), void *arg)
{
	struct source_query q = { .what = SOURCE_SERIES_SAMPLES,
		.t_min_ms = t_min_ms,
		.t_max_ms = t_max_ms,
		.matchers = ms,
		.matchers_count = ms_count };
	return storetest_ask(s, &q, fn, arg);
}

enum err storetest_labels(struct storetest *s, enum source_what what, const char *label,
    int64_t t_min_ms, int64_t t_max_ms,
    void (*fn)(void *arg, struct labels ls, const struct sample_column *col), void *arg)
{
	struct source_query q = { .what = what,
		.t_min_ms = t_min_ms,
		.t_max_ms = t_max_ms,
		.label = label,
		.label_len = label ? strlen(label) : 0 };
	return storetest_ask(s, &q, fn, arg);
}

struct settling {
	struct storetest *s;
	unsigned loop;
	bool rest;
};

/* Is nothing of the loop's shards under way? What waits for its time is not. */
static void look_at_rest(void *arg)
{
	struct settling *w = arg;
	const struct share *share = w->s->store->shares[w->loop];
	const struct store *st = w->s->store;
	w->rest = !st->intakes[w->loop]->open;
	if (w->loop == 0)
		w->rest = w->rest && !alarm_busy(st->alarm) && !recount_busy(st->recount);
	for (unsigned k = 0; k < share->shards_count; k++) {
		const struct shard *sh = share->shards[k];
		const struct back *b = back_of(sh);
		if (b)
			w->rest = w->rest && !round_busy(b) && !sh->switching && !b->merge &&
			    !b->look && !b->feed_busy &&
			    (!b->rebuild || epoch_now(&rebuild_limit)) && !b->retain_busy &&
			    !b->lost_busy && !b->resolve_busy && removal_settled(sh);
	}
}

static bool at_rest(struct storetest *s)
{
	struct settling w = { .s = s };
	bool rest = true;
	for (w.loop = 0; w.loop < s->store->loops; w.loop++) {
		testteam_run(&s->tt, w.loop, look_at_rest, &w);
		rest = rest && w.rest;
	}
	return rest;
}

void storetest_advance(struct storetest *s, int64_t ms)
{
	clock_fake_advance(ms);
	for (unsigned calm = 0, looks = 0; calm < 3 && looks < SETTLE_LOOKS; looks++) {
		team_clock_moved(s->tt.team);
		usleep(2000);
		calm = at_rest(s) ? calm + 1 : 0;
	}
}

void storetest_names(struct arena *a, const char *name, struct labels *out, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		char no[16];
		snprintf(no, sizeof(no), "%u", i);
		out[i] = label_make(a, LABEL_NAME, name, "series", no, NULL);
	}
}

struct noting {
	uint32_t *ids;
	unsigned count, max;
};

static void id_note(void *arg, uint32_t first, uint32_t last)
{
	struct noting *n = arg;
	for (uint32_t id = first; id <= last && n->count < n->max; id++)
		n->ids[n->count++] = id;
}

unsigned storetest_file_ids(struct fsio_dir *d, const struct files *fs, uint32_t *ids, unsigned max)
{
	struct cfile *f = NULL;
	struct noting n = { .ids = ids, .max = max };
	if (fs->count != 1 || cfile_open(d, fs->entries[0].name, &f, NULL))
		return 0;
	enum err e = cfile_each_run(f, id_note, &n);
	cfile_close(f);
	return e ? 0 : n.count;
}
