/*
 * storage/read/searchread against a model that looks at everything: random series over some ranges
 * of time, in memory, in files only, under new ids, deleted; random searches. The best of what all
 * shards give must be the best of what there is.
 *
 * KYMO_SEARCHES (110) is how many are asked in each state of the store, KYMO_SEED (1414) chooses.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/metric.h"
#include "storage/back/back.h"
#include "storage/read/searchread.h"
#include "storage/store_priv.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define SERIES 2400u
#define RANGES 8u /* of two hours */
#define ASKED  110u
#define MINUTE INT64_C(60000)
#define T0     (INT64_C(1700000000000) / SAMPLE_RANGE_MS * SAMPLE_RANGE_MS)
#define TEXTS  (SERIES * 12)

static struct arena arena;
static struct storetest st;
static struct labels names[SERIES];
static bool has[SERIES][RANGES];
static unsigned range_now;
static uint64_t state = 1414, asked_max = 110;
static bool all_well = true;

static uint64_t rnd(uint64_t below)
{
	return hash_mix64(++state) % below;
}

/* ---- series ---- */

static void set(struct label_builder *b, const char *name, const char *value)
{
	name = arena_strndup(&arena, name, strlen(name)); /* the builder keeps what it is given */
	label_builder_set(
	    b, name, strlen(name), arena_strndup(&arena, value, strlen(value)), strlen(value));
}

static struct labels series_make(unsigned i)
{
	static const char *const odd[] = { "caf\xc3\xa9",
		"\xc3\x9c"
		"ber",
		"a b", "x\"y" };
	struct label_builder b;
	char name[160];
	label_builder_init(&b, &arena);
	snprintf(name, sizeof(name), "%s_metric_%02u_total", i % 3 ? "node" : "Http", i % 41);
	set(&b, LABEL_NAME, name);
	snprintf(name, sizeof(name), "job-%u", i % 5);
	set(&b, "job", name);
	snprintf(name, sizeof(name), "pod-%05u-%c", i * 7919u % 100000, 'a' + i % 26);
	set(&b, "pod", name);
	if (i % 4 == 0) {
		/* alike beyond what counts */
		snprintf(name, sizeof(name), "%0110u/%u", 7u, i / 40);
		set(&b, "path", name);
	}
	if (i % 7 == 0)
		set(&b, "odd", odd[i % 4]);
	/* few, so that names are walked where a third is chosen; some of those have none */
	snprintf(name, sizeof(name), "own_label_%u", i % 12);
	set(&b, name, "here");
	return label_builder_done(&b);
}

/* ---- what there is ---- */

struct text {
	const char *s;
	size_t len;
	double score;
	/* one of its series has a sample in the range; else: before it, and behind it */
	bool must;
};
struct asked {
	struct source_query q;
	struct source_find find;
	struct fuzzy fuzzy;
	unsigned from, to; /* ranges, both ends inclusive */
	struct matcher ms[2];
	char terms[2][64];
};
static struct text there[TEXTS];
static size_t there_count;
static enum pick_order order_now;

static int text_cmp(const struct text *a, const struct text *b)
{
	if (order_now == PICK_SCORE && a->score != b->score)
		return a->score > b->score ? -1 : 1;
	size_t n = a->len < b->len ? a->len : b->len;
	int c = memcmp(a->s, b->s, n);
	c = c ? c : (a->len > b->len) - (a->len < b->len);
	return order_now == PICK_TEXT_DOWN ? -c : c;
}

static int by_order(const void *a, const void *b)
{
	return text_cmp(a, b);
}

static void there_add(
    const struct asked *a, struct fuzzy_scratch *x, const char *s, size_t len, bool must)
{
	struct text t = { .s = s, .len = len, .must = must };
	if (!fuzzy_score(&a->fuzzy, x, s, len, &t.score))
		return;
	if (there_count == TEXTS)
		exit(99);
	there[there_count++] = t;
}

static bool merged; /* files may be as wide as all ranges */

