/* Who holds how much of what all share: counts, shares, who waits; exact over threads. */
#include <pthread.h>
#include <stdlib.h>

#include "core/base/crowd.h"
#include "tests/lib/tap.h"

#define S UINT64_C(1000000000)

static struct crowd c;

static void counts(void)
{
	crowd_add(&c, 0, 5, 100);
	crowd_add(&c, 0, 6, 50);
	crowd_add(&c, 1, 5, 7);
	TAP_OK(crowd_held(&c, 0, 5) == 100 && crowd_held(&c, 1, 5) == 7);
	TAP_OK(crowd_sum(&c, 0) == 150 && crowd_sum(&c, 1) == 7);
	TAP_OK(crowd_take(&c, 0, 5, 20, 120));
	TAP_OK(!crowd_take(&c, 0, 5, 1, 120));
	TAP_OK(!crowd_take(&c, 0, 5, UINT64_MAX, UINT64_MAX));
	tap_is_u64(crowd_share(&c, 0, 5, 1000), 500, "two hold some: half");
	tap_is_u64(crowd_share(&c, 0, 9, 900), 300, "a third one would have a third");
	crowd_sub(&c, 0, 5, 120);
	crowd_sub(&c, 0, 6, 50);
	crowd_sub(&c, 1, 5, 7);
	TAP_OK(crowd_sum(&c, 0) == 0 && crowd_sum(&c, 1) == 0);
	tap_is_u64(crowd_share(&c, 0, 5, 1000), 500, "one alone: half, when another one comes");
}

static void waiting(void)
{
	TAP_OK(!crowd_others_wait(&c, 0, 1, S));
	crowd_in_vain(&c, 0, 1, 10 * S);
	tap_ok(!crowd_others_wait(&c, 0, 1, 10 * S), "one does not wait for itself");
	TAP_OK(crowd_others_wait(&c, 0, 2, 10 * S));
	TAP_OK(!crowd_others_wait(&c, 1, 2, 10 * S));
	crowd_in_vain(&c, 0, 2, 11 * S);
	TAP_OK(crowd_others_wait(&c, 0, 1, 11 * S));
	TAP_OK(crowd_others_wait(&c, 0, 2, 11 * S));
	TAP_OK(!crowd_others_wait(&c, 0, 2, 10 * S + CROWD_WAIT_NS));
	TAP_OK(crowd_others_wait(&c, 0, 1, 10 * S + CROWD_WAIT_NS));
	TAP_OK(!crowd_others_wait(&c, 0, 3, 11 * S + CROWD_WAIT_NS));
}

static void *run(void *arg)
{
	unsigned got = 0;
	for (unsigned i = 0; i < 20000; i++) {
		if (crowd_take(&c, 2, 3, 1, 1000))
			got++;
		if (got > 400) {
			crowd_sub(&c, 2, 3, got);
			got = 0;
		}
		if (crowd_held(&c, 2, 3) > 1000)
			*(unsigned *)arg += 1;
	}
	crowd_sub(&c, 2, 3, got);
	return arg;
}

static void threads(void)
{
	pthread_t t[4];
	unsigned over[4] = { 0 }, sum = 0;
	for (unsigned i = 0; i < 4; i++)
		if (pthread_create(&t[i], NULL, run, &over[i]))
			exit(99);
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(t[i], NULL);
		sum += over[i];
	}
	tap_is_u64(sum, 0, "four threads never hold more than the limit");
	TAP_OK(crowd_sum(&c, 2) == 0 && crowd_held(&c, 2, 3) == 0);
	tap_is_u64(crowd_share(&c, 2, 3, 10), 5, "and no member is left");
}

int main(void)
{
	TAP_OK(crowd_slot("abcd", 4) == crowd_slot("abcd", 4));
	TAP_OK(crowd_slot("abcd", 4) < CROWD_SLOTS);
	counts();
	waiting();
	threads();
	return tap_done();
}
