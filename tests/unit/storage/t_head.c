/* Slab, late rows, series and head against plain models. */
#include "core/base/arena.h"
#include "storage/head/trail.h"
#include "storage/meta/postings.h"
#include "storage/space.h"
#include "tests/lib/tap.h"

#include <stdlib.h>

static uint64_t seed = 0x9e3779b97f4a7c15u;
static uint32_t rnd(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 33) % below;
}

/* ---- slab ---- */

static void slab_keeps_what_is_written(void)
{
	struct slab *m = slab_create();
	enum {
		N = 6000
	};
	struct piece {
		uint8_t *p;
		size_t size;
		uint8_t fill;
	} *ps = mem_zalloc(N * sizeof *ps);
	bool good = true;
	for (int round = 0; round < 60000; round++) {
		struct piece *p = &ps[rnd(N)];
		if (p->p) {
			for (size_t i = 0; i < p->size; i++)
				good = good && p->p[i] == p->fill;
			slab_give(m, p->p, p->size);
			p->p = NULL;
			continue;
		}
		static const size_t sizes[] = { 1, 16, 17, 48, 96, 192, 224, 384, 511, 512, 513,
			1000, 4096, 8000, 16384, 16385, 40000 };
		p->size = rnd(4) ? 1 + rnd(600) : sizes[rnd(COUNT_OF(sizes))];
		p->p = slab_take(m, p->size);
		p->fill = (uint8_t)round;
		good = good && ((uintptr_t)p->p & 15) == 0 && slab_round(p->size) >= p->size;
		memset(p->p, p->fill, p->size);
	}
	tap_ok(good, "pieces keep their bytes, are aligned and do not overlap");
	for (int i = 0; i < N; i++)
		slab_give(m, ps[i].p, ps[i].size);
	tap_is_u64(slab_bytes(m), 0, "given back whole, a slab holds nothing");
	mem_free(ps);
	slab_free(m);
}

/* What a round frees is there for the next; what nobody needs goes, what is in use stays. */
static void slab_keeps_a_stock(void)
{
	struct slab *m = slab_create();
	enum {
		N = 20 * SLAB_REGION_BYTES / SLAB_PIECE_MAX
	};
	void **ps = mem_alloc(N * sizeof *ps);
	for (int i = 0; i < N; i++)
		ps[i] = slab_take(m, SLAB_PIECE_MAX);
	slab_stock_trim(m); /* it grew */
	size_t full = slab_bytes(m);
	for (int i = N / 4; i < N; i++)
		slab_give(m, ps[i], SLAB_PIECE_MAX);
	size_t kept = slab_stock_bytes(m);
	for (int i = N / 4; i < N; i++)
		ps[i] = slab_take(m, SLAB_PIECE_MAX);
	slab_stock_trim(m);
	size_t reused = slab_stock_bytes(m);
	for (int i = N / 4; i < N; i++)
		slab_give(m, ps[i], SLAB_PIECE_MAX);
	int calls = 0;
	for (size_t has; (has = slab_stock_bytes(m)) && calls < 200; calls++)
		slab_stock_trim(m);
	size_t idle = slab_stock_bytes(m);
	for (int i = N / 4; i < N; i++)
		ps[i] = slab_take(m, SLAB_PIECE_MAX);
	for (int i = N / 2; i < N; i++)
		slab_give(m, ps[i], SLAB_PIECE_MAX);
	size_t before = slab_stock_bytes(m);
	slab_stock_drop(m, 2);
	size_t dropped = before - slab_stock_bytes(m);
#ifndef KYMO_SHARP
	tap_ok(kept >= 8 * SLAB_REGION_BYTES && kept < full && !reused,
	    "regions that became empty are kept, fewer than are in use, and are used again (%zu bytes)",
	    kept);
	tap_ok(!idle && calls > 3, "those that nobody needs go, some at a time (%d calls)", calls);
	tap_is_u64(dropped, 2 * SLAB_REGION_BYTES, "or as many as are asked for");
#else
	tap_ok(!kept && !reused && !idle && !dropped && !calls && full,
	    "where pieces are from the heap there is no stock");
#endif
	for (int i = 0; i < N / 2; i++)
		slab_give(m, ps[i], SLAB_PIECE_MAX);
	tap_is_u64(slab_bytes(m), 0, "nothing is left of them");
	mem_free(ps);
	slab_free(m);
}

#ifndef KYMO_SHARP /* where pieces are from the heap there is no stock */
/* However much there is, a turn gives back what it has time for. */
static void a_large_stock_goes_in_parts(void)
{
	struct slab *m = slab_create();
	for (int i = 0; i < 400; i++)
		slab_stock_add(m, slab_map(SLAB_REGION_BYTES));
	size_t most = 0;
	unsigned calls = 0;
	for (size_t has; (has = slab_stock_bytes(m)) && calls < 1000; calls++) {
		slab_stock_trim(m);
		size_t gone = has - slab_stock_bytes(m);
		most = gone > most ? gone : most;
	}
	tap_ok(most <= 16 * SLAB_REGION_BYTES && calls > 25 && calls < 1000,
	    "a large stock goes in parts: %zu bytes at most at a time", most);
	slab_free(m);
}
#endif

/* ---- one series against a model ---- */

