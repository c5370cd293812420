/* core/rt/hoard: shared things by key, up to a number of bytes. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/rt/hoard.h"
#include "tests/lib/tap.h"

#define MOST    10000u
#define THREADS 4u
#define TURNS   20000u

struct thing {
	struct hoard_item item;
	struct hoard *hoard;
	char key[16];
	unsigned number;
};
static _Atomic unsigned alive;

static void thing_free(struct snap *s)
{
	struct thing *t = CONTAINER_OF(s, struct thing, item.snap);
	purse_give(hoard_purse(t->hoard), t->item.bytes);
	alive--;
	mem_free(t);
}

/* NULL: no room. */
static struct thing *thing_make(struct hoard *h, uint32_t owner, unsigned number, uint64_t bytes)
{
	unsigned gone;
	enum hoard_got got;
	while ((got = hoard_room(h, owner, bytes, &gone)) == HOARD_AGAIN)
		continue;
	if (got == HOARD_NO_ROOM || !purse_take(hoard_purse(h), bytes))
		return NULL;
	struct thing *t = mem_zalloc(sizeof(*t));
	alive++;
	t->hoard = h;
	t->number = number;
	snprintf(t->key, sizeof(t->key), "k%u", number);
	snap_init(&t->item.snap, thing_free);
	t->item.owner = owner;
	t->item.key = t->key;
	t->item.key_len = strlen(t->key);
	t->item.bytes = bytes;
	return t;
}

static bool keep(struct hoard *h, uint32_t owner, unsigned number, uint64_t bytes)
{
	struct thing *t = thing_make(h, owner, number, bytes);
	if (!t)
		return false;
	hoard_put(h, &t->item);
	snap_drop(&t->item.snap);
	return true;
}

static struct thing *get(struct hoard *h, uint32_t owner, unsigned number)
{
	char key[16];
	snprintf(key, sizeof(key), "k%u", number);
	struct hoard_item *i = hoard_get(h, owner, key, strlen(key));
	return i ? CONTAINER_OF(i, struct thing, item) : NULL;
}

static bool has(struct hoard *h, uint32_t owner, unsigned number)
{
	struct thing *t = get(h, owner, number);
	if (t)
		snap_drop(&t->item.snap);
	return t != NULL;
}

static void *work(void *arg)
{
	struct hoard *h = arg;
	unsigned x = (unsigned)(uintptr_t)&x | 1;
	for (unsigned i = 0; i < TURNS; i++) {
		x = x * 1664525 + 1013904223;
		uint32_t owner = x >> 20 & 3;
		unsigned number = x >> 24;
		struct thing *t = get(h, owner, number);
		if (!t) {
			keep(h, owner, number, 100 + number);
			continue;
		}
		if (t->number != number)
			abort();
		snap_drop(&t->item.snap);
	}
	return NULL;
}

int main(void)
{
	struct hoard *h = hoard_create(MOST);
	tap_ok(!has(h, 1, 1) && keep(h, 1, 1, 100) && has(h, 1, 1), "what is put is there");
	tap_ok(!has(h, 2, 1) && !has(h, 1, 2), "for its owner and key alone");
	keep(h, 1, 1, 200);
	tap_ok(has(h, 1, 1) && alive == 1 && purse_used(hoard_purse(h)) == 200,
	    "a newer one takes its place");
	tap_ok(!keep(h, 1, 9, MOST + 1) && has(h, 1, 1), "what is larger than all finds no room");
	for (unsigned i = 2; i <= 50; i++)
		keep(h, 1, i, 200);
	tap_ok(has(h, 1, 1) && alive == 50, "all is full"); /* and 1 was got last */
	keep(h, 1, 51, 200);
	tap_ok(has(h, 1, 1) && !has(h, 1, 2) && has(h, 1, 51), "the one not got for longest goes");
	keep(h, 2, 1, 200);
	for (unsigned i = 100; i < 200; i++)
		keep(h, 1, i, 200);
	tap_ok(has(h, 2, 1), "one owner does not drive out another");
	struct thing *read = get(h, 2, 1);
	for (unsigned i = 200; i < 240; i++)
		keep(h, 2, i, 200);
	tap_ok(!has(h, 2, 1) && read->number == 1, "what is read stays with its reader");
	tap_ok(purse_used(hoard_purse(h)) <= MOST, "and counts");
	snap_drop(&read->item.snap);
	struct thing *big = thing_make(h, 3, 7, MOST);
	tap_ok(big && alive == 1, "all may go for one");
	tap_ok(!keep(h, 3, 8, 1), "and what is in use leaves no room");
	snap_drop(&big->item.snap);
	pthread_t threads[THREADS];
	for (unsigned i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, work, h))
			return 1;
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	tap_ok(purse_used(hoard_purse(h)) <= MOST, "many threads stay below the most");
	hoard_free(h);
	tap_is_u64(alive, 0, "at the end nothing is left");
	return tap_done();
}
