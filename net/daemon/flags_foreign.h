/*
 * flags_foreign - flags of Prometheus and VictoriaMetrics, and what kymod has instead.
 * Thread: pure.
 */
#ifndef NET_DAEMON_FLAGS_FOREIGN_H
#define NET_DAEMON_FLAGS_FOREIGN_H

#include <stddef.h>

/* "kymod has --data-dir" for "storage.tsdb.path"; NULL when the name is none of theirs. */
const char *flags_foreign(const char *name, size_t len);

#endif
