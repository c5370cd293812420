/*
 * roll - who does something already: one small number for each key, for whoever asks, from any
 * thread.
 *
 * Keys are hashes; two things of one hash are told apart by those who use it.
 * Thread: any. Cost: a lock of one of ROLL_LOCKS, held for a few compares. Memory: 32 bytes for
 * each key that somebody has now.
 */
#ifndef CORE_BASE_ROLL_H
#define CORE_BASE_ROLL_H

#include <stdint.h>

struct roll;
struct roll *roll_create(void);
void roll_free(struct roll *r); /* nobody is on it any more */
/* 0: from now on it is number, which is not 0, until roll_leave; else whose it is. */
uint32_t roll_enter(struct roll *r, uint64_t key, uint32_t number);
void roll_leave(struct roll *r, uint64_t key);

#endif
