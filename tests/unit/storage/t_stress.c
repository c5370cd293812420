/*
 * Everything at once, for the sanitizers: series are made, return, come late, oddly labelled or
 * refused, leave memory and are asked for in every way, while rounds, merges and retention run
 * without a pause. Each life of the store ends with a restart.
 *
 * Answers are checked by what a sample's value must be (value_of) and by sentinels: series that get
 * a row in every request of one writer, newer than all others' rows, so that they never leave.
 * Every acknowledged row of theirs is there, once, in each answer.
 *
 * KYMO_STRESS_S (3) is how long all of it runs, KYMO_SEED (1) what is drawn.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/metric.h"
#include "core/base/wire.h"
#include "core/rt/job.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define SENTINELS  24u
#define TIMES_MAX  20000u
#define ODD_SERIES 2000u
#define LIFE_S     15u
#define WRITERS    3u
#define BACK       20000u /* returning series are among so many made last */
#define HEARD      20u    /* requests behind which all loops know a newest time */
#define HOUR_MS    INT64_C(3600000)
#define OOO_MS     (8 * HOUR_MS)
#define LATE_MS    (7 * HOUR_MS)   /* late rows are at most so old: all are taken */
#define BEHIND_MS  (HOUR_MS / 60)  /* by which rows of other series are older than the sentinels' */
#define IDLE_MS    (BEHIND_MS / 2) /* so that these leave, and no sentinel does */
#define RETAIN_MS  (3 * HOUR_MS)   /* ... and many at once past retention */

struct life {
	struct storetest s;
	unsigned loops;
	uint64_t seed;
	bool stop;
	/* rows of the sentinels: times[0, acked) are acknowledged, one more may be under way */
	int64_t times[TIMES_MAX];
	uint32_t acked;
	uint32_t made[WRITERS]; /* series, by each writer that makes some */
};
struct answer {                    /* what a query brought */
	uint32_t acked;            /* rows of the sentinels when it was asked */
	uint32_t found[SENTINELS]; /* how often each came */
	bool named;                /* the sentinels' metric was among the texts */
};
struct actor {
	pthread_t thread;
	struct life *life;
	unsigned no;
	uint64_t rng;
	uint64_t done;        /* requests, queries */
	uint64_t failed, bad; /* answers that are errors, or wrong */
	uint64_t busy;        /* refused for now */
	char first[200];      /* what was wrong first */
	struct answer answer; /* of the query under way */
};

/* ---- what both sides know ---- */

static uint32_t rnd(struct actor *a, uint32_t n)
{
	a->rng ^= a->rng << 13;
	a->rng ^= a->rng >> 7;
	a->rng ^= a->rng << 17;
	return (uint32_t)(a->rng >> 33) % n;
}

static bool stopped(const struct life *l)
{
	return __atomic_load_n(&l->stop, __ATOMIC_ACQUIRE);
}

static uint32_t acked(const struct life *l)
{
	return __atomic_load_n(&l->acked, __ATOMIC_ACQUIRE);
}

static void wrong(struct actor *a, const char *what, double x, double y)
{
	if (!a->bad++)
		snprintf(a->first, sizeof(a->first), "%.120s: %.17g, %.17g", what, x, y);
}

/* Of the series `no` of a metric, whose name's first letter tells them apart. */
static double value_of(char metric, uint32_t no, int64_t t_ms)
{
	uint64_t x = (uint64_t)t_ms * 2654435761u + no * 40503u + (uint64_t)metric;
	return (double)(x % 1000003u);
}

static struct labels name_of(struct arena *a, const char *metric, uint32_t no)
{
	char text[16];
	snprintf(text, sizeof(text), "%u", no);
	return label_make(a, "__name__", metric, "no", text, "job", "stress", NULL);
}

static void put_label(struct buf *b, const char *name, const char *value)
{
	size_t n = strlen(name), v = strlen(value);
	buf_add_u8(b, 0x0a);
	wire_put_varint(b, 4 + n + v);
	buf_add_u8(b, 0x0a);
	wire_put_lenbytes(b, name, n);
	buf_add_u8(b, 0x12);
	wire_put_lenbytes(b, value, v);
}

/* Not sorted, and one without a value: the store has to make them canonical. */
static struct labels odd_name_of(struct arena *a, uint32_t no)
{
	char text[16];
	struct buf b;
	buf_init(&b);
	snprintf(text, sizeof(text), "%u", no);
	put_label(&b, "no", text);
	put_label(&b, "empty", "");
	put_label(&b, "job", "stress");
	put_label(&b, "__name__", "odd");
	struct labels ls = { .bytes = arena_dup(a, b.data, b.len), .len = (uint32_t)b.len };
	buf_release(&b);
	return ls;
}

