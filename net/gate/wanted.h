/*
 * wanted - the tenants a request names: "a", or "a|b" to read of several (as X-Scope-OrgID has it
 * in Grafana Mimir's "Query across tenants").
 *
 * Pure. Names come back sorted by their bytes, each once.
 */
#ifndef NET_GATE_WANTED_H
#define NET_GATE_WANTED_H

#include "core/base/err.h"
#include "net/gate/ident.h"

struct wanted {
	struct wanted_name {
		const char *name; /* in the header's value, no NUL behind */
		size_t len;
	} names[IDENT_TENANTS_MAX];
	size_t count;
};
/* ERR_BADDATA: a name is none, or there are more than IDENT_TENANTS_MAX. */
MUST_CHECK enum err wanted_parse(
    const char *value, size_t len, struct wanted *out, struct errbuf *eb);
bool wanted_equal(const struct wanted *a, const struct wanted *b);

#endif
