#include "core/promql/run/ql_elem.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846

double ql_date_part(enum ql_fn fn, int64_t unix_s)
{
	struct num_civil c = num_civil(unix_s);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
	switch (fn) {
	case QL_FN_MINUTE:
		return c.minute;
	case QL_FN_HOUR:
		return c.hour;
	case QL_FN_DAY_OF_WEEK:
		return c.weekday;
	case QL_FN_DAY_OF_MONTH:
		return c.day;
	case QL_FN_DAY_OF_YEAR:
		return c.yearday;
	case QL_FN_DAYS_IN_MONTH:
		return num_days_in_month(c.year, c.month);
	case QL_FN_MONTH:
		return c.month;
	default:
		return (double)c.year;
	}
#pragma GCC diagnostic pop
}

static double round_to(double v, double to)
{
	double inv = 1 / to;
	return floor(v * inv + 0.5) / inv;
}

static double sign_of(double v)
{
	return v < 0 ? -1 : v > 0 ? 1 : v;
}

enum elem_shape {
	ELEM_NONE,
	ELEM_MATH,
	ELEM_OTHER
};

/*
 * One value through one function; the switch is outside of the loops through inlining with a
 * constant fn.
 */
#define EACH(expr)                                                                                 \
 for (uint32_t i = 0; i < g->n; i++) {                                                             \
  double x = v[i];                                                                                 \
  v[i] = (expr);                                                                                   \
 }                                                                                                 \
 return ELEM_MATH

static enum elem_shape elem_math(
    const struct ql_elem *e, const struct ql_grid *g, const double *p, const double *p1, double *v)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
	switch (e->fn) {
	case QL_FN_ABS:
		EACH(fabs(x));
	case QL_FN_CEIL:
		EACH(ceil(x));
	case QL_FN_FLOOR:
		EACH(floor(x));
	case QL_FN_EXP:
		EACH(exp(x));
	case QL_FN_LN:
		EACH(log(x));
	case QL_FN_LOG2:
		EACH(log2(x));
	case QL_FN_LOG10:
		EACH(log10(x));
	case QL_FN_SQRT:
		EACH(sqrt(x));
	case QL_FN_SGN:
		EACH(sign_of(x));
	case QL_FN_DEG:
		EACH(x * 180 / PI);
	case QL_FN_RAD:
		EACH(x * PI / 180);
	case QL_FN_SIN:
		EACH(sin(x));
	case QL_FN_COS:
		EACH(cos(x));
	case QL_FN_TAN:
		EACH(tan(x));
	case QL_FN_ASIN:
		EACH(asin(x));
	case QL_FN_ACOS:
		EACH(acos(x));
	case QL_FN_ATAN:
		EACH(atan(x));
	case QL_FN_SINH:
		EACH(sinh(x));
	case QL_FN_COSH:
		EACH(cosh(x));
	case QL_FN_TANH:
		EACH(tanh(x));
	case QL_FN_ASINH:
		EACH(asinh(x));
	case QL_FN_ACOSH:
		EACH(acosh(x));
	case QL_FN_ATANH:
		EACH(atanh(x));
	case QL_FN_ROUND:
		EACH(round_to(x, p ? p[i] : 1));
	case QL_FN_CLAMP_MIN:
		EACH(ql_max_of(p[i], x));
	case QL_FN_CLAMP_MAX:
		EACH(ql_min_of(p[i], x));
	case QL_FN_CLAMP:
		EACH(ql_max_of(p[i], ql_min_of(p1[i], x)));
	case QL_FN_MINUTE:
	case QL_FN_HOUR:
	case QL_FN_DAY_OF_WEEK:
	case QL_FN_DAY_OF_MONTH:
	case QL_FN_DAY_OF_YEAR:
	case QL_FN_DAYS_IN_MONTH:
	case QL_FN_MONTH:
	case QL_FN_YEAR:
		EACH(ql_date_part(e->fn, num_i64_go(x)));
	case QL_FN_TIMESTAMP:
		EACH(((void)x, (double)ql_grid_t(g, i) / 1000));
	default:
		return ELEM_NONE;
	}
#pragma GCC diagnostic pop
}
#undef EACH

/* Where nothing is present the value is 0: what the loops left there goes. */
static void clear_absent(double *v, const uint64_t *has, uint32_t n)
{
	for (uint32_t w = 0; w < ql_words(n); w++) {
		if (has[w] == ~(uint64_t)0)
			continue;
		for (uint32_t i = w * 64; i < n && i < w * 64 + 64; i++)
			if (!ql_bit(has, i))
				v[i] = 0;
	}
}

#define ARITH(expr)                                                                                \
 for (uint32_t i = 0; i < n; i++) {                                                                \
  double l = e->scalar_left ? p[i] : v[i], r = e->scalar_left ? v[i] : p[i];                       \
  v[i] = (expr);                                                                                   \
 }                                                                                                 \
 return

static void run_arith(const struct ql_elem *e, uint32_t n, const double *p, double *v)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
	switch (e->op) {
	case QL_ADD:
		ARITH(l + r);
	case QL_SUB:
		ARITH(l - r);
	case QL_MUL:
		ARITH(l * r);
	case QL_DIV:
		ARITH(l / r);
	default:
		ARITH(ql_arith(e->op, l, r));
	}
