/*
 * route - whose rows are that come in at a loop, guessed from the order in which they came last:
 * mostly without their fingerprints.
 *
 * Where several loops have shards, the loop where a request comes in sends each row to the owner of
 * its series. The owner compares labels anyway (trail.h), so here a guess will do: a ring of what
 * came, in its order, an entry being bits of a quick hash of the labels and the loop whose series
 * it was. The row that fits the entry behind that of the row before is of that loop.
 *   fits    nothing is written
 *   else    the place of its hash in a small table tells where its run stands in the ring; where it
 *           does not, nothing is known: its fingerprint is asked, and it is written at the end
 *   full    the ring goes round, or a larger one is begun when there are more series now
 * Where the order is none (many rows fit elsewhere, when all series are known), guesses rest for
 * some batches.
 * (1) A guess may be wrong, when hashes are alike. The owner that finds no such series among its
 *     own takes its fingerprint, and makes none that is another loop's.
 *
 * Cost: the hash of the labels, some 3 ns; 4 bytes of the ring.
 * Memory: 5 to 8 bytes a series, mapped.
 * Thread: the loop where the rows came in.
 */
#ifndef STORAGE_HEAD_ROUTE_H
#define STORAGE_HEAD_ROUTE_H

#include "core/model/batch.h"

#define ROUTE_ROWS  64u /* of one call of route_guess, at most */
#define ROUTE_NONE  UINT16_MAX
#define ROUTE_LOOPS 4096u /* more of them do not fit an entry */

struct route {
	uint32_t *ring; /* 0 = none | bits of the hash, owner. NULL = nothing came yet */
	uint32_t *at;   /* by hash: an entry of the ring */
	uint32_t mask; /* entries of the ring, a power of two, minus 1; a quarter of them in `at` */
	uint32_t end;  /* where the next entry goes */
	uint32_t used; /* entries that were ever written */
	uint32_t next; /* where the next row is looked for */
	uint32_t jumps; /* of the rows since route_begin: those that stood elsewhere */
	uint32_t rows;
	uint32_t rest; /* batches that are not guessed at */
};
/* Of rows: what route_learn asks for. */
struct route_guess {
	uint64_t hashes[ROUTE_ROWS];
	uint16_t owners[ROUTE_ROWS]; /* ROUTE_NONE = not known */
};

void route_release(struct route *r);
uint64_t route_bytes(const struct route *r);
/*
 * Before the rows of a request, or of a large part of one. series: how many there are, about. False:
 * not guessed at.
 */
bool route_begin(struct route *r, uint64_t series);
/* count <= ROUTE_ROWS. */
void route_guess(struct route *r, uint32_t tenant, const struct batch_row *rows, unsigned count,
    struct route_guess *g);
/* Of a row that was not known, in the order of rows. */
void route_learn(struct route *r, uint64_t hash, uint16_t owner, uint64_t series);

#endif
