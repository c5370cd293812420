/*
 * openapi - the table of routes as an OpenAPI 3.1 document, in JSON (which is YAML as well).
 *
 * One operation for each method of a row; a form has its parameters in the body of POST. Sorted as
 * the table is. links: what stands before each path, for who is outside.
 * Thread: any.
 */
#ifndef NET_API_OPENAPI_H
#define NET_API_OPENAPI_H

#include "core/base/buf.h"
#include "net/http/router.h"

void openapi_json(
    struct buf *out, const struct route_table *t, const char *links, const char *version);

#endif
