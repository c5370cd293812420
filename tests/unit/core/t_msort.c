#include "core/base/arena.h"
#include "core/base/msort.h"
#include "tests/lib/tap.h"

struct thing {
	unsigned key, order;
};
static size_t compared;

static int by_key(const void *a, const void *b)
{
	const struct thing *x = a, *y = b;
	compared++;
	return (x->key > y->key) - (x->key < y->key);
}

#define MOST 5000
static struct thing things[MOST];
static const void *items[MOST], *room[MOST];

static void sorts(size_t n, unsigned keys, size_t steps)
{
	struct msort s;
	unsigned bad = 0, seed = 1;
	size_t most = 0;

	for (unsigned i = 0; i < n; i++) {
		seed = seed * 1664525 + 1013904223;
		things[i] = (struct thing){ (seed >> 8) % keys, i };
		items[i] = &things[i];
	}
	msort_begin(&s, items, room, n, by_key);
	for (bool done = false; !done;) {
		compared = 0;
		done = msort_run(&s, steps);
		most = compared > most ? compared : most;
	}
	for (size_t i = 1; i < n; i++) {
		const struct thing *a = s.items[i - 1], *b = s.items[i];
		bad += a->key > b->key || (a->key == b->key && a->order >= b->order);
	}
	tap_ok(!bad && most <= steps, "%zu of %u keys, %zu steps at a time: sorted and stable", n,
	    keys, steps);
}

int main(void)
{
	static const size_t sizes[] = { 0, 1, 2, 3, 5, 8, 17, 1000, 4096, MOST };

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		sorts(sizes[i], 1000000, SIZE_MAX);
		sorts(sizes[i], 7, 100);
		sorts(sizes[i], 1, 1);
	}
	return tap_done();
}
