#include "bench/load/loadgen.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/loadgen_priv.h"
#include "core/base/hash.h"
#include "core/base/wire.h"

#define HIST_BUCKETS 20u
#define HIST_SCHEMA  3

/* The target of a series: the last one that begins at it or before. */
static size_t target_at(const struct loadgen *g, size_t series)
{
	size_t lo = 0, hi = g->targets_count;
	while (hi - lo > 1) {
		size_t mid = (lo + hi) / 2;
		if (g->targets[mid].first <= series)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

static void make_targets(struct loadgen *g)
{
	unsigned files = g->o.replay_count ? g->o.replay_count : 1;
	uint64_t per_page = g->tmpls_count, targets = g->o.targets;
	if (!g->o.replay_count && g->o.series)
		targets = (g->o.series + per_page - 1) / per_page;
	g->targets_count = targets * files;
	g->targets = mem_zalloc(g->targets_count * sizeof(*g->targets));
	uint64_t most = g->o.replay_count || !g->o.series ? per_page * targets : g->o.series;
	for (size_t i = 0; i < g->targets_count; i++) {
		unsigned file = (unsigned)(i % files);
		g->targets[i] = (struct target){
			.file = file, .no = (unsigned)(i / files), .first = g->series_count
		};
		uint64_t own = g->file_first[file + 1] - g->file_first[file];
		g->series_count += own < most - g->series_count ? own : most - g->series_count;
	}
}

static void make_order(struct loadgen *g)
{
	if (!g->o.shuffle)
		return;
	g->order = mem_array(NULL, g->series_count, sizeof(*g->order));
	for (size_t i = 0; i < g->series_count; i++)
		g->order[i] = (uint32_t)i;
	for (size_t i = g->series_count; i > 1; i--) {
		size_t j = hash_mix64(i) % i;
		uint32_t x = g->order[i - 1];
		g->order[i - 1] = g->order[j];
		g->order[j] = x;
	}
}

static const struct tmpl *tmpl_of(const struct loadgen *g, const struct target *t, size_t series)
{
	return &g->tmpls[g->file_first[t->file] + (series - t->first)];
}

/* ---- values ---- */

/* The same hash for the same series, whatever else there is. */
static uint64_t hash_of(size_t target, size_t tmpl)
{
	return hash_mix64(((uint64_t)target << 32) | tmpl);
}

static double normal(uint64_t x)
{
	double u = workload_unit(x), w = workload_unit(x ^ 0x5bd1e995u);
	return sqrt(-2 * log(1 - u)) * cos(2 * M_PI * w);
}

/* Of the turn that a round is in: a whole number below 100. */
static double dice(size_t target, const struct tmpl *m, uint64_t turn)
{
	return (double)(hash_mix64(hash_of(target, m->dice) + turn) % 100);
}

static bool has_state(enum walk walk)
{
	return walk >= WALK_CLAMPED;
}

static double begin_of(const struct tmpl *m, size_t target, size_t tmpl)
{
	if (m->walk != WALK_CLAMPED)
		return 0;
	return m->base >= 0 ? m->base
	                    : m->lo + (m->hi - m->lo) * workload_unit(hash_of(target, tmpl));
}

static double step_of(
    const struct loadgen *g, const struct tmpl *m, size_t target, size_t tmpl, double v)
{
	uint64_t h = hash_of(target, tmpl);
	bool turn = g->walked % g->turn_rounds == 0;
	if (m->walk == WALK_CLAMPED)
		return fmin(m->hi, fmax(m->lo, v + m->mean + m->sd * normal(h + g->walked)));
	if (m->walk == WALK_RISING)
		return v + fabs(m->mean + m->sd * normal(h + g->walked));
	double thrown = turn ? dice(target, m, g->walked / g->turn_rounds) : 0;
	if (m->walk == WALK_TALLY)
		return v + thrown;
	return v + (turn && thrown <= m->hi);
}

/* All walks that have a state, one round on; round 0 is where they begin. */
static void walk_on(struct loadgen *g)
{
	for (size_t k = 0; k < g->targets_count; k++) {
		const struct target *t = &g->targets[k];
		size_t end = k + 1 < g->targets_count ? t[1].first : g->series_count;
		for (size_t i = t->first; i < end; i++) {
			const struct tmpl *m = tmpl_of(g, t, i);
			size_t tmpl = (size_t)(m - g->tmpls);
			if (has_state(m->walk))
				g->state[i] = step_of(g, m, k, tmpl, g->state[i]);
		}
	}
}

static void make_state(struct loadgen *g)
{
	bool any = false;
	for (size_t i = 0; i < g->tmpls_count; i++)
		any |= has_state(g->tmpls[i].walk);
	if (!any)
		return;
	g->state = mem_zalloc(g->series_count * sizeof(*g->state));
	for (size_t k = 0; k < g->targets_count; k++) {
		const struct target *t = &g->targets[k];
		size_t end = k + 1 < g->targets_count ? t[1].first : g->series_count;
		for (size_t i = t->first; i < end; i++) {
			const struct tmpl *m = tmpl_of(g, t, i);
			g->state[i] = begin_of(m, k, (size_t)(m - g->tmpls));
		}
	}
	walk_on(g); /* the first turn */
}

/* Page mode: shapes by hash of the series, most hardly move. */
static double shape_value(const struct loadgen *g, size_t target, size_t tmpl)
{
	uint64_t h = hash_of(target, tmpl), r = g->round;
	double base = g->tmpls[tmpl].base;
	switch (h % 20) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4: /* a counter that moves */
		return floor(fabs(base)) + (double)(r * (h >> 8 & 1023) + (hash_mix64(h + r) & 63));
	case 5:
	case 6: /* seconds of something, two decimals */
		return floor(fabs(base) * 100) / 100 + (double)(r * (h >> 8 & 1023)) / 100;
	case 7:
	case 8: /* bytes in pages */
		return 4096.0 * (double)((h >> 12 & 0xfffff) + (hash_mix64(h ^ r) & 1023));
	case 9: /* a gauge of two decimals */
		return (double)(hash_mix64(h + r) % 10000) / 100;
	case 10:
	case 11: /* a slow counter */
		return floor(fabs(base)) + (double)((r + h % 60) / 60);
	default:
		return base;
	}
}

static double value_of(
    const struct loadgen *g, size_t target, const struct tmpl *m, size_t series, int64_t t_ms)
{
	size_t tmpl = (size_t)(m - g->tmpls);
	switch (m->walk) {
	case WALK_SHAPE:
		return shape_value(g, target, tmpl);
	case WALK_STILL:
		return m->base;
	case WALK_PLAYED:
		return m->replay[(g->round + (uint64_t)REPLAY_SHIFT * g->targets[target].no) %
		    g->scrapes[m->file]];
	case WALK_CLOCK:
		return floor((double)t_ms / 1000);
	case WALK_UPTIME:
		return floor((double)(t_ms - g->o.start_ms) / 1000);
	case WALK_DICE:
		return dice(target, m, g->round / g->turn_rounds);
	case WALK_CLAMPED:
	case WALK_RISING:
	case WALK_TALLY:
	case WALK_COUNT:
		break;
	}
	return m->whole ? trunc(g->state[series]) : g->state[series];
}

static bool absent(double v)
{
	uint64_t bits;
	memcpy(&bits, &v, 8);
	return bits == ABSENT_BITS;
}

/* A histogram whose counts only grow: a hump over its buckets. */
struct made_hist {
	struct hist hist;
	struct hist_span span;
	union hist_count counts[HIST_BUCKETS];
};

static const struct hist *hist_make(
    const struct loadgen *g, size_t target, size_t tmpl, struct made_hist *m)
{
	uint64_t h = hash_of(target, tmpl), rate = 50 + h % 1000, total = 0;
	double sum = 0;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		double far = ((double)i - HIST_BUCKETS / 2.0) / (HIST_BUCKETS / 5.0);
		double part = exp(-far * far / 2) / 10;
		uint64_t n = (uint64_t)((double)((g->round + 1) * rate) * part);
		m->counts[i].n = n;
		total += n;
		sum += (double)n * exp2(((double)i - 10) / (1 << HIST_SCHEMA));
	}
	m->span = (struct hist_span){ .offset = -10, .length = HIST_BUCKETS };
	m->hist = (struct hist){ .schema = HIST_SCHEMA,
		.sum = sum,
		.zero_threshold = 1e-128,
		.count = { .n = total + g->round },
		.zero_count = { .n = g->round },
		.positive = { .spans = &m->span,
		    .counts = m->counts,
		    .spans_count = 1,
		    .counts_count = HIST_BUCKETS } };
	return &m->hist;
}

