/*
 * termsigns - what a search's terms have, as signs of values tell it (postings_sign): so most
 * values need not be looked at.
 *
 * Thread: none of its own. Memory: the caller's.
 */
#ifndef STORAGE_READ_TERMSIGNS_H
#define STORAGE_READ_TERMSIGNS_H

#include "core/base/fuzzy.h"
#include "storage/meta/postings_priv.h"

/* How often a term of FUZZY_JARO_WINKLER has what has a bit in postings_sign. */
struct termsigns {
	uint32_t sign;
	uint8_t times[32]; /* of characters of one bit; FUZZY_TERM_MAX is above what counts */
};
#define TERMSIGNS_MAX 4u /* with more of them each text is looked at */

/* So many characters of the term, at least, a text with this sign has not. */
static inline size_t termsigns_lacks(const struct termsigns *t, uint32_t sign)
{
	size_t n = 0;
	for (uint32_t left = t->sign & ~sign; left; left &= left - 1)
		n += t->times[__builtin_ctz(left)];
	return n;
}

/*
 * Returns of how many terms; 0: what a text lacks tells nothing of its score. Characters that are
 * not ASCII have no bit: nobody lacks them.
 */
static inline size_t termsigns_make(const struct fuzzy *f, struct termsigns signs[TERMSIGNS_MAX])
{
	if (f->alg != FUZZY_JARO_WINKLER || !(f->threshold > 0) || f->count > TERMSIGNS_MAX)
		return 0;
	for (size_t i = 0; i < f->count; i++) {
		struct termsigns *t = &signs[i];
		for (size_t k = 0; k < f->terms[i].len; k++) {
			uint32_t sign = (uint8_t)f->terms[i].s[k] < 0x80
			    ? postings_sign(f->terms[i].s + k, 1)
			    : 0;
			t->sign |= sign;
			if (sign && t->times[__builtin_ctz(sign)] < UINT8_MAX)
				t->times[__builtin_ctz(sign)]++;
		}
	}
	return f->count;
}

/*
 * What all terms have that are to stand in a text, as far as it is ASCII: of other characters a
 * text has all bits, the term none.
 */
static inline uint32_t termsigns_need(const struct fuzzy *f)
{
	uint32_t need = f->count ? UINT32_MAX : 0;
	if (f->alg == FUZZY_JARO_WINKLER && f->threshold > 0)
		return 0; /* what is alike may lack something */
	for (size_t i = 0; i < f->count; i++) {
		const struct fuzzy_term *t = &f->terms[i];
		need &= t->ascii ? postings_sign(t->s, t->len) : 0;
	}
	return need;
}

#endif
