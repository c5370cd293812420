/*
 * rate - how much a tenant may write: requests and samples a second (core/model/tenant.h), over all
 * loops together.
 *
 *   rate_take (by the size that was declared) > wait, or refused > ... > rate_settle (by what came)
 *
 * Before its body is read nobody knows how many samples a request has: it is charged for as many as
 * the tenant's requests of that size had lately. When they have been counted the rest is charged,
 * or given back; what was too little is owed, and the next ones wait for it. What the sender has to
 * repeat is given back whole, so a repeat is not charged twice.
 * The burst is one for both rates: what comes in samples_burst_ms at that rate. When a rate rises
 * what is owed is paid for at the new one.
 * Waits of up to RATE_WAIT_NS are the caller's to wait; it has taken already (2 of
 * core/base/meter.h).
 *
 * Thread: any. Cost: without a rate two compares; with both two compare-and-swaps to take and to
 * settle. Memory: 64 bytes for each tenant with a rate, in pages.
 */
#ifndef CORE_ACCOUNT_RATE_H
#define CORE_ACCOUNT_RATE_H

#include "core/base/meter.h"
#include "core/model/tenant.h"

#define RATE_WAIT_NS UINT64_C(1000000000)
/* What is owed at most: a request of many samples keeps a tenant out no longer. */
#define RATE_DEBT_NS UINT64_C(600000000000)

struct rates;
struct rates *rates_create(void);
void rates_free(struct rates *rs); /* no claim is out */

enum rate_kind {
	RATE_SAMPLES,
	RATE_REQUESTS
};
struct rate_claim {        /* all zero: nothing */
	enum rate_kind of; /* which of the rates makes it wait, or refuses it */
	struct meter_row *_row;
	struct meter_terms _terms;
	uint64_t _bytes, _samples_ns, _request_ns, _samples_per_s;
};
static inline bool rate_is_limited(const struct tenant_limits *l)
{
	return l->samples_per_s || l->requests_per_s;
}
/*
 * bytes: declared, 0 when unknown. How long to wait; more than RATE_WAIT_NS: it is refused, that
 * long is missing, and *c stays empty but for that.
 */
MUST_CHECK uint64_t rate_take(struct rates *rs, const struct tenant_limits *l, uint32_t tenant,
    uint64_t bytes, uint64_t now_ns, struct rate_claim *c);
/* It had so many samples. Empties *c, as the others. */
void rate_settle(struct rate_claim *c, uint64_t samples, uint64_t now_ns);
void rate_keep(struct rate_claim *c); /* nobody has counted: what was charged stands */
void rate_give(struct rate_claim *c); /* nothing came of it, or it has to be repeated */

#endif
