/*
 * topk, bottomk, limitk, limit_ratio.
 *
 * A group's columns are gone through for a block of at most 64 steps (a word of presence) at a
 * time,
 * with a heap of the best k for each of its steps; the heaps of a block stay in the cache, and a
 * column's values are read side by side. Equal values are ordered by labels, so the choice does not
 * depend on shards. When many labels were compared, all of them are ranked once, by sorting.
 * A group that is not larger than any k keeps everything, and is not looked at.
 */
#include "core/promql/run/ql_members.h"
#include "core/promql/run/ql_nodes.h"
#include "core/promql/run/ql_ratio.h"
#include "core/promql/run/ql_sorter.h"

#include <math.h>
#include <string.h>

#define BLOCK_BYTES    (1u << 20) /* of the heaps of a block, unless one of them has more */
#define RANK_WORTH     20         /* comparisons of labels a column before they are ranked */
#define COMPARE_VALUES 64         /* values that take as long as comparing two label sets */

enum topk_phase {
	TOPK_PARAM,
	TOPK_GROUPS,
	TOPK_CHOOSE,
	TOPK_RATIO, /* instead of CHOOSE */
	TOPK_RANK,  /* on the way, back to CHOOSE */
	TOPK_CLEAR, /* values that were not chosen */
	TOPK_ORDER, /* an instant vector: best first */
	TOPK_RESULT,
	TOPK_TIDY
};
enum block_phase {
	BLOCK_BEGIN,
	BLOCK_HEAPS, /* each member into the heaps of its steps */
	BLOCK_KEEP,  /* each heap tells its members */
	BLOCK_APPLY  /* each member loses the other steps */
};
struct item {
	double key;      /* larger is better; NaN is worst */
	uint32_t member; /* in its group */
};
struct block {
	enum block_phase phase;
	uint32_t step, count; /* count divides 64 */
	uint32_t k[64], used[64];
	uint32_t at, item;
};
struct topk {
	enum ql_agg op;
	enum topk_phase phase;
	struct ql_extent param;
	struct ql_members m;
	const struct ql_vec *v;
	uint32_t n;
	uint32_t group, pos, step;
	/* choosing */
	uint32_t heap_cap, block_max;
	struct item *heaps; /* of heap_cap each */
	uint64_t *mask;     /* per member: the steps of the block where it stays */
	struct block b;
	uint64_t compared;
	uint32_t *rank; /* of each column by labels, once it is worth it */
	/* an instant vector */
	uint32_t *order, order_count;
	struct ql_sorter sorter;
};

static void topk_enter(struct topk *t, enum topk_phase phase)
{
	t->phase = phase;
	t->pos = t->step = 0;
}

/* --- parameters --- */

static enum ql_did check_k(struct ql_run *x, const struct ql_extent *p, bool *nothing)
{
	*nothing = p->max < 1;
	if (*nothing)
		return QL_DONE;
	if (p->nan)
		return ql_failf(x, "Parameter value is NaN");
	if (p->min <= -9223372036854775808.0)
		return ql_failf(x, "Scalar value %s underflows int64", ql_fmt_g(x->arena, p->min));
	if (p->max >= 9223372036854775807.0)
		return ql_failf(x, "Scalar value %s overflows int64", ql_fmt_g(x->arena, p->max));
	return QL_DONE;
}

static enum ql_did check_ratio(
    struct ql_run *x, const struct ql_pn *pn, const struct ql_extent *p, bool *nothing)
{
	struct ql_pos pos = ql_bare_pos(pn->ast->agg.param);

	*nothing = p->max == 0 && p->min == 0;
	if (*nothing)
		return QL_DONE;
	if (p->nan)
		return ql_failf(x, "Ratio value is NaN");
	if (p->max > 1)
		ql_notes_add(&x->notes, false, pos,
		    "ratio value should be between -1 and 1, got %s, capping to 1",
		    ql_fmt_g(x->arena, p->max));
	if (p->min < -1)
		ql_notes_add(&x->notes, false, pos,
		    "ratio value should be between -1 and 1, got %s, capping to -1",
		    ql_fmt_g(x->arena, p->min));
	return QL_DONE;
}

/* k of a step, at most what there is. */
static uint32_t k_of(const struct topk *t, double p)
{
	return !(p >= 1) ? 0 : p < (double)t->v->count ? (uint32_t)p : t->v->count;
}

