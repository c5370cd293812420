/*
 * sdbeat - the service manager hears of us again and again, from loop 0, as long as every loop has
 * turned within the time that /-/healthy asks for. A loop that stands still longer is silence, and
 * silence is what makes the manager end and restart the process.
 *
 *   SDBEAT_STARTING   a recovery may take long: EXTEND_TIMEOUT_USEC, SDBEAT_EXTEND_US each time
 *   SDBEAT_RUNNING    WATCHDOG=1, three times in each WATCHDOG_USEC
 *   SDBEAT_ENDING     as starting, and WATCHDOG=1 too: the watchdog goes on until the end
 *
 * Thread: all of it the loop's. Without a service manager nothing is started: sdbeat_start gives
 * NULL, which the others take.
 */
#ifndef NET_DAEMON_SDBEAT_H
#define NET_DAEMON_SDBEAT_H

#include "core/rt/loop.h"
#include "core/rt/team.h"

#define SDBEAT_EXTEND_US UINT64_C(30000000)
#define SDBEAT_EVERY_MS  5000u /* without a watchdog, and at least so often */

enum sdbeat_phase {
	SDBEAT_STARTING,
	SDBEAT_RUNNING,
	SDBEAT_ENDING
};
struct sdbeat;
/* still_ns: a loop that has not turned for so long stands still. */
struct sdbeat *sdbeat_start(struct loop *l, struct team *team, uint64_t still_ns);
void sdbeat_phase(struct sdbeat *b, enum sdbeat_phase phase); /* tells at once */
void sdbeat_stop(struct sdbeat *b);                           /* and frees */

#endif
