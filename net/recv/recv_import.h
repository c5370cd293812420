/*
 * recv_import - what VictoriaMetrics imports, as it does ("Import" of its documentation):
 *
 *   POST /api/v1/import                           lines of JSON, as /api/v1/export gives them
 *                                                 (proto/importl.h): what one server exports
 *                                                 another one takes
 *   POST /api/v1/import/prometheus                exposed text, line by line
 *        /api/v1/import/prometheus/metrics/job/x  (proto/expo_rows.h)
 *   parameters: extra_label=<name>=<value> (net/recv/recvextra.h); of text timestamp=<ms>, that of
 *   samples without one
 *
 * Answers are plain (recv_reply_plain), but of paths of a job 200, as clients of a Pushgateway
 * want it.
 * Thread: the loop of the request.
 */
#ifndef NET_RECV_RECV_IMPORT_H
#define NET_RECV_RECV_IMPORT_H

#include "net/http/req.h"

bool recv_import_before(struct req *r);
void recv_import(struct req *r);
bool recv_import_text_before(struct req *r);
void recv_import_text(struct req *r);
void recv_import_job(struct req *r); /* the path has labels */

#endif
