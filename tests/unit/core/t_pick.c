/* core/base/pick against sorting all there is. */
#include "core/base/pick.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "tests/lib/tap.h"

#define TEXTS 600u

static uint64_t state = 14;

static uint64_t rnd(uint64_t below)
{
	return hash_mix64(++state) % below;
}

static struct pick_item *all[TEXTS];
static enum pick_order order_now;

static int by_order(const void *a, const void *b)
{
	struct pick_item *const *x = a, *const *y = b;
	return pick_cmp(order_now, *x, *y);
}

static struct pick_item *text_make(unsigned i)
{
	char s[40];
	int n = snprintf(s, sizeof(s), "%.*s%u", (int)(i % 5), "abcd", i * 7919u % TEXTS);
	struct pick_item *x = mem_zalloc(sizeof(*x) + (size_t)n);
	x->len = (uint32_t)n;
	x->score = (double)(i * 31 % 7) / 7; /* the same for a text each time */
	memcpy(x->text, s, (size_t)n);
	return x;
}

static bool skipped_rightly(const struct pick *p, const struct pick_item *x)
{
	return pick_hopes(p, x->text, x->len / 2, x->score) ||
	    !pick_wants(p, x->text, x->len, x->score);
}

/* What comes out, last one first, is what sorting all of them gives. */
static unsigned wrong_in_a_run(enum pick_order order, size_t max)
{
	struct pick p;
	unsigned wrong = 0;
	size_t want = max < TEXTS ? max : TEXTS;
	pick_init(&p, order, max, 42);
	for (unsigned i = 0; i < 3 * TEXTS; i++) {
		const struct pick_item *x = all[rnd(TEXTS)];
		wrong += !skipped_rightly(&p, x);
		if (pick_wants(&p, x->text, x->len, x->score))
			pick_put(&p, x->text, x->len, x->score);
		wrong += pick_wants(&p, x->text, x->len, x->score);
	}
	for (unsigned i = 0; i < TEXTS; i++)
		if (pick_wants(&p, all[i]->text, all[i]->len, all[i]->score))
			pick_put(&p, all[i]->text, all[i]->len, all[i]->score);
	wrong += p.count != want || pick_bytes(&p) > (want + 64) * 200;
	order_now = order;
	qsort(all, TEXTS, sizeof(*all), by_order);
	for (size_t i = want; i--;) {
		struct pick_item *x = pick_pop(&p);
		wrong += !x || pick_cmp(order, x, all[i]) != 0;
		mem_free(x);
	}
	wrong += pick_pop(&p) != NULL;
	pick_release(&p);
	return wrong;
}

/* What is told to be over is known, but for few that others drove out; nothing else is. */
static void remembers(void)
{
	struct pick p;
	unsigned known = 0, wrong = 0, kept = 0;
	char s[16];
	pick_init(&p, PICK_SCORE, 2, 77);
	pick_over(&p, pick_hash(&p, "a", 1));
	tap_ok(!pick_is_over(&p, pick_hash(&p, "a", 1)) && !pick_bytes(&p),
	    "nothing is remembered where nobody asked for it");
	pick_remember(&p, TEXTS);
	uint64_t bytes = pick_bytes(&p);
	for (unsigned i = 0; i < TEXTS; i++)
		pick_over(&p, pick_hash(&p, s, (size_t)snprintf(s, sizeof(s), "t%u", i)));
	for (unsigned i = 0; i < 2 * TEXTS; i++) {
		bool over =
		    pick_is_over(&p, pick_hash(&p, s, (size_t)snprintf(s, sizeof(s), "t%u", i)));
		known += i < TEXTS && over;
		wrong += i >= TEXTS && over;
	}
	tap_ok(known > TEXTS * 9 / 10 && !wrong, "%u of %u texts are over, and %u others", known,
	    TEXTS, wrong);
	pick_remember(&p, 100 * TEXTS);
	tap_ok(bytes >= TEXTS * 8 && bytes < TEXTS * 40 && pick_bytes(&p) == bytes,
	    "in %llu bytes, asked for once", (unsigned long long)bytes);
	pick_release(&p);
	pick_remember(&p, SIZE_MAX);
	for (unsigned i = 0; i < 2 * PICK_OVER_MAX; i++)
		pick_over(&p, pick_hash(&p, s, (size_t)snprintf(s, sizeof(s), "t%u", i)));
	for (unsigned i = 0; i < 2 * PICK_OVER_MAX; i++)
		kept += pick_is_over(&p, pick_hash(&p, s, (size_t)snprintf(s, sizeof(s), "t%u", i)));
	tap_ok(pick_bytes(&p) == PICK_OVER_MAX * 8 && kept > PICK_OVER_MAX / 2 &&
	        kept <= PICK_OVER_MAX,
	    "of too many %u are known, in %llu bytes", kept, (unsigned long long)pick_bytes(&p));
	pick_release(&p);
}

int main(void)
{
	static const size_t sizes[] = { 1, 2, 7, 100, TEXTS - 1, TEXTS, 2 * TEXTS };
	for (unsigned i = 0; i < TEXTS; i++)
		all[i] = text_make(i);
	for (enum pick_order o = PICK_TEXT; o <= PICK_SCORE; o++)
		for (size_t k = 0; k < sizeof(sizes) / sizeof(*sizes); k++)
			tap_ok(!wrong_in_a_run(o, sizes[k]), "order %d, the best %zu of %u texts",
			    (int)o, sizes[k], TEXTS);
	struct pick p;
	pick_init(&p, PICK_SCORE, 2, 1);
	pick_put(&p, "b", 1, 1);
	tap_ok(pick_hopes(&p, "z", 1, 0), "one with room takes anything");
	pick_put(&p, "c", 1, 1);
	tap_ok(
	    pick_hopes(&p, "a", 1, 1) && !pick_hopes(&p, "c", 1, 1) && !pick_hopes(&p, "a", 1, 0.9),
	    "a full one hopes for what is before its last");
	tap_ok(!pick_wants(&p, "a", 1, 0.9) && pick_wants(&p, "a", 1, 1), "and wants no other");
	pick_release(&p);
	remembers();
	for (unsigned i = 0; i < TEXTS; i++)
		mem_free(all[i]);
	return tap_done();
}
