/*
 * clockwatch - may the wall clock be believed? A watch weighs it against the monotonic clock, the
 * newest stored sample, and the samples that arrive.
 *
 *   SURE    samples agreed with the clock, and it has not stepped since
 *   OPEN    nothing speaks against the clock, nothing has confirmed it yet
 *   DOUBT   something speaks against it
 *
 *   in          what is noticed                                                then
 *   (start)     the clock is more than STEP_MS behind the newest stored        DOUBT
 *               sample
 *   (start)     else, or nothing is stored: a clock that stood still while     OPEN
 *               the machine was off looks right
 *   any         a step of more than STEP_MS against the monotonic clock        DOUBT; votes void
 *   SURE        more than NUDGE_MS away, in one step or many, from where it    OPEN
 *               was when it was last confirmed (a thousandth of the time
 *               since is let pass)
 *   OPEN        likewise, more than STEP_MS from where it was when it became   DOUBT; votes void
 *               open
 *   OPEN        samples that disagree                                          DOUBT
 *   OPEN        samples that agree, the first ones in a store where senders    SURE
 *               had nothing
 *   OPEN, DOUBT samples have gone along with the clock for FIRM_MS, and of     SURE
 *               the pieces heard lately more agree than disagree
 *   SURE        whatever samples say: one bad sender does not shake it         SURE
 *
 * A piece of arriving samples (the rows of one request, or of a step of a long one)
 *   disagrees   when one of its times is more than AGREE_MS later than the clock; or when all are
 *               more than STEP_MS earlier and the clock may be ahead: it began so (a start found it
 *               that far ahead of what senders stored), it stepped forward, or nothing but the
 *               clock would refuse the piece
 *   agrees      when it does not, and one of its times is within AGREE_MS of the clock
 *   else says nothing: being late is no lie (history loads, senders that were cut off).
 * Pieces go along with the clock while their distance from it does not grow by more than ALONG_MS:
 * the backlog of a sender that was cut off passes by a clock that is behind, and would confirm it.
 * "Lately" is VOTES_MS to twice that. (All of these: CLOCKWATCH_... below.)
 *
 * What states mean is decided by who asks: nothing is deleted in DOUBT, and no sample is refused
 * for the clock's sake then. The time that may be believed without the clock's word,
 * clockwatch_trusted_ms(), goes on with the monotonic clock from the last moment the clock was
 * believed (or, after a start, from the newest stored sample).
 *
 * The server's own samples are no evidence: they bear the time of the clock in question.
 * Thread: any; in SURE a look costs two relaxed loads, else a short lock. Memory: own. Entries and
 * exits are logged; M_CLOCK_IN_DOUBT is 1 while in DOUBT.
 */
#ifndef CORE_BASE_CLOCKWATCH_H
#define CORE_BASE_CLOCKWATCH_H

#include "core/base/check.h"

#define CLOCKWATCH_STEP_MS (3600 * 1000)
/* less cannot make a good sample look bad: half of what may lie in the future */
#define CLOCKWATCH_NUDGE_MS (5 * 60 * 1000)
#define CLOCKWATCH_AGREE_MS (10 * 60 * 1000)
#define CLOCKWATCH_VOTES_MS (10 * 60 * 1000)
#define CLOCKWATCH_FIRM_MS  (60 * 1000)
#define CLOCKWATCH_SLOW_MS  (24 * 3600 * 1000)
#define CLOCKWATCH_ALONG_MS (20 * 1000)

enum clockwatch_state {
	CLOCKWATCH_SURE,
	CLOCKWATCH_OPEN,
	CLOCKWATCH_DOUBT
};
struct clockwatch_now { /* read at one moment: a loop's cached times, or clock_both() */
	int64_t wall_ms;
	uint64_t mono_ns;
};
struct clockwatch_heard {
	int64_t t_newest_ms; /* of the piece; INT64_MIN: it has no times */
	bool agrees;         /* a time within CLOCKWATCH_AGREE_MS of the clock is there */
	bool clock_refuses;  /* only the clock says that all of it is too old */
};
struct clockwatch;
struct clockwatch *clockwatch_create(struct clockwatch_now now);
void clockwatch_free(struct clockwatch *w);
/*
 * Once, after recovery: newest stored sample of senders, and of all (the server's own too);
 * INT64_MIN = none.
 */
void clockwatch_start(
    struct clockwatch *w, struct clockwatch_now now, int64_t t_senders_ms, int64_t t_any_ms);
/* Notices steps. Ask before each judgement and deletion. */
enum clockwatch_state clockwatch_look(struct clockwatch *w, struct clockwatch_now now);
/* Looks, then weighs a piece. Not needed in SURE. */
enum clockwatch_state clockwatch_hear(
    struct clockwatch *w, struct clockwatch_now now, const struct clockwatch_heard *heard);
/* In SURE the clock itself; else never later than the clock says. */
int64_t clockwatch_trusted_ms(struct clockwatch *w, struct clockwatch_now now);
/*
 * What may be deleted goes by this: the same, but for CLOCKWATCH_SLOW_MS after a clock that stepped
 * ahead was confirmed, as if it had not. A sender on the same machine bears the same wrong clock,
 * and confirms it.
 */
int64_t clockwatch_delete_ms(struct clockwatch *w, struct clockwatch_now now);

#endif
