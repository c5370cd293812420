#include "core/base/fuzzy.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/rune.h"

#define NOT_EXACT    0.999 /* subsequenceNonExactScoreScale */
#define WINKLER      0.1
#define WINKLER_MOST 4u
#define BAD_RUNE     0xfffdu
#define PART_LONG    128u
#define ROUNDING     1e-9 /* no two ways to count one score differ by more */
/* Steps of all ways of all terms through one text: some 200 us; those of a term, at least. */
#define STEPS_MOST  (1u << 17)
#define STEPS_BYTE  32u /* of the text */
#define STEPS_FIRST 4096u
#define STEPS_TERM  2048u
/* What a look takes, in units of 5 ns. */
#define COST_LOOK  3u
#define COST_ALIKE 24u

#define SHORT 64u /* characters of ASCII: bits of a word */
struct fuzzy_counts {
	uint8_t number[128];      /* of a character in letters, from 1 on; 0: it is none of them */
	uint8_t times[SHORT + 1]; /* how often the term has each letter; [0] is 0 */
};

/* As Go's range over a string: a byte that is no UTF-8 is one U+FFFD. */
static size_t next_rune(const char *s, size_t len, uint32_t *rune)
{
	if ((uint8_t)*s < 0x80) {
		*rune = (uint8_t)*s;
		return 1;
	}
	size_t n = rune_decode(s, len, rune);
	if (n)
		return n;
	*rune = BAD_RUNE;
	return 1;
}

static size_t runes_of(const char *s, size_t len, struct buf *out)
{
	size_t count = 0;
	uint32_t rune;
	buf_clear(out);
	for (size_t at = 0; at < len; count++) {
		at += next_rune(s + at, len - at, &rune);
		buf_add(out, &rune, sizeof(rune));
	}
	return count;
}

static size_t runes_count(const char *s, size_t len)
{
	size_t count = 0;
	uint32_t rune;
	for (size_t at = 0; at < len; count++)
		at += next_rune(s + at, len - at, &rune);
	return count;
}

/* Of eight characters of ASCII: 0x20 in each that is a capital. */
static uint64_t capitals(uint64_t word)
{
	const uint64_t each = UINT64_C(0x0101010101010101);
	uint64_t from_a = word + each * (0x80 - 'A'), behind_z = word + each * (0x80 - 'Z' - 1);
	return (from_a & ~behind_z & each * 0x80) >> 2;
}

/* strings.ToLower */
static void lower(const char *s, size_t len, struct buf *out)
{
	uint32_t rune;
	uint64_t word;
	char utf8[4];
	size_t at = 0;
	buf_clear(out);
	CHECK(buf_reserve(out, len + 1));
	for (; at + 8 <= len; at += 8) {
		memcpy(&word, s + at, 8);
		if (word & UINT64_C(0x8080808080808080))
			break;
		word |= capitals(word);
		memcpy(out->data + at, &word, 8);
	}
	for (; at < len && (uint8_t)s[at] < 0x80; at++) {
		uint8_t c = (uint8_t)s[at];
		out->data[at] = (uint8_t)(c - 'A') < 26 ? c | 0x20 : c;
	}
	out->len = at;
	while (at < len) {
		at += next_rune(s + at, len - at, &rune);
		buf_add(out, utf8, rune_encode(rune_lower(rune), utf8));
	}
}

void fuzzy_init(struct fuzzy *f, enum fuzzy_alg alg, double threshold, bool fold)
{
	*f = (struct fuzzy){ .alg = alg, .threshold = threshold, .fold = fold };
}

static int rune_cmp(const void *x, const void *y)
{
	const uint32_t *a = x, *b = y;
	return (*a > *b) - (*a < *b);
}

/* The characters of a term, each once, ascending. */
static void letters_make(struct fuzzy_term *t, struct arena *a, struct buf *b)
{
	uint32_t *v = (void *)b->data;
	qsort(v, t->runes_count, sizeof(*v), rune_cmp);
	for (size_t i = 0; i < t->runes_count; i++)
		if (!i || v[i] != v[t->letters_count - 1])
			v[t->letters_count++] = v[i];
	t->letters = arena_dup(a, v, t->letters_count * sizeof(*v));
}

/* Where a character stands in letters, from 1 on; 0: it is none of them. */
static uint32_t letter_of(const struct fuzzy_term *t, uint32_t rune)
{
	size_t from = 0, to = t->letters_count;
	while (from < to) {
		size_t mid = (from + to) / 2;
		if (t->letters[mid] < rune)
			from = mid + 1;
		else
			to = mid;
	}
	return from < t->letters_count && t->letters[from] == rune ? (uint32_t)from + 1 : 0;
}

