/*
 * outpour - the answer of a request that is nothing but samples of a pour (net/api/pour.h), or of
 * several behind each other, streamed as its client reads.
 *
 *   outpour_start > (first bytes) > 200 > ... > end
 *                 \ an error before the first byte: answered with it; behind it: the answer is cut,
 *                   so that the client sees that it is not whole
 *
 * Until the first byte it has the place of its ticket and the timeout runs; then the place goes to
 * the next: how long the rest takes is a matter of its reader. What the pour holds from then on is
 * held for the answer, too (req_hold): who reads slowly takes memory from answers, not from
 * queries.
 * Thread: the loop of the request. Memory: the caller's, in the request's arena; the request is
 * kept until its pour is gone.
 */
#ifndef NET_API_OUTPOUR_H
#define NET_API_OUTPOUR_H

#include "net/api/ask.h"
#include "net/api/pour.h"

enum outpour_state {
	OUTPOUR_NONE, /* not started, all zero */
	OUTPOUR_FIRST,
	OUTPOUR_STREAMS,
	OUTPOUR_OVER
};
struct outpour {
	struct ask *ask; /* its ticket is there */
	const char *content_type;
	const char *head; /* stands before the first byte, also of an empty answer; NULL: nothing */
	size_t head_len;
	struct pour_opts opts; /* of the pour at hand; encode and what is asked are the caller's */
	/* The next pour's options; false: that was all. NULL: there is one alone. */
	bool (*next)(struct outpour *o);
	enum outpour_state state;
	struct pour *pour;
	const uint8_t *bytes; /* of the pour, not yet given */
	size_t len;
	uint64_t held; /* of the ticket's bytes, for the answer */
	bool closing;  /* pour_end was called */
	enum err err;
	char text[256];
};
void outpour_start(struct outpour *o);
/* In on_gone and ask.late: ERR_CANCELED, ERR_TIMEOUT. */
void outpour_stop(struct outpour *o, enum err e);

#endif