/* --- order --- */

static uint32_t column_of(const struct topk *t, uint32_t member)
{
	return t->m.col[t->m.from[t->group] + member];
}

static bool before_by_labels(struct topk *t, uint32_t a, uint32_t b)
{
	t->compared++;
	if (t->rank)
		return t->rank[a] < t->rank[b];
	return label_cmp(t->v->cols[a].ls, t->v->cols[b].ls) < 0;
}

static double key_of(const struct topk *t, double v)
{
	return t->op == QL_TOPK ? v : t->op == QL_BOTTOMK ? -v : 0;
}

/* Does a come before b? */
static bool better(struct topk *t, struct item a, struct item b)
{
	if (a.key > b.key)
		return true;
	if (a.key < b.key)
		return false;
	if (isnan(a.key) != isnan(b.key))
		return isnan(b.key);
	return before_by_labels(t, column_of(t, a.member), column_of(t, b.member));
}

/* --- heaps, the worst at the root --- */

static void heap_down(struct topk *t, struct item *heap, uint32_t count)
{
	for (uint32_t at = 0;;) {
		uint32_t worst = at, l = 2 * at + 1, r = l + 1;
		if (l < count && better(t, heap[worst], heap[l]))
			worst = l;
		if (r < count && better(t, heap[worst], heap[r]))
			worst = r;
		if (worst == at)
			return;
		struct item tmp = heap[at];
		heap[at] = heap[worst];
		heap[worst] = tmp;
		at = worst;
	}
}

static void heap_push(struct topk *t, struct item *heap, uint32_t at, struct item it)
{
	heap[at] = it;
	while (at && better(t, heap[(at - 1) / 2], heap[at])) {
		uint32_t up = (at - 1) / 2;
		struct item tmp = heap[up];
		heap[up] = heap[at];
		heap[at] = tmp;
		at = up;
	}
}

/* A member at a step of the block; true when the heap moved. */
static bool heap_offer(struct topk *t, uint32_t i, struct item it)
{
	struct item *heap = t->heaps + (size_t)i * t->heap_cap;

	if (t->b.used[i] < t->b.k[i]) {
		heap_push(t, heap, t->b.used[i]++, it);
		return true;
	}
	if (!t->b.k[i] || it.key < heap[0].key || !better(t, it, heap[0]))
		return false;
	heap[0] = it;
	heap_down(t, heap, t->b.used[i]);
	return true;
}

/* --- a block of steps of a group --- */

static uint64_t block_bits(const struct block *b)
{
	uint64_t bits = b->count == 64 ? ~(uint64_t)0 : ((uint64_t)1 << b->count) - 1;
	return bits << (b->step % 64);
}

static uint32_t group_size(const struct topk *t)
{
	return t->m.from[t->group + 1] - t->m.from[t->group];
}

/* False: every step keeps the whole group. */
static bool block_begin(struct topk *t, const struct ql_scalar *p)
{
	struct block *b = &t->b;
	bool some = false;

	b->count = t->n - b->step < t->block_max ? t->n - b->step : t->block_max;
	for (uint32_t i = 0; i < b->count; i++) {
		b->k[i] = k_of(t, ql_scalar_at(p, b->step + i));
		b->used[i] = 0;
		some = some || b->k[i] < group_size(t);
	}
	b->at = b->item = 0;
	return some;
}

static bool block_heaps(struct ql_run *x, struct topk *t)
{
	struct block *b = &t->b;
	uint64_t bits = block_bits(b);

	while (b->at < group_size(t)) {
		const struct ql_col *c = &t->v->cols[column_of(t, b->at)];
		uint64_t word =
		    t->op == QL_LIMITK ? ql_col_word(c, b->step / 64) : c->has[b->step / 64];
		uint64_t has = (word & bits) >> (b->step % 64);
		uint64_t compared = t->compared;
		uint32_t moved = 0;
		for (uint64_t m = has; m; m &= m - 1) {
			uint32_t i = (uint32_t)__builtin_ctzll(m);
			struct item it = { key_of(t, c->v[b->step + i]), b->at };
			moved += heap_offer(t, i, it);
		}
		t->mask[b->at++] = 0;
		compared = t->rank ? 0 : t->compared - compared;
		if (ql_tick(x, 64 + moved * 8 + compared * COMPARE_VALUES))
			return false;
	}
	return true;
}

