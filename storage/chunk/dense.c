#include "storage/chunk/dense.h"

#include "core/base/check.h"

#include <math.h>

static unsigned log2_of(unsigned x)
{
	return 31u - (unsigned)__builtin_clz(x);
}

/* The classes of all states, laid out as dense.h says. */
static void spread(const uint16_t share[DENSE_CLASSES], unsigned log, uint8_t class_of[DENSE_STATES])
{
	unsigned size = 1u << log, step = size / 2 + size / 8 + 3, at = 0;
	for (unsigned c = 0; c < DENSE_CLASSES; c++)
		for (unsigned i = 0; i < share[c]; i++) {
			class_of[at] = (uint8_t)c;
			at = (at + step) & (size - 1);
		}
}

/* ---- encoder ---- */

double dense_cost(const uint32_t counts[DENSE_CLASSES])
{
	double total = 0, bits = 0;
	for (unsigned c = 0; c < DENSE_CLASSES; c++)
		total += counts[c];
	for (unsigned c = 0; c < DENSE_CLASSES; c++)
		if (counts[c])
			bits += counts[c] * ((c ? c - 1 : 0) + log2(total / counts[c]));
	return bits;
}

/* Shares in proportion to the counts, at least 1 for what is there; in all 2^log. */
static void shares_make(
    uint16_t share[DENSE_CLASSES], const uint32_t counts[DENSE_CLASSES], unsigned log)
{
	uint64_t total = 0;
	unsigned size = 1u << log, sum = 0;
	for (unsigned c = 0; c < DENSE_CLASSES; c++)
		total += counts[c];
	for (unsigned c = 0; c < DENSE_CLASSES; c++) {
		uint64_t s = ((uint64_t)counts[c] * size + total / 2) / total;
		share[c] = (uint16_t)(counts[c] && !s ? 1 : s);
		sum += share[c];
	}
	while (sum != size) { /* a few rounds at most: the largest gives or takes the difference */
		unsigned top = 0;
		for (unsigned c = 1; c < DENSE_CLASSES; c++)
			if (share[c] > share[top])
				top = c;
		if (sum < size) {
			share[top] = (uint16_t)(share[top] + size - sum);
			sum = size;
		} else {
			unsigned give = sum - size < share[top] / 2u ? sum - size : share[top] / 2u;
			share[top] = (uint16_t)(share[top] - give);
			sum -= give;
		}
	}
}

void dense_coder_make(struct dense_coder *c, const uint32_t counts[DENSE_CLASSES])
{
	uint32_t total = 0;
	for (unsigned i = 0; i < DENSE_CLASSES; i++)
		total += counts[i];
	CHECK(total > 0);
	c->log = total >= 400 ? DENSE_LOG_MAX : DENSE_LOG_MAX - 1;
	shares_make(c->share, counts, c->log);
	SCRATCH uint8_t class_of[DENSE_STATES];
	uint16_t fill[DENSE_CLASSES];
	spread(c->share, c->log, class_of);
	unsigned at = 0;
	for (unsigned i = 0; i < DENSE_CLASSES; i++) {
		c->first[i] = fill[i] = (uint16_t)at;
		at += c->share[i];
	}
	for (unsigned s = 0; s < 1u << c->log; s++)
		c->place[fill[class_of[s]]++] = (uint16_t)s;
}

uint8_t *dense_table_put(uint8_t *p, const struct dense_coder *c)
{
	unsigned low = 0, high = DENSE_CLASS_MAX;
	while (c->share[low] == 0)
		low++;
	while (c->share[high] == 0)
		high--;
	*p++ = (uint8_t)(c->log | (c->zigzag ? 0x80 : 0));
	p = wire_store_varint(p, wire_zigzag_of(c->base));
	*p++ = (uint8_t)low;
	*p++ = (uint8_t)high;
	for (unsigned i = low; i < high; i++)
		p = wire_store_varint(p, c->share[i]);
	return p;
}

struct bits { /* written least significant first */
	uint8_t *p;
	uint64_t acc;
	unsigned fill; /* 0..7 between calls */
};

static inline void bits_put(struct bits *b, uint64_t v, unsigned count) /* count <= 56 */
{
	b->acc |= v << b->fill;
	b->fill += count;
	wire_store64(b->p, b->acc);
	b->p += b->fill >> 3;
	b->acc >>= b->fill & ~7u;
	b->fill &= 7;
}

uint8_t *dense_put(uint8_t *p, const struct dense_coder *c, const uint64_t *y, unsigned n)
{
	SCRATCH uint64_t r[DENSE_SUB];
	SCRATCH uint8_t class[DENSE_SUB];
	SCRATCH uint16_t lead[DENSE_SUB]; /* the bits that lead on, and how many */
	SCRATCH uint8_t lead_bits[DENSE_SUB];
	for (unsigned i = 0; i < n; i++) {
		r[i] = y[i] - c->base;
		if (c->zigzag)
			r[i] = wire_zigzag_of(r[i]);
		unsigned k = dense_class(r[i]);
		if (k > DENSE_CLASS_MAX || c->share[k] == 0)
			return NULL;
		class[i] = (uint8_t)k;
	}
	/* From the last number to the first: a state tells what is behind it. */
	unsigned size = 1u << c->log, state[2] = { 0, 0 };
	for (unsigned i = n; i-- > 0;) {
		unsigned k = class[i], share = c->share[k], *s = &state[i & 1];
		unsigned number = share;
		if (i + 2 < n) {
			unsigned from = *s + size, bits = c->log - log2_of(share);
			bits -= (from >> bits) < share;
			lead[i] = (uint16_t)(from & ((1u << bits) - 1));
			lead_bits[i] = (uint8_t)bits;
			number = from >> bits;
		}
		*s = c->place[c->first[k] + number - share];
	}
	struct bits b = { p, 0, 0 };
	bits_put(&b, state[0], c->log);
	if (n > 1)
		bits_put(&b, state[1], c->log);
	for (unsigned i = 0; i + 2 < n; i++)
		bits_put(&b, lead[i], lead_bits[i]);
	for (unsigned i = 0; i < n; i++)
		if (class[i] > 1)
			bits_put(&b, r[i] & ((UINT64_C(1) << (class[i] - 1)) - 1), class[i] - 1u);
	return b.p + (b.fill > 0);
}