#define SPAN 4000
struct model {
	bool has[SPAN], frozen_has[SPAN];
	double v[SPAN], frozen_v[SPAN];
};

static bool same_column(const struct series *s, const struct model *m, int64_t base, int64_t lo,
    int64_t hi, struct column *col)
{
	if (series_read(s, lo, hi, col))
		return false;
	uint32_t at = 0;
	for (int i = 0; i < SPAN; i++) {
		int64_t t = base + i;
		if ((!m->has[i] && !m->frozen_has[i]) || t < lo || t > hi)
			continue;
		double want = m->has[i] ? m->v[i] : m->frozen_v[i];
		if (at >= col->count || col->t_ms[at] != t || num_bits(col->v[at]) != num_bits(want))
			return false;
		at++;
	}
	return at == col->count;
}

/* How the times of new rows follow one another, so that tails take all their forms. */
enum steps {
	STEPS_ANY,   /* 1 to 3 */
	STEPS_EVEN,  /* always 2 */
	STEPS_GAPS,  /* 2, now and then more */
	STEPS_TURNS, /* even for some rows, then any, then another step */
	STEPS_COUNT
};
static int step_of(enum steps steps, int k)
{
	switch (steps) {
	case STEPS_ANY:
	case STEPS_COUNT:
		break;
	case STEPS_EVEN:
		return 2;
	case STEPS_GAPS:
		return rnd(12) ? 2 : 1 + (int)rnd(6);
	case STEPS_TURNS:
		return k / 30 % 3 ? k / 30 % 3 : 1 + (int)rnd(3);
	}
	return 1 + (int)rnd(3);
}

/* Values: of six and stale markers at random, or mostly the one before. */
static double value_of(bool calm, double last)
{
	static const double vs[] = { 0, -0.0, 1, 1.5, 1e300, 3 };
	if (calm && rnd(30))
		return last;
	return rnd(20) ? vs[rnd(COUNT_OF(vs))] : sample_stale();
}

static bool puts_agree(int rounds, int64_t base, uint32_t late_of_100, enum steps steps)
{
	bool calm = rnd(2);
	double last = 0;
	struct slab *mem = slab_create();
	struct series_stats st = { 0 };
	struct series s = { .t_newest_ms = INT64_MIN, .at = SERIES_NONE };
	struct model *m = mem_zalloc(sizeof *m);
	struct column col = { 0 };
	bool good = true;
	int newest = -1;
	for (int k = 0; k < rounds && good; k++) {
		int at = newest < 0 || rnd(100) >= late_of_100 ? newest + step_of(steps, k)
		                                               : (int)rnd((uint32_t)newest + 1);
		if (at < SPAN) {
			double v = last = value_of(calm, last);
			bool known = m->has[at] || m->frozen_has[at];
			double was = m->has[at] ? m->v[at] : m->frozen_v[at];
			enum series_put want = at > newest ? SERIES_PUT_NEW
			    : !known                       ? SERIES_PUT_LATE
			    : num_bits(was) == num_bits(v) ? SERIES_PUT_SAME
			                                   : SERIES_PUT_OVER;
			good = good && series_put(&s, mem, &st, base + at, v) == want;
			if (want != SERIES_PUT_SAME) {
				m->has[at] = true;
				m->v[at] = v;
			}
			newest = at > newest ? at : newest;
		}
		if (rnd(300) == 0 && !series_frozen(&s) && series_freeze(&s, mem, &st)) {
			memcpy(m->frozen_has, m->has, sizeof m->has);
			memcpy(m->frozen_v, m->v, sizeof m->v);
			memset(m->has, 0, sizeof m->has);
		} else if (rnd(200) == 0 && series_frozen(&s)) {
			struct series_run r = series_frozen_take(&s, mem, &st);
			for (unsigned some = 3; !series_run_free(&r, mem, &some); some = 3)
				good = good && some == 0;
			memset(m->frozen_has, 0, sizeof m->frozen_has);
		}
		if (k % 64 == 0) {
			good = good && same_column(&s, m, base, INT64_MIN, INT64_MAX, &col);
			int64_t lo = base + rnd(SPAN), hi = lo + rnd(300);
			good = good && same_column(&s, m, base, lo, hi, &col);
		}
		if (k % 256 == 0) {
			uint64_t live = 0;
			for (int i = 0; i < SPAN; i++)
				live += m->has[i];
			good = good && st.live_rows == live;
		}
	}
	good = good && same_column(&s, m, base, INT64_MIN, INT64_MAX, &col);
	series_release(&s, mem, &st);
	good = good && slab_bytes(mem) == 0 && st.live_rows == 0 && st.late_rows == 0 &&
	    st.packs == 0 && st.packs_bytes == 0;
	column_release(&col);
	mem_free(m);
	slab_free(mem);
	return good;
}

