/*
 * Exemplars on their whole way: through requests, memory, log, rounds, merges, a kill and restarts.
 * Of each series the newest ones are found, each once, whatever left memory; what repeats a kept
 * one is not kept twice, what is older is refused, and a request tells how many; bad ones cost the
 * rest of a request nothing; tenants are apart.
 */
#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/metric.h"
#include "core/model/exemplar.h"
#include "core/model/limits.h"
#include "core/rt/job.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#define SERIES 5
#define KEPT   10u /* --storage.exemplars-per-series */
#define T0     (1750000000000LL - 1750000000000LL % (24 * 3600 * 1000LL))

static struct arena arena;
static struct labels names[SERIES];
static struct exemplar model[SERIES][KEPT];
static size_t model_count[SERIES];
static int64_t now_ms;                /* of the samples that come with them */
static struct storetest_verdict last; /* of put() */

/* ---- writing ---- */

struct put {
	struct labels series, own;
	int64_t t_ms;
	double v;
};

/* One request: a sample of each series, if asked for, and exemplars behind them. */
static bool put(struct storetest *s, bool samples, const struct put *puts, size_t count)
{
	struct batch b;
	batch_init(&b);
	for (unsigned i = 0; samples && i < SERIES; i++)
		*batch_add(&b) = (struct batch_row){
			.labels = names[i].bytes, .labels_len = names[i].len, .t_ms = now_ms, .v = i
		};
	for (size_t i = 0; i < count; i++)
		*batch_add_exemplar(&b) = (struct batch_exemplar){ .labels = puts[i].series.bytes,
			.labels_len = puts[i].series.len,
			.own = puts[i].own.bytes,
			.own_len = puts[i].own.len,
			.t_ms = puts[i].t_ms,
			.v = puts[i].v };
	b.series_count = count;
	last = storetest_send(s, 0, &b);
	bool good = !last.err && !last.refused && last.stored == b.rows_count &&
	    last.exemplars + last.exemplars_refused == count;
	batch_release(&b);
	return good;
}

static struct labels trace(unsigned n)
{
	char text[32];
	snprintf(text, sizeof text, "%08x", n * 2654435761u);
	return label_make(&arena, "trace_id", text, NULL);
}

static void model_add(unsigned i, const struct put *p)
{
	if (model_count[i] == KEPT)
		memmove(model[i], model[i] + 1, --model_count[i] * sizeof(model[i][0]));
	model[i][model_count[i]++] =
	    (struct exemplar){ .t_ms = p->t_ms, .v = p->v, .labels = p->own };
}

/* n more of each series, a second apart, with their samples. */
static bool put_some(struct storetest *s, unsigned n)
{
	static unsigned serial;
	struct put puts[SERIES * 32];
	size_t count = 0;
	now_ms += 60000;
	for (unsigned k = 0; k < n; k++) {
		for (unsigned i = 0; i < SERIES; i++) {
			puts[count] = (struct put){ .series = names[i],
				.own = serial % 7 ? trace(serial) : (struct labels){ .len = 0 },
				.t_ms = now_ms + k * 1000,
				.v = serial * 0.25 };
			serial++;
			model_add(i, &puts[count++]);
		}
	}
	return put(s, true, puts, count);
}

/* ---- reading ---- */

struct reading {
	struct job job;
	struct source *source;
	unsigned shard;
	struct source_query query;
	struct source_cursor *cursor;
	bool counts; /* nothing is compared with the model */
	size_t exemplars;
	unsigned found, wrong;
	unsigned warnings;
	enum err err;
	sem_t done;
};

static void woken(void *arg)
{
	struct reading *r = arg;
	job_wake(&r->job);
}

/* The model's in the range, exactly. */
static bool is_model(unsigned i, const struct source_item *it, int64_t from, int64_t to)
{
	size_t n = 0;
	for (size_t k = 0; k < model_count[i]; k++) {
		if (model[i][k].t_ms < from || model[i][k].t_ms > to)
			continue;
		if (n >= it->exemplars_count || !exemplar_same(&model[i][k], &it->exemplars[n]))
			return false;
		n++;
	}
	return n == it->exemplars_count;
}