static void counts_make(struct fuzzy_term *t, struct arena *a)
{
	if (!t->ascii || t->len > SHORT)
		return;
	struct fuzzy_counts *c = arena_zalloc(a, sizeof(*c));
	for (size_t i = 0; i < t->len; i++) {
		uint8_t letter = (uint8_t)t->s[i];
		c->number[letter] = (uint8_t)letter_of(t, letter);
		c->times[c->number[letter]]++;
	}
	t->counts = c;
}

static bool is_there(const struct fuzzy *f, const void *term, size_t len)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->terms[i].len == len && !memcmp(f->terms[i].s, term, len))
			return true;
	return false;
}

bool fuzzy_add(struct fuzzy *f, struct arena *a, const char *term, size_t len)
{
	struct buf b;
	if (!len)
		return true;
	if (len > FUZZY_TERM_MAX)
		return false;
	buf_init(&b);
	if (f->fold)
		lower(term, len, &b);
	else
		buf_add(&b, term, len);
	bool is_new = !is_there(f, b.data, b.len), room = f->count < FUZZY_TERMS_MAX;
	if (is_new && room) {
		struct fuzzy_term *t = &f->terms[f->count++];
		*t = (struct fuzzy_term){ .s = arena_dup(a, b.data, b.len), .len = b.len };
		t->ascii = rune_is_ascii(t->s, t->len);
		t->runes_count = runes_of(t->s, t->len, &b);
		t->runes = arena_dup(a, b.data, b.len);
		letters_make(t, a, &b);
		counts_make(t, a);
		f->odd |= letter_of(t, BAD_RUNE) > 0;
	}
	buf_release(&b);
	return !is_new || room;
}

void fuzzy_copy(struct fuzzy *f, struct arena *a, const struct fuzzy *from)
{
	*f = *from;
	for (size_t i = 0; i < f->count; i++) {
		struct fuzzy_term *t = &f->terms[i];
		t->s = arena_dup(a, t->s, t->len);
		t->runes = arena_dup(a, t->runes, t->runes_count * sizeof(*t->runes));
		t->letters = arena_dup(a, t->letters, t->letters_count * sizeof(*t->letters));
		t->counts = t->counts ? arena_dup(a, t->counts, sizeof(*t->counts)) : NULL;
	}
}

void fuzzy_scratch_init(struct fuzzy_scratch *x)
{
	*x = (struct fuzzy_scratch){ .work = 0 };
	buf_init(&x->folded);
	buf_init(&x->runes);
	buf_init(&x->chains);
}

void fuzzy_scratch_release(struct fuzzy_scratch *x)
{
	buf_release(&x->folded);
	buf_release(&x->runes);
	buf_release(&x->chains);
}

/* ---- a part of the text ---- */

/* memmem, which takes longer to begin than most texts to be looked at. */
static const char *part_of(const char *text, size_t len, const struct fuzzy_term *t)
{
	if (len > PART_LONG)
		return memmem(text, len, t->s, t->len);
	while (len >= t->len) {
		const char *next = memchr(text, t->s[0], len - t->len + 1);
		if (!next || !memcmp(next, t->s, t->len))
			return next;
		len -= (size_t)(next + 1 - text);
		text = next + 1;
	}
	return NULL;
}

/* SubstringFilter.Accept */
static bool part_score(const struct fuzzy_term *t, const char *text, size_t len, double *score)
{
	const char *found = part_of(text, len, t);
	if (!found)
		return false;
	size_t pos = (size_t)(found - text), most = len - t->len;
	*score = 1;
	if (!pos)
		return true;
	if (!t->ascii || !rune_is_ascii(text, len)) {
		size_t all = runes_count(text, len);
		pos = runes_count(text, pos);
		most = all > t->runes_count ? all - t->runes_count : 0;
	}
	if (most)
		*score = 1.0 - 0.9 * (double)pos / (double)most;
	return true;
}

/* ---- characters in order ---- */

/*
 * One way to find a term in a text, from the first character on that stands at `at`: runs square,
 * gaps cost. False: what is left does not hold the rest of the term, so no later beginning does.
 */
