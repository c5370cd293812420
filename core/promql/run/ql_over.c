/* ql_over - functions over the samples of a window that do not extrapolate: which way they go. */
#include "core/promql/run/ql_range_priv.h"

/* Windows that hold together more than this many times samples + steps overlap much. */
#define QL_SLIDE_FROM 4
#define QL_RANK_FROM  64 /* samples of a window: shorter ones are sorted faster */
#define QL_SORT_MAX   2048
#define QL_TABLE_MAX  (1u << 17) /* values of a table of extremes, which is made in one go */

static bool sorts(enum ql_fn fn)
{
	return fn == QL_FN_QUANTILE_OVER_TIME || fn == QL_FN_MAD_OVER_TIME;
}

/* --- which way --- */

static enum ql_range_way way_of_extreme(const struct ql_range *r, bool much)
{
	bool value = r->spec.fn == QL_FN_MIN_OVER_TIME || r->spec.fn == QL_FN_MAX_OVER_TIME;

	if (value && r->_bounds.in_windows > 2 * (uint64_t)r->_in.count)
		return r->has_nan || ql_table_size(r) > QL_TABLE_MAX ? QL_WAY_SLIDE : QL_WAY_TABLE;
	return much || r->_bounds.longest > QL_RANGE_WORK ? QL_WAY_SLIDE : QL_WAY_LOOP;
}

static enum ql_range_way way_of(const struct ql_range *r)
{
	const struct ql_range_bounds *b = &r->_bounds;
	uint64_t steps = r->spec.grid.n;
	bool much = b->in_windows > QL_SLIDE_FROM * (r->_in.count + steps);

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
	switch (r->spec.fn) {
	case QL_FN_CHANGES:
	case QL_FN_RESETS:
		return QL_WAY_PREFIX;
	case QL_FN_SUM_OVER_TIME:
	case QL_FN_AVG_OVER_TIME:
		return much && !r->plain ? QL_WAY_SLIDE : QL_WAY_LOOP;
	case QL_FN_MIN_OVER_TIME:
	case QL_FN_MAX_OVER_TIME:
	case QL_FN_TS_OF_MIN_OVER_TIME:
	case QL_FN_TS_OF_MAX_OVER_TIME:
		return r->plain ? QL_WAY_LOOP : way_of_extreme(r, much);
	case QL_FN_QUANTILE_OVER_TIME:
	case QL_FN_MAD_OVER_TIME:
		if (!r->plain &&
		    (b->longest > QL_SORT_MAX || (much && b->in_windows > QL_RANK_FROM * steps)))
			return QL_WAY_RANK;
		return QL_WAY_LOOP;
	default:
		return QL_WAY_LOOP;
	}
#pragma GCC diagnostic pop
}

static bool sums(enum ql_fn fn)
{
	return fn == QL_FN_SUM_OVER_TIME || fn == QL_FN_AVG_OVER_TIME;
}

enum err ql_over_room(struct ql_range *r, struct errbuf *eb)
{
	size_t count = r->_in.count;
	enum err e;

	r->_way = way_of(r);
	switch (r->_way) {
	case QL_WAY_PREFIX:
		return ql_range_room(r, &r->_index, count, sizeof(uint32_t), eb);
	case QL_WAY_SLIDE:
		if (!sums(r->spec.fn))
			return ql_range_room(r, &r->_index, count, sizeof(uint32_t), eb);
		e = ql_range_room(r, &r->_sums, count, sizeof(double), eb);
		return e ? e : ql_range_room(r, &r->_errors, count, sizeof(double), eb);
	case QL_WAY_TABLE:
		return ql_range_room(r, &r->_table, ql_table_size(r), sizeof(double), eb);
	case QL_WAY_RANK:
		return ql_range_room(r, &r->_table, ql_rank_bytes(r->_in.count), 1, eb);
	case QL_WAY_LOOP:
		if (sorts(r->spec.fn))
			return ql_range_room(r, &r->_sums, r->_bounds.longest, sizeof(double), eb);
		break;
	}
	return ERR_OK;
}

bool ql_over_prepare(struct ql_range *r)
{
	switch (r->_way) {
	case QL_WAY_PREFIX:
		return ql_prefix_make(r);
	case QL_WAY_TABLE:
		ql_table_make(r);
		break;
	case QL_WAY_RANK:
		r->_slide = (struct ql_range_slide){ 0 };
		return ql_slide_rank(r);
	case QL_WAY_SLIDE:
		r->_slide = (struct ql_range_slide){ 0 };
		break;
	case QL_WAY_LOOP:
		break;
	}
	return false;
}

/* Steps that cost little each. */
static bool short_windows(struct ql_range *r,
    void (*steps)(struct ql_range *, uint32_t, struct ql_col *), struct ql_col *out)
{
	for (;;) {
		uint32_t from = r->_pos, end = ql_range_steps_end(r);
		steps(r, end, out);
		r->_pos = end;
		if (LIKELY(end == r->spec.grid.n))
			return false;
		if (ql_range_pause(r, 2 * (uint64_t)(end - from)))
			return true;
	}
}

bool ql_over_windows(struct ql_range *r, struct ql_col *out)
{
	switch (r->_way) {
	case QL_WAY_PREFIX:
		return short_windows(r, ql_prefix_steps, out);
	case QL_WAY_TABLE:
		return short_windows(r, ql_table_steps, out);
	case QL_WAY_RANK:
		return ql_slide_ranks(r, out);
	case QL_WAY_SLIDE:
		return sums(r->spec.fn) ? ql_slide_sums(r, out) : ql_slide_extremes(r, out);
	case QL_WAY_LOOP:
		break;
	}
	return ql_window_steps(r, out);
}
