#include "core/promql/cache/ql_kept.h"

#include <string.h>

#define FIRST_BLOCK ((size_t)1 << 10)
#define LARGE_BLOCK ((size_t)256 << 10)
#define SERIES_WORK 64 /* values that take as long as finding a series */

/* ---- what is kept ---- */

static void kept_free(struct snap *s)
{
	struct ql_kept *k = CONTAINER_OF(s, struct ql_kept, item.snap);
	struct purse *purse = k->purse;
	arena_release(&k->arena);
	purse_give(purse, sizeof(*k));
	mem_free(k);
}

static struct ql_kept *kept_make(struct purse *purse, struct ql_grid grid, uint64_t bytes)
{
	struct ql_kept *k = mem_zalloc(sizeof(*k));
	size_t block = bytes < LARGE_BLOCK ? (size_t)bytes + FIRST_BLOCK : LARGE_BLOCK;
	purse_force(purse, sizeof(*k));
	snap_init(&k->item.snap, kept_free);
	arena_init(&k->arena, block);
	arena_purse(&k->arena, purse);
	k->purse = purse;
	k->grid = grid;
	k->last_ms = INT64_MIN;
	return k;
}

void ql_kept_note(struct ql_kept *k, bool info, const struct ql_note *notes, size_t count)
{
	struct ql_note *have = k->notes[info], *out;
	size_t have_count = k->notes_count[info], a = 0, b = 0, n = 0;
	if (!count)
		return;
	out = arena_array(&k->arena, have_count + count, sizeof(*out));
	while (a < have_count || b < count) {
		int c = a == have_count ? 1 : b == count ? -1 : strcmp(have[a].text, notes[b].text);
		if (c <= 0) {
			out[n++] = have[a++];
			b += c == 0;
			continue;
		}
		const char *text = notes[b++].text;
		out[n++].text = arena_strndup(&k->arena, text, strlen(text));
	}
	k->notes[info] = out;
	k->notes_count[info] = n;
}

/* ---- parts ---- */

void ql_join_init(struct ql_join *j, struct ql_run *run, struct ql_grid grid)
{
	*j = (struct ql_join){ .run = run, .grid = grid };
}

void ql_join_add(
    struct ql_join *j, const struct ql_series *series, size_t count, int64_t from_ms, int64_t to_ms)
{
	CHECK(j->parts_count < QL_JOIN_PARTS);
	j->parts[j->parts_count++] = (struct ql_join_part){
		.series = series, .count = count, .from_ms = from_ms, .to_ms = to_ms
	};
}