static void far_apart_times(void)
{
	struct slab *mem = slab_create();
	struct series_stats st = { 0 };
	struct series s = { .t_newest_ms = INT64_MIN };
	struct column col = { 0 };
	const int64_t t[] = { INT64_MIN + 1, -5, 0, UINT32_MAX, (int64_t)UINT32_MAX + 1, 1ll << 50,
		INT64_MAX };
	bool good = true;
	for (size_t i = 0; i < COUNT_OF(t); i++)
		good = good && series_put(&s, mem, &st, t[i], (double)i) == SERIES_PUT_NEW;
	good = good && series_read(&s, INT64_MIN, INT64_MAX, &col) == 0 && col.count == COUNT_OF(t);
	for (size_t i = 0; good && i < COUNT_OF(t); i++)
		good = col.t_ms[i] == t[i] && col.v[i] == (double)i;
	int64_t lo, hi;
	good = good && series_bounds(&s, &lo, &hi) && lo == t[0] && hi == INT64_MAX;
	uint64_t bytes;
	good = good && series_about(&s, INT64_MIN, INT64_MAX, &bytes) == COUNT_OF(t) && bytes > 0;
	tap_ok(good, "times further apart than 49 days, up to the ends of int64, are kept");
	series_release(&s, mem, &st);
	column_release(&col);
	slab_free(mem);
}

/* Rows at a step, some of them late: how many lie in a part, without a look at them. */
static void a_part_is_counted(void)
{
	struct slab *mem = slab_create();
	struct series_stats st = { 0 };
	struct series s = { .t_newest_ms = INT64_MIN };
	struct column col = { 0 };
	uint64_t bytes, whole;
	unsigned wrong = 0, bounds = 0;
	for (int64_t i = 0; i < 5000; i++)
		if (i % 10 != 3)
			series_put(&s, mem, &st, i * 1000, (double)(i * i % 977));
	for (int64_t i = 4003; i < 5000; i += 10)
		series_put(&s, mem, &st, i * 1000, 1);
	tap_ok(series_about(&s, 0, INT64_MAX, &whole) == 4600 && whole > 1000,
	    "all that it holds is counted exactly, in %d bytes", (int)whole);
	for (int64_t from = -500; from < 5000000; from += 77777) {
		for (int64_t to = from; to < from + 2000000; to += 99999) {
			CHECK(!series_read(&s, from, to, &col));
			uint64_t n = series_about(&s, from, to, &bytes);
			uint64_t d = n > col.count ? n - col.count : col.count - n;
			wrong += d > 3 + col.count / 20;
			bounds += bytes > whole;
			bounds += series_most(&s, from, to) < col.count;
		}
	}
	tap_ok(!wrong && !bounds, "parts are, about: %u are wrong", wrong);
	tap_ok(series_most(&s, 0, INT64_MAX) == 4600 && series_most(&s, 6000000, INT64_MAX) < 1000,
	    "and the bound is near");
	series_release(&s, mem, &st);
	column_release(&col);
	slab_free(mem);
}

static void late_takes_many(void)
{
	struct slab *mem = slab_create();
	struct late *l = late_create(mem);
	enum {
		N = 20000
	};
	bool *has = mem_zalloc(N);
	for (int i = 0; i < N; i++) {
		uint32_t t = i % 3 ? rnd(N) : (uint32_t)(N - 1 - i);
		double *v = late_find(l, t);
		if ((v != NULL) != has[t]) {
			tap_ok(false, "late_find knows what was inserted");
			break;
		}
		if (v)
			continue;
		late_insert(l, mem, t, t * 2.0);
		has[t] = true;
	}
	uint32_t at = 0, count = 0;
	bool good = true;
	for (uint32_t b = 0; b < l->blocks_count; b++)
		for (uint32_t i = 0; i < l->blocks[b]->count; i++, count++) {
			while (at < N && !has[at])
				at++;
			good = good && l->blocks[b]->t_ms[i] == at &&
			    late_block_v(l->blocks[b])[i] == at * 2.0;
			at++;
		}
	while (at < N && !has[at])
		at++;
	tap_ok(good && count == l->count && at == N,
	    "20,000 insertions in any order stand sorted, each once");
	late_free(l, mem);
	tap_is_u64(slab_bytes(mem), 0, "nothing is left of it");
	mem_free(has);
	slab_free(mem);
}

/* ---- head ---- */

#define SEED 42u
static struct labels make(struct arena *a, unsigned i)
{
	char n[32];
	snprintf(n, sizeof n, "series-%u", i);
	return label_make(a, LABEL_NAME, "up", "n", n, NULL);
}

static uint64_t fp_of(struct labels ls, uint32_t tenant)
{
	return label_fingerprint(ls, tenant, SEED).lo;
}

/* What is counted as it changes is what all have together. */
static void bytes_of_many_tenants(void)
{
	enum {
		N = 4000,
		TENANTS = 300
	};
	struct slab *mem = slab_create();
	struct head h;
	struct arena a;
	uint32_t slots[N];
	struct labels ls[N];
	head_init(&h, mem, 1);
	arena_init(&a, 1 << 16);
	bool good = true;
	for (unsigned i = 0; i < N; i++) {
		uint32_t tenant = i * 7919u % TENANTS;
		ls[i] = make(&a, i);
		slots[i] = head_create(&h, fp_of(ls[i], tenant), tenant, i + 1, ls[i]);
		if (i % 3 == 2) {
			unsigned k = i - 1;
			tenant = k * 7919u % TENANTS;
			head_drop(&h, slots[k], fp_of(ls[k], tenant));
		}
		size_t sum = 0;
		for (uint32_t k = 0; k < h.tenants_count; k++)
			sum += k == h.changed ? 0 : postings_bytes(h.tenants[k].postings);
		good = good && sum == h.postings_bytes;
	}
	tap_ok(good && h.tenants_count == TENANTS, "bytes of 300 tenants' postings are known");
	head_release(&h);
	slab_free(mem);
	arena_release(&a);
}