/* Has it samples in the range; or only on both sides of it, which memory cannot tell from that? */
static bool counts(const struct asked *a, unsigned i, bool *must)
{
	bool before = false, behind = false;
	*must = false;
	for (unsigned r = 0; r < RANGES; r++) {
		*must |= has[i][r] && r >= a->from && r <= a->to;
		before |= has[i][r] && (r <= a->to || merged);
		behind |= has[i][r] && (r >= a->from || merged);
	}
	return before && behind &&
	    matcher_labels(a->q.matchers, a->q.matchers_count, names[i]) == REX_YES;
}

/* All there is, in order, into `there`. */
static void look_at_all(const struct asked *a)
{
	struct fuzzy_scratch x;
	size_t kept = 0;
	fuzzy_scratch_init(&x);
	there_count = 0;
	for (unsigned i = 0; i < SERIES; i++) {
		struct label_iter it = label_iter(names[i]);
		struct label l;
		bool must;
		if (!counts(a, i, &must))
			continue;
		while (label_next(&it, &l)) {
			bool value = a->q.what == SOURCE_LABEL_VALUES;
			if (value &&
			    (l.name_len != a->q.label_len ||
			        memcmp(l.name, a->q.label, l.name_len) != 0))
				continue;
			there_add(a, &x, value ? l.value : l.name, value ? l.value_len : l.name_len,
			    must);
		}
	}
	fuzzy_scratch_release(&x);
	order_now = a->find.order;
	qsort(there, there_count, sizeof(*there), by_order);
	for (size_t i = 0; i < there_count; i++) {
		if (kept && !text_cmp(&there[kept - 1], &there[i]))
			there[kept - 1].must |= there[i].must;
		else
			there[kept++] = there[i];
	}
	there_count = kept;
}

/* ---- what is found ---- */

struct finding {
	const struct asked *a;
	struct pick pick;
	struct fuzzy_scratch x;
	size_t given;
};

static void take(void *arg, struct labels ls, const struct sample_column *col)
{
	struct finding *f = arg;
	double score;
	(void)col;
	f->given++;
	if (fuzzy_score(&f->a->fuzzy, &f->x, (const char *)ls.bytes, ls.len, &score) &&
	    pick_wants(&f->pick, (const char *)ls.bytes, ls.len, score))
		pick_put(&f->pick, (const char *)ls.bytes, ls.len, score);
}

static size_t most_given, found_count; /* of one search */

static bool is_text(const struct text *t, const struct pick_item *x)
{
	return t->len == x->len && !memcmp(t->s, x->text, x->len) && t->score == x->score;
}

/* From the last one to the first: what is passed over need not be there. */
static bool is_best(struct pick *p, size_t max)
{
	size_t at = there_count;
	bool full = p->count == max, right = p->count <= max;
	for (struct pick_item *x; (x = pick_pop(p)); full = false) {
		while (at && !is_text(&there[at - 1], x)) {
			right &= full || !there[at - 1].must;
			at--;
		}
		right &= at > 0;
		at -= at > 0;
		mem_free(x);
	}
	while (at--)
		right &= !there[at].must;
	return right;
}

static bool found_rightly(struct asked *a)
{
	struct finding f = { .a = a };
	bool right = true;
	look_at_all(a);
	pick_init(&f.pick, a->find.order, a->find.max, 5);
	fuzzy_scratch_init(&f.x);
	a->q.found = rnd(2) ? &f.pick : NULL;
	right &= !storetest_ask(&st, &a->q, take, &f);
	right &= f.given <= (a->q.found ? 0 : 3 * a->find.max);
	most_given = f.given > most_given ? f.given : most_given;
	found_count = f.pick.count;
	right &= is_best(&f.pick, a->find.max);
	pick_release(&f.pick);
	fuzzy_scratch_release(&f.x);
	return right;
}

/* ---- searches ---- */

