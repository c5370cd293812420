/*
 * fuzzy - how well does a text fit what somebody types? The filters and scores of Prometheus'
 * search API, bit for bit (web/api/v1/search_filters.go, util/strutil/{subsequence,jarowinkler}.go
 * of 3.14).
 *
 * A text is accepted when it fits one of the terms; its score is the best of theirs, 0 to 1, where
 * 1 says that it begins with a term, and nothing else does:
 *   SUBSEQUENCE   all characters of the term, in this order; runs score high, gaps low. Accepted
 *                 when the score is above 0 and not below the threshold
 *   JARO_WINKLER  the term as a part of the text, the earlier the better; else, with a threshold
 *                 above 0, the similarity of both when it is not below the threshold
 * Characters are code points; bytes that are no UTF-8 count as U+FFFD each, but where a term is
 * looked for as it stands. fold: as if all were written in lower case. No terms: everything fits,
 * with 1. Empty terms are none, and one that is there is no other one.
 *
 * Cost: some 20-60 ns for texts of 20 to 40 bytes, alike 150; it grows with the text, and for
 * SUBSEQUENCE with how often the first character of a term stands in it, up to some 200 us: of a
 * text so long and so much the same only the first ways are tried, where Prometheus tries all.
 * Thread: what was made is not changed, any number may ask at once, each with a scratch of its own.
 * Memory: terms are copied into the arena; a scratch grows with the longest text.
 */
#ifndef CORE_BASE_FUZZY_H
#define CORE_BASE_FUZZY_H

#include "core/base/arena.h"
#include "core/base/buf.h"

#define FUZZY_TERMS_MAX 32u
#define FUZZY_TERM_MAX  256u /* bytes of one */

enum fuzzy_alg {
	FUZZY_SUBSEQUENCE,
	FUZZY_JARO_WINKLER
};
struct fuzzy_counts;
struct fuzzy_term {
	const char *s; /* in lower case when all is folded */
	size_t len;
	bool ascii;
	const uint32_t *runes;
	size_t runes_count;
	const uint32_t *letters; /* each rune once, ascending */
	size_t letters_count;
	const struct fuzzy_counts *counts; /* of a short one of ASCII; else NULL */
};
struct fuzzy {
	enum fuzzy_alg alg;
	double threshold;
	bool fold, odd; /* odd: U+FFFD is in some term, which is like bytes that are no UTF-8 */
	struct fuzzy_term terms[FUZZY_TERMS_MAX];
	size_t count;
};
struct fuzzy_scratch {
	uint64_t work; /* what looks took until now, in units of 5 ns; the caller's to set back */
	struct buf folded, runes, chains;
	uint64_t places[128]; /* all 0 */
};

void fuzzy_init(struct fuzzy *f, enum fuzzy_alg alg, double threshold, bool fold);
/* False: one too many, or too long. */
MUST_CHECK bool fuzzy_add(struct fuzzy *f, struct arena *a, const char *term, size_t len);
/* The same, with terms of its own. */
void fuzzy_copy(struct fuzzy *f, struct arena *a, const struct fuzzy *from);
void fuzzy_scratch_init(struct fuzzy_scratch *x);
void fuzzy_scratch_release(struct fuzzy_scratch *x);
/* Is it accepted? Then *score is set. */
bool fuzzy_score(
    const struct fuzzy *f, struct fuzzy_scratch *x, const char *text, size_t len, double *score);
/* The same where a score below least is of no use: such a text may be refused. */
bool fuzzy_score_least(const struct fuzzy *f, struct fuzzy_scratch *x, const char *text, size_t len,
    double least, double *score);
/*
 * JARO_WINKLER: no text of ASCII that lacks so many characters of a term (counted as often as the
 * term has them; at least one) scores more for it. So who knows what texts have, but for order and
 * case, need not look at most of them.
 */
double fuzzy_alike_most(
    const struct fuzzy *f, size_t term, size_t lacks, const char *text, size_t len);
/*
 * What every text of score 1 begins with: one of these. NULL behind the last; none at all (i = 0):
 * such a text may begin as it likes.
 */
const char *fuzzy_prefix(const struct fuzzy *f, size_t i, size_t *len);
/* Are those the only ones that are accepted? */
bool fuzzy_is_prefix(const struct fuzzy *f);
#endif
