/* core/account/joint: the same work is done once, over three loops; who leaves, what ends early. */
#include "tests/lib/tap.h"
#include "tests/lib/testteam.h"

#include "core/account/joint.h"
#include "core/base/arena.h"
#include "core/base/hash.h"
#include "core/base/metric.h"
#include "core/base/roll.h"
#include "core/base/wire.h"

#define XXH_INLINE_ALL
#include <string.h>
#include <xxhash.h>

enum {
	LOOPS = 3,
	ASKERS = 24,
	TEXT_BYTES = 300
};

static struct testteam tt;
static struct joints *book;

struct result {
	struct joint_result base;
	int what;
};
static int alive;

static void drop(struct joint_result *r)
{
	__atomic_fetch_sub(&alive, 1, __ATOMIC_RELAXED);
	mem_free(CONTAINER_OF(r, struct result, base));
}

static struct asker {
	unsigned loop, key;
	const void *text; /* in key's stead */
	struct joint *lead;
	struct joint_seat *seat;
	struct result *own; /* as a leader */
	unsigned answers, nothing, unwanted;
	int what;
} askers[ASKERS];

static void done(void *arg, struct joint_result *r)
{
	struct asker *a = arg;
	a->answers++;
	if (!r) {
		a->nothing++;
		a->seat = NULL;
		return;
	}
	a->what = CONTAINER_OF(r, struct result, base)->what;
}

static void unwanted(void *arg)
{
	((struct asker *)arg)->unwanted++;
}

static void enter(void *arg)
{
	struct asker *a = arg;
	struct joint_opts o = {
		.key = &a->key, .key_len = sizeof(a->key), .arg = a, .done = done, .unwanted = unwanted
	};
	if (a->text) {
		o.key = a->text;
		o.key_len = TEXT_BYTES;
	}
	joint_enter(book, &o, &a->lead, &a->seat);
}

static void finish(void *arg)
{
	struct asker *a = arg;
	a->own = mem_zalloc(sizeof(*a->own));
	a->own->base.drop = drop;
	a->own->what = a->what;
	__atomic_fetch_add(&alive, 1, __ATOMIC_RELAXED);
	joint_end(a->lead, &a->own->base);
	a->lead = NULL;
}

static void fail(void *arg)
{
	struct asker *a = arg;
	joint_end(a->lead, NULL);
	a->lead = NULL;
}

static void leave(void *arg)
{
	struct asker *a = arg;
	if (a->seat)
		joint_leave(a->seat);
	a->seat = NULL;
	if (a->own)
		joint_drop(&a->own->base);
	a->own = NULL;
}

static void end(void *arg)
{
	struct asker *a = arg;
	if (a->lead)
		fail(a);
	leave(a);
}

static void on(struct asker *a, void (*fn)(void *arg))
{
	testteam_run(&tt, a->loop, fn, a);
}

static void nothing(void *arg)
{
	(void)arg;
}

/* Messages under way have arrived after some turns of all loops. */
static void settle(void)
{
	for (int i = 0; i < 20; i++)
		for (unsigned l = 0; l < LOOPS; l++)
			testteam_run(&tt, l, nothing, NULL);
}

static void begin(unsigned i, unsigned key)
{
	askers[i] = (struct asker){ .loop = i % LOOPS, .key = key };
	on(&askers[i], enter);
}

static void end_all(void)
{
	for (unsigned i = 0; i < ASKERS; i++)
		on(&askers[i], end);
	settle();
	for (unsigned i = 0; i < ASKERS; i++) /* who was told to ask again leads nothing */
		on(&askers[i], end);
	settle();
	tap_is_i64(__atomic_load_n(&alive, __ATOMIC_RELAXED), 0, "no result is left");
}

static void one_for_all(void)
{
	for (unsigned i = 0; i < ASKERS - 1; i++)
		begin(i, 7);
	begin(ASKERS - 1, 8);
	settle();
	unsigned leads = 0, seats = 0;
	for (unsigned i = 0; i < ASKERS; i++) {
		leads += askers[i].lead != NULL;
		seats += askers[i].seat != NULL;
	}
	tap_ok(leads == 2 && seats == ASKERS - 2 && askers[0].lead, "one of each key leads");
	askers[0].what = 42;
	on(&askers[0], finish);
	settle();
	unsigned got = 0;
	for (unsigned i = 1; i < ASKERS - 1; i++)
		got += askers[i].answers == 1 && askers[i].what == 42;
	tap_is_u64(got, ASKERS - 2, "all others have its result");
	TAP_OK(!askers[ASKERS - 1].answers);
	on(&askers[0], leave);
	for (unsigned i = 2; i < ASKERS - 1; i++)
		on(&askers[i], leave);
	settle();
	tap_is_i64(__atomic_load_n(&alive, __ATOMIC_RELAXED), 1, "it lives for the last reader");
	on(&askers[1], leave);
	settle();
	tap_is_i64(__atomic_load_n(&alive, __ATOMIC_RELAXED), 0, "and no longer");
	begin(0, 7);
	tap_ok(askers[0].lead != NULL, "what has ended is not remembered");
	end_all();
}

