/* core/rt/stamps: a stamp moves when its thing changes, whoever changes it. */
#include <pthread.h>

#include "core/base/hash.h"
#include "core/rt/stamps.h"
#include "tests/lib/tap.h"

#define THREADS 4u
#define MARKS   5000u
#define THINGS  100u

static void *marks(void *arg)
{
	for (unsigned i = 0; i < MARKS; i++)
		stamps_mark(arg, hash_mix64(i % THINGS + 1));
	return NULL;
}

int main(void)
{
	struct stamps *s = stamps_create();
	uint64_t a = hash_mix64(1), b = hash_mix64(2);
	uint32_t was_a = stamps_of(s, a), was_b = stamps_of(s, b);
	tap_ok(stamps_of(s, a) == was_a, "a stamp stands still");
	stamps_mark(s, a);
	tap_ok(
	    stamps_of(s, a) != was_a && stamps_of(s, b) == was_b, "and moves with its thing alone");
	pthread_t threads[THREADS];
	uint32_t before[THINGS];
	for (unsigned i = 0; i < THINGS; i++)
		before[i] = stamps_of(s, hash_mix64(i + 1));
	for (unsigned i = 0; i < THREADS; i++)
		tap_ok(!pthread_create(&threads[i], NULL, marks, s), "thread %u marks", i);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	unsigned lost = 0;
	for (unsigned i = 0; i < THINGS; i++)
		lost += stamps_of(s, hash_mix64(i + 1)) - before[i] < THREADS * MARKS / THINGS;
	tap_ok(!lost, "no mark of many threads is lost");
	stamps_free(s);
	return tap_done();
}