static void head_finds_what_it_made(void)
{
	struct slab *mem = slab_create();
	struct head h;
	struct arena a;
	enum {
		N = 30000
	};
	head_init(&h, mem, 1);
	arena_init(&a, 1 << 16);
	struct labels *ls = mem_alloc(N * sizeof *ls);
	uint32_t *slots = mem_alloc(N * sizeof *slots);
	for (unsigned i = 0; i < N; i++) {
		ls[i] = make(&a, i);
		slots[i] = head_create(&h, fp_of(ls[i], i % 2), i % 2, 100 + i * 3, ls[i]);
	}
	bool good = true;
	for (unsigned i = 0; i < N; i++) {
		good = good && head_find(&h, fp_of(ls[i], i % 2), i % 2, ls[i]) == slots[i];
		good =
		    good && head_find(&h, fp_of(ls[i], 1 - i % 2), 1 - i % 2, ls[i]) == SERIES_NONE;
		struct series *s = head_by_id(&h, 100 + i * 3);
		good = good && s == head_at(&h, slots[i]) && label_equal(series_labels(s), ls[i]) &&
		    head_slot_by_id(&h, s->id) == slots[i];
	}
	good = good && !head_by_id(&h, 99) && !head_by_id(&h, 101) && !head_by_id(&h, UINT32_MAX);
	tap_ok(good, "30,000 series are found by labels and by id, tenants apart");
	for (unsigned i = 0; i < N; i += 2)
		head_drop(&h, slots[i], fp_of(ls[i], 0));
	good = true;
	for (unsigned i = 0; i < N; i++) {
		bool in = i % 2;
		good = good &&
		    (head_find(&h, fp_of(ls[i], i % 2), i % 2, ls[i]) != SERIES_NONE) == in &&
		    (head_by_id(&h, 100 + i * 3) != NULL) == in;
	}
	tap_ok(good, "dropped ones are gone, the others are there");
	for (unsigned i = 0; i < N; i += 2)
		slots[i] = head_create(&h, fp_of(ls[i], 0), 0, 500000 + i, ls[i]);
	good = h.slots_count == N && h.series_count == N;
	for (unsigned i = 0; i < N; i++)
		good = good && head_find(&h, fp_of(ls[i], i % 2), i % 2, ls[i]) == slots[i];
	tap_ok(good, "returning ones take free slots and new ids");
	uint32_t undefined = head_create_undefined(&h, 7);
	struct labels lu = make(&a, N + 1);
	head_define(&h, undefined, fp_of(lu, 0), 0, lu);
	tap_ok(head_find(&h, fp_of(lu, 0), 0, lu) == undefined &&
	        head_by_id(&h, 7)->labels_len == lu.len,
	    "an undefined id gets its labels later");
	tap_is_u64(postings_series(head_postings(&h, 0)) + postings_series(head_postings(&h, 1)),
	    N + 1, "the postings of the tenants know as many series");
	tap_ok(!head_postings(&h, 2), "a tenant without series has none");
	head_shadow(&h, undefined, fp_of(lu, 0));
	uint32_t higher = head_create(&h, fp_of(lu, 0), 0, 900000, lu);
	tap_ok(head_find(&h, fp_of(lu, 0), 0, lu) == higher && head_by_id(&h, 7) != NULL,
	    "of two ids with the same labels the table knows one, both have samples");
	head_drop(&h, undefined, fp_of(lu, 0));
	tap_ok(head_find(&h, fp_of(lu, 0), 0, lu) == higher, "the shadowed one goes alone");
	head_release(&h);
	tap_is_u64(slab_bytes(mem), 0, "a released head holds nothing");
	arena_release(&a);
	mem_free(ls);
	mem_free(slots);
	slab_free(mem);
}

/* The heads of a loop and their trail, as a share has them. */
#define TRAIL_HEADS 3u
struct loop_heads {
	struct slab *mem;
	struct head heads[TRAIL_HEADS];
	struct trail trail;
};

static struct loop_heads *loop_heads(void)
{
	struct loop_heads *l = mem_zalloc(sizeof *l);
	l->mem = slab_create();
	trail_init(&l->trail, TRAIL_HEADS, 1, 1);
	for (unsigned k = 0; k < TRAIL_HEADS; k++) {
		head_init(&l->heads[k], l->mem, 1);
		trail_head(&l->trail, &l->heads[k]);
	}
	return l;
}

static void loop_heads_free(struct loop_heads *l)
{
	trail_release(&l->trail);
	for (unsigned k = 0; k < TRAIL_HEADS; k++)
		head_release(&l->heads[k]);
	slab_free(l->mem);
	mem_free(l);
}

static struct head *home_of(struct loop_heads *l, struct labels ls, uint64_t *fp)
{
	struct hash128 h = label_fingerprint(ls, 0, 1);
	*fp = h.lo;
	return &l->heads[head_shard_of(h, TRAIL_HEADS)];
}

