/*
 * Ids of one label set, under random histories: series fall silent, leave memory, come back under
 * new ids, while rounds, merges and retention run, and the process is stopped in order or killed.
 * Queries are open all the time, a few calls of next() at a time between everything else. Each
 * answer is compared with a plain model: rows acknowledged before the query began are there, once,
 * with their value; rows that came after may be; nothing else is.
 *
 * A life is one process: a child that opens the directory, goes on with the history and ends. The
 * model lies in memory that the children share. Half of the time goes to a directory on disk, half
 * to one on tmpfs; reads that do not wait are as the file system has them, never possible, or
 * possible at random.
 *
 * KYMO_IDS_S (10) seconds in all, KYMO_IDS_DIR one directory for all of it, KYMO_SEED.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "storage/back/back.h"
#include "storage/store_priv.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define FEW       12u  /* series that come and go; the first never sleeps */
#define CROWD     600u /* more of them: ids of one label set lie in different units of a file */
#define SERIES    (FEW + CROWD)
#define CELLS     3000u /* times kept of a series of the few */
#define CROWDED   160u  /* ... of the crowd */
#define VERSIONS  3u    /* values written to one time */
#define WALKS     5u    /* queries open at once */
#define MINUTE    INT64_C(60000)
#define T0        (INT64_C(1700000000000) / SAMPLE_RANGE_MS * SAMPLE_RANGE_MS)
#define WINDOW    (60 * MINUTE)
#define RETENTION (14 * 60 * MINUTE)
#define ANSWER_S  30u /* without an item or an end in so long, there is no answer */

struct version {
	double v;
	uint32_t seq; /* number of the write */
};
struct cell {
	int64_t t_ms;
	uint32_t count;
	struct version versions[VERSIONS]; /* oldest first */
};
struct line {             /* of one label set */
	int64_t floor_ms; /* times below were forgotten by the model */
	uint32_t count;
	bool silent;
};
struct model { /* shared by all lives of a history */
	int64_t now_ms;
	uint32_t seq;
	uint64_t rng;
	struct line lines[SERIES];
	struct cell few[FEW][CELLS];
	struct cell crowd[CROWD][CROWDED];
	/* what happened */
	uint64_t lives, writes, answers, evictions, cold;
	unsigned failures;
	char failure[500];
};

static struct model *model;
static struct arena arena;
static struct labels names[SERIES];
static struct storetest st;

static uint32_t rnd(uint32_t n)
{
	model->rng = hash_mix64(model->rng + UINT64_C(0x9e3779b97f4a7c15));
	return (uint32_t)(model->rng >> 33) % n;
}

