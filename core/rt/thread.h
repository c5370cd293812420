/*
 * thread - a plain named thread that is neither a loop nor a worker: the log writer and its helper.
 * It talks to others by mailboxes only.
 *
 * Thread: thread_start and thread_join from one and the same thread.
 */
#ifndef CORE_RT_THREAD_H
#define CORE_RT_THREAD_H

#include <pthread.h>

#include "core/base/err.h"

/*
 * Stack of every thread that runs what clients ask, whatever "ulimit -s" says: expressions nest as
 * deep as query_nesting of the limits lets them.
 */
#define THREAD_STACK_BYTES (8u << 20)
/* pthread_create with it; returns what that returns. */
MUST_CHECK int thread_create(pthread_t *out, void *(*fn)(void *arg), void *arg);

struct thread;
/* Runs fn(arg) on a new thread with all signals blocked; name is cut to 15 bytes. */
MUST_CHECK enum err thread_start(
    const char *name, void (*fn)(void *arg), void *arg, struct thread **out);
/* Waits until fn has returned and frees the thread. NULL is allowed. */
void thread_join(struct thread *t);

#endif