static void nobody_wants_it(void)
{
	for (unsigned i = 0; i < 6; i++)
		begin(i, 1);
	settle();
	for (unsigned i = 1; i < 5; i++)
		on(&askers[i], leave);
	settle();
	TAP_OK(askers[0].unwanted == 0);
	on(&askers[5], leave);
	settle();
	tap_is_u64(askers[0].unwanted, 1, "the leader is told when the last one has left");
	tap_is_u64(askers[1].answers + askers[2].answers + askers[3].answers, 0,
	    "who has left is not called any more");
	end_all();
}

static void nothing_came_of_it(void)
{
	for (unsigned i = 0; i < 6; i++)
		begin(i, 1);
	settle();
	on(&askers[0], fail);
	settle();
	unsigned told = 0;
	for (unsigned i = 1; i < 6; i++)
		told += askers[i].nothing == 1 && !askers[i].seat;
	tap_is_u64(told, 5, "without a result all are told to ask again");
	end_all();
}

/* Joins, ends and leaves cross each other on their way. */
static void crossing(void)
{
	for (unsigned round = 0; round < 300; round++) {
		for (unsigned i = 0; i < ASKERS; i++) {
			askers[i] =
			    (struct asker){ .loop = (i + round) % LOOPS, .key = i % 3, .what = 1 };
			on(&askers[i], enter);
		}
		for (unsigned i = 0; i < ASKERS; i++) {
			struct asker *a = &askers[(i * 7 + round) % ASKERS];
			if (a->lead && round % 2)
				on(a, finish);
			else
				on(a, a->lead ? fail : leave);
		}
		for (unsigned i = 0; i < ASKERS; i++)
			on(&askers[i], leave);
	}
	end_all();
	unsigned twice = 0;
	for (unsigned i = 0; i < ASKERS; i++)
		twice += askers[i].answers > 1;
	tap_is_u64(twice, 0, "300 rounds of crossing messages: nobody is answered twice");
}

/*
 * A text of the hash that another one has, when the hash has no secret: XXH3 adds the words of two
 * stripes as they are where its own secret makes their products 0.
 */
static void twin(uint8_t *text, uint32_t first)
{
	memset(text, 'x', TEXT_BYTES);
	for (size_t i = 0; i < 2; i++) {
		memcpy(text + 64 * i, XXH3_kSecret + 8 * i, 4);
		wire_store32(text + 64 * i + 4, i ? UINT32_MAX - first : first);
	}
}

/* Who asks for something else is not held up, nor are loops busy with it. */
static void twins(void)
{
	static uint8_t one[TEXT_BYTES], other[TEXT_BYTES];
	twin(one, 1);
	twin(other, 77);
	tap_ok(memcmp(one, other, sizeof(one)) &&
	        hash64(one, sizeof(one), 0) == hash64(other, sizeof(other), 0),
	    "(two keys of one hash)");
	askers[0] = (struct asker){ .loop = 0, .text = one };
	askers[1] = (struct asker){ .loop = 1, .text = other };
	on(&askers[0], enter);
	on(&askers[1], enter);
	settle();
	tap_ok(askers[0].lead && askers[1].lead, "keys cannot be chosen to meet another one's");
	end_all();
}

static void a_roll(void)
{
	struct roll *r = roll_create();
	TAP_OK(roll_enter(r, 5, 1) == 0 && roll_enter(r, 5, 2) == 1 && roll_enter(r, 69, 3) == 0);
	roll_leave(r, 5);
	TAP_OK(roll_enter(r, 5, 2) == 0 && roll_enter(r, 69, 1) == 3);
	roll_leave(r, 5);
	roll_leave(r, 69);
	roll_free(r);
}

int main(void)
{
	testteam_start(&tt, LOOPS);
	book = joints_create(tt.team);
	a_roll();
	one_for_all();
	nobody_wants_it();
	nothing_came_of_it();
	crossing();
	twins();
	joints_free(book);
	testteam_stop(&tt);
	return tap_done();
}