static void matcher_make(struct asked *a, enum matcher_type type, const char *name, const char *value)
{
	struct errbuf eb;
	errbuf_init(&eb);
	if (matcher_init(&a->ms[a->q.matchers_count++], type, name, (uint32_t)strlen(name), value,
	        (uint32_t)strlen(value), &eb))
		exit(99);
}

static void matchers_choose(struct asked *a)
{
	a->q.matchers = a->ms;
	switch (rnd(11)) {
	case 0:
	case 1:
		break;
	case 2:
		matcher_make(a, MATCHER_EQ, LABEL_NAME, "node_metric_07_total");
		break;
	case 3:
		matcher_make(a, MATCHER_EQ, LABEL_NAME, "Http_metric_03_total");
		matcher_make(a, MATCHER_EQ, "job", "job-3");
		break;
	case 4:
		matcher_make(a, MATCHER_RE, LABEL_NAME, "node_.+");
		break;
	case 5:
		matcher_make(a, MATCHER_EQ, "job", "job-1");
		break;
	case 6:
		matcher_make(a, MATCHER_NE, "odd", "");
		break;
	case 7:
		matcher_make(a, MATCHER_RE, "pod", "pod-0.*");
		matcher_make(a, MATCHER_NRE, "job", "job-[01]");
		break;
	case 8:
		matcher_make(a, MATCHER_EQ, "job", "no such job");
		break;
	case 9:
		matcher_make(a, MATCHER_RE, "pod", ".+[0-4]..[05]-.*[a-m]");
		matcher_make(a, MATCHER_NRE, LABEL_NAME, ".*_1._.+|Http.+");
		break;
	case 10:
		matcher_make(a, MATCHER_NRE, "odd", "a.+|.*x.*");
		break;
	}
}

static void terms_choose(struct asked *a)
{
	static const char *const some[] = { "node", "pod-1", "POD-0", "metric_1", "otal", "mtrc",
		"job", "own_label_3", "zzz", "\xc3\x9c", "caf", "http_mteric_04", "00000", "lab3",
		"p", "nod_metrc_11" };
	unsigned count = (unsigned)rnd(3);
	enum fuzzy_alg alg = rnd(2) ? FUZZY_SUBSEQUENCE : FUZZY_JARO_WINKLER;
	static const double thresholds[] = { 0, 0, 0.5, 0.8, 1 };
	fuzzy_init(&a->fuzzy, alg, thresholds[rnd(5)], rnd(3) == 0);
	for (unsigned i = 0; i < count; i++) {
		const char *term = some[rnd(sizeof(some) / sizeof(*some))];
		if (!fuzzy_add(&a->fuzzy, &arena, term, strlen(term)))
			exit(99);
	}
}

static void asked_make(struct asked *a)
{
	static const char *const labels[] = { LABEL_NAME, "pod", "job", "path", "odd", "none" };
	static const size_t sizes[] = { 1, 5, 30, 101, 5000 };
	*a = (struct asked){ 0 };
	a->q.what = rnd(3) ? SOURCE_LABEL_VALUES : SOURCE_LABEL_NAMES;
	if (a->q.what == SOURCE_LABEL_VALUES) {
		a->q.label = labels[rnd(sizeof(labels) / sizeof(*labels))];
		a->q.label_len = strlen(a->q.label);
	}
	a->from = (unsigned)rnd(range_now + 1);
	a->to = a->from + (unsigned)rnd(range_now + 1 - a->from);
	if (rnd(3) == 0)
		a->from = a->to = range_now;
	a->q.t_min_ms = T0 + (int64_t)a->from * SAMPLE_RANGE_MS;
	a->q.t_max_ms = T0 + (int64_t)(a->to + 1) * SAMPLE_RANGE_MS - 1;
	matchers_choose(a);
	terms_choose(a);
	a->find = (struct source_find){ .fuzzy = &a->fuzzy,
		.order = (enum pick_order)rnd(3),
		.max = sizes[rnd(sizeof(sizes) / sizeof(*sizes))] };
	a->q.find = &a->find;
}

