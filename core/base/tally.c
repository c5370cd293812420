#include "core/base/tally.h"

#include <stdatomic.h>

#include "core/base/mem.h"

#define RELAXED memory_order_relaxed
#define PAGES   (TALLY_MAX / TALLY_PAGE)

struct page {
	_Atomic uint64_t counts[TALLY_PAGE];
};
struct tally {
	_Atomic uint32_t members;
	struct page *_Atomic pages[PAGES];
};

struct tally *tally_create(void)
{
	return mem_zalloc(sizeof(struct tally));
}

void tally_free(struct tally *t)
{
	if (!t)
		return;
	for (unsigned i = 0; i < PAGES; i++)
		mem_free(atomic_load_explicit(&t->pages[i], RELAXED));
	mem_free(t);
}

static struct page *page_make(struct tally *t, uint32_t at)
{
	struct page *fresh = mem_zalloc(sizeof(*fresh)), *have = NULL;
	if (atomic_compare_exchange_strong_explicit(
	        &t->pages[at], &have, fresh, memory_order_acq_rel, memory_order_acquire))
		return fresh;
	mem_free(fresh); /* another thread was first */
	return have;
}

static _Atomic uint64_t *count_of(struct tally *t, uint32_t number)
{
	uint32_t n = number < TALLY_MAX ? number : TALLY_MAX - 1;
	struct page *p = atomic_load_explicit(&t->pages[n / TALLY_PAGE], memory_order_acquire);
	if (UNLIKELY(!p))
		p = page_make(t, n / TALLY_PAGE);
	return &p->counts[n % TALLY_PAGE];
}

void tally_add(struct tally *t, uint32_t number, uint64_t n)
{
	if (n && !atomic_fetch_add_explicit(count_of(t, number), n, RELAXED))
		atomic_fetch_add_explicit(&t->members, 1, RELAXED);
}

void tally_sub(struct tally *t, uint32_t number, uint64_t n)
{
	if (!n)
		return;
	uint64_t had = atomic_fetch_sub_explicit(count_of(t, number), n, RELAXED);
	CHECK(had >= n);
	if (had == n)
		atomic_fetch_sub_explicit(&t->members, 1, RELAXED);
}

bool tally_take(struct tally *t, uint32_t number, uint64_t max)
{
	_Atomic uint64_t *count = count_of(t, number);
	uint64_t had = atomic_load_explicit(count, RELAXED);
	do {
		if (had >= max)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(count, &had, had + 1, RELAXED, RELAXED));
	if (!had)
		atomic_fetch_add_explicit(&t->members, 1, RELAXED);
	return true;
}

uint64_t tally_get(const struct tally *t, uint32_t number)
{
	uint32_t n = number < TALLY_MAX ? number : TALLY_MAX - 1;
	struct page *p = atomic_load_explicit(&t->pages[n / TALLY_PAGE], memory_order_acquire);
	return p ? atomic_load_explicit(&p->counts[n % TALLY_PAGE], RELAXED) : 0;
}

uint32_t tally_members(const struct tally *t)
{
	return atomic_load_explicit(&t->members, RELAXED);
}
