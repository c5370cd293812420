/* Every workload, in both forms of Remote Write, is what the decoders take for good labels. */
#include "tests/lib/tap.h"

#include "bench/load/loadgen.h"
#include "bench/load/rwbody.h"
#include "core/base/mem.h"
#include "core/model/batch.h"
#include "core/model/hist.h"
#include "proto/rw1.h"
#include "proto/rw2.h"

#define START_MS INT64_C(1700000000000)

static struct loadgen *make(struct loadgen_opts *o)
{
	struct loadgen *g = NULL;
	struct errbuf eb;
	errbuf_init(&eb);
	if (!o->avalanche.series)
		o->avalanche = loadgen_avalanche;
	o->start_ms = START_MS;
	o->step_ms = loadgen_step_ms(o->workload);
	if (!o->batch)
		o->batch = 700;
	enum err e = loadgen_create(o, &g, &eb);
	tap_ok(!e, "%s is made: %s", o->workload ? o->workload : "node", eb.text);
	return g;
}

struct decoded {
	struct arena arena;
	struct batch batch;
};

static enum err decode(enum rwbody_protocol p, const struct buf *raw, struct decoded *d)
{
	struct errbuf eb;
	errbuf_init(&eb);
	arena_init(&d->arena, 1 << 20);
	batch_init(&d->batch);
	return p == RWBODY_1
	    ? rw1_decode(&d->arena, raw->data, raw->len, NULL, &d->batch, &eb)
	    : rw2_decode(&d->arena, NULL, raw->data, raw->len, NULL, &d->batch, &eb);
}

static void drop(struct decoded *d)
{
	batch_release(&d->batch);
	arena_release(&d->arena);
}

static const struct hist *hist_of(const struct batch_row *r)
{
	return r->flags & BATCH_EXTRA ? r->extra->hist : NULL;
}

static bool same_row(const struct batch_row *a, const struct batch_row *b)
{
	const struct hist *x = hist_of(a), *y = hist_of(b);
	return a->labels_len == b->labels_len && !memcmp(a->labels, b->labels, a->labels_len) &&
	    a->t_ms == b->t_ms && (x ? y && hist_equal(x, y) : !y && a->bits == b->bits);
}

static bool good_row(const struct batch_row *r)
{
	struct errbuf eb;
	errbuf_init(&eb);
	return label_is_canonical((struct labels){ r->labels, r->labels_len }) &&
	    (!hist_of(r) || !hist_check(hist_of(r), &eb));
}

struct sums {
	uint64_t samples, hists, exemplars, bad, different, left, metas;
};

static void body_of(struct loadgen *g, struct rwbody *forms[2], uint64_t i, struct sums *s)
{
	struct decoded d[2];
	struct rwbody_counts n[2];
	for (int p = 0; p < 2; p++)
		s->bad +=
		    decode(p ? RWBODY_2 : RWBODY_1, rwbody_raw(forms[p], g, i, &n[p]), &d[p]) != 0;
	const struct batch *a = &d[0].batch, *b = &d[1].batch;
	s->different += a->rows_count != b->rows_count || a->rows_count != n[0].samples ||
	    n[0].samples != n[1].samples || a->exemplars_count != b->exemplars_count ||
	    a->exemplars_count != n[0].exemplars || n[1].exemplars != n[0].exemplars;
	for (size_t k = 0; k < a->rows_count && k < b->rows_count; k++) {
		s->bad += !good_row(&a->rows[k]);
		s->different += !same_row(&a->rows[k], &b->rows[k]);
		s->hists += hist_of(&a->rows[k]) != NULL;
	}
	s->samples += a->rows_count;
	s->exemplars += a->exemplars_count;
	s->left += b->left_rows + b->left_exemplars + (b->left_why != NULL);
	s->metas += b->metas_count;
	drop(&d[0]);
	drop(&d[1]);
}

static struct sums all_of(struct loadgen *g, uint64_t rounds)
{
	struct sums s = { 0 };
	struct rwbody *forms[2] = {
		rwbody_new(&(struct rwbody_opts){ .protocol = RWBODY_1 }),
		rwbody_new(&(struct rwbody_opts){ .protocol = RWBODY_2, .metadata = true }),
	};
	for (uint64_t r = 0; r < rounds; r++) {
		loadgen_round(g, r);
		for (uint64_t i = 0; i < loadgen_batches(g); i++)
			body_of(g, forms, i, &s);
	}
	rwbody_free(forms[0]);
	rwbody_free(forms[1]);
	return s;
}

