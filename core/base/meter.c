#include "core/base/meter.h"

#include <stdatomic.h>

#include "core/base/arena.h"

#define RELAXED memory_order_relaxed
#define S_NS    UINT64_C(1000000000)
#define MOST_NS (UINT64_C(1) << 62)

uint64_t meter_cost_ns(uint64_t n, uint64_t per_s)
{
	CHECK(per_s);
	unsigned __int128 ns = (unsigned __int128)n * S_NS / per_s;
	return ns < MOST_NS ? (uint64_t)ns : MOST_NS;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t meter_take(struct meter *m, uint64_t now_ns, uint64_t cost_ns, const struct meter_terms *t)
{
	uint64_t paid = atomic_load_explicit(&m->_paid_ns, RELAXED), wait, next;
	do {
		uint64_t from = paid > now_ns ? paid : now_ns;
		uint64_t ready = from + least(cost_ns, t->burst_ns), last = now_ns + t->burst_ns;
		wait = ready > last ? ready - last : 0;
		if (wait > t->wait_ns)
			return wait;
		next = least(from + cost_ns, now_ns + t->burst_ns + t->debt_ns);
		if (next < paid)
			next = paid;
	} while (!atomic_compare_exchange_weak_explicit(&m->_paid_ns, &paid, next, RELAXED, RELAXED));
	return wait;
}

void meter_give(struct meter *m, uint64_t cost_ns)
{
	uint64_t paid = atomic_load_explicit(&m->_paid_ns, RELAXED);
	while (!atomic_compare_exchange_weak_explicit(
	    &m->_paid_ns, &paid, paid - least(paid, cost_ns), RELAXED, RELAXED))
		;
}

void meter_owe(struct meter *m, uint64_t now_ns, uint64_t cost_ns, const struct meter_terms *t)
{
	uint64_t paid = atomic_load_explicit(&m->_paid_ns, RELAXED), next;
	do {
		uint64_t from = paid > now_ns ? paid : now_ns;
		next = least(from + cost_ns, now_ns + t->burst_ns + t->debt_ns);
		if (next < paid)
			next = paid;
	} while (!atomic_compare_exchange_weak_explicit(&m->_paid_ns, &paid, next, RELAXED, RELAXED));
}

/* --- the book --- */

struct meter_row *meter_row(struct meter_book *b, uint32_t number)
{
	struct meter_row *_Atomic *place = &b->_pages[number / METER_PAGE % METER_PAGES];
	struct meter_row *page = atomic_load_explicit(place, memory_order_acquire);
	if (!page) {
		struct meter_row *made = mem_zalloc(METER_PAGE * sizeof(*made));
		if (atomic_compare_exchange_strong_explicit(
		        place, &page, made, memory_order_acq_rel, memory_order_acquire))
			page = made;
		else
			mem_free(made);
	}
	return &page[number % METER_PAGE];
}

static void owe_less(struct meter *m, uint64_t now_ns, uint64_t was, uint64_t is)
{
	uint64_t paid = atomic_load_explicit(&m->_paid_ns, RELAXED), next;
	do {
		if (paid <= now_ns)
			return;
		next = now_ns + (uint64_t)((unsigned __int128)(paid - now_ns) * was / is);
	} while (!atomic_compare_exchange_weak_explicit(&m->_paid_ns, &paid, next, RELAXED, RELAXED));
}

void meter_row_rate(struct meter_row *r, unsigned i, uint64_t per_s, uint64_t now_ns)
{
	uint64_t was = atomic_load_explicit(&r->_per_s[i], RELAXED);
	if (LIKELY(was == per_s))
		return;
	if (atomic_compare_exchange_strong_explicit(&r->_per_s[i], &was, per_s, RELAXED, RELAXED) &&
	    was && per_s > was)
		owe_less(&r->meters[i], now_ns, was, per_s);
}

void meter_book_release(struct meter_book *b)
{
	for (unsigned i = 0; i < METER_PAGES; i++)
		mem_free(atomic_exchange_explicit(&b->_pages[i], NULL, memory_order_acq_rel));
}

uint64_t meter_note(const struct meter_row *r)
{
	return atomic_load_explicit(&r->note, RELAXED);
}

void meter_note_set(struct meter_row *r, uint64_t note)
{
	atomic_store_explicit(&r->note, note, RELAXED);
}