static uint32_t make_series(struct loop_heads *l, struct labels ls)
{
	uint64_t fp;
	struct head *h = home_of(l, ls, &fp);
	return head_create(h, fp, 0, h->slots_count + 1, ls);
}

/* Label bytes of many lengths, some that differ at their end alone. */
static struct labels make_any(struct arena *a, unsigned i)
{
	char n[120];
	snprintf(n, sizeof n, "%.*s-%u", (int)(i / 3 % 90),
	    "a-value-that-is-the-same-in-all-of-them-and-as-long-as-what-is-sent-for-containers-and-pods",
	    i);
	return label_make(a, LABEL_NAME, "up", "n", n, NULL);
}

static struct head_row row_of(struct labels ls)
{
	return (struct head_row){ .labels = ls.bytes, .labels_len = ls.len, .place = HEAD_PLACE_NONE };
}

/* Rows in this order, as a request has them: are all found where a look-up finds them? */
static bool resolves(
    struct loop_heads *l, const struct labels *ls, const uint32_t *order, unsigned count)
{
	bool good = true;
	for (unsigned from = 0; from < count; from += TRAIL_ROWS) {
		struct head_row rows[TRAIL_ROWS];
		unsigned n = count - from < TRAIL_ROWS ? count - from : TRAIL_ROWS;
		for (unsigned i = 0; i < n; i++)
			rows[i] = row_of(ls[order[from + i]]);
		trail_resolve(&l->trail, 0, rows, n);
		for (unsigned i = 0; i < n; i++) {
			uint64_t fp;
			struct head *h = home_of(l, ls[order[from + i]], &fp);
			uint32_t want = head_find(h, fp, 0, ls[order[from + i]]);
			good = good && rows[i].slot == want &&
			    rows[i].place == (uint16_t)(h - l->heads);
			good = good && (want != SERIES_NONE || rows[i].fp == fp);
		}
	}
	return good;
}

static void resolve_agrees_with_find(void)
{
	struct loop_heads *l = loop_heads();
	struct arena a;
	enum {
		N = 12000,
		KNOWN = 11000,
		SOME = 300
	};
	arena_init(&a, 1 << 16);
	struct labels *ls = mem_alloc(N * sizeof *ls);
	uint32_t *order = mem_alloc(N * sizeof *order);
	for (unsigned i = 0; i < N; i++) {
		ls[i] = make_any(&a, i);
		if (i < KNOWN)
			make_series(l, ls[i]);
	}
	bool good = true;
	for (int round = 0; round < 600; round++) {
		unsigned n = 1 + rnd(SOME), from = rnd(N - SOME), mode = rnd(4);
		for (unsigned i = 0; i < n; i++) {
			unsigned k = mode == 0 ? from + i
			    : mode == 1        ? rnd(N)
			    : mode == 2        ? from + i / 3
			                       : (from + i * 7) % N;
			if (mode == 0 && rnd(30) == 0)
				k = rnd(N); /* the order breaks here and there */
			order[i] = k;
		}
		good = good && resolves(l, ls, order, n);
	}
	tap_ok(good,
	    "rows resolve to what a look-up finds, in order, at random, in runs, with unknown ones between");

	/* Two orders, one after the other; then whole targets in another order each time. */
	uint64_t missed[3] = { 0 };
	for (unsigned i = 0; i < KNOWN; i++)
		order[i] = i;
	for (int which = 0; which < 2; which++) {
		for (int round = 0; round < 4; round++) {
			uint64_t before = l->trail.misses;
			good = good && resolves(l, ls, order, KNOWN);
			missed[which] = l->trail.misses - before;
		}
		for (unsigned i = KNOWN; i > 1; i--) {
			unsigned j = rnd(i);
			uint32_t x = order[i - 1];
			order[i - 1] = order[j];
			order[j] = x;
		}
	}
	tap_ok(good && missed[0] <= 1 && missed[1] <= 1,
	    "what comes again in the same order, scrapes' or any other, is guessed whole (%llu, %llu misses)",
	    (unsigned long long)missed[0], (unsigned long long)missed[1]);
	enum {
		TARGET = 500,
		TARGETS = KNOWN / TARGET
	};
	for (int round = 0; round < 20; round++) {
		uint64_t before = l->trail.misses;
		unsigned first = rnd(TARGETS), step = 1 + 2 * rnd(5) + (rnd(2) ? 0 : 12);
		while (TARGETS % step == 0 || step % 2 == 0 || step % 11 == 0)
			step++;
		for (unsigned i = 0; i < TARGETS * TARGET; i++)
			order[i] = (first + i / TARGET * step) % TARGETS * TARGET + i % TARGET;
		good = good && resolves(l, ls, order, TARGETS * TARGET);
		missed[2] = l->trail.misses - before;
	}
	tap_ok(good && missed[2] <= 4 * TARGETS,
	    "targets in another order are a few misses each (%llu of %u rows)",
	    (unsigned long long)missed[2], (unsigned)(TARGETS * TARGET));
	tap_ok(trail_bytes(&l->trail) <= 8 * KNOWN + 32768,
	    "the trail takes %zu bytes for %u series", trail_bytes(&l->trail), (unsigned)KNOWN);
	loop_heads_free(l);
	arena_release(&a);
	mem_free(order);
	mem_free(ls);
}

