/*
 * core/base/fuzzy against what Prometheus' own code says, and against a plain way to do the same.
 */
#include "core/base/fuzzy.c"

#include <stdlib.h>
#include <string.h>
#include <time.h>

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

/* The score by the book: each character looks for the first of its kind within reach. */
static double plain_alike(const uint32_t *a, size_t a_len, const uint32_t *b, size_t b_len)
{
	uint8_t in_a[600] = { 0 }, in_b[600] = { 0 };
	size_t reach = b_len / 2 > 1 ? b_len / 2 - 1 : 0, k = 0;
	unsigned same = 0, matches = 0, moved = 0;
	for (size_t i = 0; i < a_len; i++) {
		for (size_t j = i > reach ? i - reach : 0; j < b_len && j <= i + reach; j++) {
			if (in_b[j] || a[i] != b[j])
				continue;
			in_a[i] = in_b[j] = 1;
			matches++;
			break;
		}
	}
	for (size_t i = 0; i < a_len; i++) {
		if (!in_a[i])
			continue;
		while (!in_b[k])
			k++;
		moved += a[i] != b[k++];
	}
	while (same < WINKLER_MOST && same < a_len && a[same] == b[same])
		same++;
	return matches ? jaro_winkler(matches, moved, same, a_len, b_len) : 0;
}

static size_t text_make(char *to, size_t len, unsigned kinds, bool odd, uint64_t *state)
{
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		unsigned kind = (unsigned)(hash_mix64(++*state) % kinds);
		if (odd && kind % 3 == 0)
			n += rune_encode(0x400 + 77 * kind, to + n);
		else
			to[n++] = (char)('a' + kind);
	}
	return n;
}

/* Short texts, long ones, and those that are not ASCII go ways of their own. */
static void alike_by_the_book(void)
{
	unsigned wrong = 0, some = 0, refused = 0;
	uint64_t state = 7;
	struct buf a, b;
	buf_init(&a);
	buf_init(&b);
	for (unsigned n = 0; n < 30000; n++) {
		char term[1200], text[1200];
		unsigned kinds = 1 + n % 26;
		size_t most = n % 5 ? 64 : 250;
		size_t term_len = text_make(
		           term, 1 + hash_mix64(++state) % (most / 2), kinds, n % 7 == 0, &state),
		       len = text_make(
		           text, 1 + hash_mix64(++state) % most, kinds, n % 3 == 0, &state);
		struct fuzzy f;
		fuzzy_init(&f, FUZZY_JARO_WINKLER, 0.01, false);
		if (!fuzzy_add(&f, &arena, term, term_len))
			continue;
		size_t a_len = runes_of(term, term_len, &a), b_len = runes_of(text, len, &b);
		const uint32_t *x = (void *)a.data, *y = (void *)b.data;
		double plain = a_len > b_len ? plain_alike(y, b_len, x, a_len)
		                             : plain_alike(x, a_len, y, b_len),
		       least = (double)(hash_mix64(++state) % 100) / 100;
		double score = alike(&f.terms[0], &scratch, text, len, 0),
		       above = alike(&f.terms[0], &scratch, text, len, least);
		wrong += memcmp(&score, &plain, sizeof(score)) != 0;
		wrong += above != plain && (above != 0 || plain >= least);
		refused += above != plain;
		some += plain > 0;
	}
	buf_release(&a);
	buf_release(&b);
	tap_ok(!wrong && some > 10000 && refused > 1000,
	    "%u of 30000 texts score otherwise than by the book; %u were of no use", wrong, refused);
}

/* So many characters of the term are not in the text, whatever their case. */
static size_t lacking(const struct fuzzy_term *t, const char *text, size_t len)
{
	size_t n = 0;
	for (size_t i = 0; i < t->runes_count; i++) {
		bool there = false;
		for (size_t k = 0; k < len && t->runes[i] < 0x80; k++)
			there |= (text[k] | 0x20) == ((int)t->runes[i] | 0x20);
		n += !there;
	}
	return n;
}

