/*
 * datadir - is the directory of --data-dir one that may be used?
 *
 * A directory in which another database keeps its files is refused before anything is written to
 * it: that of a Prometheus server (or another program on its TSDB), by what only stands there.
 * One that kymod has used before is its own, whatever else stands in it.
 *
 * Thread: main, before the store is opened. It reads the names of one directory.
 */
#ifndef NET_DAEMON_DATADIR_H
#define NET_DAEMON_DATADIR_H

#include "core/base/err.h"

/* ERR_EXISTS with a sentence; ERR_OK also for a directory that is not there or cannot be read. */
MUST_CHECK enum err datadir_check(const char *path, struct errbuf *eb);

#endif
