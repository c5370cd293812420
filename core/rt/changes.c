#include "core/rt/changes.h"

#include <stdatomic.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/base/num.h"

#define PAGE_COUNT 1024u
#define PAGES      1024u
#define WHO_MAX    (PAGE_COUNT * PAGES) /* those from here on share the last one */
#define NEVER_MS   (INT64_MIN / 4)
#define NEAR_MS    CHANGES_SLOT_MS

#define ACQUIRE memory_order_acquire
#define RELAXED memory_order_relaxed
#define RELEASE memory_order_release

/* Of one writer, somebody and kind. Slots are numbered by time / width, the newest is `newest`. */
struct rings {
	_Atomic int64_t newest[CHANGES_LEVELS];
	_Atomic uint64_t slots[CHANGES_LEVELS][CHANGES_SLOTS];
	_Atomic uint64_t before; /* all rings */
	_Atomic uint64_t ahead;  /* of what lay too far ahead */
};
struct book {                 /* of somebody */
	uint64_t since;       /* what came before it was made counts as this one */
	struct rings rings[]; /* [writers][CHANGES_KINDS] */
};
struct page {
	struct book *_Atomic books[PAGE_COUNT];
};
struct changes {
	_Atomic uint64_t now;
	unsigned writers;
	struct book *all;
	struct page *_Atomic pages[PAGES];
};

static int64_t width_of(unsigned level)
{
	return (int64_t)CHANGES_SLOT_MS << (4 * level);
}

static int64_t slot_of(int64_t t_ms, unsigned level)
{
	int64_t w = width_of(level);
	return t_ms / w - (t_ms % w < 0);
}

static _Atomic uint64_t *slot_at(struct rings *r, unsigned level, int64_t slot)
{
	return &r->slots[level][(uint64_t)slot % CHANGES_SLOTS];
}

static struct book *book_make(const struct changes *c, uint64_t since)
{
	size_t count = (size_t)c->writers * CHANGES_KINDS;
	struct book *b = mem_zalloc(sizeof(*b) + count * sizeof(b->rings[0]));
	b->since = since;
	for (size_t i = 0; i < count; i++)
		for (unsigned l = 0; l < CHANGES_LEVELS; l++)
			atomic_init(&b->rings[i].newest[l], NEVER_MS);
	return b;
}

struct changes *changes_create(unsigned writers)
{
	struct changes *c = mem_zalloc(sizeof(*c));
	c->writers = writers;
	c->all = book_make(c, 0);
	return c;
}

void changes_free(struct changes *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < PAGES; i++) {
		struct page *p = atomic_load_explicit(&c->pages[i], RELAXED);
		for (unsigned k = 0; p && k < PAGE_COUNT; k++)
			mem_free(atomic_load_explicit(&p->books[k], RELAXED));
		mem_free(p);
	}
	mem_free(c->all);
	mem_free(c);
}

uint64_t changes_now(const struct changes *c)
{
	return atomic_load_explicit(&c->now, ACQUIRE);
}

/* ---- books ---- */

static uint32_t place_of(uint32_t who)
{
	return who < WHO_MAX ? who : WHO_MAX - 1;
}

/* NULL: nobody asks for them. */
static struct book *book_find(struct changes *c, uint32_t who)
{
	uint32_t at = place_of(who);
	struct page *p = atomic_load_explicit(&c->pages[at / PAGE_COUNT], ACQUIRE);
	return p ? atomic_load_explicit(&p->books[at % PAGE_COUNT], ACQUIRE) : NULL;
}

static struct page *page_get(struct changes *c, uint32_t at)
{
	struct page *have = atomic_load_explicit(&c->pages[at], ACQUIRE);
	if (have)
		return have;
	struct page *fresh = mem_zalloc(sizeof(*fresh));
	if (atomic_compare_exchange_strong(&c->pages[at], &have, fresh))
		return fresh;
	mem_free(fresh); /* another thread was first */
	return have;
}

/*
 * An operation on `now` that changes nothing, between one's own store and a look at what the other
 * one stored. Of two threads that both do this one comes later: it sees the store of the other.
 */
static void meet(struct changes *c)
{
	atomic_fetch_add_explicit(&c->now, 0, memory_order_acq_rel);
}

/*
 * What was changed before it is there is not marked in it, but can be seen by whoever reads after
 * this.
 */