/* ---- rows ---- */

/* What the series of one target have in common: its slots as label messages. */
struct common {
	size_t target, first, end; /* series [first, end) */
	uint8_t wire[SLOTS_MAX][SLOT_WIRE_MAX];
	size_t len[SLOTS_MAX];
};

static size_t label_put(uint8_t *out, const char *name, const char *value, size_t value_len)
{
	size_t name_len = strlen(name);
	size_t inner = 2 + wire_varint_len(value_len) + name_len + 1 + value_len;
	uint8_t *p = out;
	*p++ = 0x0a;
	p = wire_store_varint(p, inner);
	*p++ = 0x0a;
	p = wire_store_varint(p, name_len);
	memcpy(p, name, name_len);
	p += name_len;
	*p++ = 0x12;
	p = wire_store_varint(p, value_len);
	memcpy(p, value, value_len);
	return (size_t)(p + value_len - out);
}

static void common_begin(const struct loadgen *g, struct common *c, size_t series)
{
	const struct target *t = &g->targets[c->target = target_at(g, series)];
	char text[SLOT_TEXT_MAX];
	c->first = t->first;
	c->end = c->target + 1 < g->targets_count ? t[1].first : g->series_count;
	for (unsigned k = 0; k < g->slots_count; k++) {
		size_t len = g->slots[k].put(g, t, text);
		c->len[k] = label_put(c->wire[k], g->slots[k].name, text, len);
	}
}

