/*
 * alarm - what explodes, of all loops together: the labels, metrics and targets of each tenant that
 * make new values or series fast, and what rules do about it.
 *
 * A message walks over the loops every ALARM_EVERY_MS and takes what each has watched
 * (storage/append/watch.h). What brought ALARM_VALUES new values a second in two walks within
 * ALARM_CALM_MS explodes: it is logged once, with an example, and again when it is over. Rows of
 * rules are there as soon as a rule acts. What is over stays ALARM_KEPT_MS.
 *
 * Thread: made and freed on the main thread; all else on loop 0. Memory: ALARM_ROWS rows, 700 bytes
 * each; ALARM_KIND_ROWS of a tenant and kind: those that are over for longest make room, then those
 * that bring least.
 */
#ifndef STORAGE_APPEND_ALARM_H
#define STORAGE_APPEND_ALARM_H

#include "storage/append/watch.h"

#define ALARM_EVERY_MS  WATCH_WINDOW_MS
#define ALARM_VALUES    50.0 /* a second */
#define ALARM_CALM_MS   60000
#define ALARM_KEPT_MS   (24 * 3600 * INT64_C(1000))
#define ALARM_ROWS      512u
#define ALARM_KIND_ROWS 16u

struct alarm_row {
	struct watch_row row; /* as of the last walk that had it */
	int64_t first_ms, last_ms;
	double most;    /* values a second (of RULE: rows), in one walk */
	uint64_t total; /* of them since first_ms, about */
	bool on;        /* it explodes, or a rule acts, now */
	/* private */
	uint32_t _walks;
	uint64_t _walk; /* the last one */
	bool _told;
};

struct intake;
struct alarm;
struct alarm_env {
	struct intake **intakes; /* [loops]; they outlive it */
	unsigned loops;
	const char *(*name)(void *arg, uint32_t tenant); /* for the log */
	void *arg;
};
struct alarm *alarm_create(const struct alarm_env *env);
void alarm_free(struct alarm *a);
void alarm_start(struct alarm *a);
void alarm_stop(struct alarm *a);
/* on its way; after alarm_stop it comes home once more */
bool alarm_busy(const struct alarm *a);
/* Rows that explode or did, of a tenant or all (TENANT_NONE), those of now first. */
void alarm_each(const struct alarm *a, uint32_t tenant,
    void (*fn)(void *arg, const struct alarm_row *row), void *arg);

struct cardgone;
/*
 * Around a deletion: what the rows of a tenant say, to be looked up; and rows and examples of what
 * has gone go, too, with the walk that is under way.
 */
void alarm_names(const struct alarm *a, uint32_t tenant, struct cardgone *to);
void alarm_forget(struct alarm *a, uint32_t tenant, const struct cardgone *gone);

#endif
