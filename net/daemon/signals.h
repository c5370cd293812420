/*
 * signals - what the process does when it is sent a signal.
 *
 *   SIGTERM, SIGINT, SIGQUIT   the orderly end; a second one ends it at once
 *   SIGHUP                     the configuration file is read again
 *   SIGUSR1, SIGUSR2           one line in the log and nothing else: there is no log file to open
 *                              again
 *   SIGPIPE, SIGXFSZ           ignored: the call that met them fails instead, and is answered for
 *
 * Thread: main, signals_block before any other thread is started: all inherit its mask, so that
 * only main gets signals.
 */
#ifndef NET_DAEMON_SIGNALS_H
#define NET_DAEMON_SIGNALS_H

#include <signal.h>

/* Nothing is delivered from here on; ends: the signals of the orderly end. */
void signals_block(sigset_t *ends);
/* Waits for one of ends or SIGHUP, and says which. */
int signals_wait(const sigset_t *ends);
const char *signals_name(int sig); /* "SIGTERM"; "?" for one that is not waited for */

#endif