/* ---- writing ---- */

struct request {
	struct sink_req req;
	struct batch batch;
	struct arena arena;
	struct sink *sink;
	sem_t done;
	uint64_t refused; /* rows that must be */
};

static void request_done(struct sink_req *req)
{
	sem_post(&CONTAINER_OF(req, struct request, req)->done);
}

static void request_begin(void *arg)
{
	struct request *r = arg;
	sink_append(r->sink, &r->req);
}

static void request_init(struct request *r, struct life *l)
{
	*r = (struct request){ .sink = store_sink(l->s.store), .req.done = request_done };
	r->req.batch = &r->batch;
	batch_init(&r->batch);
	arena_init(&r->arena, 1 << 16);
	sem_init(&r->done, 0, 0);
}

static void request_release(struct request *r)
{
	batch_release(&r->batch);
	arena_release(&r->arena);
	sem_destroy(&r->done);
}

static void add(struct request *r, struct labels ls, char metric, uint32_t no, int64_t t_ms)
{
	*batch_add(&r->batch) = (struct batch_row){ .labels = ls.bytes,
		.labels_len = ls.len,
		.t_ms = t_ms,
		.v = value_of(metric, no, t_ms) };
}

static void add_histogram(struct request *r, uint32_t no)
{
	struct labels ls = name_of(&r->arena, "histogram", no);
	static const struct batch_extra bad = { .bad = "no histogram at all" };
	*batch_add(&r->batch) = (struct batch_row){
		.labels = ls.bytes, .labels_len = ls.len, .flags = BATCH_EXTRA, .extra = &bad
	};
	r->refused++;
}

static void add_meta(struct request *r, uint32_t no)
{
	struct batch_meta m = { .family = arena_printf(&r->arena, "family_%u", no % 300),
		.help = arena_printf(&r->arena, "text %u", no),
		.type = 1 };
	m.family_len = (uint32_t)strlen(m.family);
	m.help_len = (uint32_t)strlen(m.help);
	*batch_add_meta(&r->batch) = m;
}

/* True when it was stored. */
static bool request_send(struct actor *a, struct request *r)
{
	struct life *l = a->life;
	testteam_run(&l->s.tt, rnd(a, l->loops), request_begin, r);
	while (sem_wait(&r->done)) {
	}
	a->done++;
	if (r->req.err == ERR_BUSY) {
		a->busy++;
		return false;
	}
	if (r->req.err) {
		a->failed++;
		snprintf(a->first, sizeof(a->first), "write: %s", err_text(r->req.err));
		return false;
	}
	if (r->req.refused != r->refused)
		wrong(a, r->req.first_text, (double)r->req.refused, (double)r->refused);
	return true;
}

/* The sentinels' rows of one time, until they are stored; a repeat is harmless. */
static void sentinels_write(struct actor *a, int64_t t_ms)
{
	struct life *l = a->life;
	struct request r;
	request_init(&r, l);
	for (uint32_t i = 0; i < SENTINELS; i++)
		add(&r, name_of(&r.arena, "sentinel", i), 's', i, t_ms);
	for (uint32_t i = rnd(a, 4); i; i--)
		add_histogram(&r, i);
	for (uint32_t i = rnd(a, 4); i; i--)
		add_meta(&r, rnd(a, 1000));
	while (!request_send(a, &r) && !a->failed)
		usleep(1000);
	request_release(&r);
}

static void *sentinel_main(void *arg)
{
	struct actor *a = arg;
	struct life *l = a->life;
	int64_t t_ms = 0;
	while (!stopped(l) && l->acked < TIMES_MAX && !a->failed) {
		int64_t now = clock_wall_ms();
		t_ms = now > t_ms ? now : t_ms + 1;
		__atomic_store_n(&l->times[l->acked], t_ms, __ATOMIC_RELAXED);
		sentinels_write(a, t_ms);
		if (!a->failed)
			__atomic_store_n(&l->acked, l->acked + 1, __ATOMIC_RELEASE);
		struct request r; /* one of which nothing is stored */
		request_init(&r, l);
		add_histogram(&r, 1);
		(void)request_send(a, &r);
		request_release(&r);
		usleep(500 + rnd(a, 10000));
	}
	return NULL;
}