/* Series that are made stand in the order where their rows did, also when many come and go. */
static void new_series_take_their_place(void)
{
	struct loop_heads *l = loop_heads();
	struct arena a;
	enum {
		N = 640,
		ROUNDS = 200
	};
	arena_init(&a, 1 << 16);
	struct labels *ls = mem_alloc(N * sizeof *ls);
	for (unsigned i = 0; i < N; i++)
		ls[i] = make_any(&a, i);
	unsigned named = N;
	bool good = true;
	uint64_t last = 0;
	for (int round = 0; round < ROUNDS; round++) {
		bool same = round % 4 == 3;
		for (unsigned i = 0; !same && i < N / 20; i++)
			ls[rnd(N)] = make_any(&a, named++);
		uint64_t before = l->trail.misses;
		for (unsigned from = 0; from < N; from += TRAIL_ROWS) {
			struct head_row rows[TRAIL_ROWS];
			struct trail_mark mark = trail_mark(&l->trail);
			bool made = false;
			for (unsigned i = 0; i < TRAIL_ROWS; i++)
				rows[i] = row_of(ls[from + i]);
			trail_resolve(&l->trail, 0, rows, TRAIL_ROWS);
			for (unsigned i = 0; i < TRAIL_ROWS; i++)
				if (rows[i].slot == SERIES_NONE) {
					rows[i].slot = make_series(l, ls[from + i]);
					made = true;
				}
			if (made)
				trail_learn(&l->trail, mark, rows, TRAIL_ROWS);
			for (unsigned i = 0; i < TRAIL_ROWS; i++) {
				struct series *s = head_at(&l->heads[rows[i].place], rows[i].slot);
				good = good && label_equal(series_labels(s), ls[from + i]);
			}
		}
		if (same)
			last = l->trail.misses - before;
	}
	tap_ok(good, "series that are made between others are found in their place");
	tap_ok(last <= 2, "and guessed when the same come again (%llu misses)",
	    (unsigned long long)last);
	loop_heads_free(l);
	arena_release(&a);
	mem_free(ls);
}

/* Guesses outlive what they point to: a free slot is no series, not even one without labels. */
static void resolve_knows_free_slots(void)
{
	struct loop_heads *l = loop_heads();
	struct arena a;
	struct labels ls[3];
	struct head_row rows[3];
	arena_init(&a, 1 << 12);
	for (unsigned i = 0; i < 3; i++) {
		ls[i] = make_any(&a, i);
		make_series(l, ls[i]);
		rows[i] = row_of(ls[i]);
	}
	trail_resolve(&l->trail, 0, rows, 3);
	uint32_t slots[3] = { rows[0].slot, rows[1].slot, rows[2].slot };
	for (unsigned i = 0; i < 3; i++)
		rows[i] = row_of(ls[i]);
	trail_resolve(&l->trail, 0, rows, 3);
	uint64_t fp;
	struct head *h = home_of(l, ls[1], &fp);
	head_drop(h, slots[1], fp);
	struct labels none = { 0 };
	rows[0] = row_of(ls[0]);
	rows[1] = row_of(none);
	trail_resolve(&l->trail, 0, rows, 2);
	tap_ok(rows[0].slot == slots[0] && rows[1].slot == SERIES_NONE,
	    "a row without labels is not taken for the free slot that a guess leads to");
	for (unsigned i = 0; i < 3; i++)
		rows[i] = row_of(ls[i]);
	trail_resolve(&l->trail, 0, rows, 3);
	tap_ok(rows[0].slot == slots[0] && rows[1].slot == SERIES_NONE && rows[2].slot == slots[2],
	    "one that left is unknown, its neighbours are found");
	for (unsigned i = 0; i < 3; i++)
		rows[i] = row_of(ls[i]);
	trail_resolve(&l->trail, 7, rows, 3);
	tap_ok(rows[0].slot == SERIES_NONE && rows[2].slot == SERIES_NONE,
	    "what another tenant sends is unknown, whatever the guess");
	loop_heads_free(l);
	arena_release(&a);
}

