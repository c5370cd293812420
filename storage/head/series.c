#include "storage/head/series.h"
#include "core/base/arena.h"

/* In a tail at the place of this time? Newest first: retries and overwrites are near the end. */
static uint8_t *tail_find(uint8_t *tail, int64_t base, unsigned count, int64_t t)
{
	for (unsigned i = count; i-- > 0;) {
		int64_t ti = series_row_t(tail, base, i);
		if (ti == t)
			return tail + (size_t)i * SERIES_ROW;
		if (ti < t)
			break;
	}
	return NULL;
}

static struct series_body *body_of(struct series *s, struct slab *m)
{
	if (!s->body) {
		s->body = slab_take(m, sizeof *s->body);
		*s->body = (struct series_body){ 0 };
	}
	return s->body;
}

/* The full tail becomes a pack; its memory stays for the next rows. */
static void tail_pack(struct series *s, struct slab *m, struct series_stats *st)
{
	int64_t t[SERIES_TAIL_MAX];
	double v[SERIES_TAIL_MAX];
	CHECK(s->tail_count > 0 && s->tail_count <= SERIES_TAIL_MAX);
	for (unsigned i = 0; i < s->tail_count; i++) {
		t[i] = series_row_t(s->tail, s->t_base_ms, i);
		v[i] = series_row_v(s->tail, i);
	}
	struct packs *p = &body_of(s, m)->packs;
	uint64_t bytes = p->bytes;
	packs_add(p, m, t, v, s->tail_count);
	st->packs++;
	st->packs_bytes += p->bytes - bytes;
	s->tail_count = 0;
}

static void tail_grow(struct series *s, struct slab *m, struct series_stats *st)
{
	unsigned cap = s->tail_cap ? s->tail_cap * 2u : SERIES_TAIL_MIN;
	uint8_t *tail = slab_take(m, cap * SERIES_ROW);
	if (s->tail_count)
		memcpy(tail, s->tail, s->tail_count * (size_t)SERIES_ROW);
	slab_give(m, s->tail, s->tail_cap * (size_t)SERIES_ROW);
	st->tails_bytes += (cap - s->tail_cap) * (size_t)SERIES_ROW;
	s->tail = tail;
	s->tail_cap = (uint8_t)cap;
}

static void tail_add(struct series *s, struct slab *m, struct series_stats *st, int64_t t, double v)
{
	if (s->tail_count && (uint64_t)t - (uint64_t)s->t_base_ms > UINT32_MAX)
		tail_pack(s, m, st);
	if (s->tail_count == s->tail_cap) {
		if (s->tail_cap == SERIES_TAIL_MAX)
			tail_pack(s, m, st);
		else
			tail_grow(s, m, st);
	}
	if (!s->tail_count)
		s->t_base_ms = t;
	uint8_t *row = s->tail + (size_t)s->tail_count * SERIES_ROW;
	uint32_t dt = (uint32_t)((uint64_t)t - (uint64_t)s->t_base_ms);
	memcpy(row, &dt, 4);
	memcpy(row + 4, &v, 8);
	s->tail_count++;
	s->t_newest_ms = t;
	st->live_rows++;
}

/* The pack of p with this time, unpacked; false when none of them goes over it. */
static bool unpack(struct series_unpacked *u, const struct packs *p, int64_t t)
{
	if (u->of == p && u->pack < p->count && packs_at(p, u->pack) == u->item &&
	    u->item->t_min_ms <= t && t <= u->item->t_max_ms)
		return true;
	uint32_t i = packs_seek(p, t);
	if (i == p->count || packs_at(p, i)->t_min_ms > t)
		return false;
	const struct packs_item *x = packs_at(p, i);
	/* our own memory */
	CHECK(pack_decode(x->data, x->size, x->t_min_ms, u->t_ms, u->v) == 0);
	u->of = p;
	u->item = x;
	u->pack = i;
	u->count = x->count;
	return true;
}

/* The value at this time in the pack, or NULL. */
static double *unpacked_find(struct series_unpacked *u, int64_t t)
{
	unsigned lo = 0, hi = u->count;
	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		if (u->t_ms[mid] < t)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < u->count && u->t_ms[lo] == t ? &u->v[lo] : NULL;
}

/*
 * Overwrites in a pack when the time is there; the pack is encoded anew and takes the place of the
 * old one. *found says whether it was.
 */
static enum series_put pack_put(
    struct packs *p, struct slab *m, struct series_stats *st, int64_t t, double v, bool *found)
{
	struct series_unpacked *u = &st->last;
	double *at = unpack(u, p, t) ? unpacked_find(u, t) : NULL;
	*found = at != NULL;
	if (!at)
		return SERIES_PUT_LATE;
	if (num_bits(*at) == num_bits(v))
		return SERIES_PUT_SAME;
	*at = v;
	st->packs_bytes -= p->bytes;
	packs_set(p, m, u->pack, u->t_ms, u->v, u->count);
	st->packs_bytes += p->bytes;
	u->item = packs_at(p, u->pack);
	return SERIES_PUT_OVER;
}