/* A row of a series that is new, was there before, comes late, is odd, or comes twice. */
static void churn_row(struct actor *a, struct request *r, int64_t now_ms)
{
	struct life *l = a->life;
	static const char *const metrics[WRITERS] = { "sentinel", "alpha", "beta" };
	const char *metric = metrics[a->no];
	uint32_t made = l->made[a->no], no = made, kind = rnd(a, 100);
	if (kind < 5) {
		no = rnd(a, ODD_SERIES);
		add(r, odd_name_of(&r->arena, no), 'o', no, now_ms - BEHIND_MS - rnd(a, 1000));
		return;
	}
	if (kind < 60 || !made)
		l->made[a->no]++;
	else
		no = made - 1 - rnd(a, made < BACK ? made : BACK);
	struct labels ls = name_of(&r->arena, metric, no);
	int64_t t_ms = now_ms - BEHIND_MS;
	bool heard = acked(l) > HEARD;
	if (kind >= 70 && kind < 80 && heard)
		t_ms -= rnd(a, LATE_MS);
	add(r, ls, metric[0], no, t_ms);
	if (kind >= 95)
		add(r, ls, metric[0], no, t_ms);
}

static void *churn_main(void *arg)
{
	struct actor *a = arg;
	struct life *l = a->life;
	while (!stopped(l) && !a->failed) {
		struct request r;
		request_init(&r, l);
		for (uint32_t n = 1 + rnd(a, 600); n; n--)
			churn_row(a, &r, clock_wall_ms());
		(void)request_send(a, &r);
		request_release(&r);
		usleep(rnd(a, 20) ? 3000 : 200000);
	}
	return NULL;
}

/* ---- reading ---- */

struct ask { /* one cursor on one shard */
	struct job job;
	struct loop_deferred leave;
	struct source *source;
	unsigned shard;
	struct source_query query;
	struct source_cursor *cursor;
	uint32_t items, items_max; /* closed early behind so many */
	uint32_t waits, waits_max; /* ... or in a wait */
	bool whole;                /* read to its end */
	enum err err;
	char text[160];
	void (*fn)(struct actor *a, const struct source_item *it);
	struct actor *actor;
	sem_t done;
};
static void ask_woken(void *arg)
{
	job_wake(&((struct ask *)arg)->job);
}

/* At the end of the turn: the loop still has the job in its hands before. */
static void ask_leave(struct loop_deferred *d)
{
	sem_post(&CONTAINER_OF(d, struct ask, leave)->done);
}

static enum job_state ask_end(struct ask *k)
{
	if (k->cursor)
		k->cursor->ops->close(k->cursor);
	k->leave.fn = ask_leave;
	loop_defer(loop_here(), &k->leave);
	return JOB_DONE;
}

static enum job_state ask_slice(struct job *j)
{
	struct ask *k = CONTAINER_OF(j, struct ask, job);
	struct source_item it;
	if (!k->cursor)
		k->err = k->source->ops->open(k->source, k->shard, &k->query, &k->cursor);
	while (!k->err) {
		switch (k->cursor->ops->next(k->cursor, &it)) {
		case SOURCE_AGAIN:
			if (job_should_yield())
				return JOB_YIELD;
			break;
		case SOURCE_WAIT:
			if (k->waits++ == k->waits_max)
				return ask_end(k);
			return JOB_WAIT;
		case SOURCE_ERROR:
			k->err = k->cursor->err;
			snprintf(k->text, sizeof(k->text), "%.150s", k->cursor->eb.text);
			break;
		case SOURCE_END:
			k->whole = true;
			return ask_end(k);
		case SOURCE_READY:
			if (k->items++ == k->items_max)
				return ask_end(k);
			k->fn(k->actor, &it);
			if (job_should_yield())
				return JOB_YIELD;
			break;
		}
	}
	return ask_end(k);
}

static void ask_begin(void *arg)
{
	struct ask *k = arg;
	job_start(loop_here(), &k->job);
}

/* All shards, one after another. True when all were read to the end. */
static bool ask_all(struct actor *a, struct ask *k)
{
	struct storetest *s = &a->life->s;
	bool whole = true;
	k->source = store_source(s->store);
	k->actor = a;
	k->query.wake = ask_woken;
	k->query.wake_arg = k;
	for (k->shard = 0; k->shard < store_shards(s->store); k->shard++) {
		unsigned loop = loop_index(k->source->ops->loop_of(k->source, k->shard));
		k->cursor = NULL;
		k->items = k->waits = 0;
		k->whole = false;
		sem_init(&k->done, 0, 0);
		job_init(&k->job, JOB_QUERY, ask_slice);
		testteam_run(&s->tt, loop, ask_begin, k);
		while (sem_wait(&k->done)) {
		}
		sem_destroy(&k->done);
		if (k->err) {
			a->failed++;
			snprintf(
			    a->first, sizeof(a->first), "query: %s: %s", err_text(k->err), k->text);
			return false;
		}
		whole = whole && k->whole;
	}
	a->done++;
	return whole;
}

