/*
 * trail - the order in which rows of a loop's series come, over all its shards: so a row is mostly
 * found without a hash, a table or a pointer to be followed.
 *
 * Senders send what they scrape in one order, again and again. The trail is a ring of entries in
 * the order of arrival; every series knows its own (series.at). Who follows the one before is the
 * guess for a row; its label bytes decide. Guesses are known far ahead, so hot lines, labels and
 * tails are on their way before they are looked at.
 *   entry   0 = none | shard and slot of a series, plus one | LINK and where it goes on
 *   hit     nothing is written
 *   miss    the series is found by its fingerprint, a window of rows at a time, so that their
 *           memory is fetched together. A run that began elsewhere (a target after another one
 *           than last time) is linked to; where misses come one after the other, entries are
 *           written anew at the end of the ring. Links that are followed are bounded.
 *   full    the ring goes round: the oldest entries go. A series whose entry is gone is a miss,
 *           once
 * (1) An entry is a guess: slots may have been given back or be another's by now. It always names a
 *     slot that there was, so it may be looked at.
 *
 * Cost of a hit: the compared bytes, one hot line, 4 bytes of ring: some 10 ns where memory is
 * near.
 * Memory: 5 to 8 bytes a series, mapped.
 * Thread: the loop of the heads.
 */
#ifndef STORAGE_HEAD_TRAIL_H
#define STORAGE_HEAD_TRAIL_H

#include "storage/head/head.h"

#define TRAIL_AHEAD 32u /* guesses, a power of two */
#define TRAIL_ROWS  64u /* of one call of trail_resolve, at most */

struct trail_guess {
	struct series *s;
	uint32_t ref, at;
};
struct trail {
	struct head **heads; /* of the loop; a row's place counts them */
	uint32_t heads_count;
	unsigned shift;  /* an entry - 1 is slot << shift | place */
	unsigned shards; /* of the store: a fingerprint's shard; NUM / loops is its place */
	unsigned loops;
	uint64_t seed;  /* of fingerprints */
	uint32_t *ring; /* NULL = nothing came yet */
	uint32_t size;  /* the last entry only leads to the first one */
	uint32_t end;   /* where the next entry goes; is none */
	uint32_t used;  /* entries that were ever written */
	/* the series that came last: its entry, where its follower is looked for */
	uint32_t prev, next;
	uint32_t begin; /* the entry after the last miss */
	bool broken;    /* the last row was a miss, or its follower stands elsewhere */
	unsigned window;
	/* guesses[(first + i) % AHEAD], i < known; labels of the first `near` are fetched */
	unsigned first, known, near;
	uint32_t walk; /* where the guess after them stands, or is linked to */
	struct trail_guess guesses[TRAIL_AHEAD];
	uint64_t misses; /* rows whose guess was wrong, since the start */
};

void trail_init(struct trail *t, unsigned shards, unsigned loops, uint64_t seed);
void trail_release(struct trail *t);
/* Before the first row. */
void trail_head(struct trail *t, struct head *h);
size_t trail_bytes(const struct trail *t);

/*
 * Fills place and slot of rows, count <= TRAIL_ROWS: slot SERIES_NONE where unknown; there fp and
 * place are known afterwards. Where place is given (HEAD_PLACE_NONE = not), fp must be, too. Rows
 * of one series in a row share the label pointer.
 */
void trail_resolve(struct trail *t, uint32_t tenant, struct head_row *rows, unsigned count);
/*
 * Behind trail_resolve: series were made for some of its rows (their slots stand there now), which
 * take their place in the order. prev, next: those of the trail before it was called.
 */
struct trail_mark {
	uint32_t prev, next;
};
static inline struct trail_mark trail_mark(const struct trail *t)
{
	return (struct trail_mark){ .prev = t->prev, .next = t->next };
}
void trail_learn(
    struct trail *t, struct trail_mark before, const struct head_row *rows, unsigned count);

#endif
