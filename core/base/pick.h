/*
 * pick - the best of many texts: those that come first in an order, each once, at most so many.
 * What is in it when all were offered does not depend on how they came.
 *
 *   if (pick_wants(p, text, len, score) && <whatever else must hold>)
 *           pick_put(p, text, len, score);
 *
 * A text comes with the same score each time. Who refuses a text that is wanted may offer it again.
 * Who meets the same texts often, and for whom a score is dear, calls pick_remember, and asks and
 * tells by pick_hash which of them are over: refused or put, so never wanted again.
 * Cost: one comparison where the pick is full and the text is too late; else a look into a table,
 * and a place in a heap: some 100 ns. Nothing grows with what was offered.
 * Thread: one at a time. Memory: at most max texts (56 bytes and the text each), on the heap; of
 * what is over at most PICK_OVER_MAX hashes, 8 bytes each.
 */
#ifndef CORE_BASE_PICK_H
#define CORE_BASE_PICK_H

#include "core/base/check.h"

enum pick_order {
	PICK_TEXT,      /* by bytes, ascending */
	PICK_TEXT_DOWN, /* descending */
	PICK_SCORE      /* the highest score first, equal ones by text, ascending */
};
struct pick_item {
	double score;
	uint32_t hash, len;
	char text[];
};
struct pick {
	enum pick_order order;
	size_t max; /* at least 1 */
	uint64_t seed;
	struct pick_item **items; /* a heap, the last in order on top */
	size_t count, cap;
	struct pick_item **slots; /* by hash; open addressing */
	size_t mask;
	size_t bytes;
	uint64_t *over; /* hashes of texts, four in a row; 0: none; NULL: nothing is remembered */
	size_t over_mask;
};
#define PICK_OVER_MAX (1u << 16)
/* seed: secret, so that nobody can choose texts that meet in one place of the table. */
void pick_init(struct pick *p, enum pick_order order, size_t max, uint64_t seed);
void pick_release(struct pick *p);
/* Is it none of those that are in, and is there room or one that comes behind it? */
bool pick_wants(const struct pick *p, const char *text, size_t len, double score);
/* No text with a score below this one is wanted. */
static inline double pick_least(const struct pick *p)
{
	return p->order == PICK_SCORE && p->count == p->max ? p->items[0]->score : 0;
}
/* One that is wanted. */
void pick_put(struct pick *p, const char *text, size_t len, double score);
/*
 * May a text be wanted that begins with path, or stands behind all those that do (by bytes), if its
 * score is not above best? False: none is, whatever comes.
 */
bool pick_hopes(const struct pick *p, const char *path, size_t len, double best);
/* One out of the heap, the last in order; the caller's (mem_free). NULL: it is empty. */
struct pick_item *pick_pop(struct pick *p);
size_t pick_bytes(const struct pick *p);
/* About so many texts come, several times. Once for all: later calls change nothing. */
void pick_remember(struct pick *p, size_t texts);
/* Not 0. Two texts have the same one in 2^64 cases once: they are taken for one. */
uint64_t pick_hash(const struct pick *p, const char *text, size_t len);
/* False: it is not over, or that was forgotten for others. */
bool pick_is_over(const struct pick *p, uint64_t hash);
void pick_over(struct pick *p, uint64_t hash);
/* The order of two: < 0, 0 (equal texts and scores), > 0. */
int pick_cmp(enum pick_order order, const struct pick_item *a, const struct pick_item *b);

#endif
