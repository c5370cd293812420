/*
 * doctortenant - findings of one tenant, from notes of all loops and what the store knows of it:
 * for net/api/doctor.h.
 *
 * Thread: any; tells texts to a function, which copies them.
 */
#ifndef NET_API_DOCTORTENANT_H
#define NET_API_DOCTORTENANT_H

#include "net/api/doctorchecks.h"
#include "net/api/doctornotes.h"
#include "storage/append/alarm.h"

struct doctor_finding {
	const char *id;
	enum doctor_severity severity;
	const char *text, *remedy;
	const char *example; /* the end of text: a refusal, a query; NULL: there is none */
	int64_t since_ms;    /* 0: nobody knows */
};
struct doctortenant {
	struct doctornote *notes; /* of it, those of one key joined; sorted here */
	size_t notes_count;
	const struct alarm_row *alarms; /* of all tenants */
	size_t alarms_count;
	uint32_t id;
	uint64_t series, series_max; /* 0: no limit of its own */
	int64_t now_ms;
};
/* Notes of one key, from several loops, become one; returns how many are left. */
size_t doctortenant_join(struct doctornote *notes, size_t count);
void doctortenant_findings(
    struct doctortenant *t, void (*tell)(void *arg, const struct doctor_finding *f), void *arg);

#endif
