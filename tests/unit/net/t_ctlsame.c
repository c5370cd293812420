/* Samples of one side are among those of the other, or not: floats, stale markers, histograms. */
#include "net/ctl/ctlsame.h"

#include "core/base/num.h"
#include "tests/lib/tap.h"
#include "tests/lib/testhist.h"

static struct arena mem;

struct row {
	int64_t t;
	double v;
	const struct hist *h;
};

static struct column *column_of(const struct row *rows, uint32_t count)
{
	struct column *c = arena_alloc(&mem, sizeof(*c));
	*c = (struct column){ 0 };
	column_reserve(c, count);
	for (uint32_t i = 0; i < count; i++) {
		c->t_ms[i] = rows[i].t;
		c->v[i] = rows[i].h ? num_from_bits(SAMPLE_HIST_BITS) : rows[i].v;
		c->count = i + 1;
		if (rows[i].h)
			column_set(c, i, hist_copy(column_memory(c), rows[i].h), 0);
	}
	return c;
}

/* The rows with one of them changed, against what they were. */
static bool found(const struct row *rows, uint32_t count, uint32_t at, struct row other)
{
	struct row changed[8];
	for (uint32_t i = 0; i < count; i++)
		changed[i] = i == at ? other : rows[i];
	struct column *a = column_of(rows, count), *b = column_of(changed, count);
	bool no = !ctlsame_within(a, b) && !ctlsame_within(b, a);
	column_release(a);
	column_release(b);
	return no;
}

int main(void)
{
	arena_init(&mem, 4096);
	struct hist *h = testhist_next(&mem, 3, 5), *bucket = hist_copy(&mem, h);
	struct row rows[] = { { 10, 1.5, NULL }, { 20, 0, h }, { 30, sample_stale(), NULL },
		{ 40, num_from_bits(SAMPLE_NAN_BITS), NULL }, { 50, -0.0, NULL } };
	union hist_count *counts = arena_array(&mem, h->positive.counts_count, sizeof(*counts));
	for (uint32_t i = 0; i < h->positive.counts_count; i++)
		counts[i] = h->positive.counts[i];
	counts[0].n++;
	bucket->positive.counts = counts;
	struct column *all = column_of(rows, 5), *some = column_of(rows + 1, 3),
	              *none = column_of(rows, 0);
	tap_ok(ctlsame_within(all, all), "all of them");
	tap_ok(ctlsame_within(some, all) && !ctlsame_within(all, some), "some of them");
	tap_ok(ctlsame_within(none, all) && !ctlsame_within(all, none), "none of them");
	tap_ok(found(rows, 5, 0, (struct row){ 10, 1.25, NULL }), "another value is none");
	tap_ok(found(rows, 5, 0, (struct row){ 11, 1.5, NULL }), "nor another time");
	tap_ok(found(rows, 5, 1, (struct row){ 20, 0, bucket }), "nor one bucket");
	tap_ok(found(rows, 5, 1, (struct row){ 20, 0, NULL }), "nor a float for a histogram");
	tap_ok(found(rows, 5, 2, (struct row){ 30, rows[3].v, NULL }),
	    "nor another NaN for a stale marker");
	tap_ok(found(rows, 5, 4, (struct row){ 50, 0, NULL }), "nor 0 for -0");
	struct row nan = { 40, num_from_bits(SAMPLE_NAN_BITS ^ 1u << 20), NULL };
	tap_ok(!found(rows, 5, 3, nan), "but any NaN for another");
	column_release(all);
	column_release(some);
	column_release(none);
	arena_release(&mem);
	return tap_done();
}
