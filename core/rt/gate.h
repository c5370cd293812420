/*
 * gate - many may be inside at once, or one that has closed it: for things that all users of a
 * shared object must stand still for (the growth of a memory map).
 *
 * Who waits to close it keeps newcomers out, so closing comes about. Blocks: workers and helpers
 * only, never a loop.
 * Thread: any but loops. Not to be entered twice by one thread.
 */
#ifndef CORE_RT_GATE_H
#define CORE_RT_GATE_H

#include "core/base/check.h"

struct gate;
struct gate *gate_create(void);
void gate_free(struct gate *g); /* nobody inside */
void gate_enter(struct gate *g);
void gate_leave(struct gate *g);
void gate_close(struct gate *g); /* waits until nobody is inside */
void gate_open(struct gate *g);

#endif