static void asked_end(struct asked *a)
{
	for (size_t i = 0; i < a->q.matchers_count; i++)
		matcher_release(&a->ms[i]);
}

static uint64_t inactive(void)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < 3; i++)
		sum += st.store->shards[i]->inactive;
	return sum;
}

static void searches(const char *when)
{
	unsigned wrong = 0, some = 0;
	most_given = 0;
	for (unsigned i = 0; i < asked_max; i++) {
		struct asked a;
		asked_make(&a);
		bool right = found_rightly(&a);
		some += found_count > 0;
		if (!right && !wrong++)
			tap_note(
			    "search %u: %s %s, ranges %u-%u, %zu matchers, %zu terms, order %d, max %zu",
			    i, a.q.what == SOURCE_LABEL_VALUES ? "values of" : "names",
			    a.q.label ? a.q.label : "", a.from, a.to, a.q.matchers_count,
			    a.fuzzy.count, (int)a.find.order, a.find.max);
		asked_end(&a);
	}
	tap_ok(!wrong && some > asked_max / 5 && all_well,
	    "%s: %u of %u searches are wrong; %u find something, one was given %zu texts; %llu series are in files only",
	    when, wrong, (unsigned)asked_max, some, most_given, (unsigned long long)inactive());
}

/* ---- writes ---- */

static void write_some(unsigned step, unsigned first)
{
	static struct storetest_row rows[SERIES];
	unsigned n = 0;
	for (unsigned i = first; i < SERIES; i += step) {
		rows[n++] = (struct storetest_row){ .labels = names[i],
			.t_ms = T0 + (int64_t)range_now * SAMPLE_RANGE_MS + 50 * MINUTE,
			.v = i };
		has[i][range_now] = true;
	}
	struct storetest_verdict v = storetest_write(&st, 0, rows, n);
	all_well &= !v.err && !v.refused;
}

static bool is_drained(void *arg)
{
	const struct shard *sh = arg;
	const struct back *b = back_of(sh);
	return list_empty(&b->feed) && !round_busy(b);
}

static void flush(void)
{
	all_well &= !storetest_flush(&st);
	for (unsigned i = 0; i < 3; i++)
		all_well &=
		    testteam_wait(&st.tt, i % 2, is_drained, st.store->shards[i], TESTTEAM_LONG_MS);
}

/* To the next range; who is silent meanwhile leaves memory. */
static void next_range(void)
{
	range_now++;
	for (unsigned k = 0; k < 4; k++) {
		storetest_advance(&st, SAMPLE_RANGE_MS / 4);
		flush();
	}
}

static void deleted(const char *name, const char *value, unsigned from, unsigned to, bool all)
{
	struct matcher m;
	struct errbuf eb;
	errbuf_init(&eb);
	if (matcher_init(
	        &m, MATCHER_EQ, name, (uint32_t)strlen(name), value, (uint32_t)strlen(value), &eb))
		exit(99);
	int64_t t_min = all ? INT64_MIN : T0 + (int64_t)from * SAMPLE_RANGE_MS;
	int64_t t_max = all ? INT64_MAX : T0 + (int64_t)(to + 1) * SAMPLE_RANGE_MS - 1;
	all_well &= !storetest_delete(&st, &m, 1, t_min, t_max);
	for (unsigned i = 0; i < SERIES; i++)
		for (unsigned r = from; r <= to; r++)
			has[i][r] &= matcher_labels(&m, 1, names[i]) != REX_YES;
	matcher_release(&m);
}

/* ---- what comes while it looks, and what is left of it at its end ---- */

#define LATE 60u

struct comer {
	struct source_query q;
	struct source_cursor *c;
	struct source *source;
	unsigned shard;
	size_t given;
	uint64_t most, left; /* memory told */
	bool failed, over;
};

/* The first call chooses series. */
static void late_begin(void *arg)
{
	struct comer *l = arg;
	struct source_item item = { .tenant = 0 };
	l->failed = l->source->ops->open(l->source, l->shard, &l->q, &l->c) != ERR_OK ||
	    l->c->ops->next(l->c, &item) != SOURCE_AGAIN;
}

