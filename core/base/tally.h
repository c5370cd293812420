/*
 * tally - a counter for each small number (tenants' ids), exact over all threads.
 *
 * Counters come in pages of TALLY_PAGE, made when one of them is first counted; numbers from
 * TALLY_MAX on share the last one. What is asked for costs one atomic operation, no lock.
 * Thread: any. Memory: own; tally_free when nobody counts any more.
 */
#ifndef CORE_BASE_TALLY_H
#define CORE_BASE_TALLY_H

#include "core/base/check.h"

#define TALLY_PAGE 1024u
#define TALLY_MAX  (1024u * TALLY_PAGE)

struct tally;
struct tally *tally_create(void);
void tally_free(struct tally *t);
void tally_add(struct tally *t, uint32_t number, uint64_t n);
void tally_sub(struct tally *t, uint32_t number, uint64_t n); /* it has so many */
/* Adds 1 if the counter is below max then. */
MUST_CHECK bool tally_take(struct tally *t, uint32_t number, uint64_t max);
uint64_t tally_get(const struct tally *t, uint32_t number);
uint32_t tally_members(const struct tally *t); /* counters that are not 0 */

#endif
