#include "core/base/purse.h"

#include <stdatomic.h>

#include "core/base/mem.h"

void purse_init(struct purse *p, uint64_t max_bytes, struct purse *up)
{
	*p = (struct purse){ .max = max_bytes, .up = up };
}

void purse_show(struct purse *p, enum metric_id gauge)
{
	p->has_gauge = true;
	p->gauge = gauge;
}

static void show(const struct purse *p, uint64_t more)
{
	if (p->has_gauge)
		metric_gauge_add(p->gauge, (int64_t)more);
}

/* Adds bytes when they fit; *after is what is used then. */
static bool add_if_room(struct purse *p, uint64_t bytes, uint64_t *after)
{
	uint64_t used = atomic_load_explicit(&p->_used, memory_order_relaxed);
	uint64_t max = p->max ? p->max : UINT64_MAX;

	do {
		if (used > max || bytes > max - used)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
	    &p->_used, &used, used + bytes, memory_order_relaxed, memory_order_relaxed));
	*after = used + bytes;
	show(p, bytes);
	return true;
}

static void sub(struct purse *p, uint64_t bytes)
{
	uint64_t before = atomic_fetch_sub_explicit(&p->_used, bytes, memory_order_relaxed);
	CHECK(before >= bytes);
	show(p, 0 - bytes);
}

static void peak_to(struct purse *p, uint64_t used)
{
	uint64_t peak = atomic_load_explicit(&p->_peak, memory_order_relaxed);

	while (peak < used &&
	    !atomic_compare_exchange_weak_explicit(
	        &p->_peak, &peak, used, memory_order_relaxed, memory_order_relaxed))
		continue;
}

static void remember(struct purse *p, enum purse_why why)
{
	atomic_store_explicit(&p->_why, (uint8_t)why, memory_order_relaxed);
}

/* A purse without any limit, private counts of tests and tools, is never over. */
static bool is_limited(const struct purse *p)
{
	for (; p; p = p->up)
		if (p->max)
			return true;
	return false;
}

bool purse_take(struct purse *p, uint64_t bytes)
{
	if (is_limited(p) && !mem_room(bytes)) {
		remember(p, PURSE_MEMORY);
		return false;
	}
	for (struct purse *q = p; q; q = q->up) {
		uint64_t after;
		if (add_if_room(q, bytes, &after)) {
			peak_to(q, after);
			continue;
		}
		for (struct purse *back = p; back != q; back = back->up)
			sub(back, bytes);
		remember(p, q == p ? PURSE_OWN : PURSE_SUM);
		return false;
	}
	return true;
}

bool purse_fits(const struct purse *p, uint64_t bytes)
{
	if (is_limited(p) && !mem_room(bytes))
		return false;
	for (; p; p = p->up) {
		uint64_t used = purse_used(p), max = p->max ? p->max : UINT64_MAX;
		if (used > max || bytes > max - used)
			return false;
	}
	return true;
}

void purse_force(struct purse *p, uint64_t bytes)
{
	for (struct purse *q = p; q; q = q->up) {
		uint64_t after =
		    atomic_fetch_add_explicit(&q->_used, bytes, memory_order_relaxed) + bytes;
		CHECK(after >= bytes);
		show(q, bytes);
		peak_to(q, after);
		if (q->max && after > q->max && !atomic_load(&p->_over)) {
			remember(p, q == p ? PURSE_OWN : PURSE_SUM);
			atomic_store_explicit(&p->_over, true, memory_order_relaxed);
		}
	}
}

void purse_give(struct purse *p, uint64_t bytes)
{
	for (; p; p = p->up)
		sub(p, bytes);
}

bool purse_over(const struct purse *p)
{
	return atomic_load_explicit(&p->_over, memory_order_relaxed) ||
	    (UNLIKELY(mem_short()) && is_limited(p));
}

void purse_close(struct purse *p)
{
	remember(p, PURSE_CLOSED);
	atomic_store_explicit(&p->_over, true, memory_order_relaxed);
}

enum purse_why purse_why(const struct purse *p)
{
	enum purse_why why = atomic_load_explicit(&p->_why, memory_order_relaxed);
	return why == PURSE_FITS && purse_over(p) ? PURSE_MEMORY : why;
}

uint64_t purse_used(const struct purse *p)
{
	return atomic_load_explicit(&p->_used, memory_order_relaxed);
}

uint64_t purse_peak(const struct purse *p)
{
	return atomic_load_explicit(&p->_peak, memory_order_relaxed);
}

void purse_end(struct purse *p)
{
	CHECK(purse_used(p) == 0);
}