/* The metric's first letter and the series' number. */
static char series_of(struct labels ls, uint32_t *no)
{
	uint32_t len = 0, digits = 0;
	const char *metric = label_get(ls, "__name__", 8, &len);
	const char *text = label_get(ls, "no", 2, &digits);
	*no = 0;
	for (uint32_t i = 0; text && i < digits; i++)
		*no = *no * 10 + (uint32_t)(text[i] - '0');
	return metric && len ? *metric : 0;
}

/* Acknowledged rows stand first in the column of a sentinel, in order, and none is missing. */
static void take_sentinel(struct actor *a, uint32_t no, const struct sample_column *col)
{
	const struct life *l = a->life;
	struct answer *w = &a->answer;
	if (no >= SENTINELS || w->found[no]++) {
		wrong(a, "a sentinel twice", no, 0);
		return;
	}
	if (col->count < w->acked)
		wrong(a, "samples of a sentinel are missing", col->count, w->acked);
	for (uint32_t k = 0; k < col->count && k < w->acked; k++) {
		int64_t t = __atomic_load_n(&l->times[k], __ATOMIC_RELAXED);
		if (col->t_ms[k] != t) {
			wrong(a, "a sample of a sentinel is missing", (double)col->t_ms[k],
			    (double)t);
			return;
		}
	}
}

static void take_samples(struct actor *a, const struct source_item *it)
{
	uint32_t no;
	char metric = series_of(it->labels, &no);
	const struct sample_column *c = &it->col;
	for (uint32_t k = 0; k < c->count; k++) {
		if (c->v[k] != value_of(metric, no, c->t_ms[k]))
			wrong(a, "a value of another series or time", c->v[k],
			    value_of(metric, no, c->t_ms[k]));
		if (k && c->t_ms[k] <= c->t_ms[k - 1])
			wrong(a, "times do not ascend", (double)c->t_ms[k], (double)c->t_ms[k - 1]);
	}
	if (metric == 's')
		take_sentinel(a, no, c);
}

static void take_series(struct actor *a, const struct source_item *it)
{
	uint32_t no;
	char metric = series_of(it->labels, &no);
	if (!metric || !strchr("sabo", metric))
		wrong(a, "a metric nobody has written", metric, no);
	if (metric == 's' && no < SENTINELS)
		a->answer.found[no]++;
}

static void take_text(struct actor *a, const struct source_item *it)
{
	if (it->text_len == 8 && !memcmp(it->text, "sentinel", 8))
		a->answer.named = true;
}

/* Asks for whole answers about samples and judges them; of = matchers, none: everything. */
static void ask_sentinels(struct actor *a, const struct matcher *ms, size_t count)
{
	int64_t now = clock_wall_ms();
	struct ask k = { .items_max = UINT32_MAX, .waits_max = UINT32_MAX, .fn = take_samples };
	k.query = (struct source_query){ .what = SOURCE_SERIES_SAMPLES,
		.t_min_ms = now - OOO_MS,
		.t_max_ms = now + HOUR_MS,
		.matchers = ms,
		.matchers_count = count };
	a->answer = (struct answer){ .acked = acked(a->life) };
	if (!ask_all(a, &k))
		return;
	for (uint32_t i = 0; i < SENTINELS; i++)
		if (a->answer.acked && a->answer.found[i] != 1)
			wrong(a, "a sentinel is missing", i, a->answer.found[i]);
}

