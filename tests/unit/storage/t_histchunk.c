#include "storage/chunk/histchunk.h"
#include "tests/lib/tap.h"
#include "tests/lib/testhist.h"

static uint64_t seed = 9;
static uint64_t rnd(void)
{
	return testhist_mix(&seed);
}

/* A row behind the others. */
static void add(struct column *c, int64_t t_ms, double v, const struct hist *h, int64_t start_ms)
{
	column_reserve(c, 1);
	c->t_ms[c->count] = t_ms;
	c->v[c->count++] = h ? num_from_bits(SAMPLE_HIST_BITS) : v;
	column_set(c, c->count - 1, h, start_ms);
}

static void add_any(struct column *c, int64_t t_ms)
{
	struct hist *h = rnd() % 2 ? NULL : testhist_any(column_memory(c), rnd() % 64);
	add(c, t_ms, (double)(rnd() % 1000), h, rnd() % 3 ? 0 : (int64_t)(rnd() % 5 * 1000));
}

static unsigned rows_differ(const struct column *a, uint32_t i, const struct column *b, uint32_t k)
{
	return a->t_ms[i] != b->t_ms[k] || num_bits(a->v[i]) != num_bits(b->v[k]) ||
	    !hist_equal(column_hist(a, i), column_hist(b, k)) ||
	    column_start_ms(a, i) != column_start_ms(b, k);
}

static unsigned view_differs(struct column *c)
{
	struct sample_column s = column_view(c, 0, c->count);
	unsigned bad = 0;
	for (uint32_t i = 0; i < s.count; i++) {
		bad += !hist_equal(s.h ? s.h[i] : NULL, column_hist(c, i));
		bad += (s.start_ms ? s.start_ms[i] : 0) != column_start_ms(c, i);
		bad += sample_is_hist(s.v[i]) != (column_hist(c, i) != NULL);
	}
	return bad;
}

/* Times and values of c alone. */
static void floats_of(const struct column *c, struct column *to)
{
	column_clear(to);
	column_reserve(to, c->count);
	memcpy(to->t_ms, c->t_ms, c->count * sizeof *c->t_ms);
	memcpy(to->v, c->v, c->count * sizeof *c->v);
	to->count = c->count;
}

static unsigned there_and_back(struct column *c, struct buf *b)
{
	struct column back = { 0 };
	size_t used = 0;
	struct sample_column s = column_view(c, 0, c->count);
	buf_clear(b);
	histchunk_encode(&s, b);
	buf_add_u8(b, 0xff); /* it knows where it ends */
	floats_of(c, &back);
	unsigned bad = histchunk_decode(b->data, b->len, &back, 0, back.count, &used) != 0;
	bad += used != b->len - 1;
	for (uint32_t i = 0; i < c->count && !bad; i++)
		bad += rows_differ(c, i, &back, i);
	for (size_t cut = 0; cut < used; cut += 1 + cut / 8) {
		floats_of(c, &back);
		bad += histchunk_decode(b->data, cut, &back, 0, back.count, NULL) == 0;
	}
	column_release(&back);
	return bad;
}

static void streams(void)
{
	struct buf b;
	unsigned bad = 0;
	buf_init(&b);
	for (unsigned i = 0; i < 1500; i++) {
		struct column c = { 0 };
		uint32_t n = (uint32_t)(rnd() % (i % 50 ? 30 : 500)) + 1;
		bool one = rnd() % 2;
		uint64_t series = rnd();
		for (uint32_t k = 0; k < n; k++) {
			int64_t t = (int64_t)k * 15000 - 60000;
			if (one && rnd() % 8)
				add(&c, t, 0, testhist_next(column_memory(&c), series, k), 7);
			else
				add_any(&c, t);
		}
		bad += there_and_back(&c, &b) + view_differs(&c);
		column_release(&c);
	}
	tap_ok(!bad,
	    "streams give back every bit, and no part of one is taken for a whole one (%u)", bad);
	buf_release(&b);
}

static size_t size_of(struct column *c)
{
	struct buf b;
	struct sample_column s = column_view(c, 0, c->count);
	buf_init(&b);
	histchunk_encode(&s, &b);
	size_t len = b.len;
	buf_release(&b);
	return len;
}

static void sizes(void)
{
	struct column c = { 0 };
	for (uint32_t k = 0; k < 480; k++)
		add(&c, (int64_t)k * 15000, 0, testhist_next(column_memory(&c), 3, k), 1000);
	size_t len = size_of(&c);
	tap_ok(len < 480 * 24, "a histogram of 20 to 24 buckets, a third of them busy: %.1f bytes",
	    (double)len / 480);
	column_clear(&c);
	struct hist *h = testhist_next(column_memory(&c), 3, 100);
	for (uint32_t k = 0; k < 480; k++)
		add(&c, (int64_t)k * 15000, 0, h, 1000);
	tap_ok(size_of(&c) < 480 + 200, "one that stays costs a byte");
	column_clear(&c);
	for (uint32_t k = 0; k < 480; k++)
		add(&c, (int64_t)k * 15000, k, NULL, 1000);
	tap_ok(size_of(&c) < 10, "a start that stays costs %zu bytes for 480 rows", size_of(&c));
	column_clear(&c);
	for (uint32_t k = 0; k < 480; k++)
		add(&c, (int64_t)k * 15000 + k % 3, k, NULL, k ? c.t_ms[k - 1] : 5);
	tap_ok(
	    size_of(&c) < 20, "the time before as start costs %zu bytes for 480 rows", size_of(&c));
	column_clear(&c);
	struct sample_column s = column_view(&c, 0, 0);
	tap_ok(!histchunk_wanted(&s) && !c.x, "a column of floats has nothing to code");
	column_release(&c);
}