#pragma GCC diagnostic pop
}
#undef ARITH

static void run_compare(const struct ql_elem *e, uint32_t n, const double *p, double *v, uint64_t *has)
{
	for (uint32_t w = 0; w < ql_words(n); w++) {
		uint64_t holds = 0;
		for (uint32_t i = w * 64; i < n && i < w * 64 + 64; i++) {
			bool yes = e->scalar_left ? ql_compare(e->op, p[i], v[i])
			                          : ql_compare(e->op, v[i], p[i]);
			holds |= (uint64_t)yes << (i & 63);
			if (e->return_bool)
				v[i] = yes;
		}
		if (!e->return_bool)
			has[w] &= holds;
	}
}

static void elem_steps(const struct ql_elem *e, const struct ql_grid *g, const double *p,
    const double *p1, double *v, uint64_t *has)
{
	switch (e->kind) {
	case QL_ELEM_MINUS:
		for (uint32_t i = 0; i < g->n; i++)
			v[i] = -v[i];
		break;
	case QL_ELEM_OP:
		if (ql_op_is_trim(e->op))
			memset(has, 0, ql_words(g->n) * sizeof(*has));
		else if (ql_op_is_compare(e->op))
			run_compare(e, g->n, p, v, has);
		else
			run_arith(e, g->n, p, v);
		break;
	case QL_ELEM_FN:
		if (ql_elem_of_hists(e->fn))
			memset(has, 0, ql_words(g->n) * sizeof(*has));
		(void)elem_math(e, g, p, p1, v);
		if (e->fn == QL_FN_CLAMP)
			for (uint32_t i = 0; i < g->n; i++)
				if (p1[i] < p[i])
					ql_bit_off(has, i);
		break;
	}
	clear_absent(v, has, g->n);
}

/* NULL for a parameter that was not given. */
static const double *param_run(const struct ql_scalar *s, uint32_t from, uint32_t count, double *room)
{
	return s->kind == QL_UNKNOWN ? NULL : ql_scalar_run(s, from, count, room);
}

/* How much more than a sample of a window a value costs. */
static unsigned weight_of(const struct ql_elem *e)
{
	if (e->kind == QL_ELEM_OP)
		return e->op == QL_MOD || e->op == QL_POW || e->op == QL_ATAN2 ? 8 : 1;
	if (e->kind == QL_ELEM_MINUS)
		return 1;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
	switch (e->fn) {
	case QL_FN_ABS:
	case QL_FN_CEIL:
	case QL_FN_FLOOR:
	case QL_FN_SQRT:
	case QL_FN_SGN:
	case QL_FN_DEG:
	case QL_FN_RAD:
	case QL_FN_TIMESTAMP:
		return 1;
	default:
		return 4;
	}
#pragma GCC diagnostic pop
}

static uint64_t elem_floats(const struct ql_elem *e, const struct ql_grid *g, uint32_t from,
    struct ql_col *c, const struct ql_elem_room *to)
{
	SCRATCH double room[2][QL_PART];
	struct ql_grid part = { ql_grid_t(g, from), g->step_ms, ql_part(from, g->n) };
	const double *p = param_run(&e->param[0], from, part.n, room[0]);
	const double *p1 = param_run(&e->param[1], from, part.n, room[1]);

	if (e->kind == QL_ELEM_OP && ql_op_is_trim(e->op) && ql_bits_any(c->has + from / 64, part.n))
		ql_elem_note(to->notes, e->pos, e->op, false, false);
	elem_steps(e, &part, p, p1, c->v + from, c->has + from / 64);
	return (uint64_t)part.n * weight_of(e);
}

/* One call's work on the part and the element at hand; *done: all of it. */
static uint64_t elem_part(const struct ql_elem *e, const struct ql_grid *g, struct ql_col *c,
    const struct ql_elem_room *room, struct ql_elem_at *at, bool *done)
{
	uint64_t work;

	*done = true;
	if (LIKELY(c->hists == NULL))
		return elem_floats(e, g, at->step, c, room);
	if (at->in_hists) {
		work = ql_elem_hists(e, g, at->step, c, room, at);
	} else {
		work = elem_floats(e, g, at->step, c, room);
		at->in_hists = true;
		at->hist = 0;
		at->seen = NULL;
	}
	*done = at->hist == ql_part(at->step, g->n);
	at->in_hists = !*done;
	return work;
}

uint64_t ql_elem_next(const struct ql_elem *e, unsigned count, const struct ql_grid *g,
    struct ql_col *c, const struct ql_elem_room *room, struct ql_elem_at *at)
{
	bool done;

	if (!count || at->step >= g->n) {
		*at = (struct ql_elem_at){ 0 };
		return 0;
	}
	uint64_t work = elem_part(&e[at->elem], g, c, room, at, &done);
	if (done && ++at->elem == count)
		*at = (struct ql_elem_at){ .step = at->step + ql_part(at->step, g->n) };
	return work;
}