/* Is the time in a frozen run, and with which value? */
static bool run_find(const struct series_run *r, struct series_unpacked *u, int64_t t, double *v)
{
	const uint8_t *row = r->tail ? tail_find(r->tail, r->t_base_ms, r->tail_count, t) : NULL;
	if (row) {
		memcpy(v, row + 4, 8);
		return true;
	}
	if (r->late) {
		const double *at = late_find(r->late, t);
		if (at) {
			*v = *at;
			return true;
		}
	}
	const double *at = unpack(u, &r->packs, t) ? unpacked_find(u, t) : NULL;
	if (at)
		*v = *at;
	return at != NULL;
}

static enum series_put value_put(double *at, double v)
{
	if (num_bits(*at) == num_bits(v))
		return SERIES_PUT_SAME;
	*at = v;
	return SERIES_PUT_OVER;
}

/* At or below the newest time. */
static enum series_put old_put(
    struct series *s, struct slab *m, struct series_stats *st, int64_t t, double v)
{
	uint8_t *row = s->tail_count ? tail_find(s->tail, s->t_base_ms, s->tail_count, t) : NULL;
	if (row) {
		double was;
		memcpy(&was, row + 4, 8);
		if (num_bits(was) == num_bits(v))
			return SERIES_PUT_SAME;
		memcpy(row + 4, &v, 8);
		return SERIES_PUT_OVER;
	}
	struct series_body *b = body_of(s, m);
	if (b->late) {
		double *at = late_find(b->late, t);
		if (at)
			return value_put(at, v);
	}
	bool found;
	enum series_put put = pack_put(&b->packs, m, st, t, v, &found);
	if (found)
		return put;
	double was;
	if (b->frozen && run_find(b->frozen, &st->last, t, &was)) {
		if (num_bits(was) == num_bits(v))
			return SERIES_PUT_SAME;
		put = SERIES_PUT_OVER; /* live wins over frozen, so the new value goes to live */
	}
	if (!b->late)
		b->late = late_create(m);
	late_insert(b->late, m, t, v);
	st->late_rows++;
	st->live_rows++;
	return put;
}

enum series_put series_put_slow(
    struct series *s, struct slab *m, struct series_stats *st, int64_t t_ms, double v)
{
	if (t_ms > s->t_newest_ms || (s->t_newest_ms == INT64_MIN && !s->tail_count && !s->body)) {
		tail_add(s, m, st, t_ms, v);
		return SERIES_PUT_NEW;
	}
	return old_put(s, m, st, t_ms, v);
}

uint64_t series_run_count(const struct series_run *r)
{
	return r->tail_count + (r->late ? r->late->count : 0) + r->packs.rows;
}

bool series_run_bounds(const struct series_run *r, int64_t *t_min_ms, int64_t *t_max_ms)
{
	int64_t lo = INT64_MAX, hi = INT64_MIN;
	if (r->tail_count) {
		lo = series_row_t(r->tail, r->t_base_ms, 0);
		hi = series_row_t(r->tail, r->t_base_ms, r->tail_count - 1u);
	}
	if (r->packs.count) {
		int64_t last = packs_at(&r->packs, r->packs.count - 1)->t_max_ms;
		lo = packs_at(&r->packs, 0)->t_min_ms;
		hi = last > hi ? last : hi;
	}
	if (r->late && r->late->count) {
		int64_t a = late_t_min(r->late), z = late_t_max(r->late);
		lo = a < lo ? a : lo;
		hi = z > hi ? z : hi;
	}
	if (lo > hi)
		return false;
	*t_min_ms = lo;
	*t_max_ms = hi;
	return true;
}

/* Packs and tail, ascending, cut to the window. */
static enum err ordered_read(const struct series_run *r, int64_t lo, int64_t hi, struct column *out)
{
	for (uint32_t k = packs_seek(&r->packs, lo); k < r->packs.count; k++) {
		const struct packs_item *p = packs_at(&r->packs, k);
		if (p->t_min_ms > hi)
			break;
		column_reserve(out, p->count);
		int64_t *t = out->t_ms + out->count;
		double *v = out->v + out->count;
		if (pack_count(p->data) != p->count)
			return ERR_DAMAGED;
		enum err e = pack_decode(p->data, p->size, p->t_min_ms, t, v);
		if (e)
			return ERR_DAMAGED;
		uint32_t from = 0, to = p->count;
		while (from < to && t[from] < lo)
			from++;
		while (to > from && t[to - 1] > hi)
			to--;
		if (from) {
			memmove(t, t + from, (to - from) * sizeof *t);
			memmove(v, v + from, (to - from) * sizeof *v);
		}
		out->count += to - from;
	}
	column_reserve(out, r->tail_count);
	for (unsigned i = 0; i < r->tail_count; i++) {
		int64_t t = series_row_t(r->tail, r->t_base_ms, i);
		if (t > hi)
			break;
		if (t < lo)
			continue;
		out->t_ms[out->count] = t;
		out->v[out->count++] = series_row_v(r->tail, i);
	}
	return 0;
}

