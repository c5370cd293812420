/* A purse counts what is out, here and further up, whoever takes and gives it back. */
#include "core/base/arena.h"
#include "core/base/purse.h"
#include "tests/lib/tap.h"

#include <pthread.h>

static void limits(void)
{
	struct purse sum, a, b;

	purse_init(&sum, 1000, NULL);
	purse_init(&a, 600, &sum);
	purse_init(&b, 600, &sum);
	TAP_OK(purse_take(&a, 600) && purse_used(&a) == 600 && purse_used(&sum) == 600);
	TAP_OK(!purse_take(&a, 1) && purse_why(&a) == PURSE_OWN);
	TAP_OK(!purse_over(&a));
	TAP_OK(!purse_take(&b, 500) && purse_why(&b) == PURSE_SUM);
	tap_is_u64(purse_used(&b), 0, "what does not fit further up is not taken here");
	TAP_OK(purse_take(&b, 400) && purse_used(&sum) == 1000);
	TAP_OK(!purse_take(&b, UINT64_MAX) && !purse_take(&b, UINT64_MAX - 300));
	purse_give(&a, 600);
	TAP_OK(purse_used(&sum) == 400 && purse_peak(&sum) == 1000 && purse_peak(&a) == 600);
	purse_give(&b, 400);
	purse_end(&a);
	purse_end(&b);
	purse_end(&sum);
}

static void force(void)
{
	struct purse sum, a, b, none;

	purse_init(&sum, 100, NULL);
	purse_init(&a, 60, &sum);
	purse_init(&b, 0, &sum);
	purse_init(&none, 0, NULL);
	purse_force(&a, 70);
	TAP_OK(purse_over(&a) && purse_why(&a) == PURSE_OWN && purse_used(&sum) == 70);
	purse_give(&a, 70);
	tap_ok(purse_over(&a), "who was over once stays so");
	purse_force(&b, 101);
	TAP_OK(purse_over(&b) && purse_why(&b) == PURSE_SUM);
	tap_ok(!purse_over(&sum), "the sum itself is nobody's error");
	purse_give(&b, 101);
	purse_force(&none, UINT64_MAX / 2);
	TAP_OK(purse_take(&none, 1) && !purse_over(&none));
	purse_give(&none, UINT64_MAX / 2 + 1);
	purse_end(&sum);
}

static void arenas(void)
{
	struct purse p;
	struct arena a;
	unsigned bad = 0;

	purse_init(&p, 1 << 20, NULL);
	arena_init(&a, 1000);
	arena_purse(&a, &p);
	TAP_OK(purse_used(&p) == 0);
	for (int i = 0; i < 3000; i++) {
		memset(arena_alloc(&a, 100), i, 100);
		bad += purse_used(&p) != arena_used(&a);
	}
	tap_is_u64(bad, 0, "a purse holds what its arena holds");
	TAP_OK(purse_used(&p) >= 300000 && !purse_over(&p));
	arena_reset(&a, 64 << 10);
	tap_is_u64(purse_used(&p), arena_used(&a), "after a reset, too");
	arena_reset(&a, 0);
	tap_is_u64(purse_used(&p), 0, "nothing kept, nothing held");
	char *z = arena_zalloc(&a, 5 << 20);
	for (size_t i = 0; i < 5 << 20; i += 4096)
		bad += z[i] != 0;
	TAP_OK(!bad && purse_over(&p) && purse_used(&p) == arena_used(&a));
	memset(z, 1, 5 << 20);
	memset(arena_alloc(&a, 70000), 2, 70000);
	memset(arena_alloc(&a, 1 << 20), 2, 1 << 20);
	arena_release(&a);
	tap_is_u64(purse_used(&p), 0, "release gives all back");
	z = arena_zalloc(&a, 300000);
	for (size_t i = 0; i < 300000; i++)
		bad += z[i] != 0;
	tap_ok(!bad && purse_used(&p) > 0, "a reused block is zeroed, and the purse stays");
	arena_release(&a);
	purse_end(&p);
}

#define THREADS 4
#define TURNS   20000
static struct purse shared, mine[THREADS];

static void *spend(void *arg)
{
	struct purse *p = arg;

	for (int i = 0; i < TURNS; i++) {
		uint64_t n = 1 + (uint64_t)i % 50;
		if (purse_take(p, n))
			purse_give(p, n);
		purse_force(p, 3);
		purse_give(p, 3);
	}
	return NULL;
}

static void threads(void)
{
	pthread_t t[THREADS];

	purse_init(&shared, 100, NULL);
	for (int i = 0; i < THREADS; i++) {
		purse_init(&mine[i], 0, &shared);
		pthread_create(&t[i], NULL, spend, &mine[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(t[i], NULL);
		purse_end(&mine[i]);
	}
	purse_end(&shared);
	tap_ok(purse_peak(&shared) > 0 && purse_peak(&shared) <= 100 + 3 * THREADS,
	    "taken at most what there is: peak %llu", (unsigned long long)purse_peak(&shared));
}

int main(void)
{
	limits();
	force();
	arenas();
	threads();
	return tap_done();
}
