/* What is told of a run: slopes, quantiles, and what was lost. */
#include "tests/lib/tap.h"

#include "bench/load/ledger.h"
#include "bench/load/sampleset.h"
#include "bench/load/trend.h"
#include "core/base/hash.h"
#include "core/base/mem.h"

#include <math.h>

/* ---- slopes ---- */

static void lines(void)
{
	double x[40], y[40];
	for (unsigned i = 0; i < 40; i++) {
		x[i] = i;
		y[i] = 3 + 0.5 * i;
	}
	struct trend t = trend_of(x, y, 40);
	tap_ok(fabs(t.slope - 0.5) < 1e-12 && t.error < 1e-12 && fabs(t.mean - 12.75) < 1e-12,
	    "a straight line has its slope, without an error: %g +- %g", t.slope, t.error);
	tap_ok(trend_grows(&t), "and grows");
	for (unsigned i = 0; i < 40; i++)
		y[i] = i % 2 ? 1 : -1;
	t = trend_of(x, y, 40);
	double sxx = 0, sxy = 0;
	for (unsigned i = 0; i < 40; i++) {
		sxx += (i - 19.5) * (i - 19.5);
		sxy += (i - 19.5) * y[i];
	}
	tap_ok(fabs(t.slope - sxy / sxx) < 1e-12, "a saw has the slope of the sums: %g", t.slope);
	tap_ok(fabs(t.error - sqrt((40 - sxy * sxy / sxx) / 38 / sxx)) < 1e-12,
	    "and the error of its residuals: %g", t.error);
	tap_ok(!trend_grows(&t) && !strcmp(trend_word(&t), "steady"), "it is steady");
	for (unsigned i = 0; i < 40; i++)
		y[i] = 1000 + 0.5 * i + (i % 2 ? 0.1 : -0.1);
	t = trend_of(x, y, 40);
	tap_ok(t.slope > 3 * t.error && !trend_grows(&t),
	    "what rises by less than a twentieth of itself is steady");
	t = trend_of(x, y, 7);
	tap_ok(!strcmp(trend_word(&t), "too short"), "seven points say nothing");
	t = trend_of(x, y, 0);
	tap_ok(t.slope == 0 && t.error == 0, "none neither");
}

static void quantiles(void)
{
	struct sampleset s = { 0 };
	tap_ok(sampleset_quantile(&s, 0.5) == 0, "no samples, no quantile");
	for (uint64_t i = 0; i < 1000; i++)
		sampleset_add(&s, (i * 7919) % 1000);
	tap_ok(sampleset_quantile(&s, 0.5) == 500 && sampleset_quantile(&s, 0.99) == 990 &&
	        sampleset_quantile(&s, 1) == 999,
	    "quantiles of 0 to 999");
	sampleset_clear(&s);
	tap_ok(s.seen == 0 && sampleset_quantile(&s, 1) == 0, "cleared it is empty");
	for (uint64_t i = 0; i < 3 * SAMPLESET_KEPT; i++)
		sampleset_add(&s, hash_mix64(i) % 1000);
	uint64_t mid = sampleset_quantile(&s, 0.5);
	tap_ok(s.count <= SAMPLESET_KEPT && s.seen == 3 * SAMPLESET_KEPT && mid > 480 && mid < 520,
	    "of very many some are kept, %zu, and the middle is near: %llu", s.count,
	    (unsigned long long)mid);
	sampleset_release(&s);
}

/* ---- what was lost ---- */

#define ROUNDS 10u
static struct loadgen *make(void)
{
	struct loadgen_opts o = { .series = 20,
		.batch = 5,
		.start_ms = INT64_C(1700000000000),
		.step_ms = 1000,
		.churn = 0,
		.avalanche = loadgen_avalanche };
	struct loadgen *g = NULL;
	struct errbuf eb;
	errbuf_init(&eb);
	TAP_OK(!loadgen_create(&o, &g, &eb));
	return g;
}