/*
 * Late rows of the window merged into an ascending column from the back, in place: times are unique
 * over both (1).
 */
static void late_merge(const struct late *l, int64_t lo, int64_t hi, struct column *out)
{
	uint32_t more = 0, first = late_block_for(l, lo), end = late_block_for(l, hi) + 1;
	for (uint32_t b = first; b < end; b++)
		for (uint32_t i = 0; i < l->blocks[b]->count; i++)
			more += l->blocks[b]->t_ms[i] >= lo && l->blocks[b]->t_ms[i] <= hi;
	if (!more)
		return;
	column_reserve(out, more);
	uint32_t from = out->count, to = out->count + more;
	out->count = to;
	for (uint32_t b = end; b-- > first;) {
		struct late_block *lb = l->blocks[b];
		const double *v = late_block_v(lb);
		if (lb->t_ms[lb->count - 1] < lo || lb->t_ms[0] > hi)
			continue;
		for (uint32_t i = lb->count; i-- > 0;) {
			int64_t t = lb->t_ms[i];
			if (t < lo || t > hi)
				continue;
			while (from && out->t_ms[from - 1] > t) {
				to--;
				from--;
				out->t_ms[to] = out->t_ms[from];
				out->v[to] = out->v[from];
			}
			to--;
			out->t_ms[to] = t;
			out->v[to] = v[i];
		}
	}
}

enum err series_run_read(
    const struct series_run *r, int64_t t_min_ms, int64_t t_max_ms, struct column *out)
{
	out->count = 0;
	enum err e = ordered_read(r, t_min_ms, t_max_ms, out);
	if (e)
		return e;
	if (r->late && r->late->count)
		late_merge(r->late, t_min_ms, t_max_ms, out);
	return 0;
}

static enum err runs_read(const struct series_run *live, const struct series_run *frozen,
    int64_t t_min_ms, int64_t t_max_ms, struct column *out)
{
	if (!frozen)
		return series_run_read(live, t_min_ms, t_max_ms, out);
	struct column a = { 0 }, b = { 0 };
	enum err e = series_run_read(live, t_min_ms, t_max_ms, &a);
	if (!e)
		e = series_run_read(frozen, t_min_ms, t_max_ms, &b);
	if (!e)
		column_merge(&a, &b, out);
	column_release(&a);
	column_release(&b);
	return e;
}

enum err series_read(const struct series *s, int64_t t_min_ms, int64_t t_max_ms, struct column *out)
{
	struct series_run live = series_live(s);
	return runs_read(&live, series_frozen(s), t_min_ms, t_max_ms, out);
}

/* Counts samples in packs at or after a time, up to n. */
static uint32_t packs_count_some(const struct packs *p, int64_t from_ms, uint32_t n, int64_t *t_ms)
{
	uint32_t count = 0;
	for (uint32_t i = packs_seek(p, from_ms); i < p->count && count < n; i++) {
		count += packs_at(p, i)->count;
		*t_ms = packs_at(p, i)->t_max_ms;
	}
	return count;
}

static uint32_t late_count_some(const struct late *l, int64_t from_ms, uint32_t n, int64_t *t_ms)
{
	uint32_t count = 0;
	for (uint32_t b = late_block_for(l, from_ms); b < l->blocks_count && count < n; b++) {
		const struct late_block *lb = l->blocks[b];
		if (lb->t_ms[lb->count - 1] < from_ms)
			continue;
		for (uint32_t i = 0; i < lb->count && count < n; i++)
			if (lb->t_ms[i] >= from_ms) {
				count++;
				*t_ms = lb->t_ms[i];
			}
	}
	return count;
}

/* The time up to which a run has some n samples from a time on; INT64_MAX: it has not so many. */
static int64_t run_reach(const struct series_run *r, int64_t from_ms, uint32_t n)
{
	int64_t t_ms = INT64_MAX, reach = INT64_MAX;
	if (packs_count_some(&r->packs, from_ms, n, &t_ms) >= n)
		reach = t_ms;
	if (r->late && late_count_some(r->late, from_ms, n, &t_ms) >= n && t_ms < reach)
		reach = t_ms;
	return reach;
}

