/*
 * sandbox - before the first thread starts, the process gives up what a metrics database has no use
 * for: other programs, and every file that is not its own.
 *
 *   files   net/daemon/landfence.h. To read and write, the data directory, and where links in the
 *           place of its folders lead to (log, shards: on other disks). To read, the folders of the
 *           configuration file and of all files that it and the command line name (with the
 *           folders where their symbolic links end, and what lies beside a folder that is a link
 *           to its neighbour), since certificates and secrets are renewed by new files and links;
 *           the folders of unix sockets of StatsD and of logs of requests, for these; what the C
 *           library, OpenSSL and resolving need; /proc/self and the groups of resources
 *   calls   net/daemon/callgate.h
 *
 *   auto    what the kernel offers; nothing when the program was built with a sanitizer or for
 *           coverage, which have needs of their own
 *   on      all of it, or there is no start
 *   off     none
 * One line in the log says what is in force, when the start has succeeded (sandbox_tell). A reload
 * may name files in these folders only: those elsewhere take a restart, and sandbox_explain tells
 * so.
 *
 * Thread: enter main, while it is the only one; tell main; explain any.
 */
#ifndef NET_DAEMON_SANDBOX_H
#define NET_DAEMON_SANDBOX_H

#include "core/base/buf.h"
#include "core/base/err.h"

enum sandbox_mode {
	SANDBOX_AUTO,
	SANDBOX_ON,
	SANDBOX_OFF
};
struct config;

/* Makes the data directory when it is not there. An error with a sentence: SANDBOX_ON only. */
MUST_CHECK enum err sandbox_enter(enum sandbox_mode mode, const struct config *c, struct errbuf *eb);
void sandbox_tell(void);
/* One more line when told says that a file could not be read, and the sandbox may be why. */
void sandbox_explain(struct buf *told);

#endif