struct way {
	double score;
	bool whole; /* the term stands there as one */
	size_t steps;
};
/* clang-format off */
#define WAY_SCORE(type, find, step)								\
	double score = 0, inv = 1.0 / (double)len;						\
	size_t i = at, k = 0, to = 0, steps = 0;						\
	bool first = true;									\
	while (k < term_len) {									\
		const type *next = find(text + i, term[k], len - i);				\
		if (!next)									\
			return false;								\
		size_t from = (size_t)(next - text);						\
		size_t gap = first ? from : from - to - 1;					\
		steps += 4 + (from - i) / step;							\
		for (i = from; k < term_len && i < len && text[i] == term[k]; i++)		\
			k++;									\
		to = i - 1;									\
		if (gap)									\
			score -= (double)gap * inv;						\
		size_t size = to - from + 1;							\
		score += (double)(size * size);							\
		steps += size;									\
		first = false;									\
		out->whole = size == term_len;							\
	}											\
	if (len - 1 > to)									\
		score -= (double)(len - 1 - to) * inv * 0.5;					\
	out->score = score;									\
	out->steps += steps;									\
	return true;
/* clang-format on */

static const char *find_byte(const char *s, char c, size_t len)
{
	return memchr(s, c, len);
}

static const uint32_t *find_rune(const uint32_t *s, uint32_t rune, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] == rune)
			return s + i;
	return NULL;
}

static bool way_bytes(
    const char *text, size_t len, const char *term, size_t term_len, size_t at, struct way *out)
{
	WAY_SCORE(char, find_byte, 32)
}

static bool way_runes(const uint32_t *text, size_t len, const uint32_t *term, size_t term_len,
    size_t at, struct way *out)
{
	WAY_SCORE(uint32_t, find_rune, 2)
}

static double normal(double best, size_t term_len)
{
	return best < 0 ? 0 : best / (double)(term_len * term_len) * NOT_EXACT;
}

/*
 * matchSubsequenceString. Behind a way that has the term as one none is better: its gaps cost less
 * than that gains. most: of steps.
 */
static double order_bytes(
    const char *text, size_t len, const char *term, size_t term_len, size_t most, size_t *steps)
{
	struct way w = { .steps = 0 };
	double best = -1;
	for (size_t i = 0; i + term_len <= len && !w.whole && w.steps < most; i++) {
		const char *next = memchr(text + i, term[0], len - term_len + 1 - i);
		if (!next)
			break;
		i = (size_t)(next - text);
		if (!way_bytes(text, len, term, term_len, i, &w))
			break;
		best = w.score > best ? w.score : best;
	}
	*steps = w.steps;
	return normal(best, term_len);
}

/* matchSubsequenceRunes */
static double order_runes(const uint32_t *text, size_t len, const uint32_t *term, size_t term_len,
    size_t most, size_t *steps)
{
	struct way w = { .steps = 0 };
	double best = -1;
	for (size_t i = 0; i + term_len <= len && !w.whole && w.steps < most; i++) {
		if (text[i] != term[0])
			continue;
		if (!way_runes(text, len, term, term_len, i, &w))
			break;
		best = w.score > best ? w.score : best;
	}
	*steps = w.steps;
	return normal(best, term_len);
}

static size_t steps_most(const struct fuzzy *f, size_t len)
{
	size_t most = STEPS_BYTE * len + STEPS_FIRST;
	most = (most < STEPS_MOST ? most : STEPS_MOST) / f->count;
	return most > STEPS_TERM ? most : STEPS_TERM;
}

/* SubsequenceFilter.Accept */
static bool order_score(const struct fuzzy *f, const struct fuzzy_term *t, struct fuzzy_scratch *x,
    const char *text, size_t len, double *score)
{
	if (t->len > len)
		return false;
	*score = 1;
	if (!memcmp(text, t->s, t->len))
		return true;
	bool ascii = rune_is_ascii(text, len);
	size_t most = steps_most(f, len), steps;
	if (ascii && !t->ascii)
		return false;
	if (ascii) {
		*score = order_bytes(text, len, t->s, t->len, most, &steps);
	} else {
		size_t n = runes_of(text, len, &x->runes);
		*score = order_runes(
		    (const void *)x->runes.data, n, t->runes, t->runes_count, most, &steps);
		x->work += len / 2;
	}
	x->work += len / 32 + steps / 3;
	return *score > 0 && *score >= f->threshold;
}

/* ---- alike ---- */

static double jaro_winkler(unsigned matches, unsigned moved, unsigned same, size_t a_len, size_t b_len)
{
	double inv_a = 1.0 / (double)a_len, inv_b = 1.0 / (double)b_len, m = matches;
	double jaro = (m * inv_a + m * inv_b + (m - moved * 0.5) / m) / 3.0;
	return jaro + same * WINKLER * (1.0 - jaro);
}

/*
 * jaroWinklerRunes; a, which is not longer than b, or b is the term t. Places of a character in b
 * are a chain; what is within reach begins ever later, and places are taken one behind another, so
 * that nothing before the last one is looked at again: it takes as long as both are.
 */
