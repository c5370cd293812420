/*
 * core/promql: what a query may take. Small texts that ask for much: bytes are counted below
 * malloc, work by the slices it takes when each look at the clock ends one.
 */
#include "core/base/metric.h"
#include "core/base/purse.h"
#include "core/promql/lang/ql_ast.h"
#include "core/promql/lang/ql_func.h"
#include "core/rt/job.h"
#include "tests/lib/qlrun.h"
#include "tests/lib/tap.h"
#include "tests/lib/testhist.h"
#include "tests/lib/testlib.h"

#include <malloc.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define T0  INT64_C(1700000000000)
#define MIB (1u << 20)

static _Atomic size_t live, peak, calls;

/*
 * While a purse is watched: what is taken beyond twice of what it counts. What the test's source
 * and messages take is small and has slack of its own.
 */
#define WATCH_SLACK ((size_t)768 << 10)
static struct purse *_Atomic watched;
static _Atomic size_t watched_from, uncounted;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
# define COUNTED 0
#else
# define COUNTED 1

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void __libc_free(void *p);

static void watch(size_t now)
{
	struct purse *p = watched;
	size_t from = watched_from;

	if (!p || now < from + WATCH_SLACK)
		return;
	size_t may = from + WATCH_SLACK + 2 * purse_used(p), was = uncounted;
	if (now > may && now - may > was)
		uncounted = now - may;
}

static void took(size_t bytes)
{
	calls++;
	size_t now = (live += bytes), was = peak;
	watch(now);
	while (now > was && !atomic_compare_exchange_weak(&peak, &was, now))
		;
}

static void *counted(void *p)
{
	took(p ? malloc_usable_size(p) : 0);
	return p;
}

/* Large blocks are maps of their own (core/base/block.h). */
void *mmap(void *at, size_t size, int prot, int flags, int fd, off_t off)
{
	void *p = (void *)syscall(SYS_mmap, at, size, prot, flags, fd, off);
	if (p != MAP_FAILED && fd < 0)
		took(size);
	return p;
}

int munmap(void *p, size_t size)
{
	live -= size;
	return (int)syscall(SYS_munmap, p, size);
}