static void look(struct reading *r, const struct source_item *it)
{
	r->exemplars += it->exemplars_count;
	if (r->counts)
		return;
	for (unsigned i = 0; i < SERIES; i++) {
		if (!label_equal(names[i], it->labels))
			continue;
		r->found++;
		if (is_model(i, it, r->query.t_min_ms, r->query.t_max_ms))
			return;
	}
	r->wrong++;
	for (size_t k = 0; k < it->exemplars_count; k++)
		tap_note("%lld %g", (long long)it->exemplars[k].t_ms, it->exemplars[k].v);
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
		if (st == SOURCE_AGAIN && job_should_yield())
			return JOB_YIELD;
		if (st == SOURCE_READY)
			look(r, &it);
		if (st == SOURCE_ERROR)
			r->err = r->cursor->err;
		if (st == SOURCE_END)
			break;
	}
	if (r->cursor) {
		r->warnings += r->cursor->warnings_count;
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

static void read_shard(struct storetest *s, struct reading *r, int64_t from, int64_t to)
{
	struct loop *l = r->source->ops->loop_of(r->source, r->shard);
	r->query = (struct source_query){ .what = SOURCE_EXEMPLARS,
		.t_min_ms = from,
		.t_max_ms = to,
		.tenants = &s->tenant,
		.tenants_count = 1,
		.wake = woken,
		.wake_arg = r };
	sem_init(&r->done, 0, 0);
	job_init(&r->job, JOB_QUERY, read_slice);
	testteam_run(&s->tt, loop_index(l), read_begin, r);
	while (sem_wait(&r->done)) {
	}
	testteam_run(&s->tt, loop_index(l), nothing, NULL);
	sem_destroy(&r->done);
}

/* How many series have some, all as in the model. UINT32_MAX: something is wrong. */
static unsigned read_all(struct storetest *s, int64_t from, int64_t to)
{
	struct source *src = store_source(s->store);
	unsigned found = 0, wrong = 0;
	for (unsigned shard = 0; shard < src->ops->shards(src); shard++) {
		struct reading r = { .source = src, .shard = shard };
		read_shard(s, &r, from, to);
		found += r.found;
		wrong += r.wrong + (r.err != 0) + r.warnings;
	}
	return wrong ? UINT32_MAX : found;
}

/* How many exemplars there are of all series. */
static size_t count_all(struct storetest *s)
{
	struct source *src = store_source(s->store);
	size_t n = 0;
	for (unsigned shard = 0; shard < src->ops->shards(src); shard++) {
		struct reading r = { .source = src, .shard = shard, .counts = true };
		read_shard(s, &r, T0 - 900 * 86400000ll, T0 + 900 * 86400000ll);
		n += r.err || r.warnings ? 1000 : r.exemplars;
	}
	return n;
}

static void same(struct storetest *s, const char *what)
{
	tap_is_u64(read_all(s, T0, T0 + 900 * 86400000ll), SERIES, "%s", what);
	int64_t from = model[0][3].t_ms, to = model[0][6].t_ms;
	tap_is_u64(read_all(s, from, to), SERIES, "%s, some of them", what);
}

/* ---- what is not kept ---- */

static unsigned kept(struct storetest *s, struct labels series, struct labels own, int64_t t, double v)
{
	uint64_t was = metric_sum(M_EXEMPLARS_STORED);
	struct put p = { .series = series, .own = own, .t_ms = t, .v = v };
	if (!put(s, false, &p, 1))
		return 99; /* no row is refused for one */
	return (unsigned)(metric_sum(M_EXEMPLARS_STORED) - was);
}

/* The last request had one exemplar: it was refused, and this says why. */
static void refused(const char *why)
{
	tap_ok(last.exemplars_refused == 1 && strstr(last.text, why), "it is refused: %s", why);
}

static struct labels long_own(unsigned runes)
{
	char text[4 * EXEMPLAR_RUNES + 8];
	unsigned n = 0;
	for (unsigned i = 1; i < runes; i++, n += 2)
		memcpy(text + n, "\xc3\xa9", 2);
	text[n] = 0;
	return label_make(&arena, "t", text, NULL);
}

static void refusals(struct storetest *s)
{
	const struct exemplar *e = &model[1][model_count[1] - 1];
	struct label_builder b;
	int64_t t = e->t_ms;
	uint64_t dup = metric_sum(M_EXEMPLARS_DUPLICATE),
	         old = metric_sum(M_EXEMPLARS_OUT_OF_ORDER), bad = metric_sum(M_EXEMPLARS_BAD),
	         unknown = metric_sum(M_EXEMPLARS_UNKNOWN), time = metric_sum(M_EXEMPLARS_TIME);
	tap_is_u64(kept(s, names[1], e->labels, t, e->v), 0, "the newest again is a duplicate");
	tap_is_u64(last.exemplars, 1, "which counts as written");
	const struct exemplar *second = &model[1][model_count[1] - 2];
	tap_is_u64(kept(s, names[1], second->labels, second->t_ms, second->v), 0,
	    "so is the one before it");
	tap_is_u64(last.exemplars, 1, "a request may be sent again");
	tap_is_u64(metric_sum(M_EXEMPLARS_DUPLICATE) - dup, 2, "and counted");
	tap_is_u64(kept(s, names[1], e->labels, t - 500, e->v), 0, "one before it is out of order");
	refused("exemplar out of order");
	tap_is_u64(kept(s, names[1], e->labels, t, e->v - 1), 0, "so is a lower value at its time");
	tap_is_u64(metric_sum(M_EXEMPLARS_OUT_OF_ORDER) - old, 2, "and counted");
	tap_is_u64(kept(s, names[1], long_own(EXEMPLAR_RUNES + 1), t + 1, 1), 0, "129 characters");
	tap_is_u64(kept(s, names[1], (struct labels){ (const uint8_t *)"\x0a\xff", 2 }, t + 1, 1),
	    0, "broken labels");
	refused("labels of an exemplar are bad");
	struct labels one = trace(1);
	uint8_t twice[64];
	memcpy(twice, one.bytes, one.len);
	memcpy(twice + one.len, one.bytes, one.len);
	tap_is_u64(kept(s, names[1], (struct labels){ twice, 2 * one.len }, t + 1, 1), 0,
	    "a name that comes twice");
	tap_is_u64(metric_sum(M_EXEMPLARS_BAD) - bad, 3, "bad ones are counted");
	label_builder_from(&b, &arena, names[1]);
	label_builder_set(&b, "another", 7, "one", 3);
	uint64_t series = store_series(s->store);
	tap_is_u64(
	    kept(s, label_builder_done(&b), one, t + 1, 1), 0, "of a series that nobody knows");
	refused("exemplar of a series that is not known");
	tap_is_u64(
	    kept(s, (struct labels){ (const uint8_t *)"\xff", 1 }, one, t + 1, 1), 0, "of none");
	tap_is_u64(metric_sum(M_EXEMPLARS_UNKNOWN) - unknown, 2, "counted");
	tap_is_u64(store_series(s->store), series, "no series is made for one");
	tap_is_u64(kept(s, names[1], one, 0, 1), 0, "without a time");
	tap_is_u64(kept(s, names[1], one, t + 86400000, 1), 0, "of tomorrow");
	refused("exemplar out of bounds");
	tap_is_u64(metric_sum(M_EXEMPLARS_TIME) - time, 2, "counted");
}

/* Of a request with some of both: counts, and the text is that of the first refused row. */
static void counts(struct storetest *s)
{
	const struct exemplar *e = &model[3][model_count[3] - 1];
	struct put some[] = {
		{ .series = names[3], .own = trace(77), .t_ms = e->t_ms - 1, .v = 1 },
		{ .series = names[3], .own = e->labels, .t_ms = e->t_ms, .v = e->v },
		{ .series = names[3], .own = trace(78), .t_ms = e->t_ms + 1, .v = 2 },
	};
	bool good = put(s, true, some, COUNT_OF(some));
	tap_ok(good && last.stored == SERIES, "all rows of a request with one bad exemplar");
	tap_is_u64(last.exemplars, 2, "two of its exemplars");
	refused("exemplar out of order");
	model_add(3, &some[2]);
}

/* Labels as no sender should send them find their series. */
static void odd_labels(struct storetest *s)
{
	struct label_iter it = label_iter(names[2]);
	struct label l;
	const uint8_t *first = it.p;
	CHECK(label_next(&it, &l));
	size_t one = (size_t)(it.p - first);
	uint8_t *odd = arena_alloc(&arena, names[2].len);
	memcpy(odd, first + one, names[2].len - one);
	memcpy(odd + (names[2].len - one), first, one);
	struct put p = { .series = { odd, names[2].len },
		.own = long_own(EXEMPLAR_RUNES),
		.t_ms = model[2][model_count[2] - 1].t_ms + 10,
		.v = 3 };
	uint64_t was = metric_sum(M_EXEMPLARS_STORED);
	tap_ok(put(s, false, &p, 1) && metric_sum(M_EXEMPLARS_STORED) == was + 1,
	    "series labels in another order, and 128 characters");
	model_add(2, &p);
}

/* ---- the whole ---- */

/* Another series goes on, so that ranges close. */
static void hours(struct storetest *s, unsigned n)
{
	struct labels other;
	storetest_names(&arena, "other", &other, 1);
	for (unsigned k = 0; k < 12 * n; k++) {
		struct storetest_row row = { .labels = other, .t_ms = now_ms += 300000, .v = k };
		storetest_write(s, 0, &row, 1);
		storetest_advance(s, 300000);
	}
}

/* As it is on disk now, nothing is told to stop. */
static void killed(struct storetest *s, const char *dir, unsigned loops, const char *what)
{
	char *copy = testlib_tmpdir("exemplars-killed");
	testlib_copy(dir, copy);
	storetest_close(s);
	testlib_rmtree(dir);
	testlib_copy(copy, dir);
	testlib_rmtree(copy);
	free(copy);
	tap_ok(!storetest_open(s, loops), "opens %s", what);
	same(s, what);
}

static void another_tenant(struct storetest *s)
{
	s->tenant = 7;
	tap_is_u64(read_all(s, T0, T0 + 900 * 86400000ll), 0, "another tenant sees none");
	tap_is_u64(kept(s, names[0], trace(9), now_ms, 1), 0, "and has no such series");
	s->tenant = 0;
}

/* All series leave memory; they come back under new ids. */
static void leave_and_return(struct storetest *s)
{
	uint64_t gone = metric_sum(M_SERIES_EVICTED);
	hours(s, 4);
	tap_ok(metric_sum(M_SERIES_EVICTED) - gone == SERIES, "they left memory");
	same(s, "of series that left");
	tap_ok(put_some(s, 4), "they return");
	same(s, "of series that came back");
	tap_ok(!storetest_flush(s), "flush");
	same(s, "all in files again");
}

/* A target shows the last exemplar of a bucket for hours: what retention keeps is taken. */
static void older_than_the_window(void)
{
	char *dir = testlib_tmpdir("exemplars-window");
	struct storetest s;
	struct labels series;
	storetest_names(&arena, "bucket", &series, 1);
	clock_fake(T0 + 60000);
	storetest_init(&s, dir);
	s.opts.ooo_window_ms = 60000;
	tap_ok(!storetest_open(&s, 2), "opens, with a window of a minute");
	struct storetest_row rows[] = { { .labels = series, .t_ms = T0 + 60000, .v = 1 },
		{ .labels = series, .t_ms = T0 - 3600000, .v = 1 } };
	tap_ok(storetest_write(&s, 0, &rows[0], 1).stored == 1, "a sample of now");
	tap_ok(storetest_write(&s, 0, &rows[1], 1).refused == 1, "one of an hour ago is too old");
	tap_is_u64(kept(&s, series, trace(1), T0 - 3600000, 1), 1, "an exemplar of then is taken");
	int64_t kept_ms = T0 + 60000 - s.opts.retention_ms;
	tap_is_u64(kept(&s, series, trace(2), kept_ms - 1000, 1), 0, "not one before retention");
	refused("exemplar out of bounds");
	storetest_close(&s);
	testlib_rmtree(dir);
	free(dir);
}

/*
 * A range is deleted in which the file has no samples of the series, one in which it has none at
 * all, but exemplars: they do not come back when the deletion has been tidied away.
 */
static void deleted_between_samples(void)
{
	char *dir = testlib_tmpdir("exemplars-deleted");
	struct storetest s;
	struct labels two[2];
	struct matcher m;
	struct errbuf eb;
	CHECK(!matcher_init(&m, MATCHER_EQ, LABEL_NAME, strlen(LABEL_NAME), "deleted", 7, &eb));
	storetest_names(&arena, "deleted", two, 2);
	now_ms = T0;
	clock_fake(T0 + 3600000);
	storetest_init(&s, dir);
	s.opts.shards = 1;
	tap_ok(!storetest_open(&s, 2), "opens");
	struct storetest_row rows[] = { { .labels = two[0], .t_ms = T0 + 3000000, .v = 1 },
		{ .labels = two[1], .t_ms = T0 + 1800000, .v = 1 },
		{ .labels = two[1], .t_ms = T0 + 3000000, .v = 1 } };
	tap_ok(storetest_write(&s, 0, rows, 3).stored == 3, "samples");
	tap_is_u64(
	    kept(&s, two[0], trace(1), T0 + 600000, 1), 1, "an exemplar older than all of them");
	tap_is_u64(kept(&s, two[0], trace(2), T0 + 1800000, 1), 1, "one at a time of another series");
	tap_is_u64(kept(&s, two[0], trace(3), T0 + 3000000, 1), 1, "one at the time of its sample");
	tap_ok(!storetest_flush(&s) && count_all(&s) == 3, "in a file");
	tap_ok(!storetest_delete(&s, &m, 1, T0 + 600000, T0 + 600000) && count_all(&s) == 2,
	    "the first is deleted");
	for (unsigned part = 0; part < 3; part++) {
		if (part == 1)
			tap_ok(!storetest_delete(&s, &m, 1, T0 + 1700000, T0 + 1900000) &&
			        count_all(&s) == 1,
			    "the second is deleted");
		if (part == 2)
			tap_ok(!storetest_clean(&s) && metric_sum(M_DELETED_LEFT) == 0,
			    "files are written anew: nothing is left of deletions");
		hours(&s, 1);
		tap_ok(!storetest_flush(&s), "a round");
		storetest_advance(&s, 3600000);
		storetest_advance(&s, 3600000);
		tap_is_u64(count_all(&s), part ? 1 : 2, "when they were looked at it is still gone");
		storetest_close(&s);
		CHECK(!storetest_open(&s, 2));
		tap_is_u64(count_all(&s), part ? 1 : 2, "after a restart, too");
	}
	storetest_close(&s);
	matcher_release(&m);
	testlib_rmtree(dir);
	free(dir);
}

int main(void)
{
	char *dir = testlib_tmpdir("exemplars");
	struct storetest s;
	arena_init(&arena, 1 << 16);
	storetest_names(&arena, "latency", names, SERIES);
	clock_fake(T0 + 60000);
	now_ms = T0;
	storetest_init(&s, dir);
	s.opts.shards = 3;
	s.opts.round_every_ms = 10 * 60 * 1000;
	if (!tap_ok(!storetest_open(&s, 2), "opens"))
		return tap_done();
	tap_is_u64(limits_here()->write_exemplars, KEPT, "so many of a series are kept");
	tap_ok(put_some(&s, 4), "some are taken");
	tap_is_u64(read_all(&s, T0, T0 + 86400000), SERIES, "and read");
	tap_ok(put_some(&s, 25), "more than a series may have");
	same(&s, "the newest ones");
	refusals(&s);
	odd_labels(&s);
	counts(&s);
	same(&s, "nothing of that changed anything");
	another_tenant(&s);
	killed(&s, dir, 1, "after a kill");
	tap_ok(!storetest_flush(&s), "flush");
	same(&s, "in memory and files");
	killed(&s, dir, 2, "after a kill behind a round");
	tap_ok(put_some(&s, 3), "three more");
	same(&s, "memory over files");
	tap_ok(!storetest_flush(&s) && put_some(&s, 2) && !storetest_flush(&s), "two more rounds");
	same(&s, "in several files");
	uint64_t gone = metric_sum(M_SERIES_EVICTED);
	hours(&s, 6);
	tap_ok(metric_sum(M_SERIES_EVICTED) - gone == SERIES, "all have left memory");
	tap_ok(metric_sum(M_SEALS) > 0, "files were merged");
	same(&s, "merged");
	storetest_close(&s);
	tap_ok(!storetest_open(&s, 1), "opens");
	same(&s, "after an orderly end");
	tap_ok(put_some(&s, 2), "two more after it");
	same(&s, "all of them");
	struct put alone = { .series = names[0], .own = trace(5), .t_ms = now_ms + 5000, .v = 8 };
	tap_ok(put(&s, false, &alone, 1), "one without samples");
	model_add(0, &alone);
	tap_ok(!storetest_flush(&s), "flush");
	alone.t_ms += 1000;
	tap_ok(put(&s, false, &alone, 1) && !storetest_flush(&s), "a round of exemplars alone");
	model_add(0, &alone);
	same(&s, "with it");
	killed(&s, dir, 2, "after a kill behind that");
	leave_and_return(&s);
	killed(&s, dir, 1, "at the end");
	storetest_close(&s);
	testlib_rmtree(dir);
	free(dir);
	older_than_the_window();
	deleted_between_samples();
	arena_release(&arena);
	return tap_done();
}
