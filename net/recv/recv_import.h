/*
 * recv_import - POST /api/v1/import: samples as lines of JSON, as /api/v1/export gives them
 * (proto/importl.h), so that what one server exports another one takes.
 *
 * Answers are plain (recv_reply_plain). Thread: the loop of the request.
 */
#ifndef NET_RECV_RECV_IMPORT_H
#define NET_RECV_RECV_IMPORT_H

#include "net/http/req.h"

bool recv_import_before(struct req *r);
void recv_import(struct req *r);

#endif
