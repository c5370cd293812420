/*
 * ql_value - the unit of evaluation: step columns, label sets of a query, and the budget they are
 * charged to.
 *
 * A column is one series over all steps of a grid: n doubles and a bitmap of presence. Values where
 * the bit is off are 0 (so that arrays can be added without looking).
 * An instant query has n = 1. A vector is an array of columns that share one grid; all label sets
 * in it differ, unless a column carries drop_name and names are removed late.
 * Everything lives in an arena; a vector that came from a piece points into the piece's arenas
 * (core/promql/run/ql_piece.h), which the query keeps until it ends.
 *
 * Floats and histograms: has and v of a column are its floats alone; its histograms stand beside
 * them (struct ql_hists), and hists is NULL when it has none, as nearly always. A step has a float,
 * or a histogram, or nothing. So code for floats that knows nothing of histograms leaves them out,
 * and says so by hists = NULL in what it makes.
 * All histograms in columns are float histograms (is_float), never stale markers, and are not
 * changed once they are there; several columns may share one. They live as long as the column.
 *
 * Thread: one at a time.
 */
#ifndef CORE_PROMQL_PLAN_QL_VALUE_H
#define CORE_PROMQL_PLAN_QL_VALUE_H

#include "core/base/purse.h"
#include "core/model/hist.h"
#include "core/model/label.h"
#include "core/promql/lang/ql_names.h"

struct ql_grid { /* times start, start + step, ...: n of them */
	int64_t start_ms, step_ms;
	uint32_t n;
};
static inline int64_t ql_grid_t(const struct ql_grid *g, uint32_t i)
{
	return g->start_ms + (int64_t)i * g->step_ms;
}

/*
 * A scalar at all steps of a grid: the same everywhere, the time of each step, or a value for each.
 * Only the last takes memory that grows with the grid.
 */
enum ql_scalar_kind {
	QL_UNKNOWN, /* not evaluated yet */
	QL_SAME,
	QL_TIMES,   /* in seconds */
	QL_SECONDS, /* whole ones */
	QL_EACH
};
struct ql_scalar {
	enum ql_scalar_kind kind;
	double same;
	int64_t start_ms, step_ms; /* of the grid */
	const double *each;
};
static inline struct ql_scalar ql_scalar_same(double v)
{
	return (struct ql_scalar){ .kind = QL_SAME, .same = v };
}
static inline struct ql_scalar ql_scalar_each(const double *v)
{
	return (struct ql_scalar){ .kind = QL_EACH, .each = v };
}
static inline struct ql_scalar ql_scalar_times(const struct ql_grid *g, bool whole)
{
	return (struct ql_scalar){
		.kind = whole ? QL_SECONDS : QL_TIMES,
		.start_ms = g->start_ms,
		.step_ms = g->step_ms,
	};
}
static inline double ql_scalar_at(const struct ql_scalar *s, uint32_t i)
{
	if (s->kind == QL_EACH)
		return s->each[i];
	if (s->kind == QL_SAME)
		return s->same;
	int64_t t = s->start_ms + (int64_t)i * s->step_ms;
	return s->kind == QL_TIMES ? (double)t / 1000 : (double)(t / 1000);
}
/*
 * Columns are worked on in parts of so many steps: a multiple of 64, between two looks at the
 * clock.
 */
#define QL_PART 1024
static inline uint32_t ql_part(uint32_t from, uint32_t n)
{
	return n - from < QL_PART ? n - from : QL_PART;
}
/* The values at the steps from, from + 1, ...: count of them, in room or where they are. */
const double *ql_scalar_run(const struct ql_scalar *s, uint32_t from, uint32_t count, double *room);

struct ql_hists {
	uint64_t *has;         /* where there is one: ql_words(n) words, bits beyond n are off */
	const struct hist **h; /* n of them, NULL where the bit is off */
};
struct ql_col {
	struct labels ls;
	uint64_t hash;          /* label_hash(ls) */
	uint64_t *has;          /* floats: where there is one, ql_words(n) words, as above */
	double *v;              /* n values, 0 where absent */
	struct ql_hists *hists; /* NULL: no histograms */
	bool drop_name;         /* delayed name removal: the metadata labels go at the end */
};
struct ql_vec {
	struct ql_col *cols;
	uint32_t count, cap;
};

