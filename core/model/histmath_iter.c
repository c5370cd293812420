/* The buckets one by one, and as text. */
#include "core/model/histmath_priv.h"

#include <math.h>

enum part {
	PART_LOW, /* negative when ascending, positive when descending: read backwards */
	PART_ZERO,
	PART_HIGH,
	PART_END
};

static const struct hist_side *part_side(const struct hist_iter *it)
{
	bool positive = (it->_part == PART_HIGH) != it->_down;
	return positive ? &it->h->positive : &it->h->negative;
}

/* Behind the last bucket of the side. */
static void backwards_init(struct hist_iter *it)
{
	const struct hist_side *s = part_side(it);
	it->_index = 0;
	for (uint32_t i = 0; i < s->spans_count; i++)
		it->_index += (int64_t)s->spans[i].offset + s->spans[i].length;
	it->_span = s->spans_count;
	it->_in = 0;
	it->_at = s->counts_count;
	if (it->_span)
		it->_in = s->spans[--it->_span].length;
}

static bool backwards_next(struct hist_iter *it)
{
	const struct hist_side *s = part_side(it);
	if (!it->_at)
		return false;
	while (!it->_in) {
		it->_index -= s->spans[it->_span--].offset;
		it->_in = s->spans[it->_span].length;
	}
	it->_in--;
	it->_at--;
	it->_index--;
	return true;
}

static void forwards_init(struct hist_iter *it)
{
	const struct hist_side *s = part_side(it);
	it->_span = it->_in = it->_at = 0;
	it->_index = s->spans_count ? s->spans[0].offset : 0;
	it->_on = false;
}

static bool forwards_next(struct hist_iter *it)
{
	const struct hist_side *s = part_side(it);
	it->_in += it->_on;
	it->_at += it->_on;
	it->_index += it->_on;
	it->_on = it->_at < s->counts_count;
	while (it->_on && it->_in == s->spans[it->_span].length) {
		it->_in = 0;
		it->_index += s->spans[++it->_span].offset;
	}
	return it->_on;
}

void hist_iter_init(struct hist_iter *it, const struct hist *h, bool down)
{
	*it = (struct hist_iter){ .h = h, ._part = PART_LOW, ._down = down };
	backwards_init(it);
}

static void bucket_fill(const struct hist_iter *it, bool positive, struct hist_bucket *out)
{
	const struct hist *h = it->h;
	double far = histm_bound(h, it->_index), near = histm_bound(h, it->_index - 1);
	out->index = it->_index < INT32_MIN ? INT32_MIN
	    : it->_index > INT32_MAX        ? INT32_MAX
	                                    : (int32_t)it->_index;
	out->lower = positive ? near : -far;
	out->upper = positive ? far : -near;
	out->lower_in = histm_is_custom(h) ? it->_index == 0 : out->lower < 0;
	out->upper_in = histm_is_custom(h) || out->upper > 0;
	out->count = part_side(it)->counts[it->_at].f;
}

/* A bucket that reaches into the zero bucket ends there. */
static void bucket_cut(const struct hist *h, struct hist_bucket *b)
{
	if (b->upper < 0 && b->upper > -h->zero_threshold)
		b->upper = -h->zero_threshold;
	else if (b->lower > 0 && b->lower < h->zero_threshold)
		b->lower = h->zero_threshold;
}

static void bucket_zero(const struct hist *h, struct hist_bucket *out)
{
	*out = (struct hist_bucket){ .lower = -h->zero_threshold,
		.upper = h->zero_threshold,
		.count = h->zero_count.f,
		.lower_in = true,
		.upper_in = true };
}

static bool zero_holds(const struct hist *h)
{
	return h->zero_count.f > 0 && !histm_is_custom(h);
}

bool histm_iter_step(struct hist_iter *it, double *count)
{
	if (it->_part == PART_LOW) {
		if (backwards_next(it)) {
			*count = part_side(it)->counts[it->_at].f;
			return true;
		}
		it->_part = PART_ZERO;
		if (zero_holds(it->h)) {
			*count = it->h->zero_count.f;
			return true;
		}
	}
	if (it->_part == PART_ZERO) {
		it->_part = PART_HIGH;
		forwards_init(it);
	}
	if (it->_part == PART_HIGH && forwards_next(it)) {
		*count = part_side(it)->counts[it->_at].f;
		return true;
	}
	it->_part = PART_END;
	return false;
}

void histm_iter_bucket(const struct hist_iter *it, struct hist_bucket *out)
{
	if (it->_part == PART_ZERO) {
		bucket_zero(it->h, out);
		return;
	}
	bucket_fill(it, (it->_part == PART_HIGH) != it->_down, out);
	bucket_cut(it->h, out);
}

bool hist_iter_next(struct hist_iter *it, struct hist_bucket *out)
{
	double count;
	if (!histm_iter_step(it, &count))
		return false;
	histm_iter_bucket(it, out);
	return true;
}

/* ---- as text ---- */

static void print_g(double v, struct buf *out)
{
	char text[NUM_FMT_MAX];
	buf_add(out, text, num_fmt_g(v, text));
}

static void print_bucket(const struct hist_bucket *b, struct buf *out)
{
	if (b->count == 0)
		return;
	buf_add_str(out, b->lower_in ? ", [" : ", (");
	print_g(b->lower, out);
	buf_add_str(out, ",");
	print_g(b->upper, out);
	buf_add_str(out, b->upper_in ? "]:" : "):");
	print_g(b->count, out);
}

/* All bounds are those of the schema here, whatever the zero bucket covers. */
void hist_print(const struct hist *h, struct buf *out)
{
	struct hist_iter it;
	struct hist_bucket b;
	buf_add_str(out, "{count:");
	print_g(h->count.f, out);
	buf_add_str(out, ", sum:");
	print_g(h->sum, out);
	hist_iter_init(&it, h, false);
	while (backwards_next(&it)) {
		bucket_fill(&it, false, &b);
		print_bucket(&b, out);
	}
	if (!histm_is_custom(h)) {
		bucket_zero(h, &b);
		print_bucket(&b, out);
	}
	it._part = PART_HIGH;
	forwards_init(&it);
	while (forwards_next(&it)) {
		bucket_fill(&it, true, &b);
		print_bucket(&b, out);
	}
	buf_add_str(out, "}");
}
