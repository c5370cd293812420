/*
 * guard - reading from a map of a file whose disk may fail.
 *
 * A page that the disk cannot give, or that lies behind the end of a file cut meanwhile, is
 * SIGBUS, and that is the end of the process. Inside of guard_run it is a result: fn is left
 * where it stood, as by longjmp. What fn holds then (locks, memory) it holds for good: whoever
 * uses this must be able to give up the whole object.
 *
 * Thread: any; each has its own. Outside of guard_run SIGBUS ends the process as ever.
 */
#ifndef CORE_BASE_GUARD_H
#define CORE_BASE_GUARD_H

#include "core/base/check.h"

/* false: a page could not be read. Nested calls: the innermost one ends. */
MUST_CHECK bool guard_run(void (*fn)(void *arg), void *arg);

#endif