static inline uint32_t ql_words(uint32_t n)
{
	return (n + 63) / 64;
}
static inline bool ql_bit(const uint64_t *w, uint32_t i)
{
	return w[i >> 6] >> (i & 63) & 1;
}
static inline void ql_bit_on(uint64_t *w, uint32_t i)
{
	w[i >> 6] |= (uint64_t)1 << (i & 63);
}
static inline void ql_bit_off(uint64_t *w, uint32_t i)
{
	w[i >> 6] &= ~((uint64_t)1 << (i & 63));
}
static inline void ql_bits_fill(uint64_t *w, uint32_t n) /* all n on */
{
	for (uint32_t i = 0; i < n / 64; i++)
		w[i] = ~(uint64_t)0;
	if (n % 64)
		w[n / 64] = ((uint64_t)1 << (n % 64)) - 1;
}
static inline bool ql_bits_any(const uint64_t *w, uint32_t n)
{
	for (uint32_t i = 0; i < ql_words(n); i++)
		if (w[i])
			return true;
	return false;
}
/* Steps with a float or a histogram: one word of 64. */
static inline uint64_t ql_col_word(const struct ql_col *c, uint32_t word)
{
	return c->has[word] | (UNLIKELY(c->hists != NULL) ? c->hists->has[word] : 0);
}
static inline bool ql_col_any(const struct ql_col *c, uint32_t n)
{
	return ql_bits_any(c->has, n) || (c->hists && ql_bits_any(c->hists->has, n));
}
/* Set bits of a word, in sums side by side: the plain processor has no instruction for it. */
static inline uint32_t ql_popcount(uint64_t w)
{
	w -= w >> 1 & 0x5555555555555555u;
	w = (w & 0x3333333333333333u) + (w >> 2 & 0x3333333333333333u);
	w = (w + (w >> 4)) & 0x0f0f0f0f0f0f0f0fu;
	return (uint32_t)(w * 0x0101010101010101u >> 56);
}
static inline uint32_t ql_bits_count(const uint64_t *w, uint32_t n)
{
	uint32_t c = 0;
	for (uint32_t i = 0; i < ql_words(n); i++)
		c += w[i] == ~(uint64_t)0 ? 64 : ql_popcount(w[i]);
	return c;
}
/* Runs body for each set bit with its index in "name"; words without bits cost one test. */
#define QL_EACH_BIT(name, w, n)                                                                    \
 for (uint32_t name##_w_ = 0; name##_w_ < ql_words(n); name##_w_++)                                \
  for (uint64_t name##_m_ = (w)[name##_w_]; name##_m_; name##_m_ &= name##_m_ - 1)                 \
   for (uint32_t name = name##_w_ * 64 + (uint32_t)__builtin_ctzll(name##_m_), name##_k_ = 1;      \
	name##_k_; name##_k_ = 0)

/*
 * What a query may use: bytes and samples (values held in columns), counted in two purses that all
 * its loops share. Whoever evaluates has a budget of its own on them: the nodes at home, each scan.
 * Arenas of a query count by themselves (arena_purse); what is larger than a block of an arena is
 * asked for first. Refusals are ERR_TOOBIG over the query's own limit and ERR_BUSY when all
 * queries together have none left; the text names the limit, its number and its flag.
 */
struct ql_budget {
	struct purse *bytes, *samples; /* NULL: nothing is counted */
	uint64_t points, points_peak;  /* held through this budget */
	uint64_t _lease;               /* samples taken from the purse and not used yet */
};
/* Room for so many values in the arena? They count as samples from now on. */
MUST_CHECK enum err ql_charge(struct ql_budget *b, uint64_t points, struct errbuf *eb);
void ql_uncharge(struct ql_budget *b, uint64_t points);
/* Values that another budget of the same query has charged are this one's from now on. */
void ql_budget_adopt(struct ql_budget *b, uint64_t points);
/* What it leased and does not use goes back; the values that it held are somebody else's. */
void ql_budget_close(struct ql_budget *b);
/* Heap memory of one's own: asked for before it is taken, given back when it is freed. */
MUST_CHECK enum err ql_charge_heap(struct ql_budget *b, uint64_t bytes, struct errbuf *eb);
void ql_uncharge_heap(struct ql_budget *b, uint64_t bytes);
/* Would bytes more in an arena be too many? Asked before they are taken. */
MUST_CHECK enum err ql_room(const struct ql_budget *b, uint64_t bytes, struct errbuf *eb);
/* Arenas grew above a limit: looked at in each slice. */
MUST_CHECK enum err ql_budget_look(const struct ql_budget *b, struct errbuf *eb);

/* A new column of n steps, nothing present. Not charged here. */
void ql_col_init(struct arena *a, struct ql_col *c, struct labels ls, uint64_t hash, uint32_t n);
/* Room for histograms beside the floats, none there; 8 bytes and a bit a step. Not charged here. */
void ql_col_hists(struct arena *a, struct ql_col *c, uint32_t n);
/*
 * Copies of from's histograms at the steps *at.., until n is reached or some work is done, into the
 * arena and to, which has room for them (ql_col_hists); neighbours that are one stay one. Returns
 * the work; *at == n: all is done. ERR_NOMEM, and what ql_room says.
 */
MUST_CHECK enum err ql_hists_copy(struct ql_budget *b, struct arena *a, struct ql_hists *to,
    const struct ql_hists *from, uint32_t n, uint32_t *at, uint64_t *work, struct errbuf *eb);
/* Of one word of 64 steps these go. */
void ql_hists_off(struct ql_hists *hs, uint32_t word, uint64_t gone);
#define QL_HISTS_WORK 2048 /* values copied, or looked at, between looks at the clock */
/* Room for one more column; the array moves when it grows. */
struct ql_col *ql_vec_add(struct arena *a, struct ql_vec *v);
/* Room for so many columns in all, so that they can be added without a move. */
void ql_vec_reserve(struct arena *a, struct ql_vec *v, uint32_t count);

/* Kahan-Neumaier step, as util/kahansum upstream. */
static inline void ql_kahan(double x, double *sum, double *c)
{
	double s = *sum, t = s + x;
	if (UNLIKELY(__builtin_isinf(t)))
		*c = 0;
	else if (__builtin_fabs(s) >= __builtin_fabs(x))
		*c += (s - t) + x;
	else
		*c += (x - t) + s;
	*sum = t;
}

/*
 * The mean of n values from their sum and its compensation. What both add up to hardly depends on
 * the order in which values came, but which part of it stands in which does: so the larger part
 * first takes what it can hold, and all orders give the same mean.
 */
static inline double ql_kahan_mean(double sum, double c, double n)
{
	double s = sum + c, b = s - sum;
	if (UNLIKELY(!__builtin_isfinite(s)))
		return sum / n + c / n;
	double rest = (sum - (s - b)) + (c - b);
	return s / n + rest / n;
}

/* --- label sets --- */

/*
 * Keeps (keep true) or drops the labels named; canonical in, canonical out. The result is in
 * scratch until the next call: copy it, or give it to ql_tab_add.
 */
struct labels ql_labels_pick(
    struct buf *scratch, struct labels ls, const struct ql_names *names, bool keep);
/* Without __name__, __type__ and __unit__: in the arena, or ls itself when it has none of them. */
struct labels ql_labels_drop(struct arena *a, struct labels ls, unsigned *dropped);
static inline struct labels ql_labels_drop_name(struct arena *a, struct labels ls)
{
	unsigned dropped;
	return ql_labels_drop(a, ls, &dropped);
}
bool ql_labels_have_name(struct labels ls); /* any of the three */

/*
 * Interning: label sets to ordinals 0, 1, ... in order of arrival. Keys stand in pages and never
 * move. When the table of slots is full, a larger one takes over a few keys with each new one: no
 * call works on all of them.
 */
struct ql_tab_key {
	struct labels ls;
	uint64_t hash;
};
struct ql_tab {
	struct arena *arena;
	uint32_t count;
	struct ql_tab_key **_pages;
	uint32_t _pages_cap;
	uint32_t *_slots, _slots_count; /* ordinal + 1 */
	/* the smaller table of before, until _moved is _old_keys: how many keys it has */
	uint32_t *_old, _old_count, _old_keys, _moved;
};
#define QL_TAB_PAGE 64
static inline const struct ql_tab_key *ql_tab_key(const struct ql_tab *t, uint32_t ordinal)
{
	return &t->_pages[ordinal / QL_TAB_PAGE][ordinal % QL_TAB_PAGE];
}
void ql_tab_init(struct ql_tab *t, struct arena *a);
/* Slots for so many label sets, while there are none. */
void ql_tab_reserve(struct ql_tab *t, uint32_t count);
uint64_t ql_tab_bytes(uint32_t count); /* what so many take, at most, beside their bytes */
/*
 * The ordinal; *fresh tells whether it is new. copy: the bytes are copied into the arena when new.
 */
uint32_t ql_tab_add(struct ql_tab *t, struct labels ls, uint64_t hash, bool copy, bool *fresh);
#define QL_TAB_NONE UINT32_MAX
uint32_t ql_tab_find(const struct ql_tab *t, struct labels ls, uint64_t hash);

/*
 * The values of from, count of them from a multiple of 64 on, into to. False, and nothing is done,
 * when both have one at the same step. Where from has histograms, to has room for some
 * (ql_col_hists).
 */
bool ql_col_absorb(struct ql_col *to, const struct ql_col *from, uint32_t at, uint32_t count);

#endif
