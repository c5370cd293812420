/*
 * api_delete - /api/v1/admin/tsdb/delete_series and clean_tombstones, as Prometheus has them.
 *
 * delete_series deletes what match[] names, of the asker's tenant alone, between start and end;
 * left out, both: the series themselves. 204 when it is durable in every shard; after an error some
 * of it may be deleted, and asking again deletes the rest.
 * clean_tombstones writes files anew that still hold what was deleted, of all tenants, and answers
 * 204 when none does; one that was cut off goes on where it was when it is asked again.
 * Both come to their end when who asked has gone. Thread: the loop of the request.
 */
#ifndef NET_API_API_DELETE_H
#define NET_API_API_DELETE_H

#include "net/api/api.h"

void api_delete_series(struct req *r);
void api_delete_clean(struct req *r);

#endif
