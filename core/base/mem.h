/*
 * mem - the general heap, what happens when it is empty, and how freed memory goes back to the
 * system.
 *
 * mem_alloc and its kin never return NULL. When the system has no more memory, a reserve that
 * mem_setup took is let go and the call is tried again; from then on mem_short() is true: whoever
 * works for a client ends with an error (core/base/purse.h) until mem_tick() could take the reserve
 * again. Only when even the reserve did not help the process panics.
 * In the sharp build (KYMO_SHARP, tests/README.md) the first MEM_SOILED_MOST bytes of fresh memory
 * are other ones each time: a decoder that reads what it has not written says something else when
 * it is asked again.
 * What is freed lies in malloc's lists and, for large blocks, in core/base/block.h. mem_trim_soon()
 * says that much was freed; mem_tick() hands it to the system.
 *
 * Thread: any. mem_tick blocks (milliseconds, or tens of them): workers only, one at a time.
 */
#ifndef CORE_BASE_MEM_H
#define CORE_BASE_MEM_H

#include "core/base/check.h"

#define MEM_SOILED_MOST ((size_t)64 << 10)

/*
 * mem_try returns NULL instead of a panic (decoders of hostile sizes). mem_array: realloc with
 * overflow check.
 */
void *mem_alloc(size_t size) __attribute__((malloc));
void *mem_zalloc(size_t size) __attribute__((malloc));
void *mem_realloc(void *p, size_t size);
void *mem_array(void *p, size_t count, size_t size);
void *mem_try(size_t size) __attribute__((malloc));
void *mem_try_realloc(void *p, size_t size); /* NULL: p is as it was */
void mem_free(void *p);

/* Once, before there are other threads: takes the reserve and tells malloc how we want it. */
void mem_setup(void);
/* The reserve is gone. Without mem_setup: never. */
bool mem_short(void);
/*
 * Is it likely that a piece of so many bytes can be had? Asks the system only where the address
 * space has a limit (ulimit -v) and the piece is large.
 */
bool mem_room(uint64_t bytes);
/* The way out of every allocator that the system refused: true = try again, once. */
bool mem_refused(void);

void mem_trim_soon(void);
/* Is there anything for mem_tick to do? Asked once a second (core/rt/memkeep.h). */
bool mem_wants_tick(void);
void mem_tick(void);

#endif
