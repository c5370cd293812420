#include "tests/promql/ptest_load.h"

#include "core/model/histmath.h"

#include <string.h>

struct ptest_last {
	struct ptest_last *next;
	struct labels labels;
	const struct hist *h; /* NULL: a float */
};

static struct ptest_last *last_of(struct arena *a, struct ptest_memory *m, struct labels labels)
{
	struct ptest_last *l = m->last;
	while (l && !label_equal(l->labels, labels))
		l = l->next;
	if (!l) {
		l = arena_zalloc(a, sizeof(*l));
		l->labels = (struct labels){ arena_dup(a, labels.bytes, labels.len), labels.len };
		l->next = m->last;
		m->last = l;
	}
	return l;
}

static const struct hist *stale_hist(struct arena *a)
{
	struct hist *h = arena_zalloc(a, sizeof(*h));
	h->is_float = true;
	h->sum = sample_stale();
	return h;
}

static bool same_bounds(const struct hist *a, const struct hist *b)
{
	return a->bounds_count == b->bounds_count &&
	    (!a->bounds_count || !memcmp(a->bounds, b->bounds, a->bounds_count * sizeof(*a->bounds)));
}

/* Does h go on from the one before, so that both would be in one chunk? */
static bool goes_on(struct arena *a, const struct hist *before, const struct hist *h)
{
	if (!before || hist_is_stale(before) || before->hint == HIST_GAUGE || h->hint == HIST_RESET)
		return false;
	return before->schema == h->schema && before->zero_threshold == h->zero_threshold &&
	    same_bounds(before, h) &&
	    !hist_reset_after(
	        a, hist_with_hint(a, before, HIST_UNKNOWN), hist_with_hint(a, h, HIST_UNKNOWN));
}

static void settle(struct arena *a, struct ptest_last *last, struct ptest_sample *s)
{
	if (!s->h && last->h && sample_is_stale(s->v))
		s->h = stale_hist(a);
	if (s->h && !hist_is_stale(s->h) && s->h->hint != HIST_GAUGE)
		s->h = hist_with_hint(
		    a, s->h, goes_on(a, last->h, s->h) ? HIST_NO_RESET : HIST_UNKNOWN);
	if (s->h)
		s->v = num_from_bits(SAMPLE_HIST_BITS);
	last->h = s->h;
}

static struct ptest_loaded make(
    struct arena *a, const struct ptest_cmd *c, const struct ptest_series *se)
{
	const struct ql_series_desc *d = &se->desc;
	struct ptest_loaded l = { .line = se->line, .labels = d->labels };
	l.samples = arena_array(a, d->items_count + 1, sizeof(*l.samples));
	for (size_t i = 0; i < d->items_count; i++) {
		const struct ql_series_item *it = &d->items[i];
		int64_t t_ms = (int64_t)i * c->step_ms;
		if (it->kind == QL_ITEM_OMITTED)
			continue;
		bool start = se->starts && se->starts[i].given;
		l.samples[l.count++] = (struct ptest_sample){
			.t_ms = t_ms,
			.start_ms = start ? t_ms + se->starts[i].offset_ms : 0,
			.v = it->kind == QL_ITEM_FLOAT ? it->v : 0,
			.h = it->kind == QL_ITEM_HISTOGRAM ? it->h : NULL,
		};
	}
	return l;
}

enum err ptest_load_make(struct arena *a, struct ptest_memory *m, const struct ptest_cmd *c,
    struct ptest_loaded **out, size_t *count, struct errbuf *eb)
{
	size_t n = c->series_count;
	struct ptest_loaded *l = arena_array(a, 2 * n + 1, sizeof(*l));
	for (size_t i = 0; i < n; i++)
		l[i] = make(a, c, &c->series[i]);
	if (c->nhcb) {
		enum err e = ptest_nhcb_make(a, c, l, &n, eb);
		if (e)
			return e;
	}
	for (size_t i = 0; i < n; i++) {
		struct ptest_last *last = last_of(a, m, l[i].labels);
		for (size_t k = 0; k < l[i].count; k++)
			settle(a, last, &l[i].samples[k]);
	}
	*out = l;
	*count = n;
	return ERR_OK;
}