/* ---- decoder ---- */

enum err dense_table_read(struct wire_reader *r, struct dense_table *t)
{
	unsigned head = wire_u8(r);
	t->log = head & 15;
	t->zigzag = (head & 0x80) != 0;
	t->base = wire_unzigzag(wire_varint(r));
	unsigned low = wire_u8(r), high = wire_u8(r);
	if (r->bad)
		return ERR_TRUNCATED;
	if ((head & 0x70) || t->log < DENSE_LOG_MIN || t->log > DENSE_LOG_MAX ||
	    high > DENSE_CLASS_MAX || low > high)
		return ERR_MALFORMED;
	uint16_t share[DENSE_CLASSES] = { 0 };
	unsigned left = 1u << t->log;
	for (unsigned c = low; c < high; c++) {
		uint64_t s = wire_varint(r);
		if (s >= left)
			return r->bad ? ERR_TRUNCATED : ERR_MALFORMED;
		share[c] = (uint16_t)s;
		left -= (unsigned)s;
	}
	if (r->bad)
		return ERR_TRUNCATED;
	share[high] = (uint16_t)left;
	SCRATCH uint8_t class_of[DENSE_STATES];
	spread(share, t->log, class_of);
	for (unsigned s = 0; s < 1u << t->log; s++) {
		unsigned c = class_of[s], number = share[c]++;
		unsigned bits = t->log - log2_of(number);
		t->states[s] = (struct dense_state){ (uint16_t)((number << bits) - (1u << t->log)),
			(uint8_t)bits, (uint8_t)c };
	}
	return ERR_OK;
}

static inline uint64_t below(uint64_t v, unsigned bits)
{
	return v & ((UINT64_C(1) << bits) - 1);
}

/* The classes of n numbers; p is readable DENSE_BYTES_MAX and more. Returns the bits used. */
static unsigned classes_read(
    const uint8_t *p, const struct dense_table *t, unsigned n, uint8_t class[DENSE_SUB + 8])
{
	const struct dense_state *const states = t->states;
	unsigned log = t->log;
	uint64_t window = wire_load64(p);
	unsigned a = (unsigned)below(window, log), b = (unsigned)below(window >> log, log);
	unsigned at = log;
	if (n == 1) {
		class[0] = states[a].class;
		return at;
	}
	at += log;
	unsigned i = 0;
	for (; i + 6 <= n; i += 4) { /* four take at most 36 of 57 bits */
		window = wire_load64(p + (at >> 3)) >> (at & 7);
		for (unsigned j = 0; j < 4; j += 2) {
			struct dense_state x = states[a], y = states[b];
			class[i + j] = x.class;
			class[i + j + 1] = y.class;
			a = x.next + (unsigned)below(window, x.bits);
			window >>= x.bits;
			b = y.next + (unsigned)below(window, y.bits);
			window >>= y.bits;
			at += (unsigned)x.bits + y.bits;
		}
	}
	for (; i < n; i++) {
		struct dense_state x = states[a];
		class[i] = x.class;
		unsigned next = b;
		if (i + 2 < n) {
			window = wire_load64(p + (at >> 3)) >> (at & 7);
			b = x.next + (unsigned)below(window, x.bits);
			at += x.bits;
		}
		a = next;
	}
	return at;
}

enum err dense_read(struct wire_reader *r, const struct dense_table *t, unsigned n, uint64_t *out)
{
	SCRATCH uint8_t copy[DENSE_BYTES_MAX + 16], class[DENSE_SUB + 8];
	const uint8_t *p = r->p;
	size_t left = wire_left(r);
	if (left < sizeof(copy)) { /* near the end: what is read is always there */
		memcpy(copy, p, left);
		memset(copy + left, 0, sizeof(copy) - left);
		p = copy;
	}
	unsigned at = classes_read(p, t, n, class);
	for (unsigned i = 0; i < n; i++) {
		unsigned c = class[i], bits = c - (c > 0);
		uint64_t v = wire_load64(p + (at >> 3)) >> (at & 7);
		out[i] = below(v, bits) | (UINT64_C(1) << c) >> 1;
		at += bits;
	}
	if ((at + 7) / 8 > left)
		return ERR_TRUNCATED;
	r->p += (at + 7) / 8;
	if (t->zigzag)
		for (unsigned i = 0; i < n; i++)
			out[i] = (out[i] >> 1) ^ (0 - (out[i] & 1));
	return ERR_OK;
}
