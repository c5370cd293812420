#include "core/base/arena.h"
#include "tests/lib/tap.h"

int main(void)
{
	struct arena a;
	arena_init(&a, 1000);
	unsigned bad = 0;
	char *first = arena_alloc(&a, 100);
	memset(first, 7, 100);
	for (size_t i = 0; i < 3000; i++) {
		char *p = arena_alloc(&a, i % 300);
		bad += ((uintptr_t)p & 15) != 0;
		memset(p, (int)i, i % 300);
	}
	for (int i = 0; i < 100; i++)
		bad += first[i] != 7;
	tap_is_u64(bad, 0, "pieces are aligned and do not overlap");
	char *z = arena_zalloc(&a, 5000);
	for (int i = 0; i < 5000; i++)
		bad += z[i] != 0;
	tap_is_u64(bad, 0, "zalloc gives zeros");
	tap_is_str(arena_printf(&a, "%s-%d", "x", 12), "x-12", "printf");
	tap_is_str(arena_strndup(&a, "hello", 4), "hell", "strndup ends in a NUL");
	TAP_OK(arena_array(&a, SIZE_MAX / 2, 3) == NULL);
	TAP_OK(memcmp(arena_dup(&a, "abc", 3), "abc", 3) == 0);
	size_t used = arena_used(&a);
	tap_ok(used > 400000, "used counts blocks: %zu", used);
	arena_reset(&a, 1 << 20);
	tap_ok(arena_used(&a) < used && !arena_used(&a) == !pool_keep(1),
	    "reset keeps the largest block, a sharp arena nothing: %zu", arena_used(&a));
	arena_reset(&a, 0);
	tap_is_u64(arena_used(&a), 0, "reset with nothing to keep frees everything");

	arena_limit(&a, 10000);
	size_t got = 0;
	while (arena_alloc(&a, 100))
		got++;
	tap_ok(got > 60 && got <= 100 && arena_over(&a) && arena_used(&a) <= 10000,
	    "with a limit pieces end: %zu of 100", got);
	TAP_OK(arena_alloc(&a, SIZE_MAX) == NULL && arena_alloc(&a, SIZE_MAX - 40) == NULL);
	TAP_OK(arena_zalloc(&a, 20000) == NULL);
	arena_reset(&a, 0);
	TAP_OK(!arena_over(&a) && arena_alloc(&a, 100) != NULL);
	/* One large piece does not make the small ones start a new block each. */
	arena_release(&a);
	arena_init(&a, 4096);
	arena_limit(&a, 0);
	arena_alloc(&a, 16);
	size_t before = arena_used(&a);
	arena_alloc(&a, 100000);
	size_t with = arena_used(&a);
	for (int i = 0; i < 50; i++)
		arena_alloc(&a, 16);
	tap_ok(with > before && arena_used(&a) == with + (pool_keep(1) ? 0 : 50 * 16),
	    "small pieces go on in the older block, sharp ones are counted alone");
	arena_release(&a);
	TAP_OK(arena_alloc(&a, 0) != NULL);
	arena_release(&a);
	return tap_done();
}
