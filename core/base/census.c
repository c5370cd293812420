#include "core/base/census.h"

#include <pthread.h>
#include <stdatomic.h>

#include "core/base/hash.h"
#include "core/base/list.h"
#include "core/base/mem.h"

#define RELAXED memory_order_relaxed

struct group {
	_Atomic uint64_t key;   /* 0 = free */
	_Atomic uint32_t place; /* + 1; 0 = not given yet */
};
struct census {
	struct list_link link;
	struct census_set *set;
	struct census_room room;            /* that was asked for */
	_Atomic bool few_slots, few_groups; /* there was no room, and a younger one can have more */
	uint32_t number, refs;              /* under the set's lock */
	uint64_t version;
	_Atomic uint32_t groups;  /* that have a place, or will */
	_Atomic uint64_t members; /* taken, or about to be */
	uint64_t most;            /* of them */
	_Atomic uint64_t extra;   /* of them, over the max of their group */
	uint64_t extra_most;      /* so that there is room for those within it */
	uint32_t mask;
	uint32_t groups_most;
	struct group *places;     /* [2 * groups_most] */
	_Atomic uint64_t *counts; /* [groups_most + 1] */
	_Atomic uint64_t slots[]; /* 0 = free */
};
#define BUCKETS 1024u
struct census_set {
	pthread_mutex_t lock;
	_Atomic bool crowded;
	struct list_link all[BUCKETS]; /* by number */
};

/* ---- the set ---- */

struct census_set *census_set_create(void)
{
	struct census_set *s = mem_zalloc(sizeof(*s));
	pthread_mutex_init(&s->lock, NULL);
	for (unsigned i = 0; i < BUCKETS; i++)
		list_init(&s->all[i]);
	return s;
}

void census_set_free(struct census_set *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < BUCKETS; i++)
		CHECK(list_empty(&s->all[i]));
	pthread_mutex_destroy(&s->lock);
	mem_free(s);
}

static struct census *census_make(
    struct census_set *s, uint32_t number, uint64_t version, struct census_room room)
{
	uint32_t slots = CENSUS_LEAST;
	while (slots < CENSUS_MOST && slots / 2 < room.members)
		slots *= 2;
	struct census *c = mem_zalloc(sizeof(*c) + slots * sizeof(c->slots[0]));
	c->set = s;
	c->room = room;
	c->number = number;
	c->version = version;
	c->mask = slots - 1;
	c->most = slots / 4 * 3;
	c->extra_most = room.members < c->most ? c->most - room.members : 0;
	c->groups_most = room.groups + !room.groups;
	c->places = mem_zalloc(2 * (size_t)c->groups_most * sizeof(*c->places));
	c->counts = mem_zalloc(((size_t)c->groups_most + 1) * sizeof(*c->counts));
	return c;
}

struct census *census_join(
    struct census_set *s, uint32_t number, uint64_t version, struct census_room room)
{
	struct census *found = NULL;
	pthread_mutex_lock(&s->lock);
	LIST_EACH(l, &s->all[number % BUCKETS]) {
		struct census *c = CONTAINER_OF(l, struct census, link);
		if (c->number == number && c->version == version)
			found = c;
	}
	if (!found) {
		found = census_make(s, number, version, room);
		list_add_tail(&s->all[number % BUCKETS], &found->link);
	}
	found->refs++;
	pthread_mutex_unlock(&s->lock);
	return found;
}

void census_leave(struct census_set *s, struct census *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&s->lock);
	CHECK(c->refs > 0);
	bool last = !--c->refs;
	if (last)
		list_del(&c->link);
	pthread_mutex_unlock(&s->lock);
	if (!last)
		return;
	mem_free(c->places);
	mem_free(c->counts);
	mem_free(c);
}

/* ---- more room ---- */

bool census_set_crowded(struct census_set *s)
{
	return atomic_exchange_explicit(&s->crowded, false, RELAXED);
}

struct census_room census_more_room(const struct census *c)
{
	struct census_room r = c->room;
	const uint64_t half = ((uint64_t)c->mask + 1) / 2;
	if (atomic_load_explicit(&c->few_slots, RELAXED))
		r.members = 4 * (r.members < half ? half : r.members);
	if (atomic_load_explicit(&c->few_groups, RELAXED))
		r.groups = c->groups_most < CENSUS_GROUPS / 4 ? c->groups_most * 4 : CENSUS_GROUPS;
	return r;
}