static void failed(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void failed(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	if (!model->failures++)
		vsnprintf(model->failure, sizeof(model->failure), fmt, ap);
	va_end(ap);
}

/* ---- the model ---- */

static struct cell *cells_of(unsigned i, uint32_t *cap)
{
	*cap = i < FEW ? CELLS : CROWDED;
	return i < FEW ? model->few[i] : model->crowd[i - FEW];
}

/* The first cell at or after a time. */
static uint32_t place_of(unsigned i, int64_t t_ms)
{
	uint32_t cap, lo = 0, hi = model->lines[i].count;
	const struct cell *c = cells_of(i, &cap);
	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		if (c[mid].t_ms < t_ms)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/*
 * Notes a value that is about to be written; false: this time has had enough values, or was
 * forgotten.
 */
static bool note(unsigned i, int64_t t_ms, double v, uint32_t seq)
{
	struct line *l = &model->lines[i];
	uint32_t cap, at;
	struct cell *c = cells_of(i, &cap);
	if (t_ms < l->floor_ms)
		return false;
	if (l->count == cap) {
		l->floor_ms = c[cap / 4].t_ms;
		l->count -= cap / 4;
		memmove(c, c + cap / 4, l->count * sizeof(*c));
		if (t_ms < l->floor_ms)
			return false;
	}
	at = place_of(i, t_ms);
	if (at == l->count || c[at].t_ms != t_ms) {
		memmove(c + at + 1, c + at, (l->count++ - at) * sizeof(*c));
		c[at] = (struct cell){ .t_ms = t_ms };
	}
	if (c[at].count == VERSIONS)
		return false;
	c[at].versions[c[at].count++] = (struct version){ .v = v, .seq = seq };
	return true;
}

static bool is_required(const struct cell *c, uint32_t since)
{
	return c->versions[0].seq <= since && c->t_ms >= model->now_ms - RETENTION;
}

/* The newest value of before, or one that came after. */
static bool is_right(const struct cell *c, double v, uint32_t since)
{
	bool right = false;
	for (uint32_t k = 0; k < c->count; k++)
		if (c->versions[k].seq <= since)
			right = c->versions[k].v == v;
		else
			right |= c->versions[k].v == v;
	return right;
}

/* ---- queries ---- */

enum kind {
	ALL,
	OF_FEW,
	ONE,
	SOME,
	KINDS
};
struct walk {
	bool open, ended;
	struct source_query query;
	struct source_cursor *cursor;
	struct matcher matcher;
	enum kind kind;
	unsigned one;
	char text[16];
	uint32_t since; /* writes up to this one were acknowledged before */
	unsigned calls; /* in this turn */
	uint64_t moved_ns;
	bool seen[SERIES];
};
static struct walk walks[WALKS];

static bool is_asked(const struct walk *w, unsigned i)
{
	switch (w->kind) {
	case OF_FEW:
		return i < FEW;
	case ONE:
		return i == w->one;
	case SOME:
		return i < 5;
	case ALL:
	case KINDS:
		break;
	}
	return true;
}

static void column_check(const struct walk *w, unsigned i, const struct sample_column *col)
{
	uint32_t cap, at = place_of(i, w->query.t_min_ms), k = 0;
	const struct cell *c = cells_of(i, &cap);
	const struct line *l = &model->lines[i];
	for (; at < l->count && c[at].t_ms <= w->query.t_max_ms; at++) {
		while (k < col->count && col->t_ms[k] < l->floor_ms)
			k++;
		if (k < col->count && col->t_ms[k] < c[at].t_ms)
			break;
		bool there = k < col->count && col->t_ms[k] == c[at].t_ms;
		if (there && !is_right(&c[at], col->v[k], w->since))
			failed("series %u at %lld min: %.0f is not what was written", i,
			    (long long)((c[at].t_ms - T0) / MINUTE), col->v[k]);
		else if (!there && is_required(&c[at], w->since))
			failed(
			    "series %u at %lld min is missing (now %lld, write %u, query after %u, %u samples)",
			    i, (long long)((c[at].t_ms - T0) / MINUTE),
			    (long long)((model->now_ms - T0) / MINUTE), c[at].versions[0].seq,
			    w->since, col->count);
		k += there;
	}
	while (k < col->count && col->t_ms[k] < l->floor_ms)
		k++;
	if (k < col->count)
		failed("series %u at %lld min: a sample that nobody wrote, or twice", i,
		    (long long)((col->t_ms[k] - T0) / MINUTE));
}

static void item_check(struct walk *w, const struct source_item *it)
{
	const char *text = it->text;
	uint32_t len = (uint32_t)it->text_len;
	if (w->query.what != SOURCE_LABEL_VALUES)
		text = label_get(it->labels, "i", 1, &len);
	unsigned i = 0;
	for (uint32_t k = 0; text && k < len; k++)
		i = i * 10 + (unsigned)(text[k] - '0');
	if (!text || i >= SERIES || !is_asked(w, i)) {
		failed("not asked for: \"%.*s\", %u bytes of labels (kind %d, what %d)",
		    text ? (int)len : 0, text ? text : "", it->labels.len, w->kind,
		    (int)w->query.what);
		return;
	}
	if (w->seen[i])
		failed("series %u is given twice (kind %d, what %d)", i, w->kind, (int)w->query.what);
	w->seen[i] = true;
	if (w->query.what == SOURCE_SERIES_SAMPLES)
		column_check(w, i, &it->col);
}

static void end_check(const struct walk *w)
{
	for (unsigned i = 0; i < SERIES; i++) {
		uint32_t cap, at = place_of(i, w->query.t_min_ms);
		const struct cell *c = cells_of(i, &cap);
		if (w->seen[i] || !is_asked(w, i))
			continue;
		for (; at < model->lines[i].count && c[at].t_ms <= w->query.t_max_ms; at++)
			if (is_required(&c[at], w->since)) {
				failed(
				    "series %u is missing whole (kind %d, what %d, at %lld, now %lld)",
				    i, w->kind, (int)w->query.what,
				    (long long)((c[at].t_ms - T0) / MINUTE),
				    (long long)((model->now_ms - T0) / MINUTE));
				break;
			}
	}
	model->answers++;
}

static void no_wake(void *arg)
{
	(void)arg;
}

static void walk_turn(void *arg)
{
	struct walk *w = arg;
	struct source *src = store_source(st.store);
	struct source_item it;
	if (!w->cursor && src->ops->open(src, 0, &w->query, &w->cursor)) {
		failed("a cursor cannot be opened");
		w->ended = true;
		return;
	}
	while (w->calls-- && !w->ended) {
		enum source_state state = w->cursor->ops->next(w->cursor, &it);
		if (state == SOURCE_WAIT)
			return;
		w->moved_ns = clock_real_mono_ns();
		if (state == SOURCE_AGAIN)
			continue;
		if (state == SOURCE_READY) {
			item_check(w, &it);
			continue;
		}
		if (state == SOURCE_ERROR)
			failed("cursor: %s %s", err_text(w->cursor->err), w->cursor->eb.text);
		else if (w->cursor->warnings_count &&
		    /* a catalog in the making */
		    !strstr(w->cursor->warnings[0], "nothing is missing"))
			failed("cursor warns: %s", w->cursor->warnings[0]);
		else
			end_check(w);
		w->ended = true;
	}
}

static void walk_close_here(void *arg)
{
	struct walk *w = arg;
	if (w->cursor)
		w->cursor->ops->close(w->cursor);
}

static void walk_close(struct walk *w)
{
	testteam_run(&st.tt, 0, walk_close_here, w);
	if (w->query.matchers_count)
		matcher_release(&w->matcher);
	w->open = false;
}

static void walk_begin(struct walk *w, enum kind kind, enum source_what what)
{
	struct errbuf eb;
	errbuf_init(&eb);
	*w = (struct walk){ .open = true, .kind = kind, .one = rnd(FEW), .since = model->seq };
	w->moved_ns = clock_real_mono_ns();
	w->query = (struct source_query){ .what = what,
		.t_min_ms = T0 - MINUTE,
		.t_max_ms = model->now_ms + 300 * MINUTE,
		.label = "i",
		.label_len = 1,
		.wake = no_wake };
	if (rnd(3) == 0) { /* from a time that may cut anything in two */
		w->query.t_min_ms = model->now_ms - (int64_t)rnd(600) * MINUTE;
		w->query.t_max_ms = w->query.t_min_ms + (int64_t)rnd(600) * MINUTE;
	}
	if (what == SOURCE_SERIES_SAMPLES && w->query.t_min_ms < model->now_ms - RETENTION)
		w->query.t_min_ms = model->now_ms - RETENTION - 2 * SAMPLE_RANGE_MS;
	if (kind == ALL)
		return;
	const char *name = kind == OF_FEW ? "__name__" : "i";
	snprintf(w->text, sizeof(w->text),
	    kind == OF_FEW    ? "few"
	        : kind == ONE ? "%u"
	                      : "[0-4]",
	    w->one);
	if (matcher_init(&w->matcher, kind == SOME ? MATCHER_RE : MATCHER_EQ, name, strlen(name),
	        w->text, strlen(w->text), &eb))
		abort();
	w->query.matchers = &w->matcher;
	w->query.matchers_count = 1;
}

static void walk_some(struct walk *w, unsigned calls)
{
	w->calls = calls;
	testteam_run(&st.tt, 0, walk_turn, w);
	if (!w->ended && clock_real_mono_ns() - w->moved_ns > ANSWER_S * UINT64_C(1000000000)) {
		failed("no answer (kind %d, what %d)", w->kind, (int)w->query.what);
		w->ended = true;
	}
	if (w->ended)
		walk_close(w);
}

static void walk_finish(struct walk *w)
{
	while (w->open) {
		walk_some(w, 1000);
		if (w->open)
			usleep(20);
	}
}

/* All open queries go on a little. */
static void walks_step(void)
{
	for (unsigned k = 0; k < WALKS; k++)
		if (walks[k].open && rnd(2))
			walk_some(&walks[k], 1 + rnd(rnd(4) ? 4 : 200));
	if (rnd(3) == 0)
		usleep(rnd(300));
}

/* ---- what happens meanwhile ---- */

static void pass(int64_t ms)
{
	model->now_ms += ms;
	clock_fake_advance(ms);
	team_clock_moved(st.tt.team);
}

struct request {
	struct storetest_row rows[SERIES];
	size_t count;
};
static struct request request;

static void put(unsigned i, int64_t t_ms)
{
	double v = (double)(rnd(4) ? model->seq + 1 : 7u); /* sevens: duplicates */
	if (request.count < SERIES && note(i, t_ms, v, model->seq + 1))
		request.rows[request.count++] =
		    (struct storetest_row){ .labels = names[i], .t_ms = t_ms, .v = v };
}

static void request_send(void)
{
	if (!request.count)
		return;
	struct storetest_verdict v = storetest_write(&st, 0, request.rows, request.count);
	if (v.err || v.refused)
		failed("a request is refused: %s, %llu rows: %s", err_text(v.err),
		    (unsigned long long)v.refused, v.text);
	model->seq++;
	model->writes++;
	request.count = 0;
}

/* A row of the one that never sleeps, and of the few that are in the mood. */
static void write_now(void)
{
	for (unsigned i = 0; i < FEW; i++) {
		struct line *l = &model->lines[i];
		if (i && rnd(12) == 0)
			l->silent = !l->silent;
		if (!i || (!l->silent && rnd(4)))
			put(i, model->now_ms);
	}
	request_send();
}

/* Late ones, overwrites and duplicates among them, also of series that left memory. */
static void write_late(void)
{
	for (unsigned n = 1 + rnd(6); n; n--) {
		unsigned i = 1 + rnd(FEW - 1);
		uint32_t cap, count = model->lines[i].count;
		const struct cell *c = cells_of(i, &cap);
		int64_t t = model->now_ms - (int64_t)rnd(55) * MINUTE - rnd(1000);
		if (count && rnd(2) && c[count - 1].t_ms > model->now_ms - 55 * MINUTE)
			t = c[count - 1].t_ms;
		put(i, t);
	}
	request_send();
}

/* Rows without labels belong to no series, in memory or not. */
static void write_nameless(void)
{
	struct storetest_row rows[2] = { { .labels = names[0], .t_ms = model->now_ms, .v = 7 },
		{ .t_ms = model->now_ms, .v = 666 } };
	if (!note(0, model->now_ms, 7, model->seq + 1))
		return;
	struct storetest_verdict v = storetest_write(&st, 0, rows, COUNT_OF(rows));
	if (v.stored != 1 || v.refused != 1 || v.reason != SINK_BAD_LABELS)
		failed("a row without labels: stored %llu, refused %llu, reason %d",
		    (unsigned long long)v.stored, (unsigned long long)v.refused, (int)v.reason);
	model->seq++;
}

static void write_crowd(void)
{
	unsigned every = 1 + rnd(3);
	for (unsigned i = FEW + rnd(every); i < SERIES; i += every)
		put(i, model->now_ms);
	request_send();
}

static unsigned rounds_asked, rounds_done;

static void background_done(void *arg, enum err err)
{
	if (err && err != ERR_STOPPING)
		failed("a round or merge fails: %s", err_text(err));
	++*(unsigned *)arg;
}

static void round_ask(void *arg)
{
	(void)arg;
	back_round(st.store->shards[0], true, background_done, &rounds_done);
}

static void merge_ask(void *arg)
{
	static unsigned merges;
	(void)arg;
	back_seal(st.store->shards[0], true, background_done, &merges);
}

static bool round_is_done(void *arg)
{
	(void)arg;
	return rounds_done == rounds_asked;
}

static void round_begin(void)
{
	testteam_run(&st.tt, 0, round_ask, NULL);
	rounds_asked++;
}

/* Queries go on while it runs. */
static void round_wait(void)
{
	uint64_t end_ns = clock_real_mono_ns() + ANSWER_S * UINT64_C(1000000000);
	while (!testteam_wait(&st.tt, 0, round_is_done, NULL, 0)) {
		walks_step();
		if (clock_real_mono_ns() > end_ns) {
			failed("a round does not end");
			return;
		}
	}
}

/* So long that silent series leave memory. */
static void silence(void)
{
	for (unsigned k = 0; k < 4; k++) {
		pass((22 + rnd(8)) * MINUTE);
		put(0, model->now_ms);
		if (rnd(2))
			put(1 + rnd(FEW - 1), model->now_ms);
		request_send();
		round_begin();
		walks_step();
		if (rnd(4) == 0)
			testteam_run(&st.tt, 0, merge_ask, NULL);
		round_wait();
	}
}

/* The catalog's writer has something else to do for a while: it follows the files late. */
struct nap {
	struct work_task task;
	unsigned us;
};

static void nap_run(struct work_task *t)
{
	usleep(CONTAINER_OF(t, struct nap, task)->us);
}

static void nap_done(struct work_task *t)
{
	mem_free(CONTAINER_OF(t, struct nap, task));
}

static void nap_begin(void *arg)
{
	struct nap *n = mem_zalloc(sizeof(*n));
	(void)arg;
	n->us = rnd(20000);
	n->task = (struct work_task){
		.run = nap_run, .done = nap_done, .lane = BACK_LANE_CATALOG, .prio = WORK_BACKGROUND
	};
	work_submit(st.tt.pool, &n->task);
}

static void walk_new(void)
{
	static const enum source_what whats[] = { SOURCE_SERIES_SAMPLES, SOURCE_SERIES_SAMPLES,
		SOURCE_SERIES_SAMPLES, SOURCE_SERIES, SOURCE_LABEL_VALUES };
	struct walk *w = &walks[rnd(WALKS)];
	if (!w->open)
		walk_begin(w, rnd(KINDS), whats[rnd(COUNT_OF(whats))]);
	else if (rnd(4) == 0)
		walk_close(w); /* the client has left */
	else if (rnd(4) == 0)
		walk_finish(w);
}

static void act(void)
{
	switch (rnd(12)) {
	case 0:
	case 1:
	case 2:
		pass((1 + rnd(4)) * MINUTE);
		write_now();
		break;
	case 3:
		if (rnd(8))
			write_late();
		else
			write_nameless();
		break;
	case 4:
		if (rnd(2))
			write_crowd();
		break;
	case 5:
		if (rnd(3))
			break;
		if (rnd(3) == 0)
			testteam_run(&st.tt, 0, nap_begin, NULL);
		silence();
		break;
	case 6:
		round_begin();
		break;
	case 7:
		testteam_run(&st.tt, 0, merge_ask, NULL);
		break;
	default:
		walk_new();
	}
	walks_step();
}

/* ---- lives ---- */

enum nowait {
	NOWAIT_REAL,
	NOWAIT_NEVER,
	NOWAIT_RANDOM,
	NOWAITS
};
static enum nowait nowait_mode;

static enum err nowait_read(struct fsio_file *f, void *data, size_t len, uint64_t off, bool nowait)
{
	static __thread uint32_t turn;
	if (nowait &&
	    (nowait_mode == NOWAIT_NEVER ||
	        (nowait_mode == NOWAIT_RANDOM && hash_mix64(off + turn++) % 3 == 0)))
		return ERR_AGAIN;
	return fsio_real.read_at(f, data, len, off, nowait);
}

static void query_now(enum source_what what)
{
	struct walk w;
	walk_begin(&w, ALL, what);
	walk_finish(&w);
}

static void life(const char *dir)
{
	struct fsio_ops ops = fsio_real;
	uint64_t evicted = metric_sum(M_SERIES_EVICTED), cold = metric_sum(M_COLD_READS);
	ops.read_at = nowait_read;
	fsio_hook(&ops);
	nowait_mode = rnd(NOWAITS);
	clock_fake(model->now_ms);
	storetest_init(&st, dir);
	st.opts.shards = 1;
	st.opts.retention_ms = RETENTION;
	st.opts.ooo_window_ms = WINDOW;
	if (storetest_open(&st, 1)) {
		failed("the store does not open");
		return;
	}
	query_now(SOURCE_SERIES_SAMPLES);
	query_now(SOURCE_SERIES);
	for (unsigned n = 20 + rnd(120); n && !model->failures; n--)
		act();
	bool orderly = rnd(2);
	for (unsigned k = 0; k < WALKS; k++)
		if (walks[k].open && rnd(2) && !model->failures)
			walk_finish(&walks[k]);
	model->lives++;
	model->evictions += metric_sum(M_SERIES_EVICTED) - evicted;
	model->cold += metric_sum(M_COLD_READS) - cold;
	if (!orderly || model->failures)
		_exit(0);
	for (unsigned k = 0; k < WALKS; k++)
		if (walks[k].open)
			walk_close(&walks[k]);
	storetest_close(&st);
}

static void history(const char *dir, uint64_t seed, uint64_t end_ns)
{
	memset(model, 0, sizeof(*model));
	model->rng = seed;
	model->now_ms = T0;
	for (unsigned i = 0; i < SERIES; i++)
		model->lines[i].floor_ms = INT64_MIN;
	do {
		fflush(stdout);
		pid_t pid = fork();
		int status;
		if (!pid) {
			life(dir);
			_exit(0);
		}
		if (waitpid(pid, &status, 0) != pid || status)
			failed("a life ends with status %d", status);
	} while (clock_real_mono_ns() < end_ns && !model->failures && model->lives < 40);
}

/* Histories in new directories below dir until the time is over. */
static void histories(const char *dir, uint64_t seed, double seconds)
{
	uint64_t end_ns = clock_real_mono_ns() + (uint64_t)(seconds * 1e9);
	uint64_t lives = 0, writes = 0, answers = 0, evictions = 0, cold = 0;
	unsigned n = 0, failures = 0;
	do {
		char path[300];
		snprintf(path, sizeof(path), "%s/%u", dir, n++);
		history(path, hash_mix64(seed), end_ns);
		lives += model->lives;
		writes += model->writes;
		answers += model->answers;
		evictions += model->evictions;
		cold += model->cold;
		failures = model->failures;
		if (failures)
			tap_note("history of seed %llu, life %llu: %s", (unsigned long long)seed,
			    (unsigned long long)model->lives, model->failure);
		testlib_rmtree(path);
		seed++;
	} while (!failures && clock_real_mono_ns() < end_ns);
	tap_ok(!failures && answers,
	    "%s: %llu answers are those of the model (%u histories, %llu lives, %llu requests, %llu series left memory, %llu cold reads)",
	    dir, (unsigned long long)answers, n, (unsigned long long)lives,
	    (unsigned long long)writes, (unsigned long long)evictions, (unsigned long long)cold);
}

int main(void)
{
	const char *s = getenv("KYMO_IDS_S"), *only = getenv("KYMO_IDS_DIR"),
	           *text = getenv("KYMO_SEED");
	double seconds = s ? strtod(s, NULL) : 10;
	uint64_t seed = text ? strtoull(text, NULL, 10) : clock_real_mono_ns() % 1000000;
	struct stat sb;
	log_setup(getenv("KYMO_IDS_LOG") ? LOG_LEVEL_INFO : LOG_LEVEL_NONE, false);
	arena_init(&arena, 1 << 16);
	for (unsigned i = 0; i < SERIES; i++) {
		char no[16], pad[64];
		snprintf(no, sizeof(no), "%u", i);
		memset(pad, 'x', sizeof(pad));
		pad[1 + i % 60] = 0;
		names[i] = label_make(
		    &arena, "__name__", i < FEW ? "few" : "crowd", "i", no, "pad", pad, NULL);
	}
	model = mmap(NULL, sizeof(*model), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (model == MAP_FAILED)
		return 99;
	if (only) {
		histories(only, seed, seconds);
		return tap_done();
	}
	char *dir = testlib_tmpdir("ids");
	histories(dir, seed, seconds / 2);
	testlib_rmtree(dir);
	free(dir);
	if (!stat("/dev/shm", &sb) && S_ISDIR(sb.st_mode) && !access("/dev/shm", W_OK)) {
		char path[64];
		snprintf(path, sizeof(path), "/dev/shm/kymo-ids.%u", (unsigned)getpid());
		mkdir(path, 0700);
		histories(path, seed, seconds / 2);
		testlib_rmtree(path);
	} else {
		tap_skip("no tmpfs at /dev/shm");
	}
	return tap_done();
}
