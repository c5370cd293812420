/*
 * sdnotify - tells who started the process how it stands: sd_notify(3) of systemd, in a few lines
 * of our own.
 *
 * A message is one datagram of lines KEY=VALUE, sent to the unix socket that $NOTIFY_SOCKET names:
 * a path, or "@name" for an abstract one. Without that variable nothing is sent. What cannot be
 * sent is lost (a full socket, nobody there any more): nothing here waits or fails.
 *
 *   READY=1         the server answers, at start and again after a reload
 *   RELOADING=1     with MONOTONIC_USEC=, when the configuration is read again
 *   STOPPING=1      it has been told to end
 *   STATUS=text     one line for people, with each of them
 *   WATCHDOG=1, EXTEND_TIMEOUT_USEC=   net/daemon/sdbeat.h
 *
 * Thread: open before any other thread is started, close when none is left; the others any.
 */
#ifndef NET_DAEMON_SDNOTIFY_H
#define NET_DAEMON_SDNOTIFY_H

#include "core/base/check.h"
#include <stdint.h>

/*
 * Reads $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID. The socket is opened here, and used from
 * inside a sandbox that forbids new ones.
 */
void sdnotify_open(void);
void sdnotify_close(void);
bool sdnotify_on(void); /* is there somebody to tell? */
/* Who watches wants to hear of us within so many microseconds; 0: nobody does. */
uint64_t sdnotify_watchdog_us(void);

void sdnotify_ready(const char *fmt, ...) PRINTF_LIKE(1, 2);    /* the text of STATUS= */
void sdnotify_stopping(const char *fmt, ...) PRINTF_LIKE(1, 2); /* so, too */
void sdnotify_reloading(void);                                  /* then sdnotify_ready again */
void sdnotify_status(const char *fmt, ...) PRINTF_LIKE(1, 2);
void sdnotify_watchdog(void);
/* A start or an end that goes on is given so much more time, counted from now. */
void sdnotify_extend(uint64_t us);

#endif
