/*
 * api_tenants - /api/v1/status/tenants: who asks, and what it may know of which tenants, for people
 * who look at a page and have to choose one.
 *
 * Without identities that is the tenant "default". With them those whose names the identity has,
 * its own first, then (when it may read every one) the largest others. A tenant that nobody has
 * written to yet is told with zeros, as one without series: whether it is there is nobody's to
 * know.
 * Thread: the loop of the request. Cost: a walk over all tenants where an identity may read every
 * one, as for /metrics.
 */
#ifndef NET_API_API_TENANTS_H
#define NET_API_API_TENANTS_H

#include "net/api/api.h"

#define TENANTS_LIMIT_USUAL 100
#define TENANTS_LIMIT_MOST  10000

void api_tenants(struct req *r);

#endif