static bool block_keep(struct ql_run *x, struct topk *t)
{
	struct block *b = &t->b;

	for (; b->at < b->count; b->at++, b->item = 0) {
		const struct item *heap = t->heaps + (size_t)b->at * t->heap_cap;
		while (b->item < b->used[b->at]) {
			uint32_t member = heap[b->item++].member;
			t->mask[member] |= (uint64_t)1 << ((b->step + b->at) % 64);
			if (ql_tick(x, 0))
				return false;
		}
	}
	return true;
}

static bool block_apply(struct ql_run *x, struct topk *t)
{
	struct block *b = &t->b;
	uint64_t bits = block_bits(b);

	while (b->at < group_size(t)) {
		struct ql_col *c = &t->v->cols[column_of(t, b->at)];
		uint64_t stays = ~bits | t->mask[b->at++];
		c->has[b->step / 64] &= stays;
		if (UNLIKELY(c->hists != NULL) && t->op == QL_LIMITK)
			c->hists->has[b->step / 64] &= stays;
		if (ql_tick(x, 16))
			return false;
	}
	return true;
}

static void block_enter(struct block *b, enum block_phase phase)
{
	b->phase = phase;
	b->at = b->item = 0;
}

/* True when the block is done; false when the slice ended. */
static bool block_run(struct ql_run *x, struct topk *t, const struct ql_scalar *p)
{
	struct block *b = &t->b;

	switch (b->phase) {
	case BLOCK_BEGIN:
		if (!block_begin(t, p))
			return true;
		block_enter(b, BLOCK_HEAPS);
		/* fall through */
	case BLOCK_HEAPS:
		if (!block_heaps(x, t))
			return false;
		block_enter(b, BLOCK_KEEP);
		/* fall through */
	case BLOCK_KEEP:
		if (!block_keep(x, t))
			return false;
		block_enter(b, BLOCK_APPLY);
		/* fall through */
	case BLOCK_APPLY:
		if (!block_apply(x, t))
			return false;
		block_enter(b, BLOCK_BEGIN);
		break;
	}
	return true;
}

/* --- choosing --- */

static bool choose_start(struct ql_run *x, struct topk *t)
{
	uint32_t most = k_of(t, t->param.max);

	t->heap_cap = most < t->m.largest ? most : t->m.largest;
	t->block_max = 64;
	while (t->block_max > 1 &&
	    (uint64_t)t->block_max * t->heap_cap * sizeof(struct item) > BLOCK_BYTES)
		t->block_max /= 2;
	while (t->block_max / 2 >= t->n && t->block_max > 1)
		t->block_max /= 2;
	uint64_t items = (uint64_t)t->block_max * t->heap_cap;
	x->err = ql_room(&x->budget,
	    items * sizeof(*t->heaps) + (uint64_t)t->m.largest * sizeof(*t->mask), x->eb);
	if (x->err)
		return false;
	t->heaps = arena_array(x->arena, items + 1, sizeof(*t->heaps));
	t->mask = arena_array(x->arena, (size_t)t->m.largest + 1, sizeof(*t->mask));
	return true;
}

static bool ranks_pay(const struct topk *t)
{
	return !t->rank && t->compared > (uint64_t)t->v->count * RANK_WORTH;
}

static enum ql_did topk_choose(struct ql_run *x, struct topk *t, const struct ql_scalar *p)
{
	if (!t->heaps && !choose_start(x, t))
		return QL_FAILED;
	for (; t->group < t->m.groups; t->group++, t->b.step = 0) {
		if (t->param.min >= group_size(t))
			continue;
		while (t->b.step < t->n) {
			if (ranks_pay(t)) {
				t->phase = TOPK_RANK;
				return QL_DONE;
			}
			if (!block_run(x, t, p))
				return QL_AGAIN;
			t->b.step += t->b.count;
			if (ql_tick(x, t->b.count))
				return QL_AGAIN;
		}
	}
	topk_enter(t, TOPK_CLEAR);
	return QL_DONE;
}

static enum ql_did topk_rank(struct ql_run *x, struct topk *t)
{
	uint32_t count = t->v->count;