static void workload(const char *name, struct loadgen_opts o, uint64_t series)
{
	o.workload = name;
	o.churn = -1;
	struct loadgen *g = make(&o);
	if (!g)
		return;
	tap_ok(loadgen_series(g) == series, "%s has %llu series: %llu", name,
	    (unsigned long long)series, (unsigned long long)loadgen_series(g));
	struct sums s = all_of(g, 3);
	tap_ok(s.samples == 3 * series, "each of them has a sample a round");
	tap_ok(!s.bad, "labels are canonical, histograms make sense (%llu are not)",
	    (unsigned long long)s.bad);
	tap_ok(!s.different && !s.left, "1.0 and 2.0 say the same, and nothing is left out");
	tap_ok(s.metas > 0, "2.0 has metadata");
	if (o.histograms > 0)
		tap_ok(s.hists > 0 && s.exemplars > 0, "%llu histograms, %llu exemplars",
		    (unsigned long long)s.hists, (unsigned long long)s.exemplars);
	loadgen_free(g);
}

static void workloads(void)
{
	workload("node", (struct loadgen_opts){ .series = 1750, .shuffle = true }, 1750);
	workload("node", (struct loadgen_opts){ .targets = 3, .histograms = 0.1, .exemplars = 0.1 },
	    1500);
	workload("prometheus-benchmark", (struct loadgen_opts){ .targets = 2 }, 2460);
	workload("tsbs-devops", (struct loadgen_opts){ .targets = 11 }, 1111);
	workload("tsbs-cpu",
	    (struct loadgen_opts){ .targets = 30, .histograms = 0.2, .exemplars = 0.5 }, 300);
	workload("k6", (struct loadgen_opts){ .series = 2500 }, 2500);
	struct loadgen_opts o = { .avalanche = loadgen_avalanche };
	o.avalanche.gauges = 3;
	o.avalanche.counters = o.avalanche.histograms = o.avalanche.natives = 2;
	o.avalanche.summaries = 1;
	o.avalanche.series = 10;
	workload("avalanche", o, 10 * (3 + 2 + 2 * 10 + 2 + 4));
}

/* ---- what values do ---- */

struct watch {
	const char *name;
	double was[200], least, most;
	size_t at, seen, fell, rose, fractions;
};

static void watch_row(void *arg, const struct loadgen_row *r)
{
	struct watch *w = arg;
	uint32_t len = 0;
	const char *name = label_get(r->labels, LABEL_NAME, sizeof(LABEL_NAME) - 1, &len);
	if (len != strlen(w->name) || memcmp(name, w->name, len) != 0 || w->at == 200)
		return;
	if (w->seen) {
		w->fell += r->v < w->was[w->at];
		w->rose += r->v > w->was[w->at];
	}
	w->fractions += r->v != (double)(int64_t)r->v;
	w->least = r->v < w->least ? r->v : w->least;
	w->most = r->v > w->most ? r->v : w->most;
	w->was[w->at++] = r->v;
}

static void watch(struct loadgen *g, struct watch *w, unsigned rounds)
{
	for (unsigned r = 0; r < rounds; r++) {
		w->at = 0;
		loadgen_round(g, r);
		for (uint64_t i = 0; i < loadgen_batches(g); i++)
			loadgen_rows(g, i, watch_row, w);
		w->seen++;
	}
}

