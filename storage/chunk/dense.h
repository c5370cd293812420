/*
 * dense - the residuals of a sub-block in as few bits as their distribution allows, for files that
 * are read seldom. A number is its class, the count of its bits (0..DENSE_CLASS_MAX), and the bits
 * below its highest one. Classes are entropy coded (a table of asymmetric numeral systems, two
 * states in turn), the bits below follow as they are: some 15 % smaller than packing at one width
 * where values are noise around a centre, at three times the time.
 *
 * A table is made for a stream and stands in it:
 *   byte      bits 0-3 log: its states are 2^log, DENSE_LOG_MIN..DENSE_LOG_MAX; bit 7: residuals
 *             are zigzag, below; the rest zero
 *   zigzag varint  base
 *   byte      lowest class, byte: highest class
 *   varint    the share of each from the lowest on, of 2^log; the last one is what is left
 * A sub-block of n numbers: states of the first two lanes (log bits each; one when n is 1), then
 * per number but the last two the bits that lead from its state to the one of its lane's next,
 * then the bits below the highest one of all numbers; least significant first, padded to a byte.
 *
 * The states of a class are numbered in ascending order, from its share on. Number x has
 * log - floor(log2 x) bits b and leads to state (x << bits) - 2^log + b. The classes are laid over
 * the states so: from 0 on, class after class, each time 5/8 * 2^log + 3 further (modulo 2^log).
 *
 * Thread: any. Memory: the caller's. Any bytes are safe to decode.
 */
#ifndef STORAGE_CHUNK_DENSE_H
#define STORAGE_CHUNK_DENSE_H

#include "core/base/err.h"
#include "core/base/wire.h"

#define DENSE_CLASS_MAX 57u
#define DENSE_CLASSES   (DENSE_CLASS_MAX + 1)
#define DENSE_LOG_MIN   6u
#define DENSE_LOG_MAX   9u
#define DENSE_STATES    (1u << DENSE_LOG_MAX)
#define DENSE_SUB       128u
/* no sub-block is longer: states, at most log bits and 56 bits a number */
#define DENSE_BYTES_MAX ((2 * DENSE_LOG_MAX + DENSE_SUB * (DENSE_LOG_MAX + 56u) + 7) / 8)
/* no table is longer */
#define DENSE_TABLE_MAX (1u + 10u + 2u + DENSE_CLASSES * 2u)

struct dense_table { /* to decode with */
	struct dense_state {
		uint16_t next; /* the lowest state it leads to */
		uint8_t bits, class;
	} states[DENSE_STATES];
	unsigned log;
	bool zigzag;
	uint64_t base;
};

struct dense_coder { /* to encode with */
	uint16_t share[DENSE_CLASSES], first[DENSE_CLASSES], place[DENSE_STATES];
	unsigned log;
	bool zigzag;
	uint64_t base;
};

static inline unsigned dense_class(uint64_t r)
{
	return r ? 64u - (unsigned)__builtin_clzll(r) : 0;
}

/* counts[c]: how many numbers of each class there are, at least one in all. */
void dense_coder_make(struct dense_coder *c, const uint32_t counts[DENSE_CLASSES]);
/* Bits that so many numbers of each class would take, tables and states not counted. */
double dense_cost(const uint32_t counts[DENSE_CLASSES]);
uint8_t *dense_table_put(uint8_t *p, const struct dense_coder *c); /* DENSE_TABLE_MAX of room */
/*
 * y: n numbers, 1..DENSE_SUB; DENSE_BYTES_MAX + 8 of room at p. NULL: one has a class that the
 * table lacks. Returns the end.
 */
uint8_t *dense_put(uint8_t *p, const struct dense_coder *c, const uint64_t *y, unsigned n);

MUST_CHECK enum err dense_table_read(struct wire_reader *r, struct dense_table *t);
/* The numbers without the base: residuals, to which the caller adds t->base. */
MUST_CHECK enum err dense_read(
    struct wire_reader *r, const struct dense_table *t, unsigned n, uint64_t *out);

#endif