static double jaro_long(const struct fuzzy_term *t, const uint32_t *a, size_t a_len,
    const uint32_t *b, size_t b_len, struct buf *chains)
{
	size_t reach = b_len / 2 > 1 ? b_len / 2 - 1 : 0, k = 0;
	size_t words = t->letters_count + 1 + b_len, bytes = words * sizeof(uint32_t) + a_len + b_len;
	unsigned same = 0, matches = 0, moved = 0;
	buf_clear(chains);
	CHECK(buf_reserve(chains, bytes));
	memset(chains->data, 0, bytes);
	/* the next place of each letter, from 1 on, and of each place */
	uint32_t *first = (void *)chains->data, *next = first + t->letters_count + 1;
	uint8_t *in_a = (uint8_t *)(next + b_len), *in_b = in_a + a_len;
	for (size_t j = b_len; j-- > 0;) {
		uint32_t letter = letter_of(t, b[j]);
		next[j] = first[letter];
		first[letter] = (uint32_t)j + 1;
	}
	for (size_t i = 0; i < a_len; i++) {
		uint32_t letter = letter_of(t, a[i]), j = letter ? first[letter] : 0;
		while (j && j - 1 + reach < i)
			j = next[j - 1];
		if (j && j - 1 <= i + reach) {
			in_a[i] = in_b[j - 1] = 1;
			matches++;
			j = next[j - 1];
		}
		first[letter] = j;
	}
	if (!matches)
		return 0;
	for (size_t i = 0; i < a_len; i++) {
		if (!in_a[i])
			continue;
		while (!in_b[k])
			k++;
		moved += a[i] != b[k++];
	}
	while (same < WINKLER_MOST && same < a_len && a[same] == b[same])
		same++;
	return jaro_winkler(matches, moved, same, a_len, b_len);
}

/* So many of a must be found in b for a score of at least `least`: more than this, or as many. */
static double matches_least(double least, unsigned same, size_t a_len, size_t b_len)
{
	double jaro = (least - same * WINKLER) / (1 - same * WINKLER);
	return (3 * jaro - 1) / (1.0 / (double)a_len + 1.0 / (double)b_len) - 1e-6;
}

/*
 * The same for at most SHORT characters of ASCII each: where a character stands in b is a word of
 * bits, so that the first place within reach that is not taken is found at once. Less than least:
 * perhaps 0 instead of the score, as soon as that is known. places: all zero, before and after.
 */
static double jaro_short(
    const char *a, size_t a_len, const char *b, size_t b_len, double least, uint64_t places[128])
{
	uint64_t in_a = 0, in_b = 0;
	size_t reach = b_len / 2 > 1 ? b_len / 2 - 1 : 0;
	unsigned moved = 0, same = 0;
	while (same < WINKLER_MOST && same < a_len && a[same] == b[same])
		same++;
	double needed = matches_least(least, same, a_len, b_len);
	if (needed > (double)a_len)
		return 0;
	size_t misses = needed > 0 ? (size_t)((double)a_len - needed) : a_len, missed = 0;
	for (size_t j = 0; j < b_len; j++)
		places[(uint8_t)b[j]] |= UINT64_C(1) << j;
	for (size_t i = 0; i < a_len && missed <= misses; i++) {
		size_t from = i > reach ? i - reach : 0, end = i + reach + 1;
		uint64_t within = UINT64_MAX << from;
		within &= end < 64 ? (UINT64_C(1) << end) - 1 : UINT64_MAX;
		uint64_t found = places[(uint8_t)a[i]] & within & ~in_b;
		in_b |= found & -found;
		in_a |= (uint64_t)(found != 0) << i;
		missed += !found;
	}
	for (size_t j = 0; j < b_len; j++)
		places[(uint8_t)b[j]] = 0;
	if (!in_a || missed > misses)
		return 0;
	unsigned matches = (unsigned)__builtin_popcountll(in_a);
	for (uint64_t i = in_a, j = in_b; i; i &= i - 1, j &= j - 1)
		moved += a[__builtin_ctzll(i)] != b[__builtin_ctzll(j)];
	return jaro_winkler(matches, moved, same, a_len, b_len);
}

