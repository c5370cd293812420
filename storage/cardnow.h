/*
 * cardnow - the lists of now (store_stats with `lists`), counted once for all who ask together.
 *
 * A count goes over every name and value that a tenant has, and pages ask for one each minute.
 * (1) Who asks while one is under way waits for the next, which all who wait share: so everybody
 *     sees what was there when they asked.
 * (2) One that took CARDNOW_LONG_NS or longer is told again for CARDNOW_KEPT times as long,
 *     CARDNOW_KEPT_MOST_NS at most: so however many ask, counting takes a tenth of the time.
 *
 * Thread: loop 0, but cardnow_ask. Memory: some 130 KB a tenant that is asked for now, and each of
 * the CARDNOW_TENANTS last ones that take long.
 */
#ifndef STORAGE_CARDNOW_H
#define STORAGE_CARDNOW_H

#include "storage/store.h"

#define CARDNOW_TENANTS      16u
#define CARDNOW_LONG_NS      (UINT64_C(100) * 1000000)
#define CARDNOW_KEPT         10u
#define CARDNOW_KEPT_MOST_NS (UINT64_C(60) * 1000000000)

struct cardnow;
struct cardnow *cardnow_create(struct store *st);
void cardnow_free(struct cardnow *n); /* nobody waits any more */
/* As store_stats with lists and a top of STORE_TOP_MAX. On any loop; r->done is called there. */
void cardnow_ask(struct store *st, struct store_stats_req *r);
/* What was counted before is not told any more: series were deleted. Loop 0. */
void cardnow_forget(struct cardnow *n, uint32_t tenant);
uint64_t cardnow_counts(const struct cardnow *n); /* begun so far; loop 0 */

#endif
