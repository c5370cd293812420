/*
 * core/base/fuzzy against what Prometheus' own code says, and against a plain way to do the same.
 */
#include "core/base/fuzzy.c"

#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "tests/lib/tap.h"

struct fact {
	enum fuzzy_alg alg;
	unsigned threshold;
	bool fold;
	const char *terms[2];
	size_t terms_len[2];
	const char *text;
	size_t text_len;
	bool accepted;
	uint64_t bits;
};
#define FACT(alg, threshold, fold, a, b, text, accepted, bits)                                     \
 { alg, threshold, fold, { a, b }, { sizeof(a) - 1, sizeof(b) - 1 }, text, sizeof(text) - 1,       \
	 accepted, bits },
static const struct fact facts[] = {
#include "tests/unit/core/fuzzy_facts.def"
};

static struct arena arena;
static struct fuzzy_scratch scratch;

static void made(struct fuzzy *f, const struct fact *x)
{
	fuzzy_init(f, x->alg, x->threshold / 100.0, x->fold);
	for (unsigned i = 0; i < 2; i++)
		if (!fuzzy_add(f, &arena, x->terms[i], x->terms_len[i]))
			exit(99);
}

static void told_by_prometheus(void)
{
	unsigned wrong = 0, accepted = 0;
	for (size_t i = 0; i < COUNT_OF(facts); i++) {
		const struct fact *x = &facts[i];
		struct fuzzy f;
		double score = 0;
		uint64_t bits = 0;
		made(&f, x);
		bool yes = fuzzy_score(&f, &scratch, x->text, x->text_len, &score);
		memcpy(&bits, &score, sizeof(bits));
		accepted += yes;
		if (yes == x->accepted && (!yes || bits == x->bits))
			continue;
		if (!wrong++)
			tap_note("fact %zu, term %s, text %s: %d, score %.17g", i, x->terms[0],
			    x->text, yes, score);
	}
	tap_ok(!wrong && accepted > COUNT_OF(facts) / 3,
	    "%u of %zu facts of Prometheus are other ones here, %u are of accepted texts", wrong,
	    COUNT_OF(facts), accepted);
}

/* The prefixes are all of those that score 1, and only them. */
static void prefixes_tell(void)
{
	unsigned wrong = 0, ones = 0, only = 0;
	for (size_t i = 0; i < COUNT_OF(facts); i++) {
		const struct fact *x = &facts[i];
		struct fuzzy f;
		double score = 0;
		const char *p;
		size_t len;
		bool begins = false;
		made(&f, x);
		if (!fuzzy_prefix(&f, 0, &len))
			continue;
		for (size_t k = 0; (p = fuzzy_prefix(&f, k, &len)); k++)
			begins |= len <= x->text_len && !memcmp(p, x->text, len);
		bool yes = fuzzy_score(&f, &scratch, x->text, x->text_len, &score);
		ones += begins;
		only += fuzzy_is_prefix(&f);
		wrong += begins != (yes && score == 1);
		wrong += fuzzy_is_prefix(&f) && yes != begins;
	}
	tap_ok(!wrong && ones > 10 && only > 10,
	    "what scores 1 begins with a term, and the other way round (%u of them, %u where nothing else counts)",
	    ones, only);
}

/* Short texts go another way than long ones. */
static void short_as_long(void)
{
	unsigned wrong = 0, some = 0;
	uint64_t state = 7;
	for (unsigned n = 0; n < 20000; n++) {
		char a[80], b[80];
		size_t a_len = 1 + hash_mix64(++state) % 64, b_len = 1 + hash_mix64(++state) % 64;
		for (size_t i = 0; i < a_len; i++)
			a[i] = (char)('a' + hash_mix64(++state) % (1 + n % 26));
		for (size_t i = 0; i < b_len; i++)
			b[i] = (char)('a' + hash_mix64(++state) % (1 + n % 26));
		uint8_t marks[160] = { 0 };
		bool swap = a_len > b_len;
		double quick = swap ? jaro_short(b, b_len, a, a_len) : jaro_short(a, a_len, b, b_len);
		double slow = swap ? jaro_bytes(b, b_len, a, a_len, marks)
		                   : jaro_bytes(a, a_len, b, b_len, marks);
		wrong += memcmp(&quick, &slow, sizeof(quick)) != 0;
		some += quick > 0;
	}
	tap_ok(!wrong && some > 10000,
	    "%u of 20000 short texts score otherwise than by the plain way", wrong);
}

static void limits(void)
{
	char term[FUZZY_TERM_MAX + 1];
	struct fuzzy f;
	double score = 0;
	memset(term, 'x', sizeof(term));
	fuzzy_init(&f, FUZZY_SUBSEQUENCE, 0, false);
	tap_ok(fuzzy_score(&f, &scratch, "anything", 8, &score) && score == 1,
	    "without terms everything fits");
	tap_ok(fuzzy_add(&f, &arena, "", 0) && !f.count, "an empty term is none");
	tap_ok(!fuzzy_add(&f, &arena, term, sizeof(term)) &&
	        fuzzy_add(&f, &arena, term, sizeof(term) - 1),
	    "a term of %u bytes is the longest", FUZZY_TERM_MAX);
	unsigned n = 1;
	while (fuzzy_add(&f, &arena, "ab", 2))
		n++;
	tap_ok(n == FUZZY_TERMS_MAX, "there are at most %u terms, here %u", FUZZY_TERMS_MAX, n);
	tap_ok(fuzzy_score(&f, &scratch, "a_b", 3, &score) && score < 1 && score > 0,
	    "one of many terms is enough");
}

int main(void)
{
	arena_init(&arena, 64 << 10);
	fuzzy_scratch_init(&scratch);
	told_by_prometheus();
	prefixes_tell();
	short_as_long();
	limits();
	fuzzy_scratch_release(&scratch);
	arena_release(&arena);
	return tap_done();
}
