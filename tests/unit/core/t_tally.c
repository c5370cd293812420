/* core/base/tally: counters by number, exact over threads. */
#include <pthread.h>

#include "core/base/tally.h"
#include "tests/lib/tap.h"

#define THREADS 4u
#define TURNS   20000u
#define MOST    1000u

static struct tally *t;
static _Atomic unsigned taken;

static void *count_many(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < TURNS; i++) {
		tally_add(t, i % 5000, 2);
		tally_sub(t, i % 5000, 1);
		taken += tally_take(t, 70000, MOST);
	}
	return NULL;
}

int main(void)
{
	t = tally_create();
	tap_ok(!tally_get(t, 0) && !tally_get(t, UINT32_MAX) && !tally_members(t), "all are 0");
	tally_add(t, 7, 3);
	tap_ok(tally_get(t, 7) == 3 && !tally_get(t, 8) && tally_members(t) == 1, "one counts");
	tally_sub(t, 7, 3);
	tap_ok(!tally_get(t, 7) && !tally_members(t), "and comes back");
	tally_add(t, TALLY_MAX + 5, 1);
	tap_is_u64(tally_get(t, UINT32_MAX), 1, "numbers beyond the last share it");
	tally_sub(t, UINT32_MAX, 1);
	pthread_t threads[THREADS];
	for (unsigned i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, count_many, NULL))
			return 1;
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	uint64_t sum = 0;
	for (uint32_t n = 0; n < 5000; n++)
		sum += tally_get(t, n);
	tap_is_u64(sum, (uint64_t)THREADS * TURNS, "counts of many threads are exact");
	tap_ok(tally_get(t, 70000) == MOST && taken == MOST, "no more are taken than there are");
	tap_is_u64(tally_members(t), 5001, "and so are the members");
	tally_free(t);
	return tap_done();
}
