/*
 * goldhist - lines of tests/golden/block: words, bytes in hex, samples.
 *
 *   f TIME START BITS        a float
 *   h, g TIME START HINT SCHEMA THRESHOLD ZERO COUNT SUM, then twice (positive, negative) SPANS
 *   { OFFSET LENGTH } BUCKETS { COUNT }, then BOUNDS { BITS }: histograms of integers, of floats
 * Header only.
 */
#ifndef TESTS_LIB_GOLDHIST_H
#define TESTS_LIB_GOLDHIST_H

#include "core/base/bytes.h"
#include "storage/chunk/column.h"

#include <stdlib.h>

struct goldhist_words {
	char *p;
};

static inline char *goldhist_word(struct goldhist_words *w)
{
	while (*w->p == ' ')
		w->p++;
	char *from = w->p;
	while (*w->p && *w->p != ' ' && *w->p != '\n')
		w->p++;
	if (*w->p)
		*w->p++ = 0;
	return from;
}

static inline uint64_t goldhist_number(struct goldhist_words *w)
{
	return strtoull(goldhist_word(w), NULL, 10);
}

static inline int64_t goldhist_time_of(struct goldhist_words *w)
{
	return strtoll(goldhist_word(w), NULL, 10);
}

static inline double goldhist_bits(struct goldhist_words *w)
{
	return num_from_bits(strtoull(goldhist_word(w), NULL, 16));
}

static inline union hist_count goldhist_count_of(struct goldhist_words *w, bool is_float)
{
	union hist_count c;
	if (is_float)
		c.f = goldhist_bits(w);
	else
		c.n = goldhist_number(w);
	return c;
}

static inline void goldhist_side_of(
    struct arena *a, struct goldhist_words *w, bool is_float, struct hist_side *side)
{
	uint32_t n = (uint32_t)goldhist_number(w);
	struct hist_span *s = arena_array(a, n + 1u, sizeof(*s));
	for (uint32_t i = 0; i < n; i++) {
		s[i].offset = (int32_t)goldhist_time_of(w);
		s[i].length = (uint32_t)goldhist_number(w);
	}
	side->spans = s;
	side->spans_count = n;
	n = (uint32_t)goldhist_number(w);
	union hist_count *c = arena_array(a, n + 1u, sizeof(*c));
	for (uint32_t i = 0; i < n; i++)
		c[i] = goldhist_count_of(w, is_float);
	side->counts = c;
	side->counts_count = n;
}

static inline const struct hist *goldhist_hist_of(
    struct arena *a, struct goldhist_words *w, bool is_float)
{
	/* numbers of Prometheus' hints: unknown, reset, no reset, gauge; ours are the same */
	struct hist *h = arena_zalloc(a, sizeof(*h));
	h->is_float = is_float;
	h->hint = (uint8_t)goldhist_number(w);
	h->schema = (int8_t)goldhist_time_of(w);
	h->zero_threshold = goldhist_bits(w);
	h->zero_count = goldhist_count_of(w, is_float);
	h->count = goldhist_count_of(w, is_float);
	h->sum = goldhist_bits(w);
	goldhist_side_of(a, w, is_float, &h->positive);
	goldhist_side_of(a, w, is_float, &h->negative);
	h->bounds_count = (uint32_t)goldhist_number(w);
	double *b = arena_array(a, h->bounds_count + 1u, sizeof(*b));
	for (uint32_t i = 0; i < h->bounds_count; i++)
		b[i] = goldhist_bits(w);
	h->bounds = b;
	if (hist_is_stale(h)) {
		h->schema = 0;
		h->hint = 0;
	}
	return h;
}

static inline size_t goldhist_unhex(const char *s, uint8_t *out)
{
	size_t n = 0;
	for (; s[0] && s[1]; s += 2)
		out[n++] =
		    (uint8_t)(bytes_hex((unsigned char)s[0]) << 4 | bytes_hex((unsigned char)s[1]));
	return n;
}

static inline bool goldhist_same_sample(
    struct arena *a, const struct column *c, uint32_t i, char kind, struct goldhist_words *w)
{
	int64_t t = goldhist_time_of(w), start = goldhist_time_of(w);
	if (c->t_ms[i] != t || column_start_ms(c, i) != start)
		return false;
	if (kind == 'f')
		return !column_hist(c, i) && num_bits(c->v[i]) == num_bits(goldhist_bits(w));
	return sample_is_hist(c->v[i]) && column_hist(c, i) &&
	    hist_equal(column_hist(c, i), goldhist_hist_of(a, w, kind == 'g'));
}

#endif
