/*
 * inletconf - what the configuration says of the way of samples into the store, made for use: of
 * each tenant and receiver the labels that are added and the rules that are applied.
 *
 *   global > of the receiver > of the tenant: rules in this order
 *   of the tenant > of the receiver > global: whose external label of a name it is
 *
 * Thread: immutable, a part of the configuration's snapshot (core/rt/snap.h).
 */
#ifndef NET_RECV_INLETCONF_H
#define NET_RECV_INLETCONF_H

#include "core/account/hapair.h"
#include "core/model/receiver.h"
#include "core/model/relabel.h"
#include "core/model/tenant.h"

#define INLET_LISTS 3u

enum inlet_list { /* whose rules they are */
	INLET_LIST_ALL,
	INLET_LIST_RECEIVER,
	INLET_LIST_TENANT
};
struct inlet_label {
	const char *name, *value;
	uint32_t name_len, value_len;
	bool wins; /* over the label that came */
};
/* How samples of a tenant and a receiver go. */
struct inlet_way {
	bool any;    /* there is something to do */
	uint32_t id; /* in this configuration */
	const struct inlet_label *external;
	uint32_t external_count, lists_count;
	const struct relabel *lists[INLET_LISTS];
	enum inlet_list list_of[INLET_LISTS];
	const struct hapair_rule *ha; /* NULL: of no pair */
};
struct inlet_conf {
	const struct tenants *tenants;     /* whose rows `rows` goes by; may be NULL */
	struct inlet_way usual[RECEIVERS]; /* of tenants without a row */
	struct inlet_way (*rows)[RECEIVERS];
	uint64_t cache_bytes; /* of all loops */
};
static inline const struct inlet_way *inlet_way_of(
    const struct inlet_conf *c, uint32_t tenant, enum receiver receiver)
{
	const struct tenant_row *row = c->tenants ? tenants_of(c->tenants, tenant) : NULL;
	return row ? &c->rows[row - c->tenants->rows][receiver] : &c->usual[receiver];
}

#endif
