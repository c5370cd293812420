/*
 * clock - the only source of time. Wall time in ms since the epoch, monotonic time in ns.
 *
 * Real by default. Two other clocks exist, for tests:
 *   fake   clock_fake(wall_ms) before any other thread starts. It stands until
 *          clock_fake_advance(ms) moves both clocks, or clock_fake_step_wall(ms) the wall clock
 *          alone; core/rt's timers follow it: after either call team_clock_moved().
 *   test   clock_test_open(path) before any other thread starts, for whole programs (kymod:
 *          environment KYMO_TEST_CLOCK). Another process writes the file:
 *            offset  size  meaning (native byte order)
 *            0       8     "KYMOTCLK"
 *            8       8     serial: odd while the rest is being written, one more after it
 *            16      8     ns of CLOCK_MONOTONIC at which the two times below held
 *            24      8     wall time, ns since the epoch
 *            32      8     monotonic time, ns
 *            40      8     speed of wall time in millionths of the real one, not negative
 *            48      8     speed of monotonic time, likewise
 *          Monotonic time never goes back, whatever is written. Loops wait at most
 *          CLOCK_TEST_TICK_MS real time, so that timers see a jump.
 * Thread: any.
 */
#ifndef CORE_BASE_CLOCK_H
#define CORE_BASE_CLOCK_H

#include "core/base/err.h"

#define CLOCK_TEST_TICK_MS 2u

int64_t clock_wall_ms(void);
uint64_t clock_mono_ns(void);      /* follows the fake and the test clock */
uint64_t clock_real_mono_ns(void); /* never faked: for measuring our own slices and turns */
/*
 * Both at one moment: what was read apart would look like a step of the wall clock when the thread
 * was held up, or a test moved the clocks, in between.
 */
void clock_both(int64_t *wall_ms, uint64_t *mono_ns);
uint64_t clock_thread_cpu_ns(
    /* CPU time of the calling thread: a long turn of ours against one that had to wait for a CPU */
    void);
void clock_fake(int64_t wall_ms);
void clock_fake_advance(int64_t ms);
void clock_fake_step_wall(int64_t ms); /* back when negative; monotonic time stands */
bool clock_is_fake(void);
/* ERR_IO, ERR_MALFORMED: no such file, or not of this form. */
MUST_CHECK enum err clock_test_open(const char *path, struct errbuf *eb);
bool clock_is_test(void);

#endif
