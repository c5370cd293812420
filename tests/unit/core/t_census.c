/* core/base/census: members of groups, exact over threads, bounded. */
#include <pthread.h>
#include <stdlib.h>

#include "core/base/census.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "tests/lib/tap.h"

#define THREADS 4u
#define VALUES  20000u
#define MOST    1000u

#define GROUPS_MOST 2048u

static struct census_set *set;
static _Atomic unsigned taken, known, over, limited;

static struct census_room room(uint64_t members)
{
	return (struct census_room){ .groups = GROUPS_MOST, .members = members };
}

/* All threads bring the same values, each in an order of its own. */
static void *take_many(void *arg)
{
	uint32_t me = *(const uint32_t *)arg;
	struct census *c = census_join(set, 3, 1, room(4 * VALUES));
	for (uint32_t i = 0; i < VALUES; i++) {
		uint64_t member = hash_mix64((i * 7919u + me * 1237u) % VALUES + 1);
		switch (census_take(c, census_group(c, 100), member, UINT64_MAX)) {
		case CENSUS_TAKEN:
			taken++;
			break;
		case CENSUS_KNOWN:
			known++;
			break;
		case CENSUS_OVER:
		case CENSUS_CROWDED:
			over++;
			break;
		}
		limited += census_take(c, census_group(c, 200), ~member, MOST) == CENSUS_TAKEN;
	}
	census_leave(set, c);
	return NULL;
}

static void threads(void)
{
	pthread_t t[THREADS];
	uint32_t numbers[THREADS];
	struct census *c = census_join(set, 3, 1, room(4 * VALUES));
	for (uint32_t i = 0; i < THREADS; i++) {
		numbers[i] = i;
		if (pthread_create(&t[i], NULL, take_many, &numbers[i]))
			exit(1);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	tap_ok(taken == VALUES && known == (THREADS - 1) * VALUES && !over,
	    "of equal members of several threads one is taken: %u taken, %u known", taken, known);
	tap_is_u64(census_count(c, census_group(c, 100)), VALUES, "and counted");
	tap_ok(limited == MOST && census_count(c, census_group(c, 200)) == MOST,
	    "no more than the limit are");
	tap_is_u64(census_members(c), VALUES + MOST, "in all");
	census_leave(set, c);
}

/* Against a plain model: what is in, in which group, and how many. */
static void model(void)
{
	enum {
		GROUPS = 7,
		RANGE = 500
	};
	static bool in[GROUPS][RANGE];
	uint64_t counts[GROUPS] = { 0 }, wrong = 0, seed = 42;
	struct census *c = census_join(set, 1, 1, room(2000));
	for (unsigned i = 0; i < 100000; i++) {
		seed = hash_mix64(seed + 1);
		uint32_t g = (uint32_t)(seed % GROUPS), v = (uint32_t)(seed / GROUPS % RANGE);
		uint64_t max = 50 + 100 * g;
		enum census_got want = in[g][v] ? CENSUS_KNOWN
		    : counts[g] < max           ? CENSUS_TAKEN
		                                : CENSUS_OVER;
		enum census_got got = census_take(
		    c, census_group(c, hash_mix64(g + 1)), hash_mix64(g * 1000u + v + 1), max);
		wrong += got != want;
		if (want == CENSUS_TAKEN) {
			in[g][v] = true;
			counts[g]++;
		}
	}
	for (uint32_t g = 0; g < GROUPS; g++)
		wrong += census_count(c, census_group(c, hash_mix64(g + 1))) != counts[g];
	tap_ok(!wrong, "100,000 members, some over the limit of their group, as in a model");
	census_leave(set, c);
}

static void bounds(void)
{
	struct census *c = census_join(set, 2, 1, room(10));
	uint64_t in = 0;
	for (uint64_t i = 1; i <= 100000; i++)
		in += census_take(c, 0, hash_mix64(i), UINT64_MAX) == CENSUS_TAKEN;
	tap_is_u64(in, CENSUS_LEAST / 4 * 3, "a table that is full takes no more");
	tap_ok(census_take(c, 0, hash_mix64(1), 0) == CENSUS_KNOWN, "and knows whom it has");
	tap_ok(census_take(c, 1, ~hash_mix64(1), 10) == CENSUS_CROWDED && census_set_crowded(set) &&
	        !census_set_crowded(set) && census_more_room(c).members == 2 * CENSUS_LEAST &&
	        census_more_room(c).groups == GROUPS_MOST,
	    "it says that it has no room, and how much it needs");
	uint32_t last = 0, shared = 0;
	for (uint64_t i = 1; i <= 100000; i++) {
		uint32_t g = census_group(c, hash_mix64(i));
		last = g > last ? g : last;
		shared += g == GROUPS_MOST;
	}
	tap_ok(last == GROUPS_MOST && shared == 100000 - GROUPS_MOST,
	    "groups without a place share the last one: %u", shared);
	tap_is_u64(census_group(c, hash_mix64(1)), census_group(c, hash_mix64(1)),
	    "the others keep theirs");
	tap_ok(census_take(c, GROUPS_MOST, 5, 0) == CENSUS_CROWDED &&
	        census_take(c, 0, 5, 0) == CENSUS_OVER &&
	        census_more_room(c).groups == 4 * GROUPS_MOST,
	    "who shares the last one is not over a limit for it");
	census_leave(set, c);
	c = census_join(
	    set, 2, 1, (struct census_room){ .groups = CENSUS_GROUPS, .members = CENSUS_MOST });
	tap_ok(census_take(c, CENSUS_GROUPS, 5, 0) == CENSUS_OVER,
	    "but in the largest one, which can have no more");
	census_leave(set, c);
}

/* However many are in a group by force, another one has what it may have. */
static void force_leaves_room(void)
{
	struct census *c = census_join(set, 4, 1, room(2 * MOST));
	uint64_t in = 0;
	for (uint64_t i = 1; i <= 100000; i++)
		census_force(c, 0, hash_mix64(i), MOST);
	uint64_t forced = census_count(c, 0);
	for (uint64_t i = 1; i <= 100000; i++)
		in += census_take(c, 1, hash_mix64(1000000 + i), MOST) == CENSUS_TAKEN;
	tap_ok(in == MOST, "another group has its limit's worth, %u: %u", MOST, (unsigned)in);
	tap_ok(forced > MOST && census_members(c) == forced + MOST,
	    "beside more than the limit of the one that was forced: %u", (unsigned)forced);
	census_leave(set, c);
}

static void versions(void)
{
	struct census *a = census_join(set, 5, 1, room(10)), *b = census_join(set, 5, 1, room(10)),
	              *other = census_join(set, 5, 2, room(10)),
	              *tenant = census_join(set, 6, 1, room(10));
	tap_ok(a == b && a != other && a != tenant && other != tenant,
	    "number and version tell which one it is");
	census_force(a, 0, 77, 1);
	census_leave(set, a);
	a = census_join(set, 5, 1, room(10));
	tap_is_u64(census_count(a, 0), 1, "it lives as long as one has it");
	census_leave(set, a);
	census_leave(set, b);
	a = census_join(set, 5, 1, room(10));
	tap_is_u64(census_count(a, 0), 0, "and no longer");
	census_leave(set, a);
	census_leave(set, other);
	census_leave(set, tenant);
	census_leave(set, NULL);
}

int main(void)
{
	set = census_set_create();
	threads();
	model();
	bounds();
	force_leaves_room();
	versions();
	census_set_free(set);
	return tap_done();
}
