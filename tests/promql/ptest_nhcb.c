/*
 * Native histograms with custom bounds, made of the classic ones of a load: for each set of labels
 * without le, and each time, of what its _bucket, _count and _sum series say then.
 */
#include "core/model/histmath.h"
#include "tests/promql/ptest_load.h"

#include <math.h>
#include <string.h>

struct bound {
	double le, count;
};
struct moment {
	struct bound *bounds; /* ascending */
	size_t bounds_count, bounds_cap;
	double count, sum;
	bool any, has_count;
};
struct group {
	struct group *next;
	unsigned line;
	struct labels labels;
	struct moment *moments; /* one for each item */
	size_t count;
};
enum kind {
	OTHER,
	BUCKET,
	COUNT,
	SUM
};

static enum kind kind_of(struct arena *a, struct labels ls, struct labels *base)
{
	static const struct {
		const char *end;
		enum kind kind;
	} ends[] = { { "_bucket", BUCKET }, { "_sum", SUM }, { "_count", COUNT } };
	uint32_t len = 0;
	const char *name = label_get(ls, LABEL_NAME, sizeof(LABEL_NAME) - 1, &len);
	for (size_t i = 0; name && i < COUNT_OF(ends); i++) {
		size_t cut = strlen(ends[i].end);
		if (len < cut || memcmp(name + len - cut, ends[i].end, cut))
			continue;
		struct label_builder b;
		label_builder_from(&b, a, ls);
		label_builder_set(&b, LABEL_NAME, sizeof(LABEL_NAME) - 1, name, len - cut);
		label_builder_del(&b, "le", 2);
		*base = label_builder_done(&b);
		return ends[i].kind;
	}
	return OTHER;
}

static struct group *group_of(
    struct arena *a, struct group **all, struct labels base, unsigned line, size_t items)
{
	struct group **g = all;
	while (*g && !label_equal((*g)->labels, base))
		g = &(*g)->next;
	if (!*g) {
		*g = arena_zalloc(a, sizeof(**g));
		(*g)->labels = base;
		(*g)->line = line;
	}
	if ((*g)->count < items) {
		struct moment *more = arena_zalloc(a, items * sizeof(*more));
		if ((*g)->count)
			memcpy(more, (*g)->moments, (*g)->count * sizeof(*more));
		(*g)->moments = more;
		(*g)->count = items;
	}
	return *g;
}

/* Into its place; the first of equal ones stays. */
static void add_bound(struct arena *a, struct moment *m, double le, double count)
{
	size_t at = 0;
	while (at < m->bounds_count && m->bounds[at].le < le)
		at++;
	if (at < m->bounds_count && m->bounds[at].le == le)
		return;
	if (m->bounds_count == m->bounds_cap) {
		m->bounds_cap = m->bounds_cap ? m->bounds_cap * 2 : 8;
		struct bound *more = arena_array(a, m->bounds_cap, sizeof(*more));
		if (m->bounds_count)
			memcpy(more, m->bounds, m->bounds_count * sizeof(*more));
		m->bounds = more;
	}
	memmove(&m->bounds[at + 1], &m->bounds[at], (m->bounds_count - at) * sizeof(*m->bounds));
	m->bounds[at] = (struct bound){ le, count };
	m->bounds_count++;
}

static void gather(struct arena *a, struct group **all, const struct ptest_series *se)
{
	struct labels base;
	double le = 0;
	enum kind kind = kind_of(a, se->desc.labels, &base);
	if (kind == BUCKET) {
		uint32_t len = 0;
		const char *text = label_get(se->desc.labels, "le", 2, &len);
		if (!text || num_parse_float(text, len, &le) || isnan(le))
			return;
	}
	if (kind == OTHER)
		return;
	struct group *g = group_of(a, all, base, se->line, se->desc.items_count);
	for (size_t i = 0; i < se->desc.items_count; i++) {
		const struct ql_series_item *it = &se->desc.items[i];
		struct moment *m = &g->moments[i];
		if (it->kind != QL_ITEM_FLOAT)
			continue;
		m->any = true;
		if (kind == BUCKET)
			add_bound(a, m, le, it->v);
		else if (kind == SUM)
			m->sum = it->v;
		else
			m->count = it->v;
		m->has_count = m->has_count || kind == COUNT;
	}
}

static const struct hist *convert(struct arena *a, struct moment *m, const char **bad)
{
	for (size_t i = 0; i < m->bounds_count; i++)
		if (m->bounds[i].count < 0 || (i && m->bounds[i].count < m->bounds[i - 1].count))
			*bad = "bucket counts are negative or not cumulative";
	if (!m->has_count && m->bounds_count)
		m->count = m->bounds[m->bounds_count - 1].count;
	if (!m->bounds_count || m->bounds[m->bounds_count - 1].le != INFINITY)
		add_bound(a, m, INFINITY, m->count);
	uint32_t n = (uint32_t)m->bounds_count;
	if (m->count != m->bounds[n - 1].count)
		*bad = "the count is not that of the highest bucket";
	struct hist *h = arena_zalloc(a, sizeof(*h));
	struct hist_span *span = arena_alloc(a, sizeof(*span));
	union hist_count *counts = arena_array(a, n, sizeof(*counts));
	double *bounds = arena_array(a, n, sizeof(*bounds));
	*span = (struct hist_span){ .length = n };
	for (uint32_t i = 0; i < n; i++) {
		counts[i].f = m->bounds[i].count - (i ? m->bounds[i - 1].count : 0);
		bounds[i] = m->bounds[i].le;
	}
	*h = (struct hist){ .is_float = true,
		.schema = HIST_SCHEMA_CUSTOM,
		.sum = m->sum,
		.count.f = m->count,
		.bounds = bounds,
		.bounds_count = n - 1,
		.positive = { span, counts, 1, n } };
	return hist_compact(a, h);
}

enum err ptest_nhcb_make(struct arena *a, const struct ptest_cmd *c, struct ptest_loaded *out,
    size_t *count, struct errbuf *eb)
{
	struct group *all = NULL;
	for (size_t i = 0; i < c->series_count; i++)
		gather(a, &all, &c->series[i]);
	for (const struct group *g = all; g; g = g->next) {
		struct ptest_loaded *l = &out[(*count)++];
		*l = (struct ptest_loaded){ .line = g->line, .labels = g->labels };
		l->samples = arena_array(a, g->count + 1, sizeof(*l->samples));
		for (size_t i = 0; i < g->count; i++) {
			const char *bad = NULL;
			if (!g->moments[i].any)
				continue;
			const struct hist *h = convert(a, &g->moments[i], &bad);
			if (bad)
				return errbuf_set(eb, ERR_BADDATA, "line %u: %s", g->line, bad);
			l->samples[l->count++] =
			    (struct ptest_sample){ .t_ms = (int64_t)i * c->step_ms, .h = h };
		}
	}
	return ERR_OK;
}
