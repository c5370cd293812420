/*
 * reference - every flag and every key in words: net/CONFIG.md for who looks something up, the
 * manual page net/kymod.1 for who is at a terminal; and every metric of /metrics: net/METRICS.md.
 * They are made from the tables that the command line and the file are read by and that /metrics is
 * made from; a test keeps them in step (t_reference write).
 * Thread: pure.
 */
#ifndef NET_DAEMON_REFERENCE_H
#define NET_DAEMON_REFERENCE_H

#include "core/base/buf.h"

void reference_markdown(struct buf *out);
void reference_man(struct buf *out);
void reference_metrics(struct buf *out); /* net/daemon/reference_metrics.c */

#endif
