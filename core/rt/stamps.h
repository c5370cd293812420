/*
 * stamps - has a thing changed since? Many things share few counters by their hash: any thread
 * asks, whoever changes a thing counts.
 *
 * Who changes a thing makes the change visible, then marks it (stamps_mark). Who has read a stamp
 * (stamps_of), and then seen what the thing is, knows that it is still so as long as the stamp is
 * the same. A stamp that has moved says nothing: another thing of the same counter may have
 * changed.
 *
 * Thread: any. Cost: one load; one atomic operation for a mark. Memory: 16 KiB.
 */
#ifndef CORE_RT_STAMPS_H
#define CORE_RT_STAMPS_H

#include <stdint.h>

struct stamps;
struct stamps *stamps_create(void);
void stamps_free(struct stamps *s);
/* hash: of the thing, all its bits mixed. */
uint32_t stamps_of(const struct stamps *s, uint64_t hash);
void stamps_mark(struct stamps *s, uint64_t hash);

#endif