void *malloc(size_t size)
{
	return counted(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
	return counted(__libc_calloc(count, size));
}

void *realloc(void *p, size_t size)
{
	if (p)
		live -= malloc_usable_size(p);
	return counted(__libc_realloc(p, size));
}

void free(void *p)
{
	if (p)
		live -= malloc_usable_size(p);
	__libc_free(p);
}
#endif

/* --- bytes --- */

static size_t peak_of(
    struct testteam *tt, struct memsrc *m, const char *q, const struct qlrun_opts *o, char **answer)
{
	size_t before = live;

	peak = before;
	*answer = qlrun(tt, memsrc_source(m), q, o);
	return peak - before;
}

#define LIMIT_MIB 8

static void stays_within(
    struct testteam *tt, struct memsrc *m, const char *q, int64_t step, const char *want)
{
	char *s;
	struct qlrun_opts o = {
		.start_ms = T0,
		.end_ms = T0 + (step ? 1000 : 0) * step,
		.step_ms = step,
		.max_bytes = LIMIT_MIB * MIB,
		.features.experimental_functions = true,
	};
	size_t took = peak_of(tt, m, q, &o, &s);

	if (!tap_ok((!COUNTED || took <= 2 * LIMIT_MIB * MIB) && strstr(s, want),
	        "%.60s: at most twice the limit of %d MiB, and \"%s\"", q, LIMIT_MIB, want))
		tap_note("took %zu KiB, got %.200s", took >> 10, s);
	free(s);
}

#define REFUSED "query needs an estimated"

static const struct {
	const char *q;
	int64_t step;
	const char *want;
} hungry[] = {
	{ "sum_over_time(vector(1)[490s:1ms])", 0, REFUSED },
	{ "sum_over_time(vector(1)[49000s:1ms])", 0, REFUSED },
	{ "sum_over_time(vector(1)[51000s:1ms])", 0, "would load too many samples" },
	{ "sum_over_time(vector(time())[100s:1ms])", 0, "{} " },
	{ "max_over_time(vector(time())[490s:1ms])", 0, REFUSED },
	{ "min_over_time(vector(time())[300s:1ms])", 1, REFUSED },
	{ "quantile_over_time(0.5, vector(time())[490s:1ms])", 0, REFUSED },
	{ "sum_over_time((vector(time())+vector(time())+vector(time())+vector(time()))[490s:1ms])",
	    0, REFUSED },
	{ "sum_over_time(vector(scalar(vector(time())))[490s:1ms])", 0, REFUSED },
	{ "sum_over_time(vector(time() + time())[490s:1ms])", 0, REFUSED },
	{ "sum_over_time(vector(-time())[490s:1ms])", 0, REFUSED },
	{ "sum_over_time(rate(x[5m])[490s:1ms])", 0, REFUSED },
	{ "sum_over_time(deriv(x[5m])[490s:1ms])", 0, REFUSED },
	{ "sum_over_time(x[890s:1ms])", 0, REFUSED },
	{ "vector(1)[890s:1ms]", 0, REFUSED },
	{ "sum_over_time(sum_over_time(x[1s:1s])[900s:1ms])", 0, REFUSED },
	{ "sum_over_time(minute()[490s:1ms])", 0, REFUSED },
	{ "count_values(\"v\", x * 0 + scalar(round(vector(time() * 1000)) % 2))", 1, "{v=\"1\"}" },
	{ "count_values without (v) (\"v\", x * 0 + scalar(round(vector(time() * 1000)) % 100))", 1,
	    "{id=\"7\"}" },
	{ "count_values(\"v\", x * 0 + scalar(round(vector(time() * 1000))))", 1, REFUSED },
	{ "(count(sin(cos(tan(many)))) + count(tan(sin(cos(many))))) or many", 1, REFUSED },
};

/* --- each function, and what its purse says while it runs --- */

static const struct way { /* arguments: range and instant vectors */
	const char *range, *instant;
} arguments[] = {
	{ "x[10m]", "x" },
	{ "many[5m:1s]", "many" },
	{ "h[10m]", "h" },
	{ "h[5m:1s]", "h" },
	{ "hm[30m]", "hm" },
	{ "{__name__=~\"h|hm\"}[5m:15s]", "{__name__=~\"h|hm\"}" },
};

static void add_argument(struct buf *b, enum ql_type t, const struct way *way, unsigned at)
{
	if (t == QL_SCALAR)
		buf_add_str(b, at ? "0.5" : "0.3");
	else if (t == QL_MATRIX)
		buf_add_str(b, way->range);
	else if (t == QL_STRING)
		buf_add_str(b, "\"id\"");
	else
		buf_add_str(b, way->instant);
}

static char *call_text(const struct ql_func *f, const struct way *way)
{
	struct buf b;
	size_t len;

	buf_init(&b);
	buf_printf(&b, "%s(", f->name);
	for (unsigned i = 0; i < f->args_count; i++) {
		buf_add_str(&b, i ? ", " : "");
		add_argument(&b, f->args[i], way, i);
	}
	buf_add_str(&b, ")");
	buf_add_u8(&b, 0);
	return (char *)buf_take(&b, &len);
}

static size_t peak_at_done;

/* The text of the answer is the test's own. */
static void stop_watching(struct ql *q)
{
	(void)q;
	watched = NULL;
	peak_at_done = peak;
}

/* Answered or refused: never more than twice the limit, never more than twice what was charged. */
static bool honest(struct testteam *tt, struct memsrc *m, const char *q, int64_t step, uint64_t max)
{
	struct purse p;
	char *s;
	struct qlrun_opts o = {
		.start_ms = T0,
		.end_ms = T0 + (step ? 300 : 0) * step,
		.step_ms = step,
		.purse = &p,
		.at_done = stop_watching,
		.features.experimental_functions = true,
	};

	purse_init(&p, max, NULL);
	uncounted = 0;
	watched_from = live;
	watched = &p;
	peak_at_done = 0;
	peak_of(tt, m, q, &o, &s);
	if (watched)
		stop_watching(NULL);
	size_t took = peak_at_done - watched_from;
	bool good = !COUNTED || (took <= 2 * max && !uncounted);
	if (!good)
		tap_note("%.80s: took %zu KiB of %llu, %zu KiB uncounted, %.120s", q, took >> 10,
		    (unsigned long long)max >> 10, (size_t)uncounted >> 10, s);
	purse_end(&p);
	free(s);
	return good;
}

static void each_function_is_honest(struct testteam *tt, struct memsrc *m)
{
	unsigned bad = 0, count = 0;

	for (unsigned f = 0; f < QL_FN_COUNT; f++)
		for (size_t k = 0; k < COUNT_OF(arguments); k++)
			for (int64_t step = 0; step < 2; step++) {
				char *q = call_text(&ql_functab[f], &arguments[k]);
				bad += !honest(tt, m, q, step * 100, LIMIT_MIB * MIB);
				count++;
				mem_free(q);
			}
	tap_ok(!bad, "%u calls of all functions take at most twice of what they are charged", count);
}

static void each_operator_is_honest(struct testteam *tt, struct memsrc *m)
{
	static const char *const q[] = { "many + many", "many and many", "many or x",
		"many unless x", "many * on (id) group_left () x", "many > 2000", "many ^ 2",
		"-many", "sum(many)", "avg by (id) (many)", "stddev without (id) (many)",
		"topk(3, many)", "topk(1e18, many)", "bottomk(1e6, many)", "limitk(10, many)",
		"limit_ratio(0.5, many)", "quantile(0.5, many)", "quantile by (id) (0.5, many)",
		"count_values(\"v\", many)", "sort_desc(many)", "max_over_time(many[10s:1s])",
		"many[100s:1s]", "many offset 1s", "many @ 1700000000", "absent(many)",
		"group(many) by (id)",
		"label_replace(many, \"a\", \"$1$1$1$1$1$1$1$1\", \"id\", \"(.*)\")", "h[20m]",
		"h[20m:1s]", "rate(h[2m]) + rate(h[1m])", "increase(h[5m]) / 3",
		"rate(hm[5m]) or sum_over_time(h[5m])", "rate(h[2m:1s]) > 1", "h + h",
		"hm - on (id) hm", "h == h", "hm == bool hm", "h >/ 3", "hm </ on (id) x", "-hm",
		"2 * h", "h or hm", "hm and on (id) x", "hm unless h",
		"label_join(hm, \"a\", \"-\", \"id\", \"id\")", "sort_by_label(h, \"id\")",
		"h @ 1700000000", "info(h, {__name__=\"x\"})", "absent(hm > 1)" };
	unsigned bad = 0;

	for (size_t i = 0; i < COUNT_OF(q); i++)
		for (int64_t step = 0; step < 2; step++) {
			bad += !honest(tt, m, q[i], step * 100, LIMIT_MIB * MIB);
			bad += !honest(tt, m, q[i], step * 100, 24 * MIB);
		}
	for (size_t i = 0; i < COUNT_OF(hungry); i++)
		bad += !honest(tt, m, hungry[i].q, hungry[i].step, LIMIT_MIB * MIB);
	tap_ok(!bad, "nor does any operator");
}

static void bytes_are_bounded(struct testteam *tt, struct memsrc *m)
{
	for (size_t i = 0; i < COUNT_OF(hungry); i++)
		stays_within(tt, m, hungry[i].q, hungry[i].step, hungry[i].want);
}

/* Making a query takes what its text asks for, not its grid. */
static void making_takes_little(const char *q)
{
	struct ql_opts o = { .start_ms = T0, .end_ms = T0 };
	struct errbuf eb;
	struct ql *made;
	size_t before = live;

	errbuf_init(&eb);
	peak = before;
	if (ql_create(q, strlen(q), &o, &made, &eb))
		abort();
	tap_ok(!COUNTED || peak - before < MIB / 4, "%s is made in %zu KiB", q,
	    (size_t)(peak - before) >> 10);
	ql_free(made);
}

/*
 * What waits for its turn holds its shards back; nobody waits for ever, and what is dropped ends.
 */
static void waiting_pieces_end(struct testteam *tt, struct memsrc *m)
{
	static const char q[] = "(count(sin(cos(many))) + count(tan(many))) or many or many";
	struct qlrun_opts o = { .start_ms = T0, .end_ms = T0 + 300, .step_ms = 1 };
	unsigned cancelled = 0, over = 0, answered = 0;
	char *s = qlrun(tt, memsrc_source(m), q, &o);

	tap_ok(strstr(s, "{__name__=\"many\", id=\"3999\"} ") != NULL, "%s: answers", q);
	free(s);
	for (unsigned i = 0; i < 30; i++) {
		o.cancel_after_us = i % 3 ? 1 + i * 400 : 0;
		o.max_bytes = i % 3 ? 0 : (1 + i / 3) * MIB;
		s = qlrun(tt, memsrc_source(m), q, &o);
		cancelled += strstr(s, "was canceled") != NULL;
		over += strstr(s, REFUSED) != NULL;
		answered += strncmp(s, "error", 5) != 0;
		free(s);
	}
	tap_ok(cancelled && over && cancelled + over + answered == 30,
	    "each is answered, cancelled (%u) or over its limit (%u)", cancelled, over);
}

/* What cannot fit is refused before a column is made. */
static void refused_at_sight(struct testteam *tt, struct memsrc *m, const char *q)
{
	struct qlrun_opts o = { .start_ms = T0, .max_bytes = 512 * MIB };
	char *s;
	size_t took = peak_of(tt, m, q, &o, &s);

	tap_ok((strstr(s, REFUSED) || strstr(s, "too many samples")) && (!COUNTED || took < MIB),
	    "%s: refused after %zu KiB", q, took >> 10);
	free(s);
}

/* --- what a result holds --- */

static size_t held_live, held_said;

static void look_at_held(struct ql *q)
{
	held_live = live;
	held_said = ql_held(q);
}

/* What is left when the answer waits for its reader is what is said, and not the whole query. */
static void result_holds(
    struct testteam *tt, struct memsrc *m, const char *q, size_t most, const char *want)
{
	struct qlrun_opts o = {
		.start_ms = T0, .end_ms = T0 + 500, .step_ms = 1, .at_done = look_at_held
	};
	size_t before = live;
	char *s = qlrun(tt, memsrc_source(m), q, &o);
	size_t is = held_live - before;

	if (!tap_ok(strstr(s, want) && (!COUNTED || (is <= most && is <= held_said + MIB / 8)),
	        "%s: holds %zu KiB, says %zu", q, is >> 10, held_said >> 10))
		tap_note("%.200s", s);
	free(s);
}

/* --- work --- */

static uint64_t slices_of(
    struct testteam *tt, struct memsrc *m, const char *q, int64_t step, const char *want)
{
	struct qlrun_opts o = {
		.start_ms = T0,
		.end_ms = T0 + 1000 * step,
		.step_ms = step,
		.features.experimental_functions = true,
	};
	uint64_t before = metric_sum(M_JOB_SLICES);

	job_yield_always(true);
	char *s = qlrun(tt, memsrc_source(m), q, &o);
	job_yield_always(false);
	if (!strstr(s, want)) {
		tap_ok(false, "%s: %s", q, want);
		tap_note("got %.200s", s);
	}
	free(s);
	return metric_sum(M_JOB_SLICES) - before;
}

/* At most QL_TICK values between two looks, times the columns that each value passes through. */
static void work_is_sliced(struct testteam *tt, struct memsrc *m)
{
	static const struct {
		const char *q;
		unsigned columns;
	} long_ones[] = {
		{ "max_over_time(vector(time()+1+1+1)[1000s:1ms])", 5 },
		{ "max_over_time(vector(-time())[1000s:1ms])", 3 },
		{ "max_over_time(vector(max_of(time(), 3))[1000s:1ms])", 3 },
		{ "max_over_time(vector(scalar(vector(time())))[1000s:1ms])", 4 },
		{ "max_over_time((vector(time()) % 7)[1000s:1ms])", 3 },
		{ "max_over_time((vector(time()) ^ time())[1000s:1ms])", 3 },
		{ "count_over_time(vector(1)[1000s:1ms])", 2 },
	};

	for (size_t i = 0; i < COUNT_OF(long_ones); i++) {
		uint64_t n = slices_of(tt, m, long_ones[i].q, 0, "{} ");
		uint64_t least = long_ones[i].columns * UINT64_C(1000000) / 4096;
		tap_ok(n >= least, "%s: %llu slices, at least %llu", long_ones[i].q,
		    (unsigned long long)n, (unsigned long long)least);
	}
}

/*
 * Long windows at many steps: the clock is looked at between them, for one series, too. Functions
 * that slide do the less work.
 */
static void windows_are_sliced(struct testteam *tt, struct memsrc *m)
{
	static const struct {
		const char *fn, *tail;
		unsigned least, few; /* of 6,000 samples in a window; of 200 */
	} fns[] = {
		{ "quantile_over_time(0.5, ", ")", 30, 1001 * 64 / 4096 },
		{ "mad_over_time(", ")", 100, 1001 * 100 / 4096 },
		{ "stddev_over_time(", ")", 900, 1001 * 100 / 4096 },
		{ "deriv(", ")", 900, 1001 * 100 / 4096 },
		{ "predict_linear(", ", 5)", 900, 1001 * 100 / 4096 },
		{ "double_exponential_smoothing(", ", 0.5, 0.5)", 900, 1001 * 100 / 4096 },
		{ "ts_of_max_over_time(", ")", 5, 4 },
	};
	char q[200];

	for (size_t i = 0; i < COUNT_OF(fns); i++) {
		snprintf(q, sizeof(q), "%svector(time())[6s:1ms]%s", fns[i].fn, fns[i].tail);
		uint64_t n = slices_of(tt, m, q, 1, "{} ");
		tap_ok(n >= fns[i].least, "%s at 1,001 steps: %llu slices", q, (unsigned long long)n);
		snprintf(q, sizeof(q), "%sx{id=\"1\"}[50m]%s", fns[i].fn, fns[i].tail);
		n = slices_of(tt, m, q, 1, "{id=\"1\"} ");
		tap_ok(n >= fns[i].few, "%s at 1,001 steps: %llu slices", q, (unsigned long long)n);
	}
	uint64_t n = slices_of(tt, m, "rate(x{id=\"1\"}[50m])", 1, "{id=\"1\"} ");
	tap_ok(n >= 1001 * 50 / 4096, "a rate with a fall at each other sample: %llu slices",
	    (unsigned long long)n);
}

/* --- what a text may hold --- */

/* n parts, in which each # is the number of the part. */
static char *joined(const char *head, const char *part, const char *sep, unsigned n, const char *tail)
{
	struct buf b;
	size_t len;

	buf_init(&b);
	buf_add_str(&b, head);
	for (unsigned i = 0; i < n; i++) {
		if (i)
			buf_add_str(&b, sep);
		for (const char *s = part; *s; s++)
			if (*s == '#')
				buf_printf(&b, "%u", i);
			else
				buf_add_u8(&b, (uint8_t)*s);
	}
	buf_add_str(&b, tail);
	buf_add_u8(&b, 0);
	return (char *)buf_take(&b, &len);
}

static const char *parsed(const char *text, bool selector, size_t *took)
{
	static char out[ERRBUF_SIZE + 32];
	struct ql_parse_opts o = { 0 };
	struct ql_counts counts = { 0 };
	struct errbuf eb;
	struct arena a;
	struct ql_node *n = NULL;
	struct matcher *m = NULL;
	size_t count = 0, before = live;

	errbuf_init(&eb);
	arena_init(&a, 4096);
	peak = before;
	enum err e = selector
	    ? ql_parse_selector(&a, text, strlen(text), NULL, &counts, &m, &count, &eb)
	    : ql_parse(&a, text, strlen(text), &o, &n, &eb);
	*took = peak - before;
	snprintf(out, sizeof(out), "%s", e ? eb.text : "");
	if (e && e != ERR_TOOBIG)
		snprintf(out, sizeof(out), "not a limit: %s", eb.text);
	for (size_t i = 0; i < count && !e; i++)
		matcher_release(&m[i]);
	if (n)
		ql_ast_release(n);
	arena_release(&a);
	return out;
}

static void text_gives(const char *what, char *text, bool selector, const char *want)
{
	size_t took;
	const char *got = parsed(text, selector, &took);

	if (!tap_ok(strcmp(got, want) == 0 && (!*want || !COUNTED || took < 8 * MIB), "%s: %s",
	        what, *want ? want : "taken"))
		tap_note("took %zu KiB, got %s", took >> 10, got);
	mem_free(text);
}

static void texts_are_bounded(void)
{
	text_gives("256 selectors", joined("count(", "a#", ") + count(", 256, ")"), false, "");
	text_gives("4,500 selectors", joined("(", "a", ") and (", 600, ")"), false,
	    "request has 600 selectors, limit 256 (--query.max-selectors)");
	for (int selector = 0; selector < 2; selector++) {
		text_gives("64 matchers", joined("{", "a#=\"x\"", ",", 64, "}"), selector, "");
		text_gives("2,000 matchers", joined("{", "a#!=\"x\"", ",", 2000, ",b=\"x\"}"),
		    selector, "selector has 2001 label matchers, limit 64 (--query.max-matchers)");
		text_gives("sets of literals", joined("{a=~\"(", "instance-#", "|", 150, ")\"}"),
		    selector, "");
	}
	text_gives("1,100 short patterns",
	    joined("{", "a=~\"xy?\",a=~\"yy?\",a=~\"zy?\",a=~\"uy?\",a=~\"vy?\"", "} or {", 220, "}"),
	    false,
	    "request has label patterns of 70400 bytes that need the regular expression engine, limit 65,536 bytes (--query.max-pattern-bytes) (each counts as at least 64)");
}

/* Constants fold, whatever the grid, whatever the grid --- */

static void constants_are_one_number(struct testteam *tt, struct memsrc *m)
{
	char *q = testlib_repeated("sum_over_time(vector(1", "+1", 900, ")[1s:1ms])"), *s;
	struct qlrun_opts o = { .start_ms = T0, .max_bytes = 8 * MIB };
	size_t took = peak_of(tt, m, q, &o, &s);

	tap_ok(strstr(s, ":901000") && (!COUNTED || took < 4 * MIB),
	    "a sum of 901 ones takes %zu KiB", took >> 10);
	free(s);
	mem_free(q);
}

/* A chain costs what it is long, not the square: selectors allocate when they are printed. */
static void printing_is_linear(const char *op, const char *unit, unsigned n_units)
{
	char *text = joined("", unit, op, n_units, "");
	struct ql_parse_opts o = { 0 };
	struct errbuf eb;
	struct ql_node *n;
	struct arena a;
	struct buf out;

	errbuf_init(&eb);
	arena_init(&a, 4096);
	buf_init(&out);
	if (ql_parse(&a, text, strlen(text), &o, &n, &eb))
		abort();
	size_t before = calls;
	ql_pretty(&out, n);
	tap_ok(!COUNTED || calls - before < n_units * 30, "%u times %s: %zu allocations", n_units,
	    unit, (size_t)(calls - before));
	ql_ast_release(n);
	buf_release(&out);
	arena_release(&a);
	mem_free(text);
}

/* h: histograms; hm: each fifth sample is a float. */
static void load_hists(struct memsrc *m, struct arena *a)
{
	for (unsigned i = 0; i < 20; i++) {
		char id[16];
		snprintf(id, sizeof(id), "%u", i);
		struct labels ls = label_make(a, "__name__", i % 2 ? "h" : "hm", "id", id, NULL);
		for (int k = -100; k <= 100; k++) {
			struct memsrc_sample s = { .t_ms = T0 + k * 15000, .v = k };
			if (i % 2 || k % 5)
				s.h = testhist_next(a, i, (uint64_t)(k + 100));
			if (memsrc_add_sample(m, ls, &s))
				abort();
		}
	}
}

static void load(struct memsrc *m)
{
	struct arena a;

	arena_init(&a, 4096);
	for (unsigned i = 0; i < 40; i++) {
		char id[16];
		snprintf(id, sizeof(id), "%u", i);
		struct labels ls = label_make(&a, "__name__", "x", "id", id, NULL);
		for (int k = -100; k <= 100; k++)
			if (memsrc_add(m, ls, T0 + k * 15000, k % 2 ? i : 1000 + i))
				abort();
	}
	load_hists(m, &a);
	for (unsigned i = 0; i < 4000; i++) {
		char id[16];
		snprintf(id, sizeof(id), "%u", i);
		arena_reset(&a, 4096);
		if (memsrc_add(m, label_make(&a, "__name__", "many", "id", id, NULL), T0, i))
			abort();
	}
	arena_release(&a);
}

int main(void)
{
	struct testteam tt;

	testteam_start(&tt, 1);
	struct memsrc *m = memsrc_create(tt.team, 2);
	load(m);
	making_takes_little("sum_over_time(vector(time())[49000s:1ms])");
	making_takes_little("sum_over_time(vector(time()+1+1+1+1+1)[49000s:1ms])");
	making_takes_little("sum_over_time(sum_over_time(x[1ms:1ms])[40000s:2ms])");
	bytes_are_bounded(&tt, m);
	each_function_is_honest(&tt, m);
	each_operator_is_honest(&tt, m);
	waiting_pieces_end(&tt, m);
	refused_at_sight(&tt, m, "sum_over_time(vector(1)[49000s:1ms])");
	refused_at_sight(&tt, m, "sum_over_time((vector(time())+vector(time()))[49000s:1ms])");
	refused_at_sight(&tt, m, "sum_over_time((-vector(1) + 1)[49000s:1ms])");
	result_holds(&tt, m, "topk(5, many)", MIB, "3999");
	result_holds(&tt, m, "scalar(topk(1, many))", MIB, "3999");
	result_holds(&tt, m, "sort(sum by (id) (many{id=~\"1.\"}) + on (id) many)", MIB, "\"17\"");
	result_holds(&tt, m, "many", 40 * MIB, "3999");
	result_holds(&tt, m, "quantile_over_time(2, x[1m])", MIB, "PromQL warning");
	result_holds(&tt, m, "many > 3997 or quantile_over_time(2, x[1m])", MIB, "PromQL warning");
	work_is_sliced(&tt, m);
	windows_are_sliced(&tt, m);
	constants_are_one_number(&tt, m);
	texts_are_bounded();
	printing_is_linear(" + ", "a{b=\"#\"}", 256);
	printing_is_linear(" ^ ", "a{b=\"#\"}", 120);
	printing_is_linear(" + ", "rate(a{b=\"#\"}[5m])", 256);
	memsrc_free(m);
	testteam_stop(&tt);
	return tap_done();
}
