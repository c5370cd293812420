/*
 * doctor - GET /api/v1/status/doctor: what is wrong or soon will be, with figures, since when, and
 * the remedy in one sentence.
 *
 * Findings of the server are the table of net/api/doctorchecks.h: for who has the role admin (on
 * the listener for administration alone, when there is one). Findings of tenants come from what
 * happened to their requests (net/api/doctornotes.h), what explodes in them and how near their
 * limits are: for who reads of that tenant. Both stand in one list, the worst first; what is fine
 * stands last, as severity ok with its figures.
 *
 *   {"time", "worst": "ok|note|warn|bad", "server": true, "findings": [{"id", "severity",
 *    "scope": "server|tenant", "tenant", "text", "example", "remedy", "since"}]}
 *   tenant: of scope tenant; example: the last refusal or the query, where text ends with it;
 *   remedy, since: not of ok; since is left out when nobody knows.
 *
 * Every DOCTOR_LOOK_MS loop 0 looks whether something begins or ends, every minute it keeps all
 * counters, for an hour, and a worker asks machine and disk. Nothing walks over series.
 *
 * Thread: begin, end on loop 0; create and free the main thread; the handler any loop.
 * Memory: 62 moments of 3 KiB.
 */
#ifndef NET_API_DOCTOR_H
#define NET_API_DOCTOR_H

#include "net/api/api.h"

#define DOCTOR_LOOK_MS  10000u
#define DOCTOR_KEEP_MS  60000
#define DOCTOR_ROWS_MAX 5u /* of one tenant and kind (senders that are late, slow queries) */

struct doctor;
struct doctor *doctor_create(struct api *a);
void doctor_free(struct doctor *d);
void doctor_begin(struct doctor *d); /* storage is ready */
void doctor_end(struct doctor *d);

void api_doctor(struct req *r);

#endif
