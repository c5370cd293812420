/*
 * api_admin - /api/v1/admin/tsdb/...: off unless --web.enable-admin-api.
 *
 * snapshot is Prometheus' (storage/back/snapshot.h makes it); snapshots lists them, with DELETE and
 * a name one goes. They are of the whole directory, all tenants: for the role admin.
 * flush makes everything up to now durable files, open ranges too, and answers 204 then.
 * Deletions: net/api/api_delete.
 * Thread: the loop of the request.
 */
#ifndef NET_API_API_ADMIN_H
#define NET_API_API_ADMIN_H

#include "net/api/api.h"

/* False: it is switched off, and that is answered. */
bool api_admin_enabled(struct req *r);
void api_admin_flush(struct req *r);
void api_admin_snapshot(struct req *r);
void api_admin_snapshots(struct req *r);
void api_admin_snapshot_drop(struct req *r);

#endif