static enum census_got crowd(struct census *c, _Atomic bool *what, bool grows)
{
	if (!grows)
		return CENSUS_OVER;
	if (!atomic_load_explicit(what, RELAXED)) {
		atomic_store_explicit(what, true, RELAXED);
		atomic_store_explicit(&c->set->crowded, true, RELAXED);
	}
	return CENSUS_CROWDED;
}

/* ---- groups ---- */

/* Of a slot whose key is there; another thread may be giving it its place just now. */
static uint32_t place_of(struct census *c, struct group *g)
{
	uint32_t have = atomic_load_explicit(&g->place, memory_order_acquire);
	if (LIKELY(have))
		return have - 1;
	uint32_t n = atomic_fetch_add_explicit(&c->groups, 1, RELAXED);
	uint32_t mine = (n < c->groups_most ? n : c->groups_most) + 1;
	if (atomic_compare_exchange_strong_explicit(
	        &g->place, &have, mine, memory_order_acq_rel, memory_order_acquire))
		return mine - 1;
	return have - 1;
}

uint32_t census_group(struct census *c, uint64_t key)
{
	key += !key;
	const uint32_t slots = 2 * c->groups_most;
	uint32_t at = (uint32_t)hash_mix64(key) % slots;
	for (uint32_t i = 0; i < slots; i++, at = (at + 1) % slots) {
		struct group *g = &c->places[at];
		uint64_t have = atomic_load_explicit(&g->key, memory_order_acquire);
		if (have == key)
			return place_of(c, g);
		if (have)
			continue;
		if (atomic_load_explicit(&c->groups, RELAXED) >= c->groups_most)
			break;
		if (atomic_compare_exchange_strong_explicit(
		        &g->key, &have, key, memory_order_acq_rel, memory_order_acquire) ||
		    have == key)
			return place_of(c, g);
	}
	return c->groups_most;
}

/* ---- members ---- */

static bool reserve(_Atomic uint64_t *count, uint64_t max)
{
	uint64_t had = atomic_load_explicit(count, RELAXED);
	do {
		if (had >= max)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(count, &had, had + 1, RELAXED, RELAXED));
	return true;
}

static void give_back(struct census *c, uint32_t group)
{
	atomic_fetch_sub_explicit(&c->counts[group], 1, RELAXED);
	atomic_fetch_sub_explicit(&c->members, 1, RELAXED);
}

static enum census_got room_take(struct census *c, uint32_t group, uint64_t max)
{
	if (!reserve(&c->counts[group], max))
		return group < c->groups_most
		    ? CENSUS_OVER
		    : crowd(c, &c->few_groups, c->groups_most < CENSUS_GROUPS);
	if (reserve(&c->members, c->most))
		return CENSUS_TAKEN;
	atomic_fetch_sub_explicit(&c->counts[group], 1, RELAXED);
	return crowd(c, &c->few_slots, c->mask + 1 < CENSUS_MOST);
}

/* Nothing leaves, so all who look for a member meet the same first free slot: (2). */
enum census_got census_take(struct census *c, uint32_t group, uint64_t member, uint64_t max)
{
	bool room = false;
	CHECK(group <= c->groups_most);
	member += !member;
	for (uint32_t at = (uint32_t)hash_mix64(member) & c->mask;; at = (at + 1) & c->mask) {
		uint64_t have = atomic_load_explicit(&c->slots[at], RELAXED);
		if (!have) {
			enum census_got got = room ? CENSUS_TAKEN : room_take(c, group, max);
			if (got != CENSUS_TAKEN)
				return got;
			room = true;
			if (atomic_compare_exchange_strong_explicit(
			        &c->slots[at], &have, member, RELAXED, RELAXED))
				return CENSUS_TAKEN;
		}
		if (have != member)
			continue;
		if (room)
			give_back(c, group);
		return CENSUS_KNOWN;
	}
}

/* Another thread may bring the same one: then it was in, and is no extra. */
void census_force(struct census *c, uint32_t group, uint64_t member, uint64_t max)
{
	if (census_take(c, group, member, max) != CENSUS_OVER || !reserve(&c->extra, c->extra_most))
		return;
	if (census_take(c, group, member, UINT64_MAX) != CENSUS_TAKEN)
		atomic_fetch_sub_explicit(&c->extra, 1, RELAXED);
}

uint64_t census_count(const struct census *c, uint32_t group)
{
	return atomic_load_explicit(&c->counts[group], RELAXED);
}

uint64_t census_members(const struct census *c)
{
	return atomic_load_explicit(&c->members, RELAXED);
}