/* Other kinds of questions; often given up on the way, also while the answer is with a worker. */
static void ask_any(struct actor *a, const struct matcher *ms, size_t count)
{
	static const enum source_what whats[] = { SOURCE_SERIES_SAMPLES, SOURCE_SERIES,
		SOURCE_LABEL_NAMES, SOURCE_LABEL_VALUES };
	enum source_what what = whats[rnd(a, 4)];
	int64_t now = clock_wall_ms(), from = now - rnd(a, OOO_MS);
	struct ask k = { .items_max = rnd(a, 2) ? UINT32_MAX : rnd(a, 500),
		.waits_max = rnd(a, 2) ? UINT32_MAX : rnd(a, 6) };
	k.fn = what == SOURCE_SERIES_SAMPLES ? take_samples
	    : what == SOURCE_SERIES          ? take_series
	                                     : take_text;
	k.query = (struct source_query){ .what = what,
		.t_min_ms = from,
		.t_max_ms = rnd(a, 2) ? now + HOUR_MS : from + rnd(a, HOUR_MS),
		.matchers = ms,
		.matchers_count = count,
		.label = rnd(a, 2) ? "no" : "__name__" };
	k.query.label_len = strlen(k.query.label);
	a->answer = (struct answer){ .acked = acked(a->life) };
	bool whole = ask_all(a, &k);
	if (whole && what == SOURCE_LABEL_VALUES && *k.query.label == '_' && !count &&
	    k.query.t_max_ms > now && a->answer.acked && !a->answer.named)
		wrong(a, "the sentinels' name is missing", 0, 0);
}

static void *reader_main(void *arg)
{
	struct actor *a = arg;
	struct errbuf eb;
	errbuf_init(&eb);
	struct matcher exact, some, not ;
	if (matcher_init(&exact, MATCHER_EQ, "__name__", 8, "sentinel", 8, &eb) ||
	    matcher_init(&some, MATCHER_RE, "no", 2, ".*7.?", 5, &eb) ||
	    matcher_init(&not, MATCHER_NRE, "__name__", 8, "al.*|o.*", 8, &eb)) {
		wrong(a, eb.text, 0, 0);
		return NULL;
	}
	while (!stopped(a->life) && !a->failed) {
		const struct matcher *ms[] = { &exact, &some, &not };
		uint32_t which = rnd(a, 4);
		if (rnd(a, 3) == 0)
			ask_sentinels(a, &exact, rnd(a, 4) ? 1 : 0);
		else
			ask_any(a, which < 3 ? ms[which] : NULL, which < 3);
		usleep(rnd(a, 3000));
	}
	matcher_release(&exact);
	matcher_release(&some);
	matcher_release(&not );
	return NULL;
}

/* ---- what an operator asks for ---- */

struct call {
	struct store *store;
	struct store_stats_req stats;
	struct store_meta_req meta;
	sem_t done;
};

static void stats_done(struct store_stats_req *r)
{
	sem_post(&CONTAINER_OF(r, struct call, stats)->done);
}

static void stats_begin(void *arg)
{
	struct call *c = arg;
	store_stats(c->store, &c->stats);
}

static void meta_done(struct store_meta_req *r)
{
	sem_post(&CONTAINER_OF(r, struct call, meta)->done);
}

static void meta_begin(void *arg)
{
	struct call *c = arg;
	static const uint32_t tenant = 0;
	c->meta.tenants = &tenant;
	c->meta.tenants_count = 1;
	store_meta(c->store, &c->meta);
}

static void call(struct actor *a, struct call *c, void (*begin)(void *arg))
{
	struct life *l = a->life;
	c->store = l->s.store;
	sem_init(&c->done, 0, 0);
	testteam_run(&l->s.tt, rnd(a, l->loops), begin, c);
	while (sem_wait(&c->done)) {
	}
	sem_destroy(&c->done);
	a->done++;
}

static void figures(struct actor *a)
{
	struct call c = { .stats = { .top = 20, .done = stats_done } };
	c.stats.stats = mem_zalloc(sizeof(*c.stats.stats));
	uint32_t before = acked(a->life);
	call(a, &c, stats_begin);
	if (before && c.stats.stats->series < SENTINELS)
		wrong(a, "too few series in the figures", (double)c.stats.stats->series, SENTINELS);
	mem_free(c.stats.stats);
	struct arena texts;
	arena_init(&texts, 4096);
	c = (struct call){ .meta = { .arena = &texts, .done = meta_done } };
	call(a, &c, meta_begin);
	for (size_t i = 0; i < c.meta.count; i++)
		if (c.meta.metas[i].family_len < 8)
			wrong(a, "a family nobody has written", c.meta.metas[i].family_len, 0);
	arena_release(&texts);
}

static void *operator_main(void *arg)
{
	struct actor *a = arg;
	while (!stopped(a->life) && !a->failed) {
		figures(a);
		if (rnd(a, 4) == 0 && storetest_flush(&a->life->s))
			a->failed++;
		usleep(rnd(a, 50000));
	}
	return NULL;
}

/* ---- lives ---- */

