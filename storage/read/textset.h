/*
 * textset - distinct label names or values of the series of a cursor, given out one by one as they
 * are met. Thread: one loop. Memory: texts live until release; some 40 bytes each and the text. Its
 * table is in parts, so that none takes long to grow; the seed is secret, so that nobody can choose
 * texts that meet in one place.
 */
#ifndef STORAGE_READ_TEXTSET_H
#define STORAGE_READ_TEXTSET_H

#include "core/base/arena.h"
#include "core/seam/source.h"

struct textset_text {
	const char *s;
	uint32_t len, hash;
};
struct textset {
	struct arena arena;
	uint64_t seed;
	struct textset_table {
		struct textset_text *slots; /* s NULL = free */
		uint32_t mask, count;
	} * tables; /* NULL until the first one */
	size_t slots_count;
	struct textset_text *fresh; /* met and not given out yet */
	size_t fresh_count, fresh_cap;
};
void textset_init(struct textset *t, uint64_t seed);
void textset_release(struct textset *t);
/* True when it is new: then it is given out. */
bool textset_add(struct textset *t, const char *s, uint32_t len);
bool textset_has(const struct textset *t, const char *s, uint32_t len);
/*
 * Notes what query asks of this series (all names, or the value of one); true when something is
 * new.
 */
bool textset_take(struct textset *t, const struct source_query *q, struct labels ls);
/* Gives out one fresh text. */
bool textset_pop(struct textset *t, struct source_item *out);
size_t textset_bytes(const struct textset *t);

#endif
