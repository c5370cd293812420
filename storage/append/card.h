/*
 * card - the cardinality controller of one loop: asked of each series that would be made.
 *
 *   known row                      never comes here
 *   new series > watch (what explodes has a name) > rules of its tenant: made as it is,
 *   under other labels, or refused
 *
 * Rules (core/model/cardrule.h) are asked in order. What they count stands in a census
 * (core/base/census.h) of the tenant, which all loops share; a value or series beyond the limit is
 * not counted, and the rule's action follows. Labels that were rewritten belong to another owner
 * (apply.h: odd rows), where nobody asks again.
 *
 * Nothing is taken out of a census. From time to time storage/append/recount has a younger one
 * counted from the series in memory:
 *   card_recount_begin(g)   from now on what is counted is counted in the one of generation g too
 *   card_feed               each series in memory
 *   card_recount_end        that of g is the one that decides
 * so a value that no series has any more makes room for another one. Where g is the generation of
 * now (a start, new rules) series are fed to what decides already.
 * (1) More than max are only counted where they were in memory before their rule was, or for one
 *     moment by two loops of which one has gone on to the next census, or until a census that has
 *     no room for what there is has been followed by a larger one, which is counted at once.
 *
 * Thread: its loop. Memory: a census for each tenant with rules, of their limits' size or that of
 * what there is; 32 bytes for each tenant beside.
 */
#ifndef STORAGE_APPEND_CARD_H
#define STORAGE_APPEND_CARD_H

#include "core/base/census.h"
#include "core/model/cardrule.h"
#include "storage/append/watch.h"

enum card_says {
	CARD_AS_IS,
	CARD_REWRITTEN, /* under other labels */
	CARD_REFUSED
};
struct card_verdict {
	struct labels labels; /* REWRITTEN: canonical, in the arena */
	uint32_t rule;        /* REFUSED: which one */
	struct label label;   /* whose values are too many; no name: series are */
};

struct card;
struct card *card_create(struct census_set *set, uint64_t seed);
void card_free(struct card *c);
struct watch *card_watch(struct card *c);
/* rules: the tenant's, not NULL. ls: canonical. */
enum card_says card_judge(struct card *c, uint32_t tenant, const struct card_rules *rules,
    struct labels ls, struct arena *a, uint64_t now_ns, struct card_verdict *v);

void card_recount_begin(struct card *c, uint64_t generation);
void card_recount_end(struct card *c);
void card_feed(struct card *c, uint32_t tenant, const struct card_rules *rules, struct labels ls);
uint64_t card_generation(const struct card *c);

#endif
