/*
 * storesrc - the store as a source (core/seam/source.h): as many shards as the store has, each on
 * its loop, cursors by storage/read/select.
 */
#ifndef STORAGE_READ_STORESRC_H
#define STORAGE_READ_STORESRC_H

#include "core/seam/source.h"

struct changes; /* core/rt/changes.h */
struct shard;
/* shards and changes stay the caller's; they outlive it. */
struct source *storesrc_create(struct shard **shards, unsigned shards_count, struct changes *changes);
void storesrc_free(struct source *s);

#endif
