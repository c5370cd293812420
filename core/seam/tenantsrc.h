/*
 * tenantsrc - a source above another one through which queries over several tenants are asked: each
 * series says whose it is.
 *
 * A query that names one tenant goes through as it is. Of one that names several:
 *   series    get the label __tenant_id__ with the tenant's name; one of their own of that name
 *             becomes original___tenant_id__
 *   matchers  on __tenant_id__ choose among the tenants; on original___tenant_id__ they are of the
 *             series' own __tenant_id__
 *   names     have __tenant_id__ where there is any; values of __tenant_id__ are the names of the
 *             tenants that have a series which the matchers hold for
 * as Mimir's tenant federation has them (mergeQueryable in its source). A tenant without a name,
 * and TENANT_NONE, has no series. No tenant's share depends on another one's series.
 *
 * Cost: one copy of the labels of each series. Thread, memory: those of the source below.
 */
#ifndef CORE_SEAM_TENANTSRC_H
#define CORE_SEAM_TENANTSRC_H

#include "core/seam/source.h"

#define TENANTSRC_LABEL    "__tenant_id__"
#define TENANTSRC_ORIGINAL "original___tenant_id__"

struct tenantsrc {
	struct source source;
	struct source *_under;
	const char *(*_name)(void *arg, uint32_t tenant);
	void *_arg;
};
/* name is asked on the loops of the shards; NULL: there is no such tenant. */
void tenantsrc_init(struct tenantsrc *t, struct source *under,
    const char *(*name)(void *arg, uint32_t tenant), void *arg);

#endif
