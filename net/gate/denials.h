/*
 * denials - who was not let in, and why: counted by reason, told in the log once a minute for each
 * as long as it goes on, with an example. Never with what was shown.
 *
 *   event=denied reason=password requests=12 from=10.0.0.1:40312 identity="grafana"
 *       example="..." remedy="..."
 *
 * The pace of a reason is the process', so that loops do not tell the same thing twice.
 * Thread: the loop of l.
 */
#ifndef NET_GATE_DENIALS_H
#define NET_GATE_DENIALS_H

#include "core/base/log.h"
#include "net/http/req.h"

#define DENIALS_EVERY_MS 60000u

enum denial {
	DENIED_MISSING, /* nothing was shown */
	DENIED_SCHEME,  /* neither Bearer nor Basic, or not as their standards have it */
	DENIED_TOKEN,
	DENIED_PASSWORD,
	DENIED_CERTIFICATE,
	DENIED_JWT_FORM,
	DENIED_JWT_KEY,
	DENIED_JWT_SIGNATURE,
	DENIED_JWT_TIME,
	DENIED_JWT_CLAIMS,
	DENIED_ROLE,
	DENIED_TENANT,
	DENIED_CROWDED,
	DENIED_NO_KEYS,
	DENIED_TENANT_MAKE,
	DENIALS
};
struct denials { /* of one loop */
	struct loop *loop;
	struct log_pace *paces; /* DENIALS of them, shared by all loops */
	struct denials_line {
		struct denials *of;
		struct loop_timer timer;
		char from[64], identity[136], example[200]; /* of the last one here */
	} lines[DENIALS];
};
void denials_begin(struct denials *l, struct loop *loop, struct log_pace *paces);
/* Counts it, too. identity: "" = not known; example: what the answer says. */
void denials_tell(struct denials *l, enum denial what, const struct req *r, const char *identity,
    const char *example);
void denials_end(struct denials *l); /* tells what has not been told yet */

#endif
