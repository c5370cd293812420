#include "core/promql/run/ql_binop_hist.h"

#include "core/model/histmath.h"
#include "core/promql/run/ql_elem.h"

/* --- kinds of values --- */

static uint64_t hist_word(const struct ql_col *c, uint32_t w)
{
	return c && c->hists ? c->hists->has[w] : 0;
}
static const struct hist *hist_at(const struct ql_col *c, uint32_t i)
{
	return c && c->hists ? c->hists->h[i] : NULL;
}

static bool knows(enum ql_op op, bool left_hist, bool right_hist)
{
	bool trim = ql_op_is_trim(op);

	if (left_hist && right_hist)
		return op == QL_ADD || op == QL_SUB || op == QL_EQ || op == QL_NE;
	if (left_hist)
		return op == QL_MUL || op == QL_DIV || trim;
	if (right_hist)
		return op == QL_MUL;
	return !trim;
}

void ql_binop_kinds(struct ql_notes *notes, const struct ql_node *ast,
    const struct ql_binop_sides *s, uint32_t n, uint64_t *bits)
{
	enum ql_op op = ast->bin.op;

	for (unsigned kinds = 0; kinds < 4; kinds++) {
		bool lh = kinds & 1, rh = kinds & 2;
		uint64_t any = 0;
		if (knows(op, lh, rh))
			continue;
		for (uint32_t w = 0; w < ql_words(n); w++) {
			uint64_t l = hist_word(s->l, w), r = hist_word(s->r, w);
			uint64_t gone = bits[w] & (lh ? l : ~l) & (rh ? r : ~r);
			any |= gone;
			bits[w] &= ~gone;
		}
		if (any)
			ql_elem_note(notes, ast->pos, op, lh, rh);
	}
}

/* --- values --- */

struct value {
	bool there;
	double v;
	const struct hist *h;
};

static struct value of_float(double v)
{
	return (struct value){ .there = true, .v = v };
}
static struct value of_hist(const struct hist *h)
{
	return (struct value){ .there = h, .h = h };
}

static struct value floats(const struct ql_node *ast, double l, double r)
{
	enum ql_op op = ast->bin.op;

	if (!ql_op_is_compare(op))
		return of_float(ql_arith(op, l, r));
	bool yes = ql_compare(op, l, r);
	if (ast->bin.return_bool)
		return of_float(yes);
	return (struct value){ .there = yes, .v = l };
}

/* A sum or a difference; hints that collide leave nothing, as upstream (VectorBinop). */
static struct value sum_of(
    struct ql_run *x, const struct ql_node *ast, const struct hist *l, const struct hist *r)
{
	bool minus = ast->bin.op == QL_SUB;
	unsigned told = 0;
	const struct hist *h =
	    minus ? hist_sub(x->arena, l, r, &told) : hist_add(x->arena, l, r, &told);

	ql_notes_told(&x->notes, ast->pos, told, minus ? "subtraction" : "addition");
	if (told & HISTMATH_MIXED)
		ql_notes_add(&x->notes, false, ast->pos,
		    "incompatible bucket layout encountered for binary operator %s",
		    ql_op_text(ast->bin.op));
	if (!h || told & (HISTMATH_COLLIDED | HISTMATH_MIXED))
		return of_hist(NULL);
	return of_hist(minus ? hist_with_hint(x->arena, h, HIST_GAUGE) : h);
}

static struct value same_as(
    struct ql_run *x, const struct ql_node *ast, const struct hist *l, const struct hist *r)
{
	bool yes = hist_same_value(x->arena, l, r) == (ast->bin.op == QL_EQ);

	if (ast->bin.return_bool)
		return of_float(yes);
	return of_hist(yes ? l : NULL);
}

static struct value histograms(struct ql_run *x, const struct ql_node *ast, const struct hist *l,
    const struct hist *r, double lv, double rv)
{
	struct arena *a = x->arena;

	switch (ast->bin.op) {
	case QL_ADD:
	case QL_SUB:
		return sum_of(x, ast, l, r);
	case QL_EQ:
	case QL_NE:
		return same_as(x, ast, l, r);
	case QL_MUL:
		return of_hist(l ? hist_mul(a, l, rv) : hist_mul(a, r, lv));
	case QL_DIV:
		return of_hist(hist_div(a, l, rv));
	case QL_TRIM_UPPER:
	case QL_TRIM_LOWER:
		return of_hist(hist_trim(a, l, rv, ast->bin.op == QL_TRIM_LOWER));
	case QL_MOD:
	case QL_POW:
	case QL_ATAN2:
	case QL_LT:
	case QL_LE:
	case QL_GT:
	case QL_GE:
	case QL_AND:
	case QL_OR:
	case QL_UNLESS:
		break;
	}
	return of_hist(NULL);
}

static void put(struct ql_col *c, uint32_t i, const struct value *v)
{
	if (v->h) {
		ql_bit_on(c->hists->has, i);
		c->hists->h[i] = v->h;
	} else {
		ql_bit_on(c->has, i);
		c->v[i] = v->v;
	}
}

bool ql_binop_mixed(struct ql_run *x, const struct ql_node *ast, const struct ql_binop_sides *s,
    uint32_t n, const uint64_t *bits, uint32_t *at, struct ql_col *c, uint64_t *work)
{
	uint32_t i = *at;

	for (*work = 0; i < n && *work < QL_HISTS_WORK; i++) {
		++*work;
		if (!ql_bit(bits, i))
			continue;
		const struct hist *l = hist_at(s->l, i), *r = hist_at(s->r, i);
		double lv = s->l ? s->l->v[i] : s->fill_l, rv = s->r ? s->r->v[i] : s->fill_r;
		struct value v = l || r ? histograms(x, ast, l, r, lv, rv) : floats(ast, lv, rv);
		*work += 16 + (l ? hist_cost(l) : 0) + (r ? hist_cost(r) : 0);
		if (!v.there)
			continue;
		*at = i;
		if (ql_col_word(c, i / 64) >> (i % 64) & 1)
			return false;
		put(c, i, &v);
	}
	*at = i;
	return true;
}