static void late_go_on(void *arg)
{
	struct comer *l = arg;
	struct source_item item = { .tenant = 0 };
	enum source_state said = SOURCE_AGAIN;
	while (said == SOURCE_AGAIN || said == SOURCE_READY) {
		said = l->c->ops->next(l->c, &item);
		l->given += said == SOURCE_READY;
		l->most = l->c->memory > l->most ? l->c->memory : l->most;
	}
	l->over = said != SOURCE_WAIT;
	l->failed |= said == SOURCE_ERROR;
	l->left = l->c->memory;
}

static bool is_over(void *arg)
{
	struct comer *l = arg;
	if (!l->over)
		late_go_on(l);
	return l->over;
}

static void late_end(void *arg)
{
	struct comer *l = arg;
	if (l->c)
		l->c->ops->close(l->c);
}

static void late_write(void)
{
	struct storetest_row rows[LATE];
	for (unsigned i = 0; i < LATE; i++) {
		char value[32];
		snprintf(value, sizeof(value), "late-%u", i);
		rows[i] = (struct storetest_row){ .labels = label_make(&arena, LABEL_NAME, "late",
			                              "late", value, NULL),
			.t_ms = T0 + (int64_t)range_now * SAMPLE_RANGE_MS + 50 * MINUTE,
			.v = i };
	}
	struct storetest_verdict v = storetest_write(&st, 0, rows, LATE);
	all_well &= !v.err && !v.refused;
}

/* Chosen, and out of memory before the walk begins: the catalog alone knows of them. */
static void leaving(void)
{
	struct asked a = { 0 };
	struct comer each[6]; /* with and without a matcher */
	size_t given[2] = { 0 };
	bool well = true;
	write_some(1, 0);
	uint64_t left = inactive();
	fuzzy_init(&a.fuzzy, FUZZY_SUBSEQUENCE, 0, false);
	a.find = (struct source_find){ .fuzzy = &a.fuzzy, .max = 10000 };
	matcher_make(&a, MATCHER_EQ, "job", "job-1");
	for (unsigned i = 0; i < 6; i++) {
		each[i] = (struct comer){ .source = store_source(st.store), .shard = i % 3 };
		each[i].q = (struct source_query){ .what = SOURCE_LABEL_VALUES,
			.label = "pod",
			.label_len = 3,
			.tenants = &st.tenant,
			.tenants_count = 1,
			.t_min_ms = T0 + (int64_t)range_now * SAMPLE_RANGE_MS,
			.t_max_ms = T0 + (int64_t)(range_now + 1) * SAMPLE_RANGE_MS - 1,
			.matchers = a.ms,
			.matchers_count = i / 3,
			.find = &a.find };
		testteam_run(&st.tt, i % 3 % 2, late_begin, &each[i]);
	}
	next_range();
	write_some(SERIES, 0); /* by its time the others are idle */
	next_range();
	left = inactive() - left;
	for (unsigned i = 0; i < 6; i++) {
		well &= !each[i].failed &&
		    testteam_wait(&st.tt, i % 3 % 2, is_over, &each[i], TESTTEAM_LONG_MS);
		well &= !each[i].failed;
		testteam_run(&st.tt, i % 3 % 2, late_end, &each[i]);
		given[i / 3] += each[i].given;
	}
	matcher_release(&a.ms[0]);
	tap_ok(well && all_well && left > SERIES / 2 && given[0] == SERIES && given[1] == SERIES / 5,
	    "%llu series leave between choice and walk: %zu of %u values are found, %zu of %u of a job",
	    (unsigned long long)left, given[0], SERIES, given[1], SERIES / 5);
}

