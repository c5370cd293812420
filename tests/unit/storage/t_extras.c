#include "core/base/arena.h"
#include "storage/head/series.h"
#include "tests/lib/tap.h"
#include "tests/lib/testhist.h"

#define SPAN 700

static uint64_t seed = 3;
static uint32_t rnd(uint32_t n)
{
	return (uint32_t)(testhist_mix(&seed) % n);
}

/* One row as it should be. */
struct want {
	bool there;
	double v;
	uint64_t hist; /* number of testhist_any, 0 = none */
	int64_t start_ms;
};
struct model {
	struct want live[SPAN], frozen[SPAN];
};
static const struct want *want_at(const struct model *m, int i)
{
	return m->live[i].there ? &m->live[i] : &m->frozen[i];
}

static bool want_same(const struct want *a, const struct want *b)
{
	return num_bits(a->v) == num_bits(b->v) && a->hist == b->hist && a->start_ms == b->start_ms;
}

static struct want want_any(uint32_t extras_of_100)
{
	struct want w = { .there = true, .v = rnd(5) };
	if (rnd(100) < extras_of_100)
		w.start_ms = 1000 * rnd(3);
	if (rnd(100) < extras_of_100) {
		w.hist = 1 + rnd(30);
		w.v = num_from_bits(SAMPLE_HIST_BITS);
	}
	return w;
}

static enum series_put put(
    struct series *s, struct slab *mem, struct series_stats *st, int64_t t, const struct want *w)
{
	struct extra e = { .start_ms = w->start_ms };
	struct arena a;
	struct buf b;
	if (!w->hist && !w->start_ms)
		return series_put(s, mem, st, t, w->v);
	buf_init(&b);
	arena_init(&a, 1024);
	if (w->hist) {
		hist_encode(testhist_any(&a, w->hist), &b);
		e.hist = b.data;
		e.hist_len = (uint32_t)b.len;
	}
	enum series_put did = series_put_slow(s, mem, st, t, w->v, &e);
	buf_release(&b);
	arena_release(&a);
	return did;
}

static bool row_is(const struct column *c, uint32_t i, const struct want *w, struct arena *a)
{
	const struct hist *h = w->hist ? testhist_any(a, w->hist) : NULL;
	return num_bits(c->v[i]) == num_bits(w->v) && hist_equal(column_hist(c, i), h) &&
	    column_start_ms(c, i) == w->start_ms;
}

static bool same(const struct column *c, const struct model *m, int64_t lo, int64_t hi)
{
	struct arena a;
	uint32_t at = 0;
	bool good = true;
	arena_init(&a, 4096);
	for (int i = 0; i < SPAN && good; i++) {
		const struct want *w = want_at(m, i);
		if (!w->there || i < lo || i > hi)
			continue;
		good = at < c->count && c->t_ms[at] == i && row_is(c, at, w, &a);
		at++;
	}
	arena_release(&a);
	return good && at == c->count;
}

static bool reads(const struct series *s, const struct model *m)
{
	struct column c = { 0 };
	int64_t lo = rnd(SPAN), hi = lo + rnd(SPAN);
	bool good = series_read(s, INT64_MIN, INT64_MAX, &c) == 0 && same(&c, m, 0, SPAN);
	good = good && series_read(s, lo, hi, &c) == 0 && same(&c, m, lo, hi);
	int64_t from = INT64_MIN;
	bool more = true;
	column_clear(&c);
	while (more && good)
		good = series_read_some(s, &from, INT64_MAX, 1 + rnd(60), &c, &more) == 0;
	good = good && same(&c, m, 0, SPAN);
	column_release(&c);
	return good;
}

static bool agree(int rounds, uint32_t late_of_100, uint32_t extras_of_100)
{
	struct slab *mem = slab_create();
	struct series_stats st = { 0 };
	struct series s = { .t_newest_ms = INT64_MIN };
	struct model *m = mem_zalloc(sizeof *m);
	bool good = true;
	int newest = -1;
	for (int k = 0; k < rounds && good; k++) {
		int at = newest < 0 || rnd(100) >= late_of_100 ? newest + 1 + (int)rnd(2)
		                                               : (int)rnd((uint32_t)newest + 1);
		if (at < SPAN) {
			struct want w = want_any(extras_of_100);
			const struct want *was = want_at(m, at);
			enum series_put is = at > newest ? SERIES_PUT_NEW
			    : !was->there                ? SERIES_PUT_LATE
			    : want_same(was, &w)         ? SERIES_PUT_SAME
			                                 : SERIES_PUT_OVER;
			good = put(&s, mem, &st, at, &w) == is;
			if (is != SERIES_PUT_SAME)
				m->live[at] = w;
			newest = at > newest ? at : newest;
		}
		if (rnd(200) == 0 && !series_frozen(&s) && series_freeze(&s, mem, &st)) {
			memcpy(m->frozen, m->live, sizeof m->live);
			memset(m->live, 0, sizeof m->live);
			good = good && st.extras_bytes == 0;
		} else if (rnd(150) == 0 && series_frozen(&s)) {
			struct series_run r = series_frozen_take(&s, mem, &st);
			for (unsigned some = 3; !series_run_free(&r, mem, &some); some = 3)
				good = good && some == 0;
			memset(m->frozen, 0, sizeof m->frozen);
		}
		if (k % 50 == 0)
			good = good && reads(&s, m);
	}
	good = good && reads(&s, m);
	series_release(&s, mem, &st);
	good = good && slab_bytes(mem) == 0 && st.live_rows == 0 && st.extras_bytes == 0;
	mem_free(m);
	slab_free(mem);
	return good;
}

/* Many, in any order, of one series: an insertion moves a block at most. */
static void many(void)
{
	struct slab *mem = slab_create();
	struct series_stats st = { 0 };
	struct series s = { .t_newest_ms = INT64_MIN };
	struct extra e = { .start_ms = 5 };
	uint32_t n = 100000;
	(void)series_put_slow(&s, mem, &st, n, 0, &e);
	for (uint32_t i = n; i-- > 0;)
		(void)series_put_slow(&s, mem, &st, i * 7919ll % n, 0, &e);
	struct column c = { 0 };
	bool good = series_read(&s, 0, n, &c) == 0 && c.count == n + 1;
	for (uint32_t i = 0; i < c.count && good; i++)
		good = column_start_ms(&c, i) == 5;
	tap_ok(good && st.extras_bytes > n * sizeof(struct extras_item) &&
	        st.extras_bytes < 2ull * n * sizeof(struct extras_item),
	    "100,000 in any order: %.0f bytes each", (double)st.extras_bytes / n);
	column_release(&c);
	series_release(&s, mem, &st);
	slab_free(mem);
}

int main(void)
{
	tap_ok(agree(20000, 30, 40), "histograms and starts among floats, some late: as the model");
	tap_ok(agree(20000, 80, 60), "mostly late");
	tap_ok(agree(20000, 50, 2), "few of them");
	tap_ok(agree(20000, 50, 100), "nothing else");
	bool good = true;
	for (int i = 0; i < 200 && good; i++)
		good = agree(400, 40, 1 + rnd(100));
	tap_ok(good, "200 short ones");
	many();
	return tap_done();
}