/* What a server would answer that holds the samples for which keep() is true. */
struct held {
	struct answer_point points[20][ROUNDS + 1];
	char names[20][400];
	size_t counts[20], series;
	unsigned round;
	bool (*keep)(unsigned series, unsigned round);
	double (*value)(unsigned series, unsigned round, double v);
};

static void hold(void *arg, const struct loadgen_row *r)
{
	struct held *h = arg;
	struct label_iter it = label_iter(r->labels);
	struct label l;
	size_t i = h->series++, n = 0;
	h->names[i][0] = 0;
	while (label_next(&it, &l))
		n += (size_t)snprintf(h->names[i] + n, sizeof(h->names[i]) - n, "%s%.*s=\"%.*s\"",
		    n ? "," : "", (int)l.name_len, l.name, (int)l.value_len, l.value);
	if (h->keep((unsigned)i, h->round))
		h->points[i][h->counts[i]++] = (struct answer_point){ (double)r->t_ms / 1000,
			h->value((unsigned)i, h->round, r->v) };
}

static bool all(unsigned series, unsigned round)
{
	(void)series, (void)round;
	return true;
}
static bool not_7_of_3(unsigned series, unsigned round)
{
	return series != 3 || round != 7;
}
static double right(unsigned series, unsigned round, double v)
{
	(void)series, (void)round;
	return v;
}
static double other(unsigned series, unsigned round, double v)
{
	return series == 2 && round == 4 ? v + 1 : series == 1 && round == 1 ? v * (1 + 2e-16) : v;
}

/*
 * Requests are of 5 series: unknown is that of series 10 to 14 in round 9, the next was not sent.
 */
static struct ledger_result judge(bool (*keep)(unsigned series, unsigned round),
    double (*value)(unsigned series, unsigned round, double v), bool ghost)
{
	static struct held h;
	struct ledger *l = ledger_new(4);
	struct loadgen *g = make(), *again = make();
	memset(&h, 0, sizeof(h));
	h.keep = keep;
	h.value = value;
	for (h.round = 0; h.round < ROUNDS; h.round++) {
		loadgen_round(g, h.round);
		h.series = 0;
		for (uint64_t i = 0; i < 4; i++) {
			bool last = h.round == ROUNDS - 1;
			loadgen_rows(g, i, hold, &h);
			if (!last || i < 2)
				ledger_note(l, h.round, i, true);
			else if (i == 2)
				ledger_note(l, h.round, i, false);
		}
	}
	for (size_t i = 15; i < 20 && !ghost; i++)
		h.counts[i] -= h.counts[i] == ROUNDS;
	ledger_fill(l, again);
	for (size_t i = 0; i < 20; i++)
		ledger_judge(l,
		    &(struct answer_series){
		        .key = h.names[i], .points = h.points[i], .count = h.counts[i] });
	struct ledger_result r;
	ledger_end(l, &r);
	ledger_free(l);
	loadgen_free(g);
	loadgen_free(again);
	return r;
}

static void lost(void)
{
	struct ledger_result r = judge(all, right, false);
	tap_ok(r.acknowledged == 190 && r.unanswered == 5 && r.found == 195 && !r.lost &&
	        !r.ghosts && !r.wrong && !r.rounded && !r.rounds_lost,
	    "all that was acknowledged is there, and what nobody knows of may be");
	r = judge(not_7_of_3, right, false);
	tap_ok(r.lost == 1 && r.rounds_lost == 1 && strstr(r.first, "lost: {") &&
	        strstr(r.first, "1700000007000"),
	    "one that is not there is lost: %s", r.first);
	r = judge(all, other, false);
	tap_ok(r.wrong == 1 && r.lost == 1 && r.rounded == 1 && strstr(r.first, "another value"),
	    "another value is no sample, one that is rounded is: %llu wrong, %llu lost, %llu rounded",
	    (unsigned long long)r.wrong, (unsigned long long)r.lost, (unsigned long long)r.rounded);
	r = judge(all, right, true);
	tap_ok(r.ghosts == 5 && !r.lost && strstr(r.first, "never sent"),
	    "what was never sent is a ghost: %s", r.first);
}

int main(void)
{
	lines();
	quantiles();
	lost();
	return tap_done();
}