uint32_t ql_kept_from(const struct ql_series *s, int64_t t_ms)
{
	uint32_t lo = 0, hi = s->count;
	if (!hi || s->t_ms[0] >= t_ms)
		return 0;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (s->t_ms[mid] < t_ms)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void part_cut(struct ql_join_part *p, const struct ql_series *s)
{
	p->lo = ql_kept_from(s, p->from_ms);
	p->hi = p->to_ms == INT64_MAX ? s->count : ql_kept_from(s, p->to_ms + 1);
}

/* ---- how much ---- */

static uint64_t hists_bytes(const struct ql_series *s, uint32_t lo, uint32_t hi)
{
	uint64_t bytes = 0;
	for (uint32_t i = lo; i < hi; i++)
		if (s->h[i] && (i == lo || s->h[i] != s->h[i - 1]))
			bytes += sizeof(**s->h) + hist_cost(s->h[i]) * 16 + 64;
	return bytes + (hi - lo) * sizeof(*s->h);
}

enum ql_did ql_join_measure(struct ql_join *j)
{
	for (; j->measured_part < j->parts_count; j->measured_part++, j->measured = 0) {
		struct ql_join_part *p = &j->parts[j->measured_part];
		while (j->measured < p->count) {
			const struct ql_series *s = &p->series[j->measured++];
			part_cut(p, s);
			uint32_t n = p->hi - p->lo;
			if (n)
				j->bytes += sizeof(*s) + 64 + s->labels.len + n * (uint64_t)16;
			if (UNLIKELY(s->h != NULL))
				j->bytes += hists_bytes(s, p->lo, p->hi);
			if (ql_tick(j->run, s->h ? n : 0))
				return QL_AGAIN;
		}
	}
	return QL_DONE;
}

/* ---- joining ---- */

void ql_join_begin(struct ql_join *j, struct purse *purse)
{
	j->out = kept_make(purse, j->grid, j->bytes + j->grid.n * sizeof(int64_t));
}

/* Labels of the next series, and which parts have it; their points. False: there is none. */
static bool join_next(struct ql_join *j, struct labels *labels, uint32_t *points)
{
	const struct ql_series *least = NULL;
	for (unsigned i = 0; i < j->parts_count; i++) {
		struct ql_join_part *p = &j->parts[i];
		p->has = false;
		if (p->at == p->count)
			continue;
		int c = least ? label_cmp(p->series[p->at].labels, least->labels) : -1;
		if (c > 0)
			continue;
		if (c < 0) {
			least = &p->series[p->at];
			for (unsigned k = 0; k < i; k++)
				j->parts[k].has = false;
		}
		p->has = true;
	}
	*points = 0;
	for (unsigned i = 0; least && i < j->parts_count; i++) {
		struct ql_join_part *p = &j->parts[i];
		if (!p->has)
			continue;
		part_cut(p, &p->series[p->at++]);
		*points += p->hi - p->lo;
	}
	if (least)
		*labels = least->labels;
	return least != NULL;
}

static const struct ql_series *series_of(const struct ql_join_part *p)
{
	return &p->series[p->at - 1];
}

static const int64_t *all_times(struct ql_join *j)
{
	if (!j->times) {
		j->times = arena_array(&j->out->arena, j->grid.n, sizeof(*j->times));
		for (uint32_t i = 0; i < j->grid.n; i++)
			j->times[i] = ql_grid_t(&j->grid, i);
	}
	return j->times;
}

/* Times and values; true: it has histograms, too. */
static bool join_floats(struct ql_join *j, struct labels labels, uint32_t points)
{
	struct arena *a = &j->out->arena;
	bool all = points == j->grid.n, hists = false;
	int64_t *t = all ? NULL : arena_array(a, points, sizeof(*t));
	double *v = arena_array(a, points, sizeof(*v));
	uint32_t k = 0;
	for (unsigned i = 0; i < j->parts_count; i++) {
		const struct ql_join_part *p = &j->parts[i];
		uint32_t n = p->hi - p->lo;
		if (!p->has || !n)
			continue;
		const struct ql_series *s = series_of(p);
		memcpy(v + k, s->v + p->lo, n * sizeof(*v));
		if (t)
			memcpy(t + k, s->t_ms + p->lo, n * sizeof(*t));
		hists |= s->h != NULL;
		k += n;
	}
	j->series = (struct ql_series){
		.labels = labels, .count = points, .t_ms = all ? all_times(j) : t, .v = v
	};
	if (labels.len)
		j->series.labels.bytes = arena_dup(a, labels.bytes, labels.len);
	return hists;
}

static void hists_begin(struct ql_join *j)
{
	j->h = arena_zalloc(&j->out->arena, j->series.count * sizeof(*j->h));
	j->hist_part = 0;
	j->hist_at = j->hist_out = 0;
	j->busy = true;
	j->hist_any = false;
}

/* Copies; neighbours that are one stay one. */
static enum ql_did join_hists(struct ql_join *j)
{
	for (; j->hist_part < j->parts_count; j->hist_part++, j->hist_at = 0) {
		const struct ql_join_part *p = &j->parts[j->hist_part];
		const struct ql_series *s = p->has ? series_of(p) : NULL;
		while (s && p->lo + j->hist_at < p->hi) {
			uint32_t i = p->lo + j->hist_at++, k = j->hist_out++;
			const struct hist *x = s->h ? s->h[i] : NULL;
			if (!x)
				continue;
			j->hist_any = true;
			bool same = j->hist_at > 1 && s->h[i - 1] == x;
			j->h[k] = same ? j->h[k - 1] : hist_copy(&j->out->arena, x);
			if (!j->h[k])
				return ql_fail(j->run,
				    errbuf_set(j->run->eb, ERR_NOMEM, "no memory for a histogram"));
			if (ql_tick(j->run, same ? 0 : hist_cost(x) + 16))
				return QL_AGAIN;
		}
	}
	j->series.h = j->hist_any ? j->h : NULL;
	j->busy = false;
	return QL_DONE;
}

/* The array of series grows by halves: they are few bytes beside their points. */
static void series_put(struct ql_join *j)
{
	struct ql_kept *k = j->out;
	if (k->series_count == j->series_cap) {
		size_t cap = j->series_cap + j->series_cap / 2 + 1;
		for (unsigned i = 0; i < j->parts_count; i++)
			cap = j->parts[i].count > cap ? j->parts[i].count : cap;
		struct ql_series *all = arena_array(&k->arena, cap, sizeof(*all));
		if (k->series_count)
			memcpy(all, k->series, k->series_count * sizeof(*all));
		k->series = all;
		j->series_cap = cap;
	}
	int64_t last = j->series.t_ms[j->series.count - 1];
	k->last_ms = last > k->last_ms ? last : k->last_ms;
	k->points += j->series.count;
	k->series[k->series_count++] = j->series;
}

enum ql_did ql_join_run(struct ql_join *j)
{
	struct labels labels = { 0 };
	uint32_t points;
	for (;;) {
		enum ql_did did = j->busy ? join_hists(j) : QL_DONE;
		if (did)
			return did;
		if (j->series.count)
			series_put(j);
		j->series.count = 0;
		if (!join_next(j, &labels, &points))
			return QL_DONE;
		if (points && join_floats(j, labels, points))
			hists_begin(j);
		if (ql_tick(j->run, SERIES_WORK + points / 2))
			return QL_AGAIN;
	}
}
