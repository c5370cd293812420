/*
 * round - what is new in memory goes to files; the walk is at the top of round.c, the states in
 * storage/shard.h.
 */
#ifndef STORAGE_BACK_ROUND_H
#define STORAGE_BACK_ROUND_H

#include "core/base/check.h"

/* Start of the two-hour range a time lies in; times far below zero are fine. */
int64_t round_range(int64_t t_ms);

#endif
