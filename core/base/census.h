/*
 * census - how many different members each of some groups has, up to a limit, exact over all
 * threads, in memory of a fixed size: the values of a label, the series of a metric.
 *
 * Groups and members are 64-bit hashes under a secret seed, made by the caller (a member's with its
 * group in it). What is in stays in: a census only grows, and is replaced by a younger one that was
 * counted anew. So finding takes no lock, and adding one atomic operation or a few.
 * (1) A group never holds more than the max of the one who adds, but by census_force.
 * (2) Of equal members one is counted, whoever adds them at the same time.
 * (3) Where a table has no slot left, or the last group, which all share that have no place, is at
 *     max, CENSUS_CROWDED is the answer: a younger one made with census_more_room has four times as
 *     many. Those of CENSUS_MOST slots and CENSUS_GROUPS groups answer CENSUS_OVER: a hundred
 *     million names take no more memory than a million.
 *
 * A struct census_set has them by number (a tenant) and version (what is counted, and how often it
 * was counted anew); who joins the same two has the same census. The last one who leaves frees it.
 *
 * Thread: any; census_set_free alone. Cost: census_take one or two cache lines; census_join a lock.
 * Memory: 8 bytes a slot, twice as many slots as members; 40 bytes a group.
 */
#ifndef CORE_BASE_CENSUS_H
#define CORE_BASE_CENSUS_H

#include "core/base/check.h"

#define CENSUS_LEAST  512u       /* slots */
#define CENSUS_MOST   (2u << 20) /* slots: 16 MiB */
#define CENSUS_GROUPS (64u << 10)

enum census_got {
	CENSUS_KNOWN,  /* it was in */
	CENSUS_TAKEN,  /* it is in now */
	CENSUS_OVER,   /* the group, or the largest table, is full */
	CENSUS_CROWDED /* not counted: it may be within its limit, there is no room to say */
};
struct census_set;
struct census;

struct census_set *census_set_create(void);
void census_set_free(struct census_set *s); /* all have left */
/* What it has room for: so many groups, about so many members. */
struct census_room {
	uint32_t groups;
	uint64_t members;
};
struct census *census_join(
    struct census_set *s, uint32_t number, uint64_t version, struct census_room room);
void census_leave(struct census_set *s, struct census *c); /* NULL is fine */

/* Its place: 0 to room.groups, which is that of all for which there is none. */
uint32_t census_group(struct census *c, uint64_t key);
MUST_CHECK enum census_got census_take(
    struct census *c, uint32_t group, uint64_t member, uint64_t max);
/*
 * The same without a limit of the group. Beyond max it takes only what those within their limits,
 * room.members, leave free; what finds no room is left out.
 */
void census_force(struct census *c, uint32_t group, uint64_t member, uint64_t max);
uint64_t census_count(const struct census *c, uint32_t group);
uint64_t census_members(const struct census *c); /* of all groups */
/* What a younger one of the same should have: what it had, or more where there was too little. */
struct census_room census_more_room(const struct census *c);
/* Has one of them become crowded since it was asked last? */
bool census_set_crowded(struct census_set *s);

#endif