static struct book *book_get(struct changes *c, uint32_t who)
{
	struct book *have = book_find(c, who);
	if (LIKELY(have != NULL))
		return have;
	uint32_t at = place_of(who);
	struct page *p = page_get(c, at / PAGE_COUNT);
	struct book *fresh = book_make(c, atomic_fetch_add(&c->now, 1) + 1);
	if (!atomic_compare_exchange_strong(&p->books[at % PAGE_COUNT], &have, fresh)) {
		mem_free(fresh);
		fresh = have;
	}
	meet(c);
	return fresh;
}

/* ---- marks ---- */

/* The ring reaches slot `to`: what lay ahead may be in the slots that are new. */
static void ring_advance(struct rings *r, unsigned level, int64_t to)
{
	int64_t from = atomic_load_explicit(&r->newest[level], RELAXED);
	uint64_t ahead = atomic_load_explicit(&r->ahead, RELAXED);
	if (to <= from)
		return;
	if (UNLIKELY(ahead)) {
		int64_t at = to - from > CHANGES_SLOTS ? to - CHANGES_SLOTS : from;
		while (++at <= to)
			atomic_store_explicit(slot_at(r, level, at), ahead, RELEASE);
	}
	atomic_store_explicit(&r->newest[level], to, RELEASE);
}

/*
 * The last slot up to which a ring is marked: where it reaches already, everything is; beyond, what
 * lies too far ahead is told by a number of its own.
 */
static int64_t ring_end(struct rings *r, unsigned level, int64_t t_max_ms, int64_t far_ms, uint64_t n)
{
	int64_t to = slot_of(t_max_ms, level), most = slot_of(far_ms, level);
	int64_t newest = atomic_load_explicit(&r->newest[level], RELAXED);
	most = newest > most ? newest : most;
	if (LIKELY(to <= most))
		return to;
	atomic_store_explicit(&r->ahead, n, RELEASE);
	return most;
}

static void ring_mark(struct rings *r, unsigned level, int64_t from, int64_t to, uint64_t n)
{
	ring_advance(r, level, to);
	int64_t oldest =
	    atomic_load_explicit(&r->newest[level], RELAXED) - (int64_t)CHANGES_SLOTS + 1;
	if (from < oldest) {
		from = oldest;
		if (level == CHANGES_LEVELS - 1)
			atomic_store_explicit(&r->before, n, RELEASE);
	}
	for (; from <= to; from++)
		atomic_store_explicit(slot_at(r, level, from), n, RELEASE);
}

static void rings_mark(struct rings *r, const struct changes_span *s, int64_t far_ms, uint64_t n)
{
	int64_t t_min = s->t_min_ms > INT64_MIN / 2 ? s->t_min_ms : INT64_MIN / 2;
	for (unsigned l = 0; l < CHANGES_LEVELS && t_min <= s->t_max_ms; l++) {
		int64_t from = slot_of(t_min, l), to = ring_end(r, l, s->t_max_ms, far_ms, n);
		if (from <= to)
			ring_mark(r, l, from, to, n);
	}
}

/* Marks first, then the number: whoever sees it sees them. Another writer took it: once more. */
static void book_mark(struct changes *c, struct book *b, unsigned writer, enum changes_kind kind,
    const struct changes_spans *s, int64_t now_ms)
{
	struct rings *r = &b->rings[(size_t)writer * CHANGES_KINDS + kind];
	uint64_t had = atomic_load_explicit(&c->now, RELAXED);
	do {
		for (unsigned i = 0; i < s->count; i++)
			rings_mark(r, &s->at[i], num_sat_add(now_ms, CHANGES_AHEAD_MS), had + 1);
	} while (!atomic_compare_exchange_weak_explicit(
	    &c->now, &had, had + 1, memory_order_acq_rel, RELAXED));
}

void changes_mark_spans(struct changes *c, unsigned writer, uint32_t who, enum changes_kind kind,
    const struct changes_spans *s, int64_t now_ms)
{
	CHECK(writer < c->writers);
	if (!s->count)
		return;
	if (who == CHANGES_ALL) {
		book_mark(c, c->all, writer, kind, s, now_ms);
		return;
	}
	struct book *b = book_find(c, who);
	if (!b) {
		meet(c);
		b = book_find(c, who);
	}
	if (b)
		book_mark(c, b, writer, kind, s, now_ms);
}

void changes_mark(struct changes *c, unsigned writer, uint32_t who, enum changes_kind kind,
    int64_t t_min_ms, int64_t t_max_ms, int64_t now_ms)
{
	struct changes_spans s = { .count = 1, .at = { { t_min_ms, t_max_ms } } };
	changes_mark_spans(c, writer, who, kind, &s, now_ms);
}

