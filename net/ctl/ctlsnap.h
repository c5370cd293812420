/*
 * ctlsnap - the snapshots of a server, by its calls for administration (net/api/api_admin.h).
 *
 * Errors: told on stderr, an enum ctl_exit. Thread: that of ctlhttp.
 */
#ifndef NET_CTL_CTLSNAP_H
#define NET_CTL_CTLSNAP_H

#include <limits.h>

#include "net/ctl/ctlhttp.h"
#include "storage/back/snapshot.h"

struct ctlsnap {
	char name[SNAPSHOT_NAME_MAX]; /* snapshot_name_parse takes it: no path in disguise */
	char path[PATH_MAX];          /* on the server's machine */
};
/* Has the server such a one? Its path goes to out. An empty name is nobody's. */
MUST_CHECK int ctlsnap_find(struct ctlhttp *http, const char *name, struct ctlsnap *out, bool *there);
/* A new one. skip_head: without what is in memory alone. */
MUST_CHECK int ctlsnap_make(struct ctlhttp *http, bool skip_head, struct ctlsnap *out);
/* Deletes one; name: one that snapshot_name_parse takes. */
MUST_CHECK int ctlsnap_drop(struct ctlhttp *http, const char *name);
/* All of them, as the server has them (json_decref): name, path, time, files, bytes, ownBytes. */
MUST_CHECK int ctlsnap_list(struct ctlhttp *http, json_t **list);

#endif
