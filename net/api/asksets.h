/*
 * asksets - a request that names series by match[]: its ticket (net/api/ask.h), then its selectors,
 * read on the loop or by a worker when that is too much for one turn.
 *
 *   asksets_start > (waits for the ticket, selectors are read) > made(s)
 *                 \ refused, out of time, a bad selector: answered here, made never comes
 *
 * Thread: the loop of the request. Memory: the caller's, in the request's arena.
 */
#ifndef NET_API_ASKSETS_H
#define NET_API_ASKSETS_H

#include "net/api/ask.h"
#include "net/api/param.h"

struct asksets {
	struct ask ask; /* ask.late is the caller's, to be set before the start */
	struct urlq u;
	struct param_sets sets;
	const struct limits *limits;
	bool prefixed; /* errors name the parameter */
	enum err err;
	struct errbuf eb;
	void (*made)(struct asksets *s);
};
/* s is all zero but for what the caller sets; the request's own, on_gone, on_done are set. */
void asksets_start(struct asksets *s, struct req *r, const struct urlq *u, int64_t timeout_ms);
/* In on_done, when nobody reads the selectors any more. */
void asksets_end(struct asksets *s);

#endif
