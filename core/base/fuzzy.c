#include "core/base/fuzzy.h"

#include <string.h>

#include "core/base/rune.h"

#define NOT_EXACT    0.999 /* subsequenceNonExactScoreScale */
#define WINKLER      0.1
#define WINKLER_MOST 4u
#define BAD_RUNE     0xfffdu
#define PART_LONG    128u

static bool is_ascii(const char *s, size_t len)
{
	uint64_t all = 0, word;
	size_t i = 0;
	for (; i + 8 <= len; i += 8) {
		memcpy(&word, s + i, 8);
		all |= word;
	}
	for (; i < len; i++)
		all |= (uint8_t)s[i];
	return !(all & UINT64_C(0x8080808080808080));
}

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

/* strings.ToLower */
static void lower(const char *s, size_t len, struct buf *out)
{
	uint32_t rune;
	char utf8[4];
	size_t at = 0;
	buf_clear(out);
	CHECK(buf_reserve(out, len + 1));
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

bool fuzzy_add(struct fuzzy *f, struct arena *a, const char *term, size_t len)
{
	struct buf b;
	if (!len)
		return true;
	if (f->count == FUZZY_TERMS_MAX || len > FUZZY_TERM_MAX)
		return false;
	buf_init(&b);
	struct fuzzy_term *t = &f->terms[f->count++];
	if (f->fold)
		lower(term, len, &b);
	else
		buf_add(&b, term, len);
	*t = (struct fuzzy_term){ .s = arena_dup(a, b.data, b.len), .len = b.len };
	t->ascii = is_ascii(t->s, t->len);
	t->runes_count = runes_of(t->s, t->len, &b);
	t->runes = arena_dup(a, b.data, b.len);
	buf_release(&b);
	return true;
}

void fuzzy_copy(struct fuzzy *f, struct arena *a, const struct fuzzy *from)
{
	*f = *from;
	for (size_t i = 0; i < f->count; i++) {
		struct fuzzy_term *t = &f->terms[i];
		t->s = arena_dup(a, t->s, t->len);
		t->runes = arena_dup(a, t->runes, t->runes_count * sizeof(*t->runes));
	}
}

void fuzzy_scratch_init(struct fuzzy_scratch *x)
{
	buf_init(&x->folded);
	buf_init(&x->runes);
	buf_init(&x->marks);
}

void fuzzy_scratch_release(struct fuzzy_scratch *x)
{
	buf_release(&x->folded);
	buf_release(&x->runes);
	buf_release(&x->marks);
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
	if (!t->ascii || !is_ascii(text, len)) {
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
/* clang-format off */
#define WAY_SCORE(type, find)									\
	double score = 0, inv = 1.0 / (double)len;						\
	size_t i = at, k = 0, to = 0;								\
	bool first = true;									\
	while (k < term_len) {									\
		const type *next = find(text + i, term[k], len - i);				\
		if (!next)									\
			return false;								\
		size_t from = (size_t)(next - text);						\
		size_t gap = first ? from : from - to - 1;					\
		for (i = from; k < term_len && i < len && text[i] == term[k]; i++)		\
			k++;									\
		to = i - 1;									\
		if (gap)									\
			score -= (double)gap * inv;						\
		size_t size = to - from + 1;							\
		score += (double)(size * size);							\
		first = false;									\
	}											\
	if (len - 1 > to)									\
		score -= (double)(len - 1 - to) * inv * 0.5;					\
	*out = score;										\
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
    const char *text, size_t len, const char *term, size_t term_len, size_t at, double *out)
{
	WAY_SCORE(char, find_byte)
}

static bool way_runes(
    const uint32_t *text, size_t len, const uint32_t *term, size_t term_len, size_t at, double *out)
{
	WAY_SCORE(uint32_t, find_rune)
}

static double normal(double best, size_t term_len)
{
	return best < 0 ? 0 : best / (double)(term_len * term_len) * NOT_EXACT;
}

/* matchSubsequenceString */
static double order_bytes(const char *text, size_t len, const char *term, size_t term_len)
{
	double best = -1, score;
	for (size_t i = 0; i + term_len <= len; i++) {
		const char *next = memchr(text + i, term[0], len - term_len + 1 - i);
		if (!next)
			break;
		i = (size_t)(next - text);
		if (!way_bytes(text, len, term, term_len, i, &score))
			break;
		best = score > best ? score : best;
	}
	return normal(best, term_len);
}

/* matchSubsequenceRunes */
static double order_runes(const uint32_t *text, size_t len, const uint32_t *term, size_t term_len)
{
	double best = -1, score;
	for (size_t i = 0; i + term_len <= len; i++) {
		if (text[i] != term[0])
			continue;
		if (!way_runes(text, len, term, term_len, i, &score))
			break;
		best = score > best ? score : best;
	}
	return normal(best, term_len);
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
	bool ascii = is_ascii(text, len);
	if (ascii && !t->ascii)
		return false;
	if (ascii) {
		*score = order_bytes(text, len, t->s, t->len);
	} else {
		size_t n = runes_of(text, len, &x->runes);
		*score = order_runes((const void *)x->runes.data, n, t->runes, t->runes_count);
	}
	return *score > 0 && *score >= f->threshold;
}

/* ---- alike ---- */

static double jaro_winkler(unsigned matches, unsigned moved, unsigned same, size_t a_len, size_t b_len)
{
	double inv_a = 1.0 / (double)a_len, inv_b = 1.0 / (double)b_len, m = matches;
	double jaro = (m * inv_a + m * inv_b + (m - moved * 0.5) / m) / 3.0;
	return jaro + same * WINKLER * (1.0 - jaro);
}

/* jaroWinklerString, jaroWinklerRunes: a is not longer than b; marks: zero, for each of both */
/* clang-format off */
#define JARO_WINKLER(a, a_len, b, b_len, marks)							\
	uint8_t *in_a = marks, *in_b = marks + a_len;						\
	size_t reach = b_len / 2 > 1 ? b_len / 2 - 1 : 0, k = 0;				\
	unsigned same = 0;									\
	unsigned matches = 0, moved = 0;							\
	for (size_t i = 0; i < a_len; i++) {							\
		size_t end = i + reach + 1 < b_len ? i + reach + 1 : b_len;			\
		for (size_t j = i > reach ? i - reach : 0; j < end; j++) {			\
			if (in_b[j] || a[i] != b[j])						\
				continue;							\
			in_a[i] = in_b[j] = 1;							\
			matches++;								\
			break;									\
		}										\
	}											\
	if (!matches)										\
		return 0;									\
	for (size_t i = 0; i < a_len; i++) {							\
		if (!in_a[i])									\
			continue;								\
		while (!in_b[k])								\
			k++;									\
		moved += a[i] != b[k++];							\
	}											\
	while (same < WINKLER_MOST && same < a_len && a[same] == b[same])			\
		same++;										\
	return jaro_winkler(matches, moved, same, a_len, b_len);
/* clang-format on */

static double jaro_bytes(const char *a, size_t a_len, const char *b, size_t b_len, uint8_t *marks)
{
	JARO_WINKLER(a, a_len, b, b_len, marks)
}

static double jaro_runes(
    const uint32_t *a, size_t a_len, const uint32_t *b, size_t b_len, uint8_t *marks)
{
	JARO_WINKLER(a, a_len, b, b_len, marks)
}

/*
 * The same for at most 64 characters of ASCII each: where a character stands in b is a word of
 * bits, so that the first place within reach that is not taken is found at once. Some 100 ns
 * instead of a microsecond.
 */
static double jaro_short(const char *a, size_t a_len, const char *b, size_t b_len)
{
	uint64_t places[128], in_a = 0, in_b = 0;
	size_t reach = b_len / 2 > 1 ? b_len / 2 - 1 : 0;
	for (size_t i = 0; i < a_len; i++)
		places[(uint8_t)a[i]] = 0;
	for (size_t j = 0; j < b_len; j++)
		places[(uint8_t)b[j]] = 0;
	for (size_t j = 0; j < b_len; j++)
		places[(uint8_t)b[j]] |= UINT64_C(1) << j;
	for (size_t i = 0; i < a_len; i++) {
		size_t from = i > reach ? i - reach : 0, end = i + reach + 1;
		uint64_t within = UINT64_MAX << from;
		within &= end < 64 ? (UINT64_C(1) << end) - 1 : UINT64_MAX;
		uint64_t found = places[(uint8_t)a[i]] & within & ~in_b;
		in_b |= found & -found;
		in_a |= (uint64_t)(found != 0) << i;
	}
	if (!in_a)
		return 0;
	unsigned moved = 0, same = 0, matches = (unsigned)__builtin_popcountll(in_a);
	for (uint64_t i = in_a, j = in_b; i; i &= i - 1, j &= j - 1)
		moved += a[__builtin_ctzll(i)] != b[__builtin_ctzll(j)];
	while (same < WINKLER_MOST && same < a_len && a[same] == b[same])
		same++;
	return jaro_winkler(matches, moved, same, a_len, b_len);
}

static uint8_t *marks_of(struct fuzzy_scratch *x, size_t count)
{
	buf_clear(&x->marks);
	CHECK(buf_reserve(&x->marks, count));
	memset(x->marks.data, 0, count);
	return x->marks.data;
}

/* JaroWinklerMatcher.Score */
static double alike(const struct fuzzy_term *t, struct fuzzy_scratch *x, const char *text, size_t len)
{
	if (!len)
		return 0;
	bool ascii = t->ascii && is_ascii(text, len);
	if (ascii && t->len <= 64 && len <= 64)
		return t->len > len ? jaro_short(text, len, t->s, t->len)
		                    : jaro_short(t->s, t->len, text, len);
	if (ascii) {
		uint8_t *marks = marks_of(x, t->len + len);
		return t->len > len ? jaro_bytes(text, len, t->s, t->len, marks)
		                    : jaro_bytes(t->s, t->len, text, len, marks);
	}
	size_t n = runes_of(text, len, &x->runes);
	const uint32_t *runes = (const void *)x->runes.data;
	uint8_t *marks = marks_of(x, t->runes_count + n);
	return t->runes_count > n ? jaro_runes(runes, n, t->runes, t->runes_count, marks)
	                          : jaro_runes(t->runes, t->runes_count, runes, n, marks);
}

static bool term_score(const struct fuzzy *f, const struct fuzzy_term *t, struct fuzzy_scratch *x,
    const char *text, size_t len, double *score)
{
	if (f->alg == FUZZY_SUBSEQUENCE)
		return order_score(f, t, x, text, len, score);
	if (part_score(t, text, len, score))
		return true;
	if (!(f->threshold > 0))
		return false;
	*score = alike(t, x, text, len);
	return *score >= f->threshold;
}

bool fuzzy_score(
    const struct fuzzy *f, struct fuzzy_scratch *x, const char *text, size_t len, double *score)
{
	double best = 0, one;
	bool accepted = false;
	*score = 1;
	if (!f->count)
		return true;
	if (f->fold) {
		lower(text, len, &x->folded);
		text = (const char *)x->folded.data;
		len = x->folded.len;
	}
	for (size_t i = 0; i < f->count && best < 1; i++) {
		if (!term_score(f, &f->terms[i], x, text, len, &one))
			continue;
		accepted = true;
		best = one > best ? one : best;
	}
	*score = best;
	return accepted;
}

const char *fuzzy_prefix(const struct fuzzy *f, size_t i, size_t *len)
{
	*len = 0;
	if (f->fold || i >= f->count)
		return NULL;
	*len = f->terms[i].len;
	return f->terms[i].s;
}

bool fuzzy_is_prefix(const struct fuzzy *f)
{
	return f->count && !f->fold && f->alg == FUZZY_SUBSEQUENCE && f->threshold >= 1;
}

unsigned fuzzy_cost(const struct fuzzy *f, size_t len)
{
	size_t cost = 2 + (f->fold ? len / 4 : 0);
	for (size_t i = 0; i < f->count; i++)
		cost += f->alg == FUZZY_SUBSEQUENCE ? 3 + len / 8 : 4 + f->terms[i].len * len / 16;
	return (unsigned)(cost < 1u << 30 ? cost : 1u << 30);
}
