/* statsdagg against sums of its own, with times that are told; exphist against a sorted list. */
#include "tests/lib/tap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/model/exphist.h"
#include "core/model/histmath.h"
#include "net/recv/statsdagg.h"

#define TTL_MS   60000u
#define EVERY_MS 10000

static struct purse purse;
static struct arena arena, labels;
static struct batch batch;
static struct statsd_agg *agg;
static struct buf text;

static const double bounds[] = { 1, 5 };
static const double quantiles[] = { 0.5, 1 };
static const struct statsd_options options = { .bounds = { bounds, 2 },
	.quantiles = { quantiles, 2 },
	.factor = 1.1,
	.max_buckets = 64,
	.max_age_ms = 30000,
	.age_buckets = 3 };

static void begin(uint64_t most)
{
	purse_init(&purse, most, NULL);
	arena_init(&arena, 4096);
	arena_init(&labels, 4096);
	batch_init(&batch);
	agg = statsd_agg_create(&purse, 100000);
}

static void end(void)
{
	statsd_agg_free(agg);
	tap_is_u64(purse_used(&purse), 0, "all memory is given back");
	purse_end(&purse);
	batch_release(&batch);
	arena_release(&arena);
	arena_release(&labels);
}

static struct statsd_target target(enum statsd_kind kind, const char *name, const char *tag)
{
	struct statsd_target t = { .kind = kind,
		.name = name,
		.name_len = (uint32_t)strlen(name),
		.options = &options,
		.ttl_ms = TTL_MS };
	t.labels = label_make(&labels, "__name__", name, "tag", tag, NULL);
	statsd_target_hash(&t);
	return t;
}

static enum statsd_took put(const struct statsd_target *t, enum statsd_op op, double v, int64_t now_ms)
{
	struct statsd_event e = { .to = t, .op = op, .value = v, .rate = 1 };
	return statsd_agg_take(agg, &e, now_ms);
}

static enum statsd_took member(const struct statsd_target *t, uint64_t m, int64_t now_ms)
{
	struct statsd_event e = { .to = t, .op = STATSD_MEMBER, .member = m, .rate = 1 };
	return statsd_agg_take(agg, &e, now_ms);
}

static bool late(void)
{
	return true;
}

/* A flush, in slices of one series when cut: "name{tag="x"} 100:1 110:2;...", sorted by nothing. */
static const char *flush_text(int64_t t_ms, bool cut)
{
	buf_clear(&text);
	batch_clear(&batch);
	arena_reset(&arena, 0);
	statsd_agg_begin(agg, t_ms, EVERY_MS);
	while (!statsd_agg_rows(
	    agg, &batch, &arena, cut ? batch.rows_count + 1 : SIZE_MAX, cut ? late : NULL)) {
	}
	for (size_t i = 0; i < batch.rows_count; i++) {
		const struct batch_row *r = &batch.rows[i];
		label_text_metric(&text, (struct labels){ r->labels, r->labels_len });
		if (r->flags & BATCH_EXTRA) {
			const struct hist *h = r->extra->hist;
			buf_printf(&text, " %lld:", (long long)r->t_ms);
			if (hist_is_stale(h))
				buf_add_str(&text, "stale");
			else
				hist_print(hist_to_float(&arena, h), &text);
		} else if (sample_is_stale(r->v)) {
			buf_printf(&text, " %lld:stale", (long long)r->t_ms);
		} else {
			buf_printf(&text, " %lld:%g", (long long)r->t_ms, r->v);
		}
		buf_add_u8(&text, ';');
	}
	buf_add_u8(&text, 0);
	return (const char *)text.data;
}

static void flush_is(int64_t t_ms, const char *want, const char *what)
{
	tap_is_str(flush_text(t_ms, false), want, "%s", what);
}

static void counters(void)
{
	begin(0);
	struct statsd_target c = target(STATSD_KIND_COUNTER, "c", "x");
	put(&c, STATSD_ADD, 2, 105000);
	put(&c, STATSD_ADD, 1.5, 106000);
	tap_ok(put(&c, STATSD_ADD, -1, 106000) == STATSD_TOOK_NEGATIVE, "a counter does not go down");
	flush_is(110000, "c{tag=\"x\"} 100001:0;c{tag=\"x\"} 110000:3.5;",
	    "a counter begins with 0, one interval before, but not before the start");
	tap_ok(batch.metas_count == 1 && batch.metas[0].type == 1, "and its type");
	flush_is(120000, "c{tag=\"x\"} 120000:3.5;", "it goes on, changed or not");
	tap_ok(batch.metas_count == 0, "its type is told once");
	put(&c, STATSD_ADD, 1, 125000);
	flush_is(130000, "c{tag=\"x\"} 130000:4.5;", "it counts up");
	flush_is(184999, "c{tag=\"x\"} 184999:4.5;", "just before its ttl");
	flush_is(185000, "c{tag=\"x\"} 185000:stale;", "after its ttl it ends");
	flush_is(195000, "", "and is forgotten");
	put(&c, STATSD_ADD, 7, 197000);
	flush_is(200000, "c{tag=\"x\"} 195001:0;c{tag=\"x\"} 200000:7;",
	    "it begins again, behind the flush before");
	tap_is_u64(statsd_agg_series(agg), 1, "one series");
	put(&c, STATSD_ADD, 1, 150000);
	flush_is(150000, "c{tag=\"x\"} 150000:8;", "the clock is set back");
	end();
}

