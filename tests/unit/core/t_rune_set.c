#include "core/base/rune.h"
#include "core/base/rune_set.h"
#include "tests/lib/tap.h"

static const struct class
{
	const char *name;
	size_t size;
	uint64_t hash;
	size_t folded_size;
	uint64_t folded_hash;
} classes[] = {
#define CLASS(name, size, hash, folded_size, folded_hash)                                          \
 { name, size, hash, folded_size, folded_hash },
#define CASED(size, hash, equals)
#include "tests/unit/core/rune_facts.def"
#undef CLASS
#undef CASED
};
enum {
#define CLASS(name, size, hash, folded_size, folded_hash)
#define CASED(size, hash, equals) CASED_SIZE = size
#include "tests/unit/core/rune_facts.def"
#undef CASED
};
#define CASED(size, hash, equals) static const uint64_t cased_hash = hash, equals_hash = equals;
#include "tests/unit/core/rune_facts.def"

static uint64_t fnv(uint64_t h, const char *s)
{
	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 0x100000001b3u;
	return h;
}
#define FNV_START 0xcbf29ce484222325u

static size_t size_of(const struct rune_set *s)
{
	size_t n = 0;
	for (size_t i = 0; i < s->count; i++)
		n += s->v[i].last - s->v[i].first + 1;
	return n;
}

static uint64_t hash_of(const struct rune_set *s)
{
	uint64_t h = FNV_START;
	char text[32];
	for (size_t i = 0; i < s->count; i++) {
		snprintf(text, sizeof(text), "%x-%x ", s->v[i].first, s->v[i].last);
		h = fnv(h, text);
	}
	return h;
}

static bool is_tidy(const struct rune_set *s)
{
	for (size_t i = 0; i < s->count; i++) {
		if (s->v[i].first > s->v[i].last || s->v[i].last > RUNE_MAX ||
		    (i && s->v[i].first <= s->v[i - 1].last + 1))
			return false;
	}
	return true;
}

static bool named_is(const char *name, bool fold, size_t size, uint64_t hash)
{
	struct rune_set s = { 0 };
	bool ok = rune_set_named(&s, name, strlen(name), fold) && is_tidy(&s) &&
	    size_of(&s) == size && hash_of(&s) == hash;
	rune_set_release(&s);
	return ok;
}

/* Twice negated and once joined with its opposite, a set must be itself and everything. */
static bool negates(const char *name)
{
	struct rune_set s = { 0 }, t = { 0 };
	bool ok = rune_set_named(&s, name, strlen(name), false);
	rune_set_join(&t, &s);
	rune_set_negate(&t);
	ok = ok && is_tidy(&t) && size_of(&s) + size_of(&t) == (size_t)RUNE_MAX + 1;
	rune_set_join(&s, &t);
	ok = ok && s.count == 1 && s.v[0].first == 0 && s.v[0].last == RUNE_MAX;
	rune_set_release(&s);
	rune_set_release(&t);
	return ok;
}

static void test_equals_but_for_case(void)
{
	struct rune_set cased = { 0 };
	uint64_t equals = FNV_START;
	char text[16];
	for (uint32_t rune = 0; rune <= RUNE_MAX; rune++) {
		struct rune_set s = { 0 };
		rune_set_add(&s, rune, rune);
		rune_set_fold(&s);
		if (size_of(&s) > 1) {
			rune_set_add(&cased, rune, rune);
			snprintf(text, sizeof(text), "%x", rune);
			equals = fnv(equals, text);
			/* those above it, then those below */
			for (size_t pass = 0; pass < 2; pass++) {
				for (size_t i = 0; i < s.count; i++) {
					for (uint32_t r = s.v[i].first; r <= s.v[i].last; r++) {
						if (pass ? r >= rune : r <= rune)
							continue;
						snprintf(text, sizeof(text), "+%x", r);
						equals = fnv(equals, text);
					}
				}
			}
			equals = fnv(equals, " ");
		}
		rune_set_release(&s);
	}
	rune_set_tidy(&cased);
	tap_is_i64((int64_t)size_of(&cased), CASED_SIZE, "as many have another case as Unicode says");
	tap_ok(hash_of(&cased) == cased_hash, "the same ones");
	tap_ok(equals == equals_hash, "and each has the equals that Unicode gives it");
	rune_set_release(&cased);
}

int main(void)
{
	for (size_t i = 0; i < COUNT_OF(classes); i++) {
		const struct class *c = &classes[i];
		tap_ok(named_is(c->name, false, c->size, c->hash) &&
		        named_is(c->name, true, c->folded_size, c->folded_hash) && negates(c->name),
		    "%s is what Unicode says, folded too", c->name);
	}
	test_equals_but_for_case();

	struct rune_set s = { 0 };
	TAP_OK(rune_set_named(&s, "UPPERCASE letter", 16, false) && rune_set_has(&s, 'A') &&
	    !rune_set_has(&s, 'a'));
	TAP_OK(rune_set_named(&s, "olditalic", 9, false) && rune_set_has(&s, 0x10300));
	TAP_OK(rune_set_named(&s, "Any", 3, true) && size_of(&s) == (size_t)RUNE_MAX + 1);
	TAP_OK(rune_set_named(&s, "ASCII", 5, false) && size_of(&s) == 128);
	TAP_OK(
	    rune_set_named(&s, "ASCII", 5, true) && size_of(&s) == 130 && rune_set_has(&s, 0x212a));
	TAP_OK(rune_set_named(&s, "Assigned", 8, false) && !rune_set_has(&s, 0x378) &&
	    rune_set_has(&s, 0x377));
	size_t before = s.count;
	TAP_OK(!rune_set_named(&s, "Foo", 3, false) && !rune_set_named(&s, "", 0, false) &&
	    !rune_set_named(&s, "-_ ", 3, false) && !rune_set_named(&s, "L&", 2, false) &&
	    !rune_set_named(&s, "Lx", 2, false) && s.count == before);
	rune_set_release(&s);
	rune_set_negate(&s);
	TAP_OK(s.count == 1 && size_of(&s) == (size_t)RUNE_MAX + 1);
	rune_set_negate(&s);
	TAP_OK(s.count == 0);
	rune_set_release(&s);

	for (uint32_t i = 0; i < 500; i++)
		rune_set_add(&s, (i * 7919) % 5000, (i * 7919) % 5000 + i % 3);
	rune_set_tidy(&s);
	bool same = is_tidy(&s);
	for (uint32_t rune = 0; rune < 5010; rune++) {
		bool in = false;
		for (uint32_t i = 0; i < 500; i++) {
			uint32_t first = (i * 7919) % 5000;
			in = in || (rune >= first && rune <= first + i % 3);
		}
		same = same && rune_set_has(&s, rune) == in;
	}
	tap_ok(same, "a set made of spans in any order has just their members");
	rune_set_release(&s);
	TAP_OK(rune_category(0) == RUNE_Cc && rune_category('a') == RUNE_Ll &&
	    rune_category(0x101) == RUNE_Ll && rune_category(0x100) == RUNE_Lu &&
	    rune_category(0x10ffff) == RUNE_Cn && rune_category(0xd800) == RUNE_Cs &&
	    rune_category(0x378) == RUNE_Cn && rune_category(0x20000) == RUNE_Lo);
	return tap_done();
}