/* With lacks it is no part of the text; what it has may all be found, and in order. */
double fuzzy_alike_most(const struct fuzzy *f, size_t term, size_t lacks, const char *text, size_t len)
{
	const struct fuzzy_term *t = &f->terms[term];
	size_t n = t->runes_count, most = lacks < n ? n - lacks : 0;
	unsigned same = 0;
	most = most < len ? most : len;
	if (!most)
		return 0;
	for (; same < WINKLER_MOST && same < n && same < len; same++) {
		uint8_t c = (uint8_t)text[same];
		if (t->runes[same] != (f->fold && (uint8_t)(c - 'A') < 26 ? c | 0x20u : c))
			break;
	}
	size_t less = n < len ? n : len, more = n < len ? len : n;
	return jaro_winkler((unsigned)most, 0, same, less, more) + ROUNDING;
}

/* So many characters both have, wherever they stand: no more are found within reach. */
static size_t common_count(const struct fuzzy_term *t, const char *text, size_t len)
{
	const struct fuzzy_counts *c = t->counts;
	uint8_t left[SHORT + 1];
	size_t n = 0;
	memcpy(left, c->times, t->letters_count + 1);
	for (size_t i = 0; i < len; i++) {
		uint8_t *x = &left[c->number[(uint8_t)text[i]]], has = *x > 0;
		*x = (uint8_t)(*x - has);
		n += has;
	}
	return n;
}

/* Texts and terms of at most SHORT characters of ASCII. */
static double alike_short(
    const struct fuzzy_term *t, const char *text, size_t len, double least, uint64_t places[128])
{
	const char *a = t->len > len ? text : t->s, *b = t->len > len ? t->s : text;
	size_t a_len = t->len > len ? len : t->len, b_len = t->len > len ? t->len : len;
	unsigned same = 0;
	while (same < WINKLER_MOST && same < a_len && a[same] == b[same])
		same++;
	if ((double)common_count(t, text, len) < matches_least(least, same, a_len, b_len))
		return 0;
	return jaro_short(a, a_len, b, b_len, least, places);
}

/* JaroWinklerMatcher.Score; less than least: perhaps 0 instead. */
static double alike(
    const struct fuzzy_term *t, struct fuzzy_scratch *x, const char *text, size_t len, double least)
{
	if (!len)
		return 0;
	if (t->counts && len <= SHORT && rune_is_ascii(text, len)) {
		x->work += COST_ALIKE;
		return alike_short(t, text, len, least, x->places);
	}
	size_t n = runes_of(text, len, &x->runes);
	const uint32_t *runes = (const void *)x->runes.data;
	x->work += COST_ALIKE + 4 * (n + t->runes_count);
	return t->runes_count > n ? jaro_long(t, runes, n, t->runes, t->runes_count, &x->chains)
	                          : jaro_long(t, t->runes, t->runes_count, runes, n, &x->chains);
}

static bool term_score(const struct fuzzy *f, const struct fuzzy_term *t, struct fuzzy_scratch *x,
    const char *text, size_t len, double least, double *score)
{
	x->work += COST_LOOK + len / 32;
	if (f->alg == FUZZY_SUBSEQUENCE)
		return order_score(f, t, x, text, len, score);
	if (part_score(t, text, len, score)) {
		x->work += t->ascii ? 0 : len / 2;
		return true;
	}
	if (!(f->threshold > 0))
		return false;
	*score = alike(t, x, text, len, least);
	return *score >= f->threshold;
}

bool fuzzy_score_least(const struct fuzzy *f, struct fuzzy_scratch *x, const char *text, size_t len,
    double least, double *score)
{
	double best = 0, one;
	bool accepted = false;
	*score = 1;
	if (!f->count)
		return true;
	if (f->fold) {
		x->work += len / 8;
		lower(text, len, &x->folded);
		text = (const char *)x->folded.data;
		len = x->folded.len;
	}
	least = least > f->threshold ? least : f->threshold;
	for (size_t i = 0; i < f->count && best < 1; i++) {
		if (!term_score(f, &f->terms[i], x, text, len, least, &one))
			continue;
		accepted = true;
		best = one > best ? one : best;
	}
	*score = best;
	return accepted;
}

bool fuzzy_score(
    const struct fuzzy *f, struct fuzzy_scratch *x, const char *text, size_t len, double *score)
{
	return fuzzy_score_least(f, x, text, len, 0, score);
}

const char *fuzzy_prefix(const struct fuzzy *f, size_t i, size_t *len)
{
	*len = 0;
	if (f->fold || i >= f->count || (f->alg == FUZZY_JARO_WINKLER && f->odd))
		return NULL;
	*len = f->terms[i].len;
	return f->terms[i].s;
}

bool fuzzy_is_prefix(const struct fuzzy *f)
{
	return f->count && !f->fold && f->alg == FUZZY_SUBSEQUENCE && f->threshold >= 1;
}
