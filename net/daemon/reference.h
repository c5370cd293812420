/*
 * reference - every flag and every key in words: net/CONFIG.md for who looks something up, the
 * manual page net/kymod.1 for who is at a terminal. Both are made from the tables that the command
 * line and the file are read by; a test keeps them in step (t_reference write).
 * Thread: pure.
 */
#ifndef NET_DAEMON_REFERENCE_H
#define NET_DAEMON_REFERENCE_H

#include "core/base/buf.h"

void reference_markdown(struct buf *out);
void reference_man(struct buf *out);

#endif
