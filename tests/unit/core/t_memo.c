/* Things kept by a budget: what is pinned stays, the rest goes when there is no room. */
#include "core/base/memo.h"

#include <pthread.h>
#include <stdlib.h>

#include "tests/lib/tap.h"

#define THINGS  64
#define THREADS 4
#define TURNS   20000

static struct memo memos[THINGS];
static int freed;

static void thing_free(void *thing)
{
	__atomic_add_fetch(&freed, 1, __ATOMIC_RELAXED);
	free(thing);
}

static int *thing_new(int value)
{
	int *p = malloc(sizeof(*p));
	*p = value;
	return p;
}

static void budget(void)
{
	memo_limit(1000);
	for (int i = 0; i < 10; i++) {
		memo_init(&memos[i], thing_free);
		TAP_OK(!memo_pin(&memos[i]));
		int *p = memo_put(&memos[i], thing_new(i), 100);
		if (*p != i)
			tap_ok(false, "another thing came back");
		if (i)
			memo_unpin(&memos[i]);
	}
	tap_ok(memo_bytes() == 1000 && !freed, "what has room stays");
	memo_init(&memos[10], thing_free);
	(void)memo_put(&memos[10], thing_new(10), 300);
	memo_unpin(&memos[10]);
	(void)memo_put(&memos[10], thing_new(11), 300);
	tap_ok(freed >= 1 && *(int *)memo_pin(&memos[10]) == 10, "the first that is put stays");
	memo_unpin(&memos[10]);
	memo_unpin(&memos[10]);
	memo_init(&memos[11], thing_free);
	(void)memo_put(&memos[11], thing_new(12), 800);
	tap_ok(memo_bytes() <= 1000 + 300, "the budget holds, but for what was used just now (%zu)",
	    memo_bytes());
	int *zero = memo_pin(&memos[0]);
	tap_ok(zero && *zero == 0, "what is pinned stays");
	memo_unpin(&memos[0]);
	memo_unpin(&memos[0]);
	memo_unpin(&memos[11]);
	for (int i = 0; i < 12; i++)
		memo_release(&memos[i]);
	tap_ok(memo_bytes() == 0, "all of it can go");
}

static void *turns(void *arg)
{
	unsigned *wrong = arg, seed = (unsigned)(size_t)arg;
	for (int i = 0; i < TURNS; i++) {
		seed = seed * 1664525u + 1013904223u;
		int at = (int)(seed >> 16) % THINGS;
		int *p = memo_pin(&memos[at]);
		if (!p)
			p = memo_put(&memos[at], thing_new(at), 100);
		*wrong += *p != at;
		memo_unpin(&memos[at]);
	}
	return NULL;
}

static void threads(void)
{
	pthread_t th[THREADS];
	unsigned wrong[THREADS] = { 0 }, sum = 0;
	memo_limit(2000);
	for (int i = 0; i < THINGS; i++)
		memo_init(&memos[i], thing_free);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&th[i], NULL, turns, &wrong[i]))
			exit(99);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(th[i], NULL);
		sum += wrong[i];
	}
	tap_ok(!sum, "threads that pin and put meet the right things");
	for (int i = 0; i < THINGS; i++)
		memo_release(&memos[i]);
	tap_ok(memo_bytes() == 0, "and nothing is left over");
}

int main(void)
{
	budget();
	threads();
	return tap_done();
}
