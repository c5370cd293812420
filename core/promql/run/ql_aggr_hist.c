/* Histograms of aggregations that add up. */
#include "core/promql/run/ql_aggr.h"

#include "core/model/histmath.h"

#define STEPS_WORK 2048 /* steps and values of histograms between looks at the clock */

static bool adds_hists(enum ql_agg op)
{
	return op == QL_SUM || op == QL_AVG;
}

/* ls: of one of the series. */
static enum err hists_make(struct ql_aggr *g, struct ql_aggr_group *gr, struct labels ls,
    struct ql_budget *b, struct errbuf *eb)
{
	size_t words = ql_words(g->n);

	if (gr->hists)
		return ERR_OK;
	enum err e = ql_charge(b, g->n, eb);
	if (e)
		return e;
	struct ql_aggr_hists *h = arena_zalloc(g->arena, sizeof(*h));
	h->sum = arena_zalloc(g->arena, (size_t)g->n * sizeof(struct hist_sum *));
	h->mixed = arena_zalloc(g->arena, words * sizeof(*h->mixed));
	h->collided = arena_zalloc(g->arena, words * sizeof(*h->collided));
	if (ls.len && !g->nameless)
		h->ls = (struct labels){ arena_dup(g->arena, ls.bytes, ls.len), ls.len };
	gr->hists = h;
	return ERR_OK;
}

/* What was told of a sum at a step; ls: whose name a text ends with. */
static enum err take_told(struct ql_aggr *g, struct ql_aggr_hists *to, uint32_t i, unsigned told,
    struct labels ls, struct errbuf *eb)
{
	if (told & HISTMATH_NONE)
		return errbuf_set(eb, ERR_NOMEM, "no memory for a sum of histograms");
	if (told & HISTMATH_COLLIDED)
		ql_bit_on(to->collided, i);
	if (told & HISTMATH_RECONCILED)
		ql_notes_told(g->notes, g->pos, HISTMATH_RECONCILED, "aggregation");
	if ((told & HISTMATH_MIXED) && !ql_bit(to->mixed, i)) {
		ql_bit_on(to->mixed, i);
		ql_notes_named(g->notes, false, g->pos, QL_NOTE_MIXED_SCHEMAS,
		    g->nameless ? (struct labels){ 0 } : ls);
	}
	return ERR_OK;
}

static enum err sum_step(struct ql_aggr *g, struct ql_aggr_hists *to, uint32_t i,
    const struct ql_col *col, struct ql_budget *b, struct errbuf *eb)
{
	const struct hist *h = col->hists->h[i];

	if (ql_bit(to->mixed, i))
		return ERR_OK;
	if (!to->sum[i]) {
		/* counts and what they lack, twice: a sum moves when its layout grows */
		enum err e = ql_room(b, hist_cost(h) * 8 * 4, eb);
		if (e)
			return e;
		to->sum[i] = hist_sum_make(g->arena, g->op == QL_AVG);
	}
	return take_told(g, to, i, hist_sum_add(to->sum[i], h), col->ls, eb);
}

/* A step of the column that has a histogram; its work. */
static enum err add_step(struct ql_aggr *g, struct ql_aggr_group *to, const struct ql_col *col,
    uint32_t i, uint64_t *work, struct ql_budget *b, struct errbuf *eb)
{
	if (adds_hists(g->op)) {
		*work += 4 * hist_cost(col->hists->h[i]);
		return sum_step(g, to->hists, i, col, b, eb);
	}
	if (g->op == QL_COUNT)
		to->a[i] += 1;
	ql_bit_on(to->has, i);
	return ERR_OK;
}

enum err ql_aggr_hists_add(struct ql_aggr *g, struct ql_aggr_group *to, const struct ql_col *col,
    bool *more, struct ql_budget *b, struct errbuf *eb)
{
	enum err e = adds_hists(g->op) ? hists_make(g, to, col->ls, b, eb) : ERR_OK;
	uint64_t work = 0;

	*more = false;
	if (!adds_hists(g->op) && g->op != QL_COUNT && g->op != QL_GROUP) {
		if (ql_bits_any(col->hists->has, g->n))
			ql_notes_left_out(g->notes, g->pos, ql_agg_text(g->op));
		return ERR_OK;
	}
	while (!e && g->_hist < g->n && work < STEPS_WORK) {
		uint32_t i = g->_hist++;
		work++;
		if (ql_bit(col->hists->has, i))
			e = add_step(g, to, col, i, &work, b, eb);
	}
	*more = !e && g->_hist < g->n;
	if (!*more)
		g->_hist = 0;
	return e;
}

static enum err merge_step(struct ql_aggr *g, struct ql_aggr_hists *to,
    const struct ql_aggr_hists *from, uint32_t i, uint64_t *work, struct errbuf *eb)
{
	if (ql_bit(from->mixed, i))
		ql_bit_on(to->mixed, i);
	if (ql_bit(from->collided, i))
		ql_bit_on(to->collided, i);
	if (!from->sum[i])
		return ERR_OK;
	if (!to->sum[i]) {
		to->sum[i] = from->sum[i];
		return ERR_OK;
	}
	*work += 256;
	if (ql_bit(to->mixed, i))
		return ERR_OK;
	return take_told(g, to, i, hist_sum_merge(to->sum[i], from->sum[i]), from->ls, eb);
}

enum err ql_aggr_hists_merge(struct ql_aggr *g, struct ql_aggr_group *to,
    const struct ql_aggr_group *from, bool *more, struct ql_budget *b, struct errbuf *eb)
{
	enum err e = hists_make(g, to, from->hists->ls, b, eb);
	uint64_t work = 0;

	while (!e && g->_hist < g->n && work < STEPS_WORK) {
		work++;
		e = merge_step(g, to->hists, from->hists, g->_hist++, &work, eb);
	}
	*more = !e && g->_hist < g->n;
	if (!*more)
		g->_hist = 0;
	return e;
}

/* The result at a step, if it has one; its work. */
static uint64_t finish_step(struct ql_aggr *g, struct ql_aggr_group *gr, uint32_t i)
{
	struct ql_aggr_hists *h = gr->hists;
	const struct hist *sum;

	if (!h->sum[i])
		return 1;
	if (ql_bit(gr->has, i)) {
		ql_notes_add(g->notes, false, g->pos,
		    "encountered a mix of histograms and floats for aggregation");
		ql_bit_off(gr->has, i);
		gr->a[i] = 0;
		return 16;
	}
	if (ql_bit(h->mixed, i) || !(sum = hist_sum_get(h->sum[i], g->arena)))
		return 16;
	if (ql_bit(h->collided, i))
		ql_notes_told(g->notes, g->pos, HISTMATH_COLLIDED, "aggregation");
	h->out->h[i] = sum;
	ql_bit_on(h->out->has, i);
	return 16 + 4 * hist_cost(sum);
}

bool ql_aggr_hists_finish(struct ql_aggr *g, struct ql_aggr_group *gr, struct ql_col *out)
{
	uint64_t work = 0;

	if (!gr->hists->out) {
		ql_col_hists(g->arena, out, g->n);
		gr->hists->out = out->hists;
	}
	while (g->_hist < g->n && work < STEPS_WORK)
		work += finish_step(g, gr, g->_hist++);
	if (g->_hist < g->n)
		return true;
	g->_hist = 0;
	return false;
}