static void gauges_and_sets(void)
{
	begin(0);
	struct statsd_target g = target(STATSD_KIND_GAUGE, "g", "x");
	struct statsd_target s = target(STATSD_KIND_SET, "s", "x");
	put(&g, STATSD_CHANGE, -3, 105000);
	flush_is(110000, "g{tag=\"x\"} 110000:-3;", "a change of nothing");
	put(&g, STATSD_SET_TO, 10, 111000);
	put(&g, STATSD_CHANGE, 5, 112000);
	flush_is(120000, "g{tag=\"x\"} 120000:15;", "the last value, and changes of it");
	flush_is(130000, "g{tag=\"x\"} 130000:15;", "it stays");
	flush_is(190000, "g{tag=\"x\"} 190000:stale;", "it ends");
	for (uint64_t i = 0; i < 3000; i++)
		member(&s, hash_mix64(i % 1000 + 1), 191000);
	flush_is(200000, "s{tag=\"x\"} 200000:1000;", "distinct members");
	flush_is(210000, "s{tag=\"x\"} 210000:0;", "of one interval");
	statsd_agg_members(agg, 2);
	tap_ok(member(&s, 7, 211000) == STATSD_TOOK && member(&s, 1, 211000) == STATSD_TOOK &&
	        member(&s, 2, 211000) == STATSD_TOOK_MEMBERS && member(&s, 1, 211000) == STATSD_TOOK,
	    "no more than may be");
	end();
}

static void observers(void)
{
	begin(0);
	struct statsd_target h = target(STATSD_KIND_CLASSIC, "h", "x");
	put(&h, STATSD_OBSERVE, 1, 105000);
	put(&h, STATSD_OBSERVE, 9, 105000);
	flush_is(110000,
	    "h_bucket{le=\"1\", tag=\"x\"} 100001:0;h_bucket{le=\"1\", tag=\"x\"} 110000:1;"
	    "h_bucket{le=\"5\", tag=\"x\"} 100001:0;h_bucket{le=\"5\", tag=\"x\"} 110000:1;"
	    "h_bucket{le=\"+Inf\", tag=\"x\"} 100001:0;h_bucket{le=\"+Inf\", tag=\"x\"} 110000:2;"
	    "h_sum{tag=\"x\"} 100001:0;h_sum{tag=\"x\"} 110000:10;"
	    "h_count{tag=\"x\"} 100001:0;h_count{tag=\"x\"} 110000:2;",
	    "a histogram begins with zeros");
	struct statsd_event e = { .to = &h, .op = STATSD_OBSERVE, .value = 2, .rate = 0.3 };
	for (unsigned i = 0; i < 3; i++)
		statsd_agg_take(agg, &e, 111000);
	flush_is(120000,
	    "h_bucket{le=\"1\", tag=\"x\"} 120000:1;h_bucket{le=\"5\", tag=\"x\"} 120000:11;"
	    "h_bucket{le=\"+Inf\", tag=\"x\"} 120000:12;h_sum{tag=\"x\"} 120000:30;h_count{tag=\"x\"} 120000:12;",
	    "three samples of rate 0.3 are ten");
	end();
	begin(0);
	struct statsd_target s = target(STATSD_KIND_SUMMARY, "s", "x");
	for (unsigned i = 0; i < 10; i++)
		put(&s, STATSD_OBSERVE, 4, 105000);
	flush_is(110000,
	    "s{quantile=\"0.5\", tag=\"x\"} 110000:4;s{quantile=\"1\", tag=\"x\"} 110000:4;"
	    "s_sum{tag=\"x\"} 100001:0;s_sum{tag=\"x\"} 110000:40;s_count{tag=\"x\"} 100001:0;s_count{tag=\"x\"} 110000:10;",
	    "a summary");
	flush_is(134999,
	    "s{quantile=\"0.5\", tag=\"x\"} 134999:4;s{quantile=\"1\", tag=\"x\"} 134999:4;"
	    "s_sum{tag=\"x\"} 134999:40;s_count{tag=\"x\"} 134999:10;",
	    "a value counts for its age");
	flush_is(136000,
	    "s{quantile=\"0.5\", tag=\"x\"} 136000:nan;s{quantile=\"1\", tag=\"x\"} 136000:nan;"
	    "s_sum{tag=\"x\"} 136000:40;s_count{tag=\"x\"} 136000:10;",
	    "and no longer");
	end();
	begin(0);
	struct statsd_target n = target(STATSD_KIND_NATIVE, "n", "x");
	put(&n, STATSD_OBSERVE, 2, 105000);
	put(&n, STATSD_OBSERVE, 0, 105000);
	flush_is(110000,
	    "n{tag=\"x\"} 100001:{count:0, sum:0};n{tag=\"x\"} 110000:{count:2, sum:2, [-2.938735877055719e-39,2.938735877055719e-39]:1, (1.8340080864093422,2]:1};",
	    "a native histogram");
	flush_is(165000, "n{tag=\"x\"} 165000:stale;", "ends as others do");
	end();
}

