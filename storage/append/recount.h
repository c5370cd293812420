/*
 * recount - what rules of cardinality count (storage/append/card.h) is counted anew from the series
 * in memory: at a start, when rules have changed, every RECOUNT_EVERY_MS, so that values that no
 * series has any more make room, and where a census has become too small for what there is.
 *
 *   begin on every loop > each loop feeds its series, one loop after the other > end on every loop
 * A message walks; on a loop a job goes through the series of tenants with rules, in slices. A
 * series that is made meanwhile is counted where it is made.
 *
 * Cost: half a microsecond for a series and rule; nothing where nobody has rules.
 * Thread: made and freed on the main thread, started and stopped on loop 0, where the message
 * rests. Memory: own.
 */
#ifndef STORAGE_APPEND_RECOUNT_H
#define STORAGE_APPEND_RECOUNT_H

#include "core/base/check.h"

#define RECOUNT_LOOK_MS  1000u /* between looks at the rules */
#define RECOUNT_EVERY_MS 600000u
#define RECOUNT_PAUSE_MS 5000u /* between two for want of room */

struct intake;
struct recount;
/* intakes: of all loops; they outlive it. */
struct recount *recount_create(struct intake **intakes, unsigned loops);
void recount_free(struct recount *c);
void recount_start(struct recount *c);
void recount_stop(struct recount *c);
/* on its way; after recount_stop it comes home once more */
bool recount_busy(const struct recount *c);

#endif