static void life_opts(struct life *l, const char *dir)
{
	storetest_init(&l->s, dir);
	struct store_opts *o = &l->s.opts;
	o->shards = 5;
	o->round_every_ms = 1;
	o->seal_every_ms = 20;
	o->retry_ms = 50;
	o->evict_idle_ms = IDLE_MS;
	o->ooo_window_ms = OOO_MS;
	o->retention_ms = RETAIN_MS;
	o->series_max = 5000000;
}

static void judge(const struct actor *a, const char *what)
{
	tap_ok(!a->bad && !a->failed, "%s: %llu done, %llu busy, %llu wrong, %llu failed %s", what,
	    (unsigned long long)a->done, (unsigned long long)a->busy, (unsigned long long)a->bad,
	    (unsigned long long)a->failed, a->first);
}

static void look(struct life *l, const char *what)
{
	struct actor a = { .life = l, .rng = l->seed + 99 };
	ask_sentinels(&a, NULL, 0);
	judge(&a, what);
}

static void all_together(struct life *l, unsigned seconds)
{
	static const struct {
		void *(*main)(void *arg);
		const char *what;
		unsigned no;
	} parts[] = { { sentinel_main, "sentinels", 0 }, { churn_main, "series that come and go", 1 },
		{ churn_main, "series that come and go", 2 }, { reader_main, "queries", 0 },
		{ reader_main, "queries", 1 }, { operator_main, "figures, metadata, flushes", 0 } };
	struct actor *actors = mem_zalloc(COUNT_OF(parts) * sizeof(*actors));
	for (unsigned i = 0; i < COUNT_OF(parts); i++) {
		struct actor *a = &actors[i];
		a->life = l;
		a->no = parts[i].no;
		a->rng = l->seed * 0x9e3779b97f4a7c15u + i + 1;
		CHECK(!pthread_create(&a->thread, NULL, parts[i].main, a));
	}
	for (uint64_t end = clock_real_mono_ns() + seconds * UINT64_C(1000000000);
	     clock_real_mono_ns() < end;)
		usleep(20000);
	__atomic_store_n(&l->stop, true, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < COUNT_OF(parts); i++) {
		CHECK(!pthread_join(actors[i].thread, NULL));
		judge(&actors[i], parts[i].what);
	}
	mem_free(actors);
}

static bool live(uint64_t seed, unsigned seconds)
{
	struct life *l = mem_zalloc(sizeof(*l));
	char *dir = testlib_tmpdir("stress");
	l->seed = seed;
	l->loops = 2 + seed % 2;
	life_opts(l, dir);
	bool open = tap_ok(!storetest_open(&l->s, l->loops), "life %llu, %u loops, %u s",
	    (unsigned long long)seed, l->loops, seconds);
	if (open) {
		all_together(l, seconds);
		look(l, "at the end");
		storetest_close(&l->s);
		l->loops = 1 + seed % 3;
		open = tap_ok(!storetest_open(&l->s, l->loops), "opens again");
	}
	if (open) {
		look(l, "after a restart");
		tap_ok(!storetest_flush(&l->s), "flush");
		look(l, "after a flush");
		storetest_close(&l->s);
	}
	testlib_rmtree(dir);
	free(dir);
	mem_free(l);
	return open;
}

static unsigned knob(const char *name, unsigned other)
{
	const char *s = getenv(name);
	return s ? (unsigned)strtoul(s, NULL, 10) : other;
}

int main(void)
{
	static const struct {
		enum metric_id id;
		const char *what;
	} happened[] = { { M_ROUNDS, "rounds" }, { M_SEALS, "merges" },
		{ M_FILES_RETIRED, "files past retention" },
		{ M_SERIES_EVICTED, "series that left memory" },
		{ M_SERIES_CREATED, "series made" } };
	uint64_t seed = knob("KYMO_SEED", 1), began_ns = clock_real_mono_ns();
	unsigned wanted = knob("KYMO_STRESS_S", 3), gone = 0;
	tap_note("KYMO_SEED=%llu KYMO_STRESS_S=%u", (unsigned long long)seed, wanted);
	while (gone < wanted && live(seed++, wanted - gone < LIFE_S ? wanted - gone : LIFE_S))
		gone = (unsigned)((clock_real_mono_ns() - began_ns) / 1000000000u);
	for (unsigned i = 0; i < COUNT_OF(happened); i++)
		tap_ok(metric_sum(happened[i].id) > 0, "%llu %s",
		    (unsigned long long)metric_sum(happened[i].id), happened[i].what);
	return tap_done();
}
