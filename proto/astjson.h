/*
 * astjson - the tree of an expression as JSON, the data of /api/v1/parse_query ("HTTP API" of the
 * Prometheus documentation). Keys in order of their bytes, durations in ms, null for what is
 * absent.
 *
 * Recursive; the parser limits the height of a tree. Thread: pure.
 */
#ifndef PROTO_ASTJSON_H
#define PROTO_ASTJSON_H

#include "core/promql/lang/ql_ast.h"

void astjson(struct buf *out, const struct ql_node *n); /* n may be NULL: null */

#endif
