#include "storage/head/series.h"
#include "core/base/arena.h"

static struct series_more *more_of(struct series *s, struct slab *m)
{
	if (!s->more) {
		s->more = slab_take(m, sizeof *s->more);
		*s->more = (struct series_more){ 0 };
	}
	return s->more;
}

static const struct packs *packs_of(const struct series_run *r)
{
	static const struct packs none;
	return r->more ? &r->more->packs : &none;
}

static const struct late *late_of(const struct series_run *r)
{
	return r->more && r->more->late && r->more->late->count ? r->more->late : NULL;
}

static const struct extras *extras_of(const struct series_run *r)
{
	return r->more ? r->more->extras : NULL;
}

/* ---- rows that come ---- */

/* Is the row of that time in a run the very one that comes, all bits? x are the run's extras. */
static inline bool row_same(
    const struct extras *x, int64_t t, double was, double v, const struct extra *e)
{
	return num_bits(was) == num_bits(v) && (LIKELY(!e && !x) || extras_same(x, t, e));
}

/* What stands beside a live row that was put: nothing, if e is NULL. */
static void extra_put(
    struct series *s, struct slab *m, struct series_stats *st, int64_t t, const struct extra *e)
{
	if (LIKELY(!e && (!s->more || !s->more->extras)))
		return;
	struct series_more *more = more_of(s, m);
	st->extras_bytes -= more->extras ? more->extras->bytes : 0;
	extras_put(&more->extras, m, t, e);
	st->extras_bytes += more->extras->bytes;
}

/* The pack is about to change, or to go. */
static inline void forget(struct series_stats *st, const struct pack *p)
{
	if (st->last.of == p)
		st->last.of = NULL;
}

/* The rows of the tail go to its pack; a full one goes to the others before. */
static void tail_to_pack(struct series *s, struct slab *m, struct series_stats *st)
{
	const struct pack *p = tail_pack(&s->tail);
	forget(st, p);
	if (tail_flush(&s->tail, m, s->t_newest_ms))
		return;
	struct packs *full = &more_of(s, m)->packs;
	packs_add(full, m, p, p->data);
	st->packs++;
	st->packs_bytes += packs_item_bytes(p);
	tail_pack_drop(&s->tail, m);
	CHECK(tail_flush(&s->tail, m, s->t_newest_ms));
}

static void new_put(struct series *s, struct slab *m, struct series_stats *st, int64_t t, double v)
{
	st->tails_bytes -= tail_bytes(&s->tail);
	forget(st, tail_pack(&s->tail));
	if (!tail_add(&s->tail, m, s->t_newest_ms, t, v)) {
		tail_to_pack(s, m, st);
		CHECK(tail_add(&s->tail, m, s->t_newest_ms, t, v));
	}
	st->tails_bytes += tail_bytes(&s->tail);
	s->t_newest_ms = t;
	st->live_rows++;
}

/* The pack of a run with this time, NULL when none goes over it; *full its number among those. */
static const struct pack *pack_for(const struct series_run *r, int64_t t, uint32_t *full)
{
	const struct pack *p = tail_pack(&r->tail);
	*full = UINT32_MAX;
	if (p && p->t_min_ms <= t)
		return t <= pack_t_max(p) ? p : NULL;
	if (!r->more)
		return NULL;
	uint32_t i = packs_seek(&r->more->packs, t);
	if (i == r->more->packs.count || packs_at(&r->more->packs, i)->t_min_ms > t)
		return NULL;
	*full = i;
	return packs_at(&r->more->packs, i);
}

