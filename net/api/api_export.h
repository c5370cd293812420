/*
 * api_export - /api/v1/export and /api/v1/export/csv: samples as they are stored, as
 * VictoriaMetrics exports them (proto/exportfmt.h).
 *
 * Series come in no order, a series in one line or several; the first row of CSV names its columns,
 * as format= has them. Errors before the first byte are plain
 * text; behind it the answer is cut. Places and times: net/api/outpour.h.
 * Thread: the loop of the request.
 */
#ifndef NET_API_API_EXPORT_H
#define NET_API_API_EXPORT_H

#include "net/api/api.h"

void api_export(struct req *r);
void api_export_csv(struct req *r);

#endif
