/*
 * stopping - may a start that takes long go on? The process may be told to end while a store opens.
 *
 * Thread: any. Asked every few milliseconds of work by whoever blocks at the start.
 */
#ifndef STORAGE_STOPPING_H
#define STORAGE_STOPPING_H

#include <stdbool.h>
#include <stddef.h>

struct stopping {
	bool (*told)(void *arg); /* NULL: never */
	void *arg;
};
static inline bool stopping_told(const struct stopping *s)
{
	return s->told && s->told(s->arg);
}

#endif
