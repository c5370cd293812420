/*
 * newest - the newest accepted time of each class of samples, as one loop knows it. A class is a
 * tenant's samples from senders, or its own ones: those that the server records about itself
 * (batch.own). Own metrics bear the server's clock: they move nobody else's time.
 *
 * The times decide how old a sample may be, what retention deletes, which ranges are closed and
 * which series are idle. They are kept, in the log (WALREC_NEWEST) and in FILES, and not guessed
 * from rows: rows do not tell their class. A class that senders moved with a wrong clock would
 * refuse good samples and expire good data when the clock is right again: who uses a time bounds it
 * (newest_bounded).
 *
 * Loops tell each other in slices of the class, and every few seconds all
 * (storage/append/gossip.h); until
 * then a loop knows less, never more. A class is silent when this loop has heard of no sample of it
 * for NEWEST_SILENT_NS: retention then takes the senders' newest time of all (newest_senders) for
 * it.
 * Cost: a class is found at once, of tenants up to NEWEST_TENANTS; beyond them (none are given) by
 * walking all.
 * Thread: one loop's. Memory: own, 32 bytes a class and 8 a tenant.
 */
#ifndef STORAGE_NEWEST_H
#define STORAGE_NEWEST_H

#include "core/base/check.h"

#define NEWEST_TENANTS   (1u << 20)
#define NEWEST_NONE      INT64_MIN
#define NEWEST_SILENT_NS (3600 * UINT64_C(1000000000))

struct newest_class {
	uint32_t tenant;
	bool own;
	int64_t t_ms;
	uint64_t heard_ns; /* monotonic: when samples came last, or when recovery told */
};
struct newest {
	struct newest_class *classes;
	uint32_t count, cap;
	uint32_t *_places; /* of tenant's class 2 * tenant + own: its place + 1; 0 = none */
	uint32_t _places_count;
};
void newest_release(struct newest *n);
int64_t newest_get(const struct newest *n, uint32_t tenant, bool own); /* NEWEST_NONE */
/* True: the time went up. t_ms NEWEST_NONE says nothing. */
bool newest_tell(struct newest *n, uint32_t tenant, bool own, int64_t t_ms, uint64_t now_ns);
/*
 * At a start. Senders count as heard now: they are given time to come. Own metrics come at once or
 * are switched off, and then hold nobody's files back.
 */
void newest_tell_all(struct newest *n, const struct newest *from, uint64_t now_ns);
void newest_merge(struct newest *n, const struct newest *from); /* heard when `from` heard it */
int64_t newest_senders(const struct newest *n);                 /* of all tenants' senders */
int64_t newest_own(const struct newest *n);                     /* of all own metrics */
static inline bool newest_is_silent(const struct newest_class *c, uint64_t now_ns)
{
	return now_ns > c->heard_ns && now_ns - c->heard_ns > NEWEST_SILENT_NS;
}
/* max_ms: the latest that an honest sample can have now; NEWEST_NONE stays. */
static inline int64_t newest_bounded(int64_t t_ms, int64_t max_ms)
{
	return t_ms < max_ms ? t_ms : max_ms;
}
/*
 * Cutoffs of retention: a sample older than that is past it. From times as they stand in n, and the
 * trusted time of now.
 */
struct newest_cutoffs {
	/* of a file that holds our own samples only; INT64_MIN: nothing of it goes */
	int64_t own_ms;
	/* of a file that may hold samples of anybody; INT64_MIN: nothing of it goes */
	int64_t all_ms;
};
struct newest_cutoffs newest_cutoffs(
    const struct newest *n, int64_t trusted_ms, int64_t retention_ms, uint64_t now_ns);
/* That of one tenant with a retention of its own; INT64_MIN: nothing is known of it. */
int64_t newest_cutoff(const struct newest *n, uint32_t tenant, int64_t trusted_ms,
    int64_t retention_ms, uint64_t now_ns);
/* The same for who asks of many: senders_ms is newest_senders(n). */
int64_t newest_cutoff_of(const struct newest *n, int64_t senders_ms, uint32_t tenant,
    int64_t trusted_ms, int64_t retention_ms, uint64_t now_ns);

#endif
