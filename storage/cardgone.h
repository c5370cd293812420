/*
 * cardgone - which names a deletion of series takes out of what is told of cardinality: those that
 * stood in series deleted, and that no series in memory has any more.
 *
 * Names are texts as lists show them: a metric, a label, "label=value", and of what explodes
 * "job/instance". They are gathered before the deletion (cardgone_add). Each shard looks which of
 * them its series in memory have, before and after it has deleted (cardgone_look), and tells the
 * labels of series that were deleted outside memory (cardgone_touch); all of that together
 * (cardgone_join) says which have gone.
 * (1) A name goes when some shard had it before, or it was touched, and none has it afterwards. So
 *     it may go where idle series, which are in files alone, still have it: then the history shows
 *     less than it could. The other way round it never is.
 * (2) A text of which the end may be missing (lists cut) cannot be looked up: it goes with every
 *     deletion that met a series.
 *
 * Cost: a look some 0.3 us a name, a touch some 0.1 us a label.
 * Thread: gathered and asked on one; in between it does not change, and each shard has a part of
 * its own. Memory: the texts, some 40 bytes a name beside; a part 2 bits a name.
 */
#ifndef STORAGE_CARDGONE_H
#define STORAGE_CARDGONE_H

#include "core/model/label.h"
#include "storage/meta/postings.h"

enum cardgone_form {
	CARDGONE_NAME,  /* a metric, a label or a pair */
	CARDGONE_TARGET /* job/instance */
};
#define CARDGONE_CUT_LESS 3u /* bytes of a character that did not fit */
struct cardgone;
struct cardgone *cardgone_create(uint64_t seed); /* secret, of tables */
void cardgone_free(struct cardgone *g);
/* Copied; twice is once. cut_at: a text of so many bytes, or up to 3 less, may be cut. */
void cardgone_add(
    struct cardgone *g, enum cardgone_form form, const char *text, size_t len, size_t cut_at);
uint32_t cardgone_count(const struct cardgone *g);

/* Of one shard. */
struct cardgone_part {
	uint64_t *had, *has; /* bits by name */
	uint32_t at;
};
void cardgone_part_init(const struct cardgone *g, struct cardgone_part *p);
void cardgone_part_release(struct cardgone_part *p);
/*
 * Goes on with up to `most` names; true: all were looked up, and it begins anew. postings: the
 * tenant's, NULL where it has none.
 */
bool cardgone_look(const struct cardgone *g, struct cardgone_part *p,
    const struct postings *postings, bool after, uint32_t most);
/* A series was deleted that has these, canonical. */
void cardgone_touch(const struct cardgone *g, struct cardgone_part *p, struct labels ls);

/* met: how many series the shard deleted. */
void cardgone_join(struct cardgone *g, const struct cardgone_part *p, uint64_t met);
/* After all parts; false for a text that was not added. */
bool cardgone_is(const struct cardgone *g, enum cardgone_form form, const char *text, size_t len);

#endif