static void conflicts(void)
{
	static const struct {
		enum statsd_kind a;
		const char *a_name;
		enum statsd_kind b;
		const char *b_name;
		bool conflict;
	} cases[] = {
		{ STATSD_KIND_COUNTER, "m", STATSD_KIND_GAUGE, "m", true },
		{ STATSD_KIND_COUNTER, "m", STATSD_KIND_CLASSIC, "m", true },
		{ STATSD_KIND_COUNTER, "m_count", STATSD_KIND_CLASSIC, "m", true },
		{ STATSD_KIND_CLASSIC, "m", STATSD_KIND_COUNTER, "m_bucket", true },
		{ STATSD_KIND_SUMMARY, "m", STATSD_KIND_COUNTER, "m_bucket", false },
		{ STATSD_KIND_SUMMARY, "m", STATSD_KIND_GAUGE, "m_sum", true },
		{ STATSD_KIND_NATIVE, "m", STATSD_KIND_GAUGE, "m_sum", false },
		{ STATSD_KIND_COUNTER, "m", STATSD_KIND_COUNTER, "m_sum", false },
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		begin(0);
		struct statsd_target a = target(cases[i].a, cases[i].a_name, "x");
		struct statsd_target b = target(cases[i].b, cases[i].b_name, "y");
		put(&a, a.kind < STATSD_KIND_CLASSIC ? STATSD_SET_TO : STATSD_OBSERVE, 1, 105000);
		enum statsd_took took = put(
		    &b, b.kind < STATSD_KIND_CLASSIC ? STATSD_SET_TO : STATSD_OBSERVE, 1, 105000);
		tap_ok((took == STATSD_TOOK_CONFLICT) == cases[i].conflict, "%s beside %s: %d",
		    cases[i].b_name, cases[i].a_name, took);
		tap_ok(statsd_target_owner(&a, 7) == statsd_target_owner(&b, 7), "on one loop");
		end();
	}
}

static void memory(void)
{
	begin(20000);
	unsigned taken = 0, i = 0;
	struct statsd_target first = target(STATSD_KIND_COUNTER, "c", "0");
	for (; i < 1000; i++) {
		char tag[16];
		snprintf(tag, sizeof(tag), "%u", i);
		struct statsd_target t = target(STATSD_KIND_COUNTER, "c", tag);
		taken += put(&t, STATSD_ADD, 1, 105000) == STATSD_TOOK;
	}
	tap_ok(taken > 50 && taken < 200, "%u series have room", taken);
	tap_ok(put(&first, STATSD_ADD, 1, 105000) == STATSD_TOOK, "who is there goes on");
	flush_text(300000, true);
	tap_ok(batch.rows_count == taken, "all end: %zu", batch.rows_count);
	struct statsd_target t = target(STATSD_KIND_COUNTER, "d", "new");
	tap_ok(put(&t, STATSD_ADD, 1, 305000) == STATSD_TOOK, "then there is room again");
	end();
}

/* ---- many series against an array ---- */

#define MANY 3000u