	if (!t->sorter.idx) {
		x->err = ql_room(&x->budget, (uint64_t)count * 3 * sizeof(uint32_t), x->eb);
		if (x->err)
			return QL_FAILED;
		ql_sorter_init(&t->sorter, x->arena, count, ql_vec_cmp_labels, t->v);
	}
	if (!ql_sorter_run(&t->sorter, x))
		return QL_AGAIN;
	uint32_t *rank = arena_array(x->arena, (size_t)count + 1, sizeof(*rank));
	for (uint32_t i = 0; i < count; i++)
		rank[t->sorter.idx[i]] = i;
	t->rank = rank;
	t->phase = TOPK_CHOOSE;
	return QL_DONE;
}

/* --- limit_ratio --- */

static enum ql_did topk_ratio(struct ql_run *x, struct topk *t, const struct ql_scalar *p)
{
	struct buf b;
	bool yield = false;

	buf_init(&b);
	while (t->pos < t->v->count && !yield) {
		struct ql_col *c = &t->v->cols[t->pos];
		double offset = ql_ratio_offset(c->ls, &b);
		uint32_t count = ql_part(t->step, t->n);
		QL_EACH_BIT(i, c->has + t->step / 64, count)
		{
			if (!ql_ratio_keeps(ql_scalar_at(p, t->step + i), offset))
				ql_bit_off(c->has, t->step + i);
		}
		if (UNLIKELY(c->hists != NULL))
			QL_EACH_BIT(i, c->hists->has + t->step / 64, count)
			{
				if (!ql_ratio_keeps(ql_scalar_at(p, t->step + i), offset))
					ql_bit_off(c->hists->has, t->step + i);
			}
		t->step += count;
		if (t->step == t->n) {
			t->pos++;
			t->step = 0;
		}
		yield = ql_tick(x, 128 + count);
	}
	buf_release(&b);
	if (t->pos < t->v->count)
		return QL_AGAIN;
	topk_enter(t, TOPK_CLEAR);
	return QL_DONE;
}

/* --- the result --- */

/* topk and bottomk leave histograms out; of the others those that were not chosen go. */
static void clear_hists(
    struct ql_run *x, const struct ql_pn *pn, struct topk *t, struct ql_col *c, uint32_t count)
{
	if (t->op == QL_TOPK || t->op == QL_BOTTOMK) {
		if (ql_bits_any(c->hists->has, t->n))
			ql_notes_left_out(&x->notes, pn->ast->pos, ql_agg_text(t->op));
		c->hists = NULL;
		return;
	}
	for (uint32_t i = t->step; i < t->step + count; i++)
		if (!ql_bit(c->hists->has, i))
			c->hists->h[i] = NULL;
}

/* Absent values are 0; columns that have lost everything go anyway. */
static enum ql_did topk_clear(struct ql_run *x, const struct ql_pn *pn, struct topk *t)
{
	while (t->pos < t->v->count) {
		struct ql_col *c = &t->v->cols[t->pos];
		uint32_t count = ql_part(t->step, t->n);
		if (UNLIKELY(c->hists != NULL))
			clear_hists(x, pn, t, c, count);
		if (t->step || ql_col_any(c, t->n)) {
			for (uint32_t w = t->step / 64; w < ql_words(t->step + count); w++)
				for (uint64_t off = ~c->has[w]; off; off &= off - 1) {
					uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(off);
					if (i >= t->n)
						break;
					c->v[i] = 0;
				}
			t->step += count;
		} else {
			t->step = t->n;
		}
		if (t->step == t->n) {
			t->pos++;
			t->step = 0;
		}
		if (ql_tick(x, count / 8))
			return QL_AGAIN;
	}
	topk_enter(t, t->n == 1 ? TOPK_ORDER : TOPK_TIDY);
	return QL_DONE;
}

static int cmp_chosen(const void *arg, uint32_t a, uint32_t b)
{
	const struct topk *t = arg;
	uint32_t ca = t->order[a], cb = t->order[b];
	double x = key_of(t, t->v->cols[ca].v[0]), y = key_of(t, t->v->cols[cb].v[0]);

	if (t->m.of[ca] != t->m.of[cb])
		return t->m.of[ca] < t->m.of[cb] ? -1 : 1;
	if (x > y || x < y)
		return x > y ? -1 : 1;
	if (isnan(x) != isnan(y))
		return isnan(x) ? 1 : -1;
	return label_cmp(t->v->cols[ca].ls, t->v->cols[cb].ls);
}

