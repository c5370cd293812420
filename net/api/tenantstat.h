/*
 * tenantstat - what each tenant has written and asked since the start, for /metrics.
 *
 * Counters by tenant id, shared by all loops: a request adds to them once, when it is over.
 * /metrics tells of the tenants that the configuration names, and of the
 * `limits.tenant-metrics` others with
 * most series (of equal ones, most samples); all the rest together are tenant="~other". Who may see
 * them is a matter of roles: the row of /metrics in net/api/routes.c.
 *
 * Cost: a request 2 atomic operations; /metrics a walk over all tenants there ever were.
 * Thread: any; tenantstat_put on a loop.
 */
#ifndef NET_API_TENANTSTAT_H
#define NET_API_TENANTSTAT_H

#include "core/base/buf.h"
#include "core/base/metric.h"
#include "storage/store.h"

struct tenantstat;
struct tenantstat *tenantstat_create(void);
void tenantstat_free(struct tenantstat *t);
void tenantstat_wrote(struct tenantstat *t, uint32_t tenant, uint64_t stored, uint64_t refused);
void tenantstat_asked(struct tenantstat *t, uint32_t tenant, uint64_t took_ns);
/* So many steps of a range query were kept from before, of so many that it had. */
void tenantstat_kept(struct tenantstat *t, uint32_t tenant, uint64_t kept, uint64_t steps);
struct tenantfigures {
	uint64_t stored, refused, queries, query_us;
};
void tenantstat_of(const struct tenantstat *t, uint32_t tenant, struct tenantfigures *out);
/* Rows of the text exposition format. */
void tenantstat_put(const struct tenantstat *t, const struct store *st, struct buf *out);
/* The families of them. */
void tenantstat_rows(void (*fn)(void *arg, const struct metric_row *r), void *arg);

#endif
