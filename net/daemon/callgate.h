/*
 * callgate - system calls that a server has no use for and an intruder has: they are refused from
 * here on, for all threads and what they start, by a seccomp filter (seccomp(2)).
 *
 * Refused with EPERM: other programs (execve), other processes (ptrace, process_vm_*), mounts and
 * namespaces, modules, kexec, keys, bpf, perf, userfaultfd, io_uring, handles of files, the clock,
 * identities, System V IPC, and what else stands in the table of callgate.c.
 *   clone3           ENOSYS: its flags cannot be seen, the C library goes on with clone
 *   clone            EPERM with a flag that makes a namespace
 *   socket           EAFNOSUPPORT unless it is unix, IPv4 or IPv6
 *   ioctl            EPERM when it would type into a terminal
 *   numbers that are newer than this table   ENOSYS, as an older kernel says it
 *   calls of another architecture (i386)     the process is killed
 * It is a list of what is refused, not of what is allowed: with another C library or library of
 * ours a call may come that nobody has thought of, and a database must not die of it.
 *
 * Memory: none. Errors: ERR_UNSUPPORTED where the kernel, or we for this architecture, have none.
 */
#ifndef NET_DAEMON_CALLGATE_H
#define NET_DAEMON_CALLGATE_H

#include "core/base/err.h"

/* no_new_privs must be set. */
MUST_CHECK enum err callgate_enter(void);

#endif
