/*
 * running - what is asked and not answered yet, and what was asked lately: for
 * /api/v1/status/active_queries and /api/v1/status/top_queries (net/api/api_queries.h).
 *
 * Everything that has a ticket, or waits for one, stands in the list of its loop from ask_start to
 * ask_end (net/api/ask.h); a query that waits for somebody else's result, too. The last
 * RUNNING_RECENT queries of each loop are remembered with their text, cut, what they took and held.
 *
 * Thread: the loop of the request. Memory: an entry is a part of its owner; what is remembered is
 * some 200 bytes and the text, 2 MiB a loop at most.
 */
#ifndef NET_API_RUNNING_H
#define NET_API_RUNNING_H

#include "core/base/list.h"
#include "net/http/req.h"

#define RUNNING_RECENT     2048u
#define RUNNING_TEXT_BYTES 1024u /* that are remembered of a query */

enum running_state {
	RUNNING_WAITS, /* for a place, or for somebody who asks the same */
	RUNNING_WORKS,
	RUNNING_ANSWERS /* its answer goes out */
};
struct running { /* all zero: not listed */
	struct list_link _link;
	struct req *req;
	uint64_t id;      /* never 0; tells nothing of how many there are beside it */
	const char *what; /* lives as long as the request */
	size_t what_len;
	int64_t start_ms, end_ms, step_ms; /* of a query; 0 */
	enum running_state state;
	/* Stops the work; what is to be answered is answered: it was cancelled. */
	void (*cancel)(struct running *n);
};
struct running_past {
	uint32_t tenant;
	uint32_t text_len;
	char *text;
	int64_t at_ms, range_ms; /* when it ended; from its first step to its last */
	uint64_t took_us, held_bytes;
};
struct running_loop { /* of one loop */
	struct list_link list;
	unsigned loop;
	uint64_t seed, begun;      /* of ids */
	struct running_past *past; /* RUNNING_RECENT of them, a ring; NULL: none yet */
	size_t past_at, past_count;
};
void running_begin(struct running_loop *l, unsigned loop);
void running_end(struct running_loop *l);

/* Once it is filled in, but for its id. cancel NULL: as if its client had left. */
void running_add(struct running *n);
void running_del(struct running *n); /* harmless when it is not listed */
static inline bool running_is_listed(const struct running *n)
{
	return n->id != 0;
}
/* A query has ended. held: the most it held. */
void running_was(const struct running *n, uint64_t took_ns, uint64_t held);
/* The loop where an id is, and the one who has it there; NULL: it is over. */
unsigned running_loop_of(uint64_t id);
struct running *running_find(struct running_loop *l, uint64_t id);
/* May r see and cancel it: does r read of all tenants that it reads of? */
bool running_is_for(const struct running *n, const uint32_t *tenants, size_t count);

#endif
