/*
 * recv_influx - InfluxDB's ways to write, and what its clients ask besides ("InfluxDB API
 * reference" of its documentation); lines are read by proto/influx.h.
 *
 *   POST /write            1.x: db, precision (n ns u us ms s m h); 204
 *   POST /api/v2/write     2.x: bucket, precision (ns us ms s); 204
 *   POST /api/v3/write_lp  3.x: db, precision (auto), accept_partial; 204
 *   /ping                  204, or the version; below /influx also /health
 *   /query                 enough for clients that make or list databases before they write
 * All of them are below /influx, too. Any database, bucket, organisation and retention policy does.
 *
 * What can be read is stored, beside lines that cannot: 400 (2.x: 422) then names these, in the
 * form of each version's errors, and its clients do not repeat what they sent.
 * Thread: the loop of the request.
 */
#ifndef NET_RECV_RECV_INFLUX_H
#define NET_RECV_RECV_INFLUX_H

#include "net/http/req.h"

extern const struct req_field recv_influx_fields[]; /* of every answer */

bool recv_influx_before1(struct req *r);
void recv_influx_write1(struct req *r);
bool recv_influx_before2(struct req *r);
void recv_influx_write2(struct req *r);
bool recv_influx_before3(struct req *r);
void recv_influx_write3(struct req *r);
void recv_influx_ping(struct req *r);
void recv_influx_health(struct req *r);
void recv_influx_query(struct req *r);

#endif