/* ---- ranges, gathered ---- */

static bool is_near(const struct changes_span *s, int64_t t_min_ms, int64_t t_max_ms)
{
	return t_min_ms <= num_sat_add(s->t_max_ms, NEAR_MS) &&
	    t_max_ms >= num_sat_sub(s->t_min_ms, NEAR_MS);
}

static void widen(struct changes_span *s, int64_t t_min_ms, int64_t t_max_ms)
{
	s->t_min_ms = t_min_ms < s->t_min_ms ? t_min_ms : s->t_min_ms;
	s->t_max_ms = t_max_ms > s->t_max_ms ? t_max_ms : s->t_max_ms;
}

static int64_t gap_of(const struct changes_span *s, int64_t t_min_ms, int64_t t_max_ms)
{
	return t_min_ms > s->t_max_ms ? num_sat_sub(t_min_ms, s->t_max_ms)
	                              : num_sat_sub(s->t_min_ms, t_max_ms);
}

void changes_spans_add(struct changes_spans *s, int64_t t_min_ms, int64_t t_max_ms)
{
	struct changes_span *nearest = &s->at[0];
	for (unsigned i = 0; i < s->count; i++) {
		if (is_near(&s->at[i], t_min_ms, t_max_ms)) {
			widen(&s->at[i], t_min_ms, t_max_ms);
			return;
		}
		if (gap_of(&s->at[i], t_min_ms, t_max_ms) < gap_of(nearest, t_min_ms, t_max_ms))
			nearest = &s->at[i];
	}
	if (s->count < CHANGES_SPANS)
		s->at[s->count++] = (struct changes_span){ t_min_ms, t_max_ms };
	else
		widen(nearest, t_min_ms, t_max_ms);
}

/* ---- questions ---- */

/* Slots are looked at after `newest`: what a writer does not put into a ring, because it has gone
 * on meanwhile, it numbers after that. */
static uint64_t ring_of(struct rings *r, unsigned level, int64_t t_min_ms, int64_t t_max_ms)
{
	const bool last = level == CHANGES_LEVELS - 1;
	int64_t newest = atomic_load_explicit(&r->newest[level], ACQUIRE);
	int64_t from = slot_of(t_min_ms, level), to = slot_of(t_max_ms, level);
	int64_t oldest = newest - (int64_t)CHANGES_SLOTS + 1;
	uint64_t n = 0, x;
	if (from < oldest && !last)
		return UINT64_MAX;
	if (from < oldest) {
		from = oldest;
		n = atomic_load_explicit(&r->before, ACQUIRE);
	}
	if (to > newest) {
		to = newest;
		x = atomic_load_explicit(&r->ahead, ACQUIRE);
		n = x > n ? x : n;
	}
	for (; from <= to; from++) {
		x = atomic_load_explicit(slot_at(r, level, from), ACQUIRE);
		n = x > n ? x : n;
	}
	return n;
}

static uint64_t rings_of(struct rings *r, int64_t t_min_ms, int64_t t_max_ms)
{
	uint64_t least = UINT64_MAX;
	for (unsigned l = CHANGES_LEVELS; l > 0 && least; l--) {
		uint64_t n = ring_of(r, l - 1, t_min_ms, t_max_ms);
		least = n < least ? n : least;
	}
	return least;
}

static uint64_t book_of(const struct changes *c, struct book *b, enum changes_kind kind,
    int64_t t_min_ms, int64_t t_max_ms)
{
	uint64_t most = b->since;
	for (unsigned w = 0; w < c->writers; w++) {
		uint64_t n =
		    rings_of(&b->rings[(size_t)w * CHANGES_KINDS + kind], t_min_ms, t_max_ms);
		most = n > most ? n : most;
	}
	return most;
}

uint64_t changes_of(
    struct changes *c, uint32_t who, enum changes_kind kind, int64_t t_min_ms, int64_t t_max_ms)
{
	int64_t t_min = t_min_ms > INT64_MIN / 2 ? t_min_ms : INT64_MIN / 2;
	struct book *b = book_get(c, who);
	if (t_min > t_max_ms)
		return b->since;
	uint64_t own = book_of(c, b, kind, t_min, t_max_ms);
	uint64_t all = book_of(c, c->all, kind, t_min, t_max_ms);
	return own > all ? own : all;
}