static void freezes_in_slices(void)
{
	struct slab *mem = slab_create();
	struct head h;
	struct arena a;
	enum {
		N = 1000
	};
	head_init(&h, mem, 1);
	arena_init(&a, 1 << 16);
	for (unsigned i = 0; i < N; i++) {
		struct labels ls = make(&a, i);
		uint32_t slot =
		    /* ids against the order of slots */
		    head_create(&h, fp_of(ls, 0), 0, N - i, ls);
		for (int64_t t = 0; i % 10 && t < 40; t++)
			series_put(head_at(&h, slot), mem, &h.stats, t * 1000, (double)t);
	}
	head_freeze_begin(&h);
	int slices = 1;
	while (!head_freeze(&h, 64)) {
		slices++;
		series_put(head_at(&h, 0), mem, &h.stats, 1000000 + slices, 1); /* writes go on */
	}
	tap_ok(slices > 10 && h.frozen_count == 900,
	    "live goes to frozen in slices, series without samples stay out (%d slices, %u)",
	    slices, h.frozen_count);
	struct column col = { 0 };
	bool good = series_run_read(series_frozen(head_at(&h, 5)), INT64_MIN, INT64_MAX, &col) == 0 &&
	    col.count == 40;
	tap_ok(good, "a frozen run reads as it was");
	good = series_put(head_at(&h, 5), mem, &h.stats, 7000, 7) == SERIES_PUT_SAME &&
	    series_put(head_at(&h, 5), mem, &h.stats, 7000, 8) == SERIES_PUT_OVER &&
	    series_read(head_at(&h, 5), INT64_MIN, INT64_MAX, &col) == 0 && col.count == 40 &&
	    col.v[7] == 8;
	tap_ok(good, "rows that repeat or overwrite frozen ones are judged, and live wins");
	while (!head_frozen_drop(&h, 50))
		;
	good = series_read(head_at(&h, 5), INT64_MIN, INT64_MAX, &col) == 0 && col.count == 1 &&
	    head_at(&h, 10)->idle == 1 && head_at(&h, 5)->idle == 0;
	tap_ok(good, "dropped, only what came later is left; idle rounds are counted");
	column_release(&col);
	head_release(&h);
	tap_is_u64(slab_bytes(mem), 0, "and memory is given back");
	arena_release(&a);
	slab_free(mem);
}

/* Millions of rows of one series: what each later row costs is counted in packs touched. */
#define DENSE 700000
static void packs_are_found_by_time(void)
{
	struct slab *mem = slab_create();
	struct packs p = { 0 };
	struct pack head;
	uint8_t data[PACK_BYTES_MAX];
	int64_t t[2];
	double v[2] = { 1, 2 };
	bool good = true;
	uint32_t most = 0;
	for (uint32_t i = 0; i < 3 * PACKS_LEAF + 7; i++) {
		t[0] = 10 * (int64_t)i;
		t[1] = t[0] + 5;
		pack_encode(&head, t, v, 2, data);
		packs_add(&p, mem, &head, data);
		good = good && p.count == i + 1 && p.rows == 2 * (uint64_t)p.count;
		for (uint32_t k = 0; k < p.count; k += 1 + p.count / 7)
			good = good && packs_at(&p, k)->t_min_ms == 10 * (int64_t)k &&
			    packs_seek(&p, 10 * (int64_t)k - 4) == k &&
			    packs_seek(&p, 10 * (int64_t)k + 5) == k &&
			    packs_seek(&p, 10 * (int64_t)k + 6) == k + 1;
	}
	t[0] = 10 * PACKS_LEAF;
	pack_encode(&head, t, v, 1, data);
	packs_set(&p, mem, PACKS_LEAF, &head, data);
	good = good && packs_at(&p, PACKS_LEAF)->count == 1 && p.rows == 2 * (uint64_t)p.count - 1;
	tap_ok(good, "packs are found by their number and by time, in one array and in many");
	while (p.count) {
		uint32_t n = packs_free_some(&p, mem, 100);
		most = n > most ? n : most;
	}
	tap_ok(most == 100 && slab_bytes(mem) == 0 && p.rows == 0,
	    "they are given back in pieces, and nothing is left");
	slab_free(mem);
}

static void one_dense_series_is_dropped_in_pieces(void)
{
	struct slab *mem = slab_create();
	struct head h;
	struct arena a;
	head_init(&h, mem, 1);
	arena_init(&a, 1 << 12);
	struct labels ls = make(&a, 0);
	uint32_t slot = head_create(&h, fp_of(ls, 0), 0, 1, ls);
	struct series *s = head_at(&h, slot);
	for (int64_t i = 0; i < DENSE; i++)
		series_put(s, mem, &h.stats, i * 10, 1);
	uint64_t packs = h.stats.packs;
	head_freeze_begin(&h);
	CHECK(head_freeze(&h, 64));
	tap_ok(packs > 8 * PACKS_LEAF && h.stats.packs == 0 && h.stats.live_rows == 0 &&
	        series_run_count(series_frozen(s)) == DENSE,
	    "a series of %u rows freezes at once (%llu packs)", DENSE, (unsigned long long)packs);
	/* beside frozen: repeats, and late rows between them */
	bool good = true;
	for (int64_t i = 0; i < DENSE - 1; i++)
		good = good && series_put(s, mem, &h.stats, i * 10, 1) == SERIES_PUT_SAME &&
		    (i == DENSE - 1 || /* that would be the newest */
		        series_put(s, mem, &h.stats, i * 10 + 5, 2) == SERIES_PUT_LATE);
	tap_ok(good, "its rows are judged from the first to the last");
	unsigned calls = 1;
	size_t most = 0;
	for (size_t before = slab_bytes(mem);; calls++) {
		bool over = head_frozen_drop(&h, 256);
		size_t now = slab_bytes(mem), went = before - now;
		/* a span goes when its last piece does: not more than a few at once */
		most = went > most ? went : most;
		before = now;
		good = good && !series_frozen(s);
		if (over)
			break;
	}
	tap_ok(good && calls > packs / 256 && most <= 8 * SLAB_SPAN_BYTES,
	    "it leaves the series at once, memory in %u pieces of at most %zu KiB", calls,
	    most / 1024);
	head_release(&h);
	tap_is_u64(slab_bytes(mem), 0, "nothing is left of it");
	arena_release(&a);
	slab_free(mem);
}

