/*
 * stripes - many locks for one table: who works on a part of it takes the lock of that part.
 *
 * A lock is held for microseconds: nothing waits, asks the system or takes another stripe under it.
 * Thread: any. Memory: own.
 */
#ifndef CORE_RT_STRIPES_H
#define CORE_RT_STRIPES_H

struct stripes;
struct stripes *stripes_create(unsigned count);
void stripes_free(struct stripes *s);
void stripes_lock(struct stripes *s, unsigned which);
void stripes_unlock(struct stripes *s, unsigned which);

#endif