/* Own labels and slots, in the order of names. */
static void labels_join(
    const struct loadgen *g, const struct common *c, const struct tmpl *m, struct buf *out)
{
	uint32_t at = 0;
	buf_clear(out);
	buf_reserve(out, m->labels.len + SLOTS_MAX * SLOT_WIRE_MAX);
	for (unsigned k = 0; k < g->slots_count; k++) {
		if (!(m->slots & 1u << k))
			continue;
		buf_add(out, m->labels.bytes + at, m->cuts[k] - at);
		at = m->cuts[k];
		buf_add(out, c->wire[k], c->len[k]);
	}
	buf_add(out, m->labels.bytes + at, m->labels.len - at);
}

void loadgen_rows(struct loadgen *g, uint64_t batch,
    void (*fn)(void *arg, const struct loadgen_row *r), void *arg)
{
	uint64_t from = batch * g->o.batch, to = from + g->o.batch;
	struct common c = { .end = 0 };
	struct made_hist made;
	struct buf labels;
	if (to > g->series_count)
		to = g->series_count;
	buf_init(&labels);
	struct loadgen_row row = { .t_ms = g->o.start_ms + (int64_t)g->round * g->o.step_ms };
	for (uint64_t i = from; i < to; i++) {
		size_t series = g->order ? g->order[i] : i;
		if (series < c.first || series >= c.end)
			common_begin(g, &c, series);
		const struct target *t = &g->targets[c.target];
		const struct tmpl *m = tmpl_of(g, t, series);
		size_t tmpl = (size_t)(m - g->tmpls);
		row.hist = m->hist ? hist_make(g, c.target, tmpl, &made) : NULL;
		row.v = m->hist ? made.hist.sum : value_of(g, c.target, m, series, row.t_ms);
		if (absent(row.v))
			continue;
		labels_join(g, &c, m, &labels);
		row.labels = (struct labels){ labels.data, (uint32_t)labels.len };
		row.type = m->type;
		row.trace = hash_mix64(hash_of(c.target, tmpl) ^ (g->round << 20));
		row.exemplar = g->o.exemplars > 0 && workload_unit(row.trace) < g->o.exemplars;
		fn(arg, &row);
	}
	buf_release(&labels);
}

/* ---- the whole ---- */

static enum err check_opts(const struct loadgen_opts *o, struct errbuf *eb)
{
	if (o->instance && (!strchr(o->instance, '#') || strlen(o->instance) + 10 > SLOT_TEXT_MAX))
		return errbuf_set(eb, ERR_BADDATA,
		    "instance \"%s\": at most %u characters with a # for each digit of the number",
		    o->instance, SLOT_TEXT_MAX - 10);
	if (o->histograms > 1 || o->exemplars > 1)
		return errbuf_set(
		    eb, ERR_BADDATA, "--histograms and --exemplars are parts of all: 0 to 1");
	return ERR_OK;
}

enum err loadgen_create(const struct loadgen_opts *o, struct loadgen **out, struct errbuf *eb)
{
	struct loadgen *g = mem_zalloc(sizeof(*g));
	g->o = *o;
	g->turn_rounds = 1;
	arena_init(&g->arena, 1 << 20);
	enum err e = check_opts(o, eb);
	if (!e)
		e = workload_make(g, eb);
	if (e) {
		loadgen_free(g);
		return e;
	}
	make_targets(g);
	make_order(g);
	make_state(g);
	*out = g;
	return ERR_OK;
}

void loadgen_free(struct loadgen *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->tmpls_count; i++)
		mem_free(g->tmpls[i].replay);
	mem_free(g->tmpls);
	mem_free(g->targets);
	mem_free(g->order);
	mem_free(g->state);
	arena_release(&g->arena);
	mem_free(g);
}

uint64_t loadgen_series(const struct loadgen *g)
{
	return g->series_count;
}

uint64_t loadgen_batches(const struct loadgen *g)
{
	return (g->series_count + g->o.batch - 1) / g->o.batch;
}

const char *loadgen_selector(const struct loadgen *g)
{
	return g->selector;
}

static void churn(struct loadgen *g, uint64_t round)
{
	if (g->o.churn <= 0 || round == 0 || round % g->o.churn_rounds)
		return;
	for (size_t i = 0; i < g->targets_count; i++) {
		double u = workload_unit(round * 1000003 + i);
		if (u < g->o.churn)
			g->targets[i].revision++;
	}
}

void loadgen_round(struct loadgen *g, uint64_t round)
{
	g->round = round;
	churn(g, round);
	if (g->rename && round && round % g->rename_rounds == 0)
		g->rename(g, round / g->rename_rounds);
	while (g->state && g->walked < round) {
		g->walked++;
		walk_on(g);
	}
}
