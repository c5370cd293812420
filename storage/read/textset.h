/*
 * textset - distinct label names or values of the series of a cursor, given out one by one as they
 * are met. Thread: one loop. Memory: texts live until release.
 */
#ifndef STORAGE_READ_TEXTSET_H
#define STORAGE_READ_TEXTSET_H

#include "core/base/arena.h"
#include "core/seam/source.h"

struct textset {
	struct arena arena;
	struct label *table; /* name, name_len; a power of two */
	size_t count, cap;
	struct label *fresh; /* met and not given out yet */
	size_t fresh_count, fresh_cap;
};
void textset_init(struct textset *t);
void textset_release(struct textset *t);
/*
 * Notes what query asks of this series (all names, or the value of one); true when something is
 * new.
 */
bool textset_take(struct textset *t, const struct source_query *q, struct labels ls);
/* Gives out one fresh text. */
bool textset_pop(struct textset *t, struct source_item *out);

#endif