static void many(bool cut)
{
	static double want[MANY];
	static struct statsd_target t[MANY];
	uint64_t rnd = 42;
	unsigned wrong = 0;
	begin(0);
	memset(want, 0, sizeof(want));
	for (unsigned i = 0; i < MANY; i++) {
		char tag[16], *name = arena_alloc(&labels, 16);
		snprintf(tag, sizeof(tag), "%u", i);
		snprintf(name, 16, "c%u", i % 300);
		t[i] = target(STATSD_KIND_COUNTER, name, tag);
		t[i].ttl_ms = i % 2 ? TTL_MS : 0;
	}
	for (int64_t now = 110000; now < 300000; now += EVERY_MS) {
		for (unsigned n = 0; n < 2000; n++) {
			rnd = hash_mix64(rnd + n);
			unsigned i = (unsigned)(rnd % MANY);
			if (i % 2 && now > 150000 && now < 250000)
				continue;
			put(&t[i], STATSD_ADD, (double)(rnd >> 40), now);
			want[i] += (double)(rnd >> 40);
		}
		flush_text(now, cut);
		for (size_t r = 0; r < batch.rows_count; r++) {
			struct labels ls = { batch.rows[r].labels, batch.rows[r].labels_len };
			uint32_t len;
			const char *tag = label_get(ls, "tag", 3, &len);
			char digits[16];
			snprintf(digits, sizeof(digits), "%.*s", (int)len, tag);
			unsigned i = (unsigned)strtoul(digits, NULL, 10);
			double v = batch.rows[r].v;
			if (batch.rows[r].t_ms < now)
				wrong += v != 0;
			else if (sample_is_stale(v))
				want[i] = 0;
			else
				wrong += v != want[i];
		}
	}
	tap_ok(!wrong && statsd_agg_series(agg) > MANY / 2, "%u series%s: %u are wrong", MANY,
	    cut ? ", in slices" : "", wrong);
	end();
}

/* ---- exphist ---- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static bool holds(const struct exphist *h, const double *v, unsigned count)
{
	struct hist *got = exphist_hist(h, &arena, 1);
	struct errbuf eb;
	struct hist_iter it;
	struct hist_bucket b;
	double sum = 0;
	errbuf_init(&eb);
	if (!got || hist_check(got, &eb)) {
		tap_note("%s", eb.text);
		return false;
	}
	hist_iter_init(&it, hist_to_float(&arena, got), false);
	while (hist_iter_next(&it, &b)) {
		unsigned n = 0;
		for (unsigned i = 0; i < count; i++)
			n += (v[i] > b.lower || (b.lower_in && v[i] == b.lower)) &&
			    (v[i] < b.upper || (b.upper_in && v[i] == b.upper));
		if (n != (unsigned)b.count)
			return false;
		sum += b.count;
	}
	return sum == count;
}

static void histograms(void)
{
	static double v[1000];
	unsigned bad_buckets = 0, bad_quantiles = 0;
	arena_init(&arena, 4096);
	for (unsigned run = 0; run < 60; run++) {
		struct exphist h, half;
		unsigned count = 1 + run * 16;
		exphist_init(&h, (int)(run % 13) - 4, 16 + run);
		exphist_init(&half, (int)(run % 11) - 3, 16 + run);
		for (unsigned i = 0; i < count; i++) {
			uint64_t r = hash_mix64(run * 1000 + i + 1);
			double x = ldexp((double)(r % 1000000), (int)(r >> 32) % (int)(run + 1) - 20);
			v[i] = r % 7 == 0 ? -x : r % 11 == 0 ? exp2((double)(r % 9)) : x;
			exphist_add(i % 3 ? &h : &half, v[i], 1);
		}
		exphist_merge(&h, &half);
		bad_buckets += !holds(&h, v, count);
		qsort(v, count, sizeof(*v), by_value);
		double least = exphist_quantile(&h, 0), most = exphist_quantile(&h, 1);
		bad_quantiles += least != v[0] || most != v[count - 1];
		exphist_release(&h);
		exphist_release(&half);
		arena_reset(&arena, 0);
	}
	tap_ok(!bad_buckets, "each bucket holds what lies between its bounds");
	tap_ok(!bad_quantiles, "the ends are exact");
	struct exphist h;
	exphist_init(&h, 5, 4096);
	for (unsigned i = 1; i <= 10000; i++)
		exphist_add(&h, i, 1);
	for (double q = 0.05; q < 1; q += 0.05)
		bad_quantiles += fabs(exphist_quantile(&h, q) / (q * 10000) - 1) > 0.012;
	tap_ok(!bad_quantiles, "quantiles are right to 1.2 %%");
	exphist_clear(&h, 8);
	tap_ok(isnan(exphist_quantile(&h, 0.5)), "of nothing there is none");
	exphist_add(&h, 1e-320, 3);
	exphist_add(&h, 1.7976931348623157e308, 2);
	exphist_add(&h, 1, 1);
	tap_ok(h.count == 6 && h.zero == 3 &&
	        holds(&h, (double[]){ 0, 0, 0, 1, 1.7976931348623157e308, 1.7976931348623157e308 }, 6),
	    "what is next to nothing, and the largest");
	tap_ok(exphist_schema(1.1) == 3 && exphist_schema(2) == 0 && exphist_schema(1.0001) == 8 &&
	        exphist_schema(1e9) == -4,
	    "schemas of factors");
	exphist_release(&h);
	arena_release(&arena);
}

int main(void)
{
	buf_init(&text);
	counters();
	gauges_and_sets();
	observers();
	conflicts();
	memory();
	many(false);
	many(true);
	histograms();
	buf_release(&text);
	return tap_done();
}
