/* storage/read/chosen: ids with and without bits, those that left, those that are dead. */
#include "storage/read/chosen.h"

#include "tests/lib/tap.h"

#define ID_MAX 40000u

static bool is_in(uint32_t id, uint32_t step)
{
	return id % step == 3 % step;
}

static struct chosen of_step(uint32_t step)
{
	struct chosen c = { 0 };
	roaring_bitmap_t *ids = postings_bitmap();
	for (uint32_t id = 0; id < ID_MAX; id++)
		if (is_in(id, step))
			roaring_bitmap_add(ids, id);
	chosen_set(&c, ids);
	return c;
}

static unsigned wrong_ids(const struct chosen *c, uint32_t step)
{
	unsigned wrong = 0;
	for (uint32_t id = 0; id < ID_MAX + 200; id++)
		wrong += chosen_has(c, id) != (id < ID_MAX && is_in(id, step));
	return wrong;
}

static void asks(uint32_t step, bool bits)
{
	struct chosen c = of_step(step);
	unsigned wrong = wrong_ids(&c, step);
	uint64_t before = chosen_bytes(&c);
	chosen_bits(&c);
	uint64_t more = chosen_bytes(&c) - before;
	wrong += wrong_ids(&c, step);
	tap_ok(!wrong && !!c.bits == bits && more <= c.count * CHOSEN_BITS_BYTES + 8 &&
	        (more > 0) == bits,
	    "one of %u: %u are wrong, %llu bytes of bits for %llu ids", step, wrong,
	    (unsigned long long)more, (unsigned long long)c.count);
	chosen_release(&c);
	tap_ok(!c.ids && !chosen_bytes(&c), "nothing is left");
}

static void without(void)
{
	struct tomb_entry dead[] = { { .id = 13 }, { .id = 15 } };
	struct tombs tombs = { .entries = dead, .count = 2 };
	struct chosen c = { 0 };
	chosen_leaves(&c, 3); /* before the choice was made */
	roaring_bitmap_t *none = chosen_without(&c, NULL);
	tap_ok(roaring_bitmap_is_empty(none), "nothing was chosen: the catalog tells of all");
	roaring_bitmap_free(none);
	roaring_bitmap_t *gone = c.gone;
	c = of_step(10);
	c.gone = gone;
	chosen_leaves(&c, 13);
	chosen_leaves(&c, 23);
	chosen_leaves(&c, 24); /* not chosen */
	roaring_bitmap_t *out = chosen_without(&c, &tombs);
	tap_ok(!roaring_bitmap_contains(out, 3) && !roaring_bitmap_contains(out, 23) &&
	        !roaring_bitmap_contains(out, 24),
	    "the catalog tells of those that left");
	tap_ok(roaring_bitmap_contains(out, 13) && roaring_bitmap_contains(out, 15),
	    "not of the dead, whether they left or not");
	tap_ok(roaring_bitmap_contains(out, 33) &&
	        roaring_bitmap_get_cardinality(out) == ID_MAX / 10 - 2 + 1,
	    "nor of what is in memory");
	tap_ok(chosen_has(&c, 23), "what is gone is chosen as it was");
	roaring_bitmap_free(out);
	chosen_release(&c);
}

int main(void)
{
	asks(1, true);
	asks(7, true);
	asks(100, true);
	asks(300, false);  /* far apart */
	asks(2000, false); /* few */
	without();
	return tap_done();
}
