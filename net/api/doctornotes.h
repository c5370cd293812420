/*
 * doctornotes - what happened to requests of each tenant lately that its people should know, with
 * the last example: for net/api/doctor.h.
 *
 *   REFUSED  writes or samples refused, by reason (enum refusal of net/api/refusals.h)
 *   LATE     samples older than the newest of their series, by the sender's address
 *   CHANGED  samples that replaced another value at the same time, likewise
 *   SENDER   what writes, by User-Agent
 *   SLOW     queries that took long (struct api_conf, slow_ns), by their text; the longest time
 *   ENDED    queries that met a limit, by the error's first words
 * A bout ends after DOCTORNOTES_QUIET_MS of silence; what comes later begins a new one. Of each
 * loop there are DOCTORNOTES_ROWS, in sets of DOCTORNOTES_WAYS chosen by hash: the one that was
 * quiet for longest makes room, so memory does not grow with tenants, senders or texts. A tenant
 * that has half of a full set makes room itself: with odd agents or texts it does not drive out
 * what others have. Texts of clients make the hash, so a row is told by its tenant, too.
 *
 * Thread: the loop they are of. Cost: a write finds one row by hash, some 450 instructions; an
 * address becomes text when it is another one than before.
 * Memory: 130 KiB a loop, from the first note on.
 */
#ifndef NET_API_DOCTORNOTES_H
#define NET_API_DOCTORNOTES_H

#include "core/seam/sink.h"
#include "net/http/req.h"

#define DOCTORNOTES_ROWS     256u
#define DOCTORNOTES_WAYS     8u
#define DOCTORNOTES_IP_BYTES 22u /* family, zone, address */
#define DOCTORNOTES_QUIET_MS (3600 * INT64_C(1000))

enum doctornote_kind {
	DOCTORNOTE_REFUSED,
	DOCTORNOTE_LATE,
	DOCTORNOTE_CHANGED,
	DOCTORNOTE_SENDER,
	DOCTORNOTE_SLOW,
	DOCTORNOTE_ENDED
};
struct doctornote {
	uint64_t key; /* 0: the place is free; the same on all loops */
	uint32_t tenant;
	enum doctornote_kind kind;
	unsigned what; /* REFUSED: enum refusal */
	int64_t first_ms, last_ms;
	uint64_t count;   /* REFUSED, SLOW, ENDED: requests; LATE, CHANGED, SENDER: samples */
	uint64_t most_ms; /* SLOW */
	uint8_t ip[DOCTORNOTES_IP_BYTES]; /* whose text is in who */
	char who[64];                     /* address of the last one, without its port */
	char agent[64];                   /* its User-Agent, cut; "" = none */
	char example[256];                /* the last, cut: an error, a query (SLOW: the slowest) */
};
struct doctornotes {
	struct doctornote *rows; /* NULL: none yet */
};
/* Are they of one tenant, kind and text? */
bool doctornotes_same(const struct doctornote *a, const struct doctornote *b);
void doctornotes_begin(struct doctornotes *n);
void doctornotes_end(struct doctornotes *n);

/* example may be NULL: the one before stays. */
void doctornotes_refused(
    struct doctornotes *n, const struct req *r, unsigned what, const char *example);
/* A write is done: who sent it, and what of it was late or changed something. */
void doctornotes_wrote(struct doctornotes *n, const struct req *r, const struct sink_req *s);
/* A query of one tenant took so long, or (error not NULL) a limit ended it. */
void doctornotes_slow(
    struct doctornotes *n, const struct req *r, const char *text, size_t len, uint64_t took_ns);
void doctornotes_ended(
    struct doctornotes *n, const struct req *r, const char *text, size_t len, const char *error);
/* Those of these tenants whose bout goes on at now_ms. */
void doctornotes_each(const struct doctornotes *n, const uint32_t *tenants, size_t count,
    int64_t now_ms, void (*fn)(void *arg, const struct doctornote *row), void *arg);

#endif
