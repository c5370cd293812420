/*
 * ctlprog - how long work is going: one line on a terminal that is written over and over, else a
 * line every ten seconds: "import  3.2 M of 9.1 M samples  35 %  410 k/s  left 14 s".
 *
 * On a terminal the line is cut at its width, so that it never wraps.
 *
 * Thread: one. ctlprog_tell looks at the clock each time: for pieces of work, not for samples.
 */
#ifndef NET_CTL_CTLPROG_H
#define NET_CTL_CTLPROG_H

#include "net/ctl/ctl.h"

struct ctlprog {
	const char *unit; /* "samples", "B" (bytes are told as such) */
	double goal;      /* 0 = not known; may change */
	double done;      /* all of it, with what an earlier run did */
	bool quiet;
	char more[128]; /* behind it; may change */
	double _first, _was;
	uint64_t _begin_ns, _shown_ns, _was_ns;
	bool _terminal;
};
/* done: what an earlier run did. quiet: only ctlprog_end says something. */
void ctlprog_begin(struct ctlprog *p, const char *unit, double goal, double done, bool quiet);
void ctlprog_tell(struct ctlprog *p, double done);
/* The last line: what was done, how long it took, the rate. */
void ctlprog_end(struct ctlprog *p);

#endif
