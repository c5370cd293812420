/*
 * jobpath - labels in a path, as the Prometheus Pushgateway has them ("URL" of its README):
 *
 *   job/<value>/<name>/<value>...      a name that ends in @base64 has its value in base64url
 *                                      (RFC 4648, 5), padding may be missing; "=" is the empty one
 *
 * Of labels with an empty value none is made. Thread: pure. Memory: label bytes in the arena. Any
 * bytes are safe.
 */
#ifndef PROTO_JOBPATH_H
#define PROTO_JOBPATH_H

#include "core/model/label.h"

/* Does it begin as such a path does: "job/" or "job@base64/"? */
bool jobpath_is(const char *path, size_t len);
/*
 * Sets them on b; names and values are borrowed from path, or lie in b's arena. ERR_BADDATA with a
 * sentence: a name without a value, an empty name, base64 that is none, bytes that are no UTF-8.
 */
MUST_CHECK enum err jobpath_labels(
    struct label_builder *b, const char *path, size_t len, struct errbuf *eb);

#endif
