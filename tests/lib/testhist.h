/*
 * testhist - native histograms for tests: a number makes one, always the same.
 *
 * testhist_any gives every shape that may be stored: integers and floats, exponential and custom
 * buckets, stale ones, all hints, odd doubles, gaps between buckets. testhist_next is what a
 * counter of one series would send: the i-th of series n, mostly of one layout.
 * Memory: the arena's. Header only.
 */
#ifndef TESTS_LIB_TESTHIST_H
#define TESTS_LIB_TESTHIST_H

#include "core/model/hist.h"

#define TESTHIST_UNUSED __attribute__((unused))

static inline uint64_t testhist_mix(uint64_t *s)
{
	uint64_t z = (*s += 0x9e3779b97f4a7c15u);
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static inline double testhist_double(uint64_t *s)
{
	switch (testhist_mix(s) % 8) {
	case 0:
		return num_from_bits(testhist_mix(s));
	case 1:
		return num_from_bits(UINT64_C(1) << 63);
	case 2:
		return (double)(int64_t)testhist_mix(s);
	case 3:
		return 1.0 / 0.0;
	default:
		return (double)(testhist_mix(s) % 100000) / 8;
	}
}

static inline union hist_count testhist_count(uint64_t *s, bool is_float)
{
	union hist_count c;
	if (!is_float) {
		/* 64 buckets of the largest do not overflow */
		c.n = testhist_mix(s) >> (6 + testhist_mix(s) % 58);
		return c;
	}
	c.f = testhist_double(s);
	if (!(c.f >= 0)) /* a NaN may be stored, and below 0 may nothing */
		c.f = testhist_mix(s) % 4 ? 0.5 : num_from_bits(0x7ff8000000000001u);
	return c;
}

static inline void testhist_side(
    struct arena *a, uint64_t *s, struct hist *h, struct hist_side *side, uint32_t room)
{
	uint32_t spans = (uint32_t)(testhist_mix(s) % 4), n = 0;
	struct hist_span *sp = arena_array(a, spans, sizeof *sp);
	for (uint32_t i = 0; i < spans; i++) {
		uint32_t length = (uint32_t)(testhist_mix(s) % 7);
		int32_t offset = (int32_t)(testhist_mix(s) % 5);
		if (h->schema == HIST_SCHEMA_CUSTOM) {
			offset = offset > (int32_t)room ? (int32_t)room : offset;
			room -= (uint32_t)offset;
			length = length > room ? room : length;
			room -= length;
		} else if (testhist_mix(s) % 16 == 0) {
			offset = i == 0 && testhist_mix(s) % 2 ? INT32_MIN : INT32_MAX - 7;
		} else if (i == 0) {
			offset -= (int32_t)(testhist_mix(s) % 40);
		}
		sp[i] = (struct hist_span){ .offset = offset, .length = length };
		n += length;
	}
	union hist_count *c = arena_array(a, n, sizeof *c);
	for (uint32_t i = 0; i < n; i++) {
		c[i] = testhist_count(s, h->is_float);
		if (!h->is_float)
			h->count.n += c[i].n;
	}
	*side =
	    (struct hist_side){ .spans = sp, .counts = c, .spans_count = spans, .counts_count = n };
}

TESTHIST_UNUSED static struct hist *testhist_any(struct arena *a, uint64_t number)
{
	uint64_t seed = number, *s = &seed;
	struct hist *h = arena_zalloc(a, sizeof *h);
	h->is_float = testhist_mix(s) % 2;
	h->hint = (uint8_t)(testhist_mix(s) % 4);
	h->sum = testhist_double(s);
	if (h->sum != h->sum)
		h->sum = 1;
	if (testhist_mix(s) % 8 == 0) {
		h->sum = sample_stale();
		if (testhist_mix(s) % 4)
			return h;
	}
	if (testhist_mix(s) % 4 == 0) {
		double *bounds = arena_array(a, 9, sizeof *bounds);
		h->schema = HIST_SCHEMA_CUSTOM;
		h->bounds = bounds;
		h->bounds_count = (uint32_t)(testhist_mix(s) % 9);
		for (uint32_t i = 0; i < h->bounds_count; i++)
			bounds[i] = (i ? bounds[i - 1] : -2) + 0.1 + (double)(testhist_mix(s) % 30);
		testhist_side(a, s, h, &h->positive, h->bounds_count + 1);
	} else {
		h->schema = (int8_t)(testhist_mix(s) % 13 - 4);
		h->zero_threshold = testhist_mix(s) % 2 ? 2.938735877055719e-39 : 0.001;
		h->zero_count = testhist_count(s, h->is_float);
		if (!h->is_float)
			h->count.n = h->zero_count.n;
		testhist_side(a, s, h, &h->negative, 0);
		testhist_side(a, s, h, &h->positive, 0);
	}
	if (h->is_float)
		h->count = testhist_count(s, true);
	return h;
}

TESTHIST_UNUSED static struct hist *testhist_next(struct arena *a, uint64_t number, uint64_t i)
{
	uint64_t seed = number, *s = &seed;
	struct hist *h = arena_zalloc(a, sizeof *h);
	uint32_t n = 20 + (uint32_t)(i / 97); /* a bucket more now and then */
	struct hist_span *sp = arena_array(a, 1, sizeof *sp);
	union hist_count *c = arena_array(a, n, sizeof *c);
	sp[0] = (struct hist_span){ .offset = -4, .length = n };
	h->schema = 3;
	h->zero_threshold = 2.938735877055719e-39;
	h->hint = HIST_NO_RESET;
	for (uint32_t k = 0; k < n; k++) {
		uint64_t rate = testhist_mix(s) % 3 ? 0 : 1 + testhist_mix(s) % 50;
		uint64_t noise = seed + i * 77 + k;
		c[k].n = rate * i + (rate ? testhist_mix(&noise) % 3 : 0);
		h->count.n += c[k].n;
	}
	h->sum = (double)h->count.n * 0.25;
	h->positive =
	    (struct hist_side){ .spans = sp, .counts = c, .spans_count = 1, .counts_count = n };
	return h;
}

#endif