/* The matcher holds for all there are, not for those that come then. */
static void meanwhile(void)
{
	struct asked a = { 0 };
	struct comer each[3];
	size_t given = 0;
	uint64_t most = 0, left = 0;
	bool well = true;
	write_some(1, 0);
	fuzzy_init(&a.fuzzy, FUZZY_SUBSEQUENCE, 0, false);
	a.find = (struct source_find){ .fuzzy = &a.fuzzy, .max = 10000 };
	matcher_make(&a, MATCHER_EQ, "late", "");
	for (unsigned round = 0; round < 2; round++) {
		const char *label = round ? "pod" : "late";
		for (unsigned i = 0; i < 3; i++) {
			each[i] = (struct comer){ .source = store_source(st.store), .shard = i };
			each[i].q = (struct source_query){ .what = SOURCE_LABEL_VALUES,
				.label = label,
				.label_len = strlen(label),
				.tenants = &st.tenant,
				.tenants_count = 1,
				.t_min_ms = T0,
				.t_max_ms = T0 + (int64_t)(range_now + 1) * SAMPLE_RANGE_MS,
				.matchers = a.ms,
				.matchers_count = 1,
				.find = &a.find };
			testteam_run(&st.tt, i % 2, late_begin, &each[i]);
		}
		if (!round)
			late_write();
		for (unsigned i = 0; i < 3; i++) {
			well &= !each[i].failed &&
			    testteam_wait(&st.tt, i % 2, is_over, &each[i], TESTTEAM_LONG_MS);
			well &= !each[i].failed;
			testteam_run(&st.tt, i % 2, late_end, &each[i]);
			given += round ? 0 : each[i].given;
			most += each[i].most;
			left += each[i].left;
		}
	}
	matcher_release(&a.ms[0]);
	tap_ok(well && all_well && !given,
	    "%zu values are of series that came while it looked, of which the matcher does not hold",
	    given);
	tap_ok(most > 50000 && left < 1000, "of %llu bytes %llu are held behind its end",
	    (unsigned long long)most, (unsigned long long)left);
}

int main(void)
{
	char *dir = testlib_tmpdir("searchread");
	const char *text = getenv("KYMO_SEARCHES");
	asked_max = text ? strtoull(text, NULL, 10) : asked_max;
	text = getenv("KYMO_SEED");
	state = text ? strtoull(text, NULL, 10) : state;
	clock_fake(T0 + 55 * MINUTE);
	arena_init(&arena, 1 << 20);
	for (unsigned i = 0; i < SERIES; i++)
		names[i] = series_make(i);
	storetest_init(&st, dir);
	st.opts.shards = 3;
	st.opts.round_every_ms = 24 * 60 * MINUTE;
	st.opts.retention_ms = 100 * 24 * 60 * MINUTE;
	st.opts.ooo_window_ms = 60 * MINUTE;
	st.opts.seal_every_ms =
	    365 * 24 * 60 * MINUTE; /* files as wide as ranges, as the model has it */
	if (!tap_ok(!storetest_open(&st, 2), "opens"))
		return tap_done();
	write_some(1, 0);
	searches("in memory");
	flush();
	searches("in files, too");
	next_range();
	write_some(3, 0);
	searches("a third goes on");
	next_range();
	write_some(5, 1);
	next_range();
	write_some(7, 0);
	tap_ok(inactive() > SERIES / 3, "%llu series left memory", (unsigned long long)inactive());
	searches("most are in files only");
	write_some(2, 0);
	searches("some came back under new ids");
	leaving();
	write_some(2, 1);
	searches("more left, and half came back");
	storetest_close(&st);
	all_well &= !storetest_open(&st, 2);
	merged = true; /* a start looks what can be */
	searches("after a restart");
	deleted("job", "job-2", 0, range_now, true);
	searches("a job is gone");
	next_range();
	write_some(9, 1);
	searches("and more series come");
	deleted("odd", "a b", 0, 1, false);
	searches("parts of series are gone");
	all_well &= !storetest_clean(&st);
	searches("files are clean of them");
	meanwhile();
	storetest_close(&st);
	arena_release(&arena);
	testlib_rmtree(dir);
	free(dir);
	return tap_done();
}