enum err series_read_some(const struct series *s, int64_t *from_ms, int64_t t_max_ms, uint32_t n,
    struct column *out, bool *more)
{
	struct series_run live = series_live(s);
	const struct series_run *frozen = series_frozen(s);
	struct column part = { 0 };
	int64_t to = run_reach(&live, *from_ms, n);
	int64_t other = frozen ? run_reach(frozen, *from_ms, n) : to;
	to = other < to ? other : to;
	*more = to < t_max_ms;
	to = *more ? to : t_max_ms;
	enum err e = runs_read(&live, frozen, *from_ms, to, &part);
	if (!e && part.count) {
		column_reserve(out, part.count);
		memcpy(out->t_ms + out->count, part.t_ms, part.count * sizeof *out->t_ms);
		memcpy(out->v + out->count, part.v, part.count * sizeof *out->v);
		out->count += part.count;
	}
	column_release(&part);
	*from_ms = *more ? to + 1 : t_max_ms;
	return e;
}

static bool run_holds_more(const struct series_run *r, uint32_t n)
{
	return r->packs.rows > n || (r->late && r->late->count > n);
}

bool series_holds_more(const struct series *s, uint32_t n)
{
	if (LIKELY(!s->body))
		return false;
	struct series_run live = series_live(s);
	const struct series_run *frozen = series_frozen(s);
	return run_holds_more(&live, n) || (frozen && run_holds_more(frozen, n));
}

bool series_bounds(const struct series *s, int64_t *t_min_ms, int64_t *t_max_ms)
{
	struct series_run live = series_live(s);
	const struct series_run *frozen = series_frozen(s);
	int64_t lo, hi;
	bool any = series_run_bounds(&live, t_min_ms, t_max_ms);
	if (!frozen || !series_run_bounds(frozen, &lo, &hi))
		return any;
	if (!any || lo < *t_min_ms)
		*t_min_ms = lo;
	if (!any || hi > *t_max_ms)
		*t_max_ms = hi;
	return true;
}

bool series_run_free(struct series_run *r, struct slab *m, unsigned *budget)
{
	slab_give(m, r->tail, r->tail_cap * (size_t)SERIES_ROW);
	r->tail = NULL;
	r->tail_count = r->tail_cap = 0;
	*budget -= packs_free_some(&r->packs, m, *budget);
	if (r->packs.count)
		return false;
	if (r->late)
		*budget -= late_free_some(r->late, m, *budget);
	if (r->late && r->late->blocks_count)
		return false;
	late_free(r->late, m);
	*r = (struct series_run){ 0 };
	return true;
}

static void run_release(struct series_run *r, struct slab *m)
{
	unsigned all = UINT32_MAX;
	CHECK(series_run_free(r, m, &all));
}

/* Live taken out of the series, which then has none. */
static struct series_run live_take(struct series *s, struct series_stats *st)
{
	struct series_run r = series_live(s);
	st->last.of = NULL;
	uint64_t rows = series_run_count(&r);
	CHECK(st->live_rows >= rows);
	st->live_rows -= rows;
	if (r.late)
		st->late_rows -= r.late->count;
	st->packs -= r.packs.count;
	st->packs_bytes -= r.packs.bytes;
	st->tails_bytes -= r.tail_cap * (size_t)SERIES_ROW;
	s->tail = NULL;
	s->tail_count = s->tail_cap = 0;
	if (s->body) {
		s->body->packs = (struct packs){ 0 };
		s->body->late = NULL;
	}
	return r;
}

bool series_freeze(struct series *s, struct slab *m, struct series_stats *st)
{
	CHECK(!series_frozen(s));
	if (!series_has_live(s))
		return false;
	struct series_body *b = body_of(s, m);
	struct series_run *r = slab_take(m, sizeof *r);
	*r = live_take(s, st);
	b->frozen = r;
	return true;
}

/* A body without anything in it goes home. */
static void body_trim(struct series *s, struct slab *m)
{
	struct series_body *b = s->body;
	if (b && !b->packs.count && !b->late && !b->frozen) {
		slab_give(m, b, sizeof *b);
		s->body = NULL;
	}
}

struct series_run series_frozen_take(struct series *s, struct slab *m, struct series_stats *st)
{
	CHECK(series_frozen(s) != NULL);
	struct series_run r = *s->body->frozen;
	st->last.of = NULL;
	slab_give(m, s->body->frozen, sizeof *s->body->frozen);
	s->body->frozen = NULL;
	body_trim(s, m);
	return r;
}

void series_release(struct series *s, struct slab *m, struct series_stats *st)
{
	struct series_run r = live_take(s, st);
	run_release(&r, m);
	if (series_frozen(s)) {
		r = series_frozen_take(s, m, st);
		run_release(&r, m);
	}
	body_trim(s, m);
}