/* Words of few letters and of many, long ones, of any case, and empty texts. */
static void lacking_counts(void)
{
	unsigned wrong = 0, told = 0, low = 0;
	uint64_t state = 11;
	for (unsigned n = 0; n < 60000; n++) {
		char term[256], text[400];
		unsigned kinds = 2 + n % 40, other = 2 + (unsigned)(hash_mix64(++state) % 40);
		size_t most = n % 5 ? 30 : 300;
		size_t term_len =
		    text_make(term, 1 + hash_mix64(++state) % 40, kinds, n % 7 == 0, &state);
		size_t len = text_make(text, hash_mix64(++state) % most, other, false, &state);
		for (size_t i = 0; i < len; i++)
			text[i] = (char)(text[i] ^ (hash_mix64(++state) % 9 ? 0 : 0x20));
		if (n % 3 == 0 && len > 4 && term_len > 4)
			memcpy(text, term, term[3] > 0 ? 4 : 0);
		struct fuzzy f;
		double score = 0;
		fuzzy_init(&f, FUZZY_JARO_WINKLER, 0.01, n % 2);
		if (!fuzzy_add(&f, &arena, term, term_len) || !rune_is_ascii(text, len))
			continue;
		size_t lacks = lacking(&f.terms[0], text, len);
		if (!lacks)
			continue;
		double top = fuzzy_alike_most(&f, 0, lacks, text, len);
		told++;
		low += top < 0.7;
		wrong += fuzzy_score(&f, &scratch, text, len, &score) && score > top;
		/* fewer are known to lack: that says less */
		wrong += fuzzy_alike_most(&f, 0, 1, text, len) < top;
	}
	tap_ok(!wrong && told > 20000 && low > 3000,
	    "%u of %u texts score more than what they lack leaves; %u below 0.7", wrong, told, low);
}

/* A turn of a loop looks at one text at least: none may take long, whatever it is made of. */
static void none_takes_long(void)
{
	static char text[16384], term[FUZZY_TERM_MAX];
	static const char *const units[] = { "a", "ab", "a_b-", "\xc3\xa4", "\xc3\xa4_" };
	uint64_t most = 0;
	double score = 0, seconds = 0;
	for (unsigned kind = 0; kind < 2 * COUNT_OF(units); kind++) {
		const char *unit = units[kind / 2];
		size_t unit_len = strlen(unit);
		struct fuzzy f;
		fuzzy_init(&f, kind % 2 ? FUZZY_SUBSEQUENCE : FUZZY_JARO_WINKLER, 0.01, false);
		for (unsigned i = 0; i < FUZZY_TERMS_MAX; i++) {
			for (size_t k = 0; k < sizeof(term); k++)
				term[k] = unit[k % unit_len];
			term[sizeof(term) - 1 - i] = 'z';
			if (!fuzzy_add(&f, &arena, term, sizeof(term) - i))
				exit(99);
		}
		for (size_t k = 0; k < sizeof(text); k++)
			text[k] = unit[(k + (unit_len > 2)) % unit_len];
		memset(text + sizeof(text) - 4, 'z', 4);
		text[0] = '-';
		scratch.work = 0;
		clock_t begin = clock();
		(void)fuzzy_score(&f, &scratch, text, sizeof(text), &score);
		double took = (double)(clock() - begin) / CLOCKS_PER_SEC;
		seconds = took > seconds ? took : seconds;
		most = scratch.work > most ? scratch.work : most;
	}
	tap_ok(seconds < 0.05 && most < 2000000,
	    "a text of %zu bytes and 32 terms of 256 took at most %.1f ms, %llu units",
	    sizeof(text), seconds * 1000, (unsigned long long)most);
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
	while (fuzzy_add(&f, &arena, term, 2 + n))
		n++;
	tap_ok(fuzzy_add(&f, &arena, term, 4) && f.count == n, "one that is there is no other one");
	tap_ok(n == FUZZY_TERMS_MAX, "there are at most %u terms, here %u", FUZZY_TERMS_MAX, n);
	tap_ok(fuzzy_score(&f, &scratch, "x_xx", 4, &score) && score < 1 && score > 0,
	    "one of many terms is enough");
}

int main(void)
{
	arena_init(&arena, 64 << 10);
	fuzzy_scratch_init(&scratch);
	told_by_prometheus();
	prefixes_tell();
	alike_by_the_book();
	lacking_counts();
	none_takes_long();
	limits();
	fuzzy_scratch_release(&scratch);
	arena_release(&arena);
	return tap_done();
}
