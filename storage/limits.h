/*
 * limits - what the machine allows the store: default of series_max, free space on the disk, the reserve file.
 *
 * Every second a worker asks how much is free. Below the floor writes are refused with ERR_NOSPACE; above 1.25 x the floor they are taken again.
 * RESERVE: 64 MiB that are given up when a start finds no room, and made again by one that does.
 * Thread: limits_watch, limits_unwatch on loop 0; the rest at start.
 */
#ifndef STORAGE_LIMITS_H
#define STORAGE_LIMITS_H

#include "core/base/fsio.h"

#define LIMITS_RESERVE_BYTES  (64u << 20)
#define LIMITS_RESERVE_NAME   "RESERVE"
#define LIMITS_START_FREE     (16u << 20) /* with less, the start takes the reserve */
#define LIMITS_MIN_FREE       (1ull << 30)
#define LIMITS_MIN_FREE_SHARE 33u /* or 1/33 of the file system, whichever is more */
#define LIMITS_WATCH_MS       1000u
#define LIMITS_SERIES_BYTES   1024u

struct store;
/* 45 % of 75 % of min(memory, cgroup limit), at 1 KiB a series. */
uint64_t limits_series_max(void);
/* Makes RESERVE when there is room; its lack is no error. */
void limits_reserve(struct fsio_dir *d, uint64_t bytes);
/* One look, blocking: before ready. */
void limits_look(struct store *st);
void limits_watch(struct store *st);
/* Stops; a look may still be with a worker (st->space_busy). */
void limits_unwatch(struct store *st);

#endif
