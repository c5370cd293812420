/*
 * figures - how full the store is, for /metrics: one message walks over the loops every
 * FIGURES_EVERY_MS, adds up what each has of memory, samples, rounds and merges, and loop 0 sets
 * the gauges.
 *
 * What changes where it is counted is not gathered here: files (storage/shard.c), the log
 * (wal/walog.c, wal/walprep.c), free space (storage/space.c), the catalog (back/catalogs.c).
 * Thread: made and freed on the main thread, started and stopped on loop 0, where the message
 * rests. Memory: own.
 */
#ifndef STORAGE_FIGURES_H
#define STORAGE_FIGURES_H

#include "core/base/check.h"

#define FIGURES_EVERY_MS 5000u

struct store;
struct figures;
struct figures *figures_create(struct store *st);
void figures_free(struct figures *f);
void figures_start(struct figures *f);
void figures_stop(struct figures *f); /* the gauges are 0 then */
/* on its way; after figures_stop it comes home once more */
bool figures_busy(const struct figures *f);

#endif
