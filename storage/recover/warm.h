/*
 * warm - after recovery: series that had samples lately but are in no log record come back into
 * memory under their ids, with labels from the catalog.
 *
 * So senders go on without new ids, and a restart is not met by a flood of new series. All loops at
 * the same time. Of equal labels the highest id comes: its samples win over those of the others
 * (storage README (8)).
 * Thread: main, at start, after recover_log, with the catalog caught up. Blocks.
 */
#ifndef STORAGE_RECOVER_WARM_H
#define STORAGE_RECOVER_WARM_H

struct recover_env;
void warm_series(const struct recover_env *env);

#endif