/* ---- what a series takes ---- */

/* The series of machines: a name and eight labels, some 210 bytes of them. */
static struct labels machine_series(struct arena *a, unsigned i)
{
	static const char *const modes[] = { "idle", "iowait", "irq", "nice", "system" };
	char name[64], instance[32], pod[32], cpu[16];
	unsigned target = i / 500, metric = i % 500;
	snprintf(name, sizeof name, "node_subsystem%u_seconds_total", metric / 5);
	snprintf(instance, sizeof instance, "instance-%u", target);
	snprintf(pod, sizeof pod, "exporter-%u", target);
	snprintf(cpu, sizeof cpu, "%u", metric % 8);
	return label_make(a, LABEL_NAME, name, "cluster", "production-eu-1", "container",
	    "exporter", "cpu", cpu, "instance", instance, "job", "node-exporter", "mode",
	    modes[metric % 5], "namespace", "monitoring", "pod", pod, NULL);
}

/* Half of them stand still, a quarter counts, the others go up and down. */
static double machine_value(unsigned i, unsigned k)
{
	switch (i * 2654435761u >> 16 & 7) {
	case 0:
	case 1:
		return 1000.0 * i + (double)(k * (i % 1000)) + k * 7919u % 64;
	case 2:
		return (double)((i + k) * 2654435761u >> 16 & 1023) / 100;
	case 3:
		return 4096.0 * (double)((i + k) * 2654435761u >> 16 & 1023);
	default:
		return 1000.0 * i;
	}
}

static void round_of(struct head *h)
{
	head_freeze_begin(h);
	while (!head_freeze(h, 256))
		;
	while (!head_frozen_drop(h, 256))
		;
}

/* A row every 15 s, rounds of ten minutes, spread over the shards: the mean of the last round. */
static void a_series_takes_what_limits_reckon_with(void)
{
	enum {
		SHARDS = 4,
		N = 25000,
		ROUND = 40
	};
	struct slab *mem = slab_create();
	struct head *heads = mem_zalloc(SHARDS * sizeof *heads);
	struct arena a;
	double bytes = 0, labels = 0;
	arena_init(&a, 1 << 16);
	for (unsigned j = 0; j < SHARDS; j++) {
		head_init(&heads[j], mem, j);
		for (unsigned i = 0; i < N; i++) {
			struct labels ls = machine_series(&a, j * N + i);
			head_create(&heads[j], fp_of(ls, 0), 0, i, ls);
			labels += ls.len;
			if (i % 1000 == 0)
				arena_reset(&a, 1 << 16);
		}
	}
	for (unsigned k = 0; k < 2 * ROUND; k++) {
		size_t now = slab_bytes(mem);
		for (unsigned j = 0; j < SHARDS; j++) {
			struct head *h = &heads[j];
			for (unsigned i = 0; i < N; i++)
				series_put(head_at(h, i), mem, &h->stats, 15000 * (int64_t)k,
				    machine_value(j * N + i, k));
			if (k % ROUND == j * ROUND / SHARDS)
				round_of(h);
			now += head_bytes(h);
		}
		bytes += k >= ROUND ? (double)now / (SHARDS * N) / ROUND : 0;
	}
#ifdef KYMO_SHARP
	bytes += 40; /* its pieces come from the heap: a slab's free ones are missing */
#endif
	tap_ok(bytes > SPACE_SERIES_BYTES * 0.9 && bytes < SPACE_SERIES_BYTES * 1.1,
	    "a series with %.0f bytes of labels takes %.0f bytes in all, limits reckon with %u",
	    labels / (SHARDS * N), bytes, SPACE_SERIES_BYTES);
	tap_ok(space_series_of(UINT64_C(4000000000)) >= 9000000,
	    "4 GB for the head are for 9 million of them");
	for (unsigned j = 0; j < SHARDS; j++)
		head_release(&heads[j]);
	tap_is_u64(slab_bytes(mem), 0, "they leave nothing behind");
	mem_free(heads);
	arena_release(&a);
	slab_free(mem);
}

int main(void)
{
	slab_keeps_what_is_written();
	slab_keeps_a_stock();
#ifndef KYMO_SHARP
	a_large_stock_goes_in_parts();
#endif
	a_part_is_counted();
	late_takes_many();
	bool good = true;
	for (int i = 0; i < 10; i++)
		for (enum steps k = 0; k < STEPS_COUNT; k++)
			good = good && puts_agree(6000, 1700000000000 + i, i % 3, k);
	tap_ok(
	    good, "40 histories of puts, freezes and drops, few or no late rows, agree with a map");
	for (int i = 0; i < 10; i++)
		good = good && puts_agree(6000, -1000, 60, (enum steps)(i % STEPS_COUNT));
	tap_ok(good, "the same with most rows late, around time zero");
	far_apart_times();
	head_finds_what_it_made();
	bytes_of_many_tenants();
	resolve_agrees_with_find();
	new_series_take_their_place();
	resolve_knows_free_slots();
	freezes_in_slices();
	packs_are_found_by_time();
	one_dense_series_is_dropped_in_pieces();
	a_series_takes_what_limits_reckon_with();
	return tap_done();
}