static void damaged(void)
{
	struct buf b;
	unsigned good = 0;
	buf_init(&b);
	for (unsigned i = 0; i < 20000; i++) {
		struct column c = { 0 }, back = { 0 };
		uint32_t n = 1 + i % 12;
		for (uint32_t k = 0; k < n; k++)
			add_any(&c, k);
		struct sample_column s = column_view(&c, 0, n);
		buf_clear(&b);
		histchunk_encode(&s, &b);
		for (unsigned k = 0; k < 1 + i % 3; k++)
			b.data[rnd() % b.len] ^= (uint8_t)(1u << rnd() % 8);
		floats_of(&c, &back);
		good += histchunk_decode(b.data, b.len, &back, 0, n, NULL) == 0;
		column_release(&c);
		column_release(&back);
	}
	tap_ok(
	    good > 100, "changed bytes decode to something or to an error (%u to something)", good);
	buf_release(&b);
}

/* ---- the column ---- */

/* The plain model of a merge. */
static void merge_model(
    const struct column *newer, const struct column *older, const struct column *out, unsigned *bad)
{
	uint32_t n = 0;
	for (int64_t t = 0; t < 200; t++) {
		const struct column *from = NULL;
		uint32_t at = 0;
		for (uint32_t i = 0; i < older->count; i++)
			if (older->t_ms[i] == t) {
				from = older;
				at = i;
			}
		for (uint32_t i = 0; i < newer->count; i++)
			if (newer->t_ms[i] == t) {
				from = newer;
				at = i;
			}
		if (from)
			*bad += n >= out->count || rows_differ(from, at, out, n++);
	}
	*bad += n != out->count;
}

static void some_rows(struct column *c, bool extras)
{
	column_clear(c);
	for (int64_t t = 0; t < 200; t++) {
		if (rnd() % 3)
			continue;
		if (extras)
			add_any(c, t);
		else
			add(c, t, (double)t, NULL, 0);
	}
}

/* All of its histograms, as one number. */
static uint64_t sum_of(const struct column *c)
{
	struct buf b;
	uint64_t sum = 0;
	buf_init(&b);
	for (uint32_t i = 0; i < c->count; i++)
		if (column_hist(c, i))
			hist_encode(column_hist(c, i), &b);
	for (size_t i = 0; i < b.len; i++)
		sum = sum * 1099511628211u + b.data[i];
	buf_release(&b);
	return sum;
}

static void merges(void)
{
	struct column a = { 0 }, b = { 0 }, out = { 0 }, all = { 0 };
	unsigned bad = 0;
	for (unsigned i = 0; i < 2000; i++) {
		some_rows(&a, rnd() % 4);
		some_rows(&b, rnd() % 4);
		column_merge(&a, &b, &out);
		merge_model(&a, &b, &out, &bad);
		bad += view_differs(&out);
		/* what was merged stays when the others go */
		struct column swap = a;
		a = out;
		out = swap;
		uint64_t sum = sum_of(&a);
		column_clear(&b);
		column_release(&out);
		some_rows(&b, true);
		bad += sum_of(&a) != sum;
		some_rows(&b, true);
		column_merge(&b, &a, &out);
		merge_model(&b, &a, &out, &bad);
		if (!out.count)
			continue;
		/* a window of it, by keep and by copies; some of its memory is gone by then */
		uint32_t skip = (uint32_t)(rnd() % out.count), n = out.count - skip;
		n -= (uint32_t)(rnd() % (n + 1));
		column_clear(&all);
		column_append(&all, &out, 0, out.count);
		column_keep(&all, 0, skip, n);
		bad += all.count != n;
		for (uint32_t k = 0; k < n; k++)
			bad += rows_differ(&out, skip + k, &all, k);
		/* floats that follow have nothing */
		column_reserve(&all, 1);
		all.t_ms[all.count] = 1000;
		all.v[all.count++] = 1;
		bad += column_hist(&all, n) != NULL || column_start_ms(&all, n) || view_differs(&all);
		column_clear(&all);
		struct sample_column s = column_view(&out, 0, out.count);
		column_append_lent(&all, &s, skip, n);
		column_clear(&out);
		bad += view_differs(&all);
	}
	tap_ok(!bad, "extras follow their rows through merges, windows and copies (%u do not)", bad);
	column_release(&a);
	column_release(&b);
	column_release(&out);
	column_release(&all);
}

int main(void)
{
	streams();
	sizes();
	damaged();
	merges();
	return tap_done();
}
