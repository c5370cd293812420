/*
 * chunk_priv - what pack.c uses of chunk.c: streams of at most CHUNK_SUB numbers, made in place and
 * in one sub-block.
 */
#ifndef STORAGE_CHUNK_CHUNK_PRIV_H
#define STORAGE_CHUNK_CHUNK_PRIV_H

#include "storage/chunk/chunk.h"

/* writable bytes wanted at p; the stream itself is at most 1 + 8 n */
#define CHUNK_LIGHT_ROOM 2560u

/* n: 1..CHUNK_SUB. Return the end of the stream. */
uint8_t *chunk_light_times(uint8_t *p, const int64_t *t_ms, size_t n, int64_t base_ms);
uint8_t *chunk_light_values(uint8_t *p, const double *v, size_t n);

#endif