/* The chosen columns by group, best first. limit_ratio: in the order of the vector. */
static enum ql_did topk_order(struct ql_run *x, struct topk *t)
{
	uint32_t count = t->v->count;

	if (!t->order) {
		x->err = ql_room(&x->budget, (uint64_t)count * 3 * sizeof(uint32_t), x->eb);
		if (x->err)
			return QL_FAILED;
		t->order = arena_array(x->arena, (size_t)count + 1, sizeof(*t->order));
	}
	for (; t->pos < count; t->pos++) {
		uint32_t col = t->m.col[t->pos];
		if (ql_col_any(&t->v->cols[col], 1))
			t->order[t->order_count++] = col;
		if (ql_tick(x, 0)) {
			t->pos++;
			return QL_AGAIN;
		}
	}
	if (!t->step++)
		ql_sorter_init(&t->sorter, x->arena, t->order_count, cmp_chosen, t);
	if (t->op != QL_LIMIT_RATIO && !ql_sorter_run(&t->sorter, x))
		return QL_AGAIN;
	topk_enter(t, TOPK_RESULT);
	return QL_DONE;
}

static enum ql_did topk_result(struct ql_run *x, struct ql_pn *pn, struct topk *t)
{
	if (!ql_run_reserve(x, &pn->vec, t->order_count))
		return QL_FAILED;
	while (t->pos < t->order_count) {
		*ql_vec_add(x->arena, &pn->vec) = t->v->cols[t->order[t->sorter.idx[t->pos++]]];
		if (ql_tick(x, 16))
			return QL_AGAIN;
	}
	topk_enter(t, TOPK_TIDY);
	return QL_DONE;
}

/* --- the node --- */

static enum ql_did topk_param(struct ql_run *x, struct ql_pn *pn, struct topk *t, bool *nothing)
{
	if (!ql_extent_run(x, &t->param, &pn->arg[1]->scalar, t->n))
		return QL_AGAIN;
	enum ql_did did = t->op == QL_LIMIT_RATIO ? check_ratio(x, pn, &t->param, nothing)
	                                          : check_k(x, &t->param, nothing);
	if (did || *nothing)
		return did;
	if (!ql_members_init(x, &t->m, pn->ast, t->v->count))
		return QL_FAILED;
	topk_enter(t, TOPK_GROUPS);
	return QL_DONE;
}

static struct topk *topk_start(struct ql_run *x, struct ql_pn *pn)
{
	struct topk *t = pn->state = arena_zalloc(x->arena, sizeof(*t));

	t->op = pn->ast->agg.op;
	t->n = pn->grid.n;
	t->v = &pn->arg[0]->vec;
	t->param = ql_extent_none();
	return t;
}

static enum ql_did topk_phase_run(struct ql_run *x, struct ql_pn *pn, struct topk *t, bool *nothing)
{
	const struct ql_scalar *p = &pn->arg[1]->scalar;

	switch (t->phase) {
	case TOPK_PARAM:
		return topk_param(x, pn, t, nothing);
	case TOPK_GROUPS:
		if (!ql_members_run(x, &t->m, t->v))
			return QL_AGAIN;
		topk_enter(t, t->op == QL_LIMIT_RATIO ? TOPK_RATIO : TOPK_CHOOSE);
		return QL_DONE;
	case TOPK_CHOOSE:
		return topk_choose(x, t, p);
	case TOPK_RATIO:
		return topk_ratio(x, t, p);
	case TOPK_RANK:
		return topk_rank(x, t);
	case TOPK_CLEAR:
		return topk_clear(x, pn, t);
	case TOPK_ORDER:
		return topk_order(x, t);
	case TOPK_RESULT:
		return topk_result(x, pn, t);
	case TOPK_TIDY:
		break;
	}
	return QL_DONE;
}

enum ql_did ql_topk_run(struct ql_run *x, struct ql_pn *pn)
{
	struct topk *t = pn->state ? pn->state : topk_start(x, pn);
	bool nothing = false;

	while (t->phase != TOPK_TIDY) {
		enum ql_did did = topk_phase_run(x, pn, t, &nothing);
		if (did || nothing)
			return did;
		if (t->phase == TOPK_TIDY && t->n > 1)
			pn->vec = *t->v;
	}
	return ql_run_tidy(x, pn, QL_EQUAL_NONE);
}
