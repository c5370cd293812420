/*
 * clock - the only source of time. Wall time in ms since the epoch, monotonic time in ns.
 *
 * Real by default. clock_fake(wall_ms) before any other thread starts turns the process to an injected clock, which moves only by clock_fake_advance(ms)
 * (both clocks move together); core/rt's timers follow it: after an advance call team_clock_moved().
 * Thread: any.
 */
#ifndef CORE_BASE_CLOCK_H
#define CORE_BASE_CLOCK_H

#include "core/base/check.h"

int64_t clock_wall_ms(void);
uint64_t clock_mono_ns(void);      /* follows the fake clock */
uint64_t clock_real_mono_ns(void); /* never faked: for measuring our own slices and turns */
uint64_t clock_thread_cpu_ns(
    void); /* CPU time of the calling thread: a long turn of ours against one that had to wait for a CPU */
void clock_fake(int64_t wall_ms);
void clock_fake_advance(int64_t ms);
bool clock_is_fake(void);

#endif