static void values(void)
{
	struct loadgen_opts o = { .workload = "tsbs-devops", .targets = 40, .churn = -1 };
	struct watch cpu = { .name = "cpu_usage_user", .least = 1e9, .most = -1 },
	             sent = { .name = "net_bytes_sent", .least = 1e9, .most = -1 };
	struct loadgen *g = make(&o);
	watch(g, &cpu, 60);
	loadgen_free(g);
	tap_ok(cpu.at == 40 && cpu.least >= 0 && cpu.most <= 100 && !cpu.fractions &&
	        cpu.rose > 100 && cpu.fell > 100,
	    "a CPU walks between 0 and 100 in whole numbers, up and down");
	g = make(&o);
	watch(g, &sent, 60);
	loadgen_free(g);
	tap_ok(sent.at == 40 && !sent.fell && sent.rose == 40 * 59, "counters only rise");
	o = (struct loadgen_opts){
		.workload = "avalanche", .churn = -1, .avalanche = loadgen_avalanche
	};
	o.avalanche.histograms = 1;
	o.avalanche.gauges = 0;
	o.avalanche.series = 5;
	struct watch bucket = { .name = "avalanche_histogram_metric_mmmmm_0_0_bucket", .least = 1e9 };
	g = make(&o);
	watch(g, &bucket, 40);
	loadgen_free(g);
	tap_ok(bucket.at == 40 && !bucket.fell && bucket.most == 20,
	    "buckets only fill, one observation every second round of 15 s: up to %g", bucket.most);
}

static uint64_t hash_all(struct loadgen_opts o, uint64_t from)
{
	struct loadgen *g = make(&o);
	struct rwbody *b = rwbody_new(&(struct rwbody_opts){ .protocol = RWBODY_1 });
	struct rwbody_counts n;
	uint64_t h = 0;
	for (uint64_t r = from; r < 6; r++) {
		loadgen_round(g, r);
		if (r < 4)
			continue;
		for (uint64_t i = 0; i < loadgen_batches(g); i++) {
			const struct buf *raw = rwbody_raw(b, g, i, &n);
			h = hash64(raw->data, raw->len, h);
		}
	}
	rwbody_free(b);
	loadgen_free(g);
	return h;
}

static void seeds(void)
{
	struct loadgen_opts o = { .workload = "tsbs-devops", .targets = 12, .churn = 0 };
	tap_ok(hash_all(o, 0) == hash_all(o, 0), "two runs send the same bytes");
	tap_ok(hash_all(o, 0) == hash_all(o, 4), "who begins later goes on where the first one was");
	o.shuffle = true;
	tap_ok(hash_all(o, 0) == hash_all(o, 0), "also in random order");
}

static void count_change(void *arg, const struct loadgen_row *r)
{
	uint32_t len = 0;
	const char *v = label_get(r->labels, "revision", 8, &len);
	*(size_t *)arg += len == 2 && v[1] != '0';
}

static void churn(void)
{
	struct loadgen_opts o = { .workload = "prometheus-benchmark", .targets = 50, .churn = -1 };
	struct loadgen *g = make(&o);
	size_t at[4] = { 0 };
	static const uint64_t rounds[4] = { 0, 59, 600, 6000 };
	for (unsigned k = 0, r = 0; k < 4; k++) {
		for (; r <= rounds[k]; r++)
			loadgen_round(g, r);
		for (uint64_t i = 0; i < loadgen_batches(g); i++)
			loadgen_rows(g, i, count_change, &at[k]);
	}
	tap_ok(!at[0] && !at[1] && at[2] < at[3] && at[3] > 10 * 1230 && at[3] < 50 * 1230,
	    "each 10 minutes a target in a hundred is new: %zu, %zu, %zu, %zu", at[0], at[1], at[2],
	    at[3]);
	loadgen_free(g);
}

static void refused(void)
{
	struct loadgen *g = NULL;
	struct errbuf eb;
	errbuf_init(&eb);
	struct loadgen_opts o = { .workload = "tsbs-cpo", .batch = 1, .step_ms = 1 };
	tap_ok(loadgen_create(&o, &g, &eb) && strstr(eb.text, "did you mean tsbs-cpu"),
	    "an unknown workload is told with its neighbour: %s", eb.text);
	errbuf_init(&eb);
	o.workload = "k6";
	o.histograms = 0.5;
	tap_ok(loadgen_create(&o, &g, &eb), "k6 has no histograms: %s", eb.text);
	errbuf_init(&eb);
	o.workload = "node";
	o.histograms = 2;
	tap_ok(loadgen_create(&o, &g, &eb), "nor is 2 a part: %s", eb.text);
}

int main(void)
{
	workloads();
	values();
	seeds();
	churn();
	refused();
	return tap_done();
}