static void unpack(struct series_unpacked *u, const struct pack *p)
{
	if (u->of == p)
		return;
	/* our own memory */
	CHECK(pack_decode(p, p->data, u->t_ms, u->v) == 0);
	u->of = p;
	u->count = p->count;
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

/* The unpacked pack is encoded anew, for a value in it is another one. */
static void repack(struct series *s, struct slab *m, struct series_stats *st, uint32_t full)
{
	struct series_unpacked *u = &st->last;
	SCRATCH uint8_t data[PACK_BYTES_MAX];
	struct pack head;
	pack_encode(&head, u->t_ms, u->v, u->count, data);
	if (full == UINT32_MAX) {
		st->tails_bytes -= tail_bytes(&s->tail);
		tail_pack_set(&s->tail, m, &head, data);
		st->tails_bytes += tail_bytes(&s->tail);
		u->of = tail_pack(&s->tail);
		return;
	}
	struct packs *p = &s->more->packs;
	st->packs_bytes -= p->bytes;
	packs_set(p, m, full, &head, data);
	st->packs_bytes += p->bytes;
	u->of = packs_at(p, full);
}

/* Overwrites in a pack when the time is there: *found says whether it was. */
static enum series_put pack_put(struct series *s, struct slab *m, struct series_stats *st,
    int64_t t, double v, const struct extra *e, bool *found)
{
	struct series_run live = series_live(s);
	uint32_t full;
	const struct pack *p = pack_for(&live, t, &full);
	double *at = NULL;
	if (p) {
		unpack(&st->last, p);
		at = unpacked_find(&st->last, t);
	}
	*found = at != NULL;
	if (!at)
		return SERIES_PUT_LATE;
	if (row_same(extras_of(&live), t, *at, v, e))
		return SERIES_PUT_SAME;
	if (num_bits(*at) == num_bits(v)) /* only what stands beside it is another */
		return SERIES_PUT_OVER;
	*at = v;
	repack(s, m, st, full);
	return SERIES_PUT_OVER;
}

/* Is the time in a frozen run, and with which value? */
static bool run_find(const struct series_run *r, struct series_unpacked *u, int64_t t, double *v)
{
	const uint8_t *row = tail_find(&r->tail, r->t_last_ms, t);
	if (row) {
		memcpy(v, row, 8);
		return true;
	}
	const struct late *late = late_of(r);
	const double *at = late ? late_find(late, t) : NULL;
	uint32_t full;
	const struct pack *p = at ? NULL : pack_for(r, t, &full);
	if (p) {
		unpack(u, p);
		at = unpacked_find(u, t);
	}
	if (at)
		*v = *at;
	return at != NULL;
}

static enum series_put value_put(
    const struct series *s, int64_t t, void *at, double v, const struct extra *e)
{
	double was;
	memcpy(&was, at, 8);
	if (row_same(s->more ? s->more->extras : NULL, t, was, v, e))
		return SERIES_PUT_SAME;
	memcpy(at, &v, 8);
	return SERIES_PUT_OVER;
}

/* The same for a row of the tail: those of a still one get values of their own first. */
static enum series_put row_put(struct series *s, struct slab *m, struct series_stats *st, int64_t t,
    uint8_t *row, double v, const struct extra *e)
{
	bool found = true, spread;
	if (LIKELY(!(s->tail.form & TAIL_STILL) || memcmp(row, &v, 8) == 0))
		return value_put(s, t, row, v, e);
	st->tails_bytes -= tail_bytes(&s->tail);
	forget(st, tail_pack(&s->tail));
	spread = tail_spread(&s->tail, m);
	if (!spread)
		tail_to_pack(s, m, st);
	st->tails_bytes += tail_bytes(&s->tail);
	if (spread)
		return value_put(s, t, tail_find(&s->tail, s->t_newest_ms, t), v, e);
	enum series_put put = pack_put(s, m, st, t, v, e, &found);
	CHECK(found);
	return put;
}

/* At or below the newest time. */
static enum series_put old_put(struct series *s, struct slab *m, struct series_stats *st, int64_t t,
    double v, const struct extra *e)
{
	uint8_t *row = tail_find(&s->tail, s->t_newest_ms, t);
	if (row)
		return row_put(s, m, st, t, row, v, e);
	if (s->more && s->more->late) {
		double *at = late_find(s->more->late, t);
		if (at)
			return value_put(s, t, at, v, e);
	}
	bool found;
	enum series_put put = pack_put(s, m, st, t, v, e, &found);
	if (found)
		return put;
	double was;
	if (s->frozen && run_find(s->frozen, &st->last, t, &was)) {
		if (row_same(extras_of(s->frozen), t, was, v, e))
			return SERIES_PUT_SAME;
		put = SERIES_PUT_OVER; /* live wins over frozen, so the new value goes to live */
	}
	struct series_more *more = more_of(s, m);
	if (!more->late)
		more->late = late_create(m);
	late_insert(more->late, m, t, v);
	st->late_rows++;
	st->live_rows++;
	return put;
}

enum series_put series_put_slow(struct series *s, struct slab *m, struct series_stats *st,
    int64_t t_ms, double v, const struct extra *e)
{
	enum series_put put = SERIES_PUT_NEW;
	if (t_ms > s->t_newest_ms || (t_ms == INT64_MIN && !series_has_live(s) && !s->frozen))
		new_put(s, m, st, t_ms, v);
	else
		put = old_put(s, m, st, t_ms, v, e);
	if (put != SERIES_PUT_SAME)
		extra_put(s, m, st, t_ms, e);
	return put;
}

/* ---- reading ---- */

uint64_t series_run_count(const struct series_run *r)
{
	const struct late *late = late_of(r);
	return tail_samples(&r->tail) + packs_of(r)->rows + (late ? late->count : 0);
}

static void bounds_add(int64_t *lo, int64_t *hi, int64_t a, int64_t z)
{
	*lo = a < *lo ? a : *lo;
	*hi = z > *hi ? z : *hi;
}

bool series_run_bounds(const struct series_run *r, int64_t *t_min_ms, int64_t *t_max_ms)
{
	int64_t lo = INT64_MAX, hi = INT64_MIN;
	const struct pack *p = tail_pack(&r->tail);
	const struct packs *full = packs_of(r);
	const struct late *late = late_of(r);
	if (r->tail.count)
		bounds_add(&lo, &hi, tail_t(&r->tail, r->t_last_ms, 0), r->t_last_ms);
	if (p)
		bounds_add(&lo, &hi, p->t_min_ms, pack_t_max(p));
	if (full->count)
		bounds_add(&lo, &hi, packs_at(full, 0)->t_min_ms,
		    pack_t_max(packs_at(full, full->count - 1)));
	if (late)
		bounds_add(&lo, &hi, late_t_min(late), late_t_max(late));
	if (lo > hi)
		return false;
	*t_min_ms = lo;
	*t_max_ms = hi;
	return true;
}

static void pack_times(const struct pack *p, void (*fn)(void *arg, int64_t t_ms), void *arg)
{
	fn(arg, p->t_min_ms);
	fn(arg, pack_t_max(p));
}

void series_run_times(const struct series_run *r, void (*fn)(void *arg, int64_t t_ms), void *arg)
{
	const struct pack *p = tail_pack(&r->tail);
	const struct packs *full = packs_of(r);
	const struct late *late = late_of(r);
	for (uint32_t i = 0; i < full->count; i++)
		pack_times(packs_at(full, i), fn, arg);
	if (p)
		pack_times(p, fn, arg);
	if (r->tail.count) {
		fn(arg, tail_t(&r->tail, r->t_last_ms, 0));
		fn(arg, r->t_last_ms);
	}
	for (uint32_t k = 0; late && k < late->blocks_count; k++)
		for (uint32_t i = 0; i < late->blocks[k]->count; i++)
			fn(arg, late->blocks[k]->t_ms[i]);
}

/* Those of a pack's samples that are in the window. */
static enum err pack_read(const struct pack *p, int64_t lo, int64_t hi, struct column *out)
{
	unsigned n = p->count;
	column_reserve(out, n);
	int64_t *t = out->t_ms + out->count;
	double *v = out->v + out->count;
	bool whole = p->t_min_ms >= lo && pack_t_max(p) <= hi;
	if (whole ? pack_decode(p, p->data, t, v) : pack_decode_range(p, p->data, lo, hi, t, v, &n))
		return ERR_DAMAGED;
	out->count += n;
	return ERR_OK;
}

/* Packs and tail, ascending, cut to the window. */
static enum err ordered_read(const struct series_run *r, int64_t lo, int64_t hi, struct column *out)
{
	const struct packs *full = packs_of(r);
	const struct pack *p = tail_pack(&r->tail);
	enum err e = ERR_OK;
	for (uint32_t k = packs_seek(full, lo); k < full->count && !e; k++) {
		if (packs_at(full, k)->t_min_ms > hi)
			break;
		e = pack_read(packs_at(full, k), lo, hi, out);
	}
	if (!e && p && p->t_min_ms <= hi && pack_t_max(p) >= lo)
		e = pack_read(p, lo, hi, out);
	if (e)
		return e;
	column_reserve(out, r->tail.count);
	for (unsigned i = 0; i < r->tail.count; i++) {
		int64_t t = tail_t(&r->tail, r->t_last_ms, i);
		if (t > hi)
			break;
		if (t < lo)
			continue;
		out->t_ms[out->count] = t;
		out->v[out->count++] = tail_v(&r->tail, i);
	}
	return ERR_OK;
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
	column_clear(out);
	enum err e = ordered_read(r, t_min_ms, t_max_ms, out);
	if (e)
		return e;
	const struct late *late = late_of(r);
	if (late)
		late_merge(late, t_min_ms, t_max_ms, out);
	if (UNLIKELY(extras_of(r) != NULL))
		return extras_read(extras_of(r), t_min_ms, t_max_ms, out);
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

/* Counts samples in full packs at or after a time, up to n: those of the tail are few. */
static uint32_t packs_count_some(const struct packs *p, int64_t from_ms, uint32_t n, int64_t *t_ms)
{
	uint32_t count = 0;
	for (uint32_t i = packs_seek(p, from_ms); i < p->count && count < n; i++) {
		count += packs_at(p, i)->count;
		*t_ms = pack_t_max(packs_at(p, i));
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
	const struct late *late = late_of(r);
	if (packs_count_some(packs_of(r), from_ms, n, &t_ms) >= n)
		reach = t_ms;
	if (late && late_count_some(late, from_ms, n, &t_ms) >= n && t_ms < reach)
		reach = t_ms;
	if (extras_of(r) && extras_cost_some(extras_of(r), from_ms, n, &t_ms) >= n && t_ms < reach)
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
	if (!e)
		column_append(out, &part, 0, part.count);
	column_release(&part);
	*from_ms = *more ? to + 1 : t_max_ms;
	return e;
}

static bool run_holds_more(const struct series_run *r, uint32_t n)
{
	const struct late *late = late_of(r);
	return packs_of(r)->rows + tail_samples(&r->tail) > n || (late && late->count > n) ||
	    (extras_of(r) && extras_cost(extras_of(r)) > n);
}

bool series_holds_more(const struct series *s, uint32_t n)
{
	struct series_run live = series_live(s);
	const struct series_run *frozen = series_frozen(s);
	return run_holds_more(&live, n) || (frozen && run_holds_more(frozen, n));
}

/* Of n samples, evenly spread from lo to hi, those in the range. */
static double spread(double n, int64_t lo, int64_t hi, int64_t t_min_ms, int64_t t_max_ms)
{
	int64_t from = lo > t_min_ms ? lo : t_min_ms, to = hi < t_max_ms ? hi : t_max_ms;
	if (from > to)
		return 0;
	if ((from == lo && to == hi) || hi <= lo)
		return n;
	double inside = (n - 1) * (((double)to - (double)from) / ((double)hi - (double)lo));
	return from == lo || to == hi ? inside + 1 : inside;
}

static double packs_about(const struct packs *p, int64_t t_min_ms, int64_t t_max_ms)
{
	uint32_t from = packs_seek(p, t_min_ms), to = packs_seek(p, t_max_ms);
	if (!p->count || from == p->count || packs_at(p, from)->t_min_ms > t_max_ms)
		return 0;
	to = to == p->count ? to - 1 : to;
	if (!from && to == p->count - 1 && packs_at(p, 0)->t_min_ms >= t_min_ms &&
	    pack_t_max(packs_at(p, to)) <= t_max_ms)
		return (double)p->rows;
	const struct pack *a = packs_at(p, from), *z = packs_at(p, to);
	double n = spread(a->count, a->t_min_ms, pack_t_max(a), t_min_ms, t_max_ms);
	if (to > from)
		n += spread(z->count, z->t_min_ms, pack_t_max(z), t_min_ms, t_max_ms);
	return to > from + 1 ? n + (double)(to - from - 1) * (double)p->rows / p->count : n;
}

/* Rows are few, or go on by their step. */
static double rows_within(const struct series_run *r, int64_t t_min_ms, int64_t t_max_ms)
{
	unsigned n = 0;
	for (unsigned i = 0; i < r->tail.count; i++) {
		int64_t t = tail_t(&r->tail, r->t_last_ms, i);
		n += t >= t_min_ms && t <= t_max_ms;
	}
	return n;
}

static double run_about(const struct series_run *r, int64_t t_min_ms, int64_t t_max_ms, double *bytes)
{
	const struct pack *p = tail_pack(&r->tail);
	const struct packs *full = packs_of(r);
	const struct late *late = late_of(r);
	double n = 0, all = (double)series_run_count(r);
	double held = (double)(r->tail.bytes ? tail_bytes(&r->tail) : 0) + (double)full->bytes;
	n += rows_within(r, t_min_ms, t_max_ms);
	if (p)
		n += spread(p->count, p->t_min_ms, pack_t_max(p), t_min_ms, t_max_ms);
	n += packs_about(full, t_min_ms, t_max_ms);
	if (late) {
		held += (double)late->count * LATE_ROW;
		n += spread(late->count, late_t_min(late), late_t_max(late), t_min_ms, t_max_ms);
	}
	if (r->more && r->more->extras)
		held += (double)r->more->extras->bytes;
	*bytes += all > 0 ? held * n / all : 0;
	return n;
}

uint64_t series_about(const struct series *s, int64_t t_min_ms, int64_t t_max_ms, uint64_t *bytes)
{
	struct series_run live = series_live(s);
	const struct series_run *frozen = series_frozen(s);
	double b = 0, n = run_about(&live, t_min_ms, t_max_ms, &b);
	if (frozen)
		n += run_about(frozen, t_min_ms, t_max_ms, &b);
	*bytes = (uint64_t)(b + 0.5);
	return (uint64_t)(n + 0.5);
}

static uint64_t packs_most(const struct packs *p, int64_t t_min_ms, int64_t t_max_ms)
{
	uint32_t from = packs_seek(p, t_min_ms), to = packs_seek(p, t_max_ms);
	if (!p->count || from == p->count || packs_at(p, from)->t_min_ms > t_max_ms)
		return 0;
	to = to == p->count ? to - 1 : to;
	uint64_t n = (uint64_t)(to - from + 1) * PACK_SAMPLES_MAX;
	return n < p->rows ? n : p->rows;
}

static uint64_t run_most(const struct series_run *r, int64_t t_min_ms, int64_t t_max_ms)
{
	const struct pack *p = tail_pack(&r->tail);
	const struct late *late = late_of(r);
	uint64_t n = (uint64_t)rows_within(r, t_min_ms, t_max_ms);
	n += packs_most(packs_of(r), t_min_ms, t_max_ms);
	n += p && p->t_min_ms <= t_max_ms && pack_t_max(p) >= t_min_ms ? p->count : 0;
	return n + (late ? late->count : 0);
}

uint64_t series_most(const struct series *s, int64_t t_min_ms, int64_t t_max_ms)
{
	struct series_run live = series_live(s);
	const struct series_run *frozen = series_frozen(s);
	return run_most(&live, t_min_ms, t_max_ms) +
	    (frozen ? run_most(frozen, t_min_ms, t_max_ms) : 0);
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
	struct series_more *more = r->more;
	tail_free(&r->tail, m);
	if (!more)
		return true;
	*budget -= packs_free_some(&more->packs, m, *budget);
	if (more->packs.count)
		return false;
	if (more->late)
		*budget -= late_free_some(more->late, m, *budget);
	*budget -= extras_free_some(&more->extras, m, *budget);
	if ((more->late && more->late->blocks_count) || more->extras)
		return false;
	late_free(more->late, m);
	slab_give(m, more, sizeof *more);
	r->more = NULL;
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
	const struct late *late = late_of(&r);
	st->last.of = NULL;
	uint64_t rows = series_run_count(&r);
	CHECK(st->live_rows >= rows);
	st->live_rows -= rows;
	st->late_rows -= late ? late->count : 0;
	st->extras_bytes -= extras_of(&r) ? extras_of(&r)->bytes : 0;
	st->packs -= packs_of(&r)->count;
	st->packs_bytes -= packs_of(&r)->bytes;
	st->tails_bytes -= tail_bytes(&r.tail);
	tail_leave(&s->tail);
	s->more = NULL;
	return r;
}

bool series_freeze(struct series *s, struct slab *m, struct series_stats *st)
{
	CHECK(!s->frozen);
	if (!series_has_live(s))
		return false;
	struct series_run *r = slab_take(m, sizeof *r);
	*r = live_take(s, st);
	s->frozen = r;
	return true;
}

struct series_run series_frozen_take(struct series *s, struct slab *m, struct series_stats *st)
{
	CHECK(s->frozen != NULL);
	struct series_run r = *s->frozen;
	st->last.of = NULL;
	slab_give(m, s->frozen, sizeof *s->frozen);
	s->frozen = NULL;
	return r;
}

static void row_again(struct series *s, struct slab *m, struct series_stats *st,
    const struct column *c, uint32_t i, struct buf *hist)
{
	const struct hist *h = column_hist(c, i);
	struct extra e = { .start_ms = column_start_ms(c, i) };
	if (LIKELY(!h && !e.start_ms)) {
		(void)series_put(s, m, st, c->t_ms[i], c->v[i]);
		return;
	}
	buf_clear(hist);
	if (h) {
		hist_encode(h, hist);
		e.hist = hist->data;
		e.hist_len = (uint32_t)hist->len;
	}
	(void)series_put_slow(s, m, st, c->t_ms[i], c->v[i], &e);
}

bool series_cut(
    struct series *s, struct slab *m, struct series_stats *st, int64_t t_min_ms, int64_t t_max_ms)
{
	struct series_run live = series_live(s);
	struct column all = { 0 };
	struct buf hist;
	int64_t lo, hi;
	uint32_t kept = 0;
	CHECK(!s->frozen);
	if (!series_run_bounds(&live, &lo, &hi) || lo > t_max_ms || hi < t_min_ms)
		return false;
	if (lo >= t_min_ms && hi <= t_max_ms) { /* all of it */
		series_release(s, m, st);
		s->t_newest_ms = INT64_MIN;
		return true;
	}
	CHECK(series_run_read(&live, INT64_MIN, INT64_MAX, &all) == ERR_OK);
	for (uint32_t i = 0; i < all.count; i++)
		kept += all.t_ms[i] < t_min_ms || all.t_ms[i] > t_max_ms;
	if (kept < all.count) {
		buf_init(&hist);
		series_release(s, m, st);
		s->t_newest_ms = INT64_MIN;
		for (uint32_t i = 0; i < all.count; i++)
			if (all.t_ms[i] < t_min_ms || all.t_ms[i] > t_max_ms)
				row_again(s, m, st, &all, i, &hist);
		buf_release(&hist);
	}
	bool any = kept < all.count;
	column_release(&all);
	return any;
}

void series_release(struct series *s, struct slab *m, struct series_stats *st)
{
	struct series_run r = live_take(s, st);
	run_release(&r, m);
	if (s->frozen) {
		r = series_frozen_take(s, m, st);
		run_release(&r, m);
	}
}
